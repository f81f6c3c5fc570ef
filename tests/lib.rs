//! What drives the real binary from outside: a server process, a client on a plain socket, and
//! trees of files; and the lanes that kill it. Shared by the black-box tests in `it/` and by the
//! main job and the benchmark.
//!
//! It knows the server's command line and HTTP, and no crate of the server.

pub mod client;
pub mod clients;
pub mod histories;
pub mod kill;
pub mod ledger;
pub mod linear;
pub mod proxy;
pub mod random;
pub mod server;
pub mod sigv4;
mod steps;
pub mod strace;
pub mod syscalls;
pub mod tree;

pub use client::{Client, Response};
pub use ledger::Ledger;
pub use random::Random;
pub use server::{Launch, Server};
