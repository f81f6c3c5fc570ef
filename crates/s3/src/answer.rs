//! Answers: documents and headers as this dialect sends them.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use trestle_http::{Body, XmlWriter};

/// A document with status 200.
pub(crate) fn xml(document: XmlWriter) -> Response<Body> {
    let mut response = Response::new(Body::full(document.finish()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// 200 and nothing else.
pub(crate) fn empty() -> Response<Body> {
    Response::new(Body::empty())
}

/// 204.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
