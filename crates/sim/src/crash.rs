//! The crash lane: commits in flight, a stop at any operation, a crash or a kill, a start (which may
//! be stopped, too), and the question whether every promise was kept.
//!
//! Each commit writes a row of its own, overwrites or deletes a shared one, and adds to a counter,
//! so atomicity, order and loss all show. What a start has shown must stay, acknowledged or not.

mod verify;

use crate::disk::SimDisk;
use crate::spawn::SimSpawn;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use trestle_core::{ErrorKind, Sequence, Timestamp};
use trestle_engine::{
    Body, Commit, DataWriter, Engine, Expectation, MetaRead, Scan, ScanItem, Write,
};
use trestle_engine_embedded::{Phase, Settings, open, open_read_only, rebuild};
use trestle_host::{Host, ManualClock, SeededRandom};

/// What a lane went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Crashes and kills.
    pub states: u64,
    /// Commits that were acknowledged and verified.
    pub commits: u64,
    /// Of the stops, how many fell into each piece of work.
    pub stops: [u64; Phase::COUNT],
    /// Of the stops within a start, how many came after one in each piece of work.
    pub starts_after: [u64; Phase::COUNT],
}

impl Outcome {
    /// Adds another lane's.
    pub fn add(&mut self, other: &Outcome) {
        self.states += other.states;
        self.commits += other.commits;
        let counts = self.stops.iter_mut().zip(other.stops);
        for (sum, more) in counts.chain(self.starts_after.iter_mut().zip(other.starts_after)) {
            *sum += more;
        }
    }

    /// The counts of each piece of work, as JSON.
    pub fn phases(&self) -> String {
        let counts = |counts: &[u64]| {
            let counts = Phase::ALL.iter().zip(counts);
            let counts: Vec<String> = counts.map(|(p, n)| format!("\"{p:?}\":{n}")).collect();
            counts.join(",")
        };
        let (stops, starts) = (counts(&self.stops), counts(&self.starts_after));
        format!("{{\"stops\":{{{stops}}},\"starts_stopped_after\":{{{starts}}}}}")
    }
}

/// Counts one more of each.
fn count(counts: &mut [u64; Phase::COUNT], phases: &[Phase]) {
    for phase in phases {
        if let Some(count) = counts.get_mut(*phase as usize) {
            *count += 1;
        }
    }
}

struct Lane {
    disk: SimDisk,
    spawn: Arc<SimSpawn>,
    host: Host,
    random: SeededRandom,
    settings: Settings,
    /// Rows that must be there, by number: acknowledged, or seen after a start.
    promised: BTreeMap<u64, Sequence>,
    /// Contended rows, and which of the creators won.
    won: BTreeMap<Bytes, u8>,
    next: u64,
    newest: Sequence,
    /// Whether a write to the index fails in this life.
    index_fails: bool,
    /// What the last stop but those of starts fell into.
    stopped_in: Vec<Phase>,
    outcome: Outcome,
}

type Verdict = Result<(), String>;

const DIR: &str = "/store";

fn settings(seed: u64) -> Settings {
    Settings {
        memtable_bytes: 8 << 10,
        index_cache_bytes: 1 << 20,
        // A segment of every second history holds a few groups alone.
        log_segment_bytes: (32 << 10) << (2 * (seed % 2)),
        data_segment_bytes: 1 << 20,
        slice_bytes: 4 << 10,
        slack_bytes: 64 << 10,
        ..Settings::default()
    }
}

fn own_key(number: u64) -> Bytes {
    format!("own/{number:08}").into()
}

fn shared_key(number: u64) -> Bytes {
    format!("shared/{}", number % 5).into()
}

/// Bytes that only this number has.
fn body_of(number: u64) -> Vec<u8> {
    let length = match number % 4 {
        0 => 0,
        1 => 9,
        2 => 700,
        _ => 70_000,
    };
    format!("{number} ").bytes().cycle().take(length).collect()
}

fn stream_of(number: u64) -> Vec<u8> {
    format!("stream {number} ")
        .bytes()
        .cycle()
        .take(200_000)
        .collect()
}

fn stream_key(number: u64) -> Bytes {
    format!("stream/{number:08}").into()
}

/// What the shared row of a commit holds.
fn shared_body(number: u64) -> Vec<u8> {
    if streams(number) {
        stream_of(number + 1_000_000)
    } else {
        body_of(number)
    }
}

