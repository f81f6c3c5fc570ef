//! Users of an account.

use super::record::{
    ADMIN, DISABLED, GroupRecord, Named, PolicyRecord, RESELLER_ADMIN, ROOT, SERVICE, UserRecord,
};
use super::{Attempt, check_attached, find, index, put, resource, taken};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant};
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result, Timestamp};
use trestle_engine::{Scan, Write};

/// Longest display name, e-mail address and id, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its account.
    pub account: AccountId,
    /// Its name, unique in the account.
    pub name: String,
    /// The id that a system gave it.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The name to show to people.
    pub display_name: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// PHC string of its password's hash; to be set, never shown.
    pub password_hash: Option<String>,
    /// Whether it may do anything.
    pub enabled: bool,
    /// Administers its account.
    pub admin: bool,
    /// Administers every account.
    pub reseller_admin: bool,
    /// A program works as it.
    pub service: bool,
    /// The root user, which cannot be disabled or deleted.
    pub root: bool,
    /// Names of its groups.
    pub groups: Vec<String>,
    /// Names of its policies.
    pub policies: Vec<String>,
    /// Client certificates that stand for it: SHA-256 in lower-case hexadecimal.
    pub certificates: Vec<String>,
    /// Grows whenever all of its tokens become void.
    pub epoch: u64,
}

/// What a new user is made of; nothing is needed.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// An id that a system brings; the user's name when there is none.
    pub id: Option<String>,
    /// The name to show to people.
    pub display_name: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// PHC string of its password's hash.
    pub password_hash: Option<String>,
    /// Administers its account.
    pub admin: bool,
    /// Administers every account.
    pub reseller_admin: bool,
    /// A program works as it.
    pub service: bool,
    /// Names of its groups.
    pub groups: Vec<String>,
    /// Names of its policies.
    pub policies: Vec<String>,
    /// Client certificates: SHA-256 in lower-case hexadecimal.
    pub certificates: Vec<String>,
}

/// How a user changes: run on what is there, again when that has changed.
pub type ChangeUser<'a> = dyn Fn(&mut User) -> Result<()> + Send + Sync + 'a;

impl User {
    fn new(account: &AccountId, name: &str, record: UserRecord) -> User {
        User {
            account: account.clone(),
            name: name.to_owned(),
            created: Timestamp(record.created),
            enabled: !record.has(DISABLED),
            admin: record.has(ADMIN) || record.has(ROOT),
            reseller_admin: record.has(RESELLER_ADMIN) || record.has(ROOT),
            service: record.has(SERVICE),
            root: record.has(ROOT),
            id: record.id,
            display_name: record.display_name,
            email: record.email,
            password_hash: record.password_hash,
            groups: record.groups,
            policies: record.policies,
            certificates: record.certificates,
            epoch: record.epoch,
        }
    }

    fn record(&self) -> UserRecord {
        let mut record = UserRecord {
            id: self.id.clone(),
            created: self.created.0,
            display_name: self.display_name.clone(),
            email: self.email.clone(),
            password_hash: self.password_hash.clone(),
            flags: 0,
            groups: self.groups.clone(),
            policies: self.policies.clone(),
            certificates: self.certificates.clone(),
            epoch: self.epoch,
        };
        record.set(DISABLED, !self.enabled);
        record.set(ADMIN, self.admin);
        record.set(RESELLER_ADMIN, self.reseller_admin);
        record.set(SERVICE, self.service);
        record.set(ROOT, self.root);
        record
    }

    fn check(&self) -> Result<()> {
        let email = self.email.as_deref();
        let texts = [self.id.as_str(), &self.display_name]
            .into_iter()
            .chain(email)
            .chain(self.certificates.iter().map(String::as_str));
        for text in texts {
            if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
                return Err(Error::invalid(format!(
                    "a text of a user has at most {TEXT_BYTES_MAX} bytes and no control characters"
                )));
            }
        }
        let digits = |one: &String| {
            let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            one.len() == 64 && one.bytes().all(digit)
        };
        if !self.certificates.iter().all(digits) {
            let message = "a certificate is named by its SHA-256: 64 lower-case hex digits";
            return Err(Error::invalid(message));
        }
        if self.certificates.len() > super::ATTACHED_MAX {
            return Err(store::too_many("certificate", super::ATTACHED_MAX));
        }
        Ok(())
    }
}

