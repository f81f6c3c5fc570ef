//! Which dialect a request belongs to: a closed table over the first segment of the path.
//!
//! Nothing is decided here but that. The segments are those that no bucket can be named
//! (`trestle_core::RESERVED_BUCKET_NAMES`), so a request never means two things.

use crate::figures::Figures;
use crate::health;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use trestle_admin::Admin;
use trestle_cdmi::{Cdmi, Witnessed, WitnessedPlace};
use trestle_core::{AccountId, RESERVED_BUCKET_NAMES};
use trestle_http::{
    Body, Client, Described, Handler, Label, OpenApi, Operation, Problem, RequestBody,
    check_expectations, decode,
};
use trestle_rest::Rest;
use trestle_s3::S3;
use trestle_store::Store;
use trestle_swift::Swift;

/// Every dialect that this server speaks.
pub(crate) struct Dialects {
    pub(crate) rest: Rest,
    pub(crate) admin: Admin,
    pub(crate) s3: S3,
    pub(crate) cdmi: Cdmi,
    pub(crate) swift: Arc<Swift>,
    pub(crate) store: Arc<Store>,
    pub(crate) figures: Figures,
    /// The OpenAPI document.
    pub(crate) openapi: Bytes,
}

/// What the server answers itself.
fn own() -> Vec<Described> {
    let page = |path, id, summary, problems| Described {
        path,
        parameters: &[],
        operations: vec![Operation {
            gives: &[("text/plain", None)],
            successes: &[200],
            problems,
            ..Operation::new("GET", id, summary)
        }],
    };
    vec![
        page("/healthz", "isAlive", "Whether the server answers", &[]),
        page("/readyz", "isReady", "Whether the store takes writes", &[]),
        page("/metrics", "readMetrics", "Figures for Prometheus", &[]),
    ]
}

/// What the OpenAPI document says: every route that is described.
pub(crate) fn openapi() -> Bytes {
    let document = trestle_rest::describe(OpenApi::default());
    let document = trestle_admin::describe(document).with(own(), []);
    let document = document.document("Trestle REST API", env!("CARGO_PKG_VERSION"));
    document.to_string().into()
}

