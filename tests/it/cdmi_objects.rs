//! CDMI over the real binary: queues, parts, copies, protection, and what the server names.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::Client;

#[test]
fn queues_give_their_values_in_order() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let created = call(
        client,
        "PUT",
        "/c/q",
        QUEUE,
        json!({"metadata": {"a": "b"}}),
    );
    status(&created, 201);
    assert_eq!(crate::json(&created)["queueValues"], "");
    let values = json!({
        "value": ["First", "U2Vjb25k", {"a": 1}], "mimetype": ["Text/Plain", "x/y", "application/json"],
        "valuetransferencoding": ["utf-8", "base64", "json"],
    });
    status(&call(client, "POST", "/c/q", QUEUE, values), 204);
    let first = read(client, "/c/q", QUEUE);
    assert_eq!(
        (&first["queueValues"], &first["value"]),
        (&json!("0-2"), &json!(["First"]))
    );
    assert_eq!(
        (&first["mimetype"], &first["valuerange"]),
        (&json!(["text/plain"]), &json!(["0-4"]))
    );
    assert_eq!(
        read(client, "/c/q?valuetransferencoding&values=3", QUEUE),
        json!({"valuetransferencoding": ["utf-8", "base64", "json"], "value": ["First", "U2Vjb25k", {"a": 1}]})
    );
    assert_eq!(
        read(client, "/c/q?value=0-1", QUEUE)["value"],
        json!(["Rmk="])
    );
    let unequal = json!({"value": ["a", "b"], "mimetype": ["text/plain"]});
    status(&call(client, "POST", "/c/q", QUEUE, unequal), 400);
    status(&plain(client, "DELETE", "/c/q?values=1-2", b""), 400);
    status(&plain(client, "DELETE", "/c/q?value", b""), 204);
    status(&plain(client, "DELETE", "/c/q?values=1-1", b""), 204);
    let rest = read(client, "/c/q?queueValues&value", QUEUE);
    assert_eq!(rest, json!({"queueValues": "2-2", "value": [{"a": 1}]}));
    status(
        &call(
            client,
            "PATCH",
            "/c/q?metadata=n",
            QUEUE,
            json!({"metadata": {"n": "1"}}),
        ),
        204,
    );
    assert_eq!(
        read(client, "/c/q?metadata=n", QUEUE)["metadata"],
        json!({"n": "1"})
    );
    create(client, "/c/o", json!({"value": "copied"}));
    status(
        &call(client, "POST", "/c/q", QUEUE, json!({"copy": "/c/o"})),
        204,
    );
    create(client, "/c/joined", json!({"copy": "/c/q"}));
    assert_eq!(
        plain(client, "GET", "/c/joined", b"").text(),
        "{\"a\":1}copied"
    );
    status(
        &call(client, "PUT", "/c/q2", QUEUE, json!({"copy": "/c/q"})),
        201,
    );
    assert_eq!(
        read(client, "/c/q2?queueValues", QUEUE)["queueValues"],
        "0-1"
    );
    status(
        &call(
            client,
            "POST",
            "/c/q2",
            QUEUE,
            json!({"move": "/c/q?values=1"}),
        ),
        204,
    );
    assert_eq!(
        read(client, "/c/q?queueValues", QUEUE)["queueValues"],
        "3-3"
    );
    status(&get(client, "/c/q", OBJECT), 406);
    status(&plain(client, "DELETE", "/c/q", b""), 204);
    status(&get(client, "/c/q", QUEUE), 404);
}

