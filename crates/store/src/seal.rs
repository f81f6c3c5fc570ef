//! Encrypted contents: 64 KiB frames, each sealed on its own, so that a range is read and a frame is
//! replaced without the others.
//!
//! A frame is a nonce, the ciphertext and a tag. The content's id and the frame's number are bound
//! to it, so frames can be neither exchanged nor moved; the nonce is random and stored. Which length
//! the whole has is bound to nothing here: the record says it.

use crate::keys::{KEY_BYTES, NONCE_BYTES, SecretKey, TAG_BYTES};
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use bytes::{Bytes, BytesMut};
use std::ops::Range;
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Id, Result};
use trestle_host::Random;

/// Plain bytes of each frame but the last.
pub(crate) const FRAME_BYTES: u64 = 64 << 10;
/// What sealing adds to a frame.
const OVERHEAD_BYTES: u64 = (NONCE_BYTES + TAG_BYTES) as u64;
/// A sealed frame.
const SEALED_BYTES: u64 = FRAME_BYTES + OVERHEAD_BYTES;

/// Bytes that `plain` bytes take when they are sealed.
pub(crate) fn sealed_length(plain: u64) -> u64 {
    plain.saturating_add(plain.div_ceil(FRAME_BYTES).saturating_mul(OVERHEAD_BYTES))
}

/// The frames that a range of plain bytes touches, and where they are in a sealed content of
/// `length` plain bytes. The range lies within it.
pub(crate) fn sealed_range(range: &Range<u64>, length: u64) -> (Range<u64>, Range<u64>) {
    let frames = range.start / FRAME_BYTES..range.end.div_ceil(FRAME_BYTES);
    let start = frames.start.saturating_mul(SEALED_BYTES);
    let end = frames.end.saturating_mul(SEALED_BYTES);
    (frames, start..end.min(sealed_length(length)))
}

/// Seals and opens the frames of one content.
#[derive(Clone)]
pub(crate) struct FrameCipher {
    cipher: Arc<Aes256Gcm>,
    content: Id,
}

impl std::fmt::Debug for FrameCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FrameCipher").field(&self.content).finish()
    }
}

impl FrameCipher {
    /// The cipher of the content that `content` names, under a key of its own.
    pub(crate) fn new(key: &SecretKey, content: Id) -> Self {
        let key: &[u8; KEY_BYTES] = key.as_bytes();
        FrameCipher {
            cipher: Arc::new(Aes256Gcm::new(key.into())),
            content,
        }
    }

    fn bound(&self, number: u64) -> [u8; 24] {
        let mut bound = [0; 24];
        let (content, frame) = bound.split_at_mut(16);
        content.copy_from_slice(self.content.as_bytes());
        frame.copy_from_slice(&number.to_be_bytes());
        bound
    }

    /// Seals frame `number`.
    ///
    /// # Errors
    /// `Internal`; a frame is far below the limits of the cipher.
    pub(crate) fn seal(&self, random: &dyn Random, number: u64, plain: &[u8]) -> Result<Bytes> {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce);
        let mut sealed = BytesMut::with_capacity(plain.len() + NONCE_BYTES + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let text = sealed.get_mut(NONCE_BYTES..).unwrap_or_default();
        let nonce = Nonce::from_slice(&nonce);
        let tag = self
            .cipher
            .encrypt_in_place_detached(nonce, &self.bound(number), text)
            .map_err(|_| Error::new(ErrorKind::Internal, "a frame cannot be encrypted"))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed.freeze())
    }

    /// Opens frame `number`.
    ///
    /// # Errors
    /// `Corrupt` when it is not this frame of this content under this key, or was changed.
    pub(crate) fn open(&self, number: u64, sealed: &[u8]) -> Result<Bytes> {
        let wrong = || {
            Error::corrupt(format!(
                "frame {number} of an encrypted content cannot be decrypted: damaged, or the key is \
                 another one"
            ))
        };
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let at = rest.len().checked_sub(TAG_BYTES).ok_or_else(wrong)?;
        let (text, tag) = rest.split_at_checked(at).ok_or_else(wrong)?;
        let mut plain = BytesMut::from(text);
        self.cipher
            .decrypt_in_place_detached(
                Nonce::from_slice(nonce),
                &self.bound(number),
                &mut plain,
                Tag::from_slice(tag),
            )
            .map_err(|_| wrong())?;
        Ok(plain.freeze())
    }

    /// Opens consecutive frames from number `first`.
    ///
    /// # Errors
    /// As [`FrameCipher::open`].
    pub(crate) fn open_all(&self, first: u64, sealed: &[u8]) -> Result<BytesMut> {
        let mut plain = BytesMut::with_capacity(sealed.len());
        let size = usize::try_from(SEALED_BYTES).unwrap_or(usize::MAX);
        for (number, frame) in (first..).zip(sealed.chunks(size)) {
            plain.extend_from_slice(&self.open(number, frame)?);
        }
        Ok(plain)
    }
}

