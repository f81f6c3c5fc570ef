//! Times as documents and headers of this protocol have them.

use trestle_core::Timestamp;

/// ISO 8601 to the millisecond, in UTC.
pub(crate) fn iso_time(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// Reads an ISO 8601 time, with an offset or in UTC.
pub(crate) fn parse_iso(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // The parser takes a blank there, too.
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok().map(Timestamp)
}

/// Reads a time in ISO 8601 or as an HTTP date, in whole seconds.
pub(crate) fn parse_any_seconds(text: &str) -> Option<u64> {
    if let Some(time) = parse_iso(text) {
        return Some(time.seconds());
    }
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::IF_UNMODIFIED_SINCE, text.parse().ok()?);
    trestle_http::parse_precondition(&headers)
        .ok()?
        .if_unmodified_since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_come_back() {
        let time = Timestamp(784_111_777_123_456);
        assert_eq!(iso_time(time), "1994-11-06T08:49:37.123Z");
        assert_eq!(
            parse_iso("1994-11-06T08:49:37.123Z"),
            Some(Timestamp(784_111_777_123_000))
        );
        assert_eq!(
            parse_iso("1994-11-06T09:49:37+01:00"),
            Some(Timestamp(784_111_777_000_000))
        );
        for bad in [
            "",
            "1994-11-06",
            "1994-11-06 08:49:37Z",
            "yesterday",
            "1950-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_iso(bad), None, "{bad}");
        }
        assert_eq!(
            parse_any_seconds("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
    }
}
