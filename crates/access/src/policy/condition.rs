//! Conditions: operators, their modifiers, and the keys that can be known here.
//!
//! A key that this server can never know is refused when the policy is written: a rule that can
//! never hold would protect nothing. In a policy that is kept already what asks for such a key is
//! left out, and counted.

use super::json::Node;
use super::pattern::Pattern;
use super::{Asking, Reading};
use crate::{Context, Signed};
use std::borrow::Cow;
use std::net::IpAddr;
use trestle_core::{Error, Timestamp};

/// Keys that may stand in a condition, in lower case; one that ends with `/` or `-` takes a name.
const KEYS: &[&str] = &[
    "aws:currenttime",
    "aws:epochtime",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    // Users have no tags here: it is always absent, as of a user without any.
    "aws:principaltag/",
    "aws:principaltype",
    "aws:referer",
    "aws:resourceaccount",
    "aws:securetransport",
    "aws:sourceip",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "s3:authtype",
    "s3:delimiter",
    "s3:existingobjecttag/",
    "s3:if-match",
    "s3:if-none-match",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:objectcreationoperation",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:prefix",
    "s3:requestobjecttag/",
    "s3:requestobjecttagkeys",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:versionid",
    "s3:x-amz-",
    "sts:externalid",
    "sts:rolesessionname",
];

/// Those of them that nobody can suppose: they follow from who asks and what is there.
const FOLLOWING: &[&str] = &[
    "aws:multifactorauth",
    "aws:principal",
    "aws:resourceaccount",
    "aws:tokenissuetime",
    "aws:userid",
    "aws:username",
    "s3:existingobjecttag/",
    "s3:resourceaccount",
];

/// Whether this server can know what a condition key stands for.
pub(super) fn is_known_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    KEYS.iter().any(|known| match known.ends_with(['/', '-']) {
        true => key.len() > known.len() && key.starts_with(known),
        false => key == *known,
    })
}

/// What kind of values are compared, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal { fold: bool },
    Like,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Arn,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Order::Equal => left == right,
            Order::Less => left < right,
            Order::LessOrEqual => left <= right,
            Order::Greater => left > right,
            Order::GreaterOrEqual => left >= right,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Set {
    /// At least one; what is asked without a modifier, too.
    Any,
    /// Each.
    All,
}

/// What a condition's key is held against.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Text(Pattern),
    /// The parts of an ARN, each by itself: no wildcard of one reaches into the next.
    Arn(Box<[Pattern; 6]>),
    Number(f64),
    Date(i64),
    Bool(bool),
    Network(IpAddr, u8),
}

/// One operator on one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    compare: Compare,
    negated: bool,
    if_exists: bool,
    set: Option<Set>,
    key: String,
    wanted: Vec<Wanted>,
}

/// Operator, what it compares, and whether the result is turned round.
fn operator(name: &str) -> Option<(Compare, bool)> {
    use Compare::{Address, Arn, Binary, Bool, Date, Equal, Like, Null, Number};
    use Order as O;
    Some(match name {
        "StringEquals" => (Equal { fold: false }, false),
        "StringNotEquals" => (Equal { fold: false }, true),
        "StringEqualsIgnoreCase" => (Equal { fold: true }, false),
        "StringNotEqualsIgnoreCase" => (Equal { fold: true }, true),
        "StringLike" => (Like, false),
        "StringNotLike" => (Like, true),
        "NumericEquals" => (Number(O::Equal), false),
        "NumericNotEquals" => (Number(O::Equal), true),
        "NumericLessThan" => (Number(O::Less), false),
        "NumericLessThanEquals" => (Number(O::LessOrEqual), false),
        "NumericGreaterThan" => (Number(O::Greater), false),
        "NumericGreaterThanEquals" => (Number(O::GreaterOrEqual), false),
        "DateEquals" => (Date(O::Equal), false),
        "DateNotEquals" => (Date(O::Equal), true),
        "DateLessThan" => (Date(O::Less), false),
        "DateLessThanEquals" => (Date(O::LessOrEqual), false),
        "DateGreaterThan" => (Date(O::Greater), false),
        "DateGreaterThanEquals" => (Date(O::GreaterOrEqual), false),
        "Bool" => (Bool, false),
        "BinaryEquals" => (Binary, false),
        "IpAddress" => (Address, false),
        "NotIpAddress" => (Address, true),
        "ArnEquals" | "ArnLike" => (Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Arn, true),
        "Null" => (Null, false),
        _ => return None,
    })
}

