//! Development only: a simulated machine whose disk forgets what was not synced, and the lanes that
//! crash the engine on it.
//!
//! Everything follows from one seed; a failure names it.

pub mod crash;
pub mod disk;
pub mod model;
pub mod replay;
pub mod spawn;
