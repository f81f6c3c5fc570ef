//! The root user: made at the first start, checked at later ones, and made anew on demand.
//!
//! The store keeps the password's hash, and the secret key encrypted. They are printed once and
//! stand in a file of the data folder that only its owner can read.

use crate::config::Config;
use std::path::Path;
use trestle_access::{hash_secret, new_access_key, new_password, new_secret_key, verify_secret};
use trestle_core::AccountId;
use trestle_host::{Host, OpenMode};
use trestle_store::{Identities, Store, User};

/// The account of the root user.
pub(crate) const ROOT_ACCOUNT: &str = "root";

/// Where the secrets stand, in the data folder.
pub(crate) const FILE: &str = "root-credentials";

/// What the operator is told once.
pub(crate) struct Fresh {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// The root user of the store, made now when there is none; then its credentials come back.
pub(crate) async fn root(
    host: &Host,
    identities: &Identities,
    dir: &Path,
    config: &Config,
) -> Result<Option<Fresh>, String> {
    let account = account()?;
    if let Some(root) = identities
        .store()
        .find_root(&account)
        .await
        .map_err(failed)?
    {
        compare(&root, identities, config).await?;
        return Ok(None);
    }
    make(host, identities.store(), dir, config).await.map(Some)
}

fn failed(error: trestle_core::Error) -> String {
    format!("the root user: {error}")
}

fn account() -> Result<AccountId, String> {
    AccountId::parse(ROOT_ACCOUNT).map_err(failed)
}

/// Gives the root user new credentials: the configured ones, and random ones for what is not
/// configured. Whoever had the old ones is nobody from now on.
pub(crate) async fn reset(
    host: &Host,
    store: &Store,
    dir: &Path,
    config: &Config,
) -> Result<Fresh, String> {
    make(host, store, dir, config).await
}

/// Makes the root user, or makes it anew.
async fn make(host: &Host, store: &Store, dir: &Path, config: &Config) -> Result<Fresh, String> {
    let given = |part: &str| config.root(part).map(str::to_owned);
    let fresh = Fresh {
        user: given("user").unwrap_or_else(|| "root".to_owned()),
        password: given("password").unwrap_or_else(|| new_password(&*host.random)),
        access_key: given("access_key").unwrap_or_else(|| new_access_key(&*host.random)),
        secret_key: given("secret_key").unwrap_or_else(|| new_secret_key(&*host.random)),
    };
    let hash = hash_secret(&fresh.password, &*host.random).map_err(failed)?;
    // The file first: a root user without it would leave nobody who knows the password.
    write_file(host, dir, &fresh)
        .map_err(|error| format!("the root credentials cannot be written: {error}"))?;
    let key = (fresh.access_key.as_str(), fresh.secret_key.as_str());
    store
        .set_root(&account()?, &fresh.user, &hash, key)
        .await
        .map_err(failed)?;
    Ok(fresh)
}

/// Values that are given again must be the ones in force.
async fn compare(root: &User, identities: &Identities, config: &Config) -> Result<(), String> {
    let differs = |part: &str| {
        Err(format!(
            "root_{part} differs from the one in force; leave it out, give the one in the data \
             folder's file {FILE}, or make new ones with 'trestle root reset' while no server runs"
        ))
    };
    if config.root("user").is_some_and(|given| given != root.name) {
        return differs("user");
    }
    if let (Some(given), Some(hash)) = (config.root("password"), &root.password_hash)
        && !verify_secret(given, hash).map_err(failed)?
    {
        return differs("password");
    }
    let Some(given) = config.root("access_key") else {
        return match config.root("secret_key") {
            None => Ok(()),
            Some(_) => Err("root_secret_key needs root_access_key".to_owned()),
        };
    };
    let known = identities.access_key(given, None).await.map_err(failed)?;
    let Some((secret, _)) = known.filter(|(_, principal)| principal.is_root()) else {
        return differs("access_key");
    };
    match config.root("secret_key") {
        Some(given) if given != secret.expose() => differs("secret_key"),
        _ => Ok(()),
    }
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
