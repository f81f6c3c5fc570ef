//! Transactions over REST and from the command line.

use crate::{Fixture, assert_problem, json, put, send};
use serde_json::{Value, json as value};
use std::process::Command;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER, binary};
use trestle_tests::{Client, Response};

const JSON: (&str, &str) = ("content-type", "application/json");

fn transact(client: &mut Client, verbs: Value) -> Response {
    let body = value!({ "verbs": verbs }).to_string();
    let target = "/-/transactions";
    client
        .send("POST", target, &[JSON], body.as_bytes())
        .unwrap()
}

#[test]
fn verbs_take_effect_together_or_not_at_all() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    assert_eq!(send(client, "PUT", "/rest/c/").status, 201);
    let tag = put(client, "/rest/b/a", b"one").header("etag").unwrap();
    put(client, "/rest/b/gone", b"x");
    let done = transact(
        client,
        value!([
            {"verb": "check", "bucket": "b", "key": "none", "if_none_match": "*"},
            {"verb": "copy", "bucket": "b", "key": "a", "to_bucket": "c", "to_key": "before"},
            {"verb": "put", "bucket": "b", "key": "a", "body": base64(b"two"), "if_match": tag,
                "content_type": "text/plain", "metadata": {"colour": "red"}, "tags": {"t": "1"}},
            {"verb": "put", "bucket": "c", "key": "new", "text": "new", "if_none_match": "*"},
            {"verb": "delete", "bucket": "b", "key": "gone"},
        ]),
    );
    assert_eq!(done.status, 200, "{}", done.text());
    let outcomes = json(&done)["outcomes"].clone();
    let statuses: Vec<_> = (0..5).map(|n| outcomes[n]["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 201, 204, 201, 204].map(Some));
    let read = send(client, "GET", "/rest/b/a");
    assert_eq!(read.text(), "two");
    assert_eq!(read.header("etag").as_deref(), outcomes[2]["etag"].as_str());
    assert_eq!(read.header("trestle-meta-colour").as_deref(), Some("red"));
    assert_eq!(send(client, "GET", "/rest/c/before").text(), "one");
    assert_eq!(send(client, "GET", "/rest/c/new").text(), "new");
    assert_problem(&send(client, "GET", "/rest/b/gone"), 404);

    let refused = transact(
        client,
        value!([
            {"verb": "rename", "bucket": "c", "key": "new", "to_key": "newer"},
            {"verb": "patch", "bucket": "b", "key": "a", "patch": {"tags": {"t": "2"}}},
            {"verb": "put", "bucket": "b", "key": "a", "text": "three", "if_match": tag},
        ]),
    );
    assert_problem(&refused, 400);
    assert_eq!(json(&refused)["index"], 2);
    let refused = transact(
        client,
        value!([
            {"verb": "rename", "bucket": "c", "key": "new", "to_key": "newer"},
            {"verb": "put", "bucket": "b", "key": "a", "text": "three", "if_match": tag},
        ]),
    );
    assert_problem(&refused, 412);
    let problem = json(&refused);
    assert_eq!(problem["index"], 1);
    assert_eq!(
        (&problem["verb"], &problem["key"]),
        (&value!("put"), &value!("a"))
    );
    assert_eq!(send(client, "GET", "/rest/c/new").text(), "new");
    for bad in [
        value!([]),
        value!([{"verb": "fly", "bucket": "b", "key": "k"}]),
        value!([{"verb": "put", "bucket": "b", "key": "k", "nonsense": 1}]),
        value!([{"verb": "check", "bucket": "b", "key": "a"}]),
    ] {
        assert_problem(&transact(client, bad), 400);
    }
    let mut anonymous = Client::anonymous(fixture.server().address);
    let put = value!([{"verb": "put", "bucket": "b", "key": "k", "text": ""}]);
    assert_eq!(transact(&mut anonymous, put).status, 401);
    assert_problem(&send(client, "GET", "/-/transactions"), 405);
}

#[test]
fn an_upload_becomes_an_object_within_a_transaction() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let tus = ("tus-resumable", "1.0.0");
    let headers = [tus, ("upload-length", "5"), ("trestle-hold", "true")];
    let created = client.send("POST", "/rest/b/u", &headers, b"").unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    let location = created.header("location").unwrap();
    let headers = [
        tus,
        ("content-type", "application/offset+octet-stream"),
        ("upload-offset", "0"),
    ];
    let id = location.split("upload=").nth(1).unwrap().split('&').next();
    let sent = client.send("PATCH", &location, &headers, b"he").unwrap();
    assert_eq!(sent.status, 204);
    // What is still to come is missing.
    let early = value!([{"verb": "put", "bucket": "b", "key": "u", "upload": id.unwrap()}]);
    assert_problem(&transact(client, early), 409);
    let headers = [headers[0], headers[1], ("upload-offset", "2")];
    let sent = client.send("PATCH", &location, &headers, b"llo").unwrap();
    assert_eq!(sent.status, 204);
    assert_problem(&send(client, "GET", "/rest/b/u"), 404);
    let done = transact(
        client,
        value!([
            {"verb": "put", "bucket": "b", "key": "u", "upload": id.unwrap()},
            {"verb": "put", "bucket": "b", "key": "v", "text": "with it"},
        ]),
    );
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(send(client, "GET", "/rest/b/u").text(), "hello");
    let again = value!([{"verb": "put", "bucket": "b", "key": "u", "upload": id.unwrap()}]);
    assert_problem(&transact(client, again), 404);
}

