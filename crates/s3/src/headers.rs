//! The headers that this protocol knows. One that it knows and that has no meaning here is refused:
//! a client never believes that something was done. What no version of the protocol knows is passed
//! over, as HTTP has it (RFC 9110 §5.1).

use crate::error::S3Error;
use crate::route::Operation;
use crate::sse;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};

/// Headers whose meaning is served by the operations that have them, or that change nothing.
const KNOWN: &[&str] = &[
    "x-amz-acl",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-mode",
    "x-amz-checksum-type",
    "x-amz-client-token",
    "x-amz-confirm-remove-self-bucket-access",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-ownership",
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-rename-source",
    "x-amz-rename-source-if-match",
    "x-amz-rename-source-if-modified-since",
    "x-amz-rename-source-if-none-match",
    "x-amz-rename-source-if-unmodified-since",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// How the names of the protocol's headers begin, those included that later versions may add.
const FAMILIES: &[&str] = &[
    "x-amz-acl",
    "x-amz-api-version",
    "x-amz-bucket-",
    "x-amz-bypass-",
    "x-amz-checksum",
    "x-amz-client-token",
    "x-amz-confirm-",
    "x-amz-content-",
    "x-amz-copy-",
    "x-amz-create-session-mode",
    "x-amz-expected-",
    "x-amz-fwd-",
    "x-amz-grant-",
    "x-amz-if-",
    "x-amz-max-",
    "x-amz-metadata-",
    "x-amz-mfa",
    "x-amz-mp-",
    "x-amz-object-",
    "x-amz-optional-",
    "x-amz-part-",
    "x-amz-rename-",
    "x-amz-request-",
    "x-amz-restore",
    "x-amz-s3session-",
    "x-amz-server-side-encryption",
    "x-amz-skip-",
    "x-amz-source-",
    "x-amz-storage-",
    "x-amz-tagging",
    "x-amz-transition-",
    "x-amz-website-",
    "x-amz-write-",
];

/// Headers that ask for something of some operations alone. Elsewhere they would be passed over, and a
/// client believe that a condition held or a range was copied.
const OF_OPERATIONS: &[(&str, &[Operation])] = &[
    ("x-amz-acl", LISTS),
    (
        "x-amz-bucket-object-lock-enabled",
        &[Operation::CreateBucket],
    ),
    (
        "x-amz-bypass-governance-retention",
        &[
            Operation::DeleteObject,
            Operation::DeleteObjects,
            Operation::PutObjectRetention,
        ],
    ),
    ("x-amz-client-token", &[Operation::RenameObject]),
    ("x-amz-copy-source", COPIES),
    ("x-amz-copy-source-range", &[Operation::UploadPart]),
    ("x-amz-grant-full-control", LISTS),
    ("x-amz-grant-read", LISTS),
    ("x-amz-grant-read-acp", LISTS),
    ("x-amz-grant-write", LISTS),
    ("x-amz-grant-write-acp", LISTS),
    (
        "x-amz-if-match-last-modified-time",
        &[Operation::DeleteObject],
    ),
    ("x-amz-if-match-size", &[Operation::DeleteObject]),
    ("x-amz-max-parts", &[Operation::GetObjectAttributes]),
    (
        "x-amz-mp-object-size",
        &[Operation::CompleteMultipartUpload],
    ),
    ("x-amz-object-lock-legal-hold", MAKES),
    ("x-amz-object-lock-mode", MAKES),
    ("x-amz-object-lock-retain-until-date", MAKES),
    ("x-amz-object-ownership", &[Operation::CreateBucket]),
    (
        "x-amz-part-number-marker",
        &[Operation::GetObjectAttributes],
    ),
    ("x-amz-rename-source", &[Operation::RenameObject]),
    ("x-amz-rename-source-if-match", &[Operation::RenameObject]),
    (
        "x-amz-rename-source-if-modified-since",
        &[Operation::RenameObject],
    ),
    (
        "x-amz-rename-source-if-none-match",
        &[Operation::RenameObject],
    ),
    (
        "x-amz-rename-source-if-unmodified-since",
        &[Operation::RenameObject],
    ),
    ("x-amz-source-expected-bucket-owner", COPIES),
    ("x-amz-storage-class", MAKES),
    ("x-amz-tagging", MAKES),
    ("x-amz-tagging-directive", &[Operation::PutObject]),
    ("x-amz-website-redirect-location", MAKES),
    ("x-amz-write-offset-bytes", &[Operation::PutObject]),
    // No write of a part of what is there (RFC 9110 §14.5).
    ("content-range", &[]),
];

/// Conditions of changes (RFC 9110 §13.1), and the changes that look at them. Behind any other a client
/// would believe that the condition held.
const CONDITIONS: &[(&str, &[Operation])] = &[
    (
        "if-match",
        &[
            Operation::PutObject,
            Operation::CompleteMultipartUpload,
            Operation::DeleteObject,
            Operation::RenameObject,
        ],
    ),
    (
        "if-none-match",
        &[
            Operation::PutObject,
            Operation::CompleteMultipartUpload,
            Operation::RenameObject,
        ],
    ),
    ("if-unmodified-since", &[Operation::RenameObject]),
    // What was changed since is renamed by nobody: only this protocol's renames ask for it.
    ("x-amz-rename-source-if-modified-since", &[]),
];

/// The one value that a header may have.
const VALUES: &[(&str, &str)] = &[
    ("x-amz-checksum-mode", "ENABLED"),
    ("x-amz-optional-object-attributes", "RestoreStatus"),
    ("x-amz-request-payer", "requester"),
];

/// What makes an object.
const MAKES: &[Operation] = &[
    Operation::PutObject,
    Operation::CreateMultipartUpload,
    Operation::PostObject,
];

/// What gives a list.
const LISTS: &[Operation] = &[
    Operation::CreateBucket,
    Operation::CreateMultipartUpload,
    Operation::PutBucketAcl,
    Operation::PutObject,
    Operation::PutObjectAcl,
    Operation::PostObject,
];

const COPIES: &[Operation] = &[Operation::PutObject, Operation::UploadPart];

/// What only goes with the source of a copy, beside the headers that begin like it.
const OF_COPIES: &[&str] = &[
    "x-amz-metadata-directive",
    "x-amz-source-expected-bucket-owner",
    "x-amz-tagging-directive",
];

/// What tells how something is to be encrypted: where it is made, and again where its parts come.
const ENCRYPTS: &[Operation] = &[
    Operation::PutObject,
    Operation::CreateMultipartUpload,
    Operation::PostObject,
    Operation::UploadPart,
    Operation::CompleteMultipartUpload,
];

/// Whether a header describes or encrypts something in a change that makes nothing, so that nobody
/// would ever see what it says.
fn describes_nothing(method: &Method, name: &str, operation: Operation) -> bool {
    let changes = !method.is_safe() && *method != Method::DELETE;
    let metadata = name.starts_with("x-amz-meta-") && !MAKES.contains(&operation);
    changes && (metadata || sse::is_choice(name) && !ENCRYPTS.contains(&operation))
}

/// The version of the protocol, which some clients name.
const API_VERSION: (&str, &str) = ("x-amz-api-version", "2006-03-01");

/// Whether a header is of HTTP alone and of no change, or of the signature: what most are, and what none
/// of the tables has a rule for.
fn is_plain(name: &str) -> bool {
    const OF_SIGNATURE: [&str; 4] = ["content-sha256", "date", "security-token", "user-agent"];
    match name.strip_prefix("x-amz-") {
        Some(rest) => OF_SIGNATURE.contains(&rest),
        None => !name.starts_with("if-") && name != "content-range",
    }
}

/// Refuses a header of the protocol that has no meaning here, or none for this operation, and a
/// condition that would not be looked at.
pub(crate) fn check(
    method: &Method,
    headers: &HeaderMap,
    operation: Operation,
) -> Result<(), S3Error> {
    let renames = operation == Operation::RenameObject;
    for (name, value) in headers {
        let name = name.as_str();
        if is_plain(name) {
            continue;
        }
        let of_others = OF_OPERATIONS
            .iter()
            .any(|(known, operations)| *known == name && !operations.contains(&operation));
        let source = "x-amz-copy-source";
        let of_copies = (name.starts_with("x-amz-copy-source-") || OF_COPIES.contains(&name))
            && !headers.contains_key(source);
        if of_others || of_copies || describes_nothing(method, name, operation) {
            let message = format!("The header {name} has no meaning for this request");
            return Err(S3Error::invalid(message).field("Header", name));
        }
        let value_of = VALUES.iter().find(|(known, _)| *known == name);
        if let Some((_, only)) = value_of
            && !value.is_empty()
            && !value.as_bytes().eq_ignore_ascii_case(only.as_bytes())
        {
            let given = String::from_utf8_lossy(value.as_bytes());
            let message = format!("The only value of the header is {only}");
            return Err(S3Error::argument(name, &given, &message));
        }
        let unmet = CONDITIONS
            .iter()
            .any(|(known, operations)| *known == name && !operations.contains(&operation));
        // Of other changes the standard has this one passed over.
        let unmet = unmet || renames && name == "if-modified-since";
        let later = unmet && !method.is_safe();
        let known = !name.starts_with("x-amz-")
            || name.starts_with("x-amz-meta-")
            // Each is checked where checksums are.
            || name.starts_with("x-amz-checksum-")
            || KNOWN.contains(&name)
            || sse::is_known(name)
            || (name == API_VERSION.0 && value == API_VERSION.1)
            || !FAMILIES.iter().any(|family| name.starts_with(family))
            // Nothing is asked for.
            || value.is_empty();
        if later || !known {
            return Err(
                S3Error::later("A header you provided implies functionality that")
                    .field("Header", name),
            );
        }
    }
    Ok(())
}

/// The one value of a header, as text.
///
/// # Errors
/// `InvalidArgument` when it is repeated or not text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, S3Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let value = std::str::from_utf8(value.as_bytes());
    match (value, values.next()) {
        (Ok(value), None) => Ok(Some(value.trim())),
        _ => Err(S3Error::argument(
            name,
            "",
            "The header is repeated or not text",
        )),
    }
}

