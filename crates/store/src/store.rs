//! The store itself: opening it, its settings and accounts, and what all verbs share.

use crate::audit::Audit;
use crate::deeds;
use crate::feed::Waiting;
use crate::hashing::Hashing;
use crate::keys::MasterKey;
use crate::nouns::{Bucket, Object};
use crate::placement::Tally;
use crate::record::{AccountRecord, BucketRecord, ObjectRecord, Record};
use crate::ring::Keys;
use crate::row_key::{self, Count};
use crate::snapshot::{Counted, view};
use crate::volume::Turns;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Weak};
use trestle_access::{Acl, Action, Grant, Grantee, Ownership, Permission, Resource};
use trestle_core::{
    AccountId, BucketId, BucketName, Error, ErrorKind, Id, Key, Noun, Owner, Precondition, Result,
    Sequence, Validators, Verdict,
};
use trestle_engine::{BodyRef, Commit, Engine, Expectation, MetaRead, Row, Write};
use trestle_host::Host;

/// Tries of one commit against concurrent changes before the caller learns of the conflict.
pub(crate) const ATTEMPTS_MAX: usize = 100;
/// The setting that says which master key the store needs.
pub(crate) const MASTER_KEY_SETTING: &str = "master-key";
/// Objects whose time has come that one `tidy` deletes.
const EXPIRED_MAX: usize = 1000;
/// Longest name of a setting, in bytes.
const SETTING_NAME_BYTES_MAX: usize = 256;
/// Largest setting, in bytes.
const SETTING_BYTES_MAX: usize = 64 << 10;

/// The verbs over one engine.
///
/// A verb should run to its end: dropped during its commit, it cannot give back the space of what
/// the commit replaces.
#[derive(Debug)]
pub struct Store {
    /// For what outlives a verb: the stream of a manifest's segments.
    pub(crate) this: Weak<Store>,
    pub(crate) engine: Engine,
    pub(crate) host: Host,
    pub(crate) keys: Arc<Keys>,
    pub(crate) waiting: Waiting,
    pub(crate) hashing: Hashing,
    pub(crate) turns: Turns,
    pub(crate) counted: Counted,
    /// Where `tidy` goes on to look for completions to forget.
    forgetting: Mutex<Option<Bytes>>,
    /// Up to which snapshot it was seen whether a clone is of it; none once all were.
    pub(crate) unlinked: Mutex<Option<Bytes>>,
    pub(crate) cache: crate::identity::Cache,
    /// Who is told of decisions.
    pub(crate) audit: Audit,
    /// Keys of a directory that one commit takes on.
    pub(crate) tree_keys_max: AtomicUsize,
    /// For how long the change feed is kept, in microseconds.
    pub(crate) feed_age: AtomicU64,
    /// For how long what has ended is kept, in microseconds.
    pub(crate) expiry_delay: AtomicU64,
    /// Buckets that an account may have.
    pub(crate) buckets_per_account: AtomicU64,
}

/// A bucket and the revisions that a commit must still find.
#[derive(Clone, Debug)]
pub(crate) struct FoundBucket {
    pub(crate) bucket: Bucket,
    /// The row that its name was found by.
    index: Bytes,
    index_revision: Sequence,
    /// The row of its record, or of that of the bucket that it is a snapshot of.
    record: Bytes,
    revision: Sequence,
}

impl FoundBucket {
    /// Of its name and of its record.
    pub(crate) fn revisions(&self) -> (Sequence, Sequence) {
        (self.index_revision, self.revision)
    }

    /// The bucket still is what its name means, and is unchanged.
    pub(crate) fn expectations(&self) -> Vec<Expectation> {
        vec![
            Expectation::Revision(self.index.clone(), self.index_revision),
            Expectation::Revision(self.record.clone(), self.revision),
        ]
    }
}

/// A version of a key, current or in history, and the revision that a commit must still find.
pub(crate) struct FoundObject {
    pub(crate) row: Bytes,
    pub(crate) object: Object,
    pub(crate) revision: Sequence,
    pub(crate) body: Option<BodyRef>,
}

