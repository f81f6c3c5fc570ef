//! Points in time, in microseconds.

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This time, or one microsecond after `previous` when the clock stands still or goes back: the
    /// times of one key only ever grow.
    #[must_use]
    pub fn after(self, previous: Timestamp) -> Timestamp {
        Timestamp(self.0.max(previous.0.saturating_add(1)))
    }
}
