//! Writing: entries wait in a bounded queue for the one worker that appends them.

use crate::budget::{Budget, Kind};
use crate::chain::{self, Chain};
use crate::entry::{self, Scope};
use crate::files::{self, FILE_BYTES_MAX};
use crate::pack::Packer;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use trestle_access::{Asked, Auditor, Principal, Verdict};
use trestle_host::{Clock, Disk, File, Host, OpenMode};

/// Entries that wait.
const WAITING_MAX: usize = 8192;
/// Entries that one write appends.
const BATCH_MAX: usize = 512;
/// What is written is durable after this.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How long entries are waited for between two pieces that are packed: no longer.
const PACK_EVERY: Duration = Duration::from_millis(1);

/// How the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What is written down.
    pub scope: Scope,
    /// Most files of 16 MiB that are kept; the oldest go first.
    pub files_max: usize,
}

enum Message {
    Entry(String),
    Close(SyncSender<()>),
}

/// The log.
pub struct AuditLog {
    scope: Scope,
    clock: Arc<dyn Clock>,
    sender: SyncSender<Message>,
    counts: Arc<Counts>,
}

/// What is not in the log as entries.
#[derive(Default)]
struct Counts {
    lost: AtomicU64,
    budget: Budget,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AuditLog").field(&self.scope).finish()
    }
}

impl AuditLog {
    /// Opens the log of a data folder, and goes on where it ended.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(host: &Host, data: &Path, settings: Settings) -> io::Result<Arc<AuditLog>> {
        let writer = Writer::open(host, &data.join(files::FOLDER), settings.files_max)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let counts = Arc::new(Counts::default());
        let work = run(writer, receiver, counts.clone());
        host.spawn.worker("audit", Box::pin(work))?;
        Ok(Arc::new(AuditLog {
            scope: settings.scope,
            clock: host.clock.clone(),
            sender,
            counts,
        }))
    }

    /// Makes durable what was written, and writes nothing more.
    pub fn close(&self) {
        let (done, ended) = sync_channel(0);
        if self.sender.send(Message::Close(done)).is_ok() {
            // The worker drops its end.
            let _ended = ended.recv();
        }
    }

    fn send(&self, fields: Option<String>) {
        let sent = fields.map(|fields| self.sender.try_send(Message::Entry(fields)));
        if !matches!(sent, Some(Ok(()))) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether an entry of a kind that anybody can cause is to be written.
    fn has_room(&self, kind: Kind) -> bool {
        let now = self.clock.now();
        let (room, over) = self.counts.budget.take(now, kind);
        if let Some(left_out) = over {
            self.send(Some(entry::left_out(now, left_out)));
        }
        room
    }
}

impl Auditor for AuditLog {
    fn decided(&self, asked: &Asked, verdict: &Verdict) {
        if !self.scope.holds(asked, verdict) {
            return;
        }
        let denied = !matches!(verdict, Verdict::Allowed(_));
        if !(denied && asked.principal.is_anonymous()) || self.has_room(Kind::Anonymous) {
            self.send(entry::decided(asked, verdict));
        }
    }

    fn refused(&self, kind: &str, name: &str, source: Option<IpAddr>) {
        if self.has_room(Kind::Refused) {
            self.send(entry::refused(self.clock.now(), kind, name, source));
        }
    }

    fn issued(&self, to: &Principal, access_key: &str, role: Option<&str>) {
        self.send(entry::issued(self.clock.now(), to, access_key, role));
    }

    fn revoked(&self, access_key: &str) {
        self.send(entry::revoked(self.clock.now(), access_key));
    }
}

