//! Writes frozen tables into the index, one after the other.

use crate::committer::{Checkpoint, CheckpointOrder, Poison};
use crate::headroom::Headroom;
use crate::index::Index;
use crate::layout::Layout;
use crate::phase::{self, Phase};
use crate::space::Event;
use crate::view::CurrentView;
use std::sync::Arc;
use tokio::sync::mpsc;
use trestle_core::{ErrorKind, Result};
use trestle_host::Host;

/// What it takes to open the index once more.
pub(crate) struct Reopen {
    pub(crate) host: Host,
    pub(crate) layout: Layout,
    pub(crate) cache_bytes: usize,
}

pub(crate) struct Checkpointer {
    pub(crate) headroom: Arc<Headroom>,
    pub(crate) index: Index,
    /// The index met a full disk half-way, and was not opened anew since.
    pub(crate) failed: bool,
    pub(crate) reopen: Reopen,
    pub(crate) poison: Arc<Poison>,
    pub(crate) view: Arc<CurrentView>,
    /// To the keeper.
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

impl Checkpointer {
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Checkpoint>) {
        while let Some((order, done)) = orders.recv().await {
            let outcome = self.checkpoint(&order);
            if let Err(error) = &outcome
                && error.kind() != ErrorKind::NoSpace
            {
                // At once: the committer may be in the middle of a group.
                self.poison.set();
            }
            // The committer only goes away when the process does.
            let _gone = done.send(outcome);
        }
    }

    fn checkpoint(&mut self, order: &CheckpointOrder) -> Result<()> {
        let _inside = phase::inside(Phase::Checkpoint);
        let _room = self.headroom.promise_checkpoint(order.frozen.bytes())?;
        if self.failed {
            self.open_again()?;
        }
        if let Err(error) = self.index.checkpoint(&order.frozen, order.redo) {
            if error.kind() == ErrorKind::NoSpace {
                // After any failure redb fails for good, readers included, until it is opened anew:
                // what the checkpoint had written by then counts as little as after a kill.
                self.failed = true;
                if let Err(error) = self.open_again() {
                    if error.kind() != ErrorKind::NoSpace {
                        // A sync that failed, perhaps: a second try would believe what is lost.
                        return Err(error);
                    }
                    tracing::warn!(%error, "the index cannot be opened anew on a full disk yet");
                }
            }
            return Err(error);
        }
        let base = Arc::new(self.index.base()?);
        let mut view = self.view.write();
        view.base = base.clone();
        view.frozen = None;
        let pin = view.renew_pin();
        // A keeper that is gone, or has stopped, has no use for it.
        let _gone = self.events.send(Event::Checkpointed { pin, base });
        Ok(())
    }

    /// Opens the index once more, and shows it to new readers. The one that failed touches its file no
    /// more, and serves what it has in memory until this succeeds.
    fn open_again(&mut self) -> Result<()> {
        let Reopen {
            host,
            layout,
            cache_bytes,
        } = &self.reopen;
        let index = Index::open(layout.open_index(host, false)?, *cache_bytes)?;
        let base = Arc::new(index.base()?);
        self.view.write().base = base;
        self.index = index;
        self.failed = false;
        Ok(())
    }
}
