//! The records of snapshots of buckets, and of the rows that are kept for them.

use super::{IdBytes, Record, metadata_of, metadata_text};
use crate::nouns::Live;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use trestle_core::{BucketId, Result, Sequence, Timestamp};

/// `37`: a snapshot. The revision of the row says what the snapshot shows, until it is rewritten.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SnapshotRecord {
    #[n(0)]
    id: IdBytes,
    #[n(1)]
    name: String,
    /// Of all when absent.
    #[n(2)]
    prefix: Option<String>,
    #[n(3)]
    created: u64,
    /// Only clones need it. Present and true, or absent.
    #[n(4)]
    hidden: Option<bool>,
    /// What it shows, once the row was rewritten.
    #[n(5)]
    sequence: Option<u64>,
    /// The metadata that the bucket had, as JSON text; absent of a directory's snapshot, and of those
    /// that were made when it was not kept.
    #[n(6)]
    metadata: Option<String>,
}

impl Record for SnapshotRecord {
    const NAME: &'static str = "snapshot";
    const VERSION: u8 = 1;
}

impl SnapshotRecord {
    pub(crate) fn new(snapshot: &Live) -> Result<Self> {
        let metadata = snapshot.metadata.as_ref().map(metadata_text);
        Ok(SnapshotRecord {
            id: IdBytes(snapshot.id.0),
            name: snapshot.name.clone(),
            prefix: (!snapshot.prefix.is_empty()).then(|| snapshot.prefix.clone()),
            created: snapshot.created.0,
            hidden: snapshot.hidden.then_some(true),
            sequence: (snapshot.sequence.0 > 0).then_some(snapshot.sequence.0),
            metadata: metadata.transpose()?,
        })
    }

    /// The snapshot of a row that was written by the commit `revision`.
    pub(crate) fn into_live(self, ordinal: u64, revision: Sequence) -> Result<Live> {
        let sequence = self.sequence.map_or(revision, Sequence);
        let metadata = self.metadata.as_deref().map(metadata_of);
        Ok(Live {
            id: BucketId(self.id.0),
            ordinal,
            sequence,
            name: self.name,
            prefix: self.prefix.unwrap_or_default(),
            created: Timestamp(self.created),
            hidden: self.hidden == Some(true),
            metadata: metadata.transpose()?,
        })
    }
}

/// `32`: a former row of a key.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct KeptRecord {
    /// The revision that the row had.
    #[n(0)]
    pub(crate) since: u64,
    /// Its value: an object record, version byte and all.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) object: Vec<u8>,
}

impl Record for KeptRecord {
    const NAME: &'static str = "kept";
    const VERSION: u8 = 1;
}

/// `39`: a snapshot that is gone, while what only it showed goes.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct SweepRecord {
    /// Of all when absent.
    #[n(0)]
    pub(crate) prefix: Option<String>,
    /// The last kept row that was looked at.
    #[n(1)]
    pub(crate) after: Option<ByteVec>,
}

impl Record for SweepRecord {
    const NAME: &'static str = "sweep";
    const VERSION: u8 = 1;
}
