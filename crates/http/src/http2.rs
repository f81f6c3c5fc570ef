//! HTTP/2: bounded settings, resets and streams, and an end for connections that do nothing.
//!
//! Floods of resets, settings and pings are counted by the implementation, which ends the
//! connection; here are the numbers, and what it does not watch: streams that nobody takes from.

use crate::exchange::{Facts, answer};
use crate::guard::HEAD_BYTES_MAX;
use crate::serve::{LINGER, Service, TAKE_TIMEOUT};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use trestle_host::Host;

/// Requests at once on one connection.
const STREAMS_MAX: u32 = 128;
/// What a client may send ahead, on a stream and on its connection.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// What waits to be sent on a stream.
const SEND_BYTES_MAX: usize = 256 << 10;
/// Streams that a client may have reset before they were looked at, and that were ended for errors.
const RESETS_MAX: usize = 32;
const ERROR_RESETS_MAX: usize = 128;
/// How often a silent client is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);
/// How long a connection without requests is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What moves on a connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Requests whose answer has not ended.
    open: AtomicUsize,
    /// Requests whose answer has not begun.
    working: AtomicUsize,
    /// When something moved last, in milliseconds of the host's clock.
    moved: AtomicU64,
    /// Since when each answer waits for its client to take what it was given.
    owed: Mutex<Owed>,
}

#[derive(Debug, Default)]
struct Owed {
    last: u64,
    since: BTreeMap<u64, u64>,
}

fn now(host: &Host) -> u64 {
    u64::try_from(host.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}

impl Traffic {
    pub(crate) fn began(&self, host: &Host) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.working.fetch_add(1, Ordering::Relaxed);
        self.moved(host);
    }

    pub(crate) fn answered(&self, host: &Host) {
        self.working.fetch_sub(1, Ordering::Relaxed);
        self.moved(host);
    }

    pub(crate) fn moved(&self, host: &Host) {
        self.moved.store(now(host), Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, host: &Host) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.moved(host);
    }

    /// An answer has something for its client to take.
    pub(crate) fn owes(&self, host: &Host) -> u64 {
        let mut owed = self.owed.lock();
        owed.last += 1;
        let id = owed.last;
        owed.since.insert(id, now(host));
        id
    }

    /// The client took it, or the answer ended.
    pub(crate) fn took(&self, id: u64) {
        self.owed.lock().since.remove(&id);
    }

    /// For how long the answer waits that has waited longest.
    fn longest_owed(&self, host: &Host) -> Duration {
        let owed = self.owed.lock();
        let oldest = owed.since.first_key_value().map(|(_, since)| *since);
        let now = now(host);
        Duration::from_millis(oldest.map_or(0, |oldest| now.saturating_sub(oldest)))
    }

    /// For how long nothing moved.
    fn silence(&self, host: &Host) -> Duration {
        let moved = self.moved.load(Ordering::Relaxed);
        Duration::from_millis(now(host).saturating_sub(moved))
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve<S>(
    stream: S,
    mut facts: Facts,
    service: Arc<Service>,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let host = service.host.clone();
    let traffic = Arc::new(Traffic::default());
    traffic.moved(&host);
    facts.traffic = Some(traffic.clone());
    let facts = Arc::new(facts);
    let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answered = answer(service.clone(), facts.clone(), request);
        Box::pin(async move { Ok::<_, std::convert::Infallible>(answered.await) })
    });
    let mut connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(stream), answer);
    let mut stopping = false;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            outcome = &mut connection => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = stop.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            _ = look.tick() => {
                let silence = traffic.silence(&host);
                let busy = traffic.working.load(Ordering::Relaxed) > 0;
                let idle = traffic.open.load(Ordering::Relaxed) == 0;
                if idle && !stopping && silence > IDLE {
                    stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                } else if !busy && silence > if idle { IDLE + LINGER } else { TAKE_TIMEOUT }
                    || traffic.longest_owed(&host) > TAKE_TIMEOUT
                {
                    tracing::debug!("a connection on which nothing moves is given up");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_core::Timestamp;
    use trestle_host::ManualClock;

    #[test]
    fn the_answer_that_waits_longest_counts() {
        let clock = Arc::new(ManualClock::at(Timestamp(1)));
        let host = Host {
            clock: clock.clone(),
            ..Host::real()
        };
        let traffic = Traffic::default();
        assert_eq!(traffic.longest_owed(&host), Duration::ZERO);
        let first = traffic.owes(&host);
        clock.advance(Duration::from_secs(5));
        let second = traffic.owes(&host);
        clock.advance(Duration::from_secs(5));
        // What others move is no matter.
        traffic.moved(&host);
        assert_eq!(traffic.longest_owed(&host), Duration::from_secs(10));
        traffic.took(first);
        assert_eq!(traffic.longest_owed(&host), Duration::from_secs(5));
        traffic.took(second);
        assert_eq!(traffic.longest_owed(&host), Duration::ZERO);
    }
}
