//! The dialect's errors: a code with its status, a message, and the fields of its own.
//!
//! Owns the mapping from errors by meaning to codes, and the error document. What only an operator
//! may know stays in the log.

use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use trestle_core::{Error, ErrorKind, Noun};
use trestle_http::{Body, XmlWriter};

macro_rules! codes {
    ($($name:ident $status:literal $(as $text:literal)?),* $(,)?) => {
        /// The codes that are answered here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $($name),* }

        impl Code {
            pub(crate) fn name(self) -> &'static str {
                match self { $(Code::$name => codes!(@ $name $($text)?)),* }
            }

            pub(crate) fn status(self) -> StatusCode {
                let status: u16 = match self { $(Code::$name => $status),* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
    (@ $name:ident) => { stringify!($name) };
    (@ $name:ident $text:literal) => { $text };
}

codes! {
    AccessControlListNotSupported 400,
    AccessDenied 403,
    AccessForbidden 403,
    AuthorizationHeaderMalformed 400,
    AuthorizationQueryParametersError 400,
    BadDigest 400,
    BadRequest 400,
    BucketAlreadyExists 409,
    BucketAlreadyOwnedByYou 409,
    BucketNotEmpty 409,
    ConditionalRequestConflict 409,
    EntityTooLarge 400,
    EntityTooSmall 400,
    ExpiredToken 400,
    IdempotentParameterMismatch 400,
    IncompleteBody 400,
    InsufficientStorage 507,
    InternalError 500,
    InvalidAccessKeyId 403,
    InvalidArgument 400,
    InvalidBucketAclWithObjectOwnership 400,
    InvalidBucketName 400,
    InvalidBucketState 409,
    InvalidDigest 400,
    InvalidEncryptionAlgorithmError 400,
    InvalidLocationConstraint 400,
    InvalidPart 400,
    InvalidPartOrder 400,
    InvalidPolicyDocument 400,
    InvalidRange 416,
    InvalidRedirectLocation 400,
    InvalidRequest 400,
    InvalidRetentionPeriod 400,
    InvalidStorageClass 400,
    InvalidTag 400,
    InvalidToken 400,
    InvalidURI 400,
    InvalidWriteOffset 400,
    KMSNotFoundException 400 as "KMS.NotFoundException",
    KeyTooLongError 400,
    MalformedACLError 400,
    MalformedPOSTRequest 400,
    MalformedPolicy 400,
    MalformedTrailerError 400,
    MalformedXML 400,
    MaxMessageLengthExceeded 400,
    MaxPostPreDataLengthExceededError 400,
    MetadataTooLarge 400,
    MethodNotAllowed 405,
    MissingContentLength 411,
    MissingRequestBodyError 400,
    MissingSecurityHeader 400,
    NoSuchBucket 404,
    NoSuchBucketPolicy 404,
    NoSuchCORSConfiguration 404,
    NoSuchKey 404,
    NoSuchObjectLockConfiguration 404,
    NoSuchPublicAccessBlockConfiguration 404,
    NoSuchTagSet 404,
    NoSuchUpload 404,
    NoSuchVersion 404,
    NotImplemented 501,
    ObjectLockConfigurationNotFoundError 404,
    OwnershipControlsNotFoundError 404,
    PreconditionFailed 412,
    QuotaExceeded 403,
    TooManyBuckets 400,
    RequestTimeTooSkewed 403,
    RequestTimeout 400,
    ServerSideEncryptionConfigurationNotFoundError 404,
    ServiceUnavailable 503,
    SignatureDoesNotMatch 403,
    UnexpectedContent 400,
    UnresolvableGrantByEmailAddress 400,
    XAmzContentSHA256Mismatch 400,
}

/// An error as a client sees it.
#[derive(Debug)]
pub(crate) struct S3Error {
    code: Code,
    message: String,
    fields: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What names the request in its error document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) resource: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) host_id: &'a str,
}

/// What a request is about, as far as its error document names it.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) upload: Option<String>,
}

