//! The port of an ordered, transactional key-value store.

use crate::data::{Extent, Token};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::ops::Bound;
use trestle_core::{Result, Sequence};

/// Longest row key, in bytes: a table byte, an id, an escaped key and a sequence.
pub const ROW_KEY_BYTES_MAX: usize = 2200;
/// Largest row value, in bytes, without its body.
pub const ROW_VALUE_BYTES_MAX: usize = 1 << 20;
/// Largest sum of keys, values and bodies in one commit, in bytes.
pub const COMMIT_BYTES_MAX: usize = 16 << 20;
/// Most rows that one scan returns.
pub const SCAN_ROWS_MAX: usize = 10_000;

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row's value. For a counter: a big-endian `i64`.
    pub value: Bytes,
    /// The commit that wrote it.
    pub revision: Sequence,
    /// The bytes that were attached to the row, if any.
    pub body: Option<BodyRef>,
}

/// A reference to the bytes that belong to a row, readable through [`crate::Data::read_body`].
/// It holds while the snapshot that it was read from is alive: afterwards the engine may have moved
/// or freed them. Never stored by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyRef {
    /// Length in bytes.
    pub length: u32,
    /// The engine's own locator.
    pub handle: Bytes,
}

/// What must hold at the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The row was last written by this commit.
    Revision(Bytes, Sequence),
    /// There is no such row.
    Absent(Bytes),
    /// There is no row from the first key (included) to the second (excluded).
    EmptyRange(Bytes, Bytes),
}

/// Bytes that belong to one row: durable with it, not loaded with it, free when it is replaced or
/// gone. The engine alone knows where they are, and may move them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Travel with the commit; may be empty.
    Attached(Bytes),
    /// Were streamed in before, under a token that the commit names. Each extent goes into one row.
    Streamed(Extent),
}

impl Body {
    /// Bytes that it adds to its commit.
    pub fn commit_bytes(&self) -> usize {
        match self {
            Body::Attached(bytes) => bytes.len(),
            Body::Streamed(extent) => extent.handle.len(),
        }
    }
}

/// One change. A commit changes each key at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the row, with the bytes that belong to it.
    Put {
        /// The row key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// The bytes that belong to the row, instead of any that did before.
        body: Option<Body>,
    },
    /// Removes the row; a missing row is no error.
    Delete {
        /// The row key.
        key: Bytes,
    },
    /// Adds to a counter (a big-endian `i64`; a missing row counts as 0). Commutes with every other
    /// `Add`, so it conflicts with nothing. A result outside `i64` fails the commit.
    Add {
        /// The row key.
        key: Bytes,
        /// What to add.
        delta: i64,
    },
    /// Makes a new row, whose key is `key` followed by the commit's sequence (8 bytes, big endian):
    /// such rows are in the order of their commits.
    Append {
        /// The start of the row key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
}

impl Write {
    /// The key that it changes, or the start of it.
    pub fn key(&self) -> &Bytes {
        match self {
            Write::Put { key, .. }
            | Write::Delete { key }
            | Write::Add { key, .. }
            | Write::Append { key, .. } => key,
        }
    }

    /// The row key that it changes in the commit of this sequence.
    pub fn row_key(&self, sequence: Sequence) -> Bytes {
        match self {
            Write::Append { key, .. } => [key.as_ref(), &sequence.0.to_be_bytes()].concat().into(),
            other => other.key().clone(),
        }
    }
}

/// Whether a commit may use the space kept in reserve for a full disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// Refused with `NoSpace` when space runs out.
    #[default]
    Normal,
    /// Frees space (a delete): may use the reserve.
    Freeing,
}

/// A transaction: applied whole, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// All of these must hold, else the commit fails with `Conflict`.
    pub expectations: Vec<Expectation>,
    /// The changes.
    pub writes: Vec<Write>,
    /// The streams of bytes whose extents the writes name. An expired token fails the commit with
    /// `Conflict`.
    pub tokens: Vec<Token>,
    /// Use of the reserve.
    pub urgency: Urgency,
}

/// The answer to a commit that is durable and visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the order of all commits; the revision of every row that it wrote.
    pub sequence: Sequence,
}

/// Treats all keys of a scan that share a run up to a delimiter as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collapse {
    /// How many leading bytes of the row key are not looked at.
    pub skip: usize,
    /// The delimiter, not empty.
    pub delimiter: Bytes,
}

/// A walk over rows in key order.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Where the range of keys starts.
    pub from: Bound<Bytes>,
    /// Where it ends.
    pub until: Bound<Bytes>,
    /// From the end to the start.
    pub reverse: bool,
    /// At most so many items, 1 to [`SCAN_ROWS_MAX`].
    pub limit: usize,
    /// Fold common prefixes.
    pub collapse: Option<Collapse>,
}

/// What a scan finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanItem {
    /// A row.
    Row(Bytes, Row),
    /// At least one row starts with this: the key up to and with the first delimiter after
    /// `Collapse::skip`. All such rows of the range are folded into this one item.
    Prefix(Bytes),
}

impl ScanItem {
    /// The key or prefix.
    pub fn key(&self) -> &Bytes {
        match self {
            ScanItem::Row(key, _) | ScanItem::Prefix(key) => key,
        }
    }
}

/// A consistent view: everything up to one commit, and nothing after it. Held for at most about a
/// second; longer walks take a new one and go on by key.
pub trait MetaRead: Send + Sync {
    /// The newest commit in the view.
    fn sequence(&self) -> Sequence;

    /// One row.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>>>;

    /// Rows in order. Fewer than `limit` items mean that the range is exhausted. An inverted range
    /// is empty.
    fn scan<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Vec<ScanItem>>>;
}

/// An ordered, transactional key-value store. Only durable commits are ever visible.
pub trait Meta: Send + Sync {
    /// The newest durable state.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn MetaRead>>>;

    /// The newest commit in it: what is known of a snapshot of this sequence is known of now.
    fn sequence(&self) -> Sequence;

    /// Applies a transaction; returns when it is durable and visible to new snapshots.
    ///
    /// Dropping the future does not cancel the commit.
    ///
    /// # Errors
    /// `Conflict` when an expectation does not hold or a token has expired (and whatever made it
    /// fail is durable by then); `TooLarge` beyond a limit; `InvalidInput` when a key is changed
    /// twice, or an extent is of none of the tokens; `NoSpace`; `Unavailable` after a failed flush, when nobody can know whether it happened.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed>>;

    /// Whether commits are taken.
    ///
    /// # Errors
    /// `Unavailable` when they are refused until the store is opened again.
    fn writable(&self) -> Result<()>;

    /// Gives back what space can be given back now, and returns when that is done. To be called every
    /// few seconds; cheap when there is nothing to do.
    ///
    /// # Errors
    /// `Unavailable`; whatever went wrong, which will be tried again.
    fn tidy(&self) -> BoxFuture<'_, Result<()>>;

    /// Flushes what makes the next start fast, and refuses commits from then on.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// The smallest key greater than every key that starts with `prefix`; none when there is no such
/// key (empty, or all `0xff`).
pub fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end.into())
}

impl Scan {
    /// All rows whose key starts with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>, limit: usize) -> Self {
        let prefix = prefix.into();
        let until = prefix_end(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Scan {
            from: Bound::Included(prefix),
            until,
            reverse: false,
            limit,
            collapse: None,
        }
    }
}
