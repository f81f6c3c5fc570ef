//! Operations described as data: what an API's OpenAPI 3.1 document is made from.
//!
//! Whoever routes by a table of these has a document that cannot say anything else. Operations that
//! share a method and a path, because a header or the query tells them apart, become one there.

use crate::phrase::phrase_of;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Statuses that any request may get.
const ALWAYS: [u16; 5] = [400, 401, 403, 500, 503];
/// The methods that OpenAPI 3.1 has a place for.
const METHODS: [&str; 8] = [
    "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE",
];

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Any text.
    Text,
    /// Any text, which must be there.
    Needed,
    /// `true` or `false`.
    Flag,
    /// A number up to this one.
    Number(u64),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// What matches a regular expression.
    Pattern(&'static str),
}

/// A parameter: its name, its values, what it means.
pub type Parameter = (&'static str, Takes, &'static str);

/// A body: its media type, and the name of its schema among the components; none when it is not
/// JSON, or any JSON.
pub type Content = (&'static str, Option<&'static str>);

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The method.
    pub method: &'static str,
    /// Its name, which no other operation has.
    pub id: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// Query parameters.
    pub query: &'static [Parameter],
    /// Request headers.
    pub headers: &'static [Parameter],
    /// Bodies that a request may have.
    pub takes: &'static [Content],
    /// Whether a request without one of them means something, too.
    pub optional: bool,
    /// Bodies of a success.
    pub gives: &'static [Content],
    /// Statuses of success.
    pub successes: &'static [u16],
    /// Statuses of problems, besides 400, 401, 403, 500 and 503, and 408 of what takes a body.
    pub problems: &'static [u16],
    /// Operations that lead on from a success, on the same resource or one above it.
    pub leads_to: &'static [&'static str],
}

impl Operation {
    /// An operation without parameters and bodies, to be completed with `..`.
    pub const fn new(method: &'static str, id: &'static str, summary: &'static str) -> Self {
        Operation {
            method,
            id,
            summary,
            query: &[],
            headers: &[],
            takes: &[],
            optional: false,
            gives: &[],
            successes: &[],
            problems: &[],
            leads_to: &[],
        }
    }
}

/// A path with its parameters, and what can be done there.
#[derive(Clone, Debug)]
pub struct Described {
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The operations.
    pub operations: Vec<Operation>,
}

impl Takes {
    fn schema(self) -> Value {
        match self {
            Takes::Text | Takes::Needed => json!({"type": "string"}),
            Takes::Flag => json!({"type": "boolean"}),
            Takes::Number(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
            Takes::OneOf(values) => json!({"enum": values}),
            Takes::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
        }
    }
}

fn parameter(place: &str, (name, takes, description): Parameter) -> Value {
    json!({"name": name, "in": place, "description": description, "schema": takes.schema(),
        "required": place == "path" || takes == Takes::Needed})
}

fn content(bodies: &[Content]) -> Map<String, Value> {
    let of = |(media_type, schema): &Content| {
        let schema = match schema {
            Some(name) => json!({"$ref": format!("#/components/schemas/{name}")}),
            None if media_type.ends_with("json") => json!({"type": "object"}),
            None if media_type.starts_with("text/") => json!({"type": "string"}),
            None => json!({}),
        };
        ((*media_type).to_owned(), json!({ "schema": schema }))
    };
    bodies.iter().map(of).collect()
}

fn description(status: u16) -> &'static str {
    StatusCode::from_u16(status).map_or("Error", phrase_of)
}

/// Adds the members of one object to another, deeply; of two values the first stays.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(there) => merge(there, value),
                    None => drop(into.insert(name, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for value in from {
                let same = |other: &Value| {
                    other.get("name") == value.get("name") && other.get("in") == value.get("in")
                };
                if !into.iter().any(same) {
                    into.push(value);
                }
            }
        }
        _ => {}
    }
}

/// The document of an API, made from tables of operations.
#[derive(Debug, Default)]
pub struct OpenApi {
    paths: Vec<Described>,
    schemas: Map<String, Value>,
}

