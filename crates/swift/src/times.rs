//! Times as Swift writes them: five decimals in X-Timestamp, six in listings, whole seconds rounded
//! up in Last-Modified.

use trestle_core::Timestamp;

const MICROS: u64 = 1_000_000;

/// `X-Timestamp`: seconds with five decimals.
pub(crate) fn x_timestamp(time: Timestamp) -> String {
    format!("{:010}.{:05}", time.0 / MICROS, time.0 % MICROS / 10)
}

/// What `X-Timestamp` says, with up to five decimals; what follows a `_` does not count.
pub(crate) fn parse_x_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.split('_').next().unwrap_or(text);
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(decimals) {
        return None;
    }
    let decimals: String = decimals.chars().chain("00000".chars()).take(5).collect();
    let micros = seconds.parse::<u64>().ok()?.checked_mul(MICROS)?;
    micros
        .checked_add(decimals.parse::<u64>().ok()? * 10)
        .map(Timestamp)
}

/// The whole second at or after a time: what Last-Modified shows, and date conditions compare.
pub(crate) fn rounded_up(time: Timestamp) -> u64 {
    // What is below the five decimals that X-Timestamp has does not count.
    (time.0 / 10 * 10).div_ceil(MICROS)
}

/// `Last-Modified`.
pub(crate) fn last_modified(time: Timestamp) -> String {
    trestle_http::http_date(Timestamp(rounded_up(time).saturating_mul(MICROS)))
}

/// The form of listings: ISO 8601 with six decimals and no zone.
pub(crate) fn listed(time: Timestamp) -> String {
    let micros = i64::try_from(time.0 / 10 * 10).unwrap_or(i64::MAX);
    let Ok(time) = jiff::Timestamp::from_microsecond(micros) else {
        return String::new();
    };
    let text = format!("{time:.6}");
    text.trim_end_matches('Z').to_owned()
}

/// Seconds of `YYYY-MM-DDTHH:MM:SSZ`, and of nothing else.
pub(crate) fn parse_iso(text: &str) -> Option<u64> {
    if text.len() != 20 || !text.ends_with('Z') || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

/// An integer as Swift's own language reads it: with a sign, spaces around it.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number of digits beyond every number is still one.
    text.parse().ok().or(digits.then_some(i64::MAX))
}

/// When a time given in whole seconds is.
pub(crate) fn at_second(seconds: u64) -> Timestamp {
    Timestamp(seconds.saturating_mul(MICROS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_come_back_as_they_were_shown() {
        for micros in [0, 10, 1_795_759_846_688_960] {
            let shown = x_timestamp(Timestamp(micros));
            assert_eq!(
                parse_x_timestamp(&shown),
                Some(Timestamp(micros)),
                "{shown}"
            );
        }
        assert_eq!(parse_x_timestamp("7"), Some(Timestamp(7_000_000)));
        assert_eq!(parse_x_timestamp("7.5_0001"), Some(Timestamp(7_500_000)));
        for bad in ["", ".5", "-1", "1e3", "x", "99999999999999999999"] {
            assert_eq!(parse_x_timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_form_has_its_own_precision() {
        let time = Timestamp(1_402_437_380_581_863);
        assert_eq!(x_timestamp(time), "1402437380.58186");
        assert_eq!(listed(time), "2014-06-10T21:56:20.581860");
        assert_eq!(last_modified(time), "Tue, 10 Jun 2014 21:56:21 GMT");
        assert_eq!(rounded_up(Timestamp(5_000_000)), 5);
        assert_eq!(rounded_up(Timestamp(5_000_009)), 5);
        assert_eq!(rounded_up(Timestamp(5_000_010)), 6);
        assert_eq!(x_timestamp(Timestamp(7)), "0000000000.00000");
        assert_eq!(listed(Timestamp(1_000_000)), "1970-01-01T00:00:01.000000");
    }

    #[test]
    fn only_the_full_zulu_form_is_read() {
        assert_eq!(parse_iso("2014-06-10T21:56:20Z"), Some(1_402_437_380));
        for bad in [
            "2014-06-10T21:56:20",
            "2014-06-10 21:56:20Z",
            "2014-06-10T21:56Z",
            "2014-13-10T21:56:20Z",
            "1402437380",
            "",
        ] {
            assert_eq!(parse_iso(bad), None, "{bad}");
        }
        assert_eq!(integer(" -7 "), Some(-7));
        assert_eq!(integer("1.5"), None);
        assert_eq!(integer(&"9".repeat(30)), Some(i64::MAX));
    }
}
