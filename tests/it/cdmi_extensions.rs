//! CDMI over the real binary: what goes beyond the main operations, and what the annexes and the
//! standalone extensions add.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use trestle_tests::Client;
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY};
use trestle_tests::sigv4::{Signer, Wire};

/// Waits until something holds; far longer than it should take.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn found(client: &mut Client, at: &str, scope: Value) -> Value {
    let query = json!({"metadata": {
        "cdmi_queue_type": "cdmi_query_immediate", "cdmi_scope_specification": scope,
        "cdmi_results_specification": {"objectName": ""},
    }});
    let made = call(client, "PUT", at, QUEUE, query);
    status(&made, 201);
    let names = crate::json(&made)["value"].clone();
    let names = names.as_array().unwrap().iter();
    names.map(|one| one["objectName"].clone()).collect()
}

#[test]
fn a_container_takes_over_what_another_says_of_itself() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    // What protects the source does not come along.
    let period = "2020-01-01T00:00:00.000000Z/2999-01-01T00:00:00.000000Z";
    let metadata = json!({
        "a": "b", "cdmi_hold_id": ["h"], "cdmi_retention_period": period,
    });
    create(client, "/c/from/", json!({"metadata": metadata}));
    create(client, "/c/to/", json!({"metadata": {"x": "y"}}));
    create(client, "/c/to/stays", json!({"value": "1"}));
    let copy = json!({"copy": "/c/from/"});
    status(&call(client, "PATCH", "/c/to/", CONTAINER, copy), 204);
    let shown = read(client, "/c/to/", CONTAINER);
    assert_eq!(shown["metadata"]["a"], "b");
    assert!(shown["metadata"].get("x").is_none());
    assert!(shown["metadata"].get("cdmi_hold_id").is_none());
    assert_eq!(shown["children"], json!(["stays"]));
    let missing = json!({"copy": "/c/nothing/"});
    status(&call(client, "PATCH", "/c/to/", CONTAINER, missing), 400);
}

#[test]
fn scopes_name_containers_and_domains_by_id_as_well() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let inner = create(client, "/c/in/", json!({}));
    let made = create(client, "/c/in/o", json!({"value": "x"}));
    create(client, "/c/p", json!({"value": "x"}));
    let parent = inner["objectID"].as_str().unwrap();
    for uri in ["/c/in/".to_owned(), format!("/cdmi_objectid/{parent}/")] {
        let scope = json!([{"parentURI": format!("== {uri}")}]);
        assert_eq!(found(client, "/c/q", scope), json!(["o"]), "{uri}");
    }
    let domain = read(
        client,
        made["domainURI"].as_str().unwrap(),
        "application/cdmi-domain",
    );
    let domain = domain["objectID"].as_str().unwrap();
    let scope = json!([{
        "domainURI": format!("== /cdmi_objectid/{domain}/"), "objectName": "== p",
    }]);
    assert_eq!(found(client, "/c/q", scope), json!(["p"]));
    let scope = json!([{
        "domainURI": format!("!= /cdmi_objectid/{domain}/"), "objectName": "== p",
    }]);
    assert_eq!(found(client, "/c/q", scope), json!([]));
}

