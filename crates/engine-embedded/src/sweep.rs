//! Finds bytes of data segments that no row keeps and nobody gave back: of streams that a crash cut
//! off, and of extents that were freed just before one.
//!
//! Runs once after each start, when the first checkpoint covers all that was recovered. Only
//! segments that hold clearly more than rows keep of them are looked at, and of these only the ones
//! that nobody writes to.

use crate::blocks::{ALIGN, Place, Run, Segment};
use crate::index::{Base, read_failed};
use crate::layout::Layout;
use crate::row::StoredRow;
use crate::space::Freed;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use trestle_core::Result;
use trestle_host::{Host, OpenMode};

/// Segments that are swept in one walk.
const SEGMENTS_MAX: usize = 16;
/// Rows that are looked at in one step.
const STEP_ROWS: usize = 4096;

/// The sweep of this run.
pub(crate) struct Sweep {
    /// A segment that holds so many bytes more than its rows keep is swept.
    excess: u64,
    state: State,
}

enum State {
    /// Segments up to this one are of earlier runs; those that were dealt with come before.
    Searching { from: u64, newest: u64 },
    /// Walking the rows for what lives in these segments.
    Walking {
        from: u64,
        newest: u64,
        after: Option<Bytes>,
        live: BTreeMap<u64, Vec<Run>>,
    },
    /// All done.
    Done,
}

impl Sweep {
    /// A sweep of the segments of earlier runs that hold so much more than is kept of them.
    pub(crate) fn up_to(newest: Option<u64>, excess: u64) -> Self {
        let state = match newest {
            Some(newest) => State::Searching { from: 0, newest },
            None => State::Done,
        };
        Sweep { excess, state }
    }

    /// Does one piece of work; false when there is none now. `settled` tells whether the base says
    /// all about a segment. Adds to `found` what no row of a base keeps; older views may.
    pub(crate) fn step(
        &mut self,
        host: &Host,
        layout: &Layout,
        base: &Base,
        settled: impl Fn(u64) -> bool,
        found: &mut Vec<Freed>,
    ) -> Result<bool> {
        match &mut self.state {
            State::Done => Ok(false),
            State::Searching { from, newest } => {
                let (from, newest) = (*from, *newest);
                let mut live = BTreeMap::new();
                let mut next = newest + 1;
                for segment in layout.data_segments(host)? {
                    if segment < from || segment > newest {
                        continue;
                    }
                    if !settled(segment) {
                        // Nothing is settled before the first checkpoint.
                        return Ok(false);
                    }
                    if live.len() == SEGMENTS_MAX {
                        next = segment;
                        break;
                    }
                    let place: Segment = (Place::Data, segment);
                    let kept = base.space.get(&place).copied().unwrap_or(0);
                    let file = layout.open(host, place, OpenMode::Read)?;
                    // What has no row at all is removed as a whole.
                    if kept > 0 && file.allocated()? > kept + self.excess {
                        live.insert(segment, Vec::new());
                    }
                }
                self.state = if live.is_empty() {
                    State::Done
                } else {
                    State::Walking {
                        from: next,
                        newest,
                        after: None,
                        live,
                    }
                };
                Ok(true)
            }
            State::Walking {
                from,
                newest,
                after,
                live,
            } => {
                if walk(base, after, live)? {
                    return Ok(true);
                }
                for (segment, runs) in std::mem::take(live) {
                    let length = layout
                        .open(host, (Place::Data, segment), OpenMode::Read)?
                        .len()?;
                    all_but(segment, length, runs, found);
                }
                self.state = State::Searching {
                    from: *from,
                    newest: *newest,
                };
                Ok(true)
            }
        }
    }
}

/// Looks at the next rows; false at the end. Each step may see a newer base: extents never move, and
/// new ones are not in these segments, so one that lives throughout is always seen.
fn walk(
    base: &Base,
    after: &mut Option<Bytes>,
    live: &mut BTreeMap<u64, Vec<Run>>,
) -> Result<bool> {
    let from = after
        .as_ref()
        .map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_ref()));
    let rows = base
        .rows
        .range::<&[u8]>((from, Bound::Unbounded))
        .map_err(read_failed)?;
    let mut last = None;
    for (count, entry) in rows.enumerate() {
        if count == STEP_ROWS {
            *after = last;
            return Ok(true);
        }
        let (key, row) = entry.map_err(read_failed)?;
        let key = Bytes::copy_from_slice(key.value());
        let row = StoredRow::decode(&key, row.value())?;
        if let Some(run) = row.body.filter(|run| run.place == Place::Data)
            && let Some(runs) = live.get_mut(&run.segment)
        {
            runs.push(run);
        }
        last = Some(key);
    }
    Ok(false)
}

/// What lies between the runs of a segment; its header stays.
fn all_but(segment: u64, length: u64, mut runs: Vec<Run>, found: &mut Vec<Freed>) {
    runs.sort_by_key(|run| run.offset);
    let mut at = ALIGN;
    let mut gap = |bytes: Range<u64>| {
        if !bytes.is_empty() {
            found.push(Freed { segment, bytes });
        }
    };
    for run in runs {
        gap(at..run.offset);
        at = at.max(run.offset + run.slot_bytes());
    }
    gap(at..length);
}
