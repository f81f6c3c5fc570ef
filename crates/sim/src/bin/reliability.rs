//! The lanes for as long as one likes: `reliability crash|model|memory --seed N --minutes M --out FILE`.
//!
//! Prints a line a minute, and writes one JSON object with seed, counts and rate. Ends with status 1
//! at the first broken promise, whose seed replays it.
#![expect(clippy::disallowed_methods, reason = "a lane is bounded by real time")]

use std::process::ExitCode;
use std::time::{Duration, Instant};
use trestle_sim::{crash, model};

/// Reboots of one history.
const REBOOTS: u64 = 8;

struct Options {
    seed: u64,
    minutes: u64,
    out: Option<String>,
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        seed: 1,
        minutes: 1,
        out: None,
    };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} needs a number"));
        match name.as_str() {
            "--seed" => options.seed = number()?,
            "--minutes" => options.minutes = number()?,
            "--out" => options.out = Some(value.clone()),
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(options)
}

/// Crashes until the time is over.
fn crashes(options: &Options) -> Result<String, String> {
    let started = Instant::now();
    let until = Duration::from_secs(options.minutes * 60);
    let mut said = Duration::ZERO;
    let mut all = crash::Outcome::default();
    let mut seed = options.seed;
    while started.elapsed() < until {
        all.add(&crash::run(seed, REBOOTS)?);
        seed += 1;
        if started.elapsed() > said + Duration::from_secs(60) {
            said = started.elapsed();
            println!(
                "{} states, {} commits, seed {seed}, {} s",
                all.states,
                all.commits,
                said.as_secs()
            );
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!(
        "{{\"part\":\"crash\",\"first_seed\":{},\"histories\":{},\"states\":{},\
         \"commits\":{},\"broken\":0,\"seconds\":{seconds:.0},\"states_per_hour\":{:.0},\
         \"phases\":{}}}",
        options.seed,
        seed - options.seed,
        all.states,
        all.commits,
        all.states as f64 / seconds * 3600.0,
        all.phases()
    ))
}

/// Operations of one history of the model.
const OPERATIONS: u64 = 1000;

/// Compares the store with the model until the time is over.
fn models(options: &Options, part: &str, over: model::Over) -> Result<String, String> {
    let started = Instant::now();
    let until = Duration::from_secs(options.minutes * 60);
    let (mut operations, mut reboots, mut seed) = (0, 0, options.seed);
    while started.elapsed() < until {
        for ((verb, _), count) in model::run(seed, OPERATIONS, over)? {
            *if verb == "reboot" {
                &mut reboots
            } else {
                &mut operations
            } += count;
        }
        seed += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!(
        "{{\"part\":\"{part}\",\"first_seed\":{},\"histories\":{},\"operations\":{operations},\
         \"reboots\":{reboots},\"differences\":0,\"seconds\":{seconds:.0},\
         \"operations_per_hour\":{:.0}}}",
        options.seed,
        seed - options.seed,
        operations as f64 / seconds * 3600.0
    ))
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (part, rest) = arguments
        .split_first()
        .ok_or("which part? crash, model or memory")?;
    let options = options(rest)?;
    let result = match part.as_str() {
        "crash" => crashes(&options)?,
        "model" => models(&options, part, model::Over::Embedded)?,
        "memory" => models(&options, part, model::Over::Memory)?,
        _ => return Err(format!("{part} is not a part: crash, model or memory")),
    };
    println!("{result}");
    if let Some(out) = &options.out {
        std::fs::write(out, result + "\n").map_err(|error| format!("{out}: {error}"))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("reliability: {message}");
            ExitCode::FAILURE
        }
    }
}
