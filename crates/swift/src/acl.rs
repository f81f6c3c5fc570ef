//! Access lists as Swift writes them: a comma-separated string on containers, JSON on accounts.
//! Parsed and cleaned here, and written as the neutral lists by which the core decides, for every
//! dialect alike.

use crate::fault::{Fault, Outcome};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeMap;
use trestle_access::{Acl, AclGrant, Grantee, Permission};
use trestle_core::Result;

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
        // What would be read as another element the next time is none.
        let marked = host != "*" && host.starts_with(['*', '-']);
        if host.is_empty() || host == "." || marked {
            let text = format!("No host/domain value after referrer designation in ACL: '{raw}'");
            return Err(Fault::text(400, text));
        }
        values.push(format!(".r:{sign}{host}"));
    }
    Ok(values.join(","))
}

/// Whom an element that is no referrer names: a user, or all users of an account.
fn named(element: &str) -> Grantee {
    let element = percent_decode_str(element).decode_utf8_lossy();
    match element.split_once(':') {
        Some((account, user)) => Grantee::User(account.to_owned(), user.to_owned()),
        None => Grantee::Members(element.into_owned()),
    }
}

/// Whether a grant is one that a container's lists write.
fn is_own(grant: &AclGrant) -> bool {
    use Permission as P;
    matches!(
        grant.permission,
        P::ReadContents | P::List | P::WriteContents
    )
}

/// The neutral list of a bucket with these cleaned lists; what others have granted stays.
///
/// # Errors
/// `InvalidInput` when what is there is not understood.
pub(crate) fn of_container(
    former: Option<&str>,
    read: Option<&str>,
    write: Option<&str>,
) -> Result<Option<String>> {
    let mut acl = match former {
        Some(text) => Acl::parse(text)?,
        None => Acl::default(),
    };
    acl.grants.retain(|grant| !is_own(grant));
    let elements = |list: Option<&str>| -> Vec<String> {
        let list = list
            .unwrap_or_default()
            .split(',')
            .filter(|e| !e.is_empty());
        list.map(str::to_owned).collect()
    };
    let read = elements(read);
    let lists = read.iter().any(|element| element == ".rlistings");
    for element in &read {
        let (grantee, listing) = match element.strip_prefix(".r:") {
            Some(site) => {
                let grantee = match site.strip_prefix('-') {
                    Some(site) => Grantee::NotReferrer(site.to_owned()),
                    None => Grantee::Referrer(site.to_owned()),
                };
                (grantee, lists)
            }
            None if element.starts_with('.') => continue,
            None => (named(element), true),
        };
        acl = acl.grant(grantee.clone(), Permission::ReadContents);
        if listing {
            acl = acl.grant(grantee, Permission::List);
        }
    }
    for element in elements(write) {
        if !element.starts_with('.') {
            acl = acl.grant(named(&element), Permission::WriteContents);
        }
    }
    match acl.grants.is_empty() && acl.entries.is_none() {
        true => Ok(None),
        false => acl.to_text().map(Some),
    }
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
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
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

    /// The neutral list that gives the same.
    ///
    /// # Errors
    /// `Internal`, which does not happen.
    pub(crate) fn neutral(&self) -> Result<Option<String>> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut acl = Acl::default();
        for (share, users) in &self.0 {
            let permission = match share {
                Share::Admin => Permission::Administer,
                Share::ReadWrite => Permission::WriteAll,
                Share::ReadOnly => Permission::ReadAll,
            };
            for user in users {
                acl = acl.grant(named(user), permission);
            }
        }
        acl.to_text().map(Some)
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
    fn lists_of_containers_become_grants_and_leave_those_of_others() {
        use Permission as P;
        let foreign = Acl::default().grant(Grantee::Everyone, P::Read);
        let foreign = foreign.to_text().unwrap();
        let read = ".r:*,.r:-.bad.com,.rlistings,a,b:c%20d";
        let text = of_container(Some(&foreign), Some(read), Some("e:f")).unwrap();
        let acl = Acl::parse(&text.unwrap()).unwrap();
        let user = |account: &str, user: &str| Grantee::User(account.into(), user.into());
        let expected = Acl::default()
            .grant(Grantee::Everyone, P::Read)
            .grant(Grantee::Referrer("*".into()), P::ReadContents)
            .grant(Grantee::Referrer("*".into()), P::List)
            .grant(Grantee::NotReferrer(".bad.com".into()), P::ReadContents)
            .grant(Grantee::NotReferrer(".bad.com".into()), P::List)
            .grant(Grantee::Members("a".into()), P::ReadContents)
            .grant(Grantee::Members("a".into()), P::List)
            .grant(user("b", "c d"), P::ReadContents)
            .grant(user("b", "c d"), P::List)
            .grant(user("e", "f"), P::WriteContents);
        assert_eq!(acl, expected);
        let text = acl.to_text().unwrap();
        assert_eq!(
            of_container(Some(&text), None, None).unwrap(),
            Some(foreign)
        );
        assert_eq!(of_container(None, Some(".rlistings"), None).unwrap(), None);
        let only = of_container(None, Some(".r:*"), None).unwrap().unwrap();
        assert!(!only.contains("list"), "{only}");
    }

    #[test]
    fn account_lists_are_strict_json() {
        let text = r#"{"read-only": ["b"], "admin":["ä:ö"]}"#;
        let list = AccountList::parse(text).unwrap();
        assert_eq!(
            list.text(),
            r#"{"admin":["\u00e4:\u00f6"],"read-only":["b"]}"#
        );
        let acl = Acl::parse(&list.neutral().unwrap().unwrap()).unwrap();
        let expected = Acl::default()
            .grant(
                Grantee::User("ä".into(), "ö".into()),
                Permission::Administer,
            )
            .grant(Grantee::Members("b".into()), Permission::ReadAll);
        assert_eq!(acl, expected);
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
