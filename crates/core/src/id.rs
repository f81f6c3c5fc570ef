//! Ids and sequences: 16-byte values that are never reused, and the order of commits.

use std::fmt;

/// A position in the order of commits. 0 is before the first commit; a sequence is never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Sequence(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 16-byte id. Ids made by a host start with the milliseconds of their making (6 bytes, big
/// endian), so that rows keyed by them are written in order; the rest is random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads an id from its 32 hexadecimal digits, as it is displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(digit) {
            return None;
        }
        let value = u128::from_str_radix(text, 16).ok()?;
        Some(Id(value.to_be_bytes()))
    }

    /// Reads an id from exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Id);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Names an object for its whole life, across renames and overwrites of its key.
    ObjectId,
    /// Names one version of an object's content.
    VersionId,
    /// Names a bucket; row keys carry it rather than the name.
    BucketId,
    /// Names a layer: the extents of one content that is too large for its record.
    LayerId,
    /// Names an upload in parts, from its creation to its end.
    UploadId,
    /// Names a job on directories.
    JobId,
    /// Names one store, chosen when its data folder is made.
    StoreId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_is_displayed() {
        let id = Id([0, 1, 2, 3, 250, 251, 252, 253, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        for wrong in [
            "",
            "00",
            "+0010203fafbfcfd0405060708090a0b",
            &"A".repeat(32),
        ] {
            assert_eq!(Id::parse(wrong), None);
        }
    }
}
