//! What manifests mean: objects that stand for the bytes of others, looked up when they are read.

use super::ask::grant;
use super::contents::From;
use super::operation::Which;
use super::state::{Model, Stored};
use bytes::Bytes;
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, ByteRange, ErrorKind, Key, ResolvedRange, Result};
use trestle_store::{ObjectSegment, Segment, Store, VersionRef};

/// Stands before an answer that may also be a conflict: the same bytes are there again, and whether
/// they count as the same content depends on how they were written.
pub(super) const MAYBE: &str = "@maybe ";

/// A segment as a history asks for it.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Inline(Bytes),
    Of(From),
}

/// A segment as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Inline(Bytes),
    Of {
        bucket: String,
        key: String,
        /// What was there.
        id: String,
        bytes: Bytes,
        start: usize,
        end: usize,
    },
}

impl Part {
    fn length(&self) -> usize {
        match self {
            Part::Inline(bytes) => bytes.len(),
            Part::Of { start, end, .. } => end - start,
        }
    }
}

/// A manifest's segments, and how many bytes its own list has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Joined {
    pub(super) parts: Vec<Part>,
    /// None until the store has told it.
    pub(super) own: Option<u64>,
}

/// Segments by what is there now, and the bytes that they join.
pub(super) fn join(
    model: &Model,
    now: u64,
    pieces: &[Piece],
) -> std::result::Result<(Joined, Bytes), ErrorKind> {
    let mut joined = Joined::default();
    let mut all = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Inline(bytes) => {
                all.extend_from_slice(bytes);
                joined.parts.push(Part::Inline(bytes.clone()));
            }
            Piece::Of(from) => {
                let (stored, range) = super::contents::source(model, now, from)?;
                let (start, end) = (range.start as usize, range.end as usize);
                all.extend_from_slice(&stored.bytes.slice(start..end));
                joined.parts.push(Part::Of {
                    bucket: from.bucket.clone(),
                    key: from.key.clone(),
                    id: stored.bytes_id().to_owned(),
                    bytes: stored.bytes.clone(),
                    start,
                    end,
                });
            }
        }
    }
    Ok((joined, all.into()))
}

/// Whether a range of what is stored can be read, and whether that is certain.
pub(super) fn resolve(
    model: &Model,
    now: u64,
    stored: &Stored,
    (start, end): (usize, usize),
) -> std::result::Result<bool, ErrorKind> {
    let Some(joined) = &stored.joined else {
        return Ok(true);
    };
    let mut certain = true;
    let mut offset = 0;
    for part in &joined.parts {
        let length = part.length();
        let before = offset;
        let wanted = (start.max(before), end.min(before + length));
        offset += length;
        if let Part::Of {
            bucket,
            key,
            id,
            bytes,
            start: first,
            ..
        } = part
            && wanted.0 < wanted.1
        {
            let there = model.get(bucket).and_then(|found| found.live(key, now));
            let there = there.filter(|there| there.bytes == *bytes);
            let there = there.ok_or(ErrorKind::Conflict)?;
            if there.bytes_id() != id {
                certain = false;
                continue;
            }
            let place = |at: usize| at - before + first;
            certain &= resolve(model, now, there, (place(wanted.0), place(wanted.1)))?;
        }
    }
    Ok(certain)
}

/// The segments as the store takes them.
pub(super) async fn segments(store: &Store, pieces: &[Piece]) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for piece in pieces {
        let from = match piece {
            Piece::Inline(bytes) => {
                segments.push(Segment::Inline(bytes.clone()));
                continue;
            }
            Piece::Of(from) => from,
        };
        let bucket = BucketName::parse(from.bucket.as_str())?;
        let key = Key::parse(from.key.as_str())?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let read = grant(Action::ReadObjectMetadata, resource)?;
        let found = store
            .head(&read, &bucket, &key, VersionRef::Current)
            .await?;
        let length = found.length();
        let range = from.range.map(|range: ByteRange| range.resolve(length));
        let range: Option<ResolvedRange> = range.transpose()?;
        segments.push(Segment::Object(ObjectSegment {
            bucket,
            key,
            length,
            tag: found.content_tag(),
            range,
            nested: found.has_segments(),
            media_type: String::new(),
            modified: found.modified,
        }));
    }
    Ok(segments)
}

impl Piece {
    /// A piece of what a key holds now: the only thing that a manifest can name.
    pub(super) fn of(mut from: From) -> Self {
        from.which = Which::Current;
        Piece::Of(from)
    }
}
