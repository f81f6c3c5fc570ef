//! The engine on the real file system: what one process sees, and what the next one finds.

use crate::{Settings, open, open_read_only};
use bytes::Bytes;
use std::os::unix::fs::FileExt;
use std::path::Path;
use trestle_core::{ErrorKind, Sequence};
use trestle_engine::{Body, Commit, Engine, Expectation, Extent, Scan, ScanItem, Write};
use trestle_host::{Host, OpenMode};

fn put(key: &str, value: &str, body: Option<Vec<u8>>) -> Commit {
    let write = Write::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        body: body.map(|bytes| Body::Attached(bytes.into())),
    };
    Commit {
        writes: vec![write],
        ..Commit::default()
    }
}

async fn reopen(dir: &Path) -> Engine {
    // A dropped engine gives its lock up as soon as its committer has gone.
    for _ in 0..200 {
        match open(&Host::real(), dir, Settings::default()).await {
            Err(error) if error.message().contains("in use") => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            other => return other.unwrap(),
        }
    }
    panic!("the lock was never given up");
}

/// Waits until the engine that was dropped has closed its files.
fn closed(dir: &Path) {
    let lock = Host::real()
        .disk
        .open(&dir.join("LOCK"), OpenMode::ReadWrite)
        .unwrap();
    while lock.try_lock().is_err() {
        std::thread::yield_now();
    }
}

async fn get(engine: &Engine, key: &str) -> Option<String> {
    let snapshot = engine.meta.snapshot().await.unwrap();
    let row = snapshot.get(key.as_bytes()).await.unwrap()?;
    Some(String::from_utf8(row.value.to_vec()).unwrap())
}

fn segment_files(dir: &Path, sub: &str) -> Vec<std::path::PathBuf> {
    Host::real().disk.list(&dir.join(sub)).unwrap()
}

fn flip(path: &Path, offset: u64) {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], offset).unwrap();
}

fn find(path: &Path, needle: &[u8]) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap() as u64
}

#[tokio::test]
async fn commits_survive_a_clean_and_an_abrupt_end() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    engine.meta.commit(put("a", "1", None)).await.unwrap();
    engine
        .meta
        .commit(put("b", "2", Some(vec![7; 100_000])))
        .await
        .unwrap();
    engine.meta.close().await.unwrap();
    let refused = engine.meta.commit(put("c", "3", None)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    drop(engine);

    let engine = reopen(dir.path()).await;
    assert_eq!(get(&engine, "a").await.as_deref(), Some("1"));
    let first = engine.meta.commit(put("c", "3", None)).await.unwrap();
    drop(engine);

    let engine = reopen(dir.path()).await;
    assert_eq!(get(&engine, "c").await.as_deref(), Some("3"));
    let snapshot = engine.meta.snapshot().await.unwrap();
    let body = snapshot.get(b"b").await.unwrap().unwrap().body.unwrap();
    assert_eq!(
        engine.data.read_body(&body, 99_990..100_000).await.unwrap(),
        vec![7; 10]
    );
    let second = engine.meta.commit(put("d", "4", None)).await.unwrap();
    assert!(second.sequence > first.sequence);
}

/// Every file of the folder with its bytes.
fn image(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in [dir.to_owned(), dir.join("log"), dir.join("data")] {
        for path in Host::real().disk.list(&folder).unwrap() {
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                files.push((path, bytes));
            }
        }
    }
    files
}

#[tokio::test]
async fn reading_alone_shows_everything_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        open_read_only(&Host::real(), dir.path(), Settings::default())
            .await
            .is_err()
    );
    let engine = reopen(dir.path()).await;
    engine.meta.commit(put("a", "1", None)).await.unwrap();
    engine.meta.close().await.unwrap();
    drop(engine);
    let engine = reopen(dir.path()).await;
    engine
        .meta
        .commit(put("b", "2", Some(vec![9; 1000])))
        .await
        .unwrap();
    drop(engine);
    closed(dir.path());
    let before = image(dir.path());
    let engine = open_read_only(&Host::real(), dir.path(), Settings::default())
        .await
        .unwrap();
    assert_eq!(get(&engine, "a").await.as_deref(), Some("1"));
    let snapshot = engine.meta.snapshot().await.unwrap();
    let body = snapshot.get(b"b").await.unwrap().unwrap().body.unwrap();
    assert_eq!(
        engine.data.read_body(&body, 0..1000).await.unwrap(),
        vec![9; 1000]
    );
    let refused = engine.meta.commit(put("c", "3", None)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    drop((snapshot, engine));
    assert!(image(dir.path()) == before, "a reader changed the folder");
    assert_eq!(
        get(&reopen(dir.path()).await, "b").await.as_deref(),
        Some("2")
    );
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _engine = reopen(dir.path()).await;
    let error = open(&Host::real(), dir.path(), Settings::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("in use"));
}

