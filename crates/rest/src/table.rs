//! Every operation of this dialect.

use crate::operations::Place::{Bucket, Clones, Folder, Object, Service, Snapshots, Transactions};
use crate::operations::{Place, Row, Run, When};
use crate::volume::{self, VOLUME};
use crate::{bucket, directory, read, snapshot, transaction, transfer, upload, versions, write};
use trestle_http::{Content, MERGE_PATCH, Operation, Parameter, Takes};
use trestle_store::OBJECT_BYTES_MAX;

const BOTH: &[Place] = &[Folder, Object];

const JSON: Content = ("application/json", None);
const HTML: Content = ("text/html", None);
const BYTES: Content = ("application/octet-stream", None);
const EVENTS: Content = ("text/event-stream", None);

const ID: Takes = Takes::Pattern("^(null|[0-9a-f]{32})$");
const COUNT: Takes = Takes::Number(10_000);
const VERSION: Parameter = ("version", ID, "a version instead of the current one");
const LIMIT: Parameter = ("limit", COUNT, "items of a page");
const PREFIX: Parameter = ("prefix", Takes::Text, "only what starts with this");
const DELIMITER: Parameter = (
    "delimiter",
    Takes::Text,
    "folds keys that share the run up to this",
);
const AFTER: Parameter = (
    "after",
    Takes::Text,
    "only what comes after this; of the feed, the last event seen",
);
const AFTER_VERSION: Parameter = (
    "after_version",
    ID,
    "of the key in after, only older versions",
);
const METADATA: Parameter = ("metadata", Takes::Flag, "the document instead");
const VERSIONS: Parameter = ("versions", Takes::Flag, "all versions instead");
const RECURSIVE: Parameter = (
    "recursive",
    Takes::Flag,
    "everything whose key starts with this one",
);

const ACCEPT: Parameter = ("Accept", Takes::Text, "RFC 9110 §12.5.1");
const CONTENT_TYPE: Parameter = ("Content-Type", Takes::Text, "kept with the object");
const IF_MATCH: Parameter = ("If-Match", Takes::Text, "RFC 9110 §13.1.1");
const IF_NONE_MATCH: Parameter = ("If-None-Match", Takes::Text, "RFC 9110 §13.1.2");
const IF_MODIFIED: Parameter = ("If-Modified-Since", Takes::Text, "RFC 9110 §13.1.3");
const IF_UNMODIFIED: Parameter = ("If-Unmodified-Since", Takes::Text, "RFC 9110 §13.1.4");
const RANGE: Parameter = ("Range", Takes::Text, "RFC 9110 §14.2");
const IF_RANGE: Parameter = ("If-Range", Takes::Text, "RFC 9110 §13.1.5");
const MD5: Parameter = (
    "Content-MD5",
    Takes::Pattern("^[A-Za-z0-9+/]{22}==$"),
    "the body's MD5, in base64",
);
const DIGEST: Parameter = (
    "Repr-Digest",
    Takes::Pattern("^sha-256=:[A-Za-z0-9+/]{43}=:$"),
    "RFC 9530: the body's SHA-256",
);
const TAGS: Parameter = (
    "Trestle-Tags",
    Takes::Text,
    "tags as name=value&name=value, percent-encoded",
);
const BYPASS: Parameter = (
    "Trestle-Bypass-Retention",
    Takes::Flag,
    "passes over a retention in governance mode",
);
const DESTINATION: Parameter = (
    "Destination",
    Takes::Text,
    "the path of the target below /rest/; without it the request is refused",
);
const OVERWRITE: Parameter = (
    "Overwrite",
    Takes::OneOf(&["T", "F"]),
    "whether what is there may be replaced",
);
const IDEMPOTENCY: Parameter = (
    "Idempotency-Key",
    Takes::Pattern("^[!-~]{1,255}$"),
    "the same key creates once",
);
const TUS: Parameter = (
    "Tus-Resumable",
    Takes::OneOf(&["1.0.0"]),
    "says that this is about a resumable upload (tus)",
);
const UPLOAD_LENGTH: Parameter = (
    "Upload-Length",
    Takes::Number(OBJECT_BYTES_MAX),
    "the size of the whole, in bytes",
);
const UPLOAD_OFFSET: Parameter = (
    "Upload-Offset",
    Takes::Number(OBJECT_BYTES_MAX),
    "where the upload goes on",
);
const UPLOAD_METADATA: Parameter = (
    "Upload-Metadata",
    Takes::Text,
    "filename and filetype, values in base64",
);
const UPLOAD: Parameter = (
    "upload",
    Takes::Pattern("^[0-9a-f]{32}$"),
    "an upload, as its Location has it",
);
const LENGTH: Parameter = ("length", Takes::Number(OBJECT_BYTES_MAX), "its length");

