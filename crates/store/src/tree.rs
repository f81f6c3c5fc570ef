//! Whole directories: everything whose key starts with a prefix is deleted, or renamed, in one
//! commit when that is possible and by a job when it is not.

use crate::authorize::object_of;
use crate::decider::Decider;
use crate::feed::{Event, EventKind};
use crate::layer::Hold;
use crate::nouns::{
    Bucket, DeleteDirectory, History, Job, RenameDirectory, TreeOutcome, VersionRef,
};
use crate::placement::{Changes, Slot};
use crate::properties::{BucketProperties, Versioning};
use crate::protection::Guard;
use crate::row_key;
use crate::snapshot::view;
use crate::store::{self, FoundBucket, Store};
use crate::versions::Walk;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use trestle_access::{Action, Asked, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, ErrorKind, Key, Noun, Owner, Result};
use trestle_engine::{Expectation, MetaRead, Scan, Urgency, Write};

/// Keys that one commit takes on; a larger directory is a job.
pub const TREE_KEYS_MAX: usize = 10_000;
/// Bytes of rows that one commit takes on; a larger directory is a job.
const TREE_BYTES_MAX: usize = 14 << 20;
/// Bytes, about, of what one commit tells of each key for itself; what is more it tells as of one.
pub(crate) const TOLD_BYTES_MAX: usize = 400 << 10;
/// Expectations of one commit, and room for those of layers and counters.
const TREE_EXPECTATIONS_MAX: usize = 30_000;
/// Tries of one large commit before a job is started instead.
const TREE_ATTEMPTS_MAX: usize = 10;

/// What is done to each key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Deleted.
    Remove {
        /// With its history.
        erase: bool,
        /// Governance is passed over.
        bypass: bool,
        /// Who owns the delete markers.
        owner: Owner,
    },
    /// Renamed.
    Move {
        /// Into this bucket.
        bucket: BucketId,
        /// The start of the new keys.
        prefix: String,
    },
}

impl Change {
    pub(crate) fn urgency(&self) -> Urgency {
        match self {
            Change::Remove { .. } => Urgency::Freeing,
            Change::Move { .. } => Urgency::Normal,
        }
    }
}

/// How much one commit may take on.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) keys: usize,
    pub(crate) bytes: usize,
    /// Bytes, about, of what is told.
    pub(crate) told: usize,
}

/// A directory that was found.
pub(crate) struct Tree {
    pub(crate) bucket: FoundBucket,
    pub(crate) prefix: String,
    /// Where it goes, when that is another bucket.
    to: Option<FoundBucket>,
    /// Who asked for it: each key is decided for them.
    pub(crate) asked: Asked,
}

/// What is decided of each key.
struct Rights {
    source: Decider,
    /// On the new names, when there are any.
    target: Option<Decider>,
}

/// A part of what is to be done.
pub(crate) struct Batch {
    pub(crate) changes: Changes,
    pub(crate) keys: u64,
    /// Whether nothing is left.
    complete: bool,
}

impl Store {
    /// Lets one commit of a directory take on at most so many keys, rather than [`TREE_KEYS_MAX`]:
    /// what is larger is a job.
    pub fn set_tree_keys_max(&self, keys: usize) {
        let keys = keys.clamp(1, TREE_KEYS_MAX);
        self.tree_keys_max.store(keys, Ordering::Relaxed);
    }

