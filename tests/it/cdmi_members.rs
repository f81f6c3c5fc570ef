//! CDMI over the real binary: the members of domains, which are the users and groups of accounts.

use crate::Fixture;
use crate::access::{PASSWORD, user};
use crate::cdmi::{CONTAINER, OBJECT, call, create, get, plain, read, status};
use crate::cdmi_domains::{DOMAIN, enabled, make};
use serde_json::{Value, json};
use trestle_tests::Client;

fn domain(client: &mut Client, path: &str) {
    make(client, path, enabled());
}

/// A user of the standard's example.
fn john() -> Value {
    json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user",
        "cdmi_member_name": "John Doe", "cdmi_member_credentials": "p+5/oX1cmExfOIrUxhX1lw==",
        "cdmi_member_groups": ["users"], "cdmi_member_principal": "jdoe",
        "cdmi_member_privileges": ["administrator", "cross_domain"],
    })
}

pub(crate) fn put(client: &mut Client, at: &str, record: &Value) -> u16 {
    let document = json!({"mimetype": "application/json", "value": record.to_string()});
    call(client, "PUT", at, OBJECT, document).status
}

fn record(client: &mut Client, at: &str) -> Value {
    let shown = read(client, at, OBJECT);
    serde_json::from_str(shown["value"].as_str().unwrap()).unwrap()
}

/// What somebody gets who asks for what everybody may see that is known.
fn login(fixture: &Fixture, user: &str, password: &str) -> u16 {
    let mut client = Client::new(fixture.server().address, user, password);
    let kind = "application/cdmi-capability";
    get(&mut client, "/cdmi_capabilities/", kind).status
}

#[test]
fn members_are_the_users_and_groups_of_the_account() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/acme/");
    let top = "/cdmi_domains/acme/cdmi_domain_members/";
    assert_eq!(read(client, top, CONTAINER)["children"], json!([]));
    let at = format!("{top}john_doe");
    let document = json!({"value": john().to_string(), "metadata": {"desk": "12"}});
    let made = call(client, "PUT", &at, OBJECT, document);
    status(&made, 201);
    let made = crate::json(&made);
    assert_eq!(
        (&made["objectName"], &made["parentURI"]),
        (&json!("john_doe"), &json!(top))
    );
    assert_eq!(made["domainURI"], "/cdmi_domains/acme/");
    let shown = read(client, &at, OBJECT);
    assert_eq!(shown["metadata"]["desk"], "12");
    let mut expected = john();
    expected
        .as_object_mut()
        .unwrap()
        .remove("cdmi_member_credentials");
    assert_eq!(record(client, &at), expected);
    let bytes = plain(client, "GET", &at, b"");
    assert_eq!(
        bytes.header("content-type").as_deref(),
        Some("application/json")
    );
    // They are the account's, however they are looked at.
    let user = crate::send(client, "GET", "/-/accounts/acme/users/jdoe");
    let user = crate::json(&user);
    assert_eq!(
        (&user["admin"], &user["groups"]),
        (&json!(true), &json!(["users"]))
    );
    let ann = client.send("PUT", "/-/accounts/acme/users/ann", &[], b"{}");
    status(&ann.unwrap(), 201);
    let listed = read(client, top, CONTAINER);
    assert_eq!(listed["children"], json!(["ann", "john_doe", "users"]));
    assert_eq!(
        record(client, &format!("{top}ann"))["cdmi_member_name"],
        "ann"
    );
    let group = record(client, &format!("{top}users"));
    assert_eq!(group["cdmi_member_type"], "group");
    for (other, expected) in [("jdoe", 404), ("nobody", 404), ("cdmi_x", 404)] {
        status(&get(client, &format!("{top}{other}"), OBJECT), expected);
    }
    assert_eq!(put(client, &format!("{top}again"), &john()), 409);
    for path in [format!("{top}in/"), format!("{top}in/deep")] {
        status(&get(client, &path, CONTAINER), 404);
    }
    let mut wrong = john();
    wrong["cdmi_member_privileges"] = json!(["owner"]);
    assert_eq!(put(client, &format!("{top}wrong"), &wrong), 400);
    // With a domain go its members.
    status(&plain(client, "DELETE", "/cdmi_domains/acme/", b""), 204);
    assert_eq!(
        login(&fixture, "acme/jdoe", "p+5/oX1cmExfOIrUxhX1lw=="),
        401
    );
}

