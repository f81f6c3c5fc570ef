//! CDMI, operation by operation as the standard's tables and examples have them: each test is a list
//! of requests with the status and the fields that must, or must not, be in the answer.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::Client;
use trestle_tests::client::base64;

/// Asserts that a value has what is expected of it. An object may have more fields; null stands for
/// a field that must be absent.
fn assert_has(found: &Value, expected: &Value, place: &str) {
    let Some(fields) = expected.as_object() else {
        assert_eq!(found, expected, "{place}");
        return;
    };
    for (name, expected) in fields {
        let place = format!("{place} {name}");
        match (found.get(name), expected) {
            (found, Value::Null) => assert_eq!(found, None, "{place}"),
            (None, _) => panic!("{place} is absent: {found}"),
            (Some(found), expected) => assert_has(found, expected, &place),
        }
    }
}

/// Makes requests in turn: method, path, media type, body, status and what the answer has.
fn walk(client: &mut Client, steps: Value) {
    for step in steps.as_array().unwrap() {
        let text = |at: usize| step[at].as_str().unwrap();
        let (method, target, kind) = (text(0), text(1), text(2));
        let answer = match &step[3] {
            Value::Null => {
                let headers = [("accept", kind)];
                let target = format!("/cdmi{target}");
                client.send(method, &target, &headers, b"").unwrap()
            }
            body => call(client, method, target, kind, body.clone()),
        };
        let expected = u16::try_from(step[4].as_u64().unwrap()).unwrap();
        assert_eq!(
            answer.status,
            expected,
            "{method} {target}: {}",
            answer.text()
        );
        if !step[5].is_null() {
            let content_type = answer.header("content-type");
            assert_eq!(content_type.as_deref(), Some(kind), "{method} {target}");
            let found = crate::json(&answer);
            assert_has(&found, &step[5], &format!("{method} {target}"));
        }
    }
}

#[test]
fn values_of_queues_are_chosen_by_count_and_by_designator() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let empty = json!({
        "queueValues": "", "mimetype": null, "valuerange": null, "valuetransferencoding": null,
        "value": null,
    });
    let steps = json!([
        ["PUT", "/c/", CONTAINER, {}, 201, null],
        ["PUT", "/c/q", QUEUE, {"metadata": {"a": "1"}}, 201, empty],
        ["GET", "/c/q", QUEUE, null, 200, empty],
        ["POST", "/c/q", QUEUE, {"value": ["0", "1", "2", "3", "4"]}, 204, null],
        ["PUT", "/c/range", QUEUE, {"copy": "/c/q?value=1-2"}, 201, {
            "queueValues": "0-1", "metadata": {"a": null}
        }],
        ["GET", "/c/range?values=9", QUEUE, null, 200, {"value": ["1", "2"]}],
        ["PUT", "/c/colon", QUEUE, {"copy": "/c/q?value:0-9"}, 201, {"queueValues": "0-4"}],
        ["PUT", "/c/count", QUEUE, {"copy": "/c/q?values=2"}, 201, {"queueValues": "0-1"}],
        ["PUT", "/c/said", QUEUE, {"copy": "/c/q?metadata"}, 201, {
            "queueValues": "", "metadata": {"a": "1"}
        }],
        ["PUT", "/c/whole", QUEUE, {"copy": "/c/q"}, 201, {
            "queueValues": "0-4", "metadata": {"a": "1"}
        }],
        ["PUT", "/c/wrong?metadata", QUEUE, {"copy": "/c/q?metadata"}, 400, null],
        ["PUT", "/c/text", OBJECT, {"copy": "/c/q?value=1-3"}, 201, null],
        ["GET", "/c/text?value", OBJECT, null, 200, {"value": "123"}],
        ["GET", "/c/q?values=0-1", QUEUE, null, 200, {"value": ["0", "1"]}],
        ["GET", "/c/q?value=0-", QUEUE, null, 200, {"value": ["MA=="]}],
        // What is moved away starts with the oldest.
        ["PATCH", "/c/said", QUEUE, {"move": "/c/q?value:1-2"}, 400, null],
        ["PATCH", "/c/said", QUEUE, {"move": "/c/q?value:0-1"}, 204, null],
        ["GET", "/c/said?queueValues&values=9", QUEUE, null, 200, {
            "queueValues": "0-1", "value": ["0", "1"]
        }],
        ["GET", "/c/q?queueValues", QUEUE, null, 200, {"queueValues": "2-4"}],
        // A copy as an update leaves the values as they are.
        ["PATCH", "/c/range", QUEUE, {"copy": "/c/q"}, 204, null],
        ["GET", "/c/range?values=9&metadata=a", QUEUE, null, 200, {
            "value": ["1", "2"], "metadata": {"a": "1"}
        }],
        ["PATCH", "/c/range", QUEUE, {"copy": "/c/text"}, 400, null],
        ["DELETE", "/c/q?values=2-9", QUEUE, null, 204, null],
        ["GET", "/c/q", QUEUE, null, 200, empty],
        ["POST", "/c/q", QUEUE, {"value": ["5"]}, 204, null],
        ["GET", "/c/q?queueValues", QUEUE, null, 200, {"queueValues": "5-5"}],
        // A reference is made as what it leads to.
        ["PUT", "/c/ref", QUEUE, {"reference": "/c/q"}, 201, {
            "objectType": QUEUE, "capabilitiesURI": "/cdmi_capabilities/queue/", "queueValues": ""
        }],
        ["POST", "/c/ref", QUEUE, {"value": ["6"]}, 302, null],
    ]);
    walk(client, steps);
}

