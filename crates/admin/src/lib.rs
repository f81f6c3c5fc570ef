//! Identities over HTTP, below `/-/`: accounts, users, groups, roles, policies, access keys, tokens,
//! and why a decision is as it is. JSON in, JSON or problem details out.
//!
//! No rules of its own: who may do what is decided where every dialect's rights are.

mod answer;
mod buckets;
mod call;
mod explain;
mod identities;
mod operations;
mod others;
mod tokens;
mod users;

pub use call::{Admin, Authenticate};
pub use operations::describe;
