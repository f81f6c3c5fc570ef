//! Records: what row values hold, as a version byte followed by CBOR (RFC 8949).
//!
//! Owns every field number; `docs/format-records.md` repeats them. Each record is a map with
//! integer keys, so fields can be added; a field number is never reused. The version byte grows
//! when a reader of the former shape would misread or lose something: `from_value` converts older
//! versions, one step after another, and refuses newer ones.

mod asked;
mod bucket;
mod encryption;
mod feed;
mod job;
mod layer;
mod manifest;
mod object;
mod snapshot;
mod upload;

pub(crate) use asked::AskedRecord;
pub(crate) use bucket::BucketRecord;
pub(crate) use feed::FeedRecord;
pub(crate) use job::JobRecord;
pub(crate) use layer::{ExtentRecord, LayerRecord, SealedRecord, Source};
pub(crate) use manifest::{ManifestRecord, StandsFor};
pub(crate) use object::ObjectRecord;
pub(crate) use snapshot::{KeptRecord, SnapshotRecord, SweepRecord};
pub(crate) use upload::{CompletedRecord, PartRecord, UploadRecord};

use crate::nouns::{Account, AccountProperties};
use crate::properties::{PublicAccessBlock, Quota};
use bytes::Bytes;
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::collections::BTreeMap;
use trestle_core::{
    AccountId, Digest, DigestAlgorithm, Error, ErrorKind, Id, Metadata, Owner, Result, Timestamp,
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
    fn to_value(&self) -> Result<Bytes>
    where
        Self: Sized,
    {
        encoded(self, Self::VERSION)
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

/// The row value of a record, as of a version.
fn encoded<R: Record>(record: &R, version: u8) -> Result<Bytes> {
    let mut value = vec![version];
    minicbor::encode(record, &mut value).map_err(|error| {
        let message = format!("cannot encode a {} record", R::NAME);
        Error::new(ErrorKind::Internal, message).with_source(error)
    })?;
    Ok(value.into())
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
    /// Bits of the block of public access; absent when it is empty.
    #[n(10)]
    public_access: Option<u8>,
}

impl AccountRecord {
    pub(crate) fn new(account: &Account) -> Result<Self> {
        let AccountProperties {
            metadata,
            acl,
            quota,
            documents,
            closed,
            public_access,
        } = &account.properties;
        Ok(AccountRecord {
            created: account.created.0,
            modified: Some(account.modified.0),
            metadata: filled_metadata(metadata)?,
            acl: acl.clone(),
            quota_bytes: quota.bytes,
            quota_objects: quota.objects,
            documents: filled(documents),
            closed: closed.then_some(true),
            public_access: Some(public_access.bits()).filter(|bits| *bits != 0),
        })
    }

    pub(crate) fn quota(&self) -> Quota {
        Quota {
            bytes: self.quota_bytes,
            objects: self.quota_objects,
        }
    }

    pub(crate) fn into_account(self, id: AccountId) -> Result<Account> {
        let quota = self.quota();
        Ok(Account {
            id,
            created: Timestamp(self.created),
            modified: Timestamp(self.modified.unwrap_or(self.created)),
            properties: AccountProperties {
                metadata: metadata_of_filled(self.metadata)?,
                acl: self.acl,
                quota,
                documents: self.documents.unwrap_or_default(),
                closed: self.closed.unwrap_or_default(),
                public_access: PublicAccessBlock::of_bits(self.public_access.unwrap_or_default()),
            },
        })
    }
}

impl Record for AccountRecord {
    const NAME: &'static str = "account";
    const VERSION: u8 = 1;
}

/// A digest: an array of its algorithm's number and its value.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct DigestRecord {
    #[n(0)]
    algorithm: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    value: Vec<u8>,
}

impl DigestRecord {
    pub(crate) fn new(digest: &Digest) -> Self {
        DigestRecord {
            algorithm: digest.algorithm.number(),
            value: digest.value.clone(),
        }
    }

    pub(crate) fn into_digest(self) -> Result<Digest> {
        let algorithm = DigestAlgorithm::from_number(self.algorithm)
            .filter(|algorithm| algorithm.length() == self.value.len())
            .ok_or_else(|| Error::corrupt("a record with an unknown digest"))?;
        Ok(Digest {
            algorithm,
            value: self.value,
        })
    }
}

/// The JSON text of a user's metadata, as it is stored: every value comes back as it went in.
pub(crate) fn metadata_text(metadata: &Metadata) -> Result<String> {
    serde_json::to_string(metadata).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot encode metadata").with_source(error)
    })
}

/// A map as records keep it: absent when empty.
fn filled(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

/// Metadata as records keep it: absent when empty.
fn filled_metadata(metadata: &Metadata) -> Result<Option<String>> {
    (!metadata.is_empty())
        .then(|| metadata_text(metadata))
        .transpose()
}

fn metadata_of_filled(text: Option<String>) -> Result<Metadata> {
    text.map_or_else(|| Ok(Metadata::new()), |text| metadata_of(&text))
}

fn metadata_of(text: &str) -> Result<Metadata> {
    serde_json::from_str(text)
        .map_err(|error| Error::corrupt("a record with unreadable metadata").with_source(error))
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
