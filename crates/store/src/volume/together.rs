//! Writes of one volume that arrive at the same time: while one commit is under way, what arrives
//! gathers, and the next commit takes all of it.
//!
//! Each write is as if it had come alone, in the order of arrival: its condition is held against what
//! the ones before it make of the volume, and its revision is its own. What is refused is refused by
//! itself. Nobody waits for company, and nothing depends on a caller that may be dropped: whoever
//! still waits for an outcome carries the commit on.

use super::edit::{check_within, push_blocks};
use super::{VOLUME_BLOCK_BYTES, VOLUME_WRITE_BYTES_MAX, invalid_state};
use crate::layer::{Hold, Replacement};
use crate::nouns::{Content, Object, PatchObject, PutOutcome};
use crate::placement::Slot;
use crate::store::{self, ATTEMPTS_MAX, FoundObject, Store};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use trestle_access::Grant;
use trestle_core::{BucketName, Error, ErrorKind, Key, ResolvedRange, Result};
use trestle_engine::{MetaRead, Urgency};

/// Writes that one commit takes.
const WRITES_MAX: usize = 256;

/// The volumes that are written now.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<Place, Last>>);

/// The last batch of a volume.
type Last = (Arc<Batch>, WeakShared<Turn>);
type Place = (BucketName, Key);
/// Carries a batch out.
type Turn = BoxFuture<'static, ()>;

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turns")
    }
}

/// A write whose body is there.
struct Write {
    grant: Grant,
    patch: PatchObject,
    at: u64,
    bytes: Bytes,
}

/// Writes of one commit.
struct Batch {
    /// None once they are being carried out.
    gathered: Mutex<Option<Vec<Write>>>,
    outcomes: Mutex<Vec<Option<Result<PutOutcome>>>>,
}

impl Batch {
    fn of(writes: Vec<Write>) -> Arc<Self> {
        Arc::new(Batch {
            gathered: Mutex::new(Some(writes)),
            outcomes: Mutex::default(),
        })
    }

    /// Takes a write in, when there is room, and says where its outcome will be.
    fn add(&self, write: &mut Option<Write>) -> Option<usize> {
        let mut gathered = self.gathered.lock();
        let writes = gathered.as_mut()?;
        let bytes: usize = writes.iter().map(|other| other.bytes.len()).sum();
        let more = write.as_ref().map_or(0, |write| write.bytes.len());
        if (bytes + more) as u64 > VOLUME_WRITE_BYTES_MAX || writes.len() == WRITES_MAX {
            return None;
        }
        writes.push(write.take()?);
        Some(writes.len() - 1)
    }
}

impl Turns {
    /// Puts a write into a batch: the one that gathers, or a new one that begins after it.
    fn join(&self, store: &Store, write: Write) -> (Arc<Batch>, usize, Shared<Turn>) {
        let place = (write.patch.bucket.clone(), write.patch.key.clone());
        let mut places = self.0.lock();
        let last = places.get(&place);
        let last = last.and_then(|(batch, turn)| Some((Arc::clone(batch), turn.upgrade()?)));
        let mut write = Some(write);
        if let Some((batch, turn)) = &last
            && let Some(at) = batch.add(&mut write)
        {
            return (Arc::clone(batch), at, turn.clone());
        }
        places.retain(|_, (_, turn)| turn.upgrade().is_some());
        let before = last.map(|(_, turn)| turn);
        let batch = Batch::of(write.into_iter().collect());
        let (store, own, at) = (store.this.clone(), Arc::clone(&batch), place.clone());
        let turn = async move {
            if let Some(before) = before {
                before.await;
            }
            let gathered = own.gathered.lock().take().unwrap_or_default();
            if let Some(store) = store.upgrade() {
                let outcomes = store.write_together(&at, &gathered).await;
                *own.outcomes.lock() = outcomes.into_iter().map(Some).collect();
            }
        };
        let turn = turn.boxed().shared();
        if let Some(weak) = turn.downgrade() {
            places.insert(place, (Arc::clone(&batch), weak));
        }
        (batch, 0, turn)
    }
}

/// What a batch makes of the volume.
struct Written {
    /// As it is after the writes so far.
    now: Object,
    /// Each by its offset.
    blocks: BTreeMap<u64, BytesMut>,
}

impl Store {
    /// Writes into a volume, together with whoever writes into it at the same time.
    pub(super) async fn write_in_turn(
        &self,
        grant: &Grant,
        patch: &PatchObject,
        at: u64,
        bytes: Bytes,
    ) -> Result<PutOutcome> {
        let write = Write {
            grant: grant.clone(),
            patch: patch.clone(),
            at,
            bytes,
        };
        let (batch, at, turn) = self.turns.join(self, write);
        turn.await;
        let outcome = batch.outcomes.lock().get_mut(at).and_then(Option::take);
        outcome.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the store is closed")))
    }

    /// The outcome of each write, in order.
    async fn write_together(&self, place: &Place, writes: &[Write]) -> Vec<Result<PutOutcome>> {
        let mut hold = Hold::default();
        let all = |error: &Error| writes.iter().map(|_| Err(again(error))).collect();
        for _ in 0..ATTEMPTS_MAX {
            match self.try_together(place, writes, &mut hold).await {
                Ok(Some(outcomes)) => return outcomes,
                Ok(None) => {}
                Err(error) => return all(&error),
            }
        }
        all(&store::conflict())
    }

