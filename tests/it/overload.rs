//! Clients that take what they can: the server keeps serving, and the store keeps taking writes.

use crate::{Fixture, put, send};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::{Launch, tree};

/// A connection that has sent a request for an object, and has read nothing.
fn asked(fixture: &Fixture, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.server().address).unwrap();
    let credentials = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn connections_never_take_the_files_that_the_store_needs() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Launch::new(folder.path().join("data"))
        .under(&["prlimit", "--nofile=640:640"])
        .start();
    let mut client = server.client();
    assert_eq!(put(&mut client, "/rest/b/", b"").status, 201);
    // As many as there are files, or until the server accepts no more and its queue is full. A queue
    // that is full for a moment only costs a second.
    let patience = Duration::from_millis(2500);
    let held: Vec<TcpStream> = (0..640)
        .map_while(|_| TcpStream::connect_timeout(&server.address, patience).ok())
        .collect();
    // Enough for the log to need its next segment.
    let body = vec![7; 120 << 10];
    for count in 0..600 {
        let written = put(&mut client, &format!("/rest/b/{count}"), &body);
        assert_eq!(written.status, 201, "{count}: {}", written.text());
    }
    drop(held);
    assert_eq!(send(&mut server.client(), "GET", "/readyz").status, 200);
}

#[test]
fn a_limit_of_open_files_is_raised_or_refused() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let limited = |name: &str, limit: &str| {
        Launch::new(folder.join(name)).under(&["prlimit", &format!("--nofile={limit}")])
    };
    let refused = limited("few", "300:300").refused();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("300 files"), "{said}");
    let server = limited("soft", "300:9000").start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.contains("open files"))
        .unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("9000"), "{line}");
}

#[test]
fn who_reads_slowly_is_served() {
    let fixture = Fixture::new();
    let content = tree::noise(1, 24 << 20);
    put(&mut fixture.client(), "/rest/b/large", &content);
    let mut slow = asked(&fixture, "/rest/b/large");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        slow.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let mut taken = vec![0; 45 * 10_000];
    for part in taken.chunks_mut(10_000) {
        std::thread::sleep(Duration::from_secs(1));
        slow.read_exact(part).unwrap();
    }
    slow.read_to_end(&mut taken).unwrap();
    assert!(
        taken == content,
        "{} of {} bytes",
        taken.len(),
        content.len()
    );
}
