//! CDMI: what protects containers, and how changes are counted.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use crate::cdmi_rights::{entry, user};
use serde_json::json;
use trestle_tests::Client;

/// What protects a container protects its name, what it says of itself and all of it together, and is
/// kept by every dialect; what is in it comes and goes by its own.
#[test]
fn containers_are_retained_and_held() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let period = |year: u16| format!("2020-01-01T00:00:00.000000Z/{year}-01-01T00:00:00.000000Z");
    let held = json!({"metadata": {"cdmi_hold_id": ["case"], "a": "b"}});
    create(client, "/held/", held.clone());
    create(client, "/c/", json!({}));
    create(client, "/c/made/", json!({}));
    let put = client.send("PUT", "/rest/c/implied/x", &[], b"x").unwrap();
    status(&put, 201);
    for (target, item, value) in [
        ("/c/made/", "cdmi_hold_id", json!(["case"])),
        ("/c/implied/", "cdmi_retention_period", json!(period(2090))),
        ("/held/", "cdmi_retention_period", json!(period(2090))),
    ] {
        let at = format!("{target}?metadata={item}");
        let body = json!({"metadata": {item: value}});
        status(&call(client, "PATCH", &at, CONTAINER, body), 204);
    }
    for target in ["/held/", "/c/made/", "/c/implied/", "/c/"] {
        status(&plain(client, "DELETE", target, b""), 403);
    }
    for target in ["/held/", "/c/made/", "/c/implied/"] {
        let shown = read(client, &format!("{target}?metadata=cdmi_"), CONTAINER);
        let provided = shown["metadata"].as_object().unwrap();
        assert!(
            provided.keys().any(|name| name.ends_with("_provided")),
            "{shown}"
        );
        for body in [
            json!({"metadata": {"a": "c"}}),
            json!({"metadata": {}}),
            json!({"domainURI": "/cdmi_domains/other/"}),
        ] {
            let refused = call(client, "PATCH", target, CONTAINER, body.clone());
            assert!([400, 403].contains(&refused.status), "{target} {body}");
        }
        let to = match target {
            "/held/" => "/moved/",
            _ => "/c/moved/",
        };
        status(
            &call(client, "PUT", to, CONTAINER, json!({"move": target})),
            403,
        );
        // What is in it is not it.
        create(client, &format!("{target}in"), json!({}));
        status(&plain(client, "DELETE", &format!("{target}in"), b""), 204);
    }
    let item = "/held/?metadata=cdmi_hold_id";
    for (names, expected) in [(json!(["case", "more"]), 204), (json!(["more"]), 403)] {
        let body = json!({"metadata": {"cdmi_hold_id": names}});
        status(&call(client, "PATCH", item, CONTAINER, body), expected);
    }
    let item = "/held/?metadata=cdmi_retention_period";
    for (year, expected) in [(2080, 403), (2091, 204)] {
        let body = json!({"metadata": {"cdmi_retention_period": period(year)}});
        status(&call(client, "PATCH", item, CONTAINER, body), expected);
    }
    let mut copied = held;
    copied["copy"] = json!("/held/");
    copied.as_object_mut().unwrap().remove("metadata");
    create(client, "/copy/", copied);
    status(&plain(client, "DELETE", "/copy/", b""), 204);
    // The same over other dialects.
    let send = |client: &mut Client, method: &str, target: &str, body: &[u8]| {
        let headers = [("content-type", "application/merge-patch+json")];
        let headers: &[_] = if method == "PATCH" { &headers } else { &[] };
        client.send(method, target, headers, body).unwrap().status
    };
    assert_eq!(send(client, "DELETE", "/rest/held/", b""), 403);
    assert_eq!(send(client, "DELETE", "/rest/c/made/", b""), 403);
    // A hold is lifted out of band, a retention is not.
    assert_eq!(
        send(client, "PATCH", "/rest/held/", br#"{"legal_hold":false}"#),
        204
    );
    assert_eq!(
        send(client, "PATCH", "/rest/held/", br#"{"retention":null}"#),
        403
    );
    assert_eq!(send(client, "DELETE", "/rest/held/", b""), 403);
    let root = json!({"metadata": {"cdmi_hold_id": ["case"]}});
    let root = call(client, "PATCH", "/?metadata=cdmi_hold_id", CONTAINER, root);
    status(&root, 400);
}

/// What was changed how often and when is told of each kind, whatever dialect changes it; a child is
/// not its container.
#[test]
fn changes_are_counted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let made = [
        create(client, "/c/", json!({})),
        create(client, "/c/d/", json!({})),
        create(client, "/c/d/o", json!({"value": "x"})),
    ];
    let queue = call(client, "PUT", "/c/d/q", QUEUE, json!({}));
    status(&queue, 201);
    for made in made.iter().chain([&crate::json(&queue)]) {
        let metadata = &made["metadata"];
        assert_eq!(metadata["cdmi_mcount"], "0", "{made}");
        assert_eq!(metadata["cdmi_mtime"], metadata["cdmi_ctime"], "{made}");
    }
    for (target, kind) in [
        ("/c/", CONTAINER),
        ("/c/d/", CONTAINER),
        ("/c/d/o", OBJECT),
        ("/c/d/q", QUEUE),
    ] {
        let before = read(client, target, kind)["metadata"].clone();
        let change = json!({"metadata": {"a": "b", "cdmi_mcount": "77"}});
        let item = format!("{target}?metadata=a&metadata=cdmi_mcount");
        status(&call(client, "PATCH", &item, kind, change), 204);
        let after = read(client, target, kind)["metadata"].clone();
        assert_eq!(
            (&before["cdmi_mcount"], &after["cdmi_mcount"]),
            (&json!("0"), &json!("1"))
        );
        assert_eq!(before["cdmi_ctime"], after["cdmi_ctime"]);
        assert!(
            before["cdmi_mtime"].as_str() < after["cdmi_mtime"].as_str(),
            "{target}"
        );
    }
    let values = json!({"value": ["v"]});
    status(&call(client, "POST", "/c/d/q", QUEUE, values), 204);
    status(
        &call(client, "PATCH", "/c/d/o", OBJECT, json!({"value": "y"})),
        204,
    );
    let put = client.send("PUT", "/rest/c/d/o", &[], b"z").unwrap();
    assert!([200, 201, 204].contains(&put.status));
    let count = |client: &mut Client, target: &str, kind: &str| {
        let shown = read(client, &format!("{target}?metadata=cdmi_mcount"), kind);
        shown["metadata"]["cdmi_mcount"].clone()
    };
    assert_eq!(count(client, "/c/d/o", OBJECT), "3");
    assert_eq!(count(client, "/c/d/q", QUEUE), "2");
    assert_eq!(count(client, "/c/d/", CONTAINER), "1");
    assert_eq!(count(client, "/c/", CONTAINER), "1");
    let root = count(client, "/", CONTAINER);
    let change = json!({"metadata": {"a": "b"}});
    status(
        &call(client, "PATCH", "/?metadata=a", CONTAINER, change),
        204,
    );
    assert_ne!(count(client, "/", CONTAINER), root);
    create(client, "/c/copy", json!({"copy": "/c/d/o"}));
    assert_eq!(count(client, "/c/copy", OBJECT), "0");
}

