//! CDMI where requests lead elsewhere or arrive in pieces: references and their ids, sources that lack
//! a slash, parts that overlap, series of writes, forms, and text that is none.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, call, create, get, plain, read, status};
use serde_json::json;
use trestle_tests::{Client, Response};

fn send(
    client: &mut Client,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let target = format!("/cdmi{target}");
    client.send(method, &target, headers, body).unwrap()
}

fn location(response: &Response) -> String {
    response.header("location").unwrap()
}

#[test]
fn a_reference_without_a_name_has_the_id_of_what_is_elsewhere() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    // One of another server, and one that this store could have given to something.
    let foreign = "00006FFD0010AA33D8CEF9711E0835CA";
    let own = "00007ED90018ADB501A2212F6526507E62C79A4A665F4235";
    for id in [foreign, own] {
        let there = format!("https://archive.example.com/cdmi/2.0.0/cdmi_objectid/{id}");
        let place = format!("/cdmi_objectid/{id}");
        status(&get(client, &place, OBJECT), 404);
        let body = json!({"reference": there});
        let made = call(client, "POST", "/cdmi_objectid/", OBJECT, body.clone());
        status(&made, 201);
        assert!(location(&made).ends_with(&place), "{}", location(&made));
        assert_eq!(crate::json(&made)["objectID"], id);
        for text in [id.to_owned(), id.to_lowercase()] {
            let answer = get(client, &format!("/cdmi_objectid/{text}"), OBJECT);
            status(&answer, 302);
            assert_eq!(location(&answer), there);
        }
        // While it is there, another one is known by an id of its own.
        let other = call(client, "POST", "/cdmi_objectid/", OBJECT, body.clone());
        status(&other, 201);
        assert!(!location(&other).ends_with(id));
        status(&plain(client, "DELETE", &place, b""), 204);
        status(&get(client, &place, OBJECT), 404);
        let again = call(client, "POST", "/cdmi_objectid/", OBJECT, body);
        status(&again, 201);
        assert!(location(&again).ends_with(&place));
        let answer = get(client, &place, OBJECT);
        status(&answer, 302);
    }
    // An id that leads to something here goes on doing so.
    create(client, "/c/", json!({}));
    let object = create(client, "/c/o", json!({"value": "x"}));
    let id = object["objectID"].as_str().unwrap();
    let body = json!({"reference": format!("/cdmi_objectid/{id}")});
    let made = call(client, "POST", "/cdmi_objectid/", OBJECT, body);
    status(&made, 201);
    assert!(!location(&made).ends_with(id));
    let there = read(client, &format!("/cdmi_objectid/{id}"), OBJECT);
    assert_eq!(there["value"], "x");
}

#[test]
fn references_are_uris_and_redirect_to_escaped_ones() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let host = fixture.server().front().to_string();
    for (name, uri, there) in [
        (
            "a",
            "/c/x y/ü",
            format!("http://{host}/cdmi/c/x%20y/%C3%BC"),
        ),
        (
            "b",
            "/c/x%20y?value",
            format!("http://{host}/cdmi/c/x%20y?value"),
        ),
        ("c", "http://other/a b", "http://other/a%20b".to_owned()),
    ] {
        create(client, &format!("/c/{name}"), json!({"reference": uri}));
        let answer = get(client, &format!("/c/{name}"), OBJECT);
        status(&answer, 302);
        assert_eq!(location(&answer), there);
    }
    for uri in ["", " ", "http://a b/", "http:///x", "a\nb"] {
        let body = json!({"reference": uri});
        status(&call(client, "PUT", "/c/bad", OBJECT, body), 400);
    }
}

#[test]
fn the_source_of_a_copy_may_lack_the_slash_of_a_container() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let source = create(client, "/c/s/", json!({"metadata": {"m": "1"}}));
    create(client, "/c/s/o", json!({"value": "x"}));
    let id = source["objectID"].as_str().unwrap();
    for (name, uri) in [
        ("a", "/c/s".to_owned()),
        ("b", format!("/cdmi_objectid/{id}")),
    ] {
        create(client, &format!("/c/{name}/"), json!({"copy": uri}));
        let copy = read(client, &format!("/c/{name}/"), CONTAINER);
        assert_eq!(copy["children"], json!(["o"]));
    }
    create(client, "/c/form", json!({"serialize": "/c/s"}));
    create(client, "/c/moved/", json!({"move": "/c/s"}));
    status(&get(client, "/c/s/", CONTAINER), 404);
    // It is a container all the same.
    let copied = call(client, "PUT", "/c/object", OBJECT, json!({"copy": "/c/a"}));
    status(&copied, 400);
}

