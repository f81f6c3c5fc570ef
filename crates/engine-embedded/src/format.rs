//! The bytes of a log segment: its header, its groups, their rows. Pure; `docs/format.md` is the
//! same in prose.
//!
//! A group is the unit of durability: the resulting rows of all commits that were made durable by
//! one sync. It is valid only when its one checksum, its segment and the checksum of the group
//! before it are right, so a torn or stale group can never be replayed.

use crate::blocks::{Place, Run, checksums};
use crate::codec::{Fields, crc64};
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::Sequence;
use trestle_engine::canary::{self, Canary};

/// Version of the whole data folder's format.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Where the first group starts: after two copies of the header, each in a block of its own.
pub(crate) const GROUPS_START: u64 = 8192;
/// Offset of the header's second copy.
pub(crate) const HEADER_COPY: u64 = 4096;
/// Encoded length of a segment header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 88;
/// Encoded length of a group header.
pub(crate) const GROUP_HEADER_BYTES: usize = 64;
/// Length of a group that names a successor.
pub(crate) const SUCCESSOR_BYTES: u64 = GROUP_HEADER_BYTES as u64 + 8;
/// Groups start at multiples of this.
pub(crate) const GROUP_ALIGN: u64 = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"TRSTLOG1";
/// First bytes of every group.
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"TGRP";

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The store that it belongs to.
    pub(crate) store: [u8; 16],
    /// Its id: file name, and part of every group. Never used twice.
    pub(crate) segment: u64,
    /// The smallest sequence that a commit of this segment or a later one may get.
    pub(crate) first_sequence: u64,
    /// The segment before it; 0 for none.
    pub(crate) predecessor: u64,
    /// Where the predecessor's valid groups end; whatever follows there is not part of the log.
    pub(crate) predecessor_end: u64,
    /// Checksum of the predecessor's last valid group; 0 for none.
    pub(crate) previous_checksum: u64,
    /// Whether a group of the predecessor names it. A start's segment is named by nothing.
    pub(crate) named: bool,
    /// Random; part of the checksum of every group, so that no content that a client chose can pass
    /// for one.
    pub(crate) nonce: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        to.extend_from_slice(&SEGMENT_MAGIC);
        to.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        to.extend_from_slice(&u32::from(self.named).to_be_bytes());
        to.extend_from_slice(&self.store);
        for field in [
            self.segment,
            self.first_sequence,
            self.predecessor,
            self.predecessor_end,
            self.previous_checksum,
            self.nonce,
        ] {
            to.extend_from_slice(&field.to_be_bytes());
        }
        let checksum = crc64(&to);
        to.extend_from_slice(&checksum.to_be_bytes());
        to
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let body = fields.bytes(SEGMENT_HEADER_BYTES - 8)?;
        if fields.u64()? != crc64(body) {
            return None;
        }
        let mut fields = Fields(body);
        if fields.bytes(8)? != SEGMENT_MAGIC || fields.u32()? != FORMAT_VERSION {
            return None;
        }
        let named = fields.u32()? == 1;
        Some(SegmentHeader {
            store: fields.id()?,
            segment: fields.u64()?,
            first_sequence: fields.u64()?,
            predecessor: fields.u64()?,
            predecessor_end: fields.u64()?,
            previous_checksum: fields.u64()?,
            named,
            nonce: fields.u64()?,
        })
    }
}

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    /// Rows of commits.
    Commits = 1,
    /// No rows: carries the claim that everything up to a sequence is synced.
    Seal = 2,
    /// The segment's last group: its payload is the successor's id.
    Successor = 3,
}

/// The head of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) kind: GroupKind,
    pub(crate) segment: u64,
    pub(crate) payload_bytes: u32,
    /// Sequences of the first and last commit in it; both are the last one before it in a group
    /// without commits.
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
    /// The highest sequence that was known to be synced when the group was written.
    pub(crate) synced: Sequence,
    /// Checksum of the group before it, across segments.
    pub(crate) previous_checksum: u64,
}

impl GroupHeader {
    /// Completes a group whose payload stands in `group` after room for the header; returns its
    /// checksum, which is taken with the segment's `nonce` in its own place.
    pub(crate) fn complete(&self, group: &mut [u8], nonce: u64) -> u64 {
        let mut to = Vec::with_capacity(GROUP_HEADER_BYTES);
        to.extend_from_slice(&GROUP_MAGIC);
        to.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
        to.extend_from_slice(&self.segment.to_be_bytes());
        to.extend_from_slice(&self.payload_bytes.to_be_bytes());
        to.extend_from_slice(&[0; 4]);
        for field in [
            self.first.0,
            self.last.0,
            self.synced.0,
            self.previous_checksum,
        ] {
            to.extend_from_slice(&field.to_be_bytes());
        }
        let check = head_check(&to, nonce);
        if let Some(place) = to.get_mut(HEAD_CHECK) {
            place.copy_from_slice(&check.to_be_bytes());
        }
        to.extend_from_slice(&nonce.to_be_bytes());
        if let Some(head) = group.get_mut(..GROUP_HEADER_BYTES) {
            head.copy_from_slice(&to);
        }
        let checksum = crc64(group);
        if let Some(place) = group.get_mut(GROUP_HEADER_BYTES - 8..GROUP_HEADER_BYTES) {
            place.copy_from_slice(&checksum.to_be_bytes());
        }
        checksum
    }

