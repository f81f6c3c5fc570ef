//! Object ids: the bytes of clause 5.3.4 around an id of the store, as Base16 text.
//!
//! Invariant: what is shown for one id of one store never changes, and what is not a valid object
//! id never reaches the store.

use crc_fast::{CrcAlgorithm, checksum};
use trestle_core::{Error, Id, Result};

/// Longest object id, in bytes.
const LENGTH_MAX: usize = 40;
/// Bytes before the opaque part.
const HEADER: usize = 8;

/// The ids that one store gives: all carry its enterprise number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectIds {
    enterprise: u32,
}

impl ObjectIds {
    /// Ids with this enterprise number: 24 bits, not zero.
    pub(crate) fn new(enterprise: u32) -> Result<Self> {
        if enterprise == 0 || enterprise >= 1 << 24 {
            return Err(Error::invalid(
                "an enterprise number is at least 1 and has at most 24 bits",
            ));
        }
        Ok(ObjectIds { enterprise })
    }

    /// An id as clients see it.
    pub(crate) fn text(&self, id: Id) -> String {
        let [_, high, middle, low] = self.enterprise.to_be_bytes();
        let mut bytes = vec![0, high, middle, low, 0, (HEADER + 16) as u8, 0, 0];
        bytes.extend_from_slice(id.as_bytes());
        let [first, second] = crc(&bytes).to_be_bytes();
        if let Some(field) = bytes.get_mut(6..8) {
            field.copy_from_slice(&[first, second]);
        }
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The store's id in a text that this store could have given; none for a valid id of another.
    pub(crate) fn parse(&self, text: &str) -> Result<Option<Id>> {
        let bytes = valid(text)?;
        let [_, high, middle, low] = self.enterprise.to_be_bytes();
        let ours = bytes.get(..4) == Some(&[0, high, middle, low][..]);
        Ok(bytes
            .get(HEADER..)
            .filter(|_| ours)
            .and_then(Id::from_slice))
    }
}

/// Whether a text is an object id, of whichever server.
pub(crate) fn well_formed(text: &str) -> bool {
    valid(text).is_ok()
}

fn crc(bytes: &[u8]) -> u16 {
    (checksum(CrcAlgorithm::Crc16Arc, bytes) & 0xffff) as u16
}

/// The bytes of a well-formed object id.
fn valid(text: &str) -> Result<Vec<u8>> {
    let malformed = || Error::invalid(format!("{text:?} is not an object id"));
    if text.len() > 2 * LENGTH_MAX || !text.len().is_multiple_of(2) {
        return Err(malformed());
    }
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|value| value as u8))
        .collect();
    let bytes: Vec<u8> = digits
        .ok_or_else(malformed)?
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    let mut zeroed = bytes.clone();
    let stated = match zeroed.get_mut(6..8) {
        Some(field) => {
            let stated = field.iter().fold(0u16, |crc, b| crc << 8 | u16::from(*b));
            field.fill(0);
            stated
        }
        None => return Err(malformed()),
    };
    let reserved = bytes.first() == Some(&0) && bytes.get(4) == Some(&0);
    let length = bytes.get(5).map(|length| usize::from(*length));
    if !reserved || length != Some(bytes.len()) || bytes.len() <= HEADER || crc(&zeroed) != stated {
        return Err(malformed());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_one_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0xBB3D);
    }

    #[test]
    fn ids_have_their_layout_and_come_back_in_either_case() {
        let ids = ObjectIds::new(0x00_7E_D9).unwrap();
        let id = Id(*b"0123456789abcdef");
        let text = ids.text(id);
        assert_eq!(text.len(), 48);
        assert!(text.starts_with("00007ED90018"), "{text}");
        assert_eq!(ids.parse(&text).unwrap(), Some(id));
        assert_eq!(ids.parse(&text.to_lowercase()).unwrap(), Some(id));
        assert_eq!(ObjectIds::new(1).unwrap().parse(&text).unwrap(), None);
    }

    #[test]
    fn damaged_ids_are_refused() {
        let ids = ObjectIds::new(7).unwrap();
        let text = ids.text(Id([1; 16]));
        for bad in [
            "",
            "00",
            &text[..46],
            &format!("{text}00"),
            &text.replacen("0018", "0118", 1),
            &text.replacen("01", "02", 1),
            &text.replacen('1', "g", 1),
        ] {
            assert!(ids.parse(bad).is_err(), "{bad}");
        }
        assert!(ObjectIds::new(0).is_err());
        assert!(ObjectIds::new(1 << 24).is_err());
    }
}
