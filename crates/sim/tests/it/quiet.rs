//! What the engine does when nobody writes: an index that is mostly air is written anew, and what was
//! moved stays; and somebody who writes, or a stop, in the middle of that.

use crate::TURN;
use crate::machine::{Machine, commit, turns};
use bytes::Bytes;
use std::path::Path;
use std::sync::PoisonError;
use trestle_engine::{Body, Write};
use trestle_engine_embedded::{Phase, Settings};
use trestle_host::{Disk, OpenMode, SeededRandom};

const ROWS: u64 = 700;

fn row(number: u64) -> Bytes {
    format!("row {number:05}").into()
}

/// A store whose index is mostly air: most of its rows have gone.
fn airy() -> Machine {
    let machine = Machine::new(Settings {
        memtable_bytes: 256 << 10,
        log_segment_bytes: 1 << 20,
        slack_bytes: 64 << 10,
        index_cache_bytes: 1 << 20,
        ..Settings::default()
    });
    let put = |number: u64| Write::Put {
        key: row(number),
        value: vec![number as u8; 6000].into(),
        body: None,
    };
    // Not in order, so that the index has pages that are half full.
    for start in 0..7 {
        let numbers = (start..ROWS).step_by(7);
        assert!(machine.commit(commit(numbers.map(put).collect())).is_ok());
    }
    let gone = (0..ROWS).filter(|number| !stays(*number));
    let delete = |number| Write::Delete { key: row(number) };
    assert!(machine.commit(commit(gone.map(delete).collect())).is_ok());
    machine
}

fn stays(number: u64) -> bool {
    number.is_multiple_of(3)
}

fn index_bytes(machine: &Machine) -> u64 {
    let index = machine
        .disk
        .open(Path::new("/data/index.redb"), OpenMode::Read);
    let allocated = index.and_then(|index| index.allocated());
    allocated.unwrap_or_else(|error| panic!("{error}"))
}

fn assert_rows(machine: &Machine, place: &str) {
    for number in 0..ROWS {
        assert_eq!(
            machine.has(&row(number)),
            stays(number),
            "{place}: {number}"
        );
    }
}

#[test]
fn an_index_that_is_mostly_air_is_written_anew_when_nobody_writes() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut machine = airy();
    machine.tidy();
    let before = index_bytes(&machine);
    (0..4).for_each(|_| machine.tidy());
    let after = index_bytes(&machine);
    assert!(after * 2 < before, "{before} bytes, then {after}");
    assert_rows(&machine, "in use");
    let more = Write::Delete { key: row(0) };
    assert!(machine.commit(commit(vec![more])).is_ok());
    assert!(!machine.has(&row(0)) && machine.is_writable());
    machine.disk.kill();
    machine.spawn.kill();
    machine.start();
    assert!(!machine.has(&row(0)) && machine.has(&row(3)));
    // Nothing of it is left, and it is not done for nothing.
    (0..4).for_each(|_| machine.tidy());
    assert!(index_bytes(&machine) < after * 2);
    let left = machine.disk.list(Path::new("/data"));
    let left = left.unwrap_or_else(|error| panic!("{error}"));
    assert!(left.iter().all(|path| !path.ends_with("index.redb.new")));
}

#[test]
fn who_reads_an_index_goes_on_reading_it_when_another_takes_its_place() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = airy();
    machine.tidy();
    let before = index_bytes(&machine);
    let meta = &machine.engine().meta;
    let snapshot = machine.spawn.run(meta.snapshot());
    let snapshot = snapshot.and_then(Result::ok);
    let snapshot = snapshot.unwrap_or_else(|| panic!("there is no snapshot"));
    for number in 0..8 {
        machine.tidy();
        let more = Write::Delete { key: row(number) };
        assert!(number < 4 || machine.commit(commit(vec![more])).is_ok());
    }
    assert!(index_bytes(&machine) * 2 < before);
    for number in 0..ROWS {
        let found = machine.spawn.run(snapshot.get(&row(number)));
        let found = found.unwrap_or_else(|| panic!("a read hangs"));
        let found = found.unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(found.is_some(), stays(number), "{number}");
    }
}

