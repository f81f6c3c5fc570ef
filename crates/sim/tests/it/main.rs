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

/// Most histories in which a planted bug must show: ten times as many as the rarest takes on average,
/// since every change of the engine shuffles which seeds show it.
const HISTORIES_MAX: u64 = 500;

/// Where the histories of a planted bug begin: a few before one that shows it. When a change of the
/// engine makes one take long, another seed here makes it quick again.
fn first_of(canary: Canary) -> u64 {
    match canary {
        // Among the first ten, but not in the dozen from 601.
        Canary::WipeInPlace | Canary::CloseUnderReaders => 1,
        // From 1 on, 331 is the first that shows `ReplayStaleTail`, the rarest; from 601 on it is
        // 607, and by then all others have shown.
        _ => 601,
    }
}

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
        let first = number("TRESTLE_SEED", first_of(canary));
        let caught = (first..first + HISTORIES_MAX).find_map(|seed| crash::run(seed, 8).err());
        plant(None);
        let caught = caught.unwrap_or_else(|| panic!("{canary:?} was not caught"));
        println!(
            "{canary:?} caught after {:.1?}: {caught}",
            started.elapsed()
        );
    }
}
