//! Opening a data folder: recovery, the workers, and what a reader alone needs of both.

use crate::blocks::BLOCK_BYTES;
use crate::calm::{Calm, Written};
use crate::checkpointer::{Checkpointer, Reopen};
use crate::committer::Committer;
use crate::engine::Embedded;
use crate::files::Files;
use crate::headroom::Headroom;
use crate::index::{Index, RedoPoint};
use crate::layout::Layout;
use crate::memtable::Memtable;
use crate::phase::{self, Phase};
use crate::recovery;
use crate::snapshot::Snapshot;
use crate::space::{Event, Keeper, Slack};
use crate::spares::Spares;
use crate::streams::Streams;
use crate::sweep::Sweep;
use crate::view::View;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc};
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::Engine;
use trestle_engine::locks::RwLock;
use trestle_engine::meta::COMMIT_BYTES_MAX;
use trestle_host::{File, Host};

/// A data segment that holds so small a part of the waste that is left alone is not swept.
const EXCESS_PART: u64 = 32;
/// Part of what lives that is left alone as waste. Half as much would take twice as many moves.
const WASTE_PART: u64 = 10;

/// Commits that wait for the committer.
const QUEUE_COMMITS: usize = 4096;

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for pages of the index, in bytes.
    pub index_cache_bytes: usize,
    /// Rows in memory before a checkpoint starts, in bytes.
    pub memtable_bytes: usize,
    /// Bytes of commits that may wait at once, at least 32 MiB.
    pub commit_bytes_in_flight: usize,
    /// Largest body that travels with its row, in bytes.
    pub body_bytes_max: usize,
    /// A log segment takes no further group beyond this length, in bytes.
    pub log_segment_bytes: u64,
    /// A data segment takes no further stream beyond this length, in bytes.
    pub data_segment_bytes: u64,
    /// Rows of a slice of the snapshot, in bytes before compression.
    pub slice_bytes: usize,
    /// Log segments that nobody needs any more, kept to be used again, at most; fewer in a small
    /// store.
    pub spare_segments: usize,
    /// Waste that is left alone, in bytes; a tenth of what lives is left alone, too.
    pub slack_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            index_cache_bytes: 64 << 20,
            memtable_bytes: 32 << 20,
            commit_bytes_in_flight: 64 << 20,
            body_bytes_max: 2 * BLOCK_BYTES,
            log_segment_bytes: 64 << 20,
            data_segment_bytes: 1 << 30,
            slice_bytes: 8 << 20,
            spare_segments: 4,
            slack_bytes: 32 << 20,
        }
    }
}

