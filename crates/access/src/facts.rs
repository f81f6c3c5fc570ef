//! What a decision is made on, all of one moment.

use crate::{Acl, AttachedPolicies, Policy, Revisions, Seen};
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_core::{BucketName, Owner};

/// What is known of who asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityFacts {
    /// Whether it may do anything at all.
    pub enabled: bool,
    /// Administers its account.
    pub admin: bool,
    /// Administers every account.
    pub reseller_admin: bool,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// The policies that it has.
    pub policies: AttachedPolicies,
}

/// Who owns an object that somebody else than the bucket's owner writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Nothing was said: the bucket's owner may use every object, and ACLs add to that.
    #[default]
    Unsaid,
    /// The bucket's owner, and ACLs of objects and bucket are off.
    BucketOwnerEnforced,
    /// Whoever writes it, unless it is handed over at once.
    BucketOwnerPreferred,
    /// Whoever writes it.
    ObjectWriter,
}

impl Ownership {
    /// By its name in S3.
    pub fn named(name: &str) -> Option<Ownership> {
        Some(match name {
            "BucketOwnerEnforced" => Ownership::BucketOwnerEnforced,
            "BucketOwnerPreferred" => Ownership::BucketOwnerPreferred,
            "ObjectWriter" => Ownership::ObjectWriter,
            _ => return None,
        })
    }

    /// Whether an object may belong to another than the bucket's owner.
    pub(crate) fn is_of_writers(self) -> bool {
        matches!(
            self,
            Ownership::BucketOwnerPreferred | Ownership::ObjectWriter
        )
    }
}

/// What keeps the public out, whatever policies and ACLs say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// ACLs that admit the public cannot be written.
    pub block_public_acls: bool,
    /// What ACLs say of the public does not count.
    pub ignore_public_acls: bool,
    /// Policies that admit the public cannot be written.
    pub block_public_policy: bool,
    /// A policy that admits the public admits nobody of another account.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// What either of two blocks.
    #[must_use]
    pub fn or(self, other: PublicAccessBlock) -> PublicAccessBlock {
        PublicAccessBlock {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }
}

/// What is known of a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketFacts {
    /// The name by which policies know it.
    pub name: BucketName,
    /// Who owns it.
    pub owner: Owner,
    /// Its policy.
    pub policy: Option<Arc<Policy>>,
    /// Its ACL.
    pub acl: Option<Arc<Acl>>,
    /// Who owns objects.
    pub ownership: Ownership,
    /// What keeps the public out, of the bucket and of its account.
    pub public_access: PublicAccessBlock,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectFacts {
    /// Who owns it.
    pub owner: Owner,
    /// Its ACL.
    pub acl: Option<Arc<Acl>>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What a decision is made on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The revisions of it all.
    pub revisions: Revisions,
    /// Who asks; none for root and for nobody in particular.
    pub identity: Option<Arc<IdentityFacts>>,
    /// The ACL of the account that owns what is asked for. Covered by the revision of identities.
    pub account_acl: Seen<Arc<Acl>>,
    /// The bucket; none when it does not exist or nothing of a bucket is asked for.
    pub bucket: Option<Arc<BucketFacts>>,
    /// Who may take the role that is asked for.
    pub trust: Option<Arc<Policy>>,
    /// The object. While it is unread, it is taken for one without an ordered list; the verb that
    /// finds one asks again.
    pub object: Seen<ObjectFacts>,
}
