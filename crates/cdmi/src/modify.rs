//! Changes of what is there, each in one commit: everything that a change does not name stays.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::{Destination, collect, encryption_of, hash_of};
use crate::data::set_partial;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::gaps;
use crate::node::{Leaf, document};
use crate::protect;
use crate::versions::{is_data, level_of};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    BucketName, Error, ErrorKind, Key, Metadata, Precondition, ResolvedRange, Result, Tag,
    TagMatch, Validators, Verdict,
};
use trestle_http::parse_precondition;
use trestle_store::{
    BodyChecks, ChangeObject, CopyObject, DeleteObject, History, Object, ObjectProperties, Offset,
    PatchObject, Source, UpdateObject, VersionRef,
};

/// Objects of up to this size are rewritten when a range changes, in one commit with everything
/// else; larger ones are changed in place.
const REWRITTEN_MAX: u64 = 1 << 20;

/// The rights that a change of properties may need; the store says which one does.
const CHANGES: [Action; 6] = [
    Action::WriteObjectMetadata,
    Action::WriteObjectAttributes,
    Action::WriteObjectDocument,
    Action::WriteObjectAcl,
    Action::WriteObjectRetention,
    Action::WriteLegalHold,
];

/// Only while the object is as it was found.
pub(crate) fn unchanged(object: &Object) -> Precondition {
    Precondition {
        if_match: Some(TagMatch::Tags(vec![Tag {
            opaque: tag_of(object),
            weak: false,
        }])),
        ..Precondition::default()
    }
}

/// Whether a value is rewritten when a range of it that ends there changes.
pub(crate) fn is_rewritten(leaf: &Leaf, end: u64) -> bool {
    !leaf.object.is_volume() && end.max(leaf.object.length()) <= REWRITTEN_MAX
}

/// A condition of the request that does not hold.
pub(crate) fn failed() -> Fault {
    let message = "a condition of the request fails";
    Error::new(ErrorKind::PreconditionFailed, message).into()
}

/// Takes what is new of properties in the place of former ones, and leaves what somebody else has
/// changed since: a list that was narrowed meanwhile is not widened again.
fn take_changes(current: &mut ObjectProperties, former: &ObjectProperties, new: &ObjectProperties) {
    fn take<T: Clone + PartialEq>(current: &mut T, former: &T, new: &T) {
        if new != former {
            current.clone_from(new);
        }
    }
    take(
        &mut current.representation,
        &former.representation,
        &new.representation,
    );
    take(&mut current.metadata, &former.metadata, &new.metadata);
    take(&mut current.acl, &former.acl, &new.acl);
    take(&mut current.retention, &former.retention, &new.retention);
    take(&mut current.legal_hold, &former.legal_hold, &new.legal_hold);
    take(&mut current.expires, &former.expires, &new.expires);
    take(&mut current.documents, &former.documents, &new.documents);
}

