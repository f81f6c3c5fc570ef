//! The OpenStack Swift dialect: accounts, containers, objects, and what Swift's middlewares add,
//! over the store's verbs.
//!
//! Knows the words of Swift's API and nothing of other dialects. What has no meaning outside of
//! Swift is kept in the store's documents, under names that start with `swift.`.

// The parts are here before what joins them.
#![allow(dead_code)]

mod acl;
mod archive;
mod fault;
mod listing;
mod metadata;
mod query;
mod report;
mod signature;
mod slo;
mod target;
mod tempurl;
mod times;
