//! Metadata in headers: which names and values are taken, how names lose their case, and what
//! removes one.

use crate::fault::{Fault, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::Value;
use trestle_core::Metadata;

/// Longest name, in bytes.
pub(crate) const NAME_MAX: usize = 128;
/// Longest value, in bytes.
pub(crate) const VALUE_MAX: usize = 256;
/// Most names.
pub(crate) const COUNT_MAX: usize = 90;
/// Most bytes of all names and values.
pub(crate) const OVERALL_MAX: usize = 4096;
/// Longest value of any header, in bytes.
pub(crate) const HEADER_MAX: usize = 8192;

/// What metadata belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Account,
    Container,
    Object,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Account => "account",
            Level::Container => "container",
            Level::Object => "object",
        }
    }

    /// Prefix of its headers, in lower case.
    pub(crate) fn prefix(self) -> String {
        format!("x-{}-meta-", self.word())
    }
}

/// The text of a header; none when it is absent.
///
/// # Errors
/// 400 when it is not UTF-8.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Outcome<Option<&'a str>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    std::str::from_utf8(value.as_bytes())
        .map(Some)
        .map_err(|_| Fault::text(400, format!("The value of {name} is not valid UTF-8")))
}

/// A value as it can be written into a header.
pub(crate) fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// The metadata that a request carries, names in lower case, in order; an empty value is kept.
///
/// # Errors
/// 400 for what is beyond a limit, empty names, and what is not UTF-8.
pub(crate) fn received(headers: &HeaderMap, level: Level) -> Outcome<Vec<(String, String)>> {
    let found = received_bytes(headers, level)?;
    let text = |(name, value): (String, Vec<u8>)| match String::from_utf8(value) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(Fault::text(400, "Metadata must be valid UTF-8")),
    };
    found.into_iter().map(text).collect()
}

/// As [`received`], for an object, whose values may be any bytes.
pub(crate) fn received_bytes(headers: &HeaderMap, level: Level) -> Outcome<Vec<(String, Vec<u8>)>> {
    let prefix = level.prefix();
    let bad = |text: String| Err(Fault::text(400, text));
    let mut found = Vec::new();
    let mut size = 0;
    for (name, value) in headers {
        if value.len() > HEADER_MAX {
            let name: String = name.as_str().chars().take(NAME_MAX).collect();
            return bad(format!("Header value too long: {name}"));
        }
        let Some(name) = name.as_str().strip_prefix(&prefix) else {
            continue;
        };
        let name = name.replace('_', "-");
        if name.is_empty() {
            return bad("Metadata name cannot be empty".into());
        }
        size += name.len() + value.len();
        if name.len() > NAME_MAX {
            return bad(format!("Metadata name too long: {prefix}{name}"));
        }
        if value.len() > VALUE_MAX {
            return bad(format!(
                "Metadata value longer than {VALUE_MAX}: {prefix}{name}"
            ));
        }
        found.push((name, value.as_bytes().to_vec()));
        if found.len() > COUNT_MAX {
            return bad(format!("Too many metadata items; max {COUNT_MAX}"));
        }
        if size > OVERALL_MAX {
            return bad(format!("Total metadata too large; max {OVERALL_MAX}"));
        }
    }
    Ok(found)
}

/// The names that `X-Remove-…-Meta-…` headers take away.
pub(crate) fn removed(headers: &HeaderMap, level: Level) -> Vec<String> {
    let prefix = format!("x-remove-{}-meta-", level.word());
    headers
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.as_str().strip_prefix(&prefix))
        .map(|name| name.replace('_', "-"))
        .collect()
}

/// Merges what a request carries into the metadata of an account or container: an empty value
/// removes, and so does a removing header unless the same request sets the name.
///
/// # Errors
/// 400 when what comes out is beyond a limit.
pub(crate) fn merge(
    metadata: &mut Metadata,
    received: &[(String, String)],
    removed: &[String],
) -> Outcome<()> {
    for name in removed {
        metadata.remove(name);
    }
    for (name, value) in received {
        match value.is_empty() {
            true => drop(metadata.remove(name)),
            false => drop(metadata.insert(name.clone(), Value::String(value.clone()))),
        }
    }
    let shown = || metadata.iter().filter_map(|(n, v)| Some((n, v.as_str()?)));
    let size: usize = shown().map(|(name, value)| name.len() + value.len()).sum();
    if shown().count() > COUNT_MAX {
        let text = format!("Too many metadata items; max {COUNT_MAX}");
        return Err(Fault::text(400, text));
    }
    if size > OVERALL_MAX {
        let text = format!("Total metadata too large; max {OVERALL_MAX}");
        return Err(Fault::text(400, text));
    }
    Ok(())
}

