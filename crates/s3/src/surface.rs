//! The surface of the protocol as data: routes with their parameters, and what is refused.
//!
//! Facts of the published service model (version 2006-03-01), written by hand from it. A row that is
//! missing here is an operation that does not exist.

use crate::route::Level::{self, Bucket, Object, Service};
use crate::route::Operation::{self, *};
use crate::route::Route;

const NONE: &[&str] = &[];
const VERSION: &[&str] = &["versionId"];
const READ: &[&str] = &[
    "versionId",
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];
const LIST: &[&str] = &[
    "list-type",
    "delimiter",
    "encoding-type",
    "marker",
    "max-keys",
    "prefix",
    "continuation-token",
    "fetch-owner",
    "start-after",
    // Of Ceph's clients: an order that is not needed.
    "allow-unordered",
    // What the redirect after a browser form adds; without a meaning.
    "bucket",
    "key",
    "etag",
];
const VERSIONS: &[&str] = &[
    "delimiter",
    "encoding-type",
    "key-marker",
    "max-keys",
    "prefix",
    "version-id-marker",
];
const UPLOADS: &[&str] = &[
    "delimiter",
    "encoding-type",
    "key-marker",
    "max-uploads",
    "prefix",
    "upload-id-marker",
];
const BUCKETS: &[&str] = &[
    "max-buckets",
    "continuation-token",
    "prefix",
    "bucket-region",
];
const PARTS: &[&str] = &["max-parts", "part-number-marker", "encoding-type"];

const fn row(
    method: &'static str,
    level: Level,
    selector: &'static str,
    operation: Operation,
    parameters: &'static [&'static str],
) -> Route {
    Route {
        method,
        level,
        selector,
        operation,
        parameters,
    }
}

