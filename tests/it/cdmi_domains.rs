//! CDMI over the real binary: domains within domains, their summaries, and domains out of others.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::Client;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};

pub(crate) const DOMAIN: &str = "application/cdmi-domain";

pub(crate) fn make(client: &mut Client, path: &str, document: Value) -> Value {
    let made = call(client, "PUT", path, DOMAIN, document);
    status(&made, 201);
    crate::json(&made)
}

pub(crate) fn enabled() -> Value {
    json!({"metadata": {"cdmi_domain_enabled": "true", "a": "b"}})
}

#[test]
fn domains_nest_and_list_what_is_below_them() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let outer = make(client, "/cdmi_domains/outer/", enabled());
    let own = ["cdmi_domain_summary/", "cdmi_domain_members/"];
    assert_eq!(outer["children"], json!(own));
    let inner = make(client, "/cdmi_domains/outer/inner/", enabled());
    assert_eq!(inner["parentURI"], "/cdmi_domains/outer/");
    assert_eq!(inner["parentID"], outer["objectID"]);
    assert_eq!(inner["objectName"], "inner/");
    assert_eq!(inner["domainURI"], "/cdmi_domains/outer/inner/");
    let shown = read(client, "/cdmi_domains/outer/", DOMAIN);
    assert_eq!(shown["children"], json!(["inner/", own[0], own[1]]));
    assert_eq!(shown["childrenrange"], "0-2");
    let some = read(client, "/cdmi_domains/outer/?children=0-0", DOMAIN);
    assert_eq!(some["children"], json!(["inner/"]));
    let top = read(client, "/cdmi_domains/?children", CONTAINER);
    assert!(!top["children"].to_string().contains("inner"));
    let by_id = format!("/cdmi_objectid/{}/", inner["objectID"].as_str().unwrap());
    assert_eq!(
        read(client, &by_id, DOMAIN)["domainURI"],
        inner["domainURI"]
    );
    let orphan = call(
        client,
        "PUT",
        "/cdmi_domains/none/inner/",
        DOMAIN,
        enabled(),
    );
    status(&orphan, 404);
    for bad in ["/cdmi_domains/outer/cdmi_x/", "/cdmi_domains/a%7Cb/"] {
        status(&call(client, "PUT", bad, DOMAIN, enabled()), 400);
    }
    status(&plain(client, "DELETE", "/cdmi_domains/outer/", b""), 400);
    status(
        &plain(client, "DELETE", "/cdmi_domains/outer/inner/", b""),
        204,
    );
    status(&plain(client, "DELETE", "/cdmi_domains/outer/", b""), 204);
    status(&get(client, "/cdmi_domains/outer/", DOMAIN), 404);
}

#[test]
fn summaries_say_which_time_they_are_of() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let made = create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "abc"}));
    let domain = made["domainURI"].as_str().unwrap();
    let top = format!("{domain}cdmi_domain_summary/");
    let shown = read(client, &top, CONTAINER);
    let expected = ["cumulative", "daily/", "monthly/", "yearly/"];
    assert_eq!(shown["children"], json!(expected));
    let value = |client: &mut Client, at: &str| -> Value {
        let shown = read(client, at, OBJECT);
        assert_eq!(shown["mimetype"], "application/json");
        serde_json::from_str(shown["value"].as_str().unwrap()).unwrap()
    };
    let all = value(client, &format!("{top}cumulative"));
    assert_eq!(all["cdmi_domainURI"], domain);
    assert!(all["cdmi_summary_start"].as_str() <= all["cdmi_summary_end"].as_str());
    assert!(all["objects"].as_str().unwrap().parse::<u64>().unwrap() >= 1);
    // It was made in all of these, with nothing in it.
    assert_eq!(all["cdmi_summary_objectsmin"], "0");
    assert_eq!(all["cdmi_summary_bytesmin"], "0");
    assert!(all.get("cdmi_summary_objectsmax").is_none());
    for length in ["daily/", "monthly/", "yearly/"] {
        let listed = read(client, &format!("{top}{length}"), CONTAINER);
        let children = listed["children"].as_array().unwrap();
        let last = children.last().unwrap().as_str().unwrap();
        let one = value(client, &format!("{top}{length}{last}"));
        assert!(one["cdmi_summary_end"].as_str().unwrap().starts_with(last));
        assert_eq!(one["cdmi_summary_objectsmin"], "0", "{length}");
        assert_eq!(one["cdmi_summary_bytesmin"], "0", "{length}");
    }
    status(&get(client, &format!("{top}daily/1999-01-01"), OBJECT), 404);
    for method in ["PUT", "PATCH", "DELETE"] {
        status(
            &plain(client, method, &format!("{top}cumulative"), b"x"),
            400,
        );
        status(&plain(client, method, &top, b""), 400);
    }
    // All domains are in a container, and in a domain for who takes nothing else.
    for kind in [CONTAINER, DOMAIN] {
        let all = read(client, "/cdmi_domains/", kind);
        assert_eq!(all["objectType"], kind);
        let profile = all["capabilitiesURI"].as_str().unwrap();
        read(client, profile, "application/cdmi-capability");
    }
    status(&call(client, "POST", domain, DOMAIN, json!({})), 400);
}

