//! How many durable commits a second the engine takes with log segments that are used again, and
//! without: `cargo run --release -p trestle-engine-embedded --example recycling -- FOLDER [SECONDS]`.
//!
//! The two take turns in the same folder's file system; each overwrites a thousand rows of 4 KiB, by
//! one writer and by sixteen, after so many commits that there are segments to be used again.
#![expect(clippy::disallowed_methods, reason = "a benchmark needs real time")]

use bytes::Bytes;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trestle_engine::{Body, Commit, Engine, Write};
use trestle_engine_embedded::{Settings, open};
use trestle_host::Host;

const ROWS: u64 = 1000;
const BODY_BYTES: usize = 4096;
const TURNS: usize = 7;
/// Commits before anything is counted.
const COMMITS_BEFORE: u64 = 30_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn settings(spare_segments: usize) -> Settings {
    Settings {
        spare_segments,
        // Many changes of segment in a short time.
        log_segment_bytes: 4 << 20,
        slack_bytes: 8 << 20,
        ..Settings::default()
    }
}

/// Commits of one writer until the time is over.
async fn write(
    engine: &Engine,
    writer: u64,
    next: &AtomicU64,
    goes_on: &(dyn Fn(u64) -> bool + Sync),
) -> trestle_core::Result<()> {
    let body = Bytes::from(vec![writer as u8; BODY_BYTES]);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if !goes_on(number) {
            return Ok(());
        }
        let put = Write::Put {
            key: format!("row/{:06}", number * 7919 % ROWS).into(),
            value: Bytes::copy_from_slice(&number.to_be_bytes()),
            body: Some(Body::Attached(body.clone())),
        };
        let commit = Commit {
            writes: vec![put],
            ..Commit::default()
        };
        engine.meta.commit(commit).await?;
    }
}

/// Commits a second, for as long as `goes_on` with their number and the time.
fn turn(
    engine: &Engine,
    writers: u64,
    goes_on: &(dyn Fn(u64, Duration) -> bool + Sync),
) -> Outcome<f64> {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let goes_on = |number| goes_on(number, began.elapsed());
    let work = (0..writers).map(|writer| write(engine, writer, &next, &goes_on));
    let ended = futures::executor::block_on(futures::future::join_all(work));
    ended.into_iter().collect::<trestle_core::Result<()>>()?;
    Ok(next.into_inner() as f64 / began.elapsed().as_secs_f64())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    for writers in [1, 16] {
        let mut rates = [Vec::new(), Vec::new()];
        let mut engines = Vec::new();
        for spares in [0, 4] {
            let folder = Path::new(&folder).join(format!("recycling-{writers}-{spares}"));
            std::fs::create_dir_all(&folder)?;
            let host = Host::real();
            let opening = open(&host, &folder, settings(spares));
            let engine = futures::executor::block_on(opening)?;
            turn(&engine, 16, &|number, _| number < COMMITS_BEFORE)?;
            engines.push((engine, folder));
        }
        for _ in 0..TURNS {
            for (rates, (engine, _)) in rates.iter_mut().zip(&engines) {
                let time = Duration::from_secs(seconds);
                rates.push(turn(engine, writers, &|_, passed| passed < time)?);
            }
        }
        for (rates, (engine, folder)) in rates.iter_mut().zip(engines) {
            futures::executor::block_on(engine.meta.close())?;
            std::fs::remove_dir_all(folder)?;
            rates.sort_by(f64::total_cmp);
        }
        let median = |rates: &[f64]| rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN);
        let [all_without, all_with] = &rates;
        let (without, with) = (median(all_without), median(all_with));
        println!(
            "{writers} writers: {without:.0} commits/s without, {with:.0} with, {:.2} times",
            with / without
        );
        println!("  without {all_without:.0?}\n  with    {all_with:.0?}");
    }
    Ok(())
}
