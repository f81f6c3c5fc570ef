//! The principals and the resources that a statement names.

use super::json::Node;
use super::pattern::Pattern;
use super::{Asking, Reading};
use crate::{Principal, PrincipalKind, Resource};
use std::borrow::Cow;

/// How closely a statement names who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Naming {
    /// As one of an account, which still decides what each of its users may do.
    Account,
    /// In person.
    Person,
    /// As anybody.
    Everyone,
}

/// A principal as a policy writes it.
#[derive(Clone, Debug, PartialEq)]
enum Name {
    Everyone,
    Account(String),
    User(String, String),
    Role(String, String),
    Session(String, String, String),
    /// A program of another cloud: nobody here.
    Service,
}

/// The principals that a statement is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Principals {
    not: bool,
    names: Vec<Name>,
}

/// Splits an ARN, or a pattern of ARNs, into its six parts; a colon within a variable is no border.
pub(super) fn arn_parts(text: &str) -> Option<[&str; 6]> {
    let mut parts = Vec::with_capacity(6);
    let (mut start, mut depth) = (0, 0u32);
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && parts.len() < 5 => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
        previous = c;
    }
    parts.push(text.get(start..)?);
    parts.try_into().ok()
}

/// The parts of what is an ARN.
fn split_arn(text: &str) -> Option<[&str; 6]> {
    let [arn, partition, service, region, account, rest] = arn_parts(text)?;
    let known = ["aws", "aws-cn", "aws-us-gov"].contains(&partition);
    (arn == "arn" && known).then_some([arn, partition, service, region, account, rest])
}

impl Name {
    fn parse(text: &str) -> Result<Name, String> {
        let wrong = || format!("{text:?} is not a principal");
        if text == "*" {
            return Ok(Name::Everyone);
        }
        if text.is_empty() || text.contains(['*', '?', '$']) {
            return Err(wrong());
        }
        if !text.contains(':') {
            return Ok(Name::Account(text.to_owned()));
        }
        let [_, _, service, _, account, rest] = split_arn(text).ok_or_else(wrong)?;
        let account = account.to_owned();
        match (service, rest.split_once('/')) {
            ("iam", None) if rest == "root" => Ok(Name::Account(account)),
            ("iam", Some(("user", name))) => Ok(Name::User(account, name.to_owned())),
            ("iam", Some(("role", name))) => Ok(Name::Role(account, name.to_owned())),
            ("sts", Some(("assumed-role", rest))) => {
                let (role, session) = rest.split_once('/').ok_or_else(wrong)?;
                Ok(Name::Session(account, role.to_owned(), session.to_owned()))
            }
            _ => Err(wrong()),
        }
    }

    fn names(&self, principal: &Principal) -> Option<Naming> {
        let of = |account: &str| principal.account().map(|a| a.as_str()) == Some(account);
        // An ARN without an account means the account that is named like the user.
        let of_or_own =
            |account: &str, user: &str| of(if account.is_empty() { user } else { account });
        let named = match (self, principal.kind()) {
            (Name::Everyone, _) => return Some(Naming::Everyone),
            (Name::Account(account), _) => return of(account).then_some(Naming::Account),
            (_, PrincipalKind::Anonymous) | (Name::Service, _) => false,
            (Name::User(account, user), PrincipalKind::User | PrincipalKind::Service) => {
                of_or_own(account, user) && principal.user == *user
            }
            (Name::Role(account, name), PrincipalKind::Role { role, .. }) => {
                of(account) && name == role
            }
            (Name::Session(account, name, one), PrincipalKind::Role { role, session }) => {
                of(account) && name == role && one == session
            }
            _ => false,
        };
        named.then_some(Naming::Person)
    }
}

impl Principals {
    /// Reads a `Principal` or `NotPrincipal`.
    pub(super) fn parse(not: bool, node: &Node, kept: bool) -> Result<Principals, String> {
        let mut names = Vec::new();
        match node {
            Node::Text(text) if text == "*" => names.push(Name::Everyone),
            Node::Map(kinds) if !kinds.is_empty() => {
                for (kind, node) in kinds {
                    let texts = super::texts(node)?;
                    if texts.is_empty() && !kept {
                        return Err(format!("{kind:?} names nobody"));
                    }
                    for text in texts {
                        names.push(match kind.as_str() {
                            "AWS" => Name::parse(&text)?,
                            "CanonicalUser" => Name::Account(text),
                            "Service" => Name::Service,
                            _ => return Err(format!("{kind:?} is not a kind of principal here")),
                        });
                    }
                }
            }
            _ => return Err("a principal is \"*\" or a map".to_owned()),
        }
        Ok(Principals { not, names })
    }

    /// How it names a principal, most closely to everyone.
    pub(super) fn names(&self, principal: &Principal) -> Option<Naming> {
        let named = self
            .names
            .iter()
            .filter_map(|name| name.names(principal))
            .max();
        match (self.not, named) {
            (false, named) => named,
            (true, None) => Some(Naming::Everyone),
            (true, Some(_)) => None,
        }
    }

    /// Whether it names anybody at all.
    pub(super) fn is_everyone(&self) -> bool {
        self.not || self.names.contains(&Name::Everyone)
    }
}

/// The ARN of a principal; nobody has none.
pub(super) fn arn(principal: &Principal) -> Option<String> {
    let account = principal.account()?;
    Some(match principal.kind() {
        _ if principal.is_account_root() => format!("arn:aws:iam::{account}:root"),
        PrincipalKind::Role { role, session } => {
            format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
        }
        _ => format!("arn:aws:iam::{account}:user/{}", principal.user),
    })
}

