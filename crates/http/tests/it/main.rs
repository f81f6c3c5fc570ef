//! The library over real connections, as a client sees it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod client;
mod resource;
mod served;
