//! The check of uploads in parts: every part belongs to one, and its bytes are what it says.

use super::{Check, hex};
use crate::layer::{LayerReader, header};
use crate::record::{CompletedRecord, PartRecord, Record, UploadRecord};
use crate::row_key;
use bytes::Bytes;
use trestle_core::{BucketId, Error, Hasher, Result, UploadId};
use trestle_engine::{MetaRead, Row};

impl Check<'_> {
    pub(super) fn upload(&mut self, key: &Bytes, row: &Row) -> Result<()> {
        let (bucket, object_key, id) = row_key::split_upload(key).ok_or_else(malformed)?;
        self.uploads.insert(id);
        let upload = UploadRecord::from_value(&row.value)?.into_upload(object_key)?;
        if upload.id != id {
            return Err(Error::corrupt("an upload's record is of another one"));
        }
        self.bucket_exists(bucket)
    }

    fn bucket_exists(&self, bucket: BucketId) -> Result<()> {
        match self.buckets.contains_key(&bucket) {
            true => Ok(()),
            false => Err(Error::corrupt("an upload of a bucket that does not exist")),
        }
    }

    fn belongs(&self, upload: UploadId) -> Result<()> {
        match self.uploads.contains(&upload) {
            true => Ok(()),
            false => Err(Error::corrupt("a part of an upload that does not exist")),
        }
    }

    pub(super) async fn part(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let (upload, number) = row_key::split_part(key).ok_or_else(malformed)?;
        let record = PartRecord::from_value(&row.value)?;
        let layer = record.layer();
        let part = record.into_part(number)?;
        if let Some(layer) = layer {
            self.layers.refer(layer);
            if header(read, layer).await?.0.length != part.length {
                return Err(Error::corrupt("its layer's length is not the part's"));
            }
        } else if part.length > 0 {
            return Err(Error::corrupt("a part without bytes"));
        }
        let algorithms: Vec<_> = part.digests.iter().map(|d| d.algorithm).collect();
        let mut hasher = Hasher::new(&algorithms);
        if let Some(layer) = layer {
            let engine = self.store.engine.clone();
            let mut reader = LayerReader::new(engine, layer, 0..part.length, None);
            while let Some(chunk) = reader.next_in(read).await? {
                hasher.update(&chunk);
            }
        }
        if hasher.finish() != part.digests {
            return Err(Error::corrupt("a part does not have its digests"));
        }
        self.belongs(upload)
    }

    pub(super) fn part_changes(&mut self, key: &Bytes, row: &Row) -> Result<()> {
        let (id, rest) = row_key::split_id(key).ok_or_else(malformed)?;
        if !rest.is_empty() || row.value.len() != 8 {
            return Err(Error::corrupt(format!("a malformed counter {}", hex(key))));
        }
        self.belongs(UploadId(id))
    }
}

pub(super) fn completed(key: &Bytes, row: &Row) -> Result<()> {
    row_key::split_id(key)
        .filter(|(_, rest)| rest.is_empty())
        .ok_or_else(malformed)?;
    CompletedRecord::from_value(&row.value)?.check()
}

fn malformed() -> Error {
    Error::corrupt("a malformed key")
}
