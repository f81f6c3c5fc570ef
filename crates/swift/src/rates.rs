//! How many requests a second an operator lets through, as Swift's rate limit has it: containers that
//! are made and deleted in an account, objects that are written in a container, and listings of one,
//! the latter two by how many objects are in it.
//!
//! Who asks too fast is let wait, and refused when that would take too long. Each server counts for
//! itself, and by the account that a request names, whoever asks. What does not exist is counted as an
//! empty container is, by the name that was asked for and apart from the rest: who waits learns nothing
//! of what exists, and names that are made up crowd nothing out.

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use trestle_core::Timestamp;

/// Longest time that a request waits, in microseconds.
const WAIT_MAX: u64 = 60_000_000;
/// So much of the time in which nobody asked counts for later, in microseconds.
const BUFFER: u64 = 5_000_000;
/// Accounts and containers that are counted at a time.
const KEYS_MAX: usize = 100_000;
/// Names of what does not exist that are counted at a time.
const NAMES_MAX: usize = 20_000;
/// Accounts that are named in the settings.
const ACCOUNTS_MAX: usize = 10_000;
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
    exempt: BTreeSet<String>,
    blocked: BTreeSet<String>,
}

/// What a request counts for.
struct Counted {
    key: String,
    rate: f64,
    /// Whether it is there.
    exists: bool,
}

fn accounts(names: &[String]) -> Result<BTreeSet<String>, String> {
    if names.len() > ACCOUNTS_MAX {
        return Err(format!("{ACCOUNTS_MAX} accounts are named at most"));
    }
    Ok(names.iter().map(|name| name.trim().to_owned()).collect())
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
            ..Rates::default()
        })
    }

    /// The same, with accounts, as URLs name them, that no rate holds for, and others for which
    /// nothing is answered.
    ///
    /// # Errors
    /// Too many of them, and one that is both.
    pub fn with_accounts(mut self, exempt: &[String], blocked: &[String]) -> Result<Self, String> {
        self.exempt = accounts(exempt)?;
        self.blocked = accounts(blocked)?;
        match self.exempt.intersection(&self.blocked).next() {
            Some(both) => Err(format!("{both:?} is both exempt and blocked")),
            None => Ok(self),
        }
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

    /// What a request counts for.
    async fn of(&self, call: &Call) -> Outcome<Option<Counted>> {
        let target = &call.target;
        let Some(container) = &target.container else {
            return Ok(None);
        };
        let (limits, kind) = match (call.method.as_str(), &target.object) {
            ("PUT" | "DELETE", None) => {
                let Some(rate) = self.account else {
                    return Ok(None);
                };
                let exists = call.account(&call.account).await?.is_some();
                let key = format!("account/{}", call.account);
                return Ok(Some(Counted { key, rate, exists }));
            }
            ("GET", None) => (&self.listing, "listing"),
            ("PUT" | "DELETE" | "POST" | "COPY", Some(_)) => (&self.container, "container"),
            _ => return Ok(None),
        };
        if limits.is_empty() {
            return Ok(None);
        }
        let found = call.container(&call.account, container).await?;
        let exists = found.is_some();
        let size = found.map_or(0, |found| found.usage.objects);
        let key = format!("{kind}/{}/{container}", call.account);
        Ok(rate_of(limits, size).map(|rate| Counted { key, rate, exists }))
    }

    /// Waits until a request may go on.
    ///
    /// # Errors
    /// 498 when that would take too long; 497 for an account that is blocked.
    pub(crate) async fn admit(&self, paces: &Paces, call: &Call) -> Outcome<()> {
        if self.exempt.contains(&call.target.account) {
            return Ok(());
        }
        if self.blocked.contains(&call.target.account) {
            return Err(Fault::text(497, "Your account has been blacklisted"));
        }
        let Some(counted) = self.of(call).await? else {
            return Ok(());
        };
        let slow = || Fault::text(498, "Slow down");
        let wait = paces.wait(counted, call.now).ok_or_else(slow)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// When the next request of each key is due, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    of_existing: Mutex<Due>,
    of_names: Mutex<Due>,
}

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

    /// The same of what does not exist: there is always room for the name that was asked for last, so
    /// that it is let wait as any other.
    fn note_name(&mut self, key: String, next: u64) {
        if self.by_key.len() >= NAMES_MAX && !self.by_key.contains_key(&key) {
            self.by_key.clear();
        }
        self.by_key.insert(key, next);
    }
}

impl Paces {
    /// How long a request has to wait; none when that is too long.
    fn wait(&self, counted: Counted, now: Timestamp) -> Option<Duration> {
        let Counted { key, rate, exists } = counted;
        let step = Duration::try_from_secs_f64(1.0 / rate).ok()?.as_micros();
        let step = u64::try_from(step).ok()?;
        let mut due = match exists {
            true => self.of_existing.lock(),
            false => self.of_names.lock(),
        };
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
        match exists {
            true => due.note(key, next, now),
            false => due.note_name(key, next),
        }
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
    fn names_of_nothing_are_let_wait_and_crowd_nothing_out() {
        let paces = Paces::default();
        let now = Timestamp(1_000_000_000);
        let wait = |key: &str, exists| {
            let (key, rate) = (key.to_owned(), 0.1);
            let wait = paces.wait(Counted { key, rate, exists }, now);
            wait.map(|wait| wait.as_secs())
        };
        for exists in [true, false] {
            assert_eq!(wait("a", exists), Some(0), "{exists}");
            assert_eq!(wait("a", exists), Some(10), "{exists}");
        }
        // However many there are, the last is let wait.
        for name in 0..NAMES_MAX + 2 {
            assert_eq!(wait(&name.to_string(), false), Some(0), "{name}");
            assert_eq!(wait(&name.to_string(), false), Some(10), "{name}");
        }
        assert_eq!(paces.of_names.lock().by_key.len(), 3);
        assert_eq!(wait("a", true), Some(20));
        let (some, other) = (["AUTH_a".to_owned()], ["AUTH_b".to_owned()]);
        assert!(Rates::default().with_accounts(&some, &other).is_ok());
        assert!(Rates::default().with_accounts(&some, &some).is_err());
    }

    #[test]
    fn who_asks_too_fast_waits_and_is_refused_at_last() {
        let paces = Paces::default();
        let wait = |key: &str, now: u64| {
            let (key, rate, exists) = (key.to_owned(), 0.1, true);
            let wait = paces.wait(Counted { key, rate, exists }, Timestamp(now));
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
