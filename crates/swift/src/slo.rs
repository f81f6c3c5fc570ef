//! Manifests of static large objects as clients put and see them. Pure: segments are looked up
//! elsewhere, and what a manifest stands for is the store's.

use crate::fault::{Fault, Outcome};
use crate::times;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use trestle_core::{ByteRange, Md5};
use trestle_store::{ObjectSegment, Segment};

/// Most segments that are objects.
pub(crate) const SEGMENTS_MAX: usize = 1000;
/// Largest manifest, in bytes.
pub(crate) const MANIFEST_MAX: usize = 8 << 20;
/// A segment as a client puts it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Data(Vec<u8>),
    Object {
        path: String,
        etag: Option<String>,
        size: Option<u64>,
        range: Option<ByteRange>,
    },
}

/// Hexadecimal MD5.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    let mut md5 = Md5::default();
    md5.update(bytes);
    let digest = md5.finish();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A range of a segment: `M-N`, `M-` or `-N`.
fn range(text: &str) -> Option<Vec<ByteRange>> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let one = |text: &str| match text.trim().split_once('-')? {
        ("", suffix) => number(suffix).map(ByteRange::Suffix),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::Inclusive { first, last })
        }
    };
    text.split(',').map(one).collect()
}

/// Reads the manifest that a client puts; `own` is its own `/container/object`.
///
/// # Errors
/// 400 that names every segment that is wrong; 413 for too many.
pub(crate) fn parse(body: &[u8], own: &str) -> Outcome<Vec<Asked>> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|_| Fault::html(400, "Manifest must be valid JSON.\n"))?;
    let Value::Array(list) = json else {
        return Err(Fault::html(400, "Manifest must be a list.\n"));
    };
    let mut errors = String::new();
    let mut segments = Vec::new();
    let last = list.len().saturating_sub(1);
    for (index, item) in list.iter().enumerate() {
        match asked(item, own, index == last) {
            Ok(segment) => segments.push(segment),
            Err(message) => errors.push_str(&format!("Index {index}: {message}\n")),
        }
    }
    let is_data = |item: &Value| item.get("data").is_some();
    if !list.is_empty() && list.iter().all(is_data) {
        errors.push_str("Inline data segments require at least one object-backed segment.\n");
    }
    if !errors.is_empty() {
        return Err(Fault::text(400, errors));
    }
    let objects = segments
        .iter()
        .filter(|s| matches!(s, Asked::Object { .. }));
    if objects.count() > SEGMENTS_MAX {
        let text = format!("Number of object-backed segments must be <= {SEGMENTS_MAX}");
        return Err(Fault::html(413, text));
    }
    Ok(segments)
}

fn asked(item: &Value, own: &str, last: bool) -> Result<Asked, String> {
    let map = item.as_object().ok_or("not a JSON object")?;
    let known: &[&str] = if map.contains_key("data") {
        &["data"]
    } else if map.contains_key("path") {
        &["path", "etag", "size_bytes", "range"]
    } else {
        return Err("expected keys to include one of 'data' or 'path'".into());
    };
    let extra: Vec<String> = map
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .map(|key| Value::String(key.clone()).to_string())
        .collect();
    if !extra.is_empty() {
        return Err(format!("extraneous keys {}", extra.join(", ")));
    }
    match map.get("data") {
        Some(data) => inline(data),
        None => object(map, own, last),
    }
}

fn inline(data: &Value) -> Result<Asked, String> {
    let text = data.as_str().unwrap_or_default();
    let unpadded = text.trim_end_matches('=');
    let data = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(unpadded)
        .ok()
        .filter(|_| data.is_string())
        .ok_or("data must be valid base64")?;
    match data.is_empty() {
        true => Err("too small; each segment must be at least 1 byte.".into()),
        false => Ok(Asked::Data(data)),
    }
}

fn object(map: &Map<String, Value>, own: &str, last: bool) -> Result<Asked, String> {
    let path = map.get("path").and_then(Value::as_str);
    let path = path.ok_or("\"path\" must be a string")?;
    let etag = match map.get("etag") {
        None | Some(Value::Null) => None,
        Some(Value::String(etag)) => Some(etag.clone()),
        Some(_) => return Err("\"etag\" must be a string or null (if provided)".into()),
    };
    if !path.trim_matches('/').contains('/') {
        return Err(
            "path does not refer to an object. Path must be of the form \
                    /container/object."
                .into(),
        );
    }
    let size = match map.get("size_bytes") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.trim().parse::<i64>().map_err(|_| "size")),
        Some(number) => Some(number.as_i64().ok_or("size")),
    };
    let size = size.transpose().map_err(|_| "invalid size_bytes")?;
    if size.is_some_and(|size| size < 1) && !last {
        return Err("too small; each segment must be at least 1 byte.".into());
    }
    let size = size.map(|size| u64::try_from(size).unwrap_or(0));
    if format!("/{}", path.trim_start_matches('/')) == own {
        return Err("manifest must not include itself as a segment".into());
    }
    let mut wanted = None;
    if let Some(json) = map
        .get("range")
        .filter(|json| !json.is_null() && **json != json!(""))
    {
        let ranges = json.as_str().and_then(range).ok_or("invalid range")?;
        let [one] = ranges.as_slice() else {
            return Err("multiple ranges (only one allowed)".into());
        };
        if size.is_some_and(|size| one.resolve(size).is_err()) {
            return Err("unsatisfiable range".into());
        }
        wanted = Some(*one);
    }
    Ok(Asked::Object {
        path: path.to_owned(),
        etag,
        size,
        range: wanted,
    })
}

