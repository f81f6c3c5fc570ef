//! The port of a byte store: streams in, verified ranges out.

use crate::meta::BodyRef;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::ops::Range;
use trestle_core::Result;

/// Longest start of the keys of a stream's rows, in bytes.
pub const ROWS_BYTES_MAX: usize = 200;
/// Most bytes that one read returns.
pub const READ_BYTES_MAX: u64 = 1 << 20;

/// A run of streamed bytes, to become the body of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Length in bytes, at least 1.
    pub length: u64,
    /// The engine's locator, at most a few kilobytes; of no use once a commit has named it.
    pub handle: Bytes,
}

/// Proof that a stream's bytes are durable and will not be swept while the process lives. To be
/// named by the one commit that makes its extents the bodies of rows, or to be abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// How often a byte store has what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundancy {
    /// Complete copies of the bytes, before a write is durable.
    pub copies: u32,
    /// Storage infrastructures, independent of each other, that they are on.
    pub infrastructures: u32,
}

/// A byte store.
pub trait Data: Send + Sync {
    /// Starts a stream of bytes. Its extents will be the bodies of the rows whose keys are `rows`
    /// followed by the offset of the extent in the stream (8 bytes, big endian): written beside the
    /// bytes, for salvage.
    fn write(&self, rows: Bytes) -> BoxFuture<'_, Result<Box<dyn DataWriter>>>;

    /// Reads a range within the bytes that belong to a row, at most [`READ_BYTES_MAX`] bytes, with
    /// every checksum block that it touches verified. The snapshot that `body` is from must live
    /// until this has returned.
    ///
    /// # Errors
    /// `Corrupt` when stored bytes do not match their checksum or are missing.
    fn read_body<'a>(
        &'a self,
        body: &'a BodyRef,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>>;

    /// How often it has all that is written to it.
    fn redundancy(&self) -> Redundancy;

    /// Bytes up to which a content is attached to its row rather than streamed.
    fn body_bytes_max(&self) -> usize;

    /// Gives up a finished stream. A commit that names it afterwards fails; one that is being
    /// applied, or was, does not lose its bytes.
    fn abandon(&self, token: Token);
}
