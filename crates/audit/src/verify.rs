//! Checking the chain, and giving the entries out.

use crate::chain::{Chain, Line, START, walk};
use crate::files;
use crate::log::before;
use std::io;
use std::path::Path;
use trestle_host::Disk;

/// Breaks that are told.
const BREAKS_MAX: usize = 20;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many files there are.
    pub files: usize,
    /// How many entries.
    pub entries: u64,
    /// When the first line was written, and the last.
    pub times: Option<(String, String)>,
    /// The hash of the last line: who keeps it elsewhere will see whether lines go.
    pub head: String,
    /// Bytes at the very end that a crash left, or that are just being written.
    pub torn: u64,
    /// Where the chain is broken: file and line.
    pub breaks: Vec<String>,
    /// Whether the hash that was kept elsewhere is one of the chain; true when none was given.
    pub anchored: bool,
}

impl Report {
    /// Whether nothing was changed or taken out.
    pub fn is_sound(&self) -> bool {
        self.breaks.is_empty() && self.anchored
    }
}

/// Checks the log of a data folder. `anchor` is a hash that it had before.
///
/// # Errors
/// The disk's.
pub fn verify(disk: &dyn Disk, data: &Path, anchor: Option<&str>) -> io::Result<Report> {
    let folder = data.join(files::FOLDER);
    let numbers = files::numbers(disk, &folder)?;
    let mut report = Report {
        files: numbers.len(),
        head: START.to_owned(),
        anchored: anchor.is_none(),
        ..Report::default()
    };
    let mut chain: Option<(u64, Chain)> = None;
    for (place, number) in numbers.iter().enumerate() {
        let bytes = match files::read(disk, &folder, *number) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                report.add(*number, 0, &format!("cannot be unpacked: {error}"));
                // What follows is taken as it begins.
                chain = None;
                continue;
            }
            bytes => bytes?,
        };
        let expected = match &chain {
            Some((last, chain)) if last.checked_add(1) == Some(*number) => chain.clone(),
            // The oldest ones are removed in time: what is left is taken as it begins.
            None if *number > 1 => before(&bytes),
            None => Chain::start(),
            Some((last, chain)) => {
                let missing = last.saturating_add(1);
                report.add(missing, 0, "the file is missing");
                chain.clone()
            }
        };
        let walked = walk(&bytes, expected);
        for line in &walked.breaks {
            report.add(*number, *line, "does not follow from what is before it");
        }
        let torn = bytes.len() as u64 - walked.whole;
        let is_last = place + 1 == numbers.len();
        match (torn, is_last) {
            (0, _) => {}
            (torn, true) => report.torn = torn,
            (_, false) => report.add(*number, 0, "ends with what is no line"),
        }
        let first = bytes.split(|byte| *byte == b'\n').next();
        let header = first.and_then(Line::parse).and_then(|line| line.header());
        if walked.whole > 0 && header.is_none_or(|(file, _)| file != *number) {
            report.add(*number, 1, "is not the first line of this file");
        }
        if let Some(anchor) = anchor {
            let mut lines = bytes.split(|byte| *byte == b'\n').filter_map(Line::parse);
            report.anchored |= lines.any(|line| line.hash == anchor);
        }
        report.entries += walked.entries;
        if let Some((first, last)) = walked.times {
            let first = report.times.take().map_or(first, |(first, _)| first);
            report.times = Some((first, last));
        }
        report.head.clone_from(&walked.chain.head);
        chain = Some((*number, walked.chain));
    }
    Ok(report)
}

impl Report {
    fn add(&mut self, file: u64, line: u64, what: &str) {
        if self.breaks.len() < BREAKS_MAX {
            let name = files::path(Path::new(""), file);
            self.breaks
                .push(format!("{}, line {line}: {what}", name.display()));
        }
    }
}

/// Gives out all entries of a data folder's log, each a line of JSON without its end.
///
/// # Errors
/// The disk's, and those of `each`.
pub fn export(
    disk: &dyn Disk,
    data: &Path,
    each: &mut dyn FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let folder = data.join(files::FOLDER);
    for number in files::numbers(disk, &folder)? {
        let bytes = files::read(disk, &folder, number)?;
        for text in bytes.split(|byte| *byte == b'\n') {
            let is_entry = Line::parse(text).is_some_and(|line| line.number().is_some());
            if let Ok(text) = std::str::from_utf8(text)
                && is_entry
            {
                each(text)?;
            }
        }
    }
    Ok(())
}
