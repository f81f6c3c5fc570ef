//! Who refers to a layer, and what becomes of it when nobody does any more.
//!
//! A layer that its last reference leaves goes in the same commit when that is little work and no
//! reader is in the middle of it. Otherwise the commit dooms it: a row says that it is to go, and it
//! goes piece by piece once it is not pinned, right after the commit or in a later `tidy`. No pin
//! outlives the process, so after a start every doomed layer can go.

use crate::deeds;
use crate::layer::put_header;
use crate::record::{ExtentRecord, LayerRecord, Record, Source};
use crate::row_key;
use crate::store::Store;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use trestle_core::{ErrorKind, Id, LayerId, Result};
use trestle_engine::canary::{self, Canary};
use trestle_engine::meta::SCAN_ROWS_MAX;
use trestle_engine::{
    Announcement, Commit, Committed, Expectation, MetaRead, Scan, ScanItem, Urgency, Write,
};
use trestle_host::Spawn;

/// Extent rows that a commit removes besides its own work.
const SETTLED_ROWS_MAX: usize = 10_000;
/// Rows that one commit of the freeing afterwards removes.
const REMOVED_ROWS_MAX: usize = 1000;
/// Commits in which a verb frees what it doomed; `tidy` does the rest.
const FREEING_COMMITS_MAX: usize = 64;

/// References to layers that a commit adds and takes away.
#[derive(Debug, Default)]
pub(crate) struct References {
    changes: BTreeMap<LayerId, i64>,
    /// Whose rows the commit changes because no reader is in the middle of them.
    changed_in_place: BTreeSet<LayerId>,
}

impl References {
    /// One more record or extent refers to the layer.
    pub(crate) fn gain(&mut self, layer: LayerId) {
        *self.changes.entry(layer).or_default() += 1;
    }

    /// One record or extent fewer refers to it.
    pub(crate) fn lose(&mut self, layer: LayerId) {
        *self.changes.entry(layer).or_default() -= 1;
    }

    /// Adds what another change of the same commit adds and takes away.
    pub(crate) fn absorb(&mut self, other: References) {
        for (layer, delta) in other.changes {
            *self.changes.entry(layer).or_default() += delta;
        }
        self.changed_in_place.extend(other.changed_in_place);
    }

    /// The commit changes rows of the layer, unless a reader has pinned it by then.
    pub(crate) fn change_in_place(&mut self, layer: LayerId) {
        self.changed_in_place.insert(layer);
    }

    /// Whether the commit changes rows of the layer in place.
    pub(crate) fn changes_in_place(&self, layer: LayerId) -> bool {
        self.changed_in_place.contains(&layer)
    }

    fn announced(&self) -> BTreeSet<Id> {
        let changed = self.changed().map(|(layer, _)| layer);
        let in_place = self.changed_in_place.iter().copied();
        changed.chain(in_place).map(|layer| layer.0).collect()
    }

    fn changed(&self) -> impl Iterator<Item = (LayerId, i64)> {
        let changed = |(layer, delta): (&LayerId, &i64)| (*delta != 0).then_some((*layer, *delta));
        self.changes.iter().filter_map(changed)
    }
}

/// The layers that a verb has announced a change of, over all its tries.
#[derive(Default)]
pub(crate) struct Hold(Option<Announcement>);

impl Hold {
    /// Whether a reader is in the middle of a layer that is announced. The planted bug `blind` does
    /// not look.
    pub(crate) fn is_pinned(&self, layer: LayerId, blind: Canary) -> bool {
        let announced = self.0.as_ref().filter(|_| !canary::active(blind));
        announced.is_some_and(|announced| announced.is_pinned(layer.0))
    }
}

/// What a commit does to layers besides its own rows.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) writes: Vec<Write>,
    doomed: Vec<LayerId>,
}

impl Store {
    /// Announces changes of `layers`. False when what was read before may be out of date: the caller
    /// looks again, with the announcement still in force.
    pub(crate) async fn announce(&self, hold: &mut Hold, layers: BTreeSet<Id>) -> bool {
        let covered = |announced: &Announcement| announced.covers(&layers);
        if layers.is_empty() || hold.0.as_ref().is_some_and(covered) {
            return true;
        }
        // The former one ends first: who waits while holding would be waited for.
        hold.0 = None;
        let announced = self.engine.pins.announce(&layers).await;
        let fresh = !announced.waited();
        hold.0 = Some(announced);
        fresh
    }

