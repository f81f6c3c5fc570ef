//! CDMI over the real binary: notification queues and logging queues.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::Client;
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY};
use trestle_tests::sigv4::{Signer, Wire};

/// A notification queue for everything below `/c/`.
pub(crate) fn notified(client: &mut Client, at: &str, events: Value) {
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue",
        "cdmi_notification_events": events,
        "cdmi_scope_specification": [{"parentURI": "starts /c/"}],
        "cdmi_results_specification": {
            "cdmi_event": "", "cdmi_event_result": "", "cdmi_event_time": "",
            "cdmi_event_user": "", "objectName": "", "metadata": {"cdmi_size": ""},
        },
    }});
    status(&call(client, "PUT", at, QUEUE, queue), 201);
}

/// All values of a queue, taken out of it.
pub(crate) fn drain(client: &mut Client, at: &str) -> Vec<Value> {
    let shown = read(client, &format!("{at}?values=10000"), QUEUE);
    // An empty queue has no such field.
    let values = shown["value"].as_array().cloned().unwrap_or_default();
    if !values.is_empty() {
        let taken = format!("{at}?values={}", values.len());
        status(&plain(client, "DELETE", &taken, b""), 204);
    }
    values
}

fn events(client: &mut Client, at: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = drain(client, at);
    told.iter()
        .map(|value| (text(&value["cdmi_event"]), text(&value["objectName"])))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let expected = expected.iter();
    expected
        .map(|(event, name)| ((*event).to_owned(), (*name).to_owned()))
        .collect()
}

#[test]
fn notification_queues_are_told_what_happens() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/other/", json!({}));
    notified(client, "/other/q", json!([]));
    let shown = read(client, "/other/q", QUEUE);
    assert_eq!(shown["metadata"]["cdmi_notification_status"], "Current");
    create(client, "/c/o", json!({"value": "abc"}));
    create(client, "/other/outside", json!({"value": "abc"}));
    let told = drain(client, "/other/q");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["cdmi_event"], "cdmi_create_complete");
    assert_eq!(told[0]["cdmi_event_result"], "201 Created");
    assert_eq!(told[0]["cdmi_event_user"], "root");
    assert_eq!(told[0]["metadata"], json!({"cdmi_size": "3"}));
    assert!(told[0]["cdmi_event_time"].as_str().unwrap().ends_with('Z'));

    status(&get(client, "/c/o", OBJECT), 200);
    status(&plain(client, "GET", "/c/o", b""), 200);
    status(
        &call(client, "PATCH", "/c/o", OBJECT, json!({"value": "x"})),
        204,
    );
    create(client, "/c/copy", json!({"copy": "/c/o"}));
    create(client, "/c/ref", json!({"reference": "/c/o"}));
    create(client, "/c/moved", json!({"move": "/c/o"}));
    status(&plain(client, "DELETE", "/c/moved", b""), 204);
    status(&get(client, "/c/moved", OBJECT), 404);
    let expected = [
        ("cdmi_read", "o"),
        ("cdmi_read", "o"),
        ("cdmi_modify_complete", "o"),
        ("cdmi_create_complete", "copy"),
        ("cdmi_copy", "copy"),
        ("cdmi_create_complete", "ref"),
        ("cdmi_reference", "ref"),
        ("cdmi_rename", "moved"),
        ("cdmi_delete", "moved"),
    ];
    assert_eq!(events(client, "/other/q"), pairs(&expected));

    let target = "/cdmi/c/parts";
    let partial = [("x-cdmi-partial", "true"), ("content-type", "text/plain")];
    status(&client.send("PUT", target, &partial, b"a").unwrap(), 201);
    status(&plain(client, "PUT", "/c/parts", b"ab"), 204);
    let exports = json!({"exports": {"1": {"type": "rest"}}});
    create(client, "/c/in/", json!({}));
    status(&call(client, "PATCH", "/c/in/", CONTAINER, exports), 204);
    let expected = [
        ("cdmi_create_processing", "parts"),
        ("cdmi_create_complete", "parts"),
        ("cdmi_create_complete", "in/"),
        ("cdmi_modify_complete", "in/"),
        ("cdmi_export", "in/"),
    ];
    assert_eq!(events(client, "/other/q"), pairs(&expected));
}

