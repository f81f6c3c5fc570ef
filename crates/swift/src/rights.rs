//! Who may do what, by TempAuth's rules over Swift's lists, and the grants that the store's verbs
//! take.
//!
//! The rules decide whether the owner of an account or container lets the caller in; what the caller
//! then does is granted on the owner's authority, in the caller's name.

use crate::acl::{AccountList, List, Share};
use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::metadata;
use crate::swift::unauthorized;
use crate::who::{RESELLER_ADMIN, RESELLER_READER, SERVICE};
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, BucketName, ErrorKind, Key, Noun, Result};
use trestle_store::{Account, AccountUsage};

/// Name of the document that holds an account's list.
pub(crate) const ACCOUNT_ACL: &str = "swift.access-control";

/// What is asked for, in the terms in which Swift decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) container: Option<&'a str>,
    /// Whether it is an object.
    pub(crate) object: bool,
    /// Whether it only reads.
    pub(crate) reads: bool,
    /// Whether it makes or deletes an account.
    pub(crate) manages: bool,
    /// The container's list that counts.
    pub(crate) list: Option<&'a str>,
}

/// What the caller is to what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Whether it sees and sets what only owners see and set.
    pub(crate) owner: bool,
    /// Whether it administers every account.
    pub(crate) reseller: bool,
}

const GUEST: Rights = Rights {
    owner: false,
    reseller: false,
};

const OWNER: Rights = Rights {
    owner: true,
    reseller: false,
};

impl Call {
    /// An account; none when it does not exist.
    pub(crate) async fn account(&self, id: &AccountId) -> Outcome<Option<(Account, AccountUsage)>> {
        let grant = self
            .grant(Action::ReadAccount, Resource::Account(id.clone()))
            .await?;
        match self.swift.store.account(&grant, id).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Account) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the wish is granted.
    ///
    /// # Errors
    /// 401 for nobody, 403 for somebody.
    pub(crate) async fn may(&self, wish: Wish<'_>) -> Outcome<Rights> {
        let name = self.swift.prefixes.name(wish.account);
        let who = &self.who;
        if let Some(pass) = &who.pass {
            return match pass.admits(&name, wish.container) {
                true => Ok(GUEST),
                false => Err(Fault::new(401)),
            };
        }
        if who.is_in(RESELLER_ADMIN) {
            return Ok(Rights {
                owner: true,
                reseller: true,
            });
        }
        if who.is_in(RESELLER_READER) && wish.reads {
            return Ok(GUEST);
        }
        let first = self.swift.prefixes.0.first().map(String::as_str);
        let needs_service = self.swift.prefixes.of(&name) != first;
        if who.is_in(&name) && !wish.manages && (!needs_service || who.is_in(SERVICE)) {
            return Ok(OWNER);
        }
        if let Some(list) = wish.list.map(List::parse) {
            let referer = metadata::text(&self.headers, "referer")?;
            let admitted = list.admits_referrer(referer) && (wish.object || list.lists());
            if admitted || list.names(&who.groups) {
                return Ok(GUEST);
            }
        }
        if !who.groups.is_empty()
            && let Some((account, _)) = self.account(wish.account).await?
            && let Some(text) = account.properties.documents.get(ACCOUNT_ACL)
            && let Ok(list) = AccountList::parse(text)
        {
            match list.share(&who.groups) {
                Some(Share::Admin) => return Ok(OWNER),
                Some(Share::ReadWrite) if wish.container.is_some() || wish.reads => {
                    return Ok(GUEST);
                }
                Some(Share::ReadOnly) if wish.reads => return Ok(GUEST),
                _ => {}
            }
        }
        Err(match who.is_anonymous() {
            true => unauthorized(&name),
            false => Fault::new(403),
        })
    }

    /// Whether the caller may read, or write, objects of a container with these lists.
    pub(crate) async fn may_object(
        &self,
        account: &AccountId,
        container: &str,
        reads: bool,
        list: Option<&str>,
    ) -> Outcome<Rights> {
        self.may(Wish {
            account,
            container: Some(container),
            object: true,
            reads,
            manages: false,
            list,
        })
        .await
    }

    /// A grant for what the rules have let through.
    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let (account, user) = match self.who.principal.account() {
            Some(account) => (account.clone(), self.who.principal.user.clone()),
            None => (self.account.clone(), String::new()),
        };
        let mut context = Context::at(self.now);
        context.source = self.remote;
        let asked = Asked {
            principal: Arc::new(Principal::root(account, user)),
            action,
            resource,
            context: Arc::new(context),
        };
        self.swift.store.authorize(asked).await
    }

    /// A grant on a bucket.
    pub(crate) async fn on_bucket(&self, action: Action, bucket: &BucketName) -> Result<Grant> {
        self.grant(action, Resource::Bucket(bucket.clone())).await
    }

    /// A grant on an object.
    pub(crate) async fn on_object(
        &self,
        action: Action,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<Grant> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        self.grant(action, resource).await
    }
}