impl OpenApi {
    /// Adds paths, and the schemas that their bodies name.
    #[must_use]
    pub fn with(
        mut self,
        paths: impl IntoIterator<Item = Described>,
        schemas: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        self.paths.extend(paths);
        let named = schemas.into_iter();
        self.schemas
            .extend(named.map(|(name, schema)| (name.to_owned(), schema)));
        self
    }

    /// The document.
    pub fn document(&self, title: &str, version: &str) -> Value {
        let mut paths = Map::new();
        for described in &self.paths {
            let made = self.path(described);
            match paths.get_mut(described.path) {
                Some(there) => merge(there, made),
                None => drop(paths.insert(described.path.to_owned(), made)),
            }
        }
        let mut schemas = self.schemas.clone();
        schemas.insert(
            "Problem".to_owned(),
            json!({"type": "object", "required": ["type", "title", "status"],
                "properties": {"type": {"type": "string"}, "title": {"type": "string"},
                    "status": {"type": "integer"}, "detail": {"type": "string"}}}),
        );
        json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": version,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            "paths": paths,
            "security": [{"basic": []}, {"bearer": []}, {}],
            "components": {
                "securitySchemes": {
                    "basic": {"type": "http", "scheme": "basic"},
                    "bearer": {"type": "http", "scheme": "bearer"}},
                "schemas": schemas,
            },
        })
    }

    fn path(&self, described: &Described) -> Value {
        let mut methods = Map::new();
        let mut others = Map::new();
        for operation in &described.operations {
            let made = self.operation(operation, described);
            let (place, name) = if METHODS.contains(&operation.method) {
                (&mut methods, operation.method.to_ascii_lowercase())
            } else {
                (&mut others, operation.method.to_owned())
            };
            match place.get_mut(&name) {
                None => drop(place.insert(name, made)),
                Some(there) => {
                    also(there, operation);
                    merge(there, made);
                }
            }
        }
        if !others.is_empty() {
            // OpenAPI 3.2 has a place for these under this name.
            methods.insert("x-additionalOperations".to_owned(), Value::Object(others));
        }
        let parameters = described.parameters.iter();
        let parameters: Vec<Value> = parameters.map(|given| parameter("path", *given)).collect();
        if !parameters.is_empty() {
            methods.insert("parameters".to_owned(), Value::Array(parameters));
        }
        Value::Object(methods)
    }

    fn operation(&self, operation: &Operation, described: &Described) -> Value {
        let query = operation.query.iter();
        let query = query.map(|given| parameter("query", *given));
        // These three have places of their own in OpenAPI.
        let own = ["Accept", "Content-Type", "Authorization"];
        let headers = operation.headers.iter();
        let headers = headers
            .filter(|(name, ..)| !own.contains(name))
            .map(|given| parameter("header", *given));
        let parameters: Vec<Value> = query.chain(headers).collect();
        let mut made = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "parameters": parameters,
            "responses": self.responses(operation, described),
        });
        if let (false, Some(made)) = (operation.takes.is_empty(), made.as_object_mut()) {
            let documents = operation.takes.iter().all(|(_, schema)| schema.is_some());
            let required = documents && !operation.optional;
            let body = json!({"required": required, "content": content(operation.takes)});
            made.insert("requestBody".to_owned(), body);
        }
        made
    }

    fn responses(&self, operation: &Operation, described: &Described) -> Value {
        let mut responses = Map::new();
        let links = self.links(operation, described);
        for status in operation.successes {
            let mut response = Map::new();
            response.insert("description".to_owned(), json!(description(*status)));
            if !matches!(status, 204 | 304) && !operation.gives.is_empty() {
                response.insert("content".to_owned(), json!(content(operation.gives)));
            }
            if !links.is_empty() && *status < 300 {
                response.insert("links".to_owned(), Value::Object(links.clone()));
            }
            responses.insert(status.to_string(), Value::Object(response));
        }
        let problem = [("application/problem+json", Some("Problem"))];
        let slow: &[u16] = if operation.takes.is_empty() {
            &[]
        } else {
            &[408]
        };
        for status in ALWAYS.iter().chain(slow).chain(operation.problems) {
            let mut response = Map::new();
            response.insert("description".to_owned(), json!(description(*status)));
            if operation.method != "HEAD" {
                response.insert("content".to_owned(), json!(content(&problem)));
            }
            responses.insert(status.to_string(), Value::Object(response));
        }
        Value::Object(responses)
    }

    /// The operations that a success leads to take what they have in common from its path.
    fn links(&self, operation: &Operation, described: &Described) -> Map<String, Value> {
        let mut links = Map::new();
        for next in operation.leads_to {
            let target = self
                .paths
                .iter()
                .find(|path| path.operations.iter().any(|found| found.id == *next));
            let Some(target) = target else {
                continue;
            };
            let shared = target
                .parameters
                .iter()
                .filter(|(name, ..)| described.parameters.iter().any(|(other, ..)| other == name));
            let parameters: Map<String, Value> = shared
                .map(|(name, ..)| {
                    let from = format!("$request.path.{name}");
                    (format!("path.{name}"), Value::String(from))
                })
                .collect();
            let link = json!({"operationId": next, "parameters": parameters});
            links.insert((*next).to_owned(), link);
        }
        links
    }
}

