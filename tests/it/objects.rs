//! An object's life over REST: RFC 9110, as far as it goes here.

use crate::{Fixture, assert_problem, json, put, send};
use trestle_tests::tree::noise;

const OBJECT: &str = "/rest/b/folder/file.txt";

#[test]
fn buckets_come_and_go() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    assert_problem(&send(client, "PUT", "/rest/b/"), 409);
    assert_eq!(send(client, "PUT", "/rest/c/").status, 201);
    put(client, OBJECT, b"x");
    assert_problem(&send(client, "DELETE", "/rest/b/"), 409);
    assert_eq!(send(client, "DELETE", OBJECT).status, 204);
    assert_eq!(send(client, "DELETE", "/rest/b/").status, 204);
    assert_problem(&send(client, "DELETE", "/rest/b/"), 404);
    assert_problem(&send(client, "GET", "/rest/b/"), 404);
    assert_problem(&put(client, OBJECT, b"x"), 404);
    assert_problem(&send(client, "MOVE", "/rest/c/"), 405);
    let names: Vec<_> = json(&send(client, "GET", "/rest/"))["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket["name"].clone())
        .collect();
    assert_eq!(names, ["c"]);
}

#[test]
fn an_object_is_created_read_replaced_and_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    assert_problem(&send(client, "GET", OBJECT), 404);
    assert_problem(&send(client, "DELETE", OBJECT), 404);

    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
    ];
    let created = client.send("PUT", OBJECT, &headers, b"first").unwrap();
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location").as_deref(), Some(OBJECT));
    let tag = created.header("etag").unwrap();
    assert!(
        tag.starts_with('"') && tag.ends_with('"'),
        "a strong tag: {tag}"
    );

    let read = send(client, "GET", OBJECT);
    assert_eq!((read.status, read.text().as_str()), (200, "first"));
    assert_eq!(read.header("etag"), Some(tag.clone()));
    assert_eq!(read.header("content-type").as_deref(), Some("text/plain"));
    assert_eq!(read.header("accept-ranges").as_deref(), Some("bytes"));
    assert!(read.header("last-modified").unwrap().ends_with(" GMT"));
    assert!(read.header("date").is_some());
    assert!(read.header("x-request-id").is_some());

    let head = send(client, "HEAD", OBJECT);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in [
        "etag",
        "content-type",
        "content-length",
        "last-modified",
        "accept-ranges",
    ] {
        assert_eq!(head.header(name), read.header(name), "{name}");
    }

    let replaced = put(client, OBJECT, b"second");
    assert!(matches!(replaced.status, 200 | 204), "{}", replaced.status);
    assert_ne!(replaced.header("etag"), Some(tag));
    let read = send(client, "GET", OBJECT);
    assert_eq!(read.text(), "second");
    assert_eq!(
        read.header("content-type").as_deref(),
        Some("application/octet-stream")
    );

    assert_eq!(send(client, "DELETE", OBJECT).status, 204);
    assert_problem(&send(client, "GET", OBJECT), 404);
    assert_eq!(send(client, "HEAD", OBJECT).status, 404);
}

#[test]
fn sizes_around_every_boundary_come_back_identical() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let sizes = [
        0,
        1,
        4095,
        4096,
        4097,
        65_535,
        65_536,
        65_537,
        262_143,
        262_145,
        1 << 20,
    ];
    for size in sizes.into_iter().chain([(5 << 20) + 3]) {
        let body = noise(size as u64, size);
        assert_eq!(put(client, &format!("/rest/b/{size}"), &body).status, 201);
        let read = send(client, "GET", &format!("/rest/b/{size}"));
        assert_eq!(read.header("content-length"), Some(size.to_string()));
        assert!(read.body == body, "{size} bytes differ");
    }
}