#[test]
fn containers_that_come_with_children_are_answered_without_them() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let without = json!({
        "objectType": CONTAINER, "metadata": {"m": "1"}, "childrenrange": null, "children": null,
    });
    let steps = json!([
        ["PUT", "/c/", CONTAINER, {}, 201, {"childrenrange": "", "children": []}],
        ["PUT", "/c/a/", CONTAINER, {"metadata": {"m": "1"}}, 201, {"children": []}],
        ["PUT", "/c/a/o", OBJECT, {"value": "x"}, 201, null],
        ["PUT", "/c/copy/", CONTAINER, {"copy": "/c/a/"}, 201, without],
        ["PUT", "/c/moved/", CONTAINER, {"move": "/c/copy/"}, 201, without],
        ["GET", "/c/moved/?children", CONTAINER, null, 200, {"children": ["o"]}],
        ["PUT", "/c/form", OBJECT, {"serialize": "/c/moved/"}, 201, null],
        ["PUT", "/c/back/", CONTAINER, {"deserialize": "/c/form"}, 201, without],
        ["PUT", "/top/", CONTAINER, {"copy": "/c/a/"}, 201, without],
        ["PUT", "/renamed/", CONTAINER, {"move": "/top/"}, 201, without],
        ["PUT", "/c/ref/", CONTAINER, {"reference": "/c/a/"}, 201, {
            "objectType": CONTAINER, "objectName": "ref/",
            "capabilitiesURI": "/cdmi_capabilities/container/",
        }],
        ["GET", "/c/ref/", CONTAINER, null, 302, null],
        ["GET", "/c/?children=1-", CONTAINER, null, 200, {
            "children": ["back/", "form", "moved/", "ref?"]
        }],
    ]);
    walk(client, steps);
}

#[test]
fn what_the_server_makes_is_not_made_or_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    for name in [
        "cdmi_objectid",
        "cdmi_domains",
        "cdmi_capabilities",
        "cdmi_snapshots",
        "cdmi_versions",
        "cdmi_anything",
    ] {
        for parent in ["/", "/c/"] {
            let path = format!("{parent}{name}/");
            status(&call(client, "PUT", &path, CONTAINER, json!({})), 400);
            let deleted = client.send("DELETE", &format!("/cdmi{path}"), &[], b"");
            status(&deleted.unwrap(), 400);
        }
    }
    for (path, allowed) in [
        ("/c/", "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS"),
        ("/none", "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS"),
        ("/cdmi_objectid/", "POST, OPTIONS"),
        ("/cdmi_capabilities/", "GET, HEAD, OPTIONS"),
    ] {
        let answer = plain(client, "OPTIONS", path, b"");
        status(&answer, 204);
        assert_eq!(answer.header("allow").as_deref(), Some(allowed), "{path}");
    }
    let kind = "application/cdmi-capability";
    for method in ["PUT", "PATCH", "POST", "DELETE"] {
        let path = "/cdmi_capabilities/container/";
        status(&call(client, method, path, kind, json!({})), 400);
    }
}

