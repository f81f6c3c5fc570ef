//! The names that policies give to actions, and the neutral actions that each stands for.

use crate::{Action, ActionSet};
use Action as A;

/// Names in `s3:`. One that names something this server does not have stands for nothing.
const S3: &[(&str, &[Action])] = &[
    ("AbortMultipartUpload", &[A::AbortUpload]),
    ("BypassGovernanceRetention", &[A::BypassRetention]),
    ("CreateBucket", &[A::CreateBucket]),
    ("DeleteBucket", &[A::DeleteBucket]),
    ("DeleteBucketPolicy", &[A::DeleteBucketPolicy]),
    ("DeleteBucketWebsite", &[A::DeleteBucketWebsite]),
    ("DeleteObject", &[A::DeleteObject]),
    ("DeleteObjectTagging", &[A::DeleteObjectTags]),
    ("DeleteObjectVersion", &[A::DeleteObjectVersion]),
    ("DeleteObjectVersionTagging", &[A::DeleteObjectVersionTags]),
    ("GetAccelerateConfiguration", &[A::ReadBucketDocument]),
    ("GetAccountPublicAccessBlock", &[A::ReadAccountPublicAccess]),
    ("GetAnalyticsConfiguration", &[A::ReadBucketDocument]),
    ("GetBucketAcl", &[A::ReadBucketAcl]),
    ("GetBucketCORS", &[A::ReadBucketCors]),
    ("GetBucketLocation", &[A::ReadBucketLocation]),
    ("GetBucketLogging", &[A::ReadBucketLogging]),
    ("GetBucketNotification", &[A::ReadBucketNotification]),
    ("GetBucketObjectLockConfiguration", &[A::ReadBucketLock]),
    ("GetBucketOwnershipControls", &[A::ReadBucketOwnership]),
    ("GetBucketPolicy", &[A::ReadBucketPolicy]),
    ("GetBucketPolicyStatus", &[A::ReadBucketPolicyStatus]),
    ("GetBucketPublicAccessBlock", &[A::ReadBucketPublicAccess]),
    ("GetBucketRequestPayment", &[A::ReadBucketRequestPayment]),
    ("GetBucketTagging", &[A::ReadBucketTags]),
    ("GetBucketVersioning", &[A::ReadBucketVersioning]),
    ("GetBucketWebsite", &[A::ReadBucketWebsite]),
    ("GetEncryptionConfiguration", &[A::ReadBucketEncryption]),
    (
        "GetIntelligentTieringConfiguration",
        &[A::ReadBucketDocument],
    ),
    ("GetInventoryConfiguration", &[A::ReadBucketDocument]),
    ("GetLifecycleConfiguration", &[A::ReadBucketLifecycle]),
    ("GetMetricsConfiguration", &[A::ReadBucketDocument]),
    ("GetObject", &[A::ReadObject, A::ReadObjectMetadata]),
    ("GetObjectAcl", &[A::ReadObjectAcl]),
    ("GetObjectAttributes", &[A::ReadObjectAttributes]),
    ("GetObjectLegalHold", &[A::ReadLegalHold]),
    ("GetObjectRetention", &[A::ReadObjectRetention]),
    ("GetObjectTagging", &[A::ReadObjectTags]),
    ("GetObjectTorrent", &[]),
    (
        "GetObjectVersion",
        &[A::ReadObjectVersion, A::ReadObjectVersionMetadata],
    ),
    ("GetObjectVersionAcl", &[A::ReadObjectVersionAcl]),
    (
        "GetObjectVersionAttributes",
        &[A::ReadObjectVersionAttributes],
    ),
    ("GetObjectVersionTagging", &[A::ReadObjectVersionTags]),
    ("GetReplicationConfiguration", &[A::ReadBucketReplication]),
    ("ListAllMyBuckets", &[A::ListBuckets]),
    ("ListBucket", &[A::ListObjects, A::ReadBucket]),
    ("ListBucketMultipartUploads", &[A::ListUploads]),
    ("ListBucketVersions", &[A::ListVersions]),
    ("ListMultipartUploadParts", &[A::ListParts]),
    ("ListTagsForResource", &[A::ReadBucketTags]),
    ("PutAccelerateConfiguration", &[A::WriteBucketDocument]),
    (
        "PutAccountPublicAccessBlock",
        &[A::WriteAccountPublicAccess],
    ),
    ("PutAnalyticsConfiguration", &[A::WriteBucketDocument]),
    ("PutBucketAcl", &[A::WriteBucketAcl]),
    ("PutBucketCORS", &[A::WriteBucketCors]),
    ("PutBucketLogging", &[A::WriteBucketLogging]),
    ("PutBucketNotification", &[A::WriteBucketNotification]),
    ("PutBucketObjectLockConfiguration", &[A::WriteBucketLock]),
    ("PutBucketOwnershipControls", &[A::WriteBucketOwnership]),
    ("PutBucketPolicy", &[A::WriteBucketPolicy]),
    ("PutBucketPublicAccessBlock", &[A::WriteBucketPublicAccess]),
    ("PutBucketRequestPayment", &[A::WriteBucketRequestPayment]),
    ("PutBucketTagging", &[A::WriteBucketTags]),
    ("PutBucketVersioning", &[A::WriteBucketVersioning]),
    ("PutBucketWebsite", &[A::WriteBucketWebsite]),
    ("PutEncryptionConfiguration", &[A::WriteBucketEncryption]),
    (
        "PutIntelligentTieringConfiguration",
        &[A::WriteBucketDocument],
    ),
    ("PutInventoryConfiguration", &[A::WriteBucketDocument]),
    ("PutLifecycleConfiguration", &[A::WriteBucketLifecycle]),
    ("PutMetricsConfiguration", &[A::WriteBucketDocument]),
    (
        "PutObject",
        &[
            A::WriteObject,
            A::AppendObject,
            A::WriteObjectMetadata,
            A::WriteObjectAttributes,
            A::WriteObjectDocument,
        ],
    ),
    ("PutObjectAcl", &[A::WriteObjectAcl]),
    ("PutObjectLegalHold", &[A::WriteLegalHold]),
    ("PutObjectRetention", &[A::WriteObjectRetention]),
    ("PutObjectTagging", &[A::WriteObjectTags]),
    ("PutObjectVersionAcl", &[A::WriteObjectVersionAcl]),
    ("PutObjectVersionTagging", &[A::WriteObjectVersionTags]),
    ("PutReplicationConfiguration", &[A::WriteBucketReplication]),
    ("ReplicateDelete", &[]),
    ("ReplicateObject", &[]),
    ("ReplicateTags", &[]),
    ("RestoreObject", &[]),
    ("TagResource", &[A::WriteBucketTags]),
    ("UntagResource", &[A::WriteBucketTags]),
];

