//! The default engine: one log for commits and small bodies, data segments for large ones, and a
//! redb index that checkpoints bring up to date.
//!
//! A commit is durable in the log before anybody sees it. The index lags behind; what it lacks is
//! in memory and is replayed from the log at start-up. `docs/format.md` gives every byte.

mod blocks;
mod calm;
mod checkpointer;
mod codec;
mod committer;
mod data;
mod engine;
mod files;
mod format;
mod headroom;
mod index;
mod layout;
mod log;
mod memtable;
mod open;
mod phase;
mod reclaim;
mod recovery;
mod renewal;
mod row;
mod snapshot;
mod space;
mod spares;
mod streams;
mod sweep;
mod view;

#[cfg(test)]
mod tests;

pub use open::{Settings, is_store, open, open_read_only, rebuild, verify_log};
pub use phase::Phase;
#[cfg(feature = "canary")]
pub use phase::going_on;
pub use trestle_engine::canary::Canary;
#[cfg(feature = "canary")]
pub use trestle_engine::canary::plant;
