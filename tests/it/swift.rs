//! Swift over the real binary, as no client library would ask: codes, refusals, what listings and
//! counters say right after a write, and the same data in other dialects.
//! `docs/conformance/swift.md` has the counts of Swift's own suite.

use crate::cdmi_extensions::until;
use crate::{Fixture, json};
use trestle_tests::server::{PASSWORD, Server, USER};
use trestle_tests::{Client, Response};

/// A client with a token, at the root user's account.
pub(crate) struct Swift {
    client: Client,
    token: String,
}

impl Swift {
    fn new(fixture: &Fixture) -> Self {
        Swift::of(fixture.server())
    }

    pub(crate) fn of(server: &Server) -> Self {
        let mut client = Client::anonymous(server.address);
        let login = format!("{USER}:{USER}");
        let headers = [("x-auth-user", login.as_str()), ("x-auth-key", PASSWORD)];
        let answer = client.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        let token = answer.header("x-auth-token").unwrap();
        Swift { client, token }
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let token = self.token.clone();
        let mut all = vec![("x-auth-token", token.as_str())];
        all.extend_from_slice(headers);
        let path = format!("/v1/AUTH_{USER}{path}");
        self.client.send(method, &path, &all, body).unwrap()
    }

    pub(crate) fn status(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.send(method, path, headers, &[]).status
    }

    pub(crate) fn put(&mut self, path: &str, body: &[u8]) {
        let answer = self.send("PUT", path, &[], body);
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    }
}

#[test]
fn nobody_and_wrong_keys_are_refused_and_every_answer_has_its_transaction() {
    let fixture = Fixture::new();
    let mut nobody = Client::anonymous(fixture.server().address);
    for headers in [
        vec![],
        vec![("x-auth-token", "AUTH_tkforged")],
        vec![("x-auth-token", "")],
    ] {
        let answer = nobody.send("GET", "/v1/AUTH_root", &headers, &[]).unwrap();
        assert_eq!(answer.status, 401, "{headers:?}");
        let realm = answer.header("www-authenticate");
        assert_eq!(realm.as_deref(), Some("Swift realm=\"AUTH_root\""));
        let id = answer.header("x-trans-id").unwrap();
        assert!(id.starts_with("tx"), "{id}");
        assert_eq!(answer.header("x-openstack-request-id"), Some(id));
    }
    for (user, key) in [
        ("root:root", "wrong"),
        ("root", PASSWORD),
        ("other:root", PASSWORD),
    ] {
        let headers = [("x-auth-user", user), ("x-auth-key", key)];
        let answer = nobody.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
        assert_eq!(answer.status, 401, "{user}");
    }
    let mut swift = Swift::new(&fixture);
    // An account without a known prefix is nobody's.
    let headers = [("x-auth-token", swift.token.as_str())];
    let foreign = nobody.send("GET", "/v1/root", &headers, &[]).unwrap();
    assert_eq!(foreign.status, 403);
    assert_eq!(swift.status("GET", "", &[("x-trans-id-extra", "a b")]), 200);
}

