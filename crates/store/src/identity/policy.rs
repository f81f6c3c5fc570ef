//! Identity policies: documents by name, attached to users, groups and roles.

use super::record::PolicyRecord;
use super::{Attempt, find, put};
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, Policy, PolicyKind};
use trestle_core::{AccountId, Result, Timestamp};

/// An identity policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPolicy {
    /// Its account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The document as it was put.
    pub text: String,
}

impl Store {
    /// Creates a policy, or replaces it; and whether it was created.
    ///
    /// # Errors
    /// `InvalidInput` with the place of what is not understood; `Forbidden`.
    pub async fn put_policy(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
        text: &str,
    ) -> Result<(NamedPolicy, bool)> {
        Policy::parse(text, PolicyKind::Identity)?;
        let now = self.host.clock.now();
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt =
                Attempt::on::<PolicyRecord>(self, grant, Action::WritePolicies, on).await?;
            let found: Option<PolicyRecord> = find(&*attempt.read, account, name).await?;
            attempt.make_account(account).await?;
            let made = found.is_none();
            let record = PolicyRecord {
                created: found.map_or(now.0, |found| found.created),
                text: text.to_owned(),
            };
            attempt.writes.push(put(account, name, &record)?);
            let outcome = policy(account, name, record);
            if attempt.commit().await? {
                return Ok((outcome, made));
            }
        }
        Err(store::conflict())
    }

    /// Deletes a policy that nobody has.
    ///
    /// # Errors
    /// `NotFound(Policy)`; `NotEmpty` while it is attached; `Forbidden`.
    pub async fn delete_policy(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
    ) -> Result<()> {
        let on = (account, name);
        self.delete_named::<PolicyRecord>(grant, Action::WritePolicies, on, true)
            .await
    }

    /// A policy.
    ///
    /// # Errors
    /// `NotFound(Policy)`; `Forbidden`.
    pub async fn policy(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
    ) -> Result<NamedPolicy> {
        let record = self
            .read_named(grant, Action::ReadPolicies, account, name)
            .await?;
        Ok(policy(account, name, record))
    }

    /// A page of an account's policies.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_policies(
        &self,
        grant: &Grant,
        account: &AccountId,
        after: Option<&str>,
    ) -> Result<(Vec<NamedPolicy>, Option<String>)> {
        let (items, next) = self
            .list_named::<PolicyRecord>(grant, Action::ReadPolicies, account, after)
            .await?;
        let policies = items.into_iter().map(|(name, r)| policy(account, &name, r));
        Ok((policies.collect(), next))
    }
}

fn policy(account: &AccountId, name: &str, record: PolicyRecord) -> NamedPolicy {
    NamedPolicy {
        account: account.clone(),
        name: name.to_owned(),
        created: Timestamp(record.created),
        text: record.text,
    }
}
