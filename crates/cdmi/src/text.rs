//! Bodies that say that they are text: their bytes are looked at as they pass.

use bytes::Bytes;
use futures::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use trestle_core::{Error, Result};

/// A body that ends with an error where it is not the UTF-8 that it is said to be.
pub(crate) struct Text<B> {
    body: B,
    is_text: bool,
    /// The beginning of a character whose end is in the next piece.
    begun: Vec<u8>,
}

impl<B> Text<B> {
    /// A body, which may be anything when it is not said to be text.
    pub(crate) fn new(body: B, is_text: bool) -> Self {
        Text {
            body,
            is_text,
            begun: Vec::new(),
        }
    }

    fn check(&mut self, piece: &[u8]) -> Result<()> {
        let joined: Vec<u8>;
        let bytes = match self.begun.is_empty() {
            true => piece,
            false => {
                joined = [self.begun.as_slice(), piece].concat();
                &joined
            }
        };
        let begun = match std::str::from_utf8(bytes) {
            Ok(_) => Vec::new(),
            Err(error) if error.error_len().is_none() => {
                bytes.get(error.valid_up_to()..).unwrap_or_default().into()
            }
            Err(_) => return Err(not_text()),
        };
        self.begun = begun;
        Ok(())
    }
}

fn not_text() -> Error {
    Error::invalid("the value is not utf-8, as its media type says")
}

impl<B> Stream for Text<B>
where
    B: Stream<Item = Result<Bytes>> + Unpin,
{
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(Pin::new(&mut self.body).poll_next(context));
        Poll::Ready(match piece {
            Some(Ok(piece)) if self.is_text => Some(self.check(&piece).map(|()| piece)),
            None if !self.begun.is_empty() => {
                self.begun.clear();
                Some(Err(not_text()))
            }
            piece => piece,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use futures::executor::block_on;

    fn read(pieces: &[&[u8]], is_text: bool) -> Result<Vec<u8>> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let read = Text::new(futures::stream::iter(pieces), is_text).collect::<Vec<_>>();
        let read: Result<Vec<Bytes>> = block_on(read).into_iter().collect();
        Ok(read?.concat())
    }

    #[test]
    fn text_is_text_wherever_it_is_cut() {
        let text = "aß€😀z".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let cut = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(read(&cut, true).unwrap(), text, "{first} {second}");
            }
        }
        for wrong in [&b"\xff"[..], b"a\xc3", b"\xc3a", b"\xed\xa0\x80"] {
            assert!(read(&[wrong], true).is_err(), "{wrong:?}");
            assert!(read(&[b"ok", &wrong[..1], &wrong[1..]], true).is_err());
            assert_eq!(read(&[wrong], false).unwrap(), wrong);
        }
    }
}
