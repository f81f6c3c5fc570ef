//! CDMI: the capabilities of data objects and their versions, and those of metadata, performed.

use crate::cdmi::{CONTAINER, OBJECT, QUEUE, get, plain, status};
use crate::cdmi_capabilities::World;
use serde_json::{Value, json};

pub(crate) fn metadata(world: &mut World, name: &str, value: &Value) -> bool {
    match name {
        "cdmi_acl" | "cdmi_ctime" | "cdmi_mtime" | "cdmi_mcount" | "cdmi_size" => {
            let shown = world.with(json!({}));
            assert!(shown.get(name).is_some(), "{shown}");
        }
        "cdmi_group" => assert_eq!(world.with(json!({name: "staff"}))[name], "staff"),
        "cdmi_value_hash" => {
            for algorithm in value.as_array().unwrap() {
                let shown = world.with(json!({"cdmi_value_hash": algorithm}));
                assert!(shown["cdmi_hash"].as_str().unwrap().len() >= 40);
                assert_eq!(&shown["cdmi_value_hash_provided"], algorithm);
            }
        }
        "cdmi_encryption" => {
            for algorithm in value.as_array().unwrap() {
                let shown = world.with(json!({"cdmi_encryption": algorithm}));
                assert_eq!(&shown["cdmi_encryption_provided"], algorithm);
            }
        }
        "cdmi_data_redundancy" | "cdmi_infrastructure_redundancy" => {
            let shown = world.with(json!({name: value}));
            assert_eq!(&shown[format!("{name}_provided")], value);
            let more = world.with(json!({name: "77"}));
            assert_eq!(&more[format!("{name}_provided")], value);
            let none = world.with(json!({name: "many"}));
            assert!(none.get(format!("{name}_provided")).is_none());
        }
        "cdmi_immediate_redundancy" => {
            for (copies, provided) in [(value.clone(), "true"), (json!("77"), "false")] {
                let asked = json!({"cdmi_data_redundancy": copies, name: "true"});
                assert_eq!(world.with(asked)[format!("{name}_provided")], provided);
            }
        }
        "cdmi_data_retention" => {
            let period = "2020-01-01T00:00:00.000000Z/2090-01-01T00:00:00.000000Z";
            let metadata = json!({"cdmi_retention_id": "1", "cdmi_retention_period": period});
            let (path, _) = world.object(json!({"metadata": metadata}));
            status(&plain(&mut world.client, "DELETE", &path, b""), 403);
        }
        "cdmi_data_autodelete" => {
            let period = "2020-01-01T00:00:00.000000Z/2090-01-01T00:00:00.000000Z";
            let shown = world.with(
                json!({"cdmi_retention_period": period, "cdmi_retention_autodelete": "true"}),
            );
            assert_eq!(shown["cdmi_retention_autodelete_provided"], "true");
        }
        "cdmi_data_holds" => {
            let (path, _) = world.object(json!({"metadata": {"cdmi_hold_id": ["a"]}}));
            status(&plain(&mut world.client, "DELETE", &path, b""), 403);
        }
        "cdmi_cors_methods" | "cdmi_cors_origins" | "cdmi_cors_headers" => {
            let origin = "http://app.example";
            let (path, _) = world.object(json!({"value": "x", "metadata": {
                "cdmi_cors_origins": [origin], "cdmi_cors_methods": ["GET", "PUT"],
                "cdmi_cors_headers": ["x-a"],
            }}));
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "PUT"),
                ("access-control-request-headers", "x-a"),
            ];
            let target = format!("/cdmi{path}");
            let answer = world
                .client
                .send("OPTIONS", &target, &headers, b"")
                .unwrap();
            status(&answer, 200);
            let header = |name: &str| answer.header(name).unwrap();
            assert_eq!(header("access-control-allow-origin"), origin);
            assert_eq!(header("access-control-allow-methods"), "GET, PUT");
            assert_eq!(header("access-control-allow-headers"), "x-a");
        }
        _ => return versioning(world, name, value),
    }
    true
}

