//! How fast a client sends a body. One that sends less than a few bytes a second would hold its
//! place, and what its request has begun, for as long as it likes.
//!
//! Time counts only while the server waits for the client: not what the server itself takes for what
//! came already.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How fast a body has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPace {
    /// Bytes a second, at least; 0 asks for none.
    pub rate_min: u32,
    /// For how long a client is waited for before that counts, and between two times that it is
    /// looked at.
    pub grace: Duration,
}

impl Default for BodyPace {
    fn default() -> Self {
        BodyPace {
            rate_min: 500,
            grace: Duration::from_secs(30),
        }
    }
}

impl BodyPace {
    /// Bytes that come at least while a client is waited for as long as `grace`.
    fn bytes_min(self) -> u64 {
        let bytes = u128::from(self.rate_min) * self.grace.as_millis() / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// A body that came more slowly than it has to.
#[derive(Debug)]
pub(crate) struct TooSlow {
    rate_min: u32,
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.rate_min;
        write!(f, "the body came with fewer than {rate} bytes a second")
    }
}

impl std::error::Error for TooSlow {}

/// The pace of one body.
#[derive(Debug)]
pub(crate) struct Pace {
    asked: BodyPace,
    /// What came since it was last looked at, and for how long that was waited for.
    came: u64,
    waited: Duration,
    /// Since when the client is waited for now.
    since: Option<Instant>,
    ends: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(asked: BodyPace) -> Self {
        Pace {
            asked,
            came: 0,
            waited: Duration::ZERO,
            since: None,
            ends: None,
        }
    }

    /// Something came: nothing is waited for.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.came = self.came.saturating_add(bytes as u64);
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Nothing came: whether too little has for too long. Wakes whoever asks when it will be so.
    pub(crate) fn waits(&mut self, context: &mut Context<'_>) -> Result<(), TooSlow> {
        let BodyPace { rate_min, grace } = self.asked;
        if rate_min == 0 || grace.is_zero() {
            return Ok(());
        }
        loop {
            let now = Instant::now();
            let since = *self.since.get_or_insert(now);
            let waited = self.waited + (now - since);
            if waited >= grace {
                if self.came < self.asked.bytes_min() {
                    return Err(TooSlow { rate_min });
                }
                (self.came, self.waited, self.since) = (0, Duration::ZERO, Some(now));
                continue;
            }
            let due = now + (grace - waited);
            let ends = self
                .ends
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // One that ends early is set anew then: pieces come much more often than that.
            if ends.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            ends.as_mut().reset(due);
            if ends.as_mut().poll(context).is_pending() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    const PACE: BodyPace = BodyPace {
        rate_min: 100,
        grace: Duration::from_secs(10),
    };

    /// Waits until something comes after `seconds`; an error when the client is given up before.
    async fn waits(pace: &mut Pace, seconds: u64) -> Result<(), TooSlow> {
        let came = tokio::time::sleep(Duration::from_secs(seconds));
        let mut came = std::pin::pin!(came);
        poll_fn(|context| match came.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => match pace.waits(context) {
                Ok(()) => Poll::Pending,
                Err(slow) => Poll::Ready(Err(slow)),
            },
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_little_is_given_up_when_the_grace_is_over() {
        let mut pace = Pace::new(PACE);
        let begun = Instant::now();
        for _ in 0..9 {
            waits(&mut pace, 1).await.unwrap();
            pace.came(110);
        }
        // Just below the rate of ten seconds: 990 bytes.
        let error = waits(&mut pace, 2).await.unwrap_err().to_string();
        assert!(error.contains("fewer than 100 bytes a second"), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_does_not_count_for_ever() {
        let mut pace = Pace::new(PACE);
        pace.came(1 << 30);
        for _ in 0..10 {
            waits(&mut pace, 1).await.unwrap();
            pace.came(1);
        }
        let begun = Instant::now();
        for _ in 0..9 {
            waits(&mut pace, 1).await.unwrap();
            pace.came(1);
        }
        waits(&mut pace, 2).await.unwrap_err();
        assert!(begun.elapsed().as_secs() <= 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_takes_is_not_the_client_s_time() {
        let mut pace = Pace::new(PACE);
        for _ in 0..20 {
            waits(&mut pace, 1).await.unwrap();
            // Ten seconds for a piece, of which the client took one.
            pace.came(100);
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
        let mut never = Pace::new(BodyPace {
            rate_min: 0,
            ..PACE
        });
        waits(&mut never, 1000).await.unwrap();
    }
}
