//! The main job on a real tree: upload, a kill in the middle, a restart, everything acknowledged is
//! whole, the rest goes in, the listing is right, every byte comes back.

use crate::Result;
use crate::arguments::Arguments;
use crate::machine::{describe, scratch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use trestle_tests::{Launch, Server, tree};

const FILES_MIN: usize = 5_000;
const BYTES_MIN: u64 = 500 << 20;
/// A Debian source package that is large enough.
const PACKAGE: &str = "linux-source-6.1";

type Files = BTreeMap<String, PathBuf>;

fn bytes(files: &Files) -> u64 {
    files
        .values()
        .filter_map(|path| path.metadata().ok())
        .map(|data| data.len())
        .sum()
}

fn say(what: &str, files: &Files, began: Instant) {
    let (seconds, bytes) = (began.elapsed().as_secs_f64(), bytes(files) as f64);
    println!(
        "{what}: {} files, {:.0} MB in {seconds:.1} s: {:.0} files/s, {:.0} MB/s",
        files.len(),
        bytes / 1e6,
        files.len() as f64 / seconds,
        bytes / 1e6 / seconds
    );
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = match arguments.given("tree") {
        Some(folder) => PathBuf::from(folder),
        None => debian_tree()?,
    };
    let files = tree::files(&root)?;
    if files.len() < FILES_MIN || bytes(&files) < BYTES_MIN {
        return Err(format!("{}: fewer than 5,000 files or 500 MB", root.display()).into());
    }
    println!(
        "{}\n{}: {} files, {} MB",
        describe(),
        root.display(),
        files.len(),
        bytes(&files) / 1_000_000
    );
    let clients = arguments.number("clients", 8)?;
    let folder = scratch("mainjob")?;
    let launch = Launch::new(folder.join("data"));
    let server = launch.start();
    server.client().send("PUT", "/rest/b/", &[], &[])?;

    let (acknowledged, server) = killed_upload(&launch, server, &files, clients)?;
    let left = without(&files, &acknowledged);
    let began = Instant::now();
    let outcome = tree::upload(many(&server, clients), "b", &left, &AtomicUsize::new(0));
    say("uploaded the rest", &left, began);
    none_of(&outcome.failures)?;

    let began = Instant::now();
    let listed = tree::list(&mut server.client(), "b", 1000)?;
    let expected: Vec<(String, u64)> = files
        .iter()
        .map(|(key, path)| Ok((key.clone(), path.metadata()?.len())))
        .collect::<Result<_>>()?;
    if listed != expected {
        return Err("the listing is not the tree".into());
    }
    say(
        "listed in pages of 1,000, same names and sizes",
        &files,
        began,
    );

    let began = Instant::now();
    let outcome = tree::compare(many(&server, clients), "b", &files, &AtomicUsize::new(0));
    none_of(&outcome.failures)?;
    say("read back identical", &files, began);
    println!("resident: {} MiB", server.resident() >> 20);
    server.stop()?;

    let began = Instant::now();
    let data = launch.data.display().to_string();
    let check = launch.run(&["check", "--data", &data]);
    print!("{}", String::from_utf8_lossy(&check.stdout));
    if !check.status.success() {
        return Err("trestle check does not find it sound".into());
    }
    say("checked", &files, began);
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Uploads, kills the server in the middle, starts it again, and verifies what was acknowledged.
fn killed_upload(
    launch: &Launch,
    server: Server,
    files: &Files,
    clients: u64,
) -> Result<(BTreeSet<String>, Server)> {
    let progress = AtomicUsize::new(0);
    let running = many(&server, clients);
    let began = Instant::now();
    let outcome = std::thread::scope(|scope| -> Result<tree::Outcome> {
        let upload = scope.spawn(|| tree::upload(running, "b", files, &progress));
        while progress.load(Ordering::Relaxed) < files.len() / 2 && !upload.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        server.kill()?;
        upload.join().map_err(|_| "the upload panicked".into())
    })?;
    if outcome.failures.is_empty() {
        return Err("the kill came too late to show anything".into());
    }
    let acknowledged: BTreeSet<String> = outcome.done.into_iter().collect();
    let there = with(files, &acknowledged);
    say("uploaded until kill -9", &there, began);
    let server = launch.start();
    println!(
        "started again in {:.0} ms",
        server.start.as_secs_f64() * 1e3
    );
    let began = Instant::now();
    let outcome = tree::compare(many(&server, clients), "b", &there, &AtomicUsize::new(0));
    none_of(&outcome.failures)?;
    say("every acknowledged file is there and whole", &there, began);
    Ok((acknowledged, server))
}

fn many(server: &Server, clients: u64) -> Vec<trestle_tests::Client> {
    (0..clients).map(|_| server.client()).collect()
}

fn with(files: &Files, keys: &BTreeSet<String>) -> Files {
    let one = |(key, path): (&String, &PathBuf)| (key.clone(), path.clone());
    files
        .iter()
        .filter(|(key, _)| keys.contains(*key))
        .map(one)
        .collect()
}

fn without(files: &Files, keys: &BTreeSet<String>) -> Files {
    let one = |(key, path): (&String, &PathBuf)| (key.clone(), path.clone());
    files
        .iter()
        .filter(|(key, _)| !keys.contains(*key))
        .map(one)
        .collect()
}

fn none_of(failures: &[String]) -> Result<()> {
    match failures.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} failures, such as {first}", failures.len()).into()),
    }
}

/// The sources of a Debian package, fetched by apt-get once and unpacked below the target folder.
fn debian_tree() -> Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let folder = target.join("mainjob");
    let tree = folder.join("tree");
    if tree.exists() {
        return Ok(tree);
    }
    let unpacking = folder.join("unpacking");
    std::fs::create_dir_all(&unpacking)?;
    let script = format!(
        "set -e; cd '{}'; apt-get download {PACKAGE} >&2; dpkg-deb -x {PACKAGE}_*.deb package; \
         tar -xf package/usr/src/{PACKAGE}.tar.xz",
        unpacking.display()
    );
    let status = Command::new("sh").args(["-c", &script]).status()?;
    if !status.success() {
        return Err(format!("{PACKAGE} could not be fetched; give --tree DIR instead").into());
    }
    std::fs::rename(unpacking.join(PACKAGE), &tree)?;
    Ok(tree)
}
