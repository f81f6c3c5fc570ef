//! `trestle ls|cp|cat|rm|mb|rb|stat|sync`: the REST API from the command line.
//!
//! A name at the server is written `//bucket/key`. Results go to stdout, one a line; what went wrong
//! to stderr, and then the exit code is 1.

use crate::client::ConnectionArgs;
use clap::{Args, Subcommand};
use futures::StreamExt;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use trestle_client::{Client, Done, Listed, Place, Progress, Remote, copy, plan};
use trestle_host::Host;

/// Transfers at once, and most of them.
const PARALLEL_DEFAULT: usize = 8;
const PARALLEL_MAX: usize = 64;

pub(crate) type Outcome<T> = Result<T, String>;

/// Which server, as whom, and how to say what was done.
#[derive(Args)]
pub(crate) struct Common {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How many transfers at once.
#[derive(Args)]
pub(crate) struct Parallel {
    /// Transfers at once.
    #[arg(long, short = 'j', default_value_t = PARALLEL_DEFAULT, value_name = "COUNT")]
    jobs: usize,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List buckets, or what is in one.
    Ls {
        /// `//bucket/prefix`; without it all buckets.
        name: Option<String>,
        /// Everything below, not folder by folder.
        #[arg(short, long)]
        recursive: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Copy to the server, from it, or within it.
    Cp {
        /// What to copy: a local path, or `//bucket/key`.
        from: String,
        /// Where to: a local path, or `//bucket/key`.
        to: String,
        /// Everything below.
        #[arg(short, long)]
        recursive: bool,
        #[command(flatten)]
        parallel: Parallel,
        #[command(flatten)]
        common: Common,
    },
    /// Copy what differs in size, or is newer.
    Sync {
        /// From this folder: a local path, or `//bucket/prefix`.
        from: String,
        /// To this one.
        to: String,
        /// Delete there what is not here.
        #[arg(long)]
        delete: bool,
        #[command(flatten)]
        parallel: Parallel,
        #[command(flatten)]
        common: Common,
    },
    /// Write an object to stdout.
    Cat {
        /// `//bucket/key`
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Delete an object.
    Rm {
        /// `//bucket/key`
        name: String,
        /// Everything whose key starts with this.
        #[arg(short, long)]
        recursive: bool,
        #[command(flatten)]
        parallel: Parallel,
        #[command(flatten)]
        common: Common,
    },
    /// Make a bucket.
    Mb {
        /// `//bucket`
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove an empty bucket.
    Rb {
        /// `//bucket`
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Do several verbs in one commit, or none of them.
    Tx {
        /// A file with a transaction as JSON, `{"verbs": […]}`; `-` is stdin. A put may name a local
        /// file as `file` instead of giving a body.
        file: String,
        #[command(flatten)]
        common: Common,
    },
    /// Keep objects and volumes as they are now, by reference.
    Snapshot {
        #[command(subcommand)]
        command: crate::blocks::SnapshotCommand,
    },
    /// Make another object, volume or bucket of the same bytes, by reference.
    Clone {
        /// `//bucket/key` or `//bucket`, or a snapshot, `//bucket/key@name` or `//bucket__name`.
        from: String,
        /// `//bucket/key` or `//bucket`, at which there is nothing.
        to: String,
        #[command(flatten)]
        common: Common,
    },
    /// Make, read and write volumes: objects of a fixed size that are changed in place.
    Volume {
        #[command(subcommand)]
        command: crate::blocks::VolumeCommand,
    },
    /// Show all that is known of an object, or of a bucket.
    Stat {
        /// `//bucket/key`
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

impl Common {
    pub(crate) fn client(&self) -> Outcome<Client> {
        self.connection.client()
    }

    /// Says what was done; whoever closes stdout wants no more of it.
    pub(crate) fn say(
        &self,
        text: impl FnOnce() -> String,
        document: impl FnOnce() -> Value,
    ) -> Outcome<()> {
        let line = if self.connection.json {
            document().to_string()
        } else {
            text()
        };
        writeln!(std::io::stdout(), "{line}").map_err(|error| format!("stdout: {error}"))
    }
}

/// Does it; the exit code says whether all of it was done.
pub(crate) async fn run(verb: &Verb) -> Outcome<ExitCode> {
    match verb {
        Verb::Ls {
            name,
            recursive,
            common,
        } => ls(name.as_deref(), *recursive, common).await?,
        Verb::Cat { name, common } => cat(&object(name)?, common).await?,
        Verb::Mb { name, common } => {
            let bucket = bucket(name)?;
            common.client()?.create_bucket(&bucket).await?;
            let name = &bucket.bucket;
            common.say(|| format!("made //{name}"), || json!({"made": name}))?;
        }
        Verb::Rb { name, common } => {
            let bucket = bucket(name)?;
            common.client()?.delete(&bucket).await?;
            let name = &bucket.bucket;
            common.say(|| format!("removed //{name}"), || json!({"removed": name}))?;
        }
        Verb::Snapshot { command } => crate::blocks::snapshot(command).await?,
        Verb::Clone { from, to, common } => crate::blocks::clone(from, to, common).await?,
        Verb::Volume { command } => crate::blocks::volume(command).await?,
        Verb::Tx { file, common } => crate::blocks::transact(file, common).await?,
        Verb::Stat { name, common } => stat(&Remote::parse(name)?, common).await?,
        Verb::Cp {
            from,
            to,
            recursive,
            parallel,
            common,
        } => return cp((from, to), *recursive, parallel, common).await,
        Verb::Sync {
            from,
            to,
            delete,
            parallel,
            common,
        } => {
            let places = (Place::parse(from)?, Place::parse(to)?);
            return tree(&places, (true, *delete), parallel, common).await;
        }
        Verb::Rm {
            name,
            recursive,
            parallel,
            common,
        } => return rm(name, *recursive, parallel, common).await,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn bucket(name: &str) -> Outcome<Remote> {
    let remote = Remote::parse(name)?;
    if remote.key.is_empty() {
        Ok(remote)
    } else {
        Err(format!("{name}: a bucket is written //bucket"))
    }
}

pub(crate) fn object(name: &str) -> Outcome<Remote> {
    let remote = Remote::parse(name)?;
    if remote.key.is_empty() {
        Err(format!("{name}: an object is written //bucket/key"))
    } else {
        Ok(remote)
    }
}

pub(crate) fn text_of<'a>(document: &'a Value, name: &str) -> &'a str {
    document
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

async fn ls(name: Option<&str>, recursive: bool, common: &Common) -> Outcome<()> {
    let client = common.client()?;
    let Some(name) = name else {
        for bucket in client.buckets().await? {
            let number = |name: &str| bucket.get(name).and_then(Value::as_u64).unwrap_or(0);
            let text = || {
                let (created, name) = (text_of(&bucket, "created"), text_of(&bucket, "name"));
                let (objects, bytes) = (number("objects"), number("bytes"));
                format!("{created}  {objects:>10} objects  {bytes:>15} bytes  //{name}")
            };
            common.say(text, || bucket.clone())?;
        }
        return Ok(());
    };
    let from = Remote::parse(name)?;
    let mut each = |item: Listed| {
        let text = || {
            let modified = text_of(&item.document, "modified");
            let size = item
                .size
                .map_or_else(|| "-".to_owned(), |size| size.to_string());
            format!("{modified:>27}  {size:>15}  //{}/{}", from.bucket, item.key)
        };
        common.say(text, || item.document.clone())
    };
    client.list(&from, recursive, &mut each).await
}

async fn stat(name: &Remote, common: &Common) -> Outcome<()> {
    let document = common.client()?.stat(name).await?;
    let pretty = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())?;
    common.say(|| pretty, || document.clone())
}

async fn cat(name: &Remote, common: &Common) -> Outcome<()> {
    let reply = common.client()?.read(name).await?;
    print(reply).await
}

/// Writes what an answer brings to stdout.
pub(crate) async fn print(reply: trestle_client::Reply) -> Outcome<()> {
    let mut pieces = trestle_http::incoming(reply.into_body());
    let mut stdout = std::io::stdout().lock();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        stdout
            .write_all(&piece)
            .map_err(|error| format!("stdout: {error}"))?;
    }
    stdout.flush().map_err(|error| format!("stdout: {error}"))
}

/// Where a single copy goes: into a folder it keeps its name.
fn target(from: &Place, to: Place, named: &str) -> Outcome<Place> {
    let name = match from {
        Place::Local(path) => path.file_name().and_then(|name| name.to_str()),
        Place::Remote(remote) => remote
            .key
            .rsplit('/')
            .next()
            .filter(|name| !name.is_empty()),
    };
    let into = match &to {
        Place::Local(path) => named.ends_with('/') || path.is_dir(),
        Place::Remote(remote) => remote.key.is_empty() || remote.key.ends_with('/'),
    };
    if !into {
        return Ok(to);
    }
    let name = name.filter(|name| !matches!(*name, "." | ".."));
    let name = name.ok_or_else(|| format!("{from}: has no name of its own to keep"))?;
    Ok(match to {
        Place::Local(path) => Place::Local(path.join(name)),
        Place::Remote(remote) => Place::Remote(remote.with_key(format!("{}{name}", remote.key))),
    })
}

async fn cp(
    (from, to): (&str, &str),
    recursive: bool,
    parallel: &Parallel,
    common: &Common,
) -> Outcome<ExitCode> {
    let places = (Place::parse(from)?, Place::parse(to)?);
    if recursive {
        return tree(&places, (false, false), parallel, common).await;
    }
    let (client, host) = (common.client()?, Host::real());
    let target = target(&places.0, places.1, to)?;
    let progress = Arc::new(Progress::default());
    let size = match &places.0 {
        Place::Local(path) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        Place::Remote(remote) => {
            let document = client.stat(remote).await.unwrap_or_default();
            document.get("size").and_then(Value::as_u64).unwrap_or(0)
        }
    };
    progress.expect(size);
    let work = copy(&client, &host, (&places.0, &target), &progress);
    let done = progress.clone().shown(&host, work).await?;
    copied(&done, common)?;
    Ok(ExitCode::SUCCESS)
}

fn copied(done: &Done, common: &Common) -> Outcome<()> {
    let Done { from, to, bytes } = done;
    common.say(
        || format!("{from} -> {to}"),
        || json!({"from": from, "to": to, "bytes": bytes}),
    )
}

fn jobs(parallel: &Parallel) -> Outcome<usize> {
    match parallel.jobs {
        jobs @ 1..=PARALLEL_MAX => Ok(jobs),
        _ => Err(format!("--jobs is 1 to {PARALLEL_MAX}")),
    }
}

/// Copies a tree: all of it, or what changed; with `delete` also deletes.
async fn tree(
    places: &(Place, Place),
    (changed, delete): (bool, bool),
    parallel: &Parallel,
    common: &Common,
) -> Outcome<ExitCode> {
    let jobs = jobs(parallel)?;
    if let Place::Local(folder) = &places.0
        && !folder.is_dir()
    {
        return Err(format!("{}: is no folder", folder.display()));
    }
    let (client, host) = (common.client()?, Host::real());
    let plan = plan(&client, (&places.0, &places.1), changed, delete).await?;
    let progress = Arc::new(Progress::default());
    let mut failures = plan.refused.clone();
    for (_, _, size) in &plan.copies {
        progress.expect(*size);
    }
    let copies = futures::stream::iter(&plan.copies)
        .map(|(from, to, _)| copy(&client, &host, (from, to), &progress))
        .buffer_unordered(jobs)
        .for_each(|done| {
            let said = done.and_then(|done| copied(&done, common));
            failures.extend(said.err());
            std::future::ready(())
        });
    progress.clone().shown(&host, copies).await;
    // Only after everything is there: what is deleted may be all that there was of it.
    if failures.is_empty() {
        for place in &plan.deletes {
            let gone = match place {
                Place::Remote(remote) => client.delete(remote).await,
                Place::Local(path) => host.disk.remove(path).map_err(|error| error.to_string()),
            };
            let said = gone.and_then(|()| deleted(place, common));
            failures.extend(said.err().map(|error| format!("{place}: {error}")));
        }
    }
    Ok(ended(&failures))
}

fn deleted(place: &impl std::fmt::Display, common: &Common) -> Outcome<()> {
    let name = place.to_string();
    common.say(|| format!("deleted {name}"), || json!({"deleted": name}))
}

async fn rm(
    name: &str,
    recursive: bool,
    parallel: &Parallel,
    common: &Common,
) -> Outcome<ExitCode> {
    let jobs = jobs(parallel)?;
    let client = common.client()?;
    if !recursive {
        let name = object(name)?;
        client.delete(&name).await?;
        deleted(&name, common)?;
        return Ok(ExitCode::SUCCESS);
    }
    let from = Remote::parse(name)?;
    let mut names = Vec::new();
    let mut each = |item: Listed| {
        names.push(from.with_key(item.key));
        Ok(())
    };
    client.list(&from, true, &mut each).await?;
    let mut failures = Vec::new();
    let client = &client;
    futures::stream::iter(names)
        .map(|name| async move {
            let gone = client.delete(&name).await;
            gone.map_err(|error| format!("{name}: {error}"))
                .map(|()| name)
        })
        .buffer_unordered(jobs)
        .for_each(|gone| {
            let said = gone.and_then(|name| deleted(&name, common));
            failures.extend(said.err());
            std::future::ready(())
        })
        .await;
    Ok(ended(&failures))
}

/// Says what went wrong.
fn ended(failures: &[String]) -> ExitCode {
    for failure in failures {
        eprintln!("trestle: {failure}");
    }
    ExitCode::from(u8::from(!failures.is_empty()))
}
