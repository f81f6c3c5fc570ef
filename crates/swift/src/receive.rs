//! What other clusters send into a container that shares a key with one of theirs.
//!
//! Each request is signed for its method, its object and its time. An object keeps the time that it has
//! where it is from, and nothing takes the place of what is as new. Refused: what would go on from a
//! container that is itself sent elsewhere, since two that send to each other could delete what the
//! other one has just got.

use crate::call::{Call, Input, empty, page};
use crate::container::{SYNC_KEY, SYNC_TO, key};
use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::realms::Signed;
use crate::tempurl::Scope;
use crate::who::Pass;
use crate::{facts, object, read, times};
use http::Response;
use trestle_access::Action;
use trestle_core::{Precondition, Tag, TagMatch, Timestamp};
use trestle_http::Body;
use trestle_store::{DeleteObject, Object, VersionRef};

/// An object that comes from elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Its time there.
    pub(crate) time: Timestamp,
    /// The revision of what is there so far.
    pub(crate) over: Option<String>,
}

/// Whether a request says that it comes from another cluster.
pub(crate) fn is_signed(call: &Call) -> bool {
    call.headers.contains_key("x-container-sync-auth")
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
/// 401, and no more about why; 409 for a container that is sent elsewhere, and for a deletion of
/// something newer.
pub(crate) async fn answer(mut call: Call, input: Input) -> Outcome<Response<Body>> {
    let time = verified(&call).await?;
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
        "PUT" => put(call, input, time).await,
        "DELETE" => delete(&call, time).await,
        _ => Err(Fault::new(405)),
    }
}

/// Whether a query has a meaning: a manifest is put as such, and nothing else is chosen by one.
fn is_served(method: &str, query: &Query) -> bool {
    let manifest = method == "PUT" && query.get("multipart-manifest") == Some("put");
    query.count() == usize::from(manifest)
}

/// The time of a request whose signature is right.
async fn verified(call: &Call) -> Outcome<Timestamp> {
    let refused = || {
        let realm = crate::target::quote(&call.target.account);
        let text = "X-Container-Sync-Auth header not valid; contact cluster operator for support.";
        Fault::text(401, text).with(
            "www-authenticate",
            format!("SwiftContainerSync realm=\"{realm}\""),
        )
    };
    let header = call.header("x-container-sync-auth")?.unwrap_or_default();
    let timestamp = call.header("x-timestamp")?.unwrap_or("0");
    let container = call.container(&call.account, call.container_name()).await?;
    let container = container.ok_or_else(refused)?;
    let own = container.document(SYNC_KEY).ok_or_else(refused)?;
    let path = call.target.path();
    let signed = Signed {
        method: &call.method,
        path: &path,
        timestamp,
        nonce: "",
    };
    if !call.swift.settings.realms.verifies(header, signed, own) {
        return Err(refused());
    }
    if container.document(SYNC_TO).is_some() {
        let text = "The container is synchronised with another one itself";
        return Err(Fault::text(409, text));
    }
    let malformed = || Fault::text(400, "Invalid X-Timestamp");
    times::parse_x_timestamp(timestamp).ok_or_else(malformed)
}

async fn there(call: &Call) -> Outcome<Option<Object>> {
    match call.look(&call.place(), VersionRef::Current).await {
        Ok(found) => Ok(Some(found.object)),
        Err(fault) if fault.status() == 404 => Ok(None),
        Err(fault) => Err(fault),
    }
}

async fn put(mut call: Call, input: Input, time: Timestamp) -> Outcome<Response<Body>> {
    let there = there(&call).await?;
    if there
        .as_ref()
        .is_some_and(|there| facts::timestamp(there) >= time)
    {
        return Ok(page(202));
    }
    call.received = Some(Received {
        time,
        over: there.as_ref().map(Object::revision),
    });
    let answered = object::answer(&call, input).await;
    answered.map_err(|fault| match fault.status() {
        // Something else came in between: to be sent again.
        412 => Fault::new(503),
        _ => fault,
    })
}

async fn delete(call: &Call, time: Timestamp) -> Outcome<Response<Body>> {
    let there = there(call).await?.ok_or_else(|| Fault::new(404))?;
    if facts::timestamp(&there) >= time {
        return Err(Fault::new(409));
    }
    let place = call.place();
    let bucket = call.bucket_name(&place.account, &place.container)?;
    let key = key(&place.object)?;
    let grant = call.on_object(Action::DeleteObject, &bucket, &key).await?;
    let delete = DeleteObject::current(bucket, key, still(&there.revision()), Object::revision);
    call.swift.store.delete(&[grant], delete).await?;
    Ok(empty(204))
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
