//! The Range header (RFC 9110 §14.2), with its malformed and unusual forms kept apart.

use http::HeaderMap;
use http::header::{CONTENT_RANGE, RANGE};
use trestle_core::{ByteRange, Error, ErrorKind, ResolvedRange, Result};

/// What a request says about ranges; a dialect picks its reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeHeader {
    /// Nothing.
    Absent,
    /// Not a byte range that can be understood.
    Malformed,
    /// One range.
    One(ByteRange),
    /// Several ranges.
    Several(Vec<ByteRange>),
}

/// Most ranges of one header that are told apart from malformed ones.
const RANGES_MAX: usize = 100;

/// Parses the Range header.
pub fn parse_range(headers: &HeaderMap) -> RangeHeader {
    let mut values = headers.get_all(RANGE).iter();
    let Some(value) = values.next() else {
        return RangeHeader::Absent;
    };
    if values.next().is_some() {
        return RangeHeader::Malformed;
    }
    let Some((unit, list)) = value.to_str().ok().and_then(|text| text.split_once('=')) else {
        return RangeHeader::Malformed;
    };
    // Blanks stand around commas alone.
    if !unit.eq_ignore_ascii_case("bytes") || list.trim() != list {
        return RangeHeader::Malformed;
    }
    // Empty elements say nothing (RFC 9110 §5.6.1.2).
    let said = list.split(',').filter(|each| !each.trim().is_empty());
    let ranges: Option<Vec<ByteRange>> = said.take(RANGES_MAX + 1).map(one).collect();
    match ranges {
        Some(ranges) if ranges.len() > RANGES_MAX => RangeHeader::Malformed,
        Some(ranges) => match ranges.as_slice() {
            [] => RangeHeader::Malformed,
            [range] => RangeHeader::One(*range),
            _ => RangeHeader::Several(ranges),
        },
        None => RangeHeader::Malformed,
    }
}

/// Several ranges against a length: those that lie within it, in the order asked for.
///
/// # Errors
/// `RangeNotSatisfiable` when none does.
pub fn resolve_ranges(ranges: &[ByteRange], length: u64) -> Result<Vec<ResolvedRange>> {
    let within = ranges.iter().filter_map(|range| range.resolve(length).ok());
    let within: Vec<ResolvedRange> = within.collect();
    if within.is_empty() {
        let message = format!("no range lies within the {length} bytes");
        return Err(Error::new(
            ErrorKind::RangeNotSatisfiable { length },
            message,
        ));
    }
    Ok(within)
}

/// How many ranges overlap one that stands before them, and how many begin before the one before
/// them: what RFC 9110 §14.2 suggests to look at in order to refuse what only costs.
pub fn range_disorder(ranges: &[ResolvedRange]) -> (usize, usize) {
    let overlaps = |(count, range): (usize, &ResolvedRange)| {
        let before = ranges.get(..count).unwrap_or_default();
        let overlapped = |other: &ResolvedRange| other.start < range.end && range.start < other.end;
        before.iter().any(overlapped)
    };
    let overlapping = ranges.iter().enumerate().filter(|each| overlaps(*each));
    let decreasing = ranges.windows(2).filter(|pair| match pair {
        [first, second] => second.start < first.start,
        _ => false,
    });
    (overlapping.count(), decreasing.count())
}

/// The range of a content that a body is (RFC 9110 §14.4), as a request says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, at least `first`.
    pub last: u64,
    /// Length of the whole, when it is said.
    pub total: Option<u64>,
}