/// Names in `s3:` of services beside storage, of which this server has none: policies that are brought
/// from elsewhere name them beside others.
const BESIDE_S3: &[&str] = &[
    "AssociateAccessGrantsIdentityCenter",
    "CreateAccessGrant",
    "CreateAccessGrantsInstance",
    "CreateAccessGrantsLocation",
    "CreateAccessPoint",
    "CreateAccessPointForObjectLambda",
    "CreateBucketMetadataTableConfiguration",
    "CreateJob",
    "CreateMultiRegionAccessPoint",
    "CreateStorageLensGroup",
    "DeleteAccessGrant",
    "DeleteAccessGrantsInstance",
    "DeleteAccessGrantsInstanceResourcePolicy",
    "DeleteAccessGrantsLocation",
    "DeleteAccessPoint",
    "DeleteAccessPointForObjectLambda",
    "DeleteAccessPointPolicy",
    "DeleteAccessPointPolicyForObjectLambda",
    "DeleteBucketMetadataTableConfiguration",
    "DeleteJobTagging",
    "DeleteMultiRegionAccessPoint",
    "DeleteStorageLensConfiguration",
    "DeleteStorageLensConfigurationTagging",
    "DeleteStorageLensGroup",
    "DescribeJob",
    "DescribeMultiRegionAccessPointOperation",
    "DissociateAccessGrantsIdentityCenter",
    "GetAccessGrant",
    "GetAccessGrantsInstance",
    "GetAccessGrantsInstanceForPrefix",
    "GetAccessGrantsInstanceResourcePolicy",
    "GetAccessGrantsLocation",
    "GetAccessPoint",
    "GetAccessPointConfigurationForObjectLambda",
    "GetAccessPointForObjectLambda",
    "GetAccessPointPolicy",
    "GetAccessPointPolicyForObjectLambda",
    "GetAccessPointPolicyStatus",
    "GetAccessPointPolicyStatusForObjectLambda",
    "GetBucketMetadataTableConfiguration",
    "GetDataAccess",
    "GetJobTagging",
    "GetMultiRegionAccessPoint",
    "GetMultiRegionAccessPointPolicy",
    "GetMultiRegionAccessPointPolicyStatus",
    "GetMultiRegionAccessPointRoutes",
    "GetObjectVersionForReplication",
    "GetObjectVersionTorrent",
    "GetStorageLensConfiguration",
    "GetStorageLensConfigurationTagging",
    "GetStorageLensDashboard",
    "GetStorageLensGroup",
    "InitiateReplication",
    "ListAccessGrants",
    "ListAccessGrantsInstances",
    "ListAccessGrantsLocations",
    "ListAccessPoints",
    "ListAccessPointsForObjectLambda",
    "ListCallerAccessGrants",
    "ListJobs",
    "ListMultiRegionAccessPoints",
    "ListStorageLensConfigurations",
    "ListStorageLensGroups",
    "ObjectOwnerOverrideToBucketOwner",
    "PauseReplication",
    "PutAccessGrantsInstanceResourcePolicy",
    "PutAccessPointConfigurationForObjectLambda",
    "PutAccessPointPolicy",
    "PutAccessPointPolicyForObjectLambda",
    "PutAccessPointPublicAccessBlock",
    "PutJobTagging",
    "PutMultiRegionAccessPointPolicy",
    "PutStorageLensConfiguration",
    "PutStorageLensConfigurationTagging",
    "SubmitMultiRegionAccessPointRoutes",
    "UpdateAccessGrantsLocation",
    "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration",
    "UpdateJobPriority",
    "UpdateJobStatus",
    "UpdateStorageLensGroup",
];

