//! What a container holds: the listing of its objects, and of all their versions.

use crate::call::{Call, empty, text};
use crate::container::{Container, key};
use crate::facts;
use crate::fault::{Fault, Outcome};
use crate::listing::{self, Format, Row};
use crate::query::Query;
use crate::{times, versions};
use http::Response;
use serde_json::{Value, json};
use trestle_access::Action;
use trestle_core::{BucketName, ErrorKind, Noun, Precondition};
use trestle_http::Body;
use trestle_store::{
    DeleteObject, History, ListObjects, ListVersions, Listing, ListingItem, Object, VersionItem,
    VersionRef, Versioning,
};

/// The answer to a GET of a container.
pub(crate) async fn listed(
    call: &Call,
    container: &Container,
    format: Format,
    limit: usize,
) -> Outcome<Response<Body>> {
    let name = call.container_name();
    let rows = match call.query.has("versions") {
        true if call
            .query
            .get("format")
            .is_some_and(|format| format != "json")
            || listing::best(&call.headers, &[Format::Json]).is_none() =>
        {
            return Err(Fault::new(406));
        }
        true => versions_of(call, container, limit).await?,
        false => objects_of(call, container, &call.query, limit).await?,
    };
    let format = match call.query.has("versions") {
        true => Format::Json,
        false => format,
    };
    let body = listing::render(format, listing::CONTAINER, name, &rows);
    Ok(match body.is_empty() {
        true => empty(204),
        false => text(200, format.media_type(), body),
    })
}

/// A page of a bucket's keys.
pub(crate) async fn page(call: &Call, list: &ListObjects) -> Outcome<Listing> {
    let grant = call.on_bucket(Action::ListObjects, &list.bucket).await?;
    Ok(call.swift.store.list(&grant, list).await?)
}

/// The rows of a container's listing by a query.
pub(crate) async fn objects_of(
    call: &Call,
    container: &Container,
    query: &Query,
    limit: usize,
) -> Outcome<Vec<Row>> {
    let own = |name| query.some(name).map(str::to_owned);
    let path = query.get("path").map(|path| match path {
        "" => String::new(),
        path => format!("{}/", path.trim_end_matches('/')),
    });
    let bucket = call.bucket_of(container);
    let mut list = ListObjects {
        bucket: bucket.clone(),
        prefix: path.clone().or_else(|| own("prefix")).unwrap_or_default(),
        delimiter: match path {
            Some(_) => Some("/".to_owned()),
            None => own("delimiter"),
        },
        after: own("marker"),
        until: own("end_marker"),
        reverse: query.is_true("reverse"),
        limit,
    };
    let mut rows = Vec::new();
    while rows.len() < limit {
        list.limit = limit - rows.len();
        let Listing { items, next } = page(call, &list).await?;
        for item in items {
            match item {
                // The pseudo-directory itself is not in it.
                ListingItem::Object(object) if path.as_deref() == Some(object.key.as_str()) => {}
                ListingItem::Object(object) => rows.push(row(call, container, &object)),
                ListingItem::Prefix(prefix) if path.is_some() => {
                    if let Some(object) = marker(call, &bucket, &prefix).await? {
                        rows.push(row(call, container, &object));
                    }
                }
                ListingItem::Prefix(prefix) => rows.push(Row::Subdir(prefix)),
            }
        }
        match next {
            Some(next) => list.after = Some(next),
            None => break,
        }
    }
    Ok(rows)
}

