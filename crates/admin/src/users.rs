//! Users and their access keys.

use crate::answer::{Answer, json, nothing, ok, problem, timestamp};
use crate::call::{Call, not_allowed};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use trestle_access::{Action, SecretKey, new_access_key, new_secret_key};
use trestle_core::{AccountId, Timestamp};
use trestle_http::Problem;
use trestle_store::{AccessKey, NewAccessKey, NewUser, User};

/// Shorter passwords are taken from an administrator, with a warning.
const PASSWORD_CHARACTERS_MIN: usize = 12;

/// What makes a user, or changes one; what is absent stays.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UserDocument {
    id: Option<String>,
    password: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    enabled: Option<bool>,
    admin: Option<bool>,
    reseller_admin: Option<bool>,
    service: Option<bool>,
    groups: Option<Vec<String>>,
    policies: Option<Vec<String>>,
    certificates: Option<Vec<String>>,
    access_key: Option<String>,
    secret_key: Option<String>,
}

#[derive(Serialize)]
struct UserAnswer<'a> {
    account: &'a str,
    name: &'a str,
    id: &'a str,
    display_name: &'a str,
    email: Option<&'a str>,
    enabled: bool,
    admin: bool,
    reseller_admin: bool,
    service: bool,
    root: bool,
    has_password: bool,
    groups: &'a [String],
    policies: &'a [String],
    certificates: &'a [String],
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<KeyAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

#[derive(Serialize)]
struct KeyAnswer {
    access_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    enabled: bool,
    created: String,
    expires: Option<String>,
    used: Option<String>,
}

impl KeyAnswer {
    fn new(key: AccessKey, secret: Option<String>) -> Self {
        KeyAnswer {
            access_key: key.id,
            secret_key: secret,
            enabled: key.enabled,
            created: timestamp(key.created),
            expires: key.expires.map(timestamp),
            used: key.used.map(timestamp),
        }
    }
}

fn shown<'a>(
    user: &'a User,
    key: Option<KeyAnswer>,
    warnings: Vec<&'static str>,
) -> UserAnswer<'a> {
    UserAnswer {
        account: user.account.as_str(),
        name: &user.name,
        id: &user.id,
        display_name: &user.display_name,
        email: user.email.as_deref(),
        enabled: user.enabled,
        admin: user.admin,
        reseller_admin: user.reseller_admin,
        service: user.service,
        root: user.root,
        has_password: user.password_hash.is_some(),
        groups: &user.groups,
        policies: &user.policies,
        certificates: &user.certificates,
        created: timestamp(user.created),
        access_key: key,
        warnings,
    }
}

/// A page of an account's users.
pub(crate) async fn list(call: Call<'_>, account: &AccountId) -> Answer {
    call.no_body()?;
    let grant = call.on(Action::ReadUsers, account, "user", "").await?;
    let after = call.parameter("after")?;
    let page = call.store().list_users(&grant, account, after).await;
    let (users, next) = page.map_err(problem)?;
    let users: Vec<UserAnswer<'_>> = users.iter().map(|u| shown(u, None, Vec::new())).collect();
    ok(&serde_json::json!({ "users": users, "next": next }))
}

/// One user.
pub(crate) async fn answer(mut call: Call<'_>, account: &AccountId, name: &str) -> Answer {
    match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call.on(Action::ReadUsers, account, "user", name).await?;
            let user = call.store().user(&grant, account, name).await;
            ok(&shown(&user.map_err(problem)?, None, Vec::new()))
        }
        Method::PUT => {
            let document: UserDocument = call.json().await?;
            create(call, account, name, document).await
        }
        Method::PATCH => {
            let document: UserDocument = call.json().await?;
            update(call, account, name, document).await
        }
        Method::DELETE => {
            call.no_body()?;
            let grant = call.on(Action::DeleteUsers, account, "user", name).await?;
            let deleted = call.store().delete_user(&grant, account, name).await;
            deleted.map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}

async fn hash(
    call: &Call<'_>,
    password: Option<&String>,
    warnings: &mut Vec<&'static str>,
) -> Result<Option<String>, Problem> {
    let Some(password) = password else {
        return Ok(None);
    };
    if password.is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "a password is not empty",
        ));
    }
    if password.chars().count() < PASSWORD_CHARACTERS_MIN {
        warnings.push("the password has fewer than 12 characters");
    }
    let hashed = call.admin.identities.hash_password(password).await;
    hashed.map(Some).map_err(problem)
}