fn versioning(world: &mut World, name: &str, value: &Value) -> bool {
    let mut updated = |metadata: Value| {
        let (path, _) = world.object(json!({"value": "0", "metadata": metadata}));
        for value in ["1", "2"] {
            let change = json!({"value": value});
            status(&world.call("PATCH", &path, OBJECT, change), 204);
        }
        let current = world.read(&path, OBJECT)["metadata"]["cdmi_version_current"].clone();
        world.read(current.as_str().unwrap(), OBJECT)["metadata"].clone()
    };
    match name {
        "cdmi_versioning" => {
            for level in value.as_array().unwrap() {
                let shown = updated(json!({"cdmi_versioning": level}));
                assert!(shown.get("cdmi_version_parent").is_some());
            }
        }
        "cdmi_versions_count" | "cdmi_versions_size" => {
            let mut metadata = json!({"cdmi_versioning": "value"});
            metadata[name] = json!("0");
            let shown = updated(metadata);
            assert!(shown.get("cdmi_version_parent").is_none(), "{shown}");
        }
        "cdmi_version_age" => {
            updated(json!({"cdmi_versioning": "value", "cdmi_versions_age": "1000"}));
        }
        "cdmi_version_object"
        | "cdmi_version_current"
        | "cdmi_version_oldest"
        | "cdmi_version_parent"
        | "cdmi_version_children" => {
            let shown = updated(json!({"cdmi_versioning": "value"}));
            assert!(shown.get(name).is_some(), "{shown}");
        }
        _ => return false,
    }
    true
}

pub(crate) fn data(world: &mut World, name: &str) -> bool {
    let (path, made) = world.object(json!({"value": "0123456789", "metadata": {"a": "b"}}));
    match name {
        "cdmi_read_value" => assert_eq!(world.read(&path, OBJECT)["value"], "0123456789"),
        "cdmi_read_value_range" => {
            let range = world.read(&format!("{path}?value=2-3"), OBJECT);
            assert_eq!(range, json!({"value": "MjM="}));
        }
        "cdmi_read_metadata" => assert_eq!(world.read(&path, OBJECT)["metadata"]["a"], "b"),
        "cdmi_modify_value" => {
            status(
                &world.call("PATCH", &path, OBJECT, json!({"value": "x"})),
                204,
            );
            assert_eq!(world.read(&path, OBJECT)["value"], "x");
        }
        "cdmi_modify_value_range" => {
            let target = format!("{path}?value=2-3");
            status(
                &world.call("PATCH", &target, OBJECT, json!({"value": "eHk="})),
                204,
            );
            let bytes = plain(&mut world.client, "GET", &path, b"");
            assert_eq!(bytes.text(), "01xy456789");
        }
        "cdmi_modify_metadata" => {
            let target = format!("{path}?metadata=a");
            let change = json!({"metadata": {"a": "c"}});
            status(&world.call("PATCH", &target, OBJECT, change), 204);
            assert_eq!(world.read(&path, OBJECT)["metadata"]["a"], "c");
        }
        "cdmi_modify_deserialize_dataobject" => {
            let (form, _) = world.object(json!({"serialize": path}));
            status(
                &world.call("PATCH", &path, OBJECT, json!({"value": "x"})),
                204,
            );
            status(
                &world.call("PATCH", &path, OBJECT, json!({"deserialize": form})),
                204,
            );
            let back = world.read(&path, OBJECT);
            assert_eq!(back["value"], "0123456789");
            assert_eq!(back["objectID"], made["objectID"]);
        }
        "cdmi_delete_dataobject" => {
            status(&plain(&mut world.client, "DELETE", &path, b""), 204);
            status(&get(&mut world.client, &path, OBJECT), 404);
        }
        _ => return false,
    }
    true
}

