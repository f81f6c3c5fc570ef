//! Request smuggling: whatever two parsers could read differently gets one refusal and a closed
//! connection, so that nothing behind it is ever taken for a request.

use crate::{Fixture, assert_problem, send};
use trestle_tests::client::{base64, raw};
use trestle_tests::server::{PASSWORD, USER};

/// A second request that must never be answered: it would make `smuggled`.
fn tail(credentials: &str) -> String {
    format!(
        "PUT /rest/b/smuggled HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Content-Length: 1\r\n\r\nx"
    )
}

fn credentials() -> String {
    base64(format!("{USER}:{PASSWORD}").as_bytes())
}

/// Sends a good request, an ambiguous one and a tail; demands one answer, one refusal and the end.
fn assert_refused(fixture: &Fixture, request: &[u8]) {
    assert_refused_with(fixture, request, 400);
}

fn assert_refused_with(fixture: &Fixture, request: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(request).into_owned();
    let good = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let whole = [good.as_bytes(), request, tail(&credentials()).as_bytes()].concat();
    let (responses, closed) =
        raw(fixture.server().address, &whole).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(responses.len(), 2, "{shown:?}: {responses:?}");
    assert_eq!(responses[0].status, 200, "{shown:?}");
    assert_problem(&responses[1], status);
    assert!(closed.0, "{shown:?}: the connection stays open");
    let smuggled = send(&mut fixture.client(), "HEAD", "/rest/b/smuggled");
    assert_eq!(smuggled.status, 404, "{shown:?} let a request through");
}

#[test]
fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let fixture = Fixture::new();
    let authorization = format!("Authorization: Basic {}\r\n", credentials());
    let chunked = "1\r\nx\r\n0\r\n\r\n";
    for (lines, body) in [
        // CL.TE, TE.CL
        (
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\nG",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            chunked,
        ),
        ("Transfer-Encoding : chunked\r\n", chunked),
        ("Transfer-Encoding\t: chunked\r\n", chunked),
        ("Transfer-Encoding:\x0bchunked\r\n", chunked),
        ("Transfer-Encoding: chunked\x0b\r\n", chunked),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", chunked),
        ("X: y\nTransfer-Encoding: chunked\r\n", chunked),
        ("X: y\rTransfer-Encoding: chunked\r\n", chunked),
        ("Transfer-Encoding:\r\n chunked\r\n", chunked),
        // Content-Length
        ("Content-Length: 1\r\nContent-Length: 1\r\n", "x"),
        ("Content-Length: 1\r\nContent-Length: 0\r\n", "x"),
        ("Content-Length: 1, 1\r\n", "x"),
        ("Content-Length: +1\r\n", "x"),
        ("Content-Length: -1\r\n", "x"),
        ("Content-Length: 0x1\r\n", "x"),
        ("Content-Length: 1 \t 1\r\n", "x"),
        ("Content-Length: 1e0\r\n", "x"),
        ("Content-Length:\r\n", ""),
        ("Content-Length : 1\r\n", "x"),
        ("Content-Length: 18446744073709551617\r\n", "x"),
        ("Content_Length\u{e9}: 1\r\n", "x"),
        // header lines
        ("X: a\0b\r\n", ""),
        ("X\r\n", ""),
        (": x\r\n", ""),
        ("Host: y\r\n", ""),
    ] {
        let request =
            format!("PUT /rest/b/first HTTP/1.1\r\nHost: x\r\n{authorization}{lines}\r\n{body}");
        assert_refused(&fixture, request.as_bytes());
    }
}

/// RFC 9112 §6.1: a coding that is not understood is 501; what follows is not read all the same.
#[test]
fn a_transfer_coding_other_than_chunked_is_refused_and_the_connection_closed() {
    let fixture = Fixture::new();
    let authorization = format!("Authorization: Basic {}\r\n", credentials());
    for lines in [
        // TE.TE
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
    ] {
        let request = format!(
            "PUT /rest/b/first HTTP/1.1\r\nHost: x\r\n{authorization}{lines}\r\n1\r\nx\r\n0\r\n\r\n"
        );
        assert_refused_with(&fixture, request.as_bytes(), 501);
    }
}

