//! Containers that are sent from one server to another.

use crate::cdmi_extensions::until;
use crate::swift::Swift;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use trestle_tests::random::Random;
use trestle_tests::server::Server;
use trestle_tests::{Client, Launch, Response};

/// A server that knows these clusters of one realm.
fn server(folder: &Path, name: &str, clusters: &str) -> Server {
    let realms = folder.join(format!("{name}.conf"));
    std::fs::write(&realms, format!("[realm]\nkey = of both\n{clusters}")).unwrap();
    let launch = Launch::new(folder.join(name));
    let realms = realms.to_str().unwrap().to_owned();
    launch
        .variable("TRESTLE_SWIFT_SYNC_REALMS", &realms)
        .start()
}

fn told(swift: &mut Swift, path: &str, name: &str) -> Option<String> {
    swift.send("HEAD", path, &[], &[]).header(name)
}

#[test]
fn a_container_is_sent_to_another_server_and_kept_as_it_is() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    let cluster = format!("cluster_There = http://{}/v1/\n", there.address);
    let here = server(folder.path(), "here", &cluster);
    let (mut from, mut to) = (Swift::of(&here), Swift::of(&there));
    let info = Client::anonymous(here.address).send("GET", "/info", &[], b"");
    let info: Value = serde_json::from_slice(&info.unwrap().body).unwrap();
    let shown = json!({"realms": {"REALM": {"clusters": {"THERE": {}}}}});
    assert_eq!(info["container_sync"], shown);

    // What is there already is sent first.
    assert_eq!(from.status("PUT", "/c", &[]), 201);
    from.put("/c/old", b"old");
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    let sent = [
        ("x-container-sync-to", "//realm/there/AUTH_root/copy"),
        ("x-container-sync-key", "own"),
    ];
    assert_eq!(from.status("POST", "/c", &sent), 204);
    assert_eq!(
        told(&mut from, "/c", "x-container-sync-to").as_deref(),
        Some(sent[0].1)
    );
    until("what was there is sent", || {
        to.send("GET", "/copy/old", &[], &[]).body == b"old"
    });

    // Then what changes: bytes, metadata, names with odd characters, deletions.
    let headers = [("content-type", "text/x"), ("x-object-meta-color", "red")];
    let put = from.send("PUT", "/c/a%20b/%C3%BC%3F", &headers, b"first");
    assert_eq!(put.status, 201);
    from.put("/c/gone", b"gone");
    until("new ones are sent", || {
        to.status("HEAD", "/copy/a%20b/%C3%BC%3F", &[]) == 200
            && to.status("HEAD", "/copy/gone", &[]) == 200
    });
    for name in ["x-timestamp", "etag", "content-type", "x-object-meta-color"] {
        let sent = told(&mut from, "/c/a%20b/%C3%BC%3F", name);
        assert!(sent.is_some(), "{name}");
        assert_eq!(told(&mut to, "/copy/a%20b/%C3%BC%3F", name), sent, "{name}");
    }
    from.put("/c/old", b"newer");
    assert_eq!(from.status("DELETE", "/c/gone", &[]), 204);
    let color = [("x-object-meta-color", "blue")];
    assert_eq!(from.status("POST", "/c/a%20b/%C3%BC%3F", &color), 202);
    until("changes are sent", || {
        to.send("GET", "/copy/old", &[], &[]).body == b"newer"
            && to.status("HEAD", "/copy/gone", &[]) == 404
            && told(&mut to, "/copy/a%20b/%C3%BC%3F", "x-object-meta-color").as_deref()
                == Some("blue")
    });

    // A large object, whose segments are sent by their own container.
    assert_eq!(from.status("PUT", "/parts", &sent_to("/parts")), 201);
    assert_eq!(
        to.status("PUT", "/parts", &[("x-container-sync-key", "own")]),
        201
    );
    from.put("/parts/1", b"one ");
    from.put("/parts/2", b"two");
    let manifest = json!([{"path": "/parts/1"}, {"path": "/parts/2"}]).to_string();
    let large = from.send(
        "PUT",
        "/c/large?multipart-manifest=put",
        &[],
        manifest.as_bytes(),
    );
    assert_eq!(large.status, 201, "{}", large.text());
    until("a large object is sent", || {
        to.send("GET", "/copy/large", &[], &[]).body == b"one two"
    });
    assert_eq!(
        told(&mut to, "/copy/large", "x-static-large-object").as_deref(),
        Some("True")
    );

    // What was written over there later stays.
    to.put("/copy/later", b"of the other");
    assert_eq!(from.status("DELETE", "/c/old", &[]), 204);
    until("the deletion is sent", || {
        to.status("HEAD", "/copy/old", &[]) == 404
    });
    assert_eq!(
        to.send("GET", "/copy/later", &[], &[]).body,
        b"of the other"
    );
}

