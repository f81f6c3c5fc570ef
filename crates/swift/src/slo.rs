//! Manifests of static large objects: what a client puts, what is stored, and the arithmetic of
//! lengths and entity tags. Pure: segments are looked up elsewhere.

use crate::fault::{Fault, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use trestle_core::{ByteRange, Md5, ResolvedRange};

/// Most segments that are objects.
pub(crate) const SEGMENTS_MAX: usize = 1000;
/// Largest manifest, in bytes.
pub(crate) const MANIFEST_MAX: usize = 8 << 20;
/// How deep manifests may nest.
pub(crate) const DEPTH_MAX: usize = 10;

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

/// A segment as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Segment {
    Data(Vec<u8>),
    Object(ObjectSegment),
}

/// A segment that is an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObjectSegment {
    /// `/container/object`.
    pub(crate) name: String,
    /// Length of the whole object.
    pub(crate) bytes: u64,
    pub(crate) hash: String,
    pub(crate) content_type: String,
    pub(crate) last_modified: String,
    /// The part of it that is meant, when it is not all.
    pub(crate) range: Option<ResolvedRange>,
    /// Whether it is a manifest itself.
    pub(crate) sub_slo: bool,
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

impl Segment {
    /// How many bytes it contributes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Segment::Data(data) => data.len() as u64,
            Segment::Object(object) => object.range.map_or(object.bytes, |range| range.len()),
        }
    }

    /// What it contributes to the entity tag.
    fn mark(&self) -> String {
        match self {
            Segment::Data(data) => md5_hex(data),
            Segment::Object(object) => match object.range {
                Some(range) => format!("{}:{}-{};", object.hash, range.start, range.end - 1),
                None => object.hash.clone(),
            },
        }
    }

    fn to_json(&self, raw: bool) -> Value {
        let object = match self {
            Segment::Data(data) => return json!({ "data": STANDARD.encode(data) }),
            Segment::Object(object) => object,
        };
        let mut map = Map::new();
        let [name, bytes, hash] = match raw {
            true => ["path", "size_bytes", "etag"],
            false => ["name", "bytes", "hash"],
        };
        map.insert(name.into(), json!(object.name));
        map.insert(bytes.into(), json!(object.bytes));
        map.insert(hash.into(), json!(object.hash));
        if let Some(range) = object.range {
            let range = format!("{}-{}", range.start, range.end - 1);
            map.insert("range".into(), json!(range));
        }
        if !raw {
            map.insert("content_type".into(), json!(object.content_type));
            map.insert("last_modified".into(), json!(object.last_modified));
            if object.sub_slo {
                map.insert("sub_slo".into(), json!(true));
            }
        }
        Value::Object(map)
    }

    fn from_json(value: &Value) -> Option<Self> {
        if let Some(data) = value.get("data") {
            return STANDARD.decode(data.as_str()?).ok().map(Segment::Data);
        }
        let text = |name| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let range = match text("range") {
            Some(text) => {
                let (first, last) = text.split_once('-')?;
                let (start, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
                let end = last.checked_add(1).filter(|end| *end > start)?;
                Some(ResolvedRange { start, end })
            }
            None => None,
        };
        Some(Segment::Object(ObjectSegment {
            name: text("name")?,
            bytes: value.get("bytes")?.as_u64()?,
            hash: text("hash")?,
            content_type: text("content_type").unwrap_or_default(),
            last_modified: text("last_modified").unwrap_or_default(),
            range,
            sub_slo: value.get("sub_slo") == Some(&Value::Bool(true)),
        }))
    }
}

/// The manifest as it is stored, or in the form in which a client puts it.
pub(crate) fn to_json(segments: &[Segment], raw: bool) -> String {
    let list: Vec<Value> = segments.iter().map(|s| s.to_json(raw)).collect();
    Value::Array(list).to_string()
}

/// Reads a stored manifest.
pub(crate) fn from_json(text: &[u8]) -> Option<Vec<Segment>> {
    let json: Value = serde_json::from_slice(text).ok()?;
    json.as_array()?.iter().map(Segment::from_json).collect()
}

/// The entity tag of the large object, without quotes.
pub(crate) fn etag(segments: &[Segment]) -> String {
    let marks: String = segments.iter().map(Segment::mark).collect();
    md5_hex(marks.as_bytes())
}

/// The length of the large object.
pub(crate) fn length(segments: &[Segment]) -> u64 {
    let mut total = 0u64;
    for segment in segments {
        total = total.saturating_add(segment.length());
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn tags_and_lengths_follow_the_segments() {
        let whole = ObjectSegment {
            name: "/c/a".into(),
            bytes: 10,
            hash: "aa".into(),
            content_type: "t/x".into(),
            last_modified: "2014".into(),
            range: None,
            sub_slo: true,
        };
        let part = ObjectSegment {
            range: Some(ResolvedRange { start: 2, end: 5 }),
            sub_slo: false,
            ..whole.clone()
        };
        let segments = [
            Segment::Object(whole),
            Segment::Object(part),
            Segment::Data(b"xyz".to_vec()),
        ];
        assert_eq!(length(&segments), 16);
        let marks = format!("aaaa:2-4;{}", md5_hex(b"xyz"));
        assert_eq!(etag(&segments), md5_hex(marks.as_bytes()));
        let stored = to_json(&segments, false);
        assert_eq!(from_json(stored.as_bytes()).unwrap(), segments);
        let raw: Value = serde_json::from_str(&to_json(&segments, true)).unwrap();
        assert_eq!(
            raw[1],
            json!({"path": "/c/a", "size_bytes": 10, "etag": "aa", "range": "2-4"})
        );
        assert!(parse(raw.to_string().as_bytes(), "/c/own").is_ok());
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
        for bad in [
            "x",
            "{}",
            "[{}]",
            r#"[{"name":"a","bytes":1,"hash":"","range":"5-2"}]"#,
        ] {
            assert_eq!(from_json(bad.as_bytes()), None, "{bad}");
        }
    }
}
