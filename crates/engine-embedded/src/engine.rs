//! The embedded engine behind the two ports.

use crate::blocks::{BLOCK_BYTES, Place, Run};
use crate::committer::{
    Checkpoint, CheckpointOrder, Committer, Message, Poison, Request, commit_bytes_max, unavailable,
};
use crate::data::DataSegments;
use crate::index::Index;
use crate::layout::Layout;
use crate::memtable::Memtable;
use crate::recovery;
use crate::view::{CurrentView, View};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot};
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::meta::{COMMIT_BYTES_MAX, ROW_KEY_BYTES_MAX};
use trestle_engine::{BodyRef, Commit, Committed, Data, DataWriter, Engine, Meta, MetaRead, Token};
use trestle_host::{File, Host, OpenMode};

/// Commits that wait for the committer.
const QUEUE_COMMITS: usize = 4096;
/// Open segment files kept for reading.
const OPEN_FILES_MAX: usize = 256;

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for pages of the index, in bytes.
    pub index_cache_bytes: usize,
    /// Rows in memory before a checkpoint starts, in bytes.
    pub memtable_bytes: usize,
    /// Bytes of commits that may wait at once, at least 32 MiB.
    pub commit_bytes_in_flight: usize,
    /// A log segment takes no further group beyond this length, in bytes.
    pub log_segment_bytes: u64,
    /// Largest body that travels with its row, in bytes.
    pub body_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            index_cache_bytes: 64 << 20,
            memtable_bytes: 32 << 20,
            commit_bytes_in_flight: 64 << 20,
            log_segment_bytes: 64 << 20,
            body_bytes_max: 2 * BLOCK_BYTES,
        }
    }
}

struct Embedded {
    host: Host,
    layout: Layout,
    view: Arc<CurrentView>,
    inbox: mpsc::Sender<Message>,
    /// Ends when both workers have: nothing is ever sent.
    workers: AsyncMutex<mpsc::Receiver<Infallible>>,
    in_flight: Arc<Semaphore>,
    poison: Arc<Poison>,
    data: Arc<DataSegments>,
    files: Mutex<BTreeMap<(Place, u64), Arc<dyn File>>>,
    body_bytes_max: usize,
    /// The index, when no checkpointer has it.
    _index: Option<Index>,
    /// Held for as long as the engine lives.
    _lock: Arc<dyn File>,
}

/// Opens the data folder `dir`, making it when it is new; recovers what an interrupted run left.
///
/// # Errors
/// `Unavailable` when another process has it open or its format is newer; `Corrupt`, naming the
/// place, when something that was durable is damaged or missing; `NoSpace`.
pub async fn open(host: &Host, dir: &Path, settings: Settings) -> Result<Engine> {
    let layout = Layout::new(dir);
    let lock = layout.lock(host)?;
    let store = layout.open_store(host)?;
    let fresh = layout.segments(host)?.is_empty();
    let index = Index::open(layout.open_index(host, fresh)?, settings.index_cache_bytes)?;
    let active = Arc::new(Memtable::default());
    let replay = recovery::replay(host, &layout, store, index.redo_point()?, &active)?;
    let recovered = replay.begin_segment(settings.log_segment_bytes)?;
    index.set_redo_point(recovered.redo)?;
    if let Some((file, end)) = recovered.finished
        && file.len()? > end
    {
        // The index names the fresh segment now, so what lay behind the end of this one may go.
        file.set_len(end)?;
    }
    let view = Arc::new(RwLock::new(View {
        sequence: recovered.sequence,
        active,
        frozen: None,
        base: Arc::new(index.rows()?),
    }));
    let poison = Arc::new(Poison::default());
    let data = Arc::new(DataSegments::open(host, &layout, store, &poison)?);
    let (inbox, messages) = mpsc::channel(QUEUE_COMMITS);
    let (checkpoints, orders) = mpsc::unbounded_channel();
    let committer = Committer {
        log: recovered.log,
        view: view.clone(),
        next: recovered.next,
        poison: poison.clone(),
        tokens: data.tokens.clone(),
        checkpoints,
        running: None,
        memtable_bytes: settings.memtable_bytes,
        log_bytes_since_checkpoint: 0,
        waiting: None,
    };
    let checkpointer = Checkpointer {
        host: host.clone(),
        dir: dir.to_owned(),
        index,
        view: view.clone(),
    };
    let (alive, ended) = mpsc::channel(1);
    // Whoever may still write holds the lock: it is free only when every file is closed.
    host.spawn.worker(
        "checkpointer",
        Box::pin(holding(
            lock.clone(),
            alive.clone(),
            checkpointer.run(orders),
        )),
    )?;
    host.spawn.worker(
        "committer",
        Box::pin(holding(lock.clone(), alive, committer.run(messages))),
    )?;
    Ok(Embedded {
        inbox,
        workers: AsyncMutex::new(ended),
        ..Embedded::new(host, layout, view, data, poison, lock, &settings)
    }
    .ports())
}