impl FoundObject {
    /// A row that holds a version of `key`.
    pub(crate) fn decode(row: Bytes, found: Row, key: &Key) -> Result<Self> {
        Ok(FoundObject {
            object: ObjectRecord::from_value(&found.value)?.into_object(key.clone())?,
            row,
            revision: found.revision,
            body: found.body,
        })
    }

    /// Whether it is the current object, of a snapshot too.
    pub(crate) fn is_current(&self) -> bool {
        matches!(self.row.first(), Some(&(row_key::OBJECT | row_key::KEPT)))
    }

    /// The row still is as it was found.
    pub(crate) fn expectation(&self) -> Expectation {
        Expectation::Revision(self.row.clone(), self.revision)
    }
}

impl Store {
    /// Opens the store over an engine; makes the root account on first use. Without its master key
    /// nothing that is encrypted can be read or written.
    ///
    /// # Errors
    /// `InvalidInput` when the store was made with another master key; the engine's.
    pub async fn open(
        engine: Engine,
        host: Host,
        root_account: AccountId,
        master: Option<MasterKey>,
    ) -> Result<Arc<Store>> {
        let store = Arc::new_cyclic(|this| Store {
            this: this.clone(),
            keys: Keys::new(engine.clone(), host.random.clone(), master),
            engine,
            host,
            waiting: Waiting::default(),
            hashing: Hashing::default(),
            turns: Turns::default(),
            counted: Counted::default(),
            forgetting: Mutex::default(),
            unlinked: Mutex::new(Some(row_key::snapshots())),
            cache: crate::identity::Cache::default(),
            audit: Audit::default(),
            tree_keys_max: AtomicUsize::new(crate::tree::TREE_KEYS_MAX),
            feed_age: AtomicU64::new(crate::feed::AGE_MAX),
            expiry_delay: AtomicU64::new(0),
            buckets_per_account: AtomicU64::new(u64::MAX),
        });
        store.check_master_key().await?;
        let key = row_key::account(&root_account);
        let read = store.snapshot().await?;
        if let Some(row) = read.get(&key).await? {
            AccountRecord::from_value(&row.value)?;
        } else {
            store.make_account(&root_account, None).await?;
        }
        drop(read);
        Ok(store)
    }

    /// Remembers which master key the store was made with, and refuses another.
    async fn check_master_key(&self) -> Result<()> {
        let Some(given) = self.keys.master_id() else {
            return Ok(());
        };
        let Some(known) = self.setting(MASTER_KEY_SETTING).await? else {
            let id = Bytes::from(given);
            return self.set_setting(MASTER_KEY_SETTING, id, true).await;
        };
        if known == given {
            return Ok(());
        }
        let known = String::from_utf8_lossy(&known);
        Err(Error::invalid(format!(
            "the store needs master key {known}; the one that was given is {given}"
        )))
    }

    /// Gives back what space can be given back now, deletes what has ended, and carries on
    /// jobs. To be called every few seconds.
    ///
    /// # Errors
    /// The engine's; it will be tried again.
    pub async fn tidy(&self) -> Result<()> {
        self.free_doomed().await?;
        self.trim_feed().await?;
        let after = self.forgetting.lock().take();
        *self.forgetting.lock() = self.forget_completed(after).await?;
        self.engine.meta.tidy().await?;
        self.expire_due(EXPIRED_MAX).await?;
        self.sweep_snapshots().await?;
        self.continue_jobs().await
    }

    /// Flushes what makes the next start fast; refuses writes from then on.
    ///
    /// # Errors
    /// The engine's.
    pub async fn close(&self) -> Result<()> {
        self.engine.meta.close().await
    }

    /// Whether writes are taken.
    ///
    /// # Errors
    /// `Unavailable` when they are refused until the store is opened again.
    pub fn writable(&self) -> Result<()> {
        self.engine.meta.writable()
    }