async fn run(mut writer: Writer, receiver: Receiver<Message>, counts: Arc<Counts>) {
    let Counts { lost, budget } = &*counts;
    loop {
        let mut closing = None;
        let mut batch = Vec::new();
        let mut take = |message: Message| match message {
            Message::Entry(fields) => batch.push(fields),
            Message::Close(done) => closing = Some(done),
        };
        let patience = match writer.packer.is_busy() {
            true => PACK_EVERY,
            false => SYNC_EVERY,
        };
        let ended = match receiver.recv_timeout(patience) {
            Ok(message) => {
                take(message);
                receiver.try_iter().take(BATCH_MAX).for_each(&mut take);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        let now = writer.clock.now();
        let left_out = match ended || closing.is_some() {
            true => budget.end(),
            false => budget.turn(now),
        };
        batch.extend(left_out.map(|left_out| entry::left_out(now, left_out)));
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            let time = entry::time(now);
            batch.push(format!("\"time\":\"{time}\",\"lost\":{gone}"));
        }
        if let Err(error) = writer.append(&batch) {
            tracing::error!(%error, "the audit log cannot be written");
            lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        if let Err(error) = writer.sync(ended || closing.is_some()) {
            tracing::error!(%error, "the audit log cannot be made durable");
        }
        if ended || closing.is_some() {
            writer.packer.give_up();
            return;
        }
        if let Err(error) = writer.packer.step() {
            tracing::warn!(%error, "a file of the audit log is not packed now");
        }
    }
}

/// The file that is written.
struct Writer {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    files_max: usize,
    packer: Packer,
    number: u64,
    file: Arc<dyn File>,
    length: u64,
    chain: Chain,
    /// Whether something is not durable yet.
    dirty: bool,
    synced: Duration,
}

impl Writer {
    fn open(host: &Host, folder: &Path, files_max: usize) -> io::Result<Writer> {
        let disk = host.disk.clone();
        disk.create_dir_all(folder)?;
        let mut packer = Packer::open(&disk, folder)?;
        let last = files::numbers(&*disk, folder)?.last().copied();
        let end = last.map_or_else(
            || Ok(End::before(1, Chain::start())),
            |last| End::of(&*disk, folder, last),
        )?;
        let path = files::path(folder, end.number);
        let file = match end.whole {
            Some(_) => disk.open(&path, OpenMode::ReadWrite)?,
            None => {
                let file = disk.open(&path, OpenMode::CreateNew)?;
                disk.sync_dir(folder)?;
                file
            }
        };
        packer.ended_before(end.number)?;
        let mut writer = Writer {
            disk,
            clock: host.clock.clone(),
            folder: folder.to_owned(),
            files_max,
            packer,
            number: end.number,
            file,
            length: end.whole.unwrap_or(0),
            chain: end.chain,
            dirty: false,
            synced: host.clock.monotonic(),
        };
        match end.whole {
            None => writer.head()?,
            Some(whole) if end.torn > 0 => {
                writer.file.set_len(whole)?;
                let (time, torn) = (entry::time(host.clock.now()), end.torn);
                writer.append(&[format!("\"time\":\"{time}\",\"torn\":{torn}")])?;
            }
            Some(_) => {}
        }
        Ok(writer)
    }

    /// Writes the first line of a new file.
    fn head(&mut self) -> io::Result<()> {
        let mut chain = self.chain.clone();
        let line = chain.header(self.number, &entry::time(self.clock.now()));
        self.write(&line, chain)
    }

    fn write(&mut self, text: &str, chain: Chain) -> io::Result<()> {
        self.file.write_at(text.as_bytes(), self.length)?;
        self.length += text.len() as u64;
        self.chain = chain;
        self.dirty = true;
        Ok(())
    }

    fn append(&mut self, batch: &[String]) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.length >= FILE_BYTES_MAX {
            self.turn()?;
        }
        let mut chain = self.chain.clone();
        let text: String = batch.iter().map(|fields| chain.entry(fields)).collect();
        self.write(&text, chain)
    }

    /// Goes on in another file, and removes the oldest.
    fn turn(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let number = self.number.saturating_add(1);
        let path = files::path(&self.folder, number);
        let file = self.disk.open(&path, OpenMode::CreateNew)?;
        self.disk.sync_dir(&self.folder)?;
        (self.number, self.file, self.length) = (number, file, 0);
        self.head()?;
        let numbers = files::numbers(&*self.disk, &self.folder)?;
        let old = numbers.len().saturating_sub(self.files_max.max(1));
        for number in numbers.into_iter().take(old) {
            files::remove(&*self.disk, &self.folder, number)?;
        }
        self.packer.ended_before(self.number)
    }

    fn sync(&mut self, now: bool) -> io::Result<()> {
        let since = self.clock.monotonic().saturating_sub(self.synced);
        if !self.dirty || !now && since < SYNC_EVERY {
            return Ok(());
        }
        self.synced = self.clock.monotonic();
        self.dirty = false;
        self.file.sync_data()
    }
}

/// Where the log ends.
struct End {
    /// The file that is to be written.
    number: u64,
    chain: Chain,
    /// Its whole lines, in bytes; none when there is no such file yet.
    whole: Option<u64>,
    /// Bytes after them.
    torn: u64,
}

impl End {
    /// Before the first line of this file.
    fn before(number: u64, chain: Chain) -> Self {
        End {
            number,
            chain,
            whole: None,
            torn: 0,
        }
    }

    /// In the last file; before another one when that was changed, or is packed.
    fn of(disk: &dyn Disk, folder: &Path, last: u64) -> io::Result<Self> {
        let bytes = match files::read(disk, folder, last) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Vec::new(),
            bytes => bytes?,
        };
        let walked = chain::walk(&bytes, before(&bytes));
        let path = files::path(folder, last);
        let is_sound = walked.whole > 0 && walked.breaks.is_empty();
        if !is_sound {
            let place = walked.breaks.first().copied().unwrap_or(1);
            tracing::error!(path = %path.display(), place, "the audit log was changed");
        }
        let is_plain = files::plain(disk, folder)?.contains(&last);
        if !is_sound || !is_plain {
            return Ok(End::before(last.saturating_add(1), walked.chain));
        }
        Ok(End {
            number: last,
            chain: walked.chain,
            whole: Some(walked.whole),
            torn: bytes.len() as u64 - walked.whole,
        })
    }
}

/// The chain before a file's first line, as that line says, and its first entry.
pub(crate) fn before(bytes: &[u8]) -> Chain {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(chain::Line::parse);
    let head = lines.next().flatten().and_then(|line| line.header());
    let first = lines.next().flatten().and_then(|line| line.number());
    Chain {
        head: head
            .map_or(chain::START, |(_, previous)| previous)
            .to_owned(),
        next: first.unwrap_or(1),
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
