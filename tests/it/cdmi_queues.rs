//! CDMI over the real binary: what the standard says of queues, queries and domains in a sentence each.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use crate::cdmi_watch::{drain, notified};
use serde_json::{Value, json};
use trestle_tests::Client;
use trestle_tests::client::base64;
use trestle_tests::server::PASSWORD;

const DOMAIN: &str = "application/cdmi-domain";

fn queue(client: &mut Client, at: &str, document: Value) -> Value {
    let made = call(client, "PUT", at, QUEUE, document);
    status(&made, 201);
    crate::json(&made)
}

fn enqueue(client: &mut Client, at: &str, document: Value) {
    status(&call(client, "POST", at, QUEUE, document), 204);
}

fn query(scope: Value, results: Value) -> Value {
    json!({"metadata": {
        "cdmi_queue_type": "cdmi_query_queue", "cdmi_scope_specification": scope,
        "cdmi_results_specification": results,
    }})
}

fn found(client: &mut Client, scope: Value, results: Value) -> Vec<Value> {
    queue(client, "/queries/q", query(scope, results));
    let found = drain(client, "/queries/q");
    status(&plain(client, "DELETE", "/queries/q", b""), 204);
    found
}

#[test]
fn parts_have_the_encodings_that_are_named_and_values_are_given_once() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "x"}));
    queue(client, "/c/q", json!({}));
    let mut send = |document: Value| {
        let body = format!(
            "--b\r\nContent-Type: {QUEUE}\r\n\r\n{document}\r\n--b\r\nContent-Type: \
             text/plain\r\n\r\nabc\r\n--b--\r\n"
        );
        let headers = [("content-type", "multipart/mixed; boundary=b")];
        let answer = client.send("POST", "/cdmi/c/q", &headers, body.as_bytes());
        answer.unwrap().status
    };
    assert_eq!(send(json!({"valuetransferencoding": ["utf-8"]})), 204);
    assert_eq!(send(json!({})), 204);
    assert_eq!(send(json!({"valuetransferencoding": ["json"]})), 400);
    assert_eq!(send(json!({"value": ["twice"]})), 400);
    assert_eq!(send(json!({"copy": "/c/o"})), 400);
    let shown = read(client, "/c/q?valuetransferencoding&values=9", QUEUE);
    let expected = json!({"valuetransferencoding": ["utf-8", "base64"], "value": ["abc", "YWJj"]});
    assert_eq!(shown, expected);
    // Only values of queues are deleted alone.
    for other in ["/c/o?value", "/c/?value", "/c/o?values=1", "/c/q?metadata"] {
        status(&plain(client, "DELETE", other, b""), 400);
    }
    status(&get(client, "/c/o", OBJECT), 200);
    // What brings values says nothing else, but for fields that are kept without being understood.
    let with = |name: &str, value: Value| json!({"value": ["x"], name: value});
    for refused in [
        with("metadata", json!({"a": "b"})),
        with("snapshot", json!("s")),
    ] {
        status(&call(client, "POST", "/c/q", QUEUE, refused), 400);
    }
    status(
        &call(client, "PATCH", "/c/q", QUEUE, json!({"exports": {}})),
        400,
    );
    enqueue(client, "/c/q", with("vendor", json!({"a": 1})));
    let shown = read(client, "/c/q?vendor&queueValues", QUEUE);
    assert_eq!(shown, json!({"vendor": {"a": 1}, "queueValues": "0-2"}));
}