/// Names in `iam:` and `sts:`.
const IAM: &[(&str, &[Action])] = &[
    ("AddUserToGroup", &[A::WriteGroups]),
    ("AttachGroupPolicy", &[A::AttachPolicies]),
    ("AttachRolePolicy", &[A::AttachPolicies]),
    ("AttachUserPolicy", &[A::AttachPolicies]),
    ("CreateAccessKey", &[A::CreateKeys]),
    ("CreateGroup", &[A::WriteGroups]),
    ("CreatePolicy", &[A::WritePolicies]),
    ("CreatePolicyVersion", &[A::WritePolicies]),
    ("CreateRole", &[A::WriteRoles]),
    ("CreateUser", &[A::CreateUsers]),
    ("DeleteAccessKey", &[A::DeleteKeys]),
    ("DeleteGroup", &[A::WriteGroups]),
    ("DeletePolicy", &[A::WritePolicies]),
    ("DeletePolicyVersion", &[A::WritePolicies]),
    ("DeleteRole", &[A::WriteRoles]),
    ("DeleteUser", &[A::DeleteUsers]),
    ("DetachGroupPolicy", &[A::AttachPolicies]),
    ("DetachRolePolicy", &[A::AttachPolicies]),
    ("DetachUserPolicy", &[A::AttachPolicies]),
    ("GetAccessKeyLastUsed", &[A::ReadKeys]),
    ("GetGroup", &[A::ReadGroups]),
    ("GetPolicy", &[A::ReadPolicies]),
    ("GetPolicyVersion", &[A::ReadPolicies]),
    ("GetRole", &[A::ReadRoles]),
    ("GetUser", &[A::ReadUsers]),
    ("ListAccessKeys", &[A::ReadKeys]),
    ("ListAttachedGroupPolicies", &[A::ReadGroups]),
    ("ListAttachedRolePolicies", &[A::ReadRoles]),
    ("ListAttachedUserPolicies", &[A::ReadUsers]),
    ("ListEntitiesForPolicy", &[A::ReadPolicies]),
    ("ListGroups", &[A::ReadGroups]),
    ("ListGroupsForUser", &[A::ReadUsers]),
    ("ListPolicies", &[A::ReadPolicies]),
    ("ListPolicyVersions", &[A::ReadPolicies]),
    ("ListRoles", &[A::ReadRoles]),
    ("ListUsers", &[A::ReadUsers]),
    ("PassRole", &[]),
    ("RemoveUserFromGroup", &[A::WriteGroups]),
    ("SetDefaultPolicyVersion", &[A::WritePolicies]),
    ("SimulatePrincipalPolicy", &[A::ExplainDecisions]),
    ("UpdateAccessKey", &[A::WriteKeys]),
    ("UpdateAssumeRolePolicy", &[A::WriteRoles]),
    ("UpdateGroup", &[A::WriteGroups]),
    ("UpdateRole", &[A::WriteRoles]),
    ("UpdateUser", &[A::WriteUsers]),
];

const STS: &[(&str, &[Action])] = &[
    ("AssumeRole", &[A::AssumeRole]),
    ("GetCallerIdentity", &[]),
    ("SetSourceIdentity", &[]),
    ("TagSession", &[]),
];

