//! The OpenAPI 3.1 document, made from the table of operations.

use crate::operations::{OPERATIONS, Operation, Place};
use crate::representation::KEPT;
use http::StatusCode;
use serde_json::{Map, Value, json};
use trestle_http::phrase_of;

/// Statuses that any request may get.
const ALWAYS: [u16; 5] = [400, 401, 403, 500, 503];

/// Where a resource is. A key that ends with `/` is a key: it has a path of its own here only for
/// what other keys do not have.
fn path(place: Place) -> &'static str {
    match place {
        Place::Service => "/rest/",
        Place::Bucket => "/rest/{bucket}/",
        Place::Folder => "/rest/{bucket}/{key}/",
        Place::Object => "/rest/{bucket}/{key}",
    }
}

/// The methods that OpenAPI has a place for.
const METHODS: [&str; 8] = [
    "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE",
];

fn parameter(place: &str, name: &str, description: &str) -> Value {
    let schema = match name {
        "limit" => json!({"type": "integer", "minimum": 0, "maximum": 10000}),
        "reverse" | "metadata" | "versions" => json!({"type": "boolean"}),
        _ => json!({"type": "string"}),
    };
    json!({"name": name, "in": place, "description": description, "schema": schema,
        "required": place == "path"})
}

fn schema(media_type: &str) -> Value {
    match media_type {
        "application/octet-stream" => json!({}),
        "application/json" | "application/merge-patch+json" => json!({"type": "object"}),
        _ => json!({"type": "string"}),
    }
}

fn content<'a>(media_types: impl IntoIterator<Item = &'a str>) -> Value {
    let of = |media_type: &str| (media_type.to_owned(), json!({"schema": schema(media_type)}));
    Value::Object(media_types.into_iter().map(of).collect())
}

fn description(status: u16) -> &'static str {
    StatusCode::from_u16(status).map_or("Error", phrase_of)
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for status in operation.successes {
        let mut response = json!({"description": description(*status)});
        let body = matches!(status, 200 | 206) && !operation.gives.is_empty();
        if let (true, Some(response)) = (body, response.as_object_mut()) {
            let gives = operation.gives.iter().copied();
            response.insert("content".to_owned(), content(gives));
        }
        responses.insert(status.to_string(), response);
    }
    let problem = json!({"application/problem+json":
        {"schema": {"$ref": "#/components/schemas/Problem"}}});
    for status in ALWAYS.iter().chain(operation.problems) {
        let mut response = json!({"description": description(*status)});
        if let (true, Some(response)) = (operation.method != "HEAD", response.as_object_mut()) {
            response.insert("content".to_owned(), problem.clone());
        }
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

fn operation(operation: &Operation) -> Value {
    let query = operation.query.iter();
    let query = query.map(|(name, description)| parameter("query", name, description));
    let headers = operation
        .headers
        .iter()
        .map(|name| parameter("header", name, name));
    // These three have places of their own in OpenAPI.
    let headers = headers.filter(|header| {
        !["Accept", "Content-Type", "Authorization"]
            .iter()
            .any(|own| header["name"] == **own)
    });
    let parameters: Vec<Value> = query.chain(headers).collect();
    let mut made = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation),
    });
    if let (Some(takes), Some(made)) = (operation.takes, made.as_object_mut()) {
        let patch = match operation.id {
            "changeBucket" => Some("BucketPatch"),
            "changeObject" => Some("ObjectPatch"),
            _ => None,
        };
        let body = match patch {
            Some(name) => {
                let schema = json!({"$ref": format!("#/components/schemas/{name}")});
                json!({"required": true, "content": {takes: {"schema": schema}}})
            }
            None => json!({"content": content([takes])}),
        };
        made.insert("requestBody".to_owned(), body);
    }
    made
}

fn in_path(place: Place) -> Vec<Value> {
    let bucket = parameter("path", "bucket", "the bucket's name");
    let key = parameter("path", "key", "the object's key; it may contain slashes");
    match place {
        Place::Service => Vec::new(),
        Place::Bucket => vec![bucket],
        Place::Folder | Place::Object => vec![bucket, key],
    }
}

