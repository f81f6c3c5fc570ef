//! What an operator chooses about the dialect, and what it asks the server for: who somebody is.

use crate::names::Names;
use crate::rates::Rates;
use crate::realms::Realms;
use futures::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;
use trestle_access::Principal;
use trestle_core::Result;

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names of the storage policies, the default one first. Each may be followed by aliases after
    /// a `:`, separated by `/`.
    pub policies: Vec<String>,
    /// Domains whose hosts name accounts and containers.
    pub domains: Vec<String>,
    /// Prefixes of account names, the default one first; the second and later ones need a service's
    /// token as well.
    pub prefixes: Vec<String>,
    /// The clusters that containers are synchronised between.
    pub realms: Realms,
    /// What no path may be.
    pub names: Option<Names>,
    /// How many requests a second are let through.
    pub rates: Rates,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            policies: vec!["default".to_owned()],
            domains: Vec::new(),
            prefixes: vec!["AUTH".to_owned(), "SERVICE".to_owned()],
            realms: Realms::default(),
            names: None,
            rates: Rates::default(),
        }
    }
}

/// A storage policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
}

impl Policy {
    fn parse(text: &str) -> Self {
        let (name, aliases) = text.split_once(':').unwrap_or((text, ""));
        Policy {
            name: name.trim().to_owned(),
            aliases: aliases
                .split('/')
                .map(str::trim)
                .filter(|alias| !alias.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Whether a client means it by this name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let mut names = self.aliases.iter().chain([&self.name]);
        names.any(|other| other.eq_ignore_ascii_case(name))
    }
}

impl Settings {
    /// The policies, the default one first.
    pub(crate) fn policies(&self) -> Vec<Policy> {
        let policies = self.policies.iter().map(|text| Policy::parse(text));
        policies.filter(|policy| !policy.name.is_empty()).collect()
    }
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// For how many seconds it is valid.
    pub seconds: u64,
}

/// Who somebody is: the server's identities, as this dialect asks for them.
pub trait Identify: Send + Sync {
    /// The user of an account with this password, from an address; none when there is none.
    fn login(
        &self,
        named: (&str, &str),
        password: &str,
        source: Option<IpAddr>,
    ) -> BoxFuture<'static, Result<Option<Arc<Principal>>>>;

    /// A token for a principal.
    fn issue(&self, principal: Arc<Principal>) -> BoxFuture<'static, Result<Issued>>;

    /// Whose token it is; none when it is nobody's, or no longer.
    fn resolve(
        &self,
        token: &str,
        source: Option<IpAddr>,
    ) -> BoxFuture<'static, Result<Option<Arc<Principal>>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_aliases_and_no_case() {
        let settings = Settings {
            policies: vec!["gold:au/yellow".into(), " ".into(), "silver".into()],
            ..Settings::default()
        };
        let policies = settings.policies();
        assert_eq!(policies.len(), 2);
        assert!(policies[0].is_called("GOLD") && policies[0].is_called("Yellow"));
        assert!(!policies[1].is_called("gold"));
    }
}
