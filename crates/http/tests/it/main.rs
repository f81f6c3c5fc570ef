//! The library over real connections, as a client sees it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests"
)]

mod client;
#[cfg(feature = "tls")]
mod connections;
mod hostile;
mod resource;
mod second;
mod served;
