//! Layers: the rows that say where the bytes of one large content are.
//!
//! The rows of a layer are written by the commit that writes its object and removed by the commit
//! that replaces or deletes it; in between they never change. A missing row is corruption, never
//! zeros.

use crate::record::{ExtentRecord, LayerRecord, Record};
use crate::row_key;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Bound;
use trestle_core::{Error, ErrorKind, LayerId, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{Engine, Extent, MetaRead, Scan, ScanItem, Write};

/// Extent rows that are read at once.
const PAGE_ROWS: usize = 64;
/// Extent rows that are read at once in order to remove them.
const REMOVE_PAGE_ROWS: usize = 1000;

/// The rows of a new layer that belongs to the record at `owner`.
pub(crate) fn rows(layer: LayerId, owner: &Bytes, extents: &[Extent]) -> Result<Vec<Write>> {
    let mut writes = Vec::with_capacity(extents.len() + 1);
    let mut offset = 0u64;
    for extent in extents {
        let record = ExtentRecord {
            length: extent.length,
            handle: extent.handle.to_vec(),
        };
        let key = row_key::extent(layer, offset);
        writes.push(Write::Put {
            key,
            value: record.to_value()?,
            body: None,
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

/// What a commit gives up when it replaces or deletes a content.
#[derive(Default)]
pub(crate) struct Former {
    /// Removals of the layer's rows.
    pub(crate) deletes: Vec<Write>,
    /// To be released after the commit.
    pub(crate) extents: Vec<Extent>,
}

impl Former {
    /// All of `layer`. An extent row that cannot be decoded is removed too, so that a damaged
    /// object can be deleted; its bytes stay with the engine.
    pub(crate) async fn load(read: &dyn MetaRead, layer: Option<LayerId>) -> Result<Former> {
        let Some(layer) = layer else {
            return Ok(Former::default());
        };
        let mut former = Former::default();
        former.deletes.push(Write::Delete {
            key: row_key::layer(layer),
        });
        let mut scan = Scan::prefix(row_key::extents(layer), REMOVE_PAGE_ROWS);
        loop {
            let page = read.scan(&scan).await?;
            let more = page.len() == REMOVE_PAGE_ROWS;
            for item in page {
                let ScanItem::Row(key, row) = item else {
                    continue;
                };
                match ExtentRecord::from_value(&row.value) {
                    Ok(e) => former.extents.push(Extent {
                        length: e.length,
                        handle: e.handle.into(),
                    }),
                    Err(error) => tracing::warn!(%layer, %error, "removing a damaged extent row"),
                }
                scan.from = Bound::Excluded(key.clone());
                former.deletes.push(Write::Delete { key });
            }
            if !more {
                return Ok(former);
            }
        }
    }
}

/// Reads a range of a layer from start to end.
pub(crate) struct LayerReader {
    engine: Engine,
    layer: LayerId,
    position: u64,
    end: u64,
    /// Offset and place of the extents that come next; the first holds `position`.
    page: VecDeque<(u64, Extent)>,
}

impl LayerReader {
    /// A reader of `start..end` whose first extents come from `read`.
    pub(crate) async fn open(
        engine: Engine,
        read: &dyn MetaRead,
        layer: LayerId,
        start: u64,
        end: u64,
    ) -> Result<Self> {
        let mut reader = LayerReader {
            engine,
            layer,
            position: start,
            end,
            page: VecDeque::new(),
        };
        if start < end {
            let from = reader.first_offset(read).await?;
            reader.load(read, from).await?;
        }
        Ok(reader)
    }

    /// Offset of the extent that holds `position`.
    async fn first_offset(&self, read: &dyn MetaRead) -> Result<u64> {
        if self.position == 0 {
            return Ok(0);
        }
        let scan = Scan {
            from: Bound::Included(row_key::extents(self.layer)),
            until: Bound::Included(row_key::extent(self.layer, self.position)),
            reverse: true,
            limit: 1,
            collapse: None,
        };
        let found = read.scan(&scan).await?;
        let offset = found
            .first()
            .and_then(|item| row_key::split_extent(item.key()));
        Ok(offset.map_or(0, |(_, offset)| offset))
    }

    /// Loads the next extents, which start at `from`.
    async fn load(&mut self, read: &dyn MetaRead, from: u64) -> Result<()> {
        let prefix = row_key::extents(self.layer);
        let mut scan = Scan::prefix(prefix, PAGE_ROWS);
        scan.from = Bound::Included(row_key::extent(self.layer, from));
        for item in read.scan(&scan).await? {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            let (_, offset) = row_key::split_extent(&key)
                .ok_or_else(|| Error::corrupt("an extent row with a malformed key"))?;
            let extent = ExtentRecord::from_value(&row.value)?;
            let extent = Extent {
                length: extent.length,
                handle: extent.handle.into(),
            };
            self.page.push_back((offset, extent));
        }
        Ok(())
    }

    /// The next bytes, verified; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.position >= self.end {
            return Ok(None);
        }
        if self.page.is_empty() {
            let read = self.engine.meta.snapshot().await?;
            self.load(&*read, self.position).await?;
        }
        match self.read_chunk().await {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error) if error.kind() == ErrorKind::Corrupt => Err(self.explain(error).await),
            Err(error) => Err(error),
        }
    }

    async fn read_chunk(&mut self) -> Result<Bytes> {
        let missing = || Error::corrupt("a layer misses an extent");
        let (offset, extent) = self.page.front().ok_or_else(missing)?;
        let from = self.position.checked_sub(*offset).ok_or_else(missing)?;
        if from >= extent.length {
            return Err(missing());
        }
        let wanted = (extent.length - from)
            .min(READ_BYTES_MAX)
            .min(self.end - self.position);
        let bytes = self.engine.data.read(extent, from..from + wanted).await?;
        if bytes.len() as u64 != wanted {
            return Err(Error::corrupt("an extent is shorter than its record says"));
        }
        self.position += wanted;
        if from + wanted == extent.length {
            self.page.pop_front();
        }
        Ok(bytes)
    }

    /// Tells corruption from a layer that a concurrent overwrite or delete has removed.
    async fn explain(&self, error: Error) -> Error {
        let key = row_key::layer(self.layer);
        let header = match self.engine.meta.snapshot().await {
            Ok(read) => read.get(&key).await,
            Err(error) => Err(error),
        };
        match header {
            Ok(None) => Error::new(
                ErrorKind::Conflict,
                "the object was replaced or deleted while it was being read",
            )
            .with_source(error),
            _ => error,
        }
    }
}
