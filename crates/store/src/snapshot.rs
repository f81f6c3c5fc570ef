//! Snapshots of buckets and of directories in them: one commit and no bytes, whatever the size.
//!
//! A snapshot is a row. The revision of that row says what it shows: what was written by then. While a
//! bucket has snapshots, the commit that changes a key's row keeps the former one ([`keep`]), with one
//! reference more to its layer. A snapshot is read as a bucket of its own name ([`view`]), which no
//! verb changes, and what only it showed goes when it is deleted ([`sweep`]).
//!
//! Every write expects its bucket's record, which changes with each snapshot that is made or deleted:
//! so each write comes before or after it, and knows.

mod clone;
mod keep;
mod own;
mod sweep;
pub(crate) mod view;

pub(crate) use clone::parent;
pub(crate) use keep::{count_since, is_shown};

use crate::nouns::{
    At, Bucket, BucketUsage, CreateSnapshot, Live, Parent, Snapshot, SnapshotCount,
};
use crate::properties::{BucketProperties, Quota, Versioning};
use crate::record::{BucketRecord, Record, SnapshotRecord, SweepRecord};
use crate::row_key::{self, Count};
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store, signed};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, ErrorKind, Key, Noun, Result, Sequence};
use trestle_engine::canary::{self, Canary};
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
        check_prefix(&create.prefix)?;
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
                hidden: false,
                metadata: create
                    .prefix
                    .is_empty()
                    .then(|| found.bucket.properties.metadata.clone()),
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
        let named = all.iter().filter(|live| !live.hidden);
        named.map(|live| told(&found.bucket, live)).collect()
    }

    /// Deletes a snapshot. What only it showed is freed, now or behind; while it has clones, what they
    /// inherit stays, and nobody sees it but them.
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
            let links = row_key::links(id, at.live.ordinal);
            let cloned = !read.scan(&Scan::prefix(links.clone(), 1)).await?.is_empty()
                && !canary::active(Canary::ForgetClones);
            let row = row_key::snapshot(id, at.live.ordinal);
            let revision = read.get(&row).await?.map(|found| found.revision);
            drop(read);
            let mut commit = match cloned {
                true => hiding(&found, &reads_as, &at.live)?,
                false => deletion(&found, &reads_as, &at.live)?,
            };
            if let Some(end) =
                row_key::end_of(&links).filter(|_| !cloned && !canary::active(Canary::ForgetClones))
            {
                commit
                    .expectations
                    .push(Expectation::EmptyRange(links, end));
            }
            // A clone that leaves rewrites it.
            let unchanged = revision.map(|revision| Expectation::Revision(row, revision));
            commit.expectations.extend(unchanged);
            commit.expectations.push(confirmed);
            commit.expectations.extend(shown.expectations());
            if self.try_commit(commit).await? {
                if cloned {
                    return Ok(());
                }
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

/// Refuses what is the key of no directory.
fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    match Key::parse(prefix)?.as_str().ends_with('/') {
        true => Ok(()),
        false => Err(Error::invalid("the key of a directory ends in /")),
    }
}

