//! What a dialect keeps for itself: entries in hidden buckets, which are made when they are first
//! written to. An entry is an object without bytes, whose documents say what there is to say.
//!
//! It is read and written by the server's own right, whoever asks. Refused: a bucket that is not hidden,
//! so that this right never reaches what a client can name.

use crate::nouns::{DeleteObject, ListObjects, ListingItem, Object, PutObject, VersionRef};
use crate::properties::ObjectProperties;
use crate::receive::BodyChecks;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Noun, Precondition, Result};

/// Entries of one page.
const PAGE: usize = 1000;

/// The books of a dialect.
#[derive(Clone)]
pub struct Books {
    store: Arc<Store>,
    account: AccountId,
}

fn is_missing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound(Noun::Bucket | Noun::Object)
    )
}

fn check(bucket: &BucketName) -> Result<()> {
    match bucket.is_hidden() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Internal,
            "a book is no client's bucket",
        )),
    }
}

impl Books {
    /// The books that are kept in the name of an account's server.
    pub fn new(store: Arc<Store>, account: AccountId) -> Self {
        Books { store, account }
    }

    async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let context = Context::at(self.store.now()).of("internal", None);
        let asked = Asked {
            principal: Arc::new(Principal::server(self.account.clone())),
            action,
            resource,
            context: Arc::new(context.quietly()),
        };
        self.store.authorize(asked).await
    }

    /// Makes a book when it is not there.
    ///
    /// # Errors
    /// `Internal` for a bucket that is not hidden; those of [`Store::create_bucket`].
    pub async fn make(&self, bucket: &BucketName) -> Result<()> {
        check(bucket)?;
        match self.store.peek_bucket(bucket).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.grant(Action::CreateBucket, resource).await?;
        match self.store.create_bucket(&grant, bucket).await {
            Ok(_) => Ok(()),
            // Somebody else has just made it.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An entry; none when there is none, or it has ended.
    ///
    /// # Errors
    /// `Internal` for a bucket that is not hidden; the engine's.
    pub async fn entry(&self, bucket: &BucketName, key: &Key) -> Result<Option<Object>> {
        check(bucket)?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let read = async {
            let grant = self.grant(Action::ReadObjectMetadata, resource).await?;
            let current = VersionRef::Current;
            self.store.head_itself(&grant, bucket, key, current).await
        };
        match read.await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an entry. The tags of the condition are revisions; when it does not hold, nothing is
    /// written and the answer is no.
    ///
    /// # Errors
    /// `Internal` for a bucket that is not hidden; those of [`Store::put`].
    pub async fn keep(
        &self,
        bucket: &BucketName,
        key: Key,
        properties: ObjectProperties,
        precondition: Precondition,
    ) -> Result<bool> {
        self.make(bucket).await?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.grant(Action::WriteObject, resource).await?;
        let put = PutObject {
            encrypt: None,
            bucket: bucket.clone(),
            key,
            precondition,
            tag_of: Object::revision,
            properties,
            checks: BodyChecks::default(),
            checksum: None,
        };
        let nothing = futures::stream::iter(None::<Result<Bytes>>);
        match self.store.put(&grant, put, nothing).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry, if it is there.
    ///
    /// # Errors
    /// `Internal` for a bucket that is not hidden; those of [`Store::delete`].
    pub async fn forget(&self, bucket: &BucketName, key: Key) -> Result<()> {
        check(bucket)?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.grant(Action::DeleteObject, resource).await?;
        let always = Precondition::none();
        let delete = DeleteObject::current(bucket.clone(), key, always, Object::revision);
        match self.store.delete(&[grant], delete).await {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// A page of the entries whose keys start with a prefix, and after which key the next one begins.
    /// What has ended is not among them.
    ///
    /// # Errors
    /// `Internal` for a bucket that is not hidden; the engine's.
    pub async fn entries(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<String>,
    ) -> Result<(Vec<Object>, Option<String>)> {
        check(bucket)?;
        let list = ListObjects {
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            delimiter: None,
            after,
            until: None,
            reverse: false,
            limit: PAGE,
        };
        let read = async {
            let resource = Resource::Bucket(bucket.clone());
            let grant = self.grant(Action::ListObjects, resource).await?;
            self.store.list(&grant, &list).await
        };
        let page = match read.await {
            Ok(page) => page,
            Err(error) if is_missing(&error) => return Ok((Vec::new(), None)),
            Err(error) => return Err(error),
        };
        let entry = |item| match item {
            ListingItem::Object(object) => Some(*object),
            ListingItem::Prefix(_) => None,
        };
        let entries = page.items.into_iter().filter_map(entry);
        Ok((entries.collect(), page.next))
    }
}
