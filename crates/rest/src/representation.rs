//! Headers of an object, both ways: representation, metadata and tags in; what describes it out.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use trestle_core::{
    BucketName, Digest, DigestAlgorithm, Error, ErrorKind, Hasher, Metadata, Representation,
    Result, Timestamp, Validators,
};
use trestle_http::{http_date, query};
use trestle_store::{Object, ObjectProperties};

/// The representation fields that are kept and sent back.
pub(crate) const KEPT: [HeaderName; 5] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_DISPOSITION,
];

/// What the names of this API's own headers begin with.
pub(crate) const OWN: &str = "trestle-";
/// A header `trestle-meta-NAME` is the metadata NAME as a text.
pub(crate) const META: &str = "trestle-meta-";
/// How much of the metadata no header can carry. Only answers have it.
const META_MISSING: HeaderName = HeaderName::from_static("trestle-meta-missing");
/// Tags as `name=value&name=value`, percent-encoded.
pub(crate) const TAGS: HeaderName = HeaderName::from_static("trestle-tags");
/// The version's id.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("trestle-version");
/// Whether the version is a delete marker.
pub(crate) const DELETED: HeaderName = HeaderName::from_static("trestle-deleted");

/// Whether it is a snapshot, which never changes.
const SNAPSHOT: HeaderName = HeaderName::from_static("trestle-snapshot");
/// What it is, when it is more than bytes.
const KIND: HeaderName = HeaderName::from_static("trestle-kind");

const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The path of a bucket or an object. A bucket that only its account knows by name begins with the
/// account.
pub(crate) fn path_of(bucket: &BucketName, key: Option<&str>) -> String {
    let key = utf8_percent_encode(key.unwrap_or_default(), IN_PATH);
    let local = utf8_percent_encode(bucket.local(), IN_PATH);
    match bucket.account() {
        None => format!("/rest/{local}/{key}"),
        Some(account) => {
            let account = utf8_percent_encode(account.as_str(), IN_PATH);
            format!("/rest/~{account}/{local}/{key}")
        }
    }
}

/// This dialect's entity tag: the revision.
pub(crate) fn tag_of(object: &Object) -> String {
    object.revision()
}

/// A time in RFC 3339 form, to the microsecond.
pub(crate) fn timestamp(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// Reads a time in RFC 3339 form.
pub(crate) fn parse_timestamp(text: &str) -> Result<Timestamp> {
    let parsed: Option<jiff::Timestamp> = text.parse().ok();
    let micros = parsed.and_then(|time| u64::try_from(time.as_microsecond()).ok());
    micros.map(Timestamp).ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is not a time such as 2030-01-31T12:00:00Z, up to 9999-12-30T22:00:00Z"
        ))
    })
}

pub(crate) fn header(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<()> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| Error::corrupt("a stored field cannot be sent as a header"))?;
    headers.insert(name, value);
    Ok(())
}

pub(crate) fn validators(object: &Object) -> Validators {
    Validators {
        tag: tag_of(object),
        modified: object.modified,
    }
}

/// The headers that every answer about an object has.
pub(crate) fn identify(object: &Object, headers: &mut HeaderMap) -> Result<()> {
    header(headers, ETAG, &format!("\"{}\"", tag_of(object)))?;
    header(headers, LAST_MODIFIED, &http_date(object.modified))?;
    header(headers, VERSION, &object.version.to_string())
}

/// The headers that a 200, 206 and 304 of an object share.
pub(crate) fn describe(object: &Object, headers: &mut HeaderMap) -> Result<()> {
    identify(object, headers)?;
    header(headers, CACHE_CONTROL, "no-cache")?;
    if object.frozen {
        headers.insert(SNAPSHOT, HeaderValue::from_static("true"));
    }
    if object.is_volume() {
        headers.insert(KIND, HeaderValue::from_static("volume"));
    }
    for name in KEPT {
        if let Some(value) = object.representation.get(name.as_str()) {
            header(headers, name, value)?;
        }
    }
    let mut missing = 0;
    for (name, value) in &object.metadata {
        let header = value.as_str().and_then(|text| {
            let name = HeaderName::try_from(format!("{META}{name}")).ok()?;
            let visible = text
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic());
            let trimmed = text.trim() == text && name != META_MISSING;
            Some((
                name,
                HeaderValue::from_str(text)
                    .ok()
                    .filter(|_| visible && trimmed)?,
            ))
        });
        match header {
            Some((name, value)) => drop(headers.insert(name, value)),
            None => missing += 1,
        }
    }
    if missing > 0 {
        headers.insert(META_MISSING, HeaderValue::from(missing));
    }
    // A page that somebody stored must not act as one of the server's own.
    let sandbox = HeaderValue::from_static("sandbox");
    headers.insert(http::header::CONTENT_SECURITY_POLICY, sandbox);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::invalid(format!("the {name} header is repeated")));
    }
    let text = value.to_str();
    text.map(Some)
        .map_err(|_| Error::invalid(format!("the {name} header is not visible ASCII")))
}

