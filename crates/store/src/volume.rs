//! Volumes: contents of a fixed size that are written block by block, in place.
//!
//! A volume is a layer whose rows are blocks and holes. A write replaces the blocks that it touches
//! and the object's record, in one commit; it makes no version, whatever its bucket keeps. What
//! shares the layer (a snapshot, a clone, a reader in the middle of it) keeps what it has: the write
//! then goes to a new layer, which refers to the former one for all that stays. Writes that arrive
//! together share a commit.
//!
//! Nothing but these verbs makes a volume or puts anything in its place ([`Slot::install`]).

mod edit;
mod together;

pub(crate) use together::Turns;

use crate::feed::{self, EventKind};
use crate::layer::{Hold, NewLayer, Piece, References, Walk};
use crate::nouns::{
    ChangeVolume, Content, CreateVolume, Object, Offset, PatchObject, PutOutcome, VolumeChange,
};
use crate::object_update::check_properties;
use crate::placement::{Draft, Slot};
use crate::properties::Written;
use crate::receive::{OBJECT_BYTES_MAX, incomplete};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundObject, Store};
use bytes::{Bytes, BytesMut};
use edit::Edit;
use futures::{Stream, StreamExt};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    Digests, Error, ErrorKind, Hasher, LayerId, Noun, Precondition, ResolvedRange, Result,
};
use trestle_engine::{MetaRead, ScanItem, Urgency, Write};

/// Size of a volume's blocks, in bytes.
pub const VOLUME_BLOCK_BYTES: u64 = 4096;
/// Most bytes that one write of a volume changes.
pub const VOLUME_WRITE_BYTES_MAX: u64 = 8 << 20;
/// Rows that one commit makes zeros of.
const ROWS_MAX: usize = 8_000;
/// How often a write lets readers go on before it no longer waits for them.
const YIELDS_MAX: usize = 200;

