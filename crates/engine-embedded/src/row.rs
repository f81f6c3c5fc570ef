//! A row as the index stores it: revision, where its body lies, value.

use crate::blocks::{Place, Run, Segment};
use crate::codec::Fields;
use bytes::Bytes;
use trestle_core::{Error, Result, Sequence};
use trestle_engine::{BodyRef, Row};

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(key);
    digest.update(rest);
    digest.finalize() as u32
}

/// A row, with its body's place decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) revision: Sequence,
    pub(crate) body: Option<Run>,
    pub(crate) value: Bytes,
}

impl StoredRow {
    /// `checksum u32, revision u64, run or 0 u8, value`; the checksum covers the key and all that
    /// follows, so a damaged page of the index can never pass for a row.
    pub(crate) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut to = Vec::with_capacity(13 + self.value.len() + 32);
        to.extend_from_slice(&[0; 4]);
        to.extend_from_slice(&self.revision.0.to_be_bytes());
        match &self.body {
            Some(run) => run.encode(&mut to),
            None => to.push(0),
        }
        to.extend_from_slice(&self.value);
        let checksum = checksum(key, to.get(4..).unwrap_or_default());
        if let Some(place) = to.get_mut(..4) {
            place.copy_from_slice(&checksum.to_be_bytes());
        }
        to
    }

    pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields(bytes);
        let decoded = (|| {
            if fields.u32()? != checksum(key, fields.0) {
                return None;
            }
            let revision = Sequence(fields.u64()?);
            let body = if fields.0.first() == Some(&0) {
                fields.u8()?;
                None
            } else {
                Some(Run::decode(&mut fields)?)
            };
            Some(StoredRow {
                revision,
                body,
                value: Bytes::copy_from_slice(fields.0),
            })
        })();
        decoded.ok_or_else(|| Error::corrupt("a row of the index does not match its checksum"))
    }

    /// The segment that a row of the index keeps, and how many bytes of it: the row's own bytes, and
    /// in a log segment also those of the row as a group holds it.
    pub(crate) fn held(key: &[u8], encoded: &[u8]) -> Option<(Segment, u64)> {
        let mut fields = Fields(encoded);
        fields.bytes(12)?;
        if fields.0.first() == Some(&0) {
            return None;
        }
        let run = Run::decode(&mut fields)?;
        let bytes = match run.place {
            Place::Log => (key.len() + encoded.len()) as u64 + u64::from(run.length),
            Place::Data => run.slot_bytes(),
        };
        Some(((run.place, run.segment), bytes))
    }

    pub(crate) fn into_row(self) -> Row {
        Row {
            value: self.value,
            revision: self.revision,
            body: self.body.map(|run| BodyRef {
                length: run.length,
                handle: run.handle(),
            }),
        }
    }
}
