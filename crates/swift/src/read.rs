//! Reading an object: what it looks like through its manifest or link, conditions, ranges, parts.

use crate::call::{Call, empty, set};
use crate::container::Container;
use crate::facts;
use crate::fault::{Fault, Outcome};
use crate::large::{self, Shape};
use crate::metadata::{self, Level};
use crate::slo::{self, md5_hex};
use crate::symlink::{self, Found};
use crate::{times, versions};
use futures::StreamExt;
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;
use trestle_core::{
    ByteRange, Error, ErrorKind, Precondition, ResolvedRange, Tag, TagMatch, Validators, Verdict,
};
use trestle_http::{Body, ByteRanges, IfRange, RangeHeader, parse_if_range, parse_range};
use trestle_store::{Manifest, Versioning};

/// Most ranges of one request.
const RANGES_MAX: usize = 50;
/// Most ranges that overlap the one before.
const OVERLAPS_MAX: usize = 3;
/// Most ranges that begin before the one before.
const DECREASES_MAX: usize = 8;

/// An object as a reader sees it.
pub(crate) struct View {
    pub(crate) found: Found,
    pub(crate) shape: Shape,
    pub(crate) length: u64,
    /// Without quotes.
    pub(crate) etag: String,
    /// Whether the tag is shown in quotes.
    pub(crate) quoted: bool,
    pub(crate) content_type: String,
    /// Bytes that are shown instead of the object's own.
    pub(crate) instead: Option<String>,
}

/// How much of an object's nature is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// Links and manifests.
    All,
    /// Links, not manifests.
    Links,
    /// Links, not manifests; those of static large objects in the form in which they are put.
    LinksRaw,
    /// Nothing.
    Nothing,
}

impl Through {
    /// What a request asks for.
    pub(crate) fn of(call: &Call) -> Self {
        let get = |name| call.query.get(name);
        match (get("symlink"), get("multipart-manifest"), get("format")) {
            (Some("get"), ..) => Through::Nothing,
            (_, Some("get"), Some("raw")) => Through::LinksRaw,
            (_, Some("get"), _) => Through::Links,
            _ => Through::All,
        }
    }
}

impl Call {
    /// An object as the caller sees it.
    pub(crate) async fn view(
        &self,
        place: &crate::call::Place,
        version: trestle_store::VersionRef,
        through: Through,
    ) -> Outcome<View> {
        let found = match through {
            Through::Nothing => self.look(place, version).await?,
            _ => self.follow(place, version).await?,
        };
        let object = &found.object;
        let mut view = View {
            shape: Shape::Plain,
            length: object.stored_length(),
            etag: facts::hash(object),
            quoted: facts::of_parts(object),
            content_type: facts::content_type(object).to_owned(),
            instead: None,
            found,
        };
        if through == Through::Nothing && facts::link(&view.found.object).is_some() {
            return Ok(view);
        }
        let whole = matches!(through, Through::All | Through::Nothing);
        if view.found.object.has_segments() {
            let segments = large::segments(self, &view.found).await?;
            if whole {
                view.shape = Shape::Slo(large::joined(self, segments));
            } else {
                let raw = through == Through::LinksRaw;
                let text = slo::to_json(&segments, raw);
                if !raw {
                    "application/json; charset=utf-8".clone_into(&mut view.content_type);
                }
                (view.length, view.etag) = (text.len() as u64, md5_hex(text.as_bytes()));
                view.instead = Some(text);
            }
        } else if let Some(Manifest::Prefix { bucket, prefix, .. }) = &view.found.object.manifest
            && whole
        {
            view.shape = Shape::Dlo(large::listed(self, bucket, prefix).await?);
        }
        if let Shape::Slo(joined) | Shape::Dlo(joined) = &view.shape {
            let tag = joined.digest().hex();
            (view.length, view.etag, view.quoted) = (joined.length(), tag, true);
        }
        Ok(view)
    }
}

/// The conditions of a read: lists of tags with or without quotes.
///
/// # Errors
/// 400 for what is not text.
pub(crate) fn precondition(headers: &HeaderMap) -> Outcome<Precondition> {
    let tags = |name: &str| -> Outcome<Option<TagMatch>> {
        let Some(text) = metadata::text(headers, name)? else {
            return Ok(None);
        };
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let tags: Vec<&str> = parts.collect();
        if tags.contains(&"*") {
            return Ok(Some(TagMatch::Any));
        }
        let tag = |text: &&str| Tag {
            opaque: text.trim_matches('"').to_owned(),
            weak: false,
        };
        Ok(Some(TagMatch::Tags(tags.iter().map(tag).collect())))
    };
    let mut dates = HeaderMap::new();
    for name in ["if-modified-since", "if-unmodified-since"] {
        if let Some(value) = headers.get(name) {
            dates.insert(name, value.clone());
        }
    }
    let dates = trestle_http::parse_precondition(&dates)?;
    Ok(Precondition {
        if_match: tags("if-match")?,
        if_none_match: tags("if-none-match")?,
        ..dates
    })
}

