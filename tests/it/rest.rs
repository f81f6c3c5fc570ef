//! What the REST API has besides bytes: documents, versions, copies, created names, events, pages.

use crate::{Fixture, assert_problem, json, put, send};
use serde_json::{Value, json as value};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::{Client, Response};

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

fn patch(client: &mut Client, target: &str, patch: &Value) -> Response {
    let body = patch.to_string();
    client
        .send("PATCH", target, &[MERGE], body.as_bytes())
        .unwrap()
}

#[test]
fn a_document_is_read_and_changed_by_merge_patches() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let headers = [
        ("content-type", "text/plain"),
        ("trestle-meta-colour", "blue"),
        ("trestle-tags", "a=1&b=%C3%A9"),
    ];
    let tag = client
        .send("PUT", "/rest/b/k", &headers, b"hello")
        .unwrap()
        .header("etag");
    let document = json(&send(client, "GET", "/rest/b/k?metadata"));
    assert_eq!(document["metadata"], value!({"colour": "blue"}));
    assert_eq!(document["tags"], value!({"a": "1", "b": "é"}));
    assert_eq!(document["size"], 5);
    let changed = patch(
        client,
        "/rest/b/k",
        &value!({"metadata": {"deep": {"n": [1, null]}}, "tags": {"a": null},
            "representation": {"content-type": "text/html"}}),
    );
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_ne!(changed.header("etag"), tag);
    let read = send(client, "GET", "/rest/b/k");
    assert_eq!(read.text(), "hello");
    assert_eq!(read.header("content-type").as_deref(), Some("text/html"));
    assert_eq!(read.header("trestle-meta-colour").as_deref(), Some("blue"));
    assert_eq!(read.header("trestle-meta-missing").as_deref(), Some("1"));
    assert_eq!(
        read.header("content-security-policy").as_deref(),
        Some("sandbox")
    );
    assert_eq!(
        json(&send(client, "GET", "/rest/b/k?metadata"))["tags"],
        value!({"b": "é"})
    );
    // A condition is on the state that the document says.
    let condition = [MERGE, ("if-match", &tag.unwrap())];
    let stale = client
        .send("PATCH", "/rest/b/k", &condition, b"{\"tags\": {}}")
        .unwrap();
    assert_problem(&stale, 412);
    for bad in [
        value!({"size": 1}),
        value!({"tags": {"a": 1}}),
        value!({"expires": "soon"}),
        value!([]),
    ] {
        assert_problem(&patch(client, "/rest/b/k", &bad), 422);
    }
    let headers = [("content-type", "text/plain")];
    let refused = client.send("PATCH", "/rest/b/k", &headers, b"x").unwrap();
    assert_problem(&refused, 415);
    assert!(
        refused
            .header("accept-patch")
            .unwrap()
            .contains("merge-patch")
    );
    assert_problem(
        &client.send("PATCH", "/rest/b/k", &[MERGE], b"{").unwrap(),
        400,
    );
    assert_problem(&patch(client, "/rest/b/none", &value!({"tags": {}})), 404);
}

#[test]
fn versions_are_kept_listed_read_and_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    assert_eq!(
        patch(client, "/rest/b/", &value!({"versioning": "enabled"})).status,
        204
    );
    let document = json(&send(client, "GET", "/rest/b/?metadata"));
    assert_eq!(document["versioning"], "enabled");
    let first = put(client, "/rest/b/k", b"first")
        .header("trestle-version")
        .unwrap();
    put(client, "/rest/b/k", b"second");
    put(client, "/rest/b/k2", b"other");
    let deleted = send(client, "DELETE", "/rest/b/k");
    assert_eq!(deleted.status, 204);
    assert_eq!(deleted.header("trestle-deleted").as_deref(), Some("marker"));
    assert_problem(&send(client, "GET", "/rest/b/k"), 404);
    let old = send(client, "GET", &format!("/rest/b/k?version={first}"));
    assert_eq!(old.text(), "first");
    let listed = json(&send(client, "GET", "/rest/b/k?versions&limit=2"));
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed["items"][0]["deleted"], true);
    let rest = json(&send(client, "GET", listed["next"].as_str().unwrap()));
    assert_eq!(rest["items"][0]["version"], first);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert!(rest.get("next").is_none());
    let all = json(&send(client, "GET", "/rest/b/?versions"));
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    let gone = send(client, "DELETE", &format!("/rest/b/k?version={first}"));
    assert_eq!(gone.status, 204);
    assert_problem(
        &send(client, "GET", &format!("/rest/b/k?version={first}")),
        404,
    );
    assert_problem(&send(client, "GET", "/rest/b/k?version=xyz"), 400);
    assert_problem(&send(client, "GET", "/rest/b/none?versions"), 404);
    assert_problem(
        &patch(client, "/rest/b/", &value!({"versioning": "sometimes"})),
        422,
    );
}

