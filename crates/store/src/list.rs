//! The one listing: keys and common prefixes of a bucket, in either direction, by seeking.

use crate::bucket::{LIST_SCAN_ROWS, check_limit};
use crate::nouns::{ListObjects, Listing, ListingItem};
use crate::record::{ObjectRecord, Record};
use crate::row_key;
use crate::snapshot::view;
use crate::store::{self, Store};
use bytes::Bytes;
use std::ops::Bound;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, Error, Result};
use trestle_engine::{Collapse, Scan, ScanItem};

/// Record bytes after which a page ends early, so that rich metadata cannot fill the memory.
pub(crate) const PAGE_BYTES_MAX: usize = 16 << 20;

impl Store {
    /// A page of a bucket's keys.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `InvalidInput` for a limit above 10,000 or an empty delimiter;
    /// `Forbidden`.
    pub async fn list(&self, grant: &Grant, list: &ListObjects) -> Result<Listing> {
        store::require(
            grant,
            Action::ListObjects,
            &Resource::Bucket(list.bucket.clone()),
        )?;
        check_limit(list.limit)?;
        if list.delimiter.as_ref().is_some_and(String::is_empty) {
            return Err(Error::invalid("a delimiter must not be empty"));
        }
        let read = self.snapshot().await?;
        let found = store::find_shown(&*read, &list.bucket).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let bucket = found.bucket.id;
        let now = self.host.clock.now();
        let mut items = Vec::new();
        if list.limit == 0 {
            return Ok(Listing { items, next: None });
        }
        let mut scan = scan(bucket, list);
        let mut bytes = 0;
        loop {
            scan.limit = LIST_SCAN_ROWS.min(list.limit + 1 - items.len());
            let page = view::scan(&*read, &found.bucket, &scan).await?;
            let more = page.len() == scan.limit;
            for item in page {
                if items.len() == list.limit || bytes > PAGE_BYTES_MAX {
                    let next = items.last().map(name);
                    return Ok(Listing { items, next });
                }
                go_on_after(&mut scan, &item);
                if let ScanItem::Row(_, row) = &item {
                    bytes += row.value.len();
                }
                let listed = listed(item)?;
                let ended = matches!(&listed, ListingItem::Object(o) if o.has_expired(now));
                if !ended {
                    items.push(listed);
                }
            }
            if !more {
                return Ok(Listing { items, next: None });
            }
        }
    }
}

/// The walk over rows that a listing asks for.
fn scan(bucket: BucketId, list: &ListObjects) -> Scan {
    let prefix = row_key::objects(bucket, &list.prefix);
    let (low, high) = match list.reverse {
        false => (&list.after, &list.until),
        true => (&list.until, &list.after),
    };
    let (mut from, mut until) = row_key::under(&prefix);
    if let Some(low) = low {
        let key = row_key::objects(bucket, low);
        if key >= prefix {
            from = match is_common_prefix(list, low) {
                true => row_key::after(&key),
                false => Bound::Excluded(key),
            };
        }
    }
    if let Some(high) = high {
        let key = row_key::objects(bucket, high);
        if !matches!(&until, Bound::Excluded(end) if *end <= key) {
            until = Bound::Excluded(key);
        }
    }
    let collapse = list.delimiter.as_ref().map(|delimiter| Collapse {
        skip: prefix.len(),
        delimiter: Bytes::copy_from_slice(delimiter.as_bytes()),
    });
    Scan {
        from,
        until,
        reverse: list.reverse,
        limit: 1,
        collapse,
    }
}

/// Whether `name` is what this listing folds keys into: the first delimiter after its prefix is
/// its end.
fn is_common_prefix(list: &ListObjects, name: &str) -> bool {
    let Some((delimiter, rest)) = list.delimiter.as_ref().zip(name.strip_prefix(&list.prefix))
    else {
        return false;
    };
    rest.find(delimiter.as_str())
        .is_some_and(|at| at + delimiter.len() == rest.len())
}

/// Makes the next scan start where this item ends.
fn go_on_after(scan: &mut Scan, item: &ScanItem) {
    match (item, scan.reverse) {
        (ScanItem::Prefix(prefix), false) => scan.from = row_key::after(prefix),
        (item, false) => scan.from = Bound::Excluded(item.key().clone()),
        (item, true) => scan.until = Bound::Excluded(item.key().clone()),
    }
}

fn listed(item: ScanItem) -> Result<ListingItem> {
    let malformed = || Error::corrupt("an object row with a malformed key");
    match item {
        ScanItem::Row(row_key, row) => {
            let (_, key) = row_key::split_object(&row_key).ok_or_else(malformed)?;
            let object = ObjectRecord::from_value(&row.value)?.into_object(key)?;
            Ok(ListingItem::Object(Box::new(object)))
        }
        ScanItem::Prefix(row_key) => {
            let (_, prefix) = row_key::split_id(&row_key).ok_or_else(malformed)?;
            let prefix = String::from_utf8(prefix.to_vec()).map_err(|_| malformed())?;
            Ok(ListingItem::Prefix(prefix))
        }
    }
}

fn name(item: &ListingItem) -> String {
    match item {
        ListingItem::Object(object) => object.key.as_str().to_owned(),
        ListingItem::Prefix(prefix) => prefix.clone(),
    }
}
