//! Faults at exactly chosen system calls, by `strace -e inject`.
//!
//! strace counts the calls of each thread for itself. So a thread is watched alone, by its name, or
//! only the calls on one file are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No tracer takes longer to attach or to end.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Calls that change files. A call on a data folder that is neither here nor among those that only
/// read is refused, so that none escapes.
const CHANGING: [&str; 19] = [
    "copy_file_range",
    "fallocate",
    "fdatasync",
    "fsync",
    "ftruncate",
    "mkdir",
    "mkdirat",
    "openat",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "rename",
    "renameat",
    "renameat2",
    "sync_file_range",
    "unlink",
    "unlinkat",
    "write",
    "writev",
];
const READING: [&str; 22] = [
    "access",
    "close",
    "execve",
    "fadvise64",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "getdents64",
    "ioctl",
    "lseek",
    "lstat",
    "mmap",
    "newfstatat",
    "pread64",
    "preadv",
    "preadv2",
    "read",
    "readlink",
    "stat",
    "statfs",
    "statx",
];

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process is killed with signal 9 before the call runs.
    Kill,
    /// The call does not run, and says that the device failed.
    DeviceError,
    /// The call does not run, and says that the disk is full.
    Full,
    /// From this call on the disk is full.
    StaysFull,
}

/// One fault at one call.
#[derive(Clone, Debug)]
pub struct Injection {
    /// The system call.
    pub call: String,
    /// Which one of it, from 1.
    pub number: u64,
    /// What happens.
    pub fault: Fault,
}

impl Injection {
    fn words(&self) -> [String; 4] {
        let what = match self.fault {
            Fault::Kill => "signal=KILL",
            Fault::DeviceError => "error=EIO",
            Fault::Full | Fault::StaysFull => "error=ENOSPC",
        };
        let on = if self.fault == Fault::StaysFull {
            "+"
        } else {
            ""
        };
        let (call, number) = (&self.call, self.number);
        [
            "-e".into(),
            format!("trace={call}"),
            "-e".into(),
            format!("inject={call}:{what}:when={number}{on}"),
        ]
    }

    /// At which of these calls of all threads it happened, from 1.
    pub fn place(&self, trace: &str) -> u64 {
        let mut place = 0;
        for line in trace.lines() {
            place += u64::from(call_of(line) == self.call);
            if line.contains("(INJECTED)") {
                break;
            }
        }
        place
    }

    /// Whether a trace shows that it happened.
    pub fn happened(&self, trace: &str) -> bool {
        match self.fault {
            Fault::Kill => trace.contains("+++ killed by SIGKILL"),
            _ => trace.contains("(INJECTED)"),
        }
    }
}

/// What to watch: one fault, or every call without any.
fn watched(trace: &Path, injection: Option<&Injection>) -> Vec<String> {
    let mut words = vec!["-y".into(), "-s".into(), "0".into()];
    words.extend(["-o".into(), trace.display().to_string()]);
    match injection {
        Some(injection) => words.extend(injection.words()),
        None => words.extend(["-e".into(), "trace=desc,file".into()]),
    }
    words
}

/// The words that run a command with its first thread watched.
pub fn around(trace: &Path, injection: Option<&Injection>) -> Vec<String> {
    let mut words = vec!["strace".into(), "-D".into()];
    words.extend(watched(trace, injection));
    words
}

/// Waits for the end of a trace that a detached tracer writes, and returns it.
///
/// # Errors
/// When it has no end.
pub fn finished(trace: &Path) -> io::Result<String> {
    wait("the tracer does not end", || {
        let text = std::fs::read_to_string(trace)?;
        Ok(text.contains("+++ ").then_some(text))
    })
}

