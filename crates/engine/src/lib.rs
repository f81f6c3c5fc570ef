//! The two ports of a storage engine, and what every engine shares.
//!
//! [`Meta`] is an ordered, transactional key-value store; [`Data`] is a byte store. A write streams
//! its bytes into `Data`, gets a durability [`Token`], and names it in the one `Meta` commit that
//! makes the bytes reachable. An engine knows neither objects nor HTTP: keys, values and owners
//! are bytes to it.

pub mod canary;
pub mod check;
pub mod contract;
pub mod data;
pub mod locks;
pub mod memory;
pub mod meta;
pub mod pins;
pub mod walk;

pub use data::{Data, DataWriter, Extent, Redundancy, Token, Written};
pub use meta::{
    Body, BodyRef, Collapse, Commit, Committed, Expectation, Meta, MetaRead, Row, Scan, ScanItem,
    Urgency, Write,
};
pub use pins::{Announcement, Pin, Pins};

use std::sync::Arc;

/// An engine: both ports over one durable whole.
#[derive(Clone)]
pub struct Engine {
    /// The ordered key-value store.
    pub meta: Arc<dyn Meta>,
    /// The byte store.
    pub data: Arc<dyn Data>,
    /// What is being read, and about to be changed.
    pub pins: Arc<Pins>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}
