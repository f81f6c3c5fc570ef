//! One server that speaks S3 or Swift, as the comparison with others talks to it: the same requests,
//! signed in the same way, for each of them.
//!
//! Only a server on this machine is talked to.

use crate::Result;
use crate::load::{Found, at_once};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::tree::noise;
use trestle_tests::{Client, Random, Response};

/// Keys of one page.
const S3_PAGE: usize = 1000;
const SWIFT_PAGE: usize = 10_000;
/// Names in one request to delete many.
pub(crate) const SWIFT_BULK: usize = 10_000;
/// The bytes of a part, and how many are written at once.
pub(crate) const PART: usize = 16 << 20;
pub(crate) const PART_WRITERS: u64 = 4;

/// How a request proves who sends it.
#[derive(Clone, Debug)]
enum Credentials {
    /// An access key and its secret: each request is signed, its body is not.
    Keys(String, String),
    /// A token that was asked for once.
    Token(String),
}

/// Where a server is, and who comes.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    address: SocketAddr,
    /// What stands before the name of a bucket.
    root: String,
    credentials: Credentials,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
}

/// How long a load goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Duration),
    Count(u64),
}

/// What each client of a load sends: its verb, its key and the size of the body.
pub(crate) type Next<'a> = &'a (dyn Fn(u64, &mut Random) -> (Verb, String, usize) + Sync);

impl Endpoint {
    /// An S3 server at `http://ADDRESS`.
    pub(crate) fn s3(name: &str, url: &str, key: &str, secret: &str) -> Result<Self> {
        let (address, _) = place(url)?;
        Ok(Endpoint {
            name: name.to_owned(),
            address,
            root: String::new(),
            credentials: Credentials::Keys(key.to_owned(), secret.to_owned()),
        })
    }

    /// A Swift server, by its URL for authentication of version 1.
    pub(crate) fn swift(name: &str, url: &str, user: &str, key: &str) -> Result<Self> {
        let (address, path) = place(url)?;
        let headers = [("x-auth-user", user), ("x-auth-key", key)];
        let answer = Client::anonymous(address).send("GET", &path, &headers, b"")?;
        let (Some(token), Some(storage)) = (
            answer.header("x-auth-token"),
            answer.header("x-storage-url"),
        ) else {
            return Err(format!("{name}: no token: {}", answer.status).into());
        };
        let (address, root) = place(&storage)?;
        Ok(Endpoint {
            name: name.to_owned(),
            address,
            root,
            credentials: Credentials::Token(token),
        })
    }

    /// A connection.
    pub(crate) fn session(&self) -> Session {
        Session {
            client: Client::anonymous(self.address),
            host: self.address.to_string(),
            root: self.root.clone(),
            credentials: self.credentials.clone(),
        }
    }

    /// So many clients at once, each with a connection of its own.
    pub(crate) fn drive(
        &self,
        clients: u64,
        until: Until,
        size_max: usize,
        next: Next<'_>,
    ) -> Result<Found> {
        let body = noise(clients, size_max);
        let (taken, began) = (AtomicU64::new(0), Instant::now());
        let one = |client: u64| -> Result<Vec<f64>> {
            let (mut session, mut random) = (self.session(), Random::new(client));
            let mut latencies = Vec::new();
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Time(limit) => began.elapsed() >= limit,
                    Until::Count(count) => number >= count,
                };
                if over {
                    return Ok(latencies);
                }
                let (verb, key, size) = next(number, &mut random);
                let started = Instant::now();
                match verb {
                    Verb::Get => session.read(&key, size)?,
                    Verb::Put => {
                        session.ask("PUT", &key, &[], body.get(..size).unwrap_or_default())?;
                    }
                }
                latencies.push(started.elapsed().as_secs_f64() * 1e3);
            }
        };
        let parts = at_once(clients, &one)?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Found::of(parts.into_iter().flatten().collect(), seconds))
    }

    /// Uploads an object of so many parts by several writers: the seconds of all, and the
    /// milliseconds of the request that completes it.
    pub(crate) fn multipart(&self, key: &str, parts: u64) -> Result<(f64, f64)> {
        let body = noise(parts, PART);
        let (mut session, began) = (self.session(), Instant::now());
        let begun = session.ask("POST", &format!("{key}?uploads="), &[], b"")?;
        let upload = between(&begun.text(), "<UploadId>", "</UploadId>")
            .ok_or("an upload without an id")?
            .to_owned();
        let id = query(&upload);
        let next = AtomicU64::new(1);
        let write = |_: u64| -> Result<Vec<(u64, String)>> {
            let (mut session, mut tags) = (self.session(), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > parts {
                    return Ok(tags);
                }
                let target = format!("{key}?partNumber={number}&uploadId={id}");
                let answer = session.ask("PUT", &target, &[], &body)?;
                tags.push((number, answer.header("etag").ok_or("a part without ETag")?));
            }
        };
        let mut tags: Vec<_> = at_once(PART_WRITERS, &write)?
            .into_iter()
            .flatten()
            .collect();
        tags.sort();
        let rows: String = tags
            .iter()
            .map(|(number, tag)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
            })
            .collect();
        let document = format!("<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>");
        let completing = Instant::now();
        let target = format!("{key}?uploadId={id}");
        let done = session.ask("POST", &target, &[], document.as_bytes())?;
        if !done.text().contains("CompleteMultipartUploadResult") {
            return Err(format!("not completed: {}", done.text()).into());
        }
        let complete = completing.elapsed().as_secs_f64() * 1e3;
        Ok((began.elapsed().as_secs_f64(), complete))
    }
}