/// A reader that stays while the world goes on.
struct Reader {
    snapshot: Box<dyn MetaRead>,
    key: Bytes,
    number: u64,
    /// It reads once in so many looks.
    patience: u64,
}

/// A stream that takes its time: since which commit, and what it brings.
struct SlowStream {
    number: u64,
    writer: Box<dyn DataWriter>,
}

fn slow_key(number: u64) -> Bytes {
    format!("slow/{number:08}").into()
}

fn moving_key(number: u64) -> Bytes {
    format!("moving/{number:08}").into()
}

/// Each commit takes the row of the one that came so many before it away.
const MOVES: u64 = 2;

/// Whether the commit also streams bytes into a data segment.
fn streams(number: u64) -> bool {
    number % 7 == 3
}

/// Runs the lane of `seed` through `reboots` reboots.
///
/// # Errors
/// The promise that was broken.
pub fn run(seed: u64, reboots: u64) -> Result<Outcome, String> {
    let (disk, spawn) = (SimDisk::new(), Arc::new(SimSpawn::default()));
    let host = Host {
        clock: Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000))),
        random: Arc::new(SeededRandom::new(seed ^ 0x5eed)),
        spawn: spawn.clone(),
        disk: Arc::new(disk.clone()),
    };
    let random = SeededRandom::new(seed);
    let mut lane = Lane {
        disk,
        spawn,
        host,
        random,
        settings: settings(seed),
        promised: BTreeMap::new(),
        won: BTreeMap::new(),
        next: 0,
        newest: Sequence(0),
        index_fails: false,
        stopped_in: Vec::new(),
        outcome: Outcome::default(),
    };
    let outcome = (0..reboots)
        .try_for_each(|_| lane.life())
        .and_then(|()| lane.last_look());
    outcome
        .map(|()| lane.outcome)
        .map_err(|error| format!("seed {seed}: {error}"))
}

