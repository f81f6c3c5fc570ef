//! What goes when a key, or one version of it, is deleted, and what comes forward in its place.

use crate::feed::EventKind;
use crate::nouns::{Content, Object};
use crate::placement::{Changes, Draft, Slot, Tally};
use crate::properties::{ObjectProperties, Versioning, Written};
use crate::protection::Guard;
use crate::read::attached;
use crate::record::{ObjectRecord, Record};
use crate::row_key;
use crate::store::{FoundObject, Store};
use std::ops::Bound;
use trestle_core::{Digests, Error, Noun, Owner, Result};
use trestle_engine::{Body, Expectation, MetaRead, Scan, ScanItem};

/// Versions that one commit erases.
pub(crate) const ERASE_ROWS_MAX: usize = 250;

impl Slot {
    /// Deletes the current object of a bucket that keeps versions: it goes into history, or goes if
    /// it is the null version and versioning is suspended, and a delete marker becomes the newest
    /// version. None when a concurrent change won.
    pub(crate) async fn mark(
        &self,
        store: &Store,
        owner: Owner,
        guard: Guard,
    ) -> Result<Option<(Changes, Object)>> {
        let marker = self.object(
            store,
            Draft {
                owner: Some(owner),
                content: Content::DeleteMarker,
                digests: Digests::default(),
                encryption: None,
                written: Written::Whole,
                checksum: None,
                properties: ObjectProperties::default(),
            },
        );
        let id = self.bucket.bucket.id;
        let Some(mut changes) = self.make_way(store, guard).await? else {
            return Ok(None);
        };
        if let Some(current) = &self.current {
            changes.delete(row_key::object(id, &self.key));
            changes.expiry(id, Some(&current.object), None);
        }
        if self.former().is_none() {
            let row = row_key::object(id, &self.key);
            changes.put(row_key::object_id(marker.id), row_key::place(&row), None);
        }
        let row = row_key::version(id, &self.key, marker.ordinal);
        self.index_version(&mut changes, &marker, &row);
        changes.put(row, ObjectRecord::new(&marker)?.to_value()?, None);
        changes.tally.add(Tally::version(&marker));
        changes.tell(EventKind::Marked, self, &marker);
        Ok(Some((changes, marker)))
    }

    /// Takes the current object away from its key, into history, and puts nothing in its place.
    /// None when a concurrent change won.
    ///
    /// # Errors
    /// `NotFound(Object)`.
    pub(crate) async fn withdraw(&self, store: &Store) -> Result<Option<Changes>> {
        let current = self.current.as_ref();
        let current = current.ok_or_else(|| Error::not_found(Noun::Object, &self.key))?;
        self.check_held()?;
        let mut changes = Changes::expecting(self.expectations());
        if !self.retire(store, current, &mut changes).await? {
            return Ok(None);
        }
        let id = self.bucket.bucket.id;
        changes.delete(row_key::object(id, &self.key));
        changes.expiry(id, Some(&current.object), None);
        changes.tell(EventKind::Marked, self, &current.object);
        Ok(Some(changes))
    }

    /// Removes a version of the key for good. When it was what the key showed, the object or the
    /// delete marker instead of one, and `forward` says so, the newest of the others comes forward,
    /// unless that is a delete marker. `read` is the snapshot that the slot is from.
    pub(crate) async fn remove(
        &self,
        store: &Store,
        read: &dyn MetaRead,
        (version, forward): (&FoundObject, bool),
        guard: Guard,
    ) -> Result<Changes> {
        let mut changes = Changes::expecting(self.expectations());
        changes.remove(self, version, guard)?;
        let newest = match &self.current {
            Some(current) => current.row == version.row,
            None => self.newest.as_ref().map(|newest| &newest.row) == Some(&version.row),
        };
        if !newest {
            changes.expectations.push(version.expectation());
            return Ok(changes);
        }
        let next = self.before(read, version).await?;
        let history = row_key::history(self.bucket.bucket.id, &self.key);
        let end = next.as_ref().map(|next| next.row.clone());
        if version.is_current()
            && self.versioning() != Versioning::Off
            && let Some(end) = end.or_else(|| row_key::end_of(&history))
        {
            let nothing_newer = Expectation::EmptyRange(history, end);
            changes.expectations.push(nothing_newer);
        }
        let former = Some(&version.object).filter(|_| version.is_current());
        let id = self.bucket.bucket.id;
        // A version of history that nothing was put above was not what the key showed.
        let forward = forward && (version.is_current() || version.object.is_marker());
        match next {
            Some(next) if !forward || next.object.is_marker() => {
                changes.expiry(id, former, None);
                changes.expectations.push(next.expectation());
            }
            Some(next) => {
                changes.expiry(id, former, Some(&next.object));
                self.promote(store, next, None, &mut changes).await?;
            }
            None => {
                changes.expiry(id, former, None);
                changes.delete(row_key::object_id(version.object.id));
            }
        }
        Ok(changes)
    }

