//! The framing guard: what a connection must look like before the HTTP implementation sees it.
//!
//! Bytes go in, bytes come out, and a head comes out only whole and unambiguous: CRLF line ends, no
//! folded lines, no space before a colon, one Host, one reading of where the body ends
//! (RFC 9112 §2.2, §3.2, §5, §6.3). Anything else ends the connection after one refusal, so nothing
//! that a proxy reads differently can ever be smuggled. No I/O; the state is bounded by one head.

use bytes::{Buf, BytesMut};
use http::StatusCode;

/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most header lines in a request: room for all the metadata that a dialect lets an object have (90
/// headers in Swift), beside what browsers and proxies add.
pub const HEADERS_MAX: usize = 256;
/// Longest line of a chunked body's framing, in bytes.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// Why a connection is refused; the text is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// A transfer coding that is not understood (RFC 9112 §6.1).
const UNKNOWN_CODING: Violation =
    Violation("the only transfer coding taken is one chunked, in HTTP/1.1");

/// More than a head may have (RFC 6585 §5).
const HEAD_TOO_LARGE: Violation = Violation("the request's head is too large");
const TOO_MANY_HEADERS: Violation = Violation("the request has too many headers");
/// A version of HTTP, and another one (RFC 9110 §15.6.6).
const OTHER_VERSION: Violation = Violation("only HTTP/1.1 and HTTP/1.0 are spoken here");

impl Violation {
    /// The status that says it: the request is wrong, or asks for what is not built.
    pub fn status(self) -> StatusCode {
        match self {
            UNKNOWN_CODING => StatusCode::NOT_IMPLEMENTED,
            HEAD_TOO_LARGE | TOO_MANY_HEADERS => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            OTHER_VERSION => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of a body with a length.
    Body(u64),
    ChunkLine,
    /// So many bytes of a chunk, then its CRLF.
    Chunk(u64),
    ChunkEnd,
    /// So many bytes of trailers went by.
    Trailers(usize),
}

/// Follows the framing of one connection.
#[derive(Debug)]
pub struct Guard {
    state: State,
    /// So many of the received bytes were looked at before, and did not end what is awaited.
    scanned: usize,
}

impl Default for Guard {
    fn default() -> Self {
        Guard {
            state: State::Head,
            scanned: 0,
        }
    }
}

/// How a body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Guard {
    /// Moves what may pass from `received` to `passed`; the rest waits for more bytes.
    ///
    /// # Errors
    /// The violation. Everything before it has passed; nothing may pass after it.
    pub fn pass(
        &mut self,
        received: &mut BytesMut,
        passed: &mut BytesMut,
    ) -> Result<(), Violation> {
        while !received.is_empty() {
            let before = (received.len(), self.state);
            match self.state {
                State::Head => self.head(received, passed)?,
                State::Body(left) => {
                    let left = forward(received, passed, left);
                    self.state = if left == 0 {
                        State::Head
                    } else {
                        State::Body(left)
                    };
                }
                State::Chunk(left) => {
                    let left = forward(received, passed, left);
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::Chunk(left)
                    };
                }
                State::ChunkLine | State::ChunkEnd | State::Trailers(_) => {
                    let Some(line) = line(received, &mut self.scanned)? else {
                        return Ok(());
                    };
                    self.chunk_framing(&line)?;
                    passed.extend_from_slice(&line);
                    passed.extend_from_slice(b"\r\n");
                }
            }
            if (received.len(), self.state) == before {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the connection stands between two requests.
    pub fn is_idle(&self) -> bool {
        self.state == State::Head
    }

    fn head(&mut self, received: &mut BytesMut, passed: &mut BytesMut) -> Result<(), Violation> {
        // One empty line before a request is tolerated (RFC 9112 §2.2) and goes no further.
        if received.starts_with(b"\r\n") {
            received.advance(2);
            return Ok(());
        }
        // The end may have begun in what was looked at before.
        let from = self.scanned.saturating_sub(3);
        let fresh = received.get(from..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(fresh, b"\r\n\r\n") else {
            if received.len() > HEAD_BYTES_MAX {
                return Err(HEAD_TOO_LARGE);
            }
            // Refuse at once what no further byte can mend.
            let sound = received.strip_suffix(b"\r").unwrap_or(received);
            line_ends(sound.get(self.scanned..).unwrap_or_default())?;
            self.scanned = sound.len();
            return Ok(());
        };
        let end = from + end;
        self.scanned = 0;
        if end + 4 > HEAD_BYTES_MAX {
            return Err(HEAD_TOO_LARGE);
        }
        let head = received.split_to(end + 4);
        let framing = check_head(head.get(..end).unwrap_or_default())?;
        escape_target(&head, passed);
        self.state = match framing {
            Framing::Length(0) => State::Head,
            Framing::Length(length) => State::Body(length),
            Framing::Chunked => State::ChunkLine,
        };
        Ok(())
    }

    fn chunk_framing(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.state = match self.state {
            State::ChunkEnd if line.is_empty() => State::ChunkLine,
            State::ChunkEnd => return Err(Violation("a chunk is longer than it says")),
            State::Trailers(_) if line.is_empty() => State::Head,
            State::Trailers(seen) if seen + line.len() <= TRAILER_BYTES_MAX => {
                field(line)?;
                State::Trailers(seen + line.len())
            }
            State::Trailers(_) => return Err(Violation("the trailers are too large")),
            _ => match chunk_size(line)? {
                0 => State::Trailers(0),
                size => State::Chunk(size),
            },
        };
        Ok(())
    }
}

fn forward(received: &mut BytesMut, passed: &mut BytesMut, left: u64) -> u64 {
    let now = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(received.len());
    if passed.is_empty() {
        *passed = received.split_to(now);
    } else {
        passed.extend_from_slice(&received.split_to(now));
    }
    left - now as u64
}

/// Takes a line without its CRLF; `scanned` bytes were looked at before.
fn line(received: &mut BytesMut, scanned: &mut usize) -> Result<Option<BytesMut>, Violation> {
    let from = std::mem::replace(scanned, received.len());
    let fresh = received.get(from..).unwrap_or_default();
    match fresh
        .iter()
        .position(|byte| *byte == b'\n')
        .map(|end| from + end)
    {
        Some(end) if end > CHUNK_LINE_BYTES_MAX + TRAILER_BYTES_MAX => {
            Err(Violation("a line of a chunked body is too long"))
        }
        Some(end) => {
            *scanned = 0;
            let mut line = received.split_to(end + 1);
            line.truncate(end);
            if line.last() != Some(&b'\r') {
                return Err(Violation("a line of a chunked body does not end in CRLF"));
            }
            line.truncate(end - 1);
            line_ends(&line)?;
            Ok(Some(line))
        }
        None if received.len() > CHUNK_LINE_BYTES_MAX + TRAILER_BYTES_MAX => {
            Err(Violation("a line of a chunked body is too long"))
        }
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Violation> {
    if line.len() > CHUNK_LINE_BYTES_MAX {
        return Err(Violation("a chunk's size line is too long"));
    }
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let valid =
        !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).unwrap_or_default();
    match u64::from_str_radix(text, 16) {
        Ok(size) if valid => Ok(size),
        _ => Err(Violation("a chunk's size is not a hexadecimal number")),
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n')
}

/// Whether every CR has its LF, every LF its CR, and there is no other control character than tabs.
/// Every byte of every head passes here: no step depends on the one before it, so that many are taken
/// at once.
fn is_sound(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let torn = |torn, (byte, next): (&u8, &u8)| torn | ((*byte == b'\r') != (*next == b'\n'));
    let open = bytes.first() == Some(&b'\n') || bytes.last() == Some(&b'\r');
    let torn = pairs.fold(open, torn);
    !bytes
        .iter()
        .fold(torn, |found, byte| found | is_control(*byte))
}

/// Refuses what is not sound, by the first byte that is not.
fn line_ends(bytes: &[u8]) -> Result<(), Violation> {
    if is_sound(bytes) {
        return Ok(());
    }
    let mut previous = 0;
    for byte in bytes {
        if (*byte == b'\n') != (previous == b'\r') {
            break;
        }
        if is_control(*byte) {
            return Err(Violation("a line contains a control character"));
        }
        previous = *byte;
    }
    Err(Violation("a line does not end in CRLF"))
}

/// Whether a byte is of tokens (RFC 9110 §5.6.2).
fn is_token(byte: &u8) -> bool {
    let sign = |byte: u8| {
        matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        )
    };
    byte.is_ascii_alphanumeric() || sign(*byte)
}

/// A header's name and its value.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if line
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
    {
        return Err(Violation("a header line is folded"));
    }
    let name = line.iter().take_while(|byte| is_token(byte)).count();
    match line.split_at_checked(name) {
        Some((name, [b':', value @ ..])) if !name.is_empty() => Ok((name, value.trim_ascii())),
        _ if !line.contains(&b':') => Err(Violation("a header line has no colon")),
        _ => Err(Violation(
            "a header's name is not a token directly before its colon",
        )),
    }
}

/// The lines of a head, without their ends. Found many bytes at a time: every head passes here.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', head).chain(std::iter::once(head.len()));
    ends.map(move |end| {
        let line = head.get(from..end).unwrap_or_default();
        from = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// Passes a checked head on, with what lies beyond ASCII in its target escaped.
fn escape_target(head: &[u8], passed: &mut BytesMut) {
    let line = memchr::memchr(b'\n', head).unwrap_or(0);
    let (line, rest) = head.split_at(line);
    if line.is_ascii() {
        passed.extend_from_slice(line);
    } else {
        for byte in line {
            match byte.is_ascii() {
                true => passed.extend_from_slice(&[*byte]),
                false => passed.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
    }
    passed.extend_from_slice(rest);
}

/// Checks a head without its last two line ends, and says how the body is framed.
fn check_head(head: &[u8]) -> Result<Framing, Violation> {
    line_ends(head)?;
    let mut lines = lines(head);
    let request = lines.next().unwrap_or_default();
    let parts: Vec<&[u8]> = request.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return Err(Violation("the request line is not method, target, version"));
    };
    if method.is_empty() || !method.iter().all(is_token) {
        return Err(Violation("the method is not a token"));
    }
    let old = match *version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(OTHER_VERSION);
        }
        _ => {
            return Err(Violation(
                "the request line does not end in a version of HTTP",
            ));
        }
    };
    // A fragment would be cut off, and the request be for another resource (RFC 9112 §3.2). Bytes
    // beyond ASCII, which many clients send as they are, have one reading: they go on escaped.
    if target
        .iter()
        .any(|byte| byte.is_ascii() && (!byte.is_ascii_graphic() || b"#<>`".contains(byte)))
    {
        return Err(Violation(
            "the request's target has bytes that must be escaped",
        ));
    }
    let (mut hosts, mut lengths, mut codings) = (Vec::new(), Vec::new(), Vec::new());
    for (count, line) in lines.enumerate() {
        if count >= HEADERS_MAX {
            return Err(TOO_MANY_HEADERS);
        }
        let (name, value) = field(line)?;
        for (known, values) in [
            (&b"host"[..], &mut hosts),
            (b"content-length", &mut lengths),
            (b"transfer-encoding", &mut codings),
        ] {
            if name.eq_ignore_ascii_case(known) {
                values.push(value);
            }
        }
    }
    let authority = authority(method, target)?;
    check_host(&hosts, authority, old)?;
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) => content_length(length).map(Framing::Length),
        ([], [coding]) if !old && coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        ([], _) => Err(UNKNOWN_CODING),
        (_, []) => Err(Violation("Content-Length is repeated")),
        _ => Err(Violation(
            "Content-Length and Transfer-Encoding exclude each other",
        )),
    }
}

fn content_length(value: &[u8]) -> Result<u64, Violation> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let parsed = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed
        // hyper would answer the largest numbers with a 431 of its own.
        .filter(|length| digits && *length <= i64::MAX as u64)
        .ok_or(Violation("Content-Length is not a number"))
}

/// The authority that a target names: none in a path, and in the `*` of OPTIONS.
fn authority<'a>(method: &[u8], target: &'a [u8]) -> Result<Option<&'a [u8]>, Violation> {
    if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
        return Ok(None);
    }
    [b"http://".as_slice(), b"https://"]
        .iter()
        .find_map(|scheme| {
            let (found, rest) = target.split_at_checked(scheme.len())?;
            let authority = rest.split(|byte| matches!(byte, b'/' | b'?')).next()?;
            (found.eq_ignore_ascii_case(scheme) && !authority.is_empty()).then_some(authority)
        })
        .map(Some)
        .ok_or(Violation("the target is neither a path nor an http URL"))
}

