//! Retention and holds (clause 18): the metadata that asks for them, and the store's protection
//! that keeps them.

use crate::time::{self, Interval};
use serde_json::{Map, Value};
use trestle_core::{Error, ErrorKind, Metadata, Result, Timestamp};
use trestle_store::{BucketProperties, Object, ObjectProperties, Retention, RetentionMode};

const PERIOD: &str = "cdmi_retention_period";
const AUTODELETE: &str = "cdmi_retention_autodelete";
const HOLDS: &str = "cdmi_hold_id";
/// Items that may change while an object is protected, so that protection can be extended.
const ITEMS: [&str; 4] = ["cdmi_retention_id", PERIOD, AUTODELETE, HOLDS];

fn locked(message: &str) -> Error {
    Error::new(ErrorKind::Locked, message)
}

/// The names of the holds in a metadata item.
fn holds(metadata: &Metadata) -> Result<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let names = match metadata.get(HOLDS) {
        None => Some(Vec::new()),
        Some(Value::String(name)) if name.is_empty() => Some(Vec::new()),
        Some(Value::String(name)) => Some(vec![name.clone()]),
        Some(Value::Array(names)) => names.iter().map(text).collect(),
        // As an example of 1.x has it: the names are those of the object's fields.
        Some(Value::Object(names)) => Some(names.keys().cloned().collect()),
        Some(_) => None,
    };
    names.ok_or_else(|| Error::invalid("cdmi_hold_id is an array of strings"))
}

fn period(metadata: &Metadata) -> Result<Option<Interval>> {
    match metadata.get(PERIOD) {
        None => Ok(None),
        Some(Value::String(text)) => Interval::parse(text).map(Some),
        Some(_) => Err(Error::invalid("cdmi_retention_period is a string")),
    }
}

/// Whether the retention that metadata asks for has begun: what was retained changes no more, even
/// when that has ended, and may only be deleted or retained for longer (18.2).
fn has_begun(metadata: &Metadata, now: Timestamp) -> bool {
    let period = period(metadata).ok().flatten();
    period.is_some_and(|period| period.start <= now)
}

/// What protects an object or a container.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Protection {
    retention: Option<Retention>,
    held: bool,
}

impl Protection {
    /// That of a stored object.
    pub(crate) fn of(object: &Object) -> Self {
        Protection {
            retention: object.retention,
            held: object.legal_hold,
        }
    }

    /// That of a bucket itself.
    pub(crate) fn of_bucket(properties: &BucketProperties) -> Self {
        Protection {
            retention: properties.retention,
            held: properties.legal_hold,
        }
    }

    /// Whether it forbids changes and deletion now.
    fn is_in_force(&self, now: Timestamp) -> bool {
        let retained = self.retention.is_some_and(|one| one.until > now);
        self.held || retained
    }

    /// Refuses to delete what it protects now.
    pub(crate) fn check(&self, now: Timestamp) -> Result<()> {
        match self.is_in_force(now) {
            true => Err(locked("a retention or a hold protects the object")),
            false => Ok(()),
        }
    }

    /// What is really provided, for whoever reads the metadata of what was made and changed then. It
    /// protects from the moment on when it was asked for, also when its period begins later.
    pub(crate) fn provided(
        &self,
        (created, modified): (Timestamp, Timestamp),
        metadata: &Metadata,
    ) -> Vec<(&'static str, Value)> {
        let mut items = Vec::new();
        if let Some(retention) = self.retention {
            let asked = period(metadata).ok().flatten();
            let asked = asked.filter(|period| period.start <= modified);
            let start = asked.map_or(created, |period| period.start);
            let (start, end) = (time::text(start), time::text(retention.until));
            let period = Value::from(format!("{start}/{end}"));
            items.push(("cdmi_retention_period_provided", period));
        }
        if self.held {
            let names = holds(metadata).unwrap_or_default();
            items.push(("cdmi_hold_id_provided", Value::from(names)));
        }
        items
    }
}

/// Whether an object may not be changed or deleted now.
pub(crate) fn is_protected(object: &Object, now: Timestamp) -> bool {
    Protection::of(object).is_in_force(now)
}

/// Refuses to delete what is protected.
pub(crate) fn check(object: &Object, now: Timestamp) -> Result<()> {
    Protection::of(object).check(now)
}

/// Refuses to change what is protected, or was retained.
pub(crate) fn check_change(object: &Object, now: Timestamp) -> Result<()> {
    check(object, now)?;
    match has_begun(&object.metadata, now) {
        true => Err(locked("what was retained may be deleted, and not changed")),
        false => Ok(()),
    }
}

