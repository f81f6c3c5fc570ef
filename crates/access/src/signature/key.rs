//! Secret keys, the keys derived of them, and MACs that compare in constant time.

use crate::keyed::{Keyed, same};
use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use parking_lot::Mutex;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trestle_core::Timestamp;

/// Keys derived of one secret that are remembered at once: a few regions, around midnight.
const DERIVED_MAX: usize = 8;

/// A secret key. Never shown.
///
/// It remembers what was derived of it, so that a request needs one MAC rather than five, and takes
/// that along when it is dropped.
#[derive(Clone)]
pub struct SecretKey(Arc<Secret>);

struct Secret {
    text: String,
    derived: Mutex<Vec<Derived>>,
    /// When its use was last looked at, in microseconds.
    used: AtomicU64,
}

/// A key that was derived, and for what.
struct Derived {
    scope: String,
    key: SigningKey,
}

impl SecretKey {
    /// A secret key of its text.
    pub fn new(text: impl Into<String>) -> Self {
        SecretKey(Arc::new(Secret {
            text: text.into(),
            derived: Mutex::default(),
            used: AtomicU64::new(0),
        }))
    }

    /// Whether its use was not looked at for so many microseconds; then it is now.
    pub fn is_used_anew(&self, now: Timestamp, grain: u64) -> bool {
        let used = &self.0.used;
        let anew = now.0 >= used.load(Ordering::Relaxed).saturating_add(grain);
        if anew {
            used.store(now.0, Ordering::Relaxed);
        }
        anew
    }

    /// The text: to encrypt it, or to show it once to whom it was made for.
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// The key that signs what has this scope: `20130524/us-east-1/s3/aws4_request`.
    pub(super) fn signing(&self, scope: &str) -> SigningKey {
        let mut derived = self.0.derived.lock();
        if let Some(known) = derived.iter().find(|one| one.scope == scope) {
            return known.key.clone();
        }
        let key = SigningKey::derive(self.expose(), scope);
        if derived.len() >= DERIVED_MAX {
            derived.remove(0);
        }
        derived.push(Derived {
            scope: scope.to_owned(),
            key: key.clone(),
        });
        key
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
        same(&self.0, &other.0)
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

    pub(super) fn to_base64(self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.0)
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
    let mut digits = String::with_capacity(2 * bytes.len());
    push_hex(&mut digits, bytes);
    digits
}

/// What no digit stands for.
const NO_DIGIT: u8 = 0xf0;

/// The digits of 32 bytes, or of fewer in front of zeros: a digest at once.
fn digits(bytes: &[u8]) -> [[u8; 2]; 32] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [[0; 2]; 32];
    for (to, byte) in digits.iter_mut().zip(bytes) {
        *to = [digit(byte >> 4), digit(byte & 15)];
    }
    digits
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for bytes in bytes.chunks(32) {
        let digits = digits(bytes);
        let digits = digits.as_flattened().get(..2 * bytes.len());
        text.push_str(
            digits
                .and_then(|d| std::str::from_utf8(d).ok())
                .unwrap_or_default(),
        );
    }
}

/// Exactly `N` bytes of lower-case hexadecimal digits.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Without a branch for each byte: several are looked at at once.
    let value = |byte: &u8| {
        let (number, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a'));
        match (number < 10, letter < 6) {
            (true, _) => number,
            (_, true) => letter + 10,
            _ => NO_DIGIT,
        }
    };
    if text.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut seen) = ([0; N], 0);
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for (to, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (value(high), value(low));
        seen |= high | low;
        *to = high << 4 | low;
    }
    (seen & NO_DIGIT == 0).then_some(bytes)
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digits of a digest, without a text of their own.
pub(super) fn sha256_digits(bytes: &[u8]) -> [[u8; 2]; 32] {
    digits(&Sha256::digest(bytes))
}

/// The key that signs what has one scope, ready to sign with.
#[derive(Clone)]
pub(super) struct SigningKey(Keyed);

impl SigningKey {
    fn derive(secret: &str, scope: &str) -> Self {
        let first = format!("AWS4{secret}");
        let mut parts = scope.split('/');
        let date = parts.next().unwrap_or_default();
        let day = sha256_mac(first.as_bytes(), date.as_bytes());
        let key = parts.fold(day, |key, part| sha256_mac(&key, part.as_bytes()));
        SigningKey(Keyed::new(&key))
    }

    pub(super) fn sign(&self, text: &str) -> Mac<32> {
        self.sign_parts(&[text.as_bytes()])
    }

    /// Signs the parts of a text, one after the other.
    pub(super) fn sign_parts(&self, parts: &[&[u8]]) -> Mac<32> {
        Mac(self.0.mac(parts))
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
        let all: Vec<u8> = (0..=255).collect();
        let digits: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex(&all), digits);
        assert_eq!(from_hex::<256>(&digits).unwrap(), all[..]);
        for byte in 0..128 {
            let pair = [b'0', byte];
            let text = std::str::from_utf8(&pair).unwrap();
            let lower = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert_eq!(from_hex::<1>(text).is_some(), lower, "{byte}");
        }
    }

    #[test]
    fn another_secret_has_another_key() {
        let of = |secret: &str| {
            let secret = SecretKey::new(secret);
            let scope = "20130524/us-east-1/s3/aws4_request";
            secret.signing(scope).sign("x")
        };
        assert!(of("a") == of("a") && of("a") != of("b"));
        assert_eq!(
            format!("{:?} {:?}", SecretKey::new("x"), of("a")),
            "SecretKey Mac"
        );
    }

    #[test]
    fn what_is_derived_is_remembered_within_bounds() {
        let secret = SecretKey::new("a");
        let of = |day: usize, region| {
            let scope = format!("201305{day:02}/{region}/s3/aws4_request");
            secret.signing(&scope).sign("x")
        };
        let first = of(1, "us-east-1");
        assert!(of(1, "us-east-1") == first);
        assert!(of(1, "eu-west-1") != first && of(2, "us-east-1") != first);
        for day in 0..2 * DERIVED_MAX {
            of(day, "us-east-1");
        }
        assert!(of(1, "us-east-1") == first);
        assert_eq!(secret.0.derived.lock().len(), DERIVED_MAX);
        assert_eq!(secret.clone().0.derived.lock().len(), DERIVED_MAX);
    }
}
