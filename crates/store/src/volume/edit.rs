//! What a change of a volume does to its layer.

use super::{VOLUME_BLOCK_BYTES, YIELDS_MAX, yield_now};
use crate::layer::{
    Hold, NewLayer, Piece, References, Replacement, Run, extent_at, header, pieces, put_header,
    replace,
};
use crate::nouns::Bucket;
use crate::record::{LayerRecord, Source};
use crate::row_key;
use crate::snapshot::is_shown;
use crate::store::{FoundObject, Store};
use bytes::{Bytes, BytesMut};
use trestle_core::{Error, ErrorKind, LayerId, ResolvedRange, Result};
use trestle_engine::canary::{self, Canary};
use trestle_engine::{Body, Expectation, MetaRead, Write};

/// A change of a volume that brings no bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// Zeros, and no blocks where whole ones become zeros.
    Zeros(ResolvedRange),
    /// Another size.
    Size(u64),
}

/// What a change makes of a volume.
pub(super) struct Edited {
    pub(super) layer: LayerId,
    pub(super) writes: Vec<Write>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) references: References,
}

impl Store {
    /// Works out what new blocks and holes do to the layer of a volume, which comes to have `size`
    /// bytes; none when to look again.
    pub(super) async fn lay(
        &self,
        read: &dyn MetaRead,
        (bucket, current): (&Bucket, &FoundObject),
        (replacements, size): (Vec<Replacement>, u64),
        hold: &mut Hold,
    ) -> Result<Option<Edited>> {
        let missing = || Error::corrupt("a volume without a layer");
        let of = current.object.layer().ok_or_else(missing)?;
        let former = current.object.length();
        let (header, row) = header(read, of).await?;
        let mut edited = Edited {
            layer: of,
            writes: Vec::new(),
            expectations: Vec::new(),
            references: References::default(),
        };
        let own = header.references == 1 && !is_shown(read, bucket, current).await?;
        if own || canary::active(Canary::ChangeSharedVolumes) {
            if !self.announce(hold, [of.0].into()).await {
                return Ok(None);
            }
            for _ in 0..YIELDS_MAX {
                if !hold.is_pinned(of, Canary::ChangeUnderReaders) {
                    break;
                }
                yield_now().await;
            }
            if !hold.is_pinned(of, Canary::ChangeUnderReaders) {
                let references = &mut edited.references;
                let place = (of, &header);
                let writes = replace(read, place, replacements.clone(), references).await?;
                if let Some(mut writes) = writes {
                    if size != former {
                        let resized = LayerRecord {
                            length: size,
                            ..header.clone()
                        };
                        writes.push(put_header(of, &resized)?);
                    }
                    let unchanged = Expectation::Revision(row_key::layer(of), row.revision);
                    edited.expectations.push(unchanged);
                    edited.references.change_in_place(of);
                    edited.writes = writes;
                    return Ok(Some(edited));
                }
            }
        }
        let mut layer = NewLayer::new(LayerId(self.host.id()));
        let mut reached = 0;
        for Replacement { range, runs } in replacements {
            let stays = ResolvedRange {
                start: reached,
                end: range.start.min(former),
            };
            for piece in pieces(read, of, stays).await? {
                layer.piece(piece, &mut edited.references)?;
            }
            for run in runs {
                match run.body {
                    Some(Body::Attached(bytes)) => layer.attached(bytes)?,
                    _ => layer.piece(Piece::hole(run.length), &mut edited.references)?,
                }
            }
            reached = range.end;
        }
        let stays = ResolvedRange {
            start: reached.min(former).min(size),
            end: former.min(size),
        };
        for piece in pieces(read, of, stays).await? {
            layer.piece(piece, &mut edited.references)?;
        }
        edited.references.lose(of);
        edited.layer = layer.id;
        edited.writes = layer.finish()?;
        Ok(Some(edited))
    }

    /// What an edit puts in place of a range of the volume, widened to whole blocks, and the size.
    pub(super) async fn replacement(
        &self,
        read: &dyn MetaRead,
        current: &FoundObject,
        edit: Edit,
    ) -> Result<(Replacement, u64)> {
        let size = current.object.length();
        let block_end = |at: u64| at.next_multiple_of(VOLUME_BLOCK_BYTES).min(size);
        match edit {
            Edit::Zeros(range) => {
                let inner = ResolvedRange {
                    start: block_end(range.start),
                    end: match range.end == size {
                        true => size,
                        false => range.end - range.end % VOLUME_BLOCK_BYTES,
                    },
                };
                let zeros = self.zero_runs(read, current, range, inner).await?;
                Ok((zeros, size))
            }
            Edit::Size(new) if new >= size => {
                let (start, end) = (size, new);
                let grown = Replacement {
                    range: ResolvedRange { start, end },
                    runs: vec![Run::hole(size, new - size)],
                };
                Ok((grown, new))
            }
            Edit::Size(new) => {
                let start = new - new % VOLUME_BLOCK_BYTES;
                let last = self.bytes_of(read, Some(current), (start, new)).await?;
                let mut runs = Vec::new();
                push_blocks(&mut runs, start, last);
                let range = ResolvedRange { start, end: size };
                Ok((Replacement { range, runs }, new))
            }
        }
    }

