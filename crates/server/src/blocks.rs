//! `trestle tx|volume|snapshot|clone`: what changes several objects at once, or one in place.

use crate::cli::{Common, Outcome, object, print, text_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trestle_client::Remote;
use trestle_host::{File, Host, OpenMode};

/// Most of stdin that is read; the server takes no more.
const TRANSACTION_BYTES_MAX: u64 = 32 << 20;

fn read(file: &str) -> Outcome<String> {
    let read = match file {
        "-" => {
            let mut text = String::new();
            let mut stdin = std::io::stdin().take(TRANSACTION_BYTES_MAX);
            stdin.read_to_string(&mut text).map(|_| text)
        }
        file => std::fs::read_to_string(file),
    };
    read.map_err(|error| format!("{file}: {error}"))
}

/// Puts the bytes of the files that puts name in their places.
fn fill(transaction: &mut Value) -> Outcome<()> {
    let verbs = transaction.get_mut("verbs").and_then(Value::as_array_mut);
    for verb in verbs.into_iter().flatten() {
        let Some(members) = verb.as_object_mut() else {
            continue;
        };
        if let Some(file) = members.remove("file") {
            let file = file.as_str().ok_or("file is the name of a local file")?;
            let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
            members.insert("body".to_owned(), STANDARD.encode(bytes).into());
        }
    }
    Ok(())
}

/// Does the transaction of a file, and says what became of each verb.
pub(crate) async fn transact(file: &str, common: &Common) -> Outcome<()> {
    let mut transaction: Value =
        serde_json::from_str(&read(file)?).map_err(|error| format!("{file}: {error}"))?;
    fill(&mut transaction)?;
    let answer = common.client()?.transact(&transaction).await?;
    let outcomes = answer.get("outcomes").and_then(Value::as_array);
    for outcome in outcomes.into_iter().flatten() {
        let text = || {
            let (verb, tag) = (text_of(outcome, "verb"), text_of(outcome, "etag"));
            let (bucket, key) = (text_of(outcome, "bucket"), text_of(outcome, "key"));
            let status = outcome.get("status").and_then(Value::as_u64).unwrap_or(0);
            format!("{status}  {verb:<7} //{bucket}/{key}  {tag}")
        };
        common.say(text, || outcome.clone())?;
    }
    Ok(())
}

/// Bytes that are written into a volume at once.
const WRITE_BYTES: usize = 4 << 20;

#[derive(Subcommand)]
pub(crate) enum VolumeCommand {
    /// Make a volume, all zeros, where there is nothing.
    Create {
        /// `//bucket/key`
        name: String,
        /// In bytes; or with K, M, G or T for powers of 1024.
        size: String,
        #[command(flatten)]
        common: Common,
    },
    /// Change a volume's size.
    Resize {
        /// `//bucket/key`
        name: String,
        /// In bytes; or with K, M, G or T.
        size: String,
        #[command(flatten)]
        common: Common,
    },
    /// Write stdin, or a file, into a volume.
    Write {
        /// `//bucket/key`
        name: String,
        /// Where, in bytes; or with K, M, G or T.
        offset: String,
        /// A local file; without it stdin.
        file: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Write a part of a volume to stdout.
    Read {
        /// `//bucket/key`
        name: String,
        /// From where.
        offset: String,
        /// How many bytes.
        length: String,
        #[command(flatten)]
        common: Common,
    },
    /// Make a part of a volume zero.
    Zeroes {
        /// `//bucket/key`
        name: String,
        /// From where.
        offset: String,
        /// How many bytes.
        length: String,
        #[command(flatten)]
        common: Common,
    },
    /// Give back a part of a volume, which is zeros then.
    Trim {
        /// `//bucket/key`
        name: String,
        /// From where.
        offset: String,
        /// How many bytes.
        length: String,
        #[command(flatten)]
        common: Common,
    },
    /// Learn that all that was written is durable: it is before each answer.
    Flush {
        /// `//bucket/key`
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

/// A number of bytes as people write it.
fn bytes(text: &str) -> Outcome<u64> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (text.get(..at), 10),
        Some((at, 'M' | 'm')) => (text.get(..at), 20),
        Some((at, 'G' | 'g')) => (text.get(..at), 30),
        Some((at, 'T' | 't')) => (text.get(..at), 40),
        _ => (Some(text), 0),
    };
    let number = digits.and_then(|digits| digits.parse::<u64>().ok());
    let number = number.and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| format!("{text}: a number of bytes is written 4096, 64K or 10G"))
}

/// Does what is said to a volume.
pub(crate) async fn volume(command: &VolumeCommand) -> Outcome<()> {
    let verb = |verb: &str, offset: &str, length: &str| -> Outcome<Value> {
        Ok(json!({"verb": verb, "offset": bytes(offset)?, "length": bytes(length)?}))
    };
    let (name, common, done) = match command {
        VolumeCommand::Create { name, size, common } => {
            let size = bytes(size)?;
            common.client()?.create_volume(&object(name)?, size).await?;
            (name, common, "made")
        }
        VolumeCommand::Write {
            name,
            offset,
            file,
            common,
        } => {
            write_volume(name, bytes(offset)?, file.as_deref(), common).await?;
            (name, common, "written")
        }
        VolumeCommand::Read {
            name,
            offset,
            length,
            common,
        } => {
            let (offset, length) = (bytes(offset)?, bytes(length)?);
            let (client, name) = (common.client()?, object(name)?);
            return print(client.read_at(&name, offset, length).await?).await;
        }
        VolumeCommand::Resize { name, size, common } => {
            let verb = json!({"verb": "resize", "size": bytes(size)?});
            common
                .client()?
                .change_volume(&object(name)?, &verb)
                .await?;
            (name, common, "resized")
        }
        VolumeCommand::Zeroes {
            name,
            offset,
            length,
            common,
        } => {
            let verb = verb("zeroes", offset, length)?;
            common
                .client()?
                .change_volume(&object(name)?, &verb)
                .await?;
            (name, common, "zeroed")
        }
        VolumeCommand::Trim {
            name,
            offset,
            length,
            common,
        } => {
            let verb = verb("trim", offset, length)?;
            common
                .client()?
                .change_volume(&object(name)?, &verb)
                .await?;
            (name, common, "trimmed")
        }
        VolumeCommand::Flush { name, common } => {
            let verb = json!({"verb": "flush"});
            common
                .client()?
                .change_volume(&object(name)?, &verb)
                .await?;
            (name, common, "flushed")
        }
    };
    common.say(|| format!("{done} {name}"), || json!({ done: name }))
}

async fn write_volume(
    name: &str,
    mut offset: u64,
    file: Option<&Path>,
    common: &Common,
) -> Outcome<()> {
    let (client, name) = (common.client()?, object(name)?);
    let mut source = Source::open(file)?;
    loop {
        let piece = source.piece()?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len() as u64;
        client.write_at(&name, offset, Bytes::from(piece)).await?;
        offset = offset.saturating_add(length);
    }
}

/// What is written into a volume, piece by piece.
enum Source {
    Stdin,
    File(Arc<dyn File>, u64),
}

impl Source {
    fn open(file: Option<&Path>) -> Outcome<Self> {
        let Some(path) = file else {
            return Ok(Source::Stdin);
        };
        let opened = Host::real().disk.open(path, OpenMode::Read);
        let opened = opened.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Source::File(opened, 0))
    }

    /// The next bytes; none at the end.
    fn piece(&mut self) -> Outcome<Vec<u8>> {
        let mut piece = Vec::new();
        let read = match self {
            Source::Stdin => {
                let mut limited = std::io::stdin().take(WRITE_BYTES as u64);
                limited.read_to_end(&mut piece).map(drop)
            }
            Source::File(file, at) => file.len().and_then(|length| {
                let left = length.saturating_sub(*at).min(WRITE_BYTES as u64);
                piece.resize(usize::try_from(left).unwrap_or(0), 0);
                let read = file.read_at(&mut piece, *at);
                *at += left;
                read
            }),
        };
        read.map_err(|error| format!("what is to be written: {error}"))?;
        Ok(piece)
    }
}

