//! Changing a range of an object's bytes, and adding bytes at its end: the rest is neither read nor
//! moved, whatever its size.
//!
//! A layer that this object alone refers to and nobody reads is changed in place. Otherwise the object
//! gets a new layer, which refers to the former one for all that stays.

use crate::encryption::{Encrypt, Encryption};
use crate::layer::{
    Hold, NewLayer, Patch, Piece, REWRITTEN_ROW_BYTES_MAX, References, change_in_place, extent_at,
    header, pieces,
};
use crate::nouns::{Content, Object, Offset, PatchObject, PutOutcome};
use crate::object_update::check_new;
use crate::placement::{Draft, Slot};
use crate::properties::Written;
use crate::put::encrypt_of;
use crate::read::open_content;
use crate::receive::{OBJECT_BYTES_MAX, Received, object_too_large};
use crate::record::Source;
use crate::snapshot::is_shown;
use crate::store::{self, ATTEMPTS_MAX, FoundObject, Store};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    DigestAlgorithm, Digests, Error, ErrorKind, Hasher, LayerId, Noun, ResolvedRange, Result,
};
use trestle_engine::canary::Canary;
use trestle_engine::{Body, Expectation, MetaRead, Urgency, Write};

/// A small change is widened to whole blocks of so many bytes, so that many of them do not make many
/// tiny rows.
const BLOCK_BYTES: u64 = 16 << 10;

/// The content after a change.
struct Changed {
    length: u64,
    attached: Option<Bytes>,
    layer: Option<LayerId>,
    digests: Digests,
    written: Written,
    writes: Vec<Write>,
    expectations: Vec<Expectation>,
    references: References,
}