#[test]
fn scripts_of_other_origins_are_admitted_by_metadata() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(
        client,
        "/c/",
        json!({"metadata": {"cdmi_cors_origins": ["http://a.example"]}}),
    );
    create(client, "/c/o", json!({"value": "x"}));
    let mut answer = |origin: &str, target: &str| {
        let headers = [("origin", origin)];
        let answer = client.send("GET", target, &headers, b"").unwrap();
        (answer.status, answer.header("access-control-allow-origin"))
    };
    let own = Some("http://a.example".to_owned());
    assert_eq!(answer("http://a.example", "/cdmi/c/o"), (200, own.clone()));
    assert_eq!(answer("http://a.example", "/cdmi/c/missing"), (404, own));
    assert_eq!(answer("http://b.example", "/cdmi/c/o"), (200, None));
    let preflight = [
        ("origin", "http://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    let nobody = &mut Client::anonymous(fixture.server().address);
    let refused = nobody.send("OPTIONS", "/cdmi/c/o", &preflight, b"");
    status(&refused.unwrap(), 403);
    let named = json!({"metadata": {"cdmi_cors_methods": ["PUT"]}});
    let target = "/c/o?metadata=cdmi_cors_methods";
    status(&call(client, "PATCH", target, OBJECT, named), 204);
    let admitted = nobody
        .send("OPTIONS", "/cdmi/c/o", &preflight, b"")
        .unwrap();
    status(&admitted, 200);
    let age = admitted.header("access-control-max-age").unwrap();
    assert!(age.parse::<u32>().unwrap() > 0, "{age}");
}

/// Metadata that has the name of a header is one over plain HTTP, of containers, too.
#[test]
fn metadata_that_is_named_like_a_header_can_be_one() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let yellow = [("x-cdmi-meta-colour", "Yellow")];
    status(
        &client.send("PUT", "/cdmi/c/d/", &yellow, b"").unwrap(),
        201,
    );
    let shown = read(client, "/c/d/", CONTAINER);
    assert_eq!(shown["metadata"]["x-cdmi-meta-colour"], "Yellow");
    let id = shown["objectID"].as_str().unwrap();
    for target in [
        "/cdmi/c/d/".to_owned(),
        format!("/cdmi/cdmi_objectid/{id}/"),
    ] {
        let head = client.send("HEAD", &target, &[], b"").unwrap();
        assert_eq!(head.header("x-cdmi-meta-colour").as_deref(), Some("Yellow"));
        assert_eq!(head.header("content-type").as_deref(), Some(CONTAINER));
    }
    create(client, "/c/o", json!({"value": "v"}));
    for bad in [
        json!({"x-a-meta-b c": "1"}),
        json!({"x-a-meta-b": "1\n2"}),
        json!({"x-a-meta-b": {"c": "d"}}),
        Value::Object(
            (0..200)
                .map(|n| (format!("x-a-meta-{n}"), "1".into()))
                .collect(),
        ),
    ] {
        let new = json!({"value": "v", "metadata": bad});
        status(&call(client, "PUT", "/c/n", OBJECT, new.clone()), 400);
        status(&call(client, "PATCH", "/c/o", OBJECT, new), 400);
        let into = json!({"metadata": bad});
        status(&call(client, "PATCH", "/c/d/", CONTAINER, into), 400);
    }
    // What is not named changes nothing.
    let ignored = json!({"metadata": {"a": "b", "x-a-meta-b": {"c": "d"}}});
    status(
        &call(client, "PATCH", "/c/o?metadata=a", OBJECT, ignored),
        204,
    );
}

#[test]
fn a_domain_admits_the_methods_of_authentication_that_it_names() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    let target = "/-/accounts/acme/users/ann";
    let text = br#"{"password":"a long enough password","admin":true}"#;
    status(&root.send("PUT", target, &[], text).unwrap(), 201);
    let address = fixture.server().address;
    let ann = &mut Client::new(address, "acme/ann", "a long enough password");
    create(ann, "/mine/", json!({}));
    let admit = |root: &mut Client, methods: Value| {
        let change = json!({"metadata": {"cdmi_authentication_methods": methods}});
        let domain = "application/cdmi-domain";
        status(
            &call(root, "PATCH", "/cdmi_domains/acme/", domain, change),
            204,
        );
    };
    let told = |root: &mut Client| {
        let target = "/cdmi_domains/acme/?metadata=cdmi_authentication_methods_provided";
        let shown = read(root, target, "application/cdmi-domain");
        shown["metadata"]["cdmi_authentication_methods_provided"].clone()
    };
    assert_eq!(told(root), json!(["anonymous", "basic", "bearer", "x509"]));
    admit(root, json!(["x509"]));
    assert_eq!(told(root), json!(["x509"]));
    status(&get(ann, "/mine/", CONTAINER), 403);
    admit(root, json!(["anonymous", "basic"]));
    status(&get(ann, "/mine/", CONTAINER), 200);
}

#[test]
fn what_is_asked_to_goes_when_its_retention_ends() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let mut now = String::new();
    // The server's own time, and three seconds on within the same minute.
    until("a minute begins", || {
        let made = call(client, "POST", "/c/", OBJECT, json!({}));
        let made = crate::json(&made);
        now = made["metadata"]["cdmi_ctime"].as_str().unwrap().to_owned();
        now[17..19].parse::<u32>().unwrap() <= 56
    });
    let second: u32 = now[17..19].parse().unwrap();
    let end = format!("{}{:02}{}", &now[..17], second + 3, &now[19..]);
    let document = json!({"metadata": {
        "cdmi_retention_period": format!("{now}/{end}"), "cdmi_retention_autodelete": "true",
    }});
    create(client, "/c/o", document);
    until("it ends", || get(client, "/c/o", OBJECT).status == 404);
}

