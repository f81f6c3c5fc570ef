//! Volumes: contents of a fixed size that are written block by block, in place.
//!
//! A volume is a layer whose rows are blocks and holes. A write replaces the blocks that it touches
//! and the object's record, in one commit; it makes no version, whatever its bucket keeps. What
//! shares the layer (a snapshot, a clone, a reader in the middle of it) keeps what it has: the write
//! then goes to a new layer, which refers to the former one for all that stays.
//!
//! Nothing but these verbs makes a volume or puts anything in its place ([`Slot::install`]).

use crate::layer::{
    Hold, NewLayer, Piece, References, Run, Walk, extent_at, header, pieces, replace,
};
use crate::nouns::{
    Bucket, ChangeVolume, Content, CreateVolume, Object, Offset, PatchObject, PutOutcome,
    VolumeChange,
};
use crate::object_update::check_properties;
use crate::placement::{Draft, Slot};
use crate::properties::Written;
use crate::receive::{OBJECT_BYTES_MAX, incomplete};
use crate::record::Source;
use crate::row_key;
use crate::snapshot::is_shown;
use crate::store::{self, ATTEMPTS_MAX, FoundObject, Store};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    Digests, Error, ErrorKind, Hasher, LayerId, Noun, Precondition, ResolvedRange, Result,
};
use trestle_engine::canary::Canary;
use trestle_engine::{Body, Expectation, MetaRead, Urgency, Write};

/// Size of a volume's blocks, in bytes.
pub const VOLUME_BLOCK_BYTES: u64 = 4096;
/// Most bytes that one write of a volume changes.
pub const VOLUME_WRITE_BYTES_MAX: u64 = 8 << 20;
/// Rows that one commit makes zeros of.
const ROWS_MAX: usize = 8_000;
/// How often a write lets readers go on before it no longer waits for them.
const YIELDS_MAX: usize = 200;

/// A change of the bytes of a volume.
enum Edit {
    /// These bytes from an offset on.
    Bytes(u64, Bytes),
    /// Zeros, and no blocks where whole ones become zeros.
    Zeros(ResolvedRange),
    /// Another size.
    Size(u64),
}