fn number(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Makes values of a condition key part of circumstances that are asked about.
///
/// # Errors
/// `InvalidInput` for a key that no policy can ask for, one that follows from who asks and what is
/// there, and a value that the key cannot have.
pub fn suppose(context: &mut Context, key: &str, values: Vec<String>) -> Result<(), Error> {
    let lower = key.to_ascii_lowercase();
    if !is_known_key(&lower) {
        return Err(Error::invalid(format!("no policy can ask for {key:?}")));
    }
    let wrong = |what: &str| Error::invalid(format!("{key:?} is {what}"));
    let only = || match values.as_slice() {
        [only] => Ok(only.as_str()),
        _ => Err(wrong("one value")),
    };
    match lower.as_str() {
        "aws:currenttime" | "aws:epochtime" => {
            let at = date(only()?).and_then(|at| u64::try_from(at).ok());
            context.time = Timestamp(at.ok_or_else(|| wrong("a time"))?);
        }
        "aws:sourceip" => {
            let address = only()?.parse().map_err(|_| wrong("an address"))?;
            context.source = Some(address);
        }
        "aws:securetransport" => {
            context.secure = truth(only()?).ok_or_else(|| wrong("true or false"))?;
        }
        key if FOLLOWING.iter().any(|known| key.starts_with(known)) => {
            return Err(wrong("what follows from who asks and what is there"));
        }
        _ => context.set(key, values),
    }
    Ok(())
}

/// Microseconds since 1970, of ISO 8601 or of seconds.
fn date(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_microsecond());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let at = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_microsecond())
}

/// How many bits stand before an IPv4 address within IPv6.
const MAPPED: u8 = 96;

/// `192.0.2.0/24`, or an address alone.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        None => (text, None),
        Some((address, length)) => (address, Some(length)),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length: u8 = match length {
        None => most,
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().filter(|length| *length <= most)?
        }
        Some(_) => return None,
    };
    // A network of IPv4 addresses within IPv6 is that network of IPv4.
    Some(match (address.to_canonical(), length.checked_sub(MAPPED)) {
        (plain @ IpAddr::V4(_), Some(length)) if address.is_ipv6() => (plain, length),
        _ => (address, length),
    })
}

/// Whether an address lies in a network. An IPv4 address within IPv6 is that IPv4 address.
fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (true, u128::from(u32::from(v4)) << 96),
        IpAddr::V6(v6) => (false, u128::from(v6)),
    };
    let (kind, one) = bits(address.to_canonical());
    let (wanted, other) = bits(network);
    let mask = match length {
        0 => 0,
        length => u128::MAX << (128 - u32::from(length)),
    };
    kind == wanted && one & mask == other & mask
}

impl Condition {
    /// The key that it asks for, in lower case.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Reads what stands under one operator.
    pub(super) fn parse(
        name: &str,
        node: &Node,
        reading: &Reading,
    ) -> Result<Vec<Condition>, String> {
        let unknown = || format!("the operator {name:?} is not known");
        let (set, rest) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAllValues", rest)) => (Some(Set::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::Any), rest),
            Some(_) => return Err(unknown()),
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (compare, negated) = operator(rest).ok_or_else(unknown)?;
        if compare == Compare::Null && (if_exists || set.is_some()) {
            return Err(unknown());
        }
        let Node::Map(keys) = node else {
            return Err(format!("{name:?} holds no map of keys"));
        };
        if keys.is_empty() && !reading.kept {
            return Err(format!("{name:?} names no key"));
        }
        let mut conditions = Vec::new();
        for (key, node) in keys {
            let before = reading.passed_over.get();
            if !is_known_key(key) {
                reading.pass_over(|| format!("the condition key {key:?} cannot be known here"))?;
            }
            let mut wanted = Vec::new();
            let of_key = |why| format!("{key:?}: {why}");
            for text in super::texts(node).map_err(of_key)? {
                wanted.push(parse_wanted(compare, &text, reading).map_err(of_key)?);
            }
            if wanted.is_empty() {
                return Err(format!("the condition key {key:?} has no value"));
            }
            if reading.passed_over.get() > before {
                continue;
            }
            conditions.push(Condition {
                compare,
                negated,
                if_exists,
                set,
                key: key.to_ascii_lowercase(),
                wanted,
            });
        }
        Ok(conditions)
    }

