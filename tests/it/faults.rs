//! What a machine does to a store: lost power, a full disk, a flipped bit. What is shown is what a
//! client sees.

use crate::{Fixture, assert_problem, put, send};
use std::path::{Path, PathBuf};
use std::process::Command;
use trestle_tests::{Client, Launch, tree};

/// Runs a program that a test cannot do without.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed (apt-get install): {error}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// One event of a trace: the end of a sync of that file, or an answer to a write.
#[derive(Debug, PartialEq)]
enum Event {
    Synced(String),
    Acknowledged,
}

/// Reads what strace wrote. A call that another thread interrupts ends on a line of its own.
fn events(trace: &str) -> Vec<Event> {
    let mut begun: Vec<(&str, &str)> = Vec::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        let ended = call.ends_with("= 0");
        if call.starts_with("fdatasync(") || call.starts_with("fsync(") {
            let file = call.split(['<', '>']).nth(1).unwrap_or_default();
            if ended {
                events.push(Event::Synced(file.to_owned()));
            } else {
                begun.push((thread, file));
            }
        } else if call.starts_with("<... fdatasync") || call.starts_with("<... fsync") {
            let place = begun
                .iter()
                .rposition(|(other, _)| *other == thread)
                .unwrap();
            let (_, file) = begun.remove(place);
            // The index may still be closing when the process ends; the log never is.
            let cut_off = call.ends_with("= ?") && file.ends_with("/index.redb");
            assert!(ended || cut_off, "a sync of {file} failed: {line}");
            if ended {
                events.push(Event::Synced(file.to_owned()));
            }
        } else if ["201", "204"]
            .iter()
            .any(|code| call.contains(&format!("\"HTTP/1.1 {code}")))
        {
            events.push(Event::Acknowledged);
        }
    }
    events
}

#[test]
fn a_sync_precedes_every_acknowledged_write() {
    let folder = tempfile::TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let server = Launch::new(folder.path().join("data"))
        .under(&[
            "strace",
            "-D",
            "-f",
            "-y",
            "-s",
            "16",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "trace=fdatasync,fsync,write,writev,sendto,sendmsg",
        ])
        .start();
    let client = &mut server.client();
    let (mut writes, mut large) = (1, Vec::new());
    assert_eq!(send(client, "PUT", "/rest/b/").status, 201);
    for round in 0..4 {
        for size in [0, 100, 60_000, 500_000, 5 << 20] {
            let body = tree::noise(round, size);
            assert!(matches!(
                put(client, &format!("/rest/b/{size}"), &body).status,
                201 | 204
            ));
            if size >= 500_000 {
                large.push(writes);
            }
            writes += 1;
        }
    }
    assert_eq!(send(client, "DELETE", "/rest/b/100").status, 204);
    writes += 1;
    assert!(server.stop().unwrap().success());

    let trace = std::fs::read_to_string(trace).unwrap();
    let events = events(&trace);
    let answers = events.split(|event| *event == Event::Acknowledged);
    let synced: Vec<_> = answers.collect();
    assert_eq!(
        synced.len(),
        writes + 1,
        "an answer is missing in the trace"
    );
    for (number, before) in synced[..writes].iter().enumerate() {
        let of = |folder: &str| {
            before
                .iter()
                .rposition(|event| matches!(event, Event::Synced(f) if f.contains(folder)))
        };
        let log =
            of("/log/").unwrap_or_else(|| panic!("write {number} was not synced: {before:?}"));
        if large.contains(&number) {
            let data = of("/data/0").expect("the body of a large write was not synced");
            assert!(data < log, "the log named bytes that were not durable yet");
        }
    }
}

/// A file system of its own, unmounted at the end.
pub(crate) struct Mount(PathBuf);

