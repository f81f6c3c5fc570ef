//! COPY and MOVE with a Destination (RFC 4918 §9.8, §9.9): within the server, by reference.

use crate::conditions;
use crate::refusal::{Answer, Refusal};
use crate::representation::{path_of, tag_of};
use crate::route::{Call, Target, target};
use crate::write::written;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, Key, Precondition, Result};
use trestle_http::{Client, parse_precondition};
use trestle_store::{
    CopyObject, Object, ObjectProperties, PutOutcome, RenameObject, Source, VersionRef,
};

const DESTINATION: HeaderName = HeaderName::from_static("destination");
const OVERWRITE: HeaderName = HeaderName::from_static("overwrite");
const DEPTH: HeaderName = HeaderName::from_static("depth");

fn single<'a>(call: &'a Call<'_>, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = call.request.headers().get_all(name).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text.trim())),
        _ => Err(Error::invalid(format!("the {name} header is malformed"))),
    }
}

/// Where to: a path below `/rest`, or the same as a URL of this very host.
pub(crate) fn destination(call: &Call<'_>) -> Answer<(BucketName, Key)> {
    let wrong = |detail: &str| Refusal::from(Error::invalid(detail));
    let text = single(call, &DESTINATION)?.ok_or_else(|| wrong("Destination is missing"))?;
    // A fragment would be cut off, and the target be another one.
    if text.contains('#') {
        return Err(wrong("a # in Destination must be escaped"));
    }
    let url: http::Uri = text.parse().map_err(|_| wrong("Destination is no URL"))?;
    if let Some(authority) = url.authority() {
        let client = call.request.extensions().get::<Client>();
        if !client.is_some_and(|c| c.authority.eq_ignore_ascii_case(authority.as_str())) {
            let detail = "objects are copied within this server only";
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, detail));
        }
    }
    if url.query().is_some() || !url.path().starts_with("/rest/") {
        return Err(wrong("Destination is a path of an object below /rest/"));
    }
    match target(url.path())? {
        Target::Object(bucket, key) => Ok((bucket, key)),
        _ => Err(wrong("Destination is a path of an object below /rest/")),
    }
}

/// What must hold of what is there: nothing, unless it may not be overwritten.
fn overwrite(call: &Call<'_>) -> Result<Precondition> {
    match single(call, &OVERWRITE)? {
        None | Some("T") => Ok(Precondition::none()),
        Some("F") => Ok(Precondition::absent()),
        Some(_) => Err(Error::invalid("Overwrite is T or F")),
    }
}

/// Where conditions are demanded, whether the target may be replaced has to be said: the conditions
/// are on the source.
async fn target_said(call: &Call<'_>, bucket: &BucketName) -> Answer<()> {
    if single(call, &OVERWRITE)?.is_some() {
        return Ok(());
    }
    conditions::demand(&call.rest.store, bucket, &HeaderMap::new()).await
}

/// What a copy has of its source: everything that describes it, nothing that protects it.
pub(crate) fn kept(source: &Object) -> Result<ObjectProperties> {
    Ok(ObjectProperties {
        acl: None,
        retention: None,
        legal_hold: false,
        hold_lifted: false,
        ..source.properties()
    })
}

/// Moves an object: it keeps its id, its version and its history.
pub(crate) async fn rename(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    if !matches!(single(&call, &DEPTH)?, None | Some("infinity")) {
        return Err(Error::invalid("Depth of a MOVE is infinity").into());
    }
    let (to_bucket, to_key) = destination(&call)?;
    let from = Resource::Object(bucket.clone(), key.clone());
    let to = Resource::Object(to_bucket.clone(), to_key.clone());
    let grants = [
        call.grant(Action::DeleteObject, from).await?,
        call.grant(Action::WriteObject, to).await?,
    ];
    let headers = call.request.headers();
    conditions::demand(&call.rest.store, &bucket, headers).await?;
    target_said(&call, &to_bucket).await?;
    let location = path_of(&to_bucket, Some(to_key.as_str()));
    let rename = RenameObject {
        bucket,
        key,
        to_bucket,
        to_key,
        precondition: parse_precondition(call.request.headers())?,
        target: overwrite(&call)?,
        tag_of,
    };
    let outcome = call.rest.store.rename(&grants, &rename).await?;
    written(&outcome, &location)
}

/// Copies an object, or one of its versions.
pub(crate) async fn copy(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    if !matches!(single(&call, &DEPTH)?, None | Some("0" | "infinity")) {
        return Err(Error::invalid("Depth is 0 or infinity").into());
    }
    let version = call.parameters.version("version")?;
    let (to_bucket, to_key) = destination(&call)?;
    let precondition = overwrite(&call)?;
    let action = match version {
        VersionRef::Current => Action::ReadObject,
        _ => Action::ReadObjectVersion,
    };
    let from = Resource::Object(bucket.clone(), key.clone());
    let source_grant = call.grant(action, from.clone()).await?;
    let to = Resource::Object(to_bucket.clone(), to_key.clone());
    let grant = call.grant(Action::WriteObject, to).await?;
    target_said(&call, &to_bucket).await?;
    let location = path_of(&to_bucket, Some(to_key.as_str()));
    let copy = CopyObject {
        encrypt: None,
        source: Source {
            key_of_client: None,
            itself: false,
            bucket,
            key,
            version,
            precondition: parse_precondition(call.request.headers())?,
            tag_of,
            range: None,
        },
        bucket: to_bucket,
        key: to_key,
        precondition,
        tag_of,
        checksum: None,
    };
    let store = &call.rest.store;
    let outcome = store.copy(&source_grant, &grant, copy, &kept).await?;
    let outcome = PutOutcome {
        object: outcome.object,
        created: outcome.created,
    };
    written(&outcome, &location)
}
