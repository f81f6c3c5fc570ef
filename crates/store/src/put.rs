//! Writing a whole object: its bytes stream into the data port, then one commit makes them the
//! key's content. Before that commit nothing is visible; a failed write leaves nothing behind.

use crate::layer::{Hold, NewLayer};
use crate::nouns::{Content, PutObject, PutOutcome};
use crate::placement::{Draft, Slot};
use crate::properties::Written;
use crate::record::metadata_text;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::sync::Arc;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{DigestAlgorithm, Digests, Error, ErrorKind, Hasher, LayerId, Owner, Result};
use trestle_engine::{Body, Data, DataWriter, Extent, Token, Urgency};

/// Largest object, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// Largest metadata of an object, in bytes of JSON text.
pub const METADATA_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of arrays and maps within metadata.
pub const METADATA_DEPTH_MAX: usize = 32;
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
        let resource = Resource::Object(put.bucket.clone(), put.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        let owner = store::owner(grant)?;
        check_limits(&put)?;
        // Refuses what will be refused before the body is read. The commit decides: it expects the
        // rows to be as they were found.
        let mut found = self.look_up(grant, &put).await?;
        let received = self.receive(&put, owner, body).await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let outcome = self.try_put(&put, found, &received, &mut hold).await?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            found = self.look_up(grant, &put).await?;
        }
        Err(store::conflict())
    }

    /// What a write finds under its key, with its precondition checked.
    async fn look_up(&self, grant: &Grant, put: &PutObject) -> Result<Slot> {
        let read = self.snapshot().await?;
        let mut slot = Slot::find(&*read, &put.bucket, &put.key).await?;
        slot.confirm(self, &*read, grant).await?;
        store::check_precondition(&put.precondition, put.tag_of, slot.current.as_ref())?;
        Ok(slot)
    }

    /// Takes the body in: hashes it, checks it against what was declared, and stores what does not
    /// fit into the object's row.
    async fn receive<B>(&self, put: &PutObject, owner: Owner, mut body: B) -> Result<Received>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let mut algorithms = vec![DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme];
        algorithms.extend(put.expected_digests.iter().map(|digest| digest.algorithm));
        let mut hasher = Hasher::new(&algorithms);
        let mut sink = Sink {
            store: self,
            collected: BytesMut::with_capacity(
                // As much as it says, and no more than is kept here: the claim may be false.
                usize::try_from(put.declared_length.unwrap_or(0))
                    .unwrap_or(usize::MAX)
                    .min(self.engine.data.body_bytes_max()),
            ),
            writer: None,
        };
        let mut length = 0u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            length = length.saturating_add(chunk.len() as u64);
            if length > OBJECT_BYTES_MAX {
                return Err(store::too_large("an object", OBJECT_BYTES_MAX));
            }
            if put
                .declared_length
                .is_some_and(|declared| length > declared)
            {
                return Err(incomplete("the body is longer than it was declared"));
            }
            hasher.update(&chunk);
            sink.append(chunk).await?;
        }
        if put
            .declared_length
            .is_some_and(|declared| length != declared)
        {
            return Err(incomplete("the body ended before its declared length"));
        }
        let digests = hasher.finish();
        for expected in &put.expected_digests {
            if digests.get(expected.algorithm) != Some(expected) {
                return Err(Error::new(
                    ErrorKind::DigestMismatch,
                    format!("the body does not have the expected digest {expected:?}"),
                ));
            }
        }
        let (body, layer) = sink.finish().await?;
        Ok(Received {
            owner,
            length,
            digests,
            body,
            layer,
        })
    }

    /// One attempt to commit; none when a concurrent change won.
    async fn try_put(
        &self,
        put: &PutObject,
        slot: Slot,
        received: &Received,
        hold: &mut Hold,
    ) -> Result<Option<PutOutcome>> {
        let draft = Draft {
            owner: received.owner.clone(),
            content: Content::Data {
                length: received.length,
                layer: received.layer.as_ref().map(|layer| layer.id),
            },
            digests: received.digests.clone(),
            written: Written::Whole,
            checksum: None,
            properties: put.properties.clone(),
        };
        let object = slot.object(self, draft);
        let body = received.body.clone().map(Body::Attached);
        let Some(mut changes) = slot.install(self, &object, body).await? else {
            return Ok(None);
        };
        if let Some(layer) = &received.layer {
            let mut rows = NewLayer::new(layer.id);
            rows.streamed(&layer.extents)?;
            changes.writes.extend(rows.finish()?);
            changes.tokens.push(layer.unnamed.token);
        }
        let urgency = Urgency::Normal;
        let applied = changes.commit(self, &slot.bucket, hold, urgency).await?;
        Ok(applied.then(|| PutOutcome {
            object,
            created: slot.current.is_none(),
        }))
    }
}

