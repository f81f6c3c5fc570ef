//! Tokens and sessions: who they stand for, and how they become void.
//!
//! A token is signed and says everything; only revoked ones are rows. One of a user is void when the
//! user's epoch changes, one of a role also when the role goes, or the token by which it was taken.
//! Whoever has a token can sign with the keys that follow from it.
//!
//! The signature of a token is checked each time, and whether it was revoked. What it says is read
//! once, and who it stands for is looked up once for each revision of identities.

use super::login::Identities;
use super::{Moment, check_name, index, resource};
use crate::row_key;
use crate::store;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use trestle_access::{
    Action, Borne, Grant, Policy, PolicyKind, Principal, PrincipalKind, SealedToken, SecretKey,
    TakenRole, Token, TokenKey,
};
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result, Sequence, Timestamp};
use trestle_engine::{Commit, Scan, ScanItem, Write};

/// The setting that holds the key of tokens, encrypted.
const TOKEN_KEY: &str = "token-key";
/// Longest life of a token.
const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longest life of a role's session.
const SESSION_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest name of a session, in bytes.
const SESSION_NAME_BYTES_MAX: usize = 64;
/// Revoked tokens that have ended, removed with each revocation.
const ENDED_MAX: usize = 100;
/// Tokens that are kept as they were read.
const READ_MAX: usize = 1000;

/// What a token is to be like.
#[derive(Clone, Debug)]
pub struct Issue {
    /// How long it is valid, up to 7 days; up to 12 hours of a role.
    pub lifetime: Duration,
    /// Policies that narrow it, as JSON.
    pub policies: Vec<String>,
}

/// A role to take for a while.
#[derive(Clone, Debug)]
pub struct AssumeRole {
    /// The role's account.
    pub account: AccountId,
    /// The role.
    pub role: String,
    /// What the session is called, in logs and in policies.
    pub session: String,
    /// What its token is to be like.
    pub issue: Issue,
}

/// A token, and the keys that follow from it.
#[derive(Clone, Debug)]
pub struct Session {
    /// The token: to be borne, or sent with what is signed.
    pub token: String,
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: SecretKey,
    /// When it all ends.
    pub expires: Timestamp,
}

/// The key of tokens, and the tokens that were read.
#[derive(Default)]
pub(super) struct Tokens {
    key: OnceCell<TokenKey>,
    /// By what tells a token from any other, under the key.
    read: Mutex<HashMap<[u8; 32], Arc<ReadToken>>>,
}

impl Tokens {
    /// A token that was read before, whose signature is right.
    fn read_before(&self, token: &str) -> Option<Arc<ReadToken>> {
        let sealed = SealedToken::check(token, self.key.get()?)?;
        self.read.lock().get(&sealed.mac()).cloned()
    }
}

/// A token as it was read.
struct ReadToken {
    token: Token,
    access_key: String,
    secret_key: SecretKey,
    policies: Vec<Arc<Policy>>,
    stood_for: Mutex<Option<StoodFor>>,
}

/// Who a token stood for, which was not revoked.
#[derive(Clone)]
struct StoodFor {
    /// The sequence of the snapshot that says so.
    sequence: Sequence,
    /// The revision of identities that it showed.
    identities: Sequence,
    principal: Option<Arc<Principal>>,
}

impl ReadToken {
    fn new(token: Token, key: &TokenKey) -> Result<ReadToken> {
        let policies = token.policies.iter();
        let policies =
            policies.map(|text| Policy::parse_kept(text, PolicyKind::Session).map(Arc::new));
        Ok(ReadToken {
            access_key: token.access_key(),
            secret_key: token.secret_key(key),
            policies: policies.collect::<Result<_>>()?,
            stood_for: Mutex::default(),
            token,
        })
    }
}

fn expired() -> Error {
    Error::new(ErrorKind::Expired, "the token has expired")
}

fn refused() -> Error {
    Error::new(ErrorKind::Forbidden, "this principal cannot have a token")
}

