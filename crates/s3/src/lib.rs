//! The Amazon S3 dialect over the store.
//!
//! Route → request noun → grant → verb → answer. It owns the protocol's names, documents and codes,
//! and no rule of the store.

mod acl;
mod answer;
mod authenticate;
mod body;
mod bucket;
mod call;
mod checksum;
mod chunked;
mod config;
mod copy;
mod cors;
mod delete;
mod dialect;
mod document;
mod error;
mod form;
mod form_policy;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod headers;
mod keys;
mod listing;
mod lock;
mod metadata;
mod name;
mod object;
mod operation;
mod policy;
mod post;
mod read;
mod rename;
mod route;
mod source;
mod sse;
mod surface;
mod tagging;
mod time;
mod upload;
mod write;

pub use authenticate::{KnownKey, PresentedKey};
pub use dialect::{AccountBy, AccountOf, KeyOf, LookedUp, S3, Settings};
