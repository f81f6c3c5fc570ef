//! The one committer: orders all commits, forms groups, makes them durable, then visible.
//!
//! Groups form by themselves: what arrives while a sync runs is the next group. Since a group is
//! applied before the next one is looked at, expectations are always checked against all that came
//! before. A refusal is answered only after the group is durable, so whatever caused it is, too.

use crate::blocks::{Place, Run};
use crate::calm::{Calm, Written};
use crate::checkpointer::Order;
use crate::format::{Change, Changes, GROUP_HEADER_BYTES, NewBody, entry_bytes_max};
use crate::headroom::{Headroom, no_space};
use crate::index::RedoPoint;
use crate::log::Log;
use crate::memtable::{Memtable, State};
use crate::phase::{self, Phase};
use crate::reclaim::Moved;
use crate::recovery::located_rows;
use crate::row::StoredRow;
use crate::space::{Event, Freed};
use crate::streams::Streams;
use crate::view::{CurrentView, View};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use trestle_core::{Error, ErrorKind, Result, Sequence};
use trestle_engine::canary::{self, Canary};
use trestle_engine::check;
use trestle_engine::{Body, Commit, Committed, Expectation, Urgency, Write};

/// A group takes no further commit beyond this many bytes.
const GROUP_BYTES: usize = 16 << 20;
/// On a full disk a segment ends after so many bytes.
const SHORT_SEGMENT_BYTES: u64 = 1 << 20;
/// A group takes at most so many commits.
const GROUP_COMMITS_MAX: usize = 4096;

/// A commit with its answer's address.
pub(crate) struct Request {
    pub(crate) commit: Commit,
    pub(crate) reply: oneshot::Sender<Result<Committed>>,
    /// Bounds the memory of what waits.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Rows whose bytes are to be written again, with the answer's address.
type MoveRequest = (Vec<Moved>, oneshot::Sender<Result<()>>);

/// What the committer is told.
pub(crate) enum Message {
    Commit(Request),
    /// Write the bytes of these rows again; those that have changed meanwhile stay as they are.
    Move(Vec<Moved>, oneshot::Sender<Result<()>>),
    /// Bring the index up to date soon.
    Checkpoint,
    /// Bring the index up to date when little was committed since the last time, then answer.
    Tidy(oneshot::Sender<Result<()>>),
    /// Flush everything, then refuse commits.
    Close(oneshot::Sender<Result<()>>),
}

/// Asks the checkpointer to write a frozen table into the index.
#[derive(Clone)]
pub(crate) struct CheckpointOrder {
    pub(crate) frozen: Arc<Memtable>,
    pub(crate) redo: RedoPoint,
}

/// Set when a flush failed: writes are refused until the store is opened again.
#[derive(Debug, Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::SeqCst) {
            Err(unavailable())
        } else {
            Ok(())
        }
    }
}

pub(crate) fn unavailable() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the store refuses writes: a flush failed, or it is being closed",
    )
}

/// The committer's state.
pub(crate) struct Committer {
    pub(crate) log: Log,
    pub(crate) view: Arc<CurrentView>,
    pub(crate) next: Sequence,
    pub(crate) poison: Arc<Poison>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) headroom: Arc<Headroom>,
    pub(crate) checkpoints: mpsc::UnboundedSender<Order>,
    pub(crate) running: Option<oneshot::Receiver<Result<()>>>,
    pub(crate) memtable_bytes: usize,
    /// A checkpoint starts after so many bytes of log.
    pub(crate) checkpoint_log_bytes: u64,
    pub(crate) log_bytes_since_checkpoint: u64,
    /// The order that is running, or waits for space.
    pub(crate) waiting: Option<CheckpointOrder>,
    /// Somebody waits for the index.
    pub(crate) wanted: bool,
    /// Counts what commits write, for whoever asks whether there is little of it.
    pub(crate) written: Arc<Written>,
    /// As of when the store was last tidied.
    pub(crate) calm: Calm,
}

