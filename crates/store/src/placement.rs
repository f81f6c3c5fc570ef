//! The versions of one key: which rows they are, and what a verb does to them.
//!
//! The current object is the row in table `30`; former versions and delete markers are rows in
//! table `31`. A [`Slot`] is what a verb found under its key, in one snapshot. Its methods say what
//! a change of the key expects and writes; the verb adds what is its own and commits.
//!
//! Invariants: a current object is newer than all of its key's history, unless it was made current
//! again: then it says which version is the newest. At most one version of a key is the null version;
//! all versions of a key have the object's id.

use crate::deeds;
use crate::encryption::Encryption;
use crate::feed::{self, Event, EventKind};
use crate::layer::{Hold, References};
use crate::nouns::{Bucket, Content, Object, VersionRef};
use crate::properties::{Checksum, ObjectProperties, Versioning, Written};
use crate::protection::Guard;
use crate::quota;
use crate::read::attached;
use crate::record::{ObjectRecord, Record};
use crate::row_key;
use crate::snapshot::count_since;
use crate::store::{self, FoundBucket, FoundObject, Store};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use trestle_access::Grant;
use trestle_core::{
    BucketId, BucketName, Digests, Error, ErrorKind, Key, LayerId, Noun, ObjectId, Owner, Result,
    VersionId,
};
use trestle_engine::{Body, Commit, Expectation, MetaRead, Scan, ScanItem, Token, Urgency, Write};

/// Bytes of a kept row besides key, record and body.
const KEPT_ROW_BYTES: usize = 64;

/// What a verb found under a key.
pub(crate) struct Slot {
    pub(crate) bucket: FoundBucket,
    pub(crate) key: Key,
    pub(crate) current: Option<FoundObject>,
    /// The newest of history. Looked up only when there is no current object.
    pub(crate) newest: Option<FoundObject>,
    /// The null version, if it is in history. Looked up only while versioning is suspended.
    null: Option<FoundObject>,
    /// What the verb's grant rests on.
    confirmed: Vec<Expectation>,
    one_of_many: bool,
    /// What a move found of history.
    pub(crate) moving: OnceLock<Arc<[FoundObject]>>,
    /// The id that the verb gives when the key is new.
    assigned: Option<ObjectId>,
}

/// What is to become a key's current object.
pub(crate) struct Draft {
    /// Who writes it; none when nobody is known to.
    pub(crate) owner: Option<Owner>,
    pub(crate) content: Content,
    pub(crate) digests: Digests,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) written: Written,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) properties: ObjectProperties,
}

/// What a change adds to the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) objects: i64,
    pub(crate) bytes: i64,
    /// Rows of history, markers too.
    pub(crate) versions: i64,
    pub(crate) version_bytes: i64,
    /// Rows that are kept for snapshots.
    pub(crate) kept: i64,
    pub(crate) kept_bytes: i64,
    /// Keys that a clone inherits no longer.
    pub(crate) cut: i64,
    pub(crate) cut_bytes: i64,
}

impl Tally {
    pub(crate) fn current(object: &Object) -> Self {
        Tally {
            objects: 1,
            bytes: store::signed(object.stored_length()),
            ..Tally::default()
        }
    }

    pub(crate) fn version(object: &Object) -> Self {
        Tally {
            versions: 1,
            version_bytes: store::signed(object.stored_length()),
            ..Tally::default()
        }
    }

    pub(crate) fn kept(object: &Object) -> Self {
        Tally {
            kept: 1,
            kept_bytes: store::signed(object.stored_length()),
            ..Tally::default()
        }
    }

    pub(crate) fn cut(object: &Object) -> Self {
        Tally {
            cut: 1,
            cut_bytes: store::signed(object.stored_length()),
            ..Tally::default()
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.cut += other.cut;
        self.cut_bytes += other.cut_bytes;
        self.kept += other.kept;
        self.kept_bytes += other.kept_bytes;
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.versions += other.versions;
        self.version_bytes += other.version_bytes;
    }

    /// Bytes of all versions.
    pub(crate) fn all_bytes(&self) -> i64 {
        let current_and_former = self.bytes.saturating_add(self.version_bytes);
        current_and_former.saturating_add(self.kept_bytes)
    }

    pub(crate) fn take(&mut self, other: Tally) {
        self.cut -= other.cut;
        self.cut_bytes -= other.cut_bytes;
        self.kept -= other.kept;
        self.kept_bytes -= other.kept_bytes;
        self.objects -= other.objects;
        self.bytes -= other.bytes;
        self.versions -= other.versions;
        self.version_bytes -= other.version_bytes;
    }
}

/// A change of a key's rows, to be completed by its verb.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) writes: Vec<Write>,
    /// Layers that one row fewer refers to.
    pub(crate) released: Vec<LayerId>,
    /// Other references to layers that come and go.
    pub(crate) references: References,
    /// Streams whose extents the writes name.
    pub(crate) tokens: Vec<Token>,
    pub(crate) tally: Tally,
    /// What is added to the counters of other buckets, each named once.
    pub(crate) elsewhere: Vec<(Bucket, Tally)>,
    /// What the feed tells of it.
    pub(crate) events: Vec<Event>,
}

