//! Who asks, and tokens for them.

use crate::answer::{Answer, json, nothing, ok, problem, timestamp};
use crate::call::{Call, not_allowed};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;
use trestle_access::{Action, PrincipalKind};
use trestle_core::AccountId;
use trestle_store::{AssumeRole, Issue, Session};

/// Life of a token unless the request says otherwise, in seconds.
const LIFETIME_DEFAULT: u64 = 3600;

/// Who the credentials stand for.
pub(crate) fn me(call: Call<'_>) -> Answer {
    call.no_body()?;
    let principal = &call.principal;
    let kind = match principal.kind() {
        PrincipalKind::Anonymous => "anonymous",
        PrincipalKind::Root => "root",
        PrincipalKind::User => "user",
        PrincipalKind::Service => "service",
        PrincipalKind::Role { .. } => "role",
    };
    ok(&json!({
        "account": principal.account().map(AccountId::as_str),
        "name": principal.user,
        "display_name": principal.display_name,
        "kind": kind,
        "admin": principal.admin,
        "reseller_admin": principal.reseller_admin,
        "groups": principal.groups,
        "session": match principal.kind() {
            PrincipalKind::Role { session, .. } => Some(session),
            _ => None,
        },
    }))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IssueDocument {
    lifetime_seconds: Option<u64>,
    /// Policy documents that narrow the token.
    policies: Vec<Box<RawValue>>,
}

fn issue(lifetime: Option<u64>, policies: &[Box<RawValue>]) -> Issue {
    Issue {
        lifetime: Duration::from_secs(lifetime.unwrap_or(LIFETIME_DEFAULT)),
        policies: policies.iter().map(|p| p.get().to_owned()).collect(),
    }
}

/// What is told once: the token, and the keys that go with it.
fn shown(session: &Session) -> Answer {
    let document = json!({
        "token": session.token,
        "access_key": session.access_key,
        "secret_key": session.secret_key.expose(),
        "expires": timestamp(session.expires),
    });
    json(StatusCode::CREATED, &document)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AssumeDocument {
    /// What the session is called; the caller's name when absent.
    session: Option<String>,
    lifetime_seconds: Option<u64>,
    /// Policy documents that narrow the session.
    policies: Vec<Box<RawValue>>,
    /// What a trust policy may ask for as `sts:ExternalId`.
    external_id: Option<String>,
}

/// `POST` takes a role for who asks.
pub(crate) async fn assume(mut call: Call<'_>, account: &AccountId, role: &str) -> Answer {
    let document: AssumeDocument = call.json().await?;
    let session = document.session;
    let session = session.unwrap_or_else(|| call.principal.user.clone());
    call.circumstance("sts:RoleSessionName", &session);
    if let Some(id) = &document.external_id {
        call.circumstance("sts:ExternalId", id);
    }
    let grant = call.on(Action::AssumeRole, account, "role", role).await?;
    let assume = AssumeRole {
        account: account.clone(),
        role: role.to_owned(),
        session,
        issue: issue(document.lifetime_seconds, &document.policies),
    };
    let taken = call.admin.identities.assume_role(&grant, &assume).await;
    shown(&taken.map_err(problem)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeDocument {
    token: String,
}

/// `POST` issues a token to who asks, `DELETE` voids one.
pub(crate) async fn answer(mut call: Call<'_>) -> Answer {
    match call.method {
        Method::POST => {
            let document: IssueDocument = call.json().await?;
            let issue = issue(document.lifetime_seconds, &document.policies);
            let issued = call.admin.identities.issue(&call.principal, &issue).await;
            shown(&issued.map_err(problem)?)
        }
        Method::DELETE => {
            // Whoever has a token may void it.
            let RevokeDocument { token } = call.json().await?;
            call.admin
                .identities
                .revoke(&token)
                .await
                .map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}
