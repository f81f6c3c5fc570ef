//! When what is no longer in a synchronised container was deleted: without that, a cluster that was
//! away would bring back what the others have deleted.
//!
//! A deletion here has the time of its commit, one that another cluster sent has its time there. So
//! that the two are told apart when the change feed tells of the deletion, a tombstone names the
//! versions that deletions from elsewhere took away.
//!
//! Another cluster may also delete what is not here, because it comes later or never. Of such names a
//! container has [`STRANGERS_MAX`] new ones a week, so that who has its key cannot fill the store.
//!
//! Invariant: the time of a tombstone never goes back; it is forgotten [`KEPT_MICROS`] after it was
//! last written.

use crate::books::Book;
use crate::receive;
use crate::swift::Swift;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use trestle_core::{BucketId, Error, ErrorKind, Precondition, Result, Timestamp, VersionId};

/// How long a deletion is remembered, in microseconds: a week, as in Swift.
const KEPT_MICROS: u64 = 7 * 24 * 3_600 * 1_000_000;
/// Versions that one tombstone names: the latest.
const TAKEN_MAX: usize = 16;
/// Deletions of what is not there that one container remembers in a week.
const STRANGERS_MAX: u64 = 100_000;
/// How often a change is tried that others get in the way of.
const ATTEMPTS_MAX: usize = 10;

/// The deletion of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) key: String,
    /// When it was deleted, where that was done.
    pub(crate) time: Timestamp,
    /// The versions that deletions from elsewhere took away here.
    taken: Vec<String>,
}

impl Tombstone {
    pub(crate) fn text(&self) -> String {
        json!({"key": self.key, "time": self.time.0, "taken": self.taken}).to_string()
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let taken = value.get("taken")?.as_array()?.iter();
        Some(Tombstone {
            key: value.get("key")?.as_str()?.to_owned(),
            time: Timestamp(value.get("time")?.as_u64()?),
            taken: taken
                .map(|version| version.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        })
    }

    /// Whether a deletion from elsewhere took this version away.
    pub(crate) fn took(&self, version: Option<VersionId>) -> bool {
        version.is_some_and(|version| self.taken.contains(&version.to_string()))
    }

    /// The same with another deletion. Whether that changes anything.
    fn add(&mut self, time: Timestamp, taken: Option<VersionId>) -> bool {
        let before = self.clone();
        self.time = self.time.max(time);
        if let Some(version) = taken.filter(|version| !self.took(Some(*version))) {
            self.taken.push(version.to_string());
            let surplus = self.taken.len().saturating_sub(TAKEN_MAX);
            self.taken.drain(..surplus);
        }
        *self != before
    }
}

/// How many deletions of what is not there each container has remembered, and since when.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<BTreeMap<BucketId, (u64, Timestamp)>>);

impl Strangers {
    /// Whether a container may remember one more.
    fn take(&self, bucket: BucketId, now: Timestamp) -> bool {
        let mut kept = self.0.lock();
        let (count, since) = kept.entry(bucket).or_insert((0, now));
        if now.0.saturating_sub(since.0) > KEPT_MICROS {
            (*count, *since) = (0, now);
        }
        let fits = *count < STRANGERS_MAX;
        *count += u64::from(fits);
        fits
    }

    /// A container has gone.
    pub(crate) fn forget(&self, bucket: BucketId) {
        self.0.lock().remove(&bucket);
    }
}

/// What the tombstones of a container start with.
pub(crate) fn prefix(bucket: BucketId) -> String {
    format!("{}/", bucket.0)
}

/// The entry of a key: a key of any length has one.
fn name(bucket: BucketId, key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{digest}", prefix(bucket))
}

impl Swift {
    /// When a key of a container was deleted, if that is remembered.
    pub(crate) async fn tombstone(&self, bucket: BucketId, key: &str) -> Result<Option<Tombstone>> {
        let entry = self.entry(Book::Deleted, &name(bucket, key)).await?;
        Ok(entry.and_then(|entry| Tombstone::parse(&entry.text)))
    }

