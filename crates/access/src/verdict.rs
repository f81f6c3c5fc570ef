//! The order in which a decision is made. `docs/access.md` says it for people.
//!
//! 1. Who is unknown or disabled may nothing. 2. A Deny of any policy. 3. An ordered list. 4. Root.
//! 5. What admits everybody. 6. The owner's account: its administrators, its users' policies, and
//!    what names them. 7. Other accounts: what names a user, or what names their account and they
//!    are allowed to use. 8. Nothing else. What any of these allows, each policy of the session must
//!    allow, too.

use crate::acl::{AclAsked, Admission, Ordered, OrderedAsked, Place};
use crate::policy::{Asking, Effect, Naming, Policy, Spoken};
use crate::{
    Acl, Action, ActionSet, Asked, BucketFacts, Facts, IdentityFacts, Level, ObjectFacts,
    Ownership, Resource, Seen,
};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use trestle_core::{AccountId, Owner};

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPlace {
    /// Attached to who asks, under this name.
    Identity(Arc<str>),
    /// On the bucket.
    Bucket,
    /// On the session.
    Session,
    /// On the role that is to be taken.
    Trust,
}

/// Why something is decided as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The root user.
    Root,
    /// An administrator of the account.
    Administrator,
    /// An administrator of all accounts.
    ResellerAdministrator,
    /// Who backs the account up.
    BackupOperator,
    /// An account's root may always mend its buckets' policies.
    Mending,
    /// A statement of a policy.
    Statement {
        /// Where the policy stands.
        policy: PolicyPlace,
        /// Which statement.
        index: usize,
        /// Its name, if it has one.
        sid: Option<Arc<str>>,
    },
    /// A grant of an ACL.
    Grant {
        /// What the ACL belongs to.
        place: Place,
        /// Which grant.
        index: usize,
    },
    /// An ordered list: the entry, or that none speaks of it.
    Entry {
        /// What the list belongs to.
        place: Place,
        /// Which entry.
        index: Option<usize>,
    },
    /// The public is kept out.
    PublicAccessBlock,
    /// What another account says of its own, and is nobody else's to read.
    Elsewhere,
    /// No policy of the session allows it.
    Session,
    /// Who asks is disabled.
    Disabled,
    /// Nobody knows who asks.
    Unknown,
    /// Nothing allows it.
    Nothing,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |place: &Place| match place {
            Place::Account => "account",
            Place::Bucket => "bucket",
            Place::Object => "object",
        };
        match self {
            Reason::Root => f.write_str("the root user"),
            Reason::Administrator => f.write_str("an administrator of the account"),
            Reason::ResellerAdministrator => f.write_str("an administrator of all accounts"),
            Reason::BackupOperator => f.write_str("who backs the account up"),
            Reason::Mending => f.write_str("the account's root may mend its buckets' policies"),
            Reason::Statement { policy, index, sid } => {
                match policy {
                    PolicyPlace::Identity(name) => write!(f, "identity policy {name:?}")?,
                    PolicyPlace::Bucket => f.write_str("the bucket's policy")?,
                    PolicyPlace::Session => f.write_str("a policy of the session")?,
                    PolicyPlace::Trust => f.write_str("the role's trust policy")?,
                }
                write!(f, ", statement {index}")?;
                match sid {
                    Some(sid) => write!(f, " ({sid})"),
                    None => Ok(()),
                }
            }
            Reason::Grant { place: of, index } => {
                write!(f, "the ACL of the {}, grant {index}", place(of))
            }
            Reason::Entry { place: of, index } => match index {
                Some(index) => write!(f, "the ordered list of the {}, entry {index}", place(of)),
                None => write!(f, "the ordered list of the {} does not grant it", place(of)),
            },
            Reason::PublicAccessBlock => f.write_str("public access is blocked"),
            Reason::Elsewhere => f.write_str("what the account says that it belongs to"),
            Reason::Session => f.write_str("no policy of the session allows it"),
            Reason::Disabled => f.write_str("who asks is disabled"),
            Reason::Unknown => f.write_str("who asks is not known"),
            Reason::Nothing => f.write_str("nothing allows it"),
        }
    }
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It may, because of this.
    Allowed(Reason),
    /// It may not, because of this.
    Denied(Reason),
    /// It depends on the object or on the account's ACL, which were not read yet.
    NeedsMore,
}