#[test]
fn the_server_names_what_is_posted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let posted = call(client, "POST", "/c/", OBJECT, json!({"value": "x"}));
    status(&posted, 201);
    let object = crate::json(&posted);
    assert_eq!(object["objectName"], object["objectID"]);
    let name = object["objectName"].as_str().unwrap();
    let location = posted.header("location").unwrap();
    assert!(location.starts_with("http://") && location.ends_with(&format!("/cdmi/c/{name}")));
    let text = client
        .send("POST", "/cdmi/c/", &[("content-type", "a/b")], b"plain")
        .unwrap();
    status(&text, 201);
    let path = text.header("location").unwrap();
    let path = path.rsplit_once("/cdmi").unwrap().1;
    assert_eq!(plain(client, "GET", path, b"").text(), "plain");
    let form = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"up.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nfile\r\n--x--";
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let sent = client
        .send("POST", "/cdmi/c/", &kind, form.as_bytes())
        .unwrap();
    status(&sent, 201);
    assert!(sent.header("location").unwrap().ends_with("/cdmi/c/up.txt"));
    status(&call(client, "POST", "/c/", QUEUE, json!({})), 201);
    status(
        &call(client, "POST", "/cdmi_objectid/", QUEUE, json!({})),
        201,
    );
    status(&call(client, "POST", "/c/", CONTAINER, json!({})), 400);
    status(&call(client, "POST", "/none/", OBJECT, json!({})), 404);
}

#[test]
fn copies_are_whole_or_of_the_fields_that_are_named() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let source = create(
        client,
        "/c/o",
        json!({"value": "v", "mimetype": "a/b", "metadata": {"x": "1"}}),
    );
    let copy = create(client, "/c/whole", json!({"copy": "/c/o"}));
    assert_ne!(copy["objectID"], source["objectID"]);
    let copy = read(client, "/c/whole", OBJECT);
    assert_eq!(
        (&copy["value"], &copy["mimetype"], &copy["metadata"]["x"]),
        (&json!("v"), &json!("a/b"), &json!("1"))
    );
    create(
        client,
        "/c/given",
        json!({"copy": "/c/o", "metadata": {"y": "2"}}),
    );
    let given = read(client, "/c/given?metadata", OBJECT);
    assert!(given["metadata"].get("x").is_none() && given["metadata"]["y"] == "2");
    create(client, "/c/value?value", json!({"copy": "/c/o"}));
    let value = read(client, "/c/value", OBJECT);
    assert_eq!(
        (&value["value"], &value["mimetype"]),
        (&json!("v"), &json!("text/plain"))
    );
    create(client, "/c/field", json!({"copy": "/c/o?metadata"}));
    assert_eq!(read(client, "/c/field?value", OBJECT)["value"], "");
    status(
        &call(
            client,
            "PUT",
            "/c/both?value",
            OBJECT,
            json!({"copy": "/c/o?value"}),
        ),
        400,
    );
    status(
        &call(
            client,
            "PUT",
            "/c/none",
            OBJECT,
            json!({"copy": "/c/missing"}),
        ),
        400,
    );
    status(&get(client, "/c/none", OBJECT), 404);
    let id = source["objectID"].as_str().unwrap();
    create(
        client,
        "/c/by-id",
        json!({"copy": format!("/cdmi_objectid/{id}")}),
    );
    status(
        &call(
            client,
            "PATCH",
            "/c/by-id?metadata",
            OBJECT,
            json!({"copy": "/c/given"}),
        ),
        204,
    );
    assert_eq!(
        read(client, "/c/by-id?metadata=y", OBJECT)["metadata"]["y"],
        "2"
    );
}