#[test]
fn what_a_queue_is_told_is_fixed_until_its_type_goes() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    notified(client, "/q", json!(["cdmi_delete"]));
    let change = json!({"metadata": {"cdmi_notification_events": []}});
    let target = "/q?metadata=cdmi_notification_events";
    status(&call(client, "PATCH", target, QUEUE, change), 403);
    let bad = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": ["sleep"],
        "cdmi_scope_specification": [], "cdmi_results_specification": {},
    }});
    status(&call(client, "PUT", "/bad", QUEUE, bad), 400);

    // It is told after a start, too.
    fixture.kill();
    fixture.server = Some(fixture.launch().start());
    let client = &mut fixture.client();
    create(client, "/c/o", json!({"value": "abc"}));
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    assert_eq!(events(client, "/q"), pairs(&[("cdmi_delete", "o")]));

    let target = "/q?metadata=cdmi_queue_type";
    status(
        &call(client, "PATCH", target, QUEUE, json!({"metadata": {}})),
        204,
    );
    let shown = read(client, "/q", QUEUE);
    assert_eq!(shown["metadata"]["cdmi_notification_status"], "Halted");
    create(client, "/c/o", json!({"value": "abc"}));
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    assert!(events(client, "/q").is_empty());
}

/// An administrator of an account of her own.
fn ann_of_acme(fixture: &Fixture) -> Client {
    let password = "a long enough password";
    let text = format!("{{\"password\":\"{password}\",\"admin\":true}}");
    let target = "/-/accounts/acme/users/ann";
    let made = fixture
        .client()
        .send("PUT", target, &[], text.as_bytes())
        .unwrap();
    status(&made, 201);
    Client::new(fixture.server().address, "acme/ann", password)
}

#[test]
fn a_queue_is_told_only_what_its_creator_may_read() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    let ann = &mut ann_of_acme(&fixture);
    create(root, "/c/", json!({}));
    create(ann, "/anns/", json!({}));
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": [],
        "cdmi_scope_specification": [], "cdmi_results_specification": {"objectName": ""},
    }});
    status(&call(ann, "PUT", "/anns/q", QUEUE, queue), 201);
    create(root, "/c/secret", json!({"value": "x"}));
    create(ann, "/anns/mine", json!({"value": "x"}));
    status(&root.send("PUT", "/rest/c/secret", &[], b"y").unwrap(), 204);
    assert_eq!(drain(ann, "/anns/q"), [json!({"objectName": "mine"})]);
    // Nor is it written down that she would not have been allowed: she did not ask.
    create(root, "/c/marker", json!({"value": "x"}));
    let entries = crate::access::audited(&fixture, "object c/marker");
    let anns = |entry: &&Value| entry["who"]["name"] == "ann";
    let denied = |entry: &&Value| anns(entry) && entry["allowed"] == false;
    assert_eq!(entries.iter().find(denied), None);
    assert!(entries.iter().any(|entry| anns(&entry)));
}

