//! How far transfers are: a line on a terminal, renewed some times a second.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use trestle_host::Host;

const PAUSE: Duration = Duration::from_millis(200);
const WIDTH: u64 = 24;

/// Bytes done and to do, of all transfers together.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// So much more is to be done.
    pub fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much more is done.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So much has to be done again.
    pub fn take_back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn line(&self, elapsed: Duration) -> String {
        let (done, total) = (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        );
        let filled = (done * WIDTH)
            .checked_div(total)
            .unwrap_or(WIDTH)
            .min(WIDTH);
        let bar: String = (0..WIDTH)
            .map(|at| if at < filled { '#' } else { '.' })
            .collect();
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001) / 1e6;
        format!(
            "[{bar}] {:.1} of {:.1} MB, {rate:.1} MB/s",
            done as f64 / 1e6,
            total as f64 / 1e6
        )
    }

    /// Shows it while `work` goes on, when somebody looks.
    pub async fn shown<T>(self: Arc<Self>, host: &Host, work: impl Future<Output = T>) -> T {
        if !std::io::stderr().is_terminal() {
            return work.await;
        }
        let started = host.clock.monotonic();
        let mut work = std::pin::pin!(work);
        let done = loop {
            match tokio::time::timeout(PAUSE, &mut work).await {
                Ok(done) => break done,
                Err(_) => {
                    let line = self.line(host.clock.monotonic().saturating_sub(started));
                    // Nobody is told when the terminal itself fails.
                    let _lost = write!(std::io::stderr(), "\r\x1b[K{line}");
                }
            }
        };
        let _lost = write!(std::io::stderr(), "\r\x1b[K");
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        let progress = Progress::default();
        progress.expect(10_000_000);
        progress.add(5_000_000);
        let line = progress.line(Duration::from_secs(1));
        assert_eq!(line, "[############............] 5.0 of 10.0 MB, 5.0 MB/s");
        assert!(
            Progress::default()
                .line(Duration::ZERO)
                .contains("0.0 of 0.0")
        );
    }
}
