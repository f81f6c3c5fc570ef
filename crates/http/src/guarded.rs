//! A stream whose bytes pass the guard in, and whose pace is watched on the way out. After a
//! violation it reads as ended.

use crate::drain::Drain;
use crate::guard::{Guard, Violation};
use bytes::{Buf, BufMut, BytesMut};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// Why nothing more is read.
pub(crate) enum Ended {
    /// A head was refused between two requests: it is still to be answered.
    Refused(Violation),
    /// A body's framing broke: its request answers for it.
    Broken,
}

pub(crate) struct Guarded<S> {
    pub(crate) stream: S,
    pub(crate) guard: Guard,
    pub(crate) ended: Option<Ended>,
    received: BytesMut,
    passed: BytesMut,
    /// Whether what was received has not been looked at.
    unseen: bool,
    drain: Drain,
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// A stream of which `received` was read before.
    pub(crate) fn new(stream: S, received: BytesMut, drain: Drain) -> Self {
        Guarded {
            stream,
            guard: Guard::default(),
            ended: None,
            unseen: !received.is_empty(),
            received,
            passed: BytesMut::new(),
            drain,
        }
    }

    /// Whether a request's head has begun and not ended.
    pub(crate) fn is_in_head(&self) -> bool {
        self.ended.is_none() && self.guard.is_idle() && !self.received.is_empty()
    }

    fn look(&mut self) {
        self.unseen = false;
        if let Err(violation) = self.guard.pass(&mut self.received, &mut self.passed) {
            self.ended = Some(if self.guard.is_idle() {
                Ended::Refused(violation)
            } else {
                Ended::Broken
            });
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.passed.is_empty() {
                let now = this.passed.len().min(buffer.remaining());
                buffer.put_slice(this.passed.get(..now).unwrap_or_default());
                this.passed.advance(now);
                return Poll::Ready(Ok(()));
            }
            if this.ended.is_some() {
                return Poll::Ready(Ok(()));
            }
            if this.unseen {
                this.look();
                continue;
            }
            this.received.reserve(READ_BYTES);
            let mut room = (&mut this.received).limit(READ_BYTES);
            // Into memory that is not cleared first: that would cost more than the rest of this.
            let read = pin!(this.stream.read_buf(&mut room)).poll(context);
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(()));
            }
            this.look();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.drain.wrote(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.drain.wrote(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It comes when all that there was has been written.
        self.drain.flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A stream of which some bytes were read before.
pub(crate) struct Prefixed<S> {
    pub(crate) stream: S,
    pub(crate) prefix: BytesMut,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.prefix.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let now = this.prefix.len().min(buffer.remaining());
        buffer.put_slice(this.prefix.get(..now).unwrap_or_default());
        this.prefix.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
