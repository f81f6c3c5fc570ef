//! The lane that asks whether the server is linearizable: many clients on few keys, everything that
//! they asked and were told written down, and the history checked; also through kills.
//!
//! Each value is written once, at once or as an upload in pieces, and may be copied and moved to other
//! keys. The answer to a read has to be one value whole, each entity tag has to stand for one, and a
//! listing has to show one moment. Transactions change several keys at once; what a snapshot holds was
//! there at one moment of its making, and stays. In one history of three the keys hold volumes.

mod together;

use crate::ledger::Broken;
use crate::linear::{self, Action, KEYS, Operation, Outcome, Part};
use crate::tree::noise;
use crate::{Client, Launch, Random, Server};
use serde_json::json;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How to run it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What everything but the moments follows from.
    pub seed: u64,
    /// No history begins after this.
    pub until: Instant,
    /// At most so many histories.
    pub histories: u64,
    /// Clients at once.
    pub clients: u64,
    /// Requests of each client in one history.
    pub requests: u64,
    /// One history in so many ends with signal 9; 0 for none.
    pub kill_one_in: u64,
    /// Where the data folder goes; it stays when a promise was broken.
    pub folder: PathBuf,
    /// Variables of the server.
    pub variables: Vec<(String, String)>,
}

/// What a run went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Histories, each with keys of its own.
    pub histories: u64,
    /// Of these, so many ended by a kill.
    pub kills: u64,
    /// Requests in them.
    pub requests: u64,
    /// Requests of which it is not known whether they happened.
    pub unknown: u64,
    /// Conditions that did not hold.
    pub refused: u64,
    /// Copies and moves that were done.
    pub joined: u64,
    /// Uploads that were completed.
    pub uploads: u64,
    /// Uploads that were given up.
    pub given_up: u64,
    /// Transactions that were done.
    pub transactions: u64,
    /// Snapshots that were made and read.
    pub snapshots: u64,
    /// Clones that were made.
    pub clones: u64,
    /// Changes of volumes in place.
    pub volume_writes: u64,
    /// Time that the checks took.
    pub checking: Duration,
}

const SIZES: [usize; 8] = [20, 20, 20, 100, 100, 5_000, 140_000, 300_000];
/// Of volumes: three blocks.
const VOLUME_BYTES: usize = 3 * 4096;
/// No history takes longer to be killed.
const KILL_WITHIN: u64 = 400;

/// Runs it.
///
/// # Errors
/// The first history that no order explains.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&Tally)) -> Result<Tally, Broken> {
    let failed = |error: io::Error| format!("the server cannot be driven: {error}");
    std::fs::create_dir_all(&plan.folder).map_err(failed)?;
    let mut launch = Launch::new(plan.folder.join("data"));
    launch = launch.variable("TRESTLE_LOG", "warn");
    launch.variables.extend_from_slice(&plan.variables);
    let mut tally = Tally::default();
    let mut random = Random::new(plan.seed);
    let mut server = launch.try_start()?;
    let made = server.client().send("PUT", "/rest/b/", &[], b"");
    if made.map_err(failed)?.status != 201 {
        return Err("the bucket cannot be made".to_owned());
    }
    while tally.histories < plan.histories && Instant::now() < plan.until {
        let history = History::new(tally.histories, plan, random.number());
        let kill = plan.kill_one_in > 0 && random.once_in(plan.kill_one_in);
        if kill {
            let after = Duration::from_millis(random.below(KILL_WITHIN));
            server = history.until_killed(server, after, &launch)?;
            tally.kills += 1;
        } else {
            history.to_the_end(&server);
        }
        history.judge(&server, plan, &mut tally)?;
        tally.histories += 1;
        say(&tally);
    }
    drop(server);
    launch.check()?;
    Ok(tally)
}

/// Clients that ask, and what they were told.
struct History {
    number: u64,
    seed: u64,
    clients: u64,
    requests: u64,
    began: Instant,
    values: AtomicU64,
    /// With the tags that readers were told.
    recorded: Mutex<Vec<(Operation, Told)>>,
    tags: Mutex<Tags>,
    uploads: AtomicU64,
    given_up: AtomicU64,
    /// Its keys hold volumes.
    volumes: bool,
    /// Names of snapshots, and what each holds; none when it is not known that it was made.
    snapshots: Mutex<Vec<Snapshot>>,
    /// The same of all keys at once.
    together: Mutex<Vec<Together>>,
    clones: AtomicU64,
    volume_writes: AtomicU64,
    broken: Mutex<Option<Broken>>,
}

