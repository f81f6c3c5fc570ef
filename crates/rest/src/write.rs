//! Changes of objects: put, create, patch, delete.

use crate::conditions;
use crate::document::{self, OBJECT_MEMBERS};
use crate::read;
use crate::refusal::{Answer, Refusal};
use crate::representation::{
    DELETED, VERSION, expected_digests, header, identify, path_of, properties, tag_of,
};
use crate::route::{Call, unsupported};
use crate::volume::{self, VOLUME};
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use trestle_access::{Action, Resource};
use trestle_core::{
    BucketName, DigestAlgorithm, Error, ErrorKind, Hasher, Key, Precondition, Result,
};
use trestle_http::{
    Body, IDEMPOTENCY_KEY, MERGE_PATCH, Parameterized, Problem, RequestId, incoming,
    parse_content_range, parse_precondition,
};
use trestle_store::{
    BodyChecks, DeleteObject, History, Object, Offset, PatchObject, PutObject, PutOutcome,
    UpdateObject, VersionRef,
};

/// Request headers of a write whose meaning is not there: refused, never ignored.
pub(crate) const UNSUPPORTED: [&str; 3] = ["content-digest", "digest", "trailer"];
/// Largest merge patch.
const PATCH_BYTES_MAX: usize = 256 << 10;
/// Longest Idempotency-Key.
const KEY_BYTES_MAX: usize = 255;
/// What PATCH takes.
pub(crate) const ACCEPT_PATCH: HeaderValue = HeaderValue::from_static(
    "application/merge-patch+json, application/vnd.trestle.volume+json, */*",
);

/// The write of an object as its request's headers have it.
fn put_object(call: &Call<'_>, bucket: BucketName, key: Key) -> Result<PutObject> {
    let headers = call.request.headers();
    Ok(PutObject {
        encrypt: None,
        bucket,
        key,
        precondition: parse_precondition(headers)?,
        tag_of,
        properties: properties(headers)?,
        checks: BodyChecks {
            expected_digests: expected_digests(headers)?,
            declared_length: http_body::Body::size_hint(call.request.body()).exact(),
            ..BodyChecks::default()
        },
        checksum: None,
    })
}

async fn demand(call: &Call<'_>, bucket: &BucketName) -> Answer<()> {
    conditions::demand(&call.rest.store, bucket, call.request.headers()).await
}

/// The answer to a write.
pub(crate) fn written(outcome: &PutOutcome, location: &str) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if outcome.created {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    };
    let headers = response.headers_mut();
    identify(&outcome.object, headers)?;
    if outcome.created {
        header(headers, LOCATION, location)?;
    }
    Ok(response)
}

pub(crate) async fn put(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    unsupported(&call, &UNSUPPORTED)?;
    unsupported(&call, &["content-range"])?;
    if media_type(call.request.headers()).as_deref() == Some(VOLUME) {
        return volume::create(call, bucket, key).await;
    }
    let call = call.tagging();
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::WriteObject, resource).await?;
    demand(&call, &bucket).await?;
    let location = path_of(&bucket, Some(key.as_str()));
    let put = put_object(&call, bucket, key)?;
    call.asker().check_tags(&put.properties, &grant).await?;
    let store = call.rest.store.clone();
    let body = incoming(call.request.into_body());
    written(&store.put(&grant, put, body).await?, &location)
}

/// POST to a bucket.
pub(crate) async fn create_in(call: Call<'_>, bucket: BucketName) -> Answer {
    create(call, bucket, "").await
}

/// POST to a key that ends with `/`.
pub(crate) async fn create_below(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    create(call, bucket, key.as_str()).await
}

