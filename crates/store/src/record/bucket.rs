//! The record of a bucket.

use super::encryption::EncryptionRecord;
use super::object::RetentionRecord;
use super::{
    IdBytes, OwnerRecord, Record, bad_name, encoded, filled, filled_metadata, metadata_of_filled,
    read_body,
};
use crate::nouns::{Bucket, CloneOf, Held, SnapshotCount};
use crate::properties::{
    BucketProperties, DefaultRetention, ObjectLock, Period, PublicAccessBlock, Quota,
    RetentionMode, Versioning,
};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use trestle_core::{BucketId, BucketName, Error, JobId, Result, Timestamp};

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
    /// Off when absent.
    #[n(3)]
    versioning: Option<u8>,
    #[n(4)]
    policy: Option<String>,
    #[n(5)]
    acl: Option<String>,
    // 6 is kept for lifecycle.
    #[n(7)]
    lock: Option<LockRecord>,
    #[n(8)]
    clone_of: Option<CloneOfRecord>,
    /// JSON text.
    #[n(9)]
    metadata: Option<String>,
    #[n(10)]
    encryption: Option<EncryptionRecord>,
    #[n(11)]
    ownership: Option<String>,
    /// One bit for each refusal.
    #[n(12)]
    public_access: Option<u8>,
    #[n(13)]
    tags: Option<BTreeMap<String, String>>,
    #[n(14)]
    quota: Option<QuotaRecord>,
    #[n(15)]
    storage_policy: Option<String>,
    #[n(16)]
    documents: Option<BTreeMap<String, String>>,
    #[n(17)]
    held: Option<Vec<HeldRecord>>,
    #[n(18)]
    snapshots: Option<SnapshotsRecord>,
    #[n(19)]
    retention: Option<RetentionRecord>,
    /// Present and true, or absent.
    #[n(20)]
    legal_hold: Option<bool>,
    /// When it was created, when absent.
    #[n(21)]
    modified: Option<u64>,
    /// None when absent.
    #[n(22)]
    modifications: Option<u64>,
}

/// The snapshot that a clone is of.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct CloneOfRecord {
    #[n(0)]
    bucket: IdBytes,
    #[n(1)]
    ordinal: u64,
    /// How the keys start that are inherited; all are when it is absent.
    #[n(2)]
    prefix: Option<String>,
}

/// How many snapshots were made, and how many there are.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct SnapshotsRecord {
    #[n(0)]
    made: u64,
    #[n(1)]
    live: u64,
}

/// A prefix that a job on directories holds.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct HeldRecord {
    #[n(0)]
    prefix: String,
    #[n(1)]
    job: IdBytes,
}

impl Record for BucketRecord {
    const NAME: &'static str = "bucket";
    const VERSION: u8 = 3;

    fn migrate(_: u8, body: &[u8]) -> Result<Self> {
        read_body(Self::NAME, body)
    }

    /// As version 1 while it neither is a clone nor had snapshots, and as 2 while nothing protects it,
    /// so that who knows none of it can read it.
    fn to_value(&self) -> Result<Bytes> {
        let protected = self.retention.is_some() || self.legal_hold.is_some();
        let copied = self.snapshots.is_some() || self.clone_of.is_some();
        let version = match (protected, copied) {
            (true, _) => 3,
            (false, true) => 2,
            (false, false) => 1,
        };
        encoded(self, version)
    }
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct LockRecord {
    #[n(0)]
    mode: Option<u8>,
    #[n(1)]
    days: Option<u32>,
    #[n(2)]
    years: Option<u32>,
}

/// Limits of a bucket or an account.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct QuotaRecord {
    #[n(0)]
    bytes: Option<u64>,
    #[n(1)]
    objects: Option<u64>,
}

impl QuotaRecord {
    pub(crate) fn new(quota: Quota) -> Option<Self> {
        let Quota { bytes, objects } = quota;
        (quota != Quota::default()).then_some(QuotaRecord { bytes, objects })
    }

    pub(crate) fn into_quota(self) -> Quota {
        Quota {
            bytes: self.bytes,
            objects: self.objects,
        }
    }
}

/// The number of a mode in records.
pub(super) fn mode_number(mode: RetentionMode) -> u8 {
    match mode {
        RetentionMode::Governance => 1,
        RetentionMode::Compliance => 2,
    }
}

/// The mode of a record's number.
pub(super) fn mode_of(number: u8) -> Result<RetentionMode> {
    match number {
        1 => Ok(RetentionMode::Governance),
        2 => Ok(RetentionMode::Compliance),
        _ => Err(Error::corrupt("a record with an unknown retention mode")),
    }
}

impl LockRecord {
    fn new(lock: ObjectLock) -> Self {
        let (days, years) = match lock.default.map(|default| default.period) {
            Some(Period::Days(days)) => (Some(days), None),
            Some(Period::Years(years)) => (None, Some(years)),
            None => (None, None),
        };
        LockRecord {
            mode: lock.default.map(|default| mode_number(default.mode)),
            days,
            years,
        }
    }

