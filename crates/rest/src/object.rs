//! Objects as resources: put, get, head, delete.

use crate::route::Call;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_RANGE, LAST_MODIFIED, LOCATION,
};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use trestle_access::{Action, Resource};
use trestle_core::{
    BucketName, ByteRange, Digest, DigestAlgorithm, Error, ErrorKind, Key, Precondition,
    Representation, ResolvedRange, Result, Timestamp, Validators, Verdict,
};
use trestle_http::{
    Body, Problem, RangeHeader, http_date, incoming, parse_precondition, parse_range,
};
use trestle_store::{
    BodyChecks, DeleteObject, Object, ObjectBytes, ObjectProperties, PutObject, ReadObject,
    VersionRef,
};

/// The representation fields that are kept and sent back.
const KEPT: [HeaderName; 5] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_DISPOSITION,
];

/// Request headers of a PUT whose meaning is not there yet: refused, never ignored.
const UNSUPPORTED: [&str; 4] = ["content-range", "content-digest", "digest", "trailer"];

const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The path of a bucket or an object.
pub(crate) fn path_of(bucket: &BucketName, key: Option<&str>) -> String {
    let account = bucket.account().map_or_else(String::new, |account| {
        format!("~{}/", utf8_percent_encode(account.as_str(), IN_PATH))
    });
    let bucket = utf8_percent_encode(bucket.local(), IN_PATH);
    let key = utf8_percent_encode(key.unwrap_or_default(), IN_PATH);
    format!("/rest/{account}{bucket}/{key}")
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

/// The refusal of headers whose meaning is not there yet.
pub(crate) fn unsupported(call: &Call<'_>, names: &[&str]) -> Option<Response<Body>> {
    let headers = call.request.headers();
    let name = names.iter().find(|name| headers.contains_key(**name))?;
    let detail = format!("{name} is not supported here");
    Some(Problem::new(StatusCode::NOT_IMPLEMENTED, detail).into_response())
}

/// Refuses query parameters: none has a meaning here.
pub(crate) fn no_query(call: &Call<'_>) -> Result<()> {
    match call.request.uri().query() {
        None | Some("") => Ok(()),
        Some(_) => Err(Error::invalid("this request takes no query parameters")),
    }
}

/// Refuses query parameters and a body: neither has a meaning here.
pub(crate) fn plain(call: &Call<'_>) -> Result<()> {
    no_query(call)?;
    no_body(call)
}

/// Refuses a body where none has a meaning (RFC 9110 §9.3.1, §9.3.5).
pub(crate) fn no_body(call: &Call<'_>) -> Result<()> {
    if http_body::Body::is_end_stream(call.request.body()) {
        Ok(())
    } else {
        Err(Error::invalid("this request takes no body"))
    }
}

fn header(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<()> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| Error::corrupt("a stored field cannot be sent as a header"))?;
    headers.insert(name, value);
    Ok(())
}

fn validators(object: &Object) -> Validators {
    Validators {
        tag: tag_of(object),
        modified: object.modified,
    }
}

/// The headers that a 200, 206 and 304 of an object share.
fn describe(object: &Object, headers: &mut HeaderMap) -> Result<()> {
    header(headers, ETAG, &format!("\"{}\"", tag_of(object)))?;
    header(headers, LAST_MODIFIED, &http_date(object.modified))?;
    header(headers, CACHE_CONTROL, "no-cache")?;
    for name in KEPT {
        if let Some(value) = object.representation.get(name.as_str()) {
            header(headers, name, value)?;
        }
    }
    Ok(())
}

/// Answers what a conditional read needs no bytes for.
fn conditional(precondition: &Precondition, object: &Object) -> Result<Option<Response<Body>>> {
    match precondition.for_read(Some(&validators(object))) {
        Verdict::Proceed => Ok(None),
        Verdict::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            describe(object, response.headers_mut())?;
            response.headers_mut().remove(CONTENT_TYPE);
            Ok(Some(response))
        }
        Verdict::Failed => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "a condition of the request fails",
        )),
    }
}

/// Whether If-Range lets the Range header count (RFC 9110 §13.1.5). A date never does: an object may
/// change twice within its second, and a part of one state must not be joined to one of another.
fn if_range(headers: &HeaderMap, object: &Object) -> bool {
    let tag = format!("\"{}\"", tag_of(object));
    headers
        .get_all(IF_RANGE)
        .iter()
        .all(|value| value.as_bytes() == tag.as_bytes())
}

fn wanted_range(headers: &HeaderMap, object: &Object) -> Option<ByteRange> {
    match parse_range(headers) {
        RangeHeader::One(range) if if_range(headers, object) => Some(range),
        // RFC 9110 §14.2: what is not understood, or not wanted, is the whole.
        _ => None,
    }
}