/// A queue, a top-level container and a domain say how many bytes they consume.
#[test]
fn sizes_are_shown_of_all_that_consumes_bytes() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let size = |client: &mut Client, target: &str, kind: &str| -> u64 {
        let shown = read(client, &format!("{target}?metadata=cdmi_size"), kind);
        let size = shown["metadata"]["cdmi_size"].as_str().unwrap();
        size.parse().unwrap()
    };
    let made = create(client, "/c/", json!({}));
    assert_eq!(made["metadata"]["cdmi_size"], "0");
    let domain = made["domainURI"].as_str().unwrap().to_owned();
    let kind = "application/cdmi-domain";
    let before = size(client, &domain, kind);
    create(client, "/c/o", json!({"value": "abc"}));
    create(client, "/c/d/", json!({}));
    create(client, "/c/d/o", json!({"value": "defgh"}));
    assert_eq!(size(client, "/c/", CONTAINER), 8);
    assert_eq!(size(client, &domain, kind), before + 8);
    let queue = call(client, "PUT", "/c/q", QUEUE, json!({}));
    status(&queue, 201);
    assert_eq!(crate::json(&queue)["metadata"]["cdmi_size"], "0");
    let values = json!({"value": ["0123456789"]});
    status(&call(client, "POST", "/c/q", QUEUE, values), 204);
    let of_queue = size(client, "/c/q", QUEUE);
    assert!(of_queue >= 10, "{of_queue}");
    assert_eq!(size(client, "/c/", CONTAINER), 8 + of_queue);
    // What a client sends for it is passed over.
    let given = json!({"metadata": {"cdmi_size": "77"}});
    for (target, kind) in [("/c/", CONTAINER), ("/c/q", QUEUE), (domain.as_str(), kind)] {
        let item = format!("{target}?metadata=cdmi_size");
        let was = size(client, target, kind);
        status(&call(client, "PATCH", &item, kind, given.clone()), 204);
        assert_eq!(size(client, target, kind), was, "{target}");
    }
    status(&plain(client, "DELETE", "/c/q?value", b""), 204);
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    assert_eq!(size(client, "/c/q", QUEUE), 0);
    assert_eq!(size(client, "/c/", CONTAINER), 5);
    assert_eq!(size(client, &domain, kind), before + 5);
}

