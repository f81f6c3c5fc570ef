//! Asking the store what the model was asked, and making its answers comparable.

use super::ask_blocks;
use super::ask_contents;
use super::operation::{Condition, ListedVersions, Operation, Property, Which};
use super::snapshots;
use super::state::{Model, Stored};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use trestle_access::{Action, Asked, Facts, Grant, Principal, Resource, Seen, decide};
use trestle_core::{
    AccountId, BucketName, Error, ErrorKind, Id, Key, Precondition, Result, Tag, TagMatch,
    Timestamp, VersionId,
};
use trestle_store::{
    BodyChecks, Content, CreateDirectory, DeleteDirectory, DeleteObject, History, JobState,
    ListBuckets, ListObjects, ListVersions, ListingItem, Object, ObjectBytes, ObjectProperties,
    PutObject, Quota, ReadObject, RenameDirectory, RenameObject, Retention, RetentionMode, Store,
    TreeOutcome, UpdateObject, VersionItem, VersionRef,
};

pub(super) fn text_of(object: &Object) -> String {
    let kind = object.representation.get("kind").map(String::as_str);
    let kind = match object.content {
        Content::DeleteMarker => "marker",
        Content::Directory => "directory",
        _ => kind.unwrap_or_default(),
    };
    let metadata = serde_json::to_string(&object.metadata).unwrap_or_default();
    let retention = object
        .retention
        .map(|r| (r.mode == RetentionMode::Compliance, r.until.0));
    format!(
        "{} {} {kind} {metadata} {:?} {} {retention:?} {:?} {} {} {}",
        object.revision(),
        object.length(),
        object.tags.get("tag"),
        object.legal_hold,
        object.expires.map(|expires| expires.0),
        object.null_version,
        object.is_volume(),
        object.frozen,
    )
}

pub(super) fn precondition(condition: Condition, current: Option<&Stored>) -> Precondition {
    let tag = |opaque: &str| {
        let tag = Tag {
            opaque: opaque.to_owned(),
            weak: false,
        };
        Precondition {
            if_match: Some(TagMatch::Tags(vec![tag])),
            ..Precondition::default()
        }
    };
    match condition {
        Condition::None => Precondition::none(),
        Condition::Absent => Precondition::absent(),
        Condition::Current => tag(current.map_or("nothing", |stored| &stored.revision)),
        Condition::Other => tag("other"),
    }
}

pub(super) fn grant(action: Action, resource: Resource) -> Result<Grant> {
    let asked = Asked {
        principal: Arc::new(Principal::root(AccountId::parse("root")?, "root")),
        action,
        resource,
        context: Arc::default(),
    };
    // Of no facts, and of no object: each verb decides it again on what it finds.
    let facts = Facts {
        object: Seen::Absent,
        ..Facts::default()
    };
    let undecided = || {
        Error::new(
            ErrorKind::Internal,
            "root needs nothing more to be decided on",
        )
    };
    decide(asked, &facts)?.ok_or_else(undecided)
}

/// Asks the store.
pub(super) async fn ask(
    store: &Store,
    model: &Model,
    (bucket, key): (&str, &str),
    operation: &Operation,
) -> Result<String> {
    match operation {
        Operation::ListBuckets { prefix, limit } => {
            return list_buckets(store, prefix, *limit).await;
        }
        Operation::Contents(made) => {
            let asked = ask_contents::ask(store, model, (bucket, key), made);
            return Box::pin(asked).await;
        }
        Operation::Blocks(blocks) => {
            let asked = ask_blocks::ask(store, model, (bucket, key), blocks);
            return Box::pin(asked).await;
        }
        Operation::Snapshots(made) => {
            let asked = snapshots::ask(store, model, (bucket, key), made);
            return Box::pin(asked).await;
        }
        Operation::Expire => {
            let count = store.expire_due(10_000).await?;
            store.tidy().await?;
            return Ok(count.to_string());
        }
        _ => {}
    }
    let name = BucketName::parse(bucket)?;
    match operation {
        Operation::CreateBucket
        | Operation::DeleteBucket
        | Operation::Bucket
        | Operation::Versioning(_)
        | Operation::Quota(..)
        | Operation::List(_)
        | Operation::ListVersions(_) => ask_bucket(store, model, name, operation).await,
        Operation::Delete { .. } | Operation::Update { .. } | Operation::Reinstate(_) => {
            change_version(store, model, (name, Key::parse(key)?), operation).await
        }
        Operation::Rename { .. } | Operation::DeleteTree { .. } | Operation::RenameTree { .. } => {
            move_keys(store, (name, Key::parse(key)?), operation).await
        }
        _ => ask_object(store, model, (name, Key::parse(key)?), operation).await,
    }
}

