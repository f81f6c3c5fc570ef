//! Why something is decided as it is: each decision that an action stands for, as the evaluator makes
//! it, under circumstances that the question names. Nothing is done, and nobody is let in by it.

use crate::answer::{Answer, ok, problem};
use crate::call::Call;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_access::{
    Action, Asked, Context, Level, Principal, Resource, Verdict, actions_named, suppose,
};
use trestle_core::{AccountId, BucketName, Key};
use trestle_http::Problem;

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// The user, or `role/NAME`; nobody in particular when absent.
    user: Option<String>,
    /// Its account; the caller's when absent.
    account: Option<String>,
    /// One action, by its neutral name or as policies write it.
    action: String,
    /// `bucket`, `bucket/key`, or an identity such as `user/ann`; or the ARN of one.
    resource: String,
    source_ip: Option<String>,
    #[serde(default)]
    secure: bool,
    /// Condition keys and their values.
    #[serde(default)]
    context: BTreeMap<String, Vec<String>>,
}

/// Why somebody may do something, or may not.
pub(crate) async fn answer(mut call: Call<'_>) -> Answer {
    let document: Document = call.json().await?;
    let account = match (&document.account, call.principal.account()) {
        (Some(account), _) => AccountId::parse(account.as_str()).map_err(problem)?,
        (None, Some(account)) => account.clone(),
        (None, None) => return Err(bad("the account is missing")),
    };
    let user = document.user.as_deref();
    let (word, name) = match user.and_then(|user| user.strip_prefix("role/")) {
        Some(role) => ("role", role),
        None => ("user", user.unwrap_or_default()),
    };
    let grant = call
        .on(Action::ExplainDecisions, &account, word, name)
        .await?;
    let actions = actions(&document.action)?;
    let principal = principal(&call, &account, user).await?;
    let context = Arc::new(context(&call, &document)?);
    let mut decisions = Vec::with_capacity(actions.len());
    let mut resource = String::new();
    for action in &actions {
        let asked = Asked {
            principal: principal.clone(),
            action: *action,
            resource: named(*action, &account, &document.resource)?,
            context: context.clone(),
        };
        let explained = call.store().explain(&grant, &asked).await;
        decisions.push((*action, explained.map_err(problem)?));
        resource = asked.resource.to_string();
    }
    // Who may not do all of it may not do it.
    let denied = decisions.iter().find(|(_, verdict)| !allows(verdict));
    let (_, deciding) = denied
        .or(decisions.first())
        .ok_or_else(|| bad("the action stands for nothing"))?;
    let each = decisions.iter().map(|(action, verdict)| {
        json!({"action": action.name(), "allowed": allows(verdict), "reason": reason(verdict)})
    });
    ok(&json!({
        "allowed": denied.is_none(),
        "reason": reason(deciding),
        "action": document.action,
        "resource": resource,
        "decisions": each.collect::<Vec<Value>>(),
    }))
}

fn actions(text: &str) -> Result<Vec<Action>, Problem> {
    let known = actions_named(text).ok_or_else(|| {
        bad(format!(
            "the action {text:?} is not known: one is asked for, such as s3:GetObject or ReadObject"
        ))
    })?;
    match known.is_empty() {
        true => Err(bad(format!(
            "this server has nothing that {text:?} is about"
        ))),
        false => Ok(known),
    }
}

async fn principal(
    call: &Call<'_>,
    account: &AccountId,
    user: Option<&str>,
) -> Result<Arc<Principal>, Problem> {
    let Some(user) = user else {
        return Ok(Arc::new(Principal::anonymous()));
    };
    if let Some(role) = user.strip_prefix("role/") {
        return Ok(Arc::new(Principal::role(
            account.clone(),
            role,
            "explained",
        )));
    }
    let found = call.admin.identities.user(account, user).await;
    let missing = || Problem::not_found(format!("user {account}/{user} does not exist"));
    found.map_err(problem)?.ok_or_else(missing)
}

fn context(call: &Call<'_>, document: &Document) -> Result<Context, Problem> {
    let mut context = Context::at(call.store().now());
    context.secure = document.secure;
    if let Some(source) = &document.source_ip {
        let parsed = source.parse().map_err(|_| bad("source_ip is no address"))?;
        context.source = Some(parsed);
    }
    for (key, values) in &document.context {
        suppose(&mut context, key, values.clone()).map_err(problem)?;
    }
    Ok(context)
}

fn allows(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Allowed(_))
}

fn reason(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allowed(reason) | Verdict::Denied(reason) => reason.to_string(),
        Verdict::NeedsMore => "it could not be decided".to_owned(),
    }
}

/// What a text names, for an action of this kind.
fn named(action: Action, account: &AccountId, text: &str) -> Result<Resource, Problem> {
    let bucket = |name: &str| BucketName::parse_qualified(name).map_err(problem);
    let text = match text.strip_prefix("arn:aws:s3::") {
        // Empty for a bucket that all accounts know.
        Some(rest) => rest.strip_prefix(':').unwrap_or(rest),
        None => text,
    };
    let (account, text) = match text
        .strip_prefix("arn:aws:iam::")
        .map(|r| r.split_once(':'))
    {
        Some(Some((of, rest))) => (AccountId::parse(of).map_err(problem)?, rest),
        Some(None) => return Err(bad("the ARN is not arn:aws:iam::ACCOUNT:…")),
        // An account's name may hold colons, so this would name a bucket of account "arn:aws:…".
        None if text.starts_with("arn:") => {
            return Err(bad("the ARN is neither arn:aws:s3:::… nor arn:aws:iam::…"));
        }
        None => (account.clone(), text),
    };
    Ok(match (action.level(), text.split_once('/')) {
        (Level::Server, _) => Resource::Server,
        (Level::Account, _) => Resource::Account(match text {
            "" => account,
            text => AccountId::parse(text).map_err(problem)?,
        }),
        (Level::Identity, _) => Resource::Identity(account, text.to_owned()),
        (Level::Bucket, _) => Resource::Bucket(bucket(text)?),
        (Level::Object, Some((name, key))) => {
            Resource::Object(bucket(name)?, Key::parse(key).map_err(problem)?)
        }
        (Level::Object, None) => return Err(bad("the resource is BUCKET/KEY")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_in_short_and_by_arns() {
        let account = AccountId::parse("acme").unwrap();
        let of = |action: Action, text: &str| {
            let found = named(action, &account, text);
            found.map(|one| one.to_string()).ok()
        };
        let shown = |action: Action, text: &str| of(action, text).unwrap();
        use Action as A;
        for (short, arn) in [
            ("b/k/l", "arn:aws:s3:::b/k/l"),
            ("acme:b/k", "arn:aws:s3::acme:b/k"),
        ] {
            assert_eq!(shown(A::ReadObject, short), shown(A::ReadObject, arn));
        }
        assert_eq!(
            shown(A::ListObjects, "b"),
            shown(A::ListObjects, "arn:aws:s3:::b")
        );
        assert_eq!(
            shown(A::WriteUsers, "user/ann"),
            shown(A::WriteUsers, "arn:aws:iam::acme:user/ann")
        );
        let elsewhere = shown(A::WriteUsers, "arn:aws:iam::other:user/ann");
        assert_ne!(elsewhere, shown(A::WriteUsers, "user/ann"));
        for (action, wrong) in [
            (A::ReadObject, "b"),
            (A::ReadObject, "arn:aws:s3:::b"),
            (A::ReadObject, "arn:aws:s3:b/k"),
            (A::WriteUsers, "arn:aws:iam::acme"),
        ] {
            assert_eq!(of(action, wrong), None, "{wrong}");
        }
    }
}
