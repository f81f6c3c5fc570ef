//! The rows of a bucket's current objects as the bucket shows them: those of table `30`; of a
//! snapshot, those that were there when it was made; of a clone, those of the snapshot that it is of,
//! too, where it has none of its own.
//!
//! Of each key a snapshot shows the oldest row that was kept for it or for a later one, if that was
//! written before the snapshot; where none is kept, the current row on the same condition. A clone
//! inherits a key until it is cut off ([`super::own`]). Rows of a scan come under row keys of the bucket
//! that is shown, so that a listing goes on by what it was given.

use crate::nouns::{Bucket, Live, Parent};
use crate::record::{KeptRecord, ObjectRecord, Record};
use crate::row_key;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Bound;
use trestle_core::{BucketId, Error, Key, Result};
use trestle_engine::{MetaRead, Row, Scan, ScanItem};

/// Most rows that one scan takes.
const SCAN_ROWS: usize = 256;
/// Rows that the first scan takes at a place, of which most may not be wanted.
const FIRST_SCAN_ROWS: usize = 16;

/// Whose rows are shown, as of when, and whose else.
#[derive(Clone, Copy)]
struct Source<'a> {
    base: BucketId,
    /// As they are now when there is none.
    live: Option<&'a Live>,
    /// How the keys that are shown start.
    prefix: &'a str,
    parent: Option<&'a Parent>,
}

impl<'a> Source<'a> {
    fn of(bucket: &'a Bucket) -> Self {
        Source {
            base: bucket.at.as_ref().map_or(bucket.id, |at| at.base),
            live: bucket.at.as_ref().map(|at| &*at.live),
            prefix: bucket.at.as_ref().map_or("", |at| &at.live.prefix),
            parent: bucket.parent.as_deref(),
        }
    }

    fn inherited(parent: &'a Parent) -> Self {
        Source {
            base: parent.base,
            live: Some(&parent.live),
            prefix: &parent.prefix,
            parent: parent.parent.as_deref(),
        }
    }

    fn covers(&self, key: &Key) -> bool {
        key.as_str().starts_with(self.prefix)
    }

    /// A row of the table of current objects, if it is shown.
    fn current(&self, row: Row) -> Option<Row> {
        let shown = self.live.is_none_or(|live| row.revision <= live.sequence);
        shown.then_some(row)
    }

    /// A row that was kept for the snapshot or a later one, if it is shown.
    fn kept(&self, row: Row) -> Result<Option<Row>> {
        let kept = KeptRecord::from_value(&row.value)?;
        let shown = self.live.is_some_and(|live| kept.since <= live.sequence.0);
        let value = kept.object.into();
        Ok(shown.then_some(Row { value, ..row }))
    }

    /// The row of its own that it shows under a key.
    async fn own(&self, read: &dyn MetaRead, key: &Key) -> Result<Option<(Bytes, Row)>> {
        if let Some(live) = self.live {
            let mut scan = Scan::prefix(row_key::kept_of(self.base, key), 1);
            scan.from = Bound::Included(row_key::kept(self.base, key, live.ordinal));
            if let Some(ScanItem::Row(row_key, row)) = read.scan(&scan).await?.into_iter().next() {
                return Ok(self.kept(row)?.map(|row| (row_key, row)));
            }
        }
        let row_key = row_key::object(self.base, key);
        let row = read.get(&row_key).await?;
        let shown = row.and_then(|row| self.current(row));
        Ok(shown.map(|row| (row_key, row)))
    }

    /// The parent, unless the key is cut off from it.
    async fn parent_of(&self, read: &dyn MetaRead, key: &Key) -> Result<Option<&'a Parent>> {
        let Some(parent) = self.parent else {
            return Ok(None);
        };
        let cut = read.get(&row_key::cut(self.base, key)).await?;
        let cut = cut.is_some_and(|cut| self.current(cut).is_some());
        Ok((!cut).then_some(parent))
    }

    /// What it shows under a key.
    fn get<'b>(
        &'b self,
        read: &'b dyn MetaRead,
        key: &'b Key,
    ) -> BoxFuture<'b, Result<Option<(Bytes, Row)>>> {
        async move {
            if !self.covers(key) {
                return Ok(None);
            }
            if let Some(own) = self.own(read, key).await? {
                return Ok(Some(own));
            }
            let Some(parent) = self.parent_of(read, key).await? else {
                return Ok(None);
            };
            let found = Source::inherited(parent).get(read, key).await?;
            let Some((row_key, row)) = found else {
                return Ok(None);
            };
            Ok(inherited(self.base, parent, row)?.map(|row| (row_key, row)))
        }
        .boxed()
    }
}