#[test]
fn codes_are_those_of_swift() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    assert_eq!(swift.status("PUT", "/c", &[]), 202);
    assert_eq!(swift.status("GET", "/c", &[]), 204);
    assert_eq!(swift.status("GET", "/none", &[]), 404);
    assert_eq!(swift.status("PUT", "/none/o", &[]), 404);
    swift.put("/c/o", b"0123456789");
    assert_eq!(swift.status("DELETE", "/c", &[]), 409);
    for (method, path, headers, status) in [
        ("PUT", "/c/o", [("if-none-match", "*")], 412),
        ("PUT", "/c/o", [("if-none-match", "x")], 400),
        (
            "PUT",
            "/c/p",
            [("etag", "d41d8cd98f00b204e9800998ecf8427f")],
            422,
        ),
        ("PUT", "/c/p", [("x-delete-at", "1")], 400),
        ("PUT", "/c/p", [("x-delete-after", "soon")], 400),
        ("PUT", "/c/p", [("x-object-manifest", "c")], 400),
        ("PUT", "/c/p", [("x-static-large-object", "true")], 400),
        ("PUT", "/c/p", [("x-symlink-target", "/c/o")], 412),
        ("PUT", "/c/p", [("x-copy-from", "c")], 412),
        ("COPY", "/c/o", [("destination", "c")], 412),
        ("PUT", "/d", [("x-storage-policy", "none")], 400),
        ("PUT", "/d", [("x-container-read", ".r:")], 400),
        ("PUT", "/d", [("x-container-write", ".r:*")], 400),
        ("PUT", "/d", [("x-container-sync-to", "//r/c/a/c")], 400),
        ("POST", "", [("x-account-access-control", "{")], 400),
        ("GET", "/c/o", [("range", "bytes=20-")], 416),
        ("GET", "/c/o", [("range", "bytes=5-3")], 200),
        ("GET", "/c/o", [("range", "bytes=-3")], 206),
        ("GET", "/c", [("accept", "image/png")], 406),
        ("PATCH", "/c/o", [("x-a", "b")], 405),
    ] {
        assert_eq!(
            swift.status(method, path, &headers),
            status,
            "{method} {path} {headers:?}"
        );
    }
    assert_eq!(swift.status("GET", "/c?limit=10001", &[]), 412);
    assert_eq!(swift.status("GET", "/c/%ff", &[]), 412);
    assert_eq!(
        swift.status("PUT", "/d", &[]),
        201,
        "nothing was made by what was refused"
    );
    assert_eq!(swift.status("HEAD", "/c/p", &[]), 404);
    assert_eq!(swift.status("DELETE", "/c/o", &[]), 204);
    assert_eq!(swift.status("DELETE", "/c/o", &[]), 404);
    assert_eq!(swift.status("DELETE", "/c", &[]), 204);
}

#[test]
fn counters_and_listings_are_right_at_once() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    for (name, body) in [("a/1", "x"), ("a/2", "yy"), ("b", "zzz")] {
        swift.put(&format!("/c/{name}"), body.as_bytes());
    }
    let listing = swift.send("GET", "/c?format=json&delimiter=/", &[], &[]);
    assert_eq!(
        listing.header("x-container-object-count").as_deref(),
        Some("3")
    );
    assert_eq!(
        listing.header("x-container-bytes-used").as_deref(),
        Some("6")
    );
    let rows = json(&listing);
    assert_eq!(rows[0], serde_json::json!({"subdir": "a/"}));
    assert_eq!(rows[1]["name"], "b");
    assert_eq!(rows[1]["bytes"], 3);
    let plain = swift.send("GET", "/c?path=a&reverse=on", &[], &[]);
    assert_eq!(plain.text(), "a/2\na/1\n");
    let account = swift.send("GET", "?format=json&prefix=c", &[], &[]);
    assert_eq!(json(&account)[0]["count"], 3);
    assert_eq!(swift.status("DELETE", "/c/b", &[]), 204);
    let head = swift.send("HEAD", "/c", &[], &[]);
    assert_eq!(
        head.header("x-container-object-count").as_deref(),
        Some("2")
    );
}

#[test]
fn a_large_object_is_its_segments() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    swift.put("/c/s1", b"hello ");
    swift.put("/c/s2", b"world");
    let manifest = br#"[{"path":"/c/s1"},{"path":"/c/s2","range":"-3"},{"data":"IQ=="}]"#;
    let answer = swift.send("PUT", "/c/big?multipart-manifest=put", &[], manifest);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let etag = answer.header("etag").unwrap();
    let whole = swift.send("GET", "/c/big", &[], &[]);
    assert_eq!(whole.text(), "hello rld!");
    assert_eq!(whole.header("etag"), Some(etag.clone()));
    let part = swift.send("GET", "/c/big", &[("range", "bytes=4-6")], &[]);
    assert_eq!((part.status, part.text()), (206, "o r".into()));
    for (tag, status) in [(etag.as_str(), 206), ("\"another\"", 200)] {
        let headers = [("range", "bytes=4-6"), ("if-range", tag)];
        assert_eq!(swift.status("GET", "/c/big", &headers), status, "{tag}");
    }
    let several = swift.send("GET", "/c/big", &[("range", "bytes=0-0,-1")], &[]);
    assert!(
        several.text().contains("bytes 9-9/10"),
        "{}",
        several.text()
    );
    assert_eq!(
        swift.status("GET", "/c/big", &[("if-none-match", &etag)]),
        304
    );
    let missing = br#"[{"path":"/c/none"},{"path":"/c/s2","etag":"x"}]"#;
    let refused = swift.send("PUT", "/c/bad?multipart-manifest=put", &[], missing);
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("c/none, 404 Not Found"),
        "{}",
        refused.text()
    );
    assert!(
        refused.text().contains("c/s2, Etag Mismatch"),
        "{}",
        refused.text()
    );
    swift.put("/c/s1", b"other!");
    assert_eq!(
        swift.status("GET", "/c/big", &[]),
        409,
        "a segment has changed"
    );
}