#[tokio::test]
async fn large_streams_are_read_back_in_ranges_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    let bytes: Vec<u8> = (0..9_000_001u32).map(|i| (i / 7) as u8).collect();
    let mut writer = engine.data.write(Bytes::from("large/")).await.unwrap();
    for chunk in bytes.chunks(70_001) {
        writer.append(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    let row = |(i, extent): (usize, &Extent)| Write::Put {
        key: format!("large/{i}").into(),
        value: Bytes::new(),
        body: Some(Body::Streamed(extent.clone())),
    };
    let named = Commit {
        writes: written.extents.iter().enumerate().map(row).collect(),
        tokens: vec![written.token],
        ..Commit::default()
    };
    engine.meta.commit(named).await.unwrap();
    engine.meta.close().await.unwrap();
    drop(engine);
    let engine = reopen(dir.path()).await;
    let total: u64 = written.extents.iter().map(|extent| extent.length).sum();
    assert_eq!(total, bytes.len() as u64);
    let snapshot = engine.meta.snapshot().await.unwrap();
    let second = snapshot
        .get(b"large/1")
        .await
        .unwrap()
        .unwrap()
        .body
        .unwrap();
    let length = u64::from(second.length);
    for range in [0..1, 65_535..65_537, length - 1..length, 5..5] {
        let at = (4 << 20) + range.start as usize..(4 << 20) + range.end as usize;
        assert_eq!(
            engine.data.read_body(&second, range).await.unwrap(),
            &bytes[at]
        );
    }
    assert!(engine.data.read_body(&second, 0..length + 1).await.is_err());

    // A flipped byte fails every range that touches its block, and no other.
    let file = segment_files(dir.path(), "data").pop().unwrap();
    flip(&file, 4096 + 100_000);
    let first = snapshot
        .get(b"large/0")
        .await
        .unwrap()
        .unwrap()
        .body
        .unwrap();
    let damaged = engine
        .data
        .read_body(&first, 65_536..65_540)
        .await
        .unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::Corrupt);
    assert!(engine.data.read_body(&first, 0..65_536).await.is_ok());
}

#[tokio::test]
async fn a_rotten_middle_is_refused_and_a_torn_tail_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    for i in 0..3 {
        engine
            .meta
            .commit(put(&format!("key-{i}"), &format!("value-{i}"), None))
            .await
            .unwrap();
    }
    drop(engine);
    let engine = reopen(dir.path()).await;
    assert_eq!(get(&engine, "key-2").await.as_deref(), Some("value-2"));
    engine
        .meta
        .commit(put("later", "found", None))
        .await
        .unwrap();
    drop(engine);
    drop(reopen(dir.path()).await);
    closed(dir.path());
    let logs = segment_files(dir.path(), "log");
    let rotten = find(&logs[0], b"value-1");
    flip(&logs[0], rotten);
    let error = open(&Host::real(), dir.path(), Settings::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let mut findings = Vec::new();
    crate::verify_log(&Host::real(), dir.path(), &mut |finding| {
        findings.push(finding)
    })
    .unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    flip(&logs[0], rotten);

    // Half a group at the end of the newest segment was promised to nobody.
    let newest = std::fs::OpenOptions::new()
        .write(true)
        .open(logs.last().unwrap())
        .unwrap();
    newest.write_all_at(b"TGRP\x01 torn", 8192 + 4096).unwrap();
    let engine = reopen(dir.path()).await;
    assert_eq!(get(&engine, "later").await.as_deref(), Some("found"));
}

#[tokio::test]
async fn the_last_synced_commit_is_not_mistaken_for_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    engine
        .meta
        .commit(put("only", "precious", None))
        .await
        .unwrap();
    engine
        .meta
        .commit(put("last", "treasure", None))
        .await
        .unwrap();
    engine.meta.close().await.unwrap();
    drop(engine);
    closed(dir.path());
    let index = dir.path().join("index.redb");
    let log = segment_files(dir.path(), "log").pop().unwrap();
    // Without the checkpoint of the close, the seal alone protects the last group.
    let empty = std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&index)
        .unwrap();
    drop(empty);
    flip(&log, find(&log, b"treasure"));
    let error = open(&Host::real(), dir.path(), Settings::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn checkpoints_and_rotation_keep_every_row_and_every_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        memtable_bytes: 64 << 10,
        ..Settings::default()
    };
    let engine = open(&Host::real(), dir.path(), settings.clone())
        .await
        .unwrap();
    engine
        .meta
        .commit(put("key-0000", "before", None))
        .await
        .unwrap();
    let before = engine.meta.snapshot().await.unwrap();
    for i in 0..1200 {
        let body = Some(vec![i as u8; 100_000]);
        engine
            .meta
            .commit(put(&format!("key-{i:04}"), "after", body))
            .await
            .unwrap();
    }
    assert!(
        segment_files(dir.path(), "log").len() > 1,
        "the log never rotated"
    );
    assert_eq!(
        before.get(b"key-0000").await.unwrap().unwrap().value,
        "before"
    );
    assert_eq!(
        before.scan(&Scan::prefix("key", 10)).await.unwrap().len(),
        1
    );
    drop(before);
    drop(engine);
    let engine = reopen(dir.path()).await;
    let snapshot = engine.meta.snapshot().await.unwrap();
    let items = snapshot.scan(&Scan::prefix("key-", 10_000)).await.unwrap();
    assert_eq!(items.len(), 1200);
    for (i, item) in items.into_iter().enumerate() {
        let ScanItem::Row(key, row) = item else {
            panic!("not a row")
        };
        assert_eq!(key, format!("key-{i:04}"));
        let body = engine
            .data
            .read_body(&row.body.unwrap(), 0..100_000)
            .await
            .unwrap();
        assert_eq!(body, vec![i as u8; 100_000]);
    }
}