/// What stands in the JSON of a value that is no text.
const BYTES: &str = "base64";

/// The metadata of an object as a request sets it: an empty value is a value, and one that is no
/// text is kept all the same.
pub(crate) fn of_object(headers: &HeaderMap) -> Outcome<Metadata> {
    let received = received_bytes(headers, Level::Object)?;
    let json = |value: Vec<u8>| match String::from_utf8(value) {
        Ok(text) => Value::String(text),
        Err(error) => serde_json::json!({ BYTES: STANDARD.encode(error.as_bytes()) }),
    };
    Ok(received
        .into_iter()
        .map(|(name, value)| (name, json(value)))
        .collect())
}

/// The header's value of a metadata value; none for what no header can show.
fn shown(json: &Value) -> Option<HeaderValue> {
    match json {
        Value::String(text) => value(text),
        Value::Object(map) if map.len() == 1 => {
            let bytes = STANDARD.decode(map.get(BYTES)?.as_str()?).ok()?;
            HeaderValue::from_bytes(&bytes).ok()
        }
        _ => None,
    }
}

/// The headers of metadata. What is not text, or cannot be a header, is not shown; it stays.
pub(crate) fn show(metadata: &Metadata, level: Level, headers: &mut HeaderMap) {
    let prefix = level.prefix();
    for (name, json) in metadata {
        let header = HeaderName::from_bytes(format!("{prefix}{name}").as_bytes());
        if let (Ok(name), Some(value)) = (header, shown(json)) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn status(pairs: &[(&str, &str)]) -> u16 {
        received(&headers(pairs), Level::Object).map_or_else(|fault| fault.status(), |_| 200)
    }

    #[test]
    fn names_lose_their_case_and_underscores() {
        let sent = headers(
            &[
                ("X-Object-Meta-FooBar_Baz", "v"),
                ("x-object-meta-empty", ""),
                ("X-Object-Meta-Ü", "caf%C3%A9"),
            ][..2],
        );
        let found = received(&sent, Level::Object).unwrap();
        assert_eq!(
            found,
            [
                ("foobar-baz".into(), "v".into()),
                ("empty".into(), "".into())
            ]
        );
        let mut shown = HeaderMap::new();
        show(&of_object(&sent).unwrap(), Level::Object, &mut shown);
        assert_eq!(shown["x-object-meta-foobar-baz"], "v");
        assert_eq!(shown["x-object-meta-empty"], "");
    }

    #[test]
    fn each_limit_is_a_bad_request() {
        let name = |length: usize| format!("x-object-meta-{}", "a".repeat(length));
        assert_eq!(status(&[(&name(128), "v")]), 200);
        assert_eq!(status(&[(&name(129), "v")]), 400);
        assert_eq!(status(&[("x-object-meta-a", &"v".repeat(256))]), 200);
        assert_eq!(status(&[("x-object-meta-a", &"v".repeat(257))]), 400);
        assert_eq!(status(&[("x-object-meta-", "v")]), 400);
        assert_eq!(status(&[("x-other", &"v".repeat(8193))]), 400);
        let many: Vec<String> = (0..91).map(|i| format!("x-object-meta-{i}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(status(&many[..90]), 200);
        assert_eq!(status(&many), 400);
        let value = "v".repeat(254);
        let large: Vec<String> = (10..27).map(|i| format!("x-object-meta-{i}")).collect();
        let large: Vec<(&str, &str)> = large.iter().map(|n| (n.as_str(), &value[..])).collect();
        assert_eq!(status(&large[..16]), 200);
        assert_eq!(status(&large), 400);
    }

    #[test]
    fn empty_values_and_removing_headers_delete() {
        let mut metadata = Metadata::new();
        let set = |pairs: &[(&str, &str)]| received(&headers(pairs), Level::Container).unwrap();
        merge(
            &mut metadata,
            &set(&[("x-container-meta-a", "1"), ("x-container-meta-b", "2")]),
            &[],
        )
        .unwrap();
        metadata.insert("nested".into(), serde_json::json!({"deep": 1}));
        let sent = headers(&[
            ("x-container-meta-a", ""),
            ("x-remove-container-meta-b", "x"),
            ("x-container-meta-c", "3"),
            ("x-remove-container-meta-c", "x"),
        ]);
        let gone = removed(&sent, Level::Container);
        merge(
            &mut metadata,
            &received(&sent, Level::Container).unwrap(),
            &gone,
        )
        .unwrap();
        let names: Vec<_> = metadata.keys().map(String::as_str).collect();
        assert_eq!(names, ["c", "nested"]);
    }
}
