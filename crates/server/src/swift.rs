//! What the Swift dialect is set up with, and who its users are: the store's identities.

use crate::config::Config;
use futures::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::Principal;
use trestle_core::Result;
use trestle_store::{Identities, Issue};
use trestle_swift::{Identify, Issued, Settings};

/// For how many seconds a token is valid.
const TOKEN_SECONDS: u64 = 24 * 60 * 60;

/// The settings of the dialect.
pub(crate) fn settings(config: &Config) -> Settings {
    Settings {
        policies: config.list("swift_policy").to_vec(),
        domains: config.list("swift_domain").to_vec(),
        ..Settings::default()
    }
}

/// Who the users are.
pub(crate) struct Users(pub(crate) Arc<Identities>);

impl Identify for Users {
    fn login(
        &self,
        (account, user): (&str, &str),
        password: &str,
        source: Option<IpAddr>,
    ) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> {
        let identities = self.0.clone();
        let (name, password) = (format!("{account}/{user}"), password.to_owned());
        Box::pin(async move { identities.password(&name, &password, source).await })
    }

    fn issue(&self, principal: Arc<Principal>) -> BoxFuture<'static, Result<Issued>> {
        let identities = self.0.clone();
        Box::pin(async move {
            let issue = Issue {
                lifetime: Duration::from_secs(TOKEN_SECONDS),
                policies: Vec::new(),
            };
            let session = identities.issue(&principal, &issue).await?;
            Ok(Issued {
                token: session.token,
                seconds: TOKEN_SECONDS,
            })
        })
    }

    fn resolve(
        &self,
        token: &str,
        source: Option<IpAddr>,
    ) -> BoxFuture<'static, Result<Option<Arc<Principal>>>> {
        let identities = self.0.clone();
        let token = token.to_owned();
        Box::pin(async move { identities.bearer(&token, source).await })
    }
}
