//! `multipart/mixed` and forms (RFC 2046): a body into its parts, and parts into a body.

use bytes::Bytes;
use trestle_core::{Error, Result};

use crate::media::MediaType;
use crate::value::from_base64;

/// Most parts of a body.
const PARTS_MAX: usize = 1024;
/// Longest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest boundary, in bytes (RFC 2046 §5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    headers: Vec<(String, String)>,
    /// Its bytes, with the transfer encoding undone.
    pub(crate) body: Bytes,
}

/// Where a part's bytes belong within the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// Offset of the first byte.
    pub(crate) first: u64,
    /// Offset of the last byte.
    pub(crate) last: u64,
    /// Size of the whole, when it is known.
    pub(crate) size: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 0-10/37`, or with `*` for an unknown size.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::invalid(format!("{text:?} is not a content range"));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let rest = text.trim();
        // Some clients leave the unit away, or write it as Range does.
        let rest = rest.strip_prefix("bytes").unwrap_or(rest);
        let rest = rest.trim_start_matches([' ', '=']);
        let (range, size) = match rest.split_once('/') {
            Some((range, "*")) => (range, None),
            Some((range, size)) => (range, Some(number(size).ok_or_else(malformed)?)),
            None => (rest, None),
        };
        let (first, last) = range.split_once('-').ok_or_else(malformed)?;
        let first = number(first).ok_or_else(malformed)?;
        let last = number(last).ok_or_else(malformed)?;
        if first > last || size.is_some_and(|size| last >= size) {
            return Err(malformed());
        }
        Ok(ContentRange { first, last, size })
    }

    /// How many bytes it covers.
    pub(crate) fn count(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl Part {
    /// A header of the part.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Its media type; plain text when it says none (RFC 2045 §5.2).
    pub(crate) fn media_type(&self) -> Result<MediaType> {
        MediaType::parse(self.header("content-type").unwrap_or("text/plain"))
    }

    /// Its place within the value.
    pub(crate) fn content_range(&self) -> Result<Option<ContentRange>> {
        let range = self.header("content-range").map(ContentRange::parse);
        let range = range.transpose()?;
        match range {
            Some(range) if range.count() != self.body.len() as u64 => Err(Error::invalid(
                "a part does not have as many bytes as its range",
            )),
            range => Ok(range),
        }
    }

    /// The file name of a form's part.
    pub(crate) fn file_name(&self) -> Option<String> {
        let disposition = self.header("content-disposition")?;
        // Read like the parameters of a media type, which have the same form.
        let parsed = MediaType::parse(&format!("x/{disposition}")).ok()?;
        let name = parsed.parameter("filename")?;
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// The boundary of a media type.
pub(crate) fn boundary(media_type: &MediaType) -> Result<&str> {
    media_type
        .parameter("boundary")
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX)
        .ok_or_else(|| Error::invalid("the multipart body has no valid boundary"))
}

/// Cuts a body into its parts.
///
/// # Errors
/// `InvalidInput` for a body that is not closed, or a part that cannot be read.
pub(crate) fn parse(body: &Bytes, boundary: &str) -> Result<Vec<Part>> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    // The first delimiter may stand at the very start; every other follows a line end.
    let mut at = match body.starts_with(delimiter.as_bytes()) {
        true => Some(0),
        false => find(body, format!("\r\n{delimiter}").as_bytes(), 0).map(|at| at + 2),
    };
    let unclosed = || Error::invalid("the multipart body is not closed");
    loop {
        let start = at.ok_or_else(unclosed)? + delimiter.len();
        let rest = body.get(start..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let padding = rest
            .iter()
            .take_while(|b| **b == b' ' || **b == b'\t')
            .count();
        let line_end = match rest.get(padding..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\n', ..]) => 1,
            _ => return Err(Error::invalid("a boundary is not followed by a line end")),
        };
        let content = start + padding + line_end;
        let (end, next) =
            next_delimiter(body, delimiter.as_bytes(), content).ok_or_else(unclosed)?;
        if parts.len() == PARTS_MAX {
            return Err(Error::invalid(format!("more than {PARTS_MAX} parts")));
        }
        parts.push(part(body, content, end)?);
        at = Some(next);
    }
}

/// Where a part ends, and where the delimiter after it starts.
fn next_delimiter(body: &[u8], delimiter: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut search = from;
    loop {
        let at = find(body, delimiter, search)?;
        match body.get(from.saturating_sub(2)..at) {
            Some([.., b'\r', b'\n']) => return Some((at.saturating_sub(2).max(from), at)),
            Some([.., b'\n']) => return Some((at.saturating_sub(1).max(from), at)),
            _ => search = at + 1,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    let first = *needle.first()?;
    let mut start = 0;
    while let Some(at) = rest.get(start..)?.iter().position(|byte| *byte == first) {
        let at = start + at;
        if rest.get(at..)?.starts_with(needle) {
            return Some(from + at);
        }
        start = at + 1;
    }
    None
}

fn part(body: &Bytes, start: usize, end: usize) -> Result<Part> {
    let malformed = || Error::invalid("the head of a part cannot be read");
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut at = start;
    loop {
        let rest = body.get(at..end).unwrap_or_default();
        let line = match rest.iter().position(|byte| *byte == b'\n') {
            Some(line) => rest.get(..line).unwrap_or_default(),
            None if rest.is_empty() => break,
            None => return Err(malformed()),
        };
        at += line.len() + 1;
        if at - start > HEAD_BYTES_MAX {
            return Err(malformed());
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let line = std::str::from_utf8(line).map_err(|_| malformed())?;
        match (line.starts_with([' ', '\t']), headers.last_mut()) {
            (true, Some((_, value))) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                let (name, value) = line.split_once(':').ok_or_else(malformed)?;
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }
    let mut part = Part {
        headers,
        body: body.slice(at.min(end)..end),
    };
    let encoding = part.header("content-transfer-encoding").unwrap_or("binary");
    match encoding.to_ascii_lowercase().as_str() {
        "binary" | "7bit" | "8bit" => {}
        "base64" => {
            let text = std::str::from_utf8(&part.body).map_err(|_| malformed())?;
            part.body = from_base64(text)?;
        }
        "quoted-printable" => part.body = from_quoted_printable(&part.body)?,
        other => {
            return Err(Error::invalid(format!(
                "the transfer encoding {other:?} of a part is not understood"
            )));
        }
    }
    Ok(part)
}

/// Undoes quoted-printable (RFC 2045 §6.7). Blanks at the end of a line were added on the way, and an
/// equals sign there makes the next line a continuation.
fn from_quoted_printable(body: &[u8]) -> Result<Bytes> {
    let malformed = || Error::invalid("a part is not quoted-printable");
    let mut decoded = Vec::with_capacity(body.len());
    let mut lines = body.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        let bare = line.strip_suffix(b"\r").filter(|_| !last).unwrap_or(line);
        let text = bare.trim_ascii_end();
        let (text, soft) = match text.strip_suffix(b"=") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'=' => {
                    let mut digit = || char::from(*bytes.next()?).to_digit(16);
                    let high = digit().ok_or_else(malformed)?;
                    let low = digit().ok_or_else(malformed)?;
                    (high << 4 | low) as u8
                }
                byte => *byte,
            });
        }
        if !soft && !last {
            decoded.extend_from_slice(line.get(bare.len()..).unwrap_or_default());
            decoded.push(b'\n');
        }
    }
    Ok(decoded.into())
}

/// Writes a part's head and body after its delimiter.
pub(crate) fn write_part(out: &mut Vec<u8>, boundary: &str, head: &[(&str, &str)], body: &[u8]) {
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    for (name, value) in head {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of the body.
pub(crate) fn write_end(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str) -> Result<Vec<Part>> {
        parse(&Bytes::from(body.to_owned()), "gc0p")
    }

    #[test]
    fn bodies_are_cut_at_their_boundaries() {
        let body = "preamble\r\n--gc0p\r\nContent-Type: application/cdmi-object\r\n\r\n{}\r\n\
                    --gc0p  \r\ncontent-type: text/plain;\r\n charset=utf-8\r\n\
                    Content-Range: bytes 3-6/9\r\n\r\na\r\n-\r\n--gc0p--\r\nepilogue";
        let parts = parts(body).unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].body, "{}");
        assert_eq!(parts[1].body, "a\r\n-");
        assert!(parts[1].media_type().unwrap().is_utf8());
        let range = parts[1].content_range().unwrap().unwrap();
        assert_eq!((range.first, range.last, range.size), (3, 6, Some(9)));
    }

    #[test]
    fn odd_bodies_are_read_or_refused_and_never_panic() {
        assert_eq!(parts("--gc0p\n\n\n--gc0p--").unwrap()[0].body, "");
        assert_eq!(parts("--gc0p\r\n\r\n--gc0p--").unwrap()[0].body, "");
        assert_eq!(parts("--gc0p--").unwrap().len(), 0);
        let base64 = "--gc0p\r\nContent-Transfer-Encoding: BASE64\r\n\r\ndGhhdA==\r\n--gc0p--";
        assert_eq!(parts(base64).unwrap()[0].body, "that");
        let quoted = |text: &str| {
            let head = "--gc0p\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";
            let read = parts(&format!("{head}{text}\r\n--gc0p--"))?;
            Ok::<Bytes, Error>(read[0].body.clone())
        };
        assert_eq!(
            quoted("a=3Db=\r\n c \t\r\n=c3=A9=\n").unwrap(),
            "a=b c\r\né"
        );
        assert_eq!(quoted("").unwrap(), "");
        for wrong in ["=", "x=4", "=G0", "=\u{e9}"].map(|text| format!("{text}y")) {
            assert!(quoted(&wrong).is_err(), "{wrong}");
        }
        for bad in [
            "",
            "--gc0p",
            "--gc0px\r\n\r\n--gc0p--",
            "--gc0p\r\nno colon\r\n\r\nx\r\n--gc0p--",
            "--gc0p\r\n\r\nx",
            "--gc0p\r\nContent-Transfer-Encoding: x-uu\r\n\r\nx\r\n--gc0p--",
        ] {
            assert!(parts(bad).is_err(), "{bad:?}");
        }
        let whole = "--gc0p\r\nA: b\r\n\r\nxyz\r\n--gc0p--\r\n";
        for cut in 0..whole.len() {
            let _ = parts(&whole[..cut]);
        }
    }

    #[test]
    fn ranges_of_content_have_an_order() {
        assert!(ContentRange::parse("bytes 0-0/*").is_ok());
        assert!(ContentRange::parse("bytes=21-24/37").is_ok());
        for bad in [
            "",
            "bytes",
            "bytes 4-3/9",
            "bytes 0-9/9",
            "bytes */9",
            "bytes a-b/c",
        ] {
            assert!(ContentRange::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = Vec::new();
        write_part(
            &mut out,
            "gc0p",
            &[("Content-Type", "text/x")],
            b"\r\n--gc0",
        );
        write_end(&mut out, "gc0p");
        let read = parse(&Bytes::from(out), "gc0p").unwrap();
        assert_eq!(read[0].body, "\r\n--gc0");
        assert_eq!(read[0].header("content-type"), Some("text/x"));
        let form = "--gc0p\r\nContent-Disposition: form-data; name=\"f\"; filename=\"C:\\\\a b.txt\"\
                    \r\n\r\nx\r\n--gc0p--";
        assert_eq!(
            parts(form).unwrap()[0].file_name().as_deref(),
            Some("C:a b.txt")
        );
    }
}
