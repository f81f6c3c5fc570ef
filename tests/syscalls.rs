//! The lane that makes each single system call of the server fail, or be the last: at every one that
//! may change the data folder, in turn, while it starts, serves, changes segments and stops.
//!
//! Each trial begins with a copy of the same folder and the same requests, one after the other. After
//! it the server starts without faults, and every promise is looked after.

use crate::ledger::{Broken, Content, Ended, Ledger};
use crate::steps::{Followed, REST, STEPS, Step, fill, follow};
use crate::strace::{self, Fault, Injection, Tracer};
use crate::{Launch, Random, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to run it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which second faults follow the first, and what a sample is.
    pub seed: u64,
    /// How many faults of each scene; none for one at each call.
    pub sample: Option<u64>,
    /// Only scenes whose name starts with one of these; none for all.
    pub only: Vec<String>,
    /// Where data folders go; the last one stays when a promise was broken.
    pub folder: PathBuf,
    /// Variables of the server.
    pub variables: Vec<(String, String)>,
}

/// What one scene went through.
#[derive(Clone, Debug, Default)]
pub struct Covered {
    /// At which of the calls of a name each fault happened.
    pub points: BTreeMap<(Fault, String), BTreeSet<u64>>,
    /// How many calls of a name there are without a fault.
    pub calls: BTreeMap<String, u64>,
    /// Starts that were killed after a fault.
    pub second: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Objects that were compared.
    pub objects: u64,
}

impl Covered {
    /// All faults that happened.
    pub fn all(&self) -> u64 {
        self.points.values().map(|at| at.len() as u64).sum()
    }
}

/// Which calls get a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// Of the thread that opens the store and ends last, from the start of the process.
    First,
    /// Of a worker, once it serves.
    Worker(&'static str),
    /// On the next data segment, by whichever thread.
    DataSegment,
}

/// On which folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Stopped,
    Killed,
    /// Stopped, then filled until a segment is nearly full, without a restart.
    Filled,
}

const LOG: Watched = Watched::Worker("committer");
const INDEX: Watched = Watched::Worker("checkpointer");

/// A name, what is watched, and what was there before.
const SCENES: [(&str, Watched, Before); 8] = [
    ("start-first", Watched::First, Before::Nothing),
    ("start-stopped", Watched::First, Before::Stopped),
    ("start-killed", Watched::First, Before::Killed),
    ("log", LOG, Before::Stopped),
    ("index", INDEX, Before::Stopped),
    ("data", Watched::DataSegment, Before::Stopped),
    ("log-full", LOG, Before::Filled),
    ("index-full", INDEX, Before::Filled),
];

/// Calls whose result may say that the disk is full.
const TAKES_SPACE: [&str; 4] = ["fallocate", "pwrite64", "pwritev", "pwritev2"];

/// How often calls that threads share are gone through.
const PASSES_MAX: u64 = 3;

/// Runs every scene.
///
/// # Errors
/// The first broken promise, with its scene, call and folder.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str, &Covered)) -> Result<(), Broken> {
    let templates = Templates::new(plan)?;
    for (name, watched, before) in SCENES {
        let wanted = plan.only.iter().any(|only| name.starts_with(only.as_str()));
        if !wanted && !plan.only.is_empty() {
            continue;
        }
        let mut scene = Scene {
            plan,
            templates: &templates,
            name,
            watched,
            before,
            covered: Covered::default(),
            random: Random::new(plan.seed),
            trials: 0,
        };
        scene.run()?;
        say(name, &scene.covered);
    }
    // Nothing is wrong with them, so nobody needs them.
    let _left_behind = std::fs::remove_dir_all(&plan.folder);
    Ok(())
}

fn driven(error: io::Error) -> Broken {
    format!("the lane cannot go on: {error}")
}

fn launch(plan: &Plan, folder: &Path) -> Launch {
    // What the server keeps outside of its data folder goes with the copies of it.
    let config = plan.folder.join("config").display().to_string();
    let mut launch = Launch::new(folder.join("data"))
        .variable("TRESTLE_LOG", "warn")
        .variable("XDG_CONFIG_HOME", &config);
    launch.variables.extend_from_slice(&plan.variables);
    launch
}

/// Folders that trials begin with, and what was promised of them.
struct Templates {
    folder: PathBuf,
    stopped: Ledger,
    killed: Ledger,
}

