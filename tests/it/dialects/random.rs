//! Histories that a seed chooses: each step in one dialect, looked at in another one.

use super::{Dialect, Model, Object, Spoken};
use crate::{Fixture, send};
use trestle_tests::Random;

/// Names with all that names have; of two of them one is the container of the other.
const KEYS: [&str; 9] = [
    "a",
    "b",
    "dir/x",
    "dir/y z",
    "dir/deep/+&=",
    "x",
    "x/below",
    "\u{fc}/\u{65e5}\u{672c}",
    "~tilde%41",
];
const KINDS: [&str; 3] = ["text/plain", "image/png", "application/x-a+b"];
const STEPS: usize = 120;

fn object(random: &mut Random) -> Object {
    let length = match random.below(8) {
        0 => 0,
        // Beside the largest content that is attached to its record.
        1 => (128 << 10) + random.below(3) - 1,
        _ => random.below(300),
    };
    let first = random.number();
    let bytes = (0..length)
        .map(|at| (first.wrapping_add(at * 7)) as u8)
        .collect();
    let metadata = ["colour", "size-of", "n2"]
        .into_iter()
        .filter(|_| random.once_in(2))
        .map(|name| (name.to_owned(), format!("v {}", first % 1000)))
        .collect();
    Object {
        bytes,
        kind: random.one_of(&KINDS).to_owned(),
        metadata,
    }
}

/// Whether an answer says that it was done.
fn done(status: u16) -> bool {
    (200..300).contains(&status)
}

struct History {
    spoken: Spoken,
    model: Model,
    bucket: &'static str,
    random: Random,
    told: String,
}

impl History {
    /// One change, in any dialect.
    fn step(&mut self) {
        let random = &mut self.random;
        let dialect = random.one_of(&Dialect::ALL);
        let key = random.one_of(&KEYS);
        let (spoken, model, bucket) = (&mut self.spoken, &mut self.model, self.bucket);
        let mut target = "";
        let (what, status, expected) = match random.below(10) {
            0..5 => {
                let object = object(random);
                let answer = spoken.put(dialect, bucket, key, &object);
                ("put", answer.status, model.put(dialect, key, object))
            }
            5 => {
                let object = object(random);
                let answer = spoken.describe(dialect, bucket, key, &object);
                let done = model.describe(dialect, key, &object);
                ("describe", answer.status, done)
            }
            6..8 => {
                let to = random.one_of(&KEYS);
                if to == key {
                    return;
                }
                target = to;
                let answer = spoken.copy(dialect, bucket, key, to);
                ("copy", answer.status, model.copy(dialect, key, to))
            }
            _ => {
                let answer = spoken.delete(dialect, bucket, key);
                let there = model.delete(dialect, key);
                // S3 does not say whether there was something.
                let expected = there || dialect == Dialect::S3;
                ("delete", answer.status, expected)
            }
        };
        self.told
            .push_str(&format!("{dialect:?} {what} {key:?} {target:?} {status}\n"));
        assert_eq!(done(status), expected, "{}", self.told);
    }

    /// One key in each dialect.
    fn look(&mut self, key: &str) {
        for dialect in Dialect::ALL {
            let seen = self.spoken.get(dialect, self.bucket, key);
            let expected = self.model.get(key);
            assert!(
                seen.as_ref() == expected,
                "{dialect:?} {key:?} {:?} instead of {:?} after\n{}",
                seen.map(|object| (object.bytes.len(), object.kind, object.metadata)),
                expected.map(|object| (object.bytes.len(), &object.kind, &object.metadata)),
                self.told
            );
        }
    }

    fn look_at_listings(&mut self) {
        let expected = self.model.listed();
        for dialect in Dialect::ALL {
            let listed = self.spoken.list(dialect, self.bucket);
            let keys: Vec<&String> = listed.keys().collect();
            assert_eq!(
                keys,
                expected.keys().collect::<Vec<_>>(),
                "{dialect:?} after\n{}",
                self.told
            );
            for (key, length) in listed {
                let same = length.is_none_or(|length| length == expected[&key]);
                assert!(same, "{dialect:?} {key:?} {length:?} after\n{}", self.told);
            }
            if let Some(versions) = self.spoken.versions(dialect, self.bucket) {
                let expected = self.model.versions();
                assert_eq!(versions, expected, "{dialect:?} after\n{}", self.told);
            }
        }
    }
}

fn history(seed: u64, bucket: &'static str, keeps_versions: bool) {
    let fixture = Fixture::new();
    let mut root = fixture.client();
    if keeps_versions {
        assert_eq!(
            send(&mut root, "PUT", &format!("/rest/{bucket}/")).status,
            201
        );
        let kind = [("content-type", "application/merge-patch+json")];
        let patch = br#"{"versioning":"enabled"}"#;
        let target = format!("/rest/{bucket}/");
        let set = root.send("PATCH", &target, &kind, patch).unwrap();
        assert_eq!(set.status, 204, "{}", set.text());
    }
    let mut history = History {
        spoken: Spoken::new(&fixture),
        model: Model::new(keeps_versions),
        bucket,
        random: Random::new(seed),
        told: format!("seed {seed}\n"),
    };
    for step in 0..STEPS {
        history.step();
        let key = history.random.one_of(&KEYS);
        history.look(key);
        if step % 20 == 19 {
            for key in KEYS {
                history.look(key);
            }
            history.look_at_listings();
        }
    }
}

#[test]
fn random_histories_read_alike_in_every_dialect() {
    for seed in 1..=4 {
        history(seed, "b", false);
    }
}

#[test]
fn random_histories_of_versions_read_alike_in_every_dialect() {
    for seed in 101..=104 {
        history(seed, "kept", true);
    }
}