#[test]
fn domains_are_made_out_of_others() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    make(client, "/cdmi_domains/from/", enabled());
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
        "cdmi_member_credentials": "a long password", "cdmi_member_groups": ["staff"],
    });
    let at = "/cdmi_domains/from/cdmi_domain_members/ann";
    let record = json!({"value": record.to_string(), "metadata": {"desk": "12"}});
    status(&call(client, "PUT", at, OBJECT, record), 201);
    let inner = json!({"metadata": {"cdmi_domain_enabled": "true", "x": "y"}});
    make(client, "/cdmi_domains/from/inner/", inner);
    create(client, "/c/", json!({}));
    create(
        client,
        "/c/form",
        json!({"serialize": "/cdmi_domains/from/"}),
    );
    let copy = json!({"copy": "/cdmi_domains/from/"});
    let back = json!({"deserialize": "/c/form"});
    for (to, source) in [("copy", copy.clone()), ("back", back)] {
        let path = format!("/cdmi_domains/{to}/");
        let made = make(client, &path, source);
        assert_eq!(made["metadata"]["a"], "b");
        let below = read(client, &format!("{path}inner/"), DOMAIN);
        assert_eq!(below["metadata"]["x"], "y");
    }
    // A copy has the members of its source, too, and they log in as there.
    let members = read(client, "/cdmi_domains/copy/cdmi_domain_members/", CONTAINER);
    assert_eq!(members["children"], json!(["ann", "staff"]));
    let copied = read(client, "/cdmi_domains/copy/cdmi_domain_members/ann", OBJECT);
    assert_eq!(copied["metadata"]["desk"], "12");
    let ann = &mut Client::new(fixture.server().address, "copy/ann", "a long password");
    let capabilities = "/cdmi_capabilities/";
    status(&get(ann, capabilities, "application/cdmi-capability"), 200);
    let plain_domain = json!({"metadata": {"cdmi_domain_enabled": "true"}});
    make(client, "/cdmi_domains/other/", plain_domain);
    status(
        &call(client, "PATCH", "/cdmi_domains/other/", DOMAIN, copy),
        204,
    );
    let shown = read(client, "/cdmi_domains/other/", DOMAIN);
    assert_eq!(shown["metadata"]["a"], "b");
    let own = ["cdmi_domain_summary/", "cdmi_domain_members/"];
    assert_eq!(shown["children"], json!(own));
    let back = json!({"deserialize": "/c/form"});
    let from = "/cdmi_domains/from/";
    status(
        &call(
            client,
            "PATCH",
            "/cdmi_domains/other/",
            DOMAIN,
            back.clone(),
        ),
        400,
    );
    make(client, "/cdmi_domains/from/new/", enabled());
    let changed = json!({"metadata": {"x": "z"}});
    status(
        &call(
            client,
            "PATCH",
            "/cdmi_domains/from/inner/",
            DOMAIN,
            changed,
        ),
        204,
    );
    status(&call(client, "PATCH", from, DOMAIN, back), 204);
    status(&get(client, "/cdmi_domains/from/new/", DOMAIN), 404);
    let inner = read(client, "/cdmi_domains/from/inner/", DOMAIN);
    assert_eq!(inner["metadata"]["x"], "y");
    let missing = json!({"copy": "/cdmi_domains/nothing/"});
    status(
        &call(client, "PUT", "/cdmi_domains/new/", DOMAIN, missing),
        400,
    );
}

