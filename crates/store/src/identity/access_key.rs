//! Access keys: several for a user, each with a secret that only its making shows.

use super::record::{AccessKeyRecord, UserRecord};
use super::{Attempt, index, need, resource};
use crate::record::Record;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, SecretKey};
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result, Timestamp};
use trestle_engine::{Commit, MetaRead, Write};

/// Longest access key, in bytes.
pub(super) const ID_BYTES_MAX: usize = 128;
/// Longest secret key, in bytes.
const SECRET_BYTES_MAX: usize = 256;
/// How exactly the last use of an access key is kept, in microseconds.
const USED_GRAIN: u64 = 10 * 60 * 1_000_000;
/// Access keys whose last use is remembered at once.
const USED_MAX: usize = 10_000;

/// An access key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The key itself.
    pub id: String,
    /// The account of its user.
    pub account: AccountId,
    /// Its user.
    pub user: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// Whether it is good for anything.
    pub enabled: bool,
    /// When it was last used, to within some minutes.
    pub used: Option<Timestamp>,
}

/// What an access key is made of.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// The key.
    pub id: String,
    /// Its secret.
    pub secret: SecretKey,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// What a secret is bound to.
fn purpose(id: &str) -> Vec<u8> {
    [b"access key\0", id.as_bytes()].concat()
}

fn check(id: &str, secret: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_graphic() && !"/:,\"".contains(c);
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(plain) {
        return Err(Error::invalid(format!(
            "an access key has 1 to {ID_BYTES_MAX} visible ASCII characters, no '/', ':' or ','"
        )));
    }
    let fits = !secret.is_empty() && secret.len() <= SECRET_BYTES_MAX;
    if !fits || secret.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "a secret key has 1 to {SECRET_BYTES_MAX} bytes and no control characters"
        )));
    }
    Ok(())
}

impl Store {
    pub(super) async fn wrap_access_key(&self, id: &str, secret: &str) -> Result<Vec<u8>> {
        check(id, secret)?;
        self.wrap_secret(&purpose(id), secret.as_bytes()).await
    }

    pub(super) async fn unwrap_access_key(
        &self,
        id: &str,
        record: &AccessKeyRecord,
    ) -> Result<SecretKey> {
        let secret = self.unwrap_secret(&purpose(id), &record.secret).await?;
        let text = std::str::from_utf8(&secret);
        let text = text.map_err(|_| Error::corrupt("a secret key is not text"))?;
        Ok(SecretKey::new(text))
    }

    /// Notes that a key was used, now and then: a signature by its secret, as it was looked up, was
    /// right. It is no harm when that fails.
    pub async fn note_key_use(&self, (id, secret): (&str, &SecretKey), now: Timestamp) {
        if secret.is_used_anew(now, USED_GRAIN) {
            // What is seldom needed does not make every request's state larger.
            Box::pin(self.write_key_use(id, now)).await;
        }
    }

    async fn write_key_use(&self, id: &str, now: Timestamp) {
        if !self.cache.is_key_used_anew(id, now, (USED_GRAIN, USED_MAX)) {
            return;
        }
        let commit = Commit {
            writes: vec![index(row_key::key_used(id), &now.0.to_be_bytes())],
            ..Commit::default()
        };
        if let Err(error) = self.try_commit(commit).await {
            tracing::debug!(%error, "the last use of an access key was not noted");
        }
    }

    /// Gives a user another access key.
    ///
    /// # Errors
    /// `AlreadyExists(AccessKey)`; `NotFound(User)`; `InvalidInput`; `Forbidden`.
    pub async fn create_access_key(
        &self,
        grant: &Grant,
        account: &AccountId,
        user: &str,
        new: &NewAccessKey,
    ) -> Result<AccessKey> {
        store::require(grant, Action::CreateKeys, &resource(account, "user", user))?;
        let secret = self.wrap_access_key(&new.id, new.secret.expose()).await?;
        for _ in 0..ATTEMPTS_MAX {
            let mut attempt = Attempt::start(self, &[grant]).await?;
            attempt.check_keys_of(grant, account, user).await?;
            let key = row_key::access_key(&new.id);
            if attempt.read.get(&key).await?.is_some() {
                return Err(super::taken(Noun::AccessKey, &new.id));
            }
            if attempt.keys_of(account, user).await?.len() >= super::ATTACHED_MAX {
                return Err(store::too_many("access key", super::ATTACHED_MAX));
            }
            let record = AccessKeyRecord {
                account: account.to_string(),
                user: user.to_owned(),
                secret: secret.clone(),
                created: self.host.clock.now().0,
                expires: new.expires.map(|at| at.0),
                disabled: false,
            };
            attempt.write_key_record(account, user, &new.id, &record)?;
            if attempt.commit().await? {
                return Ok(access_key(account, &new.id, &record, None));
            }
        }
        Err(store::conflict())
    }

    /// Disables an access key, or enables it again.
    ///
    /// # Errors
    /// `NotFound(AccessKey)`; `Forbidden`.
    pub async fn enable_access_key(
        &self,
        grant: &Grant,
        (account, user): (&AccountId, &str),
        id: &str,
        enabled: bool,
    ) -> Result<()> {
        self.change_key(grant, (account, user), id, Some(enabled))
            .await
    }

    /// Deletes an access key.
    ///
    /// # Errors
    /// `NotFound(AccessKey)`; `Forbidden`.
    pub async fn delete_access_key(
        &self,
        grant: &Grant,
        (account, user): (&AccountId, &str),
        id: &str,
    ) -> Result<()> {
        self.change_key(grant, (account, user), id, None).await
    }

