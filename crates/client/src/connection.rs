//! Requests over connections that are kept and used again.

use crate::Result;
use base64::Engine as _;
use bytes::Bytes;
use futures::future::{self, Either};
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use trestle_http::{Body, incoming, read_whole};

/// Where systems keep the authorities that they trust.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// How long it may take until a connection stands; and until the next piece of a request's body goes
/// out, or an answer begins after the last one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest error document that is looked at.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Who asks. Never shown.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A user.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// Whoever has this token.
    Token(String),
}

impl Credentials {
    fn header(&self) -> Result<Option<HeaderValue>> {
        let text = match self {
            Credentials::None => return Ok(None),
            Credentials::User { name, password } => {
                let pair = format!("{name}:{password}");
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                format!("Basic {encoded}")
            }
            Credentials::Token(token) => format!("Bearer {token}"),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "the credentials cannot be sent as a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Which server, and as whom.
#[derive(Clone, Default)]
pub struct Options {
    /// Its URL, without a path.
    pub server: String,
    /// Who asks.
    pub credentials: Credentials,
    /// Authorities to trust instead of the system's, in PEM.
    pub authorities: Option<PathBuf>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// An answer.
pub type Reply = Response<Incoming>;

/// A body that tells of each piece that is taken of it.
struct Watched {
    body: Body,
    taken: Arc<Notify>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = trestle_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.taken.notify_one();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request whose body is watched.
fn watched(request: Request<Body>) -> (Request<Watched>, Arc<Notify>) {
    let taken = Arc::new(Notify::new());
    let watching = taken.clone();
    let watched = request.map(|body| Watched {
        body,
        taken: watching,
    });
    (watched, taken)
}

/// What answers, unless neither that comes about nor a piece of the body goes out for too long.
async fn answered<A>(answering: impl Future<Output = A>, taken: &Notify) -> Option<A> {
    let mut answering = pin!(answering);
    loop {
        let going_on = pin!(taken.notified());
        let either = future::select(answering.as_mut(), going_on);
        match tokio::time::timeout(ANSWER_TIMEOUT, either).await {
            Ok(Either::Left((answer, _))) => return Some(answer),
            Ok(Either::Right(_)) => {}
            Err(_) => return None,
        }
    }
}

/// A server, and open connections to it.
pub(crate) struct Server {
    authority: String,
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
    tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<SendRequest<Watched>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

fn trusted(authorities: Option<&PathBuf>) -> Result<Arc<ClientConfig>> {
    let path = match authorities {
        Some(path) => path.clone(),
        None => AUTHORITIES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or("this system has no list of authorities: name one with --ca")?,
    };
    let failed = |error| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(&path).map_err(|error| failed(error.to_string()))?;
    roots.add_parsable_certificates(certificates.flatten());
    if roots.is_empty() {
        return Err(failed("has no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Server {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let wrong = || format!("{:?} is no URL of a server", options.server);
        let url: http::Uri = options.server.parse().map_err(|_| wrong())?;
        let secure = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = url.authority().ok_or_else(wrong)?;
        if !matches!(url.path(), "" | "/") || authority.as_str().contains('@') {
            return Err(wrong());
        }
        Ok(Server {
            authority: authority.as_str().to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            authorization: options.credentials.header()?,
            tls: match secure {
                true => Some(trusted(options.authorities.as_ref())?),
                false => None,
            },
            idle: Mutex::default(),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Watched>> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.authority);
        let stream = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, stream).await;
        let stream = stream
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let Some(tls) = &self.tls else {
            let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
            let (sender, connection) = shaken.map_err(|error| failed(&error))?;
            tokio::spawn(connection);
            return Ok(sender);
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| failed(&error))?;
        let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, stream).await;
        let stream = stream
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a request whose body `body` makes, maybe twice: a kept connection may have ended.
    pub(crate) async fn send(
        &self,
        method: &Method,
        target: &str,
        headers: &[(HeaderName, String)],
        body: &(dyn Fn() -> Result<Body> + Send + Sync),
    ) -> Result<Reply> {
        loop {
            let kept = self.kept();
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let request = self.request(method, target, headers, body()?)?;
            let (request, taken) = watched(request);
            // Sending tells what is wrong when it is not.
            let _ready = sender.ready().await;
            match answered(sender.send_request(request), &taken).await {
                Some(Ok(reply)) => {
                    // It is ready for the next when this answer's body has been read.
                    self.idle.lock().push(sender);
                    return Ok(reply);
                }
                Some(Err(error))
                    if !fresh
                        && (error.is_canceled()
                            || error.is_closed()
                            || error.is_incomplete_message()) => {}
                Some(Err(error)) => return Err(format!("{}: {error}", self.authority)),
                None => return Err(format!("{}: no answer", self.authority)),
            }
        }
    }

    /// A connection that waits for nothing.
    fn kept(&self) -> Option<SendRequest<Watched>> {
        let mut idle = self.idle.lock();
        idle.retain(|sender| !sender.is_closed());
        let ready = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    fn request(
        &self,
        method: &Method,
        target: &str,
        headers: &[(HeaderName, String)],
        body: Body,
    ) -> Result<Request<Body>> {
        let mut made = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, &self.authority);
        if let Some(authorization) = &self.authorization {
            made = made.header(AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            made = made.header(name, value);
        }
        made.body(body)
            .map_err(|error| format!("{target}: {error}"))
    }
}

/// Connections to a server of any kind, for requests that are made elsewhere.
#[derive(Debug)]
pub struct Wire(Server);

impl Wire {
    /// To a server by its URL, without a path.
    ///
    /// # Errors
    /// What is wrong with the URL, or with the system's list of authorities.
    pub fn to(server: &str) -> Result<Self> {
        let options = Options {
            server: server.to_owned(),
            ..Options::default()
        };
        Server::new(&options).map(Wire)
    }

    /// Sends a request, over a connection that stands or a new one. Not again, when it breaks.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Reply> {
        let Wire(server) = self;
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", server.authority);
        let host = HeaderValue::from_str(&server.authority).map_err(|error| failed(&error))?;
        request.headers_mut().insert(HOST, host);
        let mut sender = match server.kept() {
            Some(sender) => sender,
            None => server.connect().await?,
        };
        let (request, taken) = watched(request);
        let _ready = sender.ready().await;
        let answer = answered(sender.send_request(request), &taken).await;
        let reply = answer
            .ok_or_else(|| failed(&"no answer"))?
            .map_err(|error| failed(&error))?;
        server.idle.lock().push(sender);
        Ok(reply)
    }
}

/// What an answer says when it is no success.
pub(crate) async fn problem(reply: Reply) -> String {
    let status = reply.status();
    let body = read_whole(incoming(reply.into_body()), PROBLEM_BYTES_MAX).await;
    let document = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok());
    let document: serde_json::Value = document.unwrap_or_default();
    let detail = document.get("detail").and_then(|detail| detail.as_str());
    // Of a transaction: which of its verbs was refused.
    if let (Some(detail), Some(index)) = (detail, document.get("index")) {
        let name = |name: &str| document.get(name).and_then(|name| name.as_str());
        let verb = name("verb").unwrap_or("?");
        let place = match (name("bucket"), name("key")) {
            (Some(bucket), Some(key)) => format!(" //{bucket}/{key}"),
            _ => String::new(),
        };
        let status = status.as_u16();
        return format!("verb {index}, {verb}{place}: {detail} ({status})");
    }
    match detail {
        Some(detail) => format!("{detail} ({})", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}

/// An answer of one of these statuses; else what it says.
pub(crate) async fn expect(reply: Reply, statuses: &[StatusCode]) -> Result<Reply> {
    if statuses.contains(&reply.status()) {
        Ok(reply)
    } else {
        Err(problem(reply).await)
    }
}

/// A header of an answer as a text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_as_long_as_it_goes_on() {
        let part = ANSWER_TIMEOUT * 2 / 3;
        let pieces = futures::stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(part).await;
            Ok(Bytes::from_static(b"x"))
        });
        let (request, taken) = watched(Request::new(Body::stream(10, pieces)));
        let mut body = request.into_body();
        let answering = async {
            for _ in 0..10 {
                let frame = |context: &mut Context<'_>| {
                    hyper::body::Body::poll_frame(Pin::new(&mut body), context)
                };
                std::future::poll_fn(frame).await.unwrap().unwrap();
            }
            tokio::time::sleep(part).await;
        };
        assert_eq!(answered(answering, &taken).await, Some(()));
        let stalled = tokio::time::sleep(ANSWER_TIMEOUT * 2);
        assert_eq!(answered(stalled, &taken).await, None);
    }
}
