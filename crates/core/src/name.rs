//! Names that people choose, parsed once at the rim into types that cannot be wrong.

use crate::{Error, Result};
use std::fmt;

/// Longest account id, in bytes.
pub const ACCOUNT_ID_BYTES_MAX: usize = 256;
/// Longest bucket name, in bytes.
pub const BUCKET_NAME_BYTES_MAX: usize = 256;
/// Longest key, in bytes (the limit of S3 and of Swift).
pub const KEY_BYTES_MAX: usize = 1024;

/// How the names start that no client can give.
const HIDDEN: char = '\u{1}';

/// First path segments that belong to the server on hosts that name no bucket: a closed list, so
/// none of them can be a bucket. `-` is the parent of everything that comes later.
pub const RESERVED_BUCKET_NAMES: [&str; 13] = [
    "-",
    "rest",
    "cdmi",
    "auth",
    "info",
    "healthcheck",
    "crossdomain.xml",
    "metrics",
    "healthz",
    "readyz",
    "v1",
    "v1.0",
    "v3",
];

/// The flat, unique id of an account: 1–256 bytes of UTF-8 without `/`, `:`, `~` and control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

/// The name of a bucket: either in the one global index (1–256 bytes of UTF-8 without `/`, `:` and
/// control characters, not starting with `~`, not `.` or `..`, not one of
/// [`RESERVED_BUCKET_NAMES`]), or *qualified*, as its account knows it: `account:name`, where the
/// name is any 1–256 bytes of UTF-8 without `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

/// What names an object in its bucket: 1–1024 bytes of UTF-8 with no further rule; `/`, `.` and
/// `..` are ordinary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

fn bounded(what: &str, text: &str, bytes_max: usize) -> Result<()> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(Error::invalid(format!(
            "{what} must be 1 to {bytes_max} bytes long, not {}",
            text.len()
        )));
    }
    Ok(())
}

fn without(what: &str, text: &str, forbidden: &[char]) -> Result<()> {
    match text
        .chars()
        .find(|c| forbidden.contains(c) || c.is_control())
    {
        Some(c) => Err(Error::invalid(format!("{what} must not contain {c:?}"))),
        None => Ok(()),
    }
}

impl AccountId {
    /// Parses an account id, or says which rule it breaks.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        bounded("an account id", &text, ACCOUNT_ID_BYTES_MAX)?;
        without("an account id", &text, &['/', ':', '~'])?;
        Ok(AccountId(text))
    }
}

impl BucketName {
    /// Parses a bucket name, or says which rule it breaks.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        bounded("a bucket name", &text, BUCKET_NAME_BYTES_MAX)?;
        without("a bucket name", &text, &['/', ':'])?;
        if text.starts_with('~') {
            return Err(Error::invalid("a bucket name must not start with '~'"));
        }
        if text == "." || text == ".." {
            return Err(Error::invalid("a bucket name must not be '.' or '..'"));
        }
        if RESERVED_BUCKET_NAMES.contains(&text.as_str()) {
            return Err(Error::invalid(format!(
                "the bucket name {text:?} is reserved"
            )));
        }
        Ok(BucketName(text))
    }

    /// The qualified name of an account's bucket, whether or not it has a global name too.
    pub fn in_account(account: &AccountId, name: &str) -> Result<Self> {
        bounded("a bucket name", name, BUCKET_NAME_BYTES_MAX)?;
        if name.contains('/') || name.starts_with(HIDDEN) {
            return Err(Error::invalid("a bucket name must not contain '/'"));
        }
        Ok(BucketName(format!("{account}:{name}")))
    }

    /// A bucket of an account that no client can name and no listing shows: for what is reached by
    /// other ways than a bucket and a key. `purpose` tells several of them apart.
    pub fn hidden(account: &AccountId, purpose: &str) -> Result<Self> {
        bounded("a bucket name", purpose, BUCKET_NAME_BYTES_MAX - 1)?;
        without("a bucket name", purpose, &['/', ':'])?;
        Ok(BucketName(format!("{account}:{HIDDEN}{purpose}")))
    }

    /// Whether it is [`BucketName::hidden`].
    pub fn is_hidden(&self) -> bool {
        self.account().is_some() && self.local().starts_with(HIDDEN)
    }

    /// Reads a name that a record holds, hidden ones too.
    pub fn parse_stored(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        match text.split_once(':') {
            Some((account, name)) if name.starts_with(HIDDEN) => {
                BucketName::hidden(&AccountId::parse(account)?, name.trim_start_matches(HIDDEN))
            }
            _ => BucketName::parse_qualified(text),
        }
    }

    /// Parses a name of either form.
    pub fn parse_qualified(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        match text.split_once(':') {
            Some((account, name)) => BucketName::in_account(&AccountId::parse(account)?, name),
            None => BucketName::parse(text),
        }
    }

    /// The account of a qualified name: an account id cannot hold a `:`.
    pub fn account(&self) -> Option<AccountId> {
        let (account, _) = self.0.split_once(':')?;
        Some(AccountId(account.to_owned()))
    }

    /// The name as its account knows it: without the account.
    pub fn local(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, name)| name)
    }
}