impl Identities {
    /// Issues a token to a principal.
    ///
    /// # Errors
    /// `InvalidInput` for a lifetime or a policy that cannot be; `TooLarge`; `Forbidden` for whoever
    /// has no tokens: nobody, roles, and whoever is here by a token, whose scope and end would be
    /// lost.
    pub async fn issue(&self, principal: &Principal, issue: &Issue) -> Result<Session> {
        if issue.lifetime.is_zero() || issue.lifetime > LIFETIME_MAX {
            return Err(Error::invalid("a token lives from 1 second to 7 days"));
        }
        // A token that gave another would outlive its end and its revocation.
        if !principal.session_policies.is_empty() || principal.issued.is_some() {
            return Err(refused());
        }
        self.session(principal, issue, None).await
    }

    /// Lets a user take a role.
    ///
    /// The grant: `AssumeRole` on the role.
    ///
    /// # Errors
    /// `InvalidInput` for a lifetime, a name or a policy that cannot be; `TooLarge`; `Forbidden`,
    /// also for nobody and for roles, which take no others.
    pub async fn assume_role(&self, grant: &Grant, assume: &AssumeRole) -> Result<Session> {
        let AssumeRole {
            account,
            role,
            session,
            issue,
        } = assume;
        store::require(grant, Action::AssumeRole, &resource(account, "role", role))?;
        let by_role = matches!(grant.principal().kind(), PrincipalKind::Role { .. });
        if by_role || !grant.principal().session_policies.is_empty() {
            return Err(refused());
        }
        if issue.lifetime.is_zero() || issue.lifetime > SESSION_MAX {
            return Err(Error::invalid("a session lives from 1 second to 12 hours"));
        }
        check_name("session", session)?;
        if session.len() > SESSION_NAME_BYTES_MAX {
            let message = format!("a session's name has at most {SESSION_NAME_BYTES_MAX} bytes");
            return Err(Error::invalid(message));
        }
        let read = self.store.snapshot().await?;
        self.store.confirm(&*read, grant, None, None).await?;
        let moment = self.store.moment(&*read).await?;
        let known = self.store.known_role(moment, account, role).await?;
        let missing = || Error::not_found(Noun::Role, format!("{account}/{role}"));
        let taken = TakenRole {
            account: account.to_string(),
            role: role.clone(),
            session: session.clone(),
            made: known.ok_or_else(missing)?.epoch,
        };
        drop(read);
        self.session(grant.principal(), issue, Some(taken)).await
    }

    async fn session(
        &self,
        principal: &Principal,
        issue: &Issue,
        role: Option<TakenRole>,
    ) -> Result<Session> {
        for policy in &issue.policies {
            Policy::parse(policy, PolicyKind::Session)?;
        }
        // A role's token would outlive who took it.
        if matches!(principal.kind(), PrincipalKind::Role { .. }) {
            return Err(refused());
        }
        let account = principal.account().ok_or_else(refused)?;
        let read = self.store.snapshot().await?;
        let moment = self.store.moment(&*read).await?;
        let known = self
            .store
            .known_user(moment, account, &principal.user)
            .await?;
        let known = known
            .filter(|known| known.facts.enabled)
            .ok_or_else(refused)?;
        let now = self.store.host.clock.now();
        let lifetime = u64::try_from(issue.lifetime.as_micros()).unwrap_or(u64::MAX);
        let mut expires = now.0.saturating_add(lifetime);
        // What is taken by a token ends with it.
        if let Some(parent) = &principal.token {
            expires = expires.min(parent.expires.0);
        }
        let token = Token {
            id: self.store.host.id().to_string(),
            account: account.to_string(),
            user: principal.user.clone(),
            epoch: known.epoch,
            issued: now.0,
            expires,
            policies: issue.policies.clone(),
            role,
            parent: principal.token.as_ref().map(|parent| parent.id.clone()),
        };
        let key = self.token_key().await?;
        let session = Session {
            access_key: token.access_key(),
            secret_key: token.secret_key(key),
            expires: Timestamp(token.expires),
            token: token.sign(key)?,
        };
        let role = token.role.as_ref();
        let role = role.map(|taken| format!("{}/{}", taken.account, taken.role));
        self.store
            .audit
            .issued(principal, &session.access_key, role.as_deref());
        Ok(session)
    }

