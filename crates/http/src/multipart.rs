//! Received multipart bodies (RFC 2046 §5.1), part by part and without holding any of them whole:
//! form uploads (RFC 7578) and multipart/mixed.
//!
//! What is held is one piece of the transfer and one part's head. A delimiter counts only as a whole
//! line; a body that ends before its last delimiter is `IncompleteBody`.

use crate::parameters::{Parameterized, is_token};
use crate::receive::read_whole;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use memchr::memmem;
use trestle_core::{Error, ErrorKind, Result};

/// Most bytes before the first delimiter.
const PREAMBLE_BYTES_MAX: usize = 64 << 10;
/// Largest head of a part.
pub const PART_HEAD_BYTES_MAX: usize = 16 << 10;
/// Most header lines of a part.
const PART_HEADERS_MAX: usize = 32;
/// Most parts.
pub const PARTS_MAX: usize = 1000;
/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// In a part's content.
    Content,
    /// Behind a delimiter.
    Delimited,
    /// Behind the last delimiter.
    End,
}

/// A multipart body that is being received.
#[derive(Debug)]
pub struct Multipart<S> {
    body: S,
    buffer: BytesMut,
    delimiter: Vec<u8>,
    state: State,
    parts: usize,
}

/// What a part of a form says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormPart {
    /// The field's name.
    pub name: String,
    /// The file's name, when it is a file.
    pub filename: Option<String>,
    /// The Content-Type header.
    pub content_type: Option<String>,
    /// The Content-Encoding header.
    pub content_encoding: Option<String>,
}

impl FormPart {
    /// Reads a part's head.
    ///
    /// # Errors
    /// `InvalidInput` when it does not say which field it is.
    pub fn parse(headers: &HeaderMap) -> Result<Self> {
        let malformed = || Error::invalid("a part of the form does not name its field");
        let text = |name| {
            let value: Option<&HeaderValue> = headers.get(name);
            value.and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
        };
        let disposition = text(CONTENT_DISPOSITION).ok_or_else(malformed)?;
        let disposition = Parameterized::parse(disposition)?;
        if !disposition.value.eq_ignore_ascii_case("form-data") {
            return Err(malformed());
        }
        let name = disposition.parameter("name").ok_or_else(malformed)?;
        Ok(FormPart {
            name: name.to_owned(),
            filename: disposition.parameter("filename").map(str::to_owned),
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            content_encoding: text(CONTENT_ENCODING).map(str::to_owned),
        })
    }
}

