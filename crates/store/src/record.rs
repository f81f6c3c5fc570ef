//! Records: what row values hold, as a version byte followed by CBOR (RFC 8949).
//!
//! Owns every field number; `docs/format-records.md` repeats them. Each record is a map with
//! integer keys, so fields can be added; a field number is never reused. The version byte grows
//! when a reader of the former shape would misread or lose something: `from_value` converts older
//! versions, one step after another, and refuses newer ones.

use crate::nouns::{Account, AccountProperties, Bucket, Content, Object, Quota};
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::collections::BTreeMap;
use trestle_core::{
    AccountId, BucketId, BucketName, Digest, DigestAlgorithm, Digests, Error, ErrorKind, Id, Key,
    LayerId, ObjectId, Owner, Result, Timestamp, VersionId,
};

/// A row value with a version.
pub(crate) trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// What it is called in messages.
    const NAME: &'static str;
    /// The version that is written.
    const VERSION: u8;

    /// Reads the body of an older version and converts it.
    fn migrate(version: u8, _body: &[u8]) -> Result<Self> {
        Err(Error::corrupt(format!(
            "{} record of unknown version {version}",
            Self::NAME
        )))
    }

    /// The row value.
    fn to_value(&self) -> Result<Bytes> {
        let mut value = vec![Self::VERSION];
        minicbor::encode(self, &mut value).map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                format!("cannot encode a {} record", Self::NAME),
            )
            .with_source(error)
        })?;
        Ok(value.into())
    }

    /// Reads a row value of this version or an older one.
    fn from_value(value: &[u8]) -> Result<Self> {
        let Some((&version, body)) = value.split_first() else {
            return Err(Error::corrupt(format!("empty {} record", Self::NAME)));
        };
        if version > Self::VERSION {
            return Err(Error::corrupt(format!(
                "{} record of version {version}, written by a newer Trestle (this one reads up to {})",
                Self::NAME,
                Self::VERSION
            )));
        }
        if version < Self::VERSION {
            return Self::migrate(version, body);
        }
        read_body(Self::NAME, body)
    }
}

/// Reads one CBOR item that fills `body`.
fn read_body<T: for<'b> Decode<'b, ()>>(name: &str, body: &[u8]) -> Result<T> {
    let mut decoder = Decoder::new(body);
    let record = decoder.decode().map_err(|error| {
        Error::corrupt(format!("a {name} record cannot be decoded")).with_source(error)
    })?;
    if decoder.position() != body.len() {
        return Err(Error::corrupt(format!(
            "a {name} record has bytes after its end"
        )));
    }
    Ok(record)
}

/// A 16-byte id as a CBOR byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdBytes(pub(crate) Id);

impl<C> Encode<C> for IdBytes {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> std::result::Result<(), minicbor::encode::Error<W::Error>> {
        encoder.bytes(self.0.as_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for IdBytes {
    fn decode(
        decoder: &mut Decoder<'b>,
        _: &mut C,
    ) -> std::result::Result<Self, minicbor::decode::Error> {
        Id::from_slice(decoder.bytes()?)
            .map(IdBytes)
            .ok_or_else(|| minicbor::decode::Error::message("an id has 16 bytes"))
    }
}

/// Who owns a record.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct OwnerRecord {
    #[n(0)]
    account: String,
    #[n(1)]
    user: String,
    #[n(2)]
    domain: Option<String>,
}

impl OwnerRecord {
    fn new(owner: &Owner) -> Self {
        OwnerRecord {
            account: owner.account.as_str().to_owned(),
            user: owner.user.clone(),
            domain: owner.domain.clone(),
        }
    }

    fn into_owner(self) -> Result<Owner> {
        let account = AccountId::parse(self.account).map_err(bad_name)?;
        Ok(Owner {
            account,
            user: self.user,
            domain: self.domain,
        })
    }
}

fn bad_name(error: Error) -> Error {
    Error::corrupt("a record holds a name that breaks the rules").with_source(error)
}

/// `10`: an account.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct AccountRecord {
    #[n(0)]
    pub(crate) created: u64,
    // 1 and 2 are kept for the parent and the name among its children.
    #[n(3)]
    modified: Option<u64>,
    /// JSON text.
    #[n(4)]
    metadata: Option<String>,
    #[n(5)]
    acl: Option<String>,
    #[n(6)]
    quota_bytes: Option<u64>,
    #[n(7)]
    quota_objects: Option<u64>,
    #[n(8)]
    documents: Option<BTreeMap<String, String>>,
    #[n(9)]
    closed: Option<bool>,
}

impl AccountRecord {
    pub(crate) fn new(account: &Account) -> Result<Self> {
        let AccountProperties {
            metadata,
            acl,
            quota,
            documents,
            closed,
        } = &account.properties;
        Ok(AccountRecord {
            created: account.created.0,
            modified: Some(account.modified.0),
            metadata: match metadata.is_empty() {
                true => None,
                false => Some(metadata_text(metadata)?),
            },
            acl: acl.clone(),
            quota_bytes: quota.bytes,
            quota_objects: quota.objects,
            documents: (!documents.is_empty()).then(|| documents.clone()),
            closed: closed.then_some(true),
        })
    }

