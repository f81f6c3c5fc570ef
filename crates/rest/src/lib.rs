//! Trestle's own REST dialect: buckets as collections, objects as resources, problem details.
//!
//! Route → request noun → grant → verb → render. It has no rules of its own.

mod bucket;
mod conditions;
mod cors;
mod directory;
mod document;
mod events;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod html;
mod openapi;
mod operations;
mod pages;
mod parameters;
mod read;
mod refusal;
mod representation;
mod route;
mod snapshot;
mod table;
mod transaction;
mod transfer;
mod upload;
mod versions;
mod volume;
mod write;

pub use openapi::describe;
pub use pages::answer as page;
pub use route::{Authenticate, Rest};
