//! Credentials: from what a request presents to who it is from.
//!
//! Each answers with a principal, with nobody when the credential is wrong, or with an error when it
//! could not be checked. Nothing here ever answers with the anonymous principal.

use super::Moment;
use super::known::{Known, KnownKey, KnownLogin};
use super::token::Tokens;
use crate::row_key;
use crate::store::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use trestle_access::{PasswordCache, Principal, Remembered, SecretKey, Throttle, hash_secret};
use trestle_core::{AccountId, Error, ErrorKind, Result, Sequence};
use trestle_engine::Scan;

/// Logins that are remembered at once.
const LOGINS_MAX: usize = 1000;
/// Attempts that wait at once, because of wrong passwords before.
const WAITING_MAX: usize = 64;

/// Resolves credentials.
pub struct Identities {
    pub(super) store: Arc<Store>,
    passwords: PasswordCache,
    /// By the MAC of a name and a password, those that were right.
    logins: Mutex<HashMap<[u8; 32], Login>>,
    throttle: Throttle,
    waiting: Semaphore,
    /// What a password is held against when there is no such user: it costs the same.
    nobody: String,
    pub(super) tokens: Tokens,
}

/// A name and a password that were right, at one revision of identities.
struct Login {
    identities: Sequence,
    remembered: Remembered,
    /// The user's full name.
    name: Arc<str>,
    known: Arc<Known>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identities")
    }
}

impl Identities {
    /// Over a store.
    ///
    /// # Errors
    /// `Internal` when no password can be hashed.
    pub fn new(store: Arc<Store>) -> Result<Arc<Identities>> {
        let random = &*store.host.random;
        let nobody = hash_secret(&format!("{:032x}", store.host.nonce()), random)?;
        Ok(Arc::new(Identities {
            passwords: PasswordCache::new(random),
            logins: Mutex::default(),
            throttle: Throttle::default(),
            waiting: Semaphore::new(WAITING_MAX),
            nobody,
            tokens: Tokens::default(),
            store,
        }))
    }

    /// Hashes a password, away from the asynchronous threads.
    ///
    /// # Errors
    /// `InvalidInput` for one that cannot be hashed.
    pub async fn hash_password(&self, password: &str) -> Result<String> {
        self.passwords.hash(&self.store.host, password).await
    }

    /// Where new secrets come from.
    pub fn random(&self) -> &dyn trestle_host::Random {
        &*self.store.host.random
    }

