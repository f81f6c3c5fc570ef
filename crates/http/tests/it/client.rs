//! A server on a port of its own, and a plain client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use trestle_host::Host;
use trestle_http::{Handler, Service};

/// Stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _stop: watch::Sender<bool>,
}

pub(crate) async fn start(handler: Arc<Handler>) -> Server {
    start_with(handler, |service| service).await
}

pub(crate) async fn start_with(
    handler: Arc<Handler>,
    shape: impl FnOnce(Service) -> Service,
) -> Server {
    start_on(Host::real(), handler, shape).await
}

pub(crate) async fn start_on(
    host: Host,
    handler: Arc<Handler>,
    shape: impl FnOnce(Service) -> Service,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopping, stop) = watch::channel(false);
    let service = shape(Service::new(host, 16, handler));
    tokio::spawn(trestle_http::serve(listener, service, stop, Duration::ZERO));
    Server {
        address,
        _stop: stopping,
    }
}

/// What came back for one request on a connection of its own.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Server {
    /// Sends a whole request, which must end its connection.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let (line, head) = head.split_once("\r\n").unwrap();
        Answer {
            line: line.to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// A request with headers, each ended by CRLF, and a body.
    pub(crate) async fn ask(&self, request: &str, headers: &str, body: &str) -> Answer {
        let length = match body {
            "" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        self.raw(&format!(
            "{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}{length}\r\n{body}"
        ))
        .await
    }
}
