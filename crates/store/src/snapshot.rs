//! Snapshots of buckets and of directories in them: one commit and no bytes, whatever the size.
//!
//! A snapshot is a row. The revision of that row says what it shows: what was written by then. While a
//! bucket has snapshots, the commit that changes a key's row keeps the former one ([`keep`]), with one
//! reference more to its layer. A snapshot is read as a bucket of its own name ([`view`]), which no
//! verb changes, and what only it showed goes when it is deleted ([`sweep`]).
//!
//! Every write expects its bucket's record, which changes with each snapshot that is made or deleted:
//! so each write comes before or after it, and knows.

mod keep;
mod sweep;
pub(crate) mod view;

pub(crate) use keep::{count_since, is_shown};

use crate::nouns::{
    At, Bucket, BucketUsage, CreateSnapshot, Live, Object, Snapshot, SnapshotCount,
};
use crate::properties::{BucketProperties, Quota, Versioning};
use crate::record::{BucketRecord, ObjectRecord, Record, SnapshotRecord, SweepRecord};
use crate::row_key::{self, Count};
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, ErrorKind, Key, Noun, Result, Sequence};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Urgency, Write};

/// Most snapshots of one bucket.
pub const SNAPSHOTS_MAX: usize = 1_000;
/// Longest name of a snapshot of a bucket or a directory, in bytes.
pub const SNAPSHOT_NAME_BYTES_MAX: usize = 64;
/// Between the name of a bucket and that of its snapshot.
const SEPARATOR: &str = "__";
/// Rows that one scan of a count takes.
const COUNT_ROWS: usize = 1_000;
/// Snapshots of directories whose counters are remembered.
const COUNTED_MAX: usize = 4_096;

impl Store {
    /// Makes a snapshot of a bucket, or of a directory in it.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)` when there is nothing below the directory;
    /// `AlreadyExists(Bucket)` when a bucket or a snapshot has the name that it would be read by;
    /// `InvalidInput` for another name than it may have; `TooLarge` when the bucket has as many as it
    /// may have; `Forbidden`; `Conflict`.
    pub async fn create_snapshot(
        &self,
        grant: &Grant,
        create: &CreateSnapshot,
    ) -> Result<Snapshot> {
        let resource = Resource::Bucket(create.bucket.clone());
        store::require(grant, Action::CreateSnapshot, &resource)?;
        check_name(&create.name)?;
        if !create.prefix.is_empty() {
            let key = Key::parse(create.prefix.as_str())?;
            if !key.as_str().ends_with('/') {
                return Err(Error::invalid("the key of a directory ends in /"));
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, &create.bucket).await?;
            let confirmed = self.confirm(&*read, grant, Some(&found), None).await?;
            check_there(&*read, &found.bucket, &create.prefix).await?;
            let SnapshotCount { made, live } = found.bucket.snapshots;
            if live >= SNAPSHOTS_MAX as u64 {
                return Err(store::too_many("bucket's snapshots", SNAPSHOTS_MAX));
            }
            let live = Live {
                id: BucketId(self.host.id()),
                ordinal: made.saturating_add(1),
                // Said by the revision of its row.
                sequence: Sequence::default(),
                name: create.name.clone(),
                prefix: create.prefix.clone(),
                created: self.host.clock.now(),
            };
            let snapshot = told(&found.bucket, &live)?;
            let mut commit = creation(&found, &snapshot, &live)?;
            for index in names(&found.bucket, &snapshot.reads_as) {
                if read.get(&index).await?.is_some() {
                    return Err(Error::new(
                        ErrorKind::AlreadyExists(Noun::Bucket),
                        format!(
                            "there already is a bucket or a snapshot {}",
                            snapshot.reads_as
                        ),
                    ));
                }
            }
            drop(read);
            commit.expectations.push(confirmed);
            if self.try_commit(commit).await? {
                return Ok(snapshot);
            }
        }
        Err(store::conflict())
    }

