//! Scope and results specifications (clauses 19 and 20): which objects a query finds, and which of
//! their fields it gives.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use trestle_core::{Error, Result};

/// Largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting within a regular expression.
const REGEX_DEPTH_MAX: u32 = 64;
/// Fields whose constants may be URIs by object id.
const URIS: [&str; 3] = ["parentURI", "domainURI", "capabilitiesURI"];

/// Operators, longer ones before those that they start with.
const OPERATORS: [(&str, Operator); 20] = [
    ("#==", Operator::Number(Test::Equal)),
    ("#!=", Operator::Number(Test::Unequal)),
    ("#>=", Operator::Number(Test::GreaterOrEqual)),
    ("#<=", Operator::Number(Test::LessOrEqual)),
    ("#>", Operator::Number(Test::Greater)),
    ("#<", Operator::Number(Test::Less)),
    ("==", Operator::Text(Test::Equal)),
    ("!=", Operator::Text(Test::Unequal)),
    (">=", Operator::Text(Test::GreaterOrEqual)),
    ("<=", Operator::Text(Test::LessOrEqual)),
    (">", Operator::Text(Test::Greater)),
    ("<", Operator::Text(Test::Less)),
    ("!starts", Operator::Not(Part::Starts)),
    ("!ends", Operator::Not(Part::Ends)),
    ("!contains", Operator::Not(Part::Contains)),
    ("!tag", Operator::Not(Part::Tag)),
    ("starts", Operator::Has(Part::Starts)),
    ("ends", Operator::Has(Part::Ends)),
    ("contains", Operator::Has(Part::Contains)),
    ("tag", Operator::Has(Part::Tag)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equal,
    Unequal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Starts,
    Ends,
    Contains,
    Tag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Text(Test),
    Number(Test),
    Has(Part),
    Not(Part),
}

/// A matching expression.
#[derive(Clone, Debug)]
enum Expression {
    Exists,
    Absent,
    Compare(Operator, String),
    Matches(Regex),
    MatchesNot(Regex),
}

/// What a field must be.
#[derive(Clone, Debug)]
enum Condition {
    Is(Expression),
    /// All of these hold.
    All(Vec<Condition>),
    /// Each of these fields within.
    Fields(Vec<(String, Condition)>),
}

/// Which objects match: any of the alternatives, or all objects without one.
#[derive(Clone, Debug)]
pub(crate) struct Scope(Vec<Condition>);

impl Scope {
    /// Reads a scope specification.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(crate) fn parse(value: &Value) -> Result<Self> {
        let Value::Array(alternatives) = value else {
            return Err(Error::invalid("a scope specification is not an array"));
        };
        let alternatives = alternatives.iter().map(|alternative| match alternative {
            Value::Object(_) => condition(alternative),
            _ => Err(Error::invalid(
                "a scope specification is an array of objects",
            )),
        });
        Ok(Scope(alternatives.collect::<Result<_>>()?))
    }

    /// Whether an object, as a read shows it with its value in base64, matches.
    pub(crate) fn matches(&self, object: &Map<String, Value>) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| one.within(object))
    }

    /// Whether an object of which only some fields are known can match.
    pub(crate) fn may_match(
        &self,
        object: &Map<String, Value>,
        is_known: impl Fn(&str) -> bool,
    ) -> bool {
        let possible = |one: &Condition| match one {
            Condition::Fields(fields) => fields.iter().all(|(name, condition)| {
                !is_known(name) || condition.holds(name, object.get(name))
            }),
            _ => false,
        };
        self.0.is_empty() || self.0.iter().any(possible)
    }

    /// The URIs by object id that fields are compared with.
    pub(crate) fn uris_by_id(&mut self) -> Vec<&mut String> {
        let mut found = Vec::new();
        for alternative in &mut self.0 {
            let Condition::Fields(fields) = alternative else {
                continue;
            };
            for (name, condition) in fields {
                if URIS.contains(&name.as_str()) {
                    condition.uris_by_id(&mut found);
                }
            }
        }
        found
    }

    /// Whether a field is looked at.
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.iter().any(|one| match one {
            Condition::Fields(fields) => fields.iter().any(|(name, _)| name == field),
            _ => false,
        })
    }
}