impl Store {
    /// Creates a user; its account, too, when nobody has named it before.
    ///
    /// # Errors
    /// `AlreadyExists(User)`; `NotFound` for a group or policy that is not there; `InvalidInput`;
    /// `Forbidden`, also when who asks may not hand out what the user is to be, or have.
    pub async fn create_user(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
        new: &NewUser,
    ) -> Result<User> {
        let created = self.host.clock.now();
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt =
                Attempt::on::<UserRecord>(self, grant, Action::CreateUsers, on).await?;
            let found: Option<UserRecord> = find(&*attempt.read, account, name).await?;
            if found.is_some() {
                return Err(taken(Noun::User, name));
            }
            let user = User {
                account: account.clone(),
                name: name.to_owned(),
                id: new.id.clone().unwrap_or_else(|| name.to_owned()),
                created,
                display_name: new.display_name.clone().unwrap_or_else(|| name.to_owned()),
                email: new.email.clone(),
                password_hash: new.password_hash.clone(),
                enabled: true,
                admin: new.admin,
                reseller_admin: new.reseller_admin,
                service: new.service,
                root: false,
                groups: new.groups.clone(),
                policies: new.policies.clone(),
                certificates: new.certificates.clone(),
                // Of a former user of this name no token may stand for this one.
                epoch: created.0,
            };
            attempt.check_handing_out(grant, None, &user).await?;
            attempt.check_joining(grant, None, &user).await?;
            attempt.make_account(account).await?;
            attempt.write_user(None, &user).await?;
            let name_key = row_key::user_name(name, account);
            attempt.writes.push(index(name_key, &[]));
            let outcome = user;
            if attempt.commit().await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    /// Changes a user. Its tokens become void when its password changes or it is disabled.
    ///
    /// # Errors
    /// `NotFound(User)`; as [`Store::create_user`]; what `change` refuses with.
    pub async fn update_user(
        &self,
        grant: &Grant,
        account: &AccountId,
        name: &str,
        change: &ChangeUser<'_>,
    ) -> Result<User> {
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt =
                Attempt::on::<UserRecord>(self, grant, Action::WriteUsers, on).await?;
            let found: Option<UserRecord> = find(&*attempt.read, account, name).await?;
            let missing = || Error::not_found(Noun::User, format!("{account}/{name}"));
            let former = User::new(account, name, found.ok_or_else(missing)?);
            let mut user = former.clone();
            change(&mut user)?;
            let fixed = user.name == former.name
                && user.account == former.account
                && user.root == former.root
                && (user.enabled || !user.root);
            if !fixed {
                return Err(Error::invalid("this of a user cannot be changed"));
            }
            let void = user.password_hash != former.password_hash || !user.enabled;
            if void && user.epoch == former.epoch {
                user.epoch += 1;
            }
            attempt
                .check_handing_out(grant, Some(&former), &user)
                .await?;
            attempt.check_joining(grant, Some(&former), &user).await?;
            attempt.write_user(Some(&former), &user).await?;
            let outcome = user;
            if attempt.commit().await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    /// Deletes a user with its access keys.
    ///
    /// # Errors
    /// `NotFound(User)`; `Forbidden`, of the root user too.
    pub async fn delete_user(&self, grant: &Grant, account: &AccountId, name: &str) -> Result<()> {
        self.remove_user((grant, Action::DeleteUsers), (account, name), None)
            .await
    }

    /// Takes back a user that was just made, by the right to make it.
    ///
    /// # Errors
    /// `NotFound(User)`, also when another one of its name is there; `Forbidden`.
    pub async fn take_back_user(&self, grant: &Grant, made: &User) -> Result<()> {
        let of = (&made.account, made.name.as_str());
        self.remove_user((grant, Action::CreateUsers), of, Some(made))
            .await
    }

    async fn remove_user(
        &self,
        (grant, action): (&Grant, Action),
        (account, name): (&AccountId, &str),
        made: Option<&User>,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let on = (account, name);
            let mut attempt = Attempt::on::<UserRecord>(self, grant, action, on).await?;
            let found: Option<UserRecord> = find(&*attempt.read, account, name).await?;
            let missing = || Error::not_found(Noun::User, format!("{account}/{name}"));
            let user = User::new(account, name, found.ok_or_else(missing)?);
            if made.is_some_and(|made| made.epoch != user.epoch) {
                return Err(missing());
            }
            if user.root {
                let message = "the root user cannot be deleted";
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            attempt.check_handing_out(grant, Some(&user), &user).await?;
            let delete = |key| Write::Delete { key };
            attempt
                .writes
                .push(delete(row_key::identity(account, UserRecord::KIND, name)));
            attempt
                .writes
                .push(delete(row_key::user_name(name, account)));
            for one in &user.certificates {
                attempt.writes.push(delete(row_key::certificate(one)));
            }
            if let Some(email) = &user.email {
                let key = row_key::email(&email.to_lowercase(), account, name);
                attempt.writes.push(delete(key));
            }
            let prefix = row_key::user_keys(account, name);
            let keys = Scan::prefix(prefix.clone(), super::ATTACHED_MAX + 1);
            for item in attempt.read.scan(&keys).await? {
                let id = item.key().get(prefix.len()..).unwrap_or_default();
                let id = String::from_utf8_lossy(id).into_owned();
                attempt.writes.push(delete(item.key().clone()));
                attempt.writes.push(delete(row_key::access_key(&id)));
                attempt.writes.push(delete(row_key::key_used(&id)));
            }
            if attempt.commit().await? {
                return Ok(());
            }
        }
        Err(store::conflict())
    }

    /// A user.
    ///
    /// # Errors
    /// `NotFound(User)`; `Forbidden`.
    pub async fn user(&self, grant: &Grant, account: &AccountId, name: &str) -> Result<User> {
        let record = self
            .read_named(grant, Action::ReadUsers, account, name)
            .await?;
        Ok(User::new(account, name, record))
    }

    /// A page of an account's users by name, and what to give as `after` for the next one.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_users(
        &self,
        grant: &Grant,
        account: &AccountId,
        after: Option<&str>,
    ) -> Result<(Vec<User>, Option<String>)> {
        let (items, next) = self
            .list_named::<UserRecord>(grant, Action::ReadUsers, account, after)
            .await?;
        let users = items.into_iter();
        let users = users.map(|(name, record)| User::new(account, &name, record));
        Ok((users.collect(), next))
    }

    /// Makes the root user of an account, or gives it new credentials: for the server's own start,
    /// before it listens.
    ///
    /// # Errors
    /// The engine's.
    pub async fn set_root(
        &self,
        account: &AccountId,
        name: &str,
        password_hash: &str,
        key: (&str, &str),
    ) -> Result<()> {
        super::check_name("user", name)?;
        let mut attempt = Attempt::start(self, &[]).await?;
        // Who keeps its name is who it was: what was bound to it stays so.
        let mut created = self.host.clock.now();
        if let Some(former) = self.find_root(account).await? {
            if former.name == name {
                created = former.created;
            }
            let delete = |key| Write::Delete { key };
            let named = former.name != name;
            let old = row_key::identity(account, UserRecord::KIND, &former.name);
            if named {
                attempt.writes.push(delete(old));
                attempt
                    .writes
                    .push(delete(row_key::user_name(&former.name, account)));
            }
            for id in attempt.keys_of(account, &former.name).await? {
                if id != key.0 || named {
                    attempt
                        .writes
                        .push(delete(row_key::user_key(account, &former.name, &id)));
                }
                if id != key.0 {
                    attempt.writes.push(delete(row_key::access_key(&id)));
                }
            }
        }
        let user = User {
            account: account.clone(),
            name: name.to_owned(),
            id: name.to_owned(),
            created,
            display_name: name.to_owned(),
            email: None,
            password_hash: Some(password_hash.to_owned()),
            enabled: true,
            admin: true,
            reseller_admin: true,
            service: false,
            root: true,
            groups: Vec::new(),
            policies: Vec::new(),
            certificates: Vec::new(),
            // New with each time that it is made: no token outlives a change of its credentials.
            epoch: self.host.clock.now().0,
        };
        attempt.make_account(account).await?;
        attempt.writes.push(put(account, name, &user.record())?);
        attempt
            .writes
            .push(index(row_key::user_name(name, account), &[]));
        let secret = self.wrap_access_key(key.0, key.1).await?;
        attempt.write_key(account, name, key.0, secret)?;
        match attempt.commit().await? {
            true => Ok(()),
            false => Err(store::conflict()),
        }
    }

    /// The root user.
    ///
    /// # Errors
    /// The engine's.
    pub async fn find_root(&self, account: &AccountId) -> Result<Option<User>> {
        let read = self.snapshot().await?;
        let mut scan = Scan::prefix(row_key::identities_of(account, UserRecord::KIND), 256);
        loop {
            let page = read.scan(&scan).await?;
            let more = page.len() == scan.limit;
            for item in page {
                let trestle_engine::ScanItem::Row(key, row) = item else {
                    continue;
                };
                let record: UserRecord = crate::record::Record::from_value(&row.value)?;
                if record.has(ROOT) {
                    let start = row_key::identities_of(account, UserRecord::KIND).len();
                    let name = key.get(start..).unwrap_or_default();
                    let name = String::from_utf8_lossy(name).into_owned();
                    return Ok(Some(User::new(account, &name, record)));
                }
                scan.from = std::ops::Bound::Excluded(key);
            }
            if !more {
                return Ok(None);
            }
        }
    }
}

impl Attempt<'_> {
    /// The access keys of a user.
    pub(super) async fn keys_of(&self, account: &AccountId, user: &str) -> Result<Vec<String>> {
        let prefix = row_key::user_keys(account, user);
        let scan = Scan::prefix(prefix.clone(), super::ATTACHED_MAX + 1);
        let found = self.read.scan(&scan).await?;
        let id = |key: &bytes::Bytes| {
            let id = key.get(prefix.len()..).unwrap_or_default();
            String::from_utf8_lossy(id).into_owned()
        };
        Ok(found.iter().map(|item| id(item.key())).collect())
    }

