//! Snapshots of buckets and directories, as verbs take and give them.

use std::sync::Arc;
use trestle_core::{BucketId, BucketName, Metadata, Sequence, Timestamp};

/// A snapshot to be made.
#[derive(Clone, Debug)]
pub struct CreateSnapshot {
    /// Of which bucket.
    pub bucket: BucketName,
    /// Of what in it: of a directory, whose key ends in `/`, or of everything when empty.
    pub prefix: String,
    /// Its name, unique among those of the bucket.
    pub name: String,
}

/// A snapshot of a bucket, or of a directory in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of which bucket.
    pub bucket: BucketName,
    /// Of which directory in it; empty for the whole bucket.
    pub prefix: String,
    /// Its name.
    pub name: String,
    /// The name of the bucket that it is read as.
    pub reads_as: BucketName,
    /// When it was made.
    pub created: Timestamp,
}

/// A clone of a bucket to be made.
#[derive(Clone, Debug)]
pub struct CloneBucket {
    /// Of which bucket, or of which snapshot of one.
    pub source: BucketName,
    /// Of what in it: of a directory, whose key ends in `/`, or of everything when empty.
    pub prefix: String,
    /// Its name.
    pub name: BucketName,
}

/// What a bucket's record says of its snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotCount {
    /// How many were ever made, which is the ordinal of the newest.
    pub(crate) made: u64,
    /// How many there are.
    pub(crate) live: u64,
}

/// That a bucket is a snapshot of another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At {
    /// Whose rows it shows.
    pub(crate) base: BucketId,
    /// The name by which policies know what is in it.
    pub(crate) base_name: BucketName,
    pub(crate) live: Arc<Live>,
}

/// A snapshot that there is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Live {
    pub(crate) id: BucketId,
    pub(crate) ordinal: u64,
    /// It shows rows that were written by this commit or before.
    pub(crate) sequence: Sequence,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) created: Timestamp,
    /// Nobody can name it: only clones need it.
    pub(crate) hidden: bool,
    /// The metadata that the bucket had, of a snapshot of all of it.
    pub(crate) metadata: Option<Metadata>,
}

/// What a bucket's record says of what it is a clone of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloneOf {
    /// The bucket and the ordinal of the snapshot.
    pub(crate) base: BucketId,
    pub(crate) ordinal: u64,
    /// How the keys that are inherited start.
    pub(crate) prefix: String,
}

/// The snapshot that a clone is of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parent {
    /// Whose snapshot it is.
    pub(crate) base: BucketId,
    pub(crate) live: Live,
    /// How the keys that are inherited start.
    pub(crate) prefix: String,
    /// What that bucket is a clone of itself.
    pub(crate) parent: Option<Arc<Parent>>,
}

impl Live {
    /// Whether it shows rows of this key.
    pub(crate) fn covers(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
    }

    /// Whether it shows a row that was written by the commit `since`, and kept for `ordinal`.
    pub(crate) fn shows(&self, key: &str, since: Sequence, ordinal: u64) -> bool {
        self.ordinal <= ordinal && since <= self.sequence && self.covers(key)
    }
}
