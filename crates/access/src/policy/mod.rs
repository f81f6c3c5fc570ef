//! The AWS policy language: reading a document, and what its statements say of a request.
//!
//! A document that holds anything that is not understood is refused when it is written, with the
//! place: a rule that nobody applies is worse than none. Of a document that is kept already, a
//! condition on a key that is not known any more lets nobody in. Nothing here decides; see
//! `decision`.

mod attached;
mod condition;
mod fit;
mod json;
mod named;
mod names;
mod pattern;

pub use attached::{AttachedPolicies, AttachedPolicy};
pub use condition::suppose;
pub use named::Naming;
pub use names::actions_named;

use crate::{Action, ActionSet, Asked, Facts};
use condition::Condition;
use json::Node;
use named::{Arn, Principals, Resources};
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;
use trestle_core::{Error, Result};

/// Largest policy document, in bytes.
pub const POLICY_BYTES_MAX: usize = 20 << 10;
/// Most values of one element.
const VALUES_MAX: usize = 1000;

/// What a policy is for: which elements it must have, and may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind<'a> {
    /// What the users may do that it is attached to.
    Identity,
    /// Who may do what to this bucket.
    Bucket(&'a str),
    /// What a session may do at most.
    Session,
    /// Who may take a role.
    Trust,
}

/// Whether a statement grants or forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It grants.
    Allow,
    /// It forbids, whatever else grants.
    Deny,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    /// Its name, if it has one.
    pub(crate) sid: Option<Arc<str>>,
    /// What it does.
    pub(crate) effect: Effect,
    principals: Option<Principals>,
    actions: ActionSet,
    resources: Option<Resources>,
    conditions: Vec<Condition>,
}

/// How a statement is read.
struct Reading {
    /// Whether it was taken before, perhaps by a release that took keys that are refused now.
    kept: bool,
    /// Whether its texts hold variables.
    variables: bool,
    /// How many keys were passed over.
    passed_over: Cell<usize>,
}

impl Reading {
    /// Refuses a key that is not known; of what is kept, counts it.
    fn pass_over(&self, why: impl FnOnce() -> String) -> std::result::Result<(), String> {
        if !self.kept {
            return Err(why());
        }
        self.passed_over.set(self.passed_over.get() + 1);
        Ok(())
    }
}

/// A policy that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its statements, in order.
    pub(crate) statements: Vec<Arc<Statement>>,
    /// What any of its statements grants, forbids, and decides by an object's tags: so that most
    /// policies need no look at their statements.
    allows: ActionSet,
    denies: ActionSet,
    by_tags: ActionSet,
    /// The document, of a session's policy alone.
    text: Box<str>,
}

/// A request and the facts, as conditions and patterns see them.
pub(crate) struct Asking<'a> {
    pub(crate) asked: &'a Asked,
    pub(crate) facts: &'a Facts,
    arn: OnceCell<Arn<'a>>,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(asked: &'a Asked, facts: &'a Facts) -> Self {
        let arn = OnceCell::new();
        Asking { asked, facts, arn }
    }
}