impl S3Error {
    /// Names what is missing or in the way, unless whoever found it did.
    pub(crate) fn about(mut self, about: &About) -> Self {
        let (name, value) = match self.code {
            Code::NoSuchBucket | Code::BucketNotEmpty => ("BucketName", &about.bucket),
            Code::NoSuchKey => ("Key", &about.key),
            Code::NoSuchUpload => ("UploadId", &about.upload),
            _ => return self,
        };
        let named = self.fields.iter().any(|(known, _)| *known == name);
        match value {
            Some(value) if !named => self.fields.push((name, value.clone())),
            _ => {}
        }
        self
    }

    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        S3Error {
            code,
            message: message.into(),
            fields: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// An argument that is refused, named as the protocol names it.
    pub(crate) fn argument(name: &str, value: &str, message: &str) -> Self {
        S3Error::new(Code::InvalidArgument, message)
            .field("ArgumentName", name)
            .field("ArgumentValue", value)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        S3Error::new(Code::InvalidRequest, message)
    }

    /// What exists in the protocol and not here.
    pub(crate) fn later(what: &str) -> Self {
        S3Error::new(Code::NotImplemented, format!("{what} is not implemented"))
    }

    #[must_use]
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The answer; a HEAD's has no body.
    pub(crate) fn into_response(self, named: Named<'_>, head: bool) -> Response<Body> {
        let mut document = XmlWriter::new();
        document.open("Error").leaf("Code", self.code.name());
        document.leaf("Message", &self.message);
        for (name, value) in &self.fields {
            document.leaf(name, value);
        }
        document
            .leaf("Resource", named.resource)
            .leaf("RequestId", named.request_id)
            .leaf("HostId", named.host_id);
        let mut response = match head {
            true => Response::new(Body::empty()),
            false => crate::answer::xml(document),
        };
        *response.status_mut() = self.code.status();
        response.headers_mut().insert(
            http::header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        );
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        if let Some(fault) = crate::body::of_fault(&error) {
            return fault;
        }
        let with = |code| S3Error::new(code, error.message());
        match error.kind() {
            ErrorKind::InvalidInput => with(Code::InvalidArgument),
            ErrorKind::DigestMismatch => with(Code::BadDigest),
            ErrorKind::IncompleteBody => with(Code::IncompleteBody),
            ErrorKind::TooSlow => S3Error::new(
                Code::RequestTimeout,
                "Your socket connection to the server was not read from or written to within the \
                 timeout period.",
            ),
            ErrorKind::NotFound(Noun::Bucket) => {
                S3Error::new(Code::NoSuchBucket, "The specified bucket does not exist")
            }
            ErrorKind::NotFound(Noun::Object) => {
                S3Error::new(Code::NoSuchKey, "The specified key does not exist.")
            }
            ErrorKind::AlreadyExists(Noun::Bucket) => with(Code::BucketAlreadyExists),
            ErrorKind::NotEmpty => S3Error::new(
                Code::BucketNotEmpty,
                "The bucket you tried to delete is not empty",
            ),
            ErrorKind::PreconditionFailed => S3Error::new(
                Code::PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold",
            ),
            ErrorKind::RangeNotSatisfiable { length } => {
                S3Error::new(Code::InvalidRange, "The requested range is not satisfiable")
                    .field("ActualObjectSize", length.to_string())
                    .header(http::header::CONTENT_RANGE, &format!("bytes */{length}"))
            }
            ErrorKind::TooLarge => with(Code::EntityTooLarge),
            ErrorKind::NotFound(Noun::Version) => {
                S3Error::new(Code::NoSuchVersion, "The specified version does not exist.")
            }
            ErrorKind::NotFound(Noun::Upload) => S3Error::new(
                Code::NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, or the upload \
                 may have been aborted or completed.",
            ),
            ErrorKind::InvalidOffset { length } => S3Error::new(
                Code::InvalidWriteOffset,
                "The write offset value that you specified does not match the current object size.",
            )
            .field("ActualObjectSize", length.to_string()),
            ErrorKind::WrongKey => crate::sse::wrong_key(),
            ErrorKind::Locked => S3Error::new(
                Code::AccessDenied,
                "Access Denied because object protected by object lock.",
            ),
            ErrorKind::QuotaExceeded => with(Code::QuotaExceeded),
            ErrorKind::InvalidState => with(Code::InvalidBucketState),
            ErrorKind::InvalidPart { number } => S3Error::new(
                Code::InvalidPart,
                "One or more of the specified parts could not be found. The part may not have \
                 been uploaded, or the specified entity tag may not match the part's entity tag.",
            )
            .field("PartNumber", number.to_string()),
            ErrorKind::InvalidPartOrder => S3Error::new(
                Code::InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part \
                 number.",
            ),
            ErrorKind::PartTooSmall { number, length } => S3Error::new(
                Code::EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size",
            )
            .field("PartNumber", number.to_string())
            .field("ProposedSize", length.to_string())
            .field("MinSizeAllowed", "5242880"),
            ErrorKind::Forbidden => S3Error::new(Code::AccessDenied, "Access Denied"),
            ErrorKind::Expired => {
                S3Error::new(Code::ExpiredToken, "The provided token has expired.")
            }
            ErrorKind::Conflict => S3Error::new(
                Code::ConditionalRequestConflict,
                "A conflicting operation is in progress on this resource; try again.",
            ),
            ErrorKind::NoSpace => {
                tracing::warn!(%error, "a write was refused");
                S3Error::new(Code::InsufficientStorage, "No space is left for writes")
            }
            ErrorKind::Unavailable => {
                tracing::error!(%error, "a request was refused");
                S3Error::new(
                    Code::ServiceUnavailable,
                    "The store does not take writes now",
                )
            }
            _ => {
                tracing::error!(
                    %error, source = ?std::error::Error::source(&error), "a request failed"
                );
                S3Error::new(Code::InternalError, "The server failed")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names_and_statuses() {
        assert_eq!(Code::NoSuchKey.name(), "NoSuchKey");
        assert_eq!(Code::NoSuchKey.status(), StatusCode::NOT_FOUND);
        assert_eq!(Code::MissingContentLength.status().as_u16(), 411);
    }

    #[test]
    fn a_head_has_no_body_and_the_document_names_its_request() {
        let named = Named {
            resource: "/b/k<",
            request_id: "R",
            host_id: "H",
        };
        let error = || S3Error::argument("max-keys", "x", "not a number");
        let head = error().into_response(named, true);
        assert!(matches!(head.body(), Body::Full(bytes) if bytes.is_empty()));
        let response = error().into_response(named, false);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["content-type"], "application/xml");
        let Body::Full(bytes) = response.body() else {
            panic!("not in one piece")
        };
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.contains("<Code>InvalidArgument</Code><Message>not a number</Message>"));
        assert!(text.contains("<ArgumentName>max-keys</ArgumentName>"));
        assert!(text.contains("<Resource>/b/k&lt;</Resource><RequestId>R</RequestId>"));
    }
}
