//! The verbs on buckets. A name is claimed in the one global index, and freed with its bucket.

use crate::account::find_account;
use crate::authorize;
use crate::bucket_update::check_new;
use crate::feed::{self, Event, EventKind};
use crate::nouns::{Bucket, BucketUsage, ListBuckets, SnapshotCount};
use crate::properties::BucketProperties;
use crate::protection::Guard;
use crate::quota;
use crate::record::{BucketRecord, Record};
use crate::row_key::{self, Count};
use crate::snapshot::{self, view};
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store};
use std::ops::Bound;
use std::sync::atomic::Ordering;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{AccountId, BucketId, BucketName, Error, ErrorKind, Noun, Result};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Urgency, Write};

/// Most items of one page of any listing.
pub(crate) const LIST_LIMIT_MAX: usize = 10_000;
/// Rows that one scan of a listing takes: rich metadata makes each as large as 80 KiB.
pub(crate) const LIST_SCAN_ROWS: usize = 256;

/// The actions that let a caller see a bucket's record.
const LOOKS: [Action; 22] = [
    Action::ReadBucket,
    Action::ReadBucketLocation,
    Action::ListObjects,
    Action::ReadBucketPolicy,
    Action::ReadBucketPolicyStatus,
    Action::ReadBucketAcl,
    Action::ReadBucketVersioning,
    Action::ReadBucketTags,
    Action::ReadBucketMetadata,
    Action::ReadBucketLock,
    Action::ReadBucketPublicAccess,
    Action::ReadBucketOwnership,
    Action::ReadBucketQuota,
    Action::ReadBucketEncryption,
    Action::ReadBucketLifecycle,
    Action::ReadBucketCors,
    Action::ReadBucketWebsite,
    Action::ReadBucketNotification,
    Action::ReadBucketLogging,
    Action::ReadBucketReplication,
    Action::ReadBucketRequestPayment,
    Action::ReadBucketDocument,
];

/// The tables whose rows keep a bucket from being deleted, and what they are.
const HOLDS: [(u8, &str); 3] = [
    (row_key::OBJECT, "objects"),
    (row_key::HISTORY, "versions of objects"),
    (row_key::UPLOAD, "uploads in progress"),
];

/// Those that clones may need still when nobody can name the bucket any more.
const MORE_HOLDS: [(u8, &str); 4] = [
    (row_key::SNAPSHOT, "snapshots"),
    (row_key::KEPT, "what snapshots keep"),
    (row_key::SWEEP, "what a snapshot that is gone kept"),
    (row_key::CUT, "what it inherits no longer"),
];

impl Store {
    /// Creates an empty bucket. Under a plain name it is the principal's account's; under a
    /// qualified one it is of the account that the name says, and takes the global name too when
    /// that is legal and free.
    ///
    /// # Errors
    /// `AlreadyExists(Bucket)`; `NotFound(Account)`; `Forbidden`, of a closed account too;
    /// `QuotaExceeded` when the account has as many as it may.
    pub async fn create_bucket(&self, grant: &Grant, name: &BucketName) -> Result<Bucket> {
        let properties = BucketProperties::default();
        self.create_bucket_with(grant, name, properties).await
    }

    /// Creates an empty bucket that has these properties from the start. Whether the principal may
    /// set each of them was decided by the caller.
    ///
    /// # Errors
    /// Those of [`Store::create_bucket`]; `InvalidState`, `TooLarge` and `InvalidInput` for
    /// properties that no bucket may have.
    pub async fn create_bucket_with(
        &self,
        grant: &Grant,
        name: &BucketName,
        properties: BucketProperties,
    ) -> Result<Bucket> {
        check_new(&properties)?;
        store::require(grant, Action::CreateBucket, &Resource::Bucket(name.clone()))?;
        let mut owner = store::owner(grant)?;
        if let Some(account) = name.account() {
            owner.account = account;
        }
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let confirmed = self.confirm(&*read, grant, None, None).await?;
            let account = find_account(&*read, &owner.account).await?;
            if account.account.properties.closed {
                let message = format!("account {} is closed", owner.account);
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            let list_key = row_key::account_bucket(&owner.account, name);
            let global = global_name(&*read, name).await?;
            if read.get(&list_key).await?.is_some() || global.is_none() && name.account().is_none()
            {
                return Err(Error::new(
                    ErrorKind::AlreadyExists(Noun::Bucket),
                    format!("bucket {name} already exists"),
                ));
            }
            let now = self.host.clock.now();
            let bucket = Bucket {
                id: BucketId(self.host.id()),
                name: global.clone().unwrap_or_else(|| name.clone()),
                owner: owner.clone(),
                created: now,
                modified: now,
                modifications: 0,
                properties: properties.clone(),
                held: Vec::new(),
                snapshots: SnapshotCount::default(),
                at: None,
                clone_of: None,
                parent: None,
            };
            let block = self.block_within(&*read, &bucket).await?;
            let counted = self.room_for_bucket(&*read, grant, &owner.account).await?;
            drop(read);
            let none = BucketProperties::default();
            authorize::check_bucket(&bucket.name, &none, &bucket.properties, &block)?;
            let mut commit = creation(&bucket, account.expectation(), global)?;
            commit.expectations.push(confirmed);
            commit.expectations.extend(counted);
            if self.try_commit(commit).await? {
                self.waiting.wake();
                return Ok(bucket);
            }
        }
        Err(store::conflict())
    }

