//! The policy document of a browser form: what its fields must be, and until when it counts.
//!
//! A field that no condition covers is refused, except those that carry the policy itself, the file,
//! checksums (which can only refuse more), and `x-ignore-…`.

use crate::error::{Code, S3Error};
use crate::form::Fields;
use crate::time::parse_iso;
use serde_json::Value;
use std::fmt;
use trestle_core::Timestamp;

/// Most conditions.
const CONDITIONS_MAX: usize = 200;

/// Fields that need no condition.
const FREE: [&str; 6] = [
    "file",
    "policy",
    "signature",
    "awsaccesskeyid",
    "x-amz-signature",
    "submit",
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equal(String, String),
    StartsWith(String, String),
}

/// A policy that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormPolicy {
    expires: Timestamp,
    conditions: Vec<Condition>,
    /// Smallest and largest file.
    length: Option<(u64, u64)>,
}

fn invalid(message: &str) -> S3Error {
    S3Error::new(
        Code::InvalidPolicyDocument,
        format!("Invalid Policy: {message}"),
    )
}

fn denied(message: String) -> S3Error {
    S3Error::new(
        Code::AccessDenied,
        format!("Invalid according to Policy: {message}"),
    )
}

impl fmt::Display for Condition {
    /// As the protocol shows a condition that failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, value) = match self {
            Condition::Equal(name, value) => ("eq", name, value),
            Condition::StartsWith(name, value) => ("starts-with", name, value),
        };
        write!(f, "[\"{kind}\", \"${name}\", \"{value}\"]")
    }
}

