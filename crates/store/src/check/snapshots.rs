//! The part of the check that follows snapshots of buckets: each kept row is shown by one, and each
//! snapshot holds what its counters say.

use super::{Check, because};
use crate::nouns::{Bucket, Live, Object};
use crate::placement::Tally;
use crate::record::{BucketRecord, KeptRecord, ObjectRecord, Record, SnapshotRecord, SweepRecord};
use crate::row_key::{self, Count};
use crate::snapshot::{self, view};
use crate::store;
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::{BucketId, Error, Result, Sequence};
use trestle_engine::{MetaRead, Row, Scan};

/// The snapshots of a bucket, and what was seen of them.
pub(super) struct Counted {
    /// Each with the objects and bytes that it shows.
    live: Vec<(Live, i64, i64)>,
    /// Some are gone, and what they kept is going.
    swept: bool,
    /// Objects and bytes that there are now.
    now: (i64, i64),
    /// Objects and bytes that came since each, until the next.
    since: BTreeMap<u64, (i64, i64)>,
    made: u64,
}

impl Counted {
    /// None when the bucket never had any.
    pub(super) async fn of(read: &dyn MetaRead, bucket: &Bucket) -> Result<Option<Self>> {
        if bucket.snapshots.made == 0 {
            return Ok(None);
        }
        let live = snapshot::all_live(read, bucket.id).await?;
        if live.len() as u64 != bucket.snapshots.live {
            let message = "the bucket's record does not say how many snapshots there are";
            return Err(Error::corrupt(message));
        }
        let sweeps = Scan::prefix(row_key::of_bucket(row_key::SWEEP, bucket.id), 1);
        let swept = !read.scan(&sweeps).await?.is_empty();
        Ok(Some(Counted {
            live: live.into_iter().map(|live| (live, 0, 0)).collect(),
            swept,
            now: (0, 0),
            since: BTreeMap::new(),
            made: bucket.snapshots.made,
        }))
    }

    /// A current object.
    pub(super) fn current(&mut self, object: &Object, revision: Sequence) {
        self.now.0 += 1;
        self.now.1 += store::signed(object.stored_length());
        self.shown(object, revision, u64::MAX);
    }

    /// A key that a clone no longer inherits, since a commit.
    fn cut(&mut self, object: &Object, since: Sequence) {
        let length = store::signed(object.stored_length());
        self.now.0 -= 1;
        self.now.1 -= length;
        for (live, objects, bytes) in &mut self.live {
            if live.shows(object.key.as_str(), since, u64::MAX) {
                *objects -= 1;
                *bytes -= length;
            }
        }
    }

    /// A row that was written by the commit `since` and kept for `ordinal`. Whether any snapshot shows
    /// it.
    fn shown(&mut self, object: &Object, since: Sequence, ordinal: u64) -> bool {
        let mut any = false;
        for (live, objects, bytes) in &mut self.live {
            if live.shows(object.key.as_str(), since, ordinal) {
                any = true;
                *objects += 1;
                *bytes += store::signed(object.stored_length());
            }
        }
        any
    }

    /// The first snapshot whose counters do not say what it shows.
    fn wrong(&self) -> Option<String> {
        self.live.iter().find_map(|(live, objects, bytes)| {
            let since = self.since.range(live.ordinal..);
            let (mut told_objects, mut told_bytes) = self.now;
            for (objects, bytes) in since.map(|(_, since)| since) {
                told_objects -= objects;
                told_bytes -= bytes;
            }
            let right = (*objects, *bytes) == (told_objects, told_bytes);
            (live.prefix.is_empty() && !right).then(|| {
                format!(
                    "snapshot {:?} shows {objects} objects of {bytes} bytes where the counters say \
                     {told_objects} of {told_bytes}",
                    live.name
                )
            })
        })
    }
}

/// The snapshot that an index leads to, as the bucket that it is read as.
pub(super) async fn referred(
    read: &dyn MetaRead,
    bucket: BucketId,
    ordinal: u64,
) -> Result<Bucket> {
    let row = read.get(&row_key::bucket(bucket)).await?;
    let row = row.ok_or_else(|| Error::corrupt("an index leads to a snapshot of no bucket"))?;
    let base = BucketRecord::from_value(&row.value)?.into_bucket(bucket)?;
    snapshot::shown(read, base, ordinal).await
}

