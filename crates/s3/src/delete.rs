//! Deleting: one object, or up to a thousand.

use crate::answer;
use crate::call::{self, Call};
use crate::document::{self, DeleteKey};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::listing::NAMESPACE;
use crate::object::{etag, version_id};
use crate::time::parse_any_seconds;
use futures::future::join_all;
use http::{HeaderMap, Response};
use std::collections::BTreeMap;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{ErrorKind, Key, Noun, Precondition, Tag, TagMatch};
use trestle_http::{Body, XmlWriter, parse_precondition};
use trestle_store::{DeleteObject, DeleteOutcome, History, Object, TagOf, VersionRef};

/// How many keys of one request go at once: their commits share a flush.
const AT_ONCE: usize = 16;

/// The rights that a delete takes.
async fn grants(
    call: &Call<'_>,
    key: &Key,
    version: VersionRef,
    bypass: bool,
) -> Result<Vec<Grant>, S3Error> {
    let resource = Resource::Object(call.bucket()?.clone(), key.clone());
    let action = match version {
        VersionRef::Current | VersionRef::Ended => Action::DeleteObject,
        VersionRef::Null | VersionRef::Id(_) => Action::DeleteObjectVersion,
    };
    // Each of many names its version in the document.
    let context = call.of_version(version);
    let delete = call.grant_in(action, resource.clone(), context.clone());
    let mut grants = vec![delete.await?];
    let bypassing = call.grant_in(Action::BypassRetention, resource, context);
    // Who may not pass over a retention deletes what has none.
    if bypass && let Ok(grant) = bypassing.await {
        grants.push(grant);
    }
    Ok(grants)
}

/// What one delete is to do.
struct Wanted {
    key: Key,
    version: VersionRef,
    precondition: Precondition,
    size: Option<u64>,
    modified: Option<u64>,
}

/// Deletes; what is not there counts as deleted, and is none.
async fn delete(
    call: &Call<'_>,
    wanted: Wanted,
    bypass: bool,
) -> Result<Option<DeleteOutcome>, S3Error> {
    let grants = grants(call, &wanted.key, wanted.version, bypass).await?;
    let (precondition, tag_of) = wanted.condition();
    let conditional = precondition.if_match.is_some();
    let more = wanted.size.is_some() || wanted.modified.is_some();
    let delete = DeleteObject {
        bucket: call.bucket()?.clone(),
        key: wanted.key.clone(),
        version: wanted.version,
        history: History::ByBucket,
        mark_missing: !conditional,
        precondition,
        tag_of,
    };
    match call.s3.store.delete(&grants, delete).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound(Noun::Object | Noun::Version) => Ok(None),
            // Conditions are of what is there.
            ErrorKind::PreconditionFailed if wanted.is_missing(call).await => Ok(None),
            ErrorKind::PreconditionFailed if !more => {
                Err(S3Error::from(error).field("Condition", "If-Match"))
            }
            _ => Err(error.into()),
        },
    }
}

/// What a delete's conditions are compared with, when they are of more than the entity tag.
macro_rules! tags {
    ($($name:ident = $($part:ident)+;)*) => {$(
        fn $name(object: &Object) -> String {
            [$($part(object)),+].join(" ")
        }
    )*};
}

tags! {
    size_and_time = size time;
    tag_and_size = etag size;
    tag_and_time = etag time;
    all = etag size time;
}

fn size(object: &Object) -> String {
    object.length().to_string()
}

fn time(object: &Object) -> String {
    object.modified.seconds().to_string()
}

