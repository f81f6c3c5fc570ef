//! What the Swift dialect is set up with, and who its users are: root, until there are others.
//!
//! A token says whose it is and until when, encrypted under the store's keys: any server over the
//! same store reads it, and nobody else makes one.

use crate::config::Config;
use crate::credentials::RootRecord;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use trestle_access::{PasswordCache, Principal};
use trestle_core::{AccountId, Error, ErrorKind, Result};
use trestle_host::Host;
use trestle_store::Store;
use trestle_swift::{Identify, Issued, Settings};

/// For how many seconds a token is valid.
const TOKEN_SECONDS: u64 = 24 * 60 * 60;
/// What a token is bound to.
const PURPOSE: &[u8] = b"swift token";
/// What every token starts with.
const PREFIX: &str = "AUTH_tk";

/// The settings of the dialect.
pub(crate) fn settings(config: &Config) -> Settings {
    Settings {
        policies: config.list("swift_policy").to_vec(),
        domains: config.list("swift_domain").to_vec(),
        ..Settings::default()
    }
}

/// Who the users are.
#[derive(Clone)]
pub(crate) struct Users {
    store: Arc<Store>,
    host: Host,
    cache: Arc<PasswordCache>,
    root: RootRecord,
    account: AccountId,
}

#[derive(Serialize, Deserialize)]
struct Token {
    account: String,
    user: String,
    /// Seconds since 1970.
    until: u64,
}

impl Users {
    /// The users of a store.
    pub(crate) fn new(store: Arc<Store>, host: Host, root: RootRecord, account: AccountId) -> Self {
        Users {
            store,
            cache: Arc::new(PasswordCache::new(&*host.random)),
            host,
            root,
            account,
        }
    }

    async fn verified(
        &self,
        account: &str,
        user: &str,
        password: &str,
    ) -> Result<Option<Arc<Principal>>> {
        // An unknown user costs the same argon2 run as a wrong password.
        let hash = &self.root.password_hash;
        let right = self.cache.verify(&self.host, user, password, hash).await?;
        let known = account == self.account.as_str() && user == self.root.user;
        Ok((right && known).then(|| self.principal()))
    }

    fn principal(&self) -> Arc<Principal> {
        Arc::new(Principal::root(
            self.account.clone(),
            self.root.user.clone(),
        ))
    }

    async fn sealed(&self, principal: &Principal) -> Result<Issued> {
        let account = principal.account().map(AccountId::to_string);
        let token = Token {
            account: account.unwrap_or_default(),
            user: principal.user.clone(),
            until: self.host.clock.now().seconds() + TOKEN_SECONDS,
        };
        let text = serde_json::to_vec(&token).map_err(|error| {
            Error::new(ErrorKind::Internal, "a token cannot be written").with_source(error)
        })?;
        let sealed = self.store.wrap_secret(PURPOSE, &text).await?;
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Issued {
            token: format!("{PREFIX}{hex}"),
            seconds: TOKEN_SECONDS,
        })
    }

    async fn opened(&self, token: &str) -> Result<Option<Arc<Principal>>> {
        let Some(sealed) = token.strip_prefix(PREFIX).and_then(bytes_of) else {
            return Ok(None);
        };
        // What does not open is nobody's token, whatever is wrong with it.
        let Ok(text) = self.store.unwrap_secret(PURPOSE, &sealed).await else {
            return Ok(None);
        };
        let Ok(token) = serde_json::from_slice::<Token>(&text) else {
            return Ok(None);
        };
        let valid = token.until > self.host.clock.now().seconds();
        let known = token.account == self.account.as_str() && token.user == self.root.user;
        Ok((valid && known).then(|| self.principal()))
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    hex.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

impl Identify for Users {
    fn login(
        &self,
        account: &str,
        user: &str,
        password: &str,
    ) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> {
        let users = self.clone();
        let [account, user, password] = [account, user, password].map(str::to_owned);
        Box::pin(async move { users.verified(&account, &user, &password).await })
    }

    fn issue(&self, principal: Arc<Principal>) -> BoxFuture<'static, Result<Issued>> {
        let users = self.clone();
        Box::pin(async move { users.sealed(&principal).await })
    }

    fn resolve(&self, token: &str) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> {
        let users = self.clone();
        let token = token.to_owned();
        Box::pin(async move { users.opened(&token).await })
    }
}