#[test]
fn segments_of_a_manifest_that_is_deleted_asynchronously_end() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    for container in ["/c", "/s"] {
        assert_eq!(swift.status("PUT", container, &[]), 201);
    }
    for name in ["/s/1", "/s/2", "/c/3"] {
        swift.put(name, name.as_bytes());
    }
    let put = |swift: &mut Swift, name: &str, manifest: &str| {
        let path = format!("/c/{name}?multipart-manifest=put");
        let answer = swift.send("PUT", &path, &[], manifest.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
    };
    put(&mut swift, "m", r#"[{"path":"/s/1"},{"path":"/s/2"}]"#);
    put(
        &mut swift,
        "several",
        r#"[{"path":"/s/1"},{"path":"/c/3"}]"#,
    );
    put(&mut swift, "nested", r#"[{"path":"/c/m"}]"#);
    let delete = |name: &str| format!("/c/{name}?multipart-manifest=delete&async=yes");
    for (name, status) in [("several", 400), ("nested", 400), ("3", 400), ("none", 404)] {
        assert_eq!(swift.status("DELETE", &delete(name), &[]), status, "{name}");
    }
    assert_eq!(swift.send("GET", "/c/several", &[], &[]).body, b"/s/1/c/3");
    assert_eq!(swift.status("DELETE", &delete("m"), &[]), 204);
    for path in ["/c/m", "/s/1", "/s/2"] {
        assert_eq!(swift.status("GET", path, &[]), 404, "{path}");
    }
    assert_eq!(swift.status("GET", "/s", &[]), 204);
    assert_eq!(swift.send("GET", "/c/3", &[], &[]).body, b"/c/3");
}

#[test]
fn what_has_ended_is_read_by_who_asks_for_it_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = trestle_tests::Launch::new(folder.path().join("data"));
    let server = launch.variable("TRESTLE_EXPIRY_DELAY", "3600").start();
    let mut swift = Swift::of(&server);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    assert_eq!(swift.status("PUT", "/c/o", &[("x-delete-after", "1")]), 201);
    until("the object ends", || {
        swift.status("GET", "/c/o", &[]) == 404
    });
    let open = ("x-open-expired", "true");
    assert_eq!(swift.status("GET", "/c/o", &[open]), 200);
    assert_eq!(
        swift.status("GET", "/c/o", &[("x-open-expired", "no")]),
        404
    );
    assert_eq!(swift.status("POST", "/c/o", &[]), 404);
    // It is given no end, and is there again.
    assert_eq!(swift.status("POST", "/c/o", &[open]), 202);
    assert_eq!(swift.status("GET", "/c/o", &[]), 200);
    assert_eq!(
        swift.status("POST", "/c/o", &[("x-delete-after", "1")]),
        202
    );
    until("the object ends again", || {
        swift.status("GET", "/c/o", &[]) == 404
    });
    // Nothing else is in the container.
    assert_eq!(swift.status("DELETE", "/c", &[]), 204);
}

#[test]
fn a_large_object_is_one_object_everywhere() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    let mut rest = fixture.client();
    let address = fixture.server().address;
    let mut nobody = Client::anonymous(address);
    let everybody = [("x-container-read", ".r:*,.rlistings")];
    assert_eq!(swift.status("PUT", "/large", &everybody), 201);
    assert_eq!(swift.status("PUT", "/parts", &everybody), 201);
    let first = vec![b'a'; 200_000];
    swift.put("/parts/p/1", &first);
    swift.put("/parts/p/2", b"end");
    let manifest = br#"[{"path":"/parts/p/1"},{"path":"/parts/p/2"},{"data":"IQ=="}]"#;
    let path = "/large/slo?multipart-manifest=put";
    let answer = swift.send("PUT", path, &[("content-type", "text/x")], manifest);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let etag = answer.header("etag").unwrap();
    let dynamic = [("x-object-manifest", "parts/p/")];
    assert_eq!(swift.status("PUT", "/large/dlo", &dynamic), 201);
    for (name, end) in [("slo", "aend!"), ("dlo", "aend")] {
        let length = 200_000 + end.len() - 1;
        let path = format!("/rest/large/{name}");
        let read = rest.send("GET", &path, &[], &[]).unwrap();
        assert_eq!((read.status, read.body.len()), (200, length), "{name}");
        assert!(read.text().ends_with(end), "{name}");
        let head = rest.send("HEAD", &path, &[], &[]).unwrap();
        assert_eq!(head.header("content-length"), Some(length.to_string()));
        let tag = head.header("etag").unwrap();
        assert_eq!(read.header("etag").as_ref(), Some(&tag));
        let range = format!("bytes=199999-{}", length - 1);
        let part = rest.send("GET", &path, &[("range", &range)], &[]).unwrap();
        assert_eq!((part.status, part.text()), (206, end.to_owned()), "{name}");
        let headers = [("accept", "application/octet-stream")];
        let path = format!("/cdmi/large/{name}");
        let read = rest.send("GET", &path, &headers, &[]).unwrap();
        assert_eq!((read.status, read.body.len()), (200, length), "{name}");
        let path = format!("/large/{name}");
        let read = nobody.send("GET", &path, &[], &[]).unwrap();
        assert_eq!(
            (read.status, read.body.len()),
            (200, length),
            "{}",
            read.text()
        );
        let copied = [("destination", "/rest/large/copy")];
        let path = format!("/rest/large/{name}");
        let copy = rest.send("COPY", &path, &copied, &[]).unwrap();
        assert!(copy.status < 300, "{}", copy.text());
        let read = swift.send("GET", "/large/copy?multipart-manifest=get", &[], &[]);
        assert_eq!(read.body.len(), length, "{name}");
        let patch = [("content-range", "bytes 0-0/*")];
        let patched = rest.send("PATCH", &format!("/rest/large/{name}"), &patch, b"x");
        assert_eq!(patched.unwrap().status / 100, 4, "{name}");
    }
    let slo = nobody.send("HEAD", "/large/slo", &[], &[]).unwrap();
    let shown = format!("\"{}-3\"", etag.trim_matches('"'));
    assert_eq!(slo.header("etag"), Some(shown));
    let list = nobody.send("GET", "/large?list-type=2", &[], &[]).unwrap();
    assert!(
        list.text().contains("<Size>200004</Size>"),
        "{}",
        list.text()
    );
    // Segments are looked up when they are read, with the reader's own rights.
    swift.put("/parts/p/3", b"more");
    let read = rest.send("GET", "/rest/large/dlo", &[], &[]).unwrap();
    assert_eq!(read.body.len(), 200_007);
    let private = [("x-container-read", "")];
    assert_eq!(swift.status("POST", "/parts", &private), 204);
    for name in ["slo", "dlo"] {
        let path = format!("/large/{name}");
        let read = nobody.send("GET", &path, &[], &[]).unwrap();
        assert_eq!(read.status, 403, "{name}: {}", read.text());
    }
    swift.put("/parts/p/1", b"other");
    let read = rest.send("GET", "/rest/large/slo", &[], &[]).unwrap();
    assert_eq!(read.status, 409, "a segment has changed");
}

