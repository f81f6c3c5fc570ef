//! Keeping the rows that snapshots show: the commit that changes a key's row keeps what it was, once
//! for each state that a snapshot shows.
//!
//! A row is kept for the newest snapshot that shows it, and serves older ones too. Nothing is said of
//! keys that were not there: a row that is newer than a snapshot tells that by its revision.

use super::live_rows;
use crate::nouns::{Bucket, Live};
use crate::placement::{Changes, Tally};
use crate::read::attached;
use crate::record::{BucketRecord, KeptRecord, Record};
use crate::row_key::{self, Count};
use crate::store::{FoundBucket, FoundObject, Store};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use trestle_core::{BucketId, Error, Key, Result, Sequence};
use trestle_engine::{Body, Expectation, MetaRead, Scan, Write};

/// Snapshots that are looked at first: mostly the newest shows every key.
const FIRST_ROWS: usize = 8;

/// The snapshots of one bucket, from the newest on, as far as they were looked at.
pub(crate) struct Newest {
    found: Vec<Live>,
    /// For the rest of them; none when these are all.
    rest: Option<Scan>,
}

impl Newest {
    pub(crate) fn of(bucket: BucketId) -> Self {
        let mut scan = Scan::prefix(row_key::of_bucket(row_key::SNAPSHOT, bucket), FIRST_ROWS);
        scan.reverse = true;
        Newest {
            found: Vec::new(),
            rest: Some(scan),
        }
    }

    /// The newest snapshot that shows a row of `key` that was written by `revision`.
    pub(crate) async fn showing(
        &mut self,
        read: &dyn MetaRead,
        key: &Key,
        revision: Sequence,
    ) -> Result<Option<&Live>> {
        let mut looked = 0;
        loop {
            let covers = |live: &Live| live.covers(key.as_str());
            let found = self.found.iter().skip(looked).position(covers);
            if let Some(found) = found.map(|found| found + looked) {
                let newest = self.found.get(found);
                return Ok(newest.filter(|live| revision <= live.sequence));
            }
            looked = self.found.len();
            let Some(mut scan) = self.rest.take() else {
                return Ok(None);
            };
            let (page, last) = live_rows(read, &scan).await?;
            if let Some(last) = last.filter(|_| page.len() == scan.limit) {
                scan.until = Bound::Excluded(last);
                scan.limit = super::SNAPSHOTS_MAX;
                self.rest = Some(scan);
            }
            self.found.extend(page);
        }
    }
}

/// Whether a snapshot shows the row of a current object, so that its bytes must stay as they are.
pub(crate) async fn is_shown(
    read: &dyn MetaRead,
    bucket: &Bucket,
    current: &FoundObject,
) -> Result<bool> {
    if bucket.snapshots.live == 0 {
        return Ok(false);
    }
    let mut newest = Newest::of(bucket.id);
    let (key, revision) = (&current.object.key, current.revision);
    let shown = newest.showing(read, key, revision).await?;
    Ok(shown.is_some())
}

/// What changes of buckets' contents add to the counters of what changed since their snapshots.
pub(crate) fn count_since(changed: &[(Bucket, Tally)]) -> Vec<Write> {
    let mut deltas: BTreeMap<Bytes, i64> = BTreeMap::new();
    for (bucket, tally) in changed.iter().filter(|(b, _)| b.snapshots.live > 0) {
        // What a clone inherits, and then has itself, is neither more nor less.
        let (objects, bytes) = (tally.objects - tally.cut, tally.bytes - tally.cut_bytes);
        for (count, delta) in [(Count::Objects, objects), (Count::Bytes, bytes)] {
            let key = row_key::since_counter(bucket.id, bucket.snapshots.made, count);
            *deltas.entry(key).or_default() += delta;
        }
    }
    let deltas = deltas.into_iter().filter(|(_, delta)| *delta != 0);
    deltas
        .map(|(key, delta)| Write::Add { key, delta })
        .collect()
}

impl Changes {
    /// Keeps the former row of each key that this changes and a snapshot shows. False when a
    /// concurrent change won. `read` is newer than what the change was worked out on.
    pub(crate) async fn keep_former(
        &mut self,
        store: &Store,
        read: &dyn MetaRead,
        found: &FoundBucket,
    ) -> Result<bool> {
        let mut buckets: BTreeMap<BucketId, Option<(Bucket, Newest)>> = BTreeMap::new();
        let mut keep = |bucket: &Bucket| {
            let newest = (bucket.snapshots.live > 0).then(|| Newest::of(bucket.id));
            buckets.insert(bucket.id, newest.map(|newest| (bucket.clone(), newest)));
        };
        keep(&found.bucket);
        self.elsewhere.iter().for_each(|(bucket, _)| keep(bucket));
        let of_objects = |write: &&Write| write.key().first() == Some(&row_key::OBJECT);
        let rows: Vec<Bytes> = self
            .writes
            .iter()
            .filter(of_objects)
            .map(|w| w.key().clone())
            .collect();
        for row in rows {
            let id = row_key::split_id(&row).map(|(id, _)| BucketId(id));
            let id = id.ok_or_else(malformed)?;
            if let Entry::Vacant(vacant) = buckets.entry(id) {
                let other = self.unnamed(read, id).await?;
                let newest = (other.snapshots.live > 0).then(|| Newest::of(id));
                vacant.insert(newest.map(|newest| (other, newest)));
            }
            let Some(Some((bucket, newest))) = buckets.get_mut(&id) else {
                continue;
            };
            let Some(former) = read.get(&row).await? else {
                continue;
            };
            let (_, key) = row_key::split_object(&row).ok_or_else(malformed)?;
            let value = former.value.clone();
            let former = FoundObject::decode(row, former, &key)?;
            let shown = newest.showing(read, &key, former.revision).await?;
            let Some(ordinal) = shown.map(|live| live.ordinal) else {
                continue;
            };
            let tally = Tally::kept(&former.object);
            if !self.keep(store, (former, &value), (id, ordinal)).await? {
                return Ok(false);
            }
            match found.bucket.id == id {
                true => self.tally.add(tally),
                false => self.count_in(bucket, tally),
            }
        }
        Ok(true)
    }

    /// A bucket that the change does not say to be of, which its commit expects as it is.
    async fn unnamed(&mut self, read: &dyn MetaRead, id: BucketId) -> Result<Bucket> {
        let row_key = row_key::bucket(id);
        let row = read.get(&row_key).await?.ok_or_else(malformed)?;
        let unchanged = Expectation::Revision(row_key, row.revision);
        self.expectations.push(unchanged);
        BucketRecord::from_value(&row.value)?.into_bucket(id)
    }

    async fn keep(
        &mut self,
        store: &Store,
        (former, value): (FoundObject, &Bytes),
        (bucket, ordinal): (BucketId, u64),
    ) -> Result<bool> {
        let layer = former.object.layer();
        if layer.is_some_and(|layer| self.references.changes_in_place(layer)) {
            // The snapshot was made after the change had been worked out.
            return Ok(false);
        }
        let record = KeptRecord {
            since: former.revision.0,
            object: value.to_vec(),
        };
        let body = attached(store, &former).await?.map(Body::Attached);
        let key = row_key::kept(bucket, &former.object.key, ordinal);
        self.put(key, record.to_value()?, body);
        self.expectations.push(former.expectation());
        if let Some(layer) = layer {
            self.references.gain(layer);
        }
        Ok(true)
    }
}

fn malformed() -> Error {
    Error::corrupt("a row of an object that is of no bucket")
}
