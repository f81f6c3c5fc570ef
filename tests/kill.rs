//! The lane that kills the server with signal 9 again and again, and looks after each time whether
//! every promise was kept.
//!
//! Everything but the moments follows from the seed: these are the machine's.

use crate::ledger::{Broken, Content, Ended, Ledger};
use crate::{Client, Launch, Random, Server};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How to run it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What everything but the moments follows from.
    pub seed: u64,
    /// No life begins after this.
    pub until: Instant,
    /// Clients that write at once.
    pub writers: u64,
    /// Lives of the server on one data folder.
    pub lives: u64,
    /// Where the data folders go; the last one stays when a promise was broken.
    pub folder: PathBuf,
    /// Variables of the server.
    pub variables: Vec<(String, String)>,
}

/// What a run went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Data folders, each checked at its end.
    pub folders: u64,
    /// Servers killed while they served.
    pub kills: u64,
    /// Servers killed while they started.
    pub kills_in_start: u64,
    /// Servers killed while they stopped.
    pub kills_in_stop: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Objects whose bytes were compared after a kill.
    pub objects: u64,
    /// Absent keys that were looked up after a kill.
    pub absent: u64,
    /// Requests cut off that had happened.
    pub happened: u64,
    /// Requests cut off that had not happened.
    pub vanished: u64,
    /// The slowest start after a kill.
    pub slowest_start: Duration,
}

impl Tally {
    /// All kills.
    pub fn all_kills(&self) -> u64 {
        self.kills + self.kills_in_start + self.kills_in_stop
    }
}

/// Keys of each writer.
const KEYS: u64 = 24;
/// Keys of one life that several writers try to create.
const CONTESTED: u64 = 20;
/// Sizes around every threshold, and two that take many writes.
const SMALL: [usize; 8] = [0, 1, 100, 4_096, 5_000, 60_000, 131_071, 131_072];
const LARGE: [usize; 5] = [131_073, 300_000, 700_000, 2_000_000, 4_194_305];
/// Fills the log fast, so that segments change and checkpoints come.
const HEAVY: [usize; 2] = [100_000, 131_072];

/// Runs it.
///
/// # Errors
/// The first broken promise, with its seed and its folder.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&Tally)) -> Result<Tally, Broken> {
    let mut tally = Tally::default();
    let mut number = 0;
    while Instant::now() < plan.until {
        let folder = plan.folder.join(format!("kill-{}", plan.seed + number));
        let random = Random::new(plan.seed + number);
        let mut lane = Lane::new(plan, &folder, random).map_err(|error| error.to_string())?;
        let outcome = lane.run(plan, &mut tally);
        outcome.map_err(|broken| {
            let seed = plan.seed + number;
            format!(
                "seed {seed}: {broken}\nthe data folder: {}",
                folder.display()
            )
        })?;
        // Nothing is wrong with it, so nobody needs it.
        let _left_behind = std::fs::remove_dir_all(&folder);
        tally.folders += 1;
        number += 1;
        say(&tally);
    }
    Ok(tally)
}

/// One data folder.
struct Lane {
    launch: Launch,
    ledger: Ledger,
    random: Random,
    contents: AtomicU64,
    writers: u64,
}

/// What the writers of one life do.
#[derive(Clone, Copy)]
struct Life {
    number: u64,
    heavy: bool,
}

