//! Who may do what, by TempAuth's rules over Swift's lists, and the grants that the store's verbs
//! take.
//!
//! What only Swift knows is decided here: passes by signature and prefixes that need a service. Everything else the core decides, by lists, policies and ownership. What the
//! caller then does is granted on the owner's authority, in the caller's name: a Deny of a policy and
//! an ordered list still bind it.

use crate::call::{Call, Place};
use crate::fault::{Fault, Outcome};
use crate::swift::unauthorized;
use crate::who::{RESELLER_ADMIN, SERVICE};
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Reason, Resource, Verdict};
use trestle_core::{AccountId, BucketName, ErrorKind, Key, Noun, Result};
use trestle_store::{Account, AccountUsage};

/// Name of the document that holds an account's list.
pub(crate) const ACCOUNT_ACL: &str = "swift.access-control";

/// What is asked for, in the terms in which Swift decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) container: Option<&'a str>,
    /// The object, when it is one; `*` for any.
    pub(crate) object: Option<&'a str>,
    /// Whether it only reads.
    pub(crate) reads: bool,
    /// Whether it makes or deletes an account.
    pub(crate) manages: bool,
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
        let narrowed = self.is_narrowed();
        if who.is_in(RESELLER_ADMIN) && !narrowed {
            return Ok(Rights {
                owner: true,
                reseller: true,
            });
        }
        let first = self.swift.prefixes.0.first().map(String::as_str);
        let needs_service = self.swift.prefixes.of(&name) != first;
        let serves = !needs_service || who.is_in(SERVICE);
        if who.is_in(&name) && !wish.manages && serves && !narrowed {
            return Ok(OWNER);
        }
        if !wish.manages && !needs_service {
            let account = Resource::Account(wish.account.clone());
            if !who.is_anonymous() && self.core(Action::WriteAccountAcl, account).await? {
                return Ok(OWNER);
            }
            let (action, resource) = self.neutral(wish)?;
            if self.core(action, resource).await? {
                return Ok(GUEST);
            }
        }
        Err(match who.is_anonymous() {
            true => unauthorized(&name),
            false => Fault::new(403),
        })
    }

    /// The core's word for a wish.
    fn neutral(&self, wish: Wish<'_>) -> Outcome<(Action, Resource)> {
        let Some(container) = wish.container else {
            let action = match wish.reads {
                true => Action::ListBuckets,
                false => Action::WriteAccount,
            };
            return Ok((action, Resource::Account(wish.account.clone())));
        };
        let bucket = self.bucket_name(wish.account, container)?;
        let Some(object) = wish.object else {
            let action = match (wish.reads, self.method.as_str()) {
                (true, _) => Action::ListObjects,
                (_, "PUT") => Action::CreateBucket,
                (_, "DELETE") => Action::DeleteBucket,
                _ => Action::WriteBucketMetadata,
            };
            return Ok((action, Resource::Bucket(bucket)));
        };
        let action = match (wish.reads, self.method.as_str()) {
            (true, "HEAD") => Action::ReadObjectMetadata,
            (true, _) => Action::ReadObject,
            (_, "POST") => Action::WriteObjectMetadata,
            (_, "DELETE") => Action::DeleteObject,
            _ => Action::WriteObject,
        };
        // Which object it is makes no difference to lists; a policy may look at its name.
        let key = crate::container::key(object)?;
        Ok((action, Resource::Object(bucket, key)))
    }

    /// The circumstances of the request.
    fn context(&self) -> Context {
        let mut context = Context::at(self.now).of("swift", Some(&self.request_id));
        (context.source, context.secure) = (self.remote, self.secure);
        context.set_headers(|name| self.headers.get(name)?.to_str().ok());
        if self.target.container.is_some() && self.target.object.is_none() {
            self.add_listing(&mut context);
        }
        context
    }

    /// What a listing of a container asks for, by the names that policies give it.
    fn add_listing(&self, context: &mut Context) {
        let mut set = |key: &str, value: String| context.set(key, vec![value]);
        let asked = |name: &str| self.query.get(name).map(str::to_owned);
        for (name, key) in [
            ("prefix", "s3:prefix"),
            ("delimiter", "s3:delimiter"),
            ("limit", "s3:max-keys"),
        ] {
            if let Some(value) = asked(name) {
                set(key, value);
            }
        }
        // What is directly in a folder.
        if let Some(path) = asked("path") {
            let folder = match path.is_empty() || path.ends_with('/') {
                true => path,
                false => path + "/",
            };
            set("s3:prefix", folder);
            set("s3:delimiter", "/".to_owned());
        }
    }

    /// What the caller asks in its own name.
    fn asked(&self, action: Action, resource: Resource) -> Asked {
        let context = self.context();
        Asked {
            principal: self.who.principal.clone(),
            action,
            resource,
            context: Arc::new(context),
        }
    }

    /// Whether the core lets the caller do something in its own name.
    async fn core(&self, action: Action, resource: Resource) -> Outcome<bool> {
        let asked = self.asked(action, resource);
        match self.swift.store.authorize(asked).await {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::Forbidden | ErrorKind::NotFound(_) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    /// Whether the caller may read, or write, an object.
    pub(crate) async fn may_object(&self, place: &Place, reads: bool) -> Outcome<Rights> {
        self.may(Wish {
            account: &place.account,
            container: Some(&place.container),
            object: Some(&place.object),
            reads,
            manages: false,
        })
        .await
    }

    /// Whether the caller's token has policies that narrow it.
    fn is_narrowed(&self) -> bool {
        !self.who.principal.session_policies.is_empty()
    }

    /// Whether Swift's own rules let the caller through, whatever the object: nothing that looks at
    /// its name was asked.
    pub(crate) fn is_let_by_rules(&self, account: &AccountId) -> bool {
        let (who, name) = (&self.who, self.swift.prefixes.name(account));
        let groups = [RESELLER_ADMIN, &name];
        who.pass.is_some() || !self.is_narrowed() && groups.iter().any(|group| who.is_in(group))
    }

    /// A grant for what the rules have let through, unless something forbids it to the caller: a
    /// Deny of a policy, an ordered list, a policy that narrows its token.
    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        // What the rules themselves look at is told to nobody before they have let somebody through.
        let looks_up = matches!(action, Action::ReadAccount | Action::ReadBucket);
        if looks_up || self.who.is_anonymous() || self.who.pass.is_some() {
            return self.granted(action, resource).await;
        }
        let asked = self.asked(action, resource);
        match self.swift.store.authorize(asked.clone()).await {
            // What a token's own policies do not allow, nobody's authority does.
            Err(error) if error.kind() == ErrorKind::Forbidden && !self.is_narrowed() => {
                match self.is_forbidden(&asked).await? {
                    true => Err(error),
                    false => self.granted(action, asked.resource).await,
                }
            }
            decided => decided,
        }
    }

    /// Whether something forbids it, rather than nothing allowing it.
    async fn is_forbidden(&self, asked: &Asked) -> Result<bool> {
        let Some(account) = asked.principal.account() else {
            return Ok(false);
        };
        let own = Resource::Identity(account.clone(), "user/".to_owned());
        let grant = self.granted(Action::ExplainDecisions, own).await?;
        let verdict = self.swift.store.explain(&grant, asked).await?;
        Ok(verdict != Verdict::Denied(Reason::Nothing))
    }

    async fn granted(&self, action: Action, resource: Resource) -> Result<Grant> {
        let (account, user) = match self.who.principal.account() {
            Some(account) => (account.clone(), self.who.principal.user.clone()),
            None => (self.account.clone(), String::new()),
        };
        let asked = Asked {
            principal: Arc::new(Principal::root(account, user)),
            action,
            resource,
            context: Arc::new(self.context()),
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
