//! What the dialect keeps for itself: entries in hidden buckets of the first account, which are made
//! when they are first needed.
//!
//! Nobody's request is answered by what is read here alone: an entry says how far something is, or
//! when something was deleted, never who may do what.

use crate::facts;
use crate::swift::Swift;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Key, Precondition, Result, Timestamp};
use trestle_store::{
    BodyChecks, DeleteObject, ListObjects, ListingItem, Object, ObjectProperties, PutObject,
    VersionRef,
};

/// The account that the books are in.
const ACCOUNT: &str = "root";
/// The document that holds an entry's text.
const TEXT: &str = "swift.entry";
/// Entries of one page.
const PAGE: usize = 1000;

/// A book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Book {
    /// How far each container is that is synchronised.
    Synchronised,
    /// When what is no longer in such a container was deleted.
    Deleted,
}

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) revision: String,
}

fn entry_of(object: &Object) -> Entry {
    Entry {
        text: object.documents.get(TEXT).cloned().unwrap_or_default(),
        revision: object.revision(),
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound(_))
}

impl Swift {
    /// A grant of the server itself.
    async fn own_grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        let context = Context::at(self.host.clock.now()).of("internal", None);
        let asked = Asked {
            principal: Arc::new(Principal::server(AccountId::parse(ACCOUNT)?)),
            action,
            resource,
            context: Arc::new(context.quietly()),
        };
        self.store.authorize(asked).await
    }

    fn book(&self, book: Book) -> Result<BucketName> {
        let purpose = match book {
            Book::Synchronised => "swift-synchronised",
            Book::Deleted => "swift-deleted",
        };
        BucketName::hidden(&AccountId::parse(ACCOUNT)?, purpose)
    }

    /// An entry; none when there is none, or it has ended.
    pub(crate) async fn entry(&self, book: Book, key: &str) -> Result<Option<Entry>> {
        let (bucket, key) = (self.book(book)?, Key::parse(key)?);
        let resource = Resource::Object(bucket.clone(), key.clone());
        let read = async {
            let grant = self.own_grant(Action::ReadObjectMetadata, resource).await?;
            let current = VersionRef::Current;
            self.store.head_itself(&grant, &bucket, &key, current).await
        };
        match read.await {
            Ok(object) => Ok(Some(entry_of(&object))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an entry, which ends at a time if one is given. Not when the condition on what is there
    /// so far does not hold: then the answer is no.
    pub(crate) async fn keep(
        &self,
        (book, key): (Book, &str),
        text: String,
        precondition: Precondition,
        expires: Option<Timestamp>,
    ) -> Result<bool> {
        let (bucket, key) = (self.book(book)?, Key::parse(key)?);
        self.make(&bucket).await?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.own_grant(Action::WriteObject, resource).await?;
        let put = PutObject {
            encrypt: None,
            bucket,
            key,
            precondition,
            tag_of: Object::revision,
            properties: ObjectProperties {
                documents: BTreeMap::from([(TEXT.to_owned(), text)]),
                expires,
                ..ObjectProperties::default()
            },
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

    /// Makes a book when it is not there.
    async fn make(&self, bucket: &BucketName) -> Result<()> {
        match self.store.peek_bucket(bucket).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
        let resource = Resource::Bucket(bucket.clone());
        let grant = self.own_grant(Action::CreateBucket, resource).await?;
        match self.store.create_bucket(&grant, bucket).await {
            Ok(_) => Ok(()),
            // Somebody else has just made it.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry, if it is there.
    pub(crate) async fn forget(&self, book: Book, key: &str) -> Result<()> {
        let (bucket, key) = (self.book(book)?, Key::parse(key)?);
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.own_grant(Action::DeleteObject, resource).await?;
        let delete = DeleteObject::current(bucket, key, Precondition::none(), facts::tag);
        match self.store.delete(&[grant], delete).await {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// A page of the entries whose keys start with a prefix, and after which key the next one
    /// begins. What has ended may be among them.
    pub(crate) async fn entries(
        &self,
        book: Book,
        prefix: &str,
        after: Option<String>,
    ) -> Result<(Vec<(String, Entry)>, Option<String>)> {
        let bucket = self.book(book)?;
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
            let resource = Resource::Bucket(bucket);
            let grant = self.own_grant(Action::ListObjects, resource).await?;
            self.store.list(&grant, &list).await
        };
        let page = match read.await {
            Ok(page) => page,
            Err(error) if is_missing(&error) => return Ok((Vec::new(), None)),
            Err(error) => return Err(error),
        };
        let entry = |item| match item {
            ListingItem::Object(object) => {
                let key = object.key.as_str().to_owned();
                Some((key, entry_of(&object)))
            }
            ListingItem::Prefix(_) => None,
        };
        Ok((
            page.items.into_iter().filter_map(entry).collect(),
            page.next,
        ))
    }
}
