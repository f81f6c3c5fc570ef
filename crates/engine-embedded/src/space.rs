//! The keeper: gives space back, and keeps the second copy of the metadata.
//!
//! Freed bytes wait in a queue until no view that could show them is left; then their holes are
//! punched and dead segments are removed. A log segment goes only when index and snapshot are both
//! beyond it, and no row keeps bytes in it. All of it is work that can be dropped at any moment: a
//! start finds what was left undone by comparing what rows keep with what files hold.

use crate::blocks::{Place, Segment};
use crate::calm::Calm;
use crate::checkpointer::Order;
use crate::committer::Message;
use crate::files::Files;
use crate::format::GROUPS_START;
use crate::headroom::Headroom;
use crate::index::{Base, Space};
use crate::layout::Layout;
use crate::phase::{self, Phase};
use crate::reclaim::Move;
use crate::snapshot::Snapshot;
use crate::spares::Spares;
use crate::streams::Streams;
use crate::sweep::Sweep;
use crate::view::CurrentView;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::canary::{self, Canary};
use trestle_host::{Host, OpenMode};

/// Bytes of a data segment that no row has any more.
#[derive(Clone, Debug)]
pub(crate) struct Freed {
    pub(crate) segment: u64,
    pub(crate) bytes: Range<u64>,
}

/// What the keeper is told, in the order in which pins were renewed.
pub(crate) enum Event {
    /// A commit freed extents; views from before it hold the pin.
    Freed { pin: Weak<()>, extents: Vec<Freed> },
    /// The index has a new base; views from before it hold the pin.
    Checkpointed { pin: Weak<()>, base: Arc<Base> },
    /// Do what can be done now, then answer.
    Tidy(oneshot::Sender<Result<()>>),
    /// Stop.
    Close,
}

/// Something to give back.
pub(crate) enum Garbage {
    Extents(Vec<Freed>),
    Removal(Segment),
}

/// Part of the waste that is left alone otherwise, while little is written.
const CALM_PART: u64 = 4;
/// Part of the waste that is left alone that spare segments may take, beyond the first ones.
const SPARES_PART: u64 = 8;
/// Part of the waste that is left alone that may wait for the snapshot, unless that is large: to write
/// it is cheaper than to move bodies.
const WAITING_PART: u64 = 8;
/// What waits for the snapshot is at least so many times what it takes to write it.
const WAITING_SNAPSHOTS: u64 = 2;

/// How much waste is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slack {
    /// In bytes.
    pub(crate) bytes: u64,
    /// One part in so many of what lives.
    pub(crate) part: u64,
}

impl Slack {
    pub(crate) fn of(self, live: u64) -> u64 {
        self.bytes + live / self.part
    }
}

pub(crate) struct Keeper {
    pub(crate) host: Host,
    pub(crate) layout: Layout,
    pub(crate) store: [u8; 16],
    pub(crate) view: Arc<CurrentView>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) files: Arc<Files>,
    pub(crate) committer: mpsc::WeakSender<Message>,
    pub(crate) checkpointer: mpsc::WeakUnboundedSender<Order>,
    pub(crate) snapshot: Snapshot,
    pub(crate) headroom: Arc<Headroom>,
    pub(crate) slack: Slack,
    pub(crate) spares: Arc<Spares>,
    /// Whether anybody else writes much, as of when the store was last tidied.
    pub(crate) calm: Calm,
    pub(crate) queue: VecDeque<(Weak<()>, Garbage)>,
    /// Removals that are in the queue.
    pub(crate) leaving: BTreeSet<Segment>,
    /// Lengths of log segments that nothing is written to any more.
    pub(crate) lengths: BTreeMap<u64, u64>,
    pub(crate) moving: Option<Move>,
    /// Log segments that were gone through: what is still kept there then cannot be moved.
    pub(crate) moved: BTreeSet<u64>,
    pub(crate) sweep: Sweep,
    /// What it found; goes into the queue with the pin of the next base.
    pub(crate) swept: Vec<Freed>,
    /// What could not be given back; tried again after the next checkpoint.
    pub(crate) unpunched: Vec<Freed>,
    pub(crate) waiting: Vec<oneshot::Sender<Result<()>>>,
}

