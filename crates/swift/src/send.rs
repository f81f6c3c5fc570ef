//! Sending the objects of containers to other clusters: first all that there are, then each change in
//! the order of the change feed.
//!
//! How far a container is, is a setting of the store, written after each batch: what a restart repeats
//! is not sent twice, because the other side is asked first. What the other side refuses is tried again
//! later, up to [`AGAIN_MAX`] objects; beyond, and while it cannot be reached, the container waits.

use crate::call::{Call, Place};
use crate::container::{SYNC_KEY, SYNC_TO};
use crate::facts;
use crate::large::{self, Shape};
use crate::query::Query;
use crate::read::{View, describe};
use crate::realms::{Destination, Signed};
use crate::swift::Swift;
use crate::target::{Target, quote};
use crate::tempurl::Scope;
use crate::who::{Pass, Who};
use crate::{slo, times};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trestle_access::{Action, Resource};
use trestle_core::{
    AccountId, BucketId, Error, ErrorKind, ResolvedRange, Result, Sequence, Timestamp,
};
use trestle_store::{
    Bucket, EventKind, ListBuckets, ListObjects, ListingItem, ReadFeed, VersionRef,
};

/// Objects, or entries of the feed, that one batch takes on.
const BATCH: usize = 100;
/// Batches of one container in one pass.
const BATCHES_MAX: usize = 10;
/// Objects of one container that the other side refused and that are tried again.
const AGAIN_MAX: usize = 1000;
/// Containers that are sent.
const CONTAINERS_MAX: usize = 10_000;
/// How long a container waits after its first failure in a row, twice as long after each further
/// one, and how long at most, in microseconds.
const PAUSE_MICROS: u64 = 2_000_000;
const PAUSE_MICROS_MAX: u64 = 300_000_000;

/// What goes to another cluster.
pub struct Outgoing {
    /// HEAD, PUT or DELETE.
    pub method: &'static str,
    /// `scheme://host`.
    pub server: String,
    /// The path, encoded, and the query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body and its length.
    pub body: Option<(u64, BoxStream<'static, Result<Bytes>>)>,
}

/// How requests get to other clusters.
pub trait Transport: Send + Sync {
    /// Sends a request: the status of the answer and its headers.
    fn send(
        &self,
        request: Outgoing,
    ) -> BoxFuture<'_, std::result::Result<(u16, HeaderMap), String>>;
}

/// Which containers are sent.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Whether that has to be looked up.
    pub(crate) changed: AtomicBool,
    known: Mutex<Vec<Bucket>>,
    /// How often a container failed in a row, and when it is tried again.
    failed: Mutex<BTreeMap<BucketId, (u32, Timestamp)>>,
}

impl Default for Sent {
    fn default() -> Self {
        Sent {
            changed: AtomicBool::new(true),
            known: Mutex::default(),
            failed: Mutex::default(),
        }
    }
}

/// Why an object was not sent.
enum Failed {
    /// The other side does not take it.
    Refused(String),
    /// Nothing gets there now.
    Unreachable(String),
}

/// How far a container is.
#[derive(Clone, Debug, PartialEq)]
struct Position {
    to: String,
    /// While all objects are gone through: the last of them.
    after: Option<String>,
    /// The commit up to which all is known.
    since: Sequence,
    /// What was refused, and since when it is what it is.
    again: BTreeMap<String, u64>,
}

impl Position {
    fn text(&self) -> String {
        json!({"to": self.to, "after": self.after, "since": self.since.0, "again": self.again})
            .to_string()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let again = value.get("again")?.as_object()?.iter();
        Some(Position {
            to: value.get("to")?.as_str()?.to_owned(),
            after: value.get("after")?.as_str().map(str::to_owned),
            since: Sequence(value.get("since")?.as_u64()?),
            again: again
                .map(|(key, time)| Some((key.clone(), time.as_u64()?)))
                .collect::<Option<_>>()?,
        })
    }
}

fn setting(bucket: BucketId) -> String {
    format!("swift-sync:{}", bucket.0)
}

