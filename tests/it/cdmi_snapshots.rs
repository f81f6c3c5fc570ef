//! CDMI over the real binary: snapshots of containers.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::json;
use trestle_tests::{Client, Response};

fn take(client: &mut Client, at: &str, name: &str) -> Response {
    let taken = call(client, "PATCH", at, CONTAINER, json!({"snapshot": name}));
    status(&taken, 201);
    taken
}

#[test]
fn a_snapshot_says_what_its_container_said() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for path in ["/c/", "/c/in/"] {
        create(client, path, json!({"metadata": {"a": "before"}}));
        take(client, path, "monday");
        let later = json!({"metadata": {"a": "after"}});
        status(&call(client, "PATCH", path, CONTAINER, later), 204);
        take(client, path, "tuesday");
        for (name, said) in [("monday", "before"), ("tuesday", "after")] {
            let at = format!("{path}cdmi_snapshots/{name}/");
            assert_eq!(read(client, &at, CONTAINER)["metadata"]["a"], said, "{at}");
        }
    }
}

#[test]
fn a_snapshot_shows_what_a_container_held() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for path in ["/c/", "/c/in/", "/c/in/deep/"] {
        create(client, path, json!({"metadata": {"path": path}}));
    }
    create(
        client,
        "/c/o",
        json!({"value": "first", "metadata": {"a": "b"}}),
    );
    let deep = create(client, "/c/in/deep/o", json!({"value": "deep"}));
    status(&call(client, "PUT", "/c/in/q", QUEUE, json!({})), 201);
    let posted = json!({"value": ["x"]});
    status(&call(client, "POST", "/c/in/q", QUEUE, posted), 204);
    assert!(read(client, "/c/", CONTAINER).get("snapshots").is_none());
    status(&get(client, "/c/cdmi_snapshots/", CONTAINER), 404);
    for name in [".", ".."] {
        let taken = call(client, "PATCH", "/c/", CONTAINER, json!({"snapshot": name}));
        status(&taken, 400);
    }
    let taken = take(client, "/c/", "monday");
    let top = "/c/cdmi_snapshots/monday/";
    assert!(taken.header("location").unwrap().ends_with(top));

    status(
        &call(client, "PATCH", "/c/o", OBJECT, json!({"value": "second"})),
        204,
    );
    create(client, "/c/later", json!({}));
    status(&plain(client, "DELETE", "/c/in/", b""), 204);
    let shown = read(client, "/c/", CONTAINER);
    assert_eq!(shown["snapshots"], json!([top]));
    assert_eq!(shown["children"], json!(["later", "o", "cdmi_snapshots/"]));
    assert_eq!(shown["childrenrange"], "0-2");
    let list = read(client, "/c/cdmi_snapshots/", CONTAINER);
    assert_eq!(list["children"], json!(["monday/"]));
    assert_eq!(list["parentID"], shown["objectID"]);
    let snapshot = read(client, top, CONTAINER);
    assert_eq!(snapshot["children"], json!(["in/", "o"]));
    assert_eq!(snapshot["metadata"]["path"], "/c/");
    assert_eq!(
        (&snapshot["objectName"], &snapshot["parentURI"]),
        (&json!("monday/"), &json!("/c/cdmi_snapshots/"))
    );
    assert_eq!(snapshot["parentID"], list["objectID"]);
    assert_ne!(snapshot["objectID"], shown["objectID"]);
    let object = read(client, &format!("{top}o"), OBJECT);
    assert_eq!(
        (&object["value"], &object["metadata"]["a"]),
        (&json!("first"), &json!("b"))
    );
    assert_eq!(object["parentID"], snapshot["objectID"]);
    let inner = read(client, &format!("{top}in/deep/o"), OBJECT);
    assert_eq!(inner["value"], "deep");
    assert_ne!(inner["objectID"], deep["objectID"]);
    assert_eq!(
        read(client, &format!("{top}in/q"), QUEUE)["value"],
        json!(["x"])
    );
    assert_eq!(
        plain(client, "GET", &format!("{top}o"), b"").text(),
        "first"
    );
    status(&get(client, &format!("{top}later"), OBJECT), 404);
    status(&get(client, "/c/cdmi_snapshots/monday", CONTAINER), 301);
    let by_id = |of: &serde_json::Value, slash: &str| {
        format!("/cdmi_objectid/{}{slash}", of["objectID"].as_str().unwrap())
    };
    assert_eq!(read(client, &by_id(&object, ""), OBJECT)["value"], "first");
    assert_eq!(
        read(client, &by_id(&snapshot, "/"), CONTAINER)["objectName"],
        "monday/"
    );

    // Restored by a copy; nothing within it changes.
    create(client, "/c/in/", json!({"copy": format!("{top}in/")}));
    assert_eq!(read(client, "/c/in/deep/o", OBJECT)["value"], "deep");
    let back = json!({"copy": format!("{top}o")});
    status(&call(client, "PATCH", "/c/o", OBJECT, back), 204);
    assert_eq!(read(client, "/c/o", OBJECT)["value"], "first");
    let change = json!({"value": "x"});
    for (method, path) in [("PATCH", "o"), ("PUT", "o"), ("PUT", "new"), ("POST", "")] {
        let at = format!("{top}{path}");
        status(&call(client, method, &at, OBJECT, change.clone()), 403);
    }
    for path in ["o", "in/"] {
        status(&plain(client, "DELETE", &format!("{top}{path}"), b""), 403);
    }
    let moved = json!({"move": format!("{top}o")});
    status(&call(client, "PUT", "/c/moved", OBJECT, moved), 403);
}

