//! Secret keys, the keys derived of them, and MACs that compare in constant time.

use hmac::{Hmac, Mac as _};
use parking_lot::Mutex;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use subtle::ConstantTimeEq;

/// Derived keys that are remembered at once.
const REMEMBERED_MAX: usize = 4096;

/// A secret key. Never shown.
#[derive(Clone)]
pub struct SecretKey(String);

impl SecretKey {
    /// A secret key of its text.
    pub fn new(text: impl Into<String>) -> Self {
        SecretKey(text.into())
    }

    /// The text: to encrypt it, or to show it once to whom it was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

/// A MAC. Two compare in constant time, and in no other way.
#[derive(Clone, Copy)]
pub struct Mac<const N: usize>([u8; N]);

impl<const N: usize> PartialEq for Mac<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Mac<N> {}

impl<const N: usize> std::fmt::Debug for Mac<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac")
    }
}

impl<const N: usize> Mac<N> {
    pub(super) fn new(bytes: [u8; N]) -> Self {
        Mac(bytes)
    }

    /// Reads lower-case hexadecimal digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        from_hex(text).map(Mac)
    }

    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl Mac<32> {
    /// HMAC-SHA-256.
    pub(super) fn sha256(key: &[u8], message: &[u8]) -> Self {
        Mac(sha256_mac(key, message))
    }
}

impl Mac<20> {
    /// HMAC-SHA-1.
    pub(super) fn sha1(key: &[u8], message: &[u8]) -> Self {
        // Any length of key will do.
        Mac(
            Hmac::<Sha1>::new_from_slice(key).map_or([0; 20], |mut mac| {
                mac.update(message);
                mac.finalize().into_bytes().into()
            }),
        )
    }
}

fn sha256_mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // Any length of key will do.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().into()
    })
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| {
        DIGITS
            .get(usize::from(nibble))
            .map_or('0', |d| char::from(*d))
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Exactly `N` bytes of lower-case hexadecimal digits.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let value = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (to, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let [high, low] = pair else { return None };
        *to = value(high)? << 4 | value(low)?;
    }
    Some(bytes)
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The key that signs on one day, in one region, for one service.
#[derive(Clone, Copy)]
pub(super) struct SigningKey([u8; 32]);

impl SigningKey {
    fn derive(secret: &SecretKey, date: &str, region: &str, service: &str) -> Self {
        let first = format!("AWS4{}", secret.0);
        let mut key = sha256_mac(first.as_bytes(), date.as_bytes());
        for part in [region, service, "aws4_request"] {
            key = sha256_mac(&key, part.as_bytes());
        }
        SigningKey(key)
    }

    pub(super) fn sign(&self, text: &str) -> Mac<32> {
        Mac::sha256(&self.0, text.as_bytes())
    }
}

/// Remembers derived keys, so that a request needs one MAC rather than five.
#[derive(Default)]
pub struct SigningKeys {
    derived: Mutex<HashMap<[u8; 32], SigningKey>>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKeys")
    }
}

impl SigningKeys {
    /// The key of a secret, for a day, a region and a service.
    pub(super) fn get(
        &self,
        secret: &SecretKey,
        date: &str,
        region: &str,
        service: &str,
    ) -> SigningKey {
        // Of the secret itself: a key that was replaced is another one.
        let mut hasher = Sha256::new();
        for part in [secret.0.as_str(), date, region, service] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let name: [u8; 32] = hasher.finalize().into();
        if let Some(known) = self.derived.lock().get(&name) {
            return *known;
        }
        let key = SigningKey::derive(secret, date, region, service);
        let mut derived = self.derived.lock();
        if derived.len() >= REMEMBERED_MAX {
            derived.clear();
        }
        derived.insert(name, key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_exactly() {
        assert_eq!(from_hex::<2>("0aff"), Some([10, 255]));
        assert_eq!(hex(&[10, 255]), "0aff");
        for bad in ["", "0a", "0AFF", "0afg", "0aff00", "+aff", "é1f"] {
            assert_eq!(from_hex::<2>(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn another_secret_has_another_key() {
        let keys = SigningKeys::default();
        let of = |secret: &str| {
            let secret = SecretKey::new(secret);
            keys.get(&secret, "20130524", "us-east-1", "s3").sign("x")
        };
        assert!(of("a") == of("a") && of("a") != of("b"));
        assert_eq!(keys.derived.lock().len(), 2);
        assert_eq!(
            format!("{:?} {:?}", SecretKey::new("x"), of("a")),
            "SecretKey Mac"
        );
    }
}
