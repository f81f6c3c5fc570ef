//! HMAC-SHA-256 under a key that was worked in once, so that a MAC costs its message alone.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mac_of_any_other_way() {
        let key = [7; 32];
        let mut other = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        other.update(b"one and another");
        let expected: [u8; 32] = other.finalize().into_bytes().into();
        assert_eq!(Keyed::new(&key).mac(&[b"one and", b" another"]), expected);
    }
}
