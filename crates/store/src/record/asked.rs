//! Who asked for what goes on behind: a principal under circumstances, to be decided on later.
//!
//! Nothing of what they may do is kept: that is looked up each time. The time is not kept either.

use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_access::{
    Action, Asked, Context, Policy, PolicyKind, Principal, PrincipalKind, Resource,
};
use trestle_core::{AccountId, Error, Result, Timestamp};

const ANONYMOUS: u8 = 0;
const ROOT: u8 = 1;
const USER: u8 = 2;
const SERVICE: u8 = 3;
const ROLE: u8 = 4;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct AskedRecord {
    #[n(0)]
    kind: u8,
    #[n(1)]
    account: Option<String>,
    #[n(2)]
    user: String,
    #[n(3)]
    id: String,
    /// The session's name, of a role.
    #[n(4)]
    session: Option<String>,
    /// Policies that narrow the session.
    #[n(5)]
    policies: Vec<String>,
    /// Where the request came from.
    #[n(6)]
    source: Option<String>,
    #[n(7)]
    secure: bool,
    /// Condition keys and their values.
    #[n(8)]
    values: BTreeMap<String, Vec<String>>,
    /// When the token was issued.
    #[n(9)]
    issued: Option<u64>,
    /// Present and true, or absent: they back their account up.
    #[n(10)]
    backs_up: Option<bool>,
    /// When the user or the role was made, in microseconds.
    #[n(11)]
    made: Option<u64>,
}

impl AskedRecord {
    pub(crate) fn new(asked: &Asked) -> Self {
        let (principal, context) = (&asked.principal, &asked.context);
        let (kind, user, session) = match principal.kind() {
            PrincipalKind::Anonymous => (ANONYMOUS, &principal.user, None),
            PrincipalKind::Root => (ROOT, &principal.user, None),
            PrincipalKind::User => (USER, &principal.user, None),
            PrincipalKind::Service => (SERVICE, &principal.user, None),
            PrincipalKind::Role { role, session } => (ROLE, role, Some(session.clone())),
        };
        let policies = principal.session_policies.iter();
        AskedRecord {
            kind,
            account: principal.account().map(AccountId::to_string),
            user: user.clone(),
            id: principal.id.clone(),
            session,
            policies: policies.map(|policy| policy.text().to_owned()).collect(),
            source: context.source.map(|source| source.to_string()),
            secure: context.secure,
            values: context.values(),
            issued: principal.issued.map(|at| at.0),
            backs_up: principal.backup_operator.then_some(true),
            made: principal.made.map(|at| at.0),
        }
    }

    /// What was asked, of nothing in particular.
    pub(crate) fn into_asked(self) -> Result<Asked> {
        let wrong = || Error::corrupt("a record of who asked is malformed");
        let account = self.account.map(AccountId::parse).transpose()?;
        let mut principal = match (self.kind, account, self.session) {
            (ANONYMOUS, None, None) => Principal::anonymous(),
            (ROOT, Some(account), None) => Principal::root(account, self.user),
            (USER, Some(account), None) => Principal::user(account, self.user),
            (SERVICE, Some(account), None) => {
                Principal::named(PrincipalKind::Service, account, self.user)
            }
            (ROLE, Some(account), Some(session)) => Principal::role(account, &self.user, &session),
            _ => return Err(wrong()),
        };
        principal.id = self.id;
        principal.issued = self.issued.map(Timestamp);
        principal.made = self.made.map(Timestamp);
        principal.backup_operator = self.backs_up == Some(true);
        for text in &self.policies {
            let policy = Policy::parse_kept(text, PolicyKind::Session)?;
            principal.session_policies.push(Arc::new(policy));
        }
        let mut context = Context::at(Timestamp(0));
        let source = self.source.map(|text| text.parse().map_err(|_| wrong()));
        context.source = source.transpose()?;
        context.secure = self.secure;
        context.dialect = "job".into();
        for (key, values) in self.values {
            context.set(&key, values);
        }
        Ok(Asked {
            principal: Arc::new(principal),
            action: Action::DeleteObject,
            resource: Resource::Server,
            context: Arc::new(context),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_comes_back() {
        let account = AccountId::parse("acme").unwrap();
        let mut saver = Principal::user(account.clone(), "saver");
        saver.backup_operator = true;
        saver.made = Some(Timestamp(7));
        let mut of_role = Principal::role(account.clone(), "auditor", "s");
        of_role.issued = Some(Timestamp(9));
        let text = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        let policy = Policy::parse(text, PolicyKind::Session).unwrap();
        of_role.session_policies.push(Arc::new(policy));
        for principal in [
            Principal::anonymous(),
            Principal::root(account.clone(), "root"),
            Principal::user(account, "ann"),
            saver,
            of_role,
        ] {
            let mut context = Context::at(Timestamp(0)).with("aws:Referer", "x");
            context.source = Some("::1".parse().unwrap());
            context.secure = true;
            context.dialect = "job".into();
            let asked = Asked {
                principal: Arc::new(principal),
                action: Action::DeleteObject,
                resource: Resource::Server,
                context: Arc::new(context),
            };
            assert_eq!(AskedRecord::new(&asked).into_asked().unwrap(), asked);
        }
        let nobody = Asked {
            principal: Arc::new(Principal::anonymous()),
            action: Action::DeleteObject,
            resource: Resource::Server,
            context: Arc::default(),
        };
        let mut broken = AskedRecord::new(&nobody);
        broken.kind = 9;
        assert!(broken.into_asked().is_err());
    }
}
