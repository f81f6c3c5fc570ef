//! The port of a byte store: streams in, verified ranges out.

use crate::meta::BodyRef;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::ops::Range;
use trestle_core::{LayerId, Result};

/// Most bytes that one read returns.
pub const READ_BYTES_MAX: u64 = 1 << 20;

/// Where a run of bytes lies: stored by the caller, understood by the engine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Length in bytes, at least 1.
    pub length: u64,
    /// The engine's locator, with the checksums of the bytes; at most a few kilobytes.
    pub handle: Bytes,
}

/// Proof that a stream's bytes are durable and will not be swept before the token expires. To be
/// named by the commit that stores the extents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(pub u64);

/// What a finished stream left behind.
#[derive(Clone, Debug)]
pub struct Written {
    /// The stream's bytes in order.
    pub extents: Vec<Extent>,
    /// Names the stream in its commit.
    pub token: Token,
}

/// A stream of bytes into the store. Dropping it before `finish` frees what it wrote.
pub trait DataWriter: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `NoSpace`, or the engine's failure; the stream is then dead.
    fn append(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Makes all bytes durable.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>>;
}

/// A byte store.
pub trait Data: Send + Sync {
    /// Starts a stream of bytes that will belong to one layer.
    fn write(&self, owner: LayerId) -> BoxFuture<'_, Result<Box<dyn DataWriter>>>;

    /// Reads a range within an extent, at most [`READ_BYTES_MAX`] bytes, with every checksum block
    /// that it touches verified.
    ///
    /// # Errors
    /// `Corrupt` when stored bytes do not match their checksum or are missing.
    fn read<'a>(&'a self, extent: &'a Extent, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>>;

    /// Reads a range within the bytes attached to a row; the same rules.
    fn read_body<'a>(
        &'a self,
        body: &'a BodyRef,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>>;

    /// Bytes up to which a content is attached to its row rather than streamed.
    fn body_bytes_max(&self) -> usize;

    /// Gives extents up after the commit that freed them. What the engine does not yet reuse it may
    /// keep; it never fails the caller's request.
    fn release(&self, extents: Vec<Extent>);
}