#[test]
fn logging_queues_hold_messages_of_their_classes() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let log = |client: &mut Client, at: &str, classes: Value| {
        let queue = json!({"metadata": {
            "cdmi_queue_type": "cdmi_logging_queue", "cdmi_logging_class": classes,
            "cdmi_scope_specification": [{"parentURI": "== /c/"}],
        }});
        status(&call(client, "PUT", at, QUEUE, queue), 201);
    };
    log(client, "/objects", json!(["cdmi_object_logging"]));
    log(client, "/system", json!(["cdmi_datasystem_logging"]));
    log(client, "/security", json!(["cdmi_security_logging"]));
    let shown = read(client, "/objects", QUEUE);
    assert_eq!(shown["metadata"]["cdmi_logging_status"], "Current");
    create(client, "/c/o", json!({"value": "x"}));
    create(
        client,
        "/c/held",
        json!({"metadata": {"cdmi_hold_id": ["a"]}}),
    );
    status(&plain(client, "DELETE", "/c/held", b""), 403);
    let stranger = &mut Client::new(fixture.server().address, "nobody", "wrong");
    status(&get(stranger, "/c/o", OBJECT), 401);

    let objects = drain(client, "/objects");
    let first = &objects[0];
    assert_eq!(first["operation"], "PUT");
    assert_eq!(first["objectURI"], "/c/o");
    assert_eq!(first["principal"], "root");
    assert_eq!(first["result"], "201 Created");
    assert!(
        first["domainURI"]
            .as_str()
            .unwrap()
            .starts_with("/cdmi_domains/")
    );
    assert!(first["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(objects.len(), 3, "{objects:?}");
    assert_eq!(objects[2]["result"], "403 Forbidden");
    let system = drain(client, "/system");
    assert_eq!(
        (system.len(), &system[0]["objectURI"]),
        (1, &json!("/c/held"))
    );
    let security: Vec<_> = drain(client, "/security")
        .iter()
        .map(|message| message["result"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(security, ["403 Forbidden", "401 Unauthorized"]);
}

#[test]
fn a_narrowed_session_is_not_told_what_its_user_may_read() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    create(root, "/c/", json!({}));
    notified(root, "/c/q", json!([]));
    let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let asked = json!({"lifetime_seconds": 600, "policies": [{"Statement": everything}]});
    let issued = root.send("POST", "/-/tokens", &[], asked.to_string().as_bytes());
    let issued = issued.unwrap();
    status(&issued, 201);
    let narrowed = crate::json(&issued)["token"].as_str().unwrap().to_owned();

    let send = |client: &mut Client, target: &str, body: &Value| {
        let body = body.to_string();
        let made = client.send("PUT", target, &[], body.as_bytes()).unwrap();
        assert_eq!(made.status / 100, 2, "{target}: {}", made.text());
    };
    let policy = json!({"Statement": everything});
    send(root, "/-/accounts/root/policies/all", &policy);
    let role = json!({"policies": ["all"], "trust": {"Statement": {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::root:user/ann"},
        "Action": "sts:AssumeRole",
    }}});
    send(root, "/-/accounts/root/roles/reader", &role);
    let password = "a long enough password";
    let user = json!({"password": password});
    send(root, "/-/accounts/root/users/ann", &user);
    let ann = &mut Client::new(fixture.server().address, "root/ann", password);
    let asked = br#"{"session":"today","lifetime_seconds":600}"#;
    let target = "/-/accounts/root/roles/reader/sessions";
    let taken = ann.send("POST", target, &[], asked).unwrap();
    status(&taken, 201);
    let role = crate::json(&taken)["token"].as_str().unwrap().to_owned();

    let nobody = &mut Client::anonymous(fixture.server().address);
    for (name, token) in [("narrowed", narrowed), ("role", role)] {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", QUEUE),
            ("accept", QUEUE),
        ];
        let mut put = |method: &str, target: &str, body: &Value| {
            let target = format!("/cdmi/c/{target}");
            let body = body.to_string();
            let answer = nobody.send(method, &target, &headers, body.as_bytes());
            answer.unwrap()
        };
        let plain = json!({"metadata": {"colour": "red"}});
        status(&put("PUT", name, &plain), 201);
        let log = json!({"metadata": {
            "cdmi_queue_type": "cdmi_logging_queue", "cdmi_logging_class": [],
            "cdmi_scope_specification": [],
        }});
        status(&put("PUT", &format!("{name}-log"), &log), 403);
        status(&put("PATCH", name, &log), 403);
        status(
            &put("PUT", &format!("{name}-q"), &json!({"copy": "/c/q"})),
            400,
        );
        let mut serialized = log.clone();
        serialized["objectType"] = json!(QUEUE);
        let document = json!({"value": serialized.to_string()});
        create(root, &format!("/c/{name}-serial"), document);
        let uri = format!("/c/{name}-serial");
        let copy = json!({"deserialize": uri});
        status(&put("PUT", &format!("{name}-d"), &copy), 403);
        status(&put("PATCH", "q?metadata=colour", &plain), 403);
    }
}

#[test]
fn a_start_does_not_widen_what_a_queue_is_told() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/other/", json!({}));
    notified(client, "/q", json!(["cdmi_delete"]));
    create(client, "/other/serial", json!({"serialize": "/q"}));
    let serial = read(client, "/other/serial?value", OBJECT);
    let mut changed: Value = serde_json::from_str(serial["value"].as_str().unwrap()).unwrap();
    changed["metadata"]["cdmi_notification_events"] = json!([]);
    changed["metadata"]["cdmi_scope_specification"] = json!([]);
    let document = json!({"value": changed.to_string()});
    create(client, "/other/changed", document);
    let restore = json!({"deserialize": "/other/changed"});
    status(&call(client, "PATCH", "/q", QUEUE, restore), 403);

    fixture.kill();
    fixture.server = Some(fixture.launch().start());
    let client = &mut fixture.client();
    for name in ["/other/o", "/c/o"] {
        create(client, name, json!({"value": "abc"}));
        status(&plain(client, "DELETE", name, b""), 204);
    }
    assert_eq!(events(client, "/q"), pairs(&[("cdmi_delete", "o")]));
}