impl Verdict {
    /// The verdict without what the rules say of the account that a thing belongs to: for who may
    /// know the rules of another account alone.
    #[must_use]
    pub fn without_its_owner_s(self) -> Verdict {
        let veiled = |reason| match reason {
            Reason::Statement {
                policy: PolicyPlace::Bucket | PolicyPlace::Trust,
                ..
            }
            | Reason::Grant { .. }
            | Reason::Entry { .. }
            | Reason::PublicAccessBlock => Reason::Elsewhere,
            reason => reason,
        };
        match self {
            Verdict::Allowed(reason) => Verdict::Allowed(veiled(reason)),
            Verdict::Denied(reason) => Verdict::Denied(veiled(reason)),
            Verdict::NeedsMore => Verdict::NeedsMore,
        }
    }
}

/// What those alone may do who administer all accounts.
const OF_RESELLERS: [Action; 5] = [
    Action::CreateAccount,
    Action::DeleteAccount,
    Action::WriteAccountQuota,
    Action::ListAccounts,
    Action::ReadAudit,
];

/// What the administrators of an account may do in it.
pub(crate) fn of_administrators() -> ActionSet {
    let all = Action::ALL.iter().copied();
    all.filter(|action| is_of_administrators(*action)).collect()
}

fn is_of_administrators(action: Action) -> bool {
    !OF_RESELLERS.contains(&action)
}

/// Decides.
pub fn verdict(asked: &Asked, facts: &Facts) -> Verdict {
    if asked.principal.is_server() {
        return Verdict::Allowed(Reason::Root);
    }
    // What a credential was resolved to may be out of date: the facts count.
    let mended = up_to_date(asked, facts);
    let asked = mended.as_ref().unwrap_or(asked);
    let case = Case::new(asked, facts);
    if let Some(refused) = case.refuse_who() {
        return Verdict::Denied(refused);
    }
    if case.needs_object_first() {
        return Verdict::NeedsMore;
    }
    if case.may_mend() {
        return Verdict::Allowed(Reason::Mending);
    }
    if let Some(reason) = case.denied_by_policy() {
        return Verdict::Denied(reason);
    }
    if case.is_for_backup() {
        // It may be another account's.
        if case.is_object_unread() {
            return Verdict::NeedsMore;
        }
        if let Some(shut) = case.shut_by_another_s_bucket() {
            return Verdict::Denied(shut);
        }
        return case.within_session(Verdict::Allowed(Reason::BackupOperator));
    }
    if let Some(verdict) = case.by_ordered_list() {
        // It was the bucket's: an object's own list, if it has one, is the one that counts.
        if matches!(verdict, Verdict::Denied(_)) && case.is_object_unread() {
            return Verdict::NeedsMore;
        }
        return case.within_session(verdict);
    }
    if asked.principal.is_root() {
        return case.within_session(Verdict::Allowed(Reason::Root));
    }
    match case.granted() {
        Some(reason) => case.within_session(Verdict::Allowed(reason)),
        None if case.has_unread() => Verdict::NeedsMore,
        None => Verdict::Denied(Reason::Nothing),
    }
}

/// What is asked, by a principal whose marks are those of the facts; none when they are anyway.
fn up_to_date(asked: &Asked, facts: &Facts) -> Option<Asked> {
    let identity = facts.identity.as_deref()?;
    let marks = (identity.admin, identity.reseller_admin);
    if (asked.principal.admin, asked.principal.reseller_admin) == marks {
        return None;
    }
    let mut principal = (*asked.principal).clone();
    (principal.admin, principal.reseller_admin) = marks;
    Some(Asked {
        principal: Arc::new(principal),
        ..asked.clone()
    })
}

/// A request, the facts, and what follows from both.
struct Case<'a> {
    asking: Asking<'a>,
    asked: &'a Asked,
    facts: &'a Facts,
    bucket: Option<&'a BucketFacts>,
    object: Option<&'a ObjectFacts>,
    identity: Option<&'a IdentityFacts>,
    groups: &'a [String],
}

