//! Who may do what: principals, credentials, and the decision that lets a verb run.
//!
//! Pure: no I/O. A store verb takes a [`Grant`], which only [`Authority::authorize`] makes, so a
//! request that was not authorised does not compile. There is no way to assemble a server without
//! an authority, and a malformed credential is never anonymous.

mod decision;
mod password;

pub use decision::{Action, Authority, Grant, Principal, Resource};
pub use password::{PasswordCache, hash_secret, verify_secret};
