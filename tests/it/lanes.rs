//! The lanes of `cargo xtask reliability`, as far as a minute goes.

use std::time::{Duration, Instant};
use tempfile::TempDir;
use trestle_tests::{kill, syscalls};

/// `TRESTLE_SEED`, or the one of every day.
fn seed() -> u64 {
    std::env::var("TRESTLE_SEED").map_or(1, |seed| seed.parse().unwrap())
}

#[test]
fn every_promise_survives_kill_after_kill() {
    let folder = TempDir::new().unwrap();
    let plan = kill::Plan {
        seed: seed(),
        until: Instant::now() + Duration::from_secs(12),
        writers: 4,
        lives: 12,
        folder: folder.path().to_owned(),
        variables: Vec::new(),
    };
    let tally = kill::run(&plan, &mut |_| {}).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(tally.all_kills() > 5 && tally.objects > 0, "{tally:?}");
}

#[test]
fn every_promise_survives_a_fault_at_a_system_call() {
    let folder = TempDir::new().unwrap();
    let plan = syscalls::Plan {
        seed: seed(),
        sample: Some(4),
        only: Vec::new(),
        folder: folder.path().join("syscalls"),
        variables: Vec::new(),
    };
    let mut faults = 0;
    let outcome = syscalls::run(&plan, &mut |_, covered| faults += covered.all());
    outcome.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(faults > 15, "only {faults} faults happened");
}