/// Each row of the table of the standard names a test that exists.
#[test]
fn the_table_of_conformance_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = std::fs::read_to_string(root.join("docs/conformance/cdmi.md")).unwrap();
    let mut tests = String::new();
    for entry in std::fs::read_dir(root.join("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("cdmi")
        {
            tests.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(last) = cells.last().filter(|_| cells.len() == 5) else {
            continue;
        };
        let mut words = last.split('`');
        while let (Some(_), Some(name)) = (words.next(), words.next()) {
            rows += 1;
            let unit = last.contains(&format!("`{name}` (unit)"));
            let module = root.join(format!("crates/cdmi/src/{name}.rs"));
            let there = tests.contains(&format!("fn {name}()"))
                || unit && module.is_file()
                || name.starts_with("cdmi_");
            assert!(there, "{name} is no test: {line}");
        }
    }
    assert!(rows > 150, "{rows}");
}

#[test]
fn capability_objects_are_chosen_for_their_metadata() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let of = |name: &str| format!("/cdmi_capabilities/{name}");
    let (hashed, plain) = (of("dataobject/hashed/"), of("dataobject/"));
    create(client, "/c/", json!({}));
    let chosen = json!({"value": "a", "capabilitiesURI": hashed});
    let made = create(client, "/c/o", chosen);
    assert_eq!(made["capabilitiesURI"], hashed);
    assert_eq!(made["metadata"]["cdmi_value_hash"], "SHA256");
    let capability = read(client, &hashed, "application/cdmi-capability");
    assert_eq!(capability["metadata"], json!({"cdmi_value_hash": "SHA256"}));
    let change = |client: &mut Client, at: &str, uri: &str| {
        let document = json!({"capabilitiesURI": uri});
        call(client, "PATCH", at, OBJECT, document).status
    };
    let versioned = of("dataobject/versioned/");
    assert_eq!(change(client, "/c/o", &versioned), 204);
    let shown = read(client, "/c/o", OBJECT);
    assert_eq!(shown["capabilitiesURI"], versioned);
    assert_eq!(shown["metadata"]["cdmi_versioning"], "user");
    assert!(shown["metadata"].get("cdmi_value_hash").is_none());
    // A URI among fields that the query does not name says nothing.
    let document = json!({"capabilitiesURI": hashed, "value": "b"});
    let other = call(client, "PATCH", "/c/o?value", OBJECT, document);
    status(&other, 204);
    assert_eq!(read(client, "/c/o", OBJECT)["capabilitiesURI"], versioned);
    assert_eq!(change(client, "/c/o", &plain), 204);
    assert_eq!(read(client, "/c/o", OBJECT)["capabilitiesURI"], plain);
    for wrong in [
        "/cdmi_capabilities/container/",
        "/cdmi_capabilities/dataobject/gold/",
        "/c/o",
    ] {
        assert_eq!(change(client, "/c/o", wrong), 400, "{wrong}");
        let document = json!({"capabilitiesURI": wrong});
        status(&call(client, "PUT", "/c/n", OBJECT, document), 400);
    }
    // What is in a container of such capabilities has their metadata from it.
    let uri = of("container/hashed/");
    let made = create(client, "/c/in/", json!({"capabilitiesURI": uri}));
    assert_eq!(made["capabilitiesURI"], uri);
    let inner = create(client, "/c/in/o", json!({"value": "x"}));
    assert!(inner["metadata"].get("cdmi_hash").is_some());
    let back = json!({"capabilitiesURI": inner["capabilitiesURI"], "value": "y"});
    status(&call(client, "PUT", "/c/in/o", OBJECT, back), 204);
}

