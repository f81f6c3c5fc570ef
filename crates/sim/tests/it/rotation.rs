//! The log goes on in a new segment, and the machine stops at each single operation of that.

use crate::TURN;
use crate::machine::Machine;
use bytes::Bytes;
use std::sync::PoisonError;
use trestle_engine::{Body, Commit, Write};
use trestle_engine_embedded::Settings;
use trestle_host::{Disk, SeededRandom};

/// How the machine ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    PowerLoss,
    FailedSync,
}

fn key(number: u64) -> Bytes {
    format!("{number:06}").into()
}

fn put(number: u64) -> Commit {
    Commit {
        writes: vec![Write::Put {
            key: key(number),
            value: Bytes::new(),
            body: Some(Body::Attached(vec![7; 10_000].into())),
        }],
        ..Commit::default()
    }
}

/// Fills segments until operation `after` from the second commit on; returns what was promised.
fn fill(machine: &Machine, after: u64, end: End) -> u64 {
    let mut promised = 0;
    while promised < 40 && machine.commit(put(promised)).is_ok() {
        promised += 1;
        if promised == 2 {
            match end {
                End::FailedSync => machine.disk.fail_sync_after(Some(after)),
                _ => machine.disk.stop_after(Some(after)),
            }
        }
    }
    promised
}

#[test]
fn a_change_of_segments_may_end_anywhere() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = Settings {
        log_segment_bytes: 64 << 10,
        ..Settings::default()
    };
    for end in [End::Kill, End::PowerLoss, End::FailedSync] {
        let mut segments = 0;
        for after in 0..80 {
            let mut machine = Machine::new(settings.clone());
            let promised = fill(&machine, after, end);
            match end {
                End::Kill => machine.disk.kill(),
                _ => machine.disk.crash(&SeededRandom::new(after)),
            }
            machine.spawn.kill();
            // Twice: the second start finds what the first one left.
            for _ in 0..2 {
                machine.start();
                for number in 0..promised {
                    assert!(machine.has(&key(number)), "{end:?} {after}: {number}");
                }
                machine.disk.kill();
                machine.spawn.kill();
            }
            let log = machine.disk.list("/data/log".as_ref());
            segments = segments.max(log.map_or(0, |log| log.len()));
        }
        assert!(segments > 4, "{end:?}: no segment was ever full");
    }
}