impl<'a> Case<'a> {
    fn new(asked: &'a Asked, facts: &'a Facts) -> Self {
        let identity = facts.identity.as_deref();
        Case {
            asking: Asking::new(asked, facts),
            asked,
            facts,
            // Who creates a bucket is not asked what somebody else's of that name says.
            bucket: facts
                .bucket
                .as_deref()
                .filter(|_| asked.action != Action::CreateBucket),
            object: match &facts.object {
                Seen::There(object) => Some(object),
                _ => None,
            },
            identity,
            groups: identity.map_or(&[], |identity| &identity.groups),
        }
    }

    fn refuse_who(&self) -> Option<Reason> {
        let principal = &self.asked.principal;
        match self.identity {
            _ if principal.is_root() || principal.is_anonymous() => None,
            None => Some(Reason::Unknown),
            Some(identity) if !identity.enabled => Some(Reason::Disabled),
            Some(_) => None,
        }
    }

    /// Whether what the object says could forbid it.
    fn needs_object_first(&self) -> bool {
        if self.asked.action.level() != Level::Object || self.facts.object != Seen::Unread {
            return false;
        }
        let bucket = self.bucket.and_then(|bucket| bucket.policy.as_deref());
        // What gives an object away is asked before anything else changes: its own list counts then.
        if self.asked.action == Action::WriteObjectOwner {
            return true;
        }
        let mut others = self.session_policies().chain(bucket);
        let attached = self.identity.map(|identity| &identity.policies);
        attached.is_some_and(|policies| policies.needs_object(self.asked.action))
            || others.any(|policy| policy.needs_object(self.asked.action))
            || !self.asked.principal.is_root()
                && self.bucket.is_some_and(|b| b.ownership.is_of_writers())
                && self.is_of_object_s_owner()
    }

    /// Whether the object that it is about may be read yet.
    fn is_object_unread(&self) -> bool {
        let object = self.asked.action.level() == Level::Object && self.bucket.is_some();
        object && self.facts.object == Seen::Unread
    }

    /// Whether something may be read yet that could allow it.
    fn has_unread(&self) -> bool {
        self.is_object_unread() || self.owner().is_some() && self.facts.account_acl == Seen::Unread
    }

    /// The policies of the session.
    fn session_policies(&self) -> impl Iterator<Item = &'a Policy> + use<'a> {
        let session = &self.asked.principal.session_policies;
        session.iter().map(|policy| &**policy)
    }

    /// What the policies of who asks say first to one effect.
    fn attached(&self, effect: Effect) -> Option<Reason> {
        let (name, spoken) = self.identity?.policies.spoken(effect, &self.asking)?;
        Some(reason(Standing::Identity(name), &spoken))
    }

