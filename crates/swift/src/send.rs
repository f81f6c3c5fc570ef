//! Sending the objects of one container to another cluster: first all that there are, with all
//! deletions that are remembered, then what changed, as the change feed tells it.
//!
//! How far that is, is a [`Position`]: what a restart repeats is not sent twice, because the other side
//! is asked first. What the other side refuses is tried again later, up to [`AGAIN_MAX`] objects;
//! beyond, and while it cannot be reached, the container waits.
//!
//! Invariant: whatever is sent has the time that it has here, which is the time of where it is from, so
//! what comes back to where it was is refused there, and nothing goes round.

use crate::books::{Book, Entry};
use crate::call::{Call, Place};
use crate::facts;
use crate::large::{self, Shape};
use crate::read::{View, describe};
use crate::realms::{Destination, Signed};
use crate::sync::said;
use crate::target::quote;
use crate::tombstone::{self, Tombstone};
use crate::{slo, times};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::{self, BoxStream};
use http::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use trestle_core::{ErrorKind, ResolvedRange, Result, Sequence, Timestamp};
use trestle_store::{Bucket, EventKind, ListObjects, ListingItem, ReadFeed, VersionRef};

/// Objects, or entries of the feed, that one batch takes on.
const BATCH: usize = 100;
/// Objects of one container that are sent at a time.
const SENT_AT_ONCE: usize = 8;
/// Objects of one container that the other side refused and that are tried again, and most bytes of a
/// position that names them.
const AGAIN_MAX: usize = 1000;
const POSITION_BYTES_MAX: usize = 48 << 10;

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

/// Why an object was not sent.
enum Failed {
    /// The other side does not take it.
    Refused(String),
    /// Nothing gets there now.
    Unreachable(String),
}

/// How far a container is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Position {
    /// Where it is sent to; nowhere when this is empty.
    to: String,
    /// While all objects are gone through: the last of them.
    after: Option<String>,
    /// While all deletions are gone through after that: the last of them.
    gone: Option<String>,
    /// The commit up to which all is sent.
    since: Sequence,
    /// The commit up to which all deletions are remembered: nothing later is sent yet.
    pub(crate) noted: Sequence,
    /// What was refused.
    again: BTreeSet<String>,
    /// Keys that were dealt with since it was read; not written down.
    handled: u64,
}

impl Position {
    /// Of a container that is not sent yet.
    pub(crate) fn new(noted: Sequence) -> Self {
        Position {
            to: String::new(),
            after: None,
            gone: None,
            since: noted,
            noted,
            again: BTreeSet::new(),
            handled: 0,
        }
    }

    pub(crate) fn text(&self) -> String {
        let Position {
            to,
            after,
            gone,
            again,
            ..
        } = self;
        let (since, noted) = (self.since.0, self.noted.0);
        json!({
            "to": to, "after": after, "gone": gone, "since": since, "noted": noted, "again": again,
        })
        .to_string()
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let sequence = |name: &str| value.get(name)?.as_u64().map(Sequence);
        let again = value.get("again")?.as_array()?.iter();
        Some(Position {
            to: text("to")?,
            after: text("after"),
            gone: text("gone"),
            since: sequence("since")?,
            noted: sequence("noted")?,
            again: again
                .map(|key| key.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            handled: 0,
        })
    }

    /// The commits up to which all is sent, and all deletions are remembered.
    pub(crate) fn reached(&self) -> (Sequence, Sequence) {
        (self.since, self.noted)
    }

    /// Goes on from where it was, further than it was written down.
    pub(crate) fn resume(&mut self, (since, noted): (Sequence, Sequence)) {
        (self.since, self.noted) = (self.since.max(since), self.noted.max(noted));
    }

    /// Notes that a key was dealt with.
    pub(crate) fn handle(&mut self) {
        self.handled += 1;
    }

    /// Begins with all that there is, when it goes elsewhere from now on.
    pub(crate) fn turn_to(&mut self, to: &str) {
        if self.to != to {
            *self = Position {
                to: to.to_owned(),
                handled: self.handled,
                ..Position::new(self.noted)
            };
            self.begin();
        }
    }

    /// Begins with all that there is.
    fn begin(&mut self) {
        (self.after, self.gone) = (Some(String::new()), Some(String::new()));
        self.since = self.noted;
    }

    /// Whether something is to be tried again.
    pub(crate) fn has_refused(&self) -> bool {
        !self.again.is_empty()
    }

    /// Whether it says more than another one than that nothing happened for some commits.
    pub(crate) fn differs(&self, other: &Position, commits: u64) -> bool {
        let (since, noted) = (other.since, other.noted);
        let same = Position {
            since,
            noted,
            ..self.clone()
        };
        let far = |new: Sequence, old: Sequence| new.0.abs_diff(old.0) >= commits;
        same != *other || far(self.since, since) || far(self.noted, noted)
    }

    /// Notes what became of a key.
    fn settle(
        &mut self,
        key: &str,
        outcome: std::result::Result<(), Failed>,
    ) -> std::result::Result<(), String> {
        self.handle();
        match outcome {
            Ok(()) => {
                self.again.remove(key);
                Ok(())
            }
            Err(Failed::Refused(message)) if self.remember(key) => {
                tracing::info!(key, message, "an object is not taken by another cluster");
                Ok(())
            }
            Err(Failed::Refused(message) | Failed::Unreachable(message)) => Err(message),
        }
    }

    /// Remembers to try a key again; not when there are too many.
    fn remember(&mut self, key: &str) -> bool {
        if !self.again.insert(key.to_owned()) {
            return true;
        }
        let fits = self.again.len() <= AGAIN_MAX && self.text().len() <= POSITION_BYTES_MAX;
        if !fits {
            self.again.remove(key);
        }
        fits
    }
}

/// The way of one container.
pub(crate) struct Way<'a> {
    pub(crate) call: &'a Call,
    pub(crate) bucket: &'a Bucket,
    pub(crate) destination: Destination,
    pub(crate) key: &'a str,
    pub(crate) transport: &'a dyn Transport,
}

