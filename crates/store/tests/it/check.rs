use crate::fixture::*;
use bytes::Bytes;
use trestle_core::ErrorKind;
use trestle_engine::{Commit, Write};

async fn apply(f: &Fixture, write: Write) {
    f.engine
        .meta
        .commit(Commit {
            writes: vec![write],
            ..Commit::default()
        })
        .await
        .unwrap();
}

/// A store with a small object `s` and a large one `l`.
async fn sound() -> Fixture {
    let f = Fixture::new().await;
    f.put("s", b"small").await.unwrap();
    f.put("l", &pattern(3 << 20, 4)).await.unwrap();
    f.assert_sound().await;
    f
}

#[tokio::test]
async fn every_lost_row_is_found() {
    let counts = sound().await;
    for table in [0x10, 0x20, 0x21, 0x22, 0x30, 0x33, 0x40, 0x41, 0x60] {
        for row in 0..counts.rows(table).await.len() {
            let f = sound().await;
            let (key, _) = f.rows(table).await.swap_remove(row);
            apply(&f, Write::Delete { key: key.clone() }).await;
            let (_, findings) = f.check().await;
            assert!(!findings.is_empty(), "{key:x}");
        }
    }
}

/// A store with versions of every kind, ends, and a job.
async fn versioned() -> Fixture {
    use trestle_store::Versioning;
    let f = Fixture::new().await;
    f.put("k", b"null").await.unwrap();
    f.put("large", &pattern(300_000, 4)).await.unwrap();
    f.versioning(Versioning::Enabled).await.unwrap();
    for k in ["k", "large"] {
        f.put(k, b"above").await.unwrap();
        f.put(k, b"current").await.unwrap();
    }
    f.mark("gone").await;
    f.put("marked", b"x").await.unwrap();
    f.mark("marked").await;
    let mut put = a_put("b", "ends");
    put.properties.expires = Some(trestle_core::Timestamp(START.0 + 1_000_000));
    f.put_with(put, b"x").await.unwrap();
    f.put("d/1", b"x").await.unwrap();
    f.put("d/2", b"x").await.unwrap();
    f.store.set_tree_keys_max(1);
    crate::trees::rename(&f, "d/", ("b", "n/")).await.unwrap();
    f.assert_sound().await;
    f
}

#[tokio::test]
async fn every_lost_or_damaged_row_of_versions_is_found() {
    let counts = versioned().await;
    for table in [0x30, 0x31, 0x33, 0x34, 0x35, 0x36, 0x38, 0x60] {
        let rows = counts.rows(table).await.len();
        assert!(rows > 0, "{table:#x}");
        for row in 0..rows {
            let f = versioned().await;
            let (key, value) = f.rows(table).await.swap_remove(row);
            apply(&f, Write::Delete { key: key.clone() }).await;
            let (_, findings) = f.check().await;
            assert!(!findings.is_empty(), "{key:x}");
            if !value.is_empty() {
                let value = value.slice(..value.len() - 1);
                let body = None;
                apply(
                    &f,
                    Write::Put {
                        key: key.clone(),
                        value,
                        body,
                    },
                )
                .await;
                let (_, findings) = f.check().await;
                assert!(!findings.is_empty(), "{key:x}");
            }
        }
    }
}

/// A store with shared layers, references, an upload with parts, and a layer that is to go.
async fn shared() -> (Fixture, trestle_store::ObjectReader) {
    let f = Fixture::new().await;
    f.put("l", &pattern(3 << 20, 4)).await.unwrap();
    f.copy(crate::copies::a_copy("l", "b", "whole"))
        .await
        .unwrap();
    f.copy(crate::copies::ranged("l", "range", 5, 2 << 20))
        .await
        .unwrap();
    let upload = f.begin("u").await;
    f.send(&upload, 1, b"small").await.unwrap();
    f.send(&upload, 2, &pattern(300_000, 1)).await.unwrap();
    let done = f.begin("done").await;
    f.send(&done, 1, b"small").await.unwrap();
    f.send(&done, 2, &pattern(300_000, 2)).await.unwrap();
    f.finish(crate::uploads::complete(&done, &[1, 2]))
        .await
        .unwrap();
    f.put("gone", &pattern(300_000, 3)).await.unwrap();
    let reader = f.open("gone").await.unwrap();
    f.delete("gone").await.unwrap();
    f.assert_sound().await;
    (f, reader)
}