/// What is served.
pub(crate) static ROUTES: &[Route] = &[
    row("GET", Service, "", ListBuckets, BUCKETS),
    // Ceph's clients ask for figures, of the account and of a bucket.
    row("GET", Service, "usage", GetUsage, NONE),
    row("GET", Bucket, "", ListObjects, LIST),
    row("HEAD", Bucket, "", HeadBucket, &["read-stats"]),
    row("PUT", Bucket, "", CreateBucket, NONE),
    row("POST", Bucket, "", PostObject, NONE),
    row("DELETE", Bucket, "", DeleteBucket, NONE),
    row("GET", Bucket, "accelerate", GetBucketAccelerate, NONE),
    row("GET", Bucket, "acl", GetBucketAcl, NONE),
    row("PUT", Bucket, "acl", PutBucketAcl, NONE),
    row("GET", Bucket, "cors", GetBucketCors, NONE),
    row("PUT", Bucket, "cors", PutBucketCors, NONE),
    row("DELETE", Bucket, "cors", DeleteBucketCors, NONE),
    row("POST", Bucket, "delete", DeleteObjects, NONE),
    row("GET", Bucket, "encryption", GetBucketEncryption, NONE),
    row("PUT", Bucket, "encryption", PutBucketEncryption, NONE),
    row("DELETE", Bucket, "encryption", DeleteBucketEncryption, NONE),
    row("GET", Bucket, "location", GetBucketLocation, NONE),
    row(
        "GET",
        Bucket,
        "object-lock",
        GetObjectLockConfiguration,
        NONE,
    ),
    row(
        "PUT",
        Bucket,
        "object-lock",
        PutObjectLockConfiguration,
        NONE,
    ),
    row(
        "GET",
        Bucket,
        "ownershipControls",
        GetBucketOwnershipControls,
        NONE,
    ),
    row(
        "PUT",
        Bucket,
        "ownershipControls",
        PutBucketOwnershipControls,
        NONE,
    ),
    row(
        "DELETE",
        Bucket,
        "ownershipControls",
        DeleteBucketOwnershipControls,
        NONE,
    ),
    row("GET", Bucket, "policy", GetBucketPolicy, NONE),
    row("PUT", Bucket, "policy", PutBucketPolicy, NONE),
    row("DELETE", Bucket, "policy", DeleteBucketPolicy, NONE),
    row("GET", Bucket, "policyStatus", GetBucketPolicyStatus, NONE),
    row(
        "GET",
        Bucket,
        "publicAccessBlock",
        GetPublicAccessBlock,
        NONE,
    ),
    row(
        "PUT",
        Bucket,
        "publicAccessBlock",
        PutPublicAccessBlock,
        NONE,
    ),
    row(
        "DELETE",
        Bucket,
        "publicAccessBlock",
        DeletePublicAccessBlock,
        NONE,
    ),
    row(
        "GET",
        Bucket,
        "requestPayment",
        GetBucketRequestPayment,
        NONE,
    ),
    row(
        "PUT",
        Bucket,
        "requestPayment",
        PutBucketRequestPayment,
        NONE,
    ),
    row("GET", Bucket, "tagging", GetBucketTagging, NONE),
    row("PUT", Bucket, "tagging", PutBucketTagging, NONE),
    row("DELETE", Bucket, "tagging", DeleteBucketTagging, NONE),
    row("GET", Bucket, "uploads", ListMultipartUploads, UPLOADS),
    row("GET", Bucket, "versioning", GetBucketVersioning, NONE),
    row("PUT", Bucket, "versioning", PutBucketVersioning, NONE),
    row("GET", Bucket, "versions", ListObjectVersions, VERSIONS),
    row("GET", Object, "", GetObject, READ),
    row("HEAD", Object, "", HeadObject, READ),
    row("PUT", Object, "", PutObject, NONE),
    row("DELETE", Object, "", DeleteObject, VERSION),
    row("GET", Object, "acl", GetObjectAcl, VERSION),
    row("PUT", Object, "acl", PutObjectAcl, VERSION),
    row("GET", Object, "attributes", GetObjectAttributes, VERSION),
    row("GET", Object, "legal-hold", GetObjectLegalHold, VERSION),
    row("PUT", Object, "legal-hold", PutObjectLegalHold, VERSION),
    row("PUT", Object, "renameObject", RenameObject, NONE),
    row("GET", Object, "retention", GetObjectRetention, VERSION),
    row("PUT", Object, "retention", PutObjectRetention, VERSION),
    row("GET", Object, "tagging", GetObjectTagging, VERSION),
    row("PUT", Object, "tagging", PutObjectTagging, VERSION),
    row("DELETE", Object, "tagging", DeleteObjectTagging, VERSION),
    row("POST", Object, "uploads", CreateMultipartUpload, NONE),
    row("GET", Object, "uploadId", ListParts, PARTS),
    row("PUT", Object, "uploadId", UploadPart, &["partNumber"]),
    row("POST", Object, "uploadId", CompleteMultipartUpload, NONE),
    row("DELETE", Object, "uploadId", AbortMultipartUpload, NONE),
];

/// What exists in the protocol and is not served: methods, level, subresource.
pub(crate) static LATER: &[(&str, Level, &str)] = &[
    ("GET PUT", Bucket, "abac"),
    ("PUT", Bucket, "accelerate"),
    ("GET PUT DELETE", Bucket, "analytics"),
    ("GET PUT DELETE", Bucket, "intelligent-tiering"),
    ("GET PUT DELETE", Bucket, "inventory"),
    ("GET PUT DELETE", Bucket, "lifecycle"),
    ("GET PUT", Bucket, "logging"),
    ("GET POST DELETE", Bucket, "metadataConfiguration"),
    ("GET POST DELETE", Bucket, "metadataTable"),
    ("PUT", Bucket, "metadataAnnotationTable"),
    ("PUT", Bucket, "metadataInventoryTable"),
    ("PUT", Bucket, "metadataJournalTable"),
    ("GET PUT DELETE", Bucket, "metrics"),
    ("GET PUT", Bucket, "notification"),
    ("GET PUT DELETE", Bucket, "replication"),
    ("GET", Bucket, "session"),
    ("GET PUT DELETE", Bucket, "website"),
    ("GET PUT DELETE", Object, "annotation"),
    ("PUT", Object, "encryption"),
    ("POST", Object, "restore"),
    ("POST", Object, "select"),
    ("GET", Object, "torrent"),
];
