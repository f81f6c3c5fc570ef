//! The real binary as a child process.

use crate::client::Client;
use crate::proxy::Proxy;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The root credentials that every test server gets.
pub const USER: &str = "root";
/// Its password.
pub const PASSWORD: &str = "a long test password";

/// Its access key.
pub const ACCESS_KEY: &str = "TRESTLEROOTACCESSKEY";
/// Its secret key.
pub const SECRET_KEY: &str = "a-long-secret-key-for-tests-only-0123456";

/// No start and no stop takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The binary under test: `TRESTLE_BIN`, else the newer of the workspace's own builds.
///
/// # Panics
/// When there is none.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TRESTLE_BIN") {
        return path.into();
    }
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| folder.join("../target"), PathBuf::from);
    let built = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    ["release/trestle", "debug/trestle"]
        .map(|path| target.join(path))
        .into_iter()
        .filter(|path| built(path).is_some())
        .max_by_key(built)
        .unwrap_or_else(|| panic!("no binary in {target:?}: cargo build -p trestle-server"))
}

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The data folder.
    pub data: PathBuf,
    /// A command to run it under, such as `taskset -c 0`.
    pub wrapper: Vec<String>,
    /// Further flags of `serve`.
    pub flags: Vec<String>,
    /// Where its log goes.
    pub log: PathBuf,
    /// Further variables; an empty value removes one.
    pub variables: Vec<(String, String)>,
}

impl Launch {
    /// A server on a data folder, on any free port of the loopback interface. What it keeps outside
    /// of that folder goes beside it.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        Launch {
            log: data.with_extension("log"),
            data,
            wrapper: Vec::new(),
            flags: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs it under a command.
    #[must_use]
    pub fn under(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A command of the binary in a clean environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.wrapper.iter().map(PathBuf::from).collect::<Vec<_>>();
        words.push(binary());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TRESTLE_") {
                command.env_remove(name);
            }
        }
        let home = self.data.parent().unwrap_or(Path::new("."));
        command
            .current_dir(home)
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("TRESTLE_ROOT_USER", USER)
            .env("TRESTLE_ROOT_PASSWORD", PASSWORD)
            .env("TRESTLE_ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("TRESTLE_ROOT_SECRET_KEY", SECRET_KEY)
            .stdin(Stdio::null());
        for (name, value) in &self.variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    fn serve(&self) -> Command {
        let data = self.data.display().to_string();
        let mut command = self.command(&["serve", "--data", &data, "--listen", "127.0.0.1:0"]);
        command.args(&self.flags);
        command
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&self) -> Server {
        self.try_start()
            .unwrap_or_else(|words| panic!("the server does not listen: {words}"))
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// What it said when it ended instead.
    ///
    /// # Panics
    /// When there is no binary that starts.
    pub fn try_start(&self) -> Result<Server, String> {
        let log = self.log.clone();
        let errors = self
            .open_log()
            .unwrap_or_else(|error| panic!("{log:?}: {error}"));
        let began = Instant::now();
        let mut child = self
            .serve()
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", binary()));
        let stdout = child.stdout.take();
        let (lines, received) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout?).lines() {
                lines.send(line.ok()?).ok()?;
            }
            Some(())
        });
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            greeting: String::new(),
            start: Duration::ZERO,
            log,
            proxy: None,
        };
        loop {
            let Ok(line) = received.recv_timeout(TIMEOUT) else {
                return Err(format!("{}{}", server.greeting, server.log()));
            };
            server.greeting.push_str(&line);
            server.greeting.push('\n');
            let place = line.split_once("listening on http://");
            if let Some(address) = place.and_then(|(_, address)| address.trim().parse().ok()) {
                server.address = address;
                server.start = began.elapsed();
                server.proxy = self.proxy(server.address);
                // The rest of the greeting is there at once, or never.
                while let Ok(line) = received.recv_timeout(Duration::from_millis(50)) {
                    server.greeting.push_str(&line);
                    server.greeting.push('\n');
                }
                return Ok(server);
            }
        }
    }

    /// Starts it and kills it with signal 9 after a while, however far it has come.
    ///
    /// # Errors
    /// When it cannot be started or waited for.
    pub fn cut_short(&self, after: Duration) -> io::Result<()> {
        let mut child = self
            .serve()
            .stdout(Stdio::null())
            .stderr(self.open_log()?)
            .spawn()?;
        std::thread::sleep(after);
        child.kill()?;
        child.wait().map(drop)
    }

    /// What `TRESTLE_TEST_PROXY` puts in front.
    fn proxy(&self, server: SocketAddr) -> Option<Proxy> {
        let name = std::env::var("TRESTLE_TEST_PROXY").ok()?;
        assert_eq!(name, "nginx", "TRESTLE_TEST_PROXY knows nginx alone");
        Some(Proxy::nginx(server, &self.data.with_extension("nginx")))
    }

    fn open_log(&self) -> io::Result<std::fs::File> {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
    }

    /// `check` of the data folder, closed cleanly or not.
    ///
    /// # Errors
    /// What it found.
    pub fn check(&self) -> Result<(), String> {
        let data = self.data.display().to_string();
        let check = self.run(&["check", "--data", &data]);
        if check.status.success() {
            return Ok(());
        }
        let words = [check.stdout, check.stderr].concat();
        Err(format!("check: {}", String::from_utf8_lossy(&words)))
    }

    /// Starts a server that is expected to refuse to.
    ///
    /// # Panics
    /// When it serves.
    pub fn refused(&self) -> Output {
        let mut child = self
            .serve()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", binary()));
        let began = Instant::now();
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if began.elapsed() > Duration::from_secs(20) {
                let _ended = child.kill();
                panic!("the server started, where it should have refused to");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output();
        let output = output.unwrap_or_else(|error| panic!("no output: {error}"));
        assert!(!output.status.success(), "a refusal is not a success");
        output
    }

    /// Runs another command of the binary to its end.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", binary()))
    }
}

/// A server that runs until it is stopped, killed or dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it printed until it listened, and right after.
    pub greeting: String,
    /// From the start of the process until it listened.
    pub start: Duration,
    log: PathBuf,
    proxy: Option<Proxy>,
}

impl Server {
    /// Where clients reach it: through the proxy in front, if there is one.
    pub fn front(&self) -> SocketAddr {
        self.proxy
            .as_ref()
            .map_or(self.address, |proxy| proxy.address)
    }

    /// A client with root's credentials.
    pub fn client(&self) -> Client {
        Client::new(self.front(), USER, PASSWORD)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it logs; whole only when it has stopped.
    pub fn log_file(&self) -> PathBuf {
        self.log.clone()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kilobytes.map_or(0, |kilobytes: u64| kilobytes << 10)
    }

    /// Kills it with signal 9.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn ask_to_stop(&self) -> io::Result<()> {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status()?;
        if asked.success() {
            Ok(())
        } else {
            Err(io::Error::other("the signal was not sent"))
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not end in a minute, or cannot be asked.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        self.ask_to_stop()?;
        let began = Instant::now();
        while began.elapsed() < TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other("the server does not stop"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
