//! What the verbs of uploads in parts take and give.

use super::{Object, PartInfo, Source, TagOf};
use crate::encryption::{CustomerKey, Encrypt, Encryption};
use crate::properties::{Checksum, ObjectProperties};
use crate::receive::BodyChecks;
use trestle_core::*;

/// The checksum that an upload asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadChecksum {
    /// Taken of each part.
    pub algorithm: DigestAlgorithm,
    /// Whether the object's is one of the parts' checksums rather than one of all bytes, which only a
    /// CRC can be.
    pub composite: bool,
}

/// The beginning of an upload in parts.
#[derive(Clone, Debug)]
pub struct CreateUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key of the object that it is going to be.
    pub key: Key,
    /// The mutable part of that object.
    pub properties: ObjectProperties,
    /// The checksum that it asks for.
    pub checksum: Option<UploadChecksum>,
    /// How the parts are to be encrypted; as the bucket says when absent.
    pub encrypt: Option<Encrypt>,
}

/// What the names of documents begin with that are of an upload alone, and no object's.
pub(crate) const OF_UPLOAD: &str = "upload.";

/// An upload in parts that was neither completed nor given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The key of the object that it is going to be.
    pub key: Key,
    /// Who began it, and will own the object.
    pub owner: Owner,
    /// When it began.
    pub created: Timestamp,
    /// The mutable part of the object. Documents whose names begin with `upload.` end with the upload.
    pub properties: ObjectProperties,
    /// The checksum that it asks for.
    pub checksum: Option<UploadChecksum>,
    /// Under which key its parts are encrypted, if they are.
    pub encryption: Option<Encryption>,
}

/// Names an upload: one of another key is not found.
#[derive(Clone, Debug)]
pub struct UploadKey {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// The upload.
    pub upload: UploadId,
}

/// A part of an upload.
#[derive(Clone, Debug)]
pub struct UploadPart {
    /// The upload.
    pub to: UploadKey,
    /// The part's number, 1 to 10,000: one that was sent before is replaced.
    pub number: u32,
    /// Whether it must not replace one: of several writers that go on at the same place one wins,
    /// the others get `AlreadyExists`.
    pub only_new: bool,
    /// What the body has to be.
    pub checks: BodyChecks,
    /// The key that the client keeps, when the upload is encrypted under that.
    pub key_of_client: Option<CustomerKey>,
}

/// A part that is made of an object.
#[derive(Clone, Debug)]
pub struct CopyPart {
    /// The upload.
    pub to: UploadKey,
    /// The part's number, 1 to 10,000: one that was sent before is replaced.
    pub number: u32,
    /// What is copied.
    pub source: Source,
    /// The key that the client keeps, when the upload is encrypted under that.
    pub key_of_client: Option<CustomerKey>,
}

/// A part that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its number.
    pub number: u32,
    /// Size in bytes.
    pub length: u64,
    /// Digests of its bytes.
    pub digests: Digests,
    /// When it was sent.
    pub modified: Timestamp,
}

/// The listing of a bucket's uploads, by key and then by their beginning.
#[derive(Clone, Debug)]
pub struct ListUploads {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this.
    pub prefix: String,
    /// Fold keys that share the run from the prefix up to this; not empty.
    pub delimiter: Option<String>,
    /// Only keys after this one, or uploads of it after `upload_marker`. A common prefix of this
    /// very listing skips all that it folds.
    pub key_marker: Option<String>,
    /// With a key marker: also uploads of that key, after this one.
    pub upload_marker: Option<UploadId>,
    /// At most so many items, 0 to 10,000.
    pub limit: usize,
}

/// One item of a listing of uploads.
#[derive(Clone, Debug, PartialEq)]
pub enum UploadItem {
    /// An upload.
    Upload(Box<Upload>),
    /// A common prefix: ends with the delimiter.
    Prefix(String),
}

/// A page of a listing of uploads.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadListing {
    /// In order of keys and prefixes as bytes.
    pub items: Vec<UploadItem>,
    /// The markers of the next page; absent when this was the last.
    pub next: Option<(String, Option<UploadId>)>,
}

/// A page of an upload's parts.
#[derive(Clone, Debug, PartialEq)]
pub struct PartListing {
    /// The upload.
    pub upload: Upload,
    /// By number.
    pub parts: Vec<Part>,
    /// What to give as `after` for the next page; absent when this was the last.
    pub next: Option<u32>,
}

/// A part as the completion of an upload names it.
#[derive(Clone, Debug)]
pub struct CompletePart {
    /// Its number.
    pub number: u32,
    /// Digests that it must have; `InvalidPart` otherwise.
    pub expected: Vec<Digest>,
}

/// The completion of an upload.
#[derive(Clone, Debug)]
pub struct CompleteUpload {
    /// The upload.
    pub upload: UploadKey,
    /// The parts that make the object, in ascending order; others are given up.
    pub parts: Vec<CompletePart>,
    /// Size in bytes that every part but the last must have.
    pub part_bytes_min: u64,
    /// The object's length, if the client says it: a different one is `IncompleteBody`.
    pub expected_length: Option<u64>,
    /// The object's checksum, if the client says it; `DigestMismatch` otherwise.
    pub expected_checksum: Option<Checksum>,
    /// What must hold of the current object, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
}

/// What became of the completion of an upload.
#[derive(Clone, Debug)]
pub struct CompleteOutcome {
    /// The object as the completion made it.
    pub object: Object,
    /// Whether the key held nothing before.
    pub created: bool,
    /// Whether it had been completed before: nothing was changed now.
    pub repeated: bool,
}

/// A part of an object that was uploaded in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectPart {
    /// Its number and digests.
    pub part: PartInfo,
    /// Where it begins in the object.
    pub offset: u64,
    /// Size in bytes.
    pub length: u64,
}
