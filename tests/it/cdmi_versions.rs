//! CDMI over the real binary: versions of data objects.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, call, create, get, plain, read, status};
use crate::cdmi_rights::{shared_with_ann, user};
use serde_json::{Value, json};
use trestle_tests::Client;
use trestle_tests::client::base64;
use trestle_tests::server::PASSWORD;

fn metadata(client: &mut Client, at: &str) -> Value {
    read(client, at, OBJECT)["metadata"].clone()
}

fn uri(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// The versions of an object from the current one back, by their links.
fn history(client: &mut Client, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = metadata(client, at)["cdmi_version_current"].clone();
    while let Some(at) = next.as_str() {
        let at = at.to_owned();
        next = metadata(client, &at)["cdmi_version_parent"].clone();
        found.push(at);
    }
    found
}

fn values(client: &mut Client, at: &str) -> Vec<String> {
    let versions = history(client, at);
    let versions = versions.iter();
    versions
        .map(|version| {
            read(client, version, OBJECT)["value"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn each_update_leaves_a_version_with_its_own_id() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let document = json!({"value": "First", "metadata": {"cdmi_versioning": "user", "a": "b"}});
    let made = create(client, "/c/o", document);
    let own = format!("/cdmi_objectid/{}", made["objectID"].as_str().unwrap());
    status(
        &call(client, "PATCH", "/c/o", OBJECT, json!({"value": "Second"})),
        204,
    );
    status(&plain(client, "PUT", "/c/o", b"Third"), 204);
    let shown = read(client, "/c/o", OBJECT);
    assert_eq!(shown["objectID"], made["objectID"]);
    assert_eq!(values(client, "/c/o"), ["Third", "Second", "First"]);

    let versions = history(client, "/c/o");
    let (current, middle, oldest) = (&versions[0], &versions[1], &versions[2]);
    assert_eq!(shown["metadata"]["cdmi_version_oldest"], json!([oldest]));
    let seen = read(client, middle, OBJECT);
    assert_eq!(seen["objectName"], "o");
    assert_eq!(seen["parentURI"], "/c/");
    let profile = "/cdmi_capabilities/dataobject/dataobject_version/";
    assert_eq!(seen["capabilitiesURI"], profile);
    let links = &seen["metadata"];
    assert_eq!(uri(&links["cdmi_version_object"]), own);
    assert_eq!(&uri(&links["cdmi_version_current"]), current);
    assert_eq!(links["cdmi_version_oldest"], json!([oldest]));
    assert_eq!(links["cdmi_version_children"], json!([current]));
    assert_eq!(links["a"], "b");
    assert!(links.get("cdmi_versioning").is_none());
    let last = metadata(client, oldest);
    assert!(last.get("cdmi_version_parent").is_none() && last.get("cdmi_version_oldest").is_none());
    assert_eq!(
        metadata(client, current)["cdmi_version_children"],
        json!([])
    );
    let bytes = plain(client, "GET", middle, b"");
    assert_eq!(bytes.text(), "Second");
    let listed = read(client, "/c/?children", CONTAINER);
    assert_eq!(listed["children"], json!(["o"]));
}

#[test]
fn versions_do_not_change_and_may_be_copied_back() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(
        client,
        "/c/o",
        json!({"value": "1", "metadata": {"cdmi_versioning": "value"}}),
    );
    status(
        &call(client, "PATCH", "/c/o", OBJECT, json!({"value": "2"})),
        204,
    );
    let versions = history(client, "/c/o");
    let oldest = &versions[1];
    status(
        &call(client, "PATCH", oldest, OBJECT, json!({"value": "x"})),
        403,
    );
    status(
        &call(client, "PATCH", oldest, OBJECT, json!({"metadata": {}})),
        403,
    );
    status(&plain(client, "PUT", oldest, b"x"), 403);
    let moved = call(client, "PUT", "/c/moved", OBJECT, json!({"move": oldest}));
    assert!(matches!(moved.status, 400 | 403), "{}", moved.text());
    create(client, "/c/copy", json!({"copy": oldest}));
    assert_eq!(read(client, "/c/copy", OBJECT)["value"], "1");
    assert!(
        metadata(client, "/c/copy")
            .get("cdmi_version_current")
            .is_none()
    );
    status(
        &call(client, "PATCH", "/c/o", OBJECT, json!({"copy": oldest})),
        204,
    );
    assert_eq!(read(client, "/c/o", OBJECT)["value"], "1");
}

#[test]
fn deleting_versions_keeps_their_links_and_reverts_the_current_one() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(
        client,
        "/c/o",
        json!({"value": "1", "metadata": {"cdmi_versioning": "value"}}),
    );
    for value in ["2", "3"] {
        status(
            &call(client, "PATCH", "/c/o", OBJECT, json!({"value": value})),
            204,
        );
    }
    let versions = history(client, "/c/o");
    status(&plain(client, "DELETE", &versions[1], b""), 204);
    status(&get(client, &versions[1], OBJECT), 404);
    assert_eq!(values(client, "/c/o"), ["3", "1"]);
    status(&plain(client, "DELETE", &versions[0], b""), 204);
    assert_eq!(read(client, "/c/o", OBJECT)["value"], "1");
    assert_eq!(history(client, "/c/o"), [versions[2].clone()]);
    status(&plain(client, "DELETE", &versions[2], b""), 403);
    // The versions go with their object.
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    status(&get(client, &versions[2], OBJECT), 404);
}

/// What an earlier version says besides its value comes back by the rights to change it.
#[test]
fn who_may_write_and_delete_brings_no_metadata_back() {
    let fixture = Fixture::new();
    let boss = &mut user(&fixture, "boss", ",\"admin\":true");
    let ann = &mut user(&fixture, "ann", "");
    let open = shared_with_ann("READ, WRITE_OBJECT, DELETE");
    create(boss, "/ac/", json!({"metadata": {"cdmi_acl": open}}));
    let made = |boss: &mut Client, (name, mimetype, key): (&str, &str, &str)| {
        let path = format!("/ac/{name}");
        let metadata = json!({"cdmi_versioning": "all", "cdmi_acl": open, key: "former"});
        let document = json!({"value": "1", "mimetype": mimetype, "metadata": metadata});
        create(boss, &path, document);
        let later = json!({"value": "2", "mimetype": "a/b", "metadata": {"k": "former"}});
        let target = format!("{path}?value&mimetype&metadata=k&metadata=x");
        status(&call(boss, "PATCH", &target, OBJECT, later), 204);
        history(boss, &path)
    };
    for other in [("typed", "text/plain", "k"), ("told", "a/b", "x")] {
        let versions = made(boss, other);
        status(&plain(ann, "DELETE", &versions[0], b""), 403);
        assert_eq!(history(boss, &format!("/ac/{}", other.0)), versions);
    }
    let versions = made(boss, ("alike", "a/b", "k"));
    status(&plain(ann, "DELETE", &versions[0], b""), 204);
    assert_eq!(read(boss, "/ac/alike", OBJECT)["value"], "1");
}

#[test]
fn what_leaves_a_version_depends_on_the_level() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    for (level, after_user, after_system) in [("value", 1, 1), ("user", 2, 2), ("all", 2, 3)] {
        let at = format!("/c/{level}");
        create(
            client,
            &at,
            json!({"value": "1", "metadata": {"cdmi_versioning": level}}),
        );
        let user = format!("{at}?metadata=colour");
        let change = json!({"metadata": {"colour": "red"}});
        status(&call(client, "PATCH", &user, OBJECT, change), 204);
        assert_eq!(history(client, &at).len(), after_user, "{level}");
        let system = format!("{at}?metadata=cdmi_latency");
        let change = json!({"metadata": {"cdmi_latency": "10"}});
        status(&call(client, "PATCH", &system, OBJECT, change), 204);
        assert_eq!(history(client, &at).len(), after_system, "{level}");
    }
    // A series of writes leaves one when it is complete.
    let target = "/cdmi/c/value";
    let partial = [("x-cdmi-partial", "true"), ("content-type", "text/plain")];
    status(&client.send("PUT", target, &partial, b"a").unwrap(), 204);
    status(&client.send("PUT", target, &partial, b"ab").unwrap(), 204);
    status(&plain(client, "PUT", "/c/value", b"abc"), 204);
    assert_eq!(history(client, "/c/value").len(), 2);
    // Versions stay when no more are wanted, and begin again with a new one.
    let target = "/c/value?metadata=cdmi_versioning";
    status(
        &call(client, "PATCH", target, OBJECT, json!({"metadata": {}})),
        204,
    );
    status(&plain(client, "PUT", "/c/value", b"x"), 204);
    assert_eq!(history(client, "/c/value").len(), 2);
    let again = json!({"metadata": {"cdmi_versioning": "value"}});
    status(&call(client, "PATCH", target, OBJECT, again), 204);
    assert_eq!(history(client, "/c/value").len(), 3);
    let wrong = json!({"metadata": {"cdmi_versioning": "sometimes"}});
    status(&call(client, "PUT", "/c/wrong", OBJECT, wrong), 400);
}

#[test]
fn history_is_as_long_as_metadata_says_and_is_inherited() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let container = json!({"metadata": {"cdmi_versioning": "value", "cdmi_versions_count": "2"}});
    create(client, "/c/", container);
    create(client, "/c/o", json!({"value": "0"}));
    for value in 1..5 {
        let change = json!({"value": value.to_string()});
        status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    }
    assert_eq!(values(client, "/c/o"), ["4", "3", "2"]);
    create(client, "/c/moved", json!({"move": "/c/o"}));
    assert_eq!(values(client, "/c/moved"), ["4", "3", "2"]);
    let versions = history(client, "/c/moved");
    status(&plain(client, "DELETE", "/c/", b""), 204);
    status(&get(client, &versions[0], OBJECT), 404);
}