impl Wanted {
    /// The conditions as one: they are compared at once, in the commit that deletes.
    fn condition(&self) -> (Precondition, TagOf) {
        let tag = match &self.precondition.if_match {
            Some(TagMatch::Tags(tags)) => tags.first().map(|tag| tag.opaque.clone()),
            Some(TagMatch::Any) | None => None,
        };
        let size_text = self.size.map(|size| size.to_string());
        let time_text = self.modified.map(|time| time.to_string());
        let tag_of: TagOf = match (&tag, &size_text, &time_text) {
            (_, None, None) => return (self.precondition.clone(), etag),
            (None, Some(_), None) => size,
            (None, None, Some(_)) => time,
            (None, Some(_), Some(_)) => size_and_time,
            (Some(_), Some(_), None) => tag_and_size,
            (Some(_), None, Some(_)) => tag_and_time,
            (Some(_), Some(_), Some(_)) => all,
        };
        let parts: Vec<String> = [tag, size_text, time_text].into_iter().flatten().collect();
        let wanted = Tag {
            opaque: parts.join(" "),
            weak: false,
        };
        let precondition = Precondition {
            if_match: Some(TagMatch::Tags(vec![wanted])),
            ..Precondition::default()
        };
        (precondition, tag_of)
    }

    /// Whether there is nothing to compare the conditions with. A delete marker is something, which
    /// only a condition of any state holds for.
    async fn is_missing(&self, call: &Call<'_>) -> bool {
        let Ok(bucket) = call.bucket() else {
            return false;
        };
        let any = self.precondition.if_match == Some(TagMatch::Any);
        let owner = call
            .s3
            .store
            .object_owner(bucket, &self.key, self.version)
            .await;
        owner.is_err_and(|error| {
            matches!(error.kind(), ErrorKind::NotFound(_)) && (any || error.marker().is_none())
        })
    }
}

fn marker_headers(headers: &mut HeaderMap, version: VersionRef, outcome: &DeleteOutcome) {
    if let Some(marker) = &outcome.marker {
        headers::set(headers, "x-amz-delete-marker", "true");
        headers::set(headers, "x-amz-version-id", &version_id(marker));
        return;
    }
    let Some(removed) = outcome
        .removed
        .as_ref()
        .filter(|_| version != VersionRef::Current)
    else {
        return;
    };
    if removed.is_marker() {
        headers::set(headers, "x-amz-delete-marker", "true");
    }
    headers::set(headers, "x-amz-version-id", &version_id(removed));
}

pub(crate) async fn one(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let version = call.version()?;
    let bypass = headers::flag(&call.headers, "x-amz-bypass-governance-retention")?;
    let number = |name| -> Result<Option<&str>, S3Error> { headers::text(&call.headers, name) };
    let wrong = |name: &'static str, text: &str| S3Error::argument(name, text, "Invalid value");
    let size = match number("x-amz-if-match-size")? {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| wrong("x-amz-if-match-size", text))?,
        ),
    };
    let name = "x-amz-if-match-last-modified-time";
    let modified = match number(name)? {
        None => None,
        Some(text) => Some(parse_any_seconds(text).ok_or_else(|| wrong(name, text))?),
    };
    let wanted = Wanted {
        key: call.key()?.clone(),
        version,
        precondition: Precondition {
            if_match: parse_precondition(&call.headers)?.if_match,
            ..Precondition::default()
        },
        size,
        modified,
    };
    let outcome = delete(&call, wanted, bypass).await?;
    let mut response = answer::no_content();
    if let Some(outcome) = &outcome {
        marker_headers(response.headers_mut(), version, outcome);
    }
    Ok(response)
}

/// What one key of many asks for.
fn wanted(item: &DeleteKey) -> Result<Wanted, S3Error> {
    let version = match &item.version {
        None => VersionRef::Current,
        Some(text) => call::version(text).map_err(|_| {
            S3Error::new(Code::NoSuchVersion, "The specified version does not exist.")
        })?,
    };
    let if_match = item.etag.as_deref().map(|tag| match tag.trim() {
        "*" => TagMatch::Any,
        tag => TagMatch::Tags(vec![Tag {
            opaque: tag.trim_matches('"').to_owned(),
            weak: false,
        }]),
    });
    Ok(Wanted {
        key: call::key(&item.key)?,
        version,
        precondition: Precondition {
            if_match,
            ..Precondition::default()
        },
        size: item.size,
        modified: item.modified,
    })
}