    /// A setting of the store itself.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name.
    pub async fn setting(&self, name: &str) -> Result<Option<Bytes>> {
        check_setting_name(name)?;
        let row = self.snapshot().await?.get(&row_key::setting(name)).await?;
        Ok(row.map(|row| row.value))
    }

    /// Writes a setting of the store itself.
    ///
    /// # Errors
    /// `Conflict` when it exists and `expect_absent` is set; `TooLarge`.
    pub async fn set_setting(&self, name: &str, value: Bytes, expect_absent: bool) -> Result<()> {
        check_setting_name(name)?;
        let key = row_key::setting(name);
        let absent = expect_absent.then(|| Expectation::Absent(key.clone()));
        let commit = setting_commit(&key, value, absent)?;
        self.engine.meta.commit(commit).await.map(drop)
    }

    /// Writes a setting of the store itself as a function of what it is.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name; `TooLarge`; those of the function.
    pub async fn change_setting(
        &self,
        name: &str,
        change: &(dyn Fn(Option<&Bytes>) -> Result<Bytes> + Send + Sync),
    ) -> Result<()> {
        check_setting_name(name)?;
        let key = row_key::setting(name);
        for _ in 0..ATTEMPTS_MAX {
            let former = self.snapshot().await?.get(&key).await?;
            let value = change(former.as_ref().map(|row| &row.value))?;
            let expected = match former {
                Some(row) => Expectation::Revision(key.clone(), row.revision),
                None => Expectation::Absent(key.clone()),
            };
            if self
                .try_commit(setting_commit(&key, value, Some(expected))?)
                .await?
            {
                return Ok(());
            }
        }
        Err(conflict())
    }

    pub(crate) async fn snapshot(&self) -> Result<Box<dyn MetaRead>> {
        self.engine.meta.snapshot().await
    }

    /// Whether the commit was applied; not, when an expectation did not hold.
    pub(crate) async fn try_commit(&self, commit: Commit) -> Result<bool> {
        let told = deeds::told(&commit.writes)?;
        match self.engine.meta.commit(commit).await {
            Ok(_) => {
                deeds::done(told);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn setting_commit(key: &Bytes, value: Bytes, expected: Option<Expectation>) -> Result<Commit> {
    if value.len() > SETTING_BYTES_MAX {
        return Err(too_large("a setting", SETTING_BYTES_MAX as u64));
    }
    Ok(Commit {
        expectations: expected.into_iter().collect(),
        writes: vec![Write::Put {
            key: key.clone(),
            value,
            body: None,
        }],
        ..Commit::default()
    })
}

fn check_setting_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > SETTING_NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a setting's name must be 1 to {SETTING_NAME_BYTES_MAX} bytes long"
        )));
    }
    Ok(())
}

/// The bucket of a name that is to be changed.
///
/// # Errors
/// `NotFound(Bucket)`; `InvalidState` for a snapshot.
pub(crate) async fn find_bucket(read: &dyn MetaRead, name: &BucketName) -> Result<FoundBucket> {
    let found = find_shown(read, name).await?;
    match found.bucket.at {
        None => Ok(found),
        Some(_) => Err(Error::new(
            ErrorKind::InvalidState,
            "a snapshot never changes; it can be read, copied from and deleted",
        )),
    }
}

