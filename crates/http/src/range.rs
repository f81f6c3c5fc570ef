//! The Range header (RFC 9110 §14.2), with its malformed and unusual forms kept apart.

use http::HeaderMap;
use http::header::RANGE;
use trestle_core::ByteRange;

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
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return RangeHeader::Malformed;
    }
    let ranges: Option<Vec<ByteRange>> = list.split(',').take(RANGES_MAX + 1).map(one).collect();
    match ranges {
        Some(ranges) if ranges.len() > RANGES_MAX => RangeHeader::Malformed,
        Some(ranges) => match ranges.as_slice() {
            [range] => RangeHeader::One(*range),
            _ => RangeHeader::Several(ranges),
        },
        None => RangeHeader::Malformed,
    }
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
    fn forms_are_told_apart() {
        use ByteRange::*;
        assert_eq!(
            parse("bytes=0-4"),
            RangeHeader::One(Inclusive { first: 0, last: 4 })
        );
        assert_eq!(parse("Bytes= 7- "), RangeHeader::One(From(7)));
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