/// Opens the data folder `dir` for reading alone: nothing in it changes, and commits are refused.
///
/// # Errors
/// As [`open`]; `Corrupt` also when there is no store in the folder.
pub async fn open_read_only(host: &Host, dir: &Path, settings: Settings) -> Result<Engine> {
    let layout = Layout::new(dir);
    let lock = layout.lock(host)?;
    let store = layout.existing_store(host)?;
    let file = layout.open_index(host, false)?;
    let index = Index::open_unchanged(file, settings.index_cache_bytes)?;
    let active = Arc::new(Memtable::default());
    let replay = recovery::replay(host, &layout, store, index.redo_point()?, &active)?;
    let view = Arc::new(RwLock::new(View {
        sequence: replay.show()?,
        active,
        frozen: None,
        base: Arc::new(index.rows()?),
    }));
    let poison = Arc::new(Poison::default());
    poison.set();
    let data = Arc::new(DataSegments::open(host, &layout, store, &poison)?);
    let embedded = Embedded::new(host, layout, view, data, poison, lock, &settings);
    Ok(Embedded {
        _index: Some(index),
        ..embedded
    }
    .ports())
}

/// Runs a worker to its end, and lets go of the lock after it; `alive` is dropped last.
async fn holding(
    lock: Arc<dyn File>,
    alive: mpsc::Sender<Infallible>,
    work: impl Future<Output = ()>,
) {
    work.await;
    drop(lock);
    drop(alive);
}

/// Verifies every group of the log in the data folder `dir`, which nobody else may have open.
/// Calls `finding` for each damage; returns the number of groups that were read.
pub fn verify_log(host: &Host, dir: &Path, finding: &mut dyn FnMut(String)) -> Result<u64> {
    let layout = Layout::new(dir);
    let _lock = layout.lock(host)?;
    let store = layout.existing_store(host)?;
    recovery::verify_log(host, &layout, store, finding)
}

/// Writes frozen tables into the index, one after the other.
struct Checkpointer {
    host: Host,
    dir: std::path::PathBuf,
    index: Index,
    view: Arc<CurrentView>,
}

impl Checkpointer {
    async fn run(self, mut orders: mpsc::UnboundedReceiver<Checkpoint>) {
        while let Some((order, done)) = orders.recv().await {
            // The committer only goes away when the process does.
            let _gone = done.send(self.checkpoint(&order));
        }
    }

    fn checkpoint(&self, order: &CheckpointOrder) -> Result<()> {
        // A page for each row is the worst case; the index must never meet a full disk half-way.
        let needed = (order.frozen.bytes() as u64).saturating_mul(4) + (8 << 20);
        if self.host.disk.free_bytes(&self.dir)? < needed {
            return Err(Error::new(
                ErrorKind::NoSpace,
                "the index has no space to grow",
            ));
        }
        self.index.checkpoint(&order.frozen, order.redo)?;
        let base = Arc::new(self.index.rows()?);
        let mut view = self.view.write();
        view.base = base;
        view.frozen = None;
        Ok(())
    }
}