/// What a change makes of a volume.
struct Edited {
    size: u64,
    layer: LayerId,
    writes: Vec<Write>,
    expectations: Vec<Expectation>,
    references: References,
}

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
            Edit::Zeros(range).changes(volume_of(&slot, self)?)?;
        }
        // What has very many rows becomes zeros piece by piece, before it is cut off.
        while let Some(end) = self.first_rows(grant, &patch, range).await? {
            let piece = ResolvedRange {
                start: range.start,
                end,
            };
            self.edit_volume(grant, &patch, &Edit::Zeros(piece)).await?;
            patch.precondition = Precondition::none();
            range.start = end;
        }
        let edit = size.map_or(Edit::Zeros(range), Edit::Size);
        self.edit_volume(grant, &patch, &edit).await
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
        let edit = Edit::Bytes(at, bytes.freeze());
        self.edit_volume(grant, patch, &edit).await
    }

    async fn edit_volume(
        &self,
        grant: &Grant,
        patch: &PatchObject,
        edit: &Edit,
    ) -> Result<PutOutcome> {
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let slot = self.look_up_patched(&*read, grant, patch).await?;
            let current = volume_of(&slot, self)?;
            if !edit.changes(current)? {
                return Ok(PutOutcome {
                    object: current.object.clone(),
                    created: false,
                });
            }
            let edited = self.edit(&*read, (&slot.bucket.bucket, current), edit, &mut hold);
            let edited = edited.await?;
            let Some(edited) = edited else {
                continue;
            };
            drop(read);
            let mut object = current.object.clone();
            object.change = object.change.saturating_add(1);
            object.modified = self.host.clock.now().after(object.modified);
            object.content = Content::Volume {
                length: edited.size,
                layer: edited.layer,
            };
            let mut changes = slot.rewrite(self, current, &object)?;
            changes.expectations.extend(edited.expectations);
            changes.writes.extend(edited.writes);
            changes.references = edited.references;
            let urgency = match edit {
                Edit::Zeros(_) => Urgency::Freeing,
                Edit::Bytes(..) | Edit::Size(_) => Urgency::Normal,
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

    /// Works out what a change does to the layer; none when to look again.
    async fn edit(
        &self,
        read: &dyn MetaRead,
        (bucket, current): (&Bucket, &FoundObject),
        edit: &Edit,
        hold: &mut Hold,
    ) -> Result<Option<Edited>> {
        let missing = || Error::corrupt("a volume without a layer");
        let of = current.object.layer().ok_or_else(missing)?;
        let size = current.object.length();
        let (header, row) = header(read, of).await?;
        let mut edited = Edited {
            size: match edit {
                Edit::Size(size) => *size,
                Edit::Bytes(..) | Edit::Zeros(_) => size,
            },
            layer: of,
            writes: Vec::new(),
            expectations: Vec::new(),
            references: References::default(),
        };
        let (range, runs) = self.runs(read, current, edit).await?;
        if header.references == 1 && !is_shown(read, bucket, current).await? {
            if !self.announce(hold, [of.0].into()).await {
                return Ok(None);
            }
            for _ in 0..YIELDS_MAX {
                if !hold.is_pinned(of, Canary::ChangeUnderReaders) {
                    break;
                }
                yield_now().await;
            }
            if !hold.is_pinned(of, Canary::ChangeUnderReaders) {
                let resized = crate::record::LayerRecord {
                    length: edited.size,
                    ..header.clone()
                };
                let references = &mut edited.references;
                let writes = replace(read, (of, &header), range, runs.clone(), references).await?;
                if let Some(mut writes) = writes {
                    if edited.size != size {
                        writes.push(crate::layer::put_header(of, &resized)?);
                    }
                    let unchanged = Expectation::Revision(row_key::layer(of), row.revision);
                    edited.expectations.push(unchanged);
                    edited.references.change_in_place(of);
                    edited.writes = writes;
                    return Ok(Some(edited));
                }
            }
        }
        let mut layer = NewLayer::new(LayerId(self.host.id()));
        let before = ResolvedRange {
            start: 0,
            end: range.start.min(size),
        };
        for piece in pieces(read, of, before).await? {
            layer.piece(piece, &mut edited.references)?;
        }
        for run in runs {
            match run.body {
                Some(Body::Attached(bytes)) => layer.attached(bytes)?,
                _ => layer.piece(Piece::hole(run.length), &mut edited.references)?,
            }
        }
        let after = ResolvedRange {
            start: range.end.min(size).min(edited.size),
            end: size.min(edited.size),
        };
        for piece in pieces(read, of, after).await? {
            layer.piece(piece, &mut edited.references)?;
        }
        edited.references.lose(of);
        edited.layer = layer.id;
        edited.writes = layer.finish()?;
        Ok(Some(edited))
    }

    /// What comes in place of a range of the volume, widened to whole blocks.
    async fn runs(
        &self,
        read: &dyn MetaRead,
        current: &FoundObject,
        edit: &Edit,
    ) -> Result<(ResolvedRange, Vec<Run>)> {
        let size = current.object.length();
        let block_end = |at: u64| at.next_multiple_of(VOLUME_BLOCK_BYTES).min(size);
        match edit {
            Edit::Bytes(at, bytes) => {
                let end = at + bytes.len() as u64;
                let wide = ResolvedRange {
                    start: at - at % VOLUME_BLOCK_BYTES,
                    end: block_end(end),
                };
                let mut whole = BytesMut::new();
                let left = self.bytes_of(read, Some(current), (wide.start, *at));
                whole.extend_from_slice(&left.await?);
                whole.extend_from_slice(bytes);
                let right = self.bytes_of(read, Some(current), (end, wide.end));
                whole.extend_from_slice(&right.await?);
                let mut runs = Vec::new();
                push_blocks(&mut runs, wide.start, whole.freeze());
                Ok((wide, runs))
            }
            Edit::Zeros(range) => {
                let inner = ResolvedRange {
                    start: block_end(range.start),
                    end: match range.end == size {
                        true => size,
                        false => range.end - range.end % VOLUME_BLOCK_BYTES,
                    },
                };
                self.zero_runs(read, current, *range, inner).await
            }
            Edit::Size(new) if *new >= size => {
                let hole = Run::hole(size, new - size);
                Ok((
                    ResolvedRange {
                        start: size,
                        end: *new,
                    },
                    vec![hole],
                ))
            }
            Edit::Size(new) => {
                let start = new - new % VOLUME_BLOCK_BYTES;
                let last = self.bytes_of(read, Some(current), (start, *new)).await?;
                let mut runs = Vec::new();
                push_blocks(&mut runs, start, last);
                Ok((ResolvedRange { start, end: size }, runs))
            }
        }
    }

    /// Zeros in `range`, whose whole blocks are `inner`: those become a hole, joined with the holes
    /// beside it.
    async fn zero_runs(
        &self,
        read: &dyn MetaRead,
        current: &FoundObject,
        range: ResolvedRange,
        mut inner: ResolvedRange,
    ) -> Result<(ResolvedRange, Vec<Run>)> {
        let size = current.object.length();
        let missing = || Error::corrupt("a volume without a layer");
        let layer = current.object.layer().ok_or_else(missing)?;
        if inner.start >= inner.end {
            // Within a block or two.
            let length = usize::try_from(range.len()).unwrap_or(usize::MAX);
            let zeros = Bytes::from(vec![0; length]);
            let edit = Edit::Bytes(range.start, zeros);
            return Box::pin(self.runs(read, current, &edit)).await;
        }
        let mut wide = inner;
        let mut runs = Vec::new();
        if range.start < inner.start {
            wide.start = inner.start - VOLUME_BLOCK_BYTES;
            let kept = self.bytes_of(read, Some(current), (wide.start, range.start));
            let mut block = BytesMut::from(&kept.await?[..]);
            let length = usize::try_from(VOLUME_BLOCK_BYTES).unwrap_or(usize::MAX);
            block.resize(length, 0);
            push_blocks(&mut runs, wide.start, block.freeze());
        } else if inner.start > 0 {
            let (offset, extent, _) = extent_at(read, layer, inner.start - 1).await?;
            if extent.source == Source::Hole {
                inner.start = offset;
                wide.start = offset;
            }
        }
        let mut tail = Vec::new();
        if inner.end < range.end {
            wide.end = (inner.end + VOLUME_BLOCK_BYTES).min(size);
            let kept = self.bytes_of(read, Some(current), (range.end, wide.end));
            let zeros = usize::try_from(range.end - inner.end).unwrap_or(usize::MAX);
            let mut block = BytesMut::zeroed(zeros);
            block.extend_from_slice(&kept.await?);
            push_blocks(&mut tail, inner.end, block.freeze());
        } else if inner.end < size {
            let (offset, extent, _) = extent_at(read, layer, inner.end).await?;
            if extent.source == Source::Hole {
                inner.end = offset + extent.length;
                wide.end = inner.end;
            }
        }
        runs.push(Run::hole(inner.start, inner.len()));
        runs.extend(tail);
        Ok((wide, runs))
    }
}

impl Edit {
    /// Whether it changes anything.
    ///
    /// # Errors
    /// `RangeNotSatisfiable` for what reaches beyond the volume's end.
    fn changes(&self, current: &FoundObject) -> Result<bool> {
        let size = current.object.length();
        let (end, empty) = match self {
            Edit::Bytes(at, bytes) => (at.saturating_add(bytes.len() as u64), bytes.is_empty()),
            Edit::Zeros(range) => (range.end, range.is_empty()),
            Edit::Size(new) => return Ok(*new != size),
        };
        if end > size {
            let kind = ErrorKind::RangeNotSatisfiable { length: size };
            return Err(Error::new(kind, format!("the volume ends at {size}")));
        }
        Ok(!empty)
    }
}

/// The bytes from `offset` on as blocks.
fn push_blocks(runs: &mut Vec<Run>, mut offset: u64, mut bytes: Bytes) {
    while !bytes.is_empty() {
        let block = bytes.split_to(
            usize::try_from(VOLUME_BLOCK_BYTES)
                .unwrap_or(usize::MAX)
                .min(bytes.len()),
        );
        let length = block.len() as u64;
        runs.push(Run {
            offset,
            length,
            body: Some(Body::Attached(block)),
        });
        offset += length;
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
