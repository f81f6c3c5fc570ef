//! The life of a data folder: first start, restarts, crashes, damage.

use crate::client::{Connection, request};
use crate::server::{PASSWORD, Server, binary, command, refused};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

fn check(data: &Path) -> (i32, String) {
    let output = Command::new(binary())
        .arg("check")
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_first_start_makes_the_root_user_and_later_ones_insist_on_it() {
    let data = tempfile::tempdir().unwrap();
    let mut first = command(data.path());
    first.env_remove("TRESTLE_ROOT_PASSWORD");
    let server = Server::from(first);
    let file = data.path().join("root-credentials");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let written = std::fs::read_to_string(&file).unwrap();
    let line = written
        .lines()
        .find(|line| line.contains("PASSWORD="))
        .unwrap();
    let password = line.split_once('=').unwrap().1;
    assert!(password.len() == 24 && server.greeting.contains(password));
    let (second_code, second) = refused(command(data.path()));
    assert!(
        second_code != 0 && second.contains("in use by another process"),
        "{second}"
    );
    let url = format!("http://{}/rest/", server.address);
    let curl = Command::new("curl")
        .args(["-sf", "-u", &format!("root:{password}"), &url])
        .output()
        .unwrap();
    assert!(curl.status.success());
    let (status, errors) = server.stop();
    assert!(status.success() && !errors.contains(password), "{errors}");
    let (code, message) = refused(command(data.path()));
    assert_eq!(code, 2);
    assert!(message.contains("root_password differs"), "{message}");
    let mut again = command(data.path());
    again.env("TRESTLE_ROOT_PASSWORD", password);
    let server = Server::from(again);
    assert!(!server.greeting.contains(password));
}

#[test]
fn configuration_says_where_each_value_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    std::fs::write(&file, "listen = '127.0.0.1:1'\ndata = '/from-file'\n").unwrap();
    let show = |command: &str| {
        Command::new(binary())
            .args(["config", command, "--data", "/from-flag", "--config"])
            .arg(&file)
            .env("TRESTLE_ROOT_PASSWORD", PASSWORD)
            .output()
            .unwrap()
    };
    let shown = String::from_utf8(show("show").stdout).unwrap();
    assert!(shown.contains("data = \"/from-flag\"  # flag"), "{shown}");
    assert!(
        shown.contains("listen = \"127.0.0.1:1\"  # file"),
        "{shown}"
    );
    assert!(
        shown.contains("root_password = (hidden)  # environment"),
        "{shown}"
    );
    assert!(!shown.contains(PASSWORD));
    assert!(show("check").status.success());
    std::fs::write(&file, "lisden = 'x'\n").unwrap();
    assert_eq!(show("check").status.code(), Some(2));
}

/// Bytes that only this key and round can have.
fn content(key: &str, round: usize) -> Vec<u8> {
    let size = [0, 100, 5_000, 131_072, 131_073, 700_000][round % 6];
    let seed = format!("{key} {round} ");
    seed.bytes().cycle().take(size).collect()
}

#[test]
fn every_acknowledged_file_survives_kill_9_in_mid_upload() {
    let data = tempfile::tempdir().unwrap();
    let acknowledged: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    for cycle in 0..5usize {
        let server = Server::start(data.path());
        if cycle == 0 {
            assert_eq!(request(&server, "PUT", "/rest/b/", "", b"").status, 201);
        }
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (address, acknowledged) = (server.address.clone(), acknowledged.clone());
                std::thread::spawn(move || {
                    let mut connection = Connection::to(&address);
                    for round in 0.. {
                        let key = format!("{cycle}/{writer}/{round}");
                        let path = format!("/rest/b/{key}");
                        let body = content(&key, round);
                        match connection.try_request("PUT", &path, "", &body) {
                            Some(answer) => assert_eq!(answer.status, 201),
                            None => return,
                        }
                        acknowledged.lock().unwrap().insert(key, round);
                    }
                })
            })
            .collect();
        let wanted = (cycle + 1) * 100;
        while acknowledged.lock().unwrap().len() < wanted {
            std::thread::yield_now();
        }
        server.kill();
        for writer in writers {
            writer.join().unwrap();
        }
    }
    let server = Server::start(data.path());
    let acknowledged = acknowledged.lock().unwrap();
    let mut connection = Connection::to(&server.address);
    for (key, round) in acknowledged.iter() {
        let answer = connection
            .try_request("GET", &format!("/rest/b/{key}"), "", b"")
            .unwrap();
        assert_eq!(answer.status, 200, "{key} was lost");
        assert!(
            answer.body == content(key, *round),
            "{key} is not what was written"
        );
    }
    let listed = request(&server, "GET", "/rest/b/?limit=10000", "", b"").json();
    let listed = listed["items"].as_array().unwrap().len();
    // At most the one upload that each writer had under way each time is there beside them.
    assert!(
        (acknowledged.len()..=acknowledged.len() + 40).contains(&listed),
        "{listed}"
    );
    drop(server);
    let (code, report) = check(data.path());
    assert_eq!(code, 0, "{report}");
}

