//! The REST API's rows.

use super::Who::Boss;
use super::rows::rows;
use super::{Ask, World, ask};

fn patch(target: &str) -> Ask {
    ask("PATCH", target).with("content-type", "application/merge-patch+json")
}

fn world() -> World {
    let mut world = World::new();
    for (target, body) in [
        ("/rest/b/o", "0123456789"),
        ("/rest/b/dir/x", "x"),
        ("/rest/v/", ""),
    ] {
        world.made(ask("PUT", target).body(body));
    }
    world.made(patch("/rest/v/").body(r#"{"versioning":"enabled"}"#));
    let first = world.made(ask("PUT", "/rest/v/o").body("old"));
    let old = first.header("trestle-version").unwrap();
    world.names.insert("old", old);
    world.made(ask("PUT", "/rest/v/o").body("new"));
    world.made(ask("PUT", "/rest/lock/"));
    world.made(patch("/rest/lock/").body(r#"{"versioning":"enabled","lock":{}}"#));
    let held = world.made(ask("PUT", "/rest/lock/held").body("held"));
    let held = held.header("trestle-version").unwrap();
    world.names.insert("held", held);
    let until = r#"{"retention":{"mode":"compliance","until":"2999-01-01T00:00:00Z"}}"#;
    world.made(patch("/rest/lock/held").body(until));
    let legal = world.made(ask("PUT", "/rest/lock/legal").body("legal"));
    let legal = legal.header("trestle-version").unwrap();
    world.names.insert("legal", legal);
    world.made(patch("/rest/lock/legal").body(r#"{"legal_hold":true}"#));
    world.made(ask("PUT", "/rest/acme-b/").by(Boss));
    world.made(ask("PUT", "/rest/acme-b/o").by(Boss).body("theirs"));
    let once = ask("POST", "/rest/b/").with("idempotency-key", "k1");
    world.made(once.body("first"));
    let upload = ask("POST", "/rest/b/large")
        .with("tus-resumable", "1.0.0")
        .with("upload-length", "10");
    let upload = world.made(upload).header("location").unwrap();
    let path = upload.find("/rest").map_or("", |at| &upload[at..]);
    world.names.insert("upload", path.to_owned());
    world
}

#[test]
fn rest_refuses_each_of_its_named_cases_and_changes_nothing() {
    let refused = world().refuses(rows(include_str!("rest.txt"), |ask| ask));
    assert!(refused >= 169, "{refused}");
}