/// What a name or a pattern of names stands for; none when it can stand for nothing that is known.
/// Names are compared without regard to case.
pub(super) fn actions(text: &str) -> Option<ActionSet> {
    if !text.is_empty() && text.bytes().all(|byte| byte == b'*') {
        return Some(Action::ALL.iter().copied().collect());
    }
    let (service, name) = text.split_once(':')?;
    let table = match service.to_ascii_lowercase().as_str() {
        "s3" => S3,
        "iam" => IAM,
        "sts" => STS,
        "trestle" => return neutral(name),
        _ => return None,
    };
    let is_s3 = table.len() == S3.len();
    let mut known = is_s3 && BESIDE_S3.iter().any(|known| matches(name, known));
    let mut set = ActionSet::default();
    for (_, actions) in table.iter().filter(|(known, _)| matches(name, known)) {
        known = true;
        set = set.or(actions.iter().copied().collect());
    }
    // All that can be done to buckets and objects, and no name of it less.
    if name == "*" && is_s3 {
        let of_s3 = |action: &&Action| {
            use crate::Level::{Bucket, Object};
            matches!(action.level(), Bucket | Object)
        };
        set = set.or(Action::ALL.iter().filter(of_s3).copied().collect());
    }
    known.then_some(set)
}

/// The neutral actions that one name stands for, by itself, or as policies write it; none for a
/// pattern and for what is not known. A name of what this server does not have stands for nothing.
pub fn actions_named(text: &str) -> Option<Vec<Action>> {
    let Some((service, name)) = text.split_once(':') else {
        return Action::named(text).map(|action| vec![action]);
    };
    let table = match service.to_ascii_lowercase().as_str() {
        "s3" => S3,
        "iam" => IAM,
        "sts" => STS,
        "trestle" => {
            let mut all = Action::ALL.iter().copied();
            let found = all.find(|action| action.name().eq_ignore_ascii_case(name));
            return found.map(|action| vec![action]);
        }
        _ => return None,
    };
    let found = table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    let beside = || {
        let mut beside = BESIDE_S3.iter().filter(|_| table.len() == S3.len());
        let found = beside.find(|known| known.eq_ignore_ascii_case(name));
        found.map(|_| Vec::new())
    };
    found.map(|(_, actions)| actions.to_vec()).or_else(beside)
}

fn neutral(name: &str) -> Option<ActionSet> {
    let all = Action::ALL.iter().copied();
    let set: ActionSet = all
        .filter(|action| {
            let wider = wider(*action).iter();
            let mut meant = wider.chain([action]);
            meant.any(|meant| matches(name, meant.name()))
        })
        .collect();
    (!set.is_empty()).then_some(set)
}

/// The actions whose names speak of another one, too: who is denied to write is denied to append. What
/// was a part of an action before it got a name goes on being meant by the name of the whole.
fn wider(action: Action) -> &'static [Action] {
    match action {
        A::AppendObject => &[A::WriteObject],
        A::WriteObjectAttributes => &[A::WriteObjectMetadata, A::WriteObjectDocument],
        A::WriteBucketAttributes => &[A::WriteBucketDocument],
        A::CreateUsers | A::DeleteUsers => &[A::WriteUsers],
        A::CreateKeys | A::DeleteKeys => &[A::WriteKeys],
        A::AttachPolicies => &[A::WritePolicies],
        _ => &[],
    }
}

