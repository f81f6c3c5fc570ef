//! What verbs take and give.

mod content;
mod snapshot;
mod upload;
mod volume;

pub use content::{
    CloneObject, ComposeObject, CopyObject, CopyOutcome, Offset, PatchObject, PropertiesOf, Source,
};
pub(crate) use upload::OF_UPLOAD;
pub use upload::{
    CompleteOutcome, CompletePart, CompleteUpload, CopyPart, CreateUpload, ListUploads, ObjectPart,
    Part, PartListing, Upload, UploadChecksum, UploadItem, UploadKey, UploadListing, UploadPart,
};

pub(crate) use snapshot::{At, CloneOf, Live, Parent, SnapshotCount};
pub use snapshot::{CloneBucket, CreateSnapshot, Snapshot};
pub use volume::{ChangeVolume, CreateVolume, VolumeChange};

use crate::encryption::{Encrypt, Encryption};
use crate::manifest::{Manifest, md5};
use crate::properties::{
    BucketProperties, Checksum, ObjectProperties, PublicAccessBlock, Quota, Retention, Written,
};
use crate::receive::BodyChecks;
use crate::tree::Change;
use std::collections::BTreeMap;
use trestle_access::Asked;
use trestle_core::*;

/// A bucket as its record tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Its id, which row keys carry.
    pub id: BucketId,
    /// Its name in the global index.
    pub name: BucketName,
    /// Who owns it.
    pub owner: Owner,
    /// When it was created.
    pub created: Timestamp,
    /// When its properties were last changed.
    pub modified: Timestamp,
    /// How often they were.
    pub modifications: u64,
    /// What may be changed.
    pub properties: BucketProperties,
    /// What jobs on directories hold against new keys.
    pub(crate) held: Vec<Held>,
    pub(crate) snapshots: SnapshotCount,
    /// What it is a snapshot of, if it is one.
    pub(crate) at: Option<At>,
    /// Of a clone: the snapshot that it is of.
    pub(crate) clone_of: Option<CloneOf>,
    /// The same, looked up where what the bucket shows is to be known.
    pub(crate) parent: Option<std::sync::Arc<Parent>>,
}

impl Bucket {
    /// Of a snapshot: the bucket that it is of, its name, and the directory that it is of, empty for
    /// the whole bucket.
    pub fn snapshot_of(&self) -> Option<(&BucketName, &str, &str)> {
        let at = self.at.as_ref()?;
        Some((&at.base_name, &at.live.name, &at.live.prefix))
    }

    /// The name by which policies know what is in it: of a snapshot, that of its bucket.
    pub(crate) fn policy_name(&self) -> &BucketName {
        self.at.as_ref().map_or(&self.name, |at| &at.base_name)
    }
}

/// A prefix that a job holds: nothing new is made below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) prefix: String,
    pub(crate) job: JobId,
}

/// Exact counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketUsage {
    /// Number of objects.
    pub objects: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
    /// Number of former versions and delete markers.
    pub versions: u64,
    /// Sum of their sizes in bytes.
    pub version_bytes: u64,
    /// Sum of the sizes of what is kept only for snapshots, in bytes.
    pub snapshot_bytes: u64,
}

/// Exact counters of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountUsage {
    /// Number of buckets.
    pub buckets: u64,
    /// Number of objects in them.
    pub objects: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
    /// Number of former versions and delete markers in them.
    pub versions: u64,
    /// Sum of their sizes in bytes.
    pub version_bytes: u64,
}

/// An account as its record tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// When it was created.
    pub created: Timestamp,
    /// When its properties last changed.
    pub modified: Timestamp,
    /// What its owner may change.
    pub properties: AccountProperties,
}

/// The part of an account that changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountProperties {
    /// The owner's metadata.
    pub metadata: Metadata,
    /// Who else may act on it: JSON text of an access list, opaque here.
    pub acl: Option<String>,
    /// What all its buckets may hold together.
    pub quota: Quota,
    /// State of a dialect that has no neutral meaning, by name.
    pub documents: BTreeMap<String, String>,
    /// It was given up: it takes no new bucket.
    pub closed: bool,
    /// What public access all its buckets refuse.
    pub public_access: PublicAccessBlock,
}

