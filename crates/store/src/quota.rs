//! Quotas of buckets and accounts: a commit that makes either hold more than it may is refused, and
//! so is one bucket more than each account may have.
//!
//! The counters are those of the snapshot in which a commit is put together. Far from a limit,
//! writes that run at the same time do not disturb each other; in its last eighth, each expects
//! that no other has counted meanwhile, so that the limit holds exactly.

use crate::nouns::Bucket;
use crate::placement::Tally;
use crate::properties::Quota;
use crate::record::{AccountRecord, Record};
use crate::row_key::{self, Count};
use crate::store;
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result};
use trestle_engine::{Expectation, MetaRead};

/// Refuses changes of buckets' contents that a quota does not allow; else says what the commit has
/// to expect.
///
/// # Errors
/// `QuotaExceeded`.
pub(crate) async fn check(
    read: &dyn MetaRead,
    changed: &[(Bucket, Tally)],
) -> Result<Vec<Expectation>> {
    let mut expectations = Vec::new();
    let mut accounts: BTreeMap<&AccountId, Tally> = BTreeMap::new();
    for (bucket, tally) in changed {
        let id = bucket.id;
        let of_bucket = |count| row_key::bucket_counter(id, count);
        let what = format!("bucket {}", bucket.name);
        let quota = bucket.properties.quota;
        expectations.extend(holds(read, quota, *tally, (&what, &of_bucket)).await?);
        let account = &bucket.owner.account;
        accounts.entry(account).or_default().add(*tally);
    }
    for (account, tally) in accounts {
        if tally.objects <= 0 && tally.all_bytes() <= 0 {
            continue;
        }
        let row = read.get(&row_key::account(account)).await?;
        let row = row.ok_or_else(|| Error::not_found(Noun::Account, account))?;
        let quota = AccountRecord::from_value(&row.value)?.quota();
        let of_account = |count| row_key::account_counter(account, count);
        let what = format!("account {account}");
        expectations.extend(holds(read, quota, tally, (&what, &of_account)).await?);
    }
    Ok(expectations)
}

/// Refuses one more bucket of an account than the operator allows each; else says what the commit
/// has to expect.
///
/// # Errors
/// `QuotaExceeded`.
pub(crate) async fn check_buckets(
    read: &dyn MetaRead,
    account: &AccountId,
    limit: Option<u64>,
) -> Result<Vec<Expectation>> {
    let of_account = |count| row_key::account_counter(account, count);
    let what = format!("account {account}");
    let limits: [Limit<'_>; 1] = [(limit, 1, &[Count::Buckets], "buckets")];
    within(read, &limits, (&what, &of_account)).await
}

/// A limit, by how much a commit comes nearer to it, what counts, and in which unit.
type Limit<'a> = (Option<u64>, i64, &'a [Count], &'a str);

async fn holds(
    read: &dyn MetaRead,
    quota: Quota,
    tally: Tally,
    whose: (&str, &(dyn Fn(Count) -> Bytes + Sync)),
) -> Result<Vec<Expectation>> {
    let limits: [Limit<'_>; 2] = [
        (
            quota.bytes,
            tally.all_bytes(),
            &[Count::Bytes, Count::VersionBytes, Count::KeptBytes],
            "bytes",
        ),
        (quota.objects, tally.objects, &[Count::Objects], "objects"),
    ];
    within(read, &limits, whose).await
}

async fn within(
    read: &dyn MetaRead,
    limits: &[Limit<'_>],
    (what, row): (&str, &(dyn Fn(Count) -> Bytes + Sync)),
) -> Result<Vec<Expectation>> {
    let mut expectations = Vec::new();
    for (limit, delta, counts, unit) in limits {
        let (Some(limit), Ok(delta)) = (*limit, u64::try_from(*delta)) else {
            continue;
        };
        if delta == 0 {
            continue;
        }
        let mut total = delta;
        let mut counted = Vec::new();
        for count in *counts {
            let key = row(*count);
            total = total.saturating_add(store::counter(read, &key).await?);
            counted.push(key);
        }
        if total > limit {
            let message = format!("{what} may hold at most {limit} {unit}");
            return Err(Error::new(ErrorKind::QuotaExceeded, message));
        }
        if limit - total < limit / 8 {
            for key in counted {
                expectations.push(match read.get(&key).await? {
                    Some(row) => Expectation::Revision(key, row.revision),
                    None => Expectation::Absent(key),
                });
            }
        }
    }
    Ok(expectations)
}
