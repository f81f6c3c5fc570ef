//! Writes frozen tables into the index, one after the other.

use crate::committer::{Checkpoint, CheckpointOrder, Poison};
use crate::headroom::Headroom;
use crate::index::Index;
use crate::phase::{self, Phase};
use crate::space::Event;
use crate::view::CurrentView;
use std::sync::Arc;
use tokio::sync::mpsc;
use trestle_core::{ErrorKind, Result};

pub(crate) struct Checkpointer {
    pub(crate) headroom: Arc<Headroom>,
    pub(crate) index: Index,
    pub(crate) poison: Arc<Poison>,
    pub(crate) view: Arc<CurrentView>,
    /// To the keeper.
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

impl Checkpointer {
    pub(crate) async fn run(self, mut orders: mpsc::UnboundedReceiver<Checkpoint>) {
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

    fn checkpoint(&self, order: &CheckpointOrder) -> Result<()> {
        let _inside = phase::inside(Phase::Checkpoint);
        let _room = self.headroom.promise_checkpoint(order.frozen.bytes())?;
        self.index.checkpoint(&order.frozen, order.redo)?;
        let base = Arc::new(self.index.base()?);
        let mut view = self.view.write();
        view.base = base.clone();
        view.frozen = None;
        let pin = view.renew_pin();
        // A keeper that is gone, or has stopped, has no use for it.
        let _gone = self.events.send(Event::Checkpointed { pin, base });
        Ok(())
    }
}