/// Opens the data folder `dir`, making it when it is new; recovers what an interrupted run left.
///
/// # Errors
/// `Unavailable` when another process has it open or its format is newer; `Corrupt`, naming the
/// place, when something that was durable is damaged or missing; `NoSpace`.
pub async fn open(host: &Host, dir: &Path, settings: Settings) -> Result<Engine> {
    let _inside = phase::inside(Phase::Recovery);
    let layout = Layout::new(dir);
    let lock = layout.lock(host)?;
    let store = layout.open_store(host)?;
    let fresh = layout.segments(host)?.is_empty();
    if fresh {
        refuse_without_log(host, &layout, &settings)?;
    }
    layout.remove_spares(host)?;
    layout.remove_new_index(host)?;
    let spares = Arc::new(Spares::new(
        settings.spare_segments,
        settings.log_segment_bytes,
    ));
    let index = Index::open(layout.open_index(host, fresh)?, settings.index_cache_bytes)?;
    let active = Memtable::default();
    let mut replay = recovery::replay(host, &layout, store, index.base()?.redo, &active)?;
    replay.run(&mut |redo| index.flush(&active, settings.memtable_bytes, redo))?;
    let recovered = replay.begin_segment(&spares)?;
    index.set_redo_point(recovered.redo)?;
    if let Some((file, end)) = recovered.finished
        && file.len()? > end
    {
        // The index names the fresh segment now, so what lay behind the end of this one may go.
        file.set_len(end)?;
    }
    let view = View::new(recovered.sequence, active, Arc::new(index.base()?));
    let headroom = Arc::new(Headroom::new(host, &layout, &spares));
    let (embedded, heard) = without_workers(&headroom, store, lock, view, &settings)?;
    let streams = &embedded.streams;
    let (inbox, messages) = mpsc::channel(QUEUE_COMMITS);
    let (checkpoints, orders) = mpsc::unbounded_channel();
    let (written, now) = (Arc::<Written>::default(), host.clock.monotonic());
    let committer = Committer {
        log: recovered.log,
        view: embedded.view.clone(),
        next: recovered.next,
        poison: streams.poison.clone(),
        streams: streams.clone(),
        events: embedded.events.clone(),
        headroom: headroom.clone(),
        checkpoints: checkpoints.clone(),
        running: None,
        memtable_bytes: settings.memtable_bytes,
        checkpoint_log_bytes: settings.log_segment_bytes,
        log_bytes_since_checkpoint: 0,
        waiting: None,
        wanted: false,
        calm: Calm::new(&written, now),
        written: written.clone(),
    };
    let checkpointer = Checkpointer {
        headroom: headroom.clone(),
        index,
        failed: false,
        reopen: Reopen {
            host: host.clone(),
            layout: layout.clone(),
            cache_bytes: settings.index_cache_bytes,
        },
        poison: streams.poison.clone(),
        view: embedded.view.clone(),
        events: embedded.events.clone(),
        renewal: None,
        former: Vec::new(),
        renewed: 0,
        air_bytes: settings.slack_bytes / 2,
    };
    let snapshot = open_snapshot(host, &layout, store, settings.slice_bytes)?;
    headroom.set_snapshot(snapshot.bytes());
    let keeper = Keeper {
        host: host.clone(),
        store,
        view: embedded.view.clone(),
        streams: streams.clone(),
        files: embedded.files.clone(),
        committer: inbox.downgrade(),
        checkpointer: checkpoints.downgrade(),
        snapshot,
        headroom: headroom.clone(),
        slack: Slack {
            bytes: settings.slack_bytes,
            part: WASTE_PART,
        },
        spares,
        calm: Calm::new(&written, now),
        queue: VecDeque::new(),
        leaving: BTreeSet::new(),
        lengths: BTreeMap::new(),
        moving: None,
        moved: BTreeSet::new(),
        sweep: Sweep::up_to(
            layout.data_segments(host)?.last().copied(),
            settings.slack_bytes / EXCESS_PART,
        ),
        swept: Vec::new(),
        unpunched: Vec::new(),
        waiting: Vec::new(),
        layout,
    };
    let (alive, ended) = mpsc::channel(1);
    // Whoever may still write holds the lock: it is free only when every file is closed.
    let worker = |name, work: BoxFuture<'static, ()>| {
        let work = holding(embedded._lock.clone(), alive.clone(), work);
        host.spawn.worker(name, Box::pin(work))
    };
    worker("checkpointer", Box::pin(checkpointer.run(orders)))?;
    worker("keeper", Box::pin(keeper.run(heard)))?;
    worker("committer", Box::pin(committer.run(messages)))?;
    Ok(Embedded {
        inbox,
        workers: AsyncMutex::new(ended),
        ..embedded
    }
    .ports())
}

/// A folder without a log is new, or its first start was cut short: then its index is empty, if it
/// can be read at all, and nothing is beside it. Anything else means that the log was taken away, and
/// going on would throw away what is left.
fn refuse_without_log(host: &Host, layout: &Layout, settings: &Settings) -> Result<()> {
    let used = |file| {
        let index = Index::open_unchanged(file, settings.index_cache_bytes)?;
        Ok::<_, Error>(index.base()?.redo != RedoPoint::default())
    };
    let indexed = layout.find_index(host)?.is_some_and(|file| {
        // One that cannot be read is half made.
        used(file).unwrap_or(false)
    });
    if indexed || layout.open_manifest(host)?.is_some() || !layout.data_segments(host)?.is_empty() {
        return Err(Error::corrupt(
            "the log is missing, and the rest of the folder says that there was one",
        ));
    }
    Ok(())
}

/// An engine whose commits go nowhere, and what a keeper is to hear from it.
fn without_workers(
    headroom: &Arc<Headroom>,
    store: [u8; 16],
    lock: Arc<dyn File>,
    view: View,
    settings: &Settings,
) -> Result<(Embedded, mpsc::UnboundedReceiver<Event>)> {
    let Headroom { host, layout, .. } = &**headroom;
    let (events, heard) = mpsc::unbounded_channel();
    let streams = Arc::new(Streams::open(
        host,
        layout,
        store,
        settings.data_segment_bytes,
        view.sequence,
        events.downgrade(),
        headroom.clone(),
    )?);
    let in_flight = settings.commit_bytes_in_flight.max(2 * COMMIT_BYTES_MAX);
    let embedded = Embedded {
        host: host.clone(),
        view: Arc::new(RwLock::new(view)),
        inbox: mpsc::channel(1).0,
        events,
        workers: AsyncMutex::new(mpsc::channel(1).1),
        in_flight: Arc::new(Semaphore::new(in_flight)),
        poison: streams.poison.clone(),
        streams,
        files: Arc::new(Files::new(host, layout)),
        body_bytes_max: settings.body_bytes_max,
        _index: None,
        _lock: lock,
    };
    Ok((embedded, heard))
}