    /// Reads a header of a segment with this nonce, verified but for what covers the payload, too;
    /// with it the group's checksum.
    pub(crate) fn decode(bytes: &[u8], nonce: u64) -> Option<(Self, u64)> {
        let mut fields = Fields(bytes);
        if fields.bytes(4)? != GROUP_MAGIC {
            return None;
        }
        let head = bytes.get(..GROUP_HEADER_BYTES - 8)?;
        if head.get(HEAD_CHECK)? != head_check(head, nonce).to_be_bytes() {
            return None;
        }
        let kind = match fields.u8()? {
            1 => GroupKind::Commits,
            2 => GroupKind::Seal,
            3 => GroupKind::Successor,
            _ => return None,
        };
        fields.bytes(3)?;
        let segment = fields.u64()?;
        let payload_bytes = fields.u32()?;
        fields.bytes(4)?;
        let header = GroupHeader {
            kind,
            segment,
            payload_bytes,
            first: Sequence(fields.u64()?),
            last: Sequence(fields.u64()?),
            synced: Sequence(fields.u64()?),
            previous_checksum: fields.u64()?,
        };
        Some((header, fields.u64()?))
    }

    /// Length of the whole group with its padding.
    pub(crate) fn group_bytes(&self) -> u64 {
        (GROUP_HEADER_BYTES as u64 + u64::from(self.payload_bytes)).next_multiple_of(GROUP_ALIGN)
    }
}

/// Where a header has its own checksum. With it what only looks like a group is told apart at once,
/// however long it says that it is.
const HEAD_CHECK: std::ops::Range<usize> = 20..24;

/// CRC-32C of a header's fields, its own place left out, and of the segment's nonce.
fn head_check(head: &[u8], nonce: u64) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(head.get(..HEAD_CHECK.start).unwrap_or_default());
    digest.update(head.get(HEAD_CHECK.end..).unwrap_or_default());
    digest.update(&nonce.to_be_bytes());
    digest.finalize() as u32
}

/// A group that was read back and verified.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) header: GroupHeader,
    pub(crate) checksum: u64,
    pub(crate) payload: &'a [u8],
}

/// Reads and verifies the group at the start of `bytes`, which belongs to `segment` with its `nonce`.
pub(crate) fn read_group(bytes: &[u8], segment: u64, nonce: u64) -> Option<Group<'_>> {
    let (header, checksum) = GroupHeader::decode(bytes, nonce)?;
    let length = GROUP_HEADER_BYTES.checked_add(header.payload_bytes as usize)?;
    let group = bytes.get(..length)?;
    if header.segment != segment && !canary::active(Canary::ReplayStaleGroups) {
        return None;
    }
    let (head, rest) = group.split_at_checked(GROUP_HEADER_BYTES - 8)?;
    let payload = rest.get(8..)?;
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    digest.update(head);
    digest.update(&nonce.to_be_bytes());
    digest.update(payload);
    (digest.finalize() == checksum).then_some(Group {
        header,
        checksum,
        payload,
    })
}

/// A row as a group sets it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The row with its bytes.
    Put { value: Bytes, body: NewBody },
    /// The row is gone.
    Delete,
}

/// The bytes of a row that a group sets.
#[derive(Clone, Debug)]
pub(crate) enum NewBody {
    None,
    /// In the group itself.
    Attached(Bytes),
    /// In a data segment, synced before.
    Streamed(Run),
}

impl NewBody {
    fn entry_kind(&self) -> u8 {
        match self {
            NewBody::None => ENTRY_PUT,
            NewBody::Attached(_) => ENTRY_PUT_ATTACHED,
            NewBody::Streamed(_) => ENTRY_PUT_STREAMED,
        }
    }
}

/// The resulting rows of a group: each key once, with the commit that changed it last.
pub(crate) type Changes = BTreeMap<Bytes, (Sequence, Change)>;

const ENTRY_PUT: u8 = 1;
const ENTRY_PUT_ATTACHED: u8 = 2;
const ENTRY_DELETE: u8 = 3;
const ENTRY_PUT_STREAMED: u8 = 4;

