//! Manifests: objects that stand for the bytes of others, which are looked up when they are read.
//!
//! Owns what a manifest says, the arithmetic of its length and digest, and the limits. A manifest
//! holds no bytes of its segments and keeps none of them alive: each must be what the manifest says
//! when it is read, and readable for whoever reads the manifest, else the read fails.

mod read;
mod resolve;

pub use read::{Joined, Reach};

use crate::nouns::{Object, PutObject, PutOutcome};
use crate::record::{ManifestRecord, Record};
use crate::store::{self, Store};
use bytes::Bytes;
use futures::stream;
use trestle_access::Grant;
use trestle_core::{
    BucketName, Digest, DigestAlgorithm, Error, Hasher, Key, ResolvedRange, Result, Timestamp,
};

/// Most segments of a manifest.
pub const SEGMENTS_MAX: usize = 100_000;
/// Most objects that one prefix joins.
pub const PREFIX_SEGMENTS_MAX: usize = 10_000;
/// How deep manifests may nest.
pub const NESTING_MAX: usize = 10;
/// Largest list of segments, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// What an object stands for, when it is not for its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// Segments, which its own bytes list.
    Segments {
        /// How many bytes they have together.
        length: u64,
    },
    /// The objects whose keys start with a prefix, in the order of their keys.
    Prefix {
        /// Their bucket.
        bucket: BucketName,
        /// The prefix.
        prefix: String,
        /// How many bytes a read found them to have. Never stored.
        found: Option<u64>,
    },
}

/// A run of bytes of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes that the manifest itself holds.
    Inline(Bytes),
    /// Those of an object.
    Object(ObjectSegment),
}

/// A segment that is an object, as the manifest's writer found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSegment {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: Key,
    /// How many bytes all of it has.
    pub length: u64,
    /// What [`Object::content_tag`] says of it.
    pub tag: String,
    /// The part of it that is meant, when it is not all.
    pub range: Option<ResolvedRange>,
    /// Whether it is a manifest with segments itself.
    pub nested: bool,
    /// Its media type, to be shown.
    pub media_type: String,
    /// When it was modified, to be shown.
    pub modified: Timestamp,
}

impl Segment {
    /// How many bytes it contributes.
    pub fn length(&self) -> u64 {
        match self {
            Segment::Inline(bytes) => bytes.len() as u64,
            Segment::Object(object) => object.range.map_or(object.length, |range| range.len()),
        }
    }

    /// What it contributes to the digest.
    fn mark(&self) -> String {
        match self {
            Segment::Inline(bytes) => md5(bytes).hex(),
            Segment::Object(object) => match object.range {
                Some(range) => format!(
                    "{}:{}-{};",
                    object.tag,
                    range.start,
                    range.end.saturating_sub(1)
                ),
                None => object.tag.clone(),
            },
        }
    }

    /// Refuses what no read could resolve.
    fn check(&self) -> Result<()> {
        match self {
            Segment::Object(object)
                if object
                    .range
                    .is_some_and(|range| range.is_empty() || range.end > object.length) =>
            {
                Err(Error::invalid("a segment's range is not within it"))
            }
            _ => Ok(()),
        }
    }
}

/// How many bytes segments have together.
pub fn joined_length(segments: &[Segment]) -> u64 {
    let add = |sum: u64, segment: &Segment| sum.saturating_add(segment.length());
    segments.iter().fold(0, add)
}

/// The digest of joined segments: MD5 of what identifies each of them. Known without their bytes.
pub fn joined_digest(segments: &[Segment]) -> Digest {
    let marks: String = segments.iter().map(Segment::mark).collect();
    md5(marks.as_bytes())
}

/// MD5.
pub(crate) fn md5(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(&[DigestAlgorithm::Md5]);
    hasher.update(bytes);
    let taken = hasher.finish().get(DigestAlgorithm::Md5).cloned();
    taken.unwrap_or(Digest {
        algorithm: DigestAlgorithm::Md5,
        value: Vec::new(),
    })
}

/// The segments that a manifest's own bytes list.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Segment>> {
    let segments = ManifestRecord::from_value(bytes)?.into_segments()?;
    match segments.iter().all(|segment| segment.check().is_ok()) {
        true => Ok(segments),
        false => Err(Error::corrupt(
            "a manifest whose ranges are not within its segments",
        )),
    }
}

/// Whether a manifest's own bytes say what its record says of them.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn check(object: &Object, bytes: &[u8]) -> Result<()> {
    let segments = decode(bytes)?;
    match joined_length(&segments) == object.length() && written(&segments) == object.written {
        true => Ok(()),
        false => Err(Error::corrupt(
            "the segments are not those that the record was made for",
        )),
    }
}

/// How a content of segments says that it came about.
pub(crate) fn written(segments: &[Segment]) -> crate::properties::Written {
    crate::properties::Written::Parts {
        count: u32::try_from(segments.len()).unwrap_or(u32::MAX),
        digest: joined_digest(segments),
    }
}

impl Store {
    /// Creates or replaces an object that stands for segments. Whether these exist is the caller's
    /// to find out: it says what it found.
    ///
    /// # Errors
    /// As [`Store::put`]; `TooLarge` for too many segments; `InvalidInput` for a range that is not
    /// within its segment.
    pub async fn put_manifest(
        &self,
        grant: &Grant,
        mut put: PutObject,
        segments: &[Segment],
    ) -> Result<PutOutcome> {
        if segments.len() > SEGMENTS_MAX {
            return Err(store::too_large(
                "the number of a manifest's segments",
                SEGMENTS_MAX as u64,
            ));
        }
        segments.iter().try_for_each(Segment::check)?;
        let text = ManifestRecord::new(segments).to_value()?;
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(store::too_large("a manifest", MANIFEST_BYTES_MAX as u64));
        }
        put.properties.manifest = Some(Manifest::Segments {
            length: joined_length(segments),
        });
        let written = written(segments);
        let body = stream::iter([Ok(text)]);
        Box::pin(self.put_written(grant, put, written, body)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_known_without_its_bytes() {
        let whole = ObjectSegment {
            bucket: BucketName::parse("b").unwrap(),
            key: Key::parse("k").unwrap(),
            length: 10,
            tag: "aa".into(),
            range: None,
            nested: true,
            media_type: "text/plain".into(),
            modified: Timestamp(7),
        };
        let part = ObjectSegment {
            range: Some(ResolvedRange { start: 2, end: 5 }),
            nested: false,
            ..whole.clone()
        };
        let segments = vec![
            Segment::Object(whole),
            Segment::Object(part.clone()),
            Segment::Inline(Bytes::from_static(b"xyz")),
        ];
        assert_eq!(joined_length(&segments), 16);
        let marks = format!("aaaa:2-4;{}", md5(b"xyz").hex());
        assert_eq!(joined_digest(&segments), md5(marks.as_bytes()));
        let text = ManifestRecord::new(&segments).to_value().unwrap();
        assert_eq!(decode(&text).unwrap(), segments);
        let beyond = Segment::Object(ObjectSegment {
            range: Some(ResolvedRange { start: 2, end: 11 }),
            ..part
        });
        assert!(beyond.check().is_err());
        let text = ManifestRecord::new(&[beyond]).to_value().unwrap();
        assert!(decode(&text).is_err());
        for cut in 0..text.len() {
            assert!(decode(&text[..cut]).is_err());
        }
    }
}
