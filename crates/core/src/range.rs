//! Byte ranges as a reader asks for them, and as they resolve against a length.

use crate::{Error, ErrorKind, Result};

/// A range of bytes asked for before the length is known (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// From the first to the last byte, both included.
    Inclusive {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, at least `first`.
        last: u64,
    },
    /// From an offset to the end.
    From(u64),
    /// The last so many bytes.
    Suffix(u64),
}

/// A range that lies within the content: `start <= end <= length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResolvedRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset after the last byte.
    pub end: u64,
}

impl ResolvedRange {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it covers no byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl ByteRange {
    /// Clips the range to `length` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::RangeNotSatisfiable`] when no byte of the content is in the range
    /// (RFC 9110 §14.1.1): it starts at or after the end, or is an empty suffix.
    pub fn resolve(&self, length: u64) -> Result<ResolvedRange> {
        let range = match *self {
            ByteRange::Inclusive { first, last } if first < length && first <= last => {
                Some(ResolvedRange {
                    start: first,
                    end: last.saturating_add(1).min(length),
                })
            }
            ByteRange::From(first) if first < length => Some(ResolvedRange {
                start: first,
                end: length,
            }),
            ByteRange::Suffix(count) if count > 0 && length > 0 => Some(ResolvedRange {
                start: length.saturating_sub(count),
                end: length,
            }),
            _ => None,
        };
        range.ok_or_else(|| {
            Error::new(
                ErrorKind::RangeNotSatisfiable { length },
                format!("the range lies outside the object's {length} bytes"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(range: ByteRange, length: u64) -> Option<(u64, u64)> {
        range.resolve(length).ok().map(|r| (r.start, r.end))
    }

    #[test]
    fn ranges_are_clipped_or_refused() {
        use ByteRange::*;
        assert_eq!(resolve(Inclusive { first: 0, last: 0 }, 10), Some((0, 1)));
        assert_eq!(resolve(Inclusive { first: 9, last: 99 }, 10), Some((9, 10)));
        assert_eq!(
            resolve(
                Inclusive {
                    first: 0,
                    last: u64::MAX
                },
                10
            ),
            Some((0, 10))
        );
        assert_eq!(
            resolve(
                Inclusive {
                    first: 10,
                    last: 10
                },
                10
            ),
            None
        );
        assert_eq!(resolve(From(3), 10), Some((3, 10)));
        assert_eq!(resolve(From(10), 10), None);
        assert_eq!(resolve(Suffix(4), 10), Some((6, 10)));
        assert_eq!(resolve(Suffix(40), 10), Some((0, 10)));
        assert_eq!(resolve(Suffix(0), 10), None);
        for range in [Inclusive { first: 0, last: 0 }, From(0), Suffix(1)] {
            assert_eq!(resolve(range, 0), None);
        }
    }
}