#[test]
fn malformed_requests_are_refused_and_the_connection_closed() {
    let fixture = Fixture::new();
    for request in [
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: \x01\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: x\n\n",
        "GET /healthz HTTP/1.1\r\nHost: x\n\r\n",
        "GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET /healthz\r\nHost: x\r\n\r\n",
        "GET http://other/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET HTTP://other/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health<z HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n",
        " GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\tET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health\x01z HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ] {
        assert_refused(&fixture, request.as_bytes());
    }
    let long = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "y".repeat(80 << 10)
    );
    assert_refused_with(&fixture, long.as_bytes(), 431);
    let many = |count: usize| {
        let lines = "X: y\r\n".repeat(count - 1);
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{lines}\r\n")
    };
    assert_refused_with(&fixture, many(257).as_bytes(), 431);
    let (taken, _) = raw(fixture.server().address, many(256).as_bytes()).unwrap();
    assert_eq!(taken[0].status, 200);
    let other = "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n";
    assert_refused_with(&fixture, other.as_bytes(), 505);
}

#[test]
fn a_broken_chunked_body_is_no_object() {
    let fixture = Fixture::new();
    for body in [
        "z\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "1\nx\n0\n\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "1 \r\nx\r\n0\r\n\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "8000000000000000\r\nx\r\n0\r\n\r\n",
        "1;a=\nb\r\nx\r\n0\r\n\r\n",
        "1\r\nx\r\n0\r\n folded\r\n\r\n",
    ] {
        let request = format!(
            "PUT /rest/b/broken HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{body}{}",
            credentials(),
            tail(&credentials())
        );
        let (responses, closed) = raw(fixture.server().address, request.as_bytes())
            .unwrap_or_else(|error| panic!("{body:?}: {error}"));
        assert!(responses.len() <= 1, "{body:?}: {responses:?}");
        assert!(
            responses.iter().all(|response| response.status == 400),
            "{body:?}: {responses:?}"
        );
        assert!(closed.0, "{body:?}: the connection stays open");
        let client = &mut fixture.client();
        assert_eq!(
            send(client, "HEAD", "/rest/b/broken").status,
            404,
            "{body:?} was stored"
        );
        assert_eq!(
            send(client, "HEAD", "/rest/b/smuggled").status,
            404,
            "{body:?}"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let fixture = Fixture::new();
    let credentials = credentials();
    let request = |method: &str, key: &str, rest: &str| {
        format!(
            "{method} /rest/b/{key} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
             {rest}"
        )
    };
    let pipeline = request("PUT", "one", "Content-Length: 3\r\n\r\none")
        + &request("GET", "one", "\r\n")
        + &request("GET", "two", "\r\n")
        + &request("DELETE", "one", "Connection: close\r\n\r\n")
        + &request("PUT", "late", "Content-Length: 0\r\n\r\n");
    let (responses, closed) = raw(fixture.server().address, pipeline.as_bytes()).unwrap();
    let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [201, 200, 404, 204]);
    assert_eq!(responses[1].text(), "one");
    assert!(closed.0);
    assert_eq!(
        send(&mut fixture.client(), "HEAD", "/rest/b/late").status,
        404
    );
}

#[test]
fn a_refusal_does_not_wait_for_the_body() {
    let fixture = Fixture::new();
    let request = format!(
        "PUT /rest/b/k HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\nIf-Match: \"x\"\r\n\
         Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        credentials()
    );
    let (responses, _) = raw(fixture.server().address, request.as_bytes()).unwrap();
    assert_eq!(responses.len(), 1);
    assert_problem(&responses[0], 412);
}

#[test]
fn a_refusal_is_not_overtaken_by_a_reset() {
    use std::io::{Read as _, Write as _};
    let fixture = Fixture::new();
    let mut stream = std::net::TcpStream::connect(fixture.server().address).unwrap();
    let head = "PUT /rest/b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    // A client that sends everything before it reads.
    for _ in 0..20 {
        stream.write_all(&[7; 1_000_000]).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn an_expectation_is_met_before_the_body() {
    use std::io::{Read as _, Write as _};
    let fixture = Fixture::new();
    let mut stream = std::net::TcpStream::connect(fixture.server().address).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .unwrap();
    let head = format!(
        "PUT /rest/b/k HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\nContent-Length: 2\r\n\
         Expect: 100-continue\r\nConnection: close\r\n\r\n",
        credentials()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

/// RFC 9110 §6.6.1.
#[test]
fn a_refusal_has_its_date() {
    let fixture = Fixture::new();
    let request = b"GET /rest/b/ HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n";
    let (answers, closed) = raw(fixture.server().address, request).unwrap();
    assert_problem(&answers[0], 400);
    assert!(answers[0].header("date").unwrap().ends_with(" GMT"));
    assert!(closed.0);
}