#[test]
fn parts_of_objects_are_copied_and_read() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let steps = json!([
        ["PUT", "/c/", CONTAINER, {}, 201, null],
        ["PUT", "/c/o", OBJECT, {"value": "0123456789", "metadata": {"ab": "1", "c": "2"}}, 201, null],
        ["GET", "/c/o?valuerange&value=4-", OBJECT, null, 200, {
            "valuerange": "4-9", "value": "NDU2Nzg5"
        }],
        ["GET", "/c/o?value=10-12", OBJECT, null, 400, null],
        ["GET", "/c/o?value=-2", OBJECT, null, 400, null],
        ["PUT", "/c/part", OBJECT, {"copy": "/c/o?value=2-4"}, 201, {
            "metadata": {"cdmi_size": "3", "c": null}
        }],
        ["GET", "/c/part?value&valuetransferencoding", OBJECT, null, 200, {
            "value": "MjM0", "valuetransferencoding": "base64"
        }],
        ["PUT", "/c/item", OBJECT, {"copy": "/c/o?metadata=a"}, 201, {
            "metadata": {"ab": "1", "c": null, "cdmi_size": "0"}
        }],
        ["PUT", "/c/t", OBJECT, {"value": "abcdefghij", "metadata": {"c": "3", "d": "4"}}, 201, null],
        ["PATCH", "/c/t?metadata=c", OBJECT, {"copy": "/c/o"}, 204, null],
        ["GET", "/c/t?value&metadata", OBJECT, null, 200, {
            "value": "abcdefghij", "metadata": {"ab": null, "c": "2", "d": "4"}
        }],
        ["PATCH", "/c/t?value=2-4", OBJECT, {"copy": "/c/o"}, 204, null],
        ["GET", "/c/t?value", OBJECT, null, 200, {"value": "YWIyMzRmZ2hpag=="}],
        // A JSON value is an object, not a text that holds one.
        ["PUT", "/c/j", OBJECT, {"value": "{}", "valuetransferencoding": "json"}, 400, null],
        ["PUT", "/c/j", OBJECT, {"value": {}, "valuetransferencoding": "json"}, 201, null],
    ]);
    walk(client, steps);
}

/// Restoring a version keeps its object one that has versions.
#[test]
fn a_version_that_is_copied_back_leaves_the_others() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let document = json!({"value": "1", "metadata": {"cdmi_versioning": "user", "a": "1"}});
    create(client, "/c/o", document);
    let second = json!({"value": "2", "metadata": {"cdmi_versioning": "user", "a": "2"}});
    status(&call(client, "PATCH", "/c/o", OBJECT, second), 204);
    let links = read(client, "/c/o?metadata", OBJECT)["metadata"].clone();
    let oldest = links["cdmi_version_oldest"][0].as_str().unwrap();
    let restore = json!({"copy": oldest});
    status(&call(client, "PATCH", "/c/o", OBJECT, restore), 204);
    let now = read(client, "/c/o", OBJECT);
    assert_eq!(
        (
            &now["value"],
            &now["metadata"]["a"],
            &now["metadata"]["cdmi_versioning"]
        ),
        (&json!("1"), &json!("1"), &json!("user"))
    );
    assert_eq!(now["metadata"]["cdmi_version_oldest"][0], oldest);
    let current = now["metadata"]["cdmi_version_current"].as_str().unwrap();
    let current = read(client, current, OBJECT);
    let parent = current["metadata"]["cdmi_version_parent"].as_str().unwrap();
    assert_eq!(read(client, parent, OBJECT)["value"], "2");
    // A copy of something else ends that it asks for versions, and leaves those that there are.
    create(client, "/c/other", json!({"value": "other"}));
    let copy = json!({"copy": "/c/other"});
    status(&call(client, "PATCH", "/c/o", OBJECT, copy), 204);
    let now = read(client, "/c/o", OBJECT);
    assert_eq!(now["value"], "other");
    assert_eq!(now["metadata"]["cdmi_version_oldest"][0], oldest);
    assert_eq!(read(client, oldest, OBJECT)["value"], "1");
}

