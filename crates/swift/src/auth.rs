//! `/auth/v1.0`: a user's name and key for a token.

use crate::call::{empty, set};
use crate::fault::{Fault, Outcome};
use crate::swift::Swift;
use crate::target::{quote, unquote};
use http::{HeaderMap, Response};
use std::net::IpAddr;
use trestle_http::Body;

fn refused(account: &str) -> Fault {
    let realm = match account.is_empty() {
        true => "unknown".to_owned(),
        false => quote(account),
    };
    Fault::new(401).with("www-authenticate", format!("Swift realm=\"{realm}\""))
}

/// A request below `/auth`.
pub(crate) struct Asking<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// `scheme://host` as the client wrote it.
    pub(crate) origin: &'a str,
    /// Where it comes from.
    pub(crate) source: Option<IpAddr>,
}

/// Answers a request below `/auth`.
pub(crate) async fn answer(swift: &Swift, asking: Asking<'_>) -> Outcome<Response<Body>> {
    let Asking {
        method,
        path,
        headers,
        origin,
        source,
    } = asking;
    if method != "GET" {
        return Err(Fault::new(405).with("allow", "GET"));
    }
    let path = unquote(path)?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let in_path = match parts.as_slice() {
        ["auth", "v1" | "v1.0" | "auth"] | ["auth"] => None,
        ["auth", "v1" | "v1.0", account, "auth"] => Some(*account),
        _ => return Err(Fault::text(400, "Bad Request")),
    };
    let text = |name: &str| {
        let value = headers.get(name)?;
        std::str::from_utf8(value.as_bytes()).ok()
    };
    let named = match in_path {
        Some(_) => text("x-storage-user").or_else(|| text("x-auth-user")),
        None => text("x-auth-user").or_else(|| text("x-storage-user")),
    };
    let key = match in_path {
        Some(_) => text("x-storage-pass").or_else(|| text("x-auth-key")),
        None => text("x-auth-key").or_else(|| text("x-storage-pass")),
    };
    let named = named.unwrap_or_default();
    let (account, user) = match (in_path, named.split_once(':')) {
        (None, Some((account, user))) => (account, user),
        (None, None) => return Err(refused("")),
        (Some(account), Some((other, user))) if account == other => (account, user),
        (Some(account), Some(_)) => return Err(refused(account)),
        (Some(account), None) => (account, named),
    };
    let (false, Some(key)) = (user.is_empty(), key) else {
        return Err(refused(account));
    };
    let Some(principal) = swift.identify.login((account, user), key, source).await? else {
        return Err(refused(account));
    };
    let Some(own) = principal.account().cloned() else {
        return Err(refused(account));
    };
    let issued = swift.identify.issue(principal).await?;
    let mut response = empty(200);
    let headers = response.headers_mut();
    let url = format!("{origin}/v1/{}", quote(&swift.prefixes.name(&own)));
    set(headers, "x-auth-token", &issued.token);
    set(headers, "x-storage-token", &issued.token);
    set(headers, "x-auth-token-expires", &issued.seconds.to_string());
    set(headers, "x-storage-url", &url);
    set(headers, "content-type", "text/html; charset=UTF-8");
    set(headers, "cache-control", "no-store");
    Ok(response)
}
