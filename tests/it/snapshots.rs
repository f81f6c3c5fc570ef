//! Snapshots of buckets and directories, as every dialect reads and refuses them.

use crate::dialects::{Dialect, Object, Spoken};
use crate::{Fixture, assert_problem, json, send};
use serde_json::json as document;
use trestle_tests::server::{PASSWORD, USER, binary};
use trestle_tests::{Client, Response};

fn post(client: &mut Client, target: &str, body: &serde_json::Value) -> Response {
    let headers = [("content-type", "application/json")];
    let body = body.to_string();
    client
        .send("POST", target, &headers, body.as_bytes())
        .unwrap()
}

fn object(bytes: &[u8]) -> Object {
    Object {
        bytes: bytes.to_vec(),
        kind: "text/plain".to_owned(),
        metadata: [("colour".to_owned(), "red".to_owned())].into(),
    }
}

#[test]
fn every_dialect_reads_a_snapshot_by_name_and_none_changes_it() {
    let mut fixture = Fixture::new();
    let mut spoken = Spoken::new(&fixture);
    for (at, dialect) in Dialect::ALL.into_iter().enumerate() {
        let key = format!("d/{at}");
        let put = spoken.put(dialect, "b", &key, &object(key.as_bytes()));
        assert!(
            (200..300).contains(&put.status),
            "{dialect:?}: {}",
            put.text()
        );
    }
    let kept = spoken.list(Dialect::S3, "b");
    let made = post(
        &mut fixture.client(),
        "/-/snapshots",
        &document!({"bucket": "b", "name": "monday.1"}),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        made.header("location").as_deref(),
        Some("/rest/b__monday.1/")
    );
    assert_eq!(json(&made)["reads_as"], "b__monday.1");
    for at in 0..4 {
        let key = format!("d/{at}");
        spoken.delete(Dialect::Rest, "b", &key);
    }
    spoken.put(Dialect::Rest, "b", "d/0", &object(b"other"));
    spoken.put(Dialect::Rest, "b", "new", &object(b"new"));
    // What was answered is there after a crash, too.
    fixture.kill();
    fixture.start();
    let mut spoken = Spoken::new(&fixture);
    for dialect in Dialect::ALL {
        let listed: Vec<_> = spoken.list(dialect, "b__monday.1").into_keys().collect();
        assert!(listed.iter().eq(kept.keys()), "{dialect:?}: {listed:?}");
        for at in 0..4 {
            let key = format!("d/{at}");
            let read = spoken.get(dialect, "b__monday.1", &key);
            assert_eq!(read, Some(object(key.as_bytes())), "{dialect:?}");
        }
        assert_eq!(spoken.get(dialect, "b__monday.1", "new"), None);
        for key in ["d/0", "another"] {
            let put = spoken.put(dialect, "b__monday.1", key, &object(b"x"));
            assert_eq!(put.status, 409, "{dialect:?} {key}: {}", put.text());
        }
        let deleted = spoken.delete(dialect, "b__monday.1", "d/0");
        assert_eq!(deleted.status, 409, "{dialect:?}: {}", deleted.text());
        // One object is brought back.
        if dialect != Dialect::Cdmi {
            let copied = spoken.send(dialect, "GET", "b__monday.1/d/1", Vec::new(), &[]);
            assert_eq!(copied.body, b"d/1");
        }
    }
    for (dialect, path) in [
        (Dialect::S3, "b__monday.1"),
        (Dialect::Swift, "b__monday.1"),
        (Dialect::Cdmi, "b__monday.1/"),
    ] {
        let deleted = spoken.send(dialect, "DELETE", path, Vec::new(), &[]);
        assert_eq!(deleted.status, 409, "{dialect:?}: {}", deleted.text());
    }
    let headers = vec![(
        "x-amz-copy-source".to_owned(),
        "/b__monday.1/d/2".to_owned(),
    )];
    let back = spoken.send(Dialect::S3, "PUT", "b/d/2", headers, &[]);
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(spoken.get(Dialect::Rest, "b", "d/2"), Some(object(b"d/2")));
    let swift = spoken.send(Dialect::Swift, "GET", "", Vec::new(), &[]);
    assert!(!swift.text().contains("__"), "{}", swift.text());
    let rest = send(&mut fixture.client(), "GET", "/rest/");
    assert!(!rest.text().contains("__"), "{}", rest.text());
    fixture.stop();
    fixture.launch().check().unwrap();
}

