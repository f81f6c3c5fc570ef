//! The listing of versions: current objects and history merged, by key, and from the newest to the
//! oldest of each.

use crate::bucket::{LIST_SCAN_ROWS, check_limit};
use crate::list::PAGE_BYTES_MAX;
use crate::nouns::{Bucket, ListVersions, Object, VersionItem, VersionListing, VersionRef};
use crate::placement;
use crate::properties::Versioning;
use crate::row_key;
use crate::snapshot::view;
use crate::store::{self, FoundObject, Store};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Bound;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, Key, Result, VersionId};
use trestle_engine::{MetaRead, Row, Scan, ScanItem};

/// Rows that one scan takes when keys are folded, and most may be skipped.
const FOLDED_SCAN_ROWS: usize = 16;

impl Store {
    /// A page of all versions of a bucket's keys, delete markers among them.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `InvalidInput` for a limit above 10,000, an empty delimiter, or a version
    /// marker without a key; `Forbidden`.
    pub async fn list_versions(
        &self,
        grant: &Grant,
        list: &ListVersions,
    ) -> Result<VersionListing> {
        let resource = Resource::Bucket(list.bucket.clone());
        store::require(grant, Action::ListVersions, &resource)?;
        check_limit(list.limit)?;
        if list.delimiter.as_ref().is_some_and(String::is_empty) {
            return Err(Error::invalid("a delimiter must not be empty"));
        }
        if list.version_marker.is_some() && list.key_marker.is_none() {
            return Err(Error::invalid("a version marker needs the key's marker"));
        }
        let read = self.snapshot().await?;
        let found = store::find_shown(&*read, &list.bucket).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let mut page = VersionListing {
            items: Vec::new(),
            next: None,
        };
        if list.limit == 0 {
            return Ok(page);
        }
        let mut walk = Walk::new(&found.bucket, list);
        walk.start(&*read, &found.bucket, list).await?;
        let mut bytes = 0;
        while let Some((object, length, latest)) = walk.next(&*read).await? {
            if page.items.len() == list.limit || bytes > PAGE_BYTES_MAX {
                page.next = page.items.last().map(marker);
                return Ok(page);
            }
            bytes += length;
            if let Some(prefix) = folded(list, object.key.as_str()) {
                let prefix = prefix.to_owned();
                walk.skip(&prefix);
                page.items.push(VersionItem::Prefix(prefix));
                continue;
            }
            page.items.push(VersionItem::Version {
                object: Box::new(object),
                latest,
            });
        }
        Ok(page)
    }
}

/// The common prefix that a key folds into.
fn folded<'k>(list: &ListVersions, key: &'k str) -> Option<&'k str> {
    let delimiter = list.delimiter.as_ref()?;
    let at = key.get(list.prefix.len()..)?.find(delimiter.as_str())?;
    key.get(..list.prefix.len() + at + delimiter.len())
}

fn marker(item: &VersionItem) -> (String, Option<VersionRef>) {
    match item {
        VersionItem::Prefix(prefix) => (prefix.clone(), None),
        VersionItem::Version { object, .. } => {
            let version = match object.null_version {
                true => VersionRef::Null,
                false => VersionRef::Id(object.version),
            };
            (object.key.as_str().to_owned(), Some(version))
        }
    }
}

/// Rows of one table in order.
struct Feed {
    scan: Scan,
    page: VecDeque<(Bytes, Row)>,
    done: bool,
    /// Whether they are those of current objects.
    currents: bool,
}

impl Feed {
    fn new(prefix: Bytes, limit: usize) -> Self {
        Feed {
            currents: prefix.first() == Some(&row_key::OBJECT),
            scan: Scan::prefix(prefix, limit),
            page: VecDeque::new(),
            done: false,
        }
    }

    /// Goes on after all that comes before `from`.
    fn seek(&mut self, from: Bound<Bytes>) {
        self.scan.from = from;
        self.page.clear();
        self.done = false;
    }

    async fn fill(&mut self, read: &dyn MetaRead, of: &Bucket) -> Result<()> {
        if !self.page.is_empty() || self.done {
            return Ok(());
        }
        let page = match self.currents {
            true => view::scan(read, of, &self.scan).await?,
            false => read.scan(&self.scan).await?,
        };
        self.done = page.len() < self.scan.limit;
        for item in page {
            if let ScanItem::Row(key, row) = item {
                self.scan.from = Bound::Excluded(key.clone());
                self.page.push_back((key, row));
            }
        }
        Ok(())
    }
}

/// The versions of a bucket in the order of the listing.
pub(crate) struct Walk {
    bucket: Bucket,
    currents: Feed,
    history: Feed,
    /// The next current object, and the size of its record. Former versions may come before it.
    current: Option<(Object, usize)>,
    /// The key that the last version was of.
    last: Option<Key>,
    /// Of this key, versions that are not older than the marker are passed over.
    passed: Option<(Key, VersionId)>,
}

impl Walk {
    fn new(bucket: &Bucket, list: &ListVersions) -> Self {
        let rows = match list.delimiter {
            Some(_) => FOLDED_SCAN_ROWS,
            None => LIST_SCAN_ROWS.min(list.limit + 1),
        };
        Walk::rows(bucket, &list.prefix, true, rows)
    }

    /// All current objects whose keys start with a prefix, and their history too.
    pub(crate) fn below(bucket: &Bucket, prefix: &str, history: bool) -> Self {
        Walk::rows(bucket, prefix, history, LIST_SCAN_ROWS)
    }

