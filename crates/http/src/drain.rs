//! How fast a client takes what is sent to it. One that leaves bytes waiting for a whole window, and
//! takes fewer than a few of them meanwhile, is given up: it would hold its place, and what its
//! answer reads from, for as long as it likes.
//!
//! A window runs only while something waits; whoever has taken everything is never slow.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Bytes that a client takes at least, in a window during which there are always more.
pub(crate) const TAKEN_MIN: u64 = 128 << 10;

/// The pace of one connection.
pub(crate) struct Drain {
    window: Duration,
    ends: Option<Pin<Box<Sleep>>>,
    taken: u64,
}

impl Drain {
    pub(crate) fn new(window: Duration) -> Self {
        Drain {
            window,
            ends: None,
            taken: 0,
        }
    }

    /// Passes the outcome of a write on; one that waits too long becomes an error.
    pub(crate) fn wrote(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(bytes)) => self.taken += *bytes as u64,
            Poll::Ready(Err(_)) => {}
            Poll::Pending if self.is_over(context) => {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client takes its answer too slowly",
                )));
            }
            Poll::Pending => {}
        }
        outcome
    }

    /// Everything was taken: nothing waits.
    pub(crate) fn flushed(&mut self) {
        self.ends = None;
    }

    /// Something waits: whether too little was taken since a window ago.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            let (window, taken) = (self.window, &mut self.taken);
            let ends = self.ends.get_or_insert_with(|| {
                *taken = 0;
                Box::pin(tokio::time::sleep(window))
            });
            if ends.as_mut().poll(context).is_pending() {
                return false;
            }
            if *taken < TAKEN_MIN {
                return true;
            }
            *taken = 0;
            ends.as_mut().reset(Instant::now() + window);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const WINDOW: Duration = Duration::from_millis(20);

    fn took(drain: &mut Drain, bytes: u64) {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let outcome = Poll::Ready(Ok(bytes as usize));
        assert!(drain.wrote(outcome, &mut context).is_ready());
    }

    async fn waits(drain: &mut Drain) -> io::ErrorKind {
        let outcome = poll_fn(|context| drain.wrote(Poll::Pending, context)).await;
        outcome.unwrap_err().kind()
    }

    #[tokio::test]
    async fn who_takes_too_little_is_given_up_and_who_takes_enough_is_not() {
        let mut drain = Drain::new(WINDOW);
        // Before anything waits, nothing counts.
        took(&mut drain, 10 * TAKEN_MIN);
        assert_eq!(waits(&mut drain).await, io::ErrorKind::TimedOut);

        let mut drain = Drain::new(WINDOW);
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(drain.wrote(Poll::Pending, &mut context).is_pending());
        for _ in 0..5 {
            took(&mut drain, TAKEN_MIN);
            tokio::time::sleep(2 * WINDOW).await;
            assert!(drain.wrote(Poll::Pending, &mut context).is_pending());
        }
        drain.flushed();
        took(&mut drain, 1);
        assert_eq!(waits(&mut drain).await, io::ErrorKind::TimedOut);
    }
}
