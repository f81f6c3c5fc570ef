//! What one request does: who has to know runs it within [`Deeds::of`], and has then what the change
//! feed tells of the commits that were made on the way, with what each key held before. Nothing of it
//! is stored, and where nobody listens nothing is kept.
//!
//! What goes on behind a request, in a job or a task of its own, is none of its deeds.

use crate::feed::{Event, EventKind};
use crate::nouns::Object;
use crate::placement::Slot;
use crate::record::{FeedRecord, Record};
use crate::row_key;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_core::{Key, Result, Sequence, VersionId};
use trestle_engine::Write;

/// Most deeds that are kept of one request.
const DEEDS_MAX: usize = 20_000;

tokio::task_local! {
    static LISTENING: Deeds;
}

/// One thing that a request did.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// As the feed tells it.
    pub event: Event,
    /// What the key showed until then; what is gone, when that is why it is told.
    pub former: Option<Object>,
}

/// What a request did until now.
#[derive(Clone, Debug, Default)]
pub struct Deeds(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    deeds: Vec<Deed>,
    /// What keys held before versions came or went, by what is known of these when they are planned:
    /// not every plan is committed.
    formers: BTreeMap<(VersionId, Key), Object>,
}

impl Deeds {
    /// Runs a request, and hears what it does.
    pub async fn of<T>(&self, request: impl Future<Output = T>) -> T {
        LISTENING.scope(self.clone(), request).await
    }

    /// What it did, in the order of the commits; the next call gives what was done since.
    pub fn take(&self) -> Vec<Deed> {
        std::mem::take(&mut self.0.lock().deeds)
    }

    fn add(&self, events: Vec<Event>) {
        let heard = &mut *self.0.lock();
        let room = DEEDS_MAX.saturating_sub(heard.deeds.len());
        for event in events.into_iter().take(room) {
            let at = event.version.zip(event.key.clone());
            let former = at.and_then(|at| heard.formers.remove(&at));
            heard.deeds.push(Deed { event, former });
        }
    }
}

/// Notes what a key shows before something is done to it.
pub(crate) fn plan(kind: EventKind, slot: &Slot, object: &Object) {
    let note = |deeds: &Deeds| {
        let former = match kind {
            EventKind::Removed => Some(object),
            _ => slot.current.as_ref().map(|current| &current.object),
        };
        let heard = &mut *deeds.0.lock();
        if let Some(former) = former.filter(|_| heard.formers.len() < DEEDS_MAX) {
            let at = (object.version, object.key.clone());
            heard.formers.insert(at, former.clone());
        }
    };
    // An error means that nobody listens.
    let _nobody = LISTENING.try_with(note);
}

/// What writes tell, when somebody listens: to be looked at before they are committed, and told after.
pub(crate) fn told(writes: &[Write]) -> Result<Vec<Event>> {
    if LISTENING.try_with(|_| ()).is_err() {
        return Ok(Vec::new());
    }
    let mut events = Vec::new();
    for write in writes {
        if let Write::Append { key, value } = write
            && *key == row_key::feed()
        {
            let entry = FeedRecord::from_value(value)?.into_entry(Sequence::default())?;
            events.extend(entry.events);
        }
    }
    Ok(events)
}

/// Tells who listens what was committed.
pub(crate) fn done(events: Vec<Event>) {
    if !events.is_empty() {
        let _nobody = LISTENING.try_with(|deeds| deeds.add(events));
    }
}
