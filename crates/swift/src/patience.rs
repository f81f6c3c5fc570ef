//! Answers that take long: when the work is not done soon, the head of the answer goes out and
//! blanks follow, so that nobody on the way gives the connection up. What became of it is told in
//! the body, whose form allows blanks before it.

use crate::call::text;
use crate::fault::Fault;
use bytes::Bytes;
use futures::future::{self, BoxFuture, Either};
use futures::{Stream, StreamExt, stream};
use http::Response;
use std::time::Duration;
use trestle_http::Body;

/// After so much silence there is a blank.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What work comes to.
pub(crate) struct Done {
    /// The report.
    pub(crate) report: String,
    /// What is answered instead, when the head of the answer has not gone out yet.
    pub(crate) instead: Option<Fault>,
    /// Whether its client waits for blanks, and gets one though it was quick.
    pub(crate) expected: bool,
}

impl From<String> for Done {
    fn from(report: String) -> Self {
        Done {
            report,
            instead: None,
            expected: false,
        }
    }
}

/// Answers with what the work comes to.
pub(crate) async fn answer(
    status: u16,
    kind: &str,
    work: BoxFuture<'static, Done>,
) -> Response<Body> {
    let work = match future::select(work, pause()).await {
        Either::Left((done, _)) => {
            return match done.instead {
                Some(fault) => fault.into_response(),
                None if done.expected => {
                    let said = format!(" \r\n\r\n{}", done.report);
                    streamed(status, kind, stream::iter([said]))
                }
                None => text(status, kind, done.report),
            };
        }
        Either::Right(((), work)) => work,
    };
    let blanks = stream::unfold(Some(work), |work| async {
        match future::select(work?, pause()).await {
            Either::Left((done, _)) => Some((format!("\r\n\r\n{}", done.report), None)),
            Either::Right(((), work)) => Some((" ".to_owned(), Some(work))),
        }
    });
    // The first blank is due already.
    let pieces = stream::iter([" ".to_owned()]).chain(blanks);
    streamed(status, kind, pieces)
}

fn streamed(
    status: u16,
    kind: &str,
    pieces: impl Stream<Item = String> + Send + 'static,
) -> Response<Body> {
    let mut response = text(status, kind, "");
    *response.body_mut() = Body::chunked(pieces.map(|piece| Ok(Bytes::from(piece))));
    response
}

fn pause() -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(SILENCE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use std::pin::Pin;
    use std::task::Context;

    async fn body(seconds: u64, instead: Option<Fault>) -> (u16, String) {
        let work = async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let report = "{}".to_owned();
            let expected = false;
            Done {
                report,
                instead,
                expected,
            }
        };
        let response = answer(202, "application/json", Box::pin(work)).await;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut said = Vec::new();
        loop {
            let frame = |context: &mut Context<'_>| Pin::new(&mut body).poll_frame(context);
            match std::future::poll_fn(frame).await {
                Some(frame) => said.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => break,
            }
        }
        (status, String::from_utf8(said).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn blanks_come_only_before_what_takes_long() {
        assert_eq!(body(9, None).await, (202, "{}".into()));
        assert_eq!(
            body(9, Some(Fault::text(400, "no"))).await,
            (400, "no".into())
        );
        assert_eq!(body(35, None).await, (202, "   \r\n\r\n{}".into()));
        let late = body(11, Some(Fault::text(400, "no"))).await;
        assert_eq!(late, (202, " \r\n\r\n{}".into()));
    }
}
