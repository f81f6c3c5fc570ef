//! Static large objects: putting a manifest, whose segments are looked at first, and deleting one
//! with its segments.

use crate::bulk;
use crate::call::{Call, Input, Place, text};
use crate::container::Container;
use crate::facts::{self, LARGE};
use crate::fault::{Fault, Outcome};
use crate::large;
use crate::listing::{self, Format, REPORTS};
use crate::object::writable;
use crate::patience::{self, Done};
use crate::read;
use crate::report::Report;
use crate::slo::{self, Asked, MANIFEST_MAX};
use crate::symlink::asked_version;
use crate::target::{container_and_object, quote};
use crate::write::{self, Write};
use futures::FutureExt;
use http::Response;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use trestle_core::{AccountId, BucketName, ByteRange, Key, Timestamp};
use trestle_http::Body;
use trestle_store::{ObjectSegment, Segment, VersionRef, joined_digest};

/// Answers a PUT of a manifest.
pub(crate) async fn put(call: &Call, input: Input) -> Outcome<Response<Body>> {
    let place = call.place();
    if input
        .length
        .is_some_and(|length| length > MANIFEST_MAX as u64)
    {
        return Err(too_large());
    }
    let container = writable(call, &place).await?;
    write::check_length(call, &input)?;
    let body = input.whole(MANIFEST_MAX).await.map_err(|error| {
        match error.kind() == trestle_core::ErrorKind::TooLarge {
            true => too_large(),
            false => error.into(),
        }
    })?;
    let write = write::asked(call, &place.object)?;
    if !call.query.is_true("heartbeat") {
        return store(call, &container, &place, write, &body).await;
    }
    // The status is told at once, what became of it in the body.
    let format = format_of(call);
    let call = call.clone();
    let work = async move {
        let (report, instead) = reported(&call, &container, &place, write, &body).await;
        Done {
            report: report.render(format),
            instead,
            expected: true,
        }
    };
    Ok(patience::answer(202, format.media_type(), work.boxed()).await)
}

/// What became of a manifest, and what is better answered at once.
async fn reported(
    call: &Call,
    container: &Container,
    place: &Place,
    write: Write,
    body: &[u8],
) -> (Report, Option<Fault>) {
    let mut report = Report::new("upload", 201);
    match prepared(call, place, write, body).await {
        Ok(ready) => match finish(call, container, place, ready).await {
            Ok((response, etag)) => {
                report.status = response.status().as_u16();
                report.fields.push(("Etag", json!(etag)));
                if let Some(modified) = response.headers().get("last-modified") {
                    let modified = modified.to_str().unwrap_or_default();
                    report.fields.push(("Last Modified", json!(modified)));
                }
            }
            Err(fault) => (report.status, report.body) = (fault.status(), fault.body()),
        },
        Err(Refused::Segments(errors)) => {
            (report.status, report.errors) = (400, errors);
            report.body = crate::fault::words(400);
        }
        Err(Refused::Other(fault)) => {
            (report.status, report.body) = match fault.status() {
                422 => (422, crate::fault::words(422)),
                status => (status, fault.body()),
            };
            // What is wrong with the request itself needs no waiting.
            return (report, Some(fault).filter(|fault| fault.status() != 422));
        }
    }
    (report, None)
}

fn too_large() -> Fault {
    Fault::html(413, format!("Manifest File > {MANIFEST_MAX} bytes"))
}

fn format_of(call: &Call) -> Format {
    listing::best(&call.headers, &REPORTS).unwrap_or(Format::Plain)
}

/// Why a manifest was not taken.
enum Refused {
    /// Names of segments, and what is wrong with each.
    Segments(Vec<(String, String)>),
    Other(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Refused::Other(fault)
    }
}

struct Ready {
    write: Write,
    segments: Vec<Segment>,
    etag: String,
}

/// Puts a manifest in the form in which a client writes it.
pub(crate) async fn store(
    call: &Call,
    container: &Container,
    place: &Place,
    write: Write,
    body: &[u8],
) -> Outcome<Response<Body>> {
    match prepared(call, place, write, body).await {
        Ok(ready) => Ok(finish(call, container, place, ready).await?.0),
        Err(Refused::Other(fault)) => Err(fault),
        Err(Refused::Segments(errors)) => {
            let format = format_of(call);
            let mut report = Report::new("upload", 400);
            report.errors = errors;
            Ok(text(
                400,
                format.media_type(),
                errors_alone(&report, format),
            ))
        }
    }
}