async fn list_buckets(store: &Store, prefix: &str, limit: usize) -> Result<String> {
    let account = AccountId::parse("root")?;
    let grant = grant(Action::ListBuckets, Resource::Account(account.clone()))?;
    let list = ListBuckets {
        account,
        prefix: prefix.to_owned(),
        after: None,
        until: None,
        reverse: false,
        limit,
    };
    let (buckets, next) = store.list_buckets(&grant, &list).await?;
    let names: Vec<&str> = buckets
        .iter()
        .map(|(bucket, _)| bucket.name.as_str())
        .collect();
    Ok(format!("{names:?} {next:?}"))
}

async fn ask_bucket(
    store: &Store,
    model: &Model,
    name: BucketName,
    operation: &Operation,
) -> Result<String> {
    let of_bucket = |action| grant(action, Resource::Bucket(name.clone()));
    match operation {
        Operation::CreateBucket => {
            let grant = of_bucket(Action::CreateBucket)?;
            store.create_bucket(&grant, &name).await?;
        }
        Operation::DeleteBucket => {
            let grant = of_bucket(Action::DeleteBucket)?;
            store.delete_bucket(&grant, &name).await?;
        }
        Operation::Bucket => {
            let grant = of_bucket(Action::ReadBucket)?;
            let (bucket, usage) = store.bucket(&grant, &name).await?;
            let totals = (
                usage.objects,
                usage.bytes,
                usage.versions,
                usage.version_bytes,
            );
            let versioning = bucket.properties.versioning;
            let Quota { bytes, objects } = bucket.properties.quota;
            return Ok(format!("{versioning:?} {totals:?} {:?}", (bytes, objects)));
        }
        Operation::Versioning(versioning) => {
            let grants = [of_bucket(Action::WriteBucketVersioning)?];
            store
                .update_bucket(&grants, &name, &|properties| {
                    properties.versioning = *versioning;
                    Ok(())
                })
                .await?;
        }
        Operation::Quota(bytes, objects) => {
            let grants = [of_bucket(Action::WriteBucketQuota)?];
            let quota = Quota {
                bytes: *bytes,
                objects: *objects,
            };
            store
                .update_bucket(&grants, &name, &|properties| {
                    properties.quota = quota;
                    Ok(())
                })
                .await?;
        }
        Operation::List(listed) => {
            let list = ListObjects {
                bucket: name.clone(),
                prefix: listed.prefix.clone(),
                delimiter: listed.delimiter.clone(),
                after: listed.after.clone(),
                until: listed.until.clone(),
                reverse: listed.reverse,
                limit: listed.limit,
            };
            let listing = store.list(&of_bucket(Action::ListObjects)?, &list).await?;
            let item = |item: &ListingItem| match item {
                ListingItem::Object(object) => format!(
                    "{:?} {} {}",
                    object.key.as_str(),
                    object.length(),
                    object.revision()
                ),
                ListingItem::Prefix(prefix) => format!("{prefix:?}/"),
            };
            let shown: Vec<String> = listing.items.iter().map(item).collect();
            return Ok(format!("{shown:?} {:?}", listing.next));
        }
        Operation::ListVersions(listed) => {
            return list_versions(store, model, name, listed).await;
        }
        _ => return Err(Error::invalid("not an operation on a bucket")),
    }
    Ok(String::new())
}

