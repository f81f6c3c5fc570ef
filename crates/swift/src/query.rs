//! The query of a request, as a form: `+` is a space, a name without `=` has an empty value, the
//! first of several wins.

use crate::fault::{Fault, Outcome};
use percent_encoding::percent_decode;

/// A decoded query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Most parameters of one query.
const PARAMETERS_MAX: usize = 100;

fn decode(text: &str) -> Outcome<String> {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| Fault::text(400, "Query string is not valid UTF-8"))
}

impl Query {
    /// Decodes the part of a target after its `?`.
    pub(crate) fn parse(text: Option<&str>) -> Outcome<Self> {
        let mut pairs = Vec::new();
        for pair in text.unwrap_or_default().split(['&', ';']) {
            if pair.is_empty() {
                continue;
            }
            if pairs.len() == PARAMETERS_MAX {
                return Err(Fault::text(400, "Too many query parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Query(pairs))
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, when it is not empty.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether a parameter says yes.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// How many parameters there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the parameter is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// What counts as yes in headers and queries.
pub(crate) fn is_true(text: &str) -> bool {
    ["true", "1", "yes", "on", "t", "y"]
        .iter()
        .any(|yes| text.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_form() {
        let query = Query::parse(Some("a=b+c&x&a=2&n=%C3%A9&=v&p=%2B")).unwrap();
        assert_eq!(query.get("a"), Some("b c"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.some("x"), None);
        assert!(query.has("x") && !query.has("y"));
        assert_eq!(query.get("n"), Some("é"));
        assert_eq!(query.get("p"), Some("+"));
        assert!(Query::parse(Some("a=%ff")).is_err());
        assert!(Query::parse(Some(&"a&".repeat(101))).is_err());
        for yes in ["True", "1", "ON", "y"] {
            assert!(is_true(yes));
        }
        assert!(!is_true("no") && !is_true(""));
    }
}