    /// Zeros in `range`, whose whole blocks are `inner`: those become a hole, joined with the holes
    /// beside it.
    async fn zero_runs(
        &self,
        read: &dyn MetaRead,
        current: &FoundObject,
        range: ResolvedRange,
        mut inner: ResolvedRange,
    ) -> Result<Replacement> {
        let size = current.object.length();
        let missing = || Error::corrupt("a volume without a layer");
        let layer = current.object.layer().ok_or_else(missing)?;
        if inner.start >= inner.end {
            // Within a block or two.
            let wide = ResolvedRange {
                start: range.start - range.start % VOLUME_BLOCK_BYTES,
                end: range.end.next_multiple_of(VOLUME_BLOCK_BYTES).min(size),
            };
            let mut whole = BytesMut::new();
            let left = self.bytes_of(read, Some(current), (wide.start, range.start));
            whole.extend_from_slice(&left.await?);
            let zeros = usize::try_from(range.len()).unwrap_or(usize::MAX);
            whole.resize(whole.len().saturating_add(zeros), 0);
            let right = self.bytes_of(read, Some(current), (range.end, wide.end));
            whole.extend_from_slice(&right.await?);
            let mut runs = Vec::new();
            push_blocks(&mut runs, wide.start, whole.freeze());
            return Ok(Replacement { range: wide, runs });
        }
        let mut wide = inner;
        let mut runs = Vec::new();
        if range.start < inner.start {
            wide.start = inner.start - VOLUME_BLOCK_BYTES;
            let kept = self.bytes_of(read, Some(current), (wide.start, range.start));
            let mut block = BytesMut::from(&kept.await?[..]);
            let length = usize::try_from(VOLUME_BLOCK_BYTES).unwrap_or(usize::MAX);
            block.resize(length, 0);
            push_blocks(&mut runs, wide.start, block.freeze());
        } else if inner.start > 0 {
            let (offset, extent, _) = extent_at(read, layer, inner.start - 1).await?;
            if extent.source == Source::Hole {
                inner.start = offset;
                wide.start = offset;
            }
        }
        let mut tail = Vec::new();
        if inner.end < range.end {
            wide.end = (inner.end + VOLUME_BLOCK_BYTES).min(size);
            let kept = self.bytes_of(read, Some(current), (range.end, wide.end));
            let zeros = usize::try_from(range.end - inner.end).unwrap_or(usize::MAX);
            let mut block = BytesMut::zeroed(zeros);
            block.extend_from_slice(&kept.await?);
            push_blocks(&mut tail, inner.end, block.freeze());
        } else if inner.end < size {
            let (offset, extent, _) = extent_at(read, layer, inner.end).await?;
            if extent.source == Source::Hole {
                inner.end = offset + extent.length;
                wide.end = inner.end;
            }
        }
        runs.push(Run::hole(inner.start, inner.len()));
        runs.extend(tail);
        Ok(Replacement { range: wide, runs })
    }
}

impl Edit {
    /// Whether it changes anything.
    ///
    /// # Errors
    /// `RangeNotSatisfiable` for what reaches beyond the volume's end.
    pub(super) fn changes(&self, size: u64) -> Result<bool> {
        match self {
            Edit::Zeros(range) => check_within(size, *range).map(|()| !range.is_empty()),
            Edit::Size(new) => Ok(*new != size),
        }
    }
}

/// Refuses what reaches beyond the end of a volume of so many bytes.
pub(super) fn check_within(size: u64, range: ResolvedRange) -> Result<()> {
    if range.end > size {
        let kind = ErrorKind::RangeNotSatisfiable { length: size };
        return Err(Error::new(kind, format!("the volume ends at {size}")));
    }
    Ok(())
}

/// The bytes from `offset` on as blocks.
pub(super) fn push_blocks(runs: &mut Vec<Run>, mut offset: u64, mut bytes: Bytes) {
    while !bytes.is_empty() {
        let block = bytes.split_to(
            usize::try_from(VOLUME_BLOCK_BYTES)
                .unwrap_or(usize::MAX)
                .min(bytes.len()),
        );
        let length = block.len() as u64;
        runs.push(Run {
            offset,
            length,
            body: Some(Body::Attached(block)),
        });
        offset += length;
    }
}
