//! One request, taken apart: what every handler needs of it.

use crate::fault::{Fault, Outcome};
use crate::metadata;
use crate::query::Query;
use crate::receive::Received;
use crate::swift::Swift;
use crate::target::Target;
use crate::tempurl;
use crate::who::Who;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{HeaderMap, Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use trestle_core::{AccountId, Result, Timestamp};
use trestle_http::Body;
use trestle_store::VersionRef;

/// Bytes that come in, and how many the sender said.
pub(crate) struct Input {
    pub(crate) length: Option<u64>,
    pub(crate) stream: BoxStream<'static, Result<Bytes>>,
}

impl Input {
    /// Bytes at hand.
    pub(crate) fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Input {
            length: Some(bytes.len() as u64),
            stream: stream::iter([Ok(bytes)]).boxed(),
        }
    }

    /// All of it, when it is at most so long.
    pub(crate) async fn whole(self, bytes_max: usize) -> Result<Bytes> {
        trestle_http::read_whole(self.stream, bytes_max).await
    }
}

/// Something in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) container: String,
    pub(crate) object: String,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) swift: Arc<Swift>,
    pub(crate) method: String,
    pub(crate) target: Target,
    /// The account that the target names.
    pub(crate) account: AccountId,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) who: Who,
    pub(crate) now: Timestamp,
    pub(crate) remote: Option<IpAddr>,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
    /// Its id in logs.
    pub(crate) request_id: String,
    /// `scheme://host` as the client wrote it.
    pub(crate) origin: String,
    /// The path that the host stands for.
    pub(crate) below: String,
    /// When it came by a temporary URL.
    pub(crate) temp_url: Option<tempurl::Parameters>,
    /// When another cluster sent it.
    pub(crate) received: Option<Received>,
}

impl Call {
    /// The container that the target names.
    pub(crate) fn container_name(&self) -> &str {
        self.target.container.as_deref().unwrap_or_default()
    }

    /// The object that the target names.
    pub(crate) fn place(&self) -> Place {
        Place {
            account: self.account.clone(),
            container: self.container_name().to_owned(),
            object: self.target.object.clone().unwrap_or_default(),
        }
    }

    /// A header's text; none when it is absent.
    pub(crate) fn header(&self, name: &str) -> Outcome<Option<&str>> {
        metadata::text(&self.headers, name)
    }

    /// A header's text, when it says something.
    pub(crate) fn some_header(&self, name: &str) -> Outcome<Option<&str>> {
        Ok(self.header(name)?.filter(|text| !text.is_empty()))
    }

    /// Whether a header says yes.
    pub(crate) fn says(&self, name: &str) -> bool {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(crate::query::is_true)
    }

    /// The current version, also when it has ended and the request asks for it nevertheless.
    pub(crate) fn current(&self) -> VersionRef {
        let kept = !self.swift.store.expiry_delay().is_zero();
        let method = matches!(self.method.as_str(), "GET" | "HEAD" | "POST");
        match kept && method && self.says("x-open-expired") {
            true => VersionRef::Ended,
            false => VersionRef::Current,
        }
    }

    /// Whether it only reads.
    pub(crate) fn reads(&self) -> bool {
        self.method == "GET" || self.method == "HEAD"
    }

    /// The same caller, asking for something else without conditions, metadata and query.
    pub(crate) fn again(
        &self,
        method: &str,
        account: &AccountId,
        container: &str,
        object: &str,
    ) -> Call {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Call {
            method: method.to_owned(),
            target: Target {
                account: self.swift.prefixes.name(account),
                container: some(container),
                object: some(object),
                slash: false,
            },
            account: account.clone(),
            query: Query::default(),
            headers: HeaderMap::new(),
            ..self.clone()
        }
    }
}

/// An empty answer.
pub(crate) fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// An answer with a text.
pub(crate) fn text(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    set(response.headers_mut(), "content-type", kind);
    response
}

/// A successful answer with the page of its status.
pub(crate) fn page(status: u16) -> Response<Body> {
    Fault::new(status).into_response()
}

/// Sets a header; one that cannot be written is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = http::header::HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Some(value)) = (name, metadata::value(value)) {
        headers.insert(name, value);
    }
}
