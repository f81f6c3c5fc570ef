//! Reads of objects: bytes, their ranges, their head, their document.

use crate::document;
use crate::refusal::Answer;
use crate::representation::{describe, header, path_of, tag_of, validators};
use crate::route::Call;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LINK,
};
use http::{Method, Response, StatusCode};
use parking_lot::Mutex;
use std::collections::VecDeque;
use trestle_access::{Action, Resource};
use trestle_core::{
    BucketName, ByteRange, Error, ErrorKind, Key, Noun, Precondition, ResolvedRange, Result,
    Verdict,
};
use trestle_http::{
    Body, ByteRanges, RangeHeader, RequestId, parse_if_range, parse_precondition, parse_range,
    range_disorder, resolve_ranges,
};
use trestle_store::{Object, ObjectBytes, ObjectReader, ReadObject, VersionRef};

/// Ranges that one answer has at most; with more, or when they overlap, the whole is sent.
const RANGES_MAX: usize = 8;

/// GET and HEAD of an object.
pub(crate) async fn answer(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let read = ReadObject {
        bucket,
        key,
        version: call.parameters.version("version")?,
    };
    if call.request.method() == Method::HEAD {
        return head(&call, &read).await;
    }
    get(&call, read).await
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

/// The ranges that are to be sent; none stands for the whole. RFC 9110 §14.2: what is not
/// understood, or not wanted, is the whole. A date in If-Range never counts: an object may change
/// twice within its second, and a part of one state must not be joined to one of another.
fn wanted(call: &Call<'_>, object: &Object) -> Result<Vec<ResolvedRange>> {
    let headers = call.request.headers();
    let asked: Vec<ByteRange> = match parse_range(headers) {
        RangeHeader::One(range) => vec![range],
        RangeHeader::Several(ranges) if ranges.len() <= RANGES_MAX => ranges,
        _ => return Ok(Vec::new()),
    };
    if !parse_if_range(headers).holds(&validators(object), false) {
        return Ok(Vec::new());
    }
    let ranges = resolve_ranges(&asked, object.length())?;
    Ok(if range_disorder(&ranges) == (0, 0) {
        ranges
    } else {
        Vec::new()
    })
}

fn head_of(call: &Call<'_>, read: &ReadObject, object: &Object) -> Result<Response<Body>> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    describe(object, headers)?;
    header(headers, ACCEPT_RANGES, "bytes")?;
    header(headers, CONTENT_LENGTH, &object.length().to_string())?;
    if !headers.contains_key(CONTENT_TYPE) {
        header(headers, CONTENT_TYPE, "application/octet-stream")?;
    }
    let path = path_of(&read.bucket, Some(read.key.as_str()));
    let links = format!(
        "<{path}?metadata>; rel=\"describedby\"; type=\"application/json\", \
         <{path}?versions>; rel=\"version-history\", <{}>; rel=\"collection\"",
        path_of(&read.bucket, None)
    );
    if call.request.method() == Method::GET || call.request.method() == Method::HEAD {
        header(headers, LINK, &links)?;
    }
    Ok(response)
}

pub(crate) fn action(version: VersionRef, current: Action, named: Action) -> Action {
    if version == VersionRef::Current {
        current
    } else {
        named
    }
}

async fn open(call: &Call<'_>, read: &ReadObject) -> Result<ObjectReader> {
    let resource = Resource::Object(read.bucket.clone(), read.key.clone());
    let action = action(read.version, Action::ReadObject, Action::ReadObjectVersion);
    let grant = call.grant(action, resource).await?;
    call.rest.store.open_object(&grant, read).await
}

async fn get(call: &Call<'_>, read: ReadObject) -> Answer {
    let precondition = parse_precondition(call.request.headers())?;
    let reader = open(call, &read)
        .await
        .map_err(|error| missing(&precondition, error))?;
    let object = reader.object();
    if let Some(response) = conditional(&precondition, object)? {
        return Ok(response);
    }
    let ranges = wanted(call, object)?;
    let mut response = head_of(call, &read, object)?;
    match ranges.as_slice() {
        [] => {
            let whole = ResolvedRange {
                start: 0,
                end: object.length(),
            };
            *response.body_mut() = body(reader, whole).await?;
        }
        [range] => {
            let total = object.length();
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let headers = response.headers_mut();
            let text = format!("bytes {}-{}/{total}", range.start, range.end - 1);
            header(headers, CONTENT_RANGE, &text)?;
            header(headers, CONTENT_LENGTH, &range.len().to_string())?;
            *response.body_mut() = body(reader, *range).await?;
        }
        _ => return several(call, &read, response, reader, ranges).await,
    }
    Ok(response)
}

async fn body(reader: ObjectReader, range: ResolvedRange) -> Result<Body> {
    let length = range.len();
    Ok(match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => Body::full(bytes),
        ObjectBytes::Stream(stream) => Body::stream(length, stream),
    })
}

