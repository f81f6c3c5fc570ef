//! Clients that take what they can: the server keeps serving, and the store keeps taking writes.

use crate::{Fixture, put, send};
use std::net::TcpStream;
use trestle_tests::Launch;

#[test]
fn connections_never_take_the_files_that_the_store_needs() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Launch::new(folder.path().join("data"))
        .under(&["prlimit", "--nofile=640:640"])
        .start();
    let mut client = server.client();
    assert_eq!(put(&mut client, "/rest/b/", b"").status, 201);
    let held: Vec<TcpStream> = (0..640)
        .map(|_| TcpStream::connect(server.address).unwrap())
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
