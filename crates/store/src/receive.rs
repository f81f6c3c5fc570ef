//! Taking a body in: it is hashed while it passes, held against what it has to be, and kept in memory
//! when it is small, else streamed into the data port. What no commit names is given up.

use crate::encryption::{Encrypt, SealedKey};
use crate::hashing::BodyMd5;
use crate::layer::NewLayer;
use crate::row_key;
use crate::seal::Sealer;
use crate::store::{self, Store};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::sync::Arc;
use trestle_core::{Digest, DigestAlgorithm, Digests, Error, ErrorKind, Hasher, LayerId, Result};
use trestle_engine::{Data, DataWriter, Extent, Token, Write};

/// Largest object, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// What a body has to be, and what is taken of it.
#[derive(Clone, Debug, Default)]
pub struct BodyChecks {
    /// The length that the body declared, if it did: a different one is `IncompleteBody`.
    pub declared_length: Option<u64>,
    /// Digests that the bytes must have; `DigestMismatch` otherwise.
    pub expected_digests: Vec<Digest>,
    /// Digests to take beside MD5 and CRC-64/NVME and those that are expected.
    pub algorithms: Vec<DigestAlgorithm>,
    /// Digests that are expected, but known only after the last byte; their algorithms are named
    /// above.
    pub late: Option<LateDigests>,
}

impl BodyChecks {
    /// Refuses a declared length beyond the limit before anything is read.
    pub(crate) fn check_limits(&self) -> Result<()> {
        if self
            .declared_length
            .is_some_and(|length| length > OBJECT_BYTES_MAX)
        {
            return Err(object_too_large());
        }
        Ok(())
    }

    pub(crate) fn check_digests(&self, digests: &Digests) -> Result<()> {
        let late = match &self.late {
            Some(late) => (late.0)()?,
            None => Vec::new(),
        };
        for expected in self.expected_digests.iter().chain(&late) {
            if digests.get(expected.algorithm) != Some(expected) {
                return Err(Error::new(
                    ErrorKind::DigestMismatch,
                    format!("the body does not have the expected digest {expected:?}"),
                ));
            }
        }
        Ok(())
    }
}

type AskLate = dyn Fn() -> Result<Vec<Digest>> + Send + Sync;

/// Gives the digests that came after the body. Asked once the body has ended, before anything of it
/// becomes visible; its error refuses the write.
#[derive(Clone)]
pub struct LateDigests(Arc<AskLate>);

impl LateDigests {
    /// Asks `ask`.
    pub fn new(ask: impl Fn() -> Result<Vec<Digest>> + Send + Sync + 'static) -> Self {
        LateDigests(Arc::new(ask))
    }
}

impl std::fmt::Debug for LateDigests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LateDigests")
    }
}

/// A body that was taken in.
pub(crate) struct Received {
    pub(crate) length: u64,
    pub(crate) digests: Digests,
    /// The bytes, when they were not streamed.
    bytes: Bytes,
    /// Where they are, when they were.
    streamed: Option<Streamed>,
    /// What they are as a layer.
    layer: LayerId,
    /// The key of sealed bytes.
    sealed: Option<SealedKey>,
}

impl Received {
    /// What goes into a row with the commit: nothing of a streamed body, nor of an empty one.
    pub(crate) fn attached(&self) -> Option<Bytes> {
        (!self.bytes.is_empty()).then(|| self.bytes.clone())
    }

    /// What goes into the object's own row. Sealed bytes never do: their layer has the key.
    pub(crate) fn for_row(&self) -> Option<Bytes> {
        self.attached().filter(|_| self.sealed.is_none())
    }

    /// Where the bytes are, when they were streamed.
    pub(crate) fn extents(&self) -> Option<&[Extent]> {
        self.streamed
            .as_ref()
            .map(|streamed| streamed.extents.as_slice())
    }

    /// The layer that the bytes may become.
    pub(crate) fn layer_id(&self) -> LayerId {
        self.layer
    }

    /// Whether the bytes are encrypted.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// What a commit names in order to keep the bytes.
    pub(crate) fn token(&self) -> Option<Token> {
        self.streamed.as_ref().map(Streamed::token)
    }

    /// The layer that the bytes are, unless they go into the object's own row.
    pub(crate) fn layer(&self) -> Option<LayerId> {
        self.part_layer()
            .filter(|_| self.streamed.is_some() || self.sealed.is_some())
    }

    /// The rows of that layer.
    pub(crate) fn rows(&self) -> Result<Vec<Write>> {
        match self.layer() {
            Some(_) => self.part_rows(),
            None => Ok(Vec::new()),
        }
    }

    /// The layer of bytes that become part of something else: all but none at all.
    pub(crate) fn part_layer(&self) -> Option<LayerId> {
        (self.length > 0).then_some(self.layer)
    }

