//! Who asks, in TempAuth's terms: what a user is, in groups of Swift's own. What a temporary URL or a
//! form lets somebody do is a pass, whoever they are.
//!
//! Invariant: no name that an account chooses is one of these groups. Groups of an account are the
//! core's matter, which counts them in that account alone.

use crate::target::Prefixes;
use crate::tempurl::Scope;
use std::sync::Arc;
use trestle_access::{Principal, PrincipalKind};

/// The group of those who may act on every account.
pub(crate) const RESELLER_ADMIN: &str = ".reseller_admin";
/// The group that the second and later prefixes need.
pub(crate) const SERVICE: &str = "service";

/// What was let through by a signature instead of a user's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// The account, as the URL writes it.
    pub(crate) account: String,
    /// The container, when only it is meant.
    pub(crate) container: Option<String>,
}

impl Pass {
    /// A pass of this reach.
    pub(crate) fn new(scope: Scope, account: &str, container: &str) -> Self {
        Pass {
            account: account.to_owned(),
            container: (scope == Scope::Container).then(|| container.to_owned()),
        }
    }

    /// Whether it lets somebody there.
    pub(crate) fn admits(&self, account: &str, container: Option<&str>) -> bool {
        self.account == account
            && self
                .container
                .as_deref()
                .is_none_or(|own| Some(own) == container)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) principal: Arc<Principal>,
    pub(crate) groups: Vec<String>,
    pub(crate) pass: Option<Pass>,
}

impl Who {
    /// Nobody in particular.
    pub(crate) fn anonymous() -> Self {
        Who {
            principal: Arc::new(Principal::anonymous()),
            groups: Vec::new(),
            pass: None,
        }
    }

    /// A user, and the service that acts for it.
    pub(crate) fn new(
        principal: Arc<Principal>,
        service: Option<&Principal>,
        prefixes: &Prefixes,
    ) -> Self {
        let mut groups = groups_of(&principal, prefixes);
        groups.extend(
            service
                .iter()
                .flat_map(|service| groups_of(service, prefixes)),
        );
        Who {
            principal,
            groups,
            pass: None,
        }
    }

    /// Whether nobody presented a credential.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.principal.is_anonymous()
    }

    /// Whether it is in a group.
    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

fn groups_of(principal: &Principal, prefixes: &Prefixes) -> Vec<String> {
    let Some(account) = principal.account() else {
        return Vec::new();
    };
    let mut groups = Vec::new();
    if principal.admin {
        groups.extend(
            prefixes
                .0
                .iter()
                .map(|prefix| format!("{prefix}_{account}")),
        );
    }
    if principal.reseller_admin {
        groups.push(RESELLER_ADMIN.to_owned());
    }
    if *principal.kind() == PrincipalKind::Service {
        groups.push(SERVICE.to_owned());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_core::AccountId;

    #[test]
    fn no_name_that_an_account_chooses_opens_another() {
        let prefixes = Prefixes(vec!["AUTH".into(), "SERVICE".into()]);
        let names = [
            RESELLER_ADMIN,
            ".reseller_reader",
            SERVICE,
            "AUTH_other",
            "other",
        ];
        for account in ["a", "service", "AUTH_other", "SERVICE_other"] {
            let mut principal = Principal::user(AccountId::parse(account).unwrap(), SERVICE);
            principal.groups = names.map(str::to_owned).to_vec();
            for admin in [false, true] {
                principal.admin = admin;
                let who = Who::new(Arc::new(principal.clone()), Some(&principal), &prefixes);
                for name in names {
                    assert!(!who.is_in(name), "{account} {name}");
                }
            }
        }
    }

    #[test]
    fn users_and_their_services_have_groups() {
        let account = |name: &str| AccountId::parse(name).unwrap();
        let prefixes = Prefixes(vec!["AUTH".into(), "SERVICE".into()]);
        let mut admin = Principal::user(account("a"), "u");
        admin.admin = true;
        let service = Principal::named(PrincipalKind::Service, account("s"), "glance");
        let who = Who::new(Arc::new(admin), Some(&service), &prefixes);
        for group in ["AUTH_a", "SERVICE_a", "service"] {
            assert!(who.is_in(group), "{group}");
        }
        assert!(!who.is_in("AUTH_s") && !who.is_in(RESELLER_ADMIN));
        let plain = Who::new(
            Arc::new(Principal::user(account("a"), "v")),
            None,
            &prefixes,
        );
        assert!(plain.groups.is_empty());
        assert!(Who::anonymous().groups.is_empty());
        let pass = Pass::new(Scope::Container, "AUTH_a", "c");
        assert!(pass.admits("AUTH_a", Some("c")));
        assert!(!pass.admits("AUTH_a", Some("d")) && !pass.admits("AUTH_a", None));
        assert!(Pass::new(Scope::Account, "AUTH_a", "c").admits("AUTH_a", Some("d")));
    }
}