/// A row of the snapshot that a clone is of, as the clone shows it.
fn inherited(clone: BucketId, parent: &Parent, row: Row) -> Result<Option<Row>> {
    let record = ObjectRecord::from_value(&row.value)?;
    let record = record.inherited_by(clone, parent.live.created);
    let value = record.map(|record| record.to_value()).transpose()?;
    Ok(value.map(|value| Row { value, ..row }))
}

/// A row as a bucket shows it: in a snapshot nothing changes any more.
fn finished(bucket: &Bucket, row: Row) -> Result<Option<Row>> {
    let Some(at) = &bucket.at else {
        return Ok(Some(row));
    };
    let record = ObjectRecord::from_value(&row.value)?.shown_at(at.live.created);
    let value = record.map(|record| record.to_value()).transpose()?;
    Ok(value.map(|value| Row { value, ..row }))
}

/// The row of a key's current object, and its own row key.
pub(crate) async fn current(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
) -> Result<Option<(Bytes, Row)>> {
    let source = Source::of(bucket);
    if source.live.is_none() && source.parent.is_none() {
        return source.own(read, key).await;
    }
    let Some((row_key, row)) = source.get(read, key).await? else {
        return Ok(None);
    };
    Ok(finished(bucket, row)?.map(|row| (row_key, row)))
}

/// What a clone inherits under a key, or would if the key were not cut off.
pub(crate) async fn inheritable(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
) -> Result<Option<Row>> {
    let Some(parent) = bucket.parent.as_deref() else {
        return Ok(None);
    };
    match Source::inherited(parent).get(read, key).await? {
        Some((_, row)) => inherited(bucket.id, parent, row),
        None => Ok(None),
    }
}

