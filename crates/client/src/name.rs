//! Names on the command line: `//bucket/key` is at the server, anything else a local path.

use crate::Result;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::PathBuf;

const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A bucket, or what a key of it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The bucket.
    pub bucket: String,
    /// The key; empty for the bucket itself.
    pub key: String,
}

impl Remote {
    /// Reads `//bucket/key`.
    ///
    /// # Errors
    /// When it is no such name.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text
            .strip_prefix("//")
            .ok_or_else(|| format!("{text}: a name at the server is written //bucket/key"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!("{text}: names no bucket"));
        }
        Ok(Remote {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The same bucket, another key.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Remote {
            bucket: self.bucket.clone(),
            key: key.into(),
        }
    }

    /// The path of its URL. Segments of dots are escaped: a URL would lose them.
    pub fn path(&self) -> String {
        let escape = |segment: &str| match segment {
            "." => "%2E".to_owned(),
            ".." => "%2E%2E".to_owned(),
            _ => utf8_percent_encode(segment, IN_PATH).to_string(),
        };
        let key: Vec<String> = self.key.split('/').map(escape).collect();
        // A name that only its account knows is `account:name`.
        let bucket = match self.bucket.split_once(':') {
            Some((account, name)) => format!("~{}/{}", escape(account), escape(name)),
            None => escape(&self.bucket),
        };
        format!("/rest/{bucket}/{}", key.join("/"))
    }
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "//{}/{}", self.bucket, self.key)
    }
}

/// Here or there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A local path.
    Local(PathBuf),
    /// At the server.
    Remote(Remote),
}

impl Place {
    /// Reads a name.
    ///
    /// # Errors
    /// When it begins like one at the server and is none.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with("//") {
            Remote::parse(text).map(Place::Remote)
        } else {
            Ok(Place::Local(text.into()))
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Local(path) => path.display().fmt(f),
            Place::Remote(remote) => remote.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let remote = Remote::parse("//b/a b/../ü").unwrap();
        assert_eq!(remote.path(), "/rest/b/a%20b/%2E%2E/%C3%BC");
        assert_eq!(Remote::parse("//b").unwrap().path(), "/rest/b/");
        assert_eq!(
            Remote::parse("//a:b/c:d").unwrap().path(),
            "/rest/~a/b/c%3Ad"
        );
        assert!(Remote::parse("///k").is_err());
        assert_eq!(Place::parse("a/b").unwrap(), Place::Local("a/b".into()));
        assert!(matches!(Place::parse("//b/k").unwrap(), Place::Remote(_)));
    }
}
