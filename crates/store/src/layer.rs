//! Layers: the rows that say where the bytes of one content are.
//!
//! A layer's extents cover it without gap or overlap; each owns its bytes, refers to a range of another
//! layer, or is a hole. A missing row is corruption, never zeros. Several records may share a layer,
//! which counts who refers to it. Rows change only in a layer that one record alone refers to and no
//! reader has pinned; every other change makes a new layer, which refers to the former one.

mod change;
mod pieces;
mod reader;
mod release;

pub(crate) use change::{
    Patch, REWRITTEN_ROW_BYTES_MAX, Replacement, Run, change_in_place, replace,
};
pub(crate) use pieces::{DEPTH_MAX, Piece, Walk, pieces};
pub(crate) use reader::LayerReader;
pub(crate) use release::{Hold, References};

use crate::encryption::SealedKey;
use crate::record::{ExtentRecord, LayerRecord, Record, SealedRecord, Source};
use crate::row_key;
use std::ops::Bound;
use trestle_core::{Error, LayerId, Result};
use trestle_engine::{Body, Extent, MetaRead, Row, Scan, ScanItem, Write};

/// So many rows of a layer are changed in place by one commit.
const REWRITE_ROWS_MAX: usize = 10_000;

/// The rows of a new layer.
pub(crate) struct NewLayer {
    pub(crate) id: LayerId,
    length: u64,
    depth: u64,
    writes: Vec<Write>,
    /// The key of sealed bytes, and how many plain ones they are.
    sealed: Option<(SealedRecord, u64)>,
}

impl NewLayer {
    pub(crate) fn new(id: LayerId) -> Self {
        NewLayer {
            id,
            length: 0,
            depth: 0,
            writes: Vec::new(),
            sealed: None,
        }
    }

    /// A layer whose extents will hold sealed frames of `length` plain bytes.
    pub(crate) fn sealed(id: LayerId, key: &SealedKey, length: u64) -> Self {
        NewLayer {
            sealed: Some((SealedRecord::new(key), length)),
            ..NewLayer::new(id)
        }
    }

    fn push(&mut self, extent: &ExtentRecord, body: Option<Body>) -> Result<()> {
        self.writes.push(Write::Put {
            key: row_key::extent(self.id, self.length),
            value: extent.to_value()?,
            body,
        });
        self.length = self.length.saturating_add(extent.length);
        Ok(())
    }

    /// Adds streamed bytes.
    pub(crate) fn streamed(&mut self, extents: &[Extent]) -> Result<()> {
        for extent in extents {
            let body = Body::Streamed(extent.clone());
            self.push(&own(extent.length), Some(body))?;
        }
        Ok(())
    }

    /// The writes of all rows; one record is going to refer to the layer.
    pub(crate) fn finish(mut self) -> Result<Vec<Write>> {
        let (sealed, length) = self.sealed.take().unzip();
        let header = LayerRecord {
            length: length.unwrap_or(self.length),
            references: 1,
            depth: self.depth,
            sealed,
        };
        self.writes.push(put_header(self.id, &header)?);
        Ok(self.writes)
    }
}

fn own(length: u64) -> ExtentRecord {
    ExtentRecord {
        length,
        source: Source::Own,
        part: None,
    }
}

pub(crate) fn put_header(layer: LayerId, header: &LayerRecord) -> Result<Write> {
    Ok(Write::Put {
        key: row_key::layer(layer),
        value: header.to_value()?,
        body: None,
    })
}

/// The header of a layer that a record refers to.
pub(crate) async fn header(read: &dyn MetaRead, layer: LayerId) -> Result<(LayerRecord, Row)> {
    let row = read
        .get(&row_key::layer(layer))
        .await?
        .ok_or_else(|| Error::corrupt("a layer that is referred to does not exist"))?;
    Ok((LayerRecord::from_value(&row.value)?, row))
}

/// The extent that holds `position`: its offset, record and row.
pub(crate) async fn extent_at(
    read: &dyn MetaRead,
    layer: LayerId,
    position: u64,
) -> Result<(u64, ExtentRecord, Row)> {
    // The last extent that starts at or before the position.
    let scan = Scan {
        from: Bound::Included(row_key::extents(layer)),
        until: Bound::Included(row_key::extent(layer, position)),
        reverse: true,
        limit: 1,
        collapse: None,
    };
    let Some(ScanItem::Row(key, row)) = read.scan(&scan).await?.into_iter().next() else {
        return Err(missing());
    };
    let (_, offset) = row_key::split_extent(&key).ok_or_else(malformed)?;
    let extent = ExtentRecord::from_value(&row.value)?;
    if position.checked_sub(offset).ok_or_else(missing)? >= extent.length {
        return Err(missing());
    }
    Ok((offset, extent, row))
}

fn missing() -> Error {
    Error::corrupt("a layer misses an extent")
}

fn malformed() -> Error {
    Error::corrupt("an extent row with a malformed key")
}