/// Without a heartbeat, the report is of errors alone.
fn errors_alone(report: &Report, format: Format) -> String {
    match format {
        Format::Json => json!({"Errors": report.errors}).to_string(),
        Format::Plain => {
            let whole = report.render(format);
            let at = whole.find("Errors:").unwrap_or(0);
            whole.get(at..).unwrap_or_default().to_owned()
        }
        _ => report.render(format),
    }
}

async fn finish(
    call: &Call,
    container: &Container,
    place: &Place,
    ready: Ready,
) -> Outcome<(Response<Body>, String)> {
    let Ready {
        mut write,
        segments,
        etag,
    } = ready;
    write.etag = None;
    let shown = slo::md5_hex(slo::to_json(&segments, false).as_bytes());
    let documents = &mut write.properties.documents;
    documents.insert(LARGE.to_owned(), shown);
    let outcome = write::store_segments(call, container, place, write, &segments).await?;
    let response = write::written(container, &outcome, &etag, true);
    Ok((response, read::shown_tag(container, &etag, true)))
}

async fn prepared(call: &Call, place: &Place, write: Write, body: &[u8]) -> Result<Ready, Refused> {
    let own = format!("/{}/{}", place.container, place.object);
    let asked = slo::parse(body, &own)?;
    let mut segments = Vec::new();
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, Result<Facts, u16>> = BTreeMap::new();
    let last = asked.len().saturating_sub(1);
    for (index, segment) in asked.into_iter().enumerate() {
        match segment {
            Asked::Data(data) => segments.push(Segment::Inline(data.into())),
            Asked::Object {
                path,
                etag,
                size,
                range,
            } => {
                if !seen.contains_key(&path) {
                    let facts = facts_of(call, &place.account, &path).await;
                    seen.insert(path.clone(), facts.map_err(|fault| fault.status()));
                }
                let facts = match seen.get(&path) {
                    Some(Ok(facts)) => facts,
                    Some(Err(status)) => {
                        let status = crate::fault::status_line(*status);
                        problems.push((quote(&path), status));
                        continue;
                    }
                    None => continue,
                };
                let place = (&place.account, path.as_str());
                let found = check(facts, place, (etag, size, range), index == last);
                match found {
                    Ok(segment) => segments.push(Segment::Object(segment)),
                    Err(found) => {
                        problems.extend(found.into_iter().map(|what| (quote(&path), what)));
                    }
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(Refused::Segments(problems));
    }
    let etag = joined_digest(&segments).hex();
    if write.etag.as_ref().is_some_and(|asked| *asked != etag) {
        return Err(Fault::new(422).into());
    }
    Ok(Ready {
        write,
        segments,
        etag,
    })
}

/// What a segment is.
struct Facts {
    bytes: u64,
    hash: String,
    content_type: String,
    modified: Timestamp,
    sub_slo: bool,
}

async fn facts_of(call: &Call, account: &trestle_core::AccountId, path: &str) -> Outcome<Facts> {
    let (container, object) =
        container_and_object(path.trim_start_matches('/')).ok_or_else(|| Fault::new(404))?;
    let place = Place {
        account: account.clone(),
        container,
        object,
    };
    let asking = call.again("HEAD", account, &place.container, &place.object);
    let found = asking.follow(&place, VersionRef::Current).await?;
    let object = &found.object;
    Ok(Facts {
        bytes: object.length(),
        hash: object.content_tag(),
        content_type: facts::content_type(object).to_owned(),
        modified: object.modified,
        sub_slo: object.has_segments(),
    })
}

type Expected = (Option<String>, Option<u64>, Option<ByteRange>);

/// A segment as it is stored, when it is what the client says.
fn check(
    facts: &Facts,
    (account, path): (&AccountId, &str),
    (etag, size, range): Expected,
    last: bool,
) -> Result<ObjectSegment, Vec<String>> {
    let mut problems = Vec::new();
    let mut length = facts.bytes;
    let mut kept = None;
    if let Some(range) = range {
        match range.resolve(facts.bytes) {
            Ok(resolved) => {
                length = resolved.len();
                kept = (resolved.len() != facts.bytes).then_some(resolved);
            }
            Err(_) => problems.push("Unsatisfiable Range".to_owned()),
        }
    }
    if length < 1 && !last {
        problems.push("Too small; each segment must be at least 1 byte.".to_owned());
    }
    if size.is_some_and(|size| size != facts.bytes) {
        problems.push("Size Mismatch".to_owned());
    }
    if etag.is_some_and(|etag| etag.trim_matches('"') != facts.hash) {
        problems.push("Etag Mismatch".to_owned());
    }
    let names = container_and_object(path.trim_start_matches('/'));
    let named = names.and_then(|(container, object)| {
        let bucket = BucketName::in_account(account, &container).ok()?;
        Some((bucket, Key::parse(object).ok()?))
    });
    match named {
        Some((bucket, key)) if problems.is_empty() => Ok(ObjectSegment {
            bucket,
            key,
            length: facts.bytes,
            tag: facts.hash.clone(),
            media_type: facts.content_type.clone(),
            modified: facts.modified,
            range: kept,
            nested: facts.sub_slo,
        }),
        _ => Err(problems),
    }
}

/// Most names that one delete of a manifest leads to.
const NAMES_MAX: usize = 10 * slo::SEGMENTS_MAX;

/// Answers a DELETE of a manifest and its segments.
pub(crate) async fn delete(call: &Call) -> Outcome<Response<Body>> {
    if call.query.is_true("async") {
        return crate::later::answer(call).await;
    }
    let Some(format) = listing::best(&call.headers, &REPORTS) else {
        return Err(Fault::new(406));
    };
    let call = call.clone();
    let work = async move {
        match deleted(&call).await {
            Ok(report) => report.render(format).into(),
            Err(fault) => {
                let mut report = Report::new("delete", fault.status());
                report.body = fault.body();
                Done {
                    report: report.render(format),
                    instead: Some(fault),
                    expected: false,
                }
            }
        }
    };
    Ok(patience::answer(200, format.media_type(), work.boxed()).await)
}

async fn deleted(call: &Call) -> Outcome<Report> {
    let place = call.place();
    let container = call.container(&place.account, &place.container).await?;
    let version = asked_version(call, container.as_ref())?;
    let mut report = bulk::Deleted::default();
    let own = format!("/{}/{}", place.container, place.object);
    let mut manifests = vec![(own.clone(), version)];
    let mut names: Vec<(String, VersionRef)> = Vec::new();
    let mut queue = VecDeque::from([(own, version)]);
    while let Some((name, version)) = queue.pop_front() {
        match segments_of(call, &name, version).await {
            Ok(segments) => {
                for segment in segments {
                    let Segment::Object(object) = segment else {
                        continue;
                    };
                    let path = slo::path_of(&object);
                    match object.nested {
                        true => {
                            manifests.push((path.clone(), VersionRef::Current));
                            queue.push_back((path, VersionRef::Current));
                        }
                        false => names.push((path, VersionRef::Current)),
                    }
                }
            }
            Err(fault) => {
                manifests.retain(|(other, _)| *other != name);
                match fault.status() {
                    404 => report.not_found += 1,
                    _ => report.errors.push((quote(&name), fault.body())),
                }
            }
        }
        if names.len() + queue.len() > NAMES_MAX {
            return Err(Fault::html(
                400,
                "Too many buffered slo segments to delete.",
            ));
        }
    }
    manifests.reverse();
    names.extend(manifests);
    for (name, version) in names {
        bulk::delete_one(call, name.trim_start_matches('/'), version, &mut report).await;
    }
    Ok(report.into_report())
}

/// What a large object's manifest lists.
///
/// # Errors
/// 404; 400 for what is none.
pub(crate) async fn segments_of(
    call: &Call,
    name: &str,
    version: VersionRef,
) -> Outcome<Vec<Segment>> {
    let (container, object) = container_and_object(name).ok_or_else(|| Fault::new(404))?;
    let place = Place {
        account: call.account.clone(),
        container,
        object,
    };
    let found = call
        .follow(&place, version)
        .await
        .map_err(|fault| match fault.status() {
            404 => Fault::html(404, "SLO manifest not found"),
            401 => Fault::html(401, "401 Unauthorized"),
            _ => Fault::html(fault.status(), "Unable to load SLO manifest or segment."),
        })?;
    if facts::large(&found.object).is_none() {
        return Err(Fault::html(400, "Not an SLO manifest"));
    }
    large::segments(call, &found).await
}
