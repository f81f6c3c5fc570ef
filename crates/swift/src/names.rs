//! Names that an operator wants nobody to use, as Swift's name check has them: characters, a length, and
//! parts of a path that look like folders.

use crate::fault::{Fault, Outcome};
use crate::target::unquote;
use serde_json::{Value, json};

/// The longest path, unless the operator says otherwise.
const LENGTH_MAX: usize = 255;
/// What is refused of parts of a path, as `/info` says it.
const PATTERN: &str = r"/\./|/\.\./|/\.$|/\.\.$";

/// What no path may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    forbidden: String,
    length: usize,
}

impl Names {
    /// Forbids these characters, and paths that are longer than `length` bytes.
    ///
    /// # Errors
    /// What is no length.
    pub fn parse(forbidden: &str, length: Option<&str>) -> Result<Self, String> {
        let wrong = |text: &str| format!("{text:?} is no length of a path");
        let length = match length {
            Some(text) => text.parse().map_err(|_| wrong(text))?,
            None => LENGTH_MAX,
        };
        Ok(Names {
            forbidden: forbidden.to_owned(),
            length,
        })
    }

    /// Checks the raw path of a request.
    ///
    /// # Errors
    /// 400; 412 for what is not UTF-8.
    pub(crate) fn check(&self, raw: &str) -> Outcome<()> {
        let path = unquote(raw)?;
        let refused = |what: String| {
            let text = format!("Object/Container/Account name {what}");
            Err(Fault::html(400, text))
        };
        if path.contains(|c: char| self.forbidden.contains(c)) {
            return refused(format!("contains forbidden chars from {}", self.forbidden));
        }
        if path.len() > self.length {
            return refused(format!("longer than the allowed maximum {}", self.length));
        }
        let mut parts = path.split('/').skip(1);
        if parts.any(|part| part == "." || part == "..") {
            let what = format!("contains a forbidden substring from regular expression {PATTERN}");
            return refused(what);
        }
        Ok(())
    }

    /// What `/info` says.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "forbidden_chars": self.forbidden,
            "maximum_length": self.length,
            "forbidden_regexp": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked_as_they_are_meant() {
        let names = Names::parse("'\"`<>", Some("20")).unwrap();
        for sound in [
            "/v1/a/c/o",
            "/v1/a/c/.o/o..",
            "/v1/a/c/%C3%BC",
            "/v1/a/c/12345678901",
        ] {
            assert!(names.check(sound).is_ok(), "{sound}");
        }
        for bad in [
            "/v1/a/c/%3C",
            "/v1/a/c/o'",
            "/v1/a/c/./o",
            "/v1/a/c/%2E%2E",
            "/v1/a/c/o/..",
            "/v1/a/../c",
            "/v1/a/c/1234567890123",
            "/v1/a/c/%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC",
        ] {
            let fault = names.check(bad).unwrap_err();
            assert_eq!(fault.status(), 400, "{bad}");
        }
        assert!(Names::parse("", Some("long")).is_err());
        let default = Names::parse("", None).unwrap();
        assert!(
            default
                .check(&format!("/v1/a/c/{}", "x".repeat(247)))
                .is_ok()
        );
        assert!(
            default
                .check(&format!("/v1/a/c/{}", "x".repeat(248)))
                .is_err()
        );
    }
}
