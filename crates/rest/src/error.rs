//! Errors by meaning, as this dialect answers them.

use http::header::{CONTENT_RANGE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use trestle_core::{Error, ErrorKind};
use trestle_http::{Body, Problem};

/// The answer for an error. What only an operator may know stays in the log.
pub(crate) fn answer(error: &Error) -> Response<Body> {
    problem(error).into_response()
}

fn problem(error: &Error) -> Problem {
    let detailed = |status| Problem::new(status, error.message());
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::DigestMismatch | ErrorKind::IncompleteBody => {
            detailed(StatusCode::BAD_REQUEST)
        }
        ErrorKind::NotFound(_) => detailed(StatusCode::NOT_FOUND),
        ErrorKind::AlreadyExists(_)
        | ErrorKind::NotEmpty
        | ErrorKind::Conflict
        | ErrorKind::InvalidState => detailed(StatusCode::CONFLICT),
        ErrorKind::PreconditionFailed => detailed(StatusCode::PRECONDITION_FAILED),
        ErrorKind::RangeNotSatisfiable { length } => {
            let problem = detailed(StatusCode::RANGE_NOT_SATISFIABLE);
            match HeaderValue::from_str(&format!("bytes */{length}")) {
                Ok(value) => problem.with_header(CONTENT_RANGE, value),
                Err(_) => problem,
            }
        }
        ErrorKind::TooLarge => detailed(StatusCode::PAYLOAD_TOO_LARGE),
        ErrorKind::WrongKey => detailed(StatusCode::FORBIDDEN),
        ErrorKind::NoLongerKept => detailed(StatusCode::GONE),
        ErrorKind::Forbidden | ErrorKind::Locked => detailed(StatusCode::FORBIDDEN),
        ErrorKind::QuotaExceeded => detailed(StatusCode::INSUFFICIENT_STORAGE),
        ErrorKind::NoSpace => {
            tracing::warn!(%error, "a write was refused");
            Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "no space is left for writes",
            )
        }
        ErrorKind::Unavailable => {
            tracing::error!(%error, "a request was refused");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store does not take writes now",
            )
        }
        ErrorKind::Corrupt => {
            tracing::error!(%error, source = ?std::error::Error::source(error), "stored data is damaged");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "stored data is damaged")
        }
        _ => {
            tracing::error!(%error, source = ?std::error::Error::source(error), "a request failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
        }
    }
}

/// 401 with the challenge.
pub(crate) fn unauthorized(detail: &str) -> Response<Body> {
    let challenge = HeaderValue::from_static("Basic realm=\"trestle\", charset=\"UTF-8\"");
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_header(WWW_AUTHENTICATE, challenge)
        .into_response()
}
