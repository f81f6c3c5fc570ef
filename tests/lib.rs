//! What drives the real binary from outside: a server process, a client on a plain socket, and
//! trees of files. Shared by the black-box tests in `it/` and by the main job and the benchmark.
//!
//! It knows the server's command line and HTTP, and no crate of the server.

pub mod client;
pub mod server;
pub mod tree;

pub use client::{Client, Response};
pub use server::{Launch, Server};
