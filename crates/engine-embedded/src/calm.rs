//! Whether a store is written to so little that work in the background delays nobody.
//!
//! What counts is a rate, not an absence: somebody who writes a little now and then must not keep
//! space from being given back. It is judged from one look to the next; between two looks more than
//! the last one allowed ends the calm at once. What the engine moves itself does not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A store that is written to no faster is calm, in bytes of the log a second.
const CALM_BYTES_PER_SECOND: u64 = 64 << 10;
/// What a group takes of the device at least.
const GROUP_BYTES_MIN: u64 = 4096;

/// Bytes that commits have written to the log since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Written(AtomicU64);

impl Written {
    /// Counts a group.
    pub(crate) fn add(&self, bytes: u64) {
        let bytes = bytes.max(GROUP_BYTES_MIN);
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What was found when somebody last looked.
#[derive(Debug)]
pub(crate) struct Calm {
    written: Arc<Written>,
    /// Bytes that had been written by then.
    counted: u64,
    at: Duration,
    /// Bytes that could have been written since the look before.
    allowed: u64,
    calm: bool,
}

impl Calm {
    /// Of a store that was opened `now`, which is not calm before the first look.
    pub(crate) fn new(written: &Arc<Written>, now: Duration) -> Self {
        Calm {
            written: written.clone(),
            counted: written.bytes(),
            at: now,
            allowed: 0,
            calm: false,
        }
    }

    /// Judges the time since the last look, and says what came out.
    pub(crate) fn look(&mut self, now: Duration) -> bool {
        let bytes = self.written.bytes();
        let past = now.saturating_sub(self.at).as_millis();
        let past = u64::try_from(past).unwrap_or(u64::MAX);
        self.allowed = past.saturating_mul(CALM_BYTES_PER_SECOND) / 1000;
        self.calm = bytes.saturating_sub(self.counted) <= self.allowed;
        (self.counted, self.at) = (bytes, now);
        self.calm
    }

    /// Whether it was calm at the last look, and is.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm && self.written.bytes().saturating_sub(self.counted) <= self.allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_calm_and_a_stream_is_not() {
        let written = Arc::new(Written::default());
        let mut calm = Calm::new(&written, Duration::from_secs(7));
        assert!(!calm.is_calm());
        let mut look = |second: u64, groups: u64| {
            (0..groups).for_each(|_| written.add(100));
            (calm.look(Duration::from_secs(second)), calm.is_calm())
        };
        // Sixteen small groups a second are no more than that.
        assert_eq!(look(12, 80), (true, true));
        assert_eq!(look(17, 81), (false, false));
        assert_eq!(look(22, 0), (true, true));
        // Without time only nothing is little.
        assert_eq!(look(22, 1), (false, false));
        assert_eq!(look(22, 0), (true, true));
    }

    #[test]
    fn a_burst_ends_the_calm_at_once() {
        let written = Arc::new(Written::default());
        let mut calm = Calm::new(&written, Duration::ZERO);
        assert!(calm.look(Duration::from_secs(5)));
        written.add(5 * CALM_BYTES_PER_SECOND);
        assert!(calm.is_calm());
        written.add(1);
        assert!(!calm.is_calm());
        assert!(!calm.look(Duration::from_secs(10)));
    }
}
