//! Points in time and intervals as the standard writes them (clause 5.6).

use trestle_core::{Error, Result, Timestamp};

/// A time, to the microsecond: `YYYY-MM-DDThh:mm:ss.ssssssZ`.
pub(crate) fn text(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// Reads a time: with a fraction or without, in UTC or with an offset.
pub(crate) fn parse(text: &str) -> Result<Timestamp> {
    text.trim()
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|time| u64::try_from(time.as_microsecond()).ok())
        .map(Timestamp)
        .ok_or_else(|| Error::invalid(format!("{text:?} is not a time")))
}

/// An interval: from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    /// From here on.
    pub(crate) start: Timestamp,
    /// To here.
    pub(crate) end: Timestamp,
}

impl Interval {
    /// Reads `start/end`.
    ///
    /// # Errors
    /// `InvalidInput` for anything else, or an end before the start.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::invalid(format!("{text:?} is not an interval of time"));
        let (start, end) = text.split_once('/').ok_or_else(malformed)?;
        let (start, end) = (parse(start)?, parse(end)?);
        if end < start {
            return Err(malformed());
        }
        Ok(Interval { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_microsecond_and_read_in_any_precision() {
        let time = Timestamp(1_526_457_662_353_001);
        assert_eq!(text(time), "2018-05-16T08:01:02.353001Z");
        assert_eq!(parse("2018-05-16T08:01:02.353001Z").unwrap(), time);
        assert_eq!(
            parse("2018-05-16T10:01:02+02:00").unwrap(),
            Timestamp(1_526_457_662_000_000)
        );
        for bad in ["", "yesterday", "2018-05-16", "1969-12-31T00:00:00Z"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_do_not_end_before_they_start() {
        let year = Interval::parse("2010-01-01T00:00:00Z/2011-01-01T00:00:00.5Z").unwrap();
        assert!(year.start < year.end);
        for bad in [
            "2010-01-01T00:00:00Z",
            "2011-01-01T00:00:00Z/2010-01-01T00:00:00Z",
            "a/b",
            "/",
        ] {
            assert!(Interval::parse(bad).is_err(), "{bad}");
        }
    }
}
