//! The second copy of the metadata: slices of the key range, and a manifest that names them.
//!
//! A slice holds the encoded rows of its range as one base of the index had them. Slices are of
//! different bases: replaying the log from the oldest of them over all of them gives the rows of
//! now. The manifest is replaced as a whole, and a slice is in it only after it was synced and read
//! back. Nothing here is read while the index is sound.

use crate::codec::{Fields, crc64};
use crate::format::FORMAT_VERSION;
use crate::index::{Base, RedoPoint, read_failed};
use crate::layout::{Layout, sync_failed};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Bound;
use trestle_core::{Error, Result};
use trestle_engine::canary::{self, Canary};
use trestle_host::{File, Host};

const SLICE_MAGIC: [u8; 8] = *b"TRSTSLC1";
const MANIFEST_MAGIC: [u8; 8] = *b"TRSTMAN1";
/// Largest slice that is read, before and after compression: no slice is near it.
const SLICE_BYTES_MAX: u64 = 256 << 20;

/// A key and its row as the index stores it.
pub(crate) type EncodedRow = (Bytes, Bytes);

/// A slice as the manifest names it. It covers the keys up to the next slice's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Its file; 0 for the empty range of a new store, which has none.
    number: u64,
    /// The first key that it covers.
    from: Bytes,
    /// The base that it is of.
    redo: RedoPoint,
    /// Bytes of its file.
    bytes: u64,
}

impl Slice {
    /// All keys of a store that has no rows yet.
    fn empty() -> Self {
        Slice {
            number: 0,
            from: Bytes::new(),
            redo: RedoPoint::default(),
            bytes: 0,
        }
    }
}

/// The slices in the order of keys, and a pass that renews them.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    slices: Vec<Slice>,
    next: u64,
    slice_bytes: usize,
    /// Where a running pass goes on.
    at: Option<Bytes>,
    running: bool,
}

impl Snapshot {
    /// Reads the manifest; without one the snapshot is that of the empty store, before the log began.
    ///
    /// # Errors
    /// `Corrupt` when there is one and it cannot be read.
    pub(crate) fn open(
        host: &Host,
        layout: &Layout,
        store: [u8; 16],
        slice_bytes: usize,
    ) -> Result<Self> {
        let slices = match layout.open_manifest(host)? {
            Some(file) => read_manifest(&*file, store)?,
            None => vec![Slice::empty()],
        };
        Snapshot::of(host, layout, slices, slice_bytes)
    }

    /// A snapshot that holds nothing, for when the manifest is damaged.
    pub(crate) fn lost(host: &Host, layout: &Layout, slice_bytes: usize) -> Result<Self> {
        Snapshot::of(host, layout, vec![Slice::empty()], slice_bytes)
    }

    fn of(host: &Host, layout: &Layout, slices: Vec<Slice>, slice_bytes: usize) -> Result<Self> {
        let newest = layout.slices(host)?.last().copied().unwrap_or(0);
        Ok(Snapshot {
            slices,
            next: newest + 1,
            slice_bytes,
            at: None,
            running: false,
        })
    }

    /// Removes slices that an interruption left behind.
    pub(crate) fn remove_unnamed(&self, host: &Host, layout: &Layout) -> Result<()> {
        let named: BTreeSet<u64> = self.slices.iter().map(|slice| slice.number).collect();
        for number in layout.slices(host)? {
            if !named.contains(&number) {
                layout.remove_slice(host, number)?;
            }
        }
        Ok(())
    }

    /// Where a rebuild starts to replay: the oldest base.
    pub(crate) fn floor(&self) -> RedoPoint {
        let bases = self.slices.iter().map(|slice| slice.redo);
        bases.min().unwrap_or_default()
    }

    /// The newest base: the log up to it was durable when the slice was written.
    pub(crate) fn newest(&self) -> RedoPoint {
        let bases = self.slices.iter().map(|slice| slice.redo);
        bases.max().unwrap_or_default()
    }

    /// Bytes of all slices.
    pub(crate) fn bytes(&self) -> u64 {
        self.slices.iter().map(|slice| slice.bytes).sum()
    }

