//! Start-up: replays the log after the index's redo point, and tells a torn tail from a rotten
//! middle.
//!
//! A group at or below the highest sequence that any group claims as synced must be whole, or the
//! start is refused. What lies above it was promised to nobody: its valid groups are copied into a
//! fresh segment and synced before anything is served, the rest is cut. Running it twice, or being
//! interrupted anywhere and run again, ends in the same state.

use crate::canary::{self, Canary};
use crate::format::{
    Change, Changes, GROUP_ALIGN, GROUP_MAGIC, GROUPS_START, Group, GroupKind, HEADER_COPY,
    NewBody, SEGMENT_HEADER_BYTES, SegmentHeader, decode_entries, read_group,
};
use crate::index::RedoPoint;
use crate::layout::Layout;
use crate::log::{Log, write_header};
use crate::memtable::{Memtable, State};
use crate::row::StoredRow;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_core::{Error, Result, Sequence};
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
    /// A newest segment without a header, or that nothing names: a start or a rotation that was cut
    /// short.
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

/// Where a group lies in its segment.
struct Place {
    start: u64,
    end: u64,
    checksum: u64,
    last: Sequence,
    kind: GroupKind,
}

fn damaged(segment: u64, offset: u64, what: &str) -> Error {
    Error::corrupt(format!(
        "log segment {segment:016x} is damaged at offset {offset}: {what}"
    ))
}

/// Reads and verifies the log from the redo point, changing nothing on disk. The last segment's rows
/// are not in the memtable yet: [`Replay::begin_segment`] or [`Replay::show`] brings them there.
pub(crate) fn replay<'a>(
    host: &'a Host,
    layout: &'a Layout,
    store: [u8; 16],
    redo: Option<RedoPoint>,
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
    let active = redo.map_or(0, |redo| redo.active);
    if active != 0 && !headers.contains_key(&active) {
        return Err(damaged(
            active,
            0,
            "its header cannot be read, and it was in use",
        ));
    }
    // Before the first checkpoint the log starts with the segment that follows none.
    let first = headers.values().find(|header| header.predecessor == 0);
    let redo = redo.unwrap_or(RedoPoint {
        segment: first.map_or(1, |header| header.segment),
        offset: GROUPS_START,
        ..RedoPoint::default()
    });
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
    (replay.last, replay.places, replay.bytes) = replay.run(redo)?;
    Ok(replay)
}

fn read_header(
    host: &Host,
    layout: &Layout,
    store: [u8; 16],
    segment: u64,
) -> Result<Option<SegmentHeader>> {
    let file = layout.open_segment(host, segment, OpenMode::Read)?;
    for offset in [0, HEADER_COPY] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        match file.read_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error.into()),
        }
        if let Some(header) = SegmentHeader::decode(&bytes) {
            if header.store != store || header.segment != segment {
                return Err(damaged(
                    segment,
                    offset,
                    "it belongs to another store or place",
                ));
            }
            return Ok(Some(header));
        }
    }
    Ok(None)
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

/// Whether a rotation was cut short between making the segment of `header` and naming it, when
/// `sequence` is the last commit before it: nothing was written there yet, and no commit is missing.
/// A segment that a start made leaves sequences out, and its predecessor does not name it.
fn is_unnamed(
    host: &Host,
    layout: &Layout,
    header: &SegmentHeader,
    sequence: Sequence,
) -> Result<bool> {
    if header.first_sequence != sequence.0 + 1 {
        return Ok(false);
    }
    let file = layout.open_segment(host, header.segment, OpenMode::Read)?;
    let bytes = read_from(&*file, GROUPS_START, file.len()?)?;
    Ok(read_group(&bytes, header.segment, header.nonce).is_none())
}

