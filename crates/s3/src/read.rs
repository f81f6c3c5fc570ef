//! Reading objects: get, head, attributes.

use crate::answer;
use crate::call::Call;
use crate::checksum;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::listing::NAMESPACE;
use crate::metadata;
use crate::object::{
    KEPT, REDIRECT, checksum_of, etag, set_checksum, set_part_checksum, set_version,
};
use crate::sse;
use crate::time::iso_time;
use crate::write::hold_name;
use http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED};
use http::{HeaderMap, Response, StatusCode};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    ByteRange, Digest, Error, ErrorKind, Noun, Precondition, ResolvedRange, Validators, Verdict,
};
use trestle_http::{
    Body, RangeHeader, XmlWriter, http_date, parse_if_range, parse_precondition, parse_range,
};
use trestle_store::{Object, ObjectBytes, ReadObject, RetentionMode, VersionRef, Written};

/// Parameters that replace a header of the answer.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];
/// The type of an object that was written without one.
const TYPE: &str = "binary/octet-stream";

/// Sets a header to a stored text, which may be of any language.
fn set_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        headers.insert(name, value);
    }
}

/// The headers of an object that 200, 206 and 304 share.
fn describe(headers: &mut HeaderMap, object: &Object) {
    set_text(headers, ETAG, &format!("\"{}\"", etag(object)));
    set_text(headers, LAST_MODIFIED, &http_date(object.modified));
    set_version(headers, object);
    headers::set(headers, "accept-ranges", "bytes");
    for name in KEPT {
        if let Some(text) = object.representation.get(name) {
            set_text(headers, HeaderName::from_static(name), text);
        }
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(TYPE));
    }
    metadata::show(headers, object);
    sse::show(headers, object.encryption.as_ref());
    if let Some(class) = &object.storage_class {
        headers::set(headers, "x-amz-storage-class", class);
    }
    if let Some(place) = object.documents.get(REDIRECT) {
        headers::set(headers, "x-amz-website-redirect-location", place);
    }
}

/// What only those see who may read it.
async fn describe_more(call: &Call<'_>, headers: &mut HeaderMap, object: &Object) {
    if !object.tags.is_empty() {
        let action = match call.parameters.get("versionId") {
            None => Action::ReadObjectTags,
            Some(_) => Action::ReadObjectVersionTags,
        };
        if call.may(action).await {
            headers::set(
                headers,
                "x-amz-tagging-count",
                &object.tags.len().to_string(),
            );
        }
    }
    if let Some(retention) = object.retention
        && call.may(Action::ReadObjectRetention).await
    {
        headers::set(headers, "x-amz-object-lock-mode", mode_name(retention.mode));
        let until = iso_time(retention.until);
        headers::set(headers, "x-amz-object-lock-retain-until-date", &until);
    }
    if let Some(hold) = object.hold()
        && call.may(Action::ReadLegalHold).await
    {
        headers::set(headers, "x-amz-object-lock-legal-hold", hold_name(hold));
    }
}

pub(crate) fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

fn validators(object: &Object) -> Validators {
    Validators {
        tag: etag(object),
        modified: object.modified,
    }
}

/// The answer that needs no bytes, or none.
fn conditional(
    condition: &Precondition,
    object: &Object,
) -> Result<Option<Response<Body>>, S3Error> {
    match condition.for_read(Some(&validators(object))) {
        Verdict::Proceed => Ok(None),
        Verdict::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            describe(response.headers_mut(), object);
            response.headers_mut().remove(CONTENT_TYPE);
            Ok(Some(response))
        }
        Verdict::Failed => {
            let error = Error::new(ErrorKind::PreconditionFailed, "a condition fails");
            let name = match condition.if_match {
                Some(_) => "If-Match",
                None => "If-Unmodified-Since",
            };
            Err(S3Error::from(error).field("Condition", name))
        }
    }
}