impl Call<'_> {
    /// Replaces the value.
    pub(crate) async fn replace(
        &self,
        leaf: &Leaf,
        mut properties: ObjectProperties,
        bytes: Bytes,
    ) -> Answered<()> {
        self.check_changeable(leaf)?;
        self.check_besides(leaf, &properties).await?;
        gaps::forget(&mut properties.documents);
        let destination = self.place_of(leaf, unchanged(&leaf.object)).await?;
        self.write_bytes(&destination, properties, bytes).await?;
        Ok(())
    }

    /// Asks for the right to each thing that changes along with a value: the right to write the
    /// value is none to the metadata, the attributes, the list, retention or holds.
    pub(crate) async fn check_besides(&self, leaf: &Leaf, new: &ObjectProperties) -> Answered<()> {
        let former = leaf.object.properties();
        let changes = [
            (former.metadata != new.metadata, Action::WriteObjectMetadata),
            (former.attributes_differ(new), Action::WriteObjectAttributes),
            (former.acl != new.acl, Action::WriteObjectAcl),
            (
                former.retention != new.retention,
                Action::WriteObjectRetention,
            ),
            (former.legal_hold != new.legal_hold, Action::WriteLegalHold),
        ];
        for (_, action) in changes.into_iter().filter(|(differs, _)| *differs) {
            self.grant(action, leaf.resource()).await?;
        }
        Ok(())
    }

    /// Overwrites ranges of the value; gaps are zeros.
    pub(crate) async fn patch(
        &self,
        leaf: &Leaf,
        mut properties: ObjectProperties,
        ranges: Vec<(u64, Bytes)>,
    ) -> Answered<()> {
        self.check_changeable(leaf)?;
        self.check_besides(leaf, &properties).await?;
        let length = leaf.object.length();
        let former = (&leaf.object.documents, length);
        let written = ranges.iter().map(gaps::range_of);
        gaps::note(&mut properties.documents, former, written);
        if ranges.iter().all(|(at, _)| *at >= length) {
            match self.grant(Action::WriteObject, leaf.resource()).await {
                Err(error) if error.kind() == ErrorKind::Forbidden => {
                    let appended = self.append(leaf, (properties, ranges), error);
                    return appended.boxed().await;
                }
                granted => drop(granted?),
            }
        }
        let end = |(at, range): &(u64, Bytes)| at.saturating_add(range.len() as u64);
        let after = ranges.iter().map(end).max().unwrap_or_default();
        if !is_rewritten(leaf, after) {
            for range in ranges {
                self.patch_range(leaf, range).await?;
            }
            return self.finish_patch(leaf, properties).await;
        }
        // The right to write a range is one to all of it: what is around is read for that alone.
        let around = self.grant(Action::WriteObject, leaf.resource()).await?;
        drop(around);
        let reader = self.cdmi.own_call().open(leaf).await?;
        let whole = ResolvedRange {
            start: 0,
            end: reader.object().length(),
        };
        let mut bytes = BytesMut::from(collect(reader, whole).await?);
        for (at, range) in ranges {
            crate::data::overwrite(&mut bytes, at, &range)?;
        }
        let destination = self.place_of(leaf, unchanged(&leaf.object)).await?;
        self.write_bytes(&destination, properties, bytes.freeze())
            .await?;
        Ok(())
    }

    /// Adds ranges behind the value, one behind the other, for who may do that alone; nothing else
    /// changes but how they are encoded.
    async fn append(
        &self,
        leaf: &Leaf,
        (properties, ranges): (ObjectProperties, Vec<(u64, Bytes)>),
        refused: Error,
    ) -> Answered<()> {
        let former = leaf.object.properties();
        let same = ObjectProperties {
            documents: former.documents.clone(),
            ..properties.clone()
        };
        // These say how the bytes are encoded, and which were never written.
        let of_bytes = |name: &str| matches!(name, document::ENCODING | document::GAPS);
        let others = |of: &ObjectProperties| {
            let mut documents = of.documents.clone();
            documents.retain(|name, _| !of_bytes(name));
            documents
        };
        let mut pairs = ranges.iter().zip(ranges.iter().skip(1));
        let ascend =
            pairs.all(|((at, range), (next, _))| at.saturating_add(range.len() as u64) <= *next);
        if same != former || others(&properties) != others(&former) || !ascend {
            return Err(refused.into());
        }
        let grant = self.grant(Action::AppendObject, leaf.resource()).await?;
        for range in ranges {
            self.patch_with(&grant, leaf, range).await?;
        }
        // What follows of it is the dialect's own.
        self.cdmi.own_call().finish_patch(leaf, properties).await
    }

    /// Overwrites a range of a large value where it is.
    pub(crate) async fn patch_range(&self, leaf: &Leaf, (at, range): (u64, Bytes)) -> Answered<()> {
        let grant = self.grant(Action::WriteObject, leaf.resource()).await?;
        self.patch_with(&grant, leaf, (at, range)).await
    }

    async fn patch_with(
        &self,
        grant: &Grant,
        leaf: &Leaf,
        (at, range): (u64, Bytes),
    ) -> Answered<()> {
        let patch = PatchObject {
            bucket: leaf.bucket.clone(),
            key: leaf.object.key.clone(),
            precondition: Precondition::none(),
            tag_of,
            at: Offset::At(at),
            checks: BodyChecks::default(),
            create: None,
        };
        let body = futures::stream::iter([Ok(range)]);
        self.cdmi.store.patch(grant, patch, body).boxed().await?;
        Ok(())
    }

    /// Sets what else changes with ranges that were overwritten.
    pub(crate) async fn finish_patch(
        &self,
        leaf: &Leaf,
        properties: ObjectProperties,
    ) -> Answered<()> {
        let former = leaf.object.properties();
        let change = |current: &mut ObjectProperties| -> Result<()> {
            take_changes(current, &former, &properties);
            Ok(())
        };
        let (bucket, key) = (&leaf.bucket, &leaf.object.key);
        self.update(bucket, key, &change).await?;
        self.version_of_updated(leaf).await
    }

    /// Changes everything but the value, as a document says.
    pub(crate) async fn change(&self, leaf: &Leaf, document: &Document) -> Answered<()> {
        let partial = self.is_partial()?;
        let now = self.cdmi.store.now();
        let change = |properties: &mut ObjectProperties| -> Result<()> {
            let former = properties.clone();
            self.change_properties(properties, document)?;
            set_partial(properties, partial);
            protect::apply(properties, &former, now)
        };
        let mut properties = leaf.object.properties();
        change(&mut properties)?;
        let place = self.place_of(leaf, unchanged(&leaf.object)).await?;
        let effective = place.effective(&properties.metadata);
        let data = is_data(&properties.documents);
        let versioned = data && level_of(&effective)?.is_some();
        let former = place.effective(&leaf.object.metadata);
        let began = versioned && level_of(&former)?.is_none();
        let at = (&place.bucket, &place.key);
        if data {
            self.keep_version(at, &former, false).await?;
        }
        let change = |properties: &mut ObjectProperties| -> Result<()> {
            change(properties)?;
            if versioned {
                let yes = "true".to_owned();
                properties
                    .documents
                    .insert(document::VERSIONED.to_owned(), yes);
            }
            Ok(())
        };
        self.change_or_rewrite(leaf, &place, (&effective, &change))
            .await?;
        if versioned {
            self.version_after(at, &effective, began).await;
        }
        Ok(())
    }

    async fn change_or_rewrite(
        &self,
        leaf: &Leaf,
        place: &Destination,
        (effective, change): (&Metadata, &ChangeObject<'_>),
    ) -> Answered<()> {
        let hash = hash_of(effective);
        let object = &leaf.object;
        let unhashed = hash.is_some_and(|hash| object.digests.get(hash).is_none());
        let unsealed = encryption_of(effective).is_some() && object.encryption.is_none();
        if unhashed || unsealed {
            match self.rewrite(leaf, place, (effective, change)).await {
                // Who may not write the value sets metadata all the same.
                Err(fault) if fault.is_forbidden() => {}
                rewritten => return rewritten,
            }
        }
        self.update(&leaf.bucket, &leaf.object.key, change).await
    }

    /// Writes a value once more, so that it is hashed and encrypted as its metadata asks now.
    async fn rewrite(
        &self,
        leaf: &Leaf,
        place: &Destination,
        (effective, change): (&Metadata, &ChangeObject<'_>),
    ) -> Answered<()> {
        self.check_changeable(leaf)?;
        let mut new = leaf.object.properties();
        change(&mut new)?;
        self.check_besides(leaf, &new).await?;
        let read = self.grant(Action::ReadObject, leaf.resource()).await?;
        let write = self.grant(Action::WriteObject, leaf.resource()).await?;
        let copy = CopyObject {
            encrypt: encryption_of(effective),
            source: Source {
                key_of_client: None,
                itself: false,
                bucket: place.bucket.clone(),
                key: place.key.clone(),
                version: VersionRef::Current,
                precondition: place.precondition.clone(),
                tag_of,
                range: None,
            },
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            precondition: place.precondition.clone(),
            tag_of,
            checksum: hash_of(effective),
        };
        let properties = |object: &Object| -> Result<ObjectProperties> {
            let mut properties = object.properties();
            change(&mut properties)?;
            Ok(properties)
        };
        let store = &self.cdmi.store;
        let over = store.copy_over(&read, &write, copy, &properties);
        over.boxed().await?;
        Ok(())
    }

    /// Changes properties.
    pub(crate) async fn update(
        &self,
        bucket: &BucketName,
        key: &Key,
        change: &ChangeObject<'_>,
    ) -> Answered<()> {
        let resource = || Resource::Object(bucket.clone(), key.clone());
        let grants = self.grants(&CHANGES, &resource()).await?;
        let update = UpdateObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: VersionRef::Current,
            precondition: parse_precondition(&self.headers)?,
            tag_of,
        };
        let store = &self.cdmi.store;
        store
            .update_object(&grants, &update, change)
            .boxed()
            .await?;
        Ok(())
    }

    /// Those of the rights that are given; at least one.
    pub(crate) async fn grants(
        &self,
        actions: &[Action],
        resource: &Resource,
    ) -> Answered<Vec<Grant>> {
        let mut grants = Vec::new();
        let mut refused = None;
        for action in actions {
            match self.grant(*action, resource.clone()).await {
                Ok(grant) => grants.push(grant),
                Err(error) if error.kind() == ErrorKind::Forbidden => refused = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        match refused {
            Some(error) if grants.is_empty() => Err(error.into()),
            _ => Ok(grants),
        }
    }

    /// Removes a data object, a queue or a reference with all that goes with it: its versions, and
    /// that it watches.
    pub(crate) async fn discard(&self, leaf: &Leaf, precondition: Precondition) -> Answered<()> {
        protect::check(&leaf.object, self.cdmi.store.now())?;
        self.erase(&leaf.bucket, &leaf.object.key, precondition)
            .await?;
        if leaf.is_queue() {
            self.unwatch(leaf.object.id.0).await?;
        }
        if is_data(&leaf.object.documents) {
            self.forget_versions(&leaf.bucket, leaf.object.id).await?;
        }
        if let Some(text) = leaf.object.documents.get(document::KNOWN_AS) {
            self.forget_referral(text, leaf.object.id.0).await?;
        }
        Ok(())
    }

    /// Removes a key with all its versions.
    pub(crate) async fn erase(
        &self,
        bucket: &BucketName,
        key: &Key,
        precondition: Precondition,
    ) -> Answered<()> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let mut grants = vec![self.grant(Action::DeleteObject, resource.clone()).await?];
        if let Ok(grant) = self.grant(Action::DeleteObjectVersion, resource).await {
            grants.push(grant);
        }
        let mut delete = DeleteObject::current(bucket.clone(), key.clone(), precondition, tag_of);
        delete.history = History::Erase;
        self.cdmi.store.delete(&grants, delete).boxed().await?;
        Ok(())
    }

    /// Refuses to change a value that is protected, or when a condition of the request does not
    /// hold of what was found.
    pub(crate) fn check_changeable(&self, leaf: &Leaf) -> Answered<()> {
        protect::check_change(&leaf.object, self.cdmi.store.now())?;
        let precondition = parse_precondition(&self.headers)?;
        let validators = Validators {
            tag: tag_of(&leaf.object),
            modified: leaf.object.modified,
        };
        match precondition.for_write(Some(&validators)) {
            Verdict::Proceed => Ok(()),
            _ => Err(failed()),
        }
    }
}
