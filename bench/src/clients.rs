//! `cargo xtask clients --all`: every client that the server is tried with, installed by the ordinary
//! means of its kind, run against a server of its own, and told of in docs/conformance/clients.md.
//!
//! One row is one script of `tests/clients`. A client that cannot be installed is reported as that.

use crate::Result;
use crate::arguments::Arguments;
use crate::installs::{Kind, installed};
use std::path::{Path, PathBuf};
use std::process::Command;
use trestle_tests::Launch;
use trestle_tests::clients::{program_in, tell};

struct Row {
    client: &'static str,
    dialect: &'static str,
    kind: Kind,
    script: &'static str,
    what: &'static str,
}

const fn row(
    client: &'static str,
    dialect: &'static str,
    kind: Kind,
    script: &'static str,
    what: &'static str,
) -> Row {
    Row {
        client,
        dialect,
        kind,
        script,
        what,
    }
}

const RESTIC: Kind = Kind::GoProgram("github.com/restic/restic/cmd/restic@v0.18.1");

const ROWS: &[Row] = &[
    row(
        "boto3",
        "S3",
        Kind::Light,
        "s3_boto3.py",
        "objects, conditions, copies, uploads in parts, encryption, versions, locks, signed URLs, \
         forms, CORS",
    ),
    row(
        "AWS command line",
        "S3",
        Kind::Light,
        "s3_awscli.py",
        "trees synchronised both ways, parts, moves, signed URLs, checksums, versions",
    ),
    row(
        "AWS command line of Debian",
        "S3",
        Kind::Debian("aws"),
        "s3_awscli.py",
        "the same",
    ),
    row(
        "s3cmd",
        "S3",
        Kind::Light,
        "s3_s3cmd.py",
        "trees synchronised both ways, parts, copies, access control lists, signed URLs",
    ),
    row(
        "s3cmd of Debian",
        "S3",
        Kind::Debian("s3cmd"),
        "s3_s3cmd.py",
        "the same",
    ),
    row(
        "s5cmd",
        "S3",
        Kind::Light,
        "s3_s5cmd.py",
        "trees by many workers, patterns, parts, copies within the server",
    ),
    row(
        "rclone",
        "S3",
        Kind::Light,
        "s3_rclone.py",
        "trees up, compared byte by byte, synchronised, down; copies within the server; metadata",
    ),
    row(
        "rclone of Debian",
        "S3",
        Kind::Debian("rclone"),
        "s3_rclone.py",
        "the same",
    ),
    row(
        "restic of Debian",
        "S3",
        Kind::Debian("restic"),
        "s3_restic.py",
        "backups of a real tree, a check of every byte, pruning, the tree restored",
    ),
    row("restic", "S3", RESTIC, "s3_restic.py", "the same"),
    row(
        "migration by rclone",
        "S3",
        Kind::Light,
        "s3_migrate.py",
        "from one server to another, contents, metadata and tags compared (docs/migrate.md)",
    ),
    row(
        "MinIO's library for Python",
        "S3",
        Kind::Python,
        "s3_minio.py",
        "streams in parts, tags, versions, locks, policies, joins, signed URLs, deletes of many",
    ),
    row(
        "MinIO's library for Go",
        "S3",
        Kind::GoTests,
        "s3_minio_go.py",
        "its own functional tests; those that are refused here are named in the script",
    ),
    row(
        "pyarrow and DuckDB",
        "S3",
        Kind::Python,
        "s3_parquet.py",
        "Parquet written in parts; columns, filters and partitions read by ranges",
    ),
    row(
        "Delta Lake (delta-rs)",
        "S3",
        Kind::Python,
        "s3_delta.py",
        "commits by conditional puts under contention: exactly one winner in each round",
    ),
    row(
        "Iceberg (PyIceberg)",
        "S3",
        Kind::Python,
        "s3_iceberg.py",
        "appends, scans, deletes, a changed schema, a former snapshot",
    ),
    row(
        "Iceberg (PyIceberg), commits",
        "S3",
        Kind::Python,
        "s3_iceberg_commits.py",
        "metadata files by conditional puts under contention: exactly one winner in each round",
    ),
    row(
        "AWS SDK for JavaScript",
        "S3",
        Kind::Node,
        "s3_javascript.mjs",
        "objects with its default checksums, parts, pages, conditions, versions, signed URLs",
    ),
    row(
        "AWS SDK for Rust",
        "S3",
        Kind::Rust,
        "rust/src/main.rs",
        "objects with its default checksums, conditions, parts, pages, versions, signed requests",
    ),
    row(
        "AWS SDK for Go",
        "S3",
        Kind::Go,
        "go/main.go",
        "objects with its default checksums, streams in parts, pages, versions, signed requests",
    ),
    row(
        "AWS SDK for Java",
        "S3",
        Kind::Java,
        "java/S3.java",
        "objects with its default checksums, streams, conditions, parts, pages, versions",
    ),
    row(
        "docker-registry of Debian",
        "S3",
        Kind::Debian("docker-registry"),
        "s3_registry.py",
        "images pushed in pieces and pulled, layers mounted, tags, deletion, collection of garbage",
    ),
    row(
        "Chromium",
        "S3",
        Kind::Light,
        "s3_browser.py",
        "a form with a policy, signed URLs from another origin by the bucket's rules",
    ),
    row(
        "python-swiftclient",
        "Swift",
        Kind::Light,
        "swift_client.py",
        "containers, large objects, metadata, temporary URLs",
    ),
    row(
        "command swift",
        "Swift",
        Kind::Light,
        "swift_command.py",
        "trees in segments of both kinds, copies, metadata, temporary URLs, deletion with segments",
    ),
    row(
        "command swift of Debian",
        "Swift",
        Kind::Debian("swift"),
        "swift_command.py",
        "the same",
    ),
    row(
        "curl",
        "Swift",
        Kind::Light,
        "swift_curl.py",
        "forms that upload, archives, temporary URLs, deletes of many",
    ),
    row(
        "rclone",
        "Swift",
        Kind::Light,
        "swift_rclone.py",
        "trees up, compared byte by byte, synchronised, down; segments; copies within the server",
    ),
    row(
        "rclone of Debian",
        "Swift",
        Kind::Debian("rclone"),
        "swift_rclone.py",
        "the same",
    ),
    row(
        "docker-registry of Debian",
        "Swift",
        Kind::Debian("docker-registry"),
        "swift_registry.py",
        "as over S3",
    ),
    row(
        "Chromium",
        "Swift",
        Kind::Light,
        "swift_browser.py",
        "a site with listings and error pages, forms, scripts of another origin",
    ),
    row(
        "requests",
        "REST",
        Kind::Light,
        "rest_requests.py",
        "buckets, objects, conditions, ranges, listings",
    ),
    row(
        "Flask",
        "REST",
        Kind::Light,
        "flask_uploads.py",
        "an application that keeps its uploads",
    ),
    row(
        "Chromium",
        "REST",
        Kind::Light,
        "rest_browser.py",
        "pages, uploads, the JavaScript client, scripts of another origin",
    ),
];

