//! The line that each request leaves in the log, written when the answer's body has ended.

use crate::body::Body;
use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use trestle_core::Result;
use trestle_host::Host;

/// What is known of a request before its answer.
pub(crate) struct Line {
    pub(crate) host: Host,
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) started: Duration,
}

/// A body that logs its request when the connection drops it: at its end, or when it broke off.
pub(crate) struct Logged {
    body: Body,
    line: Line,
    status: u16,
    sent: u64,
}

impl Logged {
    /// The answer with its body logged.
    pub(crate) fn response(response: Response<Body>, line: Line) -> Response<Self> {
        let status = response.status().as_u16();
        response.map(|body| Logged {
            body,
            line,
            status,
            sent: 0,
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
            started,
        } = &self.line;
        let bytes = self.sent;
        let milliseconds = (host.clock.monotonic() - *started).as_secs_f64() * 1e3;
        let status = self.status;
        // The body of an answer to HEAD is never sent.
        if self.body.is_end_stream() || method == Method::HEAD {
            tracing::info!(request = %id, %method, path, status, bytes, milliseconds, "request");
        } else {
            let left = self.body.remaining();
            tracing::warn!(
                request = %id, %method, path, status, bytes, left, milliseconds,
                "the answer broke off"
            );
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
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
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