#[test]
fn a_body_may_come_in_chunks_or_not_at_all() {
    let fixture = Fixture::new();
    let address = fixture.server().address;
    let credentials = trestle_tests::client::base64(
        format!(
            "{}:{}",
            trestle_tests::server::USER,
            trestle_tests::server::PASSWORD
        )
        .as_bytes(),
    );
    let head = |target: &str, rest: &str| {
        format!(
            "PUT {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n{rest}\r\n"
        )
    };
    let chunked = head("/rest/b/chunked", "Transfer-Encoding: chunked\r\n")
        + "5\r\nhello\r\n7;name=value\r\n, world\r\n0\r\nTrailer: x\r\n\r\n"
        + &head("/rest/b/empty", "Connection: close\r\n");
    let (responses, closed) = trestle_tests::client::raw(address, chunked.as_bytes()).unwrap();
    assert_eq!(
        responses.iter().map(|r| r.status).collect::<Vec<_>>(),
        [201, 201]
    );
    assert!(closed.0, "as the second request asked");
    let client = &mut fixture.client();
    assert_eq!(
        send(client, "GET", "/rest/b/chunked").text(),
        "hello, world"
    );
    assert_eq!(
        send(client, "GET", "/rest/b/empty")
            .header("content-length")
            .unwrap(),
        "0"
    );
}

#[test]
fn an_unfinished_body_leaves_nothing() {
    let fixture = Fixture::new();
    let credentials = trestle_tests::client::base64(
        format!(
            "{}:{}",
            trestle_tests::server::USER,
            trestle_tests::server::PASSWORD
        )
        .as_bytes(),
    );
    for framing in [
        "Content-Length: 100\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        use std::io::Write as _;
        let request = format!(
            "PUT {OBJECT} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n{framing}"
        );
        let mut stream = std::net::TcpStream::connect(fixture.server().address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the server has given up.
        let _answer = std::io::copy(&mut stream, &mut std::io::sink());
        assert_problem(&send(&mut fixture.client(), "GET", OBJECT), 404);
    }
}

#[test]
fn conditions_guard_reads_and_writes() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let mut send = |method: &str, name: &str, value: &str| {
        let body: &[u8] = if method == "PUT" { b"body" } else { b"" };
        client.send(method, OBJECT, &[(name, value)], body).unwrap()
    };
    assert_problem(&send("PUT", "if-match", "*"), 412);
    assert_problem(&send("PUT", "if-match", "\"other\""), 412);
    assert_problem(&send("PUT", "if-match", "unquoted"), 400);
    let created = send("PUT", "if-none-match", "*");
    assert_eq!(created.status, 201);
    let tag = created.header("etag").unwrap();
    let modified = created.header("last-modified");
    assert_problem(&send("PUT", "if-none-match", "*"), 412);
    assert_problem(&send("PUT", "if-none-match", &tag), 412);

    let unchanged = send("GET", "if-none-match", &format!("\"other\", W/{tag}"));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some(tag.clone()));
    assert_eq!(send("HEAD", "if-none-match", "*").status, 304);
    assert_eq!(send("GET", "if-none-match", "\"other\"").status, 200);
    assert_eq!(send("GET", "if-match", &tag).status, 200);
    assert_eq!(
        send("GET", "if-match", &format!("W/{tag}")).status,
        412,
        "strong comparison"
    );
    assert_problem(&send("GET", "if-match", "\"other\""), 412);
    if let Some(modified) = modified {
        assert_eq!(send("GET", "if-modified-since", &modified).status, 304);
        assert_eq!(send("GET", "if-unmodified-since", &modified).status, 200);
    }
    let past = "Mon, 01 Jan 2001 00:00:00 GMT";
    assert_eq!(send("GET", "if-modified-since", past).status, 200);
    assert_problem(&send("GET", "if-unmodified-since", past), 412);
    assert_eq!(
        send("GET", "if-modified-since", "yesterday").status,
        200,
        "no date: ignored"
    );

    let replaced = send("PUT", "if-match", &tag);
    assert!(matches!(replaced.status, 200 | 204));
    assert_problem(&send("PUT", "if-match", &tag), 412);
    assert_problem(&send("DELETE", "if-match", &tag), 412);
    assert_eq!(
        send("DELETE", "if-match", &replaced.header("etag").unwrap()).status,
        204
    );
    assert_problem(&send("GET", "if-match", "*"), 412);
    assert_problem(&send("DELETE", "if-match", "*"), 412);
}

#[test]
fn exactly_one_of_many_creators_wins() {
    let fixture = Fixture::new();
    let clients: Vec<_> = (0..8).map(|_| fixture.client()).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                scope.spawn(move || {
                    let headers = [("if-none-match", "*")];
                    client
                        .send("PUT", OBJECT, &headers, b"mine")
                        .unwrap()
                        .status
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 412).count(),
        7,
        "{statuses:?}"
    );
}

