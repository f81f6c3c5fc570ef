//! The query of a request: parameters that are known, each at most once.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use trestle_core::{Error, Id, Result, VersionId};
use trestle_store::VersionRef;

/// Items of a page unless the request says otherwise.
const LIMIT_DEFAULT: usize = 1000;
/// Most items of a page.
const LIMIT_MAX: usize = 10_000;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Takes a query; what is not `known` is refused, and so is what is given twice.
    pub(crate) fn of(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self> {
        for (count, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Error::invalid(format!(
                    "the parameter {name:?} means nothing to what is asked for"
                )));
            }
            if pairs.iter().take(count).any(|(before, _)| before == name) {
                return Err(Error::invalid(format!(
                    "the parameter {name:?} is given twice"
                )));
            }
        }
        Ok(Parameters(pairs))
    }

    /// A parameter's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A value that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// Whether a parameter is there, without a value or as `true`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(_) => Err(Error::invalid(format!("{name} is true or false"))),
        }
    }

    /// How many items a page has.
    pub(crate) fn limit(&self) -> Result<usize> {
        let Some(value) = self.get("limit") else {
            return Ok(LIMIT_DEFAULT);
        };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let limit = value
            .parse()
            .ok()
            .filter(|limit| digits && *limit <= LIMIT_MAX);
        limit.ok_or_else(|| Error::invalid(format!("limit is a number from 0 to {LIMIT_MAX}")))
    }

    /// The version that `name` gives; the current one without it.
    pub(crate) fn version(&self, name: &str) -> Result<VersionRef> {
        match self.get(name) {
            None => Ok(VersionRef::Current),
            Some("null") => Ok(VersionRef::Null),
            Some(text) => {
                let id = Id::parse(text).map(VersionId);
                id.map(VersionRef::Id)
                    .ok_or_else(|| Error::invalid(format!("{name} is no version: {text:?}")))
            }
        }
    }

    /// These parameters as a query, with some of them replaced.
    pub(crate) fn with(&self, replaced: &[(&str, Option<&str>)]) -> String {
        let kept = self
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = kept.filter(|(name, _)| replaced.iter().all(|(other, _)| other != name));
        let given = replaced
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<String> = kept
            .chain(given)
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        format!("?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_and_single() {
        let parse = |text| {
            let pairs = trestle_http::query(Some(text)).unwrap();
            Parameters::of(pairs, &["a", "limit", "v"])
        };
        let read = parse("a&limit=7&v=null").unwrap();
        assert!(read.flag("a").unwrap());
        assert_eq!(read.limit().unwrap(), 7);
        assert_eq!(read.version("v").unwrap(), VersionRef::Null);
        assert_eq!(read.version("w").unwrap(), VersionRef::Current);
        assert_eq!(
            read.with(&[("v", Some("x/")), ("a", None)]),
            "?limit=7&v=x%2F"
        );
        for bad in ["b=1", "a&a"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("a=x").unwrap().flag("a").is_err());
        for bad in ["limit=", "limit=+1", "limit=10001"] {
            assert!(parse(bad).unwrap().limit().is_err(), "{bad}");
        }
        assert!(parse("v=12").unwrap().version("v").is_err());
    }
}