#[test]
fn snapshots_are_replaced_and_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/in/", json!({}));
    create(client, "/c/in/o", json!({"value": "one"}));
    take(client, "/c/in/", "s");
    take(client, "/c/", "s");
    status(
        &call(client, "PATCH", "/c/in/o", OBJECT, json!({"value": "two"})),
        204,
    );
    let at = "/c/in/cdmi_snapshots/s/o";
    assert_eq!(read(client, at, OBJECT)["value"], "one");
    take(client, "/c/in/", "s");
    assert_eq!(read(client, at, OBJECT)["value"], "two");
    // Those of one container are not another's.
    let outer = read(client, "/c/cdmi_snapshots/s/in/o", OBJECT);
    assert_eq!(outer["value"], "one");
    let both = json!({"snapshot": "t", "metadata": {"a": "b"}});
    status(&call(client, "PATCH", "/c/in/", CONTAINER, both), 201);
    let shown = read(client, "/c/in/cdmi_snapshots/t/", CONTAINER);
    assert_eq!(shown["metadata"]["a"], "b");
    for wrong in ["", "a/b", "ü"] {
        let taken = json!({"snapshot": wrong});
        status(&call(client, "PATCH", "/c/", CONTAINER, taken), 400);
    }
    status(
        &call(client, "PATCH", "/", CONTAINER, json!({"snapshot": "x"})),
        400,
    );
    let on_create = json!({"snapshot": "x"});
    status(&call(client, "PUT", "/c/new/", CONTAINER, on_create), 400);
    status(&plain(client, "DELETE", "/c/in/cdmi_snapshots/s", b""), 204);
    status(&get(client, "/c/in/cdmi_snapshots/s/", CONTAINER), 404);
    status(&get(client, "/c/in/cdmi_snapshots/t/o", OBJECT), 200);
    // A deletion that is refused on the way leaves them.
    let held = json!({"value": "x", "metadata": {"cdmi_hold_id": ["h"]}});
    create(client, "/held/", json!({}));
    create(client, "/held/in/", json!({}));
    create(client, "/held/in/o", held);
    for at in ["/held/in/", "/held/"] {
        take(client, at, "s");
        status(&plain(client, "DELETE", at, b""), 403);
    }
    for kept in ["/held/in/cdmi_snapshots/s/o", "/held/cdmi_snapshots/s/in/o"] {
        assert_eq!(read(client, kept, OBJECT)["value"], "x");
    }
    status(&plain(client, "DELETE", "/c/in/cdmi_snapshots/", b""), 400);
    // With a container go its snapshots.
    status(&plain(client, "DELETE", "/c/in/", b""), 204);
    status(&get(client, "/c/in/cdmi_snapshots/t/o", OBJECT), 404);
    status(&plain(client, "DELETE", "/c/", b""), 204);
    create(client, "/c/", json!({}));
    assert!(read(client, "/c/", CONTAINER).get("snapshots").is_none());
}
