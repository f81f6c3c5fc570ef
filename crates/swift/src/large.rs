//! Large objects: what a manifest stands for, as pieces of other objects, and the stream of a range
//! of it.
//!
//! Segments are looked up when they are read: a manifest holds no bytes. Each must be what the
//! manifest says; one that is not ends the stream, or refuses the request when it is the first.

use crate::call::{Call, Place};
use crate::container::key;
use crate::contents;
use crate::facts;
use crate::fault::{Fault, Outcome};
use crate::slo::{self, DEPTH_MAX, ObjectSegment, Segment};
use crate::symlink::Found;
use crate::target::{container_and_object, unquote};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use std::collections::{BTreeSet, VecDeque};
use trestle_access::Action;
use trestle_core::{AccountId, Error, ErrorKind, ResolvedRange, Result};
use trestle_store::{ListObjects, ListingItem, Object, ObjectBytes, ReadObject, VersionRef};

/// Most segments of a dynamic large object.
pub(crate) const SEGMENTS_MAX: usize = 10_000;
/// Most pieces of one answer.
const PIECES_MAX: usize = 100_000;

/// A run of bytes somewhere.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Object {
        place: Place,
        version: VersionRef,
        range: ResolvedRange,
        /// What the object must be: its entity tag and its length.
        expected: Option<(String, u64)>,
        /// Whether it was found and may be read: then it is not looked for once more, and a link
        /// is read as it is.
        found: bool,
    },
}

/// A segment of a dynamic large object.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) bytes: u64,
}

/// What an object's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Its own.
    Plain,
    /// Those of a manifest's segments.
    Slo(Vec<Segment>),
    /// Those of the objects that a prefix names in a container.
    Dlo(String, Vec<Listed>),
}

impl Shape {
    /// How many bytes it has.
    pub(crate) fn length(&self, own: &Object) -> u64 {
        match self {
            Shape::Plain => own.length(),
            Shape::Slo(segments) => slo::length(segments),
            Shape::Dlo(_, listed) => listed.iter().map(|segment| segment.bytes).sum(),
        }
    }
}

/// The whole content of an object, when it is short.
pub(crate) async fn read_whole(call: &Call, found: &Found, bytes_max: u64) -> Outcome<Bytes> {
    let length = found.object.length();
    if length > bytes_max {
        return Err(Fault::new(413));
    }
    let range = ResolvedRange {
        start: 0,
        end: length,
    };
    let piece = Piece::Object {
        place: found.place.clone(),
        version: found.version,
        range,
        expected: Some((facts::hash(&found.object), length)),
        found: true,
    };
    let stream = open(call, vec![piece]).await?;
    let max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    Ok(trestle_http::read_whole(stream, max).await?)
}

/// The segments of a manifest.
pub(crate) async fn segments(call: &Call, found: &Found) -> Outcome<Vec<Segment>> {
    // A stored manifest says more of each segment than the one that was put.
    let text = read_whole(call, found, 4 * slo::MANIFEST_MAX as u64).await?;
    slo::from_json(&text).ok_or_else(|| Fault::text(500, "Unable to load SLO manifest"))
}

/// The segments of a dynamic large object.
pub(crate) async fn listed(
    call: &Call,
    account: &AccountId,
    manifest: &str,
) -> Outcome<(String, Vec<Listed>)> {
    let (name, prefix) =
        container_and_object(&unquote(manifest)?).ok_or_else(|| Fault::new(404))?;
    let container = call.container(account, &name).await?;
    call.may(crate::rights::Wish {
        account,
        container: Some(&name),
        object: None,
        reads: true,
        manages: false,
    })
    .await?;
    let container = container.ok_or_else(|| Fault::new(404))?;
    let mut list = ListObjects {
        bucket: call.bucket_of(&container),
        prefix,
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: SEGMENTS_MAX,
    };
    let mut found = Vec::new();
    loop {
        let page = contents::page(call, &list).await?;
        for item in page.items {
            if let ListingItem::Object(object) = item {
                found.push(Listed {
                    name: object.key.as_str().to_owned(),
                    hash: facts::hash(&object),
                    bytes: object.length(),
                });
            }
        }
        if found.len() > SEGMENTS_MAX {
            return Err(Fault::text(
                409,
                format!("A dynamic large object has at most {SEGMENTS_MAX} segments"),
            ));
        }
        match page.next {
            Some(next) => list.after = Some(next),
            None => return Ok((name, found)),
        }
    }
}

/// The pieces of a range of an object.
pub(crate) async fn pieces(
    call: &Call,
    found: &Found,
    shape: &Shape,
    range: ResolvedRange,
) -> Outcome<Vec<Piece>> {
    let mut pieces = Vec::new();
    let account = &found.place.account;
    match shape {
        Shape::Plain => pieces.push(Piece::Object {
            place: found.place.clone(),
            version: found.version,
            range,
            expected: Some((facts::hash(&found.object), found.object.length())),
            found: true,
        }),
        Shape::Slo(segments) => {
            collect(call, account, segments, range, 1, &mut pieces).await?;
        }
        Shape::Dlo(container, listed) => {
            let mut offset = 0;
            for segment in listed {
                if let Some(range) = part(range, offset, segment.bytes) {
                    pieces.push(Piece::Object {
                        place: Place {
                            account: account.clone(),
                            container: container.clone(),
                            object: segment.name.clone(),
                        },
                        version: VersionRef::Current,
                        range,
                        expected: Some((segment.hash.clone(), segment.bytes)),
                        found: false,
                    });
                }
                offset += segment.bytes;
            }
        }
    }
    Ok(pieces)
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

fn collect<'a>(
    call: &'a Call,
    account: &'a AccountId,
    segments: &'a [Segment],
    range: ResolvedRange,
    depth: usize,
    pieces: &'a mut Vec<Piece>,
) -> BoxFuture<'a, Outcome<()>> {
    async move {
        let mut offset = 0u64;
        for segment in segments {
            let length = segment.length();
            let wanted = part(range, offset, length);
            offset = offset.saturating_add(length);
            let Some(wanted) = wanted else { continue };
            if pieces.len() >= PIECES_MAX {
                return Err(Fault::new(409));
            }
            match segment {
                Segment::Data(data) => pieces.push(Piece::Data(slice(data, wanted))),
                Segment::Object(object) => {
                    let start = object.range.map_or(0, |range| range.start);
                    let wanted = ResolvedRange {
                        start: wanted.start + start,
                        end: wanted.end + start,
                    };
                    nested(call, account, object, wanted, depth, pieces).await?;
                }
            }
        }
        Ok(())
    }
    .boxed()
}

