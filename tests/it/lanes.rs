//! The lanes of `cargo xtask reliability`, as far as a minute goes.

use std::time::{Duration, Instant};
use tempfile::TempDir;
use trestle_tests::{histories, kill, syscalls};

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

/// What each client saw can have happened one request after the other, also when the server is killed
/// under them.
#[test]
fn histories_are_linearizable() {
    let folder = TempDir::new().unwrap();
    let plan = histories::Plan {
        seed: seed(),
        until: Instant::now() + Duration::from_secs(20),
        histories: 8,
        clients: 16,
        requests: 40,
        kill_one_in: 2,
        folder: folder.path().to_owned(),
        variables: Vec::new(),
    };
    let tally = histories::run(&plan, &mut |_| {}).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(tally.kills > 0 && tally.refused > 0, "{tally:?}");
    assert!(tally.requests > 500 && tally.joined > 0, "{tally:?}");
    assert!(tally.uploads > 0 && tally.given_up > 0, "{tally:?}");
    assert!(tally.transactions > 0 && tally.snapshots > 0, "{tally:?}");
    assert!(tally.clones > 0 && tally.volume_writes > 0, "{tally:?}");
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
