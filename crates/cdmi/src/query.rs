//! Query strings: which fields of an object a request is about, in both spellings.
//!
//! 2.0 writes `?metadata=colour&value=0-10`, 1.1.1 `?metadata:colour;value:0-10`; some examples of 2.0
//! still write the colon, so it is read there after the names that take an argument. Names that no
//! object has are kept: asked for, they are absent from the answer.

use trestle_core::{Error, Result};
use trestle_http::decode;

use crate::version::Version;

/// Most fields that one query may name.
const FIELDS_MAX: usize = 1024;

/// Fields that an argument may follow.
const WITH_ARGUMENT: [&str; 4] = ["children", "metadata", "value", "values"];

/// A range as clients write it: both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first.
    pub(crate) first: u64,
    /// The last, at least `first`.
    pub(crate) last: u64,
}

impl Span {
    /// Parses `<first>-<last>`, or `<first>-` for all from there on.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::invalid(format!("{text:?} is not a range"));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let (first, last) = text.split_once('-').ok_or_else(malformed)?;
        let first = number(first).ok_or_else(malformed)?;
        let last = match last {
            "" => u64::MAX,
            last => number(last).ok_or_else(malformed)?,
        };
        if first > last {
            return Err(malformed());
        }
        Ok(Span { first, last })
    }

    /// How many it covers.
    pub(crate) fn count(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// One field of a query, with what follows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    argument: Option<String>,
}

/// The fields that a request selects; none means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<Field>);

impl Fields {
    /// Parses a query string in the spelling of the request's version.
    pub(crate) fn parse(query: Option<&str>, version: &Version) -> Result<Self> {
        let first = version.is_first();
        let separators: &[char] = if first { &['&', ';'] } else { &['&'] };
        let mut fields = Vec::new();
        for pair in query.unwrap_or_default().split(separators) {
            if pair.is_empty() {
                continue;
            }
            if fields.len() == FIELDS_MAX {
                return Err(Error::invalid(format!(
                    "a query names more than {FIELDS_MAX} fields"
                )));
            }
            let cut = match first {
                true => pair.split_once([':', '=']),
                false => pair.split_once('=').or_else(|| {
                    let cut = pair.split_once(':');
                    cut.filter(|(name, _)| WITH_ARGUMENT.contains(name))
                }),
            };
            let (name, argument) = match cut {
                Some((name, argument)) => (name, Some(decode(argument)?)),
                None => (pair, None),
            };
            fields.push(Field {
                name: decode(name)?,
                argument: argument.filter(|argument| !argument.is_empty()),
            });
        }
        Ok(Fields(fields))
    }

    /// Whether all fields are meant.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.is_all() || self.names(name)
    }

    /// Whether a field is named.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.name == name)
    }

    /// Whether nothing but the access control list is asked for.
    pub(crate) fn is_list_alone(&self) -> bool {
        let list = |field: &Field| {
            field.name == "metadata" && field.argument.as_deref() == Some(crate::rights::ITEM)
        };
        !self.is_all() && self.0.iter().all(list)
    }

    /// Whether one field is named, once.
    pub(crate) fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// What follows each mention of a field; empty when it is mentioned without, too, or not.
    pub(crate) fn arguments(&self, name: &str) -> Vec<&str> {
        let mentions: Vec<_> = self.0.iter().filter(|field| field.name == name).collect();
        if mentions.iter().any(|field| field.argument.is_none()) {
            return Vec::new();
        }
        mentions
            .iter()
            .filter_map(|field| field.argument.as_deref())
            .collect()
    }

    /// The ranges that follow a field.
    pub(crate) fn spans(&self, name: &str) -> Result<Vec<Span>> {
        self.arguments(name).into_iter().map(Span::parse).collect()
    }

    /// The one range that follows a field, if any.
    pub(crate) fn span(&self, name: &str) -> Result<Option<Span>> {
        let spans = self.spans(name)?;
        if spans.len() > 1 {
            return Err(Error::invalid(format!("{name} has more than one range")));
        }
        Ok(spans.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(query: &str) -> Fields {
        Fields::parse(Some(query), &Version::Second).unwrap()
    }

    #[test]
    fn both_spellings_name_fields_and_what_follows_them() {
        assert!(second("").is_all() && second("").has("value"));
        for fields in [
            second("objectName&metadata=%40us&metadata=b&value=0-10"),
            Fields::parse(
                Some("objectName;metadata:%40us;metadata:b;value:0-10"),
                &Version::First("1.1.1"),
            )
            .unwrap(),
        ] {
            assert!(fields.has("objectName") && !fields.has("objectID"));
            assert_eq!(fields.arguments("metadata"), ["@us", "b"]);
            let span = fields.span("value").unwrap().unwrap();
            assert_eq!((span.first, span.last, span.count()), (0, 10, 11));
        }
        assert!(
            second("metadata&metadata=a")
                .arguments("metadata")
                .is_empty()
        );
        assert_eq!(second("metadata=a:b;c").arguments("metadata"), ["a:b;c"]);
        let colon = second("value:0-4&x:y");
        assert_eq!(colon.span("value").unwrap().unwrap().last, 4);
        assert!(colon.names("x:y") && !colon.names("x"));
    }

    #[test]
    fn ranges_are_numbers_in_order() {
        assert_eq!(
            second("value=0-4&value=6-7").spans("value").unwrap().len(),
            2
        );
        assert!(second("value=0-4&value=6-7").span("value").is_err());
        for bad in ["4", "-4", "-", "5-4", "a-b", "1-2-3", "+1-2", "0-1 "] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
        for open in ["0-99999999999999999999", "0-"] {
            assert_eq!(Span::parse(open).unwrap().last, u64::MAX);
        }
        let many = "a&".repeat(FIELDS_MAX + 1);
        assert!(Fields::parse(Some(&many), &Version::Second).is_err());
    }
}
