//! CDMI: what is advertised works. Every capability of every capability object is performed; one
//! that is advertised and not known here fails.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use crate::cdmi_capabilities_data::{
    data, member, metadata, partial, protects, security, snapshot, version,
};
use crate::cdmi_watch::{drain, notified};
use serde_json::{Value, json};
use trestle_tests::{Client, Response};

const DOMAIN: &str = "application/cdmi-domain";
const CAPABILITY: &str = "application/cdmi-capability";

/// A server with a container of each level, and names that are new each time.
pub(crate) struct World {
    pub(crate) client: Client,
    count: usize,
}

impl World {
    /// A path that is not in use, in a nested container.
    fn path(&mut self) -> String {
        self.count += 1;
        format!("/top/inner/n{}", self.count)
    }

    fn top(&mut self) -> String {
        self.count += 1;
        format!("/top{}", self.count)
    }

    pub(crate) fn object(&mut self, document: Value) -> (String, Value) {
        let path = self.path();
        let made = create(&mut self.client, &path, document);
        (path, made)
    }

    fn container(&mut self) -> (String, Value) {
        let path = format!("{}/", self.path());
        let made = create(&mut self.client, &path, json!({"metadata": {"a": "b"}}));
        (path, made)
    }

    fn queue(&mut self) -> (String, Value) {
        let path = self.path();
        let made = call(&mut self.client, "PUT", &path, QUEUE, json!({}));
        status(&made, 201);
        self.enqueue(&path, json!(["first", "second"]));
        (path.clone(), read(&mut self.client, &path, QUEUE))
    }

    fn enqueue(&mut self, path: &str, values: Value) {
        let posted = call(
            &mut self.client,
            "POST",
            path,
            QUEUE,
            json!({"value": values}),
        );
        status(&posted, 204);
    }

    pub(crate) fn call(&mut self, method: &str, path: &str, kind: &str, body: Value) -> Response {
        call(&mut self.client, method, path, kind, body)
    }

    pub(crate) fn read(&mut self, path: &str, kind: &str) -> Value {
        read(&mut self.client, path, kind)
    }

    /// What a query over the world finds, by name.
    fn query(&mut self, scope: Value) -> Vec<Value> {
        let path = self.path();
        let query = json!({"metadata": {
            "cdmi_queue_type": "cdmi_query_queue", "cdmi_scope_specification": scope,
            "cdmi_results_specification": {"objectName": ""},
        }});
        status(&self.call("PUT", &path, QUEUE, query), 201);
        let found = self.read(&format!("{path}?values=1000"), QUEUE)["value"].clone();
        status(&plain(&mut self.client, "DELETE", &path, b""), 204);
        let found = found.as_array().unwrap().iter();
        found.map(|one| one["objectName"].clone()).collect()
    }

    /// What a new object shows when it asks for something by its metadata.
    pub(crate) fn with(&mut self, metadata: Value) -> Value {
        let (path, _) = self.object(json!({"value": "abc", "metadata": metadata}));
        self.read(&path, OBJECT)["metadata"].clone()
    }
}

fn id(document: &Value) -> String {
    format!("/cdmi_objectid/{}", document["objectID"].as_str().unwrap())
}

/// A new object known by its id alone.
fn nameless(world: &mut World, kind: &str, body: Value) -> Value {
    let posted = world.call("POST", "/cdmi_objectid/", kind, body);
    status(&posted, 201);
    let made = crate::json(&posted);
    assert!(made.get("objectName").is_none());
    world.read(&id(&made), kind)
}