/// A statement that is about a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spoken<'a> {
    pub(crate) index: usize,
    pub(crate) statement: &'a Statement,
    pub(crate) naming: Naming,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// `InvalidInput` with the place of what is not understood.
    pub fn parse(text: &str, kind: PolicyKind<'_>) -> Result<Policy> {
        Policy::read(text, kind, false)
    }

    /// Reads a document that was taken before. Where it names a key that is refused by now, in a
    /// condition or as a variable, an Allow never applies, and a Deny does whatever the key's value
    /// is: nobody gets more by that than was meant, and the document can be seen and replaced.
    ///
    /// # Errors
    /// As [`Policy::parse`] for all else.
    pub fn parse_kept(text: &str, kind: PolicyKind<'_>) -> Result<Policy> {
        Policy::read(text, kind, true)
    }

    fn read(text: &str, kind: PolicyKind<'_>, kept: bool) -> Result<Policy> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(trestle_core::Error::new(
                trestle_core::ErrorKind::TooLarge,
                format!("a policy is limited to {POLICY_BYTES_MAX} bytes"),
            ));
        }
        let node = Node::parse(text).map_err(|error| refused("", &error))?;
        let Node::Map(elements) = &node else {
            return Err(refused("", "a policy is a map"));
        };
        let mut variables = false;
        let mut statements = None;
        for (name, node) in elements {
            match (name.as_str(), node) {
                ("Version", Node::Text(version)) if version == "2012-10-17" => variables = true,
                ("Version", Node::Text(version)) if version == "2008-10-17" => {}
                ("Version", _) => {
                    return Err(refused(name, "is \"2012-10-17\" or \"2008-10-17\""));
                }
                ("Id", Node::Text(_)) => {}
                ("Statement", node) => statements = Some(node),
                _ => return Err(refused(name, "is not an element of a policy")),
            }
        }
        let list = match statements {
            Some(Node::List(list)) if !list.is_empty() => list.as_slice(),
            Some(one @ Node::Map(_)) => std::slice::from_ref(one),
            _ => return Err(refused("Statement", "holds one statement or more")),
        };
        let statements: Vec<Arc<Statement>> = list
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let reading = Reading {
                    kept,
                    variables,
                    passed_over: Cell::default(),
                };
                let statement = Statement::parse(node, kind, &reading);
                statement
                    .and_then(|statement| match kept {
                        true => Ok(statement),
                        false => fit::check(&statement, node, kind).map(|()| statement),
                    })
                    .map(Arc::new)
                    .map_err(|(place, why)| refused(&format!("Statement[{index}]{place}"), &why))
            })
            .collect::<Result<_>>()?;
        for (index, statement) in statements.iter().enumerate() {
            let sid = statement.sid.as_ref().filter(|sid| !sid.is_empty());
            let before = statements.get(..index).unwrap_or_default();
            if sid.is_some() && before.iter().any(|other| other.sid.as_ref() == sid) {
                let place = format!("Statement[{index}].Sid");
                return Err(refused(&place, "is another statement's, too"));
            }
        }
        let document = if kind == PolicyKind::Session {
            text
        } else {
            ""
        };
        let of = |wanted: &dyn Fn(&Statement) -> bool| {
            let statements = statements.iter();
            let wanted = statements.filter(|statement| wanted(statement));
            wanted.fold(ActionSet::default(), |set, s| set.or(s.actions))
        };
        let by_tags = |s: &Statement| s.conditions.iter().any(Condition::needs_object);
        Ok(Policy {
            allows: of(&|s| s.effect == Effect::Allow),
            denies: of(&|s| s.effect == Effect::Deny),
            by_tags: of(&by_tags),
            statements,
            text: document.into(),
        })
    }

    /// The document as it was given, of a session's policy; of others, which have a name, nothing is
    /// kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statements of one effect that are about a request.
    pub(crate) fn spoken<'a>(
        &'a self,
        effect: Effect,
        asking: &'a Asking<'_>,
    ) -> impl Iterator<Item = Spoken<'a>> + 'a {
        let actions = match effect {
            Effect::Allow => self.allows,
            Effect::Deny => self.denies,
        };
        let speaks = actions.holds(asking.asked.action);
        let statements: &[Arc<Statement>] = if speaks { &self.statements } else { &[] };
        let statements = statements.iter().enumerate();
        let statements = statements.filter(move |(_, statement)| statement.effect == effect);
        statements.filter_map(|(index, statement)| {
            let naming = statement.is_about(asking)?;
            Some(Spoken {
                index,
                statement,
                naming,
            })
        })
    }

    /// Whether a statement that may be about this action asks about the object's tags.
    pub(crate) fn needs_object(&self, action: Action) -> bool {
        self.by_tags.holds(action)
    }

    /// Whether it lets anybody in who is not known: it grants to everyone without narrowing that to
    /// networks or principals.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            let everyone = statement
                .principals
                .as_ref()
                .is_some_and(Principals::is_everyone);
            statement.effect == Effect::Allow
                && !statement.actions.is_empty()
                && everyone
                && !statement.conditions.iter().any(Condition::is_narrow)
        })
    }
}

/// Where something is wrong within a statement, and what.
type Wrong = (String, String);