/// Cuts a stream of plain bytes into sealed frames.
#[derive(Debug)]
pub(crate) struct Sealer {
    cipher: FrameCipher,
    next: u64,
    pending: BytesMut,
}

impl Sealer {
    /// Seals a content from its first byte.
    pub(crate) fn new(cipher: FrameCipher) -> Self {
        Sealer {
            cipher,
            next: 0,
            pending: BytesMut::new(),
        }
    }

    /// Takes the next bytes, and gives the frames that they fill.
    ///
    /// # Errors
    /// As [`FrameCipher::seal`].
    pub(crate) fn push(&mut self, random: &dyn Random, bytes: &[u8]) -> Result<Bytes> {
        self.pending.extend_from_slice(bytes);
        let size = usize::try_from(FRAME_BYTES).unwrap_or(usize::MAX);
        let mut frames = BytesMut::new();
        while self.pending.len() >= size {
            let frame = self.pending.split_to(size);
            frames.extend_from_slice(&self.frame(random, &frame)?);
        }
        Ok(frames.freeze())
    }

    /// The last frame; empty when nothing is left for one.
    ///
    /// # Errors
    /// As [`FrameCipher::seal`].
    pub(crate) fn finish(mut self, random: &dyn Random) -> Result<Bytes> {
        let rest = std::mem::take(&mut self.pending);
        if rest.is_empty() {
            return Ok(Bytes::new());
        }
        self.frame(random, &rest)
    }

    fn frame(&mut self, random: &dyn Random, plain: &[u8]) -> Result<Bytes> {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.cipher.seal(random, number, plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trestle_host::SeededRandom;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        SeededRandom::new(length as u64).fill(&mut bytes);
        bytes
    }

    fn seal(cipher: &FrameCipher, plain: &[u8], piece: usize) -> Vec<u8> {
        let random = SeededRandom::new(7);
        let mut sealer = Sealer::new(cipher.clone());
        let mut sealed = Vec::new();
        for piece in plain.chunks(piece) {
            sealed.extend_from_slice(&sealer.push(&random, piece).unwrap());
        }
        sealed.extend_from_slice(&sealer.finish(&random).unwrap());
        sealed
    }

    fn cipher(seed: u64, content: u8) -> FrameCipher {
        let key = SecretKey::generate(&SeededRandom::new(seed));
        FrameCipher::new(&key, Id([content; 16]))
    }

    #[test]
    fn any_range_comes_back_whatever_the_pieces() {
        let cipher = cipher(1, 1);
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let plain = noise(length);
            for piece in [1000, 65_536, 300_000] {
                let sealed = seal(&cipher, &plain, piece);
                assert_eq!(sealed.len() as u64, sealed_length(length as u64));
                for (start, end) in [(0, length), (length / 2, length), (length / 3, length / 2)] {
                    let range = start as u64..end as u64;
                    let (frames, place) = sealed_range(&range, length as u64);
                    let place = place.start as usize..place.end as usize;
                    let opened = cipher.open_all(frames.start, &sealed[place]).unwrap();
                    let skip = start - (frames.start * FRAME_BYTES) as usize;
                    assert_eq!(opened[skip..skip + end - start], plain[start..end]);
                }
            }
        }
    }

    #[test]
    fn frames_cannot_be_changed_moved_or_exchanged() {
        let one = cipher(1, 1);
        let sealed = seal(&one, &noise(131_072), 131_072);
        let (first, second) = sealed.split_at(SEALED_BYTES as usize);
        assert!(one.open(0, first).is_ok() && one.open(1, second).is_ok());
        assert!(one.open(1, first).is_err());
        assert!(cipher(1, 2).open(0, first).is_err());
        assert!(cipher(2, 1).open(0, first).is_err());
        for at in [0, 11, 12, 40_000, first.len() - 1] {
            let mut changed = first.to_vec();
            changed[at] ^= 0x80;
            let error = one.open(0, &changed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        assert!(one.open(0, &first[..first.len() - 1]).is_err());
        assert!(one.open(0, &[]).is_err());
    }
}
