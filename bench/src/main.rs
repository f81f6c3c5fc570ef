//! `cargo xtask mainjob`, `clients --all`, `bench` and `reliability kill | syscalls | histories`: the server on real
//! input, against ceilings, and killed.
//!
//! Everything is measured over HTTP with the release binary as a child process. The load client and
//! the bare server are this same binary, each in a process and on a core of its own.

mod access;
mod arguments;
mod bare;
mod blocks;
mod clients;
mod decide;
mod disk;
mod installs;
mod listing;
mod load;
mod machine;
mod main_job;
mod mixed;
mod nginx;
mod overwrites;
mod peer;
mod peers;
mod reliability;
mod snapshots;
mod throughput;
mod verbs;

use arguments::Arguments;
use std::process::ExitCode;

/// What fails, as one sentence.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: cargo xtask mainjob [--tree DIR] [--clients N]
       cargo xtask bench [--seconds N] [--rounds N] [--keys N] [--log LEVEL]
                         [--only put,get,list,copy,parts,disk,mixed,access,volume,snapshots,tx]
       cargo xtask bench --only peers|swift-peers [--peer NAME=URL,USER,SECRET]...
                         [--seconds N] [--rounds N] [--keys N] [--mib N] [--cells put,get,...]
       cargo xtask clients --all [--only SCRIPT,...] [--write yes]
       cargo xtask overwrites [--bytes N] [--rounds N]
       cargo xtask reliability kill [--minutes N] [--seed S] [--writers N]
       cargo xtask reliability syscalls [--seed S] [--sample N] [--only SCENE,...]
       cargo xtask reliability histories [--minutes N] [--seed S] [--kill-one-in N]";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let task = words.next().unwrap_or_default();
    let outcome = Arguments::parse(words).and_then(|arguments| match task.as_str() {
        "mainjob" => main_job::run(&arguments),
        "bench" => bench(&arguments),
        "load" => load::run(&arguments),
        "overwrites" => overwrites::run(&arguments),
        "clients" => clients::run(&arguments),
        "bare" => bare::run(&arguments),
        "kill" => reliability::kill(&arguments),
        "syscalls" => reliability::syscalls(&arguments),
        "histories" => reliability::histories(&arguments),
        _ => Err(USAGE.into()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{task}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All parts, each as a table for `docs/performance.md`.
fn bench(arguments: &Arguments) -> Result<()> {
    let only = arguments.text("only", "put,get,list")?;
    let wants = |part: &str| only.split(',').any(|other| other == part);
    println!("{}\n", machine::describe());
    if wants("put") || wants("get") {
        throughput::run(arguments, &wants)?;
    }
    if wants("list") {
        listing::run(arguments)?;
    }
    if wants("copy") {
        verbs::copies(arguments)?;
    }
    if wants("parts") {
        verbs::parts(arguments)?;
    }
    if wants("disk") {
        disk::run(arguments)?;
    }
    if wants("mixed") {
        mixed::run(arguments)?;
    }
    if wants("volume") {
        blocks::volume(arguments)?;
    }
    if wants("snapshots") {
        snapshots::run(arguments)?;
    }
    if wants("tx") {
        blocks::transactions(arguments)?;
    }
    if wants("access") {
        access::run(arguments)?;
    }
    if wants("peers") {
        peers::s3(arguments)?;
    }
    if wants("swift-peers") {
        peers::swift(arguments)?;
    }
    Ok(())
}