/// An object under a name that the server chooses, below `prefix`.
async fn create(call: Call<'_>, bucket: BucketName, prefix: &str) -> Answer {
    unsupported(&call, &UNSUPPORTED)?;
    unsupported(&call, &["content-range"])?;
    if media_type(call.request.headers()).as_deref() == Some(VOLUME) {
        let detail = "a volume is made by PUT, under a name that its client chooses";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    if !parse_precondition(call.request.headers())?.is_none() {
        return Err(Refusal::unsupported(
            "conditions on a POST are not supported",
        ));
    }
    let repeatable = idempotent_name(&call)?;
    let name = match (&repeatable, call.request.extensions().get::<RequestId>()) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => id.0.clone(),
        (None, None) => {
            return Err(Error::new(ErrorKind::Internal, "a request without an id").into());
        }
    };
    let key = Key::parse(format!("{prefix}{name}"))?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let call = call.tagging();
    let grant = call.grant(Action::WriteObject, resource.clone()).await?;
    let location = path_of(&bucket, Some(key.as_str()));
    let put = PutObject {
        encrypt: None,
        precondition: Precondition::absent(),
        ..put_object(&call, bucket.clone(), key.clone())?
    };
    call.asker().check_tags(&put.properties, &grant).await?;
    let store = call.rest.store.clone();
    // Whoever may create it may learn that it did.
    let look = call.grant(Action::ReadObjectMetadata, resource).await;
    let mut body = incoming(call.request.into_body());
    match store.put(&grant, put, &mut body).await {
        Ok(outcome) => written(&outcome, &location),
        Err(error) if repeatable.is_some() && error.kind() == ErrorKind::PreconditionFailed => {
            let object = store
                .head(&look?, &bucket, &key, VersionRef::Current)
                .await?;
            repeated(&object, body, &location).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The name that a request with an Idempotency-Key chooses: the same for the same key of the same
/// caller and collection, so that it is created once whichever node is asked.
fn idempotent_name(call: &Call<'_>) -> Result<Option<String>> {
    let mut values = call.request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > KEY_BYTES_MAX || values.next().is_some() {
        let message = format!("Idempotency-Key is one key of 1 to {KEY_BYTES_MAX} characters");
        return Err(Error::invalid(message));
    }
    let mut hasher = Hasher::new(&[DigestAlgorithm::Sha256]);
    let account = call.account()?.as_str();
    for part in [
        account,
        &call.principal.user,
        call.request.uri().path(),
        key,
    ] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let digest = hasher.finish();
    let name = digest
        .get(DigestAlgorithm::Sha256)
        .map(|digest| digest.hex());
    Ok(name.and_then(|name| name.get(..32).map(str::to_owned)))
}

/// Answers a POST whose key made an object before: alike when the body is the same.
async fn repeated(
    object: &Object,
    mut body: impl futures::Stream<Item = Result<bytes::Bytes>> + Unpin,
    location: &str,
) -> Answer {
    let mut hasher = Hasher::new(&[DigestAlgorithm::Md5]);
    let mut length = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        length += piece.len() as u64;
        if length > object.length() {
            break;
        }
        hasher.update(&piece);
    }
    let same =
        hasher.finish().get(DigestAlgorithm::Md5) == object.digests.get(DigestAlgorithm::Md5);
    if length != object.length() || !same {
        let detail = "this Idempotency-Key was used for another request";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    identify(object, response.headers_mut())?;
    header(response.headers_mut(), LOCATION, location)?;
    Ok(response)
}

/// The media type of a body, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(Parameterized::parse(text).ok()?.value.to_ascii_lowercase())
}

pub(crate) async fn patch(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    unsupported(&call, &UNSUPPORTED)?;
    let headers = call.request.headers();
    match (media_type(headers), headers.contains_key(CONTENT_RANGE)) {
        (Some(found), false) if found == MERGE_PATCH => patch_properties(call, bucket, key).await,
        (Some(found), false) if found == VOLUME => volume::resize(call, bucket, key).await,
        (_, true) => patch_range(call, bucket, key).await,
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "PATCH takes application/merge-patch+json, or bytes with Content-Range",
        )
        .with_header(http::HeaderName::from_static("accept-patch"), ACCEPT_PATCH)
        .into()),
    }
}

