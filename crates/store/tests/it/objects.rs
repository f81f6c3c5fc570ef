use crate::fixture::*;
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::{BodyChecks, LateDigests, METADATA_DEPTH_MAX};

fn md5(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(&[DigestAlgorithm::Md5]);
    hasher.update(bytes);
    hasher.finish().get(DigestAlgorithm::Md5).unwrap().clone()
}

fn if_match(tag: &str) -> Precondition {
    let tags = TagMatch::Tags(vec![Tag {
        opaque: tag.into(),
        weak: false,
    }]);
    Precondition {
        if_match: Some(tags),
        ..Default::default()
    }
}

fn declaring(length: u64) -> BodyChecks {
    BodyChecks {
        declared_length: Some(length),
        ..BodyChecks::default()
    }
}

fn expecting(digest: Digest) -> BodyChecks {
    BodyChecks {
        expected_digests: vec![digest],
        ..BodyChecks::default()
    }
}

#[tokio::test]
async fn what_was_put_is_read_back_at_every_size() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max();
    let mib = 1 << 20;
    for size in [
        0,
        1,
        max - 1,
        max,
        max + 1,
        mib - 1,
        mib,
        mib + 1,
        5 * mib + 17,
    ] {
        let bytes = pattern(size, 3);
        let put = f.put("k", &bytes).await.unwrap();
        assert_eq!(put.object.length(), size as u64);
        assert_eq!(
            put.object.digests.get(DigestAlgorithm::Md5),
            Some(&md5(&bytes))
        );
        assert!(put.object.digests.get(DigestAlgorithm::Crc64Nvme).is_some());
        assert_eq!(f.head("k").await.unwrap(), put.object);
        assert_eq!(f.read("k").await.unwrap(), bytes);
        let n = size as u64;
        for (start, end) in [(0, n / 2), (n / 2, n), (n / 3, n / 3), (n / 3, n), (n, n)] {
            let read = f.read_range("k", start, end).await.unwrap();
            assert_eq!(
                read,
                bytes[start as usize..end as usize],
                "{size}: {start}..{end}"
            );
        }
        assert_eq!(
            kind(f.read_range("k", 0, n + 1).await),
            ErrorKind::InvalidInput
        );
        assert_eq!(f.usage("b").await, (1, n));
    }
    // Each overwrite removed the rows of the layer before it.
    assert_eq!(f.rows(0x40).await.len(), 1);
    let summary = f.assert_sound().await;
    f.assert_nothing_leaked().await;
    assert_eq!((summary.buckets, summary.objects), (1, 1));
    f.delete("k").await.unwrap();
    for table in [0x30, 0x33, 0x40, 0x41] {
        assert_eq!(f.rows(table).await, []);
    }
    assert_eq!(f.usage("b").await, (0, 0));
}

#[tokio::test]
async fn an_overwrite_keeps_the_id_and_time_only_grows() {
    let f = Fixture::new().await;
    let first = f.put("k", b"one").await.unwrap();
    assert!(first.created);
    f.clock.set(Timestamp(5));
    let second = f.put("k", b"second").await.unwrap();
    assert!(!second.created);
    assert_eq!(second.object.id, first.object.id);
    assert_ne!(second.object.version, first.object.version);
    assert_eq!(second.object.created, first.object.created);
    assert_eq!(second.object.modified, Timestamp(START.0 + 1));
    f.clock.set(START);
    f.clock.advance(Duration::from_secs(60));
    let third = f.put("k", b"").await.unwrap();
    assert_eq!(third.object.modified, Timestamp(START.0 + 60_000_000));
    assert_eq!(f.usage("b").await, (1, 0));
    assert_eq!(f.delete("k").await.unwrap(), third.object);
    assert_eq!(kind(f.delete("k").await), ErrorKind::NotFound(Noun::Object));
    assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
    assert_eq!(kind(f.open("k").await), ErrorKind::NotFound(Noun::Object));
    assert_ne!(f.put("k", b"").await.unwrap().object.id, first.object.id);
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn preconditions_guard_writes_and_deletes() {
    let f = Fixture::new().await;
    let failed = ErrorKind::PreconditionFailed;
    let put = |precondition| trestle_store::PutObject {
        encrypt: None,
        precondition,
        ..a_put("b", "k")
    };
    assert_eq!(kind(f.put_with(put(if_match("x")), b"").await), failed);
    assert_eq!(kind(f.delete_if("k", if_match("x")).await), failed);
    let first = f.put_with(put(Precondition::absent()), b"1").await.unwrap();
    assert_eq!(
        kind(f.put_with(put(Precondition::absent()), b"2").await),
        failed
    );
    let tag = first.object.revision();
    f.put_with(put(if_match(&tag)), b"3").await.unwrap();
    assert_eq!(kind(f.put_with(put(if_match(&tag)), b"4").await), failed);
    assert_eq!(kind(f.delete_if("k", if_match(&tag)).await), failed);
    assert_eq!(f.read("k").await.unwrap(), b"3");
    let tag = f.head("k").await.unwrap().revision();
    f.delete_if("k", if_match(&tag)).await.unwrap();
}

#[tokio::test]
async fn a_failing_precondition_leaves_the_body_unread() {
    let f = Fixture::new().await;
    f.put("k", b"1").await.unwrap();
    let grant = on_object(trestle_access::Action::WriteObject, "b", "k");
    let put = trestle_store::PutObject {
        encrypt: None,
        precondition: Precondition::absent(),
        ..a_put("b", "k")
    };
    let unread = futures::stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes>>> {
        panic!("the body was read")
    });
    assert_eq!(
        kind(f.store.put(&grant, put, unread).await),
        ErrorKind::PreconditionFailed
    );
}

