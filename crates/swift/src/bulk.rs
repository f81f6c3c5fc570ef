//! Bulk operations: many deletes, and the unpacking of an archive, in one request.

use crate::archive::{Compression, Entry, Event, Unpacker, climbs};
use crate::call::{Call, Input, Place, text};
use crate::container;
use crate::delete::remove;
use crate::fault::{Fault, Outcome, page, status_line};
use crate::listing::{self, Format, REPORTS};
use crate::object::writable;
use crate::patience;
use crate::report::Report;
use crate::rights::Wish;
use crate::target::{quote, unquote};
use crate::write;
use futures::channel::mpsc;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use http::Response;
use serde_json::json;
use std::collections::BTreeSet;
use trestle_core::Error;
use trestle_http::Body;
use trestle_store::VersionRef;

/// Most deletes of one request.
pub(crate) const DELETES_MAX: usize = 10_000;
/// How many objects go at once: their commits share a flush.
const DELETES_AT_ONCE: usize = 16;
/// Most failures after which a request ends.
pub(crate) const FAILED_MAX: usize = 1000;
/// Most containers that one archive makes.
pub(crate) const CONTAINERS_MAX: usize = 10_000;
/// Longest line of a list of names.
const LINE_MAX: usize = 2 * 3 * (1024 + 256 + 2);
/// Largest list of names.
const LIST_MAX: usize = 16 << 20;

/// A bulk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Delete,
    Extract(Compression),
}

/// The bulk operation that a request asks for; none when it asks for none.
pub(crate) fn asked(call: &Call) -> Option<Outcome<Operation>> {
    if call.query.has("bulk-delete") && ["POST", "DELETE"].contains(&call.method.as_str()) {
        return Some(Ok(Operation::Delete));
    }
    let archive = call
        .query
        .get("extract-archive")
        .filter(|_| call.method == "PUT")?;
    let unsupported = || Fault::html(400, "Unsupported archive format");
    Some(
        Compression::named(archive)
            .map(Operation::Extract)
            .ok_or_else(unsupported),
    )
}

/// Answers a bulk operation: always 200, with what became of it in the body.
pub(crate) async fn answer(
    call: &Call,
    operation: Operation,
    input: Input,
) -> Outcome<Response<Body>> {
    let format = listing::best(&call.headers, &REPORTS);
    let Some(format) = format else {
        let mut report = Report::new("delete", 406);
        report.body = page(406);
        let format = Format::Plain;
        return Ok(text(200, format.media_type(), report.render(format)));
    };
    let call = call.clone();
    let work = async move {
        let report = match operation {
            Operation::Delete => delete(&call, input).await,
            Operation::Extract(compression) => extract(&call, compression, input).await,
        };
        report.render(format).into()
    };
    Ok(patience::answer(200, format.media_type(), work.boxed()).await)
}

/// What became of many deletes.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) deleted: u64,
    pub(crate) not_found: u64,
    pub(crate) errors: Vec<(String, String)>,
    pub(crate) server_failed: bool,
}

impl Deleted {
    fn count(&mut self, name: &str, outcome: Outcome<()>) {
        match outcome {
            Ok(()) => self.deleted += 1,
            Err(fault) if fault.status() == 404 => self.not_found += 1,
            Err(fault) => {
                self.server_failed |= fault.status() >= 500;
                self.errors.push((quote(name), status_line(fault.status())));
            }
        }
    }

    /// The report of it.
    pub(crate) fn into_report(self) -> Report {
        let status = match (self.errors.is_empty(), self.deleted + self.not_found) {
            (false, _) if self.server_failed => 502,
            (false, _) | (true, 0) => 400,
            _ => 200,
        };
        let mut report = Report::new("delete", status);
        if self.errors.is_empty() && status == 400 {
            "Invalid bulk delete.".clone_into(&mut report.body);
        }
        report.fields = vec![
            ("Number Deleted", json!(self.deleted)),
            ("Number Not Found", json!(self.not_found)),
        ];
        report.errors = self.errors;
        report
    }
}

