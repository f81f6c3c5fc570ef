//! Volumes and transactions: random writes into a volume for as long as one likes, held against a file
//! on the same disk; transactions per second.

use crate::Result;
use crate::arguments::Arguments;
use crate::machine::scratch;
use crate::verbs::expect;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trestle_tests::tree::{allocated, noise};
use trestle_tests::{Client, Launch, Random, Server};

const BLOCK: u64 = 4096;
/// Parts of the time, of which the last is held against the first.
const WINDOWS: u64 = 6;
/// How long the store may take to give back what it does not need.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const VOLUME: (&str, &str) = ("content-type", "application/vnd.trestle.volume+json");
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// The `part` of sorted values.
pub(crate) fn at(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part) as usize;
    let place = place.min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Random 4 KiB writes and reads.
pub(crate) fn volume(arguments: &Arguments) -> Result<()> {
    let minutes = arguments.number("minutes", 2)?;
    let bytes = arguments.number("bytes", 256 << 20)?;
    let clients = arguments.number("clients", 16)?;
    let seconds = arguments.number("seconds", 10)?;
    let folder = scratch("volume")?;
    let data = folder.join("data");
    let server = Launch::new(data.clone()).start();
    let mut client = server.client();
    client.send("PUT", "/rest/b/", &[], b"")?;
    let size = format!("{{\"size\":{bytes}}}");
    expect(
        client.send("PUT", "/rest/b/v", &[VOLUME], size.as_bytes())?,
        &[201],
        "PUT",
    )?;
    sustained(&server, &data, (bytes, clients, minutes))?;
    let limit = Duration::from_secs(seconds);
    let written = over(clients, limit, |random, body| {
        let mut connection = server.client();
        let body = body.to_vec();
        let mut random = random;
        Box::new(move || write(&mut connection, random.below(bytes / BLOCK), &body))
    })?;
    let read = over(clients, limit, |random, _| {
        let mut connection = server.client();
        let mut random = random;
        Box::new(move || {
            let first = random.below(bytes / BLOCK) * BLOCK;
            let range = format!("bytes={first}-{}", first + BLOCK - 1);
            let headers = [("range", range.as_str())];
            expect(
                connection.send("GET", "/rest/b/v", &headers, b"")?,
                &[206],
                "GET",
            )?;
            Ok(())
        })
    })?;
    server.stop()?;
    let path = folder.join("file");
    let file = File::create_new(&path)?;
    let piece = noise(1, 1 << 20);
    for at in (0..bytes).step_by(piece.len()) {
        file.write_all_at(&piece, at)?;
    }
    file.sync_all()?;
    let file = &file;
    let file_written = over(clients, limit, |random, body| {
        let body = body.to_vec();
        let mut random = random;
        Box::new(move || {
            file.write_all_at(&body, random.below(bytes / BLOCK) * BLOCK)?;
            Ok(file.sync_data()?)
        })
    })?;
    let file = File::open(&path)?;
    let file = &file;
    let file_read = over(clients, limit, |random, body| {
        let mut buffer = body.to_vec();
        let mut random = random;
        Box::new(move || {
            file.read_exact_at(&mut buffer, random.below(bytes / BLOCK) * BLOCK)?;
            Ok(())
        })
    })?;
    println!(
        "| {clients} clients, 4 KiB | a volume over HTTP, 1/s | a file, fdatasync after each write, 1/s | ratio |"
    );
    println!("|---|---|---|---|");
    for (name, ours, theirs) in [
        ("random writes", written, file_written),
        ("random reads", read, file_read),
    ] {
        println!(
            "| {name} | {ours:.0} | {theirs:.0} | {:.3} |",
            ours / theirs
        );
    }
    println!();
    Ok(std::fs::remove_dir_all(folder)?)
}

type Step<'a> = Box<dyn FnMut() -> Result<()> + Send + 'a>;

