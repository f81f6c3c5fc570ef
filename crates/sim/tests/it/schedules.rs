//! The engine's own threads, writers and readers, in orders that a seed chooses: at each lock that they
//! share, and each time that one waits for another, any of them may go on.
//!
//! `cargo test -p trestle-sim --features shuttle --test it schedules`; nothing else runs with that
//! feature.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::Mutex;
use shuttle::{Config, Runner, thread};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use trestle_core::{Id, Result, Timestamp};
use trestle_engine::{Body, Commit, Engine, Expectation, MetaRead, Pins, Scan, ScanItem, Write};
use trestle_engine_embedded::{Canary, Settings, open, plant};
use trestle_host::{BlockingCall, Host, ManualClock, SeededRandom, Spawn};
use trestle_sim::disk::SimDisk;

/// Each worker is a thread of the scheduler.
struct Threads;

impl Spawn for Threads {
    fn worker(
        &self,
        _name: &str,
        work: futures::future::BoxFuture<'static, ()>,
    ) -> std::io::Result<()> {
        thread::spawn(move || block_on(work));
        Ok(())
    }

    fn blocking(&self, call: BlockingCall) -> futures::future::BoxFuture<'static, ()> {
        let thread = thread::spawn(call);
        Box::pin(async move {
            // A panic of the call ends the run by itself.
            let _ended = thread.join();
        })
    }
}

/// Commits of each writer.
const COMMITS: u64 = 4;
const WRITERS: u64 = 2;

fn host(seed: u64) -> Host {
    Host {
        clock: Arc::new(ManualClock::at(Timestamp(0))),
        random: Arc::new(SeededRandom::new(seed)),
        spawn: Arc::new(Threads),
        disk: Arc::new(SimDisk::new()),
    }
}

fn content(number: u64) -> Bytes {
    let text = format!("content {number} ");
    text.bytes().cycle().take(70_000).collect::<Vec<_>>().into()
}

/// A commit that streams the shared row's bytes, creates a contended row, and counts.
async fn write(engine: &Engine, number: u64) -> Result<()> {
    let mut writer = engine.data.write(Bytes::from_static(b"shared")).await?;
    writer.append(content(number)).await?;
    let written = writer.finish().await?;
    let put = |key: String, body| Write::Put {
        key: key.into(),
        value: number.to_be_bytes().to_vec().into(),
        body,
    };
    let mut writes = vec![
        put(
            format!("own/{number:04}"),
            Some(Body::Attached(content(number))),
        ),
        Write::Add {
            key: Bytes::from_static(b"count"),
            delta: 1,
        },
    ];
    let streamed = written.extents.into_iter().map(Body::Streamed);
    writes.extend(streamed.map(|body| put("shared".to_owned(), Some(body))));
    let commit = Commit {
        writes,
        tokens: vec![written.token],
        ..Commit::default()
    };
    engine.meta.commit(commit).await.map(drop)
}

/// Whether this creation of a row, of which there is one for each round, has won.
async fn create(engine: &Engine, round: u64) -> bool {
    let key = Bytes::from(format!("contended/{round}"));
    let commit = Commit {
        expectations: vec![Expectation::Absent(key.clone())],
        writes: vec![Write::Put {
            key,
            value: Bytes::new(),
            body: None,
        }],
        ..Commit::default()
    };
    engine.meta.commit(commit).await.is_ok()
}

async fn body(engine: &Engine, read: &dyn MetaRead, key: &[u8]) -> Option<(u64, Bytes)> {
    let row = read.get(key).await.unwrap()?;
    let number = row
        .value
        .as_ref()
        .try_into()
        .map(u64::from_be_bytes)
        .unwrap();
    let body = row.body.unwrap();
    let length = u64::from(body.length);
    let bytes = engine.data.read_body(&body, 0..length).await.unwrap();
    Some((number, bytes))
}

/// One moment is whole, and stays as it is while the world goes on.
async fn look(engine: &Engine) -> usize {
    let read = engine.meta.snapshot().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let rows = read.scan(&Scan::prefix("own/", 1000)).await.unwrap();
        let count = read.get(b"count").await.unwrap();
        let count = count.map_or(0, |row| {
            row.value
                .as_ref()
                .try_into()
                .map(i64::from_be_bytes)
                .unwrap()
        });
        assert_eq!(count, rows.len() as i64, "a commit was seen in part");
        if let Some((number, bytes)) = body(engine, &*read, b"shared").await {
            assert_eq!(bytes, content(number), "a reader was given other bytes");
        }
        seen.push(rows.iter().map(ScanItem::key).cloned().collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1], "a snapshot changed");
    seen[0].len()
}

