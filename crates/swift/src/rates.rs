//! How many requests a second an operator lets through, as Swift's rate limit has it: containers that
//! are made and deleted in an account, objects that are written in a container, and listings of one,
//! the latter two by how many objects are in it.
//!
//! Who asks too fast is let wait, and refused when that would take too long. Each server counts for
//! itself, and by the account that a request names, whoever asks; what does not exist is not counted.

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use trestle_core::Timestamp;

/// Longest time that a request waits, in microseconds.
const WAIT_MAX: u64 = 60_000_000;
/// So much of the time in which nobody asked counts for later, in microseconds.
const BUFFER: u64 = 5_000_000;
/// Accounts and containers that are counted at a time.
const KEYS_MAX: usize = 100_000;
/// How often those that nobody asked of for long are looked for, in microseconds.
const PRUNED_EVERY: u64 = 1_000_000;
/// Sizes that have a rate of their own.
const SIZES_MAX: usize = 100;

/// Requests a second, from so many objects on.
type Limits = Vec<(u32, f64)>;

/// What an operator lets through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    account: Option<f64>,
    container: Limits,
    listing: Limits,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.trim().parse::<f64>().ok();
    let sound = rate.filter(|rate| (0.001..=1_000_000.0).contains(rate));
    sound.ok_or_else(|| format!("{text:?} is no rate of 0.001 to 1000000 requests a second"))
}

fn limits(texts: &[String]) -> Result<Limits, String> {
    let mut limits = Limits::new();
    for text in texts {
        let wrong = || format!("{text:?} is not of the form SIZE:RATE");
        let (size, own) = text.split_once(':').ok_or_else(wrong)?;
        limits.push((size.trim().parse().map_err(|_| wrong())?, rate(own)?));
    }
    limits.sort_by_key(|(size, _)| *size);
    let twice = limits
        .windows(2)
        .any(|pair| matches!(pair, [(one, _), (other, _)] if one == other));
    match twice || limits.len() > SIZES_MAX {
        true => Err(format!(
            "each size has one rate, and {SIZES_MAX} sizes have one at most"
        )),
        false => Ok(limits),
    }
}

/// The rate of a size: between two sizes, what lies on the line between their rates.
fn rate_of(limits: &Limits, size: u64) -> Option<f64> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let above = limits.partition_point(|(from, _)| *from <= size);
    let (low, rate) = limits.get(above.checked_sub(1)?)?;
    Some(match limits.get(above) {
        Some((high, next)) => {
            let part = f64::from(size - low) / f64::from(high - low);
            rate + (next - rate) * part
        }
        None => *rate,
    })
}

impl Rates {
    /// A rate of an account, and pairs of `SIZE:RATE` of containers and of listings.
    ///
    /// # Errors
    /// What is no rate.
    pub fn parse(
        account: Option<&str>,
        container: &[String],
        listing: &[String],
    ) -> Result<Self, String> {
        Ok(Rates {
            account: account.map(rate).transpose()?,
            container: limits(container)?,
            listing: limits(listing)?,
        })
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Rates::default()
    }

