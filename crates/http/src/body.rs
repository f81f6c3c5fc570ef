//! Bodies to send: with their exact length, or chunked when nobody knows it yet.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use trestle_core::{Error, ErrorKind, Result};

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
    /// So much as comes, then trailers when there are any; an error in it cuts the connection.
    Chunked(Chunked),
}

/// A body of unknown length.
pub struct Chunked {
    frames: BoxStream<'static, Result<Frame<Bytes>>>,
    ended: bool,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl std::fmt::Debug for Chunked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunked")
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

    /// A stream to its end, whose length is not known.
    pub fn chunked(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        let frames = stream.map(|piece| piece.map(Frame::data));
        Body::Chunked(Chunked {
            frames: Box::pin(frames),
            ended: false,
        })
    }

    /// A stream to its end, then the trailers that are asked for when it has ended. Over HTTP/1.1
    /// they are sent to a client that said `TE: trailers`, and only those that the answer's
    /// `Trailer` header names.
    pub fn with_trailers(
        stream: impl Stream<Item = Result<Bytes>> + Send + 'static,
        trailers: impl FnOnce() -> HeaderMap + Send + 'static,
    ) -> Self {
        let last = futures::stream::once(async move { Ok(Frame::trailers(trailers())) });
        let frames = stream.map(|piece| piece.map(Frame::data)).chain(last);
        Body::Chunked(Chunked {
            frames: Box::pin(frames),
            ended: false,
        })
    }

    /// A document that takes long to make: `opening` at once, a blank after each `pause`, and then
    /// the document. The work goes on when the client goes away.
    pub fn kept_alive(
        opening: Bytes,
        pause: Duration,
        document: impl Future<Output = Bytes> + Send + 'static,
    ) -> Self {
        let working = tokio::spawn(document);
        let opening = Some(opening).filter(|opening| !opening.is_empty());
        let opening = futures::stream::iter(opening.map(Ok));
        let rest = futures::stream::unfold(Some(working), move |working| async move {
            let mut working = working?;
            match tokio::time::timeout(pause, &mut working).await {
                Err(_) => Some((Ok(Bytes::from_static(b" ")), Some(working))),
                Ok(Ok(document)) => Some((Ok(document), None)),
                Ok(Err(_panic)) => {
                    let failed = Error::new(ErrorKind::Internal, "the server failed");
                    Some((Err(failed), None))
                }
            }
        });
        Body::chunked(opening.chain(rest))
    }

    /// The number of bytes still to come, when it is known.
    pub fn remaining(&self) -> Option<u64> {
        match self {
            Body::Full(bytes) => Some(bytes.len() as u64),
            Body::Stream { remaining, .. } => Some(*remaining),
            Body::Chunked(Chunked { ended, .. }) => ended.then_some(0),
        }
    }
}

/// The next piece of a stream that was announced with a length.
fn counted(remaining: &mut u64, piece: Option<Result<Bytes>>) -> Option<Result<Frame<Bytes>>> {
    let wrong = |message| Some(Err(Error::new(ErrorKind::Internal, message)));
    match piece {
        Some(Ok(bytes)) => match remaining.checked_sub(bytes.len() as u64) {
            Some(left) => {
                *remaining = left;
                Some(Ok(Frame::data(bytes)))
            }
            None => wrong("a body is longer than was announced"),
        },
        None if *remaining > 0 => wrong("a body is shorter than was announced"),
        Some(Err(error)) => Some(Err(error)),
        None => None,
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = match &mut *self {
            Body::Full(bytes) if bytes.is_empty() => None,
            Body::Full(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Body::Stream { remaining, stream } => {
                let piece = std::task::ready!(stream.as_mut().poll_next(context));
                counted(remaining, piece)
            }
            Body::Chunked(Chunked { ended: true, .. }) => None,
            Body::Chunked(chunked) => {
                let frame = std::task::ready!(chunked.frames.as_mut().poll_next(context));
                chunked.ended = frame.is_none();
                frame
            }
        };
        if let Some(Err(error)) = &frame {
            tracing::error!(%error, "a body broke off");
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining() {
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;

    async fn collect(mut body: Body) -> (String, Option<HeaderMap>) {
        let (mut text, mut trailers) = (String::new(), None);
        while let Some(frame) =
            std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            match frame.unwrap().into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        assert!(body.is_end_stream());
        (text, trailers)
    }

    fn pieces(texts: &'static [&'static str]) -> impl Stream<Item = Result<Bytes>> + Send {
        futures::stream::iter(
            texts
                .iter()
                .map(|text| Ok(Bytes::from_static(text.as_bytes()))),
        )
    }

    #[tokio::test]
    async fn chunked_bodies_end_with_their_trailers() {
        let body = Body::chunked(pieces(&["a", "bc"]));
        assert_eq!(body.size_hint().exact(), None);
        assert!(!body.is_end_stream());
        assert_eq!(collect(body).await, ("abc".to_owned(), None));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        let given = trailers.clone();
        let body = Body::with_trailers(pieces(&["a"]), move || given);
        assert_eq!(collect(body).await, ("a".to_owned(), Some(trailers)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_document_is_kept_alive_with_blanks() {
        let document = async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            Bytes::from_static(b"<a/>")
        };
        let body = Body::kept_alive(Bytes::from_static(b"<?>"), Duration::from_secs(1), document);
        assert_eq!(collect(body).await.0, "<?>  <a/>");
    }
}
