//! A server under test: its own data folder, a port that the system picks, killed at the end.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The binary under test: `TRESTLE_BIN`, else the newest build in the target folder.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TRESTLE_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let built = ["debug", "release"].map(|profile| target.join(profile).join("trestle"));
    let age = |path: &PathBuf| {
        std::fs::metadata(path)
            .and_then(|found| found.modified())
            .ok()
    };
    let newest = built
        .into_iter()
        .filter(|path| path.exists())
        .max_by_key(age);
    newest.expect("build the server first: cargo build -p trestle-server")
}

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// What it printed before it listened.
    pub(crate) greeting: String,
}

/// The command that serves `data`.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data);
    command
        .env("TRESTLE_ROOT_PASSWORD", PASSWORD)
        .env("TRESTLE_LOG", "warn");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    pub(crate) fn start(data: &Path) -> Server {
        Server::from(command(data))
    }

    #[expect(clippy::zombie_processes, reason = "dropping the server waits for it")]
    pub(crate) fn from(mut command: Command) -> Server {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                let mut errors = String::new();
                child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut errors)
                    .unwrap();
                panic!("the server did not start: {errors}");
            }
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                let address = address.to_owned();
                return Server {
                    child,
                    address,
                    greeting,
                };
            }
            greeting.push_str(&line);
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit status and what went to stderr.
    pub(crate) fn stop(mut self) -> (std::process::ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut errors = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        (self.child.wait().unwrap(), errors)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone after `kill` and `stop`.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Runs the server where it must fail to start; its exit code and its message.
pub(crate) fn refused(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
