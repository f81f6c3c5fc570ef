//! An allocation or a sync that fails: a full disk is a full disk, nothing else is, and no sync is
//! believed after one that failed.

use crate::TURN;
use crate::machine::Machine;
use bytes::Bytes;
use std::io;
use std::sync::PoisonError;
use trestle_core::ErrorKind;
use trestle_engine::{Body, Commit, Urgency, Write};
use trestle_engine_embedded::{Canary, Settings, plant};
use trestle_host::{Disk, SeededRandom};

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

#[test]
fn a_full_disk_takes_only_what_frees_and_is_over_when_there_is_space_again() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let machine = Machine::new(Settings::default());
        assert!(machine.commit(put()).is_ok());
        // What was allocated before is used up first.
        machine.disk.fail_allocations(Some(kind));
        let refused = (0..200_000).find_map(|_| machine.commit(put()).err());
        assert_eq!(refused, Some(ErrorKind::NoSpace), "{kind}");
        assert!(machine.has(&KEY));
        assert!(machine.commit(delete()).is_ok(), "{kind}");
        assert!(!machine.has(&KEY));
        assert_eq!(machine.commit(put()), Err(ErrorKind::NoSpace), "{kind}");
        machine.disk.fail_allocations(None);
        assert!(machine.commit(put()).is_ok(), "{kind}");
        assert!(machine.has(&KEY));
    }
}

#[test]
fn a_sick_disk_is_not_taken_for_a_full_one() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new(Settings::default());
    assert!(machine.commit(put()).is_ok());
    machine.disk.fail_allocations(Some(io::ErrorKind::Other));
    let refused = (0..200_000).find_map(|_| machine.commit(put()).err());
    assert_eq!(refused, Some(ErrorKind::Unavailable));
    assert!(machine.has(&KEY));
    machine.disk.fail_allocations(None);
    assert_eq!(machine.commit(put()), Err(ErrorKind::Unavailable));
    assert_eq!(machine.commit(delete()), Err(ErrorKind::Unavailable));
    assert!(machine.has(&KEY));
}

#[test]
fn a_disk_that_does_not_say_what_is_free_is_not_taken_for_a_full_one() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new(Settings::default());
    assert!(machine.commit(put()).is_ok());
    machine.disk.fail_free_bytes(Some(io::ErrorKind::Other));
    assert_eq!(machine.commit(put()), Err(ErrorKind::Unavailable));
    assert!(machine.has(&KEY));
}

/// Most of them overwrite each other, and what stays keeps the log's segments from going.
fn wasteful(number: u64) -> Commit {
    let key = if number.is_multiple_of(9) { number } else { 0 };
    Commit {
        writes: vec![Write::Put {
            key: format!("row {key}").into(),
            value: Bytes::new(),
            body: Some(Body::Attached(vec![7; 10_000].into())),
        }],
        ..Commit::default()
    }
}

#[test]
fn a_failed_sync_refuses_all_later_writes_wherever_it_happens() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = Settings {
        log_segment_bytes: 64 << 10,
        slack_bytes: 64 << 10,
        ..Settings::default()
    };
    let mut failed = 0;
    for after in 0..80 {
        let machine = Machine::new(settings.clone());
        machine.disk.fail_sync_after(Some(after));
        for number in 0..40 {
            // The snapshot is written, and bodies are moved. Once a sync has failed both may be refused.
            let _refused = machine.commit(wasteful(number));
            machine.tidy();
            if machine.disk.sync_has_failed() {
                failed += 1;
                assert!(!machine.is_writable(), "{after}");
                let refused = machine.commit(put());
                assert_eq!(refused, Err(ErrorKind::Unavailable), "{after}");
                break;
            }
        }
    }
    assert_eq!(failed, 80);
}

#[test]
fn an_index_that_met_a_full_disk_half_way_goes_on_when_there_is_space_again() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = Settings {
        log_segment_bytes: 64 << 10,
        slack_bytes: 64 << 10,
        // Nothing is read from memory that is also on disk.
        index_cache_bytes: 0,
        ..Settings::default()
    };
    for after in 0..40 {
        let mut machine = Machine::new(settings.clone());
        machine.disk.fail_write_after("index.redb", after);
        let mut number = 0;
        while !machine.disk.write_has_failed() {
            assert!(machine.commit(wasteful(number)).is_ok(), "{after}");
            machine.tidy();
            number += 1;
        }
        for more in number..number + 20 {
            assert!(machine.commit(wasteful(more)).is_ok(), "{after}");
            machine.tidy();
            assert!(machine.has(b"row 0"), "{after}");
        }
        machine.disk.kill();
        machine.spawn.kill();
        machine.start();
        assert!(machine.has(b"row 0") && machine.is_writable(), "{after}");
    }
}

