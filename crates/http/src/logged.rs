//! The line that each request leaves in the log, written when the answer's body has ended, and what
//! its end sets free.

use crate::body::Body;
use crate::http2::Traffic;
use crate::metrics::{Ended, Label, Metrics};
use bytes::Bytes;
use http::{Method, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use trestle_core::Result;
use trestle_host::Host;

/// Who asked, as a handler found out: in an answer's extensions, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedUser(pub String);

/// What is known of a request before its answer.
pub(crate) struct Line {
    pub(crate) host: Host,
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) client: IpAddr,
    pub(crate) version: Version,
    pub(crate) started: Duration,
    pub(crate) metrics: Arc<Metrics>,
    /// Of HTTP/2.
    pub(crate) traffic: Option<Arc<Traffic>>,
    /// Its place among the requests in flight; a change that goes on without its client keeps it.
    pub(crate) place: Option<Arc<OwnedSemaphorePermit>>,
    pub(crate) state: State,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody counts it yet.
    New,
    /// It has no answer.
    Working,
    /// It has one.
    Answered,
    /// Its answer says what became of it.
    Told,
}

impl Line {
    /// The request is there.
    pub(crate) fn begin(&mut self) {
        self.state = State::Working;
        self.metrics.began();
        if let Some(traffic) = &self.traffic {
            traffic.began(&self.host);
        }
    }

    /// Its answer begins.
    pub(crate) fn answered(&mut self) {
        self.state = State::Answered;
        if let Some(traffic) = &self.traffic {
            traffic.answered(&self.host);
        }
    }
}

impl Drop for Line {
    /// Its client went away, or took the request back, before there was an answer to log.
    fn drop(&mut self) {
        if !matches!(self.state, State::Working | State::Answered) {
            return;
        }
        let took = self.host.clock.monotonic().saturating_sub(self.started);
        let milliseconds = took.as_secs_f64() * 1e3;
        let (id, client, version) = (&self.id, self.client, self.version);
        let (method, path) = (&self.method, &self.path);
        tracing::warn!(
            request = %id, %client, ?version, %method, path, milliseconds,
            "the client went away before its answer"
        );
        self.metrics.given_up();
        if let Some(traffic) = &self.traffic {
            if self.state == State::Working {
                traffic.answered(&self.host);
            }
            traffic.ended(&self.host);
        }
    }
}

/// A body that logs its request when the connection drops it: at its end, or when it broke off.
pub(crate) struct Logged {
    body: Body,
    line: Line,
    status: StatusCode,
    label: &'static str,
    user: Option<LoggedUser>,
    sent: u64,
    /// Among what its client leaves untaken, over HTTP/2.
    owed: Option<u64>,
}

impl Logged {
    /// The answer with its body logged.
    pub(crate) fn response(mut response: Response<Body>, mut line: Line) -> Response<Self> {
        line.state = State::Told;
        let owed = line
            .traffic
            .as_ref()
            .map(|traffic| traffic.owes(&line.host));
        let status = response.status();
        let extensions = response.extensions_mut();
        let label = extensions.remove::<Label>().map_or("", |label| label.0);
        let user = extensions.remove::<LoggedUser>();
        response.map(|body| Logged {
            body,
            line,
            status,
            label,
            user,
            sent: 0,
            owed,
        })
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let Line {
            host,
            id,
            method,
            path,
            client,
            version,
            started,
            metrics,
            traffic,
            ..
        } = &self.line;
        let bytes = self.sent;
        let took = host.clock.monotonic().saturating_sub(*started);
        let milliseconds = took.as_secs_f64() * 1e3;
        let status = self.status.as_u16();
        let user = self.user.as_ref().map(|user| user.0.as_str());
        // The body of an answer to HEAD is never sent.
        let whole = self.body.is_end_stream() || method == Method::HEAD;
        if whole {
            tracing::info!(
                request = %id, %client, user, ?version, %method, path, status, bytes, milliseconds,
                "request"
            );
        } else {
            let left = self.body.remaining();
            tracing::warn!(
                request = %id, %client, user, ?version, %method, path, status, bytes, left,
                milliseconds, "the answer broke off"
            );
        }
        metrics.ended(&Ended {
            label: self.label,
            method,
            status: self.status,
            sent: bytes,
            took,
            whole,
        });
        if let Some(traffic) = traffic {
            if let Some(owed) = self.owed {
                traffic.took(owed);
            }
            traffic.ended(host);
        }
    }
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = trestle_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        // It is asked for more when there is room for it.
        let owed = self.owed.take();
        if let (Some(traffic), Some(owed)) = (&self.line.traffic, owed) {
            traffic.took(owed);
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
            if let Some(traffic) = &self.line.traffic {
                traffic.moved(&self.line.host);
                let owed = traffic.owes(&self.line.host);
                self.owed = Some(owed);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