impl Swift {
    /// One pass over all containers that are sent to other clusters. To be called every few seconds,
    /// by one caller.
    ///
    /// # Errors
    /// The store's. What other clusters say is logged.
    pub async fn sync(self: &Arc<Self>, transport: &dyn Transport) -> Result<()> {
        if self.settings.realms.is_empty() {
            return Ok(());
        }
        if self.sent.changed.swap(false, Ordering::Relaxed) {
            match self.find_sent().await {
                Ok(found) => *self.sent.known.lock() = found,
                Err(error) => {
                    self.sent.changed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        let known = self.sent.known.lock().clone();
        for bucket in known {
            let kept = self.sent.failed.lock().get(&bucket.id).copied();
            let (failures, until) = kept.unwrap_or_default();
            if until > self.host.clock.now() {
                continue;
            }
            match self.store.find_bucket_by_id(bucket.id).await {
                Ok(name) if name == bucket.name => {}
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound(_)) => return Err(error),
                // It has gone, or has another name.
                Ok(_) | Err(_) => {
                    self.sent.changed.store(true, Ordering::Relaxed);
                    continue;
                }
            }
            let outcome = self.sync_container(&bucket, transport).await;
            let mut failed = self.sent.failed.lock();
            match outcome {
                Ok(()) => drop(failed.remove(&bucket.id)),
                Err(message) => {
                    let pause = PAUSE_MICROS.saturating_mul(1 << failures.min(16));
                    let until = self.host.clock.now().0 + pause.min(PAUSE_MICROS_MAX);
                    failed.insert(bucket.id, (failures.saturating_add(1), Timestamp(until)));
                    let container = bucket.name.local();
                    tracing::warn!(container, message, "a container is not synchronised");
                }
            }
        }
        Ok(())
    }

    /// Somebody who may read everything of an account.
    fn own_call(self: &Arc<Self>, account: &AccountId, container: &str) -> Call {
        let name = self.prefixes.name(account);
        let mut who = Who::anonymous();
        who.pass = Some(Pass::new(Scope::Account, &name, container));
        Call {
            swift: self.clone(),
            method: "GET".to_owned(),
            target: Target {
                account: name,
                container: Some(container.to_owned()),
                object: None,
                slash: false,
            },
            account: account.clone(),
            query: Query::default(),
            headers: HeaderMap::new(),
            who,
            now: self.host.clock.now(),
            remote: None,
            secure: true,
            request_id: "container-sync".to_owned(),
            origin: String::new(),
            below: String::new(),
            temp_url: None,
            received: None,
        }
    }

    async fn find_sent(self: &Arc<Self>) -> Result<Vec<Bucket>> {
        let root = AccountId::parse("root")?;
        let call = self.own_call(&root, "");
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let grant = call.grant(Action::ListAccounts, Resource::Server).await?;
            let (accounts, next) = self.store.list_accounts(&grant, after.as_deref()).await?;
            for account in accounts {
                let call = self.own_call(&account.id, "");
                let resource = Resource::Account(account.id.clone());
                let mut list = ListBuckets {
                    account: account.id.clone(),
                    prefix: String::new(),
                    after: None,
                    until: None,
                    reverse: false,
                    limit: 1000,
                };
                loop {
                    let grant = call.grant(Action::ListBuckets, resource.clone()).await?;
                    let (buckets, next) = self.store.list_buckets(&grant, &list).await?;
                    let mut sent = buckets.into_iter().map(|(bucket, _)| bucket);
                    found.extend(
                        sent.by_ref()
                            .filter(|bucket| bucket.properties.documents.contains_key(SYNC_TO)),
                    );
                    match next.filter(|_| found.len() < CONTAINERS_MAX) {
                        Some(next) => list.after = Some(next),
                        None => break,
                    }
                }
            }
            match next.filter(|_| found.len() < CONTAINERS_MAX) {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn sync_container(
        self: &Arc<Self>,
        bucket: &Bucket,
        transport: &dyn Transport,
    ) -> std::result::Result<(), String> {
        let documents = &bucket.properties.documents;
        let (Some(to), Some(key)) = (documents.get(SYNC_TO), documents.get(SYNC_KEY)) else {
            return Ok(());
        };
        let destination = self.settings.realms.destination(to)?;
        let call = self.own_call(&bucket.owner.account, bucket.name.local());
        let way = Way {
            call,
            bucket,
            destination,
            key,
            transport,
        };
        let name = setting(bucket.id);
        let kept = self.store.setting(&name).await.map_err(said)?;
        let kept = kept.and_then(|text| Position::parse(&text));
        let mut position = match kept.filter(|kept| kept.to == *to) {
            Some(kept) => kept,
            None => way.beginning(to).await.map_err(said)?,
        };
        let mut outcome = way.again(&mut position).await;
        for _ in 0..BATCHES_MAX {
            let more = match outcome {
                Ok(()) => way.batch(&mut position).await,
                Err(message) => Err(message),
            };
            let text = Bytes::from(position.text());
            self.store
                .set_setting(&name, text, false)
                .await
                .map_err(said)?;
            match more {
                Ok(true) => outcome = Ok(()),
                Ok(false) => return Ok(()),
                Err(message) => return Err(message),
            }
        }
        Ok(())
    }
}

fn said(error: Error) -> String {
    error.to_string()
}

/// The way of one container.
struct Way<'a> {
    call: Call,
    bucket: &'a Bucket,
    destination: Destination,
    key: &'a str,
    transport: &'a dyn Transport,
}

impl Way<'_> {
    async fn beginning(&self, to: &str) -> Result<Position> {
        Ok(Position {
            to: to.to_owned(),
            after: Some(String::new()),
            since: self.call.swift.store.newest_sequence().await?,
            again: BTreeMap::new(),
        })
    }

    /// Tries again what was refused.
    async fn again(&self, position: &mut Position) -> std::result::Result<(), String> {
        for (key, time) in position.again.clone() {
            match self.object(&key, Some(Timestamp(time))).await {
                Ok(()) => drop(position.again.remove(&key)),
                Err(Failed::Refused(_)) => {}
                Err(Failed::Unreachable(message)) => return Err(message),
            }
        }
        Ok(())
    }

    /// Sends an object, and remembers it when it is refused.
    async fn one(
        &self,
        position: &mut Position,
        key: &str,
        time: Option<Timestamp>,
    ) -> std::result::Result<(), String> {
        position.again.remove(key);
        match self.object(key, time).await {
            Ok(()) => Ok(()),
            Err(Failed::Refused(message)) if position.again.len() < AGAIN_MAX => {
                tracing::info!(key, message, "an object is not taken by another cluster");
                let time = time.unwrap_or(self.call.now);
                position.again.insert(key.to_owned(), time.0);
                Ok(())
            }
            Err(Failed::Refused(message) | Failed::Unreachable(message)) => Err(message),
        }
    }

    /// The next batch; whether there is more.
    async fn batch(&self, position: &mut Position) -> std::result::Result<bool, String> {
        let name = self
            .call
            .bucket_name(&self.call.account, self.bucket.name.local());
        let name = name.map_err(|fault| fault.body())?;
        let store = &self.call.swift.store;
        let grant = self.call.on_bucket(Action::ListObjects, &name).await;
        let grant = grant.map_err(said)?;
        if let Some(after) = position.after.clone() {
            let list = ListObjects {
                bucket: name,
                prefix: String::new(),
                delimiter: None,
                after: Some(after).filter(|after| !after.is_empty()),
                until: None,
                reverse: false,
                limit: BATCH,
            };
            let page = store.list(&grant, &list).await.map_err(said)?;
            for item in page.items {
                if let ListingItem::Object(object) = item {
                    let key = object.key.as_str();
                    self.one(position, key, None).await?;
                    position.after = Some(key.to_owned());
                }
            }
            position.after = page.next;
            return Ok(true);
        }
        let feed = ReadFeed {
            bucket: name,
            after: position.since,
            limit: BATCH,
        };
        let page = match store.read_feed(&grant, &feed).await {
            Err(error) if error.kind() == ErrorKind::NoLongerKept => {
                tracing::warn!("changes were forgotten before they were sent: all is compared");
                *position = self.beginning(&position.to).await.map_err(said)?;
                return Ok(true);
            }
            page => page.map_err(said)?,
        };
        let mut changed: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut whole = false;
        for entry in page.entries {
            for event in entry.events {
                whole |= matches!(event.kind, EventKind::TreeRemoved | EventKind::TreeWritten);
                if let Some(key) = event.key {
                    changed.insert(key.as_str().to_owned(), entry.time);
                }
            }
        }
        if whole {
            *position = self.beginning(&position.to).await.map_err(said)?;
            return Ok(true);
        }
        for (key, time) in changed {
            self.one(position, &key, Some(time)).await?;
        }
        position.since = page.last;
        Ok(page.more)
    }

    /// Sends what a key holds; when it holds nothing since `gone`, that.
    async fn object(&self, key: &str, gone: Option<Timestamp>) -> std::result::Result<(), Failed> {
        let place = Place {
            account: self.call.account.clone(),
            container: self.bucket.name.local().to_owned(),
            object: key.to_owned(),
        };
        let found = match self.call.look(&place, VersionRef::Current).await {
            Ok(found) => found,
            Err(fault) if fault.status() == 404 => {
                let Some(gone) = gone else {
                    return Ok(());
                };
                let (status, _) = self.send("DELETE", key, gone, Content::default()).await?;
                return match status {
                    204 | 404 | 409 => Ok(()),
                    status => Err(failed("DELETE", status)),
                };
            }
            Err(fault) => return Err(Failed::Refused(fault.body())),
        };
        let time = facts::timestamp(&found.object);
        let (status, headers) = self.send("HEAD", key, time, Content::default()).await?;
        let there = headers
            .get("x-timestamp")
            .and_then(|value| value.to_str().ok());
        let there = there.and_then(times::parse_x_timestamp);
        match status {
            200 if there.is_some_and(|there| there >= time) => return Ok(()),
            200 | 404 => {}
            status => return Err(failed("HEAD", status)),
        }
        let mut content = Content::default();
        let large = found.object.has_segments();
        let length = found.object.stored_length();
        let unreadable = |fault: crate::fault::Fault| Failed::Refused(fault.body());
        let (length, body) = if large {
            content.query = "?multipart-manifest=put";
            let segments = large::segments(&self.call, &found)
                .await
                .map_err(unreadable)?;
            let text = Bytes::from(slo::to_json(&segments, true));
            (text.len() as u64, stream::iter([Ok(text)]).boxed())
        } else {
            let whole = ResolvedRange {
                start: 0,
                end: length,
            };
            let body = large::open(&self.call, &found, &Shape::Plain, whole).await;
            (length, body.map_err(unreadable)?)
        };
        content.body = Some((length, body));
        content.headers = headers_of(&self.call, found, length);
        let (status, _) = self.send("PUT", key, time, content).await?;
        match status {
            200..=299 => Ok(()),
            status => Err(failed("PUT", status)),
        }
    }

    async fn send(
        &self,
        method: &'static str,
        key: &str,
        time: Timestamp,
        content: Content,
    ) -> std::result::Result<(u16, HeaderMap), Failed> {
        let path = format!("{}/{}", self.destination.path, quote(key));
        let timestamp = times::x_timestamp(time);
        let nonce = self.call.swift.host.id().to_string();
        let signed = Signed {
            method,
            path: &path,
            timestamp: &timestamp,
            nonce: &nonce,
        };
        let mut headers = content.headers;
        let authorization = self.destination.authorization(&signed, self.key);
        crate::call::set(&mut headers, "x-timestamp", &timestamp);
        crate::call::set(&mut headers, "x-container-sync-auth", &authorization);
        let request = Outgoing {
            method,
            server: self.destination.server.clone(),
            target: format!("{path}{}", content.query),
            headers,
            body: content.body,
        };
        let answered = self.transport.send(request).await;
        answered.map_err(Failed::Unreachable)
    }
}

/// What a request has beside its name.
#[derive(Default)]
struct Content {
    query: &'static str,
    headers: HeaderMap,
    body: Option<(u64, BoxStream<'static, Result<Bytes>>)>,
}

/// The headers that make an object what it is.
fn headers_of(call: &Call, found: crate::symlink::Found, length: u64) -> HeaderMap {
    let object = &found.object;
    let large = object.has_segments();
    let tag = facts::hash(object);
    let checked = !large && !facts::of_parts(object);
    let view = View {
        shape: Shape::Plain,
        length,
        etag: tag.clone(),
        quoted: false,
        content_type: facts::content_type(object).to_owned(),
        instead: None,
        found,
    };
    let mut headers = HeaderMap::new();
    describe(call, &view, &mut headers);
    for name in [
        "etag",
        "last-modified",
        "accept-ranges",
        "content-location",
        "x-object-version-id",
        "x-static-large-object",
        "x-symlink-target-bytes",
    ] {
        headers.remove(name);
    }
    if checked {
        crate::call::set(&mut headers, "etag", &tag);
    }
    headers
}

/// What a status means for what is to be sent next.
fn failed(method: &str, status: u16) -> Failed {
    let message = format!("{method} is answered with {status}");
    match status {
        400 | 409 | 411..=413 | 416 | 422 => Failed::Refused(message),
        _ => Failed::Unreachable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was() {
        for after in [None, Some("ü\"".to_owned())] {
            let position = Position {
                to: "//r/c/a/b".into(),
                after,
                since: Sequence(7),
                again: [("k".to_owned(), 9)].into(),
            };
            assert_eq!(Position::parse(position.text().as_bytes()), Some(position));
        }
        assert_eq!(Position::parse(b"{}"), None);
    }
}