    /// Nobody hands out more than they have: an administrator is made, changed and deleted by one of
    /// the account, a reseller administrator and a service by a reseller administrator, and root is
    /// changed by itself alone. Whose session is narrowed has none of that, and does not change itself:
    /// its password would give back all that was taken.
    async fn check_handing_out(
        &self,
        grant: &Grant,
        former: Option<&User>,
        user: &User,
    ) -> Result<()> {
        let moment = self.store.moment(&*self.read).await?;
        let known = self.store.known_of(moment, grant.principal()).await?;
        let principal = grant.principal();
        let narrowed = !principal.session_policies.is_empty();
        let itself = principal.account() == Some(&user.account) && principal.user == user.name;
        let (admin, reseller) = match &known {
            _ if narrowed => (false, false),
            _ if principal.is_root() => (true, true),
            Some(known) => (
                known.facts.admin && principal.account() == Some(&user.account),
                known.facts.reseller_admin,
            ),
            None => (false, false),
        };
        let was = |mark: fn(&User) -> bool| mark(user) || former.is_some_and(mark);
        // A service reaches what an account's own users must not, such as images kept for it.
        let above = was(|user| user.reseller_admin || user.service);
        // Policies may name the id that a system gave somebody.
        let own_id = former.map_or(&user.name, |former| &former.id);
        let refused = user.root && !principal.is_root()
            || narrowed && itself
            || user.id != *own_id && !admin && !reseller
            || above && !reseller
            || was(|user| user.admin) && !admin && !reseller;
        match refused {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Forbidden,
                "only an administrator may make, change or delete an administrator, or give an id, \
                 and only a reseller administrator a service; nobody does by a token that is narrowed",
            )),
        }
    }

    /// What policies a user has, and which groups, is a right of its own: to change a user's name or
    /// password gives nobody more than they have.
    async fn check_joining(&self, grant: &Grant, former: Option<&User>, user: &User) -> Result<()> {
        let none = Vec::new();
        let was = former.map_or(&none, |former| &former.policies);
        self.check_attaching(
            grant,
            (&user.account, "user", &user.name),
            was,
            &user.policies,
        )
        .await?;
        let was = former.map_or(&none, |former| &former.groups);
        let joined = user.groups.iter().filter(|name| !was.contains(name));
        let left = was.iter().filter(|name| !user.groups.contains(name));
        for name in joined.chain(left) {
            let group = resource(&user.account, "group", name);
            self.demand(grant, Action::WriteGroups, group).await?;
        }
        Ok(())
    }

    async fn write_user(&mut self, former: Option<&User>, user: &User) -> Result<()> {
        user.check()?;
        check_attached::<GroupRecord>(&*self.read, &user.account, &user.groups).await?;
        check_attached::<PolicyRecord>(&*self.read, &user.account, &user.policies).await?;
        let address = |user: &User| {
            let email = user.email.as_ref()?.to_lowercase();
            Some(row_key::email(&email, &user.account, &user.name))
        };
        let (old, new) = (former.and_then(address), address(user));
        if old != new {
            self.writes.extend(old.map(|key| Write::Delete { key }));
            self.writes.extend(new.map(|key| index(key, &[])));
        }
        let before = former.map_or(&[][..], |former| &former.certificates);
        for one in before.iter().filter(|one| !user.certificates.contains(one)) {
            let key = row_key::certificate(one);
            self.writes.push(Write::Delete { key });
        }
        for one in user.certificates.iter().filter(|one| !before.contains(one)) {
            let key = row_key::certificate(one);
            if self.read.get(&key).await?.is_some() {
                return Err(Error::invalid("a certificate stands for another user"));
            }
            let whose = format!("{}\0{}", user.account, user.name);
            self.writes.push(index(key, whose.as_bytes()));
        }
        self.writes
            .push(put(&user.account, &user.name, &user.record())?);
        Ok(())
    }
}
