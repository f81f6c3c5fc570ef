//! The versions of one key: which rows they are, and what a verb does to them.
//!
//! The current object is the row in table `30`; former versions and delete markers are rows in
//! table `31`. A [`Slot`] is what a verb found under its key, in one snapshot. Its methods say what
//! a change of the key expects and writes; the verb adds what is its own and commits.
//!
//! Invariants: a current object is newer than all of its key's history; at most one version of a
//! key is the null version; all versions of a key have the object's id.

use crate::layer::{Hold, References};
use crate::nouns::{Content, Object};
use crate::properties::{Checksum, ObjectProperties, Versioning, Written};
use crate::record::{ObjectRecord, Record};
use crate::row_key;
use crate::store::{self, FoundBucket, FoundObject, Store};
use bytes::Bytes;
use trestle_access::Grant;
use trestle_core::{
    BucketName, Digests, Error, Key, LayerId, ObjectId, Owner, Result, Sequence, VersionId,
};
use trestle_engine::{Body, Commit, Expectation, MetaRead, Scan, ScanItem, Token, Urgency, Write};

/// What a verb found under a key.
pub(crate) struct Slot {
    pub(crate) bucket: FoundBucket,
    pub(crate) key: Key,
    pub(crate) current: Option<FoundObject>,
    /// The newest of history. Looked up only when there is no current object.
    newest: Option<FoundVersion>,
    /// The null version, if it is in history. Looked up only while versioning is suspended.
    null: Option<FoundVersion>,
    /// What the verb's grant rests on.
    confirmed: Vec<Expectation>,
}

/// A row of history, and the revision that a commit must still find.
pub(crate) struct FoundVersion {
    pub(crate) row: Bytes,
    pub(crate) object: Object,
    pub(crate) revision: Sequence,
}

/// What is to become a key's current object.
pub(crate) struct Draft {
    pub(crate) owner: Owner,
    pub(crate) content: Content,
    pub(crate) digests: Digests,
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
}

