//! Volumes: written in place, never replaced, and against a naive model of bytes.

use crate::copies::a_copy;
use crate::fixture::*;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

impl Fixture {
    pub(crate) async fn make_volume(&self, k: &str, size: u64) -> Result<PutOutcome> {
        let create = CreateVolume {
            bucket: name("b"),
            key: key(k),
            size,
            precondition: Precondition::none(),
            tag_of: tag,
            properties: ObjectProperties::default(),
        };
        let grant = on_object(Action::WriteObject, "b", k);
        self.store.create_volume(&grant, &create).await
    }

    pub(crate) async fn write_at(&self, k: &str, at: u64, bytes: &[u8]) -> Result<PutOutcome> {
        let patch = PatchObject {
            bucket: name("b"),
            key: key(k),
            precondition: Precondition::none(),
            tag_of: tag,
            at: Offset::At(at),
            checks: BodyChecks::default(),
            create: None,
        };
        let grant = on_object(Action::WriteObject, "b", k);
        self.store.patch(&grant, patch, body(bytes)).await
    }

    async fn change_volume(&self, k: &str, change: VolumeChange) -> Result<PutOutcome> {
        let change = ChangeVolume {
            bucket: name("b"),
            key: key(k),
            precondition: Precondition::none(),
            tag_of: tag,
            change,
        };
        let grant = on_object(Action::WriteObject, "b", k);
        self.store.change_volume(&grant, &change).await
    }

    async fn zeros(&self, k: &str, offset: u64, length: u64) -> Result<PutOutcome> {
        self.change_volume(k, VolumeChange::Zeros { offset, length })
            .await
    }

    async fn resize(&self, k: &str, size: u64) -> Result<PutOutcome> {
        self.change_volume(k, VolumeChange::Resize { size }).await
    }
}

#[tokio::test]
async fn a_volume_is_what_was_written_into_it() {
    let f = Fixture::new().await;
    let mut size = 40_000u64;
    f.make_volume("v", size).await.unwrap();
    let mut model = vec![0u8; size as usize];
    let mut seed = 7u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for step in 0..250u64 {
        let at = next(size);
        let length = (1 + next(9_000)).min(size - at);
        let range = at as usize..(at + length) as usize;
        match next(10) {
            0..=5 => {
                let bytes = pattern(length as usize, step as u8);
                f.write_at("v", at, &bytes).await.unwrap();
                model[range].copy_from_slice(&bytes);
            }
            6 | 7 => {
                f.zeros("v", at, length).await.unwrap();
                model[range].fill(0);
            }
            8 => {
                size = 1 + next(60_000);
                f.resize("v", size).await.unwrap();
                model.resize(size as usize, 0);
            }
            _ => {
                // A copy shares the layer: the next write goes to another.
                let copied = f.copy(a_copy("v", "b", "copy")).await.unwrap();
                assert!(!copied.object.is_volume());
                f.delete("copy").await.unwrap();
            }
        }
        assert_eq!(f.read("v").await.unwrap(), model, "step {step}");
    }
    f.zeros("v", 0, size).await.unwrap();
    f.assert_sound().await;
    assert_eq!(f.usage("b").await, (1, size));
    f.delete("v").await.unwrap();
    f.store.tidy().await.unwrap();
    assert!(f.rows(0x40).await.is_empty() && f.rows(0x41).await.is_empty());
    f.assert_sound().await;
}