#[tokio::test]
async fn every_lost_row_of_shared_contents_is_found() {
    let (counts, _reader) = shared().await;
    for table in [0x30, 0x40, 0x41, 0x42, 0x50, 0x51] {
        let rows = counts.rows(table).await.len();
        assert!(rows > 0, "{table:#x}");
        for row in 0..rows {
            let (f, _reader) = shared().await;
            let (key, _) = f.rows(table).await.swap_remove(row);
            apply(&f, Write::Delete { key: key.clone() }).await;
            let lost_of_doomed = table == 0x41 && f.rows(0x42).await[0].0[1..] == key[1..17];
            let (_, findings) = f.check().await;
            // Of a layer that is to go some rows may be gone.
            assert_eq!(findings.is_empty(), lost_of_doomed, "{key:x}");
        }
    }
}

#[tokio::test]
async fn every_damaged_record_of_shared_contents_is_found() {
    for table in [0x40, 0x41, 0x50, 0x51, 0x52, 0x53] {
        let (counts, _reader) = shared().await;
        for row in 0..counts.rows(table).await.len() {
            let (f, _reader) = shared().await;
            let (key, value) = f.rows(table).await.swap_remove(row);
            let value = value.slice(..value.len() - 1);
            let body = None;
            apply(&f, Write::Put { key, value, body }).await;
            let (_, findings) = f.check().await;
            assert!(!findings.is_empty(), "table {table:#x} row {row}");
        }
    }
}

#[tokio::test]
async fn every_damaged_record_is_found_and_named() {
    for table in [0x10, 0x20, 0x21, 0x22, 0x30, 0x33, 0x40, 0x41, 0x60] {
        let f = sound().await;
        for (key, value) in f.rows(table).await {
            let value = value.slice(..value.len() - 1);
            apply(
                &f,
                Write::Put {
                    key,
                    value,
                    body: None,
                },
            )
            .await;
        }
        let (_, findings) = f.check().await;
        assert!(!findings.is_empty(), "table {table:#x}");
        if table == 0x30 {
            let keys: Vec<_> = findings.iter().filter_map(|f| f.key.as_ref()).collect();
            assert!(keys.contains(&&key("s")) && keys.contains(&&key("l")));
            assert!(findings.iter().any(|f| f.bucket == Some(name("b"))));
        }
    }
}

#[tokio::test]
async fn a_missing_extent_is_corruption_and_never_zeros() {
    let f = sound().await;
    let (key, _) = f.rows(0x41).await.remove(0);
    apply(&f, Write::Delete { key }).await;
    assert_eq!(kind(f.read("l").await), ErrorKind::Corrupt);
    assert_eq!(kind(f.read_range("l", 5, 6).await), ErrorKind::Corrupt);
    let (_, findings) = f.check().await;
    assert_eq!(
        findings
            .iter()
            .filter(|f| f.key == Some(crate::fixture::key("l")))
            .count(),
        1
    );
    // A damaged object can be deleted.
    f.delete("l").await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_record_are_found() {
    let f = sound().await;
    let rows = f.rows(0x30).await;
    let (key, value) = rows
        .into_iter()
        .find(|(key, _)| key.ends_with(b"s"))
        .unwrap();
    let other = Some(trestle_engine::Body::Attached(Bytes::from_static(b"smaIl")));
    apply(
        &f,
        Write::Put {
            key: key.clone(),
            value: value.clone(),
            body: other,
        },
    )
    .await;
    let (_, findings) = f.check().await;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].key, Some(crate::fixture::key("s")));
    apply(
        &f,
        Write::Put {
            key,
            value,
            body: None,
        },
    )
    .await;
    assert_eq!(kind(f.read("s").await), ErrorKind::Corrupt);
    assert_eq!(f.check().await.1.len(), 1);
}

#[tokio::test]
async fn a_wrong_counter_and_an_unknown_row_are_found() {
    let f = sound().await;
    let (key, _) = f.rows(0x60).await.remove(0);
    apply(&f, Write::Add { key, delta: 1 }).await;
    let key = Bytes::from_static(b"\xf0x");
    apply(
        &f,
        Write::Put {
            key,
            value: Bytes::new(),
            body: None,
        },
    )
    .await;
    assert_eq!(f.check().await.1.len(), 2);
}
