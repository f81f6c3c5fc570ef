//! A selected representation and the answer to who asks for it: conditions, ranges, HEAD.
//!
//! For representations that are at hand as bytes. Order of evaluation: RFC 9110 §13.2.2.

use crate::body::Body;
use crate::byteranges::ByteRanges;
use crate::conditional::{http_date, parse_if_range, parse_precondition};
use crate::problem::Problem;
use crate::range::{RangeHeader, parse_range, range_disorder, resolve_ranges};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED, VARY,
};
use http::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use trestle_core::{ErrorKind, Precondition, ResolvedRange, Timestamp, Validators, Verdict};

/// Ranges that one request may ask for; with more, or when they overlap, the whole is sent.
const SEVERAL_MAX: usize = 16;

/// One representation of a resource.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: &'static str,
    /// When it changed last, when that is known.
    pub modified: Option<Timestamp>,
    /// For how long and by whom it may be kept.
    pub cache_control: &'static str,
    /// The headers of the request that it was selected by.
    pub vary: Option<&'static str>,
}

impl Selected {
    /// The strong entity tag, without quotes: a digest of the bytes and their type.
    pub fn tag(&self) -> String {
        let digest = Sha256::new()
            .chain_update(self.content_type)
            .chain_update([0])
            .chain_update(&self.bytes)
            .finalize();
        digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// What conditions are compared with. Dates are dropped from `precondition` when there is none
    /// to compare them with (RFC 9110 §13.1.3, §13.1.4).
    pub(crate) fn validators(&self, precondition: &mut Precondition) -> Validators {
        if self.modified.is_none() {
            precondition.if_modified_since = None;
            precondition.if_unmodified_since = None;
        }
        Validators {
            tag: self.tag(),
            modified: self.modified.unwrap_or(Timestamp(0)),
        }
    }

    /// The answer to GET and HEAD.
    ///
    /// # Errors
    /// A problem for malformed or failed conditions, and for a range that lies outside.
    pub fn answer(
        self,
        method: &Method,
        headers: &HeaderMap,
        boundary: &str,
    ) -> Result<Response<Body>, Problem> {
        let mut precondition = parse_precondition(headers)?;
        let validators = self.validators(&mut precondition);
        let mut response = Response::new(Body::empty());
        describe(&self, &validators, response.headers_mut());
        match precondition.for_read(Some(&validators)) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(response);
            }
            Verdict::Failed => {
                return Err(Problem::new(
                    StatusCode::PRECONDITION_FAILED,
                    "a condition of the request fails",
                ));
            }
        }
        let total = self.bytes.len() as u64;
        let put = |response: &mut Response<Body>, name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                response.headers_mut().insert(name, value);
            }
        };
        put(&mut response, CONTENT_TYPE, self.content_type);
        if method == Method::HEAD {
            // A range has no meaning for HEAD (RFC 9110 §14.2).
            put(&mut response, CONTENT_LENGTH, &total.to_string());
            return Ok(response);
        }
        let ranges = wanted(headers, &validators, total)?;
        match ranges.as_slice() {
            [] => *response.body_mut() = Body::full(self.bytes),
            [range] => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let text = format!("bytes {}-{}/{total}", range.start, range.end - 1);
                put(&mut response, CONTENT_RANGE, &text);
                *response.body_mut() = Body::full(slice(&self.bytes, *range));
            }
            _ => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let several =
                    ByteRanges::new(ranges, total, Some(self.content_type), boundary.to_owned());
                put(&mut response, CONTENT_TYPE, &several.content_type());
                *response.body_mut() = several.body(move |range| {
                    let part = slice(&self.bytes, range);
                    async move { Ok(futures::stream::iter([Ok(part)])) }
                });
            }
        }
        Ok(response)
    }
}

fn describe(selected: &Selected, validators: &Validators, headers: &mut HeaderMap) {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", validators.tag)) {
        headers.insert(ETAG, tag);
    }
    if let Some(Ok(date)) = selected
        .modified
        .map(|time| HeaderValue::from_str(&http_date(time)))
    {
        headers.insert(LAST_MODIFIED, date);
    }
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static(selected.cache_control),
    );
    if let Some(vary) = selected.vary {
        headers.insert(VARY, HeaderValue::from_static(vary));
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

fn slice(bytes: &Bytes, range: ResolvedRange) -> Bytes {
    let at = |offset: u64| {
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    bytes.slice(at(range.start)..at(range.end))
}

/// The ranges to send; none stands for the whole, also for what is malformed (RFC 9110 §14.2).
fn wanted(
    headers: &HeaderMap,
    validators: &Validators,
    total: u64,
) -> Result<Vec<ResolvedRange>, Problem> {
    let asked = match parse_range(headers) {
        RangeHeader::One(range) => vec![range],
        RangeHeader::Several(ranges) if ranges.len() <= SEVERAL_MAX => ranges,
        _ => return Ok(Vec::new()),
    };
    if !parse_if_range(headers).holds(validators, false) {
        return Ok(Vec::new());
    }
    let ranges = resolve_ranges(&asked, total).map_err(|error| {
        let unsatisfied = HeaderValue::from_str(&format!("bytes */{total}"));
        match (error.kind(), unsatisfied) {
            (ErrorKind::RangeNotSatisfiable { .. }, Ok(value)) => {
                Problem::from(error).with_header(CONTENT_RANGE, value)
            }
            _ => Problem::from(error),
        }
    })?;
    if range_disorder(&ranges) == (0, 0) {
        Ok(ranges)
    } else {
        Ok(Vec::new())
    }
}
