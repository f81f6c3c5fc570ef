//! Bytes of objects: read whole or in part, written whole, or changed in place with everything
//! else about the object kept.

use crate::books::tag_of;
use crate::call::Call;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::node::{Leaf, document};
use crate::rights;
use crate::versions::{is_data, level_of};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, Stream, StreamExt};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    BucketName, DigestAlgorithm, Error, ErrorKind, Key, Metadata, Noun, ObjectId, Owner,
    Precondition, ResolvedRange, Result,
};
use trestle_store::{
    BodyChecks, Encrypt, ObjectBytes, ObjectProperties, ObjectReader, PutObject, PutOutcome,
    ReadObject, VersionRef,
};

/// Largest value that travels within a document; larger ones are read in ranges or as they are.
pub(crate) const VALUE_BYTES_MAX: u64 = 32 << 20;

/// Where a new object goes, and on which condition.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) bucket: BucketName,
    pub(crate) key: Key,
    pub(crate) precondition: Precondition,
    /// The id of a new object, when it is chosen beforehand.
    pub(crate) id: Option<ObjectId>,
    /// The access control list that a new object gets when the request sets none.
    pub(crate) acl: Option<String>,
    /// The owner and the list of the nested container that it is in, when that has one: who may add
    /// to it may write there what is new.
    pub(crate) adding: Option<(Owner, String)>,
    /// Data system metadata that the containers around it pass on.
    pub(crate) inherited: Metadata,
    /// Whether a write leaves no version, whatever metadata asks for.
    pub(crate) unversioned: bool,
    /// The id of another server that a reference is known by.
    pub(crate) known_as: Option<String>,
    /// Whether nothing is there yet: what comes along with it takes its own rights.
    new: bool,
}

impl Destination {
    /// Where nothing may be yet.
    pub(crate) fn free(bucket: BucketName, key: Key) -> Self {
        Destination {
            bucket,
            key,
            precondition: Precondition::absent(),
            id: None,
            acl: None,
            adding: None,
            inherited: Metadata::new(),
            unversioned: false,
            known_as: None,
            new: true,
        }
    }

    /// Whether nothing is to be there yet.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// The data system metadata that counts for an object with this metadata of its own.
    pub(crate) fn effective(&self, own: &Metadata) -> Metadata {
        let mut effective = self.inherited.clone();
        effective.extend(own.clone());
        effective
    }
}

