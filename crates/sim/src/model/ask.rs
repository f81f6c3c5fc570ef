//! Asking the store what the model was asked, and making its answers comparable.

use super::{Condition, Operation, Stored};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use trestle_access::{Action, Asked, Facts, Grant, Principal, Resource, decide};
use trestle_core::{
    AccountId, BucketName, Error, ErrorKind, Key, Precondition, Result, Tag, TagMatch,
};
use trestle_store::{
    BodyChecks, DeleteObject, ListBuckets, ListObjects, ListingItem, Object, ObjectBytes,
    ObjectProperties, PutObject, ReadObject, Store, VersionRef,
};

fn text_of(object: &Object) -> String {
    let kind = object
        .representation
        .get("kind")
        .cloned()
        .unwrap_or_default();
    let metadata = serde_json::to_string(&object.metadata).unwrap_or_default();
    format!(
        "{} {} {kind} {metadata}",
        object.revision(),
        object.length()
    )
}

fn precondition(condition: Condition, current: Option<&Stored>) -> Precondition {
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

fn grant(action: Action, resource: Resource) -> Result<Grant> {
    let asked = Asked {
        principal: Arc::new(Principal::root(AccountId::parse("root")?, "root")),
        action,
        resource,
        context: Arc::default(),
    };
    // Of no facts: each verb decides it again on what it finds.
    let undecided = || Error::new(ErrorKind::Internal, "root needs no object to be decided on");
    decide(asked, &Facts::default())?.ok_or_else(undecided)
}

/// Asks the store.
pub(super) async fn ask(
    store: &Store,
    bucket: &str,
    key: &str,
    operation: &Operation,
    current: Option<&Stored>,
) -> Result<String> {
    if let Operation::ListBuckets { prefix, limit } = operation {
        let account = AccountId::parse("root")?;
        let grant = grant(Action::ListBuckets, Resource::Account(account.clone()))?;
        let list = ListBuckets {
            account,
            prefix: prefix.clone(),
            after: None,
            until: None,
            reverse: false,
            limit: *limit,
        };
        let (buckets, next) = store.list_buckets(&grant, &list).await?;
        let names: Vec<&str> = buckets
            .iter()
            .map(|(bucket, _)| bucket.name.as_str())
            .collect();
        return Ok(format!("{names:?} {next:?}"));
    }
    let name = BucketName::parse(bucket)?;
    let of_bucket = |action| grant(action, Resource::Bucket(name.clone()));
    match operation {
        Operation::CreateBucket => {
            store
                .create_bucket(&of_bucket(Action::CreateBucket)?, &name)
                .await?;
            return Ok(String::new());
        }
        Operation::DeleteBucket => {
            store
                .delete_bucket(&of_bucket(Action::DeleteBucket)?, &name)
                .await?;
            return Ok(String::new());
        }
        Operation::Bucket => {
            let (_, usage) = store.bucket(&of_bucket(Action::ReadBucket)?, &name).await?;
            return Ok(format!("{} {}", usage.objects, usage.bytes));
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
                ListingItem::Object(object) => {
                    format!(
                        "{:?} {} {}",
                        object.key.as_str(),
                        object.length(),
                        object.revision()
                    )
                }
                ListingItem::Prefix(prefix) => format!("{prefix:?}/"),
            };
            let shown: Vec<String> = listing.items.iter().map(item).collect();
            return Ok(format!("{shown:?} {:?}", listing.next));
        }
        _ => {}
    }
    ask_object(store, name, Key::parse(key)?, operation, current).await
}

async fn ask_object(
    store: &Store,
    bucket: BucketName,
    key: Key,
    operation: &Operation,
    current: Option<&Stored>,
) -> Result<String> {
    let granted = |action| grant(action, Resource::Object(bucket.clone(), key.clone()));
    match operation {
        Operation::Put {
            bytes,
            kind,
            metadata,
            condition,
            declared,
        } => {
            let grant = granted(Action::WriteObject)?;
            let put = PutObject {
                bucket,
                key,
                precondition: precondition(*condition, current),
                tag_of: Object::revision,
                properties: ObjectProperties {
                    representation: [("kind".to_owned(), kind.clone())].into(),
                    metadata: metadata.clone(),
                    ..ObjectProperties::default()
                },
                checks: BodyChecks {
                    declared_length: (bytes.len() as u64).checked_add_signed(*declared),
                    ..BodyChecks::default()
                },
                checksum: None,
            };
            let chunks: Vec<Result<Bytes>> = bytes
                .chunks(50_000)
                .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
                .collect();
            let outcome = store
                .put(&grant, put, futures::stream::iter(chunks))
                .await?;
            Ok(text_of(&outcome.object))
        }
        Operation::Head => {
            let grant = granted(Action::ReadObjectMetadata)?;
            Ok(text_of(
                &store
                    .head(&grant, &bucket, &key, VersionRef::Current)
                    .await?,
            ))
        }
        Operation::Delete { condition } => {
            let grant = granted(Action::DeleteObject)?;
            let precondition = precondition(*condition, current);
            let delete = DeleteObject::current(bucket, key, precondition, Object::revision);
            let outcome = store.delete(&[grant], delete).await?;
            Ok(outcome.removed.as_ref().map(text_of).unwrap_or_default())
        }
        Operation::Read { range } => {
            let grant = granted(Action::ReadObject)?;
            let reader = store
                .open_object(
                    &grant,
                    &ReadObject {
                        bucket,
                        key,
                        version: VersionRef::Current,
                    },
                )
                .await?;
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
        _ => Err(trestle_core::Error::invalid(
            "not an operation on an object",
        )),
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
