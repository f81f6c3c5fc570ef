//! Many objects: which are to be copied, and to where.

use crate::Result;
use crate::api::{Client, Listed};
use crate::name::{Place, Remote};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Files and folders of one copy; more are refused rather than kept in memory.
const FILES_MAX: usize = 1_000_000;
/// How deep folders are followed.
const DEPTH_MAX: usize = 64;

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What is to be copied, with its size.
    pub copies: Vec<(Place, Place, u64)>,
    /// What is to be deleted.
    pub deletes: Vec<Place>,
    /// What cannot be done, and why.
    pub refused: Vec<String>,
}

/// One file, or object: size, and when it was changed, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Entry {
    size: u64,
    modified: i64,
}

fn walk(
    folder: &Path,
    below: &str,
    depth: usize,
    found: &mut BTreeMap<String, Entry>,
) -> Result<()> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if depth > DEPTH_MAX {
        return Err(format!(
            "{}: nested deeper than {DEPTH_MAX}",
            folder.display()
        ));
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| format!("{}: not UTF-8", path.display()))?;
        // Links are not followed: they may lead anywhere, and in circles.
        let metadata = entry.metadata().map_err(failed)?;
        let relative = format!("{below}{name}");
        if metadata.is_dir() {
            walk(&path, &format!("{relative}/"), depth + 1, found)?;
        } else if metadata.is_file() && !name.ends_with(".part") && !name.ends_with(".part-etag") {
            let since = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            let modified = since.and_then(|since| i64::try_from(since.as_micros()).ok());
            let entry = Entry {
                size: metadata.len(),
                modified: modified.unwrap_or(0),
            };
            found.insert(relative, entry);
            if found.len() > FILES_MAX {
                return Err(format!("more than {FILES_MAX} files"));
            }
        }
    }
    Ok(())
}

async fn entries(client: &Client, place: &Place) -> Result<BTreeMap<String, Entry>> {
    let mut found = BTreeMap::new();
    match place {
        Place::Local(folder) => {
            if folder.exists() {
                walk(folder, "", 0, &mut found)?;
            }
        }
        Place::Remote(remote) => {
            let prefix = folder_of(remote);
            let mut each = |item: Listed| {
                if let (Some(size), Some(relative)) =
                    (item.size, item.key.strip_prefix(&prefix.key))
                {
                    let modified = item.modified;
                    found.insert(relative.to_owned(), Entry { size, modified });
                }
                if found.len() > FILES_MAX {
                    return Err(format!("more than {FILES_MAX} objects"));
                }
                Ok(())
            };
            client.list(&prefix, true, &mut each).await?;
        }
    }
    Ok(found)
}

/// The same name as a folder.
fn folder_of(remote: &Remote) -> Remote {
    if remote.key.is_empty() || remote.key.ends_with('/') {
        remote.clone()
    } else {
        remote.with_key(format!("{}/", remote.key))
    }
}

/// A name below a place; none when it would lead out of a local folder.
fn below(place: &Place, relative: &str) -> Option<Place> {
    match place {
        Place::Remote(remote) => {
            let folder = folder_of(remote);
            let key = format!("{}{relative}", folder.key);
            Some(Place::Remote(folder.with_key(key)))
        }
        Place::Local(folder) => {
            let path = PathBuf::from(relative);
            let inside = path
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            // Not even a name that a file system would take for another.
            let plain =
                !relative.is_empty() && !relative.ends_with('/') && !relative.contains("//");
            (inside && plain && !relative.contains('\0')).then(|| Place::Local(folder.join(path)))
        }
    }
}

/// What is to be copied from a tree to another: all, or with `changed` only what differs in size or
/// is older there; with `delete` also what is there and not here.
///
/// # Errors
/// When either cannot be listed.
pub async fn plan(
    client: &Client,
    (from, to): (&Place, &Place),
    changed: bool,
    delete: bool,
) -> Result<Plan> {
    let here = entries(client, from).await?;
    let there = if changed || delete {
        entries(client, to).await?
    } else {
        BTreeMap::new()
    };
    let mut plan = Plan::default();
    for (relative, entry) in &here {
        let same = changed
            && there
                .get(relative)
                .is_some_and(|other| other.size == entry.size && other.modified >= entry.modified);
        if same {
            continue;
        }
        match (below(from, relative), below(to, relative)) {
            (Some(from), Some(to)) => plan.copies.push((from, to, entry.size)),
            _ => plan
                .refused
                .push(format!("{relative:?} is no name of a file here")),
        }
    }
    if delete {
        let gone = there
            .keys()
            .filter(|relative| !here.contains_key(*relative));
        plan.deletes = gone.filter_map(|relative| below(to, relative)).collect();
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_lead_out_of_a_folder() {
        let folder = Place::Local("/tmp/x".into());
        assert_eq!(
            below(&folder, "a/b"),
            Some(Place::Local("/tmp/x/a/b".into()))
        );
        for bad in [
            "",
            "..",
            "../a",
            "a/../../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "a\0",
            "./a/..",
        ] {
            assert_eq!(below(&folder, bad), None, "{bad:?}");
        }
        let remote = Place::Remote(Remote::parse("//b/p").unwrap());
        let expected = Place::Remote(Remote::parse("//b/p/../a").unwrap());
        assert_eq!(below(&remote, "../a"), Some(expected));
    }

    #[test]
    fn local_trees_are_walked_without_links() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        let host = trestle_host::Host::real();
        for name in ["a", "d/b", "d/c.part"] {
            let path = folder.path().join(name);
            host.disk
                .open(&path, trestle_host::OpenMode::CreateNew)
                .unwrap();
        }
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        let mut found = BTreeMap::new();
        walk(folder.path(), "", 0, &mut found).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "d/b"]);
    }
}
