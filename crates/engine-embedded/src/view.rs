//! What readers see: a sequence over two tables in memory and the index.
//!
//! A snapshot holds all three, so neither a checkpoint nor a later commit changes what it shows.

use crate::index::{Base, read_failed};
use crate::memtable::{Memtable, State};
use crate::row::StoredRow;
use bytes::Bytes;
use futures::future::BoxFuture;
use redb::ReadableTable;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use trestle_core::{Error, Result, Sequence};
use trestle_engine::canary::{self, Canary};
use trestle_engine::locks::RwLock;
use trestle_engine::walk::{Cursor, walk};
use trestle_engine::{MetaRead, Row, Scan, ScanItem};

/// A consistent view.
#[derive(Clone)]
pub(crate) struct View {
    /// The newest visible commit.
    pub(crate) sequence: Sequence,
    /// Takes new groups.
    pub(crate) active: Arc<Memtable>,
    /// Being written into the index, when a checkpoint runs.
    pub(crate) frozen: Option<Arc<Memtable>>,
    /// The index at its last checkpoint.
    pub(crate) base: Arc<Base>,
    /// Renewed whenever bytes are freed: while an older one is held, somebody may read them.
    pub(crate) pin: Arc<()>,
}

/// The current view, replaced as a whole.
pub(crate) type CurrentView = RwLock<View>;

impl View {
    pub(crate) fn new(sequence: Sequence, active: Memtable, base: Arc<Base>) -> Self {
        View {
            sequence,
            active: Arc::new(active),
            frozen: None,
            base,
            pin: Arc::new(()),
        }
    }

    /// Renews the pin, and returns what lives for as long as the views from before.
    pub(crate) fn renew_pin(&mut self) -> Weak<()> {
        Arc::downgrade(&std::mem::take(&mut self.pin))
    }

    /// The row of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<State> {
        for table in std::iter::once(&self.active).chain(&self.frozen) {
            if let Some(state) = table.get(key, self.sequence) {
                return Ok(state);
            }
        }
        match ReadableTable::get(&self.base.rows, key).map_err(read_failed)? {
            Some(value) => StoredRow::decode(key, value.value()).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a range holds no row.
    pub(crate) fn is_empty(&self, from: &Bytes, until: &Bytes) -> Result<bool> {
        let scan = Scan {
            from: Bound::Included(from.clone()),
            until: Bound::Excluded(until.clone()),
            reverse: false,
            limit: 1,
            collapse: None,
        };
        Ok(walk(&mut Merge::new(self), &scan)?.is_empty())
    }
}

impl MetaRead for View {
    fn sequence(&self) -> Sequence {
        self.sequence
    }

    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>>> {
        let row = View::get(self, key).map(|state| state.map(StoredRow::into_row));
        Box::pin(std::future::ready(row))
    }

    fn scan<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Vec<ScanItem>>> {
        Box::pin(std::future::ready(walk(&mut Merge::new(self), scan)))
    }
}

/// Most rows taken from a table in memory at once; a seek starts small, since it is often followed
/// by another.
const CHUNK_ROWS_MAX: usize = 512;
const CHUNK_ROWS_FIRST: usize = 4;

/// One table in memory, read in chunks.
struct MemtableCursor<'a> {
    table: &'a Memtable,
    rows: VecDeque<(Bytes, State)>,
    chunk: usize,
    from: Bound<Bytes>,
    until: Bound<Bytes>,
    done: bool,
}

impl<'a> MemtableCursor<'a> {
    fn peek(&mut self, sequence: Sequence, reverse: bool) -> Option<&Bytes> {
        if self.rows.is_empty() && !self.done {
            let rows = self.table.range(
                self.from.as_ref().map(|key| key.as_ref()),
                self.until.as_ref().map(|key| key.as_ref()),
                reverse,
                sequence,
                self.chunk,
            );
            self.done = rows.len() < self.chunk;
            self.chunk = (self.chunk * 4).min(CHUNK_ROWS_MAX);
            if let Some((key, _)) = rows.last() {
                let end = Bound::Excluded(key.clone());
                if reverse {
                    self.until = end
                } else {
                    self.from = end
                }
                // An inverted range would be refused by the map.
                self.done |= crossed(&self.from, &self.until);
            }
            self.rows = rows.into();
        }
        self.rows.front().map(|(key, _)| key)
    }
}

