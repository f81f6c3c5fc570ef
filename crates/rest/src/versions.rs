//! Versions of a bucket's keys, and of one key, from the newest to the oldest.

use crate::refusal::Answer;
use crate::representation::{path_of, tag_of, timestamp};
use crate::route::{Call, page};
use serde_json::{Value, json};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Key};
use trestle_store::{ListVersions, Object, VersionItem, VersionListing, VersionRef};

fn version_text(version: VersionRef) -> Option<String> {
    match version {
        VersionRef::Current | VersionRef::Ended => None,
        VersionRef::Null => Some("null".to_owned()),
        VersionRef::Id(id) => Some(id.to_string()),
    }
}

fn entry(bucket: &BucketName, object: &Object, latest: bool) -> Value {
    let path = path_of(bucket, Some(object.key.as_str()));
    let mut entry = json!({
        "key": object.key.as_str(),
        "version": object.version.to_string(),
        "latest": latest,
        "modified": timestamp(object.modified),
    });
    let more = if object.is_marker() {
        json!({"deleted": true})
    } else {
        json!({
            "size": object.length(),
            "etag": tag_of(object),
            "href": format!("{path}?version={}", object.version),
        })
    };
    if let (Value::Object(entry), Value::Object(more)) = (&mut entry, more) {
        entry.extend(more);
    }
    entry
}

async fn list(call: &Call<'_>, list: &ListVersions) -> trestle_core::Result<VersionListing> {
    let resource = Resource::Bucket(list.bucket.clone());
    let grant = call.grant(Action::ListVersions, resource).await?;
    call.rest.store.list_versions(&grant, list).await
}

/// `GET /rest/{bucket}/?versions`.
pub(crate) async fn of_bucket(call: Call<'_>, bucket: BucketName) -> Answer {
    let parameters = &call.parameters;
    let asked = ListVersions {
        bucket: bucket.clone(),
        prefix: parameters.get("prefix").unwrap_or_default().to_owned(),
        delimiter: parameters.text("delimiter"),
        key_marker: parameters.text("after"),
        version_marker: match parameters.version("after_version")? {
            VersionRef::Current => None,
            version => Some(version),
        },
        limit: parameters.limit()?,
    };
    let listing = list(&call, &asked).await?;
    let items: Vec<Value> = listing
        .items
        .iter()
        .map(|item| match item {
            VersionItem::Version { object, latest } => entry(&bucket, object, *latest),
            VersionItem::Prefix(prefix) => json!({"prefix": prefix}),
        })
        .collect();
    let next = listing.next.map(|(key, version)| {
        let version = version.and_then(version_text);
        let replaced = [
            ("after", Some(key.as_str())),
            ("after_version", version.as_deref()),
        ];
        format!(
            "{}{}",
            call.request.uri().path(),
            parameters.with(&replaced)
        )
    });
    answer(&bucket, items, next)
}

/// `GET /rest/{bucket}/{key}?versions`.
pub(crate) async fn of_key(call: Call<'_>, bucket: BucketName, key: Key) -> Answer {
    let parameters = &call.parameters;
    let after = match parameters.version("after_version")? {
        VersionRef::Current => None,
        version => Some(version),
    };
    let asked = ListVersions {
        bucket: bucket.clone(),
        prefix: key.as_str().to_owned(),
        delimiter: None,
        key_marker: after.is_some().then(|| key.as_str().to_owned()),
        version_marker: after,
        limit: parameters.limit()?,
    };
    let listing = list(&call, &asked).await?;
    // Of the keys that begin with this one it is the first.
    let items: Vec<Value> = listing
        .items
        .iter()
        .map_while(|item| match item {
            VersionItem::Version { object, latest } if object.key == key => {
                Some(entry(&bucket, object, *latest))
            }
            _ => None,
        })
        .collect();
    let all = items.len() < listing.items.len();
    let next = listing
        .next
        .filter(|(next, _)| !all && next == key.as_str());
    let next = next.and_then(|(_, version)| version.and_then(version_text));
    let next = next.map(|version| {
        let query = parameters.with(&[("after_version", Some(&version))]);
        format!("{}{query}", call.request.uri().path())
    });
    if items.is_empty() && after.is_none() {
        return Err(trestle_core::Error::not_found(trestle_core::Noun::Object, key).into());
    }
    answer(&bucket, items, next)
}

fn answer(bucket: &BucketName, items: Vec<Value>, next: Option<String>) -> Answer {
    let mut content = json!({"bucket": bucket.as_str(), "items": items});
    if let (Some(next), Some(content)) = (&next, content.as_object_mut()) {
        content.insert("next".to_owned(), Value::String(next.clone()));
    }
    page(&content, next.as_deref())
}
