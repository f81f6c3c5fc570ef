//! Archives that are unpacked while they arrive: tar, as it is or compressed by gzip or bzip2.
//!
//! Bytes are pushed in, events come out; nothing of an archive is held but one header, one piece and
//! the names that precede an entry. Entries that are not plain files are passed over. A name is
//! never a path of a file system here, and a name that would climb is refused all the same.

use bytes::{Buf, Bytes, BytesMut};
use std::io::Write;
use trestle_core::{Error, Result};

/// Largest extended header of an entry.
const EXTENDED_MAX: u64 = 1 << 20;
const BLOCK: usize = 512;
/// Most bytes that come out of one piece at once, so that a small archive cannot fill the memory.
const PIECE: usize = 16 << 10;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Bzip2,
}

impl Compression {
    /// By the value of `extract-archive`.
    pub(crate) fn named(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().trim_matches('.') {
            "tar" => Some(Compression::None),
            "tar.gz" => Some(Compression::Gzip),
            "tar.bz2" => Some(Compression::Bzip2),
            _ => None,
        }
    }
}

enum Decoder {
    None(Vec<u8>),
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Bzip2(bzip2::write::BzDecoder<Vec<u8>>),
}

/// What an archive holds, as it comes.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// A file begins.
    File(Entry),
    /// Bytes of it.
    Data(Bytes),
    /// It is complete.
    End,
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Its name, without leading `./` and `/`.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its extended attributes, as headers name them.
    pub(crate) headers: Vec<(String, String)>,
}

enum State {
    Header,
    /// So many bytes of an extended header of this type are missing.
    Extended(u8, u64, Vec<u8>),
    /// So many bytes of a file.
    File(u64),
    /// So many bytes of something that is passed over.
    Skip(u64),
    Padding(usize),
    Ended,
}

/// An archive that is being received.
pub(crate) struct Unpacker {
    decoder: Decoder,
    /// Compressed bytes that were not pushed yet.
    waiting: Bytes,
    plain: BytesMut,
    state: State,
    padding: usize,
    /// What extended headers said of the next entry.
    name: Option<Vec<u8>>,
    size: Option<u64>,
    headers: Vec<(String, String)>,
}

fn invalid(what: &str) -> Error {
    Error::invalid(format!("Invalid Tar File: {what}"))
}

impl Unpacker {
    /// An archive of which nothing has arrived.
    pub(crate) fn new(compression: Compression) -> Self {
        Unpacker {
            decoder: match compression {
                Compression::None => Decoder::None(Vec::new()),
                Compression::Gzip => Decoder::Gzip(flate2::write::MultiGzDecoder::new(Vec::new())),
                Compression::Bzip2 => Decoder::Bzip2(bzip2::write::BzDecoder::new(Vec::new())),
            },
            waiting: Bytes::new(),
            plain: BytesMut::new(),
            state: State::Header,
            padding: 0,
            name: None,
            size: None,
            headers: Vec::new(),
        }
    }