/// Looks until there is something, or fails with `late`.
fn wait<T>(late: &str, mut look: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > TIMEOUT {
            return Err(io::Error::other(late));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A tracer that is attached to a running process.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    trace: PathBuf,
}

impl Tracer {
    /// Watches the thread of that name.
    ///
    /// # Errors
    /// When there is none, or it cannot be watched.
    pub fn of_thread(
        process: u32,
        name: &str,
        trace: &Path,
        injection: Option<&Injection>,
    ) -> io::Result<Self> {
        let mut words = watched(trace, injection);
        let thread = thread(process, name)?;
        words.extend(["-p".into(), thread.to_string()]);
        Tracer::start(words, trace, process, &[thread])
    }

    /// Watches what all threads do with one file, which need not exist yet.
    ///
    /// # Errors
    /// When the process cannot be watched.
    pub fn of_file(
        process: u32,
        file: &Path,
        trace: &Path,
        injection: Option<&Injection>,
    ) -> io::Result<Self> {
        let mut words = watched(trace, injection);
        words.extend(["-f".into(), "-p".into(), process.to_string()]);
        words.extend(["-P".into(), file.display().to_string()]);
        let threads: Vec<u32> = threads(process)?.into_iter().map(|(id, _)| id).collect();
        Tracer::start(words, trace, process, &threads)
    }

    fn start(words: Vec<String>, trace: &Path, process: u32, threads: &[u32]) -> io::Result<Self> {
        let child = Command::new("strace")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let tracer = Tracer {
            child,
            trace: trace.to_owned(),
        };
        wait("the tracer does not attach", || {
            let all = threads.iter().all(|thread| is_traced(process, *thread));
            Ok(all.then_some(()))
        })?;
        Ok(tracer)
    }

    /// What it saw, once the process has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub fn end(mut self) -> io::Result<String> {
        wait("the tracer does not end", || self.child.try_wait())?;
        std::fs::read_to_string(&self.trace)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

fn threads(process: u32) -> io::Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let path = entry?.path();
        let id = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        // A thread may have ended meanwhile.
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        found.extend(id.map(|id| (id, name.trim().to_owned())));
    }
    Ok(found)
}

fn thread(process: u32, name: &str) -> io::Result<u32> {
    let found = threads(process)?;
    let found = found.iter().find(|(_, other)| other == name);
    found
        .map(|(id, _)| *id)
        .ok_or_else(|| io::Error::other(format!("there is no thread {name}")))
}

/// Whether a thread is watched, or gone.
fn is_traced(process: u32, thread: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/status"));
    let Ok(status) = status else {
        return true;
    };
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// The calls of a trace that may change the data folder, in order.
///
/// # Errors
/// A call on the folder that this lane does not know.
pub fn changes(trace: &str, data: &Path) -> Result<Vec<String>, String> {
    let data = data.display().to_string();
    let mut found = Vec::new();
    for line in trace.lines().filter(|line| line.contains(&data)) {
        let call = call_of(line);
        if CHANGING.contains(&call) {
            found.push(call.to_owned());
        } else if !call.is_empty() && !READING.contains(&call) {
            return Err(format!("no lane knows the system call {call}: {line}"));
        }
    }
    Ok(found)
}

/// The name of a line's call; none when it only continues one.
fn call_of(line: &str) -> &str {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let name = line.split_once('(').map_or("", |(name, _)| name);
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        name
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_trace_are_told_apart() {
        let trace = "12 pwrite64(9</store/log/1>, \"\"..., 64, 0) = 64\n\
            12 pread64(9</store/log/1>, \"\"..., 64, 0) = 64\n\
            13 fdatasync(9</store/log/1> <unfinished ...>\n\
            13 <... fdatasync resumed>) = 0\n\
            write(1</dev/null>, \"\"..., 3) = 3\n\
            +++ exited with 0 +++\n";
        let found = changes(trace, Path::new("/store"));
        assert_eq!(found, Ok(vec!["pwrite64".into(), "fdatasync".into()]));
        let injection = Injection {
            call: "write".into(),
            number: 1,
            fault: Fault::Kill,
        };
        assert_eq!(injection.place(trace), 1);
        assert!(!injection.happened(trace));
        assert!(changes("1 fchmod(3</store/x>, 0) = 0", Path::new("/store")).is_err());
    }
}
