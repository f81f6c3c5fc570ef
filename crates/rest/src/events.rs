//! A bucket's change feed as server-sent events. `Last-Event-ID` resumes after what was seen, without
//! loss; what is no longer kept is 410, never a gap.

use crate::refusal::Answer;
use crate::representation::path_of;
use crate::route::Call;
use bytes::Bytes;
use futures::{FutureExt, Stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::{Action, Asked, Resource};
use trestle_core::{BucketName, Error, Result, Sequence};
use trestle_http::{Body, Client, Problem, Stopping};
use trestle_store::{Event, EventKind, FeedEntry, FeedPage, ReadFeed, Store};

/// The media type.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";
/// Entries that are read at once.
const ENTRIES: usize = 500;
/// How often something is sent when nothing happens, so that proxies keep the connection.
const PAUSE: Duration = Duration::from_secs(15);
/// Streams that one reader has open at most.
const STREAMS_MAX: usize = 32;

/// After which event to begin; none begins with what happens from now on.
fn after(call: &Call<'_>) -> Result<Option<Sequence>> {
    let header = call.request.headers().get("last-event-id");
    let header = header.map(|value| value.to_str().unwrap_or("?"));
    let Some(text) = header
        .filter(|text| !text.is_empty())
        .or(call.parameters.get("after"))
    else {
        return Ok(None);
    };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number
        .map(|number| Some(Sequence(number)))
        .ok_or_else(|| Error::invalid("Last-Event-ID is the number of an event"))
}

/// Streams of events that are open, by who reads them.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<String, usize>>);

/// One of them.
struct Open(Arc<Streams>, String);

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.0.0.lock();
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

impl Streams {
    /// Counts one more; 429 (RFC 6585 §4) when its reader has too many. Each holds a place among the
    /// requests that are answered for as long as its reader likes.
    fn open(self: &Arc<Self>, reader: String) -> Answer<Open> {
        let mut open = self.0.lock();
        let count = open.entry(reader.clone()).or_default();
        if *count >= STREAMS_MAX {
            let detail = format!("this reader has {STREAMS_MAX} streams of events open");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .with_header(RETRY_AFTER, HeaderValue::from_static("15"))
                .into());
        }
        *count += 1;
        Ok(Open(self.clone(), reader))
    }
}

/// Who reads: a user, or an address that says nothing of itself.
fn reader(call: &Call<'_>) -> String {
    let client = call.request.extensions().get::<Client>();
    match (call.principal.account(), client) {
        (Some(account), _) => format!("{account}/{}", call.principal.user),
        (None, Some(client)) => client.address.to_string(),
        (None, None) => String::new(),
    }
}

struct Feed {
    _open: Open,
    store: Arc<Store>,
    asked: Asked,
    bucket: BucketName,
    last: Sequence,
    stopping: Option<Stopping>,
}

impl Feed {
    async fn read(&self) -> Result<FeedPage> {
        // Asked again each time: rights may end while it goes on.
        let grant = self.store.authorize(self.asked.clone()).await?;
        let read = ReadFeed {
            bucket: self.bucket.clone(),
            after: self.last,
            limit: ENTRIES,
        };
        self.store.read_feed(&grant, &read).await
    }

    /// What comes next; none when the server stops.
    async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            let change = self.store.next_change();
            let page = match self.read().await {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            let seen = page.last != self.last;
            self.last = page.last;
            if !page.entries.is_empty() {
                return Some(Ok(render(&self.bucket, &page)));
            }
            if page.more {
                continue;
            }
            let stopped = async {
                match &mut self.stopping {
                    Some(stopping) => stopping.wait().await,
                    None => std::future::pending().await,
                }
            };
            futures::select! {
                () = change.fuse() => {}
                () = Box::pin(stopped.fuse()) => return None,
                () = Box::pin(tokio::time::sleep(PAUSE).fuse()) => {
                    // The number alone moves on where the client resumes, and is no event.
                    let line = if seen { format!("id: {}\n\n", self.last.0) } else { ":\n\n".to_owned() };
                    return Some(Ok(line.into()));
                }
            }
        }
    }
}

fn render(bucket: &BucketName, page: &FeedPage) -> Bytes {
    let mut text = String::new();
    for entry in &page.entries {
        for (count, event) in entry.events.iter().enumerate() {
            // Of a commit that did several things only the last resumes after it.
            if count + 1 == entry.events.len() {
                text.push_str(&format!("id: {}\n", entry.sequence.0));
            }
            text.push_str(&one(bucket, entry, event));
        }
    }
    text.into()
}

fn one(bucket: &BucketName, entry: &FeedEntry, event: &Event) -> String {
    let kind = match event.kind {
        EventKind::Written => "written",
        EventKind::Updated => "updated",
        EventKind::Marked => "deleted",
        EventKind::Removed => "removed",
        EventKind::TreeRemoved => "tree-removed",
        EventKind::TreeWritten => "tree-written",
        EventKind::BucketCreated => "bucket-created",
        EventKind::BucketDeleted => "bucket-deleted",
    };
    let key = event.key.as_ref().map(|key| key.as_str());
    let data = json!({
        "kind": kind,
        "bucket": bucket.as_str(),
        "key": key,
        "version": event.version.map(|version| version.to_string()),
        "size": event.length,
        "time": crate::representation::timestamp(entry.time),
        "href": path_of(bucket, key),
    });
    format!("event: {kind}\ndata: {data}\n\n")
}

fn stream(feed: Feed, first: Bytes) -> impl Stream<Item = Result<Bytes>> + Send {
    let rest = futures::stream::unfold(Some(feed), |feed| async move {
        let mut feed = feed?;
        match feed.next().await? {
            Ok(bytes) => Some((Ok(bytes), Some(feed))),
            Err(error) => Some((Err(error), None)),
        }
    });
    futures::StreamExt::chain(futures::stream::iter([Ok(first)]), rest)
}

/// The feed of a bucket from after the event that the client saw last.
pub(crate) async fn answer(call: Call<'_>, bucket: BucketName) -> Answer {
    let of_listings = ["prefix", "delimiter", "until", "reverse", "limit"];
    if of_listings
        .iter()
        .any(|name| call.parameters.get(name).is_some())
    {
        return Err(Error::invalid("of the parameters, events take after alone").into());
    }
    let store = call.rest.store.clone();
    let last = match after(&call)? {
        Some(after) => after,
        None => store.newest_sequence().await?,
    };
    let mut feed = Feed {
        _open: call.rest.streams.open(reader(&call))?,
        asked: call.asked(Action::ListObjects, Resource::Bucket(bucket.clone())),
        stopping: call.request.extensions().get::<Stopping>().cloned(),
        store,
        bucket,
        last,
    };
    // Read once before anything is answered: what is refused has a status then.
    let mut first = format!("retry: 1000\nid: {}\n\n", last.0).into_bytes();
    let page = feed.read().await?;
    feed.last = page.last;
    first.extend_from_slice(&render(&feed.bucket, &page));
    let mut response = Response::new(Body::chunked(stream(feed, first.into())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Many proxies hold back what is short.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}
