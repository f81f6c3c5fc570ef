//! Uploads in pieces that have an id in common (the extension for partial uploads), over plain HTTP.
//!
//! The pieces of an upload are kept apart, as one object of a hidden bucket of the account, encrypted
//! when their object or its bucket is, until what its requests wait for is there; then they become the
//! value of their object, or ranges of it. A piece is
//! there before it counts, so whoever completes an upload finds all of it; one request at a time does,
//! with one piece in memory. What nothing was added to for a day is gone.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::{encryption_of, hash_of};
use crate::data::CREATING;
use crate::fault::{Answered, Fault};
use crate::modify::{failed, is_rewritten, unchanged};
use crate::multipart::ContentRange;
use crate::node::{Leaf, document, is_missing};
use crate::plain::take_items;
use crate::render::bare;
use crate::show::CONTENT_TYPE;
use bytes::Bytes;
use futures::FutureExt;
use http::{Response, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use trestle_access::{Action, Resource};
use trestle_core::{
    BucketName, Error, ErrorKind, Key, Precondition, ResolvedRange, Result, Timestamp, Verdict,
};
use trestle_http::{Body, parse_precondition};
use trestle_store::{
    BodyChecks, CopyObject, DeleteObject, Encrypt, Encryption, History, ListObjects, Object,
    ObjectProperties, Offset, PatchObject, PutObject, ReadObject, Source, UpdateObject, VersionRef,
};

/// How long an upload is kept that nothing is added to.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most pieces of an upload.
pub(crate) const PIECES_MAX: usize = 1_000;
/// Most uploads of one object that are open.
const UPLOADS_OF_OBJECT_MAX: usize = 100;
/// Most uploads of one account that are open.
const UPLOADS_OF_ACCOUNT_MAX: u64 = 10_000;
/// The purpose of the hidden bucket.
pub(crate) const PURPOSE: &str = "uploads";
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 255;

/// What completes an upload, if a piece does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Until {
    /// So many pieces.
    Count(usize),
    /// All bytes from the first to the last of these.
    Range(u64, u64),
}

/// What a request says of the upload that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    id: String,
    until: Option<Until>,
    replace: Option<bool>,
}

impl Upload {
    /// Reads the header; none when it names no upload.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>> {
        let mut parts = text.split(';').map(str::trim);
        let Some(id) = parts
            .next()
            .and_then(|part| part.strip_prefix("upload-id="))
        else {
            return Ok(None);
        };
        let malformed = || Error::invalid("X-CDMI-Partial is not understood");
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed());
        }
        let mut upload = Upload {
            id: id.to_owned(),
            until: None,
            replace: None,
        };
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(malformed)?;
            match (name.trim(), value.trim()) {
                ("count", value) if upload.until.is_none() => {
                    let count = value.parse().map_err(|_| malformed())?;
                    if count == 0 || count > PIECES_MAX {
                        return Err(Error::invalid(format!(
                            "an upload has 1 to {PIECES_MAX} pieces"
                        )));
                    }
                    upload.until = Some(Until::Count(count));
                }
                ("range", value) if upload.until.is_none() => {
                    let ContentRange { first, last, .. } = ContentRange::parse(value)?;
                    upload.until = Some(Until::Range(first, last));
                }
                ("replace", "true") if upload.replace.is_none() => upload.replace = Some(true),
                ("replace", "false") if upload.replace.is_none() => upload.replace = Some(false),
                _ => return Err(malformed()),
            }
        }
        Ok(Some(upload))
    }
}

/// What is there of an upload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    until: Option<Until>,
    replace: Option<bool>,
    /// The first and the last byte of each piece, in order.
    pieces: Vec<(u64, u64)>,
    /// Of the value, when a piece said it.
    mimetype: Option<String>,
    encoding: Option<String>,
    /// Metadata that came in headers and is not what the object had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    items: BTreeMap<String, String>,
}