/// Several ranges, all of the same state: an object that is replaced meanwhile is sent whole.
async fn several(
    call: &Call<'_>,
    read: &ReadObject,
    mut response: Response<Body>,
    first: ObjectReader,
    ranges: Vec<ResolvedRange>,
) -> Answer {
    let revision = tag_of(first.object());
    let total = first.object().length();
    let mut readers = vec![first];
    while readers.len() < ranges.len() {
        let next = open(call, read).await?;
        if tag_of(next.object()) != revision {
            let whole = ResolvedRange {
                start: 0,
                end: next.object().length(),
            };
            let mut response = head_of(call, read, next.object())?;
            *response.body_mut() = body(next, whole).await?;
            return Ok(response);
        }
        readers.push(next);
    }
    let mut parts: VecDeque<BoxStream<'static, Result<Bytes>>> = VecDeque::new();
    for (reader, range) in readers.into_iter().zip(&ranges) {
        parts.push_back(match reader.into_bytes(*range).await? {
            ObjectBytes::Whole(bytes) => futures::stream::iter([Ok(bytes)]).boxed(),
            ObjectBytes::Stream(stream) => stream.boxed(),
        });
    }
    let boundary = call.request.extensions().get::<RequestId>();
    let boundary = boundary.map_or_else(|| revision.clone(), |id| id.0.clone());
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let answer = ByteRanges::new(ranges, total, content_type, boundary);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    header(headers, CONTENT_TYPE, &answer.content_type())?;
    header(headers, CONTENT_LENGTH, &answer.length().to_string())?;
    // A stream that waits for its turn need not be shared, only sent.
    let parts = Mutex::new(parts);
    *response.body_mut() =
        answer.body(move |_range| {
            let part = parts.lock().pop_front();
            async move {
                part.ok_or_else(|| Error::new(ErrorKind::Internal, "a range without its bytes"))
            }
        });
    Ok(response)
}

async fn head(call: &Call<'_>, read: &ReadObject) -> Answer {
    let precondition = parse_precondition(call.request.headers())?;
    let object = head_object(call, read)
        .await
        .map_err(|error| missing(&precondition, error))?;
    if let Some(response) = conditional(&precondition, &object)? {
        return Ok(response);
    }
    // A range has no meaning for HEAD (RFC 9110 §14.2).
    Ok(head_of(call, read, &object)?)
}

/// An object's record, for who may read its metadata.
pub(crate) async fn head_object(call: &Call<'_>, read: &ReadObject) -> Result<Object> {
    let resource = Resource::Object(read.bucket.clone(), read.key.clone());
    let action = action(
        read.version,
        Action::ReadObjectMetadata,
        Action::ReadObjectVersionMetadata,
    );
    let grant = call.grant(action, resource).await?;
    let store = &call.rest.store;
    store
        .head(&grant, &read.bucket, &read.key, read.version)
        .await
}

/// The members of a document that take a right of their own to read.
pub(crate) fn own_rights(version: VersionRef) -> [(&'static str, Action); 3] {
    let tags = action(
        version,
        Action::ReadObjectTags,
        Action::ReadObjectVersionTags,
    );
    [
        ("tags", tags),
        ("retention", Action::ReadObjectRetention),
        ("legal_hold", Action::ReadLegalHold),
    ]
}

/// The object as a document, without what the caller may not read.
pub(crate) async fn document(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let read = ReadObject {
        bucket,
        key,
        version: call.parameters.version("version")?,
    };
    let precondition = parse_precondition(call.request.headers())?;
    let object = head_object(&call, &read)
        .await
        .map_err(|error| missing(&precondition, error))?;
    if let Some(response) = conditional(&precondition, &object)? {
        return Ok(response);
    }
    let mut document = document::of_object(&read.bucket, &object)?;
    for (member, action) in own_rights(read.version) {
        let resource = Resource::Object(read.bucket.clone(), read.key.clone());
        call.hide_unless((action, resource, read.version), member, &mut document)
            .await?;
    }
    let mut response = Response::new(Body::full(document.to_string()));
    let headers = response.headers_mut();
    crate::representation::identify(&object, headers)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// If-Match on what does not exist fails as a precondition (RFC 9110 §13.1.1).
fn missing(precondition: &Precondition, error: Error) -> Error {
    let absent = matches!(error.kind(), ErrorKind::NotFound(Noun::Object));
    if absent && precondition.for_read(None) == Verdict::Failed {
        return Error::new(ErrorKind::PreconditionFailed, "the object does not exist");
    }
    error
}
