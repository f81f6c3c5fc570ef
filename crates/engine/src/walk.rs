//! The one rule of scanning, for every engine: order, limit, and folding of common prefixes by
//! seeking past each.

use crate::meta::{Row, SCAN_ROWS_MAX, Scan, ScanItem, prefix_end};
use bytes::Bytes;
use std::ops::Bound;
use trestle_core::{Error, Result};

/// A position in an ordered set of rows, moving in one direction.
pub trait Cursor {
    /// Goes to the start (the end, when `reverse`) of a range of keys. The range is not inverted.
    fn seek(&mut self, from: Bound<&[u8]>, until: Bound<&[u8]>, reverse: bool) -> Result<()>;
    /// The next row in the direction of the last seek.
    fn next(&mut self) -> Result<Option<(Bytes, Row)>>;
}

fn as_ref(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Whether no key can lie in the range.
fn is_empty(from: Bound<&[u8]>, until: Bound<&[u8]>) -> bool {
    match (from, until) {
        (Bound::Included(from), Bound::Included(until)) => from > until,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(until) | Bound::Excluded(until),
        ) => from >= until,
        _ => false,
    }
}

/// Performs a scan with an engine's cursor.
///
/// # Errors
/// `InvalidInput` when the limit is out of bounds or the delimiter empty; what the cursor reports.
pub fn walk(cursor: &mut dyn Cursor, scan: &Scan) -> Result<Vec<ScanItem>> {
    if scan.limit == 0 || scan.limit > SCAN_ROWS_MAX {
        return Err(Error::invalid(format!(
            "a scan takes 1 to {SCAN_ROWS_MAX} rows"
        )));
    }
    if scan
        .collapse
        .as_ref()
        .is_some_and(|collapse| collapse.delimiter.is_empty())
    {
        return Err(Error::invalid("a delimiter must not be empty"));
    }
    let (mut from, mut until) = (scan.from.clone(), scan.until.clone());
    let mut items = Vec::new();
    if is_empty(as_ref(&from), as_ref(&until)) {
        return Ok(items);
    }
    cursor.seek(as_ref(&from), as_ref(&until), scan.reverse)?;
    while items.len() < scan.limit {
        let Some((key, row)) = cursor.next()? else {
            break;
        };
        let Some(prefix) = common_prefix(scan, &key) else {
            items.push(ScanItem::Row(key, row));
            continue;
        };
        if scan.reverse {
            until = Bound::Excluded(prefix.clone());
        } else {
            match prefix_end(&prefix) {
                Some(end) => from = Bound::Included(end),
                None => {
                    items.push(ScanItem::Prefix(prefix));
                    break;
                }
            }
        }
        items.push(ScanItem::Prefix(prefix));
        if is_empty(as_ref(&from), as_ref(&until)) {
            break;
        }
        cursor.seek(as_ref(&from), as_ref(&until), scan.reverse)?;
    }
    Ok(items)
}

/// The prefix that `key` folds into.
fn common_prefix(scan: &Scan, key: &Bytes) -> Option<Bytes> {
    let collapse = scan.collapse.as_ref()?;
    let tail = key.get(collapse.skip..)?;
    let length = collapse.delimiter.len();
    let at = tail
        .windows(length)
        .position(|window| window == collapse.delimiter)?;
    Some(key.slice(..collapse.skip + at + length))
}
