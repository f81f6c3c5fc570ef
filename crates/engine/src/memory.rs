//! An engine in memory: both ports, nothing durable, small enough to be believed. For tests, and as
//! the measure that other engines are held against.

use crate::Engine;
use crate::check;
use crate::data::{Data, DataWriter, Extent, READ_BYTES_MAX, Redundancy, Token, Written};
use crate::meta::{
    Body, BodyRef, Commit, Committed, Expectation, Meta, MetaRead, Row, Scan, ScanItem, Write,
};
use crate::walk::{Cursor, walk};
use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Result, Sequence};

/// Bytes of an extent: small, so that tests meet many.
const EXTENT_BYTES: usize = 1 << 20;
/// Largest body that is attached to its row, in bytes.
const BODY_BYTES_MAX: usize = 128 << 10;

type Rows = BTreeMap<Bytes, Row>;

/// A new, empty engine.
pub fn engine() -> Engine {
    let memory = Arc::new(Memory::default());
    Engine {
        meta: memory.clone(),
        data: memory,
        pins: Arc::default(),
    }
}

#[derive(Default)]
struct Memory {
    view: Mutex<View>,
    streams: Arc<Mutex<Streams>>,
}

/// The rows after a commit; snapshots share them until the next one.
#[derive(Clone, Default)]
struct View {
    rows: Arc<Rows>,
    sequence: Sequence,
    closed: bool,
}

/// What was streamed in and not committed: extents by number, under their tokens.
#[derive(Default)]
struct Streams {
    next: u64,
    live: HashMap<Token, HashMap<u64, Bytes>>,
}

impl Streams {
    /// The bytes of an extent of one of `tokens`.
    fn find(&self, tokens: &[Token], extent: &Extent) -> Result<Bytes> {
        let number = extent
            .handle
            .as_ref()
            .try_into()
            .ok()
            .map(u64::from_be_bytes);
        tokens
            .iter()
            .find_map(|token| self.live.get(token)?.get(&number?).cloned())
            .ok_or_else(|| Error::invalid("an extent is of none of the commit's tokens"))
    }
}

type Rest<'a> = Box<dyn Iterator<Item = (&'a Bytes, &'a Row)> + 'a>;

struct RowCursor<'a> {
    rows: &'a Rows,
    rest: Rest<'a>,
}

impl Cursor for RowCursor<'_> {
    fn seek(&mut self, from: Bound<&[u8]>, until: Bound<&[u8]>, reverse: bool) -> Result<()> {
        let range = self.rows.range::<[u8], _>((from, until));
        self.rest = if reverse {
            Box::new(range.rev())
        } else {
            Box::new(range)
        };
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(Bytes, Row)>> {
        Ok(self
            .rest
            .next()
            .map(|(key, row)| (key.clone(), row.clone())))
    }
}

impl MetaRead for View {
    fn sequence(&self) -> Sequence {
        self.sequence
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>>> {
        Box::pin(ready(Ok(self.rows.get(key).cloned())))
    }

    fn scan<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Vec<ScanItem>>> {
        let mut cursor = RowCursor {
            rows: &self.rows,
            rest: Box::new(std::iter::empty()),
        };
        Box::pin(ready(walk(&mut cursor, scan)))
    }
}

fn conflict() -> Error {
    Error::new(ErrorKind::Conflict, "a concurrent change came first")
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closed")
}

impl View {
    fn holds(&self, expectation: &Expectation) -> bool {
        match expectation {
            Expectation::Revision(key, revision) => self
                .rows
                .get(key)
                .is_some_and(|row| row.revision == *revision),
            Expectation::Absent(key) => !self.rows.contains_key(key),
            Expectation::EmptyRange(from, until) => {
                from >= until
                    || self
                        .rows
                        .range(from.clone()..until.clone())
                        .next()
                        .is_none()
            }
        }
    }

