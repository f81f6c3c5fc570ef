//! Access control lists that are set over CDMI, and what they let whom do.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::{Client, Response};

const PASSWORD: &str = "a long enough password";

pub(crate) fn user(fixture: &Fixture, name: &str, more: &str) -> Client {
    let target = format!("/-/accounts/acme/users/{name}");
    let text = format!("{{\"password\":\"{PASSWORD}\"{more}}}");
    let made = fixture.client().send("PUT", &target, &[], text.as_bytes());
    status(&made.unwrap(), 201);
    Client::new(fixture.server().address, &format!("acme/{name}"), PASSWORD)
}

pub(crate) fn entry(who: &str, mask: &str, flags: &str) -> Value {
    json!({"acetype": "ALLOW", "identifier": who, "aceflags": flags, "acemask": mask})
}

#[test]
fn lists_decide_who_reads_what() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let nobody = &mut Client::anonymous(fixture.server().address);
    create(boss, "/ac/", json!({}));
    let made = create(
        boss,
        "/ac/o",
        json!({"value": "secret", "metadata": {"a": "b"}}),
    );
    assert_eq!(made["domainURI"], "/cdmi_domains/acme/");
    assert_eq!(made["metadata"]["cdmi_acl"][0]["acemask"], "ALL_PERMS");
    status(&get(ann, "/ac/o", OBJECT), 403);
    status(&get(nobody, "/ac/o", OBJECT), 401);

    let set = |boss: &mut Client, mask: &str| {
        let owner = entry("OWNER@", "ALL_PERMS", "NO_FLAGS");
        let list = json!({"metadata": {"cdmi_acl": [owner, entry("ann", mask, "0x0")]}});
        let target = "/ac/o?metadata=cdmi_acl";
        status(&call(boss, "PATCH", target, OBJECT, list), 204);
    };
    set(boss, "READ_METADATA, READ_ATTRIBUTES");
    let seen = read(ann, "/ac/o", OBJECT);
    assert_eq!(seen["metadata"]["a"], "b");
    assert!(seen.get("value").is_none() && seen["metadata"].get("cdmi_acl").is_none());
    status(&get(ann, "/ac/o?value", OBJECT), 403);
    status(&plain(ann, "GET", "/ac/o", b""), 403);
    status(
        &call(ann, "PATCH", "/ac/o", OBJECT, json!({"value": "x"})),
        403,
    );
    status(&plain(ann, "DELETE", "/ac/o", b""), 403);
    set(boss, "0x0000001F");
    assert_eq!(read(ann, "/ac/o?value", OBJECT)["value"], "secret");
    status(
        &call(ann, "PATCH", "/ac/o", OBJECT, json!({"value": "x"})),
        204,
    );

    let flags = "OBJECT_INHERIT, CONTAINER_INHERIT";
    let list = [
        entry("OWNER@", "ALL_PERMS", flags),
        entry("EVERYONE@", "READ", flags),
    ];
    create(boss, "/ac/in/", json!({"metadata": {"cdmi_acl": list}}));
    create(boss, "/ac/in/deep/", json!({}));
    let inherited = create(boss, "/ac/in/deep/o", json!({"value": "v"}));
    let shown = &inherited["metadata"]["cdmi_acl"][1];
    assert_eq!(
        (&shown["identifier"], &shown["aceflags"]),
        (&json!("EVERYONE@"), &json!("INHERITED"))
    );
    for client in [ann, nobody] {
        assert_eq!(plain(client, "GET", "/ac/in/deep/o", b"").text(), "v");
        let refused = call(client, "PUT", "/ac/in/deep/p", OBJECT, json!({})).status;
        assert!(refused == 403 || refused == 401, "{refused}");
        let refused = call(client, "PUT", "/ac/in/sub/", CONTAINER, json!({})).status;
        assert!(refused == 403 || refused == 401, "{refused}");
    }
    let wrong = json!({"metadata": {"cdmi_acl": [entry("ann", "FLY", "0x0")]}});
    status(
        &call(boss, "PATCH", "/ac/o?metadata=cdmi_acl", OBJECT, wrong),
        400,
    );
}

/// A list that gives the owner everything, and ann what the mask says.
pub(crate) fn shared_with_ann(mask: &str) -> Value {
    json!([
        entry("OWNER@", "ALL_PERMS", "0x0"),
        entry("ann", mask, "0x0")
    ])
}

