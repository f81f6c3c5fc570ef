//! The policies that somebody has, arranged by what their statements are about, so that a decision
//! looks at those statements alone that may be about what is asked for, however many there are.
//!
//! The arrangement passes over nothing but what cannot be about it: which statement speaks first is
//! as if all of them were looked at in order.

use super::{Asking, Effect, Policy, Spoken, Statement};
use crate::{Action, ActionSet};
use std::collections::HashMap;
use std::sync::Arc;

/// A policy that is attached to a user, to one of its groups, or to a role.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachedPolicy {
    /// Its name.
    pub name: String,
    /// What it says.
    pub policy: Arc<Policy>,
}

/// The policies that somebody has, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttachedPolicies {
    /// How many there are.
    count: usize,
    /// What any statement grants, forbids, and decides by an object's tags.
    allows: ActionSet,
    denies: ActionSet,
    by_tags: ActionSet,
    /// Statements that may be about anything.
    anywhere: Vec<Place>,
    /// The others, by the first segment of what they are about: mostly a bucket.
    within: HashMap<Box<str>, Vec<Place>>,
}

/// A statement, and where it stands.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    /// The policy's name and place.
    name: Arc<str>,
    policy: usize,
    index: usize,
    effect: Effect,
    actions: ActionSet,
    statement: Arc<Statement>,
}

impl Extend<AttachedPolicy> for AttachedPolicies {
    fn extend<I: IntoIterator<Item = AttachedPolicy>>(&mut self, policies: I) {
        for AttachedPolicy { name, policy } in policies {
            let name: Arc<str> = name.into();
            self.allows = self.allows.or(policy.allows);
            self.denies = self.denies.or(policy.denies);
            self.by_tags = self.by_tags.or(policy.by_tags);
            for (index, statement) in policy.statements.iter().enumerate() {
                self.add(Place {
                    name: name.clone(),
                    policy: self.count,
                    index,
                    effect: statement.effect,
                    actions: statement.actions,
                    statement: statement.clone(),
                });
            }
            self.count += 1;
        }
    }
}

impl FromIterator<AttachedPolicy> for AttachedPolicies {
    fn from_iter<I: IntoIterator<Item = AttachedPolicy>>(policies: I) -> Self {
        let mut attached = AttachedPolicies::default();
        attached.extend(policies);
        attached
    }
}

impl AttachedPolicies {
    fn add(&mut self, place: Place) {
        let statement = place.statement.clone();
        let Some(roots) = statement.resources.as_ref().and_then(|r| r.roots()) else {
            return self.anywhere.push(place);
        };
        for root in roots {
            let within = self.within.entry(root.into()).or_default();
            // Two of its resources may lie in the same bucket.
            if within.last().map(Place::at) != Some(place.at()) {
                within.push(place.clone());
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a statement that may be about this action asks about the object's tags.
    pub(crate) fn needs_object(&self, action: Action) -> bool {
        self.by_tags.holds(action)
    }

    /// The first statement of one effect that is about a request, with the name of its policy.
    pub(crate) fn spoken<'a>(
        &'a self,
        effect: Effect,
        asking: &Asking<'_>,
    ) -> Option<(&'a Arc<str>, Spoken<'a>)> {
        let (action, actions) = match effect {
            Effect::Allow => (asking.asked.action, self.allows),
            Effect::Deny => (asking.asked.action, self.denies),
        };
        if !actions.holds(action) {
            return None;
        }
        let within = self.within.get(asking.root());
        let (mut anywhere, mut within) = (&self.anywhere[..], within.map_or(&[][..], |w| &w[..]));
        while let Some(place) = earlier(&mut anywhere, &mut within) {
            if place.effect != effect || !place.actions.holds(action) {
                continue;
            }
            if let Some(naming) = place.statement.is_about(asking) {
                let spoken = Spoken {
                    index: place.index,
                    statement: &place.statement,
                    naming,
                };
                return Some((&place.name, spoken));
            }
        }
        None
    }
}

impl Place {
    fn at(&self) -> (usize, usize) {
        (self.policy, self.index)
    }
}

/// Takes the earlier of the first places of two lists.
fn earlier<'a>(one: &mut &'a [Place], other: &mut &'a [Place]) -> Option<&'a Place> {
    let from = match (one.first(), other.first()) {
        (Some(first), Some(second)) if second.at() < first.at() => other,
        (None, _) => other,
        _ => one,
    };
    let (first, rest) = from.split_first()?;
    *from = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyKind;
    use crate::{Asked, Context, Facts, Principal, Resource};
    use proptest::prelude::*;
    use trestle_core::{AccountId, BucketName, Key};

    /// The same by looking at all statements of all policies in order.
    fn plainly<'a>(
        policies: &'a [AttachedPolicy],
        effect: Effect,
        asking: &Asking<'_>,
    ) -> Option<(&'a str, usize)> {
        policies.iter().find_map(|one| {
            let statements = one.policy.statements.iter().enumerate();
            let mut found = statements.filter(|(_, statement)| statement.effect == effect);
            let (index, _) = found.find(|(_, statement)| statement.is_about(asking).is_some())?;
            Some((one.name.as_str(), index))
        })
    }

    fn attached(number: usize, statements: &[String]) -> AttachedPolicy {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
            statements.join(",")
        );
        AttachedPolicy {
            name: format!("policy-{number}"),
            policy: Arc::new(Policy::parse(&text, PolicyKind::Identity).unwrap()),
        }
    }

