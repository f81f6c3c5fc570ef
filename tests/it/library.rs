//! The library of a REST transaction's parts, used from a crate that is no member of this workspace.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;
use trestle_tests::Client;

fn workspace() -> PathBuf {
    let tests = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    tests.parent().unwrap().to_path_buf()
}

fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", workspace().join("target/outside"))
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    output
}

/// The to-do API of the examples as a crate of its own.
fn stranger(folder: &Path) {
    let root = workspace();
    let http = root.join("crates/http");
    let manifest = format!(
        "[package]\nname = \"stranger\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\ntrestle-http = {{ path = {http:?} }}\n\
         serde_json = \"1\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n"
    );
    std::fs::create_dir_all(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    // The same versions as here: what is not needed falls out.
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let toolchain = root.join("rust-toolchain.toml");
    if toolchain.exists() {
        std::fs::copy(toolchain, folder.join("rust-toolchain.toml")).unwrap();
    }
    let example = std::fs::read_to_string(http.join("examples/todo.rs")).unwrap();
    let main = example.replace("127.0.0.1:5000", "127.0.0.1:0");
    assert_ne!(main, example);
    std::fs::write(folder.join("src/main.rs"), main).unwrap();
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_crate_outside_has_a_rest_api_and_no_storage() {
    let folder = TempDir::new().unwrap();
    stranger(folder.path());
    cargo(folder.path(), &["build", "--quiet"]);
    let metadata = cargo(folder.path(), &["metadata", "--format-version", "1"]);
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let ours: BTreeSet<&str> = packages
        .filter_map(|package| package["name"].as_str()?.strip_prefix("trestle-"))
        .collect();
    assert_eq!(ours, BTreeSet::from(["core", "host", "http"]));
    let mut running = Command::new(workspace().join("target/outside/debug/stranger"))
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    let mut line = String::new();
    let output = running.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let mut client = Client::anonymous(address.parse().unwrap());
    let json = [("content-type", "application/json")];
    let created = client
        .send("POST", "/todos", &json, b"{\"task\": \"profit!\"}")
        .unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    let tag = created.header("etag").unwrap();
    let same = client.send("GET", "/todos/1", &[("if-none-match", &tag)], &[]);
    assert_eq!(same.unwrap().status, 304);
}