impl Store {
    /// Writes a body into an object: over what is there, or past its end. An empty body changes
    /// nothing.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`; `InvalidOffset`; `IncompleteBody` and `DigestMismatch` for a
    /// body that is not what was declared; `TooLarge`; `InvalidInput` for what has no bytes; `NoSpace`;
    /// `Locked`; `WrongKey` for a content under a key that the client keeps; `Conflict` when concurrent writes of the key keep winning; `Forbidden`; the body's own
    /// errors.
    pub async fn patch<B>(&self, grant: &Grant, patch: PatchObject, body: B) -> Result<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let resource = Resource::Object(patch.bucket.clone(), patch.key.clone());
        if grant.action() != Action::AppendObject {
            store::require(grant, Action::WriteObject, &resource)?;
        } else if grant.resource() != &resource || patch.create.is_some() {
            let message = "the right to append is for another object, or for none yet";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        patch.checks.check_limits()?;
        if let Some(properties) = &patch.create {
            check_new(properties)?;
        }
        let mut read = self.snapshot().await?;
        let mut slot = self.look_up_patched(&*read, grant, &patch).await?;
        if slot.inherits() {
            self.own(&patch.bucket, [&patch.key], Urgency::Normal)
                .await?;
            read = self.snapshot().await?;
            slot = self.look_up_patched(&*read, grant, &patch).await?;
        }
        if slot.live(self).is_some_and(|live| live.object.is_volume()) {
            drop((read, slot));
            return self.write_volume(grant, &patch, body).await;
        }
        offset_of(&patch, slot.live(self))?;
        let encrypt = match slot.live(self) {
            Some(current) => Encrypt::again(current.object.encryption.as_ref(), None)?,
            None => encrypt_of(None, &slot.bucket.bucket.properties),
        };
        drop((read, slot));
        let received = self.receive(&patch.checks, encrypt.as_ref(), body);
        let received = received.await?;
        let encryption = encrypt.as_ref().map(Encrypt::encryption);
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let attempt = self.try_patch(grant, &patch, &encryption, &received, &mut hold);
            if let Some(outcome) = attempt.await? {
                return Ok(outcome);
            }
        }
        Err(store::conflict())
    }

    pub(crate) async fn look_up_patched(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        patch: &PatchObject,
    ) -> Result<Slot> {
        let mut slot = Slot::find(read, &patch.bucket, &patch.key).await?;
        slot.confirm(self, read, grant).await?;
        let live = slot.live(self);
        store::check_precondition(&patch.precondition, patch.tag_of, live)?;
        if grant.action() == Action::AppendObject {
            check_appended(patch, live)?;
        }
        if live.is_none() && patch.create.is_none() {
            return Err(crate::read::missing(read, &slot.bucket.bucket, &patch.key).await?);
        }
        Ok(slot)
    }

    /// One attempt to commit; none when a concurrent change won.
    async fn try_patch(
        &self,
        grant: &Grant,
        patch: &PatchObject,
        encryption: &Option<Encryption>,
        received: &Received,
        hold: &mut Hold,
    ) -> Result<Option<PutOutcome>> {
        let read = self.snapshot().await?;
        let slot = self.look_up_patched(&*read, grant, patch).await?;
        let current = slot.live(self);
        if current.is_some_and(|current| current.object.is_volume()) {
            let message = "the key came to hold a volume meanwhile";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let at = match received.length {
            0 => 0,
            _ => offset_of(patch, current)?,
        };
        if let (Some(current), 0) = (current, received.length) {
            return Ok(Some(PutOutcome {
                object: current.object.clone(),
                created: false,
            }));
        }
        if current.is_some_and(|current| current.object.encryption != *encryption) {
            let message = "the object came to be encrypted in another way meanwhile";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let end = at.saturating_add(received.length);
        if end > OBJECT_BYTES_MAX {
            return Err(object_too_large());
        }
        let place = ResolvedRange { start: at, end };
        let changed = self.change(&*read, &slot, place, received, hold).await?;
        let Some(changed) = changed else {
            return Ok(None);
        };
        drop(read);
        let (owner, properties) = match (current, &patch.create) {
            (Some(current), _) => (
                Some(current.object.owner.clone()),
                current.object.properties(),
            ),
            (None, Some(create)) => (grant.principal().owner(), create.clone()),
            (None, None) => return Err(Error::not_found(Noun::Object, &patch.key)),
        };
        let draft = Draft {
            owner,
            content: Content::Data {
                length: changed.length,
                layer: changed.layer,
            },
            digests: changed.digests,
            encryption: encryption.clone(),
            written: changed.written,
            checksum: None,
            properties,
        };
        let object = slot.object(self, draft);
        let body = changed.attached.map(Body::Attached);
        let Some(mut changes) = slot.install(self, &object, body).await? else {
            return Ok(None);
        };
        changes.expectations.extend(changed.expectations);
        changes.writes.extend(changed.writes);
        changes.references = changed.references;
        changes.tokens.extend(received.token());
        let normal = Urgency::Normal;
        let applied = changes.commit(self, &slot.bucket, hold, normal).await?;
        Ok(applied.then(|| PutOutcome {
            object,
            created: current.is_none(),
        }))
    }

    /// The content of `slot`'s object with the body at `place`; none when to look again.
    async fn change(
        &self,
        read: &dyn MetaRead,
        slot: &Slot,
        place: ResolvedRange,
        received: &Received,
        hold: &mut Hold,
    ) -> Result<Option<Changed>> {
        let current = slot.live(self);
        let former = current.map_or(0, |current| current.object.stored_length());
        let layer = current.and_then(|current| current.object.layer());
        let length = former.max(place.end);
        if received.is_sealed() && received.length > 0 {
            return self
                .lay_sealed(read, current, place, received)
                .await
                .map(Some);
        }
        if layer.is_none() && length <= self.engine.data.body_bytes_max() as u64 {
            let old = self.bytes_of(read, current, (0, former)).await?;
            let new = received.attached().unwrap_or_default();
            return Ok(Some(small(&old, &new, place)));
        }
        let mut changed = Changed {
            length,
            attached: None,
            layer: None,
            digests: appended_digests(current, place, received),
            written: Written::Patched,
            writes: Vec::new(),
            expectations: Vec::new(),
            references: References::default(),
        };
        let Some(of) = layer else {
            let old = self.bytes_of(read, current, (0, former)).await?;
            self.replace_attached(&mut changed, &old, place, received)?;
            return Ok(Some(changed));
        };
        let (header, row) = header(read, of).await?;
        let replaces = current.is_some_and(|current| slot.replaces(&current.object));
        let shown = match current {
            Some(current) => is_shown(read, &slot.bucket.bucket, current).await?,
            None => false,
        };
        if replaces && header.references == 1 && !shown {
            if !self.announce(hold, [of.0].into()).await {
                return Ok(None);
            }
            if !hold.is_pinned(of, Canary::ChangeUnderReaders) {
                let patch = self.widened(read, current, (of, place), received).await?;
                let mut references = References::default();
                let writes = change_in_place(read, of, header, &patch, &mut references).await?;
                if let Some(writes) = writes {
                    // The record's reference goes with the former version, and comes again.
                    references.gain(of);
                    references.change_in_place(of);
                    let key = crate::row_key::layer(of);
                    let unchanged = Expectation::Revision(key, row.revision);
                    changed.expectations.push(unchanged);
                    changed.layer = Some(of);
                    changed.writes = writes;
                    changed.references = references;
                    return Ok(Some(changed));
                }
            }
        }
        self.lay_over(read, &mut changed, current, (of, place), received)
            .await?;
        Ok(Some(changed))
    }

    /// A new layer that refers to encrypted bytes, and to the former layer for all that stays.
    async fn lay_sealed(
        &self,
        read: &dyn MetaRead,
        current: Option<&FoundObject>,
        place: ResolvedRange,
        received: &Received,
    ) -> Result<Changed> {
        let former = current.map_or(0, |current| current.object.stored_length());
        let of = current.and_then(|current| current.object.layer());
        let mut references = References::default();
        let mut layer = NewLayer::new(LayerId(self.host.id()));
        let stays = |start: u64, end: u64| ResolvedRange { start, end };
        if let Some(of) = of {
            for piece in pieces(read, of, stays(0, place.start.min(former))).await? {
                layer.piece(piece, &mut references)?;
            }
        }
        let gap = place.start.saturating_sub(former);
        layer.piece(Piece::hole(gap), &mut references)?;
        let sealed = received.layer_id();
        let whole = stays(0, received.length);
        layer.piece(Piece::reference(sealed, whole, 0), &mut references)?;
        // Its header is written with the one reference that it has.
        references.lose(sealed);
        if let Some(of) = of {
            for piece in pieces(read, of, stays(place.end.min(former), former)).await? {
                layer.piece(piece, &mut references)?;
            }
        }
        let mut writes = received.part_rows()?;
        let id = layer.id;
        writes.extend(layer.finish()?);
        Ok(Changed {
            length: former.max(place.end),
            attached: None,
            layer: Some(id),
            digests: appended_digests(current, place, received),
            written: Written::Patched,
            writes,
            expectations: Vec::new(),
            references,
        })
    }

    /// A new layer that refers to `of` for all that stays.
    async fn lay_over(
        &self,
        read: &dyn MetaRead,
        changed: &mut Changed,
        current: Option<&FoundObject>,
        (of, place): (LayerId, ResolvedRange),
        received: &Received,
    ) -> Result<()> {
        let former = current.map_or(0, |current| current.object.stored_length());
        let patch = self.aligned(read, current, place, received).await?;
        let mut layer = self.layer_for(received);
        let before = ResolvedRange {
            start: 0,
            end: patch.start.min(former),
        };
        for piece in pieces(read, of, before).await? {
            layer.piece(piece, &mut changed.references)?;
        }
        let gap = patch.start.saturating_sub(former);
        layer.piece(Piece::hole(gap), &mut changed.references)?;
        layer.runs(&patch)?;
        let after = ResolvedRange {
            start: patch.end().min(former),
            end: former,
        };
        for piece in pieces(read, of, after).await? {
            layer.piece(piece, &mut changed.references)?;
        }
        changed.layer = Some(layer.id);
        changed.writes = layer.finish()?;
        Ok(())
    }

    /// A new layer instead of bytes that were attached to the object's row.
    fn replace_attached(
        &self,
        changed: &mut Changed,
        old: &Bytes,
        place: ResolvedRange,
        received: &Received,
    ) -> Result<()> {
        let cut = |from: u64| usize::try_from(from).unwrap_or(usize::MAX).min(old.len());
        let mut layer = self.layer_for(received);
        layer.attached(old.slice(..cut(place.start)))?;
        let gap = place.start.saturating_sub(old.len() as u64);
        layer.piece(Piece::hole(gap), &mut changed.references)?;
        let patch = unwidened(place, received);
        layer.runs(&patch)?;
        layer.attached(old.slice(cut(place.end)..))?;
        changed.layer = Some(layer.id);
        changed.writes = layer.finish()?;
        Ok(())
    }

    fn layer_for(&self, received: &Received) -> NewLayer {
        NewLayer::new(received.layer_id())
    }

    /// The patch with a small body widened to whole blocks.
    async fn aligned<'r>(
        &self,
        read: &dyn MetaRead,
        current: Option<&FoundObject>,
        place: ResolvedRange,
        received: &'r Received,
    ) -> Result<Patch<'r>> {
        let former = current.map_or(0, |current| current.object.stored_length());
        if received.extents().is_some() {
            return Ok(unwidened(place, received));
        }
        let wide = ResolvedRange {
            start: place.start - place.start % BLOCK_BYTES,
            end: place
                .end
                .next_multiple_of(BLOCK_BYTES)
                .min(former)
                .max(place.end),
        };
        self.wide(read, current, (wide, place), received).await
    }

    /// The patch, widened to blocks and to the whole of each small row that it cuts.
    async fn widened<'r>(
        &self,
        read: &dyn MetaRead,
        current: Option<&FoundObject>,
        (of, place): (LayerId, ResolvedRange),
        received: &'r Received,
    ) -> Result<Patch<'r>> {
        let former = current.map_or(0, |current| current.object.stored_length());
        let blocks = self.aligned(read, current, place, received).await?;
        let mut wide = ResolvedRange {
            start: blocks.start,
            end: blocks.end(),
        };
        if wide.start < former {
            let (offset, extent, _) = extent_at(read, of, wide.start).await?;
            let end = offset + extent.length;
            match extent.source {
                Source::Own if extent.length <= REWRITTEN_ROW_BYTES_MAX => wide.start = offset,
                // What ends before the patch needs no cut.
                Source::Own if offset < wide.start && end <= place.start => wide.start = end,
                _ => {}
            }
        }
        if wide.end < former {
            let (offset, extent, _) = extent_at(read, of, wide.end).await?;
            let cut = extent.source == Source::Own && offset < wide.end;
            if cut && extent.length <= REWRITTEN_ROW_BYTES_MAX {
                wide.end = offset + extent.length;
            } else if cut && offset >= place.end {
                wide.end = offset;
            }
        }
        self.wide(read, current, (wide, place), received).await
    }

    /// The patch with the bytes around it that `wide` covers; zeros past the object's end.
    async fn wide<'r>(
        &self,
        read: &dyn MetaRead,
        current: Option<&FoundObject>,
        (wide, place): (ResolvedRange, ResolvedRange),
        received: &'r Received,
    ) -> Result<Patch<'r>> {
        let mut before = BytesMut::new();
        let left = self.bytes_of(read, current, (wide.start, place.start));
        before.extend_from_slice(&left.await?);
        let gap = usize::try_from(place.start - wide.start).unwrap_or(usize::MAX);
        before.resize(gap, 0);
        let right = self.bytes_of(read, current, (place.end, wide.end)).await?;
        let inner = unwidened(place, received);
        let (before, after) = if inner.streamed.is_empty() {
            before.extend_from_slice(&inner.before);
            before.extend_from_slice(&right);
            (before.freeze(), Bytes::new())
        } else {
            (before.freeze(), right)
        };
        Ok(Patch {
            start: wide.start,
            before,
            streamed: inner.streamed,
            after,
        })
    }

    /// A few of the current bytes: fewer when the object ends before.
    pub(crate) async fn bytes_of(
        &self,
        read: &dyn MetaRead,
        current: Option<&FoundObject>,
        (start, end): (u64, u64),
    ) -> Result<Bytes> {
        let Some(FoundObject { object, body, .. }) = current else {
            return Ok(Bytes::new());
        };
        let range = ResolvedRange {
            start: start.min(object.stored_length()),
            end: end.min(object.stored_length()),
        };
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let mut bytes = BytesMut::new();
        let content = open_content(&self.engine, object, body.clone(), range, None).await?;
        let mut chunks = content.unsealed(object, self.keys.unsealer(None));
        while let Some(chunk) = chunks.next_in(read).await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

/// Where the body goes.
fn offset_of(patch: &PatchObject, current: Option<&FoundObject>) -> Result<u64> {
    if let Some(current) = current
        && (!matches!(current.object.content, Content::Data { .. })
            || current.object.manifest.is_some())
    {
        return Err(Error::invalid(
            "what has no bytes of its own cannot be changed in part",
        ));
    }
    let length = current.map_or(0, |current| Object::stored_length(&current.object));
    match patch.at {
        Offset::At(at) => Ok(at),
        Offset::End => Ok(length),
        Offset::EndAt(at) if at == length => Ok(length),
        Offset::EndAt(at) => Err(Error::new(
            ErrorKind::InvalidOffset { length },
            format!("the object ends at {length}, not at {at}"),
        )),
    }
}

/// Refuses to change what is there for who may only append.
fn check_appended(patch: &PatchObject, current: Option<&FoundObject>) -> Result<()> {
    let length = current.map_or(0, |current| Object::stored_length(&current.object));
    let volume = current.is_some_and(|current| current.object.is_volume());
    match patch.at {
        Offset::At(at) if at < length || volume => Err(Error::new(
            ErrorKind::Forbidden,
            "the right to append is none to what is there",
        )),
        _ => Ok(()),
    }
}

/// The body alone.
fn unwidened(place: ResolvedRange, received: &Received) -> Patch<'_> {
    Patch {
        start: place.start,
        before: received.attached().unwrap_or_default(),
        streamed: received.extents().unwrap_or_default(),
        after: Bytes::new(),
    }
}