fn by_id(world: &mut World, name: &str) -> bool {
    match name {
        "cdmi_post_dataobject_by_ID" => {
            assert_eq!(nameless(world, OBJECT, json!({"value": "x"}))["value"], "x");
        }
        "cdmi_post_queue_by_ID" => {
            nameless(world, QUEUE, json!({}));
        }
        "cdmi_copy_dataobject_by_ID" => {
            let (path, _) = world.object(json!({"value": "x"}));
            assert_eq!(nameless(world, OBJECT, json!({"copy": path}))["value"], "x");
        }
        "cdmi_copy_queue_by_ID" => {
            let (path, _) = world.queue();
            let copy = nameless(world, QUEUE, json!({"copy": path}));
            assert_eq!(copy["queueValues"], "0-1");
        }
        "cdmi_create_reference_by_ID" => {
            let (path, _) = world.object(json!({"value": "x"}));
            let body = json!({"reference": path});
            let posted = world.call("POST", "/cdmi_objectid/", OBJECT, body);
            status(&posted, 201);
            let at = id(&crate::json(&posted));
            status(&get(&mut world.client, &at, OBJECT), 302);
        }
        "cdmi_deserialize_dataobject_by_ID" => {
            let (path, made) = world.object(json!({"value": "x"}));
            let (form, _) = world.object(json!({"serialize": path}));
            status(&plain(&mut world.client, "DELETE", &path, b""), 204);
            let back = nameless(world, OBJECT, json!({"deserialize": form}));
            assert_eq!(
                (&back["value"], &back["objectID"]),
                (&json!("x"), &made["objectID"])
            );
        }
        "cdmi_deserialize_queue_by_ID" => {
            let (path, made) = world.queue();
            let (form, _) = world.object(json!({"serialize": path}));
            status(&plain(&mut world.client, "DELETE", &path, b""), 204);
            let back = nameless(world, QUEUE, json!({"deserialize": form}));
            assert_eq!(back["objectID"], made["objectID"]);
            assert_eq!(back["queueValues"], "0-1");
        }
        "cdmi_serialize_dataobject_to_ID"
        | "cdmi_serialize_container_to_ID"
        | "cdmi_serialize_queue_to_ID"
        | "cdmi_serialize_domain_to_ID" => {
            let (path, made) = match name {
                "cdmi_serialize_domain_to_ID" => {
                    let domains = world.read("/cdmi_domains/?children", CONTAINER);
                    let first = domains["children"][0].as_str().unwrap();
                    let path = format!("/cdmi_domains/{first}");
                    let made = world.read(&path, DOMAIN);
                    (path, made)
                }
                "cdmi_serialize_queue_to_ID" => world.queue(),
                "cdmi_serialize_container_to_ID" => world.container(),
                _ => world.object(json!({"value": "x"})),
            };
            let form = nameless(world, OBJECT, json!({"serialize": path}));
            let form: Value = serde_json::from_str(form["value"].as_str().unwrap()).unwrap();
            assert_eq!(form["objectID"], made["objectID"]);
        }
        "cdmi_create_value_range_by_ID" => {
            let range = [("content-range", "bytes 2-3/*"), ("content-type", "a/b")];
            let posted = world
                .client
                .send("POST", "/cdmi/cdmi_objectid/", &range, b"xy");
            let posted = posted.unwrap();
            status(&posted, 201);
            let location = posted.header("location").unwrap();
            let path = location.rsplit_once("/cdmi/").unwrap().1.to_owned();
            let bytes = plain(&mut world.client, "GET", &format!("/{path}"), b"");
            assert_eq!(bytes.body, b"\0\0xy");
        }
        _ => return false,
    }
    true
}