/// Who may write the value changes nothing else along with it, least of all the list.
#[test]
fn the_right_to_the_value_is_none_to_what_comes_along() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let around = shared_with_ann("TRAVERSE_CONTAINER, LIST_CONTAINER");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": around}}));
    let list = shared_with_ann("READ, WRITE_OBJECT");
    let made = json!({"value": "old", "metadata": {"a": "b", "cdmi_acl": list}});
    create(boss, "/ac/o", made);
    let until = "2026-01-01T00:00:00.000000Z/2099-01-01T00:00:00.000000Z";
    for (name, item) in [
        ("a", json!("c")),
        ("cdmi_acl", shared_with_ann("ALL_PERMS")),
        ("cdmi_hold_id", json!(["h"])),
        ("cdmi_retention_period", json!(until)),
    ] {
        let target = format!("/ac/o?value&metadata={name}");
        let change = json!({"value": "new", "metadata": {name: item.clone()}});
        status(&call(ann, "PATCH", &target, OBJECT, change), 403);
        let target = format!("/ac/o?value=0-0&metadata={name}");
        let change = json!({"value": "bg==", "metadata": {name: item}});
        status(&call(ann, "PATCH", &target, OBJECT, change), 403);
    }
    let header = [("X-CDMI-Meta-a", "c"), ("Content-Type", "text/plain")];
    for method in ["PUT", "PATCH"] {
        let sent = ann.send(method, "/cdmi/ac/o", &header, b"new");
        status(&sent.unwrap(), 403);
    }
    let now = read(boss, "/ac/o", OBJECT);
    assert_eq!(
        (&now["value"], &now["metadata"]["a"]),
        (&json!("old"), &json!("b"))
    );
    assert!(now["metadata"].get("cdmi_hold_id").is_none());
    let change = json!({"value": "new"});
    status(&call(ann, "PATCH", "/ac/o", OBJECT, change), 204);
    assert_eq!(read(boss, "/ac/o?value", OBJECT)["value"], "new");
}

/// An object's own list counts, and not that of the top-level container around it.
#[test]
fn the_list_of_an_object_gives_what_its_container_s_does_not() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let around = shared_with_ann("TRAVERSE_CONTAINER, LIST_CONTAINER");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": around}}));
    let change = json!({"value": "x"});
    for (at, (mask, metadata, value, acl, write, delete)) in [
        ("READ_METADATA", 200, 403, 403, 403, 403),
        ("READ_OBJECT", 403, 200, 403, 403, 403),
        ("READ_METADATA, READ_ACL", 200, 403, 200, 403, 403),
        ("WRITE_OBJECT", 403, 403, 403, 204, 403),
        ("DELETE", 403, 403, 403, 403, 204),
        ("ALL_PERMS", 200, 200, 200, 204, 204),
    ]
    .into_iter()
    .enumerate()
    {
        let path = &format!("/ac/o{at}");
        let document = json!({"value": "secret", "metadata": {"cdmi_acl": shared_with_ann(mask)}});
        create(boss, path, document.clone());
        status(&get(ann, &format!("{path}?metadata"), OBJECT), metadata);
        status(&get(ann, &format!("{path}?value"), OBJECT), value);
        let seen = get(ann, &format!("{path}?metadata=cdmi_acl"), OBJECT);
        let listed = seen.status == 200 && seen.text().contains("acemask");
        assert_eq!(listed, acl == 200, "{mask}: {}", seen.text());
        status(&plain(ann, "DELETE", path, b""), delete);
        if delete == 204 {
            create(boss, path, document);
        }
        let written = call(
            ann,
            "PATCH",
            &format!("{path}?value"),
            OBJECT,
            change.clone(),
        );
        status(&written, write);
        if write == 204 {
            // Who may write an object does not own it by that.
            let owner = read(boss, &format!("{path}?metadata=cdmi_owner"), OBJECT);
            assert_eq!(owner["metadata"]["cdmi_owner"], "boss", "{mask}");
        }
        if delete == 403 {
            status(&plain(ann, "DELETE", path, b""), 403);
        }
    }
    // Without a list of its own, an object has that of its container.
    create(boss, "/ac/o", change.clone());
    status(&call(ann, "PATCH", "/ac/o?value", OBJECT, change), 403);
}