    /// One attempt to commit; none when a concurrent change won.
    async fn try_together(
        &self,
        (bucket, key): &Place,
        writes: &[Write],
        hold: &mut Hold,
    ) -> Result<Option<Vec<Result<PutOutcome>>>> {
        let read = self.snapshot().await?;
        let mut slot = Slot::find(&*read, bucket, key).await?;
        let mut confirmed = Vec::with_capacity(writes.len());
        for write in writes {
            confirmed.push(slot.confirm(self, &*read, &write.grant).await);
        }
        let mut outcomes = Vec::with_capacity(writes.len());
        let Some(current) = slot.live(self) else {
            for (write, confirmed) in writes.iter().zip(confirmed) {
                let Write { patch, .. } = write;
                let held = store::check_precondition(&patch.precondition, patch.tag_of, None);
                outcomes.push(match confirmed.and(held) {
                    Ok(()) => Err(crate::read::missing(&*read, &slot.bucket.bucket, key).await?),
                    Err(error) => Err(error),
                });
            }
            return Ok(Some(outcomes));
        };
        let mut written = Written {
            now: current.object.clone(),
            blocks: BTreeMap::new(),
        };
        for (write, confirmed) in writes.iter().zip(confirmed) {
            let taken = match confirmed {
                Ok(()) => self.take(&*read, current, &mut written, write).await,
                Err(error) => Err(error),
            };
            outcomes.push(taken.map(|()| PutOutcome {
                object: written.now.clone(),
                created: false,
            }));
        }
        if written.blocks.is_empty() {
            return Ok(Some(outcomes));
        }
        let (length, mut now) = (current.object.length(), written.now);
        let blocks = (together(written.blocks), length);
        let of = (&slot.bucket.bucket, current);
        let Some(edited) = self.lay(&*read, of, blocks, hold).await? else {
            return Ok(None);
        };
        let layer = edited.layer;
        now.content = Content::Volume { length, layer };
        let told = self.told_before(&*read, current).await?;
        drop(read);
        let mut changes = match slot.rewrite(self, current, &now) {
            Ok(changes) => changes,
            Err(refused) => {
                let former = (current.object.version, current.object.change);
                for outcome in &mut outcomes {
                    let changes = |o: &PutOutcome| (o.object.version, o.object.change) != former;
                    if outcome.as_ref().is_ok_and(changes) {
                        *outcome = Err(again(&refused));
                    }
                }
                return Ok(Some(outcomes));
            }
        };
        changes.writes.extend(told);
        changes.expectations.extend(edited.expectations);
        changes.writes.extend(edited.writes);
        changes.references = edited.references;
        let normal = Urgency::Normal;
        if !changes.commit(self, &slot.bucket, hold, normal).await? {
            return Ok(None);
        }
        for outcome in outcomes.iter_mut().flatten() {
            outcome.object.content = Content::Volume { length, layer };
        }
        Ok(Some(outcomes))
    }

    /// Takes one write over what the ones before it made.
    async fn take(
        &self,
        read: &dyn MetaRead,
        current: &FoundObject,
        written: &mut Written,
        write: &Write,
    ) -> Result<()> {
        let Write { patch, .. } = write;
        store::check_object(&patch.precondition, patch.tag_of, Some(&written.now))?;
        if !written.now.is_volume() {
            return Err(invalid_state("this is no volume"));
        }
        let size = written.now.length();
        let end = write.at.saturating_add(write.bytes.len() as u64);
        let range = ResolvedRange {
            start: write.at,
            end,
        };
        check_within(size, range)?;
        if range.is_empty() {
            return Ok(());
        }
        let first = range.start - range.start % VOLUME_BLOCK_BYTES;
        let mut fresh = Vec::new();
        let mut block = first;
        while block < end {
            let block_end = block.saturating_add(VOLUME_BLOCK_BYTES).min(size);
            if !written.blocks.contains_key(&block) {
                let whole = range.start <= block && block_end <= end;
                let bytes = match whole {
                    true => BytesMut::zeroed(as_usize(block_end - block)),
                    false => {
                        let there = self.bytes_of(read, Some(current), (block, block_end));
                        BytesMut::from(&there.await?[..])
                    }
                };
                fresh.push((block, bytes));
            }
            block = block_end;
        }
        // From here on nothing is refused.
        written.blocks.extend(fresh);
        for (block, there) in written.blocks.range_mut(first..end) {
            let skipped = as_usize(block.saturating_sub(range.start));
            let into = as_usize(range.start.saturating_sub(*block));
            let from = write.bytes.get(skipped..).unwrap_or_default();
            let to = there.get_mut(into..).unwrap_or_default();
            let count = from.len().min(to.len());
            if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
                to.copy_from_slice(from);
            }
        }
        written.now.change = written.now.change.saturating_add(1);
        written.now.modifications = written.now.modifications.saturating_add(1);
        let modified = self.host.clock.now().after(written.now.modified);
        written.now.modified = modified;
        Ok(())
    }
}

/// Blocks as runs, those that touch each other together.
fn together(blocks: BTreeMap<u64, BytesMut>) -> Vec<Replacement> {
    let mut replacements: Vec<Replacement> = Vec::new();
    for (start, bytes) in blocks {
        let end = start + bytes.len() as u64;
        let range = ResolvedRange { start, end };
        let adjacent = replacements
            .last_mut()
            .filter(|last| last.range.end == start);
        match adjacent {
            Some(last) => {
                last.range.end = end;
                push_blocks(&mut last.runs, start, bytes.freeze());
            }
            None => {
                let mut runs = Vec::new();
                push_blocks(&mut runs, start, bytes.freeze());
                replacements.push(Replacement { range, runs });
            }
        }
    }
    replacements
}

fn as_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// An error for everybody whom it concerns.
fn again(error: &Error) -> Error {
    let same = Error::new(error.kind(), error.message());
    match error.marker() {
        Some(marker) => same.with_marker(marker),
        None => same,
    }
}