#[test]
fn a_version_goes_alone_and_one_comes_back_as_it_is() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    let mut rest = fixture.client();
    let enabled = [("x-versions-enabled", "true")];
    assert_eq!(swift.status("PUT", "/kept", &enabled), 201);
    let mut ids = Vec::new();
    for body in ["one", "two", "three"] {
        let answer = swift.send("PUT", "/kept/o", &[], body.as_bytes());
        ids.push(answer.header("x-object-version-id").unwrap());
    }
    let [one, two, three] = [&ids[0], &ids[1], &ids[2]];
    let shown = |swift: &mut Swift| -> Vec<(String, bool)> {
        let listing = swift.send("GET", "/kept?versions&format=json", &[], &[]);
        let rows = json(&listing);
        let row = |row: &serde_json::Value| {
            let id = row["version_id"].as_str().unwrap().to_owned();
            (id, row["is_latest"].as_bool().unwrap())
        };
        rows.as_array().unwrap().iter().map(row).collect()
    };
    let of = |id: &str, latest: bool| (id.to_owned(), latest);
    // An object is a link to its version.
    let listing = json(&swift.send("GET", "/kept?format=json", &[], &[]));
    let path = format!("/v1/AUTH_{USER}/kept/o?version-id={three}");
    assert_eq!(listing[0]["symlink_path"], path.as_str());
    assert_eq!(listing[0]["version_symlink"], true);
    let by = |id: &str| format!("/kept/o?version-id={id}");
    let gone = swift.send("DELETE", &by(three), &[], &[]);
    assert_eq!(gone.status, 204);
    let current = gone.header("x-object-current-version-id");
    assert_eq!(current.as_deref(), Some("null"));
    assert_eq!(swift.status("GET", "/kept/o", &[]), 404);
    assert_eq!(
        rest.send("GET", "/rest/kept/o", &[], &[]).unwrap().status,
        404
    );
    assert_eq!(shown(&mut swift), [of(two, false), of(one, false)]);
    // Its age makes no difference to which one is current.
    let back = swift.send("PUT", &by(one), &[], &[]);
    assert_eq!(back.status, 201);
    assert_eq!(back.header("x-object-version-id").as_ref(), Some(one));
    assert_eq!(swift.send("GET", "/kept/o", &[], &[]).body, b"one");
    let seen = rest.send("GET", "/rest/kept/o", &[], &[]).unwrap();
    assert_eq!(seen.body, b"one");
    assert_eq!(shown(&mut swift), [of(two, false), of(one, true)]);
    // No version is called null: that is the current object, whose version stays.
    assert_eq!(swift.status("DELETE", &by("null"), &[]), 204);
    assert_eq!(swift.status("GET", "/kept/o", &[]), 404);
    assert_eq!(swift.status("DELETE", &by("null"), &[]), 404);
    assert_eq!(swift.send("GET", &by(one), &[], &[]).body, b"one");
    assert_eq!(swift.status("PUT", &by("null"), &[]), 400);
    assert_eq!(swift.status("PUT", &by(three), &[]), 404);
    assert_eq!(shown(&mut swift), [of(two, false), of(one, false)]);
}

