//! Targets of the fuzzer: arbitrary bytes for each parser of what a request says.

use crate::network::Network;
use crate::{
    BasicCredentials, FormPart, Guard, Multipart, Parameterized, Proxies, ProxyHeaders,
    RangeHeader, decode, http_date, merge_patch, negotiate, parse_content_range, parse_http_date,
    parse_if_range, parse_precondition, parse_range, parse_xml, query, range_disorder,
    resolve_ranges,
};
use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use http::HeaderMap;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, FORWARDED, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use trestle_core::Timestamp;

/// A name, and what takes the bytes.
type Named = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Named] = &[
    ("http-range", range),
    ("http-conditional", conditional),
    ("http-accept", accept),
    ("http-basic", basic),
    ("http-target", target),
    ("http-xml", xml),
    ("http-parameters", parameters),
    ("http-forwarded", forwarded),
    ("http-proxy-protocol", proxy_protocol),
    ("http-framing", framing),
    ("http-multipart", multipart),
    ("http-merge-patch", patch),
];

/// Headers, a line of the input each.
fn headers(data: &[u8], names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let lines = data.split(|byte| *byte == b'\n');
    for (name, line) in names.iter().cycle().zip(lines) {
        if let (Ok(value), true) = (HeaderValue::from_bytes(line), headers.len() < 64) {
            headers.append(name, value);
        }
    }
    headers
}

/// A range that resolves lies within the length.
fn range(data: &[u8]) {
    let headers = headers(data, &[RANGE, CONTENT_RANGE]);
    let ranges = match parse_range(&headers) {
        RangeHeader::One(range) => vec![range],
        RangeHeader::Several(ranges) => ranges,
        RangeHeader::Absent | RangeHeader::Malformed => Vec::new(),
    };
    for length in [0, 1, 10, 1 << 40, u64::MAX] {
        if let Ok(resolved) = resolve_ranges(&ranges, length) {
            let within = |range: &trestle_core::ResolvedRange| {
                range.start < range.end && range.end <= length
            };
            assert!(resolved.iter().all(within), "{ranges:?} of {length}");
            let _counted = range_disorder(&resolved);
        }
    }
    if let Ok(Some(range)) = parse_content_range(&headers) {
        assert!(range.length() > 0);
    }
}

/// A date that is understood is written as one that is understood alike.
fn conditional(data: &[u8]) {
    let names = [
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        IF_RANGE,
    ];
    let headers = headers(data, &names);
    let _understood = parse_precondition(&headers);
    let _understood = parse_if_range(&headers);
    for line in data.split(|byte| *byte == b'\n') {
        let seconds = std::str::from_utf8(line).ok().and_then(parse_http_date);
        // The form has four digits for the year.
        if let Some(seconds) = seconds.filter(|seconds| *seconds < 253_402_300_800) {
            let text = http_date(Timestamp(seconds * 1_000_000));
            assert_eq!(parse_http_date(&text), Some(seconds), "{text}");
        }
    }
}

/// What is agreed on was offered.
fn accept(data: &[u8]) {
    let offers = ["application/json", "text/html"];
    if let Ok(Some(agreed)) = negotiate(&headers(data, &[ACCEPT]), &offers) {
        assert!(offers.contains(&agreed));
    }
}

/// A credential that is there is never none.
fn basic(data: &[u8]) {
    let headers = headers(data, &[AUTHORIZATION]);
    let presented = BasicCredentials::presented(&headers);
    if headers.contains_key(AUTHORIZATION) {
        assert!(!matches!(presented, Ok(None)) || !is_basic(&headers));
    }
}

fn is_basic(headers: &HeaderMap) -> bool {
    let first = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    first.is_some_and(|value| value.to_ascii_lowercase().starts_with(b"basic "))
}

/// Names are decoded once, and never get longer.
fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (path, rest) = text.split_once('?').unwrap_or((text, ""));
    if let Ok(decoded) = decode(path) {
        assert!(decoded.len() <= path.len());
    }
    if let Ok(pairs) = query(Some(rest)) {
        let length: usize = pairs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(length <= rest.len());
    }
}