#[test]
fn what_is_serialised_comes_back_as_what_it_is_and_as_far_as_it_is_named() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "x"}));
    queue(client, "/c/q", json!({"metadata": {"a": "1", "b": "2"}}));
    create(client, "/c/so", json!({"serialize": "/c/o"}));
    create(client, "/c/sq", json!({"serialize": "/c/q"}));
    let from = |at: &str| json!({"deserialize": at});
    let status_of = |client: &mut Client, kind: &str, source: &str| {
        call(client, "PUT", "/c/new", kind, from(source)).status
    };
    assert_eq!(status_of(client, QUEUE, "/c/so"), 400);
    assert_eq!(status_of(client, OBJECT, "/c/sq"), 400);
    let other = json!({"metadata": {"a": "x", "b": "y"}});
    status(&call(client, "PATCH", "/c/q", QUEUE, other), 204);
    let named = call(client, "PATCH", "/c/q?metadata=a", QUEUE, from("/c/sq"));
    status(&named, 204);
    let shown = read(client, "/c/q?metadata", QUEUE)["metadata"].clone();
    assert_eq!((&shown["a"], &shown["b"]), (&json!("1"), &json!("y")));
    let at_source = from("/c/sq?metadata=b");
    let both = call(client, "PATCH", "/c/q?metadata", QUEUE, at_source.clone());
    status(&both, 400);
    status(&call(client, "PATCH", "/c/q", QUEUE, at_source), 204);
    assert_eq!(read(client, "/c/q", QUEUE)["metadata"]["b"], "2");
}

#[test]
fn queries_look_at_every_field_and_at_what_has_only_an_id() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/queries/", json!({}));
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "blue"}));
    queue(client, "/c/q", json!({}));
    enqueue(client, "/c/q", json!({"value": ["old", "new"]}));
    let name = || json!({"objectName": ""});
    for (condition, expected) in [
        (json!({"valuerange": "== 0-3"}), "o"),
        (
            json!({"valuetransferencoding": "== utf-8", "objectType": "== application/cdmi-object"}),
            "o",
        ),
        (json!({"queueValues": "== 0-1"}), "q"),
        (json!({"value": format!("== {}", base64(b"old"))}), "q"),
        (json!({"children": "== o"}), "c/"),
    ] {
        let told = found(client, json!([condition]), name());
        assert_eq!(told, [json!({"objectName": expected})], "{condition}");
    }
    let whole = found(client, json!([{"objectName": "== o"}]), json!(""));
    let mut shown = read(client, "/c/o", OBJECT);
    shown["value"] = json!("Ymx1ZQ==");
    assert_eq!(whole, [shown]);
    let of_queue = found(
        client,
        json!([{"objectName": "== q"}]),
        json!({"queueValues": "", "mimetype": "", "value": ""}),
    );
    let expected = json!({"queueValues": "0-1", "mimetype": ["text/plain"], "value": ["b2xk"]});
    assert_eq!(of_queue, [expected]);
    let nameless = json!({"metadata": {"colour": "red"}});
    let made = call(client, "POST", "/cdmi_objectid/", OBJECT, nameless);
    status(&made, 201);
    let id = crate::json(&made)["objectID"].clone();
    let by_id = json!({"objectID": "", "objectName": "", "parentURI": ""});
    let told = found(client, json!([{"metadata": {"colour": "== red"}}]), by_id);
    assert_eq!(told, [json!({"objectID": id})]);
    let mut at_once = query(json!([{"objectName": "== o"}]), name());
    at_once["metadata"]["cdmi_queue_type"] = json!("cdmi_query_immediate");
    let answer = call(client, "PUT", "/queries/now", QUEUE, at_once);
    status(&answer, 201);
    assert!(
        answer
            .header("location")
            .unwrap()
            .ends_with("/cdmi/queries/now")
    );
}

#[test]
fn the_type_of_a_queue_that_watches_only_goes() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    notified(client, "/q", json!([]));
    let log = json!({"metadata": {
        "cdmi_queue_type": "cdmi_logging_queue", "cdmi_logging_class": [],
        "cdmi_scope_specification": [{"parentURI": "== /c/"}],
    }});
    queue(client, "/log", log);
    for at in ["/q", "/log"] {
        let item = format!("{at}?metadata=cdmi_queue_type");
        let other = json!({"metadata": {"cdmi_queue_type": "cdmi_query_queue"}});
        status(&call(client, "PATCH", &item, QUEUE, other), 403);
        let gone = json!({"metadata": {}});
        status(&call(client, "PATCH", &item, QUEUE, gone), 204);
    }
}