#[test]
fn members_log_in_and_are_switched_off() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/acme/");
    let at = "/cdmi_domains/acme/cdmi_domain_members/john_doe";
    assert_eq!(put(client, at, &john()), 201);
    let password = "p+5/oX1cmExfOIrUxhX1lw==";
    for name in ["acme/John Doe", "acme/jdoe"] {
        assert_eq!(login(&fixture, name, password), 200, "{name}");
        assert_eq!(login(&fixture, name, "wrong"), 401, "{name}");
    }
    let mut off = john();
    off["cdmi_member_enabled"] = json!("false");
    off.as_object_mut()
        .unwrap()
        .remove("cdmi_member_credentials");
    assert_eq!(put(client, at, &off), 204);
    assert_eq!(login(&fixture, "acme/jdoe", password), 403);
    assert_eq!(login(&fixture, "acme/jdoe", "wrong"), 401);
    off["cdmi_member_enabled"] = json!("true");
    off["cdmi_member_credentials"] = json!("another long password");
    assert_eq!(put(client, at, &off), 204);
    assert_eq!(
        login(&fixture, "acme/John Doe", "another long password"),
        200
    );
    // Who administers one domain confers no rights over others.
    let address = fixture.server().address;
    let john = &mut Client::new(address, "acme/jdoe", "another long password");
    let top = "/cdmi_domains/acme/cdmi_domain_members/";
    let member = |privileges: Value| {
        json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "bob",
            "cdmi_member_privileges": privileges,
        })
    };
    let bob = format!("{top}bob");
    assert_eq!(put(john, &bob, &member(json!(["cross_domain"]))), 403);
    assert_eq!(put(john, &bob, &member(json!([]))), 201);
    assert_eq!(put(john, &bob, &member(json!(["cross_domain"]))), 403);
    status(&plain(john, "DELETE", &bob, b""), 204);
    status(&plain(client, "DELETE", at, b""), 204);
    assert_eq!(login(&fixture, "acme/jdoe", "another long password"), 401);
}

#[test]
fn a_domain_begins_with_the_members_of_its_parent() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/outer/");
    domain(client, "/cdmi_domains/outer/inner/");
    let top = "/cdmi_domains/outer/inner/cdmi_domain_members/";
    let parent = format!("{top}parent");
    let delegation = |enabled: &str| {
        json!({
            "cdmi_member_enabled": enabled, "cdmi_member_type": "delegation",
            "cdmi_delegation_URI": "/cdmi_domains/outer/",
        })
    };
    assert_eq!(record(client, &parent), delegation("true"));
    let member = |name: &str| {
        json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": name,
            "cdmi_member_credentials": "a long password", "cdmi_member_groups": ["all"],
            "cdmi_member_privileges": ["administrator"],
        })
    };
    assert_eq!(put(client, &format!("{top}in"), &member("in")), 201);
    let of_outer = "/cdmi_domains/outer/cdmi_domain_members/out";
    assert_eq!(put(client, of_outer, &member("out")), 201);
    let address = fixture.server().address;
    let inner = &mut Client::new(address, "outer|inner/in", "a long password");
    let outer = &mut Client::new(address, "outer/out", "a long password");
    let everybody = json!({"metadata": {"cdmi_acl": [{
        "acetype": "ALLOW", "identifier": "EVERYONE@", "aceflags": "0x3", "acemask": "ALL_PERMS",
    }]}});
    create(inner, "/shared/", everybody);
    status(&get(outer, "/shared/", CONTAINER), 200);
    assert_eq!(put(client, &parent, &delegation("false")), 204);
    status(&get(outer, "/shared/", CONTAINER), 403);
    status(&get(inner, "/shared/", CONTAINER), 200);
    status(&plain(client, "DELETE", &parent, b""), 204);
    status(&get(outer, "/shared/", CONTAINER), 200);
    let group = json!({
        "cdmi_member_enabled": "false", "cdmi_member_type": "group", "cdmi_member_name": "all",
    });
    assert_eq!(put(client, &format!("{top}all"), &group), 204);
    status(&get(inner, "/shared/", CONTAINER), 403);
    let mut elsewhere = delegation("true");
    for wrong in [
        "ldap://directory.example.com/",
        "/cdmi_domains/none/",
        "/shared/",
    ] {
        elsewhere["cdmi_delegation_URI"] = json!(wrong);
        assert_eq!(put(client, &parent, &elsewhere), 400, "{wrong}");
    }
}

