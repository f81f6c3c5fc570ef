//! Packing files that have ended, a piece at a time, so that entries never wait for long.
//!
//! A packed file is durable, with its name, before the other form goes. What is unfinished at a stop
//! is begun anew; a file that cannot be packed stays as it is until the next one ends, and one whose
//! lines do not follow from each other for good.

use crate::chain::Thinner;
use crate::files;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trestle_host::{Disk, File, OpenMode};

/// Bytes that are packed at once: some milliseconds.
const PIECE_BYTES: usize = 128 << 10;

/// What is to be packed.
pub(crate) struct Packer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    waiting: VecDeque<u64>,
    packing: Option<Packing>,
}

/// A file that is being packed.
struct Packing {
    number: u64,
    from: Arc<dyn File>,
    length: u64,
    at: u64,
    to: Arc<dyn File>,
    written: u64,
    /// Read, and not packed yet: the last whole line, and what is no whole line yet.
    rest: Vec<u8>,
    thinner: Thinner,
    encoder: GzEncoder<Vec<u8>>,
}

impl Packer {
    /// Nothing is to be packed yet. What a former run left unfinished goes.
    pub(crate) fn open(disk: &Arc<dyn Disk>, folder: &Path) -> io::Result<Self> {
        for number in files::unfinished_ones(&**disk, folder)? {
            disk.remove(&files::unfinished(folder, number))?;
        }
        Ok(Packer {
            disk: disk.clone(),
            folder: folder.to_owned(),
            waiting: VecDeque::new(),
            packing: None,
        })
    }

    /// All files before this one have ended.
    pub(crate) fn ended_before(&mut self, current: u64) -> io::Result<()> {
        let ended = files::plain(&*self.disk, &self.folder)?;
        let busy = self.packing.as_ref().map(|packing| packing.number);
        let ended = ended
            .into_iter()
            .filter(|n| *n < current && Some(*n) != busy);
        self.waiting = ended.collect();
        Ok(())
    }

    /// Whether there is something to do.
    pub(crate) fn is_busy(&self) -> bool {
        self.packing.is_some() || !self.waiting.is_empty()
    }

    /// Packs one piece.
    pub(crate) fn step(&mut self) -> io::Result<()> {
        let outcome = self.try_step();
        if outcome.is_err() {
            self.give_up();
        }
        outcome
    }

    fn try_step(&mut self) -> io::Result<()> {
        let Some(packing) = &mut self.packing else {
            let next = self.waiting.pop_front();
            self.packing = next.map(|number| self.begin(number)).transpose()?.flatten();
            return Ok(());
        };
        if packing.step()? {
            return Ok(());
        }
        let number = packing.number;
        self.packing = None;
        let (plain, packed) = (
            files::path(&self.folder, number),
            files::packed(&self.folder, number),
        );
        self.disk
            .rename(&files::unfinished(&self.folder, number), &packed)?;
        self.disk.sync_dir(&self.folder)?;
        // The oldest may have gone meanwhile: then it stays away.
        match self.disk.remove(&plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.remove(&packed),
            removed => removed,
        }
    }

    /// None when the file is gone.
    fn begin(&self, number: u64) -> io::Result<Option<Packing>> {
        let from = files::path(&self.folder, number);
        let from = match self.disk.open(&from, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            from => from?,
        };
        let to = files::unfinished(&self.folder, number);
        files::remove_if_there(&*self.disk, &to)?;
        Ok(Some(Packing {
            number,
            length: from.len()?,
            from,
            at: 0,
            to: self.disk.open(&to, OpenMode::CreateNew)?,
            written: 0,
            rest: Vec::new(),
            thinner: Thinner::default(),
            encoder: GzEncoder::new(Vec::new(), Compression::fast()),
        }))
    }

    /// Leaves the file that is being packed as it was.
    pub(crate) fn give_up(&mut self) {
        let Some(packing) = self.packing.take() else {
            return;
        };
        let unfinished = files::unfinished(&self.folder, packing.number);
        if let Err(error) = files::remove_if_there(&*self.disk, &unfinished) {
            // The next start does.
            tracing::warn!(%error, "a file that was not packed to its end could not be removed");
        }
    }
}

impl Packing {
    /// Packs one piece; false when there is no more, and the packed form is durable.
    fn step(&mut self) -> io::Result<bool> {
        let left = self.length.saturating_sub(self.at);
        if left == 0 {
            let lines = std::mem::take(&mut self.rest);
            self.pack(&lines, true)?;
            self.encoder.try_finish()?;
            self.put()?;
            self.to.sync_data()?;
            return Ok(false);
        }
        let piece = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let mut bytes = vec![0; piece];
        self.from.read_at(&mut bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.rest.extend_from_slice(&bytes);
        // The last line of all is packed otherwise.
        let ends = || {
            self.rest
                .iter()
                .enumerate()
                .rev()
                .filter(|(_, byte)| **byte == b'\n')
        };
        if bytes.contains(&b'\n')
            && let Some((end, _)) = ends().nth(1)
        {
            let after = self.rest.split_off(end + 1);
            let lines = std::mem::replace(&mut self.rest, after);
            self.pack(&lines, false)?;
        }
        self.put()?;
        Ok(true)
    }

    /// Packs whole lines; the last of them may be that of the file.
    fn pack(&mut self, lines: &[u8], is_last: bool) -> io::Result<()> {
        let mut thin = Vec::with_capacity(lines.len());
        let mut left = lines;
        while !left.is_empty() {
            let end = left.iter().position(|byte| *byte == b'\n');
            let split = end.and_then(|end| Some((left.get(..end)?, left.get(end + 1..)?)));
            let follows = split.is_some_and(|(line, after)| {
                left = after;
                let is_last = is_last && after.is_empty();
                self.thinner.put(line, is_last, &mut thin)
            });
            if !follows {
                let what = "its lines do not follow from each other";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        self.encoder.write_all(&thin)
    }

    /// Writes what has come out.
    fn put(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(self.encoder.get_mut());
        self.to.write_at(&bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}
