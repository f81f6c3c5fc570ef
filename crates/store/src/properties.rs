//! What a bucket and an object carry beside their contents, and may be changed later.
//!
//! Opaque here: the texts of policies and access control lists, and `documents`, in which a dialect
//! keeps what has no meaning outside of it.

use crate::encryption::Encryption;
use crate::manifest::Manifest;
use std::collections::BTreeMap;
use trestle_access::Action;
use trestle_core::{Digest, Metadata, Representation, Timestamp};

/// Whether a bucket keeps what writes replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// Never was on: a write replaces what was there.
    #[default]
    Off,
    /// Every write makes a version, every delete a marker.
    Enabled,
    /// Writes make and replace the null version; versions that were made before stay.
    Suspended,
}

/// How strictly a retention holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionMode {
    /// Who may bypass it may also shorten it.
    Governance,
    /// Nobody can shorten it.
    Compliance,
}

/// Until when a version can be neither deleted nor replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How strictly.
    pub mode: RetentionMode,
    /// Until when.
    pub until: Timestamp,
}

/// How long a retention lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Days of 24 hours.
    Days(u32),
    /// Years of 365 days.
    Years(u32),
}

/// The retention of objects that are made without one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRetention {
    /// How strictly.
    pub mode: RetentionMode,
    /// How long, from the making of the version.
    pub period: Period,
}

impl DefaultRetention {
    /// The retention of a version that is made at `made`.
    pub(crate) fn starting(self, made: Timestamp) -> Retention {
        const DAY: u64 = 24 * 60 * 60 * 1_000_000;
        let days = match self.period {
            Period::Days(days) => u64::from(days),
            Period::Years(years) => u64::from(years).saturating_mul(365),
        };
        Retention {
            mode: self.mode,
            until: Timestamp(made.0.saturating_add(days.saturating_mul(DAY))),
        }
    }
}

/// Object lock: versions of the bucket may have retention and legal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// What new versions get.
    pub default: Option<DefaultRetention>,
}

/// What public access a bucket refuses, whatever its policy and lists say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// Refuses to set lists that give public access.
    pub block_acls: bool,
    /// Disregards what lists give to the public.
    pub ignore_acls: bool,
    /// Refuses to set a policy that gives public access.
    pub block_policy: bool,
    /// Restricts a bucket with a public policy to its account.
    pub restrict_buckets: bool,
}

/// Limits on what a bucket or an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all versions.
    pub bytes: Option<u64>,
    /// Current objects.
    pub objects: Option<u64>,
}

/// The mutable part of a bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketProperties {
    /// Whether it keeps what writes replace.
    pub versioning: Versioning,
    /// Object lock, when it is on.
    pub lock: Option<ObjectLock>,
    /// The policy's text as it was put.
    pub policy: Option<String>,
    /// JSON text of an access control list.
    pub acl: Option<String>,
    /// How owners of objects are determined.
    pub ownership: Option<String>,
    /// What public access it refuses.
    pub public_access: PublicAccessBlock,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The user's metadata.
    pub metadata: Metadata,
    /// How objects that are written without a word about it are encrypted.
    pub encryption: Option<Encryption>,
    /// Limits.
    pub quota: Quota,
    /// Until when the bucket itself is protected: it is neither deleted nor renamed. What is in it
    /// is protected by its own.
    pub retention: Option<Retention>,
    /// Whether the bucket itself is protected until the hold is lifted.
    pub legal_hold: bool,
    /// The storage policy that was chosen at its creation.
    pub storage_policy: Option<String>,
    /// Dialect state without a neutral meaning, by names that the dialect chooses.
    pub documents: BTreeMap<String, String>,
}

/// The document of a bucket whose ownership is in effect though nobody chose it.
const BY_DEFAULT: &str = "ownership";

impl BucketProperties {
    /// Sets the ownership that is in effect until somebody chooses one.
    pub fn set_default_ownership(&mut self, name: &str) {
        self.ownership = Some(name.to_owned());
        let none = "none".to_owned();
        self.documents.insert(BY_DEFAULT.to_owned(), none);
    }