#[test]
fn who_reads_a_log_finds_all_refused_requests() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_logging_queue", "cdmi_scope_specification": [],
        "cdmi_logging_class": ["cdmi_security_logging"],
    }});
    status(&call(client, "PUT", "/security", QUEUE, queue), 201);
    let nobody = &mut Client::anonymous(fixture.server().address);
    let wrong = [("authorization", "Bearer nobody-gave-this")];
    for _ in 0..50 {
        let refused = nobody.send("GET", "/cdmi/", &wrong, b"").unwrap();
        status(&refused, 401);
    }
    let told = drain(client, "/security");
    assert_eq!(told.len(), 50);
    let refused = |message: &Value| message["result"] == "401 Unauthorized";
    assert!(told.iter().all(refused), "{told:?}");
    assert_eq!(drain(client, "/security"), Vec::<Value>::new());
}

/// What a queue is told is told by writing all of it: it is kept short, and says when it is full.
#[test]
fn a_full_queue_says_so_and_is_told_again_when_there_is_room() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "x".repeat(1 << 20)}));
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue",
        "cdmi_notification_events": ["cdmi_modify_complete"],
        "cdmi_scope_specification": [], "cdmi_results_specification": {"value": ""},
    }});
    status(&call(client, "PUT", "/q", QUEUE, queue), 201);
    let state = |client: &mut Client| {
        let shown = read(client, "/q?metadata=cdmi_notification_status", QUEUE);
        let state = shown["metadata"]["cdmi_notification_status"].as_str();
        state.unwrap().to_owned()
    };
    let mut changes = 0;
    while state(client) == "Current" {
        changes += 1;
        assert!(changes < 20, "the queue is never full");
        let change = json!({"metadata": {"n": changes.to_string()}});
        status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    }
    assert_eq!(
        state(client),
        "Error: the queue is full and was not told 1 messages"
    );
    let told = read(client, "/q?queueValues", QUEUE)["queueValues"].clone();
    assert_eq!(told, format!("0-{}", changes - 2));
    status(&plain(client, "DELETE", "/q?values=1", b""), 204);
    assert_eq!(state(client), "Current");
    let change = json!({"metadata": {"n": "again"}});
    status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    let told = read(client, "/q?queueValues", QUEUE)["queueValues"].clone();
    assert_eq!(told, format!("1-{}", changes - 1));
}

