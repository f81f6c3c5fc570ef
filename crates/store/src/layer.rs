//! Layers: the rows that say where the bytes of one large content are.
//!
//! The rows of a layer are written by the commit that writes its object and removed by the commit
//! that replaces or deletes it; in between they never change. A missing row is corruption, never
//! zeros.

use crate::record::{ExtentRecord, LayerRecord, Record};
use crate::row_key;
use bytes::Bytes;
use std::ops::Bound;
use trestle_core::{Error, ErrorKind, LayerId, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{Body, Engine, Extent, MetaRead, Scan, ScanItem, Write};

/// Extent rows that are read at once in order to remove them.
const REMOVE_PAGE_ROWS: usize = 1000;

/// The rows of a new layer that belongs to the record at `owner`.
pub(crate) fn rows(layer: LayerId, owner: &Bytes, extents: &[Extent]) -> Result<Vec<Write>> {
    let mut writes = Vec::with_capacity(extents.len() + 1);
    let mut offset = 0u64;
    for extent in extents {
        let record = ExtentRecord {
            length: extent.length,
        };
        let key = row_key::extent(layer, offset);
        writes.push(Write::Put {
            key,
            value: record.to_value()?,
            body: Some(Body::Streamed(extent.clone())),
        });
        offset = offset.saturating_add(extent.length);
    }
    let header = LayerRecord {
        length: offset,
        references: 1,
        owner: owner.to_vec(),
    };
    writes.push(Write::Put {
        key: row_key::layer(layer),
        value: header.to_value()?,
        body: None,
    });
    Ok(writes)
}

/// The removals of all rows of `layer`, which free its bytes. Rows that cannot be decoded go, too, so
/// that a damaged object can be deleted.
pub(crate) async fn removals(read: &dyn MetaRead, layer: Option<LayerId>) -> Result<Vec<Write>> {
    let Some(layer) = layer else {
        return Ok(Vec::new());
    };
    let mut deletes = vec![Write::Delete {
        key: row_key::layer(layer),
    }];
    let mut scan = Scan::prefix(row_key::extents(layer), REMOVE_PAGE_ROWS);
    loop {
        let page = read.scan(&scan).await?;
        let more = page.len() == REMOVE_PAGE_ROWS;
        for item in page {
            let key = item.key().clone();
            scan.from = Bound::Excluded(key.clone());
            deletes.push(Write::Delete { key });
        }
        if !more {
            return Ok(deletes);
        }
    }
}

/// Reads a range of a layer from start to end.
pub(crate) struct LayerReader {
    engine: Engine,
    layer: LayerId,
    position: u64,
    end: u64,
}

impl LayerReader {
    /// A reader of `start..end`.
    pub(crate) fn new(engine: Engine, layer: LayerId, start: u64, end: u64) -> Self {
        LayerReader {
            engine,
            layer,
            position: start,
            end,
        }
    }

    /// The next bytes, verified; none at the end. Each call looks the extent up in a snapshot of its
    /// own, since the engine may move it between two of them.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let read = self.engine.meta.snapshot().await?;
        self.next_in(&*read).await
    }

    /// The next bytes as `read` shows them.
    pub(crate) async fn next_in(&mut self, read: &dyn MetaRead) -> Result<Option<Bytes>> {
        if self.position >= self.end {
            return Ok(None);
        }
        match self.read_chunk(read).await {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                Err(self.explain(read, error).await)
            }
            Err(error) => Err(error),
        }
    }

    async fn read_chunk(&mut self, read: &dyn MetaRead) -> Result<Bytes> {
        let missing = || Error::corrupt("a layer misses an extent");
        // The last extent that starts at or before the position.
        let scan = Scan {
            from: Bound::Included(row_key::extents(self.layer)),
            until: Bound::Included(row_key::extent(self.layer, self.position)),
            reverse: true,
            limit: 1,
            collapse: None,
        };
        let Some(ScanItem::Row(key, row)) = read.scan(&scan).await?.into_iter().next() else {
            return Err(missing());
        };
        let (_, offset) = row_key::split_extent(&key)
            .ok_or_else(|| Error::corrupt("an extent row with a malformed key"))?;
        let length = ExtentRecord::from_value(&row.value)?.length;
        let from = self.position.checked_sub(offset).ok_or_else(missing)?;
        if from >= length {
            return Err(missing());
        }
        let body = row
            .body
            .ok_or_else(|| Error::corrupt("an extent row without bytes"))?;
        let wanted = (length - from)
            .min(READ_BYTES_MAX)
            .min(self.end - self.position);
        let bytes = self
            .engine
            .data
            .read_body(&body, from..from + wanted)
            .await?;
        if bytes.len() as u64 != wanted {
            return Err(Error::corrupt("an extent is shorter than its record says"));
        }
        self.position += wanted;
        Ok(bytes)
    }

    /// Tells corruption from a layer that a concurrent overwrite or delete has removed.
    async fn explain(&self, read: &dyn MetaRead, error: Error) -> Error {
        match read.get(&row_key::layer(self.layer)).await {
            Ok(None) => Error::new(
                ErrorKind::Conflict,
                "the object was replaced or deleted while it was being read",
            )
            .with_source(error),
            _ => error,
        }
    }
}