    /// What `/info` says.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "account_ratelimit": self.account.unwrap_or(0.0),
            "max_sleep_time_seconds": WAIT_MAX / 1_000_000,
            "container_ratelimits": self.container,
            "container_listing_ratelimits": self.listing,
        })
    }

    /// What a request counts for, and its rate.
    async fn of(&self, call: &Call) -> Outcome<Option<(String, f64)>> {
        let target = &call.target;
        let Some(container) = &target.container else {
            return Ok(None);
        };
        let (limits, kind) = match (call.method.as_str(), &target.object) {
            ("PUT" | "DELETE", None) => {
                let Some(rate) = self.account else {
                    return Ok(None);
                };
                let known = call.account(&call.account).await?.is_some();
                let key = format!("account/{}", call.account);
                return Ok(known.then_some((key, rate)));
            }
            ("GET", None) => (&self.listing, "listing"),
            ("PUT" | "DELETE" | "POST" | "COPY", Some(_)) => (&self.container, "container"),
            _ => return Ok(None),
        };
        if limits.is_empty() {
            return Ok(None);
        }
        let found = call.container(&call.account, container).await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let size = found.usage.objects;
        let key = format!("{kind}/{}/{container}", call.account);
        Ok(rate_of(limits, size).map(|rate| (key, rate)))
    }

    /// Waits until a request may go on.
    ///
    /// # Errors
    /// 498 when that would take too long.
    pub(crate) async fn admit(&self, paces: &Paces, call: &Call) -> Outcome<()> {
        let Some((key, rate)) = self.of(call).await? else {
            return Ok(());
        };
        let slow = || Fault::text(498, "Slow down");
        let wait = paces.wait(key, rate, call.now).ok_or_else(slow)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// When the next request of each key is due, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<Due>);

#[derive(Debug, Default)]
struct Due {
    by_key: BTreeMap<String, u64>,
    /// When those that nobody asked of for long were last looked for.
    pruned: u64,
}

impl Due {
    /// Notes when the next request is due, if there is room.
    fn note(&mut self, key: String, next: u64, now: Timestamp) {
        let full = self.by_key.len() >= KEYS_MAX && !self.by_key.contains_key(&key);
        if full && now.0.abs_diff(self.pruned) >= PRUNED_EVERY {
            let oldest = now.0.saturating_sub(BUFFER);
            self.by_key.retain(|_, due| *due >= oldest);
            self.pruned = now.0;
        }
        if self.by_key.len() < KEYS_MAX || !full {
            self.by_key.insert(key, next);
        }
    }
}

impl Paces {
    /// How long a request has to wait; none when that is too long.
    fn wait(&self, key: String, rate: f64, now: Timestamp) -> Option<Duration> {
        let step = Duration::try_from_secs_f64(1.0 / rate).ok()?.as_micros();
        let step = u64::try_from(step).ok()?;
        let mut due = self.0.lock();
        let oldest = now.0.saturating_sub(BUFFER);
        let kept = due.by_key.get(&key);
        let kept = kept.map_or(0, |kept| kept.saturating_add(step));
        let next = match kept < oldest {
            true => now.0.saturating_add(step),
            false => kept,
        };
        let wait = next.saturating_sub(now.0.saturating_add(step));
        if wait >= WAIT_MAX {
            return None;
        }
        due.note(key, next, now);
        Some(Duration::from_micros(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_lie_on_lines_between_sizes() {
        let texts = ["100:10".to_owned(), "200:5".to_owned(), "300:1".to_owned()];
        let limits = limits(&texts).unwrap();
        for (size, rate) in [
            (0, None),
            (99, None),
            (100, Some(10.0)),
            (150, Some(7.5)),
            (200, Some(5.0)),
            (250, Some(3.0)),
            (300, Some(1.0)),
            (u64::MAX, Some(1.0)),
        ] {
            assert_eq!(rate_of(&limits, size), rate, "{size}");
        }
        for bad in ["100", "x:1", "1:x", "1:0", "1:-1", "1:nan", "1:inf"] {
            assert!(Rates::parse(None, &[bad.to_owned()], &[]).is_err(), "{bad}");
        }
        let twice = ["1:1".to_owned(), "1:2".to_owned()];
        assert!(Rates::parse(None, &[], &twice).is_err());
        assert!(Rates::parse(Some("0"), &[], &[]).is_err());
        assert!(Rates::parse(None, &[], &[]).unwrap().is_empty());
    }

    #[test]
    fn those_that_nobody_asks_of_are_looked_for_once_a_second() {
        let mut due = Due::default();
        let start = 1_000_000_000;
        for key in 0..KEYS_MAX {
            due.note(key.to_string(), start, Timestamp(start));
        }
        let later = |micros: u64| Timestamp(start + micros);
        // All of them were asked of just now.
        due.note("a".to_owned(), start, later(1));
        assert_eq!((due.by_key.len(), due.pruned), (KEYS_MAX, start + 1));
        due.note("0".to_owned(), start + 2, later(2));
        assert_eq!(due.by_key.get("0"), Some(&(start + 2)));
        due.note("a".to_owned(), start, later(PRUNED_EVERY));
        assert_eq!(due.pruned, start + 1);
        due.note("a".to_owned(), start + 7, later(BUFFER + 2));
        assert_eq!(due.by_key.len(), 2);
    }

    #[test]
    fn who_asks_too_fast_waits_and_is_refused_at_last() {
        let paces = Paces::default();
        let wait = |key: &str, now: u64| {
            let wait = paces.wait(key.to_owned(), 0.1, Timestamp(now));
            wait.map(|wait| wait.as_secs())
        };
        let start = 1_000_000_000;
        let waits: Vec<_> = (0..7).map(|_| wait("a", start)).collect();
        let wanted = [
            Some(0),
            Some(10),
            Some(20),
            Some(30),
            Some(40),
            Some(50),
            None,
        ];
        assert_eq!(waits, wanted);
        assert_eq!(wait("b", start), Some(0));
        // What was refused does not count.
        assert_eq!(wait("a", start + 10_000_000), Some(50));
        // Only so much of the time in which nobody asked counts.
        assert_eq!(wait("a", start + 1_000_000_000), Some(0));
        assert_eq!(wait("a", start + 1_000_000_000), Some(10));
    }
}