fn check_host(hosts: &[&[u8]], authority: Option<&[u8]>, old: bool) -> Result<(), Violation> {
    let host = match hosts {
        [] if old => return Ok(()),
        [host] => *host,
        [] => return Err(Violation("the Host header is missing")),
        _ => return Err(Violation("the Host header is repeated")),
    };
    if !is_host(host) {
        return Err(Violation("the Host header is not a host"));
    }
    match authority {
        Some(authority) if !authority.eq_ignore_ascii_case(host) => Err(Violation(
            "the target and the Host header name different hosts",
        )),
        _ => Ok(()),
    }
}

/// Whether this is a host with or without a port (RFC 3986 §3.2.2). An empty one is right for a
/// target without authority (RFC 9112 §3.2).
pub(crate) fn is_host(text: &[u8]) -> bool {
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(byte);
    let address = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
    let (valid, port) = match text.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let (inside, after) = literal.split_at(end);
            let valid = !inside.is_empty() && inside.iter().all(address);
            (valid, after.get(1..).unwrap_or_default())
        }
        None => {
            let colon = text.iter().position(|byte| *byte == b':');
            let (before, port) = text.split_at(colon.unwrap_or(text.len()));
            (
                before.iter().all(name) && !(before.is_empty() && colon.is_some()),
                port,
            )
        }
    };
    let number = |digits: &[u8]| {
        let text = std::str::from_utf8(digits).unwrap_or_default();
        digits.iter().all(u8::is_ascii_digit) && (text.is_empty() || text.parse::<u16>().is_ok())
    };
    valid && (port.is_empty() || port.strip_prefix(b":").is_some_and(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `step` bytes; what passed, and the violation.
    fn feed(input: &[u8], step: usize) -> (Vec<u8>, Option<Violation>) {
        let (mut guard, mut received, mut all) = (Guard::default(), BytesMut::new(), Vec::new());
        for piece in input.chunks(step) {
            received.extend_from_slice(piece);
            let mut passed = BytesMut::new();
            let outcome = guard.pass(&mut received, &mut passed);
            all.extend_from_slice(&passed);
            if let Err(violation) = outcome {
                return (all, Some(violation));
            }
        }
        (all, None)
    }

    fn check(input: &str) -> Option<Violation> {
        let (passed, whole) = feed(input.as_bytes(), usize::MAX);
        for step in [1, 2, 7] {
            assert_eq!(
                feed(input.as_bytes(), step),
                (passed.clone(), whole),
                "{input:?}"
            );
        }
        whole
    }

    #[test]
    fn well_formed_connections_pass_unchanged() {
        let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\nPUT /x HTTP/1.1\r\nHost: a:80\r\n\
            Content-Length: 5\r\n\r\nhelloPUT /y HTTP/1.1\r\nHost: [::1]\r\n\
            transfer-encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n\
            GET http://a/ HTTP/1.1\r\nhost: A\r\n\r\nGET / HTTP/1.0\r\n\r\n\
            GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n\
            GET / HTTP/1.1\r\nHost: a:\r\n\r\n\
            OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nGET Http://A?q HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(check(requests), None);
        assert_eq!(feed(requests.as_bytes(), 3).0, requests.as_bytes());
    }

    #[test]
    fn ambiguous_framing_never_passes() {
        let bad = [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Content-Length : 5\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding\x0b: chunked\r\n",
            " Transfer-Encoding: chunked\r\n",
            "X: a\r\n b\r\n",
            "X: a\nY: b\r\n",
            "X: a\rY: b\r\n",
            "X: a\0\r\n",
            "X: a\x01\r\n",
            "X: a\x7f\r\n",
            "no colon\r\n",
            ": empty\r\n",
            "Host: b\r\n",
            "X\u{e9}: a\r\n",
        ];
        for lines in bad {
            let request = format!("PUT / HTTP/1.1\r\nHost: a\r\n{lines}\r\nhello");
            assert!(check(&request).is_some(), "{lines:?}");
        }
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: []\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET HTTP://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:///x HTTP/1.1\r\nHost:\r\n\r\n",
            "GET http://b/ HTTP/1.0\r\nHost: a\r\n\r\n",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://\u{e9}/ HTTP/1.1\r\nHost: \u{e9}\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(check(request).is_some(), "{request:?}");
        }
    }

    #[test]
    fn bytes_beyond_ascii_go_on_escaped() {
        let mut received =
            BytesMut::from("GET /\u{e9}?\u{e9} HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n");
        let mut passed = BytesMut::new();
        Guard::default().pass(&mut received, &mut passed).unwrap();
        let expected = "GET /%C3%A9?%C3%A9 HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n";
        assert_eq!(&passed[..], expected.as_bytes());
    }

    const CHUNKED: &str = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn bad_chunks_end_the_connection() {
        let head = CHUNKED;
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1 \r\n",
            "5\nhello",
            "2\r\nhello\r\n",
            "1000000000000000\r\n",
            "1;a=\x01\r\n",
        ] {
            assert!(check(&format!("{head}{body}")).is_some(), "{body:?}");
        }
        let long = format!("{head}1;{}\r\n", "x".repeat(300));
        assert!(check(&long).is_some());
        let trailers = format!("{head}0\r\n{}\r\n", "T: v\r\n".repeat(3000));
        assert!(check(&trailers).is_some());
    }

    #[test]
    fn heads_are_bounded() {
        let many = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(HEADERS_MAX)
        );
        let status = |violation: Option<Violation>| violation.unwrap().status().as_u16();
        assert_eq!(status(check(&many)), 431);
        assert_eq!(status(check("GET / HTTP/2.0\r\nHost: a\r\n\r\n")), 505);
        assert_eq!(status(check("GET / HTTP/1.x\r\nHost: a\r\n\r\n")), 400);
        assert_eq!(status(check("GET /\r\nHost: a\r\n\r\n")), 400);
        // Byte by byte: would take very long if each new one were a reason to look at all of them.
        for (bytes, start) in [(HEAD_BYTES_MAX, ""), (16 << 10, CHUNKED)] {
            let endless = format!("{start}{}", "a".repeat(bytes + 2));
            let found = status(feed(endless.as_bytes(), 1).1);
            assert_eq!(found, if start.is_empty() { 431 } else { 400 });
        }
    }
}
