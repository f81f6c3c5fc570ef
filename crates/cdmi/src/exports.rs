//! Exports of containers (clause 13 and its extension for S3): by which other protocols of this
//! server a container is served.
//!
//! They describe what is so anyway, for who has the rights. So one that says otherwise is refused,
//! and so are protocols that this server does not speak.

use crate::node::{Container, Place, document};
use crate::path::{Names, escape};
use serde_json::{Map, Value, json};
use trestle_core::{Error, Result};

/// Most exports of a container.
const EXPORTS_MAX: usize = 100;
/// The elements of an export, of any type.
const ELEMENTS: [&str; 6] = [
    "type",
    "bucketname",
    "bucket",
    "read_only",
    "public",
    "path",
];

/// The protocols that a container at a path is served by: those of buckets, and REST, which knows
/// folders, too.
fn served(names: &Names) -> &'static [&'static str] {
    match names.names.len() {
        0 => &[],
        1 => &["s3", "rest", "swift"],
        _ => &["rest"],
    }
}

/// An export as it is shown.
fn described(kind: &str, names: &Names, account: &str) -> Value {
    let path = escape(&names.path());
    match kind {
        "s3" => json!({
            "type": "s3", "bucketname": names.names.first(), "read_only": "false", "public": "false",
        }),
        "swift" => json!({
            "type": "swift", "path": format!("/v1/AUTH_{}{path}", escape(account)),
        }),
        _ => json!({"type": "rest", "path": format!("/rest{path}")}),
    }
}

/// The exports that a document asks for, as they are kept: by name, their types.
///
/// # Errors
/// `InvalidInput` for a protocol by which the container is not served, and for what is not so.
pub(crate) fn parse(exports: &Value, names: &Names, account: &str) -> Result<String> {
    let none = Map::new();
    let exports = exports.as_object().unwrap_or(&none);
    if exports.len() > EXPORTS_MAX {
        return Err(Error::invalid(format!(
            "a container has at most {EXPORTS_MAX} exports"
        )));
    }
    let mut kept = Map::new();
    for (name, export) in exports {
        let refuse = |what: &str| Err(Error::invalid(format!("the export {name:?} {what}")));
        let kind = export.get("type").and_then(Value::as_str);
        let kind = kind.map(str::to_ascii_lowercase).unwrap_or_default();
        let Some(kind) = served(names).iter().find(|served| **served == kind) else {
            return refuse("is of a protocol by which the container is not served");
        };
        let real = described(kind, names, account);
        for (element, value) in export.as_object().unwrap_or(&none) {
            // The table of the standard's extension and its example name it differently.
            let real = match element.as_str() {
                "type" => continue,
                "bucket" => real.get("bucketname"),
                _ => real.get(element),
            };
            if !ELEMENTS.contains(&element.as_str()) || real.is_none() {
                return refuse(&format!("has an element {element:?} that is not known"));
            }
            if real != Some(value) {
                return refuse(&format!("cannot have this {element:?}"));
            }
        }
        if *kind == "s3" && export.get("bucketname").or(export.get("bucket")).is_none() {
            return refuse("has no \"bucketname\"");
        }
        kept.insert(name.clone(), Value::from(*kind));
    }
    Ok(Value::Object(kept).to_string())
}

/// The exports that a container shows: those that were asked for; all that there are, when nobody
/// ever asked.
pub(crate) fn shown(container: &Container) -> Option<Value> {
    if container.place == Place::Root || crate::snapshots::is_within(&container.names) {
        return None;
    }
    let (names, account) = (&container.names, container.owner.account.as_str());
    let kept = container.documents.get(document::EXPORTS);
    let kept = kept.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let kept = kept.unwrap_or_else(|| {
        let all = served(names).iter();
        all.map(|kind| ((*kind).to_owned(), Value::from(*kind)))
            .collect()
    });
    let exports = kept.into_iter().filter_map(|(name, kind)| {
        let kind = kind.as_str().filter(|kind| served(names).contains(kind))?;
        Some((name, described(kind, names, account)))
    });
    Some(Value::Object(exports.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_what_is_served() {
        let at = |path: &str| Names::parse(path).unwrap();
        let kept = parse(
            &json!({"1": {"type": "S3", "bucketname": "c", "public": "false"}}),
            &at("/c/"),
            "root",
        );
        assert_eq!(kept.unwrap(), r#"{"1":"s3"}"#);
        let path = json!({"x": {"type": "rest", "path": "/rest/c/d/"}, "y": {"type": "rest"}});
        assert!(parse(&path, &at("/c/d/"), "root").is_ok());
        for (bad, path) in [
            (json!({"1": {"type": "nfs", "protocol": "NFSv4"}}), "/c/"),
            (json!({"1": {}}), "/c/"),
            (json!({"1": "s3"}), "/c/"),
            (json!({"1": {"type": "s3"}}), "/c/"),
            (json!({"1": {"type": "s3", "bucketname": "d"}}), "/c/"),
            (
                json!({"1": {"type": "s3", "bucketname": "c", "public": "true"}}),
                "/c/",
            ),
            (
                json!({"1": {"type": "s3", "bucketname": "c", "read_only": "true"}}),
                "/c/",
            ),
            (
                json!({"1": {"type": "s3", "bucketname": "c", "usermap": []}}),
                "/c/",
            ),
            (json!({"1": {"type": "s3", "bucketname": "c"}}), "/c/d/"),
            (json!({"1": {"type": "rest"}}), "/"),
        ] {
            assert!(parse(&bad, &at(path), "root").is_err(), "{bad}");
        }
    }
}