#[test]
fn a_sync_precedes_every_success_of_a_write() {
    let data = tempfile::tempdir().unwrap();
    let trace = data.path().join("trace");
    let store = data.path().join("store");
    let mut traced = Command::new("strace");
    traced.args([
        "-f",
        "-qq",
        "-s",
        "16",
        "-e",
        "trace=fdatasync,write,writev,sendto",
        "-o",
    ]);
    traced.arg(&trace).arg(binary());
    traced
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&store);
    traced
        .env("TRESTLE_ROOT_PASSWORD", PASSWORD)
        .env("TRESTLE_LOG", "error");
    traced.stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Server::from(traced);
    assert_eq!(request(&server, "PUT", "/rest/b/", "", b"").status, 201);
    for i in 0..10 {
        let body = vec![i; if i % 2 == 0 { 1000 } else { 300_000 }];
        assert_eq!(
            request(&server, "PUT", &format!("/rest/b/{i}"), "", &body).status,
            201
        );
        assert_eq!(
            request(&server, "DELETE", &format!("/rest/b/{i}"), "", b"").status,
            204
        );
    }
    // The tracer passes the signal on to nobody: stop the server itself.
    let children = format!("/proc/{0}/task/{0}/children", server.child.id());
    let child = std::fs::read_to_string(children).unwrap();
    assert!(
        Command::new("kill")
            .args(["-TERM", child.trim()])
            .status()
            .unwrap()
            .success()
    );
    let mut server = server;
    server.child.wait().unwrap();
    let (mut synced, mut successes) = (false, 0);
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        if line.contains("fdatasync") && line.trim_end().ends_with("= 0") {
            synced = true;
        }
        if line.contains("HTTP/1.1 201") || line.contains("HTTP/1.1 204") {
            assert!(synced, "a success without a sync before it: {line}");
            synced = false;
            successes += 1;
        }
    }
    assert_eq!(successes, 21);
}

#[test]
fn a_flipped_byte_is_named_and_never_served() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    request(&server, "PUT", "/rest/b/", "", b"");
    let small = b"small and precious ".repeat(50);
    let large = b"large and precious ".repeat(20_000);
    request(&server, "PUT", "/rest/b/small", "", &small);
    request(&server, "PUT", "/rest/b/large", "", &large);
    assert!(server.stop().0.success());
    let mut files = Vec::new();
    for sub in ["log", "data"] {
        files.extend(
            std::fs::read_dir(data.path().join(sub))
                .unwrap()
                .map(|f| f.unwrap().path()),
        );
    }
    for (key, body) in [("small", &small), ("large", &large)] {
        let (path, at) = files
            .iter()
            .find_map(|path| {
                let bytes = std::fs::read(path).unwrap();
                let needle = &body[..19];
                let at = bytes
                    .windows(needle.len())
                    .position(|window| window == needle)?;
                Some((path, at as u64))
            })
            .unwrap();
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        file.write_all_at(b"S", at + 3).unwrap();
        let (code, report) = check(data.path());
        assert_eq!(code, 1, "{report}");
        assert!(report.contains(&format!("key {key:?}")), "{report}");
        let server = Server::start(data.path());
        let answer = request(&server, "GET", &format!("/rest/b/{key}"), "", b"");
        assert_eq!(answer.status, 500);
        drop(server);
        file.write_all_at(&body[3..4], at + 3).unwrap();
    }
    assert_eq!(check(data.path()).0, 0);
}
