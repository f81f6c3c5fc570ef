//! The framing `aws-chunked`: chunks with a size and perhaps a signature, then trailers.
//!
//! Without input or output of its own: bytes go in, data and chunk ends come out. Bounded: a size
//! line, a trailer and their number have limits, and the data never exceeds what was announced.
//! What is malformed, too short or too long is an error, so nothing is stored of it.

use bytes::{Bytes, BytesMut};
use trestle_core::{Error, ErrorKind, Result};

/// Longest line: a chunk's size with its signature, or a trailer.
const LINE_BYTES_MAX: usize = 4 << 10;
/// Most trailers.
const TRAILERS_MAX: usize = 16;
/// Most empty lines among and after them.
const BLANKS_MAX: u8 = 4;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes of the current chunk.
    Data(Bytes),
    /// The current chunk is complete; with its signature when it has one. The last one is empty.
    ChunkEnd(Option<String>),
    /// All is read: the trailers in order, names in lower case.
    End(Vec<(String, String)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data {
        left: u64,
        last: bool,
    },
    /// The line end after a chunk's data.
    Close,
    Trailers,
    Ended,
}

/// A decoder of one body.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    received: BytesMut,
    signature: Option<String>,
    /// Data still to come, as it was announced.
    left: u64,
    trailers: Vec<(String, String)>,
    /// Whether trailers were announced; without, the body ends with the empty chunk.
    has_trailers: bool,
    /// Empty lines among the trailers so far.
    blanks: u8,
}

/// What may stand around a value; a lone CR or a vertical tab is none of it.
const BLANKS: [char; 2] = [' ', '\t'];

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::IncompleteBody, format!("aws-chunked: {message}"))
}

impl Decoder {
    /// A decoder of a body that announces `length` bytes of data.
    pub(crate) fn new(length: u64, has_trailers: bool) -> Self {
        Decoder {
            state: State::Size,
            received: BytesMut::new(),
            signature: None,
            left: length,
            trailers: Vec::new(),
            has_trailers,
            blanks: 0,
        }
    }