impl Slot {
    /// Looks up what is under a key.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub(crate) async fn find(read: &dyn MetaRead, bucket: &BucketName, key: &Key) -> Result<Self> {
        Slot::of(read, store::find_bucket(read, bucket).await?, key).await
    }

    /// Looks up what is under a key of a bucket that was found in the same snapshot.
    pub(crate) async fn of(read: &dyn MetaRead, bucket: FoundBucket, key: &Key) -> Result<Self> {
        let id = bucket.bucket.id;
        let current = store::find_object(read, &bucket.bucket, key).await?;
        let versioning = bucket.bucket.properties.versioning;
        let newest = match current {
            None => find_newest(read, &bucket.bucket, key).await?,
            Some(_) => None,
        };
        let null = match versioning {
            Versioning::Suspended => find_null(read, id, key).await?,
            _ => None,
        };
        Ok(Slot {
            bucket,
            key: key.clone(),
            current,
            newest,
            null,
            confirmed: Vec::new(),
            one_of_many: false,
            moving: OnceLock::new(),
            assigned: None,
        })
    }

    /// Confirms the verb's grant on what was found, which its commit then expects.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) async fn confirm(
        &mut self,
        store: &Store,
        read: &dyn MetaRead,
        grant: &Grant,
    ) -> Result<()> {
        let current = self.current.as_ref();
        let confirmed = store.confirm(read, grant, Some(&self.bucket), current);
        let confirmed = confirmed.await?;
        if !self.confirmed.contains(&confirmed) {
            self.confirmed.push(confirmed);
        }
        Ok(())
    }

    /// Gives the key's object an id that it had before, elsewhere or earlier.
    ///
    /// # Errors
    /// `AlreadyExists(Object)` when another object has it, or the key has another id.
    pub(crate) async fn assign(&mut self, read: &dyn MetaRead, id: ObjectId) -> Result<()> {
        let taken = match self.former() {
            Some(former) => former.id != id,
            None => read.get(&row_key::object_id(id)).await?.is_some(),
        };
        if taken {
            return Err(Error::new(
                ErrorKind::AlreadyExists(Noun::Object),
                format!("the object id {id} is in use"),
            ));
        }
        self.assigned = Some(id);
        Ok(())
    }

    fn new_id(&self, store: &Store) -> ObjectId {
        self.assigned.unwrap_or_else(|| ObjectId(store.host.id()))
    }

    /// The object that `draft` becomes as the key's newest version.
    pub(crate) fn object(&self, store: &Store, draft: Draft) -> Object {
        let former = self.former();
        let now = store.host.clock.now();
        let modified = former.map_or(now, |former| now.after(former.modified));
        let properties = draft.properties;
        let acl = properties.acl;
        let lock = self.bucket.bucket.properties.lock;
        let default = lock
            .and_then(|lock| lock.default)
            .filter(|_| draft.content != Content::DeleteMarker)
            .map(|default| default.starting(modified));
        let retention = properties.retention.or(default);
        Object {
            id: former.map_or_else(|| self.new_id(store), |former| former.id),
            version: VersionId(store.host.id()),
            change: 0,
            ordinal: self.newest_ordinal().saturating_add(1),
            outranked: None,
            null_version: self.versioning() != Versioning::Enabled,
            key: self.key.clone(),
            owner: store::owner_of_next(&self.bucket.bucket, former, (draft.owner, acl.as_deref())),
            created: former.map_or(modified, |former| former.created),
            modified,
            modifications: former.map_or(0, |former| former.modifications.saturating_add(1)),
            content: draft.content,
            digests: draft.digests,
            encryption: draft.encryption,
            written: draft.written,
            checksum: draft.checksum,
            representation: properties.representation,
            metadata: properties.metadata,
            tags: properties.tags,
            acl,
            retention,
            legal_hold: properties.legal_hold,
            hold_lifted: properties.hold_lifted && !properties.legal_hold,
            expires: properties.expires,
            storage_class: properties.storage_class,
            documents: properties.documents,
            manifest: properties.manifest,
            frozen: false,
        }
    }

    /// Adds to what the commit expects.
    pub(crate) fn expect(&mut self, expectations: Vec<Expectation>) {
        self.confirmed.extend(expectations);
    }

    /// Makes `object`, which [`Slot::object`] made, the key's current one, with `body` attached to
    /// its row. The former one goes into history, or goes with its layer, as the bucket's
    /// versioning says. None when a concurrent change won.
    pub(crate) async fn install(
        &self,
        store: &Store,
        object: &Object,
        body: Option<Body>,
    ) -> Result<Option<Changes>> {
        self.check_held()?;
        self.check_volume(&object.content)?;
        if let Some(acl) = &object.acl {
            let read = store.snapshot().await?;
            let block = store.block_within(&*read, &self.bucket.bucket).await?;
            let former = self.current.as_ref();
            let former = former.and_then(|found| found.object.acl.as_deref());
            crate::authorize::check_written_acl(&block, (acl, former))?;
        }
        let guard = Guard::at(store.host.clock.now());
        let Some(mut changes) = self.make_way(store, guard).await? else {
            return Ok(None);
        };
        let row = row_key::object(self.bucket.bucket.id, &self.key);
        if self.former().is_none() {
            let index = row_key::object_id(object.id);
            if self.assigned.is_some() {
                changes
                    .expectations
                    .push(Expectation::Absent(index.clone()));
            }
            changes.put(index, row_key::place(&row), None);
        }
        changes.put(row, ObjectRecord::new(object)?.to_value()?, body);
        let current = self.current.as_ref().map(|current| &current.object);
        changes.expiry(self.bucket.bucket.id, current, Some(object));
        changes.tally.add(Tally::current(object));
        changes.tell(EventKind::Written, self, object);
        Ok(Some(changes))
    }

    /// Refuses to put anything else in the place of a volume, whoever asks: its users would find other
    /// bytes, or none, under their blocks.
    pub(crate) fn check_volume(&self, content: &Content) -> Result<()> {
        let there = self.current.as_ref().map(|current| &current.object);
        if let Some(there) = there {
            check_frozen(there)?;
        }
        let other = !matches!(content, Content::Volume { .. });
        if other && there.is_some_and(Object::is_volume) {
            return Err(Error::new(
                ErrorKind::InvalidState,
                "the key holds a volume, which is written in part or deleted, never replaced",
            ));
        }
        Ok(())
    }

    /// Puts `object`, another state of the current one, in its place without making a version.
    pub(crate) fn rewrite(
        &self,
        store: &Store,
        current: &FoundObject,
        object: &Object,
    ) -> Result<Changes> {
        self.check_held()?;
        check_frozen(&current.object)?;
        check_own(&self.bucket.bucket, current)?;
        Guard::at(store.host.clock.now()).check(&current.object)?;
        let mut changes = Changes::expecting(self.expectations());
        changes.put(
            current.row.clone(),
            ObjectRecord::new(object)?.to_value()?,
            None,
        );
        changes.tally.take(Tally::current(&current.object));
        changes.tally.add(Tally::current(object));
        changes.tell(EventKind::Written, self, object);
        Ok(changes)
    }

    /// Frees the place of the newest version: the current object goes into history, or goes with
    /// its layer, and so does a null version that is replaced. None when a concurrent change won.
    pub(crate) async fn make_way(&self, store: &Store, guard: Guard) -> Result<Option<Changes>> {
        let mut changes = Changes::expecting(self.expectations());
        if let Some(current) = &self.current {
            if self.replaces(&current.object) {
                guard.check(&current.object)?;
                changes.released.extend(current.object.layer());
                changes.tally.take(Tally::current(&current.object));
            } else if !self.retire(store, current, &mut changes).await? {
                return Ok(None);
            }
        }
        if let Some(null) = &self.null {
            changes.remove(self, null, guard)?;
        }
        Ok(Some(changes))
    }

    /// Refuses what [`Slot::install`] or its commit would refuse of a body that is yet to come.
    ///
    /// # Errors
    /// `Locked`; `Conflict` with a job; `QuotaExceeded`, of a large body.
    pub(crate) async fn check_room(&self, store: &Store, declared: Option<u64>) -> Result<()> {
        self.check_held()?;
        self.check_volume(&Content::Directory)?;
        let guard = Guard::at(store.host.clock.now());
        let mut tally = Tally {
            objects: i64::from(self.current.is_none()),
            bytes: store::signed(declared.unwrap_or(0)),
            ..Tally::default()
        };
        let current = self.current.as_ref().map(|current| &current.object);
        let replaced = current.filter(|current| self.replaces(current));
        for replaced in replaced
            .into_iter()
            .chain(self.null.as_ref().map(|null| &null.object))
        {
            guard.check(replaced)?;
            tally.bytes -= store::signed(replaced.stored_length());
        }
        // The commit of a small one will be there at once.
        if declared.unwrap_or(0) > store.engine.data.body_bytes_max() as u64 {
            let read = store.snapshot().await?;
            quota::check(&*read, &[(self.bucket.bucket.clone(), tally)]).await?;
        }
        Ok(())
    }

    pub(crate) fn versioning(&self) -> Versioning {
        self.bucket.bucket.properties.versioning
    }

    /// Whether a clone has the current object only from what it is a clone of.
    pub(crate) fn inherits(&self) -> bool {
        let own = row_key::object(self.bucket.bucket.id, &self.key);
        let current = self.current.as_ref();
        current.is_some_and(|current| current.row != own)
    }

    /// The place of the newest version so far.
    pub(crate) fn newest_ordinal(&self) -> u64 {
        let former = self.former();
        former.map_or(0, |former| former.outranked.unwrap_or(former.ordinal))
    }

    /// What a new version comes after: the current object, or else the newest of history.
    pub(crate) fn former(&self) -> Option<&Object> {
        let newest = self.newest.as_ref().map(|newest| &newest.object);
        self.current.as_ref().map(|c| &c.object).or(newest)
    }

    /// Whether a new version takes the place of the current one.
    pub(crate) fn replaces(&self, current: &Object) -> bool {
        match self.versioning() {
            Versioning::Off => true,
            Versioning::Enabled => false,
            Versioning::Suspended => current.null_version,
        }
    }

    /// The slot is one of many in a commit that expects the bucket to be unchanged.
    pub(crate) fn one_of_many(mut self) -> Self {
        self.one_of_many = true;
        self
    }

    /// Refuses to make what a job on directories would have to look for again.
    ///
    /// # Errors
    /// `Conflict`.
    pub(crate) fn check_held(&self) -> Result<()> {
        let key = self.key.as_str();
        let mut held = self.bucket.bucket.held.iter();
        match held.any(|held| key.starts_with(&held.prefix)) {
            true => Err(Error::new(
                ErrorKind::Conflict,
                "a directory above it is being renamed or deleted",
            )),
            false => Ok(()),
        }
    }

    /// Bytes that the commit of a change keeps for snapshots, at most.
    pub(crate) fn kept_bytes(&self) -> Result<usize> {
        let snapshots = self.bucket.bucket.snapshots.live > 0;
        let Some(current) = self.current.as_ref().filter(|_| snapshots) else {
            return Ok(0);
        };
        let body = current.body.as_ref().map_or(0, |body| body.length as usize);
        let record = ObjectRecord::new(&current.object)?.to_value()?.len();
        Ok(body + record + 2 * self.key.as_str().len() + KEPT_ROW_BYTES)
    }

    /// All that was found still is as it was.
    pub(crate) fn expectations(&self) -> Vec<Expectation> {
        let id = self.bucket.bucket.id;
        let mut expectations = Vec::new();
        if !self.one_of_many {
            expectations = self.bucket.expectations();
            expectations.extend(self.confirmed.iter().cloned());
        }
        let row = row_key::object(id, &self.key);
        match &self.current {
            Some(current) => expectations.push(Expectation::Revision(row, current.revision)),
            None => expectations.push(Expectation::Absent(row)),
        }
        if self.versioning() == Versioning::Off {
            return expectations;
        }
        if self.current.is_none() {
            let history = row_key::history(id, &self.key);
            let newest = self.newest.as_ref();
            if let Some(newest) = newest {
                expectations.push(newest.expectation());
            }
            let end = newest.map(|newest| newest.row.clone());
            if let Some(end) = end.or_else(|| row_key::end_of(&history)) {
                expectations.push(Expectation::EmptyRange(history, end));
            }
        }
        if self.versioning() == Versioning::Suspended {
            expectations.push(match &self.null {
                Some(null) => null.expectation(),
                None => Expectation::Absent(row_key::null_version(id, &self.key)),
            });
        }
        expectations
    }

    /// Moves the current object into history. Not, when it has changed meanwhile.
    pub(crate) async fn retire(
        &self,
        store: &Store,
        current: &FoundObject,
        changes: &mut Changes,
    ) -> Result<bool> {
        let Some(body) = former_body(store, &self.bucket, current).await? else {
            return Ok(false);
        };
        let id = self.bucket.bucket.id;
        let mut object = current.object.clone();
        object.outranked = None;
        let object = &object;
        let row = row_key::version(id, &self.key, object.ordinal);
        self.index_version(changes, object, &row);
        changes.put(
            row,
            ObjectRecord::new(object)?.to_value()?,
            body.map(Body::Attached),
        );
        changes.tally.take(Tally::current(object));
        changes.tally.add(Tally::version(object));
        Ok(true)
    }

    /// The index rows of a version that goes to `row` in history.
    pub(crate) fn index_version(&self, changes: &mut Changes, object: &Object, row: &Bytes) {
        let place = row_key::place(row);
        changes.put(row_key::version_id(object.version), place.clone(), None);
        if object.null_version {
            let index = row_key::null_version(self.bucket.bucket.id, &self.key);
            // That of the null version which it replaces is written once.
            changes.writes.retain(|write| *write.key() != index);
            changes.put(index, place, None);
        }
    }
}

