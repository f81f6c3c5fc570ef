//! The OpenAPI document says what is served: every path that it has is asked for every method.

use crate::{Fixture, json, send};
use std::collections::BTreeSet;

const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "COPY"];

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    let mut filled = path.to_owned();
    for (name, value) in [
        ("bucket", "b"),
        ("key", "none"),
        ("account", "main"),
        ("user", "nobody"),
        ("name", "nothing"),
    ] {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    assert!(
        !filled.contains('{'),
        "{filled}: a parameter that is not known here"
    );
    filled
}

#[test]
fn every_path_has_the_methods_that_are_described_and_no_other() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let document = json(&send(client, "GET", "/-/openapi.json"));
    let paths = document["paths"].as_object().unwrap();
    let mut operations = 0;
    for (path, methods) in paths {
        let target = filled(path);
        let others = methods
            .get("x-additionalOperations")
            .and_then(|v| v.as_object());
        let own = methods.as_object().unwrap().iter();
        let described: BTreeSet<String> = own
            .chain(others.into_iter().flatten())
            .filter(|(_, operation)| operation.get("operationId").is_some())
            .map(|(method, _)| method.to_uppercase())
            .collect();
        operations += described.len();
        for method in METHODS {
            let served = match method {
                "HEAD" => described.contains("HEAD") || described.contains("GET"),
                method => described.contains(method),
            };
            // What is served is not to be done, only to be found: the query is wrong.
            let query = if served { "?no-such-parameter=1" } else { "" };
            let target = format!("{target}{query}");
            let headers = [("content-type", "text/plain"), ("if-match", "\"none\"")];
            let answer = client.send(method, &target, &headers, &[]).unwrap();
            // POST is for keys that end with a slash, and for the protocol of uploads.
            if !(path.ends_with("{key}") && method == "POST") {
                assert_eq!(
                    answer.status != 405,
                    served,
                    "{method} {path}: {}",
                    answer.text()
                );
            }
            assert!(answer.status < 500, "{method} {path}: {}", answer.text());
        }
    }
    assert!(operations >= 40, "{operations}");
    // What leads on from an answer is an operation of the document.
    let text = document.to_string();
    let mut links = 0;
    let responses = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values());
    for response in responses.filter_map(|operation| operation["responses"].as_object()) {
        for link in response
            .values()
            .filter_map(|answer| answer["links"].as_object())
        {
            for link in link.values() {
                let summary = format!("\"operationId\":{},\"parameters\":[", link["operationId"]);
                assert!(text.contains(&summary), "{link}");
                links += 1;
            }
        }
    }
    assert!(links >= 20, "{links}");
}
