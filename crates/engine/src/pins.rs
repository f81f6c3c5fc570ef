//! What readers are in the middle of, and what writers are about to change: by 16-byte id, in memory.
//!
//! A reader *pins* an id and looks at the newest state afterwards; a writer *announces* it before it
//! looks at the pins, and until its commit is decided. So one of the two always sees the other: a pin
//! waits for the announcement to end, and an announced id that is pinned stays pinned by those who came
//! before. Of announcements of one id there is one at a time.

use crate::locks::Mutex;
use futures::channel::oneshot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trestle_core::Id;

/// The pins and announcements of one engine, shared by everybody who reads or writes it.
#[derive(Default)]
pub struct Pins {
    entries: Mutex<BTreeMap<Id, Entry>>,
}

#[derive(Default)]
struct Entry {
    pins: usize,
    announced: bool,
    /// Whom to wake when the announcement ends.
    waiting: Vec<oneshot::Sender<()>>,
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.entries.lock().keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Pins {
    /// Does `claim` with the entry of `id` once it is not announced; true when that took waiting.
    async fn when_free(&self, id: Id, claim: impl Fn(&mut Entry)) -> bool {
        let mut waited = false;
        loop {
            let ended = {
                let mut entries = self.entries.lock();
                let entry = entries.entry(id).or_default();
                if !entry.announced {
                    claim(entry);
                    return waited;
                }
                let (wake, ended) = oneshot::channel();
                entry.waiting.push(wake);
                ended
            };
            waited = true;
            // An error means that the entry is gone, and so is the announcement.
            let _woken = ended.await;
        }
    }

    fn release(&self, id: Id, release: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(&id) {
            release(entry);
            if entry.pins == 0 && !entry.announced {
                entries.remove(&id);
            }
        }
    }

    /// Pins `id` as soon as nobody announces a change of it. What is read in a snapshot taken after
    /// that, and only that, stays readable as long as the pin lives.
    pub async fn pin(self: &Arc<Self>, id: Id) -> Pin {
        self.when_free(id, |entry| entry.pins += 1).await;
        Pin {
            pins: self.clone(),
            id,
        }
    }

    /// Announces a change of all `ids`, each as soon as nobody else announces it.
    pub async fn announce(self: &Arc<Self>, ids: &BTreeSet<Id>) -> Announcement {
        let mut announcement = Announcement {
            pins: self.clone(),
            ids: BTreeSet::new(),
            waited: false,
        };
        // In order of ids, so that two writers never wait for each other.
        for id in ids {
            let waited = self.when_free(*id, |entry| entry.announced = true).await;
            announcement.waited |= waited;
            announcement.ids.insert(*id);
        }
        announcement
    }
}

/// Keeps what it names readable until it is dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    id: Id,
}

impl Pin {
    /// What is pinned.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.release(self.id, |entry| {
            entry.pins = entry.pins.saturating_sub(1);
        });
    }
}

/// Keeps readers from pinning what it names until it is dropped, which must not happen before the
/// outcome of the announced commit is known.
#[derive(Debug)]
pub struct Announcement {
    pins: Arc<Pins>,
    ids: BTreeSet<Id>,
    waited: bool,
}

impl Announcement {
    /// Whether it names all of `ids`.
    pub fn covers(&self, ids: &BTreeSet<Id>) -> bool {
        ids.is_subset(&self.ids)
    }

    /// Whether another announcement came before it: what was read before may be out of date.
    pub fn waited(&self) -> bool {
        self.waited
    }

    /// Whether a reader is in the middle of one of its ids.
    pub fn is_pinned(&self, id: Id) -> bool {
        let entries = self.pins.entries.lock();
        entries.get(&id).is_some_and(|entry| entry.pins > 0)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        for id in &self.ids {
            self.pins.release(*id, |entry| {
                entry.announced = false;
                for wake in entry.waiting.drain(..) {
                    // Who no longer waits need not be woken.
                    let _gone = wake.send(());
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;

    const A: Id = Id([1; 16]);
    const B: Id = Id([2; 16]);

    fn ids(ids: &[Id]) -> BTreeSet<Id> {
        ids.iter().copied().collect()
    }

    #[test]
    fn a_pin_waits_for_an_announcement_and_an_announcement_sees_a_pin() {
        let pins = Arc::new(Pins::default());
        let pin = block_on(pins.pin(A));
        let announced = block_on(pins.announce(&ids(&[B, A])));
        assert!(!announced.waited() && announced.covers(&ids(&[A])));
        assert!(announced.is_pinned(A) && !announced.is_pinned(B));
        let mut late = Box::pin(pins.pin(B));
        assert!(late.as_mut().now_or_never().is_none());
        drop(pin);
        assert!(!announced.is_pinned(A));
        drop(announced);
        let late = block_on(late);
        assert!(block_on(pins.announce(&ids(&[B]))).is_pinned(B));
        drop(late);
        assert!(pins.entries.lock().is_empty());
    }

    #[test]
    fn announcements_of_one_id_take_turns_and_a_dropped_wait_leaves_nothing() {
        let pins = Arc::new(Pins::default());
        let both = ids(&[A, B]);
        let first = block_on(pins.announce(&ids(&[B])));
        let mut second = Box::pin(pins.announce(&both));
        assert!(second.as_mut().now_or_never().is_none());
        let one = ids(&[A]);
        let mut third = Box::pin(pins.announce(&one));
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        assert!(block_on(third).waited());
        drop(first);
        assert!(!block_on(pins.announce(&both)).waited());
        assert!(pins.entries.lock().is_empty());
    }
}