#[test]
fn exports_describe_how_a_container_is_served() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let made = create(client, "/c/", json!({}));
    assert_eq!(made["exports"]["s3"]["bucketname"], "c");
    assert_eq!(made["exports"]["rest"]["path"], "/rest/c/");
    create(client, "/c/o", json!({"value": "abc"}));
    // By each of them it is there.
    let host = fixture.server().address.to_string();
    let bucket = made["exports"]["s3"]["bucketname"].as_str().unwrap();
    let get = Wire {
        method: "GET".into(),
        target: format!("/{bucket}/o"),
        ..Wire::default()
    };
    let wire = Signer::new(ACCESS_KEY, SECRET_KEY).presign(&host, get);
    let nobody = &mut Client::anonymous(fixture.server().address);
    let by_s3 = nobody.send("GET", &wire.target, &[], &[]).unwrap();
    let path = made["exports"]["rest"]["path"].as_str().unwrap();
    let by_rest = client.send("GET", &format!("{path}o"), &[], &[]).unwrap();
    let login = [("x-auth-user", "root:root"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let path = made["exports"]["swift"]["path"].as_str().unwrap();
    let headers = [("x-auth-token", token.as_str())];
    let by_swift = nobody
        .send("GET", &format!("{path}o"), &headers, &[])
        .unwrap();
    for answer in [by_s3, by_rest, by_swift] {
        assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
    }
    let s3 = json!({"type": "s3", "bucketname": "c", "read_only": "false"});
    let exports = json!({"exports": {"1": s3}});
    status(
        &call(client, "PATCH", "/c/?exports", CONTAINER, exports.clone()),
        204,
    );
    let shown = read(client, "/c/?exports", CONTAINER);
    let named = shown["exports"].as_object().unwrap();
    assert_eq!(named.keys().collect::<Vec<_>>(), ["1"]);
    assert_eq!(named["1"]["public"], "false");
    for wrong in [
        json!({"1": {"type": "nfs", "protocol": "NFSv4", "path": "/x"}}),
        json!({"1": {"type": "s3", "bucketname": "other"}}),
        json!({"1": {"type": "s3", "bucketname": "c", "read_only": "true"}}),
        json!({"OCCI/iSCSI": {"identifier": "x", "permissions": "y"}}),
    ] {
        let exports = json!({"exports": wrong});
        status(
            &call(client, "PATCH", "/c/", CONTAINER, exports.clone()),
            400,
        );
        status(&call(client, "PUT", "/new/", CONTAINER, exports), 400);
    }
    let inner = create(
        client,
        "/c/in/",
        json!({"exports": {"r": {"type": "rest"}}}),
    );
    assert_eq!(
        inner["exports"],
        json!({"r": {"type": "rest", "path": "/rest/c/in/"}})
    );
    status(&call(client, "PATCH", "/c/in/", CONTAINER, exports), 400);
    let none = json!({"exports": {}});
    status(&call(client, "PATCH", "/c/", CONTAINER, none), 204);
    assert_eq!(read(client, "/c/?exports", CONTAINER)["exports"], json!({}));
}

#[test]
fn queues_of_an_unknown_type_are_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let odd = json!({"metadata": {"cdmi_queue_type": "cdmi_other_queue"}});
    status(&call(client, "PUT", "/c/q", QUEUE, odd.clone()), 400);
    status(&call(client, "PUT", "/c/q", QUEUE, json!({})), 201);
    status(&call(client, "PATCH", "/c/q", QUEUE, odd), 400);
    let number = json!({"metadata": {"cdmi_queue_type": 1}});
    status(&call(client, "PATCH", "/c/q", QUEUE, number), 400);
}

#[test]
fn a_key_and_the_folder_of_its_name_are_both_reachable() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    for (key, body) in [("x", "object"), ("x/y", "below")] {
        let put = client.send("PUT", &format!("/rest/c/{key}"), &[], body.as_bytes());
        status(&put.unwrap(), 201);
    }
    let shown = read(client, "/c/", CONTAINER);
    assert_eq!(shown["children"], json!(["x", "x/"]));
    let object = read(client, "/c/x?objectID&objectName", OBJECT);
    let folder = read(client, "/c/x/", CONTAINER);
    assert_eq!(object["objectName"], "x");
    assert_eq!(
        (&folder["objectName"], &folder["children"]),
        (&json!("x/"), &json!(["y"]))
    );
    let id = |of: &Value| of["objectID"].as_str().unwrap().to_owned();
    let by_id = read(client, &format!("/cdmi_objectid/{}", id(&object)), OBJECT);
    assert_eq!(by_id["objectName"], "x");
    let by_id = read(
        client,
        &format!("/cdmi_objectid/{}/", id(&folder)),
        CONTAINER,
    );
    assert_eq!(by_id["objectName"], "x/");
    // This dialect itself makes only one of them.
    create(client, "/c/z", json!({}));
    status(&call(client, "PUT", "/c/z/", CONTAINER, json!({})), 409);
}

