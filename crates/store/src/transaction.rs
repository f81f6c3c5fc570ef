//! Transactions: several verbs in one commit, which takes effect whole or not at all.
//!
//! All verbs are worked out on one snapshot, and the commit expects everything that any of them
//! found, so transactions are serialisable. No verb may meet what an earlier one of the same
//! transaction changes: then working them out together means the same as doing them in turn.

use crate::copy::{draft as copy_draft, wanted_of};
use crate::delete::Rights;
use crate::encryption::Encrypt;
use crate::layer::Hold;
use crate::nouns::{
    Bucket, CheckObject, CompleteUpload, CopyObject, DeleteObject, Object, PropertiesOf, PutObject,
    RenameObject, UpdateObject, UploadKey,
};
use crate::object_update::{ChangeObject, check_new};
use crate::placement::{Changes, Draft, Slot};
use crate::put::{draft as put_draft, encrypt_of};
use crate::receive::Received;
use crate::recrypt::target_encryption;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store};
use crate::upload::check_order;
use bytes::Bytes;
use std::collections::HashMap;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, Error, Key, Result};
use trestle_engine::canary::{self, Canary};
use trestle_engine::check::write_bytes;
use trestle_engine::meta::COMMIT_BYTES_MAX;
use trestle_engine::{Commit, MetaRead, Urgency};

/// Most verbs of a transaction.
pub const STEPS_MAX: usize = 1000;
/// Largest body of a write within a transaction, in bytes.
pub const STEP_BODY_BYTES_MAX: usize = 1 << 20;

/// One verb of a transaction, with the grants that it takes.
pub enum Step {
    /// Writes an object.
    Put {
        /// `WriteObject`.
        grant: Grant,
        /// What is written.
        put: Box<PutObject>,
        /// Its bytes.
        body: Bytes,
    },
    /// Makes an object of the parts of an upload.
    Complete {
        /// `WriteObject`.
        grant: Grant,
        /// Which.
        complete: Box<CompleteUpload>,
    },
    /// Deletes an object, or one version of it.
    Delete {
        /// As [`Store::delete`] takes them.
        grants: Vec<Grant>,
        /// Which. History is never erased here.
        delete: Box<DeleteObject>,
    },
    /// Copies an object.
    Copy {
        /// `ReadObject`, of the source.
        source_grant: Grant,
        /// `WriteObject`, of the target.
        grant: Grant,
        /// What, and where to.
        copy: Box<CopyObject>,
        /// What the copy keeps.
        properties: Box<PropertiesOf<'static>>,
    },
    /// Renames an object.
    Rename {
        /// As [`Store::rename`] takes them.
        grants: Vec<Grant>,
        /// What, and where to.
        rename: Box<RenameObject>,
    },
    /// Changes an object's properties.
    Update {
        /// As [`Store::update_object`] takes them.
        grants: Vec<Grant>,
        /// Which object.
        update: Box<UpdateObject>,
        /// How.
        change: Box<ChangeObject<'static>>,
    },
    /// Holds an object against a condition.
    Check {
        /// `ReadObjectMetadata`.
        grant: Grant,
        /// What has to hold.
        check: Box<CheckObject>,
    },
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Put { .. } => "Put",
            Step::Complete { .. } => "Complete",
            Step::Delete { .. } => "Delete",
            Step::Copy { .. } => "Copy",
            Step::Rename { .. } => "Rename",
            Step::Update { .. } => "Update",
            Step::Check { .. } => "Check",
        })
    }
}

/// What became of one verb.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The object as it is now: of a delete its marker, of a check what was found.
    pub object: Option<Object>,
    /// Whether its key held nothing before.
    pub created: bool,
}

/// Why a transaction did nothing.
#[derive(Debug)]
pub struct Failed {
    /// The verb that was refused; none when it was none in particular.
    pub step: Option<usize>,
    /// Why.
    pub error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { step: None, error }
    }
}

/// What one verb adds to the commit.
struct Planned {
    bucket: FoundBucket,
    changes: Changes,
    outcome: StepOutcome,
}

impl Planned {
    fn of(slot: Slot, changes: Changes, outcome: StepOutcome) -> Self {
        Planned {
            bucket: slot.bucket,
            changes,
            outcome,
        }
    }
}

