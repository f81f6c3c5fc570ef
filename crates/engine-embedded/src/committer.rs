//! The one committer: orders all commits, forms groups, makes them durable, then visible.
//!
//! Groups form by themselves: what arrives while a sync runs is the next group. Since a group is
//! applied before the next one is looked at, expectations are always checked against all that came
//! before. A refusal is answered only after the group is durable, so whatever caused it is, too.

use crate::blocks::Run;
use crate::canary::{self, Canary};
use crate::data::Tokens;
use crate::format::{Change, Changes, GROUP_HEADER_BYTES, NewBody, entry_bytes_max};
use crate::index::RedoPoint;
use crate::log::Log;
use crate::memtable::Memtable;
use crate::recovery::located_rows;
use crate::view::{CurrentView, View};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use trestle_core::{Error, ErrorKind, Result, Sequence};
use trestle_engine::check;
use trestle_engine::{Body, Commit, Committed, Expectation, Urgency, Write};

/// A group takes no further commit beyond this many bytes.
const GROUP_BYTES: usize = 16 << 20;
/// A group takes at most so many commits.
const GROUP_COMMITS_MAX: usize = 4096;
/// A checkpoint starts after so many bytes of log.
const CHECKPOINT_LOG_BYTES: u64 = 64 << 20;

/// A commit with its answer's address.
pub(crate) struct Request {
    pub(crate) commit: Commit,
    pub(crate) reply: oneshot::Sender<Result<Committed>>,
    /// Bounds the memory of what waits.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What the committer is told.
pub(crate) enum Message {
    Commit(Request),
    /// Flush everything, then refuse commits.
    Close(oneshot::Sender<Result<()>>),
}

/// Asks the checkpointer to write a frozen table into the index.
#[derive(Clone)]
pub(crate) struct CheckpointOrder {
    pub(crate) frozen: Arc<Memtable>,
    pub(crate) redo: RedoPoint,
}

/// An order with its answer's address.
pub(crate) type Checkpoint = (CheckpointOrder, oneshot::Sender<Result<()>>);

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
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) checkpoints: mpsc::UnboundedSender<Checkpoint>,
    pub(crate) running: Option<oneshot::Receiver<Result<()>>>,
    pub(crate) memtable_bytes: usize,
    pub(crate) log_bytes_since_checkpoint: u64,
    /// The order that is running, or waits for space.
    pub(crate) waiting: Option<CheckpointOrder>,
}

/// A group while it forms.
struct Forming {
    view: View,
    changes: Changes,
    bytes: usize,
    last: Sequence,
    room: u64,
    room_normal: u64,
}