impl Slot {
    /// Looks up what is under a key.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub(crate) async fn find(read: &dyn MetaRead, bucket: &BucketName, key: &Key) -> Result<Self> {
        let bucket = store::find_bucket(read, bucket).await?;
        let id = bucket.bucket.id;
        let current = store::find_object(read, id, key).await?;
        let versioning = bucket.bucket.properties.versioning;
        let newest = match (&current, versioning) {
            (None, Versioning::Enabled | Versioning::Suspended) => {
                let scan = Scan::prefix(row_key::history(id, key), 1);
                let found = read.scan(&scan).await?.into_iter().next();
                found.map(|item| found_version(item, key)).transpose()?
            }
            _ => None,
        };
        let null = match versioning {
            Versioning::Suspended => find_null(read, &bucket, key).await?,
            _ => None,
        };
        Ok(Slot {
            bucket,
            key: key.clone(),
            current,
            newest,
            null,
            confirmed: Vec::new(),
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
        self.confirmed.push(confirmed.await?);
        Ok(())
    }

    /// The object that `draft` becomes as the key's newest version.
    pub(crate) fn object(&self, store: &Store, draft: Draft) -> Object {
        let former = self.former();
        let now = store.host.clock.now();
        let modified = former.map_or(now, |former| now.after(former.modified));
        let properties = draft.properties;
        Object {
            id: former.map_or_else(|| ObjectId(store.host.id()), |former| former.id),
            version: VersionId(store.host.id()),
            change: 0,
            ordinal: former.map_or(0, |former| former.ordinal).saturating_add(1),
            null_version: self.versioning() != Versioning::Enabled,
            key: self.key.clone(),
            owner: draft.owner,
            created: former.map_or(modified, |former| former.created),
            modified,
            content: draft.content,
            digests: draft.digests,
            written: draft.written,
            checksum: draft.checksum,
            representation: properties.representation,
            metadata: properties.metadata,
            tags: properties.tags,
            acl: properties.acl,
            retention: properties.retention,
            legal_hold: properties.legal_hold,
            expires: properties.expires,
            storage_class: properties.storage_class,
            documents: properties.documents,
        }
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
        let mut changes = Changes {
            expectations: self.expectations(),
            ..Changes::default()
        };
        if let Some(current) = &self.current {
            if self.replaces(&current.object) {
                changes.release(&current.object);
            } else if !self.retire(store, current, &mut changes).await? {
                return Ok(None);
            }
        }
        if let Some(null) = &self.null {
            changes.remove_version(self, null);
        }
        let row = row_key::object(self.bucket.bucket.id, &self.key);
        if self.former().is_none() {
            changes.put(row_key::object_id(object.id), row_key::place(&row), None);
        }
        changes.put(row, ObjectRecord::new(object)?.to_value()?, body);
        changes.tally.objects += 1;
        changes.tally.bytes += store::signed(object.length());
        Ok(Some(changes))
    }

    fn versioning(&self) -> Versioning {
        self.bucket.bucket.properties.versioning
    }

    /// The newest version so far.
    fn former(&self) -> Option<&Object> {
        let newest = self.newest.as_ref().map(|newest| &newest.object);
        self.current.as_ref().map(|c| &c.object).or(newest)
    }

    /// Whether a new version takes the place of the current one.
    fn replaces(&self, current: &Object) -> bool {
        match self.versioning() {
            Versioning::Off => true,
            Versioning::Enabled => false,
            Versioning::Suspended => current.null_version,
        }
    }

    /// All that was found still is as it was.
    fn expectations(&self) -> Vec<Expectation> {
        let id = self.bucket.bucket.id;
        let mut expectations = self.bucket.expectations();
        expectations.extend(self.confirmed.iter().cloned());
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
    async fn retire(
        &self,
        store: &Store,
        current: &FoundObject,
        changes: &mut Changes,
    ) -> Result<bool> {
        let Some(body) = former_body(store, &self.bucket, current).await? else {
            return Ok(false);
        };
        let id = self.bucket.bucket.id;
        let object = &current.object;
        let row = row_key::version(id, &self.key, object.ordinal);
        let place = row_key::place(&row);
        changes.put(row_key::version_id(object.version), place.clone(), None);
        if object.null_version {
            changes.put(row_key::null_version(id, &self.key), place, None);
        }
        changes.put(
            row,
            ObjectRecord::new(object)?.to_value()?,
            body.map(Body::Attached),
        );
        let length = store::signed(object.length());
        changes.tally.objects -= 1;
        changes.tally.bytes -= length;
        changes.tally.versions += 1;
        changes.tally.version_bytes += length;
        Ok(true)
    }
}

impl Changes {
    fn put(&mut self, key: Bytes, value: Bytes, body: Option<Body>) {
        self.writes.push(Write::Put { key, value, body });
    }

    fn delete(&mut self, key: Bytes) {
        self.writes.push(Write::Delete { key });
    }

    /// The current object is no longer in its row.
    fn release(&mut self, current: &Object) {
        self.released.extend(current.layer());
        self.tally.objects -= 1;
        self.tally.bytes -= store::signed(current.length());
    }

    /// A version of history is gone for good.
    fn remove_version(&mut self, slot: &Slot, version: &FoundVersion) {
        let object = &version.object;
        self.delete(version.row.clone());
        self.delete(row_key::version_id(object.version));
        if object.null_version {
            self.delete(row_key::null_version(slot.bucket.bucket.id, &slot.key));
        }
        self.released.extend(object.layer());
        self.tally.versions -= 1;
        self.tally.version_bytes -= store::signed(object.length());
    }

    /// Commits it all, and frees what nothing refers to any more. Whether it was applied: not, when
    /// a concurrent change won.
    pub(crate) async fn commit(
        mut self,
        store: &Store,
        bucket: &FoundBucket,
        hold: &mut Hold,
        urgency: Urgency,
    ) -> Result<bool> {
        let mut references = self.references;
        for layer in self.released {
            references.lose(layer);
        }
        let read = store.snapshot().await?;
        let Some(settled) = store.settle(hold, &*read, &references).await? else {
            return Ok(false);
        };
        drop(read);
        self.writes.extend(store::count(&bucket.bucket, self.tally));
        let commit = Commit {
            expectations: self.expectations,
            writes: self.writes,
            tokens: self.tokens,
            urgency,
        };
        store.commit_settled(commit, settled, hold).await
    }
}

impl FoundVersion {
    fn expectation(&self) -> Expectation {
        Expectation::Revision(self.row.clone(), self.revision)
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
    let Some(body) = row.body else {
        return Err(Error::corrupt("an object's row lost its bytes"));
    };
    let length = u64::from(body.length);
    let bytes = store.engine.data.read_body(&body, 0..length).await?;
    Ok(Some(Some(bytes)))
}

/// A row of a key's history.
fn found_version(item: ScanItem, key: &Key) -> Result<FoundVersion> {
    let ScanItem::Row(row, found) = item else {
        return Err(Error::corrupt("history without rows"));
    };
    Ok(FoundVersion {
        object: ObjectRecord::from_value(&found.value)?.into_object(key.clone())?,
        row,
        revision: found.revision,
    })
}

/// The null version of a key, if it is in history.
async fn find_null(
    read: &dyn MetaRead,
    bucket: &FoundBucket,
    key: &Key,
) -> Result<Option<FoundVersion>> {
    let index = row_key::null_version(bucket.bucket.id, key);
    match read.get(&index).await? {
        Some(index) => placed_version(read, &index.value, key).await.map(Some),
        None => Ok(None),
    }
}

/// The version that an index row leads to.
async fn placed_version(read: &dyn MetaRead, place: &[u8], key: &Key) -> Result<FoundVersion> {
    let row = row_key::history_row(place);
    let found = read.get(&row).await?;
    let found = found.ok_or_else(|| Error::corrupt("an index leads to no version"))?;
    found_version(ScanItem::Row(row, found), key)
}
