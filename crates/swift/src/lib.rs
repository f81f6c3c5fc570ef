//! The OpenStack Swift dialect: accounts, containers, objects, and what Swift's middlewares add,
//! over the store's verbs.
//!
//! Knows the words of Swift's API and nothing of other dialects. What has no meaning outside of
//! Swift is kept in the store's documents, under names that start with `swift.`.

mod account;
mod acl;
mod archive;
mod auth;
mod books;
mod bulk;
mod call;
mod container;
mod contents;
mod copy;
mod cors;
mod delete;
mod domain;
mod doors;
mod duplicate;
mod facts;
mod fault;
mod formpost;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod info;
mod large;
mod later;
mod legacy;
mod listing;
mod manifest;
mod metadata;
mod names;
mod object;
#[cfg(test)]
mod parser_tests;
mod patience;
mod query;
mod rates;
mod read;
mod realms;
mod receive;
mod report;
mod rights;
mod send;
mod settings;
mod signature;
mod slo;
mod staticweb;
mod swift;
mod symlink;
mod sync;
mod target;
mod tempurl;
mod times;
mod tombstone;
mod versions;
mod who;
mod write;

pub use names::Names;
pub use rates::Rates;
pub use realms::Realms;
pub use send::{Outgoing, Transport};
pub use settings::{Identify, Issued, Settings};
pub use swift::Swift;
