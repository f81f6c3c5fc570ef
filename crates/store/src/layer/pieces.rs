//! Pieces of one layer for another: how contents are copied, joined and changed without moving bytes.

use super::{NewLayer, Patch, References, extent_at, header, malformed, missing, own};
use crate::nouns::PartInfo;
use crate::record::{ExtentRecord, Source};
use crate::row_key;
use bytes::Bytes;
use std::ops::Bound;
use trestle_core::{Error, ErrorKind, LayerId, ResolvedRange, Result};
use trestle_engine::{Body, MetaRead, Scan, ScanItem};

/// Longest way through layers to bytes that a write makes, as long as it can do otherwise.
pub(crate) const DEPTH_MAX: u64 = 8;
/// So many extents of a layer are repeated, rather than referred to as a whole, so that ways stay
/// short.
const REPEATED_ROWS_MAX: usize = 64;
/// So many are repeated where ways have become long.
const FLATTENED_ROWS_MAX: usize = 20_000;
/// Longest way that there ever is; [`super::reader`] takes longer ones for circles.
const DEPTH_LIMIT: u64 = 500;
/// Extent rows that are read at once.
const PAGE_ROWS: usize = 1000;

impl NewLayer {
    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The longest way from here to bytes.
    pub(crate) fn depth(&self) -> u64 {
        self.depth
    }

    /// Adds bytes that travel with the commit; none add nothing.
    pub(crate) fn attached(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.push(&own(bytes.len() as u64), Some(Body::Attached(bytes)))
    }

    /// Adds the bytes of a patch, which begins at the end so far.
    pub(crate) fn runs(&mut self, patch: &Patch<'_>) -> Result<()> {
        for (_, body) in patch.runs() {
            let length = match &body {
                Body::Attached(bytes) => bytes.len() as u64,
                Body::Streamed(extent) => extent.length,
            };
            self.push(&own(length), Some(body))?;
        }
        Ok(())
    }

    /// Adds a piece of another layer, or a hole; `references` gains what it refers to.
    pub(crate) fn piece(&mut self, piece: Piece, references: &mut References) -> Result<()> {
        if piece.length == 0 {
            return Ok(());
        }
        if let Source::Reference { layer, .. } = piece.source {
            references.gain(layer);
        }
        self.depth = self.depth.max(piece.depth);
        let extent = ExtentRecord {
            length: piece.length,
            source: piece.source,
            part: piece.part,
        };
        self.push(&extent, None)
    }
}

/// A run of bytes that belong to no row of the layer that it goes into.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) length: u64,
    /// Never `Own`.
    pub(crate) source: Source,
    /// The way to its bytes from the layer that it goes into.
    pub(crate) depth: u64,
    pub(crate) part: Option<PartInfo>,
}

impl Piece {
    pub(crate) fn hole(length: u64) -> Self {
        Piece {
            length,
            source: Source::Hole,
            depth: 0,
            part: None,
        }
    }

    /// A range of a layer whose own depth is `depth`.
    pub(crate) fn reference(layer: LayerId, range: ResolvedRange, depth: u64) -> Self {
        Piece {
            length: range.len(),
            source: Source::Reference {
                layer,
                offset: range.start,
            },
            depth: depth.saturating_add(1),
            part: None,
        }
    }
}

/// A range of a layer as pieces for another one. What the layer itself only refers to is referred to
/// directly, unless that takes very many pieces.
pub(crate) async fn pieces(
    read: &dyn MetaRead,
    layer: LayerId,
    range: ResolvedRange,
) -> Result<Vec<Piece>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let (header, _) = header(read, layer).await?;
    let whole = || Ok(vec![Piece::reference(layer, range, header.depth)]);
    if header.depth == 0 {
        return whole();
    }
    let pieces_max = if header.depth < DEPTH_MAX {
        REPEATED_ROWS_MAX
    } else {
        FLATTENED_ROWS_MAX
    };
    let mut pieces: Vec<Piece> = Vec::new();
    let mut walk = Walk::new(layer, range);
    while let Some((offset, extent)) = walk.next(read).await? {
        let start = range.start.max(offset);
        let end = range.end.min(offset.saturating_add(extent.length));
        let clipped = ResolvedRange { start, end };
        let piece = match extent.source {
            Source::Hole => Piece::hole(clipped.len()),
            Source::Reference { layer, offset: at } => {
                let start = at.saturating_add(start - offset);
                let range = ResolvedRange {
                    start,
                    end: start.saturating_add(clipped.len()),
                };
                // No longer than the way from here.
                Piece::reference(layer, range, header.depth - 1)
            }
            Source::Own => {
                // Neighbours that are the layer's own are one range of it.
                let adjacent = pieces.last_mut().filter(|last| {
                    matches!(last.source, Source::Reference { layer: of, offset }
                        if of == layer && offset.saturating_add(last.length) == start)
                });
                if let Some(last) = adjacent {
                    last.length = last.length.saturating_add(clipped.len());
                    continue;
                }
                Piece::reference(layer, clipped, 0)
            }
        };
        pieces.push(piece);
        if pieces.len() > pieces_max {
            if header.depth > DEPTH_LIMIT {
                let message = "a content whose ways to bytes are too long to be made longer";
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            return whole();
        }
    }
    Ok(pieces)
}

/// A walk over the extents of a layer that touch a range, checking that none is missing.
pub(crate) struct Walk {
    layer: LayerId,
    position: u64,
    end: u64,
    page: std::vec::IntoIter<(u64, ExtentRecord)>,
}

impl Walk {
    pub(crate) fn new(layer: LayerId, range: ResolvedRange) -> Self {
        Walk {
            layer,
            position: range.start,
            end: range.end,
            page: Vec::new().into_iter(),
        }
    }

    /// The next extent with its offset; none at the end of the range.
    pub(crate) async fn next(
        &mut self,
        read: &dyn MetaRead,
    ) -> Result<Option<(u64, ExtentRecord)>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let found = match self.page.next() {
            Some(found) => found,
            None => {
                self.page = self.read_page(read).await?.into_iter();
                self.page.next().ok_or_else(missing)?
            }
        };
        let end = found.0.saturating_add(found.1.length);
        if found.0 > self.position || end <= self.position {
            return Err(missing());
        }
        self.position = end;
        Ok(Some(found))
    }

    async fn read_page(&self, read: &dyn MetaRead) -> Result<Vec<(u64, ExtentRecord)>> {
        let (first, _, _) = extent_at(read, self.layer, self.position).await?;
        let scan = Scan {
            from: Bound::Included(row_key::extent(self.layer, first)),
            until: Bound::Excluded(row_key::extent(self.layer, self.end)),
            reverse: false,
            limit: PAGE_ROWS,
            collapse: None,
        };
        let mut page = Vec::new();
        for item in read.scan(&scan).await? {
            if let ScanItem::Row(key, row) = item {
                let (_, offset) = row_key::split_extent(&key).ok_or_else(malformed)?;
                page.push((offset, ExtentRecord::from_value(&row.value)?));
            }
        }
        Ok(page)
    }
}
