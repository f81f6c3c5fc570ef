//! Whether the process answers and the store takes writes, for whoever watches it. Needs no
//! credentials and tells nothing else.

use http::{Method, Response, StatusCode};
use trestle_http::{Body, Problem};
use trestle_store::Store;

/// `/healthz`: the process answers. `/readyz`: the store takes writes.
pub(crate) fn answer(method: &Method, ready: bool, store: &Store) -> Response<Body> {
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD")
            .with_header(
                http::header::ALLOW,
                http::HeaderValue::from_static("GET, HEAD"),
            )
            .into_response();
    }
    if ready && store.writable().is_err() {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not take writes",
        )
        .into_response();
    }
    let mut response = Response::new(Body::full("ok\n"));
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    headers.insert(
        http::header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-store"),
    );
    response
}