/// Why there is nothing to read. A delete marker that is named is there, and has no content.
pub(crate) async fn nothing(call: &Call<'_>, version: VersionRef, error: Error) -> S3Error {
    let marker = error.marker();
    let answered = match (marker, version) {
        (Some(marker), VersionRef::Id(_) | VersionRef::Null) => S3Error::new(
            Code::MethodNotAllowed,
            "The specified method is not allowed against this resource.",
        )
        .field("Method", "GET")
        .field("ResourceType", "DeleteMarker")
        .header(ALLOW, "DELETE")
        .header(LAST_MODIFIED, &http_date(marker.modified)),
        _ if error.kind() == ErrorKind::NotFound(Noun::Version) => {
            let id = call.parameters.get("versionId").unwrap_or_default();
            S3Error::new(Code::NoSuchVersion, "The specified version does not exist.")
                .field(
                    "Key",
                    call.key().map(|key| key.as_str()).unwrap_or_default(),
                )
                .field("VersionId", id)
        }
        _ => call.missing(error).await,
    };
    match marker {
        None => answered,
        Some(marker) => answered
            .header(HeaderName::from_static("x-amz-delete-marker"), "true")
            .header(
                HeaderName::from_static("x-amz-version-id"),
                &match marker.null_version {
                    true => "null".to_owned(),
                    false => marker.version.to_string(),
                },
            ),
    }
}

/// A part that was asked for by number.
struct Chosen {
    /// How many parts there are.
    of: u32,
    /// Its checksum, when the object has one of the same algorithm that the client chose.
    checksum: Option<Digest>,
}

/// The range that is to be answered, and the part when one was asked for by number.
async fn wanted(
    call: &Call<'_>,
    grant: &Grant,
    object: &Object,
) -> Result<(Option<ByteRange>, Option<Chosen>), S3Error> {
    let Some(text) = call.parameters.get("partNumber") else {
        return Ok(match parse_range(&call.headers) {
            RangeHeader::One(range)
                if parse_if_range(&call.headers).holds(&validators(object), false) =>
            {
                (Some(range), None)
            }
            // What is not understood, several ranges, and one of what was replaced, are the whole.
            _ => (None, None),
        });
    };
    let message = "Part number must be an integer between 1 and 10000, inclusive";
    let wrong = || S3Error::argument("partNumber", text, message);
    let number: u32 = text.parse().map_err(|_| wrong())?;
    if !(1..=10_000).contains(&number) {
        return Err(wrong());
    }
    if !matches!(parse_range(&call.headers), RangeHeader::Absent) {
        return Err(S3Error::invalid(
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    let missing = || {
        S3Error::new(
            Code::InvalidPart,
            "The requested part number is not satisfiable",
        )
        .field("PartNumberRequested", number.to_string())
    };
    match &object.written {
        Written::Parts { count, .. } => {
            let (bucket, key) = (call.bucket()?, call.key()?);
            let version = call.version()?;
            let store = &call.s3.store;
            let (now, parts, _) = store
                .object_parts(grant, (bucket, key, version), number - 1, 1)
                .await?;
            same(object, &now)?;
            match parts.first().filter(|part| part.part.number == number) {
                None => Err(missing()),
                Some(part) => {
                    let range = ByteRange::Inclusive {
                        first: part.offset,
                        last: (part.offset + part.length).saturating_sub(1),
                    };
                    let of_object = object.checksum.as_ref();
                    let checksum = of_object
                        .and_then(|c| part.part.digests.get(c.digest.algorithm))
                        .cloned();
                    let of = *count;
                    Ok((Some(range), Some(Chosen { of, checksum })))
                }
            }
        }
        _ if number == 1 => {
            let (of, checksum) = (1, None);
            Ok((None, Some(Chosen { of, checksum })))
        }
        _ => Err(missing()),
    }
}

/// Parts are read after the object: they are of the same content, or the caller has to ask again.
fn same(object: &Object, now: &Object) -> Result<(), S3Error> {
    match object.revision() == now.revision() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Conflict, "the object was replaced meanwhile").into()),
    }
}