/// Each right of a list gives what it is called by, and nothing else.
#[test]
fn one_right_of_a_list_gives_no_other() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let with = |mask: &str| json!({"metadata": {"cdmi_acl": shared_with_ann(mask)}});
    create(boss, "/ac/", with("TRAVERSE_CONTAINER"));
    create(boss, "/ac/o", json!({"value": "v"}));
    let set = |boss: &mut Client, mask: &str| {
        let target = "/ac/?metadata=cdmi_acl";
        status(&call(boss, "PATCH", target, CONTAINER, with(mask)), 204);
    };
    for (mask, object, container) in [
        ("ADD_OBJECT", 201, 403),
        ("ADD_SUBCONTAINER", 403, 201),
        ("ADD_OBJECT, ADD_SUBCONTAINER", 201, 201),
    ] {
        set(boss, mask);
        let name = mask.len();
        let made = call(ann, "PUT", &format!("/ac/a{name}"), OBJECT, json!({}));
        assert_eq!(made.status, object, "{mask}");
        let made = call(ann, "PUT", &format!("/ac/s{name}/"), CONTAINER, json!({}));
        assert_eq!(made.status, container, "{mask}");
    }

    set(boss, "LIST_CONTAINER");
    let seen = read(ann, "/ac/", CONTAINER);
    let fields: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["children", "childrenrange"]);
    assert!(seen["children"].as_array().unwrap().contains(&json!("o")));
    status(&get(ann, "/ac/?metadata", CONTAINER), 403);
    status(&get(ann, "/ac/?objectID", CONTAINER), 403);

    set(boss, "READ_ACL");
    let list = read(ann, "/ac/?metadata=cdmi_acl", CONTAINER);
    assert_eq!(list["metadata"]["cdmi_acl"][1]["acemask"], "READ_ACL");
    for target in [
        "/ac/",
        "/ac/?metadata",
        "/ac/?metadata=cdmi_acl&objectID",
        "/ac/?metadata=cdmi_acl&metadata=cdmi_ctime",
    ] {
        status(&get(ann, target, CONTAINER), 403);
    }
    set(boss, "ADD_OBJECT");
    let mut source = with("READ_OBJECT");
    source["metadata"]["secret"] = json!("s");
    source["value"] = json!("v");
    create(boss, "/ac/from", source);
    for document in [
        json!({"copy": "/ac/from?metadata"}),
        json!({"copy": "/ac/from"}),
        json!({"serialize": "/ac/from"}),
    ] {
        let copied = call(ann, "PUT", "/ac/to", OBJECT, document.clone());
        assert!([400, 403].contains(&copied.status), "{document}");
        status(&get(boss, "/ac/to", OBJECT), 404);
    }
    let named = json!({"copy": "/ac/from", "metadata": {"a": "b"}});
    status(&call(ann, "PUT", "/ac/to", OBJECT, named), 201);
    let made = read(boss, "/ac/to", OBJECT);
    assert_eq!(made["value"], "v");
    assert!(made["metadata"].get("secret").is_none(), "{made}");

    let put = boss.send("PUT", "/rest/ac/keys/only", &[], b"x");
    status(&put.unwrap(), 201);
    for metadata in [json!({"a": "b"}), with("ALL_PERMS")["metadata"].clone()] {
        let change = json!({"metadata": metadata});
        status(
            &call(ann, "PATCH", "/ac/keys/", CONTAINER, change.clone()),
            403,
        );
        status(&call(boss, "PATCH", "/ac/keys/", CONTAINER, change), 204);
        let removed = boss.send("DELETE", "/rest/ac/keys/", &[], b"");
        assert!(removed.unwrap().status < 300);
    }

    create(boss, "/ac/l", with("READ_ACL"));
    let list = read(ann, "/ac/l?metadata=cdmi_acl", OBJECT);
    assert_eq!(list["metadata"]["cdmi_acl"][1]["acemask"], "READ_ACL");
    for target in ["/ac/l", "/ac/l?metadata", "/ac/l?metadata=cdmi_acl&value"] {
        status(&get(ann, target, OBJECT), 403);
    }

    let queue = call(boss, "PUT", "/ac/q", QUEUE, with("READ_OBJECT"));
    status(&queue, 201);
    let value = call(boss, "POST", "/ac/q", QUEUE, json!({"value": ["one"]}));
    status(&value, 204);
    let seen = read(ann, "/ac/q", QUEUE);
    assert_eq!(seen["value"], json!(["one"]));
    assert!(seen.get("metadata").is_none(), "{seen}");
    status(&get(ann, "/ac/q?metadata", QUEUE), 403);
}

/// The dialect's own looks at a container are bound by no list: a snapshot is shown, a version made.
#[test]
fn a_list_does_not_keep_the_dialect_from_its_own_books() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let flags = "OBJECT_INHERIT, CONTAINER_INHERIT";
    let list = json!([entry("OWNER@", "ALL_PERMS", flags)]);
    let mine = json!({"metadata": {"cdmi_acl": list, "cdmi_versioning": "all"}});
    create(boss, "/ac/", mine);
    create(boss, "/ac/o", json!({"value": "one"}));
    let two = json!({"value": "two"});
    status(&call(boss, "PATCH", "/ac/o", OBJECT, two), 204);
    let metadata = read(boss, "/ac/o", OBJECT)["metadata"].clone();
    let oldest = metadata["cdmi_version_oldest"][0].as_str().unwrap();
    assert_eq!(read(boss, oldest, OBJECT)["value"], "one");
    let snapshot = json!({"snapshot": "s"});
    status(&call(boss, "PATCH", "/ac/", CONTAINER, snapshot), 201);
    let shown = read(boss, "/ac/", CONTAINER);
    assert_eq!(shown["children"], json!(["o", "cdmi_snapshots/"]));
    assert_eq!(shown["snapshots"], json!(["/ac/cdmi_snapshots/s/"]));
}