/// The object that marks a pseudo-directory.
async fn marker(call: &Call, bucket: &BucketName, name: &str) -> Outcome<Option<Object>> {
    let key = key(name)?;
    let grant = call
        .on_object(Action::ReadObjectMetadata, bucket, &key)
        .await?;
    let found = call
        .swift
        .store
        .head_itself(&grant, bucket, &key, VersionRef::Current)
        .await;
    match found {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Object) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Call {
    /// The name of a container's bucket.
    pub(crate) fn bucket_of(&self, container: &Container) -> BucketName {
        let bucket = &container.bucket;
        BucketName::in_account(&bucket.owner.account, bucket.name.local())
            .unwrap_or_else(|_| bucket.name.clone())
    }
}

/// The row of a current object.
fn row(call: &Call, container: &Container, object: &Object) -> Row {
    let mut row = row_of(call, object);
    // An object of a container that keeps versions is a link to one.
    if container.versioning() != Versioning::Off
        && !object.null_version
        && let Row::Item { json_only, .. } = &mut row
    {
        json_only.retain(|(name, _)| *name == "slo_etag");
        let (account, name) = (&call.target.account, object.key.as_str());
        let path = format!("/v1/{account}/{}/{name}", call.container_name());
        let path = crate::target::quote(&path);
        let path = format!("{path}?version-id={}", versions::id(object));
        json_only.push(("symlink_path", json!(path)));
        json_only.push(("version_symlink", json!(true)));
    }
    row
}

/// The row of a version.
fn row_of(call: &Call, object: &Object) -> Row {
    let fields = vec![
        ("hash", json!(facts::hash(object))),
        ("bytes", json!(object.length())),
        ("content_type", json!(facts::content_type(object))),
        ("last_modified", json!(times::listed(object.modified))),
    ];
    let mut json_only: Vec<(&'static str, Value)> = Vec::new();
    if let Some(large) = facts::large(object) {
        json_only.push(("slo_etag", json!(format!("\"{}\"", large.etag))));
    }
    if let Some(link) = facts::link(object) {
        let account = match &link.account {
            Some(account) => account.clone(),
            None => crate::target::quote(&call.target.account),
        };
        json_only.push((
            "symlink_path",
            json!(format!("/v1/{account}/{}", link.target)),
        ));
        if let Some(etag) = link.etag {
            json_only.push(("symlink_etag", json!(etag)));
            json_only.push(("symlink_bytes", json!(link.bytes)));
        }
        if let Some(etag) = link.slo_etag {
            json_only.push(("slo_etag", json!(format!("\"{etag}\""))));
        }
    }
    Row::Item {
        name: object.key.as_str().to_owned(),
        fields,
        json_only,
    }
}

async fn versions_of(call: &Call, container: &Container, limit: usize) -> Outcome<Vec<Row>> {
    let own = |name| call.query.some(name).map(str::to_owned);
    let version_marker = match call.query.get("version_marker") {
        Some(_) if call.query.get("marker").is_none() => {
            return Err(Fault::html(400, "version_marker param requires marker"));
        }
        Some(text) => Some(
            versions::parse(text).map_err(|_| Fault::html(400, "invalid version_marker param"))?,
        ),
        None => None,
    };
    let delimiter = own("delimiter");
    let reverse = call.query.is_true("reverse");
    let bucket = call.bucket_of(container);
    let mut list = ListVersions {
        bucket: bucket.clone(),
        prefix: own("prefix").unwrap_or_default(),
        delimiter,
        // Backwards, the marker is where the listing ends.
        key_marker: match reverse {
            true => own("end_marker"),
            false => own("marker"),
        },
        version_marker: version_marker.filter(|_| !reverse),
        limit: listing::LIMIT_MAX,
    };
    let until = match reverse {
        true => own("marker"),
        false => own("end_marker"),
    };
    let end = version_marker.filter(|_| reverse);
    let mut rows = Vec::new();
    'pages: loop {
        if !reverse {
            list.limit = limit - rows.len();
        }
        let grant = call.on_bucket(Action::ListVersions, &bucket).await?;
        let page = call.swift.store.list_versions(&grant, &list).await?;
        for item in page.items {
            if let VersionItem::Version { object, .. } = &item {
                // While versions are suspended, a deletion leaves no note that Swift knows.
                if object.is_marker() && object.null_version {
                    continue;
                }
                // Backwards from a version, those of its key that are newer still count.
                if end.is_some_and(|end| {
                    Some(object.key.as_str()) == until.as_deref() && is(object, end)
                }) {
                    break 'pages;
                }
            }
            let row = version_row(call, item);
            let beyond = |until: &str| row.name() > until || end.is_none() && row.name() == until;
            if until.as_deref().is_some_and(beyond) {
                break 'pages;
            }
            rows.push(row);
        }
        match page.next {
            Some((key, version)) if reverse || rows.len() < limit => {
                (list.key_marker, list.version_marker) = (Some(key), version);
            }
            _ => break,
        }
        if rows.len() > 10 * listing::LIMIT_MAX {
            return Err(Fault::text(
                412,
                "Too many versions to list in reverse order; use a prefix",
            ));
        }
    }
    if reverse {
        rows.reverse();
        rows.truncate(limit);
    }
    Ok(rows)
}

/// Whether an object is the version that is meant.
fn is(object: &Object, version: VersionRef) -> bool {
    match version {
        VersionRef::Current | VersionRef::Ended => false,
        VersionRef::Null => object.null_version,
        VersionRef::Id(id) => object.version == id,
    }
}

/// Removes the notes of deletions, and what has ended and is yet to be deleted, when nothing else is
/// left beside. Whether there were only such.
pub(crate) async fn only_notes(call: &Call, bucket: &BucketName) -> Outcome<bool> {
    let list = ListVersions {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 1000,
    };
    let grant = call.on_bucket(Action::ListVersions, bucket).await?;
    let page = call.swift.store.list_versions(&grant, &list).await?;
    let ended = |object: &Object| object.expires.is_some_and(|expires| expires <= call.now);
    let note = |item: &VersionItem| match item {
        VersionItem::Version { object, .. } => {
            object.null_version && (object.is_marker() || ended(object))
        }
        VersionItem::Prefix(_) => false,
    };
    if !page.items.iter().all(note) || page.items.is_empty() {
        return Ok(false);
    }
    erase(call, bucket).await?;
    Ok(true)
}

fn version_row(call: &Call, item: VersionItem) -> Row {
    let (object, latest) = match item {
        VersionItem::Prefix(prefix) => return Row::Subdir(prefix),
        VersionItem::Version { object, latest } => (object, latest),
    };
    // After a null version that is none, Swift calls no version of its key the latest.
    let after_null = call.query.get("version_marker") == Some("null")
        && call.query.get("marker") == Some(object.key.as_str());
    let latest = latest && !after_null;
    let mut row = row_of(call, &object);
    if let Row::Item {
        json_only, fields, ..
    } = &mut row
    {
        json_only.push(("version_id", json!(versions::id(&object))));
        json_only.push(("is_latest", json!(latest)));
        if object.is_marker() {
            for (name, value) in fields {
                match *name {
                    "content_type" => *value = json!(versions::MARKER_TYPE),
                    "hash" => *value = json!("d41d8cd98f00b204e9800998ecf8427e"),
                    _ => {}
                }
            }
        }
    }
    row
}

/// Deletes all that a bucket holds.
pub(crate) async fn erase(call: &Call, bucket: &BucketName) -> Outcome<()> {
    let mut list = ListVersions {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 1000,
    };
    loop {
        let grant = call.on_bucket(Action::ListVersions, bucket).await?;
        let page = call.swift.store.list_versions(&grant, &list).await?;
        for item in page.items {
            let VersionItem::Version { object, .. } = item else {
                continue;
            };
            let mut grants = Vec::new();
            for action in [Action::DeleteObject, Action::DeleteObjectVersion] {
                grants.push(call.on_object(action, bucket, &object.key).await?);
            }
            let delete = DeleteObject {
                history: History::Erase,
                ..DeleteObject::current(
                    bucket.clone(),
                    object.key.clone(),
                    Precondition::none(),
                    facts::tag,
                )
            };
            match call.swift.store.delete(&grants, delete).await {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match page.next {
            Some((key, version)) => (list.key_marker, list.version_marker) = (Some(key), version),
            None => return Ok(()),
        }
    }
}
