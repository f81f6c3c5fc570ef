//! Bucket policies, as far as this dialect has a say: whether one is well-formed, and public.

use crate::error::{Code, S3Error};
use trestle_access::{Acl, Policy, PolicyKind};
use trestle_core::{BucketName, ErrorKind};
use trestle_store::Bucket;

/// Reads a policy of this bucket, or says what is wrong with it.
pub(crate) fn parse(bucket: &BucketName, text: &str) -> Result<Policy, S3Error> {
    Policy::parse(text, PolicyKind::Bucket(bucket.as_str())).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::TooLarge => {
            S3Error::new(Code::MalformedPolicy, error.message())
        }
        _ => error.into(),
    })
}

/// Whether a bucket is open to the public, by its policy or by its list.
pub(crate) fn is_public(bucket: &Bucket) -> bool {
    let properties = &bucket.properties;
    let blocked = properties.public_access;
    let by_policy = properties.policy.as_deref().is_some_and(|text| {
        // One that cannot be read admits nobody.
        parse(&bucket.name, text).is_ok_and(|policy| policy.is_public())
    });
    let by_list = properties
        .acl
        .as_deref()
        .is_some_and(|text| Acl::parse(text).is_ok_and(|acl| acl.is_public()));
    let enforced = properties.ownership.as_deref() == Some("BucketOwnerEnforced");
    (by_policy && !blocked.restrict_buckets) || (by_list && !blocked.ignore_acls && !enforced)
}