/// The head of an answer with content, and the bytes that it has.
async fn head_of(
    call: &Call<'_>,
    object: &Object,
    (range, part): (Option<ByteRange>, Option<Chosen>),
) -> Result<(Response<Body>, ResolvedRange), S3Error> {
    let mut response = Response::new(Body::empty());
    let length = object.length();
    let resolved = match range {
        None => ResolvedRange {
            start: 0,
            end: length,
        },
        Some(range) => {
            let resolved = range.resolve(length).map_err(|error| {
                let asked = call
                    .headers
                    .get("range")
                    .and_then(|value| value.to_str().ok());
                S3Error::from(error).field("RangeRequested", asked.unwrap_or_default())
            })?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            resolved
        }
    };
    if part.is_some() && length > 0 {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    describe(headers, object);
    describe_more(call, headers, object).await;
    if (range.is_some() || part.is_some()) && length > 0 {
        let text = format!("bytes {}-{}/{length}", resolved.start, resolved.end - 1);
        headers::set(headers, "content-range", &text);
    }
    headers::set(headers, "content-length", &resolved.len().to_string());
    // Only the parts of what was written in parts are counted.
    if let (Some(part), Written::Parts { .. }) = (&part, &object.written) {
        headers::set(headers, "x-amz-mp-parts-count", &part.of.to_string());
    }
    let shown = headers::text(&call.headers, "x-amz-checksum-mode")?;
    if shown.is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")) {
        if let Some(digest) = part.and_then(|part| part.checksum) {
            set_part_checksum(headers, object, &digest);
        } else if resolved.len() == length {
            set_checksum(headers, object);
        }
    }
    overrides(call, headers)?;
    Ok((response, resolved))
}

fn overrides(call: &Call<'_>, headers: &mut HeaderMap) -> Result<(), S3Error> {
    for (parameter, header) in OVERRIDES {
        let Some(text) = call.parameters.get(parameter) else {
            continue;
        };
        if call.principal.is_anonymous() {
            return Err(S3Error::invalid(
                "Request specific response headers cannot be used for anonymous GET requests.",
            ));
        }
        let value = HeaderValue::from_str(text)
            .map_err(|_| S3Error::argument(parameter, text, "The value cannot be a header"))?;
        headers.insert(HeaderName::from_static(header), value);
    }
    Ok(())
}

pub(crate) async fn get(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let condition = parse_precondition(&call.headers)?;
    let version = call.version()?;
    let grant = call
        .on_version(Action::ReadObject, Action::ReadObjectVersion)
        .await?;
    let read = ReadObject {
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        version,
    };
    let reader = match call.s3.store.open_object(&grant, &read).await {
        Ok(reader) => reader,
        Err(error) => return Err(nothing(&call, version, error).await),
    };
    let wanted = wanted(&call, &grant, reader.object()).await?;
    let reader = reader.with_key(sse::key(&call)?)?;
    if let Some(response) = conditional(&condition, reader.object())? {
        return Ok(response);
    }
    let (mut response, range) = head_of(&call, reader.object(), wanted).await?;
    let length = range.len();
    *response.body_mut() = match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => Body::full(bytes),
        ObjectBytes::Stream(stream) => Body::stream(length, stream),
    };
    Ok(response)
}

/// An object's record, for whoever may read the object.
async fn look(call: &Call<'_>) -> Result<(Grant, Object), S3Error> {
    let version = call.version()?;
    let grant = call
        .on_version(
            Action::ReadObjectMetadata,
            Action::ReadObjectVersionMetadata,
        )
        .await?;
    match call
        .s3
        .store
        .head(&grant, call.bucket()?, call.key()?, version)
        .await
    {
        Ok(object) => {
            sse::check(object.encryption.as_ref(), sse::key(call)?.as_ref())?;
            Ok((grant, object))
        }
        Err(error) => Err(nothing(call, version, error).await),
    }
}

pub(crate) async fn head(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let condition = parse_precondition(&call.headers)?;
    let (grant, object) = look(&call).await?;
    if let Some(response) = conditional(&condition, &object)? {
        return Ok(response);
    }
    let wanted = wanted(&call, &grant, &object).await?;
    Ok(head_of(&call, &object, wanted).await?.0)
}

/// The attributes that exist.
const ATTRIBUTES: [&str; 5] = [
    "ETag",
    "Checksum",
    "ObjectParts",
    "StorageClass",
    "ObjectSize",
];