/// What a key names, without its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The object's id, kept across overwrites.
    pub id: ObjectId,
    /// The id of the version, new with every write.
    pub version: VersionId,
    /// How often this version's record was changed since it was written.
    pub change: u64,
    /// Its place among the versions of its key: larger than those of all that are older.
    pub ordinal: u64,
    /// Of a current version that was made current again: the place of the newest version of its key.
    pub outranked: Option<u64>,
    /// Whether it was written while versioning was off or suspended.
    pub null_version: bool,
    /// Its key.
    pub key: Key,
    /// Who owns it.
    pub owner: Owner,
    /// When the key was first written.
    pub created: Timestamp,
    /// When it was last modified; grows with every change of the key.
    pub modified: Timestamp,
    /// How often anything of it was changed since the key was first written.
    pub modifications: u64,
    /// What it holds.
    pub content: Content,
    /// Digests of the bytes.
    pub digests: Digests,
    /// Under which key the content is encrypted, if it is.
    pub encryption: Option<Encryption>,
    /// How the content came about.
    pub written: Written,
    /// The checksum that the client chose.
    pub checksum: Option<Checksum>,
    /// How the bytes are to be represented.
    pub representation: Representation,
    /// The user's metadata.
    pub metadata: Metadata,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// JSON text of an access control list.
    pub acl: Option<String>,
    /// Until when this version is protected.
    pub retention: Option<Retention>,
    /// Whether this version is protected until the hold is lifted.
    pub legal_hold: bool,
    /// Whether a hold of it was lifted, or said to be off, and there is none now.
    pub hold_lifted: bool,
    /// When the object ends.
    pub expires: Option<Timestamp>,
    /// The storage class as it was named.
    pub storage_class: Option<String>,
    /// Dialect state without a neutral meaning.
    pub documents: BTreeMap<String, String>,
    /// What it stands for, when it is not for its own bytes.
    pub manifest: Option<Manifest>,
    /// Whether it is a snapshot: it never changes.
    pub frozen: bool,
}

/// Which version of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionRef {
    /// The current one.
    #[default]
    Current,
    /// The one that was written while versioning was off or suspended.
    Null,
    /// The one of this id.
    Id(VersionId),
    /// The current one, although it has ended: until it is deleted it can be had by who asks for it so.
    Ended,
}

impl VersionRef {
    /// Whether it is the current one, by whatever name.
    pub fn is_current(self) -> bool {
        matches!(self, VersionRef::Current | VersionRef::Ended)
    }
}

/// The variants of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes.
    Data {
        /// How many.
        length: u64,
        /// Where they are: attached to the record when absent.
        layer: Option<LayerId>,
    },
    /// Blocks: bytes of a fixed size that are changed in place.
    Volume {
        /// How many.
        length: u64,
        /// Where they are.
        layer: LayerId,
    },
    /// Nothing: the key stands for a place, and for what has keys that start with it.
    Directory,
    /// Nothing: the key was deleted here. Only a version in history holds it, never what a read finds.
    DeleteMarker,
}

/// A part that a content was uploaded in.
#[derive(Clone, Debug, PartialEq)]
pub struct PartInfo {
    /// The number that it was uploaded under.
    pub number: u32,
    /// Digests of its bytes.
    pub digests: Digests,
}

impl Object {
    /// How many bytes a read gives: of a manifest, those that it joins.
    pub fn length(&self) -> u64 {
        self.joined_length().unwrap_or_else(|| self.stored_length())
    }

    fn joined_length(&self) -> Option<u64> {
        match &self.manifest {
            Some(Manifest::Segments { length }) => Some(*length),
            Some(Manifest::Prefix { found, .. }) => *found,
            None => None,
        }
    }

