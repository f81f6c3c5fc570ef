//! Changes of a part of an object, additions at its end, and objects made of others.

use crate::copies::{a_copy, ranged};
use crate::fixture::*;
use trestle_access::Action;
use trestle_core::*;
use trestle_host::{Random, SeededRandom};
use trestle_store::*;

fn a_patch(k: &str, at: Offset) -> PatchObject {
    PatchObject {
        bucket: name("b"),
        key: key(k),
        precondition: Precondition::none(),
        tag_of: tag,
        at,
        checks: BodyChecks::default(),
        create: None,
    }
}

fn crc64(bytes: &[u8]) -> Option<Digest> {
    let mut hasher = Hasher::new(&[DigestAlgorithm::Crc64Nvme]);
    hasher.update(bytes);
    hasher.finish().get(DigestAlgorithm::Crc64Nvme).cloned()
}

impl Fixture {
    async fn patch_with(&self, patch: PatchObject, bytes: &[u8]) -> Result<PutOutcome> {
        let grant = on_object(Action::WriteObject, "b", patch.key.as_str());
        self.store.patch(&grant, patch, body(bytes)).await
    }

    pub(crate) async fn patch(&self, k: &str, at: u64, bytes: &[u8]) -> Result<PutOutcome> {
        self.patch_with(a_patch(k, Offset::At(at)), bytes).await
    }

    async fn append(&self, k: &str, at: Offset, bytes: &[u8]) -> Result<PutOutcome> {
        self.patch_with(a_patch(k, at), bytes).await
    }

    async fn compose(&self, to: &str, sources: Vec<Source>) -> Result<PutOutcome> {
        let grants: Vec<_> = sources
            .iter()
            .map(|source| on_object(Action::ReadObject, "b", source.key.as_str()))
            .collect();
        let compose = ComposeObject {
            sources,
            bucket: name("b"),
            key: key(to),
            precondition: Precondition::none(),
            tag_of: tag,
            properties: ObjectProperties::default(),
        };
        let grant = on_object(Action::WriteObject, "b", to);
        self.store.compose(&grants, &grant, compose).await
    }
}

/// What a patch means.
fn patched(old: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = old.to_vec();
    if !new.is_empty() {
        bytes.resize(bytes.len().max(at + new.len()), 0);
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}

#[tokio::test]
async fn a_range_is_replaced_wherever_it_lies() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max();
    for size in [0, 10, max, max + 1, 3 << 20] {
        let old = pattern(size, 1);
        for (at, length) in [
            (0, 1),
            (3, 4),
            (size / 2, 20_000),
            (size.saturating_sub(5), 10),
            (size, 7),
            (size + 100_000, 9),
            (size / 3, max + 3),
            (size, 2 << 20),
            (size + 1, max + 1),
            (0, size),
            (5, 0),
        ] {
            f.put("k", &old).await.unwrap();
            let new = pattern(length, 2);
            let expected = patched(&old, at, &new);
            let outcome = f.patch("k", at as u64, &new).await.unwrap();
            assert!(!outcome.created);
            assert_eq!(outcome.object.length(), expected.len() as u64);
            assert!(
                f.read("k").await.unwrap() == expected,
                "{size}: {length} at {at}"
            );
            assert_eq!(f.usage("b").await, (1, expected.len() as u64));
            // A second change of the same place.
            let newer = pattern(length / 2 + 1, 3);
            let expected = patched(&expected, at + 1, &newer);
            f.patch("k", at as u64 + 1, &newer).await.unwrap();
            assert!(
                f.read("k").await.unwrap() == expected,
                "{size}: {length} at {at} again"
            );
            f.assert_sound().await;
        }
    }
    f.delete("k").await.unwrap();
    for table in [0x30, 0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, []);
    }
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_patch_moves_none_of_the_rest() {
    let f = Fixture::new().await;
    let bytes = pattern(8 << 20, 1);
    f.put("k", &bytes).await.unwrap();
    let own = async || {
        let rows = f.rows(0x41).await.len();
        (f.rows(0x40).await.len(), rows)
    };
    assert_eq!(own().await, (1, 8));
    f.patch("k", 1_000_000, b"new").await.unwrap();
    // Two ranges of what was there, and one block.
    assert_eq!(own().await, (2, 8 + 3));
    // In place: the same block, and one in a range.
    f.patch("k", 1_000_001, b"er").await.unwrap();
    assert_eq!(own().await, (2, 8 + 3));
    f.patch("k", 2_000_000, b"x").await.unwrap();
    assert_eq!(own().await, (2, 8 + 5));
    let mut expected = patched(&bytes, 1_000_000, b"ner");
    expected = patched(&expected, 2_000_000, b"x");
    assert!(f.read("k").await.unwrap() == expected);
    // What is covered as a whole is free.
    let whole = pattern(8 << 20, 5);
    f.patch("k", 0, &whole).await.unwrap();
    assert!(f.read("k").await.unwrap() == whole);
    assert_eq!(own().await, (1, 8));
    f.assert_sound().await;
}

