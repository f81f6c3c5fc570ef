//! What the verbs take and give that make contents of others: copies, joins, changes in place.

use super::{Object, TagOf, VersionRef};
use crate::encryption::{CustomerKey, Encrypt};
use crate::properties::ObjectProperties;
use crate::receive::BodyChecks;
use trestle_core::*;

/// Bytes of an object that go into another one.
#[derive(Clone, Debug)]
pub struct Source {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// Which version.
    pub version: VersionRef,
    /// What must hold of it, compared with `tag_of`; what would not be sent to a reader fails, too.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// Which of its bytes; all when absent.
    pub range: Option<ByteRange>,
    /// The key that the client keeps, when its content is encrypted under that.
    pub key_of_client: Option<CustomerKey>,
    /// Whether a manifest itself is meant, rather than what it stands for.
    pub itself: bool,
}

/// A copy of an object, or of a range of its bytes.
#[derive(Clone, Debug)]
pub struct CopyObject {
    /// What is copied.
    pub source: Source,
    /// The bucket that it is copied to.
    pub bucket: BucketName,
    /// The key that it is copied to.
    pub key: Key,
    /// What must hold of the current object there, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// The digest that becomes the copy's checksum. It is taken of the bytes when it is not known.
    /// When absent, a copy of a whole object has the source's.
    pub checksum: Option<DigestAlgorithm>,
    /// How the copy is to be encrypted. When absent as the bucket says, else as the source is, unless
    /// that is under a key that the client keeps.
    pub encrypt: Option<Encrypt>,
}

/// A clone of an object, or a snapshot.
#[derive(Clone, Debug)]
pub struct CloneObject {
    /// What is cloned, whole.
    pub source: Source,
    /// The bucket of the clone.
    pub bucket: BucketName,
    /// Its key.
    pub key: Key,
    /// What must hold of the current object there, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// Whether it never changes.
    pub frozen: bool,
}

/// Makes the properties of a copy from the object that is copied: kept, replaced or joined.
pub type PropertiesOf<'a> = dyn Fn(&Object) -> Result<ObjectProperties> + Send + Sync + 'a;

/// What became of a copy.
#[derive(Clone, Debug)]
pub struct CopyOutcome {
    /// The copy.
    pub object: Object,
    /// Whether the key held nothing before.
    pub created: bool,
    /// What was copied.
    pub source: Object,
}

/// An object made of others, one after the other.
#[derive(Clone, Debug)]
pub struct ComposeObject {
    /// What it is made of.
    pub sources: Vec<Source>,
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// What must hold of the current object there, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// The mutable part of the new object.
    pub properties: ObjectProperties,
}

/// Where bytes are written into an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// From this byte on; a gap before it is zeros.
    At(u64),
    /// After the last byte.
    End,
    /// After the last byte, which must be at this offset; `InvalidOffset` otherwise.
    EndAt(u64),
}

/// A change of a range of an object's bytes, which grows when it reaches past the end.
#[derive(Clone, Debug)]
pub struct PatchObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// What must hold of the current object, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// Where the body goes.
    pub at: Offset,
    /// What the body has to be.
    pub checks: BodyChecks,
    /// What a key that holds no object gets; when absent, that is `NotFound(Object)`.
    pub create: Option<ObjectProperties>,
}
