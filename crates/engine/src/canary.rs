//! Known bugs, planted on purpose to test the tests: of the embedded engine, and of what rests on an
//! engine.
//!
//! Compiled only with the feature `canary`, for the reliability bench; without it [`active`] is
//! constant and every planted branch vanishes.

/// A bug that a test bench must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Canary {
    /// Answers a commit before its sync.
    AcknowledgeBeforeSync = 1,
    /// Never syncs the log.
    SkipSync,
    /// Shows a group to readers before its sync.
    ShowBeforeSync,
    /// Calls sync again after it failed, and believes the second answer.
    RetryFailedSync,
    /// Ignores the expectations of a commit.
    IgnoreExpectations,
    /// Goes on in the segment that the last run left, so that a stale tail can come back.
    ReplayStaleTail,
    /// Skips the row after a deleted one in a scan.
    ScanSkipsAfterDelete,
    /// Serves bytes whose checksum does not match.
    RangeWithoutChecksum,
    /// Punches holes while somebody may read them.
    PunchUnderReaders,
    /// Removes segments, or uses them again, while somebody may read them.
    RemoveUnderReaders,
    /// Takes segments with running streams for settled ones.
    SweepRunningStreams,
    /// Removes log segments that the snapshot needs, or uses them again.
    RemoveBeforeSnapshot,
    /// Takes the snapshot for durable before its manifest is.
    TrustUnsyncedManifest,
    /// Wipes the header of a segment that is set aside before its new name is durable.
    WipeInPlace,
    /// Takes what an earlier use of a segment left for its own.
    ReplayStaleGroups,
    /// Frees a content while somebody reads it.
    FreeUnderReaders,
    /// Changes a content in place while somebody reads it.
    ChangeUnderReaders,
    /// Takes the length of the index for durable.
    TrustIndexLength,
    /// Goes on moving bodies out of a segment that is gone.
    MoveFromRemoved,
    /// Writes into blocks of a volume that its snapshots and clones share.
    ChangeSharedVolumes,
    /// Commits a transaction without expecting what its verbs found.
    TransactBlindly,
    /// Commits the first half of a transaction before the rest.
    TransactInHalves,
    /// Lets a clone inherit a key still that it has or had itself.
    InheritForEver,
    /// Refers from a clone to a content without counting it.
    BorrowInherited,
    /// Frees a snapshot that clones inherit from.
    ForgetClones,
    /// Closes an index that another has replaced while somebody reads it.
    CloseUnderReaders,
}

impl Canary {
    /// Those of the embedded engine.
    pub const ENGINE: [Canary; 16] = [
        Canary::AcknowledgeBeforeSync,
        Canary::SkipSync,
        Canary::ShowBeforeSync,
        Canary::RetryFailedSync,
        Canary::IgnoreExpectations,
        Canary::ReplayStaleTail,
        Canary::ScanSkipsAfterDelete,
        Canary::RangeWithoutChecksum,
        Canary::PunchUnderReaders,
        Canary::RemoveUnderReaders,
        Canary::SweepRunningStreams,
        Canary::RemoveBeforeSnapshot,
        Canary::TrustUnsyncedManifest,
        Canary::WipeInPlace,
        Canary::ReplayStaleGroups,
        Canary::CloseUnderReaders,
    ];
    /// Those of the store that readers meet.
    pub const STORE: [Canary; 2] = [Canary::FreeUnderReaders, Canary::ChangeUnderReaders];
    /// One of the embedded engine that takes a failed sync, a kill and a loss of power.
    pub const INDEX: [Canary; 1] = [Canary::TrustIndexLength];
    /// One of the embedded engine that takes rows to go while they are moved.
    pub const MOVES: [Canary; 1] = [Canary::MoveFromRemoved];
    /// Those of volumes, snapshots and transactions.
    pub const BLOCKS: [Canary; 3] = [
        Canary::ChangeSharedVolumes,
        Canary::TransactBlindly,
        Canary::TransactInHalves,
    ];

    /// The one of that name, as it stands above.
    pub fn named(name: &str) -> Option<Canary> {
        Canary::ENGINE
            .into_iter()
            .chain(Canary::STORE)
            .chain(Canary::INDEX)
            .chain(Canary::MOVES)
            .chain(Canary::BLOCKS)
            .find(|canary| format!("{canary:?}") == name)
    }
}

#[cfg(feature = "canary")]
static ACTIVE: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants one bug in this whole process, or none.
#[cfg(feature = "canary")]
pub fn plant(canary: Option<Canary>) {
    let number = canary.map_or(0, |canary| canary as u8);
    ACTIVE.store(number, std::sync::atomic::Ordering::SeqCst);
}

/// Whether `canary` is planted.
#[cfg(feature = "canary")]
pub fn active(canary: Canary) -> bool {
    ACTIVE.load(std::sync::atomic::Ordering::SeqCst) == canary as u8
}

/// Whether `canary` is planted: never, in a product build.
#[cfg(not(feature = "canary"))]
pub const fn active(_canary: Canary) -> bool {
    false
}
