//! The lane that asks whether the server is linearizable: many clients on few keys, everything that
//! they asked and were told written down, and each key's history checked; also through kills.
//!
//! Each value is written once. The answer to a read has to be one value whole, and each entity tag
//! has to stand for one value.

use crate::ledger::Broken;
use crate::linear::{self, Action, Operation, Outcome};
use crate::tree::noise;
use crate::{Client, Launch, Random, Server};
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
    /// Time that the checks took.
    pub checking: Duration,
}

/// Keys of one history.
const KEYS: u64 = 4;
const SIZES: [usize; 8] = [20, 20, 20, 100, 100, 5_000, 140_000, 300_000];
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

/// A key's operations.
type Recorded = Vec<Operation>;

/// Clients that ask, and what they were told.
struct History {
    number: u64,
    seed: u64,
    clients: u64,
    requests: u64,
    began: Instant,
    values: AtomicU64,
    recorded: Mutex<Vec<Recorded>>,
    tags: Mutex<Tags>,
    broken: Mutex<Option<Broken>>,
}

/// Entity tags and what they stand for.
#[derive(Default)]
struct Tags {
    values: HashMap<String, u64>,
    tags: HashMap<u64, String>,
    /// The newest one of each key that anybody was told.
    newest: HashMap<u64, u64>,
}

impl Tags {
    fn note(&mut self, key: u64, value: u64, tag: String) -> Result<(), Broken> {
        let known = self.values.entry(tag.clone()).or_insert(value);
        if *known != value {
            return Err(format!("{tag} stands for value {known} and for {value}"));
        }
        let known = self.tags.entry(value).or_insert_with(|| tag.clone());
        if *known != tag {
            return Err(format!("value {value} has the tags {known} and {tag}"));
        }
        self.newest.insert(key, value);
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
    bytes
}

/// The value whose bytes these are.
fn value_of(bytes: &[u8]) -> Option<u64> {
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
            recorded: Mutex::new(vec![Vec::new(); KEYS as usize]),
            tags: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn target(&self, key: u64) -> String {
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
        for operation in locked(&self.recorded).iter_mut().flatten() {
            operation.end = operation.end.min(gone);
        }
        launch.try_start()
    }

    /// One client, until it has asked everything or the server is gone.
    fn ask_on(&self, client: u64, mut connection: Client) {
        let mut random = Random::new(self.seed ^ (client << 40));
        for _ in 0..self.requests {
            let key = random.below(KEYS);
            let action = self.choose(key, &mut random);
            let size = random.one_of(&SIZES);
            match self.ask(client, &mut connection, key, action, size) {
                Ok(true) => {}
                Ok(false) => return,
                Err(broken) => {
                    locked(&self.broken).get_or_insert(broken);
                    return;
                }
            }
        }
    }

    fn choose(&self, key: u64, random: &mut Random) -> Action {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        match random.below(20) {
            0..=7 => Action::Read,
            8..=11 => Action::Put(value),
            12..=14 => Action::Create(value),
            15..=16 => Action::Delete,
            _ => match locked(&self.tags).newest.get(&key) {
                Some(from) => Action::Replace {
                    from: *from,
                    to: value,
                },
                None => Action::Create(value),
            },
        }
    }

    /// Asks one thing and writes down what came of it; false when the server is gone.
    fn ask(
        &self,
        client: u64,
        connection: &mut Client,
        key: u64,
        action: Action,
        size: usize,
    ) -> Result<bool, Broken> {
        let target = self.target(key);
        let tag = match action {
            Action::Replace { from, .. } => locked(&self.tags).tags.get(&from).cloned(),
            _ => None,
        };
        let tag = tag.unwrap_or_default();
        let (method, headers, value) = match action {
            Action::Read => ("GET", None, None),
            Action::Put(value) => ("PUT", None, Some(value)),
            Action::Create(value) => ("PUT", Some(("if-none-match", "*")), Some(value)),
            Action::Replace { to, .. } => ("PUT", Some(("if-match", tag.as_str())), Some(to)),
            Action::Delete => ("DELETE", None, None),
        };
        let sent = value.map_or_else(Vec::new, |value| body(value, size));
        let headers: Vec<(&str, &str)> = headers.into_iter().collect();
        let call = self.now();
        let answer = connection.send(method, &target, &headers, &sent);
        let end = self.now();
        let record = |outcome, end| {
            let operation = Operation {
                client,
                call,
                end,
                action,
                outcome,
            };
            if let Some(recorded) = locked(&self.recorded).get_mut(key as usize) {
                recorded.push(operation);
            }
        };
        let Ok(answer) = answer else {
            record(Outcome::Unknown, u64::MAX);
            return Ok(false);
        };
        let note = |value| match answer.header("etag") {
            Some(tag) => locked(&self.tags).note(key, value, tag),
            None => Err(format!(
                "{method} {target}: an answer without an entity tag"
            )),
        };
        match (action, answer.status) {
            (Action::Read, 200) => {
                let found = value_of(&answer.body)
                    .ok_or_else(|| format!("GET {target}: bytes that are no value's"))?;
                note(found)?;
                record(Outcome::Found(Some(found)), end);
            }
            (Action::Read, 404) => record(Outcome::Found(None), end),
            (Action::Delete, 204) => record(Outcome::Done, end),
            (Action::Delete, 404) => record(Outcome::Refused, end),
            (Action::Create(_) | Action::Replace { .. }, 412) => record(Outcome::Refused, end),
            (_, 200 | 201 | 204) => {
                note(value.unwrap_or_default())?;
                record(Outcome::Done, end);
            }
            // It says that nothing has happened.
            (_, 409) => {}
            (_, 500..) => record(Outcome::Unknown, u64::MAX),
            (_, status) => return Err(format!("{method} {target}: answered {status}")),
        }
        Ok(true)
    }

    /// Looks at each key once more, and checks its history.
    fn judge(&self, server: &Server, plan: &Plan, tally: &mut Tally) -> Result<(), Broken> {
        let mut connection = server.client();
        for key in 0..KEYS {
            if !self.ask(self.clients, &mut connection, key, Action::Read, 0)? {
                return Err("the server is gone".to_owned());
            }
        }
        if let Some(broken) = locked(&self.broken).take() {
            return Err(format!("history {}: {broken}", self.number));
        }
        for (key, recorded) in locked(&self.recorded).iter().enumerate() {
            let count = |wanted: Outcome| {
                let same = recorded.iter().filter(|other| other.outcome == wanted);
                same.count() as u64
            };
            tally.requests += recorded.len() as u64;
            tally.unknown += count(Outcome::Unknown);
            tally.refused += count(Outcome::Refused);
            let began = Instant::now();
            let checked = linear::check(None, recorded);
            tally.checking += began.elapsed();
            checked.map_err(|stuck| {
                let kept = keep(&plan.folder, self.number, key, recorded);
                format!(
                    "seed {}, history {}, key {key} ({kept}): {stuck}",
                    plan.seed, self.number
                )
            })?;
        }
        Ok(())
    }
}

/// Writes a history down for whoever looks into it; says where.
fn keep(folder: &Path, number: u64, key: usize, recorded: &[Operation]) -> String {
    let mut sorted = recorded.to_vec();
    sorted.sort_by_key(|operation| operation.call);
    let lines: String = sorted.iter().map(|o| format!("{o:?}\n")).collect();
    let path = folder.join(format!("history-{number}-{key}.txt"));
    match std::fs::write(&path, lines) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("not kept: {error}"),
    }
}
