//! A signed request with each of its bytes changed in turn is never served, but for changes that
//! mean the same, which are named here with their reason.

use crate::{Fixture, json, send};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use trestle_tests::server::{ACCESS_KEY, SECRET_KEY};
use trestle_tests::sigv4::{Signer, Wire};

/// The bytes of a request as they are sent.
fn bytes(host: &str, wire: &Wire) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {host}\r\n",
        wire.method, wire.target
    );
    for (name, value) in &wire.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !wire.body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", wire.body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), &wire.body].concat()
}

/// The status of the first answer; none when there is none.
fn status(fixture: &Fixture, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(fixture.server().address).unwrap();
    stream.set_nodelay(true).unwrap();
    // A request that announces more than it has is waited for until its end shows.
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let _refused_before_its_end = stream.write_all(request);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < 12 {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stream.shutdown(Shutdown::Write).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.strip_prefix("HTTP/1.")?.split(' ').nth(1);
    status?.parse().ok()
}

/// Why a change at this place means the same; none when it does not.
fn neutral(request: &[u8], at: usize, changed: u8) -> Option<&'static str> {
    let head_end = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    if at >= head_end {
        return None;
    }
    let line_start = request[..at]
        .windows(2)
        .rposition(|pair| pair == b"\r\n")
        .map_or(0, |found| found + 2);
    let before = &request[line_start..at];
    let same_letter = request[at].eq_ignore_ascii_case(&changed);
    if line_start == 0 {
        if before.ends_with(b" HTTP/1.") && changed == b'0' {
            return Some("HTTP/1.0 asks for the same");
        }
        let escape = before.ends_with(b"%") || before[..before.len() - 1].ends_with(b"%");
        if escape && same_letter {
            return Some("the digits of an escape have no case");
        }
        return None;
    }
    if !before.contains(&b':') {
        return same_letter.then_some("names of headers have no case");
    }
    None
}

/// Changes each byte; says how many changes there were, and which of them were served.
fn served(fixture: &Fixture, request: &[u8]) -> (usize, usize) {
    let good = status(fixture, request);
    assert_eq!(good, Some(200), "the request as it was signed");
    let (mut tried, mut served) = (0, 0);
    for at in 0..request.len() {
        let byte = request[at];
        let mut changes = vec![byte ^ 1];
        if byte.is_ascii_alphabetic() {
            changes.push(byte ^ 0x20);
        }
        for changed in changes {
            let mut request = request.to_vec();
            request[at] = changed;
            tried += 1;
            let status = status(fixture, &request);
            if status.is_none_or(|status| status >= 400) {
                continue;
            }
            let reason = neutral(&request, at, byte).or(neutral(&request, at, changed));
            let shown = String::from_utf8_lossy(&request).into_owned();
            assert!(
                reason.is_some(),
                "byte {at} was {:?}: {shown}",
                char::from(byte)
            );
            served += 1;
        }
    }
    (tried, served)
}

fn fixture() -> (Fixture, String) {
    let fixture = Fixture::new();
    let host = fixture.server().address.to_string();
    let kind = [("content-type", "application/merge-patch+json")];
    let body = br#"{"versioning":"enabled"}"#;
    let mut root = fixture.client();
    let set = root.send("PATCH", "/rest/b/", &kind, body).unwrap();
    assert_eq!(set.status, 204, "{}", set.text());
    (fixture, host)
}

/// What was stored is as many versions as were answered, all of one key and one length.
fn assert_stored(fixture: &Fixture, count: usize, length: u64) {
    let mut root = fixture.client();
    let document = json(&send(&mut root, "GET", "/rest/b/?versions&limit=10000"));
    let items = document["items"].as_array().unwrap();
    assert_eq!(items.len(), count, "{document}");
    for item in items {
        assert_eq!(
            (&item["key"], &item["size"]),
            (&"k\u{fc}".into(), &length.into())
        );
    }
}

fn put(body: &[u8]) -> Wire {
    Wire {
        method: "PUT".into(),
        target: "/b/k%C3%BC".into(),
        headers: vec![
            ("content-type".into(), "text/plain".into()),
            ("x-amz-meta-a".into(), "value".into()),
        ],
        body: body.to_vec(),
    }
}

#[test]
fn a_request_signed_in_its_header_is_served_as_it_was_signed_alone() {
    let (fixture, host) = fixture();
    let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(&host, put(b"hello"));
    let (tried, served) = served(&fixture, &bytes(&host, &wire));
    assert!(tried > 700, "{tried}");
    assert_stored(&fixture, served + 1, 5);
}

#[test]
fn a_request_signed_in_its_query_is_served_as_it_was_signed_alone() {
    let (fixture, host) = fixture();
    let mut root = fixture.client();
    assert_eq!(
        crate::put(&mut root, "/rest/b/k%C3%BC", b"hello").status,
        201
    );
    let get = Wire {
        method: "GET".into(),
        target: "/b/k%C3%BC?response-content-type=text%2Fhtml".into(),
        ..Wire::default()
    };
    let wire = Signer::new(ACCESS_KEY, SECRET_KEY).presign(&host, get);
    let (tried, _served) = served(&fixture, &bytes(&host, &wire));
    assert!(tried > 400, "{tried}");
    assert_stored(&fixture, 1, 5);
}

#[test]
fn a_body_in_signed_chunks_is_served_as_it_was_signed_alone() {
    let (fixture, host) = fixture();
    let mut signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    signer.payload = Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into());
    let mut wire = put(b"");
    wire.headers
        .push(("x-amz-decoded-content-length".into(), "8".into()));
    let mut wire = signer.sign(&host, wire);
    let seed = wire.header("authorization");
    let seed = seed[seed.len() - 64..].to_owned();
    wire.body = signer.chunks(&seed, &[b"hello", b"you"]);
    let (tried, served) = served(&fixture, &bytes(&host, &wire));
    assert!(tried > 1000, "{tried}");
    assert_stored(&fixture, served + 1, 8);
}