#[test]
fn other_dialects_see_the_same_objects() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    let mut rest = fixture.client();
    swift.put("/b/from-swift", b"one");
    let read = rest.send("GET", "/rest/b/from-swift", &[], &[]).unwrap();
    assert_eq!((read.status, read.text()), (200, "one".into()));
    rest.send(
        "PUT",
        "/rest/b/from-rest",
        &[("content-type", "text/x")],
        b"two",
    )
    .unwrap();
    let read = swift.send("GET", "/b/from-rest", &[], &[]);
    assert_eq!(read.text(), "two");
    assert_eq!(read.header("content-type").as_deref(), Some("text/x"));
    assert_eq!(
        read.header("etag").as_deref(),
        Some("b8a9f715dbb64fd5c56e7783c6820a61")
    );
    // A name that another dialect cannot have is local to the account.
    assert_eq!(swift.status("PUT", "/rest", &[]), 201);
    swift.put("/rest/o", b"local");
    let read = rest.send("GET", "/rest/~root/rest/o", &[], &[]).unwrap();
    assert_eq!((read.status, read.text()), (200, "local".into()));
}

#[test]
fn what_a_container_grants_holds_for_its_objects_alone() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    let mut nobody = Client::anonymous(fixture.server().address);
    let path = |tail: &str| format!("/v1/AUTH_{USER}/c{tail}");
    assert_eq!(
        swift.status("PUT", "/c", &[("x-container-read", ".r:*,.r:-.bad.com")]),
        201
    );
    swift.put("/c/o", b"x");
    let mut asks = |method: &str, tail: &str, referer: &str| {
        let headers = [("referer", referer)];
        nobody.send(method, &path(tail), &headers, &[]).unwrap()
    };
    assert_eq!(asks("GET", "/o", "http://good.com/").status, 200);
    assert_eq!(asks("GET", "/o", "http://www.bad.com/").status, 401);
    assert_eq!(
        asks("GET", "", "http://good.com/").status,
        401,
        "no listing"
    );
    assert_eq!(asks("PUT", "/o", "http://good.com/").status, 401);
    assert_eq!(asks("DELETE", "/o", "http://good.com/").status, 401);
    let shown = asks("HEAD", "/o", "http://good.com/");
    assert_eq!(shown.header("x-container-read"), None);
    assert_eq!(
        swift.status("POST", "/c", &[("x-remove-container-read", "x")]),
        204
    );
    assert_eq!(asks("GET", "/o", "http://good.com/").status, 401);
}