/// Replaces a range of the object's bytes in place. It grows when the range reaches past its end;
/// what lies between is zeros.
async fn patch_range(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    if call.parameters.get("version").is_some() {
        return Err(Error::invalid("a version's bytes never change").into());
    }
    let headers = call.request.headers();
    let range =
        parse_content_range(headers)?.ok_or_else(|| Error::invalid("Content-Range is missing"))?;
    if let Some(total) = range.total {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = call.grant(Action::ReadObjectMetadata, resource).await?;
        let current = VersionRef::Current;
        let found = call.rest.store.head(&grant, &bucket, &key, current).await?;
        if total != found.length().max(range.last.saturating_add(1)) {
            let message = "Content-Range says another size than the object is going to have";
            return Err(Error::invalid(message).into());
        }
    }
    let announced = http_body::Body::size_hint(call.request.body()).exact();
    if announced.is_some_and(|announced| announced != range.length()) {
        return Err(Error::invalid("the body is not as long as Content-Range says").into());
    }
    let resource = Resource::Object(bucket.clone(), key.clone());
    let grant = call.grant(Action::WriteObject, resource).await?;
    demand(&call, &bucket).await?;
    let location = path_of(&bucket, Some(key.as_str()));
    let patch = PatchObject {
        bucket,
        key,
        precondition: parse_precondition(headers)?,
        tag_of,
        at: Offset::At(range.first),
        checks: BodyChecks {
            expected_digests: expected_digests(headers)?,
            declared_length: Some(range.length()),
            ..BodyChecks::default()
        },
        create: None,
    };
    let store = call.rest.store.clone();
    let body = incoming(call.request.into_body());
    written(&store.patch(&grant, patch, body).await?, &location)
}

/// Changes what the object's document has.
async fn patch_properties(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let version = call.parameters.version("version")?;
    let precondition = parse_precondition(call.request.headers())?;
    let bypass = bypass(&call)?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let headers = call.request.headers().clone();
    let (parts, body) = call.document(PATCH_BYTES_MAX).await?;
    let (patch, members) = document::parse_patch(&body, &OBJECT_MEMBERS)?;
    let parts = parts.tagging(&document::tags_of(&patch));
    let mut grants = Vec::new();
    let mut actions = document::object_actions(&members, version != VersionRef::Current);
    if actions.is_empty() {
        actions.push(Action::WriteObjectMetadata);
    }
    actions.extend(bypass.then_some(Action::BypassRetention));
    for action in actions {
        grants.push(parts.grant(action, resource.clone()).await?);
    }
    conditions::demand(&parts.rest.store, &bucket, &headers).await?;
    let update = UpdateObject {
        bucket: bucket.clone(),
        key,
        version,
        precondition,
        tag_of,
    };
    let change = |properties: &mut _| document::patch_object(properties, &patch);
    let object = parts
        .rest
        .store
        .update_object(&grants, &update, &change)
        .await;
    let object = object.map_err(unfit)?;
    let mut shown = document::of_object(&bucket, &object)?;
    // What may be changed may not all be read; what was just written is no secret.
    for (member, action) in read::own_rights(version) {
        if !members.iter().any(|changed| changed == member) {
            let of = (action, resource.clone(), version);
            parts.hide_unless(of, member, &mut shown).await?;
        }
    }
    let mut response = Response::new(Body::full(shown.to_string()));
    identify(&object, response.headers_mut())?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 422 for a patch that is well-formed and does not fit.
pub(crate) fn unfit(error: Error) -> Refusal {
    match error.kind() {
        ErrorKind::InvalidInput => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.message()),
        _ => error.into(),
    }
}

/// Whether a retention in governance mode is to be passed over.
pub(crate) fn bypass(call: &Call<'_>) -> Result<bool> {
    let mut values = call
        .request
        .headers()
        .get_all("trestle-bypass-retention")
        .iter();
    match (values.next().map(HeaderValue::as_bytes), values.next()) {
        (None, _) | (Some(b"false"), None) => Ok(false),
        (Some(b"true"), None) => Ok(true),
        _ => Err(Error::invalid("Trestle-Bypass-Retention is true or false")),
    }
}

pub(crate) async fn delete(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let version = call.parameters.version("version")?;
    let resource = Resource::Object(bucket.clone(), key.clone());
    let action = match version {
        VersionRef::Current => Action::DeleteObject,
        _ => Action::DeleteObjectVersion,
    };
    let mut grants = vec![call.grant(action, resource.clone()).await?];
    if bypass(&call)? {
        grants.push(call.grant(Action::BypassRetention, resource).await?);
    }
    demand(&call, &bucket).await?;
    let precondition = parse_precondition(call.request.headers())?;
    let delete = DeleteObject {
        bucket,
        key,
        version,
        history: History::ByBucket,
        mark_missing: false,
        precondition,
        tag_of,
    };
    let outcome = call.rest.store.delete(&grants, delete).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(marker) = outcome.marker {
        let headers = response.headers_mut();
        header(headers, VERSION, &marker.version.to_string())?;
        headers.insert(DELETED, HeaderValue::from_static("marker"));
    }
    Ok(response)
}
