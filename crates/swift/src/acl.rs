//! Access lists as Swift writes them: a comma-separated string on containers, JSON on accounts.
//! Parsed and cleaned here; what they allow is decided in `rights`.

use crate::fault::{Fault, Outcome};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeMap;

/// Which of the two lists of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

/// A container's list, cleaned: spaces and empty elements dropped, referrers in their short form.
///
/// # Errors
/// 400 for a referrer in a write list or without a host, and for an unknown designator.
pub(crate) fn clean(side: Side, text: &str) -> Outcome<String> {
    let mut values = Vec::new();
    for raw in text.split(',').map(str::trim).filter(|raw| !raw.is_empty()) {
        let Some((first, second)) = raw.split_once(':') else {
            values.push(raw.to_owned());
            continue;
        };
        let (first, second) = (first.trim(), second.trim());
        if !first.starts_with('.') {
            values.push(raw.to_owned());
            continue;
        }
        if ![".r", ".ref", ".referer", ".referrer"].contains(&first) {
            let text = format!("Unknown designator '{first}' in ACL: '{raw}'");
            return Err(Fault::text(400, text));
        }
        if side == Side::Write {
            let text = format!("Referrers not allowed in write ACL: '{raw}'");
            return Err(Fault::text(400, text));
        }
        let (sign, host) = match second.strip_prefix('-') {
            Some(host) => ("-", host.trim()),
            None => ("", second),
        };
        let host = match host.strip_prefix('*') {
            Some(rest) if !rest.is_empty() => rest.trim(),
            _ => host,
        };
        if host.is_empty() || host == "." {
            let text = format!("No host/domain value after referrer designation in ACL: '{raw}'");
            return Err(Fault::text(400, text));
        }
        values.push(format!(".r:{sign}{host}"));
    }
    Ok(values.join(","))
}

/// A container's list, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    /// Hosts, domains (with a leading dot) and `*`, each possibly with a leading `-`.
    referrers: Vec<String>,
    /// Accounts, users and `.rlistings`.
    groups: Vec<String>,
}

impl List {
    /// Takes a cleaned list apart.
    pub(crate) fn parse(text: &str) -> Self {
        let mut list = List::default();
        for value in text.split(',').filter(|value| !value.is_empty()) {
            match value.strip_prefix(".r:") {
                Some(referrer) => list.referrers.push(referrer.to_owned()),
                None => {
                    let group = percent_decode_str(value).decode_utf8_lossy();
                    list.groups.push(group.into_owned());
                }
            }
        }
        list
    }

    /// Whether a Referer header is let in; the last element that matches decides.
    pub(crate) fn admits_referrer(&self, referer: Option<&str>) -> bool {
        let host = host_of(referer.unwrap_or_default());
        let host = host.as_deref().unwrap_or("unknown");
        let matches =
            |pattern: &str| pattern == host || pattern.starts_with('.') && host.ends_with(pattern);
        let mut admitted = false;
        for pattern in &self.referrers {
            match pattern.strip_prefix('-') {
                Some(pattern) if matches(pattern) => admitted = false,
                None if pattern == "*" || matches(pattern) => admitted = true,
                _ => {}
            }
        }
        admitted
    }

    /// Whether referrers may list as well.
    pub(crate) fn lists(&self) -> bool {
        self.groups.iter().any(|group| group == ".rlistings")
    }

    /// Whether one of these groups is named.
    pub(crate) fn names(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| self.groups.contains(group))
    }
}

/// The host of a URL, in lower case.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("//")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// What an account's list gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Share {
    ReadOnly,
    ReadWrite,
    Admin,
}

const SHARES: [(&str, Share); 3] = [
    ("admin", Share::Admin),
    ("read-write", Share::ReadWrite),
    ("read-only", Share::ReadOnly),
];

/// An account's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountList(Vec<(Share, Vec<String>)>);

