//! Volumes over REST, and as the other dialects see them.

use crate::dialects::{Dialect, Spoken};
use crate::{Fixture, assert_problem, json, put, send};
use trestle_tests::{Client, Response};

const VOLUME: (&str, &str) = ("content-type", "application/vnd.trestle.volume+json");

fn ask(client: &mut Client, method: &str, target: &str, document: &str) -> Response {
    client
        .send(method, target, &[VOLUME], document.as_bytes())
        .unwrap()
}

fn range(client: &mut Client, range: &str) -> Response {
    let headers = [("range", range)];
    client.send("GET", "/rest/b/v", &headers, b"").unwrap()
}

#[test]
fn a_volume_is_made_written_trimmed_resized_and_deleted() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let size = 100u64 << 30;
    let made = ask(client, "PUT", "/rest/b/v", &format!("{{\"size\":{size}}}"));
    assert_eq!(made.status, 201, "{}", made.text());
    let tag = made.header("etag");
    let head = send(client, "HEAD", "/rest/b/v");
    assert_eq!(head.header("content-length"), Some(size.to_string()));
    assert_eq!(head.header("trestle-kind").as_deref(), Some("volume"));
    let document = json(&send(client, "GET", "/rest/b/v?metadata"));
    assert_eq!(document["volume"]["size"], size);
    assert_eq!(document["volume"]["block_size"], 4096);

    let headers = [("content-range", "bytes 4090-4099/*")];
    let written = client.send("PATCH", "/rest/b/v", &headers, b"0123456789");
    let written = written.unwrap();
    assert_eq!(written.status, 204, "{}", written.text());
    assert_ne!(written.header("etag"), tag);
    let read = range(client, "bytes=4088-4101");
    assert_eq!(read.status, 206);
    assert_eq!(read.body, b"\0\x000123456789\0\0");
    let headers = [
        ("content-range", "bytes 0-0/*"),
        ("if-match", &tag.unwrap()),
    ];
    let stale = client.send("PATCH", "/rest/b/v", &headers, b"x").unwrap();
    assert_problem(&stale, 412);
    let last = format!("bytes {}-{size}/*", size - 1);
    let headers = [("content-range", last.as_str())];
    let beyond = client.send("PATCH", "/rest/b/v", &headers, b"xy").unwrap();
    assert_problem(&beyond, 416);

    for (verb, status) in [
        ("{\"verb\":\"zeroes\",\"offset\":4092,\"length\":2}", 204),
        ("{\"verb\":\"flush\"}", 204),
        ("{\"verb\":\"fly\"}", 400),
        ("{\"verb\":\"trim\",\"offset\":0}", 400),
    ] {
        assert_eq!(
            ask(client, "POST", "/rest/b/v", verb).status,
            status,
            "{verb}"
        );
    }
    assert_eq!(range(client, "bytes=4090-4095").body, b"01\0\x0045");
    let trim = format!("{{\"verb\":\"trim\",\"offset\":0,\"length\":{size}}}");
    assert_eq!(ask(client, "POST", "/rest/b/v", &trim).status, 204);
    assert_eq!(range(client, "bytes=4090-4095").body, [0; 6]);
    assert_eq!(
        ask(client, "PATCH", "/rest/b/v", "{\"size\":6}").status,
        204
    );
    assert_eq!(send(client, "GET", "/rest/b/v").body, [0; 6]);

    // It is read as an object, and nothing else comes in its place.
    assert_problem(&put(client, "/rest/b/v", b"bytes"), 409);
    assert_problem(&ask(client, "PUT", "/rest/b/v", "{\"size\":7}"), 409);
    assert_eq!(ask(client, "PUT", "/rest/b/v", "{\"size\":6}").status, 204);
    assert_problem(&ask(client, "PUT", "/rest/b/w", "{\"size\":0}"), 400);
    put(client, "/rest/b/o", b"bytes");
    assert_problem(
        &ask(client, "POST", "/rest/b/o", "{\"verb\":\"flush\"}"),
        409,
    );
    assert_problem(
        &ask(client, "POST", "/rest/b/none", "{\"verb\":\"flush\"}"),
        404,
    );
    assert_eq!(send(client, "DELETE", "/rest/b/v").status, 204);
    assert_problem(&send(client, "GET", "/rest/b/v"), 404);
}

