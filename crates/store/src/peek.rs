//! What is where, before anybody's rights are known.
//!
//! A dialect whose paths lead through containers has to know what a key holds in order to know
//! which right to ask for. Nothing that is found here may be shown or acted on without one.

use crate::nouns::{Bucket, Object, VersionRef};
use crate::row_key;
use crate::snapshot::view;
use crate::store::{self, Store};
use trestle_core::{BucketName, Key, Result};
use trestle_engine::Scan;

impl Store {
    /// A bucket's record. No grant: see the module.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub async fn peek_bucket(&self, name: &BucketName) -> Result<Bucket> {
        let read = self.snapshot().await?;
        Ok(store::find_shown(&*read, name).await?.bucket)
    }

    /// A key's current object. No grant: see the module.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn peek_object(&self, bucket: &BucketName, key: &Key) -> Result<Object> {
        let read = self.snapshot().await?;
        let bucket = store::find_shown(&*read, bucket).await?;
        let found = self.find_live(&*read, &bucket, key, VersionRef::Current);
        Ok(found.await?.object)
    }

    /// Whether a bucket has keys that start with a prefix. No grant: see the module.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub async fn peek_prefix(&self, bucket: &BucketName, prefix: &str) -> Result<bool> {
        let read = self.snapshot().await?;
        let bucket = store::find_shown(&*read, bucket).await?.bucket;
        let scan = Scan::prefix(row_key::objects(bucket.id, prefix), 1);
        Ok(!view::scan(&*read, &bucket, &scan).await?.is_empty())
    }
}