#[test]
fn objects_belong_to_the_domain_that_they_are_given_to() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    make(client, "/cdmi_domains/d/", enabled());
    let to_d = json!({"domainURI": "/cdmi_domains/d/"});
    create(client, "/c/", json!({}));
    let given = json!({"value": "x", "domainURI": "/cdmi_domains/d/"});
    let made = create(client, "/c/o", given);
    assert_eq!(made["domainURI"], "/cdmi_domains/d/");
    let shown = read(client, "/c/o", OBJECT);
    assert_eq!(
        (&shown["value"], &shown["objectID"]),
        (&json!("x"), &made["objectID"])
    );
    let made = create(client, "/c/plain", json!({"value": "x"}));
    assert_eq!(made["domainURI"], "/cdmi_domains/root/");
    status(
        &call(client, "PATCH", "/c/plain?value", OBJECT, to_d.clone()),
        204,
    );
    assert_eq!(
        read(client, "/c/plain", OBJECT)["domainURI"],
        "/cdmi_domains/root/"
    );
    status(
        &call(client, "PATCH", "/c/plain", OBJECT, to_d.clone()),
        204,
    );
    let moved = read(client, "/c/plain", OBJECT);
    assert_eq!(moved["domainURI"], "/cdmi_domains/d/");
    assert_eq!(moved["objectID"], made["objectID"]);
    status(&call(client, "PUT", "/c/q", QUEUE, to_d.clone()), 201);
    assert_eq!(read(client, "/c/q", QUEUE)["domainURI"], "/cdmi_domains/d/");
    for path in ["/c/in/", "/top/"] {
        let made = create(client, path, to_d.clone());
        assert_eq!(made["domainURI"], "/cdmi_domains/d/", "{path}");
    }
    let back = json!({"domainURI": "/cdmi_domains/root/"});
    status(&call(client, "PATCH", "/top/", CONTAINER, back), 204);
    assert_eq!(
        read(client, "/top/", CONTAINER)["domainURI"],
        "/cdmi_domains/root/"
    );
    let none = json!({"domainURI": "/cdmi_domains/none/"});
    status(&call(client, "PUT", "/c/n", OBJECT, none), 400);
    // It takes a privilege that who administers all domains confers.
    make(client, "/cdmi_domains/e/", enabled());
    let member = |privileges: Value| {
        let record = json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
            "cdmi_member_credentials": "a long password", "cdmi_member_privileges": privileges,
        });
        json!({"value": record.to_string()})
    };
    let at = "/cdmi_domains/e/cdmi_domain_members/ann";
    let administers = member(json!(["administrator"]));
    status(&call(client, "PUT", at, OBJECT, administers), 201);
    let ann = &mut Client::new(fixture.server().address, "e/ann", "a long password");
    create(ann, "/hers/", json!({}));
    status(&call(ann, "PUT", "/hers/o", OBJECT, to_d.clone()), 403);
    status(&get(ann, "/hers/o", OBJECT), 404);
    let crosses = member(json!(["administrator", "cross_domain"]));
    status(&call(client, "PUT", at, OBJECT, crosses), 204);
    let made = create(ann, "/hers/o", to_d);
    assert_eq!(made["domainURI"], "/cdmi_domains/d/");
}

