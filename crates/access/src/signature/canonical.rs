//! The canonical forms that are signed: decoded once and encoded again, never normalised.

use super::RawRequest;
use std::fmt::Write;

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

/// Encodes every byte that is not unreserved (RFC 3986), and perhaps not `/`.
pub(super) fn encode(bytes: &[u8], keep_slash: bool) -> String {
    let plain = |byte: &u8| {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        unreserved || keep_slash && *byte == b'/'
    };
    // What needs no encoding is mostly all of it.
    if let Some(text) = std::str::from_utf8(bytes)
        .ok()
        .filter(|_| bytes.iter().all(plain))
    {
        return text.to_owned();
    }
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        if plain(byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 15] {
                if let Some(digit) = HEX.get(usize::from(nibble)) {
                    encoded.push(char::from(*digit));
                }
            }
        }
    }
    encoded
}

/// The path in canonical form.
pub(super) fn path(raw: &str) -> String {
    match raw {
        "" => "/".to_owned(),
        raw => encode(&decode(raw), true),
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

    /// The query in canonical form, without the parameter that holds the signature.
    pub(super) fn canonical(&self, without: Option<&str>) -> String {
        let mut pairs: Vec<(String, String)> = self
            .pairs
            .iter()
            .filter(|(name, _)| without.is_none_or(|without| name != without.as_bytes()))
            .map(|(name, value)| {
                let value = value.as_deref().unwrap_or_default();
                (encode(name, false), encode(value, false))
            })
            .collect();
        pairs.sort_unstable();
        let mut text = String::new();
        for (name, value) in pairs {
            let separator = if text.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _written = write!(text, "{separator}{name}={value}");
        }
        text
    }
}

/// A header's value as it is signed: no spaces around it, and one where there were several.
pub(super) fn folded(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if !text.contains([' ', '\t']) {
        return text.into_owned();
    }
    let mut folded = String::with_capacity(text.len());
    for part in text.split([' ', '\t']).filter(|part| !part.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(part);
    }
    folded
}

/// A header's value without the spaces around it.
pub(super) fn trimmed(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .trim_matches([' ', '\t'])
        .to_owned()
}

/// All values of a header, each as `form` makes it, joined.
pub(super) fn joined(
    request: &RawRequest<'_>,
    name: &str,
    form: fn(&[u8]) -> String,
) -> Option<String> {
    let mut values = request.headers.iter().filter(|(n, _)| *n == name);
    let (_, first) = values.next()?;
    let mut text = form(first);
    for (_, value) in values {
        text.push(',');
        text.push_str(&form(value));
    }
    Some(text)
}
