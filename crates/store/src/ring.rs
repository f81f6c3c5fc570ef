//! The key ring: named keys, each with versions, wrapped under the master key in rows of the store.
//!
//! What the store encrypts is wrapped under the newest version of a key and names it, so a rotation
//! adds a version, changes nothing that was written before, and a change of the master key wraps the
//! ring alone anew. A key is made when it is first needed.

use crate::keys::{MasterKey, SecretKey};
use crate::row_key;
use crate::store::{MASTER_KEY_SETTING, Store};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::{Commit, Engine, Expectation, Scan, ScanItem, Write};
use trestle_host::Random;
use zeroize::Zeroizing;

/// Longest name of a key, in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 256;
/// The key that wraps secrets of identities.
const SECRETS: &str = "secrets";
/// Bytes of a version in front of what it wrapped.
const VERSION_BYTES: usize = 4;

/// The ring of one store. What was used stays in memory.
pub(crate) struct Keys {
    engine: Engine,
    random: Arc<dyn Random>,
    master: Option<MasterKey>,
    used: RwLock<BTreeMap<(String, u32), SecretKey>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    pub(crate) fn new(
        engine: Engine,
        random: Arc<dyn Random>,
        master: Option<MasterKey>,
    ) -> Arc<Self> {
        Arc::new(Keys {
            engine,
            random,
            master,
            used: RwLock::default(),
        })
    }

    /// The name of the master key, if it was given.
    pub(crate) fn master_id(&self) -> Option<String> {
        self.master.as_ref().map(MasterKey::id)
    }

    /// Where unpredictable bytes come from.
    pub(crate) fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// What wraps the ring.
    fn above(&self) -> Result<SecretKey> {
        let missing = || Error::invalid("the store was opened without its master key");
        Ok(self.master.as_ref().ok_or_else(missing)?.derive(RING))
    }

    fn known(&self, name: &str, versions: RangeInclusive<u32>) -> Option<(u32, SecretKey)> {
        let used = self.used.read();
        let (first, last) = versions.into_inner();
        let versions = used.range((name.to_owned(), first)..=(name.to_owned(), last));
        let ((_, version), key) = versions.last()?;
        Some((*version, key.clone()))
    }

    fn remember(&self, name: &str, version: u32, key: &SecretKey) {
        let id = (name.to_owned(), version);
        self.used.write().insert(id, key.clone());
    }

    /// The newest version of a key, made now when there is none.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name, or when the store was opened without its master key.
    pub(crate) async fn newest_key(&self, name: &str) -> Result<(u32, SecretKey)> {
        if let Some(known) = self.known(name, 0..=u32::MAX) {
            return Ok(known);
        }
        match self.stored_version(name).await? {
            Some(version) => Ok((version, self.key_version(name, version).await?)),
            None => self.add_key_version(name, 1).await,
        }
    }

    /// One version of a key.
    ///
    /// # Errors
    /// `Corrupt` when it is not there, or cannot be decrypted.
    pub(crate) async fn key_version(&self, name: &str, version: u32) -> Result<SecretKey> {
        if let Some((_, known)) = self.known(name, version..=version) {
            return Ok(known);
        }
        let row = self
            .engine
            .meta
            .snapshot()
            .await?
            .get(&row_key::ring_key(name, version))
            .await?;
        let row = row.ok_or_else(|| {
            Error::corrupt(format!(
                "version {version} of the key {name:?} is not there"
            ))
        })?;
        let key = self
            .above()?
            .unwrap_key(&purpose(name, version), &row.value)?;
        self.remember(name, version, &key);
        Ok(key)
    }

    /// Adds a version to a key: what is encrypted from now on takes it, and what was before stays as
    /// it is. Returns the version.
    ///
    /// # Errors
    /// As [`Store::newest_key`]; `Conflict` when somebody else rotates it at the same time.
    pub(crate) async fn rotate(&self, name: &str) -> Result<u32> {
        let version = self.stored_version(name).await?.unwrap_or(0);
        let full = || Error::new(ErrorKind::TooLarge, "a key has no room for another version");
        let (version, _) = self
            .add_key_version(name, version.checked_add(1).ok_or_else(full)?)
            .await?;
        Ok(version)
    }

    /// Encrypts a secret that a row is going to keep, bound to `purpose`, which names the row.
    ///
    /// # Errors
    /// `InvalidInput` when the store was opened without its master key; `TooLarge`.
    pub(crate) async fn wrap_secret(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
        let (version, key) = self.newest_key(SECRETS).await?;
        let wrapped = key.wrap(self.random(), purpose, secret)?;
        Ok([version.to_be_bytes().as_slice(), &wrapped].concat())
    }