impl Mount {
    fn tmpfs(path: &Path, size: &str) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={size},mode=700");
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &options,
                "tmpfs",
                path.to_str().unwrap(),
            ],
        );
        Mount(path.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _left_behind = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// A store on a file system of so many bytes; none where that cannot be mounted.
pub(crate) fn on_small_disk(folder: &Path, size: &str) -> Option<(Mount, Launch)> {
    if !is_root() {
        assert!(
            std::env::var_os("CI").is_none(),
            "mounting a small disk needs root"
        );
        eprintln!("NOT TESTED: a full disk, because mounting a small one needs root");
        return None;
    }
    let mount = Mount::tmpfs(&folder.join("disk"), size);
    let mut launch = Launch::new(mount.0.join("data"));
    launch.log = folder.join("log");
    Some((mount, launch))
}

#[test]
fn a_full_disk_refuses_writes_while_reads_and_deletes_go_on() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some((mount, launch)) = on_small_disk(folder.path(), "64m") else {
        return;
    };
    let ballast = mount.0.join("ballast");
    std::fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let server = launch.start();
    let client = &mut server.client();
    assert_eq!(send(client, "PUT", "/rest/b/").status, 201);
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    // Large ones until one is refused, then small ones until even those are.
    for size in [1 << 20, 50_000, 10] {
        for number in 0..10_000 {
            let key = format!("/rest/b/{size}/{number}");
            let body = tree::noise(number, size);
            let response = put(client, &key, &body);
            if response.status == 507 {
                assert_problem(&response, 507);
                break;
            }
            assert_eq!(response.status, 201, "{key}: {}", response.text());
            kept.push((key, body));
            assert!(number < 9_999, "the disk does not get full");
        }
    }
    assert_eq!(put(client, "/rest/b/more", &[1; 1000]).status, 507);
    for (key, body) in &kept {
        assert!(
            send(client, "GET", key).body == *body,
            "{key} on the full disk"
        );
    }
    assert_eq!(send(client, "GET", "/rest/b/?limit=10000").status, 200);
    let gone = kept.split_off(kept.len() - kept.len().min(200));
    for (key, _) in &gone {
        let response = send(client, "DELETE", key);
        assert_eq!(
            response.status,
            204,
            "{key} on the full disk: {}",
            response.text()
        );
    }
    // Nothing of it is lost in a crash. A start needs room for a segment (docs/limits.md).
    server.kill().unwrap();
    std::fs::remove_file(ballast).unwrap();
    let server = launch.start();
    let client = &mut server.client();
    for (key, body) in &kept {
        assert!(
            send(client, "GET", key).body == *body,
            "{key} after a restart"
        );
    }
    for (key, _) in &gone {
        assert_eq!(send(client, "GET", key).status, 404, "{key} came back");
    }
    assert_eq!(put(client, "/rest/b/more", &[1; 1000]).status, 201);
}

