//! The reference model: what the store's verbs mean, over plain maps, and a driver that asks the
//! store the same and compares every answer.
//!
//! Over the engine in memory, or over the embedded engine on a simulated disk with restarts, kills
//! and power losses between and within operations. One client: after a crash the one operation that
//! was under way may have happened or not; everything before it must be there.

mod ask;

use crate::disk::SimDisk;
use crate::spawn::SimSpawn;
use ask::{ask, fingerprint};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use trestle_core::{AccountId, ByteRange, ErrorKind, Metadata, Timestamp};
use trestle_engine::Engine;
use trestle_engine_embedded::Settings;
use trestle_host::{Host, ManualClock, SeededRandom};
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
const BUCKETS: [&str; 3] = ["one", "two", "drei und mehr"];

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    bytes: Bytes,
    revision: String,
    kind: String,
    metadata: Metadata,
}

/// Bucket → key → object.
type Model = BTreeMap<String, BTreeMap<String, Stored>>;

#[derive(Clone, Copy, Debug)]
enum Condition {
    None,
    Absent,
    Current,
    Other,
}

#[derive(Clone, Debug)]
enum Operation {
    CreateBucket,
    DeleteBucket,
    Bucket,
    ListBuckets {
        prefix: String,
        limit: usize,
    },
    Put {
        bytes: Bytes,
        kind: String,
        metadata: Metadata,
        condition: Condition,
        declared: i64,
    },
    Read {
        range: Option<ByteRange>,
    },
    Head,
    Delete {
        condition: Condition,
    },
    List(Listed),
}

#[derive(Clone, Debug)]
struct Listed {
    prefix: String,
    delimiter: Option<String>,
    after: Option<String>,
    until: Option<String>,
    reverse: bool,
    limit: usize,
}

impl Operation {
    fn verb(&self) -> &'static str {
        match self {
            Operation::CreateBucket => "create bucket",
            Operation::DeleteBucket => "delete bucket",
            Operation::Bucket => "bucket",
            Operation::ListBuckets { .. } => "list buckets",
            Operation::Put { .. } => "put",
            Operation::Read { .. } => "read",
            Operation::Head => "head",
            Operation::Delete { .. } => "delete",
            Operation::List(_) => "list",
        }
    }
}

/// An answer, comparable: text for what is listed or read, or the meaning of the error.
type Answer = std::result::Result<String, ErrorKind>;

/// The common prefix that a key folds into, if it does.
fn common_prefix<'a>(listed: &Listed, key: &'a str) -> Option<&'a str> {
    let delimiter = listed.delimiter.as_ref()?;
    let at = key.get(listed.prefix.len()..)?.find(delimiter.as_str())?;
    key.get(..listed.prefix.len() + at + delimiter.len())
}

fn model_list(keys: &BTreeMap<String, Stored>, listed: &Listed) -> String {
    let is_prefix =
        |text: &str| text.starts_with(&listed.prefix) && common_prefix(listed, text) == Some(text);
    let eligible = |key: &&String| {
        let (low, high) = if listed.reverse {
            (&listed.until, &listed.after)
        } else {
            (&listed.after, &listed.until)
        };
        let skipped = low
            .as_ref()
            .is_some_and(|low| is_prefix(low) && key.starts_with(low.as_str()));
        key.starts_with(&listed.prefix)
            && low.as_ref().is_none_or(|low| *key > low)
            && high.as_ref().is_none_or(|high| *key < high)
            && !skipped
    };
    let mut items: Vec<&str> = keys
        .keys()
        .filter(eligible)
        .map(|key| common_prefix(listed, key).unwrap_or(key))
        .collect();
    items.dedup();
    if listed.reverse {
        items.reverse();
    }
    let more = items.len() > listed.limit && listed.limit > 0;
    items.truncate(listed.limit);
    let next = items.last().filter(|_| more);
    let shown: Vec<String> = items
        .iter()
        .map(|item| match keys.get(*item).filter(|_| !is_prefix(item)) {
            Some(stored) => format!("{item:?} {} {}", stored.bytes.len(), stored.revision),
            None => format!("{item:?}/"),
        })
        .collect();
    format!("{shown:?} {next:?}")
}

fn text_of_stored(stored: &Stored) -> String {
    let metadata = serde_json::to_string(&stored.metadata).unwrap_or_default();
    format!(
        "{} {} {} {metadata}",
        stored.revision,
        stored.bytes.len(),
        stored.kind
    )
}

fn holds(condition: Condition, current: Option<&Stored>) -> bool {
    match condition {
        Condition::None => true,
        Condition::Absent => current.is_none(),
        Condition::Current => current.is_some(),
        Condition::Other => false,
    }
}

