//! What the OpenAPI document says of this dialect: the paths of its table, and the documents that its
//! operations take.

use crate::operations;
use crate::representation::KEPT;
use serde_json::{Map, Value, json};
use trestle_http::{Described, OpenApi, Operation, Takes};

/// What a JSON merge patch of an object may have. A member that is null is removed.
fn object_patch() -> Value {
    let kept = KEPT.iter().map(|name| {
        let text = json!({"type": ["string", "null"], "pattern": "^[!-~]([ -~]*[!-~])?$"});
        (name.as_str().to_owned(), text)
    });
    let kept: Map<String, Value> = kept.collect();
    json!({"type": "object", "additionalProperties": false, "properties": {
        "representation": {"type": ["object", "null"], "additionalProperties": false,
            "properties": kept},
        "metadata": {"type": ["object", "null"]},
        "tags": texts(),
        "expires": {"type": ["string", "null"], "format": "date-time"},
        "retention": retention(),
        "legal_hold": {"type": ["boolean", "null"]}}})
}

fn retention() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": false,
        "required": ["mode", "until"], "properties": {
            "mode": mode(), "until": {"type": "string", "format": "date-time"}}})
}

fn texts() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}})
}

fn mode() -> Value {
    json!({"enum": ["governance", "compliance"]})
}

fn few(pattern: &str) -> Value {
    json!({"type": "array", "maxItems": 100, "items": {"type": "string", "pattern": pattern}})
}

fn list(pattern: &str) -> Value {
    json!({"type": "array", "minItems": 1, "maxItems": 100,
        "items": {"type": "string", "pattern": pattern}})
}

/// The same of a bucket.
fn bucket_patch() -> Value {
    let count = json!({"type": ["integer", "null"], "minimum": 0});
    let period = json!({"type": "integer", "minimum": 1, "maximum": 36500});
    json!({"type": "object", "additionalProperties": false, "properties": {
        "versioning": {"enum": ["off", "enabled", "suspended"]},
        "lock": {"type": ["object", "null"], "additionalProperties": false, "properties": {
            "default": {"type": ["object", "null"], "additionalProperties": false,
                "required": ["mode"],
                "properties": {"mode": mode(), "days": period, "years": period}}}},
        "tags": texts(),
        "metadata": {"type": ["object", "null"]},
        "quota": {"type": ["object", "null"], "additionalProperties": false,
            "properties": {"bytes": count, "objects": count}},
        "retention": retention(),
        "legal_hold": {"type": ["boolean", "null"]},
        "cors": {"type": ["array", "null"], "maxItems": 100, "items": {"type": "object",
            "additionalProperties": false, "required": ["origins", "methods"], "properties": {
                "id": {"type": ["string", "null"], "maxLength": 255},
                "origins": list("^[!-)+-~]*\\*?[!-)+-~]+$"), "methods": list("^[A-Z]+$"),
                "headers": few("^[!-)+-~]*\\*?[!-)+-~]+$"), "expose": few("^[!-)+-~]+$"),
                "max_age": {"type": ["integer", "null"], "minimum": -1}}}},
        "require_conditions": {"type": ["boolean", "null"]}}})
}

/// A transaction: the members of each of its verbs.
fn transaction() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut verbs = Vec::new();
    for (verb, members) in crate::transaction::VERBS {
        let mut properties = Map::new();
        properties.insert("verb".to_owned(), json!({"const": verb}));
        for member in *members {
            let schema = match *member {
                "tags" | "representation" => texts.clone(),
                "metadata" => json!({"type": "object"}),
                "patch" => json!({"$ref": "#/components/schemas/ObjectPatch"}),
                "body" => json!({"type": "string", "contentEncoding": "base64"}),
                "bypass_retention" => json!({"type": "boolean"}),
                _ => json!({"type": "string"}),
            };
            properties.insert((*member).to_owned(), schema);
        }
        verbs.push(json!({"type": "object", "additionalProperties": false,
            "required": ["verb", "bucket", "key"], "properties": properties}));
    }
    json!({"type": "object", "additionalProperties": false, "required": ["verbs"],
        "properties": {"verbs": {"type": "array", "minItems": 1,
            "maxItems": trestle_store::STEPS_MAX, "items": {"oneOf": verbs}}}})
}

