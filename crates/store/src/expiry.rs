//! Objects that end at a time: from then on they read as if they were not there, and a job deletes
//! them.
//!
//! Only a current object expires: one that goes into history stays there. Every current object with
//! an end has a row in table `36`, so that the job finds what is due without looking at the rest.

use crate::feed::Ended;
use crate::layer::Hold;
use crate::nouns::{Object, VersionRef};
use crate::placement::{Changes, Slot};
use crate::properties::Versioning;
use crate::protection::Guard;
use crate::record::{BucketRecord, Record};
use crate::row_key;
use crate::store::{FoundBucket, FoundObject, Store};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;
use trestle_core::{BucketId, Error, ErrorKind, Result, Timestamp};
use trestle_engine::{MetaRead, Scan, Urgency};

/// Rows that are read at once.
const PAGE_ROWS: usize = 256;

impl Object {
    /// Whether it has ended.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl FoundBucket {
    /// Whether what is found under `version` is not to be had once it has ended: unless it is named
    /// as a version that stays in history then, or as what has ended.
    pub(crate) fn ends(&self, found: &FoundObject, version: VersionRef) -> bool {
        let goes = match self.bucket.properties.versioning {
            Versioning::Off => true,
            Versioning::Enabled => false,
            Versioning::Suspended => found.object.null_version,
        };
        match version {
            VersionRef::Ended => false,
            VersionRef::Current => true,
            VersionRef::Null | VersionRef::Id(_) => goes && found.is_current(),
        }
    }
}

impl Slot {
    /// The current object, unless it has ended.
    pub(crate) fn live(&self, store: &Store) -> Option<&FoundObject> {
        let now = store.host.clock.now();
        self.current
            .as_ref()
            .filter(|current| !current.object.has_expired(now))
    }
}

impl Changes {
    /// The row that leads to what is current, by its end: of `former` and of `new`.
    pub(crate) fn expiry(
        &mut self,
        bucket: BucketId,
        former: Option<&Object>,
        new: Option<&Object>,
    ) {
        let row = |object: &Object| {
            let expires = object.expires?;
            Some(row_key::expiry(expires, bucket, &object.key))
        };
        let (former, new) = (former.and_then(row), new.and_then(row));
        if former == new {
            return;
        }
        if let Some(former) = former {
            self.delete(former);
        }
        if let Some(new) = new {
            self.put(new, Bytes::new(), None);
        }
    }
}

impl Store {
    /// For how long what has ended is kept before it is deleted: nobody reads it, but who asks for
    /// [`VersionRef::Ended`].
    pub fn set_expiry_delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.expiry_delay.store(micros, Ordering::Relaxed);
    }

    /// The delay that [`Store::set_expiry_delay`] sets.
    pub fn expiry_delay(&self) -> Duration {
        Duration::from_micros(self.expiry_delay.load(Ordering::Relaxed))
    }

    /// Deletes what has ended, at most so many objects, as their buckets' versioning says, and says
    /// how many. What is protected stays until it is not; what ended less than the delay ago stays,
    /// too ([`Store::set_expiry_delay`]). Meant to be called every few seconds.
    ///
    /// # Errors
    /// The engine's.
    pub async fn expire_due(&self, limit: usize) -> Result<u64> {
        let delay = self.expiry_delay.load(Ordering::Relaxed);
        let now = self.host.clock.now();
        let now = Timestamp(now.0.saturating_sub(delay));
        let mut deleted = 0;
        let mut scan = Scan {
            from: Bound::Included(row_key::expiries()),
            until: Bound::Excluded(row_key::expiries_after(now)),
            reverse: false,
            limit: PAGE_ROWS,
            collapse: None,
        };
        loop {
            let page = self.snapshot().await?.scan(&scan).await?;
            let more = page.len() == PAGE_ROWS;
            for item in page {
                if deleted == limit as u64 {
                    return Ok(deleted);
                }
                scan.from = Bound::Excluded(item.key().clone());
                match self.expire(item.key(), now).await {
                    Ok(gone) => deleted += u64::from(gone),
                    Err(error) if error.kind() == ErrorKind::Locked => {}
                    Err(error) => return Err(error),
                }
            }
            if !more {
                return Ok(deleted);
            }
        }
    }

    /// Deletes the object that a row leads to, if it had ended by `due`. Not, when it has changed
    /// meanwhile.
    async fn expire(&self, row: &Bytes, due: Timestamp) -> Result<bool> {
        let (bucket, key) = row_key::split_expiry(row)
            .ok_or_else(|| Error::corrupt("a row of an expiry with a malformed key"))?;
        let read = self.snapshot().await?;
        let Some(name) = bucket_name(&*read, bucket).await? else {
            return Ok(false);
        };
        let slot = Slot::find(&*read, &name, &key).await?;
        let Some(current) = &slot.current else {
            return Ok(false);
        };
        if !current.object.has_expired(due) {
            return Ok(false);
        }
        let guard = Guard::at(self.host.clock.now());
        let mut changes = match slot.versioning() {
            Versioning::Off => slot.remove(self, &*read, (current, true), guard).await?,
            Versioning::Enabled | Versioning::Suspended => {
                let owner = current.object.owner.clone();
                match slot.mark(self, owner, guard).await? {
                    Some((changes, _)) => changes,
                    None => return Ok(false),
                }
            }
        };
        for event in &mut changes.events {
            event.ended = Some(Ended::of(&current.object));
        }
        drop(read);
        let mut hold = Hold::default();
        let urgency = Urgency::Freeing;
        changes.commit(self, &slot.bucket, &mut hold, urgency).await
    }
}

async fn bucket_name(
    read: &dyn MetaRead,
    bucket: BucketId,
) -> Result<Option<trestle_core::BucketName>> {
    let row = read.get(&row_key::bucket(bucket)).await?;
    row.map(|row| BucketRecord::from_value(&row.value)?.into_bucket(bucket))
        .transpose()
        .map(|bucket| bucket.map(|bucket| bucket.name))
}