    pub(crate) fn into_account(self, id: AccountId) -> Result<Account> {
        let metadata = match self.metadata {
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                Error::corrupt("an account record with unreadable metadata").with_source(error)
            })?,
            None => trestle_core::Metadata::new(),
        };
        Ok(Account {
            id,
            created: Timestamp(self.created),
            modified: Timestamp(self.modified.unwrap_or(self.created)),
            properties: AccountProperties {
                metadata,
                acl: self.acl,
                quota: Quota {
                    bytes: self.quota_bytes,
                    objects: self.quota_objects,
                },
                documents: self.documents.unwrap_or_default(),
                closed: self.closed.unwrap_or_default(),
            },
        })
    }
}

impl Record for AccountRecord {
    const NAME: &'static str = "account";
    const VERSION: u8 = 1;
}

/// `21`: a bucket.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct BucketRecord {
    #[n(0)]
    name: String,
    #[n(1)]
    owner: OwnerRecord,
    #[n(2)]
    created: u64,
}

impl Record for BucketRecord {
    const NAME: &'static str = "bucket";
    const VERSION: u8 = 1;
}

impl BucketRecord {
    pub(crate) fn new(bucket: &Bucket) -> Self {
        BucketRecord {
            name: bucket.name.as_str().to_owned(),
            owner: OwnerRecord::new(&bucket.owner),
            created: bucket.created.0,
        }
    }

    pub(crate) fn into_bucket(self, id: BucketId) -> Result<Bucket> {
        Ok(Bucket {
            id,
            name: BucketName::parse_qualified(self.name).map_err(bad_name)?,
            owner: self.owner.into_owner()?,
            created: Timestamp(self.created),
        })
    }
}

/// The one variant of content so far.
const CONTENT_DATA: u8 = 1;

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

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct DigestRecord {
    #[n(0)]
    algorithm: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    value: Vec<u8>,
}

/// `30`: an object.
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
    /// JSON text, so that every value comes back as it went in.
    #[n(9)]
    metadata: String,
}

impl Record for ObjectRecord {
    const NAME: &'static str = "object";
    const VERSION: u8 = 1;
}

impl ObjectRecord {
    pub(crate) fn new(object: &Object) -> Result<Self> {
        let Content::Data { length, layer } = object.content;
        let digests = object
            .digests
            .iter()
            .map(|d| DigestRecord {
                algorithm: d.algorithm.number(),
                value: d.value.clone(),
            })
            .collect();
        Ok(ObjectRecord {
            id: IdBytes(object.id.0),
            version: IdBytes(object.version.0),
            change: object.change,
            owner: OwnerRecord::new(&object.owner),
            created: object.created.0,
            modified: object.modified.0,
            content: ContentRecord {
                variant: CONTENT_DATA,
                length,
                layer: layer.map(|layer| IdBytes(layer.0)),
            },
            digests,
            representation: object.representation.clone(),
            metadata: metadata_text(&object.metadata)?,
        })
    }

    pub(crate) fn into_object(self, key: Key) -> Result<Object> {
        if self.content.variant != CONTENT_DATA {
            return Err(Error::corrupt(format!(
                "an object record with unknown content variant {}",
                self.content.variant
            )));
        }
        let mut digests = Digests::default();
        for DigestRecord { algorithm, value } in self.digests {
            let algorithm = DigestAlgorithm::from_number(algorithm)
                .filter(|algorithm| algorithm.length() == value.len())
                .ok_or_else(|| Error::corrupt("an object record with an unknown digest"))?;
            digests.insert(Digest { algorithm, value });
        }
        let metadata = serde_json::from_str(&self.metadata).map_err(|error| {
            Error::corrupt("an object record with unreadable metadata").with_source(error)
        })?;
        Ok(Object {
            id: ObjectId(self.id.0),
            version: VersionId(self.version.0),
            change: self.change,
            key,
            owner: self.owner.into_owner()?,
            created: Timestamp(self.created),
            modified: Timestamp(self.modified),
            content: Content::Data {
                length: self.content.length,
                layer: self.content.layer.map(|id| LayerId(id.0)),
            },
            digests,
            representation: self.representation,
            metadata,
        })
    }
}

/// The JSON text of a user's metadata, as it is stored.
pub(crate) fn metadata_text(metadata: &trestle_core::Metadata) -> Result<String> {
    serde_json::to_string(metadata).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot encode metadata").with_source(error)
    })
}

/// `40`: a layer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct LayerRecord {
    /// Bytes in all extents.
    #[n(0)]
    pub(crate) length: u64,
    // 1 is kept for the parent layer.
    /// Records and layers that refer to it.
    #[n(2)]
    pub(crate) references: u64,
    /// Row key of the record that it belongs to.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) owner: Vec<u8>,
}

impl Record for LayerRecord {
    const NAME: &'static str = "layer";
    const VERSION: u8 = 1;
}

/// `41`: an extent. Its bytes are the row's body.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ExtentRecord {
    /// Length in bytes.
    #[n(0)]
    pub(crate) length: u64,
}

impl Record for ExtentRecord {
    const NAME: &'static str = "extent";
    const VERSION: u8 = 1;
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
