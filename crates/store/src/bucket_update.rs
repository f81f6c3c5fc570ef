//! Changing a bucket's properties: each part by a right of its own, and only to what may follow
//! what was there.

use crate::authorize;
use crate::encryption::Encryption;
use crate::nouns::Bucket;
use crate::properties::{BucketProperties, Versioning};
use crate::protection::Guard;
use crate::record::{BucketRecord, Record};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use std::collections::{BTreeMap, BTreeSet};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Result};
use trestle_engine::{Commit, Write};

/// Largest policy and access control list of a bucket, together, in bytes.
pub const POLICY_BYTES_MAX: usize = 128 << 10;
/// Largest documents of a bucket: the bytes of all their names and texts.
pub const DOCUMENTS_BYTES_MAX: usize = 256 << 10;
/// Largest tags of a bucket or an object: the bytes of all their names and values.
pub const TAGS_BYTES_MAX: usize = 16 << 10;

/// How a bucket's properties change: run on what is there, again when that has changed.
pub type ChangeBucket<'a> = dyn Fn(&mut BucketProperties) -> Result<()> + Send + Sync + 'a;

impl Store {
    /// Changes a bucket's properties. Each part that comes out different needs a grant for its
    /// action on the bucket; shortening a retention in governance mode needs one for
    /// `BypassBucketRetention`, too.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; what `change` refuses with; `InvalidState` when the change may not follow
    /// what is there; `Locked` for a retention that would end earlier; `TooLarge`; `InvalidInput`;
    /// `Forbidden`; `Conflict` when concurrent changes keep winning.
    pub async fn update_bucket(
        &self,
        grants: &[Grant],
        name: &BucketName,
        change: &ChangeBucket<'_>,
    ) -> Result<Bucket> {
        let resource = Resource::Bucket(name.clone());
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, name).await?;
            let mut expectations = found.expectations();
            let mut bucket = found.bucket.clone();
            change(&mut bucket.properties)?;
            let former = &found.bucket.properties;
            let mut needed = actions(former, &bucket.properties);
            let bypassing = Action::BypassBucketRetention;
            let bypass = store::granted(grants, &[bypassing], &resource).is_ok();
            if bypass {
                needed.insert(bypassing);
            }
            for action in &needed {
                let grant = store::granted(grants, &[*action], &resource)?;
                let confirmed = self.confirm(&*read, grant, Some(&found), None).await?;
                if !expectations.contains(&confirmed) {
                    expectations.push(confirmed);
                }
            }
            if bucket.properties == *former {
                if let Some(grant) = grants.first() {
                    self.confirm(&*read, grant, Some(&found), None).await?;
                }
                return Ok(bucket);
            }
            let block = self.block_within(&*read, &bucket).await?;
            drop(read);
            check_transition(former, &bucket.properties)?;
            let guard = Guard {
                now: self.host.clock.now(),
                bypass,
            };
            bucket.modified = guard.now.after(bucket.modified);
            bucket.modifications = bucket.modifications.saturating_add(1);
            guard.check_retention(former.retention, bucket.properties.retention)?;
            check_limits(&bucket.properties)?;
            authorize::check_bucket(&bucket.name, former, &bucket.properties, &block)?;
            let commit = Commit {
                expectations,
                writes: vec![Write::Put {
                    key: row_key::bucket(bucket.id),
                    value: BucketRecord::new(&bucket)?.to_value()?,
                    body: None,
                }],
                ..Commit::default()
            };
            if self.try_commit(commit).await? {
                return Ok(bucket);
            }
        }
        Err(store::conflict())
    }

    /// Refuses a policy or an ACL that the block of a bucket or of its account keeps out, also when it
    /// is there already: [`Store::update_bucket`] looks at what changes alone.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `Forbidden` for what is blocked; `InvalidInput` for what is not understood.
    pub async fn check_blocked(
        &self,
        name: &BucketName,
        policy: Option<&str>,
        acl: Option<&str>,
    ) -> Result<()> {
        let read = self.snapshot().await?;
        let found = store::find_bucket(&*read, name).await?;
        let block = self.block_within(&*read, &found.bucket).await?;
        let new = BucketProperties {
            policy: policy.map(str::to_owned),
            acl: acl.map(str::to_owned),
            ..BucketProperties::default()
        };
        authorize::check_bucket(name, &BucketProperties::default(), &new, &block)
    }

    /// The same of the ACL of a bucket that is yet to be made in an account.
    ///
    /// # Errors
    /// `Forbidden` for what is blocked; `InvalidInput` for what is not understood.
    pub async fn check_blocked_in(&self, account: &AccountId, acl: &str) -> Result<()> {
        let read = self.snapshot().await?;
        let block = self.block_of_account(&*read, account).await?;
        authorize::check_acl(&block, (acl, None))
    }
}