/// Every condition counts here, also a date beside a tag.
pub(crate) fn verdict(precondition: &Precondition, current: &Validators) -> Verdict {
    let dates = Precondition {
        if_match: None,
        ..precondition.clone()
    };
    match precondition.for_read(Some(current)) {
        Verdict::Proceed => dates.for_read(Some(current)),
        refused => refused,
    }
}

/// The Range header without the spaces that clients put anywhere in it.
pub(crate) fn spaceless(headers: &HeaderMap) -> HeaderMap {
    let mut found = HeaderMap::new();
    for value in headers.get_all("range") {
        let text = value.to_str().unwrap_or_default();
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if let Some(value) = metadata::value(&text) {
            found.append("range", value);
        }
    }
    found
}

/// The ranges that are served: none for the whole, and nothing that can be served for 416.
fn ranges(headers: &HeaderMap, length: u64) -> Option<Vec<ResolvedRange>> {
    let asked = match parse_range(&spaceless(headers)) {
        RangeHeader::Absent | RangeHeader::Malformed => return None,
        RangeHeader::One(range) => vec![range],
        RangeHeader::Several(ranges) => ranges,
    };
    let mut found: Vec<ResolvedRange> = Vec::new();
    for range in &asked {
        if let Ok(resolved) = range.resolve(length) {
            found.push(resolved);
        } else if matches!(range, ByteRange::Suffix(count) if *count > 0 && length == 0) {
            return None;
        }
    }
    let pairs = || found.iter().zip(found.iter().skip(1));
    let overlaps = pairs()
        .filter(|(a, b)| a.start < b.end && b.start < a.end)
        .count();
    let decreases = pairs().filter(|(a, b)| b.start < a.start).count();
    if asked.len() > RANGES_MAX || overlaps > OVERLAPS_MAX || decreases > DECREASES_MAX {
        found.clear();
    }
    Some(found)
}

/// Whether ranges are of what the client has already (RFC 9110 §13.1.5): a tag with or without quotes.
/// By a date nobody can know.
fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    match parse_if_range(headers) {
        IfRange::Absent => true,
        IfRange::Tag(tag) => !tag.weak && tag.opaque == etag,
        IfRange::Bare(tag) => tag == etag,
        IfRange::Malformed | IfRange::Date(_) => false,
    }
}

/// The headers that describe an object.
pub(crate) fn describe(call: &Call, view: &View, headers: &mut HeaderMap) {
    let object = &view.found.object;
    set(headers, "content-type", &view.content_type);
    set(
        headers,
        "etag",
        &shown_tag(&view.found.container, &view.etag, view.quoted),
    );
    set(
        headers,
        "last-modified",
        &times::last_modified(object.modified),
    );
    set(
        headers,
        "x-timestamp",
        &times::x_timestamp(facts::timestamp(object, view.found.container.bucket.id)),
    );
    set(headers, "accept-ranges", "bytes");
    for name in crate::write::KEPT {
        if let Some(value) = object.representation.get(name) {
            set(headers, name, value);
        }
    }
    metadata::show(&object.metadata, Level::Object, headers);
    if let Some(expires) = object.expires {
        set(headers, "x-delete-at", &expires.seconds().to_string());
    }
    if facts::large(object).is_some() {
        set(headers, "x-static-large-object", "True");
        if !matches!(view.shape, Shape::Plain) {
            set(headers, "x-manifest-etag", &facts::hash(object));
        }
    }
    if let Some(manifest) = facts::manifest(object) {
        set(headers, "x-object-manifest", manifest);
    }
    if let Some(link) = facts::link(object) {
        set(headers, "x-symlink-target", &link.target);
        if let Some(account) = &link.account {
            set(headers, "x-symlink-target-account", account);
        }
        if let Some(etag) = &link.etag {
            set(headers, "x-symlink-target-etag", etag);
            set(headers, "x-symlink-target-bytes", &link.bytes.to_string());
        }
    }
    if let Some(location) = &view.found.location {
        set(headers, "content-location", location);
    }
    let versioned = view.found.container.versioning() != Versioning::Off;
    if versioned || call.query.has("version-id") {
        set(headers, "x-object-version-id", &versions::id(object));
        if versioned && !object.null_version && view.found.location.is_none() {
            let path = call.again(
                "GET",
                &view.found.place.account,
                &view.found.place.container,
                &view.found.place.object,
            );
            let location = format!("{}?version-id={}", path.target.path(), versions::id(object));
            set(headers, "content-location", &location);
        }
    }
}

