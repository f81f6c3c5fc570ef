//! Rights on one key after the other: what a verb does to many keys, or needs beside what its grants
//! say, is decided for each of them on what the verb found.
//!
//! The decision is that of the request: the same principal under the same circumstances, by the same
//! evaluator. Its facts are those of the verb's snapshot, whose revisions the verb's commit expects.

use crate::audit::Audit;
use crate::authorize::object_facts;
use crate::identity;
use crate::store::{FoundBucket, FoundObject, Store};
use std::sync::Arc;
use trestle_access::{Action, Asked, Facts, Grant, Resource, Seen};
use trestle_core::{BucketName, Error, ErrorKind, Key, Result};
use trestle_engine::MetaRead;

/// Decides on keys of one bucket, for one who asks.
pub(crate) struct Decider {
    asked: Asked,
    facts: Facts,
    name: BucketName,
    audit: Audit,
}

impl Store {
    /// For who asked this, on a bucket that was found in `read`.
    pub(crate) async fn decider(
        &self,
        read: &dyn MetaRead,
        asked: &Asked,
        bucket: &FoundBucket,
    ) -> Result<Decider> {
        let moment = self.moment(read).await?;
        let mut facts = self.facts(moment, asked, Some(bucket)).await?;
        self.read_account_acl(moment, asked, Some(bucket), &mut facts)
            .await?;
        Ok(Decider {
            asked: asked.clone(),
            facts,
            name: bucket.bucket.name.clone(),
            audit: self.audit.clone(),
        })
    }
}

impl Decider {
    /// The same, for keys under another name of the bucket.
    pub(crate) fn under(mut self, name: &BucketName) -> Self {
        self.name = name.clone();
        self
    }

    /// The grant for an action on a key that holds `object`.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn grant(
        &mut self,
        action: Action,
        key: &Key,
        object: Option<&FoundObject>,
    ) -> Result<Grant> {
        let found = object.map_or(Seen::Absent, Seen::There);
        self.facts.revisions.object = match &found {
            Seen::There(found) => Seen::There(found.revision),
            _ => Seen::Absent,
        };
        self.facts.object = object_facts(found)?;
        self.decide(action, Resource::Object(self.name.clone(), key.clone()))
    }

    fn decide(&self, action: Action, resource: Resource) -> Result<Grant> {
        let asked = Arc::new(Asked {
            action,
            resource,
            ..self.asked.clone()
        });
        let (verdict, granted) = trestle_access::judge(&asked, &self.facts);
        if granted.is_err() {
            self.audit.decided(&asked, &verdict);
        }
        granted?.ok_or_else(|| Error::new(ErrorKind::Internal, "a decision was not made"))
    }

    /// Whether this may be done to the bucket itself.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn check_bucket(&self, action: Action) -> Result<()> {
        let resource = Resource::Bucket(self.name.clone());
        self.decide(action, resource).map(drop)
    }

    /// Whether all of these actions may be done to a key that holds `object`.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn check(
        &mut self,
        actions: &[Action],
        key: &Key,
        object: Option<&FoundObject>,
    ) -> Result<()> {
        for action in actions {
            self.grant(*action, key, object)?;
        }
        Ok(())
    }

    /// The revision of identities that it rests on, for the verb's commit to expect.
    pub(crate) fn expectation(&self) -> trestle_engine::Expectation {
        identity::expectation(self.facts.revisions.identities)
    }
}
