//! The reference model: what the store's verbs mean, over plain maps, and a driver that asks the
//! store the same and compares every answer.
//!
//! Over the engine in memory, or over the embedded engine on a simulated disk with restarts, kills
//! and power losses between and within operations. One client: after a crash the one operation that
//! was under way may have happened or not; everything before it must be there.

mod ask;
mod ask_blocks;
mod ask_contents;
mod blocks;
mod choose;
mod choose_blocks;
mod choose_contents;
mod contents;
mod joined;
mod listing;
mod operation;
mod snapshots;
mod state;

use crate::disk::SimDisk;
use crate::spawn::SimSpawn;
use contents::{Contents, Upload};
use joined::MAYBE;
use operation::{Listed, ListedVersions, Operation, Which};
use state::{Answer, Model, NEWEST, Stored, expect};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use trestle_core::{AccountId, BucketName, ErrorKind, Noun, Timestamp};
use trestle_engine::Engine;
use trestle_engine_embedded::Settings;
use trestle_host::{Clock, Host, ManualClock, SeededRandom};
use trestle_store::Store;

/// What the store runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The engine in memory.
    Memory,
    /// The embedded engine on a simulated disk, with crashes.
    Embedded,
}

/// How often each verb had each outcome.
pub type Coverage = BTreeMap<(&'static str, String), u64>;

const DIR: &str = "/store";

struct Driver {
    over: Over,
    random: SeededRandom,
    disk: SimDisk,
    spawn: Arc<SimSpawn>,
    clock: Arc<ManualClock>,
    host: Host,
    store: Option<Arc<Store>>,
    memory: Option<Engine>,
    model: Model,
    coverage: Coverage,
}

/// Runs `operations` operations of `seed` and compares every answer.
///
/// # Errors
/// The first difference.
pub fn run(seed: u64, operations: u64, over: Over) -> std::result::Result<Coverage, String> {
    let (disk, spawn) = (SimDisk::new(), Arc::new(SimSpawn::default()));
    let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)));
    let host = Host {
        clock: clock.clone(),
        random: Arc::new(SeededRandom::new(seed ^ 0xfeed)),
        spawn: spawn.clone(),
        disk: Arc::new(disk.clone()),
    };
    let mut driver = Driver {
        over,
        random: SeededRandom::new(seed),
        disk,
        spawn,
        clock,
        host,
        store: None,
        memory: (over == Over::Memory).then(trestle_engine::memory::engine),
        model: Model::new(),
        coverage: Coverage::new(),
    };
    driver
        .work(operations)
        .map(|()| driver.coverage)
        .map_err(|error| format!("seed {seed} over {over:?}: {error}"))
}

/// What an answer is, if it is not a conflict: of one that may be.
fn certain_of(expected: &Answer) -> Option<String> {
    let certain = expected.as_ref().ok()?.strip_prefix(MAYBE)?;
    Some(certain.to_owned())
}

