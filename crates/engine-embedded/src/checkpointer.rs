//! Writes frozen tables into the index, one after the other, and the index anew when it is asked to.

use crate::committer::{CheckpointOrder, Poison};
use crate::headroom::Headroom;
use crate::index::{Base, Index};
use crate::layout::Layout;
use crate::phase::{self, Phase};
use crate::renewal::Renewal;
use crate::space::Event;
use crate::view::CurrentView;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use trestle_core::{ErrorKind, Result};
use trestle_engine::canary::{self, Canary};
use trestle_host::Host;

/// A larger index is not written anew, in bytes.
const RENEWED_BYTES_MAX: u64 = 8 << 30;

/// What it is told.
pub(crate) enum Order {
    /// Write this table, then answer.
    Checkpoint(CheckpointOrder, oneshot::Sender<Result<()>>),
    /// Answer, all that was ordered before being done.
    Settled(oneshot::Sender<Result<()>>),
    /// Write some more of the index anew, if that is worth its while, and say whether there is more.
    Renew(oneshot::Sender<Result<bool>>),
}

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
    /// The index that is being written in the place of this one.
    pub(crate) renewal: Option<Renewal>,
    /// Indexes whose file is gone and that are still read: closing one would fail its readers.
    pub(crate) former: Vec<Index>,
    /// Bytes that the index held when it was last written anew.
    pub(crate) renewed: u64,
    /// Air in the index that is left alone, beside a half of what its rows take.
    pub(crate) air_bytes: u64,
}

impl Checkpointer {
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            self.former.retain_mut(Index::is_read);
            match order {
                Order::Checkpoint(order, done) => {
                    let outcome = self.checkpoint(&order);
                    if let Err(error) = &outcome
                        && error.kind() != ErrorKind::NoSpace
                    {
                        // At once: the committer may be in the middle of a group.
                        self.poison.set();
                    }
                    let written = outcome.is_ok();
                    // The committer only goes away when the process does.
                    let _gone = done.send(outcome);
                    self.follow(&order, written);
                }
                Order::Settled(reply) => {
                    // Whoever asked may have gone away.
                    let _gone = reply.send(self.poison.check());
                }
                Order::Renew(reply) => {
                    let outcome = self.renew();
                    // The keeper only goes away when the process does.
                    let _gone = reply.send(outcome);
                }
            }
        }
        self.give_up(self.renewal.is_some());
    }

    /// The index that is being written gets what this one got, unless there is too much of it.
    fn follow(&mut self, order: &CheckpointOrder, written: bool) {
        let Some(renewal) = &mut self.renewal else {
            return;
        };
        let followed = match written {
            true => renewal.follow(order),
            false => Ok(false),
        };
        if let Err(error) = &followed {
            tracing::warn!(%error, "the index is not written anew now");
        }
        if !matches!(followed, Ok(true)) {
            self.give_up(true);
        }
    }

    /// Writes some more of the index anew, and puts the new one in the place of this one in the end.
    fn renew(&mut self) -> Result<bool> {
        if self.failed || self.poison.check().is_err() || self.headroom.is_short(0)? {
            self.give_up(self.renewal.is_some());
            return Ok(false);
        }
        let _inside = phase::inside(Phase::Renewal);
        let base = self.view.read().base.clone();
        let mut renewal = match self.renewal.take() {
            Some(renewal) => renewal,
            None => match self.begin(&base)? {
                Some(renewal) => renewal,
                None => return Ok(false),
            },
        };
        let outcome = match renewal.step(&base) {
            Ok(true) => {
                self.renewal = Some(renewal);
                return Ok(true);
            }
            Ok(false) => renewal.finish(&base),
            Err(error) => Err(error),
        };
        // What is left undone harms nothing: the index in use is whole, and the other's file goes.
        outcome.inspect_err(|_| self.give_up(true))?;
        self.install().inspect_err(|_| self.poison.set())?;
        Ok(false)
    }

    /// Begins to write the index anew; none when it has little air, or the disk has no room.
    fn begin(&mut self, base: &Base) -> Result<Option<Renewal>> {
        let allocated = self.index.allocated()?;
        let least = base.bytes.unwrap_or(0).max(self.renewed);
        if allocated <= least + least / 2 + self.air_bytes || allocated > RENEWED_BYTES_MAX {
            return Ok(None);
        }
        // Nobody is kept from writing by it: it ends when the disk is nearly full, and not so soon.
        match self.headroom.promise_write(allocated.saturating_mul(2)) {
            Err(error) if error.kind() == ErrorKind::NoSpace => Ok(None),
            room => room.and_then(|_| Renewal::begin(&self.reopen).map(Some)),
        }
    }

    /// Puts the index that was written anew in the place of this one. After an error nobody knows which
    /// of the two a start would find, and neither may fall behind the log.
    fn install(&mut self) -> Result<()> {
        self.reopen.layout.install_new_index(&self.reopen.host)?;
        let former = self.put_in_place()?;
        if !canary::active(Canary::CloseUnderReaders) {
            self.former.push(former);
        }
        self.renewed = self.index.allocated()?;
        Ok(())
    }

    /// Drops the index that was being written.
    fn give_up(&mut self, begun: bool) {
        self.renewal = None;
        let removed = match begun {
            true => self.reopen.layout.remove_new_index(&self.reopen.host),
            false => Ok(()),
        };
        if let Err(error) = removed {
            // The next one, or the next start, does.
            tracing::warn!(%error, "an index that was not finished could not be removed");
        }
    }

    fn checkpoint(&mut self, order: &CheckpointOrder) -> Result<()> {
        let _inside = phase::inside(Phase::Checkpoint);
        let _room = self.headroom.promise_checkpoint(order.frozen.bytes())?;
        if self.failed {
            self.open_again()?;
        }
        let released = self.release();
        let written = released.and_then(|()| self.index.checkpoint(&order.frozen, order.redo));
        if let Err(error) = written {
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

    /// Gives up what the last checkpoint replaced, when the index has air enough to be worth that.
    fn release(&self) -> Result<()> {
        let bytes = self.view.read().base.bytes.unwrap_or(0);
        match self.index.allocated()? > bytes.saturating_add(self.air_bytes) {
            true => self.index.release(),
            false => Ok(()),
        }
    }

    /// Opens the index once more. The one that failed touches its file no more, and serves what it has
    /// in memory until this succeeds.
    fn open_again(&mut self) -> Result<()> {
        // Its readers fail with it: two that are open would both write.
        self.put_in_place().map(drop)
    }

    /// Opens the index that is there, and shows it to new readers; returns the one that they had.
    fn put_in_place(&mut self) -> Result<Index> {
        let Reopen {
            host,
            layout,
            cache_bytes,
        } = &self.reopen;
        let index = Index::open(layout.open_index(host, false)?, *cache_bytes)?;
        let base = Arc::new(index.base()?);
        self.view.write().base = base;
        self.failed = false;
        Ok(std::mem::replace(&mut self.index, index))
    }
}