impl Dialects {
    /// Answers each request by its dialect.
    pub(crate) fn handler(self: Arc<Self>) -> Arc<Handler> {
        Arc::new(
            move |request: Request<RequestBody>| -> BoxFuture<'static, Response<Body>> {
                let dialects = self.clone();
                Box::pin(async move { dialects.answer(request).await })
            },
        )
    }

    fn page(&self, request: &Request<RequestBody>) -> Option<Response<Body>> {
        let path = request.uri().path();
        trestle_rest::page(request.method(), path, request.headers(), &self.openapi)
    }

    /// Whether this is a request to S3, which passes over expectations that it does not know.
    fn is_s3(&self, request: &Request<RequestBody>) -> bool {
        let client = request.extensions().get::<Client>();
        if client.is_some_and(|client| self.swift.owns_host(&client.authority)) {
            return false;
        }
        let path = request.uri().path();
        let segment = path.split('/').nth(1).unwrap_or_default();
        client.is_some_and(|client| self.s3.names_bucket(client))
            || !path.starts_with("//v1/") && !RESERVED_BUCKET_NAMES.contains(&segment)
    }

    /// Answers, and has CDMI's queues told what requests of other dialects do.
    async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        if self.cdmi.is_watched() {
            let (method, witnessed) = (request.method().clone(), self.witnessed(&request));
            let answer = Box::pin(self.answered(request));
            return self.cdmi.witness(method, witnessed, answer).await;
        }
        self.answered(request).await
    }

    /// The object or bucket that a request of another dialect than CDMI names in its path, or by its
    /// host and its path.
    fn witnessed(&self, request: &Request<RequestBody>) -> Option<Witnessed> {
        let client = request.extensions().get::<Client>();
        if client.is_some_and(|client| self.swift.owns_host(&client.authority)) {
            return None;
        }
        if let Some(bucket) = client.and_then(|client| self.s3.bucket_of_host(client)) {
            let key = request.uri().path().strip_prefix('/')?;
            let other = renamed(request);
            return witness(request, place((None, bucket), key)?, other);
        }
        let path = request.uri().path().strip_prefix('/')?;
        let (first, below) = path.split_once('/').unwrap_or((path, ""));
        let (account, named, other) = match first {
            "rest" => {
                let (account, named) = scoped(below)?;
                (account, named, rest_destination(request))
            }
            "v1" | "v1.0" => {
                let (name, named) = below.split_once('/')?;
                let account = self.swift.account(&decode(name).ok()?)?;
                let other = self.swift_destination(request, &account);
                (Some(account), named, other)
            }
            first if RESERVED_BUCKET_NAMES.contains(&first) => return None,
            _ => (None, path, renamed(request)),
        };
        witness(request, placed(account, named)?, other)
    }

    /// Where a COPY of Swift leads.
    fn swift_destination(
        &self,
        request: &Request<RequestBody>,
        own: &AccountId,
    ) -> Option<WitnessedPlace> {
        if request.method() != "COPY" {
            return None;
        }
        let account = match header(request, "destination-account") {
            Some(name) => self.swift.account(&decode(name).ok()?)?,
            None => own.clone(),
        };
        let destination = header(request, "destination")?;
        let destination = destination.split('?').next().unwrap_or_default();
        placed(Some(account), destination.trim_start_matches('/'))
    }

    async fn answered(&self, request: Request<RequestBody>) -> Response<Body> {
        if !self.is_s3(&request)
            && let Err(problem) = check_expectations(request.headers())
        {
            return problem.into_response();
        }
        // On a host that names a bucket every path is a key.
        let client = request.extensions().get::<Client>();
        if client.is_some_and(|client| self.swift.owns_host(&client.authority)) {
            return labelled("swift", self.swift.answer(request).await);
        }
        if client.is_some_and(|client| self.s3.names_bucket(client)) {
            return labelled("s3", self.s3.answer(request).await);
        }
        let path = request.uri().path();
        if path == "*" && request.method() == Method::OPTIONS {
            return whole_server();
        }
        // No bucket has an empty name: what is meant is another dialect's, and malformed.
        if path.starts_with("//v1/") {
            return labelled("swift", self.swift.answer(request).await);
        }
        let whole = path.matches('/').count() == 1;
        match path.split('/').nth(1) {
            Some("rest") => labelled("rest", self.rest.answer(request).await),
            Some("cdmi") => labelled("cdmi", self.cdmi.answer(request).await),
            Some("v1" | "v1.0" | "auth" | "info" | "healthcheck" | "crossdomain.xml") => {
                labelled("swift", self.swift.answer(request).await)
            }
            Some("healthz" | "readyz") if whole => {
                health::answer(request.method(), path == "/readyz", &self.store)
            }
            Some("metrics") if whole => {
                self.figures
                    .answer(request.method(), request.headers(), request.extensions())
                    .await
            }
            Some("-") if Admin::serves(path) => labelled("admin", self.admin.answer(request).await),
            Some("-") if Rest::serves(path) => labelled("rest", self.rest.answer(request).await),
            Some("-") => match self.page(&request) {
                Some(page) => labelled("pages", page),
                None => Problem::not_found("nothing is served here").into_response(),
            },
            // What can be no bucket is asked for with Swift's token: it says what is wrong.
            Some(segment) if segment.contains('%') && asks_swift(&request) => {
                labelled("swift", self.swift.answer(request).await)
            }
            Some(segment) if RESERVED_BUCKET_NAMES.contains(&segment) => {
                Problem::new(StatusCode::NOT_FOUND, "nothing is served here").into_response()
            }
            _ => labelled("s3", self.s3.answer(request).await),
        }
    }
}

