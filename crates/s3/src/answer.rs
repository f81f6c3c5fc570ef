//! Answers: documents and headers as this dialect sends them.

use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use trestle_http::{Body, XmlWriter};

/// A document with status 200.
pub(crate) fn xml(document: XmlWriter) -> Response<Body> {
    let mut response = Response::new(Body::full(document.finish()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