/// Says of an operation what another one on the same path does.
fn also(there: &mut Value, operation: &Operation) {
    if let Some(Value::String(summary)) = there.get_mut("summary") {
        summary.push_str("; ");
        summary.push_str(operation.summary);
    }
    let required = there.pointer_mut("/requestBody/required");
    if let (Some(required), true) = (required, operation.takes.is_empty()) {
        *required = Value::Bool(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Parameter = ("id", Takes::Pattern("^[a-z]+$"), "its name");

    fn described() -> Vec<Described> {
        let put = Operation {
            takes: &[("application/json", Some("Thing"))],
            successes: &[201],
            problems: &[409],
            leads_to: &["read"],
            ..Operation::new("PUT", "write", "Writes a thing")
        };
        let read = Operation {
            query: &[("limit", Takes::Number(9), "how many")],
            gives: &[("application/json", Some("Thing")), ("text/html", None)],
            successes: &[200, 304],
            ..Operation::new("GET", "read", "Reads a thing")
        };
        let events = Operation {
            query: &[("limit", Takes::Text, "twice")],
            headers: &[
                ("Accept", Takes::Text, ""),
                ("Last-Event-ID", Takes::Text, ""),
            ],
            gives: &[("text/event-stream", None)],
            successes: &[200],
            problems: &[410],
            ..Operation::new("GET", "events", "what happens to it")
        };
        let copy = Operation::new("COPY", "copy", "Copies it");
        vec![Described {
            path: "/things/{id}",
            parameters: &[ID],
            operations: vec![put, read, events, copy],
        }]
    }

    #[test]
    fn operations_of_one_method_and_path_are_one() {
        let schemas = [("Thing", json!({"type": "object"}))];
        let api = OpenApi::default().with(described(), schemas);
        let document = api.document("Things", "1");
        let path = &document["paths"]["/things/{id}"];
        assert_eq!(path["parameters"][0]["schema"]["pattern"], "^[a-z]+$");
        let get = &path["get"];
        assert_eq!(get["operationId"], "read");
        assert_eq!(get["summary"], "Reads a thing; what happens to it");
        let parameters = get["parameters"].as_array().unwrap();
        assert_eq!(parameters.len(), 2, "{get}");
        assert_eq!(parameters[0]["schema"]["type"], "integer");
        let content = get["responses"]["200"]["content"].as_object().unwrap();
        assert_eq!(content.len(), 3);
        assert!(get["responses"]["410"].is_object() && get["responses"]["304"].is_object());
        assert!(get["responses"]["304"].get("content").is_none());
        let put = &path["put"];
        assert_eq!(
            put["responses"]["201"]["links"]["read"]["parameters"]["path.id"],
            "$request.path.id"
        );
        assert_eq!(put["requestBody"]["required"], true);
        assert_eq!(
            path["x-additionalOperations"]["COPY"]["operationId"],
            "copy"
        );
        assert_eq!(document["components"]["schemas"]["Thing"]["type"], "object");
    }
}
