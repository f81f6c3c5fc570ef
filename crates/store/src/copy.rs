//! Copying an object, or a range of one: the copy refers to the source's bytes, whatever their size.
//! Only those that fit into a row are copied, and bytes are read only for a digest that is not known,
//! or when the copy is to be encrypted in another way.

use crate::encryption::Encrypt;
use crate::layer::Hold;
use crate::nouns::{Content, CopyObject, CopyOutcome, Object, PropertiesOf};
use crate::object_update::check_properties;
use crate::placement::{Changes, Draft, Slot};
use crate::properties::Written;
use crate::put::checksum;
use crate::recrypt::{Taken, target_encryption};
use crate::source::{FoundSource, Hashed};
use crate::store::{self, ATTEMPTS_MAX, Store};
use bytes::Bytes;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{DigestAlgorithm, Digests, Owner, Result};
use trestle_engine::{Body, MetaRead, Urgency};

impl Store {
    /// Copies an object, or a range of its bytes. `properties` says what the copy keeps; it may be
    /// asked several times. Whether the metadata and tags that it keeps may be read is decided here.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`, for the source and the target; `RangeNotSatisfiable`;
    /// `TooLarge`; `InvalidInput`; `NoSpace`; `Conflict` when concurrent writes keep winning;
    /// `Forbidden`; what `properties` says.
    pub async fn copy(
        &self,
        source_grant: &Grant,
        grant: &Grant,
        copy: CopyObject,
        properties: &PropertiesOf<'_>,
    ) -> Result<CopyOutcome> {
        let grants = (source_grant, grant);
        self.copy_under(grants, copy, properties, false).await
    }

    /// As [`Store::copy`], onto an object that changes: what is there stays whose it is.
    ///
    /// # Errors
    /// As of [`Store::copy`].
    pub async fn copy_over(
        &self,
        source_grant: &Grant,
        grant: &Grant,
        copy: CopyObject,
        properties: &PropertiesOf<'_>,
    ) -> Result<CopyOutcome> {
        let grants = (source_grant, grant);
        self.copy_under(grants, copy, properties, true).await
    }

    async fn copy_under(
        &self,
        (source_grant, grant): (&Grant, &Grant),
        copy: CopyObject,
        properties: &PropertiesOf<'_>,
        stays: bool,
    ) -> Result<CopyOutcome> {
        let resource = Resource::Object(copy.bucket.clone(), copy.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        self.own(&copy.bucket, [&copy.key], Urgency::Normal).await?;
        let writer = grant.principal().owner();
        let wanted: Vec<DigestAlgorithm> = copy.checksum.into_iter().collect();
        let mut hold = Hold::default();
        let mut hashed: Option<Hashed> = None;
        let mut taken: Option<Taken> = None;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let source = self.find_source(&*read, source_grant, &copy.source).await?;
            let mut slot = Slot::find(&*read, &copy.bucket, &copy.key).await?;
            slot.confirm(self, &*read, grant).await?;
            store::check_precondition(&copy.precondition, copy.tag_of, slot.live(self))?;
            let owner = slot.owner_of_write(self, (&writer, stays));
            let encrypt = target_encryption(&copy, &source, &slot.bucket.bucket.properties);
            let otherwise = encrypt.as_ref().map(Encrypt::encryption) != source.object.encryption;
            if otherwise || source.is_joined() {
                drop(read);
                let Some(bytes) = taken.take_if(|taken| taken.of == source.object.bytes_since())
                else {
                    // A read may wait for what is announced: not for this verb itself.
                    hold = Hold::default();
                    let checksum = copy.checksum;
                    let bytes = self.take_source(source_grant, &copy.source, checksum, encrypt);
                    taken = Some(bytes.await?);
                    continue;
                };
                let mut draft = bytes.draft(&copy, &source, &owner);
                draft.properties = source.kept(properties(&source.object)?)?;
                let read = self.snapshot().await?;
                let of = (&copy.source, &source.object);
                self.decide_to_carry(&*read, source_grant, of, &draft.properties)
                    .await?;
                drop(read);
                check_properties(&draft.properties)?;
                let outcome = CopyOutcome {
                    object: slot.object(self, draft),
                    created: slot.live(self).is_none(),
                    source: source.object,
                };
                slot.expect(source.expectations);
                let placed = self.place_taken(slot, &outcome.object, &bytes, &mut hold);
                if placed.await? {
                    return Ok(outcome);
                }
                taken = Some(bytes);
                continue;
            }
            let small = self.small_bytes(&*read, &source).await?;
            let wanted = wanted_of(&source, small.as_ref(), &wanted);
            let digests = Store::digests(&source, small.as_ref(), &wanted, hashed.as_ref());
            let Some(digests) = digests else {
                drop(read);
                hold = Hold::default();
                hashed = Some(self.hash(source_grant, &copy.source, &wanted).await?);
                continue;
            };
            let new = source.kept(properties(&source.object)?)?;
            let of = (&copy.source, &source.object);
            self.decide_to_carry(&*read, source_grant, of, &new).await?;
            let draft = draft(&copy, &source, digests, source.content(), &owner);
            let draft = Draft {
                properties: new,
                ..draft
            };
            let placed = self.place_copy(&*read, &slot, draft, (&source, small, false));
            let Some((object, changes)) = placed.await? else {
                continue;
            };
            drop(read);
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
}

impl Store {
    /// Works out the commit of a copy whose digests are known, and that is encrypted as its source is.
    /// None when a concurrent change won.
    pub(crate) async fn place_copy(
        &self,
        read: &dyn MetaRead,
        slot: &Slot,
        mut draft: Draft,
        (source, small, frozen): (&FoundSource, Option<Bytes>, bool),
    ) -> Result<Option<(Object, Changes)>> {
        check_properties(&draft.properties)?;
        let assembly = self.assemble(read, source, small.as_ref(), false).await?;
        if let Content::Data { layer, .. } = &mut draft.content {
            *layer = assembly.layer;
        }
        let mut object = slot.object(self, draft);
        object.frozen = frozen;
        let body = assembly.attached.map(Body::Attached);
        let Some(mut changes) = slot.install(self, &object, body).await? else {
            return Ok(None);
        };
        changes.expectations.extend(source.expectations.clone());
        changes.writes.extend(assembly.writes);
        changes.references = assembly.references;
        Ok(Some((object, changes)))
    }
}

/// The digests that a copy has to have: of a small piece, those that a body of its own would have.
pub(crate) fn wanted_of(
    source: &FoundSource,
    small: Option<&Bytes>,
    wanted: &[DigestAlgorithm],
) -> Vec<DigestAlgorithm> {
    let mut wanted = wanted.to_vec();
    if small.is_some() && !source.is_whole() {
        wanted.extend([DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme]);
    }
    wanted
}

/// The copy, without its properties.
pub(crate) fn draft(
    copy: &CopyObject,
    source: &FoundSource,
    digests: Digests,
    content: Content,
    owner: &Option<Owner>,
) -> Draft {
    let written = if source.is_joined() {
        Written::Whole
    } else if source.is_whole() {
        source.object.written.clone()
    } else if digests.get(DigestAlgorithm::Md5).is_some() {
        Written::Whole
    } else {
        // Nobody knows the digest of its bytes.
        Written::Patched
    };
    let checksum = match copy.checksum {
        Some(algorithm) => checksum(&digests, algorithm),
        None => source.object.checksum.clone().filter(|_| source.is_whole()),
    };
    Draft {
        owner: owner.clone(),
        content,
        digests,
        encryption: source.object.encryption.clone(),
        written,
        checksum,
        properties: Default::default(),
    }
}
