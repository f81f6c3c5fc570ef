//! Contents made of others': copies.

use crate::fixture::*;
use serde_json::json;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

fn source(k: &str) -> Source {
    Source {
        key_of_client: None,
        itself: false,
        bucket: name("b"),
        key: key(k),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
        range: None,
    }
}

pub(crate) fn a_copy(from: &str, bucket: &str, to: &str) -> CopyObject {
    CopyObject {
        encrypt: None,
        source: source(from),
        bucket: name(bucket),
        key: key(to),
        precondition: Precondition::none(),
        tag_of: tag,
        checksum: None,
    }
}

pub(crate) fn ranged(from: &str, to: &str, first: u64, last: u64) -> CopyObject {
    let mut copy = a_copy(from, "b", to);
    copy.source.range = Some(ByteRange::Inclusive { first, last });
    copy
}

impl Fixture {
    async fn copy_with(
        &self,
        copy: CopyObject,
        properties: &PropertiesOf<'_>,
    ) -> Result<CopyOutcome> {
        let action = match copy.source.version {
            VersionRef::Current | VersionRef::Ended => Action::ReadObject,
            VersionRef::Null | VersionRef::Id(_) => Action::ReadObjectVersion,
        };
        let from = on_object(action, "b", copy.source.key.as_str());
        let to = on_object(Action::WriteObject, copy.bucket.as_str(), copy.key.as_str());
        self.store.copy(&from, &to, copy, properties).await
    }

    pub(crate) async fn copy(&self, copy: CopyObject) -> Result<CopyOutcome> {
        self.copy_with(copy, &|object| Ok(object.properties()))
            .await
    }
}

fn digest(bytes: &[u8], algorithm: DigestAlgorithm) -> Digest {
    let mut hasher = Hasher::new(&[algorithm]);
    hasher.update(bytes);
    hasher.finish().get(algorithm).unwrap().clone()
}

#[tokio::test]
async fn no_copy_has_what_says_something_of_one_write() {
    let f = Fixture::new().await;
    f.put("k", b"1").await.unwrap();
    let of_write = format!("dialect.state{OF_WRITE}");
    let documents = [
        (of_write, "1".to_owned()),
        ("dialect.other".into(), "2".into()),
    ];
    let properties = |object: &Object| {
        let mut properties = object.properties();
        properties.documents.extend(documents.clone());
        Ok(properties)
    };
    let copied = f
        .copy_with(a_copy("k", "b", "l"), &properties)
        .await
        .unwrap();
    let kept: Vec<&str> = copied.object.documents.keys().map(String::as_str).collect();
    assert_eq!(kept, ["dialect.other"]);
}

