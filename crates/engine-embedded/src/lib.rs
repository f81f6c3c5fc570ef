//! The default engine: one log for commits and small bodies, data segments for large ones, and a
//! redb index that checkpoints bring up to date.
//!
//! A commit is durable in the log before anybody sees it. The index lags behind; what it lacks is
//! in memory and is replayed from the log at start-up. `docs/format.md` gives every byte.

mod blocks;
mod canary;
mod codec;
mod committer;
mod data;
mod engine;
mod format;
mod index;
mod layout;
mod log;
mod memtable;
mod recovery;
mod row;
mod view;

#[cfg(test)]
mod tests;

pub use canary::Canary;
#[cfg(feature = "canary")]
pub use canary::plant;
pub use engine::{Settings, open, open_read_only, verify_log};