/// What is serialised comes back to its own domain by who crosses them, or all of it to the one that is
/// named; others bring back what is of their own.
#[test]
fn what_is_serialised_comes_back_to_its_domain() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for name in ["d", "e"] {
        make(client, &format!("/cdmi_domains/{name}/"), enabled());
    }
    let of = |name: &str| json!({"domainURI": format!("/cdmi_domains/{name}/")});
    create(client, "/c/", json!({}));
    create(client, "/c/box/", of("d"));
    create(client, "/c/box/o", of("e"));
    create(client, "/c/box/in/", of("d"));
    create(client, "/c/box/in/p", of("root"));
    create(client, "/c/form", json!({"serialize": "/c/box/"}));
    create(client, "/c/one", json!({"serialize": "/c/box/o"}));
    let domains = |client: &mut Client, top: &str| -> Vec<String> {
        let paths = [
            ("", CONTAINER),
            ("o", OBJECT),
            ("in/", CONTAINER),
            ("in/p", OBJECT),
        ];
        let paths = paths.iter().map(|(below, kind)| {
            let shown = read(client, &format!("{top}{below}"), kind);
            let uri = shown["domainURI"].as_str().unwrap();
            uri.trim_matches('/').rsplit('/').next().unwrap().to_owned()
        });
        paths.collect()
    };
    create(client, "/c/back/", json!({"deserialize": "/c/form"}));
    assert_eq!(domains(client, "/c/back/"), ["d", "e", "d", "root"]);
    let mut named = of("e");
    named["deserialize"] = json!("/c/form");
    create(client, "/c/named/", named.clone());
    assert_eq!(domains(client, "/c/named/"), ["e", "e", "e", "e"]);
    let one = create(client, "/c/again", json!({"deserialize": "/c/one"}));
    assert_eq!(one["domainURI"], "/cdmi_domains/e/");
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
        "cdmi_member_credentials": "a long password", "cdmi_member_privileges": ["administrator"],
    });
    let at = "/cdmi_domains/d/cdmi_domain_members/ann";
    let record = json!({"value": record.to_string()});
    status(&call(client, "PUT", at, OBJECT, record), 201);
    let ann = &mut Client::new(fixture.server().address, "d/ann", "a long password");
    create(ann, "/hers/", json!({}));
    let form = plain(client, "GET", "/c/one", b"").body;
    let form = json!({"deserializevalue": base64(&form)});
    status(&call(ann, "PUT", "/hers/o", OBJECT, form.clone()), 400);
    let mut hers = form;
    hers["domainURI"] = json!("/cdmi_domains/d/");
    assert_eq!(
        create(ann, "/hers/o", hers)["domainURI"],
        "/cdmi_domains/d/"
    );
    // A domain that is gone is no domain.
    let mut lost = plain(client, "GET", "/c/one", b"").text();
    lost = lost.replace("/cdmi_domains/e/", "/cdmi_domains/gone/");
    let lost = json!({"deserializevalue": base64(lost.as_bytes())});
    status(&call(client, "PUT", "/c/lost", OBJECT, lost), 400);
    status(&get(client, "/c/lost", OBJECT), 404);
}

#[test]
fn who_may_delete_what_is_of_another_domain_does_not_take_it_over() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    make(client, "/cdmi_domains/e/", enabled());
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
        "cdmi_member_credentials": "a long password",
        "cdmi_member_privileges": ["administrator", "cross_domain"],
    });
    let at = "/cdmi_domains/e/cdmi_domain_members/ann";
    let record = json!({"value": record.to_string()});
    status(&call(client, "PUT", at, OBJECT, record), 201);
    let ann = &mut Client::new(fixture.server().address, "e/ann", "a long password");
    let entry = |who: &str, mask: &str| {
        let (kind, flags) = ("ALLOW", "0x3");
        json!({"acetype": kind, "identifier": who, "aceflags": flags, "acemask": mask})
    };
    // All but WRITE_OWNER, all but WRITE_ATTRIBUTES, since its domain is an attribute, and all.
    for (name, mask, given) in [
        ("few", "0x001707FF", 403),
        ("some", "0x001F06FF", 403),
        ("all", "ALL_PERMS", 204),
    ] {
        let list = [entry("OWNER@", "ALL_PERMS"), entry("e/ann", mask)];
        let top = &format!("/{name}/");
        create(client, top, json!({"metadata": {"cdmi_acl": list}}));
        create(client, &format!("{top}in/"), json!({}));
        create(client, &format!("{top}o"), json!({"value": "x"}));
        let metadata = json!({"a": "b", "cdmi_acl": list});
        let take = json!({"domainURI": "/cdmi_domains/e/", "metadata": metadata});
        for (path, kind) in [("o", OBJECT), ("in/", CONTAINER), ("", CONTAINER)] {
            let path = &format!("{top}{path}");
            status(&call(ann, "PATCH", path, kind, take.clone()), given);
            let taken = given == 204;
            let shown = read(ann, path, kind);
            let owner = if taken { "ann" } else { "root" };
            assert_eq!(shown["metadata"]["cdmi_owner"], owner, "{path}");
            assert_eq!(shown["domainURI"] == "/cdmi_domains/e/", taken, "{path}");
            assert_eq!(shown["metadata"]["a"] == "b", taken, "{path}");
        }
    }
    // It was the right to take it over alone that was missing.
    let few = &plain(ann, "DELETE", "/few/", b"");
    status(few, 204);
}

