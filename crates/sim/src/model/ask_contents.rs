//! Asking the store for contents made of others.

use super::ask::{grant, precondition, text_of, version};
use super::contents::{Contents, From, OfUpload, Place, Upload, named, text_of_uploads};
use super::joined::segments;
use super::state::{Model, Stored};
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, Error, Id, Key, Precondition, Result, UploadId};
use trestle_store::{
    BodyChecks, CompletePart, CompleteUpload, ComposeObject, CopyObject, CopyPart, CreateUpload,
    ListUploads, Object, ObjectProperties, Offset, PatchObject, PutObject, Source, Store,
    UploadItem, UploadKey, UploadPart, VersionRef,
};

pub(super) fn of_kind(kind: &str) -> ObjectProperties {
    ObjectProperties {
        representation: [("kind".to_owned(), kind.to_owned())].into(),
        ..ObjectProperties::default()
    }
}

fn body(bytes: &Bytes) -> impl futures::Stream<Item = Result<Bytes>> + Send + Unpin + use<> {
    let chunks: Vec<Result<Bytes>> = bytes
        .chunks(50_000)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    futures::stream::iter(chunks)
}

/// A source with the grant for it.
pub(super) fn source(model: &Model, from: &From) -> Result<(Grant, Source)> {
    let (bucket, key) = (
        BucketName::parse(from.bucket.as_str())?,
        Key::parse(from.key.as_str())?,
    );
    let version = version(model, (&bucket, &key), from.which);
    let action = match version {
        VersionRef::Current | VersionRef::Ended => Action::ReadObject,
        VersionRef::Null | VersionRef::Id(_) => Action::ReadObjectVersion,
    };
    let grant = grant(action, Resource::Object(bucket.clone(), key.clone()))?;
    let source = Source {
        bucket,
        key,
        version,
        precondition: Precondition::none(),
        tag_of: Object::revision,
        range: from.range,
        key_of_client: None,
        itself: false,
    };
    Ok((grant, source))
}

/// Asks the store.
pub(super) async fn ask(
    store: &Store,
    model: &Model,
    (bucket, key): (&str, &str),
    operation: &Contents,
) -> Result<String> {
    let found = model.get(bucket);
    let name = BucketName::parse(bucket)?;
    match operation {
        Contents::ListUploads => {
            let found = uploads(store, &name).await?;
            return Ok(text_of_uploads(&found));
        }
        Contents::Upload { nth, what } => {
            let upload = found.and_then(|found| found.uploads.get(*nth));
            return of_upload(store, model, (name, upload), what).await;
        }
        _ => {}
    }
    let current = found.and_then(|found| found.live(key, store.now().0));
    let key = Key::parse(key)?;
    let write = grant(
        Action::WriteObject,
        Resource::Object(name.clone(), key.clone()),
    )?;
    make(store, model, (name, key, write), (operation, current)).await
}

async fn make(
    store: &Store,
    model: &Model,
    (bucket, key, write): (BucketName, Key, Grant),
    (operation, current): (&Contents, Option<&Stored>),
) -> Result<String> {
    match operation {
        Contents::Copy {
            from,
            condition,
            kind,
        } => {
            let (read, source) = source(model, from)?;
            let copy = copy_of(source, (bucket, key), precondition(*condition, current));
            let properties = |object: &Object| Ok(kept(object, kind.as_deref()));
            let outcome = store.copy(&read, &write, copy, &properties).await?;
            Ok(text_of(&outcome.object))
        }
        Contents::Patch {
            place,
            bytes,
            condition,
            create,
        } => {
            let length = current.map_or(0, |current| current.bytes.len() as u64);
            let patch = PatchObject {
                bucket,
                key,
                precondition: precondition(*condition, current),
                tag_of: Object::revision,
                at: match place {
                    Place::At(at) => Offset::At(*at),
                    Place::End => Offset::End,
                    Place::EndOff(off) => Offset::EndAt(length.saturating_add_signed(*off)),
                },
                checks: BodyChecks::default(),
                create: create.then(|| of_kind("patched")),
            };
            let outcome = store.patch(&write, patch, body(bytes)).await?;
            Ok(text_of(&outcome.object))
        }
        Contents::Compose { sources, condition } => {
            let sources: Result<Vec<(Grant, Source)>> =
                sources.iter().map(|from| source(model, from)).collect();
            let (grants, sources): (Vec<Grant>, Vec<Source>) = sources?.into_iter().unzip();
            let compose = ComposeObject {
                sources,
                bucket,
                key,
                precondition: precondition(*condition, current),
                tag_of: Object::revision,
                properties: of_kind("composed"),
            };
            let outcome = store.compose(&grants, &write, compose).await?;
            Ok(text_of(&outcome.object))
        }
        Contents::Join { pieces, condition } => {
            let segments = segments(store, pieces).await?;
            let put = PutObject {
                encrypt: None,
                bucket,
                key,
                precondition: precondition(*condition, current),
                tag_of: Object::revision,
                properties: of_kind("joined"),
                checks: BodyChecks::default(),
                checksum: None,
            };
            let outcome = store.put_manifest(&write, put, &segments).await?;
            Ok(text_of(&outcome.object))
        }
        Contents::Begin { kind } => {
            let create = CreateUpload {
                bucket,
                key,
                properties: of_kind(kind),
                checksum: None,
                encrypt: None,
            };
            store.create_upload(&write, create).await?;
            Ok(String::new())
        }
        Contents::Upload { .. } | Contents::ListUploads => {
            Err(Error::invalid("not an operation on a key"))
        }
    }
}

