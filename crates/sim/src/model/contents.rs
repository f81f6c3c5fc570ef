//! What the verbs mean that make contents of others: copies, changes in place, joins, uploads in parts.

use super::blocks;
use super::joined::{self, MAYBE, Piece};
use super::operation::{Condition, Which};
use super::state::{Answer, Bucket, Model, NEWEST, Stored, holds};
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::{ByteRange, ErrorKind, Noun, ResolvedRange};

/// Where a patch goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    At(u64),
    End,
    /// Bytes that the end is said to be off by.
    EndOff(i64),
}

/// Bytes of an object.
#[derive(Clone, Debug)]
pub(super) struct From {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) which: Which,
    pub(super) range: Option<ByteRange>,
}

/// What is done to an upload: the so-manieth of its bucket, by key.
#[derive(Clone, Debug)]
pub(super) enum OfUpload {
    Send {
        number: u32,
        bytes: Bytes,
    },
    Copy {
        number: u32,
        from: From,
    },
    /// Some of the parts that are there, and one that may not be.
    Complete {
        mask: u64,
        extra: Option<u32>,
        bytes_min: u64,
        condition: Condition,
    },
    Abort,
}

#[derive(Clone, Debug)]
pub(super) enum Contents {
    Copy {
        from: From,
        condition: Condition,
        /// New metadata instead of the source's.
        kind: Option<String>,
    },
    Patch {
        place: Place,
        bytes: Bytes,
        condition: Condition,
        create: bool,
    },
    Compose {
        sources: Vec<From>,
        condition: Condition,
    },
    /// A manifest.
    Join {
        pieces: Vec<Piece>,
        condition: Condition,
    },
    Begin {
        kind: String,
    },
    Upload {
        nth: usize,
        what: OfUpload,
    },
    ListUploads,
}

impl Contents {
    /// Whether it changes what a key holds.
    pub(super) fn is_patch(&self) -> bool {
        matches!(self, Contents::Patch { .. })
    }

    pub(super) fn verb(&self) -> &'static str {
        match self {
            Contents::Copy { .. } => "copy",
            Contents::Patch { .. } => "patch",
            Contents::Compose { .. } => "compose",
            Contents::Join { .. } => "join",
            Contents::Begin { .. } => "create upload",
            Contents::Upload { what, .. } => match what {
                OfUpload::Send { .. } => "upload part",
                OfUpload::Copy { .. } => "copy part",
                OfUpload::Complete { .. } => "complete upload",
                OfUpload::Abort => "abort upload",
            },
            Contents::ListUploads => "list uploads",
        }
    }
}

/// An upload that was neither completed nor given up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Upload {
    pub(super) key: String,
    /// Empty until the store has told it.
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) parts: BTreeMap<u32, Bytes>,
}