/// What the server makes leads to itself by its id, once it was shown, and so does what is below it.
#[test]
fn what_the_server_makes_is_found_by_its_id() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/acme/");
    let top = "/cdmi_domains/acme/cdmi_domain_members/";
    let at = format!("{top}john_doe");
    assert_eq!(put(client, &at, &john()), 201);
    create(client, "/c/", json!({}));
    let taken = json!({"snapshot": "s"});
    status(&call(client, "PATCH", "/c/", CONTAINER, taken), 201);
    let id = |client: &mut Client, at: &str, kind: &str| {
        let shown = read(client, at, kind);
        format!("/cdmi_objectid/{}", shown["objectID"].as_str().unwrap())
    };
    for (at, slash, kind) in [
        (at.as_str(), "", OBJECT),
        (top, "/", CONTAINER),
        ("/cdmi_domains/acme/cdmi_domain_summary/", "/", CONTAINER),
        (
            "/cdmi_domains/acme/cdmi_domain_summary/cumulative",
            "",
            OBJECT,
        ),
        ("/c/cdmi_snapshots/", "/", CONTAINER),
        ("/cdmi_domains/", "/", CONTAINER),
    ] {
        let by_id = format!("{}{slash}", id(client, at, kind));
        let (by_name, by_id) = (read(client, at, kind), read(client, &by_id, kind));
        assert_eq!(by_name["objectID"], by_id["objectID"], "{at}");
        assert_eq!(by_name["objectName"], by_id["objectName"]);
    }
    let below = format!("{}/john_doe", id(client, top, CONTAINER));
    assert_eq!(read(client, &below, OBJECT)["objectName"], "john_doe");
    let record = id(client, &at, OBJECT);
    let mut off = john();
    off["cdmi_member_enabled"] = json!("false");
    assert_eq!(put(client, &record, &off), 204);
    let nobody = &mut Client::anonymous(fixture.server().address);
    status(&get(nobody, &record, OBJECT), 404);
    status(&plain(client, "DELETE", &record, b""), 204);
    status(&get(client, &record, OBJECT), 404);
}

/// Who backs a domain up is bound by no list of it, and by those of others.
#[test]
fn a_backup_operator_is_bound_by_no_list_of_the_domain() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let address = fixture.server().address;
    let mut users = Vec::new();
    for (domain_name, name, privileges) in [
        ("acme", "boss", json!(["administrator"])),
        ("acme", "saver", json!(["backup_operator"])),
        ("other", "boss", json!(["administrator"])),
    ] {
        let path = format!("/cdmi_domains/{domain_name}/");
        if get(client, &path, DOMAIN).status == 404 {
            domain(client, &path);
        }
        let member = json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": name,
            "cdmi_member_credentials": "a long password", "cdmi_member_privileges": privileges,
        });
        let at = format!("{path}cdmi_domain_members/{name}");
        assert_eq!(put(client, &at, &member), 201);
        assert_eq!(record(client, &at)["cdmi_member_privileges"], privileges);
        users.push(Client::new(
            address,
            &format!("{domain_name}/{name}"),
            "a long password",
        ));
    }
    let [boss, saver, other] = &mut users[..] else {
        panic!("three users");
    };
    let own = json!({"cdmi_acl": [{
        "acetype": "ALLOW", "identifier": "OWNER@", "aceflags": "0x3", "acemask": "ALL_PERMS",
    }, {
        "acetype": "DENY", "identifier": "saver", "aceflags": "0x3", "acemask": "ALL_PERMS",
    }]});
    for (owner, at, expected) in [(boss, "/ours/", 200), (other, "/theirs/", 403)] {
        create(owner, at, json!({"metadata": own}));
        create(owner, &format!("{at}in/"), json!({"metadata": own}));
        let object = format!("{at}in/o");
        create(owner, &object, json!({"value": "x", "metadata": own}));
        assert_eq!(get(saver, &object, OBJECT).status, expected, "{at}");
        assert_eq!(get(saver, at, CONTAINER).status, expected, "{at}");
        let written = if expected == 200 { 204 } else { 403 };
        let changed = json!({"value": "y", "metadata": {"a": "b"}});
        let changed = call(saver, "PATCH", &object, OBJECT, changed);
        assert_eq!(changed.status, written, "{at}: {}", changed.text());
        let made = call(saver, "PUT", &format!("{at}in/new/"), CONTAINER, json!({}));
        assert_eq!(made.status, if expected == 200 { 201 } else { 403 }, "{at}");
        // Over other dialects the privilege is none.
        let read = saver.send("GET", &format!("/rest{object}"), &[], b"");
        status(&read.unwrap(), 403);
    }
    let at = "/cdmi_domains/acme/cdmi_domain_members/saver";
    let member = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "saver",
        "cdmi_member_privileges": [],
    });
    assert_eq!(put(client, at, &member), 204);
    status(&get(saver, "/ours/in/o", OBJECT), 403);
}

