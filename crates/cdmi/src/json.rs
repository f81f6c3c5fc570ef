//! JSON of clients, read into values whose number has a limit.
//!
//! A value takes many times the memory of its text (`[0,0,0` three bytes of text each, or two), so the
//! length of a text alone does not bound what reading it takes.

use serde_json::Value;
use trestle_core::{Error, ErrorKind, Result};

/// Most values of one text: of arrays and objects those within them, too.
pub(crate) const VALUES_MAX: usize = 500_000;

/// Refuses a text of too many values, before any is made.
///
/// # Errors
/// `TooLarge`.
pub(crate) fn check(text: &[u8]) -> Result<()> {
    let mut count = 1usize;
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            // Each of these begins a value, or a member and its value.
            b',' | b'[' | b'{' | b':' => count += 1,
            _ => {}
        }
    }
    match count > VALUES_MAX {
        true => Err(Error::new(
            ErrorKind::TooLarge,
            format!("JSON has at most {VALUES_MAX} values"),
        )),
        false => Ok(()),
    }
}

/// Reads a text.
///
/// # Errors
/// `InvalidInput` for what is not JSON, `TooLarge` for too many values.
pub(crate) fn parse(text: &[u8]) -> Result<Value> {
    check(text)?;
    serde_json::from_slice(text)
        .map_err(|error| Error::invalid(format!("this is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_many_values_are_refused_whatever_they_are_made_of() {
        for piece in ["[]", "{}", "0", "\"\"", "{\"a\":0}"] {
            let few = format!("[{}]", vec![piece; 1000].join(","));
            assert!(parse(few.as_bytes()).is_ok(), "{piece}");
            let many = format!("[{}]", vec![piece; VALUES_MAX].join(","));
            let refused = parse(many.as_bytes()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TooLarge, "{piece}");
        }
        // What is within a string counts as one.
        let text = format!("\"{}\\\"{}\"", ",".repeat(VALUES_MAX), ",".repeat(9));
        assert!(parse(text.as_bytes()).is_ok());
        assert_eq!(parse(b"{").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
