//! Deleting an object, or one version of it.

use crate::call::{Call, Place, empty, set};
use crate::container::{Container, key};
use crate::facts;
use crate::fault::{Fault, Outcome};
use crate::object::writable;
use crate::symlink::asked_version;
use crate::{legacy, times, versions};
use http::Response;
use trestle_access::{Action, Grant};
use trestle_core::{ErrorKind, Noun, Precondition};
use trestle_http::Body;
use trestle_store::{DeleteObject, DeleteOutcome, History, VersionRef, Versioning};

/// Answers a DELETE of an object.
pub(crate) async fn answer(call: &Call) -> Outcome<Response<Body>> {
    let place = call.place();
    let container = writable(call, &place).await?;
    let version = asked_version(call, Some(&container))?;
    check_expiry(call, &container, &place).await?;
    if version == VersionRef::Current && legacy::delete(call, &container, &place).await? {
        return Ok(empty(204));
    }
    let mut outcome = remove(call, &container, &place, version).await;
    if version == VersionRef::Null && outcome.as_ref().is_err_and(|fault| fault.status() == 404) {
        // Where there is no null version, that name is the current object's.
        outcome = withdraw(call, &container, &place).await;
    }
    let versioned = container.versioning() != Versioning::Off;
    let mut response = empty(204);
    let headers = response.headers_mut();
    set(headers, "content-type", "text/html; charset=UTF-8");
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(fault) => return Err(fault),
    };
    if let Some(marker) = &outcome.marker {
        let id = versions::id(marker);
        if outcome.removed.is_none() {
            return Err(Fault::new(404).with("x-object-version-id", id));
        }
        set(headers, "x-object-version-id", &id);
    } else if versioned && let Some(text) = call.query.some("version-id") {
        set(headers, "x-object-version-id", text);
        let current = current_id(call, &container, &place).await?;
        set(headers, "x-object-current-version-id", &current);
    }
    Ok(response)
}

/// The id of what is current after a version went.
async fn current_id(call: &Call, container: &Container, place: &Place) -> Outcome<String> {
    let bucket = call.bucket_of(container);
    let key = key(&place.object)?;
    let grant = call
        .on_object(Action::ReadObjectMetadata, &bucket, &key)
        .await?;
    let store = &call.swift.store;
    match store
        .head_itself(&grant, &bucket, &key, VersionRef::Current)
        .await
    {
        Ok(object) => Ok(versions::id(&object)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound(_)) => Ok("null".to_owned()),
        Err(error) => Err(error.into()),
    }
}

/// `X-If-Delete-At` must be what is stored.
async fn check_expiry(call: &Call, container: &Container, place: &Place) -> Outcome<()> {
    let Some(text) = call.header("x-if-delete-at")? else {
        return Ok(());
    };
    let wanted = times::integer(text).and_then(|seconds| u64::try_from(seconds).ok());
    let wanted = wanted.ok_or_else(|| Fault::text(400, "Bad X-If-Delete-At header value"))?;
    let bucket = call.bucket_of(container);
    let key = key(&place.object)?;
    let grant = call
        .on_object(Action::ReadObjectMetadata, &bucket, &key)
        .await?;
    let store = &call.swift.store;
    let object = store
        .head_itself(&grant, &bucket, &key, VersionRef::Current)
        .await?;
    match object.expires.map(|expires| expires.seconds()) == Some(wanted) {
        true => Ok(()),
        false => Err(Fault::text(
            412,
            "X-If-Delete-At and X-Delete-At do not match",
        )),
    }
}

/// Takes the current object away and keeps its version.
async fn withdraw(call: &Call, container: &Container, place: &Place) -> Outcome<DeleteOutcome> {
    let bucket = call.bucket_of(container);
    let key = key(&place.object)?;
    let grant = call.on_object(Action::DeleteObject, &bucket, &key).await?;
    let delete = DeleteObject {
        history: History::Leave,
        ..DeleteObject::current(bucket, key, Precondition::none(), facts::tag)
    };
    deleted(call, &grant, delete).await
}

async fn deleted(call: &Call, grant: &Grant, delete: DeleteObject) -> Outcome<DeleteOutcome> {
    let store = &call.swift.store;
    let deleted = store.delete(std::slice::from_ref(grant), delete).await;
    deleted.map_err(|error| match error.kind() {
        ErrorKind::NotFound(Noun::Object | Noun::Version) => Fault::new(404),
        _ => error.into(),
    })
}

/// Removes an object from a container that the caller may write to.
pub(crate) async fn remove(
    call: &Call,
    container: &Container,
    place: &Place,
    version: VersionRef,
) -> Outcome<DeleteOutcome> {
    let bucket = call.bucket_of(container);
    let key = key(&place.object)?;
    let action = match version {
        VersionRef::Current => Action::DeleteObject,
        _ => Action::DeleteObjectVersion,
    };
    let grant = call.on_object(action, &bucket, &key).await?;
    let delete = DeleteObject {
        version,
        // What is before a version that goes stays where it is.
        history: match version {
            VersionRef::Current => History::ByBucket,
            _ => History::Leave,
        },
        mark_missing: container.versioning() == Versioning::Enabled
            && version == VersionRef::Current,
        ..DeleteObject::current(bucket, key, Precondition::none(), facts::tag)
    };
    deleted(call, &grant, delete).await
}
