//! What a dialect keeps for itself.

use crate::fixture::{Fixture, START, account, key, kind, name};
use std::collections::BTreeMap;
use trestle_core::{BucketName, ErrorKind, Precondition, Timestamp};
use trestle_store::{Books, ObjectProperties};

fn text(text: &str) -> ObjectProperties {
    ObjectProperties {
        documents: BTreeMap::from([("dialect.entry".to_owned(), text.to_owned())]),
        ..ObjectProperties::default()
    }
}

#[tokio::test]
async fn entries_are_kept_conditionally_and_forgotten() {
    let f = Fixture::new().await;
    let books = Books::new(f.store.clone(), account());
    let book = BucketName::hidden(&account(), "book").unwrap();
    // What was never written to is empty.
    assert_eq!(books.entry(&book, &key("a")).await.unwrap(), None);
    assert_eq!(books.entries(&book, "", None).await.unwrap().0, []);
    books.forget(&book, key("a")).await.unwrap();
    let keep = |k: &str, properties, precondition| {
        let (books, book, k) = (books.clone(), book.clone(), key(k));
        async move { books.keep(&book, k, properties, precondition).await }
    };
    assert!(keep("a", text("1"), Precondition::absent()).await.unwrap());
    assert!(!keep("a", text("2"), Precondition::absent()).await.unwrap());
    let ends = ObjectProperties {
        expires: Some(Timestamp(START.0 + 1_000_000)),
        ..text("3")
    };
    assert!(keep("b/c", ends, Precondition::none()).await.unwrap());
    let found = books.entry(&book, &key("a")).await.unwrap().unwrap();
    assert_eq!(found.documents["dialect.entry"], "1");
    let (below, next) = books.entries(&book, "b/", None).await.unwrap();
    assert_eq!((below.len(), next), (1, None));
    f.clock.set(Timestamp(START.0 + 2_000_000));
    assert_eq!(books.entry(&book, &key("b/c")).await.unwrap(), None);
    books.forget(&book, key("a")).await.unwrap();
    assert_eq!(books.entry(&book, &key("a")).await.unwrap(), None);
    f.assert_sound().await;
}

#[tokio::test]
async fn no_bucket_that_a_client_can_name_is_a_book() {
    let f = Fixture::new().await;
    f.put("k", b"of a client").await.unwrap();
    let books = Books::new(f.store.clone(), account());
    let (bucket, none) = (name("b"), Precondition::none());
    let internal = ErrorKind::Internal;
    assert_eq!(kind(books.make(&name("new")).await), internal);
    assert_eq!(kind(books.entry(&bucket, &key("k")).await), internal);
    assert_eq!(kind(books.entries(&bucket, "", None).await), internal);
    assert_eq!(kind(books.forget(&bucket, key("k")).await), internal);
    let kept = books.keep(&bucket, key("k"), text("x"), none).await;
    assert_eq!(kind(kept), internal);
    assert_eq!(f.read("k").await.unwrap(), b"of a client");
}
