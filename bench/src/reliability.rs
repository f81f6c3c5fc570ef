//! `cargo xtask reliability kill | syscalls | histories`: the lanes of `trestle_tests` at full length.

use crate::Result;
use crate::arguments::Arguments;
use crate::machine::{describe, scratch};
use std::time::{Duration, Instant};
use trestle_tests::histories;
use trestle_tests::kill::{self, Plan, Tally};
use trestle_tests::syscalls::{self, Covered};

/// Clients that write at once.
const WRITERS: u64 = 8;
/// Lives of the server on one data folder.
const LIVES: u64 = 40;

/// Kills the server until the time is over.
pub(crate) fn kill(arguments: &Arguments) -> Result<()> {
    let minutes = arguments.number("minutes", 1)?;
    let began = Instant::now();
    let plan = Plan {
        seed: arguments.number("seed", 1)?,
        until: began + Duration::from_secs(60 * minutes),
        writers: arguments.number("writers", WRITERS)?,
        lives: LIVES,
        folder: scratch("kill")?,
        variables: variables(arguments),
    };
    println!("{}, seed {}", describe(), plan.seed);
    let tally = kill::run(&plan, &mut |tally| println!("{}", shown(tally, began)))?;
    println!("no promise was broken: {}", shown(&tally, began));
    Ok(())
}

/// A fault at every system call.
pub(crate) fn syscalls(arguments: &Arguments) -> Result<()> {
    let began = Instant::now();
    let only = arguments.text("only", "")?;
    let plan = syscalls::Plan {
        seed: arguments.number("seed", 1)?,
        sample: Some(arguments.number("sample", 0)?).filter(|sample| *sample > 0),
        only: only
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        folder: scratch("syscalls")?,
        variables: variables(arguments),
    };
    println!("{}, seed {}", describe(), plan.seed);
    let (mut points, mut second) = (0, 0);
    syscalls::run(&plan, &mut |scene, covered| {
        points += covered.all();
        second += covered.second;
        println!("{scene}: {}", covered_text(covered));
    })?;
    println!(
        "no promise was broken: {points} faults, {second} of them followed by a second, in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Clients of a history, and what each of them asks.
const CLIENTS: u64 = 16;
const REQUESTS: u64 = 125;

/// Histories, until the time is over.
pub(crate) fn histories(arguments: &Arguments) -> Result<()> {
    let minutes = arguments.number("minutes", 1)?;
    let began = Instant::now();
    let plan = histories::Plan {
        seed: arguments.number("seed", 1)?,
        until: began + Duration::from_secs(60 * minutes),
        histories: u64::MAX,
        clients: arguments.number("clients", CLIENTS)?,
        requests: arguments.number("requests", REQUESTS)?,
        kill_one_in: arguments.number("kill-one-in", 2)?,
        folder: scratch("histories")?,
        variables: variables(arguments),
    };
    println!("{}, seed {}", describe(), plan.seed);
    let said = |tally: &histories::Tally| {
        let seconds = began.elapsed().as_secs_f64();
        format!(
            "{seconds:.0} s, {} histories, {} of them killed, {} requests, {} of them open, {} \
             conditions that did not hold, {} copies and moves, {} uploads completed and {} given \
             up, {} transactions, {} snapshots, {} clones, {} writes into volumes, \
             {:.1} s of checking",
            tally.histories,
            tally.kills,
            tally.requests,
            tally.unknown,
            tally.refused,
            tally.joined,
            tally.uploads,
            tally.given_up,
            tally.transactions,
            tally.snapshots,
            tally.clones,
            tally.volume_writes,
            tally.checking.as_secs_f64()
        )
    };
    let tally = histories::run(&plan, &mut |tally| {
        if tally.histories.is_multiple_of(20) {
            println!("{}", said(tally));
        }
    })?;
    println!("every history is linearizable: {}", said(&tally));
    Ok(())
}

fn covered_text(covered: &Covered) -> String {
    let points: Vec<String> = covered
        .points
        .iter()
        .map(|((fault, call), at)| {
            let of = covered.calls.get(call).copied().unwrap_or_default();
            format!("{fault:?} at {} {call} of {of}", at.len())
        })
        .collect();
    format!(
        "{} faults ({}), {} writes acknowledged, {} objects compared",
        covered.all(),
        points.join(", "),
        covered.writes,
        covered.objects
    )
}

/// A planted bug, when one is asked for.
fn variables(arguments: &Arguments) -> Vec<(String, String)> {
    let canary = arguments.given("canary");
    let variable = |name: &str| ("TRESTLE_CANARY".to_owned(), name.to_owned());
    canary.map(variable).into_iter().collect()
}

fn shown(tally: &Tally, began: Instant) -> String {
    let seconds = began.elapsed().as_secs_f64();
    format!(
        "{:.0} s, {} folders, {} kills ({} while serving, {} while starting, {} while stopping), \
         {} writes acknowledged, {} objects and {} absent keys compared, of the requests cut off \
         {} happened and {} did not, slowest start {:.0} ms; {:.0} kills an hour",
        seconds,
        tally.folders,
        tally.all_kills(),
        tally.kills,
        tally.kills_in_start,
        tally.kills_in_stop,
        tally.writes,
        tally.objects,
        tally.absent,
        tally.happened,
        tally.vanished,
        tally.slowest_start.as_secs_f64() * 1e3,
        tally.all_kills() as f64 / seconds * 3600.0
    )
}