impl State {
    fn of(properties: &ObjectProperties) -> Result<Self> {
        match properties.documents.get(document::UPLOAD) {
            None => Ok(State::default()),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| Error::corrupt("the state of an upload cannot be decoded")),
        }
    }

    fn keep(&self, properties: &mut ObjectProperties) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "an upload cannot be written").with_source(error)
        })?;
        properties
            .documents
            .insert(document::UPLOAD.to_owned(), text);
        Ok(())
    }

    /// What completes the upload is said once, by whichever request.
    fn take_conditions(&mut self, upload: &Upload) -> Result<()> {
        let differs = upload.until.is_some() && self.until.is_some() && upload.until != self.until
            || upload.replace.is_some() && self.replace.is_some() && upload.replace != self.replace;
        if differs {
            return Err(Error::invalid(
                "another condition was given for this upload before",
            ));
        }
        self.until = self.until.or(upload.until);
        self.replace = self.replace.or(upload.replace);
        Ok(())
    }

    /// Takes metadata that is to be the object's, within what an object may have.
    fn take_items(&mut self, items: &BTreeMap<String, String>) -> Result<()> {
        self.items.extend(
            items
                .iter()
                .map(|(name, text)| (name.clone(), text.clone())),
        );
        let all = self.items.iter();
        let all = all.map(|(name, text)| (name.clone(), Value::from(text.as_str())));
        crate::metadata::check(&all.collect())
    }

    /// Adds a piece, which may take the place of the same one.
    fn add(&mut self, piece: (u64, u64)) -> Result<()> {
        if self.pieces.contains(&piece) {
            return Ok(());
        }
        if self
            .pieces
            .iter()
            .any(|(first, last)| piece.0 <= *last && *first <= piece.1)
        {
            return Err(Error::invalid("the piece overlaps another one"));
        }
        let most = match self.until {
            Some(Until::Count(count)) => count,
            _ => PIECES_MAX,
        };
        if self.pieces.len() >= most {
            return Err(Error::invalid(format!(
                "an upload has {most} pieces at most"
            )));
        }
        self.pieces.push(piece);
        self.pieces.sort_unstable();
        Ok(())
    }

    /// Whether what was waited for is there.
    fn is_complete(&self) -> bool {
        match self.until {
            None => false,
            Some(Until::Count(count)) => self.pieces.len() == count,
            Some(Until::Range(first, last)) => {
                let mut next = first;
                for (from, to) in &self.pieces {
                    if *from <= next && next <= *to {
                        next = to.saturating_add(1);
                    }
                }
                next > last
            }
        }
    }
}

/// The uploads that are being completed, by their keys. A completion ends with its request, however
/// that ends, so nothing of it outlives the process.
#[derive(Debug, Default)]
pub(crate) struct Completions(Mutex<HashSet<Key>>);

/// The one completion of an upload.
struct Completion<'c> {
    all: &'c Completions,
    key: Key,
}

impl Completions {
    fn change<T>(&self, change: impl FnOnce(&mut HashSet<Key>) -> T) -> T {
        change(&mut self.0.lock())
    }

    /// Begins to complete an upload; none while another request does.
    fn begin(&self, key: &Key) -> Option<Completion<'_>> {
        self.change(|keys| keys.insert(key.clone()))
            .then(|| Completion {
                all: self,
                key: key.clone(),
            })
    }

    fn has(&self, key: &Key) -> bool {
        self.change(|keys| keys.contains(key))
    }
}

impl Drop for Completion<'_> {
    fn drop(&mut self) {
        self.all.change(|keys| keys.remove(&self.key));
    }
}

/// Whether an object has no value yet, but that of an upload to come.
pub(crate) fn is_new(leaf: &Leaf) -> bool {
    let status = leaf.object.documents.get(document::STATUS);
    status.is_some_and(|status| status == CREATING)
}

fn being_completed() -> Fault {
    Fault::conflict("the upload is being completed")
}