    /// Deletes everything whose key starts with a prefix, each key as its bucket's versioning says,
    /// or with all history.
    ///
    /// The grants: `DeleteObject` on the prefix; `DeleteObjectVersion` to erase history;
    /// `BypassRetention` to pass over governance. The same is decided for each key.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)` when there is nothing; `Locked` and `Forbidden`, and
    /// nothing is gone, unless a job meets it; `Conflict`, also with another job.
    pub async fn delete_directory(
        &self,
        grants: &[Grant],
        delete: &DeleteDirectory,
    ) -> Result<TreeOutcome> {
        let resource = Resource::Object(delete.bucket.clone(), delete.prefix.clone());
        let grant = store::granted(grants, &[Action::DeleteObject], &resource)?;
        let more = |action| store::granted(grants, &[action], &resource);
        if delete.history == History::Leave {
            return Err(Error::invalid(
                "a directory goes as its bucket's versioning says",
            ));
        }
        let erase = delete.history == History::Erase;
        let bypass = more(Action::BypassRetention).is_ok();
        for attempt in 0..2 * TREE_ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let bucket = store::find_bucket(&*read, &delete.bucket).await?;
            if erase && bucket.bucket.properties.versioning != Versioning::Off {
                more(Action::DeleteObjectVersion)?;
            }
            let mut expectations = Vec::new();
            for grant in grants {
                // A list of the directory itself has been looked at.
                let entry =
                    object_of(&*read, grant.asked(), (Some(&bucket), VersionRef::Current)).await?;
                let confirmed = self.confirm(&*read, grant, Some(&bucket), entry.as_ref());
                expectations.push(confirmed.await?);
            }
            let owner = grant.principal().owner();
            let change = Change::Remove {
                erase,
                bypass,
                owner: owner.unwrap_or_else(|| bucket.bucket.owner.clone()),
            };
            let tree = Tree {
                bucket,
                prefix: delete.prefix.as_str().to_owned(),
                to: None,
                asked: grant.asked().clone(),
            };
            let outcome = self.change_tree(&*read, &tree, &change, expectations, attempt);
            if let Some(outcome) = outcome.await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    /// Renames everything whose key starts with a prefix, so that it starts with another. Ids,
    /// versions and their ids stay.
    ///
    /// The grants: `DeleteObject` on the prefix and `WriteObject` on the new one. For each key it is
    /// decided whether it may be moved, as [`Store::rename`] says.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)` when there is nothing; `AlreadyExists(Object)` when
    /// the target holds something; `InvalidInput` when one lies in the other, or a key would be too
    /// long; `Locked`, `InvalidState` as for [`Store::rename`]; `Conflict`; `Forbidden`.
    pub async fn rename_directory(
        &self,
        grants: &[Grant],
        rename: &RenameDirectory,
    ) -> Result<TreeOutcome> {
        let source = Resource::Object(rename.bucket.clone(), rename.prefix.clone());
        let target = Resource::Object(rename.to_bucket.clone(), rename.to_prefix.clone());
        let delete = store::granted(grants, &[Action::DeleteObject], &source)?;
        let write = store::granted(grants, &[Action::WriteObject], &target)?;
        for attempt in 0..2 * TREE_ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let bucket = store::find_bucket(&*read, &rename.bucket).await?;
            let to = store::find_bucket(&*read, &rename.to_bucket).await?;
            let entry =
                object_of(&*read, delete.asked(), (Some(&bucket), VersionRef::Current)).await?;
            let mut expectations = vec![
                self.confirm(&*read, delete, Some(&bucket), entry.as_ref())
                    .await?,
                self.confirm(&*read, write, Some(&to), None).await?,
            ];
            let same = to.bucket.id == bucket.bucket.id;
            let (from, new) = (rename.prefix.as_str(), rename.to_prefix.as_str());
            if same && new.starts_with(from) {
                return Err(Error::invalid("a directory cannot be moved into itself"));
            }
            expectations.extend(nothing_below(&*read, &to.bucket, new).await?);
            let change = Change::Move {
                bucket: to.bucket.id,
                prefix: new.to_owned(),
            };
            let tree = Tree {
                bucket,
                prefix: from.to_owned(),
                to: (!same).then_some(to),
                asked: delete.asked().clone(),
            };
            let outcome = self.change_tree(&*read, &tree, &change, expectations, attempt);
            if let Some(outcome) = outcome.await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    /// Decides for each key of a bucket whether it may be known by another bucket name, and says
    /// what has to stay so.
    ///
    /// # Errors
    /// `Forbidden`; `TooLarge`.
    pub(crate) async fn decide_all(
        &self,
        read: &dyn MetaRead,
        asked: &Asked,
        (bucket, to): (&FoundBucket, &BucketName),
    ) -> Result<Vec<Expectation>> {
        let tree = Tree {
            bucket: bucket.clone(),
            prefix: String::new(),
            to: None,
            asked: asked.clone(),
        };
        let keys = tree.keys(read, true, TREE_KEYS_MAX + 1).await?;
        if keys.len() > TREE_KEYS_MAX {
            return Err(store::too_many("key to decide on", TREE_KEYS_MAX));
        }
        let mut source = self.decider(read, asked, bucket).await?;
        let target = self.decider(read, asked, bucket).await?;
        let mut target = target.under(to);
        let mut expectations = vec![source.expectation()];
        for key in &keys {
            let slot = Slot::of(read, lean(bucket), key).await?.one_of_many();
            slot.check_movable(read, &mut source).await?;
            target.check(&[Action::WriteObject], key, None)?;
            expectations.extend(slot.expectations());
        }
        let keys: Vec<&Key> = keys.iter().collect();
        expectations.extend(tree.gaps(&keys, true, true));
        Ok(expectations)
    }

    /// One try, in one commit or by a job; none when a concurrent change won.
    async fn change_tree(
        &self,
        read: &dyn MetaRead,
        tree: &Tree,
        change: &Change,
        more: Vec<Expectation>,
        attempt: usize,
    ) -> Result<Option<TreeOutcome>> {
        tree.check_free(change)?;
        let room = Room {
            keys: self.tree_keys_max.load(Ordering::Relaxed),
            bytes: TREE_BYTES_MAX,
            told: usize::MAX,
        };
        let mut expectations = tree.expectations();
        for expectation in more {
            if !expectations.contains(&expectation) {
                expectations.push(expectation);
            }
        }
        let Some(batch) = tree.batch(self, read, change, room).await? else {
            return Ok(None);
        };
        if batch.keys == 0 && batch.complete {
            return Err(Error::not_found(Noun::Object, &tree.prefix));
        }
        if !batch.complete || attempt >= TREE_ATTEMPTS_MAX {
            let started = self.start_job(tree, change, expectations).await?;
            return Ok(started.map(TreeOutcome::Started));
        }
        let Batch {
            mut changes, keys, ..
        } = batch;
        changes.expectations.extend(expectations);
        if told(&changes.events) > TOLD_BYTES_MAX {
            changes.events = tree.events(change)?;
        }
        let mut hold = Hold::default();
        let urgency = change.urgency();
        let applied = changes.commit(self, &tree.bucket, &mut hold, urgency);
        Ok(applied.await?.then_some(TreeOutcome::Done { keys }))
    }
}

/// Expects, and finds, that nothing has a key that starts with `prefix`.
async fn nothing_below(
    read: &dyn MetaRead,
    bucket: &Bucket,
    prefix: &str,
) -> Result<Vec<Expectation>> {
    let mut expectations = Vec::new();
    let objects = row_key::objects(bucket.id, prefix);
    let histories = row_key::histories(bucket.id, prefix);
    for (rows, shown) in [(objects, true), (histories, false)] {
        let scan = Scan::prefix(rows.clone(), 1);
        let there = match shown {
            true => view::scan(read, bucket, &scan).await?,
            false => read.scan(&scan).await?,
        };
        if !there.is_empty() {
            return Err(Error::new(
                ErrorKind::AlreadyExists(Noun::Object),
                format!("there already is something below {prefix}"),
            ));
        }
        if let Some(end) = row_key::end_of(&rows) {
            expectations.push(Expectation::EmptyRange(rows, end));
        }
    }
    Ok(expectations)
}

impl Tree {
    /// The directory that a job is about; none when a bucket is gone.
    pub(crate) async fn of_job(read: &dyn MetaRead, job: &Job) -> Result<Option<Self>> {
        let Some(bucket) = store::find_bucket_by_id(read, job.bucket).await? else {
            return Ok(None);
        };
        let to = match &job.change {
            Change::Move { bucket: to, .. } if *to != job.bucket => {
                match store::find_bucket_by_id(read, *to).await? {
                    Some(to) => Some(to),
                    None => return Ok(None),
                }
            }
            _ => None,
        };
        Ok(Some(Tree {
            bucket,
            prefix: job.prefix.clone(),
            to,
            asked: job.asked.clone(),
        }))
    }

    /// The buckets that it concerns, each once.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let mut buckets = vec![self.bucket.bucket.clone()];
        buckets.extend(self.to.as_ref().map(|to| to.bucket.clone()));
        buckets
    }

    /// The buckets are as they were found.
    pub(crate) fn expectations(&self) -> Vec<Expectation> {
        let mut expectations = self.bucket.expectations();
        if let Some(to) = &self.to {
            expectations.extend(to.expectations());
        }
        expectations
    }

    /// Refuses what would get in the way of a job.
    fn check_free(&self, change: &Change) -> Result<()> {
        let overlaps = |bucket: &Bucket, prefix: &str| {
            bucket
                .held
                .iter()
                .any(|held| held.prefix.starts_with(prefix) || prefix.starts_with(&held.prefix))
        };
        let target = match change {
            Change::Move { prefix, .. } => {
                let to = self.to.as_ref().unwrap_or(&self.bucket);
                overlaps(&to.bucket, prefix)
            }
            Change::Remove { .. } => false,
        };
        match target || overlaps(&self.bucket.bucket, &self.prefix) {
            true => Err(Error::new(
                ErrorKind::Conflict,
                "a directory above or below is being renamed or deleted",
            )),
            false => Ok(()),
        }
    }

    /// What is to be told when each key is too much.
    fn events(&self, change: &Change) -> Result<Vec<Event>> {
        let event = |kind, bucket: &Bucket, prefix: &str| -> Result<Event> {
            let mut event = Event::of_bucket(kind, &bucket.name, &bucket.owner);
            event.key = Some(Key::parse(prefix)?);
            Ok(event)
        };
        let gone = event(EventKind::TreeRemoved, &self.bucket.bucket, &self.prefix)?;
        let mut events = vec![gone];
        if let Change::Move { prefix, .. } = change {
            let to = self.to.as_ref().unwrap_or(&self.bucket);
            events.push(event(EventKind::TreeWritten, &to.bucket, prefix)?);
        }
        Ok(events)
    }

    /// What has to be done to the first keys that are left, as much as there is room for. None when
    /// a concurrent change won.
    pub(crate) async fn batch(
        &self,
        store: &Store,
        read: &dyn MetaRead,
        change: &Change,
        room: Room,
    ) -> Result<Option<Batch>> {
        let bucket = lean(&self.bucket);
        let to = lean(self.to.as_ref().unwrap_or(&self.bucket));
        let history = match change {
            Change::Remove { erase, .. } => *erase,
            Change::Move { .. } => true,
        };
        let keys = self.keys(read, history, room.keys + 1).await?;
        if store
            .own_keys(&self.bucket, &keys, change.urgency())
            .await?
        {
            // What was inherited is there now: it is looked at again.
            return Ok(None);
        }
        let mut rights = self.rights(store, read, change).await?;
        let mut batch = Batch {
            changes: Changes::expecting(vec![rights.source.expectation()]),
            keys: 0,
            complete: true,
        };
        let mut bytes = 0;
        let mut taken: Vec<&Key> = Vec::new();
        for key in &keys {
            if taken.len() == room.keys
                || batch.changes.expectations.len() > TREE_EXPECTATIONS_MAX
                || told(&batch.changes.events) > room.told
            {
                batch.complete = false;
                break;
            }
            let slot = Slot::of(read, bucket.clone(), key).await?.one_of_many();
            let change = rights.check(read, &slot, (change, &self.prefix)).await?;
            let changed = self.change(store, read, &slot, (&change, &to)).await?;
            let Some((changes, whole)) = changed else {
                return Ok(None);
            };
            bytes += changes.writes.iter().map(size).sum::<usize>() + slot.kept_bytes()?;
            if bytes > room.bytes && !taken.is_empty() {
                batch.complete = false;
                break;
            }
            batch.changes.absorb(changes);
            batch.keys += u64::from(whole);
            taken.push(key);
            if !whole {
                // A part of a long history.
                batch.complete = false;
                batch.keys = batch.keys.max(1);
                break;
            }
        }
        let gaps = self.gaps(&taken, history, batch.complete);
        batch.changes.expectations.extend(gaps);
        Ok(Some(batch))
    }

    async fn rights(&self, store: &Store, read: &dyn MetaRead, change: &Change) -> Result<Rights> {
        let target = match change {
            Change::Remove { .. } => None,
            Change::Move { .. } => {
                let to = self.to.as_ref().unwrap_or(&self.bucket);
                Some(store.decider(read, &self.asked, to).await?)
            }
        };
        Ok(Rights {
            source: store.decider(read, &self.asked, &self.bucket).await?,
            target,
        })
    }

    /// What has to be done to one key, and whether that is all.
    async fn change(
        &self,
        store: &Store,
        read: &dyn MetaRead,
        slot: &Slot,
        (change, to): (&Change, &FoundBucket),
    ) -> Result<Option<(Changes, bool)>> {
        let (erase, guard, owner) = match change {
            Change::Move { prefix, .. } => {
                let key = new_key(&slot.key, &self.prefix, prefix)?;
                let mut changes = slot.relocate(store, read, (to, &key), None).await?;
                if let Some(current) = &slot.current {
                    let mut object = current.object.clone();
                    changes.tell(EventKind::Removed, slot, &object);
                    object.key = key;
                    let event = Event::of(EventKind::Written, &to.bucket.name, &object);
                    changes.events.push(event);
                }
                return Ok(Some((changes, true)));
            }
            Change::Remove {
                erase,
                bypass,
                owner,
            } => {
                let now = store.host.clock.now();
                let bypass = *bypass;
                (*erase, Guard { now, bypass }, owner)
            }
        };
        if erase {
            return slot.erase(read, guard).await.map(Some);
        }
        match (&slot.current, slot.versioning()) {
            (None, _) => Ok(Some((Changes::default(), true))),
            (Some(current), Versioning::Off) => {
                let changes = slot.remove(store, read, (current, true), guard).await?;
                Ok(Some((changes, true)))
            }
            (Some(_), _) => {
                let marked = slot.mark(store, owner.clone(), guard).await?;
                Ok(marked.map(|(changes, _)| (changes, true)))
            }
        }
    }

    /// The first keys, of current objects or of any versions.
    async fn keys(&self, read: &dyn MetaRead, history: bool, limit: usize) -> Result<Vec<Key>> {
        let mut walk = Walk::below(&self.bucket.bucket, &self.prefix, history);
        let mut keys: Vec<Key> = Vec::new();
        while let Some((object, _)) = walk.step(read).await? {
            if keys.last() == Some(&object.key) {
                continue;
            }
            if keys.len() == limit {
                break;
            }
            keys.push(object.key);
        }
        Ok(keys)
    }

    /// Expects that there is nothing between the keys that were found: nor after the last, when it
    /// was the last of all.
    fn gaps(&self, keys: &[&Key], history: bool, complete: bool) -> Vec<Expectation> {
        let bucket = self.bucket.bucket.id;
        let mut gaps = Vec::new();
        let mut gap = |from: Bytes, until: Option<Bytes>| {
            if let Some(until) = until.filter(|until| from < *until) {
                gaps.push(Expectation::EmptyRange(from, until));
            }
        };
        let objects = row_key::objects(bucket, &self.prefix);
        let mut from = objects.clone();
        for key in keys {
            let row = row_key::object(bucket, key);
            gap(from, Some(row.clone()));
            from = [&row[..], &[0]].concat().into();
        }
        if complete {
            gap(from, row_key::end_of(&objects));
        }
        if !history || self.bucket.bucket.properties.versioning == Versioning::Off {
            return gaps;
        }
        let mut gap = |from: Bytes, until: Option<Bytes>| {
            if let Some(until) = until.filter(|until| from < *until) {
                gaps.push(Expectation::EmptyRange(from, until));
            }
        };
        let histories = row_key::histories(bucket, &self.prefix);
        let mut from = histories.clone();
        for key in keys {
            let rows = row_key::history(bucket, key);
            let end = row_key::end_of(&rows);
            gap(from, Some(rows));
            let Some(end) = end else {
                return gaps;
            };
            from = end;
        }
        if complete {
            gap(from, row_key::end_of(&histories));
        }
        gaps
    }
}

/// A key that starts with another prefix.
fn new_key(key: &Key, prefix: &str, new: &str) -> Result<Key> {
    let rest = key.as_str().strip_prefix(prefix).unwrap_or_default();
    Key::parse(format!("{new}{rest}"))
}

impl Rights {
    /// Whether it may be done to this key, and how.
    async fn check(
        &mut self,
        read: &dyn MetaRead,
        slot: &Slot,
        (change, prefix): (&Change, &str),
    ) -> Result<Change> {
        let mut change = change.clone();
        match &mut change {
            Change::Move { prefix: new, .. } => {
                slot.check_movable(read, &mut self.source).await?;
                if let Some(target) = &mut self.target {
                    let key = new_key(&slot.key, prefix, new)?;
                    target.check(&[Action::WriteObject], &key, None)?;
                }
            }
            Change::Remove { erase, bypass, .. } => {
                let (key, current) = (&slot.key, slot.current.as_ref());
                self.source.check(&[Action::DeleteObject], key, current)?;
                if *erase && !slot.history(read, 1).await?.is_empty() {
                    let version = [Action::DeleteObjectVersion];
                    self.source.check(&version, key, current)?;
                }
                let pass = [Action::BypassRetention];
                *bypass = *bypass && self.source.check(&pass, key, current).is_ok();
            }
        }
        Ok(change)
    }
}

/// A bucket without what a change of its keys does not look at.
fn lean(found: &FoundBucket) -> FoundBucket {
    let mut lean = found.clone();
    let BucketProperties {
        versioning,
        lock,
        quota,
        public_access,
        ..
    } = found.bucket.properties;
    lean.bucket.properties = BucketProperties {
        versioning,
        lock,
        quota,
        public_access,
        encryption: found.bucket.properties.encryption.clone(),
        ..BucketProperties::default()
    };
    lean
}

/// Bytes, about, that telling of these takes.
fn told(events: &[Event]) -> usize {
    let of = |event: &Event| {
        let key = event.key.as_ref().map_or(0, |key| key.as_str().len());
        let owner = event.owner.as_ref();
        let owner = owner.map_or(0, |owner| owner.account.as_str().len() + owner.user.len());
        100 + key + event.bucket.as_str().len() + owner
    };
    events.iter().map(of).sum()
}

/// What a write adds to its commit.
fn size(write: &Write) -> usize {
    match write {
        Write::Put { key, value, body } => {
            let body = body.as_ref().map_or(0, |body| body.commit_bytes());
            key.len() + value.len() + body
        }
        other => other.key().len(),
    }
}
