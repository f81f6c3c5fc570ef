//! The load client: blocking threads with one keep-alive connection each, requests built ahead,
//! answers drained into one buffer. Lean, so that the server and not the client is measured.

use crate::Result;
use crate::arguments::Arguments;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use trestle_tests::Random;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::tree::noise;

/// What one load process found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Requests that were answered.
    pub(crate) requests: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Latencies in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) worst: f64,
}

impl Found {
    /// From the milliseconds that each request took, and the seconds of all.
    pub(crate) fn of(mut latencies: Vec<f64>, seconds: f64) -> Self {
        latencies.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (latencies.len() as f64 * part) as usize;
            latencies
                .get(place.min(latencies.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0)
        };
        Found {
            requests: latencies.len() as f64,
            rate: latencies.len() as f64 / seconds,
            p50: at(0.5),
            p99: at(0.99),
            worst: at(1.0),
        }
    }
}

/// What a load process is to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// `put` of new keys, `get` of keys that a put with the tag `seed` left, or `mixed`.
    pub(crate) verb: &'static str,
    pub(crate) size: usize,
    pub(crate) clients: usize,
    pub(crate) milliseconds: u64,
    /// Tells the keys of one run from those of another.
    pub(crate) tag: String,
    /// Requests in all; with it, time plays no part. A `get` goes round these keys, and `mixed`
    /// chooses among so many, whatever its tag.
    pub(crate) count: u64,
}

impl Plan {
    /// Runs it in a process on the second core.
    pub(crate) fn run(&self) -> Result<Found> {
        self.run_with(&[])
    }

    /// The same with further flags: `--target`, the one path of every request, and `--headers`,
    /// lines in place of root's credentials.
    pub(crate) fn run_with(&self, flags: &[&str]) -> Result<Found> {
        let output = std::process::Command::new("taskset")
            .args(["-c", "1"])
            .arg(std::env::current_exe()?)
            .arg("load")
            .args(["--address", &self.address.to_string(), "--verb", self.verb])
            .args([
                "--size",
                &self.size.to_string(),
                "--clients",
                &self.clients.to_string(),
            ])
            .args([
                "--milliseconds",
                &self.milliseconds.to_string(),
                "--tag",
                &self.tag,
            ])
            .args(["--count", &self.count.to_string()])
            .args(flags)
            .stderr(std::process::Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("the load client failed: {self:?}").into());
        }
        let numbers: Vec<f64> = String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        match numbers[..] {
            [requests, rate, p50, p99, worst] => Ok(Found {
                requests,
                rate,
                p50,
                p99,
                worst,
            }),
            _ => Err("the load client said nothing of use".into()),
        }
    }
}

/// The path of one object of a run.
pub(crate) fn target(tag: &str, size: usize, number: u64) -> String {
    format!("/rest/b/{tag}-{size}/{:03}/{number}", number / 1000)
}

/// The load process.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let address: SocketAddr = arguments.text("address", "")?.parse()?;
    let clients = arguments.number("clients", 1)?;
    let verb = arguments.text("verb", "get")?;
    let put = verb == "put";
    let size = usize::try_from(arguments.number("size", 4096)?)?;
    let limit = Duration::from_millis(arguments.number("milliseconds", 0)?);
    let (tag, count) = (arguments.text("tag", "x")?, arguments.number("count", 0)?);
    let (tag, began) = (tag.as_str(), Instant::now());
    let (fixed, headers) = (arguments.given("target"), arguments.given("headers"));
    let one = |client: u64| -> Result<Vec<f64>> {
        let mut connection = Connection::open(address, headers, verb == "mixed")?;
        let body = if put { noise(client, size) } else { Vec::new() };
        let mut latencies = Vec::new();
        let mut number = client;
        let mut mixed = Mixed::new(tag, client, count);
        loop {
            let timed_out = !limit.is_zero() && began.elapsed() >= limit;
            if timed_out || limit.is_zero() && number >= count {
                return Ok(latencies);
            }
            let key = |count: u64| (number * 7919) % count;
            let (method, target, body) = match (verb.as_str(), fixed) {
                ("mixed", _) => mixed.next(),
                ("put", _) => ("PUT", target(tag, size, number), body.as_slice()),
                (_, Some(fixed)) => ("GET", fixed.to_owned(), body.as_slice()),
                _ => ("GET", target(tag, size, key(count)), body.as_slice()),
            };
            let started = Instant::now();
            connection.exchange(method, &target, body)?;
            latencies.push(started.elapsed().as_secs_f64() * 1e3);
            number += clients;
        }
    };
    let latencies = at_once(clients, &one)?;
    let seconds = began.elapsed().as_secs_f64();
    let found = Found::of(latencies.into_iter().flatten().collect(), seconds);
    println!(
        "{} {} {} {} {}",
        found.requests, found.rate, found.p50, found.p99, found.worst
    );
    Ok(())
}