/// An entity tag as a container shows it.
pub(crate) fn shown_tag(container: &Container, etag: &str, quoted: bool) -> String {
    match quoted || container.quotes() {
        true => format!("\"{etag}\""),
        false => etag.to_owned(),
    }
}

/// The part of a large object that a request names by its number.
pub(crate) fn part_number(call: &Call, view: &View) -> Outcome<Option<(ResolvedRange, usize)>> {
    let (Some(text), Shape::Slo(joined)) = (call.query.get("part-number"), &view.shape) else {
        return Ok(None);
    };
    let segments = joined.segments();
    let malformed = || Fault::html(400, "Part number must be an integer greater than 0");
    let number: usize = text.parse().map_err(|_| malformed())?;
    if number == 0 {
        return Err(malformed());
    }
    if call.headers.contains_key("range") {
        return Err(Fault::html(
            400,
            "Range requests are not supported with part number queries",
        ));
    }
    let before = segments.iter().take(number - 1).map(|s| s.length()).sum();
    match segments.get(number - 1) {
        Some(segment) => {
            let range = ResolvedRange {
                start: before,
                end: before + segment.length(),
            };
            Ok(Some((range, segments.len())))
        }
        None => Ok(Some((
            ResolvedRange {
                start: view.length,
                end: view.length,
            },
            segments.len(),
        ))),
    }
}

/// Tries of a read against writes that replace the object while it is looked at.
const TRIES: usize = 20;

/// Answers a GET or HEAD of an object.
pub(crate) async fn answer(call: &Call) -> Outcome<Response<Body>> {
    for _ in 1..TRIES {
        match attempt(call).await {
            Err(fault) if fault.is_moved() => {}
            answered => return answered,
        }
    }
    attempt(call).await
}

async fn attempt(call: &Call) -> Outcome<Response<Body>> {
    let place = call.place();
    let container = call.container(&place.account, &place.container).await?;
    let version = symlink::asked_version(call, container.as_ref())?;
    let view = call.view(&place, version, Through::of(call)).await?;
    let mut response = empty(200);
    describe(call, &view, response.headers_mut());
    let validators = Validators {
        tag: view.etag.clone(),
        modified: times::at_second(times::rounded_up(view.found.object.modified)),
    };
    match verdict(&precondition(&call.headers)?, &validators) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        Verdict::Failed => {
            *response.status_mut() = StatusCode::PRECONDITION_FAILED;
            set(
                response.headers_mut(),
                "content-type",
                "text/html; charset=UTF-8",
            );
            *response.body_mut() = Body::full(crate::fault::page(412));
            return Ok(response);
        }
    }
    let part = part_number(call, &view)?;
    if let Some((range, count)) = part {
        set(response.headers_mut(), "x-parts-count", &count.to_string());
        if range.start == view.length {
            let text = "The requested part number is not satisfiable";
            return Ok(unsatisfiable(call, response, view.length, text));
        }
        return ranged(call, view, response, vec![range]).await;
    }
    if call.method == "HEAD" {
        set(
            response.headers_mut(),
            "content-length",
            &view.length.to_string(),
        );
        return Ok(response);
    }
    // A manifest or a link is read whole.
    let is_link = facts::link(&view.found.object).is_some();
    let plain = view.instead.is_none() && !is_link;
    let plain = plain && is_current(&call.headers, &view.etag);
    match ranges(&call.headers, view.length).filter(|_| plain) {
        Some(ranges) if ranges.is_empty() => {
            let text = crate::fault::page(416);
            Ok(unsatisfiable(call, response, view.length, &text))
        }
        // What is joined by a prefix is not cut into several pieces.
        Some(ranges) if ranges.len() > 1 && matches!(view.shape, Shape::Dlo(..)) => {
            let range = ResolvedRange {
                start: 0,
                end: view.length,
            };
            *response.body_mut() = body(call, &view, range).await?;
            Ok(response)
        }
        Some(ranges) => ranged(call, view, response, ranges).await,
        None => {
            let range = ResolvedRange {
                start: 0,
                end: view.length,
            };
            *response.body_mut() = body(call, &view, range).await?;
            Ok(response)
        }
    }
}

