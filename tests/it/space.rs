//! Space: what overwriting and deleting leave on disk, and the copy of the metadata that the index
//! can be made from.

use crate::faults::on_small_disk;
use crate::{Fixture, put, send};
use std::time::{Duration, Instant};
use trestle_tests::tree::{self, allocated};

/// How long the store may take to give back what it does not need.
const PATIENCE: Duration = Duration::from_secs(60);

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn overwritten_and_deleted_bytes_are_given_back() {
    let mut fixture = Fixture::new();
    let data = fixture.folder.path().join("data");
    let mut client = fixture.client();
    let small = |round: u64, number: u64| tree::noise(round * 10_000 + number, 100 << 10);
    for round in 0..4 {
        for number in 0..400 {
            let key = format!("/rest/b/small/{number}");
            assert!(put(&mut client, &key, &small(round, number)).status < 300);
        }
        let large = tree::noise(round, 40 << 20);
        assert!(put(&mut client, "/rest/b/large", &large).status < 300);
    }
    // 80 MiB live of 320 that were written; 32 MiB of waste are left alone, and as much is allocated
    // ahead or waits for the next checkpoint.
    eventually("overwritten bytes stay", || allocated(&data) < 160 << 20);
    for number in 0..400 {
        let key = format!("/rest/b/small/{number}");
        assert!(
            send(&mut client, "GET", &key).body == small(3, number),
            "{key}"
        );
    }
    assert!(send(&mut client, "GET", "/rest/b/large").body == tree::noise(3, 40 << 20));
    let before = allocated(&data);
    assert_eq!(send(&mut client, "DELETE", "/rest/b/large").status, 204);
    eventually("deleted bytes stay", || {
        allocated(&data) < before - (35 << 20)
    });
    fixture.stop();
    fixture.launch().check().unwrap();
}

#[test]
fn deleting_on_a_full_disk_makes_room() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((_mount, launch)) = on_small_disk(folder.path(), "96m") else {
        return;
    };
    let server = launch.start();
    let client = &mut server.client();
    assert_eq!(send(client, "PUT", "/rest/b/").status, 201);
    for size in [2 << 20, 60_000] {
        let body = tree::noise(1, size);
        let mut written = 0;
        while put(client, &format!("/rest/b/{size}/{written}"), &body).status == 201 {
            written += 1;
        }
        assert!(written > 2, "only {written} of {size} bytes fit");
        // Twice: what came back can be used, and given back, again.
        for _ in 0..2 {
            for number in 0..written {
                let key = format!("/rest/b/{size}/{number}");
                let gone = send(client, "DELETE", &key);
                assert_eq!(gone.status, 204, "{key}: {}", gone.text());
            }
            for number in 0..written / 2 {
                let key = format!("/rest/b/{size}/{number}");
                eventually(
                    &format!("no room for {key} of {size} after deleting"),
                    || put(client, &key, &body).status == 201,
                );
            }
            for number in written / 2..written {
                let key = format!("/rest/b/{size}/{number}");
                assert_eq!(send(client, "DELETE", &key).status, 404);
            }
            written /= 2;
        }
    }
}

#[test]
fn the_index_can_be_made_anew() {
    let mut fixture = Fixture::new();
    let data = fixture.folder.path().join("data");
    let mut client = fixture.client();
    let content = |number: u64| {
        tree::noise(
            number,
            if number.is_multiple_of(10) {
                300_000
            } else {
                50_000
            },
        )
    };
    for number in 0..300 {
        put(&mut client, &format!("/rest/b/{number}"), &content(number));
    }
    for number in (0..300).step_by(3) {
        send(&mut client, "DELETE", &format!("/rest/b/{number}"));
    }
    fixture.kill();
    let index = data.join("index.redb");
    let rebuild = ["check", "--data", data.to_str().unwrap(), "--rebuild"];
    for damage in ["gone", "empty", "garbage"] {
        match damage {
            "gone" => std::fs::remove_file(&index).unwrap(),
            "empty" => std::fs::write(&index, b"").unwrap(),
            _ => std::fs::write(&index, tree::noise(1, 1 << 20)).unwrap(),
        }
        // An empty index is that of a new store, and this log is still whole.
        if damage != "empty" {
            assert!(fixture.launch().try_start().is_err(), "{damage}");
        }
        let check = fixture.launch().run(&rebuild);
        assert!(check.status.success(), "{damage}: {check:?}");
        fixture.start();
        let mut client = fixture.client();
        for number in 0..300 {
            let found = send(&mut client, "GET", &format!("/rest/b/{number}"));
            if number % 3 == 0 {
                assert_eq!(found.status, 404, "{damage} {number}");
            } else {
                assert!(found.body == content(number), "{damage} {number}");
            }
        }
        fixture.kill();
    }
}