/// `cdmi_owner` is set by who may change the owner, and nobody is passed over in silence.
#[test]
fn an_owner_is_named_by_who_may_change_it() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let bob = &mut user(&fixture, "bob", "");
    let to = |name: &str| json!({"metadata": {"cdmi_owner": name}});
    let owner = |client: &mut Client, path: &str, kind: &str| {
        let shown = read(client, &format!("{path}?metadata=cdmi_owner"), kind);
        shown["metadata"]["cdmi_owner"].as_str().unwrap().to_owned()
    };
    let list = json!([
        entry("OWNER@", "ALL_PERMS", "0x3"),
        entry("boss", "ALL_PERMS", "0x3"),
        entry(
            "ann",
            "READ, WRITE_METADATA, WRITE_OBJECT, ADD_SUBCONTAINER",
            "0x3"
        ),
        entry("bob", "WRITE_OWNER", "0x3"),
    ]);
    let made = create(boss, "/hers/", to("ann"));
    assert_eq!(made["metadata"]["cdmi_owner"], "ann");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": list}}));
    for (path, kind) in [("/ac/o", OBJECT), ("/ac/in/", CONTAINER)] {
        let made = create(boss, path, to("ann"));
        assert_eq!(made["metadata"]["cdmi_owner"], "ann", "{path}");
        status(&call(boss, "PATCH", path, kind, to("boss")), 204);
        assert_eq!(owner(boss, path, kind), "boss", "{path}");
        // Who may write metadata does not change the owner, and nothing else of the request is done.
        let both = json!({"metadata": {"cdmi_owner": "ann", "a": "b"}});
        status(&call(ann, "PATCH", path, kind, both), 403);
        assert!(read(boss, path, kind)["metadata"].get("a").is_none());
        // Who sends back whose it is changes nothing.
        let same = json!({"metadata": {"cdmi_owner": "boss", "a": "b"}});
        status(&call(ann, "PATCH", path, kind, same), 204);
        // The right to change the owner is enough for that alone.
        let alone = format!("{path}?metadata=cdmi_owner");
        status(&call(bob, "PATCH", path, kind, to("bob")), 403);
        status(&call(bob, "PATCH", &alone, kind, to("bob")), 204);
        assert_eq!(owner(boss, path, kind), "bob", "{path}");
        let nobody = call(boss, "PATCH", &alone, kind, to("nobody"));
        status(&nobody, 400);
        let nothing = json!({"metadata": {}});
        status(&call(boss, "PATCH", &alone, kind, nothing), 400);
    }
    status(&call(ann, "PUT", "/ac/p", OBJECT, to("boss")), 403);
    status(&get(boss, "/ac/p", OBJECT), 404);
    status(&call(boss, "PUT", "/ac/p", OBJECT, to("nobody")), 400);
    status(&get(boss, "/ac/p", OBJECT), 404);
}

#[test]
fn data_system_metadata_is_kept_inherited_and_provided() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let wanted =
        json!({"cdmi_data_redundancy": "2", "cdmi_latency": "100", "cdmi_vendor_x": "kept"});
    create(client, "/c/", json!({"metadata": wanted}));
    create(
        client,
        "/c/in/",
        json!({"metadata": {"cdmi_latency": "50"}}),
    );
    let hashed = json!({"value": "abc", "metadata": {"cdmi_value_hash": "SHA256", "cdmi_unknown": {"a": "b"}}});
    create(client, "/c/in/o", hashed);
    let metadata = read(client, "/c/in/o", OBJECT)["metadata"].clone();
    assert_eq!(metadata["cdmi_data_redundancy"], "2");
    assert_eq!(metadata["cdmi_latency"], "50");
    assert_eq!(metadata["cdmi_unknown"], json!({"a": "b"}));
    assert!(
        metadata.get("cdmi_vendor_x").is_none(),
        "not data system metadata"
    );
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(metadata["cdmi_hash"], sha256);
    assert_eq!(metadata["cdmi_value_hash_provided"], "SHA256");
    let made =
        json!({"metadata": {"cdmi_size": "9", "cdmi_hash": "00", "cdmi_hash_provided": "x"}});
    let target = "/c/in/o?metadata=cdmi_size&metadata=cdmi_hash&metadata=cdmi_hash_provided";
    status(&call(client, "PATCH", target, OBJECT, made), 204);
    let after = read(client, "/c/in/o?metadata=cdmi_", OBJECT)["metadata"].clone();
    assert_eq!(
        (&after["cdmi_size"], &after["cdmi_hash"]),
        (&json!("3"), &json!(sha256))
    );
    assert!(after.get("cdmi_hash_provided").is_none());

    let cms = [("content-type", "application/cms")];
    status(
        &client
            .send("PUT", "/cdmi/c/cms", &cms, b"\x30\x80")
            .unwrap(),
        201,
    );
    assert_eq!(
        read(client, "/c/cms", OBJECT)["mimetype"],
        "application/cms"
    );
    create(client, "/c/ref", json!({"reference": "/c/in/o"}));
    status(
        &call(client, "PATCH", "/c/ref", OBJECT, json!({"value": "x"})),
        302,
    );
    status(&plain(client, "DELETE", "/c/ref", b""), 204);
    status(&get(client, "/c/in/o", OBJECT), 200);
}