/// Refuses to change a row that is another bucket's: a verb that changes a key of a clone makes it the
/// clone's own first ([`Store::own`]).
pub(crate) fn check_own(bucket: &Bucket, found: &FoundObject) -> Result<()> {
    let of = row_key::split_id(&found.row).map(|(id, _)| BucketId(id));
    match of == Some(bucket.id) {
        true => Ok(()),
        false => Err(store::conflict()),
    }
}

/// Refuses a change of a snapshot.
pub(crate) fn check_frozen(object: &Object) -> Result<()> {
    match object.frozen {
        true => Err(Error::new(
            ErrorKind::InvalidState,
            "a snapshot never changes; it can be cloned and deleted",
        )),
        false => Ok(()),
    }
}

impl Changes {
    /// Something happens to an object of this slot.
    pub(crate) fn tell(&mut self, kind: EventKind, slot: &Slot, object: &Object) {
        let mut event = Event::of(kind, &slot.bucket.bucket.name, object);
        let shown = slot.current.as_ref().map(|shown| shown.object.version);
        event.former = match kind {
            EventKind::Marked => shown,
            EventKind::Removed => shown.filter(|shown| *shown == object.version),
            _ => None,
        };
        deeds::plan(kind, slot, object);
        self.events.push(event);
    }

    pub(crate) fn expecting(expectations: Vec<Expectation>) -> Self {
        Changes {
            expectations,
            ..Changes::default()
        }
    }

