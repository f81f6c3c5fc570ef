//! The root container: who may see and change it, by its list (clause 17).
//!
//! Nobody's account has it, so no policy speaks of it. Until a list is set, it is its owner's, the root
//! user's, and seen by everybody who is known; what is made in it is decided by the accounts that it
//! comes into, and by a list that is set besides. The end of a list decides nothing against the owner and
//! who administers all domains (17.2.7): what they do then is logged.

use crate::acl::{Acl, mask};
use crate::call::Call;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::node::Container;
use crate::rights;
use trestle_access::{Acl as Shared, Action, Ordered, OrderedAsked, Place};
use trestle_core::Result;
use trestle_store::ObjectProperties;

/// What is done to the root container itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AtRoot {
    /// One of the rights to a bucket.
    Does(Action),
    /// Something is added: a right of a list alone.
    Adds(u32),
}

impl Call<'_> {
    /// Refuses what the list of the root container does not give.
    pub(crate) fn check_root(&self, root: &Container, does: AtRoot) -> Answered<()> {
        match self.may_at_root(root, does)? {
            true => Ok(()),
            false => Err(Fault::forbidden(
                "the access control list of the root container does not allow it",
            )),
        }
    }

    /// Whether its list gives something to who asks.
    pub(crate) fn may_at_root(&self, root: &Container, does: AtRoot) -> Result<bool> {
        let principal = &self.principal;
        if principal.is_server() {
            return Ok(true);
        }
        let list = match &root.acl {
            Some(acl) => Shared::parse(acl)?,
            None => rights::shared(&Acl::of_root()),
        };
        let asked = OrderedAsked {
            principal,
            groups: &principal.groups,
            owner: &root.owner,
            time: self.context.time,
        };
        let decided = match does {
            AtRoot::Does(action) => list.ordered(Place::Bucket, action, &asked),
            AtRoot::Adds(mask::ADD_SUBCONTAINER) => list.subcontainer(&asked),
            AtRoot::Adds(_) => list.ordered(Place::Bucket, Action::WriteObject, &asked),
        };
        // What narrows a session knows nothing of this container.
        let narrowed = !principal.session_policies.is_empty();
        let changes = !matches!(
            does,
            AtRoot::Does(Action::ReadBucket | Action::ReadBucketAcl | Action::ListObjects)
        );
        Ok(match decided {
            Some(Ordered::Denied(_)) => false,
            _ if narrowed && changes => false,
            Some(Ordered::Allowed(_)) => true,
            _ => {
                let mends = principal.is_root() || principal.reseller_admin;
                if mends && !narrowed {
                    tracing::warn!(
                        user = %principal.user,
                        ?does,
                        "the root container's list does not speak of who administers it"
                    );
                }
                mends && !narrowed
            }
        })
    }

    /// Changes what the root container says of itself.
    pub(crate) async fn change_root(
        &self,
        root: &Container,
        document: &Document,
        mut new: ObjectProperties,
    ) -> Answered<()> {
        new.acl.clone_from(&root.acl);
        if let Some(update) = self.metadata_update(document) {
            rights::apply_to_root(&update, &mut new.acl)?;
        }
        let listed = new.acl != root.acl;
        if listed {
            self.check_root(root, AtRoot::Does(Action::WriteBucketAcl))?;
        }
        let described = new.documents != root.documents;
        if described {
            self.check_root(root, AtRoot::Does(Action::WriteBucketAttributes))?;
        }
        if new.metadata != root.metadata || !listed && !described {
            self.check_root(root, AtRoot::Does(Action::WriteBucketMetadata))?;
        }
        self.set_root_state(new).await
    }
}