/// A client that never sees a wrong byte: the object, or an error.
fn read(client: &mut Client, target: &str) -> Option<Vec<u8>> {
    let response = client.send("GET", target, &[], &[]).ok()?;
    match response.status {
        200 => Some(response.body),
        500 | 503 => None,
        status => panic!("{target} answers {status}: {}", response.text()),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

/// Where the bytes of an object lie in a data folder.
pub(crate) fn place_of(data: &Path, body: &[u8]) -> (PathBuf, u64) {
    let start = &body[..64];
    for path in tree::files(data).unwrap().into_values() {
        let bytes = std::fs::read(&path).unwrap();
        if let Some(place) = bytes
            .windows(start.len())
            .position(|window| window == start)
        {
            return (path, place as u64);
        }
    }
    panic!("the body is nowhere in the data folder");
}

pub(crate) fn flip(path: &Path, offset: u64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_flipped_byte_of_a_body_is_named_and_never_served() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    let objects: Vec<(String, Vec<u8>)> = [3_000, 90_000, 300_000, 9 << 20]
        .into_iter()
        .map(|size| (format!("key of {size}"), tree::noise(size as u64, size)))
        .collect();
    for (key, body) in &objects {
        assert_eq!(put(client, &tree::target("b", key), body).status, 201);
    }
    fixture.stop();
    let original = fixture.folder.path().join("data");
    for (number, (damaged, body)) in objects.iter().enumerate() {
        for (round, offset) in [0, body.len() / 2, body.len() - 1].into_iter().enumerate() {
            let data = fixture.folder.path().join(format!("copy-{number}-{round}"));
            copy_folder(&original, &data);
            let (path, place) = place_of(&data, body);
            // A later block of a body of several extents lies elsewhere: look for it by itself.
            let (path, place) = match body.get(offset..offset + 64) {
                Some(_) => place_of(&data, &body[offset..]),
                None => {
                    let tail = &body[body.len() - 64..];
                    let (path, place) = place_of(&data, tail).max((path, place));
                    (path, place + 63)
                }
            };
            flip(&path, place);

            let launch = Launch::new(&data);
            let check = launch.run(&["check", "--data", data.to_str().unwrap()]);
            let report = String::from_utf8_lossy(&check.stdout).into_owned();
            assert!(
                !check.status.success(),
                "check calls {damaged} at {offset} sound: {report}"
            );
            assert!(
                report.contains(damaged.as_str()),
                "{damaged} at {offset}: {report}"
            );

            let server = launch.start();
            let client = &mut server.client();
            for (key, body) in &objects {
                match read(client, &tree::target("b", key)) {
                    Some(bytes) => assert!(key != damaged && bytes == *body, "{key} is wrong"),
                    None => assert_eq!(key, damaged, "a neighbour is lost at {offset}"),
                }
            }
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_is_found_or_harmless() {
    let mut fixture = Fixture::new();
    let client = &mut fixture.client();
    let objects: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| {
            (
                format!("key-{number}"),
                tree::noise(number, (number * number * 150) as usize),
            )
        })
        .collect();
    for (key, body) in &objects {
        assert_eq!(put(client, &tree::target("b", key), body).status, 201);
    }
    fixture.stop();
    let original = fixture.folder.path().join("data");
    let files: Vec<PathBuf> = tree::files(&original)
        .unwrap()
        .into_values()
        .filter(|path| !path.ends_with("root-credentials") && path.metadata().unwrap().len() > 0)
        .collect();
    let random = tree::noise(4242, 1 << 12);
    let mut random = random
        .chunks(8)
        .map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap()));
    for number in 0..30 {
        let file = &files[number % files.len()];
        let offset = random.next().unwrap() % file.metadata().unwrap().len();
        let data = fixture.folder.path().join("copy");
        let _none_yet = std::fs::remove_dir_all(&data);
        copy_folder(&original, &data);
        let name = file.strip_prefix(&original).unwrap();
        flip(&data.join(name), offset);
        let shown = format!("{} at {offset}", name.display());

        let launch = Launch::new(&data);
        let check = launch.run(&["check", "--data", data.to_str().unwrap()]);
        let sound = check.status.success();
        assert!(
            check.status.code().is_some_and(|code| code < 3),
            "{shown}: {check:?}"
        );
        let Some(server) = starts(&launch) else {
            assert!(
                !sound,
                "{shown}: check calls it sound, but it does not start"
            );
            continue;
        };
        let client = &mut server.client();
        for (key, body) in &objects {
            match read(client, &tree::target("b", key)) {
                Some(bytes) => assert!(bytes == *body, "{shown}: {key} is wrong"),
                None => assert!(!sound, "{shown}: check calls it sound, but {key} is not"),
            }
        }
    }
}

/// A server, or none when it refuses to start with a clear word.
fn starts(launch: &Launch) -> Option<trestle_tests::Server> {
    match launch.try_start() {
        Ok(server) => Some(server),
        Err(words) => {
            assert!(
                words.contains("trestle: ") && !words.contains("panicked"),
                "{words}"
            );
            None
        }
    }
}
