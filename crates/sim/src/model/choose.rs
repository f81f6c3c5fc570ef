//! Which operation comes next: chosen so that every outcome of every verb is met.

use super::choose_blocks;
use super::choose_contents;
use super::operation::{Condition, Listed, ListedVersions, Operation, Property, Which};
use super::snapshots;
use super::state::Model;
use bytes::Bytes;
use trestle_core::{ByteRange, Metadata};
use trestle_host::SeededRandom;
use trestle_store::{History, Versioning};

const BUCKETS: [&str; 3] = ["one", "two", "drei und mehr"];
/// Bytes up to which a content is attached to its row.
pub(super) const BODY_MAX: usize = 128 << 10;

/// A few keys that are near each other in every way that matters.
pub(super) fn key(random: &SeededRandom) -> String {
    const PARTS: [&str; 8] = ["a", "b", "/", "a/", "//", "é", "\u{1}", "~"];
    if random.next_u64().is_multiple_of(40) {
        return "k".repeat(1024);
    }
    let count = 1 + random.next_u64() % 4;
    (0..count)
        .map(|_| {
            PARTS
                .get(random.next_u64() as usize % PARTS.len())
                .copied()
                .unwrap_or("a")
        })
        .collect()
}

pub(super) fn bytes(random: &SeededRandom, body_max: usize) -> Bytes {
    let length = match random.next_u64() % 24 {
        0 => body_max,
        1 => body_max + 1,
        2 => body_max - 1,
        3 => 2 * body_max + 77,
        4..6 => 0,
        6 => 65_536,
        _ => random.next_u64() as usize % 300,
    };
    let seed = random.next_u64().to_be_bytes();
    seed.iter()
        .copied()
        .cycle()
        .take(length)
        .collect::<Vec<u8>>()
        .into()
}

/// One of these.
pub(super) fn one<T: Clone>(random: &SeededRandom, of: &[T], otherwise: T) -> T {
    let at = random.next_u64() as usize % of.len().max(1);
    of.get(at).cloned().unwrap_or(otherwise)
}

pub(super) fn bucket(random: &SeededRandom) -> String {
    let at = random.next_u64() as usize % 16;
    BUCKETS.get(at).copied().unwrap_or("one").to_owned()
}

pub(super) fn condition(random: &SeededRandom) -> Condition {
    match random.next_u64() % 8 {
        0 => Condition::Absent,
        1 => Condition::Current,
        2 => Condition::Other,
        _ => Condition::None,
    }
}

pub(super) fn which(random: &SeededRandom) -> Which {
    match random.next_u64() % 6 {
        0 => Which::Null,
        1 | 2 => Which::Nth(random.next_u64() as usize % 4),
        _ => Which::Current,
    }
}

fn prefix(random: &SeededRandom) -> String {
    one(random, &["", "", "a", "a/", "é"], "").to_owned()
}

fn delimiter(random: &SeededRandom) -> Option<String> {
    let at = random.next_u64() as usize % 5;
    ["/", "a/", "//"].get(at).map(|d| (*d).to_owned())
}

fn metadata(random: &SeededRandom) -> Metadata {
    let n = random.next_u64() % 1000;
    let nested = serde_json::json!({ "n": n, "list": [null, true, "é"] });
    Metadata::from([("nested".to_owned(), nested)])
}

fn property(random: &SeededRandom) -> Property {
    let pick = |below: u64| random.next_u64() % below;
    match pick(12) {
        0 | 1 => Property::Metadata(metadata(random)),
        2 | 3 => Property::Tag(format!("tag {}", pick(3))),
        4 => Property::Untag,
        5 => Property::Hold(true),
        6 | 7 => Property::Hold(false),
        8 => Property::Retain(pick(2) == 0, pick(60)),
        9 => Property::Retain(pick(2) == 0, pick(1000)),
        10 => Property::Release,
        _ => Property::Expires((pick(2) == 0).then(|| pick(60))),
    }
}

/// The bucket, the key or prefix, and what is done.
pub(super) fn choose(random: &SeededRandom, model: &Model) -> (String, String, Operation) {
    let chosen = match random.next_u64().is_multiple_of(5) {
        true => choose_blocks::choose(random, model),
        false => single(random, model),
    };
    snapshots::turned(random, model, chosen)
}