/// What a caller must be allowed to do for this difference.
fn actions(former: &BucketProperties, new: &BucketProperties) -> BTreeSet<Action> {
    let mut actions = BTreeSet::new();
    let mut part = |differs: bool, action: Action| {
        if differs {
            actions.insert(action);
        }
    };
    part(
        former.versioning != new.versioning,
        Action::WriteBucketVersioning,
    );
    part(former.lock != new.lock, Action::WriteBucketLock);
    part(
        former.policy != new.policy,
        match new.policy {
            Some(_) => Action::WriteBucketPolicy,
            None => Action::DeleteBucketPolicy,
        },
    );
    part(former.acl != new.acl, Action::WriteBucketAcl);
    part(
        former.ownership != new.ownership,
        Action::WriteBucketOwnership,
    );
    part(
        former.public_access != new.public_access,
        Action::WriteBucketPublicAccess,
    );
    part(former.tags != new.tags, Action::WriteBucketTags);
    part(former.metadata != new.metadata, Action::WriteBucketMetadata);
    part(
        former.encryption != new.encryption,
        Action::WriteBucketEncryption,
    );
    part(former.quota != new.quota, Action::WriteBucketQuota);
    part(
        former.retention != new.retention,
        Action::WriteBucketRetention,
    );
    part(former.legal_hold != new.legal_hold, Action::WriteBucketHold);
    for name in former.documents.keys().chain(new.documents.keys()) {
        let written = new.documents.get(name);
        let action = match (Action::write_document(name), written) {
            (Action::WriteBucketWebsite, None) => Action::DeleteBucketWebsite,
            (action, _) => action,
        };
        part(former.documents.get(name) != written, action);
    }
    actions
}

fn check_transition(former: &BucketProperties, new: &BucketProperties) -> Result<()> {
    let refused = |message: &str| Err(Error::new(ErrorKind::InvalidState, message));
    if former.versioning != Versioning::Off && new.versioning == Versioning::Off {
        return refused("versioning can be suspended, and never be off again");
    }
    if former.lock.is_some() && new.lock.is_none() {
        return refused("object lock cannot be turned off");
    }
    if former.storage_policy != new.storage_policy {
        return refused("a storage policy is chosen when a bucket is created");
    }
    check_state(new)
}

/// What must hold of every bucket.
fn check_state(properties: &BucketProperties) -> Result<()> {
    if properties.lock.is_some() && properties.versioning != Versioning::Enabled {
        let message = "object lock needs versioning, which cannot be suspended under it";
        return Err(Error::new(ErrorKind::InvalidState, message));
    }
    if let Some(Encryption::Customer { .. }) = properties.encryption {
        return Err(Error::invalid(
            "a bucket cannot say which key its clients keep",
        ));
    }
    Ok(())
}

/// Refuses the properties of a new bucket that no bucket may have.
///
/// # Errors
/// `InvalidState`; `TooLarge`; `InvalidInput`.
pub(crate) fn check_new(properties: &BucketProperties) -> Result<()> {
    check_state(properties)?;
    check_limits(properties)
}

fn check_limits(properties: &BucketProperties) -> Result<()> {
    crate::put::check_metadata(&properties.metadata)?;
    check_tags(&properties.tags)?;
    if bytes(&properties.documents) > DOCUMENTS_BYTES_MAX {
        return Err(store::too_large(
            "a bucket's documents",
            DOCUMENTS_BYTES_MAX as u64,
        ));
    }
    let texts = [
        &properties.policy,
        &properties.acl,
        &properties.ownership,
        &properties.storage_policy,
    ];
    let length: usize = texts.into_iter().flatten().map(String::len).sum();
    if length > POLICY_BYTES_MAX {
        return Err(store::too_large(
            "a bucket's policy and access control list",
            POLICY_BYTES_MAX as u64,
        ));
    }
    Ok(())
}

/// Refuses tags beyond their limit.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if bytes(tags) > TAGS_BYTES_MAX {
        return Err(store::too_large("tags", TAGS_BYTES_MAX as u64));
    }
    Ok(())
}

/// Bytes of all names and texts.
pub(crate) fn bytes(map: &BTreeMap<String, String>) -> usize {
    map.iter().map(|(name, text)| name.len() + text.len()).sum()
}