fn system(world: &mut World, name: &str, value: &Value) -> bool {
    match name {
        "cdmi_domains" => {
            let (_, made) = world.object(json!({"value": "x"}));
            let domain = made["domainURI"].as_str().unwrap().to_owned();
            world.read(&domain, DOMAIN);
            world.read("/cdmi_domains/", CONTAINER);
        }
        "cdmi_dataobjects" => {
            world.object(json!({"value": "x"}));
        }
        "cdmi_queues" => {
            world.queue();
        }
        "cdmi_references" => {
            let (target, _) = world.object(json!({"value": "x"}));
            let (path, _) = world.object(json!({"reference": target}));
            status(&get(&mut world.client, &path, OBJECT), 302);
        }
        "cdmi_capabilities_templates" => {
            let uri = "/cdmi_capabilities/dataobject/hashed/";
            let (path, made) = world.object(json!({"value": "x", "capabilitiesURI": uri}));
            assert_eq!(made["capabilitiesURI"], uri);
            let shown = world.read(&path, OBJECT);
            assert_eq!(shown["metadata"]["cdmi_value_hash"], "SHA256");
            assert!(shown["metadata"].get("cdmi_hash").is_some());
        }
        "cdmi_snapshots" => return snapshot(world, "", "cdmi_list_children"),
        "cdmi_export_s3" => {
            let top = world.read("/cdmi_capabilities/container/top/", CAPABILITY);
            assert_eq!(top["capabilities"]["cdmi_export_container_s3"], "true");
        }
        "cdmi_object_access_by_ID" => {
            let (_, made) = world.object(json!({"value": "x"}));
            let at = id(&made);
            assert_eq!(world.read(&at, OBJECT)["value"], "x");
            let changed = world.call("PATCH", &at, OBJECT, json!({"value": "y"}));
            status(&changed, 204);
            assert_eq!(world.read(&at, OBJECT)["value"], "y");
            status(&plain(&mut world.client, "DELETE", &at, b""), 204);
            status(&get(&mut world.client, &at, OBJECT), 404);
        }
        "cdmi_object_copy_from_local" => {
            let (path, _) = world.object(json!({"value": "x"}));
            let (copy, _) = world.object(json!({"copy": path}));
            assert_eq!(world.read(&copy, OBJECT)["value"], "x");
        }
        "cdmi_object_move_from_local" => {
            let (path, made) = world.object(json!({"value": "x"}));
            let (_, moved) = world.object(json!({"move": path}));
            assert_eq!(moved["objectID"], made["objectID"]);
            status(&get(&mut world.client, &path, OBJECT), 404);
        }
        "cdmi_object_move_from_ID" => {
            let made = nameless(world, OBJECT, json!({"value": "x"}));
            let (_, moved) = world.object(json!({"move": id(&made)}));
            assert_eq!(moved["objectID"], made["objectID"]);
        }
        "cdmi_object_move_to_ID" => {
            let (path, made) = world.object(json!({"value": "x"}));
            let moved = nameless(world, OBJECT, json!({"move": path}));
            assert_eq!(moved["objectID"], made["objectID"]);
            status(&get(&mut world.client, &path, OBJECT), 404);
        }
        "cdmi_copy_dataobject_from_queue" => {
            let (path, _) = world.queue();
            let (copy, _) = world.object(json!({"copy": path}));
            assert_eq!(world.read(&copy, OBJECT)["value"], "firstsecond");
        }
        "cdmi_create_value_range" => return within(world, "/top/inner/", name),
        "cdmi_multipart_mime" => {
            let (path, _) = world.object(json!({"value": "in parts"}));
            let parts = get(&mut world.client, &path, "multipart/mixed");
            status(&parts, 200);
            assert!(parts.text().contains("\r\n\r\nin parts\r\n--"));
        }
        "cdmi_serialization_json" => {
            let (path, _) = world.container();
            let (form, _) = world.object(json!({"serialize": path}));
            let form = world.read(&form, OBJECT)["value"].clone();
            let form: Value = serde_json::from_str(form.as_str().unwrap()).unwrap();
            assert_eq!(form["children"], json!([]));
        }
        "cdmi_valuetransferencoding_json" => {
            let value = json!({"value": {"a": [1]}, "valuetransferencoding": "json"});
            let (path, _) = world.object(value);
            assert_eq!(world.read(&path, OBJECT)["value"], json!({"a": [1]}));
        }
        "cdmi_header_metadata" => {
            let path = world.path();
            let headers = [("x-object-meta-shape", "square")];
            let target = format!("/cdmi{path}");
            let put = world.client.send("PUT", &target, &headers, b"x").unwrap();
            status(&put, 201);
            let metadata = world.read(&path, OBJECT)["metadata"].clone();
            assert_eq!(metadata["x-object-meta-shape"], "square");
        }
        "cdmi_notification" => {
            notified(&mut world.client, "/notified", json!([]));
            create(&mut world.client, "/c/", json!({}));
            create(&mut world.client, "/c/o", json!({"value": "x"}));
            assert_eq!(drain(&mut world.client, "/notified").len(), 1);
            status(&plain(&mut world.client, "DELETE", "/notified", b""), 204);
        }
        "cdmi_logging" | "cdmi_security_audit" => {
            let queue = json!({"metadata": {
                "cdmi_queue_type": "cdmi_logging_queue", "cdmi_logging_class": [],
                "cdmi_scope_specification": [],
            }});
            status(&world.call("PUT", "/logged", QUEUE, queue), 201);
            world.object(json!({"value": "x"}));
            status(
                &world.call("PATCH", "/cdmi_domains/x/", DOMAIN, json!({})),
                404,
            );
            let told = drain(&mut world.client, "/logged");
            let class = |name: &str| told.iter().any(|message| message["class"] == name);
            assert!(class("cdmi_object_logging") && class("cdmi_security_logging"));
            status(&plain(&mut world.client, "DELETE", "/logged", b""), 204);
        }
        _ => {
            return queries(world, name)
                || limits(world, name)
                || security(world, name)
                || partial(world, name, value);
        }
    }
    true
}