#[test]
fn what_root_makes_belongs_to_the_domain_of_its_container() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let enabled = json!({"metadata": {"cdmi_domain_enabled": "true"}});
    let domain = "/cdmi_domains/archive/";
    status(&call(client, "PUT", domain, DOMAIN, enabled), 201);
    create(client, "/c/", json!({}));
    let home = read(client, "/c/", CONTAINER)["domainURI"].clone();
    create(client, "/c/in/", json!({"domainURI": domain}));
    create(client, "/c/in/o", json!({"value": "x"}));
    create(client, "/c/in/below/", json!({}));
    status(&plain(client, "PUT", "/c/in/plain", b"x"), 201);
    let posted = call(client, "POST", "/c/in/", OBJECT, json!({"value": "x"}));
    status(&posted, 201);
    assert_eq!(crate::json(&posted)["domainURI"], domain);
    queue(client, "/c/in/q", json!({}));
    create(client, "/c/in/own", json!({"domainURI": home}));
    for (at, kind, expected) in [
        ("/c/in/o", OBJECT, json!(domain)),
        ("/c/in/below/", CONTAINER, json!(domain)),
        ("/c/in/plain", OBJECT, json!(domain)),
        ("/c/in/q", QUEUE, json!(domain)),
        ("/c/in/own", OBJECT, home),
    ] {
        assert_eq!(read(client, at, kind)["domainURI"], expected, "{at}");
    }
}

#[test]
fn what_changes_stays_whose_it_is() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let enabled = json!({"metadata": {"cdmi_domain_enabled": "true"}});
    let domain = "/cdmi_domains/archive/";
    status(&call(client, "PUT", domain, DOMAIN, enabled), 201);
    create(client, "/c/", json!({"domainURI": domain}));
    create(client, "/c/o", json!({"value": "x"}));
    create(client, "/c/other", json!({"value": "copied"}));
    queue(client, "/c/q", json!({}));
    let whose = |client: &mut Client, at: &str, kind: &str| {
        let shown = read(client, at, kind);
        let owner = shown["metadata"]["cdmi_owner"].clone();
        (shown["domainURI"].clone(), owner)
    };
    let (of_object, of_queue) = (whose(client, "/c/o", OBJECT), whose(client, "/c/q", QUEUE));
    assert_eq!(
        (&of_object.0, &of_queue.0),
        (&json!(domain), &json!(domain))
    );
    enqueue(client, "/c/q", json!({"value": ["a", "b"]}));
    assert_eq!(whose(client, "/c/q", QUEUE), of_queue, "values were added");
    status(&plain(client, "DELETE", "/c/q?value", b""), 204);
    assert_eq!(whose(client, "/c/q", QUEUE), of_queue, "one was taken");
    for change in [
        json!({"value": "y"}),
        json!({"value": {"a": 1}, "valuetransferencoding": "json", "mimetype": "application/json"}),
        json!({"copy": "/c/other"}),
        json!({"metadata": {"cdmi_encryption": "AES_GCM_256"}}),
    ] {
        status(&call(client, "PATCH", "/c/o", OBJECT, change.clone()), 204);
        assert_eq!(whose(client, "/c/o", OBJECT), of_object, "{change}");
    }
    status(&plain(client, "PUT", "/c/o", b"plain"), 204);
    assert_eq!(whose(client, "/c/o", OBJECT), of_object, "over plain HTTP");
}

#[test]
fn a_user_s_query_finds_what_they_may_read() {
    let fixture = Fixture::new();
    let boss = &mut crate::cdmi_rights::user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut crate::cdmi_rights::user(&fixture, "ann", "");
    let all = crate::cdmi_rights::entry("AUTHENTICATED@", "ALL_PERMS", "0x3");
    let list = json!({"metadata": {"cdmi_acl": [all]}});
    create(boss, "/open/", list);
    create(boss, "/open/seen", json!({"value": "x"}));
    let hidden = crate::cdmi_rights::entry("boss", "ALL_PERMS", "0x0");
    let hidden = json!({"value": "x", "metadata": {"cdmi_acl": [hidden]}});
    create(boss, "/open/unseen", hidden);
    create(boss, "/closed/", json!({}));
    create(boss, "/closed/unseen", json!({"value": "x"}));
    let scope = json!([{"objectType": "== application/cdmi-object"}]);
    let asked = query(scope, json!({"objectName": "", "parentURI": ""}));
    // It lists no buckets by policies, and needs none to.
    queue(ann, "/open/q", asked);
    let found = drain(ann, "/open/q");
    let expected = json!({"objectName": "seen", "parentURI": "/open/"});
    assert_eq!(found, [expected]);
}

