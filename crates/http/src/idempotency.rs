//! Idempotency keys: the same POST sent twice is done once, and answered twice alike.
//!
//! A key belongs to the path and the credentials it came with. The same key with another body is
//! refused (422), and so is one whose first request has not been answered yet (409). Answers that say
//! the server failed are forgotten, so that the request may be tried again.

use crate::body::Body;
use crate::problem::Problem;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use trestle_core::{Error, Result};
use trestle_host::Host;

/// The header that carries the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key.
const KEY_BYTES_MAX: usize = 255;
/// Most bytes of answers that a ledger in memory keeps.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// An answer that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Kept {
    /// What can be kept of an answer: one whose body is at hand.
    fn of(response: &Response<Body>) -> Option<Self> {
        match response.body() {
            Body::Full(body) if !response.status().is_server_error() => Some(Kept {
                status: response.status(),
                headers: response.headers().clone(),
                body: body.clone(),
            }),
            _ => None,
        }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// What a ledger says of a key.
#[derive(Clone, Debug)]
pub enum Claim {
    /// It is new, and now claimed for this request.
    New,
    /// Its first request is not answered yet.
    Pending,
    /// Another request has it.
    Other,
    /// It was answered so.
    Answered(Kept),
}

/// Where keys and their answers are kept. A claim is decided at once, whoever else asks.
pub trait Ledger: Send + Sync {
    /// Claims a key for the request with this fingerprint.
    fn claim(&self, key: &str, fingerprint: [u8; 32]) -> BoxFuture<'_, Result<Claim>>;
    /// Keeps the answer to a claimed key; without one the claim is given up.
    fn settle(&self, key: &str, answer: Option<Kept>) -> BoxFuture<'_, Result<()>>;
}

/// The claim of one request.
pub(crate) struct Claimed {
    key: String,
}

/// The names of a key's owner and of its request; none when the request has no key.
fn names(path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Option<(String, [u8; 32])>> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let unquoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = unquoted.unwrap_or(text);
    if key.is_empty() || key.len() > KEY_BYTES_MAX || values.next().is_some() {
        return Err(Error::invalid(
            "Idempotency-Key is one key of 1 to 255 characters",
        ));
    }
    // Credentials are only ever kept as a digest.
    let mut owner = Sha256::new().chain_update(path).chain_update([0]);
    for credential in headers.get_all(AUTHORIZATION) {
        owner.update(credential.as_bytes());
        owner.update([0]);
    }
    let owner: String = owner
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Some((
        format!("{owner}/{key}"),
        Sha256::digest(body).into(),
    )))
}

/// What becomes of a request by its key.
pub(crate) enum Way {
    /// It is done; what it claimed is settled with its answer.
    Do(Option<Claimed>),
    /// It was answered before.
    Answer(Response<Body>),
}

/// Claims the key of a request.
pub(crate) async fn claim(
    ledger: &dyn Ledger,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> std::result::Result<Way, Problem> {
    let Some((key, fingerprint)) = names(path, headers, body)? else {
        return Ok(Way::Do(None));
    };
    match ledger.claim(&key, fingerprint).await? {
        Claim::New => Ok(Way::Do(Some(Claimed { key }))),
        Claim::Answered(kept) => Ok(Way::Answer(kept.into_response())),
        Claim::Pending => Err(Problem::new(
            StatusCode::CONFLICT,
            "a request with this Idempotency-Key is in progress",
        )),
        Claim::Other => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this Idempotency-Key was used for another request",
        )),
    }
}

impl Claimed {
    /// Keeps the answer.
    pub(crate) fn settle<'a>(
        &'a self,
        ledger: &'a dyn Ledger,
        response: &Response<Body>,
    ) -> BoxFuture<'a, Result<()>> {
        ledger.settle(&self.key, Kept::of(response))
    }
}

struct Entry {
    fingerprint: [u8; 32],
    at: Duration,
    answer: Option<Kept>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// In the order in which they were claimed.
    order: VecDeque<String>,
    /// Of the bodies of answers.
    bytes: usize,
}

impl Entries {
    fn remove(&mut self, key: &str) {
        let removed = self.by_key.remove(key).and_then(|entry| entry.answer);
        self.bytes -= removed.map_or(0, |kept| kept.body.len());
    }
}

/// A ledger in memory: it knows what this process did.
pub struct MemoryLedger {
    host: Host,
    keys_max: usize,
    keep: Duration,
    entries: Mutex<Entries>,
}

