//! The log's writing end: the active segment, appending groups, sync, rotation.
//!
//! Used by the committer alone. It never appends to a segment that an earlier run left behind.

use crate::format::{
    Changes, GROUP_HEADER_BYTES, GROUPS_START, GroupHeader, GroupKind, HEADER_COPY,
    SEGMENT_HEADER_BYTES, SegmentHeader, encode_changes,
};
use crate::layout::{Layout, sync_failed};
use crate::phase::{self, Phase};
use crate::spares::Spares;
use std::io;
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Result, Sequence};
use trestle_engine::canary::{self, Canary};
use trestle_host::{File, Host};

/// Space is allocated in steps of this.
const ALLOCATION_BYTES: u64 = 8 << 20;
/// The smallest step, for small disks.
const ALLOCATION_BYTES_MIN: u64 = 1 << 20;
/// Allocated space that only commits which free something may use.
const RESERVE_BYTES: u64 = 2 << 20;

/// What the page cache holds and the device writes as a whole.
const PAGE_BYTES: u64 = 4096;
/// Memory that is kept from one group to the next, in bytes.
const GROUP_BYTES_KEPT: usize = 4 << 20;

/// Where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// The active segment.
    pub(crate) segment: u64,
    /// Where the next group goes.
    pub(crate) offset: u64,
    /// Checksum of the last group.
    pub(crate) checksum: u64,
}

/// The active segment.
pub(crate) struct Log {
    host: Host,
    layout: Layout,
    store: [u8; 16],
    nonce: u64,
    file: Arc<dyn File>,
    position: LogPosition,
    allocated: u64,
    /// A segment takes no further group beyond this length.
    segment_bytes: u64,
    synced: Sequence,
    written: Sequence,
    sealed: bool,
    /// The bytes of the last group that was written; its memory serves the next one.
    group: Vec<u8>,
    spares: Arc<Spares>,
}

impl Log {
    /// Makes a new segment and makes it the active one. It is not part of the log before
    /// [`Log::publish`]: until then a start finds no header, and throws it away.
    pub(crate) fn create(
        host: &Host,
        layout: &Layout,
        header: &SegmentHeader,
        synced: Sequence,
        spares: &Arc<Spares>,
    ) -> Result<Self> {
        let segment_bytes = spares.segment_bytes();
        let reserve = reserve(segment_bytes);
        let file = layout.create_segment(host, header.segment)?;
        let allocated = allocate_first(&*file, reserve)?;
        Ok(Log {
            host: host.clone(),
            layout: layout.clone(),
            store: header.store,
            nonce: header.nonce,
            file,
            position: LogPosition {
                segment: header.segment,
                offset: GROUPS_START,
                checksum: header.previous_checksum,
            },
            allocated,
            segment_bytes,
            synced,
            written: synced,
            sealed: false,
            group: Vec::new(),
            spares: Arc::clone(spares),
        })
    }

    /// Makes the new segment part of the log, after what was copied into it is durable: a header
    /// that could be read before would stand for the groups that are still missing.
    pub(crate) fn publish(&mut self, header: &SegmentHeader) -> Result<()> {
        self.sync()?;
        write_header(&self.host, &self.layout, &*self.file, header)
    }

    pub(crate) fn position(&self) -> LogPosition {
        self.position
    }

    /// How many bytes of groups fit now, for commits that may use the reserve and for those that
    /// may not; tries to allocate `wanted` bytes first, and the reserve beyond them, or more when
    /// `ahead` says that there is plenty.
    ///
    /// # Errors
    /// Of the device. A full disk is none: there is then less room.
    pub(crate) fn room(&mut self, wanted: u64, ahead: impl Fn() -> bool) -> Result<(u64, u64)> {
        let reserve = reserve(self.segment_bytes);
        let needed = self.position.offset + wanted + reserve;
        let mut step = if self.allocated < needed && ahead() {
            ALLOCATION_BYTES.min(self.segment_bytes.max(ALLOCATION_BYTES_MIN))
        } else {
            ALLOCATION_BYTES_MIN
        };
        while self.allocated < needed && step >= ALLOCATION_BYTES_MIN {
            let length = step.max(needed - self.allocated);
            match self
                .file
                .allocate(self.allocated, length)
                .map_err(Error::from)
            {
                Ok(()) => self.allocated += length,
                // Full, or nearly: a smaller step may still fit.
                Err(error) if error.kind() == ErrorKind::NoSpace => step /= 2,
                Err(error) => return Err(error),
            }
        }
        let all = self.allocated.saturating_sub(self.position.offset);
        Ok((all, all.saturating_sub(reserve)))
    }