/// What a scan of the rows of current objects shows.
pub(crate) async fn scan(
    read: &dyn MetaRead,
    bucket: &Bucket,
    scan: &Scan,
) -> Result<Vec<ScanItem>> {
    let source = Source::of(bucket);
    if source.live.is_none() && source.parent.is_none() {
        return read.scan(scan).await;
    }
    let mut walk = Walk::new(source, &bounds(bucket.id, scan), scan);
    let mut items = Vec::new();
    while items.len() < scan.limit {
        let Some((key, row)) = walk.next(read).await? else {
            break;
        };
        let Some(row) = finished(bucket, row)? else {
            continue;
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

/// Objects and bytes that a snapshot shows.
pub(crate) async fn count(read: &dyn MetaRead, bucket: &Bucket) -> Result<(u64, u64)> {
    let mut counted = (0, 0);
    let mut walk = Walk::all(Source::of(bucket));
    while let Some((key, row)) = walk.next(read).await? {
        if let Some(row) = finished(bucket, row)? {
            add(&mut counted, key, &row)?;
        }
    }
    Ok(counted)
}

/// Objects and bytes that a clone has from its parent, before any key is cut off.
pub(crate) async fn count_inherited(
    read: &dyn MetaRead,
    clone: BucketId,
    parent: &Parent,
) -> Result<(u64, u64)> {
    let mut counted = (0, 0);
    let mut walk = Walk::all(Source::inherited(parent));
    while let Some((key, row)) = walk.next(read).await? {
        if let Some(row) = inherited(clone, parent, row)? {
            add(&mut counted, key, &row)?;
        }
    }
    Ok(counted)
}

fn add((objects, bytes): &mut (u64, u64), key: Key, row: &Row) -> Result<()> {
    let object = ObjectRecord::from_value(&row.value)?.into_object(key)?;
    *objects += 1;
    *bytes = bytes.saturating_add(object.stored_length());
    Ok(())
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

/// A key, and a row of an object.
type Shown = (Key, Row);

/// Which of two comes first; none when there is neither.
fn order(reverse: bool, one: Option<&Key>, other: Option<&Key>) -> Option<Ordering> {
    Some(match (one, other) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(one), Some(other)) if reverse => other.cmp(one),
        (Some(one), Some(other)) => one.cmp(other),
    })
}

/// The rows that a source shows, in the order of a scan.
struct Walk<'a> {
    source: Source<'a>,
    reverse: bool,
    currents: Rows,
    /// None when nothing is kept that is shown.
    kept: Option<Rows>,
    /// The next key of which rows are kept, and the one of them that counts.
    next_kept: Option<(Key, Option<Row>)>,
    next_own: Option<Shown>,
    parent: Option<Box<Walk<'a>>>,
    next_inherited: Option<Shown>,
}

impl<'a> Walk<'a> {
    /// Over everything.
    fn all(source: Source<'a>) -> Self {
        let keys = Keys {
            low: Bound::Unbounded,
            high: Bound::Unbounded,
        };
        let rows = row_key::objects(source.base, "");
        Walk::new(source, &keys, &Scan::prefix(rows, SCAN_ROWS))
    }

    fn new(source: Source<'a>, keys: &Keys, scan: &Scan) -> Self {
        let keys = match source.prefix {
            "" => keys.clone(),
            prefix => keys.within(prefix.as_bytes()),
        };
        let limit = match scan.collapse {
            Some(_) => FIRST_SCAN_ROWS,
            None => scan.limit.clamp(FIRST_SCAN_ROWS, SCAN_ROWS),
        };
        let rows = |(from, until)| Rows {
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
        let base = source.base;
        let parent = source.parent.map(Source::inherited);
        Walk {
            source,
            reverse: scan.reverse,
            currents: rows((keys.current_low(base), keys.current_high(base))),
            kept: source
                .live
                .map(|_| rows((keys.kept_low(base), keys.kept_high(base)))),
            next_kept: None,
            next_own: None,
            parent: parent.map(|parent| Box::new(Walk::new(parent, &keys, scan))),
            next_inherited: None,
        }
    }

    /// Goes past all keys that start with `prefix`.
    fn skip(&mut self, prefix: &[u8]) {
        (self.next_kept, self.next_own, self.next_inherited) = (None, None, None);
        let base = self.source.base;
        let end = row_key::end_of(prefix).map(|end| end.to_vec());
        let keys = Keys {
            low: Bound::Included(end.unwrap_or_else(|| vec![0xff])),
            high: Bound::Excluded(prefix.to_vec()),
        };
        let keys = keys.within(self.source.prefix.as_bytes());
        let (current, kept) = match self.reverse {
            true => (keys.current_high(base), keys.kept_high(base)),
            false => (keys.current_low(base), keys.kept_low(base)),
        };
        self.currents.seek(current);
        if let Some(rows) = &mut self.kept {
            rows.seek(kept);
        }
        if let Some(parent) = &mut self.parent {
            parent.skip(prefix);
        }
    }

    /// The next row, own or inherited.
    fn next<'b>(&'b mut self, read: &'b dyn MetaRead) -> BoxFuture<'b, Result<Option<Shown>>> {
        async move {
            if self.parent.is_none() {
                return self.own(read).await;
            }
            if self.next_own.is_none() {
                self.next_own = self.own(read).await?;
            }
            if self.next_inherited.is_none() {
                self.next_inherited = self.inherited(read).await?;
            }
            let own = self.next_own.as_ref().map(|(key, _)| key);
            let inherited = self.next_inherited.as_ref().map(|(key, _)| key);
            Ok(match order(self.reverse, own, inherited) {
                None => None,
                Some(Ordering::Greater) => self.next_inherited.take(),
                Some(Ordering::Less) => self.next_own.take(),
                Some(Ordering::Equal) => {
                    self.next_inherited = None;
                    self.next_own.take()
                }
            })
        }
        .boxed()
    }

    /// The next row of the parent whose key is not cut off.
    async fn inherited(&mut self, read: &dyn MetaRead) -> Result<Option<Shown>> {
        let Some(walk) = &mut self.parent else {
            return Ok(None);
        };
        while let Some((key, row)) = walk.next(read).await? {
            if let Some(parent) = self.source.parent_of(read, &key).await?
                && Source::inherited(parent).covers(&key)
                && let Some(row) = inherited(self.source.base, parent, row)?
            {
                return Ok(Some((key, row)));
            }
        }
        Ok(None)
    }

    /// The next row of its own.
    async fn own(&mut self, read: &dyn MetaRead) -> Result<Option<Shown>> {
        loop {
            self.gather(read).await?;
            let current = match self.currents.front(read).await? {
                Some((row_key, _)) => Some(row_key::split_object(row_key).ok_or_else(malformed)?.1),
                None => None,
            };
            let kept = self.next_kept.as_ref().map(|(key, _)| key);
            let Some(order) = order(self.reverse, current.as_ref(), kept) else {
                return Ok(None);
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
                (Some((key, Some(kept))), _, _) => (key, self.source.kept(kept)?),
                (_, Some(key), Some(row)) => (key, self.source.current(row)),
                _ => continue,
            };
            if let (key, Some(row)) = shown {
                return Ok(Some((key, row)));
            }
        }
    }

    /// Looks through the rows that are kept of the next key.
    async fn gather(&mut self, read: &dyn MetaRead) -> Result<()> {
        let (Some(rows), Some(live)) = (&mut self.kept, self.source.live) else {
            return Ok(());
        };
        if self.next_kept.is_some() {
            return Ok(());
        }
        let mut gathered: Option<(Key, Option<(u64, Row)>)> = None;
        while let Some((row_key, _)) = rows.front(read).await? {
            let (_, key, ordinal) = row_key::split_kept(row_key).ok_or_else(malformed)?;
            if gathered.as_ref().is_some_and(|(of, _)| *of != key) {
                break;
            }
            let row = rows.page.pop_front().map(|(_, row)| row);
            let (_, chosen) = gathered.get_or_insert((key, None));
            let older = chosen.as_ref().is_none_or(|(former, _)| ordinal < *former);
            if ordinal >= live.ordinal && older {
                *chosen = row.map(|row| (ordinal, row));
            }
        }
        self.next_kept = gathered.map(|(key, chosen)| (key, chosen.map(|(_, row)| row)));
        Ok(())
    }
}

/// Between which keys a scan walks.
#[derive(Clone)]
struct Keys {
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
}

fn bounds(shown: BucketId, scan: &Scan) -> Keys {
    let start = row_key::objects(shown, "");
    let key = |bound: &Bound<Bytes>| {
        let of = |row: &Bytes| row.strip_prefix(&start[..]).map(<[u8]>::to_vec);
        match bound {
            Bound::Included(row) => of(row).map(Bound::Included),
            Bound::Excluded(row) => of(row).map(Bound::Excluded),
            Bound::Unbounded => None,
        }
    };
    Keys {
        low: key(&scan.from).unwrap_or(Bound::Unbounded),
        high: key(&scan.until).unwrap_or(Bound::Unbounded),
    }
}

impl Keys {
    /// Of these, those that start with `prefix`.
    fn within(&self, prefix: &[u8]) -> Self {
        let mut keys = self.clone();
        let reaches = |low: &Vec<u8>| low.as_slice() >= prefix;
        if !matches!(&keys.low, Bound::Included(low) | Bound::Excluded(low) if reaches(low)) {
            keys.low = Bound::Included(prefix.to_vec());
        }
        if let Some(end) = row_key::end_of(prefix)
            && !matches!(&keys.high, Bound::Included(to) | Bound::Excluded(to) if to[..] < end[..])
        {
            keys.high = Bound::Excluded(end.to_vec());
        }
        keys
    }

    fn current_low(&self, base: BucketId) -> Bound<Bytes> {
        match &self.low {
            Bound::Included(key) => Bound::Included(current_row(base, key)),
            Bound::Excluded(key) => Bound::Excluded(current_row(base, key)),
            Bound::Unbounded => Bound::Included(current_row(base, &[])),
        }
    }

    fn current_high(&self, base: BucketId) -> Bound<Bytes> {
        match &self.high {
            Bound::Included(key) => Bound::Included(current_row(base, key)),
            Bound::Excluded(key) => Bound::Excluded(current_row(base, key)),
            Bound::Unbounded => row_key::end(&current_row(base, &[])),
        }
    }

    fn kept_low(&self, base: BucketId) -> Bound<Bytes> {
        Bound::Included(match &self.low {
            Bound::Included(key) => row_key::kept_from(base, key),
            Bound::Excluded(key) => row_key::kept_after(base, key),
            Bound::Unbounded => row_key::kept_from(base, &[]),
        })
    }

    fn kept_high(&self, base: BucketId) -> Bound<Bytes> {
        match &self.high {
            Bound::Included(key) => Bound::Excluded(row_key::kept_after(base, key)),
            Bound::Excluded(key) => Bound::Excluded(row_key::kept_from(base, key)),
            Bound::Unbounded => row_key::end(&row_key::kept_from(base, &[])),
        }
    }
}

fn current_row(base: BucketId, key: &[u8]) -> Bytes {
    [&row_key::objects(base, "")[..], key].concat().into()
}

fn malformed() -> Error {
    Error::corrupt("a row of an object with a malformed key")
}