pub(crate) async fn attributes(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let name = "x-amz-object-attributes";
    let mut asked = Vec::new();
    for value in call.headers.get_all(name) {
        for one in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if !ATTRIBUTES.contains(&one) {
                return Err(S3Error::argument(
                    name,
                    one,
                    "Invalid attribute name specified.",
                ));
            }
            asked.push(one.to_owned());
        }
    }
    if asked.is_empty() {
        let message = "The x-amz-object-attributes header specifying the attributes to be retrieved \
                       is either missing or empty";
        return Err(S3Error::argument(name, "", message));
    }
    let (grant, object) = look(&call).await?;
    let action = match call.parameters.get("versionId") {
        None => Action::ReadObjectAttributes,
        Some(_) => Action::ReadObjectVersionAttributes,
    };
    let resource = Resource::Object(call.bucket()?.clone(), call.key()?.clone());
    call.check(action, resource, call.context.clone()).await?;
    let wants = |name: &str| asked.iter().any(|one| one == name);
    let mut document = XmlWriter::new();
    document.open_with("GetObjectAttributesResponse", &[("xmlns", NAMESPACE)]);
    if wants("ETag") {
        document.leaf("ETag", &etag(&object));
    }
    if wants("Checksum")
        && let Some((digest, kind, text)) = checksum_of(&object)
    {
        document.open("Checksum");
        document.leaf(checksum::element(digest.algorithm), &text);
        document.leaf("ChecksumType", kind.name()).close();
    }
    if wants("ObjectParts") {
        parts(&call, &grant, &object, &mut document).await?;
    }
    if wants("StorageClass") {
        document.leaf(
            "StorageClass",
            object.storage_class.as_deref().unwrap_or("STANDARD"),
        );
    }
    if wants("ObjectSize") {
        document.leaf("ObjectSize", &object.length().to_string());
    }
    let mut response = answer::xml(document);
    let headers = response.headers_mut();
    set_text(headers, LAST_MODIFIED, &http_date(object.modified));
    set_version(headers, &object);
    Ok(response)
}

/// The parts of an object that was written in parts. Each is shown with its checksum when the
/// object's is one of checksums.
async fn parts(
    call: &Call<'_>,
    grant: &Grant,
    object: &Object,
    document: &mut XmlWriter,
) -> Result<(), S3Error> {
    let Written::Parts { count, .. } = object.written else {
        return Ok(());
    };
    let number = |name: &'static str, most: u32| -> Result<u32, S3Error> {
        match headers::text(&call.headers, name)? {
            None => Ok(most),
            Some(text) => text
                .parse()
                .map_err(|_| S3Error::argument(name, text, "The header is not a number")),
        }
    };
    let most = number("x-amz-max-parts", 1000)?.min(1000);
    let after = number("x-amz-part-number-marker", 0)?;
    document
        .open("ObjectParts")
        .leaf("PartsCount", &count.to_string());
    let checksum = object.checksum.as_ref();
    {
        let (bucket, key) = (call.bucket()?, call.key()?);
        let version = call.version()?;
        let store = &call.s3.store;
        let (now, parts, next) = store
            .object_parts(grant, (bucket, key, version), after, most as usize)
            .await?;
        same(object, &now)?;
        document
            .leaf("PartNumberMarker", &after.to_string())
            .leaf("MaxParts", &most.to_string())
            .leaf("IsTruncated", if next.is_some() { "true" } else { "false" });
        document.leaf_if(
            "NextPartNumberMarker",
            next.map(|n| n.to_string()).as_deref(),
        );
        for part in &parts {
            document
                .open("Part")
                .leaf("PartNumber", &part.part.number.to_string())
                .leaf("Size", &part.length.to_string());
            let digest = checksum.and_then(|c| part.part.digests.get(c.digest.algorithm));
            if let Some(digest) = digest {
                document.leaf(
                    checksum::element(digest.algorithm),
                    &checksum::base64(digest),
                );
            }
            document.close();
        }
    }
    document.close();
    Ok(())
}