/// The requests of a mixed load: half of them reads, and of the rest one in five a delete; small
/// objects above all.
struct Mixed {
    random: Random,
    keys: u64,
    body: Vec<u8>,
}

impl Mixed {
    fn new(tag: &str, client: u64, keys: u64) -> Self {
        let minute: u64 = tag.parse().unwrap_or(0);
        Mixed {
            random: Random::new((minute << 16) | client),
            keys,
            body: noise(client, 1 << 20),
        }
    }

    fn next(&mut self) -> (&'static str, String, &[u8]) {
        let key = self.random.below(self.keys);
        // An object's size goes with its key.
        let size = match key % 100 {
            0 => 1 << 20,
            1..=15 => 64 << 10,
            _ => 4 << 10,
        };
        let target = target("mixed", size, key);
        match self.random.below(10) {
            0..=4 => ("GET", target, &[]),
            5..=8 => ("PUT", target, self.body.get(..size).unwrap_or_default()),
            _ => ("DELETE", target, &[]),
        }
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
    headers: String,
    /// A mixed load also asks for what is not there.
    may_miss: bool,
}

impl Connection {
    fn open(address: SocketAddr, headers: Option<&str>, may_miss: bool) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let root = || {
            let pair = base64(format!("{USER}:{PASSWORD}").as_bytes());
            format!("authorization: Basic {pair}\r\n")
        };
        let headers = headers.map_or_else(root, str::to_owned);
        Ok(Connection {
            stream,
            request: Vec::new(),
            buffer: vec![0; 256 << 10],
            headers: format!("host: {address}\r\n{headers}"),
            may_miss,
        })
    }

    fn exchange(&mut self, verb: &str, target: &str, body: &[u8]) -> Result<()> {
        self.request.clear();
        write!(self.request, "{verb} {target} HTTP/1.1\r\n{}", self.headers)?;
        if verb == "PUT" {
            write!(self.request, "content-length: {}\r\n", body.len())?;
        }
        self.request.extend_from_slice(b"\r\n");
        if body.len() <= 128 << 10 {
            self.request.extend_from_slice(body);
            self.stream.write_all(&self.request)?;
        } else {
            self.stream.write_all(&self.request)?;
            self.stream.write_all(body)?;
        }
        self.drain(target)
    }

    /// Reads one answer with a length and drops it.
    fn drain(&mut self, target: &str) -> Result<()> {
        let mut filled = 0;
        let end = loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(format!("{target}: the connection was closed").into());
            }
            filled += count;
            let head = &self.buffer[..filled];
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let missing = self.may_miss && head.starts_with("HTTP/1.1 404");
        if !head.starts_with("HTTP/1.1 2") && !missing {
            return Err(format!("{target}: {head}").into());
        }
        let length = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<u64>().ok())
            })
            .flatten();
        let mut left = length
            .unwrap_or(0)
            .saturating_sub((filled - end - 4) as u64);
        while left > 0 {
            let count = self.stream.read(&mut self.buffer)?;
            if count == 0 {
                return Err(format!("{target}: the body is cut").into());
            }
            left = left.saturating_sub(count as u64);
        }
        Ok(())
    }
}

/// Runs the same work by several threads; fails as the first of them that fails.
pub(crate) fn at_once<T: Send>(
    count: u64,
    work: &(dyn Fn(u64) -> Result<T> + Sync),
) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a client panicked".into()))
            })
            .collect()
    })
}
