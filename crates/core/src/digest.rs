//! Digests of whole contents, taken while the bytes pass.

use crate::md5::Md5;
use sha2::Digest as _;
use std::fmt;
use std::hash::Hasher as _;

/// The algorithms that a record can hold a digest of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// MD5 (RFC 1321), 16 bytes.
    Md5,
    /// CRC-64/NVME, 8 bytes big endian; composes over concatenation.
    Crc64Nvme,
    /// SHA-256 (FIPS 180-4), 32 bytes.
    Sha256,
    /// CRC-32 as in ISO/HDLC (zlib, Ethernet), 4 bytes big endian.
    Crc32,
    /// CRC-32C (Castagnoli, RFC 3720), 4 bytes big endian.
    Crc32c,
    /// SHA-1 (FIPS 180-4), 20 bytes. Detects accidents, no longer attacks.
    Sha1,
    /// SHA-512 (FIPS 180-4), 64 bytes.
    Sha512,
    /// XXH64 without a seed, 8 bytes big endian. Detects accidents only.
    Xxh64,
    /// XXH3 of 64 bits without a seed, 8 bytes big endian. Detects accidents only.
    Xxh3,
    /// XXH3 of 128 bits without a seed, 16 bytes big endian. Detects accidents only.
    Xxh128,
}

impl DigestAlgorithm {
    /// Every algorithm.
    pub const ALL: [DigestAlgorithm; 10] = [
        DigestAlgorithm::Md5,
        DigestAlgorithm::Crc64Nvme,
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Crc32,
        DigestAlgorithm::Crc32c,
        DigestAlgorithm::Sha1,
        DigestAlgorithm::Sha512,
        DigestAlgorithm::Xxh64,
        DigestAlgorithm::Xxh3,
        DigestAlgorithm::Xxh128,
    ];

    /// The number that stands for it in records. Never reused.
    pub fn number(self) -> u8 {
        match self {
            DigestAlgorithm::Md5 => 1,
            DigestAlgorithm::Crc64Nvme => 2,
            DigestAlgorithm::Sha256 => 3,
            DigestAlgorithm::Crc32 => 4,
            DigestAlgorithm::Crc32c => 5,
            DigestAlgorithm::Sha1 => 6,
            DigestAlgorithm::Sha512 => 7,
            DigestAlgorithm::Xxh64 => 8,
            DigestAlgorithm::Xxh3 => 9,
            DigestAlgorithm::Xxh128 => 10,
        }
    }

