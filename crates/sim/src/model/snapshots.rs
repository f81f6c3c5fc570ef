//! Snapshots and clones of buckets and directories in histories: each is a copy of what was there.

use super::ask::{self, grant};
use super::choose::{key, one};
use super::operation::{Condition, Listed, Operation, Which};
use super::state::{self, Answer, Bucket, Model, Stored};
use std::collections::BTreeSet;
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, ErrorKind, Noun};
use trestle_host::SeededRandom;
use trestle_store::{CloneBucket, CreateSnapshot, History, Store};

/// Snapshots that one bucket of a history has at most.
const SNAPSHOTS_MAX: usize = 4;
/// How many times a clone may be of a clone.
const DEPTH_MAX: usize = 8;
/// The buckets that are clones.
const CLONES: [&str; 4] = ["c0", "c1", "c2", "c3"];

#[derive(Clone, Debug)]
pub(super) enum Snapshots {
    Create {
        name: String,
        prefix: String,
    },
    Delete(String),
    /// The names of all.
    All,
    /// What is asked of a snapshot by its name.
    Of(String, Box<Operation>),
    /// A clone of the bucket or of its snapshot, or of a directory in it.
    Clone {
        snapshot: Option<String>,
        prefix: String,
        to: String,
    },
}

impl Snapshots {
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Snapshots::Create { .. } => "create snapshot",
            Snapshots::Delete(_) => "delete snapshot",
            Snapshots::All => "list snapshots",
            Snapshots::Clone { snapshot: None, .. } => "clone bucket",
            Snapshots::Clone { .. } => "clone snapshot",
            Snapshots::Of(_, inner) => match **inner {
                Operation::List(_) => "list in snapshot",
                Operation::Read { .. } => "read in snapshot",
                Operation::Head(_) => "head in snapshot",
                Operation::Bucket => "stat snapshot",
                _ => "write into snapshot",
            },
        }
    }
}

fn reads_as(bucket: &str, snapshot: &str) -> String {
    format!("{bucket}__{snapshot}")
}

/// A version as a snapshot shows it.
fn shown(stored: &Stored) -> Stored {
    Stored {
        hold: false,
        retention: None,
        expires: None,
        frozen: true,
        ..stored.clone()
    }
}

/// What the model answers; `model` becomes the state after it, if the answer is no error.
pub(super) fn expect(
    model: &mut Model,
    now: u64,
    (name, key): (&str, &str),
    made: &Snapshots,
) -> Answer {
    let missing = ErrorKind::NotFound(Noun::Bucket);
    let bucket = model.get_mut(name).ok_or(missing)?;
    match made {
        Snapshots::Create {
            name: snapshot,
            prefix,
        } => {
            let below = bucket.keys.keys().filter(|key| key.starts_with(prefix));
            let there: Vec<&String> = below.filter(|key| bucket.current(key).is_some()).collect();
            if !prefix.is_empty() && there.is_empty() {
                return Err(ErrorKind::NotFound(Noun::Object));
            }
            if bucket.snapshots.contains_key(snapshot) {
                return Err(ErrorKind::AlreadyExists(Noun::Bucket));
            }
            let mut copy = Bucket {
                depth: bucket.depth,
                ..Bucket::default()
            };
            if prefix.is_empty() {
                copy.ended = bucket.ended;
            }
            for key in there {
                if let Some(stored) = bucket.live(key, now) {
                    copy.keys.insert(key.clone(), vec![shown(stored)]);
                    if stored.frozen {
                        copy.solid.insert(key.clone());
                    }
                } else if let Some(stored) = bucket.current(key).filter(|_| prefix.is_empty()) {
                    // The counters of a whole bucket count it, as those of the bucket do.
                    copy.ended.0 += 1;
                    copy.ended.1 += stored.own();
                }
            }
            bucket.snapshots.insert(snapshot.clone(), copy);
            Ok(String::new())
        }
        Snapshots::Delete(snapshot) => match bucket.snapshots.remove(snapshot) {
            Some(_) => Ok(String::new()),
            None => Err(missing),
        },
        Snapshots::All => Ok(format!("{:?}", bucket.snapshots.keys())),
        Snapshots::Clone {
            snapshot,
            prefix,
            to,
        } => {
            let clone = match snapshot {
                Some(snapshot) => {
                    let copy = bucket.snapshots.get(snapshot).ok_or(missing)?;
                    cloned(copy, now, prefix, Some(&copy.solid))?
                }
                None => cloned(bucket, now, prefix, None)?,
            };
            bucket.tied = true;
            if model.contains_key(to) {
                return Err(ErrorKind::AlreadyExists(Noun::Bucket));
            }
            model.insert(to.clone(), clone);
            Ok(String::new())
        }
        Snapshots::Of(snapshot, inner) => {
            let copy = bucket.snapshots.get(snapshot).ok_or(missing)?.clone();
            let reads_as = reads_as(name, snapshot);
            let mut with = model.clone();
            with.insert(reads_as.clone(), copy);
            match **inner {
                Operation::List(_)
                | Operation::Read { .. }
                | Operation::Head(_)
                | Operation::Bucket => state::expect(&mut with, now, (&reads_as, key), inner),
                _ => Err(ErrorKind::InvalidState),
            }
        }
    }
}

