//! What other clusters send into a container that shares a key with one of theirs.
//!
//! Each request is signed for its method, its object and its time, or shows the container's own key
//! where the operator allows that. An object keeps the time that it has where it is from, and so does a
//! deletion: the newest wins, on both sides, whichever way it came.
//!
//! Invariant: nothing takes the place of what is as new, nor of what was deleted as late. A deletion
//! notes itself before it looks at what is there, and a write looks for deletions after its commit, so
//! one of two that meet sees the other.

use crate::call::{Call, Input, empty, page};
use crate::container::{SYNC_KEY, key};
use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::realms::{AUTH_HEADER, KEY_HEADER, Signed};
use crate::tempurl::Scope;
use crate::who::Pass;
use crate::{facts, object, read, times};
use http::Response;
use subtle::ConstantTimeEq;
use trestle_access::Action;
use trestle_core::{BucketId, ErrorKind, Noun, Precondition, Tag, TagMatch, Timestamp};
use trestle_http::Body;
use trestle_store::{DeleteObject, Object, VersionRef};

/// How often a deletion looks again, when something comes in between.
const ATTEMPTS_MAX: usize = 5;

/// An object that comes from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Its time there.
    pub(crate) time: Timestamp,
    /// The container that it comes into.
    pub(crate) bucket: BucketId,
    /// The revision of what is there so far.
    pub(crate) over: Option<String>,
}

/// Whether a request says that it comes from another cluster.
pub(crate) fn is_signed(call: &Call) -> bool {
    let says = |name: &str| call.headers.contains_key(name);
    let shows_key = says(KEY_HEADER) && says("x-timestamp") && call.target.object.is_some();
    let keys = call.swift.settings.realms.take_keys();
    says(AUTH_HEADER) || keys && shows_key && !says("x-auth-token")
}

/// The condition that what is there still is of this revision.
pub(crate) fn still(revision: &str) -> Precondition {
    Precondition {
        if_match: Some(TagMatch::Tags(vec![Tag {
            opaque: revision.to_owned(),
            weak: false,
        }])),
        ..Precondition::none()
    }
}

/// Answers a request from another cluster.
///
/// # Errors
/// 401, and no more about why; 409 for a deletion of something newer.
pub(crate) async fn answer(mut call: Call, input: Input) -> Outcome<Response<Body>> {
    let (bucket, time) = verified(&call).await?;
    if !is_served(&call.method, &call.query) {
        let text = "The query has no meaning for what another cluster sends";
        return Err(Fault::text(400, text));
    }
    let scope = match call.query.get("multipart-manifest") {
        // The segments may be in other containers.
        Some("put") => Scope::Account,
        _ => Scope::Container,
    };
    let pass = Pass::new(scope, &call.target.account, call.container_name());
    call.who.pass = Some(pass);
    if call.target.object.is_none() {
        return Err(Fault::new(405));
    }
    match call.method.as_str() {
        "HEAD" => {
            call.query = Query::parse(Some("symlink=get"))?;
            read::answer(&call).await
        }
        "PUT" | "DELETE" if call.headers.contains_key("x-copy-from") => Err(Fault::new(400)),
        "PUT" => put(call, input, (bucket, time)).await,
        "DELETE" => delete(&call, (bucket, time)).await,
        _ => Err(Fault::new(405)),
    }
}

/// Whether a query has a meaning: a manifest is put as such, and nothing else is chosen by one.
fn is_served(method: &str, query: &Query) -> bool {
    let manifest = method == "PUT" && query.get("multipart-manifest") == Some("put");
    query.count() == usize::from(manifest)
}

/// The container and the time of a request that shows that it comes from another cluster.
async fn verified(call: &Call) -> Outcome<(BucketId, Timestamp)> {
    let refused = || {
        let place = call.place();
        let name = format!("{}/{}/{}", place.account, place.container, place.object);
        crate::doors::note_refused(call, "container synchronisation", &name);
        let realm = crate::target::quote(&call.target.account);
        let text = "X-Container-Sync-Auth header not valid; contact cluster operator for support.";
        Fault::text(401, text).with(
            "www-authenticate",
            format!("SwiftContainerSync realm=\"{realm}\""),
        )
    };
    let timestamp = call.header("x-timestamp")?.unwrap_or("0");
    let container = call.container(&call.account, call.container_name()).await?;
    let container = container.ok_or_else(refused)?;
    let own = container.document(SYNC_KEY).ok_or_else(refused)?;
    let proved = match call.header(AUTH_HEADER)? {
        Some(header) => {
            let path = call.target.path();
            let signed = Signed {
                method: &call.method,
                path: &path,
                timestamp,
                nonce: "",
            };
            call.swift.settings.realms.verifies(header, signed, own)
        }
        None => {
            let shown = call.header(KEY_HEADER)?.unwrap_or_default();
            !own.is_empty() && bool::from(shown.as_bytes().ct_eq(own.as_bytes()))
        }
    };
    if !proved {
        return Err(refused());
    }
    let malformed = || Fault::text(400, "Invalid X-Timestamp");
    let time = times::parse_x_timestamp(timestamp).ok_or_else(malformed)?;
    Ok((container.bucket.id, time))
}

