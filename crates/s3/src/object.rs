//! Objects as this dialect shows them: entity tags, versions, checksums.

use crate::checksum::{self, Kind};
use crate::headers;
use crate::sse;
use http::HeaderMap;
use http::header::{ETAG, HeaderValue};
use trestle_core::{Digest, DigestAlgorithm};
use trestle_store::{Object, Written};

/// Where a website would send whoever asks for an object.
pub(crate) const REDIRECT: &str = "s3.redirect";

/// Headers that are kept as they are.
pub(crate) const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-disposition",
    "expires",
];

/// The entity tag, without quotes.
pub(crate) fn etag(object: &Object) -> String {
    match &object.written {
        Written::Parts { count, digest } => format!("{}-{count}", digest.hex()),
        Written::Whole => match object.digests.get(DigestAlgorithm::Md5) {
            Some(md5) => md5.hex(),
            None => revision(object),
        },
        Written::Patched => revision(object),
    }
}

/// A tag of content that no digest is kept of: new with every change, in the form of parts.
fn revision(object: &Object) -> String {
    format!("{}-{}", object.version, object.change + 1)
}

/// How a version is named.
pub(crate) fn version_id(object: &Object) -> String {
    match object.null_version {
        true => "null".to_owned(),
        false => object.version.to_string(),
    }
}

/// Names the version, where the bucket keeps any.
pub(crate) fn set_version(headers: &mut HeaderMap, object: &Object) {
    if !object.null_version {
        headers::set(headers, "x-amz-version-id", &object.version.to_string());
    }
}

/// The checksum that an object shows: what the client chose, or what the server always takes.
pub(crate) fn checksum_of(object: &Object) -> Option<(Digest, Kind, String)> {
    if let Some(found) = &object.checksum {
        let text = checksum::base64(&found.digest);
        return Some(match found.composite_of {
            Some(parts) => (
                found.digest.clone(),
                Kind::Composite,
                format!("{text}-{parts}"),
            ),
            None => (found.digest.clone(), Kind::FullObject, text),
        });
    }
    let digest = object.digests.get(DigestAlgorithm::Crc64Nvme)?;
    Some((digest.clone(), Kind::FullObject, checksum::base64(digest)))
}

/// Shows the checksum in headers.
pub(crate) fn set_checksum(headers: &mut HeaderMap, object: &Object) {
    if let Some((digest, kind, text)) = checksum_of(object) {
        headers::set(headers, checksum::header(digest.algorithm), &text);
        headers::set(headers, "x-amz-checksum-type", kind.name());
    }
}

/// Shows the checksum of a part in headers, with the type of the object's.
pub(crate) fn set_part_checksum(headers: &mut HeaderMap, object: &Object, digest: &Digest) {
    let text = checksum::base64(digest);
    headers::set(headers, checksum::header(digest.algorithm), &text);
    if let Some((_, kind, _)) = checksum_of(object) {
        headers::set(headers, "x-amz-checksum-type", kind.name());
    }
}

/// The headers that tell of a new object.
pub(crate) fn wrote(headers: &mut HeaderMap, object: &Object) {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", etag(object))) {
        headers.insert(ETAG, tag);
    }
    set_version(headers, object);
    set_checksum(headers, object);
    sse::show(headers, object.encryption.as_ref());
}