/// The uploads of a bucket as text.
pub(super) fn text_of_uploads(uploads: &[Upload]) -> String {
    let mut lines: Vec<String> = uploads
        .iter()
        .map(|upload| {
            let parts = upload.parts.iter();
            let parts: Vec<(u32, usize)> = parts.map(|(n, bytes)| (*n, bytes.len())).collect();
            format!("{:?} {} {} {parts:?}", upload.key, upload.id, upload.kind)
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// A source, and which bytes of it are meant.
pub(super) fn source(
    model: &Model,
    now: u64,
    from: &From,
) -> Result<(Stored, ResolvedRange), ErrorKind> {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    let bucket = model.get(&from.bucket).ok_or(missing)?;
    let stored = bucket.readable(&from.key, from.which, now)?;
    let end = stored.bytes.len() as u64;
    let range = match from.range {
        Some(range) => range.resolve(end).map_err(|error| error.kind())?,
        None => ResolvedRange { start: 0, end },
    };
    Ok((stored.clone(), range))
}

/// The bytes of a source, and whether it is certain that they can be read.
fn bytes_of(
    model: &Model,
    now: u64,
    (stored, range): (&Stored, ResolvedRange),
) -> Result<(Bytes, bool), ErrorKind> {
    let (start, end) = (range.start as usize, range.end as usize);
    let certain = joined::resolve(model, now, stored, (start, end))?;
    Ok((stored.bytes.slice(start..end), certain))
}

/// Whether it reads what a manifest joins. That may be a conflict, and is found out before what becomes
/// of the target.
pub(super) fn reads_joined(model: &Model, now: u64, operation: &Contents) -> bool {
    let from = match operation {
        Contents::Copy { from, .. } => from,
        Contents::Upload {
            what: OfUpload::Copy { from, .. },
            ..
        } => from,
        _ => return false,
    };
    source(model, now, from).is_ok_and(|(stored, _)| stored.joined.is_some())
}

/// What a new object has that has nothing but bytes and a kind.
pub(super) fn plain(bytes: Bytes, kind: &str) -> Stored {
    Stored {
        bytes,
        kind: kind.to_owned(),
        marker: false,
        ..Stored::marker(false)
    }
}

pub(super) fn install(bucket: &mut Bucket, now: u64, key: &str, new: Stored) -> Answer {
    let former = bucket.totals();
    bucket.install(key, new, now)?;
    bucket.check_quota(former)?;
    Ok(NEWEST.to_owned())
}

/// What the model answers; `model` becomes the state after it, if the answer is no error.
pub(super) fn expect(
    model: &mut Model,
    now: u64,
    (name, key): (&str, &str),
    operation: &Contents,
) -> Answer {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    match operation {
        Contents::Copy {
            from,
            condition,
            kind,
        } => {
            let (stored, range) = source(model, now, from)?;
            let bucket = model.get(name).ok_or(missing)?;
            holds(*condition, bucket.live(key, now))?;
            let (bytes, certain) = bytes_of(model, now, (&stored, range))?;
            let bucket = model.get_mut(name).ok_or(missing)?;
            let mut new = plain(bytes, &stored.kind);
            new.directory = stored.directory;
            match kind {
                Some(kind) => new.kind.clone_from(kind),
                None => {
                    new.metadata = stored.metadata;
                    new.tag = stored.tag;
                }
            }
            let newest = install(bucket, now, key, new)?;
            Ok(match certain {
                true => newest,
                false => format!("{MAYBE}{newest}"),
            })
        }
        Contents::Join { pieces, condition } => {
            let (joined, bytes) = joined::join(model, now, pieces)?;
            let bucket = model.get_mut(name).ok_or(missing)?;
            holds(*condition, bucket.live(key, now))?;
            let new = Stored {
                joined: Some(joined),
                ..plain(bytes, "joined")
            };
            install(bucket, now, key, new)
        }
        Contents::Compose { sources, condition } => {
            let bucket = model.get(name).ok_or(missing)?;
            holds(*condition, bucket.live(key, now))?;
            let mut bytes = Vec::new();
            for from in sources {
                let (stored, range) = source(model, now, from)?;
                if stored.joined.is_some() {
                    return Err(ErrorKind::InvalidInput);
                }
                bytes.extend_from_slice(&bytes_of(model, now, (&stored, range))?.0);
            }
            let bucket = model.get_mut(name).ok_or(missing)?;
            install(bucket, now, key, plain(bytes.into(), "composed"))
        }
        Contents::Patch { .. } => {
            let bucket = model.get_mut(name).ok_or(missing)?;
            patch(bucket, now, key, operation)
        }
        Contents::Begin { kind } => {
            let bucket = model.get_mut(name).ok_or(missing)?;
            bucket.uploads.push(Upload {
                key: key.to_owned(),
                id: String::new(),
                kind: kind.clone(),
                parts: BTreeMap::new(),
            });
            Ok(String::new())
        }
        Contents::Upload { nth, what } => of_upload(model, now, (name, *nth), what),
        Contents::ListUploads => {
            let bucket = model.get(name).ok_or(missing)?;
            Ok(text_of_uploads(&bucket.uploads))
        }
    }
}

fn patch(bucket: &mut Bucket, now: u64, key: &str, operation: &Contents) -> Answer {
    let Contents::Patch {
        place,
        bytes,
        condition,
        create,
    } = operation
    else {
        return Err(ErrorKind::Internal);
    };
    let current = bucket.live(key, now);
    holds(*condition, current)?;
    if current.is_none() && !create {
        return Err(ErrorKind::NotFound(Noun::Object));
    }
    if current.is_some_and(|current| current.volume) {
        return blocks::write(bucket, now, key, (*place, bytes));
    }
    if current.is_some_and(|current| current.directory || current.joined.is_some()) {
        return Err(ErrorKind::InvalidInput);
    }
    let length = current.map_or(0, |current| current.bytes.len() as u64);
    let at = match place {
        Place::At(at) => *at,
        Place::End => length,
        Place::EndOff(off) if length.saturating_add_signed(*off) == length => length,
        Place::EndOff(_) => return Err(ErrorKind::InvalidOffset { length }),
    };
    if let (Some(current), true) = (current, bytes.is_empty()) {
        return Ok(current.text());
    }
    let mut new = current
        .cloned()
        .unwrap_or_else(|| plain(Bytes::new(), "patched"));
    let mut changed = new.bytes.to_vec();
    let end = at as usize + bytes.len();
    if !bytes.is_empty() {
        changed.resize(changed.len().max(end), 0);
    }
    for (to, from) in changed.iter_mut().skip(at as usize).zip(bytes) {
        *to = *from;
    }
    new.bytes = changed.into();
    new.revision = String::new();
    install(bucket, now, key, new)
}

fn of_upload(model: &mut Model, now: u64, (name, nth): (&str, usize), what: &OfUpload) -> Answer {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    let gone = ErrorKind::NotFound(Noun::Upload);
    match what {
        OfUpload::Send { number, .. } | OfUpload::Copy { number, .. }
            if *number == 0 || *number > 10_000 =>
        {
            return Err(ErrorKind::InvalidInput);
        }
        _ => {}
    }
    let upload = model.get(name).ok_or(missing)?.uploads.get(nth).cloned();
    let mut upload = upload.ok_or(gone)?;
    let (number, (bytes, certain)) = match what {
        OfUpload::Send { number, bytes } => (*number, (bytes.clone(), true)),
        OfUpload::Copy { number, from } => {
            let (stored, range) = source(model, now, from)?;
            (*number, bytes_of(model, now, (&stored, range))?)
        }
        OfUpload::Abort => {
            let bucket = model.get_mut(name).ok_or(missing)?;
            bucket.uploads.remove(nth);
            return Ok(String::new());
        }
        OfUpload::Complete { .. } => {
            let bucket = model.get_mut(name).ok_or(missing)?;
            return complete(bucket, now, nth, what);
        }
    };
    let length = bytes.len();
    upload.parts.insert(number, bytes);
    let bucket = model.get_mut(name).ok_or(missing)?;
    if let Some(place) = bucket.uploads.get_mut(nth) {
        *place = upload;
    }
    let maybe = if certain { "" } else { MAYBE };
    Ok(format!("{maybe}{number} {length}"))
}

/// The parts that a completion names.
pub(super) fn named(upload: &Upload, mask: u64, extra: Option<u32>) -> Vec<u32> {
    let chosen = upload.parts.keys().enumerate();
    let chosen = chosen.filter(|(at, _)| mask >> (at % 64) & 1 == 0);
    chosen.map(|(_, number)| *number).chain(extra).collect()
}

fn complete(bucket: &mut Bucket, now: u64, nth: usize, what: &OfUpload) -> Answer {
    let OfUpload::Complete {
        mask,
        extra,
        bytes_min,
        condition,
    } = what
    else {
        return Err(ErrorKind::Internal);
    };
    let gone = ErrorKind::NotFound(Noun::Upload);
    let upload = bucket.uploads.get(nth).cloned().ok_or(gone)?;
    let numbers = named(&upload, *mask, *extra);
    if numbers.is_empty() {
        return Err(ErrorKind::InvalidInput);
    }
    if !numbers.is_sorted_by(|first, second| first < second) {
        return Err(ErrorKind::InvalidPartOrder);
    }
    holds(*condition, bucket.live(&upload.key, now))?;
    let mut bytes = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        let number = *number;
        let invalid = ErrorKind::InvalidPart { number };
        let part = upload.parts.get(&number).ok_or(invalid)?;
        let length = part.len() as u64;
        if length < *bytes_min && at + 1 < numbers.len() {
            return Err(ErrorKind::PartTooSmall { number, length });
        }
        bytes.extend_from_slice(part);
    }
    bucket.uploads.remove(nth);
    let new = plain(bytes.into(), &upload.kind);
    install(bucket, now, &upload.key, new)
}
