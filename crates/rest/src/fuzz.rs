//! Targets of the fuzzer: arbitrary bytes for each parser of the dialect.

use crate::parameters::Parameters;
use crate::{representation, upload};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use trestle_http::query;

/// A name, and what takes the bytes.
type Named = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Named] = &[
    ("rest-upload", uploads),
    ("rest-headers", headers),
    ("rest-query", parameters),
    ("rest-time", times),
];

fn of_lines(data: &[u8], names: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, line) in names.iter().zip(data.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// The headers of a resumable upload.
fn uploads(data: &[u8]) {
    let names = ["upload-metadata", "upload-length", "upload-offset"];
    let headers = of_lines(data, &names);
    if let Ok(pairs) = upload::metadata(&headers) {
        assert!(pairs.iter().all(|(name, _)| !name.contains([' ', ','])));
    }
    for name in ["upload-length", "upload-offset"] {
        let _understood = upload::number(&headers, &HeaderName::from_static(name));
    }
}

fn headers(data: &[u8]) {
    let names = [
        "content-type",
        "trestle-tags",
        "trestle-meta-a",
        "content-md5",
        "repr-digest",
    ];
    let headers = of_lines(data, &names);
    let _understood = representation::properties(&headers).is_ok();
    if let Ok(digests) = representation::expected_digests(&headers) {
        assert!(digests.iter().all(|digest| !digest.value.is_empty()));
    }
}

/// What is given twice, or means nothing, is refused.
fn parameters(data: &[u8]) {
    let pairs = std::str::from_utf8(data).ok().map(|text| query(Some(text)));
    let Some(Ok(pairs)) = pairs else { return };
    let known = ["limit", "prefix", "after", "reverse", "version"];
    if let Ok(found) = Parameters::of(pairs.clone(), &known) {
        assert!(pairs.len() <= known.len());
        if let Ok(limit) = found.limit() {
            assert!(limit <= 10_000);
        }
        let _understood = (
            found.flag("reverse").is_ok(),
            found.version("version").is_ok(),
        );
    }
}

/// A time that is understood is written as one that is understood alike.
fn times(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(found) = representation::parse_timestamp(text) {
        let written = representation::timestamp(found);
        assert_eq!(representation::parse_timestamp(&written).ok(), Some(found));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_changes_of_it_are_survived() {
        trestle_sim::replay::replay(super::TARGETS, 2_000);
    }
}
