//! Clones and snapshots of objects and volumes: another object of the same bytes, by reference and in
//! one commit, whatever their size.
//!
//! A snapshot is a clone that never changes: it is read, listed, cloned and deleted like any object,
//! and nothing is ever put in its place or written into it ([`Slot::install`]). What either of them
//! refers to counts it, so each can be deleted in any order, and what nothing refers to any more goes.

use crate::copy::draft as copy_draft;
use crate::encryption::Encrypt;
use crate::layer::Hold;
use crate::nouns::{CloneObject, Content, CopyObject, CopyOutcome, Object, Source, VersionRef};
use crate::placement::{Draft, Slot};
use crate::properties::ObjectProperties;
use crate::recrypt::target_encryption;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::{MetaRead, Urgency};

impl Store {
    /// Clones an object with everything that describes it, but nothing that protects it. A clone of a
    /// volume is a volume. The grants are to read the source and to write the clone; whether its metadata
    /// and tags may be read, too, is decided here.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`, for the source and the target; `InvalidState` when the target
    /// would have to be encrypted in another way; `QuotaExceeded`; `NoSpace`; `Conflict` when concurrent
    /// writes keep winning; `Forbidden`.
    pub async fn clone_object(
        &self,
        source_grant: &Grant,
        grant: &Grant,
        clone: &CloneObject,
    ) -> Result<CopyOutcome> {
        let resource = Resource::Object(clone.bucket.clone(), clone.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        if clone.source.range.is_some() {
            return Err(Error::invalid("an object is cloned whole"));
        }
        self.own(&clone.bucket, [&clone.key], Urgency::Normal)
            .await?;
        let copy = CopyObject {
            source: clone.source.clone(),
            bucket: clone.bucket.clone(),
            key: clone.key.clone(),
            precondition: clone.precondition.clone(),
            tag_of: clone.tag_of,
            checksum: None,
            encrypt: None,
        };
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let source = self.find_source(&*read, source_grant, &copy.source).await?;
            let properties = described(&source.object);
            let of = (&copy.source, &source.object);
            self.decide_to_carry(&*read, source_grant, of, &properties)
                .await?;
            let mut slot = Slot::find(&*read, &copy.bucket, &copy.key).await?;
            slot.confirm(self, &*read, grant).await?;
            store::check_precondition(&copy.precondition, copy.tag_of, slot.live(self))?;
            let encrypt = target_encryption(&copy, &source, &slot.bucket.bucket.properties);
            if encrypt.as_ref().map(Encrypt::encryption) != source.object.encryption {
                let message =
                    "a clone stays encrypted as its source is, which this bucket does not allow";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            let content = match source.object.content {
                Content::Volume { .. } => source.object.content.clone(),
                _ => source.content(),
            };
            let owner = grant.principal().owner();
            let draft = Draft {
                properties,
                ..copy_draft(&copy, &source, source.digests(), content, &owner)
            };
            let small = self.small_bytes(&*read, &source).await?;
            let of = (&source, small, clone.frozen);
            let placed = self.place_copy(&*read, &slot, draft, of).await?;
            drop(read);
            let Some((object, changes)) = placed else {
                continue;
            };
            let urgency = Urgency::Normal;
            if changes
                .commit(self, &slot.bucket, &mut hold, urgency)
                .await?
            {
                return Ok(CopyOutcome {
                    object,
                    created: slot.live(self).is_none(),
                    source: source.object,
                });
            }
        }
        Err(store::conflict())
    }

    /// Whether who copies may read what comes along with the bytes: the metadata and tags of the source
    /// that are those of the copy, too.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` when the source is gone.
    pub(crate) async fn decide_to_carry(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        (source, of): (&Source, &Object),
        copy: &ObjectProperties,
    ) -> Result<()> {
        let (metadata, tags) = match source.version {
            VersionRef::Current | VersionRef::Ended => {
                (Action::ReadObjectMetadata, Action::ReadObjectTags)
            }
            VersionRef::Null | VersionRef::Id(_) => (
                Action::ReadObjectVersionMetadata,
                Action::ReadObjectVersionTags,
            ),
        };
        let has_metadata = !of.metadata.is_empty() && of.metadata == copy.metadata;
        let has_tags = !of.tags.is_empty() && of.tags == copy.tags;
        let carried: Vec<Action> = [(has_metadata, metadata), (has_tags, tags)]
            .into_iter()
            .filter_map(|(has, action)| has.then_some(action))
            .collect();
        if carried.is_empty() {
            return Ok(());
        }
        let bucket = store::find_shown(read, &source.bucket).await?;
        let found = self.find_live(read, &bucket, &source.key, source.version);
        let found = found.await?;
        let mut decider = self.decider(read, grant.asked(), &bucket).await?;
        decider.check(&carried, &source.key, Some(&found))
    }
}

/// What a clone has of its source.
fn described(source: &Object) -> ObjectProperties {
    ObjectProperties {
        acl: None,
        retention: None,
        legal_hold: false,
        hold_lifted: false,
        expires: None,
        ..source.properties().of_copy()
    }
}
