//! The change feed: what happened, in order, resumed without loss, and forgotten in the end.

use crate::fixture::{Fixture, START, a_put, kind, name, on_bucket};
use futures::FutureExt;
use trestle_access::Action;
use trestle_core::{ErrorKind, Result, Sequence, Timestamp};
use trestle_store::{Ended, Event, EventKind, FeedPage, ReadFeed, VersionRef, Versioning};

impl Fixture {
    async fn feed(&self, bucket: &str, after: Sequence, limit: usize) -> Result<FeedPage> {
        let read = ReadFeed {
            bucket: name(bucket),
            after,
            limit,
        };
        let grant = on_bucket(Action::ListObjects, bucket);
        self.store.read_feed(&grant, &read).await
    }
}

fn told(page: &FeedPage) -> Vec<(EventKind, Option<String>)> {
    let events = page.entries.iter().flat_map(|entry| &entry.events);
    events
        .map(|event| {
            (
                event.kind,
                event.key.as_ref().map(|k| k.as_str().to_owned()),
            )
        })
        .collect()
}

#[tokio::test]
async fn what_happened_is_told_in_order_and_resumed_anywhere() {
    let fixture = Fixture::new().await;
    let start = fixture.store.newest_sequence().await.unwrap();
    fixture.create("other").await.unwrap();
    let written = fixture.put("a", b"1").await.unwrap().object;
    fixture.put("b", &[2; 200_000]).await.unwrap();
    fixture.put("a", b"3").await.unwrap();
    fixture.delete("b").await.unwrap();
    fixture.versioning(Versioning::Enabled).await.unwrap();
    fixture.put("a", b"4").await.unwrap();
    let marker = fixture.mark("a").await;
    let version = VersionRef::Id(marker.version);
    fixture.delete_version("a", version).await.unwrap();

    let a = || Some("a".to_owned());
    let expected = [
        (EventKind::Written, a()),
        (EventKind::Written, Some("b".to_owned())),
        (EventKind::Written, a()),
        (EventKind::Removed, Some("b".to_owned())),
        (EventKind::Written, a()),
        (EventKind::Marked, a()),
        (EventKind::Removed, a()),
    ];
    let whole = fixture.feed("b", start, 100).await.unwrap();
    assert_eq!(told(&whole), expected);
    assert!(!whole.more);
    let first = &whole.entries[0];
    assert_eq!(first.events[0].version, Some(written.version));
    assert_eq!(first.events[0].length, Some(1));
    assert_eq!(first.time, START);
    for limit in 1..4 {
        let (mut after, mut events) = (start, Vec::new());
        loop {
            let page = fixture.feed("b", after, limit).await.unwrap();
            assert!(page.entries.len() <= limit);
            events.extend(told(&page));
            after = page.last;
            if !page.more {
                break;
            }
        }
        assert_eq!(events, expected);
        let newest = fixture.store.newest_sequence().await.unwrap();
        assert_eq!(after, newest);
    }
    let other = fixture.feed("other", start, 100).await.unwrap();
    assert_eq!(told(&other), [(EventKind::BucketCreated, None)]);
    fixture.assert_sound().await;
}

#[tokio::test]
async fn what_is_gone_tells_whether_its_key_showed_it_and_whether_its_end_had_come() {
    let f = Fixture::new().await;
    let start = f.store.newest_sequence().await.unwrap();
    let gone = |page: &FeedPage| -> Vec<Event> {
        let events = page.entries.iter().flat_map(|entry| entry.events.clone());
        let goes = |event: &Event| matches!(event.kind, EventKind::Removed | EventKind::Marked);
        events.filter(goes).collect()
    };
    f.put("plain", b"x").await.unwrap();
    f.delete("plain").await.unwrap();
    let mut put = a_put("b", "k");
    put.properties.expires = Some(Timestamp(START.0 + 1_000_000));
    for name in ["dialect.other", "dialect.own.of-write"] {
        let documents = &mut put.properties.documents;
        documents.insert(name.to_owned(), "text".to_owned());
    }
    let object = f.put_with(put.clone(), b"x").await.unwrap().object;
    f.clock.set(Timestamp(START.0 + 5_000_000));
    assert_eq!(f.store.expire_due(10).await.unwrap(), 1);
    let events = gone(&f.feed("b", start, 100).await.unwrap());
    let [plain, ended] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(plain.ended.is_none() && plain.former.is_some());
    assert_eq!(plain.former, plain.version);
    assert_eq!(ended.former, Some(object.version));
    let documents = [("dialect.own.of-write".to_owned(), "text".to_owned())];
    let what = Ended {
        modified: object.modified,
        documents: documents.into(),
    };
    assert_eq!(ended.ended, Some(what));

    f.versioning(Versioning::Enabled).await.unwrap();
    let start = f.store.newest_sequence().await.unwrap();
    let first = f.put("k", b"1").await.unwrap().object;
    let second = f.put("k", b"2").await.unwrap().object;
    f.mark("k").await;
    let version = VersionRef::Id(first.version);
    f.delete_version("k", version).await.unwrap();
    put.properties.expires = Some(Timestamp(START.0 + 6_000_000));
    let third = f.put_with(put, b"3").await.unwrap().object;
    f.clock.set(Timestamp(START.0 + 7_000_000));
    assert_eq!(f.store.expire_due(10).await.unwrap(), 1);
    let events = gone(&f.feed("b", start, 100).await.unwrap());
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.former, event.ended.is_some()))
        .collect();
    let expected = [
        (EventKind::Marked, Some(second.version), false),
        (EventKind::Removed, None, false),
        (EventKind::Marked, Some(third.version), true),
    ];
    assert_eq!(told, expected);
    f.assert_sound().await;
}

