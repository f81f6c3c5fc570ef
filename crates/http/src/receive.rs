//! Received bodies: a stream of pieces, the trailers after it, or the whole up to a limit.

use crate::pace::TooSlow;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::HeaderMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use trestle_core::{Error, ErrorKind, Result};

/// How long a client may send nothing in the middle of a body, empty pieces included.
const IDLE: Duration = Duration::from_secs(30);

/// The trailers of a body that is being received: there once its stream has ended.
#[derive(Clone, Debug, Default)]
pub struct Trailers(Arc<OnceLock<HeaderMap>>);

impl Trailers {
    /// The trailers; none before the stream's end, or when the client sent none.
    pub fn get(&self) -> Option<&HeaderMap> {
        self.0.get()
    }
}

/// The pieces of a received body. A transfer that breaks off is `IncompleteBody`, one that stands
/// still for 30 s, or comes more slowly than the server's [pace](crate::BodyPace), `TooSlow`. Trailers are dropped: [`receive`] keeps them.
pub fn incoming<B>(body: B) -> impl Stream<Item = Result<Bytes>> + Send + Unpin + use<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    receive(body).0
}

/// The pieces of a received body as [`incoming`] gives them, and its trailers.
pub fn receive<B>(
    body: B,
) -> (
    impl Stream<Item = Result<Bytes>> + Send + Unpin + use<B>,
    Trailers,
)
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let trailers = Trailers::default();
    let kept = trailers.clone();
    let pieces = futures::stream::unfold(Some((body, kept)), |state| async move {
        let (mut body, kept) = state?;
        let silent = tokio::time::Instant::now() + IDLE;
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            return match tokio::time::timeout_at(silent, frame).await {
                Err(_) => {
                    let message = "the body stood still for 30 seconds";
                    Some((Err(Error::new(ErrorKind::TooSlow, message)), None))
                }
                Ok(None) => None,
                Ok(Some(Err(error))) => Some((Err(failed(error.into())), None)),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Some((Ok(data), Some((body, kept)))),
                    Err(frame) => {
                        if let Ok(found) = frame.into_trailers() {
                            // There is one section of trailers, so nothing was set before.
                            let _first = kept.0.set(found);
                        }
                        continue;
                    }
                },
            };
        }
    });
    (Box::pin(pieces.fuse()), trailers)
}

/// What a body's own error means.
fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast_ref::<TooSlow>() {
        Some(slow) => Error::new(ErrorKind::TooSlow, slow.to_string()),
        None => Error::new(ErrorKind::IncompleteBody, "the body broke off").with_source(error),
    }
}

/// A whole body of at most `bytes_max` bytes.
///
/// # Errors
/// `TooLarge` when there is more; what the stream says otherwise.
pub async fn read_whole(
    mut body: impl Stream<Item = Result<Bytes>> + Unpin,
    bytes_max: usize,
) -> Result<Bytes> {
    let Some(first) = body.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    let too_large = || {
        let message = format!("the body is larger than {bytes_max} bytes");
        Error::new(ErrorKind::TooLarge, message)
    };
    if first.len() > bytes_max {
        return Err(too_large());
    }
    let mut next = body.next().await.transpose()?;
    if next.is_none() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(piece) = next {
        if whole.len() + piece.len() > bytes_max {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
        next = body.next().await.transpose()?;
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_whole_body_is_bounded() {
        let body = |texts: &'static [&'static str]| {
            futures::stream::iter(
                texts
                    .iter()
                    .map(|text| Ok(Bytes::from_static(text.as_bytes()))),
            )
        };
        assert_eq!(read_whole(body(&[]), 0).await.unwrap(), "");
        assert_eq!(read_whole(body(&["ab"]), 2).await.unwrap(), "ab");
        assert_eq!(read_whole(body(&["ab", "c"]), 3).await.unwrap(), "abc");
        for (texts, max) in [(&["ab"][..], 1), (&["ab", "c"][..], 2)] {
            let refused = read_whole(body(texts), max).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TooLarge);
        }
    }
}