/// A header that is `true` or `false`.
pub(crate) fn flag(headers: &HeaderMap, name: &str) -> Result<bool, S3Error> {
    match text(headers, name)? {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(S3Error::argument(
            name,
            value,
            "The header is true or false",
        )),
    }
}

/// Sets a header, when its value can be sent.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Entity tags of conditions as the standard has them: clients of this protocol leave out quotes.
pub(crate) fn quote_tags(headers: &mut HeaderMap, names: [&'static str; 2]) {
    for name in names {
        let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else {
            continue;
        };
        let tags: Vec<String> = value
            .split(',')
            .map(str::trim)
            .map(|tag| match tag {
                "*" => tag.to_owned(),
                tag if tag.contains('"') || tag.is_empty() => tag.to_owned(),
                tag => format!("\"{tag}\""),
            })
            .collect();
        set(headers, name, &tags.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn put(list: &[(&'static str, &str)]) -> Result<(), S3Error> {
        check(&Method::PUT, &headers(list), Operation::PutObject)
    }

    #[test]
    fn a_condition_of_a_change_is_looked_at_or_refused() {
        use Operation as O;
        let asked = |method, name, operation| {
            check(&method, &headers(&[(name, "\"x\"")]), operation).is_ok()
        };
        for (name, operation, served) in [
            ("if-match", O::PutObject, true),
            ("if-match", O::DeleteObject, true),
            ("if-match", O::PutObjectTagging, false),
            ("if-match", O::UploadPart, false),
            ("if-match", O::DeleteBucket, false),
            ("if-none-match", O::RenameObject, true),
            ("if-none-match", O::DeleteObject, false),
            ("if-unmodified-since", O::RenameObject, true),
            ("if-unmodified-since", O::PutObject, false),
            ("if-modified-since", O::PutObject, true),
            ("if-modified-since", O::RenameObject, false),
            (
                "x-amz-rename-source-if-modified-since",
                O::RenameObject,
                false,
            ),
            (
                "x-amz-rename-source-if-unmodified-since",
                O::RenameObject,
                true,
            ),
        ] {
            let got = asked(Method::PUT, name, operation);
            assert_eq!(got, served, "{name} {operation:?}");
        }
        assert!(asked(Method::GET, "if-match", O::GetObjectTagging));
    }

    #[test]
    fn what_makes_an_object_is_told_how_where_it_is_made() {
        use Operation as O;
        for (name, operation, served) in [
            ("x-amz-object-lock-mode", O::CreateMultipartUpload, true),
            ("x-amz-object-lock-mode", O::CompleteMultipartUpload, false),
            ("x-amz-tagging", O::PutObject, true),
            ("x-amz-tagging", O::UploadPart, false),
            ("x-amz-acl", O::CreateBucket, true),
            ("x-amz-acl", O::PutObjectTagging, false),
            ("x-amz-bypass-governance-retention", O::DeleteObjects, true),
            ("x-amz-bypass-governance-retention", O::PutObject, false),
        ] {
            let got = check(&Method::PUT, &headers(&[(name, "v")]), operation);
            assert_eq!(got.is_ok(), served, "{name} {operation:?}");
        }
    }

    #[test]
    fn what_is_plain_has_no_rule() {
        let tables = [OF_OPERATIONS, CONDITIONS].into_iter().flatten();
        let names = tables.map(|(name, _)| *name);
        for name in names.chain(VALUES.iter().map(|(name, _)| *name)) {
            assert!(!is_plain(name), "{name}");
        }
        assert!(OF_COPIES.iter().all(|name| !is_plain(name)));
        assert!(is_plain("host") && is_plain("x-amz-date") && !is_plain("x-amz-acl"));
        assert!(!is_plain("x-amz-meta-a") && !is_plain("x-amz-server-side-encryption"));
    }

    #[test]
    fn what_is_said_of_what_is_not_made_is_refused() {
        use Operation as O;
        let asked = |method, name, operation| {
            let refused = check(&method, &headers(&[(name, "v")]), operation);
            refused.map_err(|error| error.code())
        };
        let refused = Err(crate::error::Code::InvalidRequest);
        for (name, operation, expected) in [
            ("x-amz-meta-a", O::PutObject, Ok(())),
            ("x-amz-meta-a", O::CreateMultipartUpload, Ok(())),
            ("x-amz-meta-a", O::UploadPart, refused),
            ("x-amz-meta-a", O::CompleteMultipartUpload, refused),
            ("x-amz-meta-a", O::PutObjectTagging, refused),
            ("x-amz-metadata-directive", O::PutObject, refused),
            ("x-amz-tagging-directive", O::PutObject, refused),
            ("x-amz-tagging-directive", O::CreateMultipartUpload, refused),
            ("x-amz-source-expected-bucket-owner", O::PutObject, refused),
            ("x-amz-server-side-encryption", O::UploadPart, Ok(())),
            ("x-amz-server-side-encryption", O::CreateBucket, refused),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                O::RenameObject,
                refused,
            ),
        ] {
            let got = asked(Method::PUT, name, operation);
            assert_eq!(got, expected, "{name} {operation:?}");
        }
        assert_eq!(asked(Method::GET, "x-amz-meta-a", O::GetObject), Ok(()));
        let copy = [
            ("x-amz-copy-source", "b/k"),
            ("x-amz-metadata-directive", "REPLACE"),
        ];
        for operation in [O::PutObject, O::UploadPart] {
            assert!(check(&Method::PUT, &headers(&copy), operation).is_ok());
        }
    }

    #[test]
    fn a_header_with_one_value_has_no_other() {
        for (name, only) in VALUES {
            assert!(put(&[(name, only)]).is_ok() && put(&[(name, "")]).is_ok());
            let refused = put(&[(name, "another")]).map_err(|error| error.code());
            assert_eq!(refused, Err(crate::error::Code::InvalidArgument), "{name}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let known = ["x-amz-acl", "x-amz-meta-anything", "x-other", "range"];
        for good in known.into_iter().chain(["x-amz-foo"]) {
            assert!(put(&[(good, "v")]).is_ok(), "{good}");
        }
        for name in KNOWN.iter().filter(|name| **name != "x-amz-date") {
            let served = ["decoded", "sdk", "security", "te", "trailer", "user-agent"];
            let own = served
                .iter()
                .any(|own| name["x-amz-".len()..].starts_with(own));
            let family = FAMILIES.iter().any(|family| name.starts_with(family));
            assert!(own || family, "{name}");
        }
        for bad in [
            "x-amz-mfa",
            "x-amz-object-nonsense",
            "x-amz-object-lock-event-hold",
            "x-amz-bucket-namespace",
            "x-amz-if-match-initiated-time",
            "x-amz-request-route",
            "x-amz-transition-default-minimum-object-size",
        ] {
            assert!(put(&[(bad, "v")]).is_err(), "{bad}");
            assert!(put(&[(bad, "")]).is_ok(), "{bad}");
        }
        let version = |text| put(&[("x-amz-api-version", text)]);
        assert!(version("2006-03-01").is_ok() && version("2006-03-02").is_err());
        let twice = headers(&[("x-amz-acl", "a"), ("x-amz-acl", "b")]);
        assert!(text(&twice, "x-amz-acl").is_err());
        assert!(flag(&headers(&[("x-amz-te", "TRUE")]), "x-amz-te").unwrap());
        assert!(flag(&headers(&[("x-amz-te", "1")]), "x-amz-te").is_err());
    }

    #[test]
    fn tags_get_their_quotes() {
        let mut map = headers(&[("if-match", "abc, \"d\""), ("if-none-match", "*")]);
        quote_tags(&mut map, ["if-match", "if-none-match"]);
        assert_eq!(map["if-match"], "\"abc\", \"d\"");
        assert_eq!(map["if-none-match"], "*");
    }
}
