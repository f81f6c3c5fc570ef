//! A disk that keeps its promises and no more.
//!
//! Written bytes and lengths are pending until their file is synced; names until their folder is.
//! A crash keeps any subset of what is pending, torn at sectors; of the names a prefix, as a
//! journal would. A kill ends the process alone: the page cache stays. Folders are durable at once.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trestle_engine_embedded::{Phase, going_on};
use trestle_host::{Disk, File, OpenMode, SeededRandom};

/// What the device writes as a whole.
const SECTOR_BYTES: usize = 512;
/// What it allocates as a whole.
const BLOCK_BYTES: usize = 4096;

#[derive(Clone, Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Pending>,
    /// A failed sync dropped pages that are still cached.
    lost: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<usize>,
    /// Which run of the machine: handles of an earlier one are dead.
    run: u64,
    operations: u64,
    stop_at: Option<u64>,
    /// What the engine was in the middle of when the machine stopped.
    stopped_in: Vec<Phase>,
    fail_sync_at: Option<u64>,
    fail_allocations: Option<io::ErrorKind>,
    fail_free_bytes: Option<io::ErrorKind>,
    free_bytes: Option<u64>,
    /// A file of this name, and how many more writes to it succeed before one fails.
    fail_write: Option<(String, u64)>,
    syncs: u64,
}

/// The simulated file system.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    run: u64,
    holds_lock: AtomicBool,
}

