//! What a queue that watches is to be told, until it is in the queue.
//!
//! A write of a queue writes all of it: so messages that come while it is written go in together with
//! the next write, and those about clients that nobody vouches for are written once a second at most.
//! Who reads the queue finds all that was told. A full queue is left alone until values are taken
//! from it, or a minute has gone by; what it is not told is counted.

use crate::queue_content::QueueValue;
use parking_lot::Mutex;
use trestle_core::Timestamp;

/// Most messages that wait for one queue; what comes beyond is counted.
const WAITING_MAX: usize = 1000;
/// Microseconds between two writes of messages that can wait.
const PATIENCE: u64 = 1_000_000;
/// Microseconds after which a full queue is tried again.
const FULL_FOR: u64 = 60_000_000;

/// The messages that wait for one queue.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    /// Held while the queue is written.
    pub(crate) turn: futures::lock::Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    values: Vec<QueueValue>,
    /// Messages that found no room since the last write.
    missed: u64,
    written: Timestamp,
    full_since: Option<Timestamp>,
    /// Messages that a full queue was not told.
    lost: u64,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) values: Vec<QueueValue>,
    /// How many messages beside these there was no room for.
    pub(crate) missed: u64,
}

impl Mailbox {
    /// Takes messages in; whether they are to be written now. Those that can wait do, for a while.
    pub(crate) fn add(&self, values: Vec<QueueValue>, now: Timestamp, can_wait: bool) -> bool {
        let mut waiting = self.waiting.lock();
        if let Some(since) = waiting.full_since {
            if now.0.saturating_sub(since.0) < FULL_FOR {
                waiting.lost = waiting.lost.saturating_add(values.len() as u64);
                return false;
            }
            waiting.full_since = None;
        }
        let room = WAITING_MAX.saturating_sub(waiting.values.len());
        let missed = values.len().saturating_sub(room) as u64;
        waiting.missed = waiting.missed.saturating_add(missed);
        waiting.values.extend(values.into_iter().take(room));
        !can_wait || now.0.saturating_sub(waiting.written.0) >= PATIENCE
    }

    /// Notes messages that are not told one by one.
    pub(crate) fn miss(&self, count: u64) {
        let mut waiting = self.waiting.lock();
        waiting.missed = waiting.missed.saturating_add(count);
    }

    /// Everything that waits.
    pub(crate) fn take(&self, now: Timestamp) -> Batch {
        let mut waiting = self.waiting.lock();
        waiting.written = now;
        Batch {
            values: std::mem::take(&mut waiting.values),
            missed: std::mem::take(&mut waiting.missed),
        }
    }

    /// Notes that the queue took no more messages.
    pub(crate) fn is_full_now(&self, count: usize, now: Timestamp) {
        let mut waiting = self.waiting.lock();
        waiting.full_since = Some(now);
        waiting.lost = waiting.lost.saturating_add(count as u64);
    }

    /// Notes that there is room in the queue again.
    pub(crate) fn has_room(&self) {
        self.waiting.lock().full_since = None;
    }

    /// How many messages the queue was not told since it was full, while it is.
    pub(crate) fn lost(&self) -> Option<u64> {
        let waiting = self.waiting.lock();
        waiting.full_since.map(|_| waiting.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Encoding;
    use bytes::Bytes;

    fn messages(count: usize) -> Vec<QueueValue> {
        let one = QueueValue {
            mimetype: "a/b".to_owned(),
            encoding: Encoding::Utf8,
            bytes: Bytes::from_static(b"x"),
        };
        vec![one; count]
    }

    #[test]
    fn what_can_wait_is_written_once_a_second_and_all_at_once() {
        let mailbox = Mailbox::default();
        let at = |second: u64| Timestamp(second * 1_000_000);
        assert!(mailbox.add(messages(1), at(10), true));
        assert_eq!(mailbox.take(at(10)).values.len(), 1);
        for _ in 0..5 {
            assert!(!mailbox.add(messages(1), at(10), true));
        }
        assert!(mailbox.add(messages(1), at(10), false));
        assert_eq!(mailbox.take(at(10)).values.len(), 6);
        assert!(mailbox.add(messages(1), at(11), true));
        assert!(!mailbox.add(Vec::new(), at(10), true));
        mailbox.add(messages(WAITING_MAX + 4), at(11), true);
        let batch = mailbox.take(at(11));
        assert_eq!((batch.values.len(), batch.missed), (WAITING_MAX, 5));
        assert_eq!(mailbox.take(at(11)), Batch::default());
        mailbox.miss(7);
        assert_eq!(mailbox.take(at(11)).missed, 7);
    }

    #[test]
    fn a_full_queue_is_left_alone_for_a_while() {
        let mailbox = Mailbox::default();
        let at = |second: u64| Timestamp(second * 1_000_000);
        assert!(mailbox.add(messages(2), at(1), false));
        let batch = mailbox.take(at(1));
        mailbox.is_full_now(batch.values.len(), at(1));
        assert!(!mailbox.add(messages(3), at(2), false));
        assert_eq!(mailbox.lost(), Some(5));
        assert!(mailbox.add(messages(1), at(61), false));
        assert_eq!(mailbox.lost(), None);
        mailbox.is_full_now(1, at(61));
        mailbox.has_room();
        assert!(mailbox.add(messages(1), at(62), false));
        assert_eq!(mailbox.take(at(62)).values.len(), 2);
    }
}
