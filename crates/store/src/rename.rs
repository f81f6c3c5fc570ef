//! Renaming: an object keeps its id, its versions and their ids, and moves with its bytes in place.

use crate::feed::EventKind;
use crate::layer::Hold;
use crate::nouns::{PutOutcome, RenameObject};
use crate::placement::{Changes, Slot, Tally};
use crate::properties::Versioning;
use crate::protection::Guard;
use crate::read::{attached, missing};
use crate::record::{ObjectRecord, Record};
use crate::removal::ERASE_ROWS_MAX;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, FoundObject, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, ErrorKind, Key, Result};
use trestle_engine::{Body, MetaRead, Urgency, Write};

impl Store {
    /// Renames an object, within its bucket or into another. It keeps its id, its version and its
    /// history; what the target holds is replaced, when that keeps no versions.
    ///
    /// The grants: `DeleteObject` on the source, `WriteObject` on the target.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)`; `PreconditionFailed`; `Locked`; `InvalidState` when
    /// the target has versions of its own, or its bucket cannot keep those of the source;
    /// `InvalidInput` when both are the same; `TooLarge` for a very long history; `QuotaExceeded`;
    /// `Forbidden`; `Conflict`.
    pub async fn rename(&self, grants: &[Grant], rename: &RenameObject) -> Result<PutOutcome> {
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let moved = self.plan_rename(&*read, grants, rename).await?;
            drop(read);
            let (from, urgency) = (moved.from, Urgency::Normal);
            let committed = moved.changes.commit(self, &from.bucket, &mut hold, urgency);
            if committed.await? {
                return Ok(moved.outcome);
            }
        }
        Err(store::conflict())
    }

    /// Works out the one commit of a rename.
    pub(crate) async fn plan_rename(
        &self,
        read: &dyn MetaRead,
        grants: &[Grant],
        rename: &RenameObject,
    ) -> Result<Moved> {
        let source = Resource::Object(rename.bucket.clone(), rename.key.clone());
        let target = Resource::Object(rename.to_bucket.clone(), rename.to_key.clone());
        let delete = store::granted(grants, &[Action::DeleteObject], &source)?;
        let write = store::granted(grants, &[Action::WriteObject], &target)?;
        if source == target {
            return Err(Error::invalid("an object cannot be renamed to itself"));
        }
        let mut from = Slot::find(read, &rename.bucket, &rename.key).await?;
        let mut to = Slot::find(read, &rename.to_bucket, &rename.to_key).await?;
        from.confirm(self, read, delete).await?;
        to.confirm(self, read, write).await?;
        if from.is_of(&to.bucket) && from.key == to.key {
            return Err(Error::invalid("an object cannot be renamed to itself"));
        }
        store::check_precondition(&rename.precondition, rename.tag_of, from.live(self))?;
        store::check_precondition(&rename.target, rename.tag_of, to.live(self))?;
        let Some(live) = from.live(self) else {
            let bucket = &from.bucket.bucket;
            return Err(missing(read, bucket, &rename.key).await?);
        };
        let mut object = live.object.clone();
        object.key = rename.to_key.clone();
        let created = to.live(self).is_none();
        let guard = Guard::at(self.host.clock.now());
        let cleared = to.clear(self, read, guard).await?;
        let mut changes = from.relocate(self, read, (&to.bucket, &to.key)).await?;
        changes.merge(cleared, from.is_of(&to.bucket), &to.bucket);
        changes.tell(EventKind::Removed, &from, &live.object);
        changes.tell(EventKind::Written, &to, &object);
        let outcome = PutOutcome { object, created };
        Ok(Moved {
            from,
            changes,
            outcome,
        })
    }
}

/// What a rename is going to commit.
pub(crate) struct Moved {
    pub(crate) from: Slot,
    pub(crate) changes: Changes,
    pub(crate) outcome: PutOutcome,
}

impl Slot {
    /// Whether it is of this bucket.
    pub(crate) fn is_of(&self, bucket: &FoundBucket) -> bool {
        self.bucket.bucket.id == bucket.bucket.id
    }

