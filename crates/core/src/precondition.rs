//! Preconditions: what must hold of the current state for a request to proceed.
//!
//! Evaluated here, and not where they are parsed, because a write evaluates them inside its commit.

use crate::Timestamp;

/// Either anything that exists, or one of these entity tags. Tags are opaque and without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagMatch {
    /// `*`: any current state.
    Any,
    /// One of these tags.
    Tags(Vec<Tag>),
}

/// An entity tag as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The opaque tag.
    pub opaque: String,
    /// Whether it was marked weak: it then never matches strongly (RFC 9110 §8.8.3.2).
    pub weak: bool,
}

/// The conditions of RFC 9110 §13.1; an absent one always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// Proceed only when the current tag matches strongly.
    pub if_match: Option<TagMatch>,
    /// Proceed only when the current tag does not match, weakly compared.
    pub if_none_match: Option<TagMatch>,
    /// Proceed only when modified later than this whole second (reads only).
    pub if_modified_since: Option<u64>,
    /// Proceed only when not modified later than this whole second.
    pub if_unmodified_since: Option<u64>,
}

/// What a precondition is compared with; a dialect derives the tag from the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// The current strong entity tag, without quotes.
    pub tag: String,
    /// When the current state was last modified.
    pub modified: Timestamp,
}

/// The outcome of evaluating a precondition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Perform the request.
    Proceed,
    /// A read's validator is current: send no body.
    NotModified,
    /// A condition does not hold: refuse.
    Failed,
}

impl TagMatch {
    fn matches_strongly(&self, tag: &str) -> bool {
        match self {
            TagMatch::Any => true,
            TagMatch::Tags(tags) => tags.iter().any(|t| !t.weak && t.opaque == tag),
        }
    }

    fn matches_weakly(&self, tag: &str) -> bool {
        match self {
            TagMatch::Any => true,
            TagMatch::Tags(tags) => tags.iter().any(|t| t.opaque == tag),
        }
    }
}

impl Precondition {
    /// No condition at all.
    pub fn none() -> Self {
        Precondition::default()
    }

    /// Only if nothing exists under the name.
    pub fn absent() -> Self {
        Precondition {
            if_none_match: Some(TagMatch::Any),
            ..Precondition::default()
        }
    }

    /// Whether there is no condition.
    pub fn is_none(&self) -> bool {
        *self == Precondition::default()
    }

    /// Evaluates for a read, in the order of RFC 9110 §13.2.2.
    pub fn for_read(&self, current: Option<&Validators>) -> Verdict {
        self.evaluate(current, true)
    }

    /// Evaluates for a write: a match of `if_none_match` fails rather than being "not modified",
    /// and `if_modified_since` is ignored (RFC 9110 §13.1.3).
    pub fn for_write(&self, current: Option<&Validators>) -> Verdict {
        self.evaluate(current, false)
    }

    fn evaluate(&self, current: Option<&Validators>, read: bool) -> Verdict {
        if let Some(wanted) = &self.if_match {
            if !current.is_some_and(|c| wanted.matches_strongly(&c.tag)) {
                return Verdict::Failed;
            }
        } else if let Some(limit) = self.if_unmodified_since
            && current.is_none_or(|c| c.modified.seconds() > limit)
        {
            return Verdict::Failed;
        }
        if let Some(unwanted) = &self.if_none_match {
            if current.is_some_and(|c| unwanted.matches_weakly(&c.tag)) {
                return if read {
                    Verdict::NotModified
                } else {
                    Verdict::Failed
                };
            }
        } else if read
            && let Some(since) = self.if_modified_since
            && current.is_some_and(|c| c.modified.seconds() <= since)
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[(&str, bool)]) -> Option<TagMatch> {
        Some(TagMatch::Tags(
            list.iter()
                .map(|(t, weak)| Tag {
                    opaque: (*t).into(),
                    weak: *weak,
                })
                .collect(),
        ))
    }

    fn current() -> Validators {
        Validators {
            tag: "a".into(),
            modified: Timestamp(10_500_000),
        }
    }

    #[test]
    fn if_match_is_strong_and_needs_something_to_exist() {
        let p = Precondition {
            if_match: tags(&[("a", false)]),
            ..Default::default()
        };
        assert_eq!(p.for_write(Some(&current())), Verdict::Proceed);
        assert_eq!(p.for_write(None), Verdict::Failed);
        let weak = Precondition {
            if_match: tags(&[("a", true)]),
            ..Default::default()
        };
        assert_eq!(weak.for_write(Some(&current())), Verdict::Failed);
        let any = Precondition {
            if_match: Some(TagMatch::Any),
            ..Default::default()
        };
        assert_eq!(any.for_write(None), Verdict::Failed);
        assert_eq!(any.for_write(Some(&current())), Verdict::Proceed);
    }

    #[test]
    fn if_none_match_reads_as_not_modified_and_writes_as_failed() {
        let p = Precondition {
            if_none_match: tags(&[("b", false), ("a", true)]),
            ..Default::default()
        };
        assert_eq!(p.for_read(Some(&current())), Verdict::NotModified);
        assert_eq!(p.for_write(Some(&current())), Verdict::Failed);
        assert_eq!(p.for_read(None), Verdict::Proceed);
        assert_eq!(Precondition::absent().for_write(None), Verdict::Proceed);
        assert_eq!(
            Precondition::absent().for_write(Some(&current())),
            Verdict::Failed
        );
    }

    #[test]
    fn dates_count_in_whole_seconds_and_yield_to_tags() {
        let since = |s| Precondition {
            if_modified_since: Some(s),
            ..Default::default()
        };
        assert_eq!(since(10).for_read(Some(&current())), Verdict::NotModified);
        assert_eq!(since(9).for_read(Some(&current())), Verdict::Proceed);
        assert_eq!(since(10).for_write(Some(&current())), Verdict::Proceed);
        let until = |s| Precondition {
            if_unmodified_since: Some(s),
            ..Default::default()
        };
        assert_eq!(until(10).for_write(Some(&current())), Verdict::Proceed);
        assert_eq!(until(9).for_write(Some(&current())), Verdict::Failed);
        let both = Precondition {
            if_match: tags(&[("a", false)]),
            ..until(9)
        };
        assert_eq!(both.for_write(Some(&current())), Verdict::Proceed);
        let none_match = Precondition {
            if_none_match: tags(&[("z", false)]),
            ..since(10)
        };
        assert_eq!(none_match.for_read(Some(&current())), Verdict::Proceed);
    }
}
