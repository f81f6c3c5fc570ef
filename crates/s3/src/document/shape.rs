//! Which elements a document may hold: what is not understood is refused, since a switch with a
//! misspelt name would switch nothing.

use trestle_http::Element;

/// An element, what it may hold once, and what it may hold often.
type Shape = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const TAG: Shape = ("Tag", &["Key", "Value"], &[]);

/// The elements of each document, by its root, which is the first. One that is not named holds text
/// alone.
const SHAPES: &[&[Shape]] = &[
    &[
        ("Delete", &["Quiet"], &["Object"]),
        (
            "Object",
            &["Key", "VersionId", "ETag", "LastModifiedTime", "Size"],
            &[],
        ),
    ],
    &[
        ("CompleteMultipartUpload", &[], &["Part"]),
        (
            "Part",
            &[
                "PartNumber",
                "ETag",
                "ChecksumCRC32",
                "ChecksumCRC32C",
                "ChecksumCRC64NVME",
                "ChecksumSHA1",
                "ChecksumSHA256",
                "ChecksumSHA512",
                "ChecksumMD5",
                "ChecksumXXHASH64",
                "ChecksumXXHASH3",
                "ChecksumXXHASH128",
            ],
            &[],
        ),
    ],
    &[(
        "VersioningConfiguration",
        &["Status", "MfaDelete", "MFADelete"],
        &[],
    )],
    &[
        ("Tagging", &["TagSet"], &[]),
        ("TagSet", &[], &["Tag"]),
        TAG,
    ],
    &[("Retention", &["Mode", "RetainUntilDate"], &[])],
    &[("LegalHold", &["Status"], &[])],
    &[
        (
            "ObjectLockConfiguration",
            &["ObjectLockEnabled", "Rule"],
            &[],
        ),
        ("Rule", &["DefaultRetention"], &[]),
        ("DefaultRetention", &["Mode", "Days", "Years"], &[]),
    ],
    &[
        ("OwnershipControls", &[], &["Rule"]),
        ("Rule", &["ObjectOwnership"], &[]),
    ],
    &[(
        "PublicAccessBlockConfiguration",
        &[
            "BlockPublicAcls",
            "IgnorePublicAcls",
            "BlockPublicPolicy",
            "RestrictPublicBuckets",
        ],
        &[],
    )],
    &[
        (
            "CreateBucketConfiguration",
            &["LocationConstraint", "Location", "Bucket", "Tags"],
            &[],
        ),
        ("Location", &["Name", "Type"], &[]),
        ("Bucket", &["DataRedundancy", "Type"], &[]),
        ("Tags", &[], &["Tag"]),
        TAG,
    ],
    &[("RequestPaymentConfiguration", &["Payer"], &[])],
    &[
        ("ServerSideEncryptionConfiguration", &[], &["Rule"]),
        (
            "Rule",
            &[
                "ApplyServerSideEncryptionByDefault",
                "BucketKeyEnabled",
                "BlockedEncryptionTypes",
            ],
            &[],
        ),
        (
            "ApplyServerSideEncryptionByDefault",
            &["SSEAlgorithm", "KMSMasterKeyID"],
            &[],
        ),
        ("BlockedEncryptionTypes", &[], &["EncryptionType"]),
    ],
    &[
        ("CORSConfiguration", &[], &["CORSRule"]),
        (
            "CORSRule",
            &["ID", "MaxAgeSeconds"],
            &[
                "AllowedOrigin",
                "AllowedMethod",
                "AllowedHeader",
                "ExposeHeader",
            ],
        ),
    ],
    &[
        ("AccessControlPolicy", &["Owner", "AccessControlList"], &[]),
        ("Owner", &["ID", "DisplayName"], &[]),
        ("AccessControlList", &[], &["Grant"]),
        ("Grant", &["Grantee", "Permission"], &[]),
        (
            "Grantee",
            &["ID", "DisplayName", "EmailAddress", "URI", "Type"],
            &[],
        ),
    ],
];

/// Whether a document is of this root, and holds what is known of it alone.
pub(super) fn fits(document: &Element, root: &str) -> bool {
    let named = |shapes: &&&[Shape]| shapes.first().is_some_and(|(name, ..)| *name == root);
    let Some(shapes) = SHAPES.iter().find(named) else {
        return false;
    };
    document.name == root && holds_what_is_known(document, shapes)
}

fn holds_what_is_known(element: &Element, shapes: &[Shape]) -> bool {
    let shape = shapes.iter().find(|(name, ..)| *name == element.name);
    let (_, once, often) = shape.copied().unwrap_or(("", &[], &[]));
    let allowed = |child: &Element| {
        let name = child.name.as_str();
        often.contains(&name)
            || once.contains(&name) && element.children_named(name).nth(1).is_none()
    };
    element
        .children
        .iter()
        .all(|child| allowed(child) && holds_what_is_known(child, shapes))
}
