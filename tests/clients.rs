//! Real clients as child processes: programs and scripts of the virtual environment that
//! `cargo xtask clients` makes.

use crate::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, Server, USER};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the environment is.
///
/// # Panics
/// When `TRESTLE_CLIENTS` does not say it.
pub fn programs() -> PathBuf {
    std::env::var_os("TRESTLE_CLIENTS")
        .map(PathBuf::from)
        .expect("TRESTLE_CLIENTS is not set: export TRESTLE_CLIENTS=$(cargo xtask clients)")
}

/// A program of the environment, such as `python` or `aws`, with nothing inherited that could change
/// what it does, and `home` for what it keeps.
///
/// # Panics
/// As [`programs`].
pub fn program(name: &str, home: &Path) -> Command {
    program_in(&programs(), name, home)
}

/// The same from any folder of programs.
///
/// # Panics
/// When the folder's name cannot be in a list of folders.
pub fn program_in(programs: &Path, name: &str, home: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    command
        .env_clear()
        .env("HOME", home)
        .env(
            "PATH",
            std::env::join_paths([programs, Path::new("/usr/bin"), Path::new("/bin")]).unwrap(),
        )
        .env("LANG", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// A script of `tests/clients`, told where the server is and who is root there:
/// `TRESTLE_URL`, `TRESTLE_USER`, `TRESTLE_PASSWORD`, `TRESTLE_ACCESS_KEY`, `TRESTLE_SECRET_KEY`.
///
/// # Panics
/// As [`programs`].
pub fn script(name: &str, server: &Server, home: &Path) -> Command {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let mut command = program("python", home);
    command.arg(folder.join("clients").join(name));
    tell(&mut command, server);
    command
}

/// Tells a client where the server is and who is root there.
pub fn tell(command: &mut Command, server: &Server) {
    command
        .env("TRESTLE_URL", format!("http://{}", server.front()))
        .env("TRESTLE_USER", USER)
        .env("TRESTLE_PASSWORD", PASSWORD)
        .env("TRESTLE_ACCESS_KEY", ACCESS_KEY)
        .env("TRESTLE_SECRET_KEY", SECRET_KEY);
}

/// Runs a client to its end.
///
/// # Panics
/// When it fails; with what it printed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