/// What protects an object protects its versions, however few its containers leave room for.
#[test]
fn a_protected_object_loses_no_version() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let versions = json!({"metadata": {"cdmi_versioning": "all"}});
    create(client, "/c/", versions);
    create(client, "/c/o", json!({"value": "1"}));
    let second = json!({"value": "2"});
    status(&call(client, "PATCH", "/c/o", OBJECT, second), 204);
    let period = |year: u16| {
        json!(format!(
            "2020-01-01T00:00:00.000000Z/{year}-01-01T00:00:00.000000Z"
        ))
    };
    let item = "/c/o?metadata=cdmi_retention_period";
    let retain = json!({"metadata": {"cdmi_retention_period": period(2100)}});
    status(&call(client, "PATCH", item, OBJECT, retain), 204);
    let oldest = read(client, "/c/o", OBJECT)["metadata"]["cdmi_version_oldest"][0].clone();
    let oldest = oldest.as_str().unwrap();
    let fewer = json!({"metadata": {"cdmi_versioning": "all", "cdmi_versions_count": "0"}});
    status(&call(client, "PATCH", "/c/", CONTAINER, fewer), 204);
    let longer = json!({"metadata": {"cdmi_retention_period": period(2101)}});
    status(&call(client, "PATCH", item, OBJECT, longer), 204);
    assert_eq!(read(client, oldest, OBJECT)["value"], "1");
    let deleted = client.send("DELETE", &format!("/cdmi{oldest}"), &[], b"");
    status(&deleted.unwrap(), 403);
}

/// A queue that comes back is not told other things than before, and keeps its values.
#[test]
fn a_queue_that_is_restored_keeps_what_it_is_told() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let told = json!({
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": ["cdmi_delete"],
        "cdmi_scope_specification": [{"parentURI": "== /c/"}],
        "cdmi_results_specification": {"objectName": ""},
    });
    create(client, "/c/", json!({}));
    create(client, "/k/", json!({}));
    let made = call(client, "PUT", "/k/q", QUEUE, json!({"metadata": told}));
    status(&made, 201);
    create(client, "/k/form", json!({"serialize": "/k/q"}));
    let form = read(client, "/k/form?value", OBJECT)["value"].clone();
    let mut form: Value = serde_json::from_str(form.as_str().unwrap()).unwrap();
    form["metadata"]["cdmi_scope_specification"] = json!([]);
    let changed = base64(form.to_string().as_bytes());
    let restore = json!({"deserializevalue": changed});
    status(&call(client, "PATCH", "/k/q", QUEUE, restore), 403);
    create(client, "/c/o", json!({"value": "x"}));
    let deleted = client.send("DELETE", "/cdmi/c/o", &[], b"").unwrap();
    status(&deleted, 204);
    let restore = json!({"deserialize": "/k/form"});
    status(&call(client, "PATCH", "/k/q", QUEUE, restore), 204);
    let values = read(client, "/k/q?values=9", QUEUE);
    assert_eq!(values["value"], json!([{"objectName": "o"}]));
    // Without its type it is told nothing more.
    let plain = form["metadata"].as_object_mut().unwrap();
    plain.remove("cdmi_queue_type");
    let restore = json!({"deserializevalue": base64(form.to_string().as_bytes())});
    status(&call(client, "PATCH", "/k/q", QUEUE, restore), 204);
    create(client, "/c/o", json!({"value": "x"}));
    let deleted = client.send("DELETE", "/cdmi/c/o", &[], b"").unwrap();
    status(&deleted, 204);
    let values = read(client, "/k/q?queueValues", QUEUE);
    assert_eq!(values["queueValues"], "0-0");
}

/// What is removed or moved away while others are restored goes with its versions.
#[test]
fn what_goes_on_the_way_takes_its_versions_along() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/in/", json!({}));
    create(client, "/c/in/first", json!({"value": "x"}));
    create(client, "/form", json!({"serialize": "/c/in/"}));
    let document = json!({"value": "1", "metadata": {"cdmi_versioning": "value"}});
    let made = create(client, "/c/in/more", document.clone());
    let version = made["metadata"]["cdmi_version_current"].as_str().unwrap();
    status(&get(client, version, OBJECT), 200);
    let restore = json!({"deserialize": "/form"});
    status(&call(client, "PATCH", "/c/in/", CONTAINER, restore), 204);
    status(&get(client, "/c/in/more", OBJECT), 404);
    status(&get(client, version, OBJECT), 404);
    let id = made["objectID"].as_str().unwrap();
    // With versions left behind, the id would not come back.
    let made = create(client, "/c/again", document);
    let form = json!({
        "objectType": OBJECT, "objectID": id, "objectName": "more", "value": "1",
        "metadata": {"cdmi_versioning": "value"},
    });
    let back = json!({"deserializevalue": base64(form.to_string().as_bytes())});
    assert_eq!(create(client, "/c/in/back", back)["objectID"], id);
    let version = made["metadata"]["cdmi_version_current"].as_str().unwrap();
    status(&call(client, "PUT", "/c/q", QUEUE, json!({})), 201);
    let take = json!({"move": "/c/again"});
    status(&call(client, "POST", "/c/q", QUEUE, take), 204);
    status(&get(client, version, OBJECT), 404);
}

