//! Identities: users, groups, roles, policies and access keys, as rows of the store.
//!
//! Every change of any of them also writes one row, whose revision is thus that of all that is known
//! of identities: caches and grants rest on it, and each change expects it, so that changes never
//! cross. What only says when something was used is written without.

mod access_key;
pub(crate) mod check;
mod group;
mod known;
mod login;
mod policy;
mod record;
mod token;
mod user;

pub use access_key::{AccessKey, NewAccessKey};
pub use group::{Group, NewRole, Role};
pub use login::Identities;
pub use policy::NamedPolicy;
pub use token::{AssumeRole, Issue, Session};
pub use user::{ChangeUser, NewUser, User};

pub(crate) use known::{Cache, Moment, block_of, parse_acl};

use crate::row_key;
use crate::store::{self, Store};
use record::Named;
use std::ops::Bound;
use std::sync::Arc;
use trestle_access::{Action, Asked, Grant, Resource};
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result, Sequence};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, ScanItem, Write};

/// Longest name of a user, group, role or policy, in bytes.
pub const IDENTITY_NAME_BYTES_MAX: usize = 128;
/// Most groups of a user, policies of an identity, and access keys of a user.
pub(crate) const ATTACHED_MAX: usize = 100;
/// Most items of one page.
const PAGE_MAX: usize = 1000;

/// Checks the name of a user, group, role or policy: it has to stand in ARNs, ACLs and logins.
fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > IDENTITY_NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the name of a {what} must be 1 to {IDENTITY_NAME_BYTES_MAX} bytes long"
        )));
    }
    let forbidden = |c: char| c.is_control() || "/:,*?${}\"".contains(c);
    match name.chars().find(|c| forbidden(*c)) {
        Some(c) => Err(Error::invalid(format!(
            "the name of a {what} must not contain {c:?}"
        ))),
        None => Ok(()),
    }
}

/// The resource that an identity is.
pub(crate) fn resource(account: &AccountId, word: &str, name: &str) -> Resource {
    Resource::Identity(account.clone(), format!("{word}/{name}"))
}

async fn find<R: Named>(read: &dyn MetaRead, account: &AccountId, name: &str) -> Result<Option<R>> {
    let row = read.get(&row_key::identity(account, R::KIND, name)).await?;
    row.map(|row| R::from_value(&row.value)).transpose()
}

async fn need<R: Named>(read: &dyn MetaRead, account: &AccountId, name: &str) -> Result<R> {
    let missing = || Error::not_found(R::NOUN, format!("{account}/{name}"));
    find(read, account, name).await?.ok_or_else(missing)
}

fn put<R: Named>(account: &AccountId, name: &str, record: &R) -> Result<Write> {
    Ok(Write::Put {
        key: row_key::identity(account, R::KIND, name),
        value: record.to_value()?,
        body: None,
    })
}

fn index(key: bytes::Bytes, value: &[u8]) -> Write {
    Write::Put {
        key,
        value: bytes::Bytes::copy_from_slice(value),
        body: None,
    }
}

fn taken(noun: Noun, name: &str) -> Error {
    Error::new(
        ErrorKind::AlreadyExists(noun),
        format!("{noun} {name} already exists"),
    )
}

/// One change of identities that is being tried.
struct Attempt<'a> {
    store: &'a Store,
    read: Box<dyn MetaRead>,
    expectations: Vec<Expectation>,
    writes: Vec<Write>,
}

impl<'a> Attempt<'a> {
    /// Starts on what is there now, with the grants confirmed.
    async fn start(store: &'a Store, grants: &[&Grant]) -> Result<Attempt<'a>> {
        let read = store.snapshot().await?;
        let expected = expectation(revision(&*read).await?);
        for grant in grants {
            store.confirm(&*read, grant, None, None).await?;
        }
        Ok(Attempt {
            store,
            read,
            expectations: vec![expected],
            writes: vec![index(row_key::identities(), &[])],
        })
    }

    /// Starts a change of one identity.
    async fn on<R: Named>(
        store: &'a Store,
        grant: &Grant,
        action: Action,
        (account, name): (&AccountId, &str),
    ) -> Result<Attempt<'a>> {
        store::require(grant, action, &resource(account, R::WORD, name))?;
        check_name(R::WORD, name)?;
        Attempt::start(store, &[grant]).await
    }

    /// Whether who asks may do that, too: decided on what this attempt found, which its commit
    /// expects.
    ///
    /// # Errors
    /// `Forbidden`.
    async fn demand(&self, grant: &Grant, action: Action, resource: Resource) -> Result<()> {
        let asked = Arc::new(Asked {
            action,
            resource,
            ..grant.asked().clone()
        });
        let moment = self.store.moment(&*self.read).await?;
        let mut facts = self.store.facts(moment, &asked, None).await?;
        self.store
            .read_account_acl(moment, &asked, None, &mut facts)
            .await?;
        let (verdict, decided) = trestle_access::judge(&asked, &facts);
        self.store.audit.decided(&asked, &verdict);
        let undecided = || Error::new(ErrorKind::Internal, "a decision was not made");
        decided?.map(drop).ok_or_else(undecided)
    }