#[test]
fn values_come_in_pieces_of_an_upload() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let piece = |client: &mut Client, at: &str, conditions: &str, first: usize, bytes: &str| {
        let range = format!("bytes {first}-{}/*", (first + bytes.len()).max(1) - 1);
        let mut headers = vec![
            ("x-cdmi-partial", conditions),
            ("content-type", "text/plain;charset=utf-8"),
        ];
        if !bytes.is_empty() {
            headers.push(("content-range", range.as_str()));
        }
        let target = format!("/cdmi/c/{at}");
        client
            .send("PUT", &target, &headers, bytes.as_bytes())
            .unwrap()
            .status
    };
    // The examples of the extension: by a last request, by count, by range.
    let (one, two) = ("This is the Value of this Data Object", " in two parts");
    for (at, conditions, last) in [
        ("a", "upload-id=8723648734", Some(201)),
        ("b", "upload-id=8723648734; count=2", None),
        ("c", "upload-id=8723648734; range=0-49", None),
    ] {
        assert_eq!(piece(client, at, conditions, 37, two), 202, "{at}");
        let state = read(client, &format!("/c/{at}"), OBJECT);
        assert_eq!(state["completionStatus"], "Processing");
        assert!(state.get("value").is_none());
        let second = piece(client, at, conditions, 0, one);
        assert_eq!(second, if last.is_some() { 202 } else { 201 }, "{at}");
        if let Some(last) = last {
            assert_eq!(piece(client, at, conditions, 0, ""), last);
        }
        let shown = read(client, &format!("/c/{at}"), OBJECT);
        assert_eq!(shown["value"], format!("{one}{two}"));
        assert_eq!(
            (&shown["completionStatus"], &shown["mimetype"]),
            (&json!("Complete"), &json!("text/plain"))
        );
    }
    // What is there stays as it is until all of it is there.
    let id = read(client, "/c/a?objectID", OBJECT)["objectID"].clone();
    let value = |client: &mut Client| plain(client, "GET", "/c/a", b"").text();
    assert_eq!(piece(client, "a", "upload-id=x; count=2", 0, "THIS"), 202);
    assert_eq!(value(client), format!("{one}{two}"));
    assert_eq!(
        piece(client, "a", "upload-id=x; count=2", 0, "That"),
        202,
        "the same again"
    );
    assert_eq!(
        piece(client, "a", "upload-id=x; count=2", 2, "at"),
        400,
        "overlaps"
    );
    assert_eq!(
        piece(client, "a", "upload-id=x; count=3", 8, "the"),
        400,
        "another condition"
    );
    assert_eq!(
        piece(client, "a", "upload-id=y; count=1; replace=true", 1, "new"),
        204
    );
    assert_eq!(value(client), "\u{0}new");
    let shown = read(client, "/c/a?valuerange", OBJECT);
    assert_eq!(shown, json!({"valuerange": ""}));
    assert_eq!(piece(client, "a", "upload-id=x", 8, "the"), 204);
    assert_eq!(value(client), "That\u{0}\u{0}\u{0}\u{0}the");
    // A document ends where the first gap begins.
    let shown = read(client, "/c/a?valuerange&value", OBJECT);
    assert_eq!(shown, json!({"valuerange": "0-3", "value": "That"}));
    assert_eq!(read(client, "/c/a?objectID", OBJECT)["objectID"], id);
    for wrong in [
        "upload-id=",
        "upload-id=a;count=0",
        "upload-id=a;count=1;range=0-1",
        "perhaps",
    ] {
        assert_eq!(piece(client, "new", wrong, 0, "x"), 400, "{wrong}");
    }
    status(&get(client, "/c/new", OBJECT), 404);
    // Of a large value, ranges are changed where they are.
    let large = "-".repeat(3 << 20);
    assert_eq!(piece(client, "l", "upload-id=l; count=1", 0, &large), 201);
    let (half, at) = ("=".repeat(1 << 20), 2 << 20);
    assert_eq!(piece(client, "l", "upload-id=m; count=2", at, &half), 202);
    assert_eq!(piece(client, "l", "upload-id=m; count=2", 1, "+"), 204);
    let shown = client.send("GET", "/cdmi/c/l", &[], b"").unwrap();
    let expected = format!("-+{}{half}", &large[2..at]);
    assert!(shown.body == expected.as_bytes(), "{}", shown.body.len());
    let document = json!({"value": "x"}).to_string();
    let headers = [("x-cdmi-partial", "upload-id=a"), ("content-type", OBJECT)];
    let refused = client.send("PUT", "/cdmi/c/doc", &headers, document.as_bytes());
    status(&refused.unwrap(), 400);
}