    /// A user as a principal, whoever asks; none when there is no such user.
    ///
    /// # Errors
    /// The engine's.
    pub async fn user(&self, account: &AccountId, name: &str) -> Result<Option<Arc<Principal>>> {
        let read = self.store.snapshot().await?;
        let moment = self.store.moment(&*read).await?;
        let known = self.store.known_user(moment, account, name).await?;
        Ok(known.and_then(|known| known.principal.clone()))
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whose name and password these are. The name is `account/user`, or a user's alone when there
    /// is one of that name; the root user's always is.
    ///
    /// # Errors
    /// The engine's.
    pub async fn password(
        &self,
        name: &str,
        password: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Arc<Principal>>> {
        let known = self.verified(name, password, source).await?;
        let enabled = known.filter(|known| known.facts.enabled);
        Ok(enabled.and_then(|known| known.principal.clone()))
    }

    /// As [`Identities::password`], but who is disabled and knows the password is told so.
    ///
    /// # Errors
    /// `Forbidden` for who is disabled; the engine's.
    pub async fn member(
        &self,
        name: &str,
        password: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Arc<Principal>>> {
        match self.verified(name, password, source).await? {
            Some(known) if !known.facts.enabled => {
                Err(Error::new(ErrorKind::Forbidden, "this user is not enabled"))
            }
            known => Ok(known.and_then(|known| known.principal.clone())),
        }
    }

    /// The user that a name and a password are of, enabled or not.
    async fn verified(
        &self,
        name: &str,
        password: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Arc<Known>>> {
        let pair = self.passwords.pair(name, password);
        if let Some(known) = self.logged_in(&pair, source) {
            return Ok(Some(known));
        }
        // What is seldom needed does not make every request's state larger.
        Box::pin(self.verified_anew(name, password, source, pair)).await
    }

    /// The user of a name and a password that were found right already, if nothing that is known of
    /// identities changed since.
    fn logged_in(&self, pair: &[u8; 32], source: Option<IpAddr>) -> Option<Arc<Known>> {
        let identities = self.store.seen_now()?;
        let logins = self.logins.lock();
        let login = logins
            .get(pair)
            .filter(|one| one.identities == identities)?;
        if !login.remembered.renew(self.store.host.clock.monotonic()) {
            return None;
        }
        self.throttle.right(&login.name, source);
        Some(login.known.clone())
    }

    /// Remembers whose a name and a password are, where it is remembered that they are right.
    fn remember_login(
        &self,
        (pair, identities): ([u8; 32], Sequence),
        password: &str,
        (name, known): &KnownLogin,
    ) {
        let Some(hash) = known.password_hash.as_deref() else {
            return;
        };
        let host = &self.store.host;
        let Some(remembered) = self.passwords.remembers(host, name, password, hash) else {
            return;
        };
        let login = Login {
            identities,
            remembered,
            name: name.clone(),
            known: known.clone(),
        };
        let mut logins = self.logins.lock();
        if logins.len() >= LOGINS_MAX {
            logins.retain(|_, one| one.identities == identities);
        }
        if logins.len() >= LOGINS_MAX {
            logins.clear();
        }
        logins.insert(pair, login);
    }

    async fn verified_anew(
        &self,
        name: &str,
        password: &str,
        source: Option<IpAddr>,
        pair: [u8; 32],
    ) -> Result<Option<Arc<Known>>> {
        let (identities, found) = self.named(name).await?;
        let known = found.as_ref().map(|(_, known)| known);
        let hash = known.and_then(|known| known.password_hash.as_deref());
        let full = found.as_ref().map_or(name, |(full, _)| &**full);
        let verified = self.verify(full, password, hash, source).await?;
        match &found {
            Some(login) if verified => self.remember_login((pair, identities), password, login),
            _ => self.store.audit.refused("password", full, source),
        }
        Ok(found.filter(|_| verified).map(|(_, known)| known))
    }

    async fn verify(
        &self,
        name: &str,
        password: &str,
        hash: Option<&str>,
        source: Option<IpAddr>,
    ) -> Result<bool> {
        let host = &self.store.host;
        let known = hash.unwrap_or(&self.nobody);
        let remembered = self.passwords.remembers(host, name, password, known);
        let verified = match remembered {
            Some(_) => true,
            None => self.look_at((name, source), password, known).await?,
        };
        let right = verified && hash.is_some();
        match right {
            true => self.throttle.right(name, source),
            false => self.throttle.wrong(name, source, host.clock.monotonic()),
        }
        Ok(right)
    }

    /// Holds a password against a hash, after it has waited as long as the wrong ones before it
    /// demand: also those that came at the same time and were looked at first.
    async fn look_at(
        &self,
        (name, source): (&str, Option<IpAddr>),
        password: &str,
        hash: &str,
    ) -> Result<bool> {
        let host = &self.store.host;
        let due = || self.throttle.wait(name, source, host.clock.monotonic());
        let mut waited = Duration::ZERO;
        loop {
            let more = due().saturating_sub(waited);
            if !more.is_zero() {
                // Whoever guesses cannot make the server wait for more than some at once. A password
                // that was not looked at is not called wrong: it may be the right one.
                let Ok(_place) = self.waiting.try_acquire() else {
                    let message = "too many attempts wait already; repeat this one later";
                    return Err(Error::new(ErrorKind::Conflict, message));
                };
                tokio::time::sleep(more).await;
                waited += more;
            }
            let is_due = || due() <= waited;
            let looked_at = self
                .passwords
                .verify_when(host, (name, hash), password, &is_due);
            if let Some(verified) = looked_at.await? {
                return Ok(verified);
            }
        }
    }

    /// The user that a login names, by its full name, at which revision of identities.
    async fn named(&self, name: &str) -> Result<(Sequence, Option<KnownLogin>)> {
        let read = self.store.snapshot().await?;
        let moment = self.store.moment(&*read).await?;
        let identities = moment.identities;
        let Some((account, user)) = name.split_once('/') else {
            return Ok((identities, self.store.known_login(moment, name).await?));
        };
        let Ok(account) = AccountId::parse(account) else {
            return Ok((identities, None));
        };
        let known = self.store.known_user(moment, &account, user).await?;
        Ok((identities, known.map(|known| (name.into(), known))))
    }

    /// The secret of an access key, and who it stands for; none when there is no such key, or it is
    /// disabled or has ended. Whether its holder asks is not known before a signature was right: its
    /// use is noted then, by [`Store::note_key_use`].
    ///
    /// # Errors
    /// `Corrupt`; the engine's.
    pub async fn access_key(
        &self,
        id: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<(SecretKey, Arc<Principal>)>> {
        let known = self.good_key(id).await?;
        if known.is_none() {
            self.store.audit.refused("access key", id, source);
        }
        Ok(known)
    }

    /// The same of a key that may be used and is known without a look at the store; none says
    /// nothing.
    pub fn access_key_now(&self, id: &str) -> Option<(SecretKey, Arc<Principal>)> {
        self.store.of_key_now(id, |key| self.good(key))
    }

    async fn good_key(&self, id: &str) -> Result<Option<(SecretKey, Arc<Principal>)>> {
        let known = match self.store.known_key_now(id) {
            Some(known) => known,
            None => Box::pin(self.find_key(id)).await?,
        };
        Ok(known.and_then(|key| self.good(&key)))
    }

    /// What a key gives, as long as it may be used.
    fn good(&self, key: &KnownKey) -> Option<(SecretKey, Arc<Principal>)> {
        let ended = |at| at <= self.store.host.clock.now().0;
        if key.record.disabled || key.record.expires.is_some_and(ended) {
            return None;
        }
        Some((key.secret.clone(), key.principal.clone()?))
    }

    async fn find_key(&self, id: &str) -> Result<Option<Arc<KnownKey>>> {
        let read = self.store.snapshot().await?;
        let moment = self.store.moment(&*read).await?;
        self.store.known_key(moment, id).await
    }

    /// Whom a client certificate stands for, by its SHA-256 in lower-case hexadecimal.
    ///
    /// # Errors
    /// The engine's.
    pub async fn certificate(
        &self,
        fingerprint: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Arc<Principal>>> {
        let known = self.good_certificate(fingerprint).await?;
        if known.is_none() {
            self.store.audit.refused("certificate", fingerprint, source);
        }
        Ok(known)
    }

    async fn good_certificate(&self, fingerprint: &str) -> Result<Option<Arc<Principal>>> {
        let read = self.store.snapshot().await?;
        let Some(row) = read.get(&row_key::certificate(fingerprint)).await? else {
            return Ok(None);
        };
        let malformed = || Error::corrupt("a certificate leads to no user");
        let whose = std::str::from_utf8(&row.value).map_err(|_| malformed())?;
        let (account, user) = whose.split_once('\0').ok_or_else(malformed)?;
        let moment = self.store.moment(&*read).await?;
        self.enabled(moment, account, user, None).await
    }

    /// Whether there is such an account.
    ///
    /// # Errors
    /// The engine's.
    pub async fn account_exists(&self, account: &AccountId) -> Result<bool> {
        let read = self.store.snapshot().await?;
        Ok(read.get(&row_key::account(account)).await?.is_some())
    }

    /// The account of the one user with this e-mail address; none when there are several.
    ///
    /// # Errors
    /// The engine's.
    pub async fn account_of_email(&self, email: &str) -> Result<Option<AccountId>> {
        let prefix = row_key::emails(&email.to_lowercase());
        let read = self.store.snapshot().await?;
        let found = read.scan(&Scan::prefix(prefix.clone(), 2)).await?;
        let [one] = found.as_slice() else {
            return Ok(None);
        };
        let rest = one.key().get(prefix.len()..).unwrap_or_default();
        let account = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(AccountId::parse(String::from_utf8_lossy(account)).ok())
    }

    pub(super) async fn enabled(
        &self,
        moment: Moment<'_>,
        account: &str,
        user: &str,
        epoch: Option<u64>,
    ) -> Result<Option<Arc<Principal>>> {
        let Ok(account) = AccountId::parse(account) else {
            return Ok(None);
        };
        let known = self.store.known_user(moment, &account, user).await?;
        Ok(known
            .filter(|known| known.facts.enabled)
            .filter(|known| epoch.is_none_or(|epoch| epoch == known.epoch))
            .and_then(|known| known.principal.clone()))
    }
}
