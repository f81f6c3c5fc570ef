//! The change feed: what happened to objects and buckets, in the order of commits.
//!
//! Each commit that changes something adds one row, under the commit's own sequence, so the feed says
//! neither more nor less than what happened. Whoever has read up to a sequence goes on after it,
//! without loss, also after a crash of either side. The feed is kept for a while (`AGE_MAX` unless set,
//! `SEQUENCES_MAX`); asking for what is no longer kept is an error, never a gap.

use crate::nouns::Object;
use crate::properties::OF_WRITE;
use crate::record::{FeedRecord, Record};
use crate::row_key;
use crate::store::{self, Store};
use futures::channel::oneshot;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    BucketName, Error, ErrorKind, Key, ObjectId, Owner, Result, Sequence, Timestamp, VersionId,
};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Urgency, Write};

/// How long what happened is told, in microseconds: a week.
pub(crate) const AGE_MAX: u64 = 7 * 24 * 3_600 * 1_000_000;
/// Commits after which what happened is told no longer, however young it is.
const SEQUENCES_MAX: u64 = 1_000_000;
/// Forgetting begins only so much of either limit later, and then goes on to the limit: it is a commit
/// itself, and each one would make another thing too old.
const LATE_PART: u64 = 100;
/// Rows that one call looks through.
const ROWS_MAX: usize = 10_000;
/// Rows that one commit forgets.
const TRIM_ROWS: usize = 1_000;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A key has new content.
    Written,
    /// An object's properties changed, its content did not.
    Updated,
    /// A delete marker became the newest version of a key, or its current object went into history
    /// and nothing took its place.
    Marked,
    /// A version, or what a key held without versions, is gone for good.
    Removed,
    /// A bucket was created.
    BucketCreated,
    /// A bucket is gone.
    BucketDeleted,
    /// Everything whose key starts with this is gone, or has a delete marker.
    TreeRemoved,
    /// Everything whose key starts with this is new here: it was renamed.
    TreeWritten,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// Where.
    pub bucket: BucketName,
    /// To which key.
    pub key: Option<Key>,
    /// To which object.
    pub object: Option<ObjectId>,
    /// To which version.
    pub version: Option<VersionId>,
    /// Size of its content in bytes.
    pub length: Option<u64>,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// When something is gone or marked: the version that the key showed until then, and no longer
    /// shows. None when what is gone was not what the key showed.
    pub former: Option<VersionId>,
    /// When it is gone because its end had come: what it was.
    pub ended: Option<Ended>,
}

/// What an object was whose end had come.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// When it last changed.
    pub modified: Timestamp,
    /// The documents of its write ([`OF_WRITE`]), unless it was changed since.
    pub documents: BTreeMap<String, String>,
}

impl Ended {
    pub(crate) fn of(object: &Object) -> Self {
        let documents = object.documents.iter();
        let of_write =
            |(name, _): &(&String, &String)| object.change == 0 && name.ends_with(OF_WRITE);
        let own = |(name, text): (&String, &String)| (name.clone(), text.clone());
        Ended {
            modified: object.modified,
            documents: documents.filter(of_write).map(own).collect(),
        }
    }
}

impl Event {
    /// Something happened to this object.
    pub(crate) fn of(kind: EventKind, bucket: &BucketName, object: &Object) -> Self {
        Event {
            kind,
            bucket: bucket.clone(),
            key: Some(object.key.clone()),
            object: Some(object.id),
            version: Some(object.version),
            length: Some(object.length()),
            owner: Some(object.owner.clone()),
            former: None,
            ended: None,
        }
    }

    /// Something happened to a bucket.
    pub(crate) fn of_bucket(kind: EventKind, bucket: &BucketName, owner: &Owner) -> Self {
        Event {
            kind,
            bucket: bucket.clone(),
            key: None,
            object: None,
            version: None,
            length: None,
            owner: Some(owner.clone()),
            former: None,
            ended: None,
        }
    }
}

/// What one commit did.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedEntry {
    /// The commit.
    pub sequence: Sequence,
    /// When it was made.
    pub time: Timestamp,
    /// What it did, in no order.
    pub events: Vec<Event>,
}

