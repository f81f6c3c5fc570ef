//! The master key, and what is wrapped under it.
//!
//! The master key lives outside of the data folder; whoever has only the folder can read nothing
//! that was wrapped. For each purpose a key of its own is derived (HKDF with SHA-256, RFC 5869), and
//! what is wrapped is bound to its purpose: it opens for nothing else. Nonces are random and stored,
//! never derived. A key is never shown by `Debug`.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use trestle_core::{Error, ErrorKind, Result};
use trestle_host::Random;
use zeroize::Zeroizing;

/// Bytes of every key here.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce of AES-GCM (NIST SP 800-38D §8.2).
pub(crate) const NONCE_BYTES: usize = 12;
/// Bytes of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of the name of a master key.
const ID_BYTES: usize = 8;

/// A secret key of 32 bytes.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// The key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        SecretKey(Zeroizing::new(bytes))
    }

    /// A new key.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random.fill(&mut *bytes);
        SecretKey(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.as_ref().into())
    }

    /// Encrypts `plain`, bound to `purpose`: a nonce, the ciphertext, a tag.
    ///
    /// # Errors
    /// `TooLarge` beyond what the cipher takes.
    pub fn wrap(&self, random: &dyn Random, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: purpose,
        };
        let sealed = self.cipher().encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed
            .map_err(|_| Error::new(ErrorKind::TooLarge, "this is too large to be encrypted"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what [`SecretKey::wrap`] made for the same purpose.
    ///
    /// # Errors
    /// `Corrupt` when it was made with another key, for another purpose, or has changed.
    pub fn unwrap(&self, purpose: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let wrong = || Error::corrupt("this cannot be decrypted: another key, or damaged");
        let (nonce, sealed) = wrapped.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let payload = Payload {
            msg: sealed,
            aad: purpose,
        };
        let plain = self.cipher().decrypt(Nonce::from_slice(nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| wrong())
    }

    /// Decrypts a key.
    ///
    /// # Errors
    /// As [`SecretKey::unwrap`].
    pub fn unwrap_key(&self, purpose: &[u8], wrapped: &[u8]) -> Result<SecretKey> {
        let plain = self.unwrap(purpose, wrapped)?;
        let bytes = <[u8; KEY_BYTES]>::try_from(plain.as_slice())
            .map_err(|_| Error::corrupt("a wrapped key has the wrong length"))?;
        Ok(SecretKey::from_bytes(bytes))
    }
}

/// The key above all others, kept outside of the data folder.
#[derive(Clone, Debug)]
pub struct MasterKey(SecretKey);

impl MasterKey {
    /// The master key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        MasterKey(SecretKey::from_bytes(bytes))
    }

    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        MasterKey(SecretKey::generate(random))
    }

    /// Its bytes, to be kept by whoever made it.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.as_bytes()
    }

    /// Which key it is, without saying what it is: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        let key = self.derive(b"trestle master key id");
        let bytes = key.as_bytes().iter().take(ID_BYTES);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: &[u8]) -> SecretKey {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let derived = Hkdf::<Sha256>::new(None, self.0.as_bytes()).expand(purpose, &mut *bytes);
        // 32 bytes are far below the limit of 255 blocks, the one way to fail (RFC 5869 §2.3).
        debug_assert!(derived.is_ok());
        SecretKey(bytes)
    }

    /// Encrypts `plain` under the key of `purpose`, bound to it.
    ///
    /// # Errors
    /// As [`SecretKey::wrap`].
    pub fn wrap(&self, random: &dyn Random, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        self.derive(purpose).wrap(random, purpose, plain)
    }

    /// Decrypts what [`MasterKey::wrap`] made for the same purpose.
    ///
    /// # Errors
    /// As [`SecretKey::unwrap`].
    pub fn unwrap(&self, purpose: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.derive(purpose).unwrap(purpose, wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_host::SeededRandom;

    #[test]
    fn what_was_wrapped_opens_with_its_key_for_its_purpose_only() {
        let random = SeededRandom::new(1);
        let master = MasterKey::generate(&random);
        let wrapped = master.wrap(&random, b"a", b"secret").unwrap();
        assert_eq!(&**master.unwrap(b"a", &wrapped).unwrap(), b"secret");
        assert_ne!(master.wrap(&random, b"a", b"secret").unwrap(), wrapped);
        let other = MasterKey::generate(&random);
        assert_ne!(master.id(), other.id());
        assert!(other.unwrap(b"a", &wrapped).is_err());
        assert!(master.unwrap(b"b", &wrapped).is_err());
        for length in 0..wrapped.len() {
            assert!(master.unwrap(b"a", &wrapped[..length]).is_err());
        }
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            let error = master.unwrap(b"a", &changed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        assert!(!wrapped.windows(6).any(|window| window == b"secret"));
        assert_eq!(format!("{master:?}"), "MasterKey(SecretKey(…))");
    }

    /// Test case 1 of RFC 5869 appendix A with this hash, to pin the derivation.
    #[test]
    fn derivation_is_hkdf() {
        let mut okm = [0; 42];
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22]);
        hkdf.expand(&info, &mut okm).unwrap();
        assert_eq!(okm[..4], [0x3c, 0xb2, 0x5f, 0x25]);
    }
}
