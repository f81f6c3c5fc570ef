//! `cargo xtask clients --all`: every client that the server is tried with, installed by the ordinary
//! means of its kind, run against a server of its own, and told of in docs/conformance/clients.md.
//!
//! One row is one script of `tests/clients`. A client that cannot be installed is reported as that.

use crate::Result;
use crate::arguments::Arguments;
use std::path::{Path, PathBuf};
use std::process::Command;
use trestle_tests::Launch;
use trestle_tests::clients::{program_in, programs, tell};

/// How a client gets onto the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// In the environment of the tests in CI.
    Light,
    /// From PyPI, as `tests/clients/requirements-all.txt` pins it.
    Python,
    /// From npm, as `tests/clients/package.json` pins it.
    Node,
    /// A Debian package, which has to be there.
    Debian(&'static str),
}

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
        "s3cmd",
        "S3",
        Kind::Light,
        "s3_s3cmd.py",
        "trees synchronised both ways, parts, copies, access control lists, signed URLs",
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
        "AWS SDK for JavaScript",
        "S3",
        Kind::Node,
        "s3_javascript.mjs",
        "objects with its default checksums, parts, pages, conditions, versions, signed URLs",
    ),
    row(
        "python-swiftclient",
        "Swift",
        Kind::Light,
        "swift_client.py",
        "containers, large objects, metadata, temporary URLs",
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

/// The folder of programs that a row's script needs, installed when it is not there.
fn installed(kind: Kind, base: &Path) -> Result<PathBuf> {
    match kind {
        Kind::Light => Ok(programs()),
        Kind::Debian(program) => {
            let folder = PathBuf::from("/usr/bin");
            match folder.join(program).exists() {
                true => Ok(folder),
                false => Err(format!("apt-get install {program}").into()),
            }
        }
        Kind::Python => {
            let (folder, pinned) = (base.join("python"), "tests/clients/requirements-all.txt");
            once(&folder, pinned, &|| {
                let mut venv = Command::new("python3");
                done(venv.args(["-m", "venv", "--clear"]).arg(&folder))?;
                let mut pip = Command::new(folder.join("bin/pip"));
                done(pip.args(["install", "--quiet", "--requirement", pinned]))
            })?;
            Ok(folder.join("bin"))
        }
        Kind::Node => {
            let (folder, pinned) = (base.join("node"), "tests/clients/package.json");
            once(&folder, pinned, &|| {
                std::fs::create_dir_all(&folder)?;
                std::fs::copy(pinned, folder.join("package.json"))?;
                let mut npm = Command::new("npm");
                npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
                done(npm.arg(&folder))
            })?;
            Ok(folder)
        }
    }
}

/// Installs unless what is there was made from the same pinned versions.
fn once(folder: &Path, pinned: &str, install: &dyn Fn() -> Result<()>) -> Result<()> {
    let (wanted, mark) = (
        std::fs::read_to_string(pinned)?,
        folder.join("installed.txt"),
    );
    if std::fs::read_to_string(&mark).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    install()?;
    Ok(std::fs::write(mark, wanted)?)
}

fn done(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{:?}: {status}", command.get_program()).into()),
        Err(error) => Err(format!("{:?}: {error}", command.get_program()).into()),
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
    let interpreter = match row.kind {
        Kind::Node => "/usr/bin/node",
        Kind::Debian(_) => "python3",
        Kind::Light | Kind::Python => "python",
    };
    let script = std::path::absolute(Path::new("tests/clients").join(row.script))?;
    let mut command = program_in(programs, interpreter, &home.join("client"));
    tell(&mut command, &server);
    command
        .arg(script)
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