/// A snapshot that was asked for.
#[derive(Clone, Debug)]
struct Snapshot {
    client: u64,
    key: usize,
    name: String,
    call: u64,
    /// Absent when there was no answer.
    value: Option<u64>,
}

/// A snapshot of all keys that was asked for.
#[derive(Clone, Debug)]
struct Together {
    client: u64,
    name: String,
    call: u64,
    /// The tag of each key that it shows; absent when there was no answer.
    shown: Option<[Option<String>; KEYS]>,
}

/// The entity tags that an answer tells.
#[derive(Clone, Debug)]
enum Told {
    Nothing,
    Tag(String),
    /// Of each key that is there.
    Tags([Option<String>; KEYS]),
}

/// Entity tags and what they stand for.
#[derive(Default)]
struct Tags {
    values: HashMap<String, u64>,
    /// The request that each is of, and the other way round.
    stamps: HashMap<String, u64>,
    tags: HashMap<u64, String>,
    /// The newest one of each key that anybody was told.
    newest: HashMap<usize, u64>,
}

impl Tags {
    /// A write was told its tag.
    fn of_write(&mut self, key: usize, stamp: u64, tag: &str) -> Result<(), Broken> {
        if let Some(other) = self.stamps.insert(tag.to_owned(), stamp) {
            return Err(format!("the writes {other} and {stamp} have the tag {tag}"));
        }
        self.tags.insert(stamp, tag.to_owned());
        self.newest.insert(key, stamp);
        Ok(())
    }

