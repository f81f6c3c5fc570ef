//! Texts of a policy with wildcards and variables.
//!
//! What a variable stands for is never a wildcard itself: a user called `*` is one user. A pattern is
//! matched as it was parsed: nothing is allocated unless it has variables or disregards case.

use super::{Asking, Reading};
use std::borrow::Cow;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Never empty, and never beside another one.
    Text(String),
    /// `?`
    One,
    /// `*`
    Many,
    /// `${name}`, with what it stands for when there is no such thing.
    Variable(String, Option<String>),
}

/// A text with wildcards and variables.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    has_variables: bool,
}

impl Pattern {
    /// Reads a text. `wildcards` and `reading` say what has a meaning in it; without a reading
    /// there are no variables.
    pub(super) fn parse(
        text: &str,
        wildcards: bool,
        reading: Option<&Reading>,
    ) -> Result<Pattern, String> {
        let reading = reading.filter(|reading| reading.variables);
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(reading) = reading
                && let Some(after) = rest.strip_prefix("${")
            {
                let (inner, after) = after
                    .split_once('}')
                    .ok_or("a variable has no closing '}'")?;
                match variable(inner, reading)? {
                    Part::Text(text) => add_text(&mut parts, &text),
                    part => parts.push(part),
                }
                rest = after;
                continue;
            }
            let (one, after) = rest.split_at(c.len_utf8());
            match c {
                '*' if wildcards => parts.push(Part::Many),
                '?' if wildcards => parts.push(Part::One),
                _ => add_text(&mut parts, one),
            }
            rest = after;
        }
        let has_variables = parts.iter().any(|p| matches!(p, Part::Variable(..)));
        Ok(Pattern {
            parts,
            has_variables,
        })
    }

    /// Whether it has neither wildcards nor variables.
    pub(super) fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text of a pattern that [is fixed](Self::is_fixed), or the text before the first part
    /// that is not.
    pub(super) fn literal(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether a text matches; never, when a variable stands for nothing.
    pub(super) fn matches(&self, text: &str, asking: &Asking<'_>, fold: bool) -> bool {
        let parts = match self.has_variables || fold {
            false => Cow::Borrowed(self.parts.as_slice()),
            true => match self.filled_in(asking, fold) {
                Some(parts) => Cow::Owned(parts),
                None => return false,
            },
        };
        match fold {
            false => glob(&parts, text),
            true => glob(&parts, &folded(text)),
        }
    }

    /// The parts with what variables stand for.
    fn filled_in(&self, asking: &Asking<'_>, fold: bool) -> Option<Vec<Part>> {
        let text = |text: &str| match fold {
            true => Part::Text(folded(text)),
            false => Part::Text(text.to_owned()),
        };
        let fill = |part: &Part| match part {
            Part::Text(plain) => Some(text(plain)),
            Part::Variable(name, default) => {
                let values = asking.values(name);
                let one = values.as_ref().and_then(super::condition::Values::only);
                one.or(default.as_deref().map(Cow::Borrowed))
                    .map(|one| text(&one))
            }
            wildcard => Some(wildcard.clone()),
        };
        self.parts.iter().map(fill).collect()
    }
}

fn add_text(parts: &mut Vec<Part>, more: &str) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push_str(more),
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

fn folded(text: &str) -> String {
    let fold = |c: char| c.to_lowercase().next().unwrap_or(c);
    text.chars().map(fold).collect()
}

/// `${*}`, `${?}` and `${$}` are those characters; `${key, 'default'}` has a default.
fn variable(inner: &str, reading: &Reading) -> Result<Part, String> {
    if let "*" | "?" | "$" = inner {
        return Ok(Part::Text(inner.to_owned()));
    }
    let (name, default) = match inner.split_once(',') {
        None => (inner, None),
        Some((name, default)) => {
            let quoted = default.trim().strip_prefix('\'');
            let default = quoted.and_then(|text| text.strip_suffix('\''));
            let default = default.ok_or("a variable's default stands in single quotes")?;
            (name, Some(default.to_owned()))
        }
    };
    let name = name.trim();
    if !super::condition::is_known_key(name) {
        reading.pass_over(|| format!("the variable {name:?} is not known"))?;
    }
    Ok(Part::Variable(name.to_ascii_lowercase(), default))
}

/// Matches in time proportional to the product of the lengths, at worst.
fn glob(parts: &[Part], text: &str) -> bool {
    let (mut at, mut place) = (0, 0);
    // What follows the last `*`, and how much of the text that one has taken.
    let mut star: Option<(usize, usize)> = None;
    let next = |place: usize| text.get(place..).and_then(|rest| rest.chars().next());
    loop {
        let taken = match parts.get(at) {
            None if place == text.len() => return true,
            Some(Part::Many) if at + 1 == parts.len() => return true,
            Some(Part::Many) => {
                at += 1;
                star = Some((at, place));
                continue;
            }
            Some(Part::Text(wanted)) => {
                let rest = text.get(place..).unwrap_or_default();
                rest.starts_with(wanted.as_str()).then_some(wanted.len())
            }
            Some(Part::One) => next(place).map(char::len_utf8),
            None | Some(Part::Variable(..)) => None,
        };
        if let Some(taken) = taken {
            (at, place) = (at + 1, place + taken);
            continue;
        }
        // The last `*` has to take one more.
        let Some((after, from)) = star else {
            return false;
        };
        let Some(c) = next(from) else { return false };
        let from = from + c.len_utf8();
        star = Some((after, from));
        (at, place) = (after, from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        glob(&Pattern::parse(pattern, true, None).unwrap().parts, text)
    }

    /// The same by the plainest definition.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                plainly(rest, text) || text.split_first().is_some_and(|(_, t)| plainly(pattern, t))
            }
            (Some(('?', rest)), Some((_, text))) => plainly(rest, text),
            (Some((wanted, rest)), Some((c, text))) => wanted == c && plainly(rest, text),
            _ => false,
        }
    }

    #[test]
    fn wildcards_take_characters() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("a*", "a"),
            ("a?c", "a\u{e9}c"),
            ("*\u{e9}?", "\u{e9}\u{e9}\u{fc}"),
            ("a*b*c", "abbbcbc"),
            ("**", "xyz"),
            ("logs/*/ann.txt", "logs/1/2/ann.txt"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} {text:?}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("a*b", "abc"),
            ("a", "ab"),
            ("ab", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern:?} {text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_is_what_wildcards_mean(pattern in "[ab*?\u{e9}]{0,8}", text in "[ab\u{e9}]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(
                matches(&pattern, &text),
                plainly(&chars(&pattern), &chars(&text))
            );
        }
    }
}