impl Templates {
    fn new(plan: &Plan) -> Result<Self, Broken> {
        let folder = plan.folder.join("templates");
        std::fs::create_dir_all(&folder).map_err(driven)?;
        let mut launch = launch(plan, &folder);
        let stopped = Ledger::new("b");
        let server = launch.try_start()?;
        let mut client = server.client();
        stopped.make_bucket(&mut client)?;
        for (seed, (key, size)) in [("small", 900), ("gone", 2_000), ("kept", 400_000)]
            .into_iter()
            .enumerate()
        {
            let seed = 1_000_000 + seed as u64;
            stopped.put(&mut client, key, Content { seed, size })?;
        }
        server.stop().map_err(driven)?;
        std::fs::rename(&launch.data, folder.join("stopped")).map_err(driven)?;

        let killed = stopped.copy();
        copy(&folder.join("stopped"), &launch.data)?;
        launch.log = folder.join("log");
        let server = launch.try_start()?;
        follow(&killed, &mut server.client(), &STEPS)?;
        server.kill().map_err(driven)?;
        std::fs::rename(&launch.data, folder.join("killed")).map_err(driven)?;
        Ok(Templates {
            folder,
            stopped,
            killed,
        })
    }

    /// Puts the folder of a trial in place.
    fn begin(&self, before: Before, data: &Path) -> Result<Ledger, Broken> {
        let (name, ledger) = match before {
            Before::Nothing => return Ok(Ledger::new("b")),
            Before::Stopped | Before::Filled => ("stopped", &self.stopped),
            Before::Killed => ("killed", &self.killed),
        };
        copy(&self.folder.join(name), data)?;
        Ok(ledger.copy())
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Broken> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    match copied {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("{} cannot be copied: {other:?}", from.display())),
    }
}

/// What may happen at a call.
fn faults(call: &str) -> impl Iterator<Item = Fault> {
    let takes_space = TAKES_SPACE.contains(&call);
    let reserves = call == "fallocate";
    [
        (Fault::Kill, true),
        (Fault::DeviceError, true),
        (Fault::Full, takes_space),
        (Fault::StaysFull, reserves),
    ]
    .into_iter()
    .filter_map(|(fault, may)| may.then_some(fault))
}

/// One scene while it runs.
struct Scene<'a> {
    plan: &'a Plan,
    templates: &'a Templates,
    name: &'static str,
    watched: Watched,
    before: Before,
    covered: Covered,
    random: Random,
    trials: u64,
}

/// What a trial saw.
struct Seen {
    trace: String,
    followed: Followed,
}