/// The bucket of a name, or the snapshot, that is to be read.
///
/// # Errors
/// `NotFound(Bucket)`.
pub(crate) async fn find_shown(read: &dyn MetaRead, name: &BucketName) -> Result<FoundBucket> {
    let not_found = || Error::not_found(Noun::Bucket, name);
    let index_key = match name.account() {
        Some(account) => row_key::account_bucket(&account, name),
        None => row_key::bucket_name(name),
    };
    let index = read.get(&index_key).await?.ok_or_else(not_found)?;
    let snapshot = row_key::split_snapshot_place(&index.value);
    let id = match snapshot {
        Some((id, _)) => id,
        None => bucket_id(&index.value)?,
    };
    let record = row_key::bucket(id);
    let row = read.get(&record).await?.ok_or_else(|| {
        Error::corrupt(format!(
            "the bucket name {name} leads to a bucket that does not exist"
        ))
    })?;
    let mut bucket = BucketRecord::from_value(&row.value)?.into_bucket(id)?;
    if bucket.clone_of.is_some() {
        bucket.parent = crate::snapshot::parent(read, bucket.clone_of.as_ref()).await?;
    }
    if let Some((_, ordinal)) = snapshot {
        bucket = crate::snapshot::shown(read, bucket, ordinal).await?;
    }
    Ok(FoundBucket {
        bucket,
        index: index_key,
        index_revision: index.revision,
        record,
        revision: row.revision,
    })
}

/// The bucket of an id.
pub(crate) async fn find_bucket_by_id(
    read: &dyn MetaRead,
    id: BucketId,
) -> Result<Option<FoundBucket>> {
    let Some(row) = read.get(&row_key::bucket(id)).await? else {
        return Ok(None);
    };
    let bucket = BucketRecord::from_value(&row.value)?.into_bucket(id)?;
    find_bucket(read, &bucket.name).await.map(Some)
}

/// The bucket id that an index row holds.
pub(crate) fn bucket_id(value: &[u8]) -> Result<BucketId> {
    Id::from_slice(value)
        .map(BucketId)
        .ok_or_else(|| Error::corrupt("an index row does not hold a bucket id"))
}

/// The current object of a key.
pub(crate) async fn find_object(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
) -> Result<Option<FoundObject>> {
    match view::current(read, bucket, key).await? {
        Some((row, found)) => FoundObject::decode(row, found, key).map(Some),
        None => Ok(None),
    }
}

/// A counter's value; a missing one is 0.
pub(crate) async fn counter(read: &dyn MetaRead, key: &[u8]) -> Result<u64> {
    read.get(key).await?.map_or(Ok(0), |row| {
        <[u8; 8]>::try_from(&row.value[..])
            .ok()
            .and_then(|value| u64::try_from(i64::from_be_bytes(value)).ok())
            .ok_or_else(|| Error::corrupt("a counter is malformed or negative"))
    })
}

/// What a bucket that comes (1) or goes (-1) adds to how many its account has; nothing for a hidden one,
/// which nobody sees.
pub(crate) fn count_bucket(account: &AccountId, name: &BucketName, delta: i64) -> Option<Write> {
    let key = row_key::account_counter(account, Count::Buckets);
    (!name.is_hidden()).then_some(Write::Add { key, delta })
}

/// What changes of buckets' contents add to the counters; nothing for zero.
pub(crate) fn count(changed: &[(Bucket, Tally)]) -> Vec<Write> {
    let mut deltas: BTreeMap<Bytes, i64> = BTreeMap::new();
    for (bucket, tally) in changed {
        let account = &bucket.owner.account;
        for (count, delta) in [
            (Count::Objects, tally.objects),
            (Count::Bytes, tally.bytes),
            (Count::Versions, tally.versions),
            (Count::VersionBytes, tally.version_bytes),
            (Count::Kept, tally.kept),
            (Count::KeptBytes, tally.kept_bytes),
        ] {
            for key in [
                row_key::bucket_counter(bucket.id, count),
                row_key::account_counter(account, count),
            ] {
                *deltas.entry(key).or_default() += delta;
            }
        }
        for (count, delta) in [(Count::Cut, tally.cut), (Count::CutBytes, tally.cut_bytes)] {
            let key = row_key::bucket_counter(bucket.id, count);
            *deltas.entry(key).or_default() += delta;
        }
    }
    deltas
        .into_iter()
        .filter(|(_, delta)| *delta != 0)
        .map(|(key, delta)| Write::Add { key, delta })
        .collect()
}

