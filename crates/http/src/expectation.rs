//! What a request expects of whoever answers it (RFC 9110 §10.1.1).
//!
//! `100-continue` is met where the body is read. A handler refuses any other, or passes over it where
//! its protocol has it so: the standard leaves the choice.

use crate::problem::Problem;
use http::StatusCode;
use http::header::{EXPECT, HeaderMap, HeaderValue};

/// Refuses an expectation that is not met.
///
/// # Errors
/// 417.
pub fn check_expectations(headers: &HeaderMap) -> Result<(), Problem> {
    // An empty list expects nothing.
    let other = |value: &HeaderValue| {
        !value.is_empty() && !value.as_bytes().eq_ignore_ascii_case(b"100-continue")
    };
    match headers.get_all(EXPECT).iter().any(other) {
        false => Ok(()),
        true => Err(Problem::new(
            StatusCode::EXPECTATION_FAILED,
            "the only expectation that is met is 100-continue",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_expectation_is_met() {
        let check = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(EXPECT, HeaderValue::from_static(text));
            check_expectations(&headers).is_ok()
        };
        assert!(
            check("100-Continue") && check("") && check_expectations(&HeaderMap::new()).is_ok()
        );
        assert!(!check("something") && !check("100-continue, something"));
    }
}
