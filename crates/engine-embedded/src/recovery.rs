//! Start-up: replays the log after the index's redo point, and tells a torn tail from a rotten
//! middle.
//!
//! A group at or below the highest sequence that any group claims as synced must be whole, or the
//! start is refused. What lies above it was promised to nobody: its valid groups are copied into a
//! fresh segment and synced before anything is served, the rest is cut. Running it twice, or being
//! interrupted anywhere and run again, ends in the same state.

use crate::format::{
    Change, Changes, GROUP_ALIGN, GROUP_MAGIC, GROUPS_START, Group, GroupKind, NewBody,
    SUCCESSOR_BYTES, SegmentHeader, decode_entries, read_group,
};
use crate::index::RedoPoint;
use crate::layout::Layout;
use crate::log::{Log, find_header, nonce, write_header};
use crate::memtable::{Memtable, State};
use crate::row::StoredRow;
use crate::spares::Spares;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_core::{Error, Result, Sequence};
use trestle_engine::canary::{self, Canary};
use trestle_host::{File, Host, OpenMode};

/// Sequences that a start leaves out: more than can ever be in flight, so that none is used twice.
const SEQUENCES_SKIPPED: u64 = 1 << 20;

/// The log after a start.
pub(crate) struct Recovered {
    /// Ready to append to.
    pub(crate) log: Log,
    /// The newest commit.
    pub(crate) sequence: Sequence,
    /// The next commit's sequence.
    pub(crate) next: Sequence,
    /// What to write into the index before serving.
    pub(crate) redo: RedoPoint,
    /// The segment before, and where its groups end: what lies behind may go when the index names
    /// the fresh segment.
    pub(crate) finished: Option<(Arc<dyn File>, u64)>,
}

/// The log as it was found, its rows up to the last segment in the memtable.
pub(crate) struct Replay<'a> {
    host: &'a Host,
    layout: &'a Layout,
    memtable: &'a Memtable,
    store: [u8; 16],
    headers: BTreeMap<u64, SegmentHeader>,
    /// The newest segment's id, readable or not.
    newest: u64,
    /// A newest segment without a header or a group: a start or a rotation that was cut short.
    unfinished: Option<u64>,
    redo: RedoPoint,
    /// The last readable segment, 0 in a new store.
    last: u64,
    /// Its groups, and its bytes from the start of the file.
    places: Vec<Place>,
    bytes: Vec<u8>,
    sequence: Sequence,
    checksum: u64,
    claimed: Sequence,
}

/// Where a group of the last segment lies.
struct Place {
    start: usize,
    end: usize,
    checksum: u64,
    last: Sequence,
    kind: GroupKind,
}

fn damaged(segment: u64, offset: u64, what: &str) -> Error {
    Error::corrupt(format!(
        "log segment {segment:016x} is damaged at offset {offset}: {what}"
    ))
}

/// Finds the log as far as its segments' headers tell it, for [`Replay::run`] to read; nothing on
/// disk changes. A redo point in segment 0 is that of an empty index.
pub(crate) fn replay<'a>(
    host: &'a Host,
    layout: &'a Layout,
    store: [u8; 16],
    redo: RedoPoint,
    memtable: &'a Memtable,
) -> Result<Replay<'a>> {
    let segments = layout.segments(host)?;
    let newest = segments.last().copied().unwrap_or(0);
    let mut headers = BTreeMap::new();
    for segment in &segments {
        if let Some(header) = read_header(host, layout, store, *segment)? {
            headers.insert(*segment, header);
        }
    }
    let active = redo.active;
    if active != 0 && !headers.contains_key(&active) {
        return Err(damaged(
            active,
            0,
            "its header cannot be read, and it was in use",
        ));
    }
    // Before the first checkpoint the log starts with the segment that follows none.
    let first = headers.values().find(|header| header.predecessor == 0);
    let redo = match redo.segment {
        0 => RedoPoint {
            segment: first.map_or(1, |header| header.segment),
            offset: GROUPS_START,
            ..RedoPoint::default()
        },
        _ => redo,
    };
    let mut replay = Replay {
        host,
        layout,
        memtable,
        store,
        headers,
        newest,
        unfinished: None,
        redo,
        last: 0,
        places: Vec::new(),
        bytes: Vec::new(),
        sequence: redo.sequence,
        checksum: redo.checksum,
        claimed: redo.sequence,
    };
    for segment in segments.iter().filter(|s| !replay.headers.contains_key(s)) {
        if *segment != newest {
            return Err(damaged(*segment, 0, "its header cannot be read"));
        }
        replay.unfinished = Some(newest);
    }
    Ok(replay)
}