#[test]
fn snapshots_are_made_listed_and_deleted() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    for target in ["/rest/b/d/k", "/rest/b/k", "/rest/b/d/e/k"] {
        assert_eq!(
            client.send("PUT", target, &[], b"bytes").unwrap().status,
            201
        );
    }
    let of = |key: &str, name: &str| document!({"bucket": "b", "key": key, "name": name});
    assert_eq!(post(client, "/-/snapshots", &of("", "all")).status, 201);
    assert_eq!(post(client, "/-/snapshots", &of("d/", "part")).status, 201);
    assert_eq!(post(client, "/-/snapshots", &of("k", "one")).status, 201);
    assert_problem(&post(client, "/-/snapshots", &of("d/", "all")), 409);
    assert_problem(&post(client, "/-/snapshots", &of("none/", "x")), 404);
    assert_problem(&post(client, "/-/snapshots", &of("", "a b")), 400);
    let names = |client: &mut Client, query: &str| -> Vec<String> {
        let listed = json(&send(
            client,
            "GET",
            &format!("/-/snapshots?bucket=b{query}"),
        ));
        let all = listed["snapshots"].as_array().unwrap();
        all.iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(client, ""), ["all", "part"]);
    assert_eq!(names(client, "&key=d/"), ["part"]);
    assert_eq!(names(client, "&key=k"), ["one"]);
    let stat = json(&send(client, "GET", "/rest/b__part/?metadata"));
    assert_eq!(stat["objects"], 2, "{stat}");
    assert_eq!(stat["snapshot_of"]["bucket"], "b");
    assert_eq!(stat["snapshot_of"]["key"], "d/");
    let read = send(client, "GET", "/rest/b__part/d/e/k");
    assert_eq!((read.status, &read.body[..]), (200, &b"bytes"[..]));
    assert_eq!(read.header("trestle-snapshot").as_deref(), Some("true"));
    assert_problem(&send(client, "GET", "/rest/b__part/k"), 404);
    assert_problem(&send(client, "PUT", "/rest/b__part/"), 409);
    for target in ["/rest/b/d/k", "/rest/b/k", "/rest/b/d/e/k", "/rest/b/k@one"] {
        assert_eq!(send(client, "DELETE", target).status, 204);
    }
    assert_problem(&send(client, "DELETE", "/rest/b/"), 409);
    assert_eq!(
        json(&send(client, "GET", "/rest/b/?metadata"))["snapshot_bytes"],
        15
    );
    for snapshot in ["b__all", "b__part"] {
        let target = format!("/rest/{snapshot}/");
        assert_eq!(send(client, "DELETE", &target).status, 204);
        assert_problem(&send(client, "GET", &target), 404);
    }
    assert_eq!(send(client, "DELETE", "/rest/b/").status, 204);
    fixture.stop();
    fixture.launch().check().unwrap();
}

#[test]
fn the_command_line_makes_lists_and_deletes_snapshots_of_buckets() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    client.send("PUT", "/rest/b/d/k", &[], b"one").unwrap();
    let said = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        let server = format!("http://{}", fixture.server().address);
        let command = command.args(arguments).env("TRESTLE_SERVER", server);
        let command = command
            .env("TRESTLE_USER", USER)
            .env("TRESTLE_PASSWORD", PASSWORD);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(said(&["snapshot", "create", "//b", "s"]), "made //b__s\n");
    assert_eq!(
        said(&["snapshot", "create", "//b/d/", "t"]),
        "made //b__t\n"
    );
    client.send("PUT", "/rest/b/d/k", &[], b"two").unwrap();
    assert_eq!(said(&["cat", "//b__s/d/k"]), "one");
    let listed = said(&["snapshot", "ls", "//b"]);
    assert!(
        listed.contains("//b__s") && listed.contains("//b__t"),
        "{listed}"
    );
    assert!(!said(&["snapshot", "ls", "//b/d/"]).contains("//b__s"));
    said(&["clone", "//b", "//now"]);
    said(&["clone", "//b__s", "//before"]);
    assert_eq!(said(&["cat", "//now/d/k"]), "two");
    assert_eq!(said(&["cat", "//before/d/k"]), "one");
    assert_eq!(said(&["snapshot", "rm", "//b", "s"]), "deleted //b__s\n");
    assert_eq!(said(&["cat", "//before/d/k"]), "one");
    assert_eq!(said(&["snapshot", "rm", "//b/d/", "t"]), "deleted //b__t\n");
    assert_eq!(said(&["snapshot", "ls", "//b"]), "");
}

