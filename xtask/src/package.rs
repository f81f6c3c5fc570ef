//! `cargo xtask package`: the server as a static binary, a Debian package with a systemd unit, and a
//! container's context; each as far as the machine can make and start it, and what it could not.

use crate::workspace::{cargo, root, target, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The targets that a static binary can be made for, the best first.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"];

/// Makes everything below `target/package`.
pub fn run() -> Result<(), String> {
    let folder = target()?.join("package");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
    }
    make_folder(&folder)?;
    let binary = static_binary(&folder)?;
    serves(&binary, &folder.join("trial"))?;
    println!(
        "static binary: {}, was started and answered",
        binary.display()
    );
    let package = debian(&binary, &folder)?;
    let unpacked = folder.join("unpacked");
    succeed(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(&package)
            .arg(&unpacked),
    )?;
    serves(&unpacked.join("usr/bin/trestle"), &folder.join("trial-deb"))?;
    println!(
        "Debian package: {}, its binary was started and answered",
        package.display()
    );
    unit(&unpacked);
    println!(
        "container: {} is the context for packaging/Containerfile; not built, that needs a \
         container engine",
        folder.display()
    );
    Ok(())
}

/// Builds the static binary, for musl when its standard library is there.
fn static_binary(folder: &Path) -> Result<PathBuf, String> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let triple = TARGETS
        .into_iter()
        .find(|triple| libraries.join(triple).exists())
        .ok_or("neither the musl nor the gnu target is installed")?;
    println!("target: {triple}");
    succeed(
        cargo()
            .args(["build", "--locked", "--release", "-p", "trestle-server"])
            .args(["--target", triple])
            .env(
                "RUSTFLAGS",
                "-C target-feature=+crt-static -C strip=debuginfo",
            ),
    )?;
    let built = target()?.join(triple).join("release/trestle");
    let binary = folder.join("trestle");
    copy(&built, &binary)?;
    let headers = output(Command::new("readelf").arg("-l").arg(&binary))?;
    if headers.contains("INTERP") {
        return Err("the binary asks for a dynamic linker".to_owned());
    }
    Ok(binary)
}

/// Starts a server of a binary, asks whether it is ready, and lets it end.
fn serves(binary: &Path, home: &Path) -> Result<(), String> {
    make_folder(home)?;
    let mut child = Command::new(binary)
        .args(["serve", "--data"])
        .arg(home.join("data"))
        .args(["--listen", "127.0.0.1:0"])
        .env("XDG_CONFIG_HOME", home.join("config"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{binary:?} does not start: {error}"))?;
    let answered = child
        .stdout
        .take()
        .ok_or_else(|| "no output".to_owned())
        .and_then(|stdout| ready(BufReader::new(stdout)));
    succeed(Command::new("kill").args(["-TERM", &child.id().to_string()]))?;
    let ended = child.wait().map_err(|error| error.to_string())?;
    match answered {
        Ok(()) if ended.success() => Ok(()),
        Ok(()) => Err(format!("the server ended with {ended}")),
        Err(message) => Err(message),
    }
}

fn ready(mut output: impl BufRead) -> Result<(), String> {
    let mut line = String::new();
    let address = loop {
        line.clear();
        if output.read_line(&mut line).map_err(|e| e.to_string())? == 0 {
            return Err("the server does not listen".to_owned());
        }
        if let Some((_, address)) = line.split_once("listening on http://") {
            break address.trim().to_owned();
        }
    };
    let ask = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(&address).map_err(ask)?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(ask)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(ask)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(format!("not ready: {answer}"))
    }
}

/// Makes the Debian package.
fn debian(binary: &Path, folder: &Path) -> Result<PathBuf, String> {
    let tree = folder.join("debian");
    let from = root().join("packaging");
    for (source, place) in [
        (binary.to_owned(), "usr/bin/trestle"),
        (
            from.join("trestle.service"),
            "lib/systemd/system/trestle.service",
        ),
        (from.join("trestle.toml"), "etc/trestle/trestle.toml"),
        (from.join("postinst"), "DEBIAN/postinst"),
        (root().join("README.md"), "usr/share/doc/trestle/README.md"),
        (root().join("LICENSE"), "usr/share/doc/trestle/copyright"),
    ] {
        let place = tree.join(place);
        make_folder(place.parent().unwrap_or(&tree))?;
        copy(&source, &place)?;
    }
    succeed(
        Command::new("chmod")
            .arg("0755")
            .arg(tree.join("DEBIAN/postinst")),
    )?;
    let version = version()?;
    write(
        &tree.join("DEBIAN/conffiles"),
        "/etc/trestle/trestle.toml\n",
    )?;
    write(
        &tree.join("DEBIAN/control"),
        &format!(
            "Package: trestle\nVersion: {version}\nArchitecture: amd64\nSection: net\n\
             Priority: optional\nDepends: adduser\nMaintainer: The Trestle developers \
             <maintainers@trestle.invalid>\nDescription: RESTful storage server\n One binary that \
             serves the same objects over its own REST API, S3, Swift and CDMI.\n"
        ),
    )?;
    let package = folder.join(format!("trestle_{version}_amd64.deb"));
    succeed(
        Command::new("dpkg-deb")
            .args(["--build", "--root-owner-group"])
            .arg(&tree)
            .arg(&package),
    )?;
    Ok(package)
}

/// Has systemd read the unit, when it is there.
fn unit(unpacked: &Path) {
    let verified = Command::new("systemd-analyze")
        // Of the unit alone: what it comes after is the machine's.
        .args(["verify", "--recursive-errors=no", "--man=no"])
        .arg(format!("--root={}", unpacked.display()))
        .arg("trestle.service")
        .output();
    match verified {
        Ok(output) if output.status.success() => {
            println!("systemd unit: read by systemd-analyze; not started, that needs systemd");
        }
        Ok(output) => println!(
            "systemd unit: systemd-analyze says {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => println!("systemd unit: not verified, systemd-analyze: {error}"),
    }
}

fn version() -> Result<String, String> {
    let metadata = crate::workspace::metadata(false)?;
    crate::workspace::list(&metadata, "packages")
        .iter()
        .find(|package| text(package, "name") == "trestle-server")
        .map(|package| text(package, "version").to_owned())
        .ok_or_else(|| "trestle-server has no version".to_owned())
}

fn make_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{folder:?}: {error}"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copied = std::fs::copy(from, to);
    copied
        .map(drop)
        .map_err(|error| format!("{from:?} to {to:?}: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{path:?}: {error}"))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} failed: {status}")),
        Err(error) => Err(format!("{command:?} does not start: {error}")),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?} does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
