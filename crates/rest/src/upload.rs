//! Resumable uploads: tus 1.0.0 (creation, termination), which has clients in every browser library.
//!
//! An upload is one of the store's, its offset the sum of its parts, so any node answers any request
//! of it and a crash loses nothing that was answered. What of a broken transfer arrived is kept. Its
//! length is part of its URL. Of several requests that append at once one wins: in this process the
//! others are refused before their bytes are read, and wherever they come from each piece is new.

use crate::conditions;
use crate::refusal::{Answer, Refusal};
use crate::representation::{header, identify, path_of, properties, tag_of};
use crate::route::{Asker, Call};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, ErrorKind, Id, Key, Noun, Precondition, Result, UploadId};
use trestle_http::{Body, Problem, RequestId, incoming, parse_precondition};
use trestle_store::{
    BodyChecks, CompletePart, CompleteUpload, CreateUpload, OBJECT_BYTES_MAX, Object, UploadKey,
    UploadPart,
};

/// The version of the protocol.
const VERSION: &str = "1.0.0";
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// Whether an upload waits, complete, for a transaction to make an object of it.
const HOLD: HeaderName = HeaderName::from_static("trestle-hold");
/// The document of a held upload that says how long it is going to be.
const HELD_LENGTH: &str = "upload.length";
/// The type of what a PATCH appends.
pub(crate) const OFFSET_STREAM: &str = "application/offset+octet-stream";
/// Extensions whose headers mean something that is not done here.
const UNSUPPORTED: [&str; 4] = [
    "upload-defer-length",
    "upload-concat",
    "upload-checksum",
    "x-http-method-override",
];
/// Bytes that are committed at once: what a crash of the server in the middle of a transfer costs.
const PIECE_BYTES_MIN: u64 = 8 << 20;
/// Pieces that the largest upload has when it comes in one transfer; broken ones add some.
const PIECES: u64 = 5000;
/// Most parts of an upload.
const PARTS_MAX: u32 = 10_000;
/// Parts that are looked at at once.
const PARTS_PAGE: usize = 1000;

/// Uploads that a request is writing to now.
#[derive(Default)]
pub(crate) struct Writing(Mutex<HashSet<UploadId>>);

struct Held<'a>(&'a Writing, UploadId);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}

impl Writing {
    fn hold(&self, upload: UploadId) -> Answer<Held<'_>> {
        if self.0.lock().insert(upload) {
            return Ok(Held(self, upload));
        }
        Err(being_written())
    }
}

fn being_written() -> Refusal {
    let detail = "another request is writing to this upload";
    Refusal::new(StatusCode::LOCKED, detail)
}

/// Whether a request speaks this protocol.
pub(crate) fn is_upload(headers: &HeaderMap) -> bool {
    headers.contains_key(TUS_RESUMABLE)
}

/// What OPTIONS says of it.
pub(crate) fn describe(headers: &mut HeaderMap) {
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    let extension = HeaderName::from_static("tus-extension");
    headers.insert(extension, HeaderValue::from_static("creation,termination"));
    headers.insert(
        HeaderName::from_static("tus-max-size"),
        HeaderValue::from(OBJECT_BYTES_MAX),
    );
}

fn check_version(headers: &HeaderMap) -> Answer<()> {
    let mut values = headers.get_all(TUS_RESUMABLE).iter();
    if values.next().is_none_or(|value| value != VERSION) || values.next().is_some() {
        let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "Tus-Resumable is 1.0.0");
        return Err(problem
            .with_header(TUS_VERSION, HeaderValue::from_static(VERSION))
            .into());
    }
    match UNSUPPORTED.iter().find(|name| headers.contains_key(**name)) {
        Some(name) => Err(Refusal::unsupported(format!("{name} is not supported"))),
        None => Ok(()),
    }
}

pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|_| digits && values.next().is_none());
    number
        .map(Some)
        .ok_or_else(|| Error::invalid(format!("{name} is not one number")))
}

/// What Upload-Metadata says: names with values in base64.
pub(crate) fn metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>> {
    let malformed = || Error::invalid("Upload-Metadata is malformed");
    let Some(value) = headers.get(UPLOAD_METADATA) else {
        return Ok(Vec::new());
    };
    let text = value.to_str().map_err(|_| malformed())?;
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let value = STANDARD.decode(value.trim()).map_err(|_| malformed())?;
            let value = String::from_utf8(value).map_err(|_| malformed())?;
            Ok((name.to_owned(), value))
        })
        .collect()
}

fn answer(status: StatusCode, offset: Option<u64>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(offset) = offset {
        headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    }
    response
}

/// POST to a bucket: begins an upload of an object that has the file's name.
pub(crate) async fn create_in(call: Call<'_>, bucket: BucketName) -> Answer {
    begin(call, bucket, "").await
}