impl Lane {
    fn chance(&self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    fn end(&mut self) {
        self.outcome.states += 1;
        let phases = self.disk.stopped_in();
        count(&mut self.outcome.stops, &phases);
        if phases.contains(&Phase::Recovery) {
            count(&mut self.outcome.starts_after, &self.stopped_in);
        } else {
            self.stopped_in = phases;
        }
        if self.chance(4) {
            self.disk.kill();
        } else {
            self.disk.crash(&self.random);
        }
        self.spawn.kill();
    }

    fn open(&self) -> Result<Engine, trestle_core::Error> {
        self.opened(open(&self.host, Path::new(DIR), self.settings.clone()))
    }

    fn opened(
        &self,
        opening: impl Future<Output = trestle_core::Result<Engine>>,
    ) -> trestle_core::Result<Engine> {
        let deadlock = || Err(trestle_core::Error::new(ErrorKind::Internal, "deadlock"));
        self.spawn.run(opening).unwrap_or_else(deadlock)
    }

    /// What a reader that changes nothing finds must be what the next start shows.
    fn look(&mut self) -> Verdict {
        if self.promised.is_empty() || !self.chance(3) {
            return Ok(());
        }
        let engine = self
            .opened(open_read_only(
                &self.host,
                Path::new(DIR),
                self.settings.clone(),
            ))
            .map_err(|error| format!("cannot be opened for reading: {error}"))?;
        self.verify(&engine)
    }

    /// Starts, up to three times interrupted; then works until the machine stops.
    fn life(&mut self) -> Verdict {
        for _ in 0..3 {
            if !self.chance(3) {
                break;
            }
            self.disk.stop_after(Some(self.random.next_u64() % 60));
            drop(self.open());
            self.end();
        }
        self.disk.stop_after(None);
        self.rebuild()?;
        self.look()?;
        let engine = self
            .open()
            .map_err(|error| format!("cannot be opened: {error}"))?;
        self.verify(&engine)?;
        if self.chance(3) {
            self.disk.fail_sync_after(Some(self.random.next_u64() % 40));
        }
        self.index_fails = self.chance(5);
        if self.index_fails {
            let after = self.random.next_u64() % 40;
            self.disk.fail_write_after("index.redb", after);
        }
        // A long life is one in which segments are emptied, and removed.
        let longest = if self.chance(8) { 4000 } else { 400 };
        self.disk.stop_after(Some(self.random.next_u64() % longest));
        let mut reader = None;
        let mut slow = None;
        while self.batch(&engine)? {
            reader = self.read_on(&engine, reader)?;
            slow = self.stream_on(&engine, slow)?;
            // After a commit, or when there was none for a while.
            let tidies = [0, 0, 0, 0, 0, 1, 1, 4];
            let tidies = tidies.get(self.random.next_u64() as usize % tidies.len());
            for _ in 0..tidies.copied().unwrap_or(0) {
                // What fails here fails because the machine has stopped, which the next batch sees.
                let _ended = self
                    .spawn
                    .run(engine.meta.tidy())
                    .ok_or("tidying stands still")?;
            }
        }
        drop((reader, slow));
        self.end();
        drop(engine);
        Ok(())
    }

    /// Now and then the index is made anew, from the other copy of the metadata; also interrupted.
    fn rebuild(&mut self) -> Verdict {
        if self.promised.is_empty() || !self.chance(4) {
            return Ok(());
        }
        if self.chance(2) {
            self.disk.stop_after(Some(self.random.next_u64() % 60));
            let _stopped = rebuild(&self.host, Path::new(DIR), &self.settings);
            self.end();
        }
        rebuild(&self.host, Path::new(DIR), &self.settings)
            .map_err(|error| format!("cannot be rebuilt: {error}"))
    }

    /// A reader must see its moment, however long it takes.
    fn read_on(&self, engine: &Engine, reader: Option<Reader>) -> Result<Option<Reader>, String> {
        let Some(reader) = reader else {
            let Some(number) = self.promised.keys().next_back().filter(|_| self.chance(3)) else {
                return Ok(None);
            };
            let snapshot = self.spawn.run(engine.meta.snapshot());
            let snapshot = snapshot.ok_or("a snapshot stands still")?;
            return Ok(Some(Reader {
                snapshot: snapshot.map_err(|error| format!("no snapshot: {error}"))?,
                key: shared_key(*number),
                number: *number,
                patience: if self.chance(3) { 40 } else { 3 },
            }));
        };
        if !self.chance(reader.patience) {
            return Ok(Some(reader));
        }
        let read = async {
            let row = reader.snapshot.get(&reader.key).await?;
            let Some(body) = row.as_ref().and_then(|row| row.body.clone()) else {
                return Ok(None);
            };
            let range = 0..u64::from(body.length);
            let bytes = engine.data.read_body(&body, range).await?;
            Ok(Some((row.map(|row| row.value), bytes)))
        };
        let read = self.spawn.run(read).ok_or("a read stands still")?;
        match read {
            Err::<_, trestle_core::Error>(error) if error.kind() == ErrorKind::Corrupt => {
                Err(format!(
                    "a reader of commit {} lost its bytes: {error}",
                    reader.number
                ))
            }
            // The machine has stopped; or the index met a full disk, and was opened anew.
            Err(_) if self.index_fails || !self.disk_runs() => Ok(None),
            Err(error) => Err(format!(
                "a reader of commit {} failed: {error}",
                reader.number
            )),
            Ok(None) => Ok(None),
            Ok(Some((value, bytes))) => {
                let number = value.and_then(|value| value.as_ref().try_into().ok());
                let number = number.map_or(0, u64::from_be_bytes);
                if bytes == shared_body(number) {
                    Ok(None)
                } else {
                    Err(format!("a reader of commit {number} was given other bytes"))
                }
            }
        }
    }

    /// A stream that runs beside everything else is committed whole in the end.
    fn stream_on(
        &mut self,
        engine: &Engine,
        slow: Option<SlowStream>,
    ) -> Result<Option<SlowStream>, String> {
        let still = "a slow stream stands still";
        let Some(mut slow) = slow else {
            let number = self.next;
            if !self.chance(4) {
                return Ok(None);
            }
            let start = async {
                let mut writer = engine.data.write(slow_key(number)).await?;
                writer.append(stream_of(number).into()).await?;
                Ok::<_, trestle_core::Error>(writer)
            };
            let writer = self.spawn.run(start).ok_or(still)?.ok();
            return Ok(writer.map(|writer| SlowStream { number, writer }));
        };
        if self.chance(2) {
            return Ok(Some(slow));
        }
        let SlowStream { number, writer } = &mut slow;
        let more = self.spawn.run(writer.append(stream_of(*number).into()));
        if more.ok_or(still)?.is_err() || self.chance(4) {
            // Given up, or the machine has stopped.
            return Ok(None);
        }
        if self.chance(2) {
            return Ok(Some(slow));
        }
        let SlowStream { number, writer } = slow;
        let finish = async {
            let written = writer.finish().await?;
            let rows = written.extents.into_iter().zip(0u8..);
            let commit = Commit {
                writes: rows
                    .map(|(extent, i)| Write::Put {
                        key: [&slow_key(number)[..], &[b'/', i]].concat().into(),
                        value: number.to_be_bytes().to_vec().into(),
                        body: Some(Body::Streamed(extent)),
                    })
                    .collect(),
                tokens: vec![written.token],
                ..Commit::default()
            };
            engine.meta.commit(commit).await
        };
        match self.spawn.run(finish).ok_or(still)? {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                Err("a slow stream's token has expired".to_owned())
            }
            // Committed, or the machine has stopped.
            _ => Ok(None),
        }
    }