impl Committer {
    /// Serves until closed or abandoned.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(message) = inbox.recv().await {
            let mut requests = Vec::new();
            let mut closing = None;
            let mut message = Some(message);
            let mut bytes = 0;
            while let Some(taken) = message.take() {
                match taken {
                    Message::Commit(request) => {
                        bytes += commit_bytes_max(&request.commit);
                        requests.push(request);
                    }
                    Message::Close(reply) => {
                        closing = Some(reply);
                        break;
                    }
                }
                if bytes < GROUP_BYTES && requests.len() < GROUP_COMMITS_MAX {
                    message = inbox.try_recv().ok();
                }
            }
            self.group(requests);
            if let Some(reply) = closing {
                inbox.close();
                let outcome = self.close().await;
                self.poison.set();
                // A caller that no longer waits knows nothing less.
                let _gone = reply.send(outcome);
                return;
            }
            if self.poison.check().is_err() {
                // What was written last is of unknown fate: nothing may build upon it.
                continue;
            }
            // Before the seal: a redo point lies after a group that is synced.
            if let Err(error) = self.maintain().await {
                tracing::error!(%error, "the store refuses writes from now on");
                self.poison.set();
            }
            if inbox.is_empty() && self.poison.check().is_ok() {
                // The claim only helps a later start; if it cannot be written, the next group carries it.
                if let Err(error) = self.log.seal() {
                    tracing::warn!(%error, "a seal could not be written");
                }
            }
        }
    }

    /// Validates, writes, syncs, applies and answers one group.
    fn group(&mut self, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        if self.poison.check().is_err() {
            return refuse(requests, &Failure::Poisoned);
        }
        let wanted: usize = requests.iter().map(|r| commit_bytes_max(&r.commit)).sum();
        let (room, mut room_normal) = match self.log.room((wanted + GROUP_HEADER_BYTES) as u64) {
            Ok(room) => room,
            Err(error) => return refuse(requests, &self.fail(&error)),
        };
        if self.view.read().active.bytes() > 4 * self.memtable_bytes {
            // The index has no space to grow: only what frees some goes on.
            room_normal = 0;
        }
        let mut forming = Forming {
            view: self.view.read().clone(),
            changes: Changes::new(),
            bytes: GROUP_HEADER_BYTES,
            last: Sequence(self.next.0.saturating_sub(1)),
            room,
            room_normal,
        };
        let first = self.next;
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in &requests {
            let sequence = forming.last.next();
            let outcome = forming.admit(&request.commit, sequence, &self.tokens);
            if outcome.is_ok() {
                forming.last = sequence;
            }
            outcomes.push(outcome.map(|()| Committed { sequence }));
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
                    self.tokens.restore();
                }
                return refuse(requests, &failure);
            }
        }
        self.tokens.spend();
        for (request, outcome) in requests.into_iter().zip(outcomes) {
            answer(request, outcome);
        }
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
            self.show(rows.clone(), forming.last);
        }
        if !unsynced {
            self.log.sync().map_err(|error| self.fail(&error))?;
        }
        if !canary::active(Canary::ShowBeforeSync) {
            self.show(rows, forming.last);
        }
        Ok(())
    }

    fn show(&self, rows: Vec<(Bytes, Sequence, crate::memtable::State)>, sequence: Sequence) {
        // Readers filter by the view's sequence, so the rows may go in first.
        let active = self.view.read().active.clone();
        active.apply(rows);
        self.view.write().sequence = sequence;
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
        if self.log.is_full() {
            match self.log.rotate() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NoSpace => {
                    tracing::warn!(%error, "no space for a new log segment; staying in this one");
                }
                Err(error) => return Err(error),
            }
        }
        let due = self.view.read().active.bytes() > self.memtable_bytes
            || self.log_bytes_since_checkpoint > CHECKPOINT_LOG_BYTES
            || self.waiting.is_some();
        if due && self.running.is_none() {
            self.start_checkpoint();
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
    fn start_checkpoint(&mut self) {
        let order = match &self.waiting {
            Some(order) => order.clone(),
            None => self.freeze(),
        };
        let (done, outcome) = oneshot::channel();
        self.waiting = Some(order.clone());
        self.running = Some(outcome);
        // Without a checkpointer the receiver is closed, which the next round reports.
        let _gone = self.checkpoints.send((order, done));
    }

    /// Makes the active table the frozen one. None is frozen when this is called.
    fn freeze(&mut self) -> CheckpointOrder {
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
        CheckpointOrder { frozen, redo }
    }

    async fn close(&mut self) -> Result<()> {
        self.poison.check()?;
        if let Some(mut running) = self.running.take() {
            let outcome = received(&mut running).await;
            self.checkpointed(outcome)?;
        }
        self.start_checkpoint();
        if let Some(mut running) = self.running.take() {
            let outcome = received(&mut running).await;
            self.checkpointed(outcome)?;
        }
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

fn no_space() -> Error {
    Error::new(ErrorKind::NoSpace, "no space is left for writes")
}

fn answer(request: Request, outcome: Result<Committed>) {
    // A caller that went away does not cancel its commit.
    let _gone = request.reply.send(outcome);
}

fn refuse(requests: Vec<Request>, failure: &Failure) {
    for request in requests {
        answer(request, Err(failure.error()));
    }
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
    };
    commit.writes.iter().map(write).sum()
}

impl Forming {
    /// Takes a commit into the group, or says why not and leaves the group as it was.
    fn admit(&mut self, commit: &Commit, sequence: Sequence, tokens: &Tokens) -> Result<()> {
        check::validate(commit)?;
        tokens.check(commit)?;
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
                Write::Add { key, delta } => {
                    let value = check::add(self.value(key)?.as_deref(), *delta)?;
                    let value = Bytes::copy_from_slice(&value.to_be_bytes());
                    Change::Put {
                        value,
                        body: NewBody::None,
                    }
                }
            };
            resulting.push((write.key().clone(), (sequence, change)));
        }
        tokens.take(&commit.tokens);
        self.changes.extend(resulting);
        self.bytes += bytes;
        Ok(())
    }

    fn value(&self, key: &Bytes) -> Result<Option<Bytes>> {
        match self.changes.get(key) {
            Some((_, Change::Put { value, .. })) => Ok(Some(value.clone())),
            Some((_, Change::Delete)) => Ok(None),
            None => Ok(self.view.get(key)?.map(|row| row.value)),
        }
    }

    fn revision(&self, key: &Bytes) -> Result<Option<Sequence>> {
        match self.changes.get(key) {
            Some((sequence, Change::Put { .. })) => Ok(Some(*sequence)),
            Some((_, Change::Delete)) => Ok(None),
            None => Ok(self.view.get(key)?.map(|row| row.revision)),
        }
    }

    fn expect(&self, expectation: &Expectation) -> Result<()> {
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