    /// Lets each account have at most so many buckets; those that it has stay.
    pub fn set_buckets_per_account(&self, most: Option<u64>) {
        let most = most.unwrap_or(u64::MAX);
        self.buckets_per_account.store(most, Ordering::Relaxed);
    }

    /// The limit that [`Store::set_buckets_per_account`] sets.
    pub fn buckets_per_account(&self) -> Option<u64> {
        let most = self.buckets_per_account.load(Ordering::Relaxed);
        (most < u64::MAX).then_some(most)
    }

    /// Refuses one more bucket of an account that has as many as it may; else says what the commit
    /// has to expect. What a dialect keeps for itself is not refused.
    pub(crate) async fn room_for_bucket(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        account: &AccountId,
    ) -> Result<Vec<Expectation>> {
        let limit = self.buckets_per_account();
        let limit = limit.filter(|_| !grant.principal().is_server());
        quota::check_buckets(read, account, limit).await
    }

    /// A bucket and its counters, of one moment. Any of the actions that read a part of it is
    /// enough; the caller shows the part that it was for.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `Forbidden`.
    pub async fn bucket(&self, grant: &Grant, name: &BucketName) -> Result<(Bucket, BucketUsage)> {
        let resource = Resource::Bucket(name.clone());
        store::granted(std::slice::from_ref(grant), &LOOKS, &resource)?;
        let read = self.snapshot().await?;
        let found = store::find_shown(&*read, name).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let bucket = found.bucket;
        let usage = snapshot::usage(&self.counted, &*read, &bucket).await?;
        Ok((bucket, usage))
    }