#[test]
fn a_bucket_s_retention_in_governance_mode_is_passed_over_when_it_is_said() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let until = value!({"retention": {"mode": "governance", "until": "2999-01-01T00:00:00Z"}});
    assert_eq!(patch(client, "/rest/b/", &until).status, 204);
    let lifted = value!({"retention": null});
    assert_problem(&patch(client, "/rest/b/", &lifted), 403);
    let mut say = |said: &str| {
        let headers = [MERGE, ("trestle-bypass-retention", said)];
        let body = lifted.to_string();
        client
            .send("PATCH", "/rest/b/", &headers, body.as_bytes())
            .unwrap()
    };
    assert_problem(&say("false"), 403);
    assert_problem(&say("yes"), 400);
    assert_eq!(say("true").status, 204);
    assert_eq!(send(client, "DELETE", "/rest/b/").status, 204);
}

#[test]
fn objects_are_copied_and_moved_within_the_server() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"hello");
    let mut transfer = |method: &str, from: &str, more: &[(&str, &str)]| {
        let headers = [&[("destination", "/rest/b/dir/to")], more].concat();
        client.send(method, from, &headers, &[]).unwrap()
    };
    let copied = transfer("COPY", "/rest/b/k", &[]);
    assert_eq!(copied.status, 201);
    assert_eq!(copied.header("location").as_deref(), Some("/rest/b/dir/to"));
    assert_eq!(transfer("COPY", "/rest/b/k", &[]).status, 204);
    assert_problem(&transfer("COPY", "/rest/b/k", &[("overwrite", "F")]), 412);
    assert_problem(
        &transfer("COPY", "/rest/b/k", &[("if-match", "\"other\"")]),
        412,
    );
    assert_problem(&transfer("COPY", "/rest/b/none", &[]), 404);
    assert_eq!(transfer("MOVE", "/rest/b/k", &[]).status, 204);
    assert_problem(&send(client, "GET", "/rest/b/k"), 404);
    assert_eq!(send(client, "GET", "/rest/b/dir/to").text(), "hello");
    for (destination, status) in [
        ("", 400),
        ("/rest/b/", 400),
        ("/other/b/k", 400),
        ("http://elsewhere/rest/b/k", 502),
        ("/rest/none/k", 404),
    ] {
        let headers = [("destination", destination)];
        let refused = client
            .send("COPY", "/rest/b/dir/to", &headers, &[])
            .unwrap();
        assert_problem(&refused, status);
    }
    assert_problem(&send(client, "COPY", "/rest/b/dir/to"), 400);
}

#[test]
fn a_name_is_chosen_once_for_each_idempotency_key() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let mut create = |target: &str, key: Option<&str>, body: &[u8]| {
        let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        client.send("POST", target, &headers, body).unwrap()
    };
    let one = create("/rest/b/", None, b"x");
    let two = create("/rest/b/", None, b"x");
    assert_eq!((one.status, two.status), (201, 201));
    assert_ne!(one.header("location"), two.header("location"));
    let below = create("/rest/b/dir/", None, b"x")
        .header("location")
        .unwrap();
    assert!(below.starts_with("/rest/b/dir/"), "{below}");
    let first = create("/rest/b/", Some("k"), b"body");
    let again = create("/rest/b/", Some("k"), b"body");
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.header("etag"), again.header("etag"));
    for other in [&b"bodx"[..], b"body and more", b""] {
        assert_problem(&create("/rest/b/", Some("k"), other), 422);
    }
    assert_problem(&create("/rest/b/", Some(""), b"x"), 400);
    assert_problem(&create("/rest/b/file", None, b"x"), 415);
    let location = first.header("location").unwrap();
    assert_eq!(send(client, "GET", &location).text(), "body");
}

