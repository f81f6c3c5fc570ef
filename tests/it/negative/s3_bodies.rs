//! Bodies of S3's requests: in chunks, with trailers, and their digests.

use super::s3::put;
use super::{Ask, Case, ask};
use trestle_tests::client::base64;

/// A body in chunks without signatures, with a trailer.
pub(super) fn open(length: &str, body: &str) -> Ask {
    ask("PUT", "/bkt/o")
        .with("x-amz-decoded-content-length", length)
        .with("x-amz-trailer", "x-amz-checksum-crc32")
        .body(body)
        .signed(|s| s.payload = Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".into()))
}

/// Bodies in chunks, and their digests.
pub(super) fn cases() -> Vec<Case> {
    const SEALED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let chunked = |length: &str| {
        ask("PUT", "/bkt/o")
            .with("x-amz-decoded-content-length", length)
            .signed(|s| s.payload = Some(SEALED.into()))
    };
    let zeros = "0".repeat(64);
    vec![
        (
            "a chunk with a signature of nothing",
            403,
            "SignatureDoesNotMatch",
            chunked("1").body(format!(
                "1;chunk-signature={zeros}\r\nx\r\n0;chunk-signature={zeros}\r\n\r\n"
            )),
        ),
        (
            "a chunk without a signature",
            403,
            "SignatureDoesNotMatch",
            chunked("1").body("1\r\nx\r\n0\r\n\r\n"),
        ),
        (
            "a signed request whose body is not in chunks",
            400,
            "",
            chunked("1").body("x"),
        ),
        (
            "a chunk that is longer than the body",
            400,
            "",
            open("3", "ffff\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "a chunk's length that no number holds",
            400,
            "",
            open("3", "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "a chunk's length with a sign",
            400,
            "",
            open("3", "+3\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "chunks that hold less than was said",
            400,
            "IncompleteBody",
            open(
                "4",
                "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
            ),
        ),
        (
            "chunks that hold more than was said",
            400,
            "",
            open(
                "2",
                "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
            ),
        ),
        (
            "no length of what the chunks hold",
            411,
            "MissingContentLength",
            ask("PUT", "/bkt/o")
                .with("x-amz-trailer", "x-amz-checksum-crc32")
                .body("0\r\n\r\n")
                .signed(|s| s.payload = Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".into())),
        ),
        (
            "a length of what the chunks hold that is none",
            411,
            "MissingContentLength",
            open(
                "12x",
                "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
            ),
        ),
        (
            "more in chunks than was said, without a trailer",
            400,
            "IncompleteBody",
            ask("PUT", "/bkt/o")
                .with("x-amz-decoded-content-length", "2")
                .body("3\r\nabc\r\n0\r\n\r\n")
                .signed(|s| s.payload = Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".into())),
        ),
        (
            "a trailer that is missing",
            400,
            "",
            open("3", "3\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "a trailer that was not announced",
            400,
            "",
            open(
                "3",
                "3\r\nabc\r\n0\r\nx-amz-checksum-sha1:qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\r\n\r\n",
            ),
        ),
        (
            "a trailer of another body",
            400,
            "",
            open(
                "3",
                "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
            ),
        ),
        (
            "a trailer that is no checksum",
            400,
            "InvalidRequest",
            open("3", "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n"),
        ),
        ("chunks that do not end", 400, "", open("3", "3\r\nabc\r\n")),
        (
            "bytes behind the last chunk",
            400,
            "",
            open(
                "3",
                "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\nmore",
            ),
        ),
        (
            "a trailer for a body that is not in chunks",
            400,
            "",
            put().with("x-amz-trailer", "x-amz-checksum-crc32"),
        ),
        (
            "another body's MD5",
            400,
            "BadDigest",
            put().with("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ),
        (
            "an MD5 that is too short",
            400,
            "InvalidDigest",
            put().with("content-md5", "AAAA"),
        ),
        (
            "an empty MD5",
            400,
            "InvalidDigest",
            put().with("content-md5", ""),
        ),
        (
            "another body's CRC",
            400,
            "BadDigest",
            put().with("x-amz-checksum-crc32", "AAAAAA=="),
        ),
        (
            "another body's SHA-256",
            400,
            "BadDigest",
            put().with("x-amz-checksum-sha256", base64(&[0; 32])),
        ),
        (
            "a checksum that is too long",
            400,
            "",
            put().with("x-amz-checksum-crc32", base64(&[0; 32])),
        ),
        (
            "two checksums",
            400,
            "InvalidRequest",
            put()
                .with("x-amz-checksum-crc32", "jNwTug==")
                .with("x-amz-checksum-sha256", base64(&[0; 32])),
        ),
        (
            "a checksum of a kind that is not there",
            400,
            "InvalidRequest",
            put().with("x-amz-checksum-adler32", "AAAAAA=="),
        ),
        (
            "an algorithm of checksums that is not there",
            400,
            "",
            put().with("x-amz-sdk-checksum-algorithm", "ADLER32"),
        ),
    ]
}