#[tokio::test]
async fn zeros_take_no_space_and_holes_are_joined() {
    let f = Fixture::new().await;
    f.make_volume("v", 1 << 40).await.unwrap();
    for block in 0..16u64 {
        let at = block * VOLUME_BLOCK_BYTES;
        f.write_at("v", at, &[1; 4096]).await.unwrap();
    }
    assert_eq!(f.rows(0x41).await.len(), 17);
    for block in [3u64, 5, 4, 0, 1, 2, 15, 14, 6, 13] {
        let at = block * VOLUME_BLOCK_BYTES;
        f.zeros("v", at, VOLUME_BLOCK_BYTES).await.unwrap();
    }
    // A hole, six blocks, a hole.
    assert_eq!(f.rows(0x41).await.len(), 8);
    f.assert_sound().await;
    f.zeros("v", 0, 1 << 40).await.unwrap();
    assert_eq!(f.rows(0x41).await.len(), 1);
    f.resize("v", 5000).await.unwrap();
    f.resize("v", 1 << 41).await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn nothing_else_comes_in_the_place_of_a_volume() {
    let f = Fixture::new().await;
    let made = f.make_volume("v", 10_000).await.unwrap();
    assert!(made.created && made.object.is_volume());
    let again = f.make_volume("v", 10_000).await.unwrap();
    assert_eq!((again.created, again.object), (false, made.object));
    let state = ErrorKind::InvalidState;
    assert_eq!(kind(f.make_volume("v", 9_999).await), state);
    assert_eq!(kind(f.make_volume("w", 0).await), ErrorKind::InvalidInput);
    f.put("o", b"bytes").await.unwrap();
    assert_eq!(kind(f.put("v", b"bytes").await), state);
    assert_eq!(kind(f.copy(a_copy("o", "b", "v")).await), state);
    assert_eq!(kind(f.zeros("o", 0, 1).await), state);
    let beyond = ErrorKind::RangeNotSatisfiable { length: 10_000 };
    assert_eq!(kind(f.write_at("v", 9_999, b"xy").await), beyond);
    assert_eq!(kind(f.zeros("v", 0, 10_001).await), beyond);
    f.write_at("v", 9_998, b"xy").await.unwrap();
    // Its bytes are copied like any others.
    let copied = f.copy(a_copy("v", "b", "o")).await.unwrap();
    assert_eq!(copied.object.length(), 10_000);
    f.write_at("v", 0, b"later").await.unwrap();
    assert_eq!(f.read("o").await.unwrap()[..5], [0; 5]);
    assert_eq!(f.read("v").await.unwrap()[..5], *b"later");
    f.assert_sound().await;
}

#[tokio::test]
async fn a_write_makes_no_version_and_a_reader_is_not_disturbed() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let made = f.make_volume("v", 3 << 20).await.unwrap().object;
    let bytes = pattern(3 << 20, 1);
    f.write_at("v", 0, &bytes).await.unwrap();
    let read = ReadObject {
        bucket: name("b"),
        key: key("v"),
        version: VersionRef::Current,
    };
    let grant = on_object(Action::ReadObject, "b", "v");
    let reader = f.store.open_object(&grant, &read).await.unwrap();
    let revision = reader.object().revision();
    f.write_at("v", 2 << 20, &[9; 4096]).await.unwrap();
    let whole = ResolvedRange {
        start: 0,
        end: 3 << 20,
    };
    let found = collect(reader.into_bytes(whole).await.unwrap()).await;
    assert_eq!(found.unwrap(), bytes);
    let now = f.head("v").await.unwrap();
    assert_eq!(now.version, made.version);
    assert_ne!(now.revision(), revision);
    let list = ListVersions {
        bucket: name("b"),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 10,
    };
    assert_eq!(f.list_versions(&list).await.unwrap().items.len(), 1);
    f.assert_sound().await;
}

#[tokio::test]
async fn concurrent_writes_of_one_volume_all_land() {
    let f = std::sync::Arc::new(Fixture::new().await);
    f.make_volume("v", 32 * 4096).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..32u64 {
        let f = f.clone();
        tasks.push(tokio::spawn(async move {
            f.write_at("v", n * 4096, &[n as u8; 4096]).await.unwrap();
            let grant = on_object(Action::ReadObject, "b", "v");
            let read = ReadObject {
                bucket: name("b"),
                key: key("v"),
                version: VersionRef::Current,
            };
            let reader = f.store.open_object(&grant, &read).await.unwrap();
            let range = ResolvedRange {
                start: n * 4096,
                end: (n + 1) * 4096,
            };
            let found = collect(reader.into_bytes(range).await.unwrap()).await;
            assert_eq!(found.unwrap(), [n as u8; 4096]);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let whole = f.read("v").await.unwrap();
    assert!((0..32).all(|n| whole[n * 4096..][..4096] == [n as u8; 4096]));
    f.assert_sound().await;
}

/// Whoever gives a write up, at whatever moment, holds nobody else up, and takes nobody's write along.
#[tokio::test]
async fn a_writer_that_gives_up_keeps_nobody_waiting() {
    let f = Fixture::new().await;
    f.make_volume("v", 3 * 4096).await.unwrap();
    for polls in 0..12u8 {
        let mut first = Box::pin(f.write_at("v", 0, b"given up"));
        for _ in 0..polls {
            if futures::poll!(first.as_mut()).is_ready() {
                break;
            }
        }
        let (second, third) = ([polls + 1; 10], [polls + 101; 10]);
        let mut second_write = Box::pin(f.write_at("v", 4096, &second));
        let _pending = futures::poll!(second_write.as_mut());
        let mut third_write = Box::pin(f.write_at("v", 8192, &third));
        let ended = futures::poll!(third_write.as_mut()).is_ready();
        drop(first);
        if !ended {
            third_write.await.unwrap();
        }
        drop(second_write);
        // A write after all of them sees what is there, and nothing is in its way.
        f.write_at("v", 4096, &second).await.unwrap();
        let whole = f.read("v").await.unwrap();
        assert_eq!(whole[4096..4106], second, "{polls}");
        assert_eq!(whole[8192..8202], third, "{polls}");
        f.assert_sound().await;
    }
}
