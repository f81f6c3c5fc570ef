//! The body of a request: what is left after its framing is taken off and its seals are checked.
//!
//! A seal that does not hold is an error of the stream, before its end, so nothing is stored of a
//! body that is not what was signed or declared.

use crate::checksum;
use crate::chunked::{Decoder, Event};
use crate::error::{Code, S3Error};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use std::collections::VecDeque;
use std::fmt;
use trestle_core::{Digest, DigestAlgorithm, Error, ErrorKind, Hasher, Result};

/// Pieces of a body.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes>>;

/// Checks the signatures of chunks and trailers, each over the one before.
pub(crate) trait ChunkSeal: Send + Sync {
    /// Takes in data of the current chunk.
    fn data(&mut self, data: &[u8]);
    /// Whether the current chunk has this signature.
    fn chunk(&mut self, signature: &str) -> bool;
    /// Whether these trailers have this signature.
    fn trailers(&mut self, trailers: &[(String, String)], signature: &str) -> bool;
}

/// How the body is framed and sealed.
pub(crate) enum Framing {
    /// As it is; with the SHA-256 that was signed, if one was.
    Plain(Option<[u8; 32]>),
    /// In chunks.
    Chunked {
        seal: Option<Box<dyn ChunkSeal>>,
        /// Length of the data.
        length: u64,
        /// The checksum that comes as a trailer.
        trailer: Option<DigestAlgorithm>,
    },
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Framing")
    }
}