/// POST to a key; to one that ends with `/` the file's name is added.
pub(crate) async fn create(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    begin(call, bucket, key.as_str()).await
}

async fn begin(call: Call<'_>, bucket: BucketName, path: &str) -> Answer {
    let call = call.tagging();
    let headers = call.request.headers();
    check_version(headers)?;
    let length = number(headers, &UPLOAD_LENGTH)?.ok_or_else(|| {
        Refusal::new(
            StatusCode::LENGTH_REQUIRED,
            "Upload-Length says how long the upload is",
        )
    })?;
    if !parse_precondition(headers)?.is_none() {
        // They are for the request that completes the upload.
        return Err(Refusal::unsupported(
            "conditions on a POST are not supported",
        ));
    }
    if length > OBJECT_BYTES_MAX {
        let message = format!("an object has at most {OBJECT_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::TooLarge, message).into());
    }
    let hold = match headers.get(HOLD).map(HeaderValue::as_bytes) {
        None | Some(b"false") => false,
        Some(b"true") => true,
        Some(_) => return Err(Error::invalid("Trestle-Hold is true or false").into()),
    };
    let metadata = metadata(headers)?;
    let named = |names: [&str; 2]| {
        let found = metadata
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        found
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    let key = if path.is_empty() || path.ends_with('/') {
        let chosen = call
            .request
            .extensions()
            .get::<RequestId>()
            .map(|id| id.0.clone());
        let name = named(["filename", "name"]).or(chosen).unwrap_or_default();
        format!("{path}{name}")
    } else {
        path.to_owned()
    };
    let mut properties = properties(headers)?;
    // This is the type of the request, which has no body.
    properties.representation.remove(CONTENT_TYPE.as_str());
    if let Some(media_type) = named(["filetype", "type"]) {
        let sound = HeaderValue::from_str(&media_type).is_ok_and(|value| value.to_str().is_ok());
        if !sound {
            return Err(Error::invalid("the file's type is not visible ASCII").into());
        }
        properties
            .representation
            .insert(CONTENT_TYPE.as_str().to_owned(), media_type);
    }
    if hold {
        // A transaction has the upload's id alone, and its URL says the length.
        let length = length.to_string();
        properties.documents.insert(HELD_LENGTH.to_owned(), length);
    }
    let create = CreateUpload {
        encrypt: None,
        bucket: bucket.clone(),
        key: Key::parse(key)?,
        properties,
        checksum: None,
    };
    let resource = Resource::Object(bucket.clone(), create.key.clone());
    let grant = call.grant(Action::WriteObject, resource).await?;
    call.asker().check_tags(&create.properties, &grant).await?;
    let upload = call.rest.store.create_upload(&grant, create).await?;
    let path = path_of(&bucket, Some(upload.key.as_str()));
    let id = upload.id;
    let mut response = answer(StatusCode::CREATED, Some(0));
    if length == 0 {
        // Nothing will follow.
        let named = Named {
            key: UploadKey {
                bucket,
                key: upload.key,
                upload: id,
            },
            length,
            hold,
        };
        let (asker, _) = call.split();
        let part = UploadPart {
            only_new: true,
            key_of_client: None,
            to: named.key.clone(),
            number: 1,
            checks: BodyChecks::default(),
        };
        let nothing = futures::stream::iter(Vec::<Result<Bytes>>::new());
        asker.rest.store.upload_part(&grant, part, nothing).await?;
        if !hold {
            let parts = vec![named_part(1)];
            let object = complete(&asker, &named, parts, Precondition::none()).await?;
            identify(&object, response.headers_mut())?;
        }
    }
    let held = if hold { "&hold" } else { "" };
    let location = format!("{path}?upload={id}&length={length}{held}");
    header(response.headers_mut(), LOCATION, &location)?;
    Ok(response)
}

/// An upload as its URL names it, and its length.
struct Named {
    key: UploadKey,
    length: u64,
    hold: bool,
}

fn named(call: &Call<'_>, bucket: BucketName, key: Key) -> Result<Named> {
    let parameters = &call.parameters;
    let wrong = || Error::invalid("this is not the URL of an upload");
    let upload = parameters.get("upload").and_then(Id::parse);
    let length = parameters.get("length").and_then(|text| text.parse().ok());
    Ok(Named {
        key: UploadKey {
            bucket,
            key,
            upload: upload.map(UploadId).ok_or_else(wrong)?,
        },
        length: length.ok_or_else(wrong)?,
        hold: parameters.flag("hold")?,
    })
}

fn named_part(number: u32) -> CompletePart {
    CompletePart {
        number,
        expected: Vec::new(),
    }
}

/// How much there is of an upload.
pub(crate) struct Present {
    pub(crate) offset: u64,
    pub(crate) parts: Vec<CompletePart>,
    /// How long one is going to be that waits for a transaction.
    pub(crate) length: Option<u64>,
    /// The tags that its object gets; of a completed one nothing is said.
    pub(crate) tags: BTreeMap<String, String>,
}

/// All parts that an upload has by now.
pub(crate) async fn present(asker: &Asker<'_>, key: &UploadKey) -> Result<Present> {
    let resource = Resource::Object(key.bucket.clone(), key.key.clone());
    let grant = asker.grant(Action::ListParts, resource).await?;
    let mut present = Present {
        offset: 0,
        parts: Vec::new(),
        length: None,
        tags: BTreeMap::new(),
    };
    let mut after = 0;
    loop {
        let store = &asker.rest.store;
        let page = store.list_parts(&grant, key, after, PARTS_PAGE).await?;
        let held = page.upload.properties.documents.get(HELD_LENGTH);
        present.length = held.and_then(|text| text.parse().ok());
        present.tags = page.upload.properties.tags;
        for part in page.parts {
            present.offset += part.length;
            present.parts.push(named_part(part.number));
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(present),
        }
    }
}

async fn complete(
    asker: &Asker<'_>,
    named: &Named,
    parts: Vec<CompletePart>,
    precondition: Precondition,
) -> Result<Object> {
    let key = &named.key;
    let resource = Resource::Object(key.bucket.clone(), key.key.clone());
    let grant = asker.grant(Action::WriteObject, resource).await?;
    let complete = CompleteUpload {
        upload: key.clone(),
        parts,
        part_bytes_min: 0,
        expected_length: Some(named.length),
        expected_checksum: None,
        precondition,
        tag_of,
    };
    Ok(asker
        .rest
        .store
        .complete_upload(&grant, complete)
        .await?
        .object)
}

/// What is there, also when the upload became an object and the client did not hear of it.
async fn offset(asker: &Asker<'_>, named: &Named) -> Result<(Present, Option<Object>)> {
    match present(asker, &named.key).await {
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Upload) => {
            // Of a completed one this gives the object again; of others it is the same error.
            let parts = vec![named_part(1)];
            let object = complete(asker, named, parts, Precondition::none()).await?;
            let present = Present {
                offset: named.length,
                parts: Vec::new(),
                length: None,
                tags: BTreeMap::new(),
            };
            Ok((present, Some(object)))
        }
        Err(error) => Err(error),
        Ok(present) => Ok((present, None)),
    }
}

/// HEAD: how much there is.
pub(crate) async fn state(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    check_version(call.request.headers())?;
    let named = named(&call, bucket, key)?;
    let (asker, _) = call.split();
    let (present, _) = offset(&asker, &named).await?;
    let mut response = answer(StatusCode::OK, Some(present.offset));
    let length = HeaderValue::from(named.length);
    response.headers_mut().insert(UPLOAD_LENGTH, length);
    Ok(response)
}

/// DELETE: forgets what was received.
pub(crate) async fn give_up(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    check_version(call.request.headers())?;
    let key = named(&call, bucket, key)?.key;
    let resource = Resource::Object(key.bucket.clone(), key.key.clone());
    let grant = call.grant(Action::AbortUpload, resource).await?;
    call.rest.store.abort_upload(&grant, &key).await?;
    Ok(answer(StatusCode::NO_CONTENT, None))
}

/// A received body, cut into pieces. One that breaks off ends like any other, and says so after.
struct Pieces<S> {
    body: S,
    /// What was received beyond the piece before.
    carry: Option<Bytes>,
    broken: Option<Error>,
}

impl<S: Stream<Item = Result<Bytes>> + Unpin + Send> Pieces<S> {
    /// Whether there is more.
    async fn more(&mut self) -> bool {
        if self.carry.is_none() && self.broken.is_none() {
            match self.body.next().await {
                Some(Ok(bytes)) => self.carry = Some(bytes),
                Some(Err(error)) => self.broken = Some(error),
                None => {}
            }
        }
        self.carry.is_some()
    }

    /// The next bytes of a piece of which so many are left.
    async fn next(&mut self, left: &mut u64) -> Option<Bytes> {
        if *left == 0 || !self.more().await {
            return None;
        }
        let mut bytes = self.carry.take()?;
        let now = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let rest = bytes.split_off(now);
        if !rest.is_empty() {
            self.carry = Some(rest);
        }
        *left -= now as u64;
        Some(bytes)
    }

    fn piece(&mut self, length: u64) -> impl Stream<Item = Result<Bytes>> + Send + Unpin + '_ {
        let bytes = futures::stream::unfold((self, length), |(pieces, mut left)| async move {
            let bytes = pieces.next(&mut left).await?;
            Some((Ok(bytes), (pieces, left)))
        });
        Box::pin(bytes)
    }
}

