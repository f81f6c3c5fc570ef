//! Conditional headers (RFC 9110 §13.1) into a precondition, and dates.

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use std::time::{Duration, SystemTime};
use trestle_core::{Error, Precondition, Result, Tag, TagMatch, Timestamp};

/// Most entity tags in one header.
const TAGS_MAX: usize = 100;

/// A time as an HTTP date, in whole seconds.
pub fn http_date(time: Timestamp) -> String {
    // Beyond the year 9999 the form has no room.
    let seconds = time.seconds().min(253_402_300_799);
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Parses the four conditional headers that a precondition has. A date that cannot be parsed is
/// ignored, as RFC 9110 §13.1.3 demands.
///
/// # Errors
/// `InvalidInput` for a malformed list of entity tags, or a repeated date.
pub fn parse_precondition(headers: &HeaderMap) -> Result<Precondition> {
    Ok(Precondition {
        if_match: tags(headers, &IF_MATCH)?,
        if_none_match: tags(headers, &IF_NONE_MATCH)?,
        if_modified_since: date(headers, &IF_MODIFIED_SINCE)?,
        if_unmodified_since: date(headers, &IF_UNMODIFIED_SINCE)?,
    })
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>> {
    let mut values = headers.get_all(name).iter();
    let date = values.next().and_then(|value| {
        let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
        date.duration_since(SystemTime::UNIX_EPOCH).ok()
    });
    match values.next() {
        Some(_) => Err(Error::invalid(format!("the {name} header is repeated"))),
        None => Ok(date.map(|since| since.as_secs())),
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<TagMatch>> {
    let malformed = || Error::invalid(format!("the {name} header is not a list of entity tags"));
    let mut found = Vec::new();
    let mut any = false;
    let mut present = false;
    for value in headers.get_all(name) {
        present = true;
        let text = value.to_str().map_err(|_| malformed())?.trim();
        if text == "*" {
            any = true;
            continue;
        }
        let mut rest = text;
        while !rest.is_empty() {
            let (weak, opened) = match rest.strip_prefix("W/") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let (opaque, after) = opened
                .strip_prefix('"')
                .and_then(|rest| rest.split_once('"'))
                .ok_or_else(malformed)?;
            found.push(Tag {
                opaque: opaque.to_owned(),
                weak,
            });
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(rest) => rest.trim_start(),
                None if after.is_empty() => after,
                None => return Err(malformed()),
            };
        }
    }
    match (present, any, found.is_empty()) {
        (false, ..) => Ok(None),
        (true, true, true) => Ok(Some(TagMatch::Any)),
        (true, false, false) if found.len() <= TAGS_MAX => Ok(Some(TagMatch::Tags(found))),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(values: &[&str]) -> Result<Option<TagMatch>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, value.parse().unwrap());
        }
        parse_precondition(&headers).map(|precondition| precondition.if_match)
    }

    #[test]
    fn tags_are_parsed_strictly() {
        assert_eq!(if_match(&[]).unwrap(), None);
        assert_eq!(if_match(&["*"]).unwrap(), Some(TagMatch::Any));
        let tag = |opaque: &str, weak| Tag {
            opaque: opaque.into(),
            weak,
        };
        let list = vec![tag("a,b", false), tag("c", true), tag("", false)];
        assert_eq!(
            if_match(&["\"a,b\" , W/\"c\"", "\"\""]).unwrap(),
            Some(TagMatch::Tags(list))
        );
        for bad in ["", "a", "\"a", "\"a\"b", "*,\"a\"", "w/\"a\"", ","] {
            assert!(if_match(&[bad]).is_err(), "{bad:?}");
        }
        assert!(if_match(&["*", "\"a\""]).is_err());
    }

    #[test]
    fn dates_are_whole_seconds_and_bad_ones_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(
            IF_MODIFIED_SINCE,
            "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap(),
        );
        headers.insert(IF_UNMODIFIED_SINCE, "yesterday".parse().unwrap());
        let parsed = parse_precondition(&headers).unwrap();
        assert_eq!(parsed.if_modified_since, Some(784_111_777));
        assert_eq!(parsed.if_unmodified_since, None);
        headers.append(IF_UNMODIFIED_SINCE, "today".parse().unwrap());
        assert!(parse_precondition(&headers).is_err());
        let date = http_date(Timestamp(784_111_777_999_999));
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(http_date(Timestamp(u64::MAX)).contains("9999"));
    }
}
