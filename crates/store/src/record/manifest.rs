//! The records of manifests: what an object stands for, and the list of segments, which is the
//! content of the object's row.

use super::{Record, bad_name};
use crate::manifest::{Manifest, ObjectSegment, Segment};
use minicbor::{Decode, Encode};
use trestle_core::{BucketName, Error, Key, ResolvedRange, Result, Timestamp};

const SEGMENTS: u8 = 1;
const PREFIX: u8 = 2;

/// What an object stands for.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct StandsFor {
    #[n(0)]
    variant: u8,
    #[n(1)]
    length: Option<u64>,
    #[n(2)]
    bucket: Option<String>,
    #[n(3)]
    prefix: Option<String>,
}

impl StandsFor {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        match manifest {
            Manifest::Segments { length } => StandsFor {
                variant: SEGMENTS,
                length: Some(*length),
                bucket: None,
                prefix: None,
            },
            Manifest::Prefix { bucket, prefix, .. } => StandsFor {
                variant: PREFIX,
                length: None,
                bucket: Some(bucket.as_str().to_owned()),
                prefix: Some(prefix.clone()),
            },
        }
    }

    pub(crate) fn into_manifest(self) -> Result<Manifest> {
        match (self.variant, self.length, self.bucket, self.prefix) {
            (SEGMENTS, Some(length), None, None) => Ok(Manifest::Segments { length }),
            (PREFIX, None, Some(bucket), Some(prefix)) => Ok(Manifest::Prefix {
                bucket: BucketName::parse_stored(bucket).map_err(bad_name)?,
                prefix,
                found: None,
            }),
            _ => Err(Error::corrupt(
                "an object record that does not say what it stands for",
            )),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
struct SegmentRecord {
    /// Bytes of the manifest itself; then there is nothing else.
    #[cbor(n(0), with = "minicbor::bytes")]
    inline: Option<Vec<u8>>,
    #[n(1)]
    bucket: Option<String>,
    #[n(2)]
    key: Option<String>,
    #[n(3)]
    length: Option<u64>,
    #[n(4)]
    tag: Option<String>,
    #[n(5)]
    start: Option<u64>,
    #[n(6)]
    end: Option<u64>,
    /// Present and true, or absent.
    #[n(7)]
    nested: Option<bool>,
    #[n(8)]
    media_type: Option<String>,
    #[n(9)]
    modified: Option<u64>,
}

impl SegmentRecord {
    fn new(segment: &Segment) -> Self {
        match segment {
            Segment::Inline(bytes) => SegmentRecord {
                inline: Some(bytes.to_vec()),
                ..SegmentRecord::default()
            },
            Segment::Object(object) => SegmentRecord {
                inline: None,
                bucket: Some(object.bucket.as_str().to_owned()),
                key: Some(object.key.as_str().to_owned()),
                length: Some(object.length),
                tag: Some(object.tag.clone()),
                start: object.range.map(|range| range.start),
                end: object.range.map(|range| range.end),
                nested: object.nested.then_some(true),
                media_type: Some(object.media_type.clone()),
                modified: Some(object.modified.0),
            },
        }
    }

    fn into_segment(self) -> Result<Segment> {
        if let Some(bytes) = self.inline {
            return Ok(Segment::Inline(bytes.into()));
        }
        let incomplete = || Error::corrupt("a segment that is not whole");
        Ok(Segment::Object(ObjectSegment {
            bucket: BucketName::parse_stored(self.bucket.ok_or_else(incomplete)?)
                .map_err(bad_name)?,
            key: Key::parse(self.key.ok_or_else(incomplete)?).map_err(bad_name)?,
            length: self.length.ok_or_else(incomplete)?,
            tag: self.tag.ok_or_else(incomplete)?,
            range: match (self.start, self.end) {
                (Some(start), Some(end)) if start <= end => Some(ResolvedRange { start, end }),
                (None, None) => None,
                _ => return Err(incomplete()),
            },
            nested: self.nested == Some(true),
            media_type: self.media_type.unwrap_or_default(),
            modified: Timestamp(self.modified.ok_or_else(incomplete)?),
        }))
    }
}

/// A list of segments.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct ManifestRecord {
    #[n(0)]
    segments: Vec<SegmentRecord>,
}

impl Record for ManifestRecord {
    const NAME: &'static str = "manifest";
    const VERSION: u8 = 1;
}

impl ManifestRecord {
    pub(crate) fn new(segments: &[Segment]) -> Self {
        ManifestRecord {
            segments: segments.iter().map(SegmentRecord::new).collect(),
        }
    }

    pub(crate) fn into_segments(self) -> Result<Vec<Segment>> {
        let segments = self.segments.into_iter();
        segments.map(SegmentRecord::into_segment).collect()
    }
}
