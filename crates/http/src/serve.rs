//! What to serve with, and the listener: accept, hand connections on, turn away, drain at the end.

use crate::body::Body;
use crate::connection;
use crate::metrics::Metrics;
use crate::pace::BodyPace;
use crate::proxies::Proxies;
use crate::request_body::RequestBody;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use trestle_host::Host;

/// How long a client may take for a request's head.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client that was answered early may go on sending.
pub(crate) const LINGER: Duration = Duration::from_secs(15);
/// How long a client may leave no room for what is sent to it, or take next to nothing of it. A
/// receiver tells of new room in steps of some hundred KiB, for which one that reads 2 KiB a second
/// needs minutes.
pub(crate) const TAKE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the accept loop rests after a failure such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection waits for a place before it is turned away, and how long that may take.
const PLACE_TIMEOUT: Duration = Duration::from_millis(250);
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// The id of a request: in the log, and in the answer's `x-request-id`.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Answers one request.
pub type Handler =
    dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response<Body>> + Send + Sync + 'static;

/// What to serve with.
#[derive(Clone)]
pub struct Service {
    pub(crate) host: Host,
    pub(crate) connections: u32,
    pub(crate) handler: Arc<Handler>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) pace: BodyPace,
    pub(crate) vital: &'static [&'static str],
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) metrics: Arc<Metrics>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<crate::tls::Tls>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// Answers over plain connections, of which at most `connections` are open; those beyond get
    /// 503. As many requests are answered at once.
    pub fn new(host: Host, connections: u32, handler: Arc<Handler>) -> Self {
        Service {
            host,
            connections: connections.max(2),
            handler,
            places: Arc::new(Semaphore::new(connections as usize)),
            pace: BodyPace::default(),
            vital: &[],
            proxies: Arc::default(),
            metrics: Arc::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Answers at most so many requests at once, 503 to others; all copies of this count together.
    #[must_use]
    pub fn requests(mut self, requests: u32) -> Self {
        self.places = Arc::new(Semaphore::new(requests as usize));
        self
    }

    /// Paths that are answered however many requests there are: of health and figures.
    #[must_use]
    pub fn vital(mut self, paths: &'static [&'static str]) -> Self {
        self.vital = paths;
        self
    }

    /// Gives up bodies that come more slowly than this.
    #[must_use]
    pub fn pace(mut self, pace: BodyPace) -> Self {
        self.pace = pace;
        self
    }

    /// Believes these proxies.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = Arc::new(proxies);
        self
    }

    /// Counts in these figures.
    #[must_use]
    pub fn metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Speaks TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Arc<crate::tls::Tls>) -> Self {
        self.tls = Some(tls);
        self
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
    // Some of the places are kept for telling others that there is none.
    let spare_places = (service.connections / 8).clamp(1, 64);
    let all = service.connections - spare_places;
    let places = Arc::new(Semaphore::new(all as usize));
    let spare = Arc::new(Semaphore::new(spare_places as usize));
    let service = Arc::new(service);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &spare) => accepted,
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, peer, entrance)) => {
                let (service, stop) = (service.clone(), stop.clone());
                if let Ok(place) = places.clone().try_acquire_owned() {
                    drop(entrance);
                    tokio::spawn(async move {
                        connection::serve(stream, peer, service, stop).await;
                        drop(place);
                    });
                } else {
                    tokio::spawn(wait(
                        stream,
                        peer,
                        service,
                        stop,
                        (places.clone(), entrance),
                    ));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(drain, places.acquire_many(all))
        .await
        .is_err()
    {
        tracing::warn!("requests were still in progress when the time to drain was over");
    }
}

/// Serves a connection when a place becomes free soon, and turns it away otherwise.
async fn wait(
    stream: TcpStream,
    peer: SocketAddr,
    service: Arc<Service>,
    stop: watch::Receiver<bool>,
    (places, entrance): (Arc<Semaphore>, OwnedSemaphorePermit),
) {
    match tokio::time::timeout(PLACE_TIMEOUT, places.acquire_owned()).await {
        Ok(Ok(place)) => {
            drop(entrance);
            connection::serve(stream, peer, service, stop).await;
            drop(place);
        }
        _ => {
            let turned = connection::turn_away(stream, &service);
            let _ended = tokio::time::timeout(TURN_AWAY_TIMEOUT, turned).await;
            drop(entrance);
        }
    }
}

async fn accept(
    listener: &TcpListener,
    spare: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let entrance = spare
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
    Ok((stream, peer, entrance))
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