fn sent_to(container: &str) -> [(&'static str, &'static str); 2] {
    let to = match container {
        "/parts" => "//realm/there/AUTH_root/parts",
        _ => "//realm/there/AUTH_root/copy",
    };
    [("x-container-sync-to", to), ("x-container-sync-key", "own")]
}

#[test]
fn a_server_that_was_away_gets_the_rest() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    let address = there.address;
    let cluster = format!("cluster_there = http://{address}/v1\n");
    let here = server(folder.path(), "here", &cluster);
    let mut from = Swift::of(&here);
    assert_eq!(
        Swift::of(&there).status("PUT", "/copy", &[("x-container-sync-key", "wrong")]),
        201
    );
    assert_eq!(from.status("PUT", "/c", &sent_to("/copy")), 201);
    from.put("/c/k", b"1");
    drop(here);
    // A key that is not shared sends nothing; a restart goes on where it was.
    let here = server(folder.path(), "here", &cluster);
    let mut from = Swift::of(&here);
    from.put("/c/k", b"2");
    let mut to = Swift::of(&there);
    assert_eq!(to.status("HEAD", "/copy/k", &[]), 404);
    assert_eq!(
        to.status("POST", "/copy", &[("x-container-sync-key", "own")]),
        204
    );
    until("the key is right", || {
        to.send("GET", "/copy/k", &[], &[]).body == b"2"
    });
}

#[test]
fn only_what_is_signed_and_newer_is_taken() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    let mut to = Swift::of(&there);
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    to.put("/copy/k", b"mine");
    let mut nobody = Client::anonymous(there.address);
    let target = "/v1/AUTH_root/copy/k";
    for auth in ["", "realm", "realm n 00", "realm n 00 x", "other n 00"] {
        for method in ["PUT", "DELETE", "HEAD", "GET", "POST"] {
            let headers = [
                ("x-container-sync-auth", auth),
                ("x-timestamp", "9999999999.00000"),
            ];
            let answer = nobody.send(method, target, &headers, b"").unwrap();
            assert_eq!(answer.status, 401, "{method} {auth:?}");
        }
    }
    assert_eq!(to.send("GET", "/copy/k", &[], &[]).body, b"mine");
    // Where a container is sent to is one of the clusters that the operator named.
    for wrong in [
        "http://127.0.0.1:1/v1/AUTH_root/c",
        "//realm/there/AUTH_root/c",
        "//nowhere/there/AUTH_root/c",
        "//realm",
    ] {
        let headers = [("x-container-sync-to", wrong)];
        assert_eq!(to.status("POST", "/copy", &headers), 400, "{wrong}");
    }
}

/// A way to a server: its beginning is known before the server runs, and it may be closed.
struct Way {
    address: SocketAddr,
    state: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    to: Option<SocketAddr>,
    streams: Vec<TcpStream>,
}