    /// Whether it asks about an object's tags.
    pub(super) fn needs_object(&self) -> bool {
        self.key.starts_with("s3:existingobjecttag/")
    }

    /// Whether it holds.
    pub(super) fn holds(&self, asking: &Asking<'_>) -> bool {
        let values = asking.values(&self.key);
        if self.compare == Compare::Null {
            let absent = Wanted::Bool(values.is_none());
            return self.wanted.contains(&absent);
        }
        let Some(values) = values.filter(|values| values.iter().next().is_some()) else {
            return match self.set {
                Some(Set::All) => true,
                Some(Set::Any) => self.if_exists,
                None => self.if_exists || self.negated,
            };
        };
        let one = |value: &str| {
            let matches = |wanted: &Wanted| self.compares(value, wanted, asking);
            self.wanted.iter().any(matches) != self.negated
        };
        match (self.set, self.negated) {
            (Some(Set::All), _) | (None, true) => values.iter().all(one),
            (Some(Set::Any), _) | (None, false) => values.iter().any(one),
        }
    }

    fn compares(&self, value: &str, wanted: &Wanted, asking: &Asking<'_>) -> bool {
        match (self.compare, wanted) {
            (Compare::Equal { fold }, Wanted::Text(pattern)) => {
                pattern.matches(value, asking, fold)
            }
            (Compare::Like | Compare::Arn | Compare::Binary, Wanted::Text(pattern)) => {
                pattern.matches(value, asking, false)
            }
            (Compare::Arn, Wanted::Arn(wanted)) => {
                let mut parts = value.splitn(wanted.len(), ':');
                let mut fits = |wanted: &Pattern| {
                    let part = parts.next();
                    part.is_some_and(|part| wanted.matches(part, asking, false))
                };
                wanted.iter().all(&mut fits)
            }
            (Compare::Number(order), Wanted::Number(wanted)) => {
                number(value).is_some_and(|value| order.holds(value, *wanted))
            }
            (Compare::Date(order), Wanted::Date(wanted)) => {
                date(value).is_some_and(|value| order.holds(value, *wanted))
            }
            (Compare::Bool, Wanted::Bool(wanted)) => truth(value) == Some(*wanted),
            (Compare::Address, Wanted::Network(network, length)) => value
                .parse()
                .is_ok_and(|address| within(address, *network, *length)),
            _ => false,
        }
    }

    /// Whether it narrows a statement for everybody to somebody who is known: to networks that are
    /// not very wide, or to one principal.
    pub(super) fn is_narrow(&self) -> bool {
        if self.negated || self.if_exists || self.set == Some(Set::All) {
            return false;
        }
        let narrow = |wanted: &Wanted| match (wanted, self.key.as_str()) {
            (Wanted::Network(network, length), "aws:sourceip") => {
                *length >= if network.is_ipv4() { 8 } else { 32 }
            }
            (Wanted::Text(pattern), "aws:principalarn" | "aws:principalaccount" | "aws:userid") => {
                pattern.is_fixed()
            }
            (Wanted::Arn(parts), "aws:principalarn") => parts.iter().all(Pattern::is_fixed),
            _ => false,
        };
        self.wanted.iter().all(narrow)
    }
}

fn parse_wanted(compare: Compare, text: &str, reading: &Reading) -> Result<Wanted, String> {
    let wrong = |what: &str| format!("{text:?} is not {what}");
    Ok(match compare {
        Compare::Equal { .. } => Wanted::Text(Pattern::parse(text, false, Some(reading))?),
        Compare::Like => Wanted::Text(Pattern::parse(text, true, Some(reading))?),
        Compare::Arn => match super::named::arn_parts(text) {
            Some(parts) => {
                let parts = parts.map(|part| Pattern::parse(part, true, Some(reading)));
                let parts: Vec<Pattern> = parts.into_iter().collect::<Result<_, _>>()?;
                let parts = <[Pattern; 6]>::try_from(parts).map_err(|_| wrong("an ARN"))?;
                Wanted::Arn(Box::new(parts))
            }
            // A variable may stand for a whole one.
            None if text == "*" || text.contains("${") || reading.kept => {
                Wanted::Text(Pattern::parse(text, true, Some(reading))?)
            }
            None => return Err(wrong("an ARN")),
        },
        Compare::Binary => Wanted::Text(Pattern::parse(text, false, None)?),
        Compare::Number(_) => Wanted::Number(number(text).ok_or_else(|| wrong("a number"))?),
        Compare::Date(_) => Wanted::Date(date(text).ok_or_else(|| wrong("a date"))?),
        Compare::Bool | Compare::Null => {
            Wanted::Bool(truth(text).ok_or_else(|| wrong("true or false"))?)
        }
        Compare::Address => {
            let (address, length) = network(text).ok_or_else(|| wrong("an address or network"))?;
            Wanted::Network(address, length)
        }
    })
}

