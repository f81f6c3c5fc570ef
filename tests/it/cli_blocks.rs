//! The command line: `trestle volume|snapshot|clone|tx` against a server, and the how-tos of
//! docs/blocks.md as they are written there.

use crate::cli::{command, run, said};
use crate::{Fixture, put, send};
use std::process::Stdio;
use trestle_tests::tree::noise;

#[test]
fn a_volume_is_made_written_read_and_given_back() {
    let fixture = Fixture::new();
    let file = fixture.folder.path().join("local.db");
    let content = noise(3, 9 << 20);
    std::fs::write(&file, &content).unwrap();
    said(&fixture, &["mb", "//disks"]);
    let made = said(&fixture, &["volume", "create", "//disks/db", "16M"]);
    assert_eq!(made, "made //disks/db\n");
    let name = file.to_str().unwrap();
    said(&fixture, &["volume", "write", "//disks/db", "4K", name]);
    let read = |offset: &str, length: &str| {
        let read = run(&fixture, &["volume", "read", "//disks/db", offset, length]);
        assert!(read.status.success(), "{read:?}");
        read.stdout
    };
    assert!(read("4K", "9M") == content);
    assert_eq!(read("0", "4096"), [0; 4096]);
    let trimmed = said(&fixture, &["volume", "trim", "//disks/db", "8K", "16376K"]);
    assert_eq!(trimmed, "trimmed //disks/db\n");
    assert!(read("4K", "4K") == content[..4096]);
    assert_eq!(read("8K", "8K"), [0; 8192]);
    said(&fixture, &["volume", "zeroes", "//disks/db", "4096", "10"]);
    assert_eq!(read("4096", "10"), [0; 10]);
    said(&fixture, &["volume", "resize", "//disks/db", "1G"]);
    said(&fixture, &["volume", "flush", "//disks/db"]);
    let shown = said(&fixture, &["stat", "--json", "//disks/db"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["volume"]["size"], 1 << 30);
    // From stdin, too.
    let mut writing = command(&fixture, &["volume", "write", "//disks/db", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(writing.stdin.as_mut().unwrap(), b"from stdin").unwrap();
    drop(writing.stdin.take());
    assert!(writing.wait().unwrap().success());
    assert_eq!(read("0", "10"), b"from stdin");
    put(&mut fixture.client(), "/rest/disks/object", b"bytes");
    for wrong in [
        &["volume", "create", "//disks/db", "1M"][..],
        &["volume", "create", "//disks/object", "1M"],
        &["volume", "create", "//disks/other", "lots"],
        &["volume", "write", "//disks/none", "0", name],
        &["volume", "write", "//disks/db", "1023M", name],
        &["volume", "trim", "//disks/db", "0", "2G"],
        &["volume", "resize", "//disks/db", "0"],
    ] {
        let output = run(&fixture, wrong);
        assert!(!output.status.success(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn snapshots_and_clones_are_made_listed_and_deleted() {
    let fixture = Fixture::new();
    said(&fixture, &["mb", "//disks"]);
    said(&fixture, &["volume", "create", "//disks/db", "1M"]);
    let client = &mut fixture.client();
    let write = |client: &mut trestle_tests::Client, target: &str, bytes: &[u8]| {
        let headers = [("content-range", "bytes 0-2/*")];
        let written = client.send("PATCH", target, &headers, bytes).unwrap();
        assert_eq!(written.status, 204, "{}", written.text());
    };
    write(client, "/rest/disks/db", b"one");
    let made = said(&fixture, &["snapshot", "create", "//disks/db", "before"]);
    assert_eq!(made, "made //disks/db@before\n");
    write(client, "/rest/disks/db", b"two");
    said(&fixture, &["snapshot", "create", "//disks/db", "after"]);
    let listed = said(&fixture, &["snapshot", "ls", "//disks/db"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("//disks/db@before"), "{listed}");
    said(
        &fixture,
        &["clone", "//disks/db@before", "//disks/db-experiment"],
    );
    write(client, "/rest/disks/db-experiment", b"own");
    let first = |name: &str| {
        let read = run(&fixture, &["volume", "read", name, "0", "3"]);
        String::from_utf8(read.stdout).unwrap()
    };
    assert_eq!(first("//disks/db@before"), "one");
    assert_eq!(first("//disks/db"), "two");
    assert_eq!(first("//disks/db-experiment"), "own");
    said(&fixture, &["snapshot", "rm", "//disks/db", "before"]);
    assert_eq!(first("//disks/db-experiment"), "own");
    let local = fixture.folder.path().join("local");
    std::fs::write(&local, b"new").unwrap();
    let local = local.to_str().unwrap();
    for wrong in [
        &["snapshot", "create", "//disks/db", "after"][..],
        &["snapshot", "create", "//disks/db", "a/b"],
        &["snapshot", "create", "//disks/none", "s"],
        &["snapshot", "rm", "//disks/db", "before"],
        &["clone", "//disks/none", "//disks/x"],
        &["clone", "//disks/db", "//disks/db-experiment"],
        &["volume", "write", "//disks/db@after", "0", local],
    ] {
        let output = run(&fixture, wrong);
        assert!(!output.status.success(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

/// The how-to of a dataset's release: what is current is one small object, and the switch holds it
/// against what was read before.
#[test]
fn a_dataset_is_released_by_an_atomic_switch() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let local = folder.join("release");
    std::fs::create_dir_all(&local).unwrap();
    std::fs::write(local.join("part-1.csv"), b"1,2\n").unwrap();
    std::fs::write(local.join("part-2.csv"), b"3,4\n").unwrap();
    said(&fixture, &["mb", "//data"]);
    put(
        &mut fixture.client(),
        "/rest/data/current",
        b"releases/2026-10/",
    );
    let source = local.to_str().unwrap();
    said(&fixture, &["cp", "-r", source, "//data/releases/2026-11"]);
    let shown = said(&fixture, &["stat", "--json", "//data/current"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let tag = shown["etag"].as_str().unwrap();
    let switch = serde_json::json!({"verbs": [
        {"verb": "check", "bucket": "data", "key": "releases/2026-11/part-1.csv", "if_match": "*"},
        {"verb": "check", "bucket": "data", "key": "releases/2026-11/part-2.csv", "if_match": "*"},
        {"verb": "put", "bucket": "data", "key": "current", "text": "releases/2026-11/",
            "if_match": tag},
    ]});
    let file = folder.join("switch.json");
    std::fs::write(&file, switch.to_string()).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(said(&fixture, &["tx", file]).lines().count(), 3);
    assert_eq!(
        said(&fixture, &["cat", "//data/current"]),
        "releases/2026-11/"
    );
    let part = said(&fixture, &["cat", "//data/releases/2026-11/part-2.csv"]);
    assert_eq!(part, "3,4\n");
    // Somebody else's release since then is not overwritten.
    let again = run(&fixture, &["tx", file]);
    assert!(!again.status.success());
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(why.contains("verb 2, put //data/current"), "{why}");
    let current = send(&mut fixture.client(), "GET", "/rest/data/current");
    assert_eq!(current.body, b"releases/2026-11/");
}

/// The how-to of a database file: pages are written in place while a snapshot keeps what was.
#[test]
fn a_database_file_lives_on_a_volume() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let database = noise(5, 5 * 4096);
    let file = folder.join("app.db");
    std::fs::write(&file, &database).unwrap();
    said(&fixture, &["mb", "//disks"]);
    said(&fixture, &["volume", "create", "//disks/app", "4G"]);
    let name = file.to_str().unwrap();
    said(&fixture, &["volume", "write", "//disks/app", "0", name]);
    said(
        &fixture,
        &["snapshot", "create", "//disks/app", "before-upgrade"],
    );
    let client = &mut fixture.client();
    let page = noise(6, 4096);
    let head = send(client, "HEAD", "/rest/disks/app");
    let mut tag = head.header("etag").unwrap();
    for round in 0..3 {
        let headers = [("content-range", "bytes 12288-16383/*"), ("if-match", &tag)];
        let written = client.send("PATCH", "/rest/disks/app", &headers, &page);
        let written = written.unwrap();
        assert_eq!(written.status, 204, "{round}: {}", written.text());
        tag = written.header("etag").unwrap();
    }
    let headers = [("range", "bytes=12288-16383")];
    let read = client
        .send("GET", "/rest/disks/app", &headers, b"")
        .unwrap();
    assert!(read.body == page);
    let before = ["volume", "read", "//disks/app@before-upgrade", "0", "20K"];
    assert!(run(&fixture, &before).stdout == database);
}
