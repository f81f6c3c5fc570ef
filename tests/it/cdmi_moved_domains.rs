//! CDMI over the real binary: domains that are moved, with all that is theirs.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use crate::cdmi_domains::{DOMAIN, enabled, make};
use crate::cdmi_members::put;
use crate::cdmi_watch::drain;
use serde_json::{Value, json};
use trestle_tests::Client;

fn moved(client: &mut Client, from: &str, to: &str) -> u16 {
    call(client, "PUT", to, DOMAIN, json!({"move": from})).status
}

fn member(client: &mut Client, domain: &str, name: &str) {
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": name,
        "cdmi_member_credentials": "a long enough password",
        "cdmi_member_privileges": ["administrator"],
    });
    let path = format!("{domain}cdmi_domain_members/{name}");
    assert_eq!(put(client, &path, &record), 201);
}

/// The domain keeps its id, its members, its objects and what is below it; only its place is another.
#[test]
fn a_domain_is_moved_with_all_that_is_its_own() {
    let mut fixture = Fixture::new();
    let root = &mut fixture.client();
    let a = make(root, "/cdmi_domains/a/", enabled());
    let b = make(root, "/cdmi_domains/a/b/", enabled());
    make(root, "/cdmi_domains/c/", enabled());
    member(root, "/cdmi_domains/a/b/", "ann");
    let record = "/cdmi_domains/a/b/cdmi_domain_members/ann";
    let record = read(root, record, OBJECT)["objectID"].clone();
    let address = fixture.server().address;
    let login = "a|b/ann";
    let ann = &mut Client::new(address, login, "a long enough password");
    let made = create(ann, "/anns/", json!({}));
    assert_eq!(made["domainURI"], "/cdmi_domains/a/b/");
    create(ann, "/anns/o", json!({"value": "v"}));

    let answer = call(
        root,
        "PUT",
        "/cdmi_domains/c/d/",
        DOMAIN,
        json!({"move": "/cdmi_domains/a/"}),
    );
    status(&answer, 201);
    let location = answer.header("location").unwrap();
    assert!(location.ends_with("/cdmi/cdmi_domains/c/d/"), "{location}");
    let shown = crate::json(&answer);
    assert_eq!(shown["objectID"], a["objectID"]);
    assert_eq!(shown["objectName"], "d/");
    assert_eq!(shown["parentURI"], "/cdmi_domains/c/");
    let c = read(root, "/cdmi_domains/c/", DOMAIN);
    assert_eq!(shown["parentID"], c["objectID"]);
    assert!(c["children"].as_array().unwrap().contains(&json!("d/")));
    for gone in ["/cdmi_domains/a/", "/cdmi_domains/a/b/"] {
        status(&get(root, gone, DOMAIN), 404);
    }
    let top = read(root, "/cdmi_domains/", CONTAINER)["children"].clone();
    assert!(!top.as_array().unwrap().contains(&json!("a/")), "{top}");
    let look = |fixture: &Fixture| {
        let root = &mut fixture.client();
        let ann = &mut Client::new(fixture.server().address, login, "a long enough password");
        let below = read(root, "/cdmi_domains/c/d/b/", DOMAIN);
        assert_eq!(below["objectID"], b["objectID"]);
        let by_id = format!("/cdmi_objectid/{}/", b["objectID"].as_str().unwrap());
        assert_eq!(
            read(root, &by_id, DOMAIN)["domainURI"],
            "/cdmi_domains/c/d/b/"
        );
        let at = "/cdmi_domains/c/d/b/cdmi_domain_members/ann";
        assert_eq!(read(root, at, OBJECT)["objectID"], record);
        let by_id = format!("/cdmi_objectid/{}", record.as_str().unwrap());
        assert_eq!(read(root, &by_id, OBJECT)["objectName"], "ann");
        let parent = "/cdmi_domains/c/d/b/cdmi_domain_members/parent";
        let leads = read(root, parent, OBJECT)["value"].clone();
        let leads: Value = serde_json::from_str(leads.as_str().unwrap()).unwrap();
        assert_eq!(leads["cdmi_delegation_URI"], "/cdmi_domains/c/d/");
        let object = read(ann, "/anns/o", OBJECT);
        assert_eq!(object["domainURI"], "/cdmi_domains/c/d/b/");
        assert_eq!(object["value"], "v");
    };
    look(&fixture);
    fixture.stop();
    fixture.start();
    look(&fixture);

    // What it passes on and whether it may be deleted goes by where it is.
    let root = &mut fixture.client();
    let passed = json!({"metadata": {"cdmi_value_hash": "SHA256"}});
    let target = "/cdmi_domains/c/?metadata=cdmi_value_hash";
    status(&call(root, "PATCH", target, DOMAIN, passed), 204);
    let inherited = read(root, "/cdmi_domains/c/d/b/", DOMAIN)["metadata"].clone();
    assert_eq!(inherited["cdmi_value_hash"], "SHA256", "{inherited}");
    status(&plain(root, "DELETE", "/cdmi_domains/c/", b""), 400);
    // An object is given to it by its new path.
    create(
        root,
        "/given/",
        json!({"domainURI": "/cdmi_domains/c/d/b/"}),
    );
    assert_eq!(
        read(root, "/given/", CONTAINER)["domainURI"],
        "/cdmi_domains/c/d/b/"
    );
    // Back, and further by its id.
    assert_eq!(moved(root, "/cdmi_domains/c/d/", "/cdmi_domains/a/"), 201);
    assert_eq!(
        read(root, "/cdmi_domains/a/b/", DOMAIN)["objectID"],
        b["objectID"]
    );
    let id = format!("/cdmi_objectid/{}/", b["objectID"].as_str().unwrap());
    assert_eq!(moved(root, &id, "/cdmi_domains/b/"), 201);
    assert_eq!(
        read(root, "/cdmi_domains/b/", DOMAIN)["objectID"],
        b["objectID"]
    );
}

