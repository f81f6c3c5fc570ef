//! Bytes of objects that go into other objects: found, held against their conditions, and put together
//! without moving more of them than fits into a row.

use crate::encryption::check_customer_key;
use crate::layer::{NewLayer, References, header, pieces};
use crate::manifest::Manifest;
use crate::nouns::{Content, Object, ReadObject, Source, VersionRef};
use crate::properties::ObjectProperties;
use crate::read::{ObjectBytes, open_content};
use crate::store::{self, FoundObject, Store};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    DigestAlgorithm, Digests, Error, ErrorKind, Hasher, LayerId, ResolvedRange, Result, Validators,
    Verdict, VersionId,
};
use trestle_engine::{BodyRef, Expectation, MetaRead, Write};

/// A source as one snapshot shows it.
pub(crate) struct FoundSource {
    pub(crate) object: Object,
    pub(crate) range: ResolvedRange,
    /// That it still is as it was found.
    pub(crate) expectations: Vec<Expectation>,
    body: Option<BodyRef>,
    /// Whether a manifest itself is meant.
    itself: bool,
}

impl FoundSource {
    /// Whether all its bytes are meant.
    pub(crate) fn is_whole(&self) -> bool {
        self.range.len() == self.length()
    }

    /// Whether its bytes are those of what a manifest joins: they have to be read.
    pub(crate) fn is_joined(&self) -> bool {
        !self.itself && self.object.manifest.is_some()
    }

    fn length(&self) -> u64 {
        match self.itself {
            true => self.object.stored_length(),
            false => self.object.length(),
        }
    }

    /// Refuses what would need bytes of its own.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(crate) fn check_own(&self) -> Result<()> {
        match self.is_joined() {
            true => Err(Error::invalid(
                "what a manifest stands for has to be copied first",
            )),
            false => Ok(()),
        }
    }

    /// Properties of a copy, which stands for other objects only when its source itself was copied.
    ///
    /// # Errors
    /// `InvalidInput` for the segments of another content.
    pub(crate) fn kept(&self, properties: ObjectProperties) -> Result<ObjectProperties> {
        let mut properties = properties.of_copy();
        if self.is_joined() {
            properties.manifest = None;
            return Ok(properties);
        }
        let lists =
            |manifest: &Option<Manifest>| matches!(manifest, Some(Manifest::Segments { .. }));
        let (own, new) = (&self.object.manifest, &properties.manifest);
        let same = own == new && self.is_whole();
        match same || !lists(own) && !lists(new) {
            true => Ok(properties),
            false => Err(Error::invalid(
                "segments are copied whole, with their manifest",
            )),
        }
    }

    /// What a copy of it holds; its layer is yet to be found.
    pub(crate) fn content(&self) -> Content {
        match self.object.content {
            // A copy of a volume's bytes is an object like any other.
            Content::Data { .. } | Content::Volume { .. } => Content::Data {
                length: self.range.len(),
                layer: None,
            },
            Content::Directory | Content::DeleteMarker => self.object.content.clone(),
        }
    }

    /// What is known of its bytes without reading them.
    pub(crate) fn digests(&self) -> Digests {
        if self.is_whole() {
            self.object.digests.clone()
        } else {
            Digests::default()
        }
    }
}

/// A content that was put together of sources.
#[derive(Default)]
pub(crate) struct Assembly {
    /// Bytes that go into the object's row.
    pub(crate) attached: Option<Bytes>,
    /// The layer, when there is one.
    pub(crate) layer: Option<LayerId>,
    /// Depth of the layer.
    pub(crate) depth: u64,
    /// The rows of a new layer.
    pub(crate) writes: Vec<Write>,
    pub(crate) references: References,
}

/// Digests that were taken by reading a source.
pub(crate) struct Hashed {
    /// Of which bytes they are.
    of: (VersionId, u64),
    digests: Digests,
}

