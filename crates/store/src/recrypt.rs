//! Copies whose bytes have to be encrypted in another way than the source's: they are read, and
//! written as a body of their own.

use crate::copy::draft;
use crate::encryption::{Encrypt, Encryption};
use crate::layer::Hold;
use crate::nouns::{Content, CopyObject, Object, Source};
use crate::placement::{Changes, Draft, Slot};
use crate::properties::BucketProperties;
use crate::put::encrypt_of;
use crate::receive::{BodyChecks, Received};
use crate::source::FoundSource;
use crate::store::Store;
use trestle_access::Grant;
use trestle_core::{DigestAlgorithm, Owner, Result, VersionId};
use trestle_engine::{Body, Urgency};

/// The bytes of a source, taken in and encrypted as the copy is to be.
pub(crate) struct Taken {
    /// Of which bytes they are.
    pub(crate) of: (VersionId, u64),
    received: Received,
    encryption: Option<Encryption>,
}

impl Taken {
    /// Makes an object one of these bytes, which are its own, encrypted otherwise.
    pub(crate) fn encrypt(&self, object: &mut Object) {
        object.content = Content::Data {
            length: self.received.length,
            layer: self.received.layer(),
        };
        object.encryption = self.encryption.clone();
    }

    /// Lets a change bring these bytes instead of those that `former` has. What is attached to the
    /// object's row is the answer.
    pub(crate) fn bring(&self, changes: &mut Changes, former: &Object) -> Result<Option<Body>> {
        changes.released.extend(former.layer());
        changes.writes.extend(self.received.rows()?);
        changes.tokens.extend(self.received.token());
        Ok(self.received.for_row().map(Body::Attached))
    }

    /// The copy, without its properties.
    pub(crate) fn draft(
        &self,
        copy: &CopyObject,
        source: &FoundSource,
        owner: &Option<Owner>,
    ) -> Draft {
        let content = Content::Data {
            length: self.received.length,
            layer: self.received.layer(),
        };
        let digests = self.received.digests.clone();
        Draft {
            encryption: self.encryption.clone(),
            ..draft(copy, source, digests, content, owner)
        }
    }
}

/// How a copy is encrypted.
pub(crate) fn target_encryption(
    copy: &CopyObject,
    source: &FoundSource,
    bucket: &BucketProperties,
) -> Option<Encrypt> {
    encrypt_of(copy.encrypt.as_ref(), bucket).or_else(|| match &source.object.encryption {
        Some(Encryption::Store) => Some(Encrypt::Store),
        Some(Encryption::Named(name)) => Some(Encrypt::Named(name.clone())),
        Some(Encryption::Customer { .. }) | None => None,
    })
}

impl Store {
    /// Takes in the bytes of a source.
    pub(crate) async fn take_source(
        &self,
        grant: &Grant,
        source: &Source,
        checksum: Option<DigestAlgorithm>,
        encrypt: Option<Encrypt>,
    ) -> Result<Taken> {
        let (of, bytes) = self.open_source(grant, source).await?;
        let checks = BodyChecks {
            algorithms: checksum.into_iter().collect(),
            ..BodyChecks::default()
        };
        Ok(Taken {
            of,
            received: self.receive(&checks, encrypt.as_ref(), bytes).await?,
            encryption: encrypt.as_ref().map(Encrypt::encryption),
        })
    }

    /// Commits an object of bytes that were taken in. Not, when a concurrent change won.
    pub(crate) async fn place_taken(
        &self,
        slot: Slot,
        object: &Object,
        taken: &Taken,
        hold: &mut Hold,
    ) -> Result<bool> {
        let installed = slot.install_received(self, object, &taken.received);
        let Some(changes) = installed.await? else {
            return Ok(false);
        };
        let urgency = Urgency::Normal;
        changes.commit(self, &slot.bucket, hold, urgency).await
    }
}
