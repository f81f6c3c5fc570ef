//! One connection: whose it is (PROXY protocol), TLS, which HTTP it speaks, and its end.

use crate::body::Body;
use crate::conditional::http_date;
use crate::drain::Drain;
use crate::exchange::{Facts, answer};
use crate::guard::{HEADERS_MAX, Violation};
use crate::guarded::{Ended, Guarded, Prefixed};
use crate::http2;
use crate::problem::Problem;
use crate::proxy_protocol;
use crate::serve::{HEAD_TIMEOUT, LINGER, Service, TAKE_TIMEOUT};
use bytes::BytesMut;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use trestle_core::Timestamp;

/// What HTTP/2 begins with when a client knows that it is spoken (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type Stop = watch::Receiver<bool>;

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    service: Arc<Service>,
    mut stop: Stop,
) {
    let metrics = service.metrics.clone();
    let _counted = metrics.connection();
    let opened = tokio::select! {
        opened = tokio::time::timeout(HEAD_TIMEOUT, open(&mut stream, Facts::of(peer, stop.clone()), &service)) => opened,
        // Nothing was asked yet.
        _ = stop.wait_for(|stopped| *stopped) => return,
    };
    let (facts, received) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a connection was not let in");
            return;
        }
        Err(_elapsed) => return,
    };
    #[cfg(feature = "tls")]
    if let Some(tls) = &service.tls {
        let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
        let prefixed = Prefixed {
            stream,
            prefix: received,
        };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(prefixed)) => shaken,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "a TLS handshake failed");
                return;
            }
            Err(_elapsed) => return,
        };
        let (_, session) = stream.get_ref();
        // What was agreed on is spoken; where nothing was, HTTP/2 begins with what it begins with.
        let second = session.alpn_protocol().map(|agreed| agreed == b"h2");
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let facts = Facts {
            secure: true,
            certificate: certificate.map(|found| {
                Arc::new(crate::tls::ClientCertificate {
                    der: found.to_vec(),
                })
            }),
            ..facts
        };
        return speak(stream, BytesMut::new(), second, facts, service, stop).await;
    }
    speak(stream, received, None, facts, service, stop).await;
}

