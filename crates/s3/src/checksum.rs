//! Checksums as this protocol spells them: in headers, in trailers, and in answers.
//!
//! Refuses an algorithm that nothing here can verify, two values at once, and a value of the wrong
//! length; a declared checksum is never ignored.

use crate::error::{Code, S3Error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use trestle_core::{Digest, DigestAlgorithm};

/// Algorithm, its name in documents, its header.
pub(crate) const ALGORITHMS: [(DigestAlgorithm, &str, &str); 10] = [
    (DigestAlgorithm::Crc32, "CRC32", "x-amz-checksum-crc32"),
    (DigestAlgorithm::Crc32c, "CRC32C", "x-amz-checksum-crc32c"),
    (
        DigestAlgorithm::Crc64Nvme,
        "CRC64NVME",
        "x-amz-checksum-crc64nvme",
    ),
    (DigestAlgorithm::Sha1, "SHA1", "x-amz-checksum-sha1"),
    (DigestAlgorithm::Sha256, "SHA256", "x-amz-checksum-sha256"),
    (DigestAlgorithm::Sha512, "SHA512", "x-amz-checksum-sha512"),
    (DigestAlgorithm::Md5, "MD5", "x-amz-checksum-md5"),
    (
        DigestAlgorithm::Xxh64,
        "XXHASH64",
        "x-amz-checksum-xxhash64",
    ),
    (DigestAlgorithm::Xxh3, "XXHASH3", "x-amz-checksum-xxhash3"),
    (
        DigestAlgorithm::Xxh128,
        "XXHASH128",
        "x-amz-checksum-xxhash128",
    ),
];

/// Whether checksums of parts make the checksum of the whole, or a checksum of checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Composite,
    FullObject,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Composite => "COMPOSITE",
            Kind::FullObject => "FULL_OBJECT",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, S3Error> {
        match text.to_ascii_uppercase().as_str() {
            "COMPOSITE" => Ok(Kind::Composite),
            "FULL_OBJECT" => Ok(Kind::FullObject),
            _ => Err(S3Error::invalid(
                "Value for x-amz-checksum-type header is invalid.",
            )),
        }
    }
}

/// What a request says of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Content-MD5.
    pub(crate) md5: Option<Digest>,
    /// The value, given in a header.
    pub(crate) value: Option<Digest>,
    /// The algorithm whose value comes as a trailer.
    pub(crate) trailer: Option<DigestAlgorithm>,
}

impl Declared {
    /// The algorithm of the checksum, wherever its value comes.
    pub(crate) fn algorithm(&self) -> Option<DigestAlgorithm> {
        self.value
            .as_ref()
            .map(|digest| digest.algorithm)
            .or(self.trailer)
    }
}

pub(crate) fn name(algorithm: DigestAlgorithm) -> &'static str {
    row(algorithm).1
}

/// The element that holds a value.
pub(crate) fn element(algorithm: DigestAlgorithm) -> &'static str {
    match algorithm {
        DigestAlgorithm::Crc32 => "ChecksumCRC32",
        DigestAlgorithm::Crc32c => "ChecksumCRC32C",
        DigestAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        DigestAlgorithm::Sha1 => "ChecksumSHA1",
        DigestAlgorithm::Sha256 => "ChecksumSHA256",
        DigestAlgorithm::Sha512 => "ChecksumSHA512",
        DigestAlgorithm::Md5 => "ChecksumMD5",
        DigestAlgorithm::Xxh64 => "ChecksumXXHASH64",
        DigestAlgorithm::Xxh3 => "ChecksumXXHASH3",
        DigestAlgorithm::Xxh128 => "ChecksumXXHASH128",
    }
}

pub(crate) fn header(algorithm: DigestAlgorithm) -> &'static str {
    row(algorithm).2
}

fn row(algorithm: DigestAlgorithm) -> (DigestAlgorithm, &'static str, &'static str) {
    ALGORITHMS
        .into_iter()
        .find(|(known, ..)| *known == algorithm)
        .unwrap_or((algorithm, "", ""))
}

/// The algorithm of a name in a document or a header.
pub(crate) fn named(name: &str) -> Result<DigestAlgorithm, S3Error> {
    let upper = name.to_ascii_uppercase();
    let found = ALGORITHMS.into_iter().find(|(_, known, _)| *known == upper);
    match found {
        Some((algorithm, ..)) => Ok(algorithm),
        None => Err(S3Error::invalid(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, \
             XXHASH128]",
        )),
    }
}

/// Refuses more than one header with a value.
pub(crate) fn single(headers: &HeaderMap) -> Result<(), S3Error> {
    let values = |name: &&http::HeaderName| of_header(name.as_str()).is_some();
    if headers.keys().filter(values).count() > 1 {
        let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                       allowed.";
        return Err(S3Error::invalid(message));
    }
    Ok(())
}

/// The algorithm whose value this header or trailer has.
pub(crate) fn of_header(name: &str) -> Option<DigestAlgorithm> {
    let (algorithm, ..) = ALGORITHMS
        .into_iter()
        .find(|(.., header)| *header == name)?;
    Some(algorithm)
}

/// A value in base64; of the right length for its algorithm.
pub(crate) fn digest(algorithm: DigestAlgorithm, text: &str) -> Option<Digest> {
    let value = STANDARD.decode(text).ok()?;
    (value.len() == algorithm.length()).then_some(Digest { algorithm, value })
}

pub(crate) fn base64(digest: &Digest) -> String {
    STANDARD.encode(&digest.value)
}

