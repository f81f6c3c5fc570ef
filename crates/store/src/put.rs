//! Writing a whole object: its bytes stream into the data port, then one commit makes them the
//! key's content. Before that commit nothing is visible; a failed write leaves nothing behind.

use crate::bucket_update::bytes;
use crate::encryption::{Encrypt, Encryption};
use crate::layer::Hold;
use crate::nouns::{Content, Object, PutObject, PutOutcome};
use crate::object_update::{check_new, check_properties};
use crate::placement::{Changes, Draft, Slot};
use crate::properties::{BucketProperties, Checksum, Written};
use crate::receive::Received;
use crate::record::metadata_text;
use crate::store::{self, ATTEMPTS_MAX, Store};
use bytes::Bytes;
use futures::Stream;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{DigestAlgorithm, Digests, Error, ObjectId, Owner, Representation, Result};
use trestle_engine::{Body, Urgency};

/// Largest metadata of an object, in bytes of JSON text.
pub const METADATA_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of arrays and maps within metadata.
pub const METADATA_DEPTH_MAX: usize = 64;
/// Largest representation of an object: the bytes of all its names and values.
pub const REPRESENTATION_BYTES_MAX: usize = 16 << 10;

impl Store {
    /// Creates or replaces an object.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `PreconditionFailed`; `IncompleteBody` and `DigestMismatch` for a body
    /// that is not what was declared; `TooLarge`; `InvalidInput`; `NoSpace`; `Conflict` when
    /// concurrent writes of the key keep winning; `Forbidden`; the body's own errors.
    pub async fn put<B>(&self, grant: &Grant, put: PutObject, body: B) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        self.put_under(grant, put, Under::default(), body).await
    }

    /// As [`Store::put`], under an id that the caller has: an object that comes back.
    ///
    /// # Errors
    /// `AlreadyExists(Object)` when another object has the id, or the key's object another one.
    pub async fn put_as<B>(
        &self,
        grant: &Grant,
        put: PutObject,
        id: ObjectId,
        body: B,
    ) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let under = Under {
            id: Some(id),
            ..Under::default()
        };
        self.put_under(grant, put, under, body).await
    }

    /// As [`Store::put`], of an object that changes: what is there stays whose it is.
    ///
    /// # Errors
    /// As of [`Store::put`].
    pub async fn put_over<B>(&self, grant: &Grant, put: PutObject, body: B) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let under = Under {
            stays: true,
            ..Under::default()
        };
        self.put_under(grant, put, under, body).await
    }

    /// As [`Store::put`], of a content that came about in another way.
    pub(crate) async fn put_written<B>(
        &self,
        grant: &Grant,
        put: PutObject,
        written: Written,
        body: B,
    ) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let under = Under {
            written,
            ..Under::default()
        };
        self.put_under(grant, put, under, body).await
    }

    async fn put_under<B>(
        &self,
        grant: &Grant,
        put: PutObject,
        Under { id, written, stays }: Under,
        body: B,
    ) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let resource = Resource::Object(put.bucket.clone(), put.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        let owner = grant.principal().owner();
        put.checks.check_limits()?;
        match written {
            Written::Whole => check_new(&put.properties)?,
            _ => check_properties(&put.properties)?,
        }
        // Refuses what will be refused before the body is read. The commit decides: it expects the
        // rows to be as they were found.
        let mut found = self.look_up(grant, &put, id).await?;
        let declared = put.checks.declared_length;
        found.check_room(self, declared).await?;
        let mut checks = put.checks.clone();
        checks.algorithms.extend(put.checksum);
        let encrypt = encrypt_of(put.encrypt.as_ref(), &found.bucket.bucket.properties);
        let received = self.receive(&checks, encrypt.as_ref(), body).await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let owner = found.owner_of_write(self, (&owner, stays));
            let mut draft = draft(&put, &owner, encrypt.as_ref(), &received);
            if written != Written::Whole {
                draft.digests = Digests::default();
                draft.written = written.clone();
            }
            if let Some(outcome) = self.try_put(found, draft, &received, &mut hold).await? {
                return Ok(outcome);
            }
            found = self.look_up(grant, &put, id).await?;
        }
        Err(store::conflict())
    }

    /// What a write finds under its key, with its precondition checked.
    async fn look_up(&self, grant: &Grant, put: &PutObject, id: Option<ObjectId>) -> Result<Slot> {
        let read = self.snapshot().await?;
        let mut slot = Slot::find(&*read, &put.bucket, &put.key).await?;
        slot.confirm(self, &*read, grant).await?;
        if slot.inherits() {
            drop((read, slot));
            self.own(&put.bucket, [&put.key], Urgency::Normal).await?;
            return Box::pin(self.look_up(grant, put, id)).await;
        }
        store::check_precondition(&put.precondition, put.tag_of, slot.live(self))?;
        if let Some(id) = id {
            slot.assign(&*read, id).await?;
        }
        Ok(slot)
    }

    /// One attempt to commit; none when a concurrent change won.
    async fn try_put(
        &self,
        slot: Slot,
        draft: Draft,
        received: &Received,
        hold: &mut Hold,
    ) -> Result<Option<PutOutcome>> {
        let object = slot.object(self, draft);
        let Some(changes) = slot.install_received(self, &object, received).await? else {
            return Ok(None);
        };
        let urgency = Urgency::Normal;
        let applied = changes.commit(self, &slot.bucket, hold, urgency).await?;
        Ok(applied.then(|| PutOutcome {
            object,
            created: slot.live(self).is_none(),
        }))
    }
}

