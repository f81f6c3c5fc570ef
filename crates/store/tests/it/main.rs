//! The verbs over the in-memory engine: every outcome, races, listings against a naive model, and
//! the offline check.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod accounts;
mod books;
mod buckets;
mod check;
mod clone_leaves;
mod clone_rights;
mod clones;
mod concurrency;
mod copies;
mod encryption;
mod feed;
mod fixture;
mod handing_out;
mod identities;
mod listing;
mod manifests;
mod objects;
mod patches;
mod properties;
mod remembered;
mod rename;
mod rights;
mod snapshots;
mod stale;
mod transactions;
mod trees;
mod uploads;
mod versions;
mod volumes;