#[test]
fn what_a_domain_has_is_reassigned_when_it_is_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for domain in ["gone", "heir"] {
        make(client, &format!("/cdmi_domains/{domain}/"), enabled());
    }
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
        "cdmi_member_credentials": "a long password", "cdmi_member_privileges": ["administrator"],
    });
    let at = "/cdmi_domains/gone/cdmi_domain_members/ann";
    let record = json!({"value": record.to_string()});
    status(&call(client, "PUT", at, OBJECT, record), 201);
    let ann = &mut Client::new(fixture.server().address, "gone/ann", "a long password");
    create(ann, "/hers/", json!({}));
    create(ann, "/hers/in/", json!({}));
    let versioned = json!({"value": "one", "metadata": {"cdmi_versioning": "all"}});
    create(ann, "/hers/in/o", versioned);
    status(
        &call(ann, "PATCH", "/hers/in/o", OBJECT, json!({"value": "two"})),
        204,
    );
    let posted = call(
        ann,
        "POST",
        "/cdmi_objectid/",
        OBJECT,
        json!({"value": "nameless"}),
    );
    status(&posted, 201);
    let id = crate::json(&posted)["objectID"]
        .as_str()
        .unwrap()
        .to_owned();
    let gone = "/cdmi_domains/gone/";
    status(&plain(client, "DELETE", gone, b""), 400);
    for wrong in ["/cdmi_domains/gone/", "/cdmi_domains/none/", "/hers/"] {
        let metadata = json!({"metadata": {"cdmi_domain_delete_reassign": wrong}});
        status(&call(client, "PATCH", gone, DOMAIN, metadata), 204);
        status(&plain(client, "DELETE", gone, b""), 400);
    }
    assert_eq!(read(client, "/hers/", CONTAINER)["domainURI"], gone);
    let metadata = json!({"metadata": {"cdmi_domain_delete_reassign": "/cdmi_domains/heir/"}});
    status(&call(client, "PATCH", gone, DOMAIN, metadata), 204);
    status(&plain(client, "DELETE", gone, b""), 204);
    status(&get(client, gone, DOMAIN), 404);
    let heir = "/cdmi_domains/heir/";
    for (path, kind) in [
        ("/hers/", CONTAINER),
        ("/hers/in/", CONTAINER),
        ("/hers/in/o", OBJECT),
    ] {
        assert_eq!(read(client, path, kind)["domainURI"], heir, "{path}");
    }
    let shown = read(client, "/hers/in/o", OBJECT);
    assert_eq!(shown["value"], "two");
    let oldest = shown["metadata"]["cdmi_version_oldest"].as_array().unwrap();
    let oldest = oldest[0].as_str().unwrap();
    let oldest = oldest.strip_prefix("/cdmi/").unwrap_or(oldest);
    let oldest = format!("/{}", oldest.trim_start_matches('/'));
    assert_eq!(read(client, &oldest, OBJECT)["value"], "one");
    let nameless = read(client, &format!("/cdmi_objectid/{id}"), OBJECT);
    assert_eq!(
        (&nameless["value"], &nameless["domainURI"]),
        (&json!("nameless"), &json!(heir))
    );
    let refused = get(ann, "/hers/in/o", OBJECT);
    status(&refused, 401);
}