#[test]
fn an_update_over_another_dialect_is_not_lost_by_the_next() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(
        client,
        "/c/",
        json!({"metadata": {"cdmi_versioning": "value"}}),
    );
    create(
        client,
        "/c/o",
        json!({"value": "cdmi", "mimetype": "text/plain"}),
    );
    let put = client.send(
        "PUT",
        "/rest/c/o",
        &[("content-type", "text/plain;charset=utf-8")],
        b"rest",
    );
    let put = put.unwrap();
    assert_eq!(put.status / 100, 2, "{}", put.text());
    status(
        &call(client, "PATCH", "/c/o", OBJECT, json!({"value": "again"})),
        204,
    );
    assert_eq!(values(client, "/c/o"), ["again", "rest", "cdmi"]);
}

/// A token of the root user that allows what a policy says.
fn narrowed(client: &mut Client, statement: &Value) -> String {
    let asked = json!({"lifetime_seconds": 600, "policies": [{"Statement": statement}]});
    let issued = client.send("POST", "/-/tokens", &[], asked.to_string().as_bytes());
    let issued = issued.unwrap();
    status(&issued, 201);
    let token = crate::json(&issued)["token"].as_str().unwrap().to_owned();
    format!("Bearer {token}")
}

#[test]
fn who_may_not_delete_a_container_deletes_no_versions_in_it() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(client, "/c/in/", json!({}));
    let document = json!({"value": "1", "metadata": {"cdmi_versioning": "value"}});
    create(client, "/c/in/o", document);
    let second = json!({"value": "2"});
    status(&call(client, "PATCH", "/c/in/o", OBJECT, second), 204);
    for at in ["/c/in/", "/c/"] {
        let snapshot = json!({"snapshot": "s"});
        status(&call(client, "PATCH", at, CONTAINER, snapshot), 201);
    }
    let nobody = &mut Client::anonymous(fixture.server().address);
    for (allowed, refused) in [
        ("s3:*", "s3:DeleteBucket"),
        ("s3:*", "s3:DeleteObject*"),
        ("s3:List*", "s3:Put*"),
    ] {
        let statement = json!([
            {"Effect": "Allow", "Action": allowed, "Resource": "*"},
            {"Effect": "Deny", "Action": refused, "Resource": "*"},
        ]);
        let bearer = narrowed(client, &statement);
        let borne = [("authorization", bearer.as_str())];
        for target in ["/cdmi/c/in/", "/cdmi/c/"] {
            if refused == "s3:DeleteBucket" && target == "/cdmi/c/in/" {
                continue;
            }
            let answer = nobody.send("DELETE", target, &borne, b"").unwrap();
            status(&answer, 403);
            assert_eq!(values(client, "/c/in/o"), ["2", "1"], "{refused} {target}");
            for kept in ["/c/in/cdmi_snapshots/s/o", "/c/cdmi_snapshots/s/in/o"] {
                assert_eq!(
                    read(client, kept, OBJECT)["value"],
                    "2",
                    "{refused} {target}"
                );
            }
        }
    }
    let versions = history(client, "/c/in/o");
    status(&plain(client, "DELETE", "/c/in/", b""), 204);
    status(&get(client, &versions[0], OBJECT), 404);
}

