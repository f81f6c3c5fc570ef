//! MD5 of the bodies that are taken in at the same time: hashed beside each other, which costs a
//! third of hashing them one after the other.
//!
//! Nobody waits for company. A stream offers what it has, lets every other task that is ready run
//! once, and then hashes what was offered meanwhile along with its own. So nothing depends on a
//! task that may be dropped: what it offered is hashed by whoever comes next, or by nobody.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::oneshot::{self, error::TryRecvError};
use trestle_core::{Digest, DigestAlgorithm, Error, ErrorKind, Md5, Result};

/// Bytes of a stream that are offered together; fewer at its end.
const OFFER_BYTES: usize = 64 << 10;
/// Fewer are not worth a wait: they are hashed at once.
const OFFER_BYTES_MIN: usize = 4 << 10;
/// Streams that one task hashes: as many as fit beside each other, so that more of them go to
/// other processors.
const TOGETHER: usize = 4;

/// What streams have offered and nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Hashing(Mutex<VecDeque<Offer>>);

#[derive(Debug)]
struct Offer {
    md5: Md5,
    pieces: Vec<Bytes>,
    back: oneshot::Sender<Md5>,
}

impl Hashing {
    /// The MD5 of a stream that goes on with `pieces`.
    async fn hash(&self, md5: Md5, pieces: Vec<Bytes>) -> Result<Md5> {
        let (back, mut result) = oneshot::channel();
        self.0.lock().push_back(Offer { md5, pieces, back });
        tokio::task::yield_now().await;
        loop {
            // Taken by another task, or to be taken now: the queue is in the order of the offers.
            match result.try_recv() {
                Ok(md5) => return Ok(md5),
                Err(TryRecvError::Closed) => return Err(stopped()),
                Err(TryRecvError::Empty) => {}
            }
            if !self.hash_next() {
                return result.await.map_err(|_dropped| stopped());
            }
        }
    }

    /// Hashes the oldest offers; whether there were any.
    fn hash_next(&self) -> bool {
        let mut offers: Vec<Offer> = {
            let mut queue = self.0.lock();
            let count = queue.len().min(TOGETHER);
            queue.drain(..count).collect()
        };
        let mut streams: Vec<(&mut Md5, &[Bytes])> = offers
            .iter_mut()
            .map(|offer| (&mut offer.md5, offer.pieces.as_slice()))
            .collect();
        Md5::update_all(&mut streams);
        let any = !offers.is_empty();
        for Offer { md5, back, .. } in offers {
            // Its stream may be gone.
            let _gone = back.send(md5);
        }
        any
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the bytes could not be hashed")
}

/// The MD5 of one body.
#[derive(Debug)]
pub(crate) struct BodyMd5<'a> {
    hashing: &'a Hashing,
    md5: Md5,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl<'a> BodyMd5<'a> {
    pub(crate) fn new(hashing: &'a Hashing) -> Self {
        BodyMd5 {
            hashing,
            md5: Md5::default(),
            pieces: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes in the next bytes.
    pub(crate) async fn update(&mut self, piece: Bytes) -> Result<()> {
        self.bytes += piece.len();
        self.pieces.push(piece);
        match self.bytes >= OFFER_BYTES {
            true => self.offer().await,
            false => Ok(()),
        }
    }

    /// The digest of all bytes.
    pub(crate) async fn finish(mut self) -> Result<Digest> {
        if self.bytes >= OFFER_BYTES_MIN {
            self.offer().await?;
        }
        for piece in &self.pieces {
            self.md5.update(piece);
        }
        Ok(Digest {
            algorithm: DigestAlgorithm::Md5,
            value: self.md5.finish().to_vec(),
        })
    }

    async fn offer(&mut self) -> Result<()> {
        self.bytes = 0;
        let (md5, pieces) = (self.md5.clone(), std::mem::take(&mut self.pieces));
        self.md5 = self.hashing.hash(md5, pieces).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;

    fn bytes(length: usize, seed: usize) -> Bytes {
        let byte = |at: usize| ((at * 31 + seed * 7) >> 3) as u8;
        (0..length).map(byte).collect()
    }

    async fn digest(hashing: &Hashing, whole: Bytes, piece: usize) -> Digest {
        let mut md5 = BodyMd5::new(hashing);
        for start in (0..whole.len()).step_by(piece) {
            let piece = whole.slice(start..whole.len().min(start + piece));
            md5.update(piece).await.unwrap();
        }
        md5.finish().await.unwrap()
    }

    fn expected(whole: &[u8]) -> Vec<u8> {
        let mut md5 = Md5::default();
        md5.update(whole);
        md5.finish().to_vec()
    }

    #[tokio::test]
    async fn bodies_at_the_same_time_have_their_own_digests() {
        let hashing = Hashing::default();
        let lengths = [0, 1, 4095, 4096, 65_536, 65_537, 200_000, 300_000, 300_001];
        let wholes: Vec<Bytes> = (0..lengths.len()).map(|n| bytes(lengths[n], n)).collect();
        let digests = wholes
            .iter()
            .map(|whole| digest(&hashing, whole.clone(), 10_000));
        for (digest, whole) in join_all(digests).await.iter().zip(&wholes) {
            assert_eq!(digest.value, expected(whole));
        }
        assert!(hashing.0.lock().is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_takes_no_other_along() {
        let hashing = Hashing::default();
        let whole = bytes(100_000, 1);
        for _ in 0..10 {
            let mut dropped = Box::pin(digest(&hashing, whole.clone(), 100_000));
            assert!((&mut dropped).now_or_never().is_none());
        }
        assert_eq!(hashing.0.lock().len(), 10);
        let digest = digest(&hashing, whole.clone(), 100_000).await;
        assert_eq!(digest.value, expected(&whole));
        assert!(hashing.0.lock().is_empty());
    }
}