    /// Takes the next bytes; `next` must have given none before.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.waiting = bytes;
    }

    /// The next event; none when more bytes are needed.
    ///
    /// # Errors
    /// `InvalidInput` for what is no archive.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.step()? {
                return Ok(Some(event));
            }
            if !self.decode()? {
                return Ok(None);
            }
        }
    }

    /// Whether the archive is whole.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.state, State::Ended)
            || matches!(self.state, State::Header) && self.plain.is_empty()
    }

    /// Decodes a piece of what waits; whether there was one.
    fn decode(&mut self) -> Result<bool> {
        if self.waiting.is_empty() {
            return Ok(false);
        }
        // Few compressed bytes at a time: each may stand for a thousand.
        let piece = self.waiting.split_to(PIECE.min(self.waiting.len()));
        let broken = |_| invalid("the compression is damaged");
        let out = match &mut self.decoder {
            Decoder::None(out) => {
                out.extend_from_slice(&piece);
                out
            }
            Decoder::Gzip(decoder) => {
                decoder.write_all(&piece).map_err(broken)?;
                decoder.flush().map_err(broken)?;
                decoder.get_mut()
            }
            Decoder::Bzip2(decoder) => {
                let taken = decoder.write(&piece).map_err(broken)?;
                match piece.get(taken..) {
                    // What follows the end of the stream is padding.
                    Some(_) if taken == 0 => self.waiting.clear(),
                    Some(rest) if !rest.is_empty() => {
                        self.waiting = [rest, &self.waiting].concat().into();
                    }
                    _ => {}
                }
                // It hands out what it has when it is asked for more.
                let mut before = usize::MAX;
                while decoder.get_ref().len() != before {
                    before = decoder.get_ref().len();
                    decoder.flush().map_err(broken)?;
                    let _none = decoder.write(&[]).map_err(broken)?;
                    decoder.flush().map_err(broken)?;
                }
                decoder.get_mut()
            }
        };
        self.plain.extend_from_slice(out);
        out.clear();
        Ok(true)
    }

    fn step(&mut self) -> Result<Option<Event>> {
        loop {
            match &mut self.state {
                State::Ended => {
                    self.plain.clear();
                    return Ok(None);
                }
                State::Header => {
                    if self.plain.len() < BLOCK {
                        return Ok(None);
                    }
                    let block = self.plain.split_to(BLOCK);
                    if let Some(event) = self.header(&block)? {
                        return Ok(Some(event));
                    }
                }
                State::Extended(kind, left, taken) => {
                    let now = self
                        .plain
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    taken.extend_from_slice(&self.plain.split_to(now));
                    *left -= now as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let (kind, taken) = (*kind, std::mem::take(taken));
                    self.extended(kind, taken)?;
                    self.state = State::Padding(self.padding);
                }
                State::File(0) => {
                    self.state = State::Padding(self.padding);
                    return Ok(Some(Event::End));
                }
                State::File(left) => {
                    if self.plain.is_empty() {
                        return Ok(None);
                    }
                    let now = self
                        .plain
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= now as u64;
                    return Ok(Some(Event::Data(self.plain.split_to(now).freeze())));
                }
                State::Skip(left) => {
                    let now = self
                        .plain
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.plain.advance(now);
                    *left -= now as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Padding(self.padding);
                }
                State::Padding(left) => {
                    let now = self.plain.len().min(*left);
                    self.plain.advance(now);
                    *left -= now;
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Header;
                }
            }
        }
    }

    fn header(&mut self, block: &[u8]) -> Result<Option<Event>> {
        if block.iter().all(|byte| *byte == 0) {
            // Two such blocks end an archive; one is enough to know.
            self.state = State::Ended;
            return Ok(None);
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(place, byte)| match (148..156).contains(&place) {
                true => u32::from(b' '),
                false => u32::from(*byte),
            })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(invalid("a header's checksum is wrong"));
        }
        let size = header
            .entry_size()
            .map_err(|_| invalid("a size is malformed"))?;
        let kind = header.entry_type();
        let size = match kind.is_file() || kind.is_contiguous() {
            true => self.size.take().unwrap_or(size),
            false => size,
        };
        // A remainder of 512 always fits.
        self.padding = usize::try_from((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64)
            .unwrap_or_default();
        if kind.is_pax_local_extensions() || kind.is_gnu_longname() {
            if size > EXTENDED_MAX {
                return Err(invalid("an extended header is too large"));
            }
            self.state = State::Extended(kind.as_byte(), size, Vec::new());
            return Ok(None);
        }
        let long = self.name.take();
        let headers = std::mem::take(&mut self.headers);
        self.size = None;
        if !(kind.is_file() || kind.is_contiguous()) {
            self.state = State::Skip(size);
            return Ok(None);
        }
        let name = long.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = String::from_utf8(name).map_err(|_| invalid("a name is not UTF-8"))?;
        // A name of the old form that ends in a slash is a folder.
        if name.ends_with('/') {
            self.state = State::Skip(size);
            return Ok(None);
        }
        let name = name.strip_prefix("./").unwrap_or(&name);
        let name = name.trim_start_matches('/').to_owned();
        self.state = State::File(size);
        Ok(Some(Event::File(Entry {
            name,
            size,
            headers,
        })))
    }

    fn extended(&mut self, kind: u8, taken: Vec<u8>) -> Result<()> {
        if kind == tar::EntryType::GNULongName.as_byte() {
            let end = taken
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(taken.len());
            self.name = Some(taken.get(..end).unwrap_or_default().to_vec());
            return Ok(());
        }
        for extension in tar::PaxExtensions::new(&taken) {
            let extension = extension.map_err(|_| invalid("an extended header is malformed"))?;
            match extension.key_bytes() {
                b"path" => self.name = Some(extension.value_bytes().to_vec()),
                b"size" => {
                    let size = extension.value().ok().and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or_else(|| invalid("a size is malformed"))?);
                }
                _ => {
                    if let (Ok(key), Ok(value)) = (extension.key(), extension.value())
                        && let Some(name) = header_of(key)
                    {
                        self.headers.push((name, value.to_owned()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The header that an extended attribute stands for, by the names of GNU tar and of BSD's.
fn header_of(key: &str) -> Option<String> {
    let attribute = ["SCHILY.xattr.", "LIBARCHIVE.xattr."]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))?;
    if attribute == "user.mime_type" {
        return Some("content-type".to_owned());
    }
    let name = attribute.strip_prefix("user.meta.")?;
    Some(format!("x-object-meta-{}", name.to_ascii_lowercase()))
}

/// Whether a name would leave the folder that it is unpacked into.
pub(crate) fn climbs(name: &str) -> bool {
    name.split('/').any(|part| part == "..")
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