/// What a document says beside a copy is taken as far as the query names it, with the right to each
/// part of it.
#[test]
fn what_comes_beside_a_copy_takes_its_own_right() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let around = shared_with_ann("TRAVERSE_CONTAINER, LIST_CONTAINER");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": around}}));
    let list = shared_with_ann("READ, WRITE_OBJECT");
    let made = |value: &str| json!({"value": value, "metadata": {"a": "b", "cdmi_acl": list}});
    create(boss, "/ac/o", made("old"));
    create(boss, "/ac/from", made("new"));
    let queue = json!({"metadata": {"a": "of the queue", "cdmi_acl": list}});
    status(&call(boss, "PUT", "/ac/q", QUEUE, queue), 201);
    let values = json!({"value": ["one ", "two"]});
    status(&call(boss, "POST", "/ac/q", QUEUE, values), 204);
    for from in ["/ac/from", "/ac/q"] {
        for (name, item) in [
            ("a", json!("c")),
            ("cdmi_acl", shared_with_ann("ALL_PERMS")),
            ("cdmi_hold_id", json!(["h"])),
        ] {
            let change = json!({"copy": from, "metadata": {name: item}});
            for query in [
                format!("?value&metadata={name}"),
                format!("?metadata={name}"),
            ] {
                let target = format!("/ac/o{query}");
                let sent = call(ann, "PATCH", &target, OBJECT, change.clone());
                status(&sent, 400);
            }
        }
    }
    let item = |client: &mut Client| {
        let shown = read(client, "/ac/o", OBJECT);
        let mask = shown["metadata"]["cdmi_acl"][1]["acemask"].clone();
        (shown["value"].clone(), shown["metadata"]["a"].clone(), mask)
    };
    let before = item(boss);
    assert_eq!((&before.0, &before.1), (&json!("old"), &json!("b")));
    // The list alone.
    let mut set = |query: &str, body: Value| {
        let target = format!("/ac/o{query}");
        status(&call(boss, "PATCH", &target, OBJECT, body), 204);
        item(boss)
    };
    let listed = json!({"a": "c", "cdmi_acl": shared_with_ann("READ")});
    let body = json!({"copy": "/ac/from", "metadata": listed});
    let after = set("?metadata=cdmi_acl", body.clone());
    assert_eq!(after, (json!("old"), json!("b"), json!("READ")));
    // Nothing but the value.
    let nothing = json!({"a": "z", "cdmi_acl": shared_with_ann("ALL_PERMS")});
    let after = set(
        "?value",
        json!({"copy": "/ac/from", "metadata": nothing, "mimetype": "a/b"}),
    );
    assert_eq!(after, (json!("new"), json!("b"), json!("READ")));
    // All of it, of an object and of the values of a queue.
    let listed = json!({"a": "c", "cdmi_acl": shared_with_ann("RW_ALL")});
    let after = set("", json!({"copy": "/ac/from", "metadata": listed}));
    assert_eq!(after, (json!("new"), json!("c"), json!("RW_ALL")));
    let listed = json!({"a": "d", "cdmi_acl": shared_with_ann("READ")});
    let body = json!({"copy": "/ac/q", "metadata": listed, "mimetype": "a/b"});
    assert_eq!(set("", body), (json!("one two"), json!("d"), json!("READ")));
    assert_eq!(read(boss, "/ac/o?mimetype", OBJECT)["mimetype"], "a/b");
    let held = json!({"copy": "/ac/from", "metadata": {"cdmi_hold_id": ["h"]}});
    status(&call(boss, "PATCH", "/ac/o", OBJECT, held), 204);
    status(&plain(boss, "DELETE", "/ac/o", b""), 403);
}

