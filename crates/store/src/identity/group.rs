//! Groups and roles: what several users share, and what a user may become for a while.

use super::record::{GroupRecord, Named, PolicyRecord, RoleRecord, UserRecord};
use super::{Attempt, check_attached, find, put, taken};
use crate::record::Record;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use std::ops::Bound;
use trestle_access::{Action, Grant, Policy, PolicyKind};
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result, Timestamp};
use trestle_engine::{MetaRead, Scan, ScanItem};

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Names of its policies.
    pub policies: Vec<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Names of its policies.
    pub policies: Vec<String>,
    /// Who may take it: a policy's text.
    pub trust: String,
}

/// What a role is made of, or becomes.
#[derive(Clone, Debug, Default)]
pub struct NewRole {
    /// Names of its policies.
    pub policies: Vec<String>,
    /// Who may take it: a policy's text.
    pub trust: String,
}

/// The names of an account's users of whom something holds.
async fn users_where(
    read: &dyn MetaRead,
    account: &AccountId,
    holds: impl Fn(&UserRecord) -> bool,
) -> Result<Option<String>> {
    let prefix = row_key::identities_of(account, UserRecord::KIND);
    let mut scan = Scan::prefix(prefix.clone(), 256);
    loop {
        let page = read.scan(&scan).await?;
        let more = page.len() == scan.limit;
        for item in page {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            if holds(&UserRecord::from_value(&row.value)?) {
                let name = key.get(prefix.len()..).unwrap_or_default();
                return Ok(Some(String::from_utf8_lossy(name).into_owned()));
            }
            scan.from = Bound::Excluded(key);
        }
        if !more {
            return Ok(None);
        }
    }
}

/// Refuses to remove what an identity still has.
pub(super) async fn check_unused<R: Named>(
    read: &dyn MetaRead,
    account: &AccountId,
    name: &str,
) -> Result<()> {
    let has = |names: &[String]| names.iter().any(|one| one == name);
    let policy = R::KIND == PolicyRecord::KIND;
    let user = users_where(read, account, |user| match policy {
        true => has(&user.policies),
        false => has(&user.groups),
    });
    let in_use = |by: String| {
        let message = format!("the {} {name:?} is still in use, by {by}", R::WORD);
        Err(Error::new(ErrorKind::NotEmpty, message))
    };
    if let Some(user) = user.await? {
        return in_use(format!("user {user:?}"));
    }
    if !policy {
        return Ok(());
    }
    for kind in [GroupRecord::KIND, RoleRecord::KIND] {
        let prefix = row_key::identities_of(account, kind);
        let mut scan = Scan::prefix(prefix.clone(), 256);
        loop {
            let page = read.scan(&scan).await?;
            let more = page.len() == scan.limit;
            for item in page {
                let ScanItem::Row(key, row) = item else {
                    continue;
                };
                let policies = match kind == GroupRecord::KIND {
                    true => GroupRecord::from_value(&row.value)?.policies,
                    false => RoleRecord::from_value(&row.value)?.policies,
                };
                if has(&policies) {
                    let by = key.get(prefix.len()..).unwrap_or_default();
                    return in_use(format!("{:?}", String::from_utf8_lossy(by)));
                }
                scan.from = Bound::Excluded(key);
            }
            if !more {
                break;
            }
        }
    }
    Ok(())
}

