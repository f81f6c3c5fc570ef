//! Containers that are sent from one server to another.

use crate::cdmi_extensions::until;
use crate::swift::Swift;
use serde_json::{Value, json};
use std::path::Path;
use trestle_tests::server::Server;
use trestle_tests::{Client, Launch};

/// A server that knows these clusters of one realm.
fn server(folder: &Path, name: &str, clusters: &str) -> Server {
    let realms = folder.join(format!("{name}.conf"));
    std::fs::write(&realms, format!("[realm]\nkey = of both\n{clusters}")).unwrap();
    let launch = Launch::new(folder.join(name));
    let realms = realms.to_str().unwrap().to_owned();
    launch
        .variable("TRESTLE_SWIFT_SYNC_REALMS", &realms)
        .start()
}

fn told(swift: &mut Swift, path: &str, name: &str) -> Option<String> {
    swift.send("HEAD", path, &[], &[]).header(name)
}

#[test]
fn a_container_is_sent_to_another_server_and_kept_as_it_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    let cluster = format!("cluster_There = http://{}/v1/\n", there.address);
    let here = server(folder.path(), "here", &cluster);
    let (mut from, mut to) = (Swift::of(&here), Swift::of(&there));
    let info = Client::anonymous(here.address).send("GET", "/info", &[], b"");
    let info: Value = serde_json::from_slice(&info.unwrap().body).unwrap();
    let shown = json!({"realms": {"REALM": {"clusters": {"THERE": {}}}}});
    assert_eq!(info["container_sync"], shown);

    // What is there already is sent first.
    assert_eq!(from.status("PUT", "/c", &[]), 201);
    from.put("/c/old", b"old");
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    let sent = [
        ("x-container-sync-to", "//realm/there/AUTH_root/copy"),
        ("x-container-sync-key", "own"),
    ];
    assert_eq!(from.status("POST", "/c", &sent), 204);
    assert_eq!(
        told(&mut from, "/c", "x-container-sync-to").as_deref(),
        Some(sent[0].1)
    );
    until("what was there is sent", || {
        to.send("GET", "/copy/old", &[], &[]).body == b"old"
    });

    // Then what changes: bytes, metadata, names with odd characters, deletions.
    let headers = [("content-type", "text/x"), ("x-object-meta-color", "red")];
    let put = from.send("PUT", "/c/a%20b/%C3%BC%3F", &headers, b"first");
    assert_eq!(put.status, 201);
    from.put("/c/gone", b"gone");
    until("new ones are sent", || {
        to.status("HEAD", "/copy/a%20b/%C3%BC%3F", &[]) == 200
            && to.status("HEAD", "/copy/gone", &[]) == 200
    });
    for name in ["x-timestamp", "etag", "content-type", "x-object-meta-color"] {
        let sent = told(&mut from, "/c/a%20b/%C3%BC%3F", name);
        assert!(sent.is_some(), "{name}");
        assert_eq!(told(&mut to, "/copy/a%20b/%C3%BC%3F", name), sent, "{name}");
    }
    from.put("/c/old", b"newer");
    assert_eq!(from.status("DELETE", "/c/gone", &[]), 204);
    let color = [("x-object-meta-color", "blue")];
    assert_eq!(from.status("POST", "/c/a%20b/%C3%BC%3F", &color), 202);
    until("changes are sent", || {
        to.send("GET", "/copy/old", &[], &[]).body == b"newer"
            && to.status("HEAD", "/copy/gone", &[]) == 404
            && told(&mut to, "/copy/a%20b/%C3%BC%3F", "x-object-meta-color").as_deref()
                == Some("blue")
    });

    // A large object, whose segments are sent by their own container.
    assert_eq!(from.status("PUT", "/parts", &sent_to("/parts")), 201);
    assert_eq!(
        to.status("PUT", "/parts", &[("x-container-sync-key", "own")]),
        201
    );
    from.put("/parts/1", b"one ");
    from.put("/parts/2", b"two");
    let manifest = json!([{"path": "/parts/1"}, {"path": "/parts/2"}]).to_string();
    let large = from.send(
        "PUT",
        "/c/large?multipart-manifest=put",
        &[],
        manifest.as_bytes(),
    );
    assert_eq!(large.status, 201, "{}", large.text());
    until("a large object is sent", || {
        to.send("GET", "/copy/large", &[], &[]).body == b"one two"
    });
    assert_eq!(
        told(&mut to, "/copy/large", "x-static-large-object").as_deref(),
        Some("True")
    );

    // What was written over there later stays.
    to.put("/copy/later", b"of the other");
    assert_eq!(from.status("DELETE", "/c/old", &[]), 204);
    until("the deletion is sent", || {
        to.status("HEAD", "/copy/old", &[]) == 404
    });
    assert_eq!(
        to.send("GET", "/copy/later", &[], &[]).body,
        b"of the other"
    );
}

fn sent_to(container: &str) -> [(&'static str, &'static str); 2] {
    let to = match container {
        "/parts" => "//realm/there/AUTH_root/parts",
        _ => "//realm/there/AUTH_root/copy",
    };
    [("x-container-sync-to", to), ("x-container-sync-key", "own")]
}

#[test]
fn a_server_that_was_away_gets_the_rest() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    let address = there.address;
    let cluster = format!("cluster_there = http://{address}/v1\n");
    let here = server(folder.path(), "here", &cluster);
    let mut from = Swift::of(&here);
    assert_eq!(
        Swift::of(&there).status("PUT", "/copy", &[("x-container-sync-key", "wrong")]),
        201
    );
    assert_eq!(from.status("PUT", "/c", &sent_to("/copy")), 201);
    from.put("/c/k", b"1");
    drop(here);
    // A key that is not shared sends nothing; a restart goes on where it was.
    let here = server(folder.path(), "here", &cluster);
    let mut from = Swift::of(&here);
    from.put("/c/k", b"2");
    let mut to = Swift::of(&there);
    assert_eq!(to.status("HEAD", "/copy/k", &[]), 404);
    assert_eq!(
        to.status("POST", "/copy", &[("x-container-sync-key", "own")]),
        204
    );
    until("the key is right", || {
        to.send("GET", "/copy/k", &[], &[]).body == b"2"
    });
}

#[test]
fn only_what_is_signed_and_newer_is_taken() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    let mut to = Swift::of(&there);
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    to.put("/copy/k", b"mine");
    let mut nobody = Client::anonymous(there.address);
    let target = "/v1/AUTH_root/copy/k";
    for auth in ["", "realm", "realm n 00", "realm n 00 x", "other n 00"] {
        for method in ["PUT", "DELETE", "HEAD", "GET", "POST"] {
            let headers = [
                ("x-container-sync-auth", auth),
                ("x-timestamp", "9999999999.00000"),
            ];
            let answer = nobody.send(method, target, &headers, b"").unwrap();
            assert_eq!(answer.status, 401, "{method} {auth:?}");
        }
    }
    assert_eq!(to.send("GET", "/copy/k", &[], &[]).body, b"mine");
    // Where a container is sent to is one of the clusters that the operator named.
    for wrong in [
        "http://127.0.0.1:1/v1/AUTH_root/c",
        "//realm/there/AUTH_root/c",
        "//nowhere/there/AUTH_root/c",
        "//realm",
    ] {
        let headers = [("x-container-sync-to", wrong)];
        assert_eq!(to.status("POST", "/copy", &headers), 400, "{wrong}");
    }
}