#[test]
fn several_ranges_are_parts_of_one_state() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for length in [100, 3 << 20] {
        let body = trestle_tests::tree::noise(3, length);
        put(client, "/rest/b/k", &body);
        let headers = [("range", "bytes=0-3,50-59,-2")];
        let answer = client.send("GET", "/rest/b/k", &headers, &[]).unwrap();
        assert_eq!(answer.status, 206);
        let content_type = answer.header("content-type").unwrap();
        let boundary = content_type.split_once("boundary=").unwrap().1.to_owned();
        let mut expected = Vec::new();
        for (first, last) in [(0, 3), (50, 59), (length - 2, length - 1)] {
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {first}-{last}/{length}\r\n\r\n"
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&body[first..=last]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert!(answer.body == expected, "{length}");
    }
}

/// Reads events until `enough` of them came.
fn events(fixture: &Fixture, last: &str, enough: usize) -> Vec<(String, Value)> {
    let mut stream = TcpStream::connect(fixture.server().address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let credentials = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "GET /rest/b/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Accept: text/event-stream\r\nLast-Event-ID: {last}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (mut found, mut id) = (Vec::new(), String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(number) = line.strip_prefix("id: ") {
            id = number.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            found.push((id.clone(), serde_json::from_str(data).unwrap()));
        }
        if found.len() == enough {
            break;
        }
    }
    found
}

#[test]
fn events_resume_without_loss_after_a_kill() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/a", b"1");
    patch(client, "/rest/b/a", &value!({"tags": {"t": "1"}}));
    let seen = events(&fixture, "0", 3);
    let kinds: Vec<_> = seen
        .iter()
        .map(|(_, event)| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["bucket-created", "written", "updated"]);
    let last = seen[2].0.clone();
    fixture.kill();
    fixture.start();
    let client = &mut fixture.client();
    put(client, "/rest/b/c", b"2");
    send(client, "DELETE", "/rest/b/a");
    let rest = events(&fixture, &last, 2);
    assert_eq!(rest[0].1["key"], "c");
    assert_eq!(rest[0].1["kind"], "written");
    assert_eq!(
        (&rest[1].1["key"], &rest[1].1["kind"]),
        (&value!("a"), &value!("removed"))
    );
    let headers = [("accept", "text/event-stream"), ("last-event-id", "x")];
    assert_problem(&client.send("GET", "/rest/b/", &headers, &[]).unwrap(), 400);
}

