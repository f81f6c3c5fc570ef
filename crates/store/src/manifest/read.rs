//! Reading what a manifest stands for: which pieces a range is of, and their bytes, one after the
//! other. The first piece is open before anything is sent; one that is not what it has to be ends
//! the stream.

use super::{NESTING_MAX, ObjectSegment, Segment, joined_digest, joined_length};
use crate::nouns::{ListObjects, Listing};
use crate::read::{ObjectBytes, ObjectReader};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use trestle_core::{BucketName, Digest, Error, ErrorKind, Key, ResolvedRange, Result};

/// Most pieces of one answer.
const PIECES_MAX: usize = 100_000;

/// How a reader gets at what a manifest refers to, with the rights that it has there.
pub trait Reach: Send + Sync {
    /// Opens an object itself, a manifest too.
    fn open<'a>(
        &'a self,
        bucket: &'a BucketName,
        key: &'a Key,
    ) -> BoxFuture<'a, Result<ObjectReader>>;

    /// A page of keys.
    fn list<'a>(&'a self, list: &'a ListObjects) -> BoxFuture<'a, Result<Listing>>;
}

/// Segments and a way to them.
#[derive(Clone)]
pub struct Joined {
    segments: Arc<[Segment]>,
    reach: Arc<dyn Reach>,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Joined").field(&self.segments).finish()
    }
}

/// A run of bytes somewhere.
enum Piece {
    Inline(Bytes),
    Object {
        segment: ObjectSegment,
        range: ResolvedRange,
    },
}

impl Joined {
    /// Segments that are read through `reach`.
    pub fn new(segments: Vec<Segment>, reach: Arc<dyn Reach>) -> Self {
        let segments = segments.into();
        Joined { segments, reach }
    }

    /// The segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How many bytes they have.
    pub fn length(&self) -> u64 {
        joined_length(&self.segments)
    }

    /// What identifies them.
    pub fn digest(&self) -> Digest {
        joined_digest(&self.segments)
    }

    /// The bytes of a range. The first piece is open when this returns.
    ///
    /// # Errors
    /// `Conflict` when a segment is not what the manifest says, or manifests nest too deep;
    /// `Forbidden`.
    pub async fn read(&self, range: ResolvedRange) -> Result<BoxStream<'static, Result<Bytes>>> {
        let mut pieces = VecDeque::new();
        collect(&*self.reach, &self.segments, range, 1, &mut pieces).await?;
        let Some(first) = pieces.pop_front() else {
            return Ok(stream::empty().boxed());
        };
        let first = open_piece(&*self.reach, first).await?;
        let state = Some((self.reach.clone(), pieces));
        let rest = stream::unfold(state, |state| async {
            let (reach, mut pieces) = state?;
            let piece = pieces.pop_front()?;
            match open_piece(&*reach, piece).await {
                Ok(stream) => Some((stream, Some((reach, pieces)))),
                Err(error) => Some((stream::iter([Err(error)]).boxed(), None)),
            }
        });
        Ok(first.chain(rest.flatten()).boxed())
    }
}

/// The part of a range that falls on `length` bytes at `offset`, counted from there.
fn part(range: ResolvedRange, offset: u64, length: u64) -> Option<ResolvedRange> {
    let start = range.start.max(offset);
    let end = range.end.min(offset.saturating_add(length));
    (start < end).then(|| ResolvedRange {
        start: start - offset,
        end: end - offset,
    })
}

/// The pieces of a range; manifests among the segments are looked into.
fn collect<'a>(
    reach: &'a dyn Reach,
    segments: &'a [Segment],
    range: ResolvedRange,
    depth: usize,
    pieces: &'a mut VecDeque<Piece>,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let mut offset = 0u64;
        for segment in segments {
            let length = segment.length();
            let wanted = part(range, offset, length);
            offset = offset.saturating_add(length);
            let Some(wanted) = wanted else { continue };
            if pieces.len() >= PIECES_MAX {
                return Err(gone("a manifest joins too many pieces"));
            }
            match segment {
                Segment::Inline(bytes) => pieces.push_back(Piece::Inline(slice(bytes, wanted))),
                Segment::Object(object) => {
                    let start = object.range.map_or(0, |range| range.start);
                    let range = ResolvedRange {
                        start: wanted.start.saturating_add(start),
                        end: wanted.end.saturating_add(start),
                    };
                    if !object.nested {
                        let segment = object.clone();
                        pieces.push_back(Piece::Object { segment, range });
                        continue;
                    }
                    if depth >= NESTING_MAX {
                        return Err(gone("manifests nest too deep"));
                    }
                    let inner = open(reach, object).await?.into_segments().await?;
                    collect(reach, &inner, range, depth + 1, pieces).await?;
                }
            }
        }
        Ok(())
    })
}

fn slice(bytes: &Bytes, range: ResolvedRange) -> Bytes {
    let place = |offset| {
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    bytes.slice(place(range.start)..place(range.end))
}

/// Opens a segment, which must be what the manifest says.
async fn open(reach: &dyn Reach, segment: &ObjectSegment) -> Result<ObjectReader> {
    let opened = reach.open(&segment.bucket, &segment.key).await;
    let reader = opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound(_) => gone("a segment is not there").with_source(error),
        _ => error,
    })?;
    let object = reader.object();
    let length = match segment.nested {
        true => object.length(),
        false => object.stored_length(),
    };
    let is_nested = object.has_segments();
    // Of a manifest that is meant itself, nothing is known but its bytes.
    let same = is_nested == segment.nested && object.content_tag() == segment.tag;
    match same && length == segment.length {
        true => Ok(reader),
        false => Err(gone("a segment is not what the manifest says")),
    }
}

async fn open_piece(reach: &dyn Reach, piece: Piece) -> Result<BoxStream<'static, Result<Bytes>>> {
    let (segment, range) = match piece {
        Piece::Inline(bytes) => return Ok(stream::iter([Ok(bytes)]).boxed()),
        Piece::Object { segment, range } => (segment, range),
    };
    let reader = open(reach, &segment).await?;
    Ok(match reader.into_own_bytes(range).await? {
        ObjectBytes::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
        ObjectBytes::Stream(stream) => stream.boxed(),
    })
}

fn gone(what: &str) -> Error {
    Error::new(ErrorKind::Conflict, what)
}