/// A resource as a policy writes it.
#[derive(Clone, Debug, PartialEq)]
struct ResourceName {
    everything: bool,
    service: &'static str,
    account: Option<Pattern>,
    rest: Pattern,
}

impl ResourceName {
    fn parse(text: &str, reading: &Reading) -> Result<ResourceName, String> {
        let wrong = || format!("{text:?} is not a resource");
        if text == "*" {
            return Ok(ResourceName {
                everything: true,
                service: "",
                account: None,
                rest: Pattern::parse("*", true, None)?,
            });
        }
        let [_, _, service, region, account, rest] = split_arn(text).ok_or_else(wrong)?;
        let service = match service {
            "s3" => "s3",
            "iam" => "iam",
            _ => return Err(format!("{text:?} is of a service that is not here")),
        };
        if !(region.is_empty() || region == "*") || rest.is_empty() {
            return Err(wrong());
        }
        let account = match account {
            "" => None,
            account => Some(Pattern::parse(account, true, Some(reading))?),
        };
        Ok(ResourceName {
            everything: false,
            service,
            account,
            rest: Pattern::parse(rest, true, Some(reading))?,
        })
    }

    /// The first segment of all that it can be, when that is known.
    fn root(&self) -> Option<&str> {
        let literal = self.rest.literal();
        match literal.split_once('/') {
            _ if self.everything => None,
            Some((root, _)) => Some(root),
            None => Some(literal).filter(|_| self.rest.is_fixed()),
        }
    }

    fn matches(&self, asking: &Asking<'_>) -> bool {
        if self.everything {
            return true;
        }
        let arn = asking.arn();
        self.service == arn.service
            && self.rest.matches(&arn.rest, asking, false)
            && match &self.account {
                // Without an account: whatever has a name in the one global index.
                None => arn.service == "s3" && !arn.qualified,
                Some(pattern) => pattern.matches(arn.account, asking, false),
            }
    }
}

/// The resources that a statement is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resources {
    not: bool,
    names: Vec<ResourceName>,
}

impl Resources {
    /// Reads a `Resource` or `NotResource`; `bucket` is the only one that it may be about.
    pub(super) fn parse(
        not: bool,
        node: &Node,
        reading: &Reading,
        bucket: Option<&str>,
    ) -> Result<Resources, String> {
        let mut names = Vec::new();
        for text in super::texts(node)? {
            let name = ResourceName::parse(&text, reading)?;
            if let Some(bucket) = bucket.filter(|_| !name.everything) {
                let literal = name.rest.literal();
                let within = literal.split('/').next().unwrap_or_default();
                let local = bucket.split_once(':').map_or(bucket, |(_, local)| local);
                let open = !literal.contains('/');
                let fits =
                    within == local || open && local.starts_with(within) && !name.rest.is_fixed();
                if name.service != "s3" || !fits {
                    return Err(format!("{text:?} is not in this bucket"));
                }
            }
            names.push(name);
        }
        if names.is_empty() {
            return Err("there is no resource".to_owned());
        }
        Ok(Resources { not, names })
    }

    /// The first segments of all that it can be about: others than these it never is. None when
    /// they are not known.
    pub(super) fn roots(&self) -> Option<Vec<&str>> {
        let roots = self.names.iter().map(ResourceName::root).collect();
        if self.not { None } else { roots }
    }

    pub(super) fn matches(&self, asking: &Asking<'_>) -> bool {
        self.names.iter().any(|name| name.matches(asking)) != self.not
    }
}

/// The parts of a resource's ARN.
pub(crate) struct Arn<'a> {
    service: &'static str,
    account: &'a str,
    rest: Cow<'a, str>,
    /// Whether the bucket is known by its account alone.
    qualified: bool,
}

impl<'a> Asking<'a> {
    fn bucket_name(&self) -> Option<&'a str> {
        let found = self.facts.bucket.as_ref();
        let found = found.map(|bucket| bucket.name.as_str());
        found.or_else(|| self.asked.resource.bucket().map(|name| name.as_str()))
    }

    /// The first segment of what is asked for: its bucket, or of which kind an identity is.
    pub(super) fn root(&self) -> &str {
        let rest: &str = &self.arn().rest;
        rest.split_once('/').map_or(rest, |(root, _)| root)
    }

    /// What is asked for, as policies name it. Worked out once.
    fn arn(&self) -> &Arn<'a> {
        self.arn.get_or_init(|| {
            let name = self.bucket_name().unwrap_or_default();
            let (qualifier, local) = name.split_once(':').unwrap_or(("", name));
            let owner = self.facts.bucket.as_ref();
            let owner = owner.map_or(qualifier, |b| b.owner.account.as_str());
            let (service, account, rest) = match &self.asked.resource {
                Resource::Account(account) => ("s3", account.as_str(), Cow::Borrowed("")),
                Resource::Bucket(_) => ("s3", owner, Cow::Borrowed(local)),
                Resource::Object(_, key) => {
                    ("s3", owner, Cow::Owned([local, "/", key.as_str()].concat()))
                }
                Resource::Identity(account, name) => {
                    ("iam", account.as_str(), Cow::Borrowed(name.as_str()))
                }
                Resource::Server => ("trestle", "", Cow::Borrowed("server")),
            };
            Arn {
                service,
                account,
                rest,
                qualified: name.contains(':'),
            }
        })
    }
}
