//! Values as documents carry them: three transfer encodings, and which one another writer's bytes
//! have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use trestle_core::{Error, Result};

/// How a value is written in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// A string of the bytes themselves, which are UTF-8.
    Utf8,
    /// A base64 string.
    Base64,
    /// A JSON object.
    Json,
}

impl Encoding {
    /// As the field says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Base64 => "base64",
            Encoding::Json => "json",
        }
    }

    /// Reads the field. Compared without case, as clients of 1.x write `UTF-8`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Encoding::Utf8, Encoding::Base64, Encoding::Json]
            .into_iter()
            .find(|encoding| encoding.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                Error::invalid(format!(
                    "{text:?} is not a value transfer encoding: utf-8, base64 or json"
                ))
            })
    }

    /// The bytes of a document's value.
    ///
    /// # Errors
    /// `InvalidInput` for a value that is not of this encoding.
    pub(crate) fn decode(self, value: &Value) -> Result<Bytes> {
        match (self, value) {
            (Encoding::Utf8, Value::String(text)) => Ok(Bytes::from(text.clone())),
            (Encoding::Base64, Value::String(text)) => from_base64(text),
            (Encoding::Json, Value::Object(_)) => Ok(Bytes::from(value.to_string())),
            (Encoding::Json, _) => Err(Error::invalid("the value is not a JSON object")),
            _ => Err(Error::invalid("the value is not a string")),
        }
    }

    /// A document's value for bytes that have this encoding. Bytes that do not fit it any more,
    /// since others wrote them, travel as base64; the encoding that was used is returned.
    pub(crate) fn encode(self, bytes: &[u8], as_text: bool) -> (Encoding, Value) {
        let text = std::str::from_utf8(bytes).ok();
        match (self, text) {
            (Encoding::Utf8, Some(text)) => (Encoding::Utf8, Value::from(text)),
            (Encoding::Json, Some(text)) if as_text => (Encoding::Utf8, Value::from(text)),
            (Encoding::Json, Some(text)) => match crate::json::parse(text.as_bytes()) {
                Ok(value @ Value::Object(_)) => (Encoding::Json, value),
                _ => (Encoding::Base64, Value::from(to_base64(bytes))),
            },
            _ => (Encoding::Base64, Value::from(to_base64(bytes))),
        }
    }

    /// Whether bytes may be a value of this encoding.
    pub(crate) fn check(self, bytes: &[u8]) -> Result<()> {
        let fits = match self {
            Encoding::Base64 => true,
            Encoding::Utf8 => std::str::from_utf8(bytes).is_ok(),
            Encoding::Json => matches!(crate::json::parse(bytes), Ok(Value::Object(_))),
        };
        match fits {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "the value is not {}",
                self.as_str()
            ))),
        }
    }
}

/// Decodes base64, with or without line ends within it.
pub(crate) fn from_base64(text: &str) -> Result<Bytes> {
    let stripped: String;
    let text = match text.contains(['\r', '\n']) {
        true => {
            stripped = text.replace(['\r', '\n'], "");
            &stripped
        }
        false => text,
    };
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|_| Error::invalid("the value is not base64"))
}

/// Encodes as base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The valuerange of so many bytes from an offset; nothing is the empty text.
pub(crate) fn range_text(first: u64, count: u64) -> String {
    match count {
        0 => String::new(),
        count => format!("{first}-{}", first.saturating_add(count - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_of_their_encoding_or_refused() {
        use Encoding::*;
        assert_eq!(Utf8.decode(&json!("é")).unwrap(), "é".as_bytes());
        assert_eq!(Base64.decode(&json!("dGhhdA==")).unwrap(), "that");
        assert_eq!(Base64.decode(&json!("dGhh\r\ndA==")).unwrap(), "that");
        assert_eq!(Json.decode(&json!({"a": 1})).unwrap(), "{\"a\":1}");
        for (encoding, value) in [
            (Utf8, json!(1)),
            (Base64, json!("this is not")),
            (Base64, json!({})),
            (Json, json!([])),
            (Json, json!("{}")),
        ] {
            assert!(encoding.decode(&value).is_err(), "{encoding:?} {value}");
        }
        assert!(Encoding::parse("UTF-8").is_ok());
        assert!(Encoding::parse("utf8").is_err());
    }

    #[test]
    fn bytes_that_do_not_fit_their_encoding_travel_as_base64() {
        assert_eq!(
            Encoding::Utf8.encode(b"\xff", false),
            (Encoding::Base64, json!("/w=="))
        );
        assert_eq!(
            Encoding::Json.encode(b"{\"a\": 1}", false),
            (Encoding::Json, json!({"a": 1}))
        );
        assert_eq!(
            Encoding::Json.encode(b"{\"a\": 1}", true),
            (Encoding::Utf8, json!("{\"a\": 1}"))
        );
        assert_eq!(range_text(5, 3), "5-7");
        assert_eq!(range_text(0, 0), "");
    }
}