/// One connection with credentials. Targets are below the account, `bucket/key?query`.
pub(crate) struct Session {
    client: Client,
    host: String,
    root: String,
    credentials: Credentials,
}

impl Session {
    /// An answer of success with its body; any other is an error.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        let mut whole = Vec::new();
        let mut sink = |bytes: &[u8]| whole.extend_from_slice(bytes);
        let mut answer = self.exchange((method, target), headers, body, &mut sink)?;
        answer.body = whole;
        match answer.status {
            200..=299 => Ok(answer),
            status => Err(format!("{method} {target}: {status} {}", answer.text()).into()),
        }
    }

    /// Reads an object of a known size and drops its bytes.
    fn read(&mut self, key: &str, size: usize) -> Result<()> {
        let mut length = 0;
        let mut sink = |bytes: &[u8]| length += bytes.len();
        let answer = self.exchange(("GET", key), &[], b"", &mut sink)?;
        match (answer.status, length == size) {
            (200, true) => Ok(()),
            (status, _) => Err(format!("GET {key}: {status}, {length} bytes").into()),
        }
    }

    fn exchange(
        &mut self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Response> {
        let mut wire = Wire {
            method: method.to_owned(),
            target: match target.starts_with('?') {
                true => format!("{}{target}", self.root),
                false => format!("{}/{target}", self.root),
            },
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Vec::new(),
        };
        match &self.credentials {
            Credentials::Keys(key, secret) => {
                let mut signer = Signer::new(key, secret);
                signer.payload = Some("UNSIGNED-PAYLOAD".to_owned());
                wire = signer.sign(&self.host, wire);
            }
            Credentials::Token(token) => {
                wire.headers
                    .push(("x-auth-token".to_owned(), token.clone()));
            }
        }
        let headers: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let client = &mut self.client;
        Ok(client.exchange(method, &wire.target, &headers, body, sink)?)
    }

    /// Lists a bucket page by page; how many keys there were.
    pub(crate) fn list(&mut self, bucket: &str) -> Result<usize> {
        match self.credentials {
            Credentials::Keys(..) => self.list_s3(bucket),
            Credentials::Token(_) => self.list_swift(bucket),
        }
    }

    fn list_s3(&mut self, bucket: &str) -> Result<usize> {
        let (mut found, mut next) = (0, String::new());
        loop {
            let target = format!("{bucket}?list-type=2&max-keys={S3_PAGE}{next}");
            let page = self.ask("GET", &target, &[], b"")?.text();
            found += page.matches("<Key>").count();
            let token = between(&page, "<NextContinuationToken>", "</NextContinuationToken>");
            match token {
                Some(token) => next = format!("&continuation-token={}", query(&plain(token))),
                None => return Ok(found),
            }
        }
    }

    fn list_swift(&mut self, bucket: &str) -> Result<usize> {
        let (mut found, mut marker) = (0, String::new());
        loop {
            let target = format!("{bucket}?limit={SWIFT_PAGE}&marker={}", query(&marker));
            let page = self.ask("GET", &target, &[], b"")?.text();
            let Some(last) = page.lines().last() else {
                return Ok(found);
            };
            found += page.lines().count();
            marker = last.to_owned();
        }
    }

    /// Deletes these names by Swift's request for many.
    pub(crate) fn delete_many(&mut self, names: &[String]) -> Result<()> {
        let headers = [
            ("content-type", "text/plain"),
            ("accept", "application/json"),
        ];
        for some in names.chunks(SWIFT_BULK) {
            let body = some.join("\n");
            let answer = self.ask("POST", "?bulk-delete", &headers, body.as_bytes())?;
            let report: serde_json::Value = serde_json::from_slice(&answer.body)?;
            if report["Number Deleted"].as_u64() != Some(some.len() as u64) {
                return Err(format!("not all were deleted: {}", answer.text()).into());
            }
        }
        Ok(())
    }
}

/// The address and the path of a plain URL.
fn place(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://");
    let rest = rest.ok_or_else(|| format!("{url}: no http:// URL"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.replace("localhost", "127.0.0.1");
    let address: SocketAddr = host
        .parse()
        .map_err(|_| format!("{url}: write it as http://127.0.0.1:PORT"))?;
    if !address.ip().is_loopback() {
        return Err(format!("{url}: only servers on this machine are measured").into());
    }
    Ok((address, path.trim_end_matches('/').to_owned()))
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(value, _)| value)
}

/// XML's references, undone.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

/// A value for a query.
fn query(text: &str) -> String {
    trestle_tests::client::escape(text).replace('/', "%2F")
}
