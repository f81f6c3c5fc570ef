//! The check of history: its order, and its indexes in both directions.

use super::{Check, because};
use crate::nouns::Object;
use crate::placement::Tally;
use crate::record::{ObjectRecord, Record};
use crate::row_key;
use bytes::Bytes;
use trestle_core::{BucketId, Error, Key, Result};
use trestle_engine::{MetaRead, Row, Scan, ScanItem};

impl Check<'_> {
    /// A version of history or a delete marker.
    pub(super) async fn version(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) {
        let place = self.place(key);
        let (bucket, object) = match decode_version(key, row) {
            Ok(decoded) => decoded,
            Err(error) => return self.found(place, because("the version", &error)),
        };
        self.summary.versions += 1;
        self.recount(bucket, &place, Tally::version(&object));
        for wrong in [
            order(read, bucket, &object).await,
            indexes(read, key, bucket, &object).await,
        ] {
            if let Err(error) = wrong {
                self.found(place.clone(), because("the version", &error));
            }
        }
        if !object.is_marker() {
            self.contents(read, place, (&object, row)).await;
        } else if row.body.is_some() || object.digests.iter().next().is_some() {
            self.found(place, "a delete marker with bytes");
        }
    }

    pub(super) async fn version_id(
        &mut self,
        read: &dyn MetaRead,
        key: &Bytes,
        row: &Row,
    ) -> Result<()> {
        let (_, object) = indexed(read, row).await?;
        if row_key::version_id(object.version) != *key {
            return Err(Error::corrupt("a version id leads to another version"));
        }
        Ok(())
    }

    pub(super) async fn null_version(
        &mut self,
        read: &dyn MetaRead,
        key: &Bytes,
        row: &Row,
    ) -> Result<()> {
        let (bucket, object) = indexed(read, row).await?;
        if !object.null_version || row_key::null_version(bucket, &object.key) != *key {
            return Err(Error::corrupt(
                "an index of null versions leads to another version",
            ));
        }
        Ok(())
    }
}

/// A version of history is older than the current object, unless that says otherwise. A key without
/// a current object may have any history.
async fn order(read: &dyn MetaRead, bucket: BucketId, object: &Object) -> Result<()> {
    if object.outranked.is_some() {
        return Err(Error::corrupt(
            "it says that a newer version is not current",
        ));
    }
    let current = read.get(&row_key::object(bucket, &object.key)).await?;
    let Some(current) = current else {
        return Ok(());
    };
    // One that cannot be decoded was a finding when its own row was seen.
    let current =
        ObjectRecord::from_value(&current.value).and_then(|c| c.into_object(object.key.clone()));
    match current {
        Ok(current) if current.ordinal == object.ordinal => {
            Err(Error::corrupt("it has the place of the current object"))
        }
        Ok(current) if current.outranked.unwrap_or(current.ordinal) < object.ordinal => {
            Err(Error::corrupt("it is newer than the current object"))
        }
        Ok(current) if current.null_version && object.null_version => {
            Err(Error::corrupt("the key has two null versions"))
        }
        _ => Ok(()),
    }
}

/// The rows that must lead to a version of history.
async fn indexes(
    read: &dyn MetaRead,
    key: &Bytes,
    bucket: BucketId,
    object: &Object,
) -> Result<()> {
    let place = row_key::place(key);
    let object_row = row_key::object(bucket, &object.key);
    let mut expected = vec![
        (row_key::version_id(object.version), place.clone()),
        (row_key::object_id(object.id), row_key::place(&object_row)),
    ];
    if object.null_version {
        expected.push((row_key::null_version(bucket, &object.key), place));
    }
    for (index, place) in expected {
        let found = read.get(&index).await?;
        if found.is_none_or(|found| found.value != place) {
            return Err(Error::corrupt("an index does not lead to it"));
        }
    }
    Ok(())
}

async fn indexed(read: &dyn MetaRead, row: &Row) -> Result<(BucketId, Object)> {
    let place = row_key::history_row(&row.value);
    let found = read.get(&place).await?;
    let found = found.ok_or_else(|| Error::corrupt("an index leads to no version"))?;
    decode_version(&place, &found)
}

fn decode_version(key: &[u8], row: &Row) -> Result<(BucketId, Object)> {
    let (bucket, object_key, ordinal) =
        row_key::split_version(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
    let object = ObjectRecord::from_value(&row.value)?.into_object(object_key)?;
    if object.ordinal != ordinal {
        return Err(Error::corrupt("it is in another's place"));
    }
    Ok((bucket, object))
}

/// Whether there is a row for the end of a current object, if it ends.
pub(super) async fn leads_to_end(read: &dyn MetaRead, key: &[u8], object: &Object) -> Result<bool> {
    let (Some(expires), Some((bucket, _))) = (object.expires, row_key::split_id(key)) else {
        return Ok(true);
    };
    let row = row_key::expiry(expires, BucketId(bucket), &object.key);
    Ok(read.get(&row).await?.is_some())
}

/// A row of an expiry leads to the current object that ends then.
pub(super) async fn expiry(read: &dyn MetaRead, key: &Bytes) -> Result<()> {
    let (bucket, object_key) =
        row_key::split_expiry(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
    let current = read.get(&row_key::object(bucket, &object_key)).await?;
    let dangling = || Error::corrupt("an expiry leads to no object that ends then");
    let current = current.ok_or_else(dangling)?;
    let Ok(object) =
        ObjectRecord::from_value(&current.value).and_then(|record| record.into_object(object_key))
    else {
        // It was a finding when its own row was seen.
        return Ok(());
    };
    let row = object
        .expires
        .map(|expires| row_key::expiry(expires, bucket, &object.key));
    match row.as_ref() == Some(key) {
        true => Ok(()),
        false => Err(dangling()),
    }
}

/// The newest version in the history of a key.
pub(super) async fn newest(
    read: &dyn MetaRead,
    bucket: BucketId,
    key: &Key,
) -> Result<Option<Object>> {
    let scan = Scan::prefix(row_key::history(bucket, key), 1);
    match read.scan(&scan).await?.into_iter().next() {
        Some(ScanItem::Row(key, row)) => decode_version(&key, &row).map(|(_, object)| Some(object)),
        _ => Ok(None),
    }
}
