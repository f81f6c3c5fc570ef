//! The canonical forms that are signed: decoded once and encoded again, never normalised.

use super::RawRequest;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Undoes percent-encoding; a `%` without two digits stands for itself, and so does `+`.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return bytes.to_vec();
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~')
}

/// Adds parts of a text.
pub(super) fn push_all(text: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
}

/// Adds bytes, each encoded that is not unreserved (RFC 3986), and perhaps not `/`.
pub(super) fn push_encoded(text: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
    for byte in bytes {
        if is_unreserved(*byte) || keep_slash && *byte == b'/' {
            text.push(*byte);
        } else {
            text.push(b'%');
            for nibble in [byte >> 4, byte & 15] {
                text.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
        }
    }
}

/// Adds the path in canonical form.
pub(super) fn push_path(text: &mut Vec<u8>, raw: &str) {
    let plain = |byte: u8| is_unreserved(byte) || byte == b'/';
    match raw {
        "" => text.push(b'/'),
        // What needs no encoding is mostly all of it.
        raw if raw.bytes().all(plain) => text.extend_from_slice(raw.as_bytes()),
        raw => push_encoded(text, &decode(raw), true),
    }
}

/// The parameters of a query, each decoded once.
pub(super) struct Query {
    pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Query {
    pub(super) fn parse(raw: Option<&str>) -> Query {
        let pairs = raw
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) => (decode(name), Some(decode(value))),
                None => (decode(pair), None),
            })
            .collect();
        Query { pairs }
    }

    /// The names that are text.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
    }

    /// The parameters in order; one without `=` has no value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.pairs.iter().map(|(n, v)| (&n[..], v.as_deref()))
    }

    /// The one value of a parameter, as text; none when it is missing, repeated or not text.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.pairs.iter().filter(|(n, _)| n == name.as_bytes());
        let (_, value) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        std::str::from_utf8(value.as_deref().unwrap_or_default()).ok()
    }

    /// Adds the query in canonical form, without the parameter that holds the signature.
    pub(super) fn push_canonical(&self, text: &mut Vec<u8>, without: Option<&str>) {
        let encode = |bytes: &[u8]| {
            let mut encoded = Vec::with_capacity(bytes.len());
            push_encoded(&mut encoded, bytes, false);
            encoded
        };
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = self
            .pairs
            .iter()
            .filter(|(name, _)| without.is_none_or(|without| name != without.as_bytes()))
            .map(|(name, value)| (encode(name), encode(value.as_deref().unwrap_or_default())))
            .collect();
        pairs.sort_unstable();
        for (place, (name, value)) in pairs.iter().enumerate() {
            let separator: &[u8] = if place == 0 { b"" } else { b"&" };
            for part in [separator, name, b"=", value] {
                text.extend_from_slice(part);
            }
        }
    }
}

/// Adds all values of a header as they are signed, joined: no spaces around one, and one where there
/// were several.
pub(super) fn push_header(text: &mut Vec<u8>, request: &RawRequest<'_>, name: &[u8]) {
    let values = request.headers.iter().filter(|(n, _)| n.as_bytes() == name);
    for (place, (_, value)) in values.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        push_folded(text, value);
    }
}

fn push_folded(text: &mut Vec<u8>, value: &[u8]) {
    // Most values are as they are signed.
    if is_folded(value) {
        return text.extend_from_slice(value);
    }
    let value = String::from_utf8_lossy(value);
    let parts = value.split([' ', '\t']).filter(|part| !part.is_empty());
    for (place, part) in parts.enumerate() {
        push_all(text, &[if place == 0 { "" } else { " " }, part]);
    }
}

/// Whether a value is ASCII without a space. Without a branch for each byte: several are looked at at
/// once.
fn is_folded(value: &[u8]) -> bool {
    let other = value.iter().map(|byte| {
        u8::from(*byte == b' ') | u8::from(*byte == b'\t') | u8::from(!byte.is_ascii())
    });
    other.fold(0, |seen, other| seen | other) == 0
}