/// A read of the feed of a bucket.
#[derive(Clone, Debug)]
pub struct ReadFeed {
    /// The bucket.
    pub bucket: BucketName,
    /// Only what happened after this commit.
    pub after: Sequence,
    /// At most so many entries, 1 to 10,000.
    pub limit: usize,
}

/// Buckets in which something happened.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedBuckets {
    /// Their names.
    pub names: BTreeSet<BucketName>,
    /// Where to go on: nothing up to here is missing.
    pub last: Sequence,
    /// Whether there may be more already.
    pub more: bool,
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedPage {
    /// In the order of commits.
    pub entries: Vec<FeedEntry>,
    /// Where to go on: nothing of the bucket up to here is missing.
    pub last: Sequence,
    /// Whether there may be more already.
    pub more: bool,
}

/// Whom to wake when something has happened.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Vec<oneshot::Sender<()>>>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Waiting {
    /// Wakes everybody.
    pub(crate) fn wake(&self) {
        for waiting in self.0.lock().drain(..) {
            // Who no longer waits need not be woken.
            let _gone = waiting.send(());
        }
    }
}

/// The write that tells what a commit does; none when it does nothing to tell.
pub(crate) fn append(now: Timestamp, events: &[Event]) -> Result<Option<Write>> {
    if events.is_empty() {
        return Ok(None);
    }
    Ok(Some(Write::Append {
        key: row_key::feed(),
        value: FeedRecord::new(now, events).to_value()?,
    }))
}

impl Store {
    /// The newest commit that readers see: where somebody starts who wants nothing of the past.
    ///
    /// # Errors
    /// The engine's.
    pub async fn newest_sequence(&self) -> Result<Sequence> {
        Ok(self.snapshot().await?.sequence())
    }

    /// What happened in a bucket.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `Forbidden`; `InvalidInput` for a limit out of range or a sequence that
    /// is yet to come; `NoLongerKept`.
    pub async fn read_feed(&self, grant: &Grant, read_feed: &ReadFeed) -> Result<FeedPage> {
        let ReadFeed {
            bucket,
            after,
            limit,
        } = read_feed;
        store::require(
            grant,
            Action::ListObjects,
            &Resource::Bucket(bucket.clone()),
        )?;
        if *limit == 0 || *limit > ROWS_MAX {
            return Err(Error::invalid(format!(
                "a part of the feed has 1 to {ROWS_MAX} entries"
            )));
        }
        let read = self.snapshot().await?;
        let found = store::find_bucket(&*read, bucket).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let (rows, exhausted) = rows_after(&*read, *after).await?;
        let mut page = FeedPage {
            entries: Vec::new(),
            last: *after,
            more: true,
        };
        for item in rows {
            let mut entry = entry(item)?;
            // By whichever of its names the bucket was asked for.
            entry
                .events
                .retain(|event| event.bucket == found.bucket.name);
            if !entry.events.is_empty() {
                if page.entries.len() == *limit {
                    return Ok(page);
                }
                page.last = entry.sequence;
                page.entries.push(entry);
            } else {
                page.last = entry.sequence;
            }
        }
        if exhausted {
            page.last = read.sequence();
            page.more = false;
        }
        Ok(page)
    }

    /// The buckets in which something happened after a commit, by the names that they had then. No
    /// grant: only to find out whose feeds are worth reading.
    ///
    /// # Errors
    /// `InvalidInput` for a sequence that is yet to come; `NoLongerKept`.
    pub async fn changed_buckets(&self, after: Sequence) -> Result<ChangedBuckets> {
        let read = self.snapshot().await?;
        let (rows, exhausted) = rows_after(&*read, after).await?;
        let mut changed = ChangedBuckets {
            names: BTreeSet::new(),
            last: after,
            more: !exhausted,
        };
        for item in rows {
            let entry = entry(item)?;
            changed.last = entry.sequence;
            changed
                .names
                .extend(entry.events.into_iter().map(|event| event.bucket));
        }
        if exhausted {
            changed.last = read.sequence();
        }
        Ok(changed)
    }