impl ContentRange {
    /// How many bytes the body has.
    pub fn length(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Parses the Content-Range header of a request; none when there is none.
///
/// # Errors
/// `InvalidInput` for anything else than one range of bytes.
pub fn parse_content_range(headers: &HeaderMap) -> Result<Option<ContentRange>> {
    let malformed = || Error::invalid("Content-Range is not bytes FIRST-LAST/*");
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| malformed())?;
    let (unit, rest) = text.split_once(' ').ok_or_else(malformed)?;
    let (range, total) = rest.trim().split_once('/').ok_or_else(malformed)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(malformed)
    };
    let (first, last) = range.split_once('-').ok_or_else(malformed)?;
    let found = ContentRange {
        first: number(first)?,
        last: number(last)?,
        total: match total {
            "*" => None,
            total => Some(number(total)?),
        },
    };
    let sound = found.first <= found.last && found.total.is_none_or(|total| found.last < total);
    if !unit.eq_ignore_ascii_case("bytes") || !sound || values.next().is_some() {
        return Err(malformed());
    }
    Ok(Some(found))
}

fn one(text: &str) -> Option<ByteRange> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number beyond 64 bits is beyond every length, and so is the largest one.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match text.trim().split_once('-')? {
        ("", suffix) => number(suffix).map(ByteRange::Suffix),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::Inclusive { first, last })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> RangeHeader {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, value.parse().unwrap());
        parse_range(&headers)
    }

    #[test]
    fn a_content_range_is_one_range() {
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            parse_content_range(&headers)
        };
        let found = parse("bytes 5-9/*").unwrap().unwrap();
        assert_eq!((found.first, found.length(), found.total), (5, 5, None));
        assert_eq!(parse("Bytes 0-0/1").unwrap().unwrap().total, Some(1));
        for bad in [
            "bytes */5",
            "bytes 5-4/*",
            "bytes 0-5/5",
            "bytes=0-1/*",
            "lines 0-1/*",
            "bytes 0-1",
            "bytes -1/*",
            "bytes +0-1/*",
            "bytes 0-99999999999999999999/*",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_content_range(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn several_ranges_resolve_and_their_disorder_shows() {
        let RangeHeader::Several(ranges) = parse("bytes=4-9,0-1,90-,-3,5-6") else {
            panic!("several ranges");
        };
        let resolved = resolve_ranges(&ranges, 10).unwrap();
        let pairs: Vec<(u64, u64)> = resolved.iter().map(|r| (r.start, r.end)).collect();
        assert_eq!(pairs, [(4, 10), (0, 2), (7, 10), (5, 7)]);
        assert_eq!(range_disorder(&resolved), (2, 2));
        assert_eq!(range_disorder(&[]), (0, 0));
        let none = resolve_ranges(&[ByteRange::From(10)], 10).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::RangeNotSatisfiable { length: 10 });
    }

    #[test]
    fn forms_are_told_apart() {
        use ByteRange::*;
        assert_eq!(
            parse("bytes=0-4"),
            RangeHeader::One(Inclusive { first: 0, last: 4 })
        );
        assert_eq!(parse("Bytes=7-"), RangeHeader::One(From(7)));
        assert_eq!(
            parse("bytes=-9 ,\t7-"),
            RangeHeader::Several(vec![Suffix(9), From(7)])
        );
        assert_eq!(parse("bytes=-9"), RangeHeader::One(Suffix(9)));
        assert_eq!(
            parse("bytes=0-0,-1"),
            RangeHeader::Several(vec![Inclusive { first: 0, last: 0 }, Suffix(1)])
        );
        let huge = "bytes=0-99999999999999999999999";
        assert_eq!(
            parse(huge),
            RangeHeader::One(Inclusive {
                first: 0,
                last: u64::MAX
            })
        );
        for bad in [
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=4-0",
            "bytes=a-b",
            "items=0-1",
            "bytes=+1-2",
            "bytes= -1",
            "bytes=-1 ",
            "bytes =-1",
        ] {
            assert_eq!(parse(bad), RangeHeader::Malformed, "{bad}");
        }
        assert_eq!(
            parse(&format!("bytes={}0-0", "0-0,".repeat(100))),
            RangeHeader::Malformed
        );
        assert_eq!(parse_range(&HeaderMap::new()), RangeHeader::Absent);
    }
}