/// Upper bound of what one change adds to a group, in bytes.
pub(crate) fn entry_bytes_max(key: usize, value: usize, body: usize) -> usize {
    64 + key + value + body + body.div_ceil(crate::blocks::BLOCK_BYTES) * 4
}

/// Appends the rows to a group's buffer.
pub(crate) fn encode_changes(changes: &Changes, to: &mut Vec<u8>) {
    for (key, (sequence, change)) in changes {
        let (kind, value, body) = match change {
            Change::Delete => (ENTRY_DELETE, &Bytes::new(), &NewBody::None),
            Change::Put { value, body } => (body.entry_kind(), value, body),
        };
        to.push(kind);
        to.extend_from_slice(&sequence.0.to_be_bytes());
        to.extend_from_slice(&(key.len() as u16).to_be_bytes());
        to.extend_from_slice(&(value.len() as u32).to_be_bytes());
        if let NewBody::Attached(body) = body {
            to.extend_from_slice(&(body.len() as u32).to_be_bytes());
        }
        to.extend_from_slice(key);
        to.extend_from_slice(value);
        match body {
            NewBody::None => {}
            NewBody::Attached(body) => {
                for checksum in checksums(body) {
                    to.extend_from_slice(&checksum.to_be_bytes());
                }
                to.extend_from_slice(body);
            }
            NewBody::Streamed(run) => run.encode(to),
        }
    }
}

/// One decoded row of a group.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) sequence: Sequence,
    /// None when the row was deleted.
    pub(crate) put: Option<EntryPut<'a>>,
}

/// The new state of a row.
#[derive(Debug)]
pub(crate) struct EntryPut<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) body: Option<Run>,
    /// The bytes of `body`, when the group holds them.
    pub(crate) attached: Option<&'a [u8]>,
}

/// Decodes the rows of a group that lies at `group_offset` of `segment`; None when malformed.
pub(crate) fn decode_entries<'a>(
    payload: &'a [u8],
    segment: u64,
    group_offset: u64,
) -> Option<Vec<Entry<'a>>> {
    let payload_offset = group_offset + GROUP_HEADER_BYTES as u64;
    let mut fields = Fields(payload);
    let mut entries = Vec::new();
    while !fields.0.is_empty() {
        let kind = fields.u8()?;
        let sequence = Sequence(fields.u64()?);
        let key_bytes = fields.u16()? as usize;
        let value_bytes = fields.u32()? as usize;
        let body_bytes = if kind == ENTRY_PUT_ATTACHED {
            fields.u32()?
        } else {
            0
        };
        let key = fields.bytes(key_bytes)?;
        let value = fields.bytes(value_bytes)?;
        let mut attached = None;
        let body = if kind == ENTRY_PUT_STREAMED {
            Some(Run::decode(&mut fields).filter(|run| run.place == Place::Data)?)
        } else if kind == ENTRY_PUT_ATTACHED {
            let checksums = (0..crate::blocks::block_count(body_bytes))
                .map(|_| fields.u32())
                .collect::<Option<_>>()?;
            let offset = payload_offset + (payload.len() - fields.0.len()) as u64;
            attached = Some(fields.bytes(body_bytes as usize)?);
            Some(Run {
                place: Place::Log,
                segment,
                offset,
                length: body_bytes,
                checksums,
            })
        } else {
            None
        };
        let put = match kind {
            ENTRY_PUT | ENTRY_PUT_ATTACHED | ENTRY_PUT_STREAMED => Some(EntryPut {
                value,
                body,
                attached,
            }),
            ENTRY_DELETE => None,
            _ => return None,
        };
        entries.push(Entry { key, sequence, put });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(nonce: u64) -> Vec<u8> {
        let header = GroupHeader {
            kind: GroupKind::Seal,
            segment: 3,
            payload_bytes: 0,
            first: Sequence(7),
            last: Sequence(7),
            synced: Sequence(7),
            previous_checksum: 9,
        };
        let mut group = vec![0; GROUP_HEADER_BYTES];
        header.complete(&mut group, nonce);
        group
    }

    #[test]
    fn a_header_alone_tells_what_only_looks_like_a_group() {
        let group = seal(5);
        assert!(GroupHeader::decode(&group, 5).is_some());
        assert!(read_group(&group, 3, 5).is_some());
        assert!(GroupHeader::decode(&group, 6).is_none());
        assert!(read_group(&group, 4, 5).is_none());
        for i in 0..GROUP_HEADER_BYTES {
            let mut damaged = group.clone();
            damaged[i] ^= 1;
            assert!(read_group(&damaged, 3, 5).is_none(), "{i}");
            let head = GroupHeader::decode(&damaged, 5).is_some();
            assert_eq!(head, i >= GROUP_HEADER_BYTES - 8, "{i}");
        }
    }
}