    fn asked(principal: Principal, action: Action, resource: Resource) -> Asked {
        Asked {
            principal: Arc::new(principal),
            action,
            resource,
            context: Arc::new(Context::default()),
        }
    }

    fn statement() -> impl Strategy<Value = String> {
        let resource = prop::sample::select(vec![
            "*",
            "arn:aws:s3:::a",
            "arn:aws:s3:::a/*",
            "arn:aws:s3:::a/x",
            "arn:aws:s3:::a*",
            "arn:aws:s3:::a*/x",
            "arn:aws:s3:::?/x",
            "arn:aws:s3:::*/x",
            "arn:aws:s3:::ab/x*",
            "arn:aws:s3:::${aws:username}/*",
            "arn:aws:s3:::a${aws:username}/x",
            "arn:aws:s3:::a/${aws:username}",
            "arn:aws:s3:::b${*}/x",
            "arn:aws:s3::home:a/*",
            "arn:aws:iam::home:user/a",
            "arn:aws:iam::home:user/*",
        ]);
        let resources = prop::collection::vec(resource, 1..4);
        let action = prop::sample::select(vec!["s3:GetObject", "s3:*", "iam:*", "*"]);
        (resources, action, any::<bool>(), any::<bool>()).prop_map(
            |(resources, action, deny, not)| {
                let effect = if deny { "Deny" } else { "Allow" };
                let element = if not { "NotResource" } else { "Resource" };
                format!(r#"{{"Effect":"{effect}","Action":"{action}","{element}":{resources:?}}}"#)
            },
        )
    }

    proptest! {
        #[test]
        fn the_first_that_speaks_is_the_first_of_all(
            policies in prop::collection::vec(prop::collection::vec(statement(), 1..4), 0..6),
            bucket in "a|ab|b|b\\*|ann",
            key in "x|xy|ann|a/x",
            user in "ann|b",
            qualified in any::<bool>(),
        ) {
            let policies: Vec<AttachedPolicy> = policies
                .iter()
                .enumerate()
                .map(|(number, statements)| attached(number, statements))
                .collect();
            let arranged: AttachedPolicies = policies.iter().cloned().collect();
            let home = AccountId::parse("home").unwrap();
            let bucket = match qualified {
                true => BucketName::in_account(&home, &bucket).unwrap(),
                false => BucketName::parse(bucket).unwrap(),
            };
            let resources = [
                Resource::Object(bucket.clone(), Key::parse(&key).unwrap()),
                Resource::Bucket(bucket),
                Resource::Identity(home.clone(), "user/a".to_owned()),
                Resource::Account(home.clone()),
                Resource::Server,
            ];
            let facts = Facts::default();
            for resource in resources {
                for action in [Action::ReadObject, Action::ReadBucket, Action::WriteUsers] {
                    let principal = Principal::user(home.clone(), user.clone());
                    let asked = asked(principal, action, resource.clone());
                    let asking = Asking::new(&asked, &facts);
                    for effect in [Effect::Allow, Effect::Deny] {
                        let found = arranged.spoken(effect, &asking);
                        let found = found.map(|(name, spoken)| (&**name, spoken.index));
                        prop_assert_eq!(found, plainly(&policies, effect, &asking));
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_may_be_about_it_is_looked_at() {
        let policies = (0..1000).map(|number| {
            let statement = format!(
                r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::b{number}","arn:aws:s3:::b{number}/*"]}}"#
            );
            attached(number, &[statement])
        });
        let arranged: AttachedPolicies = policies.collect();
        assert!(arranged.anywhere.is_empty() && arranged.within.len() == 1000);
        assert!(arranged.within.values().all(|places| places.len() == 1));
    }
}