#[tokio::test]
async fn a_copy_is_the_same_bytes_and_outlives_its_source() {
    let f = Fixture::new().await;
    f.create("c").await.unwrap();
    let max = f.engine.data.body_bytes_max();
    for size in [0, 1, max, max + 1, (3 << 20) + 5] {
        let bytes = pattern(size, 7);
        let put = f.put("k", &bytes).await.unwrap();
        let copied = f.copy(a_copy("k", "c", "l")).await.unwrap();
        assert!(copied.created);
        assert_eq!(copied.source, put.object);
        assert_ne!(copied.object.id, put.object.id);
        assert_eq!(copied.object.digests, put.object.digests);
        // No byte of a large one was moved.
        assert_eq!(f.rows(0x40).await.len(), usize::from(size > max));
        assert_eq!(
            (f.usage("b").await, f.usage("c").await),
            ((1, size as u64), (1, size as u64))
        );
        f.assert_sound().await;
        f.delete("k").await.unwrap();
        f.assert_sound().await;
        assert_eq!(f.read_in("c", "l").await.unwrap(), bytes);
        let again = f.copy(CopyObject {
            encrypt: None,
            source: Source {
                key_of_client: None,
                itself: false,
                bucket: name("c"),
                ..source("l")
            },
            ..a_copy("l", "b", "k")
        });
        assert_eq!(kind(again.await), ErrorKind::Forbidden);
        f.delete_in("c", "l").await.unwrap();
        for table in [0x30, 0x33, 0x40, 0x41, 0x42] {
            assert_eq!(f.rows(table).await, []);
        }
    }
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_range_is_copied_by_reference_unless_it_is_small() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max() as u64;
    let bytes = pattern(5 << 20, 1);
    f.put("k", &bytes).await.unwrap();
    let n = bytes.len() as u64;
    let cases = [
        (0, 0),
        (7, 7 + max - 1),
        (7, 7 + max),
        (1 << 20, (2 << 20) - 1),
        (3, n - 2),
        (n - max - 3, n + 50),
    ];
    for (first, last) in cases {
        let copied = f.copy(ranged("k", "l", first, last)).await.unwrap().object;
        let expected = &bytes[first as usize..(last.min(n - 1) + 1) as usize];
        assert_eq!(f.read("l").await.unwrap(), expected);
        let small = expected.len() as u64 <= max;
        assert_eq!(f.rows(0x40).await.len(), 1 + usize::from(!small));
        let md5 = copied.digests.get(DigestAlgorithm::Md5).cloned();
        assert_eq!(md5, small.then(|| digest(expected, DigestAlgorithm::Md5)));
        assert_eq!(copied.written == Written::Whole, small);
        f.assert_sound().await;
    }
    let beyond = f.copy(ranged("k", "l", n, n)).await;
    assert_eq!(kind(beyond), ErrorKind::RangeNotSatisfiable { length: n });
    // A range of a range of a copy, with all that it came from gone.
    f.copy(ranged("k", "l", 100, n - 100)).await.unwrap();
    f.copy(a_copy("l", "b", "m")).await.unwrap();
    f.copy(ranged("m", "o", 50, n - 500)).await.unwrap();
    for k in ["k", "l", "m"] {
        f.delete(k).await.unwrap();
        f.assert_sound().await;
    }
    assert_eq!(f.read("o").await.unwrap(), &bytes[150..(n - 399) as usize]);
    assert_eq!(
        f.read_range("o", 1 << 20, 1 << 21).await.unwrap(),
        &bytes[150 + (1 << 20)..150 + (1 << 21)]
    );
    f.delete("o").await.unwrap();
    for table in [0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, []);
    }
}

#[tokio::test]
async fn a_copy_keeps_or_replaces_what_goes_with_the_bytes() {
    let f = Fixture::new().await;
    let bytes = pattern(300_000, 4);
    let mut put = a_put("b", "k");
    put.properties.metadata.insert("a".into(), json!(1));
    put.properties.tags.insert("t".into(), "u".into());
    put.checksum = Some(DigestAlgorithm::Sha1);
    let put = f.put_with(put, &bytes).await.unwrap().object;
    let kept = f.copy(a_copy("k", "b", "l")).await.unwrap().object;
    assert_eq!(kept.properties(), put.properties());
    assert_eq!(
        (&kept.checksum, &kept.written),
        (&put.checksum, &put.written)
    );
    let replace = |object: &Object| {
        Ok(ObjectProperties {
            metadata: [("b".to_owned(), json!(2))].into(),
            ..object.properties()
        })
    };
    // To itself, with other metadata: still one layer.
    let replaced = f.copy_with(a_copy("l", "b", "l"), &replace).await.unwrap();
    assert!(!replaced.created);
    assert_eq!(replaced.object.id, kept.id);
    assert_eq!(replaced.object.tags, put.tags);
    assert_eq!(f.head("l").await.unwrap().metadata["b"], json!(2));
    assert_eq!(f.rows(0x40).await.len(), 1);
    // A digest that nobody took yet is taken of the bytes.
    let sha256 = CopyObject {
        encrypt: None,
        checksum: Some(DigestAlgorithm::Sha256),
        ..a_copy("l", "b", "m")
    };
    let copied = f.copy(sha256).await.unwrap().object;
    let expected = digest(&bytes, DigestAlgorithm::Sha256);
    assert_eq!(copied.checksum.unwrap().digest, expected);
    let range = CopyObject {
        encrypt: None,
        checksum: Some(DigestAlgorithm::Crc32),
        ..ranged("l", "m", 10, 200_009)
    };
    let copied = f.copy(range).await.unwrap().object;
    let expected = digest(&bytes[10..200_010], DigestAlgorithm::Crc32);
    assert_eq!(copied.checksum.unwrap().digest, expected);
    let refusing = f
        .copy_with(a_copy("l", "b", "x"), &|_| Err(Error::invalid("no")))
        .await;
    assert_eq!(kind(refusing), ErrorKind::InvalidInput);
    assert_eq!(kind(f.head("x").await), ErrorKind::NotFound(Noun::Object));
    f.assert_sound().await;
}