#[test]
fn retention_and_holds_protect() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let period = |year: u16| format!("2020-01-01T00:00:00Z/{year}-01-01T00:00:00Z");
    let retained =
        json!({"value": "v", "metadata": {"cdmi_retention_period": period(2090), "a": "b"}});
    create(client, "/c/r", retained);
    create(client, "/c/first", json!({}));
    create(
        client,
        "/c/h",
        json!({"metadata": {"cdmi_hold_id": ["case"]}}),
    );
    for target in ["/c/r", "/c/h", "/c/"] {
        status(&plain(client, "DELETE", target, b""), 403);
    }
    status(&get(client, "/c/first", OBJECT), 200);
    status(
        &call(client, "PATCH", "/c/r", OBJECT, json!({"value": "w"})),
        403,
    );
    status(&plain(client, "PUT", "/c/r", b"w"), 403);
    status(
        &call(
            client,
            "PATCH",
            "/c/r?metadata=a",
            OBJECT,
            json!({"metadata": {}}),
        ),
        403,
    );
    let change = |client: &mut Client, name: &str, value: Value| {
        let body = json!({"metadata": {name: value}});
        call(
            client,
            "PATCH",
            &format!("/c/r?metadata={name}"),
            OBJECT,
            body,
        )
        .status
    };
    let item = "cdmi_retention_period";
    assert_eq!(change(client, item, json!(period(2080))), 403);
    assert_eq!(change(client, item, json!("soon")), 400);
    assert_eq!(change(client, item, json!(period(2091))), 204);
    create(client, "/c/copy", json!({"copy": "/c/r"}));
    status(&plain(client, "DELETE", "/c/copy", b""), 204);
    let shown = read(client, "/c/h?metadata=cdmi_hold_id_provided", OBJECT);
    assert_eq!(shown["metadata"]["cdmi_hold_id_provided"], json!(["case"]));
}

#[test]
fn a_series_of_writes_ends_with_the_first_that_is_not_partial() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let partial = [("content-type", OBJECT), ("x-cdmi-partial", "true")];
    let made = client
        .send("PUT", "/cdmi/c/o", &partial, b"{\"value\": \"01\"}")
        .unwrap();
    assert_eq!(crate::json(&made)["completionStatus"], "Processing");
    let processing = read(client, "/c/o", OBJECT);
    assert_eq!(processing["completionStatus"], "Processing");
    assert!(processing.get("value").is_none());
    let more = [("content-range", "bytes 2-3/4"), ("x-cdmi-partial", "true")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &more, b"23").unwrap(),
        204,
    );
    assert_eq!(
        read(client, "/c/o", OBJECT)["completionStatus"],
        "Processing"
    );
    let last = [("content-range", "bytes 4-5/6")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &last, b"45").unwrap(),
        204,
    );
    let complete = read(client, "/c/o", OBJECT);
    assert_eq!(complete["completionStatus"], "Complete");
    assert_eq!(complete["value"], "012345");
    let wrong = [("x-cdmi-partial", "maybe")];
    status(&client.send("PUT", "/cdmi/c/p", &wrong, b"x").unwrap(), 400);
}

#[test]
fn moves_keep_ids_whatever_is_moved() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/a/", json!({}));
    create(client, "/c/a/b/", json!({"metadata": {"x": "y"}}));
    let object = create(
        client,
        "/c/a/b/o",
        json!({"value": "v", "metadata": {"k": "1"}}),
    );
    let id = |value: &Value| value["objectID"].as_str().unwrap().to_owned();
    let moved = create(client, "/c/moved", json!({"move": "/c/a/b/o"}));
    assert_eq!(id(&moved), id(&object));
    status(&get(client, "/c/a/b/o", OBJECT), 404);
    let read_back = read(client, "/c/moved", OBJECT);
    assert_eq!(
        (&read_back["value"], &read_back["metadata"]["k"]),
        (&json!("v"), &json!("1"))
    );
    let nameless = call(
        client,
        "POST",
        "/cdmi_objectid/",
        OBJECT,
        json!({"move": "/c/moved"}),
    );
    status(&nameless, 201);
    assert_eq!(id(&crate::json(&nameless)), id(&object));
    assert!(crate::json(&nameless).get("objectName").is_none());
    let uri = format!("/cdmi_objectid/{}", id(&object));
    let back = create(
        client,
        "/c/a/b/o",
        json!({"move": uri, "metadata": {"n": "2"}}),
    );
    assert_eq!(
        (id(&back), &back["metadata"]["n"]),
        (id(&object), &json!("2"))
    );
    status(
        &call(
            client,
            "PUT",
            "/c/none",
            OBJECT,
            json!({"move": "/c/missing"}),
        ),
        400,
    );

    let inner = read(client, "/c/a/b/", CONTAINER);
    create(client, "/c/z/", json!({"move": "/c/a/"}));
    status(&get(client, "/c/a/", CONTAINER), 404);
    let after = read(client, "/c/z/b/", CONTAINER);
    assert_eq!(
        (id(&after), &after["metadata"]["x"]),
        (id(&inner), &json!("y"))
    );
    assert_eq!(read(client, &uri, OBJECT)["parentURI"], "/c/z/b/");
    status(
        &call(
            client,
            "PUT",
            "/c/z/b/in/",
            CONTAINER,
            json!({"move": "/c/z/"}),
        ),
        400,
    );
    let top = read(client, "/c/", CONTAINER);
    let renamed = create(client, "/d/", json!({"move": "/c/"}));
    assert_eq!(id(&renamed), id(&top));
    assert_eq!(plain(client, "GET", "/d/z/b/o", b"").text(), "v");
    status(&get(client, "/c/", CONTAINER), 404);
}