/// What a JSON merge patch of an object or a bucket may have. A member that is null is removed.
fn patches() -> (Value, Value) {
    let texts = json!({"type": ["object", "null"],
        "additionalProperties": {"type": ["string", "null"]}});
    let metadata = json!({"type": ["object", "null"]});
    let kept = KEPT.iter().map(|name| {
        let text = json!({"type": ["string", "null"], "pattern": "^[!-~]([ -~]*[!-~])?$"});
        (name.as_str().to_owned(), text)
    });
    let kept: Map<String, Value> = kept.collect();
    let mode = json!({"enum": ["governance", "compliance"]});
    let object = json!({"type": "object", "additionalProperties": false, "properties": {
        "representation": {"type": ["object", "null"], "additionalProperties": false,
            "properties": kept},
        "metadata": metadata,
        "tags": texts,
        "expires": {"type": ["string", "null"], "format": "date-time"},
        "retention": {"type": ["object", "null"], "additionalProperties": false,
            "required": ["mode", "until"],
            "properties": {"mode": mode, "until": {"type": "string", "format": "date-time"}}},
        "legal_hold": {"type": ["boolean", "null"]}}});
    let count = json!({"type": ["integer", "null"], "minimum": 0});
    let period = json!({"type": "integer", "minimum": 1, "maximum": 36500});
    let bucket = json!({"type": "object", "additionalProperties": false, "properties": {
        "versioning": {"enum": ["off", "enabled", "suspended"]},
        "lock": {"type": ["object", "null"], "additionalProperties": false, "properties": {
            "default": {"type": ["object", "null"], "additionalProperties": false,
                "required": ["mode"],
                "properties": {"mode": mode, "days": period, "years": period}}}},
        "tags": texts,
        "metadata": metadata,
        "quota": {"type": ["object", "null"], "additionalProperties": false,
            "properties": {"bytes": count, "objects": count}}}});
    (object, bucket)
}

/// The document.
pub(crate) fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for place in [Place::Service, Place::Bucket, Place::Object, Place::Folder] {
        let mut methods = Map::new();
        for found in OPERATIONS {
            let here = found.places.contains(&place);
            let twice = place == Place::Folder && found.places.contains(&Place::Object);
            if here && !twice && METHODS.contains(&found.method) {
                methods.insert(found.method.to_ascii_lowercase(), operation(found));
            }
        }
        methods.insert("parameters".to_owned(), Value::Array(in_path(place)));
        // COPY and MOVE have no place in OpenAPI 3.1; 3.2 has one under this name.
        let others = OPERATIONS.iter().filter(|found| {
            place == Place::Object
                && found.places.contains(&place)
                && !METHODS.contains(&found.method)
        });
        let others: Map<String, Value> = others
            .map(|found| (found.method.to_owned(), operation(found)))
            .collect();
        if !others.is_empty() {
            methods.insert("x-additionalOperations".to_owned(), Value::Object(others));
        }
        paths.insert(path(place).to_owned(), Value::Object(methods));
    }
    let (object, bucket) = patches();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Trestle REST API", "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "security": [{"basic": []}, {}],
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": {"ObjectPatch": object, "BucketPatch": bucket, "Problem": {"type": "object", "required": ["type", "title", "status"],
                "properties": {"type": {"type": "string"}, "title": {"type": "string"},
                    "status": {"type": "integer"}, "detail": {"type": "string"}}}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_in_the_document() {
        let document = document("1");
        let text = document.to_string();
        for operation in OPERATIONS {
            assert!(text.contains(&format!("\"operationId\":\"{}\"", operation.id)));
        }
        let put = &document["paths"]["/rest/{bucket}/{key}"]["put"];
        assert!(put["responses"]["507"].is_object());
        assert_eq!(
            document["paths"]["/rest/{bucket}/"]["parameters"][0]["required"],
            true
        );
    }
}