/// What became of a row.
struct Outcome {
    version: String,
    result: String,
    failed: bool,
}

/// Runs every row, or those of `--only SCRIPT,…`, and with `--write yes` writes the page.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let only = arguments.text("only", "")?;
    let wanted = |row: &&Row| only.is_empty() || only.split(',').any(|one| row.script == one);
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let base = std::path::absolute(target.join("clients-all"))?;
    std::fs::create_dir_all(&base)?;
    let mut table = String::from(
        "| client | version | interface | what was done | result |\n|---|---|---|---|---|\n",
    );
    let mut failed = Vec::new();
    for row in ROWS.iter().filter(wanted) {
        println!("== {} ({})", row.client, row.script);
        let outcome = match installed(row.kind, &base) {
            Err(why) => Outcome {
                version: "–".to_owned(),
                result: format!("not tried: it cannot be installed here ({why})"),
                failed: false,
            },
            Ok(programs) => attempt(row, &programs, &base)?,
        };
        println!("   {}: {}", outcome.version, outcome.result);
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            row.client, outcome.version, row.dialect, row.what, outcome.result
        ));
        if outcome.failed {
            failed.push(row.client);
        }
    }
    println!("\n{table}");
    if arguments.text("write", "no")? == "yes" {
        let before = "# Clients that were tried\n\nWritten by `cargo xtask clients --all --write yes`: \
                      each row is a script of `tests/clients`, run against a server of its own. What \
                      is compared stands in the script; the lighter rows run in CI, too.\n\n";
        std::fs::write("docs/conformance/clients.md", format!("{before}{table}"))?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failed.join(", ")).into()),
    }
}

/// Runs a row's script against servers of its own: some move objects from one to another.
fn attempt(row: &Row, programs: &Path, base: &Path) -> Result<Outcome> {
    let home = base.join("home");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    for folder in ["client", "one", "two"] {
        std::fs::create_dir_all(home.join(folder))?;
    }
    let server = Launch::new(home.join("one/data")).start();
    let other = Launch::new(home.join("two/data")).start();
    let script = std::path::absolute(Path::new("tests/clients").join(row.script))?;
    let mut command = command(row.kind, programs, &script, &home.join("client"))?;
    tell(&mut command, &server);
    command
        .env("TRESTLE_OTHER_URL", format!("http://{}", other.front()))
        .env("TRESTLE_NODE", programs);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().find_map(|line| line.strip_prefix("= "));
    let version = version
        .and_then(|line| line.split_once(' '))
        .map(|(_, version)| version);
    let passed = output.status.success() && text.ends_with("done\n");
    if !passed {
        println!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Outcome {
        version: version.unwrap_or("as pinned").to_owned(),
        result: if passed { "passed" } else { "failed" }.to_owned(),
        failed: !passed,
    })
}

/// What runs a script: its interpreter, or for what was built the program itself.
fn command(kind: Kind, programs: &Path, script: &Path, home: &Path) -> Result<Command> {
    let run = |name: &str| program_in(programs, name, home);
    let script = script.to_str().ok_or("a folder whose name is no text")?;
    let python = crate::installs::light().join("python");
    let python = python.to_str().ok_or("a folder whose name is no text")?;
    let (mut command, words) = match kind {
        Kind::Node => (run("/usr/bin/node"), vec![script.to_owned()]),
        Kind::Rust => (run("s3-rust"), Vec::new()),
        Kind::Go => (run("clients"), Vec::new()),
        Kind::Java => {
            let every = format!("{}/*", programs.display());
            (
                run("/usr/bin/java"),
                vec!["-cp".into(), every, script.into()],
            )
        }
        Kind::Light | Kind::Python => (run("python"), vec![script.to_owned()]),
        Kind::Debian(_) | Kind::GoProgram(_) | Kind::GoTests => {
            (run(python), vec![script.to_owned()])
        }
    };
    if kind == Kind::GoTests {
        // It builds them, with what the machine's user has of modules.
        command.envs(std::env::var("HOME").map(|home| ("HOME", home)));
    }
    command.args(words);
    Ok(command)
}
