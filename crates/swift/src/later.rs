//! The deletion of a large object whose segments go later: they end now, so nobody reads them any more,
//! and the job that deletes what has ended deletes them; the manifest goes at once.
//!
//! Invariant: the segments end before the manifest goes, so whoever is refused or interrupted can ask
//! again.

use crate::call::{Call, Place};
use crate::container::key;
use crate::fault::{Fault, Outcome};
use crate::manifest::segments_of;
use crate::object::writable;
use crate::symlink::asked_version;
use crate::target::quote;
use crate::{delete, facts};
use http::Response;
use std::collections::BTreeSet;
use trestle_access::Action;
use trestle_core::{ErrorKind, Precondition};
use trestle_http::Body;
use trestle_store::{ObjectProperties, ObjectSegment, Segment, UpdateObject, VersionRef};

/// Answers a DELETE of a manifest, and lets its segments end.
///
/// # Errors
/// 400 for what is no manifest, whose segments are in several containers or manifests themselves.
pub(crate) async fn answer(call: &Call) -> Outcome<Response<Body>> {
    let place = call.place();
    let container = call.container(&place.account, &place.container).await?;
    let version = asked_version(call, container.as_ref())?;
    let own = format!("/{}/{}", place.container, place.object);
    let segments = segments_of(call, &own, version).await?;
    let segments: Vec<ObjectSegment> = segments
        .into_iter()
        .filter_map(|segment| match segment {
            Segment::Object(object) => Some(object),
            _ => None,
        })
        .collect();
    let containers: BTreeSet<&str> = segments.iter().map(|s| s.bucket.local()).collect();
    if containers.len() > 1 {
        let names: Vec<String> = containers
            .iter()
            .map(|name| format!("\"{}\"", quote(name)))
            .collect();
        let names = names.join(", ");
        let text = format!("All segments must be in one container. Found segments in {names}");
        return Err(Fault::html(400, text));
    }
    if segments.iter().any(|segment| segment.nested) {
        return Err(Fault::html(400, "No segments may be large objects."));
    }
    // Who may not delete the manifest ends nothing.
    writable(call, &place).await?;
    for segment in &segments {
        end(call, segment).await?;
    }
    delete::answer(call).await
}

/// Lets a segment end, if it is there and the caller may delete it.
async fn end(call: &Call, segment: &ObjectSegment) -> Outcome<()> {
    let place = Place {
        account: call.account.clone(),
        container: segment.bucket.local().to_owned(),
        object: segment.key.as_str().to_owned(),
    };
    let container = match writable(call, &place).await {
        Err(fault) if fault.status() == 404 => return Ok(()),
        container => container?,
    };
    let bucket = call.bucket_of(&container);
    let key = key(&place.object)?;
    let delete = call.on_object(Action::DeleteObject, &bucket, &key).await?;
    // No verb is given it that would look at the segment's own list.
    let store = &call.swift.store;
    store.confirm_now(&delete, VersionRef::Current).await?;
    let grant = call
        .on_object(Action::WriteObjectMetadata, &bucket, &key)
        .await?;
    let update = UpdateObject {
        bucket,
        key,
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: facts::tag,
    };
    let now = call.swift.host.clock.now();
    let end = |properties: &mut ObjectProperties| {
        properties.expires = Some(now);
        Ok(())
    };
    let store = &call.swift.store;
    match store.update_object(&[grant], &update, &end).await {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound(_)) => Ok(()),
        ended => Ok(ended.map(drop)?),
    }
}
