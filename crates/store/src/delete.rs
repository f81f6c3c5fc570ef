//! Deleting an object: one commit removes every row of it, and with them its bytes.

use crate::layer::{Hold, References};
use crate::nouns::{DeleteObject, Object};
use crate::placement::Tally;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, Noun, Result};
use trestle_engine::{Commit, Expectation, Urgency, Write};

impl Store {
    /// Deletes an object and returns what it was. Works on a full disk.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `PreconditionFailed`, before `NotFound(Object)`; `Conflict` when
    /// concurrent writes of the key keep winning; `Forbidden`.
    pub async fn delete(&self, grant: &Grant, delete: DeleteObject) -> Result<Object> {
        let DeleteObject {
            bucket,
            key,
            precondition,
            tag_of,
        } = delete;
        let resource = Resource::Object(bucket.clone(), key.clone());
        store::require(grant, Action::DeleteObject, &resource)?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = store::find_bucket(&*read, &bucket).await?;
            let current = store::find_object(&*read, found.bucket.id, &key).await?;
            let confirmed = self
                .confirm(&*read, grant, Some(&found), current.as_ref())
                .await?;
            store::check_precondition(&precondition, tag_of, current.as_ref())?;
            let current = current.ok_or_else(|| Error::not_found(Noun::Object, &key))?;
            let mut references = References::default();
            if let Some(layer) = current.object.layer() {
                references.lose(layer);
            }
            let Some(settled) = self.settle(&mut hold, &*read, &references).await? else {
                continue;
            };
            drop(read);
            let row = row_key::object(found.bucket.id, &key);
            let mut expectations = found.expectations();
            expectations.push(confirmed);
            expectations.push(Expectation::Revision(row.clone(), current.revision));
            let mut writes = vec![
                Write::Delete { key: row },
                Write::Delete {
                    key: row_key::object_id(current.object.id),
                },
            ];
            let length = store::signed(current.object.length());
            let tally = Tally {
                objects: -1,
                bytes: -length,
                ..Tally::default()
            };
            writes.extend(store::count(&found.bucket, tally));
            let urgency = Urgency::Freeing;
            let commit = Commit {
                expectations,
                writes,
                tokens: Vec::new(),
                urgency,
            };
            if self.commit_settled(commit, settled, &mut hold).await? {
                return Ok(current.object);
            }
        }
        Err(store::conflict())
    }
}
