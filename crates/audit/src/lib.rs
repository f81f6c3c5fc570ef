//! The audit log: who did what to which resource by which dialect, what was decided, and why.
//!
//! Lines of JSON in files that are only ever appended to. Each line has a hash over itself and the
//! hash before it, through all files: who changes or removes one breaks the chain at its place. What
//! a crash leaves half written at the very end is told apart from that.
//!
//! A file that is followed by another one is packed; it is read in either form.
//!
//! An entry is a decision, and no outcome: what was allowed may still have failed. Nothing secret is
//! in it. Writing never makes a request wait: beyond what waits, entries are counted as lost, and
//! the log says so. What anybody can cause has a budget, beyond which it is counted, too.

mod budget;
mod chain;
mod entry;
mod files;
mod log;
mod pack;
mod verify;

pub use entry::Scope;
pub use log::{AuditLog, Settings};
pub use verify::{Report, export, verify};