impl Check<'_> {
    pub(super) async fn kept(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) {
        let place = self.place(key);
        let decoded = || {
            let malformed = || Error::corrupt("a malformed key");
            let (bucket, object_key, ordinal) = row_key::split_kept(key).ok_or_else(malformed)?;
            let kept = KeptRecord::from_value(&row.value)?;
            let object = ObjectRecord::from_value(&kept.object)?.into_object(object_key)?;
            Ok((bucket, object, Sequence(kept.since), ordinal))
        };
        let (bucket, object, since, ordinal) = match decoded() {
            Ok(decoded) => decoded,
            Err(error) => return self.found(place, because("a row kept for a snapshot", &error)),
        };
        self.recount(bucket, &place, Tally::kept(&object));
        let counted = self.snapshots.get_mut(&bucket);
        let needed =
            counted.is_some_and(|counted| counted.shown(&object, since, ordinal) || counted.swept);
        if !needed {
            self.found(place.clone(), "a row is kept that no snapshot shows");
        }
        self.contents(read, place, (&object, row)).await;
    }

    pub(super) async fn snapshot(
        &mut self,
        read: &dyn MetaRead,
        key: &Bytes,
        row: &Row,
    ) -> Result<()> {
        let (bucket, ordinal) =
            row_key::split_ordinal(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
        let live = SnapshotRecord::from_value(&row.value)?.into_live(ordinal, row.revision)?;
        let Some(counted) = self.snapshots.get(&bucket) else {
            return Err(Error::corrupt("a snapshot of a bucket that has none"));
        };
        if ordinal > counted.made {
            let message = "a snapshot that its bucket's record does not know of";
            return Err(Error::corrupt(message));
        }
        if live.hidden {
            let links = Scan::prefix(row_key::links(bucket, ordinal), 1);
            return match read.scan(&links).await?.is_empty() {
                true => Err(Error::corrupt(
                    "a snapshot without a name and without clones",
                )),
                false => Ok(()),
            };
        }
        let shown = referred(read, bucket, ordinal).await?;
        let mut index = vec![row_key::account_bucket(&shown.owner.account, &shown.name)];
        if shown.name.account().is_none() {
            index.push(row_key::bucket_name(&shown.name));
        }
        let place = row_key::snapshot_place(bucket, ordinal);
        for key in index {
            if read.get(&key).await?.is_none_or(|row| row.value != place) {
                return Err(Error::corrupt("an index does not lead to the snapshot"));
            }
        }
        Ok(())
    }

    /// What a clone no longer inherits counts, as long as it inherits anything.
    pub(super) async fn cut(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let (id, key) =
            row_key::split_object(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
        let Some(bucket) = self.buckets.get(&id) else {
            return Err(Error::corrupt(
                "a key that a bucket inherits no longer that does not exist",
            ));
        };
        let mut bucket = bucket.clone();
        bucket.parent = snapshot::parent(read, bucket.clone_of.as_ref()).await?;
        if bucket.parent.is_none() {
            return Ok(());
        }
        let inherited = view::inheritable(read, &bucket, &key).await?;
        let inherited =
            inherited.ok_or_else(|| Error::corrupt("a key that was never inherited"))?;
        let object = ObjectRecord::from_value(&inherited.value)?.into_object(key)?;
        self.recount(id, &Default::default(), Tally::cut(&object));
        if let Some(counted) = self.snapshots.get_mut(&id) {
            counted.cut(&object, row.revision);
        }
        Ok(())
    }

    /// A snapshot knows its clones, and they know it.
    pub(super) async fn link(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let (bucket, ordinal, clone) =
            row_key::split_link(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
        let snapshot = read.get(&row_key::snapshot(bucket, ordinal)).await?;
        let of = self.buckets.get(&clone);
        let of = of.and_then(|clone| clone.clone_of.as_ref());
        let known = of.is_some_and(|of| (of.base, of.ordinal) == (bucket, ordinal));
        match snapshot.is_some() && known && row.value.is_empty() {
            true => Ok(()),
            false => Err(Error::corrupt(
                "a snapshot and its clone do not know each other",
            )),
        }
    }

    pub(super) fn sweep(&mut self, key: &Bytes, row: &Row) -> Result<()> {
        SweepRecord::from_value(&row.value)?;
        let bucket = row_key::split_ordinal(key).map(|(bucket, _)| bucket);
        match bucket.is_some_and(|bucket| self.snapshots.contains_key(&bucket)) {
            true => Ok(()),
            false => Err(Error::corrupt(
                "a sweep in a bucket that never had snapshots",
            )),
        }
    }

    /// A counter of what came since a snapshot.
    pub(super) fn since(&mut self, key: &Bytes, row: &Row) -> Result<()> {
        let malformed = || Error::corrupt("a counter of changes since a snapshot is malformed");
        let (bucket, ordinal, count) = row_key::split_since(key).ok_or_else(malformed)?;
        let value = <[u8; 8]>::try_from(&row.value[..]).map_err(|_| malformed())?;
        let value = i64::from_be_bytes(value);
        let counted = self.snapshots.get_mut(&bucket).ok_or_else(malformed)?;
        let (objects, bytes) = counted.since.entry(ordinal).or_default();
        match count {
            count if count == Count::Objects as u8 => *objects = value,
            count if count == Count::Bytes as u8 => *bytes = value,
            _ => return Err(malformed()),
        }
        Ok(())
    }

    /// What every snapshot shows is what its counters say.
    pub(super) fn recounted_snapshots(&mut self) {
        for (bucket, counted) in std::mem::take(&mut self.snapshots) {
            if let Some(wrong) = counted.wrong() {
                let place = self.place(&row_key::bucket(bucket));
                self.found(place, wrong);
            }
        }
    }
}
