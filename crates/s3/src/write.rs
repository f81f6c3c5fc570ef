//! What a write carries in its headers, and what its body has to be.

use crate::acl;
use crate::authenticate::missing_length;
use crate::body::fault;
use crate::call::Call;
use crate::document::{self, Tags};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::metadata::{self, text_of};
use crate::object::{KEPT, REDIRECT, etag, wrote};
use crate::read::mode_name;
use crate::sse;
use crate::time::iso_time;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Response};
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_access::{Action, Context, Grant, Resource};
use trestle_core::{ErrorKind, Noun, Precondition, Representation, Timestamp};
use trestle_http::{Body, parse_precondition};
use trestle_store::{
    BodyChecks, Encrypt, ObjectProperties, Offset, PatchObject, PutObject, Retention, VersionRef,
};

/// Where a write goes on in an object that exists.
pub(crate) const OFFSET: &str = "x-amz-write-offset-bytes";
/// Largest object of one request.
pub(crate) const PUT_BYTES_MAX: u64 = 5 << 30;

/// The representation that a write's headers describe.
pub(crate) fn representation(headers: &HeaderMap) -> Result<Representation, S3Error> {
    let mut representation = Representation::new();
    for name in KEPT {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(S3Error::argument(name, "", "The header is repeated"));
        }
        let mut text = text_of(value);
        if name == "content-encoding" {
            // The framing of the request is not of the object.
            let codings = text.split(',').map(str::trim);
            let kept: Vec<&str> = codings.filter(|one| *one != "aws-chunked").collect();
            if text.contains("aws-chunked") {
                text = kept.join(", ");
            }
        }
        if !text.is_empty() {
            representation.insert(name.to_owned(), text);
        }
    }
    Ok(representation)
}

/// The storage class that a write names.
pub(crate) fn storage_class(call: &Call<'_>) -> Result<Option<String>, S3Error> {
    match headers::text(&call.headers, "x-amz-storage-class")? {
        None | Some("STANDARD" | "") => Ok(None),
        Some(name)
            if call
                .s3
                .settings
                .storage_classes
                .iter()
                .any(|known| known == name) =>
        {
            Ok(Some(name.to_owned()))
        }
        Some(name) => Err(S3Error::new(
            Code::InvalidStorageClass,
            "The storage class you specified is not valid",
        )
        .field("StorageClassRequested", name)),
    }
}

/// The retention and the hold that a write's headers ask for.
pub(crate) fn lock(
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(Option<Retention>, Option<bool>), S3Error> {
    let mode = headers::text(headers, "x-amz-object-lock-mode")?;
    let until = headers::text(headers, "x-amz-object-lock-retain-until-date")?;
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let wrong = || {
                S3Error::argument(
                    "x-amz-object-lock-mode",
                    mode,
                    "Unknown wormMode directive.",
                )
            };
            Some(Retention {
                mode: document::retention_mode(mode).ok_or_else(wrong)?,
                until: document::retain_until(until, now)?,
            })
        }
        _ => {
            let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must \
                           both be supplied";
            return Err(S3Error::argument("x-amz-object-lock-mode", "", message));
        }
    };
    let name = "x-amz-object-lock-legal-hold";
    let hold = match headers::text(headers, name)? {
        None => None,
        Some(text) => {
            let wrong =
                || S3Error::argument(name, text, "Legal Hold must be either of 'ON' or 'OFF'");
            Some(document::on_off(text).ok_or_else(wrong)?)
        }
    };
    Ok((retention, hold))
}

/// What a write makes of its headers, and the rights that it needs beside the write itself.
pub(crate) struct New {
    pub(crate) properties: ObjectProperties,
    /// For the write; the rights to what it sets besides were asked for.
    pub(crate) grant: Grant,
    /// How it is to be encrypted.
    pub(crate) encrypt: Option<Encrypt>,
}