impl Way {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(Open::default()));
        let open = state.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let mut open = open.lock().unwrap();
                // A closed way ends at once.
                let far = open.to.map(TcpStream::connect);
                let Some(Ok(far)) = far else { continue };
                for (from, into) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut into) =
                        (from.try_clone().unwrap(), into.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _broken = io::copy(&mut from, &mut into);
                        let _closed = into.shutdown(Shutdown::Both);
                    });
                }
                open.streams.extend([near, far]);
            }
        });
        Way { address, state }
    }

    fn lead(&self, to: Option<SocketAddr>) {
        let mut open = self.state.lock().unwrap();
        open.to = to;
        if to.is_none() {
            for stream in open.streams.drain(..) {
                let _closed = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Servers with a container each, `/pair`, that send to the next one, and the last to the first: two of
/// them send to each other.
struct Pair {
    ways: Vec<Way>,
    servers: Vec<Server>,
    swift: Vec<Swift>,
    _folder: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        Pair::ring(2)
    }

    fn ring(count: usize) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let ways: Vec<Way> = (0..count).map(|_| Way::new()).collect();
        let cluster = |(number, way): (usize, &Way)| {
            format!("cluster_s{number} = http://{}/v1\n", way.address)
        };
        let clusters: String = ways.iter().enumerate().map(cluster).collect();
        let start = |number: usize| server(folder.path(), &format!("s{number}"), &clusters);
        let servers: Vec<Server> = (0..count).map(start).collect();
        let mut swift: Vec<Swift> = servers.iter().map(Swift::of).collect();
        for (number, swift) in swift.iter_mut().enumerate() {
            let to = format!("//realm/s{}/AUTH_root/pair", (number + 1) % count);
            let sent = [
                ("x-container-sync-to", to.as_str()),
                ("x-container-sync-key", "own"),
            ];
            assert_eq!(swift.status("PUT", "/pair", &sent), 201);
        }
        let pair = Pair {
            ways,
            servers,
            swift,
            _folder: folder,
        };
        pair.join();
        pair
    }

    fn join(&self) {
        for (way, server) in self.ways.iter().zip(&self.servers) {
            way.lead(Some(server.address));
        }
    }

    fn part(&self) {
        for way in &self.ways {
            way.lead(None);
        }
    }

    fn put(&mut self, side: usize, key: &str, body: &[u8]) {
        self.swift[side].put(&format!("/pair/{key}"), body);
    }

    fn delete(&mut self, side: usize, key: &str) {
        let path = format!("/pair/{key}");
        assert_eq!(self.swift[side].status("DELETE", &path, &[]), 204, "{key}");
    }

    /// Waits until a side has these bytes, or nothing.
    fn until_has(&mut self, side: usize, key: &str, wanted: Option<&[u8]>) {
        let path = format!("/pair/{key}");
        let swift = &mut self.swift[side];
        until(&format!("{key} at {side}"), || {
            let found = swift.send("GET", &path, &[], &[]);
            match wanted {
                Some(bytes) => found.status == 200 && found.body == bytes,
                None => found.status == 404,
            }
        });
    }

    fn until_all(&mut self, key: &str, wanted: Option<&[u8]>) {
        for side in 0..self.swift.len() {
            self.until_has(side, key, wanted);
        }
    }

    /// The revision of a key, which is new with each write.
    fn revision(&self, side: usize, key: &str) -> String {
        let mut client = self.servers[side].client();
        let found = client.send("HEAD", &format!("/rest/pair/{key}"), &[], b"");
        found.unwrap().header("etag").unwrap()
    }
}

#[test]
fn two_that_send_to_each_other_agree_and_come_to_rest() {
    let mut pair = Pair::new();
    pair.put(0, "one", b"of a");
    pair.put(1, "two", b"of b");
    pair.until_all("one", Some(b"of a"));
    pair.until_all("two", Some(b"of b"));
    for key in ["/pair/one", "/pair/two"] {
        let times = [0, 1].map(|side| told(&mut pair.swift[side], key, "x-timestamp").unwrap());
        assert_eq!(times[0], times[1], "{key}");
    }
    let written = |pair: &Pair| {
        let of = |side| ["one", "two"].map(|key| pair.revision(side, key));
        [of(0), of(1)]
    };
    let first = written(&pair);
    // A mark that has gone to and fro has passed all that there was to send before it.
    for (round, side) in [0, 1, 0, 1].into_iter().enumerate() {
        let mark = format!("mark{round}");
        pair.put(side, &mark, b"");
        pair.until_all(&mark, Some(b""));
    }
    assert_eq!(written(&pair), first);

    // Changes and deletions go both ways, whoever wrote first.
    pair.put(1, "one", b"changed by b");
    pair.until_all("one", Some(b"changed by b"));
    pair.delete(0, "two");
    pair.until_all("two", None);
    pair.delete(1, "one");
    pair.until_all("one", None);
    for (round, side) in [0, 1, 0, 1].into_iter().enumerate() {
        let mark = format!("mark{round}");
        pair.delete(side, &mark);
        pair.until_all(&mark, None);
    }
    for side in [0, 1] {
        let listed = pair.swift[side].send("GET", "/pair", &[], &[]);
        assert_eq!(listed.status, 204, "{}", listed.text());
    }
    pair.put(0, "two", b"again");
    pair.until_all("two", Some(b"again"));
}

#[test]
fn of_what_two_did_apart_the_newest_wins() {
    let mut pair = Pair::new();
    for key in ["deleted", "deleted-then-written", "written-then-deleted"] {
        pair.put(0, key, b"before");
        pair.until_all(key, Some(b"before"));
    }
    pair.part();
    pair.put(0, "b-last", b"a");
    pair.put(1, "b-last", b"b");
    pair.put(1, "a-last", b"b");
    pair.put(0, "a-last", b"a");
    pair.delete(0, "deleted");
    pair.delete(0, "deleted-then-written");
    pair.put(1, "deleted-then-written", b"new");
    pair.put(0, "written-then-deleted", b"new");
    pair.delete(1, "written-then-deleted");
    // Another spelling of the same destination: all is sent again, what is deleted elsewhere, too.
    let again = [("x-container-sync-to", "//REALM/s0/AUTH_root/pair")];
    assert_eq!(pair.swift[1].status("POST", "/pair", &again), 204);
    pair.join();
    pair.until_all("b-last", Some(b"b"));
    pair.until_all("a-last", Some(b"a"));
    pair.until_all("deleted-then-written", Some(b"new"));
    pair.until_all("written-then-deleted", None);
    pair.until_all("deleted", None);
}

#[test]
fn whatever_two_did_together_and_apart_they_agree_on_the_last_of_each_key() {
    let seed = std::env::var("TRESTLE_SEED").ok();
    let mut random = Random::new(seed.and_then(|seed| seed.parse().ok()).unwrap_or(1));
    let mut pair = Pair::new();
    let mut last: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
    for round in 0..6 {
        match round % 2 {
            0 => pair.join(),
            _ => pair.part(),
        }
        for step in 0..20 {
            let side = random.below(2) as usize;
            let key = format!("k{}", random.below(6));
            let path = format!("/pair/{key}");
            match random.below(3) {
                // What comes in meanwhile would be changed instead.
                1 if round % 2 == 0 => {}
                0 => {
                    // What is not there cannot be deleted.
                    if pair.swift[side].status("DELETE", &path, &[]) == 204 {
                        last.insert(key, None);
                    }
                }
                1 => {
                    let color = [("x-object-meta-color", "red")];
                    let found = pair.swift[side].send("GET", &path, &[], &[]);
                    if pair.swift[side].status("POST", &path, &color) == 202 {
                        last.insert(key, Some(found.body));
                    }
                }
                _ => {
                    let body = format!("{round} {step}").into_bytes();
                    pair.put(side, &key, &body);
                    last.insert(key, Some(body));
                }
            }
        }
    }
    pair.join();
    for (key, body) in &last {
        pair.until_all(key, body.as_deref());
    }
    // It stays so.
    pair.put(0, "mark", b"");
    pair.until_all("mark", Some(b""));
    pair.put(1, "mark", b"back");
    pair.until_all("mark", Some(b"back"));
    for (key, body) in &last {
        pair.until_all(key, body.as_deref());
    }
}

#[test]
fn what_goes_round_a_ring_comes_to_rest() {
    let mut ring = Pair::ring(3);
    ring.put(0, "one", b"of the first");
    ring.put(2, "two", b"of the last");
    ring.until_all("one", Some(b"of the first"));
    ring.until_all("two", Some(b"of the last"));
    let written = |ring: &Pair| [0, 1, 2].map(|side| ring.revision(side, "one"));
    let first = written(&ring);
    ring.delete(1, "two");
    ring.until_all("two", None);
    for side in [0, 1, 2] {
        ring.put(side, "mark", &[side as u8]);
        ring.until_all("mark", Some(&[side as u8]));
    }
    assert_eq!(written(&ring), first);
    ring.until_all("two", None);
}

#[test]
fn a_cluster_that_stalls_delays_no_other() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = server(folder.path(), "there", "");
    // Who connects here gets no answer.
    let stalled = TcpListener::bind("127.0.0.1:0").unwrap();
    let (dead, well) = (stalled.local_addr().unwrap(), there.address);
    let clusters = format!("cluster_dead = http://{dead}/v1\ncluster_well = http://{well}/v1\n");
    let here = server(folder.path(), "here", &clusters);
    let (mut from, mut to) = (Swift::of(&here), Swift::of(&there));
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    for number in 0..6 {
        let path = format!("/dead{number}");
        let sent = [
            ("x-container-sync-to", "//realm/dead/AUTH_root/copy"),
            ("x-container-sync-key", "own"),
        ];
        assert_eq!(from.status("PUT", &path, &sent), 201);
        from.put(&format!("{path}/k"), b"never arrives");
    }
    let sent = [
        ("x-container-sync-to", "//realm/well/AUTH_root/copy"),
        ("x-container-sync-key", "own"),
    ];
    assert_eq!(from.status("PUT", "/well", &sent), 201);
    from.put("/well/k", b"arrives");
    until("the other cluster gets it", || {
        to.send("GET", "/copy/k", &[], &[]).body == b"arrives"
    });
}

