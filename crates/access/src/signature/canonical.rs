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

/// Adds bytes, each encoded that is not unreserved (RFC 3986), and perhaps not `/`.
pub(super) fn push_encoded(text: &mut String, bytes: &[u8], keep_slash: bool) {
    for byte in bytes {
        if is_unreserved(*byte) || keep_slash && *byte == b'/' {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            for nibble in [byte >> 4, byte & 15] {
                let digit = HEX.get(usize::from(nibble)).copied();
                text.push(char::from(digit.unwrap_or(b'0')));
            }
        }
    }
}

/// Adds the path in canonical form.
pub(super) fn push_path(text: &mut String, raw: &str) {
    let plain = |byte: u8| is_unreserved(byte) || byte == b'/';
    match raw {
        "" => text.push('/'),
        // What needs no encoding is mostly all of it.
        raw if raw.bytes().all(plain) => text.push_str(raw),
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
    pub(super) fn push_canonical(&self, text: &mut String, without: Option<&str>) {
        let encode = |bytes: &[u8]| {
            let mut encoded = String::with_capacity(bytes.len());
            push_encoded(&mut encoded, bytes, false);
            encoded
        };
        let mut pairs: Vec<(String, String)> = self
            .pairs
            .iter()
            .filter(|(name, _)| without.is_none_or(|without| name != without.as_bytes()))
            .map(|(name, value)| (encode(name), encode(value.as_deref().unwrap_or_default())))
            .collect();
        pairs.sort_unstable();
        for (place, (name, value)) in pairs.iter().enumerate() {
            let separator = if place == 0 { "" } else { "&" };
            text.extend([separator, name, "=", value]);
        }
    }
}

/// Adds a header's value as it is signed: no spaces around it, and one where there were several.
pub(super) fn push_folded(text: &mut String, value: &[u8]) {
    // Most values are text and have no space at all.
    if let Some(value) = std::str::from_utf8(value)
        .ok()
        .filter(|_| !has_space(value))
    {
        return text.push_str(value);
    }
    let value = String::from_utf8_lossy(value);
    let parts = value.split([' ', '\t']).filter(|part| !part.is_empty());
    for (place, part) in parts.enumerate() {
        text.extend([if place == 0 { "" } else { " " }, part]);
    }
}

/// Without a branch for each byte: several are looked at at once.
fn has_space(value: &[u8]) -> bool {
    let spaces = value
        .iter()
        .map(|byte| u8::from(*byte == b' ') | u8::from(*byte == b'\t'));
    spaces.fold(0, |seen, space| seen | space) != 0
}

/// Adds a header's value without the spaces around it.
pub(super) fn push_trimmed(text: &mut String, value: &[u8]) {
    text.push_str(String::from_utf8_lossy(value).trim_matches([' ', '\t']));
}

/// Adds all values of a header, each as `push` does, joined.
pub(super) fn push_joined(
    text: &mut String,
    request: &RawRequest<'_>,
    name: &str,
    push: fn(&mut String, &[u8]),
) {
    let values = request.headers.iter().filter(|(n, _)| *n == name);
    for (place, (_, value)) in values.enumerate() {
        if place > 0 {
            text.push(',');
        }
        push(text, value);
    }
}