    /// Announces all layers whose references change, and says what the commit has to do to them.
    /// None when the caller has to look again.
    pub(crate) async fn settle(
        &self,
        hold: &mut Hold,
        read: &dyn MetaRead,
        references: &References,
    ) -> Result<Option<Settled>> {
        if !self.announce(hold, references.announced()).await {
            return Ok(None);
        }
        let mut in_place = references.changed_in_place.iter();
        if in_place.any(|layer| hold.is_pinned(*layer, Canary::ChangeUnderReaders)) {
            return Ok(None);
        }
        let mut settled = Settled::default();
        let mut room = SETTLED_ROWS_MAX;
        for (layer, delta) in references.changed() {
            let row = read.get(&row_key::layer(layer)).await?;
            let found = row.and_then(|row| {
                let header = LayerRecord::from_value(&row.value).ok()?;
                Some((header, row.revision))
            });
            let Some((mut header, revision)) = found else {
                if delta > 0 {
                    // It was there when it was chosen.
                    return Ok(None);
                }
                // Who else refers to it is unknown: what there is stays, and the rest can go.
                continue;
            };
            let key = row_key::layer(layer);
            let expected = Expectation::Revision(key.clone(), revision);
            settled.expectations.push(expected);
            let references = header.references.checked_add_signed(delta);
            let Some(references) = references.filter(|_| header.references > 0) else {
                // Somebody else took the last reference.
                return Ok(None);
            };
            header.references = references;
            if header.references == 0 {
                if !hold.is_pinned(layer, Canary::FreeUnderReaders)
                    && let Some(keys) = few_rows(read, layer, &mut room).await?
                {
                    let deletes = keys.into_iter().chain([key]);
                    settled
                        .writes
                        .extend(deletes.map(|key| Write::Delete { key }));
                    continue;
                }
                settled.writes.push(Write::Put {
                    key: row_key::doomed(layer),
                    value: bytes::Bytes::new(),
                    body: None,
                });
                settled.doomed.push(layer);
            }
            settled.writes.push(put_header(layer, &header)?);
        }
        Ok(Some(settled))
    }

    /// Commits, and whatever `settled` asks for with it; then frees what was doomed. Whether it was
    /// applied: not, when an expectation did not hold.
    pub(crate) async fn commit_settled(
        &self,
        mut commit: Commit,
        settled: Settled,
        hold: &mut Hold,
    ) -> Result<bool> {
        commit.expectations.extend(settled.expectations);
        commit.writes.extend(settled.writes);
        if !self.commit_held(commit, hold).await? {
            return Ok(false);
        }
        if !settled.doomed.is_empty() {
            hold.0 = None;
            let mut commits = FREEING_COMMITS_MAX;
            if let Err(error) = self.free(settled.doomed, &mut commits).await {
                // The commit stands; `tidy` will free what is left.
                tracing::debug!(%error, "freeing is put off");
            }
        }
        Ok(true)
    }