    /// Takes in the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// What the bytes so far say next; none when more are needed.
    ///
    /// # Errors
    /// `IncompleteBody` when the framing is malformed.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = self.line()? else {
                        return Ok(None);
                    };
                    self.open(&line)?;
                }
                State::Data { left: 0, last } => {
                    // The empty chunk has no data whose line end could follow.
                    self.state = if last { State::Trailers } else { State::Close };
                    return Ok(Some(Event::ChunkEnd(self.signature.take())));
                }
                State::Data { left, last } => {
                    if self.received.is_empty() {
                        return Ok(None);
                    }
                    let now = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(self.received.len());
                    let data = self.received.split_to(now).freeze();
                    self.state = State::Data {
                        left: left - now as u64,
                        last,
                    };
                    return Ok(Some(Event::Data(data)));
                }
                State::Close => match self.line()? {
                    None => return Ok(None),
                    Some(line) if line.is_empty() => self.state = State::Size,
                    Some(_) => return Err(malformed("a chunk is longer than its size")),
                },
                State::Trailers => {
                    let Some(line) = self.line()? else {
                        return Ok(None);
                    };
                    match line.is_empty() {
                        false => self.trailer(&line)?,
                        // An empty line stands before the signature of trailers, too: only the end
                        // of the body is their end.
                        true if self.has_trailers => self.blank()?,
                        true => {
                            self.state = State::Ended;
                            return Ok(Some(Event::End(Vec::new())));
                        }
                    }
                }
                State::Ended if self.received.is_empty() => return Ok(None),
                State::Ended => return Err(malformed("bytes follow the end")),
            }
        }
    }

    /// The body has ended: was all of it there? Clients leave out the last line end.
    ///
    /// # Errors
    /// `IncompleteBody` otherwise.
    pub(crate) fn end(&mut self) -> Result<Option<Event>> {
        match self.state {
            State::Ended if self.received.is_empty() => Ok(None),
            State::Trailers => {
                let rest = std::mem::take(&mut self.received);
                if !rest.is_empty() {
                    let line = String::from_utf8(rest.to_vec())
                        .map_err(|_| malformed("a trailer is not text"))?;
                    self.trailer(line.trim_end_matches(['\r', '\n']))?;
                }
                self.state = State::Ended;
                Ok(Some(Event::End(std::mem::take(&mut self.trailers))))
            }
            _ => Err(malformed("the body ended early")),
        }
    }

    /// A line without its end. Trailers of some clients end with a bare line feed.
    fn line(&mut self) -> Result<Option<String>> {
        let Some(end) = self
            .received
            .iter()
            .take(LINE_BYTES_MAX)
            .position(|byte| *byte == b'\n')
        else {
            return match self.received.len() < LINE_BYTES_MAX {
                true => Ok(None),
                false => Err(malformed("a line is too long")),
            };
        };
        let line = self.received.split_to(end + 1);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let bare = self.state != State::Trailers;
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if bare => return Err(malformed("a line does not end with CR LF")),
            None => line,
        };
        let line = std::str::from_utf8(line).map_err(|_| malformed("a line is not text"))?;
        Ok(Some(line.to_owned()))
    }

    fn open(&mut self, line: &str) -> Result<()> {
        let (size, extension) = match line.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (line, None),
        };
        let hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16)
            .ok()
            .filter(|_| hex)
            .ok_or_else(|| malformed("a chunk's size is not a hexadecimal number"))?;
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| malformed("there is more data than was announced"))?;
        if size == 0 && self.left > 0 {
            return Err(malformed("there is less data than was announced"));
        }
        self.signature = match extension {
            None => None,
            Some(extension) => {
                let signature = extension
                    .trim_matches(BLANKS)
                    .strip_prefix("chunk-signature=");
                let signature =
                    signature.ok_or_else(|| malformed("a chunk has an unknown extension"))?;
                Some(signature.to_owned())
            }
        };
        self.state = State::Data {
            left: size,
            last: size == 0,
        };
        Ok(())
    }

    fn blank(&mut self) -> Result<()> {
        self.blanks += 1;
        match self.blanks <= BLANKS_MAX {
            true => Ok(()),
            false => Err(malformed("there are too many empty lines")),
        }
    }

    fn trailer(&mut self, line: &str) -> Result<()> {
        if !self.has_trailers {
            return Err(malformed("a trailer was not announced"));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| malformed("a trailer has no name"))?;
        let name = name.trim_matches(BLANKS).to_ascii_lowercase();
        if self.trailers.len() >= TRAILERS_MAX || self.trailers.iter().any(|(n, _)| *n == name) {
            return Err(malformed("there are too many trailers, or one comes twice"));
        }
        let value = value.trim_matches(BLANKS).to_owned();
        self.trailers.push((name, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, signatures of chunks, trailers.
    type Decoded = (Vec<u8>, Vec<Option<String>>, Vec<(String, String)>);

    fn decode(body: &[u8], length: u64, trailers: bool, step: usize) -> Result<Decoded> {
        let mut decoder = Decoder::new(length, trailers);
        let mut decoded = Decoded::default();
        let mut take = |event| match event {
            Event::Data(data) => decoded.0.extend_from_slice(&data),
            Event::ChunkEnd(signature) => decoded.1.push(signature),
            Event::End(trailers) => decoded.2 = trailers,
        };
        for piece in body.chunks(step) {
            decoder.push(piece);
            while let Some(event) = decoder.next()? {
                take(event);
            }
        }
        if let Some(event) = decoder.end()? {
            take(event);
        }
        Ok(decoded)
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let body = b"5;chunk-signature=aa\r\nhello\r\nA\r\n, worldly!\r\n0;chunk-signature=bb\r\n\
                     x-amz-checksum-crc32:AAAA\r\nx-amz-trailer-signature:cc\r\n\r\n";
        for step in 1..body.len() {
            let (data, signatures, trailers) = decode(body, 15, true, step).unwrap();
            assert_eq!(data, b"hello, worldly!");
            let signed = |text: &str| Some(text.to_owned());
            assert_eq!(signatures, [signed("aa"), None, signed("bb")]);
            assert_eq!(trailers.len(), 2);
            assert_eq!(trailers[0], ("x-amz-checksum-crc32".into(), "AAAA".into()));
        }
        assert!(decode(b"0\r\n\r\n", 0, false, 1).unwrap().0.is_empty());
        // Without the last line ends.
        assert!(decode(b"0\r\n", 0, false, 9).is_ok());
        assert_eq!(decode(b"0\r\na:b", 0, true, 9).unwrap().2.len(), 1);
        assert_eq!(decode(b"0\r\na:b\n\r\n", 0, true, 9).unwrap().2.len(), 1);
        // As Go's clients write them: an empty line before the signature.
        let apart = b"0\r\na:b\n\r\nx-amz-trailer-signature:cc\r\n\r\n";
        for step in 1..apart.len() {
            assert_eq!(decode(apart, 0, true, step).unwrap().2.len(), 2);
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long = format!("1;chunk-signature={}\r\nx\r\n0\r\n\r\n", "a".repeat(5000));
        for (body, length) in [
            (&b"5\r\nhello\r\n"[..], 5),
            (b"5\r\nhell", 5),
            (b"5\r\nhelloo\r\n0\r\n\r\n", 5),
            (b"5\r\nhello\r\n0\r\n\r\n", 4),
            (b"5\r\nhello\r\n0\r\n\r\n", 6),
            (b"5\nhello\n0\n\n", 5),
            (b"+5\r\nhello\r\n0\r\n\r\n", 5),
            (b"5;x=y\r\nhello\r\n0\r\n\r\n", 5),
            (b"ffffffffffffffff1\r\n", 5),
            (b"0\r\n\r\nmore", 0),
            (b"0\r\na:b\r\na:c\r\n\r\n", 0),
            (b"0\r\nnonsense\r\n\r\n", 0),
            (b"0\r\na:b\r\n\r\nmore", 0),
            (b"0\r\na:b\r\n\r\n\r\n\r\n\r\n\r\n", 0),
            (long.as_bytes(), 1),
            (b"", 0),
        ] {
            for step in [1, 7, 10_000] {
                assert!(decode(body, length, true, step).is_err(), "{body:?}");
            }
        }
        assert!(decode(b"0\r\na:b\r\n\r\n", 0, false, 99).is_err());
    }
}