    /// A read was told a value with a tag.
    fn of_read(&mut self, key: usize, value: u64, tag: &str) -> Result<(), Broken> {
        let known = *self.values.entry(tag.to_owned()).or_insert(value);
        if known != value {
            return Err(format!("{tag} stands for value {known} and for {value}"));
        }
        if let Some(stamp) = self.stamps.get(tag) {
            self.newest.insert(key, *stamp);
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of a value: what it is, then noise, so that no part of it can be another's.
fn body(value: u64, size: usize) -> Vec<u8> {
    let mut bytes = format!("{value} {size}\n").into_bytes();
    bytes.extend_from_slice(&noise(value, size));
    if size == VOLUME_BYTES {
        bytes.truncate(size);
    }
    bytes
}

/// The value whose bytes these are: 0 of a volume that was never written, or made zero.
fn value_of(bytes: &[u8]) -> Option<u64> {
    if bytes.len() == VOLUME_BYTES && bytes.iter().all(|byte| *byte == 0) {
        return Some(0);
    }
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let (value, size) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let (value, size) = (value.parse().ok()?, size.parse().ok()?);
    (bytes == body(value, size)).then_some(value)
}

impl History {
    fn new(number: u64, plan: &Plan, seed: u64) -> Self {
        History {
            number,
            seed,
            clients: plan.clients,
            requests: plan.requests,
            began: Instant::now(),
            values: AtomicU64::new(number << 32 | 1),
            recorded: Mutex::default(),
            tags: Mutex::default(),
            uploads: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            volumes: number % 3 == 1,
            snapshots: Mutex::default(),
            together: Mutex::default(),
            clones: AtomicU64::new(0),
            volume_writes: AtomicU64::new(0),
            broken: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn target(&self, key: usize) -> String {
        format!("/rest/b/history/{}/{key}", self.number)
    }

    /// Every client asks all that it has to ask.
    fn to_the_end(&self, server: &Server) {
        std::thread::scope(|scope| {
            for client in 0..self.clients {
                let connection = server.client().without_repeating();
                scope.spawn(move || self.ask_on(client, connection));
            }
        });
    }

    /// The server is killed under the clients; returns the one that comes after it.
    fn until_killed(
        &self,
        server: Server,
        after: Duration,
        launch: &Launch,
    ) -> Result<Server, Broken> {
        std::thread::scope(|scope| {
            for client in 0..self.clients {
                let connection = server.client().without_repeating();
                scope.spawn(move || self.ask_on(client, connection));
            }
            std::thread::sleep(after);
            server.kill().map(drop)
        })
        .map_err(|error| format!("the server cannot be killed: {error}"))?;
        // Whatever had no answer by now has happened or never will.
        let gone = self.now();
        for (operation, _) in locked(&self.recorded).iter_mut() {
            operation.end = operation.end.min(gone);
        }
        launch.try_start()
    }

    /// One client, until it has asked everything or the server is gone.
    fn ask_on(&self, client: u64, mut connection: Client) {
        let mut random = Random::new(self.seed ^ (client << 40));
        for _ in 0..self.requests {
            let key = random.below(KEYS as u64) as usize;
            let what = self.choose(key, &mut random);
            let asked = Asked {
                client,
                key,
                action: what.action(),
                size: match self.volumes {
                    true => VOLUME_BYTES,
                    false => random.one_of(&SIZES),
                },
                in_pieces: random.once_in(4) && !self.volumes,
                clones: matches!(what, What::Clone(_)),
            };
            if let What::Snapshot | What::SnapshotOfAll = what {
                let made = match what {
                    What::Snapshot => self.snapshot(&mut connection, &asked),
                    _ => self.snapshot_of_all(&mut connection, client),
                };
                match made {
                    Ok(true) => continue,
                    Ok(false) => return,
                    Err(broken) => {
                        locked(&self.broken).get_or_insert(broken);
                        return;
                    }
                }
            }
            match self.ask(&mut connection, &asked, &mut random) {
                Ok(true) => {}
                Ok(false) => return,
                Err(broken) => {
                    locked(&self.broken).get_or_insert(broken);
                    return;
                }
            }
        }
    }

    fn choose(&self, key: usize, random: &mut Random) -> What {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        let target = (key + 1 + random.below(KEYS as u64 - 1) as usize) % KEYS;
        let create = random.once_in(3);
        let copy = |create| Action::Copy {
            target,
            stamp: value,
            create,
        };
        let replace = || match locked(&self.tags).newest.get(&key) {
            Some(from) => Action::Replace {
                from: *from,
                to: value,
            },
            None if self.volumes => Action::Make(value),
            None => Action::Create(value),
        };
        What::Ask(match (self.volumes, random.below(32)) {
            (_, 0..=8) => Action::Read,
            (_, 9) => Action::List,
            (_, 10) => Action::Move { target, create },
            (_, 11..=12) => Action::Delete,
            (_, 13) => return What::Clone(copy(true)),
            (_, 14) => return What::Snapshot,
            (_, 15) => return What::SnapshotOfAll,
            (_, 16..=18) => self.transaction(value, random),
            (_, 19..=21) => replace(),
            (true, 22..=24) => Action::Make(value),
            (true, 25..=28) => Action::Write(value),
            (true, 29) => Action::Zero(value),
            (true, 30) => copy(create),
            (true, _) => Action::Put(value),
            (false, 22..=25) => Action::Put(value),
            (false, 26..=28) => Action::Create(value),
            (false, _) => copy(create),
        })
    }

    /// A transaction on some of the keys; the values after `first` are taken for it.
    fn transaction(&self, first: u64, random: &mut Random) -> Action {
        let mut parts = [Part::None; KEYS];
        let value = || self.values.fetch_add(1, Ordering::Relaxed);
        for (key, part) in parts.iter_mut().enumerate() {
            let newest = locked(&self.tags).newest.get(&key).copied();
            *part = match (random.below(12), newest) {
                (0 | 1, _) => Part::Put(value()),
                (2, _) => Part::Create(value()),
                (3, Some(from)) => Part::Replace { from, to: value() },
                (4, _) => Part::Delete,
                (5, _) => Part::Absent,
                (6 | 7, Some(stamp)) => Part::Is(stamp),
                _ => Part::None,
            };
        }
        if parts == [Part::None; KEYS] {
            parts[random.below(KEYS as u64) as usize] = Part::Put(first);
        }
        Action::Transact(parts)
    }

    fn record(&self, (asked, call): (&Asked, u64), outcome: Outcome, told: Told) {
        // What has no answer may happen until the server is gone.
        let end = match outcome {
            Outcome::Unknown => u64::MAX,
            _ => self.now(),
        };
        let operation = Operation {
            client: asked.client,
            key: asked.key,
            call,
            end,
            action: asked.action,
            outcome,
        };
        locked(&self.recorded).push((operation, told));
    }

    /// Asks one thing and writes down what came of it; false when the server is gone.
    fn ask(
        &self,
        connection: &mut Client,
        asked: &Asked,
        random: &mut Random,
    ) -> Result<bool, Broken> {
        let mut target = match asked.action {
            Action::List => format!("/rest/b/?prefix=history/{}/", self.number),
            Action::Transact(_) => "/-/transactions".to_owned(),
            _ if asked.clones => "/-/clones".to_owned(),
            _ => self.target(asked.key),
        };
        let request = self.request(asked);
        let (mut method, mut headers) = (request.method, request.headers);
        let mut body = request.body;
        if asked.in_pieces && request.value.is_some() && !body.is_empty() {
            let begun = match self.begin(connection, &target, &body, random) {
                Ok(Begun::Upload(begun)) => begun,
                Ok(Begun::GivenUp) => return Ok(true),
                Ok(Begun::Broken(broken)) => return Err(broken),
                // Nothing can have happened to the key.
                Err(_) => return Ok(false),
            };
            (method, target) = ("PATCH", begun.0);
            headers.extend(resumable());
            headers.push(("content-type", OFFSET_STREAM.to_owned()));
            headers.push(("upload-offset", begun.1.to_string()));
            body.drain(..begun.1);
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let call = self.now();
        let answer = connection.send(method, &target, &headers, &body);
        let Ok(answer) = answer else {
            self.record((asked, call), Outcome::Unknown, Told::Nothing);
            return Ok(false);
        };
        let tag = answer.header("etag");
        let tagged = || {
            let missing = || format!("{method} {target}: an answer without an entity tag");
            tag.clone().ok_or_else(missing)
        };
        match (asked.action, answer.status) {
            (Action::Read, 200) => {
                let found = value_of(&answer.body)
                    .ok_or_else(|| format!("GET {target}: bytes that are no value's"))?;
                locked(&self.tags).of_read(asked.key, found, &tagged()?)?;
                self.record(
                    (asked, call),
                    Outcome::Found(found, None),
                    Told::Tag(tagged()?),
                );
            }
            (Action::List, 200) => {
                let tags = self.listed(&answer.body).ok_or("a listing that is none")?;
                let there = tags.each_ref().map(|tag| tag.as_ref().map(|_| None));
                self.record((asked, call), Outcome::Listed(there), Told::Tags(tags));
            }
            (Action::Read, 404) => self.record((asked, call), Outcome::Missing, Told::Nothing),
            (action, 404) if action.needs_something() => {
                self.record((asked, call), Outcome::Refused, Told::Nothing);
            }
            (action, 412) if action.has_condition() => {
                self.record((asked, call), Outcome::Refused, Told::Nothing);
            }
            (Action::Delete, 204) => self.record((asked, call), Outcome::Done, Told::Nothing),
            (Action::Move { .. }, 201 | 204) => {
                tagged()?;
                self.record((asked, call), Outcome::Done, Told::Nothing);
            }
            (Action::Transact(parts), 200) => {
                self.transacted(&parts, &answer.body)?;
                self.record((asked, call), Outcome::Done, Told::Nothing);
            }
            (Action::Copy { target, stamp, .. }, 201 | 204) => {
                self.clones
                    .fetch_add(u64::from(asked.clones), Ordering::Relaxed);
                locked(&self.tags).of_write(target, stamp, &tagged()?)?;
                self.record((asked, call), Outcome::Done, Told::Nothing);
            }
            (_, 200 | 201 | 204) => {
                let stamp = request.value.unwrap_or_default();
                locked(&self.tags).of_write(asked.key, stamp, &tagged()?)?;
                let (volumes, uploads) = (&self.volume_writes, &self.uploads);
                let counted = if self.volumes { volumes } else { uploads };
                counted.fetch_add(u64::from(method == "PATCH"), Ordering::Relaxed);
                self.record((asked, call), Outcome::Done, Told::Nothing);
            }
            // It says that nothing has happened.
            (_, 409) => {}
            (_, 500..) => self.record((asked, call), Outcome::Unknown, Told::Nothing),
            (_, status) => {
                let text = answer.text();
                return Err(format!("{method} {target}: answered {status} {text}"));
            }
        }
        Ok(true)
    }

    /// The entity tags in a listing.
    fn listed(&self, body: &[u8]) -> Option<[Option<String>; KEYS]> {
        let page: serde_json::Value = serde_json::from_slice(body).ok()?;
        let mut tags: [Option<String>; KEYS] = Default::default();
        for item in page["items"].as_array()? {
            let key = item["key"].as_str()?.rsplit_once('/')?.1;
            if key.contains('@') {
                continue;
            }
            let tag = item["etag"].as_str()?;
            *tags.get_mut(key.parse::<usize>().ok()?)? = Some(format!("\"{tag}\""));
        }
        Some(tags)
    }

    fn request(&self, asked: &Asked) -> Sent {
        let tag = |stamp| locked(&self.tags).tags.get(&stamp).cloned();
        let place = |target, create: bool| {
            let overwrite = create.then(|| ("overwrite", "F".to_owned()));
            let destination = ("destination", self.target(target));
            std::iter::once(destination).chain(overwrite).collect()
        };
        let whole = || ("content-range", format!("bytes 0-{}/*", VOLUME_BYTES - 1));
        let volume = || ("content-type", VOLUME.to_owned());
        let json_type = || ("content-type", "application/json".to_owned());
        let mut sent = None;
        let (method, headers, value) = match asked.action {
            Action::Read | Action::List => ("GET", Vec::new(), None),
            Action::Put(value) => ("PUT", Vec::new(), Some(value)),
            Action::Create(value) => ("PUT", vec![("if-none-match", "*".to_owned())], Some(value)),
            Action::Replace { from, to } => {
                let held = ("if-match", tag(from).unwrap_or_default());
                match self.volumes {
                    true => ("PATCH", vec![held, whole()], Some(to)),
                    false => ("PUT", vec![held], Some(to)),
                }
            }
            Action::Delete => ("DELETE", Vec::new(), None),
            Action::Copy { target, .. } if asked.clones => {
                let key = |key| format!("history/{}/{key}", self.number);
                let (from, to) = (key(asked.key), key(target));
                sent = Some(json!({"bucket": "b", "key": from, "to_key": to}).to_string());
                ("POST", vec![json_type()], None)
            }
            Action::Copy { target, create, .. } => ("COPY", place(target, create), None),
            Action::Move { target, create } => ("MOVE", place(target, create), None),
            Action::Make(stamp) => {
                sent = Some(json!({ "size": VOLUME_BYTES }).to_string());
                let headers = vec![volume(), ("if-none-match", "*".to_owned())];
                ("PUT", headers, Some(stamp))
            }
            Action::Write(value) => ("PATCH", vec![whole()], Some(value)),
            Action::Zero(stamp) => {
                let verb = json!({"verb": "zeroes", "offset": 0, "length": VOLUME_BYTES});
                sent = Some(verb.to_string());
                ("POST", vec![volume()], Some(stamp))
            }
            Action::Transact(parts) => {
                sent = Some(self.verbs(&parts, asked.size.min(VOLUME_BYTES)).to_string());
                ("POST", vec![json_type()], None)
            }
        };
        let of_value = || value.map_or_else(Vec::new, |value| body(value, asked.size));
        Sent {
            method,
            headers,
            value,
            body: sent.map_or_else(of_value, String::into_bytes),
        }
    }

    /// Begins an upload and sends its first half; now and then gives it up instead, or leaves it.
    fn begin(
        &self,
        connection: &mut Client,
        target: &str,
        body: &[u8],
        random: &mut Random,
    ) -> io::Result<Begun> {
        let broken = |what: &str, status| Ok(Begun::Broken(format!("{what} {target}: {status}")));
        let length = body.len().to_string();
        let with = |more: &[(&'static str, &str)]| {
            let mut headers = resumable().to_vec();
            headers.extend(more.iter().map(|(n, v)| (*n, (*v).to_owned())));
            headers
        };
        let mut send = |method, target: &str, headers: &[(&str, String)], body: &[u8]| {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            connection.send(method, target, &headers, body)
        };
        let created = send("POST", target, &with(&[("upload-length", &length)]), b"")?;
        let Some(upload) = created.header("location").filter(|_| created.status == 201) else {
            return broken("POST", created.status);
        };
        let half = body.len() / 2;
        let headers = with(&[("content-type", OFFSET_STREAM), ("upload-offset", "0")]);
        let some = send("PATCH", &upload, &headers, &body[..half])?;
        if some.status != 204 {
            return broken("the first PATCH of", some.status);
        }
        match random.below(6) {
            0 => {
                let gone = send("DELETE", &upload, &with(&[]), b"")?;
                if gone.status != 204 {
                    return broken("DELETE of an upload of", gone.status);
                }
                self.given_up.fetch_add(1, Ordering::Relaxed);
                Ok(Begun::GivenUp)
            }
            1 => Ok(Begun::GivenUp),
            _ => Ok(Begun::Upload((upload, half))),
        }
    }

    /// Looks at each key once more, and checks the history.
    fn judge(&self, server: &Server, plan: &Plan, tally: &mut Tally) -> Result<(), Broken> {
        let mut connection = server.client();
        for key in 0..KEYS {
            let asked = Asked {
                client: self.clients,
                key,
                action: Action::Read,
                size: 0,
                in_pieces: false,
                clones: false,
            };
            if !self.ask(&mut connection, &asked, &mut Random::new(0))? {
                return Err("the server is gone".to_owned());
            }
        }
        if let Some(broken) = locked(&self.broken).take() {
            return Err(format!("history {}: {broken}", self.number));
        }
        let snapshots = self.judge_snapshots(&mut connection);
        tally.snapshots += snapshots.map_err(|b| format!("history {}: {b}", self.number))?;
        let together = self.judge_together(&mut connection);
        tally.snapshots += together.map_err(|b| format!("history {}: {b}", self.number))?;
        let recorded = self.resolved();
        let count = |wanted: &dyn Fn(&Operation) -> bool| {
            recorded.iter().filter(|other| wanted(other)).count() as u64
        };
        tally.requests += recorded.len() as u64;
        tally.unknown += count(&|other| other.outcome == Outcome::Unknown);
        tally.refused += count(&|other| other.outcome == Outcome::Refused);
        tally.joined += count(&|other| {
            let joins = matches!(other.action, Action::Copy { .. } | Action::Move { .. });
            joins && other.outcome == Outcome::Done
        });
        tally.uploads += self.uploads.load(Ordering::Relaxed);
        tally.given_up += self.given_up.load(Ordering::Relaxed);
        tally.clones += self.clones.load(Ordering::Relaxed);
        tally.volume_writes += self.volume_writes.load(Ordering::Relaxed);
        tally.transactions += count(&|other| {
            matches!(other.action, Action::Transact(_)) && other.outcome == Outcome::Done
        });
        let began = Instant::now();
        let checked = linear::check(&recorded);
        tally.checking += began.elapsed();
        checked.map_err(|stuck| {
            let kept = keep(&plan.folder, self.number, &recorded);
            format!(
                "seed {}, history {} ({kept}): {stuck}",
                plan.seed, self.number
            )
        })
    }

    /// What was written down, with the requests that put what was read, as far as they are known.
    fn resolved(&self) -> Vec<Operation> {
        let tags = locked(&self.tags);
        let recorded = locked(&self.recorded);
        let stamp = |tag: &String| tags.stamps.get(tag).copied();
        let resolved = recorded.iter().map(|(operation, told)| {
            let outcome = match (operation.outcome, told) {
                (Outcome::Found(value, _), Told::Tag(tag)) => Outcome::Found(value, stamp(tag)),
                (Outcome::Listed(_), Told::Tags(tags)) => {
                    Outcome::Listed(tags.each_ref().map(|tag| tag.as_ref().map(stamp)))
                }
                (other, _) => other,
            };
            Operation {
                outcome,
                ..*operation
            }
        });
        resolved.collect()
    }
}

/// What a client is about to ask.
struct Asked {
    client: u64,
    key: usize,
    action: Action,
    size: usize,
    /// As an upload, if it is a write.
    in_pieces: bool,
    /// As a clone, if it is a copy.
    clones: bool,
}

/// What a client does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Ask(Action),
    Clone(Action),
    Snapshot,
    SnapshotOfAll,
}

impl What {
    fn action(self) -> Action {
        match self {
            What::Ask(action) | What::Clone(action) => action,
            What::Snapshot => Action::Read,
            What::SnapshotOfAll => Action::List,
        }
    }
}

/// A request.
struct Sent {
    method: &'static str,
    headers: Vec<(&'static str, String)>,
    value: Option<u64>,
    body: Vec<u8>,
}

/// What came of the beginning of an upload.
enum Begun {
    /// Its URL, and how many bytes it has.
    Upload((String, usize)),
    GivenUp,
    Broken(Broken),
}

/// The type of what says something of a volume.
const VOLUME: &str = "application/vnd.trestle.volume+json";
const OFFSET_STREAM: &str = "application/offset+octet-stream";

fn resumable() -> [(&'static str, String); 1] {
    [("tus-resumable", "1.0.0".to_owned())]
}

/// Writes a history down for whoever looks into it; says where.
fn keep(folder: &Path, number: u64, recorded: &[Operation]) -> String {
    let mut sorted = recorded.to_vec();
    sorted.sort_by_key(|operation| operation.call);
    let lines: String = sorted.iter().map(|o| format!("{o:?}\n")).collect();
    let path = folder.join(format!("history-{number}.txt"));
    match std::fs::write(&path, lines) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("not kept: {error}"),
    }
}