#[test]
fn snapshots_and_clones_are_made_by_reference_and_read_by_name() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let json_type = ("content-type", "application/json");
    let post = |client: &mut Client, target: &str, document: &str| {
        let body = document.as_bytes();
        client.send("POST", target, &[json_type], body).unwrap()
    };
    let size = 100u64 << 30;
    ask(client, "PUT", "/rest/b/v", &format!("{{\"size\":{size}}}"));
    let headers = [("content-range", "bytes 0-2/*")];
    client.send("PATCH", "/rest/b/v", &headers, b"one").unwrap();
    let snapshot = "{\"bucket\":\"b\",\"key\":\"v\",\"name\":\"s1\"}";
    let made = post(client, "/-/snapshots", snapshot);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location").as_deref(), Some("/rest/b/v%40s1"));
    assert_problem(&post(client, "/-/snapshots", snapshot), 412);
    client.send("PATCH", "/rest/b/v", &headers, b"two").unwrap();
    let first = [("range", "bytes=0-2")];
    let read = client.send("GET", "/rest/b/v@s1", &first, b"").unwrap();
    assert_eq!(read.body, b"one");
    assert_eq!(read.header("trestle-snapshot").as_deref(), Some("true"));
    let refused = client
        .send("PATCH", "/rest/b/v@s1", &headers, b"new")
        .unwrap();
    assert_problem(&refused, 409);
    assert_problem(&put(client, "/rest/b/v@s1", b"new"), 409);
    let clone = "{\"bucket\":\"b\",\"key\":\"v@s1\",\"to_key\":\"w\"}";
    assert_eq!(post(client, "/-/clones", clone).status, 201);
    client.send("PATCH", "/rest/b/w", &headers, b"own").unwrap();
    let read = client.send("GET", "/rest/b/w", &first, b"").unwrap();
    assert_eq!(read.body, b"own");
    let listed = json(&send(client, "GET", "/-/snapshots?bucket=b&key=v"));
    assert_eq!(listed["snapshots"][0]["name"], "s1");
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
    let whole = "{\"bucket\":\"b\",\"key\":\"d/\",\"to_key\":\"e/\"}";
    assert_problem(&post(client, "/-/clones", whole), 501);
    assert_eq!(send(client, "DELETE", "/rest/b/v").status, 204);
    let read = client.send("GET", "/rest/b/v@s1", &first, b"").unwrap();
    assert_eq!(read.body, b"one");
    assert_eq!(send(client, "DELETE", "/rest/b/v@s1").status, 204);
}

/// A pair of headers as [`Spoken`] takes it.
fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// S3, Swift and CDMI read a volume as an object, and refuse what would put other bytes in its place.
#[test]
fn every_dialect_reads_a_volume_and_none_replaces_it() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    ask(client, "PUT", "/rest/b/v", "{\"size\":10000}");
    let headers = [("content-range", "bytes 5000-5003/*")];
    client
        .send("PATCH", "/rest/b/v", &headers, b"data")
        .unwrap();
    put(client, "/rest/b/o", b"other bytes");
    let mut whole = vec![0; 10_000];
    whole[5000..5004].copy_from_slice(b"data");
    let mut spoken = Spoken::new(&fixture);
    for dialect in Dialect::ALL {
        let read = spoken.send(dialect, "GET", "b/v", vec![], b"");
        assert_eq!(read.status, 200, "{dialect:?}: {}", read.text());
        assert!(read.body == whole, "{dialect:?}");
        let range = vec![header("range", "bytes=4999-5004")];
        let part = spoken.send(dialect, "GET", "b/v", range, b"");
        assert_eq!(part.status, 206, "{dialect:?}");
        assert_eq!(part.body, b"\0data\0", "{dialect:?}");
        let put = spoken.send(dialect, "PUT", "b/v", vec![], b"replaced");
        assert_eq!(put.status, 409, "{dialect:?} PUT: {}", put.text());
        let copied = spoken.copy(dialect, "b", "o", "v");
        assert_eq!(copied.status, 409, "{dialect:?} copy: {}", copied.text());
        let taken = spoken.copy(dialect, "b", "v", &format!("copy-{dialect:?}"));
        let created = [200, 201, 202].contains(&taken.status);
        assert!(created, "{dialect:?}: {} {}", taken.status, taken.text());
        let copy = send(client, "GET", &format!("/rest/b/copy-{dialect:?}"));
        assert!(copy.body == whole, "{dialect:?}");
        assert!(copy.header("trestle-kind").is_none(), "{dialect:?}");
    }
    // S3's entity tag is new with each write, so that no cache keeps former bytes.
    let tag = |spoken: &mut Spoken, dialect| {
        let head = spoken.send(dialect, "HEAD", "b/v", vec![], b"");
        head.header("etag").unwrap()
    };
    for dialect in [Dialect::S3, Dialect::Swift] {
        let before = tag(&mut spoken, dialect);
        let headers = [("content-range", "bytes 0-0/*")];
        client.send("PATCH", "/rest/b/v", &headers, b"x").unwrap();
        assert_ne!(tag(&mut spoken, dialect), before, "{dialect:?}");
        let stale = vec![header("if-none-match", &before)];
        let read = spoken.send(dialect, "GET", "b/v", stale, b"");
        assert_eq!(read.status, 200, "{dialect:?}");
    }
    // An upload in parts cannot be completed over it.
    let begun = spoken.send(Dialect::S3, "POST", "b/v?uploads=", vec![], b"");
    let text = begun.text();
    if begun.status == 200 {
        let id = text.split("<UploadId>").nth(1).unwrap();
        let id = id.split('<').next().unwrap();
        let target = format!("b/v?partNumber=1&uploadId={id}");
        let part = spoken.send(Dialect::S3, "PUT", &target, vec![], b"part");
        let etag = part.header("etag").unwrap();
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
             </CompleteMultipartUpload>"
        );
        let target = format!("b/v?uploadId={id}");
        let done = spoken.send(Dialect::S3, "POST", &target, vec![], document.as_bytes());
        assert_eq!(done.status, 409, "{}", done.text());
    } else {
        assert_eq!(begun.status, 409, "{text}");
    }
    assert!(send(client, "GET", "/rest/b/v").body[1..] == whole[1..]);
    let deleted = spoken.send(Dialect::S3, "DELETE", "b/v", vec![], b"");
    assert_eq!(deleted.status, 204);
    assert_problem(&send(client, "GET", "/rest/b/v"), 404);
}