/// A content that fits into a row, as if it had been written whole.
fn small(old: &Bytes, new: &Bytes, place: ResolvedRange) -> Changed {
    let (start, end) = (place.start as usize, place.end as usize);
    let mut bytes = BytesMut::from(&old.slice(..start.min(old.len()))[..]);
    bytes.resize(start, 0);
    bytes.extend_from_slice(new);
    bytes.extend_from_slice(&old.slice(end.min(old.len())..));
    let mut hasher = Hasher::new(&[DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme]);
    hasher.update(&bytes);
    Changed {
        length: bytes.len() as u64,
        attached: (!bytes.is_empty()).then(|| bytes.freeze()),
        layer: None,
        digests: hasher.finish(),
        written: Written::Whole,
        writes: Vec::new(),
        expectations: Vec::new(),
        references: References::default(),
    }
}

/// What is known of the new content without reading it: CRCs, when it only grew at its end.
fn appended_digests(
    current: Option<&FoundObject>,
    place: ResolvedRange,
    received: &Received,
) -> Digests {
    let Some(current) = current.map(|current| &current.object) else {
        return match place.start {
            0 => received.digests.clone(),
            _ => Digests::default(),
        };
    };
    let mut digests = Digests::default();
    if place.start == current.stored_length() {
        for digest in current.digests.iter() {
            let next = received.digests.get(digest.algorithm);
            let joined = next.and_then(|next| digest.followed_by(next, received.length));
            joined.into_iter().for_each(|digest| digests.insert(digest));
        }
    }
    digests
}