/// Deletes `container/object`, or a container.
pub(crate) async fn delete_one(call: &Call, name: &str, version: VersionRef, done: &mut Deleted) {
    let outcome = attempt(call, name, version).await;
    done.count(name, outcome);
}

async fn attempt(call: &Call, name: &str, version: VersionRef) -> Outcome<()> {
    let (container, object) = name.split_once('/').unwrap_or((name, ""));
    match object.is_empty() {
        true => {
            let asking = call.again("DELETE", &call.account, container, "");
            container::answer(&asking).await.map(drop)
        }
        false => delete_object(call, container, object, version).await,
    }
}

async fn delete_object(
    call: &Call,
    container: &str,
    object: &str,
    version: VersionRef,
) -> Outcome<()> {
    let place = Place {
        account: call.account.clone(),
        container: container.to_owned(),
        object: object.to_owned(),
    };
    let asking = call.again("DELETE", &place.account, container, object);
    let container = writable(&asking, &place).await?;
    if version == VersionRef::Current && crate::legacy::delete(call, &container, &place).await? {
        return Ok(());
    }
    let outcome = remove(call, &container, &place, version).await?;
    match outcome.removed.is_none() && version == VersionRef::Current {
        true => Err(Fault::new(404)),
        false => Ok(()),
    }
}

/// The names of a list: a line each, encoded.
async fn names(call: &Call, input: Input) -> Outcome<Vec<Outcome<String>>> {
    if input.length.is_none() && !call.headers.contains_key("transfer-encoding") {
        return Err(Fault::new(411));
    }
    let list = input.whole(LIST_MAX).await?;
    let mut names = Vec::new();
    for line in list.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if line.len() > LINE_MAX {
            return Err(Fault::html(400, "Invalid File Name"));
        }
        if names.len() == DELETES_MAX {
            let text = format!("Maximum Bulk Deletes: {DELETES_MAX} per request");
            return Err(Fault::html(413, text));
        }
        let text = String::from_utf8_lossy(line);
        let name = std::str::from_utf8(line).map_err(|_| Fault::text(412, text.clone()));
        names.push(name.and_then(|name| unquote(name).map_err(|_| Fault::text(412, text))));
    }
    Ok(names)
}

async fn delete(call: &Call, input: Input) -> Report {
    let mut done = Deleted::default();
    let kind = call.some_header("content-type").ok().flatten();
    let refused = match kind {
        Some(kind) if !kind.starts_with("text/plain") => Err(Fault::new(406)),
        _ => names(call, input).await,
    };
    let names = match refused {
        Ok(names) => names,
        Err(fault) => {
            let mut report = done.into_report();
            (report.status, report.body) = (fault.status(), fault.body());
            return report;
        }
    };
    let is_container = |name: &str| !name.trim_matches('/').contains('/');
    let (mut later, mut objects) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            Err(fault) => done.errors.push((quote(&fault.body()), status_line(412))),
            Ok(name) if is_container(&name) => later.push(name),
            Ok(name) => objects.push(name),
        }
    }
    for some in objects.chunks(DELETES_AT_ONCE) {
        if done.errors.len() >= FAILED_MAX {
            return too_many(done);
        }
        let some = some.iter().map(|name| name.trim_start_matches('/'));
        let attempts = some
            .clone()
            .map(|name| attempt(call, name, VersionRef::Current));
        let outcomes = join_all(attempts).await;
        for (name, outcome) in some.zip(outcomes) {
            done.count(name, outcome);
        }
    }
    if done.errors.len() >= FAILED_MAX {
        return too_many(done);
    }
    // Containers can only go when their objects have gone.
    for name in later {
        let name = name.trim_matches('/');
        if name.is_empty() {
            continue;
        }
        delete_one(call, name, VersionRef::Current, &mut done).await;
        if done.errors.len() >= FAILED_MAX {
            return too_many(done);
        }
    }
    done.into_report()
}

