//! A client of Trestle's REST API, and the transfers that the command line makes with it: in
//! parallel, and resumed where they broke off.
//!
//! Knows the API as anybody does, by its documentation; no crate of the server but `http`.

mod api;
mod connection;
mod name;
mod progress;
mod transfer;
mod tree;

pub use api::{Client, Listed};
pub use connection::{Credentials, Options, Reply, Wire};
pub use name::{Place, Remote};
pub use progress::Progress;
pub use transfer::{Done, copy};
pub use tree::{Plan, plan};

/// Why something could not be done, for a person.
pub type Result<T> = std::result::Result<T, String>;
