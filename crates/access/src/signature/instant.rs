//! The dates that signatures carry: basic ISO 8601 and RFC 1123.

use trestle_core::Timestamp;

/// How far a request's date may be from this server's time, in microseconds.
pub(super) const SKEW_MAX: u64 = 15 * 60 * 1_000_000;

/// `20130524T000000Z`.
pub(super) fn basic(text: &str) -> Option<Timestamp> {
    let shape = <[u8; 16]>::try_from(text.as_bytes()).ok()?;
    let [c, e, y, z, m, n, d, f, b'T', h, i, j, k, s, t, b'Z'] = shape else {
        return None;
    };
    let digits = [c, e, y, z, m, n, d, f, h, i, j, k, s, t];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Of two digits, which always fit.
    let number = |tens: u8, ones: u8| ((tens - b'0') * 10 + (ones - b'0')).cast_signed();
    let year = i16::from(number(c, e)) * 100 + i16::from(number(y, z));
    let (month, day) = (number(m, n), number(d, f));
    let (hour, minute, second) = (number(h, i), number(j, k), number(s, t));
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    timestamp(jiff::tz::Offset::UTC.to_timestamp(date).ok()?)
}

/// `Tue, 27 Mar 2007 19:36:42 +0000`, or with `GMT`.
pub(super) fn rfc1123(text: &str) -> Option<Timestamp> {
    // The day of the week says nothing that the date does not, and some clients get it wrong.
    let text = text.split_once(", ").map_or(text, |(_, rest)| rest);
    timestamp(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

fn timestamp(at: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(at.as_microsecond()).ok().map(Timestamp)
}

/// The basic form of a time.
pub(super) fn to_basic(at: Timestamp) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map_or_else(
        |_| String::new(),
        |at| at.strftime("%Y%m%dT%H%M%SZ").to_string(),
    )
}

/// Whether two times are too far from each other.
pub(super) fn is_skewed(one: Timestamp, other: Timestamp) -> bool {
    one.0.abs_diff(other.0) > SKEW_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let at = Timestamp(1_369_353_600_000_000);
        assert_eq!(basic("20130524T000000Z"), Some(at));
        assert_eq!(rfc1123("Fri, 24 May 2013 00:00:00 GMT"), Some(at));
        assert_eq!(rfc1123("Fri, 24 May 2013 00:00:00 +0000"), Some(at));
        assert_eq!(rfc1123("Mon, 24 May 2013 00:00:00 GMT"), Some(at));
        assert_eq!(to_basic(at), "20130524T000000Z");
        for bad in [
            "",
            "20130524",
            "20130524T000000",
            "20131324T000000Z",
            "20130532T000000Z",
            "+0130524T000000Z",
            "2013052éT00000Z",
            "20130524T000000z",
        ] {
            assert_eq!(basic(bad), None, "{bad:?}");
        }
        for bad in ["", "yesterday", "Fri, 24 May", "20130524T000000Z"] {
            assert_eq!(rfc1123(bad), None, "{bad:?}");
        }
    }
}