async fn create(call: Call<'_>, account: &AccountId, name: &str, document: UserDocument) -> Answer {
    let grant = call.on(Action::CreateUsers, account, "user", name).await?;
    let mut warnings = Vec::new();
    if document.enabled == Some(false)
        || document.secret_key.is_some() && document.access_key.is_none()
    {
        let detail = "a new user is enabled, and a secret key goes with an access key";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let new = NewUser {
        id: document.id,
        display_name: document.display_name,
        email: document.email,
        password_hash: hash(&call, document.password.as_ref(), &mut warnings).await?,
        admin: document.admin.unwrap_or_default(),
        reseller_admin: document.reseller_admin.unwrap_or_default(),
        service: document.service.unwrap_or_default(),
        groups: document.groups.unwrap_or_default(),
        policies: document.policies.unwrap_or_default(),
        certificates: document.certificates.unwrap_or_default(),
    };
    // Who asks must be allowed both before the first of them is done.
    let keys = match &document.access_key {
        Some(_) => Some(call.on(Action::CreateKeys, account, "user", name).await?),
        None => None,
    };
    let created = call.store().create_user(&grant, account, name, &new).await;
    let user = created.map_err(problem)?;
    let mut key = None;
    if let (Some(keys), Some(id)) = (keys, document.access_key) {
        let secret = document.secret_key.unwrap_or_else(|| generated(&call));
        let new = NewAccessKey {
            id,
            secret: SecretKey::new(secret.clone()),
            expires: None,
        };
        match call
            .store()
            .create_access_key(&keys, account, name, &new)
            .await
        {
            Ok(made) => key = Some(KeyAnswer::new(made, Some(secret))),
            Err(error) => {
                // Half a user is none: the same request can be sent again.
                let undone = call.store().take_back_user(&grant, &user).await;
                return Err(problem(undone.err().unwrap_or(error)));
            }
        }
    }
    json(StatusCode::CREATED, &shown(&user, key, warnings))
}

fn generated(call: &Call<'_>) -> String {
    new_secret_key(call.admin.identities.random())
}

async fn update(call: Call<'_>, account: &AccountId, name: &str, document: UserDocument) -> Answer {
    let grant = call.on(Action::WriteUsers, account, "user", name).await?;
    if document.access_key.is_some() || document.secret_key.is_some() {
        let detail = "access keys are made below the user's keys";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let mut warnings = Vec::new();
    let hash = hash(&call, document.password.as_ref(), &mut warnings).await?;
    let change = |user: &mut User| {
        let set = |to: &mut bool, from: Option<bool>| *to = from.unwrap_or(*to);
        set(&mut user.enabled, document.enabled);
        set(&mut user.admin, document.admin);
        set(&mut user.reseller_admin, document.reseller_admin);
        set(&mut user.service, document.service);
        for (to, from) in [
            (&mut user.id, &document.id),
            (&mut user.display_name, &document.display_name),
        ] {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        for (to, from) in [
            (&mut user.groups, &document.groups),
            (&mut user.policies, &document.policies),
            (&mut user.certificates, &document.certificates),
        ] {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        if let Some(email) = &document.email {
            user.email = Some(email.clone()).filter(|email| !email.is_empty());
        }
        if hash.is_some() {
            user.password_hash.clone_from(&hash);
        }
        Ok(())
    };
    let updated = call
        .store()
        .update_user(&grant, account, name, &change)
        .await;
    ok(&shown(&updated.map_err(problem)?, None, warnings))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KeyDocument {
    access_key: Option<String>,
    secret_key: Option<String>,
    /// A time in the form of RFC 3339.
    expires: Option<String>,
    enabled: Option<bool>,
}

/// The access keys of a user.
pub(crate) async fn keys(mut call: Call<'_>, account: &AccountId, user: &str) -> Answer {
    match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call.on(Action::ReadKeys, account, "user", user).await?;
            let keys = call.store().list_access_keys(&grant, account, user).await;
            let keys = keys.map_err(problem)?.into_iter();
            let keys: Vec<KeyAnswer> = keys.map(|key| KeyAnswer::new(key, None)).collect();
            ok(&serde_json::json!({ "keys": keys }))
        }
        Method::POST => {
            let document: KeyDocument = call.json().await?;
            let grant = call.on(Action::CreateKeys, account, "user", user).await?;
            if document.enabled == Some(false)
                || document.secret_key.is_some() && document.access_key.is_none()
            {
                let detail = "a new key is enabled, and a secret key goes with an access key";
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            }
            let random = call.admin.identities.random();
            let secret = document.secret_key.unwrap_or_else(|| generated(&call));
            let new = NewAccessKey {
                id: document
                    .access_key
                    .unwrap_or_else(|| new_access_key(random)),
                secret: SecretKey::new(secret.clone()),
                expires: document.expires.as_deref().map(time).transpose()?,
            };
            let made = call
                .store()
                .create_access_key(&grant, account, user, &new)
                .await;
            let made = KeyAnswer::new(made.map_err(problem)?, Some(secret));
            json(StatusCode::CREATED, &made)
        }
        _ => Err(not_allowed()),
    }
}

fn time(text: &str) -> Result<Timestamp, Problem> {
    let parsed: Option<jiff::Timestamp> = text.parse().ok();
    let micros = parsed.and_then(|at| u64::try_from(at.as_microsecond()).ok());
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, "expires is a time as in RFC 3339");
    micros.map(Timestamp).ok_or_else(wrong)
}

/// One access key.
pub(crate) async fn key(
    mut call: Call<'_>,
    (account, user): (&AccountId, &str),
    id: &str,
) -> Answer {
    let done = match call.method {
        Method::PATCH => {
            let document: KeyDocument = call.json().await?;
            let grant = call.on(Action::WriteKeys, account, "user", user).await?;
            let (None, None, None, Some(enabled)) = (
                document.access_key,
                document.secret_key,
                document.expires,
                document.enabled,
            ) else {
                let detail = "a key can be enabled and disabled, nothing else";
                return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            };
            call.store()
                .enable_access_key(&grant, (account, user), id, enabled)
                .await
        }
        Method::DELETE => {
            call.no_body()?;
            let grant = call.on(Action::DeleteKeys, account, "user", user).await?;
            call.store()
                .delete_access_key(&grant, (account, user), id)
                .await
        }
        _ => return Err(not_allowed()),
    };
    done.map_err(problem)?;
    nothing()
}