async fn there(call: &Call, version: VersionRef) -> Outcome<Option<Object>> {
    match call.look(&call.place(), version).await {
        Ok(found) => Ok(Some(found.object)),
        Err(fault) if fault.status() == 404 => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// When a key was deleted, if that was at this time or later: of two at the same time the deletion wins.
async fn buried(call: &Call, bucket: BucketId, time: Timestamp) -> Outcome<Option<Timestamp>> {
    let key = call.target.object.as_deref().unwrap_or_default();
    let stone = call.swift.tombstone(bucket, key).await?;
    Ok(stone.map(|stone| stone.time).filter(|gone| *gone >= time))
}

async fn put(
    mut call: Call,
    input: Input,
    (bucket, time): (BucketId, Timestamp),
) -> Outcome<Response<Body>> {
    // What has ended, and is yet to be deleted, is as new as it was.
    let found = there(&call, VersionRef::Ended).await?;
    let newer = |there: &Object| facts::timestamp(there, bucket) >= time;
    if found.as_ref().is_some_and(newer) || buried(&call, bucket, time).await?.is_some() {
        return Ok(page(202));
    }
    let live = |there: &&Object| {
        there
            .expires
            .is_none_or(|end| end > call.swift.host.clock.now())
    };
    let over = found.as_ref().filter(live).map(Object::revision);
    call.received = Some(Received { time, bucket, over });
    let answered = object::answer(&call, input).await;
    let response = answered.map_err(|fault| match fault.status() {
        // Something else came in between: to be sent again.
        412 => Fault::new(503),
        _ => fault,
    })?;
    let Some(gone) = buried(&call, bucket, time).await? else {
        return Ok(response);
    };
    // It was deleted while it came in.
    match delete(&call, (bucket, gone)).await {
        Err(fault) if !matches!(fault.status(), 404 | 409) => Err(fault),
        _ => Ok(page(202)),
    }
}

async fn delete(call: &Call, (bucket, time): (BucketId, Timestamp)) -> Outcome<Response<Body>> {
    let key = call.target.object.as_deref().unwrap_or_default();
    for _ in 0..ATTEMPTS_MAX {
        let found = there(call, VersionRef::Current).await?;
        let newer = |there: &Object| facts::timestamp(there, bucket) > time;
        if found.as_ref().is_some_and(newer) {
            return Err(Fault::new(409));
        }
        let noted = match &found {
            Some(found) => {
                let taken = Some(found.version);
                call.swift.bury((bucket, key), time, taken).await?;
                true
            }
            None => call.swift.bury_stranger((bucket, key), time).await?,
        };
        match found {
            None if !noted => return Err(Fault::new(404)),
            Some(found) if take_away(call, &found).await? => return Ok(empty(204)),
            None if there(call, VersionRef::Current).await?.is_none() => {
                return Err(Fault::new(404));
            }
            // Something else came in between.
            _ => {}
        }
    }
    Err(Fault::new(503))
}

/// Deletes what is at the call's place, if it is this still.
pub(crate) async fn take_away(call: &Call, found: &Object) -> Outcome<bool> {
    let place = call.place();
    let bucket = call.bucket_name(&place.account, &place.container)?;
    let key = key(&place.object)?;
    let grant = call.on_object(Action::DeleteObject, &bucket, &key).await?;
    let revision = found.revision();
    let delete = DeleteObject::current(bucket, key, still(&revision), Object::revision);
    match call.swift.store.delete(&[grant], delete).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::PreconditionFailed => Ok(false),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound(Noun::Object)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_chooses_no_other_operation() {
        for (method, query, served) in [
            ("PUT", "", true),
            ("PUT", "multipart-manifest=put", true),
            ("DELETE", "", true),
            ("HEAD", "", true),
            ("PUT", "extract-archive=tar", false),
            ("PUT", "multipart-manifest=put&extract-archive=tar", false),
            ("PUT", "multipart-manifest=get", false),
            ("DELETE", "multipart-manifest=put", false),
            ("DELETE", "multipart-manifest=delete", false),
            ("DELETE", "version-id=1", false),
        ] {
            let parsed = Query::parse(Some(query)).unwrap();
            assert_eq!(is_served(method, &parsed), served, "{method} {query}");
        }
    }
}