impl Way<'_> {
    /// Tries again what was refused.
    pub(crate) async fn again(&self, position: &mut Position) -> std::result::Result<(), String> {
        let keys: Vec<String> = position.again.iter().cloned().collect();
        for some in keys.chunks(SENT_AT_ONCE) {
            let outcomes = join_all(some.iter().map(|key| self.object(key))).await;
            for (key, outcome) in some.iter().zip(outcomes) {
                match outcome {
                    Ok(()) => drop(position.again.remove(key)),
                    Err(Failed::Refused(_)) => {}
                    Err(Failed::Unreachable(message)) => return Err(message),
                }
            }
        }
        Ok(())
    }

    /// Sends objects, some at a time, and remembers those that are refused. `done` is told of each that
    /// is dealt with, in order, by its place among them.
    async fn each(
        &self,
        position: &mut Position,
        keys: &[String],
        done: impl Fn(&mut Position, usize),
    ) -> std::result::Result<(), String> {
        let mut place = 0;
        for some in keys.chunks(SENT_AT_ONCE) {
            let outcomes = join_all(some.iter().map(|key| self.object(key))).await;
            for (key, outcome) in some.iter().zip(outcomes) {
                position.settle(key, outcome)?;
                done(position, place);
                place += 1;
            }
        }
        Ok(())
    }

    /// The next batch; whether there is more.
    pub(crate) async fn batch(&self, position: &mut Position) -> std::result::Result<bool, String> {
        if let Some(after) = position.after.clone() {
            return self.all(position, after).await;
        }
        if let Some(after) = position.gone.clone() {
            return self.all_deletions(position, after).await;
        }
        let grant = self.call.on_container(self.bucket).await.map_err(said)?;
        let feed = ReadFeed {
            bucket: self.call.bucket_by(self.bucket),
            after: position.since,
            limit: BATCH,
        };
        let page = match self.call.swift.store.read_feed(&grant, &feed).await {
            Err(error) if error.kind() == ErrorKind::NoLongerKept => {
                tracing::warn!("changes were forgotten before they were sent: all is compared");
                position.begin();
                return Ok(true);
            }
            page => page.map_err(said)?,
        };
        // What is deleted later is not remembered yet.
        let noted = position.noted;
        let entries = page.entries.into_iter();
        let events = entries
            .take_while(|entry| entry.sequence <= noted)
            .flat_map(|entry| entry.events);
        let mut changed = BTreeSet::new();
        for event in events {
            if event.kind == EventKind::TreeWritten {
                position.begin();
                return Ok(true);
            }
            let tree = event.kind == EventKind::TreeRemoved;
            changed.extend(
                event
                    .key
                    .filter(|_| !tree)
                    .map(|key| key.as_str().to_owned()),
            );
        }
        let changed: Vec<String> = changed.into_iter().collect();
        self.each(position, &changed, |_, _| {}).await?;
        position.since = page.last.min(noted);
        Ok(page.more && page.last < noted)
    }

    /// A batch of all objects.
    async fn all(
        &self,
        position: &mut Position,
        after: String,
    ) -> std::result::Result<bool, String> {
        let list = ListObjects {
            bucket: self.call.bucket_by(self.bucket),
            prefix: String::new(),
            delimiter: None,
            after: Some(after).filter(|after| !after.is_empty()),
            until: None,
            reverse: false,
            limit: BATCH,
        };
        let grant = self.call.on_container(self.bucket).await.map_err(said)?;
        let page = self.call.swift.store.list(&grant, &list).await;
        let page = page.map_err(said)?;
        let key = |item| match item {
            ListingItem::Object(object) => Some(object.key.as_str().to_owned()),
            ListingItem::Prefix(_) => None,
        };
        let keys: Vec<String> = page.items.into_iter().filter_map(key).collect();
        self.each(position, &keys, |position, place| {
            position.after = keys.get(place).cloned();
        })
        .await?;
        position.after = page.next;
        Ok(true)
    }

    /// A batch of all deletions that are remembered.
    async fn all_deletions(
        &self,
        position: &mut Position,
        after: String,
    ) -> std::result::Result<bool, String> {
        let swift = &self.call.swift;
        let after = Some(after).filter(|after| !after.is_empty());
        let prefix = tombstone::prefix(self.bucket.id);
        let page = swift.entries(Book::Deleted, &prefix, after).await;
        let (entries, next) = page.map_err(said)?;
        let stone = |(name, entry): (String, Entry)| {
            let stone = Tombstone::parse(&entry.text)?;
            Some((name, stone.key))
        };
        let (names, keys): (Vec<_>, Vec<_>) = entries.into_iter().filter_map(stone).unzip();
        self.each(position, &keys, |position, place| {
            position.gone = names.get(place).cloned();
        })
        .await?;
        position.gone = next;
        Ok(true)
    }

    /// Sends what a key holds; when it holds nothing, since when, if that is remembered.
    async fn object(&self, key: &str) -> std::result::Result<(), Failed> {
        let place = Place {
            account: self.call.account.clone(),
            container: self.bucket.name.local().to_owned(),
            object: key.to_owned(),
        };
        let found = match self.call.look(&place, VersionRef::Current).await {
            Ok(found) => found,
            Err(fault) if fault.status() == 404 => {
                let stone = self.call.swift.tombstone(self.bucket.id, key).await;
                let stone = stone.map_err(|error| Failed::Unreachable(said(error)))?;
                let Some(stone) = stone else {
                    return Ok(());
                };
                let nothing = Content::default();
                let (status, _) = self.send("DELETE", key, stone.time, nothing).await?;
                return match status {
                    204 | 404 | 409 => Ok(()),
                    status => Err(failed("DELETE", status)),
                };
            }
            Err(fault) => return Err(Failed::Refused(fault.body())),
        };
        let time = facts::timestamp(&found.object, self.bucket.id);
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
            let segments = large::segments(self.call, &found)
                .await
                .map_err(unreadable)?;
            let text = Bytes::from(slo::to_json(&segments, true));
            (text.len() as u64, stream::iter([Ok(text)]).boxed())
        } else {
            let whole = ResolvedRange {
                start: 0,
                end: length,
            };
            let body = large::open(self.call, &found, &Shape::Plain, whole).await;
            (length, body.map_err(unreadable)?)
        };
        content.body = Some((length, body));
        content.headers = headers_of(self.call, found, length);
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
        crate::call::set(&mut headers, "x-timestamp", &timestamp);
        let (name, proof) = self.destination.proof(&signed, self.key);
        crate::call::set(&mut headers, name, &proof);
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
                gone: after.clone(),
                after,
                since: Sequence(7),
                noted: Sequence(8),
                again: ["k".to_owned()].into(),
                handled: 0,
            };
            assert_eq!(Position::parse(&position.text()), Some(position));
        }
        assert_eq!(Position::parse("{}"), None);
    }

    #[test]
    fn a_position_is_written_when_something_was_done_or_much_has_happened() {
        let kept = Position::new(Sequence(10));
        let mut later = kept.clone();
        (later.since, later.noted) = (Sequence(19), Sequence(19));
        assert!(!later.differs(&kept, 10));
        later.noted = Sequence(20);
        assert!(later.differs(&kept, 10));
        let mut handled = kept.clone();
        handled.handle();
        assert!(handled.differs(&kept, 10));
        let mut other = kept.clone();
        other.turn_to("//r/c/a/b");
        assert!(other.differs(&kept, 10) && other.after.is_some() && other.gone.is_some());
        let begun = other.clone();
        other.turn_to("//r/c/a/b");
        assert_eq!(other, begun);
    }

    #[test]
    fn only_so_much_is_tried_again() {
        let mut position = Position::new(Sequence(0));
        let long = "\u{1}".repeat(1000);
        let mut kept = 0;
        while position.remember(&format!("{long}{kept}")) {
            kept += 1;
        }
        assert!(kept > 0 && position.again.len() == kept);
        assert!(position.text().len() <= POSITION_BYTES_MAX);
        let mut position = Position::new(Sequence(0));
        assert!((0..AGAIN_MAX).all(|number| position.remember(&number.to_string())));
        assert!(!position.remember("one more"));
    }
}
