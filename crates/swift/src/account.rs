//! Accounts: their counters, metadata, quotas and access lists; the listing of their containers; and
//! their making and giving up by who administers all of them.

use crate::acl::AccountList;
use crate::call::{Call, empty, page, set, text};
use crate::fault::{Fault, Outcome};
use crate::listing::{self, Format, Row};
use crate::metadata::{self, Level};
use crate::rights::{ACCOUNT_ACL, Rights, Wish};
use crate::target::ACCOUNT_NAME_MAX;
use crate::times;
use http::{HeaderMap, Response};
use serde_json::json;
use std::collections::BTreeMap;
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, Error};
use trestle_http::Body;
use trestle_store::{
    Account, AccountProperties, AccountUsage, Bucket, BucketUsage, ChangeAccount, ListBuckets,
};

/// Metadata that only owners see.
const SECRET: [&str; 2] = ["temp-url-key", "temp-url-key-2"];
const ALLOW: &str = "GET, HEAD, PUT, POST, DELETE, OPTIONS";

/// Answers a request for an account.
pub(crate) async fn answer(call: &Call) -> Outcome<Response<Body>> {
    if !["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"].contains(&call.method.as_str()) {
        return Err(Fault::new(405).with("allow", ALLOW));
    }
    if call.target.account.len() > ACCOUNT_NAME_MAX {
        let text = format!(
            "Account name length of {} longer than {ACCOUNT_NAME_MAX}",
            call.target.account.len()
        );
        return Err(Fault::text(400, text));
    }
    // A list that cannot be understood is told to whoever sends it.
    let list = match call.header("x-account-access-control")? {
        Some(text) => Some(AccountList::parse(text).map_err(|message| {
            let text = format!("X-Account-Access-Control invalid: {message}\n\nInput: {text}\n");
            Fault::text(400, text)
        })?),
        None => None,
    };
    if call.method == "OPTIONS" {
        let mut response = empty(200);
        set(response.headers_mut(), "allow", ALLOW);
        return Ok(response);
    }
    let rights = call
        .may(Wish {
            account: &call.account,
            container: None,
            object: None,
            reads: call.reads(),
            manages: ["PUT", "DELETE"].contains(&call.method.as_str()),
        })
        .await?;
    match call.method.as_str() {
        "GET" | "HEAD" => read(call, rights).await,
        "DELETE" => delete(call).await,
        _ => change(call, rights, list).await,
    }
}

async fn read(call: &Call, rights: Rights) -> Outcome<Response<Body>> {
    let format = listing::format(&call.headers, &call.query)?;
    let limit = listing::limit(&call.query)?;
    let found = call.account(&call.account).await?;
    let mut response = match &found {
        Some((account, _)) if account.properties.closed => {
            return Err(Fault::text(410, "").with("x-account-status", "Deleted"));
        }
        _ if call.method == "HEAD" && found.is_none() => empty(200),
        _ if call.method == "HEAD" => empty(204),
        None => listed(call, format, &[]),
        Some(_) => listed(call, format, &rows(call, limit).await?),
    };
    let kind = format!("{}; charset=utf-8", format.media_type());
    let headers = response.headers_mut();
    set(headers, "content-type", &kind);
    set(headers, "accept-ranges", "bytes");
    if call.query.get("format").is_none() {
        set(headers, "vary", "Accept");
    }
    match &found {
        Some((account, usage)) => describe(call, account, usage, rights, headers).await?,
        None => {
            for name in ["container-count", "object-count", "bytes-used"] {
                set(headers, &format!("x-account-{name}"), "0");
            }
            set(headers, "x-timestamp", &times::x_timestamp(call.now));
        }
    }
    Ok(response)
}

fn listed(call: &Call, format: Format, rows: &[Row]) -> Response<Body> {
    let body = listing::render(format, listing::ACCOUNT, &call.target.account, rows);
    match body.is_empty() {
        true => empty(204),
        false => text(200, format.media_type(), body),
    }
}

