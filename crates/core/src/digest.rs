//! Digests of whole contents, taken while the bytes pass.

use md5::Digest as _;
use std::fmt;

/// The algorithms that a record can hold a digest of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// MD5 (RFC 1321), 16 bytes.
    Md5,
    /// CRC-64/NVME, 8 bytes big endian; composes over concatenation.
    Crc64Nvme,
    /// SHA-256 (FIPS 180-4), 32 bytes.
    Sha256,
}

impl DigestAlgorithm {
    /// The number that stands for it in records. Never reused.
    pub fn number(self) -> u8 {
        match self {
            DigestAlgorithm::Md5 => 1,
            DigestAlgorithm::Crc64Nvme => 2,
            DigestAlgorithm::Sha256 => 3,
        }
    }

    /// The algorithm of a record's number.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            DigestAlgorithm::Md5,
            DigestAlgorithm::Crc64Nvme,
            DigestAlgorithm::Sha256,
        ]
        .into_iter()
        .find(|algorithm| algorithm.number() == number)
    }

    /// Length of its value in bytes.
    pub fn length(self) -> usize {
        match self {
            DigestAlgorithm::Md5 => 16,
            DigestAlgorithm::Crc64Nvme => 8,
            DigestAlgorithm::Sha256 => 32,
        }
    }
}

/// One digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    /// How it was computed.
    pub algorithm: DigestAlgorithm,
    /// Its value, `algorithm.length()` bytes.
    pub value: Vec<u8>,
}

impl Digest {
    /// The value in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        self.value
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.algorithm, self.hex())
    }
}

/// The digests of one content, at most one for each algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(Vec<Digest>);

impl Digests {
    /// Adds or replaces the digest of its algorithm.
    pub fn insert(&mut self, digest: Digest) {
        self.0.retain(|d| d.algorithm != digest.algorithm);
        self.0.push(digest);
        self.0.sort_by_key(|d| d.algorithm);
    }

    /// The digest of `algorithm`.
    pub fn get(&self, algorithm: DigestAlgorithm) -> Option<&Digest> {
        self.0.iter().find(|d| d.algorithm == algorithm)
    }

    /// All, ordered by algorithm.
    pub fn iter(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter()
    }
}

/// Computes several digests over one stream of bytes.
pub struct Hasher {
    md5: Option<md5::Md5>,
    crc64: Option<crc_fast::Digest>,
    sha256: Option<sha2::Sha256>,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Takes each digest that `algorithms` names.
    pub fn new(algorithms: &[DigestAlgorithm]) -> Self {
        let has = |algorithm| algorithms.contains(&algorithm);
        Hasher {
            md5: has(DigestAlgorithm::Md5).then(md5::Md5::new),
            crc64: has(DigestAlgorithm::Crc64Nvme)
                .then(|| crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme)),
            sha256: has(DigestAlgorithm::Sha256).then(sha2::Sha256::new),
        }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(crc64) = &mut self.crc64 {
            crc64.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    /// The digests of all bytes so far.
    pub fn finish(self) -> Digests {
        let mut digests = Digests::default();
        let mut insert = |algorithm, value| digests.insert(Digest { algorithm, value });
        if let Some(md5) = self.md5 {
            insert(DigestAlgorithm::Md5, md5.finalize().to_vec());
        }
        if let Some(crc64) = self.crc64 {
            insert(
                DigestAlgorithm::Crc64Nvme,
                crc64.finalize().to_be_bytes().to_vec(),
            );
        }
        if let Some(sha256) = self.sha256 {
            insert(DigestAlgorithm::Sha256, sha256.finalize().to_vec());
        }
        digests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_their_published_check_values() {
        let all = [
            DigestAlgorithm::Md5,
            DigestAlgorithm::Crc64Nvme,
            DigestAlgorithm::Sha256,
        ];
        let mut hasher = Hasher::new(&all);
        hasher.update(b"1234");
        hasher.update(b"56789");
        let digests = hasher.finish();
        let hex = |a| digests.get(a).unwrap().hex();
        assert_eq!(
            hex(DigestAlgorithm::Md5),
            "25f9e794323b453885f5181f1b624d0b"
        );
        assert_eq!(hex(DigestAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(
            hex(DigestAlgorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        for algorithm in all {
            assert_eq!(
                DigestAlgorithm::from_number(algorithm.number()),
                Some(algorithm)
            );
            assert_eq!(
                digests.get(algorithm).unwrap().value.len(),
                algorithm.length()
            );
        }
    }
}
