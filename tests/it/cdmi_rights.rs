//! Access control lists that are set over CDMI, and what they let whom do.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::Client;

const PASSWORD: &str = "a long enough password";

fn user(fixture: &Fixture, name: &str, more: &str) -> Client {
    let target = format!("/-/accounts/acme/users/{name}");
    let text = format!("{{\"password\":\"{PASSWORD}\"{more}}}");
    let made = fixture.client().send("PUT", &target, &[], text.as_bytes());
    status(&made.unwrap(), 201);
    Client::new(fixture.server().address, &format!("acme/{name}"), PASSWORD)
}

fn entry(who: &str, mask: &str, flags: &str) -> Value {
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