    /// Decrypts a secret that was encrypted for the same purpose.
    ///
    /// # Errors
    /// `InvalidInput` when the store was opened without its master key; `Corrupt`.
    pub(crate) async fn unwrap_secret(
        &self,
        purpose: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let short = || Error::corrupt("a wrapped secret is too short");
        let (version, wrapped) = wrapped
            .split_first_chunk::<VERSION_BYTES>()
            .ok_or_else(short)?;
        let key = self
            .key_version(SECRETS, u32::from_be_bytes(*version))
            .await?;
        key.unwrap(purpose, wrapped)
    }

    async fn stored_version(&self, name: &str) -> Result<Option<u32>> {
        if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX || name.contains('\0') {
            return Err(Error::invalid(format!(
                "a key's name must be 1 to {KEY_NAME_BYTES_MAX} bytes long, without NUL"
            )));
        }
        let mut scan = Scan::prefix(row_key::ring_keys(name), 1);
        scan.reverse = true;
        let found = self.engine.meta.snapshot().await?.scan(&scan).await?;
        let malformed = || Error::corrupt("a key of the ring has a malformed row key");
        match found.first() {
            None => Ok(None),
            Some(ScanItem::Row(key, _)) => {
                let version = key.split_last_chunk::<VERSION_BYTES>();
                let (_, version) = version.ok_or_else(malformed)?;
                Ok(Some(u32::from_be_bytes(*version)))
            }
            Some(ScanItem::Prefix(_)) => Err(malformed()),
        }
    }