fn head_of(object: &Object, range: Option<ByteRange>) -> Result<(Response<Body>, ResolvedRange)> {
    let mut response = Response::new(Body::empty());
    let whole = ResolvedRange {
        start: 0,
        end: object.length(),
    };
    let resolved = match range {
        Some(range) => {
            let resolved = range.resolve(object.length())?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!(
                "bytes {}-{}/{}",
                resolved.start,
                resolved.end - 1,
                object.length()
            );
            header(response.headers_mut(), CONTENT_RANGE, &text)?;
            resolved
        }
        None => whole,
    };
    let headers = response.headers_mut();
    describe(object, headers)?;
    header(headers, ACCEPT_RANGES, "bytes")?;
    header(headers, CONTENT_LENGTH, &resolved.len().to_string())?;
    if !headers.contains_key(CONTENT_TYPE) {
        header(headers, CONTENT_TYPE, "application/octet-stream")?;
    }
    Ok((response, resolved))
}

pub(crate) async fn get(call: Call<'_>, bucket: BucketName, key: Key) -> Result<Response<Body>> {
    plain(&call)?;
    let precondition = parse_precondition(call.request.headers())?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::ReadObject, resource).await?;
    let reader = match call
        .rest
        .store
        .open_object(
            &grant,
            &ReadObject {
                bucket,
                key,
                version: VersionRef::Current,
            },
        )
        .await
    {
        Ok(reader) => reader,
        Err(error) => return Err(missing(&precondition, error)),
    };
    let object = reader.object();
    if let Some(response) = conditional(&precondition, object)? {
        return Ok(response);
    }
    let range = wanted_range(call.request.headers(), object);
    let (mut response, range) = head_of(object, range)?;
    let length = range.len();
    *response.body_mut() = match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => Body::full(bytes),
        ObjectBytes::Stream(stream) => Body::stream(length, stream),
    };
    Ok(response)
}

pub(crate) async fn head(call: Call<'_>, bucket: BucketName, key: Key) -> Result<Response<Body>> {
    plain(&call)?;
    let precondition = parse_precondition(call.request.headers())?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::ReadObjectMetadata, resource).await?;
    let object = match call
        .rest
        .store
        .head(&grant, &bucket, &key, VersionRef::Current)
        .await
    {
        Ok(object) => object,
        Err(error) => return Err(missing(&precondition, error)),
    };
    if let Some(response) = conditional(&precondition, &object)? {
        return Ok(response);
    }
    // A range has no meaning for HEAD (RFC 9110 §14.2).
    Ok(head_of(&object, None)?.0)
}

/// If-Match on what does not exist fails as a precondition (RFC 9110 §13.1.1).
fn missing(precondition: &Precondition, error: Error) -> Error {
    let absent = matches!(
        error.kind(),
        ErrorKind::NotFound(trestle_core::Noun::Object)
    );
    if absent && precondition.for_read(None) == Verdict::Failed {
        return Error::new(ErrorKind::PreconditionFailed, "the object does not exist");
    }
    error
}

fn representation(headers: &HeaderMap) -> Result<Representation> {
    let mut representation = Representation::new();
    for name in KEPT {
        let mut values = headers.get_all(&name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(Error::invalid(format!("the {name} header is repeated")));
        }
        let text = value
            .to_str()
            .map_err(|_| Error::invalid(format!("the {name} header is not visible ASCII")))?;
        representation.insert(name.as_str().to_owned(), text.to_owned());
    }
    Ok(representation)
}

fn expected_digests(headers: &HeaderMap) -> Result<Vec<Digest>> {
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

pub(crate) async fn put(call: Call<'_>, bucket: BucketName, key: Key) -> Result<Response<Body>> {
    no_query(&call)?;
    if let Some(refused) = unsupported(&call, &UNSUPPORTED) {
        return Ok(refused);
    }
    let headers = call.request.headers();
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::WriteObject, resource).await?;
    let location = path_of(&bucket, Some(key.as_str()));
    let put = PutObject {
        bucket,
        key,
        precondition: parse_precondition(headers)?,
        tag_of,
        properties: ObjectProperties {
            representation: representation(headers)?,
            ..ObjectProperties::default()
        },
        checks: BodyChecks {
            expected_digests: expected_digests(headers)?,
            declared_length: http_body::Body::size_hint(call.request.body()).exact(),
            ..BodyChecks::default()
        },
        checksum: None,
    };
    let store = call.rest.store.clone();
    let outcome = store
        .put(&grant, put, incoming(call.request.into_body()))
        .await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if outcome.created {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    };
    let headers = response.headers_mut();
    header(headers, ETAG, &format!("\"{}\"", tag_of(&outcome.object)))?;
    header(headers, LAST_MODIFIED, &http_date(outcome.object.modified))?;
    if outcome.created {
        header(headers, LOCATION, &location)?;
    }
    Ok(response)
}

pub(crate) async fn delete(call: Call<'_>, bucket: BucketName, key: Key) -> Result<Response<Body>> {
    plain(&call)?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::DeleteObject, resource).await?;
    let precondition = parse_precondition(call.request.headers())?;
    let delete = DeleteObject::current(bucket, key, precondition, tag_of);
    call.rest.store.delete(&[grant], delete).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