impl Scene<'_> {
    fn run(&mut self) -> Result<(), Broken> {
        let baseline = self.trial(None)?;
        let data = self.plan.folder.join("trial/data");
        let calls = strace::changes(&baseline.trace, &data)?;
        for call in calls {
            *self.covered.calls.entry(call).or_default() += 1;
        }
        if self.covered.calls.is_empty() {
            return Err(format!("{}: nothing was seen to be written", self.name));
        }
        let syncs = self.covered.calls.get("fdatasync").copied().unwrap_or(0);
        if self.watched == LOG && syncs < baseline.followed.done {
            let (name, done) = (self.name, baseline.followed.done);
            return Err(format!(
                "{name}: {syncs} syncs for {done} acknowledged writes"
            ));
        }
        let faults: Vec<(Fault, String, u64)> = self
            .covered
            .calls
            .iter()
            .flat_map(|(call, count)| faults(call).map(|fault| (fault, call.clone(), *count)))
            .collect();
        match self.plan.sample {
            None => {
                for (fault, call, count) in faults {
                    self.each(&call, fault, count)?;
                }
            }
            Some(wanted) => {
                for _ in 0..wanted {
                    let place = self.random.below(faults.len() as u64);
                    let (fault, call, count) = &faults[place as usize];
                    let number = 1 + self.random.below(*count);
                    self.point(call, *fault, number)?;
                }
            }
        }
        Ok(())
    }

    /// A fault at each call of that name, until one run is over before it comes. Where several
    /// threads share the calls, which of them counts to a number is up to them: again, then, until
    /// each of the `count` calls had its turn or chance has had enough.
    fn each(&mut self, call: &str, fault: Fault, count: u64) -> Result<(), Broken> {
        for _ in 0..PASSES_MAX {
            let mut number = 1;
            while self.point(call, fault, number)? {
                number += 1;
            }
            let covered = self.covered.points.get(&(fault, call.to_owned()));
            let covered = covered.map_or(0, BTreeSet::len) as u64;
            if self.watched != Watched::DataSegment || covered >= count {
                break;
            }
        }
        Ok(())
    }

    /// A trial with one fault. Whether it happened.
    fn point(&mut self, call: &str, fault: Fault, number: u64) -> Result<bool, Broken> {
        let injection = Injection {
            call: call.to_owned(),
            number,
            fault,
        };
        let seen = self.trial(Some(&injection))?;
        let happened = injection.happened(&seen.trace);
        if happened {
            let place = injection.place(&seen.trace);
            let point = (fault, injection.call);
            self.covered.points.entry(point).or_default().insert(place);
        }
        Ok(happened)
    }

    /// One trial with all that follows it.
    fn trial(&mut self, injection: Option<&Injection>) -> Result<Seen, Broken> {
        let folder = self.plan.folder.join("trial");
        let broken = |broken: Broken| {
            let (scene, folder) = (self.name, folder.display());
            format!("{scene}, {injection:?}: {broken}\nthe data folder is in {folder}")
        };
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(driven)?;
        }
        std::fs::create_dir_all(&folder).map_err(driven)?;
        let launch = launch(self.plan, &folder);
        let ledger = self.templates.begin(self.before, &launch.data)?;
        let seen = match self.watched {
            Watched::First => started(&launch, &ledger, injection),
            watched => served(&launch, &ledger, watched, self.before, injection),
        }
        .map_err(broken)?;
        if let Some(injection) = injection {
            self.judge(injection, &seen).map_err(broken)?;
        }
        self.trials += 1;
        let second = injection.filter(|_| self.trials.is_multiple_of(2));
        let number = second.map(|_| 1 + self.random.below(30));
        let compared = look(&launch, &ledger, number).map_err(broken)?;
        self.covered.second += u64::from(number.is_some());
        self.covered.writes += seen.followed.done;
        self.covered.objects += compared;
        Ok(seen)
    }

    /// What must not follow from a fault.
    fn judge(&self, injection: &Injection, seen: &Seen) -> Result<(), Broken> {
        let followed = &seen.followed;
        let happened = injection.happened(&seen.trace);
        if !happened && (followed.lost || !followed.failed.is_empty()) {
            return Err(format!("a request failed without a fault: {followed:?}"));
        }
        let sync = injection.call == "fdatasync";
        // One client: each commit has a sync of its own, and the answer comes after it.
        let log = self.watched == LOG;
        if log && sync && followed.done >= injection.number {
            let (done, number) = (followed.done, injection.number);
            return Err(format!("{done} writes acknowledged before sync {number}"));
        }
        let poisons = log || self.watched == Watched::DataSegment;
        if happened && sync && poisons && followed.done_after_failure > 0 {
            return Err(format!("writes go on after a failed sync: {followed:?}"));
        }
        let full = matches!(injection.fault, Fault::Full | Fault::StaysFull);
        if full && !followed.failed.is_subset(&BTreeSet::from([507])) {
            return Err(format!("a full disk is answered otherwise: {followed:?}"));
        }
        if !full && followed.failed.contains(&507) {
            return Err(format!("507, but the disk is not full: {followed:?}"));
        }
        Ok(())
    }
}

/// A server whose first thread is watched from its start to its end.
fn started(
    launch: &Launch,
    ledger: &Ledger,
    injection: Option<&Injection>,
) -> Result<Seen, Broken> {
    let trace = launch.data.with_extension("trace");
    let mut watched = launch.clone();
    watched.wrapper = strace::around(&trace, injection);
    let mut followed = Followed::default();
    match watched.try_start() {
        Ok(server) => {
            let mut client = server.client();
            followed.lost = ledger.make_bucket(&mut client)? == Ended::Lost;
            if !followed.lost {
                followed = follow(ledger, &mut client, &STEPS)?;
            }
            stop(server, injection)?;
        }
        Err(words) => refused(&words, injection)?,
    }
    let trace = strace::finished(&trace).map_err(driven)?;
    if injection.is_none_or(|injection| !injection.happened(&trace)) && followed.lost {
        return Err("an answer did not come, without a fault".to_owned());
    }
    Ok(Seen { trace, followed })
}