/// A document of texts, some of them required.
fn texts_of(members: &[&str], required: &[&str]) -> Value {
    let text = |name: &&str| ((*name).to_owned(), json!({"type": "string"}));
    let properties: Map<String, Value> = members.iter().map(text).collect();
    json!({"type": "object", "additionalProperties": false, "required": required,
        "properties": properties})
}

fn volume_size() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["size"],
        "properties": {"size": {"type": "integer", "minimum": 1,
            "maximum": trestle_store::OBJECT_BYTES_MAX}}})
}

/// What is done to a volume.
fn volume_verb() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    let verb = |names: &[&str], members: &[&str]| {
        let mut properties = Map::new();
        properties.insert("verb".to_owned(), json!({ "enum": names }));
        properties.extend(
            members
                .iter()
                .map(|name| ((*name).to_owned(), count.clone())),
        );
        let required: Vec<&str> = ["verb"].iter().chain(members).copied().collect();
        json!({"type": "object", "additionalProperties": false, "required": required,
            "properties": properties})
    };
    json!({"oneOf": [
        verb(&["zeroes", "trim"], &["offset", "length"]),
        verb(&["resize"], &["size"]),
        verb(&["flush"], &[]),
    ]})
}

/// The pages that this crate serves below `/-/`.
fn pages() -> Vec<Described> {
    let page = |path, id, summary, gives| Described {
        path,
        parameters: &[],
        operations: vec![Operation {
            headers: &[("If-None-Match", Takes::Text, "RFC 9110 §13.1.2")],
            gives,
            successes: &[200, 304],
            problems: &[412],
            ..Operation::new("GET", id, summary)
        }],
    };
    vec![
        page(
            "/-/openapi.json",
            "readOpenApi",
            "This document",
            &[("application/json", None)],
        ),
        page(
            "/-/docs",
            "readDocumentation",
            "This document, to read and to try",
            &[("text/html", None)],
        ),
        page(
            "/-/client.js",
            "readClient",
            "A client in JavaScript",
            &[("text/javascript", None)],
        ),
    ]
}

/// Adds this dialect to the document.
pub fn describe(document: OpenApi) -> OpenApi {
    let schemas = [
        ("ObjectPatch", object_patch()),
        ("BucketPatch", bucket_patch()),
        ("Transaction", transaction()),
        (
            "Snapshot",
            texts_of(&["bucket", "key", "name"], &["bucket", "name"]),
        ),
        (
            "Clone",
            texts_of(&["bucket", "key", "to_bucket", "to_key"], &["bucket"]),
        ),
        ("VolumeSize", volume_size()),
        ("VolumeVerb", volume_verb()),
    ];
    let paths = operations::described().into_iter().chain(pages());
    document.with(paths, schemas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLE;

    #[test]
    fn every_operation_is_in_the_document() {
        let document = describe(OpenApi::default()).document("x", "1");
        let paths = document["paths"].as_object().unwrap();
        for row in TABLE {
            let said = paths.values().any(|path| {
                let others = path
                    .get("x-additionalOperations")
                    .and_then(Value::as_object);
                let found = path.as_object().into_iter().chain(others).flatten();
                let summaries = found.filter_map(|(_, found)| found["summary"].as_str());
                summaries
                    .into_iter()
                    .any(|text| text.contains(row.is.summary))
            });
            assert!(said, "{}", row.is.id);
        }
        let put = &document["paths"]["/rest/{bucket}/{key}"]["put"];
        assert!(put["responses"]["507"].is_object());
        assert_eq!(
            document["paths"]["/rest/{bucket}/"]["parameters"][0]["required"],
            true
        );
    }
}