fn slice(data: &[u8], range: ResolvedRange) -> Bytes {
    let place = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
    let part = data.get(place(range.start)..place(range.end));
    Bytes::copy_from_slice(part.unwrap_or_default())
}

async fn nested(
    call: &Call,
    account: &AccountId,
    segment: &ObjectSegment,
    range: ResolvedRange,
    depth: usize,
    pieces: &mut Vec<Piece>,
) -> Outcome<()> {
    let (container, object) = container_and_object(&segment.name).ok_or_else(|| Fault::new(409))?;
    let place = Place {
        account: account.clone(),
        container,
        object,
    };
    if !segment.sub_slo {
        pieces.push(Piece::Object {
            place,
            version: VersionRef::Current,
            range,
            expected: Some((segment.hash.clone(), segment.bytes)),
            found: false,
        });
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Err(Fault::new(409));
    }
    let found = call.follow(&place, VersionRef::Current).await;
    let found = found.map_err(|_| Fault::new(409))?;
    let large = facts::large(&found.object).ok_or_else(|| Fault::new(409))?;
    if large.etag != segment.hash || large.size != segment.bytes {
        return Err(Fault::new(409));
    }
    let inner = segments(call, &found).await?;
    collect(call, &found.place.account, &inner, range, depth + 1, pieces).await
}

/// The bytes of pieces, one after the other. The first piece is open when this returns.
///
/// # Errors
/// 409 when it is not what it must be.
pub(crate) async fn open(
    call: &Call,
    pieces: Vec<Piece>,
) -> Outcome<BoxStream<'static, Result<Bytes>>> {
    let mut pieces = VecDeque::from(pieces);
    let mut seen = BTreeSet::new();
    let first =
        match pieces.pop_front() {
            Some(piece) => open_piece(call, piece, &mut seen)
                .await
                .map_err(|error| match error.kind() {
                    ErrorKind::Conflict | ErrorKind::NotFound(_) | ErrorKind::Forbidden => {
                        Fault::new(409)
                    }
                    _ => error.into(),
                })?,
            None => return Ok(stream::empty().boxed()),
        };
    let call = call.clone();
    let rest = stream::unfold(Some((call, pieces, seen)), |state| async {
        let (call, mut pieces, mut seen) = state?;
        let piece = pieces.pop_front()?;
        match open_piece(&call, piece, &mut seen).await {
            Ok(stream) => Some((stream, Some((call, pieces, seen)))),
            Err(error) => Some((stream::iter([Err(error)]).boxed(), None)),
        }
    });
    Ok(first.chain(rest.flatten()).boxed())
}

async fn open_piece(
    call: &Call,
    piece: Piece,
    seen: &mut BTreeSet<String>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let (place, version, range, expected, known) = match piece {
        Piece::Data(bytes) => return Ok(stream::iter([Ok(bytes)]).boxed()),
        Piece::Object {
            place,
            version,
            range,
            expected,
            found,
        } => (place, version, range, expected, found),
    };
    let gone = |what: &str| Error::new(ErrorKind::Conflict, format!("a segment {what}"));
    // Each container's list is asked once for an answer; a policy, for each object.
    let mut asked = format!("{}:{}", place.account, place.container);
    if !call.is_let_by_rules(&place.account) {
        asked = format!("{asked}/{}", place.object);
    }
    let found = match !known && seen.insert(asked) {
        true => {
            let found = call.follow(&place, version).await;
            Some(found.map_err(|_| gone("cannot be read"))?)
        }
        false => None,
    };
    let (place, version) = match found {
        Some(found) => (found.place, found.version),
        None => (place, version),
    };
    let bucket = trestle_core::BucketName::in_account(&place.account, &place.container)?;
    let key = key(&place.object).map_err(|_| gone("has a malformed name"))?;
    let action = match version {
        VersionRef::Current => Action::ReadObject,
        _ => Action::ReadObjectVersion,
    };
    let grant = call.on_object(action, &bucket, &key).await?;
    let read = ReadObject {
        bucket,
        key,
        version,
    };
    let reader = call.swift.store.open_object(&grant, &read).await?;
    if !known && facts::link(reader.object()).is_some() {
        // Another link of the same container: it is followed as the first one was.
        let found = call.follow(&place, version).await;
        let found = found.map_err(|_| gone("cannot be read"))?;
        let piece = Piece::Object {
            place: found.place,
            version: found.version,
            range,
            expected,
            found: true,
        };
        return Box::pin(open_piece(call, piece, seen)).await;
    }
    if let Some((hash, length)) = expected
        && (facts::hash(reader.object()) != hash || reader.object().length() != length)
    {
        return Err(gone("is not what the manifest says"));
    }
    Ok(match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
        ObjectBytes::Stream(stream) => stream.boxed(),
    })
}