    fn bucket_policy(&self) -> Option<&'a Policy> {
        self.bucket?.policy.as_deref()
    }

    /// Whether an account's root mends its own bucket's policy.
    fn may_mend(&self) -> bool {
        use Action as A;
        let principal = &self.asked.principal;
        let own = self.bucket.map(|b| &b.owner.account) == principal.account();
        let of_policy = matches!(
            self.asked.action,
            A::ReadBucketPolicy | A::WriteBucketPolicy | A::DeleteBucketPolicy
        );
        // What narrows a session still does.
        let narrowed = !principal.session_policies.is_empty();
        of_policy && !narrowed && (own && principal.is_account_root() || principal.is_root())
    }

    fn denied_by_policy(&self) -> Option<Reason> {
        if let Some(reason) = self.attached(Effect::Deny) {
            return Some(reason);
        }
        let session = self.session_policies().map(|p| (Standing::Session, p));
        let bucket = self.bucket_policy().map(|p| (Standing::Bucket, p));
        let trust = self.facts.trust.as_deref();
        let trust = trust.map(|policy| (Standing::Trust, policy));
        for (place, policy) in session.chain(bucket).chain(trust) {
            if let Some(spoken) = policy.spoken(Effect::Deny, &self.asking).next() {
                return Some(reason(place, &spoken));
            }
        }
        None
    }

    /// What an ordered list says, when one has a say: the object's own, else the bucket's.
    fn by_ordered_list(&self) -> Option<Verdict> {
        let of_object = self.object.and_then(|object| {
            let acl = object.acl.as_deref()?;
            Some((Place::Object, acl, &object.owner)).filter(|_| acl.entries.is_some())
        });
        let of_bucket = || {
            let bucket = self.bucket?;
            Some((Place::Bucket, bucket.acl.as_deref()?, &bucket.owner))
        };
        let object_level = self.asked.action.level() == Level::Object;
        let found = of_object.filter(|_| object_level).or_else(of_bucket);
        let (place, acl, owner) = found?;
        let principal = &self.asked.principal;
        use Action as A;
        let of_acl = matches!(
            self.asked.action,
            A::ReadObjectAcl | A::WriteObjectAcl | A::ReadBucketAcl | A::WriteBucketAcl
        );
        // Somebody must be able to mend a list that locks everybody out.
        if of_acl && principal.is_root() {
            return None;
        }
        // Who administers an account takes over whatever is of it.
        let of_owner = matches!(self.asked.action, A::WriteObjectOwner | A::WriteBucketOwner);
        let admin = self.identity.is_some_and(|identity| identity.admin);
        let administers = admin && principal.account() == Some(&owner.account);
        if of_owner && (principal.is_root() || administers) {
            return None;
        }
        if object_level && let Some(shut) = self.traversal_denied() {
            return Some(Verdict::Denied(shut));
        }
        let asked = self.ordered_asked(owner);
        let mut decided = acl.ordered(place, self.asked.action, &asked)?;
        if place == Place::Bucket
            && self.makes_subcontainer()
            && let Some(allowed @ Ordered::Allowed(_)) = acl.subcontainer(&asked)
        {
            decided = allowed;
        }
        let entry = |index| Reason::Entry { place, index };
        Some(match decided {
            Ordered::Allowed(_) if self.is_public_blocked(owner.account.as_str()) => {
                Verdict::Denied(Reason::PublicAccessBlock)
            }
            Ordered::Allowed(index) => Verdict::Allowed(entry(Some(index))),
            Ordered::Denied(index) => Verdict::Denied(entry(Some(index))),
            Ordered::Silent => Verdict::Denied(entry(None)),
        })
    }

    /// Whether it is what takes copies of an account's things, and brings them back, by who does that.
    fn is_for_backup(&self) -> bool {
        use Action as A;
        let action = self.asked.action;
        let of_bucket = matches!(
            action,
            A::CreateBucket
                | A::ReadBucket
                | A::ReadBucketMetadata
                | A::ReadBucketLocation
                | A::ReadBucketAcl
                | A::ListObjects
                | A::WriteBucketMetadata
                | A::WriteBucketDocument
                | A::WriteBucketAttributes
                | A::WriteBucketAcl
                | A::WriteBucketRetention
                | A::WriteBucketHold
        );
        let of_object = action.level() == Level::Object && action != A::BypassRetention;
        let principal = &self.asked.principal;
        principal.backup_operator && (of_bucket || of_object) && self.is_all_of_account()
    }

    /// Whether what is asked for belongs to the account of who asks: an object by its own owner, and
    /// what comes and goes by its bucket's, too.
    fn is_all_of_account(&self) -> bool {
        let Some(account) = self.asked.principal.account() else {
            return false;
        };
        let by_bucket = || self.owner().as_deref() == Some(account);
        let object = self.object;
        match object.filter(|_| self.asked.action.level() == Level::Object) {
            Some(object) if object.owner.account != *account => false,
            Some(_) if self.is_of_object_s_owner() => true,
            _ => by_bucket(),
        }
    }

    /// Why the list of another account's bucket lets nobody like this at anything in it.
    fn shut_by_another_s_bucket(&self) -> Option<Reason> {
        let another = Some(&self.bucket?.owner.account) != self.asked.principal.account();
        let object_level = self.asked.action.level() == Level::Object;
        self.traversal_denied().filter(|_| another && object_level)
    }

    /// Who asks the ordered list of something of this owner.
    fn ordered_asked<'c>(&'c self, owner: &'c Owner) -> OrderedAsked<'c> {
        OrderedAsked {
            principal: &self.asked.principal,
            groups: self.groups,
            owner,
            time: self.asked.context.time,
        }
    }

    /// Why the bucket's ordered list lets nobody like this at anything in it.
    fn traversal_denied(&self) -> Option<Reason> {
        let bucket = self.bucket?;
        let acl = bucket.acl.as_deref()?;
        let index = acl.traversal_denied(&self.ordered_asked(&bucket.owner))?;
        let (place, index) = (Place::Bucket, Some(index));
        Some(Reason::Entry { place, index })
    }

    /// Whether it makes what is a subcontainer over CDMI: a key that ends in a slash, and is new.
    fn makes_subcontainer(&self) -> bool {
        let Resource::Object(_, key) = &self.asked.resource else {
            return false;
        };
        self.asked.action == Action::WriteObject
            && self.facts.object == Seen::Absent
            && key.as_str().ends_with('/')
    }

    /// Whether nobody but the owner's account comes in by a list.
    fn is_public_blocked(&self, owner: &str) -> bool {
        let own = self.asked.principal.account().map(AccountId::as_str) == Some(owner);
        let ignored = self
            .bucket
            .is_some_and(|b| b.public_access.ignore_public_acls);
        ignored && !own && !self.asked.principal.is_root()
    }

    /// Each policy of the session must allow what is allowed.
    fn within_session(&self, verdict: Verdict) -> Verdict {
        let allows = |policy: &Policy| {
            let mut spoken = policy.spoken(Effect::Allow, &self.asking);
            spoken.next().is_some()
        };
        match verdict {
            Verdict::Allowed(_)
                if !self
                    .asked
                    .principal
                    .session_policies
                    .iter()
                    .all(|p| allows(p)) =>
            {
                Verdict::Denied(Reason::Session)
            }
            verdict => verdict,
        }
    }

    /// Whether an action is the object's owner's to allow, where writers own objects.
    fn is_of_object_s_owner(&self) -> bool {
        use Action as A;
        !matches!(
            self.asked.action,
            A::WriteObject
                | A::DeleteObject
                | A::DeleteObjectVersion
                | A::AbortUpload
                | A::ListParts
        )
    }

    /// The owner of an object that belongs to another account than its bucket does.
    fn foreign_owner(&self) -> Option<&'a AccountId> {
        let (bucket, object) = (self.bucket?, self.object?);
        let foreign = bucket.ownership.is_of_writers()
            && bucket.owner.account != object.owner.account
            && self.is_of_object_s_owner()
            && self.asked.action.level() == Level::Object;
        foreign.then_some(&object.owner.account)
    }

    /// The account that what is asked for belongs to.
    fn owner(&self) -> Option<Cow<'a, AccountId>> {
        if let Some(foreign) = self.foreign_owner() {
            return Some(Cow::Borrowed(foreign));
        }
        match &self.asked.resource {
            Resource::Account(account) | Resource::Identity(account, _) => {
                Some(Cow::Borrowed(account))
            }
            Resource::Server => None,
            Resource::Bucket(_) | Resource::Object(..) => match self.bucket {
                Some(bucket) => Some(Cow::Borrowed(&bucket.owner.account)),
                None if self.asked.action == Action::CreateBucket => {
                    let named = self.asked.resource.bucket().and_then(|name| name.account());
                    let own = || self.asked.principal.account().map(Cow::Borrowed);
                    named.map(Cow::Owned).or_else(own)
                }
                None => None,
            },
        }
    }

    /// What lets somebody take a role: always its trust policy. That is enough for whom it names in
    /// person within its account; others must be allowed to use it, too.
    fn may_assume(&self) -> Option<Reason> {
        let (identity, trust) = (self.identity?, self.facts.trust.as_deref()?);
        let allowing = trust.spoken(Effect::Allow, &self.asking);
        let widest = allowing.max_by_key(|spoken| spoken.naming)?;
        let own = self.owner().as_deref() == self.asked.principal.account();
        let enough = own && widest.naming != Naming::Account;
        let used = || identity.admin || identity.reseller_admin || self.by_identity().is_some();
        (enough || used()).then(|| reason(Standing::Trust, &widest))
    }

    /// What grants it.
    fn granted(&self) -> Option<Reason> {
        if self.asked.action == Action::AssumeRole {
            return self.may_assume();
        }
        let policy = self.by_bucket_policy();
        let acl = self.by_acl();
        if let Some((Naming::Everyone, reason)) = &policy {
            return Some(reason.clone());
        }
        if let Some((Admission::Public(_), reason)) = &acl {
            return Some(reason.clone());
        }
        let identity = self.identity?;
        let owner = self.owner();
        let own = owner.is_some() && owner.as_deref() == self.asked.principal.account();
        if identity.reseller_admin {
            return Some(Reason::ResellerAdministrator);
        }
        if identity.admin && own && is_of_administrators(self.asked.action) {
            return Some(Reason::Administrator);
        }
        if let Some((Admission::Person(_), reason)) = &acl {
            return Some(reason.clone());
        }
        let by_identity = self.by_identity();
        if own {
            let named = policy.filter(|(naming, _)| *naming == Naming::Person);
            // What belongs to those alone who administer all accounts is no policy's to give.
            let mine = by_identity.filter(|_| is_of_administrators(self.asked.action));
            return mine.or(named.map(|(_, reason)| reason));
        }
        // Another account's: it must admit, and who asks must be allowed to use that.
        let admitted = policy
            .map(|(_, r)| r)
            .or_else(|| acl.map(|(_, reason)| reason));
        admitted.filter(|_| identity.admin || by_identity.is_some())
    }

    fn by_identity(&self) -> Option<Reason> {
        self.attached(Effect::Allow)
    }

    fn by_bucket_policy(&self) -> Option<(Naming, Reason)> {
        let bucket = self.bucket?;
        let policy = bucket.policy.as_deref()?;
        // A bucket's policy says nothing of what belongs to others.
        if self.foreign_owner().is_some() {
            return None;
        }
        let own = Some(&bucket.owner.account) == self.asked.principal.account();
        if bucket.public_access.restrict_public_buckets && !own && policy.is_public() {
            return None;
        }
        let allowing = policy.spoken(Effect::Allow, &self.asking);
        let widest = allowing.max_by_key(|spoken| spoken.naming)?;
        Some((widest.naming, reason(Standing::Bucket, &widest)))
    }

    fn by_acl(&self) -> Option<(Admission, Reason)> {
        let mut found: Option<(Admission, Reason)> = None;
        let bucket = self.bucket.and_then(|bucket| bucket.acl.as_deref());
        let object = self.object.and_then(|object| object.acl.as_deref());
        let account = match &self.facts.account_acl {
            Seen::There(acl) => Some(&**acl),
            _ => None,
        };
        let object = object.filter(|_| self.asked.action.level() == Level::Object);
        let lists: [(Place, Option<&Acl>); 3] = [
            (Place::Bucket, bucket),
            (Place::Object, object),
            (Place::Account, account),
        ];
        for (place, acl) in lists {
            let Some(acl) = acl else { continue };
            let referrer = self.asked.context.get("aws:referer");
            let enforced = self.bucket.map(|bucket| bucket.ownership);
            let asked = AclAsked {
                place,
                action: self.asked.action,
                principal: &self.asked.principal,
                groups: self.groups,
                referrer: referrer
                    .and_then(|values| values.first())
                    .map(String::as_str),
                public: !self
                    .bucket
                    .is_some_and(|b| b.public_access.ignore_public_acls),
                grants: enforced != Some(Ownership::BucketOwnerEnforced),
            };
            let Some(admission) = acl.admits(&asked) else {
                continue;
            };
            let (Admission::Account(index) | Admission::Person(index) | Admission::Public(index)) =
                admission;
            if found.as_ref().is_none_or(|(widest, _)| *widest < admission) {
                found = Some((admission, Reason::Grant { place, index }));
            }
        }
        found
    }
}

/// Where a policy stands, while it is being looked at.
#[derive(Clone, Copy)]
enum Standing<'a> {
    Identity(&'a Arc<str>),
    Bucket,
    Session,
    Trust,
}

fn reason(place: Standing<'_>, spoken: &Spoken<'_>) -> Reason {
    Reason::Statement {
        policy: match place {
            Standing::Identity(name) => PolicyPlace::Identity(name.clone()),
            Standing::Bucket => PolicyPlace::Bucket,
            Standing::Session => PolicyPlace::Session,
            Standing::Trust => PolicyPlace::Trust,
        },
        index: spoken.index,
        sid: spoken.statement.sid.clone().filter(|sid| !sid.is_empty()),
    }
}

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