#[test]
fn uploads_that_are_open_go_with_the_objects_of_a_domain() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let piece = |client: &mut Client, target: &str, body: &str| {
        let headers = [
            ("x-cdmi-partial", "upload-id=a"),
            ("content-type", "text/plain;charset=utf-8"),
        ];
        let sent = client.send("PUT", target, &headers, body.as_bytes());
        sent.unwrap().status
    };
    make(client, "/cdmi_domains/heir/", enabled());
    for (domain, has) in [("empty", false), ("gone", true)] {
        let at = format!("/cdmi_domains/{domain}/");
        make(client, &at, enabled());
        let folder = format!("/of-{domain}/");
        create(client, &folder, json!({"domainURI": &at}));
        let target = format!("/cdmi{folder}o");
        assert_eq!(piece(client, &target, "a piece"), 202);
        if has {
            let heir = json!({"metadata": {"cdmi_domain_delete_reassign": "/cdmi_domains/heir/"}});
            status(&call(client, "PATCH", &at, DOMAIN, heir), 204);
            status(&plain(client, "DELETE", &at, b""), 204);
            assert_eq!(piece(client, &target, ""), 201);
            assert_eq!(read(client, "/of-gone/o", OBJECT)["value"], "a piece");
        } else {
            status(&plain(client, "DELETE", &folder, b""), 204);
            status(&plain(client, "DELETE", &at, b""), 204);
        }
        status(&get(client, &at, DOMAIN), 404);
    }
}

#[test]
fn pieces_of_uploads_count_against_the_quota_of_their_domain() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let nobody = &mut Client::anonymous(fixture.server().address);
    make(client, "/cdmi_domains/d/", enabled());
    create(client, "/c/", json!({"domainURI": "/cdmi_domains/d/"}));
    let login = [("x-auth-user", "root:root"), ("x-auth-key", PASSWORD)];
    let token = nobody.send("GET", "/auth/v1.0", &login, &[]).unwrap();
    let token = token.header("x-auth-token").unwrap();
    let limit = [
        ("x-auth-token", token.as_str()),
        ("x-account-meta-quota-bytes", "2500"),
    ];
    status(
        &nobody.send("POST", "/v1/AUTH_d", &limit, b"").unwrap(),
        204,
    );
    let mut piece = |at: &str, upload: &str, bytes: usize| {
        let headers = [
            ("x-cdmi-partial", upload),
            ("content-type", "text/plain;charset=utf-8"),
        ];
        let (target, body) = (format!("/cdmi/c/{at}"), "x".repeat(bytes));
        let sent = client.send("PUT", &target, &headers, body.as_bytes());
        sent.unwrap().status
    };
    assert_eq!(piece("o", "upload-id=a", 1000), 202);
    assert_eq!(piece("p", "upload-id=b", 1600), 507);
    // A value takes the place of its pieces.
    assert_eq!(piece("o", "upload-id=a", 0), 201);
    assert_eq!(piece("p", "upload-id=b", 1400), 202);
    assert_eq!(piece("q", "upload-id=c", 200), 507);
}

/// What is to be given away may be replaced while the request comes in: then nothing is given.
#[test]
fn what_came_in_the_place_of_a_gift_is_not_given() {
    use std::io::{Read as _, Write as _};
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    make(client, "/cdmi_domains/d/", enabled());
    create(client, "/c/", json!({}));
    let domain = create(client, "/c/o", json!({"value": "first"}))["domainURI"].clone();
    let body = json!({"domainURI": "/cdmi_domains/d/"}).to_string();
    let credentials = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "PATCH /cdmi/c/o HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: {OBJECT}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(fixture.server().address).unwrap();
    let patience = std::time::Duration::from_secs(60);
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // The body is asked for when the object has been found.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    create(client, "/c/o", json!({"value": "second"}));
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert_eq!(read(client, "/c/o", OBJECT)["domainURI"], domain);
}