/// A group while it forms.
struct Forming {
    view: View,
    changes: Changes,
    bytes: usize,
    last: Sequence,
    room: u64,
    room_normal: u64,
    /// Extents that the group takes from rows.
    freed: Vec<Freed>,
    /// Rows as the view has them.
    found: HashMap<Bytes, Option<StoredRow>>,
}

/// What one round of the committer has to do.
#[derive(Default)]
struct Round {
    requests: Vec<Request>,
    moves: Vec<MoveRequest>,
    tidies: Vec<oneshot::Sender<Result<()>>>,
    closing: Option<oneshot::Sender<Result<()>>>,
}

impl Committer {
    /// Serves until closed or abandoned.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(message) = inbox.recv().await {
            let round = self.collect(message, &mut inbox);
            self.group(round.requests, round.moves);
            if let Some(reply) = round.closing {
                inbox.close();
                let outcome = self.close().await;
                self.poison.set();
                // A caller that no longer waits knows nothing less.
                let _gone = reply.send(outcome);
                return;
            }
            self.wanted |= !round.tidies.is_empty() && (self.is_idle() || self.is_short());
            // Before the seal: a redo point lies after a group that is synced.
            // After a failure nothing is known of what is on disk, so nothing more is done to it.
            if self.poison.check().is_ok()
                && let Err(error) = self.maintain().await
            {
                tracing::error!(%error, "the store refuses writes from now on");
                self.poison.set();
            }
            for reply in round.tidies {
                self.answer_settled(reply);
            }
            if inbox.is_empty() && self.poison.check().is_ok() {
                // The claim only helps a later start; if it cannot be written, the next group carries it.
                if let Err(error) = self.log.seal() {
                    tracing::warn!(%error, "a seal could not be written");
                }
            }
        }
    }

    /// What has arrived by now, as much as fits into a group.
    fn collect(&mut self, first: Message, inbox: &mut mpsc::Receiver<Message>) -> Round {
        let mut round = Round::default();
        let mut message = Some(first);
        let (mut bytes, mut commits) = (0, 0);
        while let Some(taken) = message.take() {
            match taken {
                Message::Commit(request) => {
                    bytes += commit_bytes_max(&request.commit);
                    round.requests.push(request);
                }
                Message::Move(moved, reply) => {
                    bytes += moved.iter().map(|moved| moved.bytes.len()).sum::<usize>();
                    round.moves.push((moved, reply));
                }
                Message::Checkpoint => self.wanted = true,
                Message::Tidy(reply) => round.tidies.push(reply),
                Message::Close(reply) => {
                    round.closing = Some(reply);
                    break;
                }
            }
            commits += 1;
            if bytes < GROUP_BYTES && commits < GROUP_COMMITS_MAX {
                message = inbox.try_recv().ok();
            }
        }
        round
    }

    /// Whether little was committed since the last time that somebody asked, and some of that, or of
    /// what came before, is not in the index.
    fn is_idle(&mut self) -> bool {
        let now = self.headroom.host.clock.monotonic();
        self.calm.look(now) && self.log_bytes_since_checkpoint > 0
    }

    /// Whether the disk is full but for what is kept, and the log's segment may hold some of it.
    fn is_short(&self) -> bool {
        // A file system that does not say stops the next group.
        self.log.position().offset > SHORT_SEGMENT_BYTES
            && self.headroom.is_short(0).unwrap_or(false)
    }

    /// Has somebody told when the checkpoint that runs has ended. Commits do not wait for that: it may
    /// take as long as the index has pages to write.
    fn answer_settled(&self, reply: oneshot::Sender<Result<()>>) {
        if self.running.is_some() && self.poison.check().is_ok() {
            // Without a checkpointer the answer is dropped, which says so.
            let _gone = self.checkpoints.send(Order::Settled(reply));
            return;
        }
        let _gone = reply.send(self.poison.check());
    }

    /// Waits for the checkpoint that runs.
    async fn settle(&mut self) -> Result<()> {
        self.poison.check()?;
        if let Some(mut running) = self.running.take() {
            let outcome = received(&mut running).await;
            self.checkpointed(outcome)?;
        }
        Ok(())
    }

    /// Validates, writes, syncs, applies and answers one group.
    fn group(&mut self, requests: Vec<Request>, moves: Vec<MoveRequest>) {
        if requests.is_empty() && moves.is_empty() {
            return;
        }
        if self.poison.check().is_err() {
            answer_all(requests, moves, unavailable);
            return;
        }
        let _inside = phase::inside(Phase::Group);
        let _moving = (!moves.is_empty()).then(|| phase::inside(Phase::Move));
        let first = self.next;
        let mut forming = match self.form(&requests, &moves) {
            Ok(forming) => forming,
            Err(error) => {
                let failure = self.fail(&error);
                return answer_all(requests, moves, || failure.error());
            }
        };
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in &requests {
            let sequence = forming.last.next();
            let outcome = forming.admit(&request.commit, sequence, &self.streams);
            if outcome.is_ok() {
                forming.last = sequence;
            }
            outcomes.push(outcome.map(|()| Committed { sequence }));
        }
        if forming.last >= first {
            self.written.add(forming.bytes as u64);
        }
        let mut moved = Vec::with_capacity(moves.len());
        for (rows, reply) in moves {
            moved.push((forming.admit_moves(&rows), reply));
        }
        if forming.last >= first {
            if canary::active(Canary::AcknowledgeBeforeSync) {
                let acknowledged = self.write(&forming, first, true);
                for (request, outcome) in requests.into_iter().zip(outcomes) {
                    answer(request, outcome);
                }
                if acknowledged.is_err() || self.log.sync().is_err() {
                    self.poison.set();
                }
                return;
            }
            if let Err(failure) = self.write(&forming, first, false) {
                if matches!(failure, Failure::NoSpace) {
                    self.streams.restore();
                }
                let moves = moved.into_iter().map(|(_, reply)| (Vec::new(), reply));
                answer_all(requests, moves.collect(), || failure.error());
                return;
            }
        }
        self.streams.spend(forming.last);
        for (request, outcome) in requests.into_iter().zip(outcomes) {
            answer(request, outcome);
        }
        for (outcome, reply) in moved {
            let _gone = reply.send(outcome);
        }
    }

    /// An empty group with the room that it has.
    fn form(&mut self, requests: &[Request], moves: &[MoveRequest]) -> Result<Forming> {
        let wanted: usize = requests.iter().map(|r| commit_bytes_max(&r.commit)).sum();
        let moved = moves.iter().flat_map(|(rows, _)| rows);
        let wanted = wanted + moved.map(Moved::group_bytes_max).sum::<usize>();
        let (room, mut room_normal) =
            self.log.room((wanted + GROUP_HEADER_BYTES) as u64, || {
                self.headroom.is_ample()
            })?;
        let view = self.view.read().clone();
        let rows = view.active.bytes();
        if rows > 4 * self.memtable_bytes || self.headroom.is_short(rows)? {
            // The index has no space to grow: only what frees some goes on, and sooner.
            room_normal = 0;
            self.wanted |= rows > self.memtable_bytes / 32;
        }
        Ok(Forming {
            view,
            changes: Changes::new(),
            bytes: GROUP_HEADER_BYTES,
            last: Sequence(self.next.0.saturating_sub(1)),
            room,
            room_normal,
            freed: Vec::new(),
            found: HashMap::new(),
        })
    }

    /// Makes a group durable and visible.
    fn write(
        &mut self,
        forming: &Forming,
        first: Sequence,
        unsynced: bool,
    ) -> std::result::Result<(), Failure> {
        let segment = self.log.position().segment;
        let offset = match self
            .log
            .write_changes(&forming.changes, first, forming.last)
        {
            Ok(offset) => offset,
            Err(error) if error.kind() == ErrorKind::NoSpace => return Err(Failure::NoSpace),
            Err(error) => return Err(self.fail(&error)),
        };
        // Whatever happens now, these sequences were written down once.
        self.next = forming.last.next();
        self.log_bytes_since_checkpoint += self.log.payload().len() as u64;
        let rows =
            located_rows(self.log.payload(), segment, offset).map_err(|error| self.fail(&error))?;
        if canary::active(Canary::ShowBeforeSync) {
            self.show(rows.clone(), forming);
        }
        if !unsynced {
            self.log.sync().map_err(|error| self.fail(&error))?;
        }
        if !canary::active(Canary::ShowBeforeSync) {
            self.show(rows, forming);
        }
        Ok(())
    }

    fn show(&self, rows: Vec<(Bytes, Sequence, State)>, forming: &Forming) {
        // Readers filter by the view's sequence, so the rows may go in first.
        let active = self.view.read().active.clone();
        active.apply(rows);
        let mut view = self.view.write();
        view.sequence = forming.last;
        if !forming.freed.is_empty() {
            let (pin, extents) = (view.renew_pin(), forming.freed.clone());
            // Without a keeper the process ends; the next one sweeps.
            let _gone = self.events.send(Event::Freed { pin, extents });
        }
    }

    fn fail(&self, error: &Error) -> Failure {
        tracing::error!(%error, "writing the log failed; the store refuses writes from now on");
        self.poison.set();
        Failure::Poisoned
    }

    /// Between groups: rotates the log and starts checkpoints when they are due.
    async fn maintain(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running {
            let over = self.view.read().active.bytes() > 2 * self.memtable_bytes;
            let outcome = if over {
                Some(received(running).await)
            } else {
                finished(running)
            };
            if let Some(outcome) = outcome {
                self.running = None;
                self.checkpointed(outcome)?;
            }
        }
        // A short disk cannot wait for the segment to fill before any of it is given back.
        if self.log.is_full() || self.wanted && self.is_short() {
            match self.log.rotate() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NoSpace => {
                    tracing::warn!(%error, "no space for a new log segment; staying in this one");
                }
                Err(error) => return Err(error),
            }
        }
        let due = self.view.read().active.bytes() > self.memtable_bytes
            || self.log_bytes_since_checkpoint > self.checkpoint_log_bytes
            || self.waiting.is_some()
            || self.wanted;
        if due && self.running.is_none() {
            self.wanted = false;
            self.start_checkpoint()?;
        }
        Ok(())
    }

    /// Takes a checkpoint's outcome: without space its table stays frozen, and is tried again.
    fn checkpointed(&mut self, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                tracing::warn!(%error, "no space for a checkpoint; it will be tried again");
                Ok(())
            }
            Ok(()) => {
                self.waiting = None;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Orders the table that waits, or else the active one, into the index.
    fn start_checkpoint(&mut self) -> Result<()> {
        let order = match &self.waiting {
            Some(order) => order.clone(),
            None => self.freeze()?,
        };
        let (done, outcome) = oneshot::channel();
        self.waiting = Some(order.clone());
        self.running = Some(outcome);
        // Without a checkpointer the receiver is closed, which the next round reports.
        let _gone = self.checkpoints.send(Order::Checkpoint(order, done));
        Ok(())
    }

    /// Makes the active table the frozen one. None is frozen when this is called.
    fn freeze(&mut self) -> Result<CheckpointOrder> {
        // The redo point must not lie after a seal that a crash can take away.
        self.log.sync_seal()?;
        let mut view = self.view.write();
        let frozen = std::mem::take(&mut view.active);
        view.frozen = Some(frozen.clone());
        let position = self.log.position();
        self.log_bytes_since_checkpoint = 0;
        let redo = RedoPoint {
            segment: position.segment,
            offset: position.offset,
            checksum: position.checksum,
            sequence: view.sequence,
            active: position.segment,
        };
        Ok(CheckpointOrder { frozen, redo })
    }

    async fn close(&mut self) -> Result<()> {
        self.settle().await?;
        self.start_checkpoint()?;
        self.settle().await?;
        self.log.seal()?;
        self.log.sync()
    }
}

