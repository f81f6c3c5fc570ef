//! `--name value` pairs.

use crate::Result;
use std::collections::BTreeMap;

/// The flags of one task.
pub(crate) struct Arguments {
    values: BTreeMap<String, Vec<String>>,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut words = words;
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("{word}: not a flag"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("{word}: its value is missing"))?;
            values.entry(name.to_owned()).or_default().push(value);
        }
        Ok(Arguments { values })
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String> {
        Ok(self.given(name).unwrap_or(default).to_owned())
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> Result<u64> {
        match self.given(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("--{name} {text}: no number").into()),
        }
    }

    /// The last value that was given.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    /// Every value that was given.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}
