//! Which dialect a request belongs to: a closed table over the first segment of the path.
//!
//! Nothing is decided here but that. The segments are those that no bucket can be named
//! (`trestle_core::RESERVED_BUCKET_NAMES`), so a request never means two things.

use crate::health;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use trestle_http::{Body, Handler, Problem};
use trestle_rest::Rest;
use trestle_store::Store;

/// Every dialect that this server speaks.
pub(crate) struct Dialects {
    pub(crate) rest: Rest,
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
        let path = request.uri().path();
        match path.split('/').nth(1) {
            Some("rest") => self.rest.answer(request).await,
            Some("healthz" | "readyz") if path.matches('/').count() == 1 => {
                health::answer(request.method(), path == "/readyz", &self.store)
            }
            _ => Problem::new(StatusCode::NOT_FOUND, "nothing is served here").into_response(),
        }
    }
}