#[test]
fn queues_are_told_of_what_is_in_a_top_level_container_that_is_moved() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/other/", json!({}));
    notified(client, "/other/q", json!([]));
    create(client, "/from/", json!({}));
    create(client, "/from/in/", json!({}));
    for at in ["/from/o", "/from/in/p"] {
        create(client, at, json!({"value": "x"}));
    }
    assert_eq!(told(client, "/other/q"), []);
    create(client, "/c/", json!({"move": "/from/"}));
    assert_eq!(
        told(client, "/other/q"),
        expected(&["in/", "o", "p"], &["cdmi_rename"])
    );
}

#[test]
fn changes_of_domains_are_counted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let domain = "/cdmi_domains/archive/";
    let enabled = json!({"metadata": {"cdmi_domain_enabled": "true", "cdmi_mcount": "7"}});
    let made = call(client, "PUT", domain, DOMAIN, enabled);
    status(&made, 201);
    assert_eq!(crate::json(&made)["metadata"]["cdmi_mcount"], "0");
    let count =
        |client: &mut Client, at: &str| read(client, at, DOMAIN)["metadata"]["cdmi_mcount"].clone();
    for expected in ["1", "2"] {
        let at = format!("{domain}?metadata=a");
        let change = json!({"metadata": {"a": expected}});
        status(&call(client, "PATCH", &at, DOMAIN, change), 204);
        assert_eq!(count(client, domain), expected);
    }
    create(client, "/c/", json!({"domainURI": domain}));
    assert_eq!(count(client, domain), "2", "what it has is not the domain");
}

#[test]
fn documents_are_not_sent_to_who_takes_none() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    queue(client, "/c/q", json!({}));
    for at in ["/c/q", "/cdmi_domains/root/", "/cdmi_capabilities/", "/c/"] {
        let mut asked = |accept: &str| {
            let headers = [("accept", accept)];
            let answer = client.send("GET", &format!("/cdmi{at}"), &headers, b"");
            answer.unwrap().status
        };
        assert_eq!(asked("text/plain"), 406, "{at}");
        assert_eq!(asked("text/html, */*;q=0.1"), 200, "{at}");
        assert_eq!(asked("application/json"), 200, "{at}");
    }
}

