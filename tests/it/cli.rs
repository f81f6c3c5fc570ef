//! The command line: `trestle ls|cp|cat|rm|mb|rb|stat|sync` against a server.

use crate::{Fixture, put, send};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use trestle_tests::server::{PASSWORD, USER, binary};
use trestle_tests::tree;

pub(crate) fn command(fixture: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env(
            "TRESTLE_SERVER",
            format!("http://{}", fixture.server().address),
        )
        .env("TRESTLE_USER", USER)
        .env("TRESTLE_PASSWORD", PASSWORD)
        .env("XDG_STATE_HOME", fixture.folder.path().join("state"));
    command
}

pub(crate) fn run(fixture: &Fixture, arguments: &[&str]) -> Output {
    command(fixture, arguments).output().unwrap()
}

/// What a command that succeeds says.
pub(crate) fn said(fixture: &Fixture, arguments: &[&str]) -> String {
    let output = run(fixture, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn trees_go_there_and_back() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let here = folder.join("here");
    write(&here.join("a.txt"), b"one");
    write(&here.join("d/b \u{e9}#?.bin"), &tree::noise(1, 100_000));
    let (here_name, back) = (here.to_str().unwrap(), folder.join("back"));
    assert_eq!(said(&fixture, &["mb", "//c"]), "made //c\n");
    said(&fixture, &["cp", "-r", here_name, "//c/t"]);
    let listed = said(&fixture, &["ls", "-r", "--json", "//c"]);
    assert_eq!(listed.lines().count(), 2);
    assert!(said(&fixture, &["ls", "//c"]).contains("//c/t/"));
    assert!(said(&fixture, &["ls"]).contains("2 objects"));
    assert_eq!(said(&fixture, &["cat", "//c/t/a.txt"]), "one");
    let document: serde_json::Value =
        serde_json::from_str(&said(&fixture, &["stat", "--json", "//c/t/a.txt"])).unwrap();
    assert_eq!(
        document["representation"]["content-type"],
        "text/plain; charset=utf-8"
    );
    said(&fixture, &["cp", "-r", "//c/t", back.to_str().unwrap()]);
    for name in ["a.txt", "d/b \u{e9}#?.bin"] {
        assert_eq!(
            std::fs::read(here.join(name)).unwrap(),
            std::fs::read(back.join(name)).unwrap()
        );
    }
    assert_eq!(said(&fixture, &["sync", here_name, "//c/t"]), "");
    write(&here.join("a.txt"), b"other");
    std::fs::remove_dir_all(here.join("d")).unwrap();
    let synced = said(&fixture, &["sync", "--delete", here_name, "//c/t"]);
    assert_eq!(synced.lines().count(), 2, "{synced}");
    said(&fixture, &["cp", "//c/t/a.txt", "//c/copy/"]);
    assert_eq!(said(&fixture, &["cat", "//c/copy/a.txt"]), "other");
    assert_eq!(said(&fixture, &["rm", "-r", "//c/"]).lines().count(), 2);
    said(&fixture, &["rb", "//c"]);
    assert!(!said(&fixture, &["ls"]).contains("//c"));
}

#[test]
fn what_fails_is_said_and_seen() {
    let fixture = Fixture::new();
    put(&mut fixture.client(), "/rest/b/..%2Fout", b"x");
    put(&mut fixture.client(), "/rest/b/fine", b"x");
    for arguments in [
        &["cat", "//b/none"][..],
        &["cat", "b/k"],
        &["rb", "//b"],
        &["mb", "//b/k"],
        &["cp", "/nowhere", "//b/k"],
        &["cp", "a", "b"],
        &["--server", "ftp://x", "ls"],
    ] {
        let output = run(&fixture, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    // A key that leads out of the folder is refused, the others come.
    let target = fixture.folder.path().join("in/side");
    let output = run(&fixture, &["cp", "-r", "//b", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(target.join("fine").exists());
    assert!(!fixture.folder.path().join("in/out").exists());
    let wrong = command(&fixture, &["ls"])
        .env("TRESTLE_PASSWORD", "wrong")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("401"));
}

#[test]
fn a_killed_upload_goes_on_where_it_was() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("large");
    let content = tree::noise(9, 150 << 20);
    write(&path, &content);
    let arguments = ["cp", path.to_str().unwrap(), "//b/large"];
    let mut first = command(&fixture, &arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let uploads = fixture.folder.path().join("state/trestle/uploads");
    let kept = || {
        std::fs::read_dir(&uploads)
            .ok()?
            .next()?
            .ok()
            .map(|entry| entry.path())
    };
    while kept().is_none() && first.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let Some(kept) = kept() else {
        // It was done before anybody could look, which shows nothing.
        return;
    };
    let upload = std::fs::read_to_string(kept).unwrap();
    let offset = |fixture: &Fixture| {
        let headers = [("tus-resumable", "1.0.0")];
        let head = fixture
            .client()
            .send("HEAD", &upload, &headers, &[])
            .unwrap();
        head.header("upload-offset")
            .map_or(0, |text| text.parse::<u64>().unwrap())
    };
    while offset(&fixture) == 0 && first.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    said(&fixture, &arguments);
    // It was this very upload that was completed.
    assert_eq!(offset(&fixture), content.len() as u64);
    assert!(send(&mut fixture.client(), "GET", "/rest/b/large").body == content);
    assert!(std::fs::read_dir(&uploads).unwrap().next().is_none());
}
