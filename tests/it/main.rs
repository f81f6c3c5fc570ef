//! Black-box tests: the real binary, driven with curl and with a client that sends what curl will
//! not.
#![expect(clippy::disallowed_methods, reason = "tests use the machine directly")]

mod client;
mod framing;
mod life;
mod rest;
mod server;
