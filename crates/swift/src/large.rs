//! Large objects: the way from a manifest to its segments by Swift's rules, over links too. What a
//! manifest stands for, and that each segment is what it must be, is the store's.

use crate::call::{Call, Place};
use crate::container::key;
use crate::facts;
use crate::fault::{Fault, Outcome};
use crate::symlink::Found;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use trestle_access::Action;
use trestle_core::{BucketName, Error, ErrorKind, Key, ResolvedRange, Result};
use trestle_store::{
    Joined, ListObjects, Listing, ObjectBytes, ObjectReader, PREFIX_SEGMENTS_MAX, Reach,
    ReadObject, Segment, VersionRef,
};

/// Most segments of a dynamic large object.
pub(crate) const SEGMENTS_MAX: usize = PREFIX_SEGMENTS_MAX;

/// What an object's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Its own.
    Plain,
    /// Those of a manifest's segments.
    Slo(Joined),
    /// Those of the objects that a prefix names in a container.
    Dlo(Joined),
}

/// A caller on its way to segments.
struct Way {
    call: Call,
    /// What it was found to be let at.
    seen: Mutex<BTreeSet<String>>,
}

impl Reach for Way {
    fn open<'a>(
        &'a self,
        bucket: &'a BucketName,
        key: &'a Key,
    ) -> BoxFuture<'a, Result<ObjectReader>> {
        self.segment(bucket, key).boxed()
    }

    fn list<'a>(&'a self, list: &'a ListObjects) -> BoxFuture<'a, Result<Listing>> {
        async move {
            let bucket = &list.bucket;
            let grant = self.call.on_bucket(Action::ListObjects, bucket).await?;
            self.call.swift.store.list(&grant, list).await
        }
        .boxed()
    }
}

impl Way {
    async fn segment(&self, bucket: &BucketName, key: &Key) -> Result<ObjectReader> {
        let call = &self.call;
        let place = Place {
            account: bucket.account().unwrap_or_else(|| call.account.clone()),
            container: bucket.local().to_owned(),
            object: key.as_str().to_owned(),
        };
        // Each container's list is asked once for an answer; a policy, for each object.
        let mut asked = format!("{}:{}", place.account, place.container);
        if !call.is_let_by_rules(&place.account) {
            asked = format!("{asked}/{}", place.object);
        }
        if self.seen.lock().insert(asked) {
            return self.follow(&place).await;
        }
        let reader = open_itself(call, &place, call.current()).await?;
        // A link of the same container: it is followed as the first one was.
        match facts::link(reader.object()) {
            Some(_) => self.follow(&place).await,
            None => Ok(reader),
        }
    }

    async fn follow(&self, place: &Place) -> Result<ObjectReader> {
        let found = self.call.follow(place, VersionRef::Current).await;
        let found = found.map_err(|_| gone("a segment cannot be read"))?;
        open_itself(&self.call, &found.place, found.version).await
    }
}

fn gone(what: &str) -> Error {
    Error::new(ErrorKind::Conflict, what)
}

async fn open_itself(call: &Call, place: &Place, version: VersionRef) -> Result<ObjectReader> {
    let bucket = BucketName::in_account(&place.account, &place.container)?;
    let key = key(&place.object).map_err(|_| gone("a segment has a malformed name"))?;
    let action = match version.is_current() {
        true => Action::ReadObject,
        false => Action::ReadObjectVersion,
    };
    let grant = call.on_object(action, &bucket, &key).await?;
    let read = ReadObject {
        bucket,
        key,
        version,
    };
    call.swift.store.open_itself(&grant, &read).await
}

fn way(call: &Call) -> Arc<dyn Reach> {
    Arc::new(Way {
        call: call.clone(),
        seen: Mutex::default(),
    })
}

/// The segments of a manifest.
pub(crate) async fn segments(call: &Call, found: &Found) -> Outcome<Vec<Segment>> {
    let reader = open_itself(call, &found.place, found.version).await?;
    Ok(reader.into_segments().await?)
}

/// Segments and the caller's way to them.
pub(crate) fn joined(call: &Call, segments: Vec<Segment>) -> Joined {
    Joined::new(segments, way(call))
}

/// The segments of a dynamic large object.
pub(crate) async fn listed(call: &Call, bucket: &BucketName, prefix: &str) -> Outcome<Joined> {
    let account = bucket.account().unwrap_or_else(|| call.account.clone());
    let container = call.container(&account, bucket.local()).await?;
    call.may(crate::rights::Wish {
        account: &account,
        container: Some(bucket.local()),
        object: None,
        reads: true,
        manages: false,
    })
    .await?;
    container.ok_or_else(|| Fault::new(404))?;
    let joined = Joined::by_prefix(bucket, prefix, way(call)).await;
    joined.map_err(|error| match error.kind() {
        ErrorKind::Conflict => Fault::text(409, error.message()),
        _ => error.into(),
    })
}

/// The bytes of a range of an object. The first are read when this returns.
///
/// # Errors
/// 409 when the first segment is not what it must be; [`Fault::moved`] when a plain object is no
/// longer what was found.
pub(crate) async fn open(
    call: &Call,
    found: &Found,
    shape: &Shape,
    range: ResolvedRange,
) -> Outcome<BoxStream<'static, Result<Bytes>>> {
    let joined = match shape {
        Shape::Plain => return open_plain(call, found, range).await,
        Shape::Slo(joined) | Shape::Dlo(joined) => joined,
    };
    joined
        .read(range)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Conflict | ErrorKind::NotFound(_) | ErrorKind::Forbidden => Fault::new(409),
            _ => error.into(),
        })
}

async fn open_plain(
    call: &Call,
    found: &Found,
    range: ResolvedRange,
) -> Outcome<BoxStream<'static, Result<Bytes>>> {
    let opened = open_itself(call, &found.place, found.version).await;
    let reader = opened.map_err(|error| match error.kind() {
        ErrorKind::Conflict | ErrorKind::NotFound(_) => Fault::moved(),
        _ => error.into(),
    })?;
    let (now, then) = (reader.object(), &found.object);
    if facts::hash(now) != facts::hash(then) || now.stored_length() != then.stored_length() {
        return Err(Fault::moved());
    }
    Ok(match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => stream::iter([Ok(bytes)]).boxed(),
        ObjectBytes::Stream(stream) => stream.boxed(),
    })
}
