//! Percent-decoding, once: paths and queries as text.

use trestle_core::{Error, Result};

/// Decodes a path or one of its parts. Nothing is normalised: `..` and `//` are ordinary.
///
/// # Errors
/// `InvalidInput` for a `%` without two hexadecimal digits, or bytes that are not UTF-8.
pub fn decode(text: &str) -> Result<String> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if !rest
            .get(..2)
            .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(Error::invalid(
                "a '%' in the URL is not followed by two hex digits",
            ));
        }
    }
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| Error::invalid("the URL is not UTF-8"))
}

/// The parameters of a query in order, decoded; one without `=` has an empty value. `+` stands for
/// itself.
///
/// # Errors
/// As [`decode`].
pub fn query(text: Option<&str>) -> Result<Vec<(String, String)>> {
    text.unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_decode_once_and_are_not_normalised() {
        assert_eq!(decode("a%2Fb/../c//%25d+").unwrap(), "a/b/../c//%d+");
        assert_eq!(decode("%C3%A9").unwrap(), "é");
        for bad in ["%", "%2", "%zz", "%+1", "%ff", "%c0%af", "a%\u{e9}"] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
        let pairs = query(Some("a=1&b&&c=%26=")).unwrap();
        let expected = [("a", "1"), ("b", ""), ("c", "&=")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }
}
