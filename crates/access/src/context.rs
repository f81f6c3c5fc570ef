//! The circumstances of a request that a policy can ask about: condition keys and their values.
//!
//! Keys are compared without regard to case. A key that was never set is absent, which is another
//! thing than empty.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use trestle_core::Timestamp;

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signed {
    /// `AWS4-HMAC-SHA256` or `AWS`.
    pub version: &'static str,
    /// `REST-HEADER`, `REST-QUERY-STRING` or `POST`.
    pub way: &'static str,
    /// When it was signed, by version 4.
    pub at: Option<Timestamp>,
}

/// Headers that a request may have by any dialect, and the condition keys that they stand for.
const HEADER_KEYS: [(&str, &str); 2] =
    [("referer", "aws:referer"), ("user-agent", "aws:useragent")];

/// The circumstances of a request. A dialect fills in what it knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// When it is decided.
    pub time: Timestamp,
    /// Where the request comes from, as the first trusted proxy saw it.
    pub source: Option<IpAddr>,
    /// Whether it came over TLS, or within this process.
    pub secure: bool,
    /// What is spoken, for the audit log; empty for what the server does by itself.
    pub dialect: Cow<'static, str>,
    /// The request's id, for the audit log.
    pub request: Option<String>,
    /// How it is signed, when it is.
    pub signed: Option<Signed>,
    /// Whether no auditor is told of it.
    pub quiet: bool,
    /// By keys in lower case, each once. There are few: looking at all is the fastest way to one.
    values: Vec<(Cow<'static, str>, Values)>,
}

/// The values of a condition key: mostly there is one.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl Values {
    fn as_slice(&self) -> &[String] {
        match self {
            Values::One(value) => std::slice::from_ref(value),
            Values::Several(values) => values,
        }
    }
}

impl Context {
    /// The circumstances at a time, nothing else known.
    pub fn at(time: Timestamp) -> Self {
        Context {
            time,
            ..Context::default()
        }
    }

    /// Says by what a decision is asked for, for the audit log.
    #[must_use]
    pub fn of(mut self, dialect: &'static str, request: Option<&str>) -> Self {
        self.dialect = Cow::Borrowed(dialect);
        self.request = request.map(str::to_owned);
        self
    }

    /// Tells no auditor: for what nobody asked for, and what any request causes many of.
    #[must_use]
    pub fn quietly(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Sets a condition key to one value, such as `s3:prefix`, `aws:UserAgent`, `aws:Referer`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, vec![value.into()]);
        self
    }

    /// Sets a condition key to its values.
    pub fn set(&mut self, key: &str, values: Vec<String>) {
        self.put(key.to_ascii_lowercase().into(), Values::Several(values));
    }

    /// Sets a condition key, whose name is in lower case, to one value.
    pub fn set_one(&mut self, key: &'static str, value: &str) {
        debug_assert!(!key.bytes().any(|byte| byte.is_ascii_uppercase()));
        self.put(Cow::Borrowed(key), Values::One(value.to_owned()));
    }

    /// Adds the tags that a request gives an object.
    #[must_use]
    pub fn with_tags(mut self, tags: &BTreeMap<String, String>) -> Self {
        for (key, value) in tags {
            self.set(&format!("s3:RequestObjectTag/{key}"), vec![value.clone()]);
        }
        if !tags.is_empty() {
            self.set("s3:RequestObjectTagKeys", tags.keys().cloned().collect());
        }
        self
    }

    /// Sets the condition keys that stand for headers of any dialect, of which `header` gives the
    /// text by their names in lower case.
    pub fn set_headers<'a>(&mut self, header: impl Fn(&'static str) -> Option<&'a str>) {
        for (name, key) in HEADER_KEYS {
            if let Some(text) = header(name) {
                self.set_one(key, text);
            }
        }
    }

    fn put(&mut self, key: Cow<'static, str>, values: Values) {
        match self.values.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = values,
            None => self.values.push((key, values)),
        }
    }

    fn find(&self, key: &str) -> Option<&[String]> {
        let mut values = self.values.iter();
        let found = values.find(|(known, _)| known == key);
        found.map(|(_, values)| values.as_slice())
    }

    /// The condition keys that were set, in lower case, with their values; what a signature says
    /// among them, apart from its age.
    pub fn values(&self) -> BTreeMap<String, Vec<String>> {
        let all = self.values.iter();
        let mut values: BTreeMap<String, Vec<String>> = all
            .map(|(key, values)| (key.clone().into_owned(), values.as_slice().to_vec()))
            .collect();
        if let Some(signed) = &self.signed {
            values.insert(
                "s3:signatureversion".to_owned(),
                vec![signed.version.to_owned()],
            );
            values.insert("s3:authtype".to_owned(), vec![signed.way.to_owned()]);
        }
        values
    }

    /// The values of a condition key.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        match key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.find(&key.to_ascii_lowercase()),
            false => self.find(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_values_that_it_was_set_to_last() {
        let mut context = Context::default().with("aws:UserAgent", "one");
        context.set_one("aws:useragent", "two");
        context.set("S3:Prefix", vec!["a".to_owned(), "b".to_owned()]);
        context.set_one("aws:referer", "there");
        assert_eq!(context.get("aws:UserAgent").unwrap(), ["two"]);
        assert_eq!(context.get("s3:prefix").unwrap(), ["a", "b"]);
        assert_eq!(context.get("s3:delimiter"), None);
        let names: Vec<String> = context.values().into_keys().collect();
        assert_eq!(names, ["aws:referer", "aws:useragent", "s3:prefix"]);
        context.set_headers(|name| (name == "user-agent").then_some("three"));
        assert_eq!(context.get("aws:useragent").unwrap(), ["three"]);
        assert_eq!(context.get("aws:referer").unwrap(), ["there"]);
        context.set("aws:referer", Vec::new());
        assert!(context.get("aws:Referer").unwrap().is_empty());
    }
}