    /// Whoever changes which policies somebody has must be allowed to attach them there.
    async fn check_attaching(
        &self,
        grant: &Grant,
        (account, word, name): (&AccountId, &str, &str),
        was: &[String],
        is: &[String],
    ) -> Result<()> {
        let same = was.len() == is.len() && was.iter().all(|one| is.contains(one));
        match same {
            true => Ok(()),
            false => {
                let of = resource(account, word, name);
                self.demand(grant, Action::AttachPolicies, of).await
            }
        }
    }

    /// Makes the account when nobody has named it before.
    async fn make_account(&mut self, account: &AccountId) -> Result<()> {
        let key = row_key::account(account);
        if self.read.get(&key).await?.is_none() {
            self.expectations.push(Expectation::Absent(key));
            self.writes.push(self.store.new_account(account)?);
        }
        Ok(())
    }

    /// Whether it was done; not, when something else was changed first.
    async fn commit(self) -> Result<bool> {
        drop(self.read);
        let commit = Commit {
            expectations: self.expectations,
            writes: self.writes,
            ..Commit::default()
        };
        self.store.try_commit(commit).await
    }
}

impl Store {
    /// A page of an account's identities of one kind, by name.
    async fn list_named<R: Named>(
        &self,
        grant: &Grant,
        action: Action,
        account: &AccountId,
        after: Option<&str>,
    ) -> Result<(Vec<(String, R)>, Option<String>)> {
        store::require(grant, action, &resource(account, R::WORD, ""))?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        let prefix = row_key::identities_of(account, R::KIND);
        let mut scan = Scan::prefix(prefix.clone(), PAGE_MAX + 1);
        if let Some(after) = after {
            scan.from = Bound::Excluded(row_key::identity(account, R::KIND, after));
        }
        let mut items = Vec::new();
        for item in read.scan(&scan).await? {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            let name = key.get(prefix.len()..).unwrap_or_default().to_vec();
            let name = String::from_utf8(name)
                .map_err(|_| Error::corrupt("an identity has a malformed row key"))?;
            items.push((name, R::from_value(&row.value)?));
        }
        let more = items.len() > PAGE_MAX;
        items.truncate(PAGE_MAX);
        let next = items.last().filter(|_| more).map(|(name, _)| name.clone());
        Ok((items, next))
    }

    /// One identity.
    async fn read_named<R: Named>(
        &self,
        grant: &Grant,
        action: Action,
        account: &AccountId,
        name: &str,
    ) -> Result<R> {
        store::require(grant, action, &resource(account, R::WORD, name))?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        need(&*read, account, name).await
    }
}

impl Store {
    /// Deletes an identity; one that others share, only when nobody has it.
    async fn delete_named<R: Named>(
        &self,
        grant: &Grant,
        action: Action,
        (account, name): (&AccountId, &str),
        shared: bool,
    ) -> Result<()> {
        for _ in 0..store::ATTEMPTS_MAX {
            let mut attempt = Attempt::on::<R>(self, grant, action, (account, name)).await?;
            need::<R>(&*attempt.read, account, name).await?;
            if shared {
                group::check_unused::<R>(&*attempt.read, account, name).await?;
            }
            let key = row_key::identity(account, R::KIND, name);
            attempt.writes.push(Write::Delete { key });
            if attempt.commit().await? {
                return Ok(());
            }
        }
        Err(store::conflict())
    }
}

/// The policies and groups that an identity names must be there, each once.
async fn check_attached<R: Named>(
    read: &dyn MetaRead,
    account: &AccountId,
    names: &[String],
) -> Result<()> {
    if names.len() > ATTACHED_MAX {
        return Err(store::too_many(R::WORD, ATTACHED_MAX));
    }
    for (place, name) in names.iter().enumerate() {
        if names.iter().take(place).any(|other| other == name) {
            return Err(Error::invalid(format!(
                "{} {name:?} is named twice",
                R::WORD
            )));
        }
        need::<R>(read, account, name).await?;
    }
    Ok(())
}

/// That everything that is known of identities still has this revision.
pub(crate) fn expectation(revision: Sequence) -> Expectation {
    let key = row_key::identities();
    match revision {
        Sequence(0) => Expectation::Absent(key),
        revision => Expectation::Revision(key, revision),
    }
}

/// The revision of everything that is known of identities; 0 before anything was.
pub(crate) async fn revision(read: &dyn MetaRead) -> Result<Sequence> {
    let row = read.get(&row_key::identities()).await?;
    Ok(row.map_or(Sequence(0), |row| row.revision))
}