/// What an object is to be protected by, as circumstances.
pub(crate) fn with_lock(
    mut context: Context,
    retention: Option<Retention>,
    hold: Option<bool>,
) -> Context {
    const DAY: u64 = 24 * 60 * 60 * 1_000_000;
    let now = context.time;
    let mut set = |name: &str, value: &str| {
        context.set(&format!("s3:object-lock-{name}"), vec![value.to_owned()]);
    };
    if let Some(retention) = retention {
        let left = retention.until.0.saturating_sub(now.0);
        set("mode", mode_name(retention.mode));
        set("retain-until-date", &iso_time(retention.until));
        // A day that has begun counts.
        set("remaining-retention-days", &left.div_ceil(DAY).to_string());
    }
    if let Some(hold) = hold {
        set("legal-hold", hold_name(hold));
    }
    context
}

/// Whether a hold is on, as the protocol says it.
pub(crate) fn hold_name(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// What takes no right of its own beside the right to write: when a list alone lets a stranger to the
/// bucket write, whom no policy can bind, what is then the stranger's own has the list and the tags
/// that the stranger gives it. What nobody in particular writes is the bucket owner's, and so is what
/// is handed over at once; who makes a new object as nobody in particular says who reads it.
async fn freed(call: &Call<'_>, acl: Option<&str>) -> Result<&'static [Action], S3Error> {
    let (store, name, key) = (&call.s3.store, call.bucket()?, call.key()?);
    let bucket = store.bucket_settings(name).await?;
    let account = call.principal.account();
    if account == Some(&bucket.owner.account) || bucket.properties.policy.is_some() {
        return Ok(&[]);
    }
    if call.principal.is_anonymous() {
        let there = store.object_owner(name, key, VersionRef::Current).await;
        let new = there.is_err_and(|error| error.kind() == ErrorKind::NotFound(Noun::Object));
        return Ok(if new { &[Action::WriteObjectAcl] } else { &[] });
    }
    let writer = call.principal.owner();
    let owner = store.owner_of_next(&bucket, key, (writer, acl)).await?;
    // A policy of the token can.
    let whole = call.principal.session_policies.is_empty();
    let own = whole && call.principal.is_account_root() && account == Some(&owner.account);
    Ok(match own {
        true => &[Action::WriteObjectAcl, Action::WriteObjectTags],
        false => &[],
    })
}

/// Reads what a new object is to carry, with the grants that it takes; the first is for the write.
pub(crate) async fn new(call: &Call<'_>) -> Result<New, S3Error> {
    let tags = match headers::text(&call.headers, "x-amz-tagging")? {
        Some(text) => document::header_tags(text)?,
        None => Tags::new(),
    };
    let (retention, hold) = lock(&call.headers, call.now())?;
    let sent = acl::sent(&call.headers)?;
    let context = Context::clone(&call.context).with_tags(&tags);
    let context = Arc::new(with_lock(context, retention, hold));
    let resource = Resource::Object(call.bucket()?.clone(), call.key()?.clone());
    let grant = call
        .grant_in(Action::WriteObject, resource.clone(), context.clone())
        .await?;
    let list = acl::of_object(call, &sent).await?;
    let mut actions = Vec::new();
    actions.extend((!tags.is_empty()).then_some(Action::WriteObjectTags));
    actions.extend(list.needs_right.then_some(Action::WriteObjectAcl));
    if !actions.is_empty() {
        let freed = freed(call, list.text.as_deref()).await?;
        actions.retain(|action| !freed.contains(action));
    }
    actions.extend(retention.map(|_| Action::WriteObjectRetention));
    actions.extend(hold.map(|_| Action::WriteLegalHold));
    for action in actions {
        call.check(action, resource.clone(), context.clone())
            .await?;
    }
    if retention.is_some() || hold.is_some() {
        require_lock(call).await?;
    }
    let mut documents = BTreeMap::new();
    if let Some(place) = headers::text(&call.headers, "x-amz-website-redirect-location")? {
        documents.insert(REDIRECT.to_owned(), redirect(place)?);
    }
    Ok(New {
        properties: ObjectProperties {
            representation: representation(&call.headers)?,
            metadata: metadata::read(&call.headers)?,
            tags,
            acl: list.text,
            retention,
            legal_hold: hold == Some(true),
            hold_lifted: hold == Some(false),
            expires: None,
            storage_class: storage_class(call)?,
            documents,
            manifest: None,
        },
        grant,
        encrypt: sse::asked(call)?,
    })
}

fn redirect(place: &str) -> Result<String, S3Error> {
    let known = ["/", "http://", "https://"]
        .iter()
        .any(|start| place.starts_with(start));
    if known && place.len() <= metadata::BYTES_MAX {
        return Ok(place.to_owned());
    }
    let message = "The website redirect location must have a prefix of 'http://' or 'https://' or \
                   '/'.";
    Err(S3Error::new(Code::InvalidRedirectLocation, message))
}

/// Refuses protection where the bucket has no object lock.
async fn require_lock(call: &Call<'_>) -> Result<(), S3Error> {
    let bucket = call.s3.store.bucket_settings(call.bucket()?).await?;
    match bucket.properties.lock {
        Some(_) => Ok(()),
        None => Err(S3Error::invalid(
            "Bucket is missing Object Lock Configuration",
        )),
    }
}

/// The conditions of a write: dates have no meaning for it.
pub(crate) fn write_condition(headers: &HeaderMap) -> Result<Precondition, S3Error> {
    let mut condition = parse_precondition(headers)?;
    condition.if_modified_since = None;
    condition.if_unmodified_since = None;
    Ok(condition)
}

/// A write's failed condition: `If-Match` on what is not there says that.
pub(crate) async fn failed(
    call: &Call<'_>,
    condition: &Precondition,
    error: trestle_core::Error,
) -> S3Error {
    if error.kind() == ErrorKind::PreconditionFailed {
        if condition.if_match.is_some() && is_missing(call).await {
            return S3Error::new(Code::NoSuchKey, "The specified key does not exist.");
        }
        let name = match (&condition.if_match, &condition.if_none_match) {
            (Some(_), _) => "If-Match",
            (None, Some(_)) => "If-None-Match",
            (None, None) => "If-Unmodified-Since",
        };
        return S3Error::from(error).field("Condition", name);
    }
    error.into()
}

/// Whether there is nothing under the key.
async fn is_missing(call: &Call<'_>) -> bool {
    let (Ok(bucket), Ok(key)) = (call.bucket(), call.key()) else {
        return false;
    };
    let owner = call
        .s3
        .store
        .object_owner(bucket, key, VersionRef::Current)
        .await;
    owner.is_err_and(|error| error.kind() == ErrorKind::NotFound(Noun::Object))
}

/// What the body of a write has to be.
pub(crate) fn checks(call: &Call<'_>) -> BodyChecks {
    BodyChecks {
        declared_length: call.length,
        expected_digests: call
            .declared
            .md5
            .iter()
            .chain(&call.declared.value)
            .cloned()
            .collect(),
        algorithms: call.declared.trailer.into_iter().collect(),
        late: None,
    }
}

/// 411 when nothing says where the body ends, `EntityTooLarge` beyond the limit of one request.
pub(crate) fn check_length(call: &Call<'_>) -> Result<(), S3Error> {
    match call.length {
        None if call.headers.contains_key(TRANSFER_ENCODING) => Ok(()),
        None => Err(missing_length()),
        Some(length) if length > PUT_BYTES_MAX => Err(too_large(length)),
        Some(_) => Ok(()),
    }
}

/// A body within the limit of one request, also when it did not say its length.
pub(crate) fn bounded(
    body: impl Stream<Item = trestle_core::Result<Bytes>> + Send + Unpin,
) -> impl Stream<Item = trestle_core::Result<Bytes>> + Send + Unpin {
    let mut seen = 0u64;
    body.map(move |piece| {
        let piece = piece?;
        seen = seen.saturating_add(piece.len() as u64);
        if seen > PUT_BYTES_MAX {
            let message = "Your proposed upload exceeds the maximum allowed size";
            return Err(fault(Code::EntityTooLarge, message));
        }
        Ok(piece)
    })
}

/// Tags beside those of the headers, with the right that they take.
pub(crate) async fn with_more_tags(
    call: &Call<'_>,
    mut new: New,
    tags: Tags,
) -> Result<New, S3Error> {
    new.properties.tags.extend(tags);
    let context = Context::clone(&call.context).with_tags(&new.properties.tags);
    let hold = new.properties.hold();
    let context = Arc::new(with_lock(context, new.properties.retention, hold));
    let resource = Resource::Object(call.bucket()?.clone(), call.key()?.clone());
    new.grant = call
        .grant_in(Action::WriteObject, resource.clone(), context.clone())
        .await?;
    let freed = freed(call, new.properties.acl.as_deref()).await?;
    if !freed.contains(&Action::WriteObjectTags) {
        call.check(Action::WriteObjectTags, resource, context)
            .await?;
    }
    Ok(new)
}

pub(crate) fn too_large(length: u64) -> S3Error {
    S3Error::new(
        Code::EntityTooLarge,
        "Your proposed upload exceeds the maximum allowed size",
    )
    .field("ProposedSize", length.to_string())
    .field("MaxSizeAllowed", PUT_BYTES_MAX.to_string())
}

pub(crate) async fn put(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    check_length(&call)?;
    let condition = write_condition(&call.headers)?;
    let new = new(&call).await?;
    if let Some(offset) = headers::text(&call.headers, OFFSET)? {
        let wrong = || S3Error::argument(OFFSET, offset, "The header is not an offset");
        let offset = offset.parse().map_err(|_| wrong())?;
        check_addition(&call, offset).await?;
        return append(call, new, condition, offset).await;
    }
    let put = PutObject {
        encrypt: new.encrypt,
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        precondition: condition.clone(),
        tag_of: etag,
        properties: new.properties,
        checks: checks(&call),
        checksum: call.declared.algorithm(),
    };
    let body = bounded(call.take_body()?);
    let outcome = match call.s3.store.put(&new.grant, put, body).await {
        Ok(outcome) => outcome,
        Err(error) => return Err(failed(&call, &condition, error).await),
    };
    let mut response = Response::new(Body::empty());
    wrote(response.headers_mut(), &outcome.object);
    Ok(response)
}

/// Refuses what would have to be passed over: what is added to an object leaves all that describes it
/// as it is, and is encrypted as it is.
async fn check_addition(call: &Call<'_>, offset: u64) -> Result<(), S3Error> {
    const DESCRIBE: [&str; 7] = [
        "acl",
        "grant-",
        "meta-",
        "object-lock-",
        "storage-class",
        "tagging",
        "website-redirect-location",
    ];
    for name in call.headers.keys().map(|name| name.as_str()) {
        if name.starts_with("x-amz-server-side-encryption") {
            return Err(S3Error::later("An addition with an encryption of its own"));
        }
        let rest = name.strip_prefix("x-amz-").unwrap_or_default();
        let describes = DESCRIBE.iter().any(|start| rest.starts_with(start));
        // At 0 the object is mostly made by it.
        if describes && (offset > 0 || !is_missing(call).await) {
            let message =
                format!("The header {name} has no meaning for what is added to an object");
            return Err(S3Error::invalid(message).field("Header", name));
        }
    }
    Ok(())
}

/// Adds to an object's end, which the request has to know; at 0 the object may be new.
async fn append(
    mut call: Call<'_>,
    new: New,
    condition: Precondition,
    offset: u64,
) -> Result<Response<Body>, S3Error> {
    let patch = PatchObject {
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        precondition: condition.clone(),
        tag_of: etag,
        at: Offset::EndAt(offset),
        checks: checks(&call),
        create: (offset == 0).then_some(new.properties),
    };
    let body = bounded(call.take_body()?);
    let outcome = match call.s3.store.patch(&new.grant, patch, body).await {
        Ok(outcome) => outcome,
        Err(error) => return Err(failed(&call, &condition, error).await),
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    wrote(headers, &outcome.object);
    headers::set(
        headers,
        "x-amz-object-size",
        &outcome.object.length().to_string(),
    );
    Ok(response)
}