    /// The snapshots of a bucket and of directories in it, in the order in which they were made.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `InvalidState` for a snapshot; `Forbidden`.
    pub async fn list_snapshots(
        &self,
        grant: &Grant,
        bucket: &BucketName,
    ) -> Result<Vec<Snapshot>> {
        store::require(grant, Action::ReadBucket, &Resource::Bucket(bucket.clone()))?;
        let read = self.snapshot().await?;
        let found = store::find_bucket(&*read, bucket).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let all = all_live(&*read, found.bucket.id).await?;
        all.iter().map(|live| told(&found.bucket, live)).collect()
    }

    /// Deletes a snapshot. What only it showed is freed, now or behind.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, also of the snapshot; `Forbidden`; `Conflict`.
    pub async fn delete_snapshot(
        &self,
        grant: &Grant,
        bucket: &BucketName,
        name: &str,
    ) -> Result<()> {
        let resource = Resource::Bucket(bucket.clone());
        store::require(grant, Action::DeleteSnapshot, &resource)?;
        check_name(name)?;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, bucket).await?;
            let confirmed = self.confirm(&*read, grant, Some(&found), None).await?;
            let reads_as = reads_as(&found.bucket.name, name)?;
            let shown = store::find_shown(&*read, &reads_as).await?;
            let id = found.bucket.id;
            // A bucket may have such a name, too.
            let at = shown.bucket.at.as_ref().filter(|at| at.base == id);
            let at = at.ok_or_else(|| Error::not_found(Noun::Bucket, &reads_as))?;
            drop(read);
            let mut commit = deletion(&found, &reads_as, &at.live)?;
            commit.expectations.push(confirmed);
            commit.expectations.extend(shown.expectations());
            if self.try_commit(commit).await? {
                let swept = self
                    .sweep(id, at.live.ordinal, sweep::COMMITS_AT_ONCE)
                    .await;
                if let Err(error) = swept {
                    // The snapshot is gone; `tidy` frees what is left.
                    tracing::debug!(%error, "freeing a snapshot is put off");
                }
                return Ok(());
            }
        }
        Err(store::conflict())
    }
}

/// Refuses a name that no snapshot of a bucket may have: every client of every dialect must be able to
/// say it as a part of a bucket's name.
fn check_name(name: &str) -> Result<()> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let length = (1..=SNAPSHOT_NAME_BYTES_MAX).contains(&name.len());
    match length && name.bytes().all(sound) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "the name of a snapshot of a bucket has 1 to {SNAPSHOT_NAME_BYTES_MAX} letters, digits, \
             dots, hyphens and underscores"
        ))),
    }
}

async fn check_there(read: &dyn MetaRead, bucket: &Bucket, prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    let below = Scan::prefix(row_key::objects(bucket.id, prefix), 1);
    match read.scan(&below).await?.is_empty() {
        true => Err(Error::not_found(Noun::Object, prefix)),
        false => Ok(()),
    }
}

/// The name of the bucket that a snapshot is read as.
fn reads_as(bucket: &BucketName, name: &str) -> Result<BucketName> {
    let local = format!("{}{SEPARATOR}{name}", bucket.local());
    match bucket.account() {
        Some(account) => BucketName::in_account(&account, &local),
        None => BucketName::parse(local),
    }
}

/// The rows that lead from the name that a snapshot is read by to it.
fn names(bucket: &Bucket, reads_as: &BucketName) -> Vec<Bytes> {
    let mut names = vec![row_key::account_bucket(&bucket.owner.account, reads_as)];
    if reads_as.account().is_none() {
        names.push(row_key::bucket_name(reads_as));
    }
    names
}

fn told(bucket: &Bucket, live: &Live) -> Result<Snapshot> {
    Ok(Snapshot {
        bucket: bucket.name.clone(),
        prefix: live.prefix.clone(),
        name: live.name.clone(),
        reads_as: reads_as(&bucket.name, &live.name)?,
        created: live.created,
    })
}

fn put(key: Bytes, value: Bytes) -> Write {
    Write::Put {
        key,
        value,
        body: None,
    }
}

