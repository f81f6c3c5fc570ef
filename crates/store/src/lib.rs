//! The verbs, and the commit protocol behind them.
//!
//! Every rule that spans metadata and data lives here once, for all dialects: names and ids,
//! preconditions, counters, digests. A verb takes a [`trestle_access::Grant`] for exactly its
//! action and resource. A write streams its bytes into the data port and ends in one commit; before
//! that commit nothing is visible, after it nothing is missing.

mod account;
mod audit;
mod authorize;
mod books;
mod bucket;
mod bucket_rename;
mod bucket_update;
mod check;
mod clone;
mod compose;
mod copy;
mod decider;
mod deeds;
mod delete;
mod directory;
mod encryption;
mod expiry;
mod feed;
mod hashing;
mod identity;
mod job;
mod keys;
mod layer;
mod list;
mod manifest;
mod nouns;
mod object_update;
mod ownership;
mod patch;
mod peek;
mod placement;
mod properties;
mod protection;
mod put;
mod quota;
mod read;
mod receive;
mod record;
mod recrypt;
mod reinstate;
mod removal;
mod rename;
mod ring;
mod row_key;
mod seal;
mod snapshot;
mod source;
mod store;
mod transaction;
mod tree;
mod upload;
mod versions;
mod volume;

pub use account::ChangeAccount;
pub use books::Books;
pub use bucket_update::{ChangeBucket, DOCUMENTS_BYTES_MAX, POLICY_BYTES_MAX, TAGS_BYTES_MAX};
pub use check::{CheckSummary, Finding};
pub use compose::{COPIED_BYTES_MAX, SOURCES_MAX};
pub use deeds::{Deed, Deeds};
pub use encryption::{CustomerKey, Encrypt, Encryption};
pub use feed::{ChangedBuckets, Ended, Event, EventKind, FeedEntry, FeedPage, ReadFeed};
pub use identity::{
    AccessKey, AssumeRole, ChangeUser, Group, IDENTITY_NAME_BYTES_MAX, Identities, Issue,
    NamedPolicy, NewAccessKey, NewRole, NewUser, Role, Session, User,
};
pub use keys::{KEY_BYTES, MasterKey, SecretKey};
pub use manifest::{
    Joined, MANIFEST_BYTES_MAX, Manifest, NESTING_MAX, ObjectSegment, PREFIX_SEGMENTS_MAX, Reach,
    SEGMENTS_MAX, Segment, joined_digest, joined_length,
};
pub use nouns::{
    Account, AccountProperties, AccountUsage, Bucket, BucketUsage, CheckObject, ComposeObject,
    Content, CopyObject, CopyOutcome, CreateDirectory, DeleteDirectory, DeleteObject,
    DeleteOutcome, History, Job, JobState, ListBuckets, ListObjects, ListVersions, Listing,
    ListingItem, Object, Offset, PartInfo, PatchObject, PropertiesOf, PutObject, PutOutcome,
    ReadObject, RenameDirectory, RenameObject, Source, TagOf, TreeOutcome, UpdateObject,
    VersionItem, VersionListing, VersionRef,
};
pub use nouns::{ChangeVolume, CloneObject, CreateVolume, VolumeChange};
pub use nouns::{CloneBucket, CreateSnapshot, Snapshot};
pub use nouns::{
    CompleteOutcome, CompletePart, CompleteUpload, CopyPart, CreateUpload, ListUploads, ObjectPart,
    Part, PartListing, Upload, UploadChecksum, UploadItem, UploadKey, UploadListing, UploadPart,
};
pub use object_update::{
    ChangeObject, OBJECT_ACL_BYTES_MAX, OBJECT_DOCUMENTS_BYTES_MAX, STORAGE_CLASS_BYTES_MAX,
};
pub use properties::{
    BucketProperties, Checksum, DefaultRetention, OF_WRITE, ObjectLock, ObjectProperties, Period,
    PublicAccessBlock, Quota, Retention, RetentionMode, Versioning, Written,
};
pub use put::{METADATA_BYTES_MAX, METADATA_DEPTH_MAX, REPRESENTATION_BYTES_MAX};
pub use read::{ObjectBytes, ObjectReader, ObjectStream};
pub use receive::{BodyChecks, LateDigests, OBJECT_BYTES_MAX};
pub use ring::KEY_NAME_BYTES_MAX;
pub use snapshot::{SNAPSHOT_NAME_BYTES_MAX, SNAPSHOTS_MAX};
pub use store::Store;
pub use transaction::{Failed, STEP_BODY_BYTES_MAX, STEPS_MAX, Step, StepOutcome};
pub use tree::TREE_KEYS_MAX;
pub use trestle_engine::Redundancy;
pub use upload::PART_NUMBER_MAX;
pub use volume::{VOLUME_BLOCK_BYTES, VOLUME_WRITE_BYTES_MAX};
