//! Objects with versions in their serialised form (clause 25.9): in the place of the value is an array
//! of the versions, the current one first; and back again with their ids.
//!
//! When no version is of what the object is now, because nothing asks for one any more, the array
//! begins with the object itself. What is brought back in the place of an object gets the versions that
//! were serialised in the place of those that it has.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::Destination;
use crate::data::{new_metadata, new_properties};
use crate::fault::{Answered, Fault};
use crate::history::ROOM;
use crate::media::Kind;
use crate::node::{Leaf, document};
use crate::render::Rendering;
use crate::serial::{Serialized, Taken};
use crate::transfer::without_protection;
use crate::versions::{ITEM, fingerprint, is_of_value};
use futures::FutureExt;
use serde_json::Value;
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Error, ErrorKind, Key, ObjectId, Precondition, Result};
use trestle_store::{BodyChecks, Object, ObjectProperties, PutObject};

/// Most versions that are serialised with their object: each one tells what is around it.
const SERIALIZED_MAX: usize = 1000;

impl Call<'_> {
    /// The serialised versions of an object, the current one first; none of what has none.
    pub(crate) async fn serialized_versions(
        &self,
        leaf: &Leaf,
        taken: &mut Taken,
    ) -> Answered<Vec<Value>> {
        if !leaf.object.documents.contains_key(document::VERSIONED) {
            return Ok(Vec::new());
        }
        let versions = self.version_leaves(leaf).await?;
        if versions.len() > SERIALIZED_MAX {
            return Err(too_many().into());
        }
        let Some(newest) = versions.last() else {
            return Ok(Vec::new());
        };
        let itself = (!is_of_value(&newest.object, &leaf.object)).then_some(leaf);
        let states = itself.into_iter().chain(versions.iter().rev());
        taken.enter()?;
        let all = self.serialize_states(states.collect(), taken).await;
        taken.leave();
        all
    }

    async fn serialize_states(
        &self,
        states: Vec<&Leaf>,
        taken: &mut Taken,
    ) -> Answered<Vec<Value>> {
        let mut all = Vec::new();
        for state in states {
            taken.object()?;
            let rendering = self.serialize_state(state).await?;
            taken.rendered(&rendering)?;
            all.push(Value::Object(rendering.into_map()));
        }
        Ok(all)
    }

    /// The serialised form of one state of a data object.
    pub(crate) async fn serialize_state(&self, leaf: &Leaf) -> Answered<Rendering> {
        let mut rendering = self.seen_head(leaf, Kind::Object).await?;
        let (object, first, bytes) = self.read_value(leaf, None).await?;
        self.add_value(&mut rendering, &object, (first, &bytes), false);
        Ok(rendering)
    }

    /// Makes the versions of a new object out of their serialised forms.
    pub(crate) async fn bring_versions_back(
        &self,
        at: &Destination,
        object: &Object,
        serialized: &Serialized,
    ) -> Answered<()> {
        let hidden = self.versions_bucket(&at.bucket).await?;
        self.make_hidden(&hidden).await?;
        let own = object.id;
        let mut number = 0u64;
        for (position, version) in serialized.versions.iter().enumerate().rev() {
            let version = Serialized::parse(version.clone())?;
            if version.kind != Kind::Object || version.has_versions() {
                return Err(Fault::bad("a version is a data object without versions"));
            }
            // What begins the array without being a version is the object itself.
            if position == 0 && version.id.is_some() && version.id == serialized.id {
                continue;
            }
            let id = self.free_id(&version).await?.map(ObjectId);
            number += ROOM;
            // The newest is the version of what the object is.
            let print = match position {
                0 => fingerprint(object).to_string(),
                _ => "{}".to_owned(),
            };
            let key = Key::parse(format!("{}/{number:020}", own.0))?;
            self.put_version((&hidden, key), (id, print), &version)
                .boxed()
                .await?;
        }
        Ok(())
    }

    /// Makes a version out of its serialised form.
    pub(crate) async fn put_version(
        &self,
        (bucket, key): (&BucketName, Key),
        (id, print): (Option<ObjectId>, String),
        version: &Serialized,
    ) -> Answered<()> {
        let value = version.value()?;
        let mut metadata = without_protection(new_metadata(&version.document)?);
        metadata.remove(ITEM);
        let mut properties = new_properties(&value, metadata, &version.document, false)?;
        properties.acl = None;
        let documents = &mut properties.documents;
        documents.insert(document::VERSION.to_owned(), print);
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.cdmi.own_grant(Action::WriteObject, resource).await?;
        let put = PutObject {
            encrypt: None,
            bucket: bucket.clone(),
            key,
            precondition: Precondition::absent(),
            tag_of,
            checks: BodyChecks::default(),
            properties,
            checksum: None,
        };
        let body = futures::stream::iter([Ok(value.bytes)]);
        let store = &self.cdmi.store;
        match id {
            Some(id) => store.put_as(&grant, put, id, body).boxed().await?,
            None => store.put(&grant, put, body).boxed().await?,
        };
        Ok(())
    }
}

/// Notes with an object that it has versions.
pub(crate) fn mark_versioned(properties: &mut ObjectProperties) {
    let name = document::VERSIONED.to_owned();
    properties.documents.insert(name, "true".to_owned());
}

/// Refuses versions that could not be brought back, before anything goes for them.
pub(crate) fn check_versions(serialized: &Serialized) -> Result<()> {
    check_count(&serialized.versions)?;
    for version in &serialized.versions {
        let version = Serialized::parse(version.clone())?;
        if version.kind != Kind::Object || version.has_versions() {
            return Err(Error::invalid(
                "a version is a data object without versions",
            ));
        }
        let value = version.value()?;
        new_properties(
            &value,
            new_metadata(&version.document)?,
            &version.document,
            false,
        )?;
    }
    Ok(())
}

/// Refuses more versions than are serialised.
pub(crate) fn check_count(versions: &[Value]) -> Result<()> {
    // The object itself may come before them.
    match versions.len() > SERIALIZED_MAX + 1 {
        true => Err(too_many()),
        false => Ok(()),
    }
}

fn too_many() -> Error {
    let message = format!("at most {SERIALIZED_MAX} versions are serialised with their object");
    Error::new(ErrorKind::TooLarge, message)
}