async fn list_versions(
    store: &Store,
    model: &Model,
    name: BucketName,
    listed: &ListedVersions,
) -> Result<String> {
    let marker = listed.marker.as_ref();
    let version_marker = marker.and_then(|(key, nth)| {
        let versions = model.get(name.as_str())?.keys.get(key);
        let version = versions.and_then(|versions| versions.get((*nth)?));
        // One that is not there leaves the key alone as the marker, in the model too.
        version.map(reference).or(nth.map(|_| VersionRef::Current))
    });
    let list = ListVersions {
        bucket: name.clone(),
        prefix: listed.prefix.clone(),
        delimiter: listed.delimiter.clone(),
        key_marker: marker.map(|(key, _)| key.clone()),
        version_marker: version_marker.filter(|version| *version != VersionRef::Current),
        limit: listed.limit,
    };
    let grant = grant(Action::ListVersions, Resource::Bucket(name))?;
    let listing = store.list_versions(&grant, &list).await?;
    let item = |item: &VersionItem| match item {
        VersionItem::Version { object, latest } => {
            format!("{:?} {latest} {}", object.key.as_str(), text_of(object))
        }
        VersionItem::Prefix(prefix) => format!("{prefix:?}/"),
    };
    let shown: Vec<String> = listing.items.iter().map(item).collect();
    let next = listing.next.map(|(key, _)| key);
    Ok(format!("{shown:?} {next:?}"))
}

/// The key, the revision and the own length of all versions of a bucket.
pub(super) async fn revisions(store: &Store, bucket: &str) -> Result<Vec<(String, String, u64)>> {
    let name = BucketName::parse(bucket)?;
    let grant = grant(Action::ListVersions, Resource::Bucket(name.clone()))?;
    let list = ListVersions {
        bucket: name,
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 10_000,
    };
    let listing = store.list_versions(&grant, &list).await?;
    let line = |item| match item {
        VersionItem::Version { object, .. } => {
            let key = object.key.as_str().to_owned();
            (key, object.revision(), object.stored_length())
        }
        VersionItem::Prefix(prefix) => (prefix, String::new(), 0),
    };
    Ok(listing.items.into_iter().map(line).collect())
}

/// Lets jobs go on; says whether one still runs.
pub(super) async fn carry_on_jobs(store: &Store) -> Result<bool> {
    store.continue_jobs().await?;
    let account = AccountId::parse("root")?;
    let of_account = grant(Action::ListBuckets, Resource::Account(account.clone()))?;
    let list = ListBuckets {
        account,
        prefix: String::new(),
        after: None,
        until: None,
        reverse: false,
        limit: 10,
    };
    let (buckets, _) = store.list_buckets(&of_account, &list).await?;
    for (bucket, _) in buckets {
        let grant = grant(Action::ReadBucket, Resource::Bucket(bucket.name.clone()))?;
        for job in store.jobs(&grant, &bucket.name).await? {
            match job.state {
                JobState::Running => return Ok(true),
                JobState::Done => {}
                JobState::Failed(message) => return Err(Error::invalid(message)),
            }
        }
    }
    Ok(false)
}

/// How the store names a version of the model.
fn reference(version: &Stored) -> VersionRef {
    let id = u128::from_str_radix(version.id(), 16).unwrap_or_default();
    VersionRef::Id(VersionId(Id(id.to_be_bytes())))
}

pub(super) fn version(
    model: &Model,
    (bucket, key): (&BucketName, &Key),
    which: Which,
) -> VersionRef {
    match which {
        Which::Current => VersionRef::Current,
        Which::Null => VersionRef::Null,
        Which::Nth(n) => {
            let versions = model.get(bucket.as_str());
            let versions = versions.and_then(|bucket| bucket.keys.get(key.as_str()));
            let nth = versions.and_then(|versions| versions.get(n));
            nth.map_or(VersionRef::Id(VersionId(Id::default())), reference)
        }
    }
}