/// The right to change users gives nobody a privilege that they have not.
#[test]
fn a_privilege_over_lists_is_conferred_by_administrators() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/acme/");
    let rights = r#"{"Effect":"Allow","Action":["iam:*","trestle:*"],"Resource":"*"}"#;
    let mut climber = user(fixture.server(), ("acme", "climber"), false, rights);
    let at = "/cdmi_domains/acme/cdmi_domain_members/climber";
    let member = |privileges: Value| {
        json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user",
            "cdmi_member_name": "climber", "cdmi_member_privileges": privileges,
        })
    };
    let plainly = put(&mut climber, at, &member(json!([])));
    assert_eq!(plainly, 204, "what is not conferred may be changed");
    for privilege in ["backup_operator", "cross_domain"] {
        let climbed = put(&mut climber, at, &member(json!([privilege])));
        assert_eq!(climbed, 403, "{privilege}");
    }
    assert_eq!(put(client, at, &member(json!(["backup_operator"]))), 204);
    // Who has it already keeps it when something else of the record is changed.
    assert_eq!(
        put(&mut climber, at, &member(json!(["backup_operator"]))),
        204
    );
}

/// What a record says of a user or group is of that one, and of none that has the name later.
#[test]
fn a_privilege_ends_with_the_user_or_group_that_had_it() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/acme/");
    let top = "/cdmi_domains/acme/cdmi_domain_members/";
    let own = json!({"metadata": {"cdmi_acl": [{
        "acetype": "ALLOW", "identifier": "OWNER@", "aceflags": "0x3", "acemask": "ALL_PERMS",
    }]}});
    let rights = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let boss = &mut user(fixture.server(), ("acme", "boss"), true, rights);
    create(boss, "/ours/", own);
    create(boss, "/ours/o", json!({"value": "x"}));
    let mut member = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "Keeper",
        "cdmi_member_principal": "saver", "cdmi_member_privileges": ["backup_operator"],
        "cdmi_member_credentials": PASSWORD,
    });
    let at = format!("{top}keeper");
    assert_eq!(put(client, &at, &member), 201);
    let saver = &mut Client::new(fixture.server().address, "acme/saver", PASSWORD);
    status(&get(saver, "/ours/o", OBJECT), 200);
    assert_eq!(login(&fixture, "acme/Keeper", PASSWORD), 200);

    let target = "/-/accounts/acme/users/saver";
    let gone = client.send("DELETE", target, &[], b"").unwrap();
    assert!([200, 204].contains(&gone.status), "{}", gone.text());
    let again = json!({"password": PASSWORD}).to_string();
    let made = client.send("PUT", target, &[], again.as_bytes()).unwrap();
    status(&made, 201);
    status(&get(saver, "/ours/o", OBJECT), 403);
    // The new one has a record of its own, and no other name to log in by.
    assert_eq!(
        read(client, top, CONTAINER)["children"],
        json!(["boss", "saver"])
    );
    status(&get(client, &at, OBJECT), 404);
    let plainly = record(client, &format!("{top}saver"));
    assert_eq!(plainly["cdmi_member_privileges"], json!([]));
    assert_eq!(login(&fixture, "acme/Keeper", PASSWORD), 401);
    assert_eq!(login(&fixture, "acme/saver", PASSWORD), 200);
    // It may be given one as anybody.
    member["cdmi_member_name"] = json!("saver");
    assert_eq!(put(client, &format!("{top}saver"), &member), 204);
    status(&get(saver, "/ours/o", OBJECT), 200);
}

#[test]
fn a_list_names_those_of_the_domain_that_something_is_made_for() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    domain(client, "/cdmi_domains/acme/");
    let at = "/cdmi_domains/acme/cdmi_domain_members/john_doe";
    assert_eq!(put(client, at, &john()), 201);
    let password = john()["cdmi_member_credentials"].clone();
    let password = password.as_str().unwrap();
    let john = &mut Client::new(fixture.server().address, "acme/jdoe", password);
    let entry = |who: &str| json!({"acetype": "ALLOW", "identifier": who, "aceflags": "0x0", "acemask": "ALL_PERMS"});
    let names = ["jdoe", "other/ann", "root/root", "OWNER@"];
    let list = json!(names.map(entry));
    let document = json!({"domainURI": "/cdmi_domains/acme/", "metadata": {"cdmi_acl": list}});
    create(client, "/c/", document);
    let named = |shown: &Value| -> Vec<Value> {
        let list = shown["metadata"]["cdmi_acl"].as_array().unwrap();
        list.iter().map(|one| one["identifier"].clone()).collect()
    };
    let shown = read(john, "/c/", CONTAINER);
    assert_eq!(named(&shown), names);
    // What root makes there is of that domain without a word about it.
    let listed = json!({"value": "x", "metadata": {"cdmi_acl": list}});
    create(client, "/c/o", listed);
    let shown = read(john, "/c/o", OBJECT);
    assert_eq!(named(&shown), names);
    let made = call(
        client,
        "PUT",
        "/c/q",
        "application/cdmi-queue",
        json!({"metadata": {"cdmi_acl": list}}),
    );
    status(&made, 201);
    assert_eq!(named(&crate::json(&made)), names);
}
