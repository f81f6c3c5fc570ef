//! An application: resources by their paths, and what surrounds each request, in this order: CORS,
//! routing, the resource's method.

use crate::body::Body;
use crate::cors::{CORS_VARY, CorsRequest, CorsRule};
use crate::expectation::check_expectations;
use crate::idempotency::{Ledger, MemoryLedger};
use crate::openapi;
use crate::path::{decode, query};
use crate::problem::Problem;
use crate::receive::incoming;
use crate::resource::{Call, Resource};
use crate::serve::{Handler, Service};
use crate::serving::{Around, Served, Serving, join};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, VARY};
use http::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use trestle_host::Host;

/// How many idempotency keys are kept unless another ledger is given, and for how long.
const KEYS: usize = 10_000;
const KEYS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Open connections of [`run`].
const CONNECTIONS: u32 = 1024;
/// How long requests may take to end when [`run`] stops.
const DRAIN: Duration = Duration::from_secs(30);
/// Where the OpenAPI document is.
const DOCUMENT: &str = "/openapi.json";

/// A segment of a route's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text.
    Literal(String),
    /// Any text, which the call knows by this name.
    Parameter(String),
}

pub(crate) struct Route {
    pub(crate) pattern: Vec<Segment>,
    pub(crate) path: &'static str,
    pub(crate) served: Box<dyn Served>,
}

/// Resources by their paths.
pub struct App {
    pub(crate) title: &'static str,
    pub(crate) version: &'static str,
    pub(crate) routes: Vec<Route>,
    ledger: Arc<dyn Ledger>,
    rules: Vec<CorsRule>,
    host: Host,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

impl App {
    /// An application without resources. Its title and version are those of its OpenAPI document.
    pub fn new(title: &'static str, version: &'static str) -> Self {
        let host = Host::real();
        App {
            title,
            version,
            routes: Vec::new(),
            ledger: Arc::new(MemoryLedger::new(host.clone(), KEYS, KEYS_KEPT)),
            rules: Vec::new(),
            host,
        }
    }

    /// Serves a resource: the collection at `path`, its items one segment below. A segment in braces
    /// stands for any text: `/lists/{list}/todos`. Of routes that fit, the first counts.
    #[must_use]
    pub fn resource(mut self, path: &'static str, resource: impl Resource) -> Self {
        let segment = |text: &str| match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(name) => Segment::Parameter(name.to_owned()),
            None => Segment::Literal(text.to_owned()),
        };
        let segments = path.split('/').filter(|text| !text.is_empty());
        self.routes.push(Route {
            pattern: segments.map(segment).collect(),
            path,
            served: Box::new(Serving::new(resource)),
        });
        self
    }

    /// Lets scripts of other origins in.
    #[must_use]
    pub fn cors(mut self, rules: Vec<CorsRule>) -> Self {
        self.rules = rules;
        self
    }

    /// Keeps idempotency keys in another ledger than this process's memory.
    #[must_use]
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = ledger;
        self
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Err(problem) = check_expectations(request.headers()) {
            return problem.into_response();
        }
        let cross = match CorsRequest::of(request.method(), request.headers()) {
            Ok(cross) => cross.filter(|_| !self.rules.is_empty()),
            Err(error) => return Problem::from(error).into_response(),
        };
        let allowed = cross.as_ref().and_then(|cross| cross.answer(&self.rules));
        let mut response = match (&cross, &allowed) {
            (Some(cross), Some(_)) if cross.preflight => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            _ => self
                .route(request)
                .await
                .unwrap_or_else(Problem::into_response),
        };
        if !self.rules.is_empty() {
            response.headers_mut().append(VARY, CORS_VARY);
        }
        for (name, value) in allowed.unwrap_or_default() {
            if let Some(name) = name.filter(|name| name != VARY) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    async fn route<B>(&self, request: Request<B>) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if path == DOCUMENT {
            return self.document(&parts.method);
        }
        let segments: Vec<String> = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(decode)
            .collect::<Result<_, _>>()?;
        let found = self
            .routes
            .iter()
            .find_map(|route| Some((route, fit(route, &segments)?)));
        let Some((route, (parameters, id))) = found else {
            return match path.strip_suffix('/').filter(|shorter| !shorter.is_empty()) {
                Some(shorter) if self.fits(segments.split_last().map(|(_, rest)| rest)) => {
                    moved(shorter, parts.uri.query())
                }
                _ => Err(Problem::not_found("nothing is served here")),
            };
        };
        let call = Call {
            path: path.to_owned(),
            query: query(parts.uri.query())?,
            method: parts.method,
            headers: parts.headers,
            parameters,
            extensions: parts.extensions,
        };
        let around = Around {
            ledger: &*self.ledger,
            boundary: self.host.id().to_string(),
        };
        let body = incoming(body).boxed();
        route
            .served
            .answer(&call, id.as_deref(), body, around)
            .await
    }

    fn fits(&self, segments: Option<&[String]>) -> bool {
        segments.is_some_and(|s| self.routes.iter().any(|route| fit(route, s).is_some()))
    }

    fn document(&self, method: &Method) -> Result<Response<Body>, Problem> {
        if method != Method::GET && method != Method::HEAD {
            let detail = "the document can only be read";
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
                .with_header(ALLOW, join(&["GET", "HEAD"])));
        }
        let mut response = Response::new(Body::full(openapi::document(self).to_string()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }

    /// This application as what answers a server's requests.
    pub fn into_handler(self) -> Arc<Handler> {
        let app = Arc::new(self);
        Arc::new(move |request| {
            let app = app.clone();
            Box::pin(async move { app.answer(request).await })
        })
    }

    /// This application as a tower service, to put layers around.
    pub fn into_service(self) -> AppService {
        AppService(Arc::new(self))
    }
}

/// An application as a tower service.
#[derive(Clone, Debug)]
pub struct AppService(Arc<App>);

impl<B> tower_service::Service<Request<B>> for AppService
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let app = self.0.clone();
        Box::pin(async move { Ok(app.answer(request).await) })
    }
}

type Fit = (Vec<(String, String)>, Option<String>);

/// The parameters of a path that a route fits, and the item's id when it names one.
fn fit(route: &Route, segments: &[String]) -> Option<Fit> {
    let (start, rest) = segments.split_at_checked(route.pattern.len())?;
    let mut parameters = Vec::new();
    for (segment, text) in route.pattern.iter().zip(start) {
        match segment {
            Segment::Literal(literal) if literal == text => {}
            Segment::Parameter(name) if !text.is_empty() => {
                parameters.push((name.clone(), text.clone()));
            }
            _ => return None,
        }
    }
    match rest {
        [] => Some((parameters, None)),
        [id] if !id.is_empty() => Some((parameters, Some(id.clone()))),
        _ => None,
    }
}

/// 308 to the path without its final slash.
fn moved(path: &str, query: Option<&str>) -> Result<Response<Body>, Problem> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("{path}{query}"))
        .map_err(|_| Problem::not_found("nothing is served here"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Serves what answers requests on an address until the process is told to stop, then lets requests
/// in progress end.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn run(address: &str, handler: Arc<Handler>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let (stopping, stop) = tokio::sync::watch::channel(false);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let service = Service::new(Host::real(), CONNECTIONS, handler);
    let serving = tokio::spawn(crate::serve::serve(listener, service, stop, DRAIN));
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    stopping.send_replace(true);
    serving.await.map_err(std::io::Error::other)
}