impl Replay<'_> {
    /// Replays every segment from the redo point. Returns the last segment (0 in a new store), the
    /// places of its groups, and its bytes from the start of the file.
    fn run(&mut self, redo: RedoPoint) -> Result<(u64, Vec<Place>, Vec<u8>)> {
        let mut segment = redo.segment;
        let mut offset = redo.offset;
        if !self.headers.contains_key(&segment) {
            if redo.active == 0 && self.headers.is_empty() {
                return Ok((0, Vec::new(), Vec::new()));
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
            let Some(next) = next else {
                let bytes = read_from(&*file, 0, length)?;
                let places = self.last_segment(segment, offset, &bytes)?;
                return Ok((segment, places, bytes));
            };
            if next.predecessor != segment {
                return Err(damaged(
                    next.segment,
                    0,
                    "it does not continue the segment before it",
                ));
            }
            let bytes = read_from(&*file, offset, next.predecessor_end.min(length))?;
            let before = (self.checksum, self.sequence, self.claimed);
            let places = self.walk(segment, offset, &bytes);
            let end = places.last().map_or(offset, |place| place.end);
            if end != next.predecessor_end {
                let replaceable = next.segment == self.newest && next.segment != redo.active;
                if replaceable && is_unnamed(self.host, self.layout, &next, self.sequence)? {
                    (self.checksum, self.sequence, self.claimed) = before;
                    self.headers.remove(&next.segment);
                    self.unfinished = Some(next.segment);
                    continue;
                }
                return Err(damaged(segment, end, "a group is not whole"));
            }
            for place in commits(&places) {
                let group = self.group_at(segment, offset, &bytes, place)?;
                self.apply(group.payload, segment, place.start)?;
            }
            if self.checksum != next.previous_checksum {
                return Err(damaged(
                    segment,
                    next.predecessor_end,
                    "its end is not the one named",
                ));
            }
            segment = next.segment;
            offset = GROUPS_START;
        }
    }

    /// The group at the start of `rest`, if it is whole and follows the one before it.
    fn group<'b>(&self, rest: &'b [u8], segment: u64) -> Option<Group<'b>> {
        let nonce = self.headers.get(&segment)?.nonce;
        read_group(rest, segment, nonce)
            .filter(|group| group.header.previous_checksum == self.checksum)
    }

    /// Accepts the groups of `bytes`, which lie at `base`, up to one that is not whole.
    fn walk(&mut self, segment: u64, base: u64, bytes: &[u8]) -> Vec<Place> {
        let mut places = Vec::new();
        let mut at = 0;
        while let Some(group) = bytes.get(at..).and_then(|rest| self.group(rest, segment)) {
            self.accept(&group);
            let start = base + at as u64;
            places.push(Place {
                start,
                end: start + group.header.group_bytes(),
                checksum: group.checksum,
                last: group.header.last,
                kind: group.header.kind,
            });
            at += group.header.group_bytes() as usize;
        }
        places
    }

    fn accept(&mut self, group: &Group<'_>) {
        self.checksum = group.checksum;
        self.claimed = self.claimed.max(group.header.synced);
        self.sequence = self.sequence.max(group.header.last);
    }

    /// Finds the groups of the last segment, and refuses it when one that was claimed as synced is
    /// not whole.
    fn last_segment(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> Result<Vec<Place>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let places = self.walk(segment, offset, bytes.get(start..).unwrap_or_default());
        if let Some(last) = places.last().filter(|p| p.kind == GroupKind::Successor) {
            return Err(damaged(
                segment,
                last.start,
                "the segment that it names is missing",
            ));
        }
        let at = places.last().map_or(start, |place| place.end as usize);
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

    /// The group at a place of a segment whose bytes from `base` on are `bytes`.
    fn group_at<'b>(
        &self,
        segment: u64,
        base: u64,
        bytes: &'b [u8],
        place: &Place,
    ) -> Result<Group<'b>> {
        let range = (place.start - base) as usize..(place.end - base) as usize;
        let nonce = self.headers.get(&segment).map_or(0, |header| header.nonce);
        bytes
            .get(range.start..range.end.min(bytes.len()))
            .and_then(|group| read_group(group, segment, nonce))
            .ok_or_else(|| damaged(segment, place.start, "a group changed while read"))
    }

    fn apply_places(&self, places: &[Place]) -> Result<()> {
        for place in commits(places) {
            let group = self.group_at(self.last, 0, &self.bytes, place)?;
            self.apply(group.payload, self.last, place.start)?;
        }
        Ok(())
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

    /// Makes the fresh segment, with the tail that was never claimed copied into it.
    pub(crate) fn begin_segment(self, segment_bytes: u64) -> Result<Recovered> {
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
            |place| (place.end, place.checksum),
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
            nonce: self.host.nonce(),
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
        let mut log = Log::create(self.host, self.layout, &header, self.claimed, segment_bytes)?;
        for place in commits(tail) {
            let group = self.group_at(self.last, 0, &self.bytes, place)?;
            let needed = place.end - place.start;
            if log.room(needed)?.0 < needed {
                return Err(Error::new(
                    trestle_core::ErrorKind::NoSpace,
                    "no space to copy the end of the log into a fresh segment",
                ));
            }
            let changes = changes(group.payload, last, place.start)?;
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
    let mut newest = Sequence(0);
    for (i, header) in headers.iter().enumerate() {
        let segment = header.segment;
        let file = layout.open_segment(host, segment, OpenMode::Read)?;
        let next = headers
            .get(i + 1)
            .filter(|next| next.predecessor == segment);
        let length = file.len()?;
        let end = next.map_or(length, |next| next.predecessor_end.min(length));
        let bytes = read_from(&*file, 0, end)?;
        let mut at = GROUPS_START as usize;
        let mut checksum = header.previous_checksum;
        while let Some(group) = bytes
            .get(at..)
            .and_then(|rest| read_group(rest, segment, header.nonce))
            .filter(|group| group.header.previous_checksum == checksum)
        {
            checksum = group.checksum;
            newest = newest.max(group.header.last);
            at += group.header.group_bytes() as usize;
            groups += 1;
        }
        match next {
            Some(next) if (at as u64) < next.predecessor_end => {
                let newest_segment = i + 2 == headers.len();
                if newest_segment && is_unnamed(host, layout, next, newest)? {
                    break;
                }
                finding(damaged(segment, at as u64, "a group is not whole").to_string());
            }
            None if i + 1 < headers.len() && (at as u64) < length => {
                finding(damaged(segment, at as u64, "a group is not whole").to_string());
            }
            // What comes last may be torn.
            _ => {}
        }
    }
    Ok(groups)
}