#[test]
fn a_whole_url_leads_to_a_host_that_the_operator_named() {
    let folder = tempfile::TempDir::new().unwrap();
    let way = Way::new();
    let host = way.address.to_string();
    let start = |name: &str| {
        let launch = Launch::new(folder.path().join(name));
        launch.variable("TRESTLE_SWIFT_SYNC_HOST", &host).start()
    };
    let (here, there) = (start("here"), start("there"));
    way.lead(Some(there.address));
    let (mut from, mut to) = (Swift::of(&here), Swift::of(&there));
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    for wrong in [
        format!("http://{}/v1/AUTH_root/copy", there.address),
        format!("http://{host}/v1/AUTH_root"),
        "//realm/there/AUTH_root/copy".to_owned(),
    ] {
        let headers = [("x-container-sync-to", wrong.as_str())];
        assert_eq!(from.status("PUT", "/c", &headers), 400, "{wrong}");
    }
    let url = format!("http://{host}/v1/AUTH_root/copy");
    let sent = [
        ("x-container-sync-to", url.as_str()),
        ("x-container-sync-key", "own"),
    ];
    assert_eq!(from.status("PUT", "/c", &sent), 201);
    from.put("/c/k", b"sent");
    until("it is sent", || {
        to.send("GET", "/copy/k", &[], &[]).body == b"sent"
    });
    assert_eq!(from.status("DELETE", "/c/k", &[]), 204);
    until("the deletion is sent", || {
        to.status("HEAD", "/copy/k", &[]) == 404
    });
}

