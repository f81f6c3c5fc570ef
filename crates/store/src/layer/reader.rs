//! Reading a range of a layer, wherever its bytes are.

use crate::layer::extent_at;
use crate::record::Source;
use bytes::Bytes;
use trestle_core::{Error, LayerId, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{Engine, MetaRead, Pin};

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
        let bytes = self.read_chunk(read).await?;
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
    }

    async fn read_chunk(&self, read: &dyn MetaRead) -> Result<Bytes> {
        let (mut layer, mut position) = (self.layer, self.position);
        let mut wanted = READ_BYTES_MAX.min(self.end - self.position);
        for _ in 0..WAY_MAX {
            let (offset, extent, row) = extent_at(read, layer, position).await?;
            let from = position - offset;
            wanted = wanted.min(extent.length - from);
            match extent.source {
                Source::Own => {
                    let body = row
                        .body
                        .ok_or_else(|| Error::corrupt("an extent row without bytes"))?;
                    let range = from..from.saturating_add(wanted);
                    let bytes = self.engine.data.read_body(&body, range).await?;
                    if bytes.len() as u64 != wanted {
                        return Err(Error::corrupt("an extent is shorter than its record says"));
                    }
                    return Ok(bytes);
                }
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
}
