//! Development tasks: `cargo xtask ci | tidy | supply`.
//!
//! Each check reads the repository and returns the list of what is wrong, so that it runs as a
//! command and as a test.

mod ci;
mod layers;
mod source;
mod supply;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <task>
  ci      everything that has to pass before a change lands
  tidy    the rules that the compiler and clippy do not know
  supply  licences and sources of all dependencies";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => ci::run(),
        ["tidy"] => tidy::check().and_then(report),
        ["supply"] => supply::check().and_then(report),
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

/// Turns what a check found into its outcome.
fn report(found: Vec<String>) -> Result<(), String> {
    if found.is_empty() {
        Ok(())
    } else {
        Err(found.join("\n"))
    }
}