/// A few keys that are near each other in every way that matters.
fn key(random: &SeededRandom) -> String {
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

fn bytes(random: &SeededRandom, body_max: usize) -> Bytes {
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

impl Driver {
    fn chance(&self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    fn work(&mut self, operations: u64) -> std::result::Result<(), String> {
        self.start()?;
        for number in 0..operations {
            let (bucket, key, operation) = self.choose()?;
            if self.over == Over::Embedded && self.chance(50) {
                self.disk.stop_after(Some(self.random.next_u64() % 30));
            }
            self.clock
                .advance(std::time::Duration::from_micros(self.random.next_u64() % 3));
            self.step(&bucket, &key, &operation).map_err(|error| {
                format!("operation {number} {operation:?} {bucket} {key:?}: {error}")
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

    fn choose(&self) -> std::result::Result<(String, String, Operation), String> {
        let random = &self.random;
        let pick = |below: u64| random.next_u64() % below;
        let bucket = BUCKETS
            .get(pick(16) as usize)
            .copied()
            .unwrap_or("one")
            .to_owned();
        let known = self
            .model
            .get(&bucket)
            .filter(|keys| !keys.is_empty() && pick(3) > 0);
        let known = known.and_then(|keys| keys.keys().nth(pick(keys.len() as u64) as usize));
        let chosen = known.cloned().unwrap_or_else(|| key(random));
        let body_max = 128 << 10;
        let condition = || match pick(8) {
            0 => Condition::Absent,
            1 => Condition::Current,
            2 => Condition::Other,
            _ => Condition::None,
        };
        let operation = match pick(40) {
            0..2 => Operation::CreateBucket,
            2 => Operation::DeleteBucket,
            3 => Operation::Bucket,
            4 => Operation::ListBuckets {
                prefix: ["", "o", "t"]
                    .get(pick(3) as usize)
                    .copied()
                    .unwrap_or("")
                    .to_owned(),
                limit: pick(4) as usize,
            },
            5..18 => Operation::Put {
                bytes: bytes(random, body_max),
                kind: format!("kind-{}", pick(5)),
                metadata: Metadata::from([(
                    "nested".to_owned(),
                    serde_json::json!({ "n": pick(1000), "list": [null, true, "é"] }),
                )]),
                condition: condition(),
                declared: [0, 0, 0, 0, 0, 1, -1]
                    .get(pick(7) as usize)
                    .copied()
                    .unwrap_or(0),
            },
            18..24 => Operation::Read {
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
            24..27 => Operation::Head,
            27..32 => Operation::Delete {
                condition: condition(),
            },
            _ => Operation::List(Listed {
                prefix: ["", "", "a", "a/", "é"]
                    .get(pick(5) as usize)
                    .copied()
                    .unwrap_or("")
                    .to_owned(),
                delimiter: ["/", "a/", "//"]
                    .get(pick(5) as usize)
                    .map(|d| (*d).to_owned()),
                after: (pick(3) == 0).then(|| key(random)),
                until: (pick(4) == 0).then(|| key(random)),
                reverse: pick(3) == 0,
                limit: pick(9) as usize,
            }),
        };
        Ok((bucket, chosen, operation))
    }

    fn step(
        &mut self,
        bucket: &str,
        key: &str,
        operation: &Operation,
    ) -> std::result::Result<(), String> {
        let mut after = self.model.clone();
        let expected = expect(&mut after, bucket, key, operation);
        let answer = self.ask(bucket, key, operation)?;
        let stopped = [ErrorKind::Unavailable, ErrorKind::Internal];
        let crashed = answer.as_ref().is_err_and(|kind| stopped.contains(kind));
        if crashed && self.over == Over::Embedded {
            self.reboot()?;
            return self.settle(after, bucket, key);
        }
        let outcome = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(ErrorKind::RangeNotSatisfiable { .. }) => "RangeNotSatisfiable".to_owned(),
            Err(kind) => format!("{kind:?}"),
        };
        *self
            .coverage
            .entry((operation.verb(), outcome))
            .or_default() += 1;
        // A write's revision is the store's to choose: taken over from its answer.
        if let (Ok(found), Operation::Put { .. }) = (&answer, operation)
            && let Some(stored) = after.get_mut(bucket).and_then(|keys| keys.get_mut(key))
        {
            stored.revision = found.split(' ').next().unwrap_or_default().to_owned();
            if expected.is_ok() && text_of_stored(stored) != *found {
                return Err(format!("the store says {found}"));
            }
        } else if answer != expected {
            return Err(format!("the store says {answer:?}, the model {expected:?}"));
        }
        if expected.is_ok() != answer.is_ok() {
            return Err(format!("the store says {answer:?}, the model {expected:?}"));
        }
        if answer.is_ok() {
            self.model = after;
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
    fn settle(&mut self, after: Model, bucket: &str, key: &str) -> std::result::Result<(), String> {
        if !self.differs()?.is_empty() {
            let before = std::mem::replace(&mut self.model, after);
            // Its revision is not known here: taken over from the store when the bytes are right.
            if let Ok(text) = self.ask(bucket, key, &Operation::Head)?
                && let Some(stored) = self
                    .model
                    .get_mut(bucket)
                    .and_then(|keys| keys.get_mut(key))
            {
                stored.revision = text.split(' ').next().unwrap_or_default().to_owned();
            }
            let difference = self.differs()?;
            if !difference.is_empty() {
                let old = before.get(bucket).and_then(|keys| keys.get(key)).is_some();
                return Err(format!("after a crash (old {old}): {difference}"));
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
        for (bucket, keys) in model {
            asked.push((bucket.clone(), String::new(), Operation::Bucket));
            let all = Listed {
                prefix: String::new(),
                delimiter: None,
                after: None,
                until: None,
                reverse: false,
                limit: 10_000,
            };
            asked.push((bucket.clone(), String::new(), Operation::List(all)));
            for key in keys.keys() {
                asked.push((bucket.clone(), key.clone(), Operation::Head));
                asked.push((bucket.clone(), key.clone(), Operation::Read { range: None }));
            }
        }
        for (bucket, key, operation) in asked {
            let expected = expect(&mut model.clone(), &bucket, &key, &operation);
            let answer = self.ask(&bucket, &key, &operation)?;
            if answer != expected {
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
        let current = self.model.get(bucket).and_then(|keys| keys.get(key));
        let asked = ask(&store, bucket, key, operation, current);
        let answered = self.spawn.run(asked).ok_or("the store stands still")?;
        Ok(answered.map_err(|error| error.kind()))
    }
}

/// What the model answers; `model` becomes the state after it.
fn expect(model: &mut Model, bucket: &str, key: &str, operation: &Operation) -> Answer {
    use trestle_core::Noun;
    if let Operation::ListBuckets { prefix, limit } = operation {
        let names: Vec<&String> = model
            .keys()
            .filter(|name| name.starts_with(prefix))
            .collect();
        let next = (names.len() > *limit && *limit > 0).then(|| names.get(*limit - 1));
        let shown: Vec<&&String> = names.iter().take(*limit).collect();
        return Ok(format!("{shown:?} {:?}", next.flatten()));
    }
    if let Operation::CreateBucket = operation {
        if model.contains_key(bucket) {
            return Err(ErrorKind::AlreadyExists(Noun::Bucket));
        }
        model.insert(bucket.to_owned(), BTreeMap::new());
        return Ok(String::new());
    }
    let keys = model
        .get_mut(bucket)
        .ok_or(ErrorKind::NotFound(Noun::Bucket))?;
    let current = keys.get(key);
    let missing = ErrorKind::NotFound(Noun::Object);
    match operation {
        Operation::DeleteBucket if !keys.is_empty() => Err(ErrorKind::NotEmpty),
        Operation::DeleteBucket => {
            model.remove(bucket);
            Ok(String::new())
        }
        Operation::Bucket => {
            let bytes: usize = keys.values().map(|stored| stored.bytes.len()).sum();
            Ok(format!("{} {bytes}", keys.len()))
        }
        Operation::List(listed) => Ok(model_list(keys, listed)),
        Operation::Head => current.map(text_of_stored).ok_or(missing),
        Operation::Read { range } => {
            let bytes = &current.ok_or(missing)?.bytes;
            let length = bytes.len() as u64;
            let range = match range {
                Some(range) => range.resolve(length).map_err(|error| error.kind())?,
                None => trestle_core::ResolvedRange {
                    start: 0,
                    end: length,
                },
            };
            Ok(fingerprint(
                &bytes.slice(range.start as usize..range.end as usize),
            ))
        }
        Operation::Delete { condition } => {
            if !holds(*condition, current) {
                return Err(ErrorKind::PreconditionFailed);
            }
            keys.remove(key)
                .map(|stored| text_of_stored(&stored))
                .ok_or(missing)
        }
        Operation::Put {
            bytes,
            kind,
            metadata,
            condition,
            declared,
        } => {
            if !holds(*condition, current) {
                return Err(ErrorKind::PreconditionFailed);
            }
            // An empty body cannot be declared shorter than it is.
            if *declared != 0 && (bytes.len() as u64).checked_add_signed(*declared).is_some() {
                return Err(ErrorKind::IncompleteBody);
            }
            let stored = Stored {
                bytes: bytes.clone(),
                revision: String::new(),
                kind: kind.clone(),
                metadata: metadata.clone(),
            };
            keys.insert(key.to_owned(), stored);
            Ok(String::new())
        }
        Operation::CreateBucket | Operation::ListBuckets { .. } => Err(ErrorKind::Internal),
    }
}
