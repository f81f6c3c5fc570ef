//! Targets of the fuzzer: arbitrary bytes for each parser of the dialect.

use crate::chunked::{Decoder, Event};
use crate::form_policy::FormPolicy;
use crate::route::{self, Level};
use crate::{checksum, cors, document, form, source, time};
use bytes::Bytes;
use futures::executor::block_on;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use trestle_core::Timestamp;
use trestle_http::query;

/// A name, and what takes the bytes.
type Named = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Named] = &[
    ("s3-xml", xml),
    ("s3-chunked", chunked),
    ("s3-form", posted),
    ("s3-form-policy", form_policy),
    ("s3-source", copy_source),
    ("s3-headers", headers),
    ("s3-query", routed),
    ("s3-time", times),
];

/// Every document that a request can carry.
fn xml(data: &[u8]) {
    if let Ok((_, keys)) = document::delete(data) {
        assert!(!keys.is_empty() && keys.len() <= 1000);
    }
    if let Ok(parts) = document::complete(data) {
        assert!(!parts.is_empty() && parts.len() <= 10_000);
    }
    if let Ok(tags) = document::tagging(data, 10) {
        assert!(tags.len() <= 10);
    }
    if let Ok(rules) = cors::rules(data) {
        let written = cors::document(&rules).finish();
        let again = cors::rules(written.as_bytes()).map(|rules| rules.len());
        assert_eq!(again.ok(), Some(rules.len()), "rules come back as written");
    }
    let _understood = (
        document::versioning(data).is_ok(),
        document::retention(data).is_ok(),
        document::legal_hold(data).is_ok(),
        document::object_lock(data).is_ok(),
        document::ownership(data).is_ok(),
        document::public_access(data).is_ok(),
        document::create_bucket(data).is_ok(),
        document::request_payment(data).is_ok(),
        document::parse(data, "AccessControlPolicy").is_ok(),
        document::parse(data, "ServerSideEncryptionConfiguration").is_ok(),
    );
}

/// What a body in chunks holds is the same however it is cut, and never more than was announced.
fn chunked(data: &[u8]) {
    const LENGTH: u64 = 11;
    let decode = |piece: usize| {
        let mut decoder = Decoder::new(LENGTH, true);
        let (mut held, mut trailers) = (Vec::new(), None);
        let mut signatures = Vec::new();
        for piece in data.chunks(piece.max(1)).map(Some).chain([None]) {
            if let Some(piece) = piece {
                decoder.push(piece);
            }
            loop {
                let event = match piece {
                    Some(_) => decoder.next(),
                    None => decoder.end(),
                };
                match event {
                    Ok(Some(Event::Data(data))) => held.extend_from_slice(&data),
                    Ok(Some(Event::ChunkEnd(signature))) => signatures.push(signature),
                    Ok(Some(Event::End(all))) => trailers = Some(format!("{all:?}")),
                    Ok(None) => break,
                    Err(_) => return None,
                }
            }
        }
        assert!(held.len() as u64 <= LENGTH);
        Some((held, trailers, signatures))
    };
    let whole = decode(data.len());
    for piece in [1, 3] {
        assert_eq!(decode(piece), whole, "cut in pieces of {piece}");
    }
}

fn posted(data: &[u8]) {
    let body = futures::stream::iter([Ok(Bytes::copy_from_slice(data))]);
    let read = form::read("multipart/form-data; boundary=X", body);
    if let Ok(mut form) = block_on(read) {
        let names: Vec<&str> = form.fields.iter().map(|(name, _)| name).collect();
        let twice = |name: &&str| names.iter().filter(|other| *other == name).count() > 1;
        assert!(!names.iter().any(twice), "a field counts once");
        let _file = block_on(form.body.read_part(1 << 20));
    }
}

/// A policy opens the bucket that it names alone.
fn form_policy(data: &[u8]) {
    let Ok(policy) = FormPolicy::parse(data) else {
        return;
    };
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = vec![field("key", "in/a"), field("bucket", "another")];
    let Ok(fields) = form::Fields::new(fields) else {
        return;
    };
    let over = Timestamp(u64::MAX);
    assert!(policy.check(&fields, "bkt", over).is_err(), "it is over");
    if let Some((least, most)) = policy.length() {
        assert!(least <= most);
    }
}

/// A source names one key of one bucket.
fn copy_source(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok((bucket, key, _)) = source::parse(text) {
        assert!(!bucket.as_str().is_empty() && !key.as_str().is_empty());
        assert!(!bucket.as_str().contains('/'));
    }
    if let Ok(value) = HeaderValue::from_str(text) {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-amz-copy-source-range"), value);
        let _understood = source::range(&headers);
    }
}

/// Headers with values of their own, a line each.
fn headers(data: &[u8]) {
    const NAMES: [&str; 8] = [
        "content-md5",
        "x-amz-checksum-crc32",
        "x-amz-checksum-sha256",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-trailer",
        "x-amz-checksum-type",
        "x-amz-grant-read",
        "x-amz-acl",
    ];
    let mut headers = HeaderMap::new();
    for (name, line) in NAMES.into_iter().zip(data.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let _understood = checksum::declared(&headers).is_ok();
    if let Ok(digest) = checksum::content_md5(&headers) {
        assert!(digest.is_none_or(|digest| digest.value.len() == 16));
    }
    let _understood = crate::acl::sent(&headers).is_ok();
    let _understood = crate::headers::check(
        &http::Method::PUT,
        &headers,
        crate::route::Operation::PutObject,
    )
    .is_ok();
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(tags) = document::header_tags(text)
    {
        assert!(tags.len() <= 10);
    }
}

/// No parameter is passed over.
fn routed(data: &[u8]) {
    let pairs = std::str::from_utf8(data).ok().map(|text| query(Some(text)));
    let Some(Ok(pairs)) = pairs else { return };
    for level in [Level::Service, Level::Bucket, Level::Object] {
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
            if let Ok(routed) = route::route(&method, level, pairs.clone()) {
                for (name, value) in &pairs {
                    let lower = name.to_ascii_lowercase();
                    let known = routed.parameters.get(name) == Some(value);
                    let framing = ["signature", "expires", "awsaccesskeyid"];
                    let framing = lower.starts_with("x-") || framing.contains(&lower.as_str());
                    assert!(known || framing, "{name} means nothing");
                }
            }
        }
    }
}

/// A time that is understood is written as one that is understood alike.
fn times(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(found) = time::parse_iso(text) {
        let written = time::iso_time(found);
        let seconds = time::parse_iso(&written).map(|time| time.seconds());
        assert_eq!(seconds, Some(found.seconds()), "{written}");
    }
    let _understood = time::parse_any_seconds(text);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_changes_of_it_are_survived() {
        trestle_sim::replay::replay(super::TARGETS, 2_000);
    }
}
