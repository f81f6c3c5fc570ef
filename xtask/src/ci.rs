//! `cargo xtask ci`: every check in turn, cheapest first, stopping at the first that fails.
//!
//! Nothing is skipped, whatever the environment says: what a test needs is installed by `.ci/run`.

use crate::workspace::{cargo, release_binary};
use crate::{clients, report, supply, tidy};
use std::process::Command;

/// The black-box tests whose meaning does not change when a proxy stands in between.
const BEHIND_NGINX: [&str; 4] = ["clients::", "keys::", "listing::", "objects::"];
/// Those of them whose requests nginx answers itself: malformed ones, a key with a NUL, TRACE.
const REFUSED_BY_NGINX: [&str; 4] = [
    "clients::schemathesis_finds_nothing",
    "keys::every_key_is_its_own_object",
    "keys::what_is_no_key_is_refused",
    "objects::only_root_may_come_in",
];

/// Runs everything.
pub fn run() -> Result<(), String> {
    step("fmt", cargo().args(["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        cargo()
            .args(["clippy", "--locked", "--workspace", "--all-targets"])
            .args(["--", "-D", "warnings"]),
    )?;
    step(
        "clippy of the planted bugs",
        cargo()
            .args(["clippy", "--locked", "-p", "trestle-server"])
            .args(["--features", "canary", "--", "-D", "warnings"]),
    )?;
    step(
        "clippy of chosen orders",
        cargo()
            .args(["clippy", "--locked", "-p", "trestle-sim", "--all-targets"])
            .args(["--features", "shuttle", "--", "-D", "warnings"]),
    )?;
    println!("== tidy");
    report(tidy::check()?)?;
    println!("== supply");
    report(supply::check()?)?;
    step(
        "doc",
        cargo()
            .args(["doc", "--locked", "--no-deps", "--workspace"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )?;
    step(
        "build",
        cargo().args(["build", "--locked", "--release", "-p", "trestle-server"]),
    )?;
    println!("== clients");
    let clients = clients::install()?;
    step(
        "test",
        cargo()
            // One run shows all that is wrong.
            .args(["test", "--locked", "--workspace", "--no-fail-fast"])
            .env("TRESTLE_BIN", release_binary()?)
            .env("TRESTLE_CLIENTS", &clients),
    )?;
    step(
        "test in chosen orders",
        cargo()
            .args([
                "test",
                "--locked",
                "-p",
                "trestle-sim",
                "--features",
                "shuttle",
            ])
            .args(["--test", "it", "schedules"]),
    )?;
    step(
        "test through nginx",
        cargo()
            .args([
                "test",
                "--locked",
                "-p",
                "trestle-tests",
                "--test",
                "it",
                "--",
            ])
            .args(BEHIND_NGINX)
            .args(REFUSED_BY_NGINX.iter().flat_map(|test| ["--skip", test]))
            .env("TRESTLE_TEST_PROXY", "nginx")
            .env("TRESTLE_BIN", release_binary()?)
            .env("TRESTLE_CLIENTS", clients),
    )?;
    println!("== all passed");
    Ok(())
}

fn step(name: &str, command: &mut Command) -> Result<(), String> {
    println!("== {name}");
    let status = command
        .status()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} failed: {status}"))
    }
}