async fn ask_object(
    store: &Store,
    model: &Model,
    (bucket, key): (BucketName, Key),
    operation: &Operation,
) -> Result<String> {
    let granted = |action| grant(action, Resource::Object(bucket.clone(), key.clone()));
    let now = store.now();
    let current = model.get(bucket.as_str());
    let current = current.and_then(|found| found.live(key.as_str(), now.0));
    match operation {
        Operation::Put { bytes, .. } => {
            let grant = granted(Action::WriteObject)?;
            let put = put_of((bucket, key), operation, (current, now))?;
            let chunks: Vec<Result<Bytes>> = bytes
                .chunks(50_000)
                .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
                .collect();
            let outcome = store
                .put(&grant, put, futures::stream::iter(chunks))
                .await?;
            Ok(text_of(&outcome.object))
        }
        Operation::CreateDirectory { condition } => {
            let grant = granted(Action::WriteObject)?;
            let create = CreateDirectory {
                bucket,
                key,
                precondition: precondition(*condition, current),
                tag_of: Object::revision,
                properties: ObjectProperties::default(),
            };
            let outcome = store.create_directory(&grant, &create).await?;
            Ok(text_of(&outcome.object))
        }
        Operation::Head(which) => {
            let grant = granted(match which {
                Which::Current => Action::ReadObjectMetadata,
                _ => Action::ReadObjectVersionMetadata,
            })?;
            let version = version(model, (&bucket, &key), *which);
            let object = store.head(&grant, &bucket, &key, version).await?;
            Ok(text_of(&object))
        }
        Operation::Read { which, range } => {
            let grant = granted(match which {
                Which::Current => Action::ReadObject,
                _ => Action::ReadObjectVersion,
            })?;
            let version = version(model, (&bucket, &key), *which);
            let read = ReadObject {
                bucket,
                key,
                version,
            };
            let reader = store.open_object(&grant, &read).await?;
            let length = reader.object().length();
            let whole = trestle_core::ResolvedRange {
                start: 0,
                end: length,
            };
            let range = range.map_or(Ok(whole), |range| range.resolve(length))?;
            let mut read = Vec::new();
            match reader.into_bytes(range).await? {
                ObjectBytes::Whole(bytes) => read.extend_from_slice(&bytes),
                ObjectBytes::Stream(mut stream) => {
                    while let Some(chunk) = stream.next().await {
                        read.extend_from_slice(&chunk?);
                    }
                }
            }
            Ok(fingerprint(&read))
        }
        _ => Err(Error::invalid("not an operation on an object")),
    }
}

/// A write as the store takes it, without its bytes.
pub(super) fn put_of(
    (bucket, key): (BucketName, Key),
    operation: &Operation,
    (current, now): (Option<&Stored>, Timestamp),
) -> Result<PutObject> {
    let Operation::Put {
        bytes,
        kind,
        metadata,
        condition,
        declared,
        expires,
    } = operation
    else {
        return Err(Error::invalid("no write"));
    };
    Ok(PutObject {
        encrypt: None,
        bucket,
        key,
        precondition: precondition(*condition, current),
        tag_of: Object::revision,
        properties: ObjectProperties {
            representation: [("kind".to_owned(), kind.clone())].into(),
            metadata: metadata.clone(),
            expires: expires.map(|after| Timestamp(now.0 + after)),
            ..ObjectProperties::default()
        },
        checks: BodyChecks {
            declared_length: (bytes.len() as u64).checked_add_signed(*declared),
            ..BodyChecks::default()
        },
        checksum: None,
    })
}

/// All grants for a resource, that to pass over retention only when `bypass` is set.
pub(super) fn grants(resource: &Resource, bypass: bool) -> Result<Vec<Grant>> {
    let some = Action::ALL
        .iter()
        .filter(|action| bypass || **action != Action::BypassRetention);
    some.map(|action| grant(*action, resource.clone()))
        .collect()
}

/// A delete as the store takes it.
pub(super) fn delete_of(
    store: &Store,
    model: &Model,
    (bucket, key): (BucketName, Key),
    operation: &Operation,
) -> Result<DeleteObject> {
    let Operation::Delete {
        which,
        condition,
        history,
        mark_missing,
        ..
    } = operation
    else {
        return Err(Error::invalid("no delete"));
    };
    let found = model.get(bucket.as_str());
    let target = found.and_then(|found| found.target(key.as_str(), *which, store.now().0));
    Ok(DeleteObject {
        version: version(model, (&bucket, &key), *which),
        history: *history,
        mark_missing: *mark_missing,
        ..DeleteObject::current(
            bucket,
            key,
            precondition(*condition, target),
            Object::revision,
        )
    })
}

