//! Who a request is from: what it presents, resolved by the store's identities, for each dialect in
//! the form that it asks for.

use futures::future::{BoxFuture, Either, ready};
use std::sync::Arc;
use trestle_access::Principal;
use trestle_core::{AccountId, Result};
use trestle_http::{BasicCredentials, Credentials, Presented};
use trestle_rest::Authenticate;
use trestle_s3::{AccountBy, AccountOf, KeyOf, LookedUp, PresentedKey};
use trestle_store::Identities;

/// Passwords, tokens and certificates; nobody in particular when there is none of these.
pub(crate) fn presented(identities: &Arc<Identities>) -> Arc<Authenticate> {
    let identities = identities.clone();
    Arc::new(
        move |presented: Presented| -> BoxFuture<'static, Result<Option<Arc<Principal>>>> {
            let identities = identities.clone();
            Box::pin(async move { resolve(&identities, presented).await })
        },
    )
}

/// The same for CDMI, where who is disabled is refused rather than unknown.
pub(crate) fn members(identities: &Arc<Identities>) -> Arc<Authenticate> {
    let identities = identities.clone();
    Arc::new(
        move |presented: Presented| -> BoxFuture<'static, Result<Option<Arc<Principal>>>> {
            let identities = identities.clone();
            Box::pin(async move {
                match presented.credentials {
                    Some(Credentials::Basic(BasicCredentials { user, password })) => {
                        identities.member(&user, &password, presented.source).await
                    }
                    _ => resolve(&identities, presented).await,
                }
            })
        },
    )
}

async fn resolve(identities: &Identities, presented: Presented) -> Result<Option<Arc<Principal>>> {
    match (presented.credentials, presented.certificate) {
        (Some(Credentials::Basic(basic)), _) => {
            let BasicCredentials { user, password } = basic;
            identities
                .password(&user, &password, presented.source)
                .await
        }
        (Some(Credentials::Bearer(token)), _) => identities.bearer(&token, presented.source).await,
        (None, Some(certificate)) => identities.certificate(&certificate, presented.source).await,
        (None, None) => Ok(Some(Arc::new(Principal::anonymous()))),
    }
}

/// Access keys.
pub(crate) fn keys(identities: &Arc<Identities>) -> Arc<KeyOf> {
    let identities = identities.clone();
    Arc::new(move |presented: PresentedKey<'_>| -> LookedUp<'_> {
        if presented.token.is_none()
            && let Some(known) = identities.access_key_now(presented.access_key)
        {
            return Either::Left(ready(Ok(Some(known))));
        }
        let identities = identities.clone();
        Either::Right(Box::pin(async move {
            let PresentedKey {
                access_key,
                token,
                source,
            } = presented;
            match token {
                Some(token) => identities.session_key(access_key, token, source).await,
                None => identities.access_key(access_key, source).await,
            }
        }))
    })
}

/// Accounts as grants name them.
pub(crate) fn accounts(identities: &Arc<Identities>) -> Arc<AccountOf> {
    let identities = identities.clone();
    Arc::new(
        move |by: AccountBy| -> BoxFuture<'static, Result<Option<AccountId>>> {
            let identities = identities.clone();
            Box::pin(async move {
                match by {
                    AccountBy::Email(email) => identities.account_of_email(&email).await,
                    AccountBy::Id(id) => {
                        let Ok(account) = AccountId::parse(id) else {
                            return Ok(None);
                        };
                        let exists = identities.account_exists(&account).await?;
                        Ok(exists.then_some(account))
                    }
                }
            })
        },
    )
}