#[tokio::test]
async fn conditions_guard_both_sides_of_a_copy() {
    let f = Fixture::new().await;
    let put = f.put("k", b"x").await.unwrap().object;
    let tags = |opaque: &str| {
        Some(TagMatch::Tags(vec![Tag {
            opaque: opaque.into(),
            weak: false,
        }]))
    };
    let matching = |opaque: &str| Precondition {
        if_match: tags(opaque),
        ..Precondition::default()
    };
    let mut copy = a_copy("k", "b", "l");
    copy.source.precondition = matching("other");
    assert_eq!(
        kind(f.copy(copy.clone()).await),
        ErrorKind::PreconditionFailed
    );
    copy.source.precondition = Precondition {
        if_none_match: tags(&put.revision()),
        ..Precondition::default()
    };
    assert_eq!(
        kind(f.copy(copy.clone()).await),
        ErrorKind::PreconditionFailed
    );
    copy.source.precondition = matching(&put.revision());
    copy.precondition = matching("other");
    assert_eq!(
        kind(f.copy(copy.clone()).await),
        ErrorKind::PreconditionFailed
    );
    copy.precondition = Precondition::absent();
    f.copy(copy.clone()).await.unwrap();
    assert_eq!(kind(f.copy(copy).await), ErrorKind::PreconditionFailed);
    let missing = f.copy(a_copy("none", "b", "l")).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    let nowhere = f.copy(a_copy("k", "none", "l")).await;
    assert_eq!(kind(nowhere), ErrorKind::NotFound(Noun::Bucket));
}

#[tokio::test]
async fn a_former_version_is_copied_and_history_keeps_its_layers() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let contents: Vec<Vec<u8>> = (0..3u8).map(|seed| pattern(200_000, seed)).collect();
    let first = f.put("k", &contents[0]).await.unwrap().object;
    f.put("k", &contents[1]).await.unwrap();
    f.put("k", &contents[2]).await.unwrap();
    // What was once current becomes current again.
    let mut copy = a_copy("k", "b", "k");
    copy.source.version = VersionRef::Id(first.version);
    let copied = f.copy(copy.clone()).await.unwrap();
    assert_eq!(copied.source.version, first.version);
    assert_eq!(f.read("k").await.unwrap(), contents[0]);
    assert_eq!(f.rows(0x40).await.len(), 3);
    f.assert_sound().await;
    f.delete_version("k", VersionRef::Id(first.version))
        .await
        .unwrap();
    f.assert_sound().await;
    assert_eq!(f.read("k").await.unwrap(), contents[0]);
    assert_eq!(kind(f.copy(copy).await), ErrorKind::NotFound(Noun::Version));
    f.mark("k").await;
    let marked = f.copy(a_copy("k", "b", "l")).await.unwrap_err();
    assert_eq!(marked.kind(), ErrorKind::NotFound(Noun::Object));
    assert!(marked.marker().is_some());
    f.erase("k").await.unwrap();
    for table in [0x30, 0x31, 0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, []);
    }
    f.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn references_stay_counted_among_concurrent_copies_and_deletes() {
    let f = std::sync::Arc::new(Fixture::new().await);
    let bytes = std::sync::Arc::new(pattern(400_000, 8));
    f.put("k", &bytes).await.unwrap();
    let tasks: Vec<_> = (0..8usize)
        .map(|task| {
            let (f, bytes) = (f.clone(), bytes.clone());
            tokio::spawn(async move {
                for i in 0..30usize {
                    let to = format!("l{}", (task + i) % 5);
                    match i % 3 {
                        0 => drop(f.copy(a_copy("k", "b", &to)).await.unwrap()),
                        1 => drop(f.copy(ranged("k", &to, 1, 300_000)).await.unwrap()),
                        _ => match f.delete(&to).await {
                            Ok(_) => {}
                            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound(Noun::Object)),
                        },
                    }
                    match f.read(&to).await {
                        Ok(read) => assert!(read == bytes[..] || read == bytes[1..300_001]),
                        Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound(Noun::Object)),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    f.store.tidy().await.unwrap();
    f.assert_sound().await;
    assert_eq!(f.rows(0x42).await, []);
    for i in 0..5 {
        drop(f.delete(&format!("l{i}")).await);
    }
    f.delete("k").await.unwrap();
    for table in [0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, []);
    }
}
