//! The OpenAPI 3.1 document of an application, made from what its resources implement.

use crate::app::{App, Route, Segment};
use crate::merge_patch::MERGE_PATCH;
use serde_json::{Map, Value, json};

/// The whole document.
pub(crate) fn document(app: &App) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for route in &app.routes {
        let name = name(route);
        schemas.insert(name.clone(), route.served.schema());
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        let base = format!("/{}", route.path.trim_matches('/'));
        let collection = collection(route, &name, &schema);
        if !collection.is_empty() {
            paths.insert(base.clone(), with_parameters(route, collection, None));
        }
        let item = item(route, &name, &schema);
        if !item.is_empty() {
            let path = format!("{base}/{{id}}");
            paths.insert(path, with_parameters(route, item, Some("id")));
        }
    }
    schemas.insert(
        "Problem".to_owned(),
        json!({"type": "object", "required": ["type", "title", "status"], "properties": {
            "type": {"type": "string"}, "title": {"type": "string"},
            "status": {"type": "integer"}, "detail": {"type": "string"}}}),
    );
    json!({
        "openapi": "3.1.0",
        "info": {"title": app.title, "version": app.version},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// The last literal segment of a route names what is there.
fn name(route: &Route) -> String {
    let literals = route
        .pattern
        .iter()
        .rev()
        .find_map(|segment| match segment {
            Segment::Literal(text) => Some(text.clone()),
            Segment::Parameter(_) => None,
        });
    literals.unwrap_or_else(|| "item".to_owned())
}

fn with_parameters(route: &Route, mut methods: Map<String, Value>, id: Option<&str>) -> Value {
    let named = route.pattern.iter().filter_map(|segment| match segment {
        Segment::Parameter(name) => Some(name.as_str()),
        Segment::Literal(_) => None,
    });
    let parameters: Vec<Value> = named
        .chain(id)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if !parameters.is_empty() {
        methods.insert("parameters".to_owned(), Value::Array(parameters));
    }
    Value::Object(methods)
}

fn content(media_type: &str, schema: &Value) -> Value {
    let mut content = Map::new();
    content.insert(media_type.to_owned(), json!({ "schema": schema }));
    Value::Object(content)
}

/// An operation with its answers: those of success, then problems.
fn operation(
    id: String,
    successes: &[(&str, &str, Option<&Value>)],
    problems: &[&str],
) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, description, schema) in successes {
        let mut response = json!({ "description": description });
        if let (Some(schema), Some(response)) = (schema, response.as_object_mut()) {
            response.insert("content".to_owned(), content("application/json", schema));
        }
        responses.insert((*status).to_owned(), response);
    }
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    for status in problems {
        let code = status
            .parse::<u16>()
            .ok()
            .and_then(|n| http::StatusCode::from_u16(n).ok());
        let description = code.map_or("Error", crate::phrase::phrase_of);
        let answer = json!({"description": description, "content": content("application/problem+json", &problem)});
        responses.insert((*status).to_owned(), answer);
    }
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), Value::String(id));
    operation.insert("responses".to_owned(), Value::Object(responses));
    operation
}

fn add(to: &mut Map<String, Value>, method: &str, operation: Map<String, Value>) {
    to.insert(method.to_owned(), Value::Object(operation));
}

fn takes(operation: &mut Map<String, Value>, media_type: &str, schema: &Value) {
    let body = json!({"required": true, "content": content(media_type, schema)});
    operation.insert("requestBody".to_owned(), body);
}

fn header(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
}

fn conditions(operation: &mut Map<String, Value>, names: &[&str]) {
    let parameters = names
        .iter()
        .map(|name| header(name, "RFC 9110 §13.1"))
        .collect();
    operation.insert("parameters".to_owned(), Value::Array(parameters));
}

fn collection(route: &Route, name: &str, schema: &Value) -> Map<String, Value> {
    let methods = route.served.methods();
    let mut paths = Map::new();
    if methods.list {
        let list = json!({"type": "array", "items": schema});
        let mut get = operation(
            format!("list-{name}"),
            &[
                ("200", "A page; `Link` leads to the next", Some(&list)),
                ("304", "Not Modified", None),
            ],
            &["400", "406"],
        );
        let mut parameters = vec![
            json!({"name": "after", "in": "query", "schema": {"type": "string"}}),
            json!({"name": "limit", "in": "query",
                   "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}}),
        ];
        for filter in route.served.filters() {
            parameters.push(json!({"name": filter, "in": "query", "schema": {"type": "string"}}));
        }
        get.insert("parameters".to_owned(), Value::Array(parameters));
        add(&mut paths, "get", get);
    }
    if methods.post {
        let mut post = operation(
            format!("create-{name}"),
            &[("201", "Created; `Location` names it", Some(schema))],
            &["400", "406", "409", "413", "415", "422"],
        );
        takes(&mut post, "application/json", schema);
        let key = header("Idempotency-Key", "the same key is done once");
        post.insert("parameters".to_owned(), Value::Array(vec![key]));
        add(&mut paths, "post", post);
    }
    paths
}

fn item(route: &Route, name: &str, schema: &Value) -> Map<String, Value> {
    let methods = route.served.methods();
    let mut paths = Map::new();
    let found = ("200", "The item", Some(schema));
    if methods.get {
        let successes = [
            found,
            ("206", "A range of it", None),
            ("304", "Not Modified", None),
        ];
        let mut get = operation(
            format!("get-{name}"),
            &successes,
            &["400", "404", "406", "412", "416"],
        );
        let names = [
            "If-None-Match",
            "If-Match",
            "If-Modified-Since",
            "Range",
            "If-Range",
        ];
        conditions(&mut get, &names);
        add(&mut paths, "get", get);
    }
    if methods.put {
        let successes = [found, ("201", "Created", Some(schema))];
        let problems = ["400", "404", "408", "412", "413", "415", "422", "428"];
        let mut put = operation(format!("put-{name}"), &successes, &problems);
        takes(&mut put, "application/json", schema);
        conditions(&mut put, &["If-Match", "If-None-Match"]);
        add(&mut paths, "put", put);
    }
    if methods.patch {
        let problems = ["400", "404", "408", "412", "413", "415", "422", "428"];
        let mut patch = operation(format!("patch-{name}"), &[found], &problems);
        takes(&mut patch, MERGE_PATCH, &json!({"type": "object"}));
        conditions(&mut patch, &["If-Match"]);
        add(&mut paths, "patch", patch);
    }
    if methods.delete {
        let successes = [("204", "Deleted", None)];
        let mut delete = operation(
            format!("delete-{name}"),
            &successes,
            &["400", "404", "412", "428"],
        );
        conditions(&mut delete, &["If-Match"]);
        add(&mut paths, "delete", delete);
    }
    paths
}