    /// Removes versions from history, oldest first, to erase the key; with the last of them, the
    /// current object too. `read` is the snapshot that the slot is from. Says whether all is gone.
    pub(crate) async fn erase(&self, read: &dyn MetaRead, guard: Guard) -> Result<(Changes, bool)> {
        let mut changes = Changes::expecting(self.expectations());
        let mut scan = Scan::prefix(
            row_key::history(self.bucket.bucket.id, &self.key),
            ERASE_ROWS_MAX + 1,
        );
        scan.reverse = true;
        let rows = match self.versioning() {
            Versioning::Off => Vec::new(),
            _ => read.scan(&scan).await?,
        };
        let all = rows.len() <= ERASE_ROWS_MAX;
        for item in rows.into_iter().take(ERASE_ROWS_MAX) {
            let version = decoded(item, self)?;
            changes.expectations.push(version.expectation());
            changes.remove(self, &version, guard)?;
        }
        if all {
            if let Some(current) = &self.current {
                changes.remove(self, current, guard)?;
                changes.expiry(self.bucket.bucket.id, Some(&current.object), None);
            }
            if let Some(former) = self.former() {
                changes.delete(row_key::object_id(former.id));
            }
        }
        Ok((changes, all))
    }

    /// Former versions, from the newest on, at most so many.
    pub(crate) async fn history(
        &self,
        read: &dyn MetaRead,
        limit: usize,
    ) -> Result<Vec<FoundObject>> {
        if self.versioning() == Versioning::Off {
            return Ok(Vec::new());
        }
        let history = row_key::history(self.bucket.bucket.id, &self.key);
        let rows = read.scan(&Scan::prefix(history, limit)).await?;
        rows.into_iter().map(|item| decoded(item, self)).collect()
    }

    /// Refuses when any version of the key is protected.
    pub(crate) async fn check_all(&self, read: &dyn MetaRead, guard: Guard) -> Result<()> {
        if let Some(current) = &self.current {
            guard.check(&current.object)?;
        }
        if self.versioning() == Versioning::Off {
            return Ok(());
        }
        let history = row_key::history(self.bucket.bucket.id, &self.key);
        let mut scan = Scan::prefix(history, ERASE_ROWS_MAX);
        loop {
            let page = read.scan(&scan).await?;
            let more = page.len() == ERASE_ROWS_MAX;
            for item in page {
                scan.from = Bound::Excluded(item.key().clone());
                guard.check(&decoded(item, self)?.object)?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The newest version of history that is older than this one.
    async fn before(
        &self,
        read: &dyn MetaRead,
        version: &FoundObject,
    ) -> Result<Option<FoundObject>> {
        if self.versioning() == Versioning::Off {
            return Ok(None);
        }
        let history = row_key::history(self.bucket.bucket.id, &self.key);
        let mut scan = Scan::prefix(history, 1);
        if !version.is_current() {
            scan.from = Bound::Excluded(version.row.clone());
        }
        let found = read.scan(&scan).await?.into_iter().next();
        found.map(|item| decoded(item, self)).transpose()
    }

    /// Makes a version of history the current object; `outranked` is the place of a newer one.
    pub(crate) async fn promote(
        &self,
        store: &Store,
        next: FoundObject,
        outranked: Option<u64>,
        changes: &mut Changes,
    ) -> Result<Object> {
        let body = attached(store, &next).await?.map(Body::Attached);
        let id = self.bucket.bucket.id;
        let mut object = next.object.clone();
        object.outranked = outranked;
        let object = &object;
        changes.expectations.push(next.expectation());
        changes.delete(next.row.clone());
        changes.delete(row_key::version_id(object.version));
        if object.null_version {
            changes.delete(row_key::null_version(id, &self.key));
        }
        let value = ObjectRecord::new(object)?.to_value()?;
        // The row of the current object that is removed, if it is: written once.
        let row = row_key::object(id, &self.key);
        changes.writes.retain(|write| *write.key() != row);
        changes.put(row, value, body);
        changes.tally.take(Tally::version(object));
        changes.tally.add(Tally::current(object));
        Ok(object.clone())
    }
}

impl Changes {
    /// A version is gone for good.
    pub(crate) fn remove(
        &mut self,
        slot: &Slot,
        version: &FoundObject,
        guard: Guard,
    ) -> Result<()> {
        let object = &version.object;
        guard.check(object)?;
        self.tell(EventKind::Removed, slot, object);
        self.delete(version.row.clone());
        self.released.extend(object.layer());
        if version.is_current() {
            self.tally.take(Tally::current(object));
            return Ok(());
        }
        self.delete(row_key::version_id(object.version));
        if object.null_version {
            self.delete(row_key::null_version(slot.bucket.bucket.id, &slot.key));
        }
        self.tally.take(Tally::version(object));
        Ok(())
    }
}

fn decoded(item: ScanItem, slot: &Slot) -> Result<FoundObject> {
    match item {
        ScanItem::Row(row, found) => FoundObject::decode(row, found, &slot.key),
        ScanItem::Prefix(_) => Err(Error::corrupt("history without rows")),
    }
}