#[test]
fn a_nested_container_is_listed_and_deleted_by_its_own_list() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    create(boss, "/ac/", json!({}));
    let listed = |mask: &str| {
        let owner = entry("OWNER@", "ALL_PERMS", "0x3");
        json!({"metadata": {"cdmi_acl": [owner, entry("ann", mask, "0x0")]}})
    };
    create(boss, "/ac/in/", listed("LIST_CONTAINER"));
    create(boss, "/ac/in/o", json!({"value": "x"}));
    let seen = read(ann, "/ac/in/", CONTAINER);
    assert_eq!(seen["children"], json!(["o"]));
    assert!(seen.get("metadata").is_none());
    status(&get(ann, "/ac/in/o", OBJECT), 403);
    status(&get(ann, "/ac/?children", CONTAINER), 403);
    status(&plain(ann, "DELETE", "/ac/in/", b""), 403);
    create(boss, "/ac/out/", listed("READ_METADATA"));
    status(&get(ann, "/ac/out/?children", CONTAINER), 403);
    // What is in it goes by rights of its own.
    let target = "/ac/in/?metadata=cdmi_acl";
    let goes = listed("DELETE, LIST_CONTAINER");
    status(&call(boss, "PATCH", target, CONTAINER, goes.clone()), 204);
    status(&plain(ann, "DELETE", "/ac/in/", b""), 403);
    status(&get(boss, "/ac/in/o", OBJECT), 200);
    status(&plain(boss, "DELETE", "/ac/in/o", b""), 204);
    status(&plain(ann, "DELETE", "/ac/in/", b""), 204);
    status(&get(boss, "/ac/in/", CONTAINER), 404);
}

#[test]
fn containers_tell_how_often_what_they_hold_is_there() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let asked = json!({"metadata": {
        "cdmi_data_redundancy": "2", "cdmi_infrastructure_redundancy": "1",
        "cdmi_immediate_redundancy": "true",
    }});
    let made = create(client, "/c/", asked);
    let inner = create(client, "/c/in/", json!({}));
    for shown in [made, inner] {
        let of = |name: &str| shown["metadata"][format!("{name}_provided")].clone();
        assert_eq!(of("cdmi_data_redundancy"), "1");
        assert_eq!(of("cdmi_infrastructure_redundancy"), "1");
        // Two were asked for.
        assert_eq!(of("cdmi_immediate_redundancy"), "false");
    }
    let alone = json!({"value": "x", "metadata": {"cdmi_immediate_redundancy": "true"}});
    create(client, "/d/", json!({}));
    let shown = create(client, "/d/o", alone);
    assert_eq!(
        shown["metadata"]["cdmi_immediate_redundancy_provided"],
        "true"
    );
    let none = create(client, "/d/in/", json!({}));
    assert!(!none["metadata"].to_string().contains("_provided"));
}

#[test]
fn a_range_is_written_by_who_may_not_read() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    create(boss, "/ac/", json!({}));
    let owner = entry("OWNER@", "ALL_PERMS", "0x0");
    let list = json!([owner, entry("ann", "WRITE_OBJECT", "0x0")]);
    let document = json!({"value": "hello", "metadata": {"cdmi_acl": list}});
    create(boss, "/ac/o", document);
    let change = json!({"value": "WFg="});
    let target = "/ac/o?value=1-2";
    status(&call(ann, "PATCH", target, OBJECT, change), 204);
    status(&get(ann, "/ac/o?value", OBJECT), 403);
    assert_eq!(plain(boss, "GET", "/ac/o", b"").body, b"hXXlo");
}

#[test]
fn an_administrator_takes_over_what_a_list_keeps_from_them() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    create(boss, "/ac/", json!({}));
    let list = json!([
        entry("ann", "ALL_PERMS", "0x0"),
        entry("OWNER@", "RW_ALL", "0x0")
    ]);
    let owned = json!({"value": "x", "metadata": {"cdmi_acl": list, "cdmi_owner": "ann"}});
    create(boss, "/ac/o", owned);
    status(&get(boss, "/ac/o", OBJECT), 403);
    let bob = &mut user(&fixture, "bob", "");
    let take = |who: &str| json!({"metadata": {"cdmi_owner": who}});
    let target = "/ac/o?metadata=cdmi_owner";
    status(&call(bob, "PATCH", target, OBJECT, take("bob")), 403);
    status(&call(boss, "PATCH", target, OBJECT, take("boss")), 204);
    let shown = read(boss, "/ac/o", OBJECT);
    assert_eq!(
        (&shown["value"], &shown["metadata"]["cdmi_owner"]),
        (&json!("x"), &json!("boss"))
    );
    status(&get(ann, "/ac/o", OBJECT), 200);
}