/// Writes of one volume that come together are each done, and each tells a tag of its own.
#[test]
fn writes_at_once_are_all_done_and_told_apart() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    ask(client, "PUT", "/rest/b/v", "{\"size\":1048576}");
    const EACH: u64 = 40;
    let written: Vec<Vec<String>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..8u64)
            .map(|writer| {
                let mut client = fixture.client();
                scope.spawn(move || {
                    let one = |number: u64| {
                        // Neighbours share blocks.
                        let at = (number * 8 + writer) * 100;
                        let range = format!("bytes {at}-{}/*", at + 99);
                        let headers = [("content-range", range.as_str())];
                        let body = [writer as u8 + 1; 100];
                        let answer = client.send("PATCH", "/rest/b/v", &headers, &body).unwrap();
                        assert_eq!(answer.status, 204, "{}", answer.text());
                        answer.header("etag").unwrap()
                    };
                    (0..EACH).map(one).collect()
                })
            })
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut tags: Vec<String> = written.concat();
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count);
    let now = send(client, "HEAD", "/rest/b/v").header("etag").unwrap();
    assert!(tags.contains(&now));
    let read = send(client, "GET", "/rest/b/v").body;
    for (at, piece) in read.chunks(100).take(EACH as usize * 8).enumerate() {
        assert_eq!(piece, [at as u8 % 8 + 1; 100], "{at}");
    }
}

/// Two who write on the condition that nobody else has: one of them is refused, also when both come at
/// once.
#[test]
fn of_two_conditional_writes_one_is_refused() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    ask(client, "PUT", "/rest/b/v", "{\"size\":8192}");
    for round in 0..20u8 {
        let tag = send(client, "HEAD", "/rest/b/v").header("etag").unwrap();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let one = |first: u64| {
                let (mut client, tag) = (fixture.client(), tag.clone());
                move || {
                    let range = format!("bytes {first}-{first}/*");
                    let headers = [("content-range", range.as_str()), ("if-match", &tag)];
                    let answer = client.send("PATCH", "/rest/b/v", &headers, &[round]);
                    answer.unwrap().status
                }
            };
            let running = [scope.spawn(one(0)), scope.spawn(one(5000))];
            running.map(|one| one.join().unwrap()).to_vec()
        });
        let mut sorted = statuses.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [204, 412], "{statuses:?}");
    }
}

/// What holds for every write holds for what is said to a volume, too.
#[test]
fn what_is_said_to_a_volume_is_held_to_its_digest_and_its_bucket() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    // The MD5 of nothing.
    let other = ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
    let size = b"{\"size\":8192}";
    let headers = [VOLUME, other];
    let refused = client.send("PUT", "/rest/b/v", &headers, size).unwrap();
    assert_problem(&refused, 400);
    assert_eq!(send(client, "HEAD", "/rest/b/v").status, 404);
    assert_eq!(
        ask(client, "PUT", "/rest/b/v", "{\"size\":8192}").status,
        201
    );
    let zeroes = b"{\"verb\":\"zeroes\",\"offset\":0,\"length\":1}";
    let refused = client.send("POST", "/rest/b/v", &headers, zeroes).unwrap();
    assert_problem(&refused, 400);
    let headers = [VOLUME, ("content-digest", "sha-256=:AA==:")];
    let refused = client.send("POST", "/rest/b/v", &headers, zeroes).unwrap();
    assert_problem(&refused, 501);
    // It is made under a name that its client chooses, and never as an object of that type.
    assert_problem(&ask(client, "POST", "/rest/b/", "{\"size\":8192}"), 415);
    // A bucket that demands conditions demands them of this as well.
    let demand = b"{\"require_conditions\":true}";
    let merge = [("content-type", "application/merge-patch+json")];
    let set = client.send("PATCH", "/rest/b/", &merge, demand).unwrap();
    assert_eq!(set.status, 204, "{}", set.text());
    assert_problem(&ask(client, "PUT", "/rest/b/w", "{\"size\":1}"), 428);
    let zeroes = "{\"verb\":\"zeroes\",\"offset\":0,\"length\":1}";
    assert_problem(&ask(client, "POST", "/rest/b/v", zeroes), 428);
    let flush = ask(client, "POST", "/rest/b/v", "{\"verb\":\"flush\"}");
    assert_eq!(flush.status, 204);
    let headers = [VOLUME, ("if-match", "*")];
    let done = client.send("POST", "/rest/b/v", &headers, zeroes.as_bytes());
    assert_eq!(done.unwrap().status, 204);
}

