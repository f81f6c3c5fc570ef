//! Bodies too large for the log: data segments, their writers, and reading them back.
//!
//! A writer has a segment to itself while it runs, so a stream's bytes lie together and nobody
//! waits for it. Bytes are durable when `finish` returns; the commit that names them comes after.

use crate::blocks::{ALIGN, BLOCK_BYTES, Place, Run, checksums};
use crate::codec::crc64;
use crate::committer::unavailable;
use crate::layout::sync_failed;
use crate::streams::{OpenSegment, Span, Streams};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::oneshot;
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::{DataWriter, Extent, Written};
use trestle_host::{File, Host};

/// Bytes per extent: a multiple of the block.
const EXTENT_BYTES: u64 = 4 << 20;
/// Bytes gathered before they are written; a stream holds at most two of these.
const WRITE_BYTES: usize = 512 << 10;
/// A stream is synced after so many bytes, so that its end does not meet a mountain.
const SYNC_BYTES: u64 = 16 << 20;
const TRAILER_MAGIC: [u8; 4] = *b"TEXT";

/// Starts a stream.
pub(crate) async fn writer(streams: &Arc<Streams>, rows: Bytes) -> Result<Box<dyn DataWriter>> {
    streams.poison.check()?;
    let segment = match streams.take_idle() {
        Some(segment) => segment,
        None => {
            let streams = streams.clone();
            start_blocking(&streams.host.clone(), move || streams.open_segment()).await?
        }
    };
    let stream = Stream {
        streams: streams.clone(),
        rows,
        segment: segment.id,
        file: segment.file,
        start: segment.end,
        at: segment.end,
        extent: None,
        extents: Vec::new(),
        length: 0,
        unsynced: 0,
        finished: false,
    };
    Ok(Box::new(Writer {
        streams: streams.clone(),
        stream: Some(stream),
        pending: BytesMut::new(),
        running: None,
    }))
}

fn start_blocking<T: Send + 'static>(
    host: &Host,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T>> {
    let (send, receive) = oneshot::channel();
    let running = host.spawn.blocking(Box::new(move || {
        // A caller that went away needs no answer.
        let _unread = send.send(call());
    }));
    Box::pin(async move {
        running.await;
        receive.await.unwrap_or_else(|_| Err(stopped()))
    })
}

fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "a write did not run")
}

/// A stream's place on disk; moves to the blocking pool for each write and back. Dropped before it
/// has finished, wherever it is then, it frees what it wrote.
struct Stream {
    streams: Arc<Streams>,
    /// What the keys of its rows start with.
    rows: Bytes,
    segment: u64,
    file: Arc<dyn File>,
    start: u64,
    at: u64,
    extent: Option<Run>,
    extents: Vec<Extent>,
    length: u64,
    unsynced: u64,
    finished: bool,
}

impl Stream {
    /// Writes bytes; all calls but the last bring whole blocks.
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let run = self.extent.get_or_insert_with(|| Run {
                place: Place::Data,
                segment: self.segment,
                offset: self.at,
                length: 0,
                checksums: Vec::new(),
            });
            let room = (EXTENT_BYTES - u64::from(run.length)) as usize;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            let room_on_disk = self.streams.headroom.promise_write(now.len() as u64)?;
            self.file.write_at(now, self.at)?;
            drop(room_on_disk);
            run.checksums.extend(checksums(now));
            run.length += now.len() as u32;
            self.at += now.len() as u64;
            self.unsynced += now.len() as u64;
            if u64::from(run.length) == EXTENT_BYTES {
                self.end_extent()?;
            }
            bytes = rest;
        }
        if self.unsynced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    /// Writes the trailer that says which row these bytes belong to.
    fn end_extent(&mut self) -> Result<()> {
        let Some(run) = self.extent.take() else {
            return Ok(());
        };
        let mut trailer = Vec::new();
        trailer.extend_from_slice(&TRAILER_MAGIC);
        trailer.extend_from_slice(&(self.rows.len() as u16).to_be_bytes());
        trailer.extend_from_slice(&self.rows);
        trailer.extend_from_slice(&self.length.to_be_bytes());
        run.encode(&mut trailer);
        let checksum = crc64(&trailer);
        trailer.extend_from_slice(&checksum.to_be_bytes());
        self.file.write_at(&trailer, self.at)?;
        self.at = run.offset + run.slot_bytes();
        self.length += u64::from(run.length);
        self.extents.push(Extent {
            length: u64::from(run.length),
            handle: run.handle(),
        });
        Ok(())
    }

    /// Where it lies, and its segment for the next one.
    fn parts(&self) -> (OpenSegment, Span) {
        let end = self.at.next_multiple_of(ALIGN);
        let segment = OpenSegment {
            id: self.segment,
            file: self.file.clone(),
            end,
        };
        let span = Span {
            segment: self.segment,
            bytes: self.start..end,
        };
        (segment, span)
    }

    fn sync(&mut self) -> Result<()> {
        self.unsynced = 0;
        self.file
            .sync_data()
            .map_err(|error| sync_failed("a data segment", error))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.finished {
            let (segment, span) = self.parts();
            self.streams.broken_off(segment, span);
        }
    }
}

type Running = BoxFuture<'static, Result<Stream>>;

struct Writer {
    streams: Arc<Streams>,
    /// Here unless a write runs.
    stream: Option<Stream>,
    pending: BytesMut,
    running: Option<Running>,
}

impl Writer {
    /// Waits for the write that runs, if any.
    async fn settle(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            self.stream = Some(running.await?);
        }
        Ok(())
    }

    /// Starts a call on the stream, away from the asynchronous threads.
    fn start(
        &mut self,
        call: impl FnOnce(&mut Stream) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let mut stream = self.stream.take().ok_or_else(stopped)?;
        let streams = self.streams.clone();
        self.running = Some(start_blocking(&self.streams.host, move || {
            let outcome = call(&mut stream);
            streams.poison_if_unsynced(outcome).map(|()| stream)
        }));
        Ok(())
    }
}

impl DataWriter for Writer {
    fn append(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.pending.extend_from_slice(&bytes);
            while self.pending.len() >= WRITE_BYTES {
                let now = self
                    .pending
                    .split_to(WRITE_BYTES / BLOCK_BYTES * BLOCK_BYTES)
                    .freeze();
                self.settle().await?;
                self.start(move |stream| stream.write(&now))?;
            }
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        Box::pin(async move {
            self.settle().await?;
            let last = self.pending.split().freeze();
            self.start(move |stream| {
                stream.write(&last)?;
                stream.end_extent()?;
                stream.sync()
            })?;
            self.settle().await?;
            self.streams.poison.check()?;
            let mut stream = self.stream.take().ok_or_else(unavailable)?;
            let extents = std::mem::take(&mut stream.extents);
            let (segment, span) = stream.parts();
            stream.finished = true;
            let token = self.streams.finished(segment, span);
            Ok(Written { extents, token })
        })
    }
}
