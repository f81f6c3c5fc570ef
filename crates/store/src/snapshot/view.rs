//! The rows of a bucket's current objects as the bucket shows them: those of table `30`, or, of a
//! snapshot, those that were there when it was made.
//!
//! Of each key a snapshot shows the oldest row that was kept for it or for a later one, if that was
//! written before the snapshot; where none is kept, the current row on the same condition. Rows come
//! under row keys of the bucket that is shown, so that a listing goes on by what it was given.

use crate::nouns::{At, Bucket};
use crate::record::{KeptRecord, ObjectRecord, Record};
use crate::row_key;
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Bound;
use trestle_core::{BucketId, Error, Key, Result};
use trestle_engine::{MetaRead, Row, Scan, ScanItem};

/// Most rows that one scan takes.
const SCAN_ROWS: usize = 256;
/// Rows that the first scan takes at a place, of which most may not be wanted.
const FIRST_SCAN_ROWS: usize = 16;

/// The row of a key's current object, and its own row key.
pub(crate) async fn current(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
) -> Result<Option<(Bytes, Row)>> {
    let Some(at) = &bucket.at else {
        let row_key = row_key::object(bucket.id, key);
        let row = read.get(&row_key).await?;
        return Ok(row.map(|row| (row_key, row)));
    };
    if !at.live.covers(key.as_str()) {
        return Ok(None);
    }
    let mut scan = Scan::prefix(row_key::kept_of(at.base, key), 1);
    scan.from = Bound::Included(row_key::kept(at.base, key, at.live.ordinal));
    if let Some(ScanItem::Row(row_key, row)) = read.scan(&scan).await?.into_iter().next() {
        let shown = of_kept(at, row)?;
        return Ok(shown.map(|row| (row_key, row)));
    }
    let row_key = row_key::object(at.base, key);
    let row = read.get(&row_key).await?;
    let shown = row.map(|row| of_current(at, row)).transpose()?.flatten();
    Ok(shown.map(|row| (row_key, row)))
}

/// What a scan of the rows of current objects shows.
pub(crate) async fn scan(
    read: &dyn MetaRead,
    bucket: &Bucket,
    scan: &Scan,
) -> Result<Vec<ScanItem>> {
    let Some(at) = &bucket.at else {
        return read.scan(scan).await;
    };
    let mut walk = Walk::new(at, bucket.id, scan);
    let mut items = Vec::new();
    while items.len() < scan.limit {
        let Some((key, row)) = walk.next(read).await? else {
            break;
        };
        let row_key = row_key::object(bucket.id, &key);
        let folded = scan.collapse.as_ref().and_then(|collapse| {
            let rest = row_key.get(collapse.skip..)?;
            let delimiter = &collapse.delimiter;
            let found = rest.windows(delimiter.len()).position(|w| w == delimiter)?;
            Some(row_key.slice(..collapse.skip + found + delimiter.len()))
        });
        match folded {
            Some(prefix) => {
                walk.skip(prefix.get(row_key::OBJECT_SKIP..).unwrap_or_default());
                items.push(ScanItem::Prefix(prefix));
            }
            None => items.push(ScanItem::Row(row_key, row)),
        }
    }
    Ok(items)
}

/// A current row, if the snapshot shows it.
fn of_current(at: &At, row: Row) -> Result<Option<Row>> {
    match row.revision <= at.live.sequence {
        true => shown(at, row),
        false => Ok(None),
    }
}

/// A row that was kept for the snapshot or a later one, if the snapshot shows it.
fn of_kept(at: &At, row: Row) -> Result<Option<Row>> {
    let kept = KeptRecord::from_value(&row.value)?;
    if kept.since > at.live.sequence.0 {
        return Ok(None);
    }
    let value = kept.object.into();
    shown(at, Row { value, ..row })
}

fn shown(at: &At, row: Row) -> Result<Option<Row>> {
    let record = ObjectRecord::from_value(&row.value)?.shown_at(at.live.created);
    let value = record.map(|record| record.to_value()).transpose()?;
    Ok(value.map(|value| Row { value, ..row }))
}

