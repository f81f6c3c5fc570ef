//! Which version of the standard a request speaks (clauses 5.7.1 and, of 1.1.1, 5.13.1).
//!
//! A request of 2.0 carries no version header; one that carries it is answered as 1.1.1 would.

use http::{HeaderMap, HeaderName, HeaderValue};
use trestle_core::{Error, Result};

/// The header that 1.x clients must send, and its answers carry.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-cdmi-specification-version");

/// The strings that stand for 1.x, newest first: all are answered as 1.1.1 would.
const FIRST: [&str; 9] = [
    "1.1.1", "1.1.0", "1.1", "1.0.2", "1.0.1h", "1.0.1g", "1.0.1", "1.0.0", "1.0",
];
/// Longest header that is looked at.
const LENGTH_MAX: usize = 256;

/// How a request is read and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// As 2.0: no header.
    Second,
    /// As 1.1.1; the answer names this version.
    First(&'static str),
}

impl Version {
    /// The version of a request.
    ///
    /// # Errors
    /// `InvalidInput` when the header names none that is spoken here.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self> {
        let mut named = Vec::new();
        let mut present = false;
        for value in headers.get_all(HEADER) {
            present = true;
            let text = value.to_str().unwrap_or_default();
            if text.len() > LENGTH_MAX {
                return Err(Error::invalid("the version header is too long"));
            }
            named.extend(text.split(',').map(|version| version.trim().to_owned()));
        }
        if !present {
            return Ok(Version::Second);
        }
        let spoken = |version: &&&str| named.iter().any(|named| named == **version);
        if let Some(version) = FIRST.iter().find(spoken) {
            return Ok(Version::First(version));
        }
        // Another release of 1.x, as old clients name them.
        if named.iter().any(|version| version.starts_with("1.")) {
            return Ok(Version::First("1.1.1"));
        }
        Err(Error::invalid(
            "no version that the client names is spoken here: 1.0 to 1.1.1, and 2.0 without \
             the header",
        ))
    }

    /// Whether it is 1.x.
    pub(crate) fn is_first(&self) -> bool {
        matches!(self, Version::First(_))
    }

    /// What the answer says.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        if let Version::First(version) = self {
            headers.insert(HEADER, HeaderValue::from_static(version));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(values: &[&str]) -> Result<Version> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        Version::of(&headers)
    }

    #[test]
    fn the_header_selects_the_first_version_and_the_highest_common_one_answers() {
        assert_eq!(version(&[]).unwrap(), Version::Second);
        assert_eq!(version(&["1.1.1"]).unwrap(), Version::First("1.1.1"));
        assert_eq!(version(&["1.0, 1.1"]).unwrap(), Version::First("1.1"));
        assert_eq!(version(&["1.0.1h"]).unwrap(), Version::First("1.0.1h"));
        assert_eq!(version(&["1.0", "1.0.2"]).unwrap(), Version::First("1.0.2"));
        assert_eq!(version(&["1.5"]).unwrap(), Version::First("1.1.1"));
        for bad in ["", "2.0", "3.1, 0.8", "1"] {
            assert!(version(&[bad]).is_err(), "{bad:?}");
        }
        let mut headers = HeaderMap::new();
        Version::Second.mark(&mut headers);
        assert!(headers.is_empty());
        Version::First("1.0.2").mark(&mut headers);
        assert_eq!(headers[HEADER], "1.0.2");
    }
}
