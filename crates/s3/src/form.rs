//! Browser forms (`multipart/form-data`): fields, then one file that streams.
//!
//! Without input or output of its own. Bounded: the fields together, their number, and each part's
//! head have limits; the file is passed on as it comes and is the last part that counts. What comes
//! after it is read to the end of the form and not kept.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use trestle_core::{Error, ErrorKind, Result};

/// Most bytes of all fields before the file.
const FIELDS_BYTES_MAX: usize = 64 << 10;
/// Most fields.
const FIELDS_MAX: usize = 100;
/// Largest head of a part.
const HEAD_BYTES_MAX: usize = 4 << 10;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// The fields of a form: names in lower case, values as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// All fields; the file begins.
    File { fields: Fields, filename: String },
    /// Bytes of the file.
    Data(Bytes),
    /// The file is complete.
    FileEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a boundary's line has ended.
    Boundary,
    Head,
    Field,
    File,
    /// After the file.
    Rest,
}

/// A parser of one form.
#[derive(Debug)]
pub(crate) struct Form {
    /// CR LF, two dashes, and the boundary.
    delimiter: Vec<u8>,
    received: BytesMut,
    state: State,
    name: String,
    fields: Fields,
    fields_bytes: usize,
}

fn malformed(message: &str) -> Error {
    Error::invalid(format!("the form is malformed: {message}"))
}

/// The boundary of a form's content type.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        let sound = name.trim().eq_ignore_ascii_case("boundary")
            && (1..=BOUNDARY_BYTES_MAX).contains(&value.len());
        sound.then(|| value.to_owned())
    })
}

impl Form {
    pub(crate) fn new(boundary: &str) -> Self {
        Form {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // As if a line had ended before the first boundary.
            received: BytesMut::from(&b"\r\n"[..]),
            state: State::Boundary,
            name: String::new(),
            fields: Fields::default(),
            fields_bytes: 0,
        }
    }

    /// Takes in the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self.state {
            State::Rest => {}
            _ => self.received.extend_from_slice(bytes),
        }
    }

    /// What the bytes so far say next; none when more are needed.
    ///
    /// # Errors
    /// `InvalidInput` for a malformed form; `TooLarge` beyond a limit.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        loop {
            let known = self.state != State::File
                && self.received.len() > FIELDS_BYTES_MAX + HEAD_BYTES_MAX;
            match self.state {
                State::Boundary => {
                    let seen = self.received.len().min(self.delimiter.len());
                    if self.received.get(..seen) != self.delimiter.get(..seen) {
                        return Err(malformed("it does not begin with its boundary"));
                    }
                    let after = self.delimiter.len();
                    match self.received.get(after..after + 2) {
                        None => return Ok(None),
                        Some(b"\r\n") => {}
                        Some(_) => return Err(malformed("it has no file")),
                    }
                    self.received.advance(after + 2);
                    self.state = State::Head;
                }
                State::Head => {
                    let window = self.received.len().min(HEAD_BYTES_MAX);
                    let head = self.received.get(..window).unwrap_or_default();
                    let Some(at) = memmem::find(head, b"\r\n\r\n") else {
                        return if window == HEAD_BYTES_MAX {
                            Err(too_large())
                        } else {
                            Ok(None)
                        };
                    };
                    let head = self.received.split_to(at);
                    self.received.advance(4);
                    if let Some(event) = self.head(&head)? {
                        return Ok(Some(event));
                    }
                }
                State::Field => {
                    let Some(at) = memmem::find(&self.received, &self.delimiter) else {
                        return if known { Err(too_large()) } else { Ok(None) };
                    };
                    let value = self.received.split_to(at);
                    self.field(&value)?;
                    self.state = State::Boundary;
                }
                State::File => return Ok(self.file()),
                State::Rest => return Ok(None),
            }
        }
    }

    /// Whether the form was read to the end of its file.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Rest
    }

    fn head(&mut self, head: &[u8]) -> Result<Option<Event>> {
        let head =
            std::str::from_utf8(head).map_err(|_| malformed("a part's head is not UTF-8"))?;
        let disposition = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        });
        let disposition = disposition.ok_or_else(|| malformed("a part has no disposition"))?;
        let name = quoted(disposition, "name").ok_or_else(|| malformed("a part has no name"))?;
        self.name = name.to_ascii_lowercase();
        if self.name == "file" {
            self.state = State::File;
            return Ok(Some(Event::File {
                fields: std::mem::take(&mut self.fields),
                filename: quoted(disposition, "filename").unwrap_or_default(),
            }));
        }
        self.state = State::Field;
        Ok(None)
    }

    fn field(&mut self, value: &[u8]) -> Result<()> {
        let value = std::str::from_utf8(value).map_err(|_| malformed("a field is not UTF-8"))?;
        self.fields_bytes += self.name.len() + value.len();
        if self.fields_bytes > FIELDS_BYTES_MAX || self.fields.0.len() >= FIELDS_MAX {
            return Err(too_large());
        }
        let name = std::mem::take(&mut self.name);
        if self.fields.get(&name).is_some() {
            return Err(malformed("a field comes twice"));
        }
        self.fields.0.push((name, value.to_owned()));
        Ok(())
    }

    fn file(&mut self) -> Option<Event> {
        if let Some(at) = memmem::find(&self.received, &self.delimiter) {
            if at > 0 {
                return Some(Event::Data(self.received.split_to(at).freeze()));
            }
            self.received.clear();
            self.state = State::Rest;
            return Some(Event::FileEnd);
        }
        // What may be the beginning of the delimiter waits.
        let safe = self
            .received
            .len()
            .checked_sub(self.delimiter.len())
            .filter(|safe| *safe > 0)?;
        Some(Event::Data(self.received.split_to(safe).freeze()))
    }
}

