//! Bodies: what is received as a stream of checked pieces, what is sent with its exact length.

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use trestle_core::{Error, ErrorKind, Result};

/// How long a client may send nothing in the middle of a body.
const IDLE: Duration = Duration::from_secs(30);

/// A body to send.
pub enum Body {
    /// Bytes at hand.
    Full(Bytes),
    /// Exactly so many bytes from a stream; an error in it cuts the connection.
    Stream {
        /// Bytes still to come.
        remaining: u64,
        /// Where they come from.
        stream: BoxStream<'static, Result<Bytes>>,
    },
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Body::Full(Bytes::new())
    }

    /// Bytes at hand.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Body::Full(bytes.into())
    }

    /// Exactly `length` bytes of a stream.
    pub fn stream(length: u64, stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Body::Stream {
            remaining: length,
            stream: Box::pin(stream),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        match &mut *self {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream { remaining, stream } => match stream.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    let length = bytes.len() as u64;
                    if length > *remaining {
                        let message = "a body is longer than was announced";
                        return Poll::Ready(Some(Err(Error::new(ErrorKind::Internal, message))));
                    }
                    *remaining -= length;
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Poll::Ready(None) if *remaining > 0 => {
                    let message = "a body is shorter than was announced";
                    Poll::Ready(Some(Err(Error::new(ErrorKind::Internal, message))))
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::error!(%error, "a body broke off");
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream { remaining, .. } => *remaining == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Body::Full(bytes) => bytes.len() as u64,
            Body::Stream { remaining, .. } => *remaining,
        })
    }
}

/// The pieces of a received body. A transfer that breaks off, or that stands still for 30 s, is
/// `IncompleteBody`.
pub fn incoming(body: hyper::body::Incoming) -> impl Stream<Item = Result<Bytes>> + Send + Unpin {
    let pieces = futures::stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            let broken = |message: &str| Error::new(ErrorKind::IncompleteBody, message);
            return match tokio::time::timeout(IDLE, frame).await {
                Err(_) => Some((Err(broken("the body stood still for 30 seconds")), None)),
                Ok(None) => None,
                Ok(Some(Err(error))) => {
                    Some((Err(broken("the body broke off").with_source(error)), None))
                }
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Some((Ok(data), Some(body))),
                    // Trailers carry nothing that is understood here.
                    Err(_trailers) => continue,
                },
            };
        }
    });
    Box::pin(pieces)
}
