//! The root user: made at the first start, checked at later ones, and made anew on demand.
//!
//! The store keeps hashes alone. The secrets themselves are printed once and stand in a file of the
//! data folder that only its owner can read.

use crate::config::Config;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::path::Path;
use trestle_access::{hash_secret, verify_secret};
use trestle_host::{Host, OpenMode, Random};
use trestle_store::Store;

const SETTING: &str = "root";
/// Where the secrets stand, in the data folder.
pub(crate) const FILE: &str = "root-credentials";

/// What is stored of the root user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RootRecord {
    pub(crate) user: String,
    pub(crate) password_hash: String,
    pub(crate) access_key: String,
    pub(crate) secret_key_hash: String,
}

/// What the operator is told once.
pub(crate) struct Fresh {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// Characters that look different from each other.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn text(random: &dyn Random, alphabet: &[u8], length: usize) -> String {
    let mut chosen = String::with_capacity(length);
    while chosen.len() < length {
        let mut byte = [0];
        random.fill(&mut byte);
        // Values beyond a multiple of the alphabet would favour its first letters.
        let [value] = byte.map(usize::from);
        if value < 256 / alphabet.len() * alphabet.len()
            && let Some(letter) = alphabet.get(value % alphabet.len())
        {
            chosen.push(char::from(*letter));
        }
    }
    chosen
}

/// The root user of the store, made now when there is none.
pub(crate) async fn root(
    host: &Host,
    store: &Store,
    dir: &Path,
    config: &Config,
) -> Result<(RootRecord, Option<Fresh>), String> {
    let failed = |error: trestle_core::Error| format!("the root user: {error}");
    if let Some(stored) = store.setting(SETTING).await.map_err(failed)? {
        let record: RootRecord = serde_json::from_slice(&stored)
            .map_err(|_| "the stored root user cannot be decoded".to_owned())?;
        compare(&record, config)?;
        return Ok((record, None));
    }
    let (record, fresh) = make(host, store, dir, config, true).await?;
    Ok((record, Some(fresh)))
}

/// Gives the root user new credentials: the configured ones, and random ones for what is not
/// configured. Whoever had the old ones is nobody from now on.
pub(crate) async fn reset(
    host: &Host,
    store: &Store,
    dir: &Path,
    config: &Config,
) -> Result<Fresh, String> {
    Ok(make(host, store, dir, config, false).await?.1)
}

/// Makes the root user; `first` demands that there is none yet.
async fn make(
    host: &Host,
    store: &Store,
    dir: &Path,
    config: &Config,
    first: bool,
) -> Result<(RootRecord, Fresh), String> {
    let failed = |error: trestle_core::Error| format!("the root user: {error}");
    let given = |part: &str| config.root(part).map(str::to_owned);
    let fresh = Fresh {
        user: given("user").unwrap_or_else(|| "root".to_owned()),
        password: given("password").unwrap_or_else(|| text(&*host.random, LETTERS, 24)),
        access_key: given("access_key").unwrap_or_else(|| text(&*host.random, CAPITALS, 20)),
        secret_key: given("secret_key").unwrap_or_else(|| text(&*host.random, LETTERS, 40)),
    };
    if fresh.user.contains(':') || fresh.user.chars().any(char::is_control) {
        return Err("root_user must not contain ':' or control characters".to_owned());
    }
    let record = RootRecord {
        user: fresh.user.clone(),
        password_hash: hash_secret(&fresh.password, &*host.random).map_err(failed)?,
        access_key: fresh.access_key.clone(),
        secret_key_hash: hash_secret(&fresh.secret_key, &*host.random).map_err(failed)?,
    };
    // The file first: a record without it would leave nobody who knows the password.
    write_file(host, dir, &fresh)
        .map_err(|error| format!("the root credentials cannot be written: {error}"))?;
    let encoded = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
    store
        .set_setting(SETTING, Bytes::from(encoded), first)
        .await
        .map_err(failed)?;
    Ok((record, fresh))
}

/// Values that are given again must be the ones in force.
fn compare(record: &RootRecord, config: &Config) -> Result<(), String> {
    let hashed = |given: &str, hash: &str| verify_secret(given, hash).map_err(|e| e.to_string());
    let differs = |part: &str| -> Result<bool, String> {
        let Some(given) = config.root(part) else {
            return Ok(false);
        };
        Ok(match part {
            "user" => given != record.user,
            "password" => !hashed(given, &record.password_hash)?,
            "access_key" => given != record.access_key,
            _ => !hashed(given, &record.secret_key_hash)?,
        })
    };
    for part in ["user", "password", "access_key", "secret_key"] {
        if differs(part)? {
            return Err(format!(
                "root_{part} differs from the one this data folder was made with; \
                 leave it out, give the one in its file {FILE}, \
                 or make new ones with 'trestle root reset' while no server runs"
            ));
        }
    }
    Ok(())
}

fn write_file(host: &Host, dir: &Path, fresh: &Fresh) -> std::io::Result<()> {
    let path = dir.join(FILE);
    // What is there is of no use: an interrupted first start never stored its record, and a reset
    // makes the old secrets void.
    match host.disk.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let text = format!(
        "TRESTLE_ROOT_USER={}\nTRESTLE_ROOT_PASSWORD={}\n\
         TRESTLE_ROOT_ACCESS_KEY={}\nTRESTLE_ROOT_SECRET_KEY={}\n",
        fresh.user, fresh.password, fresh.access_key, fresh.secret_key
    );
    let file = host.disk.open(&path, OpenMode::CreateNew)?;
    file.write_at(text.as_bytes(), 0)?;
    file.sync_data()?;
    host.disk.sync_dir(dir)
}