async fn received(running: &mut oneshot::Receiver<Result<()>>) -> Result<()> {
    running.await.unwrap_or_else(|_| Err(unavailable()))
}

fn finished(running: &mut oneshot::Receiver<Result<()>>) -> Option<Result<()>> {
    match running.try_recv() {
        Ok(outcome) => Some(outcome),
        Err(oneshot::error::TryRecvError::Empty) => None,
        Err(oneshot::error::TryRecvError::Closed) => Some(Err(unavailable())),
    }
}

/// Why a group was not made durable.
enum Failure {
    /// Nothing was written that counts; the log goes on.
    NoSpace,
    /// Nobody knows what is durable.
    Poisoned,
}

impl Failure {
    fn error(&self) -> Error {
        match self {
            Failure::NoSpace => no_space(),
            Failure::Poisoned => unavailable(),
        }
    }
}

fn answer_all(requests: Vec<Request>, moves: Vec<MoveRequest>, error: impl Fn() -> Error) {
    for request in requests {
        answer(request, Err(error()));
    }
    for (_, reply) in moves {
        let _gone = reply.send(Err(error()));
    }
}

fn answer(request: Request, outcome: Result<Committed>) {
    // A caller that went away does not cancel its commit.
    let _gone = request.reply.send(outcome);
}