/// Whether a file below a folder has these bytes.
fn is_stored(folder: &std::path::Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_stored(&path, bytes),
            false => {
                let stored = std::fs::read(&path).unwrap_or_default();
                stored.windows(bytes.len()).any(|window| window == bytes)
            }
        }
    })
}

#[test]
fn pieces_of_an_upload_are_kept_as_their_object_is() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/open/", json!({}));
    let sealed = json!({"metadata": {"cdmi_encryption": "AES_GCM_256"}});
    create(client, "/sealed/", sealed);
    let piece = |client: &mut Client, target: &str, upload: &str, bytes: &str| {
        let headers = [("x-cdmi-partial", upload), ("content-type", "text/plain")];
        let sent = client.send("PUT", target, &headers, bytes.as_bytes());
        sent.unwrap().status
    };
    let (one, two) = ("a piece for everybody", "a piece for nobody");
    assert_eq!(piece(client, "/cdmi/open/o", "upload-id=a", one), 202);
    assert_eq!(piece(client, "/cdmi/sealed/o", "upload-id=a", two), 202);
    let data = fixture.folder.path().join("data");
    assert!(is_stored(&data, one.as_bytes()));
    assert!(!is_stored(&data, two.as_bytes()));
    assert_eq!(piece(client, "/cdmi/sealed/o", "upload-id=a", ""), 201);
    assert_eq!(
        read(client, "/sealed/o", OBJECT)["value"],
        "YSBwaWVjZSBmb3Igbm9ib2R5"
    );
    assert!(!is_stored(&data, two.as_bytes()));
    // There is room for so many uploads of one object.
    for upload in 1..100 {
        let upload = format!("upload-id={upload}");
        assert_eq!(piece(client, "/cdmi/open/o", &upload, one), 202);
    }
    assert_eq!(piece(client, "/cdmi/open/o", "upload-id=last", one), 413);
    assert_eq!(piece(client, "/cdmi/open/o", "upload-id=a", ""), 201);
    assert_eq!(piece(client, "/cdmi/open/o", "upload-id=last", one), 202);
}

/// Qualities and ranges of types in Accept choose between a value as it is and its document.
#[test]
fn accept_chooses_between_a_value_and_its_document() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "x"}));
    for (accept, of_object, of_container) in [
        (
            "text/plain;q=0.9, application/cdmi-object;q=0.1",
            "text/plain",
            406,
        ),
        ("text/plain, application/cdmi-object", OBJECT, 406),
        ("application/cdmi-object;q=0.2, */*;q=0.1", OBJECT, 200),
        ("image/png, application/cdmi-object;q=0.2", OBJECT, 406),
        ("application/*", OBJECT, 200),
        ("text/*, application/*;q=0.1", "text/plain", 200),
        ("application/cdmi-object;q=0, text/plain", "text/plain", 406),
        (
            "application/cdmi-object, application/cdmi-container;q=0.3",
            OBJECT,
            200,
        ),
    ] {
        let headers = [("accept", accept)];
        let object = client.send("GET", "/cdmi/c/o", &headers, b"").unwrap();
        status(&object, 200);
        let kind = object.header("content-type");
        assert_eq!(kind.as_deref(), Some(of_object), "{accept}");
        let container = client.send("GET", "/cdmi/c/", &headers, b"").unwrap();
        assert_eq!(container.status, of_container, "{accept}");
    }
}
