//! The index: one redb file that holds every row up to its last checkpoint.
//!
//! It is written only by checkpoints, each one durable transaction that moves the redo point with
//! the rows, so the file is always exactly the log up to some group. What came after is in memory
//! and comes back by replaying the log.

use crate::blocks::{Place, Segment};
use crate::codec::Fields;
use crate::layout::sync_failed;
use crate::memtable::Memtable;
use crate::row::StoredRow;
use crate::snapshot::EncodedRow;
use parking_lot::RwLock;
use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageBackend, StorageError, TableDefinition, TableError,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Result, Sequence};
use trestle_engine::canary::{self, Canary};
use trestle_host::File;

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");
const STATE: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("state");
const REDO: &str = "redo";
/// Bytes of all keys and rows.
const BYTES: &str = "bytes";

/// What the rows keep of each segment: place and id, to bytes.
const SPACE: TableDefinition<'static, (u8, u64), u64> = TableDefinition::new("space");

/// The rows of the index at one checkpoint.
pub(crate) type RowTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Bytes of each segment that rows keep.
pub(crate) type Space = BTreeMap<Segment, u64>;

/// The index at one checkpoint.
pub(crate) struct Base {
    pub(crate) rows: RowTable,
    /// What it holds; that of a new store before the first checkpoint.
    pub(crate) redo: RedoPoint,
    pub(crate) space: Space,
    /// Bytes of all keys and rows; none in an index that was made before they were counted.
    pub(crate) bytes: Option<u64>,
    /// The index stays open for as long as somebody has this, unless the store is closed.
    _reader: Arc<()>,
}

/// Where replay starts: everything before it is in the index. Ordered as the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RedoPoint {
    /// The segment.
    pub(crate) segment: u64,
    /// Offset after its last group that the index holds.
    pub(crate) offset: u64,
    /// That group's checksum.
    pub(crate) checksum: u64,
    /// The last sequence that the index holds.
    pub(crate) sequence: Sequence,
    /// A segment that must exist: the one in use when the index was last written.
    pub(crate) active: u64,
}

impl RedoPoint {
    /// Encoded length.
    pub(crate) const BYTES: usize = 40;

    pub(crate) fn encode(&self) -> Vec<u8> {
        [
            self.segment,
            self.offset,
            self.checksum,
            self.sequence.0,
            self.active,
        ]
        .iter()
        .flat_map(|field| field.to_be_bytes())
        .collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(RedoPoint {
            segment: fields.u64()?,
            offset: fields.u64()?,
            checksum: fields.u64()?,
            sequence: Sequence(fields.u64()?),
            active: fields.u64()?,
        })
    }
}

/// A host file as redb's medium. It doubles when it grows, so space is allocated only as it is
/// written: a checkpoint was promised what it may write, not what it may grow by.
struct Medium(Arc<dyn File>);

impl std::fmt::Debug for Medium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Medium")
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}

/// Reads a host file and keeps what redb writes, its repairs above all, in memory.
struct Unchanged {
    file: Arc<dyn File>,
    image: RwLock<Image>,
}

/// What was written: pieces by page, and the length.
#[derive(Default)]
struct Image {
    pages: BTreeMap<u64, Vec<u8>>,
    length: u64,
}

/// redb's own pages are multiples of this.
const PAGE_BYTES: u64 = 4096;

impl std::fmt::Debug for Unchanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unchanged")
    }
}

impl Unchanged {
    /// One page, as written or as on disk; zeros beyond the file.
    fn page(&self, image: &Image, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = image.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE_BYTES as usize];
        let offset = number * PAGE_BYTES;
        let there = self.file.len()?.saturating_sub(offset).min(PAGE_BYTES);
        if let Some(found) = page.get_mut(..there as usize) {
            self.file.read_at(found, offset)?;
        }
        Ok(page)
    }

    /// Calls `each` with the pages of a range: page number, where in it, where in the range.
    fn pieces(
        offset: u64,
        length: usize,
        mut each: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let start = (at % PAGE_BYTES) as usize;
            let count = (PAGE_BYTES as usize - start).min(length - done);
            each(at / PAGE_BYTES, start..start + count, done..done + count)?;
            done += count;
        }
        Ok(())
    }
}