/// A body that was taken in.
struct Received {
    owner: Owner,
    length: u64,
    digests: Digests,
    /// The bytes, when they go into the row.
    body: Option<Bytes>,
    /// Where they are, when they do not.
    layer: Option<ReceivedLayer>,
}

struct ReceivedLayer {
    id: LayerId,
    extents: Vec<Extent>,
    unnamed: Unnamed,
}

/// A finished stream: given up when dropped, which does nothing once a commit has named it.
struct Unnamed {
    data: Arc<dyn Data>,
    token: Token,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        self.data.abandon(self.token);
    }
}

/// Collects a small body, and streams a large one into the data port.
struct Sink<'a> {
    store: &'a Store,
    collected: BytesMut,
    writer: Option<(LayerId, Box<dyn DataWriter>)>,
}

impl Sink<'_> {
    async fn append(&mut self, chunk: Bytes) -> Result<()> {
        if let Some((_, writer)) = &mut self.writer {
            return if chunk.is_empty() {
                Ok(())
            } else {
                writer.append(chunk).await
            };
        }
        let data = &self.store.engine.data;
        if self.collected.len() + chunk.len() <= data.body_bytes_max() {
            self.collected.extend_from_slice(&chunk);
            return Ok(());
        }
        let layer = LayerId(self.store.host.id());
        let mut writer = data.write(row_key::extents(layer)).await?;
        let collected = std::mem::take(&mut self.collected).freeze();
        if !collected.is_empty() {
            writer.append(collected).await?;
        }
        writer.append(chunk).await?;
        self.writer = Some((layer, writer));
        Ok(())
    }

    async fn finish(self) -> Result<(Option<Bytes>, Option<ReceivedLayer>)> {
        let Some((id, writer)) = self.writer else {
            let body = self.collected.freeze();
            return Ok(((!body.is_empty()).then_some(body), None));
        };
        let written = writer.finish().await?;
        let data = Arc::clone(&self.store.engine.data);
        let unnamed = Unnamed {
            data,
            token: written.token,
        };
        Ok((
            None,
            Some(ReceivedLayer {
                id,
                extents: written.extents,
                unnamed,
            }),
        ))
    }
}

fn incomplete(message: &str) -> Error {
    Error::new(ErrorKind::IncompleteBody, message)
}

/// Refuses what exceeds a limit before anything is read.
fn check_limits(put: &PutObject) -> Result<()> {
    if put
        .declared_length
        .is_some_and(|length| length > OBJECT_BYTES_MAX)
    {
        return Err(store::too_large("an object", OBJECT_BYTES_MAX));
    }
    let representation: usize = put
        .properties
        .representation
        .iter()
        .map(|(n, v)| n.len() + v.len())
        .sum();
    if representation > REPRESENTATION_BYTES_MAX {
        return Err(store::too_large(
            "a representation",
            REPRESENTATION_BYTES_MAX as u64,
        ));
    }
    check_metadata(&put.properties.metadata)
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