#[test]
fn an_account_has_so_many_queues_that_are_told() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    for at in 0..100 {
        notified(client, &format!("/c/q{at}"), json!(["cdmi_read"]));
    }
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": ["cdmi_read"],
        "cdmi_scope_specification": [], "cdmi_results_specification": "",
    }});
    status(&call(client, "PUT", "/c/more", QUEUE, queue.clone()), 400);
    // Nothing is left of it, and those that there are may still change.
    status(&get(client, "/c/more", QUEUE), 404);
    let change = json!({"metadata": {"colour": "blue"}});
    let target = "/c/q1?metadata=colour";
    status(&call(client, "PATCH", target, QUEUE, change), 204);
    status(&plain(client, "DELETE", "/c/q1", b""), 204);
    status(&call(client, "PUT", "/c/more", QUEUE, queue), 201);
}

#[test]
fn a_scope_by_id_counts_after_a_start() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/other/", json!({}));
    let made = create(client, "/c/", json!({}));
    let id = made["objectID"].as_str().unwrap();
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": [],
        "cdmi_scope_specification": [{"parentURI": format!("== /cdmi_objectid/{id}/")}],
        "cdmi_results_specification": {"cdmi_event": "", "objectName": ""},
    }});
    status(&call(client, "PUT", "/q", QUEUE, queue), 201);
    create(client, "/c/o", json!({"value": "x"}));
    fixture.kill();
    fixture.start();
    let client = &mut fixture.client();
    create(client, "/c/p", json!({"value": "x"}));
    create(client, "/other/o", json!({"value": "x"}));
    let expected = [("cdmi_create_complete", "o"), ("cdmi_create_complete", "p")];
    assert_eq!(events(client, "/q"), pairs(&expected));
}

