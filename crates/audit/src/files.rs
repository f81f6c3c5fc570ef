//! The files of the log: their names, in order.

use std::io;
use std::path::{Path, PathBuf};
use trestle_host::{Disk, OpenMode};

/// The log's folder within the data folder.
pub(crate) const FOLDER: &str = "audit";
const SUFFIX: &str = ".jsonl";

/// The path of a file.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}{SUFFIX}"))
}

/// The numbers of the files that there are, ascending.
pub(crate) fn numbers(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let found = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
        name.parse().ok()
    };
    let mut numbers: Vec<u64> = found.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A whole file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}
