//! The chain: each line ends with the hash of the one before it and of itself.
//!
//! A packed file leaves out most hashes, which follow from what is before them; those that stay tell
//! near which line one was changed.

use sha2::{Digest, Sha256};

/// What stands before the hash in a line.
const HASH: &str = ",\"hash\":\"";
/// The hash before the first line of all.
pub(crate) const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Of so many lines a packed file keeps one hash.
const LINES_A_HASH: u64 = 64;

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The hash of the last line.
    pub(crate) head: String,
    /// The number of the next entry.
    pub(crate) next: u64,
}

fn hash(before: &str, body: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(before.as_bytes());
    hasher.update(body.as_bytes());
    let digest = hasher.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Chain {
    /// Before the first line.
    pub(crate) fn start() -> Self {
        Chain {
            head: START.to_owned(),
            next: 1,
        }
    }

    /// The next entry: fields of JSON without their braces, with number and hash.
    pub(crate) fn entry(&mut self, fields: &str) -> String {
        let body = format!("{{\"n\":{},{fields}", self.next);
        self.next += 1;
        self.seal(&body)
    }

    /// The first line of a file.
    pub(crate) fn header(&mut self, file: u64, time: &str) -> String {
        let body = format!(
            "{{\"file\":{file},\"previous\":\"{}\",\"time\":\"{time}\"",
            self.head
        );
        self.seal(&body)
    }

    fn seal(&mut self, body: &str) -> String {
        self.head = hash(&self.head, body);
        format!("{body}{HASH}{}\"}}\n", self.head)
    }
}

/// A line as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    body: &'a str,
    /// The hash that it claims.
    pub(crate) hash: &'a str,
}

impl<'a> Line<'a> {
    /// Takes a line, without its end, apart; none when it is none of this log.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.strip_suffix("\"}")?;
        let at = text.rfind(HASH)?;
        let (body, rest) = text.split_at(at);
        let hash = rest.strip_prefix(HASH)?;
        let digits = hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (hash.len() == START.len() && digits && body.starts_with('{'))
            .then_some(Line { body, hash })
    }

    /// Whether it follows a line with this hash.
    pub(crate) fn follows(&self, before: &str) -> bool {
        hash(before, self.body) == self.hash
    }

    /// The entry's number; none of a file's first line.
    pub(crate) fn number(&self) -> Option<u64> {
        let digits = self.body.strip_prefix("{\"n\":")?.split(',').next()?;
        digits.parse().ok()
    }

    /// The file's number and the hash that it goes on from; none of an entry.
    pub(crate) fn header(&self) -> Option<(u64, &'a str)> {
        let rest = self.body.strip_prefix("{\"file\":")?;
        let (file, rest) = rest.split_once(",\"previous\":\"")?;
        let (previous, _) = rest.split_once('"')?;
        Some((file.parse().ok()?, previous))
    }

    /// When it was written, as text.
    pub(crate) fn time(&self) -> Option<&'a str> {
        let (_, rest) = self.body.split_once("\"time\":\"")?;
        rest.split_once('"').map(|(time, _)| time)
    }
}

/// Leaves hashes out of a file that has ended, line by line.
#[derive(Default)]
pub(crate) struct Thinner {
    /// The hash of the line before; none before the first.
    head: Option<String>,
    lines: u64,
}

impl Thinner {
    /// Appends the next line, given without its end, to what is packed. False when it does not follow
    /// from what is before it: such a file stays as it is.
    pub(crate) fn put(&mut self, text: &[u8], is_last: bool, to: &mut Vec<u8>) -> bool {
        let Some(line) = Line::parse(text) else {
            return false;
        };
        let first = self.head.is_none();
        let before = match (&self.head, line.header()) {
            (None, Some((_, previous))) => previous,
            (Some(head), None) => head,
            _ => return false,
        };
        if !line.follows(before) {
            return false;
        }
        self.head = Some(line.hash.to_owned());
        self.lines += 1;
        match first || is_last || self.lines.is_multiple_of(LINES_A_HASH) {
            true => to.extend_from_slice(text),
            false => {
                to.extend_from_slice(line.body.as_bytes());
                to.push(b'}');
            }
        }
        to.push(b'\n');
        true
    }
}