/// What a clone starts with; `solid` are the keys of what does not change in it.
fn cloned(
    source: &Bucket,
    now: u64,
    prefix: &str,
    solid: Option<&BTreeSet<String>>,
) -> Result<Bucket, ErrorKind> {
    if source.depth >= DEPTH_MAX {
        return Err(ErrorKind::InvalidState);
    }
    let mut clone = Bucket {
        depth: source.depth + 1,
        tied: true,
        ..Bucket::default()
    };
    if prefix.is_empty() {
        clone.ended = source.ended;
    }
    let mut any = prefix.is_empty();
    for key in source.keys.keys().filter(|key| key.starts_with(prefix)) {
        let Some(current) = source.current(key) else {
            continue;
        };
        any = true;
        if let Some(stored) = source.live(key, now) {
            let stored = Stored {
                // The store's to choose.
                revision: String::new(),
                null: true,
                frozen: solid.map_or(stored.frozen, |solid| solid.contains(key)),
                ..shown(stored)
            };
            clone.keys.insert(key.clone(), vec![stored]);
        } else if prefix.is_empty() {
            clone.ended.0 += 1;
            clone.ended.1 += current.own();
        }
    }
    match any {
        true => Ok(clone),
        false => Err(ErrorKind::NotFound(Noun::Object)),
    }
}

/// Asks the store.
pub(super) async fn ask(
    store: &Store,
    model: &Model,
    (name, key): (&str, &str),
    made: &Snapshots,
) -> trestle_core::Result<String> {
    let bucket = BucketName::parse(name)?;
    let of_bucket = |action| grant(action, Resource::Bucket(bucket.clone()));
    match made {
        Snapshots::Create { name, prefix } => {
            let create = CreateSnapshot {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                name: name.clone(),
            };
            let grant = of_bucket(Action::CreateSnapshot)?;
            store.create_snapshot(&grant, &create).await?;
        }
        Snapshots::Delete(snapshot) => {
            let grant = of_bucket(Action::DeleteSnapshot)?;
            store.delete_snapshot(&grant, &bucket, snapshot).await?;
        }
        Snapshots::All => {
            let grant = of_bucket(Action::ReadBucket)?;
            let all = store.list_snapshots(&grant, &bucket).await?;
            let mut names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
            names.sort_unstable();
            return Ok(format!("{names:?}"));
        }
        Snapshots::Clone {
            snapshot,
            prefix,
            to,
        } => {
            let source = match snapshot {
                Some(snapshot) => BucketName::parse(reads_as(name, snapshot))?,
                None => bucket.clone(),
            };
            let to = BucketName::parse(to.as_str())?;
            let grants = [
                grant(Action::CloneBucket, Resource::Bucket(source.clone()))?,
                grant(Action::CreateBucket, Resource::Bucket(to.clone()))?,
            ];
            let clone = CloneBucket {
                source,
                prefix: prefix.clone(),
                name: to,
            };
            store.clone_bucket(&grants, &clone).await?;
        }
        Snapshots::Of(snapshot, inner) => {
            let reads_as = reads_as(name, snapshot);
            return Box::pin(ask::ask(store, model, (&reads_as, key), inner)).await;
        }
    }
    Ok(String::new())
}

/// What all there is of a bucket's snapshots is to be compared with.
pub(super) fn all(bucket: &Bucket) -> Vec<(String, Snapshots)> {
    let mut asked = vec![(String::new(), Snapshots::All)];
    for (snapshot, copy) in &bucket.snapshots {
        let mut of = |key: &str, operation| {
            let of = Snapshots::Of(snapshot.clone(), Box::new(operation));
            asked.push((key.to_owned(), of));
        };
        of("", Operation::Bucket);
        of("", Operation::List(Listed::all()));
        for key in copy.keys.keys() {
            let which = Which::Current;
            of(key, Operation::Head(which));
            of(key, Operation::Read { which, range: None });
        }
    }
    asked
}