#[test]
fn a_copied_container_keeps_its_fields_and_loses_exports() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/s/", json!({"vendor": {"x": 1}, "other": "y"}));
    let rest = json!({"exports": {"mine": {"type": "rest"}}, "vendor": "z"});
    create(client, "/c/s/in/", rest);
    create(client, "/c/copy/", json!({"copy": "/c/s/", "other": "own"}));
    create(client, "/c/part/", json!({"copy": "/c/s/?children"}));
    create(client, "/c/there/", json!({}));
    let whole = json!({"copy": "/c/s/"});
    let updated = call(client, "PATCH", "/c/there/", CONTAINER, whole);
    status(&updated, 204);
    for (name, vendor, other) in [
        ("copy", json!({"x": 1}), json!("own")),
        ("part", json!(null), json!(null)),
        ("there", json!({"x": 1}), json!("y")),
    ] {
        let container = read(client, &format!("/c/{name}/"), CONTAINER);
        assert_eq!(container["vendor"], vendor, "{name}");
        assert_eq!(container["other"], other, "{name}");
    }
    let nested = read(client, "/c/copy/in/", CONTAINER);
    assert_eq!(nested["vendor"], "z");
    assert_eq!(nested["exports"]["mine"], json!(null));
}

#[test]
fn ranges_in_parts_are_apart() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let kind = [("content-type", "multipart/mixed; boundary=x")];
    let parts = |ranges: [&str; 2]| {
        let [one, two] = ranges.map(|range| {
            format!(
                "--x\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}\r\n\r\nabc\r\n"
            )
        });
        format!("--x\r\nContent-Type: {OBJECT}\r\n\r\n{{}}\r\n{one}{two}--x--")
    };
    let apart = parts(["3-5/6", "0-2/6"]);
    let overlapping = parts(["0-2/5", "2-4/5"]);
    let put = |client: &mut Client, method: &str, body: &str| {
        send(client, (method, "/c/o"), &kind, body.as_bytes()).status
    };
    assert_eq!(put(client, "PUT", &overlapping), 400);
    status(&get(client, "/c/o", OBJECT), 404);
    assert_eq!(put(client, "PUT", &apart), 201);
    assert_eq!(put(client, "PATCH", &overlapping), 400);
    assert_eq!(plain(client, "GET", "/c/o", b"").text(), "abcabc");
    // How a serialised form is encoded is not chosen.
    let body = json!({"serialize": "/c/o", "valuetransferencoding": "base64"});
    status(&call(client, "PUT", "/c/form", OBJECT, body), 400);
}

#[test]
fn text_over_plain_http_is_utf8() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let text = [("content-type", "text/plain;charset=utf-8")];
    let bytes = [("content-type", "text/plain")];
    let put = |client: &mut Client, way, headers: &[(&str, &str)], body: &[u8]| {
        send(client, way, headers, body).status
    };
    assert_eq!(put(client, ("PUT", "/c/o"), &text, b"a\xff"), 400);
    status(&get(client, "/c/o", OBJECT), 404);
    assert_eq!(put(client, ("PUT", "/c/o"), &text, "aü".as_bytes()), 201);
    assert_eq!(put(client, ("PATCH", "/c/o"), &text, b"\xc3"), 400);
    assert_eq!(read(client, "/c/o?value", OBJECT)["value"], "aü");
    assert_eq!(put(client, ("POST", "/c/"), &text, b"\xc3("), 400);
    assert_eq!(put(client, ("PATCH", "/c/o"), &bytes, b"a\xff"), 204);
    assert_eq!(read(client, "/c/o?value", OBJECT)["value"], "Yf8=");
}

#[test]
fn a_series_of_puts_adds_to_what_was_written() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let kind = ("content-type", "text/plain;charset=utf-8");
    let mut put = |name: &str, partial: Option<&str>, range: Option<&str>, body: &str| {
        let mut headers = vec![kind];
        headers.extend(partial.map(|value| ("x-cdmi-partial", value)));
        headers.extend(range.map(|range| ("content-range", range)));
        let target = format!("/c/{name}");
        send(client, ("PUT", &target), &headers, body.as_bytes()).status
    };
    // The second example of the extension, and the third.
    assert_eq!(put("a", Some("true"), None, "one,"), 201);
    assert_eq!(put("a", Some("true"), None, "two,"), 204);
    assert_eq!(put("a", Some("false"), None, "three"), 201);
    assert_eq!(put("b", Some("true"), Some("0-3"), "one,"), 201);
    assert_eq!(put("b", Some("true"), Some("4-6"), "two"), 204);
    assert_eq!(put("b", Some("false"), None, ""), 201);
    // What says nothing of a series is the whole value, and so is what comes after one.
    assert_eq!(put("c", Some("true"), None, "one,"), 201);
    assert_eq!(put("c", None, None, "whole"), 204);
    assert_eq!(put("d", Some("true"), None, "one,"), 201);
    assert_eq!(put("d", Some("false"), None, "two"), 201);
    assert_eq!(put("d", Some("false"), None, "new"), 204);
    for (name, value) in [
        ("a", "one,two,three"),
        ("b", "one,two"),
        ("c", "whole"),
        ("d", "new"),
    ] {
        let object = read(client, &format!("/c/{name}"), OBJECT);
        assert_eq!(object["completionStatus"], "Complete");
        assert_eq!(
            plain(client, "GET", &format!("/c/{name}"), b"").text(),
            value
        );
    }
}

