//! Deleting: a key, by its bucket's versioning; one version of it; or all that it ever was.

use crate::layer::Hold;
use crate::nouns::{DeleteObject, DeleteOutcome, History, Object, VersionRef};
use crate::placement::{self, Changes, Slot};
use crate::properties::Versioning;
use crate::protection::Guard;
use crate::read::missing;
use crate::store::{self, ATTEMPTS_MAX, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, ErrorKind, Noun, Owner, Result};
use trestle_engine::{MetaRead, Urgency};

/// What the caller may do.
pub(crate) struct Rights<'g> {
    grant: &'g Grant,
    bypass: Option<&'g Grant>,
    versions: Option<&'g Grant>,
}

impl<'g> Rights<'g> {
    /// What these grants give for a delete.
    ///
    /// # Errors
    /// `Forbidden`; `InvalidInput` for a version whose history is to be erased.
    pub(crate) fn of(grants: &'g [Grant], delete: &DeleteObject) -> Result<Self> {
        let resource = Resource::Object(delete.bucket.clone(), delete.key.clone());
        if delete.version == VersionRef::Ended {
            return Err(Error::invalid("what has ended is not there to be deleted"));
        }
        let named = delete.version != VersionRef::Current;
        if named && delete.history == History::Erase {
            return Err(Error::invalid("a version has no history of its own"));
        }
        let action = match named {
            false => Action::DeleteObject,
            true => Action::DeleteObjectVersion,
        };
        let more = |action| store::granted(grants, &[action], &resource).ok();
        Ok(Rights {
            grant: store::granted(grants, &[action], &resource)?,
            bypass: more(Action::BypassRetention),
            versions: more(Action::DeleteObjectVersion),
        })
    }

    fn all(&self) -> impl Iterator<Item = &Grant> {
        std::iter::once(self.grant)
            .chain(self.bypass)
            .chain(self.versions)
    }
}

/// What one try of a delete has worked out.
pub(crate) struct Attempt {
    pub(crate) slot: Slot,
    pub(crate) changes: Changes,
    pub(crate) outcome: DeleteOutcome,
    /// Whether nothing is left to do after its commit.
    done: bool,
}

impl Store {
    /// Deletes an object, or one version of it for good. Works on a full disk, unless it makes a
    /// delete marker.
    ///
    /// The grants: one for the delete; one for `BypassRetention` to pass over governance; one for
    /// `DeleteObjectVersion` to erase history.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `PreconditionFailed`, before `NotFound(Object)` and `NotFound(Version)`;
    /// `Locked`; `InvalidInput` for a version whose history is to be erased; `Conflict` when
    /// concurrent writes of the key keep winning; `Forbidden`.
    pub async fn delete(&self, grants: &[Grant], delete: DeleteObject) -> Result<DeleteOutcome> {
        let rights = Rights::of(grants, &delete)?;
        self.own(&delete.bucket, [&delete.key], Urgency::Freeing)
            .await?;
        let mut first: Option<DeleteOutcome> = None;
        let mut hold = Hold::default();
        let mut attempts = 0;
        while attempts < ATTEMPTS_MAX {
            attempts += 1;
            let read = self.snapshot().await?;
            let attempt = self.try_delete(&*read, &rights, &delete, first.is_some());
            let Some(attempt) = attempt.await? else {
                continue;
            };
            drop(read);
            let keeps = delete.history == History::Leave && delete.version == VersionRef::Current;
            let urgency = match attempt.outcome.marker.is_some() || keeps {
                true => Urgency::Normal,
                false => Urgency::Freeing,
            };
            let Attempt {
                slot,
                changes,
                outcome,
                done,
            } = attempt;
            let bucket = &slot.bucket;
            if changes.commit(self, bucket, &mut hold, urgency).await? {
                let outcome = first.get_or_insert(outcome);
                if done {
                    return Ok(outcome.clone());
                }
                attempts = 0;
            }
        }
        Err(store::conflict())
    }