/// Rows of one table, in the order of a scan.
struct Rows {
    scan: Scan,
    page: VecDeque<(Bytes, Row)>,
    done: bool,
}

impl Rows {
    async fn front(&mut self, read: &dyn MetaRead) -> Result<Option<&(Bytes, Row)>> {
        if self.page.is_empty() && !self.done {
            let page = read.scan(&self.scan).await?;
            // Any number of rows may be passed by before one is shown: others get their turn.
            tokio::task::yield_now().await;
            self.done = page.len() < self.scan.limit;
            self.scan.limit = SCAN_ROWS.min(self.scan.limit.saturating_mul(4));
            for item in page {
                if let ScanItem::Row(key, row) = item {
                    match self.scan.reverse {
                        false => self.scan.from = Bound::Excluded(key.clone()),
                        true => self.scan.until = Bound::Excluded(key.clone()),
                    }
                    self.page.push_back((key, row));
                }
            }
        }
        Ok(self.page.front())
    }

    fn seek(&mut self, bound: Bound<Bytes>) {
        match self.scan.reverse {
            false => self.scan.from = bound,
            true => self.scan.until = bound,
        }
        self.page.clear();
        self.scan.limit = FIRST_SCAN_ROWS;
        self.done = false;
    }
}

/// The rows that a snapshot shows, in the order of a scan.
struct Walk<'a> {
    at: &'a At,
    reverse: bool,
    currents: Rows,
    kept: Rows,
    /// The next key of which rows are kept, and the one of them that counts.
    next_kept: Option<(Key, Option<Row>)>,
}

impl<'a> Walk<'a> {
    fn new(at: &'a At, shown: BucketId, scan: &Scan) -> Self {
        let (low, high) = bounds(at, shown, scan);
        let limit = match scan.collapse {
            Some(_) => FIRST_SCAN_ROWS,
            None => scan.limit.clamp(FIRST_SCAN_ROWS, SCAN_ROWS),
        };
        let rows = |from, until| Rows {
            scan: Scan {
                from,
                until,
                reverse: scan.reverse,
                limit,
                collapse: None,
            },
            page: VecDeque::new(),
            done: false,
        };
        Walk {
            at,
            reverse: scan.reverse,
            currents: rows(current_low(at, &low), current_high(at, &high)),
            kept: rows(kept_low(at, &low), kept_high(at, &high)),
            next_kept: None,
        }
    }

    /// Goes past all keys that start with `prefix`.
    fn skip(&mut self, prefix: &[u8]) {
        self.next_kept = None;
        if self.reverse {
            let high = Bound::Excluded(prefix.to_vec());
            self.currents.seek(current_high(self.at, &high));
            self.kept.seek(kept_high(self.at, &high));
            return;
        }
        let end = row_key::end_of(prefix).map(|end| end.to_vec());
        let low = Bound::Included(end.unwrap_or_else(|| vec![0xff]));
        self.currents.seek(current_low(self.at, &low));
        self.kept.seek(kept_low(self.at, &low));
    }