    async fn change_key(
        &self,
        grant: &Grant,
        (account, user): (&AccountId, &str),
        id: &str,
        enabled: Option<bool>,
    ) -> Result<()> {
        let action = match enabled {
            Some(_) => Action::WriteKeys,
            None => Action::DeleteKeys,
        };
        store::require(grant, action, &resource(account, "user", user))?;
        for _ in 0..ATTEMPTS_MAX {
            let mut attempt = Attempt::start(self, &[grant]).await?;
            attempt.check_keys_of(grant, account, user).await?;
            let mut record = find_key(&*attempt.read, id)
                .await?
                .filter(|key| key.account == account.as_str() && key.user == user)
                .ok_or_else(|| Error::not_found(Noun::AccessKey, id))?;
            match enabled {
                Some(enabled) => {
                    record.disabled = !enabled;
                    attempt.write_key_record(account, user, id, &record)?;
                }
                None => {
                    let keys = [
                        row_key::access_key(id),
                        row_key::user_key(account, user, id),
                        row_key::key_used(id),
                    ];
                    let deletes = keys.into_iter().map(|key| Write::Delete { key });
                    attempt.writes.extend(deletes);
                }
            }
            if attempt.commit().await? {
                return Ok(());
            }
        }
        Err(store::conflict())
    }

    /// The access keys of a user.
    ///
    /// # Errors
    /// `NotFound(User)`; `Forbidden`.
    pub async fn list_access_keys(
        &self,
        grant: &Grant,
        account: &AccountId,
        user: &str,
    ) -> Result<Vec<AccessKey>> {
        store::require(grant, Action::ReadKeys, &resource(account, "user", user))?;
        let attempt = Attempt::start(self, &[grant]).await?;
        need::<UserRecord>(&*attempt.read, account, user).await?;
        let mut keys = Vec::new();
        for id in attempt.keys_of(account, user).await? {
            let dangling = || Error::corrupt("a user has an access key that does not exist");
            let record = find_key(&*attempt.read, &id).await?.ok_or_else(dangling)?;
            let used = attempt.read.get(&row_key::key_used(&id)).await?;
            let used = used.and_then(|row| <[u8; 8]>::try_from(&row.value[..]).ok());
            let used = used.map(|bytes| Timestamp(u64::from_be_bytes(bytes)));
            keys.push(access_key(account, &id, &record, used));
        }
        Ok(keys)
    }
}

fn access_key(
    account: &AccountId,
    id: &str,
    record: &AccessKeyRecord,
    used: Option<Timestamp>,
) -> AccessKey {
    AccessKey {
        id: id.to_owned(),
        account: account.clone(),
        user: record.user.clone(),
        created: Timestamp(record.created),
        expires: record.expires.map(Timestamp),
        enabled: !record.disabled,
        used,
    }
}

pub(super) async fn find_key(read: &dyn MetaRead, id: &str) -> Result<Option<AccessKeyRecord>> {
    let row = read.get(&row_key::access_key(id)).await?;
    row.map(|row| AccessKeyRecord::from_value(&row.value))
        .transpose()
}

impl Attempt<'_> {
    /// Whoever changes an administrator's keys could act as that administrator; whose session is
    /// narrowed, with a key of its own as what it was before.
    async fn check_keys_of(&self, grant: &Grant, account: &AccountId, user: &str) -> Result<()> {
        use super::record::{ADMIN, RESELLER_ADMIN, ROOT};
        let record: UserRecord = need(&*self.read, account, user).await?;
        let principal = grant.principal();
        let itself = principal.account() == Some(account) && principal.user == user;
        let narrowed = !principal.session_policies.is_empty();
        if (itself || principal.is_root()) && !narrowed {
            return Ok(());
        }
        let moment = self.store.moment(&*self.read).await?;
        let known = self.store.known_of(moment, principal).await?;
        let (admin, reseller) = known.map_or((false, false), |known| {
            let own = principal.account() == Some(account);
            (own && known.facts.admin, known.facts.reseller_admin)
        });
        let above = record.has(ROOT) || record.has(RESELLER_ADMIN);
        let administers = above || record.has(ADMIN);
        let allowed = match (narrowed, above) {
            (true, _) => !itself && !administers,
            (false, true) => reseller && !record.has(ROOT),
            (false, false) => !administers || admin || reseller,
        };
        match allowed {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forbidden,
                "only an administrator may change an administrator's access keys, and nobody their \
                 own by a token that is narrowed",
            )),
        }
    }

    /// A key of the root user, made anew.
    pub(super) fn write_key(
        &mut self,
        account: &AccountId,
        user: &str,
        id: &str,
        secret: Vec<u8>,
    ) -> Result<()> {
        let record = AccessKeyRecord {
            account: account.to_string(),
            user: user.to_owned(),
            secret,
            created: self.store.host.clock.now().0,
            expires: None,
            disabled: false,
        };
        self.write_key_record(account, user, id, &record)
    }

    fn write_key_record(
        &mut self,
        account: &AccountId,
        user: &str,
        id: &str,
        record: &AccessKeyRecord,
    ) -> Result<()> {
        self.writes.push(Write::Put {
            key: row_key::access_key(id),
            value: record.to_value()?,
            body: None,
        });
        self.writes
            .push(index(row_key::user_key(account, user, id), &[]));
        Ok(())
    }
}
