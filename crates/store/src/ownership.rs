//! Giving what there is to another owner: a bucket with what it counts for, and single objects.
//!
//! Nothing else of them changes. Who may is who may delete them where they are and change whose they
//! are; a bucket's new account must be one that they may change, too. Within an account it takes the
//! right to change whose they are alone. Whom an ordered list names is who it named before.

use crate::account::find_account;
use crate::feed::{Event, EventKind};
use crate::layer::Hold;
use crate::nouns::{Bucket, Object, UpdateObject};
use crate::placement::{Changes, check_own};
use crate::read::attached;
use crate::record::{BucketRecord, ObjectRecord, Record};
use crate::row_key::{self, Count};
use crate::store::{self, ATTEMPTS_MAX, Store};
use bytes::Bytes;
use trestle_access::{Acl, Action, Grant, Resource};
use trestle_core::{AccountId, BucketId, BucketName, Error, ErrorKind, Noun, Owner, Result};
use trestle_engine::{Body, Commit, Expectation, MetaRead, Scan, Urgency, Write};

/// The tables whose rows keep a bucket with its account, and what they are: the account counts what
/// is kept until it is freed.
const STAYS: [(u8, &str); 2] = [
    (row_key::KEPT, "what snapshots keep"),
    (row_key::SWEEP, "what a snapshot that is gone kept"),
];

/// What an account counts of its buckets' contents.
const CONTENTS: [Count; 4] = [
    Count::Objects,
    Count::Bytes,
    Count::Versions,
    Count::VersionBytes,
];

impl Store {
    /// Gives a bucket to another owner, in one commit; what is in it keeps its owners. With `only`,
    /// just the bucket that has this id is given.
    ///
    /// The grants: `WriteBucketOwner` on the bucket; to another account `DeleteBucket`, too, and
    /// `WriteAccount` on the account.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed` when another bucket has the name; `AlreadyExists(Bucket)` when
    /// the account has one of that name; `InvalidInput` for a bucket whose name is its account's own;
    /// `InvalidState` for a clone, for one with snapshots, or of which something is still kept that
    /// they showed; `Forbidden`, of a closed account too; `QuotaExceeded` when the account has as many
    /// buckets as it may; `Conflict`.
    pub async fn give_bucket(
        &self,
        grants: &[Grant],
        (name, only): (&BucketName, Option<BucketId>),
        to: &Owner,
    ) -> Result<Bucket> {
        let (of, account) = (
            Resource::Bucket(name.clone()),
            Resource::Account(to.account.clone()),
        );
        let own = store::granted(grants, &[Action::WriteBucketOwner], &of)?;
        if name.account().is_some() {
            let message = "a bucket whose name is its account's own stays there";
            return Err(Error::invalid(message));
        }
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, name).await?;
            if only.is_some_and(|only| only != found.bucket.id) {
                let message = "another bucket has the name by now";
                return Err(Error::new(ErrorKind::PreconditionFailed, message));
            }
            if found.bucket.clone_of.is_some() {
                let message = "a clone of a bucket stays with its account";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            if found.bucket.snapshots.live > 0 {
                let message = "the bucket has snapshots: delete them first";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            let receiving = find_account(&*read, &to.account).await?;
            if receiving.account.properties.closed {
                let message = format!("account {} is closed", to.account);
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            let mut expectations = found.expectations();
            expectations.push(receiving.expectation());
            for (table, what) in STAYS {
                expectations.push(none_of(&*read, found.bucket.id, (table, what)).await?);
            }
            expectations.push(self.confirm(&*read, own, Some(&found), None).await?);
            let mut bucket = found.bucket.clone();
            let from = std::mem::replace(&mut bucket.owner, to.clone()).account;
            if from != to.account {
                let delete = store::granted(grants, &[Action::DeleteBucket], &of)?;
                expectations.push(self.confirm(&*read, delete, Some(&found), None).await?);
                let write = store::granted(grants, &[Action::WriteAccount], &account)?;
                expectations.push(self.confirm(&*read, write, None, None).await?);
                leave(&mut bucket.properties.acl, (&from, &to.account))?;
            }
            expectations.dedup();
            let id = Bytes::copy_from_slice(bucket.id.0.as_bytes());
            let mut writes = vec![put(
                row_key::bucket(bucket.id),
                BucketRecord::new(&bucket)?.to_value()?,
            )];
            if from != to.account {
                let listed = row_key::account_bucket(&to.account, name);
                if read.get(&listed).await?.is_some() {
                    return Err(Error::new(
                        ErrorKind::AlreadyExists(Noun::Bucket),
                        format!("account {} has a bucket {name}", to.account),
                    ));
                }
                let key = row_key::account_bucket(&from, name);
                writes.push(Write::Delete { key });
                writes.push(put(listed.clone(), id));
                expectations.push(Expectation::Absent(listed));
                expectations.extend(self.room_for_bucket(&*read, own, &to.account).await?);
                writes.extend(store::count_bucket(&from, name, -1));
                writes.extend(store::count_bucket(&to.account, name, 1));
                let counted = counted(&*read, &bucket, &mut expectations).await?;
                for (count, delta) in counted {
                    for (account, delta) in [(&from, -delta), (&to.account, delta)] {
                        let key = row_key::account_counter(account, count);
                        writes.push(Write::Add { key, delta });
                    }
                }
            }
            drop(read);
            let commit = Commit {
                expectations,
                writes,
                ..Commit::default()
            };
            if self.try_commit(commit).await? {
                return Ok(bucket);
            }
        }
        Err(store::conflict())
    }

    /// Gives the current version of an object to another owner.
    ///
    /// The grants: `WriteObjectOwner` on it, and `DeleteObject` to give it to another account.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`; `Forbidden`; `Conflict`.
    pub async fn give_object(
        &self,
        grants: &[Grant],
        update: &UpdateObject,
        to: &Owner,
    ) -> Result<Object> {
        let resource = Resource::Object(update.bucket.clone(), update.key.clone());
        let own = store::granted(grants, &[Action::WriteObjectOwner], &resource)?;
        self.own(&update.bucket, [&update.key], Urgency::Normal)
            .await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let bucket = store::find_bucket(&*read, &update.bucket).await?;
            let found = self
                .find_live(&*read, &bucket, &update.key, update.version)
                .await;
            let current = found.as_ref().ok();
            let mut confirmed = vec![self.confirm(&*read, own, Some(&bucket), current).await?];
            if current.is_some_and(|found| found.object.owner.account != to.account) {
                let delete = store::granted(grants, &[Action::DeleteObject], &resource)?;
                confirmed.push(self.confirm(&*read, delete, Some(&bucket), current).await?);
            }
            store::check_precondition(&update.precondition, update.tag_of, current)?;
            let found = found?;
            check_own(&bucket.bucket, &found)?;
            let mut object = found.object.clone();
            if object.owner == *to {
                return Ok(object);
            }
            let from = std::mem::replace(&mut object.owner, to.clone()).account;
            if from != to.account {
                leave(&mut object.acl, (&from, &to.account))?;
            }
            object.change = object.change.saturating_add(1);
            object.modifications = object.modifications.saturating_add(1);
            let mut changes = Changes::expecting(bucket.expectations());
            changes.expectations.push(found.expectation());
            changes.expectations.extend(confirmed);
            changes.expectations.dedup();
            let body = attached(self, &found).await?.map(Body::Attached);
            let value = ObjectRecord::new(&object)?.to_value()?;
            changes.put(found.row.clone(), value, body);
            let name = &bucket.bucket.name;
            changes
                .events
                .push(Event::of(EventKind::Updated, name, &object));
            drop(read);
            let urgency = Urgency::Normal;
            if changes.commit(self, &bucket, &mut hold, urgency).await? {
                return Ok(object);
            }
        }
        Err(store::conflict())
    }
}