/// The one commit that makes a snapshot.
fn creation(found: &FoundBucket, snapshot: &Snapshot, live: &Live) -> Result<Commit> {
    let mut bucket = found.bucket.clone();
    bucket.snapshots.made = live.ordinal;
    bucket.snapshots.live = bucket.snapshots.live.saturating_add(1);
    let mut commit = Commit {
        expectations: found.expectations(),
        writes: vec![
            put(
                row_key::bucket(bucket.id),
                BucketRecord::new(&bucket)?.to_value()?,
            ),
            put(
                row_key::snapshot(bucket.id, live.ordinal),
                SnapshotRecord::new(live).to_value()?,
            ),
        ],
        ..Commit::default()
    };
    for name in names(&bucket, &snapshot.reads_as) {
        commit.expectations.push(Expectation::Absent(name.clone()));
        let place = row_key::snapshot_place(bucket.id, live.ordinal);
        commit.writes.push(put(name, place));
    }
    Ok(commit)
}

/// The one commit that makes a snapshot go; a sweep follows.
fn deletion(found: &FoundBucket, reads_as: &BucketName, live: &Live) -> Result<Commit> {
    let mut bucket = found.bucket.clone();
    bucket.snapshots.live = bucket.snapshots.live.saturating_sub(1);
    let sweep = SweepRecord {
        prefix: (!live.prefix.is_empty()).then(|| live.prefix.clone()),
        after: None,
    };
    let mut writes = vec![
        put(
            row_key::bucket(bucket.id),
            BucketRecord::new(&bucket)?.to_value()?,
        ),
        put(row_key::sweep(bucket.id, live.ordinal), sweep.to_value()?),
        Write::Delete {
            key: row_key::snapshot(bucket.id, live.ordinal),
        },
    ];
    let names = names(&bucket, reads_as).into_iter();
    writes.extend(names.map(|key| Write::Delete { key }));
    Ok(Commit {
        expectations: found.expectations(),
        writes,
        urgency: Urgency::Freeing,
        ..Commit::default()
    })
}

/// The snapshots that a scan of their rows finds, and the key of the last row.
async fn live_rows(read: &dyn MetaRead, scan: &Scan) -> Result<(Vec<Live>, Option<Bytes>)> {
    let mut found = Vec::new();
    let mut last = None;
    for item in read.scan(scan).await? {
        let ScanItem::Row(key, row) = item else {
            continue;
        };
        let (_, ordinal) = row_key::split_ordinal(&key)
            .ok_or_else(|| Error::corrupt("a snapshot with a malformed key"))?;
        let record = SnapshotRecord::from_value(&row.value)?;
        found.push(record.into_live(ordinal, row.revision));
        last = Some(key);
    }
    Ok((found, last))
}

/// All snapshots of a bucket, from the oldest on.
pub(crate) async fn all_live(read: &dyn MetaRead, bucket: BucketId) -> Result<Vec<Live>> {
    let rows = row_key::of_bucket(row_key::SNAPSHOT, bucket);
    let scan = Scan::prefix(rows, SNAPSHOTS_MAX);
    Ok(live_rows(read, &scan).await?.0)
}

/// A snapshot of a bucket as the bucket that it is read as. What the bucket allows and says of itself
/// is as it is now.
pub(crate) async fn shown(read: &dyn MetaRead, base: Bucket, ordinal: u64) -> Result<Bucket> {
    let row = read.get(&row_key::snapshot(base.id, ordinal)).await?;
    let row =
        row.ok_or_else(|| Error::corrupt("a name leads to a snapshot that does not exist"))?;
    let live = SnapshotRecord::from_value(&row.value)?.into_live(ordinal, row.revision);
    Ok(Bucket {
        id: live.id,
        name: reads_as(&base.name, &live.name)?,
        owner: base.owner,
        created: live.created,
        properties: BucketProperties {
            versioning: Versioning::Off,
            lock: None,
            quota: Quota::default(),
            ..base.properties
        },
        held: Vec::new(),
        snapshots: SnapshotCount::default(),
        at: Some(At {
            base: base.id,
            base_name: base.name,
            live: Arc::new(live),
        }),
    })
}