#[test]
fn queues_are_told_what_other_dialects_do() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/other/", json!({}));
    notified(client, "/other/q", json!([]));
    let host = fixture.server().address.to_string();
    let nobody = &mut Client::anonymous(fixture.server().address);
    let by_s3 = |nobody: &mut Client, method: &str, body: &[u8]| {
        let wire = Wire {
            method: method.into(),
            target: "/c/o".into(),
            body: body.to_vec(),
            ..Wire::default()
        };
        let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(&host, wire);
        let headers = wire.headers.iter();
        let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = nobody
            .send(method, &wire.target, &headers, &wire.body)
            .unwrap();
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    };
    by_s3(nobody, "PUT", b"first");
    let told = drain(client, "/other/q");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["cdmi_event"], "cdmi_create_complete");
    assert_eq!(told[0]["cdmi_event_user"], "root");
    assert_eq!(told[0]["objectName"], "o");
    by_s3(nobody, "GET", b"");
    status(
        &client.send("PUT", "/rest/c/o", &[], b"second").unwrap(),
        204,
    );
    status(
        &client.send("GET", "/rest/c/o?metadata", &[], b"").unwrap(),
        200,
    );
    let login = [("x-auth-user", "root:root"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let url = "/v1/AUTH_root/c/o";
    let headers = [("x-auth-token", token.as_str()), ("x-object-meta-a", "b")];
    status(&nobody.send("POST", url, &headers, b"").unwrap(), 202);
    status(
        &nobody.send("DELETE", url, &headers[..1], b"").unwrap(),
        204,
    );
    status(
        &nobody.send("DELETE", url, &headers[..1], b"").unwrap(),
        404,
    );
    let expected = [
        ("cdmi_read", "o"),
        ("cdmi_modify_complete", "o"),
        ("cdmi_modify_complete", "o"),
        ("cdmi_delete", "o"),
    ];
    assert_eq!(events(client, "/other/q"), pairs(&expected));
}

/// Of a copy or a move of another dialect, what it makes and what it takes away is told.
#[test]
fn queues_are_told_of_both_ends_of_copies_and_moves() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/d/", json!({}));
    create(client, "/other/", json!({}));
    notified(client, "/other/q", json!([]));
    let host = fixture.server().address.to_string();
    let nobody = &mut Client::anonymous(fixture.server().address);
    let by_s3 = |nobody: &mut Client, target: &str, header: (&str, &str)| {
        let wire = Wire {
            method: "PUT".into(),
            target: target.into(),
            headers: vec![(header.0.into(), header.1.into())],
            ..Wire::default()
        };
        let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(&host, wire);
        let headers = wire.headers.iter();
        let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = nobody.send("PUT", &wire.target, &headers, b"").unwrap();
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    };
    status(&client.send("PUT", "/rest/c/o", &[], b"x").unwrap(), 201);
    let by_rest = |client: &mut Client, method: &str, from: &str, to: &str| {
        let headers = [("destination", to)];
        let answer = client.send(method, from, &headers, b"").unwrap();
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    };
    by_rest(client, "COPY", "/rest/c/o", "/rest/c/copy%20one");
    by_rest(client, "MOVE", "/rest/c/copy%20one", "/rest/c/moved");
    by_rest(client, "MOVE", "/rest/c/moved", "/rest/d/gone");
    let login = [("x-auth-user", "root:root"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let headers = [
        ("x-auth-token", token.as_str()),
        ("destination", "/c/again"),
    ];
    let copied = nobody.send("COPY", "/v1/AUTH_root/c/o", &headers, b"");
    status(&copied.unwrap(), 201);
    by_s3(
        nobody,
        "/c/renamed?renameObject",
        ("x-amz-rename-source", "/c/again"),
    );
    by_s3(nobody, "/c/s3", ("x-amz-copy-source", "/c/o"));
    let expected = [
        ("cdmi_create_complete", "o"),
        ("cdmi_create_complete", "copy one"),
        ("cdmi_copy", "copy one"),
        ("cdmi_rename", "moved"),
        ("cdmi_create_complete", "again"),
        ("cdmi_copy", "again"),
        ("cdmi_rename", "renamed"),
        ("cdmi_create_complete", "s3"),
        ("cdmi_copy", "s3"),
    ];
    assert_eq!(events(client, "/other/q"), pairs(&expected));
}

#[test]
fn an_account_whose_name_ends_like_the_owners_is_another() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "x"}));
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_logging_queue", "cdmi_logging_class": [],
        "cdmi_scope_specification": [{"parentURI": "== /c/"}],
    }});
    status(&call(client, "PUT", "/log", QUEUE, queue), 201);
    let nobody = &mut Client::anonymous(fixture.server().address);
    let mut ask = |account: &str| {
        let url = format!("/v1/{account}/c/o");
        status(&nobody.send("GET", &url, &[], b"").unwrap(), 401);
    };
    ask("AUTH_xroot");
    ask("xAUTH_root");
    ask("AUTH_root");
    let told = drain(client, "/log");
    let uris: Vec<_> = told.iter().map(|message| &message["objectURI"]).collect();
    // The request of the owner's account alone, in both classes.
    assert_eq!(uris, ["/c/o", "/c/o"], "{told:?}");
}

