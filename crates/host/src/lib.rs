//! The seams to the machine: clock, randomness, ids, tasks and files.
//!
//! Everything above asks a [`Host`] instead of the operating system, so that a simulated machine can
//! stand in for the real one and replay a run from its seed. `clippy.toml` bans the direct ways.

mod clock;
mod disk;
mod limits;
mod random;
mod real_disk;
mod spawn;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, File, OpenMode};
pub use limits::open_files_max;
pub use random::{Random, SeededRandom, SystemRandom};
pub use real_disk::RealDisk;
pub use spawn::{BlockingCall, Spawn, ThreadSpawn};

use std::sync::Arc;
use trestle_core::Id;

/// One machine, real or simulated.
#[derive(Clone)]
pub struct Host {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Tasks and threads.
    pub spawn: Arc<dyn Spawn>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

impl Host {
    /// The machine that this process runs on.
    pub fn real() -> Self {
        Host {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::default()),
            spawn: Arc::new(ThreadSpawn),
            disk: Arc::new(RealDisk),
        }
    }

    /// Eight unpredictable bytes.
    pub fn nonce(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// A fresh id: 6 bytes of milliseconds, then 10 random bytes.
    pub fn id(&self) -> Id {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        let milliseconds = self.clock.now().0 / 1000;
        for (to, from) in bytes
            .iter_mut()
            .zip(milliseconds.to_be_bytes().into_iter().skip(2))
        {
            *to = from;
        }
        Id(bytes)
    }
}