async fn describe(
    call: &Call,
    account: &Account,
    usage: &AccountUsage,
    rights: Rights,
    headers: &mut HeaderMap,
) -> Outcome<()> {
    let properties = &account.properties;
    let mut counts = |infix: &str, buckets: u64, objects: u64, bytes: u64| {
        for (name, count) in [
            ("container-count", buckets),
            ("object-count", objects),
            ("bytes-used", bytes),
        ] {
            let name = format!("x-account-{infix}{name}");
            set(headers, &name, &count.to_string());
        }
    };
    counts("", usage.buckets, usage.objects, usage.bytes);
    for (policy, usage) in by_policy(call, &account.id, usage).await? {
        let infix = format!("storage-policy-{}-", policy.to_ascii_lowercase());
        counts(&infix, usage.buckets, usage.objects, usage.bytes);
    }
    let mut shown = properties.metadata.clone();
    if !rights.owner {
        shown.retain(|name, _| !SECRET.contains(&name.as_str()));
    }
    metadata::show(&shown, Level::Account, headers);
    if rights.owner
        && let Some(list) = properties.documents.get(ACCOUNT_ACL)
    {
        set(headers, "x-account-access-control", list);
    }
    for (name, quota) in [
        ("quota-bytes", properties.quota.bytes),
        ("quota-count", properties.quota.objects),
    ] {
        if let Some(quota) = quota {
            set(headers, &format!("x-account-{name}"), &quota.to_string());
        }
    }
    // The older form, which older clients read.
    if let Some(quota) = properties.quota.bytes {
        let name = "x-account-meta-quota-bytes";
        set(headers, name, &quota.to_string());
    }
    for (name, value) in &properties.documents {
        if let Some(quota) = name.strip_prefix("swift.quota-") {
            set(headers, &format!("x-account-quota-{quota}"), value);
        }
    }
    if properties.documents.contains_key(RFC_ETAGS) {
        set(headers, "x-account-rfc-compliant-etags", "true");
    }
    set(headers, "x-timestamp", &times::x_timestamp(account.created));
    Ok(())
}

/// The document that says that entity tags are quoted everywhere in the account.
pub(crate) const RFC_ETAGS: &str = "swift.rfc-compliant-etags";

/// The counters of each policy that has a container. With one policy they are the account's.
pub(crate) async fn by_policy(
    call: &Call,
    account: &AccountId,
    usage: &AccountUsage,
) -> Outcome<BTreeMap<String, AccountUsage>> {
    let mut found = BTreeMap::new();
    if usage.buckets == 0 {
        return Ok(found);
    }
    if let [only] = call.swift.policies.as_slice() {
        found.insert(only.name.clone(), *usage);
        return Ok(found);
    }
    let mut list = everything(account);
    loop {
        let (buckets, next) = page_of(call, &list).await?;
        for (bucket, usage) in buckets {
            let policy = policy_of(call, &bucket).to_owned();
            let sum = found.entry(policy).or_default();
            sum.buckets += 1;
            sum.objects += usage.objects;
            sum.bytes += usage.bytes;
        }
        if next.is_none() {
            return Ok(found);
        }
        list.after = next;
    }
}

/// The policy of a container.
pub(crate) fn policy_of<'a>(call: &'a Call, bucket: &'a Bucket) -> &'a str {
    let default = || {
        call.swift
            .policies
            .first()
            .map(|policy| policy.name.as_str())
    };
    let own = bucket.properties.storage_policy.as_deref();
    own.or_else(default).unwrap_or("default")
}

fn everything(account: &AccountId) -> ListBuckets {
    ListBuckets {
        account: account.clone(),
        prefix: String::new(),
        after: None,
        until: None,
        reverse: false,
        limit: listing::LIMIT_MAX,
    }
}