    /// Adds to the counters of a bucket other than that of the commit.
    pub(crate) fn count_in(&mut self, bucket: &Bucket, tally: Tally) {
        let mut found = self.elsewhere.iter_mut();
        match found.find(|(counted, _)| counted.id == bucket.id) {
            Some((_, counted)) => counted.add(tally),
            None => self.elsewhere.push((bucket.clone(), tally)),
        }
    }

    /// Adds what is done to another key of the same bucket.
    pub(crate) fn absorb(&mut self, other: Changes) {
        self.expectations.extend(other.expectations);
        self.writes.extend(other.writes);
        self.released.extend(other.released);
        self.references.absorb(other.references);
        self.tokens.extend(other.tokens);
        self.events.extend(other.events);
        self.tally.add(other.tally);
        for (bucket, tally) in &other.elsewhere {
            self.count_in(bucket, *tally);
        }
    }

    /// Adds what is done to another key, of `bucket`.
    pub(crate) fn absorb_of(&mut self, bucket: &Bucket, mut other: Changes) {
        self.count_in(bucket, std::mem::take(&mut other.tally));
        self.absorb(other);
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Bytes, body: Option<Body>) {
        self.writes.push(Write::Put { key, value, body });
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.writes.push(Write::Delete { key });
    }

    /// Commits it all, and frees what nothing refers to any more. Whether it was applied: not, when
    /// a concurrent change won.
    ///
    /// # Errors
    /// `QuotaExceeded`; the engine's.
    pub(crate) async fn commit(
        mut self,
        store: &Store,
        bucket: &FoundBucket,
        hold: &mut Hold,
        urgency: Urgency,
    ) -> Result<bool> {
        let read = store.snapshot().await?;
        if !self.keep_former(store, &*read, bucket).await? {
            return Ok(false);
        }
        let mut references = self.references;
        for layer in self.released {
            references.lose(layer);
        }
        let mut changed = vec![(bucket.bucket.clone(), self.tally)];
        changed.append(&mut self.elsewhere);
        // What frees space is never refused for what it brings forward.
        if urgency == Urgency::Normal {
            let counted = quota::check(&*read, &changed).await?;
            self.expectations.extend(counted);
        }
        let Some(settled) = store.settle(hold, &*read, &references).await? else {
            return Ok(false);
        };
        drop(read);
        self.writes.extend(store::count(&changed));
        self.writes.extend(count_since(&changed));
        let now = store.host.clock.now();
        self.writes.extend(feed::append(now, &self.events)?);
        let commit = Commit {
            expectations: self.expectations,
            writes: self.writes,
            tokens: self.tokens,
            urgency,
        };
        let applied = store.commit_settled(commit, settled, hold).await?;
        if applied {
            store.waiting.wake();
        }
        Ok(applied)
    }
}

