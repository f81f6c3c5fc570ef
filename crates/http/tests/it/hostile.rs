//! Bytes of whoever likes to send them: every parser answers, or refuses, and does not fail.

use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use trestle_http::{
    BasicCredentials, CorsRequest, CorsRule, FormPart, Guard, IfRange, Multipart, Network,
    Parameterized, RangeHeader, XmlWriter, decode, negotiate, parse_content_range, parse_http_date,
    parse_if_range, parse_precondition, parse_range, parse_xml, query, range_disorder,
    resolve_ranges,
};

fn one_header(name: &'static str, value: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_bytes(value).ok()?,
    );
    Some(headers)
}

/// Bytes that are likely to mean something to one of the parsers.
fn suggestive() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "bytes=",
        "bytes ",
        "0-",
        "-1",
        "1-2",
        ",",
        "/",
        "*",
        ";",
        "q=",
        "=",
        "\"",
        "W/",
        "\\",
        "%",
        "%41",
        "&",
        "&#x1;",
        "&amp;",
        "<a>",
        "</a>",
        "<a/>",
        "<!DOCTYPE",
        "<![CDATA[",
        "]]>",
        "<?",
        "text/html",
        "form-data",
        "name=",
        "for=",
        "[::1]",
        "\r\n",
        "--x",
        "Basic ",
        "cm9vdDpw",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "18446744073709551615",
        "\u{0}",
        "é",
        " ",
    ]);
    let piece = prop_oneof![
        4 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn headers_are_read_or_refused(value in suggestive()) {
        if let Some(headers) = one_header("range", &value)
            && let RangeHeader::Several(ranges) = parse_range(&headers)
            && let Ok(resolved) = resolve_ranges(&ranges, 1000)
        {
                prop_assert!(resolved.iter().all(|range| range.start < range.end && range.end <= 1000));
                range_disorder(&resolved);
        }
        if let Some(headers) = one_header("content-range", &value)
            && let Ok(Some(range)) = parse_content_range(&headers)
        {
            prop_assert!(range.first <= range.last && range.length() > 0);
        }
        for name in ["if-match", "if-none-match", "if-modified-since"] {
            if let Some(headers) = one_header(name, &value) {
                let _read = parse_precondition(&headers);
            }
        }
        if let Some(headers) = one_header("if-range", &value) {
            prop_assert_ne!(parse_if_range(&headers), IfRange::Absent);
        }
        if let Some(headers) = one_header("accept", &value) {
            let _chosen = negotiate(&headers, &["text/html", "application/json"]);
        }
        if let Some(headers) = one_header("authorization", &value) {
            prop_assert!(!matches!(BasicCredentials::presented(&headers), Ok(None)));
        }
        if let Some(headers) = one_header("origin", &value) {
            let rule = CorsRule { origins: vec!["*x*".into()], ..CorsRule::default() };
            if let Ok(Some(asked)) = CorsRequest::of(&Method::GET, &headers) {
                asked.answer(&[rule]);
            }
        }
        if let Some(headers) = one_header("content-disposition", &value) {
            let _read = FormPart::parse(&headers);
        }
        if let Ok(text) = std::str::from_utf8(&value) {
            let _read = (Parameterized::parse(text), parse_http_date(text), text.parse::<Network>());
            let _read = (decode(text), query(Some(text)));
        }
    }

    #[test]
    fn xml_is_read_or_refused_and_texts_survive(value in suggestive(), text in "\\PC{0,40}") {
        let _read = parse_xml(&value, 1 << 20);
        let mut writer = XmlWriter::new();
        writer.open_with("A", &[("a", &text)]).text(&text);
        let root = parse_xml(writer.finish().as_bytes(), 1 << 20).unwrap();
        prop_assert_eq!(&root.text, &text);
        prop_assert_eq!(root.attribute("a"), Some(text.as_str()));
    }

    #[test]
    fn multipart_bodies_are_read_alike_however_they_are_cut(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
        step in 1_usize..20,
        noise in suggestive(),
    ) {
        let mut body = Vec::new();
        for part in &parts {
            body.extend_from_slice(b"\r\n--xX\r\n\r\n");
            body.extend_from_slice(part);
        }
        body.extend_from_slice(b"\r\n--xX--");
        let pieces = |bytes: &[u8]| {
            let cut: Vec<_> = bytes.chunks(step).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            futures::stream::iter(cut)
        };
        let kind = "multipart/mixed; boundary=xX";
        let mut reader = Multipart::new(kind, "mixed", pieces(&body)).unwrap();
        let holds = parts.iter().any(|part| part.windows(4).any(|window| window == b"--xX"));
        let mut found = Vec::new();
        while !holds && block_on(reader.next_part()).unwrap().is_some() {
            found.push(block_on(reader.read_part(100)).unwrap().to_vec());
        }
        prop_assert!(holds || found == parts);
        let mut reader = Multipart::new(kind, "mixed", pieces(&noise)).unwrap();
        while let Ok(Some(_)) = block_on(reader.next_part()) {}
    }

    #[test]
    fn the_guard_passes_the_same_however_bytes_arrive(value in suggestive(), step in 1_usize..9) {
        let head = b"PUT / HTTP/1.1\r\nHost: a\r\n".to_vec();
        let input = [head, value].concat();
        let feed = |step: usize| {
            let (mut guard, mut received, mut all) =
                (Guard::default(), BytesMut::new(), Vec::new());
            for piece in input.chunks(step) {
                received.extend_from_slice(piece);
                let mut passed = BytesMut::new();
                let outcome = guard.pass(&mut received, &mut passed);
                all.extend_from_slice(&passed);
                if outcome.is_err() {
                    return (all, true);
                }
            }
            (all, false)
        };
        prop_assert_eq!(feed(step), feed(usize::MAX));
    }
}