#[test]
fn the_newest_of_what_another_cluster_sends_stays() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("there"));
    let there = launch
        .variable("TRESTLE_SWIFT_SYNC_HOST", "elsewhere")
        .start();
    let mut to = Swift::of(&there);
    assert_eq!(
        to.status("PUT", "/copy", &[("x-container-sync-key", "own")]),
        201
    );
    let mut other = Client::anonymous(there.address);
    let mut send = |method: &str, key: &str, time: &str| {
        let headers = [("x-container-sync-key", key), ("x-timestamp", time)];
        let headers = if time.is_empty() {
            &headers[..1]
        } else {
            &headers[..]
        };
        let sent = other.send(method, "/v1/AUTH_root/copy/k", headers, time.as_bytes());
        sent.unwrap().status
    };
    for (method, key, time) in [("PUT", "other", "5"), ("PUT", "", "5"), ("PUT", "own", "")] {
        assert_eq!(send(method, key, time), 401, "{method} {key:?} {time:?}");
    }
    for (method, time, status, there) in [
        // A deletion of nothing is remembered, too.
        ("DELETE", "2", 404, None),
        ("PUT", "1", 202, None),
        ("PUT", "2", 202, None),
        ("PUT", "5", 201, Some("5")),
        ("PUT", "3", 202, Some("5")),
        ("DELETE", "4", 409, Some("5")),
        ("PUT", "6.5", 201, Some("6.5")),
        ("DELETE", "7", 204, None),
        ("PUT", "6.9", 202, None),
        ("PUT", "7", 202, None),
        ("DELETE", "6", 404, None),
        ("PUT", "7.00001", 201, Some("7.00001")),
    ] {
        assert_eq!(send(method, "own", time), status, "{method} {time}");
        let found = to.send("GET", "/copy/k", &[], &[]);
        match there {
            Some(body) => assert_eq!(found.text(), body, "{method} {time}"),
            None => assert_eq!(found.status, 404, "{method} {time}"),
        }
    }
    // A copy is a write of its own.
    let copied = [("destination", "/copy/k")];
    assert_eq!(to.status("COPY", "/copy/k", &copied), 201);
    let time = told(&mut to, "/copy/k", "x-timestamp").unwrap();
    assert!(time.as_str() > "1000000000", "{time}");
    // What is written here is newer than all that.
    to.put("/copy/k", b"here");
    assert_eq!(send("PUT", "own", "8"), 202);
    assert_eq!(send("DELETE", "own", "8"), 409);
    assert_eq!(to.send("GET", "/copy/k", &[], &[]).body, b"here");
    // Who has a token of the account needs no key, and the key means nothing then.
    let wrong = [("x-container-sync-key", "other"), ("x-timestamp", "9")];
    assert_eq!(to.status("HEAD", "/copy/k", &wrong), 200);
}