    async fn next(&mut self, read: &dyn MetaRead) -> Result<Option<(Key, Row)>> {
        loop {
            self.gather(read).await?;
            let current = match self.currents.front(read).await? {
                Some((row_key, _)) => Some(row_key::split_object(row_key).ok_or_else(malformed)?.1),
                None => None,
            };
            let order = match (&current, &self.next_kept) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(current), Some((kept, _))) if self.reverse => kept.cmp(current),
                (Some(current), Some((kept, _))) => current.cmp(kept),
            };
            let row = match order {
                Ordering::Greater => None,
                _ => self.currents.page.pop_front().map(|(_, row)| row),
            };
            let kept = match order {
                Ordering::Less => None,
                _ => self.next_kept.take(),
            };
            let shown = match (kept, current, row) {
                (Some((key, Some(kept))), _, _) => (key, of_kept(self.at, kept)?),
                (_, Some(key), Some(row)) => (key, of_current(self.at, row)?),
                _ => continue,
            };
            if let (key, Some(row)) = shown {
                return Ok(Some((key, row)));
            }
        }
    }

    /// Looks through the rows that are kept of the next key.
    async fn gather(&mut self, read: &dyn MetaRead) -> Result<()> {
        if self.next_kept.is_some() {
            return Ok(());
        }
        let mut gathered: Option<(Key, Option<(u64, Row)>)> = None;
        while let Some((row_key, _)) = self.kept.front(read).await? {
            let (_, key, ordinal) = row_key::split_kept(row_key).ok_or_else(malformed)?;
            if gathered.as_ref().is_some_and(|(of, _)| *of != key) {
                break;
            }
            let row = self.kept.page.pop_front().map(|(_, row)| row);
            let (_, chosen) = gathered.get_or_insert((key, None));
            let older = chosen.as_ref().is_none_or(|(former, _)| ordinal < *former);
            if ordinal >= self.at.live.ordinal && older {
                *chosen = row.map(|row| (ordinal, row));
            }
        }
        self.next_kept = gathered.map(|(key, chosen)| (key, chosen.map(|(_, row)| row)));
        Ok(())
    }
}

/// Between which keys a scan walks, no further than the snapshot reaches.
fn bounds(at: &At, shown: BucketId, scan: &Scan) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = row_key::objects(shown, "");
    let key = |bound: &Bound<Bytes>| match bound {
        Bound::Included(row) => row
            .strip_prefix(&start[..])
            .map(|k| Bound::Included(k.to_vec())),
        Bound::Excluded(row) => row
            .strip_prefix(&start[..])
            .map(|k| Bound::Excluded(k.to_vec())),
        Bound::Unbounded => None,
    };
    let prefix = at.live.prefix.as_bytes();
    let mut low = key(&scan.from).unwrap_or(Bound::Unbounded);
    if !matches!(&low, Bound::Included(from) | Bound::Excluded(from) if from.as_slice() >= prefix) {
        low = Bound::Included(prefix.to_vec());
    }
    let mut high = key(&scan.until).unwrap_or(Bound::Unbounded);
    if let Some(end) = row_key::end_of(prefix)
        && !matches!(&high, Bound::Included(to) | Bound::Excluded(to) if to[..] < end[..])
    {
        high = Bound::Excluded(end.to_vec());
    }
    (low, high)
}

fn current_row(at: &At, key: &[u8]) -> Bytes {
    [&row_key::objects(at.base, "")[..], key].concat().into()
}

fn current_low(at: &At, low: &Bound<Vec<u8>>) -> Bound<Bytes> {
    match low {
        Bound::Included(key) => Bound::Included(current_row(at, key)),
        Bound::Excluded(key) => Bound::Excluded(current_row(at, key)),
        Bound::Unbounded => Bound::Included(current_row(at, &[])),
    }
}

fn current_high(at: &At, high: &Bound<Vec<u8>>) -> Bound<Bytes> {
    match high {
        Bound::Included(key) => Bound::Included(current_row(at, key)),
        Bound::Excluded(key) => Bound::Excluded(current_row(at, key)),
        Bound::Unbounded => row_key::end(&current_row(at, &[])),
    }
}

fn kept_low(at: &At, low: &Bound<Vec<u8>>) -> Bound<Bytes> {
    Bound::Included(match low {
        Bound::Included(key) => row_key::kept_from(at.base, key),
        Bound::Excluded(key) => row_key::kept_after(at.base, key),
        Bound::Unbounded => row_key::kept_from(at.base, &[]),
    })
}

fn kept_high(at: &At, high: &Bound<Vec<u8>>) -> Bound<Bytes> {
    match high {
        Bound::Included(key) => Bound::Excluded(row_key::kept_after(at.base, key)),
        Bound::Excluded(key) => Bound::Excluded(row_key::kept_from(at.base, key)),
        Bound::Unbounded => row_key::end(&row_key::kept_from(at.base, &[])),
    }
}

fn malformed() -> Error {
    Error::corrupt("a row of an object with a malformed key")
}
