//! The body of a request. What its handler left unread is taken in before the answer goes out, up
//! to a bound: an answer that overtakes the body costs the connection, at the client and at every
//! proxy between. It has to come at a pace.

use crate::pace::{BodyPace, Pace};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue};
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Most bytes of a body that are taken in for the sake of the connection alone, and how long they
/// may take.
const UNREAD_BYTES_MAX: u64 = 64 << 10;
const UNREAD_TIMEOUT: Duration = Duration::from_secs(2);

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    /// There until it is dropped.
    body: Option<Incoming>,
    /// Whether anything asked for its bytes: that sends the 100 that its sender may wait for.
    asked: bool,
    pace: Pace,
    left: Option<oneshot::Sender<Left>>,
}

#[derive(Debug)]
struct Left {
    body: Incoming,
    asked: bool,
}

/// What a handler leaves of a body.
pub(crate) struct Unread {
    /// None of a request without a body.
    left: Option<oneshot::Receiver<Left>>,
    expects: bool,
}

impl RequestBody {
    /// The request for its handler, and what the handler will have left of its body.
    pub(crate) fn of(request: Request<Incoming>, pace: BodyPace) -> (Request<Self>, Unread) {
        let first = request.version() < Version::HTTP_2;
        let expects = first && request.headers().contains_key(EXPECT);
        let (sender, receiver) = match first && !request.body().is_end_stream() {
            true => {
                let (sender, receiver) = oneshot::channel();
                (Some(sender), Some(receiver))
            }
            false => (None, None),
        };
        let request = request.map(|body| RequestBody {
            body: Some(body),
            asked: false,
            pace: Pace::new(pace),
            left: sender,
        });
        let unread = Unread {
            left: receiver,
            expects,
        };
        (request, unread)
    }

    /// Whether no bytes come, or no more.
    pub fn is_empty(&self) -> bool {
        self.is_end_stream()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(left), Some(body)) = (self.left.take(), self.body.take()) {
            let asked = self.asked;
            // Nobody waits for it when the connection is gone.
            let _gone = left.send(Left { body, asked });
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let own = &mut *self;
        own.asked = true;
        let Some(body) = &mut own.body else {
            return Poll::Ready(None);
        };
        match Pin::new(body).poll_frame(context) {
            Poll::Pending => match own.pace.waits(context) {
                Ok(()) => Poll::Pending,
                Err(slow) => Poll::Ready(Some(Err(slow.into()))),
            },
            Poll::Ready(next) => {
                let data = next
                    .as_ref()
                    .and_then(|next| next.as_ref().ok()?.data_ref());
                own.pace.came(data.map_or(0, Bytes::len));
                Poll::Ready(next.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Unread {
    /// Takes in what is left of the body, when it is small and being sent; else the answer says
    /// that the connection ends with it. So does one that no 100 went before to who waits for that:
    /// some clients take the next answer on the connection for a part of it.
    pub(crate) async fn settle<B>(self, response: &mut Response<B>) {
        let Some(mut left) = self.left else {
            if self.expects {
                close(response.headers_mut());
            }
            return;
        };
        // A body that the answer itself still reads is not left.
        let Ok(left) = left.try_recv() else {
            return;
        };
        let waits = self.expects && !left.asked;
        if waits || !taken_in(left.body).await {
            close(response.headers_mut());
        }
    }
}

fn close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Whether the end of the body came.
async fn taken_in(mut body: Incoming) -> bool {
    if body.size_hint().lower() > UNREAD_BYTES_MAX {
        return false;
    }
    let end = async {
        let mut taken = 0;
        while taken <= UNREAD_BYTES_MAX {
            let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            match next.await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => taken += frame.data_ref().map_or(0, |data| data.len() as u64),
            }
        }
        false
    };
    tokio::time::timeout(UNREAD_TIMEOUT, end)
        .await
        .unwrap_or(false)
}