#[test]
fn versions_left_by_another_dialect_are_not_for_who_takes_the_id() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let document = json!({"value": "1", "metadata": {"cdmi_versioning": "value"}});
    let made = create(client, "/c/o", document);
    create(client, "/c/serial", json!({"serialize": "/c/o"}));
    let versions = history(client, "/c/o");
    let gone = client.send("DELETE", "/rest/c/o", &[], b"").unwrap();
    assert_eq!(gone.status / 100, 2, "{}", gone.text());
    status(&get(client, &versions[0], OBJECT), 404);
    let again = create(client, "/c/again", json!({"deserialize": "/c/serial"}));
    assert_ne!(again["objectID"], made["objectID"]);
    status(&get(client, &versions[0], OBJECT), 404);
    assert_eq!(values(client, "/c/again"), ["1"]);
}

/// The serialised form of an object with versions has them in the place of its value.
#[test]
fn versions_are_serialised_with_their_object_and_come_back() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let document = json!({"value": "1", "metadata": {"cdmi_versioning": "value", "k": "v"}});
    let made = create(client, "/c/o", document);
    for value in ["2", "3"] {
        let change = json!({"value": value});
        status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    }
    let before = history(client, "/c/o");
    let serialize = |client: &mut Client, at: &str, into: &str| -> Value {
        create(client, into, json!({"serialize": at}));
        serde_json::from_str(&plain(client, "GET", into, b"").text()).unwrap()
    };
    let form = serialize(client, "/c/o", "/c/form");
    assert_eq!(form["objectID"], made["objectID"]);
    assert!(form.get("valuerange").is_none());
    let versions = form["value"].as_array().unwrap();
    for (version, (value, uri)) in versions.iter().zip(["3", "2", "1"].iter().zip(&before)) {
        assert_eq!(version["value"], *value);
        assert!(uri.ends_with(version["objectID"].as_str().unwrap()));
        let profile = "/cdmi_capabilities/dataobject/dataobject_version/";
        assert_eq!(version["capabilitiesURI"], profile);
    }
    assert_eq!(versions.len(), 3);
    // A version does not come back alone.
    let one = base64(versions[1].to_string().as_bytes());
    let one = json!({"deserializevalue": one});
    status(&call(client, "PUT", "/c/one", OBJECT, one), 400);
    let empty = json!({"objectType": OBJECT, "value": []}).to_string();
    let empty = json!({"deserializevalue": base64(empty.as_bytes())});
    status(&call(client, "PUT", "/c/one", OBJECT, empty), 400);

    status(&plain(client, "DELETE", "/c/o", b""), 204);
    let back = create(client, "/c/back", json!({"deserialize": "/c/form"}));
    assert_eq!(back["objectID"], made["objectID"]);
    assert_eq!(history(client, "/c/back"), before);
    assert_eq!(values(client, "/c/back"), ["3", "2", "1"]);
    let shown = read(client, "/c/back", OBJECT);
    assert_eq!(
        (&shown["value"], &shown["metadata"]["k"]),
        (&json!("3"), &json!("v"))
    );
    let change = json!({"value": "4"});
    status(&call(client, "PATCH", "/c/back", OBJECT, change), 204);
    assert_eq!(values(client, "/c/back"), ["4", "3", "2", "1"]);
    let restore = json!({"deserialize": "/c/form"});
    status(&call(client, "PATCH", "/c/back", OBJECT, restore), 204);
    assert_eq!(values(client, "/c/back"), ["3", "2", "1"]);
    assert_eq!(history(client, "/c/back"), before);
    let mut broken = form.clone();
    broken["value"][1]["valuetransferencoding"] = json!("none");
    let broken = json!({"deserializevalue": base64(broken.to_string().as_bytes())});
    status(&call(client, "PATCH", "/c/back", OBJECT, broken), 400);
    assert_eq!(history(client, "/c/back"), before);
    let change = json!({"value": "5"});
    status(&call(client, "PATCH", "/c/back", OBJECT, change), 204);
    assert_eq!(values(client, "/c/back"), ["5", "3", "2", "1"]);

    // Beside the one that is there it gets ids of its own.
    let copy = create(client, "/c/copy", json!({"deserialize": "/c/form"}));
    assert!(copy["objectID"] != made["objectID"]);
    assert_eq!(values(client, "/c/copy"), ["3", "2", "1"]);
    assert!(
        history(client, "/c/copy")
            .iter()
            .all(|id| !before.contains(id))
    );
    // What no version is made of any more is there beside them.
    let none = call(
        client,
        "PATCH",
        "/c/copy?metadata=cdmi_versioning",
        OBJECT,
        json!({"metadata": {}}),
    );
    status(&none, 204);
    let change = json!({"value": "9"});
    status(&call(client, "PATCH", "/c/copy", OBJECT, change), 204);
    let form = serialize(client, "/c/copy", "/c/other");
    assert_eq!(form["value"].as_array().unwrap().len(), 4);
    assert_eq!(form["value"][0]["value"], "9");
    status(&plain(client, "DELETE", "/c/copy", b""), 204);
    create(client, "/c/copy", json!({"deserialize": "/c/other"}));
    assert_eq!(read(client, "/c/copy", OBJECT)["value"], "9");
    assert_eq!(values(client, "/c/copy"), ["3", "2", "1"]);
}