/// Writers, a reader, and somebody who tidies; then the store is closed and opened again.
fn history() {
    let host = host(7);
    let settings = Settings {
        memtable_bytes: 1 << 10,
        index_cache_bytes: 1 << 20,
        log_segment_bytes: 32 << 10,
        data_segment_bytes: 256 << 10,
        slice_bytes: 4 << 10,
        slack_bytes: 16 << 10,
        ..Settings::default()
    };
    let opened = block_on(open(&host, Path::new("/store"), settings.clone()));
    let engine = Arc::new(opened.unwrap());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let engine = engine.clone();
            thread::spawn(move || {
                block_on(async {
                    let mut won = Vec::new();
                    for round in 0..COMMITS {
                        write(&engine, writer * COMMITS + round).await.unwrap();
                        won.push(create(&engine, round).await);
                    }
                    won
                })
            })
        })
        .collect();
    let reader = {
        let engine = engine.clone();
        thread::spawn(move || {
            let mut before = 0;
            for _ in 0..4 {
                let now = block_on(look(&engine));
                assert!(now >= before, "commits went away");
                before = now;
                thread::yield_now();
            }
        })
    };
    for _ in 0..2 {
        block_on(engine.meta.tidy()).unwrap();
    }
    let won: Vec<Vec<bool>> = writers.into_iter().map(|w| w.join().unwrap()).collect();
    reader.join().unwrap();
    for round in 0..COMMITS as usize {
        let winners = won.iter().filter(|won| won[round]).count();
        assert_eq!(winners, 1, "creations of one row that succeeded");
    }
    block_on(engine.meta.close()).unwrap();
    drop(engine);
    let engine = block_on(open(&host, Path::new("/store"), settings)).unwrap();
    assert_eq!(block_on(look(&engine)) as u64, WRITERS * COMMITS);
    block_on(engine.meta.close()).unwrap();
}

fn run(scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    // The index needs more than a thread of a model usually has.
    config.stack_size = 4 << 20;
    config.max_steps = shuttle::MaxSteps::FailAfter(10_000_000);
    Runner::new(scheduler, config).run(history);
}

/// Contents by id, and which of them is current.
#[derive(Default)]
struct Shelf {
    current: u8,
    contents: BTreeMap<u8, u64>,
}

fn id(number: u8) -> Id {
    Id([number; 16])
}

/// Changes the current content: in place when nobody reads it, else by putting another in its place.
async fn change(pins: &Arc<Pins>, shelf: &Mutex<Shelf>, value: u64, blind: bool) {
    loop {
        let current = shelf.lock().unwrap().current;
        let announced = pins.announce(&[id(current)].into()).await;
        if shelf.lock().unwrap().current != current {
            continue;
        }
        let pinned = announced.is_pinned(id(current)) && !blind;
        let mut shelf = shelf.lock().unwrap();
        if pinned {
            shelf.current = current + 1;
        }
        let place = shelf.current;
        shelf.contents.insert(place, value);
        return;
    }
}

/// Reads the current content twice.
async fn read_twice(pins: &Arc<Pins>, shelf: &Mutex<Shelf>) {
    loop {
        let current = shelf.lock().unwrap().current;
        let _pin = pins.pin(id(current)).await;
        // What is current after it was pinned stays as it is.
        if shelf.lock().unwrap().current != current {
            continue;
        }
        let read = || shelf.lock().unwrap().contents.get(&current).copied();
        let first = read();
        thread::yield_now();
        assert_eq!(read(), first, "a content changed under its reader");
        return;
    }
}

/// Readers who pin, and writers who announce.
fn pins_history(blind: bool) {
    let (pins, shelf) = (
        Arc::new(Pins::default()),
        Arc::new(Mutex::<Shelf>::default()),
    );
    let threads: Vec<_> = (0..4)
        .map(|number: u64| {
            let (pins, shelf) = (pins.clone(), shelf.clone());
            thread::spawn(move || {
                for round in 0..3 {
                    if number.is_multiple_of(2) {
                        block_on(change(&pins, &shelf, number * 3 + round, blind));
                    } else {
                        block_on(read_twice(&pins, &shelf));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(
        format!("{pins:?}"),
        "{}",
        "a pin or an announcement is left"
    );
}

#[test]
fn pins_and_announcements_see_each_other_in_every_order() {
    // They take no time beside those of a whole engine.
    let schedules = 50 * crate::number("TRESTLE_SCHEDULES", 60) as usize;
    let seed = crate::number("TRESTLE_SEED", 1);
    let sound = || pins_history(false);
    Runner::new(
        RandomScheduler::new_from_seed(seed, schedules),
        Config::new(),
    )
    .run(sound);
    Runner::new(
        PctScheduler::new_from_seed(seed, 3, schedules),
        Config::new(),
    )
    .run(sound);
    let caught = std::panic::catch_unwind(|| {
        let orders = RandomScheduler::new_from_seed(seed, schedules);
        Runner::new(orders, Config::new()).run(|| pins_history(true));
    });
    assert!(
        caught.is_err(),
        "a writer that does not look was not caught"
    );
}

#[test]
fn every_order_keeps_the_promises_and_planted_bugs_do_not() {
    let schedules = crate::number("TRESTLE_SCHEDULES", 60) as usize;
    let seed = crate::number("TRESTLE_SEED", 1);
    run(RandomScheduler::new_from_seed(seed, schedules));
    run(PctScheduler::new_from_seed(seed, 3, schedules));
    for canary in [Canary::PunchUnderReaders, Canary::IgnoreExpectations] {
        plant(Some(canary));
        let caught = std::panic::catch_unwind(|| {
            run(RandomScheduler::new_from_seed(seed, 40 * schedules));
        });
        plant(None);
        assert!(caught.is_err(), "{canary:?} was not caught");
    }
}
