//! How long snapshots and clones take, at sizes that are far apart: of volumes, and of whole buckets.

use crate::Result;
use crate::arguments::Arguments;
use crate::blocks::{JSON, VOLUME, at};
use crate::machine::{median, scratch};
use crate::verbs::{expect, make};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use trestle_tests::tree::allocated;
use trestle_tests::{Client, Launch, Server};

/// Clients that fill a bucket.
const WRITERS: u64 = 16;
/// Verbs of one transaction that fills it.
const VERBS: u64 = 500;

/// Snapshots and clones.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = scratch("snapshots")?;
    let data = folder.join("data");
    let server = Launch::new(data.clone()).start();
    volumes(arguments, &server, &data)?;
    buckets(arguments, &server, &data)?;
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// The 99th of 100.
fn worst(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    at(&sorted, 0.99)
}

/// A request for something new, and how many milliseconds it took.
fn timed(client: &mut Client, path: &str, document: &str) -> Result<f64> {
    let began = Instant::now();
    let answer = client.send("POST", path, &[JSON], document.as_bytes())?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    expect(answer, &[201], path).map(|_| took)
}

/// Of a small, a large and a huge sparse volume.
fn volumes(arguments: &Arguments, server: &Server, data: &Path) -> Result<()> {
    let times = arguments.number("times", 100)?;
    let shift = arguments.number("smaller", 0)?;
    let mut client = server.client();
    client.send("PUT", "/rest/b/", &[], b"")?;
    println!(
        "| volume | snapshot, p50 ms | p99 ms | clone, p50 ms | p99 ms | allocated by all of them, KiB |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, length, sparse) in [
        ("1 MiB", 1u64 << 20, false),
        ("1 GiB", (1 << 30) >> shift, false),
        ("100 GiB, sparse", (100 << 30) >> shift, true),
    ] {
        let key = length.to_string();
        let target = format!("/rest/b/{key}");
        let size = format!("{{\"size\":{length}}}");
        let made = client.send("PUT", &target, &[VOLUME], size.as_bytes())?;
        expect(made, &[201], "PUT")?;
        make(&mut client, &target, (length, sparse), 8 << 20)?;
        let before = allocated(data);
        let (mut snapshots, mut clones) = (Vec::new(), Vec::new());
        for (path, name, taken) in [
            ("/-/snapshots", "name", &mut snapshots),
            ("/-/clones", "to_key", &mut clones),
        ] {
            for number in 0..times {
                let document =
                    format!("{{\"bucket\":\"b\",\"key\":\"{key}\",\"{name}\":\"{key}-{number}\"}}");
                taken.push(timed(&mut client, path, &document)?);
            }
        }
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {} |",
            median(&snapshots),
            worst(&snapshots),
            median(&clones),
            worst(&clones),
            allocated(data).saturating_sub(before) >> 10
        );
    }
    println!();
    Ok(())
}

/// Of buckets of few and of many objects.
fn buckets(arguments: &Arguments, server: &Server, data: &Path) -> Result<()> {
    let times = arguments.number("times", 100)?;
    let shift = arguments.number("smaller", 0)?;
    let mut client = server.client();
    println!(
        "| bucket of objects | snapshot, p50 ms | p99 ms | clone, p50 ms | p99 ms | allocated by all of them, KiB | page of 1,000 of the bucket, ms | of a snapshot, ms | of a clone, ms | deletion of one, p50 ms | p99 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for objects in [1_000u64, 100_000, 1_000_000].map(|objects| objects >> shift) {
        let bucket = format!("of-{objects}");
        let made = client.send("PUT", &format!("/rest/{bucket}/"), &[], b"")?;
        expect(made, &[201], "PUT")?;
        fill(server, &bucket, objects)?;
        let before = allocated(data);
        let mut snapshots = Vec::new();
        for number in 0..times {
            let document = format!("{{\"bucket\":\"{bucket}\",\"name\":\"s{number}\"}}");
            snapshots.push(timed(&mut client, "/-/snapshots", &document)?);
        }
        let mut clones = Vec::new();
        for number in 0..times {
            let document =
                format!("{{\"bucket\":\"{bucket}\",\"to_bucket\":\"{bucket}-c{number}\"}}");
            clones.push(timed(&mut client, "/-/clones", &document)?);
        }
        let more = allocated(data).saturating_sub(before) >> 10;
        let mut page = |name: &str| -> Result<f64> {
            let began = Instant::now();
            let target = format!("/rest/{name}/?limit=1000");
            expect(client.send("GET", &target, &[], b"")?, &[200], "GET")?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        };
        let (mut of_bucket, mut of_snapshot, mut of_clone) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..20 {
            of_bucket.push(page(&bucket)?);
            of_snapshot.push(page(&format!("{bucket}__s0"))?);
            of_clone.push(page(&format!("{bucket}-c0"))?);
        }
        let mut deletions = Vec::new();
        for number in 0..times {
            let began = Instant::now();
            let target = format!("/rest/{bucket}__s{number}/");
            let answer = client.send("DELETE", &target, &[], b"")?;
            deletions.push(began.elapsed().as_secs_f64() * 1e3);
            expect(answer, &[204], "DELETE")?;
        }
        println!(
            "| {objects} | {:.2} | {:.2} | {:.2} | {:.2} | {more} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            median(&snapshots),
            worst(&snapshots),
            median(&clones),
            worst(&clones),
            median(&of_bucket),
            median(&of_snapshot),
            median(&of_clone),
            median(&deletions),
            worst(&deletions)
        );
    }
    println!();
    Ok(())
}

/// Puts so many objects of a hundred bytes into a bucket.
fn fill(server: &Server, bucket: &str, objects: u64) -> Result<()> {
    let next = &AtomicU64::new(0);
    let text = "0123456789".repeat(10);
    let text = &text;
    let one = || -> Result<()> {
        let mut client = server.client();
        loop {
            let first = next.fetch_add(VERBS, Ordering::Relaxed);
            if first >= objects {
                return Ok(());
            }
            let put = |number: u64| {
                format!(
                    "{{\"verb\":\"put\",\"bucket\":\"{bucket}\",\"key\":\"{number:08}\",\"text\":\"{text}\"}}"
                )
            };
            let verbs: Vec<String> = (first..objects.min(first + VERBS)).map(put).collect();
            let document = format!("{{\"verbs\":[{}]}}", verbs.join(","));
            let target = "/-/transactions";
            let answer = client.send("POST", target, &[JSON], document.as_bytes())?;
            expect(answer, &[200], target)?;
        }
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..WRITERS).map(|_| scope.spawn(one)).collect();
        let ended = running.into_iter().map(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err("a client panicked".into()))
        });
        ended.collect()
    })
}
