//! Every operation of this dialect: one table that `Allow`, OPTIONS and the OpenAPI document are made
//! from.

/// What kind of resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `/rest/`
    Service,
    /// `/rest/{bucket}/`
    Bucket,
    /// `/rest/{bucket}/{key}` whose key ends with `/`.
    Folder,
    /// `/rest/{bucket}/{key}`
    Object,
}

/// One operation.
pub(crate) struct Operation {
    pub(crate) places: &'static [Place],
    pub(crate) method: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// Query parameters.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// Request headers.
    pub(crate) headers: &'static [&'static str],
    /// Media type of the request's body.
    pub(crate) takes: Option<&'static str>,
    /// Media types of the answer's body.
    pub(crate) gives: &'static [&'static str],
    /// Statuses of success.
    pub(crate) successes: &'static [u16],
    /// Statuses of problems, besides 400, 401, 403, 500 and 503.
    pub(crate) problems: &'static [u16],
}

const READ_CONDITIONS: &[&str] = &[
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
];
const VERSION: (&str, &str) = ("version", "a version instead of the current one");
const JSON: &[&str] = &["application/json"];
const BOTH: &[Place] = &[Place::Folder, Place::Object];

/// The table.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        places: &[Place::Service],
        method: "GET",
        id: "listBuckets",
        summary: "The service document: the account's buckets, and links",
        query: &[
            ("prefix", "only names that start with this"),
            ("after", "only names after this one"),
            ("limit", "items of a page, 0 to 10000"),
        ],
        headers: &["Accept"],
        takes: None,
        gives: &["application/json", "text/html"],
        successes: &[200],
        problems: &[406],
    },
    Operation {
        places: &[Place::Bucket],
        method: "GET",
        id: "listObjects",
        summary: "Objects of a bucket by key; its document, its versions, or its change feed",
        query: &[
            ("prefix", "only keys that start with this"),
            ("delimiter", "folds keys that share the run up to this"),
            (
                "after",
                "only keys after this one; of the feed, the last event seen",
            ),
            ("until", "only keys before this one"),
            ("reverse", "from the last to the first"),
            ("limit", "items of a page, 0 to 10000"),
            ("metadata", "the bucket's document instead"),
            ("versions", "all versions instead"),
            ("after_version", "of the key in after, only older versions"),
        ],
        headers: &["Accept", "Last-Event-ID"],
        takes: None,
        gives: &["application/json", "text/html", "text/event-stream"],
        successes: &[200],
        problems: &[404, 406, 410],
    },
    Operation {
        places: &[Place::Bucket],
        method: "PUT",
        id: "createBucket",
        summary: "Creates a bucket",
        query: &[],
        headers: &[],
        takes: None,
        gives: &[],
        successes: &[201],
        problems: &[409, 501, 507],
    },
    Operation {
        places: &[Place::Bucket],
        method: "POST",
        id: "createObject",
        summary: "Creates an object under a name that the server chooses",
        query: &[],
        headers: &[
            "Content-Type",
            "Idempotency-Key",
            "Repr-Digest",
            "Trestle-Tags",
        ],
        takes: Some("application/octet-stream"),
        gives: &[],
        successes: &[201],
        problems: &[404, 409, 413, 422, 501, 507],
    },
    Operation {
        places: &[Place::Bucket],
        method: "PATCH",
        id: "changeBucket",
        summary: "Changes the bucket's document: versioning, lock, tags, metadata, quota",
        query: &[],
        headers: &[],
        takes: Some("application/merge-patch+json"),
        gives: &[],
        successes: &[204],
        problems: &[404, 409, 413, 415, 422, 501, 507],
    },
    Operation {
        places: &[Place::Bucket],
        method: "DELETE",
        id: "deleteBucket",
        summary: "Deletes an empty bucket",
        query: &[],
        headers: &[],
        takes: None,
        gives: &[],
        successes: &[204],
        problems: &[404, 409, 501],
    },
    Operation {
        places: BOTH,
        method: "GET",
        id: "readObject",
        summary: "The object's bytes; its document, or its versions",
        query: &[
            VERSION,
            ("metadata", "the object's document instead"),
            ("versions", "a list of its versions instead"),
            ("after_version", "only older versions"),
            ("limit", "versions of a page, 0 to 10000"),
        ],
        headers: &[
            "Range",
            "If-Range",
            "If-Match",
            "If-None-Match",
            "If-Modified-Since",
            "If-Unmodified-Since",
        ],
        takes: None,
        gives: &["application/octet-stream", "application/json"],
        successes: &[200, 206, 304],
        problems: &[404, 412, 416],
    },
    Operation {
        places: BOTH,
        method: "HEAD",
        id: "headObject",
        summary: "What GET would answer, without the bytes",
        query: &[VERSION],
        headers: READ_CONDITIONS,
        takes: None,
        gives: &[],
        successes: &[200, 304],
        problems: &[404, 412],
    },
    Operation {
        places: BOTH,
        method: "PUT",
        id: "writeObject",
        summary: "Creates or replaces the object",
        query: &[],
        headers: &[
            "Content-Type",
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
            "Content-MD5",
            "Repr-Digest",
            "Trestle-Tags",
        ],
        takes: Some("application/octet-stream"),
        gives: &[],
        successes: &[201, 204],
        problems: &[404, 409, 412, 413, 501, 507],
    },
    Operation {
        places: BOTH,
        method: "PATCH",
        id: "changeObject",
        summary: "Changes the object's document; with Content-Range, bytes of the object in place",
        query: &[VERSION],
        headers: &[
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
            "Content-Range",
            "Trestle-Bypass-Retention",
        ],
        takes: Some("application/merge-patch+json"),
        gives: JSON,
        successes: &[200, 204],
        problems: &[404, 409, 412, 413, 415, 422, 501, 507],
    },
    Operation {
        places: BOTH,
        method: "DELETE",
        id: "deleteObject",
        summary: "Deletes the object; in a bucket that keeps versions it leaves a marker",
        query: &[VERSION],
        headers: &[
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
            "Trestle-Bypass-Retention",
        ],
        takes: None,
        gives: &[],
        successes: &[204],
        problems: &[404, 409, 412],
    },
    Operation {
        places: BOTH,
        method: "COPY",
        id: "copyObject",
        summary: "Copies the object to Destination, by reference",
        query: &[VERSION],
        headers: &[
            "Destination",
            "Overwrite",
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
        ],
        takes: None,
        gives: &[],
        successes: &[201, 204],
        problems: &[404, 409, 412, 502, 507],
    },
    Operation {
        places: BOTH,
        method: "MOVE",
        id: "moveObject",
        summary: "Moves the object to Destination; it keeps its id and its versions",
        query: &[],
        headers: &[
            "Destination",
            "Overwrite",
            "If-Match",
            "If-None-Match",
            "If-Unmodified-Since",
        ],
        takes: None,
        gives: &[],
        successes: &[201, 204],
        problems: &[404, 409, 412, 502, 507],
    },
    Operation {
        places: &[Place::Folder],
        method: "POST",
        id: "createObjectBelow",
        summary: "Creates an object under a name that the server chooses, below a key that ends with /",
        query: &[],
        headers: &[
            "Content-Type",
            "Idempotency-Key",
            "Repr-Digest",
            "Trestle-Tags",
        ],
        takes: Some("application/octet-stream"),
        gives: &[],
        successes: &[201],
        problems: &[404, 409, 413, 422, 501, 507],
    },
];

/// The methods of a resource, in the order of the table.
pub(crate) fn methods(place: Place) -> Vec<&'static str> {
    let mut methods = Vec::new();
    let here = OPERATIONS
        .iter()
        .filter(|operation| operation.places.contains(&place));
    for method in here.map(|operation| operation.method) {
        let with_head = if method == "GET" {
            &["GET", "HEAD"][..]
        } else {
            &[method][..]
        };
        for method in with_head {
            if !methods.contains(method) {
                methods.push(*method);
            }
        }
    }
    methods.push("OPTIONS");
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_the_table() {
        assert_eq!(methods(Place::Service), ["GET", "HEAD", "OPTIONS"]);
        assert_eq!(
            methods(Place::Bucket),
            ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]
        );
        let object = [
            "GET", "HEAD", "PUT", "PATCH", "DELETE", "COPY", "MOVE", "OPTIONS",
        ];
        assert_eq!(methods(Place::Object), object);
        assert!(methods(Place::Folder).contains(&"POST"));
        for operation in OPERATIONS {
            let same = OPERATIONS.iter().filter(|other| other.id == operation.id);
            assert_eq!(same.count(), 1, "{}", operation.id);
        }
    }
}
