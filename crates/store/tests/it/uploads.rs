//! Uploads in parts, from their creation to their end.

use crate::fixture::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

/// Every table of an upload and of layers.
const TABLES: [u8; 6] = [0x40, 0x41, 0x42, 0x50, 0x51, 0x53];

fn digest(bytes: &[u8], algorithm: DigestAlgorithm) -> Digest {
    let mut hasher = Hasher::new(&[algorithm]);
    hasher.update(bytes);
    hasher.finish().get(algorithm).unwrap().clone()
}

fn named(number: u32) -> CompletePart {
    CompletePart {
        number,
        expected: Vec::new(),
    }
}

pub(crate) fn complete(upload: &UploadKey, numbers: &[u32]) -> CompleteUpload {
    CompleteUpload {
        upload: upload.clone(),
        parts: numbers.iter().copied().map(named).collect(),
        part_bytes_min: 0,
        expected_length: None,
        expected_checksum: None,
        precondition: Precondition::none(),
        tag_of: tag,
    }
}

fn range_of(k: &str, range: Option<(u64, u64)>) -> Source {
    Source {
        key_of_client: None,
        itself: false,
        bucket: name("b"),
        key: key(k),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
        range: range.map(|(first, last)| ByteRange::Inclusive { first, last }),
    }
}

impl Fixture {
    async fn begin_with(&self, create: CreateUpload) -> Result<UploadKey> {
        let grant = on_object(Action::WriteObject, "b", create.key.as_str());
        let k = create.key.clone();
        let upload = self.store.create_upload(&grant, create).await?;
        Ok(UploadKey {
            bucket: name("b"),
            key: k,
            upload: upload.id,
        })
    }

    pub(crate) async fn begin(&self, k: &str) -> UploadKey {
        let create = CreateUpload {
            encrypt: None,
            bucket: name("b"),
            key: key(k),
            properties: ObjectProperties::default(),
            checksum: None,
        };
        self.begin_with(create).await.unwrap()
    }

    pub(crate) async fn send(&self, to: &UploadKey, number: u32, bytes: &[u8]) -> Result<Part> {
        self.send_new(to, (number, false), bytes).await
    }

    async fn send_new(
        &self,
        to: &UploadKey,
        (number, only_new): (u32, bool),
        bytes: &[u8],
    ) -> Result<Part> {
        let grant = on_object(Action::WriteObject, "b", to.key.as_str());
        let part = UploadPart {
            only_new,
            key_of_client: None,
            to: to.clone(),
            number,
            checks: BodyChecks::default(),
        };
        self.store.upload_part(&grant, part, body(bytes)).await
    }

    async fn send_copy(&self, to: &UploadKey, number: u32, source: Source) -> Result<Part> {
        let from = on_object(Action::ReadObject, "b", source.key.as_str());
        let grant = on_object(Action::WriteObject, "b", to.key.as_str());
        let copy = CopyPart {
            to: to.clone(),
            number,
            source,
            key_of_client: None,
        };
        let copied = self.store.upload_part_copy(&from, &grant, copy);
        Ok(copied.await?.0)
    }

    pub(crate) async fn finish(&self, complete: CompleteUpload) -> Result<CompleteOutcome> {
        let grant = on_object(Action::WriteObject, "b", complete.upload.key.as_str());
        self.store.complete_upload(&grant, complete).await
    }

    async fn give_up(&self, upload: &UploadKey) -> Result<()> {
        let grant = on_object(Action::AbortUpload, "b", upload.key.as_str());
        self.store.abort_upload(&grant, upload).await
    }

    async fn parts(&self, upload: &UploadKey, after: u32, limit: usize) -> Result<PartListing> {
        let grant = on_object(Action::ListParts, "b", upload.key.as_str());
        self.store.list_parts(&grant, upload, after, limit).await
    }

    async fn parts_of(&self, k: &str) -> Vec<ObjectPart> {
        let grant = on_object(Action::ReadObject, "b", k);
        let (bucket, k) = (name("b"), key(k));
        let place = (&bucket, &k, VersionRef::Current);
        self.store
            .object_parts(&grant, place, 0, 100)
            .await
            .unwrap()
            .1
    }

    async fn sequence(&self) -> Sequence {
        self.engine.meta.snapshot().await.unwrap().sequence()
    }

    async fn assert_no_rows(&self, tables: &[u8]) {
        for table in tables {
            assert_eq!(self.rows(*table).await, [], "{table:#x}");
        }
    }
}

