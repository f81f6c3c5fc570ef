//! HTTP/2 frame by frame, as no proper client sends it: floods, heads that HTTP/1 would refuse, and
//! clients that take their requests back.

use crate::client::{Server, start, start_on, start_with};
use http::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use trestle_core::Timestamp;
use trestle_host::{Host, ManualClock};
use trestle_http::{Body, Handler, Metrics};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// What ends a connection that asks for too much.
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A field that is not compressed (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        match text.len() {
            short @ 0..127 => field.push(u8::try_from(short).unwrap()),
            long => {
                let mut rest = long - 127;
                field.push(127);
                while rest >= 128 {
                    field.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                field.push(u8::try_from(rest).unwrap());
            }
        }
        field.extend_from_slice(text.as_bytes());
    }
    field
}

fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    list.iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// The head of a request, with more fields.
fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", path),
    ];
    [fields(&own), fields(more)].concat()
}

struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    async fn open(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        stream.write_all(preface).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Wire {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends; whether the other end still takes it.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame: kind, flags, stream, payload; none at the end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some(head) = self.received.get(..9) {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8;
                let length = length | usize::from(head[2]);
                let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
                let (kind, flags) = (head[3], head[4]);
                if let Some(payload) = self.received.get(9..9 + length) {
                    let payload = payload.to_vec();
                    self.received.drain(..9 + length);
                    return Some((kind, flags, stream, payload));
                }
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The text of the first answer; none when there was none.
    async fn answer(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some((kind, flags, _, payload)) = self.next().await {
            match kind {
                DATA => text.push_str(std::str::from_utf8(&payload).unwrap()),
                RESET | GOAWAY => return None,
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                return Some(text);
            }
        }
        None
    }

    /// Why the connection was ended; none when it was not said.
    async fn farewell(&mut self) -> Option<u32> {
        while let Some((kind, _, _, payload)) = self.next().await {
            if kind == GOAWAY {
                return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
        None
    }
}

/// Answers each request with its path when the semaphore lets it.
fn gated(gate: Arc<Semaphore>) -> Arc<Handler> {
    Arc::new(move |request| {
        let gate = gate.clone();
        Box::pin(async move {
            if request.uri().path() != "/now" {
                gate.acquire().await.unwrap().forget();
            }
            Response::new(Body::full(request.uri().path().to_owned()))
        })
    })
}

async fn open_gate() -> Server {
    start(gated(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))).await
}

async fn asked(server: &Server, block: &[u8]) -> Option<String> {
    let mut wire = Wire::open(server).await;
    let flags = END_HEADERS | END_STREAM;
    wire.send(&frame(HEADERS, flags, 1, block)).await;
    wire.answer().await
}

#[tokio::test]
async fn what_http1_refuses_http2_does_not_serve() {
    let server = open_gate().await;
    let plain = head("GET", "/x", &[]);
    assert_eq!(asked(&server, &plain).await.as_deref(), Some("/x"));
    let without = |left_out: &str, more: &[(&str, &str)]| {
        let own = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/x"),
        ];
        let kept: Vec<_> = own
            .into_iter()
            .filter(|(name, _)| *name != left_out)
            .collect();
        [fields(&kept), fields(more)].concat()
    };
    // These have an answer that says what is wrong.
    for (block, why) in [
        (without(":authority", &[]), "names no host"),
        (without(":authority", &[("host", "a b")]), "not a host"),
        (
            without(":authority", &[(":authority", "u@a")]),
            "not a host",
        ),
        (head("GET", "/x", &[("host", "b")]), "different hosts"),
        (
            head("GET", "/x", &[("host", "a"), ("host", "a")]),
            "repeated",
        ),
        (head("GET", "*", &[]), "neither a path"),
        (
            head(
                "PUT",
                "/x",
                &[("content-length", "0"), ("content-length", "0")],
            ),
            "repeated",
        ),
        (head("GET", "/x", &vec![("a", "b"); 257]), "\"status\":431"),
    ] {
        let told = asked(&server, &block).await;
        let told = told.unwrap_or_else(|| panic!("no answer: {why}"));
        assert!(told.contains(why), "{why}: {told}");
    }
    // And these are no requests at all.
    for block in [
        without(":path", &[]),
        without(":method", &[]),
        without(":path", &[(":path", "x")]),
        without(":path", &[(":path", "")]),
        without(":path", &[(":path", "/a b")]),
        without(":path", &[(":path", "/a\r\nx: y")]),
        head("GET", "/x", &[("transfer-encoding", "chunked")]),
        head("GET", "/x", &[("connection", "close")]),
        head("GET", "/x", &[("upgrade", "h2c")]),
        head("GET", "/x", &[("te", "gzip")]),
        head("GET", "/x", &[("X-Upper", "1")]),
        head("GET", "/x", &[("a", "b\r\nc: d")]),
        head("GET", "/x", &[("a", "b\0")]),
        head("GET", "/x", &[("a:b", "c")]),
        head("GET", "/x", &[(":path", "/y")]),
        head("GET", "/x", &[(":method", "PUT")]),
        head("GET", "/x", &[(":unknown", "y")]),
        head("PUT", "/x", &[("content-length", "5")]),
        head("PUT", "/x", &[("content-length", "-1")]),
    ] {
        let told = asked(&server, &block).await;
        assert_eq!(told, None, "{:?}", String::from_utf8_lossy(&block));
    }
    assert_eq!(asked(&server, &plain).await.as_deref(), Some("/x"));
}

#[tokio::test]
async fn floods_end_their_connection() {
    let server = open_gate().await;
    let request = head("GET", "/x", &[]);
    let flood = |name: &str| -> Vec<Vec<u8>> {
        let whole = END_HEADERS | END_STREAM;
        let stream = |at: u32| 2 * at + 1;
        match name {
            "resets" => (0..2000)
                .map(|at| {
                    let asked = frame(HEADERS, whole, stream(at), &request);
                    let reset = frame(RESET, 0, stream(at), &8u32.to_be_bytes());
                    [asked, reset].concat()
                })
                .collect(),
            "continuations" => {
                let more = frame(CONTINUATION, 0, 1, &field("a", "b"));
                let begun = frame(HEADERS, 0, 1, &request);
                [vec![begun], vec![more; 2000]].concat()
            }
            "empty continuations" => {
                let begun = frame(HEADERS, 0, 1, &request);
                [vec![begun], vec![frame(CONTINUATION, 0, 1, &[]); 2000]].concat()
            }
            "empty data" => {
                let begun = frame(HEADERS, END_HEADERS, 1, &head("PUT", "/x", &[]));
                [vec![begun], vec![frame(DATA, 0, 1, &[]); 20_000]].concat()
            }
            // One long field in the table, and references to it.
            _ => {
                let mut long = vec![0x40, 1, b'a', 127, 0x9d, 0x1d];
                long.extend([b'b'; 3868]);
                let block = [request.clone(), long, vec![0xbe; 8000]].concat();
                vec![frame(HEADERS, whole, 1, &block)]
            }
        }
    };
    for name in [
        "resets",
        "continuations",
        "empty continuations",
        "empty data",
        "references",
    ] {
        let mut wire = Wire::open(&server).await;
        for piece in flood(name) {
            if !wire.send(&piece).await {
                break;
            }
        }
        // A reset of the connection may overtake what it says.
        let why = wire.farewell().await;
        assert!(
            why.is_none_or(|why| why == ENHANCE_YOUR_CALM),
            "{name}: {why:?}"
        );
        assert_eq!(
            asked(&server, &request).await.as_deref(),
            Some("/x"),
            "{name}"
        );
    }
    // What costs nothing is answered or passed over.
    let mut wire = Wire::open(&server).await;
    for _ in 0..2000 {
        assert!(wire.send(&frame(PING, 0, 0, b"12345678")).await);
        assert!(wire.send(&frame(0xbb, 0, 0, b"x")).await);
    }
    let asked = frame(HEADERS, END_HEADERS | END_STREAM, 1, &request);
    assert!(wire.send(&asked).await);
    assert_eq!(wire.answer().await.as_deref(), Some("/x"));
}

/// Waits until so many requests are being answered.
async fn in_flight(metrics: &Metrics, count: usize) {
    let line = format!("trestle_http_requests_in_flight {count}\n");
    for _ in 0..2000 {
        if metrics.render(&[]).contains(&line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} were waited for: {}", metrics.render(&[]));
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_counted_no_more() {
    let metrics = Arc::new(Metrics::default());
    let counted = metrics.clone();
    let gate = gated(Arc::new(Semaphore::new(0)));
    let server = start_with(gate, |service| service.metrics(counted)).await;
    let mut wire = Wire::open(&server).await;
    let block = head("GET", "/x", &[]);
    wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
        .await;
    in_flight(&metrics, 1).await;
    wire.send(&frame(RESET, 0, 1, &8u32.to_be_bytes())).await;
    in_flight(&metrics, 0).await;
    let broken = "trestle_http_broken_answers_total 1\n";
    let rendered = metrics.render(&[]);
    assert!(rendered.contains(broken), "{rendered}");
}

/// An answer that nobody takes from is given up, whatever its client does beside it.
#[tokio::test]
async fn what_nobody_takes_holds_nothing_for_ever() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000_000_000)));
    let host = Host {
        clock: clock.clone(),
        ..Host::real()
    };
    let metrics = Arc::new(Metrics::default());
    let counted = metrics.clone();
    let gate = gated(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
    let server = start_on(host, gate, |service| service.metrics(counted)).await;
    let mut wire = Wire::open(&server).await;
    // No room for any byte of an answer.
    wire.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let whole = END_HEADERS | END_STREAM;
    let (stalled, empty) = (head("GET", "/x", &[]), head("HEAD", "/now", &[]));
    wire.send(&frame(HEADERS, whole, 1, &stalled)).await;
    in_flight(&metrics, 1).await;
    for at in 1..=7u32 {
        clock.advance(Duration::from_secs(50));
        wire.send(&frame(HEADERS, whole, 2 * at + 1, &empty)).await;
    }
    // The connection is looked at every few seconds.
    in_flight(&metrics, 0).await;
    assert_eq!(wire.farewell().await, None);
}

/// Whoever takes changes back makes no room for more of them, so that there are never more at work
/// than there are places.
#[tokio::test]
async fn a_change_that_goes_on_keeps_its_place() {
    let gate = Arc::new(Semaphore::new(0));
    let metrics = Arc::new(Metrics::default());
    let counted = metrics.clone();
    let server = start_with(gated(gate.clone()), |service| {
        service.requests(1).metrics(counted)
    })
    .await;
    let mut wire = Wire::open(&server).await;
    let block = head("POST", "/x", &[]);
    wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
        .await;
    in_flight(&metrics, 1).await;
    wire.send(&frame(RESET, 0, 1, &8u32.to_be_bytes())).await;
    in_flight(&metrics, 0).await;
    assert_eq!(server.ask("GET /now", "", "").await.status(), 503);
    gate.add_permits(1);
    for _ in 0..2000 {
        if server.ask("GET /now", "", "").await.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the place was not given back");
}
