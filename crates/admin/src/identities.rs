//! Accounts.

use crate::answer::{Answer, json, nothing, ok, problem, timestamp};
use crate::call::{Call, not_allowed};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use trestle_access::{Action, Resource};
use trestle_core::AccountId;
use trestle_store::{Account, AccountUsage};

fn shown(account: &Account, usage: Option<AccountUsage>) -> Value {
    let mut value = json!({
        "id": account.id.as_str(),
        "created": timestamp(account.created),
        "closed": account.properties.closed,
    });
    if let (Some(usage), Some(fields)) = (usage, value.as_object_mut()) {
        fields.insert("buckets".to_owned(), json!(usage.buckets));
        fields.insert("objects".to_owned(), json!(usage.objects));
        fields.insert("bytes".to_owned(), json!(usage.bytes));
    }
    value
}

/// All accounts.
pub(crate) async fn accounts(call: Call<'_>) -> Answer {
    call.no_body()?;
    let grant = call.grant(Action::ListAccounts, Resource::Server).await?;
    let after = call.parameter("after")?;
    let page = call.store().list_accounts(&grant, after).await;
    let (accounts, next) = page.map_err(problem)?;
    let accounts: Vec<Value> = accounts.iter().map(|a| shown(a, None)).collect();
    ok(&json!({ "accounts": accounts, "next": next }))
}

/// One account.
pub(crate) async fn account(call: Call<'_>, account: &AccountId) -> Answer {
    call.no_body()?;
    let resource = || Resource::Account(account.clone());
    let store = call.store();
    match call.method {
        Method::GET | Method::HEAD => {
            let grant = call.grant(Action::ReadAccount, resource()).await?;
            let found = store.account(&grant, account).await;
            let (account, usage) = found.map_err(problem)?;
            ok(&shown(&account, Some(usage)))
        }
        Method::PUT => {
            let grant = call.grant(Action::CreateAccount, resource()).await?;
            let made = store.create_account(&grant, account).await;
            let status = match made.map_err(problem)? {
                true => StatusCode::CREATED,
                false => StatusCode::OK,
            };
            json(status, &json!({ "id": account.as_str() }))
        }
        Method::DELETE => {
            let grant = call.grant(Action::DeleteAccount, resource()).await?;
            let deleted = store.delete_account(&grant, account).await;
            deleted.map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}
