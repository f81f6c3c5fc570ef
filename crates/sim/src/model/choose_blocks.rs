//! Which volume, snapshot, clone or transaction comes next.

use super::blocks::{Blocks, Step, is_step};
use super::choose::{self, bytes, condition, one};
use super::choose_contents::{from, some_key};
use super::contents::{Contents, Place};
use super::operation::Operation;
use super::state::Model;
use trestle_host::SeededRandom;

/// Beside a block, and beside what fits into a row.
const SIZES: [u64; 9] = [0, 1, 4_095, 4_096, 4_097, 20_000, 65_536, 140_000, 300_000];
/// Most verbs of a transaction.
const STEPS_MAX: u64 = 6;

/// The bucket, the key, and what is done.
pub(super) fn choose(random: &SeededRandom, model: &Model) -> (String, String, Operation) {
    let pick = |below: u64| random.next_u64() % below;
    let size = || one(random, &SIZES, 1);
    let operation = match pick(20) {
        0 | 1 => Blocks::CreateVolume {
            size: size(),
            condition: condition(random),
        },
        2..5 => {
            let (name, key) = some_key(random, model);
            let mut source = from(random, model);
            source.range = source.range.filter(|_| pick(4) == 0);
            let clone = Blocks::Clone {
                from: source,
                condition: condition(random),
                frozen: pick(2) == 0,
            };
            let Blocks::Clone { frozen: true, .. } = &clone else {
                return (name, key, Operation::Blocks(clone));
            };
            let key = format!("{}@{}", key.get(..8).unwrap_or("k"), pick(4));
            return (name, key, Operation::Blocks(clone));
        }
        5..12 => return change(random, model),
        12 => Blocks::Flush,
        13 => {
            // Mostly onto something.
            let (name, key) = some_key(random, model);
            let (bucket, to) = some_key(random, model);
            return (name, key, Operation::Rename { bucket, key: to });
        }
        _ => {
            let steps = (0..pick(STEPS_MAX + 1)).map(|_| step(random, model));
            let mut completed = false;
            // A completion changes which upload is which.
            let kept = steps.filter(|step| {
                let completes =
                    matches!(step.operation, Operation::Contents(Contents::Upload { .. }));
                let again = completes && completed;
                completed |= completes;
                !again
            });
            Blocks::Transact(kept.collect())
        }
    };
    let (name, key) = some_key(random, model);
    (name, key, Operation::Blocks(operation))
}

/// A change of a volume, mostly one that is there.
fn change(random: &SeededRandom, model: &Model) -> (String, String, Operation) {
    let pick = |below: u64| random.next_u64() % below;
    let (mut name, mut key) = some_key(random, model);
    let volumes: Vec<(&String, &String, u64)> = model
        .iter()
        .flat_map(|(name, bucket)| bucket.keys.iter().map(move |(key, v)| (name, key, v)))
        .filter_map(|(name, key, versions)| {
            let mut versions = versions.iter();
            let volume = versions.find(|version| version.current && version.volume)?;
            Some((name, key, volume.bytes.len() as u64))
        })
        .collect();
    let chosen = volumes.get(pick(volumes.len().max(1) as u64) as usize);
    let mut length = 8_192;
    if let Some((of, volume, size)) = chosen.filter(|_| pick(12) > 0) {
        (name, key) = ((*of).clone(), (*volume).clone());
        length = *size;
    }
    let offset = match pick(4) {
        0 => 4_096 * pick(length / 4_096 + 1),
        1 => length.saturating_sub(pick(5_000)),
        _ => pick(length.max(1)),
    };
    let operation = match pick(10) {
        0..3 => Blocks::Zeros {
            offset,
            length: match pick(4) {
                0 => length.saturating_sub(offset),
                1 => 4_096 * pick(6),
                2 => pick(9_000),
                _ => pick(100),
            },
            condition: condition(random),
        },
        3 | 4 => Blocks::Resize {
            size: one(random, &SIZES, 1),
            condition: condition(random),
        },
        _ => {
            let patch = Contents::Patch {
                place: match pick(16) {
                    0 => Place::End,
                    _ => Place::At(offset),
                },
                bytes: match pick(3) {
                    0 => bytes(random, 128 << 10),
                    1 => vec![random.next_u64() as u8; pick(10_000) as usize].into(),
                    _ => vec![random.next_u64() as u8; 4_096].into(),
                },
                condition: condition(random),
                create: pick(4) == 0,
            };
            return (name, key, Operation::Contents(patch));
        }
    };
    (name, key, Operation::Blocks(operation))
}

fn step(random: &SeededRandom, model: &Model) -> Step {
    let pick = |below: u64| random.next_u64() % below;
    if pick(6) == 0 {
        let (bucket, key) = some_key(random, model);
        let check = Blocks::Check {
            condition: condition(random),
        };
        return Step {
            bucket,
            key,
            operation: Operation::Blocks(check),
        };
    }
    loop {
        let (bucket, key, operation) = choose::single(random, model);
        if is_step(&operation) {
            return Step {
                bucket,
                key,
                operation,
            };
        }
    }
}
