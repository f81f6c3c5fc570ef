//! The user's metadata: from headers into names and texts, and back.
//!
//! Refuses more than the protocol's limit. What no header can carry is counted and never dropped.

use crate::error::{Code, S3Error};
use crate::headers;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use trestle_core::Metadata;
use trestle_store::Object;

const PREFIX: &str = "x-amz-meta-";
/// Most bytes of names and values of the user's metadata.
pub(crate) const BYTES_MAX: usize = 2 << 10;

/// A header's bytes as text: of UTF-8 when they are that, else of Latin-1.
pub(crate) fn text_of(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

/// The user's metadata.
pub(crate) fn read(headers: &HeaderMap) -> Result<Metadata, S3Error> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        let text = text_of(value);
        texts
            .entry(name.to_owned())
            .and_modify(|former| {
                former.push(',');
                former.push_str(&text);
            })
            .or_insert(text);
    }
    let bytes: usize = texts
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > BYTES_MAX {
        return Err(S3Error::new(
            Code::MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size",
        )
        .field("Size", bytes.to_string())
        .field("MaxSizeAllowed", BYTES_MAX.to_string()));
    }
    let texts = texts.into_iter();
    Ok(texts.map(|(name, value)| (name, value.into())).collect())
}

/// Shows the user's metadata in headers.
pub(crate) fn show(headers: &mut HeaderMap, object: &Object) {
    let mut missing = 0;
    for (name, value) in &object.metadata {
        let header = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes());
        let value = value
            .as_str()
            .and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok());
        match (header, value) {
            (Ok(header), Some(value)) => drop(headers.insert(header, value)),
            _ => missing += 1,
        }
    }
    if missing > 0 {
        headers::set(headers, "x-amz-missing-meta", &missing.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_whatever_bytes_they_came_in() {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, bytes: &[u8]| {
            headers.append(name, HeaderValue::from_bytes(bytes).unwrap());
        };
        add("x-amz-meta-old", b"caf\xe9");
        add("x-amz-meta-new", "café".as_bytes());
        add("x-amz-meta-two", b"\xe9");
        add("x-amz-meta-two", b"x");
        add("x-other", b"\xe9");
        let metadata = read(&headers).unwrap();
        assert_eq!(metadata["old"], "café");
        assert_eq!(metadata["new"], "café");
        assert_eq!(metadata["two"], "é,x");
        let long = HeaderValue::from_str(&"v".repeat(BYTES_MAX)).unwrap();
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-amz-meta-k"), long)]);
        let refused = read(&headers).map(|_| ()).map_err(|error| error.code());
        assert_eq!(refused, Err(Code::MetadataTooLarge));
    }
}