    /// Makes the key hold nothing, so that another object can be moved to it.
    async fn clear(&self, store: &Store, read: &dyn MetaRead, guard: Guard) -> Result<Changes> {
        self.check_held()?;
        match (&self.current, self.versioning()) {
            (None, _) if self.former().is_none() => Ok(Changes::expecting(self.expectations())),
            (Some(current), Versioning::Off) => {
                let current_row = current.row.clone();
                let mut changes = self.remove(store, read, current, guard).await?;
                // What is moved there writes these.
                changes.writes.retain(|write| *write.key() != current_row);
                Ok(changes)
            }
            _ => Err(Error::new(
                ErrorKind::InvalidState,
                "the target has versions, which a rename would mix with others",
            )),
        }
    }

    /// Moves all versions of the key to another one, at which there is nothing. `read` is the
    /// snapshot that the slot is from.
    pub(crate) async fn relocate(
        &self,
        store: &Store,
        read: &dyn MetaRead,
        to: (&FoundBucket, &Key),
    ) -> Result<Changes> {
        let guard = Guard::at(store.host.clock.now());
        let mut changes = Changes::expecting(self.expectations());
        let history = self.history(read, ERASE_ROWS_MAX + 1).await?;
        if history.len() > ERASE_ROWS_MAX {
            let message = format!("an object with more than {ERASE_ROWS_MAX} former versions");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        if !history.is_empty() && to.0.bucket.properties.versioning == Versioning::Off {
            let message = "the target's bucket does not keep versions";
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        let (mut tally, target) = (Tally::default(), row_key::object(to.0.bucket.id, to.1));
        for version in self.current.iter().chain(&history) {
            guard.check(&version.object)?;
            tally.add(match version.is_current() {
                true => Tally::current(&version.object),
                false => Tally::version(&version.object),
            });
            if !version.is_current() {
                changes.expectations.push(version.expectation());
            }
            self.relocate_row(store, version, to, &mut changes).await?;
        }
        if let Some(former) = self.former() {
            let place = row_key::place(&target);
            changes.put(row_key::object_id(former.id), place, None);
        }
        if !self.is_of(to.0) {
            changes.tally.take(tally);
            changes.count_in(&to.0.bucket, tally);
        }
        Ok(changes)
    }

    async fn relocate_row(
        &self,
        store: &Store,
        version: &FoundObject,
        (bucket, key): (&FoundBucket, &Key),
        changes: &mut Changes,
    ) -> Result<()> {
        let (from, to) = (self.bucket.bucket.id, bucket.bucket.id);
        let mut object = version.object.clone();
        object.key = key.clone();
        let body = attached(store, version).await?.map(Body::Attached);
        let value = ObjectRecord::new(&object)?.to_value()?;
        changes.delete(version.row.clone());
        if version.is_current() {
            changes.put(row_key::object(to, key), value, body);
            if let Some(expires) = object.expires {
                changes.delete(row_key::expiry(expires, from, &self.key));
                let row = row_key::expiry(expires, to, key);
                changes.put(row, bytes::Bytes::new(), None);
            }
            return Ok(());
        }
        let row = row_key::version(to, key, object.ordinal);
        let place = row_key::place(&row);
        changes.put(row, value, body);
        changes.put(row_key::version_id(object.version), place.clone(), None);
        if object.null_version {
            changes.delete(row_key::null_version(from, &self.key));
            changes.put(row_key::null_version(to, key), place, None);
        }
        Ok(())
    }
}

impl Changes {
    /// Adds what another change of the same commit does: of the same bucket, or of `bucket`.
    fn merge(&mut self, other: Changes, same: bool, bucket: &FoundBucket) {
        for expectation in other.expectations {
            if !self.expectations.contains(&expectation) {
                self.expectations.push(expectation);
            }
        }
        // A row that one of them removes and the other writes is written.
        let written =
            |key: &bytes::Bytes, writes: &[Write]| writes.iter().any(|write| write.key() == key);
        let more = other.writes.into_iter();
        let more: Vec<_> = more
            .filter(|write| !written(write.key(), &self.writes))
            .collect();
        self.writes.extend(more);
        self.released.extend(other.released);
        self.events.extend(other.events);
        if same {
            self.tally.add(other.tally);
            return;
        }
        self.count_in(&bucket.bucket, other.tally);
    }
}
