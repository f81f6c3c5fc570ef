//! Each status that the REST API sends is asked for here, by a request that says which rule it is
//! about.

use crate::faults::{flip, place_of};
use crate::{Fixture, assert_problem, json, put, send};
use serde_json::json as value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::{Client, Response};

type Headers<'a> = &'a [(&'a str, &'a str)];
/// Method, target, headers, body, status.
type Case<'a> = (&'a str, &'a str, Headers<'a>, &'a [u8], u16);

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const TUS: (&str, &str) = ("tus-resumable", "1.0.0");

const CASES: &[Case<'_>] = &[
    // What succeeds.
    ("GET", "/rest/b/k", &[], b"", 200),
    ("PUT", "/rest/b/new", &[], b"x", 201),
    ("PUT", "/rest/b/new", &[], b"y", 204),
    ("GET", "/rest/b/k", &[("range", "bytes=0-1")], b"", 206),
    ("GET", "/rest/b/k", &[("if-none-match", "*")], b"", 304),
    // What the request gets wrong.
    ("GET", "/rest/b/?colour=1", &[], b"", 400),
    ("GET", "/rest/b/k", &[], b"a body", 400),
    ("GET", "/rest/b/none", &[], b"", 404),
    ("GET", "/rest/none/k", &[], b"", 404),
    ("POST", "/rest/b/k", &[], b"x", 415),
    ("DELETE", "/rest/", &[], b"", 405),
    ("GET", "/rest/b/", &[("accept", "image/png")], b"", 406),
    ("PUT", "/rest/b/", &[], b"", 409),
    ("DELETE", "/rest/b/", &[], b"", 409),
    ("POST", "/rest/b/u", &[TUS], b"", 411),
    ("PATCH", "/rest/b/k", &[MERGE], b"", 411),
    ("PUT", "/rest/b/k", &[("if-none-match", "*")], b"x", 412),
    ("DELETE", "/rest/b/k", &[("if-match", "\"old\"")], b"", 412),
    (
        "PATCH",
        "/rest/b/k",
        &[("content-type", "text/plain")],
        b"x",
        415,
    ),
    ("GET", "/rest/b/k", &[("range", "bytes=99-")], b"", 416),
    ("PUT", "/rest/b/k", &[("expect", "miracles")], b"x", 417),
    ("PATCH", "/rest/b/k", &[MERGE], b"{\"size\":1}", 422),
    ("PUT", "/rest/careful/k", &[], b"x", 428),
    (
        "PUT",
        "/rest/b/k",
        &[("content-range", "bytes 0-0/1")],
        b"x",
        501,
    ),
    ("PUT", "/rest/b/k", &[("digest", "md5=x")], b"x", 501),
    ("PUT", "/rest/full/k", &[], b"more than fits", 507),
];

fn patch(client: &mut Client, target: &str, document: &serde_json::Value) {
    let body = document.to_string();
    let answer = client
        .send("PATCH", target, &[MERGE], body.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn fits(answer: &Response, status: u16, case: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.text());
    if status >= 400 {
        assert_problem(answer, status);
        let detail = json(answer)["detail"].as_str().unwrap().to_owned();
        assert!(!detail.is_empty(), "{case} says nothing");
    }
}

#[test]
fn requests_get_the_status_that_their_rule_has() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"hello");
    for bucket in ["careful", "full"] {
        assert_eq!(put(client, &format!("/rest/{bucket}/"), b"").status, 201);
    }
    patch(
        client,
        "/rest/careful/",
        &value!({"require_conditions": true}),
    );
    patch(client, "/rest/full/", &value!({"quota": {"bytes": 4}}));
    for (method, target, headers, body, status) in CASES {
        let case = format!("{method} {target} {headers:?}");
        let answer = client.send(method, target, headers, body).unwrap();
        fits(&answer, *status, &case);
    }
    let stranger = &mut Client::anonymous(fixture.server().address);
    fits(&send(stranger, "GET", "/rest/b/k"), 401, "nobody asks");
    let wrong = &mut Client::new(fixture.server().address, USER, "wrong");
    fits(&send(wrong, "GET", "/rest/b/k"), 401, "a wrong password");
    let user = value!({"password": "correct horse battery"}).to_string();
    let json_type = [("content-type", "application/json")];
    let made = client
        .send(
            "PUT",
            "/-/accounts/main/users/ann",
            &json_type,
            user.as_bytes(),
        )
        .unwrap();
    assert!(made.status < 300, "{}", made.text());
    let ann = &mut Client::new(fixture.server().address, "ann", "correct horse battery");
    fits(&send(ann, "GET", "/rest/b/k"), 403, "a user without rights");
}

#[test]
fn a_patch_larger_than_its_limit_is_not_taken() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"x");
    let large = vec![b' '; (256 << 10) + 1];
    let answer = client.send("PATCH", "/rest/b/k", &[MERGE], &large).unwrap();
    fits(&answer, 413, "a large patch");
}