    /// A bucket's record for what a dialect has to know before it can ask for a grant: its rules for
    /// other origins, its owner, whether it has object lock. No grant: nothing of it may be shown.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub async fn bucket_settings(&self, name: &BucketName) -> Result<Bucket> {
        let read = self.snapshot().await?;
        Ok(store::find_shown(&*read, name).await?.bucket)
    }

    /// The name of the bucket with this id. No grant: what it gives is to be authorised.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub async fn find_bucket_by_id(&self, id: BucketId) -> Result<BucketName> {
        let row = self.snapshot().await?.get(&row_key::bucket(id)).await?;
        let row = row.ok_or_else(|| Error::not_found(Noun::Bucket, id))?;
        Ok(BucketRecord::from_value(&row.value)?.into_bucket(id)?.name)
    }

    /// The buckets of an account by the names it knows them by, with their counters, and what to
    /// give as `after` for the next page.
    ///
    /// # Errors
    /// `NotFound(Account)`; `InvalidInput` for a limit above 10,000; `Forbidden`.
    pub async fn list_buckets(
        &self,
        grant: &Grant,
        list: &ListBuckets,
    ) -> Result<(Vec<(Bucket, BucketUsage)>, Option<String>)> {
        store::require(
            grant,
            Action::ListBuckets,
            &Resource::Account(list.account.clone()),
        )?;
        check_limit(list.limit)?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        find_account(&*read, &list.account).await?;
        let mut buckets = Vec::new();
        if list.limit == 0 {
            return Ok((buckets, None));
        }
        let mut scan = bucket_scan(list);
        loop {
            scan.limit = LIST_SCAN_ROWS.min(list.limit + 1 - buckets.len());
            let page = read.scan(&scan).await?;
            let more = page.len() == scan.limit;
            for item in page {
                match list.reverse {
                    false => scan.from = Bound::Excluded(item.key().clone()),
                    true => scan.until = Bound::Excluded(item.key().clone()),
                }
                let Some(bucket) = listed_bucket(&*read, &item).await? else {
                    continue;
                };
                if buckets.len() == list.limit {
                    let last: Option<&(Bucket, BucketUsage)> = buckets.last();
                    let next = last.map(|(bucket, _)| bucket.name.local().to_owned());
                    return Ok((buckets, next));
                }
                let usage = snapshot::usage(&self.counted, &*read, &bucket).await?;
                buckets.push((bucket, usage));
            }
            if !more {
                return Ok((buckets, None));
            }
        }
    }

    /// Expects, and finds, that a bucket holds nothing, besides what its clones need.
    async fn nothing_in(
        &self,
        read: &dyn MetaRead,
        found: &FoundBucket,
    ) -> Result<Vec<Expectation>> {
        let mut expectations = found.expectations();
        for (table, what) in HOLDS {
            expectations.extend(nothing(read, found, table, what).await?);
        }
        Ok(expectations)
    }

    /// Deletes an empty bucket and frees its name. What its clones inherit stays.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotEmpty`; `Forbidden`.
    pub async fn delete_bucket(&self, grant: &Grant, name: &BucketName) -> Result<()> {
        store::require(grant, Action::DeleteBucket, &Resource::Bucket(name.clone()))?;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, name).await?;
            let confirmed = self.confirm(&*read, grant, Some(&found), None).await?;
            Guard::at(self.host.clock.now()).check_bucket(&found.bucket.properties)?;
            let id = found.bucket.id;
            let shown = Scan::prefix(row_key::objects(id, ""), 1);
            if !view::scan(&*read, &found.bucket, &shown).await?.is_empty() {
                let message = format!("bucket {name} still holds objects");
                return Err(Error::new(ErrorKind::NotEmpty, message));
            }
            if found.bucket.snapshots.live > 0 {
                let all = snapshot::all_live(&*read, id).await?;
                if all.iter().all(|live| live.hidden) {
                    // Its clones need it still.
                    let mut expectations = self.nothing_in(&*read, &found).await?;
                    expectations.push(confirmed);
                    if self.bury(&found, expectations).await? {
                        return Ok(());
                    }
                    continue;
                }
                let message = format!("bucket {name} still holds snapshots");
                return Err(Error::new(ErrorKind::NotEmpty, message));
            }
            if found.bucket.clone_of.is_some() {
                drop(read);
                self.detach(&found).await?;
                continue;
            }
            let cuts = row_key::of_bucket(row_key::CUT, id);
            if !read.scan(&Scan::prefix(cuts, 1)).await?.is_empty() {
                drop(read);
                self.forget_cuts(id).await?;
                continue;
            }
            let mut expectations = self.nothing_in(&*read, &found).await?;
            for (table, what) in MORE_HOLDS {
                expectations.extend(nothing(&*read, &found, table, what).await?);
            }
            expectations.push(confirmed);
            drop(read);
            let mut writes = erasure(&found.bucket);
            let owner = &found.bucket.owner;
            let deleted = Event::of_bucket(EventKind::BucketDeleted, &found.bucket.name, owner);
            writes.extend(feed::append(self.host.clock.now(), &[deleted])?);
            let commit = Commit {
                expectations,
                writes,
                urgency: Urgency::Freeing,
                ..Commit::default()
            };
            if self.try_commit(commit).await? {
                self.waiting.wake();
                return Ok(());
            }
        }
        Err(store::conflict())
    }
}

/// Expects, and finds, that a bucket has no rows in a table.
async fn nothing(
    read: &dyn MetaRead,
    found: &FoundBucket,
    table: u8,
    what: &str,
) -> Result<Option<Expectation>> {
    let rows = row_key::of_bucket(table, found.bucket.id);
    let some = read.scan(&Scan::prefix(rows.clone(), 1)).await?;
    if !some.is_empty() {
        let message = format!("bucket {} still holds {what}", found.bucket.name);
        return Err(Error::new(ErrorKind::NotEmpty, message));
    }
    let end = row_key::end_of(&rows);
    Ok(end.map(|end| Expectation::EmptyRange(rows, end)))
}

/// What takes an empty bucket away.
pub(crate) fn erasure(bucket: &Bucket) -> Vec<Write> {
    let delete = |key| Write::Delete { key };
    let (id, account) = (bucket.id, &bucket.owner.account);
    let mut writes = vec![
        delete(row_key::bucket(id)),
        delete(row_key::account_bucket(account, &bucket.name)),
    ];
    writes.extend(store::count_bucket(account, &bucket.name, -1));
    let counts = [
        Count::Objects,
        Count::Bytes,
        Count::Versions,
        Count::VersionBytes,
        Count::Kept,
        Count::KeptBytes,
        Count::Cut,
        Count::CutBytes,
    ];
    writes.extend(counts.map(|count| delete(row_key::bucket_counter(id, count))));
    if bucket.name.account().is_none() {
        writes.push(delete(row_key::bucket_name(&bucket.name)));
    }
    writes
}