impl Lane {
    fn new(plan: &Plan, folder: &Path, random: Random) -> std::io::Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        let mut launch = Launch::new(folder.join("data"));
        // A line for each request would drown what a failure has to say.
        launch = launch.variable("TRESTLE_LOG", "warn");
        launch.variables.extend_from_slice(&plan.variables);
        Ok(Lane {
            launch,
            ledger: Ledger::new("b"),
            random,
            contents: AtomicU64::new(plan.seed << 32),
            writers: plan.writers,
        })
    }

    fn run(&mut self, plan: &Plan, tally: &mut Tally) -> Result<(), Broken> {
        let failed = |error: std::io::Error| format!("the server cannot be driven: {error}");
        let mut start = Duration::from_millis(100);
        for number in 0..plan.lives {
            // Also the first start, and several one after the other.
            while self.random.once_in(3) {
                let after = self.random.below(start.as_micros() as u64 * 5 / 4);
                let after = Duration::from_micros(after);
                self.launch.cut_short(after).map_err(failed)?;
                tally.kills_in_start += 1;
            }
            let server = self.start()?;
            start = server.start;
            tally.slowest_start = tally.slowest_start.max(start);
            self.verify(&server, tally)?;
            if number + 1 == plan.lives || Instant::now() >= plan.until {
                if self.random.once_in(2) {
                    let status = server.stop().map_err(failed)?;
                    if !status.success() {
                        return Err(format!("a clean stop ended with {status}"));
                    }
                }
                break;
            }
            self.live(server, number, tally)?;
        }
        self.launch.check()
    }

    /// A server under load until it is killed.
    fn live(&mut self, server: Server, number: u64, tally: &mut Tally) -> Result<(), Broken> {
        let life = Life {
            number,
            heavy: self.random.once_in(4),
        };
        // Short ones above all; a heavy one until a segment is full and a checkpoint runs.
        let longest = match life.heavy {
            true => 4_000_000,
            false => [30_000, 300_000, 1_000_000][self.random.below(3) as usize],
        };
        let lasts = Duration::from_micros(self.random.below(longest));
        let in_stop = self.random.once_in(6).then(|| self.random.below(40_000));
        let seeds: Vec<u64> = (0..self.writers).map(|_| self.random.number()).collect();
        let lane = &*self;
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..lane.writers)
                .zip(&seeds)
                .map(|(writer, seed)| {
                    let client = server.client();
                    scope.spawn(move || lane.write(client, writer, life, Random::new(*seed)))
                })
                .collect();
            std::thread::sleep(lasts);
            let killed = match in_stop {
                Some(after) => server.ask_to_stop().map(|()| {
                    std::thread::sleep(Duration::from_micros(after));
                    tally.kills_in_stop += 1;
                }),
                None => {
                    tally.kills += 1;
                    Ok(())
                }
            };
            killed
                .and_then(|()| server.kill())
                .map_err(|error| format!("the server cannot be killed: {error}"))?;
            for writer in writers {
                let written = writer.join().map_err(|_| "a writer panicked")?;
                tally.writes += written?;
            }
            Ok(())
        })
    }

    /// One writer until its server is gone. Returns how many writes were acknowledged.
    fn write(
        &self,
        mut client: Client,
        writer: u64,
        life: Life,
        mut random: Random,
    ) -> Result<u64, Broken> {
        let mut acknowledged = 0;
        loop {
            let key = format!("writer {writer}/{}", random.below(KEYS));
            let seed = self.contents.fetch_add(1, Ordering::Relaxed);
            let mut content = |sizes: &[usize]| Content {
                seed,
                size: random.one_of(sizes),
            };
            let ended = match (seed ^ life.number) % 20 {
                _ if life.heavy => self.ledger.put(&mut client, &key, content(&HEAVY)),
                0..=9 => self.ledger.put(&mut client, &key, content(&SMALL)),
                10..=11 => self.ledger.put(&mut client, &key, content(&LARGE)),
                12..=15 => self.ledger.delete(&mut client, &key),
                16..=17 => self.ledger.read(&mut client, &key),
                _ => {
                    let contested = seed / 20 % CONTESTED;
                    let key = format!("contested/{}/{contested}", life.number);
                    let content = content(&[1000]);
                    match self.ledger.create(&mut client, &key, content)? {
                        // Whoever is told that it exists can read it.
                        Ended::Refused(412) => self.ledger.read(&mut client, &key),
                        ended => Ok(ended),
                    }
                }
            };
            match ended? {
                Ended::Done => acknowledged += 1,
                Ended::Lost => return Ok(acknowledged),
                // A server that is asked to stop refuses what comes after.
                Ended::Refused(503) => return Ok(acknowledged),
                Ended::Refused(status) => {
                    return Err(format!("{key}: answered {status}, for no reason"));
                }
            }
        }
    }

    fn start(&self) -> Result<Server, Broken> {
        self.launch
            .try_start()
            .map_err(|words| format!("the server does not start: {words}"))
    }

    /// Compares the ledger with what a fresh server shows.
    fn verify(&self, server: &Server, tally: &mut Tally) -> Result<(), Broken> {
        let mut client = server.client();
        match self.ledger.make_bucket(&mut client)? {
            Ended::Done => {}
            ended => return Err(format!("the bucket cannot be made: {ended:?}")),
        }
        let compared = self.ledger.compare(&mut client)?;
        tally.objects += compared.objects;
        tally.absent += compared.absent;
        tally.happened += compared.happened;
        tally.vanished += compared.vanished;
        Ok(())
    }
}