/// The memory that a document takes has a limit, too: its values are counted before they are made.
#[test]
fn documents_of_very_many_values_are_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let many = format!("[{}0]", "0,".repeat(600_000));
    for body in [
        format!("{{\"value\":{many}}}"),
        format!("{{\"metadata\":{{\"a\":{many}}}}}"),
        format!("{{\"value\":{{\"a\":{many}}},\"valuetransferencoding\":\"json\"}}"),
    ] {
        let headers = [("content-type", OBJECT)];
        let refused = client.send("PUT", "/cdmi/c/o", &headers, body.as_bytes());
        status(&refused.unwrap(), 413);
    }
    create(client, "/c/form", json!({"value": many}));
    let restore = json!({"deserialize": "/c/form"});
    status(&call(client, "PUT", "/c/o", OBJECT, restore), 413);
    status(&get(client, "/c/o", OBJECT), 404);
}

#[test]
fn what_is_kept_of_versions_is_shown_and_a_version_is_not_serialised_alone() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(
        client,
        "/c/",
        json!({"metadata": {"cdmi_versioning": "user"}}),
    );
    let document = json!({"value": "1", "metadata": {"cdmi_versions_count": "3"}});
    let made = create(client, "/c/o", document);
    assert_has(
        &made["metadata"],
        &json!({
            "cdmi_versioning_provided": "user", "cdmi_versions_count_provided": "3",
            "cdmi_versions_age_provided": null,
        }),
        "metadata",
    );
    let version = made["metadata"]["cdmi_version_current"].as_str().unwrap();
    let shown = read(client, version, OBJECT);
    assert_eq!(shown["metadata"].get("cdmi_versioning_provided"), None);
    let form = json!({"serialize": version});
    status(&call(client, "PUT", "/c/form", OBJECT, form), 400);
}

#[test]
fn values_travel_in_parts() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let parts = |document: &str, parts: &[(&str, &str)]| {
        let mut body = format!("--x\r\nContent-Type: {OBJECT}\r\n\r\n{document}\r\n");
        for (head, bytes) in parts {
            body.push_str(&format!("--x\r\n{head}\r\n\r\n{bytes}\r\n"));
        }
        body + "--x--"
    };
    let kind = [("content-type", "multipart/mixed; boundary=x")];
    let body = parts(
        "{\"metadata\":{\"a\":\"b\"}}",
        &[
            ("Content-Type: text/y", "ABC"),
            ("Content-Type: text/z", "DEF"),
        ],
    );
    status(
        &client
            .send("PUT", "/cdmi/c/o", &kind, body.as_bytes())
            .unwrap(),
        201,
    );
    let object = read(client, "/c/o", OBJECT);
    assert_eq!(
        (&object["mimetype"], &object["value"]),
        (&json!("text/y"), &json!("QUJDREVG"))
    );
    let quoted = "Content-Type: text/y;charset=utf-8\r\nContent-Transfer-Encoding: ";
    for (encoding, value, expected) in [
        ("quoted-printable", "caf=C3=A9=\r\n!", 201),
        ("quoted-printable", "caf=C3=A", 400),
        ("x-unknown", "a", 400),
    ] {
        let head = format!("{quoted}{encoding}");
        let body = parts("{}", &[(&head, value)]);
        let made = client.send("PUT", "/cdmi/c/quoted", &kind, body.as_bytes());
        status(&made.unwrap(), expected);
        if expected == 201 {
            assert_eq!(read(client, "/c/quoted", OBJECT)["value"], "caf\u{e9}!");
            status(&plain(client, "DELETE", "/c/quoted", b""), 204);
        }
    }
    let ranged = "Content-Type: text/y\r\nContent-Range: bytes";
    let body = parts(
        "{\"metadata\":{\"c\":\"d\"}}",
        &[
            (&format!("{ranged} 0-0/6"), "x"),
            (&format!("{ranged} 4-5/6"), "yz"),
        ],
    );
    status(
        &client
            .send("PATCH", "/cdmi/c/o?metadata=c", &kind, body.as_bytes())
            .unwrap(),
        204,
    );
    assert_eq!(plain(client, "GET", "/c/o", b"").text(), "xBCDyz");
    let metadata = &read(client, "/c/o", OBJECT)["metadata"];
    assert_eq!((&metadata["a"], &metadata["c"]), (&json!("b"), &json!("d")));
    let answer = get(
        client,
        "/c/o?metadata=a&value=0-1&value=4-5",
        "multipart/mixed",
    );
    let text = answer.text();
    for piece in [
        "{\"metadata\":{\"a\":\"b\"}}",
        "bytes 0-1/6",
        "xB",
        "bytes 4-5/6",
        "yz",
    ] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    let alone = format!("--x\r\nContent-Type: {OBJECT}\r\n\r\n{{}}\r\n--x--");
    status(
        &client
            .send("PUT", "/cdmi/c/p", &kind, alone.as_bytes())
            .unwrap(),
        400,
    );
}