    /// A few commits at once; false when the machine has stopped.
    fn batch(&mut self, engine: &Engine) -> Result<bool, String> {
        let count = 1 + self.random.next_u64() % 5;
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        let spawn = self.spawn.clone();
        let work = futures::future::join_all(numbers.iter().map(|number| commit(engine, *number)));
        let outcomes = spawn.run(work).ok_or("the engine stands still")?;
        let mut alive = true;
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                Ok(sequence) => {
                    if sequence <= self.newest && self.promised.values().any(|s| *s == sequence) {
                        return Err(format!("sequence {sequence} was used twice"));
                    }
                    self.newest = self.newest.max(sequence);
                    self.promised.insert(number, sequence);
                    self.outcome.commits += 1;
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    return Err(format!("commit {number} conflicts with nothing"));
                }
                Err(_) => alive = false,
            }
        }
        let wins = self.contend(engine)?;
        alive &= engine.meta.writable().is_ok();
        if alive && wins == 0 && self.disk_runs() {
            return Err("no creation of a row succeeded".to_owned());
        }
        if self.chance(4) && self.disk_runs() {
            // A reader beside it must see nothing that is not durable: the next start checks that.
            self.observe(engine)?;
        }
        Ok(alive && self.disk_runs())
    }

    fn disk_runs(&self) -> bool {
        trestle_host::Disk::free_bytes(&self.disk, Path::new(DIR)).is_ok()
            && trestle_host::Disk::list(&self.disk, Path::new("/store/log")).is_ok()
    }

    /// Several creations of one row: exactly one may win.
    fn contend(&mut self, engine: &Engine) -> Result<usize, String> {
        let key: Bytes = format!("contended/{:08}", self.next).into();
        let attempts = (0..3).map(|i| {
            engine.meta.commit(Commit {
                expectations: vec![Expectation::Absent(key.clone())],
                writes: vec![Write::Put {
                    key: key.clone(),
                    value: vec![i].into(),
                    body: None,
                }],
                ..Commit::default()
            })
        });
        let outcomes = self.spawn.run(futures::future::join_all(attempts));
        let outcomes = outcomes.ok_or("the engine stands still")?;
        let winners: Vec<u8> = (0..)
            .zip(&outcomes)
            .filter(|(_, o)| o.is_ok())
            .map(|(i, _)| i)
            .collect();
        if winners.len() > 1 {
            return Err(format!("{} creations of one row succeeded", winners.len()));
        }
        self.won
            .extend(winners.first().map(|winner| (key, *winner)));
        Ok(winners.len())
    }

    /// Notes every row that a reader sees now: it must never vanish.
    fn observe(&mut self, engine: &Engine) -> Verdict {
        let rows = match self.own_rows(engine) {
            // The machine stopped meanwhile; or the index met a full disk, and a failed sync when it
            // was opened anew: then the store says that only a restart helps.
            Err(_) if !self.disk_runs() || engine.meta.writable().is_err() && self.index_fails => {
                return Ok(());
            }
            rows => rows?,
        };
        for (number, revision) in rows {
            self.promised.entry(number).or_insert(revision);
        }
        Ok(())
    }

    fn own_rows(&self, engine: &Engine) -> Result<Vec<(u64, Sequence)>, String> {
        let read = async {
            let snapshot = engine.meta.snapshot().await?;
            snapshot.scan(&Scan::prefix("own/", 10_000)).await
        };
        let items = self.spawn.run(read).ok_or("a scan stands still")?;
        let items = items.map_err(|error| format!("a scan failed: {error}"))?;
        items
            .into_iter()
            .map(|item| {
                let ScanItem::Row(key, row) = item else {
                    return Err("not a row".to_owned());
                };
                let number = std::str::from_utf8(&key)
                    .ok()
                    .and_then(|key| key.get(4..)?.parse().ok());
                Ok((number.ok_or("a strange key")?, row.revision))
            })
            .collect()
    }

    /// Checks every promise after a start.
    fn verify(&mut self, engine: &Engine) -> Verdict {
        let rows = self.own_rows(engine)?;
        let found: BTreeMap<u64, Sequence> = rows.into_iter().collect();
        for (number, sequence) in &self.promised {
            if found.get(number) != Some(sequence) {
                return Err(format!("commit {number} (sequence {sequence}) was lost"));
            }
        }
        let spawn = self.spawn.clone();
        spawn
            .run(verify::rows(engine, &found, &self.won))
            .ok_or("verification stands still")??;
        for sequence in found.values() {
            self.newest = self.newest.max(*sequence);
        }
        self.promised = found;
        Ok(())
    }

    /// A flipped bit of a body must be refused, never served.
    fn damage(&self, engine: &Engine) -> Verdict {
        let mut with_body = self
            .promised
            .keys()
            .filter(|number| body_of(**number).len() > 600);
        let Some(number) = with_body.next_back() else {
            return Ok(());
        };
        let body = body_of(*number);
        let mut damaged = body.clone();
        if let Some(byte) = damaged.get_mut(body.len() / 2) {
            *byte ^= 0x10;
        }
        self.disk.damage(&body, &damaged);
        let read = async {
            let snapshot = engine.meta.snapshot().await?;
            let row = snapshot.get(&own_key(*number)).await?;
            let stored = row
                .and_then(|row| row.body)
                .ok_or_else(|| trestle_core::Error::new(ErrorKind::Internal, "a body vanished"))?;
            engine.data.read_body(&stored, 0..10).await
        };
        let outcome = self.spawn.run(read).ok_or("a read stands still")?;
        self.disk.damage(&damaged, &body);
        match outcome {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(()),
            Err(error) => Err(format!("damage is answered by: {error}")),
            Ok(_) => Err("damaged bytes were served".to_owned()),
        }
    }

    /// Two clean starts at the end show the same.
    fn last_look(&mut self) -> Verdict {
        for _ in 0..2 {
            let engine = self
                .open()
                .map_err(|error| format!("cannot be opened: {error}"))?;
            self.verify(&engine)?;
            self.damage(&engine)?;
            let closed = self
                .spawn
                .run(engine.meta.close())
                .ok_or("close stands still")?;
            closed.map_err(|error| format!("cannot be closed: {error}"))?;
            drop(engine);
            self.spawn.settle();
        }
        Ok(())
    }
}