pub(crate) fn version(world: &mut World, name: &str) -> bool {
    let metadata = json!({"cdmi_versioning": "value", "a": "b"});
    let (path, _) = world.object(json!({"value": "0123", "metadata": metadata}));
    status(
        &world.call("PATCH", &path, OBJECT, json!({"value": "x"})),
        204,
    );
    let oldest = world.read(&path, OBJECT)["metadata"]["cdmi_version_oldest"][0].clone();
    let oldest = oldest.as_str().unwrap();
    match name {
        "cdmi_read_value" => assert_eq!(world.read(oldest, OBJECT)["value"], "0123"),
        "cdmi_read_value_range" => {
            let range = world.read(&format!("{oldest}?value=1-2"), OBJECT);
            assert_eq!(range, json!({"value": "MTI="}));
        }
        "cdmi_read_metadata" => assert_eq!(world.read(oldest, OBJECT)["metadata"]["a"], "b"),
        "cdmi_delete_dataobject" => {
            status(&plain(&mut world.client, "DELETE", oldest, b""), 204);
            status(&get(&mut world.client, oldest, OBJECT), 404);
        }
        _ => return false,
    }
    true
}

/// What stands for other capabilities, which are advertised with it.
pub(crate) fn security(world: &mut World, name: &str) -> bool {
    let object = world.read(
        "/cdmi_capabilities/dataobject/",
        "application/cdmi-capability",
    );
    let implied = match name {
        "cdmi_security_access_control" => "cdmi_acl",
        "cdmi_security_data_integrity" => "cdmi_value_hash",
        "cdmi_security_encryption" => "cdmi_encryption",
        "cdmi_security_immutability" => "cdmi_data_retention",
        "cdmi_cors" => "cdmi_cors_origins",
        _ => return false,
    };
    assert!(object["capabilities"].get(implied).is_some(), "{implied}");
    true
}

/// A value that comes in pieces.
pub(crate) fn partial(world: &mut World, name: &str, value: &Value) -> bool {
    let conditions = match name {
        "cdmi_partial" => "true",
        "cdmi_partial_uploadid" => "upload-id=a",
        "cdmi_partial_count" => "upload-id=a; count=2",
        "cdmi_partial_range" => "upload-id=a; range=0-1",
        "cdmi_partial_replace" => "upload-id=a; count=1; replace=true",
        "cdmi_partial_timeout" => return value.as_str().unwrap().parse::<u64>().unwrap() > 0,
        _ => return false,
    };
    let (path, _) = world.object(json!({"value": "....."}));
    let headers = [
        ("x-cdmi-partial", conditions),
        ("content-range", "bytes 0-0/*"),
        ("content-type", "text/plain"),
    ];
    let put = world
        .client
        .send("PUT", &format!("/cdmi{path}"), &headers, b"x");
    let put = put.unwrap().status;
    let whole = [200, 201, 204].contains(&put);
    assert_eq!(
        whole,
        ["true", "upload-id=a; count=1; replace=true"].contains(&conditions)
    );
    let now = plain(&mut world.client, "GET", &path, b"");
    match name {
        "cdmi_partial" => assert_eq!(now.status, 202),
        "cdmi_partial_replace" => assert_eq!(now.text(), "x"),
        _ => assert_eq!((put, now.text().as_str()), (202, ".....")),
    }
    true
}

