//! What the server adds to a handler, and what it lets through.

use crate::client::start;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use trestle_http::{Body, Client, receive};

#[tokio::test]
async fn extension_methods_and_facts_of_the_client_reach_the_handler() {
    let server = start(Arc::new(|request| {
        Box::pin(async move {
            let client = request.extensions().get::<Client>().unwrap();
            let (address, authority) = (client.address, client.authority.clone());
            let text = format!(
                "{} {address} {authority} {}",
                request.method(),
                client.scheme()
            );
            Response::new(Body::full(text))
        })
    }))
    .await;
    let answer = server.ask("COPY /", "", "").await;
    assert_eq!(
        (answer.status(), answer.body.as_str()),
        (200, "COPY 127.0.0.1 a http")
    );
    let absolute = "REPORT http://b:1/ HTTP/1.1\r\nHost: b:1\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(absolute).await.body, "REPORT 127.0.0.1 b:1 http");
}

#[tokio::test]
async fn statuses_outside_the_registry_have_a_phrase() {
    let server = start(Arc::new(|_| {
        Box::pin(async move {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(498).unwrap();
            response
        })
    }))
    .await;
    assert_eq!(
        server.ask("GET /", "", "").await.line,
        "HTTP/1.1 498 Rate Limited"
    );
}

#[tokio::test]
async fn trailers_come_in_and_go_out() {
    let server = start(Arc::new(|request| {
        Box::pin(async move {
            let (pieces, trailers) = receive(request.into_body());
            let pieces: Vec<Bytes> = pieces.map(|piece| piece.unwrap()).collect().await;
            let received = trailers.get().unwrap()["x-sum"].clone();
            let pieces = futures::stream::iter(pieces.into_iter().map(Ok));
            let body = Body::with_trailers(pieces, move || {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-back", received);
                trailers
            });
            let mut response = Response::new(body);
            response
                .headers_mut()
                .insert("trailer", HeaderValue::from_static("x-back"));
            response
        })
    }))
    .await;
    let answer = server
        .raw(
            "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: trailers\r\n\
             Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n",
        )
        .await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.body, "3\r\nabc\r\n0\r\nx-back: 7\r\n\r\n");
}

/// What arrives until the connection ends or `count` answers begin.
async fn answers(stream: &mut TcpStream, count: usize) -> String {
    let mut text = Vec::new();
    while String::from_utf8_lossy(&text).matches("HTTP/1.1 ").count() < count {
        if stream.read_buf(&mut text).await.unwrap() == 0 {
            break;
        }
    }
    String::from_utf8(text).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn a_body_that_nobody_read_does_not_cost_the_connection() {
    let handled = Arc::new(Notify::new());
    let told = handled.clone();
    let server = start(Arc::new(move |request| {
        let told = told.clone();
        Box::pin(async move {
            drop(request);
            told.notify_one();
            Response::new(Body::empty())
        })
    }))
    .await;
    let connect = || async { TcpStream::connect(server.address).await.unwrap() };
    let bodies = [
        ("Content-Length: 5", "later"),
        ("Transfer-Encoding: chunked", "5\r\nlater\r\n0\r\n\r\n"),
    ];
    for (framing, body) in bodies {
        let mut stream = connect().await;
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        handled.notified().await;
        let next = format!("{body}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(next.as_bytes()).await.unwrap();
        let text = answers(&mut stream, 2).await;
        assert_eq!(text.matches("http/1.1 200").count(), 2, "{text}");
        assert!(!text.contains("connection: close"), "{text}");
    }
    // What is too much, or waits for a word of the server, ends the connection, and that is said.
    for head in [
        "Content-Length: 100000",
        "Content-Length: 5\r\nExpect: 100-continue",
        // No 100 goes before the answer to what has no body.
        "Content-Length: 0\r\nExpect: 100-continue",
        "Expect: 100-continue",
    ] {
        let mut stream = connect().await;
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let text = answers(&mut stream, 2).await;
        assert_eq!(text.matches("http/1.1 200").count(), 1, "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }
}