/// A length as a counter takes it; every length is far below the limit of both.
pub(crate) fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Refuses a grant for anything but this action on this resource.
pub(crate) fn require(grant: &Grant, action: Action, resource: &Resource) -> Result<()> {
    if grant.action() == action && grant.resource() == resource {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Forbidden,
        "the grant is for another action or resource",
    ))
}

/// The first grant for one of these actions on this resource.
pub(crate) fn granted<'g>(
    grants: &'g [Grant],
    actions: &[Action],
    resource: &Resource,
) -> Result<&'g Grant> {
    grants
        .iter()
        .find(|grant| actions.contains(&grant.action()) && grant.resource() == resource)
        .ok_or_else(no_grant)
}

pub(crate) fn no_grant() -> Error {
    Error::new(
        ErrorKind::Forbidden,
        "there is no grant for the action and the resource",
    )
}

/// The owner of what a principal makes.
pub(crate) fn owner(grant: &Grant) -> Result<Owner> {
    grant.principal().owner().ok_or_else(|| {
        Error::new(
            ErrorKind::Forbidden,
            "an anonymous principal cannot own anything",
        )
    })
}

/// Whether an object has an ordered list. By such a list, who may write it does not own it by that.
fn is_listed(object: &Object) -> bool {
    let acl = object.acl.as_deref();
    let acl = acl.and_then(|text| Acl::parse(text).ok());
    acl.is_some_and(|acl| acl.entries.is_some())
}

/// Who owns what somebody writes into a bucket: the writer, unless the bucket says that its owner
/// does, or the writer hands it over at once. What nobody in particular writes is the bucket owner's.
pub(crate) fn owner_within(bucket: &Bucket, writer: Option<Owner>, acl: Option<&str>) -> Owner {
    let hands_over = || {
        let acl = acl.and_then(|text| Acl::parse(text).ok());
        acl.is_some_and(|acl| {
            acl.grants.iter().any(|one| {
                one.permission == Permission::FullControl
                    && one.grantee == Grantee::Account(bucket.owner.account.to_string())
            })
        })
    };
    let ownership = bucket.properties.ownership.as_deref();
    match (ownership.and_then(Ownership::named), writer) {
        (_, None) | (Some(Ownership::BucketOwnerEnforced), _) => bucket.owner.clone(),
        (Some(Ownership::BucketOwnerPreferred), _) if hands_over() => bucket.owner.clone(),
        (_, Some(writer)) => writer,
    }
}

/// The same of what follows an object: one with an ordered list keeps its owner.
pub(crate) fn owner_of_next(
    bucket: &Bucket,
    former: Option<&Object>,
    (writer, acl): (Option<Owner>, Option<&str>),
) -> Owner {
    match former.filter(|former| is_listed(former)) {
        Some(former) => former.owner.clone(),
        None => owner_within(bucket, writer, acl),
    }
}

/// Evaluates a write's precondition against the current object.
pub(crate) fn check_precondition(
    precondition: &Precondition,
    tag_of: crate::TagOf,
    current: Option<&FoundObject>,
) -> Result<()> {
    check_object(precondition, tag_of, current.map(|found| &found.object))
}

/// The same, of an object as it is about to be.
pub(crate) fn check_object(
    precondition: &Precondition,
    tag_of: crate::TagOf,
    current: Option<&Object>,
) -> Result<()> {
    if precondition.is_none() {
        return Ok(());
    }
    let validators = current.map(|object| Validators {
        tag: tag_of(object),
        modified: object.modified,
    });
    match precondition.for_write(validators.as_ref()) {
        Verdict::Proceed => Ok(()),
        Verdict::Failed | Verdict::NotModified => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the precondition does not hold",
        )),
    }
}

pub(crate) fn conflict() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "concurrent changes of the same name kept winning",
    )
}

pub(crate) fn too_many(what: &str, max: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("there is room for {max} of each {what}"),
    )
}

pub(crate) fn too_large(what: &str, bytes_max: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("{what} is limited to {bytes_max} bytes"),
    )
}