/// What was counted of snapshots of directories: nothing changes what a snapshot shows, so that it is
/// counted once, by the first who asks, while others who ask for the same wait.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<HashMap<BucketId, Counting>>);

type Counting = Arc<tokio::sync::Mutex<Option<BucketUsage>>>;

impl Counted {
    fn of(&self, snapshot: BucketId) -> Counting {
        let mut known = self.0.lock();
        if known.len() >= COUNTED_MAX && !known.contains_key(&snapshot) {
            // Those that somebody counts or waits for stay.
            known.retain(|_, counting| Arc::strong_count(counting) > 1);
        }
        known.entry(snapshot).or_default().clone()
    }
}

/// The counters of a snapshot: of the whole bucket, what there is less what came since; of a directory,
/// by walking over it once.
pub(crate) async fn usage(
    counted: &Counted,
    read: &dyn MetaRead,
    (bucket, at): (&Bucket, &At),
) -> Result<BucketUsage> {
    if !at.live.prefix.is_empty() {
        let counting = counted.of(bucket.id);
        let mut known = counting.lock().await;
        if let Some(usage) = *known {
            return Ok(usage);
        }
        let usage = count(read, bucket).await?;
        *known = Some(usage);
        return Ok(usage);
    }
    let mut usage = BucketUsage::default();
    let now = crate::bucket::usage(read, at.base).await?;
    let since = since(read, at.base, at.live.ordinal).await?;
    let less = |now: u64, since: i64| {
        let then = i64::try_from(now).ok()?.checked_sub(since)?;
        u64::try_from(then).ok()
    };
    let wrong = || Error::corrupt("the counters of a snapshot are negative");
    usage.objects = less(now.objects, since.0).ok_or_else(wrong)?;
    usage.bytes = less(now.bytes, since.1).ok_or_else(wrong)?;
    Ok(usage)
}

async fn count(read: &dyn MetaRead, bucket: &Bucket) -> Result<BucketUsage> {
    let mut usage = BucketUsage::default();
    let mut scan = Scan::prefix(row_key::objects(bucket.id, ""), COUNT_ROWS);
    loop {
        let page = view::scan(read, bucket, &scan).await?;
        let more = page.len() == COUNT_ROWS;
        for item in page {
            usage.objects += 1;
            usage.bytes = usage.bytes.saturating_add(decoded(&item)?.stored_length());
            scan.from = Bound::Excluded(item.key().clone());
        }
        if !more {
            return Ok(usage);
        }
    }
}

/// Objects and bytes that came since a snapshot, less those that went.
async fn since(read: &dyn MetaRead, bucket: BucketId, ordinal: u64) -> Result<(i64, i64)> {
    let malformed = || Error::corrupt("a counter of changes since a snapshot is malformed");
    let mut scan = Scan::prefix(row_key::all_since(bucket), COUNT_ROWS);
    scan.from = Bound::Included(row_key::since(bucket, ordinal));
    let (mut objects, mut bytes) = (0, 0);
    loop {
        let page = read.scan(&scan).await?;
        let more = page.len() == COUNT_ROWS;
        for item in page {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            let (_, _, count) = row_key::split_since(&key).ok_or_else(malformed)?;
            let delta = <[u8; 8]>::try_from(&row.value[..]).map_err(|_| malformed())?;
            let delta = i64::from_be_bytes(delta);
            match count == Count::Objects as u8 {
                true => objects += delta,
                false => bytes += delta,
            }
            scan.from = Bound::Excluded(key);
        }
        if !more {
            return Ok((objects, bytes));
        }
    }
}

fn decoded(item: &ScanItem) -> Result<Object> {
    let malformed = || Error::corrupt("an object row with a malformed key");
    let ScanItem::Row(key, row) = item else {
        return Err(malformed());
    };
    let (_, key) = row_key::split_object(key).ok_or_else(malformed)?;
    ObjectRecord::from_value(&row.value)?.into_object(key)
}
