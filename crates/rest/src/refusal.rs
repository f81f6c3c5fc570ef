//! What ends a request early: an error by meaning, or a problem that only HTTP knows.

use http::{Response, StatusCode};
use trestle_core::Error;
use trestle_http::{Body, Problem};

/// An answer, or why there is none.
pub(crate) type Answer<T = Response<Body>> = Result<T, Refusal>;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Error(Error),
    Problem(Problem),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Error(error)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Problem(problem)
    }
}

impl Refusal {
    /// A refusal with this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Refusal::Problem(Problem::new(status, detail))
    }

    /// 501: the request means something that is not done here.
    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Refusal::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        match self {
            Refusal::Error(error) => Problem::from(error).into_response(),
            Refusal::Problem(problem) => problem.into_response(),
        }
    }
}