    /// Commits under the announcements of `hold`, which do not end before the outcome is known, even
    /// when this future is dropped.
    async fn commit_held(&self, commit: Commit, hold: &mut Hold) -> Result<bool> {
        let Some(announcement) = hold.0.take() else {
            return self.try_commit(commit).await;
        };
        let told = deeds::told(&commit.writes)?;
        let meta = Arc::clone(&self.engine.meta);
        let mut committing = Committing {
            future: Some(async move { meta.commit(commit).await }.boxed()),
            announcement: Some(announcement),
            spawn: Arc::clone(&self.host.spawn),
        };
        let outcome = (&mut committing).await;
        hold.0 = committing.announcement.take();
        match outcome {
            Ok(_) => {
                deeds::done(told);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Frees doomed layers that no reader is in the middle of, and those that they were the last to
    /// refer to, in at most so many commits.
    pub(crate) async fn free(&self, mut doomed: Vec<LayerId>, commits: &mut usize) -> Result<()> {
        while !doomed.is_empty() && *commits > 0 {
            *commits -= 1;
            self.free_some(&mut doomed).await?;
        }
        Ok(())
    }

    /// One commit that frees rows of the last of these layers; takes out those that are done, and
    /// adds those that are doomed by it.
    async fn free_some(&self, doomed: &mut Vec<LayerId>) -> Result<()> {
        let read = self.snapshot().await?;
        let mut room = REMOVED_ROWS_MAX;
        let mut removals = Vec::new();
        while let Some(layer) = doomed.last().copied().filter(|_| room > 0) {
            let Some(removal) = removal(&*read, layer, room).await? else {
                doomed.pop();
                continue;
            };
            room = room.saturating_sub(removal.writes.len());
            doomed.pop();
            removals.push(removal);
        }
        let mut hold = Hold::default();
        let of = |removal: &Removal| {
            let referred = removal.referred.iter().map(|layer| layer.0);
            referred.chain([removal.layer.0]).collect::<Vec<Id>>()
        };
        let layers = removals.iter().flat_map(of).collect();
        let again = |removals: &[Removal]| removals.iter().map(|r| r.layer).collect::<Vec<_>>();
        if !self.announce(&mut hold, layers).await {
            doomed.extend(again(&removals));
            return Ok(());
        }
        removals.retain(|removal| !hold.is_pinned(removal.layer, Canary::FreeUnderReaders));
        let mut references = References::default();
        for layer in removals.iter().flat_map(|removal| &removal.referred) {
            references.lose(*layer);
        }
        let Some(mut settled) = self.settle(&mut hold, &*read, &references).await? else {
            doomed.extend(again(&removals));
            return Ok(());
        };
        drop(read);
        let mut commit = Commit {
            urgency: Urgency::Freeing,
            ..Commit::default()
        };
        let mut more = std::mem::take(&mut settled.doomed);
        for removal in &mut removals {
            commit.expectations.push(removal.unchanged.clone());
            commit.writes.append(&mut removal.writes);
            more.extend((!removal.all).then_some(removal.layer));
        }
        commit.expectations.append(&mut settled.expectations);
        commit.writes.append(&mut settled.writes);
        if commit.writes.is_empty() {
            return Ok(());
        }
        let applied = self.commit_held(commit, &mut hold).await?;
        doomed.extend(if applied { more } else { again(&removals) });
        Ok(())
    }

    /// Frees what is doomed and no longer pinned.
    pub(crate) async fn free_doomed(&self) -> Result<()> {
        let mut scan = Scan::prefix(row_key::doomed_layers(), REMOVED_ROWS_MAX);
        loop {
            let read = self.snapshot().await?;
            let page = read.scan(&scan).await?;
            drop(read);
            let more = page.len() == REMOVED_ROWS_MAX;
            if let Some(last) = page.last() {
                scan.from = Bound::Excluded(last.key().clone());
            }
            let layer = |item: &ScanItem| row_key::split_id(item.key()).map(|(id, _)| LayerId(id));
            let mut commits = usize::MAX;
            self.free(page.iter().filter_map(layer).collect(), &mut commits)
                .await?;
            if !more {
                return Ok(());
            }
        }
    }
}

/// Some rows of a doomed layer that are to go.
struct Removal {
    layer: LayerId,
    unchanged: Expectation,
    writes: Vec<Write>,
    /// What the rows refer to.
    referred: Vec<LayerId>,
    /// Whether these are all.
    all: bool,
}

/// Up to `room` rows of a doomed layer; none when it is gone.
async fn removal(read: &dyn MetaRead, layer: LayerId, room: usize) -> Result<Option<Removal>> {
    let key = row_key::doomed(layer);
    let Some(row) = read.get(&key).await? else {
        return Ok(None);
    };
    let page = read
        .scan(&Scan::prefix(row_key::extents(layer), room))
        .await?;
    let mut removal = Removal {
        layer,
        unchanged: Expectation::Revision(key.clone(), row.revision),
        all: page.len() < room,
        writes: Vec::with_capacity(page.len() + 2),
        referred: Vec::new(),
    };
    for item in page {
        let ScanItem::Row(key, row) = item else {
            continue;
        };
        // A row that cannot be decoded goes, too; what it referred to stays.
        if let Ok(extent) = ExtentRecord::from_value(&row.value)
            && let Source::Reference { layer, .. } = extent.source
        {
            removal.referred.push(layer);
        }
        removal.writes.push(Write::Delete { key });
    }
    if removal.all {
        let header = row_key::layer(layer);
        removal.writes.push(Write::Delete { key: header });
        removal.writes.push(Write::Delete { key });
    } else {
        // Rewritten, so that nobody frees the same rows twice.
        removal.writes.push(Write::Put {
            key,
            value: bytes::Bytes::new(),
            body: None,
        });
    }
    Ok(Some(removal))
}

/// The keys of all extents of a layer, when they are at most `room` and none refers to another layer.
async fn few_rows(
    read: &dyn MetaRead,
    layer: LayerId,
    room: &mut usize,
) -> Result<Option<Vec<bytes::Bytes>>> {
    if *room == 0 {
        return Ok(None);
    }
    let limit = SCAN_ROWS_MAX.min(*room + 1);
    let scan = Scan::prefix(row_key::extents(layer), limit);
    let page = read.scan(&scan).await?;
    if page.len() == limit {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(page.len());
    for item in page {
        let ScanItem::Row(key, row) = item else {
            continue;
        };
        // A row that cannot be decoded goes, too, so that a damaged object can be deleted.
        if let Ok(extent) = ExtentRecord::from_value(&row.value)
            && matches!(extent.source, Source::Reference { .. })
        {
            return Ok(None);
        }
        keys.push(key);
    }
    *room -= keys.len();
    Ok(Some(keys))
}

/// A commit under way with what it announced. Dropped before its end, it goes on elsewhere.
struct Committing {
    future: Option<BoxFuture<'static, Result<Committed>>>,
    announcement: Option<Announcement>,
    spawn: Arc<dyn Spawn>,
}

impl Future for Committing {
    type Output = Result<Committed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        let outcome = future.as_mut().poll(context);
        if outcome.is_ready() {
            self.future = None;
        }
        outcome
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        let announcement = self.announcement.take();
        if let Some(future) = self.future.take() {
            let rest = async move {
                let _outcome = future.await;
                drop(announcement);
            };
            // Without a thread the announcement ends early, and a reader may see an error.
            let _none = self.spawn.worker("commit", rest.boxed());
        }
    }
}
