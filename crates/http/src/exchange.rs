//! One request and its answer, whatever HTTP it came by: its id, who asks, whether there is room for
//! it, the handler, the line in the log.

use crate::body::Body;
use crate::client::Client;
use crate::guard::{HEADERS_MAX, is_host};
use crate::http2::Traffic;
use crate::logged::{Line, Logged, State};
use crate::phrase;
use crate::problem::Problem;
use crate::proxies::Origin;
use crate::request_body::RequestBody;
use crate::serve::{RequestId, Service};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// What is known of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) peer: SocketAddr,
    pub(crate) secure: bool,
    /// Whether a proxy of bytes says that its client speaks TLS.
    pub(crate) relayed_secure: bool,
    /// Whether a proxy of bytes does not say whom it speaks for: the peer is the proxy then, and what
    /// headers say of clients may be anybody's.
    pub(crate) unnamed: bool,
    #[cfg(feature = "tls")]
    pub(crate) certificate: Option<Arc<crate::tls::ClientCertificate>>,
    /// Of HTTP/2.
    pub(crate) traffic: Option<Arc<Traffic>>,
    pub(crate) stopping: Stopping,
}

/// Tells long answers when the server stops: in a request's extensions.
#[derive(Clone, Debug)]
pub struct Stopping(pub(crate) watch::Receiver<bool>);

impl Stopping {
    /// Ends when the server stops.
    pub async fn wait(&mut self) {
        // An error means that whoever could say so is gone, too.
        let _stopped = self.0.wait_for(|stopped| *stopped).await;
    }
}

impl Facts {
    pub(crate) fn of(peer: SocketAddr, stop: watch::Receiver<bool>) -> Self {
        Facts {
            peer,
            secure: false,
            relayed_secure: false,
            unnamed: false,
            #[cfg(feature = "tls")]
            certificate: None,
            traffic: None,
            stopping: Stopping(stop),
        }
    }
}

/// What is known of who sent a request.
fn client<B>(service: &Service, facts: &Facts, request: &Request<B>) -> Client {
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let header = || request.headers().get(HOST)?.to_str().ok();
    let peer = facts.peer.ip();
    let origin = match facts.unnamed {
        true => Origin::of(peer),
        false => service.proxies.origin(peer, request.headers()),
    };
    let host = origin.host.as_deref();
    Client {
        peer: facts.peer,
        address: origin.address,
        secure: origin
            .secure
            .unwrap_or(facts.secure || facts.relayed_secure),
        authority: host
            .or(named)
            .or_else(header)
            .unwrap_or_default()
            .to_owned(),
        #[cfg(feature = "tls")]
        certificate: facts.certificate.clone(),
    }
}

/// What the guard refuses of HTTP/1 and HTTP/2 can still say.
fn sound<B>(request: &Request<B>) -> Result<(), Problem> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let bad = |detail| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    let headers = request.headers();
    if headers.len() > HEADERS_MAX {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, "the request has too many headers"));
    }
    if request.method() == Method::CONNECT {
        return bad("CONNECT is not served");
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return bad("Content-Length is repeated");
    }
    if !request.uri().path().starts_with('/') && request.method() != Method::OPTIONS {
        return bad("the target is neither a path nor an http URL");
    }
    let mut hosts = headers.get_all(HOST).iter();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => bad("the Host header is repeated"),
        (None, None, _) => bad("the request names no host"),
        (Some(authority), Some(host), _)
            if !authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            bad("the authority and the Host header name different hosts")
        }
        (Some(authority), ..) if !is_host(authority.as_bytes()) => {
            bad("the authority is not a host")
        }
        (None, Some(host), _) if !is_host(host.as_bytes()) => bad("the Host header is not a host"),
        _ => Ok(()),
    }
}

/// Answers one request.
pub(crate) async fn answer(
    service: Arc<Service>,
    facts: Arc<Facts>,
    request: Request<Incoming>,
) -> Response<Logged> {
    let (mut request, unread) = RequestBody::of(request, service.pace);
    let id = service.host.id().to_string();
    let client = client(&service, &facts, &request);
    let mut line = Line {
        started: service.host.clock.monotonic(),
        id,
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        client: client.address,
        version: request.version(),
        traffic: facts.traffic.clone(),
        host: service.host.clone(),
        metrics: service.metrics.clone(),
        place: None,
        state: State::New,
    };
    line.begin();
    let vital = service.vital.contains(&request.uri().path());
    let refused = match sound(&request) {
        Err(problem) => Some(problem),
        Ok(()) if vital => None,
        Ok(()) => {
            let place = service.places.clone().try_acquire_owned();
            line.place = place.ok().map(Arc::new);
            line.place.is_none().then(|| {
                service.metrics.overloaded();
                let detail = "too many requests are being answered";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            })
        }
    };
    let mut response = match refused {
        Some(problem) => {
            drop(request);
            problem.into_response()
        }
        None => {
            request.extensions_mut().insert(RequestId(line.id.clone()));
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(facts.stopping.clone());
            handle(&service, request, &line).await
        }
    };
    if let Ok(value) = HeaderValue::from_str(&line.id) {
        response.headers_mut().insert("x-request-id", value);
    }
    unread.settle(&mut response).await;
    phrase::complete(&mut response);
    if line.method == Method::HEAD {
        bodiless(&mut response);
    }
    line.answered();
    Logged::response(response, line)
}

async fn handle(service: &Service, request: Request<RequestBody>, line: &Line) -> Response<Body> {
    let handling = (service.handler)(request);
    if line.method.is_safe() {
        return handling.await;
    }
    // A task of its own: a client that goes away does not cancel a change half-way, and does not make
    // room for another before it has ended.
    let place = line.place.clone();
    let handling = async move {
        let answered = handling.await;
        drop(place);
        answered
    };
    tokio::spawn(handling).await.unwrap_or_else(|_panic| {
        tracing::error!(request = %line.id, "a request handler failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed").into_response()
    })
}

/// Keeps the length, and drops the body: over HTTP/2 it would be sent.
fn bodiless(response: &mut Response<Body>) {
    let length = response.body().remaining().filter(|length| *length > 0);
    if let Some(length) = length.filter(|_| !response.headers().contains_key(CONTENT_LENGTH)) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = Body::empty();
}
