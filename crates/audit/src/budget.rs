//! How much of the log those may fill who have shown no credential that is right.
//!
//! Else anybody could have the oldest entries removed, by asking for what nobody may have. What is
//! left out is counted.

use parking_lot::Mutex;
use trestle_core::Timestamp;

/// Entries a minute, of each kind.
const A_MINUTE: u64 = 120;
const MINUTE: u64 = 60 * 1_000_000;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody in particular was denied something.
    Anonymous,
    /// A credential was refused.
    Refused,
}

/// Counts the entries of this minute.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    minute: u64,
    /// Of each kind.
    anonymous: u64,
    refused: u64,
}

impl Counted {
    /// What was beyond the budget, of each kind.
    fn left_out(&self) -> Option<(u64, u64)> {
        let beyond = |count: u64| count.saturating_sub(A_MINUTE);
        let both = (beyond(self.anonymous), beyond(self.refused));
        (both != (0, 0)).then_some(both)
    }
}

impl Budget {
    /// Whether one more may be written; and what was left out of the minute that is over.
    pub(crate) fn take(&self, now: Timestamp, kind: Kind) -> (bool, Option<(u64, u64)>) {
        let over = self.turn(now);
        let mut counted = self.0.lock();
        let count = match kind {
            Kind::Anonymous => &mut counted.anonymous,
            Kind::Refused => &mut counted.refused,
        };
        *count = count.saturating_add(1);
        (*count <= A_MINUTE, over)
    }

    /// What was left out of the minute that is over, once.
    pub(crate) fn turn(&self, now: Timestamp) -> Option<(u64, u64)> {
        let mut counted = self.0.lock();
        let minute = now.0 / MINUTE;
        match counted.minute == minute {
            true => None,
            false => std::mem::replace(
                &mut *counted,
                Counted {
                    minute,
                    ..Counted::default()
                },
            )
            .left_out(),
        }
    }

    /// What was left out so far, at the end.
    pub(crate) fn end(&self) -> Option<(u64, u64)> {
        std::mem::take(&mut *self.0.lock()).left_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_minute_s_budget_is_counted_once() {
        let budget = Budget::default();
        let at = |minute: u64| Timestamp(minute * MINUTE + 5);
        for n in 1..=A_MINUTE + 7 {
            let (written, over) = budget.take(at(1), Kind::Anonymous);
            assert_eq!((written, over), (n <= A_MINUTE, None));
        }
        // The other kind has a budget of its own.
        assert_eq!(budget.take(at(1), Kind::Refused), (true, None));
        assert_eq!(budget.turn(at(1)), None);
        assert_eq!(budget.take(at(2), Kind::Anonymous), (true, Some((7, 0))));
        assert_eq!((budget.turn(at(3)), budget.end()), (None, None));
        for _ in 0..=A_MINUTE {
            budget.take(at(3), Kind::Refused);
        }
        assert_eq!((budget.end(), budget.end()), (Some((0, 1)), None));
    }
}
