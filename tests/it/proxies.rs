//! Caches in front: what they keep, what they ask again, and that nothing stale comes out of them.

use crate::{Fixture, put, send};
use std::time::Duration;
use trestle_tests::client::base64;
use trestle_tests::proxy::Proxy;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::{Client, Response};

/// The answer, and what the cache did.
fn get(client: &mut Client, target: &str) -> (Response, String) {
    let response = send(client, "GET", target);
    let cache = response.header("x-cache").unwrap_or_default();
    (response, cache)
}

/// What both caches must do, whichever way they present the credentials.
fn caches_and_never_serves_what_is_stale(fixture: &mut Fixture, cached: &mut Client) {
    let origin = &mut fixture.client();
    let old = vec![b'1'; 300_000];
    let new = vec![b'2'; 300_001];

    // Without a word about caching an object may be kept by nobody.
    assert_eq!(put(origin, "/rest/b/plain", &old).status, 201);
    for _ in 0..2 {
        assert_eq!(get(cached, "/rest/b/plain").0.body, old);
    }
    assert_eq!(put(origin, "/rest/b/plain", &new).status, 204);
    assert_eq!(get(cached, "/rest/b/plain").0.body, new);

    // Neither may an answer that there is nothing.
    assert_eq!(get(cached, "/rest/b/later").0.status, 404);
    assert_eq!(put(origin, "/rest/b/later", b"now").status, 201);
    assert_eq!(get(cached, "/rest/b/later").0.status, 200);

    // Nor a listing.
    let before = get(cached, "/rest/b/").0.body;
    assert_eq!(put(origin, "/rest/b/listed", b"v").status, 201);
    assert_ne!(get(cached, "/rest/b/").0.body, before);

    // What its owner lets be kept is kept, and its parts come from what is kept.
    let long = [("cache-control", "public, max-age=600")];
    let created = origin.send("PUT", "/rest/b/long", &long, &old).unwrap();
    assert_eq!(created.status, 201);
    assert_eq!(get(cached, "/rest/b/long").1, "MISS");
    let (hit, how) = get(cached, "/rest/b/long");
    assert_eq!((how.as_str(), &hit.body), ("HIT", &old));
    let part = cached.send("GET", "/rest/b/long", &[("range", "bytes=7-9")], &[]);
    let part = part.unwrap();
    assert_eq!((part.status, part.body.len()), (206, 3));
    assert_eq!(part.header("content-range").unwrap(), "bytes 7-9/300000");
    let tag = hit.header("etag").unwrap();
    let same = [("if-none-match", tag.as_str())];
    let unchanged = cached.send("GET", "/rest/b/long", &same, &[]).unwrap();
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));

    // When its time is over it is asked for again: unchanged costs no bytes, changed comes at once.
    let short = [("cache-control", "public, max-age=1")];
    let created = origin.send("PUT", "/rest/b/short", &short, &old).unwrap();
    assert_eq!(created.status, 201);
    assert_eq!(get(cached, "/rest/b/short").0.body, old);
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(get(cached, "/rest/b/short").0.body, old);
    let replaced = origin.send("PUT", "/rest/b/short", &short, &new).unwrap();
    assert_eq!(replaced.status, 204);
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(get(cached, "/rest/b/short").0.body, new);

    let file = fixture.server().log_file();
    fixture.stop();
    let log = std::fs::read_to_string(file).unwrap();
    let asked: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("method=GET path=\"/rest/b/short\""))
        .collect();
    let unchanged = |line: &&&str| line.contains("status=304");
    assert_eq!(asked.iter().filter(unchanged).count(), 1, "{log}");
    assert_eq!(asked.len(), 3, "{log}");
}

#[test]
fn nginx_caches_and_never_serves_what_is_stale() {
    let mut fixture = Fixture::new();
    let home = fixture.folder.path().join("nginx");
    let proxy = Proxy::nginx_cache(fixture.server().address, &home);
    let mut cached = Client::new(proxy.address, USER, PASSWORD);
    caches_and_never_serves_what_is_stale(&mut fixture, &mut cached);
}

#[test]
fn varnish_caches_and_never_serves_what_is_stale() {
    let mut fixture = Fixture::new();
    let home = fixture.folder.path().join("varnish");
    let pair = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let basic = format!("Basic {pair}");
    let proxy = Proxy::varnish(fixture.server().address, &basic, &home);
    let mut cached = Client::anonymous(proxy.address);
    caches_and_never_serves_what_is_stale(&mut fixture, &mut cached);
}
