//! Renaming a bucket: its rows carry its id, so only its names change, in one commit.

use crate::feed::{self, Event, EventKind};
use crate::nouns::Bucket;
use crate::protection::Guard;
use crate::record::{BucketRecord, Record};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store};
use bytes::Bytes;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, Error, ErrorKind, Noun, Result};
use trestle_engine::{Commit, Expectation, MetaRead, Write};

impl Store {
    /// Gives a bucket another global name. Its id, and with it everything in it, stays.
    ///
    /// The grants: `DeleteBucket` on the old name, `CreateBucket` on the new one. Policies know
    /// what is in it by its name, so for each key it is decided whether it may be moved; without
    /// that for root, and for administrators whom no policy of their own binds.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `AlreadyExists(Bucket)`; `InvalidInput` for names that are an account's
    /// own; `InvalidState` for a bucket with a policy, which says its name, or with snapshots; `TooLarge` for more keys
    /// than can be decided at once; `Locked` when it is protected; `Forbidden`; `Conflict`.
    pub async fn rename_bucket(
        &self,
        grants: &[Grant],
        name: &BucketName,
        to: &BucketName,
    ) -> Result<Bucket> {
        let old = Resource::Bucket(name.clone());
        let new = Resource::Bucket(to.clone());
        let delete = store::granted(grants, &[Action::DeleteBucket], &old)?;
        let create = store::granted(grants, &[Action::CreateBucket], &new)?;
        if name.account().is_some() || to.account().is_some() {
            return Err(Error::invalid("only global names of buckets are changed"));
        }
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, name).await?;
            let mut expectations = found.expectations();
            expectations.push(self.confirm(&*read, delete, Some(&found), None).await?);
            expectations.push(self.confirm(&*read, create, None, None).await?);
            expectations.dedup();
            Guard::at(self.host.clock.now()).check_bucket(&found.bucket.properties)?;
            if found.bucket.properties.policy.is_some() {
                let message = "the bucket's policy says its name: delete the policy first";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            if found.bucket.parent.is_some() {
                let message = "a clone keeps its name as long as it inherits keys";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            if found.bucket.snapshots.live > 0 {
                let message = "the bucket's snapshots are read by its name: delete them first";
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            if self.is_bound_by_names(&*read, delete, &found).await? {
                let decided = self.decide_all(&*read, delete.asked(), (&found, to));
                expectations.extend(decided.await?);
            }
            let mut bucket = found.bucket.clone();
            let account = bucket.owner.account.clone();
            let (index, listed) = (
                row_key::bucket_name(to),
                row_key::account_bucket(&account, to),
            );
            if read.get(&index).await?.is_some() || read.get(&listed).await?.is_some() {
                return Err(Error::new(
                    ErrorKind::AlreadyExists(Noun::Bucket),
                    format!("bucket {to} already exists"),
                ));
            }
            drop(read);
            bucket.name = to.clone();
            let id = Bytes::copy_from_slice(bucket.id.0.as_bytes());
            let put = |key, value| Write::Put {
                key,
                value,
                body: None,
            };
            let mut writes = vec![
                put(index.clone(), id.clone()),
                put(listed.clone(), id),
                put(
                    row_key::bucket(bucket.id),
                    BucketRecord::new(&bucket)?.to_value()?,
                ),
            ];
            for key in [
                row_key::bucket_name(name),
                row_key::account_bucket(&account, name),
            ] {
                writes.push(Write::Delete { key });
            }
            let events = [
                Event::of_bucket(EventKind::BucketDeleted, name, &bucket.owner),
                Event::of_bucket(EventKind::BucketCreated, to, &bucket.owner),
            ];
            writes.extend(feed::append(self.host.clock.now(), &events)?);
            expectations.push(Expectation::Absent(index));
            expectations.push(Expectation::Absent(listed));
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

    /// Whether what somebody may do in a bucket may depend on its name.
    pub(crate) async fn is_bound_by_names(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        found: &FoundBucket,
    ) -> Result<bool> {
        let principal = grant.principal();
        if !principal.session_policies.is_empty() {
            return Ok(true);
        }
        let moment = self.moment(read).await?;
        let known = self.known_of(moment, principal).await?;
        let own = principal.account() == Some(&found.bucket.owner.account);
        let unbound = known.is_some_and(|known| {
            let facts = &known.facts;
            facts.policies.is_empty() && (facts.reseller_admin || facts.admin && own)
        });
        Ok(!principal.is_root() && !unbound)
    }
}