/// The bytes that are attached to a current object's row; the outer none when the row has changed.
async fn former_body(
    store: &Store,
    bucket: &FoundBucket,
    current: &FoundObject,
) -> Result<Option<Option<Bytes>>> {
    if current.body.is_none() {
        return Ok(Some(None));
    }
    let read = store.snapshot().await?;
    let key = row_key::object(bucket.bucket.id, &current.object.key);
    let row = read.get(&key).await?;
    let Some(row) = row.filter(|row| row.revision == current.revision) else {
        return Ok(None);
    };
    let found = FoundObject::decode(key, row, &current.object.key)?;
    attached(store, &found).await.map(Some)
}

fn decoded(item: ScanItem, key: &Key) -> Result<FoundObject> {
    match item {
        ScanItem::Row(row, found) => FoundObject::decode(row, found, key),
        ScanItem::Prefix(_) => Err(Error::corrupt("history without rows")),
    }
}

/// A version of a key, wherever it is.
pub(crate) async fn find_version(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
    version: VersionRef,
) -> Result<Option<FoundObject>> {
    let current = store::find_object(read, bucket, key).await?;
    let is_current = |object: &Object| match version {
        VersionRef::Current | VersionRef::Ended => true,
        VersionRef::Null => object.null_version,
        VersionRef::Id(id) => object.version == id,
    };
    if current.as_ref().is_some_and(|c| is_current(&c.object)) {
        return Ok(current);
    }
    if bucket.properties.versioning == Versioning::Off {
        return Ok(None);
    }
    match version {
        VersionRef::Current | VersionRef::Ended => Ok(None),
        VersionRef::Null => find_null(read, bucket.id, key).await,
        VersionRef::Id(version) => {
            let index = read.get(&row_key::version_id(version)).await?;
            let row = index.map(|index| row_key::history_row(&index.value));
            // A version of another key is none of this one.
            let own = row.filter(|row| row.starts_with(&row_key::history(bucket.id, key)));
            match own {
                Some(row) => placed(read, row, key).await.map(Some),
                None => Ok(None),
            }
        }
    }
}

/// The newest version of a key's history.
pub(crate) async fn find_newest(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
) -> Result<Option<FoundObject>> {
    if bucket.properties.versioning == Versioning::Off {
        return Ok(None);
    }
    let scan = Scan::prefix(row_key::history(bucket.id, key), 1);
    let found = read.scan(&scan).await?.into_iter().next();
    found.map(|item| decoded(item, key)).transpose()
}

/// The null version of a key, if it is in history.
async fn find_null(
    read: &dyn MetaRead,
    bucket: BucketId,
    key: &Key,
) -> Result<Option<FoundObject>> {
    let index = read.get(&row_key::null_version(bucket, key)).await?;
    match index {
        Some(index) => placed(read, row_key::history_row(&index.value), key)
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// The version at a row that an index leads to.
async fn placed(read: &dyn MetaRead, row: Bytes, key: &Key) -> Result<FoundObject> {
    let found = read.get(&row).await?;
    let found = found.ok_or_else(|| Error::corrupt("an index leads to no version"))?;
    FoundObject::decode(row, found, key)
}
