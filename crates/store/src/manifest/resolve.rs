//! What a manifest stands for at this moment, for readers who know nothing of manifests: they find
//! one object with a length and a tag.

use super::{Joined, Manifest, ObjectSegment, PREFIX_SEGMENTS_MAX, Reach, Segment};
use crate::nouns::{
    ListObjects, Listing, ListingItem, Object, ObjectPart, PartInfo, ReadObject, VersionRef,
};
use crate::properties::Written;
use crate::read::ObjectReader;
use crate::store::Store;
use futures::future::BoxFuture;
use std::sync::Arc;
use trestle_access::{Action, Asked, Grant, Resource};
use trestle_core::{BucketName, Digests, Error, ErrorKind, Key, Noun, Result};

/// A reader by its own rights alone: those that it needs for the segments as if it read them.
struct OwnRights {
    store: Arc<Store>,
    asked: Asked,
}

impl OwnRights {
    async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let asked = Asked {
            action,
            resource,
            ..self.asked.clone()
        };
        self.store.authorize(asked).await
    }
}

impl Reach for OwnRights {
    fn open<'a>(
        &'a self,
        bucket: &'a BucketName,
        key: &'a Key,
    ) -> BoxFuture<'a, Result<ObjectReader>> {
        Box::pin(async move {
            let resource = Resource::Object(bucket.clone(), key.clone());
            let grant = self.grant(Action::ReadObject, resource).await?;
            let read = ReadObject {
                bucket: bucket.clone(),
                key: key.clone(),
                version: VersionRef::Current,
            };
            self.store.open_itself(&grant, &read).await
        })
    }

    fn list<'a>(&'a self, list: &'a ListObjects) -> BoxFuture<'a, Result<Listing>> {
        Box::pin(async move {
            let resource = Resource::Bucket(list.bucket.clone());
            let grant = self.grant(Action::ListObjects, resource).await?;
            self.store.list(&grant, list).await
        })
    }
}

/// The objects that a prefix joins.
///
/// # Errors
/// Those of a listing; `Conflict` for too many.
pub(super) async fn joined_by(
    reach: &dyn Reach,
    bucket: &BucketName,
    prefix: &str,
) -> Result<Vec<Segment>> {
    let mut list = ListObjects {
        bucket: bucket.clone(),
        prefix: prefix.to_owned(),
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: PREFIX_SEGMENTS_MAX,
    };
    let mut found = Vec::new();
    loop {
        let page = reach.list(&list).await?;
        for item in page.items {
            if let ListingItem::Object(object) = item {
                found.push(Segment::Object(segment(bucket, &object)));
            }
        }
        if found.len() > PREFIX_SEGMENTS_MAX {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("a prefix joins at most {PREFIX_SEGMENTS_MAX} objects"),
            ));
        }
        match page.next {
            Some(next) => list.after = Some(next),
            None => return Ok(found),
        }
    }
}

/// An object as a segment.
fn segment(bucket: &BucketName, object: &Object) -> ObjectSegment {
    let nested = object.has_segments();
    ObjectSegment {
        bucket: bucket.clone(),
        key: object.key.clone(),
        length: match nested {
            true => object.length(),
            false => object.stored_length(),
        },
        tag: object.content_tag(),
        range: None,
        nested,
        // Nobody shows it of what a prefix found.
        media_type: String::new(),
        modified: object.modified,
    }
}

impl Joined {
    /// The objects that a prefix joins now.
    ///
    /// # Errors
    /// Those of a listing; `Conflict` for too many.
    pub async fn by_prefix(
        bucket: &BucketName,
        prefix: &str,
        reach: Arc<dyn Reach>,
    ) -> Result<Self> {
        let segments = joined_by(&*reach, bucket, prefix).await?;
        Ok(Joined::new(segments, reach))
    }
}

impl Store {
    /// How whoever has a grant gets at what a manifest refers to.
    fn reach(&self, grant: &Grant) -> Result<Arc<dyn Reach>> {
        let store = self.this.upgrade();
        let store = store.ok_or_else(|| Error::new(ErrorKind::Internal, "the store is gone"))?;
        let asked = grant.asked().clone();
        Ok(Arc::new(OwnRights { store, asked }))
    }

    /// An object as it reads: what is joined by a prefix is looked up.
    pub(crate) async fn as_it_reads(&self, grant: &Grant, object: Object) -> Result<Object> {
        let Some(Manifest::Prefix { bucket, prefix, .. }) = &object.manifest else {
            return Ok(object);
        };
        let joined = Joined::by_prefix(bucket, prefix, self.reach(grant)?).await;
        Ok(joined_now(object, &joined.map_err(not_there)?))
    }

    /// The segments of what reads as joined, as if they were parts. Only who may read the bytes may
    /// see them.
    ///
    /// # Errors
    /// Those of a read.
    pub(crate) async fn joined_parts(
        &self,
        grant: &Grant,
        read: &ReadObject,
        after: u32,
        limit: usize,
    ) -> Result<(Object, Vec<ObjectPart>, Option<u32>)> {
        let reads = [Action::ReadObject, Action::ReadObjectVersion];
        if !reads.contains(&grant.action()) {
            let (bucket, key) = (&read.bucket, &read.key);
            let object = self.head(grant, bucket, key, read.version).await?;
            return Ok((object, Vec::new(), None));
        }
        let reader = self.open_object(grant, read).await?;
        let mut parts = Vec::new();
        let mut offset = 0u64;
        let mut next = None;
        for (number, segment) in (1u32..).zip(reader.segments()) {
            let length = segment.length();
            if number > after && parts.len() < limit {
                let digests = Digests::default();
                parts.push(ObjectPart {
                    part: PartInfo { number, digests },
                    offset,
                    length,
                });
            } else if number > after {
                next = number.checked_sub(1);
                break;
            }
            offset = offset.saturating_add(length);
        }
        Ok((reader.object().clone(), parts, next))
    }

    /// Lets a manifest read as what it stands for.
    pub(crate) async fn through(
        &self,
        grant: &Grant,
        reader: ObjectReader,
    ) -> Result<ObjectReader> {
        let reach = self.reach(grant)?;
        let object = reader.object().clone();
        match &object.manifest {
            None => Ok(reader),
            Some(Manifest::Segments { .. }) => {
                let segments = reader.into_segments().await?;
                Ok(ObjectReader::joined(object, Joined::new(segments, reach)))
            }
            Some(Manifest::Prefix { bucket, prefix, .. }) => {
                let joined = Joined::by_prefix(bucket, prefix, reach).await;
                let joined = joined.map_err(not_there)?;
                let now = joined_now(object.clone(), &joined);
                Ok(ObjectReader::joined(now, joined))
            }
        }
    }
}

/// A bucket that is missing is not the one that was asked for.
fn not_there(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound(Noun::Bucket) => {
            Error::new(ErrorKind::Conflict, "what a manifest joins is not there").with_source(error)
        }
        _ => error,
    }
}

/// An object that reads as what is joined now.
fn joined_now(mut object: Object, joined: &Joined) -> Object {
    if let Some(Manifest::Prefix { found, .. }) = &mut object.manifest {
        *found = Some(joined.length());
    }
    for segment in joined.segments() {
        if let Segment::Object(segment) = segment {
            object.modified = object.modified.max(segment.modified);
        }
    }
    object.digests = Digests::default();
    object.checksum = None;
    object.written = Written::Parts {
        count: u32::try_from(joined.segments().len()).unwrap_or(u32::MAX),
        digest: joined.digest(),
    };
    object
}
