//! Changing a range of a layer in place: only for one that a single record refers to and no reader has
//! pinned, which is the caller's to find out and to announce.
//!
//! Rows that hold their own bytes are never cut: a small one is written anew, with what is left of it;
//! beside a large one nothing can be changed in place.

use super::{REWRITE_ROWS_MAX, References, Walk, put_header};
use crate::record::{ExtentRecord, LayerRecord, Source};
use crate::row_key;
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::{LayerId, ResolvedRange, Result};
use trestle_engine::{Body, Extent, MetaRead, Write};

/// Rows with at most so many bytes of their own are written anew when a part of them changes.
pub(crate) const REWRITTEN_ROW_BYTES_MAX: u64 = 128 << 10;
/// Bytes of a row that a small change writes.
const ROW_BYTES: usize = 64 << 10;

/// New bytes for a layer.
pub(crate) struct Patch<'a> {
    /// Where they begin.
    pub(crate) start: u64,
    /// Before the streamed ones; all when nothing was streamed.
    pub(crate) before: Bytes,
    pub(crate) streamed: &'a [Extent],
    pub(crate) after: Bytes,
}

impl Patch<'_> {
    /// Where they end.
    pub(crate) fn end(&self) -> u64 {
        let streamed: u64 = self.streamed.iter().map(|extent| extent.length).sum();
        self.start + self.before.len() as u64 + streamed + self.after.len() as u64
    }

    /// The bytes, each run with its offset.
    pub(crate) fn runs(&self) -> Vec<(u64, Body)> {
        let mut runs = Vec::new();
        let mut offset = self.start;
        let mut push = |length: u64, body| {
            runs.push((offset, body));
            offset += length;
        };
        let attach = |mut bytes: Bytes, push: &mut dyn FnMut(u64, Body)| {
            while !bytes.is_empty() {
                let row = bytes.split_to(ROW_BYTES.min(bytes.len()));
                push(row.len() as u64, Body::Attached(row));
            }
        };
        attach(self.before.clone(), &mut push);
        for extent in self.streamed {
            push(extent.length, Body::Streamed(extent.clone()));
        }
        attach(self.after.clone(), &mut push);
        runs
    }
}

/// What comes in place of a part of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// None for a hole.
    pub(crate) body: Option<Body>,
}

impl Run {
    pub(crate) fn hole(offset: u64, length: u64) -> Self {
        Run {
            offset,
            length,
            body: None,
        }
    }
}

/// The writes that put `patch` in place of what a layer holds there, a hole between its end and the
/// patch included; the header too. None when it cannot be done in place.
pub(crate) async fn change_in_place(
    read: &dyn MetaRead,
    layer: LayerId,
    mut header: LayerRecord,
    patch: &Patch<'_>,
    references: &mut References,
) -> Result<Option<Vec<Write>>> {
    let range = ResolvedRange {
        start: patch.start,
        end: patch.end(),
    };
    let mut runs = Vec::new();
    if range.start > header.length {
        runs.push(Run::hole(header.length, range.start - header.length));
    }
    runs.extend(patch.runs().into_iter().map(|(offset, body)| {
        let length = match &body {
            Body::Attached(bytes) => bytes.len() as u64,
            Body::Streamed(extent) => extent.length,
        };
        Run {
            offset,
            length,
            body: Some(body),
        }
    }));
    let replaced = replace(read, (layer, &header), range, runs, references).await?;
    let Some(mut writes) = replaced else {
        return Ok(None);
    };
    header.length = header.length.max(range.end);
    writes.push(put_header(layer, &header)?);
    Ok(Some(writes))
}

/// The writes that put `runs` in place of what a layer holds in `range`, without the header. None when
/// it cannot be done in place.
pub(crate) async fn replace(
    read: &dyn MetaRead,
    (layer, header): (LayerId, &LayerRecord),
    range: ResolvedRange,
    runs: Vec<Run>,
    references: &mut References,
) -> Result<Option<Vec<Write>>> {
    let ResolvedRange { start, end } = range;
    let mut rows = BTreeMap::new();
    let put = |offset: u64, extent: &ExtentRecord, body: Option<Body>| -> Result<(Bytes, Write)> {
        let key = row_key::extent(layer, offset);
        let value = extent.to_value()?;
        Ok((key.clone(), Write::Put { key, value, body }))
    };
    let replaced = ResolvedRange {
        start: start.min(header.length),
        end: end.min(header.length),
    };
    // Taken over only when all of it can be done.
    let mut changed = References::default();
    let mut walk = Walk::new(layer, replaced);
    while let Some((offset, extent)) = walk.next(read).await? {
        let key = row_key::extent(layer, offset);
        rows.insert(key.clone(), Write::Delete { key });
        if rows.len() > REWRITE_ROWS_MAX {
            return Ok(None);
        }
        let extent_end = offset + extent.length;
        let left = start.saturating_sub(offset).min(extent.length);
        let right = extent_end.saturating_sub(end).min(extent.length);
        if let Source::Reference { layer, .. } = extent.source {
            changed.lose(layer);
        }
        for (at, length) in [(offset, left), (extent_end - right, right)] {
            if length == 0 {
                continue;
            }
            let source = match extent.source {
                // The caller has not widened the range to all of it.
                Source::Own => return Ok(None),
                Source::Hole => Source::Hole,
                Source::Reference {
                    layer: of,
                    offset: from,
                } => {
                    changed.gain(of);
                    Source::Reference {
                        layer: of,
                        offset: from + (at - offset),
                    }
                }
            };
            let kept = ExtentRecord {
                length,
                source,
                part: None,
            };
            rows.extend([put(at, &kept, None)?]);
        }
    }
    for run in runs {
        let source = match run.body {
            Some(_) => Source::Own,
            None => Source::Hole,
        };
        let extent = ExtentRecord {
            length: run.length,
            source,
            part: None,
        };
        rows.extend([put(run.offset, &extent, run.body)?]);
    }
    references.absorb(changed);
    Ok(Some(rows.into_values().collect()))
}