    /// Ends when something has happened through this store since it was called. To be called before
    /// the feed is read, so that nothing falls between the two; of what other stores over the same
    /// engine do it knows nothing.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + use<> {
        let (wake, woken) = oneshot::channel();
        let mut waiting = self.waiting.0.lock();
        waiting.retain(|other| !other.is_canceled());
        waiting.push(wake);
        drop(waiting);
        async move {
            // An error means that the store is gone: there is nothing left to wait for.
            let _woken = woken.await;
        }
    }

    /// Keeps what happened for so long, rather than for a week.
    pub fn set_feed_age(&self, age: Duration) {
        let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.feed_age.store(micros, Ordering::Relaxed);
    }

    /// Forgets what is too old. To be called every few seconds.
    pub(crate) async fn trim_feed(&self) -> Result<()> {
        let mut begun = false;
        loop {
            let read = self.snapshot().await?;
            let (_, revision) = forgotten(&*read).await?;
            let age = self.feed_age.load(Ordering::Relaxed);
            let (now, sequence) = (self.host.clock.now().0, read.sequence().0);
            let is_old = |entry: &FeedEntry, late: bool| {
                let limit = |limit: u64| limit.saturating_add(u64::from(late) * limit / LATE_PART);
                entry.time.0 < now.saturating_sub(limit(age))
                    || entry.sequence.0 < sequence.saturating_sub(limit(SEQUENCES_MAX))
            };
            let rows = read.scan(&Scan::prefix(row_key::feed(), TRIM_ROWS)).await?;
            drop(read);
            let mut writes = Vec::new();
            let mut last = Sequence(0);
            for item in rows {
                let key = item.key().clone();
                let entry = entry(item)?;
                if !is_old(&entry, !begun) {
                    break;
                }
                begun = true;
                last = entry.sequence;
                writes.push(Write::Delete { key });
            }
            let more = writes.len() == TRIM_ROWS;
            if writes.is_empty() {
                return Ok(());
            }
            let key = row_key::feed_forgotten();
            writes.push(Write::Put {
                key: key.clone(),
                value: bytes::Bytes::copy_from_slice(&last.0.to_be_bytes()),
                body: None,
            });
            let commit = Commit {
                expectations: vec![match revision {
                    Some(revision) => Expectation::Revision(key, revision),
                    None => Expectation::Absent(key),
                }],
                writes,
                urgency: Urgency::Freeing,
                ..Commit::default()
            };
            if !self.try_commit(commit).await? || !more {
                return Ok(());
            }
        }
    }
}

/// The rows of the feed after a commit, as many as one call looks through, and whether that is all.
async fn rows_after(read: &dyn MetaRead, after: Sequence) -> Result<(Vec<ScanItem>, bool)> {
    if after > read.sequence() {
        return Err(Error::invalid("nothing has happened there yet"));
    }
    if after < forgotten(read).await?.0 {
        let message = "what happened then is no longer kept";
        return Err(Error::new(ErrorKind::NoLongerKept, message));
    }
    let mut scan = Scan::prefix(row_key::feed(), ROWS_MAX);
    scan.from = Bound::Excluded(row_key::feed_entry(after));
    let rows = read.scan(&scan).await?;
    let exhausted = rows.len() < ROWS_MAX;
    Ok((rows, exhausted))
}

/// Up to which commit the feed is no longer kept, and the revision of the row that says so.
async fn forgotten(read: &dyn MetaRead) -> Result<(Sequence, Option<Sequence>)> {
    let Some(row) = read.get(&row_key::feed_forgotten()).await? else {
        return Ok((Sequence(0), None));
    };
    let malformed = || Error::corrupt("the start of the feed is malformed");
    let sequence = <[u8; 8]>::try_from(&row.value[..]).map_err(|_| malformed())?;
    let sequence = Sequence(u64::from_be_bytes(sequence));
    Ok((sequence, Some(row.revision)))
}

/// An entry of the feed.
pub(crate) fn entry(item: ScanItem) -> Result<FeedEntry> {
    let malformed = || Error::corrupt("an entry of the feed has a malformed row key");
    let ScanItem::Row(key, row) = item else {
        return Err(malformed());
    };
    if row_key::feed_entry(row.revision) != key {
        return Err(malformed());
    }
    FeedRecord::from_value(&row.value)?.into_entry(row.revision)
}
