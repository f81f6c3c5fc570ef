//! Asking the store for volumes, snapshots, clones and transactions.

use super::ask::{change, delete_of, grant, grants, precondition, put_of, text_of, version};
use super::ask_contents::{complete_of, copy_of, kept, of_kind, source, upload_of};
use super::blocks::{self, Blocks, Step as Asked};
use super::contents::Contents;
use super::operation::{Condition, Operation};
use super::state::{Model, Stored};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, Error, ErrorKind, Key, Precondition, Result};
use trestle_store::{
    BodyChecks, ChangeVolume, CheckObject, CloneObject, CreateVolume, Object, Offset, PatchObject,
    RenameObject, Source, Step, Store, UpdateObject, VolumeChange,
};

fn live<'m>(store: &Store, model: &'m Model, (bucket, key): (&str, &str)) -> Option<&'m Stored> {
    let found = model.get(bucket);
    found.and_then(|found| found.live(key, store.now().0))
}

/// Asks the store.
pub(super) async fn ask(
    store: &Store,
    model: &Model,
    (bucket, key): (&str, &str),
    operation: &Blocks,
) -> Result<String> {
    if let Blocks::Transact(steps) = operation {
        return transact(store, model, steps).await;
    }
    let current = live(store, model, (bucket, key));
    let (bucket, key) = (BucketName::parse(bucket)?, Key::parse(key)?);
    let resource = Resource::Object(bucket.clone(), key.clone());
    let write = grant(Action::WriteObject, resource)?;
    let held = |condition: Condition| precondition(condition, current);
    match operation {
        Blocks::CreateVolume { size, condition } => {
            let create = CreateVolume {
                bucket,
                key,
                size: *size,
                precondition: held(*condition),
                tag_of: Object::revision,
                properties: of_kind("volume"),
            };
            let outcome = store.create_volume(&write, &create).await?;
            Ok(text_of(&outcome.object))
        }
        Blocks::Zeros {
            offset,
            length,
            condition,
        } => {
            let (offset, length) = (*offset, *length);
            let change = VolumeChange::Zeros { offset, length };
            let change = change_of((bucket, key), held(*condition), change);
            let outcome = store.change_volume(&write, &change).await?;
            Ok(text_of(&outcome.object))
        }
        Blocks::Resize { size, condition } => {
            let change = VolumeChange::Resize { size: *size };
            let change = change_of((bucket, key), held(*condition), change);
            let outcome = store.change_volume(&write, &change).await?;
            Ok(text_of(&outcome.object))
        }
        Blocks::Flush => {
            let flush = PatchObject {
                bucket,
                key,
                precondition: Precondition::none(),
                tag_of: Object::revision,
                at: Offset::At(0),
                checks: BodyChecks::default(),
                create: None,
            };
            let object = store.flush_volume(&write, &flush).await?;
            Ok(text_of(&object))
        }
        Blocks::Clone {
            from,
            condition,
            frozen,
        } => {
            let (read, source) = source(model, from)?;
            let clone = CloneObject {
                source: Source {
                    itself: true,
                    ..source
                },
                bucket,
                key,
                precondition: held(*condition),
                tag_of: Object::revision,
                frozen: *frozen,
            };
            let outcome = store.clone_object(&read, &write, &clone).await?;
            Ok(text_of(&outcome.object))
        }
        Blocks::Check { .. } | Blocks::Transact(_) => Err(Error::invalid("no verb of its own")),
    }
}

fn change_of(
    (bucket, key): (BucketName, Key),
    precondition: Precondition,
    change: VolumeChange,
) -> ChangeVolume {
    ChangeVolume {
        bucket,
        key,
        precondition,
        tag_of: Object::revision,
        change,
    }
}

