//! `/metrics`: the figures of this server, for Prometheus. They tell who uses it how, so they need
//! root's credentials unless the configuration makes them public.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Extensions, Method, Response, StatusCode};
use std::sync::Arc;
use trestle_http::{Body, Figure, Metrics, Presented, Problem};
use trestle_rest::Authenticate;
use trestle_store::Store;

/// The figures, and who may see them.
pub(crate) struct Figures {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<Store>,
    /// None when everybody may.
    pub(crate) authenticate: Option<Arc<Authenticate>>,
}

impl Figures {
    pub(crate) async fn answer(
        &self,
        method: &Method,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Response<Body> {
        if let Some(answered) = crate::health::only_read(method) {
            return answered;
        }
        if let Some(refused) = self.refused(headers, extensions).await {
            return refused.into_response();
        }
        let writable = Figure {
            name: "store_writable",
            help: "Whether the store takes writes",
            counter: false,
            value: f64::from(u8::from(self.store.writable().is_ok())),
        };
        let mut response = Response::new(Body::full(self.metrics.render(&[writable])));
        let headers = response.headers_mut();
        let form = "text/plain; version=0.0.4; charset=utf-8";
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn refused(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Problem> {
        let authenticate = self.authenticate.as_ref()?;
        let unknown = |detail: &str| Some(Problem::unauthorized(detail));
        let presented = match Presented::of(headers, extensions) {
            Ok(presented) if presented.is_nothing() => return unknown("credentials are needed"),
            Ok(presented) => presented,
            Err(error) => return unknown(error.message()),
        };
        match authenticate(presented).await {
            // A token that is narrowed has no policy that names them.
            Ok(Some(root)) if root.is_root() && root.session_policies.is_empty() => None,
            Ok(Some(_)) => Some(Problem::new(
                StatusCode::FORBIDDEN,
                "the figures are root's",
            )),
            Ok(None) => unknown("the credentials are wrong"),
            Err(error) => Some(error.into()),
        }
    }
}