impl StorageBackend for Unchanged {
    fn len(&self) -> io::Result<u64> {
        Ok(self.image.read().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let image = self.image.read();
        Unchanged::pieces(offset, out.len(), |number, inside, range| {
            let page = self.page(&image, number)?;
            if let (Some(to), Some(from)) = (out.get_mut(range), page.get(inside)) {
                to.copy_from_slice(from);
            }
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut image = self.image.write();
        image.pages.retain(|number, _| number * PAGE_BYTES < length);
        image.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut image = self.image.write();
        Unchanged::pieces(offset, data.len(), |number, inside, range| {
            let mut page = self.page(&image, number)?;
            if let (Some(to), Some(from)) = (page.get_mut(inside), data.get(range)) {
                to.copy_from_slice(from);
            }
            image.pages.insert(number, page);
            Ok(())
        })
    }
}

/// What a change of a row does to what is kept of a segment.
struct Kept {
    segment: Segment,
    bytes: i64,
}

impl Kept {
    fn of(key: &[u8], encoded: &[u8], sign: i64) -> Option<Self> {
        let (segment, bytes) = StoredRow::held(key, encoded)?;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX) * sign;
        Some(Kept { segment, bytes })
    }
}

/// What a transaction changes beside rows: bytes that these keep of segments, and their own.
#[derive(Default)]
struct Sums {
    kept: Vec<Kept>,
    bytes: i64,
}

impl Sums {
    fn add(&mut self, key: &[u8], row: &[u8], sign: i64) {
        self.kept.extend(Kept::of(key, row, sign));
        self.bytes += i64::try_from(key.len() + row.len()).unwrap_or(i64::MAX) * sign;
    }
}

fn account(
    space: &mut redb::Table<'_, (u8, u64), u64>,
    kept: Vec<Kept>,
) -> std::result::Result<(), StorageError> {
    let mut sums: BTreeMap<Segment, i64> = BTreeMap::new();
    for Kept { segment, bytes } in kept {
        *sums.entry(segment).or_default() += bytes;
    }
    for ((place, segment), change) in sums.into_iter().filter(|(_, change)| *change != 0) {
        let key = (place as u8, segment);
        let former = space.get(key)?.map_or(0, |bytes| bytes.value());
        match former.saturating_add_signed(change) {
            0 => space.remove(key)?,
            bytes => space.insert(key, bytes)?,
        };
    }
    Ok(())
}

/// Counts the bytes of rows on; an index that never counted them does not begin in the middle.
fn count(
    state: &mut redb::Table<'_, &'static str, &'static [u8]>,
    was_empty: bool,
    change: i64,
) -> std::result::Result<(), StorageError> {
    let former = match was_empty {
        true => Some(0),
        false => {
            let found = state.get(BYTES)?;
            found.and_then(|bytes| bytes.value().try_into().ok().map(u64::from_be_bytes))
        }
    };
    if let Some(former) = former {
        let bytes = former.saturating_add_signed(change);
        state.insert(BYTES, bytes.to_be_bytes().as_slice())?;
    }
    Ok(())
}

/// The open index.
pub(crate) struct Index {
    database: Database,
    file: Arc<dyn File>,
    /// One more for each base that was given out.
    readers: Arc<()>,
}

fn failed(what: &str, error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::Io(error) => Error::from(io::Error::from(error.kind())).kind(),
        redb::Error::Corrupted(_) => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("the index failed to {what}: {error}")).with_source(error)
}

/// An error while reading rows.
pub(crate) fn read_failed(error: StorageError) -> Error {
    failed("read", error)
}

impl Index {
    /// Opens the index in `file`, making its tables when the file is empty.
    pub(crate) fn open(file: Arc<dyn File>, cache_bytes: usize) -> Result<Self> {
        // A run that was killed after a failed sync left a length that is not durable. redb takes
        // the length that it finds for durable, and writes there.
        let length = file.len()?;
        if length > 0 && !canary::active(Canary::TrustIndexLength) {
            file.set_len(length)?;
            let synced = file.sync_data();
            synced.map_err(|error| sync_failed("the index", error))?;
        }
        Index::over(Medium(file.clone()), file, cache_bytes)
    }

    /// Opens the index without ever changing its file.
    pub(crate) fn open_unchanged(file: Arc<dyn File>, cache_bytes: usize) -> Result<Self> {
        let image = Image {
            length: file.len()?,
            ..Image::default()
        };
        Index::over(
            Unchanged {
                file: file.clone(),
                image: RwLock::new(image),
            },
            file,
            cache_bytes,
        )
    }

    fn over(medium: impl StorageBackend, file: Arc<dyn File>, cache_bytes: usize) -> Result<Self> {
        let database = redb::Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(medium)
            .map_err(|error| failed("open", error))?;
        let index = Index {
            database,
            file,
            readers: Arc::new(()),
        };
        // Tables that are there need no space, which a full disk would not have.
        if !index.has_tables()? {
            index.transact(|_| Ok(Sums::default()), None)?;
        }
        Ok(index)
    }

    fn has_tables(&self) -> Result<bool> {
        let read = self.database.begin_read();
        let read = read.map_err(|error| failed("read", error))?;
        let there = |error: Option<TableError>| match error {
            None => Ok(true),
            Some(TableError::TableDoesNotExist(_)) => Ok(false),
            Some(error) => Err(failed("read", error)),
        };
        Ok(there(read.open_table(ROWS).err())?
            && there(read.open_table(SPACE).err())?
            && there(read.open_table(STATE).err())?)
    }

    /// Whether somebody reads, or may begin to.
    pub(crate) fn is_read(&mut self) -> bool {
        Arc::get_mut(&mut self.readers).is_none()
    }

    /// Bytes of the device that it holds.
    pub(crate) fn allocated(&self) -> Result<u64> {
        Ok(self.file.allocated()?)
    }

