//! The index written anew, beside the one in use, while nothing else is to be done.
//!
//! Overwritten pages leave holes in the file, and rows that came in order leave half-full pages. The
//! new one is filled in the order of keys, a piece at a time; what checkpoints write meanwhile it gets,
//! too. Until it takes the other's place nothing depends on it, and a start removes it.

use crate::checkpointer::Reopen;
use crate::committer::CheckpointOrder;
use crate::index::{Base, Index, read_failed};
use crate::row::StoredRow;
use bytes::Bytes;
use std::ops::Bound;
use trestle_core::{Error, Result};

/// Bytes of rows that are written at once: a checkpoint waits for as long as that takes.
const STEP_BYTES: usize = 1 << 20;
/// A checkpoint of more rows is not written twice, in bytes: somebody is writing.
const FOLLOWED_BYTES_MAX: usize = 1 << 20;
/// Part of the usual memory for pages that is used meanwhile.
const CACHE_PART: usize = 4;

/// An index that is being written.
pub(crate) struct Renewal {
    index: Index,
    /// The last key that was written.
    after: Option<Bytes>,
}

impl Renewal {
    /// Makes an empty one.
    pub(crate) fn begin(reopen: &Reopen) -> Result<Self> {
        let file = reopen.layout.create_new_index(&reopen.host)?;
        Ok(Renewal {
            index: Index::open(file, reopen.cache_bytes / CACHE_PART)?,
            after: None,
        })
    }

    /// Writes the next rows of the index in use; false when those were the last.
    ///
    /// # Errors
    /// `Corrupt` when a row is not as it was written; of the disk.
    pub(crate) fn step(&mut self, base: &Base) -> Result<bool> {
        let from = self.after.as_ref();
        let from = from.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_ref()));
        let (mut rows, mut bytes, mut more) = (Vec::new(), 0, false);
        let range = base.rows.range::<&[u8]>((from, Bound::Unbounded));
        for entry in range.map_err(read_failed)? {
            let (key, row) = entry.map_err(read_failed)?;
            if bytes >= STEP_BYTES {
                more = true;
                break;
            }
            let key = Bytes::copy_from_slice(key.value());
            let row = Bytes::copy_from_slice(row.value());
            StoredRow::decode(&key, &row)?;
            bytes += key.len() + row.len();
            rows.push((key, row));
        }
        self.index.load(&rows)?;
        if let Some((last, _)) = rows.pop() {
            self.after = Some(last);
        }
        Ok(more)
    }

    /// Writes what a checkpoint wrote into the index in use, as far as this one has come; the rest is
    /// read from there, in order, which leaves full pages. False when that is too much.
    pub(crate) fn follow(&mut self, order: &CheckpointOrder) -> Result<bool> {
        if order.frozen.bytes() > FOLLOWED_BYTES_MAX {
            return Ok(false);
        }
        let last = self.after.as_deref().unwrap_or_default();
        self.index
            .checkpoint_up_to(last, &order.frozen, order.redo)?;
        Ok(true)
    }

    /// Ends it, durable and closed.
    ///
    /// # Errors
    /// `Corrupt` when it does not hold what the index in use holds; of the disk.
    pub(crate) fn finish(self, base: &Base) -> Result<()> {
        self.index.set_redo_point(base.redo)?;
        let new = self.index.base()?;
        let same = new.space == base.space && base.bytes.is_none_or(|b| new.bytes == Some(b));
        if !same {
            return Err(Error::corrupt(
                "the index does not hold what its own counts say; check the store",
            ));
        }
        Ok(())
    }
}