/// Upper bound of what a commit adds to a group.
pub(crate) fn commit_bytes_max(commit: &Commit) -> usize {
    let write = |write: &Write| match write {
        Write::Put { key, value, body } => entry_bytes_max(
            key.len(),
            value.len(),
            body.as_ref().map_or(0, Body::commit_bytes),
        ),
        Write::Delete { key } => entry_bytes_max(key.len(), 0, 0),
        Write::Add { key, .. } => entry_bytes_max(key.len(), 8, 0),
        Write::Append { key, value } => {
            entry_bytes_max(key.len() + size_of::<u64>(), value.len(), 0)
        }
    };
    commit.writes.iter().map(write).sum()
}

impl Forming {
    /// Takes a commit into the group, or says why not and leaves the group as it was.
    fn admit(&mut self, commit: &Commit, sequence: Sequence, streams: &Streams) -> Result<()> {
        check::validate(commit)?;
        streams.check(commit)?;
        if !canary::active(Canary::IgnoreExpectations) {
            for expectation in &commit.expectations {
                self.expect(expectation)?;
            }
        }
        let bytes = commit_bytes_max(commit);
        let room = match commit.urgency {
            Urgency::Normal => self.room_normal,
            Urgency::Freeing => self.room,
        };
        if (self.bytes + bytes) as u64 > room {
            return Err(no_space());
        }
        let mut resulting = Vec::with_capacity(commit.writes.len());
        let mut freed = Vec::new();
        for write in &commit.writes {
            let change = match write {
                Write::Put { value, body, .. } => Change::Put {
                    value: value.clone(),
                    body: match body {
                        None => NewBody::None,
                        Some(Body::Attached(bytes)) => NewBody::Attached(bytes.clone()),
                        Some(Body::Streamed(extent)) => {
                            NewBody::Streamed(Run::from_handle(&extent.handle)?)
                        }
                    },
                },
                Write::Delete { .. } => Change::Delete,
                Write::Append { value, .. } => Change::Put {
                    value: value.clone(),
                    body: NewBody::None,
                },
                Write::Add { key, delta } => {
                    let value = check::add(self.value(key)?.as_deref(), *delta)?;
                    let value = Bytes::copy_from_slice(&value.to_be_bytes());
                    Change::Put {
                        value,
                        body: NewBody::None,
                    }
                }
            };
            let key = write.row_key(sequence);
            freed.extend(self.extent(&key)?);
            resulting.push((key, (sequence, change)));
        }
        streams.take(&commit.tokens);
        self.changes.extend(resulting);
        self.freed.extend(freed);
        self.bytes += bytes;
        Ok(())
    }