/// A start that does not serve says why, unless it was killed.
fn refused(words: &str, injection: Option<&Injection>) -> Result<(), Broken> {
    match injection.map(|injection| injection.fault) {
        None => Err(format!("it does not start: {words}")),
        Some(Fault::Kill) => Ok(()),
        Some(_) if words.contains("trestle: ") && !words.contains("panicked") => Ok(()),
        Some(_) => Err(format!("it does not start, and does not say why: {words}")),
    }
}

/// Stops a server, which may have been killed, or have to say that it could not close cleanly.
fn stop(server: Server, injection: Option<&Injection>) -> Result<(), Broken> {
    let log = server.log_file();
    let status = server.stop().map_err(driven)?;
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let fault = injection.map(|injection| injection.fault);
    let expected = match status.code() {
        Some(0) => true,
        Some(2) => !matches!(fault, None | Some(Fault::Kill)),
        Some(_) => false,
        None => fault == Some(Fault::Kill),
    };
    if !expected || log.contains("panicked") {
        return Err(format!("it ended with {status}: {log}"));
    }
    Ok(())
}

/// A server that is watched while it serves.
fn served(
    launch: &Launch,
    ledger: &Ledger,
    watched: Watched,
    before: Before,
    injection: Option<&Injection>,
) -> Result<Seen, Broken> {
    let trace = launch.data.with_extension("trace");
    let server = launch.try_start()?;
    let mut client = server.client();
    if before == Before::Filled {
        fill(ledger, &server)?;
    }
    let process = server.id();
    let tracer = match watched {
        Watched::Worker(name) => Tracer::of_thread(process, name, &trace, injection),
        _ => next_segment(&launch.data)
            .and_then(|file| Tracer::of_file(process, &file, &trace, injection)),
    }
    .map_err(driven)?;
    let steps: &[Step] = match before {
        Before::Filled => &REST,
        _ => &STEPS,
    };
    let followed = follow(ledger, &mut client, steps)?;
    let killed = injection.is_some_and(|injection| injection.fault == Fault::Kill);
    if !killed {
        // Whatever failed, reading goes on.
        ledger.unchanged(&mut client, "kept")?;
    }
    if injection.is_some_and(|injection| injection.fault == Fault::StaysFull) {
        for key in ["kept", "small"] {
            match ledger.delete(&mut client, key)? {
                Ended::Done => {}
                ended => return Err(format!("{key}: no delete on a full disk: {ended:?}")),
            }
        }
    }
    stop(server, injection)?;
    let trace = tracer.end().map_err(driven)?;
    Ok(Seen { trace, followed })
}

/// The data segment that the next large body goes to.
fn next_segment(data: &Path) -> io::Result<PathBuf> {
    let folder = data.join("data");
    let mut newest = 0;
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str());
        let number = number.and_then(|stem| u64::from_str_radix(stem, 16).ok());
        newest = newest.max(number.unwrap_or(0));
    }
    Ok(folder.join(format!("{:016x}.dat", newest + 1)))
}

/// Starts without faults, after one that is perhaps killed at its Nth write; compares everything,
/// stops cleanly, and lets `check` read the folder. Returns how many objects were compared.
fn look(launch: &Launch, ledger: &Ledger, second: Option<u64>) -> Result<u64, Broken> {
    if let Some(number) = second {
        let trace = launch.data.with_extension("second");
        let call = ["pwrite64", "fdatasync"][number as usize % 2].to_owned();
        let fault = Fault::Kill;
        let injection = Injection {
            call,
            number: number.div_ceil(2),
            fault,
        };
        let mut watched = launch.clone();
        watched.wrapper = strace::around(&trace, Some(&injection));
        if let Ok(server) = watched.try_start() {
            server.kill().map_err(driven)?;
        }
    }
    let server = launch
        .try_start()
        .map_err(|words| format!("it does not start again: {words}"))?;
    let mut client = server.client();
    if ledger.make_bucket(&mut client)? != Ended::Done {
        return Err("the bucket cannot be made".to_owned());
    }
    let compared = ledger.compare(&mut client)?;
    stop(server, None)?;
    launch.check()?;
    Ok(compared.objects)
}