impl Store {
    /// Makes a volume, all zeros, which takes no space yet. One of that size stays as it is.
    ///
    /// # Errors
    /// Those of [`Store::put`] that are not of a body; `InvalidState` when there is a volume of
    /// another size, or the bucket encrypts what is put into it.
    pub async fn create_volume(&self, grant: &Grant, create: &CreateVolume) -> Result<PutOutcome> {
        let resource = Resource::Object(create.bucket.clone(), create.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        check_properties(&create.properties)?;
        check_size(create.size)?;
        self.own(&create.bucket, [&create.key], Urgency::Normal)
            .await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let mut slot = Slot::find(&*read, &create.bucket, &create.key).await?;
            slot.confirm(self, &*read, grant).await?;
            drop(read);
            store::check_precondition(&create.precondition, create.tag_of, slot.live(self))?;
            if slot.bucket.bucket.properties.encryption.is_some() {
                return Err(invalid_state(
                    "volumes are not encrypted, and this bucket encrypts",
                ));
            }
            if let Some(current) = slot.live(self)
                && let Content::Volume { length, .. } = current.object.content
            {
                if length != create.size {
                    return Err(invalid_state(
                        "there is a volume of another size: resize it",
                    ));
                }
                return Ok(PutOutcome {
                    object: current.object.clone(),
                    created: false,
                });
            }
            let mut references = References::default();
            let mut layer = NewLayer::new(LayerId(self.host.id()));
            layer.piece(Piece::hole(create.size), &mut references)?;
            let draft = Draft {
                owner: grant.principal().owner(),
                content: Content::Volume {
                    length: create.size,
                    layer: layer.id,
                },
                digests: Digests::default(),
                encryption: None,
                written: Written::Patched,
                checksum: None,
                properties: create.properties.clone(),
            };
            let object = slot.object(self, draft);
            let Some(mut changes) = slot.install(self, &object, None).await? else {
                continue;
            };
            changes.writes.extend(layer.finish()?);
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

    /// Changes a volume other than by writing bytes.
    ///
    /// # Errors
    /// `NotFound`; `InvalidState` for what is no volume; `PreconditionFailed`; `RangeNotSatisfiable`
    /// beyond its end; `Locked`; `QuotaExceeded`; `NoSpace`; `Conflict` when concurrent writes keep
    /// winning; `Forbidden`.
    pub async fn change_volume(&self, grant: &Grant, change: &ChangeVolume) -> Result<PutOutcome> {
        let mut patch = PatchObject {
            bucket: change.bucket.clone(),
            key: change.key.clone(),
            precondition: change.precondition.clone(),
            tag_of: change.tag_of,
            at: Offset::At(0),
            checks: crate::receive::BodyChecks::default(),
            create: None,
        };
        let resource = Resource::Object(patch.bucket.clone(), patch.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        self.own(&patch.bucket, [&patch.key], Urgency::Normal)
            .await?;
        let (mut range, size) = match change.change {
            VolumeChange::Zeros { offset, length } => {
                let end = offset.saturating_add(length);
                (ResolvedRange { start: offset, end }, None)
            }
            VolumeChange::Resize { size } => {
                check_size(size)?;
                let range = ResolvedRange {
                    start: size,
                    end: u64::MAX,
                };
                (range, Some(size))
            }
        };
        if size.is_none() {
            // Refused before any piece of it is done.
            let read = self.snapshot().await?;
            let slot = self.look_up_patched(&*read, grant, &patch).await?;
            let size = volume_of(&slot, self)?.object.length();
            Edit::Zeros(range).changes(size)?;
        }
        // What has very many rows becomes zeros piece by piece, before it is cut off.
        while let Some(end) = self.first_rows(grant, &patch, range).await? {
            let piece = ResolvedRange {
                start: range.start,
                end,
            };
            self.edit_volume(grant, &patch, Edit::Zeros(piece)).await?;
            patch.precondition = Precondition::none();
            range.start = end;
        }
        let edit = size.map_or(Edit::Zeros(range), Edit::Size);
        self.edit_volume(grant, &patch, edit).await
    }

    /// Where the first rows of a range end, when it has more than one commit changes; none otherwise.
    async fn first_rows(
        &self,
        grant: &Grant,
        patch: &PatchObject,
        range: ResolvedRange,
    ) -> Result<Option<u64>> {
        let read = self.snapshot().await?;
        let slot = self.look_up_patched(&*read, grant, patch).await?;
        let current = volume_of(&slot, self)?;
        let end = range.end.min(current.object.length());
        let Some(layer) = current.object.layer().filter(|_| range.start < end) else {
            return Ok(None);
        };
        let start = range.start;
        let mut walk = Walk::new(layer, ResolvedRange { start, end });
        let mut rows = 0;
        while let Some((offset, extent)) = walk.next(&*read).await? {
            rows += 1;
            let reached = offset.saturating_add(extent.length);
            let reached = reached - reached % VOLUME_BLOCK_BYTES;
            if rows >= ROWS_MAX && reached > start && reached < end {
                return Ok(Some(reached));
            }
        }
        Ok(None)
    }

    /// Says that everything that was answered is durable: it was before each answer. What a flush is
    /// for is to learn that the store still takes writes.
    ///
    /// # Errors
    /// Those of [`Store::head`]; `InvalidState` for what is no volume; `Unavailable` when writes are
    /// refused.
    pub async fn flush_volume(&self, grant: &Grant, patch: &PatchObject) -> Result<Object> {
        let resource = Resource::Object(patch.bucket.clone(), patch.key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        let read = self.snapshot().await?;
        let slot = self.look_up_patched(&*read, grant, patch).await?;
        let current = volume_of(&slot, self)?;
        self.writable()?;
        Ok(current.object.clone())
    }

    /// Writes a body into a volume.
    pub(crate) async fn write_volume<B>(
        &self,
        grant: &Grant,
        patch: &PatchObject,
        mut body: B,
    ) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let Offset::At(at) = patch.at else {
            return Err(invalid_state(
                "a volume does not grow by what is added to it",
            ));
        };
        let mut algorithms = patch.checks.algorithms.clone();
        let expected = patch.checks.expected_digests.iter();
        algorithms.extend(expected.map(|digest| digest.algorithm));
        let mut hasher = Hasher::new(&algorithms);
        let mut bytes = BytesMut::new();
        let too_large = || store::too_large("a write of a volume", VOLUME_WRITE_BYTES_MAX);
        if patch.checks.declared_length.unwrap_or(0) > VOLUME_WRITE_BYTES_MAX {
            return Err(too_large());
        }
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            hasher.update(&chunk);
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > VOLUME_WRITE_BYTES_MAX {
                return Err(too_large());
            }
        }
        let declared = patch.checks.declared_length;
        if declared.is_some_and(|declared| declared != bytes.len() as u64) {
            return Err(incomplete("the body is not as long as it was declared"));
        }
        patch.checks.check_digests(&hasher.finish())?;
        self.write_in_turn(grant, patch, at, bytes.freeze()).await
    }

    async fn edit_volume(
        &self,
        grant: &Grant,
        patch: &PatchObject,
        edit: Edit,
    ) -> Result<PutOutcome> {
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let slot = self.look_up_patched(&*read, grant, patch).await?;
            let current = volume_of(&slot, self)?;
            if !edit.changes(current.object.length())? {
                return Ok(PutOutcome {
                    object: current.object.clone(),
                    created: false,
                });
            }
            let (replacement, length) = self.replacement(&*read, current, edit).await?;
            let replaced = (vec![replacement], length);
            let of = (&slot.bucket.bucket, current);
            let Some(edited) = self.lay(&*read, of, replaced, &mut hold).await? else {
                continue;
            };
            let told = self.told_before(&*read, current).await?;
            drop(read);
            let mut object = current.object.clone();
            object.change = object.change.saturating_add(1);
            object.modifications = object.modifications.saturating_add(1);
            object.modified = self.host.clock.now().after(object.modified);
            let layer = edited.layer;
            object.content = Content::Volume { length, layer };
            let mut changes = slot.rewrite(self, current, &object)?;
            changes.writes.extend(told);
            changes.expectations.extend(edited.expectations);
            changes.writes.extend(edited.writes);
            changes.references = edited.references;
            let urgency = match edit {
                Edit::Zeros(_) => Urgency::Freeing,
                Edit::Size(size) if size < current.object.length() => Urgency::Freeing,
                Edit::Size(_) => Urgency::Normal,
            };
            if changes
                .commit(self, &slot.bucket, &mut hold, urgency)
                .await?
            {
                return Ok(PutOutcome {
                    object,
                    created: false,
                });
            }
        }
        Err(store::conflict())
    }

    /// Takes what the feed tells of a volume's last write out of it, when that tells of nothing else:
    /// the next write tells as much, and a volume may have very many of them.
    async fn told_before(
        &self,
        read: &dyn MetaRead,
        current: &FoundObject,
    ) -> Result<Option<Write>> {
        let key = row_key::feed_entry(current.revision);
        let Some(row) = read.get(&key).await? else {
            return Ok(None);
        };
        let entry = feed::entry(ScanItem::Row(key.clone(), row))?;
        let same = entry.events.iter().all(|event| {
            let of_volume = event.object == Some(current.object.id);
            of_volume && event.kind == EventKind::Written
        });
        Ok(same.then_some(Write::Delete { key }))
    }
}

/// The volume that a slot holds.
fn volume_of<'s>(slot: &'s Slot, store: &Store) -> Result<&'s FoundObject> {
    let missing = || Error::not_found(Noun::Object, &slot.key);
    let current = slot.live(store).ok_or_else(missing)?;
    match current.object.content {
        Content::Volume { .. } => Ok(current),
        _ => Err(invalid_state("this is no volume")),
    }
}

fn check_size(size: u64) -> Result<()> {
    if size == 0 || size > OBJECT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a volume has 1 to {OBJECT_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

fn invalid_state(message: &str) -> Error {
    Error::new(ErrorKind::InvalidState, message)
}

/// Lets others go on.
async fn yield_now() {
    let mut yielded = false;
    futures::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
