//! Snapshots of buckets and directories in histories: each is a copy of what was there.

use super::ask::{self, grant};
use super::choose::{key, one};
use super::operation::{Listed, Operation, Which};
use super::state::{self, Answer, Bucket, Model, Stored};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, ErrorKind, Noun, Result};
use trestle_host::SeededRandom;
use trestle_store::{CreateSnapshot, Store};

/// Snapshots that one bucket of a history has at most.
const SNAPSHOTS_MAX: usize = 4;

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
}

impl Snapshots {
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Snapshots::Create { .. } => "create snapshot",
            Snapshots::Delete(_) => "delete snapshot",
            Snapshots::All => "list snapshots",
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
            let mut copy = Bucket::default();
            for key in there {
                if let Some(stored) = bucket.live(key, now) {
                    copy.keys.insert(key.clone(), vec![shown(stored)]);
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

/// Asks the store.
pub(super) async fn ask(
    store: &Store,
    model: &Model,
    (name, key): (&str, &str),
    made: &Snapshots,
) -> Result<String> {
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