/// The global name that a new bucket of this name takes: none when it is taken or not legal.
async fn global_name(read: &dyn MetaRead, name: &BucketName) -> Result<Option<BucketName>> {
    let Ok(global) = BucketName::parse(name.local()) else {
        return Ok(None);
    };
    let taken = read.get(&row_key::bucket_name(&global)).await?.is_some();
    Ok((!taken).then_some(global))
}

/// The one commit of a bucket's creation.
fn creation(bucket: &Bucket, account: Expectation, global: Option<BucketName>) -> Result<Commit> {
    let id = bytes::Bytes::copy_from_slice(bucket.id.0.as_bytes());
    let list_key = row_key::account_bucket(&bucket.owner.account, &bucket.name);
    let mut expectations = vec![account, Expectation::Absent(list_key.clone())];
    let put = |key, value| Write::Put {
        key,
        value,
        body: None,
    };
    let mut writes = vec![
        put(
            row_key::bucket(bucket.id),
            BucketRecord::new(bucket)?.to_value()?,
        ),
        put(list_key, id.clone()),
    ];
    writes.extend(store::count_bucket(&bucket.owner.account, &bucket.name, 1));
    let created = Event::of_bucket(EventKind::BucketCreated, &bucket.name, &bucket.owner);
    writes.extend(feed::append(bucket.created, &[created])?);
    if let Some(global) = global {
        let name_key = row_key::bucket_name(&global);
        expectations.push(Expectation::Absent(name_key.clone()));
        writes.push(put(name_key, id));
    }
    Ok(Commit {
        expectations,
        writes,
        ..Commit::default()
    })
}

pub(crate) async fn usage(read: &dyn MetaRead, bucket: BucketId) -> Result<BucketUsage> {
    let key = |count| row_key::bucket_counter(bucket, count);
    Ok(BucketUsage {
        objects: store::counter(read, &key(Count::Objects)).await?,
        bytes: store::counter(read, &key(Count::Bytes)).await?,
        versions: store::counter(read, &key(Count::Versions)).await?,
        version_bytes: store::counter(read, &key(Count::VersionBytes)).await?,
        snapshot_bytes: store::counter(read, &key(Count::KeptBytes)).await?,
    })
}

/// The walk over an account's list that a listing asks for.
fn bucket_scan(list: &ListBuckets) -> Scan {
    let prefix = row_key::account_buckets(&list.account, &list.prefix);
    let mut scan = Scan::prefix(prefix.clone(), LIST_SCAN_ROWS);
    scan.reverse = list.reverse;
    let (low, high) = match list.reverse {
        false => (&list.after, &list.until),
        true => (&list.until, &list.after),
    };
    let key = |name: &String| row_key::account_buckets(&list.account, name);
    if let Some(low) = low.as_ref().map(key).filter(|low| *low >= prefix) {
        scan.from = Bound::Excluded(low);
    }
    if let Some(high) = high.as_ref().map(key)
        && !matches!(&scan.until, Bound::Excluded(end) if *end <= high)
    {
        scan.until = Bound::Excluded(high);
    }
    scan
}

pub(crate) fn check_limit(limit: usize) -> Result<()> {
    if limit > LIST_LIMIT_MAX {
        return Err(Error::invalid(format!(
            "a page has at most {LIST_LIMIT_MAX} items"
        )));
    }
    Ok(())
}

/// The bucket that a row of an account's list leads to, if it is to be listed: no hidden one, and no
/// snapshot.
async fn listed_bucket(read: &dyn MetaRead, item: &ScanItem) -> Result<Option<Bucket>> {
    let dangling = || Error::corrupt("an account's list holds a bucket that does not exist");
    let ScanItem::Row(_, row) = item else {
        return Err(dangling());
    };
    if row_key::split_snapshot_place(&row.value).is_some() {
        return Ok(None);
    }
    let id = store::bucket_id(&row.value)?;
    let row = read.get(&row_key::bucket(id)).await?.ok_or_else(dangling)?;
    let bucket = BucketRecord::from_value(&row.value)?.into_bucket(id)?;
    Ok((!bucket.name.is_hidden()).then_some(bucket))
}
