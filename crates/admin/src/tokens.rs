//! Who asks, tokens for them, and why something is decided as it is.

use crate::answer::{Answer, json, nothing, ok, problem, timestamp};
use crate::call::{Call, not_allowed};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::{Action, Asked, Context, Level, Principal, PrincipalKind, Resource, Verdict};
use trestle_core::{AccountId, BucketName, Key};
use trestle_http::Problem;
use trestle_store::Issue;

/// Life of a token unless the request says otherwise, in seconds.
const LIFETIME_DEFAULT: u64 = 3600;

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// Who the credentials stand for.
pub(crate) fn me(call: Call<'_>) -> Answer {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
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
    }))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IssueDocument {
    lifetime_seconds: Option<u64>,
    /// Policy documents that narrow the token.
    policies: Vec<Box<serde_json::value::RawValue>>,
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
            let issue = Issue {
                lifetime: Duration::from_secs(
                    document.lifetime_seconds.unwrap_or(LIFETIME_DEFAULT),
                ),
                policies: document
                    .policies
                    .iter()
                    .map(|p| p.get().to_owned())
                    .collect(),
            };
            let issued = call.admin.identities.issue(&call.principal, &issue).await;
            let (token, expires) = issued.map_err(problem)?;
            let document = json!({ "token": token, "expires": timestamp(expires) });
            json(StatusCode::CREATED, &document)
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
        _ => not_allowed("POST, DELETE"),
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
    if call.method != Method::POST {
        return not_allowed("POST");
    }
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