#[test]
fn a_value_that_one_queue_is_told_is_not_told_to_who_may_not_read_it() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    let ann = &mut ann_of_acme(&fixture);
    create(root, "/c/", json!({}));
    create(ann, "/anns/", json!({}));
    let readable = json!({"metadata": {"cdmi_acl": [
        {"acetype": "ALLOW", "identifier": "OWNER@", "aceflags": "0x0", "acemask": "ALL_PERMS"},
        {"acetype": "ALLOW", "identifier": "EVERYONE@", "aceflags": "0x0",
            "acemask": "READ_ATTRIBUTES, READ_METADATA"},
    ]}, "value": "first"});
    create(root, "/c/o", readable);
    let queue = |scope: Value| {
        json!({"metadata": {
            "cdmi_queue_type": "cdmi_notification_queue",
            "cdmi_notification_events": ["cdmi_read"], "cdmi_scope_specification": scope,
            "cdmi_results_specification": {"objectName": "", "value": ""},
        }})
    };
    let of_value = json!([{"value": "== c2Vjb25k", "parentURI": "== /c/"}]);
    for name in ["/q", "/r"] {
        status(
            &call(root, "PUT", name, QUEUE, queue(of_value.clone())),
            201,
        );
    }
    let other = json!([{"value": "*", "parentURI": "== /d/"}]);
    status(&call(root, "PUT", "/other", QUEUE, queue(other)), 201);
    status(&call(ann, "PUT", "/anns/q", QUEUE, queue(json!([]))), 201);
    let change = json!({"value": "second"});
    status(&call(root, "PATCH", "/c/o", OBJECT, change), 204);
    status(&root.send("GET", "/rest/c/o", &[], b"").unwrap(), 200);
    let whole = json!({"objectName": "o", "value": "c2Vjb25k"});
    for name in ["/q", "/r"] {
        assert_eq!(drain(root, name), vec![whole.clone()], "{name}");
    }
    assert_eq!(drain(root, "/other"), Vec::<Value>::new());
    assert_eq!(drain(ann, "/anns/q"), [json!({"objectName": "o"})]);
}

#[test]
fn queues_are_told_of_what_comes_by_a_host_that_names_a_bucket() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let launch = fixture.launch().variable("TRESTLE_DOMAINS", "s3.example");
    fixture.server = Some(launch.start());
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/other/", json!({}));
    notified(client, "/other/q", json!([]));
    let host = "c.s3.example";
    let wire = Wire {
        method: "PUT".into(),
        target: "/o".into(),
        body: b"first".to_vec(),
        ..Wire::default()
    };
    let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(host, wire);
    let mut text = format!("PUT /o HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n");
    for (name, value) in &wire.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("connection: close\r\n\r\nfirst");
    let address = fixture.server().address;
    let (answers, _) = trestle_tests::client::raw(address, text.as_bytes()).unwrap();
    status(&answers[0], 200);
    let client = &mut fixture.client();
    let expected = [("cdmi_create_complete", "o")];
    assert_eq!(events(client, "/other/q"), pairs(&expected));
}

/// A queue is told what its maker may read, and nobody else of the name, also after a start.
#[test]
fn a_later_user_of_the_name_does_not_go_on_watching() {
    let mut fixture = Fixture::new();
    let root = &mut fixture.client();
    create(root, "/c/", json!({}));
    let ann = &mut ann_of_acme(&fixture);
    create(ann, "/anns/", json!({}));
    notified(ann, "/anns/q", json!(["cdmi_create_complete"]));
    let list = json!({"metadata": {"cdmi_acl": [
        {"acetype": "ALLOW", "identifier": "EVERYONE@", "aceflags": "0x3", "acemask": "ALL_PERMS"},
    ]}});
    let target = "/c/?metadata=cdmi_acl";
    status(&call(root, "PATCH", target, CONTAINER, list), 204);
    let told = |fixture: &Fixture, name: &str| {
        let root = &mut fixture.client();
        create(root, &format!("/c/{name}"), json!({"value": "x"}));
        let count = read(root, "/anns/q", QUEUE)["queueValues"].clone();
        count.as_str().unwrap().to_owned()
    };
    assert_eq!(told(&fixture, "first"), "0-0");
    let user = "/-/accounts/acme/users/ann";
    status(&root.send("DELETE", user, &[], b"").unwrap(), 204);
    assert_eq!(told(&fixture, "second"), "0-0");
    ann_of_acme(&fixture);
    assert_eq!(told(&fixture, "third"), "0-0");
    fixture.stop();
    fixture.start();
    assert_eq!(told(&fixture, "fourth"), "0-0");
}
