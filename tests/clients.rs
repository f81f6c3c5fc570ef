//! Real clients as child processes: programs and scripts of the virtual environment that
//! `cargo xtask clients` makes.

use crate::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, Server, USER};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program of the environment, such as `python` or `aws`, with nothing inherited that could change
/// what it does, and `home` for what it keeps.
///
/// # Panics
/// When `TRESTLE_CLIENTS` does not say where the environment is.
pub fn program(name: &str, home: &Path) -> Command {
    let programs = std::env::var_os("TRESTLE_CLIENTS").map(PathBuf::from);
    let programs = programs
        .expect("TRESTLE_CLIENTS is not set: export TRESTLE_CLIENTS=$(cargo xtask clients)");
    let mut command = Command::new(programs.join(name));
    command
        .env_clear()
        .env("HOME", home)
        .env(
            "PATH",
            std::env::join_paths([&programs, Path::new("/usr/bin"), Path::new("/bin")]).unwrap(),
        )
        .env("LANG", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// A script of `tests/clients`, told where the server is and who is root there:
/// `TRESTLE_URL`, `TRESTLE_USER`, `TRESTLE_PASSWORD`, `TRESTLE_ACCESS_KEY`, `TRESTLE_SECRET_KEY`.
pub fn script(name: &str, server: &Server, home: &Path) -> Command {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let mut command = program("python", home);
    command
        .arg(folder.join("clients").join(name))
        .env("TRESTLE_URL", format!("http://{}", server.front()))
        .env("TRESTLE_USER", USER)
        .env("TRESTLE_PASSWORD", PASSWORD)
        .env("TRESTLE_ACCESS_KEY", ACCESS_KEY)
        .env("TRESTLE_SECRET_KEY", SECRET_KEY);
    command
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
