//! Files as the engine uses them: positioned reads and writes, explicit syncs, durable names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A file that must not exist yet, for reading and writing, readable by its owner only.
    CreateNew,
}

/// A file system. Paths are whole paths; the caller owns the folder that it works in.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Makes a folder and its missing parents. An existing folder is no error.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The paths in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, replacing `to` atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that an unprivileged writer may still allocate on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Offsets and lengths are in bytes. Calls may block.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks a file whether it is empty"
)]
pub trait File: Send + Sync {
    /// Current length.
    fn len(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`; a file that ends before is [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Like [`File::read_at`], but only if it would not wait for the device: `false` means that it
    /// would, and `buffer` may be partly filled.
    fn read_at_if_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool>;
    /// Writes all of `bytes` at `offset`, growing the file. Durable only after a sync.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reserves space for `length` bytes from `offset` so that writing them cannot run out of it;
    /// grows the file with zeros.
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Gives the space of a range back: it then reads as zeros, and the length stays. Where the file
    /// system cannot, the range reads as it did or as zeros.
    fn punch(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Bytes of the device that the file holds.
    fn allocated(&self) -> io::Result<u64>;
    /// Cuts or grows (with zeros) the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable. After an error nothing is known of what was written since
    /// the last success, and it must never be repeated in the hope of a better answer.
    fn sync_data(&self) -> io::Result<()>;
    /// Takes the file's exclusive lock, or fails at once with [`io::ErrorKind::WouldBlock`].
    fn try_lock(&self) -> io::Result<()>;
}