impl Call<'_> {
    /// The upload that this request belongs to, if any.
    pub(crate) fn upload(&self) -> Result<Option<Upload>> {
        let mut values = self.headers.get_all("x-cdmi-partial").iter();
        match (values.next(), values.next()) {
            (Some(value), None) => match value.to_str() {
                Ok(text) => Upload::parse(text.trim()),
                Err(_) => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// When an upload is gone that nothing is added to.
    fn ends(&self) -> Timestamp {
        let micros = u64::try_from(TIMEOUT.as_micros()).unwrap_or(u64::MAX);
        Timestamp(self.cdmi.store.now().0.saturating_add(micros))
    }

    /// Where the pieces of what is in a bucket are: they count for its account.
    async fn uploads_bucket(&self, bucket: &BucketName) -> Answered<BucketName> {
        let owner = self.cdmi.store.peek_bucket(bucket).await?.owner;
        Ok(BucketName::hidden(&owner.account, PURPOSE)?)
    }

    /// Begins an upload, if there may be another one.
    async fn open_upload(&self, leaf: &Leaf, (bucket, key): (&BucketName, &Key)) -> Answered<()> {
        self.check_room(leaf, bucket).await?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.cdmi.own_grant(Action::WriteObject, resource).await?;
        let put = PutObject {
            encrypt: self.encryption_of_pieces(leaf).await?,
            bucket: bucket.clone(),
            key: key.clone(),
            precondition: Precondition::absent(),
            tag_of,
            properties: ObjectProperties {
                expires: Some(self.ends()),
                ..ObjectProperties::default()
            },
            checks: BodyChecks::default(),
            checksum: None,
        };
        let nothing = futures::stream::iter(None::<Result<Bytes>>);
        match self.cdmi.store.put(&grant, put, nothing).boxed().await {
            // Another piece has just come first.
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Ok(()),
            put => put.map(drop).map_err(Fault::from),
        }
    }

    /// Refuses to begin one upload more than there may be.
    async fn check_room(&self, leaf: &Leaf, bucket: &BucketName) -> Answered<()> {
        let (own, resource) = (&self.cdmi, Resource::Bucket(bucket.clone()));
        let grant = own.own_grant(Action::ReadBucket, resource.clone()).await?;
        let (_, usage) = own.store.bucket(&grant, bucket).await?;
        let list = ListObjects {
            bucket: bucket.clone(),
            prefix: format!("{}-", leaf.object.id.0),
            delimiter: None,
            after: None,
            until: None,
            reverse: false,
            limit: UPLOADS_OF_OBJECT_MAX,
        };
        let grant = own.own_grant(Action::ListObjects, resource).await?;
        let of_object = own.store.list(&grant, &list).await?.items.len();
        let full = |most: u64, what: &str| {
            let message = format!("{what} has {most} uploads that are open: complete them first");
            Err(Fault::Error(Error::new(ErrorKind::TooLarge, message)))
        };
        if of_object >= UPLOADS_OF_OBJECT_MAX {
            return full(UPLOADS_OF_OBJECT_MAX as u64, "the object");
        }
        if usage.objects >= UPLOADS_OF_ACCOUNT_MAX {
            return full(UPLOADS_OF_ACCOUNT_MAX, "the account");
        }
        Ok(())
    }

    /// How the pieces of an object are encrypted: as it is, or will be.
    async fn encryption_of_pieces(&self, leaf: &Leaf) -> Answered<Option<Encrypt>> {
        let bucket = self.cdmi.store.peek_bucket(&leaf.bucket).await?;
        let place = self.place_of(leaf, Precondition::none()).await?;
        let asked = encryption_of(&place.effective(&leaf.object.metadata));
        let now = leaf.object.encryption.as_ref();
        let encryption = match (now, asked) {
            (None, Some(asked)) => return Ok(Some(asked)),
            (now, _) => now.or(bucket.properties.encryption.as_ref()),
        };
        match encryption {
            None => Ok(None),
            Some(Encryption::Store) => Ok(Some(Encrypt::Store)),
            Some(Encryption::Named(name)) => Ok(Some(Encrypt::Named(name.clone()))),
            Some(Encryption::Customer { .. }) => Err(Fault::bad(
                "an object whose key its client keeps does not come in pieces of an upload",
            )),
        }
    }

    /// Takes a piece of an object's value; the last one completes the upload.
    pub(crate) async fn upload_piece(
        &self,
        leaf: &Leaf,
        upload: &Upload,
        (range, bytes): (Option<ContentRange>, Bytes),
    ) -> Answered {
        self.grant(Action::WriteObject, leaf.resource()).await?;
        self.check_conditions(leaf)?;
        let items = self.items_besides(leaf).await?;
        if !bytes.is_empty() {
            self.check_mimetype(leaf).await?;
        }
        let bucket = self.uploads_bucket(&leaf.bucket).await?;
        self.make_hidden(&bucket).await?;
        let mut hash = Sha256::new();
        hash.update(upload.id.as_bytes());
        let hash: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let key = Key::parse(format!("{}-{hash}", leaf.object.id.0))?;
        if self.cdmi.completions.has(&key) {
            return Err(being_completed());
        }
        let piece = match range {
            Some(range) => Some((range.first, range.last)),
            None if bytes.is_empty() => None,
            None => Some((0, bytes.len() as u64 - 1)),
        };
        let open = self.look(&bucket, &key).await?;
        let now = match &open {
            Some(object) => State::of(&object.properties())?,
            None => State::default(),
        };
        let mut next = now.clone();
        next.take_conditions(upload)?;
        next.take_items(&items)?;
        if let Some(piece) = piece {
            next.add(piece)?;
        }
        if open.is_none() {
            self.open_upload(leaf, (&bucket, &key)).boxed().await?;
        }
        let first = piece.map_or(0, |(first, _)| first);
        self.keep_piece((&bucket, &key), (first, bytes)).await?;
        let state = self
            .count_piece((&bucket, &key), upload, (piece, &items))
            .await?;
        let finished = piece.is_none() && (state.until.is_none() || state.is_complete());
        if piece.is_none() && !finished {
            return Err(Fault::bad("the upload is not complete"));
        }
        if !finished && !state.is_complete() {
            return Ok(bare(StatusCode::ACCEPTED));
        }
        let completions = &self.cdmi.completions;
        let _one = completions.begin(&key).ok_or_else(being_completed)?;
        // Somebody else may have completed it until now.
        let Some(object) = self.look(&bucket, &key).await? else {
            return Err(Fault::conflict("the upload was completed meanwhile"));
        };
        let state = State::of(&object.properties())?;
        // What else was changed of the object since the request began stays.
        let leaf = self.again(leaf).await?;
        self.complete(&leaf, (&bucket, &key), &state).boxed().await
    }

    /// Refuses a piece when a condition of the request does not hold. What an upload begins is not
    /// there for the pieces that follow.
    fn check_conditions(&self, leaf: &Leaf) -> Answered<()> {
        if !is_new(leaf) {
            return self.check_changeable(leaf);
        }
        match parse_precondition(&self.headers)?.for_write(None) {
            Verdict::Proceed => Ok(()),
            _ => Err(failed()),
        }
    }

    /// The metadata in headers that is not what the object has, for who may change that.
    async fn items_besides(&self, leaf: &Leaf) -> Answered<BTreeMap<String, String>> {
        let now = &leaf.object.metadata;
        let mut items = self.header_items()?;
        items.retain(|name, text| {
            let same = |item: &&String| item.eq_ignore_ascii_case(name);
            let there = now.keys().find(same).and_then(|item| now.get(item));
            there.and_then(Value::as_str).unwrap_or_default() != text.as_str()
        });
        if !items.is_empty() {
            let action = Action::WriteObjectMetadata;
            self.grant(action, leaf.resource()).await?;
            take_items(&items, &mut now.clone())?;
        }
        Ok(items)
    }

    /// Refuses another mimetype than the object has, but for who may change that.
    async fn check_mimetype(&self, leaf: &Leaf) -> Answered<()> {
        let mut of_value = leaf.object.properties();
        self.describe_value(&mut of_value, true);
        if of_value.representation != leaf.object.representation {
            let action = Action::WriteObjectAttributes;
            self.grant(action, leaf.resource()).await?;
        }
        Ok(())
    }

    /// An object as it is by now.
    async fn again(&self, leaf: &Leaf) -> Answered<Leaf> {
        let object = self.look(&leaf.bucket, &leaf.object.key).await?;
        let object = object.filter(|object| object.id == leaf.object.id);
        let object = object.ok_or_else(|| Fault::conflict("the object was replaced meanwhile"))?;
        Ok(Leaf {
            object: Box::new(object),
            ..leaf.clone()
        })
    }

    /// Puts a piece where it belongs.
    async fn keep_piece(
        &self,
        (bucket, key): (&BucketName, &Key),
        (at, bytes): (u64, Bytes),
    ) -> Answered<()> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.cdmi.own_grant(Action::WriteObject, resource).await?;
        let patch = PatchObject {
            bucket: bucket.clone(),
            key: key.clone(),
            precondition: Precondition::none(),
            tag_of,
            at: Offset::At(at),
            checks: BodyChecks::default(),
            create: None,
        };
        let body = futures::stream::iter([Ok(bytes)]);
        self.cdmi.store.patch(&grant, patch, body).boxed().await?;
        Ok(())
    }

    /// Counts a piece that is there.
    async fn count_piece(
        &self,
        (bucket, key): (&BucketName, &Key),
        upload: &Upload,
        (piece, items): (Option<(u64, u64)>, &BTreeMap<String, String>),
    ) -> Answered<State> {
        let mut of_value = ObjectProperties::default();
        self.describe_value(&mut of_value, true);
        let expires = self.ends();
        let change = |properties: &mut ObjectProperties| -> Result<()> {
            let mut state = State::of(properties)?;
            state.take_conditions(upload)?;
            state.take_items(items)?;
            if let Some(piece) = piece {
                state.add(piece)?;
                let mimetype = of_value.representation.get(CONTENT_TYPE).cloned();
                let encoding = of_value.documents.get(document::ENCODING).cloned();
                state.mimetype = mimetype.or(state.mimetype.take());
                state.encoding = encoding.or(state.encoding.take());
            }
            properties.expires = Some(expires);
            state.keep(properties)
        };
        let update = UpdateObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of,
        };
        let resource = Resource::Object(bucket.clone(), key.clone());
        let own = &self.cdmi;
        let grants = [
            own.own_grant(Action::WriteObjectMetadata, resource.clone())
                .await?,
            own.own_grant(Action::WriteObjectDocument, resource).await?,
        ];
        let object = own.store.update_object(&grants, &update, &change).await?;
        Ok(State::of(&object.properties())?)
    }

    /// Makes the pieces the value of their object, or ranges of it.
    async fn complete(
        &self,
        leaf: &Leaf,
        (bucket, key): (&BucketName, &Key),
        state: &State,
    ) -> Answered {
        let new = is_new(leaf);
        let mut properties = leaf.object.properties();
        properties.documents.remove(document::STATUS);
        take_items(&state.items, &mut properties.metadata)?;
        if let Some(mimetype) = &state.mimetype {
            let name = CONTENT_TYPE.to_owned();
            properties.representation.insert(name, mimetype.clone());
            properties.documents.remove(document::MIMETYPE_SAID);
        }
        if let Some(encoding) = &state.encoding {
            let name = document::ENCODING.to_owned();
            properties.documents.insert(name, encoding.clone());
        }
        match new || state.replace == Some(true) {
            true => {
                let former = (&BTreeMap::new(), 0);
                let pieces = state.pieces.iter();
                let written = pieces.map(|(first, last)| (*first, last.saturating_add(1)));
                crate::gaps::note(&mut properties.documents, former, written);
                self.take_whole(leaf, (bucket, key), &properties).await?
            }
            false => {
                self.take_ranges(leaf, (bucket, key), (state, properties))
                    .await?
            }
        }
        self.forget_upload(bucket, key).await?;
        let status = match new {
            true => StatusCode::CREATED,
            false => StatusCode::NO_CONTENT,
        };
        let response: Response<Body> = bare(status);
        Ok(response)
    }

    /// Makes the pieces ranges of their object.
    async fn take_ranges(
        &self,
        leaf: &Leaf,
        (bucket, key): (&BucketName, &Key),
        (state, mut properties): (&State, ObjectProperties),
    ) -> Answered<()> {
        let end = |last: u64| last.saturating_add(1);
        let after = state.pieces.iter().map(|(_, last)| end(*last)).max();
        let small = is_rewritten(leaf, after.unwrap_or_default());
        if !small {
            self.check_changeable(leaf)?;
            self.check_besides(leaf, &properties).await?;
        }
        let mut ranges = Vec::new();
        for (first, last) in &state.pieces {
            let piece = self.piece_of(bucket, key, (*first, end(*last))).await?;
            match small {
                true => ranges.push((*first, piece)),
                // They may be far more than memory holds: one goes before the next is read.
                false => self.patch_range(leaf, (*first, piece)).await?,
            }
        }
        match small {
            true => self.patch(leaf, properties, ranges).await,
            false => {
                let former = (&leaf.object.documents, leaf.object.length());
                let pieces = state.pieces.iter();
                let written = pieces.map(|(first, last)| (*first, end(*last)));
                crate::gaps::note(&mut properties.documents, former, written);
                self.finish_patch(leaf, properties).await
            }
        }
    }

    async fn take_whole(
        &self,
        leaf: &Leaf,
        (bucket, key): (&BucketName, &Key),
        properties: &ObjectProperties,
    ) -> Answered<()> {
        crate::protect::check_change(&leaf.object, self.cdmi.store.now())?;
        self.check_besides(leaf, properties).await?;
        let place = self.place_of(leaf, unchanged(&leaf.object)).await?;
        let effective = place.effective(&properties.metadata);
        let at = (&place.bucket, &place.key);
        self.keep_version(at, &effective, false).await?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let read = self.cdmi.own_grant(Action::ReadObject, resource).await?;
        let write = self.grant(Action::WriteObject, leaf.resource()).await?;
        let copy = CopyObject {
            encrypt: encryption_of(&effective),
            source: Source {
                key_of_client: None,
                itself: false,
                bucket: bucket.clone(),
                key: key.clone(),
                version: VersionRef::Current,
                precondition: Precondition::none(),
                tag_of,
                range: None,
            },
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            precondition: place.precondition.clone(),
            tag_of,
            checksum: hash_of(&effective),
        };
        let made = |_: &Object| -> Result<ObjectProperties> { Ok(properties.clone()) };
        let store = &self.cdmi.store;
        match store.copy_over(&read, &write, copy, &made).boxed().await {
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
                return Err(Fault::conflict("the object was changed meanwhile"));
            }
            copied => drop(copied?),
        }
        self.version_of_updated(leaf).await
    }

    /// The bytes of a piece, from one offset to before another.
    async fn piece_of(
        &self,
        bucket: &BucketName,
        key: &Key,
        (start, end): (u64, u64),
    ) -> Answered<Bytes> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.cdmi.own_grant(Action::ReadObject, resource).await?;
        let read = ReadObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: VersionRef::Current,
        };
        let reader = self.cdmi.store.open_object(&grant, &read).await?;
        crate::content::collect(reader, ResolvedRange { start, end }).await
    }

    async fn forget_upload(&self, bucket: &BucketName, key: &Key) -> Answered<()> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.cdmi.own_grant(Action::DeleteObject, resource).await?;
        let mut delete =
            DeleteObject::current(bucket.clone(), key.clone(), Precondition::none(), tag_of);
        delete.history = History::Erase;
        match self.cdmi.store.delete(&[grant], delete).await {
            Err(error) if is_missing(&error) => Ok(()),
            deleted => {
                deleted?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_uploads_and_what_completes_them() {
        let parse = |text: &str| Upload::parse(text).unwrap().unwrap();
        let upload = parse("upload-id=87; count=2; replace=true");
        assert_eq!(
            (upload.until, upload.replace),
            (Some(Until::Count(2)), Some(true))
        );
        assert_eq!(
            parse("upload-id=a;range=0-49").until,
            Some(Until::Range(0, 49))
        );
        assert_eq!(parse("upload-id=a").until, None);
        assert_eq!(Upload::parse("true").unwrap(), None);
        for bad in [
            "upload-id=",
            "upload-id=a b",
            "upload-id=a;count=0",
            "upload-id=a;count=1;range=0-1",
            "upload-id=a;range=2-1",
            "upload-id=a;replace=perhaps",
            "upload-id=a;other=1",
            "upload-id=a;",
        ] {
            assert!(Upload::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_request_at_a_time_completes_an_upload() {
        let completions = Completions::default();
        let key = |text: &str| Key::parse(text).unwrap();
        let first = completions.begin(&key("a")).unwrap();
        assert!(completions.has(&key("a")) && completions.begin(&key("a")).is_none());
        assert!(completions.begin(&key("b")).is_some());
        drop(first);
        assert!(!completions.has(&key("a")) && completions.begin(&key("a")).is_some());
    }

    #[test]
    fn an_upload_is_complete_when_its_condition_holds() {
        let upload = |text: &str| Upload::parse(text).unwrap().unwrap();
        let mut state = State::default();
        state
            .take_conditions(&upload("upload-id=a;range=0-9"))
            .unwrap();
        state.add((5, 9)).unwrap();
        state.add((5, 9)).unwrap();
        assert!(!state.is_complete());
        assert!(state.add((4, 5)).is_err());
        state.add((0, 4)).unwrap();
        assert!(state.is_complete());
        assert!(
            state
                .take_conditions(&upload("upload-id=a;count=2"))
                .is_err()
        );
        state
            .take_conditions(&upload("upload-id=a;replace=true"))
            .unwrap();
        assert!(
            state
                .take_conditions(&upload("upload-id=a;replace=false"))
                .is_err()
        );
        let mut state = State::default();
        state
            .take_conditions(&upload("upload-id=a;count=2"))
            .unwrap();
        state.add((10, 10)).unwrap();
        state.add((3, 4)).unwrap();
        assert!(state.is_complete());
        assert!(state.add((0, 0)).is_err());
    }
}
