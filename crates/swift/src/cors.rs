//! Requests of pages from elsewhere: what a container's metadata lets them do.

use crate::call::{Call, empty, set};
use crate::container::Container;
use crate::fault::{Fault, Outcome};
use http::{HeaderMap, Response};
use trestle_http::Body;

/// Headers that pages may always read.
const EXPOSED: [&str; 12] = [
    "cache-control",
    "content-language",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
    "etag",
    "x-timestamp",
    "x-trans-id",
    "x-openstack-request-id",
    "x-auth-token",
    "content-length",
];

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What is to be said to an origin that is let in.
fn admitted(container: &Container, origin: &str) -> Option<String> {
    let origins = container.meta("access-control-allow-origin")?;
    match origins
        .split_whitespace()
        .find(|own| *own == "*" || *own == origin)
    {
        Some("*") => Some("*".to_owned()),
        Some(_) => Some(origin.to_owned()),
        None => None,
    }
}

/// Answers an OPTIONS request.
pub(crate) async fn options(call: &Call, allow: &str) -> Outcome<Response<Body>> {
    let mut response = empty(200);
    set(response.headers_mut(), "allow", allow);
    let Some(origin) = header(&call.headers, "origin") else {
        return Ok(response);
    };
    let container = call.container(&call.account, call.container_name()).await?;
    let method = header(&call.headers, "access-control-request-method");
    let (Some(container), Some(method)) = (container, method) else {
        return Err(Fault::new(401));
    };
    let known = allow.split(", ").any(|own| own == method);
    let Some(said) = admitted(&container, origin).filter(|_| known) else {
        return Err(Fault::new(401));
    };
    let headers = response.headers_mut();
    set(headers, "access-control-allow-origin", &said);
    set(headers, "access-control-allow-methods", allow);
    let mut vary = Vec::new();
    if said != "*" {
        vary.push("Origin");
    }
    if let Some(age) = container.meta("access-control-max-age") {
        set(headers, "access-control-max-age", age);
    }
    if let Some(names) = header(&call.headers, "access-control-request-headers") {
        set(headers, "access-control-allow-headers", names);
        vary.push("Access-Control-Request-Headers");
    }
    if !vary.is_empty() {
        set(headers, "vary", &vary.join(", "));
    }
    Ok(response)
}

/// Adds to an answer what the page that asked needs to see of it.
pub(crate) async fn annotate(call: &Call, answered: Outcome<Response<Body>>) -> Response<Body> {
    let mut response = answered.unwrap_or_else(Fault::into_response);
    let Some(origin) = header(&call.headers, "origin") else {
        return response;
    };
    if call.method == "OPTIONS" || call.target.container.is_none() {
        return response;
    }
    // Without the container, nothing can be said; the answer stays as it is.
    let Ok(Some(container)) = call.container(&call.account, call.container_name()).await else {
        return response;
    };
    let Some(said) = admitted(&container, origin) else {
        return response;
    };
    let mut exposed: Vec<String> = EXPOSED.map(str::to_owned).to_vec();
    let own = container
        .meta("access-control-expose-headers")
        .unwrap_or_default();
    exposed.extend(own.split_whitespace().map(str::to_owned));
    let headers = response.headers_mut();
    exposed.extend(
        headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .filter(|name| {
                ["x-container-meta-", "x-object-meta-", "x-account-meta-"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            }),
    );
    set(
        headers,
        "access-control-expose-headers",
        &exposed.join(", "),
    );
    if said != "*" {
        headers.append("vary", http::HeaderValue::from_static("Origin"));
    }
    set(headers, "access-control-allow-origin", &said);
    response
}
