//! What a clone inherits becomes its own before it is changed: in a commit of its own that changes
//! nothing that anybody sees.
//!
//! With its first own row a key is *cut* off: a row that stays says that the clone inherits it no
//! longer, so that a key that was deleted does not come back, and that snapshots of the clone know
//! since when.

use super::view;
use crate::layer::Hold;
use crate::nouns::{Bucket, Object};
use crate::placement::{Changes, Tally};
use crate::properties::Versioning;
use crate::read::attached;
use crate::record::{ObjectRecord, Record};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, FoundObject, Store};
use bytes::Bytes;
use trestle_core::{BucketName, ErrorKind, Key, Result};
use trestle_engine::canary::{self, Canary};
use trestle_engine::{Body, Expectation, MetaRead, Urgency};

/// Keys that one commit makes the clone's own.
const BATCH_KEYS: usize = 200;
/// Bytes that one commit copies.
const BATCH_BYTES: usize = 8 << 20;

impl Store {
    /// Makes these keys of a bucket its own, if it is a clone that inherits them. What is wrong with
    /// the bucket's name is left for the verb to say. A deletion is no more refused for it than for
    /// anything else; what changes a key needs the room that the key takes.
    pub(crate) async fn own<'k>(
        &self,
        bucket: &BucketName,
        keys: impl IntoIterator<Item = &'k Key>,
        urgency: Urgency,
    ) -> Result<()> {
        let read = self.snapshot().await?;
        let found = match store::find_bucket(&*read, bucket).await {
            Ok(found) => found,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound(_) | ErrorKind::InvalidState
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        drop(read);
        self.own_keys(&found, keys, urgency).await.map(drop)
    }

    /// As [`Store::own`]; says whether any was inherited until now.
    pub(crate) async fn own_keys<'k>(
        &self,
        found: &FoundBucket,
        keys: impl IntoIterator<Item = &'k Key>,
        urgency: Urgency,
    ) -> Result<bool> {
        if found.bucket.parent.is_none() {
            return Ok(false);
        }
        let keys: Vec<&Key> = keys.into_iter().collect();
        let (mut rest, mut any, mut attempts) = (keys.as_slice(), false, 0);
        while !rest.is_empty() {
            let batch = rest.get(..BATCH_KEYS.min(rest.len())).unwrap_or_default();
            match self.own_some(&found.bucket.name, batch, urgency).await? {
                Some((done, inherited)) => {
                    any |= inherited;
                    attempts = 0;
                    rest = rest.get(done..).unwrap_or_default();
                }
                None if attempts < ATTEMPTS_MAX => attempts += 1,
                None => return Err(store::conflict()),
            }
        }
        Ok(any)
    }

    /// One commit: of how many of the keys, and whether any was inherited. None when a concurrent
    /// change won.
    async fn own_some(
        &self,
        name: &BucketName,
        keys: &[&Key],
        urgency: Urgency,
    ) -> Result<Option<(usize, bool)>> {
        let read = self.snapshot().await?;
        let found = store::find_bucket(&*read, name).await?;
        let mut changes = Changes::expecting(found.expectations());
        let (mut done, mut bytes, mut inherited) = (0, 0, false);
        for key in keys {
            if bytes > BATCH_BYTES {
                break;
            }
            done += 1;
            let Some(object) = inherited_object(&*read, &found.bucket, key).await? else {
                continue;
            };
            inherited = true;
            bytes += object.body.as_ref().map_or(0, |body| body.length as usize);
            changes.make_own(self, &found.bucket, &object).await?;
        }
        drop(read);
        if !inherited {
            return Ok(Some((done, false)));
        }
        // Where versions are kept nothing is freed by it.
        let urgency = match found.bucket.properties.versioning {
            Versioning::Off => urgency,
            _ => Urgency::Normal,
        };
        let mut hold = Hold::default();
        let applied = changes.commit(self, &found, &mut hold, urgency);
        Ok(applied.await?.then_some((done, true)))
    }
}

/// What a clone shows under a key where it has nothing of its own.
async fn inherited_object(
    read: &dyn MetaRead,
    bucket: &Bucket,
    key: &Key,
) -> Result<Option<FoundObject>> {
    let own = row_key::object(bucket.id, key);
    match view::current(read, bucket, key).await? {
        Some((row_key, row)) if row_key != own => FoundObject::decode(row_key, row, key).map(Some),
        _ => Ok(None),
    }
}

impl Changes {
    /// Writes what a clone shows under a key as its own.
    async fn make_own(
        &mut self,
        store: &Store,
        bucket: &Bucket,
        inherited: &FoundObject,
    ) -> Result<()> {
        let object: &Object = &inherited.object;
        let row = row_key::object(bucket.id, &object.key);
        let cut = row_key::cut(bucket.id, &object.key);
        let index = row_key::object_id(object.id);
        for absent in [&row, &cut, &index] {
            self.expectations.push(Expectation::Absent(absent.clone()));
        }
        self.expectations.push(inherited.expectation());
        let body = attached(store, inherited).await?.map(Body::Attached);
        self.put(index, row_key::place(&row), None);
        self.put(row, ObjectRecord::new(object)?.to_value()?, body);
        if !canary::active(Canary::InheritForEver) {
            self.put(cut, Bytes::new(), None);
        }
        let counted = object.layer();
        if let Some(layer) = counted.filter(|_| !canary::active(Canary::BorrowInherited)) {
            self.references.gain(layer);
        }
        self.tally.add(Tally::current(object));
        self.tally.add(Tally::cut(object));
        Ok(())
    }
}
