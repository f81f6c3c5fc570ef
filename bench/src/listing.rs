//! A bucket of a million keys: pages of it, the time to start with it, the memory it takes.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::{Plan, target};
use crate::machine::{median, scratch};
use redb::ReadableDatabase as _;
use std::path::Path;
use std::time::Instant;
use trestle_tests::client::escape;
use trestle_tests::{Client, Launch, Server};

const ROWS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("rows");
const PAGE: usize = 1000;
const PAGES: u64 = 200;

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// All of it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let keys = arguments.number("keys", 1_000_000)?;
    let folder = scratch("listing")?;
    let launch = Launch::new(folder.join("data"));
    let server = launch.start();
    server.client().send("PUT", "/rest/b/", &[], &[])?;
    let plan = Plan {
        address: server.address,
        verb: "put",
        size: 100,
        clients: 32,
        milliseconds: 0,
        tag: "k".into(),
        count: keys,
    };
    let found = plan.run()?;
    println!(
        "{keys} objects of 100 bytes by 32 clients, checkpoints included: {:.0} a second; p50 {:.2} \
         ms, p99 {:.2} ms, worst {:.0} ms. Resident then: {} MiB.\n",
        found.rate,
        found.p50,
        found.p99,
        found.worst,
        server.resident() >> 20
    );
    let server = restarts(&launch, server)?;
    pages(&server, keys, &folder)?;
    println!(
        "Resident after the listings: {} MiB.",
        server.resident() >> 20
    );
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Starts after a stop and after a kill.
fn restarts(launch: &Launch, server: Server) -> Result<Server> {
    println!("| start with a million objects | ms until it listens | resident, MiB |");
    println!("|---|---|---|");
    let mut server = Some(server);
    for kind in [
        "after a clean stop",
        "after kill -9 right behind a clean start",
        "again",
    ] {
        if let Some(server) = server.take() {
            if kind == "after a clean stop" {
                server.stop()?;
            } else {
                server.kill()?;
            }
        }
        let started = launch.start();
        let resident = started.resident() >> 20;
        println!(
            "| {kind} | {:.0} | {resident} |",
            started.start.as_secs_f64() * 1e3
        );
        server = Some(started);
    }
    // The longest replay: as many writes as fit between two checkpoints, then a kill.
    let busy = server.take().ok_or("no server")?;
    let plan = Plan {
        address: busy.address,
        verb: "put",
        size: 100,
        clients: 32,
        milliseconds: 0,
        tag: "replay".into(),
        count: 50_000,
    };
    plan.run()?;
    busy.kill()?;
    let started = launch.start();
    println!(
        "| after kill -9 behind 50,000 writes | {:.0} | {} |\n",
        started.start.as_secs_f64() * 1e3,
        started.resident() >> 20
    );
    Ok(started)
}

fn timed(client: &mut Client, queries: &[String]) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for query in queries {
        let path = format!("/rest/b/?limit={PAGE}&{query}");
        let began = Instant::now();
        let response = client.send("GET", &path, &[], &[])?;
        times.push(milliseconds(began));
        if response.status != 200 {
            return Err(format!("{path}: {}", response.text()).into());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn pages(server: &Server, keys: u64, folder: &Path) -> Result<()> {
    let key = |number: u64| {
        target("k", 100, number)
            .trim_start_matches("/rest/b/")
            .to_owned()
    };
    let anywhere = |page: u64| (page * 7_919_317) % keys;
    let query = |of: &dyn Fn(u64) -> String| (0..PAGES).map(|page| of(anywhere(page))).collect();
    let folder_of = |number: u64| {
        let key = key(number);
        key.rsplit_once('/')
            .map(|(folder, _)| format!("{folder}/"))
            .unwrap_or_default()
    };
    let cases: [(&str, Vec<String>); 4] = [
        (
            "flat, from anywhere",
            query(&|number| format!("after={}", escape(&key(number)))),
        ),
        (
            "with a prefix that holds 1,000",
            query(&|n| format!("prefix={}", escape(&folder_of(n)))),
        ),
        (
            "with a delimiter: 1,000 prefixes of 1,000 keys",
            query(&|_| "prefix=k-100/&delimiter=/".into()),
        ),
        (
            "with a delimiter, from anywhere",
            query(&|n| format!("prefix=k-100/&delimiter=/&after={}", escape(&folder_of(n)))),
        ),
    ];
    let scan = redb_pages(folder, keys, &key)?;
    println!("redb's own scan of 1,000 rows of 300 bytes: {scan:.2} ms.\n");
    println!("| page of 1,000 | p50 ms | p99 ms | redb's scan to it |");
    println!("|---|---|---|---|");
    let mut client = server.client();
    for (name, queries) in cases {
        let times = timed(&mut client, &queries)?;
        let at = |part: usize| {
            times
                .get(times.len() * part / 100)
                .copied()
                .unwrap_or(f64::NAN)
        };
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} |",
            at(50),
            at(99),
            scan / at(50)
        );
    }
    println!();
    Ok(())
}

/// The median time of a page in a plain redb table with as many rows of a record's size.
fn redb_pages(folder: &Path, keys: u64, key: &dyn Fn(u64) -> String) -> Result<f64> {
    let path = folder.join("ceiling.redb");
    let database = redb::Database::create(&path)?;
    let value = [7; 300];
    let write = database.begin_write()?;
    {
        let mut table = write.open_table(ROWS)?;
        for number in 0..keys {
            table.insert(key(number).as_bytes(), value.as_slice())?;
        }
    }
    write.commit()?;
    let read = database.begin_read()?;
    let table = read.open_table(ROWS)?;
    let mut times = Vec::new();
    for page in 0..PAGES {
        let from = key((page * 7_919_317) % keys);
        let began = Instant::now();
        let mut bytes = 0;
        for row in table.range(from.as_bytes()..)?.take(PAGE) {
            let (key, value) = row?;
            bytes += key.value().len() + value.value().len();
        }
        std::hint::black_box(bytes);
        times.push(milliseconds(began));
    }
    std::fs::remove_file(path)?;
    Ok(median(&times))
}