#[test]
fn a_single_range_is_partial_content() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for (target, length) in [("/rest/b/small", 10), ("/rest/b/large", (3 << 20) + 7)] {
        let body = noise(7, length);
        let tag = put(client, target, &body).header("etag").unwrap();
        let mut get = |range: &str, condition: &str| {
            let headers = [("range", range), ("if-range", condition)];
            let count = if condition.is_empty() { 1 } else { 2 };
            client.send("GET", target, &headers[..count], &[]).unwrap()
        };
        let last = length - 1;
        for (range, first, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=2-5", 2, 6),
            ("bytes=3-", 3, length),
            ("bytes=-4", length - 4, length),
            ("bytes=-99999999", 0, length),
            ("bytes=1-99999999", 1, length),
        ] {
            let part = get(range, "");
            assert_eq!(part.status, 206, "{range}");
            assert!(part.body == body[first..end], "{range} of {target}");
            let expected = format!("bytes {first}-{}/{length}", end - 1);
            assert_eq!(part.header("content-range"), Some(expected));
            assert_eq!(part.header("etag"), Some(tag.clone()));
        }
        for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
            let refused = get(&range, "");
            assert_problem(&refused, 416);
            assert_eq!(
                refused.header("content-range"),
                Some(format!("bytes */{length}"))
            );
        }
        for range in ["bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=0-1,1-4"] {
            let whole = get(range, "");
            assert!(
                whole.status == 200 && whole.body == body,
                "{range}: {}",
                whole.status
            );
        }
        assert_eq!(get("bytes=0-0", &tag).status, 206);
        assert_eq!(get("bytes=0-0", "\"other\"").status, 200);
        let modified = get("bytes=0-0", "").header("last-modified").unwrap();
        assert_eq!(
            get("bytes=0-0", &modified).status,
            200,
            "a date is a weak validator"
        );
        assert_eq!(get(&format!("bytes={last}-"), "").body, body[last..]);
    }
    put(client, "/rest/b/none", b"");
    let headers = [("range", "bytes=0-")];
    assert_problem(
        &client.send("GET", "/rest/b/none", &headers, &[]).unwrap(),
        416,
    );
}

#[test]
fn what_is_not_there_yet_is_said_not_ignored() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let refused = send(client, "POST", OBJECT);
    assert_problem(&refused, 415);
    assert!(refused.header("accept-post").is_some());
    for method in ["LOCK", "REPORT"] {
        let refused = send(client, method, OBJECT);
        assert_problem(&refused, 405);
        let allowed = refused.header("allow").unwrap();
        assert!(
            allowed.contains("PUT") && allowed.contains("GET"),
            "{allowed}"
        );
    }
    assert!(matches!(send(client, "BREW", OBJECT).status, 405 | 501));
    let headers = [("content-range", "bytes 0-3/8")];
    let refused = client.send("PUT", OBJECT, &headers, b"part").unwrap();
    assert!(
        matches!(refused.status, 400 | 501),
        "never stored as the whole (RFC 9110 §14.5)"
    );
    assert_problem(&send(client, "GET", OBJECT), 404);
    assert_problem(&put(client, &format!("{OBJECT}?acl"), b"x"), 400);
    assert_problem(&send(client, "GET", "/-/nowhere"), 404);
}

#[test]
fn a_body_must_have_the_digest_that_it_names() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    // MD5 and SHA-256 of "hello".
    let md5 = "XUFAKrxLKna5cZ2REBfFkg==";
    let sha256 = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
    for (name, value) in [("content-md5", "nonsense"), ("repr-digest", "sha-256=:x:")] {
        let refused = client.send("PUT", OBJECT, &[(name, value)], b"hello");
        assert_problem(&refused.unwrap(), 400);
    }
    for (name, value) in [("content-md5", md5), ("repr-digest", sha256)] {
        let refused = client
            .send("PUT", OBJECT, &[(name, value)], b"hullo")
            .unwrap();
        assert_problem(&refused, 400);
        assert_problem(&send(client, "GET", OBJECT), 404);
        let taken = client
            .send("PUT", OBJECT, &[(name, value)], b"hello")
            .unwrap();
        assert_eq!(taken.status, 201, "{name}: {}", taken.text());
        assert_eq!(send(client, "DELETE", OBJECT).status, 204);
    }
}

