//! An engine on a simulated disk of its own.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use trestle_core::{ErrorKind, Result, Sequence, Timestamp};
use trestle_engine::{Commit, Engine, Write};
use trestle_engine_embedded::{Settings, open};
use trestle_host::{Host, ManualClock, SeededRandom};
use trestle_sim::disk::SimDisk;
use trestle_sim::spawn::SimSpawn;

pub(crate) struct Machine {
    pub(crate) disk: SimDisk,
    pub(crate) spawn: Arc<SimSpawn>,
    pub(crate) host: Host,
    /// Stands still but for who moves it.
    pub(crate) clock: Arc<ManualClock>,
    settings: Settings,
    engine: Option<Engine>,
}

impl Machine {
    pub(crate) fn new(settings: Settings) -> Self {
        let (disk, spawn) = (SimDisk::new(), Arc::new(SimSpawn::default()));
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let host = Host {
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(1)),
            spawn: spawn.clone(),
            disk: Arc::new(disk.clone()),
        };
        let mut machine = Machine {
            disk,
            spawn,
            host,
            clock,
            settings,
            engine: None,
        };
        machine.start();
        machine
    }

    /// Opens the engine anew; the last one is gone.
    pub(crate) fn start(&mut self) {
        self.try_start().unwrap_or_else(|error| panic!("{error}"));
    }

    /// The same, when it may be refused.
    pub(crate) fn try_start(&mut self) -> Result<()> {
        let opening = open(&self.host, Path::new("/data"), self.settings.clone());
        let opened = self.spawn.run(opening);
        let opened = opened.unwrap_or_else(|| panic!("the engine hangs"));
        self.engine = Some(opened?);
        Ok(())
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine
            .as_ref()
            .unwrap_or_else(|| panic!("the engine was not started"))
    }

    pub(crate) fn commit(&self, commit: Commit) -> std::result::Result<Sequence, ErrorKind> {
        let committed = self.spawn.run(self.engine().meta.commit(commit));
        match committed.unwrap_or_else(|| panic!("a commit hangs")) {
            Ok(committed) => Ok(committed.sequence),
            Err(error) => Err(error.kind()),
        }
    }

    /// Gives back what can be given back.
    pub(crate) fn tidy(&self) {
        let tidied = self.spawn.run(self.engine().meta.tidy());
        // What was refused shows in what is asserted afterwards.
        let _refused = tidied.unwrap_or_else(|| panic!("tidying hangs"));
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.engine().meta.writable().is_ok()
    }

    pub(crate) fn has(&self, key: &[u8]) -> bool {
        let read = async { self.engine().meta.snapshot().await?.get(key).await };
        let read = self.spawn.run(read).and_then(Result::ok);
        read.unwrap_or_else(|| panic!("a read fails")).is_some()
    }
}

/// A commit of these writes, which expects nothing.
pub(crate) fn commit(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

/// Waits for so many turns of the others.
pub(crate) async fn turns(mut count: usize) {
    std::future::poll_fn(|_| {
        if count == 0 {
            return Poll::Ready(());
        }
        count -= 1;
        Poll::Pending
    })
    .await;
}