fn crossed(from: &Bound<Bytes>, until: &Bound<Bytes>) -> bool {
    match (from, until) {
        (Bound::Included(from), Bound::Included(until)) => from > until,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(until) | Bound::Excluded(until),
        ) => from >= until,
        _ => false,
    }
}

type Guard = redb::AccessGuard<'static, &'static [u8]>;

/// The merged rows of a view.
struct Merge<'a> {
    view: &'a View,
    tables: Vec<MemtableCursor<'a>>,
    base: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    base_next: Option<(Bytes, Guard)>,
    reverse: bool,
}

impl<'a> Merge<'a> {
    fn new(view: &'a View) -> Self {
        Merge {
            view,
            tables: Vec::new(),
            base: None,
            base_next: None,
            reverse: false,
        }
    }

    fn advance_base(&mut self) -> Result<()> {
        let Some(range) = &mut self.base else {
            return Ok(());
        };
        let item = if self.reverse {
            range.next_back()
        } else {
            range.next()
        };
        self.base_next = match item {
            Some(item) => {
                let (key, value) = item.map_err(read_failed)?;
                Some((Bytes::copy_from_slice(key.value()), value))
            }
            None => None,
        };
        Ok(())
    }
}

impl Cursor for Merge<'_> {
    fn seek(&mut self, from: Bound<&[u8]>, until: Bound<&[u8]>, reverse: bool) -> Result<()> {
        self.reverse = reverse;
        let tables = std::iter::once(&self.view.active).chain(&self.view.frozen);
        self.tables = tables
            .map(|table| MemtableCursor {
                table,
                rows: VecDeque::new(),
                chunk: CHUNK_ROWS_FIRST,
                from: from.map(Bytes::copy_from_slice),
                until: until.map(Bytes::copy_from_slice),
                done: false,
            })
            .collect();
        self.base = Some(
            self.view
                .base
                .rows
                .range::<&[u8]>((from, until))
                .map_err(read_failed)?,
        );
        self.advance_base()
    }

    fn next(&mut self) -> Result<Option<(Bytes, Row)>> {
        loop {
            let (sequence, reverse) = (self.view.sequence, self.reverse);
            let mut nearest = self.base_next.as_ref().map(|(key, _)| key.clone());
            for table in &mut self.tables {
                if let Some(key) = table.peek(sequence, reverse)
                    && nearest
                        .as_ref()
                        .is_none_or(|n| if reverse { key > n } else { key < n })
                {
                    nearest = Some(key.clone());
                }
            }
            let Some(key) = nearest else { return Ok(None) };
            let mut state: Option<State> = None;
            for table in &mut self.tables {
                if table.peek(sequence, reverse) == Some(&key) {
                    let popped = table.rows.pop_front();
                    state = state.or(popped.map(|(_, found)| found));
                }
            }
            if self
                .base_next
                .as_ref()
                .is_some_and(|(found, _)| *found == key)
            {
                if state.is_none()
                    && let Some((_, value)) = &self.base_next
                {
                    state = Some(Some(StoredRow::decode(&key, value.value())?));
                }
                self.advance_base()?;
            }
            match state {
                Some(Some(row)) => return Ok(Some((key, row.into_row()))),
                Some(None) if canary::active(Canary::ScanSkipsAfterDelete) => {
                    self.advance_base()?;
                }
                Some(None) => {}
                None => return Err(Error::corrupt("a scan lost its place")),
            }
        }
    }
}