impl Keeper {
    /// Serves until closed or abandoned.
    pub(crate) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut busy = false;
        loop {
            let event = if busy {
                match events.try_recv() {
                    Ok(event) => Some(event),
                    Err(mpsc::error::TryRecvError::Empty) => None,
                    Err(mpsc::error::TryRecvError::Disconnected) => return,
                }
            } else {
                match events.recv().await {
                    Some(event) => Some(event),
                    None => return,
                }
            };
            match event {
                Some(Event::Close) => return,
                Some(event) => self.take(event),
                None => {}
            }
            let outcome = self.step().await;
            let outcome = self.streams.poison_if_unsynced(outcome);
            busy = matches!(outcome, Ok(true));
            if let Err(error) = &outcome {
                tracing::warn!(%error, "space could not be given back; it will be tried again");
            }
            if !busy {
                let outcome = outcome.map(drop);
                for waiting in std::mem::take(&mut self.waiting) {
                    // Whoever asked may have gone away.
                    let _gone = waiting.send(match &outcome {
                        Ok(()) => Ok(()),
                        Err(error) => Err(Error::new(error.kind(), error.message().to_owned())),
                    });
                }
            }
            // Whoever shares the thread gets a turn.
            tokio::task::yield_now().await;
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Freed { pin, extents } => {
                self.queue.push_back((pin, Garbage::Extents(extents)));
            }
            Event::Checkpointed { pin, base } => self.plan_removals(&pin, &base),
            Event::Tidy(reply) => {
                self.calm.look(self.host.clock.monotonic());
                self.waiting.push(reply);
            }
            Event::Close => {}
        }
    }

    fn base(&self) -> Arc<Base> {
        self.view.read().base.clone()
    }

    /// Does one bounded piece of work; false when there is none.
    async fn step(&mut self) -> Result<bool> {
        if self.give_back()? {
            return Ok(true);
        }
        if !self.spares.is_empty()
            && !self.keeps_spares()
            && self.spares.remove_one(&self.host, &self.layout)?
        {
            return Ok(true);
        }
        let base = self.base();
        // Both in turns: a pass of the snapshot takes long, and waste grows meanwhile.
        let written = self.write_snapshot(&base)?;
        if self.move_bodies(&base).await? || written {
            return Ok(true);
        }
        let (streams, leaving) = (&self.streams, &self.leaving);
        let settled = |segment| {
            streams.is_settled(segment, base.redo.sequence)
                && !leaving.contains(&(Place::Data, segment))
        };
        let found = &mut self.swept;
        let inside = phase::inside(Phase::Sweep);
        let more = self
            .sweep
            .step(&self.host, &self.layout, &base, settled, found)?;
        if !self.swept.is_empty() {
            self.ask_for_checkpoint();
        }
        drop(inside);
        Ok(more || self.renew_index().await?)
    }

    /// Has some more of the index written anew, if it is worth that, while little is written.
    async fn renew_index(&self) -> Result<bool> {
        if !self.calm.is_calm() {
            return Ok(false);
        }
        let (reply, answer) = oneshot::channel();
        let asked = self.checkpointer.upgrade();
        let asked = asked.map(|orders| orders.send(Order::Renew(reply)));
        match asked {
            // The store is being closed.
            None | Some(Err(_)) => Ok(false),
            Some(Ok(())) => answer.await.unwrap_or(Ok(false)),
        }
    }

    /// Gives the oldest garbage back, when nobody can see it any more.
    fn give_back(&mut self) -> Result<bool> {
        let seen =
            |pin: &Weak<()>| pin.strong_count() > 0 && !canary::active(Canary::PunchUnderReaders);
        if self.queue.front().is_none_or(|(pin, _)| seen(pin)) {
            return Ok(false);
        }
        let Some((_, garbage)) = self.queue.pop_front() else {
            return Ok(false);
        };
        // What readers did before they let go of the pin comes before what is done now.
        fence(Ordering::Acquire);
        match garbage {
            Garbage::Extents(extents) => {
                let _inside = phase::inside(Phase::Punch);
                if let Err(error) = self.punch(&extents) {
                    self.unpunched.extend(extents);
                    return Err(error);
                }
            }
            Garbage::Removal(segment) => {
                self.leaving.remove(&segment);
                self.give_back_segment(segment)?;
            }
        }
        Ok(true)
    }

    /// Removes a segment, or keeps it to be used again.
    fn give_back_segment(&mut self, segment: Segment) -> Result<()> {
        let (place, id) = segment;
        if place == Place::Log {
            self.moved.remove(&id);
            let length = self.lengths.remove(&id).unwrap_or(0);
            if self.keeps_spares() && self.spares.wants(length, self.left_spare()) {
                return self.spares.keep(&self.host, &self.layout, &self.files, id);
            }
        }
        let _inside = phase::inside(Phase::Removal);
        self.files.remove(segment)
    }

    /// Whether spare segments are worth their space: while something is written, on a disk that has
    /// room.
    fn keeps_spares(&self) -> bool {
        !self.calm.is_calm() && !self.headroom.is_short(0).unwrap_or(true)
    }

    /// Bytes of spare segments that are worth keeping, beyond the first ones.
    fn left_spare(&self) -> u64 {
        self.slack.of(total(&self.base().space)) / SPARES_PART
    }

    /// Punches holes; twice does no harm.
    fn punch(&self, extents: &[Freed]) -> Result<()> {
        let mut extents: Vec<&Freed> = extents.iter().collect();
        extents.sort_by_key(|freed| (freed.segment, freed.bytes.start));
        let mut open = None;
        for Freed { segment, bytes } in extents {
            let segment = *segment;
            let file = match &open {
                Some((id, file)) if *id == segment => Arc::clone(file),
                _ => {
                    let place = (Place::Data, segment);
                    match self.layout.open(&self.host, place, OpenMode::ReadWrite) {
                        Ok(file) => file,
                        // Removed as a whole meanwhile.
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
            };
            file.punch(bytes.start, bytes.end.saturating_sub(bytes.start))?;
            open = Some((segment, file));
        }
        Ok(())
    }

    /// Queues the segments that the new base has no more use for.
    fn plan_removals(&mut self, pin: &Weak<()>, base: &Base) {
        let mut swept = std::mem::take(&mut self.swept);
        swept.append(&mut self.unpunched);
        self.queue.push_back((pin.clone(), Garbage::Extents(swept)));
        let removals = self.dead_segments(base);
        let removals = removals.unwrap_or_else(|error| {
            tracing::warn!(%error, "the segments could not be listed");
            Vec::new()
        });
        for segment in removals {
            let retired = match segment.0 {
                Place::Log => true,
                Place::Data => self.streams.retire(segment.1, base.redo.sequence),
            };
            if retired && self.leaving.insert(segment) {
                if !canary::active(Canary::MoveFromRemoved) {
                    self.stop_moving(segment);
                }
                let removal = Garbage::Removal(segment);
                if canary::active(Canary::RemoveUnderReaders) {
                    self.queue.push_front((Weak::new(), removal));
                } else {
                    self.queue.push_back((pin.clone(), removal));
                }
            }
        }
    }

    /// Nothing that lives is left in the segment, and it may be gone before the walk through it ends.
    fn stop_moving(&mut self, segment: Segment) {
        let moving = self.moving.as_ref().map(Move::segment);
        if segment.0 == Place::Log && moving == Some(segment.1) {
            self.moving = None;
        }
    }

    fn dead_segments(&mut self, base: &Base) -> Result<Vec<Segment>> {
        self.measure_log(base)?;
        let kept = |segment: &Segment| base.space.contains_key(segment);
        let until = self.log_floor(base);
        let log = self.lengths.keys().map(|id| (Place::Log, *id));
        let mut dead: Vec<Segment> = log
            .filter(|segment| segment.1 < until && !kept(segment))
            .collect();
        let data = self.layout.data_segments(&self.host)?;
        dead.extend(
            data.into_iter()
                .map(|id| (Place::Data, id))
                .filter(|segment| !kept(segment)),
        );
        Ok(dead)
    }

    /// Groups of segments before this one are needed by nobody.
    fn log_floor(&self, base: &Base) -> u64 {
        if canary::active(Canary::RemoveBeforeSnapshot) {
            return base.redo.segment;
        }
        base.redo.segment.min(self.snapshot.floor().segment)
    }

    /// Learns the lengths of log segments that have ended before the base.
    fn measure_log(&mut self, base: &Base) -> Result<()> {
        for id in self.layout.segments(&self.host)? {
            if id < base.redo.segment && !self.lengths.contains_key(&id) {
                let file = self.files.get((Place::Log, id))?;
                self.lengths.insert(id, file.len()?);
            }
        }
        Ok(())
    }

    /// Bytes of a log segment that no row keeps.
    fn waste(&self, base: &Base, segment: u64, length: u64) -> u64 {
        let kept = base.space.get(&(Place::Log, segment)).copied();
        length.saturating_sub(kept.unwrap_or(0))
    }

    /// Writes the next slice, when a pass runs or is due.
    fn write_snapshot(&mut self, base: &Base) -> Result<bool> {
        if !self.snapshot.is_running() {
            let floor = self.snapshot.floor().segment;
            let waiting: u64 = self
                .lengths
                .range(floor..base.redo.segment)
                .map(|(id, length)| self.waste(base, *id, *length))
                .sum();
            if waiting <= self.left_waiting(total(&base.space)) {
                return Ok(false);
            }
        }
        let _inside = phase::inside(Phase::Snapshot);
        self.snapshot
            .step(&self.host, &self.layout, self.store, base)?;
        self.headroom.set_snapshot(self.snapshot.bytes());
        if !self.snapshot.is_running() {
            self.ask_for_checkpoint();
        }
        Ok(true)
    }

    /// Moves some of what lives out of the log segment with the most waste, when all of it together
    /// is more than is left alone.
    async fn move_bodies(&mut self, base: &Base) -> Result<bool> {
        if self.moving.is_none() {
            self.moving = self.choose(base);
        }
        let Some(moving) = &mut self.moving else {
            return Ok(false);
        };
        let Some(committer) = self.committer.upgrade() else {
            return Ok(false);
        };
        match moving.step(&self.files, &self.view, &committer).await {
            Ok(Some(())) => Ok(true),
            Ok(None) => {
                self.moved.insert(moving.segment());
                self.moving = None;
                self.ask_for_checkpoint();
                Ok(true)
            }
            // The committer takes nothing any more: the store is being closed, or refuses writes.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.moving = None;
                Ok(false)
            }
            Err(error) => {
                // What is damaged stays so; a full disk does not.
                if error.kind() == ErrorKind::Corrupt {
                    self.moved.insert(moving.segment());
                }
                self.moving = None;
                Err(error)
            }
        }
    }

    /// Waste that is left alone beside `live` bytes: less while moving delays nobody, and none on a
    /// full disk.
    fn slack(&self, live: u64) -> u64 {
        match self.headroom.is_short(0) {
            Ok(true) => 0,
            _ if self.calm.is_calm() => self.slack.of(live) / CALM_PART,
            // A file system that does not say is not taken for a full one.
            Ok(false) | Err(_) => self.slack.of(live),
        }
    }

    /// Waste that may wait for the snapshot beside `live` bytes.
    fn left_waiting(&self, live: u64) -> u64 {
        let slack = self.slack(live);
        let snapshot = self.snapshot.bytes().saturating_mul(WAITING_SNAPSHOTS);
        (slack / WAITING_PART).max(snapshot).min(slack)
    }

    /// A removal waits for the next base.
    fn ask_for_checkpoint(&self) {
        if let Some(committer) = self.committer.upgrade() {
            // A full inbox brings one soon, too.
            let _full = committer.try_send(Message::Checkpoint);
        }
    }

    fn choose(&mut self, base: &Base) -> Option<Move> {
        let floor = self.log_floor(base);
        let (mut waste, mut kept) = (0, 0);
        let mut most = None;
        for (id, length) in self.lengths.range(..floor) {
            if !base.space.contains_key(&(Place::Log, *id)) || self.moved.contains(id) {
                continue;
            }
            // Each segment has a header: what is moved gets another one.
            let length = length.saturating_sub(GROUPS_START);
            let here = self.waste(base, *id, length);
            waste += here;
            kept += length - here;
            // In thousandths, so that segments of any length compare.
            let share = here.saturating_mul(1000) / length.max(1);
            if most.is_none_or(|(_, found)| share > found) {
                most = Some((*id, share));
            }
        }
        let (id, share) = most?;
        (waste > self.slack(kept) && share > 50).then(|| Move::new(id))
    }
}

fn total(space: &Space) -> u64 {
    space.values().sum()
}