/// What is brought back keeps the versions that are there still, and is whole or not at all.
#[test]
fn versions_that_are_missing_come_back_between_those_that_are_there() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let of = |letter: &str| letter.repeat(2000);
    let document = json!({"value": of("1"), "metadata": {"cdmi_versioning": "value"}});
    create(client, "/c/o", document);
    for letter in ["2", "3", "4"] {
        let change = json!({"value": of(letter)});
        status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    }
    let before = history(client, "/c/o");
    create(client, "/c/form", json!({"serialize": "/c/o"}));
    for version in [&before[1], &before[2]] {
        status(&call(client, "DELETE", version, OBJECT, json!({})), 204);
    }
    let change = json!({"value": of("5")});
    status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    let between = history(client, "/c/o");
    assert_eq!(between[1..], [before[0].clone(), before[3].clone()]);

    // There is room for one of the two that are missing.
    let usage = crate::json(&crate::send(client, "GET", "/-/accounts/root"));
    let bytes = usage["bytes"].as_u64().unwrap();
    let nobody = &mut Client::anonymous(fixture.server().address);
    let login = [("x-auth-user", "root:root"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let mut limit = |bytes: &str| {
        let headers = [
            ("x-auth-token", token.as_str()),
            ("x-account-meta-quota-bytes", bytes),
        ];
        let set = nobody.send("POST", "/v1/AUTH_root", &headers, b"");
        status(&set.unwrap(), 204);
    };
    limit(&(bytes + 3000).to_string());
    let restore = json!({"deserialize": "/c/form"});
    let full = call(client, "PATCH", "/c/o", OBJECT, restore.clone());
    assert_eq!(full.status, 507, "{}", full.text());
    assert_eq!(history(client, "/c/o"), between);
    assert_eq!(read(client, "/c/o", OBJECT)["value"], of("5"));
    limit("");
    status(&call(client, "PATCH", "/c/o", OBJECT, restore), 204);
    assert_eq!(history(client, "/c/o"), before);
    let values = values(client, "/c/o");
    assert_eq!(values, [of("4"), of("3"), of("2"), of("1")]);
    let change = json!({"value": "6"});
    status(&call(client, "PATCH", "/c/o", OBJECT, change), 204);
    assert_eq!(history(client, "/c/o")[1..], before);
}