fn too_many(done: Deleted) -> Report {
    let mut report = done.into_report();
    report.status = 400;
    "Max delete failures exceeded".clone_into(&mut report.body);
    report
}

/// What became of an archive.
#[derive(Default)]
struct Extracted {
    created: u64,
    errors: Vec<(String, String)>,
    server_failed: bool,
    containers: BTreeSet<String>,
    made: usize,
}

async fn extract(call: &Call, compression: Compression, input: Input) -> Report {
    let mut done = Extracted::default();
    let outcome = match input.length.is_none() && !call.headers.contains_key("transfer-encoding") {
        true => Err(Fault::new(411)),
        false => unpack(call, compression, input, &mut done).await,
    };
    let status = match (&outcome, done.errors.is_empty(), done.created) {
        (Err(fault), ..) => fault.status(),
        (_, false, _) if done.server_failed => 502,
        (_, false, _) | (_, true, 0) => 400,
        _ => 201,
    };
    let mut report = Report::new("extract", status);
    report.body = match outcome {
        Err(fault) => fault.body(),
        Ok(()) if done.errors.is_empty() && done.created == 0 => {
            "Invalid Tar File: No Valid Files".to_owned()
        }
        Ok(()) => String::new(),
    };
    report.fields = vec![("Number Files Created", json!(done.created))];
    report.errors = done.errors;
    report
}

async fn unpack(
    call: &Call,
    compression: Compression,
    mut input: Input,
    done: &mut Extracted,
) -> Outcome<()> {
    let base = [&call.target.container, &call.target.object];
    let base: Vec<&str> = base
        .into_iter()
        .flatten()
        .map(|part| part.trim_end_matches('/'))
        .collect();
    let base = base.join("/");
    let mut unpacker = Unpacker::new(compression);
    loop {
        while let Some(event) = unpacker.next()? {
            let Event::File(entry) = event else { continue };
            one(call, &base, entry, &mut unpacker, &mut input, done).await?;
            if done.errors.len() >= FAILED_MAX {
                return Ok(());
            }
        }
        match input.stream.next().await {
            Some(piece) => unpacker.push(piece?),
            None if unpacker.is_whole() => return Ok(()),
            None => return Err(Fault::text(400, "Invalid Tar File: unexpected end of data")),
        }
    }
}

/// One file: its bytes go on to the store while they are unpacked.
async fn one(
    call: &Call,
    base: &str,
    entry: Entry,
    unpacker: &mut Unpacker,
    input: &mut Input,
    done: &mut Extracted,
) -> Outcome<()> {
    let path = match base.is_empty() {
        true => entry.name.clone(),
        false => format!("{base}/{}", entry.name),
    };
    let target = path
        .split_once('/')
        .filter(|(_, object)| !object.is_empty());
    let Some((container, object)) = target else {
        // A file beside the containers is passed over.
        return skip(unpacker, input).await;
    };
    let refused = match climbs(&entry.name) {
        true => Some(400),
        false if entry.size > crate::object::SIZE_MAX => Some(413),
        false => None,
    };
    if let Some(status) = refused {
        done.errors.push((quote(&path), status_line(status)));
        return skip(unpacker, input).await;
    }
    let made = ensure(call, container, done).await;
    if let Err(fault) = &made
        && fault.status() == 401
    {
        return Err(Fault::new(401));
    }
    let place = Place {
        account: call.account.clone(),
        container: container.to_owned(),
        object: object.to_owned(),
    };
    match put(call, &place, &entry, unpacker, input).await? {
        Ok(()) => done.created += 1,
        Err(fault) => {
            if let Err(why) = made {
                done.errors
                    .push((quote(container), status_line(why.status())));
            }
            done.server_failed |= fault.status() >= 500;
            done.errors
                .push((quote(&path), status_line(fault.status())));
            if fault.status() == 401 {
                return Err(Fault::new(401));
            }
        }
    }
    Ok(())
}