/// A packed file with the hashes that were left out; none when it comes to more bytes than `max`.
pub(crate) fn restored(thin: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(thin.len());
    let mut head: Option<String> = None;
    for text in thin.split_inclusive(|byte| *byte == b'\n') {
        if whole.len() > max {
            return None;
        }
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        if let Some(line) = Line::parse(line) {
            head = Some(line.hash.to_owned());
            whole.extend_from_slice(text);
            continue;
        }
        let body = std::str::from_utf8(line).ok();
        let body = body.and_then(|line| line.strip_suffix('}'));
        match (body, &mut head) {
            (Some(body), Some(head)) => {
                *head = hash(head, body);
                whole.extend_from_slice(body.as_bytes());
                whole.extend_from_slice(HASH.as_bytes());
                whole.extend_from_slice(head.as_bytes());
                whole.extend_from_slice(b"\"}\n");
            }
            // Nothing of this log.
            _ => whole.extend_from_slice(text),
        }
    }
    (whole.len() <= max).then_some(whole)
}

/// What a file's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// The chain after the last line.
    pub(crate) chain: Chain,
    /// Lines that follow from what is before them, entries among them.
    pub(crate) entries: u64,
    /// Where lines do not follow: their places, counted from 1.
    pub(crate) breaks: Vec<u64>,
    /// Bytes up to the end of the last whole line.
    pub(crate) whole: u64,
    /// Times of the first and of the last line.
    pub(crate) times: Option<(String, String)>,
}

