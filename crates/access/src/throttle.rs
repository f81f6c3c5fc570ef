//! Wrong passwords: each makes the next attempt on the same user from the same address wait.
//!
//! It only ever delays. A right password is never refused, and one that was just verified never
//! waits; nobody can lock another out from elsewhere.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Wrong passwords that cost nothing.
const FREE: u32 = 5;
/// The first wait; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(8);
/// How long a wrong password counts.
const COUNTED: Duration = Duration::from_secs(600);
/// Pairs of user and address that are remembered.
const REMEMBERED_MAX: usize = 16 << 10;
/// How much of a name is, in bytes: no user's is longer, and anybody may send any.
const NAME_BYTES_MAX: usize = 512;

fn pair(user: &str, source: Option<IpAddr>) -> (String, Option<IpAddr>) {
    let most = user.floor_char_boundary(NAME_BYTES_MAX);
    (user.get(..most).unwrap_or(user).to_owned(), source)
}

/// Counts wrong passwords.
#[derive(Debug, Default)]
pub struct Throttle {
    wrong: Mutex<HashMap<(String, Option<IpAddr>), Wrong>>,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    last: Duration,
}

impl Throttle {
    /// How long the next attempt has to wait.
    pub fn wait(&self, user: &str, source: Option<IpAddr>, now: Duration) -> Duration {
        let wrong = self.wrong.lock();
        match wrong.get(&pair(user, source)) {
            Some(found) if now < found.last + COUNTED => {
                let beyond = found.count.saturating_sub(FREE);
                match beyond.checked_sub(1) {
                    None => Duration::ZERO,
                    Some(doublings) => FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST),
                }
            }
            _ => Duration::ZERO,
        }
    }

    /// A password was wrong.
    pub fn wrong(&self, user: &str, source: Option<IpAddr>, now: Duration) {
        let mut wrong = self.wrong.lock();
        if wrong.len() >= REMEMBERED_MAX {
            wrong.retain(|_, one| now < one.last + COUNTED);
        }
        if wrong.len() >= REMEMBERED_MAX {
            // A flood from everywhere: argon2 alone is the brake.
            wrong.clear();
        }
        let one = wrong.entry(pair(user, source)).or_insert(Wrong {
            count: 0,
            last: now,
        });
        if now >= one.last + COUNTED {
            one.count = 0;
        }
        one.count = one.count.saturating_add(1);
        one.last = now;
    }

    /// A password was right.
    pub fn right(&self, user: &str, source: Option<IpAddr>) {
        let mut wrong = self.wrong.lock();
        if !wrong.is_empty() {
            wrong.remove(&pair(user, source));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_wait_longer_and_others_do_not() {
        let throttle = Throttle::default();
        let here: Option<IpAddr> = "192.0.2.1".parse().ok();
        let there: Option<IpAddr> = "192.0.2.2".parse().ok();
        let now = Duration::from_secs(1000);
        let mut waits = Vec::new();
        for _ in 0..14 {
            waits.push(throttle.wait("ann", here, now));
            throttle.wrong("ann", here, now);
        }
        assert!(waits.is_sorted() && waits[5] == Duration::ZERO && waits[6] == FIRST);
        assert_eq!(waits[13], LONGEST);
        assert_eq!(throttle.wait("ann", there, now), Duration::ZERO);
        assert_eq!(throttle.wait("bob", here, now), Duration::ZERO);
        assert_eq!(throttle.wait("ann", here, now + COUNTED), Duration::ZERO);
        throttle.right("ann", here);
        assert_eq!(throttle.wait("ann", here, now), Duration::ZERO);
        // Of a name that nobody can have no more is kept than of one that somebody has.
        throttle.wrong(&"é".repeat(20_000), here, now);
        let kept = throttle.wrong.lock();
        let longest = kept.keys().map(|(name, _)| name.len()).max();
        assert_eq!(longest, Some(NAME_BYTES_MAX));
    }
}
