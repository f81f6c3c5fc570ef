//! The main job in small: a tree of files goes in, is listed, and comes back identical, also when
//! the server is killed half-way.

use crate::{Fixture, send};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use trestle_tests::tree;

const FILES: usize = 500;

/// Files of very different sizes in nested folders.
fn plant(root: &std::path::Path) -> BTreeMap<String, PathBuf> {
    for number in 0..FILES {
        let folder = root.join(format!("dir {}/sub-{}", number % 7, number % 31));
        std::fs::create_dir_all(&folder).unwrap();
        let size = match number % 50 {
            0 => 0,
            1 => 1 << 20,
            n => n * n * 20,
        };
        std::fs::write(
            folder.join(format!("{number}.bin")),
            tree::noise(number as u64, size),
        )
        .unwrap();
    }
    let files = tree::files(root).unwrap();
    assert_eq!(files.len(), FILES);
    files
}

#[test]
fn a_tree_comes_back_identical() {
    let fixture = Fixture::new();
    let files = plant(&fixture.folder.path().join("tree"));
    let clients = || (0..4).map(|_| fixture.client()).collect();
    let uploaded = tree::upload(clients(), "b", &files, &AtomicUsize::new(0));
    assert_eq!(uploaded.failures, [""; 0]);

    let listed = tree::list(&mut fixture.client(), "b", 64).unwrap();
    let expected: Vec<(String, u64)> = files
        .iter()
        .map(|(key, path)| (key.clone(), path.metadata().unwrap().len()))
        .collect();
    assert_eq!(listed, expected);
    let compared = tree::compare(clients(), "b", &files, &AtomicUsize::new(0));
    assert_eq!((compared.done.len(), compared.failures), (FILES, vec![]));
}

#[test]
fn what_was_acknowledged_before_a_kill_is_whole_after_it() {
    let mut fixture = Fixture::new();
    let files = plant(&fixture.folder.path().join("tree"));
    let mut acknowledged = BTreeSet::new();
    for round in 1..4 {
        let left = files
            .iter()
            .filter(|(key, _)| !acknowledged.contains(*key))
            .map(|(key, path)| (key.clone(), path.clone()))
            .collect();
        let progress = AtomicUsize::new(0);
        let clients = (0..4).map(|_| fixture.client()).collect();
        let outcome = std::thread::scope(|scope| {
            let upload = scope.spawn(|| tree::upload(clients, "b", &left, &progress));
            while progress.load(Ordering::Relaxed) < 40 * round && !upload.is_finished() {
                std::thread::yield_now();
            }
            fixture.kill();
            upload.join().unwrap()
        });
        fixture.start();
        assert!(
            !outcome.failures.is_empty(),
            "the kill came too late to test anything"
        );
        acknowledged.extend(outcome.done);
        let files = files
            .iter()
            .filter(|(key, _)| acknowledged.contains(*key))
            .map(|(key, path)| (key.clone(), path.clone()))
            .collect();
        let clients = (0..2).map(|_| fixture.client()).collect();
        let compared = tree::compare(clients, "b", &files, &AtomicUsize::new(0));
        assert_eq!(compared.failures, [""; 0], "after kill {round}");
        assert_eq!(compared.done.len(), acknowledged.len());
    }
    // What was not acknowledged is there whole or not at all.
    let client = &mut fixture.client();
    for (key, path) in &files {
        let read = send(client, "GET", &tree::target("b", key));
        let whole = read.status == 200 && read.body == std::fs::read(path).unwrap();
        assert!(whole || read.status == 404, "{key}: {}", read.status);
    }
    let listed = tree::list(client, "b", 100)
        .unwrap()
        .into_iter()
        .map(|(key, _)| key);
    let listed: BTreeSet<String> = listed.collect();
    assert!(acknowledged.is_subset(&listed));
}

#[test]
fn small_writes_of_many_clients_survive_kill_after_kill() {
    const WRITERS: usize = 8;
    let mut fixture = Fixture::new();
    let sizes = [0, 100, 5_000, 131_072, 131_073, 700_000];
    let acknowledged: Mutex<Vec<(String, u64, usize)>> = Mutex::default();
    for cycle in 0..5 {
        let clients: Vec<_> = (0..WRITERS).map(|_| fixture.client()).collect();
        std::thread::scope(|scope| {
            for (writer, mut client) in clients.into_iter().enumerate() {
                let acknowledged = &acknowledged;
                scope.spawn(move || {
                    for round in 0.. {
                        let seed = (cycle * 1_000_000 + writer * 100_000 + round) as u64;
                        let target = format!("/rest/b/{cycle}/{writer}/{round}");
                        let size = sizes[round % sizes.len()];
                        let body = tree::noise(seed, size);
                        match client.send("PUT", &target, &[], &body) {
                            Ok(response) => assert_eq!(response.status, 201),
                            Err(_killed) => return,
                        }
                        acknowledged.lock().unwrap().push((target, seed, size));
                    }
                });
            }
            while acknowledged.lock().unwrap().len() < (cycle + 1) * 100 {
                std::thread::yield_now();
            }
            fixture.kill();
        });
        fixture.start();
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let client = &mut fixture.client();
    for (target, seed, size) in &acknowledged {
        let read = send(client, "GET", target);
        assert_eq!(read.status, 200, "{target} was lost");
        assert!(
            read.body == tree::noise(*seed, *size),
            "{target} is not what was written"
        );
    }
    // At most the one upload that each writer had under way each time is there beside them.
    let listed = tree::list(client, "b", 1000).unwrap().len();
    let most = acknowledged.len() + 5 * WRITERS;
    assert!(
        (acknowledged.len()..=most).contains(&listed),
        "{listed} of {most}"
    );
    fixture.stop();
    fixture.launch().check().unwrap();
}