/// Follows the chain through a file.
pub(crate) fn walk(bytes: &[u8], mut chain: Chain) -> Walked {
    let (mut entries, mut breaks, mut whole, mut at) = (0, Vec::new(), 0, 0u64);
    let mut times: Option<(String, String)> = None;
    // Lines that are none: torn, unless a whole one comes after them.
    let mut doubtful: Vec<u64> = Vec::new();
    for (place, text) in (1u64..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        at += text.len() as u64;
        let line = text.strip_suffix(b"\n").and_then(Line::parse);
        let Some(line) = line else {
            doubtful.push(place);
            continue;
        };
        breaks.append(&mut doubtful);
        let number = line.number();
        let in_order = number.is_none_or(|number| number == chain.next);
        if !in_order || !line.follows(&chain.head) || number.is_none() && place != 1 {
            breaks.push(place);
        }
        entries += u64::from(number.is_some());
        chain.next = number.map_or(chain.next, |number| number.saturating_add(1));
        line.hash.clone_into(&mut chain.head);
        whole = at;
        if let Some(time) = line.time() {
            let first = times.map_or_else(|| time.to_owned(), |(first, _)| first);
            times = Some((first, time.to_owned()));
        }
    }
    Walked {
        chain,
        entries,
        breaks,
        whole,
        times,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(entries: u64) -> (Vec<u8>, Chain) {
        let mut chain = Chain::start();
        let mut text = chain.header(1, "2026-01-01T00:00:00Z");
        for i in 0..entries {
            text += &chain.entry(&format!("\"time\":\"2026-01-01T00:00:0{i}Z\",\"x\":{i}"));
        }
        (text.into_bytes(), chain)
    }

    #[test]
    fn a_chain_holds_until_a_byte_changes() {
        let (bytes, chain) = file(4);
        let walked = walk(&bytes, Chain::start());
        assert_eq!((walked.chain, walked.entries), (chain, 4));
        assert_eq!((walked.breaks, walked.whole), (vec![], bytes.len() as u64));
        let ends = walked.times.unwrap();
        assert_eq!(ends.1, "2026-01-01T00:00:03Z");
        for at in 0..bytes.len() - 1 {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let walked = walk(&changed, Chain::start());
            let torn = walked.whole < bytes.len() as u64;
            assert!(torn || !walked.breaks.is_empty(), "byte {at}");
        }
    }

    fn thinned(bytes: &[u8]) -> Option<Vec<u8>> {
        let (mut thinner, mut thin) = (Thinner::default(), Vec::new());
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let sound = lines.iter().enumerate().all(|(place, line)| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            thinner.put(line, place + 1 == lines.len(), &mut thin)
        });
        sound.then_some(thin)
    }

    #[test]
    fn hashes_that_follow_are_left_out_and_come_back() {
        let (bytes, _) = file(200);
        let thin = thinned(&bytes).unwrap();
        let hashes = thin.windows(HASH.len()).filter(|w| *w == HASH.as_bytes());
        // Of the first line, of each 64th and of the last.
        assert_eq!(hashes.count(), 5);
        assert_eq!(restored(&thin, bytes.len()).unwrap(), bytes);
        assert_eq!(restored(&thin, bytes.len() - 1), None);
        let same = restored(&bytes, bytes.len()).unwrap();
        assert_eq!(same, bytes, "none is left out");
        // A change of a line shows at the next hash that was kept.
        let lines: Vec<&[u8]> = thin.split_inclusive(|byte| *byte == b'\n').collect();
        for place in 0..lines.len() {
            let breaks =
                |thin: &[u8]| walk(&restored(thin, usize::MAX).unwrap(), Chain::start()).breaks;
            let mut changed = lines.clone();
            let line = String::from_utf8(lines[place].to_vec()).unwrap();
            let line = line.replacen("2026", "2027", 1);
            changed[place] = line.as_bytes();
            let found = breaks(&changed.concat());
            let kept = (place as u64 + 1).next_multiple_of(LINES_A_HASH).min(201);
            let kept = if place == 0 { 1 } else { kept };
            assert_eq!(found, [kept], "line {}", place + 1);
            // That the last ones are gone shows in the next file.
            changed.remove(place);
            let missed = !breaks(&changed.concat()).is_empty();
            assert_eq!(missed, place + 1 < lines.len(), "line {}", place + 1);
        }
    }

    #[test]
    fn what_does_not_follow_is_not_thinned() {
        let (bytes, _) = file(70);
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [
            ("\"x\":5,", "\"x\":7,"),
            ("{\"n\":4,", "{}\n{\"n\":4,"),
            ("{\"file\":1,", "{\"n\":0,\"x\":0}\n{\"file\":1,"),
        ] {
            assert!(text.contains(from));
            assert_eq!(thinned(text.replacen(from, to, 1).as_bytes()), None, "{to}");
        }
    }

    #[test]
    fn a_line_that_is_taken_out_or_put_in_is_missed() {
        let (bytes, _) = file(4);
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for out in 1..4 {
            let mut fewer = lines.clone();
            fewer.remove(out);
            assert_eq!(
                walk(&fewer.concat(), Chain::start()).breaks,
                [out as u64 + 1]
            );
        }
        let mut more = lines.clone();
        more.insert(2, lines[1]);
        assert!(!walk(&more.concat(), Chain::start()).breaks.is_empty());
    }

    #[test]
    fn what_is_torn_at_the_end_is_no_break_and_in_the_middle_it_is() {
        let (bytes, _) = file(3);
        let last = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|b| *b == b'\n')
            .unwrap()
            + 1;
        for cut in last..bytes.len() {
            let walked = walk(&bytes[..cut], Chain::start());
            assert_eq!(
                (walked.breaks, walked.whole),
                (vec![], last as u64),
                "{cut}"
            );
        }
        let zeros = [&bytes[..last], &[0; 100]].concat();
        assert_eq!(walk(&zeros, Chain::start()).breaks, [0; 0]);
        let middle = [&bytes[..last], b"torn\n", &bytes[last..]].concat();
        assert_eq!(walk(&middle, Chain::start()).breaks, [4]);
    }
}