    /// Whether a pass has begun and not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// Writes one slice of `base`, the first one of a pass or the next. What it replaces is removed
    /// when the manifest no longer names it.
    pub(crate) fn step(
        &mut self,
        host: &Host,
        layout: &Layout,
        store: [u8; 16],
        base: &Base,
    ) -> Result<()> {
        self.running = true;
        let from = self.at.clone().unwrap_or_default();
        let (rows, until) = self.rows(base, &from)?;
        let number = self.next;
        self.next += 1;
        let file = encode_slice(store, number, &rows);
        let bytes = file.len() as u64;
        if let Err(error) = write_verified(host, layout, number, &file) {
            layout.remove_slice(host, number)?;
            return Err(error);
        }
        let slice = Slice {
            number,
            from,
            redo: base.redo,
            bytes,
        };
        let mut renewed = self.clone();
        let replaced = renewed.replace(slice, until.clone());
        let manifest = encode_manifest(store, &renewed.slices);
        if !canary::active(Canary::TrustUnsyncedManifest) || until.is_some() {
            layout.write_manifest(host, &manifest)?;
        }
        // The floor rises only now: the manifest is durable.
        self.slices = renewed.slices;
        for number in replaced {
            layout.remove_slice(host, number)?;
        }
        self.running = until.is_some();
        self.at = until;
        Ok(())
    }

    /// The encoded rows of the next slice, and where the one after it starts. A slice ends when it
    /// is full, or at an old boundary once it is half full.
    fn rows(&self, base: &Base, from: &Bytes) -> Result<(Vec<u8>, Option<Bytes>)> {
        let mut rows = Vec::new();
        let boundaries = self.slices.iter().map(|slice| &slice.from);
        let mut boundaries = boundaries.filter(|key| *key > from).peekable();
        let range = (Bound::Included(from.as_ref()), Bound::Unbounded);
        for entry in base.rows.range::<&[u8]>(range).map_err(read_failed)? {
            let (key, row) = entry.map_err(read_failed)?;
            let key = key.value();
            let mut crossed = false;
            while boundaries
                .next_if(|boundary| boundary.as_ref() <= key)
                .is_some()
            {
                crossed = true;
            }
            if rows.len() >= self.slice_bytes || crossed && rows.len() >= self.slice_bytes / 2 {
                return Ok((rows, Some(Bytes::copy_from_slice(key))));
            }
            let row = row.value();
            rows.extend_from_slice(&(key.len() as u16).to_be_bytes());
            rows.extend_from_slice(&(row.len() as u32).to_be_bytes());
            rows.extend_from_slice(key);
            rows.extend_from_slice(row);
        }
        Ok((rows, None))
    }

    /// Puts a slice that ends at `until` in the place of those that it covers; returns their files.
    fn replace(&mut self, slice: Slice, until: Option<Bytes>) -> Vec<u64> {
        let mut slices = Vec::new();
        let mut replaced = Vec::new();
        let mut new = Some(slice);
        let start = new.as_ref().map(|new| new.from.clone()).unwrap_or_default();
        let old = std::mem::take(&mut self.slices);
        let ends: Vec<Option<Bytes>> = old
            .iter()
            .skip(1)
            .map(|next| Some(next.from.clone()))
            .chain([None])
            .collect();
        for (old, end) in old.into_iter().zip(ends) {
            if old.from < start {
                // Passes end where slices end, so nothing of it is covered.
                slices.push(old);
                continue;
            }
            slices.extend(new.take());
            let rest = match (&until, &end) {
                (None, _) => None,
                (Some(until), Some(end)) if end <= until => None,
                (Some(until), _) => Some(until.clone().max(old.from.clone())),
            };
            match rest {
                Some(from) => slices.push(Slice { from, ..old }),
                None => replaced.push(old.number),
            }
        }
        slices.extend(new);
        self.slices = slices;
        replaced.retain(|number| *number != 0);
        replaced
    }