async fn check_there(read: &dyn MetaRead, bucket: &Bucket, prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    let below = Scan::prefix(row_key::objects(bucket.id, prefix), 1);
    match view::scan(read, bucket, &below).await?.is_empty() {
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

fn put_bucket(bucket: &Bucket) -> Result<Write> {
    let record = BucketRecord::new(bucket)?.to_value()?;
    Ok(put(row_key::bucket(bucket.id), record))
}

/// The one commit that makes a snapshot.
fn creation(found: &FoundBucket, snapshot: &Snapshot, live: &Live) -> Result<Commit> {
    let mut bucket = found.bucket.clone();
    bucket.snapshots.made = live.ordinal;
    bucket.snapshots.live = bucket.snapshots.live.saturating_add(1);
    let mut commit = Commit {
        expectations: found.expectations(),
        writes: vec![
            put_bucket(&bucket)?,
            put(
                row_key::snapshot(bucket.id, live.ordinal),
                SnapshotRecord::new(live)?.to_value()?,
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

/// The one commit that makes a snapshot with clones go: only they see it from then on.
fn hiding(found: &FoundBucket, reads_as: &BucketName, live: &Live) -> Result<Commit> {
    let hidden = Live {
        hidden: true,
        ..live.clone()
    };
    let row = row_key::snapshot(found.bucket.id, live.ordinal);
    let row = put(row, SnapshotRecord::new(&hidden)?.to_value()?);
    Ok(unnaming(found, reads_as, vec![row]))
}

/// The one commit that takes a snapshot's name from it, with what else becomes of it.
fn unnaming(found: &FoundBucket, reads_as: &BucketName, mut writes: Vec<Write>) -> Commit {
    let names = names(&found.bucket, reads_as).into_iter();
    writes.extend(names.map(|key| Write::Delete { key }));
    Commit {
        expectations: found.expectations(),
        writes,
        urgency: Urgency::Freeing,
        ..Commit::default()
    }
}

/// What takes a snapshot away; a sweep follows.
fn removal(bucket: &Bucket, live: &Live) -> Result<Vec<Write>> {
    let mut bucket = bucket.clone();
    bucket.snapshots.live = bucket.snapshots.live.saturating_sub(1);
    let sweep = SweepRecord {
        prefix: (!live.prefix.is_empty()).then(|| live.prefix.clone()),
        after: None,
    };
    Ok(vec![
        put_bucket(&bucket)?,
        put(row_key::sweep(bucket.id, live.ordinal), sweep.to_value()?),
        Write::Delete {
            key: row_key::snapshot(bucket.id, live.ordinal),
        },
    ])
}

/// The one commit that makes a snapshot go; a sweep follows.
fn deletion(found: &FoundBucket, reads_as: &BucketName, live: &Live) -> Result<Commit> {
    Ok(unnaming(found, reads_as, removal(&found.bucket, live)?))
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
        found.push(record.into_live(ordinal, row.revision)?);
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

/// A snapshot of a bucket as the bucket that it is read as. Its metadata is what it was, of a snapshot of
/// all of it; what it allows is as it is now.
pub(crate) async fn shown(read: &dyn MetaRead, base: Bucket, ordinal: u64) -> Result<Bucket> {
    let row = read.get(&row_key::snapshot(base.id, ordinal)).await?;
    let row =
        row.ok_or_else(|| Error::corrupt("a name leads to a snapshot that does not exist"))?;
    let live = SnapshotRecord::from_value(&row.value)?.into_live(ordinal, row.revision)?;
    Ok(Bucket {
        id: live.id,
        name: reads_as(&base.name, &live.name)?,
        owner: base.owner,
        created: live.created,
        modified: live.created,
        modifications: 0,
        properties: BucketProperties {
            versioning: Versioning::Off,
            lock: None,
            quota: Quota::default(),
            retention: None,
            legal_hold: false,
            metadata: live.metadata.clone().unwrap_or(base.properties.metadata),
            ..base.properties
        },
        held: Vec::new(),
        snapshots: SnapshotCount::default(),
        clone_of: None,
        parent: base.parent,
        at: Some(At {
            base: base.id,
            base_name: base.name,
            live: Arc::new(live),
        }),
    })
}

/// What was counted of snapshots of directories, and of what clones inherited of such: nothing changes
/// what a snapshot shows, so that it is counted once, by the first who asks, while others who ask for
/// the same wait.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<HashMap<BucketId, Counting>>);

type Counting = Arc<tokio::sync::Mutex<Option<(u64, u64)>>>;

impl Counted {
    fn of(&self, id: BucketId) -> Counting {
        let mut known = self.0.lock();
        if known.len() >= COUNTED_MAX && !known.contains_key(&id) {
            // Those that somebody counts or waits for stay.
            known.retain(|_, counting| Arc::strong_count(counting) > 1);
        }
        known.entry(id).or_default().clone()
    }

    /// Objects and bytes of the snapshot or of the clone of this id, as the walk counts them.
    async fn once(
        &self,
        id: BucketId,
        walk: impl Future<Output = Result<(u64, u64)>>,
    ) -> Result<(u64, u64)> {
        let counting = self.of(id);
        let mut known = counting.lock().await;
        match *known {
            Some(counted) => Ok(counted),
            None => Ok(*known.insert(walk.await?)),
        }
    }
}

/// The counters of a bucket, or of a snapshot: of a whole bucket, what there is less what came since;
/// of a directory, by walking over it once. With what a clone inherits.
pub(crate) async fn usage(
    counted: &Counted,
    read: &dyn MetaRead,
    bucket: &Bucket,
) -> Result<BucketUsage> {
    let (mut usage, shown) = match &bucket.at {
        None if bucket.clone_of.is_none() => return crate::bucket::usage(read, bucket.id).await,
        None => {
            let usage = crate::bucket::usage(read, bucket.id).await?;
            let parent = parent(read, bucket.clone_of.as_ref()).await?;
            let shown = then(counted, read, (bucket.id, None), parent.as_deref());
            (usage, shown.await?)
        }
        Some(at) if at.live.prefix.is_empty() => {
            let shown = (at.base, Some(&*at.live));
            let shown = then(counted, read, shown, bucket.parent.as_deref());
            (BucketUsage::default(), shown.await?)
        }
        Some(_) => {
            let walk = counted.once(bucket.id, view::count(read, bucket));
            (BucketUsage::default(), walk.await?)
        }
    };
    (usage.objects, usage.bytes) = shown;
    Ok(usage)
}

/// Objects and bytes that a bucket showed when a snapshot of all of it was made, or shows now.
fn then<'a>(
    counted: &'a Counted,
    read: &'a dyn MetaRead,
    (base, live): (BucketId, Option<&'a Live>),
    parent: Option<&'a Parent>,
) -> BoxFuture<'a, Result<(u64, u64)>> {
    async move {
        let now = crate::bucket::usage(read, base).await?;
        let (mut came, mut brought) = match live {
            Some(live) => since(read, base, live.ordinal).await?,
            None => (0, 0),
        };
        let mut inherited = (0, 0);
        if let Some(parent) = parent {
            inherited = match parent.prefix.is_empty() {
                true => {
                    let shown = (parent.base, Some(&parent.live));
                    then(counted, read, shown, parent.parent.as_deref()).await?
                }
                false => {
                    let walk = view::count_inherited(read, base, parent);
                    counted.once(base, walk).await?
                }
            };
            let cut = |count| row_key::bucket_counter(base, count);
            came += signed(store::counter(read, &cut(Count::Cut)).await?);
            brought += signed(store::counter(read, &cut(Count::CutBytes)).await?);
        }
        let less = |now: u64, inherited: u64, came: i64| {
            let all = signed(now).checked_add(signed(inherited))?;
            u64::try_from(all.checked_sub(came)?).ok()
        };
        let wrong = || Error::corrupt("the counters of a snapshot are negative");
        let objects = less(now.objects, inherited.0, came).ok_or_else(wrong)?;
        let bytes = less(now.bytes, inherited.1, brought).ok_or_else(wrong)?;
        Ok((objects, bytes))
    }
    .boxed()
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