#[test]
fn a_page_asks_before_it_uses_a_temporary_url() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    let origin = "http://page.example.net";
    let headers = [("x-container-meta-access-control-allow-origin", origin)];
    assert_eq!(swift.status("PUT", "/c", &headers), 201);
    let mut browser = Client::anonymous(fixture.server().address);
    // Nobody has signed what is asked; the signature is for what comes after.
    let url = "/v1/AUTH_root/c/o?temp_url_sig=0&temp_url_expires=1";
    for (origin, status) in [(origin, 200), ("http://other.example.net", 401)] {
        let headers = [("origin", origin), ("access-control-request-method", "PUT")];
        let answer = browser.send("OPTIONS", url, &headers, &[]).unwrap();
        assert_eq!(answer.status, status, "{origin}");
        let said = answer.header("access-control-allow-origin");
        assert_eq!(said.is_some(), status == 200, "{said:?}");
    }
    let put = browser
        .send("PUT", url, &[("origin", origin)], &[])
        .unwrap();
    assert_eq!(put.status, 401);
}

#[test]
fn groups_that_an_account_makes_open_no_other_account() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    let json_type = [("content-type", "application/json")];
    let put = |client: &mut Client, path: &str, body: &str| {
        let answer = client.send("PUT", path, &json_type, body.as_bytes());
        let answer = answer.unwrap();
        assert!(answer.status < 300, "{path}: {}", answer.text());
    };
    let user = r#"{"password": "a long enough one", "admin": true}"#;
    let users = "/-/accounts/acme/users";
    put(&mut fixture.client(), &format!("{users}/eve"), user);
    let mut eve = Client::new(fixture.server().address, "eve", "a long enough one");
    let groups = [
        ".reseller_admin",
        ".reseller_reader",
        "service",
        "AUTH_root",
    ];
    for group in groups {
        put(&mut eve, &format!("/-/accounts/acme/groups/{group}"), "{}");
    }
    let member = serde_json::json!({"password": "a long enough one", "groups": groups});
    put(&mut eve, &format!("{users}/mallory"), &member.to_string());
    let mut client = Client::anonymous(fixture.server().address);
    let headers = [
        ("x-auth-user", "acme:mallory"),
        ("x-auth-key", "a long enough one"),
    ];
    let login = client.send("GET", "/auth/v1.0", &headers, &[]).unwrap();
    assert_eq!(login.status, 200, "{}", login.text());
    swift.token = login.header("x-auth-token").unwrap();
    for (method, path) in [
        ("GET", ""),
        ("GET", "/c"),
        ("PUT", "/c/o"),
        ("POST", ""),
        ("DELETE", "/c"),
        ("DELETE", ""),
    ] {
        assert_eq!(swift.status(method, path, &[]), 403, "{method} {path}");
    }
}

