//! Connections: accept, guard, hand requests to a service, drain at the end.

use crate::body::Body;
use crate::client::Client;
use crate::drain::Drain;
use crate::guard::{Guard, Violation};
use crate::logged::{Line, Logged};
use crate::phrase;
use crate::problem::Problem;
use bytes::{Buf, BufMut, BytesMut};
use futures::future::BoxFuture;
use http::header::HeaderValue;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use trestle_host::Host;

/// How long a client may take for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client that was answered early may go on sending.
const LINGER: Duration = Duration::from_secs(15);
/// How long a client may leave no room for what is sent to it, or take next to nothing of it. A receiver tells of new room in steps
/// of some hundred KiB, for which one that reads 2 KiB a second needs minutes.
const TAKE_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 << 10;
/// How long the accept loop rests after a failure such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The id of a request: in the log, and in the answer's `x-request-id`.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Answers one request.
pub type Handler =
    dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync + 'static;

/// What to serve with.
#[derive(Clone)]
pub struct Service {
    /// The machine.
    pub host: Host,
    /// Most open connections; more wait to be accepted.
    pub connections: u32,
    /// The answers.
    pub handler: Arc<Handler>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

/// Serves a listener until `stop` becomes true, then lets requests in progress end for at most
/// `drain`.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let places = Arc::new(Semaphore::new(service.connections as usize));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (service, stop) = (service.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(stream, peer, service, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, places.acquire_many(service.connections))
        .await
        .is_err()
    {
        tracing::warn!("requests were still in progress when the time to drain was over");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Small answers must not wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true)?;
    // Whoever stops reading would hold a place and an open object for ever.
    let timeout = u32::try_from(TAKE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout)?;
    Ok((stream, peer, place))
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: Service,
    mut stop: watch::Receiver<bool>,
) {
    let host = service.host.clone();
    let io = Guarded {
        stream,
        guard: Guard::default(),
        received: BytesMut::new(),
        passed: BytesMut::new(),
        ended: None,
        drain: Drain::new(TAKE_TIMEOUT),
    };
    let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answered = answer(service.clone(), peer, request);
        Box::pin(async move { Ok::<_, std::convert::Infallible>(answered.await) })
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // What was asked before a violation is still answered.
        .half_close(true)
        .serve_connection(TokioIo::new(io), answer);
    let mut stopping = false;
    loop {
        tokio::select! {
            outcome = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection ended early");
                    return;
                }
                break;
            }
            _ = stop.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let mut io = connection.into_parts().io.into_inner();
    if let Some(Ended::Refused(violation)) = io.ended {
        let id = host.id().to_string();
        tracing::info!(request = %id, reason = violation.0, status = 400, "request refused");
        let refusal = refuse(&mut io.stream, violation, &id);
        let refused = tokio::time::timeout(HEAD_TIMEOUT, refusal).await;
        if let Ok(Err(error)) = refused {
            tracing::debug!(%error, "a refusal could not be sent");
        }
    }
    if !stopping || !io.guard.is_idle() {
        // Whether the client ends it or not, there is nothing left to do.
        let _ended = tokio::time::timeout(LINGER, linger(&mut io.stream)).await;
    }
}

/// Ends the sending side and reads on until the client has ended its own: unread bytes would turn
/// the close into a reset that can overtake the answer.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut scratch = vec![0; 8 << 10];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// Sends the one answer to a request that was not let in.
async fn refuse(stream: &mut TcpStream, violation: Violation, id: &str) -> io::Result<()> {
    let response = Problem::new(StatusCode::BAD_REQUEST, violation.0).into_response();
    let mut bytes =
        format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\nx-request-id: {id}\r\n")
            .into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if let Body::Full(document) = response.into_body() {
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", document.len()).as_bytes());
        bytes.extend_from_slice(&document);
    }
    stream.write_all(&bytes).await
}

/// What is known of who sent a request.
fn client<B>(peer: SocketAddr, request: &Request<B>) -> Client {
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let header = || request.headers().get(http::header::HOST)?.to_str().ok();
    Client {
        peer,
        address: peer.ip().to_canonical(),
        secure: false,
        authority: named.or_else(header).unwrap_or_default().to_owned(),
    }
}

async fn answer(
    service: Service,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Logged> {
    let line = Line {
        started: service.host.clock.monotonic(),
        id: service.host.id().to_string(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        host: service.host,
    };
    let mut request = request;
    let client = client(peer, &request);
    request.extensions_mut().insert(RequestId(line.id.clone()));
    request.extensions_mut().insert(client);
    let handling = (service.handler)(request);
    let mut response = if line.method.is_safe() {
        handling.await
    } else {
        // A task of its own: a client that goes away does not cancel a change half-way.
        tokio::spawn(handling).await.unwrap_or_else(|_panic| {
            tracing::error!(request = %line.id, "a request handler failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed").into_response()
        })
    };
    if let Ok(value) = HeaderValue::from_str(&line.id) {
        response.headers_mut().insert("x-request-id", value);
    }
    phrase::complete(&mut response);
    Logged::response(response, line)
}

/// A socket whose bytes pass the guard. After a violation it reads as ended.
struct Guarded {
    stream: TcpStream,
    guard: Guard,
    received: BytesMut,
    passed: BytesMut,
    ended: Option<Ended>,
    drain: Drain,
}

/// Why nothing more is read.
enum Ended {
    /// A head was refused between two requests: it is still to be answered.
    Refused(Violation),
    /// A body's framing broke: its request answers for it.
    Broken,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.passed.is_empty() {
                let now = this.passed.len().min(buffer.remaining());
                buffer.put_slice(this.passed.get(..now).unwrap_or_default());
                this.passed.advance(now);
                return Poll::Ready(Ok(()));
            }
            if this.ended.is_some() {
                return Poll::Ready(Ok(()));
            }
            this.received.reserve(READ_BYTES);
            let mut room = (&mut this.received).limit(READ_BYTES);
            // Into memory that is not cleared first: that would cost more than the rest of this.
            let read = pin!(this.stream.read_buf(&mut room)).poll(context);
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Err(violation) = this.guard.pass(&mut this.received, &mut this.passed) {
                this.ended = Some(if this.guard.is_idle() {
                    Ended::Refused(violation)
                } else {
                    Ended::Broken
                });
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.drain.wrote(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.drain.wrote(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It comes when all that there was has been written.
        self.drain.flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_stops_reading_is_cut_off_in_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, _peer, _place) = accept(&listener, &Arc::new(Semaphore::new(1)))
            .await
            .unwrap();
        let timeout = rustix::net::sockopt::tcp_user_timeout(&stream).unwrap();
        assert_eq!(Duration::from_millis(timeout.into()), TAKE_TIMEOUT);
    }
}
