//! What the verbs on volumes take.

use super::TagOf;
use crate::properties::ObjectProperties;
use trestle_core::*;

/// A volume to be made.
#[derive(Clone, Debug)]
pub struct CreateVolume {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
    /// What must hold of the current object, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// Its mutable part.
    pub properties: ObjectProperties,
}

/// A change of a volume that brings no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeChange {
    /// A range becomes zeros, and its whole blocks take no space any more.
    Zeros {
        /// Its first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// Another size: what is added is zeros, what is cut off is gone.
    Resize {
        /// In bytes.
        size: u64,
    },
}

/// A change of a volume that brings no bytes.
#[derive(Clone, Debug)]
pub struct ChangeVolume {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: Key,
    /// What must hold of it, compared with `tag_of`.
    pub precondition: Precondition,
    /// The dialect's entity tag.
    pub tag_of: TagOf,
    /// What is done.
    pub change: VolumeChange,
}