    /// Reads every slice, verified; calls `visit` with the rows of each.
    ///
    /// # Errors
    /// `Corrupt`, naming the slice.
    pub(crate) fn read(
        &self,
        host: &Host,
        layout: &Layout,
        store: [u8; 16],
        visit: &mut dyn FnMut(&[EncodedRow]) -> Result<()>,
    ) -> Result<()> {
        let ends = self.slices.iter().skip(1).map(|slice| Some(&slice.from));
        for (slice, end) in self.slices.iter().zip(ends.chain([None])) {
            if slice.number == 0 {
                continue;
            }
            let number = slice.number;
            let damaged = || Error::corrupt(format!("snapshot slice {number:016x} is damaged"));
            let file = layout.open_slice(host, number).map_err(|error| {
                Error::corrupt(format!("snapshot slice {number:016x} cannot be opened"))
                    .with_source(error)
            })?;
            let bytes = read_whole(&*file)?;
            let rows = decode_slice(&bytes, store, number).ok_or_else(damaged)?;
            let mut rows = decode_rows(&rows).ok_or_else(damaged)?;
            // A slice may have lost its head or tail to a newer one.
            rows.retain(|(key, _)| *key >= slice.from && end.is_none_or(|end| key < end));
            visit(&rows)?;
        }
        Ok(())
    }
}

