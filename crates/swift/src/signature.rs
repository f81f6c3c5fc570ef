//! The keyed signatures of temporary URLs and forms: which digests, in which spellings.

use hmac::{Hmac, Mac};
use subtle::ConstantTimeEq;

/// The digests that are taken.
pub(crate) const DIGESTS: [&str; 3] = ["sha1", "sha256", "sha512"];
/// Those that are too weak to be recommended.
pub(crate) const DEPRECATED: [&str; 1] = ["sha1"];

/// A digest algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// A signature as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl Signature {
    /// Parses hexadecimal digits, whose number tells the algorithm, or `name:base64`, in either
    /// alphabet of base64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Some((name, encoded)) = text.split_once(':') else {
            let algorithm = match text.len() {
                40 => Algorithm::Sha1,
                64 => Algorithm::Sha256,
                128 => Algorithm::Sha512,
                _ => return None,
            };
            let bytes = hex(text)?;
            return Some(Signature { algorithm, bytes });
        };
        let (algorithm, length) = match name {
            "sha1" => (Algorithm::Sha1, 20),
            "sha256" => (Algorithm::Sha256, 32),
            "sha512" => (Algorithm::Sha512, 64),
            _ => return None,
        };
        let standard = encoded.replace('-', "+").replace('_', "/");
        let standard = standard.trim_end_matches('=');
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
            .decode(standard)
            .ok()
            .filter(|bytes| bytes.len() == length)?;
        Some(Signature { algorithm, bytes })
    }

    /// Whether `key` makes this signature of `text`.
    pub(crate) fn verifies(&self, key: &str, text: &str) -> bool {
        let made = sign(self.algorithm, key.as_bytes(), text.as_bytes());
        made.is_some_and(|made| bool::from(made.ct_eq(&self.bytes)))
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

fn sign(algorithm: Algorithm, key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    macro_rules! hmac_of {
        ($digest:ty) => {{
            let mut mac = Hmac::<$digest>::new_from_slice(key).ok()?;
            mac.update(text);
            Some(mac.finalize().into_bytes().to_vec())
        }};
    }
    match algorithm {
        Algorithm::Sha1 => hmac_of!(sha1::Sha1),
        Algorithm::Sha256 => hmac_of!(sha2::Sha256),
        Algorithm::Sha512 => hmac_of!(sha2::Sha512),
    }
}

/// A signature in hexadecimal, as a client makes it.
#[cfg(test)]
pub(crate) fn signed(algorithm: Algorithm, key: &str, text: &str) -> String {
    let bytes = sign(algorithm, key.as_bytes(), text.as_bytes()).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_of_each_digest_verifies() {
        use base64::Engine as _;
        let text = "GET\n1\n/v1/a/c/o";
        for (algorithm, name) in [
            (Algorithm::Sha1, "sha1"),
            (Algorithm::Sha256, "sha256"),
            (Algorithm::Sha512, "sha512"),
        ] {
            let hex = signed(algorithm, "key", text);
            let bytes = sign(algorithm, b"key", text.as_bytes()).unwrap();
            let url = base64::engine::general_purpose::URL_SAFE.encode(&bytes);
            let plain = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&bytes);
            for spelled in [hex, format!("{name}:{url}"), format!("{name}:{plain}")] {
                let signature = Signature::parse(&spelled).unwrap();
                assert!(signature.verifies("key", text));
                assert!(!signature.verifies("kez", text));
                assert!(!signature.verifies("key", "GET\n2\n/v1/a/c/o"));
            }
        }
        // RFC 2202, test case 2.
        assert_eq!(
            signed(Algorithm::Sha1, "Jefe", "what do ya want for nothing?"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        for bad in [
            "",
            "abc",
            "md5:AAAA",
            "sha1:AAAA",
            &"g".repeat(40),
            "sha256:***",
        ] {
            assert_eq!(Signature::parse(bad), None, "{bad}");
        }
    }
}