/// A copy as the store takes it.
pub(super) fn copy_of(
    source: Source,
    (bucket, key): (BucketName, Key),
    precondition: Precondition,
) -> CopyObject {
    CopyObject {
        source,
        bucket,
        key,
        precondition,
        tag_of: Object::revision,
        checksum: None,
        encrypt: None,
    }
}

/// What a copy keeps: everything, or another kind.
pub(super) fn kept(object: &Object, kind: Option<&str>) -> ObjectProperties {
    match kind {
        Some(kind) => of_kind(kind),
        None => ObjectProperties {
            representation: object.representation.clone(),
            metadata: object.metadata.clone(),
            tags: object.tags.clone(),
            ..ObjectProperties::default()
        },
    }
}

/// The key of an upload, and how the store names it; of one that is not there, too.
pub(super) fn upload_of(bucket: &BucketName, upload: Option<&Upload>) -> Result<UploadKey> {
    let id = upload.and_then(|upload| Id::parse(&upload.id));
    Ok(UploadKey {
        bucket: bucket.clone(),
        key: Key::parse(upload.map_or("none", |upload| upload.key.as_str()))?,
        upload: UploadId(id.unwrap_or_default()),
    })
}

/// A completion as the store takes it.
pub(super) fn complete_of(
    store: &Store,
    model: &Model,
    (upload, to): (Option<&Upload>, UploadKey),
    what: &OfUpload,
) -> Result<CompleteUpload> {
    let OfUpload::Complete {
        mask,
        extra,
        bytes_min,
        condition,
    } = what
    else {
        return Err(Error::invalid("no completion"));
    };
    let found = model.get(to.bucket.as_str());
    let current = found.and_then(|found| found.live(to.key.as_str(), store.now().0));
    let numbers = upload.map(|upload| named(upload, *mask, *extra));
    let parts = numbers.unwrap_or_else(|| vec![1]).into_iter();
    Ok(CompleteUpload {
        upload: to,
        parts: parts
            .map(|number| CompletePart {
                number,
                expected: Vec::new(),
            })
            .collect(),
        part_bytes_min: *bytes_min,
        expected_length: None,
        expected_checksum: None,
        precondition: precondition(*condition, current),
        tag_of: Object::revision,
    })
}

async fn of_upload(
    store: &Store,
    model: &Model,
    (bucket, upload): (BucketName, Option<&Upload>),
    what: &OfUpload,
) -> Result<String> {
    let to = upload_of(&bucket, upload)?;
    let key = to.key.clone();
    let on = |action| grant(action, Resource::Object(bucket.clone(), key.clone()));
    match what {
        OfUpload::Send { number, bytes } => {
            let part = UploadPart {
                only_new: false,
                to,
                number: *number,
                checks: BodyChecks::default(),
                key_of_client: None,
            };
            let write = on(Action::WriteObject)?;
            let part = store.upload_part(&write, part, body(bytes)).await?;
            Ok(format!("{} {}", part.number, part.length))
        }
        OfUpload::Copy { number, from } => {
            let (read, source) = source(model, from)?;
            let write = on(Action::WriteObject)?;
            let copy = CopyPart {
                to,
                number: *number,
                source,
                key_of_client: None,
            };
            let (part, _) = store.upload_part_copy(&read, &write, copy).await?;
            Ok(format!("{} {}", part.number, part.length))
        }
        OfUpload::Complete { .. } => {
            let complete = complete_of(store, model, (upload, to), what)?;
            let write = on(Action::WriteObject)?;
            let outcome = store.complete_upload(&write, complete).await?;
            Ok(text_of(&outcome.object))
        }
        OfUpload::Abort => {
            let abort = on(Action::AbortUpload)?;
            store.abort_upload(&abort, &to).await?;
            Ok(String::new())
        }
    }
}

/// The uploads of a bucket as the store has them; parts have their lengths alone.
pub(super) async fn uploads(store: &Store, bucket: &BucketName) -> Result<Vec<Upload>> {
    let list = ListUploads {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        upload_marker: None,
        limit: 10_000,
    };
    let read = grant(Action::ListUploads, Resource::Bucket(bucket.clone()))?;
    let listing = store.list_uploads(&read, &list).await?;
    let mut found = Vec::new();
    for item in listing.items {
        let UploadItem::Upload(upload) = item else {
            return Err(Error::invalid("a prefix where none was asked for"));
        };
        let place = UploadKey {
            bucket: bucket.clone(),
            key: upload.key.clone(),
            upload: upload.id,
        };
        let resource = Resource::Object(bucket.clone(), upload.key.clone());
        let read = grant(Action::ListParts, resource)?;
        let listed = store.list_parts(&read, &place, 0, 10_000).await?;
        let parts: BTreeMap<u32, Bytes> = listed
            .parts
            .into_iter()
            .map(|part| (part.number, Bytes::from(vec![0; part.length as usize])))
            .collect();
        let kind = upload.properties.representation.get("kind");
        found.push(Upload {
            key: upload.key.as_str().to_owned(),
            id: upload.id.to_string(),
            kind: kind.cloned().unwrap_or_default(),
            parts,
        });
    }
    Ok(found)
}