fn condition(value: &Value) -> Result<Condition> {
    match value {
        Value::String(text) => expression(text).map(Condition::Is),
        Value::Array(items) => {
            let items = items.iter().map(condition);
            Ok(Condition::All(items.collect::<Result<_>>()?))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), condition(value)?)));
            Ok(Condition::Fields(fields.collect::<Result<_>>()?))
        }
        _ => Err(Error::invalid("a matching expression is not a string")),
    }
}

fn expression(text: &str) -> Result<Expression> {
    match text.trim() {
        "*" => return Ok(Expression::Exists),
        "!*" => return Ok(Expression::Absent),
        _ => {}
    }
    for (name, matches) in [
        ("=~", Expression::Matches as fn(Regex) -> Expression),
        ("!~", Expression::MatchesNot),
    ] {
        if let Some(pattern) = text.strip_prefix(name) {
            let pattern = pattern.strip_prefix(' ').unwrap_or(pattern);
            return regex(pattern).map(matches);
        }
    }
    for (name, operator) in OPERATORS {
        let Some(rest) = text.strip_prefix(name) else {
            continue;
        };
        let word = name.ends_with(|c: char| c.is_ascii_alphabetic());
        let constant = match rest.strip_prefix(' ') {
            Some(constant) => constant,
            None if word => continue,
            None => rest,
        };
        if matches!(operator, Operator::Number(_)) && constant.trim().parse::<f64>().is_err() {
            return Err(Error::invalid(format!("{constant:?} is not a number")));
        }
        return Ok(Expression::Compare(operator, constant.to_owned()));
    }
    Err(Error::invalid(format!(
        "{text:?} is not a matching expression that is understood here"
    )))
}

/// A POSIX extended regular expression: they are a part of those of this library, which finds
/// other matches among several, but finds one exactly when POSIX does.
fn regex(pattern: &str) -> Result<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .nest_limit(REGEX_DEPTH_MAX)
        .dot_matches_new_line(true)
        .build()
        .map_err(|_| Error::invalid(format!("{pattern:?} is not a regular expression")))
}

impl Condition {
    fn uris_by_id<'b>(&'b mut self, found: &mut Vec<&'b mut String>) {
        use Operator::Text;
        match self {
            Condition::Is(Expression::Compare(Text(Test::Equal | Test::Unequal), constant)) => {
                found.extend(Some(constant).filter(|uri| uri.contains("/cdmi_objectid/")));
            }
            Condition::All(conditions) => {
                for condition in conditions {
                    condition.uris_by_id(found);
                }
            }
            _ => {}
        }
    }

    fn within(&self, object: &Map<String, Value>) -> bool {
        match self {
            Condition::Fields(fields) => fields
                .iter()
                .all(|(name, condition)| condition.holds(name, object.get(name))),
            _ => false,
        }
    }

    fn holds(&self, name: &str, value: Option<&Value>) -> bool {
        match (self, value) {
            (Condition::Is(expression), value) => expression.holds(name, value),
            // Conditions on what an array holds are met by one of its objects.
            (Condition::All(conditions), Some(Value::Array(items))) if self.is_inner() => {
                conditions
                    .iter()
                    .all(|condition| items.iter().any(|item| condition.holds(name, Some(item))))
            }
            (Condition::All(conditions), value) => conditions
                .iter()
                .all(|condition| condition.holds(name, value)),
            (Condition::Fields(_), Some(Value::Object(object))) => self.within(object),
            (Condition::Fields(fields), _) => fields
                .iter()
                .all(|(name, condition)| condition.holds(name, None)),
        }
    }

    fn is_inner(&self) -> bool {
        match self {
            Condition::All(conditions) => {
                conditions.iter().any(|c| matches!(c, Condition::Fields(_)))
            }
            _ => false,
        }
    }
}

