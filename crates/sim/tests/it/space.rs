//! An allocation that fails: a full disk is a full disk, and nothing else is.

use crate::TURN;
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use trestle_core::{ErrorKind, Result, Sequence, Timestamp};
use trestle_engine::{Commit, Engine, Urgency, Write};
use trestle_engine_embedded::{Settings, open};
use trestle_host::{Host, ManualClock, SeededRandom};
use trestle_sim::disk::SimDisk;
use trestle_sim::spawn::SimSpawn;

const KEY: Bytes = Bytes::from_static(b"key");

fn put() -> Commit {
    Commit {
        writes: vec![Write::Put {
            key: KEY,
            value: Bytes::from_static(b"value"),
            body: None,
        }],
        ..Commit::default()
    }
}

fn delete() -> Commit {
    Commit {
        writes: vec![Write::Delete { key: KEY }],
        urgency: Urgency::Freeing,
        ..Commit::default()
    }
}

/// An engine on a disk of its own.
struct Machine {
    disk: SimDisk,
    spawn: Arc<SimSpawn>,
    engine: Engine,
}

impl Machine {
    fn new() -> Self {
        let (disk, spawn) = (SimDisk::new(), Arc::new(SimSpawn::default()));
        let host = Host {
            clock: Arc::new(ManualClock::at(Timestamp(0))),
            random: Arc::new(SeededRandom::new(1)),
            spawn: spawn.clone(),
            disk: Arc::new(disk.clone()),
        };
        let opening = open(&host, Path::new("/data"), Settings::default());
        let opened = spawn.run(opening).and_then(Result::ok);
        Machine {
            engine: opened.unwrap_or_else(|| panic!("the engine does not open")),
            disk,
            spawn,
        }
    }

    fn commit(&self, commit: Commit) -> std::result::Result<Sequence, ErrorKind> {
        let committed = self.spawn.run(self.engine.meta.commit(commit));
        match committed.unwrap_or_else(|| panic!("a commit hangs")) {
            Ok(committed) => Ok(committed.sequence),
            Err(error) => Err(error.kind()),
        }
    }

    fn reads(&self) -> bool {
        let read = async { self.engine.meta.snapshot().await?.get(&KEY).await };
        let read = self.spawn.run(read).and_then(Result::ok);
        read.unwrap_or_else(|| panic!("a read fails")).is_some()
    }
}

#[test]
fn a_full_disk_takes_only_what_frees_and_is_over_when_there_is_space_again() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let machine = Machine::new();
        assert!(machine.commit(put()).is_ok());
        // What was allocated before is used up first.
        machine.disk.fail_allocations(Some(kind));
        let refused = (0..200_000).find_map(|_| machine.commit(put()).err());
        assert_eq!(refused, Some(ErrorKind::NoSpace), "{kind}");
        assert!(machine.reads());
        assert!(machine.commit(delete()).is_ok(), "{kind}");
        assert!(!machine.reads());
        assert_eq!(machine.commit(put()), Err(ErrorKind::NoSpace), "{kind}");
        machine.disk.fail_allocations(None);
        assert!(machine.commit(put()).is_ok(), "{kind}");
        assert!(machine.reads());
    }
}

#[test]
fn a_sick_disk_is_not_taken_for_a_full_one() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new();
    assert!(machine.commit(put()).is_ok());
    machine.disk.fail_allocations(Some(io::ErrorKind::Other));
    let refused = (0..200_000).find_map(|_| machine.commit(put()).err());
    assert_eq!(refused, Some(ErrorKind::Unavailable));
    assert!(machine.reads());
    machine.disk.fail_allocations(None);
    assert_eq!(machine.commit(put()), Err(ErrorKind::Unavailable));
    assert_eq!(machine.commit(delete()), Err(ErrorKind::Unavailable));
    assert!(machine.reads());
}
