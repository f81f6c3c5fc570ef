//! The `trestle` binary: the command line, and nothing else.

mod audit;
mod authenticate;
mod blocks;
mod check;
mod cli;
mod client;
mod config;
mod credentials;
mod dialects;
mod figures;
mod health;
mod listeners;
mod log;
mod manage;
mod master_key;
mod serve;
#[cfg(test)]
mod stateless;
mod swift;

use crate::config::ConfigArgs;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Stack of a thread that serves requests: what nests as deep as it may, containers in containers,
/// is rendered on it. Only what is used takes memory.
const STACK_BYTES: usize = 8 << 20;

/// Serves objects over HTTP, durably, from one binary.
#[derive(Parser)]
#[command(name = "trestle", version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped.
    Serve(ConfigArgs),
    /// Verify every record, byte and counter of a data folder that is not in use.
    Check {
        /// The data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// First make the index anew, from the snapshot and the log.
        #[arg(long)]
        rebuild: bool,
    },
    /// Who may do everything.
    Root {
        #[command(subcommand)]
        command: RootCommand,
    },
    /// The log of what was decided: in the data folder, which a server may be using.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    #[command(flatten)]
    Manage(Box<manage::ManageCommand>),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    #[command(flatten)]
    Verb(cli::Verb),
}

#[derive(Subcommand)]
enum RootCommand {
    /// Make new credentials for the root user of a data folder that is not in use. The configured
    /// ones are taken; what is not configured is chosen at random.
    Reset(ConfigArgs),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is valid.
    Check(ConfigArgs),
    /// Show each value and where it came from; secrets are hidden.
    Show(ConfigArgs),
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let filter = match config::environment("TRESTLE_LOG").and_then(|given| {
        tracing_subscriber::EnvFilter::try_new(given.as_deref().unwrap_or("info"))
            .map_err(|error| format!("TRESTLE_LOG is not valid: {error}"))
    }) {
        Ok(filter) => filter,
        Err(message) => return failed(&message),
    };
    let writer = log::LogWriter::default();
    let lines = writer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || lines.clone())
        .with_ansi(false)
        // A full disk under the log must not end requests: reporting a lost line there panics.
        .log_internal_errors(false);
    match config::environment("TRESTLE_LOG_FORMAT")
        .as_ref()
        .map(Option::as_deref)
    {
        Ok(Some("json")) => subscriber.json().flatten_event(true).init(),
        Ok(Some("text") | None) => subscriber.init(),
        Ok(Some(_)) => return failed("TRESTLE_LOG_FORMAT is text or json"),
        Err(message) => return failed(message),
    }
    let _log = match writer.start() {
        Ok(thread) => thread,
        Err(error) => return failed(&format!("the log could not start: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime could not start: {error}")),
    };
    #[cfg(feature = "canary")]
    if let Err(message) = plant() {
        return failed(&message);
    }
    let outcome = match command_line.command {
        Command::Serve(args) => {
            config::load(&args).and_then(|config| runtime.block_on(serve::run(&config)))
        }
        Command::Root {
            command: RootCommand::Reset(args),
        } => config::load(&args).and_then(|config| runtime.block_on(serve::reset_root(&config))),
        Command::Verb(verb) => runtime.block_on(cli::run(&verb)),
        Command::Manage(command) => match command.rotation() {
            Some(args) => {
                config::load(args).and_then(|config| runtime.block_on(master_key::rotate(&config)))
            }
            None => runtime.block_on(manage::run(*command)),
        },
        Command::Audit { command } => audit::run(command),
        Command::Check { data, rebuild } => runtime.block_on(check::run(&data, rebuild)),
        Command::Config {
            command: ConfigCommand::Check(args),
        } => config::load(&args).map(|_| {
            println!("the configuration is valid");
            ExitCode::SUCCESS
        }),
        Command::Config {
            command: ConfigCommand::Show(args),
        } => config::load(&args).map(|config| {
            print!("{}", config.show());
            ExitCode::SUCCESS
        }),
    };
    outcome.unwrap_or_else(|message| failed(&message))
}

/// Plants the bug that `TRESTLE_CANARY` names. A misspelt one would look like a bug that no lane
/// catches.
#[cfg(feature = "canary")]
fn plant() -> Result<(), String> {
    if let Some(name) = config::environment("TRESTLE_CANARY")? {
        let canary = trestle_engine_embedded::Canary::named(&name);
        let canary = canary.ok_or_else(|| format!("TRESTLE_CANARY: no bug is called {name}"))?;
        trestle_engine_embedded::plant(Some(canary));
    }
    Ok(())
}

fn failed(message: &str) -> ExitCode {
    eprintln!("trestle: {message}");
    ExitCode::from(2)
}
