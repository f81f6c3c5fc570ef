//! `--name value` pairs.

use crate::Result;
use std::collections::BTreeMap;

/// The flags of one task.
pub(crate) struct Arguments {
    values: BTreeMap<String, String>,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut values = BTreeMap::new();
        let mut words = words;
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("{word}: not a flag"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("{word}: its value is missing"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Arguments { values })
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String> {
        Ok(self
            .values
            .get(name)
            .map_or(default, String::as_str)
            .to_owned())
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> Result<u64> {
        match self.values.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("--{name} {text}: no number").into()),
        }
    }

    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}
