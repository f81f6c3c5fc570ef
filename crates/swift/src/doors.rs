//! What a signature lets somebody do: temporary URLs, and the keys that make them.

use crate::call::{Call, set};
use crate::fault::{Fault, Outcome};
use crate::info::TEMP_URL_METHODS;
use crate::tempurl::{Parameters, Scope, Use};
use crate::times;
use crate::who::Pass;
use http::Response;
use trestle_core::Metadata;
use trestle_http::Body;

/// Marks an answer that is a page of a site rather than an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SitePage;

/// The keys of the account and the container of a request.
pub(crate) async fn keys(call: &Call) -> Outcome<Vec<(String, Scope)>> {
    let of = |metadata: &Metadata, scope| -> Vec<(String, Scope)> {
        ["temp-url-key", "temp-url-key-2"]
            .iter()
            .filter_map(|name| metadata.get(*name)?.as_str())
            .map(|key| (key.to_owned(), scope))
            .collect()
    };
    let mut keys = Vec::new();
    if let Some((account, _)) = call.account(&call.account).await? {
        keys.extend(of(&account.properties.metadata, Scope::Account));
    }
    if let Some(container) = call.container(&call.account, call.container_name()).await? {
        keys.extend(of(&container.bucket.properties.metadata, Scope::Container));
    }
    Ok(keys)
}

/// Has it written down that a signature was refused, with what it was for.
pub(crate) fn note_refused(call: &Call, kind: &str, name: &str) {
    call.swift.store.audit_refused(kind, name, call.remote);
}

fn invalid(call: &Call) -> Fault {
    let realm = crate::target::quote(&call.target.account);
    Fault::html(401, "401 Unauthorized: Temp URL invalid\n")
        .with("www-authenticate", format!("Swift realm=\"{realm}\""))
}

/// What a temporary URL lets its holder do.
///
/// # Errors
/// 401, and no more about why.
pub(crate) async fn temporary(call: &Call, parameters: &Parameters) -> Outcome<Pass> {
    let method = call.method.as_str();
    let Some(container) = &call.target.container else {
        return Err(invalid(call));
    };
    let object = call.target.object.as_deref().unwrap_or_default();
    let root = call.reads() && parameters.prefix.as_deref() == Some("");
    let names_object = !object.trim_matches('/').is_empty();
    if !TEMP_URL_METHODS.contains(&method) || !(names_object || root) {
        return Err(invalid(call));
    }
    let used = Use {
        method,
        account: &call.target.account,
        container,
        object,
        remote: call.remote,
        now: call.now,
    };
    let scope = parameters.verify(&used, &keys(call).await?);
    let scope = scope.ok_or_else(|| {
        let name = format!("{}/{container}/{object}", call.target.account);
        note_refused(call, "temporary URL", &name);
        invalid(call)
    })?;
    Ok(Pass::new(scope, &call.target.account, container))
}

/// An answer as the holder of a temporary URL gets it.
pub(crate) fn downloaded(call: &Call, mut response: Response<Body>) -> Response<Body> {
    let Some(parameters) = &call.temp_url else {
        return response;
    };
    let page = response.extensions().get::<SitePage>().is_some();
    let success = response.status().is_success();
    let headers = response.headers_mut();
    let private: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-object-meta-"))
        .filter(|name| !name.as_str().starts_with("x-object-meta-public-"))
        .cloned()
        .collect();
    for name in private {
        headers.remove(name);
    }
    if !call.reads() || !success {
        return response;
    }
    if call.target.object.is_none() && !page {
        // The root of a container is there for its site alone.
        return invalid(call).into_response();
    }
    let stored = headers
        .get("content-disposition")
        .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
        .map(str::to_owned);
    let object = call.target.object.as_deref().unwrap_or_default();
    let disposition = parameters.disposition(object, stored.as_deref(), page);
    set(headers, "content-disposition", &disposition);
    if let Some(expires) = parameters.expires() {
        let date = trestle_http::http_date(times::at_second(expires));
        set(headers, "expires", &date);
    }
    response
}
