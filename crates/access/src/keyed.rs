//! HMAC-SHA-256 under a key that was worked in once, so that a MAC costs its message alone.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// A key of MACs. Never shown.
#[derive(Clone)]
pub(crate) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// Of 32 bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        Keyed(Hmac::new(&block))
    }

    /// The MAC of the parts, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// Whether two MACs are the same: in a time that tells nothing of where they differ, and eight bytes
/// at once.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let same = words
        .iter()
        .zip(others)
        .fold(Choice::from(1), |same, pair| {
            same & u64::from_ne_bytes(*pair.0).ct_eq(&u64::from_ne_bytes(*pair.1))
        });
    // How long they are is no secret.
    one.len() == other.len() && bool::from(same & rest.ct_eq(other_rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_anywhere_is_not_the_same() {
        for length in [0, 1, 7, 8, 20, 32, 33] {
            let one: Vec<u8> = (0..length).collect();
            assert!(same(&one, &one.clone()));
            for place in 0..one.len() {
                for bit in 0..8 {
                    let mut other = one.clone();
                    other[place] ^= 1 << bit;
                    assert!(
                        !same(&one, &other) && !same(&other, &one),
                        "{length} {place}"
                    );
                }
                assert!(!same(&one, &one[..place]) && !same(&one[..place], &one));
            }
        }
    }

    #[test]
    fn it_is_the_mac_of_any_other_way() {
        let key = [7; 32];
        let mut other = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        other.update(b"one and another");
        let expected: [u8; 32] = other.finalize().into_bytes().into();
        assert_eq!(Keyed::new(&key).mac(&[b"one and", b" another"]), expected);
    }
}
