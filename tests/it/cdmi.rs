//! CDMI over the real binary: data objects, containers, ids, capabilities and plain HTTP on the
//! same URLs. `docs/conformance/cdmi.md` names the rows of the standard that these tests show.

use crate::Fixture;
use serde_json::{Value, json};
use trestle_tests::{Client, Response};

pub(crate) const OBJECT: &str = "application/cdmi-object";
pub(crate) const CONTAINER: &str = "application/cdmi-container";
pub(crate) const QUEUE: &str = "application/cdmi-queue";

/// A request with a document; the answer may be one of the same type.
pub(crate) fn call(
    client: &mut Client,
    method: &str,
    target: &str,
    kind: &str,
    body: Value,
) -> Response {
    let headers = [("content-type", kind), ("accept", kind)];
    let body = body.to_string();
    let target = format!("/cdmi{target}");
    client
        .send(method, &target, &headers, body.as_bytes())
        .unwrap()
}

pub(crate) fn get(client: &mut Client, target: &str, kind: &str) -> Response {
    let target = format!("/cdmi{target}");
    client
        .send("GET", &target, &[("accept", kind)], &[])
        .unwrap()
}

pub(crate) fn plain(client: &mut Client, method: &str, target: &str, body: &[u8]) -> Response {
    let target = format!("/cdmi{target}");
    client.send(method, &target, &[], body).unwrap()
}

pub(crate) fn read(client: &mut Client, target: &str, kind: &str) -> Value {
    let response = get(client, target, kind);
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    assert_eq!(response.header("content-type").as_deref(), Some(kind));
    crate::json(&response)
}

pub(crate) fn create(client: &mut Client, target: &str, body: Value) -> Value {
    let path = target.split('?').next().unwrap();
    let kind = if path.ends_with('/') {
        CONTAINER
    } else {
        OBJECT
    };
    let response = call(client, "PUT", target, kind, body);
    assert_eq!(response.status, 201, "{target}: {}", response.text());
    crate::json(&response)
}

pub(crate) fn status(response: &Response, expected: u16) {
    assert_eq!(response.status, expected, "{}", response.text());
}

#[test]
fn a_data_object_is_created_read_and_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let container = create(client, "/c/", json!({}));
    let document = json!({
        "mimetype": "Text/Plain", "metadata": {"colour": "blue", "deep": {"a": ["b"]}},
        "value": "This is the Value of this Data Object", "vendor": {"x": 1},
    });
    let created = create(client, "/c/MyDataObject.txt", document);
    for field in [
        "objectType",
        "objectID",
        "objectName",
        "parentURI",
        "parentID",
        "domainURI",
        "capabilitiesURI",
        "completionStatus",
        "mimetype",
        "metadata",
    ] {
        assert!(created.get(field).is_some(), "{field}");
    }
    assert_eq!(created["parentURI"], "/c/");
    assert_eq!(created["parentID"], container["objectID"]);
    assert_eq!(created["metadata"]["cdmi_size"], "37");
    let read_back = read(client, "/c/MyDataObject.txt", OBJECT);
    assert_eq!(read_back["objectID"], created["objectID"]);
    assert_eq!(read_back["mimetype"], "text/plain");
    assert_eq!(read_back["valuerange"], "0-36");
    assert_eq!(read_back["valuetransferencoding"], "utf-8");
    assert_eq!(read_back["value"], "This is the Value of this Data Object");
    assert_eq!(read_back["metadata"]["deep"], json!({"a": ["b"]}));
    assert_eq!(read_back["vendor"], json!({"x": 1}));
    let text = get(client, "/c/MyDataObject.txt", OBJECT).text();
    assert!(
        text.rfind("\"valuerange\"") < text.rfind("\"value\":"),
        "{text}"
    );
    assert!(
        text.ends_with("Data Object\"}"),
        "the value is last: {text}"
    );
    status(&plain(client, "DELETE", "/c/MyDataObject.txt", b""), 204);
    status(&get(client, "/c/MyDataObject.txt", OBJECT), 404);
    let id = created["objectID"].as_str().unwrap();
    status(&get(client, &format!("/cdmi_objectid/{id}"), OBJECT), 404);
}