fn queries(world: &mut World, name: &str) -> bool {
    let (path, _) = world.object(json!({"value": "blue", "metadata": {"t": "a, b"}}));
    let own = path.rsplit_once('/').unwrap().1;
    let field = |expression: String| json!([{"objectName": expression}]);
    let scope = match name {
        "cdmi_query" => field(format!("== {own}")),
        "cdmi_query_regex" => field(format!("=~ ^{own}$")),
        "cdmi_query_contains" => field(format!("contains {own}")),
        "cdmi_query_tags" => {
            json!([{"objectName": format!("== {own}"), "metadata": {"t": "tag B"}}])
        }
        "cdmi_query_value" => json!([{"objectName": format!("== {own}"), "value": "== Ymx1ZQ=="}]),
        "cdmi_query_immediate" => {
            let at = world.path();
            let query = json!({"metadata": {
                "cdmi_queue_type": "cdmi_query_immediate",
                "cdmi_scope_specification": field(format!("== {own}")),
                "cdmi_results_specification": {"objectName": ""},
            }});
            let made = world.call("PUT", &at, QUEUE, query);
            status(&made, 201);
            let made = crate::json(&made);
            assert_eq!(made["value"], json!([{"objectName": own}]));
            status(&get(&mut world.client, &at, QUEUE), 404);
            return true;
        }
        _ => return false,
    };
    assert_eq!(world.query(scope), [json!(own)], "{name}");
    true
}

