//! Texts of a policy with wildcards and variables.
//!
//! What a variable stands for is never a wildcard itself: a user called `*` is one user.

use super::Asking;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(char),
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
}

/// What is matched once variables are filled in.
#[derive(Clone, Copy, PartialEq)]
enum Token {
    Literal(char),
    One,
    Many,
}

impl Pattern {
    /// Reads a text. `wildcards` and `variables` say which of these have a meaning in it.
    pub(super) fn parse(text: &str, wildcards: bool, variables: bool) -> Result<Pattern, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if variables && let Some(after) = rest.strip_prefix("${") {
                let (inner, after) = after
                    .split_once('}')
                    .ok_or("a variable has no closing '}'")?;
                parts.push(variable(inner)?);
                rest = after;
                continue;
            }
            parts.push(match c {
                '*' if wildcards => Part::Many,
                '?' if wildcards => Part::One,
                c => Part::Literal(c),
            });
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        Ok(Pattern { parts })
    }

    /// Whether it has neither wildcards nor variables.
    pub(super) fn is_fixed(&self) -> bool {
        let fixed = |part: &Part| matches!(part, Part::Literal(_));
        self.parts.iter().all(fixed)
    }

    /// The text of a pattern that [is fixed](Self::is_fixed), or the text before the first part
    /// that is not.
    pub(super) fn literal(&self) -> String {
        let literal = |part: &Part| match part {
            Part::Literal(c) => Some(*c),
            _ => None,
        };
        self.parts.iter().map_while(literal).collect()
    }

    /// Whether a text matches; never, when a variable stands for nothing.
    pub(super) fn matches(&self, text: &str, asking: &Asking<'_>, fold: bool) -> bool {
        let folded = |c: char| {
            if fold {
                c.to_lowercase().next().unwrap_or(c)
            } else {
                c
            }
        };
        let mut tokens = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Literal(c) => tokens.push(Token::Literal(folded(*c))),
                Part::One => tokens.push(Token::One),
                Part::Many => tokens.push(Token::Many),
                Part::Variable(name, default) => {
                    let value = match asking.values(name).as_deref() {
                        Some([one]) => Some(one.clone()),
                        _ => default.clone(),
                    };
                    let Some(value) = value else { return false };
                    tokens.extend(value.chars().map(|c| Token::Literal(folded(c))));
                }
            }
        }
        let text: Vec<char> = text.chars().map(folded).collect();
        glob(&tokens, &text)
    }
}

/// `${*}`, `${?}` and `${$}` are those characters; `${key, 'default'}` has a default.
fn variable(inner: &str) -> Result<Part, String> {
    if let "*" | "?" | "$" = inner {
        let c = inner.chars().next().unwrap_or('$');
        return Ok(Part::Literal(c));
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
        return Err(format!("the variable {name:?} is not known"));
    }
    Ok(Part::Variable(name.to_ascii_lowercase(), default))
}

/// Matches in time proportional to the product of the lengths, at worst.
fn glob(pattern: &[Token], text: &[char]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where the last `*` was, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(place) {
        match pattern.get(at) {
            Some(Token::Many) => {
                star = Some((at, place));
                at += 1;
            }
            Some(Token::One) => (at, place) = (at + 1, place + 1),
            Some(Token::Literal(wanted)) if wanted == c => (at, place) = (at + 1, place + 1),
            _ => {
                let Some((back, taken)) = star else {
                    return false;
                };
                star = Some((back, taken + 1));
                (at, place) = (back + 1, taken + 1);
            }
        }
    }
    let rest = pattern.get(at..).unwrap_or_default();
    rest.iter().all(|token| *token == Token::Many)
}