    /// Whether length and tag are those of what it joins.
    pub fn is_joined(&self) -> bool {
        self.joined_length().is_some()
    }

    /// Whether it is a manifest that lists segments.
    pub fn has_segments(&self) -> bool {
        matches!(self.manifest, Some(Manifest::Segments { .. }))
    }

    /// What identifies its bytes among those that the key may hold: their MD5, or what stands for it.
    pub fn content_tag(&self) -> String {
        match &self.written {
            Written::Parts { digest, .. } if self.is_joined() => return digest.hex(),
            Written::Parts { count, digest } => return format!("{}-{count}", digest.hex()),
            Written::Whole | Written::Patched => {}
        }
        match self.digests.get(DigestAlgorithm::Md5) {
            Some(digest) => digest.hex(),
            // Unique, and new with each change of the bytes.
            None => {
                let (version, change) = self.bytes_since();
                let mut named = version.to_string();
                if change > 0 {
                    named.push_str(&format!("-{change}"));
                }
                format!("{}-1", md5(named.as_bytes()).hex())
            }
        }
    }

    /// What is new with each change of the bytes: the version, and within one of a volume, which is
    /// changed in place, how often it was changed.
    pub(crate) fn bytes_since(&self) -> (VersionId, u64) {
        let change = if self.is_volume() { self.change } else { 0 };
        (self.version, change)
    }

    /// Size of its own bytes.
    pub fn stored_length(&self) -> u64 {
        match self.content {
            Content::Data { length, .. } | Content::Volume { length, .. } => length,
            Content::Directory | Content::DeleteMarker => 0,
        }
    }

    /// Whether it is a volume.
    pub fn is_volume(&self) -> bool {
        matches!(self.content, Content::Volume { .. })
    }

    /// Whether it says that the key was deleted.
    pub fn is_marker(&self) -> bool {
        self.content == Content::DeleteMarker
    }

    /// What was ever said of a hold: whether it is on.
    pub fn hold(&self) -> Option<bool> {
        (self.legal_hold || self.hold_lifted).then_some(self.legal_hold)
    }

    /// Replaces its mutable part.
    pub(crate) fn set_properties(&mut self, properties: ObjectProperties) {
        let told = self.hold().is_some() || properties.hold().is_some();
        self.representation = properties.representation;
        self.metadata = properties.metadata;
        self.tags = properties.tags;
        self.acl = properties.acl;
        self.retention = properties.retention;
        self.legal_hold = properties.legal_hold;
        self.hold_lifted = told && !self.legal_hold;
        self.expires = properties.expires;
        self.storage_class = properties.storage_class;
        self.documents = properties.documents;
        self.manifest = properties.manifest;
    }

    /// Its mutable part.
    pub fn properties(&self) -> ObjectProperties {
        let mut manifest = self.manifest.clone();
        // What a read found is nothing that is kept.
        if let Some(Manifest::Prefix { found, .. }) = &mut manifest {
            *found = None;
        }
        ObjectProperties {
            representation: self.representation.clone(),
            metadata: self.metadata.clone(),
            tags: self.tags.clone(),
            acl: self.acl.clone(),
            retention: self.retention,
            legal_hold: self.legal_hold,
            hold_lifted: self.hold_lifted,
            expires: self.expires,
            storage_class: self.storage_class.clone(),
            documents: self.documents.clone(),
            manifest,
        }
    }

    /// The layer that holds the bytes, if they are not in the record's row.
    pub(crate) fn layer(&self) -> Option<LayerId> {
        match self.content {
            Content::Data { layer, .. } => layer,
            Content::Volume { layer, .. } => Some(layer),
            Content::Directory | Content::DeleteMarker => None,
        }
    }

    /// The revision of what a reader sees: new whenever bytes, representation or metadata change.
    /// Unique among all revisions of all objects.
    pub fn revision(&self) -> String {
        let own = format!("{}-{}", self.version, self.change);
        match (&self.manifest, &self.written) {
            // What a prefix joins changes without the manifest.
            (Some(Manifest::Prefix { found: Some(_), .. }), Written::Parts { digest, .. }) => {
                format!("{own}-{}", digest.hex())
            }
            _ => own,
        }
    }
}

