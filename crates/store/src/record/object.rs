//! The record of an object: of the current one and of each version in history.

use super::bucket::{mode_number, mode_of};
use super::encryption::EncryptionRecord;
use super::{
    DigestRecord, IdBytes, OwnerRecord, Record, StandsFor, encoded, filled, metadata_of,
    metadata_text, read_body,
};
use crate::nouns::{Content, Object};
use crate::properties::{Checksum, Retention, Written};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use trestle_core::{
    BucketId, Digests, Error, Id, Key, LayerId, ObjectId, Result, Timestamp, VersionId,
};

/// The id that a clone gives to what has this one elsewhere: always the same.
fn derived(clone: BucketId, id: Id) -> Id {
    let digest = Sha256::new().chain_update(clone.0.as_bytes());
    let digest = digest.chain_update(id.as_bytes()).finalize();
    let bytes = digest.first_chunk::<16>().copied();
    Id(bytes.unwrap_or_default())
}

const CONTENT_DATA: u8 = 1;
const CONTENT_DELETE_MARKER: u8 = 2;
const CONTENT_DIRECTORY: u8 = 3;
const CONTENT_VOLUME: u8 = 4;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct ContentRecord {
    #[n(0)]
    variant: u8,
    #[n(1)]
    length: u64,
    #[n(2)]
    layer: Option<IdBytes>,
}

impl ContentRecord {
    fn new(content: &Content) -> Self {
        let (variant, length, layer) = match content {
            Content::Data { length, layer } => (CONTENT_DATA, *length, *layer),
            Content::DeleteMarker => (CONTENT_DELETE_MARKER, 0, None),
            Content::Directory => (CONTENT_DIRECTORY, 0, None),
            Content::Volume { length, layer } => (CONTENT_VOLUME, *length, Some(*layer)),
        };
        ContentRecord {
            variant,
            length,
            layer: layer.map(|layer| IdBytes(layer.0)),
        }
    }