#[tokio::test]
async fn buckets_are_told_in_which_something_happened() {
    let fixture = Fixture::new().await;
    let start = fixture.store.newest_sequence().await.unwrap();
    let nothing = fixture.store.changed_buckets(start).await.unwrap();
    assert!(nothing.names.is_empty() && !nothing.more && nothing.last == start);
    fixture.create("other").await.unwrap();
    fixture.put("a", b"1").await.unwrap();
    let changed = fixture.store.changed_buckets(start).await.unwrap();
    assert_eq!(changed.names, [name("b"), name("other")].into());
    let newest = fixture.store.newest_sequence().await.unwrap();
    assert_eq!(changed.last, newest);
    let after = fixture.store.changed_buckets(newest).await.unwrap();
    assert!(after.names.is_empty());
    let beyond = fixture.store.changed_buckets(Sequence(newest.0 + 1)).await;
    assert_eq!(beyond.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn what_is_no_longer_kept_is_an_error_and_never_a_gap() {
    let fixture = Fixture::new().await;
    let start = fixture.store.newest_sequence().await.unwrap();
    for n in 0..2_500 {
        fixture.put("k", n.to_string().as_bytes()).await.unwrap();
    }
    let middle = fixture.store.newest_sequence().await.unwrap();
    let week = 7 * 24 * 3_600 * 1_000_000;
    fixture.clock.set(Timestamp(START.0 + week + 10_000_000));
    fixture.put("k", b"young").await.unwrap();
    // A little too old is not worth a commit.
    let newest = fixture.store.newest_sequence().await.unwrap();
    fixture.store.tidy().await.unwrap();
    assert_eq!(fixture.store.newest_sequence().await.unwrap(), newest);
    assert!(fixture.feed("b", start, 10).await.is_ok());
    let late = START.0 + week + week / 90;
    fixture.clock.set(Timestamp(late));
    fixture.store.tidy().await.unwrap();
    assert_eq!(
        kind(fixture.feed("b", start, 10).await),
        ErrorKind::NoLongerKept
    );
    let page = fixture.feed("b", middle, 10).await.unwrap();
    assert_eq!(told(&page), [(EventKind::Written, Some("k".to_owned()))]);
    let newest = fixture.store.newest_sequence().await.unwrap();
    assert_eq!(
        kind(fixture.feed("b", newest.next(), 10).await),
        ErrorKind::InvalidInput
    );
    for limit in [0, 10_001] {
        let wrong = fixture.feed("b", newest, limit).await;
        assert_eq!(kind(wrong), ErrorKind::InvalidInput);
    }
    fixture.assert_sound().await;
}

#[tokio::test]
async fn who_waits_is_woken_by_the_next_change() {
    let fixture = Fixture::new().await;
    let mut waiting = Box::pin(fixture.store.next_change());
    assert!(waiting.as_mut().now_or_never().is_none());
    fixture.put("k", b"v").await.unwrap();
    assert!(waiting.as_mut().now_or_never().is_some());
    let mut waiting = Box::pin(fixture.store.next_change());
    fixture.delete("k").await.unwrap();
    assert!(waiting.as_mut().now_or_never().is_some());
}