#[test]
fn fields_ranges_and_prefixes_are_selected() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(
        client,
        "/c/o",
        json!({"value": "0123456789", "metadata": {"ab": "1", "ac": "2", "b": "3"}}),
    );
    assert_eq!(
        read(client, "/c/o?value&mimetype&missing", OBJECT),
        json!({"value": "0123456789", "mimetype": "text/plain"})
    );
    assert_eq!(
        read(client, "/c/o?valuerange&value=8-20", OBJECT),
        json!({"valuerange": "8-9", "value": "ODk="})
    );
    assert_eq!(
        read(client, "/c/o?metadata=a", OBJECT),
        json!({"metadata": {"ab": "1", "ac": "2"}})
    );
    status(&get(client, "/c/o?value=4-2", OBJECT), 400);
    let first = [
        ("x-cdmi-specification-version", "1.0.2, 1.1.1"),
        ("accept", OBJECT),
    ];
    let answer = client
        .send("GET", "/cdmi/c/o?metadata:b;value:0-1", &first, &[])
        .unwrap();
    assert_eq!(
        crate::json(&answer),
        json!({"metadata": {"b": "3"}, "value": "MDE="})
    );
    assert_eq!(
        answer.header("x-cdmi-specification-version").as_deref(),
        Some("1.1.1")
    );
    let unknown = [("x-cdmi-specification-version", "3.0"), ("accept", OBJECT)];
    status(
        &client.send("GET", "/cdmi/c/o", &unknown, &[]).unwrap(),
        400,
    );
}

#[test]
fn updates_change_what_they_name_and_keep_the_id() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let id = create(
        client,
        "/c/o",
        json!({"value": "0123456789", "metadata": {"a": "1", "b": "2"}}),
    )["objectID"]
        .clone();
    let patch = |client: &mut Client, query: &str, body: Value| {
        status(
            &call(client, "PATCH", &format!("/c/o{query}"), OBJECT, body),
            204,
        );
        read(client, "/c/o", OBJECT)
    };
    let after = patch(
        client,
        "?metadata=a&metadata=c",
        json!({"metadata": {"c": "3", "z": "9"}}),
    );
    assert_eq!(after["metadata"]["b"], "2");
    assert_eq!(after["metadata"]["c"], "3");
    assert!(after["metadata"].get("a").is_none() && after["metadata"].get("z").is_none());
    let after = patch(client, "?metadata", json!({"metadata": {"only": "x"}}));
    assert!(after["metadata"].get("b").is_none());
    let after = patch(client, "", json!({"mimetype": "TEXT/html"}));
    assert_eq!(
        (&after["mimetype"], &after["value"]),
        (&json!("text/html"), &json!("0123456789"))
    );
    let after = patch(client, "?value=8-11", json!({"value": "QUJDRA=="}));
    assert_eq!(after["valuetransferencoding"], "base64");
    assert_eq!(
        (&after["value"], &after["objectID"]),
        (&json!("MDEyMzQ1NjdBQkNE"), &id)
    );
    status(
        &call(
            client,
            "PATCH",
            "/c/o?value=0-1",
            OBJECT,
            json!({"value": "QUJDRA=="}),
        ),
        400,
    );
    status(
        &call(
            client,
            "PATCH",
            "/c/o",
            OBJECT,
            json!({"value": "not base64!"}),
        ),
        400,
    );
    status(&call(client, "PATCH", "/c/none", OBJECT, json!({})), 404);
    status(&call(client, "PATCH", "/c/o", CONTAINER, json!({})), 400);
    let both = json!({"value": "x", "copy": "/c/o"});
    status(&call(client, "PATCH", "/c/o", OBJECT, both), 400);
}

