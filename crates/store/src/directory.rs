//! Directories: keys that stand for a place and hold no bytes.
//!
//! A directory is an object like any other, with an id, properties and versions; what lies below it
//! is what has keys that start with its own. Keys need none above them.

use crate::layer::Hold;
use crate::nouns::{Content, CreateDirectory, PutOutcome};
use crate::object_update::check_new;
use crate::placement::{Draft, Slot};
use crate::properties::Written;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{DigestAlgorithm, Hasher, Result};
use trestle_engine::Urgency;

impl Store {
    /// Makes a directory the current object of a key.
    ///
    /// # Errors
    /// Those of [`Store::put`] that are not of a body.
    pub async fn create_directory(
        &self,
        grant: &Grant,
        create: &CreateDirectory,
    ) -> Result<PutOutcome> {
        let resource = Resource::Object(create.bucket.clone(), create.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        self.own(&create.bucket, [&create.key], Urgency::Normal)
            .await?;
        let owner = grant.principal().owner();
        check_new(&create.properties)?;
        // For those who take it for an object without bytes.
        let digests = Hasher::new(&[DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme]).finish();
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let mut slot = Slot::find(&*read, &create.bucket, &create.key).await?;
            slot.confirm(self, &*read, grant).await?;
            drop(read);
            store::check_precondition(&create.precondition, create.tag_of, slot.live(self))?;
            let draft = Draft {
                encryption: None,
                owner: owner.clone(),
                content: Content::Directory,
                digests: digests.clone(),
                written: Written::Whole,
                checksum: None,
                properties: create.properties.clone(),
            };
            let object = slot.object(self, draft);
            let Some(changes) = slot.install(self, &object, None).await? else {
                continue;
            };
            let urgency = Urgency::Normal;
            if changes
                .commit(self, &slot.bucket, &mut hold, urgency)
                .await?
            {
                let created = slot.live(self).is_none();
                return Ok(PutOutcome { object, created });
            }
        }
        Err(store::conflict())
    }
}
