//! What the reference of the REST API promises of every answer: that its links lead somewhere, that
//! what is not understood is refused, and that every resource says what it can do.

use crate::{Fixture, assert_problem, json, put, send};
use serde_json::json as value;
use trestle_tests::Client;
use trestle_tests::client::raw;

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

/// A bucket that another account has under the same name is reached by every link about it.
#[test]
fn links_lead_to_a_bucket_that_only_its_account_knows() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let user = value!({"password": "a long enough one", "admin": true}).to_string();
    let made = client.send("PUT", "/-/accounts/acme/users/ann", &[], user.as_bytes());
    assert_eq!(made.unwrap().status, 201);
    let mut ann = Client::new(fixture.server().address, "acme/ann", "a long enough one");
    let mut as_ann =
        |method: &str, target: &str, body: &[u8]| ann.send(method, target, &[], body).unwrap();
    let made = as_ann("PUT", "/rest/~acme/b/", b"");
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location").as_deref(), Some("/rest/~acme/b/"));
    let listed = json(&as_ann("GET", "/rest/", b""));
    let bucket = listed["buckets"][0]["href"].as_str().unwrap();
    assert_eq!(bucket, "/rest/~acme/b/");
    let put = as_ann("PUT", &format!("{bucket}a%2F..%2Fc"), b"x");
    assert_eq!(put.status, 201);
    assert_eq!(
        as_ann("GET", &put.header("location").unwrap(), b"").text(),
        "x"
    );
    assert_eq!(as_ann("PUT", &format!("{bucket}d"), b"y").status, 201);
    let page = json(&as_ann("GET", &format!("{bucket}?limit=1"), b""));
    let item = page["items"][0]["href"].as_str().unwrap();
    assert_eq!(as_ann("GET", item, b"").text(), "x");
    let next = json(&as_ann("GET", page["next"].as_str().unwrap(), b""));
    assert_eq!(next["items"][0]["key"], "d");
    let links = as_ann("GET", item, b"").header("link").unwrap();
    for link in links.split(", ") {
        let target = link.split(['<', '>']).nth(1).unwrap();
        assert_eq!(as_ann("GET", target, b"").status, 200, "{target}");
    }
}

/// A header of the API's own that an operation does not have would be lost.
#[test]
fn own_headers_without_a_meaning_are_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"hello");
    let to = ("destination", "/rest/b/c");
    for (method, target, header) in [
        ("PUT", "/rest/b/k", "trestle-tag"),
        ("PUT", "/rest/b/k", "trestle-version"),
        ("PUT", "/rest/b/k", "trestle-meta-missing"),
        ("PUT", "/rest/b/k", "trestle-meta-"),
        ("PUT", "/rest/new/", "trestle-tags"),
        ("COPY", "/rest/b/k", "trestle-tags"),
        ("MOVE", "/rest/b/k", "trestle-meta-a"),
        ("DELETE", "/rest/b/k", "trestle-hold"),
    ] {
        let headers = [(header, "a=1"), to];
        let answer = client.send(method, target, &headers, b"").unwrap();
        assert_problem(&answer, 400);
    }
    assert_eq!(send(client, "GET", "/rest/b/k").text(), "hello");
    // A fragment would be cut off, and the copy be at another key.
    let to = [("destination", "/rest/b/c#d")];
    let answer = client.send("COPY", "/rest/b/k", &to, b"").unwrap();
    assert_problem(&answer, 400);
    assert_eq!(send(client, "GET", "/rest/b/c").status, 404);
    let tags = [("trestle-tags", "=1")];
    assert_problem(&client.send("PUT", "/rest/b/k", &tags, b"").unwrap(), 400);
}

#[test]
fn a_patch_says_each_name_once_and_answers_with_the_document() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"hello");
    let mut patch = |target: &str, text: &str| {
        client
            .send("PATCH", target, &[MERGE], text.as_bytes())
            .unwrap()
    };
    for target in ["/rest/b/k", "/rest/b/"] {
        for text in [
            r#"{"tags": {"a": "1"}, "tags": {"a": "2"}}"#,
            r#"{"metadata": {"deep": {"a": 1, "a": 2}}}"#,
        ] {
            assert_problem(&patch(target, text), 400);
        }
        assert_problem(&patch(target, r#"{"tags": {"": "1"}}"#), 422);
    }
    let patched = patch("/rest/b/k", r#"{"metadata": {"a": "1"}}"#);
    assert_eq!(patched.status, 200, "{}", patched.text());
    let read = send(client, "GET", "/rest/b/k?metadata");
    assert_eq!(json(&patched), json(&read));
    assert_eq!(patched.header("etag"), read.header("etag"));
}

/// Whatever clients write that means nothing else is understood.
#[test]
fn lists_may_have_empty_elements_and_json_a_charset() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let tag = put(client, "/rest/b/k", b"hello").header("etag").unwrap();
    for (header, text, status) in [
        ("if-none-match", format!(", \"x\" ,, {tag},"), 304),
        ("if-match", format!(",{tag}"), 200),
        ("if-match", ",".to_owned(), 400),
        ("range", "bytes=,1-2,".to_owned(), 206),
    ] {
        let headers = [(header, text.as_str())];
        let answer = client.send("GET", "/rest/b/k", &headers, b"").unwrap();
        assert_eq!(answer.status, status, "{header}: {text}");
    }
    let accept = [("accept", "application/json; charset=utf-8")];
    let listed = client.send("GET", "/rest/b/", &accept, b"").unwrap();
    assert_eq!(listed.status, 200, "{}", listed.text());
}

#[test]
fn every_resource_says_what_it_can_do_to_everybody() {
    let fixture = Fixture::new();
    for (target, method) in [
        ("/rest/", "GET"),
        ("/rest/b/", "PATCH"),
        ("/rest/b/k", "MOVE"),
        ("/-/me", "GET"),
        ("/-/accounts/none/users/nobody", "PATCH"),
        ("/-/tokens", "DELETE"),
        ("/-/transactions", "POST"),
        ("/-/docs", "GET"),
        ("/healthz", "HEAD"),
        ("/metrics", "GET"),
    ] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (answers, _) = raw(fixture.server().address, request.as_bytes()).unwrap();
        assert_eq!(answers[0].status, 204, "{target}: {}", answers[0].text());
        let allow = answers[0].header("allow").unwrap();
        let has = |method: &str| allow.split(", ").any(|found| found == method);
        assert!(has(method) && has("OPTIONS"), "{target}: {allow}");
    }
    let all = b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (answers, _) = raw(fixture.server().address, all).unwrap();
    assert_eq!(answers[0].status, 204, "{}", answers[0].text());
}

/// RFC 9110 §9.3.4: a PUT that makes something says so.
#[test]
fn identities_are_created_once_and_take_no_other_parameters() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let allow = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
    let trust = r#"{"trust": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::acme:root"}, "Action": "sts:AssumeRole"}]}}"#;
    for (target, body) in [
        ("/-/accounts/acme/policies/p", allow),
        ("/-/accounts/acme/groups/g", "{}"),
        ("/-/accounts/acme/roles/r", trust),
    ] {
        for status in [201, 200] {
            let put = client.send("PUT", target, &[], body.as_bytes()).unwrap();
            assert_eq!(put.status, status, "{target}: {}", put.text());
        }
        let other = format!("{target}?other");
        assert_problem(&send(client, "GET", &other), 400);
    }
    assert_problem(&send(client, "GET", "/-/me?other"), 400);
}