/// Has a list go on naming whom it named when what it is of belonged to the former account.
fn leave(acl: &mut Option<String>, (former, to): (&AccountId, &AccountId)) -> Result<()> {
    if let Some(text) = acl {
        *text = Acl::parse(text)?.leaving(former, to).to_text()?;
    }
    Ok(())
}

fn put(key: Bytes, value: Bytes) -> Write {
    Write::Put {
        key,
        value,
        body: None,
    }
}

/// That a bucket has no rows of a table.
async fn none_of(
    read: &dyn MetaRead,
    bucket: BucketId,
    (table, what): (u8, &str),
) -> Result<Expectation> {
    let rows = row_key::of_bucket(table, bucket);
    let held = || {
        let message = format!("the bucket still holds {what}");
        Error::new(ErrorKind::InvalidState, message)
    };
    if !read.scan(&Scan::prefix(rows.clone(), 1)).await?.is_empty() {
        return Err(held());
    }
    let end = row_key::end_of(&rows).ok_or_else(held)?;
    Ok(Expectation::EmptyRange(rows, end))
}

/// What a bucket holds counts for in its account, which a commit must still find so.
async fn counted(
    read: &dyn MetaRead,
    bucket: &Bucket,
    expectations: &mut Vec<Expectation>,
) -> Result<Vec<(Count, i64)>> {
    let mut counted = Vec::new();
    for count in CONTENTS {
        let key = row_key::bucket_counter(bucket.id, count);
        let value = store::counter(read, &key).await?;
        expectations.push(match read.get(&key).await? {
            Some(row) => Expectation::Revision(key, row.revision),
            None => Expectation::Absent(key),
        });
        if value > 0 {
            let value = i64::try_from(value)
                .map_err(|_| Error::corrupt("a counter is larger than it can be"))?;
            counted.push((count, value));
        }
    }
    Ok(counted)
}
