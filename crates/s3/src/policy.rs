//! Bucket policies, as far as this dialect has a say: whether one is well-formed, and public.

use crate::error::{Code, S3Error};
use trestle_core::BucketName;
use trestle_store::Bucket;

/// Refuses what is no policy of this bucket.
pub(crate) fn check(_bucket: &BucketName, _document: &[u8]) -> Result<(), S3Error> {
    Err(S3Error::new(
        Code::NotImplemented,
        "Bucket policies are not evaluated yet",
    ))
}

/// Whether a policy gives access to everybody.
pub(crate) fn is_public(_bucket: &BucketName, _text: &str) -> bool {
    true
}

/// Whether a bucket's policy gives access to everybody.
pub(crate) fn is_public_bucket(bucket: &Bucket) -> bool {
    let policy = bucket.properties.policy.as_deref();
    policy.is_some_and(|text| is_public(&bucket.name, text))
}
