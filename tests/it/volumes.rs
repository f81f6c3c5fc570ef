//! Volumes over REST, and as the other dialects see them.

use crate::{Fixture, assert_problem, json, put, send};
use trestle_tests::{Client, Response};

const VOLUME: (&str, &str) = ("content-type", "application/vnd.trestle.volume+json");

fn ask(client: &mut Client, method: &str, target: &str, document: &str) -> Response {
    client
        .send(method, target, &[VOLUME], document.as_bytes())
        .unwrap()
}

fn range(client: &mut Client, range: &str) -> Response {
    let headers = [("range", range)];
    client.send("GET", "/rest/b/v", &headers, b"").unwrap()
}

#[test]
fn a_volume_is_made_written_trimmed_resized_and_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let size = 100u64 << 30;
    let made = ask(client, "PUT", "/rest/b/v", &format!("{{\"size\":{size}}}"));
    assert_eq!(made.status, 201, "{}", made.text());
    let tag = made.header("etag");
    let head = send(client, "HEAD", "/rest/b/v");
    assert_eq!(head.header("content-length"), Some(size.to_string()));
    assert_eq!(head.header("trestle-kind").as_deref(), Some("volume"));
    let document = json(&send(client, "GET", "/rest/b/v?metadata"));
    assert_eq!(document["volume"]["size"], size);
    assert_eq!(document["volume"]["block_size"], 4096);

    let headers = [("content-range", "bytes 4090-4099/*")];
    let written = client.send("PATCH", "/rest/b/v", &headers, b"0123456789");
    let written = written.unwrap();
    assert_eq!(written.status, 204, "{}", written.text());
    assert_ne!(written.header("etag"), tag);
    let read = range(client, "bytes=4088-4101");
    assert_eq!(read.status, 206);
    assert_eq!(read.body, b"\0\x000123456789\0\0");
    let headers = [
        ("content-range", "bytes 0-0/*"),
        ("if-match", &tag.unwrap()),
    ];
    let stale = client.send("PATCH", "/rest/b/v", &headers, b"x").unwrap();
    assert_problem(&stale, 412);
    let last = format!("bytes {}-{size}/*", size - 1);
    let headers = [("content-range", last.as_str())];
    let beyond = client.send("PATCH", "/rest/b/v", &headers, b"xy").unwrap();
    assert_problem(&beyond, 416);

    for (verb, status) in [
        ("{\"verb\":\"zeroes\",\"offset\":4092,\"length\":2}", 204),
        ("{\"verb\":\"flush\"}", 204),
        ("{\"verb\":\"fly\"}", 400),
        ("{\"verb\":\"trim\",\"offset\":0}", 400),
    ] {
        assert_eq!(
            ask(client, "POST", "/rest/b/v", verb).status,
            status,
            "{verb}"
        );
    }
    assert_eq!(range(client, "bytes=4090-4095").body, b"01\0\x0045");
    let trim = format!("{{\"verb\":\"trim\",\"offset\":0,\"length\":{size}}}");
    assert_eq!(ask(client, "POST", "/rest/b/v", &trim).status, 204);
    assert_eq!(range(client, "bytes=4090-4095").body, [0; 6]);
    assert_eq!(
        ask(client, "PATCH", "/rest/b/v", "{\"size\":6}").status,
        204
    );
    assert_eq!(send(client, "GET", "/rest/b/v").body, [0; 6]);

    // It is read as an object, and nothing else comes in its place.
    assert_problem(&put(client, "/rest/b/v", b"bytes"), 409);
    assert_problem(&ask(client, "PUT", "/rest/b/v", "{\"size\":7}"), 409);
    assert_eq!(ask(client, "PUT", "/rest/b/v", "{\"size\":6}").status, 204);
    assert_problem(&ask(client, "PUT", "/rest/b/w", "{\"size\":0}"), 400);
    put(client, "/rest/b/o", b"bytes");
    assert_problem(
        &ask(client, "POST", "/rest/b/o", "{\"verb\":\"flush\"}"),
        409,
    );
    assert_problem(
        &ask(client, "POST", "/rest/b/none", "{\"verb\":\"flush\"}"),
        404,
    );
    assert_eq!(send(client, "DELETE", "/rest/b/v").status, 204);
    assert_problem(&send(client, "GET", "/rest/b/v"), 404);
}

#[test]
fn snapshots_and_clones_are_made_by_reference_and_read_by_name() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let json_type = ("content-type", "application/json");
    let post = |client: &mut Client, target: &str, document: &str| {
        let body = document.as_bytes();
        client.send("POST", target, &[json_type], body).unwrap()
    };
    let size = 100u64 << 30;
    ask(client, "PUT", "/rest/b/v", &format!("{{\"size\":{size}}}"));
    let headers = [("content-range", "bytes 0-2/*")];
    client.send("PATCH", "/rest/b/v", &headers, b"one").unwrap();
    let snapshot = "{\"bucket\":\"b\",\"key\":\"v\",\"name\":\"s1\"}";
    let made = post(client, "/-/snapshots", snapshot);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location").as_deref(), Some("/rest/b/v%40s1"));
    assert_problem(&post(client, "/-/snapshots", snapshot), 412);
    client.send("PATCH", "/rest/b/v", &headers, b"two").unwrap();
    let first = [("range", "bytes=0-2")];
    let read = client.send("GET", "/rest/b/v@s1", &first, b"").unwrap();
    assert_eq!(read.body, b"one");
    assert_eq!(read.header("trestle-snapshot").as_deref(), Some("true"));
    let refused = client
        .send("PATCH", "/rest/b/v@s1", &headers, b"new")
        .unwrap();
    assert_problem(&refused, 409);
    assert_problem(&put(client, "/rest/b/v@s1", b"new"), 409);
    let clone = "{\"bucket\":\"b\",\"key\":\"v@s1\",\"to_key\":\"w\"}";
    assert_eq!(post(client, "/-/clones", clone).status, 201);
    client.send("PATCH", "/rest/b/w", &headers, b"own").unwrap();
    let read = client.send("GET", "/rest/b/w", &first, b"").unwrap();
    assert_eq!(read.body, b"own");
    let listed = json(&send(client, "GET", "/-/snapshots?bucket=b&key=v"));
    assert_eq!(listed["snapshots"][0]["name"], "s1");
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
    let whole = "{\"bucket\":\"b\",\"key\":\"d/\",\"to_key\":\"e/\"}";
    assert_problem(&post(client, "/-/clones", whole), 501);
    assert_eq!(send(client, "DELETE", "/rest/b/v").status, 204);
    let read = client.send("GET", "/rest/b/v@s1", &first, b"").unwrap();
    assert_eq!(read.body, b"one");
    assert_eq!(send(client, "DELETE", "/rest/b/v@s1").status, 204);
}
