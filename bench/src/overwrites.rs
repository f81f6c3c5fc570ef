//! Overwriting the same objects again and again: how much space it takes, and how soon it is back.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::Plan;
use crate::machine::scratch;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use trestle_tests::Launch;
use trestle_tests::tree::allocated;

/// How long the store may take to give back what it does not need.
const PATIENCE: Duration = Duration::from_secs(60);

/// Overwrites `--bytes` of objects `--rounds` times, in each size, and prints a table.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let bytes = arguments.number("bytes", 1 << 30)?;
    let rounds = arguments.number("rounds", 10)?;
    println!(
        "| body | written | most allocated | after the last write | after {} s | audit log beside it | PUT p99, first and worst round |\n\
         |---|---|---|---|---|---|---|",
        PATIENCE.as_secs()
    );
    for (name, size) in [
        ("4 KiB", 4 << 10),
        ("64 KiB", 64 << 10),
        ("64 MiB", 64 << 20),
    ] {
        one(name, size, bytes, rounds)?;
    }
    Ok(())
}

fn one(name: &str, size: u64, bytes: u64, rounds: u64) -> Result<()> {
    let data = scratch("overwrites")?.join("data");
    let server = Launch::new(data.clone()).start();
    server.client().send("PUT", "/rest/b/", &[], b"")?;
    // The audit log has a bound of its own, whatever is written.
    let audit = data.join("audit");
    let stored = || allocated(&data).saturating_sub(allocated(&audit));
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let latencies = std::thread::scope(|scope| -> Result<Vec<f64>> {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(stored(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let found = (0..rounds).map(|_| {
            let plan = Plan {
                address: server.address,
                verb: "put",
                size: usize::try_from(size)?,
                clients: if size > 1 << 20 { 4 } else { 16 },
                milliseconds: 0,
                tag: "again".to_owned(),
                count: (bytes / size).max(1),
            };
            Ok(plan.run()?.p99)
        });
        let found = found.collect();
        done.store(true, Ordering::Relaxed);
        found
    })?;
    let after = stored();
    std::thread::sleep(PATIENCE);
    let tidied = stored();
    let worst = latencies.iter().copied().fold(0.0, f64::max);
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "| {name} | {} × {} MiB | {} MiB | {} MiB | {} MiB | {} MiB | {:.1} ms, {worst:.1} ms |",
        rounds,
        mib(bytes),
        mib(most.into_inner()),
        mib(after),
        mib(tidied),
        mib(allocated(&audit)),
        latencies.first().copied().unwrap_or_default(),
    );
    server.stop()?;
    Ok(())
}