impl<S> Multipart<S>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    /// A body with this Content-Type, which must be `multipart/` and `subtype`.
    ///
    /// # Errors
    /// `InvalidInput` for another type, or without a sound boundary.
    pub fn new(content_type: &str, subtype: &str, body: S) -> Result<Self> {
        let parsed = Parameterized::parse(content_type)?;
        let wanted = format!("multipart/{subtype}");
        if !parsed.value.eq_ignore_ascii_case(&wanted) {
            return Err(Error::invalid(format!("the body's type is not {wanted}")));
        }
        let boundary = parsed.parameter("boundary").unwrap_or_default();
        let sound = |byte: u8| is_token(byte) || b"'()+_,-./:=? ".contains(&byte);
        if boundary.is_empty()
            || boundary.len() > BOUNDARY_BYTES_MAX
            || boundary.ends_with(' ')
            || !boundary.bytes().all(sound)
        {
            return Err(Error::invalid("the multipart type has no sound boundary"));
        }
        Ok(Multipart {
            body,
            // The first delimiter need not follow a line end.
            buffer: BytesMut::from(&b"\r\n"[..]),
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            state: State::Preamble,
            parts: 0,
        })
    }

    /// The head of the next part; what is left of the present one is skipped.
    ///
    /// # Errors
    /// `InvalidInput` for a malformed body, `IncompleteBody` when it ends early, or its error.
    pub async fn next_part(&mut self) -> Result<Option<HeaderMap>> {
        if self.state == State::Preamble {
            self.skip_preamble().await?;
        }
        while self.state == State::Content {
            self.next_piece().await?;
        }
        if self.state == State::End {
            return Ok(None);
        }
        // Blanks may stand behind a delimiter (RFC 2046 §5.1.1).
        loop {
            match self.buffer.first() {
                Some(b' ' | b'\t') => drop(self.buffer.split_to(1)),
                _ if self.buffer.len() < 2 => self.fill().await?,
                _ => break,
            }
        }
        if self.buffer.starts_with(b"--") {
            self.state = State::End;
            return Ok(None);
        }
        if !self.buffer.starts_with(b"\r\n") {
            return Err(Error::invalid("a multipart delimiter is not a whole line"));
        }
        self.parts += 1;
        if self.parts > PARTS_MAX {
            let message = format!("the body has more than {PARTS_MAX} parts");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let head = self.part_head().await?;
        self.state = State::Content;
        Ok(Some(head))
    }

    /// The next piece of the present part's content; none at its end.
    ///
    /// # Errors
    /// As [`Multipart::next_part`].
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        if self.state != State::Content {
            return Ok(None);
        }
        loop {
            match memmem::find(&self.buffer, &self.delimiter) {
                Some(0) => {
                    drop(self.buffer.split_to(self.delimiter.len()));
                    self.state = State::Delimited;
                    return Ok(None);
                }
                Some(at) => return Ok(Some(self.buffer.split_to(at).freeze())),
                None => {}
            }
            // The delimiter may have begun.
            let sure = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.fill().await?;
        }
    }

    /// The pieces of the present part's content as a stream.
    pub fn pieces(&mut self) -> impl Stream<Item = Result<Bytes>> + Send + Unpin + '_ {
        let pieces = futures::stream::unfold(Some(self), |reader| async move {
            let reader = reader?;
            match reader.next_piece().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Box::pin(pieces)
    }

    /// The present part's content, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// As [`Multipart::next_part`], and `TooLarge`.
    pub async fn read_part(&mut self, bytes_max: usize) -> Result<Bytes> {
        read_whole(self.pieces(), bytes_max).await
    }

    /// The fields of a form up to the first part that `is_file` says is a file, whose content then
    /// is the present part's. Names and values together are at most `bytes_max` bytes.
    ///
    /// # Errors
    /// As [`Multipart::next_part`]; `TooLarge`; `InvalidInput` for a value that is not UTF-8.
    pub async fn form_fields(
        &mut self,
        is_file: impl Fn(&FormPart) -> bool,
        bytes_max: usize,
    ) -> Result<(Vec<(FormPart, String)>, Option<FormPart>)> {
        let mut fields = Vec::new();
        let mut left = bytes_max;
        while let Some(head) = self.next_part().await? {
            let part = FormPart::parse(&head)?;
            if is_file(&part) {
                return Ok((fields, Some(part)));
            }
            let value = self.read_part(left.saturating_sub(part.name.len())).await?;
            left = left.saturating_sub(part.name.len() + value.len());
            let value = String::from_utf8(value.into())
                .map_err(|_| Error::invalid("a field of the form is not UTF-8"))?;
            fields.push((part, value));
        }
        Ok((fields, None))
    }

    async fn skip_preamble(&mut self) -> Result<()> {
        let mut skipped = 0;
        loop {
            if let Some(at) = memmem::find(&self.buffer, &self.delimiter) {
                drop(self.buffer.split_to(at + self.delimiter.len()));
                self.state = State::Delimited;
                return Ok(());
            }
            let sure = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            skipped += sure;
            if skipped > PREAMBLE_BYTES_MAX {
                return Err(Error::invalid("the body does not begin with its boundary"));
            }
            drop(self.buffer.split_to(sure));
            self.fill().await?;
        }
    }

    /// Reads a part's header lines; the buffer begins with the line end behind the delimiter.
    async fn part_head(&mut self) -> Result<HeaderMap> {
        let end = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > PART_HEAD_BYTES_MAX {
                return Err(Error::invalid("the head of a part is too large"));
            }
            self.fill().await?;
        };
        if end > PART_HEAD_BYTES_MAX {
            return Err(Error::invalid("the head of a part is too large"));
        }
        let head = self.buffer.split_to(end + 4);
        let head = head.get(2..end).unwrap_or_default();
        let mut headers = HeaderMap::new();
        let malformed = || Error::invalid("a part has a malformed header");
        for line in head.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.ok_or_else(malformed)?);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let name = HeaderName::from_bytes(name).map_err(|_| malformed())?;
            let value = HeaderValue::from_bytes(value).map_err(|_| malformed())?;
            if headers.len() >= PART_HEADERS_MAX {
                return Err(Error::invalid("a part has too many headers"));
            }
            headers.append(name, value);
        }
        Ok(headers)
    }

    async fn fill(&mut self) -> Result<()> {
        match self.body.next().await.transpose()? {
            Some(piece) if self.buffer.is_empty() => self.buffer = BytesMut::from(piece),
            Some(piece) => self.buffer.extend_from_slice(&piece),
            None => {
                let message = "the body ends before its last boundary";
                return Err(Error::new(ErrorKind::IncompleteBody, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=xX";

    fn form(
        text: &str,
        step: usize,
    ) -> Multipart<impl Stream<Item = Result<Bytes>> + Send + Unpin> {
        let pieces: Vec<Result<Bytes>> = text
            .as_bytes()
            .chunks(step)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Multipart::new(FORM, "form-data", futures::stream::iter(pieces)).unwrap()
    }

    const BODY: &str = "--xX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nv\r\n--x\r\n\
        --xX \r\ncontent-disposition: form-data; name=\"é\"\r\n\r\n\r\n--xX\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".txt\"\r\n\
        Content-Type: text/plain\r\n\r\nhello\r\n--xXworld\r\n--xX--\r\nepilogue";

    #[tokio::test]
    async fn fields_come_first_and_the_file_is_streamed() {
        let body = BODY.replace("--xXworld", "-- xXworld");
        for step in [1, 2, 3, 7, 1000] {
            let mut form = form(&body, step);
            let is_file = |part: &FormPart| part.filename.is_some();
            let (fields, file) = form.form_fields(is_file, 100).await.unwrap();
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(part, value)| (part.name.as_str(), value.as_str()))
                .collect();
            assert_eq!(fields, [("key", "v\r\n--x"), ("é", "")]);
            let file = file.unwrap();
            assert_eq!(file.filename.as_deref(), Some("a \"b\".txt"));
            assert_eq!(file.content_type.as_deref(), Some("text/plain"));
            assert_eq!(form.read_part(100).await.unwrap(), "hello\r\n-- xXworld");
            assert_eq!(form.next_part().await.unwrap(), None);
            assert_eq!(form.next_part().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn malformed_and_short_bodies_are_refused() {
        async fn read(text: &str) -> Result<usize> {
            let mut form = form(text, 5);
            let mut parts = 0;
            while form.next_part().await?.is_some() {
                parts += 1;
            }
            Ok(parts)
        }
        assert_eq!(
            read("preamble\r\n--xX\r\n\r\na\r\n--xX--").await.unwrap(),
            1
        );
        assert!(read(BODY).await.is_err(), "a boundary that goes on");
        for short in ["", "--xX", "--xX\r\n\r\na", "--xX\r\n\r\na\r\n--xX\r\n"] {
            let error = read(short).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IncompleteBody, "{short:?}");
        }
        let large = "a".repeat(PREAMBLE_BYTES_MAX + 10);
        assert!(read(&large).await.is_err());
        assert!(read(&format!("--xX\r\nA: {large}\r\n\r\n")).await.is_err());
        let many = "--xX\r\n\r\n\r\n".repeat(PARTS_MAX + 1);
        assert!(read(&many).await.is_err());
        assert!(read("--xX\r\nno colon\r\n\r\n\r\n--xX--").await.is_err());
        let limited = form(BODY, 9).form_fields(|_| false, 4).await;
        assert_eq!(limited.unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn a_boundary_is_needed() {
        let body = || futures::stream::iter(Vec::<Result<Bytes>>::new());
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        for bad in [
            "multipart/form-data",
            "multipart/mixed; boundary=a",
            "text/plain",
            &long,
        ] {
            assert!(Multipart::new(bad, "form-data", body()).is_err(), "{bad}");
        }
    }
}