impl Driver {
    fn chance(&self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    fn work(&mut self, operations: u64) -> std::result::Result<(), String> {
        self.start()?;
        for number in 0..operations {
            let (bucket, key, operation) = choose::choose(&self.random, &self.model);
            if self.over == Over::Embedded && self.chance(50) {
                self.disk.stop_after(Some(self.random.next_u64() % 30));
            }
            self.clock
                .advance(std::time::Duration::from_micros(self.random.next_u64() % 3));
            self.step(&bucket, &key, &operation).map_err(|error| {
                let operation: String = format!("{operation:?}").chars().take(300).collect();
                format!("operation {number} {operation} {bucket} {key:?}: {error}")
            })?;
        }
        self.disk.stop_after(None);
        self.compare_all()
    }

    fn start(&mut self) -> std::result::Result<(), String> {
        let (host, memory) = (self.host.clone(), self.memory.clone());
        let opening = async move {
            let engine = match memory {
                Some(engine) => engine,
                None => {
                    let settings = Settings {
                        memtable_bytes: 32 << 10,
                        index_cache_bytes: 1 << 20,
                        ..Settings::default()
                    };
                    trestle_engine_embedded::open(&host, Path::new(DIR), settings).await?
                }
            };
            Store::open(engine, host, AccountId::parse("root")?, None).await
        };
        let opened = self.spawn.run(opening).ok_or("opening stands still")?;
        self.store = Some(opened.map_err(|error| format!("cannot be opened: {error}"))?);
        Ok(())
    }

    fn now(&self) -> u64 {
        self.clock.now().0
    }

    fn step(
        &mut self,
        bucket: &str,
        key: &str,
        operation: &Operation,
    ) -> std::result::Result<(), String> {
        let mut after = self.model.clone();
        let mut expected = expect(&mut after, self.now(), (bucket, key), operation);
        // What will work may be done by a job, too.
        let by_job = expected.is_ok() && operation.is_tree() && !self.chance(5);
        if by_job {
            let store = self.store.as_ref().ok_or("no store")?;
            store.set_tree_keys_max(1);
        }
        let answer = self.ask(bucket, key, operation)?;
        let stopped = [ErrorKind::Unavailable, ErrorKind::Internal];
        let crashed = answer.as_ref().is_err_and(|kind| stopped.contains(kind));
        if crashed && self.over == Over::Embedded {
            self.reboot()?;
            return self.settle(after, (bucket, key), operation);
        }
        if by_job {
            let store = self.store.as_ref().ok_or("no store")?;
            store.set_tree_keys_max(trestle_store::TREE_KEYS_MAX);
            if answer.as_ref().is_ok_and(|answer| answer == "a job") {
                *self
                    .coverage
                    .entry((operation.verb(), "job".to_owned()))
                    .or_default() += 1;
                if self.carry_on_jobs().is_err() || self.adopt(&mut after).is_err() {
                    self.reboot()?;
                    return self.settle(after, (bucket, key), operation);
                }
                self.model = after;
                return Ok(());
            }
        }
        let outcome = match &answer {
            Ok(_) => "ok".to_owned(),
            // Without the numbers that some carry.
            Err(kind) => {
                let text = format!("{kind:?}");
                text.split(" {").next().unwrap_or_default().to_owned()
            }
        };
        *self
            .coverage
            .entry((operation.verb(), outcome))
            .or_default() += 1;
        if let (Err(ErrorKind::Conflict), Err(_), Operation::Contents(made)) =
            (&answer, &expected, operation)
            && contents::reads_joined(&self.model, self.now(), made)
        {
            return Ok(());
        }
        if let Some(certain) = certain_of(&expected) {
            if answer == Err(ErrorKind::Conflict) {
                return Ok(());
            }
            expected = Ok(certain);
        }
        if answer.is_ok() && expected.is_ok() {
            self.adopt(&mut after)?;
            self.model = after;
        }
        if expected.as_ref().is_ok_and(|answer| answer == NEWEST) {
            let newest = self
                .model
                .get(bucket)
                .and_then(|b| b.keys.get(key)?.first());
            expected = Ok(newest.map(Stored::text).unwrap_or_default());
        }
        if answer != expected {
            return Err(format!("the store says {answer:?}, the model {expected:?}"));
        }
        Ok(())
    }

    /// Until no job runs.
    fn carry_on_jobs(&self) -> std::result::Result<(), String> {
        let store = self.store.clone().ok_or("no store")?;
        for _ in 0..1_000 {
            let carried = self.spawn.run(ask::carry_on_jobs(&store));
            let carried = carried.ok_or("the store stands still")?;
            if !carried.map_err(|error| format!("a job: {error}"))? {
                return Ok(());
            }
        }
        Err("a job does not end".to_owned())
    }

    /// Ids of new versions are the store's to choose: taken over from its own listing.
    fn adopt(&self, model: &mut Model) -> std::result::Result<(), String> {
        let store = self.store.clone().ok_or("no store")?;
        for (name, bucket) in model {
            self.adopt_uploads(&store, name, &mut bucket.uploads)?;
            let versions = bucket.keys.values().flatten();
            if versions.clone().all(|version| !version.revision.is_empty()) {
                continue;
            }
            let listed = self.spawn.run(ask::revisions(&store, name));
            let listed = listed.ok_or("the store stands still")?;
            let listed = listed.map_err(|error| format!("no listing of versions: {error}"))?;
            let keys = bucket.keys.iter_mut();
            let versions = keys
                .flat_map(|(key, versions)| versions.iter_mut().map(move |version| (key, version)));
            for ((key, version), (listed, revision, own)) in versions.zip(listed) {
                if version.revision.is_empty() && *key == listed {
                    version.revision = revision;
                    if let Some(joined) = &mut version.joined {
                        joined.own = Some(own);
                    }
                }
            }
        }
        Ok(())
    }

    /// So are the ids of new uploads.
    fn adopt_uploads(
        &self,
        store: &Store,
        bucket: &str,
        uploads: &mut [Upload],
    ) -> std::result::Result<(), String> {
        if uploads.iter().all(|upload| !upload.id.is_empty()) {
            return Ok(());
        }
        let name = BucketName::parse(bucket).map_err(|error| error.to_string())?;
        let listed = self.spawn.run(ask_contents::uploads(store, &name));
        let listed = listed.ok_or("the store stands still")?;
        let listed = listed.map_err(|error| format!("no listing of uploads: {error}"))?;
        for found in listed {
            if !uploads.iter().any(|upload| upload.id == found.id)
                && let Some(new) = uploads
                    .iter_mut()
                    .find(|upload| upload.id.is_empty() && upload.key == found.key)
            {
                new.id = found.id;
            }
        }
        Ok(())
    }

    fn reboot(&mut self) -> std::result::Result<(), String> {
        let how = match self.random.next_u64() % 3 {
            0 => "kill",
            _ => "power loss",
        };
        self.spawn.kill();
        self.store = None;
        if how == "kill" {
            self.disk.kill();
        } else {
            self.disk.crash(&self.random);
        }
        self.disk.stop_after(None);
        *self.coverage.entry(("reboot", how.to_owned())).or_default() += 1;
        self.start()
    }

    /// Takes the state before or after the operation that was under way, whichever is there.
    fn settle(
        &mut self,
        after: Model,
        (bucket, key): (&str, &str),
        operation: &Operation,
    ) -> std::result::Result<(), String> {
        if operation.is_tree() {
            self.carry_on_jobs()?;
        }
        if operation.is_swept() {
            let store = self.store.clone().ok_or("no store")?;
            let swept = self.spawn.run(async { store.sweep_snapshots().await });
            let swept = swept.ok_or("sweeping stands still")?;
            swept.map_err(|error| format!("sweeping: {error}"))?;
        }
        // A clone is deleted in steps, of which the last takes its name.
        let deleted = matches!(operation, Operation::DeleteBucket) && !after.contains_key(bucket);
        let piecemeal = operation.is_piecemeal() || deleted;
        if piecemeal {
            match self.ask(bucket, key, operation)? {
                Err(ErrorKind::NotFound(Noun::Bucket)) if deleted => {}
                again => drop(again.map_err(|kind| format!("again: {kind:?}"))?),
            }
        }
        if piecemeal || !self.differs()?.is_empty() {
            self.model = after;
            let mut adopted = self.model.clone();
            self.adopt(&mut adopted)?;
            self.model = adopted;
            let difference = self.differs()?;
            if !difference.is_empty() {
                return Err(format!("after a crash: {difference}"));
            }
        }
        self.compare_all()
    }

    fn compare_all(&mut self) -> std::result::Result<(), String> {
        let difference = self.differs()?;
        if !difference.is_empty() {
            return Err(difference);
        }
        let store = self.store.clone().ok_or("no store")?;
        let mut findings = Vec::new();
        let checked = self
            .spawn
            .run(async { store.check(&mut |f| findings.push(f.to_string())).await });
        checked
            .ok_or("check stands still")?
            .map_err(|error| format!("check: {error}"))?;
        if findings.is_empty() {
            Ok(())
        } else {
            Err(format!("check finds {findings:?}"))
        }
    }

    /// The first difference between the whole store and the model; empty when there is none.
    fn differs(&self) -> std::result::Result<String, String> {
        let model = &self.model;
        let mut asked: Vec<(String, String, Operation)> = Vec::new();
        asked.push((
            String::new(),
            String::new(),
            Operation::ListBuckets {
                prefix: String::new(),
                limit: 100,
            },
        ));
        for (name, bucket) in model {
            let all = ListedVersions {
                prefix: String::new(),
                delimiter: None,
                marker: None,
                limit: 10_000,
            };
            for operation in [
                Operation::Bucket,
                Operation::List(Listed::all()),
                Operation::ListVersions(all),
                Operation::Contents(Contents::ListUploads),
            ] {
                asked.push((name.clone(), String::new(), operation));
            }
            for (key, made) in snapshots::all(bucket) {
                asked.push((name.clone(), key, Operation::Snapshots(made)));
            }
            for (key, versions) in &bucket.keys {
                let each = (0..versions.len()).map(Which::Nth);
                for which in each.chain([Which::Current]) {
                    let read = Operation::Read { which, range: None };
                    asked.push((name.clone(), key.clone(), Operation::Head(which)));
                    asked.push((name.clone(), key.clone(), read));
                }
            }
        }
        for (bucket, key, operation) in asked {
            let expected = expect(&mut model.clone(), self.now(), (&bucket, &key), &operation);
            let answer = self.ask(&bucket, &key, &operation)?;
            let or_else = certain_of(&expected);
            let same = match &or_else {
                Some(_) if answer == Err(ErrorKind::Conflict) => true,
                Some(certain) => answer.as_ref() == Ok(certain),
                None => answer == expected,
            };
            if !same {
                return Ok(format!(
                    "{operation:?} {bucket} {key:?}: {answer:?}, not {expected:?}"
                ));
            }
        }
        Ok(String::new())
    }

    fn ask(
        &self,
        bucket: &str,
        key: &str,
        operation: &Operation,
    ) -> std::result::Result<Answer, String> {
        let store = self.store.clone().ok_or("no store")?;
        let asked = ask::ask(&store, &self.model, (bucket, key), operation);
        let answered = self.spawn.run(asked).ok_or("the store stands still")?;
        Ok(answered.map_err(|error| error.kind()))
    }
}
