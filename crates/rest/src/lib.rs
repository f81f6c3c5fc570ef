//! Trestle's own REST dialect: buckets as collections, objects as resources, problem details.
//!
//! Route → request noun → grant → verb → render. It has no rules of its own.

mod bucket;
mod error;
mod object;
mod route;

pub use route::{Authenticate, Rest};
