//! What an operator of Swift chooses beside the rest: names that nobody may use, and rates. Archives
//! that take long, whose clients are told so.

use crate::swift::Swift;
use std::io::{Read, Write};
use std::net::TcpStream;
use trestle_tests::server::{PASSWORD, Server, USER};
use trestle_tests::{Client, Launch};

fn info(server: &Server) -> serde_json::Value {
    let mut client = Client::anonymous(server.address);
    let info = client.send("GET", "/info", &[], b"").unwrap();
    serde_json::from_slice(&info.body).unwrap()
}

#[test]
fn names_are_checked_when_the_operator_says_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("data"));
    let server = launch.start();
    assert!(info(&server).get("name_check").is_none());
    assert_eq!(Swift::of(&server).status("PUT", "/c%3C", &[]), 201);
    drop(server);
    let launch = launch.variable("TRESTLE_SWIFT_NAME_CHECK", "<'");
    let server = launch.variable("TRESTLE_SWIFT_NAME_LENGTH", "40").start();
    assert_eq!(info(&server)["name_check"]["forbidden_chars"], "<'");
    assert_eq!(info(&server)["name_check"]["maximum_length"], 40);
    let mut swift = Swift::of(&server);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    swift.put("/c/.hidden..", b"");
    for bad in [
        "/c%3C",
        "/c/it's",
        "/c/a/../b",
        "/c/%2E",
        "/c/12345678901234567890123456",
    ] {
        let answer = swift.send("PUT", bad, &[], b"");
        assert_eq!(answer.status, 400, "{bad}");
        assert!(
            answer.text().starts_with("Object/Container/Account name"),
            "{bad}"
        );
    }
    assert_eq!(swift.status("GET", "/c%3C", &[]), 400);
}

#[test]
fn who_asks_too_fast_is_told_to_slow_down() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("data"));
    // A second request within 100 seconds would have to wait for longer than any may.
    let server = launch
        .variable("TRESTLE_SWIFT_ACCOUNT_RATE", "0.01")
        .variable("TRESTLE_SWIFT_CONTAINER_RATE", "0:1000,1:0.01")
        .variable("TRESTLE_SWIFT_LISTING_RATE", "0:0.01")
        .start();
    let shown = &info(&server)["ratelimit"];
    assert_eq!(
        shown["container_ratelimits"],
        serde_json::json!([[0, 1000.0], [1, 0.01]])
    );
    let mut swift = Swift::of(&server);
    assert_eq!(swift.status("PUT", "/c", &[]), 201);
    let refused = swift.send("PUT", "/d", &[], b"");
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (498, "Slow down")
    );
    assert_eq!(swift.status("DELETE", "/c", &[]), 498);
    swift.put("/c/one", b"1");
    swift.put("/c/two", b"2");
    for method in ["PUT", "POST", "DELETE"] {
        assert_eq!(swift.status(method, "/c/two", &[]), 498, "{method}");
    }
    assert_eq!(swift.status("GET", "/c", &[]), 200);
    assert_eq!(swift.status("GET", "/c", &[]), 498);
    // Nothing else counts.
    for (method, path, status) in [
        ("GET", "/c/one", 200),
        ("GET", "/c/one", 200),
        ("HEAD", "/c", 204),
        ("POST", "/c", 204),
        ("GET", "", 200),
        ("GET", "", 200),
    ] {
        assert_eq!(swift.status(method, path, &[]), status, "{method} {path}");
    }
}

/// Whoever waits learns nothing of which accounts and containers exist.
#[test]
fn what_does_not_exist_is_let_wait_as_what_does() {
    let folder = tempfile::TempDir::new().unwrap();
    let launch = Launch::new(folder.path().join("data"));
    let server = launch
        .variable("TRESTLE_SWIFT_ACCOUNT_RATE", "0.01")
        .variable("TRESTLE_SWIFT_CONTAINER_RATE", "0:0.01")
        .variable("TRESTLE_SWIFT_EXEMPT_ACCOUNT", "AUTH_free")
        .variable("TRESTLE_SWIFT_BLOCKED_ACCOUNT", "AUTH_mallory")
        .start();
    assert_eq!(Swift::of(&server).status("PUT", "/there", &[]), 201);
    let mut stranger = Client::anonymous(server.address);
    let mut twice = |path: &str| {
        let mut ask = || stranger.send("PUT", path, &[], b"").unwrap();
        (ask().status, ask().status)
    };
    // The operator's own request counted already.
    assert_eq!(twice(&format!("/v1/AUTH_{USER}/c")), (498, 498));
    assert_eq!(twice("/v1/AUTH_nobody/c"), (401, 498));
    assert_eq!(twice(&format!("/v1/AUTH_{USER}/there/o")), (401, 498));
    assert_eq!(twice(&format!("/v1/AUTH_{USER}/nowhere/o")), (401, 498));
    assert_eq!(twice("/v1/AUTH_free/c"), (401, 401));
    assert_eq!(twice("/v1/AUTH_mallory/c"), (497, 497));
    let answer = stranger.send("GET", "/v1/AUTH_mallory", &[], b"").unwrap();
    assert_eq!(answer.text(), "Your account has been blacklisted");
}

#[test]
fn a_client_adds_to_the_id_of_its_transaction() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Launch::new(folder.path().join("data")).start();
    let mut swift = Swift::of(&server);
    let long = "x".repeat(40);
    for (extra, shown) in [
        ("job 7", "-job%207".to_owned()),
        (long.as_str(), format!("-{}", "x".repeat(32))),
    ] {
        let answer = swift.send("HEAD", "", &[("x-trans-id-extra", extra)], b"");
        let id = answer.header("x-trans-id").unwrap();
        assert!(id.starts_with("tx") && id.ends_with(&shown), "{id}");
        assert_eq!(answer.header("x-openstack-request-id"), Some(id));
    }
}

/// A file of an archive.
fn entry(name: &str, body: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = header.to_vec();
    entry.extend_from_slice(body);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

#[test]
fn blanks_come_while_an_archive_does() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Launch::new(folder.path().join("data")).start();
    let login = format!("{USER}:{USER}");
    let headers = [("x-auth-user", login.as_str()), ("x-auth-key", PASSWORD)];
    let answer = Client::anonymous(server.address).send("GET", "/auth/v1.0", &headers, b"");
    let token = answer.unwrap().header("x-auth-token").unwrap();
    let mut archive = entry("c/one", b"first");
    archive.extend(entry("c/two", b"second"));
    archive.extend([0; 1024]);
    let head = format!(
        "PUT /v1/AUTH_{USER}?extract-archive=tar HTTP/1.1\r\nhost: x\r\nx-auth-token: {token}\r\n\
         accept: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        archive.len()
    );
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let (first, rest) = archive.split_at(700);
    stream.write_all(first).unwrap();
    // The head of the answer, and its first blank, come before the archive has ended.
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while !said.ends_with(b"\r\n \r\n") {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&piece[..length]);
    }
    assert!(said.starts_with(b"HTTP/1.1 200"));
    stream.write_all(rest).unwrap();
    stream.read_to_end(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("\"Number Files Created\":2"), "{said}");
    assert!(said.contains("201 Created"), "{said}");
    let two = Swift::of(&server).send("GET", "/c/two", &[], b"");
    assert_eq!(two.body, b"second");
}