    fn apply(
        &mut self,
        writes: Vec<Write>,
        streamed: impl Fn(&Extent) -> Result<Bytes>,
    ) -> Result<Committed> {
        let revision = self.sequence.next();
        // What can fail comes before anything changes.
        let mut changed = Vec::with_capacity(writes.len());
        for write in writes {
            let row_key = write.row_key(revision);
            changed.push(match write {
                Write::Put { key, value, body } => {
                    let body = match body {
                        None => None,
                        Some(Body::Attached(bytes)) => Some(bytes),
                        Some(Body::Streamed(extent)) => Some(streamed(&extent)?),
                    };
                    // `check::validate` and `EXTENT_BYTES` bound it far below 4 GiB.
                    let reference = |bytes: Bytes| BodyRef {
                        length: bytes.len() as u32,
                        handle: bytes,
                    };
                    (
                        key,
                        Some(Row {
                            value,
                            revision,
                            body: body.map(reference),
                        }),
                    )
                }
                Write::Delete { key } => (key, None),
                Write::Append { value, .. } => (
                    row_key,
                    Some(Row {
                        value,
                        revision,
                        body: None,
                    }),
                ),
                Write::Add { key, delta } => {
                    let former = self.rows.get(&key).map(|row| row.value.as_ref());
                    let sum = check::add(former, delta)?.to_be_bytes();
                    let value = Bytes::copy_from_slice(&sum);
                    (
                        key,
                        Some(Row {
                            value,
                            revision,
                            body: None,
                        }),
                    )
                }
            });
        }
        let rows = Arc::make_mut(&mut self.rows);
        for (key, row) in changed {
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
        self.sequence = revision;
        Ok(Committed { sequence: revision })
    }
}

impl Memory {
    fn try_commit(&self, commit: Commit) -> Result<Committed> {
        check::validate(&commit)?;
        let mut view = self.view.lock();
        if view.closed {
            return Err(closed());
        }
        let mut streams = self.streams.lock();
        if !commit
            .tokens
            .iter()
            .all(|token| streams.live.contains_key(token))
        {
            return Err(conflict());
        }
        if !commit
            .expectations
            .iter()
            .all(|expectation| view.holds(expectation))
        {
            return Err(conflict());
        }
        let committed = view.apply(commit.writes, |extent| streams.find(&commit.tokens, extent))?;
        for token in commit.tokens {
            streams.live.remove(&token);
        }
        Ok(committed)
    }
}

impl Meta for Memory {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn MetaRead>>> {
        let view: Box<dyn MetaRead> = Box::new(self.view.lock().clone());
        Box::pin(ready(Ok(view)))
    }

    fn sequence(&self) -> Sequence {
        self.view.lock().sequence
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed>> {
        Box::pin(ready(self.try_commit(commit)))
    }

    fn writable(&self) -> Result<()> {
        if self.view.lock().closed {
            Err(closed())
        } else {
            Ok(())
        }
    }

    fn tidy(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(ready(self.writable()))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.view.lock().closed = true;
        Box::pin(ready(Ok(())))
    }
}

fn slice(bytes: &Bytes, range: Range<u64>) -> Result<Bytes> {
    let outside = range.start > range.end || range.end > bytes.len() as u64;
    if outside || range.end - range.start > READ_BYTES_MAX {
        return Err(Error::invalid(
            "the range lies outside the stored bytes, or is too long",
        ));
    }
    Ok(bytes.slice(range.start as usize..range.end as usize))
}

impl Data for Memory {
    fn write(&self, _rows: Bytes) -> BoxFuture<'_, Result<Box<dyn DataWriter>>> {
        let writer = Writer {
            streams: self.streams.clone(),
            pending: BytesMut::new(),
        };
        let outcome: Result<Box<dyn DataWriter>> = self.writable().map(|()| Box::new(writer) as _);
        Box::pin(ready(outcome))
    }

    fn read_body<'a>(
        &'a self,
        body: &'a BodyRef,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(ready(slice(&body.handle, range)))
    }

    fn redundancy(&self) -> Redundancy {
        Redundancy {
            copies: 1,
            infrastructures: 1,
        }
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    fn abandon(&self, token: Token) {
        self.streams.lock().live.remove(&token);
    }
}

struct Writer {
    streams: Arc<Mutex<Streams>>,
    pending: BytesMut,
}

impl DataWriter for Writer {
    fn append(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.pending.extend_from_slice(&bytes);
        Box::pin(ready(Ok(())))
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        let mut streams = self.streams.lock();
        let stream = self.pending.freeze();
        let mut numbered = HashMap::new();
        let mut extents = Vec::new();
        for start in (0..stream.len()).step_by(EXTENT_BYTES) {
            let bytes = stream.slice(start..stream.len().min(start + EXTENT_BYTES));
            streams.next += 1;
            extents.push(Extent {
                length: bytes.len() as u64,
                handle: Bytes::copy_from_slice(&streams.next.to_be_bytes()),
            });
            numbered.insert(streams.next, bytes);
        }
        streams.next += 1;
        let token = Token(streams.next);
        streams.live.insert(token, numbered);
        drop(streams);
        Box::pin(ready(Ok(Written { extents, token })))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_keeps_the_contract() {
        futures::executor::block_on(crate::contract::all(|| Box::pin(async { super::engine() })));
    }
}
