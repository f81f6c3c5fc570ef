//! The file of the master key: 64 hexadecimal digits, readable by its owner alone, outside of the
//! data folder, so that a copy of the folder alone tells nobody what was encrypted in it.

use crate::config::{Config, environment};
use crate::serve;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use trestle_core::AccountId;
use trestle_engine::Engine;
use trestle_host::{Host, OpenMode};
use trestle_store::{KEY_BYTES, MasterKey, Store};

const DIGITS: usize = 2 * KEY_BYTES;
/// Former keys that are kept beside the one in use.
const FORMER_MAX: u32 = 1000;

/// Reads the master key, or makes it on first use; and whether it was made.
fn load(host: &Host, config: &Config) -> Result<(MasterKey, bool), String> {
    let path = path_of(config)?;
    let failed = |error: std::io::Error| format!("the master key {}: {error}", path.display());
    if is_inside(&path, &config.data()) {
        tracing::warn!(
            path = %path.display(),
            "the master key lies inside the data folder: whoever copies the folder can decrypt it"
        );
    }
    if let Some(master) = read(host, &path)? {
        return Ok((master, false));
    }
    let master = MasterKey::generate(&*host.random);
    make(host, &path, &master).map_err(failed)?;
    Ok((master, true))
}

/// The key of a file; none when there is no such file.
fn read(host: &Host, path: &Path) -> Result<Option<MasterKey>, String> {
    match host.disk.open(path, OpenMode::Read) {
        Ok(file) => {
            let mut text = [0; DIGITS];
            let read = file.read_at(&mut text, 0).is_ok();
            let key = read.then(|| decode(&text)).flatten();
            key.map(|key| Some(MasterKey::from_bytes(key)))
                .ok_or_else(|| format!("{} does not hold a master key", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the master key {}: {error}", path.display())),
    }
}

/// The path of the key file that is configured.
fn path_of(config: &Config) -> Result<PathBuf, String> {
    match config.get("master_key") {
        Some(path) => Ok(PathBuf::from(path)),
        None => default_path(),
    }
}

/// Gives a store that is not in use another master key, and every key of its ring another version.
/// The new key waits beside the former one until the store has it, so that a crash at any moment
/// leaves the store and one of the two files in agreement. Before anything is changed the former one
/// is kept: backups and other data folders may be under it.
pub(crate) async fn rotate(config: &Config) -> Result<ExitCode, String> {
    let host = Host::real();
    let path = path_of(config)?;
    let store = serve::open_unused(&host, config).await?;
    let failed = |error: trestle_core::Error| format!("the keys were not changed: {error}");
    let former = read(&host, &path)?.ok_or_else(|| format!("{} is gone", path.display()))?;
    let kept = keep(&host, &path, &former)?;
    for name in store.key_names().await.map_err(failed)? {
        store.rotate_key(&name).await.map_err(failed)?;
    }
    let waiting = waiting(&path);
    let new = MasterKey::generate(&*host.random);
    make(&host, &waiting, &new).map_err(|error| format!("{}: {error}", waiting.display()))?;
    let keys = store.change_master_key(&new).await.map_err(failed)?;
    store.close().await.map_err(failed)?;
    take(&host, &waiting, &path)?;
    println!(
        "{} holds another master key now, under which {keys} keys are wrapped; keep a copy of it. The \
         former one is in {}: keep it for as long as there are backups from before, and for other \
         data folders under it",
        path.display(),
        kept.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Opens a store with the configured master key, or with the one that a rotation which was cut short
/// has left beside it.
pub(crate) async fn open_store(
    host: &Host,
    config: &Config,
    engine: Engine,
    account: AccountId,
) -> Result<Arc<Store>, String> {
    let cannot = |error: trestle_core::Error| {
        format!("{} cannot be opened: {error}", config.data().display())
    };
    let path = path_of(config)?;
    let (master, made) = load(host, config)?;
    let opened = Store::open(engine.clone(), host.clone(), account.clone(), Some(master)).await;
    let error = match opened {
        Ok(store) => {
            if made {
                tracing::info!(path = %path.display(), "a master key was made: keep a copy of it");
            }
            return Ok(store);
        }
        Err(error) => error,
    };
    // A key that opens nothing, and that nothing is under, would only stand in the place of the right
    // one.
    let another = error.kind() == trestle_core::ErrorKind::InvalidInput;
    let missing = made && another;
    if missing {
        let removed = host.disk.remove(&path);
        removed.map_err(|error| format!("the master key {}: {error}", path.display()))?;
    }
    let waiting = waiting(&path);
    let Some(next) = read(host, &waiting)? else {
        return Err(match missing {
            true => format!(
                "the master key {} is missing: {}",
                path.display(),
                cannot(error)
            ),
            false => cannot(error),
        });
    };
    let store = Store::open(engine, host.clone(), account, Some(next)).await;
    // The one that is configured is the one to speak of.
    let store = store.map_err(|_| cannot(error))?;
    take(host, &waiting, &path)?;
    Ok(store)
}

/// Where a new key waits until the store has it.
fn waiting(path: &Path) -> PathBuf {
    path.with_extension("next")
}

/// Puts the key that waited in its place.
fn take(host: &Host, waiting: &Path, path: &Path) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let taken = host.disk.rename(waiting, path);
    taken
        .and_then(|()| host.disk.sync_dir(folder))
        .map_err(|error| format!("the master key {}: {error}", path.display()))
}

/// Keeps a former key beside the file of the one in use, under the first number that is free. One
/// that was kept already, by a rotation that was cut short, is not kept twice.
fn keep(host: &Host, path: &Path, former: &MasterKey) -> Result<PathBuf, String> {
    for number in 1..=FORMER_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let place = PathBuf::from(name);
        match read(host, &place)? {
            Some(kept) if kept.as_bytes() == former.as_bytes() => return Ok(place),
            Some(_) => {}
            None => {
                let failed = |error| format!("the master key {}: {error}", place.display());
                make(host, &place, former).map_err(failed)?;
                return Ok(place);
            }
        }
    }
    let path = path.display();
    Err(format!(
        "beside {path} are {FORMER_MAX} former keys: move them elsewhere"
    ))
}

fn default_path() -> Result<PathBuf, String> {
    let folder = match environment("XDG_CONFIG_HOME")?.filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let home = environment("HOME")?.filter(|home| !home.is_empty());
            let unknown = "neither XDG_CONFIG_HOME nor HOME is set: say with --master-key or \
                           TRESTLE_MASTER_KEY where the master key is kept";
            PathBuf::from(home.ok_or(unknown)?).join(".config")
        }
    };
    Ok(folder.join("trestle/master.key"))
}

/// Writes the key, durably and whole or not at all: what is encrypted with it is lost without it.
fn make(host: &Host, path: &Path, master: &MasterKey) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    host.disk.create_dir_all(folder)?;
    let fresh = path.with_extension("new");
    match host.disk.remove(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = host.disk.open(&fresh, OpenMode::CreateNew)?;
    let digits = master.as_bytes().iter().map(|byte| format!("{byte:02x}"));
    let text = digits.collect::<String>() + "\n";
    file.write_at(text.as_bytes(), 0)?;
    file.sync_data()?;
    host.disk.rename(&fresh, path)?;
    host.disk.sync_dir(folder)
}

fn decode(text: &[u8; DIGITS]) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        // `from_str_radix` would take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(key)
}

/// Whether a path lies below a folder, as far as both exist.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    let Some(folder) = whole(folder) else {
        return path.starts_with(folder);
    };
    path.ancestors()
        .filter_map(whole)
        .any(|above| above.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hexadecimal_digits_are_a_key() {
        assert_eq!(decode(&[b'a'; DIGITS]), Some([0xaa; KEY_BYTES]));
        for wrong in [b'g', b'+', b' ', 0xff] {
            let mut text = [b'0'; DIGITS];
            text[DIGITS - 2] = wrong;
            assert_eq!(decode(&text), None);
        }
    }

    #[test]
    fn a_key_beside_the_folder_is_not_inside() {
        let folder = std::env::temp_dir();
        assert!(is_inside(&folder.join("a/key"), &folder));
        assert!(!is_inside(Path::new("/nowhere/key"), &folder));
        assert!(is_inside(Path::new("data/key"), Path::new("data")));
        assert!(!is_inside(Path::new("database/key"), Path::new("data")));
    }
}