fn read_whole(file: &dyn File) -> Result<Vec<u8>> {
    let length = file.len()?;
    if length > SLICE_BYTES_MAX {
        return Err(Error::corrupt("a file of the snapshot is too long"));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc64(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes
}

fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    (checksum == crc64(body).to_be_bytes()).then_some(body)
}

fn head(magic: [u8; 8], store: [u8; 16]) -> Vec<u8> {
    let mut to = Vec::new();
    to.extend_from_slice(&magic);
    to.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    to.extend_from_slice(&store);
    to
}

fn take_head(fields: &mut Fields<'_>, magic: [u8; 8], store: [u8; 16]) -> Option<()> {
    let right = fields.bytes(8)? == magic && fields.u32()? == FORMAT_VERSION;
    (right && fields.id()? == store).then_some(())
}

fn encode_slice(store: [u8; 16], number: u64, rows: &[u8]) -> Vec<u8> {
    let mut to = head(SLICE_MAGIC, store);
    to.extend_from_slice(&number.to_be_bytes());
    to.extend_from_slice(&(rows.len() as u64).to_be_bytes());
    to.extend_from_slice(&lz4_flex::block::compress(rows));
    sealed(to)
}

fn decode_slice(bytes: &[u8], store: [u8; 16], number: u64) -> Option<Vec<u8>> {
    let mut fields = Fields(unsealed(bytes)?);
    take_head(&mut fields, SLICE_MAGIC, store)?;
    if fields.u64()? != number {
        return None;
    }
    let length = fields.u64()?;
    if length > SLICE_BYTES_MAX {
        return None;
    }
    lz4_flex::block::decompress(fields.0, length as usize).ok()
}

fn decode_rows(bytes: &[u8]) -> Option<Vec<EncodedRow>> {
    let mut fields = Fields(bytes);
    let mut rows = Vec::new();
    while !fields.0.is_empty() {
        let (key, row) = (fields.u16()? as usize, fields.u32()? as usize);
        let key = Bytes::copy_from_slice(fields.bytes(key)?);
        rows.push((key, Bytes::copy_from_slice(fields.bytes(row)?)));
    }
    Some(rows)
}

/// Writes a slice's file, makes it durable, and reads it back.
fn write_verified(host: &Host, layout: &Layout, number: u64, bytes: &[u8]) -> Result<()> {
    let file = layout.create_slice(host, number)?;
    file.write_at(bytes, 0)?;
    file.sync_data()
        .map_err(|error| sync_failed("a snapshot slice", error))?;
    if read_whole(&*file)? != bytes {
        return Err(Error::corrupt("a snapshot slice does not read back"));
    }
    Ok(())
}

fn encode_manifest(store: [u8; 16], slices: &[Slice]) -> Vec<u8> {
    let mut to = head(MANIFEST_MAGIC, store);
    for slice in slices {
        to.extend_from_slice(&slice.number.to_be_bytes());
        to.extend_from_slice(&slice.bytes.to_be_bytes());
        to.extend_from_slice(&slice.redo.encode());
        to.extend_from_slice(&(slice.from.len() as u16).to_be_bytes());
        to.extend_from_slice(&slice.from);
    }
    sealed(to)
}

fn read_manifest(file: &dyn File, store: [u8; 16]) -> Result<Vec<Slice>> {
    let bytes = read_whole(file)?;
    let decoded = (|| {
        let mut fields = Fields(unsealed(&bytes)?);
        take_head(&mut fields, MANIFEST_MAGIC, store)?;
        let mut slices = Vec::new();
        while !fields.0.is_empty() {
            let (number, bytes) = (fields.u64()?, fields.u64()?);
            let redo = RedoPoint::decode(fields.bytes(RedoPoint::BYTES)?)?;
            let length = fields.u16()? as usize;
            let from = Bytes::copy_from_slice(fields.bytes(length)?);
            slices.push(Slice {
                number,
                from,
                redo,
                bytes,
            });
        }
        let starts = slices.first().is_some_and(|slice| slice.from.is_empty());
        let sorted = slices.is_sorted_by(|a, b| a.from < b.from);
        (starts && sorted).then_some(slices)
    })();
    decoded.ok_or_else(|| Error::corrupt("the snapshot's manifest is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(number: u64, from: &'static str, segment: u64) -> Slice {
        Slice {
            number,
            from: Bytes::from(from),
            redo: RedoPoint {
                segment,
                ..RedoPoint::default()
            },
            bytes: 1,
        }
    }

    fn snapshot(slices: &[(u64, &'static str)]) -> Snapshot {
        Snapshot {
            slices: slices.iter().map(|(n, from)| slice(*n, from, 1)).collect(),
            next: 100,
            slice_bytes: 0,
            at: None,
            running: false,
        }
    }

    fn replaced(
        before: &[(u64, &'static str)],
        new: (&'static str, Option<&'static str>),
    ) -> (Vec<(u64, String)>, Vec<u64>) {
        let mut snapshot = snapshot(before);
        let gone = snapshot.replace(slice(9, new.0, 2), new.1.map(Bytes::from));
        let left = snapshot.slices.iter().map(|slice| {
            let from = String::from_utf8(slice.from.to_vec()).unwrap();
            (slice.number, from)
        });
        (left.collect(), gone)
    }

    #[test]
    fn a_slice_takes_the_place_of_what_it_covers() {
        let before = [(1, ""), (2, "d"), (3, "h")];
        let own = |slices: &[(u64, &str)]| -> Vec<(u64, String)> {
            slices
                .iter()
                .map(|(n, from)| (*n, (*from).to_owned()))
                .collect()
        };
        let cases = [
            (
                ("", Some("d")),
                own(&[(9, ""), (2, "d"), (3, "h")]),
                vec![1],
            ),
            (
                ("", Some("b")),
                own(&[(9, ""), (1, "b"), (2, "d"), (3, "h")]),
                vec![],
            ),
            (
                ("", Some("f")),
                own(&[(9, ""), (2, "f"), (3, "h")]),
                vec![1],
            ),
            (
                ("d", Some("h")),
                own(&[(1, ""), (9, "d"), (3, "h")]),
                vec![2],
            ),
            (("h", None), own(&[(1, ""), (2, "d"), (9, "h")]), vec![3]),
            (("", None), own(&[(9, "")]), vec![1, 2, 3]),
        ];
        for (new, left, gone) in cases {
            assert_eq!(replaced(&before, new), (left, gone), "{new:?}");
        }
    }

    #[test]
    fn slices_and_manifests_are_read_as_written_and_not_otherwise() {
        let rows = [&[0, 1, 0, 0, 0, 2][..], b"kvv"].concat().repeat(3);
        let bytes = encode_slice([7; 16], 5, &rows);
        assert_eq!(decode_slice(&bytes, [7; 16], 5), Some(rows));
        assert_eq!(decode_slice(&bytes, [8; 16], 5), None);
        assert_eq!(decode_slice(&bytes, [7; 16], 6), None);
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 1;
            assert_eq!(decode_slice(&damaged, [7; 16], 5), None);
        }
        assert_eq!(decode_slice(&[], [7; 16], 5), None);
    }

    #[test]
    fn the_floor_is_the_oldest_base() {
        let mut snapshot = snapshot(&[(1, ""), (2, "d")]);
        assert_eq!(snapshot.floor().segment, 1);
        snapshot.replace(slice(9, "", 2), Some(Bytes::from("d")));
        assert_eq!(snapshot.floor().segment, 1);
        snapshot.replace(slice(10, "d", 3), None);
        assert_eq!(snapshot.floor().segment, 2);
    }
}