impl FormPolicy {
    /// Reads the document.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, S3Error> {
        let document: Value = serde_json::from_slice(json).map_err(|_| invalid("Invalid JSON."))?;
        let expires = document
            .get("expiration")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid("Policy missing expiration."))?;
        let expires = parse_iso(expires).ok_or_else(|| invalid("Invalid 'expiration' value."))?;
        let list = document
            .get("conditions")
            .and_then(Value::as_array)
            .ok_or_else(|| invalid("Policy missing conditions."))?;
        if list.is_empty() || list.len() > CONDITIONS_MAX {
            return Err(invalid("Invalid 'conditions' value."));
        }
        let mut policy = FormPolicy {
            expires,
            conditions: Vec::new(),
            length: None,
        };
        for condition in list {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> Result<(), S3Error> {
        let wrong = || invalid("Invalid Simple-Condition.");
        match condition {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let value = value.as_str().ok_or_else(wrong)?.to_owned();
                    self.conditions
                        .push(Condition::Equal(name.to_ascii_lowercase(), value));
                }
                Ok(())
            }
            Value::Array(items) => match items.as_slice() {
                [kind, low, high] => match kind.as_str().map(str::to_ascii_lowercase).as_deref() {
                    Some("content-length-range") => {
                        let range = number(low)
                            .zip(number(high))
                            .filter(|(low, high)| low <= high);
                        self.length = Some(range.ok_or_else(wrong)?);
                        Ok(())
                    }
                    Some(kind @ ("eq" | "starts-with")) => {
                        let name = low.as_str().and_then(|name| name.strip_prefix('$'));
                        let name = name.ok_or_else(wrong)?.to_ascii_lowercase();
                        let value = high.as_str().ok_or_else(wrong)?.to_owned();
                        self.conditions.push(match kind {
                            "eq" => Condition::Equal(name, value),
                            _ => Condition::StartsWith(name, value),
                        });
                        Ok(())
                    }
                    _ => Err(wrong()),
                },
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }

    /// Whether these fields may be sent to this bucket now.
    pub(crate) fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        now: Timestamp,
    ) -> Result<(), S3Error> {
        if now >= self.expires {
            return Err(denied("Policy expired.".to_owned()));
        }
        // What was signed for one bucket must not open another of the signer's.
        if !self.names_bucket() {
            return Err(denied("Policy Condition missing: bucket".to_owned()));
        }
        for condition in &self.conditions {
            let (Condition::Equal(name, _) | Condition::StartsWith(name, _)) = condition;
            let field = match name.as_str() {
                "bucket" => Some(bucket),
                name => fields.get(name),
            };
            let holds = match (condition, field) {
                (Condition::Equal(_, wanted), Some(field)) => field == wanted,
                (Condition::StartsWith(_, wanted), Some(field)) => field.starts_with(wanted),
                // Any value will do: none as well as an empty one.
                (Condition::StartsWith(_, wanted), None) => wanted.is_empty(),
                (Condition::Equal(..), None) => false,
            };
            if !holds {
                return Err(denied(format!("Policy Condition failed: {condition}")));
            }
        }
        for (name, _) in fields.iter() {
            let free = FREE.contains(&name)
                || name == "bucket"
                || name.starts_with("x-ignore-")
                || name.starts_with("x-amz-checksum-");
            let covered = self.conditions.iter().any(|condition| {
                let (Condition::Equal(known, _) | Condition::StartsWith(known, _)) = condition;
                known == name
            });
            if !free && !covered {
                return Err(denied(format!("Extra input fields: {name}")));
            }
        }
        Ok(())
    }

    fn names_bucket(&self) -> bool {
        self.conditions.iter().any(|condition| {
            let (Condition::Equal(name, _) | Condition::StartsWith(name, _)) = condition;
            name == "bucket"
        })
    }

    /// Smallest and largest file.
    pub(crate) fn length(&self) -> Option<(u64, u64)> {
        self.length
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let list = list
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Fields::new(list).unwrap()
    }

    fn policy(conditions: &str) -> Result<FormPolicy, Code> {
        let text =
            format!("{{\"expiration\": \"2030-01-01T00:00:00Z\", \"conditions\": {conditions}}}");
        FormPolicy::parse(text.as_bytes()).map_err(|error| error.code())
    }

    #[test]
    fn every_field_needs_a_condition_that_holds() {
        let policy = policy(
            r#"[{"bucket": "b"}, ["starts-with", "$KEY", "foo"], {"Acl": "private"},
                ["eq", "$x-amz-meta-a", "1"], ["starts-with", "$x-amz-meta-free", ""],
                ["content-length-range", 0, "1024"]]"#,
        )
        .unwrap();
        assert_eq!(policy.length(), Some((0, 1024)));
        let good = [
            ("key", "foo.txt"),
            ("acl", "private"),
            ("x-amz-meta-a", "1"),
            ("policy", ""),
        ];
        let check = |list: &[(&str, &str)]| {
            policy
                .check(&fields(list), "b", Timestamp(0))
                .map_err(|error| error.code())
        };
        assert_eq!(check(&good), Ok(()));
        let mut more = good.to_vec();
        more.push(("x-ignore-this", "1"));
        more.push(("x-amz-meta-free", "anything"));
        assert_eq!(check(&more), Ok(()));
        more.push(("x-amz-meta-b", "1"));
        assert_eq!(check(&more), Err(Code::AccessDenied));
        assert_eq!(check(&good[..2]), Err(Code::AccessDenied));
        let wrong = [("key", "bar"), ("acl", "private"), ("x-amz-meta-a", "1")];
        assert_eq!(check(&wrong), Err(Code::AccessDenied));
        assert!(policy.check(&fields(&good), "c", Timestamp(0)).is_err());
        let anywhere = self::policy(r#"[["starts-with", "$key", "foo"]]"#).unwrap();
        let key = fields(&[("key", "foo.txt")]);
        let refused = anywhere.check(&key, "b", Timestamp(0));
        assert_eq!(refused.map_err(|e| e.code()), Err(Code::AccessDenied));
        assert!(
            policy
                .check(&fields(&good), "b", Timestamp(u64::MAX))
                .is_err()
        );
    }

    #[test]
    fn documents_are_strict() {
        for bad in [
            "[]",
            "{}",
            "[7]",
            "[{}]",
            r#"[{"a": 1}]"#,
            r#"[["eq", "key", "a"]]"#,
            r#"[["ends-with", "$key", "a"]]"#,
            r#"[["content-length-range", 0]]"#,
            r#"[["content-length-range", -1, 0]]"#,
            r#"[["content-length-range", 5, 1]]"#,
        ] {
            assert_eq!(policy(bad), Err(Code::InvalidPolicyDocument), "{bad}");
        }
        for bad in [
            "",
            r#"{"conditions": [{"a": "b"}]}"#,
            r#"{"expiration": "soon", "conditions": [{"a": "b"}]}"#,
            r#"{"expiration": "2030-01-01T00:00:00Z"}"#,
            r#"{"expiration": "2030-01-01T00:00:00Z", "CONDITIONS": [{"a": "b"}]}"#,
        ] {
            assert!(FormPolicy::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
