//! Joining objects: the new one refers to their bytes, in the order that is asked for. Small contents,
//! which have no layer, are copied.

use crate::encryption::Encryption;
use crate::layer::{DEPTH_MAX, Hold, NewLayer, Piece, References, header, pieces};
use crate::nouns::{ComposeObject, Content, PartInfo, PutOutcome};
use crate::object_update::check_new;
use crate::placement::{Draft, Slot};
use crate::properties::{BucketProperties, Written};
use crate::receive::{OBJECT_BYTES_MAX, object_too_large};
use crate::source::FoundSource;
use crate::store::{self, ATTEMPTS_MAX, Store};
use bytes::Bytes;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Digest, DigestAlgorithm, Digests, Error, Hasher, LayerId, Result};
use trestle_engine::{Body, Expectation, MetaRead, Urgency, Write};

/// Most sources of one object.
pub const SOURCES_MAX: usize = 1000;
/// Most bytes of small contents that are copied into one object.
pub const COPIED_BYTES_MAX: u64 = 12 << 20;

/// Contents, put together.
#[derive(Default)]
struct Composed {
    length: u64,
    /// Bytes that were copied.
    copied: u64,
    /// All bytes, when there is no layer.
    attached: Option<Bytes>,
    layer: Option<LayerId>,
    writes: Vec<Write>,
    references: References,
    expectations: Vec<Expectation>,
    /// How all of them are encrypted.
    encryption: Option<Encryption>,
    /// MD5 values, as long as they are known of all.
    md5s: Option<Vec<u8>>,
    /// CRC of all, as long as it is known.
    crc64: Option<Digest>,
}

/// Refuses what would need the bytes to be encrypted in another way.
fn check_encryption(composed: &Composed, bucket: &BucketProperties) -> Result<()> {
    match &composed.encryption {
        None if bucket.encryption.is_none() => Ok(()),
        Some(Encryption::Store | Encryption::Named(_))
            if bucket.encryption.is_none() || bucket.encryption == composed.encryption =>
        {
            Ok(())
        }
        _ => Err(encrypted_differently()),
    }
}

fn encrypted_differently() -> Error {
    Error::invalid("objects are joined only when all are encrypted as the new one is to be")
}

impl Store {
    /// Makes an object of others, one after the other. `source_grants` are those for the sources, in
    /// their order.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`, for the sources and the target; `RangeNotSatisfiable`;
    /// `TooLarge`; `InvalidInput`; `NoSpace`; `Conflict` when concurrent writes keep winning;
    /// `Forbidden`.
    pub async fn compose(
        &self,
        source_grants: &[Grant],
        grant: &Grant,
        compose: ComposeObject,
    ) -> Result<PutOutcome> {
        let resource = Resource::Object(compose.bucket.clone(), compose.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        let owner = grant.principal().owner();
        check_new(&compose.properties)?;
        if compose.sources.is_empty() || compose.sources.len() > SOURCES_MAX {
            return Err(Error::invalid(format!(
                "an object is made of 1 to {SOURCES_MAX} others"
            )));
        }
        if source_grants.len() != compose.sources.len() {
            return Err(Error::invalid("each source needs a grant of its own"));
        }
        self.own(&compose.bucket, [&compose.key], Urgency::Normal)
            .await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let mut slot = Slot::find(&*read, &compose.bucket, &compose.key).await?;
            slot.confirm(self, &*read, grant).await?;
            let live = slot.live(self);
            store::check_precondition(&compose.precondition, compose.tag_of, live)?;
            let composed = self.join_sources(&*read, source_grants, &compose).await?;
            check_encryption(&composed, &slot.bucket.bucket.properties)?;
            drop(read);
            let draft = Draft {
                owner: owner.clone(),
                content: Content::Data {
                    length: composed.length,
                    layer: composed.layer,
                },
                digests: digests(&composed),
                encryption: composed.encryption.clone(),
                written: written(&composed, compose.sources.len()),
                checksum: None,
                properties: compose.properties.clone(),
            };
            let object = slot.object(self, draft);
            let body = composed.attached.map(Body::Attached);
            let Some(mut changes) = slot.install(self, &object, body).await? else {
                continue;
            };
            changes.expectations.extend(composed.expectations);
            changes.writes.extend(composed.writes);
            changes.references = composed.references;
            let normal = Urgency::Normal;
            if changes
                .commit(self, &slot.bucket, &mut hold, normal)
                .await?
            {
                return Ok(PutOutcome {
                    object,
                    created: slot.live(self).is_none(),
                });
            }
        }
        Err(store::conflict())
    }

