//! Freeing what only a snapshot showed that is gone: every kept row that no other snapshot shows, in
//! bounded commits that go on after a restart.
//!
//! A row is needed while a snapshot that is not newer than the one it was kept for is not older than
//! it. No snapshot that is yet to come needs one that is kept already, so nothing but the row itself is
//! expected to be unchanged.

use super::{all_live, clone};
use crate::bucket::erasure;
use crate::layer::Hold;
use crate::nouns::Live;
use crate::placement::{Changes, Tally};
use crate::record::{KeptRecord, ObjectRecord, Record, SnapshotRecord, SweepRecord};
use crate::row_key;
use crate::store::{self, Store};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::ops::Bound;
use trestle_core::{BucketId, ErrorKind, Result, Sequence};
use trestle_engine::{Commit, Expectation, MetaRead, Row, Scan, ScanItem, Urgency};

/// Commits of a sweep within the verb that deletes the snapshot, and within one `tidy`.
pub(super) const COMMITS_AT_ONCE: usize = 50;
/// Kept rows that one commit looks at.
const ROWS: usize = 1_000;
/// Sweeps that one `tidy` carries on.
const SWEEPS_MAX: usize = 100;

impl Store {
    /// Frees for a while what only snapshots showed that are gone. A part of [`Store::tidy`].
    ///
    /// # Errors
    /// The engine's; it will be tried again.
    pub async fn sweep_snapshots(&self) -> Result<()> {
        self.remove_unlinked().await?;
        let scan = Scan::prefix(row_key::sweeps(), SWEEPS_MAX);
        let rows = self.snapshot().await?.scan(&scan).await?;
        for item in rows {
            if let Some((bucket, ordinal)) = row_key::split_ordinal(item.key()) {
                self.sweep(bucket, ordinal, COMMITS_AT_ONCE).await?;
            }
        }
        Ok(())
    }

    /// Makes hidden snapshots go that no clone is of, as an earlier build could leave them: once through
    /// all snapshots after each start, a page at a time.
    async fn remove_unlinked(&self) -> Result<()> {
        let Some(after) = self.unlinked.lock().clone() else {
            return Ok(());
        };
        let read = self.snapshot().await?;
        let mut scan = Scan::prefix(row_key::snapshots(), ROWS);
        scan.from = Bound::Excluded(after);
        let page = read.scan(&scan).await?;
        for item in &page {
            if let ScanItem::Row(key, row) = item
                && let Some((base, live)) = hidden(key, row)
                && read
                    .scan(&Scan::prefix(row_key::links(base, live.ordinal), 1))
                    .await?
                    .is_empty()
                && !self.remove_one(&*read, (base, &live), (key, row)).await?
            {
                // It changed meanwhile, and is looked at again.
                return Ok(());
            }
        }
        let last = page.last().filter(|_| page.len() == ROWS);
        *self.unlinked.lock() = last.map(|item| item.key().clone());
        Ok(())
    }

