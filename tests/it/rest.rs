//! The plain REST API, request by request.

use crate::client::{Connection, authorization, request};
use crate::server::Server;

fn started() -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    assert_eq!(request(&server, "PUT", "/rest/b/", "", b"").status, 201);
    (data, server)
}

#[test]
fn an_object_s_life() {
    let (_data, server) = started();
    let created = request(
        &server,
        "PUT",
        "/rest/b/a/k",
        "Content-Type: text/plain\r\n",
        b"hello",
    );
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), "/rest/b/a/k");
    let tag = created.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'));

    let read = request(&server, "GET", "/rest/b/a/k", "", b"");
    assert_eq!(
        (read.status, read.body.as_slice()),
        (200, b"hello".as_slice())
    );
    assert_eq!(read.header("etag"), tag);
    assert_eq!(read.header("content-type"), "text/plain");
    assert!(read.header("last-modified").ends_with("GMT"));
    let head = request(&server, "HEAD", "/rest/b/a/k", "", b"");
    assert_eq!((head.status, head.header("content-length")), (200, "5"));

    let replaced = request(&server, "PUT", "/rest/b/a/k", "", b"world!");
    assert_eq!(replaced.status, 204);
    assert_ne!(replaced.header("etag"), tag);
    let read = request(&server, "GET", "/rest/b/a/k", "", b"");
    assert_eq!(read.body, b"world!");
    assert_eq!(read.header("content-type"), "application/octet-stream");

    assert_eq!(
        request(&server, "DELETE", "/rest/b/a/k", "", b"").status,
        204
    );
    assert_eq!(
        request(&server, "DELETE", "/rest/b/a/k", "", b"").status,
        404
    );
    assert_eq!(request(&server, "GET", "/rest/b/a/k", "", b"").status, 404);
}

#[test]
fn conditions_decide() {
    let (_data, server) = started();
    let put = |headers: &str| request(&server, "PUT", "/rest/b/k", headers, b"x");
    assert_eq!(put("If-Match: *\r\n").status, 412);
    let tag = put("If-None-Match: *\r\n").header("etag").to_owned();
    assert_eq!(put("If-None-Match: *\r\n").status, 412);
    assert_eq!(put("If-Match: \"other\"\r\n").status, 412);
    assert_eq!(put("If-Match: unquoted\r\n").status, 400);
    let get = |headers: &str| request(&server, "GET", "/rest/b/k", headers, b"");
    let unchanged = get(&format!("If-None-Match: {tag}\r\n"));
    assert_eq!(
        (unchanged.status, unchanged.header("etag")),
        (304, tag.as_str())
    );
    assert_eq!(get("If-Match: \"other\"\r\n").status, 412);
    let modified = get("").header("last-modified").to_owned();
    assert_eq!(
        get(&format!("If-Modified-Since: {modified}\r\n")).status,
        304
    );
    assert_eq!(
        get("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status,
        412
    );
    assert_eq!(put(&format!("If-Match: {tag}\r\n")).status, 204);
    let delete = |headers: &str| request(&server, "DELETE", "/rest/b/k", headers, b"").status;
    assert_eq!(delete(&format!("If-Match: {tag}\r\n")), 412);
    assert_eq!(delete("If-Match: *\r\n"), 204);
}

#[test]
fn ranges_of_small_and_large_objects() {
    let (_data, server) = started();
    for size in [10usize, 131_072, 131_073, 9_000_001] {
        let bytes: Vec<u8> = (0..size).map(|i| (i / 3) as u8).collect();
        request(&server, "PUT", "/rest/b/k", "", &bytes);
        let get = |range: &str| {
            request(
                &server,
                "GET",
                "/rest/b/k",
                &format!("Range: {range}\r\n"),
                b"",
            )
        };
        let part = get("bytes=3-7");
        assert_eq!((part.status, part.body.as_slice()), (206, &bytes[3..8]));
        assert_eq!(part.header("content-range"), format!("bytes 3-7/{size}"));
        assert_eq!(get("bytes=-4").body, &bytes[size - 4..]);
        assert_eq!(
            get(&format!("bytes={}-", size - 1)).body,
            &bytes[size - 1..]
        );
        let beyond = get(&format!("bytes={size}-"));
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, format!("bytes */{size}").as_str())
        );
        for whole in ["bytes=0-0,2-2", "items=0-1", "bytes=5-2"] {
            let answer = get(whole);
            assert_eq!((answer.status, answer.body.len()), (200, size), "{whole}");
        }
    }
}

