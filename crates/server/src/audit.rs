//! `trestle audit`: the log of decisions, checked and given out; and how a server keeps it.

use crate::config::{Config, ConfigArgs};
use clap::Subcommand;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use trestle_audit::{AuditLog, Report, Scope, Settings, export, verify};
use trestle_host::Host;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that nothing in the log was changed or taken out. The exit code is 1 when something was.
    Verify {
        #[command(flatten)]
        config: ConfigArgs,
        /// A hash that an earlier check showed: it must still be in the log
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Print all entries, as lines of JSON.
    Export {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Opens the log that a server is to keep, if any.
pub(crate) fn open(
    host: &Host,
    config: &Config,
    data: &Path,
) -> Result<Option<Arc<AuditLog>>, String> {
    let named = config.get("audit").unwrap_or("changes");
    if named == "off" {
        return Ok(None);
    }
    let scope = Scope::named(named);
    let scope = scope.ok_or_else(|| format!("audit is changes, all or off, not {named:?}"))?;
    let files = config.get("audit_files").unwrap_or("64").parse::<usize>();
    let files_max = files.ok().filter(|files| *files > 0);
    let files_max = files_max.ok_or("audit_files is a number from 1")?;
    let settings = Settings { scope, files_max };
    AuditLog::open(host, data, settings)
        .map(Some)
        .map_err(|error| format!("the audit log cannot be opened: {error}"))
}

/// Runs a command on a data folder; a server may be using it.
pub(crate) fn run(command: AuditCommand) -> Result<ExitCode, String> {
    let host = Host::real();
    match command {
        AuditCommand::Verify { config, head } => {
            let data = folder(&host, &config)?;
            let report = verify(&*host.disk, &data, head.as_deref());
            let report = report.map_err(|error| format!("{}: {error}", data.display()))?;
            show(&report);
            Ok(ExitCode::from(u8::from(!report.is_sound())))
        }
        AuditCommand::Export { config } => {
            let data = folder(&host, &config)?;
            let mut stdout = std::io::stdout().lock();
            let mut each = |line: &str| writeln!(stdout, "{line}");
            export(&*host.disk, &data, &mut each)
                .map_err(|error| format!("{}: {error}", data.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The data folder; of what is none nothing is said, least of all that it is sound.
fn folder(host: &Host, config: &ConfigArgs) -> Result<PathBuf, String> {
    let data = crate::config::load(config)?.data();
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", data.display());
    let log = host.disk.list(&data.join("audit"));
    let is_store = trestle_engine_embedded::is_store(host, &data).map_err(|e| failed(&e))?;
    match log.is_ok() || is_store {
        true => Ok(data),
        false => Err(failed(&"is not a Trestle data folder")),
    }
}

fn show(report: &Report) {
    println!("{} files, {} entries", report.files, report.entries);
    if let Some((first, last)) = &report.times {
        println!("from {first} to {last}");
    }
    println!("head {}", report.head);
    if report.torn > 0 {
        println!("{} bytes at the end are half a line", report.torn);
    }
    for place in &report.breaks {
        println!("changed: {place}");
    }
    if !report.anchored {
        println!("changed: the hash that was given is not in the log");
    }
}