async fn page_of(
    call: &Call,
    list: &ListBuckets,
) -> Outcome<(Vec<(Bucket, BucketUsage)>, Option<String>)> {
    let resource = Resource::Account(list.account.clone());
    let grant = call.grant(Action::ListBuckets, resource).await?;
    Ok(call.swift.store.list_buckets(&grant, list).await?)
}

async fn rows(call: &Call, limit: usize) -> Outcome<Vec<Row>> {
    let own = |name| call.query.some(name).map(str::to_owned);
    let delimiter = own("delimiter");
    let prefix = own("prefix").unwrap_or_default();
    let marker = own("marker");
    let mut list = ListBuckets {
        prefix: prefix.clone(),
        after: marker.clone(),
        until: own("end_marker"),
        reverse: call.query.is_true("reverse"),
        ..everything(&call.account)
    };
    let mut rows: Vec<Row> = Vec::new();
    while rows.len() < limit {
        let (buckets, next) = page_of(call, &list).await?;
        for (bucket, usage) in buckets {
            let name = bucket.name.local();
            let folded = delimiter.as_ref().and_then(|delimiter| {
                let rest = name.strip_prefix(&prefix)?;
                let end = rest.find(delimiter.as_str())? + delimiter.len();
                name.get(..prefix.len() + end)
            });
            match folded {
                Some(folded) => {
                    let seen = rows.last().is_some_and(|row| row.name() == folded);
                    if !seen && marker.as_deref() != Some(folded) {
                        rows.push(Row::Subdir(folded.to_owned()));
                    }
                }
                None => rows.push(row(call, &bucket, usage)),
            }
            if rows.len() == limit {
                break;
            }
        }
        match next {
            Some(next) => list.after = Some(next),
            None => break,
        }
    }
    Ok(rows)
}

fn row(call: &Call, bucket: &Bucket, usage: BucketUsage) -> Row {
    Row::Item {
        name: bucket.name.local().to_owned(),
        fields: vec![
            ("count", json!(usage.objects)),
            ("bytes", json!(usage.bytes)),
            (
                "last_modified",
                json!(times::listed(crate::container::modified(bucket))),
            ),
            ("storage_policy", json!(policy_of(call, bucket))),
        ],
        json_only: Vec::new(),
    }
}

/// What a request says of quotas: document or neutral name → new value, none to remove it.
fn quotas(call: &Call) -> Outcome<BTreeMap<String, Option<u64>>> {
    let mut found = BTreeMap::new();
    let mut names = vec![String::new()];
    for policy in &call.swift.policies {
        names.push(format!("-policy-{}", policy.name.to_ascii_lowercase()));
    }
    for kind in ["bytes", "count"] {
        for suffix in &names {
            let tail = format!("account-quota-{kind}{suffix}");
            let mut given = call.header(&format!("x-{tail}"))?;
            let mut removed = call.some_header(&format!("x-remove-{tail}"))?;
            if suffix.is_empty() {
                let old = format!("account-meta-quota-{kind}");
                if kind == "bytes" {
                    given = given.or(call.header(&format!("x-{old}"))?);
                    removed = removed.or(call.some_header(&format!("x-remove-{old}"))?);
                }
            }
            let value = match (given, removed) {
                (_, Some(_)) | (Some(""), None) => None,
                (Some(text), None) => match text.parse::<u64>() {
                    Ok(number) => Some(number),
                    Err(_) => return Err(Fault::new(400)),
                },
                (None, None) => continue,
            };
            found.insert(format!("{kind}{suffix}"), value);
        }
    }
    Ok(found)
}