    fn into_content(self) -> Result<Content> {
        match self.variant {
            CONTENT_DATA => Ok(Content::Data {
                length: self.length,
                layer: self.layer.map(|id| LayerId(id.0)),
            }),
            CONTENT_DELETE_MARKER => Ok(Content::DeleteMarker),
            CONTENT_DIRECTORY => Ok(Content::Directory),
            CONTENT_VOLUME => {
                let layer = self.layer.map(|id| LayerId(id.0));
                let missing = || Error::corrupt("a volume's record without a layer");
                Ok(Content::Volume {
                    length: self.length,
                    layer: layer.ok_or_else(missing)?,
                })
            }
            unknown => Err(Error::corrupt(format!(
                "an object record with unknown content variant {unknown}"
            ))),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct RetentionRecord {
    #[n(0)]
    mode: u8,
    #[n(1)]
    until: u64,
}

impl RetentionRecord {
    pub(crate) fn new(retention: Retention) -> Self {
        RetentionRecord {
            mode: mode_number(retention.mode),
            until: retention.until.0,
        }
    }

    pub(crate) fn into_retention(self) -> Result<Retention> {
        Ok(Retention {
            mode: mode_of(self.mode)?,
            until: Timestamp(self.until),
        })
    }
}

const WRITTEN_PARTS: u8 = 1;
const WRITTEN_PATCHED: u8 = 2;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct WrittenRecord {
    #[n(0)]
    how: u8,
    #[n(1)]
    count: Option<u32>,
    #[n(2)]
    digest: Option<DigestRecord>,
}

impl WrittenRecord {
    fn new(written: &Written) -> Option<Self> {
        match written {
            Written::Whole => None,
            Written::Parts { count, digest } => Some(WrittenRecord {
                how: WRITTEN_PARTS,
                count: Some(*count),
                digest: Some(DigestRecord::new(digest)),
            }),
            Written::Patched => Some(WrittenRecord {
                how: WRITTEN_PATCHED,
                count: None,
                digest: None,
            }),
        }
    }

    fn into_written(self) -> Result<Written> {
        match (self.how, self.count, self.digest) {
            (WRITTEN_PARTS, Some(count), Some(digest)) => Ok(Written::Parts {
                count,
                digest: digest.into_digest()?,
            }),
            (WRITTEN_PATCHED, None, None) => Ok(Written::Patched),
            _ => Err(Error::corrupt(
                "an object record that does not say how it was written",
            )),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct ChecksumRecord {
    #[n(0)]
    digest: DigestRecord,
    #[n(1)]
    composite_of: Option<u32>,
}

impl ChecksumRecord {
    fn new(checksum: &Checksum) -> Self {
        ChecksumRecord {
            digest: DigestRecord::new(&checksum.digest),
            composite_of: checksum.composite_of,
        }
    }

    fn into_checksum(self) -> Result<Checksum> {
        Ok(Checksum {
            digest: self.digest.into_digest()?,
            composite_of: self.composite_of,
        })
    }
}

/// `30` and `31`: an object.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ObjectRecord {
    #[n(0)]
    id: IdBytes,
    #[n(1)]
    version: IdBytes,
    #[n(2)]
    change: u64,
    #[n(3)]
    owner: OwnerRecord,
    #[n(4)]
    created: u64,
    #[n(5)]
    modified: u64,
    #[n(6)]
    content: ContentRecord,
    #[n(7)]
    digests: Vec<DigestRecord>,
    #[n(8)]
    representation: BTreeMap<String, String>,
    /// JSON text.
    #[n(9)]
    metadata: String,
    #[n(10)]
    tags: Option<BTreeMap<String, String>>,
    #[n(11)]
    retention: Option<RetentionRecord>,
    /// True; false when one was lifted; absent when there never was one.
    #[n(12)]
    legal_hold: Option<bool>,
    #[n(13)]
    expires: Option<u64>,
    #[n(14)]
    acl: Option<String>,
    // 15 is reserved.
    #[n(16)]
    storage_class: Option<String>,
    #[n(17)]
    encryption: Option<EncryptionRecord>,
    /// Whole when absent.
    #[n(18)]
    written: Option<WrittenRecord>,
    #[n(19)]
    ordinal: u64,
    /// Present and true, or absent.
    #[n(20)]
    null_version: Option<bool>,
    #[n(21)]
    checksum: Option<ChecksumRecord>,
    #[n(22)]
    documents: Option<BTreeMap<String, String>>,
    #[n(23)]
    manifest: Option<StandsFor>,
    /// Present and true, or absent.
    #[n(24)]
    frozen: Option<bool>,
    #[n(25)]
    outranked: Option<u64>,
    /// None when absent.
    #[n(26)]
    modifications: Option<u64>,
}

impl Record for ObjectRecord {
    const NAME: &'static str = "object";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self> {
        match version {
            1 => read_body(Self::NAME, body),
            _ => Err(Error::corrupt("an object record of version 0")),
        }
    }

    /// As version 1 unless it was made current again: who does not know that it is older than others
    /// would give its place to the next.
    fn to_value(&self) -> Result<Bytes> {
        encoded(self, if self.outranked.is_some() { 2 } else { 1 })
    }
}

impl ObjectRecord {
    pub(crate) fn new(object: &Object) -> Result<Self> {
        Ok(ObjectRecord {
            id: IdBytes(object.id.0),
            version: IdBytes(object.version.0),
            change: object.change,
            owner: OwnerRecord::new(&object.owner),
            created: object.created.0,
            modified: object.modified.0,
            content: ContentRecord::new(&object.content),
            digests: object.digests.iter().map(DigestRecord::new).collect(),
            representation: object.representation.clone(),
            metadata: metadata_text(&object.metadata)?,
            tags: filled(&object.tags),
            retention: object.retention.map(RetentionRecord::new),
            legal_hold: object.hold(),
            expires: object.expires.map(|expires| expires.0),
            acl: object.acl.clone(),
            storage_class: object.storage_class.clone(),
            encryption: object.encryption.as_ref().map(EncryptionRecord::new),
            written: WrittenRecord::new(&object.written),
            ordinal: object.ordinal,
            null_version: object.null_version.then_some(true),
            checksum: object.checksum.as_ref().map(ChecksumRecord::new),
            documents: filled(&object.documents),
            manifest: object.manifest.as_ref().map(StandsFor::new),
            frozen: object.frozen.then_some(true),
            outranked: object.outranked,
            modifications: (object.modifications > 0).then_some(object.modifications),
        })
    }

    /// The record as a snapshot that was made at `time` shows it: nothing of it ends or is protected
    /// any more, and nothing changes. None when it had ended before.
    pub(crate) fn shown_at(self, time: Timestamp) -> Option<Self> {
        let ended = self.expires.is_some_and(|expires| expires <= time.0);
        (!ended).then_some(ObjectRecord {
            retention: None,
            legal_hold: None,
            expires: None,
            frozen: Some(true),
            outranked: None,
            ..self
        })
    }

    /// The record as a clone of a bucket shows it that is of a snapshot of `time`: with ids of its own,
    /// and nothing of it ends or is protected. None when it had ended before.
    pub(crate) fn inherited_by(self, clone: BucketId, time: Timestamp) -> Option<Self> {
        let frozen = self.frozen;
        Some(ObjectRecord {
            // It starts without versions.
            null_version: Some(true),
            id: IdBytes(derived(clone, self.id.0)),
            version: IdBytes(derived(clone, self.version.0)),
            modifications: None,
            frozen,
            ..self.shown_at(time)?
        })
    }

    pub(crate) fn into_object(self, key: Key) -> Result<Object> {
        let mut digests = Digests::default();
        for digest in self.digests {
            digests.insert(digest.into_digest()?);
        }
        Ok(Object {
            id: ObjectId(self.id.0),
            version: VersionId(self.version.0),
            change: self.change,
            ordinal: self.ordinal,
            outranked: self.outranked,
            null_version: self.null_version == Some(true),
            key,
            owner: self.owner.into_owner()?,
            created: Timestamp(self.created),
            modified: Timestamp(self.modified),
            modifications: self.modifications.unwrap_or(0),
            content: self.content.into_content()?,
            digests,
            encryption: self
                .encryption
                .map(EncryptionRecord::into_encryption)
                .transpose()?,
            written: self
                .written
                .map_or(Ok(Written::Whole), WrittenRecord::into_written)?,
            checksum: self
                .checksum
                .map(ChecksumRecord::into_checksum)
                .transpose()?,
            representation: self.representation,
            metadata: metadata_of(&self.metadata)?,
            tags: self.tags.unwrap_or_default(),
            acl: self.acl,
            retention: self
                .retention
                .map(RetentionRecord::into_retention)
                .transpose()?,
            legal_hold: self.legal_hold == Some(true),
            hold_lifted: self.legal_hold == Some(false),
            expires: self.expires.map(Timestamp),
            storage_class: self.storage_class,
            documents: self.documents.unwrap_or_default(),
            manifest: self.manifest.map(StandsFor::into_manifest).transpose()?,
            frozen: self.frozen == Some(true),
        })
    }
}