fn read_header(
    host: &Host,
    layout: &Layout,
    store: [u8; 16],
    segment: u64,
) -> Result<Option<SegmentHeader>> {
    let file = layout.open_segment(host, segment, OpenMode::Read)?;
    match find_header(&*file)? {
        Some((offset, header)) if header.store != store || header.segment != segment => Err(
            damaged(segment, offset, "it belongs to another store or place"),
        ),
        found => Ok(found.map(|(_, header)| header)),
    }
}

fn read_from(file: &dyn File, offset: u64, end: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap_or(0)];
    if !bytes.is_empty() {
        file.read_at(&mut bytes, offset)?;
    }
    Ok(bytes)
}

fn commits(places: &[Place]) -> impl Iterator<Item = &Place> {
    places
        .iter()
        .filter(|place| place.kind == GroupKind::Commits)
}

impl Replay<'_> {
    /// Whether there is a first segment, or no log at all.
    pub(crate) fn starts_at_the_beginning(&self) -> bool {
        self.headers.is_empty() || self.headers.values().any(|header| header.predecessor == 0)
    }

    /// Replays every segment from the redo point, and verifies the last one, whose rows are not in
    /// the memtable yet: [`Replay::begin_segment`] or [`Replay::show`] brings them there. Calls `ended`
    /// after each segment but the last, with a redo point from which it would be replayed once more.
    pub(crate) fn run(&mut self, ended: &mut dyn FnMut(RedoPoint) -> Result<()>) -> Result<()> {
        let mut segment = self.redo.segment;
        let mut offset = self.redo.offset;
        if !self.headers.contains_key(&segment) {
            if self.redo.active == 0 && self.headers.is_empty() {
                return Ok(());
            }
            return Err(damaged(
                segment,
                0,
                "it is missing, and the log starts in it",
            ));
        }
        loop {
            let file = self
                .layout
                .open_segment(self.host, segment, OpenMode::Read)?;
            let next = self
                .headers
                .range(segment + 1..)
                .next()
                .map(|(_, header)| header.clone());
            let length = file.len()?;
            let mut written = Sequence(0);
            let next = match next {
                Some(next) if self.is_unfinished(&next, &*file)? => {
                    self.headers.remove(&next.segment);
                    self.unfinished = Some(next.segment);
                    written = Sequence(next.first_sequence.saturating_sub(1));
                    None
                }
                next => next,
            };
            let Some(next) = next else {
                let bytes = read_from(&*file, 0, length)?;
                self.places = self.last_segment(segment, offset, &bytes)?;
                if self.sequence < written {
                    let end = self.places.last().map_or(offset, |last| last.end as u64);
                    return Err(damaged(
                        segment,
                        end,
                        "a group that was synced is not whole",
                    ));
                }
                (self.last, self.bytes) = (segment, bytes);
                return Ok(());
            };
            let start = RedoPoint {
                segment,
                offset,
                checksum: self.checksum,
                sequence: self.sequence,
                active: self.redo.active.max(segment),
            };
            // The padding of a last group may be missing.
            let padded = length.next_multiple_of(GROUP_ALIGN);
            if next.predecessor != segment || next.predecessor_end > padded {
                return Err(damaged(
                    next.segment,
                    0,
                    "it does not continue the segment before it",
                ));
            }
            let bytes = read_from(&*file, offset, next.predecessor_end.min(length))?;
            let mut at = 0;
            while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
                let place = offset + at as u64;
                let group = self
                    .group(rest, segment)
                    .ok_or_else(|| damaged(segment, place, "a group is not whole"))?;
                self.accept(&group);
                if group.header.kind == GroupKind::Commits {
                    self.apply(group.payload, segment, place)?;
                }
                at += group.header.group_bytes() as usize;
            }
            if self.checksum != next.previous_checksum {
                return Err(damaged(
                    segment,
                    next.predecessor_end,
                    "its end is not the one named",
                ));
            }
            // A segment that has a successor is durable; the successor's header may not be.
            ended(start)?;
            segment = next.segment;
            offset = GROUPS_START;
        }
    }

    /// Whether a rotation was cut short: the newest segment holds no group, and the one that names it,
    /// the last before it, is not whole. Nothing was promised in between.
    fn is_unfinished(&self, next: &SegmentHeader, file: &dyn File) -> Result<bool> {
        let newest = self.headers.keys().next_back() == Some(&next.segment);
        let predecessor = self.headers.get(&next.predecessor);
        Ok(newest && is_unnamed(self.host, self.layout, next, predecessor, file)?)
    }

    /// The group at the start of `rest`, if it is whole and follows the one before it.
    fn group<'b>(&self, rest: &'b [u8], segment: u64) -> Option<Group<'b>> {
        let nonce = self.headers.get(&segment)?.nonce;
        read_group(rest, segment, nonce).filter(|group| {
            group.header.previous_checksum == self.checksum
                || canary::active(Canary::ReplayStaleGroups)
        })
    }

    fn accept(&mut self, group: &Group<'_>) {
        self.checksum = group.checksum;
        self.claimed = self.claimed.max(group.header.synced);
        self.sequence = self.sequence.max(group.header.last);
    }

    /// Finds the groups of the last segment, and refuses it when one that was claimed as synced is
    /// not whole.
    fn last_segment(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        let mut at = usize::try_from(offset).unwrap_or(usize::MAX);
        while let Some(group) = bytes.get(at..).and_then(|rest| self.group(rest, segment)) {
            self.accept(&group);
            let end = at + group.header.group_bytes() as usize;
            places.push(Place {
                start: at,
                end,
                checksum: group.checksum,
                last: group.header.last,
                kind: group.header.kind,
            });
            if group.header.kind == GroupKind::Successor {
                return Err(damaged(
                    segment,
                    at as u64,
                    "the segment that it names is missing",
                ));
            }
            at = end;
        }
        if at > bytes.len().next_multiple_of(GROUP_ALIGN as usize) {
            return Err(damaged(
                segment,
                at as u64,
                "the file is shorter than the index says",
            ));
        }
        let nonce = self.headers.get(&segment).map_or(0, |h| h.nonce);
        let mut later = at + GROUP_ALIGN as usize;
        while let Some(rest) = bytes
            .get(later..)
            .filter(|rest| rest.len() >= GROUP_MAGIC.len())
        {
            if rest.starts_with(&GROUP_MAGIC)
                && read_group(rest, segment, nonce).is_some_and(|g| g.header.synced > self.sequence)
            {
                return Err(damaged(
                    segment,
                    at as u64,
                    "a group that was synced is not whole",
                ));
            }
            later += GROUP_ALIGN as usize;
        }
        Ok(places)
    }

    /// Applies a group's rows with their bodies where they lie.
    fn apply(&self, payload: &[u8], segment: u64, offset: u64) -> Result<()> {
        let rows = located_rows(payload, segment, offset)?;
        self.memtable.apply(rows);
        Ok(())
    }

    /// The group at a place of the last segment.
    fn group_at(&self, place: &Place) -> Result<Group<'_>> {
        self.bytes
            // A file may end before the padding of its last group.
            .get(place.start..place.end.min(self.bytes.len()))
            .and_then(|group| read_group(group, self.last, self.headers.get(&self.last)?.nonce))
            .ok_or_else(|| damaged(self.last, place.start as u64, "a group changed while read"))
    }

    fn apply_places(&self, places: &[Place]) -> Result<()> {
        for place in commits(places) {
            self.apply(self.group_at(place)?.payload, self.last, place.start as u64)?;
        }
        Ok(())
    }

    /// Brings the last segment's rows before `redo` into the memtable.
    pub(crate) fn apply_up_to(&self, redo: RedoPoint) -> Result<()> {
        if redo.segment != self.last {
            return Ok(());
        }
        let before = self
            .places
            .partition_point(|place| place.end as u64 <= redo.offset);
        let (before, _) = self.places.split_at(before);
        self.apply_places(before)
    }

    /// Shows everything where it lies, for reading alone; returns the newest sequence.
    pub(crate) fn show(self) -> Result<Sequence> {
        self.apply_places(&self.places)?;
        Ok(self.sequence)
    }

    /// How many of the last segment's groups stay in it. A seal at its end was never synced, so the
    /// kept part ends with a promised commit.
    fn kept(&self) -> usize {
        if canary::active(Canary::ReplayStaleTail) {
            return self.places.len();
        }
        let promised =
            |place: &Place| place.kind == GroupKind::Commits && place.last <= self.claimed;
        self.places
            .iter()
            .rposition(promised)
            .map_or(0, |last| last + 1)
    }

    /// Writes the group that names a segment once more: a run that was killed, or whose last sync
    /// failed, may have left it in the page cache alone.
    fn renew_name(&self, segment: u64) -> Result<()> {
        let Some(header) = self.headers.get(&segment).filter(|header| header.named) else {
            return Ok(());
        };
        let file =
            match self
                .layout
                .open_segment(self.host, header.predecessor, OpenMode::ReadWrite)
            {
                // Nothing is replayed from a segment that is gone.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
        let start = header.predecessor_end.saturating_sub(SUCCESSOR_BYTES);
        let name = read_from(&*file, start, header.predecessor_end)?;
        file.write_at(&name, start)?;
        Ok(file.sync_data()?)
    }

    /// Makes the fresh segment, with the tail that was never claimed copied into it.
    pub(crate) fn begin_segment(self, spares: &Arc<Spares>) -> Result<Recovered> {
        if let Some(segment) = self.unfinished {
            self.layout.remove_segment(self.host, segment)?;
        }
        let (last, segment) = (self.last, self.newest + 1);
        let (kept, tail) = self
            .places
            .split_at_checked(self.kept())
            .unwrap_or((&self.places, &[]));
        self.apply_places(kept)?;
        let (end, checksum) = kept.last().map_or_else(
            || {
                if last == self.redo.segment {
                    (self.redo.offset, self.redo.checksum)
                } else {
                    let named = self.headers.get(&last).map_or(0, |h| h.previous_checksum);
                    (GROUPS_START, named)
                }
            },
            |place| (place.end as u64, place.checksum),
        );
        let floor = self
            .headers
            .get(&last)
            .map_or(0, |header| header.first_sequence);
        let first_sequence = self.sequence.0.max(floor) + SEQUENCES_SKIPPED;
        let header = SegmentHeader {
            store: self.store,
            segment,
            first_sequence,
            predecessor: last,
            predecessor_end: if last == 0 { 0 } else { end },
            previous_checksum: if last == 0 { 0 } else { checksum },
            named: false,
            nonce: nonce(self.host),
        };
        // A start that was killed may have written the last segment's header and not synced it.
        let old = match self.headers.get(&last) {
            Some(found) => {
                let file = self
                    .layout
                    .open_segment(self.host, last, OpenMode::ReadWrite)?;
                write_header(self.host, self.layout, &*file, found)?;
                Some(file)
            }
            None => None,
        };
        self.renew_name(last)?;
        let mut log = Log::create(self.host, self.layout, &header, self.claimed, spares)?;
        for place in commits(tail) {
            let group = self.group_at(place)?;
            let needed = (place.end - place.start) as u64;
            if log.room(needed, || false)?.0 < needed {
                return Err(Error::new(
                    trestle_core::ErrorKind::NoSpace,
                    "no space to copy the end of the log into a fresh segment",
                ));
            }
            let changes = changes(group.payload, last, place.start as u64)?;
            let offset = log.write_changes(&changes, group.header.first, group.header.last)?;
            self.memtable
                .apply(located_rows(log.payload(), segment, offset)?);
        }
        log.publish(&header)?;
        let mut redo = RedoPoint {
            active: segment,
            ..self.redo
        };
        if last == 0 {
            (redo.segment, redo.offset) = (segment, GROUPS_START);
        }
        Ok(Recovered {
            log,
            sequence: self.sequence,
            next: Sequence(first_sequence),
            redo,
            finished: old.map(|old| (old, end)),
        })
    }
}