async fn change(call: &Call, rights: Rights, list: Option<AccountList>) -> Outcome<Response<Body>> {
    let mut received = metadata::received(&call.headers, Level::Account)?;
    // The old form of the quota is no metadata.
    received.retain(|(name, _)| name != "quota-bytes");
    let removed = metadata::removed(&call.headers, Level::Account);
    let quotas = match quotas(call) {
        Err(fault) if rights.reseller => return Err(fault),
        Err(_) => return Err(Fault::new(403)),
        Ok(quotas) if !quotas.is_empty() && !rights.reseller => return Err(Fault::new(403)),
        Ok(quotas) => quotas,
    };
    if list.is_some() && !rights.owner {
        return Err(Fault::new(403));
    }
    let rfc = call
        .header("x-account-rfc-compliant-etags")?
        .map(str::to_owned);
    let created = ensure(call, &call.account).await?;
    if call.method == "POST" && created.closed {
        return Err(Fault::new(410));
    }
    let change = |properties: &mut AccountProperties| {
        metadata::merge(&mut properties.metadata, &received, &removed)
            .map_err(|fault| Error::invalid(fault.body()))?;
        if let Some(list) = &list {
            properties.acl = list.neutral()?;
            match list.is_empty() {
                true => drop(properties.documents.remove(ACCOUNT_ACL)),
                false => drop(properties.documents.insert(ACCOUNT_ACL.into(), list.text())),
            }
        }
        match rfc.as_deref() {
            Some(text) if crate::query::is_true(text) => {
                properties.documents.insert(RFC_ETAGS.into(), "true".into());
            }
            Some(_) => drop(properties.documents.remove(RFC_ETAGS)),
            None => {}
        }
        for (name, value) in &quotas {
            match name.as_str() {
                "bytes" => properties.quota.bytes = *value,
                "count" => properties.quota.objects = *value,
                name => {
                    let document = format!("swift.quota-{name}");
                    match value {
                        Some(value) => {
                            drop(properties.documents.insert(document, value.to_string()));
                        }
                        None => drop(properties.documents.remove(&document)),
                    }
                }
            }
        }
        if call.method == "PUT" {
            properties.closed = false;
        }
        Ok(())
    };
    update(call, &change).await?;
    Ok(match (call.method.as_str(), created.now) {
        ("PUT", true) => page(201),
        ("PUT", false) => page(202),
        _ => empty(204),
    })
}

/// What was found of an account that is needed.
pub(crate) struct Ensured {
    /// Whether it was made now.
    pub(crate) now: bool,
    pub(crate) closed: bool,
}

/// Makes the account when there is none.
pub(crate) async fn ensure(call: &Call, id: &AccountId) -> Outcome<Ensured> {
    if let Some((account, _)) = call.account(id).await? {
        return Ok(Ensured {
            now: false,
            closed: account.properties.closed,
        });
    }
    let grant = call
        .grant(Action::CreateAccount, Resource::Account(id.clone()))
        .await?;
    let now = call.swift.store.create_account(&grant, id).await?;
    Ok(Ensured { now, closed: false })
}

async fn update(call: &Call, change: &ChangeAccount<'_>) -> Outcome<()> {
    let resource = Resource::Account(call.account.clone());
    let grant = call.grant(Action::WriteAccount, resource).await?;
    let store = &call.swift.store;
    store.update_account(&grant, &call.account, change).await?;
    Ok(())
}

/// Gives the account up: it is closed, then emptied.
async fn delete(call: &Call) -> Outcome<Response<Body>> {
    let Some((account, _)) = call.account(&call.account).await? else {
        return Err(Fault::new(404));
    };
    if account.properties.closed {
        return Err(Fault::new(404));
    }
    let close = |properties: &mut AccountProperties| {
        *properties = AccountProperties {
            public_access: properties.public_access,
            closed: true,
            ..AccountProperties::default()
        };
        Ok(())
    };
    update(call, &close).await?;
    let list = everything(&call.account);
    loop {
        let (buckets, _) = page_of(call, &list).await?;
        if buckets.is_empty() {
            return Ok(empty(204));
        }
        for (bucket, _) in buckets {
            crate::container::erase(call, &call.account, bucket.name.local()).await?;
        }
    }
}