#[test]
fn containers_are_copied_with_new_ids() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({"metadata": {"m": "1"}}));
    create(client, "/c/s/", json!({"metadata": {"n": {"deep": "2"}}}));
    let object = create(
        client,
        "/c/s/o",
        json!({"value": "v", "metadata": {"k": "3"}}),
    );
    let copy = create(client, "/copy/", json!({"copy": "/c/"}));
    assert_eq!(copy["metadata"]["m"], "1");
    let inner = read(client, "/copy/s/", CONTAINER);
    assert_eq!(inner["metadata"]["n"], json!({"deep": "2"}));
    let copied = read(client, "/copy/s/o", OBJECT);
    assert_ne!(copied["objectID"], object["objectID"]);
    assert_eq!(
        (&copied["value"], &copied["metadata"]["k"]),
        (&json!("v"), &json!("3"))
    );
    create(client, "/c/t/?metadata", json!({"copy": "/c/s/"}));
    assert_eq!(
        read(client, "/c/t/?children", CONTAINER),
        json!({"children": []})
    );
    status(
        &call(client, "PUT", "/c/s/in/", CONTAINER, json!({"copy": "/c/"})),
        400,
    );
    status(
        &call(
            client,
            "PUT",
            "/x/",
            CONTAINER,
            json!({"copy": "/missing/"}),
        ),
        400,
    );
    status(&get(client, "/x/", CONTAINER), 404);
}

#[test]
fn ranges_of_large_objects_are_changed_in_place() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let bytes = vec![b'a'; 3 << 20];
    status(&plain(client, "PUT", "/c/o", &bytes), 201);
    let id = read(client, "/c/o?objectID", OBJECT);
    let body = json!({"value": "QkNE", "metadata": {"x": "y"}});
    status(
        &call(
            client,
            "PATCH",
            "/c/o?value=2000000-2000002&metadata=x",
            OBJECT,
            body,
        ),
        204,
    );
    let after = read(
        client,
        "/c/o?objectID&valuerange&value=1999999-2000003",
        OBJECT,
    );
    assert_eq!(after["objectID"], id["objectID"]);
    assert_eq!(after["value"], "YUJDRGE=");
    assert_eq!(
        read(client, "/c/o?metadata=x", OBJECT)["metadata"]["x"],
        "y"
    );
    let beyond = [("content-range", "bytes 4194304-4194304/4194305")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &beyond, b"z").unwrap(),
        204,
    );
    assert_eq!(
        read(client, "/c/o?value=4194302-4194304", OBJECT)["value"],
        "AAB6"
    );
}

