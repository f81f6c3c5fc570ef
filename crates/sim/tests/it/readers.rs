//! Readers of former contents, who take their time while these are replaced, changed in place, copied,
//! deleted and freed: each gets what was there when it began, to the byte.

use crate::TURN;
use crate::freeing::{Stopping, bucket, delete, granted, on_object, put};
use bytes::Bytes;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Instant;
use trestle_access::{Action, Resource};
use trestle_core::{Key, Precondition, ResolvedRange, Result};
use trestle_engine_embedded::{Canary, plant};
use trestle_host::SeededRandom;
use trestle_store::{
    BodyChecks, CopyObject, Object, ObjectBytes, ObjectStream, Offset, PatchObject, ReadObject,
    Source, Store, VersionRef,
};

const KEYS: u64 = 3;
const STEPS: u64 = 60;
const READERS_MAX: usize = 4;

/// A read under way: what it has still to bring.
struct Reading {
    stream: ObjectStream,
    left: Vec<u8>,
}

struct Driver {
    stopping: Stopping,
    random: SeededRandom,
    contents: BTreeMap<String, Vec<u8>>,
    readers: Vec<Reading>,
}

type Verdict = std::result::Result<(), String>;

async fn open(store: &Store, key: &str) -> Result<ObjectBytes> {
    let object = ReadObject {
        bucket: bucket()?,
        key: Key::parse(key)?,
        version: VersionRef::Current,
    };
    let grant = on_object(Action::ReadObject, key)?;
    let reader = store.open_object(&grant, &object).await?;
    let (start, end) = (0, reader.object().length());
    reader.into_bytes(ResolvedRange { start, end }).await
}

async fn patch(store: &Store, key: &str, at: u64, bytes: Vec<u8>) -> Result<()> {
    let patch = PatchObject {
        bucket: bucket()?,
        key: Key::parse(key)?,
        precondition: Precondition::none(),
        tag_of: Object::revision,
        at: Offset::At(at),
        checks: BodyChecks::default(),
        create: None,
    };
    let grant = on_object(Action::WriteObject, key)?;
    let body = futures::stream::iter([Ok(Bytes::from(bytes))]);
    store.patch(&grant, patch, body).await.map(drop)
}

async fn copy(store: &Store, from: &str, to: &str) -> Result<()> {
    let copy = CopyObject {
        source: Source {
            bucket: bucket()?,
            key: Key::parse(from)?,
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of: Object::revision,
            range: None,
            key_of_client: None,
            itself: false,
        },
        bucket: bucket()?,
        key: Key::parse(to)?,
        precondition: Precondition::none(),
        tag_of: Object::revision,
        checksum: None,
        encrypt: None,
    };
    let read = on_object(Action::ReadObject, from)?;
    let write = on_object(Action::WriteObject, to)?;
    let same = |object: &Object| Ok(object.properties());
    store.copy(&read, &write, copy, &same).await.map(drop)
}

