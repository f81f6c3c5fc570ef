//! CDMI's rows.

use super::Who::{self, Boss, Root};
use super::rows::rows;
use super::{World, ask};
use crate::json;
use trestle_tests::client::base64;

/// Makes one thing and gives its id.
fn create(world: &mut World, who: Who, target: &str, kind: &str, body: &str) -> String {
    let kind = format!("application/cdmi-{kind}");
    let made = ask("PUT", &format!("/cdmi{target}")).by(who);
    let made = made.with("content-type", &kind).with("accept", &kind);
    let document = json(&world.made(made.body(body)));
    document["objectID"].as_str().unwrap().to_owned()
}

fn world() -> World {
    let mut world = World::new();
    let w = &mut world;
    let container = create(w, Root, "/c/", "container", "{}");
    let object = create(w, Root, "/c/o", "object", r#"{"value":"0123456789"}"#);
    create(w, Root, "/c/sub/", "container", "{}");
    create(w, Root, "/c/sub/o", "object", r#"{"value":"below"}"#);
    create(w, Root, "/c/q", "queue", "{}");
    let fill = ask("POST", "/cdmi/c/q").with("content-type", "application/cdmi-queue");
    w.made(fill.body(r#"{"value":["one","two","three"]}"#));
    create(w, Root, "/c/ref", "object", r#"{"reference":"/c/o"}"#);
    let period = "2026-01-01T00:00:00.000000Z/2999-01-01T00:00:00.000000Z";
    let held = format!(r#"{{"value":"held","metadata":{{"cdmi_retention_period":"{period}"}}}}"#);
    let held = create(w, Root, "/c/held", "object", &held);
    let hold = r#"{"value":"held","metadata":{"cdmi_hold_id":["court"]}}"#;
    create(w, Root, "/c/onhold", "object", hold);
    let gone = create(w, Root, "/c/gone", "object", r#"{"value":"x"}"#);
    w.made(ask("DELETE", "/cdmi/c/gone"));
    create(w, Boss, "/acmec/", "container", "{}");
    create(w, Boss, "/acmec/o", "object", r#"{"value":"theirs"}"#);
    let brackets = base64("[".repeat(100_000).as_bytes());
    let other = base64(br#"{"objectType":"application/cdmi-container","children":[]}"#);
    for (name, value) in [
        ("id-c", container),
        ("id-o", object),
        ("id-held", held),
        ("id-gone", gone),
        ("brackets", brackets),
        ("container", other),
    ] {
        w.names.insert(name, value);
    }
    world
}

#[test]
fn cdmi_refuses_each_of_its_named_cases_and_changes_nothing() {
    let refused = world().refuses(rows(include_str!("cdmi.txt"), |ask| ask));
    assert!(refused >= 166, "{refused}");
}
