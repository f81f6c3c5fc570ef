//! What volumes, snapshots, clones and transactions mean.

use super::contents::{self, Contents, From, OfUpload, Place, plain, source};
use super::operation::{Condition, Operation, Which};
use super::state::{Answer, Bucket, Model, NEWEST, Stored, expect as expect_of, holds};
use bytes::Bytes;
use std::collections::BTreeSet;
use trestle_core::{ErrorKind, Noun};
use trestle_store::{History, Versioning};

/// One verb of a transaction: where, and what.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) operation: Operation,
}

#[derive(Clone, Debug)]
pub(super) enum Blocks {
    CreateVolume {
        size: u64,
        condition: Condition,
    },
    Zeros {
        offset: u64,
        length: u64,
        condition: Condition,
    },
    Resize {
        size: u64,
        condition: Condition,
    },
    Flush,
    /// A snapshot when it is frozen.
    Clone {
        from: From,
        condition: Condition,
        frozen: bool,
    },
    /// Within a transaction alone.
    Check {
        condition: Condition,
    },
    Transact(Vec<Step>),
}

impl Blocks {
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Blocks::CreateVolume { .. } => "create volume",
            Blocks::Zeros { .. } => "zeroes",
            Blocks::Resize { .. } => "resize",
            Blocks::Flush => "flush",
            Blocks::Clone { frozen: true, .. } => "snapshot",
            Blocks::Clone { frozen: false, .. } => "clone",
            Blocks::Check { .. } => "check",
            Blocks::Transact(_) => "transact",
        }
    }
}

/// Sizes that a volume of the model may have.
const SIZE_MAX: u64 = 1 << 40;

/// What the model answers; `model` becomes the state after it, if the answer is no error.
pub(super) fn expect(
    model: &mut Model,
    now: u64,
    (name, key): (&str, &str),
    operation: &Blocks,
) -> Answer {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    match operation {
        Blocks::Transact(steps) => transact(model, now, steps).map_err(|(_, kind)| kind),
        Blocks::Clone {
            from,
            condition,
            frozen,
        } => {
            if from.range.is_some() {
                return Err(ErrorKind::InvalidInput);
            }
            let (stored, _) = source(model, now, from)?;
            let bucket = model.get_mut(name).ok_or(missing)?;
            holds(*condition, bucket.live(key, now))?;
            let new = Stored {
                revision: String::new(),
                hold: false,
                retention: None,
                expires: None,
                frozen: *frozen,
                ..stored
            };
            contents::install(bucket, now, key, new)
        }
        Blocks::CreateVolume { size, condition } => {
            check_size(*size)?;
            let bucket = model.get_mut(name).ok_or(missing)?;
            let live = bucket.live(key, now);
            holds(*condition, live)?;
            if let Some(there) = live.filter(|there| there.volume) {
                return match there.bytes.len() as u64 == *size {
                    true => Ok(there.text()),
                    false => Err(ErrorKind::InvalidState),
                };
            }
            let new = Stored {
                volume: true,
                ..plain(vec![0; *size as usize].into(), "volume")
            };
            contents::install(bucket, now, key, new)
        }
        Blocks::Resize { size, .. } => {
            check_size(*size)?;
            change(model, now, (name, key), operation)
        }
        Blocks::Zeros { .. } | Blocks::Flush => change(model, now, (name, key), operation),
        Blocks::Check { .. } => Err(ErrorKind::Internal),
    }
}

fn check_size(size: u64) -> Result<(), ErrorKind> {
    match (1..SIZE_MAX).contains(&size) {
        true => Ok(()),
        false => Err(ErrorKind::InvalidInput),
    }
}