    /// Remembers a deletion of what is not there. Whether it does: not when there are too many.
    pub(crate) async fn bury_stranger(
        &self,
        (bucket, key): (BucketId, &str),
        time: Timestamp,
    ) -> Result<bool> {
        let known = self.tombstone(bucket, key).await?.is_some();
        if !known && !self.strangers.take(bucket, self.host.clock.now()) {
            return Ok(false);
        }
        self.bury((bucket, key), time, None).await?;
        Ok(true)
    }

    /// Remembers a deletion. `taken`: the version that it takes away, when it comes from elsewhere.
    pub(crate) async fn bury(
        &self,
        (bucket, key): (BucketId, &str),
        time: Timestamp,
        taken: Option<VersionId>,
    ) -> Result<()> {
        let name = name(bucket, key);
        for _ in 0..ATTEMPTS_MAX {
            let entry = self.entry(Book::Deleted, &name).await?;
            let stone = entry.as_ref();
            let stone = stone.and_then(|entry| Tombstone::parse(&entry.text));
            let mut stone = stone.unwrap_or_else(|| Tombstone {
                key: key.to_owned(),
                ..Tombstone::default()
            });
            if !stone.add(time, taken) {
                return Ok(());
            }
            let condition = match &entry {
                Some(entry) => receive::still(&entry.revision),
                None => Precondition::absent(),
            };
            let until = Timestamp(self.host.clock.now().0.saturating_add(KEPT_MICROS));
            let place = (Book::Deleted, name.as_str());
            if self
                .keep(place, stone.text(), condition, Some(until))
                .await?
            {
                return Ok(());
            }
        }
        let message = "others keep noting deletions of the same key";
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_core::Id;

    #[test]
    fn a_tombstone_never_goes_back_and_comes_back_as_it_was() {
        let version = |byte| VersionId(Id([byte; 16]));
        let mut stone = Tombstone {
            key: "ü\"".into(),
            ..Tombstone::default()
        };
        assert!(stone.add(Timestamp(7), None));
        assert!(!stone.add(Timestamp(5), None));
        assert_eq!(stone.time, Timestamp(7));
        assert!(stone.add(Timestamp(5), Some(version(1))));
        assert!(!stone.add(Timestamp(7), Some(version(1))));
        assert!(stone.took(Some(version(1))) && !stone.took(None));
        assert_eq!(Tombstone::parse(&stone.text()), Some(stone.clone()));
        for byte in 2..=17 {
            assert!(stone.add(Timestamp(1), Some(version(byte))));
        }
        assert!(!stone.took(Some(version(1))) && stone.took(Some(version(17))));
        assert_eq!(stone.taken.len(), TAKEN_MAX);
        assert_eq!(Tombstone::parse("{}"), None);
    }

    #[test]
    fn a_container_remembers_so_many_deletions_of_nothing_a_week() {
        let bucket = |byte| BucketId(Id([byte; 16]));
        let strangers = Strangers::default();
        let start = Timestamp(1_000_000);
        for _ in 0..STRANGERS_MAX {
            assert!(strangers.take(bucket(1), start));
        }
        assert!(!strangers.take(bucket(1), start));
        assert!(strangers.take(bucket(2), start));
        assert!(!strangers.take(bucket(1), Timestamp(start.0 + KEPT_MICROS)));
        assert!(strangers.take(bucket(1), Timestamp(start.0 + KEPT_MICROS + 1)));
        strangers.forget(bucket(1));
        assert_eq!(strangers.0.lock().len(), 1);
    }

    #[test]
    fn each_key_of_each_container_has_an_entry_of_its_own() {
        let bucket = |byte| BucketId(Id([byte; 16]));
        assert_ne!(name(bucket(1), "k"), name(bucket(2), "k"));
        assert_ne!(name(bucket(1), "k"), name(bucket(1), "l"));
        assert!(name(bucket(1), &"k".repeat(1024)).len() < 100);
        assert!(name(bucket(1), "k").starts_with(&prefix(bucket(1))));
    }
}
