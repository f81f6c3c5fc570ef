//! The listing of a bucket: prefixes, delimiters, pages.

use crate::{Fixture, assert_problem, json, put, send};
use trestle_tests::{Client, tree};

const KEYS: [&str; 9] = ["a", "a/1", "a/2", "a/b/3", "b", "b/4", "c-5", "c/6", "d"];

fn filled() -> Fixture {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for key in KEYS {
        assert_eq!(
            put(client, &format!("/rest/b/{key}"), key.as_bytes()).status,
            201
        );
    }
    fixture
}

/// Keys, and prefixes marked by `>`, over all pages.
fn walk(client: &mut Client, query: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = format!("/rest/b/?limit={limit}&{query}");
    loop {
        let response = send(client, "GET", &next);
        assert_eq!(response.status, 200, "{next}: {}", response.text());
        let page = json(&response);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        for item in items {
            found.push(match item["key"].as_str() {
                Some(key) => key.to_owned(),
                None => format!(">{}", item["prefix"].as_str().unwrap()),
            });
        }
        let link = response.header("link");
        match page["next"].as_str() {
            Some(target) => {
                let link = link.unwrap();
                let wanted = format!("<{target}>; rel=\"next\"");
                assert!(link.split(", ").any(|one| one == wanted), "{link}");
                next = target.to_owned();
            }
            None => {
                let link = link.unwrap_or_default();
                assert!(!link.contains("rel=\"next\""), "{link}");
                return found;
            }
        }
    }
}

#[test]
fn pages_of_any_size_give_the_same_walk() {
    let fixture = filled();
    let client = &mut fixture.client();
    let cases: [(&str, &[&str]); 8] = [
        ("", &KEYS),
        ("prefix=a/", &["a/1", "a/2", "a/b/3"]),
        ("delimiter=/", &["a", ">a/", "b", ">b/", "c-5", ">c/", "d"]),
        ("prefix=a/&delimiter=/", &["a/1", "a/2", ">a/b/"]),
        ("prefix=a&delimiter=/", &["a", ">a/"]),
        (
            "delimiter=-",
            &["a", "a/1", "a/2", "a/b/3", "b", "b/4", ">c-", "c/6", "d"],
        ),
        ("prefix=x", &[]),
        ("after=b", &["b/4", "c-5", "c/6", "d"]),
    ];
    for (query, expected) in cases {
        for limit in [1, 2, 3, 1000] {
            assert_eq!(walk(client, query, limit), expected, "{query} by {limit}");
        }
    }
    let reversed: Vec<&str> = KEYS.into_iter().rev().collect();
    assert_eq!(walk(client, "reverse=true", 2), reversed);
}

#[test]
fn an_item_tells_what_a_read_would() {
    let fixture = filled();
    let client = &mut fixture.client();
    let page = json(&send(client, "GET", "/rest/b/?prefix=a/b"));
    let item = &page["items"][0];
    let head = send(client, "HEAD", "/rest/b/a/b/3");
    assert_eq!(item["size"], 5);
    let tag = item["etag"].as_str().unwrap();
    assert_eq!(
        head.header("etag").unwrap().trim_matches('"'),
        tag.trim_matches('"')
    );
    assert_eq!(page["objects"], 9, "counted exactly");
    let bytes: usize = KEYS.iter().map(|key| key.len()).sum();
    assert_eq!(page["bytes"], bytes);
}

#[test]
fn a_walk_misses_nothing_while_others_delete() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for number in 0..40 {
        put(client, &format!("/rest/b/{number:02}"), b"");
    }
    let first = json(&send(client, "GET", "/rest/b/?limit=10"));
    // What the next page would start at goes away.
    for number in 9..12 {
        assert_eq!(
            send(client, "DELETE", &format!("/rest/b/{number:02}")).status,
            204
        );
    }
    let next = json(&send(client, "GET", first["next"].as_str().unwrap()));
    assert_eq!(next["items"][0]["key"], "12");
    assert_eq!(tree::list(client, "b", 7).unwrap().len(), 37);
}

#[test]
fn a_wrong_parameter_is_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    for query in [
        "limit=x",
        "limit=-1",
        "limit=+1",
        "limit=10001",
        "unknown=1",
        "prefix=a&prefix=b",
        "prefix=%",
    ] {
        assert_problem(&send(client, "GET", &format!("/rest/b/?{query}")), 400);
    }
}