#[test]
fn no_digest_goes_unchecked() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    // Of "hello", and of "hullo".
    let right = ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
    let wrong = ("content-md5", "kkiTDDBnt7lpYJGYbmoO/Q==");
    let mut refused = |headers: &[(&str, &str)], status: u16| {
        assert_problem(
            &client.send("PUT", OBJECT, headers, b"hello").unwrap(),
            status,
        );
        assert_problem(&send(client, "GET", OBJECT), 404);
    };
    refused(&[right, wrong], 400);
    let right = (
        "repr-digest",
        "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:",
    );
    let wrong = (
        "repr-digest",
        "sha-256=:AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:",
    );
    refused(&[right, wrong], 400);
    refused(&[("digest", "sha-256=AAAA")], 501);
    refused(&[("trailer", "Repr-Digest")], 501);
}

#[test]
fn a_body_without_a_meaning_is_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    put(client, OBJECT, b"kept");
    put(client, "/rest/empty/", b"");
    for (method, target) in [
        ("GET", OBJECT),
        ("DELETE", OBJECT),
        ("GET", "/rest/b/"),
        ("GET", "/rest/"),
        ("PUT", "/rest/other/"),
        ("DELETE", "/rest/empty/"),
    ] {
        assert_problem(&client.send(method, target, &[], b"body").unwrap(), 400);
    }
    assert_eq!(send(client, "GET", OBJECT).text(), "kept");
    assert_eq!(send(client, "GET", "/rest/empty/").status, 200);
}

#[test]
fn a_condition_on_a_bucket_is_not_ignored() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for header in [
        ("if-match", "\"x\""),
        ("if-unmodified-since", "x"),
        ("if-none-match", "*"),
    ] {
        let refused = client.send("DELETE", "/rest/b/", &[header], &[]).unwrap();
        assert_problem(&refused, 501);
        let refused = client.send("PUT", "/rest/new/", &[header], &[]).unwrap();
        assert_problem(&refused, 501);
    }
    assert_eq!(send(client, "GET", "/rest/b/").status, 200);
    assert_eq!(send(client, "GET", "/rest/new/").status, 404);
}

#[test]
fn only_root_may_come_in() {
    let fixture = Fixture::new();
    put(&mut fixture.client(), OBJECT, b"secret");
    let address = fixture.server().address;
    let user = trestle_tests::server::USER;
    let mut strangers = [
        trestle_tests::Client::anonymous(address),
        trestle_tests::Client::new(address, user, "wrong"),
        trestle_tests::Client::new(address, user, ""),
        trestle_tests::Client::new(address, "nobody", trestle_tests::server::PASSWORD),
    ];
    for stranger in &mut strangers {
        for (method, target) in [
            ("GET", OBJECT),
            ("PUT", OBJECT),
            ("DELETE", OBJECT),
            ("GET", "/rest/b/"),
            ("GET", "/rest/"),
        ] {
            let refused = send(stranger, method, target);
            assert_problem(&refused, 401);
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Basic realm="), "{challenge}");
        }
    }
    let anonymous = &mut strangers[0];
    for value in [
        "Basic",
        "Basic !!!",
        "Basic cm9vdA==",
        "Bearer x",
        "Basic Og==",
    ] {
        let headers = [("authorization", value)];
        let refused = anonymous.send("GET", OBJECT, &headers, &[]).unwrap();
        assert_problem(&refused, 401);
    }
    let twice = [("authorization", "Basic cm9vdDp4")];
    let refused = fixture.client().send("GET", OBJECT, &twice, &[]).unwrap();
    assert_problem(&refused, 401);
    assert_eq!(send(&mut fixture.client(), "GET", OBJECT).text(), "secret");
}

#[test]
fn health_needs_no_credentials() {
    let fixture = Fixture::new();
    let mut anonymous = trestle_tests::Client::anonymous(fixture.server().address);
    for target in ["/healthz", "/readyz"] {
        assert_eq!(send(&mut anonymous, "GET", target).status, 200, "{target}");
    }
}