pub(crate) async fn many(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bypass = headers::flag(&call.headers, "x-amz-bypass-governance-retention")?;
    if call.s3.store.bucket_settings(call.bucket()?).await.is_err() {
        return Err(S3Error::new(
            Code::NoSuchBucket,
            "The specified bucket does not exist",
        ));
    }
    let (quiet, items) = document::delete(&call.document().await?)?;
    let groups = by_key(&items);
    let mut outcomes = BTreeMap::new();
    for some in groups.chunks(AT_ONCE) {
        let some = some.iter().map(|group| in_order(&call, group, bypass));
        outcomes.extend(join_all(some).await.into_iter().flatten());
    }
    let mut document = XmlWriter::new();
    document.open_with("DeleteResult", &[("xmlns", NAMESPACE)]);
    for (item, outcome) in items.iter().zip(outcomes.into_values()) {
        match outcome {
            Ok(_) if quiet => {}
            Ok(marker) => deleted(&mut document, item, marker.as_deref()),
            Err(error) => {
                document.open("Error").leaf("Key", &item.key);
                document.leaf_if("VersionId", item.version.as_deref());
                document
                    .leaf("Code", error.code().name())
                    .leaf("Message", error.message())
                    .close();
            }
        }
    }
    Ok(answer::xml(document))
}

/// What is asked of each key, with its place in the request.
fn by_key(items: &[DeleteKey]) -> Vec<Vec<(usize, &DeleteKey)>> {
    let mut groups: BTreeMap<&str, Vec<(usize, &DeleteKey)>> = BTreeMap::new();
    for (place, item) in items.iter().enumerate() {
        groups.entry(&item.key).or_default().push((place, item));
    }
    groups.into_values().collect()
}

/// Deletes what is asked of one key, one after the other: each finds what the former left.
async fn in_order(
    call: &Call<'_>,
    group: &[(usize, &DeleteKey)],
    bypass: bool,
) -> Vec<(usize, Result<Option<String>, S3Error>)> {
    let mut outcomes = Vec::with_capacity(group.len());
    for (place, item) in group {
        let outcome = match wanted(item) {
            Ok(wanted) => delete(call, wanted, bypass).await,
            Err(error) => Err(error),
        };
        // The objects themselves may be large, and there are a thousand of them.
        let marker = outcome.map(|outcome| outcome.and_then(|outcome| marker(item, &outcome)));
        outcomes.push((*place, marker));
    }
    outcomes
}

/// The delete marker that a delete made or removed.
fn marker(item: &DeleteKey, outcome: &DeleteOutcome) -> Option<String> {
    let removed = outcome.removed.as_ref();
    let removed = removed.filter(|removed| item.version.is_some() && removed.is_marker());
    outcome.marker.as_ref().or(removed).map(version_id)
}

fn deleted(document: &mut XmlWriter, item: &DeleteKey, marker: Option<&str>) {
    document.open("Deleted").leaf("Key", &item.key);
    document.leaf_if("VersionId", item.version.as_deref());
    if let Some(marker) = marker {
        document
            .leaf("DeleteMarker", "true")
            .leaf("DeleteMarkerVersionId", marker);
    }
    document.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_many_name_versions_and_conditions() {
        let item = |version: Option<&str>, etag: Option<&str>| DeleteKey {
            key: "k".to_owned(),
            version: version.map(str::to_owned),
            etag: etag.map(str::to_owned),
            size: None,
            modified: None,
        };
        let found = wanted(&item(Some("null"), Some("\"e\""))).ok().unwrap();
        assert_eq!(found.version, VersionRef::Null);
        assert!(
            matches!(found.precondition.if_match, Some(TagMatch::Tags(tags)) if tags[0].opaque == "e")
        );
        let any = wanted(&item(None, Some("*"))).ok().unwrap();
        assert_eq!(any.precondition.if_match, Some(TagMatch::Any));
        let bad = wanted(&item(Some("x"), None)).err().unwrap();
        assert_eq!(bad.code(), Code::NoSuchVersion);
    }
}