    /// Takes the rows that are still where they were found, with the bytes as they are.
    fn admit_moves(&mut self, rows: &[Moved]) -> Result<()> {
        let mut any = false;
        for moved in rows {
            let bytes = moved.group_bytes_max();
            if (self.bytes + bytes) as u64 > self.room {
                return Err(no_space());
            }
            if self.changes.contains_key(&moved.key) {
                continue;
            }
            let Some(row) = self.found(&moved.key)? else {
                continue;
            };
            if row.body.as_ref() != Some(&moved.run) {
                continue;
            }
            let change = Change::Put {
                value: row.value.clone(),
                body: NewBody::Attached(moved.bytes.clone()),
            };
            let revision = row.revision;
            self.changes.insert(moved.key.clone(), (revision, change));
            self.bytes += bytes;
            any = true;
        }
        if any {
            // A sequence of its own, so that the group counts only once it is synced.
            self.last = self.last.next();
        }
        Ok(())
    }

    /// The row of a key in the view, looked up once.
    fn found(&mut self, key: &Bytes) -> Result<Option<&StoredRow>> {
        if !self.found.contains_key(key) {
            let row = self.view.get(key)?;
            self.found.insert(key.clone(), row);
        }
        Ok(self.found.get(key).and_then(Option::as_ref))
    }