/// The rows of a group at `offset`, as the memtable takes them.
pub(crate) fn located_rows(
    payload: &[u8],
    segment: u64,
    offset: u64,
) -> Result<Vec<(Bytes, Sequence, State)>> {
    let entries = decode_entries(payload, segment, offset)
        .ok_or_else(|| damaged(segment, offset, "a row cannot be decoded"))?;
    let row = |entry: crate::format::Entry<'_>| {
        let state = entry.put.map(|put| StoredRow {
            revision: entry.sequence,
            body: put.body,
            value: Bytes::copy_from_slice(put.value),
        });
        (Bytes::copy_from_slice(entry.key), entry.sequence, state)
    };
    Ok(entries.into_iter().map(row).collect())
}

fn changes(payload: &[u8], segment: u64, offset: u64) -> Result<Changes> {
    let entries = decode_entries(payload, segment, offset)
        .ok_or_else(|| damaged(segment, offset, "a row cannot be decoded"))?;
    let change = |entry: crate::format::Entry<'_>| {
        let change = entry.put.map_or(Change::Delete, |put| Change::Put {
            value: Bytes::copy_from_slice(put.value),
            body: match (put.attached, put.body) {
                (Some(bytes), _) => NewBody::Attached(Bytes::copy_from_slice(bytes)),
                (None, Some(run)) => NewBody::Streamed(run),
                (None, None) => NewBody::None,
            },
        });
        (Bytes::copy_from_slice(entry.key), (entry.sequence, change))
    };
    Ok(entries.into_iter().map(change).collect())
}