/// What a volume reads as is its bytes, whatever Swift is told; CDMI writes ranges of a small one; and a
/// refused PUT leaves no copy in a container of former states.
#[test]
fn a_volume_stands_for_nothing_else_and_small_ones_are_written_in_part() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    ask(client, "PUT", "/rest/b/v", "{\"size\":100}");
    put(client, "/rest/b/o", b"other bytes");
    let mut spoken = Spoken::new(&fixture);
    let manifest = vec![header("x-object-manifest", "b/o")];
    let refused = spoken.send(Dialect::Swift, "POST", "b/v", manifest, b"");
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(send(client, "GET", "/rest/b/v").body, [0; 100]);
    let kind = vec![header("content-type", "application/cdmi-object")];
    let document = b"{\"value\":\"aGVsbG8=\"}";
    let target = "b/v?value=10-14";
    let written = spoken.send(Dialect::Cdmi, "PATCH", target, kind, document);
    assert_eq!(written.status, 204, "{}", written.text());
    let read = send(client, "GET", "/rest/b/v");
    assert_eq!(&read.body[8..17], b"\0\0hello\0\0");
    assert_eq!(read.header("trestle-kind").as_deref(), Some("volume"));
    let made = spoken.send(Dialect::Swift, "PUT", "former", vec![], b"");
    assert_eq!(made.status, 201, "{}", made.text());
    let history = vec![header("x-history-location", "former")];
    let set = spoken.send(Dialect::Swift, "POST", "b", history, b"");
    assert_eq!(set.status, 204, "{}", set.text());
    let refused = spoken.send(Dialect::Swift, "PUT", "b/v", vec![], b"bytes");
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(spoken.list(Dialect::Swift, "former").is_empty());
    let gone = spoken.send(Dialect::Swift, "DELETE", "b/v", vec![], b"");
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(spoken.list(Dialect::Swift, "former").len(), 2);
}

/// A snapshot has the name of its original and its own: it is not moved, and those of an object whose
/// key goes on after the sign are not its.
#[test]
fn a_snapshot_keeps_its_name_and_is_listed_with_its_original_alone() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    let post = |client: &mut Client, target: &str, document: &str, condition: bool| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(condition.then_some(("if-match", "*")));
        let body = document.as_bytes();
        client.send("POST", target, &headers, body).unwrap()
    };
    let names = |client: &mut Client, key: &str| -> Vec<String> {
        let listed = send(client, "GET", &format!("/-/snapshots?bucket=b&key={key}"));
        let listed = json(&listed)["snapshots"].clone();
        let names = listed.as_array().unwrap().iter();
        names
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    put(client, "/rest/b/o", b"bytes");
    put(client, "/rest/b/o@x/y", b"bytes");
    for (key, name) in [("o", "n"), ("o@n", "m"), ("o@x/y", "z")] {
        let document = format!("{{\"bucket\":\"b\",\"key\":\"{key}\",\"name\":\"{name}\"}}");
        let refused = post(client, "/-/snapshots", &document, true);
        assert_problem(&refused, 501);
        let made = post(client, "/-/snapshots", &document, false);
        assert_eq!(made.status, 201, "{}", made.text());
    }
    assert_eq!(names(client, "o"), ["n"]);
    assert_eq!(names(client, "o@n"), ["m"]);
    assert_eq!(names(client, "o@x/y"), ["z"]);
    let headers = [("destination", "/rest/b/plain")];
    let moved = client.send("MOVE", "/rest/b/o@n", &headers, b"").unwrap();
    assert_problem(&moved, 409);
    let mut spoken = Spoken::new(&fixture);
    let source = vec![header("x-amz-rename-source", "/b/o%40n")];
    let moved = spoken.send(Dialect::S3, "PUT", "b/plain?renameObject=", source, b"");
    assert_eq!(moved.status, 409, "{}", moved.text());
    assert_eq!(names(client, "o"), ["n"]);
}