    /// The streamed bytes that a change of this row frees.
    fn extent(&mut self, key: &Bytes) -> Result<Option<Freed>> {
        let run = match self.changes.get(key) {
            Some((_, Change::Put { body, .. })) => match body {
                NewBody::Streamed(run) => Some(run),
                _ => None,
            },
            Some((_, Change::Delete)) => None,
            None => self.found(key)?.and_then(|row| row.body.as_ref()),
        };
        let run = run.filter(|run| run.place == Place::Data);
        Ok(run.map(|run| Freed {
            segment: run.segment,
            bytes: run.offset..run.offset + run.slot_bytes(),
        }))
    }

    fn value(&mut self, key: &Bytes) -> Result<Option<Bytes>> {
        match self.changes.get(key) {
            Some((_, Change::Put { value, .. })) => Ok(Some(value.clone())),
            Some((_, Change::Delete)) => Ok(None),
            None => Ok(self.found(key)?.map(|row| row.value.clone())),
        }
    }

    fn revision(&mut self, key: &Bytes) -> Result<Option<Sequence>> {
        match self.changes.get(key) {
            Some((sequence, Change::Put { .. })) => Ok(Some(*sequence)),
            Some((_, Change::Delete)) => Ok(None),
            None => Ok(self.found(key)?.map(|row| row.revision)),
        }
    }

    fn expect(&mut self, expectation: &Expectation) -> Result<()> {
        let holds = match expectation {
            Expectation::Revision(key, wanted) => self.revision(key)? == Some(*wanted),
            Expectation::Absent(key) => self.revision(key)?.is_none(),
            Expectation::EmptyRange(from, until) => self.range_is_empty(from, until)?,
        };
        if holds {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Conflict,
                "a concurrent change came first",
            ))
        }
    }

    fn range_is_empty(&self, from: &Bytes, until: &Bytes) -> Result<bool> {
        if from >= until {
            return Ok(true);
        }
        let mut pending = self.changes.range(from.clone()..until.clone()).peekable();
        if pending.peek().is_none() {
            return self.view.is_empty(from, until);
        }
        if pending.any(|(_, (_, change))| matches!(change, Change::Put { .. })) {
            return Ok(false);
        }
        // Rows of the range were deleted in this group: wait for it, then look again.
        Err(Error::new(
            ErrorKind::Conflict,
            "a concurrent change came first",
        ))
    }
}