/// Whether a segment has no group, and its predecessor in `file` lacks the group that names it.
fn is_unnamed(
    host: &Host,
    layout: &Layout,
    header: &SegmentHeader,
    predecessor: Option<&SegmentHeader>,
    file: &dyn File,
) -> Result<bool> {
    let Some(predecessor) = predecessor.filter(|_| header.named) else {
        return Ok(false);
    };
    let own = layout.open_segment(host, header.segment, OpenMode::Read)?;
    let first = read_from(&*own, GROUPS_START, own.len()?.max(GROUPS_START))?;
    if read_group(&first, header.segment, header.nonce).is_some() {
        return Ok(false);
    }
    let start = header.predecessor_end.saturating_sub(SUCCESSOR_BYTES);
    let end = header.predecessor_end.min(file.len()?.max(start));
    let named = read_from(file, start, end)?;
    Ok(read_group(&named, predecessor.segment, predecessor.nonce).is_none())
}

/// Verifies every group of every segment. Calls `finding` for each damage.
pub(crate) fn verify_log(
    host: &Host,
    layout: &Layout,
    store: [u8; 16],
    finding: &mut dyn FnMut(String),
) -> Result<u64> {
    let mut groups = 0;
    let mut headers = Vec::new();
    for segment in layout.segments(host)? {
        match read_header(host, layout, store, segment)? {
            Some(header) => headers.push(header),
            None => finding(format!(
                "log segment {segment:016x}: its header cannot be read"
            )),
        }
    }
    for (i, header) in headers.iter().enumerate() {
        let segment = header.segment;
        let file = layout.open_segment(host, segment, OpenMode::Read)?;
        // Where the next segment is gone nobody needs the groups any more, only bytes of rows.
        let mut next = headers
            .get(i + 1)
            .filter(|next| next.predecessor == segment);
        if let Some(newest) = next
            && i + 2 == headers.len()
            && is_unnamed(host, layout, newest, Some(header), &*file)?
        {
            next = None;
        }
        let end = match next {
            Some(next) => next.predecessor_end,
            None => file.len()?,
        };
        let last = next.is_none();
        let bytes = read_from(&*file, 0, end.min(file.len()?))?;
        let mut at = GROUPS_START as usize;
        let mut checksum = header.previous_checksum;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(group) = read_group(rest, segment, header.nonce)
                .filter(|g| g.header.previous_checksum == checksum)
            else {
                if !last {
                    finding(damaged(segment, at as u64, "a group is not whole").to_string());
                }
                break;
            };
            checksum = group.checksum;
            at += group.header.group_bytes() as usize;
            groups += 1;
        }
    }
    Ok(groups)
}