async fn commit(engine: &Engine, number: u64) -> trestle_core::Result<Sequence> {
    let mut commit = Commit::default();
    let mut shared = None;
    if streams(number) {
        let mut writer = engine.data.write(shared_key(number)).await?;
        writer.append(shared_body(number).into()).await?;
        let written = writer.finish().await?;
        commit.tokens.push(written.token);
        shared = written.extents.into_iter().next();
        let mut writer = engine.data.write(stream_key(number)).await?;
        writer.append(stream_of(number).into()).await?;
        let written = writer.finish().await?;
        commit.tokens.push(written.token);
        commit
            .writes
            .extend(written.extents.into_iter().map(|extent| Write::Put {
                key: stream_key(number),
                value: Bytes::new(),
                body: Some(Body::Streamed(extent)),
            }));
    }
    let body = Some(Body::Attached(body_of(number).into()));
    commit.writes.push(Write::Put {
        key: own_key(number),
        value: Bytes::new(),
        body,
    });
    commit.writes.push(if number.is_multiple_of(11) {
        Write::Delete {
            key: shared_key(number),
        }
    } else {
        let value = number.to_be_bytes().to_vec().into();
        let body = match shared {
            Some(extent) => Body::Streamed(extent),
            None => Body::Attached(shared_body(number).into()),
        };
        Write::Put {
            key: shared_key(number),
            value,
            body: Some(body),
        }
    });
    commit.writes.push(Write::Put {
        key: moving_key(number),
        value: Bytes::new(),
        body: Some(Body::Attached(body_of(number).into())),
    });
    if let Some(former) = number.checked_sub(MOVES) {
        commit.writes.push(Write::Delete {
            key: moving_key(former),
        });
    }
    commit.writes.push(Write::Add {
        key: Bytes::from_static(b"count"),
        delta: 1,
    });
    Ok(engine.meta.commit(commit).await?.sequence)
}
