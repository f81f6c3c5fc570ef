//! What every engine must do, as tests that every engine runs.
//!
//! Each takes an empty engine and panics where the contract is broken.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests, shared by the engines' own"
)]

use crate::meta::{COMMIT_BYTES_MAX, ROW_KEY_BYTES_MAX, ROW_VALUE_BYTES_MAX, SCAN_ROWS_MAX};
use crate::{
    Body, BodyRef, Collapse, Commit, Engine, Expectation, Extent, Scan, ScanItem, Token, Write,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use trestle_core::{ErrorKind, Sequence};
use trestle_host::SeededRandom;

/// Runs every test, each over an engine of its own.
pub async fn all(mut fresh: impl FnMut() -> BoxFuture<'static, Engine>) {
    rows_are_written_read_and_deleted(&fresh().await).await;
    expectations_guard_a_commit(&fresh().await).await;
    a_commit_is_whole_or_nothing(&fresh().await).await;
    appended_rows_are_in_the_order_of_commits(&fresh().await).await;
    counters_commute(&fresh().await).await;
    snapshots_do_not_move(&fresh().await).await;
    scans_agree_with_a_model(&fresh().await).await;
    bodies_come_back(&fresh().await).await;
    streams_come_back(&fresh().await).await;
    limits_are_refused(&fresh().await).await;
    a_closed_engine_refuses_commits(&fresh().await).await;
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> Write {
    Write::Put {
        key: bytes(key),
        value: bytes(value),
        body: None,
    }
}

fn writes(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

async fn commit(engine: &Engine, changes: Vec<Write>) -> Sequence {
    engine.meta.commit(writes(changes)).await.unwrap().sequence
}

async fn refused(engine: &Engine, commit: Commit) -> ErrorKind {
    engine.meta.commit(commit).await.unwrap_err().kind()
}

async fn get(engine: &Engine, key: &str) -> Option<(String, Sequence)> {
    let snapshot = engine.meta.snapshot().await.unwrap();
    let row = snapshot.get(key.as_bytes()).await.unwrap()?;
    Some((String::from_utf8(row.value.to_vec()).unwrap(), row.revision))
}

/// Sequences grow, revisions are the commit's, deletes are deletes.
pub async fn rows_are_written_read_and_deleted(engine: &Engine) {
    let empty = engine.meta.snapshot().await.unwrap().sequence();
    let first = commit(engine, vec![put("a", "1"), put("b", "2")]).await;
    assert!(first > empty);
    assert_eq!(get(engine, "a").await, Some(("1".into(), first)));
    assert_eq!(get(engine, "b").await, Some(("2".into(), first)));
    let second = commit(
        engine,
        vec![put("a", ""), Write::Delete { key: bytes("b") }],
    )
    .await;
    assert!(second > first);
    assert_eq!(get(engine, "a").await, Some((String::new(), second)));
    assert_eq!(get(engine, "b").await, None);
    commit(
        engine,
        vec![Write::Delete {
            key: bytes("never there"),
        }],
    )
    .await;
    assert_eq!(
        engine.meta.snapshot().await.unwrap().sequence(),
        second.next()
    );
}

/// Each expectation holds or fails the commit with `Conflict`, and nothing changes then.
pub async fn expectations_guard_a_commit(engine: &Engine) {
    let first = commit(engine, vec![put("k", "1"), put("r/5", "x")]).await;
    let guarded = |expectation: Expectation| Commit {
        expectations: vec![expectation],
        writes: vec![put("k", "2")],
        ..Commit::default()
    };
    let range = |from: &str, until: &str| Expectation::EmptyRange(bytes(from), bytes(until));
    for wrong in [
        Expectation::Revision(bytes("k"), first.next()),
        Expectation::Revision(bytes("none"), first),
        Expectation::Absent(bytes("k")),
        range("r/", "r0"),
        range("r/5", "r/6"),
    ] {
        assert_eq!(refused(engine, guarded(wrong)).await, ErrorKind::Conflict);
        assert_eq!(get(engine, "k").await, Some(("1".into(), first)));
    }
    let right = vec![
        Expectation::Revision(bytes("k"), first),
        Expectation::Absent(bytes("none")),
        range("r/6", "r0"),
        range("r/0", "r/5"),
        range("z", "a"),
    ];
    let all = Commit {
        expectations: right,
        writes: vec![put("k", "2")],
        ..Commit::default()
    };
    engine.meta.commit(all).await.unwrap();
    assert_eq!(get(engine, "k").await.unwrap().0, "2");
}

/// One bad write spoils the commit.
pub async fn a_commit_is_whole_or_nothing(engine: &Engine) {
    commit(
        engine,
        vec![Write::Add {
            key: bytes("full"),
            delta: i64::MAX,
        }],
    )
    .await;
    let overflow = writes(vec![
        put("a", "1"),
        Write::Add {
            key: bytes("full"),
            delta: 1,
        },
    ]);
    assert_eq!(refused(engine, overflow).await, ErrorKind::InvalidInput);
    let twice = writes(vec![put("a", "1"), put("a", "2")]);
    assert_eq!(refused(engine, twice).await, ErrorKind::InvalidInput);
    commit(engine, vec![put("no counter", "x")]).await;
    let odd = writes(vec![
        put("a", "1"),
        Write::Add {
            key: bytes("no counter"),
            delta: 1,
        },
    ]);
    assert_eq!(refused(engine, odd).await, ErrorKind::Corrupt);
    assert_eq!(get(engine, "a").await, None);
}

/// Appended rows are in the order of their commits, each under its own sequence.
pub async fn appended_rows_are_in_the_order_of_commits(engine: &Engine) {
    let append = |value: &str| Write::Append {
        key: bytes("feed/"),
        value: bytes(value),
    };
    let twice = writes(vec![append("a"), append("b")]);
    assert_eq!(refused(engine, twice).await, ErrorKind::InvalidInput);
    let appends = (0..50).map(|n| {
        let row = put(&format!("of {n}"), "v");
        engine
            .meta
            .commit(writes(vec![append(&n.to_string()), row]))
    });
    let mut expected = Vec::new();
    for (n, outcome) in futures::future::join_all(appends).await.iter().enumerate() {
        let sequence = outcome.as_ref().unwrap().sequence;
        expected.push((sequence, n.to_string()));
    }
    expected.sort();
    let read = engine.meta.snapshot().await.unwrap();
    let found = read.scan(&Scan::prefix(bytes("feed/"), 100)).await.unwrap();
    let found: Vec<(Sequence, String)> = found
        .iter()
        .map(|item| {
            let ScanItem::Row(key, row) = item else {
                unreachable!("this scan folds nothing")
            };
            assert_eq!(key[5..], row.revision.0.to_be_bytes());
            let value = String::from_utf8(row.value.to_vec()).unwrap();
            (row.revision, value)
        })
        .collect();
    assert_eq!(found, expected);
}

/// Concurrent additions all count; of concurrent creations one wins.
pub async fn counters_commute(engine: &Engine) {
    let additions = (1..=50).map(|delta| {
        engine.meta.commit(writes(vec![Write::Add {
            key: bytes("sum"),
            delta,
        }]))
    });
    for outcome in futures::future::join_all(additions).await {
        outcome.unwrap();
    }
    commit(
        engine,
        vec![Write::Add {
            key: bytes("sum"),
            delta: -75,
        }],
    )
    .await;
    let snapshot = engine.meta.snapshot().await.unwrap();
    let row = snapshot.get(b"sum").await.unwrap().unwrap();
    assert_eq!(row.value.as_ref(), 1200i64.to_be_bytes());
    let creations = (0..20).map(|i| {
        engine.meta.commit(Commit {
            expectations: vec![Expectation::Absent(bytes("one"))],
            writes: vec![put("one", &i.to_string())],
            ..Commit::default()
        })
    });
    let outcomes = futures::future::join_all(creations).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

/// A snapshot shows its moment, whatever comes after.
pub async fn snapshots_do_not_move(engine: &Engine) {
    commit(engine, vec![put("s/a", "1"), put("s/b", "1")]).await;
    let before = engine.meta.snapshot().await.unwrap();
    commit(
        engine,
        vec![
            put("s/a", "2"),
            Write::Delete { key: bytes("s/b") },
            put("s/c", "2"),
        ],
    )
    .await;
    for i in 0..200 {
        commit(engine, vec![put(&format!("s/many/{i}"), &"x".repeat(500))]).await;
    }
    assert_eq!(before.get(b"s/a").await.unwrap().unwrap().value, "1");
    assert!(before.get(b"s/b").await.unwrap().is_some());
    assert!(before.get(b"s/c").await.unwrap().is_none());
    assert_eq!(
        before.scan(&Scan::prefix("s/", 1000)).await.unwrap().len(),
        2
    );
    let after = engine.meta.snapshot().await.unwrap();
    assert_eq!(
        after.scan(&Scan::prefix("s/", 1000)).await.unwrap().len(),
        202
    );
    assert!(after.sequence() > before.sequence());
}

/// What a scan gives, computed the slow way.
fn expected(model: &BTreeMap<Vec<u8>, u64>, scan: &Scan) -> Vec<Vec<u8>> {
    let after = |key: &[u8]| match &scan.from {
        Bound::Included(from) => key >= from.as_ref(),
        Bound::Excluded(from) => key > from.as_ref(),
        Bound::Unbounded => true,
    };
    let before = |key: &[u8]| match &scan.until {
        Bound::Included(until) => key <= until.as_ref(),
        Bound::Excluded(until) => key < until.as_ref(),
        Bound::Unbounded => true,
    };
    let mut items: BTreeSet<Vec<u8>> = BTreeSet::new();
    for key in model.keys().filter(|key| after(key) && before(key)) {
        let folded = scan.collapse.as_ref().and_then(|collapse| {
            let tail = key.get(collapse.skip..)?;
            let length = collapse.delimiter.len();
            let at = tail
                .windows(length)
                .position(|window| window == collapse.delimiter)?;
            Some(key[..collapse.skip + at + length].to_vec())
        });
        items.insert(folded.unwrap_or_else(|| key.clone()));
    }
    let mut items: Vec<Vec<u8>> = items.into_iter().collect();
    if scan.reverse {
        items.reverse();
    }
    items.truncate(scan.limit);
    items
}

/// Random rows and deletes, random scans.
pub async fn scans_agree_with_a_model(engine: &Engine) {
    let random = SeededRandom::new(7);
    let pick = |below: u64| random.next_u64() % below;
    let key = || -> Vec<u8> {
        let length = 1 + pick(6);
        (0..length)
            .map(|_| b"ab/\x00\xff"[pick(5) as usize])
            .collect()
    };
    let mut model = BTreeMap::new();
    for round in 0..60 {
        let mut changed = BTreeMap::new();
        for _ in 0..1 + pick(8) {
            changed.insert(key(), pick(3) > 0);
        }
        let changes = changed.iter().map(|(key, kept)| {
            let key = Bytes::copy_from_slice(key);
            if *kept {
                Write::Put {
                    key,
                    value: bytes(&round.to_string()),
                    body: None,
                }
            } else {
                Write::Delete { key }
            }
        });
        commit(engine, changes.collect()).await;
        for (key, kept) in changed {
            if kept {
                model.insert(key, round);
            } else {
                model.remove(&key);
            }
        }
        let snapshot = engine.meta.snapshot().await.unwrap();
        for _ in 0..30 {
            let bound = || match pick(3) {
                0 => Bound::Unbounded,
                1 => Bound::Included(Bytes::from(key())),
                _ => Bound::Excluded(Bytes::from(key())),
            };
            let delimiter = [&b"/"[..], b"a/", b"\xff"][pick(3) as usize];
            let collapse = Collapse {
                skip: pick(3) as usize,
                delimiter: Bytes::from_static(delimiter),
            };
            let scan = Scan {
                from: bound(),
                until: bound(),
                reverse: pick(2) == 0,
                limit: 1 + pick(12) as usize,
                collapse: (pick(2) == 0).then_some(collapse),
            };
            let found = snapshot.scan(&scan).await.unwrap();
            let keys: Vec<Vec<u8>> = found.iter().map(|item| item.key().to_vec()).collect();
            assert_eq!(keys, expected(&model, &scan), "{scan:?}");
            for item in found {
                match item {
                    ScanItem::Row(key, row) => {
                        assert_eq!(row.value, model[key.as_ref()].to_string());
                    }
                    ScanItem::Prefix(_) => assert!(scan.collapse.is_some()),
                }
            }
        }
    }
}

fn content(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

async fn body(engine: &Engine, key: &str) -> Option<BodyRef> {
    let snapshot = engine.meta.snapshot().await.unwrap();
    snapshot.get(key.as_bytes()).await.unwrap()?.body
}

/// Attached bytes, in ranges at the edges of blocks.
pub async fn bodies_come_back(engine: &Engine) {
    let limit = engine.data.body_bytes_max();
    let content = content(limit as u32);
    for length in [0, 1, 65_535, 65_536, 65_537, limit] {
        let attached = Body::Attached(Bytes::copy_from_slice(&content[..length]));
        let write = Write::Put {
            key: bytes("body"),
            value: bytes("v"),
            body: Some(attached),
        };
        commit(engine, vec![write]).await;
        let body = body(engine, "body").await.unwrap();
        assert_eq!(body.length as usize, length);
        let middle = length / 2;
        for range in [0..length, middle..length, 0..middle, middle..middle] {
            let wanted = range.start as u64..range.end as u64;
            let read = engine.data.read_body(&body, wanted).await.unwrap();
            assert_eq!(read, &content[range]);
        }
        assert!(
            engine
                .data
                .read_body(&body, 0..length as u64 + 1)
                .await
                .is_err()
        );
    }
    commit(engine, vec![put("body", "v")]).await;
    assert_eq!(body(engine, "body").await, None);
}

/// Streams `content`, in odd pieces.
async fn stream(engine: &Engine, content: &[u8]) -> (Vec<Extent>, Token) {
    let mut writer = engine.data.write(bytes("stream/")).await.unwrap();
    for chunk in content.chunks(100_003) {
        writer.append(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    (written.extents, written.token)
}

fn streamed(extents: &[Extent], tokens: Vec<Token>) -> Commit {
    let row = |(i, extent): (usize, &Extent)| Write::Put {
        key: bytes(&format!("stream/{i}")),
        value: bytes("x"),
        body: Some(Body::Streamed(extent.clone())),
    };
    Commit {
        writes: extents.iter().enumerate().map(row).collect(),
        tokens,
        ..Commit::default()
    }
}

/// Extents become the bodies of rows, once, under their token.
pub async fn streams_come_back(engine: &Engine) {
    let content = content(3_000_001);
    let (extents, token) = stream(engine, &content).await;
    let (others, other) = stream(engine, &content[..10]).await;
    for tokens in [vec![], vec![other]] {
        let unnamed = streamed(&extents, tokens);
        assert_eq!(refused(engine, unnamed).await, ErrorKind::InvalidInput);
    }
    engine
        .meta
        .commit(streamed(&extents, vec![token]))
        .await
        .unwrap();
    let mut start = 0;
    for (i, extent) in extents.iter().enumerate() {
        let body = body(engine, &format!("stream/{i}")).await.unwrap();
        assert_eq!(u64::from(body.length), extent.length);
        for range in [0..1, 65_535..65_537, extent.length - 1..extent.length] {
            let at = start + range.start as usize..start + range.end as usize;
            let read = engine.data.read_body(&body, range).await.unwrap();
            assert_eq!(read, &content[at]);
        }
        start += extent.length as usize;
    }
    assert_eq!(start, content.len());
    engine.data.abandon(other);
    for (extents, token) in [(&extents, token), (&others, other)] {
        let late = streamed(extents, vec![token]);
        assert_eq!(refused(engine, late).await, ErrorKind::Conflict);
    }
    let never = streamed(&[], vec![Token(u64::MAX)]);
    assert_eq!(refused(engine, never).await, ErrorKind::Conflict);
    assert!(stream(engine, &[]).await.0.is_empty());
    // Dropped: nothing is left of it that anybody could find.
    let mut dropped = engine.data.write(bytes("stream/")).await.unwrap();
    dropped.append(Bytes::from(content)).await.unwrap();
    drop(dropped);
}

/// Every limit has an answer, and nothing changes.
pub async fn limits_are_refused(engine: &Engine) {
    let sized = |key: usize, value: usize, body: usize| {
        writes(vec![Write::Put {
            key: vec![b'k'; key].into(),
            value: vec![0; value].into(),
            body: Some(Body::Attached(vec![0; body].into())),
        }])
    };
    assert_eq!(
        refused(engine, sized(0, 1, 1)).await,
        ErrorKind::InvalidInput
    );
    assert_eq!(
        refused(engine, sized(ROW_KEY_BYTES_MAX + 1, 1, 1)).await,
        ErrorKind::TooLarge
    );
    assert_eq!(
        refused(engine, sized(1, ROW_VALUE_BYTES_MAX + 1, 1)).await,
        ErrorKind::TooLarge
    );
    assert_eq!(
        refused(engine, sized(1, 1, COMMIT_BYTES_MAX)).await,
        ErrorKind::TooLarge
    );
    engine
        .meta
        .commit(sized(ROW_KEY_BYTES_MAX, ROW_VALUE_BYTES_MAX, 1))
        .await
        .unwrap();
    let snapshot = engine.meta.snapshot().await.unwrap();
    for limit in [0, SCAN_ROWS_MAX + 1] {
        assert!(snapshot.scan(&Scan::prefix("", limit)).await.is_err());
    }
    let collapse = Some(Collapse {
        skip: 0,
        delimiter: Bytes::new(),
    });
    assert!(
        snapshot
            .scan(&Scan {
                collapse,
                ..Scan::prefix("", 1)
            })
            .await
            .is_err()
    );
    assert_eq!(snapshot.scan(&Scan::prefix("", 10)).await.unwrap().len(), 1);
}

/// After `close` reads go on and commits are refused.
pub async fn a_closed_engine_refuses_commits(engine: &Engine) {
    commit(engine, vec![put("k", "1")]).await;
    engine.meta.writable().unwrap();
    engine.meta.close().await.unwrap();
    assert_eq!(
        engine.meta.writable().unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    let late = writes(vec![put("k", "2")]);
    assert_eq!(refused(engine, late).await, ErrorKind::Unavailable);
    assert_eq!(get(engine, "k").await.unwrap().0, "1");
}