/// Whether a pattern with `*` and `?` matches a name.
fn matches(pattern: &str, name: &str) -> bool {
    let lower = |text: &str| -> Vec<u8> { text.to_ascii_lowercase().into_bytes() };
    let (pattern, name) = (lower(pattern), lower(name));
    // One row of the usual table: whether the pattern so far matches the first n bytes.
    let mut row: Vec<bool> = (0..=name.len()).map(|n| n == 0).collect();
    for wanted in pattern {
        let mut next = vec![false; row.len()];
        let mut left = false;
        for (n, cell) in next.iter_mut().enumerate() {
            let above = row.get(n).copied().unwrap_or_default();
            let diagonal = n.checked_sub(1).and_then(|n| row.get(n)).copied();
            *cell = match wanted {
                b'*' => above || left,
                b'?' => diagonal.unwrap_or_default(),
                wanted => {
                    let here = n.checked_sub(1).and_then(|n| name.get(n));
                    here == Some(&wanted) && diagonal.unwrap_or_default()
                }
            };
            left = *cell;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_sets() {
        let set = |text: &str| actions(text).unwrap();
        assert!(set("s3:GetObject").holds(A::ReadObject));
        assert!(set("S3:getobject").holds(A::ReadObjectMetadata));
        assert!(!set("s3:GetObject").holds(A::ReadObjectVersion));
        assert!(set("s3:Get*").holds(A::ReadObjectVersion));
        assert!(!set("s3:Get*").holds(A::WriteObject));
        assert!(set("s3:*").holds(A::WriteBucketQuota) && !set("s3:*").holds(A::WriteUsers));
        assert!(set("*").holds(A::WriteUsers) && set("iam:*").holds(A::WriteUsers));
        // To make something is not to change it, nor to take it away.
        for (one, others) in [
            ("iam:CreateUser", [A::WriteUsers, A::DeleteUsers]),
            ("iam:UpdateUser", [A::CreateUsers, A::DeleteUsers]),
            ("iam:DeleteAccessKey", [A::CreateKeys, A::WriteKeys]),
            ("iam:CreatePolicy", [A::AttachPolicies, A::WriteUsers]),
            ("iam:AttachUserPolicy", [A::WritePolicies, A::WriteUsers]),
        ] {
            assert!(!others.iter().any(|other| set(one).holds(*other)), "{one}");
        }
        for (whole, part) in [
            ("trestle:WriteUsers", A::CreateUsers),
            ("trestle:WriteUsers", A::DeleteUsers),
            ("trestle:WriteKeys", A::DeleteKeys),
            ("trestle:WritePolicies", A::AttachPolicies),
            ("iam:*", A::CreateKeys),
        ] {
            assert!(set(whole).holds(part), "{whole}");
        }
        assert!(set("s3:?etObject").holds(A::ReadObject));
        assert!(set("trestle:ReadObject").holds(A::ReadObject));
        assert!(set("sts:AssumeRole").holds(A::AssumeRole));
        // What was a part of them once is meant still, and has a name of its own besides.
        let attributes = A::WriteObjectAttributes;
        for whole in [
            "s3:PutObject",
            "trestle:WriteObjectMetadata",
            "trestle:WriteObjectDocument",
            "trestle:*Metadata",
        ] {
            assert!(set(whole).holds(attributes), "{whole}");
        }
        assert!(set("trestle:WriteBucketDocument").holds(A::WriteBucketAttributes));
        let alone = set("trestle:WriteObjectAttributes");
        assert!(alone.holds(attributes) && !alone.holds(A::WriteObjectMetadata));
        assert!(!set("trestle:WriteObject").holds(attributes));
        for nothing in ["s3:GetObjectVersionForReplication", "s3:*AccessPoint"] {
            assert!(set(nothing).is_empty(), "{nothing}");
        }
        assert!(set("s3:TagResource").holds(A::WriteBucketTags));
        for unknown in [
            "",
            "s3",
            "s3:",
            "s3:Nonsense",
            "s3:Get",
            "ec2:*",
            "GetObject",
            "trestle:x",
        ] {
            assert_eq!(actions(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn one_name_stands_for_its_actions_and_a_pattern_for_none() {
        let named = |text: &str| actions_named(text).unwrap();
        assert_eq!(named("ReadObject"), [A::ReadObject]);
        assert_eq!(named("trestle:readobject"), [A::ReadObject]);
        assert_eq!(
            named("S3:getObject"),
            [A::ReadObject, A::ReadObjectMetadata]
        );
        assert_eq!(named("sts:AssumeRole"), [A::AssumeRole]);
        assert_eq!(named("s3:RestoreObject"), []);
        assert_eq!(named("s3:createjob"), []);
        assert_eq!(actions_named("iam:CreateJob"), None);
        for unknown in [
            "",
            "readobject",
            "s3:",
            "s3:Get*",
            "s3:*",
            "*",
            "ec2:GetObject",
            "s3",
        ] {
            assert_eq!(actions_named(unknown), None, "{unknown}");
        }
    }

    /// So that an explanation has one resource.
    #[test]
    fn what_one_name_stands_for_is_done_to_things_of_one_kind() {
        for (name, actions) in [S3, IAM, STS].into_iter().flatten() {
            let levels: Vec<_> = actions.iter().map(|action| action.level()).collect();
            assert!(levels.windows(2).all(|two| two[0] == two[1]), "{name}");
        }
    }

    #[test]
    fn tables_are_in_order_and_name_everything_of_s3() {
        for table in [S3, IAM, STS] {
            assert!(table.is_sorted_by(|(one, _), (next, _)| one < next));
        }
        assert!(BESIDE_S3.is_sorted_by(|one, next| one < next));
        let mut names = S3.iter().map(|(name, _)| name);
        assert!(!names.any(|name| BESIDE_S3.contains(name)));
    }
}
