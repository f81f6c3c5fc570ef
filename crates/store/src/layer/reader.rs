//! Reading a range of a layer, wherever its bytes are.

use crate::encryption::Unsealer;
use crate::layer::{extent_at, header};
use crate::record::{LayerRecord, Source};
use crate::seal::{FRAME_BYTES, FrameCipher, sealed_range};
use bytes::{Buf, Bytes, BytesMut};
use std::ops::Range;
use trestle_core::{Error, LayerId, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{Engine, MetaRead, Pin, Row};

/// A way through layers longer than any write makes it is a circle.
const WAY_MAX: usize = 1000;
/// What a hole is read from.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Reads a range of a layer from start to end.
pub(crate) struct LayerReader {
    engine: Engine,
    layer: LayerId,
    position: u64,
    end: u64,
    /// Keeps the layer's rows as they are, as long as there is more to read.
    _pin: Option<Pin>,
    /// Finds the keys of sealed layers. Without it there are none on the way.
    unsealer: Option<Unsealer>,
    /// The sealed layer that was read last.
    opened: Option<(LayerId, FrameCipher)>,
}

impl LayerReader {
    /// A reader of `start..end`; `pin` is on `layer`, and may be left out when everything is read from
    /// one snapshot.
    pub(crate) fn new(
        engine: Engine,
        layer: LayerId,
        range: std::ops::Range<u64>,
        pin: Option<Pin>,
    ) -> Self {
        LayerReader {
            engine,
            layer,
            position: range.start,
            end: range.end,
            _pin: pin,
            unsealer: None,
            opened: None,
        }
    }

    /// Reads sealed layers, too.
    pub(crate) fn unsealed(mut self, unsealer: Unsealer) -> Self {
        self.unsealer = Some(unsealer);
        self
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
        let bytes = self.read_chunk(read).await?;
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Passes over the hole that comes next, whatever its size; false when none does.
    pub(crate) async fn skip_hole(&mut self, read: &dyn MetaRead) -> Result<bool> {
        let (mut layer, mut position) = (self.layer, self.position);
        let mut length = self.end.saturating_sub(self.position);
        for _ in 0..WAY_MAX {
            // Sealed bytes are no holes.
            if length == 0 || header(read, layer).await?.0.sealed.is_some() {
                return Ok(false);
            }
            let (offset, extent, _) = extent_at(read, layer, position).await?;
            let from = position - offset;
            length = length.min(extent.length - from);
            match extent.source {
                Source::Own => return Ok(false),
                Source::Hole => {
                    self.position = self.position.saturating_add(length);
                    return Ok(true);
                }
                Source::Reference {
                    layer: next,
                    offset,
                } => (layer, position) = (next, offset.saturating_add(from)),
            }
        }
        Err(Error::corrupt("extents refer to each other in a circle"))
    }

    async fn read_chunk(&mut self, read: &dyn MetaRead) -> Result<Bytes> {
        let (mut layer, mut position) = (self.layer, self.position);
        let mut wanted = READ_BYTES_MAX.min(self.end - self.position);
        for _ in 0..WAY_MAX {
            if self.unsealer.is_some() {
                let (header, _) = header(read, layer).await?;
                if header.sealed.is_some() {
                    let end = position.saturating_add(wanted).min(header.length);
                    return self.open_frames(read, layer, &header, position..end).await;
                }
            }
            let (offset, extent, row) = extent_at(read, layer, position).await?;
            let from = position - offset;
            wanted = wanted.min(extent.length - from);
            match extent.source {
                Source::Own => return self.read_own(row, from..from.saturating_add(wanted)).await,
                Source::Hole => {
                    let zeros = Bytes::from_static(&ZEROS);
                    let length = usize::try_from(wanted).unwrap_or(usize::MAX);
                    return Ok(zeros.slice(..length.min(zeros.len())));
                }
                Source::Reference {
                    layer: next,
                    offset,
                } => {
                    position = offset
                        .checked_add(from)
                        .ok_or_else(|| Error::corrupt("an extent refers beyond any layer"))?;
                    layer = next;
                }
            }
        }
        Err(Error::corrupt("extents refer to each other in a circle"))
    }

    /// A range of the bytes of an extent's own row.
    async fn read_own(&self, row: Row, range: Range<u64>) -> Result<Bytes> {
        let body = row
            .body
            .ok_or_else(|| Error::corrupt("an extent row without bytes"))?;
        let wanted = range.end.saturating_sub(range.start);
        let bytes = self.engine.data.read_body(&body, range).await?;
        if bytes.len() as u64 != wanted {
            return Err(Error::corrupt("an extent is shorter than its record says"));
        }
        Ok(bytes)
    }

    /// A range of the plain bytes of a sealed layer.
    async fn open_frames(
        &mut self,
        read: &dyn MetaRead,
        layer: LayerId,
        header: &LayerRecord,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let (frames, mut stored) = sealed_range(&range, header.length);
        let mut sealed = BytesMut::new();
        while stored.start < stored.end {
            let (offset, extent, row) = extent_at(read, layer, stored.start).await?;
            if extent.source != Source::Own {
                return Err(Error::corrupt("a sealed layer that refers to another"));
            }
            let from = stored.start - offset;
            let wanted = (extent.length - from)
                .min(stored.end - stored.start)
                .min(READ_BYTES_MAX);
            let bytes = self.read_own(row, from..from + wanted).await?;
            sealed.extend_from_slice(&bytes);
            stored.start += wanted;
        }
        let cipher = self.cipher(layer, header).await?;
        let mut plain = cipher.open_all(frames.start, &sealed)?;
        let skipped = range
            .start
            .saturating_sub(frames.start.saturating_mul(FRAME_BYTES));
        let short = || Error::corrupt("a sealed layer is shorter than it says");
        let skipped = usize::try_from(skipped).map_err(|_| short())?;
        let length = usize::try_from(range.end - range.start).map_err(|_| short())?;
        if plain.len() < skipped.saturating_add(length) || length == 0 {
            return Err(short());
        }
        plain.advance(skipped);
        plain.truncate(length);
        Ok(plain.freeze())
    }

    async fn cipher(&mut self, layer: LayerId, header: &LayerRecord) -> Result<FrameCipher> {
        if let Some((opened, cipher)) = &self.opened
            && *opened == layer
        {
            return Ok(cipher.clone());
        }
        let missing = || Error::corrupt("a sealed layer without a key");
        let key = header.sealed.as_ref().ok_or_else(missing)?.key();
        let unsealer = self.unsealer.as_ref().ok_or_else(missing)?;
        let cipher = unsealer.cipher(layer, &key).await?;
        self.opened = Some((layer, cipher.clone()));
        Ok(cipher)
    }
}