impl Driver {
    fn new(seed: u64) -> Self {
        let stopping = Stopping::new();
        let store = stopping.store();
        let made = stopping.run(async {
            let name = bucket()?;
            let create = granted(Action::CreateBucket, Resource::Bucket(name.clone()))?;
            store.create_bucket(&create, &name).await
        });
        assert!(made.is_ok(), "{made:?}");
        Driver {
            stopping,
            random: SeededRandom::new(seed),
            contents: BTreeMap::new(),
            readers: Vec::new(),
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.random.next_u64() % end.max(1)
    }

    fn noise(&self, length: u64) -> Vec<u8> {
        let words = (0..length.div_ceil(8)).flat_map(|_| self.random.next_u64().to_be_bytes());
        words.take(length as usize).collect()
    }

    fn step(&mut self) -> Verdict {
        let store = self.stopping.store();
        let key = format!("k{}", self.below(KEYS));
        let there = self.contents.get(&key).cloned();
        let said = |what: &str, outcome: Result<()>| {
            outcome.map_err(|error| format!("{what} of {key}: {error}"))
        };
        match (self.below(12), there) {
            (0..=1, _) | (_, None) => {
                let length = 200_000 + self.below(3 << 20);
                let bytes = self.noise(length);
                let done = self.stopping.run(put(&store, &key, bytes.clone()));
                said("a put", done)?;
                self.contents.insert(key, bytes);
            }
            (2..=4, Some(mut bytes)) => {
                let at = self.below(bytes.len() as u64);
                let length = 1 + self.below(200_000);
                let new = self.noise(length);
                let done = self.stopping.run(patch(&store, &key, at, new.clone()));
                said("a patch", done)?;
                let end = at as usize + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes.splice(at as usize..end, new);
                self.contents.insert(key, bytes);
            }
            (5, Some(_)) => {
                said("a delete", self.stopping.run(delete(&store, &key)))?;
                self.contents.remove(&key);
            }
            (6, Some(bytes)) => {
                let to = format!("k{}", self.below(KEYS));
                if to != key {
                    said("a copy", self.stopping.run(copy(&store, &key, &to)))?;
                    self.contents.insert(to, bytes);
                }
            }
            (7, Some(_)) => said("tidying", self.stopping.run(store.tidy()))?,
            (8..=9, Some(bytes)) if self.readers.len() < READERS_MAX => {
                let opened = self.stopping.run(open(&store, &key));
                match opened.map_err(|error| format!("a read of {key}: {error}"))? {
                    ObjectBytes::Whole(whole) if whole == bytes => {}
                    ObjectBytes::Whole(_) => return Err(format!("{key} has other bytes")),
                    ObjectBytes::Stream(stream) => self.readers.push(Reading {
                        stream,
                        left: bytes,
                    }),
                }
            }
            _ => {
                let reader = self.below(self.readers.len() as u64) as usize;
                self.read_on(reader)?;
            }
        }
        Ok(())
    }

    /// One chunk for one reader.
    fn read_on(&mut self, reader: usize) -> Verdict {
        let Some(reading) = self.readers.get_mut(reader) else {
            return Ok(());
        };
        match self.stopping.run(reading.stream.next()) {
            Some(Ok(chunk)) if reading.left.starts_with(&chunk) => {
                reading.left.drain(..chunk.len());
                Ok(())
            }
            Some(Ok(_)) => Err("a reader was given other bytes".to_owned()),
            Some(Err(error)) => Err(format!("a reader lost its bytes: {error}")),
            None if reading.left.is_empty() => {
                self.readers.swap_remove(reader);
                Ok(())
            }
            None => Err("a reader was given too little".to_owned()),
        }
    }

    fn run(mut self) -> Verdict {
        for _ in 0..STEPS {
            self.step()?;
        }
        while !self.readers.is_empty() {
            self.read_on(0)?;
        }
        let store = self.stopping.store();
        let tidied = self.stopping.run(store.tidy());
        tidied.map_err(|error| format!("tidying: {error}"))?;
        let mut findings = Vec::new();
        let checked = self
            .stopping
            .run(store.check(&mut |found| findings.push(found.to_string())));
        checked.map_err(|error| format!("the check: {error}"))?;
        if !findings.is_empty() {
            return Err(format!("the check finds {findings:?}"));
        }
        if self.stopping.rows(0x42) > 0 {
            return Err("something is left to be freed".to_owned());
        }
        Ok(())
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time until a bug is caught is a result"
)]
fn readers_of_former_contents_finish_and_planted_bugs_are_caught() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = crate::number("TRESTLE_SEED", 1);
    let count = crate::number("TRESTLE_HISTORIES", 12);
    for seed in first..first + count {
        let outcome = Driver::new(seed).run();
        outcome.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    for canary in Canary::STORE {
        plant(Some(canary));
        let started = Instant::now();
        let caught = (first..first + 20).find_map(|seed| Driver::new(seed).run().err());
        plant(None);
        let caught = caught.unwrap_or_else(|| panic!("{canary:?} was not caught"));
        println!(
            "{canary:?} caught after {:.1?}: {caught}",
            started.elapsed()
        );
    }
}