/// Objects of a domain in the containers of others are its objects all the same.
#[test]
fn objects_in_containers_of_others_are_of_their_domain() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for domain in ["d", "heir"] {
        make(client, &format!("/cdmi_domains/{domain}/"), enabled());
    }
    let (d, heir) = ("/cdmi_domains/d/", "/cdmi_domains/heir/");
    create(client, "/c/", json!({}));
    create(client, "/c/o", json!({"value": "x", "domainURI": d}));
    create(client, "/c/in/", json!({"domainURI": d}));
    status(&plain(client, "DELETE", d, b""), 400);
    let enable = |client: &mut Client, value: &str| {
        let target = format!("{d}?metadata=cdmi_domain_enabled");
        let metadata = json!({"metadata": {"cdmi_domain_enabled": value}});
        status(&call(client, "PATCH", &target, DOMAIN, metadata), 204);
    };
    enable(client, "false");
    status(&get(client, "/c/o", OBJECT), 403);
    status(&plain(client, "GET", "/c/o", b""), 403);
    status(&get(client, "/c/in/", CONTAINER), 403);
    status(&get(client, "/c/", CONTAINER), 200);
    enable(client, "true");
    status(&get(client, "/c/o", OBJECT), 200);
    let target = format!("{d}?metadata=cdmi_domain_delete_reassign");
    let metadata = json!({"metadata": {"cdmi_domain_delete_reassign": heir}});
    status(&call(client, "PATCH", &target, DOMAIN, metadata), 204);
    status(&plain(client, "DELETE", d, b""), 204);
    status(&get(client, d, DOMAIN), 404);
    assert_eq!(read(client, "/c/o", OBJECT)["domainURI"], heir);
    assert_eq!(read(client, "/c/in/", CONTAINER)["domainURI"], heir);
    // They are the other one's now, until they have gone.
    status(&plain(client, "DELETE", heir, b""), 400);
    status(&plain(client, "DELETE", "/c/in/", b""), 204);
    status(&plain(client, "DELETE", heir, b""), 400);
    status(&plain(client, "DELETE", "/c/o", b""), 204);
    status(&plain(client, "DELETE", heir, b""), 204);
}

/// So are those that users of a domain make there, and those that stay in a container that is given away.
#[test]
fn what_users_make_in_containers_of_others_is_of_their_domain() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    make(client, "/cdmi_domains/e/", enabled());
    let record = json!({
        "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "ann",
        "cdmi_member_credentials": "a long password", "cdmi_member_privileges": ["administrator"],
    });
    let at = "/cdmi_domains/e/cdmi_domain_members/ann";
    let record = json!({"value": record.to_string()});
    status(&call(client, "PUT", at, OBJECT, record), 201);
    let ann = &mut Client::new(fixture.server().address, "e/ann", "a long password");
    let entry = |who: &str| {
        let (kind, mask) = ("ALLOW", "ALL_PERMS");
        json!({"acetype": kind, "identifier": who, "aceflags": "0x3", "acemask": mask})
    };
    let list = json!({"cdmi_acl": [entry("OWNER@"), entry("e/ann")]});
    create(client, "/c/", json!({"metadata": list}));
    create(client, "/c/from", json!({"value": "x"}));
    let e = "/cdmi_domains/e/";
    for (method, document) in [
        ("PUT", json!({"value": "x"})),
        ("PUT", json!({"copy": "/c/from"})),
        ("PUT", json!({"reference": "/c/from"})),
    ] {
        status(&call(ann, method, "/c/o", OBJECT, document), 201);
        status(&plain(client, "DELETE", e, b""), 400);
        status(&plain(ann, "DELETE", "/c/o", b""), 204);
    }
    create(ann, "/hers/", json!({}));
    create(ann, "/hers/o", json!({"value": "x"}));
    let give = json!({"domainURI": "/cdmi_domains/root/"});
    status(&call(client, "PATCH", "/hers/", CONTAINER, give), 204);
    assert_eq!(read(client, "/hers/o", OBJECT)["domainURI"], e);
    status(&plain(client, "DELETE", e, b""), 400);
    status(&plain(client, "DELETE", "/hers/o", b""), 204);
    status(&plain(client, "DELETE", e, b""), 204);
}