#[derive(Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Make a snapshot: `//bucket/key@NAME`, or `//bucket__NAME` of a bucket or a directory.
    Create {
        /// `//bucket/key`, `//bucket/directory/` or `//bucket`
        of: String,
        /// Its name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// List the snapshots of an object, of a directory, or of a bucket and its directories.
    Ls {
        /// `//bucket/key`, `//bucket/directory/` or `//bucket`
        of: String,
        #[command(flatten)]
        common: Common,
    },
    /// Delete a snapshot.
    Rm {
        /// `//bucket/key`, `//bucket/directory/` or `//bucket`
        of: String,
        /// Its name.
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

/// Makes, lists and deletes snapshots.
pub(crate) async fn snapshot(command: &SnapshotCommand) -> Outcome<()> {
    match command {
        SnapshotCommand::Create { of, name, common } => {
            let remote = Remote::parse(of)?;
            let made = common.client()?.create_snapshot(&remote, name).await?;
            let place = place(&made);
            common.say(|| format!("made {place}"), || made)
        }
        SnapshotCommand::Ls { of, common } => {
            for found in common.client()?.snapshots(&Remote::parse(of)?).await? {
                let text = || {
                    let size = found.get("size").and_then(Value::as_u64);
                    let size = size.map_or_else(String::new, |size| size.to_string());
                    let created = text_of(&found, "created");
                    format!("{created}  {size:>15}  {}", place(&found))
                };
                common.say(text, || found.clone())?;
            }
            Ok(())
        }
        SnapshotCommand::Rm { of, name, common } => {
            let client = common.client()?;
            let named = client.snapshots(&Remote::parse(of)?).await?;
            let found = named.iter().find(|found| text_of(found, "name") == name);
            let found = found.ok_or_else(|| format!("{of} has no snapshot {name}"))?;
            let place = place(found);
            let snapshot = Remote::parse(&place)?;
            client.delete(&snapshot).await?;
            let document = json!({ "deleted": place });
            common.say(|| format!("deleted {place}"), || document)
        }
    }
}

/// Where a snapshot is read.
fn place(snapshot: &Value) -> String {
    let bucket = text_of(snapshot, "reads_as");
    if bucket.is_empty() {
        let (bucket, key) = (text_of(snapshot, "bucket"), text_of(snapshot, "key"));
        return format!("//{bucket}/{key}");
    }
    format!("//{bucket}")
}

/// Makes a clone.
pub(crate) async fn clone(from: &str, to: &str, common: &Common) -> Outcome<()> {
    let client = common.client()?;
    let (source, target) = (Remote::parse(from)?, Remote::parse(to)?);
    let made = client.clone_object(&source, &target).await?;
    common.say(|| format!("{from} -> {to}"), || made)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("10G"), Ok(10 << 30));
        assert!(bytes("").is_err() && bytes("K").is_err() && bytes("99999999T").is_err());
    }
}
