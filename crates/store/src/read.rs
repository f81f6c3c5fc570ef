//! Reading an object: its record first, then any range of its bytes, verified.

use crate::encryption::{CustomerKey, Unsealer, check_customer_key};
use crate::layer::LayerReader;
use crate::manifest::{self, Joined, MANIFEST_BYTES_MAX, Segment};
use crate::nouns::{Bucket, Content, Object, ReadObject, VersionRef};
use crate::placement;
use crate::record::{BucketRecord, Record};
use crate::ring::Keys;
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, FoundObject, Store};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, Error, Key, Marker, Noun, ObjectId, Owner, ResolvedRange, Result};
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{BodyRef, Data, Engine, Expectation, MetaRead, Pin};

impl Store {
    /// A version's record, as the version reads: of a manifest, what it stands for.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `NotFound(Object)`, with the delete marker that is there instead;
    /// `NotFound(Version)`; `Forbidden`; `Conflict` when a manifest's prefix cannot be resolved.
    pub async fn head(
        &self,
        grant: &Grant,
        bucket: &BucketName,
        key: &Key,
        version: VersionRef,
    ) -> Result<Object> {
        let object = self.head_itself(grant, bucket, key, version).await?;
        match READS.contains(&grant.action()) {
            true => Box::pin(self.as_it_reads(grant, object)).await,
            false => Ok(object),
        }
    }

    /// As [`Store::head`], but of a manifest itself.
    ///
    /// # Errors
    /// Those of [`Store::head`].
    pub async fn head_itself(
        &self,
        grant: &Grant,
        bucket: &BucketName,
        key: &Key,
        version: VersionRef,
    ) -> Result<Object> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        store::granted(std::slice::from_ref(grant), looks(version), &resource)?;
        let read = self.snapshot().await?;
        let (found, _) = self.find(&*read, grant, (bucket, key, version)).await?;
        Ok(found.object)
    }

    /// Opens a version for reading. A manifest reads as what it stands for, with the rights of whoever
    /// has the grant.
    ///
    /// # Errors
    /// Those of [`Store::head`]; `Conflict` when concurrent writes of the key keep winning.
    pub async fn open_object(&self, grant: &Grant, read: &ReadObject) -> Result<ObjectReader> {
        let reader = self.open_itself(grant, read).await?;
        match reader.object.manifest {
            None => Ok(reader),
            Some(_) => Box::pin(self.through(grant, reader)).await,
        }
    }

    /// As [`Store::open_object`], but a manifest itself: its own bytes.
    ///
    /// # Errors
    /// Those of [`Store::open_object`].
    pub async fn open_itself(&self, grant: &Grant, read: &ReadObject) -> Result<ObjectReader> {
        let resource = Resource::Object(read.bucket.clone(), read.key.clone());
        let action = match read.version {
            VersionRef::Current | VersionRef::Ended => Action::ReadObject,
            VersionRef::Null | VersionRef::Id(_) => Action::ReadObjectVersion,
        };
        store::require(grant, action, &resource)?;
        let place = (&read.bucket, &read.key, read.version);
        let mut pin: Option<Pin> = None;
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.snapshot().await?;
            let (found, _) = self.find(&*snapshot, grant, place).await?;
            let FoundObject { object, body, .. } = found;
            // What a snapshot shows after its layer was pinned stays readable.
            if let Some(layer) = object.layer()
                && pin.as_ref().is_none_or(|pin| pin.id() != layer.0)
            {
                drop((snapshot, pin.take()));
                pin = Some(self.engine.pins.pin(layer.0).await);
                continue;
            }
            let own = Own {
                engine: self.engine.clone(),
                keys: self.keys.clone(),
                pin: object.layer().and(pin),
                snapshot,
                body,
            };
            return Ok(ObjectReader {
                object,
                customer: None,
                bytes: Where::Own(own),
            });
        }
        Err(store::conflict())
    }

    /// Who owns a version. No grant: it is not to be told, only held against what a caller says.
    ///
    /// # Errors
    /// As [`Store::head`].
    pub async fn object_owner(
        &self,
        bucket: &BucketName,
        key: &Key,
        version: VersionRef,
    ) -> Result<Owner> {
        let read = self.snapshot().await?;
        let bucket = store::find_shown(&*read, bucket).await?.bucket;
        match placement::find_version(&*read, &bucket, key, version).await? {
            Some(found) if !found.object.is_marker() => Ok(found.object.owner),
            Some(marker) => Err(is_marker(&marker.object)),
            None if version.is_current() => Err(missing(&*read, &bucket, key).await?),
            None => Err(Error::not_found(Noun::Version, key)),
        }
    }

    /// Who would own what somebody writes under a key of a bucket now, with this list. No grant: it is
    /// not to be told, only to find which rights the write takes.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn owner_of_next(
        &self,
        bucket: &Bucket,
        key: &Key,
        (writer, acl): (Option<Owner>, Option<&str>),
    ) -> Result<Owner> {
        let read = self.snapshot().await?;
        let current = store::find_object(&*read, bucket, key).await?;
        let former = current.as_ref().map(|found| &found.object);
        Ok(store::owner_of_next(bucket, former, (writer, acl)))
    }

    /// Where an object is, by its id. Nothing is decided by that: what may be done to it is asked
    /// for by its key.
    ///
    /// # Errors
    /// `NotFound(Object)`.
    pub async fn find_by_id(&self, id: ObjectId) -> Result<(BucketName, Key)> {
        let read = self.snapshot().await?;
        let index = read.get(&row_key::object_id(id)).await?;
        let index = index.ok_or_else(|| Error::not_found(Noun::Object, id))?;
        let (bucket, key) = row_key::split_place(&index.value)
            .ok_or_else(|| Error::corrupt("an object id leads nowhere"))?;
        let row = read.get(&row_key::bucket(bucket)).await?;
        let row = row.ok_or_else(|| Error::corrupt("an object id leads to no bucket"))?;
        let bucket = BucketRecord::from_value(&row.value)?.into_bucket(bucket)?;
        Ok((bucket.name, key))
    }

    /// Finds what can be read, and says what a commit that rests on it has to expect.
    ///
    /// # Errors
    /// Those of [`Store::head`].
    pub(crate) async fn find(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        (bucket, key, version): (&BucketName, &Key, VersionRef),
    ) -> Result<(FoundObject, Vec<Expectation>)> {
        let bucket = self.shown(read, bucket).await?;
        let found = self.find_live(read, &bucket, key, version).await;
        let object = found.as_ref().ok();
        let confirmed = self.confirm(read, grant, Some(&bucket), object).await?;
        let found = found?;
        let mut expectations = bucket.expectations();
        expectations.push(confirmed);
        expectations.push(found.expectation());
        Ok((found, expectations))
    }

    /// A version that can be read: no delete marker, and no object that has ended.
    ///
    /// # Errors
    /// `NotFound(Object)`, with the delete marker that is there instead; `NotFound(Version)`.
    pub(crate) async fn find_live(
        &self,
        read: &dyn MetaRead,
        bucket: &FoundBucket,
        key: &Key,
        version: VersionRef,
    ) -> Result<FoundObject> {
        let found = placement::find_version(read, &bucket.bucket, key, version).await?;
        let now = self.host.clock.now();
        match found {
            Some(found) if found.object.is_marker() => Err(is_marker(&found.object)),
            Some(found) if found.object.has_expired(now) && bucket.ends(&found, version) => {
                Err(Error::not_found(Noun::Object, key))
            }
            Some(found) => Ok(found),
            None if version.is_current() => Err(missing(read, &bucket.bucket, key).await?),
            None => Err(Error::not_found(Noun::Version, key)),
        }
    }
}

