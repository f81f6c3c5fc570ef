//! The nouns of Trestle: ids, names, keys, digests, byte ranges, preconditions, metadata, and
//! errors by meaning.
//!
//! Everything here is a plain value. No async, no I/O, no HTTP, no clock: what a name, a range or a
//! precondition *means* is decided once, here, and the layers above only carry the values.

mod digest;
mod error;
mod id;
mod json;
mod md5;
mod metadata;
mod name;
mod precondition;
mod range;
mod time;

pub use digest::{Digest, DigestAlgorithm, Digests, Hasher};
pub use error::{Error, ErrorKind, Marker, Noun, Result};
pub use id::{BucketId, Id, JobId, LayerId, ObjectId, Sequence, StoreId, UploadId, VersionId};
pub use json::Once;
pub use md5::Md5;
pub use metadata::{Metadata, Owner, Representation};
pub use name::{
    ACCOUNT_ID_BYTES_MAX, AccountId, BUCKET_NAME_BYTES_MAX, BucketName, KEY_BYTES_MAX, Key,
    RESERVED_BUCKET_NAMES,
};
pub use precondition::{Precondition, Tag, TagMatch, Validators, Verdict};
pub use range::{ByteRange, ResolvedRange};
pub use time::Timestamp;
