//! The crash lane at its commit budget, then each planted bug: one test, since a planted bug is
//! planted in the whole process.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod freeing;
mod machine;
mod model;
mod moves;
mod quiet;
mod readers;
mod rotation;
#[cfg(feature = "shuttle")]
mod schedules;
mod space;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use trestle_engine_embedded::{Canary, plant};
use trestle_sim::crash;

/// A planted bug is in the whole process: the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number")),
        Err(_) => default,
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time until a bug is caught is a result"
)]
fn promises_survive_crashes_and_planted_bugs_do_not() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = number("TRESTLE_SEED", 1);
    let wanted = number("TRESTLE_STATES", 150);
    let started = Instant::now();
    let mut all = crash::Outcome::default();
    let mut seed = first;
    while all.states < wanted {
        all.add(&crash::run(seed, 8).unwrap_or_else(|broken| panic!("{broken}")));
        seed += 1;
    }
    println!(
        "{} crash states, {} commits, {:.1?}; {}",
        all.states,
        all.commits,
        started.elapsed(),
        all.phases()
    );

    // One alone, when it is named.
    let only = std::env::var("TRESTLE_CANARY").ok();
    let named = |canary: &Canary| {
        only.as_ref()
            .is_none_or(|only| *only == format!("{canary:?}"))
    };
    for canary in Canary::ENGINE.into_iter().filter(named) {
        plant(Some(canary));
        let started = Instant::now();
        // The rarest takes some 300 histories on average.
        let caught = (first..first + 2000).find_map(|seed| crash::run(seed, 8).err());
        plant(None);
        let caught = caught.unwrap_or_else(|| panic!("{canary:?} was not caught"));
        println!(
            "{canary:?} caught after {:.1?}: {caught}",
            started.elapsed()
        );
    }
}
