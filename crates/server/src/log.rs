//! The log on stderr: gathered in memory and written by a thread of its own, so that a request does
//! not wait for whoever reads the log.
//!
//! Lines wait for some milliseconds; more of them than fit are counted, not kept.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that may wait; beyond it lines are dropped, and how many is said.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How long lines gather.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    ended: bool,
}

/// Where lines wait.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

/// Takes whole lines from the formatter.
#[derive(Clone, Default)]
pub(crate) struct LogWriter(Arc<Lines>);

/// Writes what waits when it is dropped.
pub(crate) struct LogThread {
    writer: LogWriter,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the thread that writes.
    pub(crate) fn start(self) -> io::Result<LogThread> {
        let lines = self.0.clone();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || while write_waiting(&lines) {})?;
        Ok(LogThread {
            writer: self,
            thread: Some(thread),
        })
    }
}

/// Writes what waits; false when there will be no more.
fn write_waiting(lines: &Lines) -> bool {
    let waiting = lines.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut waiting = lines
        .filled
        .wait_while(waiting, |waiting| {
            waiting.bytes.is_empty() && !waiting.ended
        })
        .unwrap_or_else(PoisonError::into_inner);
    let (bytes, dropped) = (
        std::mem::take(&mut waiting.bytes),
        std::mem::take(&mut waiting.dropped),
    );
    let ended = waiting.ended;
    drop(waiting);
    let mut stderr = io::stderr().lock();
    // There is nobody left to tell when stderr itself fails.
    let _lost = stderr.write_all(&bytes);
    if dropped > 0 {
        let _lost = writeln!(stderr, "{dropped} lines of the log were dropped");
    }
    if !ended {
        // Lets some gather: a write for each line is what this thread is there to avoid.
        std::thread::sleep(PAUSE);
    }
    !ended
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self
            .0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let first = waiting.bytes.is_empty();
        if waiting.bytes.len() + line.len() > WAITING_BYTES_MAX {
            waiting.dropped += 1;
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        drop(waiting);
        if first {
            self.0.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        let lines = &self.writer.0;
        lines
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended = true;
        lines.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // It never panics; if it did, the hook has said so.
            let _ended = thread.join();
        }
    }
}
