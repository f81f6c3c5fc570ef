//! What the engine is in the middle of, so that the reliability bench can tell where a machine
//! stopped, and whether it ever stopped there.
//!
//! Kept only with the feature `canary`; without it nothing is noted.

/// A piece of work that a stop may fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Phase {
    /// A group of commits is written and synced.
    Group,
    /// The log goes on in a new segment.
    Rotation,
    /// A frozen table is written into the index.
    Checkpoint,
    /// A slice of the snapshot is written, and named.
    Snapshot,
    /// Bodies are moved out of a log segment.
    Move,
    /// Holes are punched.
    Punch,
    /// A segment is removed.
    Removal,
    /// A log segment is set aside, to be used again.
    SetAside,
    /// What crashes left in data segments is looked for.
    Sweep,
    /// The store is opened.
    Recovery,
    /// The index is made anew.
    Rebuild,
    /// The index is written anew while it is in use.
    Renewal,
}

impl Phase {
    /// How many there are.
    pub const COUNT: usize = 12;
    /// All of them, in order.
    pub const ALL: [Phase; Phase::COUNT] = [
        Phase::Group,
        Phase::Rotation,
        Phase::Checkpoint,
        Phase::Snapshot,
        Phase::Move,
        Phase::Punch,
        Phase::Removal,
        Phase::SetAside,
        Phase::Sweep,
        Phase::Recovery,
        Phase::Rebuild,
        Phase::Renewal,
    ];
}

#[cfg(feature = "canary")]
static INSIDE: [std::sync::atomic::AtomicU32; Phase::COUNT] =
    [const { std::sync::atomic::AtomicU32::new(0) }; Phase::COUNT];

/// The work that is going on in this process.
#[cfg(feature = "canary")]
pub fn going_on() -> Vec<Phase> {
    let is_inside = |phase: &Phase| {
        let count = INSIDE.get(*phase as usize);
        count.is_some_and(|count| count.load(std::sync::atomic::Ordering::SeqCst) > 0)
    };
    Phase::ALL.into_iter().filter(is_inside).collect()
}

/// Work that goes on for as long as this lives. Never held while waiting for another task.
#[must_use]
pub(crate) struct Inside {
    #[cfg(feature = "canary")]
    phase: Phase,
}

/// Begins a piece of work.
#[cfg_attr(
    not(feature = "canary"),
    expect(unused_variables, reason = "noted by the bench alone")
)]
pub(crate) fn inside(phase: Phase) -> Inside {
    #[cfg(feature = "canary")]
    if let Some(count) = INSIDE.get(phase as usize) {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
    Inside {
        #[cfg(feature = "canary")]
        phase,
    }
}

#[cfg(feature = "canary")]
impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(count) = INSIDE.get(self.phase as usize) {
            count.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}