impl Key {
    /// Parses a key, or says which rule it breaks.
    pub fn parse(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        bounded("a key", &text, KEY_BYTES_MAX)?;
        Ok(Key(text))
    }
}

macro_rules! texts {
    ($($name:ident),*) => {$(
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts!(AccountId, BucketName, Key);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_the_global_index() {
        for good in ["a", "My Bucket", "été", "a.b_c-d", &"x".repeat(256)] {
            assert_eq!(BucketName::parse(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(257);
        for bad in [
            "", "a/b", "a:b", "~a", ".", "..", "rest", "v1.0", "-", "a\0b", "a\nb", &long,
        ] {
            assert!(BucketName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_qualified_name_leads_back_to_its_parts() {
        let account = AccountId::parse("acct").unwrap();
        for local in ["photos", "~x", "a:b", "rest", ".."] {
            let name = BucketName::in_account(&account, local).unwrap();
            assert_eq!(name.as_str(), format!("acct:{local}"));
            assert_eq!(name.account().as_ref(), Some(&account));
            assert_eq!(name.local(), local);
            assert_eq!(BucketName::parse_qualified(name.as_str()).unwrap(), name);
        }
        let plain = BucketName::parse_qualified("photos").unwrap();
        assert_eq!((plain.account(), plain.local()), (None, "photos"));
        for bad in ["", "a/b", &"x".repeat(257)] {
            assert!(BucketName::in_account(&account, bad).is_err(), "{bad:?}");
        }
        assert!(BucketName::parse_qualified(":x").is_err());
        let hidden = BucketName::hidden(&account, "ids").unwrap();
        assert!(hidden.is_hidden() && !plain.is_hidden());
        assert_eq!(BucketName::parse_stored(hidden.as_str()).unwrap(), hidden);
        assert!(BucketName::parse_qualified(hidden.as_str()).is_err());
        assert!(BucketName::in_account(&account, hidden.local()).is_err());
        assert!(BucketName::parse_qualified("rest").is_err());
    }

    #[test]
    fn keys_take_any_text_up_to_the_limit() {
        for good in ["/", "..", "a//b", "\u{1}", &"é".repeat(512)] {
            assert!(Key::parse(good).is_ok(), "{good:?}");
        }
        assert!(Key::parse("").is_err());
        assert!(Key::parse("x".repeat(1025)).is_err());
    }

    #[test]
    fn account_ids_are_flat() {
        assert!(AccountId::parse("research-2").is_ok());
        for bad in ["", "a/b", "a:b", "~a", "a~", "\u{7f}"] {
            assert!(AccountId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
