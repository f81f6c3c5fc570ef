//! Which operation a request is: one closed table of method, level and subresource.
//!
//! Owns every query parameter that has a meaning. What the table does not hold is refused: an
//! unknown parameter never falls through to the plain operation, two subresources never mean one of
//! them, and an operation that is not served yet says so.

use crate::error::{Code, S3Error};
use crate::surface::{LATER, ROUTES};
use http::Method;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Service,
    Bucket,
    Object,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) level: Level,
    /// The subresource; empty for the plain one.
    pub(crate) selector: &'static str,
    pub(crate) operation: Operation,
    /// Query parameters that it takes besides.
    pub(crate) parameters: &'static [&'static str],
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CreateBucket,
    CreateMultipartUpload,
    DeleteBucket,
    DeleteBucketCors,
    DeleteBucketEncryption,
    DeleteBucketOwnershipControls,
    DeleteBucketPolicy,
    DeleteBucketTagging,
    DeleteObject,
    DeleteObjectTagging,
    DeleteObjects,
    DeletePublicAccessBlock,
    GetBucketAccelerate,
    GetBucketAcl,
    GetBucketCors,
    GetBucketEncryption,
    GetBucketLocation,
    GetBucketOwnershipControls,
    GetBucketPolicy,
    GetBucketPolicyStatus,
    GetBucketRequestPayment,
    GetBucketTagging,
    GetBucketVersioning,
    GetObject,
    GetObjectAcl,
    GetObjectAttributes,
    GetObjectLegalHold,
    GetObjectLockConfiguration,
    GetObjectRetention,
    GetObjectTagging,
    GetPublicAccessBlock,
    GetUsage,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjectVersions,
    /// Both versions: `list-type` tells them apart.
    ListObjects,
    ListParts,
    PostObject,
    PutBucketAcl,
    PutBucketCors,
    PutBucketEncryption,
    PutBucketOwnershipControls,
    PutBucketPolicy,
    PutBucketRequestPayment,
    PutBucketTagging,
    PutBucketVersioning,
    /// CopyObject, too: a header tells them apart.
    PutObject,
    PutObjectAcl,
    PutObjectLegalHold,
    PutObjectLockConfiguration,
    PutObjectRetention,
    PutObjectTagging,
    PutPublicAccessBlock,
    RenameObject,
    /// UploadPartCopy, too: a header tells them apart.
    UploadPart,
}

/// Parameters that carry a signature, in lower case: the framing of the request, not its meaning.
const SIGNATURE: [&str; 11] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "awsaccesskeyid",
    "signature",
    "expires",
];

/// What an object may have or not in the protocol: none has one here.
const TORRENT: &str = "torrent";
/// Its request is that of ListBuckets.
const DIRECTORIES: &str = "ListDirectoryBuckets";

/// The operation and its parameters.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) operation: Operation,
    pub(crate) parameters: Parameters,
}

/// The parameters of a routed request: each known to its operation, and given once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// Whether a parameter belongs to the signature or, beginning with `x-`, to whoever reads logs.
/// Parameters that stand for headers (`x-amz-…`) are of the request's meaning.
fn is_framing(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SIGNATURE.contains(&lower.as_str()) || (lower.starts_with("x-") && !is_header(&lower))
}

/// Whether a parameter of a query stands for the header of the same name.
pub(crate) fn is_header(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("x-amz-") && !SIGNATURE.contains(&lower.as_str())
}

fn is_selector(name: &str) -> bool {
    ROUTES.iter().any(|route| route.selector == name)
        || LATER.iter().any(|(_, _, selector)| *selector == name)
}

/// Finds the operation.
///
/// # Errors
/// The dialect's own: conflicting or unknown parameters, a method that the resource has not, an
/// operation that is not served.
pub(crate) fn route(
    method: &Method,
    level: Level,
    query: Vec<(String, String)>,
) -> Result<Routed, S3Error> {
    // The one operation that only its name tells from another.
    let directories = |(name, value): &(String, String)| name == "x-id" && value == DIRECTORIES;
    if query.iter().any(directories) {
        return Err(S3Error::later(DIRECTORIES));
    }
    let mut selectors: Vec<&str> = Vec::new();
    for (name, _) in &query {
        if is_selector(name) && !selectors.contains(&name.as_str()) {
            selectors.push(name);
        }
    }
    let selector = match selectors.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        several => {
            let message = format!(
                "Conflicting query string parameters: {}",
                several.join(", ")
            );
            return Err(
                S3Error::new(Code::InvalidArgument, message).field("ArgumentName", "ResourceType")
            );
        }
    };
    let found = ROUTES.iter().find(|route| {
        route.method == method.as_str() && route.level == level && route.selector == selector
    });
    let Some(route) = found else {
        return Err(missing(method, level, &selector));
    };
    let mut parameters = Parameters::default();
    for (name, value) in query {
        if is_framing(&name) || is_header(&name) {
            continue;
        }
        if name != selector && !route.parameters.contains(&name.as_str()) {
            return Err(S3Error::argument(
                &name,
                &value,
                "This parameter is not known here",
            ));
        }
        if parameters.get(&name).is_some() {
            return Err(S3Error::argument(
                &name,
                &value,
                "This parameter is given twice",
            ));
        }
        parameters.0.push((name, value));
    }
    Ok(Routed {
        operation: route.operation,
        parameters,
    })
}