/// The properties that the headers of a write give.
pub(crate) fn properties(headers: &HeaderMap) -> Result<ObjectProperties> {
    let mut representation = Representation::new();
    for name in KEPT {
        // An empty field says nothing.
        if let Some(text) = text(headers, &name)?.filter(|text| !text.is_empty()) {
            representation.insert(name.as_str().to_owned(), text.to_owned());
        }
    }
    let mut metadata = Metadata::new();
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(META) else {
            continue;
        };
        if short.is_empty() || name == META_MISSING {
            return Err(Error::invalid(format!("{name} names no metadata")));
        }
        let value = text(headers, name)?.unwrap_or_default();
        metadata.insert(short.to_owned(), value.into());
    }
    Ok(ObjectProperties {
        representation,
        metadata,
        tags: tags(headers)?,
        ..ObjectProperties::default()
    })
}

/// The tags that a write gives its object.
pub(crate) fn tags(headers: &HeaderMap) -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for (name, value) in query(text(headers, &TAGS)?)? {
        if name.is_empty() {
            return Err(Error::invalid("a tag has no name"));
        }
        if tags.insert(name, value).is_some() {
            return Err(Error::invalid("a tag is given twice"));
        }
    }
    Ok(tags)
}

/// The digests that a write's body must have.
pub(crate) fn expected_digests(headers: &HeaderMap) -> Result<Vec<Digest>> {
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let mut digests = Vec::new();
    for value in headers.get_all("content-md5") {
        let value = value
            .to_str()
            .ok()
            .and_then(decode)
            .filter(|value| value.len() == 16);
        let value = value.ok_or_else(|| Error::invalid("Content-MD5 is not a base64 MD5"))?;
        digests.push(Digest {
            algorithm: DigestAlgorithm::Md5,
            value,
        });
    }
    for value in headers.get_all("repr-digest") {
        // RFC 9530 §3, the one algorithm that is checked here.
        let value = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("sha-256=:")?.strip_suffix(':'))
            .and_then(decode)
            .filter(|value| value.len() == 32);
        let value =
            value.ok_or_else(|| Error::invalid("Repr-Digest is understood as sha-256=:…: only"))?;
        digests.push(Digest {
            algorithm: DigestAlgorithm::Sha256,
            value,
        });
    }
    Ok(digests)
}

/// Refuses bytes that do not have the digests that they were sent with.
pub(crate) fn check_digests(expected: &[Digest], bytes: &[u8]) -> Result<()> {
    let algorithms: Vec<DigestAlgorithm> = expected.iter().map(|digest| digest.algorithm).collect();
    let mut hasher = Hasher::new(&algorithms);
    hasher.update(bytes);
    let digests = hasher.finish();
    match expected
        .iter()
        .find(|expected| digests.get(expected.algorithm) != Some(*expected))
    {
        Some(expected) => {
            let message = format!("the body does not have the expected digest {expected:?}");
            Err(Error::new(ErrorKind::DigestMismatch, message))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_from_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        headers.insert("trestle-meta-colour", "deep blue".parse().unwrap());
        headers.insert("trestle-tags", "a=1&b=%C3%A9".parse().unwrap());
        let read = properties(&headers).unwrap();
        assert_eq!(read.representation["content-type"], "text/plain");
        assert_eq!(read.metadata["colour"], "deep blue");
        assert_eq!(read.tags["b"], "é");
        headers.insert("content-type", "".parse().unwrap());
        assert!(properties(&headers).unwrap().representation.is_empty());
        for bad in ["a=1&a=2", "=1"] {
            headers.insert("trestle-tags", bad.parse().unwrap());
            assert!(properties(&headers).is_err(), "{bad}");
        }
        headers.remove("trestle-tags");
        for bad in ["trestle-meta-", "trestle-meta-missing"] {
            headers.insert(bad, "1".parse().unwrap());
            assert!(properties(&headers).is_err(), "{bad}");
            headers.remove(bad);
        }
        headers.append("trestle-meta-colour", "red".parse().unwrap());
        assert!(properties(&headers).is_err());
    }

    #[test]
    fn paths_lead_back_to_what_they_name() {
        use crate::route::{Target, target};
        let account = trestle_core::AccountId::parse("an account").unwrap();
        for bucket in [
            BucketName::parse("b").unwrap(),
            BucketName::parse("\u{e4} b").unwrap(),
            BucketName::in_account(&account, "b:c").unwrap(),
        ] {
            let found = target(&path_of(&bucket, None)).unwrap();
            assert!(matches!(found, Target::Bucket(found) if found == bucket));
            let found = target(&path_of(&bucket, Some("a/ä//"))).unwrap();
            assert!(
                matches!(found, Target::Object(found, key) if found == bucket && key.as_str() == "a/ä//")
            );
        }
    }

    #[test]
    fn times_read_as_they_are_written() {
        let time = parse_timestamp("2030-01-31T12:00:00.5Z").unwrap();
        assert_eq!(timestamp(time), "2030-01-31T12:00:00.500000Z");
        assert!(parse_timestamp("2030-01-31").is_err());
        assert!(parse_timestamp("1930-01-31T12:00:00Z").is_err());
    }
}