async fn transact(store: &Store, model: &Model, asked: &[Asked]) -> Result<String> {
    let steps: Result<Vec<Step>> = asked
        .iter()
        .map(|step| step_of(store, model, step))
        .collect();
    match store.transact(&steps?).await {
        Ok(outcomes) => {
            let told = outcomes.iter().map(|outcome| {
                let length = outcome.object.as_ref().map(Object::length);
                format!("{} {length:?}", outcome.created)
            });
            Ok(format!("{:?}", told.collect::<Vec<_>>()))
        }
        Err(failed) => {
            let stopped = [ErrorKind::Unavailable, ErrorKind::Internal];
            if stopped.contains(&failed.error.kind()) {
                return Err(failed.error);
            }
            let expected = blocks::transact(&mut model.clone(), store.now().0, asked);
            match expected {
                Err((step, _)) if step != failed.step => Ok(format!(
                    "refused at {:?} and not at {step:?}: {}",
                    failed.step, failed.error
                )),
                _ => Err(failed.error),
            }
        }
    }
}

/// A verb of a transaction as the store takes it.
fn step_of(store: &Store, model: &Model, step: &Asked) -> Result<Step> {
    let bucket = BucketName::parse(step.bucket.as_str())?;
    let key = Key::parse(step.key.as_str())?;
    let place = || (bucket.clone(), key.clone());
    let resource = Resource::Object(bucket.clone(), key.clone());
    let current = live(store, model, (&step.bucket, &step.key));
    let (write, now) = (grant(Action::WriteObject, resource.clone())?, store.now());
    Ok(match &step.operation {
        Operation::Put { bytes, .. } => Step::Put {
            grant: write,
            put: Box::new(put_of(place(), &step.operation, (current, now))?),
            body: bytes.clone(),
        },
        Operation::Delete { bypass, .. } => Step::Delete {
            grants: grants(&resource, *bypass)?,
            delete: Box::new(delete_of(store, model, place(), &step.operation)?),
        },
        Operation::Update {
            which,
            property,
            bypass,
        } => {
            let property = property.clone();
            Step::Update {
                grants: grants(&resource, *bypass)?,
                update: Box::new(UpdateObject {
                    version: version(model, (&bucket, &key), *which),
                    bucket,
                    key,
                    precondition: Precondition::none(),
                    tag_of: Object::revision,
                }),
                change: Box::new(move |properties| {
                    change(properties, &property, now.0);
                    Ok(())
                }),
            }
        }
        Operation::Rename {
            bucket: to_bucket,
            key: to_key,
        } => rename_of(place(), (to_bucket, to_key))?,
        Operation::Contents(Contents::Copy {
            from,
            condition,
            kind,
        }) => {
            let (source_grant, source) = source(model, from)?;
            let kind = kind.clone();
            Step::Copy {
                source_grant,
                grant: write,
                copy: Box::new(copy_of(source, place(), precondition(*condition, current))),
                properties: Box::new(move |object| Ok(kept(object, kind.as_deref()))),
            }
        }
        Operation::Contents(Contents::Upload { nth, what }) => {
            let upload = model.get(&step.bucket);
            let upload = upload.and_then(|bucket| bucket.uploads.get(*nth));
            let to = upload_of(&bucket, upload)?;
            let resource = Resource::Object(bucket, to.key.clone());
            Step::Complete {
                grant: grant(Action::WriteObject, resource)?,
                complete: Box::new(complete_of(store, model, (upload, to), what)?),
            }
        }
        Operation::Blocks(Blocks::Check { condition }) => Step::Check {
            grant: grant(Action::ReadObjectMetadata, resource)?,
            check: Box::new(CheckObject {
                bucket,
                key,
                precondition: precondition(*condition, current),
                tag_of: Object::revision,
            }),
        },
        _ => return Err(Error::invalid("not a verb of a transaction")),
    })
}

fn rename_of((bucket, key): (BucketName, Key), (to_bucket, to_key): (&str, &str)) -> Result<Step> {
    let (to_bucket, to_key) = (BucketName::parse(to_bucket)?, Key::parse(to_key)?);
    let on = |action, bucket: &BucketName, key: &Key| -> Result<Grant> {
        grant(action, Resource::Object(bucket.clone(), key.clone()))
    };
    Ok(Step::Rename {
        grants: vec![
            on(Action::DeleteObject, &bucket, &key)?,
            on(Action::WriteObject, &to_bucket, &to_key)?,
        ],
        rename: Box::new(RenameObject {
            bucket,
            key,
            to_bucket,
            to_key,
            precondition: Precondition::none(),
            target: Precondition::none(),
            tag_of: Object::revision,
        }),
    })
}