/// The right to the value of a source gives a copy nothing else of it.
#[test]
fn a_copy_takes_along_what_may_be_read_of_its_source() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let around = shared_with_ann("TRAVERSE_CONTAINER, LIST_CONTAINER, ADD_OBJECT");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": around}}));
    let secret = json!({"a": "secret", "cdmi_acl": shared_with_ann("READ_OBJECT")});
    let queue = json!({"metadata": secret});
    status(&call(boss, "PUT", "/ac/q", QUEUE, queue), 201);
    let values = json!({"value": ["one"]});
    status(&call(boss, "POST", "/ac/q", QUEUE, values), 204);
    create(
        boss,
        "/ac/o",
        json!({"value": "x", "vendor": "secret", "metadata": secret}),
    );
    let refused = [
        (OBJECT, json!({"copy": "/ac/q"})),
        (QUEUE, json!({"copy": "/ac/q"})),
        (OBJECT, json!({"copy": "/ac/o"})),
        (OBJECT, json!({"copy": "/ac/o", "metadata": {}})),
    ];
    for (kind, body) in refused {
        status(&call(ann, "PUT", "/ac/mine", kind, body), 400);
    }
    for (at, (kind, body)) in [
        (OBJECT, json!({"copy": "/ac/q", "metadata": {}})),
        (OBJECT, json!({"copy": "/ac/q?value"})),
        (QUEUE, json!({"copy": "/ac/q?value"})),
        (OBJECT, json!({"copy": "/ac/o?value"})),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/ac/mine{at}");
        let made = call(ann, "PUT", &target, kind, body);
        status(&made, 201);
        assert!(!made.text().contains("secret"), "{}", made.text());
        assert!(!read(boss, &target, kind)["value"].is_null());
    }
}

/// Metadata in headers of the pieces of an upload becomes the object's when it is complete, for who
/// may change it when it is given and when it is taken.
#[test]
fn metadata_beside_pieces_of_an_upload_takes_its_own_right() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let around = shared_with_ann("TRAVERSE_CONTAINER, LIST_CONTAINER");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": around}}));
    let list = shared_with_ann("READ, WRITE_OBJECT");
    let piece = |client: &mut Client, at: &str, first: usize, more: &[(&str, &str)]| {
        let range = format!("bytes {first}-{}/*", first + 2);
        let mut headers = vec![
            ("x-cdmi-partial", "upload-id=u; count=2; replace=true"),
            ("content-type", "text/plain;charset=utf-8"),
            ("content-range", range.as_str()),
        ];
        headers.extend_from_slice(more);
        let sent = client.send("PUT", &format!("/cdmi/ac/{at}"), &headers, b"new");
        sent.unwrap().status
    };
    let kept = json!({"x-cdmi-meta-a": "b", "cdmi_acl": list});
    let made = json!({"value": "old", "mimetype": "text/plain;charset=utf-8", "metadata": kept});
    create(boss, "/ac/o", made);
    let (same, other) = (("x-cdmi-meta-a", "b"), ("x-cdmi-meta-a", "c"));
    assert_eq!(piece(ann, "o", 0, &[other]), 403);
    assert_eq!(piece(ann, "o", 0, &[same]), 202);
    assert_eq!(piece(boss, "o", 0, &[other]), 202);
    // It would be ann who changes it.
    assert_eq!(piece(ann, "o", 3, &[]), 403);
    assert_eq!(read(boss, "/ac/o?value", OBJECT)["value"], "old");
    assert_eq!(piece(boss, "o", 3, &[("if-match", "\"none\"")]), 412);
    assert_eq!(piece(boss, "o", 3, &[]), 204);
    let shown = read(boss, "/ac/o", OBJECT);
    assert_eq!(
        (&shown["value"], &shown["metadata"]["x-cdmi-meta-a"]),
        (&json!("newnew"), &json!("c"))
    );
    // So it is with what an upload begins; a condition that nothing is there holds for all of it.
    let absent = ("if-none-match", "*");
    assert_eq!(piece(boss, "o", 0, &[absent]), 412);
    assert_eq!(piece(boss, "n", 0, &[absent, same]), 202);
    assert_eq!(piece(boss, "n", 3, &[absent, other]), 201);
    let shown = read(boss, "/ac/n", OBJECT);
    assert_eq!(
        (&shown["value"], &shown["metadata"]["x-cdmi-meta-a"]),
        (&json!("newnew"), &json!("c"))
    );
}