fn limits(world: &mut World, name: &str) -> bool {
    let system = world.read("/cdmi_capabilities/?capabilities", CAPABILITY);
    let limit = |name: &str| -> usize {
        let text = system["capabilities"][name].as_str().unwrap();
        text.parse().unwrap()
    };
    let beyond: Value = match name {
        "cdmi_metadata_maxitems" => {
            let items = 0..=limit(name);
            items
                .map(|n| (format!("k{n}"), json!("v")))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        "cdmi_metadata_maxsize" => json!({"k": "x".repeat(limit(name) + 1)}),
        "cdmi_metadata_maxtotalsize" => {
            let one = limit("cdmi_metadata_maxsize") / 2;
            let count = limit(name) / one + 1;
            let items = (0..count).map(|n| (format!("k{n}"), json!("x".repeat(one))));
            items.collect::<serde_json::Map<_, _>>().into()
        }
        "cdmi_header_metadata_maxitems"
        | "cdmi_header_metadata_maxsize"
        | "cdmi_header_metadata_maxtotalsize" => {
            assert!(limit(name) > 0 && limit(name) <= 2_000_000);
            return true;
        }
        _ => return false,
    };
    assert!(limit(name) <= 2_000_000);
    let path = world.path();
    let refused = world.call("PUT", &path, OBJECT, json!({"metadata": beyond}));
    status(&refused, 400);
    true
}

/// What is made in a container.
fn within(world: &mut World, parent: &str, name: &str) -> bool {
    world.count += 1;
    let count = world.count;
    let path = format!("{parent}w{count}");
    let (object, _) = world.object(json!({"value": "x"}));
    let (container, _) = world.container();
    let (queue, _) = world.queue();
    let client = &mut world.client;
    match name {
        "cdmi_create_dataobject" => {
            create(client, &path, json!({"value": "x"}));
        }
        "cdmi_create_container" => {
            create(client, &format!("{path}/"), json!({}));
        }
        "cdmi_create_queue" => status(&call(client, "PUT", &path, QUEUE, json!({})), 201),
        "cdmi_create_reference" => {
            create(client, &path, json!({"reference": object}));
            status(&get(client, &path, OBJECT), 302);
        }
        "cdmi_create_value_range" => {
            let headers = [("content-range", "bytes 2-3/*"), ("content-type", "a/b")];
            let target = format!("/cdmi{path}");
            status(&client.send("PUT", &target, &headers, b"xy").unwrap(), 201);
            assert_eq!(plain(client, "GET", &path, b"").body, b"\0\0xy");
        }
        "cdmi_post_dataobject" => {
            status(
                &call(client, "POST", parent, OBJECT, json!({"value": "x"})),
                201,
            );
        }
        "cdmi_copy_queue" => {
            let copy = call(client, "PUT", &path, QUEUE, json!({"copy": queue}));
            status(&copy, 201);
            assert_eq!(crate::json(&copy)["queueValues"], "0-1");
        }
        "cdmi_move_queue" => {
            let moved = call(client, "PUT", &path, QUEUE, json!({"move": queue}));
            status(&moved, 201);
            status(&get(client, &queue, QUEUE), 404);
        }
        "cdmi_post_queue" => status(&call(client, "POST", parent, QUEUE, json!({})), 201),
        "cdmi_copy_dataobject" => {
            create(client, &path, json!({"copy": object}));
        }
        "cdmi_move_dataobject" => {
            create(client, &path, json!({"move": object}));
            status(&get(client, &object, OBJECT), 404);
        }
        "cdmi_copy_container" => {
            create(client, &format!("{path}/"), json!({"copy": container}));
        }
        "cdmi_move_container" => {
            // What is at the top stays at the top.
            let from = match parent {
                "/" => {
                    let from = format!("{}/", world.top());
                    create(&mut world.client, &from, json!({}));
                    from
                }
                _ => container,
            };
            let client = &mut world.client;
            create(client, &format!("{path}/"), json!({"move": from}));
            status(&get(client, &from, CONTAINER), 404);
        }
        "cdmi_serialize_dataobject"
        | "cdmi_serialize_container"
        | "cdmi_serialize_queue"
        | "cdmi_serialize_domain" => {
            let from = match name {
                "cdmi_serialize_domain" => {
                    let made = read(client, &object, OBJECT);
                    made["domainURI"].as_str().unwrap().to_owned()
                }
                "cdmi_serialize_queue" => queue,
                "cdmi_serialize_container" => container,
                _ => object,
            };
            let made = create(client, &path, json!({"serialize": from}));
            assert_eq!(made["mimetype"], "application/json");
        }
        "cdmi_deserialize_dataobject" | "cdmi_deserialize_container" | "cdmi_deserialize_queue" => {
            let (from, kind, target) = match name {
                "cdmi_deserialize_queue" => (queue, QUEUE, path),
                "cdmi_deserialize_container" => (container, CONTAINER, format!("{path}/")),
                _ => (object, OBJECT, path),
            };
            let (form, _) = world.object(json!({"serialize": from}));
            let made = world.call("PUT", &target, kind, json!({"deserialize": form}));
            status(&made, 201);
        }
        _ => return false,
    }
    true
}

fn container(world: &mut World, path: &str, name: &str) -> bool {
    let parent = match path {
        "container/root/" => "/".to_owned(),
        "container/top/" => "/top/".to_owned(),
        _ => world.container().0,
    };
    let client = &mut world.client;
    match name {
        "cdmi_read_metadata" => {
            let shown = read(client, &format!("{parent}?metadata"), CONTAINER);
            assert!(shown["metadata"].get("cdmi_ctime").is_some());
        }
        "cdmi_modify_metadata" => {
            let target = format!("{parent}?metadata=walked");
            let change = json!({"metadata": {"walked": "yes"}});
            status(&call(client, "PATCH", &target, CONTAINER, change), 204);
            let shown = read(client, &target, CONTAINER);
            assert_eq!(shown["metadata"], json!({"walked": "yes"}));
        }
        "cdmi_list_children" | "cdmi_list_children_range" => {
            create(client, &format!("{parent}listed"), json!({"value": "x"}));
            let shown = read(client, &format!("{parent}?children"), CONTAINER);
            assert!(
                shown["children"]
                    .as_array()
                    .unwrap()
                    .contains(&json!("listed"))
            );
            let shown = read(
                client,
                &format!("{parent}?childrenrange&children=0-0"),
                CONTAINER,
            );
            assert_eq!(shown["children"].as_array().unwrap().len(), 1);
            status(
                &plain(client, "DELETE", &format!("{parent}listed"), b""),
                204,
            );
        }
        "cdmi_list_children_extended" => {
            create(client, &format!("{parent}listed"), json!({"value": "x"}));
            let target = format!("{parent}?children=[objectName,metadata/cdmi_size]");
            let shown = read(client, &target, CONTAINER);
            let children = shown["children"].as_array().unwrap();
            assert!(children.contains(&json!(["listed", "1"])), "{shown}");
            status(
                &plain(client, "DELETE", &format!("{parent}listed"), b""),
                204,
            );
        }
        "cdmi_list_children_recursive" => {
            let inner = format!("{parent}inside/");
            create(client, &inner, json!({}));
            create(client, &format!("{inner}deep"), json!({}));
            let shown = read(client, &format!("{parent}?children=!"), CONTAINER);
            let children = shown["children"].as_array().unwrap();
            let at = children
                .iter()
                .position(|child| child == "inside/")
                .unwrap();
            assert_eq!(children[at + 1], json!(["deep"]));
            status(&plain(client, "DELETE", &inner, b""), 204);
        }
        "cdmi_modify_deserialize_container" => {
            let at = world.container().0;
            let client = &mut world.client;
            create(client, &format!("{at}kept"), json!({"value": "old"}));
            let (form, _) = world.object(json!({"serialize": at}));
            let client = &mut world.client;
            create(client, &format!("{at}new"), json!({"value": "x"}));
            let change = json!({"value": "changed"});
            status(
                &call(client, "PATCH", &format!("{at}kept"), OBJECT, change),
                204,
            );
            let back = json!({"deserialize": form});
            status(&call(client, "PATCH", &at, CONTAINER, back), 204);
            let shown = read(client, &format!("{at}?children"), CONTAINER);
            assert_eq!(shown["children"], json!(["kept"]));
            assert_eq!(read(client, &format!("{at}kept"), OBJECT)["value"], "old");
        }
        "cdmi_export_container_s3" => {
            let exports = json!({"exports": {"1": {"type": "s3", "bucketname": "top"}}});
            status(&call(client, "PATCH", &parent, CONTAINER, exports), 204);
            let shown = read(client, &format!("{parent}?exports"), CONTAINER);
            assert_eq!(shown["exports"]["1"]["bucketname"], "top");
        }
        "cdmi_snapshot" => {
            let taken = json!({"snapshot": "walked"});
            status(&call(client, "PATCH", &parent, CONTAINER, taken), 201);
            let at = format!("{parent}cdmi_snapshots/walked/");
            read(client, &at, CONTAINER);
            status(&plain(client, "DELETE", &at, b""), 204);
        }
        "cdmi_data_retention" | "cdmi_data_holds" => return protects(world, (path, &parent), name),
        "cdmi_delete_container" => {
            let at = match path {
                "container/top/" => format!("{}/", world.top()),
                _ => format!("{parent}gone/"),
            };
            let client = &mut world.client;
            create(client, &at, json!({}));
            status(&plain(client, "DELETE", &at, b""), 204);
        }
        _ => return within(world, &parent, name),
    }
    true
}

fn queue(world: &mut World, name: &str) -> bool {
    let (path, made) = world.queue();
    let to = world.path();
    match name {
        "cdmi_read_value" => assert_eq!(world.read(&path, QUEUE)["value"], json!(["first"])),
        "cdmi_multipart_mime" => {
            let target = format!("{path}?values=2");
            let parts = get(&mut world.client, &target, "multipart/mixed");
            status(&parts, 200);
            let text = parts.text();
            assert!(text.contains("\r\n\r\nfirst\r\n--") && text.contains("\r\n\r\nsecond\r\n--"));
        }
        "cdmi_read_metadata" | "cdmi_size" => {
            let metadata = &world.read(&path, QUEUE)["metadata"];
            assert!(metadata.get("cdmi_ctime").is_some() && metadata.get("cdmi_size").is_some());
        }
        "cdmi_modify_value" => {
            world.enqueue(&path, json!(["third"]));
            assert_eq!(world.read(&path, QUEUE)["queueValues"], "0-2");
            let one = format!("{path}?value");
            status(&plain(&mut world.client, "DELETE", &one, b""), 204);
            assert_eq!(world.read(&path, QUEUE)["queueValues"], "1-2");
        }
        "cdmi_modify_metadata" => {
            let change = json!({"metadata": {"a": "b"}});
            status(&world.call("PATCH", &path, QUEUE, change), 204);
            assert_eq!(world.read(&path, QUEUE)["metadata"]["a"], "b");
        }
        "cdmi_modify_deserialize_queue" => {
            let (form, _) = world.object(json!({"serialize": path}));
            let change = json!({"metadata": {"a": "b"}});
            status(&world.call("PATCH", &path, QUEUE, change), 204);
            status(
                &world.call("PATCH", &path, QUEUE, json!({"deserialize": form})),
                204,
            );
            let back = world.read(&path, QUEUE);
            assert_eq!(back["metadata"].get("a"), None);
            // Values stay.
            assert_eq!(back["queueValues"], "0-1");
        }
        "cdmi_delete_queue" => {
            status(&plain(&mut world.client, "DELETE", &path, b""), 204);
            status(&get(&mut world.client, &path, QUEUE), 404);
        }
        "cdmi_move_queue" => {
            let moved = world.call("PUT", &to, QUEUE, json!({"move": path}));
            status(&moved, 201);
            assert_eq!(crate::json(&moved)["objectID"], made["objectID"]);
        }
        "cdmi_copy_queue" => {
            status(&world.call("PUT", &to, QUEUE, json!({"copy": path})), 201);
            assert_eq!(world.read(&to, QUEUE)["queueValues"], "0-1");
        }
        "cdmi_reference_queue" => {
            status(
                &world.call("PUT", &to, QUEUE, json!({"reference": path})),
                201,
            );
            status(&get(&mut world.client, &to, QUEUE), 302);
        }
        _ => return false,
    }
    true
}

fn domain(world: &mut World, name: &str, value: &Value) -> bool {
    world.count += 1;
    let path = format!("/cdmi_domains/d{}/", world.count);
    let enabled = json!({"metadata": {"cdmi_domain_enabled": "true", "a": "b"}});
    status(&world.call("PUT", &path, DOMAIN, enabled), 201);
    match name {
        "cdmi_create_domain" => {
            let shown = world.read("/cdmi_domains/?children", CONTAINER);
            let own = path.strip_prefix("/cdmi_domains/").unwrap();
            assert!(shown["children"].as_array().unwrap().contains(&json!(own)));
        }
        "cdmi_read_metadata" => assert_eq!(world.read(&path, DOMAIN)["metadata"]["a"], "b"),
        "cdmi_ctime" | "cdmi_mtime" | "cdmi_mcount" | "cdmi_size" => {
            assert!(world.read(&path, DOMAIN)["metadata"].get(name).is_some());
        }
        "cdmi_modify_metadata" => {
            let change = json!({"metadata": {"a": "c"}});
            status(&world.call("PATCH", &path, DOMAIN, change), 204);
            assert_eq!(world.read(&path, DOMAIN)["metadata"]["a"], "c");
        }
        "cdmi_domain_summary" => return summary(world, name),
        "cdmi_domain_members" => return member(world, "cdmi_list_children"),
        "cdmi_copy_domain" | "cdmi_deserialize_domain" => {
            let source = match name {
                "cdmi_copy_domain" => json!({"copy": path}),
                _ => json!({"deserialize": world.object(json!({"serialize": path})).0}),
            };
            world.count += 1;
            let to = format!("/cdmi_domains/d{}/", world.count);
            status(&world.call("PUT", &to, DOMAIN, source), 201);
            assert_eq!(world.read(&to, DOMAIN)["metadata"]["a"], "b");
        }
        "cdmi_move_domain" => {
            let id = world.read(&path, DOMAIN)["objectID"].clone();
            let to = format!("/cdmi_domains/moved{}/", world.count);
            status(&world.call("PUT", &to, DOMAIN, json!({"move": path})), 201);
            assert_eq!(world.read(&to, DOMAIN)["objectID"], id);
            status(&get(&mut world.client, &path, DOMAIN), 404);
        }
        "cdmi_modify_deserialize_domain" => {
            let (form, _) = world.object(json!({"serialize": path}));
            let change = json!({"metadata": {"a": "c"}});
            status(&world.call("PATCH", &path, DOMAIN, change), 204);
            let back = json!({"deserialize": form});
            status(&world.call("PATCH", &path, DOMAIN, back), 204);
            assert_eq!(world.read(&path, DOMAIN)["metadata"]["a"], "b");
        }
        "cdmi_delete_domain" => {
            status(&plain(&mut world.client, "DELETE", &path, b""), 204);
            status(&get(&mut world.client, &path, DOMAIN), 404);
        }
        "cdmi_list_children" | "cdmi_list_children_range" => {
            let shown = world.read("/cdmi_domains/?children=0-0", CONTAINER);
            assert_eq!(shown["children"].as_array().unwrap().len(), 1);
        }
        "cdmi_authentication_methods" => {
            for method in value.as_array().unwrap() {
                let change = json!({"metadata": {
                    "cdmi_domain_enabled": "true", "cdmi_authentication_methods": [method],
                }});
                status(&world.call("PATCH", &path, DOMAIN, change), 204);
            }
            let wrong = json!({"metadata": {"cdmi_authentication_methods": ["telepathy"]}});
            status(&world.call("PATCH", &path, DOMAIN, wrong), 400);
        }
        _ => return false,
    }
    true
}

/// The summaries of a domain, which the server makes.
fn summary(world: &mut World, name: &str) -> bool {
    let domains = world.read("/cdmi_domains/?children", CONTAINER);
    let domain = domains["children"][0].as_str().unwrap();
    let top = format!("/cdmi_domains/{domain}cdmi_domain_summary/");
    match name {
        "cdmi_list_children" | "cdmi_list_children_range" => {
            let shown = world.read(&format!("{top}?children=0-0"), CONTAINER);
            assert_eq!(shown["children"], json!(["cumulative"]));
        }
        "cdmi_read_value" | "cdmi_size" | "cdmi_domain_summary" => {
            let shown = world.read(&format!("{top}cumulative"), OBJECT);
            let text = shown["value"].as_str().unwrap();
            assert_eq!(shown["metadata"]["cdmi_size"], text.len().to_string());
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(value["cdmi_domainURI"], format!("/cdmi_domains/{domain}"));
        }
        _ => return false,
    }
    true
}

fn perform(world: &mut World, path: &str, name: &str, value: &Value) -> bool {
    match path {
        "" => by_id(world, name) || system(world, name, value),
        "dataobject/"
        | "dataobject/versioned/"
        | "dataobject/encrypted/"
        | "dataobject/hashed/" => metadata(world, name, value) || data(world, name),
        "dataobject/dataobject_version/" => metadata(world, name, value) || version(world, name),
        "queue/" => queue(world, name) || metadata(world, name, value),
        "domain/" | "container/domains/" => domain(world, name, value),
        "container/summaries/" | "dataobject/summary/" => summary(world, name),
        "container/members/" | "dataobject/member/" => member(world, name),
        "container/snapshots/"
        | "container/snapshot/"
        | "dataobject/snapshot/"
        | "queue/snapshot/" => snapshot(world, path, name),
        _ if ["cdmi_data_retention", "cdmi_data_holds"].contains(&name) => {
            container(world, path, name)
        }
        _ => metadata(world, name, value) || container(world, path, name),
    }
}

#[test]
fn every_capability_that_is_advertised_works() {
    let fixture = Fixture::new();
    let mut world = World {
        client: fixture.client(),
        count: 0,
    };
    create(&mut world.client, "/top/", json!({}));
    create(&mut world.client, "/top/inner/", json!({}));
    let mut paths = vec![String::new()];
    let mut performed = 0;
    while let Some(path) = paths.pop() {
        let object = world.read(&format!("/cdmi_capabilities/{path}"), CAPABILITY);
        for child in object["children"].as_array().unwrap() {
            paths.push(format!("{path}{}", child.as_str().unwrap()));
        }
        for (name, value) in object["capabilities"].as_object().unwrap() {
            let known = perform(&mut world, &path, name, value);
            assert!(
                known,
                "{path}: {name} is advertised, and no operation is known for it"
            );
            performed += 1;
        }
    }
    assert!(performed > 100, "{performed}");
}