#[test]
fn a_token_that_is_narrowed_stays_narrow() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    swift.put("/c/open/o", b"x");
    swift.put("/c/closed", b"y");
    let mut admin = fixture.client();
    let user = br#"{"password": "a long enough one", "admin": true}"#;
    let json_type = [("content-type", "application/json")];
    let made = admin
        .send("PUT", "/-/accounts/root/users/ann", &json_type, user)
        .unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let mut ann = Client::new(fixture.server().address, "ann", "a long enough one");
    let policy = serde_json::json!({"policies": [{
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject",
                       "Resource": "arn:aws:s3:::c/open/*"}],
    }]});
    let policy = policy.to_string();
    let issued = ann
        .send("POST", "/-/tokens", &json_type, policy.as_bytes())
        .unwrap();
    assert_eq!(issued.status, 201, "{}", issued.text());
    swift.token = json(&issued)["token"].as_str().unwrap().to_owned();
    assert_eq!(swift.status("GET", "/c/open/o", &[]), 200);
    for (method, path) in [
        ("GET", "/c/closed"),
        ("PUT", "/c/open/o"),
        ("DELETE", "/c/open/o"),
        ("POST", "/c/open/o"),
        ("GET", "/c"),
        ("PUT", "/d"),
        ("POST", ""),
        ("GET", ""),
    ] {
        assert_eq!(swift.status(method, path, &[]), 403, "{method} {path}");
    }
    let headers = [("destination", "c/copy")];
    assert_eq!(swift.status("COPY", "/c/open/o", &headers), 403);
}

#[test]
fn a_large_object_leaves_no_version_over_cdmi() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    swift.put("/c/s1", b"hello ");
    let manifest = br#"[{"path":"/c/s1"}]"#;
    let answer = swift.send("PUT", "/c/big?multipart-manifest=put", &[], manifest);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let client = &mut fixture.client();
    let kind = "application/cdmi-object";
    let headers = [("content-type", kind), ("accept", kind)];
    let wish = br#"{"metadata":{"cdmi_versioning":"all"}}"#;
    for (name, versioned) in [("big", false), ("s1", true)] {
        let target = format!("/cdmi/c/{name}");
        let asked = format!("{target}?metadata=cdmi_versioning");
        let answer = client.send("PATCH", &asked, &headers, wish).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
        let shown = client.send("GET", &target, &headers[1..], b"").unwrap();
        let current = &json(&shown)["metadata"]["cdmi_version_current"];
        assert_eq!(current.is_string(), versioned, "{name}: {current}");
    }
}

/// What an object may have of metadata arrives beside what browsers and proxies add, and what is
/// more is told in the dialect's own words.
#[test]
fn all_the_metadata_that_is_allowed_arrives_beside_other_headers() {
    let fixture = Fixture::new();
    let mut swift = Swift::new(&fixture);
    swift.put("/many", b"");
    let headers = |metadata: usize, others: usize| -> Vec<(String, String)> {
        let metadata = (0..metadata).map(|i| (format!("x-object-meta-m{i}"), i.to_string()));
        let others = (0..others).map(|i| (format!("x-other-{i}"), "v".to_owned()));
        metadata.chain(others).collect()
    };
    for (metadata, others, put, post) in [(90, 36, 201, 202), (91, 0, 400, 400), (190, 0, 400, 400)]
    {
        let headers = headers(metadata, others);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let path = format!("/many/{metadata}");
        assert_eq!(swift.status("PUT", &path, &headers), put, "{metadata}");
        swift.put(&path, b"");
        assert_eq!(swift.status("POST", &path, &headers), post, "{metadata}");
        let shown = swift.send("HEAD", &path, &[], &[]);
        let last = shown.header(&format!("x-object-meta-m{}", metadata - 1));
        assert_eq!(last.is_some(), post == 202, "{metadata}");
    }
}