    fn rows(bucket: &Bucket, prefix: &str, with_history: bool, rows: usize) -> Self {
        let mut history = Feed::new(row_key::histories(bucket.id, prefix), rows);
        history.done = !with_history || bucket.properties.versioning == Versioning::Off;
        Walk {
            bucket: bucket.clone(),
            currents: Feed::new(row_key::objects(bucket.id, prefix), rows),
            history,
            current: None,
            last: None,
            passed: None,
        }
    }

    /// Goes to the markers of a listing.
    async fn start(
        &mut self,
        read: &dyn MetaRead,
        bucket: &Bucket,
        list: &ListVersions,
    ) -> Result<()> {
        let Some(marker) = &list.key_marker else {
            return Ok(());
        };
        if *marker < list.prefix {
            return Ok(());
        }
        if marker.starts_with(&list.prefix) && folded(list, marker) == Some(marker) {
            self.skip(marker);
            return Ok(());
        }
        // A marker that no key can be has no versions of its own.
        let Ok(key) = Key::parse(marker.as_str()) else {
            let start = row_key::histories(self.bucket.id, marker);
            self.seek_currents(Bound::Excluded(row_key::objects(self.bucket.id, marker)));
            self.seek_history(Bound::Included(start));
            return Ok(());
        };
        let object = row_key::object(self.bucket.id, &key);
        let after = Bound::Excluded(object.clone());
        let versions = row_key::history(self.bucket.id, &key);
        let Some(version) = list.version_marker else {
            self.seek_currents(after);
            self.seek_history(row_key::after(&versions));
            return Ok(());
        };
        let Some(found) = placement::find_version(read, bucket, &key, version).await? else {
            // It is gone: what was made before it follows, or all, when nobody knows what that was.
            self.seek_currents(Bound::Included(object));
            self.seek_history(Bound::Included(versions));
            if let VersionRef::Id(version) = version {
                self.passed = Some((key, version));
            }
            return Ok(());
        };
        // A current object that was made so again has newer versions before it.
        let ordinal = found.object.ordinal;
        let current = match found.is_current() {
            true => None,
            false => store::find_object(read, bucket, &key).await?,
        };
        self.seek_currents(match current {
            Some(current) if current.object.ordinal < ordinal => Bound::Included(object),
            _ => after,
        });
        let row = row_key::version(self.bucket.id, &key, ordinal);
        self.seek_history(Bound::Excluded(row));
        // Older ones follow a newer one, so no marker of them is the latest.
        self.last = Some(key);
        Ok(())
    }

    fn seek_currents(&mut self, from: Bound<Bytes>) {
        self.current = None;
        self.currents.seek(from);
    }

    fn seek_history(&mut self, from: Bound<Bytes>) {
        let off = self.history.done && self.history.page.is_empty();
        self.history.seek(from);
        self.history.done = off;
    }

    /// Goes past all keys that start with `prefix`.
    fn skip(&mut self, prefix: &str) {
        let currents = row_key::objects(self.bucket.id, prefix);
        let history = row_key::histories(self.bucket.id, prefix);
        self.seek_currents(row_key::after(&currents));
        self.seek_history(row_key::after(&history));
    }

    /// The next version, the size of its record, and whether it is what its key shows: the current
    /// object, or the delete marker instead of one.
    async fn next(&mut self, read: &dyn MetaRead) -> Result<Option<(Object, usize, bool)>> {
        loop {
            let of_key = |current: &Option<(Object, usize)>, key: &Key| {
                current.as_ref().is_some_and(|(next, _)| next.key == *key)
            };
            self.fill(read).await?;
            let is_current = !self.history_is_next()?;
            let Some((object, length)) = self.step(read).await? else {
                return Ok(None);
            };
            let first = self.last.as_ref() != Some(&object.key);
            let instead = first && object.is_marker() && !of_key(&self.current, &object.key);
            self.last = Some(object.key.clone());
            match &self.passed {
                Some((key, version)) if object.key == *key && object.version >= *version => {}
                _ => return Ok(Some((object, length, is_current || instead))),
            }
        }
    }

    /// The next row, and the size of its record.
    pub(crate) async fn step(&mut self, read: &dyn MetaRead) -> Result<Option<(Object, usize)>> {
        self.fill(read).await?;
        if !self.history_is_next()? {
            return Ok(self.current.take());
        }
        let Some((row, found)) = self.history.page.pop_front() else {
            return Ok(None);
        };
        let (_, key, _) = row_key::split_version(&row).ok_or_else(malformed)?;
        decoded(row, found, &key).map(Some)
    }

    async fn fill(&mut self, read: &dyn MetaRead) -> Result<()> {
        self.history.fill(read, &self.bucket).await?;
        if self.current.is_none() {
            self.currents.fill(read, &self.bucket).await?;
            if let Some((row, found)) = self.currents.page.pop_front() {
                let (_, key) = row_key::split_object(&row).ok_or_else(malformed)?;
                self.current = Some(decoded(row, found, &key)?);
            }
        }
        Ok(())
    }

    /// Whether a former version comes before the next current object, after [`Walk::fill`].
    fn history_is_next(&self) -> Result<bool> {
        let former = self.history.page.front();
        let former = former.map(|(row, _)| row_key::split_version(row).ok_or_else(malformed));
        Ok(match (&self.current, former.transpose()?) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((current, _)), Some((_, key, ordinal))) => {
                key < current.key || key == current.key && ordinal > current.ordinal
            }
        })
    }
}

fn decoded(row: Bytes, found: Row, key: &Key) -> Result<(Object, usize)> {
    let length = found.value.len();
    Ok((FoundObject::decode(row, found, key)?.object, length))
}

fn malformed() -> Error {
    Error::corrupt("a row of a version with a malformed key")
}
