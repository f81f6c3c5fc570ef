//! Who asks, tokens for them, and why something is decided as it is.

use crate::answer::{Answer, json, nothing, ok, problem, timestamp};
use crate::call::{Call, not_allowed};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::{Action, Asked, Context, Level, Principal, PrincipalKind, Resource, Verdict};
use trestle_core::{AccountId, BucketName, Key};
use trestle_http::Problem;
use trestle_store::{AssumeRole, Issue, Session};

/// Life of a token unless the request says otherwise, in seconds.
const LIFETIME_DEFAULT: u64 = 3600;

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainDocument {
    /// The user; nobody in particular when absent.
    user: Option<String>,
    /// Its account; the caller's when absent.
    account: Option<String>,
    /// A neutral action.
    action: String,
    /// `bucket`, `bucket/key`, or an identity such as `user/ann`.
    resource: String,
    source_ip: Option<String>,
    #[serde(default)]
    secure: bool,
    /// Condition keys and their values.
    #[serde(default)]
    context: BTreeMap<String, Vec<String>>,
}

/// Why a user may do something, or may not.
pub(crate) async fn explain(mut call: Call<'_>) -> Answer {
    let document: ExplainDocument = call.json().await?;
    let account = match (&document.account, call.principal.account()) {
        (Some(account), _) => AccountId::parse(account.as_str()).map_err(problem)?,
        (None, Some(account)) => account.clone(),
        (None, None) => return Err(bad("the account is missing")),
    };
    let grant = call
        .on(Action::ExplainDecisions, &account, "user", "")
        .await?;
    let action = Action::named(&document.action)
        .ok_or_else(|| bad(format!("the action {:?} is not known", document.action)))?;
    let principal = match &document.user {
        None => Arc::new(Principal::anonymous()),
        Some(user) => {
            let found = call.admin.identities.user(&account, user).await;
            let missing = || Problem::not_found(format!("user {account}/{user} does not exist"));
            found.map_err(problem)?.ok_or_else(missing)?
        }
    };
    let mut context = Context::at(call.store().now());
    context.secure = document.secure;
    if let Some(source) = &document.source_ip {
        let parsed = source.parse().map_err(|_| bad("source_ip is no address"))?;
        context.source = Some(parsed);
    }
    for (key, values) in document.context {
        context.set(&key, values);
    }
    let resource = resource(action, &account, &document.resource)?;
    let asked = Asked {
        principal,
        action,
        resource,
        context: Arc::new(context),
    };
    let verdict = call
        .store()
        .explain(&grant, &asked)
        .await
        .map_err(problem)?;
    let (allowed, reason) = match &verdict {
        Verdict::Allowed(reason) => (true, reason.to_string()),
        Verdict::Denied(reason) => (false, reason.to_string()),
        Verdict::NeedsMore => (false, "it could not be decided".to_owned()),
    };
    ok(&json!({
        "allowed": allowed,
        "reason": reason,
        "action": action.name(),
        "resource": asked.resource.to_string(),
    }))
}

fn resource(action: Action, account: &AccountId, text: &str) -> Result<Resource, Problem> {
    let bucket = |name: &str| BucketName::parse_qualified(name).map_err(problem);
    Ok(match (action.level(), text.split_once('/')) {
        (Level::Server, _) => Resource::Server,
        (Level::Account, _) => Resource::Account(match text {
            "" => account.clone(),
            text => AccountId::parse(text).map_err(problem)?,
        }),
        (Level::Identity, _) => Resource::Identity(account.clone(), text.to_owned()),
        (Level::Bucket, _) => Resource::Bucket(bucket(text)?),
        (Level::Object, Some((name, key))) => {
            Resource::Object(bucket(name)?, Key::parse(key).map_err(problem)?)
        }
        (Level::Object, None) => return Err(bad("the resource is BUCKET/KEY")),
    })
}