#[test]
fn a_value_with_gaps_is_given_up_to_the_first() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "abc"}));
    let patch = |client: &mut _, query: &str, text: &str| {
        let place = format!("/c/o?{query}");
        let body = json!({"value": text});
        status(&call(client, "PATCH", &place, OBJECT, body), 204);
    };
    let shown = |client: &mut _| {
        let all = read(client, "/c/o", OBJECT);
        let size = all["metadata"]["cdmi_size"].clone();
        json!([all["valuerange"], all["value"], size])
    };
    patch(client, "value=5-5", "Zg==");
    patch(client, "value=7-7", "aA==");
    assert_eq!(shown(client), json!(["0-2", "YWJj", "8"]));
    let ranged = read(client, "/c/o?valuerange&value=0-7", OBJECT);
    assert_eq!(
        ranged,
        json!({"valuerange": "0-7", "value": "YWJjAABmAGg="})
    );
    assert_eq!(plain(client, "GET", "/c/o", b"").text(), "abc\0\0f\0h");
    // A write into the first gap moves the end to the next one.
    let into = [("content-range", "bytes 3-4/8")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &into, b"de").unwrap(),
        204,
    );
    assert_eq!(shown(client), json!(["0-5", "YWJjZGVm", "8"]));
    patch(client, "value=6-6", "Zw==");
    assert_eq!(shown(client), json!(["0-7", "YWJjZGVmZ2g=", "8"]));
    // One that begins with a gap has nothing before it.
    let begin = [("content-range", "bytes 2-3/4")];
    status(
        &client.send("PUT", "/cdmi/c/p", &begin, b"cd").unwrap(),
        201,
    );
    assert_eq!(
        read(client, "/c/p?valuerange&value", OBJECT),
        json!({"valuerange": "", "value": ""})
    );
    // A value that is replaced has none, even when it has zeros there.
    status(&plain(client, "PUT", "/c/p", b"\0\0cd"), 204);
    assert_eq!(
        read(client, "/c/p?valuerange", OBJECT),
        json!({"valuerange": "0-3"})
    );
}

#[test]
fn what_is_serialised_comes_back_with_its_ids() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/s/", json!({}));
    let inner = create(client, "/c/in/", json!({"metadata": {"x": {"y": "z"}}}));
    let document = json!({"value": "/w==", "valuetransferencoding": "base64", "mimetype": "a/b", "metadata": {"k": "v"}});
    let object = create(client, "/c/in/o", document);
    status(&call(client, "PUT", "/c/in/q", QUEUE, json!({})), 201);
    let values = json!({"value": ["a", "b"]});
    status(&call(client, "POST", "/c/in/q", QUEUE, values), 204);
    create(client, "/s/all", json!({"serialize": "/c/in/"}));
    create(
        client,
        "/s/one",
        json!({"serialize": "/c/in/o", "mimetype": "text/x"}),
    );
    assert_eq!(
        read(client, "/s/one?mimetype", OBJECT)["mimetype"],
        "text/x"
    );
    let one: Value = serde_json::from_str(&plain(client, "GET", "/s/one", b"").text()).unwrap();
    assert_eq!(
        (&one["objectID"], &one["value"]),
        (&object["objectID"], &json!("/w=="))
    );
    status(&plain(client, "DELETE", "/c/in/", b""), 204);
    let back = create(client, "/c/back/", json!({"deserialize": "/s/all"}));
    assert_eq!(
        (&back["objectID"], &back["metadata"]["x"]),
        (&inner["objectID"], &json!({"y": "z"}))
    );
    let restored = read(client, "/c/back/o", OBJECT);
    for field in ["objectID", "mimetype"] {
        assert_eq!(restored[field], object[field]);
    }
    assert_eq!(
        (&restored["value"], &restored["metadata"]["k"]),
        (&json!("/w=="), &json!("v"))
    );
    assert_eq!(
        read(client, "/c/back/q?values=2", QUEUE)["value"],
        json!(["a", "b"])
    );
    status(
        &call(
            client,
            "PATCH",
            "/c/back/o",
            OBJECT,
            json!({"value": "AA=="}),
        ),
        204,
    );
    status(
        &call(
            client,
            "PATCH",
            "/c/back/o",
            OBJECT,
            json!({"deserialize": "/s/one"}),
        ),
        204,
    );
    assert_eq!(read(client, "/c/back/o?value", OBJECT)["value"], "/w==");
    status(
        &call(
            client,
            "PATCH",
            "/s/all",
            OBJECT,
            json!({"deserialize": "/s/one"}),
        ),
        400,
    );
    status(
        &call(
            client,
            "PUT",
            "/c/n",
            OBJECT,
            json!({"deserializevalue": "eA=="}),
        ),
        400,
    );
    status(
        &call(client, "PUT", "/c/n", OBJECT, json!({"serialize": "/none"})),
        400,
    );
}

