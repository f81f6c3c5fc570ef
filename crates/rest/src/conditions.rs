//! Buckets that demand conditions: a change over this dialect then has to say which state it is meant
//! for, or is answered with 428 (RFC 6585 §3), so that nobody overwrites what they have not seen.

use crate::refusal::{Answer, Refusal};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use trestle_core::{BucketName, ErrorKind, Noun};
use trestle_store::{BucketProperties, Store};

/// The name of the setting among a bucket's documents.
const DOCUMENT: &str = "rest.require-conditions";
const CONDITIONS: [HeaderName; 3] = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];

/// Whether a bucket demands conditions.
pub(crate) fn of(properties: &BucketProperties) -> bool {
    properties.documents.contains_key(DOCUMENT)
}

/// Lets a bucket demand conditions, or not.
pub(crate) fn set(required: bool, properties: &mut BucketProperties) {
    if required {
        let yes = "true".to_owned();
        properties.documents.insert(DOCUMENT.to_owned(), yes);
    } else {
        properties.documents.remove(DOCUMENT);
    }
}

/// Refuses a change without a condition where the bucket demands one. To be called when the caller
/// is known to have the right to it.
pub(crate) async fn demand(store: &Store, bucket: &BucketName, headers: &HeaderMap) -> Answer<()> {
    if CONDITIONS.iter().any(|name| headers.contains_key(name)) {
        return Ok(());
    }
    match store.bucket_settings(bucket).await {
        Ok(found) if of(&found.properties) => {
            let detail = "this bucket takes changes with a condition alone: If-Match with the ETag \
                          that was read, or If-None-Match: * for what is not there yet";
            Err(Refusal::new(StatusCode::PRECONDITION_REQUIRED, detail))
        }
        Ok(_) => Ok(()),
        // The verb says it.
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