/// How a dialect derives its entity tag from a record.
pub type TagOf = fn(&Object) -> String;

/// A write of a whole object.
#[derive(Clone, Debug)]
pub struct PutObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// What must hold of the current object, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// The mutable part of the new object.
    pub properties: ObjectProperties,
    /// How the content is to be encrypted; as the bucket says when absent.
    pub encrypt: Option<Encrypt>,
    /// What the body has to be.
    pub checks: BodyChecks,
    /// The digest that becomes the object's checksum.
    pub checksum: Option<DigestAlgorithm>,
}

/// What became of a write.
#[derive(Clone, Debug)]
pub struct PutOutcome {
    /// The object as it is now.
    pub object: Object,
    /// Whether the key held nothing before.
    pub created: bool,
}

/// A read of an object's bytes.
#[derive(Clone, Debug)]
pub struct ReadObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// Which version.
    pub version: VersionRef,
}

/// A directory to be made.
#[derive(Clone, Debug)]
pub struct CreateDirectory {
    /// The bucket.
    pub bucket: BucketName,
    /// The key: any; by custom it ends with a delimiter.
    pub key: Key,
    /// What must hold of the current object.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// Its mutable part.
    pub properties: ObjectProperties,
}

/// A delete of everything whose key starts with a prefix.
#[derive(Clone, Debug)]
pub struct DeleteDirectory {
    /// The bucket.
    pub bucket: BucketName,
    /// The prefix; by custom it ends with a delimiter.
    pub prefix: Key,
    /// What becomes of history.
    pub history: History,
}

/// A rename of everything whose key starts with a prefix.
#[derive(Clone, Debug)]
pub struct RenameDirectory {
    /// The bucket.
    pub bucket: BucketName,
    /// The prefix; by custom it ends with a delimiter.
    pub prefix: Key,
    /// The bucket that it is to be in.
    pub to_bucket: BucketName,
    /// The prefix that the keys are to have.
    pub to_prefix: Key,
}

/// What became of a change of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeOutcome {
    /// It is done, in one commit.
    Done {
        /// So many keys were concerned.
        keys: u64,
    },
    /// A job was started, which does it.
    Started(JobId),
}

/// How a job on directories stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It is at work.
    Running,
    /// All is done.
    Done,
    /// It could not go on; what it has done stays done.
    Failed(String),
}

/// A job on directories.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The bucket.
    pub bucket: BucketId,
    /// The keys that it is about start with this.
    pub prefix: String,
    pub(crate) change: Change,
    pub(crate) asked: Asked,
    /// So many keys are done.
    pub keys_done: u64,
    /// How it stands.
    pub state: JobState,
    /// When it was started.
    pub started: Timestamp,
    /// When it last did something.
    pub changed: Timestamp,
}

/// A rename of an object.
#[derive(Clone, Debug)]
pub struct RenameObject {
    /// The bucket that it is in.
    pub bucket: BucketName,
    /// The key that it has.
    pub key: Key,
    /// The bucket that it is to be in.
    pub to_bucket: BucketName,
    /// The key that it is to have.
    pub to_key: Key,
    /// What must hold of it.
    pub precondition: Precondition,
    /// What must hold of what the target holds.
    pub target: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
}

/// A change of an object's properties.
#[derive(Clone, Debug)]
pub struct UpdateObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// Which version.
    pub version: VersionRef,
    /// What must hold of it.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
}

/// What becomes of history when an object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// As the bucket's versioning says: with it, a delete adds a marker.
    #[default]
    ByBucket,
    /// All versions and markers of the key go, too.
    Erase,
    /// Nothing takes the place of what is current, neither a marker nor the version before it: the key
    /// has former versions and no object. Where versions are kept, a current object that is not named
    /// as a version goes into history.
    Leave,
}

