//! What a history is made of.

use super::blocks::Blocks;
use super::contents::Contents;
use super::snapshots::Snapshots;
use bytes::Bytes;
use trestle_core::{ByteRange, Metadata};
use trestle_store::{History, Versioning};

#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    None,
    Absent,
    Current,
    Other,
}

/// Which version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Current,
    Null,
    /// From the newest on; there may be none.
    Nth(usize),
}

/// One change of an object's properties.
#[derive(Clone, Debug)]
pub(super) enum Property {
    Metadata(Metadata),
    Tag(String),
    Untag,
    Hold(bool),
    /// Strictly, until so long after now.
    Retain(bool, u64),
    Release,
    /// So long after now.
    Expires(Option<u64>),
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    CreateBucket,
    DeleteBucket,
    Bucket,
    ListBuckets {
        prefix: String,
        limit: usize,
    },
    Versioning(Versioning),
    /// Bytes and objects.
    Quota(Option<u64>, Option<u64>),
    Put {
        bytes: Bytes,
        kind: String,
        metadata: Metadata,
        condition: Condition,
        declared: i64,
        expires: Option<u64>,
    },
    CreateDirectory {
        condition: Condition,
    },
    Read {
        which: Which,
        range: Option<ByteRange>,
    },
    Head(Which),
    Update {
        which: Which,
        property: Property,
        bypass: bool,
    },
    Delete {
        which: Which,
        condition: Condition,
        history: History,
        mark_missing: bool,
        bypass: bool,
    },
    /// Makes a version current again.
    Reinstate(Which),
    Rename {
        bucket: String,
        key: String,
    },
    /// The key is the prefix.
    DeleteTree {
        erase: bool,
    },
    RenameTree {
        bucket: String,
        prefix: String,
    },
    List(Listed),
    ListVersions(ListedVersions),
    /// Deletes what has ended, then tidies up.
    Expire,
    Contents(Contents),
    Blocks(Blocks),
    Snapshots(Snapshots),
}

#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) after: Option<String>,
    pub(super) until: Option<String>,
    pub(super) reverse: bool,
    pub(super) limit: usize,
}

impl Listed {
    pub(super) fn all() -> Self {
        Listed {
            prefix: String::new(),
            delimiter: None,
            after: None,
            until: None,
            reverse: false,
            limit: 10_000,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ListedVersions {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    /// A key, and one of its versions.
    pub(super) marker: Option<(String, Option<usize>)>,
    pub(super) limit: usize,
}

impl Operation {
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Operation::CreateBucket => "create bucket",
            Operation::DeleteBucket => "delete bucket",
            Operation::Bucket => "bucket",
            Operation::ListBuckets { .. } => "list buckets",
            Operation::Versioning(_) => "versioning",
            Operation::Quota(..) => "quota",
            Operation::Put { .. } => "put",
            Operation::CreateDirectory { .. } => "create directory",
            Operation::Read { which, .. } => match which {
                Which::Current => "read",
                _ => "read version",
            },
            Operation::Head(Which::Current) => "head",
            Operation::Head(_) => "head version",
            Operation::Update { .. } => "update",
            Operation::Delete { which, history, .. } => match (which, history) {
                (_, History::Erase) => "erase",
                (Which::Current, History::Leave) => "withdraw",
                (Which::Current, _) => "delete",
                (_, History::Leave) => "delete version alone",
                _ => "delete version",
            },
            Operation::Reinstate(_) => "reinstate",
            Operation::Rename { .. } => "rename",
            Operation::DeleteTree { .. } => "delete tree",
            Operation::RenameTree { .. } => "rename tree",
            Operation::List(_) => "list",
            Operation::ListVersions(_) => "list versions",
            Operation::Expire => "expire",
            Operation::Contents(contents) => contents.verb(),
            Operation::Blocks(blocks) => blocks.verb(),
            Operation::Snapshots(made) => made.verb(),
        }
    }

    /// Whether it is done to a directory.
    pub(super) fn is_tree(&self) -> bool {
        matches!(
            self,
            Operation::DeleteTree { .. } | Operation::RenameTree { .. }
        )
    }

    /// Whether what it frees may go behind it.
    pub(super) fn is_swept(&self) -> bool {
        matches!(
            self,
            Operation::DeleteBucket | Operation::Snapshots(Snapshots::Delete(_))
        )
    }

    /// Whether more than one commit does it, and a crash may leave it half done; it can be repeated.
    pub(super) fn is_piecemeal(&self) -> bool {
        matches!(self, Operation::Expire)
    }
}