    /// Writes a group of commits, and returns where. Nothing is durable yet; a failed write leaves
    /// the log where it was.
    pub(crate) fn write_changes(
        &mut self,
        changes: &Changes,
        first: Sequence,
        last: Sequence,
    ) -> Result<u64> {
        self.group.clear();
        self.group.shrink_to(GROUP_BYTES_KEPT);
        self.group.resize(GROUP_HEADER_BYTES, 0);
        encode_changes(changes, &mut self.group);
        let offset = self.write_group(GroupKind::Commits, first, last)?;
        self.written = last;
        self.sealed = false;
        Ok(offset)
    }

    /// The payload of the last group that was written.
    pub(crate) fn payload(&self) -> &[u8] {
        self.group.get(GROUP_HEADER_BYTES..).unwrap_or_default()
    }

    /// Writes what stands in `group` after room for the header.
    fn write_group(&mut self, kind: GroupKind, first: Sequence, last: Sequence) -> Result<u64> {
        let header = self.header(kind, self.payload().len(), first, last)?;
        let checksum = header.complete(&mut self.group, self.nonce);
        let offset = self.position.offset;
        let end = offset + header.group_bytes();
        // Whole pages: one that an earlier use left on the device need not be read to be written.
        let length = self.group.len();
        let pages = end.next_multiple_of(PAGE_BYTES).min(self.allocated);
        let padded = usize::try_from(pages.saturating_sub(offset)).unwrap_or(length);
        self.group.resize(length.max(padded), 0);
        let written = self.file.write_at(&self.group, offset);
        self.group.truncate(length);
        written?;
        self.position.offset = end;
        self.position.checksum = checksum;
        Ok(offset)
    }

    fn header(
        &self,
        kind: GroupKind,
        payload_bytes: usize,
        first: Sequence,
        last: Sequence,
    ) -> Result<GroupHeader> {
        Ok(GroupHeader {
            kind,
            segment: self.position.segment,
            payload_bytes: u32::try_from(payload_bytes)
                .map_err(|_| Error::new(ErrorKind::TooLarge, "a group of commits is too large"))?,
            first,
            last,
            synced: self.synced,
            previous_checksum: self.position.checksum,
        })
    }

    /// Makes every written group durable.
    ///
    /// # Errors
    /// Then nobody knows what is durable, and the log must not be used again.
    pub(crate) fn sync(&mut self) -> Result<()> {
        if !canary::active(Canary::SkipSync) {
            let mut outcome = self.file.sync_data();
            if outcome.is_err() && canary::active(Canary::RetryFailedSync) {
                outcome = self.file.sync_data();
            }
            outcome?;
        }
        self.synced = self.written;
        Ok(())
    }

    /// Writes down that everything so far is synced, for a restart to tell a torn tail from a
    /// rotten middle. Not itself synced.
    pub(crate) fn seal(&mut self) -> Result<()> {
        if self.sealed
            || self.synced != self.written
            || self.room(0, || false)?.0 < 2 * GROUP_HEADER_BYTES as u64
        {
            return Ok(());
        }
        self.group.clear();
        self.group.resize(GROUP_HEADER_BYTES, 0);
        self.write_group(GroupKind::Seal, self.written, self.written)?;
        self.sealed = true;
        Ok(())
    }

    /// Makes a seal durable, if one was written last.
    pub(crate) fn sync_seal(&mut self) -> Result<()> {
        if self.sealed { self.sync() } else { Ok(()) }
    }

    /// Whether the segment has reached its length.
    pub(crate) fn is_full(&self) -> bool {
        self.position.offset >= self.segment_bytes
    }