#[test]
fn domains_keep_fields_pass_metadata_on_and_are_copied_with_their_members() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let domain = |client: &mut Client, at: &str, document: Value| {
        status(&call(client, "PUT", at, DOMAIN, document), 201);
    };
    let (one, two) = ("/cdmi_domains/one/", "/cdmi_domains/two/");
    let metadata = json!({"cdmi_domain_enabled": "true", "cdmi_data_redundancy": "1", "k": "v"});
    domain(
        client,
        one,
        json!({"metadata": metadata, "vendor": {"a": [1]}}),
    );
    assert_eq!(
        read(client, "/cdmi_domains/one/?vendor", DOMAIN),
        json!({"vendor": {"a": [1]}})
    );
    domain(client, "/cdmi_domains/one/sub/", json!({}));
    let shown = read(client, "/cdmi_domains/one/sub/", DOMAIN);
    assert_eq!(shown["metadata"]["cdmi_data_redundancy"], "1");
    assert_eq!(shown["metadata"]["k"], Value::Null);

    let own = json!({"metadata": {"cdmi_domain_enabled": "true", "own": "1"}});
    domain(client, two, own);
    // The elements of a record, as metadata: so the tables of the standard call them.
    let record = json!({"metadata": {
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "jo",
        "cdmi_member_credentials": "password-of-jo", "cdmi_member_privileges": [], "note": "x",
    }});
    create(
        client,
        "/cdmi_domains/one/cdmi_domain_members/jo",
        record.clone(),
    );
    let shown = read(client, "/cdmi_domains/one/cdmi_domain_members/jo", OBJECT);
    assert_eq!(shown["metadata"]["cdmi_member_name"], "jo");
    assert_eq!(shown["metadata"]["note"], "x");
    assert!(!shown.to_string().contains("password-of-jo"));
    let mut other = record;
    other["metadata"]["cdmi_member_name"] = json!("al");
    create(client, "/cdmi_domains/two/cdmi_domain_members/al", other);

    let copy = |at: &str| json!({"copy": at});
    let both = call(
        client,
        "PATCH",
        "/cdmi_domains/two/?metadata",
        DOMAIN,
        copy("/cdmi_domains/one/?metadata"),
    );
    status(&both, 400);
    let part = copy("/cdmi_domains/one/?metadata=k");
    status(&call(client, "PATCH", two, DOMAIN, part), 204);
    let shown = read(client, two, DOMAIN)["metadata"].clone();
    assert_eq!((&shown["k"], &shown["own"]), (&json!("v"), &json!("1")));
    let members = "/cdmi_domains/two/cdmi_domain_members/";
    assert_eq!(read(client, members, CONTAINER)["children"], json!(["al"]));
    status(&call(client, "PATCH", two, DOMAIN, copy(one)), 204);
    assert_eq!(read(client, two, DOMAIN)["metadata"]["own"], Value::Null);
    assert_eq!(read(client, members, CONTAINER)["children"], json!(["jo"]));
    let login = ("two/jo", "password-of-jo");
    let jo = &mut Client::new(fixture.server().address, login.0, login.1);
    status(
        &get(jo, "/cdmi_capabilities/", "application/cdmi-capability"),
        200,
    );

    let switch = json!({"metadata": {"cdmi_member_enabled": "false"}});
    let item = format!("{members}jo?metadata=cdmi_member_enabled");
    status(&call(client, "PATCH", &item, OBJECT, switch), 204);
    let shown = read(client, &format!("{members}jo"), OBJECT)["metadata"].clone();
    assert_eq!(shown["cdmi_member_enabled"], "false");
    assert_eq!(shown["cdmi_member_name"], "jo");
    let delegation = json!({"value": json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "delegation",
        "cdmi_delegation_URI": "/cdmi_domains/one/cdmi_domain_members/",
    }).to_string()});
    create(client, &format!("{members}others"), delegation);

    // It has no list of its own, and is not deleted by who asks for less.
    let list = json!({"metadata": {"cdmi_acl": []}});
    status(
        &call(
            client,
            "PATCH",
            "/cdmi_domains/two/?metadata=cdmi_acl",
            DOMAIN,
            list,
        ),
        400,
    );
    for part in [
        "/cdmi_domains/two/?metadata",
        "/cdmi_domains/two/cdmi_domain_members/jo?value",
    ] {
        status(&plain(client, "DELETE", part, b""), 400);
    }

    // A path without its slash leads on to what is there alone.
    status(&get(client, "/cdmi_domains/one", DOMAIN), 301);
    status(&get(client, "/cdmi_domains/none", DOMAIN), 404);
    let object = json!({"value": "x"});
    for at in [
        "/cdmi_domains/none",
        "/cdmi_domains/one/cdmi_domain_summary/mine",
    ] {
        status(&call(client, "PUT", at, OBJECT, object.clone()), 400);
    }
    status(
        &call(
            client,
            "PUT",
            &format!("{members}staff/"),
            CONTAINER,
            json!({}),
        ),
        400,
    );
}

/// What has happened at keys, in order of their names.
fn told(client: &mut Client, at: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = drain(client, at);
    let told = told
        .iter()
        .inspect(|value| assert_eq!(value["cdmi_event_user"], "root"));
    let mut told: Vec<_> = told
        .map(|value| (text(&value["objectName"]), text(&value["cdmi_event"])))
        .collect();
    told.sort();
    told
}

