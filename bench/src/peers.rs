//! The same load on this server and on others that run on the same machine, in turns: S3 servers, or
//! Swift servers. The others are started by whoever measures, and named by `--peer`.
//!
//! Nothing is pinned to a core: server and client share the machine, whoever the server is.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::Found;
use crate::machine::{median, scratch};
use crate::peer::{Endpoint, PART, PART_WRITERS, SWIFT_BULK, Until, Verb};
use std::time::{Duration, Instant};
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, USER};
use trestle_tests::{Launch, Random, Server};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SIZES: [(&str, usize); 3] = [
    ("4 KiB", 4 * KIB),
    ("64 KiB", 64 * KIB),
    ("16 MiB", 16 * MIB),
];
const CLIENTS: u64 = 16;
const BUCKET: &str = "trestle-bench";
/// How many small objects reads go round, and how many of 16 MiB.
const SMALL: u64 = 1000;
const LARGE: u64 = 16;
/// Bodies of the keys that are listed.
const LISTED: usize = 100;

/// What one measurement says: more is better, and how it reads in the table.
struct Figure {
    rate: f64,
    more: f64,
}

/// Servers in turns, cell after cell.
struct Bench {
    endpoints: Vec<Endpoint>,
    limit: Duration,
    rounds: u64,
    cells: String,
}