#[test]
fn a_bucket_is_cloned_and_goes_its_own_way() {
    let mut fixture = Fixture::new();
    let mut spoken = Spoken::new(&fixture);
    for at in 0..4 {
        let key = format!("d/{at}");
        spoken.put(Dialect::Rest, "b", &key, &object(key.as_bytes()));
    }
    let clone = |client: &mut Client, from: &str, to: &str| {
        post(
            client,
            "/-/clones",
            &document!({"bucket": from, "to_bucket": to}),
        )
    };
    let client = &mut fixture.client();
    let made = clone(client, "b", "cloned");
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location").as_deref(), Some("/rest/cloned/"));
    assert_problem(&clone(client, "b", "cloned"), 409);
    assert_problem(&clone(client, "none", "other"), 404);
    for (at, dialect) in Dialect::ALL.into_iter().enumerate() {
        let listed: Vec<_> = spoken.list(dialect, "cloned").into_keys().collect();
        assert!(
            listed.iter().eq(spoken.list(Dialect::S3, "b").keys()),
            "{dialect:?}: {listed:?}"
        );
        let put = spoken.put(dialect, "cloned", &format!("d/{at}"), &object(b"other"));
        assert!(
            (200..300).contains(&put.status),
            "{dialect:?}: {}",
            put.text()
        );
    }
    assert_eq!(
        json(&send(client, "GET", "/rest/cloned/?metadata"))["objects"],
        4
    );
    spoken.delete(Dialect::Rest, "b", "d/0");
    fixture.kill();
    fixture.start();
    let mut spoken = Spoken::new(&fixture);
    for dialect in Dialect::ALL {
        assert_eq!(spoken.get(dialect, "cloned", "d/0"), Some(object(b"other")));
        assert_eq!(spoken.get(dialect, "b", "d/1"), Some(object(b"d/1")));
    }
    let client = &mut fixture.client();
    for bucket in ["b", "cloned"] {
        for at in 0..4 {
            spoken.delete(Dialect::Rest, bucket, &format!("d/{at}"));
        }
        let deleted = send(client, "DELETE", &format!("/rest/{bucket}/"));
        assert_eq!(deleted.status, 204, "{}", deleted.text());
    }
    fixture.stop();
    fixture.launch().check().unwrap();
}

#[test]
fn a_directory_is_cloned_as_a_bucket_and_not_into_another() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    for key in ["d/one", "d/e/two", "other"] {
        let path = format!("/rest/b/{key}");
        client.send("PUT", &path, &[], key.as_bytes()).unwrap();
    }
    let asked = document!({"bucket": "b", "key": "d/", "to_bucket": "cloned"});
    let made = post(client, "/-/clones", &asked);
    assert_eq!(made.status, 201, "{}", made.text());
    for (key, status) in [("d/one", 200), ("d/e/two", 200), ("other", 404)] {
        let got = send(client, "GET", &format!("/rest/cloned/{key}"));
        assert_eq!(got.status, status, "{key}: {}", got.text());
    }
    let into = document!({"bucket": "b", "key": "d/", "to_bucket": "b", "to_key": "f/"});
    assert_problem(&post(client, "/-/clones", &into), 501);
    let nameless = document!({"bucket": "b", "key": "d/"});
    assert_problem(&post(client, "/-/clones", &nameless), 400);
    let missing = document!({"bucket": "b", "key": "none/", "to_bucket": "none"});
    assert_problem(&post(client, "/-/clones", &missing), 404);
    fixture.stop();
    fixture.launch().check().unwrap();
}
