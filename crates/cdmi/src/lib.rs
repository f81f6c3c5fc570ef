//! The CDMI dialect (ISO/IEC 17826:2022, version 2.0; clients of 1.x are answered as 1.1.1 would).
//!
//! A bucket is a top-level container, a key with slashes lies in nested ones. Everything here reads
//! or writes the standard's forms; the rules of storage are the store's.

// Until the parts below are joined to the store.
#![allow(dead_code)]

mod acl;
mod document;
mod media;
mod metadata;
mod multipart;
mod object_id;
mod path;
mod query;
mod scope;
mod time;
mod value;
mod version;