/// S3: PUT and GET of three sizes, a mixed load, a listing, an upload in parts.
pub(crate) fn s3(arguments: &Arguments) -> Result<()> {
    let folder = scratch("peers")?;
    let server = Launch::new(folder.join("data")).start();
    let own = Endpoint::s3("Trestle", &url(&server, ""), ACCESS_KEY, SECRET_KEY)?;
    let bench = Bench::new(arguments, own, Endpoint::s3, "put,get,mixed,list,multipart")?;
    bench.head();
    for (name, size) in SIZES {
        if bench.wants("put") {
            bench.puts(name, size);
        }
        if bench.wants("get") {
            bench.gets(name, size);
        }
    }
    if bench.wants("mixed") {
        bench.mixed();
    }
    if bench.wants("list") {
        bench.listing(arguments.number("keys", 1_000_000)?);
    }
    if bench.wants("multipart") {
        bench.multipart(arguments.number("mib", 1024)?);
    }
    println!();
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Swift: small PUT and GET, a listing, and deletes of many in one request.
pub(crate) fn swift(arguments: &Arguments) -> Result<()> {
    let folder = scratch("swift-peers")?;
    let server = Launch::new(folder.join("data")).start();
    let user = format!("{USER}:{USER}");
    let own = Endpoint::swift("Trestle", &url(&server, "/auth/v1.0"), &user, PASSWORD)?;
    let bench = Bench::new(arguments, own, Endpoint::swift, "put,get,list,delete")?;
    bench.head();
    if bench.wants("put") {
        bench.puts("4 KiB", 4 * KIB);
    }
    if bench.wants("get") {
        bench.gets("4 KiB", 4 * KIB);
    }
    let keys = arguments.number("keys", 1_000_000)?;
    if bench.wants("list") || bench.wants("delete") {
        bench.listing(keys);
    }
    if bench.wants("delete") {
        bench.bulk(keys);
    }
    println!();
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

/// Keys by the thousand in folders of their own.
fn listed(number: u64) -> String {
    format!("{BUCKET}-list/{:05}/{number:09}", number / 1000)
}

fn latency(found: &Found) -> Figure {
    Figure {
        rate: found.rate,
        more: found.p50,
    }
}

type Measure<'a> = &'a dyn Fn(&Endpoint, u64) -> Result<Figure>;
type Open = fn(&str, &str, &str, &str) -> Result<Endpoint>;

impl Bench {
    fn new(arguments: &Arguments, own: Endpoint, open: Open, cells: &str) -> Result<Self> {
        let mut endpoints = vec![own];
        for peer in arguments.all("peer") {
            let (name, rest) = peer.split_once('=').unwrap_or((peer, ""));
            match rest.splitn(3, ',').collect::<Vec<_>>()[..] {
                [url, user, secret] => endpoints.push(open(name, url, user, secret)?),
                _ => return Err(format!("--peer {name}: NAME=URL,USER,SECRET").into()),
            }
        }
        for endpoint in &endpoints {
            // It may be there from an earlier run.
            let _exists = endpoint.session().ask("PUT", BUCKET, &[], b"");
        }
        Ok(Bench {
            endpoints,
            limit: Duration::from_secs(arguments.number("seconds", 5)?),
            rounds: arguments.number("rounds", 3)?,
            cells: arguments.text("cells", cells)?,
        })
    }

    fn wants(&self, cell: &str) -> bool {
        self.cells.split(',').any(|other| other == cell)
    }

    fn head(&self) {
        let names: Vec<&str> = self.endpoints.iter().map(|one| one.name.as_str()).collect();
        println!("| | {} | of the best other |", names.join(" | "));
        println!("|---{}|---|", "|---".repeat(names.len()));
    }

    /// One row: each server in turn, as often as there are rounds, and the median of each. A server
    /// that fails shows `–`, and why on standard error; the others go on.
    fn row(&self, name: &str, rounds: u64, measure: Measure<'_>) {
        let mut figures: Vec<Vec<Figure>> = self.endpoints.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for (endpoint, figures) in self.endpoints.iter().zip(&mut figures) {
                match measure(endpoint, round) {
                    Ok(figure) => figures.push(figure),
                    Err(error) => eprintln!("{}: {name}: {error}", endpoint.name),
                }
            }
        }
        let middle = |figures: &Vec<Figure>, of: fn(&Figure) -> f64| {
            median(&figures.iter().map(of).collect::<Vec<_>>())
        };
        let rates: Vec<f64> = figures
            .iter()
            .map(|some| middle(some, |figure| figure.rate))
            .collect();
        let cells: Vec<String> = figures
            .iter()
            .zip(&rates)
            .map(|(some, rate)| match middle(some, |figure| figure.more) {
                _ if some.len() as u64 != rounds => "–".to_owned(),
                more if more.is_nan() => format!("{rate:.0}"),
                more => format!("{rate:.0} ({more:.1})"),
            })
            .collect();
        let (own, others) = rates.split_first().unwrap_or((&f64::NAN, &[]));
        let best = others.iter().copied().fold(f64::NAN, f64::max);
        let ratio = match best.is_nan() {
            true => "–".to_owned(),
            false => format!("{:.2}", own / best),
        };
        println!("| {name} | {} | {ratio} |", cells.join(" | "));
    }

    fn puts(&self, name: &str, size: usize) {
        let name = format!("PUT {name}, {CLIENTS} clients, /s (p50 ms)");
        self.row(&name, self.rounds, &|endpoint, round| {
            let key = |number: u64| format!("{BUCKET}/put-{size}-{round}/{number}");
            let next = |number: u64, _: &mut Random| (Verb::Put, key(number), size);
            let until = Until::Time(self.limit);
            Ok(latency(&endpoint.drive(CLIENTS, until, size, &next)?))
        });
    }

    fn gets(&self, name: &str, size: usize) {
        let name = format!("GET {name}, {CLIENTS} clients, /s (p50 ms)");
        let count = if size > MIB { LARGE } else { SMALL };
        self.row(&name, self.rounds, &|endpoint, round| {
            if round == 0 {
                seed(endpoint, size, count)?;
            }
            let next = |number: u64, _: &mut Random| {
                (Verb::Get, read_key(size, number * 7919 % count), size)
            };
            let until = Until::Time(self.limit);
            Ok(latency(&endpoint.drive(CLIENTS, until, 0, &next)?))
        });
    }

    /// Seven reads to three overwrites, of the same keys.
    fn mixed(&self) {
        let size = 4 * KIB;
        let name = format!("70 GET to 30 PUT of 4 KiB, {CLIENTS} clients, /s (p50 ms)");
        self.row(&name, self.rounds, &|endpoint, round| {
            if round == 0 {
                seed(endpoint, size, SMALL)?;
            }
            let next = |_: u64, random: &mut Random| {
                let verb = if random.below(10) < 7 {
                    Verb::Get
                } else {
                    Verb::Put
                };
                (verb, read_key(size, random.below(SMALL)), size)
            };
            let until = Until::Time(self.limit);
            Ok(latency(&endpoint.drive(CLIENTS, until, size, &next)?))
        });
    }

    /// Writes so many small objects, and lists them all, page by page.
    fn listing(&self, keys: u64) {
        let bucket = format!("{BUCKET}-list");
        let name =
            format!("{keys} objects of {LISTED} bytes written, {CLIENTS} clients, /s (p50 ms)");
        self.row(&name, 1, &|endpoint, _| {
            let _exists = endpoint.session().ask("PUT", &bucket, &[], b"");
            let next = |number: u64, _: &mut Random| (Verb::Put, listed(number), LISTED);
            let found = endpoint.drive(CLIENTS, Until::Count(keys), LISTED, &next)?;
            Ok(latency(&found))
        });
        let name = format!("list of {keys} keys, one client, keys/s (s)");
        self.row(&name, self.rounds, &|endpoint, _| {
            let began = Instant::now();
            let found = endpoint.session().list(&bucket)?;
            if found as u64 != keys {
                return Err(format!("{found} keys were listed").into());
            }
            let seconds = began.elapsed().as_secs_f64();
            Ok(Figure {
                rate: keys as f64 / seconds,
                more: seconds,
            })
        });
    }

    fn multipart(&self, mib: u64) {
        let parts = mib.div_ceil(PART as u64 / MIB as u64);
        let name = format!(
            "{mib} MiB in parts of {} MiB by {PART_WRITERS} writers, MiB/s (completion ms)",
            PART / MIB
        );
        self.row(&name, self.rounds, &|endpoint, round| {
            let key = format!("{BUCKET}/parts-{round}");
            let (seconds, complete) = endpoint.multipart(&key, parts)?;
            endpoint.session().ask("DELETE", &key, &[], b"")?;
            Ok(Figure {
                rate: mib as f64 / seconds,
                more: complete,
            })
        });
    }

    /// Deletes what the listing was of.
    fn bulk(&self, keys: u64) {
        let names: Vec<String> = (0..keys).map(listed).collect();
        let name = format!("{keys} objects deleted by {SWIFT_BULK} in a request, /s (s)");
        self.row(&name, 1, &|endpoint, _| {
            let began = Instant::now();
            endpoint.session().delete_many(&names)?;
            let seconds = began.elapsed().as_secs_f64();
            Ok(Figure {
                rate: keys as f64 / seconds,
                more: seconds,
            })
        });
    }
}

/// Writes what reads of a size ask for.
fn seed(endpoint: &Endpoint, size: usize, count: u64) -> Result<Found> {
    let next = |number: u64, _: &mut Random| (Verb::Put, read_key(size, number), size);
    endpoint.drive(4, Until::Count(count), size, &next)
}

fn read_key(size: usize, number: u64) -> String {
    format!("{BUCKET}/get-{size}/{number}")
}