/// The document is held to its digest, a copy says where it goes, and tags take the right to set them,
/// as over S3.
#[test]
fn what_a_transaction_says_is_whole_and_its_tags_take_a_right() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/a", b"one");
    let body = br#"{"verbs": [{"verb": "delete", "bucket": "b", "key": "a"}]}"#;
    let headers = [JSON, ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    let refused = client.send("POST", "/-/transactions", &headers, body);
    assert_problem(&refused.unwrap(), 400);
    assert_eq!(send(client, "GET", "/rest/b/a").text(), "one");
    for verb in ["copy", "rename"] {
        let nowhere = value!([{"verb": verb, "bucket": "b", "key": "a"}]);
        assert_problem(&transact(client, nowhere), 400);
    }
    let user = value!({"password": PASSWORD}).to_string();
    let target = "/-/accounts/root/users/bob";
    let made = client
        .send("PUT", target, &[JSON], user.as_bytes())
        .unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let policy = value!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::root:user/bob"},
        "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}]})
    .to_string();
    let target = "/-/buckets/b/policy";
    let set = client
        .send("PUT", target, &[JSON], policy.as_bytes())
        .unwrap();
    assert!(set.status < 300, "{}", set.text());
    let bob = &mut Client::new(fixture.server().address, "root/bob", PASSWORD);
    let verb = |tags: Value| value!([{"verb": "put", "bucket": "b", "key": "t", "tags": tags}]);
    assert_problem(&transact(bob, verb(value!({"a": "1"}))), 403);
    assert_eq!(transact(bob, verb(value!({}))).status, 200);
    let tags = [("trestle-tags", "a=1")];
    let volume = ("content-type", "application/vnd.trestle.volume+json");
    let size = b"{\"size\":1}";
    for (method, target, headers) in [
        ("PUT", "/rest/b/t", &tags[..]),
        ("POST", "/rest/b/", &tags[..]),
        ("PUT", "/rest/b/v", &[tags[0], volume]),
    ] {
        let refused = bob.send(method, target, headers, size).unwrap();
        assert_problem(&refused, 403);
    }
    let plain = bob.send("PUT", "/rest/b/v", &[volume], size).unwrap();
    assert_eq!(plain.status, 201, "{}", plain.text());
}

#[test]
fn the_command_line_does_a_transaction() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    std::fs::write(folder.join("bytes"), b"from a file").unwrap();
    let transaction = value!({"verbs": [
        {"verb": "put", "bucket": "b", "key": "f", "file": folder.join("bytes")},
        {"verb": "put", "bucket": "b", "key": "g", "text": "g", "if_none_match": "*"},
    ]});
    let file = folder.join("tx.json");
    std::fs::write(&file, transaction.to_string()).unwrap();
    let run = || {
        let server = format!("http://{}", fixture.server().address);
        Command::new(binary())
            .args(["tx", file.to_str().unwrap()])
            .env("TRESTLE_SERVER", server)
            .env("TRESTLE_USER", USER)
            .env("TRESTLE_PASSWORD", PASSWORD)
            .output()
            .unwrap()
    };
    let output = run();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    let client = &mut fixture.client();
    assert_eq!(send(client, "GET", "/rest/b/f").text(), "from a file");
    let output = run();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("verb 1, put //b/g"), "{said}");
}
