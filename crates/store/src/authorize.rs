//! Rights: the facts of a decision are read here, in one snapshot, and every verb confirms its
//! grant in its own.
//!
//! A grant that rests on just what a verb finds holds; else it is decided again on what is there.
//! What a verb found is what its commit expects, so a right that is taken away meanwhile is never
//! used.

use crate::row_key;
use crate::store::{self, FoundBucket, FoundObject, Store};
use std::sync::Arc;
use trestle_access::{Asked, BucketFacts, Facts, Grant, ObjectFacts, Resource, Revisions, Seen};
use trestle_core::{Error, ErrorKind, Noun, Result, Sequence, Timestamp};
use trestle_engine::{Expectation, MetaRead};

impl Store {
    /// The time, for the circumstances of a request.
    pub fn now(&self) -> Timestamp {
        self.host.clock.now()
    }

    /// Decides whether it may be done.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound(Bucket)` when what is not there does not allow it.
    pub async fn authorize(&self, asked: Asked) -> Result<Grant> {
        let read = self.snapshot().await?;
        let identities = identities_revision(&*read).await?;
        let bucket = match asked.resource.bucket() {
            None => None,
            Some(name) => match store::find_bucket(&*read, name).await {
                Ok(found) => Some(found),
                Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => None,
                Err(error) => return Err(error),
            },
        };
        let facts = facts_of(identities, bucket.as_ref(), Seen::Unread);
        match trestle_access::decide(asked.clone(), &facts) {
            Ok(Some(grant)) => return Ok(grant),
            Ok(None) => {}
            Err(error) => return Err(missing(&asked, bucket.as_ref(), error)),
        }
        let object = match (&asked.resource, &bucket) {
            (Resource::Object(_, key), Some(found)) => {
                store::find_object(&*read, found.bucket.id, key).await?
            }
            _ => None,
        };
        let object = object.as_ref().map_or(Seen::Absent, Seen::There);
        let facts = facts_of(identities, bucket.as_ref(), object);
        let undecided = || Error::new(ErrorKind::Internal, "a decision was not made");
        trestle_access::decide(asked, &facts)?.ok_or_else(undecided)
    }

    /// Confirms a grant on what a verb found in its snapshot, and says what the verb's commit has
    /// to expect beside the rows of the bucket and the object.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) async fn confirm(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        bucket: Option<&FoundBucket>,
        object: Option<&FoundObject>,
    ) -> Result<Expectation> {
        let identities = identities_revision(read).await?;
        let object = object.map_or(Seen::Absent, Seen::There);
        let now = revisions(identities, bucket, &object);
        if !grant.rests_on(&now) {
            grant.confirm(&facts_of(identities, bucket, object))?;
        }
        let key = row_key::identities();
        Ok(match identities {
            Sequence(0) => Expectation::Absent(key),
            revision => Expectation::Revision(key, revision),
        })
    }
}

/// Nothing protects the name of a bucket that does not exist.
fn missing(asked: &Asked, bucket: Option<&FoundBucket>, refused: Error) -> Error {
    match asked.resource.bucket() {
        Some(name) if bucket.is_none() && asked.action != trestle_access::Action::CreateBucket => {
            Error::not_found(Noun::Bucket, name)
        }
        _ => refused,
    }
}

/// The revision of everything that is known of identities; 0 before anything was.
async fn identities_revision(read: &dyn MetaRead) -> Result<Sequence> {
    let row = read.get(&row_key::identities()).await?;
    Ok(row.map_or(Sequence(0), |row| row.revision))
}

fn revisions(
    identities: Sequence,
    bucket: Option<&FoundBucket>,
    object: &Seen<&FoundObject>,
) -> Revisions {
    Revisions {
        identities,
        bucket: bucket.map(FoundBucket::revisions),
        object: match object {
            Seen::Unread => Seen::Unread,
            Seen::Absent => Seen::Absent,
            Seen::There(found) => Seen::There(found.revision),
        },
    }
}

fn facts_of(
    identities: Sequence,
    bucket: Option<&FoundBucket>,
    object: Seen<&FoundObject>,
) -> Facts {
    Facts {
        identity: None,
        account_acl: Seen::Absent,
        revisions: revisions(identities, bucket, &object),
        bucket: bucket.map(|found| {
            Arc::new(BucketFacts {
                name: found.bucket.name.clone(),
                owner: found.bucket.owner.clone(),
                policy: None,
                acl: None,
                ownership: Default::default(),
                public_access: Default::default(),
            })
        }),
        object: match object {
            Seen::Unread => Seen::Unread,
            Seen::Absent => Seen::Absent,
            Seen::There(found) => Seen::There(ObjectFacts {
                owner: found.object.owner.clone(),
                acl: None,
                tags: Default::default(),
            }),
        },
    }
}
