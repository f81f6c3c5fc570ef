//! Keys are text between the first slash and the query, and nothing in them means a path.

use crate::{Fixture, assert_problem, json, put, send};
use std::collections::BTreeSet;
use trestle_tests::client::escape;

#[test]
fn every_key_is_its_own_object() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let long = "k".repeat(1024);
    let keys = [
        "plain",
        "with space",
        "a/b/c",
        "a//b",
        "/leading",
        "trailing/",
        "..",
        "../up",
        "a/../b",
        "./here",
        ".",
        "%41",
        "%2F",
        "+",
        "&=?#",
        "é",
        "e\u{301}",
        "日本語/🚀",
        "\u{10FFFF}",
        "back\\slash",
        "quote\"'",
        "<tag>",
        "C:\\x",
        "~",
        "UPPER",
        "upper",
        "tab\there",
        "nul\0nul",
        &long,
    ];
    for key in keys {
        let target = format!("/rest/b/{}", escape(key));
        let created = put(client, &target, key.as_bytes());
        assert_eq!(created.status, 201, "{key:?}: {}", created.text());
    }
    for key in keys {
        let target = format!("/rest/b/{}", escape(key));
        assert_eq!(send(client, "GET", &target).text(), key, "{key:?}");
        // An escaped slash is the same octet in this dialect, as in every other.
        let target = format!("/rest/b/{}", escape(key).replace('/', "%2F"));
        assert_eq!(send(client, "GET", &target).text(), key, "{key:?}");
    }
    let page = json(&send(client, "GET", "/rest/b/"));
    let items = page["items"].as_array().unwrap();
    let listed: Vec<&str> = items
        .iter()
        .map(|item| item["key"].as_str().unwrap())
        .collect();
    let sorted: BTreeSet<&str> = keys.into_iter().collect();
    assert_eq!(
        listed,
        sorted.into_iter().collect::<Vec<_>>(),
        "in byte order"
    );
    for item in items {
        let href = item["href"].as_str().unwrap();
        assert_eq!(
            send(client, "GET", href).text(),
            item["key"].as_str().unwrap()
        );
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let too_long = format!("/rest/b/{}", "k".repeat(1025));
    for target in [
        too_long.as_str(),
        "/rest/b/%",
        "/rest/b/%zz",
        "/rest/b/%ff",
        "/rest/b/%C0%AF",
        "/rest/b/%ED%A0%80",
    ] {
        let refused = put(client, target, b"x");
        assert!(
            matches!(refused.status, 400 | 414),
            "{target}: {}",
            refused.status
        );
        assert_problem(&refused, refused.status);
    }
    assert_eq!(json(&send(client, "GET", "/rest/b/"))["objects"], 0);
}

#[test]
fn a_number_sign_that_is_not_escaped_does_not_cut_the_key_off() {
    let fixture = Fixture::new();
    put(&mut fixture.client(), "/rest/b/report", b"kept");
    assert_eq!(
        put(&mut fixture.client(), "/rest/b/report#2", b"lost").status,
        400
    );
    assert_eq!(
        send(&mut fixture.client(), "GET", "/rest/b/report").text(),
        "kept"
    );
}

#[test]
fn names_of_the_server_are_no_buckets() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for name in ["healthz", "~root", "a%3Ab", "v1", &"n".repeat(257)] {
        let refused = put(client, &format!("/rest/{name}/"), b"");
        assert_problem(&refused, 400);
    }
    for name in ["UPPER", "with%20space", "caf%C3%A9", &"n".repeat(256)] {
        assert_eq!(
            put(client, &format!("/rest/{name}/"), b"").status,
            201,
            "{name}"
        );
    }
}

#[test]
fn no_key_becomes_a_path() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for key in [
        "../../escaped",
        "%2e%2e%2fescaped",
        "/etc/escaped",
        "..%5cescaped",
    ] {
        put(client, &format!("/rest/b/{key}"), &[7; 200_000]);
    }
    let mut folders = vec![fixture.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            assert!(
                !entry.path().to_string_lossy().contains("escaped"),
                "{entry:?}"
            );
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}
