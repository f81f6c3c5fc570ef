//! Answers that are not a success: errors by meaning, redirects, and what has a status of its own.

use crate::path::escape;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use trestle_core::{Error, ErrorKind};
use trestle_http::{Body, Problem};

/// Why a request is not answered with what it asks for.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An error by meaning.
    Error(Error),
    /// A status that no error stands for.
    Status(StatusCode, String),
    /// The thing is at another URL.
    Elsewhere(StatusCode, String),
}

/// What becomes of a request.
pub(crate) type Answered<T = Response<Body>> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Error(error)
    }
}

impl Fault {
    /// 400.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Fault::Error(Error::invalid(detail))
    }

    /// 404.
    pub(crate) fn missing(path: &str) -> Self {
        Fault::Status(
            StatusCode::NOT_FOUND,
            format!("nothing is at {:?}", escape(path)),
        )
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Fault::Error(Error::new(ErrorKind::Forbidden, detail))
    }

    /// 403 for what nobody may: no right would change it.
    pub(crate) fn never(detail: impl Into<String>) -> Self {
        Fault::Status(StatusCode::FORBIDDEN, detail.into())
    }

    /// 409.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Fault::Status(StatusCode::CONFLICT, detail.into())
    }

    /// A failed copy or move is the request's fault: whatever was wrong with its source is 400.
    pub(crate) fn of_source(self) -> Self {
        match self {
            Fault::Error(error) => match error.kind() {
                ErrorKind::NotFound(_) | ErrorKind::Forbidden => {
                    Fault::bad(format!("the source: {}", error.message()))
                }
                _ => Fault::Error(error),
            },
            Fault::Status(_, detail) => Fault::bad(format!("the source: {detail}")),
            Fault::Elsewhere(_, url) => Fault::bad(format!("the source is at {url}")),
        }
    }

    /// Whether it says that something does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Fault::Error(error) => matches!(error.kind(), ErrorKind::NotFound(_)),
            Fault::Status(status, _) => *status == StatusCode::NOT_FOUND,
            Fault::Elsewhere(..) => false,
        }
    }

    /// Whether it says that a right is missing.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Fault::Error(error) if error.kind() == ErrorKind::Forbidden)
    }

    /// The answer; `anonymous` says that credentials would help.
    pub(crate) fn answer(&self, anonymous: bool) -> Response<Body> {
        match self {
            Fault::Error(error) if error.kind() == ErrorKind::Forbidden && anonymous => {
                Problem::unauthorized(error.message()).into_response()
            }
            Fault::Error(error) => Problem::from(error).into_response(),
            Fault::Status(status, detail) => Problem::new(*status, detail).into_response(),
            Fault::Elsewhere(status, url) => {
                let problem = Problem::new(*status, format!("it is at {url}"));
                match HeaderValue::from_str(url) {
                    Ok(value) => problem.with_header(LOCATION, value).into_response(),
                    Err(_) => Problem::new(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "the stored URI cannot be sent",
                    )
                    .into_response(),
                }
            }
        }
    }
}