impl Store {
    /// Creates a group.
    ///
    /// # Errors
    /// `AlreadyExists(Group)`; `NotFound(Policy)`; `InvalidInput`; `Forbidden`.
    pub async fn create_group(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
        policies: &[String],
    ) -> Result<Group> {
        let created = self.host.clock.now();
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt =
                Attempt::on::<GroupRecord>(self, grant, Action::WriteGroups, on).await?;
            let found: Option<GroupRecord> = find(&*attempt.read, account, name).await?;
            if found.is_some() {
                return Err(taken(Noun::Group, name));
            }
            check_attached::<PolicyRecord>(&*attempt.read, account, policies).await?;
            let of = (account, "group", name);
            attempt.check_attaching(grant, of, &[], policies).await?;
            attempt.make_account(account).await?;
            let record = GroupRecord {
                created: created.0,
                policies: policies.to_vec(),
            };
            attempt.writes.push(put(account, name, &record)?);
            let outcome = group(account, name, record);
            if attempt.commit().await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    /// Replaces the policies of a group.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput`; `Forbidden`.
    pub async fn update_group(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
        policies: &[String],
    ) -> Result<Group> {
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt =
                Attempt::on::<GroupRecord>(self, grant, Action::WriteGroups, on).await?;
            let found: Option<GroupRecord> = find(&*attempt.read, account, name).await?;
            let missing = || Error::not_found(Noun::Group, format!("{account}/{name}"));
            let mut record = found.ok_or_else(missing)?;
            check_attached::<PolicyRecord>(&*attempt.read, account, policies).await?;
            let of = (account, "group", name);
            attempt
                .check_attaching(grant, of, &record.policies, policies)
                .await?;
            record.policies = policies.to_vec();
            attempt.writes.push(put(account, name, &record)?);
            let outcome = group(account, name, record);
            if attempt.commit().await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    /// Deletes a group that nobody is in.
    ///
    /// # Errors
    /// `NotFound(Group)`; `NotEmpty`; `Forbidden`.
    pub async fn delete_group(&self, grant: &Grant, account: &AccountId, name: &str) -> Result<()> {
        let on = (account, name);
        self.delete_named::<GroupRecord>(grant, Action::WriteGroups, on, true)
            .await
    }

    /// A group.
    ///
    /// # Errors
    /// `NotFound(Group)`; `Forbidden`.
    pub async fn group(&self, grant: &Grant, account: &AccountId, name: &str) -> Result<Group> {
        let record = self
            .read_named(grant, Action::ReadGroups, account, name)
            .await?;
        Ok(group(account, name, record))
    }

    /// A page of an account's groups.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_groups(
        &self,
        grant: &Grant,
        account: &AccountId,
        after: Option<&str>,
    ) -> Result<(Vec<Group>, Option<String>)> {
        let (items, next) = self
            .list_named::<GroupRecord>(grant, Action::ReadGroups, account, after)
            .await?;
        let groups = items.into_iter().map(|(name, r)| group(account, &name, r));
        Ok((groups.collect(), next))
    }

    /// Creates a role, or replaces it; and whether it was created.
    ///
    /// # Errors
    /// `InvalidInput` for a trust policy that is not understood; `NotFound(Policy)`; `Forbidden`.
    pub async fn put_role(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
        new: &NewRole,
    ) -> Result<(Role, bool)> {
        Policy::parse(&new.trust, PolicyKind::Trust)?;
        let now = self.host.clock.now();
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt =
                Attempt::on::<RoleRecord>(self, grant, Action::WriteRoles, on).await?;
            let found: Option<RoleRecord> = find(&*attempt.read, account, name).await?;
            check_attached::<PolicyRecord>(&*attempt.read, account, &new.policies).await?;
            let was = found.as_ref().map_or(&[][..], |found| &found.policies);
            let of = (account, "role", name);
            attempt
                .check_attaching(grant, of, was, &new.policies)
                .await?;
            attempt.make_account(account).await?;
            let made = found.is_none();
            let record = RoleRecord {
                created: found.map_or(now.0, |found| found.created),
                policies: new.policies.clone(),
                trust: new.trust.clone(),
            };
            attempt.writes.push(put(account, name, &record)?);
            let outcome = role(account, name, record);
            if attempt.commit().await? {
                return Ok((outcome, made));
            }
        }
        Err(store::conflict())
    }

    /// Deletes a role.
    ///
    /// # Errors
    /// `NotFound(Role)`; `Forbidden`.
    pub async fn delete_role(&self, grant: &Grant, account: &AccountId, name: &str) -> Result<()> {
        let on = (account, name);
        self.delete_named::<RoleRecord>(grant, Action::WriteRoles, on, false)
            .await
    }

    /// A role.
    ///
    /// # Errors
    /// `NotFound(Role)`; `Forbidden`.
    pub async fn role(&self, grant: &Grant, account: &AccountId, name: &str) -> Result<Role> {
        let record = self
            .read_named(grant, Action::ReadRoles, account, name)
            .await?;
        Ok(role(account, name, record))
    }

    /// A page of an account's roles.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_roles(
        &self,
        grant: &Grant,
        account: &AccountId,
        after: Option<&str>,
    ) -> Result<(Vec<Role>, Option<String>)> {
        let (items, next) = self
            .list_named::<RoleRecord>(grant, Action::ReadRoles, account, after)
            .await?;
        let roles = items.into_iter().map(|(name, r)| role(account, &name, r));
        Ok((roles.collect(), next))
    }
}

fn group(account: &AccountId, name: &str, record: GroupRecord) -> Group {
    Group {
        account: account.clone(),
        name: name.to_owned(),
        created: Timestamp(record.created),
        policies: record.policies,
    }
}

fn role(account: &AccountId, name: &str, record: RoleRecord) -> Role {
    Role {
        account: account.clone(),
        name: name.to_owned(),
        created: Timestamp(record.created),
        policies: record.policies,
        trust: record.trust,
    }
}
