//! Conditional headers (RFC 9110 §13.1) into a precondition, and dates.

use http::HeaderMap;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use std::time::{Duration, SystemTime};
use trestle_core::{Error, Precondition, Result, Tag, TagMatch, Timestamp, Validators};

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

/// What If-Range says (RFC 9110 §13.1.5); a dialect picks its reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// Nothing.
    Absent,
    /// Several values, none, or quotes that do not match.
    Malformed,
    /// One value that is neither quoted nor a date: perhaps an entity tag without its quotes.
    Bare(String),
    /// An entity tag.
    Tag(Tag),
    /// A date, in whole seconds.
    Date(u64),
}

impl IfRange {
    /// Whether the Range header counts. A date is compared only when `dates_are_strong`: when
    /// nothing can have changed twice within the second that it names.
    pub fn holds(&self, current: &Validators, dates_are_strong: bool) -> bool {
        match self {
            IfRange::Absent => true,
            IfRange::Malformed | IfRange::Bare(_) => false,
            IfRange::Tag(tag) => !tag.weak && tag.opaque == current.tag,
            IfRange::Date(date) => dates_are_strong && *date == current.modified.seconds(),
        }
    }
}

/// Parses the If-Range header.
pub fn parse_if_range(headers: &HeaderMap) -> IfRange {
    let mut values = headers.get_all(IF_RANGE).iter();
    let text = match (values.next(), values.next()) {
        (None, _) => return IfRange::Absent,
        (Some(value), None) => value.to_str().unwrap_or_default().trim(),
        _ => return IfRange::Malformed,
    };
    let (weak, quoted) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(rest) = quoted.strip_prefix('"') {
        return match rest.strip_suffix('"') {
            Some(opaque) if !opaque.contains('"') => IfRange::Tag(Tag {
                opaque: opaque.to_owned(),
                weak,
            }),
            _ => IfRange::Malformed,
        };
    }
    match parse_http_date(text) {
        Some(date) => IfRange::Date(date),
        None if text.is_empty() || text.contains('"') => IfRange::Malformed,
        None => IfRange::Bare(text.to_owned()),
    }
}

/// A date in any of the three forms of RFC 9110 §5.6.7, in whole seconds since 1970.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>> {
    let mut values = headers.get_all(name).iter();
    let date = values
        .next()
        .and_then(|value| parse_http_date(value.to_str().ok()?));
    match values.next() {
        Some(_) => Err(Error::invalid(format!("the {name} header is repeated"))),
        None => Ok(date),
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
        loop {
            // Empty elements say nothing (RFC 9110 §5.6.1.2).
            rest = rest.trim_start_matches([',', ' ', '\t']);
            if rest.is_empty() {
                break;
            }
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
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(malformed());
            }
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
            Some(TagMatch::Tags(list.clone()))
        );
        assert_eq!(
            if_match(&[" ,, \"a,b\" ,\t, W/\"c\",", ",\"\""]).unwrap(),
            Some(TagMatch::Tags(list))
        );
        for bad in ["", "a", "\"a", "\"a\"b", "*,\"a\"", "w/\"a\"", ","] {
            assert!(if_match(&[bad]).is_err(), "{bad:?}");
        }
        assert!(if_match(&["*", "\"a\""]).is_err());
    }

    #[test]
    fn if_range_is_a_strong_tag_or_a_date() {
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.append(IF_RANGE, text.parse().unwrap());
            parse_if_range(&headers)
        };
        let current = Validators {
            tag: "a".into(),
            modified: Timestamp(784_111_777_400_000),
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert!(IfRange::Absent.holds(&current, false));
        assert!(parse("\"a\"").holds(&current, false));
        assert!(!parse("W/\"a\"").holds(&current, true));
        assert!(!parse("\"b\"").holds(&current, true));
        assert!(parse(date).holds(&current, true));
        assert!(!parse(date).holds(&current, false));
        assert!(!parse("Sun, 06 Nov 1994 08:49:38 GMT").holds(&current, true));
        for bad in ["", "\"a", "\"a\"b\"", "a\"", "W/"] {
            assert!(!parse(bad).holds(&current, true), "{bad:?}");
        }
        assert_eq!(parse("\"a"), IfRange::Malformed);
        for bare in ["a", "*"] {
            assert_eq!(parse(bare), IfRange::Bare(bare.to_owned()));
            assert!(!parse(bare).holds(&current, true), "{bare:?}");
        }
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