impl Inode {
    /// Whether the page cache may hold anything else than the device.
    fn differs(&self) -> bool {
        self.lost || !self.pending.is_empty()
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Pending) {
    match change {
        Pending::Length(length) => bytes.resize(*length as usize, 0),
        Pending::Write(offset, written) => {
            let (start, end) = (*offset as usize, *offset as usize + written.len());
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(place) = bytes.get_mut(start..end) {
                place.copy_from_slice(written);
            }
        }
    }
}

fn rename(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Link(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Unlink(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

impl State {
    fn step(&mut self, run: u64) -> io::Result<()> {
        self.operations += 1;
        let stopped = self.stop_at.is_some_and(|at| self.operations > at);
        if self.stop_at.is_some_and(|at| self.operations == at + 1) {
            self.stopped_in = going_on();
        }
        if stopped || run != self.run {
            return Err(io::Error::other("the machine has stopped"));
        }
        Ok(())
    }

    fn inode(&mut self, inode: usize) -> io::Result<&mut Inode> {
        self.inodes
            .get_mut(inode)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, inode: usize, change: Pending) -> io::Result<()> {
        let inode = self.inode(inode)?;
        apply(&mut inode.current, &change);
        inode.pending.push(change);
        Ok(())
    }

    /// Fails when the write to this file is the one that is to fail.
    fn fail_due_write(&mut self, inode: usize) -> io::Result<()> {
        let Some((name, left)) = &mut self.fail_write else {
            return Ok(());
        };
        let named = |(path, _): &(&PathBuf, &usize)| path.ends_with(&*name);
        if self.names.iter().find(named).map(|(_, inode)| *inode) != Some(inode) {
            return Ok(());
        }
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        self.fail_write = None;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn change_name(&mut self, change: NameChange) {
        rename(&mut self.names, &change);
        self.pending_names.push(change);
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        SimDisk::default()
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Fails every operation after `count` more, until a crash or a kill.
    pub fn stop_after(&self, count: Option<u64>) {
        let mut state = self.state.lock();
        state.stop_at = count.map(|count| state.operations + count);
    }

    /// What the engine was in the middle of when the machine last stopped.
    pub fn stopped_in(&self) -> Vec<Phase> {
        std::mem::take(&mut self.state.lock().stopped_in)
    }

    /// Fails the sync after `count` more: its pages are dropped, and later syncs succeed.
    pub fn fail_sync_after(&self, count: Option<u64>) {
        let mut state = self.state.lock();
        state.fail_sync_at = count.map(|count| state.syncs + count);
    }

    /// Fails every allocation from now on with an error of this kind, or none any more.
    pub fn fail_allocations(&self, kind: Option<io::ErrorKind>) {
        self.state.lock().fail_allocations = kind;
    }

    /// Fails to say how much is free from now on, with an error of this kind, or no more.
    pub fn fail_free_bytes(&self, kind: Option<io::ErrorKind>) {
        self.state.lock().fail_free_bytes = kind;
    }

    /// Says from now on that so much is free, or plenty.
    pub fn say_free_bytes(&self, bytes: Option<u64>) {
        self.state.lock().free_bytes = bytes;
    }

    /// Fails the write after `count` more to a file of this name, for want of space.
    pub fn fail_write_after(&self, name: &str, count: u64) {
        self.state.lock().fail_write = Some((name.to_owned(), count));
    }

    /// Whether the write that was to fail has failed.
    pub fn write_has_failed(&self) -> bool {
        self.state.lock().fail_write.is_none()
    }

    /// Whether the sync that was to fail has failed.
    pub fn sync_has_failed(&self) -> bool {
        self.state.lock().fail_sync_at.is_none()
    }

    /// Puts `new` in every place of `old`, on the device and in the page cache; the same length.
    pub fn damage(&self, old: &[u8], new: &[u8]) {
        for inode in &mut self.state.lock().inodes {
            for image in [&mut inode.durable, &mut inode.current] {
                let places: Vec<usize> = memchr::memmem::find_iter(image, old).collect();
                for start in places {
                    if let Some(place) = image.get_mut(start..start + new.len()) {
                        place.copy_from_slice(new);
                    }
                }
            }
        }
    }

    /// The process ends; the page cache stays.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.run += 1;
        state.locks.clear();
        state.stop_at = None;
        state.fail_sync_at = None;
        state.fail_allocations = None;
        state.fail_free_bytes = None;
        state.free_bytes = None;
        state.fail_write = None;
    }

    /// The power goes: of what is pending, whatever the random numbers leave.
    pub fn crash(&self, random: &SeededRandom) {
        self.kill();
        let mut state = self.state.lock();
        for inode in state.inodes.iter_mut().filter(|inode| inode.differs()) {
            for change in std::mem::take(&mut inode.pending) {
                match (random.next_u64() % 3, &change) {
                    (0, _) => {}
                    (1, Pending::Write(offset, written)) => {
                        // Torn: each sector for itself.
                        let mut at = *offset;
                        for sector in written.chunks(SECTOR_BYTES) {
                            if random.next_u64().is_multiple_of(2) {
                                apply(&mut inode.durable, &Pending::Write(at, sector.to_vec()));
                            }
                            at += sector.len() as u64;
                        }
                    }
                    _ => apply(&mut inode.durable, &change),
                }
            }
            inode.current = inode.durable.clone();
            inode.lost = false;
        }
        let pending = std::mem::take(&mut state.pending_names);
        let kept = random.next_u64() as usize % (pending.len() + 1);
        let mut names = std::mem::take(&mut state.durable_names);
        for change in pending.iter().take(kept) {
            rename(&mut names, change);
        }
        state.names = names.clone();
        state.durable_names = names;
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let run = state.run;
        state.step(run)?;
        let found = state.names.get(path).copied();
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, OpenMode::CreateNew) => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.change_name(NameChange::Link(path.to_owned(), inode));
                inode
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        let holds_lock = AtomicBool::new(false);
        Ok(Arc::new(SimFile {
            state: self.state.clone(),
            inode,
            run,
            holds_lock,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let run = state.run;
        state.step(run)?;
        state.dirs.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state.lock();
        let run = state.run;
        state.step(run)?;
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state
            .names
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .cloned()
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let run = state.run;
        state.step(run)?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let run = state.run;
        state.step(run)?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let run = state.run;
        state.step(run)?;
        let lies_in = |path: &Path| path.parent() == Some(dir);
        let (synced, pending) = std::mem::take(&mut state.pending_names)
            .into_iter()
            .partition(|change| match change {
                NameChange::Link(path, _) | NameChange::Unlink(path) => lies_in(path),
                NameChange::Rename(from, to) => lies_in(from) || lies_in(to),
            });
        state.pending_names = pending;
        let synced: Vec<NameChange> = synced;
        for change in &synced {
            rename(&mut state.durable_names, change);
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        match state.fail_free_bytes {
            Some(kind) => Err(kind.into()),
            None => Ok(state.free_bytes.unwrap_or(1 << 40)),
        }
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        Ok(state.inode(self.inode)?.current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        let current = &state.inode(self.inode)?.current;
        let range = offset as usize..offset as usize + buffer.len();
        let bytes = current.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn read_at_if_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        self.read_at(buffer, offset).map(|()| true)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        state.fail_due_write(self.inode)?;
        state.change(self.inode, Pending::Write(offset, bytes.to_vec()))
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        if let Some(kind) = state.fail_allocations {
            return Err(kind.into());
        }
        let end = offset + length;
        if (state.inode(self.inode)?.current.len() as u64) < end {
            state.change(self.inode, Pending::Length(end))?;
        }
        Ok(())
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        let end = state.inode(self.inode)?.current.len() as u64;
        let zeros = vec![0; (offset + length).min(end).saturating_sub(offset) as usize];
        state.change(self.inode, Pending::Write(offset, zeros))
    }

    fn allocated(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        let blocks = state.inode(self.inode)?.current.chunks(BLOCK_BYTES);
        let held = blocks.filter(|block| block.iter().any(|byte| *byte != 0));
        Ok((held.count() * BLOCK_BYTES) as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        state.change(self.inode, Pending::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        state.syncs += 1;
        let fails = state.fail_sync_at.is_some_and(|at| state.syncs > at);
        if fails {
            state.fail_sync_at = None;
        }
        let inode = state.inode(self.inode)?;
        let pending = std::mem::take(&mut inode.pending);
        if fails {
            inode.lost = true;
            // The pages are marked clean and lost, but stay readable until they are evicted.
            return Err(io::Error::other("the device refused a flush"));
        }
        for change in &pending {
            apply(&mut inode.durable, change);
        }
        Ok(())
    }

    fn try_lock(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(self.run)?;
        if !state.locks.insert(self.inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.holds_lock.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.run == self.run && self.holds_lock.load(Ordering::Relaxed) {
            state.locks.remove(&self.inode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_and_names_stay_and_others_may_go() {
        let path = Path::new("/d/f");
        let (mut lost_bytes, mut lost_name) = (false, false);
        for seed in 0..64 {
            let disk = SimDisk::new();
            disk.create_dir_all(Path::new("/d")).unwrap();
            let file = disk.open(path, OpenMode::CreateNew).unwrap();
            file.write_at(&[1; 2048], 0).unwrap();
            file.sync_data().unwrap();
            if seed % 2 == 0 {
                disk.sync_dir(Path::new("/d")).unwrap();
            }
            file.write_at(&[2; 2048], 2048).unwrap();
            disk.crash(&SeededRandom::new(seed));
            assert!(
                file.write_at(&[3], 0).is_err(),
                "a handle outlived the machine"
            );
            let Ok(file) = disk.open(path, OpenMode::Read) else {
                assert_eq!(seed % 2, 1, "a synced name was lost");
                lost_name = true;
                continue;
            };
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            assert_eq!(bytes[..2048], [1; 2048]);
            lost_bytes |= bytes[2048..] != [2; 2048];
        }
        assert!(lost_bytes && lost_name);
    }
}