/// A delete of an object, or of one version of it.
#[derive(Clone, Debug)]
pub struct DeleteObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// Which version: a named one is gone for good.
    pub version: VersionRef,
    /// What becomes of history. A named version has none to erase.
    pub history: History,
    /// Whether a bucket that keeps versions gets a marker even when the key holds no object.
    pub mark_missing: bool,
    /// What must hold of the version that is to be deleted.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
}

impl DeleteObject {
    /// A delete of the current object, as its bucket's versioning says.
    pub fn current(
        bucket: BucketName,
        key: Key,
        precondition: Precondition,
        tag_of: TagOf,
    ) -> Self {
        DeleteObject {
            bucket,
            key,
            version: VersionRef::Current,
            history: History::ByBucket,
            mark_missing: false,
            precondition,
            tag_of,
        }
    }
}

/// A condition on an object that nothing is done to.
#[derive(Clone, Debug)]
pub struct CheckObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// What must hold of the current object.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
}

/// What became of a delete.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteOutcome {
    /// What was there: gone for good, or in history when there is a new marker.
    pub removed: Option<Object>,
    /// The delete marker that was made.
    pub marker: Option<Object>,
}

/// The listing of all versions, by key, and from the newest to the oldest of each.
#[derive(Clone, Debug)]
pub struct ListVersions {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this (may be empty).
    pub prefix: String,
    /// Fold keys that share the run from the prefix up to this; not empty.
    pub delimiter: Option<String>,
    /// Only keys after this one. A common prefix of this very listing skips all that it folds.
    pub key_marker: Option<String>,
    /// The key of the marker, too, but only its versions after (older than) this one.
    pub version_marker: Option<VersionRef>,
    /// At most so many items, 0 to 10,000.
    pub limit: usize,
}

/// One item of a listing of versions.
#[derive(Clone, Debug, PartialEq)]
pub enum VersionItem {
    /// A version or a delete marker.
    Version {
        /// It.
        object: Box<Object>,
        /// Whether it is the newest of its key.
        latest: bool,
    },
    /// A common prefix: ends with the delimiter.
    Prefix(String),
}

/// A page of a listing of versions.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionListing {
    /// In order.
    pub items: Vec<VersionItem>,
    /// What to give as markers for the next page; absent when this was the last.
    pub next: Option<(String, Option<VersionRef>)>,
}

/// The one listing of keys.
#[derive(Clone, Debug)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this (may be empty).
    pub prefix: String,
    /// Fold keys that share the run from the prefix up to this; not empty.
    pub delimiter: Option<String>,
    /// Only keys after this one (before it, when reversed), excluded; keys are compared before they
    /// are folded. A common prefix of this very listing skips all that it folds.
    pub after: Option<String>,
    /// Only keys before this one (after it, when reversed), excluded; the same rules.
    pub until: Option<String>,
    /// From the last to the first.
    pub reverse: bool,
    /// At most so many items, 0 to 10,000.
    pub limit: usize,
}

/// One item of a listing.
#[derive(Clone, Debug, PartialEq)]
pub enum ListingItem {
    /// An object.
    Object(Box<Object>),
    /// A common prefix: ends with the delimiter.
    Prefix(String),
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// In order of keys and prefixes as bytes.
    pub items: Vec<ListingItem>,
    /// What to give as `after` for the next page; absent when this was the last.
    pub next: Option<String>,
}

/// The listing of an account's buckets, by name.
#[derive(Clone, Debug)]
pub struct ListBuckets {
    /// The account.
    pub account: AccountId,
    /// Only names that start with this.
    pub prefix: String,
    /// Only names after this one (before it, when reversed).
    pub after: Option<String>,
    /// Only names before this one (after it, when reversed).
    pub until: Option<String>,
    /// From the last to the first.
    pub reverse: bool,
    /// At most so many, 0 to 10,000.
    pub limit: usize,
}
