//! What the dialect keeps for itself: entries in hidden buckets of the first account ([`Books`]).
//!
//! Nobody's request is answered by what is read here alone: an entry says how far something is, or
//! when something was deleted, never who may do what.

use crate::swift::Swift;
use std::collections::BTreeMap;
use trestle_core::{AccountId, BucketName, Key, Precondition, Result, Timestamp};
use trestle_store::{Books, Object, ObjectProperties};

/// The account that the books are in.
const ACCOUNT: &str = "root";
/// The document that holds an entry's text.
const TEXT: &str = "swift.entry";

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

impl Swift {
    fn books(&self) -> Result<Books> {
        Ok(Books::new(self.store.clone(), AccountId::parse(ACCOUNT)?))
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
        let found = self.books()?.entry(&bucket, &key).await?;
        Ok(found.as_ref().map(entry_of))
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
        let properties = ObjectProperties {
            documents: BTreeMap::from([(TEXT.to_owned(), text)]),
            expires,
            ..ObjectProperties::default()
        };
        let books = self.books()?;
        books.keep(&bucket, key, properties, precondition).await
    }

    /// Removes an entry, if it is there.
    pub(crate) async fn forget(&self, book: Book, key: &str) -> Result<()> {
        let (bucket, key) = (self.book(book)?, Key::parse(key)?);
        self.books()?.forget(&bucket, key).await
    }

    /// A page of the entries whose keys start with a prefix, and after which key the next one
    /// begins. What has ended is not among them.
    pub(crate) async fn entries(
        &self,
        book: Book,
        prefix: &str,
        after: Option<String>,
    ) -> Result<(Vec<(String, Entry)>, Option<String>)> {
        let bucket = self.book(book)?;
        let (found, next) = self.books()?.entries(&bucket, prefix, after).await?;
        let entry = |object: &Object| (object.key.as_str().to_owned(), entry_of(object));
        Ok((found.iter().map(entry).collect(), next))
    }
}