#[test]
fn a_domain_is_not_moved_where_it_cannot_be() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    for path in ["/cdmi_domains/a/", "/cdmi_domains/a/b/", "/cdmi_domains/c/"] {
        make(root, path, enabled());
    }
    let own = read(root, "/", CONTAINER)["domainURI"]
        .as_str()
        .unwrap()
        .to_owned();
    for (from, to, expected) in [
        ("/cdmi_domains/a/", "/cdmi_domains/c/", 409),
        ("/cdmi_domains/a/", "/cdmi_domains/a/b/c/", 400),
        ("/cdmi_domains/a/", "/cdmi_domains/a/x/", 400),
        ("/cdmi_domains/none/", "/cdmi_domains/x/", 400),
        ("/cdmi_domains/a/", "/cdmi_domains/none/x/", 404),
        ("/cdmi_domains/a/", "/cdmi_domains/cdmi_x/", 400),
        ("/c/", "/cdmi_domains/x/", 400),
        (own.as_str(), "/cdmi_domains/x/", 400),
    ] {
        assert_eq!(moved(root, from, to), expected, "{from} {to}");
    }
    // Metadata that means nothing leaves it where it was.
    let wrong = json!({"move": "/cdmi_domains/a/", "metadata": {"cdmi_domain_enabled": "perhaps"}});
    status(&call(root, "PUT", "/cdmi_domains/x/", DOMAIN, wrong), 400);
    read(root, "/cdmi_domains/a/b/", DOMAIN);
    status(&get(root, "/cdmi_domains/x/", DOMAIN), 404);
    // Who does not administer accounts moves none.
    member(root, "/cdmi_domains/c/", "bob");
    let address = fixture.server().address;
    let bob = &mut Client::new(address, "c/bob", "a long enough password");
    assert_eq!(moved(bob, "/cdmi_domains/c/", "/cdmi_domains/x/"), 403);
    assert_eq!(moved(bob, "/cdmi_domains/a/b/", "/cdmi_domains/c/b/"), 403);
}

#[test]
fn queues_are_told_of_a_domain_that_is_moved() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    make(root, "/cdmi_domains/a/", enabled());
    create(root, "/c/", json!({}));
    let queue = json!({"metadata": {
        "cdmi_queue_type": "cdmi_notification_queue", "cdmi_notification_events": [],
        "cdmi_scope_specification": [{"objectType": "== application/cdmi-domain"}],
        "cdmi_results_specification": {"cdmi_event": "", "objectName": "", "parentURI": ""},
    }});
    status(&call(root, "PUT", "/c/q", QUEUE, queue), 201);
    make(root, "/cdmi_domains/b/", enabled());
    assert_eq!(moved(root, "/cdmi_domains/a/", "/cdmi_domains/b/x/"), 201);
    let expected = [
        json!({"cdmi_event": "cdmi_create_complete", "objectName": "b/", "parentURI": "/cdmi_domains/"}),
        json!({"cdmi_event": "cdmi_rename", "objectName": "x/", "parentURI": "/cdmi_domains/b/"}),
    ];
    assert_eq!(drain(root, "/c/q"), expected);
}

/// A name stays its account's while the account's domain is elsewhere, and an account that is made
/// under the name that a domain was moved to is found beside it.
#[test]
fn names_of_accounts_and_places_of_domains_are_two_things() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    let a = make(root, "/cdmi_domains/a/", enabled());
    assert_eq!(moved(root, "/cdmi_domains/a/", "/cdmi_domains/b/"), 201);
    let again = call(root, "PUT", "/cdmi_domains/a/", DOMAIN, enabled());
    status(&again, 409);
    let member = "/cdmi_domains/a/cdmi_domain_members/x";
    status(&call(root, "PUT", member, DOMAIN, json!({})), 404);
    let other = root.send("PUT", "/-/accounts/b", &[], b"").unwrap();
    assert!(other.status < 300, "{}", other.text());
    assert_eq!(
        read(root, "/cdmi_domains/b/", DOMAIN)["objectID"],
        a["objectID"]
    );
    let beside = read(root, "/cdmi_domains/b%7C/", DOMAIN);
    assert_eq!(beside["objectName"], "b|/");
    assert_ne!(beside["objectID"], a["objectID"]);
    // When the domain goes, its place and its name are free again.
    status(&plain(root, "DELETE", "/cdmi_domains/b/", b""), 204);
    assert_eq!(
        read(root, "/cdmi_domains/b/", DOMAIN)["objectID"],
        beside["objectID"]
    );
    make(root, "/cdmi_domains/a/", enabled());
}