/// `OPTIONS *` asks about no resource (RFC 9110 §9.3.7): the answer is that there is one.
fn whole_server() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// What queues are told of a request that names these.
fn witness(
    request: &Request<RequestBody>,
    place: WitnessedPlace,
    other: Option<WitnessedPlace>,
) -> Option<Witnessed> {
    let query = request.uri().query().unwrap_or_default();
    let sources = ["x-copy-from", "x-amz-copy-source"];
    Some(Witnessed {
        method: request.method().clone(),
        of_value: !place.key.is_empty() && of_value(query),
        copies: request.method() == "COPY"
            || sources
                .iter()
                .any(|name| request.headers().contains_key(*name)),
        place,
        other,
    })
}

/// The place at a key that is escaped.
fn place((account, bucket): (Option<AccountId>, String), key: &str) -> Option<WitnessedPlace> {
    Some(WitnessedPlace {
        account,
        bucket,
        key: decode(key).ok()?,
    })
}

/// The place at an escaped path of a bucket and a key.
fn placed(account: Option<AccountId>, path: &str) -> Option<WitnessedPlace> {
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let bucket = decode(bucket).ok().filter(|bucket| !bucket.is_empty())?;
    place((account, bucket), key)
}

fn header<'r>(request: &'r Request<RequestBody>, name: &str) -> Option<&'r str> {
    let value = request.headers().get(name)?;
    value.to_str().ok().map(str::trim)
}

/// Where a COPY or a MOVE of REST leads.
fn rest_destination(request: &Request<RequestBody>) -> Option<WitnessedPlace> {
    if !matches!(request.method().as_str(), "COPY" | "MOVE") {
        return None;
    }
    let destination: http::Uri = header(request, "destination")?.parse().ok()?;
    let (account, named) = scoped(destination.path().strip_prefix("/rest/")?)?;
    placed(account, named)
}

/// A path of REST below its root: `~account/` says in whose names the bucket is named.
fn scoped(below: &str) -> Option<(Option<AccountId>, &str)> {
    let Some(rest) = below.strip_prefix('~') else {
        return Some((None, below));
    };
    let (account, named) = rest.split_once('/')?;
    let account = AccountId::parse(decode(account).ok()?).ok()?;
    Some((Some(account), named))
}

/// What a PUT of S3 renames.
fn renamed(request: &Request<RequestBody>) -> Option<WitnessedPlace> {
    let source = header(request, "x-amz-rename-source")?;
    placed(None, source.trim_start_matches('/'))
}

/// Whether it presents a token as only Swift's clients do.
fn asks_swift(request: &Request<RequestBody>) -> bool {
    request.headers().contains_key("x-auth-token")
}

/// Whether a query leaves a read one of the object itself: signatures, versions and headers of the
/// answer do.
fn of_value(query: &str) -> bool {
    let names = query.split('&').filter(|pair| !pair.is_empty());
    names
        .map(|pair| pair.split('=').next().unwrap_or_default())
        .all(|name| {
            let name = name.to_ascii_lowercase();
            name.starts_with("x-amz-") || name.starts_with("response-") || {
                [
                    "versionid",
                    "version-id",
                    "temp_url_sig",
                    "temp_url_expires",
                    "x-id",
                ]
                .contains(&name.as_str())
            }
        })
}

/// Counts an answer among those of its dialect.
fn labelled(dialect: &'static str, mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(Label(dialect));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_in_whose_names_it_names_a_bucket() {
        let place = |path: &str| {
            let (account, named) = scoped(path)?;
            let place = placed(account, named)?;
            let account = place.account.map(|account| account.as_str().to_owned());
            Some((account, place.bucket, place.key))
        };
        let found = |account: Option<&str>, bucket: &str, key: &str| {
            Some((
                account.map(str::to_owned),
                bucket.to_owned(),
                key.to_owned(),
            ))
        };
        assert_eq!(place("b/k"), found(None, "b", "k"));
        assert_eq!(place("~a%20b/c/d/e"), found(Some("a b"), "c", "d/e"));
        assert_eq!(place("~a/c"), found(Some("a"), "c", ""));
        assert_eq!(place("~a"), None);
    }
}
