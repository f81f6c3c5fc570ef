//! Trees of files: made, walked, uploaded and compared.

use crate::client::{Client, escape};
use crate::random::Random;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Deterministic bytes: the same for the same seed, unlike any other.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.number().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The regular files below a folder, as keys with their paths. A name that is not UTF-8 is left out,
/// since a key is text; so is what a symbolic link names.
///
/// # Errors
/// Of the file system.
pub fn files(root: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let (kind, path) = entry.and_then(|entry| Ok((entry.file_type()?, entry.path())))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let key = path.strip_prefix(root).ok().and_then(Path::to_str);
                if let Some(key) = key.map(str::to_owned) {
                    found.insert(key, path);
                }
            }
        }
    }
    Ok(found)
}

/// Bytes of the device that the files below a folder take, as far as it can be read.
pub fn allocated(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => allocated(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // Removed meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// What several clients did to a list of files.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The keys for which it worked.
    pub done: Vec<String>,
    /// Each client's failure, if any: it stopped there.
    pub failures: Vec<String>,
}

/// Runs `work` for each file once, the files dealt out to the clients.
fn deal(
    clients: Vec<Client>,
    files: &BTreeMap<String, PathBuf>,
    work: impl Fn(&mut Client, &str, &Path) -> io::Result<()> + Sync,
    progress: &AtomicUsize,
) -> Outcome {
    let files: Vec<(&String, &PathBuf)> = files.iter().collect();
    let next = AtomicUsize::new(0);
    let (files, next, work) = (&files, &next, &work);
    let one = |mut client: Client| {
        let mut outcome = Outcome::default();
        while let Some((key, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(&mut client, key, path) {
                outcome.failures.push(format!("{key}: {error}"));
                break;
            }
            outcome.done.push((*key).clone());
            progress.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || one(client)))
            .collect();
        let mut whole = Outcome::default();
        for thread in running {
            match thread.join() {
                Ok(part) => {
                    whole.done.extend(part.done);
                    whole.failures.extend(part.failures);
                }
                Err(_) => whole.failures.push("a client panicked".to_owned()),
            }
        }
        whole
    })
}

/// The path of an object.
pub fn target(bucket: &str, key: &str) -> String {
    format!("/rest/{bucket}/{}", escape(key))
}

/// Uploads files by several clients at once. The keys that are `done` were acknowledged.
pub fn upload(
    clients: Vec<Client>,
    bucket: &str,
    files: &BTreeMap<String, PathBuf>,
    progress: &AtomicUsize,
) -> Outcome {
    let put = |client: &mut Client, key: &str, path: &Path| {
        let body = std::fs::read(path)?;
        let response = client.send("PUT", &target(bucket, key), &[], &body)?;
        match response.status {
            201 | 204 => Ok(()),
            status => Err(io::Error::other(format!("{status} {}", response.text()))),
        }
    };
    deal(clients, files, put, progress)
}

/// Reads files back by several clients at once; those whose bytes are the same are `done`.
pub fn compare(
    clients: Vec<Client>,
    bucket: &str,
    files: &BTreeMap<String, PathBuf>,
    progress: &AtomicUsize,
) -> Outcome {
    let get = |client: &mut Client, key: &str, path: &Path| {
        let response = client.send("GET", &target(bucket, key), &[], &[])?;
        let same = response.status == 200 && response.body == std::fs::read(path)?;
        if same {
            Ok(())
        } else {
            Err(io::Error::other(format!("{} differs", response.status)))
        }
    };
    deal(clients, files, get, progress)
}

/// Every key of a bucket with its size, page by page along the links.
///
/// # Errors
/// Of the connection, or of an answer that is no listing.
pub fn list(client: &mut Client, bucket: &str, limit: usize) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    let mut next = Some(format!("/rest/{bucket}/?limit={limit}"));
    while let Some(target) = next {
        let response = client.send("GET", &target, &[], &[])?;
        let page: serde_json::Value = serde_json::from_slice(&response.body)?;
        let items = page["items"]
            .as_array()
            .ok_or_else(|| io::Error::other(response.text()))?;
        for item in items {
            let key = item["key"].as_str().unwrap_or_default().to_owned();
            found.push((key, item["size"].as_u64().unwrap_or(u64::MAX)));
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    Ok(found)
}