    async fn add_key_version(&self, name: &str, version: u32) -> Result<(u32, SecretKey)> {
        let key = SecretKey::generate(self.random());
        let above = self.above()?;
        let wrapped = above.wrap(self.random(), &purpose(name, version), key.as_bytes())?;
        let row = row_key::ring_key(name, version);
        let commit = Commit {
            expectations: vec![Expectation::Absent(row.clone())],
            writes: vec![Write::Put {
                key: row,
                value: wrapped.into(),
                body: None,
            }],
            ..Commit::default()
        };
        match self.engine.meta.commit(commit).await {
            Ok(_) => {
                self.remember(name, version, &key);
                return Ok((version, key));
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
        // Somebody else has just made it; only for the first version that is as good.
        if version == 1 {
            return Ok((version, self.key_version(name, version).await?));
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the key was rotated at the same time",
        ))
    }
}

/// Keys that one change of the master key wraps anew.
const RING_KEYS_MAX: usize = 5_000;

impl Store {
    /// Wraps the ring under another master key, in one commit. What the ring encrypted stays as it is.
    /// From then on the store opens with the new master key alone. Returns how many keys that were.
    ///
    /// # Errors
    /// `Corrupt` when a key cannot be decrypted; `TooLarge` for a ring of more than 5,000 keys;
    /// `Conflict` when a key was made at the same time.
    pub async fn change_master_key(&self, new: &MasterKey) -> Result<usize> {
        let read = self.snapshot().await?;
        let scan = Scan::prefix(row_key::ring(), RING_KEYS_MAX + 1);
        let rows = read.scan(&scan).await?;
        if rows.len() > RING_KEYS_MAX {
            let message = format!("the ring has more than {RING_KEYS_MAX} keys");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let (old, above) = (self.keys.above()?, new.derive(RING));
        let mut commit = Commit::default();
        for item in rows {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            let malformed = || Error::corrupt("a key of the ring has a malformed row key");
            let (name, version) = row_key::split_ring_key(&key).ok_or_else(malformed)?;
            let purpose = purpose(&name, version);
            let plain = old.unwrap_key(&purpose, &row.value)?;
            let wrapped = above.wrap(&*self.host.random, &purpose, plain.as_bytes())?;
            let unchanged = Expectation::Revision(key.clone(), row.revision);
            commit.expectations.push(unchanged);
            commit.writes.push(Write::Put {
                key,
                value: wrapped.into(),
                body: None,
            });
        }
        let keys = commit.writes.len();
        commit.writes.push(Write::Put {
            key: row_key::setting(MASTER_KEY_SETTING),
            value: new.id().into(),
            body: None,
        });
        self.engine.meta.commit(commit).await?;
        Ok(keys)
    }

    /// The names of all keys of the ring, in order.
    ///
    /// # Errors
    /// `Corrupt` for a row that is none of the ring's.
    pub async fn key_names(&self) -> Result<Vec<String>> {
        let read = self.snapshot().await?;
        let rows = read
            .scan(&Scan::prefix(row_key::ring(), RING_KEYS_MAX))
            .await?;
        let malformed = || Error::corrupt("a key of the ring has a malformed row key");
        let mut names = Vec::new();
        for item in rows {
            let (name, _) = row_key::split_ring_key(item.key()).ok_or_else(malformed)?;
            names.push(name);
        }
        names.dedup();
        Ok(names)
    }

    /// Adds a version to a key of the ring: what is encrypted from now on takes it, and what was
    /// before stays as it is. Returns the version.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name, or when the store was opened without its master key;
    /// `Conflict` when somebody else rotates it at the same time.
    pub async fn rotate_key(&self, name: &str) -> Result<u32> {
        self.keys.rotate(name).await
    }

    /// Encrypts a secret that a row is going to keep, bound to `purpose`, which names the row.
    ///
    /// # Errors
    /// `InvalidInput` when the store was opened without its master key; `TooLarge`.
    pub async fn wrap_secret(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
        self.keys.wrap_secret(purpose, secret).await
    }

    /// Decrypts a secret that was encrypted for the same purpose.
    ///
    /// # Errors
    /// `InvalidInput` when the store was opened without its master key; `Corrupt`.
    pub async fn unwrap_secret(
        &self,
        purpose: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        self.keys.unwrap_secret(purpose, wrapped).await
    }
}

/// What the master key is used for here.
const RING: &[u8] = b"key ring";

/// Binds a wrapped key to its row.
fn purpose(name: &str, version: u32) -> Vec<u8> {
    [b"key\0", name.as_bytes(), b"\0", &version.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use trestle_core::AccountId;
    use trestle_host::{Host, SeededRandom};

    async fn open(engine: &Engine, master: u64) -> Result<Arc<Store>> {
        let master = MasterKey::generate(&SeededRandom::new(master));
        let root = AccountId::parse("root")?;
        Store::open(engine.clone(), Host::real(), root, Some(master)).await
    }

    #[test]
    fn what_was_wrapped_before_a_rotation_still_opens_after_it() {
        block_on(async {
            let engine = trestle_engine::memory::engine();
            let store = open(&engine, 1).await.unwrap();
            let old = store.wrap_secret(b"a", b"old").await.unwrap();
            assert_eq!(store.rotate_key(SECRETS).await.unwrap(), 2);
            let new = store.wrap_secret(b"a", b"new").await.unwrap();
            assert_ne!(old[..VERSION_BYTES], new[..VERSION_BYTES]);

            // A store that has seen none of it reads the rows.
            let other = open(&engine, 1).await.unwrap();
            assert_eq!(&**other.unwrap_secret(b"a", &old).await.unwrap(), b"old");
            assert_eq!(&**other.unwrap_secret(b"a", &new).await.unwrap(), b"new");
            assert!(other.unwrap_secret(b"b", &new).await.is_err());
            assert!(other.unwrap_secret(b"a", &new[..3]).await.is_err());
            let (version, _) = other.keys.newest_key(SECRETS).await.unwrap();
            assert_eq!(version, 2);

            let error = open(&engine, 2).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        });
    }

    #[test]
    fn another_master_key_opens_what_the_former_one_did() {
        block_on(async {
            let engine = trestle_engine::memory::engine();
            let store = open(&engine, 1).await.unwrap();
            let secret = store.wrap_secret(b"a", b"secret").await.unwrap();
            store.rotate_key("contents").await.unwrap();
            store.rotate_key(SECRETS).await.unwrap();
            let new = MasterKey::generate(&SeededRandom::new(2));
            assert_eq!(store.change_master_key(&new).await.unwrap(), 3);
            let former = open(&engine, 1).await.unwrap_err();
            assert_eq!(former.kind(), ErrorKind::InvalidInput);
            let store = open(&engine, 2).await.unwrap();
            assert_eq!(
                &**store.unwrap_secret(b"a", &secret).await.unwrap(),
                b"secret"
            );
        });
    }

    #[test]
    fn two_that_make_a_key_at_once_get_the_same() {
        block_on(async {
            let engine = trestle_engine::memory::engine();
            let one = open(&engine, 1).await.unwrap();
            let two = open(&engine, 1).await.unwrap();
            let made = futures::join!(one.keys.newest_key("k"), two.keys.newest_key("k"));
            let (one, two) = (made.0.unwrap().1, made.1.unwrap().1);
            assert_eq!(one.as_bytes(), two.as_bytes());
        });
    }

    #[test]
    fn bad_names_and_a_missing_master_key_are_refused() {
        block_on(async {
            let engine = trestle_engine::memory::engine();
            let store = open(&engine, 1).await.unwrap();
            for name in ["", "a\0b", &"x".repeat(KEY_NAME_BYTES_MAX + 1)] {
                let error = store.keys.newest_key(name).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
            }
            let root = AccountId::parse("root").unwrap();
            let without = Store::open(engine, Host::real(), root, None).await.unwrap();
            let error = without.wrap_secret(b"a", b"b").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        });
    }
}