#[test]
fn a_file_of_a_form_takes_no_name_that_is_taken() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/there", json!({"value": "first"}));
    create(client, "/c/k/", json!({}));
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    for name in ["there", "k"] {
        let form = format!(
            "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n\
             second\r\n--x--\r\n"
        );
        let made = send(client, ("POST", "/c/"), &kind, form.as_bytes());
        status(&made, 201);
        let place = location(&made);
        let (_, place) = place.rsplit_once('/').unwrap();
        let object = read(client, &format!("/c/{place}"), OBJECT);
        assert_eq!(object["objectName"], object["objectID"]);
        assert_eq!(
            plain(client, "GET", &format!("/c/{place}"), b"").text(),
            "second"
        );
    }
    assert_eq!(plain(client, "GET", "/c/there", b"").text(), "first");
}

#[test]
fn one_item_too_many_in_headers_is_a_bad_request() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let capabilities = read(client, "/cdmi_capabilities/", "application/cdmi-capability");
    let limit = |name: &str| -> usize {
        let name = format!("cdmi_header_metadata_{name}");
        let limit = capabilities["capabilities"][&name].as_str();
        limit.unwrap().parse().unwrap()
    };
    let most = limit("maxitems");
    let names: Vec<String> = (0..=most).map(|at| format!("x-cdmi-meta-{at}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    status(&send(client, ("PUT", "/c/many"), &all, b""), 400);
    status(&send(client, ("PUT", "/c/o"), &all[1..], b""), 201);
    // Together with those that are there.
    status(&send(client, ("PATCH", "/c/o"), &all[..1], b""), 400);
    let one = "v".repeat(4000);
    let count = limit("maxtotalsize") / one.len() + 1;
    let large: Vec<(&str, &str)> = names
        .iter()
        .take(count)
        .map(|name| (name.as_str(), one.as_str()))
        .collect();
    status(&send(client, ("PUT", "/c/large"), &large, b""), 400);
}

#[test]
fn the_charset_of_a_header_is_no_part_of_the_mimetype() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let put = |client: &mut Client, kind: &str| {
        let headers = [("content-type", kind)];
        send(client, ("PUT", "/c/o"), &headers, b"x").status
    };
    let sent = |client: &mut Client| {
        let value = plain(client, "GET", "/c/o", b"");
        value.header("content-type").unwrap()
    };
    for (kind, shown) in [
        ("Text/Plain; charset=UTF-8", "text/plain"),
        (
            "text/plain;charset=\"utf-8\";format=flowed",
            "text/plain;format=flowed",
        ),
        (
            "text/plain; charset=iso-8859-1",
            "text/plain; charset=iso-8859-1",
        ),
    ] {
        assert!(put(client, kind) < 300);
        let object = read(client, "/c/o", OBJECT);
        assert_eq!(object["mimetype"], shown);
        // What is shown may be sent back.
        let same = json!({"mimetype": shown});
        status(&call(client, "PATCH", "/c/o", OBJECT, same), 204);
        assert_eq!(sent(client), kind.to_lowercase());
    }
    for said in ["text/html;charset=utf-8", "text/html"] {
        let body = json!({"mimetype": said});
        status(&call(client, "PATCH", "/c/o", OBJECT, body), 204);
        assert_eq!(read(client, "/c/o?mimetype", OBJECT)["mimetype"], said);
        assert_eq!(sent(client), said);
        let target = format!("/c/{}", said.len());
        let body = json!({"mimetype": said, "value": "x"});
        assert_eq!(create(client, &target, body)["mimetype"], said);
    }
    let parts = format!(
        "--x\r\nContent-Type: {OBJECT}\r\n\r\n{{}}\r\n\
         --x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ny\r\n--x--"
    );
    let kind = [("content-type", "multipart/mixed; boundary=x")];
    status(
        &send(client, ("PUT", "/c/parts"), &kind, parts.as_bytes()),
        201,
    );
    let object = read(client, "/c/parts", OBJECT);
    assert_eq!(
        (&object["mimetype"], &object["value"]),
        (&json!("text/plain"), &json!("y"))
    );
}
