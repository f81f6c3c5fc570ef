//! `trestle check`: is everything in a data folder sound?

use std::path::Path;
use std::process::ExitCode;
use trestle_core::AccountId;
use trestle_host::Host;
use trestle_store::Store;

/// Makes the index anew from the snapshot and the log, for when it is damaged or lost.
fn rebuild(data: &Path) -> Result<(), String> {
    let settings = trestle_engine_embedded::Settings::default();
    trestle_engine_embedded::rebuild(&Host::real(), data, &settings)
        .map_err(|error| format!("the index cannot be rebuilt: {error}"))?;
    println!("the index was rebuilt from the snapshot and the log");
    Ok(())
}

/// Verifies the log, then every record, byte and counter. 0 when sound, 1 with findings.
pub(crate) async fn run(data: &Path, rebuilding: bool) -> Result<ExitCode, String> {
    let host = Host::real();
    if !data.join("STORE").exists() {
        return Err(format!("{} is not a Trestle data folder", data.display()));
    }
    if rebuilding {
        rebuild(data)?;
    }
    let mut findings = 0u64;
    let cannot =
        |error: trestle_core::Error| format!("{} cannot be checked: {error}", data.display());
    let groups = trestle_engine_embedded::verify_log(&host, data, &mut |finding| {
        println!("{finding}");
        findings += 1;
    })
    .map_err(cannot)?;
    let settings = trestle_engine_embedded::Settings::default();
    let opened = trestle_engine_embedded::open_read_only(&host, data, settings).await;
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            println!("the store cannot be opened: {error}");
            return Ok(ExitCode::from(1));
        }
    };
    let account = AccountId::parse("root").map_err(cannot)?;
    let store = Store::open(engine, host, account, None)
        .await
        .map_err(cannot)?;
    let summary = store
        .check(&mut |finding| {
            println!("{finding}");
            findings += 1;
        })
        .await
        .map_err(cannot)?;
    println!("{groups} log groups and {summary:?} checked: {findings} findings");
    Ok(ExitCode::from(u8::from(findings > 0)))
}
