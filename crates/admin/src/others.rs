//! Groups, roles and policies.

use crate::answer::{Answer, json, nothing, ok, problem, timestamp};
use crate::call::{Call, not_allowed};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use trestle_access::Action;
use trestle_core::{AccountId, ErrorKind};
use trestle_store::{Group, NamedPolicy, NewRole, Role};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GroupDocument {
    policies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleDocument {
    #[serde(default)]
    policies: Vec<String>,
    /// Who may take it: a policy document.
    trust: Box<serde_json::value::RawValue>,
}

fn group(group: &Group) -> Value {
    json!({
        "account": group.account.as_str(),
        "name": group.name,
        "policies": group.policies,
        "created": timestamp(group.created),
    })
}

fn role(role: &Role) -> Value {
    json!({
        "account": role.account.as_str(),
        "name": role.name,
        "policies": role.policies,
        "trust": serde_json::from_str::<Value>(&role.trust).unwrap_or_default(),
        "created": timestamp(role.created),
    })
}

fn policy(policy: &NamedPolicy) -> Value {
    json!({
        "account": policy.account.as_str(),
        "name": policy.name,
        "document": serde_json::from_str::<Value>(&policy.text).unwrap_or_default(),
        "created": timestamp(policy.created),
    })
}

/// A page of groups, roles or policies.
pub(crate) async fn list(call: Call<'_>, account: &AccountId, kind: &str) -> Answer {
    call.no_body()?;
    let after = call.parameter("after")?;
    let store = call.store();
    let (items, next): (Vec<Value>, _) = match kind {
        "groups" => {
            let grant = call.on(Action::ReadGroups, account, "group", "").await?;
            let page = store.list_groups(&grant, account, after).await;
            let (items, next) = page.map_err(problem)?;
            (items.iter().map(group).collect(), next)
        }
        "roles" => {
            let grant = call.on(Action::ReadRoles, account, "role", "").await?;
            let page = store.list_roles(&grant, account, after).await;
            let (items, next) = page.map_err(problem)?;
            (items.iter().map(role).collect(), next)
        }
        _ => {
            let grant = call.on(Action::ReadPolicies, account, "policy", "").await?;
            let page = store.list_policies(&grant, account, after).await;
            let (items, next) = page.map_err(problem)?;
            (items.iter().map(policy).collect(), next)
        }
    };
    ok(&json!({ kind: items, "next": next }))
}

/// One group.
pub(crate) async fn of_group(mut call: Call<'_>, account: &AccountId, name: &str) -> Answer {
    match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call.on(Action::ReadGroups, account, "group", name).await?;
            let found = call.store().group(&grant, account, name).await;
            ok(&group(&found.map_err(problem)?))
        }
        Method::PUT => {
            let GroupDocument { policies } = call.json().await?;
            let grant = call.on(Action::WriteGroups, account, "group", name).await?;
            let store = call.store();
            match store.create_group(&grant, account, name, &policies).await {
                Ok(made) => json(StatusCode::CREATED, &group(&made)),
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists(_)) => {
                    let changed = store.update_group(&grant, account, name, &policies).await;
                    ok(&group(&changed.map_err(problem)?))
                }
                Err(error) => Err(problem(error)),
            }
        }
        Method::DELETE => {
            call.no_body()?;
            let grant = call.on(Action::WriteGroups, account, "group", name).await?;
            let deleted = call.store().delete_group(&grant, account, name).await;
            deleted.map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}

/// What was written: there is more now, or something else.
fn written(made: bool) -> StatusCode {
    match made {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    }
}

/// One role.
pub(crate) async fn of_role(mut call: Call<'_>, account: &AccountId, name: &str) -> Answer {
    match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call.on(Action::ReadRoles, account, "role", name).await?;
            let found = call.store().role(&grant, account, name).await;
            ok(&role(&found.map_err(problem)?))
        }
        Method::PUT => {
            let RoleDocument { policies, trust } = call.json().await?;
            let grant = call.on(Action::WriteRoles, account, "role", name).await?;
            let new = NewRole {
                policies,
                trust: trust.get().to_owned(),
            };
            let put = call.store().put_role(&grant, account, name, &new).await;
            let (put, made) = put.map_err(problem)?;
            json(written(made), &role(&put))
        }
        Method::DELETE => {
            call.no_body()?;
            let grant = call.on(Action::WriteRoles, account, "role", name).await?;
            let deleted = call.store().delete_role(&grant, account, name).await;
            deleted.map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}

/// One policy. Its body is the document itself.
pub(crate) async fn of_policy(mut call: Call<'_>, account: &AccountId, name: &str) -> Answer {
    match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call
                .on(Action::ReadPolicies, account, "policy", name)
                .await?;
            let found = call.store().policy(&grant, account, name).await;
            ok(&policy(&found.map_err(problem)?))
        }
        Method::PUT => {
            let text = call.text().await?;
            let grant = call
                .on(Action::WritePolicies, account, "policy", name)
                .await?;
            let put = call.store().put_policy(&grant, account, name, &text).await;
            let (put, made) = put.map_err(problem)?;
            json(written(made), &policy(&put))
        }
        Method::DELETE => {
            call.no_body()?;
            let grant = call
                .on(Action::WritePolicies, account, "policy", name)
                .await?;
            let deleted = call.store().delete_policy(&grant, account, name).await;
            deleted.map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}
