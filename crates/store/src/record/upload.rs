//! The records of uploads in parts.

use super::{DigestRecord, IdBytes, ObjectRecord, Record};
use crate::nouns::{Content, Object, Part, Upload, UploadChecksum};
use crate::properties::Written;
use minicbor::{Decode, Encode};
use trestle_core::{
    BucketId, DigestAlgorithm, Digests, Error, Key, LayerId, ObjectId, Result, Timestamp, UploadId,
    VersionId,
};

/// `50`: an upload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct UploadRecord {
    /// The record of an empty object with the owner, time and properties of the one to come, and the
    /// upload's id in place of both of its own.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    object: Vec<u8>,
    /// The checksum's algorithm.
    #[n(1)]
    algorithm: Option<u8>,
    /// Present and true, or absent.
    #[n(2)]
    composite: Option<bool>,
}

impl Record for UploadRecord {
    const NAME: &'static str = "upload";
    const VERSION: u8 = 1;
}

impl UploadRecord {
    pub(crate) fn new(upload: &Upload) -> Result<Self> {
        let properties = upload.properties.clone();
        let object = Object {
            id: ObjectId(upload.id.0),
            version: VersionId(upload.id.0),
            change: 0,
            ordinal: 0,
            outranked: None,
            null_version: false,
            key: upload.key.clone(),
            owner: upload.owner.clone(),
            created: upload.created,
            modified: upload.created,
            modifications: 0,
            content: Content::Data {
                length: 0,
                layer: None,
            },
            digests: Digests::default(),
            encryption: upload.encryption.clone(),
            written: Written::Whole,
            checksum: None,
            representation: properties.representation,
            metadata: properties.metadata,
            tags: properties.tags,
            acl: properties.acl,
            retention: properties.retention,
            legal_hold: properties.legal_hold,
            hold_lifted: properties.hold_lifted,
            expires: properties.expires,
            storage_class: properties.storage_class,
            documents: properties.documents,
            manifest: properties.manifest,
            frozen: false,
        };
        let checksum = upload.checksum;
        Ok(UploadRecord {
            object: ObjectRecord::new(&object)?.to_value()?.to_vec(),
            algorithm: checksum.map(|checksum| checksum.algorithm.number()),
            composite: checksum.filter(|c| c.composite).map(|_| true),
        })
    }

    pub(crate) fn into_upload(self, key: Key) -> Result<Upload> {
        let object = ObjectRecord::from_value(&self.object)?.into_object(key)?;
        let algorithm = self.algorithm.map(|number| {
            DigestAlgorithm::from_number(number)
                .ok_or_else(|| Error::corrupt("an upload record with an unknown digest"))
        });
        let composite = self.composite == Some(true);
        Ok(Upload {
            id: UploadId(object.id.0),
            created: object.created,
            encryption: object.encryption.clone(),
            properties: object.properties(),
            checksum: algorithm.transpose()?.map(|algorithm| UploadChecksum {
                algorithm,
                composite,
            }),
            key: object.key,
            owner: object.owner,
        })
    }
}

/// `51`: a part, as it is stored.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PartRecord {
    #[n(0)]
    length: u64,
    /// Absent when the part is empty.
    #[n(1)]
    layer: Option<IdBytes>,
    #[n(2)]
    digests: Vec<DigestRecord>,
    #[n(3)]
    modified: u64,
    /// Depth of the layer.
    #[n(4)]
    pub(crate) depth: u64,
}

impl Record for PartRecord {
    const NAME: &'static str = "part";
    const VERSION: u8 = 1;
}

impl PartRecord {
    pub(crate) fn new(part: &Part, layer: Option<LayerId>, depth: u64) -> Self {
        PartRecord {
            length: part.length,
            layer: layer.map(|layer| IdBytes(layer.0)),
            digests: part.digests.iter().map(DigestRecord::new).collect(),
            modified: part.modified.0,
            depth,
        }
    }

    pub(crate) fn layer(&self) -> Option<LayerId> {
        self.layer.map(|layer| LayerId(layer.0))
    }

    pub(crate) fn into_part(self, number: u32) -> Result<Part> {
        let mut digests = Digests::default();
        for digest in self.digests {
            digests.insert(digest.into_digest()?);
        }
        Ok(Part {
            number,
            length: self.length,
            digests,
            modified: Timestamp(self.modified),
        })
    }
}

/// `52`: what became of an upload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CompletedRecord {
    #[n(0)]
    bucket: IdBytes,
    #[n(1)]
    key: String,
    /// When.
    #[n(2)]
    pub(crate) at: u64,
    /// The record of the object that it became, as it was then.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    object: Vec<u8>,
}

impl Record for CompletedRecord {
    const NAME: &'static str = "completed upload";
    const VERSION: u8 = 1;
}

impl CompletedRecord {
    pub(crate) fn new(bucket: BucketId, object: &Object, at: Timestamp) -> Result<Self> {
        Ok(CompletedRecord {
            bucket: IdBytes(bucket.0),
            key: object.key.as_str().to_owned(),
            at: at.0,
            object: ObjectRecord::new(object)?.to_value()?.to_vec(),
        })
    }

    /// The object, when it was one of this bucket and key.
    pub(crate) fn into_object(self, bucket: BucketId, key: &Key) -> Result<Option<Object>> {
        if self.bucket.0 != bucket.0 || self.key != key.as_str() {
            return Ok(None);
        }
        let object = ObjectRecord::from_value(&self.object)?;
        object.into_object(key.clone()).map(Some)
    }

    /// For the check: whether all of it can be read.
    pub(crate) fn check(self) -> Result<()> {
        let key = Key::parse(self.key.clone())
            .map_err(|error| Error::corrupt("a key that is none").with_source(error))?;
        let bucket = BucketId(self.bucket.0);
        self.into_object(bucket, &key).map(drop)
    }
}
