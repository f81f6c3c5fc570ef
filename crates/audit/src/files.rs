//! The files of the log: their names, in order, and what is in them.
//!
//! A file that has ended is packed after a while, without the hashes that follow. Of a number there may
//! be both forms, after an interruption: they say the same.

use crate::chain;
use flate2::bufread::GzDecoder;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use trestle_host::{Disk, OpenMode};

/// The log's folder within the data folder.
pub(crate) const FOLDER: &str = "audit";
/// A file that is larger is followed by another one.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;
/// More does not come out of a packed file: a full one and a batch of entries are far less.
const UNPACKED_BYTES_MAX: u64 = 4 * FILE_BYTES_MAX;
const SUFFIX: &str = ".jsonl";
const PACKED: &str = ".jsonl.gz";
const UNFINISHED: &str = ".jsonl.gz.new";

/// The path of a file.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}{SUFFIX}"))
}

/// The path of a file's packed form.
pub(crate) fn packed(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}{PACKED}"))
}

/// The path of a packed form that is being written.
pub(crate) fn unfinished(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}{UNFINISHED}"))
}

/// The numbers of the files that there are, in either form, ascending.
pub(crate) fn numbers(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = named(disk, folder, SUFFIX)?;
    numbers.extend(named(disk, folder, PACKED)?);
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// The numbers of the files that are not packed, ascending.
pub(crate) fn plain(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    named(disk, folder, SUFFIX)
}

/// The numbers of packed forms that were not finished.
pub(crate) fn unfinished_ones(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    named(disk, folder, UNFINISHED)
}

fn named(disk: &dyn Disk, folder: &Path, suffix: &str) -> io::Result<Vec<u64>> {
    let found = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(suffix)?;
        name.parse().ok()
    };
    let mut numbers: Vec<u64> = found.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A whole file, in whichever form it is.
///
/// # Errors
/// `InvalidData` when it does not unpack; the disk's.
pub(crate) fn read(disk: &dyn Disk, folder: &Path, number: u64) -> io::Result<Vec<u8>> {
    match whole(disk, &path(folder, number)) {
        // It may have been packed since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            unpack(&whole(disk, &packed(folder, number))?)
        }
        found => found,
    }
}

fn whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let too_large = || damaged("it is larger than any file of the log".to_owned());
    let mut unpacked = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX + 1);
    decoder
        .read_to_end(&mut unpacked)
        .map_err(|error| damaged(error.to_string()))?;
    if unpacked.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(too_large());
    }
    // Nothing comes after it unseen.
    if !decoder.into_inner().into_inner().is_empty() {
        return Err(damaged("something comes after its end".to_owned()));
    }
    chain::restored(&unpacked, UNPACKED_BYTES_MAX as usize).ok_or_else(too_large)
}

/// Removes a file, in both forms.
pub(crate) fn remove(disk: &dyn Disk, folder: &Path, number: u64) -> io::Result<()> {
    remove_if_there(disk, &path(folder, number))?;
    remove_if_there(disk, &packed(folder, number))
}

pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
