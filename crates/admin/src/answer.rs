//! Answers: JSON that no cache keeps, and errors as problem details.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use trestle_core::{Error, ErrorKind, Timestamp};
use trestle_http::{Body, Problem};

/// What a request comes to.
pub(crate) type Answer = Result<Response<Body>, Problem>;

/// A document.
pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(document).map_err(|error| {
        let message = "an answer cannot be written";
        Problem::from(Error::new(ErrorKind::Internal, message).with_source(error))
    })?;
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A document with 200.
pub(crate) fn ok(document: &impl Serialize) -> Answer {
    json(StatusCode::OK, document)
}

/// Nothing, with 204.
pub(crate) fn nothing() -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The problem that an error is.
pub(crate) fn problem(error: Error) -> Problem {
    error.into()
}

/// A time as people write it.
pub(crate) fn timestamp(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}
