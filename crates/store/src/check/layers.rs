//! The part of the check that recounts who refers to each layer, and follows extents.

use super::{Check, Place};
use crate::layer::header;
use crate::record::{ExtentRecord, LayerRecord, Record, Source};
use crate::row_key;
use crate::store::Store;
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::{Error, LayerId, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{BodyRef, MetaRead, Row};

/// What was seen of each layer so far.
#[derive(Default)]
pub(super) struct Layers(BTreeMap<LayerId, Seen>);

#[derive(Default)]
struct Seen {
    /// Its header, when it has a readable one.
    header: Option<LayerRecord>,
    /// Rows that refer to it.
    counted: u64,
    /// Where the next extent must start.
    covered: u64,
}

impl Layers {
    /// A row refers to the layer.
    pub(super) fn refer(&mut self, layer: LayerId) {
        self.0.entry(layer).or_default().counted += 1;
    }
}

impl Check<'_> {
    pub(super) async fn layer(
        &mut self,
        read: &dyn MetaRead,
        key: &Bytes,
        row: &Row,
    ) -> Result<()> {
        let layer = layer_of(key)?;
        let header = LayerRecord::from_value(&row.value)?;
        let doomed = read.get(&row_key::doomed(layer)).await?.is_some();
        let unreferred = header.references == 0;
        self.layers.0.entry(layer).or_default().header = Some(header);
        match (unreferred, doomed) {
            (true, false) => Err(Error::corrupt("a layer that nothing refers to")),
            (false, true) => Err(Error::corrupt("a layer that is to go and still needed")),
            _ => Ok(()),
        }
    }

    pub(super) async fn doomed(
        &mut self,
        read: &dyn MetaRead,
        key: &Bytes,
        row: &Row,
    ) -> Result<()> {
        if !row.value.is_empty() {
            return Err(Error::corrupt("a doomed layer with a value"));
        }
        header(read, layer_of(key)?).await.map(drop)
    }

    pub(super) async fn extent(
        &mut self,
        read: &dyn MetaRead,
        key: &Bytes,
        row: &Row,
    ) -> Result<()> {
        let extent = ExtentRecord::from_value(&row.value)?;
        let (layer, offset) =
            row_key::split_extent(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
        let end = offset
            .checked_add(extent.length)
            .filter(|_| extent.length > 0)
            .ok_or_else(|| Error::corrupt("an extent of an impossible length"))?;
        let seen = self.layers.0.entry(layer).or_default();
        let expected = std::mem::replace(&mut seen.covered, end);
        let Some(layer) = &seen.header else {
            return Err(Error::corrupt("an extent of a layer that does not exist"));
        };
        let (length, doomed) = (layer.stored(), layer.references == 0);
        // Whether they can be decrypted or not, they must be what they were.
        if layer.sealed.is_some()
            && let Some(body) = &row.body
        {
            read_all(self.store, body).await?;
        }
        let bytes = row.body.as_ref().map(|body| u64::from(body.length));
        match extent.source {
            Source::Own if bytes != Some(extent.length) => {
                return Err(Error::corrupt("an extent without as many bytes as it says"));
            }
            Source::Own => {}
            _ if bytes.is_some() => {
                return Err(Error::corrupt("an extent with bytes that it does not say"));
            }
            Source::Hole => {}
            Source::Reference { layer, offset } => {
                self.layers.refer(layer);
                let (header, _) = header(read, layer).await?;
                if offset
                    .checked_add(extent.length)
                    .is_none_or(|end| end > header.length)
                {
                    return Err(Error::corrupt("an extent beyond the end of another layer"));
                }
            }
        }
        // Of a doomed layer some rows may be gone.
        if expected != offset && !doomed {
            return Err(Error::corrupt("a gap or an overlap before an extent"));
        }
        if end > length {
            return Err(Error::corrupt("an extent beyond the end of its layer"));
        }
        Ok(())
    }

    /// What only the whole walk can tell.
    pub(super) fn recounted_layers(&mut self) {
        for (layer, seen) in std::mem::take(&mut self.layers.0) {
            // A missing or unreadable header is a finding of whoever refers to it.
            let Some(header) = seen.header else { continue };
            if header.references != seen.counted {
                let message = format!(
                    "layer {layer} counts {} references where the rows have {}",
                    header.references, seen.counted
                );
                self.found(Place::default(), message);
            }
            if header.references > 0 && header.stored() != seen.covered {
                let message = format!(
                    "the extents of layer {layer} end at {} where it says {}",
                    seen.covered,
                    header.stored()
                );
                self.found(Place::default(), message);
            }
        }
    }
}

/// Reads all bytes of a row, which verifies their checksums.
async fn read_all(store: &Store, body: &BodyRef) -> Result<()> {
    let length = u64::from(body.length);
    let mut start = 0;
    while start < length {
        let end = length.min(start + READ_BYTES_MAX);
        store.engine.data.read_body(body, start..end).await?;
        start = end;
    }
    Ok(())
}

fn layer_of(key: &[u8]) -> Result<LayerId> {
    row_key::split_id(key)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(id, _)| LayerId(id))
        .ok_or_else(|| Error::corrupt("a malformed key"))
}
