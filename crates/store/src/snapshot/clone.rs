//! Clones of buckets and of directories, each a bucket: one commit and no bytes, whatever the size.
//!
//! A clone is a bucket whose record names a snapshot, its *parent*, and which shows what that shows
//! where it has nothing of its own ([`super::view`]). What it changes becomes its own first
//! ([`super::own`]). A row leads from the snapshot to each clone: as long as there is one, the snapshot
//! stays, seen by its clones alone once nobody names it. A clone that inherits nothing any more is
//! *detached*.

use super::{all_live, check_prefix, check_there, names, put, put_bucket, removal, sweep, view};
use crate::account::find_account;
use crate::authorize;
use crate::feed::{self, Event, EventKind};
use crate::identity;
use crate::nouns::{Bucket, CloneBucket, CloneOf, Live, Object, Parent};
use crate::properties::BucketProperties;
use crate::record::{BucketRecord, Record, SnapshotRecord};
use crate::row_key::{self, Count};
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, FoundObject, Store};
use crate::tree::TREE_KEYS_MAX;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::ops::Bound;
use std::sync::Arc;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, ErrorKind, Noun, Result, Sequence};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Urgency, Write};

/// How the hidden names of buckets begin that are gone, and whose clones are not.
const BURIED: &str = "deleted ";
/// How many times a clone may be of a clone.
const DEPTH_MAX: usize = 8;
/// Rows that one commit removes.
const ROWS: usize = 1_000;
/// Rows that one scan takes.
const PAGE: usize = 256;

/// The snapshot that a bucket's record says it is a clone of, and what that is of.
pub(crate) fn parent<'a>(
    read: &'a dyn MetaRead,
    clone_of: Option<&'a CloneOf>,
) -> BoxFuture<'a, Result<Option<Arc<Parent>>>> {
    async move {
        let Some(of) = clone_of else {
            return Ok(None);
        };
        let (base, ordinal) = (of.base, of.ordinal);
        let missing = || Error::corrupt("a clone of a snapshot that does not exist");
        let row = read.get(&row_key::snapshot(base, ordinal)).await?;
        let row = row.ok_or_else(missing)?;
        let live = SnapshotRecord::from_value(&row.value)?.into_live(ordinal, row.revision)?;
        let row = read
            .get(&row_key::bucket(base))
            .await?
            .ok_or_else(missing)?;
        let bucket = BucketRecord::from_value(&row.value)?.into_bucket(base)?;
        Ok(Some(Arc::new(Parent {
            base,
            live,
            prefix: of.prefix.clone(),
            parent: parent(read, bucket.clone_of.as_ref()).await?,
        })))
    }
    .boxed()
}

impl Bucket {
    /// Whether it is gone, and kept for its clones alone.
    pub(crate) fn is_buried(&self) -> bool {
        let hidden = self.name.is_hidden();
        hidden
            && self
                .name
                .local()
                .trim_start_matches('\u{1}')
                .starts_with(BURIED)
    }

    /// How many times it is a clone of a clone.
    fn depth(&self) -> usize {
        let first = self.parent.as_deref();
        std::iter::successors(first, |parent| parent.parent.as_deref()).count()
    }
}