    /// The rows of that layer.
    pub(crate) fn part_rows(&self) -> Result<Vec<Write>> {
        if self.length == 0 {
            return Ok(Vec::new());
        }
        let mut rows = match &self.sealed {
            Some(key) => NewLayer::sealed(self.layer, key, self.length),
            None => NewLayer::new(self.layer),
        };
        match &self.streamed {
            Some(streamed) => rows.streamed(&streamed.extents)?,
            None => rows.attached(self.bytes.clone())?,
        }
        rows.finish()
    }
}

/// The bytes of a body that is too large for a row.
struct Streamed {
    extents: Vec<Extent>,
    unnamed: Unnamed,
}

impl Streamed {
    fn token(&self) -> Token {
        self.unnamed.token
    }
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

impl Store {
    /// Takes a body in: hashes it, checks it against what it has to be, and streams what is more
    /// than fits into a row, sealed on the way when it is to be encrypted.
    pub(crate) async fn receive<B>(
        &self,
        checks: &BodyChecks,
        encrypt: Option<&Encrypt>,
        mut body: B,
    ) -> Result<Received>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let mut algorithms = vec![DigestAlgorithm::Crc64Nvme];
        algorithms.extend(checks.expected_digests.iter().map(|d| d.algorithm));
        algorithms.extend(&checks.algorithms);
        algorithms.retain(|algorithm| *algorithm != DigestAlgorithm::Md5);
        let mut hasher = Hasher::new(&algorithms);
        let mut md5 = BodyMd5::new(&self.hashing);
        let layer = LayerId(self.host.id());
        let sealing = match encrypt {
            Some(encrypt) => Some(self.keys.sealing(encrypt, layer).await?),
            None => None,
        };
        let mut sealer = sealing.as_ref().map(|s| Sealer::new(s.cipher.clone()));
        let mut sink = Sink {
            store: self,
            layer,
            collected: BytesMut::with_capacity(
                // As much as it says, and no more than is kept here: the claim may be false.
                usize::try_from(checks.declared_length.unwrap_or(0))
                    .unwrap_or(usize::MAX)
                    .min(self.engine.data.body_bytes_max()),
            ),
            writer: None,
        };
        let declared = checks.declared_length;
        let mut length = 0u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            length = length.saturating_add(chunk.len() as u64);
            if length > OBJECT_BYTES_MAX {
                return Err(object_too_large());
            }
            if declared.is_some_and(|declared| length > declared) {
                return Err(incomplete("the body is longer than it was declared"));
            }
            hasher.update(&chunk);
            md5.update(chunk.clone()).await?;
            let stored = match &mut sealer {
                Some(sealer) => sealer.push(&*self.host.random, &chunk)?,
                None => chunk,
            };
            sink.append(stored).await?;
        }
        if declared.is_some_and(|declared| length != declared) {
            return Err(incomplete("the body ended before its declared length"));
        }
        let mut digests = hasher.finish();
        digests.insert(md5.finish().await?);
        checks.check_digests(&digests)?;
        if let Some(sealer) = sealer {
            sink.append(sealer.finish(&*self.host.random)?).await?;
        }
        let (bytes, streamed) = sink.finish().await?;
        Ok(Received {
            length,
            digests,
            bytes,
            streamed,
            layer,
            sealed: sealing.map(|sealing| sealing.key),
        })
    }
}

/// Collects a small body, and streams a large one into the data port.
struct Sink<'a> {
    store: &'a Store,
    /// The layer that streamed bytes become.
    layer: LayerId,
    collected: BytesMut,
    writer: Option<Box<dyn DataWriter>>,
}

impl Sink<'_> {
    async fn append(&mut self, chunk: Bytes) -> Result<()> {
        if let Some(writer) = &mut self.writer {
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
        let mut writer = data.write(row_key::extents(self.layer)).await?;
        let collected = std::mem::take(&mut self.collected).freeze();
        if !collected.is_empty() {
            writer.append(collected).await?;
        }
        writer.append(chunk).await?;
        self.writer = Some(writer);
        Ok(())
    }

    async fn finish(self) -> Result<(Bytes, Option<Streamed>)> {
        let Some(writer) = self.writer else {
            return Ok((self.collected.freeze(), None));
        };
        let written = writer.finish().await?;
        let data = Arc::clone(&self.store.engine.data);
        let unnamed = Unnamed {
            data,
            token: written.token,
        };
        let streamed = Streamed {
            extents: written.extents,
            unnamed,
        };
        Ok((Bytes::new(), Some(streamed)))
    }
}

pub(crate) fn object_too_large() -> Error {
    store::too_large("an object", OBJECT_BYTES_MAX)
}

pub(crate) fn incomplete(message: &str) -> Error {
    Error::new(ErrorKind::IncompleteBody, message)
}