/// A container at a server, into which another cluster sends by the container's own key.
struct Into {
    swift: Swift,
    other: Client,
    container: &'static str,
}

impl Into {
    fn new(server: &Server, container: &'static str, more: &[(&str, &str)]) -> Self {
        let mut swift = Swift::of(server);
        let mut headers = vec![("x-container-sync-key", "own")];
        headers.extend_from_slice(more);
        assert_eq!(swift.status("PUT", container, &headers), 201);
        Into {
            swift,
            other: Client::anonymous(server.address),
            container,
        }
    }

    /// The server's time in seconds.
    fn now(&mut self) -> u64 {
        let path = format!("{}/now", self.container);
        self.swift.put(&path, b"");
        let now = told(&mut self.swift, &path, "x-timestamp").unwrap();
        now.split('.').next().unwrap().parse().unwrap()
    }

    fn send(&mut self, method: &str, key: &str, time: &str, more: &[(&str, &str)]) -> Response {
        let mut headers = vec![("x-container-sync-key", "own"), ("x-timestamp", time)];
        headers.extend_from_slice(more);
        let path = format!("/v1/AUTH_root{}/{key}", self.container);
        let sent = self.other.send(method, &path, &headers, time.as_bytes());
        sent.unwrap()
    }

    fn put(&mut self, key: &str, time: &str) -> u16 {
        self.send("PUT", key, time, &[]).status
    }