#[tokio::test]
async fn who_reads_or_shares_the_former_content_keeps_it() {
    let f = Fixture::new().await;
    let bytes = pattern(3 << 20, 1);
    f.put("k", &bytes).await.unwrap();
    // Changed in place from here on.
    f.patch("k", 0, b"first").await.unwrap();
    let old = patched(&bytes, 0, b"first");
    let reader = f.open("k").await.unwrap();
    let range = ResolvedRange {
        start: 0,
        end: old.len() as u64,
    };
    let stream = reader.into_bytes(range).await.unwrap();
    f.patch("k", 2 << 20, b"second").await.unwrap();
    let new = patched(&old, 2 << 20, b"second");
    f.copy(a_copy("k", "b", "copy")).await.unwrap();
    f.patch("k", 5, b"third").await.unwrap();
    let newest = patched(&new, 5, b"third");
    f.store.tidy().await.unwrap();
    f.assert_sound().await;
    assert!(collect(stream).await.unwrap() == old);
    assert!(f.read("copy").await.unwrap() == new);
    assert!(f.read("k").await.unwrap() == newest);
    f.store.tidy().await.unwrap();
    f.assert_sound().await;
    // A version in history is never changed.
    f.versioning(Versioning::Enabled).await.unwrap();
    let former = f.head("k").await.unwrap().version;
    f.patch("k", 1, b"fourth").await.unwrap();
    assert!(f.read_version("k", VersionRef::Id(former)).await.unwrap() == newest);
    assert!(f.read("k").await.unwrap() == patched(&newest, 1, b"fourth"));
    f.assert_sound().await;
    f.erase("k").await.unwrap();
    f.erase("copy").await.unwrap();
    for table in [0x30, 0x31, 0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, []);
    }
}