#[test]
fn somebody_may_write_while_the_index_is_written_anew() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for count in (0..60).step_by(6) {
        let mut machine = airy();
        machine.tidy();
        let meta = &machine.engine().meta;
        let changes = |at: u64| {
            let value = Bytes::from(vec![at as u8; 500]);
            let put = |key| Write::Put {
                key,
                value: value.clone(),
                body: None,
            };
            // Before and behind what was written anew by then, new rows and old ones.
            let added = [
                row(at * 70),
                format!("added {at}").into(),
                format!("zzz {at}").into(),
            ];
            let mut writes: Vec<Write> = added.into_iter().map(put).collect();
            writes.push(Write::Delete {
                key: row(at * 70 + 3),
            });
            commit(writes)
        };
        for at in 0..10 {
            let work = async {
                let wrote = async {
                    turns(count).await;
                    meta.commit(changes(at)).await
                };
                futures::future::join(meta.tidy(), wrote).await
            };
            let both = machine.spawn.run(work);
            let both = both.unwrap_or_else(|| panic!("{count}: tidying stands still"));
            assert!(both.0.is_ok() && both.1.is_ok(), "{count}: {both:?}");
            machine.tidy();
            machine.tidy();
        }
        let expected = |number: u64| match (number % 70, number / 70) {
            (0, _) => true,
            (3, _) => false,
            _ => stays(number),
        };
        for start in 0..2 {
            for number in 0..ROWS {
                let found = machine.has(&row(number));
                assert_eq!(found, expected(number), "{count}, start {start}: {number}");
            }
            for at in 0..10 {
                assert!(
                    machine.has(format!("added {at}").as_bytes()),
                    "{count}: {at}"
                );
                assert!(machine.has(format!("zzz {at}").as_bytes()), "{count}: {at}");
            }
            machine.disk.kill();
            machine.spawn.kill();
            machine.start();
        }
    }
}

#[test]
fn an_index_that_is_written_anew_may_be_stopped_anywhere() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut inside, mut seed) = (0, 0);
    for after in (0..240).step_by(3) {
        let mut machine = airy();
        machine.tidy();
        machine.disk.stop_after(Some(after));
        (0..3).for_each(|_| machine.tidy());
        inside += usize::from(machine.disk.stopped_in().contains(&Phase::Renewal));
        seed += 1;
        match after % 9 {
            0 => machine.disk.kill(),
            _ => machine.disk.crash(&SeededRandom::new(seed)),
        }
        machine.spawn.kill();
        machine.start();
        assert_rows(&machine, &format!("after {after}"));
        (0..4).for_each(|_| machine.tidy());
        assert_rows(&machine, &format!("after {after}, later"));
        assert!(machine.is_writable());
    }
    assert!(inside > 10, "{inside} stops came in the middle of it");
}

#[test]
fn what_was_moved_is_not_moved_again_for_its_headers_alone() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new(Settings {
        memtable_bytes: 1 << 10,
        log_segment_bytes: 32 << 10,
        slack_bytes: 16 << 10,
        ..Settings::default()
    });
    // Each takes a segment of its own, a tenth of which is the header.
    for number in 0..20 {
        let put = Write::Put {
            key: row(number),
            value: Bytes::new(),
            body: Some(Body::Attached(vec![7; 70_000].into())),
        };
        assert!(machine.commit(commit(vec![put])).is_ok());
    }
    let meta = &machine.engine().meta;
    for _ in 0..4 {
        let tidied = futures::future::select(Box::pin(meta.tidy()), Box::pin(turns(20_000)));
        let tidied = machine.spawn.run(tidied);
        let ended = matches!(tidied, Some(futures::future::Either::Left((Ok(()), _))));
        assert!(ended, "tidying does not end");
    }
}
