//! How each client of `cargo xtask clients --all` gets onto the machine: by the ordinary means of its
//! kind, into a folder of its own below the target folder.

use crate::Result;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a client gets onto the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In the environment of the tests in CI.
    Light,
    /// From PyPI, as `tests/clients/requirements-all.txt` pins it.
    Python,
    /// From npm, as `tests/clients/package.json` pins it.
    Node,
    /// A program of a Debian package, which has to be there.
    Debian(&'static str),
    /// A crate, built from `tests/clients/rust`.
    Rust,
    /// A module of Go, built from `tests/clients/go`.
    Go,
    /// A program of Go, `package@version`.
    GoProgram(&'static str),
    /// A module of Go with tests, which the script builds.
    GoTests,
    /// From Maven, as `tests/clients/java/pom.xml` pins it.
    Java,
}

/// The environment of the tests in CI.
pub(crate) fn light() -> PathBuf {
    trestle_tests::clients::programs()
}

/// The folder of programs that a row's script needs, installed when it is not there.
pub(crate) fn installed(kind: Kind, base: &Path) -> Result<PathBuf> {
    match kind {
        Kind::Light => Ok(light()),
        Kind::Debian(program) => {
            let folder = PathBuf::from("/usr/bin");
            match folder.join(program).exists() {
                true => Ok(folder),
                false => Err(format!("Debian's {program} is not there").into()),
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
        Kind::Rust => {
            let folder = base.join("rust");
            let mut cargo = Command::new("cargo");
            cargo.args([
                "build",
                "--quiet",
                "--locked",
                "--manifest-path",
                "tests/clients/rust/Cargo.toml",
            ]);
            done(cargo.arg("--target-dir").arg(&folder))?;
            Ok(folder.join("debug"))
        }
        Kind::Go => {
            let folder = base.join("go");
            std::fs::create_dir_all(&folder)?;
            let mut go = Command::new("go");
            go.args(["build", "-C", "tests/clients/go", "-o"]);
            done(go.arg(&folder).arg("."))?;
            Ok(folder)
        }
        Kind::GoProgram(package) => {
            let folder = base.join("go");
            done(
                Command::new("go")
                    .env("GOBIN", &folder)
                    .args(["install", package]),
            )?;
            Ok(folder)
        }
        Kind::GoTests => {
            done(Command::new("go").arg("version").stdout(Stdio::null()))?;
            Ok(PathBuf::from("/usr/bin"))
        }
        Kind::Java => {
            let (folder, pinned) = (base.join("java"), "tests/clients/java/pom.xml");
            once(&folder, pinned, &|| {
                let mut maven = Command::new("mvn");
                maven.args(["--quiet", "--batch-mode", "--file", pinned]);
                maven.arg("dependency:copy-dependencies");
                done(maven.arg(format!("-DoutputDirectory={}", folder.display())))
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
