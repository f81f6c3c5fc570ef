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
    values: BTreeMap<String, Vec<String>>,
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
        self.values.insert(key.to_ascii_lowercase(), values);
    }

    /// The condition keys that were set, in lower case, with their values; what a signature says
    /// among them, apart from its age.
    pub fn values(&self) -> BTreeMap<String, Vec<String>> {
        let mut values = self.values.clone();
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
        let values = match key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => self.values.get(&key.to_ascii_lowercase()),
            false => self.values.get(key),
        };
        values.map(Vec::as_slice)
    }
}
