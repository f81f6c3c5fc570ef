//! Bodies too large for the log: data segments, their writers, and reading them back.
//!
//! A writer has a segment to itself while it runs, so a stream's bytes lie together and nobody
//! waits for it. Bytes are durable when `finish` returns; the commit that names them comes after.

use crate::blocks::{BLOCK_BYTES, Place, Run, checksums};
use crate::codec::crc64;
use crate::committer::{Poison, unavailable};
use crate::format::FORMAT_VERSION;
use crate::layout::{Layout, sync_failed};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;
use trestle_core::{Error, ErrorKind, Result};
use trestle_engine::{Body, Commit, DataWriter, Extent, Token, Write, Written};
use trestle_host::{File, Host};

/// A data segment takes no further stream beyond this length.
const SEGMENT_BYTES: u64 = 1 << 30;
/// Bytes per extent: a multiple of the block.
const EXTENT_BYTES: u64 = 4 << 20;
/// Bytes gathered before they are written; a stream holds at most two of these.
const WRITE_BYTES: usize = 512 << 10;
/// A stream is synced after so many bytes, so that its end does not meet a mountain.
const SYNC_BYTES: u64 = 16 << 20;
/// Extents start at multiples of this, so that they can be freed one by one.
const ALIGN: u64 = 4096;
const MAGIC: [u8; 8] = *b"TRSTDAT1";
const TRAILER_MAGIC: [u8; 4] = *b"TEXT";

/// Streams that are finished and not yet committed.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    next: AtomicU64,
    live: Mutex<HashMap<Token, Span>>,
    /// Of commits in the group that is being written.
    taken: Mutex<Vec<(Token, Span)>>,
}

/// Where a finished stream lies, trailers and all.
#[derive(Clone, Debug)]
struct Span {
    segment: u64,
    bytes: Range<u64>,
}

impl Span {
    fn holds(&self, run: &Run) -> bool {
        run.place == Place::Data && run.segment == self.segment && self.bytes.contains(&run.offset)
    }
}

impl Tokens {
    fn issue(&self, span: Span) -> Token {
        let token = Token(self.next.fetch_add(1, Ordering::Relaxed));
        self.live.lock().insert(token, span);
        token
    }