    /// Goes on in a new segment: makes it, names it in the old one, syncs that. `NoSpace` leaves
    /// the old one in use.
    pub(crate) fn rotate(&mut self) -> Result<()> {
        let _inside = phase::inside(Phase::Rotation);
        let segment = self.position.segment + 1;
        self.group.clear();
        self.group.resize(GROUP_HEADER_BYTES, 0);
        self.group.extend_from_slice(&segment.to_be_bytes());
        // The successor's header carries the checksum of the group that names it, so that is made
        // before it is written.
        let group = self.header(GroupKind::Successor, 8, self.written, self.written)?;
        let checksum = group.complete(&mut self.group, self.nonce);
        let end = self.position.offset + group.group_bytes();
        if self.room(group.group_bytes(), || false)?.0 < group.group_bytes() {
            return Err(Error::new(
                ErrorKind::NoSpace,
                "no room to name the next log segment",
            ));
        }
        let header = SegmentHeader {
            store: self.store,
            segment,
            first_sequence: self.written.0 + 1,
            predecessor: self.position.segment,
            predecessor_end: end,
            previous_checksum: checksum,
            named: true,
            nonce: nonce(&self.host),
        };
        let reserve = reserve(self.segment_bytes);
        // A start that finds the successor and not the group that names it throws it away.
        let made = self.next_file(segment).and_then(|file| {
            let allocated = allocate_first(&*file, reserve)?;
            write_header(&self.host, &self.layout, &*file, &header)?;
            self.write_group(GroupKind::Successor, self.written, self.written)?;
            Ok((file, allocated))
        });
        let (file, allocated) = match made {
            Ok(made) => made,
            Err(error) => {
                self.layout.remove_segment(&self.host, segment)?;
                return Err(error);
            }
        };
        let old = std::mem::replace(&mut self.file, file);
        old.sync_data()
            .map_err(|error| sync_failed("a finished log segment", error))?;
        // Only what was allocated ahead goes; the groups end before it.
        old.set_len(end)?;
        self.position = LogPosition {
            segment,
            offset: GROUPS_START,
            checksum,
        };
        self.nonce = header.nonce;
        self.allocated = allocated;
        self.sealed = false;
        Ok(())
    }

    /// The file of the next segment, which has no header.
    fn next_file(&self, segment: u64) -> Result<Arc<dyn File>> {
        match self.spares.reuse(&self.host, &self.layout, segment)? {
            Some(file) => Ok(file),
            None => self.layout.create_segment(&self.host, segment),
        }
    }
}

/// A nonce that no other segment has.
pub(crate) fn nonce(host: &Host) -> u64 {
    if canary::active(Canary::ReplayStaleGroups) {
        return 7;
    }
    host.nonce()
}

/// What is kept for commits that free something; small segments keep less.
fn reserve(segment_bytes: u64) -> u64 {
    RESERVE_BYTES.min(segment_bytes)
}

/// Allocates what a segment needs at least, and says how much of it is allocated.
fn allocate_first(file: &dyn File, reserve: u64) -> Result<u64> {
    // A segment that is used again has all that it had.
    let had = file.len()?;
    let needed = GROUPS_START + reserve;
    if had < needed {
        file.allocate(had, needed - had)?;
    }
    Ok(had.max(needed))
}

/// The first copy of a segment's header that can be decoded, and its offset; none when neither can.
pub(crate) fn find_header(file: &dyn File) -> Result<Option<(u64, SegmentHeader)>> {
    for offset in [0, HEADER_COPY] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        match file.read_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error.into()),
        }
        if let Some(header) = SegmentHeader::decode(&bytes) {
            return Ok(Some((offset, header)));
        }
    }
    Ok(None)
}

/// Writes both copies of a header, and makes them and the segment's name durable.
pub(crate) fn write_header(
    host: &Host,
    layout: &Layout,
    file: &dyn File,
    header: &SegmentHeader,
) -> Result<()> {
    let bytes = header.encode();
    file.write_at(&bytes, 0)?;
    file.write_at(&bytes, HEADER_COPY)?;
    file.sync_data()?;
    layout.sync_log_dir(host)
}
