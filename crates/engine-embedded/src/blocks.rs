//! Runs of bytes on disk, cut into blocks that each have a checksum.
//!
//! A run is what a row's body and an extent of a large content have in common: a file, an offset, a
//! length and a CRC-32C for each block of [`BLOCK_BYTES`]. Nothing is ever read from a run without
//! verifying each block that the range touches.

use crate::codec::{Fields, crc32c};
use bytes::Bytes;
use std::ops::Range;
use trestle_core::{Error, Result};
use trestle_host::{File, Host};

use std::sync::Arc;

/// Bytes under one checksum. The last block of a run may be shorter.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// Extents start at multiples of this, so that they can be freed one by one.
pub(crate) const ALIGN: u64 = 4096;
/// Room for the trailer behind an extent's bytes.
pub(crate) const TRAILER_BYTES: u64 = 512;

/// Which files a segment is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Place {
    /// Attached bytes, within a group.
    Log = 1,
    /// Streamed bytes.
    Data = 2,
}

impl Place {
    pub(crate) fn decode(number: u8) -> Option<Self> {
        match number {
            1 => Some(Place::Log),
            2 => Some(Place::Data),
            _ => None,
        }
    }
}

/// Names a segment file.
pub(crate) type Segment = (Place, u64);

/// A checksummed run of bytes in a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Which files.
    pub(crate) place: Place,
    /// The segment.
    pub(crate) segment: u64,
    /// Offset of the first byte in its file.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) length: u32,
    /// CRC-32C of each block.
    pub(crate) checksums: Vec<u32>,
}

/// The checksums of `bytes`, one for each block.
pub(crate) fn checksums(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(BLOCK_BYTES).map(crc32c)
}

/// How many blocks `length` bytes have.
pub(crate) fn block_count(length: u32) -> usize {
    (length as usize).div_ceil(BLOCK_BYTES)
}

impl Run {
    /// Appends `place u8, segment u64, offset u64, length u32, checksums u32…`.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.push(self.place as u8);
        to.extend_from_slice(&self.segment.to_be_bytes());
        to.extend_from_slice(&self.offset.to_be_bytes());
        to.extend_from_slice(&self.length.to_be_bytes());
        for checksum in &self.checksums {
            to.extend_from_slice(&checksum.to_be_bytes());
        }
    }

    /// The inverse of [`Run::encode`].
    pub(crate) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let place = Place::decode(fields.u8()?)?;
        let segment = fields.u64()?;
        let offset = fields.u64()?;
        let length = fields.u32()?;
        let checksums = (0..block_count(length))
            .map(|_| fields.u32())
            .collect::<Option<_>>()?;
        Some(Run {
            place,
            segment,
            offset,
            length,
            checksums,
        })
    }

    /// Length of what [`Run::encode`] appends.
    pub(crate) fn encoded_bytes(&self) -> usize {
        21 + self.checksums.len() * 4
    }

    /// Bytes that an extent takes in its data segment, with its trailer and padding.
    pub(crate) fn slot_bytes(&self) -> u64 {
        (u64::from(self.length) + TRAILER_BYTES).next_multiple_of(ALIGN)
    }

    /// As an opaque handle.
    pub(crate) fn handle(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        self.encode(&mut bytes);
        bytes.into()
    }

    /// From an opaque handle, which must hold nothing else.
    pub(crate) fn from_handle(handle: &[u8]) -> Result<Self> {
        let mut fields = Fields(handle);
        Run::decode(&mut fields)
            .filter(|_| fields.0.is_empty())
            .ok_or_else(|| Error::corrupt("a locator of stored bytes cannot be decoded"))
    }

    /// Reads `range` of the run, verifying every block that it touches.
    pub(crate) async fn read(
        &self,
        host: &Host,
        file: Arc<dyn File>,
        range: Range<u64>,
    ) -> Result<Bytes> {
        if range.start > range.end || range.end > u64::from(self.length) {
            return Err(Error::invalid("the range lies outside the stored bytes"));
        }
        let block = BLOCK_BYTES as u64;
        let first = range.start / block;
        let start = first * block;
        let end = range
            .end
            .div_ceil(block)
            .saturating_mul(block)
            .min(u64::from(self.length));
        if start >= end {
            return Ok(Bytes::new());
        }
        let mut buffer = vec![0; (end - start) as usize];
        let at = self.offset + start;
        match file.read_at_if_cached(&mut buffer, at) {
            Ok(true) => {}
            Ok(false) => buffer = read_blocking(host, file, buffer, at).await?,
            Err(error) => return Err(unreadable(error)),
        }
        let expected = self.checksums.iter().skip(first as usize);
        let blocks = buffer.chunks(BLOCK_BYTES);
        let verified =
            trestle_engine::canary::active(trestle_engine::canary::Canary::RangeWithoutChecksum)
                || blocks.len() <= expected.len()
                    && blocks
                        .zip(expected)
                        .all(|(bytes, expected)| crc32c(bytes) == *expected);
        if !verified {
            return Err(Error::corrupt(format!(
                "stored bytes do not match their checksum (segment {:016x}, offset {at})",
                self.segment
            )));
        }
        let wanted = (range.start - start) as usize..(range.end - start) as usize;
        Ok(Bytes::from(buffer).slice(wanted))
    }
}

async fn read_blocking(
    host: &Host,
    file: Arc<dyn File>,
    mut buffer: Vec<u8>,
    at: u64,
) -> Result<Vec<u8>> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let call = move || {
        let outcome = file.read_at(&mut buffer, at).map(|()| buffer);
        // The reader may have gone away; then nobody wants the bytes.
        let _unread = send.send(outcome);
    };
    host.spawn.blocking(Box::new(call)).await;
    receive
        .await
        .map_err(|_| Error::corrupt("a read did not run"))?
        .map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        Error::corrupt("stored bytes are missing: their file is shorter").with_source(error)
    } else {
        Error::from(error)
    }
}