impl Call<'_> {
    /// Where an object is, whatever became of it meanwhile.
    pub(crate) async fn place_of(
        &self,
        leaf: &Leaf,
        precondition: Precondition,
    ) -> Answered<Destination> {
        let mut destination = Destination::free(leaf.bucket.clone(), leaf.object.key.clone());
        destination.precondition = precondition;
        destination.new = false;
        if let Some(names) = &leaf.names {
            destination.inherited = self.inherited(names).await?;
        }
        Ok(destination)
    }

    /// The right to read an object's bytes.
    pub(crate) async fn right_to_read(&self, leaf: &Leaf) -> Result<Grant> {
        let grant = self.grant(Action::ReadObject, leaf.resource()).await?;
        if leaf.version_of.is_none() {
            return Ok(grant);
        }
        let resource = Resource::Object(leaf.bucket.clone(), leaf.object.key.clone());
        self.cdmi.own_grant(Action::ReadObject, resource).await
    }

    /// Opens an object for reading its bytes.
    pub(crate) async fn open(&self, leaf: &Leaf) -> Answered<ObjectReader> {
        let grant = self.right_to_read(leaf).await?;
        let read = ReadObject {
            bucket: leaf.bucket.clone(),
            key: leaf.object.key.clone(),
            version: VersionRef::Current,
        };
        Ok(self.cdmi.store.open_object(&grant, &read).await?)
    }

    /// The right to write there.
    pub(crate) async fn right_to_write(&self, destination: &Destination) -> Result<Grant> {
        let resource = || Resource::Object(destination.bucket.clone(), destination.key.clone());
        if let Some((owner, acl)) = &destination.adding {
            let asked = self.asked(Action::WriteObject, resource());
            let store = &self.cdmi.store;
            match store.authorize_added(asked, (owner, acl)).boxed().await {
                Err(error) if error.kind() == ErrorKind::Forbidden => {}
                decided => return decided,
            }
        }
        self.grant(Action::WriteObject, resource()).await
    }

    /// Asks for the right to each thing that comes along with something new, as if it were there
    /// already: the right to make it is none to its list, its retention or holds.
    pub(crate) async fn check_new(
        &self,
        destination: &Destination,
        new: &ObjectProperties,
    ) -> Result<()> {
        let inherited = destination.acl.as_deref();
        let comes = [
            (
                new.acl.is_some() && new.acl.as_deref() != inherited,
                Action::WriteObjectAcl,
            ),
            (new.retention.is_some(), Action::WriteObjectRetention),
            (new.legal_hold, Action::WriteLegalHold),
        ];
        for (_, action) in comes.into_iter().filter(|(comes, _)| *comes) {
            let resource = Resource::Object(destination.bucket.clone(), destination.key.clone());
            self.check_made(action, resource, inherited).await?;
        }
        match &new.acl {
            Some(list) if Some(list.as_str()) != inherited => {
                self.check_blocked(&destination.bucket, list).await
            }
            _ => Ok(()),
        }
    }

    /// Refuses a public list that a document names where public lists are blocked, also one that is
    /// there already.
    pub(crate) async fn check_named_list(
        &self,
        bucket: &BucketName,
        document: &Document,
    ) -> Result<()> {
        let Some(update) = self.metadata_update(document) else {
            return Ok(());
        };
        let mut list = None;
        rights::apply(&update, &mut list)?;
        match list {
            Some(list) => self.check_blocked(bucket, &list).await,
            None => Ok(()),
        }
    }

    async fn check_blocked(&self, bucket: &BucketName, list: &str) -> Result<()> {
        let checked = self.cdmi.store.check_blocked(bucket, None, Some(list));
        match checked.boxed().await {
            // What the dialect keeps for itself is in no bucket that a block speaks of.
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => Ok(()),
            checked => checked,
        }
    }

    /// Writes a whole object; the hash that its metadata asks for is taken of the bytes.
    pub(crate) async fn write<B>(
        &self,
        destination: &Destination,
        mut properties: ObjectProperties,
        declared_length: Option<u64>,
        body: B,
    ) -> Answered<PutOutcome>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let Destination {
            bucket,
            key,
            precondition,
            id,
            acl,
            ..
        } = destination.clone();
        properties.acl = rights::of_new(properties.acl, acl.as_deref())?;
        let effective = destination.effective(&properties.metadata);
        let versioned = !destination.unversioned
            && is_data(&properties.documents)
            && level_of(&effective)?.is_some();
        if versioned {
            self.keep_version((&bucket, &key), &effective, false)
                .await?;
            let yes = "true".to_owned();
            properties
                .documents
                .insert(document::VERSIONED.to_owned(), yes);
        }
        let grant = self.right_to_write(destination).await?;
        if destination.new {
            self.check_new(destination, &properties).boxed().await?;
        }
        self.note_own_abroad(&bucket).boxed().await?;
        let put = PutObject {
            encrypt: encryption_of(&effective),
            bucket,
            key,
            precondition,
            tag_of,
            checks: BodyChecks {
                declared_length,
                algorithms: hash_of(&effective).into_iter().collect(),
                ..BodyChecks::default()
            },
            properties,
            checksum: None,
        };
        let store = &self.cdmi.store;
        let written = match id {
            Some(id) => store.put_as(&grant, put, id, body).boxed().await,
            None if destination.new => store.put(&grant, put, body).boxed().await,
            // What changes stays whose it is.
            None => store.put_over(&grant, put, body).boxed().await,
        };
        let written = written?;
        if versioned {
            let place = (&destination.bucket, &destination.key);
            self.version_after(place, &effective, false).await;
        }
        Ok(written)
    }

    /// Writes a whole object of bytes at hand.
    pub(crate) async fn write_bytes(
        &self,
        destination: &Destination,
        properties: ObjectProperties,
        bytes: Bytes,
    ) -> Answered<PutOutcome> {
        let length = Some(bytes.len() as u64);
        let body = futures::stream::iter([Ok(bytes)]);
        self.write(destination, properties, length, body).await
    }
}

/// The hash that metadata asks for.
pub(crate) fn hash_of(metadata: &Metadata) -> Option<DigestAlgorithm> {
    match metadata.get("cdmi_value_hash")?.as_str()? {
        "SHA160" => Some(DigestAlgorithm::Sha1),
        "SHA256" => Some(DigestAlgorithm::Sha256),
        _ => None,
    }
}

/// The encryption that metadata asks for. There is one algorithm, whichever is named, as the
/// standard allows.
pub(crate) fn encryption_of(metadata: &Metadata) -> Option<Encrypt> {
    let named = metadata.get("cdmi_encryption")?.as_str()?;
    (!named.is_empty()).then_some(Encrypt::Store)
}

/// Bytes of a range, all of them, at most as many as a document carries.
pub(crate) async fn collect(reader: ObjectReader, range: ResolvedRange) -> Answered<Bytes> {
    if range.len() > VALUE_BYTES_MAX {
        return Err(Fault::Error(Error::new(
            ErrorKind::TooLarge,
            format!("a document carries at most {VALUE_BYTES_MAX} bytes of a value: read a range"),
        )));
    }
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => Ok(bytes),
        ObjectBytes::Stream(mut stream) => {
            let mut all = BytesMut::new();
            while let Some(piece) = stream.next().await {
                all.extend_from_slice(&piece?);
            }
            Ok(all.freeze())
        }
    }
}

/// The bytes of a whole object as a stream.
pub(crate) async fn pieces(
    reader: ObjectReader,
) -> Answered<futures::stream::BoxStream<'static, Result<Bytes>>> {
    let range = ResolvedRange {
        start: 0,
        end: reader.object().length(),
    };
    Ok(match reader.into_bytes(range).await? {
        ObjectBytes::Whole(bytes) => futures::stream::iter([Ok(bytes)]).boxed(),
        ObjectBytes::Stream(stream) => stream.boxed(),
    })
}