async fn skip(unpacker: &mut Unpacker, input: &mut Input) -> Outcome<()> {
    loop {
        match next(unpacker, input).await? {
            Some(Event::End) => return Ok(()),
            Some(_) => {}
            None => return Err(Fault::text(400, "Invalid Tar File: unexpected end of data")),
        }
    }
}

async fn next(unpacker: &mut Unpacker, input: &mut Input) -> Outcome<Option<Event>> {
    loop {
        if let Some(event) = unpacker.next()? {
            return Ok(Some(event));
        }
        match input.stream.next().await {
            Some(piece) => unpacker.push(piece?),
            None => return Ok(None),
        }
    }
}

async fn ensure(call: &Call, container: &str, done: &mut Extracted) -> Outcome<()> {
    if !done.containers.insert(container.to_owned()) {
        return Ok(());
    }
    if call.container(&call.account, container).await?.is_some() {
        return Ok(());
    }
    let name = call.bucket_name(&call.account, container)?;
    call.may(Wish {
        account: &call.account,
        container: Some(container),
        object: None,
        reads: false,
        manages: false,
    })
    .await?;
    let ensured = crate::account::ensure(call, &call.account).await?;
    if ensured.closed {
        return Err(Fault::new(503));
    }
    if container::create(call, &name, None).await? {
        done.made += 1;
        if done.made > CONTAINERS_MAX {
            let text = format!("More than {CONTAINERS_MAX} containers to create from tar.");
            return Err(Fault::html(400, text));
        }
    }
    Ok(())
}

/// Stores one file. The outer failure is the archive's, the inner one the file's.
async fn put(
    call: &Call,
    place: &Place,
    entry: &Entry,
    unpacker: &mut Unpacker,
    input: &mut Input,
) -> Outcome<Outcome<()>> {
    let mut asking = call.again("PUT", &place.account, &place.container, &place.object);
    for (name, value) in &call.headers {
        let name = name.as_str();
        if name.starts_with("x-object-meta-") || ["x-delete-at", "x-delete-after"].contains(&name) {
            asking.headers.insert(value_name(name), value.clone());
        }
    }
    for (name, value) in &entry.headers {
        crate::call::set(&mut asking.headers, name, value);
    }
    let ready = match writable(&asking, place).await {
        Ok(container) => write::asked(&asking, &place.object).map(|write| (container, write)),
        Err(fault) => Err(fault),
    };
    let (container, write) = match ready {
        Ok(ready) => ready,
        Err(fault) => {
            skip(unpacker, input).await?;
            return Ok(Err(fault));
        }
    };
    let (mut sender, receiver) = mpsc::channel(1);
    let file = Input {
        length: Some(entry.size),
        stream: receiver.boxed(),
    };
    let feeding = async {
        loop {
            match next(unpacker, input).await {
                Ok(Some(Event::Data(bytes))) => {
                    use futures::SinkExt;
                    // When the store has refused, the rest is passed over.
                    let _refused = sender.send(Ok(bytes)).await;
                }
                Ok(Some(Event::End)) => {
                    sender.close_channel();
                    return Ok(());
                }
                Ok(Some(Event::File(_)) | None) => {
                    use futures::SinkExt;
                    let cut = Error::new(trestle_core::ErrorKind::IncompleteBody, "cut off");
                    let _refused = sender.send(Err(cut)).await;
                    return Err(Fault::text(400, "Invalid Tar File: unexpected end of data"));
                }
                Err(fault) => return Err(fault),
            }
        }
    };
    let storing = write::store(&asking, &container, place, write, file);
    let (fed, stored) = futures::join!(feeding, storing);
    fed?;
    Ok(stored.map(drop))
}

fn value_name(name: &str) -> http::header::HeaderName {
    http::header::HeaderName::from_bytes(name.as_bytes())
        .unwrap_or(http::header::HeaderName::from_static("x-unknown"))
}
