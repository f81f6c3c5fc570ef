//! A header value that carries parameters (RFC 9110 §5.6.6): `value; name=token; name="quoted"`.

use trestle_core::{Error, Result};

/// Most parameters of one value.
const PARAMETERS_MAX: usize = 32;

/// A value and its parameters, their names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameterized {
    /// What stands before the first `;`, without blanks around it.
    pub value: String,
    /// Parameters in order. Repeated ones stay.
    pub parameters: Vec<(String, String)>,
}

impl Parameterized {
    /// Parses a value with its parameters.
    ///
    /// # Errors
    /// `InvalidInput` when it is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::invalid("a header's parameters are malformed");
        let (value, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                break;
            }
            let (name, after) = rest.split_once('=').ok_or_else(malformed)?;
            let name = name.trim_end();
            if name.is_empty() || !name.bytes().all(is_token) || parameters.len() >= PARAMETERS_MAX
            {
                return Err(malformed());
            }
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted).ok_or_else(malformed)?,
                None => {
                    let end = after.find(';').unwrap_or(after.len());
                    let (value, after) = after.split_at(end);
                    (value.trim().to_owned(), after)
                }
            };
            parameters.push((name.to_ascii_lowercase(), value));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(';') {
                return Err(malformed());
            }
        }
        Ok(Parameterized {
            value: value.trim().to_owned(),
            parameters,
        })
    }

    /// The first parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The text up to the closing quote, and what follows it. Backslashes that escape nothing stay:
/// some clients send whole paths of Windows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_tokens_or_quoted() {
        let parsed = Parameterized::parse(
            "multipart/Form-Data ; Boundary=\"a;\\\"b\\\\\" ;; charset=utf-8; f=\"C:\\x\"",
        )
        .unwrap();
        assert_eq!(parsed.value, "multipart/Form-Data");
        assert_eq!(parsed.parameter("boundary"), Some("a;\"b\\"));
        assert_eq!(parsed.parameter("charset"), Some("utf-8"));
        assert_eq!(parsed.parameter("f"), Some("C:\\x"));
        assert_eq!(parsed.parameter("none"), None);
        for bad in ["a;b", "a; =c", "a; b=\"c", "a; b=\"c\"d", "a; b c=d"] {
            assert!(Parameterized::parse(bad).is_err(), "{bad:?}");
        }
    }
}