#[tokio::test]
async fn parts_come_in_any_order_and_the_last_of_each_number_counts() {
    let f = Fixture::new().await;
    let sizes = [(7, 3 << 20), (2, 10), (3, 200_000), (9, 0), (5, 1 << 20)];
    let create = CreateUpload {
        encrypt: None,
        bucket: name("b"),
        key: key("k"),
        properties: ObjectProperties {
            tags: [("t".to_owned(), "u".to_owned())].into(),
            ..ObjectProperties::default()
        },
        checksum: None,
    };
    let upload = f.begin_with(create).await.unwrap();
    let mut sent = BTreeMap::new();
    for (number, size) in sizes {
        // Sent twice: the second counts, and frees the first.
        f.send(&upload, number, &pattern(300_000, 9)).await.unwrap();
        let bytes = pattern(size, number as u8);
        let part = f.send(&upload, number, &bytes).await.unwrap();
        assert_eq!((part.number, part.length), (number, size as u64));
        let md5 = digest(&bytes, DigestAlgorithm::Md5);
        assert_eq!(part.digests.get(DigestAlgorithm::Md5), Some(&md5));
        sent.insert(number, (bytes, md5));
    }
    assert_eq!(f.rows(0x40).await.len(), 4);
    assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
    assert_eq!(f.usage("b").await, (0, 0));
    f.assert_sound().await;
    let listed = f.parts(&upload, 0, 3).await.unwrap();
    let numbers: Vec<u32> = listed.parts.iter().map(|part| part.number).collect();
    assert_eq!((numbers, listed.next), (vec![2, 3, 5], Some(5)));
    let rest = f.parts(&upload, 5, 3).await.unwrap();
    assert_eq!((rest.parts.len(), rest.next), (2, None));
    assert_eq!(rest.upload, listed.upload);
    let before = f.sequence().await;
    let numbers = [2, 5, 7, 9];
    let mut asked = complete(&upload, &numbers);
    asked.parts[1].expected = vec![sent[&5].1.clone()];
    let outcome = f.finish(asked).await.unwrap();
    assert_eq!(f.sequence().await, before.next());
    assert!(outcome.created && !outcome.repeated);
    let whole: Vec<u8> = numbers.iter().flat_map(|n| sent[n].0.clone()).collect();
    let md5s: Vec<u8> = numbers
        .iter()
        .flat_map(|n| sent[n].1.value.clone())
        .collect();
    let written = Written::Parts {
        count: 4,
        digest: digest(&md5s, DigestAlgorithm::Md5),
    };
    assert_eq!(outcome.object.written, written);
    let crc64 = digest(&whole, DigestAlgorithm::Crc64Nvme);
    assert_eq!(
        outcome.object.digests.get(DigestAlgorithm::Crc64Nvme),
        Some(&crc64)
    );
    assert_eq!(outcome.object.tags["t"], "u");
    assert_eq!(f.head("k").await.unwrap(), outcome.object);
    assert_eq!(f.read("k").await.unwrap(), whole);
    let n = whole.len() as u64;
    assert_eq!(f.usage("b").await, (1, n));
    for (start, end) in [
        (5, 15),
        (9, 11),
        (0, n),
        (1 << 20, (1 << 20) + 20),
        (n - 5, n),
    ] {
        let read = f.read_range("k", start, end).await.unwrap();
        assert_eq!(read, &whole[start as usize..end as usize]);
    }
    let parts = f.parts_of("k").await;
    let found: Vec<_> = parts
        .iter()
        .map(|p| (p.part.number, p.offset, p.length))
        .collect();
    assert_eq!(
        found,
        [(2, 0, 10), (5, 10, 1 << 20), (7, (1 << 20) + 10, 3 << 20)]
    );
    // The part that was not named is gone, and the rows of the upload are.
    assert_eq!(f.rows(0x40).await.len(), 4);
    f.assert_no_rows(&[0x42, 0x50, 0x51, 0x53]).await;
    f.assert_sound().await;
    f.delete("k").await.unwrap();
    f.assert_no_rows(&TABLES).await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_completion_is_refused_unless_all_is_as_it_says() {
    let f = Fixture::new().await;
    let upload = f.begin("k").await;
    f.send(&upload, 1, b"12345").await.unwrap();
    f.send(&upload, 2, b"1234").await.unwrap();
    f.send(&upload, 3, b"1").await.unwrap();
    let refused = async |change: &dyn Fn(&mut CompleteUpload)| {
        let mut asked = complete(&upload, &[1, 2, 3]);
        change(&mut asked);
        kind(f.finish(asked).await)
    };
    let no = refused(&|c| c.parts.clear()).await;
    assert_eq!(no, ErrorKind::InvalidInput);
    let no = refused(&|c| c.parts.swap(0, 1)).await;
    assert_eq!(no, ErrorKind::InvalidPartOrder);
    let no = refused(&|c| c.parts.insert(1, named(1))).await;
    assert_eq!(no, ErrorKind::InvalidPartOrder);
    let no = refused(&|c| c.parts.push(named(4))).await;
    assert_eq!(no, ErrorKind::InvalidPart { number: 4 });
    let wrong = digest(b"other", DigestAlgorithm::Md5);
    let no = refused(&|c| c.parts[1].expected.push(wrong.clone())).await;
    assert_eq!(no, ErrorKind::InvalidPart { number: 2 });
    let no = refused(&|c| c.part_bytes_min = 5).await;
    assert_eq!(
        no,
        ErrorKind::PartTooSmall {
            number: 2,
            length: 4
        }
    );
    let no = refused(&|c| c.expected_length = Some(11)).await;
    assert_eq!(no, ErrorKind::IncompleteBody);
    let checksum = Checksum {
        digest: wrong.clone(),
        composite_of: None,
    };
    let no = refused(&|c| c.expected_checksum = Some(checksum.clone())).await;
    assert_eq!(no, ErrorKind::DigestMismatch);
    let no = refused(&|c| c.upload.key = key("other")).await;
    assert_eq!(no, ErrorKind::NotFound(Noun::Upload));
    f.put("k", b"").await.unwrap();
    let no = refused(&|c| c.precondition = Precondition::absent()).await;
    assert_eq!(no, ErrorKind::PreconditionFailed);
    for number in [0, 10_001] {
        assert_eq!(
            kind(f.send(&upload, number, b"").await),
            ErrorKind::InvalidInput
        );
    }
    let mut asked = complete(&upload, &[1, 2, 3]);
    (asked.part_bytes_min, asked.expected_length) = (4, Some(10));
    assert!(!f.finish(asked).await.unwrap().created);
    assert_eq!(f.read("k").await.unwrap(), b"1234512341");
    f.assert_sound().await;
}

#[tokio::test]
async fn a_completion_can_be_repeated_for_a_week() {
    let f = Fixture::new().await;
    let upload = f.begin("k").await;
    f.send(&upload, 1, b"x").await.unwrap();
    let first = f.finish(complete(&upload, &[1])).await.unwrap();
    f.put("k", b"later").await.unwrap();
    let again = f.finish(complete(&upload, &[1])).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.object, first.object);
    assert_eq!(f.read("k").await.unwrap(), b"later");
    for gone in [
        kind(f.send(&upload, 2, b"").await),
        kind(f.give_up(&upload).await),
        kind(f.parts(&upload, 0, 1).await),
    ] {
        assert_eq!(gone, ErrorKind::NotFound(Noun::Upload));
    }
    f.clock.advance(Duration::from_secs(6 * 24 * 3600));
    f.store.tidy().await.unwrap();
    assert!(f.finish(complete(&upload, &[1])).await.unwrap().repeated);
    f.clock.advance(Duration::from_secs(2 * 24 * 3600));
    f.store.tidy().await.unwrap();
    let gone = f.finish(complete(&upload, &[1])).await;
    assert_eq!(kind(gone), ErrorKind::NotFound(Noun::Upload));
    f.assert_no_rows(&[0x52]).await;
    f.assert_sound().await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_frees_everything_at_once() {
    let f = Fixture::new().await;
    let upload = f.begin("k").await;
    for number in 1..=20 {
        f.send(&upload, number, &pattern(100_000 * number as usize, 1))
            .await
            .unwrap();
    }
    assert_eq!(kind(f.delete_bucket("b").await), ErrorKind::NotEmpty);
    f.assert_sound().await;
    f.give_up(&upload).await.unwrap();
    f.assert_no_rows(&TABLES).await;
    assert_eq!(
        kind(f.give_up(&upload).await),
        ErrorKind::NotFound(Noun::Upload)
    );
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
    f.delete_bucket("b").await.unwrap();
    let create = CreateUpload {
        encrypt: None,
        bucket: name("b"),
        key: key("k"),
        properties: ObjectProperties::default(),
        checksum: None,
    };
    assert_eq!(
        kind(f.begin_with(create).await),
        ErrorKind::NotFound(Noun::Bucket)
    );
}

#[tokio::test]
async fn parts_are_copied_by_reference() {
    let f = Fixture::new().await;
    let bytes = pattern(5 << 20, 2);
    f.put("large", &bytes).await.unwrap();
    f.put("small", &bytes[..1000]).await.unwrap();
    let upload = f.begin("k").await;
    let ranges = [
        ("large", None),
        ("small", None),
        ("large", Some((1 << 20, 4 << 20))),
        ("large", Some((10, 20))),
        ("small", Some((1, 998))),
    ];
    let mut whole = Vec::new();
    for (number, (from, range)) in (1..).zip(ranges) {
        let (first, last) = range.unwrap_or((0, if from == "large" { 5 << 20 } else { 1000 } - 1));
        let expected = &bytes[first as usize..=last as usize];
        let part = f
            .send_copy(&upload, number, range_of(from, range))
            .await
            .unwrap();
        let md5 = digest(expected, DigestAlgorithm::Md5);
        assert_eq!(part.digests.get(DigestAlgorithm::Md5), Some(&md5));
        whole.extend_from_slice(expected);
    }
    let beyond = f
        .send_copy(&upload, 9, range_of("small", Some((1000, 1000))))
        .await;
    assert_eq!(
        kind(beyond),
        ErrorKind::RangeNotSatisfiable { length: 1000 }
    );
    f.assert_sound().await;
    f.delete("large").await.unwrap();
    f.delete("small").await.unwrap();
    f.assert_sound().await;
    let outcome = f.finish(complete(&upload, &[1, 2, 3, 4, 5])).await.unwrap();
    let crc64 = digest(&whole, DigestAlgorithm::Crc64Nvme);
    assert_eq!(
        outcome.object.digests.get(DigestAlgorithm::Crc64Nvme),
        Some(&crc64)
    );
    assert_eq!(f.read("k").await.unwrap(), whole);
    f.assert_sound().await;
    f.delete("k").await.unwrap();
    f.assert_no_rows(&TABLES).await;
}

#[tokio::test]
async fn an_object_has_the_checksum_that_its_upload_asked_for() {
    let f = Fixture::new().await;
    let (first, second) = (pattern(300_000, 1), pattern(70, 2));
    let whole = [&first[..], &second].concat();
    for algorithm in DigestAlgorithm::ALL {
        for composite in [false, true] {
            let create = CreateUpload {
                encrypt: None,
                bucket: name("b"),
                key: key("k"),
                properties: ObjectProperties::default(),
                checksum: Some(UploadChecksum {
                    algorithm,
                    composite,
                }),
            };
            let crc = matches!(
                algorithm,
                DigestAlgorithm::Crc32 | DigestAlgorithm::Crc32c | DigestAlgorithm::Crc64Nvme
            );
            if !composite && !crc {
                assert_eq!(kind(f.begin_with(create).await), ErrorKind::InvalidInput);
                continue;
            }
            let upload = f.begin_with(create).await.unwrap();
            f.send(&upload, 1, &first).await.unwrap();
            f.put("s", &second).await.unwrap();
            f.send_copy(&upload, 2, range_of("s", None)).await.unwrap();
            let values = [&first, &second].map(|bytes| digest(bytes, algorithm).value);
            let expected = if composite {
                digest(&values.concat(), algorithm)
            } else {
                digest(&whole, algorithm)
            };
            let mut asked = complete(&upload, &[1, 2]);
            let checksum = Some(Checksum {
                digest: expected,
                composite_of: composite.then_some(2),
            });
            asked.expected_checksum = checksum.clone();
            assert_eq!(f.finish(asked).await.unwrap().object.checksum, checksum);
            f.assert_sound().await;
        }
    }
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_beginning() {
    let f = Fixture::new().await;
    let keys = [
        "a",
        "a/1",
        "a/2",
        "a/\u{0}/x",
        "b",
        "b",
        "b",
        "c/1",
        "c\u{0}",
        "d",
    ];
    let mut all: Vec<(String, UploadId)> = Vec::new();
    for k in keys {
        f.clock.advance(Duration::from_millis(2));
        all.push((k.to_owned(), f.begin(k).await.upload));
    }
    all.sort();
    let grant = on_bucket(Action::ListUploads, "b");
    for (prefix, delimiter) in [
        ("", None),
        ("", Some("/")),
        ("a", Some("/")),
        ("b", None),
        ("c\u{0}", None),
        ("a/", Some("\u{0}")),
    ] {
        let mut expected: Vec<String> = Vec::new();
        for (k, id) in all.iter().filter(|(k, _)| k.starts_with(prefix)) {
            let fold = delimiter.and_then(|d| {
                k[prefix.len()..]
                    .find(d)
                    .map(|at| prefix.len() + at + d.len())
            });
            let item = match fold {
                Some(end) => format!("{:?}/", &k[..end]),
                None => format!("{k:?} {id}"),
            };
            if expected.last() != Some(&item) {
                expected.push(item);
            }
        }
        for limit in [1, 2, 3, 100] {
            let mut list = ListUploads {
                bucket: name("b"),
                prefix: prefix.into(),
                delimiter: delimiter.map(str::to_owned),
                key_marker: None,
                upload_marker: None,
                limit,
            };
            let mut found = Vec::new();
            loop {
                let page = f.store.list_uploads(&grant, &list).await.unwrap();
                assert!(page.items.len() <= limit);
                for item in page.items {
                    found.push(match item {
                        UploadItem::Upload(upload) => {
                            format!("{:?} {}", upload.key.as_str(), upload.id)
                        }
                        UploadItem::Prefix(prefix) => format!("{prefix:?}/"),
                    });
                }
                let Some((key, upload)) = page.next else {
                    break;
                };
                (list.key_marker, list.upload_marker) = (Some(key), upload);
            }
            assert_eq!(found, expected, "{prefix:?} {delimiter:?} {limit}");
        }
    }
    // A key alone as the marker skips all its uploads.
    let list = ListUploads {
        bucket: name("b"),
        prefix: String::new(),
        delimiter: None,
        key_marker: Some("b".into()),
        upload_marker: None,
        limit: 1,
    };
    let page = f.store.list_uploads(&grant, &list).await.unwrap();
    assert!(matches!(&page.items[..], [UploadItem::Upload(u)] if u.key.as_str() == "c\u{0}"));
    f.assert_sound().await;
}

#[tokio::test]
async fn ten_thousand_parts_are_one_commit() {
    let f = Arc::new(Fixture::new().await);
    for give_up in [false, true] {
        let upload = f.begin("k").await;
        for number in 1..=10_000u32 {
            f.send(&upload, number, &number.to_be_bytes())
                .await
                .unwrap();
        }
        let before = f.sequence().await;
        if give_up {
            f.give_up(&upload).await.unwrap();
        } else {
            let numbers: Vec<u32> = (1..=10_000).collect();
            f.finish(complete(&upload, &numbers)).await.unwrap();
            let whole: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
            assert_eq!(f.read("k").await.unwrap(), whole);
            assert_eq!(
                f.read_range("k", 20_001, 20_011).await.unwrap(),
                &whole[20_001..20_011]
            );
            f.assert_sound().await;
        }
        assert_eq!(f.sequence().await, before.next());
    }
    // Too much for one commit: it is doomed, and gone when the verb has answered.
    f.delete("k").await.unwrap();
    f.assert_no_rows(&TABLES).await;
    f.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_and_completions_race() {
    let f = Arc::new(Fixture::new().await);
    for round in 0..20u8 {
        let upload = Arc::new(f.begin("k").await);
        f.send(&upload, 1, b"first").await.unwrap();
        let tasks: Vec<_> = (0..6u8)
            .map(|task| {
                let (f, upload) = (f.clone(), upload.clone());
                tokio::spawn(async move {
                    let bytes = pattern(200_000, task);
                    match (task, round % 2) {
                        (0, 0) => drop(f.finish(complete(&upload, &[1])).await.unwrap()),
                        (0, _) => f.give_up(&upload).await.unwrap(),
                        _ => match f.send(&upload, 1 + u32::from(task % 2), &bytes).await {
                            Ok(_) => {}
                            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound(Noun::Upload)),
                        },
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        f.assert_no_rows(&[0x50, 0x51, 0x53]).await;
        f.assert_sound().await;
    }
    f.delete("k").await.unwrap();
    f.assert_no_rows(&TABLES).await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn of_writers_at_one_place_one_wins() {
    let f = Fixture::new().await;
    let upload = f.begin("k").await;
    let bytes: Vec<Vec<u8>> = (0..8).map(|n| pattern(300_000 + n, n as u8)).collect();
    let sent = bytes
        .iter()
        .map(|bytes| f.send_new(&upload, (1, true), bytes));
    let sent = futures::future::join_all(sent).await;
    let won: Vec<&Part> = sent.iter().filter_map(|sent| sent.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    let lost = sent.iter().filter_map(|sent| sent.as_ref().err());
    for error in lost {
        let kind = error.kind();
        let refused = matches!(kind, ErrorKind::AlreadyExists(_) | ErrorKind::Conflict);
        assert!(refused, "{error}");
    }
    let listed = f.parts(&upload, 0, 9).await.unwrap();
    assert_eq!(listed.parts.len(), 1);
    assert_eq!(listed.parts[0].length, won[0].length);
    f.assert_sound().await;
}