/// Sealed values are kept as they are: nobody's key is known here.
#[test]
fn values_are_neither_encrypted_nor_decrypted_in_place() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(
        client,
        "/c/open",
        json!({"value": "x", "mimetype": "text/plain"}),
    );
    let own = json!({"cdmi_enc_key_id": "k"});
    for kind in ["application/cms", "application/jose+json"] {
        let sealed = json!({"value": "{}", "mimetype": kind, "metadata": own});
        let made = create(client, "/c/sealed", sealed);
        assert_eq!(made["metadata"]["cdmi_enc_key_id"], "k");
        let read = plain(client, "GET", "/c/sealed", b"");
        assert_eq!(read.header("content-type").as_deref(), Some(kind));
        assert_eq!(read.body, b"{}");
        let change = json!({"mimetype": kind, "metadata": own});
        status(&call(client, "PATCH", "/c/open", OBJECT, change), 400);
        let change = json!({"mimetype": "text/plain"});
        status(&call(client, "PATCH", "/c/sealed", OBJECT, change), 400);
        // With a value it is another value.
        let change = json!({"mimetype": "text/plain", "value": "y"});
        status(&call(client, "PATCH", "/c/sealed", OBJECT, change), 204);
        status(&plain(client, "DELETE", "/c/sealed", b""), 204);
    }
    assert_eq!(read(client, "/c/open", OBJECT)["mimetype"], "text/plain");
}

/// 18.2: nothing of it changes any more, and it may be deleted or retained for longer.
#[test]
fn what_was_retained_is_deleted_and_not_changed() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let period = |end: &str| {
        let period = format!("2010-04-28T00:00:00.000000Z/{end}T00:00:00.000000Z");
        json!({"metadata": {"cdmi_retention_period": period}})
    };
    let target = "/c/o?metadata=cdmi_retention_period";
    walk(
        client,
        json!([
            ["PUT", "/c/", CONTAINER, {}, 201, null],
            ["PUT", "/c/o", OBJECT, {"value": "v", "metadata": {"a": "b"}}, 201, null],
            ["PATCH", target, OBJECT, {"metadata": {"cdmi_retention_period": ""}}, 400, null],
            ["PATCH", target, OBJECT, period("2012-04-27"), 204, null],
            ["PATCH", target, OBJECT, period("2013-04-27"), 204, null],
            ["PATCH", target, OBJECT, period("2012-01-27"), 403, null],
            ["PATCH", target, OBJECT, {"metadata": {}}, 403, null],
            ["PATCH", "/c/o", OBJECT, {"value": "w"}, 403, null],
            ["PATCH", "/c/o?value=0-0", OBJECT, {"value": "dw=="}, 403, null],
            ["PATCH", "/c/o?metadata=a", OBJECT, {"metadata": {"a": "c"}}, 403, null],
            ["PATCH", "/c/o", OBJECT, {"mimetype": "a/b"}, 403, null],
            ["GET", "/c/o", OBJECT, null, 200, {"value": "v", "metadata": {
                "a": "b",
                "cdmi_retention_period_provided":
                    "2010-04-28T00:00:00.000000Z/2013-04-27T00:00:00.000000Z",
            }}],
        ]),
    );
    status(&plain(client, "PUT", "/c/o", b"w"), 403);
    status(&plain(client, "DELETE", "/c/o", b""), 204);
}