/// Gives new properties the protection that their metadata asks for, with regard to the former
/// ones: protection only grows while it lasts.
pub(crate) fn apply(
    properties: &mut ObjectProperties,
    former: &ObjectProperties,
    now: Timestamp,
) -> Result<()> {
    protect(properties, former, now)?;
    // What is held does not end; nor does what nobody asked to end with its retention.
    let ends = properties.metadata.get(AUTODELETE).and_then(Value::as_str) == Some("true");
    let was = former.metadata.get(AUTODELETE).and_then(Value::as_str) == Some("true");
    if ends || was {
        let until = properties
            .retention
            .filter(|_| ends && !properties.legal_hold);
        properties.expires = until.map(|retention| retention.until);
    }
    check_extended(properties, former, now)
}

/// The same of a container, which does not end with its retention: what is in it may stay longer.
pub(crate) fn apply_to_container(
    properties: &mut ObjectProperties,
    former: &ObjectProperties,
    now: Timestamp,
) -> Result<()> {
    protect(properties, former, now)?;
    check_extended(properties, former, now)
}

fn protect(
    properties: &mut ObjectProperties,
    former: &ObjectProperties,
    now: Timestamp,
) -> Result<()> {
    let (asked, before) = (holds(&properties.metadata)?, holds(&former.metadata)?);
    if former.legal_hold {
        if before.iter().any(|hold| !asked.contains(hold)) {
            return Err(locked("a hold is not released by changing metadata"));
        }
    } else {
        properties.legal_hold = !asked.is_empty();
    }
    let retained = former
        .retention
        .is_some_and(|retention| retention.until > now);
    let until = period(&properties.metadata)?.map(|period| period.end);
    let of_metadata = period(&former.metadata).ok().flatten();
    let of_store = former.retention.filter(|_| retained);
    let least = of_store.map(|retention| retention.until);
    let least = least.max(of_metadata.map(|period| period.end));
    if until < least {
        return Err(locked("a retention ends no earlier than it was set to"));
    }
    properties.retention = until.map(|until| Retention {
        mode: RetentionMode::Compliance,
        until,
    });
    Ok(())
}

/// Refuses every other change of what was protected than that it is protected for longer.
fn check_extended(
    properties: &ObjectProperties,
    former: &ObjectProperties,
    now: Timestamp,
) -> Result<()> {
    let protection = Protection {
        retention: former.retention,
        held: former.legal_hold,
    };
    if !protection.is_in_force(now) && !has_begun(&former.metadata, now) {
        return Ok(());
    }
    let rest = |metadata: &Metadata| -> Metadata {
        let mut metadata = metadata.clone();
        metadata.retain(|name, _| !ITEMS.contains(&name.as_str()));
        metadata
    };
    let same = rest(&properties.metadata) == rest(&former.metadata)
        && properties.representation == former.representation
        && properties.acl == former.acl
        && properties.documents == former.documents;
    match same {
        true => Ok(()),
        false => Err(locked("a retention or a hold protects the object")),
    }
}

/// Refuses to take the root container's metadata for its protection: it never goes.
pub(crate) fn check_root(given: Option<&Map<String, Value>>) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    let asked: Metadata = given
        .iter()
        .filter(|(name, _)| [PERIOD, HOLDS].contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    match holds(&asked)?.is_empty() && period(&asked)?.is_none() {
        true => Ok(()),
        false => Err(Error::invalid(
            "the root container is neither retained nor held: protect what is in it",
        )),
    }
}

