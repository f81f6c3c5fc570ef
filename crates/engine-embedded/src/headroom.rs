//! Free space that only maintenance and commits that free something may use.
//!
//! Without it a full disk could not be emptied: what makes space free writes first, a checkpoint
//! and a snapshot above all. Spare log segments go before anything is refused.

use crate::layout::Layout;
use crate::spares::Spares;
use std::sync::Arc;
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
    pub(crate) host: Host,
    pub(crate) layout: Layout,
    spares: Arc<Spares>,
    /// For the next snapshot, in bytes.
    snapshot: AtomicU64,
    /// Promised to writes that run, in bytes.
    promised: AtomicU64,
}

/// Space that a write was promised, until it has taken it: what is dropped here shows as used by then.
pub(crate) struct Promise {
    headroom: Arc<Headroom>,
    bytes: u64,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.headroom
            .promised
            .fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Headroom {
    pub(crate) fn new(host: &Host, layout: &Layout, spares: &Arc<Spares>) -> Self {
        Headroom {
            host: host.clone(),
            layout: layout.clone(),
            spares: spares.clone(),
            snapshot: AtomicU64::new(0),
            promised: AtomicU64::new(0),
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

    /// Room for a checkpoint of `rows` bytes of rows.
    ///
    /// # Errors
    /// `NoSpace` when it may not fit.
    pub(crate) fn promise_checkpoint(self: &Arc<Self>, rows: usize) -> Result<Promise> {
        self.promise(Self::checkpoint(rows), 0)
    }

    /// Room for an ordinary write of so many bytes. Each has its own: many that look at the same free
    /// space at once would together use what is kept.
    ///
    /// # Errors
    /// `NoSpace` when it would use what is kept.
    pub(crate) fn promise_write(self: &Arc<Self>, bytes: u64) -> Result<Promise> {
        self.promise(bytes, self.kept(0))
    }

    fn promise(self: &Arc<Self>, bytes: u64, beside: u64) -> Result<Promise> {
        self.promised.fetch_add(bytes, Ordering::SeqCst);
        let promise = Promise {
            headroom: self.clone(),
            bytes,
        };
        self.require(beside)?;
        Ok(promise)
    }

    /// What ordinary writes leave alone, with `rows` bytes of rows to be written by the next
    /// checkpoint.
    fn kept(&self, rows: usize) -> u64 {
        let snapshot = self.snapshot.load(Ordering::Relaxed).saturating_mul(2);
        Self::checkpoint(rows).saturating_add(snapshot + LOG_BYTES)
    }

    /// Whether an ordinary write would use what is kept, with `rows` bytes of rows to be written by
    /// the next checkpoint.
    ///
    /// # Errors
    /// When the file system does not say.
    pub(crate) fn is_short(&self, rows: usize) -> Result<bool> {
        match self.require(self.kept(rows)) {
            Ok(()) => Ok(false),
            Err(error) if error.kind() == ErrorKind::NoSpace => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether there is room enough to allocate ahead.
    pub(crate) fn is_ample(&self) -> bool {
        self.require(CHECKPOINT_BYTES + LOG_BYTES + AMPLE_BYTES)
            .is_ok()
    }

    /// Fails with `NoSpace` unless so much is free beside what was promised.
    fn require(&self, bytes: u64) -> Result<()> {
        let bytes = bytes.saturating_add(self.promised.load(Ordering::SeqCst));
        loop {
            if self.layout.free_bytes(&self.host)? >= bytes {
                return Ok(());
            }
            if !self.spares.remove_one(&self.host, &self.layout)? {
                return Err(no_space());
            }
        }
    }
}

pub(crate) fn no_space() -> Error {
    Error::new(ErrorKind::NoSpace, "no space is left for writes")
}