/// The values of a condition key.
pub(super) enum Values<'a> {
    /// One that follows from what is known.
    One(Cow<'a, str>),
    /// What the dialect said.
    Said(&'a [String]),
}

impl Values<'_> {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, said) = match self {
            Values::One(one) => (Some(&**one), [].as_slice()),
            Values::Said(said) => (None, *said),
        };
        one.into_iter().chain(said.iter().map(String::as_str))
    }

    /// The value, when there is just one.
    pub(super) fn only(&self) -> Option<Cow<'_, str>> {
        let mut values = self.iter();
        let only = values.next()?;
        values.next().is_none().then_some(Cow::Borrowed(only))
    }
}

/// A time as conditions compare it.
fn time(at: Timestamp) -> Option<Cow<'static, str>> {
    let micros = i64::try_from(at.0).ok()?;
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(Cow::Owned(at.to_string()))
}

/// What a signature says of itself.
fn said_by(signed: &Signed, key: &str, now: Timestamp) -> Option<Cow<'static, str>> {
    Some(match key {
        "s3:signatureage" => {
            let age = now.0.saturating_sub(signed.at?.0) / 1000;
            Cow::Owned(age.to_string())
        }
        "s3:authtype" => Cow::Borrowed(signed.way),
        _ => Cow::Borrowed(signed.version),
    })
}

impl<'a> Asking<'a> {
    /// The values of a condition key, in lower case; none when there is no such thing.
    pub(super) fn values(&self, key: &str) -> Option<Values<'a>> {
        let (principal, context) = (&*self.asked.principal, &*self.asked.context);
        let known: Cow<'a, str> = match key {
            "aws:currenttime" => time(context.time)?,
            "aws:epochtime" => context.time.seconds().to_string().into(),
            "aws:securetransport" => if context.secure { "true" } else { "false" }.into(),
            "aws:sourceip" => context.source?.to_canonical().to_string().into(),
            "aws:username" => match principal.kind() {
                crate::PrincipalKind::User | crate::PrincipalKind::Service => {
                    principal.user.as_str().into()
                }
                _ => return None,
            },
            "aws:userid" => match principal.is_anonymous() {
                true => "anonymous".into(),
                false => principal.id.as_str().into(),
            },
            "aws:tokenissuetime" => time(principal.issued?)?,
            "aws:principalaccount" => principal.account()?.as_str().into(),
            "aws:principalarn" => super::named::arn(principal)?.into(),
            "aws:principaltype" => match principal.kind() {
                _ if principal.is_account_root() => "Account",
                crate::PrincipalKind::Anonymous => "Anonymous",
                crate::PrincipalKind::Role { .. } => "AssumedRole",
                _ => "User",
            }
            .into(),
            "aws:resourceaccount" | "s3:resourceaccount" => {
                let owner = self.facts.bucket.as_ref().map(|b| &b.owner.account);
                let owner = owner.or_else(|| self.asked.resource.account())?;
                owner.as_str().into()
            }
            "s3:signatureage" | "s3:signatureversion" | "s3:authtype" => match context.signed {
                Some(signed) => said_by(&signed, key, context.time)?,
                // A job goes on with what was kept of its request.
                None => return context.get(key).map(Values::Said),
            },
            // A write makes an object by whatever dialect, unless that says that it does not yet.
            "s3:objectcreationoperation" if context.get(key).is_none() => {
                (self.asked.action == crate::Action::WriteObject).then(|| "true".into())?
            }
            _ => match key.strip_prefix("s3:existingobjecttag/") {
                Some(tag) => self.object_tag(tag)?.into(),
                None => return context.get(key).map(Values::Said),
            },
        };
        Some(Values::One(known))
    }

    fn object_tag(&self, wanted: &str) -> Option<&'a str> {
        let crate::Seen::There(object) = &self.facts.object else {
            return None;
        };
        let found = object.tags.iter();
        let mut found = found.filter(|(name, _)| name.to_ascii_lowercase() == wanted);
        found.next().map(|(_, value)| value.as_str())
    }
}
