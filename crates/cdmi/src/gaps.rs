//! Gaps of a value: what lies between ranges that were written, and was never written itself
//! (clause 8.4.6). Gaps read as zeros; a document without a chosen range ends where the first begins.
//!
//! They are noted with the object. What other writers put there ends a gap, since it is one only as
//! long as all of it is zeros.

use crate::node::document;
use bytes::Bytes;
use std::collections::BTreeMap;
use trestle_core::{Error, Result};

/// Most gaps that are noted of a value; those nearest to its end are forgotten first.
const GAPS_MAX: usize = 64;

/// From one offset to before another.
type Range = (u64, u64);

fn noted(documents: &BTreeMap<String, String>) -> Vec<Range> {
    let text = documents.get(document::GAPS).map_or("", String::as_str);
    let gap = |text: &str| {
        let (start, end) = text.split_once('-')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    };
    text.split(',').filter_map(gap).collect()
}

/// What is left of a gap when a range is written.
fn without((start, end): Range, written: Range) -> impl Iterator<Item = Range> {
    let before = (start, end.min(written.0));
    let after = (start.max(written.1), end);
    [before, after]
        .into_iter()
        .filter(|(start, end)| start < end)
}

/// Notes in an object's documents the gaps that there are when ranges have been written, one after the
/// other, into a value that had these documents and so many bytes.
pub(crate) fn note(
    documents: &mut BTreeMap<String, String>,
    (former, mut length): (&BTreeMap<String, String>, u64),
    ranges: impl IntoIterator<Item = Range>,
) {
    let mut gaps = noted(former);
    gaps.retain(|(_, end)| *end <= length);
    for (start, end) in ranges.into_iter().filter(|(start, end)| start < end) {
        gaps = gaps
            .into_iter()
            .flat_map(|gap| without(gap, (start, end)))
            .collect();
        if start > length {
            gaps.push((length, start));
        }
        length = length.max(end);
    }
    gaps.sort_unstable();
    gaps.truncate(GAPS_MAX);
    forget(documents);
    if !gaps.is_empty() {
        let gaps: Vec<_> = gaps
            .iter()
            .map(|(start, end)| format!("{start}-{end}"))
            .collect();
        documents.insert(document::GAPS.to_owned(), gaps.join(","));
    }
}

/// The range that a piece covers.
pub(crate) fn range_of((at, piece): &(u64, Bytes)) -> Range {
    (*at, at.saturating_add(piece.len() as u64))
}

/// Refuses ranges that overlap (8.2.3): which of them counts would be anybody's guess.
pub(crate) fn check_apart(placed: &[(u64, Bytes)]) -> Result<()> {
    let mut ranges: Vec<_> = placed.iter().map(range_of).collect();
    ranges.retain(|(from, to)| from < to);
    ranges.sort_unstable();
    let mut pairs = ranges.iter().zip(ranges.iter().skip(1));
    match pairs.any(|((_, end), (start, _))| start < end) {
        true => Err(Error::invalid("ranges of the value overlap")),
        false => Ok(()),
    }
}

/// The value is whole: it has no gaps.
pub(crate) fn forget(documents: &mut BTreeMap<String, String>) {
    documents.remove(document::GAPS);
}

/// A whole value up to its first gap.
pub(crate) fn up_to_first(documents: &BTreeMap<String, String>, bytes: Bytes) -> Bytes {
    let first = noted(documents).into_iter().find_map(|(start, end)| {
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        let gap = bytes.get(start..end)?;
        gap.iter().all(|byte| *byte == 0).then_some(start)
    });
    match first {
        Some(first) => bytes.slice(..first),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(u64, &[Range])]) -> Vec<Range> {
        let mut documents = BTreeMap::new();
        for (length, ranges) in steps {
            let former = documents.clone();
            note(&mut documents, (&former, *length), ranges.iter().copied());
        }
        noted(&documents)
    }

    #[test]
    fn writes_past_the_end_make_gaps_and_writes_into_them_end_them() {
        assert_eq!(after(&[(4, &[(4, 6), (0, 2)])]), []);
        assert_eq!(after(&[(0, &[(2, 4), (8, 9)])]), [(0, 2), (4, 8)]);
        let begun: (u64, &[Range]) = (4, &[(10, 12)]);
        assert_eq!(after(&[begun]), [(4, 10)]);
        assert_eq!(after(&[begun, (12, &[(6, 8)])]), [(4, 6), (8, 10)]);
        assert_eq!(after(&[begun, (12, &[(3, 8)])]), [(8, 10)]);
        assert_eq!(after(&[begun, (12, &[(4, 10)])]), []);
        // Cut off by another writer meanwhile.
        assert_eq!(after(&[begun, (7, &[(7, 8)])]), []);
        let many: Vec<Range> = (0..100).map(|n| (n * 2 + 1, n * 2 + 2)).collect();
        assert_eq!(after(&[(0, &many)]).len(), GAPS_MAX);
    }

    #[test]
    fn a_value_ends_at_the_first_gap_that_is_still_one() {
        let mut documents = BTreeMap::new();
        note(&mut documents, (&BTreeMap::new(), 1), [(3, 4), (6, 7)]);
        let read =
            |text: &'static str| up_to_first(&documents, Bytes::from_static(text.as_bytes()));
        assert_eq!(read("a\0\0b\0\0c"), "a");
        assert_eq!(read("a\0xb\0\0c"), "a\0xb");
        assert_eq!(read("a\0xb\0yc"), "a\0xb\0yc");
        assert_eq!(read("ab"), "ab");
    }
}