    /// Sets the ownership that somebody chose, or none.
    pub fn choose_ownership(&mut self, name: Option<String>) {
        self.ownership = name;
        self.documents.remove(BY_DEFAULT);
    }

    /// The ownership that somebody chose.
    pub fn chosen_ownership(&self) -> Option<&str> {
        match self.documents.contains_key(BY_DEFAULT) {
            true => None,
            false => self.ownership.as_deref(),
        }
    }
}

/// How the names of documents end that say something of one write alone: no copy has them.
pub const OF_WRITE: &str = ".of-write";

/// The mutable part of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectProperties {
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
    /// Whether it was said that no hold protects it: of one that was lifted, or never was on.
    pub hold_lifted: bool,
    /// When the object ends; from then on it reads as if it were not there.
    pub expires: Option<Timestamp>,
    /// The storage class as it was named.
    pub storage_class: Option<String>,
    /// Dialect state without a neutral meaning, by names that the dialect chooses.
    pub documents: BTreeMap<String, String>,
    /// What the object stands for, when it is not for its own bytes. Segments are set by their verb
    /// alone, a prefix as any property is.
    pub manifest: Option<Manifest>,
}

impl ObjectProperties {
    /// The same without what says something of one write alone.
    #[must_use]
    pub(crate) fn of_copy(mut self) -> Self {
        self.documents.retain(|name, _| !name.ends_with(OF_WRITE));
        self
    }

    /// Whether documents differ that this action changes.
    pub(crate) fn documents_differ(&self, other: &Self, action: Action) -> bool {
        let mut names = self.documents.keys().chain(other.documents.keys());
        names.any(|name| {
            Action::write_object_document(name) == action
                && self.documents.get(name) != other.documents.get(name)
        })
    }

    /// Whether what [`Action::WriteObjectAttributes`] changes differs: neither value nor metadata.
    pub fn attributes_differ(&self, other: &Self) -> bool {
        self.representation != other.representation
            || self.documents_differ(other, Action::WriteObjectAttributes)
    }

    /// What was said of a hold: none is another thing than one that is off.
    pub fn hold(&self) -> Option<bool> {
        (self.legal_hold || self.hold_lifted).then_some(self.legal_hold)
    }

    /// Says whether a hold is on.
    pub fn set_hold(&mut self, hold: Option<bool>) {
        self.legal_hold = hold == Some(true);
        self.hold_lifted = hold == Some(false);
    }
}

/// How a content came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Written {
    /// In one piece.
    #[default]
    Whole,
    /// In parts.
    Parts {
        /// How many.
        count: u32,
        /// MD5 of the parts' MD5 values; of joined segments, of what identifies each of them.
        digest: Digest,
    },
    /// Changed in place.
    Patched,
}

/// The checksum that the client chose for a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Its algorithm and value.
    pub digest: Digest,
    /// A checksum of so many parts' checksums, rather than of the bytes.
    pub composite_of: Option<u32>,
}

impl PublicAccessBlock {
    /// What either of two blocks.
    #[must_use]
    pub(crate) fn or(self, other: PublicAccessBlock) -> PublicAccessBlock {
        PublicAccessBlock {
            block_acls: self.block_acls || other.block_acls,
            ignore_acls: self.ignore_acls || other.ignore_acls,
            block_policy: self.block_policy || other.block_policy,
            restrict_buckets: self.restrict_buckets || other.restrict_buckets,
        }
    }

    /// Its four marks as bits, from the lowest, in the order of its fields.
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.block_acls)
            | u8::from(self.ignore_acls) << 1
            | u8::from(self.block_policy) << 2
            | u8::from(self.restrict_buckets) << 3
    }

    pub(crate) fn of_bits(bits: u8) -> PublicAccessBlock {
        PublicAccessBlock {
            block_acls: bits & 1 != 0,
            ignore_acls: bits & 2 != 0,
            block_policy: bits & 4 != 0,
            restrict_buckets: bits & 8 != 0,
        }
    }
}