/// What is really provided, for whoever reads the metadata.
pub(crate) fn provided(object: &Object) -> Vec<(&'static str, Value)> {
    let times = (object.created, object.modified);
    let mut items = Protection::of(object).provided(times, &object.metadata);
    if let Some(ends) = object.expires
        && object
            .retention
            .is_some_and(|retention| retention.until == ends)
    {
        items.push(("cdmi_retention_autodelete_provided", Value::from("true")));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_600_000_000_000_000);

    fn with(items: Value) -> ObjectProperties {
        ObjectProperties {
            metadata: items.as_object().unwrap().clone().into_iter().collect(),
            ..ObjectProperties::default()
        }
    }

    fn until(year: u16) -> Value {
        json!(format!(
            "2019-01-01T00:00:00Z/{year}-01-01T00:00:00.000000Z"
        ))
    }

    fn applied(items: Value, former: &ObjectProperties) -> Result<ObjectProperties> {
        let mut properties = ObjectProperties {
            retention: former.retention,
            legal_hold: former.legal_hold,
            ..with(items)
        };
        apply(&mut properties, former, NOW).map(|()| properties)
    }

    fn kind(result: Result<ObjectProperties>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn retention_grows_and_nothing_else_changes_while_it_lasts() {
        let none = ObjectProperties::default();
        let set = applied(
            json!({"cdmi_retention_period": until(2030), "a": "b"}),
            &none,
        )
        .unwrap();
        assert!(set.retention.is_some());
        let longer = json!({"cdmi_retention_period": until(2031), "a": "b"});
        let longer = applied(longer, &set).unwrap().retention.unwrap();
        assert!(longer.until > set.retention.unwrap().until);
        for refused in [
            json!({"cdmi_retention_period": until(2029), "a": "b"}),
            json!({"a": "b"}),
            json!({"cdmi_retention_period": until(2031), "a": "c"}),
        ] {
            assert_eq!(kind(applied(refused, &set)), ErrorKind::Locked);
        }
        let wrong = json!({"cdmi_retention_period": "tomorrow"});
        assert_eq!(kind(applied(wrong, &none)), ErrorKind::InvalidInput);
        let empty = json!({"cdmi_retention_period": ""});
        assert_eq!(kind(applied(empty, &none)), ErrorKind::InvalidInput);
    }

    #[test]
    fn what_was_retained_is_retained_again_and_changes_no_more() {
        let none = ObjectProperties::default();
        let over = json!({"cdmi_retention_period": until(2020), "a": "b"});
        let over = applied(over, &none).unwrap();
        for refused in [
            json!({"a": "b"}),
            json!({"cdmi_retention_period": until(2019), "a": "b"}),
            json!({"cdmi_retention_period": until(2020), "a": "c"}),
        ] {
            assert_eq!(kind(applied(refused, &over)), ErrorKind::Locked);
        }
        let longer = json!({"cdmi_retention_period": until(2030), "a": "b"});
        assert!(applied(longer, &over).is_ok());
        let protection = Protection {
            retention: over.retention,
            held: false,
        };
        assert!(protection.check(NOW).is_ok(), "it may be deleted");
    }

    #[test]
    fn the_period_that_is_provided_begins_when_it_was_asked_to_unless_that_is_later() {
        let none = ObjectProperties::default();
        let made = Timestamp(NOW.0 - 1_000_000);
        let past = "2019-01-01T00:00:00.000000Z".to_owned();
        for (start, begins) in [
            (past.clone(), past),
            ("2029-01-01T00:00:00.000000Z".to_owned(), time::text(made)),
        ] {
            let [period, begins] =
                [start, begins].map(|start| format!("{start}/2030-01-01T00:00:00.000000Z"));
            let set = applied(json!({"cdmi_retention_period": period}), &none).unwrap();
            let protection = Protection {
                retention: set.retention,
                held: false,
            };
            let provided = protection.provided((made, NOW), &set.metadata);
            assert_eq!(provided[0].1, Value::from(begins));
        }
    }

    #[test]
    fn what_is_asked_to_ends_with_its_retention_unless_it_is_held() {
        let none = ObjectProperties::default();
        let period = until(2030);
        let asked = json!({"cdmi_retention_period": period, "cdmi_retention_autodelete": "true"});
        let set = applied(asked, &none).unwrap();
        assert_eq!(set.expires, set.retention.map(|retention| retention.until));
        let held = json!({
            "cdmi_retention_period": period, "cdmi_retention_autodelete": "true",
            "cdmi_hold_id": ["a"],
        });
        assert_eq!(applied(held, &set).unwrap().expires, None);
        let other = json!({"cdmi_retention_period": period, "cdmi_retention_autodelete": "no"});
        assert_eq!(applied(other, &none).unwrap().expires, None);
    }

    #[test]
    fn the_root_container_asks_for_no_protection() {
        let check = |given: Value| check_root(given.as_object());
        assert!(check(json!({"a": "b", "cdmi_hold_id": []})).is_ok());
        assert!(check(json!({"cdmi_hold_id": ["a"]})).is_err());
        assert!(check(json!({"cdmi_retention_period": until(2030)})).is_err());
    }

    #[test]
    fn a_container_does_not_end_with_its_retention() {
        let none = ObjectProperties::default();
        let asked =
            json!({"cdmi_retention_period": until(2030), "cdmi_retention_autodelete": "true"});
        let mut set = with(asked);
        apply_to_container(&mut set, &none, NOW).unwrap();
        assert!(set.retention.is_some() && set.expires.is_none());
        let mut other = set.clone();
        other.metadata.insert("a".to_owned(), json!("b"));
        let refused = apply_to_container(&mut other, &set, NOW).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Locked);
    }

    #[test]
    fn holds_are_added_and_never_released() {
        let none = ObjectProperties::default();
        let held = applied(json!({"cdmi_hold_id": ["a"]}), &none).unwrap();
        assert!(held.legal_hold);
        assert!(
            applied(json!({"cdmi_hold_id": ["a", "b"]}), &held)
                .unwrap()
                .legal_hold
        );
        for refused in [
            json!({}),
            json!({"cdmi_hold_id": ["b"]}),
            json!({"cdmi_hold_id": ["a"], "x": "y"}),
        ] {
            assert_eq!(kind(applied(refused, &held)), ErrorKind::Locked);
        }
        assert_eq!(
            kind(applied(json!({"cdmi_hold_id": 1}), &none)),
            ErrorKind::InvalidInput
        );
    }
}