impl Embedded {
    /// An engine whose commits go nowhere.
    fn new(
        host: &Host,
        layout: Layout,
        view: Arc<CurrentView>,
        data: Arc<DataSegments>,
        poison: Arc<Poison>,
        lock: Arc<dyn File>,
        settings: &Settings,
    ) -> Self {
        let in_flight = settings.commit_bytes_in_flight.max(2 * COMMIT_BYTES_MAX);
        Embedded {
            host: host.clone(),
            layout,
            view,
            inbox: mpsc::channel(1).0,
            workers: AsyncMutex::new(mpsc::channel(1).1),
            poison,
            in_flight: Arc::new(Semaphore::new(in_flight)),
            data,
            files: Mutex::new(BTreeMap::new()),
            body_bytes_max: settings.body_bytes_max,
            _index: None,
            _lock: lock,
        }
    }

    fn ports(self) -> Engine {
        let engine = Arc::new(self);
        Engine {
            meta: engine.clone(),
            data: engine,
        }
    }

    fn file(&self, place: Place, segment: u64) -> Result<Arc<dyn File>> {
        if let Some(file) = self.files.lock().get(&(place, segment)) {
            return Ok(file.clone());
        }
        let opened = match place {
            Place::Log => self
                .layout
                .open_segment(&self.host, segment, OpenMode::Read),
            Place::Data => self.layout.open_data_segment(&self.host, segment),
        };
        let file = opened.map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            if missing {
                Error::corrupt(format!("segment {segment:016x} is missing")).with_source(error)
            } else {
                Error::from(error)
            }
        })?;
        let mut files = self.files.lock();
        if files.len() >= OPEN_FILES_MAX {
            files.pop_first();
        }
        files.insert((place, segment), file.clone());
        Ok(file)
    }

    async fn read_run(&self, body: &BodyRef, range: Range<u64>) -> Result<Bytes> {
        if range.end.saturating_sub(range.start) > READ_BYTES_MAX {
            return Err(Error::invalid("a read of more than its limit"));
        }
        let run = Run::from_handle(&body.handle)?;
        let file = self.file(run.place, run.segment)?;
        run.read(&self.host, file, range).await
    }
}

impl Meta for Embedded {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn MetaRead>>> {
        let view: Box<dyn MetaRead> = Box::new(self.view.read().clone());
        Box::pin(std::future::ready(Ok(view)))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed>> {
        Box::pin(async move {
            let bytes = commit_bytes_max(&commit);
            if bytes > 2 * COMMIT_BYTES_MAX {
                return Err(Error::new(ErrorKind::TooLarge, "a commit is too large"));
            }
            let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
            let permit = self
                .in_flight
                .clone()
                .acquire_many_owned(permits)
                .await
                .map_err(|_| unavailable())?;
            let (reply, answer) = oneshot::channel();
            let request = Request {
                commit,
                reply,
                _permit: permit,
            };
            self.inbox
                .send(Message::Commit(request))
                .await
                .map_err(|_| unavailable())?;
            answer.await.unwrap_or_else(|_| Err(unavailable()))
        })
    }

    fn writable(&self) -> Result<()> {
        self.poison.check()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.inbox
                .send(Message::Close(reply))
                .await
                .map_err(|_| unavailable())?;
            let outcome = answer.await.unwrap_or_else(|_| Err(unavailable()));
            // The index is closed by then, too: a process that ends now interrupts nothing.
            let None = self.workers.lock().await.recv().await;
            outcome
        })
    }
}

impl Data for Embedded {
    fn write(&self, rows: Bytes) -> BoxFuture<'_, Result<Box<dyn DataWriter>>> {
        Box::pin(async move {
            if rows.len() + 8 > ROW_KEY_BYTES_MAX {
                return Err(Error::invalid("the keys of a stream's rows are too long"));
            }
            self.data.writer(rows).await
        })
    }

    fn read_body<'a>(
        &'a self,
        body: &'a BodyRef,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.read_run(body, range))
    }

    fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Space is not yet reused: the bytes stay until the segments are reclaimed.
    fn abandon(&self, token: Token) {
        self.data.tokens.abandon(token);
    }
}
