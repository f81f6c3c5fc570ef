//! The verbs on accounts: made when first needed, described by properties, deleted when they own
//! nothing.

use crate::nouns::{Account, AccountProperties, AccountUsage};
use crate::properties::PublicAccessBlock;
use crate::record::{AccountRecord, Record};
use crate::row_key::{self, Count};
use crate::store::{self, ATTEMPTS_MAX, Store, counter, require};
use std::ops::Bound;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result, Sequence};
use trestle_engine::{Commit, Expectation, MetaRead, Scan, Urgency, Write};

/// Accounts of one page.
const ACCOUNTS_PAGE: usize = 1000;
/// Largest documents of an account: the bytes of all their names and texts.
const DOCUMENTS_BYTES_MAX: usize = 64 << 10;

/// How an account's properties change: run on what is there, again when that has changed.
pub type ChangeAccount<'a> = dyn Fn(&mut AccountProperties) -> Result<()> + Send + Sync + 'a;

/// An account and the revision that a commit must still find.
pub(crate) struct FoundAccount {
    pub(crate) account: Account,
    revision: Sequence,
}

impl FoundAccount {
    pub(crate) fn expectation(&self) -> Expectation {
        Expectation::Revision(row_key::account(&self.account.id), self.revision)
    }
}

impl Store {
    /// Creates an account, or finds that it is there; says whether it was created now. A closed one
    /// is opened again.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn create_account(&self, grant: &Grant, id: &AccountId) -> Result<bool> {
        require(grant, Action::CreateAccount, &Resource::Account(id.clone()))?;
        loop {
            let read = self.snapshot().await?;
            let confirmed = self.confirm(&*read, grant, None, None).await?;
            let found = find_account(&*read, id).await;
            drop(read);
            let mut found = match found {
                Err(error) if error.kind() == ErrorKind::NotFound(Noun::Account) => {
                    if self.make_account(id, Some(confirmed)).await? {
                        return Ok(true);
                    }
                    continue;
                }
                found => found?,
            };
            if !found.account.properties.closed {
                return Ok(false);
            }
            let expected = vec![found.expectation(), confirmed];
            found.account.properties.closed = false;
            if self
                .write_account(expected, &mut found.account, false)
                .await?
            {
                return Ok(true);
            }
        }
    }

    /// The write that makes an account.
    pub(crate) fn new_account(&self, id: &AccountId) -> Result<Write> {
        let now = self.host.clock.now();
        let account = Account {
            id: id.clone(),
            created: now,
            modified: now,
            properties: AccountProperties::default(),
        };
        Ok(Write::Put {
            key: row_key::account(id),
            value: AccountRecord::new(&account)?.to_value()?,
            body: None,
        })
    }

    /// Makes the account when there is none.
    pub(crate) async fn make_account(
        &self,
        id: &AccountId,
        confirmed: Option<Expectation>,
    ) -> Result<bool> {
        let mut expectations = vec![Expectation::Absent(row_key::account(id))];
        expectations.extend(confirmed);
        let commit = Commit {
            expectations,
            writes: vec![self.new_account(id)?],
            ..Commit::default()
        };
        self.try_commit(commit).await
    }

    async fn write_account(
        &self,
        expectations: Vec<Expectation>,
        account: &mut Account,
        rights: bool,
    ) -> Result<bool> {
        account.modified = self.host.clock.now().max(account.modified);
        let put = |key, value| Write::Put {
            key,
            value,
            body: None,
        };
        let value = AccountRecord::new(account)?.to_value()?;
        let mut writes = vec![put(row_key::account(&account.id), value)];
        if rights {
            writes.push(put(row_key::identities(), bytes::Bytes::new()));
        }
        let commit = Commit {
            expectations,
            writes,
            ..Commit::default()
        };
        self.try_commit(commit).await
    }

    /// An account and its counters, of one moment.
    ///
    /// # Errors
    /// `NotFound(Account)`; `Forbidden`.
    pub async fn account(&self, grant: &Grant, id: &AccountId) -> Result<(Account, AccountUsage)> {
        require(grant, Action::ReadAccount, &Resource::Account(id.clone()))?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        let account = find_account(&*read, id).await?.account;
        Ok((account, usage(&*read, id).await?))
    }

    /// Changes an account's properties.
    ///
    /// # Errors
    /// `NotFound(Account)`; what `change` refuses with; `TooLarge`; `Forbidden`; `Conflict` when
    /// concurrent changes keep winning.
    pub async fn update_account(
        &self,
        grant: &Grant,
        id: &AccountId,
        change: &ChangeAccount<'_>,
    ) -> Result<Account> {
        require(grant, Action::WriteAccount, &Resource::Account(id.clone()))?;
        let change = |properties: &mut AccountProperties| {
            let block = properties.public_access;
            change(properties)?;
            // That is another right's.
            match properties.public_access == block {
                true => Ok(()),
                false => Err(store::no_grant()),
            }
        };
        self.change_account(grant, id, &change).await
    }

    /// What public access all buckets of an account refuse.
    ///
    /// # Errors
    /// `NotFound(Account)`; `Forbidden`.
    pub async fn account_public_access(
        &self,
        grant: &Grant,
        id: &AccountId,
    ) -> Result<PublicAccessBlock> {
        let resource = Resource::Account(id.clone());
        require(grant, Action::ReadAccountPublicAccess, &resource)?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        let found = find_account(&*read, id).await?;
        Ok(found.account.properties.public_access)
    }

    /// Changes what public access all buckets of an account refuse, those to come too.
    ///
    /// # Errors
    /// `NotFound(Account)`; `Forbidden`; `Conflict`.
    pub async fn set_account_public_access(
        &self,
        grant: &Grant,
        id: &AccountId,
        block: PublicAccessBlock,
    ) -> Result<()> {
        let resource = Resource::Account(id.clone());
        require(grant, Action::WriteAccountPublicAccess, &resource)?;
        let change = |properties: &mut AccountProperties| {
            properties.public_access = block;
            Ok(())
        };
        self.change_account(grant, id, &change).await.map(drop)
    }

    async fn change_account(
        &self,
        grant: &Grant,
        id: &AccountId,
        change: &ChangeAccount<'_>,
    ) -> Result<Account> {
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let confirmed = self.confirm(&*read, grant, None, None).await?;
            let mut found = find_account(&*read, id).await?;
            drop(read);
            let before = found.account.properties.clone();
            change(&mut found.account.properties)?;
            if found.account.properties == before {
                return Ok(found.account);
            }
            check(&found.account.properties)?;
            // What is known of identities covers who else may use an account.
            let after = &found.account.properties;
            let rights = before.acl != after.acl || before.public_access != after.public_access;
            let expected = vec![found.expectation(), confirmed];
            if self
                .write_account(expected, &mut found.account, rights)
                .await?
            {
                return Ok(found.account);
            }
        }
        Err(store::conflict())
    }

    /// Deletes an account that has neither buckets nor identities; its properties go with it.
    ///
    /// # Errors
    /// `NotFound(Account)`; `NotEmpty`; `Forbidden`.
    pub async fn delete_account(&self, grant: &Grant, id: &AccountId) -> Result<()> {
        require(grant, Action::DeleteAccount, &Resource::Account(id.clone()))?;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let confirmed = self.confirm(&*read, grant, None, None).await?;
            let found = find_account(&*read, id).await?;
            let mut expectations = vec![found.expectation(), confirmed];
            // Users that outlived their account would be those of the next one of its name.
            for (what, start) in [
                ("owns buckets", row_key::account_buckets(id, "")),
                (
                    "has users, groups, roles or policies",
                    row_key::identities_in(id),
                ),
            ] {
                if !read.scan(&Scan::prefix(start.clone(), 1)).await?.is_empty() {
                    let message = format!("account {id} still {what}");
                    return Err(Error::new(ErrorKind::NotEmpty, message));
                }
                if let Bound::Excluded(end) = row_key::end(&start) {
                    expectations.push(Expectation::EmptyRange(start, end));
                }
            }
            drop(read);
            let delete = |key| Write::Delete { key };
            let count = |count| delete(row_key::account_counter(id, count));
            let commit = Commit {
                expectations,
                writes: vec![
                    delete(row_key::account(id)),
                    Write::Put {
                        key: row_key::identities(),
                        value: bytes::Bytes::new(),
                        body: None,
                    },
                    count(Count::Buckets),
                    count(Count::Objects),
                    count(Count::Bytes),
                    count(Count::Versions),
                    count(Count::VersionBytes),
                    count(Count::Kept),
                    count(Count::KeptBytes),
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

    /// A page of all accounts by id, and what to give as `after` for the next one.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_accounts(
        &self,
        grant: &Grant,
        after: Option<&str>,
    ) -> Result<(Vec<Account>, Option<String>)> {
        require(grant, Action::ListAccounts, &Resource::Server)?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        let mut scan = Scan::prefix(row_key::accounts(""), ACCOUNTS_PAGE + 1);
        if let Some(after) = after {
            scan.from = Bound::Excluded(row_key::accounts(after));
        }
        let mut accounts = Vec::new();
        for item in read.scan(&scan).await? {
            let trestle_engine::ScanItem::Row(key, row) = item else {
                continue;
            };
            let id = String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned();
            let record = AccountRecord::from_value(&row.value)?;
            accounts.push(record.into_account(AccountId::parse(id)?)?);
        }
        let more = accounts.len() > ACCOUNTS_PAGE;
        accounts.truncate(ACCOUNTS_PAGE);
        let next = accounts.last().filter(|_| more).map(|a| a.id.to_string());
        Ok((accounts, next))
    }

    /// The exact counters of an account.
    ///
    /// # Errors
    /// `NotFound(Account)`.
    pub async fn account_usage(&self, grant: &Grant, account: &AccountId) -> Result<AccountUsage> {
        require(
            grant,
            Action::ListBuckets,
            &Resource::Account(account.clone()),
        )?;
        let read = self.snapshot().await?;
        self.confirm(&*read, grant, None, None).await?;
        find_account(&*read, account).await?;
        usage(&*read, account).await
    }
}

async fn usage(read: &dyn MetaRead, account: &AccountId) -> Result<AccountUsage> {
    let count = |count| row_key::account_counter(account, count);
    Ok(AccountUsage {
        buckets: counter(read, &count(Count::Buckets)).await?,
        objects: counter(read, &count(Count::Objects)).await?,
        bytes: counter(read, &count(Count::Bytes)).await?,
        versions: counter(read, &count(Count::Versions)).await?,
        version_bytes: counter(read, &count(Count::VersionBytes)).await?,
    })
}

/// The account, with what a commit must still find of it.
pub(crate) async fn find_account(read: &dyn MetaRead, id: &AccountId) -> Result<FoundAccount> {
    let row = read
        .get(&row_key::account(id))
        .await?
        .ok_or_else(|| Error::not_found(Noun::Account, id))?;
    Ok(FoundAccount {
        account: AccountRecord::from_value(&row.value)?.into_account(id.clone())?,
        revision: row.revision,
    })
}

fn check(properties: &AccountProperties) -> Result<()> {
    if let Some(acl) = &properties.acl {
        trestle_access::Acl::parse(acl)?;
    }
    crate::put::check_metadata(&properties.metadata)?;
    let size = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let documents = properties.documents.iter();
    let documents: usize = documents.map(|(name, text)| name.len() + text.len()).sum();
    if documents + size(&properties.acl) > DOCUMENTS_BYTES_MAX {
        return Err(store::too_large(
            "an account's documents",
            DOCUMENTS_BYTES_MAX as u64,
        ));
    }
    Ok(())
}