    /// Waits until what was deleted so far is remembered.
    fn until_noted(&mut self, mark: &str) {
        let path = format!("{}/{mark}", self.container);
        self.swift.put(&path, b"");
        assert_eq!(self.swift.status("DELETE", &path, &[]), 204);
        // Each is newer than the one before, which may have been taken.
        let mut time = 5;
        until("a deletion is remembered", || {
            time += 1;
            self.put(mark, &time.to_string()) == 202
        });
    }
}

#[test]
fn what_has_ended_stays_away_and_what_is_newer_than_it_comes() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("there"));
    let there = launch
        .variable("TRESTLE_SWIFT_SYNC_HOST", "elsewhere")
        .start();
    let mut into = Into::new(&there, "/copy", &[]);
    let now = into.now();
    let at = |before: u64| (now - before).to_string();
    let end = (now + 3).to_string();
    let ends = [("x-delete-at", end.as_str())];
    assert_eq!(into.send("PUT", "k", &at(1000), &ends).status, 201);
    until("it is deleted", || {
        let left = told(&mut into.swift, "/copy", "x-container-object-count");
        left.as_deref() == Some("1")
    });
    into.until_noted("mark");
    assert_eq!(into.put("k", &at(1000)), 202);
    assert_eq!(into.put("k", &at(1001)), 202);
    // Written over there before the end, it comes in after it.
    assert_eq!(into.put("k", &at(999)), 201);
    into.until_noted("mark2");
    let found = into.swift.send("GET", "/copy/k", &[], &[]);
    assert_eq!((found.status, found.text()), (200, at(999)));
}

#[test]
fn what_has_ended_and_is_not_deleted_yet_is_as_new_as_it_was() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("there"));
    let there = launch
        .variable("TRESTLE_SWIFT_SYNC_HOST", "elsewhere")
        .variable("TRESTLE_EXPIRY_DELAY", "3600")
        .start();
    let mut into = Into::new(&there, "/copy", &[]);
    let now = into.now();
    let end = (now + 3).to_string();
    let ends = [("x-delete-at", end.as_str())];
    assert_eq!(into.send("PUT", "k", "5", &ends).status, 201);
    until("it has ended", || {
        into.swift.status("HEAD", "/copy/k", &[]) == 404
    });
    assert_eq!((into.put("k", "4"), into.put("k", "5")), (202, 202));
    assert_eq!(into.put("k", "6"), 201);
    assert_eq!(into.swift.status("HEAD", "/copy/k", &[]), 200);
}

#[test]
fn a_container_with_versions_remembers_what_was_deleted() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("there"));
    let there = launch
        .variable("TRESTLE_SWIFT_SYNC_HOST", "elsewhere")
        .start();
    let mut into = Into::new(&there, "/kept", &[("x-versions-enabled", "true")]);
    assert_eq!(into.put("here", "5"), 201);
    assert_eq!(into.swift.status("DELETE", "/kept/here", &[]), 204);
    // A deletion from elsewhere has the time that it has there.
    assert_eq!(into.put("there", "5"), 201);
    assert_eq!(into.send("DELETE", "there", "7", &[]).status, 204);
    // A version that goes says nothing of what is current.
    let first = into.send("PUT", "old", "5", &[]);
    let first = first.header("x-object-version-id").unwrap();
    assert_eq!(into.put("old", "6"), 201);
    let version = format!("/kept/old?version-id={first}");
    assert_eq!(into.swift.status("DELETE", &version, &[]), 204);
    into.until_noted("mark");
    for (key, time, status) in [
        ("here", "5", 202),
        ("here", "8", 202),
        ("there", "7", 202),
        ("there", "8", 201),
        ("old", "6", 202),
        ("old", "7", 201),
    ] {
        assert_eq!(into.put(key, time), status, "{key} {time}");
    }
    for (key, status) in [("here", 404), ("there", 200), ("old", 200), ("mark", 404)] {
        let path = format!("/kept/{key}");
        assert_eq!(into.swift.status("HEAD", &path, &[]), status, "{key}");
    }
}
