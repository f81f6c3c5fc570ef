//! The CDMI dialect (ISO/IEC 17826:2022, version 2.0; clients of 1.x are answered as 1.1.1 would).
//!
//! A bucket is a top-level container, a key with slashes lies in nested ones. Everything here reads
//! or writes the standard's forms; the rules of storage are the store's.

mod abroad;
mod acl;
mod books;
mod call;
mod capability;
mod children;
mod container;
mod content;
mod cors;
mod data;
mod deeds;
mod dialect;
mod document;
mod domain;
mod domain_change;
mod domain_copy;
mod domain_summary;
mod domain_tree;
mod exports;
mod fault;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod gaps;
mod history;
mod json;
mod listing;
mod made;
mod mailbox;
mod media;
mod member;
mod member_change;
mod members;
mod metadata;
mod modify;
mod multipart;
mod node;
mod notify;
mod object_id;
mod partial;
mod path;
mod plain;
mod profile;
mod protect;
mod query;
mod query_queue;
mod queue;
mod queue_content;
mod referral;
mod render;
mod restore;
mod rights;
mod root;
mod route;
mod scope;
mod serial;
mod show;
mod snapshots;
mod text;
mod time;
mod transfer;
mod tree;
mod value;
mod version;
mod version_serial;
mod versions;
mod watch;
mod witness;

pub use dialect::{Authenticate, Cdmi, CdmiSettings, ENTERPRISE_NUMBER_DEFAULT};
pub use witness::{Witnessed, WitnessedPlace};
