//! The record of an entry of the change feed.

use super::{IdBytes, OwnerRecord, Record, bad_name};
use crate::feed::{Ended, Event, EventKind, FeedEntry};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use trestle_core::{BucketName, Error, Key, ObjectId, Result, Sequence, Timestamp, VersionId};

/// What each number means. Never reused.
const KINDS: [(u8, EventKind); 8] = [
    (1, EventKind::Written),
    (2, EventKind::Updated),
    (3, EventKind::Marked),
    (4, EventKind::Removed),
    (5, EventKind::BucketCreated),
    (6, EventKind::BucketDeleted),
    (7, EventKind::TreeRemoved),
    (8, EventKind::TreeWritten),
];

/// `70`: what one commit did.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct FeedRecord {
    #[n(0)]
    time: u64,
    #[n(1)]
    events: Vec<EventRecord>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct EventRecord {
    #[n(0)]
    kind: u8,
    #[n(1)]
    bucket: String,
    #[n(2)]
    key: Option<String>,
    #[n(3)]
    object: Option<IdBytes>,
    #[n(4)]
    version: Option<IdBytes>,
    #[n(5)]
    length: Option<u64>,
    #[n(6)]
    owner: Option<OwnerRecord>,
    #[n(7)]
    former: Option<IdBytes>,
    #[n(8)]
    ended: Option<EndedRecord>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct EndedRecord {
    #[n(0)]
    modified: u64,
    #[n(1)]
    documents: BTreeMap<String, String>,
}

impl Record for FeedRecord {
    const NAME: &'static str = "feed";
    const VERSION: u8 = 1;
}

impl FeedRecord {
    pub(crate) fn new(time: Timestamp, events: &[Event]) -> Self {
        FeedRecord {
            time: time.0,
            events: events.iter().map(EventRecord::new).collect(),
        }
    }

    pub(crate) fn into_entry(self, sequence: Sequence) -> Result<FeedEntry> {
        let events = self.events.into_iter().map(EventRecord::into_event);
        Ok(FeedEntry {
            sequence,
            time: Timestamp(self.time),
            events: events.collect::<Result<_>>()?,
        })
    }
}

impl EventRecord {
    fn new(event: &Event) -> Self {
        let kind = KINDS.iter().find(|(_, kind)| *kind == event.kind);
        EventRecord {
            kind: kind.map_or(0, |(number, _)| *number),
            bucket: event.bucket.as_str().to_owned(),
            key: event.key.as_ref().map(|key| key.as_str().to_owned()),
            object: event.object.map(|id| IdBytes(id.0)),
            version: event.version.map(|id| IdBytes(id.0)),
            length: event.length,
            owner: event.owner.as_ref().map(OwnerRecord::new),
            former: event.former.map(|id| IdBytes(id.0)),
            ended: event.ended.as_ref().map(|ended| EndedRecord {
                modified: ended.modified.0,
                documents: ended.documents.clone(),
            }),
        }
    }

    fn into_event(self) -> Result<Event> {
        let kind = KINDS.iter().find(|(number, _)| *number == self.kind);
        let unknown = || Error::corrupt("the feed tells of something unknown");
        Ok(Event {
            kind: kind.ok_or_else(unknown)?.1,
            bucket: BucketName::parse_stored(self.bucket).map_err(bad_name)?,
            key: self.key.map(Key::parse).transpose().map_err(bad_name)?,
            object: self.object.map(|id| ObjectId(id.0)),
            version: self.version.map(|id| VersionId(id.0)),
            length: self.length,
            owner: self.owner.map(OwnerRecord::into_owner).transpose()?,
            former: self.former.map(|id| VersionId(id.0)),
            ended: self.ended.map(|ended| Ended {
                modified: Timestamp(ended.modified),
                documents: ended.documents,
            }),
        })
    }
}
