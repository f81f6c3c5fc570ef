//! The decision: what is asked, the facts it is decided on, and the grant that comes of it.
//!
//! [`decide`] is pure. A [`Grant`] carries what was asked and the revisions of the facts; a verb
//! compares these with what it finds and asks [`Grant::confirm`] again when they moved, so no right
//! that was taken away is used.

use crate::{Action, Context, Facts, Principal, Verdict, verdict};
use std::fmt;
use std::sync::Arc;
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Result, Sequence};

/// What it is to be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// An account.
    Account(AccountId),
    /// A bucket.
    Bucket(BucketName),
    /// What a key names.
    Object(BucketName, Key),
    /// A user, group, role, policy or access key of an account; empty for all of a kind.
    Identity(AccountId, String),
    /// The server as a whole.
    Server,
}

impl Resource {
    /// The bucket that it is, or lies in.
    pub fn bucket(&self) -> Option<&BucketName> {
        match self {
            Resource::Bucket(bucket) | Resource::Object(bucket, _) => Some(bucket),
            _ => None,
        }
    }

    /// The account that it is, or belongs to by its name alone.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Resource::Account(account) | Resource::Identity(account, _) => Some(account),
            _ => None,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Account(account) => write!(f, "account {account}"),
            Resource::Bucket(bucket) => write!(f, "bucket {bucket}"),
            Resource::Object(bucket, key) => write!(f, "object {bucket}/{key}"),
            Resource::Identity(account, name) => write!(f, "identity {account}/{name}"),
            Resource::Server => f.write_str("server"),
        }
    }
}

/// May this principal do this to that, now?
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Who.
    pub principal: Arc<Principal>,
    /// What.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// Under which circumstances.
    pub context: Arc<Context>,
}

/// What was read of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Seen<T> {
    /// Nothing yet: it was not needed.
    #[default]
    Unread,
    /// There is none.
    Absent,
    /// This.
    There(T),
}

/// What a decision rests on, as commits number it. 0: there was no such row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revisions {
    /// Of everything that is known of identities.
    pub identities: Sequence,
    /// Of the bucket's name and of the bucket.
    pub bucket: Option<(Sequence, Sequence)>,
    /// Of the object.
    pub object: Seen<Sequence>,
}

/// The grant that the facts give; none when more has to be read first.
///
/// # Errors
/// `Forbidden`.
pub fn decide(asked: Asked, facts: &Facts) -> Result<Option<Grant>> {
    judge(&Arc::new(asked), facts).1
}

/// The verdict, and the grant that comes of it as [`decide`] gives it.
pub fn judge(asked: &Arc<Asked>, facts: &Facts) -> (Verdict, Result<Option<Grant>>) {
    let verdict = verdict(asked, facts);
    let decided = match &verdict {
        Verdict::Allowed(_) => Ok(Some(Grant {
            asked: asked.clone(),
            revisions: facts.revisions.clone(),
        })),
        Verdict::NeedsMore => Ok(None),
        // The reason may tell of policies: it is for those who may have it explained.
        Verdict::Denied(_) => Err(refused(asked)),
    };
    (verdict, decided)
}

fn refused(asked: &Asked) -> Error {
    let message = match asked.principal.is_anonymous() {
        true => "anonymous access is not allowed",
        false => "access is denied",
    };
    Error::new(ErrorKind::Forbidden, message)
}

/// The permission to perform one action on one resource. Verbs check that it is theirs, and confirm
/// it on what they find.
#[derive(Clone, Debug)]
pub struct Grant {
    asked: Arc<Asked>,
    revisions: Revisions,
}

impl Grant {
    /// Who it was given to.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.asked.principal
    }

    /// What it permits.
    pub fn action(&self) -> Action {
        self.asked.action
    }

    /// On what.
    pub fn resource(&self) -> &Resource {
        &self.asked.resource
    }

    /// Under which circumstances.
    pub fn context(&self) -> &Context {
        &self.asked.context
    }

    /// What was asked.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Whether it rests on just these revisions, so that it holds as it is.
    pub fn rests_on(&self, now: &Revisions) -> bool {
        self.revisions.identities == now.identities
            && self.revisions.bucket == now.bucket
            && (self.revisions.object == Seen::Unread || self.revisions.object == now.object)
    }

    /// Whether it was decided with the object looked at, its list included.
    pub fn saw_object(&self) -> bool {
        self.revisions.object != Seen::Unread
    }

    /// Decides again what was asked, on what is there now, object included; also says how.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn confirm(&self, facts: &Facts) -> (Verdict, Result<()>) {
        let verdict = verdict(&self.asked, facts);
        let confirmed = match &verdict {
            Verdict::Allowed(_) => Ok(()),
            Verdict::Denied(_) | Verdict::NeedsMore => Err(refused(&self.asked)),
        };
        (verdict, confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(principal: Principal) -> Asked {
        Asked {
            principal: Arc::new(principal),
            action: Action::ReadBucket,
            resource: Resource::Bucket(BucketName::parse("b").unwrap()),
            context: Arc::default(),
        }
    }

    #[test]
    fn root_may_and_nobody_else() {
        let account = AccountId::parse("a").unwrap();
        let facts = Facts::default();
        let root = asked(Principal::root(account.clone(), "r"));
        let grant = decide(root, &facts).unwrap().unwrap();
        assert!(grant.rests_on(&Revisions::default()));
        let moved = Revisions {
            identities: Sequence(1),
            ..Revisions::default()
        };
        assert!(!grant.rests_on(&moved));
        for principal in [Principal::anonymous(), Principal::user(account, "u")] {
            let refused = decide(asked(principal), &facts).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Forbidden);
        }
    }
}
