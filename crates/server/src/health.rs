//! Whether the process answers and the store takes writes, for whoever watches it. Needs no
//! credentials and tells nothing else.

use http::{Method, Response, StatusCode};
use trestle_http::{Body, Problem};
use trestle_store::Store;

/// Answers every method of what can only be read but the reads.
pub(crate) fn only_read(method: &Method) -> Option<Response<Body>> {
    let mut response = match *method {
        Method::GET | Method::HEAD => return None,
        Method::OPTIONS => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD").into_response(),
    };
    let allow = http::HeaderValue::from_static("GET, HEAD, OPTIONS");
    response.headers_mut().insert(http::header::ALLOW, allow);
    Some(response)
}

/// `/healthz`: the process answers. `/readyz`: the store takes writes.
pub(crate) fn answer(method: &Method, ready: bool, store: &Store) -> Response<Body> {
    if let Some(answered) = only_read(method) {
        return answered;
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
