//! An HTTP/1.1 client that sends exactly what it is told: one keep-alive connection, no library
//! between a test and the bytes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer; a test that waits for one fails instead of hanging.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing; empty when it went to a sink.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the only header of that name; several are joined by `, `.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection, opened when it is needed.
pub struct Client {
    address: SocketAddr,
    authorization: Option<String>,
    connection: Option<BufReader<TcpStream>>,
    /// Whether a request is sent once more when the connection turns out to be closed.
    repeats: bool,
}

impl Client {
    /// A client without credentials.
    pub fn anonymous(address: SocketAddr) -> Self {
        Client {
            address,
            authorization: None,
            connection: None,
            repeats: true,
        }
    }

    /// A client that presents a user and a password.
    pub fn new(address: SocketAddr, user: &str, password: &str) -> Self {
        let pair = format!("{user}:{password}");
        Client {
            authorization: Some(format!("Basic {}", base64(pair.as_bytes()))),
            ..Client::anonymous(address)
        }
    }

    /// The same client, which sends each request once: nobody knows what came of one that was cut
    /// off.
    #[must_use]
    pub fn without_repeating(self) -> Self {
        Client {
            repeats: false,
            ..self
        }
    }

    /// Sends a request with a body of known length and returns the answer.
    ///
    /// # Errors
    /// Of the connection. A connection that the server closed between two requests is opened again.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut whole = Vec::new();
        let mut response = self.exchange(method, target, headers, body, &mut |bytes| {
            whole.extend_from_slice(bytes);
        })?;
        response.body = whole;
        Ok(response)
    }

    /// Like [`Client::send`], but hands the answer's body to a sink, piece by piece.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn exchange(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Response> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(value) = &self.authorization {
            head.push_str(&format!("authorization: {value}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "PUT" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let reused = self.connection.is_some() && self.repeats;
        match self.attempt(method, head.as_bytes(), body, sink) {
            Err(error) if reused && is_gone(&error) => {
                self.connection = None;
                self.attempt(method, head.as_bytes(), body, sink)
            }
            outcome => outcome,
        }
    }

    fn attempt(
        &mut self,
        method: &str,
        head: &[u8],
        body: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        let stream = connection.get_mut();
        if body.len() <= 128 << 10 {
            stream.write_all(&[head, body].concat())?;
        } else {
            stream.write_all(head)?;
            // A refusal may arrive, and the connection close, before the body is through.
            if let Err(error) = stream.write_all(body) {
                if is_gone(&error) {
                    return read_response(&mut connection, method, sink).map_err(|_| error);
                }
                return Err(error);
            }
        }
        let response = read_response(&mut connection, method, sink)?;
        let closes = response.header("connection").as_deref() == Some("close");
        if !closes {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(BufReader::with_capacity(256 << 10, stream))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

/// Sends raw bytes on a connection of their own and returns every answer until the server closes
/// it or says nothing more for a second. Bytes that are no answer are an error.
///
/// # Errors
/// Of the connection, or of an answer that is not HTTP.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> io::Result<(Vec<Response>, Closed)> {
    let mut connection = connect(address)?;
    // The server may answer and close before it has read everything.
    let _sent = connection.get_mut().write_all(bytes);
    connection
        .get_mut()
        .set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut responses = Vec::new();
    loop {
        match connection.fill_buf() {
            Ok([]) => return Ok((responses, Closed(true))),
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Ok((responses, Closed(true))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok((responses, Closed(false)));
            }
            Err(error) => return Err(error),
        }
        let mut body = Vec::new();
        let mut response = read_response(&mut connection, "GET", &mut |bytes| {
            body.extend_from_slice(bytes);
        })?;
        response.body = body;
        responses.push(response);
    }
}

/// Whether the server closed the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed(pub bool);

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.into())
}

fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    connection.take(64 << 10).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8(line).map_err(|_| invalid("a header line is not UTF-8"))?;
    text.strip_suffix("\r\n")
        .map(str::to_owned)
        .ok_or_else(|| invalid(format!("a line does not end in CRLF: {text:?}")))
}

/// Reads one answer; 1xx answers before it are dropped.
fn read_response(
    connection: &mut impl BufRead,
    method: &str,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<Response> {
    let response = loop {
        let response = read_head(connection)?;
        if response.status >= 200 {
            break response;
        }
    };
    if method == "HEAD" || matches!(response.status, 204 | 304) {
        return Ok(response);
    }
    if response.header("transfer-encoding").as_deref() == Some("chunked") {
        read_chunked(connection, sink)?;
    } else if let Some(length) = response.header("content-length") {
        let length: u64 = length.parse().map_err(|_| invalid("Content-Length"))?;
        copy(connection, Some(length), sink)?;
    } else {
        copy(connection, None, sink)?;
    }
    Ok(response)
}

fn read_head(connection: &mut impl BufRead) -> io::Result<Response> {
    let status = line(connection)?;
    let code = status
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid(format!("not a status line: {status:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(connection)?;
        if line.is_empty() {
            return Ok(Response {
                status: code,
                headers,
                body: Vec::new(),
            });
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid(format!("not a header line: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_chunked(connection: &mut impl BufRead, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    loop {
        let size = line(connection)?;
        let size = u64::from_str_radix(&size, 16).map_err(|_| invalid("a chunk's size"))?;
        if size == 0 {
            while !line(connection)?.is_empty() {}
            return Ok(());
        }
        copy(connection, Some(size), sink)?;
        line(connection)?;
    }
}

/// Hands `length` bytes to the sink, or all until the connection closes.
fn copy(
    connection: &mut impl BufRead,
    length: Option<u64>,
    sink: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let mut left = length.unwrap_or(u64::MAX);
    while left > 0 {
        let bytes = connection.fill_buf()?;
        if bytes.is_empty() {
            return match length {
                None => Ok(()),
                Some(_) => Err(ErrorKind::UnexpectedEof.into()),
            };
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        sink(&bytes[..count]);
        connection.consume(count);
        left -= count as u64;
    }
    Ok(())
}

/// Escapes what cannot stand in a path or a query as it is; `/` stays.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=group.len()].copy_from_slice(group);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            let padding = place > group.len();
            text.push(if padding {
                '='
            } else {
                char::from(DIGITS[digit as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe, 0]), "+//+AA==");
    }

    #[test]
    fn an_answer_is_read_to_its_end_and_no_further() {
        let mut bytes: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
        let mut body = Vec::new();
        let mut sink = |piece: &[u8]| body.extend_from_slice(piece);
        assert_eq!(
            read_response(&mut bytes, "GET", &mut sink).unwrap().status,
            200
        );
        assert_eq!(
            read_response(&mut bytes, "GET", &mut sink).unwrap().status,
            204
        );
        assert_eq!(body, b"abc");
        assert!(bytes.is_empty());
    }
}