#[test]
fn containers_nest_list_and_go_with_what_is_in_them() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    status(&call(client, "PUT", "/c", CONTAINER, json!({})), 400);
    let created = create(client, "/c/", json!({"metadata": {"a": {"b": "c"}}}));
    assert_eq!(created["objectName"], "c/");
    assert_eq!(
        (&created["childrenrange"], &created["children"]),
        (&json!(""), &json!([]))
    );
    status(&call(client, "PUT", "/c/x/y/", CONTAINER, json!({})), 404);
    status(&call(client, "PUT", "/c/x/y", OBJECT, json!({})), 404);
    create(client, "/c/x/", json!({}));
    create(client, "/c/x/y/", json!({}));
    create(client, "/c/x/o", json!({"value": "v"}));
    create(client, "/c/ref", json!({"reference": "/c/x/o"}));
    // Where it leads is told to who may read it.
    let mut nobody = trestle_tests::Client::anonymous(fixture.server().address);
    for method in ["GET", "PATCH", "POST"] {
        let answer = nobody.send(method, "/cdmi/c/ref", &[], b"").unwrap();
        assert_eq!(
            (answer.status, answer.header("location")),
            (401, None),
            "{method}"
        );
    }
    let listed = read(client, "/c/", CONTAINER);
    assert_eq!(listed["children"], json!(["ref?", "x/"]));
    assert_eq!(listed["childrenrange"], "0-1");
    assert_eq!(listed["metadata"]["a"], json!({"b": "c"}));
    assert_eq!(
        read(client, "/c/?childrenrange&children=1-5", CONTAINER),
        json!({"childrenrange": "1-1", "children": ["x/"]})
    );
    let moved = get(client, "/c/x", CONTAINER);
    status(&moved, 301);
    assert!(moved.header("location").unwrap().ends_with("/cdmi/c/x/"));
    let followed = get(client, "/c/ref", OBJECT);
    status(&followed, 302);
    assert!(
        followed
            .header("location")
            .unwrap()
            .ends_with("/cdmi/c/x/o")
    );
    let to_container = json!({"reference": "/c/x/"});
    for target in ["/c/way/", "/way/"] {
        let made = call(client, "PUT", target, CONTAINER, to_container.clone());
        status(&made, 201);
        let followed = get(client, target, CONTAINER);
        status(&followed, 302);
        assert!(followed.header("location").unwrap().ends_with("/cdmi/c/x/"));
    }
    let names = read(client, "/c/?children", CONTAINER)["children"].clone();
    assert_eq!(names, json!(["ref?", "way?", "x/"]));
    status(&plain(client, "DELETE", "/c/way/", b""), 204);
    status(&plain(client, "DELETE", "/way", b""), 204);
    status(&get(client, "/way/", CONTAINER), 404);
    status(
        &call(client, "PUT", "/c/cdmi_x/", CONTAINER, json!({})),
        400,
    );
    status(
        &call(
            client,
            "PATCH",
            "/c/?metadata=n",
            CONTAINER,
            json!({"metadata": {"n": "1"}}),
        ),
        204,
    );
    assert_eq!(
        read(client, "/c/?metadata=n", CONTAINER)["metadata"],
        json!({"n": "1"})
    );
    let id = created["objectID"].as_str().unwrap();
    assert_eq!(
        plain(client, "GET", &format!("/cdmi_objectid/{id}/x/o"), b"").text(),
        "v"
    );
    status(&plain(client, "DELETE", "/c/x/", b""), 204);
    status(&get(client, "/c/x/o", OBJECT), 404);
    status(&plain(client, "DELETE", "/c/", b""), 204);
    status(&get(client, "/c/", CONTAINER), 404);
}

