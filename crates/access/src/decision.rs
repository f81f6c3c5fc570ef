//! Principals, actions, resources, and the grant that a decision ends in.

use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Result};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody presented a credential.
    Anonymous,
    /// The root user, made with the store.
    Root {
        /// The root user's name.
        user: String,
        /// The root user's account.
        account: AccountId,
    },
}

/// What is to be done. Finer than any dialect's own verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create an account.
    CreateAccount,
    /// Read an account's properties and counters.
    ReadAccount,
    /// Change an account's properties.
    WriteAccount,
    /// Delete an account that owns nothing.
    DeleteAccount,
    /// List the buckets of an account.
    ListBuckets,
    /// Create a bucket.
    CreateBucket,
    /// Read a bucket's properties and counters.
    ReadBucket,
    /// Delete an empty bucket.
    DeleteBucket,
    /// List the keys of a bucket.
    ListObjects,
    /// Read an object's bytes.
    ReadObject,
    /// Read an object's metadata.
    ReadObjectMetadata,
    /// Create or replace an object.
    WriteObject,
    /// Delete an object.
    DeleteObject,
}

/// What it is to be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// An account.
    Account(AccountId),
    /// A bucket.
    Bucket(BucketName),
    /// What a key names.
    Object(BucketName, Key),
}

/// The permission to perform one action on one resource. Verbs check that it is theirs.
#[derive(Clone, Debug)]
pub struct Grant {
    principal: Principal,
    action: Action,
    resource: Resource,
}

impl Grant {
    /// Who it was given to.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What it permits.
    pub fn action(&self) -> Action {
        self.action
    }

    /// On what.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }
}

/// Decides. Today everything is granted to root and nothing to anybody else.
#[derive(Clone, Debug, Default)]
pub struct Authority;

impl Authority {
    /// Whether `principal` may perform `action` on `resource`.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn authorize(
        &self,
        principal: &Principal,
        action: Action,
        resource: Resource,
    ) -> Result<Grant> {
        match principal {
            Principal::Root { .. } => Ok(Grant {
                principal: principal.clone(),
                action,
                resource,
            }),
            Principal::Anonymous => Err(Error::new(
                ErrorKind::Forbidden,
                "anonymous access is not allowed",
            )),
        }
    }
}