impl Store {
    /// Finds a source and holds it against its conditions.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`; `RangeNotSatisfiable`; `Forbidden`.
    pub(crate) async fn find_source(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        source: &Source,
    ) -> Result<FoundSource> {
        let resource = Resource::Object(source.bucket.clone(), source.key.clone());
        let action = match source.version {
            VersionRef::Current | VersionRef::Ended => Action::ReadObject,
            VersionRef::Null | VersionRef::Id(_) => Action::ReadObjectVersion,
        };
        store::require(grant, action, &resource)?;
        let place = (&source.bucket, &source.key, source.version);
        let (found, expectations) = self.find(read, grant, place).await?;
        let FoundObject { object, body, .. } = found;
        let object = match source.itself {
            true => object,
            false => Box::pin(self.as_it_reads(grant, object)).await?,
        };
        let validators = Validators {
            tag: (source.tag_of)(&object),
            modified: object.modified,
        };
        if source.precondition.for_read(Some(&validators)) != Verdict::Proceed {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "the precondition on the source does not hold",
            ));
        }
        let end = match source.itself {
            true => object.stored_length(),
            false => object.length(),
        };
        let whole = ResolvedRange { start: 0, end };
        check_customer_key(object.encryption.as_ref(), source.key_of_client.as_ref())?;
        let range = source.range;
        let range = range.map_or(Ok(whole), |range| range.resolve(end))?;
        Ok(FoundSource {
            object,
            range,
            expectations,
            body,
            itself: source.itself,
        })
    }

    /// The bytes of a source that fits into a row; none when it does not. Encrypted bytes never go into
    /// a row.
    pub(crate) async fn small_bytes(
        &self,
        read: &dyn MetaRead,
        source: &FoundSource,
    ) -> Result<Option<Bytes>> {
        if source.object.encryption.is_some()
            || source.range.len() > self.engine.data.body_bytes_max() as u64
        {
            return Ok(None);
        }
        let (object, body, range) = (&source.object, source.body.clone(), source.range);
        let mut chunks = open_content(&self.engine, object, body, range, None).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = chunks.next_in(read).await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes.freeze()))
    }

    /// Makes a content of one source. One that `is_part` is always a layer, so that what it becomes
    /// part of moves no bytes.
    pub(crate) async fn assemble(
        &self,
        read: &dyn MetaRead,
        source: &FoundSource,
        small: Option<&Bytes>,
        is_part: bool,
    ) -> Result<Assembly> {
        let mut assembly = Assembly::default();
        let whole = source.object.layer().filter(|_| source.is_whole());
        if let Some(layer) = whole {
            assembly.depth = header(read, layer).await?.0.depth;
            assembly.references.gain(layer);
            assembly.layer = Some(layer);
            return Ok(assembly);
        }
        if source.range.is_empty() {
            return Ok(assembly);
        }
        let mut layer = NewLayer::new(LayerId(self.host.id()));
        match (small, source.object.layer()) {
            (Some(bytes), _) if !is_part => {
                assembly.attached = Some(bytes.clone());
                return Ok(assembly);
            }
            (Some(bytes), _) => layer.attached(bytes.clone())?,
            (None, Some(of)) => {
                for piece in pieces(read, of, source.range).await? {
                    layer.piece(piece, &mut assembly.references)?;
                }
            }
            (None, None) => return Err(Error::corrupt("a large content without a layer")),
        }
        assembly.layer = Some(layer.id);
        assembly.depth = layer.depth();
        assembly.writes = layer.finish()?;
        Ok(assembly)
    }

    /// The digests of a source: what is known, of a small one all that are wanted, else those that
    /// were taken before. None when the bytes have to be read first, with [`Store::hash`].
    pub(crate) fn digests(
        source: &FoundSource,
        small: Option<&Bytes>,
        wanted: &[DigestAlgorithm],
        hashed: Option<&Hashed>,
    ) -> Option<Digests> {
        let mut digests = source.digests();
        let lacking: Vec<DigestAlgorithm> = wanted
            .iter()
            .copied()
            .filter(|algorithm| digests.get(*algorithm).is_none())
            .collect();
        if lacking.is_empty() {
            return Some(digests);
        }
        let taken = match (small, hashed) {
            (Some(bytes), _) => {
                let mut hasher = Hasher::new(&lacking);
                hasher.update(bytes);
                hasher.finish()
            }
            (None, Some(hashed)) if hashed.of == source.object.bytes_since() => {
                hashed.digests.clone()
            }
            (None, _) => return None,
        };
        taken
            .iter()
            .for_each(|digest| digests.insert(digest.clone()));
        Some(digests)
    }

    /// Reads a source as it is now, and takes digests of it.
    ///
    /// # Errors
    /// As a read.
    pub(crate) async fn hash(
        &self,
        grant: &Grant,
        source: &Source,
        algorithms: &[DigestAlgorithm],
    ) -> Result<Hashed> {
        let (of, mut bytes) = self.open_source(grant, source).await?;
        let mut hasher = Hasher::new(algorithms);
        while let Some(chunk) = bytes.next().await {
            hasher.update(&chunk?);
        }
        Ok(Hashed {
            of,
            digests: hasher.finish(),
        })
    }

    /// The plain bytes of a source as it is now, and which they are.
    ///
    /// # Errors
    /// As a read.
    pub(crate) async fn open_source(
        &self,
        grant: &Grant,
        source: &Source,
    ) -> Result<((VersionId, u64), BoxStream<'static, Result<Bytes>>)> {
        let read = ReadObject {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            version: source.version,
        };
        let reader = match source.itself {
            true => self.open_itself(grant, &read).await?,
            false => self.open_object(grant, &read).await?,
        };
        let reader = reader.with_key(source.key_of_client.clone())?;
        let of = reader.object().bytes_since();
        let length = reader.length();
        let whole = ResolvedRange {
            start: 0,
            end: length,
        };
        let range = source.range;
        let range = range.map_or(Ok(whole), |range| range.resolve(length))?;
        let bytes = match reader.into_bytes(range).await? {
            ObjectBytes::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
            ObjectBytes::Stream(stream) => stream.boxed(),
        };
        Ok((of, bytes))
    }
}