/// 9.3.5: the fields that are named are used, and no others.
#[test]
fn a_container_is_copied_with_its_children_alone() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    walk(
        client,
        json!([
            ["PUT", "/c/", CONTAINER, {"metadata": {"a": "b"}}, 201, null],
            ["PUT", "/c/o", OBJECT, {"value": "v"}, 201, null],
            ["PUT", "/of/", CONTAINER, {"copy": "/c/?children"}, 201, {"metadata": {"a": null}}],
            ["GET", "/of/", CONTAINER, null, 200, {"children": ["o"], "metadata": {"a": null}}],
            ["PUT", "/at/?children", CONTAINER, {"copy": "/c/"}, 201, null],
            ["GET", "/at/", CONTAINER, null, 200, {"children": ["o"], "metadata": {"a": null}}],
            ["PUT", "/metadata/", CONTAINER, {"copy": "/c/?metadata"}, 201, null],
            ["GET", "/metadata/", CONTAINER, null, 200, {"children": [], "metadata": {"a": "b"}}],
        ]),
    );
}

/// 8.3.5: the second part is the serialised object, and the third its value.
#[test]
fn a_serialised_object_and_its_value_come_in_parts() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let bytes = b"\x00\xff";
    let new = json!({"value": base64(bytes), "valuetransferencoding": "base64"});
    create(client, "/c/o", new);
    create(client, "/c/s", json!({"serialize": "/c/o"}));
    let serialized = plain(client, "GET", "/c/s", b"");
    let mut serialized: Value = serde_json::from_slice(&serialized.body).unwrap();
    let id = serialized["objectID"].clone();
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    let mut bring = |name: &str, serialized: &Value, values: &[&[u8]]| {
        let mut body = Vec::new();
        let document = json!({"deserializevalue": "limit"}).to_string();
        let serialized = serialized.to_string();
        let first = [
            (OBJECT, document.as_bytes()),
            ("application/json", serialized.as_bytes()),
        ];
        let values = values
            .iter()
            .map(|value| ("application/octet-stream", *value));
        for (kind, part) in first.into_iter().chain(values) {
            body.extend(format!("--limit\r\nContent-Type: {kind}\r\n\r\n").bytes());
            body.extend(part);
            body.extend(b"\r\n");
        }
        body.extend(b"--limit--\r\n");
        let headers = [("content-type", "multipart/mixed; boundary=limit")];
        let target = format!("/cdmi/c/{name}");
        client.send("PUT", &target, &headers, &body).unwrap()
    };
    status(&bring("twice", &serialized, &[bytes]), 400);
    serialized.as_object_mut().unwrap().remove("value");
    status(&bring("many", &serialized, &[bytes, bytes]), 400);
    status(&bring("o", &serialized, &[bytes]), 201);
    assert_eq!(plain(client, "GET", "/c/o", b"").body, bytes);
    assert_eq!(read(client, "/c/o?objectID", OBJECT)["objectID"], id);
}

/// 15.4: what is deserialised into another domain without the privilege is a bad request.
#[test]
fn a_domain_that_may_not_be_given_to_what_is_deserialised_is_a_bad_request() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    for account in ["acme", "other"] {
        let target = format!("/-/accounts/{account}/users/ann");
        let text = br#"{"password":"a long enough password","admin":true}"#;
        status(&root.send("PUT", &target, &[], text).unwrap(), 201);
    }
    let address = fixture.server().address;
    let ann = &mut Client::new(address, "acme/ann", "a long enough password");
    create(ann, "/mine/", json!({}));
    create(ann, "/mine/o", json!({"value": "v"}));
    create(ann, "/mine/s", json!({"serialize": "/mine/o"}));
    let other = "/cdmi_domains/other/";
    for (body, expected) in [
        (json!({"deserialize": "/mine/s", "domainURI": other}), 400),
        (json!({"value": "v", "domainURI": other}), 403),
    ] {
        status(&call(ann, "PUT", "/mine/n", OBJECT, body), expected);
    }
    status(&get(ann, "/mine/n", OBJECT), 404);
}