    /// Fails with `Conflict` unless every token is live, and with `InvalidInput` when a row is to
    /// have an extent of another stream.
    pub(crate) fn check(&self, commit: &Commit) -> Result<()> {
        let live = self.live.lock();
        let spans: Option<Vec<&Span>> = commit.tokens.iter().map(|token| live.get(token)).collect();
        let spans = spans.ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                "a stream's durability token has expired",
            )
        })?;
        for write in &commit.writes {
            if let Write::Put {
                body: Some(Body::Streamed(extent)),
                ..
            } = write
            {
                let run = Run::from_handle(&extent.handle)?;
                if !spans.iter().any(|span| span.holds(&run)) {
                    return Err(Error::invalid(
                        "an extent is of none of the commit's tokens",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Takes tokens for a commit of the group that is being formed.
    pub(crate) fn take(&self, tokens: &[Token]) {
        let (mut live, mut taken) = (self.live.lock(), self.taken.lock());
        taken.extend(tokens.iter().filter_map(|token| live.remove_entry(token)));
    }

    /// The group is durable: its tokens have ended.
    pub(crate) fn spend(&self) {
        self.taken.lock().clear();
    }

    /// The group was not written: its tokens live on.
    pub(crate) fn restore(&self) {
        let (mut live, mut taken) = (self.live.lock(), self.taken.lock());
        live.extend(taken.drain(..));
    }

    /// Ends a token that nobody will name; one that was taken is left alone.
    pub(crate) fn abandon(&self, token: Token) {
        self.live.lock().remove(&token);
    }
}

/// A data segment that takes streams, one at a time.
struct Segment {
    id: u64,
    file: Arc<dyn File>,
    end: u64,
}

/// The data segments of this run. Those of earlier runs are only read.
pub(crate) struct DataSegments {
    host: Host,
    layout: Layout,
    store: [u8; 16],
    poison: Arc<Poison>,
    next: AtomicU64,
    idle: Mutex<Vec<Segment>>,
    pub(crate) tokens: Arc<Tokens>,
}

impl DataSegments {
    pub(crate) fn open(
        host: &Host,
        layout: &Layout,
        store: [u8; 16],
        poison: &Arc<Poison>,
    ) -> Result<Self> {
        let newest = layout.data_segments(host)?.last().copied().unwrap_or(0);
        Ok(DataSegments {
            host: host.clone(),
            layout: layout.clone(),
            store,
            poison: poison.clone(),
            next: AtomicU64::new(newest + 1),
            idle: Mutex::new(Vec::new()),
            tokens: Arc::new(Tokens::default()),
        })
    }

    /// Starts a stream.
    pub(crate) async fn writer(self: &Arc<Self>, rows: Bytes) -> Result<Box<dyn DataWriter>> {
        self.poison.check()?;
        let idle = self.idle.lock().pop();
        let segment = match idle {
            Some(segment) => segment,
            None => self.create().await?,
        };
        Ok(Box::new(Writer {
            start: segment.end,
            stream: Stream {
                rows,
                segment: segment.id,
                file: segment.file,
                at: segment.end,
                extent: None,
                extents: Vec::new(),
                length: 0,
                unsynced: 0,
            }
            .into(),
            pending: BytesMut::new(),
            running: None,
            segments: self.clone(),
        }))
    }

    async fn create(&self) -> Result<Segment> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut header = Vec::with_capacity(ALIGN as usize);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&self.store);
        header.extend_from_slice(&id.to_be_bytes());
        let checksum = crc64(&header);
        header.extend_from_slice(&checksum.to_be_bytes());
        header.resize(ALIGN as usize, 0);
        let (host, layout) = (self.host.clone(), self.layout.clone());
        let poison = self.poison.clone();
        let file = run_blocking(&self.host, move || {
            let created = layout.create_data_segment(&host, id, &header);
            created.inspect_err(|error| poison_if_unsynced(&poison, error))
        })
        .await?;
        Ok(Segment {
            id,
            file,
            end: ALIGN,
        })
    }

    fn give_back(&self, segment: Segment) {
        if segment.end < SEGMENT_BYTES {
            self.idle.lock().push(segment);
        }
    }
}

/// Runs a call on the blocking pool and waits for what it gives.
async fn run_blocking<T: Send + 'static>(
    host: &Host,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    start_blocking(host, call).await
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

/// Only a failed sync is beyond repair; a failed write harms its stream alone.
fn poison_if_unsynced(poison: &Poison, error: &Error) {
    if error.kind() == ErrorKind::Unavailable {
        poison.set();
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "a write did not run")
}

/// A stream's place on disk; moves to the blocking pool for each write and back.
struct Stream {
    /// What the keys of its rows start with.
    rows: Bytes,
    segment: u64,
    file: Arc<dyn File>,
    at: u64,
    extent: Option<Run>,
    extents: Vec<Extent>,
    length: u64,
    unsynced: u64,
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
            self.file.write_at(now, self.at)?;
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
        self.at = (self.at + trailer.len() as u64).next_multiple_of(ALIGN);
        self.length += u64::from(run.length);
        self.extents.push(Extent {
            length: u64::from(run.length),
            handle: run.handle(),
        });
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.unsynced = 0;
        self.file
            .sync_data()
            .map_err(|error| sync_failed("a data segment", error))
    }
}

type Running = BoxFuture<'static, Result<Stream>>;

struct Writer {
    segments: Arc<DataSegments>,
    /// Where the stream starts in its segment.
    start: u64,
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
        let poison = self.segments.poison.clone();
        self.running = Some(start_blocking(&self.segments.host, move || {
            match call(&mut stream) {
                Ok(()) => Ok(stream),
                Err(error) => {
                    poison_if_unsynced(&poison, &error);
                    Err(error)
                }
            }
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
            self.segments.poison.check()?;
            let mut stream = self.stream.take().ok_or_else(unavailable)?;
            let extents = std::mem::take(&mut stream.extents);
            let span = Span {
                segment: stream.segment,
                bytes: self.start..stream.at,
            };
            self.segments.give_back(Segment {
                id: stream.segment,
                file: stream.file,
                end: stream.at,
            });
            Ok(Written {
                extents,
                token: self.segments.tokens.issue(span),
            })
        })
    }
}

impl Drop for Writer {
    /// An abandoned stream gives its space back at once: the next one starts where it did. When a
    /// write still runs, the segment is left alone instead.
    fn drop(&mut self) {
        if let (Some(stream), None) = (self.stream.take(), &self.running) {
            let segment = Segment {
                id: stream.segment,
                file: stream.file,
                end: self.start,
            };
            self.segments.give_back(segment);
        }
    }
}
