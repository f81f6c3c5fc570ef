//! What the engine does when nobody writes, or little: an index that is mostly air is written anew, and
//! what was moved stays; and somebody who writes, or a stop, in the middle of that.

use crate::TURN;
use crate::machine::{Machine, commit, turns};
use bytes::Bytes;
use futures::future::Either;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;
use trestle_engine::{Body, Write};
use trestle_engine_embedded::{Canary, Phase, Settings, plant};
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
fn somebody_who_writes_a_little_now_and_then_keeps_no_air() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (pause, renewed) in [(5, true), (0, false)] {
        let machine = airy();
        machine.tidy();
        let before = index_bytes(&machine);
        for number in 0..8 {
            let more = Write::Delete { key: row(number) };
            assert!(machine.commit(commit(vec![more])).is_ok());
            machine.clock.advance(Duration::from_secs(pause));
            machine.tidy();
        }
        let after = index_bytes(&machine);
        assert_eq!(after * 2 < before, renewed, "{before} bytes, then {after}");
        assert!(!machine.has(&row(3)) && machine.has(&row(9)));
    }
}

/// A row like that of a volume's block, with few bytes of its own.
fn block(number: u64) -> Write {
    let key = [&[0x41; 17][..], &(number * 4096).to_be_bytes()].concat();
    Write::Put {
        key: key.into(),
        value: Bytes::from_static(&[1, 0xA1, 0, 0x19, 0x10, 0]),
        body: Some(Body::Attached(Bytes::from_static(&[7; 16]))),
    }
}

#[test]
fn an_index_of_blocks_written_at_random_has_no_more_air_than_it_must() {
    const BLOCKS: u64 = 20_000;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new(Settings {
        // As many blocks between two checkpoints as 64 MiB of log are of a volume of 200 MiB.
        memtable_bytes: 1200 << 10,
        log_segment_bytes: 1 << 20,
        slack_bytes: 512 << 10,
        ..Settings::default()
    });
    let random = SeededRandom::new(7);
    let mut there = BTreeSet::new();
    for _ in 0..3 * BLOCKS / 100 {
        let numbers = (0..100).map(|_| random.next_u64() % BLOCKS);
        let numbers: BTreeSet<u64> = numbers.collect();
        there.extend(numbers.iter().copied());
        let writes = numbers.into_iter().map(block).collect();
        assert!(machine.commit(commit(writes)).is_ok());
        machine.tidy();
    }
    let blocks = there.len() as u64;
    let written = index_bytes(&machine) / blocks;
    (0..5).for_each(|_| machine.tidy());
    let renewed = index_bytes(&machine) / blocks;
    println!("{blocks} blocks: {written} bytes of index for each, {renewed} when nobody writes");
    assert!(written < 260 && renewed < 120, "{written}, then {renewed}");
}

/// Reads what was there before another index took the place of the one that holds it.
fn read_on() -> Result<(), String> {
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
        let found = found.map_err(|error| format!("{number}: {error}"))?;
        assert_eq!(found.is_some(), stays(number), "{number}");
    }
    Ok(())
}

#[test]
fn who_reads_an_index_goes_on_reading_it_when_another_takes_its_place() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(read_on(), Ok(()));
    plant(Some(Canary::CloseUnderReaders));
    let caught = read_on();
    plant(None);
    assert!(caught.is_err(), "an index was closed under its reader");
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

#[test]
fn nobody_waits_for_a_checkpoint_that_somebody_else_waits_for() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new(Settings::default());
    let put = |number| Write::Put {
        key: row(number),
        value: Bytes::from_static(b"value"),
        body: None,
    };
    assert!(machine.commit(commit(vec![put(1)])).is_ok());
    machine.clock.advance(Duration::from_secs(5));
    machine.spawn.hold(Some("checkpointer"));
    let meta = &machine.engine().meta;
    let work = async {
        let tidied = meta.tidy();
        let wrote = async {
            // The other one is heard first.
            turns(10).await;
            meta.commit(commit(vec![put(2)])).await
        };
        match futures::future::select(tidied, Box::pin(wrote)).await {
            Either::Left(_) => panic!("there was nothing to wait for"),
            Either::Right((wrote, tidied)) => {
                machine.spawn.hold(None);
                (wrote, tidied.await)
            }
        }
    };
    let both = machine.spawn.run(work);
    let (wrote, tidied) = both.unwrap_or_else(|| panic!("a commit waits for the index"));
    assert!(wrote.is_ok() && tidied.is_ok(), "{wrote:?} {tidied:?}");
    assert!(machine.has(&row(1)) && machine.has(&row(2)));
}