/// Which comes next; `inner` is what else could have been done.
pub(super) fn choose(
    random: &SeededRandom,
    model: &Model,
    (bucket, chosen): (&str, &str),
    inner: Operation,
) -> (String, Operation) {
    let pick = |below: u64| random.next_u64() % below;
    let there = model.get(bucket);
    let named = |of: &Bucket| {
        let names: Vec<String> = of.snapshots.keys().cloned().collect();
        one(random, &names, "s0".to_owned())
    };
    let name = there.map_or_else(|| "s0".to_owned(), named);
    let full = there.is_some_and(|there| there.snapshots.len() >= SNAPSHOTS_MAX);
    let limited = there.is_some_and(Bucket::has_quota);
    let made = match pick(12) {
        0..3 if !full && !limited => Snapshots::Create {
            name: format!("s{}", pick(5)),
            prefix: one(random, &["", "", "a/", "/"], "").to_owned(),
        },
        3 => Snapshots::Delete(name),
        4 => Snapshots::All,
        5..8 if !limited => Snapshots::Clone {
            snapshot: (pick(2) == 0).then_some(name),
            prefix: one(random, &["", "", "a/", "/"], "").to_owned(),
            to: one(random, &CLONES, "c0").to_owned(),
        },
        _ => {
            let known = there.and_then(|there| there.snapshots.get(&name));
            let keys: Vec<String> =
                known.map_or_else(Vec::new, |known| known.keys.keys().cloned().collect());
            let key = match pick(5) {
                0 => key(random),
                _ => one(random, &keys, chosen.to_owned()),
            };
            let which = Which::Current;
            let inner = match inner {
                Operation::Read { range, .. } => Operation::Read { which, range },
                Operation::List(_) | Operation::Put { .. } | Operation::Bucket => inner,
                _ => Operation::Head(which),
            };
            let made = Snapshots::Of(name, Box::new(inner));
            return (key, Operation::Snapshots(made));
        }
    };
    (chosen.to_owned(), Operation::Snapshots(made))
}

/// The same, or something else, done to a clone, so that clones are changed and deleted, too.
pub(super) fn turned(
    random: &SeededRandom,
    model: &Model,
    (bucket, key, operation): (String, String, Operation),
) -> (String, String, Operation) {
    let pick = |below: u64| random.next_u64() % below;
    let clones: Vec<&str> = CLONES
        .into_iter()
        .filter(|name| model.contains_key(*name))
        .collect();
    let turns = match &operation {
        Operation::Contents(made) => made.is_patch(),
        Operation::Snapshots(Snapshots::Clone { .. } | Snapshots::Create { .. })
        | Operation::Put { .. }
        | Operation::CreateDirectory { .. }
        | Operation::Read { .. }
        | Operation::Head(_)
        | Operation::Update { .. }
        | Operation::Delete { .. }
        | Operation::Reinstate(_)
        | Operation::Rename { .. }
        | Operation::List(_)
        | Operation::ListVersions(_)
        | Operation::Versioning(_)
        | Operation::DeleteTree { .. }
        | Operation::RenameTree { .. } => true,
        _ => false,
    };
    if clones.is_empty() || !turns || pick(3) > 0 {
        return (bucket, key, operation);
    }
    let name = one(random, &clones, "c0").to_owned();
    let known = model.get(&name);
    let keys: Vec<String> =
        known.map_or_else(Vec::new, |known| known.keys.keys().cloned().collect());
    let snapshot = known.and_then(|known| known.snapshots.keys().next());
    let tree = operation.is_tree();
    let operation = match (keys.is_empty(), snapshot, pick(4)) {
        (true, None, 0..3) => Operation::DeleteBucket,
        (true, Some(snapshot), 0..3) => Operation::Snapshots(Snapshots::Delete(snapshot.clone())),
        (false, _, 0) if !tree => Operation::Delete {
            which: Which::Current,
            condition: Condition::None,
            history: History::Erase,
            mark_missing: false,
            bypass: true,
        },
        _ => operation,
    };
    let key = match tree || pick(5) == 0 {
        true => key,
        false => one(random, &keys, key),
    };
    (name, key, operation)
}
