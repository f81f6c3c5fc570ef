//! Making a former version current again, as it is: it keeps its id, its time and its place among the
//! versions of its key, and what was current goes into history.

use crate::layer::Hold;
use crate::nouns::{Object, VersionRef};
use crate::placement::{self, Changes, Slot};
use crate::read;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, Error, Key, Noun, Result};
use trestle_engine::{MetaRead, Urgency};

/// What a try found.
struct Attempt {
    slot: Slot,
    object: Object,
    /// None when the version is current already.
    changes: Option<Changes>,
}

impl Store {
    /// Makes a version of a key its current object again. Nothing is lost by it: whatever was current
    /// goes into history, a null version too.
    ///
    /// The grants: `WriteObject` and `ReadObjectVersion` on the object.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Version)`; `NotFound(Object)`, with the marker, for a delete marker;
    /// `InvalidState` when the key holds a volume or a snapshot; `QuotaExceeded`; `Conflict` when
    /// concurrent writes of the key keep winning; `Forbidden`.
    pub async fn reinstate(
        &self,
        grants: &[Grant],
        bucket: &BucketName,
        key: &Key,
        version: VersionRef,
    ) -> Result<Object> {
        self.own(bucket, [key], Urgency::Normal).await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let attempt = self.try_reinstate(&*read, grants, (bucket, key, version));
            let Some(attempt) = attempt.await? else {
                continue;
            };
            drop(read);
            let Some(changes) = attempt.changes else {
                return Ok(attempt.object);
            };
            let (bucket, urgency) = (&attempt.slot.bucket, Urgency::Normal);
            if changes.commit(self, bucket, &mut hold, urgency).await? {
                return Ok(attempt.object);
            }
        }
        Err(store::conflict())
    }

    /// Works out the one commit; none when a concurrent change won.
    async fn try_reinstate(
        &self,
        read: &dyn MetaRead,
        grants: &[Grant],
        (bucket, key, version): (&BucketName, &Key, VersionRef),
    ) -> Result<Option<Attempt>> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let write = store::granted(grants, &[Action::WriteObject], &resource)?;
        let look = store::granted(grants, &[Action::ReadObjectVersion], &resource)?;
        let mut slot = Slot::find(read, bucket, key).await?;
        let found = placement::find_version(read, &slot.bucket.bucket, key, version).await?;
        slot.confirm(self, read, write).await?;
        let looked = self.confirm(read, look, Some(&slot.bucket), found.as_ref());
        let looked = looked.await?;
        slot.expect(vec![looked]);
        let found = found.ok_or_else(|| Error::not_found(Noun::Version, key))?;
        if found.object.is_marker() {
            return Err(read::is_marker(&found.object));
        }
        slot.check_held()?;
        slot.check_volume(&found.object.content)?;
        if found.is_current() {
            return Ok(Some(Attempt {
                object: found.object,
                changes: None,
                slot,
            }));
        }
        let mut changes = Changes::expecting(slot.expectations());
        if let Some(current) = &slot.current
            && !slot.retire(self, current, &mut changes).await?
        {
            return Ok(None);
        }
        let former = slot.current.as_ref().map(|current| &current.object);
        changes.expiry(slot.bucket.bucket.id, former, Some(&found.object));
        let newest = Some(slot.newest_ordinal()).filter(|newest| *newest > found.object.ordinal);
        let object = slot.promote(self, found, newest, &mut changes).await?;
        changes.tell(crate::feed::EventKind::Written, &slot, &object);
        Ok(Some(Attempt {
            slot,
            object,
            changes: Some(changes),
        }))
    }
}