/// PATCH: appends to an upload, and completes it when nothing is missing.
pub(crate) async fn append(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    check_version(call.request.headers())?;
    let named = &named(&call, bucket, key)?;
    let headers = call.request.headers();
    if headers
        .get(CONTENT_TYPE)
        .is_none_or(|value| value != OFFSET_STREAM)
    {
        let detail = format!("PATCH of an upload takes {OFFSET_STREAM}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let at = number(headers, &UPLOAD_OFFSET)?
        .ok_or_else(|| Error::invalid("Upload-Offset is missing"))?;
    let precondition = parse_precondition(headers)?;
    let headers = headers.clone();
    let announced = http_body::Body::size_hint(call.request.body()).exact();
    let rest = call.rest;
    let _held = rest.writing.hold(named.key.upload)?;
    let (asker, body) = call.split();
    let (mut present, object) = offset(&asker, named).await?;
    if at != present.offset {
        let detail = format!("the upload goes on at {}", present.offset);
        return Err(Refusal::new(StatusCode::CONFLICT, detail));
    }
    let asker = asker.tagging(&present.tags);
    let mut missing = named.length.saturating_sub(present.offset);
    if announced.is_some_and(|announced| announced > missing) {
        let message = format!("only {missing} bytes are missing");
        return Err(Error::new(ErrorKind::TooLarge, message).into());
    }
    let mut pieces = Pieces {
        body: incoming(body),
        carry: None,
        broken: None,
    };
    let resource = Resource::Object(named.key.bucket.clone(), named.key.key.clone());
    let grant = asker.grant(Action::WriteObject, resource).await?;
    conditions::demand(&rest.store, &named.key.bucket, &headers).await?;
    let size = named.length.div_ceil(PIECES).max(PIECE_BYTES_MIN);
    while missing > 0 && pieces.more().await {
        let number = present.parts.last().map_or(1, |part| part.number + 1);
        if number > PARTS_MAX {
            let message = format!("an upload has at most {PARTS_MAX} transfers and pieces");
            return Err(Error::new(ErrorKind::TooLarge, message).into());
        }
        let part = UploadPart {
            only_new: true,
            key_of_client: None,
            to: named.key.clone(),
            number,
            checks: BodyChecks::default(),
        };
        let piece = pieces.piece(size.min(missing));
        let part = rest.store.upload_part(&grant, part, piece).await;
        let part = part.map_err(|error| match error.kind() {
            // Through another process.
            ErrorKind::AlreadyExists(_) => being_written(),
            _ => error.into(),
        })?;
        present.offset += part.length;
        missing -= part.length;
        present.parts.push(named_part(number));
    }
    if pieces.more().await {
        return Err(Error::new(ErrorKind::TooLarge, "more bytes came than are missing").into());
    }
    if let Some(error) = pieces.broken {
        return Err(error.into());
    }
    let mut response = answer(StatusCode::NO_CONTENT, Some(present.offset));
    if missing == 0 && !named.hold {
        let object = match object {
            Some(object) => object,
            None => complete(&asker, named, present.parts, precondition).await?,
        };
        identify(&object, response.headers_mut())?;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_body_is_cut_into_what_came() {
        let broken = || Error::new(ErrorKind::IncompleteBody, "cut");
        let body = [
            Ok(Bytes::from("abcde")),
            Ok(Bytes::from("f")),
            Err(broken()),
        ];
        let mut pieces = Pieces {
            body: futures::stream::iter(body),
            carry: None,
            broken: None,
        };
        let mut found = Vec::new();
        while pieces.more().await {
            let piece: Vec<Bytes> = pieces.piece(4).map(|bytes| bytes.unwrap()).collect().await;
            found.push(piece.concat());
        }
        assert_eq!(found, [&b"abcd"[..], b"ef"]);
        assert!(pieces.broken.is_some());
    }

    #[test]
    fn names_and_values_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert(
            UPLOAD_METADATA,
            "filename w6kudHh0, empty, n MQ==".parse().unwrap(),
        );
        let read = metadata(&headers).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read,
            [pair("filename", "é.txt"), pair("empty", ""), pair("n", "1")]
        );
        headers.insert(UPLOAD_METADATA, "filename !".parse().unwrap());
        assert!(metadata(&headers).is_err());
        headers.insert(UPLOAD_OFFSET, "+1".parse().unwrap());
        assert!(number(&headers, &UPLOAD_OFFSET).is_err());
    }

    #[test]
    fn one_request_writes_at_a_time() {
        let writing = Writing::default();
        let upload = UploadId(Id([1; 16]));
        let held = writing.hold(upload);
        assert!(held.is_ok() && writing.hold(upload).is_err());
        drop(held);
        assert!(writing.hold(upload).is_ok());
    }
}