#[tokio::test]
async fn one_of_many_concurrent_creations_wins_and_counters_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    let attempts = (0..64).map(|i| {
        let mut commit = put("contended", &i.to_string(), None);
        commit
            .expectations
            .push(Expectation::Absent(Bytes::from_static(b"contended")));
        commit.writes.push(Write::Add {
            key: Bytes::from_static(b"wins"),
            delta: 1,
        });
        engine.meta.commit(commit)
    });
    let outcomes = futures::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let additions = (0..200).map(|_| {
        let add = Write::Add {
            key: Bytes::from_static(b"sum"),
            delta: 3,
        };
        engine.meta.commit(Commit {
            writes: vec![add],
            ..Commit::default()
        })
    });
    for outcome in futures::future::join_all(additions).await {
        assert!(outcome.unwrap().sequence > Sequence(0));
    }
    let snapshot = engine.meta.snapshot().await.unwrap();
    let counter = |key: &'static [u8]| snapshot.get(key);
    assert_eq!(
        counter(b"sum").await.unwrap().unwrap().value.as_ref(),
        600i64.to_be_bytes()
    );
    assert_eq!(
        counter(b"wins").await.unwrap().unwrap().value.as_ref(),
        1i64.to_be_bytes()
    );
}

#[tokio::test]
async fn it_keeps_the_contract_with_rows_in_every_table() {
    // A table in memory of almost nothing: rows soon lie in the active one, the frozen one and the
    // index.
    let settings = Settings {
        memtable_bytes: 2 << 10,
        ..Settings::default()
    };
    let mut folders = Vec::new();
    trestle_engine::contract::all(|| {
        let dir = tempfile::tempdir().unwrap();
        let (path, settings) = (dir.path().to_owned(), settings.clone());
        folders.push(dir);
        Box::pin(async move { open(&Host::real(), &path, settings).await.unwrap() })
    })
    .await;
}

#[tokio::test]
async fn a_folder_whose_log_is_gone_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    engine.meta.commit(put("a", "1", None)).await.unwrap();
    engine.meta.close().await.unwrap();
    drop(engine);
    closed(dir.path());
    for segment in segment_files(dir.path(), "log") {
        Host::real().disk.remove(&segment).unwrap();
    }
    let before = image(dir.path());
    let error = open(&Host::real(), dir.path(), Settings::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = crate::rebuild(&Host::real(), dir.path(), &Settings::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(
        image(dir.path()) == before,
        "a refused start changed the folder"
    );
}

#[tokio::test]
async fn looking_where_no_store_is_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let (host, settings) = (Host::real(), Settings::default());
    assert!(
        open_read_only(&host, &nowhere, settings.clone())
            .await
            .is_err()
    );
    assert!(crate::rebuild(&host, &nowhere, &settings).is_err());
    assert!(crate::verify_log(&host, &nowhere, &mut |_| {}).is_err());
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn segments_of_many_streams_at_once_are_used_again_and_not_all_kept_open() {
    let dir = tempfile::tempdir().unwrap();
    let engine = reopen(dir.path()).await;
    let streams = 80;
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for round in 0..2 {
        let mut writers = Vec::new();
        for i in 0..streams {
            let key = format!("{round}/{i}/");
            let mut writer = engine.data.write(key.clone().into()).await.unwrap();
            writer.append(vec![i; 1000].into()).await.unwrap();
            writers.push((key, writer));
        }
        for (key, writer) in writers {
            let mut written = writer.finish().await.unwrap();
            let row = Write::Put {
                key: key.into(),
                value: Bytes::new(),
                body: Some(Body::Streamed(written.extents.remove(0))),
            };
            let named = Commit {
                writes: vec![row],
                tokens: vec![written.token],
                ..Commit::default()
            };
            engine.meta.commit(named).await.unwrap();
        }
    }
    assert_eq!(
        segment_files(dir.path(), "data").len(),
        usize::from(streams)
    );
    // Other tests run beside this one; none opens nearly as many.
    assert!(descriptors() < before + usize::from(streams));
    let snapshot = engine.meta.snapshot().await.unwrap();
    for round in 0..2 {
        for i in 0..streams {
            let row = snapshot.get(format!("{round}/{i}/").as_bytes()).await;
            let body = row.unwrap().unwrap().body.unwrap();
            let bytes = engine.data.read_body(&body, 0..1000).await.unwrap();
            assert_eq!(bytes, vec![i; 1000]);
        }
    }
}
