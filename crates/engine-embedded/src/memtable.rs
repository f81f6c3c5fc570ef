//! Rows that are durable in the log and not yet in the index.
//!
//! Each key keeps its states by sequence, so that a reader sees the one that was current at its
//! snapshot while the committer adds newer ones.

use crate::row::StoredRow;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use trestle_core::Sequence;
use trestle_engine::locks::RwLock;

/// A state of a key: its row, or none when deleted.
pub(crate) type State = Option<StoredRow>;

/// Rough cost of an entry beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 120;

/// An ordered map of recent rows.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    rows: RwLock<BTreeMap<Bytes, Vec<(Sequence, State)>>>,
    bytes: AtomicUsize,
}

fn at(states: &[(Sequence, State)], sequence: Sequence) -> Option<&State> {
    states
        .iter()
        .rev()
        .find(|(written, _)| *written <= sequence)
        .map(|(_, state)| state)
}

impl Memtable {
    /// Adds the states of one group. Their sequences are above all that are present.
    pub(crate) fn apply(&self, rows: impl IntoIterator<Item = (Bytes, Sequence, State)>) {
        let mut added = 0;
        let mut map = self.rows.write();
        for (key, sequence, state) in rows {
            added += ENTRY_OVERHEAD_BYTES
                + key.len()
                + state.as_ref().map_or(0, |row| {
                    row.value.len()
                        + row
                            .body
                            .as_ref()
                            .map_or(0, |run| 24 + run.checksums.len() * 4)
                });
            map.entry(key).or_default().push((sequence, state));
        }
        drop(map);
        self.bytes.fetch_add(added, Ordering::Relaxed);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.rows.write().clear();
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The state of a key at `sequence`; None when this table knows nothing of it.
    pub(crate) fn get(&self, key: &[u8], sequence: Sequence) -> Option<State> {
        at(self.rows.read().get(key)?, sequence).cloned()
    }

    /// Up to `limit` keys of a range with their states at `sequence`, in order.
    pub(crate) fn range(
        &self,
        from: Bound<&[u8]>,
        until: Bound<&[u8]>,
        reverse: bool,
        sequence: Sequence,
        limit: usize,
    ) -> Vec<(Bytes, State)> {
        let rows = self.rows.read();
        let range = rows.range::<[u8], _>((from, until));
        let visible = |(key, states): (&Bytes, &Vec<(Sequence, State)>)| {
            at(states, sequence).map(|state| (key.clone(), state.clone()))
        };
        if reverse {
            range.rev().filter_map(visible).take(limit).collect()
        } else {
            range.filter_map(visible).take(limit).collect()
        }
    }

    /// Calls `visit` with the newest state of each key, in order.
    pub(crate) fn newest<E>(
        &self,
        mut visit: impl FnMut(&Bytes, &State) -> Result<(), E>,
    ) -> Result<(), E> {
        for (key, states) in self.rows.read().iter() {
            if let Some((_, state)) = states.last() {
                visit(key, state)?;
            }
        }
        Ok(())
    }
}
