//! The data folder: which file is where, and the two small files that guard it.
//!
//! Every file name is made from a number; no name that a client chose ever becomes a path.

use crate::blocks::{Place, Segment};
use crate::codec::{Fields, crc64};
use crate::format::{FORMAT_VERSION, HEADER_COPY, SEGMENT_HEADER_BYTES};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::canary::{self, Canary};
use trestle_host::{Disk, File, Host, OpenMode};

const STORE_MAGIC: [u8; 8] = *b"TRESTLE1";
const STORE_BYTES: usize = 36;

/// Paths in a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Layout {
            root: root.to_owned(),
        }
    }

    /// Free space of the folder's file system, in bytes.
    pub(crate) fn free_bytes(&self, host: &Host) -> io::Result<u64> {
        host.disk.free_bytes(&self.root)
    }

    fn log_dir(&self) -> PathBuf {
        self.root.join("log")
    }

    fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    fn segment(&self, segment: u64) -> PathBuf {
        self.log_dir().join(format!("{segment:016x}.log"))
    }

    fn data_segment(&self, segment: u64) -> PathBuf {
        self.data_dir().join(format!("{segment:016x}.dat"))
    }

    fn spare(&self, segment: u64) -> PathBuf {
        self.log_dir().join(format!("{segment:016x}.spare"))
    }

    /// Takes a log segment that nobody needs out of the log: its new name is durable, and it has no
    /// header.
    pub(crate) fn set_aside(&self, host: &Host, segment: u64) -> Result<()> {
        let spare = self.spare(segment);
        if canary::active(Canary::WipeInPlace) {
            self.wipe(host, &self.segment(segment))?;
        }
        host.disk.rename(&self.segment(segment), &spare)?;
        // Only then may its header go: a segment without one is damage.
        host.disk
            .sync_dir(&self.log_dir())
            .map_err(|error| sync_failed("the log's folder", error))?;
        self.wipe(host, &spare)
    }

    /// Overwrites both copies of a log segment's header.
    fn wipe(&self, host: &Host, path: &Path) -> Result<()> {
        let file = host.disk.open(path, OpenMode::ReadWrite)?;
        for offset in [0, HEADER_COPY] {
            file.write_at(&[0; SEGMENT_HEADER_BYTES], offset)?;
        }
        file.sync_data()
            .map_err(|error| sync_failed("a spare log segment", error))
    }

    /// Makes a segment that was set aside the one of this id.
    pub(crate) fn reuse(&self, host: &Host, spare: u64, segment: u64) -> Result<Arc<dyn File>> {
        let path = self.segment(segment);
        host.disk.rename(&self.spare(spare), &path)?;
        Ok(host.disk.open(&path, OpenMode::ReadWrite)?)
    }

    /// Removes a segment that was set aside.
    pub(crate) fn remove_spare(&self, host: &Host, spare: u64) -> Result<()> {
        remove_if_there(&*host.disk, &self.spare(spare))
    }

    /// Removes what an earlier run had set aside.
    pub(crate) fn remove_spares(&self, host: &Host) -> Result<()> {
        for spare in numbered(&*host.disk, &self.log_dir(), "spare", Some("log"))? {
            self.remove_spare(host, spare)?;
        }
        Ok(())
    }

    pub(crate) fn create_segment(&self, host: &Host, segment: u64) -> Result<Arc<dyn File>> {
        Ok(host
            .disk
            .open(&self.segment(segment), OpenMode::CreateNew)?)
    }

    pub(crate) fn open_segment(
        &self,
        host: &Host,
        segment: u64,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn File>> {
        self.open(host, (Place::Log, segment), mode)
    }

    /// Removes a segment that no group was ever written to.
    pub(crate) fn remove_segment(&self, host: &Host, segment: u64) -> Result<()> {
        self.remove(host, (Place::Log, segment))?;
        self.sync_log_dir(host)
    }

    pub(crate) fn sync_log_dir(&self, host: &Host) -> Result<()> {
        Ok(host.disk.sync_dir(&self.log_dir())?)
    }

    /// The ids of all log segments, in order.
    pub(crate) fn segments(&self, host: &Host) -> Result<Vec<u64>> {
        numbered(&*host.disk, &self.log_dir(), "log", Some("spare"))
    }

    /// The ids of all data segments, in order.
    pub(crate) fn data_segments(&self, host: &Host) -> Result<Vec<u64>> {
        numbered(&*host.disk, &self.data_dir(), "dat", None)
    }

    /// Makes a data segment and its name durable. `Unavailable` means that a sync failed.
    pub(crate) fn create_data_segment(
        &self,
        host: &Host,
        segment: u64,
        header: &[u8],
    ) -> Result<Arc<dyn File>> {
        let file = host
            .disk
            .open(&self.data_segment(segment), OpenMode::CreateNew)?;
        file.write_at(header, 0)?;
        file.sync_data()
            .and_then(|()| host.disk.sync_dir(&self.data_dir()))
            .map_err(|error| sync_failed("a new data segment", error))?;
        Ok(file)
    }

    fn path(&self, (place, id): Segment) -> PathBuf {
        match place {
            Place::Log => self.segment(id),
            Place::Data => self.data_segment(id),
        }
    }

    /// Opens an existing segment.
    pub(crate) fn open(
        &self,
        host: &Host,
        segment: Segment,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn File>> {
        host.disk.open(&self.path(segment), mode)
    }

    /// Removes a segment. Its name may come back after a crash.
    pub(crate) fn remove(&self, host: &Host, segment: Segment) -> Result<()> {
        remove_if_there(&*host.disk, &self.path(segment))
    }

    fn snapshot_dir(&self) -> PathBuf {
        self.root.join("snapshot")
    }

    fn slice(&self, number: u64) -> PathBuf {
        self.snapshot_dir().join(format!("{number:016x}.slice"))
    }

    /// The numbers of all slices, in order.
    pub(crate) fn slices(&self, host: &Host) -> Result<Vec<u64>> {
        numbered(&*host.disk, &self.snapshot_dir(), "slice", None)
    }

    pub(crate) fn create_slice(&self, host: &Host, number: u64) -> Result<Arc<dyn File>> {
        host.disk.create_dir_all(&self.snapshot_dir())?;
        Ok(host.disk.open(&self.slice(number), OpenMode::CreateNew)?)
    }

    pub(crate) fn open_slice(&self, host: &Host, number: u64) -> io::Result<Arc<dyn File>> {
        host.disk.open(&self.slice(number), OpenMode::Read)
    }

    pub(crate) fn remove_slice(&self, host: &Host, number: u64) -> Result<()> {
        remove_if_there(&*host.disk, &self.slice(number))
    }

    /// The manifest; none before the first one.
    pub(crate) fn open_manifest(&self, host: &Host) -> Result<Option<Arc<dyn File>>> {
        found(host.disk.open(&self.root.join("SNAPSHOT"), OpenMode::Read))
    }

    /// Replaces the manifest, after the names of the slices that it names are durable.
    pub(crate) fn write_manifest(&self, host: &Host, bytes: &[u8]) -> Result<()> {
        host.disk
            .sync_dir(&self.snapshot_dir())
            .map_err(|error| sync_failed("the snapshot's folder", error))?;
        self.replace(host, "SNAPSHOT", bytes)
    }

    /// Writes a small file whole: under another name first, then renamed.
    fn replace(&self, host: &Host, name: &str, bytes: &[u8]) -> Result<()> {
        let new = self.root.join(format!("{name}.new"));
        remove_if_there(&*host.disk, &new)?;
        let file = host.disk.open(&new, OpenMode::CreateNew)?;
        file.write_at(bytes, 0)?;
        file.sync_data().map_err(|error| sync_failed(name, error))?;
        host.disk.rename(&new, &self.root.join(name))?;
        host.disk
            .sync_dir(&self.root)
            .map_err(|error| sync_failed("the data folder", error))
    }

    /// Makes an empty index beside the one in use.
    pub(crate) fn create_new_index(&self, host: &Host) -> Result<Arc<dyn File>> {
        let new = self.root.join("index.redb.new");
        remove_if_there(&*host.disk, &new)?;
        Ok(host.disk.open(&new, OpenMode::CreateNew)?)
    }

    /// Puts the new index, which is closed and durable, in the place of the one in use.
    pub(crate) fn install_new_index(&self, host: &Host) -> Result<()> {
        let index = self.root.join("index.redb");
        host.disk
            .rename(&self.root.join("index.redb.new"), &index)?;
        host.disk
            .sync_dir(&self.root)
            .map_err(|error| sync_failed("the data folder", error))
    }

    /// Removes an index that was not finished, if there is one.
    pub(crate) fn remove_new_index(&self, host: &Host) -> Result<()> {
        remove_if_there(&*host.disk, &self.root.join("index.redb.new"))
    }

    /// The index file, if there is one.
    pub(crate) fn find_index(&self, host: &Host) -> Result<Option<Arc<dyn File>>> {
        found(
            host.disk
                .open(&self.root.join("index.redb"), OpenMode::Read),
        )
    }

    /// Opens the index file. In a folder without a log nothing depends on it, so it is made anew:
    /// what is there may be half made.
    pub(crate) fn open_index(&self, host: &Host, fresh: bool) -> Result<Arc<dyn File>> {
        let path = self.root.join("index.redb");
        if fresh {
            remove_if_there(&*host.disk, &path)?;
            let file = host.disk.open(&path, OpenMode::CreateNew)?;
            host.disk.sync_dir(&self.root)?;
            return Ok(file);
        }
        match host.disk.open(&path, OpenMode::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::corrupt("the index file is missing"))
            }
            other => Ok(other?),
        }
    }

    /// Takes the lock of a folder that has a store; nothing is made where there is none.
    pub(crate) fn lock_existing(&self, host: &Host) -> Result<Arc<dyn File>> {
        self.existing_store(host)?;
        self.lock(host)
    }

    /// Takes the folder's lock, making the folder when it is missing.
    pub(crate) fn lock(&self, host: &Host) -> Result<Arc<dyn File>> {
        host.disk.create_dir_all(&self.root)?;
        let path = self.root.join("LOCK");
        let file = match host.disk.open(&path, OpenMode::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                host.disk.open(&path, OpenMode::CreateNew)
            }
            other => other,
        }?;
        file.try_lock().map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the data folder {} is in use by another process",
                    self.root.display()
                ),
            )
            .with_source(error)
        })?;
        Ok(file)
    }

    /// The id of the store in the folder.
    pub(crate) fn existing_store(&self, host: &Host) -> Result<[u8; 16]> {
        self.find_store(host)?.ok_or_else(|| {
            Error::corrupt(format!(
                "{} is not a Trestle data folder",
                self.root.display()
            ))
        })
    }

    /// The id of the store in the folder; none when the folder is not one.
    pub(crate) fn find_store(&self, host: &Host) -> Result<Option<[u8; 16]>> {
        let file = found(host.disk.open(&self.root.join("STORE"), OpenMode::Read))?;
        file.map(|file| self.read_store(&*file)).transpose()
    }

    /// The store's id, chosen now when the folder is new. A run that was killed may have renamed a
    /// file without its new name being durable; it is after this, so it may be built upon.
    pub(crate) fn open_store(&self, host: &Host) -> Result<[u8; 16]> {
        let store = match self.find_store(host)? {
            Some(store) => store,
            None => self.make_store(host)?,
        };
        host.disk.sync_dir(&self.root)?;
        if let Some(parent) = self
            .root
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            host.disk.sync_dir(parent)?;
        }
        Ok(store)
    }

    fn make_store(&self, host: &Host) -> Result<[u8; 16]> {
        for dir in [self.log_dir(), self.data_dir()] {
            host.disk.create_dir_all(&dir)?;
            if !host.disk.list(&dir)?.is_empty() {
                return Err(Error::corrupt(format!(
                    "{} holds segments but no STORE file",
                    self.root.display()
                )));
            }
        }
        let store = host.id().0;
        let mut bytes = Vec::with_capacity(STORE_BYTES);
        bytes.extend_from_slice(&STORE_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&store);
        let checksum = crc64(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        self.replace(host, "STORE", &bytes)?;
        Ok(store)
    }

    fn read_store(&self, file: &dyn File) -> Result<[u8; 16]> {
        let mut bytes = [0; STORE_BYTES];
        let name = self.root.display();
        if file.len()? != STORE_BYTES as u64 {
            return Err(Error::corrupt(format!("{name}/STORE has the wrong length")));
        }
        file.read_at(&mut bytes, 0)?;
        let mut fields = Fields(&bytes);
        let decoded = (|| {
            let magic = fields.bytes(8)?;
            let version = fields.u32()?;
            let store = fields.id()?;
            Some((magic == STORE_MAGIC, version, store, fields.u64()?))
        })();
        let Some((true, version, store, checksum)) = decoded else {
            return Err(Error::corrupt(format!(
                "{name} is not a Trestle data folder"
            )));
        };
        if version > FORMAT_VERSION {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{name} has format {version}, written by a newer Trestle; \
                     this one knows formats up to {FORMAT_VERSION}"
                ),
            ));
        }
        if bytes.get(..STORE_BYTES - 8).map(crc64) != Some(checksum) {
            return Err(Error::corrupt(format!(
                "{name}/STORE does not match its checksum"
            )));
        }
        Ok(store)
    }
}

/// What was opened; none when it is not there.
fn found(opened: io::Result<Arc<dyn File>>) -> Result<Option<Arc<dyn File>>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A sync that failed: nobody knows what is durable.
pub(crate) fn sync_failed(what: &str, error: io::Error) -> Error {
    let message = format!("the sync of {what} failed");
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

/// The numbers of the files with this extension; beside them only ones with the `other` may be there.
fn numbered(disk: &dyn Disk, dir: &Path, extension: &str, other: Option<&str>) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let paths = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    for path in paths {
        let is = |wanted: &str| path.extension().is_some_and(|found| found == wanted);
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| {
                let number = u64::from_str_radix(stem, 16).ok()?;
                // The one way to write it: another name would be another file.
                (format!("{number:016x}") == stem).then_some(number)
            });
        match number {
            Some(number) if is(extension) => numbers.push(number),
            Some(_) if other.is_some_and(is) => {}
            _ => {
                return Err(Error::corrupt(format!(
                    "{} is not a segment's name",
                    path.display()
                )));
            }
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