#[test]
fn domains_are_accounts() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    const DOMAIN: &str = "application/cdmi-domain";
    create(client, "/c/", json!({}));
    let uri = read(client, "/c/?domainURI", CONTAINER)["domainURI"]
        .as_str()
        .unwrap()
        .to_owned();
    let own = read(client, &uri, DOMAIN);
    assert_eq!(
        (&own["domainURI"], &own["metadata"]["cdmi_domain_enabled"]),
        (&json!(uri), &json!("true"))
    );
    status(
        &call(client, "PUT", "/cdmi_domains/d", DOMAIN, json!({})),
        400,
    );
    let made = call(
        client,
        "PUT",
        "/cdmi_domains/d/",
        DOMAIN,
        json!({"metadata": {"a": "b"}}),
    );
    status(&made, 201);
    let made = crate::json(&made);
    assert_eq!(
        (&made["objectName"], &made["parentURI"]),
        (&json!("d/"), &json!("/cdmi_domains/"))
    );
    assert_eq!(
        (&made["childrenrange"], &made["children"]),
        (
            &json!("0-1"),
            &json!(["cdmi_domain_summary/", "cdmi_domain_members/"])
        )
    );
    assert_eq!(made["metadata"]["cdmi_domain_enabled"], "false");
    let enable = json!({"metadata": {"cdmi_domain_enabled": "true"}});
    status(
        &call(
            client,
            "PATCH",
            "/cdmi_domains/d/?metadata=cdmi_domain_enabled",
            DOMAIN,
            enable,
        ),
        204,
    );
    let metadata = read(client, "/cdmi_domains/d/?metadata", DOMAIN)["metadata"].clone();
    assert_eq!(
        (&metadata["cdmi_domain_enabled"], &metadata["a"]),
        (&json!("true"), &json!("b"))
    );
    let all = read(client, "/cdmi_domains/?children", CONTAINER);
    assert_eq!(all["children"], json!(["d/", "root/"]));
    let wrong = json!({"metadata": {"cdmi_domain_enabled": "perhaps"}});
    status(
        &call(client, "PATCH", "/cdmi_domains/d/", DOMAIN, wrong),
        400,
    );
    status(&get(client, "/cdmi_domains/d", DOMAIN), 301);
    status(&plain(client, "DELETE", "/cdmi_domains/d/", b""), 204);
    status(&get(client, "/cdmi_domains/d/", DOMAIN), 404);
    let other = json!({"domainURI": "/cdmi_domains/other/"});
    status(&call(client, "PUT", "/c/o", OBJECT, other), 400);
    status(
        &call(client, "PUT", "/c/o", OBJECT, json!({"domainURI": uri})),
        201,
    );
}