#[test]
fn an_index_that_cannot_grow_is_read_all_the_same() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new(Settings {
        log_segment_bytes: 64 << 10,
        memtable_bytes: 16 << 10,
        ..Settings::default()
    });
    for number in 0..20 {
        assert!(machine.commit(wasteful(number)).is_ok());
        machine.tidy();
    }
    machine
        .disk
        .fail_allocations(Some(io::ErrorKind::StorageFull));
    let mut refused = 0;
    for number in 0..400 {
        let row = Write::Put {
            key: format!("more {number}").into(),
            value: Bytes::from(vec![7; 4000]),
            body: None,
        };
        let commit = Commit {
            writes: vec![row],
            ..Commit::default()
        };
        match machine.commit(commit) {
            Ok(_) => {}
            Err(kind) => {
                assert_eq!(kind, ErrorKind::NoSpace);
                refused += 1;
            }
        }
        machine.tidy();
        assert!(machine.has(b"row 0") && machine.is_writable());
    }
    assert!(refused > 0);
    machine.disk.fail_allocations(None);
    machine.tidy();
    assert!((0..3).any(|_| machine.commit(wasteful(0)).is_ok()));
}

#[test]
fn log_segments_are_used_again_and_none_is_kept_for_nothing() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut machine = Machine::new(Settings {
        log_segment_bytes: 64 << 10,
        slack_bytes: 64 << 10,
        spare_segments: 2,
        ..Settings::default()
    });
    let spares = |machine: &Machine| {
        let log = machine.disk.list("/data/log".as_ref());
        let log = log.unwrap_or_else(|error| panic!("{error}"));
        let spare = log
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "spare"));
        spare.count()
    };
    let (mut most, mut used, mut before) = (0, 0, 0);
    for number in 0..200 {
        assert!(machine.commit(wasteful(number)).is_ok());
        machine.tidy();
        let now = spares(&machine);
        used += usize::from(now < before);
        most = most.max(now);
        before = now;
    }
    assert_eq!(most, 2);
    assert!(used > 3, "used {used} times");
    // When nothing is written they go; moves are writes, too.
    assert!((0..20).any(|_| {
        machine.tidy();
        spares(&machine) == 0
    }));
    let mut number = 1000;
    while spares(&machine) == 0 {
        assert!(number < 1200, "none was set aside again");
        assert!(machine.commit(wasteful(number)).is_ok());
        machine.tidy();
        number += 1;
    }
    // So they do before anything is refused for want of space.
    machine.disk.say_free_bytes(Some(1));
    assert_eq!(machine.commit(put()), Err(ErrorKind::NoSpace));
    assert_eq!(spares(&machine), 0);
    machine.disk.say_free_bytes(None);
    while spares(&machine) == 0 {
        assert!(number < 1400, "none was set aside at last");
        assert!(machine.commit(wasteful(number)).is_ok());
        machine.tidy();
        number += 1;
    }
    machine.disk.kill();
    machine.spawn.kill();
    machine.start();
    assert_eq!(spares(&machine), 0);
    assert!(machine.has(b"row 0") && machine.is_writable());
}

/// The sync of the longer index fails and the process is killed; the power goes in the next run, which
/// found the length in the page cache. Whether that run was stopped among its writes.
fn index_grown(after: u64, then: u64) -> trestle_core::Result<bool> {
    let mut machine = Machine::new(Settings {
        memtable_bytes: 16 << 10,
        log_segment_bytes: 64 << 10,
        index_cache_bytes: 0,
        ..Settings::default()
    });
    let row = |number: u64| Commit {
        writes: vec![Write::Put {
            key: format!("more {number}").into(),
            value: Bytes::from(vec![7; 4000]),
            body: None,
        }],
        ..Commit::default()
    };
    for number in 0..12 {
        assert!(machine.commit(row(number)).is_ok());
    }
    machine.disk.fail_sync_after(Some(after));
    machine.tidy();
    machine.disk.kill();
    machine.spawn.kill();
    machine.try_start()?;
    machine.disk.stop_after(Some(then));
    let written = (20..50).take_while(|number| machine.commit(row(*number)).is_ok());
    let stopped = written.count() < 30;
    machine.tidy();
    machine.disk.crash(&SeededRandom::new(after * 100 + then));
    machine.spawn.kill();
    machine.try_start()?;
    assert!(machine.has(b"more 11"), "{after} {then}");
    Ok(stopped)
}

#[test]
fn an_index_that_grew_without_being_durable_is_opened_after_a_kill_and_a_crash() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let early = (0..14).flat_map(|after| (0..90).step_by(8).map(move |then| (after, then)));
    // Here the next run has built upon the length.
    let built = || (100..200).step_by(5).map(|then| (0, then));
    let mut stopped = 0;
    for (after, then) in early.chain(built()) {
        match index_grown(after, then) {
            Ok(was_stopped) => stopped += usize::from(was_stopped),
            Err(error) => panic!("{after} {then}: {error}"),
        }
    }
    assert!(
        stopped > 50,
        "{stopped} runs were stopped among their writes"
    );
    plant(Some(Canary::TrustIndexLength));
    let caught = built().find(|(after, then)| index_grown(*after, *then).is_err());
    plant(None);
    assert!(
        caught.is_some(),
        "a length that is not durable was believed"
    );
}