impl Step {
    /// The keys that it looks at, and those that it changes.
    fn places(&self) -> (Option<Place<'_>>, Vec<Place<'_>>) {
        match self {
            Step::Put { put, .. } => (None, vec![(&put.bucket, &put.key)]),
            Step::Complete { complete, .. } => {
                let UploadKey { bucket, key, .. } = &complete.upload;
                (None, vec![(bucket, key)])
            }
            Step::Delete { delete, .. } => (None, vec![(&delete.bucket, &delete.key)]),
            Step::Copy { copy, .. } => {
                let read = (&copy.source.bucket, &copy.source.key);
                (Some(read), vec![(&copy.bucket, &copy.key)])
            }
            Step::Rename { rename, .. } => {
                let to = (&rename.to_bucket, &rename.to_key);
                (None, vec![(&rename.bucket, &rename.key), to])
            }
            Step::Update { update, .. } => (None, vec![(&update.bucket, &update.key)]),
            Step::Check { check, .. } => (Some((&check.bucket, &check.key)), Vec::new()),
        }
    }
}

type Place<'s> = (&'s BucketName, &'s Key);

/// Which verb changes which key.
#[derive(Default)]
struct Changed<'s> {
    buckets: HashMap<&'s BucketName, BucketId>,
    rows: HashMap<Bytes, usize>,
}

impl<'s> Changed<'s> {
    /// Refuses a verb that concerns what an earlier one changes.
    async fn add(&mut self, read: &dyn MetaRead, index: usize, step: &'s Step) -> Result<()> {
        let (reads, writes) = step.places();
        for (change, (bucket, key)) in reads
            .map(|place| (false, place))
            .into_iter()
            .chain(writes.into_iter().map(|place| (true, place)))
        {
            // One bucket may have two names.
            let id = match self.buckets.get(bucket) {
                Some(id) => *id,
                None => store::find_shown(read, bucket).await?.bucket.id,
            };
            self.buckets.insert(bucket, id);
            let row = row_key::object(id, key);
            if let Some(earlier) = self.rows.get(&row) {
                let message = format!("it concerns an object that verb {earlier} changes");
                return Err(Error::invalid(message));
            }
            if change {
                self.rows.insert(row, index);
            }
        }
        Ok(())
    }
}

/// The body of a write, taken in.
type Taken = Option<(Received, Option<Encrypt>)>;