/// 416, which tells all that a 200 would, but the bytes.
fn unsatisfiable(
    call: &Call,
    mut response: Response<Body>,
    length: u64,
    text: &str,
) -> Response<Body> {
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    let headers = response.headers_mut();
    set(headers, "content-range", &format!("bytes */{length}"));
    match call.method == "HEAD" {
        true => set(headers, "content-length", "0"),
        false => {
            set(headers, "content-type", "text/html; charset=UTF-8");
            *response.body_mut() = Body::full(text.to_owned());
        }
    }
    response
}

/// The bytes of a range.
pub(crate) async fn body(call: &Call, view: &View, range: ResolvedRange) -> Outcome<Body> {
    if let Some(text) = &view.instead {
        return Ok(Body::full(text.clone()));
    }
    let stream = large::open(call, &view.found, &view.shape, range).await?;
    Ok(Body::stream(range.len(), stream))
}

async fn ranged(
    call: &Call,
    view: View,
    mut response: Response<Body>,
    ranges: Vec<ResolvedRange>,
) -> Outcome<Response<Body>> {
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let length = view.length;
    if let [range] = ranges.as_slice() {
        let headers = response.headers_mut();
        let (first, last) = (range.start, range.end.saturating_sub(1));
        set(
            headers,
            "content-range",
            &format!("bytes {first}-{last}/{length}"),
        );
        if call.method == "HEAD" {
            set(headers, "content-length", &range.len().to_string());
            return Ok(response);
        }
        *response.body_mut() = body(call, &view, *range).await?;
        return Ok(response);
    }
    let boundary = call.swift.host.id().to_string();
    let several = ByteRanges::new(ranges, length, Some(&view.content_type), boundary);
    set(
        response.headers_mut(),
        "content-type",
        &several.content_type(),
    );
    // The first range is looked at before the answer begins.
    let shared = Arc::new((call.clone(), view));
    *response.body_mut() = several.body(move |range| {
        let shared = shared.clone();
        async move {
            let (call, view) = &*shared;
            let failed = |fault: Fault| Error::new(ErrorKind::Conflict, fault.body());
            let stream = large::open(call, &view.found, &view.shape, range).await;
            Ok(stream.map_err(failed)?.boxed())
        }
    });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str, length: u64) -> Option<Vec<(u64, u64)>> {
        let mut headers = HeaderMap::new();
        headers.insert("range", text.parse().unwrap());
        let found = ranges(&headers, length)?;
        Some(found.iter().map(|range| (range.start, range.end)).collect())
    }

    #[test]
    fn ranges_of_what_was_replaced_do_not_count() {
        let asked = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append("if-range", text.parse().unwrap());
            }
            is_current(&headers, "abc")
        };
        assert!(asked(&[]) && asked(&["abc"]) && asked(&["\"abc\""]));
        for other in [
            "abd",
            "W/\"abc\"",
            "\"abc",
            "",
            "Fri, 27 Nov 2026 00:00:00 GMT",
        ] {
            assert!(!asked(&[other]), "{other}");
        }
        assert!(!asked(&["abc", "abc"]));
    }

    #[test]
    fn ranges_are_dropped_or_refused() {
        assert_eq!(asked("bytes=2-4", 10), Some(vec![(2, 5)]));
        assert_eq!(asked("bytes=2-4,20-", 10), Some(vec![(2, 5)]));
        assert_eq!(asked("bytes=20-", 10), Some(vec![]));
        assert_eq!(asked("bytes=5-3", 10), None);
        assert_eq!(asked("bytes=-5", 0), None);
        assert_eq!(asked("bytes=0-", 0), Some(vec![]));
        let many = vec!["0-0"; 51].join(",");
        assert_eq!(asked(&format!("bytes={many}"), 10), Some(vec![]));
        assert_eq!(asked("bytes=0-1,0-1,0-1,0-1,0-1", 10), Some(vec![]));
        assert_eq!(
            asked("bytes=0-1,0-1,5-6", 10),
            Some(vec![(0, 2), (0, 2), (5, 7)])
        );
    }

    #[test]
    fn tags_need_no_quotes() {
        let mut headers = HeaderMap::new();
        headers.insert("if-match", "abc, \"def\"".parse().unwrap());
        let parsed = precondition(&headers).unwrap();
        let validators = |tag: &str| Validators {
            tag: tag.into(),
            modified: trestle_core::Timestamp(0),
        };
        assert_eq!(parsed.for_read(Some(&validators("def"))), Verdict::Proceed);
        assert_eq!(parsed.for_read(Some(&validators("abc"))), Verdict::Proceed);
        assert_eq!(parsed.for_read(Some(&validators("x"))), Verdict::Failed);
    }
}
