//! The verbs on buckets. A name is claimed in the one global index, and freed with its bucket.

use crate::nouns::{Bucket, BucketUsage, ListBuckets};
use crate::record::{BucketRecord, Record};
use crate::row_key::{self, Count};
use crate::store::{self, ATTEMPTS_MAX, Store};
use std::ops::Bound;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, ErrorKind, Noun, Result};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Urgency, Write};

/// Most items of one page of any listing.
pub(crate) const LIST_LIMIT_MAX: usize = 10_000;
/// Rows that one scan of a listing takes: rich metadata makes each as large as 80 KiB.
pub(crate) const LIST_SCAN_ROWS: usize = 256;

impl Store {
    /// Creates an empty bucket of the principal's account.
    ///
    /// # Errors
    /// `AlreadyExists(Bucket)`; `NotFound(Account)`; `Forbidden`.
    pub async fn create_bucket(&self, grant: &Grant, name: &BucketName) -> Result<Bucket> {
        store::require(grant, Action::CreateBucket, &Resource::Bucket(name.clone()))?;
        let owner = store::owner(grant)?;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let account = store::find_account(&*read, &owner.account).await?;
            let name_key = row_key::bucket_name(name);
            if read.get(&name_key).await?.is_some() {
                return Err(Error::new(
                    ErrorKind::AlreadyExists(Noun::Bucket),
                    format!("bucket {name} already exists"),
                ));
            }
            drop(read);
            let bucket = Bucket {
                id: BucketId(self.host.id()),
                name: name.clone(),
                owner: owner.clone(),
                created: self.host.clock.now(),
            };
            let id = bytes::Bytes::copy_from_slice(bucket.id.0.as_bytes());
            let list_key = row_key::account_bucket(&owner.account, name);
            let count_key = row_key::account_counter(&owner.account, Count::Buckets);
            let commit = Commit {
                expectations: vec![account, Expectation::Absent(name_key.clone())],
                writes: vec![
                    Write::Put {
                        key: name_key,
                        value: id.clone(),
                        body: None,
                    },
                    Write::Put {
                        key: row_key::bucket(bucket.id),
                        value: BucketRecord::new(&bucket).to_value()?,
                        body: None,
                    },
                    Write::Put {
                        key: list_key,
                        value: id,
                        body: None,
                    },
                    Write::Add {
                        key: count_key,
                        delta: 1,
                    },
                ],
                ..Commit::default()
            };
            if self.try_commit(commit).await? {
                return Ok(bucket);
            }
        }
        Err(store::conflict())
    }

    /// A bucket and its counters, of one moment.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `Forbidden`.
    pub async fn bucket(&self, grant: &Grant, name: &BucketName) -> Result<(Bucket, BucketUsage)> {
        store::require(grant, Action::ReadBucket, &Resource::Bucket(name.clone()))?;
        let read = self.snapshot().await?;
        let bucket = store::find_bucket(&*read, name).await?.bucket;
        let key = |count| row_key::bucket_counter(bucket.id, count);
        let usage = BucketUsage {
            objects: store::counter(&*read, &key(Count::Objects)).await?,
            bytes: store::counter(&*read, &key(Count::Bytes)).await?,
        };
        Ok((bucket, usage))
    }

    /// The buckets of an account by name, and what to give as `after` for the next page.
    ///
    /// # Errors
    /// `NotFound(Account)`; `InvalidInput` for a limit above 10,000; `Forbidden`.
    pub async fn list_buckets(
        &self,
        grant: &Grant,
        list: &ListBuckets,
    ) -> Result<(Vec<Bucket>, Option<String>)> {
        store::require(
            grant,
            Action::ListBuckets,
            &Resource::Account(list.account.clone()),
        )?;
        check_limit(list.limit)?;
        let read = self.snapshot().await?;
        store::find_account(&*read, &list.account).await?;
        let mut buckets = Vec::new();
        if list.limit == 0 {
            return Ok((buckets, None));
        }
        let prefix = row_key::account_buckets(&list.account, &list.prefix);
        let mut scan = Scan::prefix(prefix.clone(), LIST_SCAN_ROWS);
        if let Some(after) = &list.after {
            let after = row_key::account_buckets(&list.account, after);
            if after >= prefix {
                scan.from = Bound::Excluded(after);
            }
        }
        loop {
            scan.limit = LIST_SCAN_ROWS.min(list.limit + 1 - buckets.len());
            let page = read.scan(&scan).await?;
            let more = page.len() == scan.limit;
            for item in page {
                if buckets.len() == list.limit {
                    let next = buckets.last().map(|b: &Bucket| b.name.as_str().to_owned());
                    return Ok((buckets, next));
                }
                scan.from = Bound::Excluded(item.key().clone());
                buckets.push(listed_bucket(&*read, &item).await?);
            }
            if !more {
                return Ok((buckets, None));
            }
        }
    }

    /// Deletes an empty bucket and frees its name.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotEmpty`; `Forbidden`.
    pub async fn delete_bucket(&self, grant: &Grant, name: &BucketName) -> Result<()> {
        store::require(grant, Action::DeleteBucket, &Resource::Bucket(name.clone()))?;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, name).await?;
            let id = found.bucket.id;
            let account = &found.bucket.owner.account;
            let objects = row_key::objects(id, "");
            if !read
                .scan(&Scan::prefix(objects.clone(), 1))
                .await?
                .is_empty()
            {
                return Err(Error::new(
                    ErrorKind::NotEmpty,
                    format!("bucket {name} still holds objects"),
                ));
            }
            drop(read);
            let mut expectations = found.expectations();
            if let Bound::Excluded(end) = row_key::end(&objects) {
                expectations.push(Expectation::EmptyRange(objects, end));
            }
            let delete = |key| Write::Delete { key };
            let commit = Commit {
                expectations,
                writes: vec![
                    delete(row_key::bucket_name(name)),
                    delete(row_key::bucket(id)),
                    delete(row_key::account_bucket(account, name)),
                    delete(row_key::bucket_counter(id, Count::Objects)),
                    delete(row_key::bucket_counter(id, Count::Bytes)),
                    Write::Add {
                        key: row_key::account_counter(account, Count::Buckets),
                        delta: -1,
                    },
                ],
                urgency: Urgency::Freeing,
                ..Commit::default()
            };
            if self.try_commit(commit).await? {
                return Ok(());
            }
        }
        Err(store::conflict())
    }
}

pub(crate) fn check_limit(limit: usize) -> Result<()> {
    if limit > LIST_LIMIT_MAX {
        return Err(Error::invalid(format!(
            "a page has at most {LIST_LIMIT_MAX} items"
        )));
    }
    Ok(())
}

/// The bucket that a row of an account's list leads to.
async fn listed_bucket(read: &dyn MetaRead, item: &ScanItem) -> Result<Bucket> {
    let dangling = || Error::corrupt("an account's list holds a bucket that does not exist");
    let ScanItem::Row(_, row) = item else {
        return Err(dangling());
    };
    let id = store::bucket_id(&row.value)?;
    let row = read.get(&row_key::bucket(id)).await?.ok_or_else(dangling)?;
    BucketRecord::from_value(&row.value)?.into_bucket(id)
}