/// A change of a volume that brings no bytes.
fn change(model: &mut Model, now: u64, (name, key): (&str, &str), operation: &Blocks) -> Answer {
    let bucket = model
        .get_mut(name)
        .ok_or(ErrorKind::NotFound(Noun::Bucket))?;
    let condition = match operation {
        Blocks::Zeros { condition, .. } | Blocks::Resize { condition, .. } => *condition,
        _ => Condition::None,
    };
    let there = bucket.live(key, now);
    holds(condition, there)?;
    let there = there.ok_or(ErrorKind::NotFound(Noun::Object))?;
    if !there.volume {
        return Err(ErrorKind::InvalidState);
    }
    let mut bytes = there.bytes.to_vec();
    let length = bytes.len() as u64;
    match operation {
        Blocks::Zeros {
            offset,
            length: zeros,
            ..
        } => {
            if offset.saturating_add(*zeros) > length {
                return Err(ErrorKind::RangeNotSatisfiable { length });
            }
            if *zeros == 0 {
                return Ok(there.text());
            }
            let (start, end) = (*offset as usize, (offset + zeros) as usize);
            if let Some(range) = bytes.get_mut(start..end) {
                range.fill(0);
            }
        }
        Blocks::Resize { size, .. } if *size != length => bytes.resize(*size as usize, 0),
        _ => return Ok(there.text()),
    }
    rewrite(bucket, now, key, bytes.into())
}

/// Bytes that a volume gets at a place.
pub(super) fn write(
    bucket: &mut Bucket,
    now: u64,
    key: &str,
    (place, new): (Place, &Bytes),
) -> Answer {
    let there = bucket.live(key, now);
    let there = there.ok_or(ErrorKind::NotFound(Noun::Object))?;
    let Place::At(at) = place else {
        return Err(ErrorKind::InvalidState);
    };
    let mut bytes = there.bytes.to_vec();
    let length = bytes.len() as u64;
    let end = at.saturating_add(new.len() as u64);
    if end > length {
        return Err(ErrorKind::RangeNotSatisfiable { length });
    }
    if new.is_empty() {
        return Ok(there.text());
    }
    if let Some(range) = bytes.get_mut(at as usize..end as usize) {
        range.copy_from_slice(new);
    }
    rewrite(bucket, now, key, bytes.into())
}

/// Other bytes for a volume, in place.
fn rewrite(bucket: &mut Bucket, now: u64, key: &str, bytes: Bytes) -> Answer {
    let former = bucket.totals();
    let versions = bucket.keys.get_mut(key).into_iter().flatten();
    let current = versions.into_iter().find(|version| version.current);
    let there = current.ok_or(ErrorKind::NotFound(Noun::Object))?;
    if there.frozen {
        return Err(ErrorKind::InvalidState);
    }
    there.check(now, false)?;
    there.bytes = bytes;
    there.changed();
    let text = there.text();
    bucket.check_quota(former)?;
    Ok(text)
}

/// A bucket, and a key of it.
type Named = (String, String);

/// The keys that a verb of a transaction reads, and those that it changes.
fn places(model: &Model, step: &Step) -> (Option<Named>, Vec<Named>) {
    let own = || (step.bucket.clone(), step.key.clone());
    match &step.operation {
        Operation::Blocks(Blocks::Check { .. }) => (Some(own()), Vec::new()),
        Operation::Rename { bucket, key } => (None, vec![own(), (bucket.clone(), key.clone())]),
        Operation::Contents(Contents::Copy { from, .. }) => {
            (Some((from.bucket.clone(), from.key.clone())), vec![own()])
        }
        Operation::Contents(Contents::Upload { nth, .. }) => {
            let upload = model.get(&step.bucket);
            let upload = upload.and_then(|bucket| bucket.uploads.get(*nth));
            let key = upload.map_or("none", |upload| upload.key.as_str());
            (None, vec![(step.bucket.clone(), key.to_owned())])
        }
        _ => (None, vec![own()]),
    }
}