/// An error of this dialect on its way through a verb.
#[derive(Debug)]
struct Fault(Code, String, Vec<(&'static str, String)>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Fault {}

/// The error for a verb that stands for one of this dialect.
pub(crate) fn fault(code: Code, message: &str) -> Error {
    fault_with(code, message, Vec::new())
}

/// The error for a verb that stands for one of this dialect, with these fields.
pub(crate) fn fault_with(code: Code, message: &str, fields: Vec<(&'static str, String)>) -> Error {
    let fault = Fault(code, message.to_owned(), fields);
    Error::new(ErrorKind::InvalidInput, message).with_source(fault)
}

/// The dialect's own error that came through a verb.
pub(crate) fn of_fault(error: &Error) -> Option<S3Error> {
    let source = std::error::Error::source(error)?;
    let Fault(code, message, fields) = source.downcast_ref()?;
    let error = S3Error::new(*code, message.clone());
    let field =
        |error: S3Error, (name, value): &(&'static str, String)| error.field(name, value.as_str());
    Some(fields.iter().fold(error, field))
}

/// The data of a body, its framing taken off.
pub(crate) fn unframe(
    body: impl Stream<Item = Result<Bytes>> + Send + Unpin + 'static,
    framing: Framing,
) -> Pieces {
    match framing {
        Framing::Plain(None) => body.boxed(),
        Framing::Plain(Some(expected)) => sealed(body, expected),
        Framing::Chunked {
            seal,
            length,
            trailer,
        } => {
            let chunked = Chunks {
                body,
                decoder: Decoder::new(length, trailer.is_some()),
                seal,
                hasher: trailer.map(|algorithm| (algorithm, Hasher::new(&[algorithm]))),
                events: VecDeque::new(),
                ended: false,
            };
            futures::stream::unfold(Some(chunked), |state| async move {
                let mut state = state?;
                match state.next().await {
                    Ok(Some(data)) => Some((Ok(data), Some(state))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            })
            .boxed()
        }
    }
}

fn sealed(
    body: impl Stream<Item = Result<Bytes>> + Send + Unpin + 'static,
    expected: [u8; 32],
) -> Pieces {
    let hasher = Hasher::new(&[DigestAlgorithm::Sha256]);
    futures::stream::unfold(Some((body, hasher)), move |state| async move {
        let (mut body, mut hasher) = state?;
        match body.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((body, hasher))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let digests = hasher.finish();
                let found = digests.get(DigestAlgorithm::Sha256);
                match found.is_some_and(|found| found.value == expected) {
                    true => None,
                    false => {
                        let message = "The provided 'x-amz-content-sha256' header does not match \
                                       what was computed.";
                        let hex = |value: &[u8]| {
                            let algorithm = DigestAlgorithm::Sha256;
                            let value = value.to_vec();
                            Digest { algorithm, value }.hex()
                        };
                        let computed = found.map(Digest::hex).unwrap_or_default();
                        let fields = vec![
                            ("ClientComputedContentSHA256", hex(&expected)),
                            ("S3ComputedContentSHA256", computed),
                        ];
                        let code = Code::XAmzContentSHA256Mismatch;
                        Some((Err(fault_with(code, message, fields)), None))
                    }
                }
            }
        }
    })
    .boxed()
}

/// A body in chunks.
struct Chunks<S> {
    body: S,
    decoder: Decoder,
    seal: Option<Box<dyn ChunkSeal>>,
    hasher: Option<(DigestAlgorithm, Hasher)>,
    events: VecDeque<Event>,
    ended: bool,
}

fn unsigned() -> Error {
    fault(
        Code::SignatureDoesNotMatch,
        "The signature of a chunk does not match what was computed.",
    )
}

impl<S: Stream<Item = Result<Bytes>> + Send + Unpin> Chunks<S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(data) = self.take(event)? {
                    return Ok(Some(data));
                }
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.next().await.transpose()? {
                Some(piece) => {
                    self.decoder.push(&piece);
                    while let Some(event) = self.decoder.next()? {
                        self.events.push_back(event);
                    }
                }
                None => {
                    self.ended = true;
                    self.events.extend(self.decoder.end()?);
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Option<Bytes>> {
        match event {
            Event::Data(data) => {
                if let Some(seal) = &mut self.seal {
                    seal.data(&data);
                }
                if let Some((_, hasher)) = &mut self.hasher {
                    hasher.update(&data);
                }
                Ok(Some(data))
            }
            Event::ChunkEnd(signature) => {
                let holds = match (&mut self.seal, signature) {
                    (Some(seal), Some(signature)) => seal.chunk(&signature),
                    (None, None) => true,
                    _ => false,
                };
                if holds { Ok(None) } else { Err(unsigned()) }
            }
            Event::End(trailers) => {
                self.end(trailers)?;
                Ok(None)
            }
        }
    }

    fn end(&mut self, mut trailers: Vec<(String, String)>) -> Result<()> {
        let Some((algorithm, hasher)) = self.hasher.take() else {
            return Ok(());
        };
        let signature = trailers
            .iter()
            .position(|(name, _)| name == "x-amz-trailer-signature")
            .map(|at| trailers.remove(at).1);
        let holds = match (&mut self.seal, signature) {
            (Some(seal), Some(signature)) => seal.trailers(&trailers, &signature),
            (None, None) => true,
            _ => false,
        };
        if !holds {
            return Err(unsigned());
        }
        let malformed = || {
            let message = "The trailer that was declared is missing or malformed";
            fault(Code::MalformedTrailerError, message)
        };
        let [(name, value)] = trailers.as_slice() else {
            return Err(malformed());
        };
        let declared: Digest = match checksum::of_header(name) {
            Some(found) if found == algorithm => {
                checksum::digest(algorithm, value).ok_or_else(|| {
                    let message = format!("Value for {name} trailing header is invalid.");
                    fault(Code::InvalidRequest, &message)
                })?
            }
            _ => return Err(malformed()),
        };
        if hasher.finish().get(algorithm) != Some(&declared) {
            let message = format!(
                "The {} you specified did not match the calculated checksum.",
                checksum::name(algorithm)
            );
            return Err(fault(Code::BadDigest, &message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts the signature that is the data so far.
    #[derive(Default)]
    struct Plain(Vec<u8>);

    impl ChunkSeal for Plain {
        fn data(&mut self, data: &[u8]) {
            self.0.extend_from_slice(data);
        }

        fn chunk(&mut self, signature: &str) -> bool {
            signature.as_bytes() == self.0
        }

        fn trailers(&mut self, _: &[(String, String)], signature: &str) -> bool {
            signature == "end"
        }
    }

    fn read(body: &'static str, framing: Framing) -> std::result::Result<String, Code> {
        let body = futures::stream::iter(body.as_bytes().chunks(3).map(|p| Ok(Bytes::from(p))));
        let pieces: Vec<_> = futures::executor::block_on(unframe(body, framing).collect());
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
                Err(error) => return Err(S3Error::from(error).code()),
            }
        }
        Ok(text)
    }

    fn chunked(seal: bool, length: u64, trailer: bool) -> Framing {
        Framing::Chunked {
            seal: seal.then(|| Box::<Plain>::default() as Box<dyn ChunkSeal>),
            length,
            trailer: trailer.then_some(DigestAlgorithm::Crc32),
        }
    }

    #[test]
    fn seals_are_checked_before_the_end() {
        let sha = Hasher::new(&[DigestAlgorithm::Sha256]).finish();
        let empty: [u8; 32] = sha
            .get(DigestAlgorithm::Sha256)
            .unwrap()
            .value
            .clone()
            .try_into()
            .unwrap();
        assert_eq!(read("", Framing::Plain(Some(empty))).unwrap(), "");
        assert_eq!(
            read("x", Framing::Plain(Some(empty))),
            Err(Code::XAmzContentSHA256Mismatch)
        );
        assert_eq!(read("x", Framing::Plain(None)).unwrap(), "x");
        let signed = "2;chunk-signature=ab\r\nab\r\n0;chunk-signature=ab\r\n\r\n";
        assert_eq!(read(signed, chunked(true, 2, false)).unwrap(), "ab");
        // A signature that nobody expects is as wrong as a missing one.
        assert_eq!(
            read(signed, chunked(false, 2, false)),
            Err(Code::SignatureDoesNotMatch)
        );
        let wrong = "2;chunk-signature=aX\r\nab\r\n0;chunk-signature=ab\r\n\r\n";
        assert_eq!(
            read(wrong, chunked(true, 2, false)),
            Err(Code::SignatureDoesNotMatch)
        );
        let bare = "2\r\nab\r\n0\r\n\r\n";
        assert_eq!(
            read(bare, chunked(true, 2, false)),
            Err(Code::SignatureDoesNotMatch)
        );
        assert_eq!(
            read(bare, chunked(false, 3, false)),
            Err(Code::IncompleteBody)
        );
    }

    #[test]
    fn a_declared_trailer_must_come_and_hold() {
        // CRC-32 of "ab" is 9e83486d.
        let good = "2\r\nab\r\n0\r\nx-amz-checksum-crc32:noNIbQ==\r\n\r\n";
        assert_eq!(read(good, chunked(false, 2, true)).unwrap(), "ab");
        let bad = "2\r\nab\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        assert_eq!(read(bad, chunked(false, 2, true)), Err(Code::BadDigest));
        let short = "2\r\nab\r\n0\r\nx-amz-checksum-crc32:noNI\r\n\r\n";
        assert_eq!(
            read(short, chunked(false, 2, true)),
            Err(Code::InvalidRequest)
        );
        let none = "2\r\nab\r\n0\r\n\r\n";
        assert_eq!(read(none, chunked(false, 2, false)).unwrap(), "ab");
        assert_eq!(
            read(none, chunked(false, 2, true)),
            Err(Code::MalformedTrailerError)
        );
        let other = "2\r\nab\r\n0\r\nx-amz-checksum-sha1:AAAAAA==\r\n\r\n";
        assert_eq!(
            read(other, chunked(false, 2, true)),
            Err(Code::MalformedTrailerError)
        );
        let signed = "2;chunk-signature=ab\r\nab\r\n0;chunk-signature=ab\r\n\
                      x-amz-checksum-crc32:noNIbQ==\r\nx-amz-trailer-signature:end\r\n\r\n";
        assert_eq!(read(signed, chunked(true, 2, true)).unwrap(), "ab");
        let unsigned = "2;chunk-signature=ab\r\nab\r\n0;chunk-signature=ab\r\n\
                        x-amz-checksum-crc32:noNIbQ==\r\n\r\n";
        assert_eq!(
            read(unsigned, chunked(true, 2, true)),
            Err(Code::SignatureDoesNotMatch)
        );
    }
}
