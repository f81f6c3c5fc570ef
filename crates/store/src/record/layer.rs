//! The records of layers and their extents.

use super::{DigestRecord, IdBytes, Record};
use crate::encryption::SealedKey;
use crate::nouns::PartInfo;
use crate::seal::sealed_length;
use bytes::Bytes;
use minicbor::{Decode, Encode};
use trestle_core::{Digests, Error, LayerId, Result};

/// `40`: a layer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct LayerRecord {
    /// Bytes of the content.
    #[n(0)]
    pub(crate) length: u64,
    /// Records and extents of other layers that refer to it.
    #[n(2)]
    pub(crate) references: u64,
    /// Longest way from here to bytes: 0 when no extent refers to another layer.
    #[n(4)]
    pub(crate) depth: u64,
    /// Its extents hold sealed frames, of this key; their offsets count sealed bytes.
    #[n(5)]
    pub(crate) sealed: Option<SealedRecord>,
}

/// The wrapped data key of a sealed layer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SealedRecord {
    /// The key of the ring that wraps it; none when the client keeps that.
    #[n(0)]
    name: Option<String>,
    #[n(1)]
    version: Option<u32>,
    #[cbor(n(2), with = "minicbor::bytes")]
    wrapped: Vec<u8>,
}

impl SealedRecord {
    pub(crate) fn new(key: &SealedKey) -> Self {
        SealedRecord {
            name: key.under.as_ref().map(|(name, _)| name.clone()),
            version: key.under.as_ref().map(|(_, version)| *version),
            wrapped: key.wrapped.clone(),
        }
    }

    pub(crate) fn key(&self) -> SealedKey {
        SealedKey {
            under: self.name.clone().zip(self.version),
            wrapped: self.wrapped.clone(),
        }
    }
}

impl LayerRecord {
    /// Bytes that its extents have together.
    pub(crate) fn stored(&self) -> u64 {
        match self.sealed {
            Some(_) => sealed_length(self.length),
            None => self.length,
        }
    }
}

impl Record for LayerRecord {
    const NAME: &'static str = "layer";
    const VERSION: u8 = 1;
}

/// `41`: an extent, as it is stored.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct ExtentFields {
    #[n(0)]
    length: u64,
    #[n(1)]
    layer: Option<IdBytes>,
    #[n(2)]
    offset: Option<u64>,
    #[n(3)]
    hole: Option<bool>,
    #[n(4)]
    part: Option<PartFields>,
}

impl Record for ExtentFields {
    const NAME: &'static str = "extent";
    const VERSION: u8 = 1;
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct PartFields {
    #[n(0)]
    number: u32,
    #[n(1)]
    digests: Vec<DigestRecord>,
}

impl PartFields {
    fn into_part(self) -> Result<PartInfo> {
        let mut digests = Digests::default();
        for digest in self.digests {
            digests.insert(digest.into_digest()?);
        }
        Ok(PartInfo {
            number: self.number,
            digests,
        })
    }
}

/// Where the bytes of an extent are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// They are the row's body.
    Own,
    /// From `offset` on in another layer.
    Reference { layer: LayerId, offset: u64 },
    /// Nowhere: they are zeros.
    Hole,
}

/// `41`: an extent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExtentRecord {
    /// Length in bytes, at least 1.
    pub(crate) length: u64,
    pub(crate) source: Source,
    /// The uploaded part that it is.
    pub(crate) part: Option<PartInfo>,
}

impl ExtentRecord {
    pub(crate) fn to_value(&self) -> Result<Bytes> {
        let (layer, offset, hole) = match self.source {
            Source::Own => (None, None, None),
            Source::Reference { layer, offset } => (Some(IdBytes(layer.0)), Some(offset), None),
            Source::Hole => (None, None, Some(true)),
        };
        let part = self.part.as_ref().map(|part| PartFields {
            number: part.number,
            digests: part.digests.iter().map(DigestRecord::new).collect(),
        });
        ExtentFields {
            length: self.length,
            layer,
            offset,
            hole,
            part,
        }
        .to_value()
    }

    pub(crate) fn from_value(value: &[u8]) -> Result<Self> {
        let fields = ExtentFields::from_value(value)?;
        let source = match (fields.layer, fields.offset, fields.hole) {
            (None, None, None) => Source::Own,
            (Some(layer), Some(offset), None) => Source::Reference {
                layer: LayerId(layer.0),
                offset,
            },
            (None, None, Some(true)) => Source::Hole,
            _ => return Err(Error::corrupt("an extent record that contradicts itself")),
        };
        Ok(ExtentRecord {
            length: fields.length,
            source,
            part: fields.part.map(PartFields::into_part).transpose()?,
        })
    }
}