#[test]
fn keys_of_other_dialects_are_in_containers_that_nobody_made() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let headers = [("content-type", "Text/CSV")];
    let put = client
        .send("PUT", "/rest/b/deep/er/file", &headers, b"a,b")
        .unwrap();
    status(&put, 201);
    let container = read(client, "/b/deep/", CONTAINER);
    assert_eq!(container["children"], json!(["er/"]));
    let id = container["objectID"].as_str().unwrap().to_owned();
    let by_id = read(
        client,
        &format!("/cdmi_objectid/{id}/?objectName&parentURI"),
        CONTAINER,
    );
    assert_eq!(by_id, json!({"objectName": "deep/", "parentURI": "/b/"}));
    let object = read(client, "/b/deep/er/file", OBJECT);
    assert_eq!(
        (&object["mimetype"], &object["value"]),
        (&json!("text/csv"), &json!("YSxi"))
    );
    create(client, "/b/deep/new", json!({"value": "made"}));
    assert_eq!(
        crate::send(client, "GET", "/rest/b/deep/new").text(),
        "made"
    );
    let listing = crate::json(&crate::send(client, "GET", "/rest/b/"));
    assert_eq!(listing["items"].as_array().unwrap().len(), 2, "{listing}");
}

#[test]
fn plain_http_works_on_the_same_objects() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    status(&plain(client, "PUT", "/c/", b""), 201);
    status(&plain(client, "PUT", "/none/o", b"x"), 404);
    let utf8 = [("content-type", "Text/Plain;charset=utf-8")];
    let put = client
        .send("PUT", "/cdmi/c/o", &utf8, b"0123456789")
        .unwrap();
    status(&put, 201);
    let first = read(client, "/c/o", OBJECT);
    assert_eq!(first["valuetransferencoding"], "utf-8");
    assert_eq!(first["mimetype"], "text/plain");
    let whole = plain(client, "GET", "/c/o", b"");
    assert_eq!(
        whole.header("content-type").as_deref(),
        Some("text/plain;charset=utf-8")
    );
    let range = [("range", "bytes=2-4")];
    let part = client.send("GET", "/cdmi/c/o", &range, &[]).unwrap();
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(
        part.header("content-range").as_deref(),
        Some("bytes 2-4/10")
    );
    let at = [("content-range", "bytes 8-11/12"), ("content-type", "a/b")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &at, b"ABCD").unwrap(),
        204,
    );
    assert_eq!(plain(client, "GET", "/c/o", b"").text(), "01234567ABCD");
    status(&plain(client, "PATCH", "/c/o", b"\xff"), 204);
    let last = read(client, "/c/o", OBJECT);
    assert_eq!(
        (&last["mimetype"], &last["objectID"]),
        (&json!("a/b"), &first["objectID"])
    );
    assert_eq!(last["value"], "/w==");
    status(&plain(client, "PUT", "/c/o", b"again"), 204);
    assert_eq!(read(client, "/c/o", OBJECT)["objectID"], first["objectID"]);
    status(&plain(client, "PUT", "/c/p", b"x"), 201);
    assert_eq!(
        read(client, "/c/p", OBJECT)["mimetype"],
        "application/octet-stream"
    );
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    status(&plain(client, "GET", "/c/o", b""), 404);
    status(&get(client, "/c/p", CONTAINER), 406);
}

#[test]
fn ids_have_their_layout_and_lead_to_objects_in_either_case() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let id = create(client, "/c/o", json!({"value": "v"}))["objectID"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(id.starts_with("00007ED90018") && id.len() == 48, "{id}");
    for id in [id.clone(), id.to_lowercase()] {
        assert_eq!(
            read(client, &format!("/cdmi_objectid/{id}"), OBJECT)["objectName"],
            "o"
        );
    }
    status(&get(client, "/cdmi_objectid/00007ED90018", OBJECT), 400);
    let created = call(
        client,
        "POST",
        "/cdmi_objectid/",
        OBJECT,
        json!({"value": "n"}),
    );
    status(&created, 201);
    let nameless = crate::json(&created);
    for absent in ["objectName", "parentURI", "parentID"] {
        assert!(nameless.get(absent).is_none(), "{absent}");
    }
    let id = nameless["objectID"].as_str().unwrap();
    assert!(
        created
            .header("location")
            .unwrap()
            .ends_with(&format!("/cdmi/cdmi_objectid/{id}"))
    );
    assert_eq!(
        plain(client, "GET", &format!("/cdmi_objectid/{id}"), b"").text(),
        "n"
    );
    status(
        &plain(client, "DELETE", &format!("/cdmi_objectid/{id}"), b""),
        204,
    );
    status(
        &plain(client, "GET", &format!("/cdmi_objectid/{id}"), b""),
        404,
    );
}