/// Steps per second of so many threads.
fn over<'a>(
    clients: u64,
    limit: Duration,
    begin: impl Fn(Random, &[u8]) -> Step<'a>,
) -> Result<f64> {
    let steps: Vec<Step<'a>> = (0..clients)
        .map(|client| begin(Random::new(client + 77), &noise(client, BLOCK as usize)))
        .collect();
    let (began, count) = (Instant::now(), AtomicU64::new(0));
    let count = &count;
    std::thread::scope(|scope| {
        let running: Vec<_> = steps
            .into_iter()
            .map(|mut step| {
                scope.spawn(move || {
                    while began.elapsed() < limit {
                        step()?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let ended = running.into_iter().map(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err("a client panicked".into()))
        });
        ended.collect::<Result<()>>()
    })?;
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

fn write(connection: &mut Client, block: u64, body: &[u8]) -> Result<()> {
    let first = block * BLOCK;
    let range = format!("bytes {first}-{}/*", first + BLOCK - 1);
    let headers = [("content-range", range.as_str())];
    let answer = connection.send("PATCH", "/rest/b/v", &headers, body)?;
    expect(answer, &[204], "PATCH").map(drop)
}

/// Writes for so many minutes, and says what becomes of times and space.
fn sustained(
    server: &Server,
    data: &Path,
    (bytes, clients, minutes): (u64, u64, u64),
) -> Result<()> {
    let window = Duration::from_secs(60 * minutes) / WINDOWS as u32;
    let blocks: Vec<AtomicBool> = (0..bytes / BLOCK).map(|_| AtomicBool::new(false)).collect();
    let (blocks, began) = (&blocks, Instant::now());
    println!(
        "| part | writes/s | p50 ms | p99 ms | live MiB | allocated MiB | ratio | log, spare segments, index, snapshot, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut ends = Vec::new();
    for part in 0..WINDOWS {
        let until = began + window * (part as u32 + 1);
        let started = Instant::now();
        let one = |client: u64| -> Result<Vec<f64>> {
            let mut connection = server.client();
            let mut random = Random::new((part << 32) | client);
            let mut latencies = Vec::new();
            while Instant::now() < until {
                let block = random.below(bytes / BLOCK);
                let body = noise(random.number(), BLOCK as usize);
                let sent = Instant::now();
                write(&mut connection, block, &body)?;
                latencies.push(sent.elapsed().as_secs_f64() * 1e3);
                if let Some(written) = blocks.get(block as usize) {
                    written.store(true, Ordering::Relaxed);
                }
            }
            Ok(latencies)
        };
        let found: Vec<Result<Vec<f64>>> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..clients)
                .map(|client| scope.spawn(move || one(client)))
                .collect();
            let ended = running.into_iter().map(|thread| {
                let joined = thread.join();
                joined.unwrap_or_else(|_| Err("a client panicked".into()))
            });
            ended.collect()
        });
        let mut latencies: Vec<f64> = Vec::new();
        for some in found {
            latencies.extend(some?);
        }
        latencies.sort_by(f64::total_cmp);
        let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
        let (median, worst) = (at(&latencies, 0.5), at(&latencies, 0.99));
        println!(
            "| {} of {WINDOWS} | {rate:.0} | {median:.2} | {worst:.2} | {} |",
            part + 1,
            space(blocks, data)
        );
        ends.push(worst);
    }
    std::thread::sleep(PATIENCE);
    println!(
        "| {} s later | | | | {} |",
        PATIENCE.as_secs(),
        space(blocks, data)
    );
    let (first, last) = (ends.first(), ends.last());
    let ratio = last.copied().unwrap_or(f64::NAN) / first.copied().unwrap_or(f64::NAN);
    println!(
        "\n{minutes} min over {} MiB, {clients} clients: the p99 of the last sixth of the time is {ratio:.2} × that of the first.\n",
        bytes >> 20
    );
    Ok(())
}

/// What is live, what is allocated, and their ratio.
fn space(blocks: &[AtomicBool], data: &Path) -> String {
    let written = blocks.iter().filter(|block| block.load(Ordering::Relaxed));
    // The audit log has a bound of its own, whatever is written.
    let there = allocated(data).saturating_sub(allocated(&data.join("audit")));
    let live = written.count() as u64 * BLOCK;
    let ratio = there as f64 / live.max(1) as f64;
    let spare = spares(&data.join("log"));
    let log = allocated(&data.join("log")).saturating_sub(spare);
    let parts = [
        log,
        spare,
        file(&data.join("index.redb")),
        allocated(&data.join("snapshot")),
    ];
    let parts = parts.map(|bytes| (bytes >> 20).to_string()).join(", ");
    format!("{} | {} | {ratio:.2} | {parts}", live >> 20, there >> 20)
}

/// Bytes of the device that a file takes.
fn file(path: &Path) -> u64 {
    path.metadata().map_or(0, |data| data.blocks() * 512)
}

/// Bytes of log segments that are kept to be used again.
fn spares(log: &Path) -> u64 {
    let files = std::fs::read_dir(log).into_iter().flatten().flatten();
    let spare = files.map(|file| file.path()).filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "spare")
    });
    spare.map(|path| file(&path)).sum()
}

/// Transactions of few and of many verbs, each of which puts a small object.
pub(crate) fn transactions(arguments: &Arguments) -> Result<()> {
    let seconds = arguments.number("seconds", 10)?;
    let clients = arguments.number("clients", 8)?;
    let folder = scratch("transactions")?;
    let server = Launch::new(folder.join("data")).start();
    server.client().send("PUT", "/rest/b/", &[], b"")?;
    println!("| verbs | clients | transactions/s | verbs/s |");
    println!("|---|---|---|---|");
    for clients in [1, clients] {
        for verbs in [2u64, 10, 1_000] {
            let (server, numbers) = (&server, &AtomicU64::new(0));
            let limit = Duration::from_secs(seconds);
            let rate = over(clients, limit, |_, _| {
                let mut connection = server.client();
                Box::new(move || {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let put = |verb: u64| {
                        format!(
                            "{{\"verb\":\"put\",\"bucket\":\"b\",\"key\":\"{clients}/{verbs}/{number}/{verb}\",\"text\":\"0123456789\"}}"
                        )
                    };
                    let all: Vec<String> = (0..verbs).map(put).collect();
                    let document = format!("{{\"verbs\":[{}]}}", all.join(","));
                    let target = "/-/transactions";
                    let answer = connection.send("POST", target, &[JSON], document.as_bytes())?;
                    expect(answer, &[200], target).map(drop)
                })
            })?;
            println!(
                "| {verbs} | {clients} | {rate:.0} | {:.0} |",
                rate * verbs as f64
            );
        }
    }
    println!();
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}
