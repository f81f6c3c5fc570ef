//! The chain of signatures over a chunked payload: each covers the one before it.

use super::key::{Mac, SigningKey, hex, sha256_hex};
use super::{SignatureError, SignatureResult};

/// Verifies the signatures of chunks and of the trailer, in order.
#[derive(Clone)]
pub struct ChunkChain {
    key: SigningKey,
    date: String,
    scope: String,
    previous: Mac<32>,
}

impl std::fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkChain")
    }
}

impl ChunkChain {
    pub(super) fn new(key: SigningKey, date: String, scope: String, seed: Mac<32>) -> Self {
        ChunkChain {
            key,
            date,
            scope,
            previous: seed,
        }
    }

    /// Verifies the next chunk by the SHA-256 of its data; the last one is empty.
    ///
    /// # Errors
    /// `ChunkMismatch`.
    pub fn chunk(&mut self, sha256: &[u8; 32], signature: &str) -> SignatureResult<()> {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}",
            self.date,
            self.scope,
            self.previous.to_hex(),
            sha256_hex(b""),
            hex(sha256)
        );
        self.step(&text, signature)
    }

    /// Verifies the trailer: its fields in the order in which they came, names in lower case,
    /// without the one that holds the signature.
    ///
    /// # Errors
    /// `ChunkMismatch`.
    pub fn trailer(&mut self, fields: &[(&str, &str)], signature: &str) -> SignatureResult<()> {
        let mut canonical = String::new();
        for (name, value) in fields {
            canonical.extend([name, ":", value.trim(), "\n"]);
        }
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            self.date,
            self.scope,
            self.previous.to_hex(),
            sha256_hex(canonical.as_bytes())
        );
        self.step(&text, signature)
    }

    fn step(&mut self, text: &str, signature: &str) -> SignatureResult<()> {
        let expected = self.key.sign(text);
        match Mac::from_hex(signature) {
            Some(presented) if presented == expected => {
                self.previous = expected;
                Ok(())
            }
            _ => Err(SignatureError::ChunkMismatch),
        }
    }
}