fn expected(names: &[&str], events: &[&str]) -> Vec<(String, String)> {
    let of = |name: &&str| {
        let name = (*name).to_owned();
        events
            .iter()
            .map(move |event| (name.clone(), (*event).to_owned()))
    };
    names.iter().flat_map(of).collect()
}

#[test]
fn queues_are_told_of_all_that_a_request_does() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let launch = fixture
        .launch()
        .variable("TRESTLE_SWIFT_DOMAIN", "swift.example");
    fixture.server = Some(launch.start());
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/other/", json!({}));
    notified(client, "/other/q", json!([]));
    let (created, deleted) = (["cdmi_create_complete"], ["cdmi_delete"]);

    // A transaction of REST.
    let verbs = json!({"verbs": [
        {"verb": "put", "bucket": "c", "key": "d/a", "text": "1"},
        {"verb": "put", "bucket": "c", "key": "d/b", "text": "2"},
        {"verb": "put", "bucket": "c", "key": "e", "text": "3"},
    ]});
    let headers = [("content-type", "application/json")];
    let verbs = verbs.to_string();
    let done = client.send("POST", "/-/transactions", &headers, verbs.as_bytes());
    status(&done.unwrap(), 200);
    assert_eq!(
        told(client, "/other/q"),
        expected(&["a", "b", "e"], &created)
    );

    // What is in a container that is copied, deleted or moved.
    create(client, "/c/f/", json!({"copy": "/c/d/"}));
    let copied = ["cdmi_copy", "cdmi_create_complete"];
    assert_eq!(
        told(client, "/other/q"),
        expected(&["a", "b", "f/"], &copied)
    );
    create(client, "/c/g/", json!({"move": "/c/f/"}));
    assert_eq!(
        told(client, "/other/q"),
        expected(&["a", "b", "g/"], &["cdmi_rename"])
    );
    status(&plain(client, "DELETE", "/c/g/", b""), 204);
    assert_eq!(
        told(client, "/other/q"),
        expected(&["a", "b", "g/"], &deleted)
    );
    queue(client, "/other/values", json!({}));
    enqueue(client, "/other/values", json!({"move": "/c/e"}));
    assert_eq!(told(client, "/other/q"), expected(&["e"], &deleted));

    // A bulk request of Swift, and what comes by a host that names the container.
    let nobody = &mut Client::anonymous(fixture.server().address);
    let login = [("x-auth-user", "root:root"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let headers = [
        ("x-auth-token", token.as_str()),
        ("content-type", "text/plain"),
    ];
    let bulk = nobody.send(
        "POST",
        "/v1/AUTH_root?bulk-delete",
        &headers,
        b"c/d/a\nc/d/b\n",
    );
    status(&bulk.unwrap(), 200);
    assert_eq!(told(client, "/other/q"), expected(&["a", "b"], &deleted));
    let text = format!(
        "PUT /by%20host HTTP/1.1\r\nhost: c.auth-root.swift.example\r\nx-auth-token: \
         {token}\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx"
    );
    let address = fixture.server().address;
    let (answers, _) = trestle_tests::client::raw(address, text.as_bytes()).unwrap();
    status(&answers[0], 201);
    assert_eq!(told(client, "/other/q"), expected(&["by host"], &created));
}

#[test]
fn queues_are_told_of_domains() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let watching = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": [],
        "cdmi_scope_specification": [{"objectType": "== application/cdmi-domain"}],
        "cdmi_results_specification": {"cdmi_event": "", "objectName": "", "cdmi_event_user": ""},
    }});
    create(client, "/other/", json!({}));
    queue(client, "/other/q", watching);
    let at = "/cdmi_domains/one/";
    status(&call(client, "PUT", at, DOMAIN, json!({})), 201);
    let update = json!({"metadata": {"a": "b"}});
    status(&call(client, "PATCH", at, DOMAIN, update), 204);
    status(&get(client, at, DOMAIN), 200);
    status(&plain(client, "DELETE", at, b""), 204);
    let happened = [
        "cdmi_create_complete",
        "cdmi_delete",
        "cdmi_modify_complete",
        "cdmi_read",
    ];
    assert_eq!(told(client, "/other/q"), expected(&["one/"], &happened));
}