    /// The state as of the last checkpoint.
    pub(crate) fn base(&self) -> Result<Base> {
        let read = self
            .database
            .begin_read()
            .map_err(|error| failed("read", error))?;
        let open = |error| failed("read", error);
        let state = read.open_table(STATE).map_err(open)?;
        let redo = match state.get(REDO).map_err(read_failed)? {
            None => RedoPoint::default(),
            Some(value) => RedoPoint::decode(value.value())
                .ok_or_else(|| Error::corrupt("the index's redo point cannot be decoded"))?,
        };
        let bytes = state.get(BYTES).map_err(read_failed)?;
        let bytes = bytes.and_then(|bytes| bytes.value().try_into().ok());
        let bytes = bytes.map(u64::from_be_bytes);
        let mut space = Space::new();
        let table = read.open_table(SPACE).map_err(open)?;
        for entry in table.iter().map_err(read_failed)? {
            let (key, bytes) = entry.map_err(read_failed)?;
            let (place, segment) = key.value();
            let place = Place::decode(place)
                .ok_or_else(|| Error::corrupt("a segment of the index cannot be decoded"))?;
            space.insert((place, segment), bytes.value());
        }
        Ok(Base {
            rows: read.open_table(ROWS).map_err(open)?,
            redo,
            space,
            bytes,
            _reader: self.readers.clone(),
        })
    }

    /// Moves the redo point alone, durably.
    pub(crate) fn set_redo_point(&self, redo: RedoPoint) -> Result<()> {
        self.transact(|_| Ok(Sums::default()), Some(redo))
    }

    /// Makes room in the file of what the last transaction replaced and nobody reads any more. redb
    /// does so as a transaction ends, and by then the next checkpoint would have grown the file.
    pub(crate) fn release(&self) -> Result<()> {
        self.transact(|_| Ok(Sums::default()), None)
    }

    /// Writes the newest rows of `memtable` and moves the redo point, in one durable transaction.
    pub(crate) fn checkpoint(&self, memtable: &Memtable, redo: RedoPoint) -> Result<()> {
        self.write_newest(memtable, redo, None)
    }

    /// The same with those up to the key `last` alone.
    pub(crate) fn checkpoint_up_to(
        &self,
        last: &[u8],
        memtable: &Memtable,
        redo: RedoPoint,
    ) -> Result<()> {
        self.write_newest(memtable, redo, Some(last))
    }

    fn write_newest(
        &self,
        memtable: &Memtable,
        redo: RedoPoint,
        last: Option<&[u8]>,
    ) -> Result<()> {
        self.transact(
            |rows| {
                let mut sums = Sums::default();
                memtable.newest::<StorageError>(|key, state| {
                    if last.is_some_and(|last| key.as_ref() > last) {
                        return Ok(());
                    }
                    let encoded = state.as_ref().map(|row| row.encode(key));
                    let former = match &encoded {
                        Some(row) => rows.insert(key.as_ref(), row.as_slice())?,
                        None => rows.remove(key.as_ref())?,
                    };
                    if let Some(row) = &encoded {
                        sums.add(key, row, 1);
                    }
                    if let Some(former) = former {
                        sums.add(key, former.value(), -1);
                    }
                    Ok(())
                })?;
                Ok(sums)
            },
            Some(redo),
        )
    }

    /// Writes the rows of `memtable` and forgets them there, when they are more than `limit` bytes.
    pub(crate) fn flush(&self, memtable: &Memtable, limit: usize, redo: RedoPoint) -> Result<()> {
        if memtable.bytes() > limit {
            self.checkpoint(memtable, redo)?;
            memtable.clear();
        }
        Ok(())
    }

    /// Adds rows, encoded, to an index that is being made.
    pub(crate) fn load(&self, loaded: &[EncodedRow]) -> Result<()> {
        self.transact(
            |rows| {
                let mut sums = Sums::default();
                for (key, row) in loaded {
                    let former = rows.insert(key.as_ref(), row.as_ref())?;
                    sums.add(key, row, 1);
                    if let Some(former) = former {
                        sums.add(key, former.value(), -1);
                    }
                }
                Ok(sums)
            },
            None,
        )
    }

    fn transact(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, &'static [u8], &'static [u8]>,
        ) -> std::result::Result<Sums, StorageError>,
        redo: Option<RedoPoint>,
    ) -> Result<()> {
        let mut write = self
            .database
            .begin_write()
            .map_err(|error| failed("write", error))?;
        write.set_quick_repair(true);
        {
            let mut rows = write
                .open_table(ROWS)
                .map_err(|error| failed("write", error))?;
            let was_empty = rows.is_empty().map_err(|error| failed("write", error))?;
            let sums = change(&mut rows).map_err(|error| failed("write", error))?;
            let mut space = write
                .open_table(SPACE)
                .map_err(|error| failed("write", error))?;
            account(&mut space, sums.kept).map_err(|error| failed("write", error))?;
            let mut state = write
                .open_table(STATE)
                .map_err(|error| failed("write", error))?;
            if let Some(redo) = redo {
                state
                    .insert(REDO, redo.encode().as_slice())
                    .map_err(|error| failed("write", error))?;
            }
            count(&mut state, was_empty, sums.bytes).map_err(|error| failed("write", error))?;
        }
        write.commit().map_err(|error| failed("commit", error))
    }
}