impl Store {
    /// Does all of these verbs in one commit, or none of them. No verb may concern a key that an
    /// earlier one changes.
    ///
    /// # Errors
    /// That of the first verb that is refused, with its place: `PreconditionFailed` and all else that
    /// the verb alone could be refused with. `InvalidInput` for verbs that meet, and for too many;
    /// `TooLarge` when the commit would be; `Conflict` when concurrent changes keep winning.
    pub async fn transact(&self, steps: &[Step]) -> std::result::Result<Vec<StepOutcome>, Failed> {
        if steps.is_empty() || steps.len() > STEPS_MAX {
            let message = format!("a transaction has 1 to {STEPS_MAX} verbs");
            return Err(Error::invalid(message).into());
        }
        let at = |step| {
            move |error| Failed {
                step: Some(step),
                error,
            }
        };
        for step in steps {
            let (reads, writes) = step.places();
            for (bucket, key) in reads.into_iter().chain(writes) {
                self.own(bucket, [key], Urgency::Normal).await?;
            }
        }
        let mut taken = Vec::with_capacity(steps.len());
        // What is refused now is refused before any body is stored.
        self.plan_all(steps, &[]).await?;
        for (index, step) in steps.iter().enumerate() {
            taken.push(self.take_body(step).await.map_err(at(index))?);
        }
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let Some((bucket, changes, outcomes)) = self.plan_all(steps, &taken).await? else {
                continue;
            };
            let urgency = match steps.iter().all(|step| matches!(step, Step::Delete { .. })) {
                true if outcomes.iter().all(|outcome| outcome.object.is_none()) => Urgency::Freeing,
                _ => Urgency::Normal,
            };
            let changes = self.plant_bug(changes).await?;
            if changes.commit(self, &bucket, &mut hold, urgency).await? {
                return Ok(outcomes);
            }
        }
        Err(store::conflict().into())
    }

    /// Known bugs, to test the tests: nothing, in a product build.
    async fn plant_bug(&self, mut changes: Changes) -> Result<Changes> {
        if canary::active(Canary::TransactBlindly) {
            changes.expectations.clear();
        }
        if canary::active(Canary::TransactInHalves) && changes.tokens.is_empty() {
            changes.expectations.clear();
            let half = changes.writes.len() / 2;
            let first = Commit {
                writes: changes.writes.drain(..half).collect(),
                ..Commit::default()
            };
            self.engine.meta.commit(first).await?;
        }
        Ok(changes)
    }

    /// Takes in what a step writes.
    async fn take_body(&self, step: &Step) -> Result<Taken> {
        let Step::Put { put, body, .. } = step else {
            return Ok(None);
        };
        let read = self.snapshot().await?;
        let bucket = store::find_bucket(&*read, &put.bucket).await?.bucket;
        drop(read);
        let encrypt = encrypt_of(put.encrypt.as_ref(), &bucket.properties);
        let mut checks = put.checks.clone();
        checks.algorithms.extend(put.checksum);
        let body = futures::stream::iter([Ok(body.clone())]);
        let received = self.receive(&checks, encrypt.as_ref(), body).await?;
        Ok(Some((received, encrypt)))
    }

    /// Works all verbs out on one snapshot. None when a concurrent change won. Without bodies it only
    /// finds out what is refused.
    async fn plan_all(
        &self,
        steps: &[Step],
        taken: &[Taken],
    ) -> std::result::Result<Option<(FoundBucket, Changes, Vec<StepOutcome>)>, Failed> {
        let read = self.snapshot().await?;
        let mut all = Changes::default();
        let mut bucket: Option<FoundBucket> = None;
        let mut outcomes = Vec::with_capacity(steps.len());
        let (mut changed, mut bytes) = (Changed::default(), 0usize);
        for (index, step) in steps.iter().enumerate() {
            let at = |error| Failed {
                step: Some(index),
                error,
            };
            changed.add(&*read, index, step).await.map_err(at)?;
            let body = taken.get(index).and_then(Option::as_ref);
            let planned = self.plan_step(&*read, step, body).await.map_err(at)?;
            let Some(planned) = planned else {
                return Ok(None);
            };
            // What no commit takes is not kept until the commit.
            let writes = planned.changes.writes.iter();
            bytes = bytes.saturating_add(writes.map(write_bytes).sum());
            if bytes > COMMIT_BYTES_MAX {
                let error = store::too_large("a transaction", COMMIT_BYTES_MAX as u64);
                return Err(at(error));
            }
            let of: &Bucket = &planned.bucket.bucket;
            all.absorb_of(of, planned.changes);
            bucket.get_or_insert(planned.bucket);
            outcomes.push(planned.outcome);
        }
        // Each row is expected to be as this one snapshot shows it.
        dedup(&mut all);
        let none = || Error::invalid("a transaction has verbs");
        Ok(Some((bucket.ok_or_else(none)?, all, outcomes)))
    }

    async fn plan_step(
        &self,
        read: &dyn MetaRead,
        step: &Step,
        body: Option<&(Received, Option<Encrypt>)>,
    ) -> Result<Option<Planned>> {
        match step {
            Step::Put {
                grant,
                put,
                body: b,
            } => {
                if b.len() > STEP_BODY_BYTES_MAX {
                    let what = "a body within a transaction";
                    return Err(store::too_large(what, STEP_BODY_BYTES_MAX as u64));
                }
                self.plan_put(read, grant, put, body).await
            }
            Step::Complete { grant, complete } => {
                let resource = resource(&complete.upload.bucket, &complete.upload.key);
                store::require(grant, Action::WriteObject, &resource)?;
                check_order(&complete.parts)?;
                let found = self.find_upload(read, grant, &complete.upload).await?;
                let planned = self.plan_completion(read, grant, complete, found).await?;
                Ok(planned.map(|(slot, object, changes)| {
                    let outcome = written(self, &slot, object);
                    Planned::of(slot, changes, outcome)
                }))
            }
            Step::Delete { grants, delete } => {
                if delete.history == crate::nouns::History::Erase {
                    let message = "history is not erased within a transaction";
                    return Err(Error::invalid(message));
                }
                let rights = Rights::of(grants, delete)?;
                let attempt = self.try_delete(read, &rights, delete, false).await?;
                Ok(attempt.map(|attempt| {
                    let outcome = StepOutcome {
                        object: attempt.outcome.marker,
                        created: false,
                    };
                    Planned::of(attempt.slot, attempt.changes, outcome)
                }))
            }
            Step::Copy {
                source_grant,
                grant,
                copy,
                properties,
            } => {
                let grants = (source_grant, grant);
                self.plan_copy(read, grants, copy, &**properties).await
            }
            Step::Rename { grants, rename } => {
                let moved = self.plan_rename(read, grants, rename, None).await?;
                let outcome = StepOutcome {
                    object: Some(moved.outcome.object),
                    created: moved.outcome.created,
                };
                Ok(Some(Planned::of(moved.from, moved.changes, outcome)))
            }
            Step::Update {
                grants,
                update,
                change,
            } => {
                let updated = self.plan_update(read, grants, update, &**change).await?;
                let unchanged = || Changes::expecting(updated.bucket.expectations());
                Ok(Some(Planned {
                    changes: updated.changes.unwrap_or_else(unchanged),
                    bucket: updated.bucket,
                    outcome: StepOutcome {
                        object: Some(updated.object),
                        created: false,
                    },
                }))
            }
            Step::Check { grant, check } => self.plan_check(read, grant, check).await.map(Some),
        }
    }

    async fn plan_put(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        put: &PutObject,
        body: Option<&(Received, Option<Encrypt>)>,
    ) -> Result<Option<Planned>> {
        store::require(grant, Action::WriteObject, &resource(&put.bucket, &put.key))?;
        put.checks.check_limits()?;
        check_new(&put.properties)?;
        let mut slot = Slot::find(read, &put.bucket, &put.key).await?;
        slot.confirm(self, read, grant).await?;
        store::check_precondition(&put.precondition, put.tag_of, slot.live(self))?;
        let Some((received, encrypt)) = body else {
            slot.check_room(self, None).await?;
            let outcome = StepOutcome {
                object: None,
                created: false,
            };
            return Ok(Some(Planned::of(slot, Changes::default(), outcome)));
        };
        let owner = grant.principal().owner();
        let object = slot.object(self, put_draft(put, &owner, encrypt.as_ref(), received));
        let installed = slot.install_received(self, &object, received).await?;
        Ok(installed.map(|changes| {
            let outcome = written(self, &slot, object);
            Planned::of(slot, changes, outcome)
        }))
    }

    async fn plan_copy(
        &self,
        read: &dyn MetaRead,
        (source_grant, grant): (&Grant, &Grant),
        copy: &CopyObject,
        properties: &PropertiesOf<'_>,
    ) -> Result<Option<Planned>> {
        let target = resource(&copy.bucket, &copy.key);
        store::require(grant, Action::WriteObject, &target)?;
        let source = self.find_source(read, source_grant, &copy.source).await?;
        source.check_own()?;
        let mut slot = Slot::find(read, &copy.bucket, &copy.key).await?;
        slot.confirm(self, read, grant).await?;
        store::check_precondition(&copy.precondition, copy.tag_of, slot.live(self))?;
        let encrypt = target_encryption(copy, &source, &slot.bucket.bucket.properties);
        if encrypt.as_ref().map(Encrypt::encryption) != source.object.encryption {
            let message = "a copy within a transaction stays encrypted as its source is";
            return Err(Error::invalid(message));
        }
        let small = self.small_bytes(read, &source).await?;
        let wanted: Vec<_> = copy.checksum.into_iter().collect();
        let wanted = wanted_of(&source, small.as_ref(), &wanted);
        let digests = Store::digests(&source, small.as_ref(), &wanted, None);
        let digests = digests.ok_or_else(|| {
            Error::invalid("a copy within a transaction has only digests that are known")
        })?;
        let owner = grant.principal().owner();
        let kept = source.kept(properties(&source.object)?)?;
        let of = (&copy.source, &source.object);
        self.decide_to_carry(read, source_grant, of, &kept).await?;
        let draft = Draft {
            properties: kept,
            ..copy_draft(copy, &source, digests, source.content(), &owner)
        };
        let placed = self
            .place_copy(read, &slot, draft, (&source, small, false))
            .await?;
        Ok(placed.map(|(object, changes)| {
            let outcome = written(self, &slot, object);
            Planned::of(slot, changes, outcome)
        }))
    }

    async fn plan_check(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        check: &CheckObject,
    ) -> Result<Planned> {
        let resource = resource(&check.bucket, &check.key);
        store::require(grant, Action::ReadObjectMetadata, &resource)?;
        let mut slot = Slot::find(read, &check.bucket, &check.key).await?;
        slot.confirm(self, read, grant).await?;
        let live = slot.live(self);
        store::check_precondition(&check.precondition, check.tag_of, live)?;
        let outcome = StepOutcome {
            object: live.map(|live| live.object.clone()),
            created: false,
        };
        let changes = Changes::expecting(slot.expectations());
        Ok(Planned::of(slot, changes, outcome))
    }
}

fn resource(bucket: &BucketName, key: &Key) -> Resource {
    Resource::Object(bucket.clone(), key.clone())
}

fn written(store: &Store, slot: &Slot, object: Object) -> StepOutcome {
    StepOutcome {
        object: Some(object),
        created: slot.live(store).is_none(),
    }
}

/// Takes out what is expected twice.
fn dedup(changes: &mut Changes) {
    let mut seen = std::collections::HashSet::new();
    changes.expectations.retain(|expectation| {
        let key = match expectation {
            trestle_engine::Expectation::Revision(key, _)
            | trestle_engine::Expectation::Absent(key) => (key.clone(), Bytes::new()),
            trestle_engine::Expectation::EmptyRange(from, to) => (from.clone(), to.clone()),
        };
        seen.insert(key)
    });
}