/// Why nothing is served there.
fn missing(method: &Method, level: Level, selector: &str) -> S3Error {
    let later = LATER.iter().any(|(methods, at, known)| {
        *at == level && *known == selector && methods.split(' ').any(|m| m == method.as_str())
    });
    if later && selector == TORRENT {
        let message = "There is no torrent of this object: torrents are not served";
        return S3Error::new(Code::NoSuchKey, message);
    }
    if later {
        let message = format!("The subresource {selector:?} is not implemented");
        return S3Error::new(Code::NotImplemented, message);
    }
    let mut allowed: Vec<&str> = ROUTES
        .iter()
        .filter(|route| route.level == level && route.selector == selector)
        .map(|route| route.method)
        .collect();
    allowed.dedup();
    S3Error::new(
        Code::MethodNotAllowed,
        "The specified method is not allowed against this resource.",
    )
    .field("Method", method.as_str())
    .field("ResourceType", resource_type(level, selector))
    .header(http::header::ALLOW, &allowed.join(", "))
}

fn resource_type(level: Level, selector: &str) -> String {
    match (level, selector) {
        (_, selector) if !selector.is_empty() => selector.to_ascii_uppercase(),
        (Level::Service, _) => "SERVICE".to_owned(),
        (Level::Bucket, _) => "BUCKET".to_owned(),
        (Level::Object, _) => "OBJECT".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "TRACE"];
    const LEVELS: [Level; 3] = [Level::Service, Level::Bucket, Level::Object];

    fn pairs(names: &[&str]) -> Vec<(String, String)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), "v".to_owned()))
            .collect()
    }

    fn routed(method: &str, level: Level, names: &[&str]) -> Result<Operation, Code> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        route(&method, level, pairs(names))
            .map(|routed| routed.operation)
            .map_err(|error| error.code())
    }

    #[test]
    fn whatever_chooses_an_operation_is_signed_by_version_2() {
        let selectors = ROUTES.iter().map(|route| route.selector);
        for selector in selectors.filter(|selector| !selector.is_empty()) {
            assert!(trestle_access::is_signed_by_v2(selector), "{selector}");
        }
    }

    #[test]
    fn every_subresource_has_one_answer_for_every_method_and_level() {
        let mut selectors: Vec<&str> = ROUTES.iter().map(|route| route.selector).collect();
        selectors.extend(LATER.iter().map(|(_, _, selector)| *selector));
        selectors.sort_unstable();
        selectors.dedup();
        let mut served = 0;
        for selector in selectors {
            for (method, level) in METHODS.iter().flat_map(|m| LEVELS.map(|level| (*m, level))) {
                let names: &[&str] = if selector.is_empty() {
                    &[]
                } else {
                    &[selector]
                };
                let rows: Vec<_> = ROUTES
                    .iter()
                    .filter(|r| r.method == method && r.level == level && r.selector == selector)
                    .collect();
                let later = LATER.iter().any(|(methods, at, known)| {
                    *at == level && *known == selector && methods.split(' ').any(|m| m == method)
                });
                assert!(
                    rows.len() + usize::from(later) <= 1,
                    "{method} {level:?} {selector}"
                );
                let expected = match (rows.first(), later) {
                    (Some(row), _) => Ok(row.operation),
                    (None, true) if selector == TORRENT => Err(Code::NoSuchKey),
                    (None, true) => Err(Code::NotImplemented),
                    (None, false) => Err(Code::MethodNotAllowed),
                };
                assert_eq!(
                    routed(method, level, names),
                    expected,
                    "{method} {level:?} {selector}"
                );
                served += usize::from(expected.is_ok());
            }
        }
        assert_eq!(served, ROUTES.len());
    }

    #[test]
    fn what_is_not_known_never_falls_through_to_the_plain_operation() {
        for (method, level) in METHODS.iter().flat_map(|m| LEVELS.map(|level| (*m, level))) {
            for names in [
                &["anything"][..],
                &["Acl"],
                &["acl", "policy"],
                &["delete", "zz"],
            ] {
                assert!(
                    routed(method, level, names).is_err(),
                    "{method} {level:?} {names:?}"
                );
            }
        }
        assert_eq!(
            routed("DELETE", Level::Bucket, &["acl"]),
            Err(Code::MethodNotAllowed)
        );
        assert_eq!(
            routed("DELETE", Level::Bucket, &["website"]),
            Err(Code::NotImplemented)
        );
        assert_eq!(
            routed("GET", Level::Bucket, &["prefix", "prefix"]),
            Err(Code::InvalidArgument)
        );
        assert_eq!(
            routed("GET", Level::Object, &["acl", "uploads"]),
            Err(Code::InvalidArgument)
        );
    }

    #[test]
    fn parameters_of_signatures_and_logs_choose_nothing() {
        let names = [
            "X-Amz-Signature",
            "x-id",
            "X-Amz-Date",
            "AWSAccessKeyId",
            "Expires",
        ];
        assert_eq!(
            routed("GET", Level::Object, &names),
            Ok(Operation::GetObject)
        );
        // One that stands for a header is not for the router either.
        assert_eq!(
            routed("PUT", Level::Object, &["x-amz-acl"]),
            Ok(Operation::PutObject)
        );
        assert!(is_header("X-Amz-Acl") && !is_header("X-Amz-Signature") && !is_header("x-id"));
        assert_eq!(
            routed("PUT", Level::Object, &["partNumber", "uploadId"]),
            Ok(Operation::UploadPart)
        );
        assert_eq!(
            routed("PUT", Level::Object, &["partNumber"]),
            Err(Code::InvalidArgument)
        );
    }
}
