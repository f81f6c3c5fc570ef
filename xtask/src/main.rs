//! Development tasks: `cargo xtask ci | clients | package | tidy | removed | supply | mainjob | bench | reliability`.
//!
//! Each check reads the repository and returns the list of what is wrong, so that it runs as a
//! command and as a test.

mod ci;
mod clients;
mod layers;
mod package;
mod removed;
mod source;
mod supply;
mod tidy;
mod workspace;

use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask <task>
  ci      everything that has to pass before a change lands
  clients install the clients that black-box tests drive, and say where
  clients --all [--only SCRIPT,...] [--write yes]
          the heavy ones, too: each against a server of its own, and docs/conformance/clients.md
  tidy    the rules that the compiler and clippy do not know
  removed [PART]
          takes out one check of who may do what after the other, in a copy of the sources, and
          says which test turns red; PART chooses among the rules
  supply  licences and sources of all dependencies
  package a static binary and a Debian package, made and started as far as the machine can
  mainjob a real tree of files in and out, with a kill in between
  overwrites  what overwriting the same objects leaves on disk
  bench   the server against its ceilings, as the tables of docs/performance.md
  reliability crash|model|memory [--seed N] [--minutes M] [--out FILE]
          crashes on a simulated disk, or the store against the reference model over the
          embedded engine with crashes or over the one in memory, for as long as one likes
  reliability kill [--seed N] [--minutes M] [--canary BUG]
          the release binary under load, killed with signal 9 at any moment
  reliability syscalls [--seed N] [--sample N] [--only SCENE,...] [--canary BUG]
          the release binary, killed or failed at each single system call that changes a file
  reliability histories [--seed N] [--minutes M] [--kill-one-in N] [--canary BUG]
          what many clients of few keys were told, and whether some order explains it";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => ci::run(),
        ["clients", "--all", ..] => clients::install().and_then(|programs| {
            let programs = programs.display().to_string();
            measure("clients", &args[2..], &[("TRESTLE_CLIENTS", &programs)])
        }),
        ["clients"] => clients::install().map(|programs| println!("{}", programs.display())),
        ["package"] => package::run(),
        ["tidy"] => tidy::check().and_then(report),
        ["removed"] => removed::run(""),
        ["removed", part] => removed::run(part),
        ["supply"] => supply::check().and_then(report),
        [task @ ("mainjob" | "bench" | "overwrites"), ..] => measure(task, &args[1..], &[]),
        [
            "reliability",
            task @ ("kill" | "syscalls" | "histories"),
            ..,
        ] => measure(task, &args[2..], &[]),
        ["reliability", ..] => reliability(&args[1..]),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a lane of the simulator, in release mode.
fn reliability(flags: &[String]) -> Result<(), String> {
    let lane = [
        "run",
        "--locked",
        "--release",
        "-p",
        "trestle-sim",
        "--bin",
        "reliability",
        "--",
    ];
    match workspace::cargo().args(lane).args(flags).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the lane failed: {status}")),
        Err(error) => Err(format!("the lane does not start: {error}")),
    }
}

/// Builds the server and the bench in release mode, and runs a task of the bench.
fn measure(task: &str, flags: &[String], variables: &[(&str, &str)]) -> Result<(), String> {
    let run = |command: &mut Command| match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{task} failed: {status}")),
        Err(error) => Err(format!("{task} does not start: {error}")),
    };
    let build = ["build", "--locked", "--release", "-p", "trestle-server"];
    let mut server = workspace::cargo();
    server.args(build);
    let binary = if flags.iter().any(|flag| flag == "--canary") {
        // Far from the binary that others take for the product.
        let folder = workspace::target()?.join("canary");
        server.args(["--features", "canary", "--target-dir"]);
        server.arg(&folder);
        folder.join("release/trestle")
    } else {
        workspace::release_binary()?
    };
    run(&mut server)?;
    run(workspace::cargo()
        .args([
            "run",
            "--locked",
            "--release",
            "-p",
            "trestle-bench",
            "--",
            task,
        ])
        .args(flags)
        .envs(variables.iter().copied())
        .env("TRESTLE_BIN", binary))
}

/// Turns what a check found into its outcome.
fn report(found: Vec<String>) -> Result<(), String> {
    if found.is_empty() {
        Ok(())
    } else {
        Err(found.join("\n"))
    }
}