    /// The algorithm of a record's number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
    }

    /// Length of its value in bytes.
    pub fn length(self) -> usize {
        match self {
            DigestAlgorithm::Md5 | DigestAlgorithm::Xxh128 => 16,
            DigestAlgorithm::Crc64Nvme | DigestAlgorithm::Xxh64 | DigestAlgorithm::Xxh3 => 8,
            DigestAlgorithm::Sha256 => 32,
            DigestAlgorithm::Crc32 | DigestAlgorithm::Crc32c => 4,
            DigestAlgorithm::Sha1 => 20,
            DigestAlgorithm::Sha512 => 64,
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
    /// The digest of a content followed by `length` more bytes that have the digest `next`: for the
    /// CRCs, which alone can tell it without the bytes.
    pub fn followed_by(&self, next: &Digest, length: u64) -> Option<Digest> {
        let kind = crc_kind(self.algorithm).filter(|_| next.algorithm == self.algorithm)?;
        let number = |digest: &Digest| {
            let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            digest.value.iter().fold(0, add)
        };
        let joined = crc_fast::checksum_combine(kind, number(self), number(next), length);
        Some(Digest {
            algorithm: self.algorithm,
            value: crc_bytes(joined, self.algorithm.length()),
        })
    }

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

/// Which CRC an algorithm is, if it is one.
fn crc_kind(algorithm: DigestAlgorithm) -> Option<crc_fast::CrcAlgorithm> {
    match algorithm {
        DigestAlgorithm::Crc64Nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
        DigestAlgorithm::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
        DigestAlgorithm::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
        _ => None,
    }
}

/// The last `length` bytes of a CRC.
fn crc_bytes(value: u64, length: usize) -> Vec<u8> {
    let value = value.to_be_bytes();
    let skipped = value.len().saturating_sub(length);
    value.into_iter().skip(skipped).collect()
}

/// One digest that is being computed.
enum State {
    Md5(Box<Md5>),
    Crc(crc_fast::Digest),
    Sha256(sha2::Sha256),
    Sha1(sha1::Sha1),
    Sha512(Box<sha2::Sha512>),
    Xxh64(Box<twox_hash::XxHash64>),
    Xxh3(Box<twox_hash::XxHash3_64>),
    Xxh128(Box<twox_hash::XxHash3_128>),
}

impl State {
    fn new(algorithm: DigestAlgorithm) -> Self {
        let crc = |kind| State::Crc(crc_fast::Digest::new(kind));
        match algorithm {
            DigestAlgorithm::Md5 => State::Md5(Box::default()),
            DigestAlgorithm::Crc64Nvme => crc(crc_fast::CrcAlgorithm::Crc64Nvme),
            DigestAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            DigestAlgorithm::Crc32 => crc(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            DigestAlgorithm::Crc32c => crc(crc_fast::CrcAlgorithm::Crc32Iscsi),
            DigestAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            DigestAlgorithm::Sha512 => State::Sha512(Box::new(sha2::Sha512::new())),
            DigestAlgorithm::Xxh64 => State::Xxh64(Box::new(twox_hash::XxHash64::with_seed(0))),
            DigestAlgorithm::Xxh3 => State::Xxh3(Box::new(twox_hash::XxHash3_64::new())),
            DigestAlgorithm::Xxh128 => State::Xxh128(Box::new(twox_hash::XxHash3_128::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Md5(state) => state.update(bytes),
            State::Crc(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Xxh64(state) => state.write(bytes),
            State::Xxh3(state) => state.write(bytes),
            State::Xxh128(state) => state.write(bytes),
        }
    }

    /// The value, of which a CRC takes the last `length` bytes.
    fn finish(self, length: usize) -> Vec<u8> {
        match self {
            State::Md5(state) => state.finish().to_vec(),
            State::Crc(state) => crc_bytes(state.finalize(), length),
            State::Sha256(state) => state.finalize().to_vec(),
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha512(state) => state.finalize().to_vec(),
            State::Xxh64(state) => state.finish().to_be_bytes().to_vec(),
            State::Xxh3(state) => state.finish().to_be_bytes().to_vec(),
            State::Xxh128(state) => state.finish_128().to_be_bytes().to_vec(),
        }
    }
}

/// Computes several digests over one stream of bytes.
pub struct Hasher(Vec<(DigestAlgorithm, State)>);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Takes each digest that `algorithms` names, once however often it is named.
    pub fn new(algorithms: &[DigestAlgorithm]) -> Self {
        let named = |algorithm: &DigestAlgorithm| algorithms.contains(algorithm);
        let named = DigestAlgorithm::ALL.into_iter().filter(named);
        Hasher(named.map(|a| (a, State::new(a))).collect())
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(_, state)| state.update(bytes));
    }

    /// The digests of all bytes so far.
    pub fn finish(self) -> Digests {
        let mut digests = Digests::default();
        for (algorithm, state) in self.0 {
            let value = state.finish(algorithm.length());
            digests.insert(Digest { algorithm, value });
        }
        digests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_of_pieces_make_the_crc_of_the_whole() {
        let of = |bytes: &[u8]| {
            let mut hasher = Hasher::new(&DigestAlgorithm::ALL);
            hasher.update(bytes);
            hasher.finish()
        };
        let bytes: Vec<u8> = (0..=255u8).cycle().take(1000).collect();
        for cut in [0, 1, 500, 999, 1000] {
            let (first, second) = bytes.split_at(cut);
            for algorithm in DigestAlgorithm::ALL {
                let (first, next) = (of(first), of(second));
                let (first, next) = (first.get(algorithm), next.get(algorithm));
                let joined = first
                    .unwrap()
                    .followed_by(next.unwrap(), second.len() as u64);
                let whole = of(&bytes).get(algorithm).cloned();
                assert_eq!(joined, whole.filter(|_| crc_kind(algorithm).is_some()));
            }
        }
        let digests = of(&bytes);
        let crc32 = digests.get(DigestAlgorithm::Crc32).unwrap();
        let crc32c = digests.get(DigestAlgorithm::Crc32c).unwrap();
        assert_eq!(crc32.followed_by(crc32c, 1), None);
    }

    #[test]
    fn digests_have_their_published_check_values() {
        let mut hasher = Hasher::new(&[DigestAlgorithm::ALL, DigestAlgorithm::ALL].concat());
        hasher.update(b"1234");
        hasher.update(b"56789");
        let digests = hasher.finish();
        let published = [
            (1, DigestAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (2, DigestAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (
                3,
                DigestAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (4, DigestAlgorithm::Crc32, "cbf43926"),
            (5, DigestAlgorithm::Crc32c, "e3069283"),
            (
                6,
                DigestAlgorithm::Sha1,
                "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
            ),
            (
                7,
                DigestAlgorithm::Sha512,
                "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a\
                 d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
            ),
            (8, DigestAlgorithm::Xxh64, "8cb841db40e6ae83"),
            (9, DigestAlgorithm::Xxh3, "72dcb18b67a17dff"),
            (
                10,
                DigestAlgorithm::Xxh128,
                "33119477ede5dcd5e9716427681d5860",
            ),
        ];
        assert_eq!(digests.iter().count(), published.len());
        for (number, algorithm, hex) in published {
            assert_eq!(digests.get(algorithm).unwrap().hex(), hex);
            assert_eq!(DigestAlgorithm::from_number(number), Some(algorithm));
            assert_eq!(algorithm.number(), number);
            assert_eq!(
                digests.get(algorithm).unwrap().value.len(),
                algorithm.length()
            );
        }
    }
}
