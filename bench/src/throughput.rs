//! Durable PUT and GET: the server on one core, the client on the other, ceilings in turn with it.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::{Found, Plan};
use crate::machine::{hash_rate, median, scratch, write_rate};
use crate::nginx::Nginx;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use trestle_tests::{Launch, Server};

/// The sizes of bodies.
pub(crate) const SIZES: [usize; 3] = [4 << 10, 64 << 10, 16 << 20];
const CLIENTS: [usize; 2] = [1, 16];

/// The bare server as a child process.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    fn start(folder: &std::path::Path) -> Result<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe()?)
            .args(["bare", "--folder"])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line
            .trim()
            .trim_start_matches("listening on http://")
            .parse();
        let address = address.map_err(|_| format!("the bare server says {line:?}"))?;
        Ok(Bare { child, address })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

struct Bench {
    trestle: Server,
    bare: Bare,
    nginx: Option<Nginx>,
    milliseconds: u64,
    rounds: u64,
}

/// Rates of each server over the rounds.
#[derive(Default)]
struct Rates {
    trestle: Vec<Found>,
    bare: Vec<Found>,
    nginx: Vec<Found>,
}

fn rate(found: &[Found]) -> f64 {
    median(&found.iter().map(|found| found.rate).collect::<Vec<_>>())
}

/// The two tables.
pub(crate) fn run(arguments: &Arguments, wants: &dyn Fn(&str) -> bool) -> Result<()> {
    let folder = scratch("throughput")?;
    for name in ["bare", "nginx"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    let bench = Bench {
        trestle: Launch::new(folder.join("data"))
            .under(&["taskset", "-c", "0"])
            .variable("TRESTLE_LOG", &arguments.text("log", "info")?)
            .start(),
        bare: Bare::start(&folder.join("bare"))?,
        nginx: Nginx::start(&folder.join("nginx"), &SIZES)?,
        milliseconds: arguments.number("seconds", 3)? * 1000,
        rounds: arguments.number("rounds", 3)?,
    };
    let created = bench.trestle.client().send("PUT", "/rest/b/", &[], &[])?;
    if created.status != 201 {
        return Err(format!("the bucket was not made: {}", created.text()).into());
    }
    let hashes = CLIENTS.map(hash_rate);
    let device = write_rate(&folder)?;
    println!(
        "MD5 and CRC-64/NVME together on one core: {:.0} MB/s of one body, {:.0} MB/s of 16 at \
         once. A new file of 512 MiB, written and synced: {:.0} MB/s.\n",
        hashes[0] / 1e6,
        hashes[1] / 1e6,
        device / 1e6
    );
    if wants("put") {
        bench.puts(hashes.map(|rate| rate.min(device)))?;
    }
    if wants("get") {
        bench.gets()?;
    }
    drop(bench);
    Ok(std::fs::remove_dir_all(folder)?)
}

impl Bench {
    fn plan(&self, address: SocketAddr, verb: &'static str, size: usize, clients: usize) -> Plan {
        let milliseconds = self.milliseconds;
        Plan {
            address,
            verb,
            size,
            clients,
            milliseconds,
            tag: "seed".into(),
            count: 0,
        }
    }

    fn puts(&self, stream_rates: [f64; CLIENTS.len()]) -> Result<()> {
        println!(
            "| PUT | clients | Trestle/s | MB/s | p50 ms | p99 ms | bare/s | of bare | of ceiling |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        for size in SIZES {
            for (clients, stream_rate) in CLIENTS.into_iter().zip(stream_rates) {
                let mut rates = Rates::default();
                for round in 0..self.rounds {
                    let mut plan = self.plan(self.trestle.address, "put", size, clients);
                    plan.tag = format!("p{clients}r{round}");
                    rates.trestle.push(plan.run()?);
                    plan.address = self.bare.address;
                    rates.bare.push(plan.run()?);
                }
                let (ours, bare) = (rate(&rates.trestle), rate(&rates.bare));
                let small = size <= 128 << 10;
                let ceiling = if small {
                    bare
                } else {
                    stream_rate / size as f64
                };
                let first = |of: fn(&Found) -> f64| {
                    median(&rates.trestle.iter().map(of).collect::<Vec<_>>())
                };
                println!(
                    "| {} | {clients} | {ours:.0} | {:.0} | {:.2} | {:.2} | {bare:.0} | {:.2} | {:.2} |",
                    name(size),
                    ours * size as f64 / 1e6,
                    first(|found| found.p50),
                    first(|found| found.p99),
                    ours / bare,
                    ours / ceiling,
                );
            }
        }
        println!();
        Ok(())
    }

    fn gets(&self) -> Result<()> {
        println!("| GET | clients | Trestle/s | MB/s | p99 ms | of bare | of nginx |");
        println!("|---|---|---|---|---|---|---|");
        for size in SIZES {
            let count = if size > 1 << 20 { 8 } else { 1000 };
            let seeding = Plan {
                milliseconds: 0,
                count,
                ..self.plan(self.trestle.address, "put", size, 4)
            };
            seeding.run()?;
            for clients in CLIENTS {
                let mut rates = Rates::default();
                for _ in 0..self.rounds {
                    let mut plan = self.plan(self.trestle.address, "get", size, clients);
                    plan.count = count;
                    rates.trestle.push(plan.run()?);
                    plan.address = self.bare.address;
                    rates.bare.push(plan.run()?);
                    if let Some(nginx) = &self.nginx {
                        plan.address = nginx.address;
                        rates.nginx.push(plan.run()?);
                    }
                }
                let ours = rate(&rates.trestle);
                let p99: Vec<f64> = rates.trestle.iter().map(|found| found.p99).collect();
                println!(
                    "| {} | {clients} | {ours:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
                    name(size),
                    ours * size as f64 / 1e6,
                    median(&p99),
                    ours / rate(&rates.bare),
                    ours / rate(&rates.nginx),
                );
            }
        }
        println!();
        Ok(())
    }
}

fn name(size: usize) -> String {
    if size >= 1 << 20 {
        format!("{} MiB", size >> 20)
    } else {
        format!("{} KiB", size >> 10)
    }
}
