//! Problem details (RFC 9457): every error answer of Trestle's own API.

use crate::body::Body;
use crate::phrase::phrase_of;
use http::header::{
    CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use trestle_core::{Error, ErrorKind};

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// A problem; `detail` is shown to the client.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem {
            status,
            detail: detail.into(),
            headers: Vec::new(),
            members: serde_json::Map::new(),
        }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a member to the document (RFC 9457 §3.2).
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// 401 with a challenge for a name and a password.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static("Basic realm=\"trestle\", charset=\"UTF-8\"");
        Problem::new(StatusCode::UNAUTHORIZED, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// The answer.
    pub fn into_response(self) -> Response<Body> {
        let title = phrase_of(self.status);
        let mut document = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(members) = document.as_object_mut() {
            members.extend(self.members);
        }
        let mut response = Response::new(Body::full(document.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        response
    }
}

/// The one mapping of errors by meaning to statuses, for every dialect that answers with problem
/// details. What only an operator may know stays in the log.
impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let status = status_of(error.kind());
        match error.kind() {
            ErrorKind::RangeNotSatisfiable { length } => {
                let problem = Problem::new(status, error.message());
                match HeaderValue::from_str(&format!("bytes */{length}")) {
                    Ok(value) => problem.with_header(CONTENT_RANGE, value),
                    Err(_) => problem,
                }
            }
            ErrorKind::Expired => Problem::unauthorized(error.message()),
            ErrorKind::NoSpace => {
                tracing::warn!(%error, "a write was refused");
                Problem::new(status, "no space is left for writes")
            }
            ErrorKind::Unavailable => {
                tracing::error!(%error, "a request was refused");
                Problem::new(status, "the store does not take writes now")
            }
            ErrorKind::Corrupt => {
                let source = std::error::Error::source(error);
                tracing::error!(%error, ?source, "stored data is damaged");
                Problem::new(status, "stored data is damaged")
            }
            _ if status == StatusCode::INTERNAL_SERVER_ERROR => {
                let source = std::error::Error::source(error);
                tracing::error!(%error, ?source, "a request failed");
                Problem::new(status, "the server failed")
            }
            _ => Problem::new(status, error.message()),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem::from(&error)
    }
}

fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidInput
        | ErrorKind::DigestMismatch
        | ErrorKind::IncompleteBody
        | ErrorKind::InvalidPart { .. }
        | ErrorKind::InvalidPartOrder
        | ErrorKind::PartTooSmall { .. } => StatusCode::BAD_REQUEST,
        ErrorKind::Forbidden | ErrorKind::Locked | ErrorKind::WrongKey => StatusCode::FORBIDDEN,
        ErrorKind::Expired => StatusCode::UNAUTHORIZED,
        ErrorKind::NotFound(_) => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists(_)
        | ErrorKind::NotEmpty
        | ErrorKind::Conflict
        | ErrorKind::InvalidOffset { .. }
        | ErrorKind::InvalidState => StatusCode::CONFLICT,
        ErrorKind::TooSlow => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::NoLongerKept => StatusCode::GONE,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::NoSpace | ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_core::Noun;

    #[test]
    fn each_meaning_has_its_status_and_secrets_stay_inside() {
        for (kind, status) in [
            (ErrorKind::InvalidInput, 400),
            (ErrorKind::Expired, 401),
            (ErrorKind::InvalidPart { number: 1 }, 400),
            (ErrorKind::WrongKey, 403),
            (ErrorKind::Locked, 403),
            (ErrorKind::NotFound(Noun::Job), 404),
            (ErrorKind::TooSlow, 408),
            (ErrorKind::NotEmpty, 409),
            (ErrorKind::InvalidState, 409),
            (ErrorKind::InvalidOffset { length: 1 }, 409),
            (ErrorKind::NoLongerKept, 410),
            (ErrorKind::TooLarge, 413),
            (ErrorKind::QuotaExceeded, 507),
        ] {
            let problem = Problem::from(Error::new(kind, "what it is"));
            assert_eq!(problem.status(), status, "{kind:?}");
            assert_eq!(problem.detail, "what it is");
        }
        for (kind, status) in [
            (ErrorKind::NoSpace, 507),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Corrupt, 500),
            (ErrorKind::Internal, 500),
        ] {
            let problem = Problem::from(Error::new(kind, "/var/secret"));
            assert_eq!(problem.status(), status, "{kind:?}");
            assert!(!problem.detail.contains("secret"), "{kind:?}");
        }
        let range = Error::new(ErrorKind::RangeNotSatisfiable { length: 7 }, "");
        let response = Problem::from(range).into_response();
        assert_eq!(response.headers()["content-range"], "bytes */7");
    }
}
