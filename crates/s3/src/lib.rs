//! The Amazon S3 dialect over the store.
//!
//! Route → request noun → grant → verb → answer. It owns the protocol's names, documents and codes,
//! and no rule of the store.

#![allow(dead_code, reason = "the parts are landed before what uses them")]

mod answer;
mod checksum;
mod chunked;
mod error;
mod form;
mod form_policy;
mod listing;
mod name;
mod object;
mod route;
mod surface;
mod time;