#[test]
fn headers_carry_metadata_over_plain_http() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let headers = [
        ("x-cdmi-meta-colour", "Yellow"),
        ("x-object-meta-shape", "Square"),
    ];
    status(
        &client.send("PUT", "/cdmi/c/o", &headers, b"v").unwrap(),
        201,
    );
    let head = client.send("HEAD", "/cdmi/c/o", &[], &[]).unwrap();
    assert_eq!(head.header("x-cdmi-meta-colour").as_deref(), Some("Yellow"));
    assert_eq!(
        head.header("x-object-meta-shape").as_deref(),
        Some("Square")
    );
    let metadata = read(client, "/c/o?metadata=x-", OBJECT)["metadata"].clone();
    assert_eq!(
        metadata,
        json!({"x-cdmi-meta-colour": "Yellow", "x-object-meta-shape": "Square"})
    );
    let update = [("x-cdmi-meta-colour", "Red")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &update, b"w").unwrap(),
        204,
    );
    let read_back = plain(client, "GET", "/c/o", b"");
    assert_eq!(
        read_back.header("x-cdmi-meta-colour").as_deref(),
        Some("Red")
    );
    assert_eq!(
        read_back.header("x-object-meta-shape").as_deref(),
        Some("Square")
    );
    let remove = [("x-cdmi-meta-colour", "")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &remove, b"x").unwrap(),
        204,
    );
    let names =
        |client: &mut _| read(client, "/c/o?metadata=X-&metadata=x-", OBJECT)["metadata"].clone();
    assert_eq!(names(client), json!({"x-object-meta-shape": "Square"}));
    // Names that differ in case alone are one item.
    let body = json!({"metadata": {"X-Object-Meta-Shape": "Oval"}});
    status(&call(client, "PATCH", "/c/o?metadata", OBJECT, body), 204);
    let head = client.send("HEAD", "/cdmi/c/o", &[], &[]).unwrap();
    assert_eq!(head.header("x-object-meta-shape").as_deref(), Some("Oval"));
    let update = [("x-object-meta-shape", "Round")];
    status(
        &client.send("PATCH", "/cdmi/c/o", &update, b"y").unwrap(),
        204,
    );
    assert_eq!(names(client), json!({"X-Object-Meta-Shape": "Round"}));
}

#[test]
fn query_queues_hold_what_they_find() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/in/", json!({}));
    create(
        client,
        "/c/in/red",
        json!({"value": "123", "metadata": {"colour": "red"}}),
    );
    create(
        client,
        "/c/in/blue",
        json!({"value": "12345", "metadata": {"colour": "blue"}}),
    );
    let query = |scope: Value| {
        json!({"metadata": {
            "cdmi_queue_type": "cdmi_query_queue", "cdmi_scope_specification": scope,
            "cdmi_results_specification": {"objectName": "", "metadata": {"cdmi_size": ""}},
        }})
    };
    let scope = json!([{"parentURI": "starts /c/in", "metadata": {"cdmi_size": "#> 3"}}, {"metadata": {"colour": "== green"}}]);
    status(&call(client, "PUT", "/c/q", QUEUE, query(scope)), 201);
    let found = read(client, "/c/q?mimetype&values=9", QUEUE);
    assert_eq!(
        found["value"],
        json!([{"objectName": "blue", "metadata": {"cdmi_size": "5"}}])
    );
    assert_eq!(found["mimetype"], json!(["application/json"]));
    let state = read(client, "/c/q?metadata=cdmi_query_status", QUEUE);
    assert_eq!(state["metadata"]["cdmi_query_status"], "Current");
    let by_value = query(json!([{"value": "== MTIz"}]));
    status(&call(client, "PUT", "/c/v", QUEUE, by_value), 201);
    assert_eq!(
        read(client, "/c/v?values=9", QUEUE)["value"][0]["objectName"],
        "red"
    );
    let other = json!({"metadata": {"cdmi_scope_specification": []}});
    let item = "/c/q?metadata=cdmi_scope_specification";
    status(&call(client, "PATCH", item, QUEUE, other), 403);
    status(
        &call(
            client,
            "PATCH",
            "/c/q?metadata=cdmi_queue_type",
            QUEUE,
            json!({"metadata": {}}),
        ),
        204,
    );
    status(
        &call(client, "PUT", "/c/bad", QUEUE, query(json!([{"a": "~ x"}]))),
        400,
    );
}