fn too_large() -> Error {
    let message = format!("the fields of a form are larger than {FIELDS_BYTES_MAX} bytes");
    Error::new(ErrorKind::TooLarge, message)
}

/// A parameter of a disposition. Browsers escape quotes as `%22` or with a backslash.
fn quoted(disposition: &str, name: &str) -> Option<String> {
    let mut rest = disposition;
    while let Some((before, after)) = rest.split_once('=') {
        let found = before.rsplit([';', ' ']).next().unwrap_or_default();
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(text) => {
                let end = text
                    .match_indices('"')
                    .map(|(at, _)| at)
                    .find(|at| !text.get(..*at).unwrap_or_default().ends_with('\\'))?;
                (text.get(..end)?.replace("\\\"", "\""), text.get(end + 1..)?)
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after.get(..end)?.trim().to_owned(), after.get(end..)?)
            }
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(value.replace("%22", "\""));
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--XX\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\
        \r\n--XX\r\ncontent-disposition: form-data; name=policy\r\nContent-Type: text/plain\r\n\r\n\
        \r\n\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x \\\"y.txt\"\r\n\
        \r\nline\r\n--XY\r\n\r\n--XX\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\n\
        Go\r\n--XX--\r\n";

    fn read(body: &str, step: usize) -> Result<(Fields, String, Vec<u8>, bool)> {
        let mut form = Form::new("XX");
        let (mut fields, mut filename) = (Fields::default(), String::new());
        let (mut data, mut ended) = (Vec::new(), false);
        for piece in body.as_bytes().chunks(step) {
            form.push(piece);
            while let Some(event) = form.next()? {
                match event {
                    Event::File {
                        fields: f,
                        filename: n,
                    } => (fields, filename) = (f, n),
                    Event::Data(bytes) => data.extend_from_slice(&bytes),
                    Event::FileEnd => ended = true,
                }
            }
        }
        assert_eq!(ended, form.is_complete());
        Ok((fields, filename, data, ended))
    }

    #[test]
    fn a_form_is_read_however_it_is_cut() {
        for step in 1..BODY.len() {
            let (fields, filename, data, ended) = read(BODY, step).unwrap();
            assert_eq!(fields.get("key"), Some("a/${filename}"), "{step}");
            assert_eq!(fields.get("policy"), Some("\r\n"));
            assert_eq!(fields.iter().count(), 2);
            assert_eq!(filename, "x \"y.txt");
            assert_eq!(data, b"line\r\n--XY\r\n");
            assert!(ended);
        }
        let cut = &BODY[..BODY.len() - 80];
        assert!(!read(cut, 10).unwrap().3);
    }

    #[test]
    fn what_is_malformed_or_large_is_refused() {
        let large = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{}",
            "x".repeat(80 << 10)
        );
        let head = format!("--XX\r\n{}", "x".repeat(5000));
        let twice = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n".repeat(2);
        for bad in [
            "x--XX\r\n",
            "--XX--\r\n",
            "--XX\r\nX: y\r\n\r\n",
            "--XX\r\nContent-Disposition: form-data\r\n\r\n",
            &large,
            &head,
            &format!("{twice}--XX\r\n"),
        ] {
            assert!(read(bad, 1000).is_err(), "{bad:.60}");
        }
        assert_eq!(
            boundary("multipart/form-data; boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        assert_eq!(
            boundary("Multipart/Form-Data; charset=x; Boundary=ab").as_deref(),
            Some("ab")
        );
        for none in [
            "text/plain; boundary=a",
            "multipart/form-data",
            "multipart/form-data; boundary=",
        ] {
            assert_eq!(boundary(none), None);
        }
    }
}