/// One verb alone.
pub(super) fn single(random: &SeededRandom, model: &Model) -> (String, String, Operation) {
    let pick = |below: u64| random.next_u64() % below;
    if pick(3) == 0 {
        let (name, mut key, made) = choose_contents::choose(random, model);
        if made.is_patch() && pick(2) == 0 {
            key = held(model, &name).unwrap_or(key);
        }
        return (name, key, Operation::Contents(made));
    }
    let name = bucket(random);
    let known = model
        .get(&name)
        .map(|bucket| &bucket.keys)
        .filter(|keys| !keys.is_empty() && pick(5) > 0);
    let known = known.and_then(|keys| keys.keys().nth(pick(keys.len() as u64) as usize));
    let chosen = known.cloned().unwrap_or_else(|| key(random));
    // What snapshots keep counts against quotas, and is not known here.
    let snapped = model
        .get(&name)
        .is_some_and(|of| of.tied || !of.snapshots.is_empty());
    let operation = match pick(64) {
        0..2 => Operation::CreateBucket,
        2 => {
            return (
                one(random, &BUCKETS, "two").to_owned(),
                chosen,
                Operation::DeleteBucket,
            );
        }
        3 => Operation::Bucket,
        4 => Operation::ListBuckets {
            prefix: one(random, &["", "o", "t"], "").to_owned(),
            limit: pick(4) as usize,
        },
        5 | 6 => Operation::Versioning(one(
            random,
            &[
                Versioning::Enabled,
                Versioning::Suspended,
                Versioning::Suspended,
                Versioning::Off,
            ],
            Versioning::Enabled,
        )),
        7 if !snapped && pick(4) > 0 => Operation::Quota(Some(pick(600_000)), Some(pick(12))),
        7 => Operation::Quota(None, None),
        8..21 | 62 | 63 => Operation::Put {
            bytes: bytes(random, BODY_MAX),
            kind: format!("kind-{}", pick(5)),
            metadata: metadata(random),
            condition: condition(random),
            declared: one(random, &[0, 0, 0, 0, 0, 1, -1], 0),
            expires: (pick(6) == 0).then(|| pick(40)),
        },
        21 => Operation::CreateDirectory {
            condition: condition(random),
        },
        22 => {
            // What it joins may have changed.
            let read = Operation::Read {
                which: Which::Current,
                range: None,
            };
            return (name.clone(), joined(model, &name).unwrap_or(chosen), read);
        }
        23..27 => Operation::Read {
            which: which(random),
            range: match pick(4) {
                0 => Some(ByteRange::From(pick(300))),
                1 => Some(ByteRange::Suffix(pick(300))),
                2 => {
                    let first = pick(70_000);
                    Some(ByteRange::Inclusive {
                        first,
                        last: first + pick(70_000),
                    })
                }
                _ => None,
            },
        },
        27 => Operation::Head(which(random)),
        29 | 61 | 41 => {
            // What may not be shortened is to be tried.
            let operation = Operation::Update {
                which: Which::Current,
                property: Property::Release,
                bypass: pick(3) == 0,
            };
            return (
                name.clone(),
                retained(model, &name).unwrap_or(chosen),
                operation,
            );
        }
        30..33 => Operation::Update {
            which: which(random),
            property: property(random),
            bypass: pick(3) == 0,
        },
        33 if retained(model, &name).is_some() => {
            let operation = Operation::Delete {
                which: Which::Nth(0),
                condition: Condition::None,
                history: History::ByBucket,
                mark_missing: false,
                bypass: pick(2) == 0,
            };
            return (
                name.clone(),
                retained(model, &name).unwrap_or(chosen),
                operation,
            );
        }
        28 => Operation::Reinstate(which(random)),
        33..40 => Operation::Delete {
            which: which(random),
            condition: condition(random),
            history: match pick(3) {
                0 => History::Leave,
                _ => History::ByBucket,
            },
            mark_missing: pick(2) == 0,
            bypass: pick(3) == 0,
        },
        40 => {
            let operation = Operation::Delete {
                which: Which::Current,
                condition: condition(random),
                history: History::Erase,
                mark_missing: false,
                bypass: pick(3) == 0,
            };
            let keys = model.get(&name).into_iter().flat_map(|bucket| &bucket.keys);
            let mut held = keys.filter(|(_, versions)| versions.iter().any(|v| v.hold));
            let held = held.next().filter(|_| pick(3) == 0);
            let key = held.map_or(chosen, |(key, _)| key.clone());
            return (name, key, operation);
        }
        42 => Operation::Rename {
            bucket: bucket(random),
            key: key(random),
        },
        43 | 57 | 58 => {
            return (
                name,
                tree(random),
                Operation::DeleteTree {
                    erase: pick(2) == 0,
                },
            );
        }
        44 | 59 | 60 => {
            let operation = Operation::RenameTree {
                bucket: bucket(random),
                prefix: tree(random),
            };
            return (name, tree(random), operation);
        }
        45 | 46 => Operation::Expire,
        47..50 => Operation::ListVersions(ListedVersions {
            prefix: prefix(random),
            delimiter: delimiter(random),
            marker: (pick(2) == 0)
                .then(|| (chosen.clone(), (pick(2) == 0).then(|| pick(3) as usize))),
            limit: pick(9) as usize,
        }),
        _ => Operation::List(Listed {
            prefix: prefix(random),
            delimiter: delimiter(random),
            after: (pick(3) == 0).then(|| key(random)),
            until: (pick(4) == 0).then(|| key(random)),
            reverse: pick(3) == 0,
            limit: pick(9) as usize,
        }),
    };
    if pick(8) == 0 {
        let (key, operation) = snapshots::choose(random, model, (&name, &chosen), operation);
        return (name, key, operation);
    }
    (name, chosen, operation)
}

/// A key whose current object is a manifest.
fn joined(model: &Model, bucket: &str) -> Option<String> {
    let mut keys = model.get(bucket)?.keys.iter();
    let joined = keys.find(|(_, versions)| {
        let mut versions = versions.iter();
        versions.any(|version| version.current && version.joined.is_some())
    });
    joined.map(|(key, _)| key.clone())
}

/// A key whose newest version has a retention.
fn retained(model: &Model, bucket: &str) -> Option<String> {
    let mut keys = model.get(bucket)?.keys.iter();
    let retained = keys.find(|(_, versions)| {
        versions
            .first()
            .is_some_and(|newest| newest.retention.is_some())
    });
    retained.map(|(key, _)| key.clone())
}

/// A key whose null version, which may be replaced, is current and held.
fn held(model: &Model, bucket: &str) -> Option<String> {
    let bucket = model.get(bucket)?;
    if bucket.versioning == Versioning::Enabled {
        return None;
    }
    let mut keys = bucket.keys.iter();
    let held = keys.find(|(_, versions)| {
        let newest = versions.first();
        newest.is_some_and(|newest| newest.hold && newest.null)
    });
    held.map(|(key, _)| key.clone())
}

/// The prefix of a directory.
fn tree(random: &SeededRandom) -> String {
    one(
        random,
        &["a/", "b/", "/", "é/", "a/b", "new/", "a/a/"],
        "a/",
    )
    .to_owned()
}
