//! Free space that only maintenance and commits that free something may use.
//!
//! Without it a full disk could not be emptied: what makes space free writes first, a checkpoint
//! and a snapshot above all.

use crate::layout::Layout;
use std::sync::atomic::{AtomicU64, Ordering};
use trestle_core::{Error, ErrorKind, Result};
use trestle_host::Host;

/// What an index needs to grow by for a checkpoint of no rows, in bytes.
const CHECKPOINT_BYTES: u64 = 8 << 20;
/// What the log may allocate meanwhile, for a segment of its own and commits that free something.
const LOG_BYTES: u64 = 6 << 20;
/// With so much more the disk is not nearly full, and space is allocated ahead.
const AMPLE_BYTES: u64 = 32 << 20;

/// The file system's free space, and how much of it is kept.
pub(crate) struct Headroom {
    host: Host,
    layout: Layout,
    /// For the next snapshot, in bytes.
    snapshot: AtomicU64,
}

impl Headroom {
    pub(crate) fn new(host: &Host, layout: &Layout) -> Self {
        Headroom {
            host: host.clone(),
            layout: layout.clone(),
            snapshot: AtomicU64::new(0),
        }
    }

    /// Notes how large the snapshot is.
    pub(crate) fn set_snapshot(&self, bytes: u64) {
        self.snapshot.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that a checkpoint of `rows` bytes of rows may need: a page for each row is the worst
    /// case, and the index must never meet a full disk half-way.
    fn checkpoint(rows: usize) -> u64 {
        (rows as u64).saturating_mul(4) + CHECKPOINT_BYTES
    }

    /// Fails with `NoSpace` when a checkpoint of `rows` bytes of rows may not fit.
    pub(crate) fn allows_checkpoint(&self, rows: usize) -> Result<()> {
        self.require(Self::checkpoint(rows))
    }

    /// Fails with `NoSpace` when an ordinary write would use what is kept, with `rows` bytes of rows
    /// to be written by the next checkpoint.
    pub(crate) fn allows_write(&self, rows: usize) -> Result<()> {
        let snapshot = self.snapshot.load(Ordering::Relaxed).saturating_mul(2);
        self.require(Self::checkpoint(rows).saturating_add(snapshot + LOG_BYTES))
    }

    /// Whether there is room enough to allocate ahead.
    pub(crate) fn is_ample(&self) -> bool {
        self.require(CHECKPOINT_BYTES + LOG_BYTES + AMPLE_BYTES)
            .is_ok()
    }

    fn require(&self, bytes: u64) -> Result<()> {
        if self.layout.free_bytes(&self.host)? >= bytes {
            Ok(())
        } else {
            Err(no_space())
        }
    }
}

pub(crate) fn no_space() -> Error {
    Error::new(ErrorKind::NoSpace, "no space is left for writes")
}