impl Store {
    /// Makes a bucket that has all that another has now, or that a snapshot shows, or what is below a
    /// directory there, and goes its own way from then on. It is of the same account, encrypts what is
    /// put into it as its source does, and has the source's metadata and tags, its ownership, its block
    /// of public access and its ordered list; neither its policy and other ACL, nor its lock, quota and
    /// versioning.
    ///
    /// The grants: `CloneBucket` on the source, `CreateBucket` on the clone. Whoever clones must be
    /// allowed to read every object with its metadata, tags and ACL, and what is taken along of the
    /// bucket: for whom policies, or the bucket's ordered list, may say otherwise of some, that is
    /// decided for each, of a snapshot.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)` when there is nothing below the directory;
    /// `AlreadyExists(Bucket)`; `InvalidInput` for a name within an account; `InvalidState` for clones of
    /// clones beyond what is allowed; `TooLarge` for more keys than can be decided, and for a bucket with
    /// as many snapshots as it may have; `QuotaExceeded` when the account has as many buckets as it may;
    /// `Forbidden`; `Conflict`.
    pub async fn clone_bucket(&self, grants: &[Grant], clone: &CloneBucket) -> Result<Bucket> {
        let source = Resource::Bucket(clone.source.clone());
        let target = Resource::Bucket(clone.name.clone());
        let read_all = store::granted(grants, &[Action::CloneBucket], &source)?;
        let create = store::granted(grants, &[Action::CreateBucket], &target)?;
        if clone.name.account().is_some() {
            return Err(Error::invalid(
                "a clone has a name of its own, not an account's",
            ));
        }
        check_prefix(&clone.prefix)?;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_shown(&*read, &clone.source).await?;
            let mut expectations = found.expectations();
            expectations.push(self.confirm(&*read, read_all, Some(&found), None).await?);
            expectations.push(self.confirm(&*read, create, None, None).await?);
            expectations.dedup();
            if create.principal().account() != Some(&found.bucket.owner.account) {
                let message = "a bucket is cloned within its account alone";
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            if found.bucket.depth() >= DEPTH_MAX {
                let message = format!("clones of clones are at most {DEPTH_MAX} deep");
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            check_there(&*read, &found.bucket, &clone.prefix).await?;
            self.decide_to_read(&*read, read_all, (&found, &clone.prefix))
                .await?;
            let (of, mut writes) = self.parent_for(&*read, &found, &clone.prefix).await?;
            let link = (of.base, of.ordinal);
            let now = self.host.clock.now();
            let bucket = Bucket {
                id: BucketId(self.host.id()),
                name: clone.name.clone(),
                owner: store::owner(create)?,
                created: now,
                modified: now,
                modifications: 0,
                properties: kept_properties(&found.bucket)?,
                held: Vec::new(),
                snapshots: Default::default(),
                at: None,
                clone_of: Some(of),
                parent: None,
            };
            let account = find_account(&*read, &bucket.owner.account).await?;
            if account.account.properties.closed {
                let message = format!("account {} is closed", bucket.owner.account);
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            let block = self.block_within(&*read, &bucket).await?;
            let counted = self.room_for_bucket(&*read, create, &bucket.owner.account);
            expectations.extend(counted.await?);
            let none = BucketProperties::default();
            authorize::check_bucket(&bucket.name, &none, &bucket.properties, &block)?;
            let names = names(&bucket, &bucket.name);
            for name in &names {
                if read.get(name).await?.is_some() {
                    let message = format!("bucket {} already exists", bucket.name);
                    return Err(Error::new(ErrorKind::AlreadyExists(Noun::Bucket), message));
                }
            }
            drop(read);
            expectations.push(account.expectation());
            writes.extend(creation(&bucket)?);
            writes.push(put(row_key::link(link.0, link.1, bucket.id), Bytes::new()));
            for name in names {
                expectations.push(Expectation::Absent(name.clone()));
                writes.push(put(name, Bytes::copy_from_slice(bucket.id.0.as_bytes())));
            }
            let commit = Commit {
                expectations,
                writes,
                ..Commit::default()
            };
            if self.try_commit(commit).await? {
                self.waiting.wake();
                return Ok(bucket);
            }
        }
        Err(store::conflict())
    }

    /// Whether who clones may read all that the clone has of it: bytes, and what comes along with them.
    async fn decide_to_read(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        (found, prefix): (&FoundBucket, &str),
    ) -> Result<()> {
        // What a policy denies, it denies root and administrators too, and the clone has none.
        let bound = found.bucket.properties.policy.is_some()
            || ordered_list(&found.bucket)?.is_some()
            || self.is_bound_by_names(read, grant, found).await?;
        if !bound {
            // Lists of single objects stay with them, and bind in the clone whom they bind in its source.
            return Ok(());
        }
        if found.bucket.at.is_none() {
            let message = "it is decided for each object whether you may read it: \
                           clone a snapshot, in which they stay as they are";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        let mut decider = self.decider(read, grant.asked(), found).await?;
        for action in carried_of_bucket(&kept_properties(&found.bucket)?) {
            decider.check_bucket(action)?;
        }
        let mut scan = Scan::prefix(row_key::objects(found.bucket.id, prefix), PAGE);
        let mut decided = 0;
        loop {
            let page = view::scan(read, &found.bucket, &scan).await?;
            let more = page.len() == PAGE;
            for item in page {
                let ScanItem::Row(row_key, row) = item else {
                    continue;
                };
                let malformed = || Error::corrupt("an object row with a malformed key");
                let (_, key) = row_key::split_object(&row_key).ok_or_else(malformed)?;
                scan.from = Bound::Excluded(row_key.clone());
                let object = FoundObject::decode(row_key, row, &key)?;
                let carried: Vec<Action> = carried(&object.object).collect();
                decider.check(&carried, &key, Some(&object))?;
                decided += 1;
                if decided > TREE_KEYS_MAX {
                    return Err(store::too_many("key to decide on", TREE_KEYS_MAX));
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The snapshot that a clone is to be of: the one that is its source, or a new one that nobody names,
    /// with the writes that make it.
    async fn parent_for(
        &self,
        read: &dyn MetaRead,
        found: &FoundBucket,
        prefix: &str,
    ) -> Result<(CloneOf, Vec<Write>)> {
        if let Some(at) = &found.bucket.at {
            // Something is below both, so that one is below the other.
            let shown = at.live.prefix.as_str();
            let narrower = if prefix.len() > shown.len() {
                prefix
            } else {
                shown
            };
            let of = CloneOf {
                base: at.base,
                ordinal: at.live.ordinal,
                prefix: narrower.to_owned(),
            };
            return Ok((of, Vec::new()));
        }
        let mut bucket = found.bucket.clone();
        let all = all_live(read, bucket.id).await?;
        if all.len() >= super::SNAPSHOTS_MAX {
            return Err(store::too_many("bucket's snapshots", super::SNAPSHOTS_MAX));
        }
        bucket.snapshots.made = bucket.snapshots.made.saturating_add(1);
        bucket.snapshots.live = bucket.snapshots.live.saturating_add(1);
        let live = Live {
            id: BucketId(self.host.id()),
            ordinal: bucket.snapshots.made,
            sequence: Sequence::default(),
            name: String::new(),
            prefix: prefix.to_owned(),
            created: self.host.clock.now(),
            hidden: true,
            metadata: None,
        };
        let writes = vec![
            put_bucket(&bucket)?,
            put(
                row_key::snapshot(bucket.id, live.ordinal),
                SnapshotRecord::new(&live)?.to_value()?,
            ),
        ];
        let of = CloneOf {
            base: bucket.id,
            ordinal: live.ordinal,
            prefix: live.prefix,
        };
        Ok((of, writes))
    }

    /// Takes from a clone what it is a clone of, when it inherits nothing any more, unless a concurrent
    /// change wins.
    pub(crate) async fn detach(&self, found: &FoundBucket) -> Result<()> {
        let Some(CloneOf { base, ordinal, .. }) = found.bucket.clone_of else {
            return Ok(());
        };
        let read = self.snapshot().await?;
        let mut bucket = found.bucket.clone();
        (bucket.clone_of, bucket.parent) = (None, None);
        let link = row_key::link(base, ordinal, bucket.id);
        let mut commit = Commit {
            expectations: found.expectations(),
            writes: vec![
                put_bucket(&bucket)?,
                Write::Delete { key: link.clone() },
                Write::Delete {
                    key: row_key::bucket_counter(bucket.id, Count::Cut),
                },
                Write::Delete {
                    key: row_key::bucket_counter(bucket.id, Count::CutBytes),
                },
            ],
            urgency: Urgency::Freeing,
            ..Commit::default()
        };
        let key = row_key::snapshot(base, ordinal);
        let row = read.get(&key).await?;
        let row = row.ok_or_else(|| Error::corrupt("a clone of a snapshot that does not exist"))?;
        let live = SnapshotRecord::from_value(&row.value)?.into_live(ordinal, row.revision)?;
        let links = row_key::links(base, ordinal);
        let others = read.scan(&Scan::prefix(links.clone(), 2)).await?;
        let last = live.hidden && others.len() == 1;
        // So that two that leave at once, or one that leaves while the name goes, know of each other.
        commit
            .expectations
            .push(Expectation::Revision(key.clone(), row.revision));
        if !last {
            commit
                .writes
                .push(put(key, SnapshotRecord::new(&live)?.to_value()?));
        } else {
            leave_none(&*read, &mut commit, (base, &live), Some(&link)).await?;
        }
        drop(read);
        let applied = self.try_commit(commit).await?;
        if applied
            && last
            && let Err(error) = self.sweep(base, ordinal, sweep::COMMITS_AT_ONCE).await
        {
            tracing::debug!(%error, "freeing a snapshot is put off");
        }
        Ok(())
    }

    /// Takes the name from an empty bucket that only clones need any more; what is left of it goes with
    /// the last of them. Whether it was done: not, when a concurrent change won.
    pub(crate) async fn bury(
        &self,
        found: &FoundBucket,
        expectations: Vec<Expectation>,
    ) -> Result<bool> {
        let mut bucket = found.bucket.clone();
        let account = bucket.owner.account.clone();
        bucket.name = BucketName::hidden(&account, &format!("{BURIED}{}", bucket.id))?;
        bucket.properties = BucketProperties::default();
        let mut writes: Vec<Write> = names(&found.bucket, &found.bucket.name)
            .into_iter()
            .map(|key| Write::Delete { key })
            .collect();
        for name in names(&bucket, &bucket.name) {
            writes.push(put(name, Bytes::copy_from_slice(bucket.id.0.as_bytes())));
        }
        writes.push(put_bucket(&bucket)?);
        let (name, owner) = (&found.bucket.name, &found.bucket.owner);
        writes.extend(store::count_bucket(&account, name, -1));
        let deleted = Event::of_bucket(EventKind::BucketDeleted, name, owner);
        writes.extend(feed::append(self.host.clock.now(), &[deleted])?);
        let commit = Commit {
            expectations,
            writes,
            urgency: Urgency::Freeing,
            ..Commit::default()
        };
        let buried = self.try_commit(commit).await?;
        if buried {
            self.waiting.wake();
        }
        Ok(buried)
    }

    /// Removes what says which keys a bucket inherits no longer, once it inherits none.
    pub(crate) async fn forget_cuts(&self, bucket: BucketId) -> Result<()> {
        loop {
            let read = self.snapshot().await?;
            let scan = Scan::prefix(row_key::of_bucket(row_key::CUT, bucket), ROWS);
            let page = read.scan(&scan).await?;
            drop(read);
            if page.is_empty() {
                return Ok(());
            }
            let rows = page.iter().map(|item| Write::Delete {
                key: item.key().clone(),
            });
            let commit = Commit {
                writes: rows.collect(),
                urgency: Urgency::Freeing,
                ..Commit::default()
            };
            self.try_commit(commit).await?;
        }
    }
}

/// Makes a hidden snapshot go that no clone is of, or only one that leaves; a sweep follows.
pub(super) async fn leave_none(
    read: &dyn MetaRead,
    commit: &mut Commit,
    (base, live): (BucketId, &Live),
    leaving: Option<&Bytes>,
) -> Result<()> {
    let of = read.get(&row_key::bucket(base)).await?;
    let of = of.ok_or_else(|| Error::corrupt("a snapshot of no bucket"))?;
    let bucket = BucketRecord::from_value(&of.value)?.into_bucket(base)?;
    commit.writes.extend(removal(&bucket, live)?);
    let unchanged = Expectation::Revision(row_key::bucket(base), of.revision);
    commit.expectations.push(unchanged);
    let mut links = row_key::links(base, live.ordinal);
    let end = row_key::end_of(&links);
    if let Some(link) = leaving {
        let before = Expectation::EmptyRange(links, link.clone());
        commit.expectations.push(before);
        links = [&link[..], &[0]].concat().into();
    }
    let after = end.map(|end| Expectation::EmptyRange(links, end));
    commit.expectations.extend(after);
    Ok(())
}

/// The ordered list of a bucket's ACL, which binds everybody.
fn ordered_list(bucket: &Bucket) -> Result<Option<&String>> {
    let Some(text) = &bucket.properties.acl else {
        return Ok(None);
    };
    let acl = identity::parse_acl(text)?;
    Ok(acl.entries.is_some().then_some(text))
}

/// What a clone has of its source: what describes it, and what keeps others out. What lets others in is
/// said anew.
fn kept_properties(source: &Bucket) -> Result<BucketProperties> {
    let properties = &source.properties;
    Ok(BucketProperties {
        acl: ordered_list(source)?.cloned(),
        ownership: properties.ownership.clone(),
        public_access: properties.public_access,
        encryption: properties.encryption.clone(),
        metadata: properties.metadata.clone(),
        tags: properties.tags.clone(),
        ..BucketProperties::default()
    })
}

/// What it takes to read what a clone has of a bucket itself.
fn carried_of_bucket(kept: &BucketProperties) -> impl Iterator<Item = Action> + use<> {
    let tags = (!kept.tags.is_empty()).then_some(Action::ReadBucketTags);
    let metadata = (!kept.metadata.is_empty()).then_some(Action::ReadBucketMetadata);
    let acl = kept.acl.is_some().then_some(Action::ReadBucketAcl);
    [tags, metadata, acl].into_iter().flatten()
}

/// What it takes to read what a clone has of an object. A snapshot shows no versions but the current
/// one, so that none is read by its id.
fn carried(object: &Object) -> impl Iterator<Item = Action> + use<> {
    let tags = (!object.tags.is_empty()).then_some(Action::ReadObjectTags);
    let acl = object.acl.is_some().then_some(Action::ReadObjectAcl);
    let always = [Action::ReadObject, Action::ReadObjectMetadata];
    always.into_iter().chain(tags).chain(acl)
}

/// What makes a clone, besides its names.
fn creation(bucket: &Bucket) -> Result<Vec<Write>> {
    let mut writes = vec![put_bucket(bucket)?];
    writes.extend(store::count_bucket(&bucket.owner.account, &bucket.name, 1));
    let created = Event::of_bucket(EventKind::BucketCreated, &bucket.name, &bucket.owner);
    writes.extend(feed::append(bucket.created, &[created])?);
    Ok(writes)
}
