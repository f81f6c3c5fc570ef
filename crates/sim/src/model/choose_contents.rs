//! Which content is made of others next.

use super::choose::{bucket, bytes, condition, key, one, which};
use super::contents::{Contents, From, OfUpload, Place};
use super::joined::Piece;
use super::state::Model;
use trestle_core::ByteRange;
use trestle_host::SeededRandom;

/// Some key of some bucket, mostly one that is there.
pub(super) fn some_key(random: &SeededRandom, model: &Model) -> (String, String) {
    let pick = |below: u64| random.next_u64() % below;
    let name = bucket(random);
    let keys = model.get(&name).map(|bucket| &bucket.keys);
    let keys = keys.filter(|keys| !keys.is_empty() && pick(8) > 0);
    let known = keys.and_then(|keys| keys.keys().nth(pick(keys.len() as u64) as usize));
    let chosen = known.cloned().unwrap_or_else(|| key(random));
    (name, chosen)
}

pub(super) fn from(random: &SeededRandom, model: &Model) -> From {
    let pick = |below: u64| random.next_u64() % below;
    let (bucket, key) = some_key(random, model);
    From {
        bucket,
        key,
        which: which(random),
        range: match pick(6) {
            0 => Some(ByteRange::From(pick(300))),
            1 => Some(ByteRange::Suffix(pick(200_000))),
            2 => {
                let first = pick(70_000);
                Some(ByteRange::Inclusive {
                    first,
                    last: first + pick(200_000),
                })
            }
            _ => None,
        },
    }
}

/// The bucket, the key, and what is done.
pub(super) fn choose(random: &SeededRandom, model: &Model) -> (String, String, Contents) {
    let pick = |below: u64| random.next_u64() % below;
    let (name, chosen) = some_key(random, model);
    let operation = match pick(28) {
        0..4 => Contents::Copy {
            from: from(random, model),
            condition: condition(random),
            kind: (pick(2) == 0).then(|| format!("copied-{}", pick(3))),
        },
        4..10 => Contents::Patch {
            place: match pick(8) {
                0..3 => Place::At(pick(300)),
                3 | 4 => Place::At(pick(300_000)),
                5 | 6 => Place::End,
                _ => Place::EndOff(one(random, &[0, 1, -1], 0)),
            },
            bytes: bytes(random, 128 << 10),
            condition: condition(random),
            create: pick(4) == 0,
        },
        10..12 => Contents::Compose {
            sources: (0..1 + pick(3)).map(|_| from(random, model)).collect(),
            condition: condition(random),
        },
        // How long the list itself is, only the store knows: it is no matter of a quota.
        24..28 if model.get(&name).is_none_or(|bucket| !bucket.has_quota()) => Contents::Join {
            pieces: (0..pick(4))
                .map(|_| match pick(4) {
                    0 => Piece::Inline(bytes(random, 300)),
                    _ => Piece::of(from(random, model)),
                })
                .collect(),
            condition: condition(random),
        },
        12 | 13 => Contents::Begin {
            kind: format!("uploaded-{}", pick(3)),
        },
        14 => Contents::ListUploads,
        _ => return of_upload(random, model, name),
    };
    (name, chosen, operation)
}

fn of_upload(random: &SeededRandom, model: &Model, name: String) -> (String, String, Contents) {
    let pick = |below: u64| random.next_u64() % below;
    let uploads = model.get(&name).map(|bucket| &bucket.uploads);
    let count = uploads.map_or(0, Vec::len) as u64;
    // Now and then one that is not there.
    let nth = match pick(12) {
        0 => count as usize,
        _ => pick(count.max(1)) as usize,
    };
    let upload = uploads.and_then(|uploads| uploads.get(nth));
    let key = upload.map_or_else(|| "none".to_owned(), |upload| upload.key.clone());
    let number = match pick(30) {
        0 => 0,
        1 => 10_001,
        2 => 10_000,
        _ => 1 + pick(5) as u32,
    };
    let what = match pick(12) {
        0..5 => OfUpload::Send {
            number,
            bytes: bytes(random, 128 << 10),
        },
        5 | 6 => OfUpload::Copy {
            number,
            from: from(random, model),
        },
        7..11 => OfUpload::Complete {
            // Mostly all that are there.
            mask: if pick(3) == 0 { random.next_u64() } else { 0 },
            extra: (pick(6) == 0).then(|| 1 + pick(7) as u32),
            bytes_min: if pick(5) == 0 { 200 } else { 0 },
            condition: condition(random),
        },
        _ => OfUpload::Abort,
    };
    (name, key, Contents::Upload { nth, what })
}