/// Who may read the metadata of a queue sees which values it has, and none of them.
#[test]
fn rights_to_queues_are_to_their_metadata_or_their_values() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let around = shared_with_ann("TRAVERSE_CONTAINER, LIST_CONTAINER");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": around}}));
    for (mask, [whole, value, values, designators, listed]) in [
        ("READ_METADATA", [200, 403, 403, 200, 403]),
        ("READ_OBJECT", [200, 200, 200, 403, 403]),
        ("READ_ACL", [403, 403, 403, 403, 200]),
        ("READ_METADATA, READ_OBJECT", [200, 200, 200, 200, 403]),
        ("WRITE_OBJECT", [403, 403, 403, 403, 403]),
    ] {
        let queue = json!({"metadata": {"a": "b", "cdmi_acl": shared_with_ann(mask)}});
        status(&call(boss, "PUT", "/ac/q", QUEUE, queue), 201);
        let two = json!({"value": ["one", "two"]});
        status(&call(boss, "POST", "/ac/q", QUEUE, two), 204);
        for (query, expected) in [
            ("", whole),
            ("?value", value),
            ("?values=2", values),
            ("?queueValues", designators),
            ("?metadata=cdmi_acl", listed),
        ] {
            let answer = get(ann, &format!("/ac/q{query}"), QUEUE);
            assert_eq!(answer.status, expected, "{mask} {query}: {}", answer.text());
            if expected == 200 && query.is_empty() {
                let shown = crate::json(&answer);
                let both = mask.contains(',');
                let of_values = mask.contains("READ_OBJECT");
                assert_eq!(shown.get("value").is_some(), of_values, "{mask}");
                assert_eq!(shown["queueValues"], "0-1", "{mask}");
                let metadata = both || !of_values;
                assert_eq!(shown.get("metadata").is_some(), metadata, "{mask}");
            }
        }
        status(&plain(boss, "DELETE", "/ac/q", b""), 204);
    }
}

/// Fields that are neither metadata nor value nor children come by a right of their own.
#[test]
fn attributes_are_seen_by_a_right_to_them_alone() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let with = |mask: &str| json!({"metadata": {"a": "b", "cdmi_acl": shared_with_ann(mask)}});
    create(boss, "/ac/", with("TRAVERSE_CONTAINER"));
    create(boss, "/ac/in/", json!({}));
    create(boss, "/ac/o", json!({"value": "v"}));
    let fields = ["objectID", "metadata", "value"];
    for (mask, seen) in [
        ("READ_ATTRIBUTES", [true, false, false]),
        ("READ_METADATA", [false, true, false]),
        ("READ_OBJECT", [false, false, true]),
        ("READ_OBJECT, READ_METADATA", [false, true, true]),
        ("READ_METADATA, READ_ATTRIBUTES", [true, true, false]),
        ("READ", [true, true, true]),
        ("WRITE_OBJECT", [false, false, false]),
    ] {
        // What is in a nested container is listed by the bucket, if its own list lets it be.
        let lists = with("LIST_CONTAINER");
        let target = "/ac/?metadata=cdmi_acl";
        status(&call(boss, "PATCH", target, CONTAINER, lists), 204);
        for (path, kind) in [
            ("/ac/o", OBJECT),
            ("/ac/in/", CONTAINER),
            ("/ac/", CONTAINER),
        ] {
            let target = format!("{path}?metadata=cdmi_acl&metadata=a");
            status(&call(boss, "PATCH", &target, kind, with(mask)), 204);
            let answer = get(ann, path, kind);
            let of_kind = fields.map(|field| match field {
                "value" if kind == CONTAINER => "children",
                field => field,
            });
            let any = seen.contains(&true);
            assert_eq!(
                answer.status == 200,
                any,
                "{mask} {path}: {}",
                answer.text()
            );
            for (field, seen) in of_kind.iter().zip(seen) {
                if any {
                    let shown = crate::json(&answer).get(*field).is_some();
                    assert_eq!(shown, seen, "{mask} {path} {field}: {}", answer.text());
                }
                let alone = get(ann, &format!("{path}?{field}"), kind);
                let expected = if seen { 200 } else { 403 };
                assert_eq!(alone.status, expected, "{mask} {path} {field}");
            }
        }
    }
}