/// The bytes that are attached to a version's row, in a snapshot that still lives.
pub(crate) async fn attached(store: &Store, found: &FoundObject) -> Result<Option<Bytes>> {
    let Some(body) = &found.body else {
        return Ok(None);
    };
    let length = u64::from(body.length);
    store.engine.data.read_body(body, 0..length).await.map(Some)
}

/// The actions that let a caller see a version's record, of which it shows the part that was asked
/// for.
pub(crate) fn looks(version: VersionRef) -> &'static [Action] {
    match version {
        VersionRef::Current | VersionRef::Ended => &[
            Action::ReadObjectMetadata,
            Action::ReadObject,
            Action::ReadObjectTags,
            Action::ReadObjectAcl,
            Action::ReadObjectRetention,
            Action::ReadLegalHold,
        ],
        VersionRef::Null | VersionRef::Id(_) => &[
            Action::ReadObjectVersionMetadata,
            Action::ReadObjectVersion,
            Action::ReadObjectVersionTags,
            Action::ReadObjectVersionAcl,
            Action::ReadObjectRetention,
            Action::ReadLegalHold,
        ],
    }
}

/// The actions that look at what an object reads as.
const READS: [Action; 4] = [
    Action::ReadObject,
    Action::ReadObjectMetadata,
    Action::ReadObjectVersion,
    Action::ReadObjectVersionMetadata,
];

