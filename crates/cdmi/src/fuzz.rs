//! Targets of the fuzzer: arbitrary bytes for each parser of the dialect.

use crate::acl::Acl;
use crate::document::Document;
use crate::media::{Accepted, MediaType};
use crate::multipart;
use crate::object_id::ObjectIds;
use crate::path::{Names, escape};
use crate::query::{Fields, Span};
use crate::queue_content::QueueContent;
use crate::scope::{self, Scope};
use crate::serial::Serialized;
use crate::time;
use crate::value::{Encoding, from_base64, to_base64};
use crate::version::Version;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde_json::Value;

/// A name, and what takes the bytes.
type Named = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Named] = &[
    ("cdmi-document", document),
    ("cdmi-acl", acl),
    ("cdmi-serialized", serialized),
    ("cdmi-scope", scopes),
    ("cdmi-query", query),
    ("cdmi-object-id", object_id),
    ("cdmi-path", path),
    ("cdmi-media", media),
    ("cdmi-multipart", parts),
    ("cdmi-queue", queue),
    ("cdmi-value", value),
    ("cdmi-time", times),
];

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn document(data: &[u8]) {
    if let Ok(document) = Document::parse(data) {
        let _understood = (
            document.mimetype().is_ok(),
            document.encoding().is_ok(),
            document.check_encoding().is_ok(),
        );
    }
}

/// A list says the same when it is written and read again.
fn acl(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let Ok(list) = Acl::parse(&value) else { return };
    for container in [false, true] {
        let Ok(again) = Acl::parse(&list.to_value(container)) else {
            unreachable!("what is written is not understood")
        };
        for bit in 0..32 {
            let somebody = |who: &str, _: bool| who == "EVERYONE@" || who == "ann";
            assert_eq!(
                list.grants(1 << bit, trestle_core::Timestamp(1), somebody),
                again.grants(1 << bit, trestle_core::Timestamp(1), somebody)
            );
        }
        let _inherited = list.inherited(container);
    }
}

fn serialized(data: &[u8]) {
    if let Ok(found) = Serialized::from_bytes(data) {
        let _kind = (
            found.is_reference(),
            found.value().is_ok(),
            found.queue().is_ok(),
        );
    }
}

fn scopes(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let mut next = || serde_json::from_slice::<Value>(halves.next()?).ok();
    let Some(specification) = next() else { return };
    let object = next();
    let object = object.as_ref().and_then(Value::as_object).cloned();
    let object = object.unwrap_or_default();
    if let Ok(found) = Scope::parse(&specification) {
        let _matches = (
            found.matches(&object),
            found.may_match(&object, |name| name.len() % 2 == 0),
            found.names("value"),
        );
    }
    if scope::check_results(&specification).is_ok() {
        let _shown = scope::results(&specification, &object);
    }
}

fn query(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-cdmi-specification-version",
        HeaderValue::from_static("1.1.1"),
    );
    for version in [Version::of(&HeaderMap::new()), Version::of(&headers)] {
        let Ok(version) = version else { continue };
        let Ok(fields) = Fields::parse(Some(text), &version) else {
            continue;
        };
        for name in ["value", "children", "metadata", "values"] {
            let _asked = (
                fields.has(name),
                fields.names(name),
                fields.arguments(name).len(),
            );
            if let Ok(spans) = fields.spans(name) {
                assert!(
                    spans
                        .iter()
                        .all(|span| span.first <= span.last && span.count() > 0)
                );
            }
        }
    }
    let _understood = Span::parse(text);
}

/// An id of this store is shown as the text that it was read from.
fn object_id(data: &[u8]) {
    let (Some(text), Ok(ids)) = (text(data), ObjectIds::new(0x7ed9)) else {
        return;
    };
    if let Ok(Some(id)) = ids.parse(text) {
        assert_eq!(ids.text(id), text.to_ascii_uppercase());
    }
}

/// Names hold no slash, and a path that is understood is written as one that is understood alike.
fn path(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(names) = Names::parse(text) {
        if let Some(last) = names.last() {
            assert!(!last.contains('/'));
        }
        let written = names.path();
        // An empty name at the end looks like a container's slash.
        if !written.contains("//") {
            let again = Names::parse(&escape(&written));
            assert_eq!(again.ok().map(|again| again.path()), Some(written));
        }
    }
}

fn media(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, value.clone());
    headers.insert(CONTENT_TYPE, value);
    let accepted = Accepted::of(&headers);
    let _understood = (
        accepted.is_cdmi(),
        accepted.wants_parts(),
        accepted.is_indifferent(),
    );
    if let Ok(Some(found)) = MediaType::of_content(&headers) {
        let _kind = (
            found.kind(),
            found.is_mixed(),
            found.is_form(),
            found.is_utf8(),
        );
        let _boundary = multipart::boundary(&found).is_ok();
    }
}

fn parts(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    if let Ok(parts) = multipart::parse(&body, "X") {
        for part in parts {
            let _understood = (
                part.media_type().is_ok(),
                part.content_range().is_ok(),
                part.file_name().is_some(),
            );
        }
    }
}

/// What is kept of a queue comes back as it was written.
fn queue(data: &[u8]) {
    if let Ok(content) = QueueContent::decode(3, Bytes::copy_from_slice(data)) {
        let written = content.encode().ok();
        let again = written.and_then(|bytes| QueueContent::decode(3, bytes).ok());
        assert_eq!(again, Some(content));
    }
}

/// Bytes come back from base64.
fn value(data: &[u8]) {
    let coded = to_base64(data);
    assert_eq!(from_base64(&coded).ok().as_deref(), Some(data));
    if let Some(text) = text(data) {
        let _decoded = from_base64(text);
        for encoding in ["utf-8", "base64", "json"] {
            if let Ok(encoding) = Encoding::parse(encoding) {
                let _decoded = encoding.decode(&Value::String(text.to_owned()));
            }
        }
    }
}

/// A time that is understood is written as one that is understood alike.
fn times(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(found) = time::parse(text) {
        let written = time::text(found);
        assert_eq!(time::parse(&written).ok(), Some(found), "{written}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_changes_of_it_are_survived() {
        trestle_sim::replay::replay(super::TARGETS, 2_000);
    }
}
