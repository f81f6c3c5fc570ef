//! Log segments that nobody needs any more, kept to be written again: a sync of bytes that overwrite
//! written ones has no allocation to make durable.
//!
//! A segment is set aside only when it could be removed, under a name that a start removes, and its
//! headers are wiped once that name is durable. So what an earlier use left in it is never part of a
//! log: its groups carry another segment's id and nonce. No more are kept than are worth their space.

use crate::files::Files;
use crate::layout::Layout;
use crate::phase::{self, Phase};
use std::sync::Arc;
use trestle_core::Result;
use trestle_engine::locks::Mutex;
use trestle_host::{File, Host};

/// Segments that are kept however small the store is.
const KEPT_ANYHOW: usize = 2;

/// The spare segments of this run, by the ids that they had.
pub(crate) struct Spares {
    most: usize,
    /// A segment takes no further group beyond this length, and is not kept when it is shorter.
    segment_bytes: u64,
    ids: Mutex<Vec<u64>>,
}

impl Spares {
    /// None yet, and never more than `most`, each as long as a full segment.
    pub(crate) fn new(most: usize, segment_bytes: u64) -> Self {
        Spares {
            most,
            segment_bytes,
            ids: Mutex::default(),
        }
    }

    /// The length beyond which a segment takes no further group.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.lock().is_empty()
    }

    /// Whether a segment of this length is worth keeping: the first ones are, and more while all of
    /// them together are no more than `bytes`.
    pub(crate) fn wants(&self, length: u64, bytes: u64) -> bool {
        let kept = self.ids.lock().len();
        let together = length.saturating_mul(kept as u64 + 1);
        length >= self.segment_bytes
            && kept < self.most
            && (kept < KEPT_ANYHOW || together <= bytes)
    }

    /// Keeps a segment that nobody can read any more.
    pub(crate) fn keep(
        &self,
        host: &Host,
        layout: &Layout,
        files: &Files,
        segment: u64,
    ) -> Result<()> {
        let _inside = phase::inside(Phase::SetAside);
        files.forget(segment);
        layout.set_aside(host, segment)?;
        self.ids.lock().push(segment);
        Ok(())
    }

    /// Makes a spare one the segment of this id, without a header; none when there is none. What it
    /// holds beyond the header counts for nothing.
    pub(crate) fn reuse(
        &self,
        host: &Host,
        layout: &Layout,
        segment: u64,
    ) -> Result<Option<Arc<dyn File>>> {
        let spare = self.ids.lock().pop();
        spare
            .map(|spare| layout.reuse(host, spare, segment))
            .transpose()
    }

    /// Removes one; false when there is none.
    pub(crate) fn remove_one(&self, host: &Host, layout: &Layout) -> Result<bool> {
        let spare = self.ids.lock().pop();
        let removed = spare.map(|spare| layout.remove_spare(host, spare));
        Ok(removed.transpose()?.is_some())
    }
}