/// A value that a header carries. What is no value at all is answered as one that does not match.
pub(crate) fn value(algorithm: DigestAlgorithm, text: &str) -> Result<Digest, S3Error> {
    digest(algorithm, text).ok_or_else(|| {
        let header = header(algorithm);
        S3Error::new(
            Code::BadDigest,
            format!("Value for {header} header is invalid."),
        )
    })
}

/// Content-MD5.
pub(crate) fn content_md5(headers: &HeaderMap) -> Result<Option<Digest>, S3Error> {
    let Some(text) = headers.get("content-md5") else {
        return Ok(None);
    };
    let found = text
        .to_str()
        .ok()
        .and_then(|text| digest(DigestAlgorithm::Md5, text));
    let wrong = || {
        S3Error::new(
            Code::InvalidDigest,
            "The Content-MD5 you specified is not valid.",
        )
    };
    found.map(Some).ok_or_else(wrong)
}

/// What the headers say of the body. `sdk` is the algorithm that the client's library says it used:
/// without a value of it the request is refused.
pub(crate) fn declared(headers: &HeaderMap) -> Result<Declared, S3Error> {
    let mut declared = Declared {
        md5: content_md5(headers)?,
        ..Declared::default()
    };
    single(headers)?;
    for (name, text) in headers {
        let Some(kind) = name.as_str().strip_prefix("x-amz-checksum-") else {
            continue;
        };
        if matches!(kind, "type" | "mode" | "algorithm") {
            continue;
        }
        let Some(algorithm) = of_header(name.as_str()) else {
            let message = "The algorithm type you specified in x-amz-checksum- header is invalid.";
            return Err(S3Error::invalid(message));
        };
        let text = text.to_str().unwrap_or_default();
        if declared.value.replace(value(algorithm, text)?).is_some() {
            let message = format!("The header {name} comes twice");
            return Err(S3Error::invalid(message));
        }
    }
    let trailers = headers.get_all("x-amz-trailer").iter();
    for trailer in trailers.flat_map(|value| value.to_str().unwrap_or_default().split(',')) {
        let trailer = trailer.trim().to_ascii_lowercase();
        let Some(algorithm) = of_header(&trailer) else {
            let message = "The value specified in the x-amz-trailer header is not supported";
            return Err(S3Error::invalid(message));
        };
        if declared.trailer.replace(algorithm).is_some() || declared.value.is_some() {
            return Err(S3Error::invalid(
                "Expecting a single x-amz-checksum- header",
            ));
        }
    }
    if let Some(sdk) = headers.get("x-amz-sdk-checksum-algorithm") {
        let algorithm = named(sdk.to_str().unwrap_or_default())?;
        let found = declared.algorithm();
        // Content-MD5 stands for any checksum of a body that needs one.
        if found.is_some_and(|found| found != algorithm)
            || (found.is_none() && declared.md5.is_none())
        {
            let message = "x-amz-sdk-checksum-algorithm specified, but no corresponding \
                           x-amz-checksum-* or x-amz-trailer headers were found.";
            return Err(S3Error::invalid(message));
        }
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &[(&'static str, &str)]) -> Result<Declared, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        declared(&headers).map_err(|error| error.code())
    }

    #[test]
    fn a_checksum_is_declared_once_and_whole() {
        let crc32 = ("x-amz-checksum-crc32", "AAAAAA==");
        let found = parse(&[crc32, ("x-amz-sdk-checksum-algorithm", "crc32")]).unwrap();
        assert_eq!(found.algorithm(), Some(DigestAlgorithm::Crc32));
        assert_eq!(found.value.unwrap().value, [0; 4]);
        let trailing = parse(&[("x-amz-trailer", "x-amz-checksum-crc64nvme")]).unwrap();
        assert_eq!(trailing.trailer, Some(DigestAlgorithm::Crc64Nvme));
        assert_eq!(
            parse(&[("x-amz-checksum-mode", "ENABLED")]),
            Ok(Declared::default())
        );
        let md5 = parse(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]).unwrap();
        assert!(md5.md5.is_some() && md5.algorithm().is_none());
        for (bad, code) in [
            (&[("content-md5", "short")][..], Code::InvalidDigest),
            (&[("x-amz-checksum-crc32", "AAAA")], Code::BadDigest),
            (&[("x-amz-checksum-xxhash3", "AAAA")], Code::BadDigest),
            (&[("x-amz-checksum-crc16", "AAAA")], Code::InvalidRequest),
            (
                &[crc32, ("x-amz-checksum-crc32c", "AAAAAA==")],
                Code::InvalidRequest,
            ),
            (
                &[crc32, ("x-amz-checksum-sha1", "malformed")],
                Code::InvalidRequest,
            ),
            (&[crc32, crc32], Code::InvalidRequest),
            (
                &[crc32, ("x-amz-trailer", "x-amz-checksum-sha1")],
                Code::InvalidRequest,
            ),
            (&[("x-amz-trailer", "content-type")], Code::InvalidRequest),
            (
                &[("x-amz-sdk-checksum-algorithm", "CRC32")],
                Code::InvalidRequest,
            ),
            (
                &[crc32, ("x-amz-sdk-checksum-algorithm", "SHA1")],
                Code::InvalidRequest,
            ),
            (
                &[("x-amz-sdk-checksum-algorithm", "CRC16")],
                Code::InvalidRequest,
            ),
        ] {
            assert_eq!(parse(bad), Err(code), "{bad:?}");
        }
    }
}
