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
    let replacements = vec![Replacement { range, runs }];
    let replaced = replace(read, (layer, &header), replacements, references).await?;
    let Some(mut writes) = replaced else {
        return Ok(None);
    };
    header.length = header.length.max(range.end);
    writes.push(put_header(layer, &header)?);
    Ok(Some(writes))
}

/// What comes in place of a range of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    pub(crate) range: ResolvedRange,
    /// Exactly as long as the range, or as what comes after the layer's end.
    pub(crate) runs: Vec<Run>,
}

/// The writes that put `replacements`, in order and apart from each other, in place of what a layer
/// holds there, without the header. None when it cannot be done in place.
pub(crate) async fn replace(
    read: &dyn MetaRead,
    (layer, header): (LayerId, &LayerRecord),
    replacements: Vec<Replacement>,
    references: &mut References,
) -> Result<Option<Vec<Write>>> {
    let mut found = BTreeMap::new();
    for replacement in &replacements {
        let range = replacement.within(header.length);
        let mut walk = Walk::new(layer, range);
        while let Some((offset, extent)) = walk.next(read).await? {
            found.insert(offset, extent);
            if found.len() > REWRITE_ROWS_MAX {
                return Ok(None);
            }
        }
    }
    // Taken over only when all of it can be done.
    let mut changed = References::default();
    let mut kept = found.clone();
    for replacement in &replacements {
        let ResolvedRange { start, end } = replacement.within(header.length);
        for at in [start, end] {
            // The caller has not widened the range to all of a row's own bytes.
            if !cut(&mut kept, at, &mut changed) {
                return Ok(None);
            }
        }
        kept.retain(|offset, extent| {
            let stays = *offset < start || *offset >= end;
            if let (Source::Reference { layer, .. }, false) = (&extent.source, stays) {
                changed.lose(*layer);
            }
            stays
        });
    }
    let mut rows: BTreeMap<Bytes, Write> = BTreeMap::new();
    for offset in found.keys().filter(|offset| !kept.contains_key(offset)) {
        let key = row_key::extent(layer, *offset);
        rows.insert(key.clone(), Write::Delete { key });
    }
    let mut put = |offset: u64, extent: &ExtentRecord, body: Option<Body>| -> Result<()> {
        let key = row_key::extent(layer, offset);
        let value = extent.to_value()?;
        rows.insert(key.clone(), Write::Put { key, value, body });
        Ok(())
    };
    for (offset, extent) in &kept {
        if found.get(offset) != Some(extent) {
            put(*offset, extent, None)?;
        }
    }
    for run in replacements.into_iter().flat_map(|one| one.runs) {
        let source = match run.body {
            Some(_) => Source::Own,
            None => Source::Hole,
        };
        let extent = ExtentRecord {
            length: run.length,
            source,
            part: None,
        };
        put(run.offset, &extent, run.body)?;
    }
    references.absorb(changed);
    Ok(Some(rows.into_values().collect()))
}

impl Replacement {
    /// The part of the range that a layer of this length has.
    fn within(&self, length: u64) -> ResolvedRange {
        ResolvedRange {
            start: self.range.start.min(length),
            end: self.range.end.min(length),
        }
    }
}

/// Cuts the extent that `at` lies within, if one does; not, when it has bytes of its own.
fn cut(extents: &mut BTreeMap<u64, ExtentRecord>, at: u64, changed: &mut References) -> bool {
    let Some((offset, extent)) = extents.range_mut(..at).next_back() else {
        return true;
    };
    let left = at - offset;
    if left >= extent.length {
        return true;
    }
    let source = match extent.source {
        Source::Own => return false,
        Source::Hole => Source::Hole,
        Source::Reference { layer, offset } => {
            changed.gain(layer);
            Source::Reference {
                layer,
                offset: offset + left,
            }
        }
    };
    let right = ExtentRecord {
        length: extent.length - left,
        source,
        part: None,
    };
    extent.length = left;
    extent.part = None;
    extents.insert(at, right);
    true
}
