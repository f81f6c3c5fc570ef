//! Which dialect a request belongs to: a closed table over the first segment of the path.
//!
//! Nothing is decided here but that. The segments are those that no bucket can be named
//! (`trestle_core::RESERVED_BUCKET_NAMES`), so a request never means two things.

use crate::health;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use trestle_cdmi::Cdmi;
use trestle_core::RESERVED_BUCKET_NAMES;
use trestle_http::{Body, Handler, Problem};
use trestle_rest::Rest;
use trestle_s3::S3;
use trestle_store::Store;

/// Every dialect that this server speaks.
pub(crate) struct Dialects {
    pub(crate) rest: Rest,
    pub(crate) s3: S3,
    pub(crate) cdmi: Cdmi,
    pub(crate) store: Arc<Store>,
}

impl Dialects {
    /// Answers each request by its dialect.
    pub(crate) fn handler(self: Arc<Self>) -> Arc<Handler> {
        Arc::new(
            move |request: Request<Incoming>| -> BoxFuture<'static, Response<Body>> {
                let dialects = self.clone();
                Box::pin(async move { dialects.answer(request).await })
            },
        )
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        // On a host that names a bucket every path is a key.
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str());
        let header = || request.headers().get(http::header::HOST)?.to_str().ok();
        if host
            .or_else(header)
            .is_some_and(|host| self.s3.names_bucket(host))
        {
            return self.s3.answer(request).await;
        }
        let path = request.uri().path();
        match path.split('/').nth(1) {
            Some("rest") => self.rest.answer(request).await,
            Some("cdmi") => self.cdmi.answer(request).await,
            Some("healthz" | "readyz") if path.matches('/').count() == 1 => {
                health::answer(request.method(), path == "/readyz", &self.store)
            }
            Some(segment) if RESERVED_BUCKET_NAMES.contains(&segment) => {
                Problem::new(StatusCode::NOT_FOUND, "nothing is served here").into_response()
            }
            _ => self.s3.answer(request).await,
        }
    }
}
