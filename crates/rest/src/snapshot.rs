//! Snapshots and clones over HTTP: `/-/snapshots` and `/-/clones`. A snapshot of `key` with the name
//! `name` is the object `key@name` beside it, which never changes; one of a bucket, or of a directory
//! in it, is read as the bucket `bucket__name`.

use crate::document;
use crate::refusal::{Answer, Refusal};
use crate::representation::{header, identify, path_of, tag_of, timestamp};
use crate::route::{Asker, Call, page};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, Key, Precondition, Result};
use trestle_http::{Body, parse_precondition};
use trestle_store::{
    CloneBucket, CloneObject, CreateSnapshot, ListObjects, ListingItem, Object, Source, VersionRef,
};

/// Largest document.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Longest name of a snapshot, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Objects that one page of a listing looks at.
const PAGE: usize = 1000;

/// What a snapshot is of.
enum Of {
    Object(Key),
    /// Of all keys that start with this.
    Below(String),
}

impl Of {
    /// Nothing is the bucket, and a directory ends in `/`.
    fn parse(key: Option<&str>) -> Result<Self> {
        match key {
            None | Some("") => Ok(Of::Below(String::new())),
            Some(key) if key.ends_with('/') => Ok(Of::Below(key.to_owned())),
            Some(key) => Key::parse(key).map(Of::Object),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    bucket: String,
    key: Option<String>,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clone {
    bucket: String,
    key: Option<String>,
    to_bucket: Option<String>,
    to_key: Option<String>,
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format!("the body is not understood: {error}")))
}

/// The document of a request, which has no conditions: nothing is replaced by it.
async fn document_of(call: Call<'_>) -> Answer<(Asker<'_>, Bytes)> {
    if !parse_precondition(call.request.headers())?.is_none() {
        let detail = "conditions on a snapshot or a clone are not supported";
        return Err(Refusal::unsupported(detail));
    }
    call.document(BODY_BYTES_MAX).await
}

/// The object that a document names. Nothing is cloned into a directory.
fn key_of(key: &str) -> Answer<Key> {
    match key.ends_with('/') {
        true => Err(Refusal::unsupported(
            "the clone of a directory is a bucket: say its name as to_bucket, and no to_key",
        )),
        false => Ok(Key::parse(key)?),
    }
}

/// The key of a snapshot.
fn snapshot_key(key: &Key, name: &str) -> Result<Key> {
    let sound = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(['/', '@']);
    if !sound {
        return Err(Error::invalid(format!(
            "a snapshot's name has 1 to {NAME_BYTES_MAX} bytes, without / and @"
        )));
    }
    Key::parse(format!("{}@{name}", key.as_str()))
}

/// POST: makes a snapshot.
pub(crate) async fn create(call: Call<'_>) -> Answer {
    let (asker, body) = document_of(call).await?;
    let Snapshot { bucket, key, name } = parse(&body)?;
    let bucket = BucketName::parse_qualified(&bucket)?;
    match Of::parse(key.as_deref())? {
        Of::Object(key) => {
            let to = (bucket.clone(), snapshot_key(&key, &name)?);
            clone(&asker, (bucket, key), to, true).await
        }
        Of::Below(prefix) => {
            let create = CreateSnapshot {
                bucket,
                prefix,
                name,
            };
            create_below(&asker, &create).await
        }
    }
}

/// Makes a snapshot of a bucket or a directory.
async fn create_below(asker: &Asker<'_>, create: &CreateSnapshot) -> Answer {
    let resource = Resource::Bucket(create.bucket.clone());
    let grant = asker.grant(Action::CreateSnapshot, resource).await?;
    let made = asker.rest.store.create_snapshot(&grant, create).await?;
    created(&shown_below(&made), &path_of(&made.reads_as, None))
}

fn shown_below(snapshot: &trestle_store::Snapshot) -> Value {
    let mut shown = json!({
        "name": snapshot.name,
        "bucket": snapshot.bucket.as_str(),
        "reads_as": snapshot.reads_as.as_str(),
        "created": timestamp(snapshot.created),
        "href": path_of(&snapshot.reads_as, None),
    });
    if let Some(members) = shown
        .as_object_mut()
        .filter(|_| !snapshot.prefix.is_empty())
    {
        members.insert("key".to_owned(), snapshot.prefix.as_str().into());
    }
    shown
}

/// What was made, and where it is.
fn created(document: &Value, location: &str) -> Answer {
    let mut response = Response::new(Body::full(document.to_string()));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    header(headers, LOCATION, location)?;
    Ok(response)
}

/// POST: makes a clone, which can be written.
pub(crate) async fn create_clone(call: Call<'_>) -> Answer {
    let (asker, body) = document_of(call).await?;
    let asked: Clone = parse(&body)?;
    let bucket = BucketName::parse_qualified(&asked.bucket)?;
    let to_bucket = asked.to_bucket.as_deref();
    let to_bucket = to_bucket.map(BucketName::parse_qualified).transpose()?;
    let key = asked.key.as_deref().unwrap_or_default();
    if key.is_empty() || key.ends_with('/') {
        let missing = || Error::invalid("the clone needs a name of its own: to_bucket");
        if asked.to_key.is_some() {
            let message = "a bucket or a directory is cloned as a bucket, not as an object";
            return Err(Refusal::unsupported(message));
        }
        let clone = CloneBucket {
            source: bucket,
            prefix: key.to_owned(),
            name: to_bucket.ok_or_else(missing)?,
        };
        return clone_whole(&asker, &clone).await;
    }
    let key = key_of(key)?;
    let to_bucket = to_bucket.unwrap_or_else(|| bucket.clone());
    let to_key = match asked.to_key.as_deref() {
        Some(key) => key_of(key)?,
        None => key.clone(),
    };
    clone(&asker, (bucket, key), (to_bucket, to_key), false).await
}

/// Clones a bucket, a snapshot of one, or a directory in either.
async fn clone_whole(asker: &Asker<'_>, clone: &CloneBucket) -> Answer {
    let of = Resource::Bucket(clone.source.clone());
    let to = Resource::Bucket(clone.name.clone());
    let grants = [
        asker.grant(Action::CloneBucket, of).await?,
        asker.grant(Action::CreateBucket, to).await?,
    ];
    let made = asker.rest.store.clone_bucket(&grants, clone).await?;
    let document = json!({
        "bucket": made.name.as_str(),
        "clone_of": clone.source.as_str(),
        "created": timestamp(made.created),
        "href": path_of(&made.name, None),
    });
    created(&document, &path_of(&made.name, None))
}

async fn clone(
    asker: &Asker<'_>,
    (bucket, key): (BucketName, Key),
    (to_bucket, to_key): (BucketName, Key),
    frozen: bool,
) -> Answer {
    let from = Resource::Object(bucket.clone(), key.clone());
    let to = Resource::Object(to_bucket.clone(), to_key.clone());
    let source_grant = asker.grant(Action::ReadObject, from).await?;
    let grant = asker.grant(Action::WriteObject, to).await?;
    let clone = CloneObject {
        source: Source {
            key_of_client: None,
            itself: true,
            bucket,
            key,
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of,
            range: None,
        },
        bucket: to_bucket.clone(),
        key: to_key.clone(),
        precondition: Precondition::absent(),
        tag_of,
        frozen,
    };
    let store = &asker.rest.store;
    let object = store
        .clone_object(&source_grant, &grant, &clone)
        .await?
        .object;
    let document = shown(&to_bucket, &object)?;
    let mut response = created(&document, &path_of(&to_bucket, Some(to_key.as_str())))?;
    identify(&object, response.headers_mut())?;
    Ok(response)
}

/// What is told of a snapshot or a clone to whoever made it.
fn shown(bucket: &BucketName, object: &Object) -> Result<Value> {
    let mut shown = document::of_object(bucket, object)?;
    // What may be made may not all be read.
    if let Some(members) = shown.as_object_mut() {
        members.retain(|name, _| {
            [
                "bucket", "key", "etag", "version", "size", "volume", "snapshot", "href", "created",
            ]
            .contains(&name.as_str())
        });
    }
    Ok(shown)
}

/// GET: the snapshots of an object, of a directory, or of a bucket and its directories.
pub(crate) async fn list(call: Call<'_>) -> Answer {
    let missing = || Error::invalid("the parameter bucket is missing");
    let bucket = call.parameters.get("bucket").ok_or_else(missing)?;
    let bucket = BucketName::parse_qualified(bucket)?;
    match Of::parse(call.parameters.get("key"))? {
        Of::Object(key) => list_of(&call, bucket, &key).await,
        Of::Below(prefix) => list_below(&call, bucket, &prefix).await,
    }
}

async fn list_below(call: &Call<'_>, bucket: BucketName, prefix: &str) -> Answer {
    let resource = Resource::Bucket(bucket.clone());
    let grant = call.grant(Action::ReadBucket, resource).await?;
    let all = call.rest.store.list_snapshots(&grant, &bucket).await?;
    let after = call.parameters.get("after").unwrap_or_default();
    let wanted = |snapshot: &&trestle_store::Snapshot| {
        (prefix.is_empty() || snapshot.prefix == prefix) && snapshot.name.as_str() > after
    };
    let mut all: Vec<_> = all.iter().filter(wanted).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let all: Vec<Value> = all.into_iter().map(shown_below).collect();
    page(&json!({"snapshots": all, "next": null}), None)
}

async fn list_of(call: &Call<'_>, bucket: BucketName, key: &Key) -> Answer {
    let resource = Resource::Bucket(bucket.clone());
    let grant = call.grant(Action::ListObjects, resource).await?;
    let prefix = format!("{}@", key.as_str());
    let list = ListObjects {
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        delimiter: None,
        after: call
            .parameters
            .get("after")
            .map(|name| format!("{prefix}{name}")),
        until: None,
        reverse: false,
        limit: PAGE,
    };
    let listing = call.rest.store.list(&grant, &list).await?;
    let snapshots = listing.items.iter().filter_map(|item| match item {
        ListingItem::Object(object) if object.frozen => {
            let name = object.key.as_str().strip_prefix(&prefix)?;
            // Another object's, whose key goes on after the sign.
            let own = !name.contains(['/', '@']);
            own.then(|| {
                json!({
                    "name": name,
                    "bucket": bucket.as_str(),
                    "key": object.key.as_str(),
                    "size": object.length(),
                    "etag": tag_of(object),
                    "created": timestamp(object.created),
                    "href": path_of(&bucket, Some(object.key.as_str())),
                })
            })
        }
        _ => None,
    });
    let snapshots: Vec<Value> = snapshots.collect();
    let next = listing
        .next
        .as_deref()
        .and_then(|next| next.strip_prefix(&prefix));
    page(&json!({"snapshots": snapshots, "next": next}), None)
}