const HOLD: Parameter = (
    "Trestle-Hold",
    Takes::Flag,
    "the upload waits, complete, for a transaction to make an object of it",
);
const HELD: Parameter = ("hold", Takes::Flag, "whether it waits for a transaction");

const READ_CONDITIONS: &[Parameter] = &[IF_MATCH, IF_NONE_MATCH, IF_MODIFIED, IF_UNMODIFIED];
const CREATE_HEADERS: &[Parameter] = &[CONTENT_TYPE, IDEMPOTENCY, MD5, DIGEST, TAGS];
const OF_OBJECT: &[&str] = &["readObject", "headObject", "changeObject", "deleteObject"];

const fn plain(places: &'static [Place], run: Run, is: Operation) -> Row {
    Row {
        places,
        when: When::Plain,
        run,
        is,
    }
}

const fn query(places: &'static [Place], name: &'static str, run: Run, is: Operation) -> Row {
    Row {
        places,
        when: When::Query(name),
        run,
        is,
    }
}

const fn tus(places: &'static [Place], run: Run, is: Operation) -> Row {
    Row {
        places,
        when: When::Upload,
        run,
        is,
    }
}

/// The table.
pub(crate) static TABLE: &[Row] = &[
    plain(
        &[Snapshots],
        Run::Service(|call| Box::pin(snapshot::create(call))),
        Operation {
            headers: &[MD5, DIGEST],
            takes: &[("application/json", Some("Snapshot"))],
            successes: &[201],
            problems: &[404, 409, 412, 413, 501, 507],
            ..Operation::new(
                "POST",
                "createSnapshot",
                "Makes a snapshot of an object, a volume, a directory or a bucket, by reference",
            )
        },
    ),
    plain(
        &[Snapshots],
        Run::Service(|call| Box::pin(snapshot::list(call))),
        Operation {
            query: &[
                ("bucket", Takes::Needed, "the bucket"),
                (
                    "key",
                    Takes::Text,
                    "the object or directory whose snapshots are listed; without it those of the \
                     bucket and of all its directories",
                ),
                ("after", Takes::Text, "only names after this one"),
            ],
            gives: &[JSON],
            successes: &[200],
            problems: &[404, 409],
            ..Operation::new(
                "GET",
                "listSnapshots",
                "The snapshots of an object, a directory or a bucket",
            )
        },
    ),
    plain(
        &[Clones],
        Run::Service(|call| Box::pin(snapshot::create_clone(call))),
        Operation {
            headers: &[MD5, DIGEST],
            takes: &[("application/json", Some("Clone"))],
            successes: &[201],
            problems: &[404, 409, 412, 413, 501, 507],
            ..Operation::new(
                "POST",
                "createClone",
                "Makes a clone of an object, a volume, a bucket or a snapshot, by reference",
            )
        },
    ),
    plain(
        &[Transactions],
        Run::Service(|call| Box::pin(transaction::answer(call))),
        Operation {
            headers: &[MD5, DIGEST],
            takes: &[("application/json", Some("Transaction"))],
            gives: &[JSON],
            successes: &[200],
            problems: &[404, 409, 412, 413, 415, 428, 501, 507],
            ..Operation::new(
                "POST",
                "transact",
                "Does several verbs on objects in one commit, or none of them",
            )
        },
    ),
    plain(
        &[Service],
        Run::Service(|call| Box::pin(bucket::list_buckets(call))),
        Operation {
            query: &[PREFIX, AFTER, LIMIT],
            headers: &[ACCEPT],
            gives: &[JSON, HTML],
            successes: &[200],
            problems: &[406],
            ..Operation::new(
                "GET",
                "listBuckets",
                "The service document: the account's buckets, and links",
            )
        },
    ),
    plain(
        &[Bucket],
        Run::Bucket(|call, name| Box::pin(bucket::list(call, name))),
        Operation {
            query: &[
                PREFIX,
                DELIMITER,
                AFTER,
                ("until", Takes::Text, "only keys before this one"),
                ("reverse", Takes::Flag, "from the last to the first"),
                LIMIT,
            ],
            headers: &[
                ACCEPT,
                (
                    "Last-Event-ID",
                    Takes::Pattern("^[0-9]{1,18}$"),
                    "of the feed, the last event seen",
                ),
            ],
            gives: &[JSON, HTML, EVENTS],
            successes: &[200],
            problems: &[404, 406, 410, 429],
            ..Operation::new(
                "GET",
                "listObjects",
                "Objects of a bucket by key, or its change feed",
            )
        },
    ),
    query(
        &[Bucket],
        "metadata",
        Run::Bucket(|call, name| Box::pin(bucket::document(call, name))),
        Operation {
            query: &[METADATA],
            gives: &[JSON],
            successes: &[200],
            problems: &[404],
            ..Operation::new("GET", "readBucket", "the bucket's document")
        },
    ),
    query(
        &[Bucket],
        "versions",
        Run::Bucket(|call, name| Box::pin(versions::of_bucket(call, name))),
        Operation {
            query: &[VERSIONS, PREFIX, DELIMITER, AFTER, AFTER_VERSION, LIMIT],
            gives: &[JSON],
            successes: &[200],
            problems: &[404],
            ..Operation::new("GET", "listVersions", "all versions of all keys")
        },
    ),
    query(
        &[Bucket],
        "job",
        Run::Bucket(|call, name| Box::pin(directory::job(call, name))),
        Operation {
            query: &[(
                "job",
                Takes::Pattern("^[0-9a-f]{32}$"),
                "a job on directories",
            )],
            gives: &[JSON],
            successes: &[200],
            problems: &[404],
            ..Operation::new("GET", "readJob", "how far a job on directories is")
        },
    ),
    query(
        &[Bucket],
        "jobs",
        Run::Bucket(|call, name| Box::pin(directory::jobs(call, name))),
        Operation {
            query: &[(
                "jobs",
                Takes::Flag,
                "the jobs that run, or ended within a day",
            )],
            gives: &[JSON],
            successes: &[200],
            problems: &[404],
            ..Operation::new("GET", "listJobs", "the bucket's jobs on directories")
        },
    ),
    plain(
        &[Bucket],
        Run::Bucket(|call, name| Box::pin(bucket::create(call, name))),
        Operation {
            successes: &[201],
            problems: &[409, 501, 507],
            leads_to: &[
                "listObjects",
                "changeBucket",
                "createObject",
                "writeObject",
                "deleteBucket",
            ],
            ..Operation::new("PUT", "createBucket", "Creates a bucket")
        },
    ),
    plain(
        &[Bucket],
        Run::Bucket(|call, name| Box::pin(write::create_in(call, name))),
        Operation {
            headers: CREATE_HEADERS,
            takes: &[BYTES],
            successes: &[201],
            problems: &[404, 409, 413, 415, 422, 501, 507],
            leads_to: &["listObjects"],
            ..Operation::new(
                "POST",
                "createObject",
                "Creates an object under a name that the server chooses",
            )
        },
    ),
    tus(
        &[Bucket],
        Run::Bucket(|call, name| Box::pin(upload::create_in(call, name))),
        Operation {
            headers: &[TUS, UPLOAD_LENGTH, UPLOAD_METADATA, TAGS, HOLD],
            successes: &[201],
            problems: &[404, 411, 412, 413, 501, 507],
            ..Operation::new("POST", "createUploadIn", "begins a resumable upload")
        },
    ),
    plain(
        &[Bucket],
        Run::Bucket(|call, name| Box::pin(bucket::patch(call, name))),
        Operation {
            headers: &[BYPASS],
            takes: &[(MERGE_PATCH, Some("BucketPatch"))],
            successes: &[204],
            problems: &[404, 409, 411, 413, 415, 422, 501, 507],
            leads_to: &["listObjects"],
            ..Operation::new(
                "PATCH",
                "changeBucket",
                "Changes the bucket's document: versioning, lock, tags, metadata, quota, \
                 retention, legal_hold, cors, require_conditions",
            )
        },
    ),
    plain(
        &[Bucket],
        Run::Bucket(|call, name| Box::pin(bucket::delete(call, name))),
        Operation {
            successes: &[204],
            problems: &[404, 409, 501],
            ..Operation::new("DELETE", "deleteBucket", "Deletes an empty bucket")
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(read::answer(call, bucket, key))),
        Operation {
            query: &[VERSION],
            headers: &[
                RANGE,
                IF_RANGE,
                IF_MATCH,
                IF_NONE_MATCH,
                IF_MODIFIED,
                IF_UNMODIFIED,
            ],
            gives: &[BYTES],
            successes: &[200, 206, 304],
            problems: &[404, 412, 416],
            ..Operation::new("GET", "readObject", "The object's bytes")
        },
    ),
    query(
        BOTH,
        "metadata",
        Run::Object(|call, bucket, key| Box::pin(read::document(call, bucket, key))),
        Operation {
            query: &[METADATA, VERSION],
            headers: READ_CONDITIONS,
            gives: &[JSON],
            successes: &[200, 304],
            problems: &[404, 412],
            ..Operation::new("GET", "readObjectDocument", "its document")
        },
    ),
    query(
        BOTH,
        "versions",
        Run::Object(|call, bucket, key| Box::pin(versions::of_key(call, bucket, key))),
        Operation {
            query: &[VERSIONS, AFTER_VERSION, LIMIT],
            gives: &[JSON],
            successes: &[200],
            problems: &[404],
            ..Operation::new("GET", "listObjectVersions", "its versions, newest first")
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(read::answer(call, bucket, key))),
        Operation {
            query: &[VERSION],
            headers: READ_CONDITIONS,
            successes: &[200, 304],
            problems: &[404, 412],
            ..Operation::new(
                "HEAD",
                "headObject",
                "What GET would answer, without the bytes",
            )
        },
    ),
    tus(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(upload::state(call, bucket, key))),
        Operation {
            query: &[UPLOAD, LENGTH, HELD],
            headers: &[TUS],
            successes: &[200],
            problems: &[404, 412, 501],
            ..Operation::new("HEAD", "readUpload", "how much there is of an upload")
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(write::put(call, bucket, key))),
        Operation {
            headers: &[
                CONTENT_TYPE,
                IF_MATCH,
                IF_NONE_MATCH,
                IF_UNMODIFIED,
                MD5,
                DIGEST,
                TAGS,
            ],
            takes: &[BYTES, (VOLUME, Some("VolumeSize"))],
            successes: &[201, 204],
            problems: &[404, 409, 412, 413, 428, 501, 507],
            leads_to: OF_OBJECT,
            ..Operation::new("PUT", "writeObject", "Creates or replaces the object")
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(write::patch(call, bucket, key))),
        Operation {
            query: &[VERSION],
            headers: &[
                IF_MATCH,
                IF_NONE_MATCH,
                IF_UNMODIFIED,
                ("Content-Range", Takes::Text, "bytes FIRST-LAST/*"),
                MD5,
                DIGEST,
                BYPASS,
            ],
            takes: &[
                (MERGE_PATCH, Some("ObjectPatch")),
                BYTES,
                (VOLUME, Some("VolumeSize")),
            ],
            gives: &[JSON],
            successes: &[200, 204],
            problems: &[404, 409, 411, 412, 413, 415, 416, 422, 428, 501, 507],
            leads_to: OF_OBJECT,
            ..Operation::new(
                "PATCH",
                "changeObject",
                "Changes the object's document; with Content-Range, bytes of the object in place",
            )
        },
    ),
    tus(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(upload::append(call, bucket, key))),
        Operation {
            query: &[UPLOAD, LENGTH, HELD],
            headers: &[TUS, UPLOAD_OFFSET],
            takes: &[(upload::OFFSET_STREAM, None)],
            successes: &[204],
            problems: &[404, 409, 411, 412, 413, 415, 423, 428, 501, 507],
            ..Operation::new("PATCH", "appendToUpload", "appends to an upload")
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(write::delete(call, bucket, key))),
        Operation {
            query: &[VERSION],
            headers: &[IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED, BYPASS],
            successes: &[204],
            problems: &[404, 409, 412, 428],
            ..Operation::new(
                "DELETE",
                "deleteObject",
                "Deletes the object; in a bucket that keeps versions it leaves a marker",
            )
        },
    ),
    tus(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(upload::give_up(call, bucket, key))),
        Operation {
            query: &[UPLOAD, LENGTH, HELD],
            headers: &[TUS],
            successes: &[204],
            problems: &[404, 412, 501],
            ..Operation::new("DELETE", "giveUpUpload", "gives an upload up")
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(transfer::copy(call, bucket, key))),
        Operation {
            query: &[VERSION],
            headers: &[
                DESTINATION,
                OVERWRITE,
                IF_MATCH,
                IF_NONE_MATCH,
                IF_UNMODIFIED,
            ],
            successes: &[201, 204],
            problems: &[404, 409, 412, 428, 502, 507],
            ..Operation::new(
                "COPY",
                "copyObject",
                "Copies the object to Destination, by reference",
            )
        },
    ),
    plain(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(transfer::rename(call, bucket, key))),
        Operation {
            headers: &[
                DESTINATION,
                OVERWRITE,
                IF_MATCH,
                IF_NONE_MATCH,
                IF_UNMODIFIED,
            ],
            successes: &[201, 204],
            problems: &[404, 409, 412, 428, 502, 507],
            ..Operation::new(
                "MOVE",
                "moveObject",
                "Moves the object to Destination; it keeps its id and its versions",
            )
        },
    ),
    plain(
        &[Object],
        Run::Object(|call, bucket, key| Box::pin(volume::post(call, bucket, key))),
        Operation {
            headers: &[IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED, MD5, DIGEST],
            takes: &[(VOLUME, Some("VolumeVerb"))],
            successes: &[204],
            problems: &[404, 409, 412, 413, 415, 416, 428, 501, 507],
            ..Operation::new(
                "POST",
                "changeVolume",
                "Makes a range of a volume zero, resizes it, or flushes it",
            )
        },
    ),
    plain(
        &[Folder],
        Run::Object(|call, bucket, key| Box::pin(write::create_below(call, bucket, key))),
        Operation {
            headers: CREATE_HEADERS,
            takes: &[BYTES],
            successes: &[201],
            problems: &[404, 405, 409, 413, 415, 422, 501, 507],
            ..Operation::new(
                "POST",
                "createObjectBelow",
                "Creates an object under a name that the server chooses, below a key that ends \
                 with /",
            )
        },
    ),
    tus(
        BOTH,
        Run::Object(|call, bucket, key| Box::pin(upload::create(call, bucket, key))),
        Operation {
            headers: &[TUS, UPLOAD_LENGTH, UPLOAD_METADATA, TAGS, HOLD],
            successes: &[201],
            problems: &[404, 411, 412, 413, 501, 507],
            ..Operation::new("POST", "createUpload", "begins a resumable upload (tus)")
        },
    ),
    query(
        &[Folder],
        "recursive",
        Run::Object(|call, bucket, key| Box::pin(directory::delete(call, bucket, key))),
        Operation {
            query: &[RECURSIVE],
            headers: &[BYPASS],
            successes: &[202, 204],
            problems: &[404, 409, 501],
            ..Operation::new(
                "DELETE",
                "deleteDirectory",
                "Deletes everything whose key starts with this one",
            )
        },
    ),
    query(
        &[Folder],
        "recursive",
        Run::Object(|call, bucket, key| Box::pin(directory::rename(call, bucket, key))),
        Operation {
            query: &[RECURSIVE],
            headers: &[DESTINATION],
            successes: &[202, 204],
            problems: &[404, 409, 501, 502, 507],
            ..Operation::new(
                "MOVE",
                "moveDirectory",
                "Moves everything whose key starts with this one",
            )
        },
    ),
];