    async fn join_sources(
        &self,
        read: &dyn MetaRead,
        source_grants: &[Grant],
        compose: &ComposeObject,
    ) -> Result<Composed> {
        let mut composed = Composed {
            md5s: Some(Vec::new()),
            crc64: hashed(b"").get(DigestAlgorithm::Crc64Nvme).cloned(),
            ..Composed::default()
        };
        let mut layer = NewLayer::new(LayerId(self.host.id()));
        let mut all_small = Vec::new();
        for ((source, grant), number) in compose.sources.iter().zip(source_grants).zip(1u32..) {
            let found = self.find_source(read, grant, source).await?;
            found.check_own()?;
            composed.expectations.extend(found.expectations.clone());
            if number > 1 && composed.encryption != found.object.encryption {
                return Err(encrypted_differently());
            }
            composed.encryption.clone_from(&found.object.encryption);
            let small = match found.object.layer() {
                Some(_) => None,
                None => self.small_bytes(read, &found).await?,
            };
            let wanted = [DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme];
            let wanted = if small.is_some() { &wanted[..] } else { &[] };
            let known = Store::digests(&found, small.as_ref(), wanted, None);
            composed.note(&known.unwrap_or_default(), found.range.len());
            match small {
                Some(bytes) => {
                    composed.copied += bytes.len() as u64;
                    if composed.copied > COPIED_BYTES_MAX {
                        return Err(store::too_large("what is copied", COPIED_BYTES_MAX));
                    }
                    all_small.push(bytes.clone());
                    layer.attached(bytes)?;
                }
                None => {
                    for piece in whole_or_pieces(read, &found, number).await? {
                        layer.piece(piece, &mut composed.references)?;
                    }
                }
            }
        }
        composed.length = layer.length();
        if composed.length > OBJECT_BYTES_MAX {
            return Err(object_too_large());
        }
        let attached_max = self.engine.data.body_bytes_max() as u64;
        if composed.copied == composed.length && composed.length <= attached_max {
            let bytes = Bytes::from(all_small.concat());
            composed.attached = (!bytes.is_empty()).then_some(bytes);
            return Ok(composed);
        }
        composed.layer = Some(layer.id);
        composed.writes = layer.finish()?;
        Ok(composed)
    }
}

impl Composed {
    /// Takes down the digests of the next source.
    fn note(&mut self, known: &Digests, length: u64) {
        let md5 = known.get(DigestAlgorithm::Md5);
        self.md5s = self.md5s.take().zip(md5).map(|(mut md5s, md5)| {
            md5s.extend_from_slice(&md5.value);
            md5s
        });
        let crc64 = known.get(DigestAlgorithm::Crc64Nvme);
        let joined = self.crc64.take().zip(crc64);
        self.crc64 = joined.and_then(|(joined, crc64)| joined.followed_by(crc64, length));
    }
}

/// A source as one piece, so that it can be told from its neighbours; as several only when the way to
/// its bytes would be too long.
async fn whole_or_pieces(
    read: &dyn MetaRead,
    source: &FoundSource,
    number: u32,
) -> Result<Vec<Piece>> {
    let layer = source.object.layer();
    let layer = layer.ok_or_else(|| Error::corrupt("a large content without a layer"))?;
    let (header, _) = header(read, layer).await?;
    if header.depth >= DEPTH_MAX || source.range.is_empty() {
        return pieces(read, layer, source.range).await;
    }
    Ok(vec![Piece {
        part: Some(PartInfo {
            number,
            digests: source.digests(),
        }),
        ..Piece::reference(layer, source.range, header.depth)
    }])
}

/// What is taken of every whole write.
fn hashed(bytes: &[u8]) -> Digests {
    let mut hasher = Hasher::new(&[DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme]);
    hasher.update(bytes);
    hasher.finish()
}

fn digests(composed: &Composed) -> Digests {
    if composed.layer.is_none() {
        return hashed(composed.attached.as_deref().unwrap_or_default());
    }
    let mut digests = Digests::default();
    if let Some(crc64) = &composed.crc64 {
        digests.insert(crc64.clone());
    }
    digests
}

fn written(composed: &Composed, sources: usize) -> Written {
    if composed.layer.is_none() {
        return Written::Whole;
    }
    let digest = composed.md5s.as_ref().and_then(|md5s| {
        let mut hasher = Hasher::new(&[DigestAlgorithm::Md5]);
        hasher.update(md5s);
        hasher.finish().get(DigestAlgorithm::Md5).cloned()
    });
    match (digest, u32::try_from(sources)) {
        (Some(digest), Ok(count)) => Written::Parts { count, digest },
        _ => Written::Patched,
    }
}
