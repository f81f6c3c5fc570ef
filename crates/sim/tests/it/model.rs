//! The store against the reference model: every verb, every outcome.

use crate::{TURN, number};
use std::sync::PoisonError;
use std::time::Instant;
use trestle_engine_embedded::{Canary, plant};
use trestle_sim::model;

/// Histories beyond the usual ones in which an outcome that was not met may still be.
const RARE_HISTORIES: u64 = 30;

#[test]
fn the_store_is_the_model() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Every verb with every outcome that one client can meet, by name.
    let outcomes = [
        ("create bucket", "ok"),
        ("create bucket", "AlreadyExists(Bucket)"),
        ("delete bucket", "ok"),
        ("delete bucket", "NotFound(Bucket)"),
        ("delete bucket", "NotEmpty"),
        ("bucket", "ok"),
        ("bucket", "NotFound(Bucket)"),
        ("list buckets", "ok"),
        ("put", "ok"),
        ("put", "NotFound(Bucket)"),
        ("put", "PreconditionFailed"),
        ("put", "IncompleteBody"),
        ("read", "ok"),
        ("read", "NotFound(Bucket)"),
        ("read", "NotFound(Object)"),
        ("read", "RangeNotSatisfiable"),
        ("head", "ok"),
        ("head", "NotFound(Bucket)"),
        ("head", "NotFound(Object)"),
        ("delete", "ok"),
        ("delete", "NotFound(Bucket)"),
        ("delete", "NotFound(Object)"),
        ("delete", "PreconditionFailed"),
        ("list", "ok"),
        ("list", "NotFound(Bucket)"),
        ("list versions", "ok"),
        ("list versions", "NotFound(Bucket)"),
        ("versioning", "ok"),
        ("versioning", "InvalidState"),
        ("put", "Locked"),
        ("put", "QuotaExceeded"),
        ("create directory", "ok"),
        ("create directory", "PreconditionFailed"),
        ("read version", "ok"),
        ("read version", "NotFound(Object)"),
        ("read version", "NotFound(Version)"),
        ("head version", "ok"),
        ("head version", "NotFound(Version)"),
        ("update", "ok"),
        ("update", "Locked"),
        ("update", "NotFound(Object)"),
        ("update", "NotFound(Version)"),
        ("delete version", "ok"),
        ("delete version", "Locked"),
        ("delete version", "NotFound(Version)"),
        ("delete version", "PreconditionFailed"),
        ("erase", "ok"),
        ("erase", "Locked"),
        ("erase", "NotFound(Object)"),
        ("withdraw", "ok"),
        ("withdraw", "NotFound(Object)"),
        ("delete version alone", "ok"),
        ("delete version alone", "NotFound(Version)"),
        ("reinstate", "ok"),
        ("reinstate", "NotFound(Object)"),
        ("reinstate", "NotFound(Version)"),
        ("rename", "ok"),
        ("rename", "InvalidState"),
        ("rename", "NotFound(Object)"),
        ("delete tree", "job"),
        ("delete tree", "ok"),
        ("delete tree", "NotFound(Object)"),
        ("rename tree", "job"),
        ("rename tree", "ok"),
        ("rename tree", "InvalidInput"),
        ("rename tree", "AlreadyExists(Object)"),
        ("rename tree", "NotFound(Object)"),
        ("expire", "ok"),
        ("copy", "ok"),
        ("copy", "NotFound(Bucket)"),
        ("copy", "NotFound(Object)"),
        ("copy", "NotFound(Version)"),
        ("copy", "PreconditionFailed"),
        ("copy", "RangeNotSatisfiable"),
        ("patch", "ok"),
        ("patch", "NotFound(Bucket)"),
        ("patch", "NotFound(Object)"),
        ("patch", "PreconditionFailed"),
        ("patch", "InvalidOffset"),
        ("patch", "InvalidInput"),
        ("patch", "Locked"),
        ("compose", "ok"),
        ("compose", "NotFound(Object)"),
        ("compose", "PreconditionFailed"),
        ("compose", "RangeNotSatisfiable"),
        ("create upload", "ok"),
        ("create upload", "NotFound(Bucket)"),
        ("upload part", "ok"),
        ("upload part", "NotFound(Upload)"),
        ("upload part", "InvalidInput"),
        ("join", "ok"),
        ("join", "NotFound(Object)"),
        ("join", "PreconditionFailed"),
        ("join", "RangeNotSatisfiable"),
        ("read", "Conflict"),
        ("copy", "Conflict"),
        ("compose", "InvalidInput"),
        ("copy part", "ok"),
        ("copy part", "NotFound(Object)"),
        ("copy part", "RangeNotSatisfiable"),
        ("complete upload", "ok"),
        ("complete upload", "NotFound(Upload)"),
        ("complete upload", "InvalidInput"),
        ("complete upload", "InvalidPart"),
        ("complete upload", "InvalidPartOrder"),
        ("complete upload", "PartTooSmall"),
        ("complete upload", "PreconditionFailed"),
        ("abort upload", "ok"),
        ("abort upload", "NotFound(Upload)"),
        ("list uploads", "ok"),
        ("put", "InvalidState"),
        ("copy", "InvalidState"),
        ("patch", "InvalidState"),
        ("patch", "RangeNotSatisfiable"),
        ("update", "InvalidState"),
        ("create volume", "ok"),
        ("create volume", "InvalidInput"),
        ("create volume", "InvalidState"),
        ("create volume", "PreconditionFailed"),
        ("create volume", "NotFound(Bucket)"),
        ("zeroes", "ok"),
        ("zeroes", "InvalidState"),
        ("zeroes", "PreconditionFailed"),
        ("zeroes", "RangeNotSatisfiable"),
        ("resize", "ok"),
        ("resize", "InvalidInput"),
        ("resize", "InvalidState"),
        ("flush", "ok"),
        ("flush", "InvalidState"),
        ("flush", "NotFound(Object)"),
        ("snapshot", "ok"),
        ("snapshot", "NotFound(Object)"),
        ("snapshot", "PreconditionFailed"),
        ("clone", "ok"),
        ("clone", "InvalidInput"),
        ("clone", "InvalidState"),
        ("clone", "NotFound(Bucket)"),
        ("clone", "NotFound(Object)"),
        ("clone", "PreconditionFailed"),
        ("transact", "ok"),
        ("transact", "InvalidInput"),
        ("transact", "NotFound(Bucket)"),
        ("transact", "NotFound(Object)"),
        ("transact", "PreconditionFailed"),
        ("create snapshot", "ok"),
        ("create snapshot", "NotFound(Object)"),
        ("create snapshot", "AlreadyExists(Bucket)"),
        ("delete snapshot", "ok"),
        ("delete snapshot", "NotFound(Bucket)"),
        ("list snapshots", "ok"),
        ("stat snapshot", "ok"),
        ("list in snapshot", "ok"),
        ("list in snapshot", "NotFound(Bucket)"),
        ("read in snapshot", "ok"),
        ("read in snapshot", "NotFound(Object)"),
        ("read in snapshot", "RangeNotSatisfiable"),
        ("head in snapshot", "ok"),
        ("head in snapshot", "NotFound(Object)"),
        ("write into snapshot", "InvalidState"),
        ("clone bucket", "ok"),
        ("clone bucket", "AlreadyExists(Bucket)"),
        ("clone bucket", "NotFound(Bucket)"),
        ("clone bucket", "NotFound(Object)"),
        ("clone snapshot", "ok"),
        ("clone snapshot", "NotFound(Bucket)"),
    ];
    let first = number("TRESTLE_SEED", 1);
    for over in [model::Over::Memory, model::Over::Embedded] {
        let mut coverage = model::Coverage::new();
        let mut never: Vec<_> = outcomes.iter().collect();
        let enough = first + number("TRESTLE_HISTORIES", 12);
        // Where crashes come moves with each operation on the disk; what is rare then takes longer.
        for seed in first..enough + RARE_HISTORIES {
            if seed >= enough && never.is_empty() {
                break;
            }
            let covered = model::run(seed, 1200, over).unwrap_or_else(|broken| panic!("{broken}"));
            for (cell, count) in covered {
                *coverage.entry(cell).or_default() += count;
            }
            never.retain(|(verb, outcome)| !coverage.contains_key(&(*verb, (*outcome).to_owned())));
        }
        assert!(never.is_empty(), "{over:?} never met {never:?}");
        println!("{over:?}: {coverage:?}");
    }
}

/// A snapshot that changes with its volume is seen by the next comparison; a transaction of which a
/// crash leaves a half, by the first one after that crash; what was deleted in a clone and comes back, and
/// what is freed under one, by what is asked next.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time until a bug is caught is a result"
)]
fn planted_bugs_of_volumes_transactions_and_clones_are_caught() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = number("TRESTLE_SEED", 1);
    for (canary, over) in [
        (Canary::ChangeSharedVolumes, model::Over::Memory),
        (Canary::TransactInHalves, model::Over::Embedded),
        (Canary::InheritForEver, model::Over::Memory),
        (Canary::BorrowInherited, model::Over::Memory),
        (Canary::ForgetClones, model::Over::Memory),
    ] {
        plant(Some(canary));
        let started = Instant::now();
        let caught = (first..first + 200).find_map(|seed| model::run(seed, 600, over).err());
        plant(None);
        let caught = caught.unwrap_or_else(|| panic!("{canary:?} was not caught"));
        println!(
            "{canary:?} caught after {:.1?}: {caught}",
            started.elapsed()
        );
    }
}
