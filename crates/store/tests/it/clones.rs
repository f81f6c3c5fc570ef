//! Snapshots and clones of objects and volumes.

use crate::fixture::*;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

impl Fixture {
    async fn clone_as(&self, from: &str, to: &str, frozen: bool) -> Result<CopyOutcome> {
        let clone = CloneObject {
            source: Source {
                key_of_client: None,
                itself: true,
                bucket: name("b"),
                key: key(from),
                version: VersionRef::Current,
                precondition: Precondition::none(),
                tag_of: tag,
                range: None,
            },
            bucket: name("b"),
            key: key(to),
            precondition: Precondition::absent(),
            tag_of: tag,
            frozen,
        };
        let grants = [
            on_object(Action::ReadObject, "b", from),
            on_object(Action::WriteObject, "b", to),
        ];
        self.store
            .clone_object(&grants[0], &grants[1], &clone)
            .await
    }
}

#[tokio::test]
async fn a_snapshot_stays_and_a_clone_goes_its_own_way() {
    for order in [["v", "v@s", "w"], ["v@s", "w", "v"], ["w", "v", "v@s"]] {
        let f = Fixture::new().await;
        f.make_volume("v", 100 << 30).await.unwrap();
        f.write_at("v", 4096, b"one").await.unwrap();
        let snapshot = f.clone_as("v", "v@s", true).await.unwrap().object;
        assert!(snapshot.frozen && snapshot.is_volume());
        f.write_at("v", 4096, b"two").await.unwrap();
        f.clone_as("v@s", "w", false).await.unwrap();
        f.write_at("w", 8192, b"three").await.unwrap();
        let at = |k: &'static str, at: u64| {
            let f = &f;
            async move {
                let grant = on_object(Action::ReadObject, "b", k);
                let read = ReadObject {
                    bucket: name("b"),
                    key: key(k),
                    version: VersionRef::Current,
                };
                let reader = f.store.open_object(&grant, &read).await.unwrap();
                let range = ResolvedRange {
                    start: at,
                    end: at + 5,
                };
                collect(reader.into_bytes(range).await.unwrap())
                    .await
                    .unwrap()
            }
        };
        assert_eq!(at("v", 4096).await, b"two\0\0");
        assert_eq!(at("v@s", 4096).await, b"one\0\0");
        assert_eq!(at("v@s", 8192).await, [0; 5]);
        assert_eq!(at("w", 4096).await, b"one\0\0");
        assert_eq!(at("w", 8192).await, b"three");
        let state = ErrorKind::InvalidState;
        assert_eq!(kind(f.write_at("v@s", 0, b"x").await), state);
        assert_eq!(kind(f.put("v@s", b"x").await), state);
        f.assert_sound().await;
        for k in order {
            f.delete(k).await.unwrap();
            f.store.tidy().await.unwrap();
            f.assert_sound().await;
        }
        assert!(f.rows(0x40).await.is_empty() && f.rows(0x41).await.is_empty());
    }
}

#[tokio::test]
async fn objects_have_snapshots_too() {
    let f = Fixture::new().await;
    for (k, bytes) in [("small", pattern(10, 1)), ("large", pattern(400_000, 2))] {
        f.put(k, &bytes).await.unwrap();
        let snapshot = format!("{k}@s");
        let made = f.clone_as(k, &snapshot, true).await.unwrap();
        assert_eq!(made.object.digests, made.source.digests);
        assert_eq!(
            kind(f.clone_as(k, &snapshot, true).await),
            ErrorKind::PreconditionFailed
        );
        f.put(k, b"later").await.unwrap();
        assert_eq!(f.read(&snapshot).await.unwrap(), bytes);
        let state = ErrorKind::InvalidState;
        assert_eq!(kind(f.put(&snapshot, b"x").await), state);
        assert_eq!(kind(f.write_at(&snapshot, 0, b"x").await), state);
        assert_eq!(kind(f.rename(("b", k), ("b", &snapshot)).await), state);
        let tags = f.update(
            &snapshot,
            VersionRef::Current,
            &[Action::WriteObjectTags],
            &|properties| {
                properties.tags.insert("a".to_owned(), "b".to_owned());
                Ok(())
            },
        );
        assert_eq!(kind(tags.await), state);
        let clone = f
            .clone_as(&snapshot, &format!("{k}2"), false)
            .await
            .unwrap();
        assert!(!clone.object.frozen);
        f.put(&format!("{k}2"), b"mine").await.unwrap();
        f.delete(&snapshot).await.unwrap();
    }
    f.assert_sound().await;
}