/// Why a key has no current object.
pub(crate) async fn missing(read: &dyn MetaRead, bucket: &Bucket, key: &Key) -> Result<Error> {
    let newest = placement::find_newest(read, bucket, key).await?;
    Ok(match newest {
        Some(newest) if newest.object.is_marker() => is_marker(&newest.object),
        _ => Error::not_found(Noun::Object, key),
    })
}

/// What was found is a delete marker.
pub(crate) fn is_marker(marker: &Object) -> Error {
    Error::not_found(Noun::Object, &marker.key).with_marker(Marker {
        version: marker.version,
        null_version: marker.null_version,
        modified: marker.modified,
    })
}

/// An open object: its record, and its bytes on demand. Both are of one moment, and stay readable
/// whatever becomes of the object. To be used at once: it holds a snapshot.
pub struct ObjectReader {
    object: Object,
    customer: Option<CustomerKey>,
    bytes: Where,
}

/// Where the bytes of an open object are.
enum Where {
    Own(Own),
    /// In what a manifest joins.
    Joined(Joined),
}

/// An object's own bytes.
struct Own {
    engine: Engine,
    keys: Arc<Keys>,
    /// On the object's layer.
    pin: Option<Pin>,
    snapshot: Box<dyn MetaRead>,
    body: Option<BodyRef>,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ObjectReader").field(&self.object).finish()
    }
}

impl ObjectReader {
    /// A manifest that reads as what it joins.
    pub(crate) fn joined(object: Object, joined: Joined) -> Self {
        ObjectReader {
            object,
            customer: None,
            bytes: Where::Joined(joined),
        }
    }

    /// The record.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// What it joins, of what reads as joined.
    pub(crate) fn segments(&self) -> &[Segment] {
        match &self.bytes {
            Where::Own(_) => &[],
            Where::Joined(joined) => joined.segments(),
        }
    }

    /// How many bytes there are to read.
    pub fn length(&self) -> u64 {
        match self.bytes {
            Where::Own(_) => self.object.stored_length(),
            Where::Joined(_) => self.object.length(),
        }
    }

    /// The segments that a manifest lists: of one that was opened itself.
    ///
    /// # Errors
    /// `InvalidInput` when it lists none; `Corrupt`.
    pub async fn into_segments(self) -> Result<Vec<Segment>> {
        let end = self.length();
        if !self.object.has_segments() || matches!(self.bytes, Where::Joined(_)) {
            return Err(Error::invalid("the object lists no segments"));
        }
        if end > MANIFEST_BYTES_MAX as u64 {
            return Err(Error::corrupt("a manifest beyond its limit"));
        }
        let mut text = BytesMut::new();
        match self.into_own_bytes(ResolvedRange { start: 0, end }).await? {
            ObjectBytes::Whole(bytes) => text.extend_from_slice(&bytes),
            ObjectBytes::Stream(mut stream) => {
                while let Some(chunk) = stream.next().await {
                    text.extend_from_slice(&chunk?);
                }
            }
        }
        manifest::decode(&text)
    }

    /// Reads with the key that the client keeps.
    ///
    /// # Errors
    /// `WrongKey` when it is not the one that the content is encrypted under.
    pub fn with_key(mut self, key: Option<CustomerKey>) -> Result<Self> {
        check_customer_key(self.object.encryption.as_ref(), key.as_ref())?;
        self.customer = key;
        Ok(self)
    }

    /// The bytes of `range`. The first chunk has been read and verified when this returns; an error
    /// later in the stream ends it, and the bytes before it are right.
    ///
    /// # Errors
    /// `Corrupt`; `WrongKey` when the client keeps the key and did not give it; `InvalidInput` for a
    /// range beyond the end.
    pub async fn into_bytes(self, range: ResolvedRange) -> Result<ObjectBytes> {
        match &self.bytes {
            Where::Own(_) => self.into_own_bytes(range).await,
            Where::Joined(_) if range.start > range.end || range.end > self.length() => {
                Err(beyond())
            }
            Where::Joined(joined) => {
                let stream = joined.read(range).await?;
                Ok(ObjectBytes::Stream(ObjectStream(stream)))
            }
        }
    }