/// The list of an object counts against that of its container for all that is done with it.
#[test]
fn the_list_of_an_object_keeps_what_its_container_s_gives() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let with = |list: Value| json!({"value": "v", "metadata": {"a": "b", "cdmi_acl": list}});
    create(
        boss,
        "/ac/",
        json!({"metadata": {"cdmi_acl": shared_with_ann("ALL_PERMS")}}),
    );
    let denied = json!([
        entry("OWNER@", "ALL_PERMS", "0x0"),
        {"acetype": "DENY", "identifier": "ann", "aceflags": "0x0", "acemask": "ALL_PERMS"},
        entry("ann", "ALL_PERMS", "0x0"),
    ]);
    let owner = json!([entry("OWNER@", "ALL_PERMS", "0x0")]);
    for (at, list) in [denied, owner].into_iter().enumerate() {
        let path = &format!("/ac/o{at}");
        create(boss, path, with(list.clone()));
        let inner = &format!("/ac/in{at}/");
        create(
            boss,
            inner,
            json!({"metadata": {"a": "b", "cdmi_acl": list.clone()}}),
        );
        let queue = &format!("/ac/q{at}");
        let metadata = json!({"metadata": {"a": "b", "cdmi_acl": list}});
        status(&call(boss, "PUT", queue, QUEUE, metadata), 201);
        for (path, kind) in [(path, OBJECT), (inner, CONTAINER), (queue, QUEUE)] {
            for query in ["", "?metadata", "?objectID", "?metadata=cdmi_acl"] {
                let answer = get(ann, &format!("{path}{query}"), kind);
                assert_eq!(answer.status, 403, "{path}{query}: {}", answer.text());
            }
        }
        let copy = json!({"copy": path});
        status(&call(ann, "PUT", "/ac/copy", OBJECT, copy), 400);
        let root = &mut fixture.client();
        let shown = read(root, path, OBJECT);
        assert_eq!(shown["metadata"]["a"], "b");
        assert!(shown.get("value").is_none());
    }
    // Nor do headers show metadata to who may read the value alone.
    for (mask, shown) in [("READ_OBJECT", None), ("READ", Some("secret"))] {
        let path = format!("/ac/h{}", mask.len());
        let item = json!({"x-object-meta-a": "secret", "cdmi_acl": shared_with_ann(mask)});
        create(boss, &path, json!({"value": "v", "metadata": item}));
        let answer = plain(ann, "GET", &path, b"");
        status(&answer, 200);
        assert_eq!(answer.header("x-object-meta-a").as_deref(), shown, "{mask}");
    }
    // So it is with what comes along with a value.
    create(boss, "/ac/w", with(shared_with_ann("READ, WRITE_OBJECT")));
    for item in [json!({"a": "c"}), json!({"a": "b", "cdmi_hold_id": ["h"]})] {
        let change = json!({"value": "new", "metadata": item});
        status(&call(ann, "PATCH", "/ac/w", OBJECT, change), 403);
    }
    let list = shared_with_ann("ALL_PERMS");
    let change = json!({"value": "new", "metadata": {"a": "b", "cdmi_acl": list}});
    status(&call(ann, "PATCH", "/ac/w", OBJECT, change), 403);
    assert_eq!(read(boss, "/ac/w?value", OBJECT)["value"], "v");
}

/// So it does for what S3's requests bring, or take, along with a value.
#[test]
fn the_list_of_an_object_counts_for_tags_that_come_along() {
    let fixture = Fixture::new();
    let keys = |key: &str| format!(",\"access_key\":\"{key}\",\"secret_key\":\"{PASSWORD}\"");
    let boss = &mut user(
        &fixture,
        "boss",
        &format!(",\"admin\":true{}", keys("BOSSKEY")),
    );
    user(&fixture, "ann", &keys("ANNSKEY"));
    let nobody = &mut Client::anonymous(fixture.server().address);
    let host = fixture.server().address.to_string();
    let mut put = |key: &str, target: &str, header: (&str, &str)| -> Response {
        let wire = Wire {
            method: "PUT".into(),
            target: target.into(),
            headers: vec![(header.0.into(), header.1.into())],
            ..Wire::default()
        };
        let wire = Signer::new(key, PASSWORD).sign(&host, wire);
        let headers = wire.headers.iter();
        let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        nobody.send("PUT", &wire.target, &headers, b"").unwrap()
    };
    create(
        boss,
        "/acs/",
        json!({"metadata": {"cdmi_acl": shared_with_ann("ALL_PERMS")}}),
    );
    let tags = ("x-amz-tagging", "a=b");
    for (at, mask) in ["READ, WRITE_OBJECT", "READ_OBJECT, WRITE_OBJECT"]
        .iter()
        .enumerate()
    {
        let path = &format!("/acs/o{at}");
        status(&put("BOSSKEY", path, tags), 200);
        let list = json!({"metadata": {"cdmi_acl": shared_with_ann(mask)}});
        let target = format!("{path}?metadata=cdmi_acl");
        status(&call(boss, "PATCH", &target, OBJECT, list), 204);
        status(&put("ANNSKEY", path, tags), 403);
        let copied = put(
            "ANNSKEY",
            &format!("/acs/copy{at}"),
            ("x-amz-copy-source", path),
        );
        assert_eq!(copied.status, [200, 403][at], "{mask}: {}", copied.text());
    }
    status(&put("ANNSKEY", "/acs/new", tags), 200);
}