async fn change_version(
    store: &Store,
    model: &Model,
    (bucket, key): (BucketName, Key),
    operation: &Operation,
) -> Result<String> {
    let resource = Resource::Object(bucket.clone(), key.clone());
    match operation {
        Operation::Delete { bypass, .. } => {
            let delete = delete_of(store, model, (bucket, key), operation)?;
            let outcome = store.delete(&grants(&resource, *bypass)?, delete).await?;
            let removed = outcome.removed.as_ref().map(text_of);
            Ok(format!("{removed:?} {}", outcome.marker.is_some()))
        }
        Operation::Reinstate(which) => {
            let version = version(model, (&bucket, &key), *which);
            let grants = grants(&resource, false)?;
            let object = store.reinstate(&grants, &bucket, &key, version).await?;
            Ok(text_of(&object))
        }
        Operation::Update {
            which,
            property,
            bypass,
        } => {
            let update = UpdateObject {
                version: version(model, (&bucket, &key), *which),
                bucket: bucket.clone(),
                key: key.clone(),
                precondition: Precondition::none(),
                tag_of: Object::revision,
            };
            let now = store.now().0;
            let grants = grants(&resource, *bypass)?;
            let updated = store
                .update_object(&grants, &update, &|properties| {
                    change(properties, property, now);
                    Ok(())
                })
                .await?;
            Ok(text_of(&updated))
        }
        _ => Err(Error::invalid("not an operation on a version")),
    }
}

pub(super) fn change(properties: &mut ObjectProperties, property: &Property, now: u64) {
    match property {
        Property::Metadata(metadata) => properties.metadata = metadata.clone(),
        Property::Tag(tag) => _ = properties.tags.insert("tag".to_owned(), tag.clone()),
        Property::Untag => properties.tags.clear(),
        Property::Hold(hold) => properties.legal_hold = *hold,
        Property::Retain(strict, after) => {
            properties.retention = Some(Retention {
                mode: match strict {
                    true => RetentionMode::Compliance,
                    false => RetentionMode::Governance,
                },
                until: Timestamp(now + after),
            });
        }
        Property::Release => properties.retention = None,
        Property::Expires(after) => {
            properties.expires = after.map(|after| Timestamp(now + after));
        }
    }
}

async fn move_keys(
    store: &Store,
    (bucket, key): (BucketName, Key),
    operation: &Operation,
) -> Result<String> {
    let on = |action, bucket: &BucketName, key: &Key| {
        grant(action, Resource::Object(bucket.clone(), key.clone()))
    };
    let delete = on(Action::DeleteObject, &bucket, &key)?;
    let outcome = match operation {
        Operation::Rename {
            bucket: to_bucket,
            key: to_key,
        } => {
            let (to_bucket, to_key) = (
                BucketName::parse(to_bucket.as_str())?,
                Key::parse(to_key.as_str())?,
            );
            let grants = [delete, on(Action::WriteObject, &to_bucket, &to_key)?];
            let rename = RenameObject {
                bucket,
                key,
                to_bucket,
                to_key,
                precondition: Precondition::none(),
                target: Precondition::none(),
                tag_of: Object::revision,
            };
            let outcome = store.rename(&grants, &rename).await?;
            return Ok(format!("{} {}", text_of(&outcome.object), outcome.created));
        }
        Operation::DeleteTree { erase } => {
            let versions = on(Action::DeleteObjectVersion, &bucket, &key)?;
            let delete_directory = DeleteDirectory {
                bucket,
                prefix: key,
                history: match erase {
                    true => History::Erase,
                    false => History::ByBucket,
                },
            };
            let grants = [delete, versions];
            store.delete_directory(&grants, &delete_directory).await?
        }
        Operation::RenameTree {
            bucket: to_bucket,
            prefix,
        } => {
            let (to_bucket, to_prefix) = (
                BucketName::parse(to_bucket.as_str())?,
                Key::parse(prefix.as_str())?,
            );
            let grants = [delete, on(Action::WriteObject, &to_bucket, &to_prefix)?];
            let rename = RenameDirectory {
                bucket,
                prefix: key,
                to_bucket,
                to_prefix,
            };
            store.rename_directory(&grants, &rename).await?
        }
        _ => return Err(Error::invalid("not an operation that moves keys")),
    };
    match outcome {
        TreeOutcome::Done { keys } => Ok(keys.to_string()),
        TreeOutcome::Started(_) => Ok("a job".to_owned()),
    }
}

/// Length and FNV-1a sum.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    for byte in bytes {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{} {sum:x}", bytes.len())
}
