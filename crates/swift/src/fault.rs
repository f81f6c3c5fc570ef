//! Refusals as Swift words them: a status, and a short text or an HTML page.
//!
//! Invariant: every error answer of the dialect comes from here, so that none lacks its page.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use trestle_core::{Error, ErrorKind};
use trestle_http::Body;

/// The result of everything that may be refused.
pub(crate) type Outcome<T> = Result<T, Fault>;

/// A refusal.
#[derive(Debug)]
pub(crate) struct Fault {
    status: u16,
    text: Option<String>,
    html: bool,
    moved: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What the page of a status says.
fn reason(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => (
            "Bad Request",
            "The server could not comply with the request since it is either malformed or \
             otherwise incorrect.",
        ),
        401 => (
            "Unauthorized",
            "This server could not verify that you are authorized to access the document you \
             requested.",
        ),
        403 => ("Forbidden", "Access was denied to this resource."),
        404 => ("Not Found", "The resource could not be found."),
        405 => (
            "Method Not Allowed",
            "The method is not allowed for this resource.",
        ),
        406 => (
            "Not Acceptable",
            "The resource is not available in a format acceptable to your browser.",
        ),
        408 => (
            "Request Timeout",
            "The server has waited too long for the request to be sent by the client.",
        ),
        409 => (
            "Conflict",
            "There was a conflict when trying to complete your request.",
        ),
        410 => ("Gone", "This resource is no longer available."),
        411 => ("Length Required", "Content-Length header required."),
        412 => (
            "Precondition Failed",
            "A precondition for this request was not met.",
        ),
        413 => (
            "Request Entity Too Large",
            "The body of your request was too large for this server.",
        ),
        416 => (
            "Requested Range Not Satisfiable",
            "The Range requested is not available.",
        ),
        422 => (
            "Unprocessable Entity",
            "Unable to process the contained instructions",
        ),
        498 => ("Rate Limited", "Slow down"),
        499 => (
            "Client Disconnect",
            "The client was disconnected during request.",
        ),
        500 => (
            "Internal Error",
            "The server has either erred or is incapable of performing the requested operation.",
        ),
        501 => (
            "Not Implemented",
            "The requested method is not implemented by this server.",
        ),
        502 => ("Bad Gateway", "Bad gateway."),
        503 => (
            "Service Unavailable",
            "The server is currently unavailable. Please try again at a later time.",
        ),
        507 => (
            "Insufficient Storage",
            "There was not enough space to save the resource.",
        ),
        201 => ("Created", ""),
        202 => ("Accepted", "The request is accepted for processing."),
        301 => ("Moved Permanently", "The resource has moved permanently."),
        307 => ("Temporary Redirect", "The resource has moved temporarily."),
        _ => ("Error", ""),
    }
}

/// The status with its phrase, as bodies quote it.
pub(crate) fn status_line(status: u16) -> String {
    match status {
        200 => "200 OK".to_owned(),
        204 => "204 No Content".to_owned(),
        206 => "206 Partial Content".to_owned(),
        _ => format!("{status} {}", reason(status).0),
    }
}

/// The phrase and the text of a status, a line each.
pub(crate) fn words(status: u16) -> String {
    let (title, text) = reason(status);
    format!("{title}\n{text}")
}

/// The page of a status.
pub(crate) fn page(status: u16) -> String {
    let (title, text) = reason(status);
    match text.is_empty() {
        true => String::new(),
        false => format!("<html><h1>{title}</h1><p>{text}</p></html>"),
    }
}

impl Fault {
    /// A refusal with the status's page.
    pub(crate) fn new(status: u16) -> Self {
        Fault {
            status,
            text: None,
            html: true,
            moved: false,
            headers: Vec::new(),
        }
    }

    /// A refusal with a text of its own, as plain text.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Fault {
            text: Some(text.into()),
            html: false,
            ..Fault::new(status)
        }
    }

    /// A refusal with a text of its own in the type of a page.
    pub(crate) fn html(status: u16, text: impl Into<String>) -> Self {
        Fault {
            text: Some(text.into()),
            ..Fault::new(status)
        }
    }

    /// What was looked at was replaced meanwhile: look again.
    pub(crate) fn moved() -> Self {
        Fault {
            moved: true,
            ..Fault::new(409)
        }
    }

    /// Whether looking again may help.
    pub(crate) fn is_moved(&self) -> bool {
        self.moved
    }

    /// Adds a header; one that cannot be written is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The text of the body.
    pub(crate) fn body(&self) -> String {
        self.text.clone().unwrap_or_else(|| page(self.status))
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let kind = match self.html {
            true => "text/html; charset=UTF-8",
            false => "text/plain; charset=UTF-8",
        };
        let mut response = Response::new(Body::full(self.body()));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidInput => 400,
            ErrorKind::NotFound(_) => 404,
            ErrorKind::AlreadyExists(_) | ErrorKind::NotEmpty => 409,
            ErrorKind::PreconditionFailed => 412,
            ErrorKind::RangeNotSatisfiable { length } => {
                return Fault::new(416).with("content-range", format!("bytes */{length}"));
            }
            ErrorKind::DigestMismatch => 422,
            ErrorKind::TooSlow => 408,
            ErrorKind::IncompleteBody => 499,
            ErrorKind::TooLarge => 413,
            ErrorKind::Expired => 401,
            ErrorKind::Forbidden | ErrorKind::Locked => 403,
            ErrorKind::QuotaExceeded => return Fault::html(413, "Upload exceeds quota."),
            ErrorKind::InvalidState => return Fault::text(409, error.message()),
            ErrorKind::WrongKey => return Fault::text(403, error.message()),
            ErrorKind::NoLongerKept => 410,
            ErrorKind::InvalidPart { .. }
            | ErrorKind::InvalidPartOrder
            | ErrorKind::PartTooSmall { .. } => return Fault::text(400, error.message()),
            ErrorKind::InvalidOffset { .. } => 409,
            ErrorKind::Conflict => 503,
            ErrorKind::NoSpace => 507,
            ErrorKind::Unavailable => 503,
            _ => 500,
        };
        if status == 500 {
            tracing::error!(%error, "a request failed");
        }
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::TooLarge => Fault::text(status, error.message()),
            _ => Fault::new(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_page_or_its_own_text() {
        let fault = Fault::new(404).with("x-a", "b");
        let page = fault.body();
        assert!(page.starts_with("<html><h1>Not Found</h1><p>"), "{page}");
        let response = fault.into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(
            response.headers()["content-type"],
            "text/html; charset=UTF-8"
        );
        assert_eq!(response.headers()["x-a"], "b");
        let response = Fault::text(499, "gone").into_response();
        assert_eq!(response.status(), 499);
        assert_eq!(
            response.headers()["content-type"],
            "text/plain; charset=UTF-8"
        );
        for (kind, status) in [
            (ErrorKind::WrongKey, 403),
            (ErrorKind::NoLongerKept, 410),
            (ErrorKind::InvalidPart { number: 1 }, 400),
        ] {
            assert_eq!(Fault::from(Error::new(kind, "")).status(), status);
        }
        let range = Error::new(ErrorKind::RangeNotSatisfiable { length: 7 }, "");
        let response = Fault::from(range).into_response();
        assert_eq!(response.headers()["content-range"], "bytes */7");
        assert_eq!(status_line(422), "422 Unprocessable Entity");
    }
}