    /// As [`ObjectReader::into_bytes`], of what was opened itself.
    pub(crate) async fn into_own_bytes(self, range: ResolvedRange) -> Result<ObjectBytes> {
        let Where::Own(own) = self.bytes else {
            return Err(Error::invalid("a manifest reads as what it joins"));
        };
        if range.start > range.end || range.end > self.object.stored_length() {
            return Err(beyond());
        }
        let content = open_content(&own.engine, &self.object, own.body, range, own.pin);
        let customer = self.customer.map(|customer| customer.key);
        let unsealer = own.keys.unsealer(customer);
        let mut chunks = content.await?.unsealed(&self.object, unsealer);
        let first = chunks.next_in(&*own.snapshot).await?;
        drop(own.snapshot);
        let whole = first.as_ref().map_or(0, |first| first.len() as u64) == range.len();
        let (Some(first), false) = (&first, whole) else {
            return Ok(ObjectBytes::Whole(first.unwrap_or_default()));
        };
        let first = first.clone();
        let rest = stream::unfold(Some(chunks), |chunks| async {
            let mut chunks = chunks?;
            match chunks.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(chunks))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(ObjectBytes::Stream(ObjectStream(
            stream::iter([Ok(first)]).chain(rest).boxed(),
        )))
    }
}

fn beyond() -> Error {
    Error::invalid("the range does not lie within the object")
}

/// The bytes of a range.
#[derive(Debug)]
pub enum ObjectBytes {
    /// All of them, at hand.
    Whole(Bytes),
    /// As they are read.
    Stream(ObjectStream),
}

/// The bytes of a range; ends with them, or with an error, never short.
pub struct ObjectStream(BoxStream<'static, Result<Bytes>>);

impl std::fmt::Debug for ObjectStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectStream")
    }
}

impl Stream for ObjectStream {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

/// The chunks of a range, wherever they are.
pub(crate) enum Chunks {
    /// Of a small content: read whole, so that no snapshot outlives the request for it.
    Body(VecDeque<Bytes>),
    /// Of a layer.
    Layer(LayerReader),
}

impl Chunks {
    /// Reads sealed layers, too, when the object has any.
    pub(crate) fn unsealed(self, object: &Object, unsealer: Unsealer) -> Self {
        match self {
            Chunks::Layer(layer) if object.encryption.is_some() => {
                Chunks::Layer(layer.unsealed(unsealer))
            }
            other => other,
        }
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Chunks::Body(chunks) => Ok(chunks.pop_front()),
            Chunks::Layer(layer) => layer.next().await,
        }
    }

    /// Passes over the hole that comes next; false when none does.
    pub(crate) async fn skip_hole(&mut self, read: &dyn MetaRead) -> Result<bool> {
        match self {
            Chunks::Body(_) => Ok(false),
            Chunks::Layer(layer) => layer.skip_hole(read).await,
        }
    }

    /// The next bytes as `read` shows them.
    pub(crate) async fn next_in(&mut self, read: &dyn MetaRead) -> Result<Option<Bytes>> {
        match self {
            Chunks::Body(chunks) => Ok(chunks.pop_front()),
            Chunks::Layer(layer) => layer.next_in(read).await,
        }
    }
}

/// Opens a range of an object's content. `body` is that of the object's row, in a snapshot that
/// still lives; without a pin on the layer all is to be read from that snapshot.
pub(crate) async fn open_content(
    engine: &Engine,
    object: &Object,
    body: Option<BodyRef>,
    range: ResolvedRange,
    pin: Option<Pin>,
) -> Result<Chunks> {
    let (length, layer) = match object.content {
        Content::Data { length, layer } => (length, layer),
        Content::Volume { length, layer } => (length, Some(layer)),
        Content::Directory | Content::DeleteMarker => return Ok(Chunks::Body(VecDeque::new())),
    };
    if let Some(layer) = layer {
        let range = range.start..range.end;
        let reader = LayerReader::new(engine.clone(), layer, range, pin);
        return Ok(Chunks::Layer(reader));
    }
    if body.as_ref().map_or(0, |body| u64::from(body.length)) != length {
        return Err(Error::corrupt(
            "an object's bytes are not as many as its record says",
        ));
    }
    let chunks = match body {
        Some(body) => read_body(&*engine.data, &body, range).await?,
        None => VecDeque::new(),
    };
    Ok(Chunks::Body(chunks))
}

async fn read_body(
    data: &dyn Data,
    body: &BodyRef,
    range: ResolvedRange,
) -> Result<VecDeque<Bytes>> {
    let mut chunks = VecDeque::new();
    let mut position = range.start;
    while position < range.end {
        let end = range.end.min(position + READ_BYTES_MAX);
        let chunk = data.read_body(body, position..end).await?;
        if chunk.len() as u64 != end - position {
            return Err(Error::corrupt(
                "an object's bytes are fewer than its record says",
            ));
        }
        chunks.push_back(chunk);
        position = end;
    }
    Ok(chunks)
}
