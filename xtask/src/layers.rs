//! Which crate may depend on which: the table behind "an arrow only ever points down".

use crate::workspace::{list, metadata, text};
use serde_json::Value;

/// Every crate with the crates of ours that it may use, lowest first. A crate that is not here is
/// refused, so that a new one takes its place on purpose.
const LAYERS: [(&str, &[&str]); 19] = [
    ("core", &[]),
    ("host", &["core"]),
    ("access", &["core", "host"]),
    ("audit", &["core", "host", "access"]),
    ("engine", &["core", "host"]),
    ("engine-embedded", &["core", "host", "engine"]),
    ("store", &["core", "host", "access", "engine"]),
    ("http", &["core", "host"]),
    ("client", &["core", "host", "http"]),
    ("rest", &["core", "access", "store", "http"]),
    ("admin", &["core", "access", "store", "http"]),
    ("s3", &["core", "host", "access", "store", "http"]),
    ("swift", &["core", "host", "access", "store", "http"]),
    ("cdmi", &["core", "host", "access", "store", "http"]),
    (
        "server",
        &[
            "core",
            "host",
            "access",
            "audit",
            "engine",
            "engine-embedded",
            "store",
            "http",
            "client",
            "rest",
            "admin",
            "s3",
            "swift",
            "cdmi",
        ],
    ),
    (
        "sim",
        &[
            "core",
            "host",
            "access",
            "engine",
            "engine-embedded",
            "store",
        ],
    ),
    ("tests", &[]),
    (
        "bench",
        &[
            "core",
            "host",
            "access",
            "engine-embedded",
            "store",
            "http",
            "tests",
        ],
    ),
    ("xtask", &[]),
];

/// Tests may use these besides, since nothing of it reaches a product build.
const FOR_TESTS: [&str; 3] = ["sim", "engine", "engine-embedded"];

/// Only these crates may know the libraries that speak HTTP.
const SPEAK_HTTP: [&str; 9] = [
    "http", "client", "rest", "s3", "cdmi", "server", "bench", "swift", "admin",
];
const HTTP_LIBRARIES: [&str; 6] = [
    "http",
    "http-body",
    "http-body-util",
    "httpdate",
    "hyper",
    "hyper-util",
];

/// What is wrong with the edges between crates.
pub fn check() -> Result<Vec<String>, String> {
    Ok(list(&metadata(false)?, "packages")
        .iter()
        .flat_map(edges)
        .collect())
}

fn edges(package: &Value) -> Vec<String> {
    let name = short(text(package, "name"));
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![format!("{name}: has no place in the table of layers")];
    };
    let mut found = Vec::new();
    let default = list(&package["features"], "default");
    if default.iter().any(|feature| *feature == "canary") {
        found.push(format!("{name}: planted bugs are never on by default"));
    }
    for dependency in list(package, "dependencies") {
        let to = text(dependency, "name");
        if HTTP_LIBRARIES.contains(&to) && !SPEAK_HTTP.contains(&name) {
            found.push(format!("{name}: may not depend on {to}"));
        }
        let for_tests = text(dependency, "kind") == "dev" && FOR_TESTS.contains(&short(to));
        if to.starts_with("trestle-") && !allowed.contains(&short(to)) && !for_tests {
            found.push(format!("{name}: may not depend on {}", short(to)));
        }
    }
    found
}

fn short(name: &str) -> &str {
    name.strip_prefix("trestle-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arrows_point_down() {
        assert_eq!(check(), Ok(Vec::new()));
        for (place, (name, allowed)) in LAYERS.iter().enumerate() {
            for lower in *allowed {
                let below = LAYERS.iter().position(|(layer, _)| layer == lower);
                assert!(below < Some(place), "{name} → {lower} points up");
            }
        }
    }

    #[test]
    fn an_edge_upwards_is_found() {
        let package = json!({"name": "trestle-store", "dependencies": [
            {"name": "trestle-core", "kind": null},
            {"name": "trestle-rest", "kind": "dev"},
            {"name": "trestle-sim", "kind": "dev"},
            {"name": "trestle-sim", "kind": null},
            {"name": "hyper", "kind": null},
        ], "features": {"canary": [], "default": ["canary"]}});
        assert_eq!(
            edges(&package),
            [
                "store: planted bugs are never on by default",
                "store: may not depend on rest",
                "store: may not depend on sim",
                "store: may not depend on hyper",
            ]
        );
    }
}
