//! Bucket policies, as far as this dialect has a say: whether one is well-formed, and public.

use crate::error::{Code, S3Error};
use serde_json::Value;
use trestle_access::{Acl, Policy, PolicyKind};
use trestle_core::{BucketName, ErrorKind};
use trestle_store::Bucket;

/// Reads a policy of this bucket, or says what is wrong with it.
pub(crate) fn parse(bucket: &BucketName, text: &str) -> Result<Policy, S3Error> {
    if grants_to_all_but(text) {
        let message = "Allow with NotPrincipal is not allowed";
        return Err(S3Error::new(Code::MalformedPolicy, message));
    }
    Policy::parse(text, PolicyKind::Bucket(bucket.as_str())).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::TooLarge => {
            S3Error::new(Code::MalformedPolicy, error.message())
        }
        _ => error.into(),
    })
}

/// Whether a statement grants to everybody but some, which this protocol refuses.
fn grants_to_all_but(text: &str) -> bool {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    statements.iter().any(|statement| {
        statement.get("NotPrincipal").is_some()
            && statement.get("Effect").and_then(Value::as_str) == Some("Allow")
    })
}

/// Whether a bucket is open to the public, by its policy or by its list.
pub(crate) fn is_public(bucket: &Bucket) -> bool {
    let properties = &bucket.properties;
    let blocked = properties.public_access;
    let by_policy = properties.policy.as_deref().is_some_and(|text| {
        // One that cannot be read admits nobody.
        let kind = PolicyKind::Bucket(bucket.name.as_str());
        Policy::parse_kept(text, kind).is_ok_and(|policy| policy.is_public())
    });
    let by_list = properties
        .acl
        .as_deref()
        .is_some_and(|text| Acl::parse(text).is_ok_and(|acl| acl.is_public()));
    let enforced = properties.ownership.as_deref() == Some("BucketOwnerEnforced");
    (by_policy && !blocked.restrict_buckets) || (by_list && !blocked.ignore_acls && !enforced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_policy_of_the_bucket_is_refused() {
        let bucket = BucketName::parse("b").unwrap();
        let with = |principal: &str| {
            let text = format!(
                r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", {principal},
                    "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}}]}}"#
            );
            parse(&bucket, &text).map_err(|error| error.code())
        };
        assert!(with(r#""Principal": "*""#).unwrap().is_public());
        let but = r#""NotPrincipal": {"AWS": "arn:aws:iam::a:root"}"#;
        assert_eq!(with(but), Err(Code::MalformedPolicy));
        assert_eq!(with(r#""Nonsense": 1"#), Err(Code::MalformedPolicy));
    }
}