/// Reads the header of the PROXY protocol where there must be one.
async fn open(
    stream: &mut TcpStream,
    mut facts: Facts,
    service: &Service,
) -> io::Result<(Facts, BytesMut)> {
    let peer = facts.peer;
    let mut received = BytesMut::new();
    if !service.proxies.protocol || !service.proxies.trusts(peer.ip()) {
        return Ok((facts, received));
    }
    loop {
        let taken = proxy_protocol::take(&mut received).map_err(io::Error::other)?;
        if let Some(relayed) = taken {
            facts.peer = relayed.client.unwrap_or(peer);
            facts.unnamed = relayed.client.is_none();
            facts.relayed_secure = relayed.secure;
            return Ok((facts, received));
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Speaks HTTP/2 to who asks for it, and HTTP/1 otherwise. `second` says so when ALPN did.
async fn speak<S>(
    mut stream: S,
    mut received: BytesMut,
    second: Option<bool>,
    facts: Facts,
    service: Arc<Service>,
    mut stop: Stop,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let second = match second {
        Some(second) => second,
        None => {
            let begun = tokio::select! {
                begun = tokio::time::timeout(HEAD_TIMEOUT, begins(&mut stream, &mut received)) => begun,
                _ = stop.wait_for(|stopped| *stopped) => return,
            };
            match begun {
                Ok(Ok(second)) => second,
                // Half of the preface may be the beginning of any request.
                Err(_elapsed) if !received.is_empty() => {
                    return give_up(&mut stream, &service).await;
                }
                // Ended, or silent, before it said anything whole.
                _ => return,
            }
        }
    };
    if second {
        let prefixed = Prefixed {
            stream,
            prefix: received,
        };
        http2::serve(prefixed, facts, service, stop).await;
    } else {
        first(stream, received, facts, service, stop).await;
    }
}

/// Whether a connection begins with the preface of HTTP/2.
async fn begins<S: AsyncRead + Unpin>(stream: &mut S, received: &mut BytesMut) -> io::Result<bool> {
    loop {
        let looked = received.len().min(PREFACE.len());
        if received.get(..looked) != PREFACE.get(..looked) {
            return Ok(false);
        }
        if looked == PREFACE.len() {
            return Ok(true);
        }
        if stream.read_buf(received).await? == 0 {
            // What came so far is for HTTP/1 to refuse.
            return match received.is_empty() {
                true => Err(io::ErrorKind::UnexpectedEof.into()),
                false => Ok(false),
            };
        }
    }
}

/// HTTP/1, behind the guard.
async fn first<S>(
    stream: S,
    received: BytesMut,
    facts: Facts,
    service: Arc<Service>,
    mut stop: Stop,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (host, metrics, serving) = (
        service.host.clone(),
        service.metrics.clone(),
        service.clone(),
    );
    let io = Guarded::new(stream, received, Drain::new(TAKE_TIMEOUT));
    let facts = Arc::new(facts);
    let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answered = answer(service.clone(), facts.clone(), request);
        Box::pin(async move { Ok::<_, std::convert::Infallible>(answered.await) })
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        // What was asked before a violation is still answered.
        .half_close(true)
        .serve_connection(TokioIo::new(io), answer);
    let (mut stopping, mut late) = (false, false);
    loop {
        tokio::select! {
            outcome = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection ended early");
                    if !error.is_timeout() {
                        return;
                    }
                    late = true;
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
    if late {
        // Who asked for nothing is not told that it took long.
        if io.is_in_head() {
            give_up(&mut io.stream, &serving).await;
        }
        return;
    }
    if let Some(Ended::Refused(violation)) = io.ended {
        let id = host.id().to_string();
        tracing::info!(request = %id, reason = violation.0, "request refused");
        metrics.refused();
        let refusal = refuse(&mut io.stream, violation, &id, host.clock.now());
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

/// Tells a client whose head took too long that it did, and ends the connection.
async fn give_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, service: &Service) {
    let (id, now) = (service.host.id().to_string(), service.host.clock.now());
    tracing::info!(request = %id, reason = "the head took too long", "request refused");
    service.metrics.refused();
    let problem = Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "the request's head took too long",
    );
    let told = async {
        send(stream, problem, &id, now).await?;
        linger(stream).await
    };
    let _ended = tokio::time::timeout(LINGER, told).await;
}

/// Ends the sending side and reads on until the client has ended its own: unread bytes would turn
/// the close into a reset that can overtake the answer.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut scratch = vec![0; 8 << 10];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// Sends the one answer to a request that was not let in.
async fn refuse<S: AsyncWrite + Unpin>(
    stream: &mut S,
    violation: Violation,
    id: &str,
    now: Timestamp,
) -> io::Result<()> {
    let problem = Problem::new(violation.status(), violation.0);
    send(stream, problem, id, now).await
}

/// Sends a problem as the only answer of a connection that HTTP was not spoken on.
async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    problem: Problem,
    id: &str,
    now: Timestamp,
) -> io::Result<()> {
    let response = problem.into_response();
    let status = response.status();
    let date = http_date(now);
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ndate: {date}\r\nx-request-id: {id}\r\n")
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

/// Answers a connection for which there is no place: 503, and the end of it.
pub(crate) async fn turn_away(mut stream: TcpStream, service: &Service) -> io::Result<()> {
    service.metrics.overloaded();
    #[cfg(feature = "tls")]
    if service.tls.is_some() {
        // A handshake would cost more than what there is no room for.
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many connections are open",
    )
    .with_header(RETRY_AFTER, HeaderValue::from_static("1"));
    let host = &service.host;
    send(
        &mut stream,
        problem,
        &host.id().to_string(),
        host.clock.now(),
    )
    .await?;
    linger(&mut stream).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use http::Response;
    use tokio::io::DuplexStream;
    use trestle_host::Host;

    /// What a client that sends this, and then nothing, is told before the connection ends.
    async fn told(sent: &[&str]) -> String {
        let handler = |_: Request<crate::RequestBody>| -> futures::future::BoxFuture<'static, _> {
            Box::pin(async { Response::new(Body::empty()) })
        };
        let service = Service::new(Host::real(), 8, Arc::new(handler));
        let service = Arc::new(service.metrics(Arc::new(Metrics::default())));
        let (mut client, stream): (DuplexStream, _) = tokio::io::duplex(64 << 10);
        let (_keep, stop) = watch::channel(false);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let facts = Facts::of(peer, stop.clone());
        let served = speak(stream, BytesMut::new(), None, facts, service, stop);
        let served = tokio::spawn(served);
        for piece in sent {
            client.write_all(piece.as_bytes()).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        served.await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_takes_too_long_is_told_so() {
        for slow in [
            &["P"][..],
            &["GET / HT"],
            &["GET / HTTP/1.1\r\n", "host: x\r\n", "x:"],
        ] {
            let answer = told(slow).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{slow:?}: {answer}");
            assert!(answer.contains("connection: close") && answer.contains("took too long"));
        }
        // Between two requests, too; and who asks for nothing is told nothing.
        let whole = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = told(&[whole, "GET"]).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("HTTP/1.1 408 "), "{answer}");
        assert_eq!(told(&[]).await, "");
        assert!(!told(&[whole]).await.contains("408"));
    }
}
