//! CDMI over the real binary: domains within domains, their summaries, and domains out of others.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, call, create, get, plain, read, status};
use serde_json::{Value, json};
use trestle_tests::Client;

const DOMAIN: &str = "application/cdmi-domain";

fn make(client: &mut Client, path: &str, document: Value) -> Value {
    let made = call(client, "PUT", path, DOMAIN, document);
    status(&made, 201);
    crate::json(&made)
}

fn enabled() -> Value {
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
    for length in ["daily/", "monthly/", "yearly/"] {
        let listed = read(client, &format!("{top}{length}"), CONTAINER);
        let children = listed["children"].as_array().unwrap();
        let last = children.last().unwrap().as_str().unwrap();
        let one = value(client, &format!("{top}{length}{last}"));
        assert!(one["cdmi_summary_end"].as_str().unwrap().starts_with(last));
    }
    status(&get(client, &format!("{top}daily/1999-01-01"), OBJECT), 404);
    status(
        &plain(client, "PUT", &format!("{top}cumulative"), b"x"),
        405,
    );
}

#[test]
fn domains_are_made_out_of_others() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    make(client, "/cdmi_domains/from/", enabled());
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
    let missing = json!({"copy": "/cdmi_domains/nothing/"});
    status(
        &call(client, "PUT", "/cdmi_domains/new/", DOMAIN, missing),
        400,
    );
}