impl Statement {
    fn parse(
        node: &Node,
        kind: PolicyKind<'_>,
        reading: &Reading,
    ) -> std::result::Result<Statement, Wrong> {
        let at = |place: &str, why: &str| (format!(".{place}"), why.to_owned());
        let Node::Map(elements) = node else {
            return Err((String::new(), "is not a map".to_owned()));
        };
        let bucket = match kind {
            PolicyKind::Bucket(name) => Some(name),
            _ => None,
        };
        let (mut sid, mut effect, mut conditions) = (None, None, Vec::new());
        let (mut principals, mut actions, mut resources) = (None, None, None);
        let mut anywhere = false;
        for (name, node) in elements {
            let wrong = |why: String| (format!(".{name}"), why);
            let repeated = || at(name, "stands beside its opposite");
            match (name.as_str(), node) {
                ("Sid", Node::Text(text)) => sid = Some(text.as_str().into()),
                ("Effect", Node::Text(text)) if text == "Allow" => effect = Some(Effect::Allow),
                ("Effect", Node::Text(text)) if text == "Deny" => effect = Some(Effect::Deny),
                ("Effect", _) => return Err(at(name, "is \"Allow\" or \"Deny\"")),
                ("Principal" | "NotPrincipal", node) => {
                    let not = name == "NotPrincipal";
                    let parsed = Principals::parse(not, node, reading.kept).map_err(wrong)?;
                    if principals.replace(parsed).is_some() {
                        return Err(repeated());
                    }
                }
                ("Action" | "NotAction", node) => {
                    let parsed = match kind {
                        PolicyKind::Trust => parse_trusted_actions(node, name == "NotAction"),
                        _ => parse_actions(node, name == "NotAction"),
                    };
                    let parsed = parsed.map_err(wrong)?;
                    if actions.replace(parsed).is_some() {
                        return Err(repeated());
                    }
                }
                ("Resource" | "NotResource", node) => {
                    let not = name == "NotResource";
                    let before = reading.passed_over.get();
                    let parsed = Resources::parse(not, node, reading, bucket);
                    anywhere |= reading.passed_over.get() > before;
                    if resources.replace(parsed.map_err(wrong)?).is_some() {
                        return Err(repeated());
                    }
                }
                ("Condition", Node::Map(operators)) => {
                    for (operator, node) in operators {
                        let parsed = Condition::parse(operator, node, reading);
                        let wrong = |why| (format!(".Condition.{operator}"), why);
                        conditions.extend(parsed.map_err(wrong)?);
                    }
                }
                _ => return Err(at(name, "is not an element of a statement, or malformed")),
            }
        }
        let names_principals = matches!(kind, PolicyKind::Bucket(_) | PolicyKind::Trust);
        match (&principals, names_principals) {
            (None, true) => return Err(at("Principal", "is missing")),
            (Some(_), false) => return Err(at("Principal", "has no place in this policy")),
            _ => {}
        }
        match (&resources, kind) {
            (None, PolicyKind::Trust) => {}
            (Some(_), PolicyKind::Trust) => {
                return Err(at("Resource", "has no place in this policy"));
            }
            (None, _) => return Err(at("Resource", "is missing")),
            _ => {}
        }
        let effect = effect.ok_or_else(|| at("Effect", "is missing"))?;
        let actions = actions.ok_or_else(|| at("Action", "is missing"))?;
        Ok(Statement {
            sid,
            effect,
            principals,
            actions: match effect {
                Effect::Allow if reading.passed_over.get() > 0 => ActionSet::default(),
                _ => actions,
            },
            resources: resources.filter(|_| !anywhere),
            conditions,
        })
    }

    /// How it names who asks, when it is about what is asked.
    fn is_about(&self, asking: &Asking<'_>) -> Option<Naming> {
        if !self.actions.holds(asking.asked.action) {
            return None;
        }
        let naming = match &self.principals {
            None => Naming::Person,
            Some(principals) => principals.names(&asking.asked.principal)?,
        };
        let about = self.resources.as_ref().is_none_or(|r| r.matches(asking))
            && self.conditions.iter().all(|c| c.holds(asking));
        about.then_some(naming)
    }
}

fn parse_actions(node: &Node, not: bool) -> std::result::Result<ActionSet, String> {
    let mut set = ActionSet::default();
    let texts = texts(node)?;
    if texts.is_empty() {
        return Err("there is no action".to_owned());
    }
    for text in texts {
        let named = names::actions(&text);
        set = set.or(named.ok_or_else(|| format!("the action {text:?} is not known"))?);
    }
    if not {
        let all = crate::Action::ALL.iter().copied();
        return Ok(all.filter(|action| !set.holds(*action)).collect());
    }
    Ok(set)
}

/// A trust policy says who may take a role, and nothing else.
fn parse_trusted_actions(node: &Node, not: bool) -> std::result::Result<ActionSet, String> {
    let foreign = |text: &&String| !text.to_ascii_lowercase().starts_with("sts:");
    match texts(node)?.iter().find(foreign) {
        _ if not => Err("has no place in a trust policy".to_owned()),
        Some(text) => Err(format!(
            "the action {text:?} is none of a trust policy's, sts:…"
        )),
        None => parse_actions(node, not),
    }
}

/// One text or a list of texts; numbers and truths count as their texts.
fn texts(node: &Node) -> std::result::Result<Vec<String>, String> {
    let one = |node: &Node| match node {
        Node::Text(text) | Node::Number(text) => Ok(text.clone()),
        Node::Bool(truth) => Ok(truth.to_string()),
        _ => Err("is not a text".to_owned()),
    };
    match node {
        Node::List(list) if list.len() > VALUES_MAX => Err(format!("has over {VALUES_MAX} values")),
        Node::List(list) => list.iter().map(one).collect(),
        node => Ok(vec![one(node)?]),
    }
}

fn refused(place: &str, why: &str) -> Error {
    let separator = if place.is_empty() { "" } else { " " };
    Error::invalid(format!(
        "the policy is not understood: {place}{separator}{why}"
    ))
}

impl fmt::Display for Spoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.index)?;
        match &self.statement.sid {
            Some(sid) if !sid.is_empty() => write!(f, " ({sid})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