#[test]
fn pages_and_forms_are_negotiated() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/dir/%3Cscript%3E", b"x");
    put(client, "/rest/b/%3Cb%3E%26", b"x");
    let mut get = |target: &str, accept: &str| {
        client
            .send("GET", target, &[("accept", accept)], &[])
            .unwrap()
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = get("/rest/b/", browser);
    assert_eq!(
        page.header("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    let text = page.text();
    assert!(
        text.contains("<a href=\"/rest/b/%3Cb%3E%26\">&lt;b&gt;&amp;</a>"),
        "{text}"
    );
    assert!(text.contains("?prefix=dir%2F"), "{text}");
    assert!(!text.contains("<script>") && !text.contains("onclick"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("script-src 'self'")
    );
    assert!(
        get("/rest/", browser)
            .text()
            .contains("<a href=\"/rest/b/\">b</a>")
    );
    assert_eq!(
        get("/rest/b/", "*/*").header("content-type").as_deref(),
        Some("application/json")
    );
    assert_problem(&get("/rest/b/", "image/png"), 406);
    assert_problem(&get("/rest/b/", "nonsense"), 400);
    // What means nothing to what is asked for is refused, not ignored.
    for target in [
        "/rest/b/?metadata&limit=1",
        "/rest/b/?versions&reverse",
        "/rest/b/?after_version=null",
        "/rest/b/k?limit=1",
        "/rest/b/k?versions&version=null",
    ] {
        assert_problem(&get(target, "*/*"), 400);
    }
    assert_problem(&get("/rest/b/?prefix=x", "text/event-stream"), 400);
    let service = json(&get("/rest/", "application/json"));
    let anonymous = &mut Client::anonymous(fixture.server().address);
    for (_, link) in service["links"].as_object().unwrap() {
        let linked = send(anonymous, "GET", link.as_str().unwrap());
        assert_eq!(linked.status, 200, "{link}");
    }
    let document = json(&send(anonymous, "GET", "/-/openapi.json"));
    assert_eq!(document["openapi"], "3.1.0");
    let etag = send(anonymous, "GET", "/-/client.js")
        .header("etag")
        .unwrap();
    let same = anonymous.send("GET", "/-/client.js", &[("if-none-match", &etag)], &[]);
    assert_eq!(same.unwrap().status, 304);
    assert_problem(&send(anonymous, "GET", "/-/nothing"), 404);
    let options = send(anonymous, "OPTIONS", "/rest/b/k");
    assert_eq!(options.status, 204);
    assert_eq!(
        options.header("allow").as_deref(),
        Some("GET, HEAD, PUT, PATCH, DELETE, COPY, MOVE, POST, OPTIONS")
    );
}

#[test]
fn uploads_resume_after_a_broken_transfer_and_a_kill() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    let body = trestle_tests::tree::noise(5, (20 << 20) + 11);
    let tus = ("tus-resumable", "1.0.0");
    let options = send(client, "OPTIONS", "/rest/b/");
    assert_eq!(options.header("tus-version").as_deref(), Some("1.0.0"));
    let length = body.len().to_string();
    let name = format!(
        "filename {},filetype {}",
        base64(b"a b.bin"),
        base64(b"image/png")
    );
    let headers = [tus, ("upload-length", &length), ("upload-metadata", &name)];
    let created = client.send("POST", "/rest/b/dir/", &headers, &[]).unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    let upload = created.header("location").unwrap();
    assert!(
        upload.starts_with("/rest/b/dir/a%20b.bin?upload="),
        "{upload}"
    );
    let offset = |client: &mut Client| {
        let head = client.send("HEAD", &upload, &[tus], &[]).unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(
            head.header("upload-length").as_deref(),
            Some(length.as_str())
        );
        head.header("upload-offset")
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    assert_eq!(offset(client), 0);
    // A transfer that breaks off: what arrived is kept.
    let mut stream = TcpStream::connect(fixture.server().address).unwrap();
    let credentials = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: {length}\r\n\
         Content-Type: application/offset+octet-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..(9 << 20)]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let _answer = BufReader::new(stream).lines().next();
    let client = &mut fixture.client();
    let kept = offset(client);
    assert_eq!(kept, 9 << 20);
    let append = |client: &mut Client, at: usize, bytes: &[u8]| {
        let at = at.to_string();
        let kind = ("content-type", "application/offset+octet-stream");
        client
            .send(
                "PATCH",
                &upload,
                &[tus, kind, ("upload-offset", &at)],
                bytes,
            )
            .unwrap()
    };
    assert_problem(&append(client, kept + 1, b"x"), 409);
    assert_problem(&append(client, kept, &body), 413);
    let some = append(client, kept, &body[kept..kept + 1000]);
    assert_eq!(some.status, 204, "{}", some.text());
    assert_eq!(
        some.header("upload-offset"),
        Some((kept + 1000).to_string())
    );
    assert_problem(&send(client, "GET", "/rest/b/dir/a%20b.bin"), 404);
    fixture.kill();
    fixture.start();
    let client = &mut fixture.client();
    let kept = offset(client);
    let last = append(client, kept, &body[kept..]);
    assert_eq!(last.status, 204, "{}", last.text());
    let object = send(client, "GET", "/rest/b/dir/a%20b.bin");
    assert!(object.body == body);
    assert_eq!(object.header("content-type").as_deref(), Some("image/png"));
    assert_eq!(object.header("etag"), last.header("etag"));
    // Whoever did not hear of the end asks, and learns that nothing is missing.
    assert_eq!(offset(client), body.len());
    let headers = [tus, ("upload-length", "0")];
    let empty = client.send("POST", "/rest/b/empty", &headers, &[]).unwrap();
    assert_eq!(empty.status, 201, "{}", empty.text());
    assert_eq!(send(client, "GET", "/rest/b/empty").text(), "");
    let given_up = client
        .send("POST", "/rest/b/x", &[tus, ("upload-length", "9")], &[])
        .unwrap();
    let target = given_up.header("location").unwrap();
    assert_eq!(
        client.send("DELETE", &target, &[tus], &[]).unwrap().status,
        204
    );
    let gone = client.send("HEAD", &target, &[tus], &[]).unwrap();
    assert_eq!(gone.status, 404);
    let old = [("tus-resumable", "0.2"), ("upload-length", "1")];
    assert_problem(&client.send("POST", "/rest/b/x", &old, &[]).unwrap(), 412);
    assert_problem(&client.send("POST", "/rest/b/x", &[tus], &[]).unwrap(), 411);
    let defer = [tus, ("upload-defer-length", "1")];
    assert_problem(&client.send("POST", "/rest/b/x", &defer, &[]).unwrap(), 501);
}

#[test]
fn a_range_is_replaced_in_place() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for length in [100, 3 << 20] {
        let mut body = trestle_tests::tree::noise(6, length);
        let tag = put(client, "/rest/b/k", &body).header("etag").unwrap();
        let mut change = |range: &str, bytes: &[u8], more: &[(&str, &str)]| {
            let headers = [&[("content-range", range)], more].concat();
            client.send("PATCH", "/rest/b/k", &headers, bytes).unwrap()
        };
        let changed = change("bytes 10-14/*", b"hello", &[("if-match", &tag)]);
        assert_eq!(changed.status, 204, "{}", changed.text());
        assert_ne!(changed.header("etag"), Some(tag.clone()));
        assert_problem(&change("bytes 0-0/*", b"x", &[("if-match", &tag)]), 412);
        let grown = format!("bytes {}-{}/*", length + 2, length + 3);
        assert_eq!(change(&grown, b"zz", &[]).status, 204);
        for (range, bytes) in [
            ("bytes 0-9/*", &b"short"[..]),
            ("bytes 0-1/*", b"long"),
            ("bytes 0-4/9", b"hello"),
            ("bytes */9", b"hello"),
        ] {
            assert_problem(&change(range, bytes, &[]), 400);
        }
        body[10..15].copy_from_slice(b"hello");
        body.extend_from_slice(b"\0\0zz");
        assert!(send(client, "GET", "/rest/b/k").body == body, "{length}");
    }
    let headers = [("content-range", "bytes 0-0/*")];
    let missing = client
        .send("PATCH", "/rest/b/none", &headers, b"x")
        .unwrap();
    assert_problem(&missing, 404);
}

#[test]
fn directories_are_moved_and_deleted_whole() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for key in ["dir/", "dir/a", "dir/sub/b", "dirx"] {
        put(client, &format!("/rest/b/{key}"), key.as_bytes());
    }
    let mut rename = |from: &str, to: &str| {
        let headers = [("destination", to)];
        client.send("MOVE", from, &headers, &[]).unwrap()
    };
    assert_problem(&rename("/rest/b/dir/?recursive", "/rest/b/to"), 400);
    assert_problem(&rename("/rest/b/none/?recursive", "/rest/b/to/"), 404);
    assert_problem(&rename("/rest/b/dir?recursive", "/rest/b/to/"), 400);
    let moved = rename("/rest/b/dir/?recursive", "/rest/b/to/");
    assert_eq!(moved.status, 204, "{}", moved.text());
    assert_eq!(send(client, "GET", "/rest/b/to/sub/b").text(), "dir/sub/b");
    assert_problem(&send(client, "GET", "/rest/b/dir/a"), 404);
    let condition = [("if-match", "*")];
    let refused = client.send("DELETE", "/rest/b/to/?recursive", &condition, &[]);
    assert_problem(&refused.unwrap(), 501);
    let deleted = send(client, "DELETE", "/rest/b/to/?recursive");
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    assert_problem(&send(client, "DELETE", "/rest/b/to/?recursive"), 404);
    let left = json(&send(client, "GET", "/rest/b/"));
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        json(&send(client, "GET", "/rest/b/?jobs"))["jobs"],
        value!([])
    );
    let none = format!("/rest/b/?job={}", "0".repeat(32));
    assert_problem(&send(client, "GET", &none), 404);
    assert_problem(&send(client, "GET", "/rest/b/?job=x"), 400);
}