#[test]
fn capabilities_are_a_tree_that_every_object_points_into() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    const KIND: &str = "application/cdmi-capability";
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({}));
    for (path, kind) in [("/", CONTAINER), ("/c/", CONTAINER), ("/c/o", OBJECT)] {
        let uri = read(client, path, kind)["capabilitiesURI"]
            .as_str()
            .unwrap()
            .to_owned();
        let capability = read(client, &uri, KIND);
        assert!(capability.get("metadata").is_none());
        assert_eq!(
            capability["capabilities"]["cdmi_read_metadata"], "true",
            "{uri}"
        );
    }
    let top = read(client, "/cdmi_capabilities/", KIND);
    assert_eq!(top["objectName"], "cdmi_capabilities/");
    for child in top["children"].as_array().unwrap() {
        let child = child.as_str().unwrap();
        let read = read(client, &format!("/cdmi_capabilities/{child}"), KIND);
        assert_eq!(read["parentID"], top["objectID"]);
        let id = read["objectID"].as_str().unwrap();
        status(&get(client, &format!("/cdmi_objectid/{id}/"), KIND), 200);
    }
    status(&plain(client, "DELETE", "/cdmi_capabilities/", b""), 400);
    status(&get(client, "/cdmi_capabilities/none/", KIND), 404);
    let nobody = &mut Client::anonymous(fixture.server().address);
    let refused = get(nobody, "/", CONTAINER);
    status(&refused, 401);
    assert!(refused.header("www-authenticate").is_some());
}

#[test]
fn what_is_too_deep_to_be_read_back_is_not_serialised() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/s/", json!({}));
    for (name, depth, expected) in [("d", 59, 201), ("e", 500, 413)] {
        let deep = format!("/rest/s/{name}{}/o", "/a".repeat(depth));
        status(&client.send("PUT", &deep, &[], b"x").unwrap(), 201);
        let document = json!({"serialize": format!("/s/{name}/")});
        let target = format!("/s/of-{name}");
        status(&call(client, "PUT", &target, OBJECT, document), expected);
    }
    create(client, "/back/", json!({"deserialize": "/s/of-d"}));
    // So it is with metadata, which may be deep itself.
    let nested = |levels: usize| (0..levels).fold(json!("x"), |inner, _| json!({"a": inner}));
    let document = |levels: usize| json!({"metadata": {"m": nested(levels)}});
    create(client, "/s/o", document(64));
    status(&call(client, "PUT", "/s/p", OBJECT, document(65)), 400);
    assert_eq!(read(client, "/s/o", OBJECT)["metadata"]["m"], nested(64));
    create(client, "/s/of-o", json!({"serialize": "/s/o"}));
    create(client, "/s/back", json!({"deserialize": "/s/of-o"}));
    assert_eq!(read(client, "/s/back", OBJECT)["metadata"]["m"], nested(64));
    let deep = format!("/s/f{}/", "/a".repeat(40));
    status(
        &client
            .send("PUT", &format!("/rest{deep}k"), &[], b"x")
            .unwrap(),
        201,
    );
    create(client, &format!("{deep}o"), document(64));
    let form = json!({"serialize": "/s/f/"});
    status(&call(client, "PUT", "/s/of-f", OBJECT, form), 413);
}
