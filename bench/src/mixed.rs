//! A mixed load for as long as one likes: whether the last minutes are as good as the first.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::{Found, Plan};
use crate::machine::{median, scratch};
use trestle_tests::Launch;
use trestle_tests::tree::allocated;

/// Minutes that are held against each other.
const WINDOW: usize = 5;

/// Reads, writes, overwrites and deletes of several sizes for `--minutes`, a row for each minute.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let minutes = arguments.number("minutes", 30)?;
    let seconds = arguments.number("seconds-a-minute", 60)?;
    let folder = scratch("mixed")?;
    let data = folder.join("data");
    let server = Launch::new(data.clone())
        .under(&["taskset", "-c", "0"])
        .start();
    server.client().send("PUT", "/rest/b/", &[], b"")?;
    println!("| minute | requests/s | p50 ms | p99 ms | worst ms | on disk, MiB | resident, MiB |");
    println!("|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for minute in 0..minutes {
        let plan = Plan {
            address: server.address,
            verb: "mixed",
            size: 0,
            clients: 16,
            milliseconds: seconds * 1000,
            tag: minute.to_string(),
            count: arguments.number("objects", 100_000)?,
        };
        let found = plan.run()?;
        println!(
            "| {} | {:.0} | {:.2} | {:.2} | {:.0} | {} | {} |",
            minute + 1,
            found.rate,
            found.p50,
            found.p99,
            found.worst,
            allocated(&data) >> 20,
            server.resident() >> 20
        );
        all.push(found);
    }
    let window = WINDOW.min(all.len() / 2).max(1);
    let of = |part: &[Found], what: fn(&Found) -> f64| {
        median(&part.iter().map(what).collect::<Vec<_>>())
    };
    let first = all.get(..window).unwrap_or_default();
    let last = all
        .get(all.len().saturating_sub(window)..)
        .unwrap_or_default();
    println!(
        "\nThe last {window} minutes against the first: {:.2} of the rate, {:.2} times the p99.\n",
        of(last, |f| f.rate) / of(first, |f| f.rate),
        of(last, |f| f.p99) / of(first, |f| f.p99)
    );
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}