/// A document is bounded in depth, and what it holds is within it.
fn xml(data: &[u8]) {
    fn depth(element: &crate::Element) -> usize {
        1 + element.children.iter().map(depth).max().unwrap_or_default()
    }
    if let Ok(root) = parse_xml(data, 64 << 10) {
        assert!(depth(&root) <= crate::XML_DEPTH_MAX);
    }
    assert!(parse_xml(data, data.len().saturating_sub(1)).is_err() || data.is_empty());
}

fn parameters(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(parsed) = Parameterized::parse(text) {
        assert!(parsed.parameters.iter().all(|(name, _)| !name.is_empty()));
    }
}

/// What an untrusted client says of itself changes nothing.
fn forwarded(data: &[u8]) {
    let x = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    for (kind, names) in [
        (ProxyHeaders::Forwarded, vec![FORWARDED]),
        (
            ProxyHeaders::XForwarded,
            x.map(HeaderName::from_static).to_vec(),
        ),
    ] {
        let headers = headers(data, &names);
        let Ok(trusted) = "10.0.0.0/8".parse::<Network>() else {
            return;
        };
        let proxies = Proxies {
            networks: vec![trusted],
            headers: kind,
            protocol: false,
        };
        let stranger = std::net::IpAddr::from([192, 0, 2, 1]);
        let origin = proxies.origin(stranger, &headers);
        assert_eq!((origin.address, origin.host), (stranger, None));
        let _believed = proxies.origin(std::net::IpAddr::from([10, 0, 0, 1]), &headers);
    }
}

/// A header is the same however it arrives.
fn proxy_protocol(data: &[u8]) {
    let mut whole = BytesMut::from(data);
    let at_once = crate::proxy_protocol::take(&mut whole);
    let mut received = BytesMut::new();
    for byte in data {
        received.extend_from_slice(&[*byte]);
        match crate::proxy_protocol::take(&mut received) {
            Ok(None) => {}
            Ok(Some(relayed)) => {
                let same = at_once.as_ref().ok().and_then(Option::as_ref);
                assert_eq!(Some(&relayed), same);
                return;
            }
            Err(_) => return assert!(at_once.is_err()),
        }
    }
    assert!(matches!(at_once, Ok(None)), "it was taken at once alone");
}

/// Framing is the same however its bytes are cut.
fn framing(data: &[u8]) {
    let pass = |piece: usize| {
        let (mut guard, mut received) = (Guard::default(), BytesMut::new());
        let mut passed = BytesMut::new();
        for piece in data.chunks(piece.max(1)) {
            received.extend_from_slice(piece);
            if let Err(violation) = guard.pass(&mut received, &mut passed) {
                return (passed, Some(violation));
            }
        }
        (passed, None)
    };
    let whole = pass(data.len());
    for piece in [1, 2, 7] {
        assert_eq!(pass(piece), whole, "cut in pieces of {piece}");
    }
}

/// Parts are the same however the body is cut.
fn multipart(data: &[u8]) {
    let read = |piece: usize| {
        let pieces: Vec<trestle_core::Result<Bytes>> = data
            .chunks(piece.max(1))
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let body = futures::stream::iter(pieces);
        let mut parts = Vec::new();
        let Ok(mut form) = Multipart::new("multipart/form-data; boundary=X", "form-data", body)
        else {
            return (parts, false);
        };
        loop {
            match block_on(form.next_part()) {
                Ok(Some(head)) => {
                    let named = FormPart::parse(&head).ok().map(|part| part.name);
                    match block_on(form.read_part(1 << 20)) {
                        Ok(bytes) => parts.push((named, bytes)),
                        Err(_) => return (parts, false),
                    }
                }
                Ok(None) => return (parts, true),
                Err(_) => return (parts, false),
            }
        }
    };
    let whole = read(data.len());
    for piece in [1, 3] {
        assert_eq!(read(piece), whole, "cut in pieces of {piece}");
    }
}

/// RFC 7396: a patch that is applied twice says the same as once.
fn patch(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let mut next = || serde_json::from_slice::<serde_json::Value>(halves.next()?).ok();
    let (Some(mut target), Some(patch)) = (next(), next()) else {
        return;
    };
    merge_patch(&mut target, patch.clone());
    let once = target.clone();
    merge_patch(&mut target, patch);
    assert_eq!(target, once);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_changes_of_it_are_survived() {
        trestle_sim::replay::replay(super::TARGETS, 2_000);
    }
}