#[test]
fn scripts_of_other_origins_may_do_what_the_buckets_rules_say() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, "/rest/b/k", b"x");
    let origin = ("origin", "https://app.example.com");
    let allowed = "access-control-allow-origin";
    let without = client.send("GET", "/rest/b/k", &[origin], &[]).unwrap();
    assert_eq!((without.status, without.header(allowed)), (200, None));
    let rules = value!({"cors": [{"origins": ["https://*.example.com"],
        "methods": ["GET", "PATCH"], "headers": ["content-*"], "expose": ["ETag"], "max_age": 60}]});
    assert_eq!(patch(client, "/rest/b/", &rules).status, 204);
    let document = json(&send(client, "GET", "/rest/b/?metadata"));
    assert_eq!(document["cors"][0]["max_age"], 60);
    let read = client.send("GET", "/rest/b/k", &[origin], &[]).unwrap();
    assert_eq!(read.header(allowed).as_deref(), Some(origin.1));
    assert_eq!(
        read.header("access-control-expose-headers").as_deref(),
        Some("ETag")
    );
    assert!(read.header("vary").unwrap().contains("Origin"));
    // A browser asks without credentials, and may then read a refusal, too.
    let stranger = &mut Client::anonymous(fixture.server().address);
    let refused = stranger.send("GET", "/rest/b/k", &[origin], &[]).unwrap();
    assert_problem(&refused, 401);
    assert_eq!(refused.header(allowed).as_deref(), Some(origin.1));
    let mut preflight = |from: &str, method: &str, header: &str| {
        let headers = [
            ("origin", from),
            ("access-control-request-method", method),
            ("access-control-request-headers", header),
        ];
        stranger
            .send("OPTIONS", "/rest/b/k", &headers, &[])
            .unwrap()
    };
    let asked = preflight(origin.1, "PATCH", "Content-Type");
    assert_eq!(
        (asked.status, asked.header(allowed).as_deref()),
        (204, Some(origin.1))
    );
    assert_eq!(
        asked.header("access-control-max-age").as_deref(),
        Some("60")
    );
    for (from, method, header) in [
        (origin.1, "DELETE", "content-type"),
        (origin.1, "PATCH", "authorization"),
        ("https://example.org", "GET", "content-type"),
    ] {
        assert_eq!(
            preflight(from, method, header).header(allowed),
            None,
            "{method}"
        );
    }
    for bad in [
        value!({"cors": [{"origins": ["*.*"], "methods": ["GET"]}]}),
        value!({"cors": [{"origins": ["*"], "methods": []}]}),
        value!({"cors": [{"origins": ["*"], "methods": ["get"]}]}),
        value!({"cors": "*"}),
    ] {
        assert_problem(&patch(client, "/rest/b/", &bad), 422);
    }
    assert_eq!(
        patch(client, "/rest/b/", &value!({"cors": null})).status,
        204
    );
    let after = client.send("GET", "/rest/b/k", &[origin], &[]).unwrap();
    assert_eq!(after.header(allowed), None);
}