/// What a transaction answers, or which verb is refused and why; none when it is none in particular.
pub(super) fn transact(
    model: &mut Model,
    now: u64,
    steps: &[Step],
) -> Result<String, (Option<usize>, ErrorKind)> {
    if steps.is_empty() {
        return Err((None, ErrorKind::InvalidInput));
    }
    let (before, mut changed) = (model.clone(), BTreeSet::new());
    // What all of them together bring is counted, at the end.
    for bucket in model.values_mut() {
        bucket.quota = (None, None);
    }
    let mut answers = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let at = |kind| (Some(index), kind);
        let (reads, writes) = places(&before, step);
        let reads = reads.into_iter().map(|place| (false, place));
        for (write, place) in reads.chain(writes.into_iter().map(|place| (true, place))) {
            if !model.contains_key(&place.0) {
                return Err(at(ErrorKind::NotFound(Noun::Bucket)));
            }
            if changed.contains(&place) {
                return Err(at(ErrorKind::InvalidInput));
            }
            if write {
                changed.insert(place);
            }
        }
        answers.push(one(model, now, (&before, step)).map_err(at)?);
    }
    for (name, bucket) in model.iter_mut() {
        let former = before.get(name);
        bucket.quota = former.map_or((None, None), |former| former.quota);
        let former = former.map_or((0, 0, 0, 0), Bucket::totals);
        bucket.check_quota(former).map_err(|kind| (None, kind))?;
    }
    Ok(format!("{answers:?}"))
}

/// What one verb of a transaction answers: whether its key held nothing, and how long it is now.
fn one(model: &mut Model, now: u64, (before, step): (&Model, &Step)) -> Answer {
    let (name, key) = (step.bucket.as_str(), step.key.as_str());
    let live = |model: &Model, name: &str, key: &str| {
        let found = model.get(name).and_then(|bucket| bucket.live(key, now));
        found.map(|stored| stored.bytes.len())
    };
    // What has ended as soon as it is there is told, too.
    let there = |model: &Model, name: &str, key: &str| {
        let found = model.get(name).and_then(|bucket| bucket.current(key));
        found.map(|stored| stored.bytes.len())
    };
    let told = |created: bool, length: Option<usize>| format!("{created} {length:?}");
    match &step.operation {
        Operation::Blocks(Blocks::Check { condition }) => {
            let bucket = model.get(name);
            holds(*condition, bucket.and_then(|bucket| bucket.live(key, now)))?;
            return Ok(told(false, live(model, name, key)));
        }
        Operation::Delete { history, .. } if *history == History::Erase => {
            return Err(ErrorKind::InvalidInput);
        }
        Operation::Contents(Contents::Copy { from, .. }) => {
            let (stored, _) = source(model, now, from)?;
            if stored.joined.is_some() {
                return Err(ErrorKind::InvalidInput);
            }
        }
        _ => {}
    }
    let answer = expect_of(model, now, (name, key), &step.operation)?;
    let (name, key) = match &step.operation {
        Operation::Rename { bucket, key } => (bucket.as_str(), key.as_str()),
        Operation::Contents(Contents::Upload { nth, .. }) => {
            let upload = before.get(name).and_then(|bucket| bucket.uploads.get(*nth));
            (name, upload.map_or("none", |upload| upload.key.as_str()))
        }
        _ => (name, key),
    };
    match &step.operation {
        Operation::Delete { which, history, .. } => {
            let keeps = model.get(name).map(|bucket| bucket.versioning) != Some(Versioning::Off);
            let current = *which == Which::Current;
            let marked = keeps && current && *history != History::Leave;
            Ok(told(false, marked.then_some(0)))
        }
        // Of the version that it names.
        Operation::Update { .. } => {
            let length = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
            Ok(told(false, length))
        }
        _ => {
            let created = live(before, name, key).is_none();
            debug_assert!(answer == NEWEST || matches!(step.operation, Operation::Rename { .. }));
            Ok(told(created, there(model, name, key)))
        }
    }
}

/// Whether a verb may be one of a transaction's.
pub(super) fn is_step(operation: &Operation) -> bool {
    match operation {
        Operation::Put { declared, .. } => *declared == 0,
        Operation::Contents(Contents::Copy { .. }) => true,
        Operation::Contents(Contents::Upload { what, .. }) => {
            matches!(what, OfUpload::Complete { .. })
        }
        Operation::Delete { .. } | Operation::Update { .. } | Operation::Rename { .. } => true,
        Operation::Blocks(Blocks::Check { .. }) => true,
        _ => false,
    }
}