    /// Whose token this is; none when it is not valid.
    ///
    /// # Errors
    /// `Expired`; the engine's.
    pub async fn bearer(
        &self,
        token: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Arc<Principal>>> {
        let read = self.read_once(token).await?;
        let known = match &read {
            Some(read) => self.stands_for(read).await,
            None => Ok(None),
        };
        if !matches!(known, Ok(Some(_))) {
            let name = read.as_ref().map_or("", |read| &read.access_key);
            self.store.audit.refused("token", name, source);
        }
        known
    }

    /// The secret of the access key that goes with a token, and who both stand for; none when they
    /// do not go together, or the token is not valid.
    ///
    /// # Errors
    /// `Expired`; the engine's.
    pub async fn session_key(
        &self,
        access_key: &str,
        token: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<(SecretKey, Arc<Principal>)>> {
        let read = self.read_once(token).await?;
        let read = read.filter(|read| read.access_key == access_key);
        let known = match &read {
            Some(read) => self.stands_for(read).await,
            None => Ok(None),
        };
        if !matches!(known, Ok(Some(_))) {
            self.store.audit.refused("session", access_key, source);
        }
        let known = read.zip(known?);
        Ok(known.map(|(read, principal)| (read.secret_key.clone(), principal)))
    }

    /// Who a token stands for now.
    async fn stands_for(&self, read: &ReadToken) -> Result<Option<Arc<Principal>>> {
        if read.token.has_ended(self.store.host.clock.now()) {
            return Err(expired());
        }
        // Nothing was committed since that was found.
        let now = self.store.engine.meta.sequence();
        if let Some(same) = read
            .stood_for
            .lock()
            .as_ref()
            .filter(|one| one.sequence == now)
        {
            return Ok(same.principal.clone());
        }
        // What is seldom needed does not make every request's state larger.
        Box::pin(self.principal_of(read)).await
    }

    /// Who a token that has not ended stands for now.
    async fn principal_of(&self, read: &ReadToken) -> Result<Option<Arc<Principal>>> {
        let snapshot = self.store.snapshot().await?;
        let sequence = snapshot.sequence();
        let stood_for = read.stood_for.lock().clone();
        // Nothing was committed since.
        if let Some(same) = stood_for.as_ref().filter(|one| one.sequence == sequence) {
            return Ok(same.principal.clone());
        }
        let made_by = [Some(&read.token.id), read.token.parent.as_ref()];
        for id in made_by.into_iter().flatten() {
            if snapshot.get(&row_key::revoked(id)).await?.is_some() {
                return Ok(None);
            }
        }
        let moment = self.store.moment(&*snapshot).await?;
        let identities = moment.identities;
        let principal = match stood_for.filter(|one| one.identities == identities) {
            Some(same) => same.principal,
            None => self.look_up(moment, read).await?,
        };
        *read.stood_for.lock() = Some(StoodFor {
            sequence,
            identities,
            principal: principal.clone(),
        });
        Ok(principal)
    }

    /// Who a token stands for at a moment, revocation apart.
    async fn look_up(
        &self,
        moment: Moment<'_>,
        read: &ReadToken,
    ) -> Result<Option<Arc<Principal>>> {
        let token = &read.token;
        let epoch = Some(token.epoch);
        let user = self
            .enabled(moment, &token.account, &token.user, epoch)
            .await?;
        let Some(user) = user else {
            return Ok(None);
        };
        let mut principal = match &token.role {
            None => (*user).clone(),
            Some(taken) => match self.taken(moment, taken).await? {
                Some(role) => role,
                None => return Ok(None),
            },
        };
        principal.session_policies.clone_from(&read.policies);
        principal.access_key = Some(read.access_key.clone());
        principal.issued = Some(Timestamp(token.issued));
        principal.token = Some(Borne {
            id: token.id.clone(),
            expires: Timestamp(token.expires),
        });
        Ok(Some(Arc::new(principal)))
    }

    /// A role that was taken, if it still is the one that it was.
    async fn taken(&self, moment: Moment<'_>, taken: &TakenRole) -> Result<Option<Principal>> {
        let TakenRole { role, session, .. } = taken;
        let Ok(account) = AccountId::parse(taken.account.as_str()) else {
            return Ok(None);
        };
        let known = self.store.known_role(moment, &account, role).await?;
        let same = known.filter(|known| known.epoch == taken.made);
        Ok(same.map(|known| {
            let mut principal = Principal::role(account, role, session);
            principal.made = Some(Timestamp(known.created));
            principal.known(moment.identities, known.facts.clone())
        }))
    }

    /// What a token says, as [`Identities::read_token`] does; at once when it was read before.
    async fn read_once(&self, token: &str) -> Result<Option<Arc<ReadToken>>> {
        match self.tokens.read_before(token) {
            Some(read) => Ok(Some(read)),
            None => Box::pin(self.read_token(token)).await,
        }
    }

    /// What a token says, when it is one of this store's; whether it has ended is not asked.
    async fn read_token(&self, token: &str) -> Result<Option<Arc<ReadToken>>> {
        let key = self.token_key().await?;
        let Some(sealed) = SealedToken::check(token, key) else {
            return Ok(None);
        };
        let name = sealed.mac();
        if let Some(read) = self.tokens.read.lock().get(&name) {
            return Ok(Some(read.clone()));
        }
        let Some(token) = sealed.read() else {
            return Ok(None);
        };
        let read = Arc::new(ReadToken::new(token, key)?);
        let mut kept = self.tokens.read.lock();
        if kept.len() >= READ_MAX {
            kept.clear();
        }
        kept.insert(name, read.clone());
        Ok(Some(read))
    }

    /// Voids a token. Another text is no error: it is no token afterwards either.
    ///
    /// # Errors
    /// The engine's.
    pub async fn revoke(&self, token: &str) -> Result<()> {
        let Some(known) = self.read_token(token).await? else {
            return Ok(());
        };
        let (token, now) = (&known.token, self.store.host.clock.now());
        if token.has_ended(now) {
            return Ok(());
        }
        let mut writes = vec![index(
            row_key::revoked(&token.id),
            &token.expires.to_be_bytes(),
        )];
        let read = self.store.snapshot().await?;
        let ended = Scan::prefix(row_key::revoked(""), ENDED_MAX);
        for item in read.scan(&ended).await? {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            let expires = <[u8; 8]>::try_from(&row.value[..]).map(u64::from_be_bytes);
            if expires.is_ok_and(|at| at < now.0) {
                writes.push(Write::Delete { key });
            }
        }
        drop(read);
        let commit = Commit {
            writes,
            ..Commit::default()
        };
        self.store.engine.meta.commit(commit).await?;
        self.store.audit.revoked(&known.access_key);
        Ok(())
    }

    /// The key of tokens: one for all servers over one engine, made when it is first needed.
    async fn token_key(&self) -> Result<&TokenKey> {
        let load = || async {
            for _ in 0..2 {
                if let Some(wrapped) = self.store.setting(TOKEN_KEY).await? {
                    let key = self
                        .store
                        .unwrap_secret(TOKEN_KEY.as_bytes(), &wrapped)
                        .await?;
                    let wrong = || Error::corrupt("the key of tokens has the wrong length");
                    let key = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| wrong())?;
                    return Ok(TokenKey::new(&key));
                }
                let mut key = [0; 32];
                self.store.host.random.fill(&mut key);
                let wrapped = self.store.wrap_secret(TOKEN_KEY.as_bytes(), &key).await?;
                let made = self
                    .store
                    .set_setting(TOKEN_KEY, Bytes::from(wrapped), true);
                match made.await {
                    Ok(()) => return Ok(TokenKey::new(&key)),
                    // Another server was first: its key counts.
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => return Err(error),
                }
            }
            Err(store::conflict())
        };
        self.tokens.key.get_or_try_init(load).await
    }
}
