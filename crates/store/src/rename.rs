//! Renaming: an object keeps its id, its versions and their ids, and moves with its bytes in place.

use crate::decider::Decider;
use crate::encryption::Encrypt;
use crate::feed::EventKind;
use crate::layer::Hold;
use crate::nouns::{Content, Object, PutOutcome, RenameObject, Source, VersionRef};
use crate::placement::{Changes, Slot, Tally, check_frozen};
use crate::properties::Versioning;
use crate::protection::Guard;
use crate::put::encrypt_of;
use crate::read::{attached, missing};
use crate::record::{ObjectRecord, Record};
use crate::recrypt::Taken;
use crate::removal::ERASE_ROWS_MAX;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, FoundObject, Store};
use std::sync::Arc;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, ErrorKind, Key, Precondition, Result, VersionId};
use trestle_engine::{Body, MetaRead, Urgency, Write};

impl Store {
    /// Renames an object, within its bucket or into another. It keeps its id, its version and its
    /// history; what the target holds is replaced, when that keeps no versions.
    ///
    /// The grants: `DeleteObject` on the source, `WriteObject` on the target. A move is a copy and a
    /// delete: whoever has them must be allowed `ReadObject` on the source as well, because under
    /// its new name it may be read by others, and with a history `ReadObjectVersion` and
    /// `DeleteObjectVersion`.
    ///
    /// Into a bucket that encrypts otherwise its bytes are encrypted anew.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)`; `PreconditionFailed`; `Locked`; `InvalidState` when
    /// the target has versions of its own, or its bucket cannot keep those of the source, or would
    /// encrypt them otherwise; `InvalidInput` when both are the same; `TooLarge` for a very long
    /// history; `WrongKey` for bytes that are to be encrypted anew and whose key the client keeps;
    /// `QuotaExceeded`; `Forbidden`; `Conflict`.
    pub async fn rename(&self, grants: &[Grant], rename: &RenameObject) -> Result<PutOutcome> {
        self.own(&rename.bucket, [&rename.key], Urgency::Normal)
            .await?;
        self.own(&rename.to_bucket, [&rename.to_key], Urgency::Normal)
            .await?;
        let mut hold = Hold::default();
        let mut taken: Option<Taken> = None;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let anew = self.to_reseal(&*read, grants, rename).await?;
            if let Some((of, grant, encrypt)) = anew
                && taken.as_ref().is_none_or(|taken| taken.of != of)
            {
                drop(read);
                // A read may wait for what is announced: not for this verb itself.
                hold = Hold::default();
                let source = Source {
                    bucket: rename.bucket.clone(),
                    key: rename.key.clone(),
                    version: VersionRef::Current,
                    precondition: Precondition::none(),
                    tag_of: rename.tag_of,
                    range: None,
                    key_of_client: None,
                    itself: true,
                };
                let bytes = self.take_source(&grant, &source, None, Some(encrypt));
                taken = Some(bytes.await?);
                continue;
            }
            let moved = self.plan_rename(&*read, grants, rename, taken.as_ref());
            let moved = moved.await?;
            drop(read);
            let (from, urgency) = (moved.from, Urgency::Normal);
            let committed = moved.changes.commit(self, &from.bucket, &mut hold, urgency);
            if committed.await? {
                return Ok(moved.outcome);
            }
        }
        Err(store::conflict())
    }

    /// Which bytes have to be encrypted anew for the target's bucket, how, and the grant
    /// to read them.
    async fn to_reseal(
        &self,
        read: &dyn MetaRead,
        grants: &[Grant],
        rename: &RenameObject,
    ) -> Result<Option<((VersionId, u64), Grant, Encrypt)>> {
        let to = store::find_bucket(read, &rename.to_bucket).await?;
        if to.bucket.properties.encryption.is_none() {
            return Ok(None);
        }
        let source = Resource::Object(rename.bucket.clone(), rename.key.clone());
        let delete = store::granted(grants, &[Action::DeleteObject], &source)?;
        let mut from = Slot::find(read, &rename.bucket, &rename.key).await?;
        from.confirm(self, read, delete).await?;
        let Some(live) = from.live(self) else {
            return Ok(None);
        };
        let Some(encrypt) = from.reseals(&to, &live.object) else {
            return Ok(None);
        };
        let mut decider = self.decider(read, delete.asked(), &from.bucket).await?;
        let readable = from.check_movable(read, &mut decider).await?;
        Ok(Some((live.object.bytes_since(), readable, encrypt)))
    }

    /// Works out the one commit of a rename; `taken` has the bytes as the target's bucket wants them
    /// encrypted.
    pub(crate) async fn plan_rename(
        &self,
        read: &dyn MetaRead,
        grants: &[Grant],
        rename: &RenameObject,
        taken: Option<&Taken>,
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
        let mut decider = self.decider(read, delete.asked(), &from.bucket).await?;
        from.check_movable(read, &mut decider).await?;
        if from.is_of(&to.bucket) && from.key == to.key {
            return Err(Error::invalid("an object cannot be renamed to itself"));
        }
        store::check_precondition(&rename.precondition, rename.tag_of, from.live(self))?;
        store::check_precondition(&rename.target, rename.tag_of, to.live(self))?;
        let Some(live) = from.live(self) else {
            let bucket = &from.bucket.bucket;
            return Err(missing(read, bucket, &rename.key).await?);
        };
        // Its name is that of its original and its own.
        check_frozen(&live.object)?;
        let needed = from.reseals(&to.bucket, &live.object).is_some();
        let of = live.object.bytes_since();
        let anew = taken.filter(|taken| needed && taken.of == of);
        let created = to.live(self).is_none();
        let guard = Guard::at(self.host.clock.now());
        let cleared = to.clear(self, read, guard).await?;
        let target = (&to.bucket, &to.key);
        let mut changes = from.relocate(self, read, target, anew).await?;
        let object = from.moved(self, live, target, anew);
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
        self.check_volume(&Content::Directory)?;
        match (&self.current, self.versioning()) {
            (None, _) if self.former().is_none() => Ok(Changes::expecting(self.expectations())),
            (Some(current), Versioning::Off) => {
                let current_row = current.row.clone();
                let mut changes = self.remove(store, read, (current, true), guard).await?;
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

    /// Whether who asks may take it all elsewhere: it, what describes it, and its history. The grant is
    /// for reading it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) async fn check_movable(
        &self,
        read: &dyn MetaRead,
        decider: &mut Decider,
    ) -> Result<Grant> {
        let current = self.current.as_ref();
        let carries = |has: fn(&Object) -> bool| current.is_some_and(|found| has(&found.object));
        let mut actions = vec![Action::DeleteObject];
        let metadata = carries(|object| !object.metadata.is_empty());
        actions.extend(metadata.then_some(Action::ReadObjectMetadata));
        actions.extend(carries(|object| !object.tags.is_empty()).then_some(Action::ReadObjectTags));
        decider.check(&actions, &self.key, current)?;
        let history = self.moving(read).await?;
        if !history.is_empty() {
            let mut actions = vec![Action::ReadObjectVersion, Action::DeleteObjectVersion];
            let mut versions = history.iter().map(|version| &version.object);
            let tagged = versions.any(|version| !version.tags.is_empty());
            actions.extend(tagged.then_some(Action::ReadObjectVersionTags));
            decider.check(&actions, &self.key, current)?;
        }
        decider.grant(Action::ReadObject, &self.key, current)
    }

    /// History as far as a move goes, and one more. Read once of the snapshot that the slot is from.
    async fn moving(&self, read: &dyn MetaRead) -> Result<Arc<[FoundObject]>> {
        if let Some(history) = self.moving.get() {
            return Ok(history.clone());
        }
        let history = self.history(read, ERASE_ROWS_MAX + 1).await?;
        Ok(self.moving.get_or_init(|| history.into()).clone())
    }

    /// How a version is to be encrypted in another bucket, when that is not how it is.
    fn reseals(&self, to: &FoundBucket, object: &Object) -> Option<Encrypt> {
        let wanted = encrypt_of(None, &to.bucket.properties)?;
        let has_bytes = matches!(object.content, Content::Data { .. });
        let differs = object.encryption.as_ref() != Some(&wanted.encryption());
        (!self.is_of(to) && has_bytes && differs).then_some(wanted)
    }

    /// A version as it is at another key, encrypted anew when its bytes were taken in.
    fn moved(
        &self,
        store: &Store,
        version: &FoundObject,
        (bucket, key): (&FoundBucket, &Key),
        anew: Option<&Taken>,
    ) -> Object {
        let mut object = version.object.clone();
        object.key = key.clone();
        if !version.is_current() || self.is_of(bucket) {
            return object;
        }
        let default = bucket.bucket.properties.lock.and_then(|lock| lock.default);
        let default = default.map(|default| default.starting(store.host.clock.now()));
        object.retention = object.retention.or(default);
        if let Some(anew) = anew {
            anew.encrypt(&mut object);
        }
        object
    }

    /// Moves all versions of the key to another one, at which there is nothing. `read` is the
    /// snapshot that the slot is from; `anew` has the current one's bytes as the target's bucket
    /// wants them encrypted.
    pub(crate) async fn relocate(
        &self,
        store: &Store,
        read: &dyn MetaRead,
        to: (&FoundBucket, &Key),
        anew: Option<&Taken>,
    ) -> Result<Changes> {
        let guard = Guard::at(store.host.clock.now());
        let mut changes = Changes::expecting(self.expectations());
        let history = self.moving(read).await?;
        if history.len() > ERASE_ROWS_MAX {
            let message = format!("an object with more than {ERASE_ROWS_MAX} former versions");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        if !history.is_empty() && to.0.bucket.properties.versioning == Versioning::Off {
            let message = "the target's bucket does not keep versions";
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        let (mut tally, target) = (Tally::default(), row_key::object(to.0.bucket.id, to.1));
        for version in self.current.iter().chain(&*history) {
            guard.check(&version.object)?;
            let anew = anew.filter(|_| version.is_current());
            let volume = matches!(version.object.content, Content::Volume { .. });
            let encrypts = encrypt_of(None, &to.0.bucket.properties).is_some();
            let plain_volume = volume && encrypts && !self.is_of(to.0);
            if plain_volume || anew.is_none() && self.reseals(to.0, &version.object).is_some() {
                let message = "the target's bucket encrypts otherwise";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            let acl = version.object.acl.as_ref().filter(|_| !self.is_of(to.0));
            if let Some(acl) = acl {
                let block = store.block_within(read, &to.0.bucket).await?;
                crate::authorize::check_written_acl(&block, (acl, None))?;
            }
            tally.add(match version.is_current() {
                true => Tally::current(&version.object),
                false => Tally::version(&version.object),
            });
            if !version.is_current() {
                changes.expectations.push(version.expectation());
            }
            self.relocate_row(store, (version, anew), to, &mut changes)
                .await?;
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
        (version, anew): (&FoundObject, Option<&Taken>),
        (bucket, key): (&FoundBucket, &Key),
        changes: &mut Changes,
    ) -> Result<()> {
        let (from, to) = (self.bucket.bucket.id, bucket.bucket.id);
        let object = self.moved(store, version, (bucket, key), anew);
        let body = match anew {
            Some(anew) => anew.bring(changes, &version.object)?,
            None => attached(store, version).await?.map(Body::Attached),
        };
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
