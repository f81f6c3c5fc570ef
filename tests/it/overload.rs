//! Clients that take what they can: the server keeps serving, and the store keeps taking writes.

use crate::{Fixture, put, send};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::{Client, Launch, Server, tree};

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

/// Requests with a wrong password of a user, on a connection each, whose answers nobody awaits.
fn guesses(server: &Server, user: &str, count: usize) -> Vec<TcpStream> {
    let wrong = base64(format!("{user}:a wrong password").as_bytes());
    let head = format!("GET /-/me HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {wrong}\r\n\r\n");
    let sent = |_| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    (0..count).map(sent).collect()
}

/// Waits until so many of them were answered with a status.
fn answered(streams: &mut [TcpStream], status: &str, count: usize) {
    let mut heads = vec![Vec::new(); streams.len()];
    let began = std::time::Instant::now();
    loop {
        for (stream, head) in streams.iter_mut().zip(&mut heads) {
            let mut room = [0; 4096];
            if let Ok(read) = stream.read(&mut room) {
                head.extend_from_slice(&room[..read]);
            }
        }
        let status = format!("HTTP/1.1 {status} ");
        let found = heads
            .iter()
            .filter(|head| head.starts_with(status.as_bytes()));
        if found.count() >= count {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{status}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What who sends a byte of a body at a time is told at last.
fn sent_slowly(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!("{head}Host: x\r\nContent-Length: 100000\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let pause = Duration::from_millis(100);
    stream.set_read_timeout(Some(pause)).unwrap();
    let (mut told, began) = (Vec::new(), std::time::Instant::now());
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "{head}");
        // The connection may end while this is on its way.
        let _sent = stream.write(b" ");
        let mut room = [0; 4096];
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(read) => told.extend_from_slice(&room[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&told).into_owned()
}

#[test]
fn who_sends_next_to_nothing_is_told_so_in_each_dialect() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let launch = fixture.launch().variable("TRESTLE_BODY_GRACE", "2");
    fixture.server = Some(launch.start());
    let server = fixture.server();
    let writes = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}}"#;
    let mut client = fixture.client();
    let policy = put(&mut client, "/-/buckets/b/policy", writes.as_bytes());
    assert_eq!(policy.status, 200, "{}", policy.text());
    crate::access::user(
        server,
        ("acme", "ann"),
        true,
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#,
    );
    let login = [
        ("x-auth-user", "acme:ann"),
        ("x-auth-key", crate::access::PASSWORD),
    ];
    let token = client.send("GET", "/auth/v1.0", &login, b"").unwrap();
    let token = token.header("x-auth-token").unwrap();
    let swift = format!("X-Auth-Token: {token}\r\n");
    let made = client.send("PUT", "/v1/AUTH_acme/c", &[("x-auth-token", &token)], b"");
    assert_eq!(made.unwrap().status, 201);
    let basic = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let basic = format!("Authorization: Basic {basic}\r\n");
    let cdmi = format!("{basic}Content-Type: application/cdmi-object\r\n");
    let (basic, swift, cdmi) = (basic.as_str(), swift.as_str(), cdmi.as_str());
    let problem = "application/problem+json";
    for (target, headers, status, said) in [
        ("/rest/b/slow", basic, "408 Request Timeout", problem),
        (
            "/-/accounts/a/policies/p",
            basic,
            "408 Request Timeout",
            problem,
        ),
        ("/cdmi/b/slow", cdmi, "408 Request Timeout", problem),
        ("/cdmi/b/slow", basic, "408 Request Timeout", problem),
        (
            "/v1/AUTH_acme/c/slow",
            swift,
            "408 Request Timeout",
            "<h1>Request Timeout</h1>",
        ),
        (
            "/b/slow",
            "",
            "400 Bad Request",
            "<Code>RequestTimeout</Code>",
        ),
    ] {
        let told = sent_slowly(server, &format!("PUT {target} HTTP/1.1\r\n{headers}"));
        let first = format!("HTTP/1.1 {status}\r\n");
        assert!(
            told.starts_with(&first) && told.contains(said),
            "{target}: {told}"
        );
        let ends = told.to_ascii_lowercase().contains("connection: close");
        assert!(ends, "{target}: {told}");
    }
    assert_eq!(send(&mut client, "GET", "/rest/b/slow").status, 404);

    // Who keeps to the pace is waited for, however long it takes.
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head =
        format!("PUT /rest/b/steady HTTP/1.1\r\nHost: x\r\n{basic}Content-Length: 9000\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..30 {
        stream.write_all(&[7; 300]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, *b"HTTP/1.1 201");
}

#[test]
fn a_password_that_was_not_looked_at_is_not_called_wrong() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let all = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    crate::access::user(server, ("acme", "ann"), true, all);
    let ann = || Client::new(server.address, "acme/ann", crate::access::PASSWORD);
    // Several wrong ones at once cost nothing yet; whatever comes next from here waits its seconds.
    answered(&mut guesses(server, "acme/ann", 12), "401", 12);
    // So many wait at once, and no more.
    let mut waiting = guesses(server, "acme/ann", 80);
    answered(&mut waiting, "409", 1);
    let login = [
        ("x-auth-user", "acme:ann"),
        ("x-auth-key", crate::access::PASSWORD),
    ];
    let cdmi = [("accept", "application/cdmi-container")];
    let mut swift = Client::anonymous(server.address);
    // All of them right.
    let told = [
        send(&mut ann(), "GET", "/-/me").status,
        ann().send("GET", "/cdmi/", &cdmi, b"").unwrap().status,
        swift.send("GET", "/auth/v1.0", &login, b"").unwrap().status,
    ];
    assert_eq!(told, [409, 409, 503]);
    // Nobody else waits, and the right one comes in when there is room again.
    assert_eq!(send(&mut server.client(), "GET", "/-/me").status, 200);
    drop(waiting);
    let began = std::time::Instant::now();
    while send(&mut ann(), "GET", "/-/me").status != 200 {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "ann is kept out"
        );
    }
}