    /// Whether no concurrent change won.
    async fn remove_one(
        &self,
        read: &dyn MetaRead,
        (base, live): (BucketId, &Live),
        (key, row): (&Bytes, &Row),
    ) -> Result<bool> {
        let mut commit = Commit {
            expectations: vec![Expectation::Revision(key.clone(), row.revision)],
            urgency: Urgency::Freeing,
            ..Commit::default()
        };
        match clone::leave_none(read, &mut commit, (base, live), None).await {
            Ok(()) => self.try_commit(commit).await,
            // That is for the check to tell; the others are tidied still.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Carries on one sweep, in at most so many commits.
    pub(super) fn sweep(
        &self,
        bucket: BucketId,
        ordinal: u64,
        commits: usize,
    ) -> BoxFuture<'_, Result<()>> {
        // What ends with it may be a clone, whose parent's sweep follows.
        async move {
            for _ in 0..commits {
                if !self.sweep_some(bucket, ordinal).await? {
                    break;
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// One commit of a sweep. Whether there may be more to do.
    async fn sweep_some(&self, bucket: BucketId, ordinal: u64) -> Result<bool> {
        let read = self.snapshot().await?;
        let sweep = row_key::sweep(bucket, ordinal);
        let Some(row) = read.get(&sweep).await? else {
            return Ok(false);
        };
        let Some(found) = store::find_bucket_by_id(&*read, bucket).await? else {
            return Ok(false);
        };
        let mut record = SweepRecord::from_value(&row.value)?;
        let start = row_key::kept_from(bucket, record.prefix.as_deref().unwrap_or("").as_bytes());
        let mut scan = Scan::prefix(start, ROWS);
        if let Some(after) = &record.after {
            scan.from = Bound::Excluded(Bytes::copy_from_slice(after.as_slice()));
        }
        let page = read.scan(&scan).await?;
        let live = all_live(&*read, bucket).await?;
        let unchanged = Expectation::Revision(sweep.clone(), row.revision);
        let mut changes = Changes::expecting(vec![unchanged]);
        let whole = page.len() < ROWS;
        let ends = found.bucket.is_buried() && live.is_empty();
        if ends && found.bucket.clone_of.is_some() {
            drop(read);
            self.detach(&found).await?;
            return Ok(true);
        }
        if ends {
            self.forget_cuts(bucket).await?;
        }
        for item in page {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            record.after = Some(key.to_vec().into());
            changes.free_kept(key, &row, &live);
        }
        let freed = changes.tally != Tally::default();
        let others = row_key::of_bucket(row_key::SWEEP, bucket);
        let last = read.scan(&Scan::prefix(others, 2)).await?.len() == 1;
        // Its counters go last of all.
        let finished = whole && !(ends && last && freed);
        if finished {
            changes.delete(sweep);
            changes.expectations.extend(found.expectations());
            changes.forget_since(&*read, bucket, &live).await?;
            if ends && last {
                changes.writes.extend(erasure(&found.bucket));
            }
        } else {
            changes.put(sweep, record.to_value()?, None);
        }
        drop(read);
        let mut hold = Hold::default();
        let freeing = Urgency::Freeing;
        let applied = changes.commit(self, &found, &mut hold, freeing).await?;
        Ok(!finished || !applied)
    }
}

/// The snapshot of such a row, if nobody names it.
fn hidden(key: &[u8], row: &Row) -> Option<(BucketId, Live)> {
    let (base, ordinal) = row_key::split_ordinal(key)?;
    let record = SnapshotRecord::from_value(&row.value).ok()?;
    let live = record.into_live(ordinal, row.revision).ok()?;
    live.hidden.then_some((base, live))
}

impl Changes {
    /// Removes a kept row that no snapshot shows. One that cannot be read goes, too; what it referred
    /// to stays.
    fn free_kept(&mut self, key: Bytes, row: &Row, live: &[Live]) {
        let read = || {
            let (_, object_key, ordinal) = row_key::split_kept(&key)?;
            let kept = KeptRecord::from_value(&row.value).ok()?;
            let object = ObjectRecord::from_value(&kept.object).ok()?;
            let object = object.into_object(object_key).ok()?;
            Some((object, Sequence(kept.since), ordinal))
        };
        if let Some((object, since, ordinal)) = read() {
            let object_key = object.key.as_str();
            if live
                .iter()
                .any(|live| live.shows(object_key, since, ordinal))
            {
                return;
            }
            self.released.extend(object.layer());
            self.tally.take(Tally::kept(&object));
        }
        self.expectations
            .push(Expectation::Revision(key.clone(), row.revision));
        self.delete(key);
    }

    /// Removes the counters of changes since snapshots that all are older than those that there are.
    async fn forget_since(
        &mut self,
        read: &dyn MetaRead,
        bucket: BucketId,
        live: &[Live],
    ) -> Result<()> {
        let mut scan = Scan::prefix(row_key::all_since(bucket), ROWS);
        if let Some(oldest) = live.first() {
            scan.until = Bound::Excluded(row_key::since(bucket, oldest.ordinal));
        }
        for item in read.scan(&scan).await? {
            self.delete(item.key().clone());
        }
        Ok(())
    }
}