impl std::fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryLedger")
    }
}

impl MemoryLedger {
    /// A ledger of at most so many keys, each kept for so long; the oldest go first.
    pub fn new(host: Host, keys_max: usize, keep: Duration) -> Self {
        MemoryLedger {
            host,
            keys_max,
            keep,
            entries: Mutex::default(),
        }
    }

    fn claim_now(&self, key: &str, fingerprint: [u8; 32]) -> Claim {
        let now = self.host.clock.monotonic();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = entries.order.front() {
            let old = entries
                .by_key
                .get(oldest)
                .is_none_or(|entry| now - entry.at > self.keep);
            let room = entries.by_key.len() < self.keys_max && entries.bytes <= ANSWER_BYTES_MAX;
            if !old && room {
                break;
            }
            let oldest = entries.order.pop_front().unwrap_or_default();
            entries.remove(&oldest);
        }
        if let Some(entry) = entries.by_key.get(key) {
            return match (entry.fingerprint == fingerprint, &entry.answer) {
                (false, _) => Claim::Other,
                (true, None) => Claim::Pending,
                (true, Some(kept)) => Claim::Answered(kept.clone()),
            };
        }
        let entry = Entry {
            fingerprint,
            at: now,
            answer: None,
        };
        entries.by_key.insert(key.to_owned(), entry);
        entries.order.push_back(key.to_owned());
        Claim::New
    }
}

impl Ledger for MemoryLedger {
    fn claim(&self, key: &str, fingerprint: [u8; 32]) -> BoxFuture<'_, Result<Claim>> {
        let claim = self.claim_now(key, fingerprint);
        Box::pin(async move { Ok(claim) })
    }

    fn settle(&self, key: &str, answer: Option<Kept>) -> BoxFuture<'_, Result<()>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = answer.as_ref().map_or(0, |kept| kept.body.len());
        match (answer, entries.by_key.get_mut(key)) {
            (Some(answer), Some(entry)) => {
                entry.answer = Some(answer);
                entries.bytes += bytes;
            }
            (None, Some(_)) => {
                entries.remove(key);
                entries.order.retain(|ordered| ordered != key);
            }
            (_, None) => {}
        }
        drop(entries);
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_of_one_request() {
        let ledger = MemoryLedger::new(Host::real(), 2, Duration::from_secs(60));
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, "\"k\"".parse().unwrap());
        let Ok(Way::Do(Some(claimed))) = claim(&ledger, "/a", &headers, b"1").await else {
            panic!("a new key");
        };
        let status =
            |way: std::result::Result<Way, Problem>| way.err().map(|p| p.status().as_u16());
        assert_eq!(
            status(claim(&ledger, "/a", &headers, b"1").await),
            Some(409)
        );
        let response = Response::new(Body::full("done"));
        claimed.settle(&ledger, &response).await.unwrap();
        let Ok(Way::Answer(again)) = claim(&ledger, "/a", &headers, b"1").await else {
            panic!("the same answer");
        };
        assert_eq!(again.body().remaining(), Some(4));
        assert_eq!(
            status(claim(&ledger, "/a", &headers, b"2").await),
            Some(422)
        );
        // Of others it is another key.
        headers.insert(AUTHORIZATION, "Basic x".parse().unwrap());
        assert!(matches!(
            claim(&ledger, "/a", &headers, b"2").await,
            Ok(Way::Do(Some(_)))
        ));
        assert!(matches!(
            claim(&ledger, "/b", &headers, b"2").await,
            Ok(Way::Do(Some(_)))
        ));
        let entries = ledger.entries.lock().unwrap();
        assert_eq!((entries.by_key.len(), entries.order.len()), (2, 2));
    }

    #[tokio::test]
    async fn a_failure_may_be_tried_again() {
        let ledger = MemoryLedger::new(Host::real(), 10, Duration::from_secs(60));
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, "k".parse().unwrap());
        for _ in 0..2 {
            let Ok(Way::Do(Some(claimed))) = claim(&ledger, "/a", &headers, b"1").await else {
                panic!("a new key");
            };
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            claimed.settle(&ledger, &response).await.unwrap();
        }
        headers.insert(IDEMPOTENCY_KEY, "".parse().unwrap());
        assert!(claim(&ledger, "/a", &headers, b"1").await.is_err());
        assert!(matches!(
            claim(&ledger, "/a", &HeaderMap::new(), b"").await,
            Ok(Way::Do(None))
        ));
    }
}