#[test]
fn bodies_of_every_framing() {
    let (_data, server) = started();
    let mut connection = Connection::to(&server.address);
    let authorization = authorization();
    let head = format!("PUT /rest/b/k HTTP/1.1\r\nHost: a\r\n{authorization}");
    connection.send(
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n!!!\r\n0\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(connection.answer(false).unwrap().status, 201);
    assert_eq!(
        request(&server, "GET", "/rest/b/k", "", b"").body,
        b"hello!!!"
    );
    connection.send(format!("{head}\r\n").as_bytes());
    assert_eq!(connection.answer(false).unwrap().status, 204);
    assert_eq!(request(&server, "GET", "/rest/b/k", "", b"").body, b"");
    let md5 = |value: &str| format!("Content-MD5: {value}\r\n");
    let right = request(
        &server,
        "PUT",
        "/rest/b/k",
        &md5("XUFAKrxLKna5cZ2REBfFkg=="),
        b"hello",
    );
    assert_eq!(right.status, 204);
    let wrong = request(
        &server,
        "PUT",
        "/rest/b/k",
        &md5("XUFAKrxLKna5cZ2REBfFkg=="),
        b"hullo",
    );
    assert_eq!(wrong.status, 400);
    assert_eq!(
        request(&server, "PUT", "/rest/b/k", &md5("nonsense"), b"hello").status,
        400
    );
    assert_eq!(request(&server, "GET", "/rest/b/k", "", b"").body, b"hello");
    let partial = request(
        &server,
        "PUT",
        "/rest/b/k",
        "Content-Range: bytes 0-4/5\r\n",
        b"hello",
    );
    assert_eq!(partial.status, 501);
}

#[test]
fn listings_fold_page_and_link() {
    let (_data, server) = started();
    for key in [
        "a",
        "b/1",
        "b/2",
        "b/c/3",
        "d",
        "%C3%A9%2F..%2F%2F",
        "x%20y",
    ] {
        assert_eq!(
            request(&server, "PUT", &format!("/rest/b/{key}"), "", b"1").status,
            201,
            "{key}"
        );
    }
    let mut found = Vec::new();
    let mut path = "/rest/b/?delimiter=%2F&limit=2".to_owned();
    loop {
        let page = request(&server, "GET", &path, "", b"");
        assert_eq!(page.status, 200);
        let json = page.json();
        for item in json["items"].as_array().unwrap() {
            let name = item
                .get("key")
                .or(item.get("prefix"))
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned();
            if let Some(href) = item.get("href").and_then(|href| href.as_str()) {
                assert_eq!(request(&server, "GET", href, "", b"").status, 200, "{href}");
            }
            found.push(name);
        }
        let Some(next) = json.get("next").and_then(|next| next.as_str()) else {
            break;
        };
        assert_eq!(page.header("link"), format!("<{next}>; rel=\"next\""));
        path = next.to_owned();
    }
    assert_eq!(found, ["a", "b/", "d", "x y", "é/"]);
    let json = request(&server, "GET", "/rest/b/?prefix=b/", "", b"").json();
    assert_eq!(json["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        (json["objects"].as_u64(), json["bytes"].as_u64()),
        (Some(7), Some(7))
    );
    for bad in [
        "?limit=x",
        "?limit=10001",
        "?unknown=1",
        "?prefix=a&prefix=b",
        "?prefix=%ff",
    ] {
        assert_eq!(
            request(&server, "GET", &format!("/rest/b/{bad}"), "", b"").status,
            400,
            "{bad}"
        );
    }
}

#[test]
fn refusals_are_problems() {
    let (_data, server) = started();
    let check = |method: &str, path: &str, status: u16| {
        let answer = request(&server, method, path, "", b"");
        assert_eq!(answer.status, status, "{method} {path}");
        if method != "HEAD" {
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.json()["status"], status);
        }
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.header("x-request-id").is_empty());
        answer
    };
    check("PUT", "/rest/b/", 409);
    check("PUT", "/rest/-/", 400);
    check("PUT", "/rest/a%2Fb/", 400);
    check("GET", "/rest/none/", 404);
    check("PUT", "/rest/none/k", 404);
    check("HEAD", "/rest/b/none", 404);
    check("GET", "/elsewhere", 404);
    check("GET", "/rest/b/%zz", 400);
    check("GET", &format!("/rest/b/{}", "k".repeat(1025)), 400);
    assert_eq!(
        check("POST", "/rest/b/k", 405).header("allow"),
        "GET, HEAD, PUT, DELETE"
    );
    check("PATCH", "/rest/b/", 405);
    check("DELETE", "/rest/", 405);
    request(&server, "PUT", "/rest/b/k", "", b"");
    check("DELETE", "/rest/b/", 409);
    request(&server, "DELETE", "/rest/b/k", "", b"");
    assert_eq!(request(&server, "DELETE", "/rest/b/", "", b"").status, 204);
}

#[test]
fn nobody_gets_in_without_the_right_password() {
    let (_data, server) = started();
    let credentials = [
        "",
        "Authorization: Basic\r\n",
        "Authorization: Basic %%%\r\n",
        "Authorization: Basic cm9vdDp3cm9uZw==\r\n",
        "Authorization: Basic bm9ib2R5OmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=\r\n",
        "Authorization: Bearer x\r\n",
    ];
    for credential in credentials {
        let mut connection = Connection::to(&server.address);
        connection.send(format!("GET /rest/b/ HTTP/1.1\r\nHost: a\r\n{credential}\r\n").as_bytes());
        let answer = connection.answer(false).unwrap();
        assert_eq!(answer.status, 401, "{credential:?}");
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Basic realm=")
        );
    }
    let mut connection = Connection::to(&server.address);
    let twice = authorization().repeat(2);
    connection.send(format!("GET /rest/b/ HTTP/1.1\r\nHost: a\r\n{twice}\r\n").as_bytes());
    assert_eq!(connection.answer(false).unwrap().status, 401);
    for path in ["/healthz", "/readyz"] {
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(connection.answer(false).unwrap().status, 200, "{path}");
    }
}

#[test]
fn a_refused_upload_is_answered_before_its_body() {
    let (_data, server) = started();
    let mut connection = Connection::to(&server.address);
    let head = "PUT /rest/b/k HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n";
    connection.send(format!("{head}{}If-Match: \"x\"\r\n\r\n", authorization()).as_bytes());
    assert_eq!(connection.answer(false).unwrap().status, 412);
}