    fn into_lock(self) -> Result<ObjectLock> {
        let period = match (self.days, self.years) {
            (Some(days), None) => Some(Period::Days(days)),
            (None, Some(years)) => Some(Period::Years(years)),
            (None, None) => None,
            _ => return Err(Error::corrupt("a bucket record with two periods")),
        };
        let default = match (self.mode.map(mode_of).transpose()?, period) {
            (Some(mode), Some(period)) => Some(DefaultRetention { mode, period }),
            (None, None) => None,
            _ => return Err(Error::corrupt("a bucket record with half a retention")),
        };
        Ok(ObjectLock { default })
    }
}

fn versioning_number(versioning: Versioning) -> Option<u8> {
    match versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(1),
        Versioning::Suspended => Some(2),
    }
}

fn versioning_of(number: Option<u8>) -> Result<Versioning> {
    match number {
        None => Ok(Versioning::Off),
        Some(1) => Ok(Versioning::Enabled),
        Some(2) => Ok(Versioning::Suspended),
        Some(_) => Err(Error::corrupt("a bucket record with unknown versioning")),
    }
}

fn public_access_bits(block: PublicAccessBlock) -> Option<u8> {
    let bits = u8::from(block.block_acls)
        | u8::from(block.ignore_acls) << 1
        | u8::from(block.block_policy) << 2
        | u8::from(block.restrict_buckets) << 3;
    (bits != 0).then_some(bits)
}

fn public_access_of(bits: Option<u8>) -> Result<PublicAccessBlock> {
    let bits = bits.unwrap_or(0);
    if bits > 0b1111 {
        return Err(Error::corrupt("a bucket record with unknown refusals"));
    }
    Ok(PublicAccessBlock {
        block_acls: bits & 1 != 0,
        ignore_acls: bits & 2 != 0,
        block_policy: bits & 4 != 0,
        restrict_buckets: bits & 8 != 0,
    })
}

impl BucketRecord {
    pub(crate) fn new(bucket: &Bucket) -> Result<Self> {
        let properties = &bucket.properties;
        Ok(BucketRecord {
            name: bucket.name.as_str().to_owned(),
            owner: OwnerRecord::new(&bucket.owner),
            created: bucket.created.0,
            versioning: versioning_number(properties.versioning),
            policy: properties.policy.clone(),
            acl: properties.acl.clone(),
            lock: properties.lock.map(LockRecord::new),
            metadata: filled_metadata(&properties.metadata)?,
            ownership: properties.ownership.clone(),
            public_access: public_access_bits(properties.public_access),
            tags: filled(&properties.tags),
            quota: QuotaRecord::new(properties.quota),
            encryption: properties.encryption.as_ref().map(EncryptionRecord::new),
            storage_policy: properties.storage_policy.clone(),
            documents: filled(&properties.documents),
            held: (!bucket.held.is_empty()).then(|| {
                let held = bucket.held.iter().map(|held| HeldRecord {
                    prefix: held.prefix.clone(),
                    job: IdBytes(held.job.0),
                });
                held.collect()
            }),
            clone_of: bucket.clone_of.as_ref().map(|of| CloneOfRecord {
                bucket: IdBytes(of.base.0),
                ordinal: of.ordinal,
                prefix: (!of.prefix.is_empty()).then(|| of.prefix.clone()),
            }),
            snapshots: (bucket.snapshots.made > 0).then_some(SnapshotsRecord {
                made: bucket.snapshots.made,
                live: bucket.snapshots.live,
            }),
            retention: properties.retention.map(RetentionRecord::new),
            legal_hold: properties.legal_hold.then_some(true),
            modified: (bucket.modified != bucket.created).then_some(bucket.modified.0),
            modifications: (bucket.modifications > 0).then_some(bucket.modifications),
        })
    }

    pub(crate) fn into_bucket(self, id: BucketId) -> Result<Bucket> {
        let properties = BucketProperties {
            versioning: versioning_of(self.versioning)?,
            lock: self.lock.map(LockRecord::into_lock).transpose()?,
            policy: self.policy,
            acl: self.acl,
            ownership: self.ownership,
            public_access: public_access_of(self.public_access)?,
            tags: self.tags.unwrap_or_default(),
            metadata: metadata_of_filled(self.metadata)?,
            quota: self.quota.map(QuotaRecord::into_quota).unwrap_or_default(),
            encryption: self
                .encryption
                .map(EncryptionRecord::into_encryption)
                .transpose()?,
            retention: self
                .retention
                .map(RetentionRecord::into_retention)
                .transpose()?,
            legal_hold: self.legal_hold == Some(true),
            storage_policy: self.storage_policy,
            documents: self.documents.unwrap_or_default(),
        };
        Ok(Bucket {
            id,
            name: BucketName::parse_stored(self.name).map_err(bad_name)?,
            owner: self.owner.into_owner()?,
            created: Timestamp(self.created),
            modified: Timestamp(self.modified.unwrap_or(self.created)),
            modifications: self.modifications.unwrap_or(0),
            properties,
            at: None,
            clone_of: self.clone_of.map(|of| CloneOf {
                base: BucketId(of.bucket.0),
                ordinal: of.ordinal,
                prefix: of.prefix.unwrap_or_default(),
            }),
            parent: None,
            snapshots: self.snapshots.map_or_else(SnapshotCount::default, |count| {
                let SnapshotsRecord { made, live } = count;
                SnapshotCount { made, live }
            }),
            held: self
                .held
                .unwrap_or_default()
                .into_iter()
                .map(|held| Held {
                    prefix: held.prefix,
                    job: JobId(held.job.0),
                })
                .collect(),
        })
    }
}
