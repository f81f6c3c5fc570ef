//! Who asks.
//!
//! A principal says who presented which credential, and nothing of what they may do: that is looked
//! up when a decision is made, so a change of rights counts at once.

use crate::{IdentityFacts, Policy};
use std::sync::Arc;
use trestle_core::{AccountId, Owner, Sequence, Timestamp};

/// What kind of principal it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Nobody presented a credential.
    Anonymous,
    /// The root user, made with the store.
    Root,
    /// A user of an account.
    User,
    /// A user that a program works as.
    Service,
    /// Somebody who took a role for a while.
    Role {
        /// The role.
        role: String,
        /// The session's name.
        session: String,
    },
}

/// A token that was presented, or one whose keys were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borne {
    /// Its id.
    pub id: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    kind: PrincipalKind,
    account: Option<AccountId>,
    /// The name within the account; empty for nobody, `role/NAME` of a role.
    pub user: String,
    /// The unique id that a system gave the user; its name when none was given.
    pub id: String,
    /// When the user or the role was made: who was made later, of the same name, is somebody else.
    pub made: Option<Timestamp>,
    /// The name to show to people.
    pub display_name: String,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// Names of the groups of the account that the user is in, when the credential was resolved.
    pub groups: Vec<String>,
    /// Administers its account.
    pub admin: bool,
    /// Administers every account.
    pub reseller_admin: bool,
    /// Backs its account up: no list binds it there, though policies do. A dialect that knows of that
    /// says it of a request.
    pub backup_operator: bool,
    /// The access key that was presented, if it was one.
    pub access_key: Option<String>,
    /// Policies that narrow this session: each must allow what is done.
    pub session_policies: Vec<Arc<Policy>>,
    /// When the token was issued that was presented, if it was one.
    pub issued: Option<Timestamp>,
    /// That token.
    pub token: Option<Borne>,
    /// Whether it is the server itself, about its own books.
    server: bool,
    /// What was known of it when the credential was resolved, at this revision of identities.
    known: Option<(Sequence, Arc<IdentityFacts>)>,
}

impl Principal {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Principal {
            kind: PrincipalKind::Anonymous,
            account: None,
            user: String::new(),
            id: String::new(),
            made: None,
            display_name: String::new(),
            email: None,
            groups: Vec::new(),
            admin: false,
            reseller_admin: false,
            backup_operator: false,
            access_key: None,
            session_policies: Vec::new(),
            issued: None,
            token: None,
            server: false,
            known: None,
        }
    }

    /// The server itself, where it keeps its own books: no list and no policy binds it. Nobody's
    /// request is ever answered by what this alone may.
    pub fn server(account: AccountId) -> Self {
        let mut server = Principal::root(account, "root");
        server.server = true;
        server
    }

    /// The root user.
    pub fn root(account: AccountId, user: impl Into<String>) -> Self {
        let mut root = Principal::named(PrincipalKind::Root, account, user);
        (root.admin, root.reseller_admin) = (true, true);
        root
    }

    /// A role for a session. No user has its name, which has a slash.
    pub fn role(account: AccountId, role: &str, session: &str) -> Self {
        let kind = PrincipalKind::Role {
            role: role.to_owned(),
            session: session.to_owned(),
        };
        let mut principal = Principal::named(kind, account, format!("role/{role}"));
        principal.id = format!("{role}:{session}");
        principal
    }

    /// A user without any rights of its own.
    pub fn user(account: AccountId, user: impl Into<String>) -> Self {
        Principal::named(PrincipalKind::User, account, user)
    }

    /// A principal of an account.
    pub fn named(kind: PrincipalKind, account: AccountId, user: impl Into<String>) -> Self {
        let user = user.into();
        Principal {
            kind,
            account: Some(account),
            id: user.clone(),
            display_name: user.clone(),
            user,
            ..Principal::anonymous()
        }
    }

    /// Keeps what is known of it at a revision of identities, so that a decision at the same revision
    /// need not look it up again.
    #[must_use]
    pub fn known(mut self, revision: Sequence, facts: Arc<IdentityFacts>) -> Self {
        self.known = Some((revision, facts));
        self
    }

    /// What is known of it at just this revision of identities, if it was kept.
    pub fn known_at(&self, revision: Sequence) -> Option<&Arc<IdentityFacts>> {
        let (of, facts) = self.known.as_ref()?;
        (*of == revision).then_some(facts)
    }

    /// What kind it is.
    pub fn kind(&self) -> &PrincipalKind {
        &self.kind
    }

    /// Its account; nobody has none.
    pub fn account(&self) -> Option<&AccountId> {
        self.account.as_ref()
    }

    /// Whether nobody presented a credential.
    pub fn is_anonymous(&self) -> bool {
        self.kind == PrincipalKind::Anonymous
    }

    /// Whether it is the root user.
    pub fn is_root(&self) -> bool {
        self.kind == PrincipalKind::Root
    }

    /// Whether it is the server itself.
    pub fn is_server(&self) -> bool {
        self.server
    }

    /// Whether it is the root of its account: the administrator that is named like it.
    pub fn is_account_root(&self) -> bool {
        self.is_root()
            || (self.admin
                && self.account.as_ref().map(AccountId::as_str) == Some(self.user.as_str()))
    }

    /// The owner of what it makes; none for nobody.
    pub fn owner(&self) -> Option<Owner> {
        self.account.clone().map(|account| Owner {
            account,
            user: self.user.clone(),
            domain: None,
        })
    }
}