#[tokio::test]
async fn a_body_that_is_not_as_declared_leaves_nothing() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max();
    for size in [10, max, max + 1, 3 << 20] {
        let bytes = pattern(size, 1);
        for declared in [size as u64 - 1, size as u64 + 1] {
            let put = trestle_store::PutObject {
                encrypt: None,
                checks: declaring(declared),
                ..a_put("b", "k")
            };
            assert_eq!(
                kind(f.put_with(put, &bytes).await),
                ErrorKind::IncompleteBody
            );
        }
        let wrong = trestle_store::PutObject {
            encrypt: None,
            checks: expecting(md5(b"other")),
            ..a_put("b", "k")
        };
        assert_eq!(
            kind(f.put_with(wrong, &bytes).await),
            ErrorKind::DigestMismatch
        );
        let grant = on_object(trestle_access::Action::WriteObject, "b", "k");
        let broken = Error::new(ErrorKind::IncompleteBody, "the client went away");
        let torn = vec![Ok(Bytes::from(bytes.clone())), Err(broken)];
        let put = f
            .store
            .put(&grant, a_put("b", "k"), futures::stream::iter(torn))
            .await;
        assert_eq!(kind(put), ErrorKind::IncompleteBody);
        let right = trestle_store::PutObject {
            encrypt: None,
            checks: BodyChecks {
                declared_length: Some(size as u64),
                ..expecting(md5(&bytes))
            },
            ..a_put("b", "right")
        };
        f.put_with(right, &bytes).await.unwrap();
        f.delete("right").await.unwrap();
    }
    let put = trestle_store::PutObject {
        encrypt: None,
        checks: declaring(6 << 40),
        ..a_put("b", "k")
    };
    assert_eq!(kind(f.put_with(put, b"").await), ErrorKind::TooLarge);
    for table in [0x30, 0x33, 0x40, 0x41] {
        assert_eq!(f.rows(table).await, []);
    }
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn what_is_expected_may_come_after_the_body() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max();
    for size in [10, max + 1] {
        let bytes = pattern(size, 2);
        let mut hasher = Hasher::new(&[DigestAlgorithm::Crc32c]);
        hasher.update(&bytes);
        let right = hasher
            .finish()
            .get(DigestAlgorithm::Crc32c)
            .unwrap()
            .clone();
        let put = |late: std::result::Result<Digest, ErrorKind>| trestle_store::PutObject {
            encrypt: None,
            checks: BodyChecks {
                algorithms: vec![DigestAlgorithm::Crc32c],
                late: Some(LateDigests::new(move || match &late {
                    Ok(digest) => Ok(vec![digest.clone()]),
                    Err(kind) => Err(Error::new(*kind, "no trailer")),
                })),
                ..BodyChecks::default()
            },
            checksum: Some(DigestAlgorithm::Crc32c),
            ..a_put("b", "k")
        };
        let wrong = Digest {
            value: vec![0; 4],
            ..right.clone()
        };
        let refused = f.put_with(put(Ok(wrong)), &bytes).await;
        assert_eq!(kind(refused), ErrorKind::DigestMismatch);
        let refused = f
            .put_with(put(Err(ErrorKind::IncompleteBody)), &bytes)
            .await;
        assert_eq!(kind(refused), ErrorKind::IncompleteBody);
        assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
        let taken = f.put_with(put(Ok(right.clone())), &bytes).await.unwrap();
        let checksum = taken.object.checksum.unwrap();
        assert_eq!((checksum.digest, checksum.composite_of), (right, None));
        f.assert_sound().await;
        f.delete("k").await.unwrap();
    }
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn metadata_comes_back_and_is_limited() {
    let f = Fixture::new().await;
    let mut put = a_put("b", "k");
    put.properties.metadata.insert(
        "a".into(),
        json!({"nested": [1, 2.5, true, null, {"deep": "é"}]}),
    );
    put.properties
        .representation
        .insert("content-type".into(), "text/plain".into());
    f.put_with(put.clone(), b"x").await.unwrap();
    let object = f.head("k").await.unwrap();
    assert_eq!(object.metadata, put.properties.metadata);
    assert_eq!(object.representation, put.properties.representation);

    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let with = |value| {
        let mut put = a_put("b", "k");
        put.properties.metadata.insert("a".into(), value);
        put
    };
    f.put_with(with(nested(METADATA_DEPTH_MAX)), b"x")
        .await
        .unwrap();
    assert_eq!(
        kind(f.put_with(with(nested(METADATA_DEPTH_MAX + 1)), b"x").await),
        ErrorKind::InvalidInput
    );
    // {"a":"…"}
    f.put_with(with(json!("x".repeat((64 << 10) - 8))), b"x")
        .await
        .unwrap();
    let large = with(json!("x".repeat((64 << 10) - 7)));
    assert_eq!(kind(f.put_with(large, b"x").await), ErrorKind::TooLarge);
    let mut large = a_put("b", "k");
    large
        .properties
        .representation
        .insert("content-type".into(), "x".repeat(16 << 10));
    assert_eq!(kind(f.put_with(large, b"x").await), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_read_is_undisturbed_by_what_becomes_of_the_object() {
    let f = Fixture::new().await;
    let bytes = pattern(5 << 20, 9);
    for delete in [false, true] {
        f.put("k", &bytes).await.unwrap();
        let opened = f.open("k").await.unwrap();
        let reader = f.open("k").await.unwrap();
        let range = ResolvedRange {
            start: 0,
            end: reader.object().length(),
        };
        let stream = reader.into_bytes(range).await.unwrap();
        if delete {
            f.delete("k").await.unwrap();
        } else {
            f.put("k", b"new").await.unwrap();
            assert_eq!(f.read("k").await.unwrap(), b"new");
        }
        // The layer is to go, and still whole.
        assert_eq!((f.rows(0x42).await.len(), f.rows(0x41).await.len()), (1, 5));
        f.store.tidy().await.unwrap();
        f.assert_sound().await;
        assert!(collect(stream).await.unwrap() == bytes);
        f.store.tidy().await.unwrap();
        assert_eq!(f.rows(0x41).await.len(), 5);
        let late = collect(opened.into_bytes(range).await.unwrap()).await;
        assert!(late.unwrap() == bytes);
        f.store.tidy().await.unwrap();
        for table in [0x40, 0x41, 0x42] {
            assert_eq!(f.rows(table).await, []);
        }
        f.assert_sound().await;
    }
    f.assert_nothing_leaked().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_meet_whole_contents_among_writers() {
    let f = std::sync::Arc::new(Fixture::new().await);
    let contents: Vec<Vec<u8>> = (0..4u8).map(|seed| pattern(1 << 20 | 5, seed)).collect();
    let contents = std::sync::Arc::new(contents);
    f.put("k", &contents[0]).await.unwrap();
    let writers = (0..2usize).map(|task| {
        let (f, contents) = (f.clone(), contents.clone());
        tokio::spawn(async move {
            for round in 0..40 {
                f.put("k", &contents[(task + round) % 4]).await.unwrap();
            }
        })
    });
    let readers = (0..4).map(|_| {
        let (f, contents) = (f.clone(), contents.clone());
        tokio::spawn(async move {
            for _ in 0..40 {
                let read = f.read("k").await.unwrap();
                assert!(contents.contains(&read));
                tokio::task::yield_now().await;
            }
        })
    });
    for task in writers.chain(readers).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    f.store.tidy().await.unwrap();
    assert_eq!((f.rows(0x40).await.len(), f.rows(0x42).await.len()), (1, 0));
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_can_run_on_any_thread() {
    let f = std::sync::Arc::new(Fixture::new().await);
    let run = async move {
        f.put("k", b"x").await.unwrap();
        f.read("k").await.unwrap();
        f.head("k").await.unwrap();
        f.usage("b").await;
        f.account_usage().await;
        f.delete("k").await.unwrap();
        f.assert_sound().await;
        f.delete_bucket("b").await.unwrap();
        f.store.close().await.unwrap();
    };
    tokio::spawn(run).await.unwrap();
}

#[tokio::test]
async fn an_object_comes_back_under_its_id() {
    let f = Fixture::new().await;
    let first = f.put("k", b"x").await.unwrap().object;
    f.put("other", b"y").await.unwrap();
    let restore = async |k: &str, id| {
        let grant = on_object(Action::WriteObject, "b", k);
        let put = a_put("b", k);
        f.store.put_as(&grant, put, id, body(b"z")).await
    };
    let taken = ErrorKind::AlreadyExists(Noun::Object);
    assert_eq!(kind(restore("l", first.id).await), taken);
    assert_eq!(kind(restore("other", first.id).await), taken);
    assert_eq!(restore("k", first.id).await.unwrap().object.id, first.id);
    f.delete("k").await.unwrap();
    let back = restore("l", first.id).await.unwrap();
    assert!(back.created && back.object.id == first.id);
    let found = f.store.find_by_id(first.id).await.unwrap();
    assert_eq!(found, (name("b"), key("l")));
    f.assert_sound().await;
}