fn value(segment: &Segment, raw: bool) -> Value {
    let object = match segment {
        Segment::Inline(data) => return json!({ "data": STANDARD.encode(data) }),
        Segment::Object(object) => object,
    };
    let mut map = Map::new();
    let [name, bytes, hash] = match raw {
        true => ["path", "size_bytes", "etag"],
        false => ["name", "bytes", "hash"],
    };
    map.insert(name.into(), json!(path_of(object)));
    map.insert(bytes.into(), json!(object.length));
    map.insert(hash.into(), json!(object.tag));
    if let Some(range) = object.range {
        let range = format!("{}-{}", range.start, range.end.saturating_sub(1));
        map.insert("range".into(), json!(range));
    }
    if !raw {
        let modified = times::at_second(times::rounded_up(object.modified));
        map.insert("content_type".into(), json!(object.media_type));
        map.insert("last_modified".into(), json!(times::listed(modified)));
        if object.nested {
            map.insert("sub_slo".into(), json!(true));
        }
    }
    Value::Object(map)
}

/// `/container/object` of a segment.
pub(crate) fn path_of(segment: &ObjectSegment) -> String {
    format!("/{}/{}", segment.bucket.local(), segment.key.as_str())
}

/// The manifest as it is shown, or in the form in which a client puts it.
pub(crate) fn to_json(segments: &[Segment], raw: bool) -> String {
    let list: Vec<Value> = segments.iter().map(|s| value(s, raw)).collect();
    Value::Array(list).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_core::ResolvedRange;

    fn refused(body: &str) -> String {
        parse(body.as_bytes(), "/c/own").unwrap_err().body()
    }

    #[test]
    fn manifests_are_read_strictly() {
        let body = br#"[{"path":"/c/a","etag":null,"size_bytes":"3","range":"-1"},
                        {"data":"YQ"},{"path":"c/b","size_bytes":0}]"#;
        let segments = parse(body, "/c/own").unwrap();
        assert_eq!(segments[1], Asked::Data(b"a".to_vec()));
        let Asked::Object {
            path,
            etag,
            size,
            range,
        } = &segments[0]
        else {
            panic!("{segments:?}")
        };
        assert_eq!((path.as_str(), etag, size), ("/c/a", &None, &Some(3)));
        assert_eq!(range, &Some(ByteRange::Suffix(1)));
        assert_eq!(parse(b"[]", "/c/own").unwrap(), []);
        for (body, expected) in [
            ("x", "Manifest must be valid JSON."),
            ("{}", "Manifest must be a list."),
            ("[1]", "Index 0: not a JSON object"),
            ("[{}]", "expected keys"),
            (r#"[{"path":"/c/a","x":1}]"#, "extraneous keys \"x\""),
            (r#"[{"path":1}]"#, "\"path\" must be a string"),
            (r#"[{"path":"/c/a","etag":1}]"#, "\"etag\" must be"),
            (r#"[{"path":"/c"}]"#, "path does not refer to an object"),
            (
                r#"[{"path":"/c/a","size_bytes":"x"}]"#,
                "invalid size_bytes",
            ),
            (
                r#"[{"path":"/c/a","size_bytes":0},{"path":"/c/a"}]"#,
                "too small",
            ),
            (r#"[{"path":"/c/own"}]"#, "must not include itself"),
            (r#"[{"path":"/c/a","range":"x"}]"#, "invalid range"),
            (r#"[{"path":"/c/a","range":"1-2,3-4"}]"#, "multiple ranges"),
            (
                r#"[{"path":"/c/a","size_bytes":3,"range":"9-"}]"#,
                "unsatisfiable",
            ),
            (r#"[{"data":"*"},{"path":"/c/a"}]"#, "valid base64"),
            (r#"[{"data":""},{"path":"/c/a"}]"#, "too small"),
            (r#"[{"data":"YQ=="}]"#, "at least one object-backed"),
        ] {
            let said = refused(body);
            assert!(said.contains(expected), "{body}: {said}");
        }
        let many = vec![r#"{"path":"/c/a"}"#; 1001].join(",");
        let many = parse(format!("[{many}]").as_bytes(), "/c/own");
        assert_eq!(many.unwrap_err().status(), 413);
    }

    #[test]
    fn manifests_are_shown_in_two_forms() {
        let part = ObjectSegment {
            bucket: trestle_core::BucketName::parse_qualified("acme:c").unwrap(),
            key: trestle_core::Key::parse("a/b").unwrap(),
            length: 10,
            tag: "aa".into(),
            media_type: "t/x".into(),
            modified: trestle_core::Timestamp(1_500_000),
            range: Some(ResolvedRange { start: 2, end: 5 }),
            nested: true,
        };
        let segments = [
            Segment::Object(part),
            Segment::Inline(bytes::Bytes::from_static(b"xyz")),
        ];
        let shown: Value = serde_json::from_str(&to_json(&segments, false)).unwrap();
        assert_eq!(
            shown[0],
            json!({"name": "/c/a/b", "bytes": 10, "hash": "aa", "range": "2-4", "sub_slo": true,
                   "content_type": "t/x", "last_modified": "1970-01-01T00:00:02.000000"})
        );
        assert_eq!(shown[1], json!({"data": "eHl6"}));
        let raw: Value = serde_json::from_str(&to_json(&segments, true)).unwrap();
        assert_eq!(
            raw[0],
            json!({"path": "/c/a/b", "size_bytes": 10, "etag": "aa", "range": "2-4"})
        );
        assert!(parse(raw.to_string().as_bytes(), "/c/own").is_ok());
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