    /// Works out one commit; none when a concurrent change won. `going_on`: an earlier commit of
    /// this very delete has already removed something.
    pub(crate) async fn try_delete(
        &self,
        read: &dyn MetaRead,
        rights: &Rights<'_>,
        delete: &DeleteObject,
        going_on: bool,
    ) -> Result<Option<Attempt>> {
        let mut slot = Slot::find(read, &delete.bucket, &delete.key).await?;
        let version = match delete.version {
            VersionRef::Current => None,
            version => {
                placement::find_version(read, &slot.bucket.bucket, &delete.key, version).await?
            }
        };
        let target = match delete.version {
            VersionRef::Current => slot.live(self),
            _ => version.as_ref(),
        };
        let mut confirmed = Vec::new();
        for grant in rights.all() {
            let bucket = Some(&slot.bucket);
            confirmed.push(self.confirm(read, grant, bucket, target).await?);
        }
        if !going_on {
            store::check_precondition(&delete.precondition, delete.tag_of, target)?;
        }
        let removed = target.map(|target| target.object.clone());
        slot.expect(confirmed);
        let guard = Guard {
            now: self.host.clock.now(),
            bypass: rights.bypass.is_some(),
        };
        if delete.version != VersionRef::Current {
            let version = version.ok_or_else(|| Error::not_found(Noun::Version, &delete.key))?;
            let forward = delete.history != History::Leave;
            let changes = slot.remove(self, read, (&version, forward), guard).await?;
            return Ok(Some(done(slot, changes, removed)));
        }
        if delete.history == History::Erase {
            if slot.versioning() != Versioning::Off && rights.versions.is_none() {
                let message = "there is no grant to delete versions";
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            return self.try_erase(read, slot, guard, going_on).await.map(Some);
        }
        // One that has ended is not there to be deleted.
        match (slot.live(self), slot.versioning()) {
            (None, Versioning::Off) => Err(Error::not_found(Noun::Object, &delete.key)),
            (None, _) if !delete.mark_missing => {
                Err(missing(read, &slot.bucket.bucket, &delete.key).await?)
            }
            (Some(current), Versioning::Off) => {
                let changes = slot.remove(self, read, (current, true), guard).await?;
                Ok(Some(done(slot, changes, removed)))
            }
            (_, _) if delete.history == History::Leave => {
                let changes = slot.withdraw(self).await?;
                Ok(changes.map(|changes| done(slot, changes, removed)))
            }
            (_, Versioning::Enabled | Versioning::Suspended) => {
                let owner = owner(rights.grant, &slot);
                let Some((changes, marker)) = slot.mark(self, owner, guard).await? else {
                    return Ok(None);
                };
                let mut attempt = done(slot, changes, removed);
                attempt.outcome.marker = Some(marker);
                Ok(Some(attempt))
            }
        }
    }

    async fn try_erase(
        &self,
        read: &dyn MetaRead,
        slot: Slot,
        guard: Guard,
        going_on: bool,
    ) -> Result<Attempt> {
        if slot.former().is_none() && !going_on {
            return Err(Error::not_found(Noun::Object, &slot.key));
        }
        if !going_on {
            // Nothing goes when not all may go.
            slot.check_all(read, guard).await?;
        }
        let (changes, all) = slot.erase(read, guard).await?;
        let removed = slot.current.as_ref().map(|current| current.object.clone());
        let mut attempt = done(slot, changes, removed);
        attempt.done = all;
        Ok(attempt)
    }
}

/// An attempt after which nothing is left to do.
fn done(slot: Slot, changes: Changes, removed: Option<Object>) -> Attempt {
    Attempt {
        slot,
        changes,
        outcome: DeleteOutcome {
            removed,
            marker: None,
        },
        done: true,
    }
}

/// The owner of a delete marker: who deletes, or the bucket's owner for nobody.
fn owner(grant: &Grant, slot: &Slot) -> Owner {
    let principal = grant.principal().owner();
    principal.unwrap_or_else(|| slot.bucket.bucket.owner.clone())
}
