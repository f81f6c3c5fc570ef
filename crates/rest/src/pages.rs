//! What the server ships besides data: the OpenAPI document, its documentation, the JavaScript client
//! and what the HTML listings are made with. All from the binary, for everybody.

use crate::html::POLICY;
use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode};
use trestle_http::{Body, Problem, Selected};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers a path below `/-/` that is one of these pages; none when it is not. The OpenAPI document
/// is of everything that this server serves, which its caller knows.
pub fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    openapi: &Bytes,
) -> Option<Response<Body>> {
    let (content_type, bytes) = match path {
        "/-/openapi.json" => ("application/json", openapi.clone()),
        "/-/docs" => (
            "text/html; charset=utf-8",
            include_str!("../assets/docs.html").into(),
        ),
        "/-/docs.js" => (JAVASCRIPT, include_str!("../assets/docs.js").into()),
        "/-/client.js" => (JAVASCRIPT, include_str!("../assets/client.js").into()),
        "/-/listing.js" => (JAVASCRIPT, include_str!("../assets/listing.js").into()),
        "/-/style.css" => (
            "text/css; charset=utf-8",
            include_str!("../assets/style.css").into(),
        ),
        _ => return None,
    };
    let allow = HeaderValue::from_static("GET, HEAD, OPTIONS");
    if method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(ALLOW, allow);
        return Some(response);
    }
    if method != Method::GET && method != Method::HEAD {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read");
        return Some(problem.with_header(ALLOW, allow).into_response());
    }
    let selected = Selected {
        bytes,
        content_type,
        modified: None,
        cache_control: "no-cache",
        vary: None,
    };
    let boundary = selected.tag();
    let mut response = match selected.answer(method, headers, &boundary) {
        Ok(response) => response,
        Err(problem) => return Some(problem.into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_nothing_else() {
        let ask = |method: Method, path: &str| {
            answer(&method, path, &HeaderMap::new(), &Bytes::from("{}"))
        };
        let document = ask(Method::GET, "/-/openapi.json").unwrap();
        assert_eq!(document.headers()["content-type"], "application/json");
        for path in [
            "/-/docs",
            "/-/client.js",
            "/-/listing.js",
            "/-/docs.js",
            "/-/style.css",
        ] {
            let page = ask(Method::GET, path).unwrap();
            assert_eq!(page.status(), 200, "{path}");
            assert!(page.headers().contains_key("content-security-policy"));
        }
        assert_eq!(ask(Method::PUT, "/-/docs").unwrap().status(), 405);
        assert!(ask(Method::GET, "/-/other").is_none());
    }
}