#[test]
fn a_bucket_that_demands_conditions_takes_no_blind_changes() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let tag = put(client, "/rest/b/k", b"hello").header("etag").unwrap();
    patch(client, "/rest/b/", &value!({"require_conditions": true}));
    let document = json(&send(client, "GET", "/rest/b/?metadata"));
    assert_eq!(document["require_conditions"], true);
    let mut ask = |method: &str, headers: Headers<'_>, body: &[u8]| {
        client.send(method, "/rest/b/k", headers, body).unwrap()
    };
    let range = ("content-range", "bytes 0-0/*");
    let to = ("destination", "/rest/b/k2");
    for (method, headers, body) in [
        ("PUT", &[][..], &b"x"[..]),
        ("PATCH", &[MERGE], b"{}"),
        ("PATCH", &[range], b"x"),
        ("DELETE", &[], b""),
        ("COPY", &[to], b""),
        ("MOVE", &[to], b""),
        ("MOVE", &[to, ("overwrite", "F")], b""),
    ] {
        fits(&ask(method, headers, body), 428, method);
    }
    let condition = ("if-match", tag.as_str());
    assert_eq!(ask("COPY", &[to, ("overwrite", "F")], b"").status, 201);
    let changed = ask("PATCH", &[range, condition], b"j");
    assert_eq!(changed.status, 204, "{}", changed.text());
    fits(&ask("DELETE", &[condition], b""), 412, "an old state");
    let tag = changed.header("etag").unwrap();
    assert_eq!(ask("DELETE", &[("if-match", &tag)], b"").status, 204);
    assert_eq!(ask("PUT", &[("if-none-match", "*")], b"x").status, 201);
    patch(client, "/rest/b/", &value!({"require_conditions": null}));
    assert_eq!(put(client, "/rest/b/k", b"y").status, 204);
}

/// Asks until the answer has this status.
fn until(status: u16, mut ask: impl FnMut() -> Response) -> Response {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.status == status || begun.elapsed() > Duration::from_secs(120) {
            fits(&answer, status, "at last");
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_large_directory_is_a_job() {
    let mut fixture = Fixture::new();
    fixture.stop();
    fixture.server = Some(
        fixture
            .launch()
            .variable("TRESTLE_TREE_KEYS_MAX", "1")
            .start(),
    );
    let client = &mut fixture.client();
    for key in ["dir/a", "dir/b", "dir/c"] {
        put(client, &format!("/rest/b/{key}"), key.as_bytes());
    }
    let headers = [("destination", "/rest/b/to/")];
    let moved = client.send("MOVE", "/rest/b/dir/?recursive", &headers, &[]);
    let moved = moved.unwrap();
    fits(&moved, 202, "a move");
    let job = moved.header("location").unwrap();
    assert_eq!(json(&moved)["href"], job);
    let done = until(200, || {
        let mut answer = send(client, "GET", &job);
        if json(&answer)["state"] == "running" {
            answer.status = 0;
        }
        answer
    });
    let done = json(&done);
    assert_eq!(
        (&done["state"], &done["keys_done"]),
        (&value!("done"), &value!(3))
    );
    let jobs = json(&send(client, "GET", "/rest/b/?jobs"));
    assert_eq!(jobs["jobs"][0]["href"], job);
    assert_eq!(send(client, "GET", "/rest/b/to/b").text(), "dir/b");
    let deleted = send(client, "DELETE", "/rest/b/to/?recursive");
    fits(&deleted, 202, "a delete");
    until(404, || send(client, "GET", "/rest/b/to/c"));
}

/// A stream of events that nobody reads.
fn events(fixture: &Fixture) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.server().address).unwrap();
    let credentials = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "GET /rest/b/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_reader_has_so_many_streams_and_no_more() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let mut held: Vec<TcpStream> = (0..32).map(|_| events(&fixture)).collect();
    // A stream that was let in would not end: the bytes of its head are enough.
    let mut refused = || {
        let headers = [
            ("accept", "text/event-stream"),
            ("last-event-id", "999999999999"),
        ];
        client.send("GET", "/rest/b/", &headers, &[]).unwrap()
    };
    let answer = until(429, &mut refused);
    assert_eq!(answer.header("retry-after").as_deref(), Some("15"));
    held.clear();
    // With room again it is the number of the event that is wrong.
    until(400, &mut refused);
}

#[test]
fn events_that_are_no_longer_kept_are_gone() {
    let mut fixture = Fixture::new();
    fixture.stop();
    fixture.server = Some(
        fixture
            .launch()
            .variable("TRESTLE_EVENTS_KEPT", "0")
            .start(),
    );
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"x");
    let headers = [("accept", "text/event-stream"), ("last-event-id", "1")];
    // Until they are forgotten the stream goes on: its head is enough to know.
    let begun = Instant::now();
    loop {
        let status = head_of(&fixture, &headers);
        if status == 410 {
            break;
        }
        assert_eq!(status, 200);
        assert!(begun.elapsed() < Duration::from_secs(120), "they are kept");
        std::thread::sleep(Duration::from_millis(100));
    }
    let answer = client.send("GET", "/rest/b/", &headers, &[]).unwrap();
    fits(&answer, 410, "the oldest event");
}

/// The status of an answer that may not end.
fn head_of(fixture: &Fixture, headers: Headers<'_>) -> u16 {
    use std::io::{BufRead as _, BufReader};
    let mut stream = TcpStream::connect(fixture.server().address).unwrap();
    let credentials = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let mut head =
        format!("GET /rest/b/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn whoever_comes_when_there_is_no_place_is_told_when_to_come_again() {
    let mut fixture = Fixture::new();
    fixture.stop();
    fixture.server = Some(
        fixture
            .launch()
            .variable("TRESTLE_REQUESTS_MAX", "1")
            .start(),
    );
    // The one place may be taken when it comes.
    let _held = loop {
        let mut stream = events(&fixture);
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        if status == *b"HTTP/1.1 200" {
            break stream;
        }
    };
    let client = &mut fixture.client();
    let answer = until(503, || send(client, "GET", "/rest/"));
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
}

#[test]
fn damage_is_the_servers_fault_and_shows_no_bytes() {
    let mut fixture = Fixture::new();
    let body = trestle_tests::tree::noise(9, 3000);
    put(&mut fixture.client(), "/rest/b/k", &body);
    fixture.stop();
    let (path, place) = place_of(&fixture.folder.path().join("data"), &body);
    flip(&path, place + 7);
    fixture.start();
    let answer = send(&mut fixture.client(), "GET", "/rest/b/k");
    fits(&answer, 500, "a damaged object");
}
