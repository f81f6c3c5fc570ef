//! The small modules of an HTTP transaction, each one part of it. Knows nothing of storage.
//!
//! A standard header is parsed in exactly one place, here, into a value; a dialect picks its reading
//! of that value. Framing is guarded before the HTTP implementation sees a byte.

mod basic;
mod body;
mod conditional;
mod guard;
mod logged;
mod path;
mod problem;
mod range;
mod serve;

pub use basic::BasicCredentials;
pub use body::{Body, incoming};
pub use conditional::{http_date, parse_precondition};
pub use guard::{Guard, HEAD_BYTES_MAX, HEADERS_MAX, Violation};
pub use path::{decode, query};
pub use problem::Problem;
pub use range::{RangeHeader, parse_range};
pub use serve::{Handler, RequestId, Service, serve};