#[tokio::test]
async fn bytes_are_added_at_the_end_that_is_expected() {
    let f = Fixture::new().await;
    let missing = f.append("k", Offset::End, b"x").await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    let create = PatchObject {
        create: Some(ObjectProperties::default()),
        ..a_patch("k", Offset::EndAt(0))
    };
    assert!(f.patch_with(create, b"one").await.unwrap().created);
    let mut expected = b"one".to_vec();
    for (number, size) in [10, 100_000, 100_000, 3, 2 << 20, 1, 20_000]
        .into_iter()
        .enumerate()
    {
        let at = expected.len() as u64;
        let wrong = f.append("k", Offset::EndAt(at - 1), b"x").await;
        assert_eq!(kind(wrong), ErrorKind::InvalidOffset { length: at });
        let bytes = pattern(size, number as u8);
        let offset = if number % 2 == 0 {
            Offset::End
        } else {
            Offset::EndAt(at)
        };
        let outcome = f.append("k", offset, &bytes).await.unwrap();
        expected.extend_from_slice(&bytes);
        assert!(f.read("k").await.unwrap() == expected);
        // What only grew keeps a digest of all its bytes.
        let known = outcome.object.digests.get(DigestAlgorithm::Crc64Nvme);
        assert_eq!(known, crc64(&expected).as_ref());
        f.assert_sound().await;
    }
    assert_eq!(f.rows(0x40).await.len(), 1);
    let failed = PatchObject {
        precondition: Precondition::absent(),
        ..a_patch("k", Offset::End)
    };
    let failed = f.patch_with(failed, b"x").await;
    assert_eq!(kind(failed), ErrorKind::PreconditionFailed);
    let far = f.patch("k", OBJECT_BYTES_MAX, b"x").await;
    assert_eq!(kind(far), ErrorKind::TooLarge);
    // A gap is a row, however large, and reads as zeros.
    f.patch("k", 1 << 40, b"end").await.unwrap();
    let read = f
        .read_range("k", (1 << 40) - 70_000, (1 << 40) + 3)
        .await
        .unwrap();
    assert!(read == patched(&[], 70_000, b"end"));
    f.delete("k").await.unwrap();
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn many_changes_copies_and_readers_agree_with_plain_bytes() {
    for seed in 0..12 {
        let f = Fixture::new().await;
        let random = SeededRandom::new(seed);
        let mut bytes = [0; 8];
        let mut pick = move |below: u64| {
            random.fill(&mut bytes);
            u64::from_be_bytes(bytes) % below
        };
        let names = ["a", "b", "c"];
        let mut model: Vec<Option<Vec<u8>>> = vec![None; names.len()];
        let mut readers: Vec<(ObjectReader, Vec<u8>)> = Vec::new();
        for step in 0..60u8 {
            let at = pick(3) as usize;
            let to = names[at];
            let size = [1, 500, 20_000, 70_000, 140_000, 1_200_000][pick(6) as usize];
            let new = pattern(pick(size) as usize + 1, step);
            let Some(old) = model[at].clone() else {
                f.put(to, &new).await.unwrap();
                model[at] = Some(new);
                continue;
            };
            let n = old.len() as u64;
            match pick(9) {
                0..4 => {
                    let place = pick(n + n / 8 + 2);
                    f.patch(to, place, &new).await.unwrap();
                    model[at] = Some(patched(&old, place as usize, &new));
                }
                4 => {
                    f.append(to, Offset::EndAt(n), &new).await.unwrap();
                    model[at] = Some([&old[..], &new].concat());
                }
                5 => {
                    let other = (at + 1) % 3;
                    f.copy(a_copy(to, "b", names[other])).await.unwrap();
                    model[other] = Some(old);
                }
                6 => {
                    let other = (at + 2) % 3;
                    let first = pick(n);
                    let last = first + pick(n - first);
                    f.copy(ranged(to, names[other], first, last)).await.unwrap();
                    model[other] = Some(old[first as usize..=last as usize].to_vec());
                }
                7 => readers.push((f.open(to).await.unwrap(), old)),
                _ => {
                    f.delete(to).await.unwrap();
                    model[at] = None;
                }
            }
            if pick(6) == 0 {
                f.store.tidy().await.unwrap();
            }
            for (k, expected) in names.iter().zip(&model) {
                let read = f.read(k).await.ok();
                assert!(read == *expected, "seed {seed} step {step} {k}");
            }
            f.assert_sound().await;
            if readers.len() == 3 {
                let (reader, expected) = readers.remove(0);
                let range = ResolvedRange {
                    start: 0,
                    end: expected.len() as u64,
                };
                let read = collect(reader.into_bytes(range).await.unwrap()).await;
                assert!(
                    read.unwrap() == expected,
                    "seed {seed} step {step}: a reader"
                );
            }
        }
        readers.clear();
        for (k, expected) in names.iter().zip(&model) {
            if expected.is_some() {
                f.delete(k).await.unwrap();
            }
        }
        f.store.tidy().await.unwrap();
        for table in [0x30, 0x40, 0x41, 0x42] {
            assert_eq!(f.rows(table).await, [], "seed {seed}");
        }
        f.assert_nothing_leaked().await;
    }
}

#[tokio::test]
async fn objects_are_made_of_others() {
    let f = Fixture::new().await;
    let large = pattern(2 << 20, 1);
    f.put("large", &large).await.unwrap();
    f.put("small", b"small").await.unwrap();
    f.put("empty", b"").await.unwrap();
    let of = |k: &str, range: Option<(u64, u64)>| Source {
        key_of_client: None,
        itself: false,
        bucket: name("b"),
        key: key(k),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
        range: range.map(|(first, last)| ByteRange::Inclusive { first, last }),
    };
    let sources = vec![
        of("small", None),
        of("large", None),
        of("empty", None),
        of("large", Some((5, 300_004))),
        of("small", Some((1, 2))),
    ];
    let made = f.compose("k", sources).await.unwrap();
    let expected = [b"small", &large[..], &large[5..300_005], b"ma"].concat();
    assert!(f.read("k").await.unwrap() == expected);
    assert_eq!(made.object.written, Written::Patched);
    f.assert_sound().await;
    let made = f
        .compose(
            "l",
            vec![of("k", None), of("large", None), of("small", None)],
        )
        .await
        .unwrap();
    assert!(f.read("l").await.unwrap() == [&expected[..], &large, b"small"].concat());
    assert_eq!(made.object.written, Written::Patched);
    let made = f
        .compose("m", vec![of("large", None), of("small", None)])
        .await
        .unwrap();
    let whole = [&large[..], b"small"].concat();
    assert!(matches!(
        made.object.written,
        Written::Parts { count: 2, .. }
    ));
    assert_eq!(
        made.object.digests.get(DigestAlgorithm::Crc64Nvme),
        crc64(&whole).as_ref()
    );
    let made = f
        .compose(
            "s",
            vec![of("small", None), of("empty", None), of("small", None)],
        )
        .await
        .unwrap();
    assert_eq!(f.read("s").await.unwrap(), b"smallsmall");
    assert_eq!(made.object.written, Written::Whole);
    let made = f
        .compose("e", vec![of("empty", None), of("empty", None)])
        .await
        .unwrap();
    assert_eq!(made.object.digests, f.head("empty").await.unwrap().digests);
    f.assert_sound().await;
    assert_eq!(
        kind(f.compose("x", Vec::new()).await),
        ErrorKind::InvalidInput
    );
    let missing = f
        .compose("x", vec![of("small", None), of("none", None)])
        .await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    // Over and over: ways stay short enough to be read, and nothing is lost when all but one goes.
    for round in 0..30 {
        f.compose(
            "l",
            vec![of("l", Some((0, 250_000))), of("m", Some((round, 200_000)))],
        )
        .await
        .unwrap();
    }
    let expected = f.read("l").await.unwrap();
    for k in ["large", "small", "empty", "k", "m", "s", "e"] {
        f.delete(k).await.unwrap();
        f.assert_sound().await;
    }
    assert!(f.read("l").await.unwrap() == expected);
    f.delete("l").await.unwrap();
    for table in [0x30, 0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, []);
    }
}