impl Expression {
    fn holds(&self, name: &str, value: Option<&Value>) -> bool {
        match (self, value) {
            (Expression::Exists, value) => value.is_some(),
            (Expression::Absent, value) => value.is_none(),
            (_, Some(Value::Array(items))) => items.iter().any(|item| self.holds(name, Some(item))),
            (_, Some(Value::Object(_))) => false,
            (Expression::Matches(regex), Some(value)) => regex.is_match(&text_of(value)),
            (Expression::MatchesNot(regex), Some(value)) => !regex.is_match(&text_of(value)),
            (Expression::Compare(operator, constant), Some(value)) => {
                compare(*operator, &text_of(value), constant, name)
            }
            (Expression::Compare(operator, _), None) => {
                matches!(operator, Operator::Not(_) | Operator::Text(Test::Unequal))
            }
            (Expression::Matches(_), None) => false,
            (Expression::MatchesNot(_), None) => true,
        }
    }
}

fn text_of(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn compare(operator: Operator, value: &str, constant: &str, name: &str) -> bool {
    match operator {
        Operator::Number(test) => {
            let numbers = value.trim().parse::<f64>().ok();
            let numbers = numbers.zip(constant.trim().parse::<f64>().ok());
            let order = numbers.and_then(|(value, constant)| value.partial_cmp(&constant));
            order.is_some_and(|order| passes(test, order))
        }
        Operator::Text(test) if name == "objectID" || name == "parentID" => passes(
            test,
            value
                .to_ascii_uppercase()
                .cmp(&constant.to_ascii_uppercase()),
        ),
        Operator::Text(test) => passes(test, value.cmp(constant)),
        Operator::Has(part) => has(part, value, constant),
        Operator::Not(part) => !has(part, value, constant),
    }
}

fn passes(test: Test, order: Ordering) -> bool {
    match test {
        Test::Equal => order.is_eq(),
        Test::Unequal => order.is_ne(),
        Test::Greater => order.is_gt(),
        Test::GreaterOrEqual => order.is_ge(),
        Test::Less => order.is_lt(),
        Test::LessOrEqual => order.is_le(),
    }
}

fn has(part: Part, value: &str, constant: &str) -> bool {
    match part {
        Part::Starts => value.starts_with(constant),
        Part::Ends => value.ends_with(constant),
        Part::Contains => value.contains(constant),
        Part::Tag => value
            .split(',')
            .any(|tag| tag.trim().to_lowercase() == constant.trim().to_lowercase()),
    }
}

/// The fields of an object that a results specification asks for.
pub(crate) fn results(specification: &Value, object: &Map<String, Value>) -> Map<String, Value> {
    let Value::Object(wanted) = specification else {
        return object.clone();
    };
    let chosen = wanted.iter().filter_map(|(name, inner)| {
        let value = object.get(name)?;
        Some((
            name.clone(),
            match (inner, value) {
                (Value::Object(_), Value::Object(within)) => Value::Object(results(inner, within)),
                _ => value.clone(),
            },
        ))
    });
    chosen.collect()
}

/// Refuses a results specification that is neither a string nor an object of such.
pub(crate) fn check_results(specification: &Value) -> Result<()> {
    match specification {
        Value::String(_) => Ok(()),
        Value::Object(fields) => fields.values().try_for_each(check_results),
        _ => Err(Error::invalid(
            "a results specification is an object of fields",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Map<String, Value> {
        match json!({
            "objectID": "00AB", "objectName": "red.txt", "parentURI": "/c/",
            "metadata": {
                "cdmi_size": "108", "tags": "a, Blue ,c", "nested": {"deep": ["x", "y"]},
                "cdmi_acl": [{"identifier": "jdoe"}, {"identifier": "EVERYONE@"}],
            },
        }) {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn matches(scope: Value) -> bool {
        Scope::parse(&scope).unwrap().matches(&object())
    }

    #[test]
    fn alternatives_are_or_and_fields_are_and() {
        assert!(matches(json!([])));
        assert!(matches(
            json!([{"parentURI": "== /d/"}, {"parentURI": "== /c/"}])
        ));
        assert!(!matches(
            json!([{"parentURI": "== /c/", "objectName": "== blue"}])
        ));
        assert!(matches(json!([{}])));
    }

    #[test]
    fn what_is_known_tells_that_nothing_else_can_make_it_match() {
        let may = |scope: Value| {
            let scope = Scope::parse(&scope).unwrap();
            scope.may_match(&object(), |name| name == "parentURI")
        };
        assert!(may(json!([])));
        assert!(may(
            json!([{"parentURI": "== /c/", "objectName": "== blue"}])
        ));
        assert!(may(json!([{"value": "!*"}])));
        assert!(may(json!([{"parentURI": "== /d/"}, {"value": "== x"}])));
        assert!(!may(json!([{"parentURI": "== /d/", "value": "== x"}])));
        assert!(!may(json!([{"parentURI": "== /d/"}, {"parentURI": "!*"}])));
    }

    #[test]
    fn operators_compare_texts_and_numbers() {
        let size = |expression: &str| matches(json!([{"metadata": {"cdmi_size": expression}}]));
        for holds in [
            "*",
            "== 108",
            "!= 9",
            "#> 20",
            "#== 108.0",
            "< 20",
            ">=1",
            "#<= 108",
            "starts 10",
            "ends 8",
            "contains 0",
            "!starts 2",
            "!ends 9",
            "!contains z",
            "#!= 1",
        ] {
            assert!(size(holds), "{holds}");
        }
        for fails in [
            "!*", "==108 ", "> 20", "#< 20", "starts 2", "!ends 8", "#>= 109",
        ] {
            assert!(!size(fails), "{fails}");
        }
        assert!(matches(json!([{"metadata": {"missing": "!*"}}])));
        assert!(!matches(json!([{"metadata": {"missing": "== x"}}])));
        assert!(matches(json!([{"objectID": "== 00ab"}])));
        assert!(matches(json!([{"metadata": {"tags": "tag blue"}}])));
        assert!(!matches(json!([{"metadata": {"tags": "!tag A"}}])));
        let name = |expression: &str| matches(json!([{"objectName": expression}]));
        assert!(name("=~ ^r.d\\.[[:alpha:]]{3}$") && name("=~ (blue|red)") && name("!~ ^t"));
        assert!(!name("=~ ^ed") && !name("!~ red"));
        assert!(matches(json!([{"missing": "!~ x"}])) && !matches(json!([{"missing": "=~ .*"}])));
        for bad in [
            json!([{"a": "~ x"}]),
            json!([{"a": "#> x"}]),
            json!([{"a": "=~ ("}]),
            json!([{"a": "=~ ((a{200}){200}){200}"}]),
            json!({}),
            json!([1]),
        ] {
            assert!(Scope::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nested_fields_and_arrays_are_looked_into() {
        let acl = |who: &str| matches(json!([{"metadata": {"cdmi_acl": [{"identifier": who}]}}]));
        assert!(acl("== jdoe") && !acl("== other"));
        assert!(matches(json!([{"metadata": {"nested": {"deep": "== y"}}}])));
        let range = json!([{"metadata": {"cdmi_size": [">= 1", "<= 2"]}}]);
        assert!(matches(range));
    }

    #[test]
    fn results_are_the_fields_asked_for() {
        let wanted = json!({"objectID": "", "missing": "", "metadata": {"cdmi_size": ""}});
        assert_eq!(
            json!(results(&wanted, &object())),
            json!({"objectID": "00AB", "metadata": {"cdmi_size": "108"}})
        );
        assert_eq!(results(&json!(""), &object()), object());
        assert!(check_results(&wanted).is_ok());
        assert!(check_results(&json!({"a": 1})).is_err());
    }
}