impl Slot {
    /// Whose a write by somebody is: of one that leaves what is there to whom it belongs, theirs.
    pub(crate) fn owner_of_write(
        &self,
        store: &Store,
        (writer, stays): (&Option<Owner>, bool),
    ) -> Option<Owner> {
        let there = self.live(store).filter(|_| stays);
        there.map_or_else(|| writer.clone(), |found| Some(found.object.owner.clone()))
    }

    /// Makes `object`, whose bytes were received, the key's current one. None when a concurrent
    /// change won.
    pub(crate) async fn install_received(
        &self,
        store: &Store,
        object: &Object,
        received: &Received,
    ) -> Result<Option<Changes>> {
        let body = received.for_row().map(Body::Attached);
        let Some(mut changes) = self.install(store, object, body).await? else {
            return Ok(None);
        };
        changes.writes.extend(received.rows()?);
        changes.tokens.extend(received.token());
        Ok(Some(changes))
    }
}

/// What else a write is told.
#[derive(Default)]
struct Under {
    /// The id that the object is to have.
    id: Option<ObjectId>,
    /// How its content came about.
    written: Written,
    /// Whether what is there stays whose it is.
    stays: bool,
}

/// What a write makes of what it received.
pub(crate) fn draft(
    put: &PutObject,
    owner: &Option<Owner>,
    encrypt: Option<&Encrypt>,
    received: &Received,
) -> Draft {
    Draft {
        owner: owner.clone(),
        content: Content::Data {
            length: received.length,
            layer: received.layer(),
        },
        digests: received.digests.clone(),
        encryption: encrypt.map(Encrypt::encryption),
        written: Written::Whole,
        checksum: put
            .checksum
            .and_then(|algorithm| checksum(&received.digests, algorithm)),
        properties: put.properties.clone(),
    }
}

/// How a content is encrypted: as its client says, else as its bucket does.
pub(crate) fn encrypt_of(encrypt: Option<&Encrypt>, bucket: &BucketProperties) -> Option<Encrypt> {
    encrypt.cloned().or_else(|| match &bucket.encryption {
        Some(Encryption::Store) => Some(Encrypt::Store),
        Some(Encryption::Named(name)) => Some(Encrypt::Named(name.clone())),
        // No bucket has it.
        Some(Encryption::Customer { .. }) | None => None,
    })
}

/// The checksum that a client chose, when it was taken of the whole content.
pub(crate) fn checksum(digests: &Digests, algorithm: DigestAlgorithm) -> Option<Checksum> {
    digests.get(algorithm).map(|digest| Checksum {
        digest: digest.clone(),
        composite_of: None,
    })
}

/// Refuses a representation beyond its limit, or that no dialect could send as it is.
pub(crate) fn check_representation(representation: &Representation) -> Result<()> {
    let mut texts = representation
        .iter()
        .flat_map(|(name, value)| [name, value]);
    if texts.any(|text| text.contains(|c: char| c.is_ascii_control() && c != '\t')) {
        let message = "a representation field has control characters";
        return Err(Error::invalid(message));
    }
    if bytes(representation) > REPRESENTATION_BYTES_MAX {
        return Err(store::too_large(
            "a representation",
            REPRESENTATION_BYTES_MAX as u64,
        ));
    }
    Ok(())
}

/// Refuses metadata beyond its limits.
pub(crate) fn check_metadata(metadata: &trestle_core::Metadata) -> Result<()> {
    // The depth comes first: it bounds the recursion of everything that follows.
    if metadata
        .values()
        .any(|value| is_deeper(value, METADATA_DEPTH_MAX))
    {
        return Err(Error::invalid(format!(
            "metadata may be nested at most {METADATA_DEPTH_MAX} deep"
        )));
    }
    if metadata_text(metadata)?.len() > METADATA_BYTES_MAX {
        return Err(store::too_large("metadata", METADATA_BYTES_MAX as u64));
    }
    Ok(())
}

/// Whether a value nests arrays and maps more than `levels` deep.
fn is_deeper(value: &serde_json::Value, levels: usize) -> bool {
    use serde_json::Value;
    let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return false,
    };
    levels == 0 || inner.any(|value| is_deeper(value, levels - 1))
}