impl AccountList {
    /// Parses the header's JSON; an empty text is an empty list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(AccountList::default());
        }
        let syntax = || format!("Syntax error in input ('{text}')");
        let map: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| syntax())?;
        let mut list = Vec::new();
        for (key, value) in map {
            let known = SHARES.iter().find(|(name, _)| *name == key);
            let quoted = Value::String(key.clone());
            let Some((_, share)) = known else {
                return Err(format!("Key {quoted} not recognized"));
            };
            let Value::Array(users) = value else {
                return Err(format!("Value for key {quoted} must be a list"));
            };
            let users: Option<Vec<String>> = users
                .iter()
                .map(|user| user.as_str().map(str::to_owned))
                .collect();
            let users = users.ok_or_else(|| format!("Elements of {key} list must be strings"))?;
            list.push((*share, users));
        }
        Ok(AccountList(list))
    }

    /// Whether it names nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, users)| users.is_empty())
    }

    /// The most that it gives to one of these groups.
    pub(crate) fn share(&self, groups: &[String]) -> Option<Share> {
        let named = |users: &Vec<String>| groups.iter().any(|group| users.contains(group));
        let shares = self.0.iter().filter(|(_, users)| named(users));
        shares.map(|(share, _)| *share).max()
    }

    /// The canonical JSON: keys sorted, ASCII only, no spaces.
    pub(crate) fn text(&self) -> String {
        let map: BTreeMap<&str, &Vec<String>> = self
            .0
            .iter()
            .filter_map(|(share, users)| {
                let known = SHARES.iter().find(|(_, other)| other == share);
                known.map(|(name, _)| (*name, users))
            })
            .collect();
        ascii(&serde_json::to_string(&map).unwrap_or_default())
    }
}

/// Escapes what is not ASCII in JSON text; it can only stand in strings.
pub(crate) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cleaned() {
        for (raw, clean) in [
            ("bob, sue", "bob,sue"),
            ("bob , sue", "bob,sue"),
            ("bob,,,sue", "bob,sue"),
            (".referrer : *", ".r:*"),
            (".ref:*.example.com", ".r:.example.com"),
            (".r:*, .rlistings", ".r:*,.rlistings"),
            (".r: - *.example.com", ".r:-.example.com"),
            ("a:b,a:*", "a:b,a:*"),
            ("", ""),
        ] {
            assert_eq!(super::clean(Side::Read, raw).unwrap(), clean, "{raw}");
        }
        for bad in [".r:", ".r:.", ".unknown:x", ".r:-"] {
            assert_eq!(
                super::clean(Side::Read, bad).unwrap_err().status(),
                400,
                "{bad}"
            );
        }
        assert!(super::clean(Side::Write, ".r:*").is_err());
        assert_eq!(super::clean(Side::Write, "a:b").unwrap(), "a:b");
    }

    #[test]
    fn the_last_referrer_that_matches_decides() {
        let list = List::parse(".r:*,.r:-.bad.com,.r:good.bad.com");
        assert!(list.admits_referrer(None));
        assert!(list.admits_referrer(Some("http://www.example.com/x")));
        assert!(!list.admits_referrer(Some("http://www.bad.com:80/x")));
        assert!(list.admits_referrer(Some("https://u@GOOD.bad.com/x")));
        let one = List::parse(".r:.example.com");
        assert!(!one.admits_referrer(None));
        assert!(!one.admits_referrer(Some("http://example.com")));
        assert!(!one.admits_referrer(Some("http://example.com.evil.org")));
        assert!(one.admits_referrer(Some("http://a.example.com?x")));
        assert!(!List::parse("").admits_referrer(None));
        assert!(List::parse(".rlistings").lists());
        let groups = ["a:b c".to_owned()];
        assert!(List::parse("x,a:b%20c").names(&groups));
        assert!(!List::parse("a:b").names(&groups));
    }

    #[test]
    fn account_lists_are_strict_json() {
        let text = r#"{"read-only": ["b"], "admin":["ä:ö"]}"#;
        let list = AccountList::parse(text).unwrap();
        assert_eq!(
            list.text(),
            r#"{"admin":["\u00e4:\u00f6"],"read-only":["b"]}"#
        );
        assert_eq!(list.share(&["b".into(), "ä:ö".into()]), Some(Share::Admin));
        assert_eq!(list.share(&["b".into()]), Some(Share::ReadOnly));
        assert_eq!(list.share(&["c".into()]), None);
        assert!(AccountList::parse("").unwrap().is_empty());
        assert!(AccountList::parse("{}").unwrap().is_empty());
        for bad in [
            "x",
            "[]",
            r#"{"other":[]}"#,
            r#"{"admin":"a"}"#,
            r#"{"admin":[1]}"#,
        ] {
            assert!(AccountList::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ascii("\"😀\""), "\"\\ud83d\\ude00\"");
    }
}