/// The snapshot, or an empty one in the place of one that is damaged: it is the second copy, and the
/// first one is in use.
fn open_snapshot(
    host: &Host,
    layout: &Layout,
    store: [u8; 16],
    slice_bytes: usize,
) -> Result<Snapshot> {
    let snapshot = match Snapshot::open(host, layout, store, slice_bytes) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::error!(%error, "the snapshot is lost; it is being written anew");
            return Snapshot::lost(host, layout, slice_bytes);
        }
        other => other?,
    };
    snapshot.remove_unnamed(host, layout)?;
    Ok(snapshot)
}

/// Whether `dir` is a data folder that was opened before. Nothing is made or locked.
///
/// # Errors
/// As [`open`].
pub fn is_store(host: &Host, dir: &Path) -> Result<bool> {
    Ok(Layout::new(dir).find_store(host)?.is_some())
}

/// Opens the data folder `dir` for reading alone: nothing in it changes, and commits are refused.
///
/// # Errors
/// As [`open`]; `Corrupt` also when there is no store in the folder.
pub async fn open_read_only(host: &Host, dir: &Path, settings: Settings) -> Result<Engine> {
    let layout = Layout::new(dir);
    let lock = layout.lock_existing(host)?;
    let store = layout.existing_store(host)?;
    let file = layout.open_index(host, false)?;
    let index = Index::open_unchanged(file, settings.index_cache_bytes)?;
    let active = Memtable::default();
    let mut replay = recovery::replay(host, &layout, store, index.base()?.redo, &active)?;
    replay.run(&mut |_| Ok(()))?;
    let sequence = replay.show()?;
    let view = View::new(sequence, active, Arc::new(index.base()?));
    let headroom = Headroom::new(host, &layout, &Arc::new(Spares::new(0, 0)));
    let (embedded, _unheard) = without_workers(&Arc::new(headroom), store, lock, view, &settings)?;
    embedded.poison.set();
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

/// Verifies every group of the log in the data folder `dir`, and every slice of its snapshot; nobody
/// else may have it open. Calls `finding` for each damage; returns the number of groups that were
/// read.
pub fn verify_log(host: &Host, dir: &Path, finding: &mut dyn FnMut(String)) -> Result<u64> {
    let layout = Layout::new(dir);
    let _lock = layout.lock_existing(host)?;
    let store = layout.existing_store(host)?;
    let groups = recovery::verify_log(host, &layout, store, finding)?;
    let snapshot = Snapshot::open(host, &layout, store, 0)
        .and_then(|snapshot| snapshot.read(host, &layout, store, &mut |_| Ok(())));
    match snapshot {
        Err(error) if error.kind() == ErrorKind::Corrupt => finding(error.to_string()),
        other => other?,
    }
    Ok(groups)
}

/// Makes the index of the data folder `dir` anew, from the snapshot and the log alone; the old one
/// may be damaged or missing, and is replaced at the end.
///
/// # Errors
/// As [`open`]; `Corrupt` also when snapshot or log are damaged, and then nothing has changed.
pub fn rebuild(host: &Host, dir: &Path, settings: &Settings) -> Result<()> {
    let _inside = phase::inside(Phase::Rebuild);
    let layout = Layout::new(dir);
    let _lock = layout.lock_existing(host)?;
    let store = layout.existing_store(host)?;
    if layout.segments(host)?.is_empty() {
        return Err(Error::corrupt(
            "the log is missing: nothing can be made of the rest",
        ));
    }
    let snapshot = Snapshot::open(host, &layout, store, settings.slice_bytes)?;
    let index = Index::open(layout.create_new_index(host)?, settings.index_cache_bytes)?;
    snapshot.read(host, &layout, store, &mut |rows| index.load(rows))?;
    let rows = Memtable::default();
    let floor = snapshot.floor();
    let mut replay = recovery::replay(host, &layout, store, floor, &rows)?;
    if floor.segment == 0 && !replay.starts_at_the_beginning() {
        return Err(Error::corrupt(
            "the snapshot is lost, and the log no longer starts at the beginning",
        ));
    }
    // What lies above the newest base may be a tail that was promised to nobody: the next start
    // decides. Everything below it is durable, and has to be known as such.
    let mut redo = snapshot.newest();
    replay.run(&mut |ended| {
        redo = redo.max(ended);
        index.flush(&rows, settings.memtable_bytes, floor)
    })?;
    replay.apply_up_to(redo)?;
    if redo.segment != 0 {
        index.checkpoint(&rows, redo)?;
    }
    drop(index);
    layout.install_new_index(host)
}
