//! What must never be read two ways: exactly one answer, then the connection ends.

use crate::client::{Connection, authorization};
use crate::server::Server;

#[test]
fn ambiguous_requests_get_one_400_and_no_second_reading() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let cases = [
        format!("Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
        format!("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunk}"),
        format!("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{chunk}"),
        format!("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n{chunk}"),
        format!("Host: a\r\nTransfer-Encoding : chunked\r\n\r\n{chunk}"),
        format!("Host: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n{chunk}"),
        format!("Host: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n{smuggled}"),
        format!("Host: a\r\nContent-Length: +0\r\n\r\n{smuggled}"),
        format!("Host: a\r\nContent-Length: 0,0\r\n\r\n{smuggled}"),
        format!("Host: a\nX: y\r\n\r\n{smuggled}"),
        format!("Host: a\r\nX: y\rZ: w\r\n\r\n{smuggled}"),
        format!("X: no host\r\n\r\n{smuggled}"),
        format!("Host: a\r\nHost: b\r\n\r\n{smuggled}"),
        format!("Host: a@b\r\n\r\n{smuggled}"),
    ];
    for case in cases {
        let mut connection = Connection::to(&server.address);
        // What came before it on the connection is answered.
        connection.send(smuggled.as_bytes());
        connection.send(format!("PUT /rest/b/k HTTP/1.1\r\n{}{case}", authorization()).as_bytes());
        assert_eq!(connection.answer(false).unwrap().status, 200, "{case:?}");
        let refusal = connection.answer(false).unwrap();
        assert_eq!(refusal.status, 400, "{case:?}");
        assert_eq!(refusal.header("content-type"), "application/problem+json");
        assert!(
            connection.answer(false).is_none(),
            "a second answer to {case:?}"
        );
    }
}

#[test]
fn broken_chunks_store_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut connection = Connection::to(&server.address);
    let created = connection.try_request("PUT", "/rest/b/", "", b"").unwrap();
    assert_eq!(created.status, 201);
    for body in [
        "5\r\nhelloX\r\n",
        "zz\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut connection = Connection::to(&server.address);
        let head = "PUT /rest/b/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
        connection.send(format!("{head}{}\r\n{body}", authorization()).as_bytes());
        // Either a refusal or a cut; never a success, never a second answer.
        if let Some(answer) = connection.answer(false) {
            assert_eq!(answer.status, 400, "{body:?}");
            assert!(connection.answer(false).is_none());
        }
        let read = crate::client::request(&server, "GET", "/rest/b/k", "", b"");
        assert_eq!(read.status, 404, "{body:?}");
    }
}