/// What a snapshot shows.
pub(crate) fn snapshot(world: &mut World, path: &str, name: &str) -> bool {
    let made = world.call("PUT", "/frozen/", CONTAINER, json!({}));
    assert!([201, 204].contains(&made.status), "{}", made.text());
    let value = json!({"value": "abc"});
    world.call("PUT", "/frozen/o", OBJECT, value);
    world.call("PUT", "/frozen/q", QUEUE, json!({}));
    let taken = json!({"snapshot": "s"});
    status(&world.call("PATCH", "/frozen/", CONTAINER, taken), 201);
    let top = "/frozen/cdmi_snapshots/";
    let (at, kind) = match path {
        "" | "container/snapshots/" => (top.to_owned(), CONTAINER),
        "container/snapshot/" => (format!("{top}s/"), CONTAINER),
        "queue/snapshot/" => (format!("{top}s/q"), QUEUE),
        _ => (format!("{top}s/o"), OBJECT),
    };
    let shown = world.read(&at, kind);
    if !path.is_empty() {
        assert_eq!(
            shown["capabilitiesURI"],
            format!("/cdmi_capabilities/{path}")
        );
    }
    match name {
        "cdmi_list_children" | "cdmi_list_children_range" => {
            let some = world.read(&format!("{at}?children=0-0"), kind);
            assert_eq!(some["children"].as_array().unwrap().len(), 1);
        }
        "cdmi_read_value" if kind == QUEUE => assert_eq!(shown["queueValues"], ""),
        "cdmi_read_value" => assert_eq!(shown["value"], "abc"),
        "cdmi_read_value_range" => {
            let some = world.read(&format!("{at}?value=1-1"), kind);
            assert_eq!(some["value"], "Yg==");
        }
        "cdmi_acl" | "cdmi_ctime" | "cdmi_mtime" | "cdmi_mcount" | "cdmi_size" => {
            assert!(shown["metadata"].get(name).is_some());
        }
        "cdmi_read_metadata" => assert!(shown["metadata"].get("cdmi_ctime").is_some()),
        "cdmi_delete_container" => {
            status(&plain(&mut world.client, "DELETE", &at, b""), 204);
            status(&get(&mut world.client, &at, kind), 404);
        }
        _ => return false,
    }
    true
}

/// What protects a new container.
pub(crate) fn protects(world: &mut World, (path, parent): (&str, &str), name: &str) -> bool {
    let above = if path == "container/top/" {
        "/"
    } else {
        parent
    };
    let at = format!("{above}kept-{name}/");
    let protection = match name {
        "cdmi_data_holds" => json!({"cdmi_hold_id": ["a"]}),
        _ => json!({"cdmi_retention_period": "2020-01-01T00:00:00Z/2090-01-01T00:00:00Z"}),
    };
    let container = "application/cdmi-container";
    let made = world.call("PUT", &at, container, json!({"metadata": protection}));
    status(&made, 201);
    status(&plain(&mut world.client, "DELETE", &at, b""), 403);
    true
}

/// The members of a domain.
pub(crate) fn member(world: &mut World, name: &str) -> bool {
    let domain = "application/cdmi-domain";
    let made = world.call("PUT", "/cdmi_domains/membered/", domain, json!({}));
    assert!([201, 204].contains(&made.status), "{}", made.text());
    let top = "/cdmi_domains/membered/cdmi_domain_members/";
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
    });
    let value = json!({"value": record.to_string()});
    let at = format!("{top}ann");
    let put = world.call("PUT", &at, OBJECT, value);
    assert!([201, 204].contains(&put.status), "{}", put.text());
    let shown = world.read(&at, OBJECT);
    match name {
        "cdmi_create_dataobject" | "cdmi_list_children" | "cdmi_list_children_range" => {
            let listed = world.read(&format!("{top}?children=0-0"), CONTAINER);
            assert_eq!(listed["children"], json!(["ann"]));
        }
        "cdmi_read_value" => assert!(shown["value"].as_str().unwrap().contains("\"ann\"")),
        "cdmi_size" => {
            let size = shown["value"].as_str().unwrap().len().to_string();
            assert_eq!(shown["metadata"]["cdmi_size"], size);
        }
        "cdmi_ctime" | "cdmi_read_metadata" => {
            assert!(shown["metadata"].get("cdmi_ctime").is_some());
        }
        "cdmi_modify_value" => {
            let mut record = record;
            record["cdmi_member_enabled"] = json!("false");
            let change = json!({"value": record.to_string()});
            status(&world.call("PATCH", &at, OBJECT, change), 204);
            let shown = world.read(&at, OBJECT)["value"].clone();
            assert!(shown.as_str().unwrap().contains("\"false\""));
        }
        "cdmi_modify_metadata" => {
            let change = json!({"metadata": {"a": "b"}});
            status(&world.call("PATCH", &at, OBJECT, change), 204);
            assert_eq!(world.read(&at, OBJECT)["metadata"]["a"], "b");
        }
        "cdmi_delete_dataobject" => {
            status(&plain(&mut world.client, "DELETE", &at, b""), 204);
            status(&get(&mut world.client, &at, OBJECT), 404);
        }
        _ => return false,
    }
    true
}
