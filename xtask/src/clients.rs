//! The clients that black-box tests drive: a Python virtual environment below the target folder,
//! made anew when what it has to hold has changed.

use crate::workspace::{read, root, target};
use std::path::PathBuf;
use std::process::Command;

/// Makes the environment when it is not there, and returns its folder of programs.
pub fn install() -> Result<PathBuf, String> {
    let requirements = root().join("tests/clients/requirements.txt");
    let wanted = read(&requirements)?;
    let folder = target()?.join("clients");
    let programs = folder.join("bin");
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(programs);
    }
    let mut venv = Command::new("python3");
    run(venv.args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(programs.join("python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.arg("--requirement").arg(&requirements))?;
    std::fs::copy(&requirements, &installed).map_err(|error| format!("{installed:?}: {error}"))?;
    Ok(programs)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} failed: {status}")),
        Err(error) => Err(format!("{command:?} does not start: {error}")),
    }
}
