//! The offline check: one walk over every row, in key order, that believes none of them.
//!
//! Every record is decoded, every byte read and hashed, every reference followed in both
//! directions, every counter recounted. Meant for a store that nobody writes to meanwhile.

mod layers;
mod snapshots;
mod uploads;
mod versions;

use crate::feed;
use crate::identity;
use crate::layer;
use crate::manifest;
use crate::nouns::{Bucket, JobState, Object};
use crate::placement::Tally;
use crate::read::open_content;
use crate::record::{AccountRecord, BucketRecord, JobRecord, ObjectRecord, Record};
use crate::row_key;
use crate::store::{self, Store};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use trestle_core::{
    AccountId, BucketId, BucketName, Error, ErrorKind, Hasher, JobId, Key, LayerId, ResolvedRange,
    Result, UploadId,
};
use trestle_engine::{MetaRead, Row, Scan, ScanItem, Write};

/// Rows that are read at once.
const PAGE_ROWS: usize = 256;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The bucket that it concerns, when it concerns one.
    pub bucket: Option<BucketName>,
    /// The key that it concerns, when it concerns one.
    pub key: Option<Key>,
    /// What is wrong, for a person.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(bucket) = &self.bucket {
            write!(f, "bucket {bucket:?}", bucket = bucket.as_str())?;
            if let Some(key) = &self.key {
                write!(f, " key {key:?}", key = key.as_str())?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// What a check went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckSummary {
    /// Buckets.
    pub buckets: u64,
    /// Current objects.
    pub objects: u64,
    /// Former versions and delete markers.
    pub versions: u64,
    /// Bytes of objects that were read back whole.
    pub bytes: u64,
    /// Findings; the store is sound when there are none.
    pub findings: u64,
}

impl Store {
    /// Checks everything, and hands every finding to `report`.
    ///
    /// # Errors
    /// Only when the walk itself cannot go on; what is wrong with the data is a finding.
    pub async fn check(&self, report: &mut (dyn FnMut(Finding) + Send)) -> Result<CheckSummary> {
        let mut check = Check {
            store: self,
            report,
            summary: CheckSummary::default(),
            buckets: BTreeMap::new(),
            counts: BTreeMap::new(),
            layers: layers::Layers::default(),
            snapshots: BTreeMap::new(),
            uploads: BTreeSet::new(),
        };
        if check.walk().await? {
            check.missing_counters();
            check.recounted_layers();
            check.recounted_snapshots();
        }
        Ok(check.summary)
    }
}

struct Check<'a> {
    store: &'a Store,
    report: &'a mut (dyn FnMut(Finding) + Send),
    summary: CheckSummary,
    buckets: BTreeMap<BucketId, Bucket>,
    /// What the counter rows must hold, by their keys.
    counts: BTreeMap<Bytes, i64>,
    layers: layers::Layers,
    snapshots: BTreeMap<BucketId, snapshots::Counted>,
    uploads: BTreeSet<UploadId>,
}

/// What a finding is about.
#[derive(Clone, Default)]
struct Place {
    bucket: Option<BucketName>,
    key: Option<Key>,
}

impl Check<'_> {
    fn found(&mut self, place: Place, message: impl Into<String>) {
        self.summary.findings += 1;
        let Place { bucket, key } = place;
        (self.report)(Finding {
            bucket,
            key,
            message: message.into(),
        });
    }

    /// Whether all rows were seen.
    async fn walk(&mut self) -> Result<bool> {
        let mut scan = Scan {
            from: Bound::Unbounded,
            until: Bound::Unbounded,
            reverse: false,
            limit: PAGE_ROWS,
            collapse: None,
        };
        loop {
            let read = self.store.snapshot().await?;
            let page = match read.scan(&scan).await {
                Ok(page) => page,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let message = format!("rows from {:?} on cannot be read", scan.from);
                    self.found(Place::default(), because(&message, &error));
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            let more = page.len() == PAGE_ROWS;
            for item in page {
                let ScanItem::Row(key, row) = item else {
                    continue;
                };
                scan.from = Bound::Excluded(key.clone());
                self.row(&*read, &key, &row).await;
            }
            if !more {
                return Ok(true);
            }
        }
    }

    async fn row(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) {
        let table = key.first().copied().unwrap_or_default();
        let result = match table {
            row_key::SETTING | row_key::RING_KEY => Ok(()),
            row_key::ACCOUNT => account(key, row),
            table if identity::check::is_table(table) => identity::check::row(read, key, row).await,
            row_key::BUCKET_NAME => self.bucket_name(read, key, row).await,
            row_key::BUCKET => self.bucket(read, key, row).await,
            row_key::ACCOUNT_BUCKET => self.account_bucket(read, key, row).await,
            row_key::OBJECT => {
                self.object(read, key, row).await;
                Ok(())
            }
            row_key::KEPT => {
                self.kept(read, key, row).await;
                Ok(())
            }
            row_key::SNAPSHOT => self.snapshot(read, key, row).await,
            row_key::SWEEP => self.sweep(key, row),
            row_key::CUT => self.cut(read, key, row).await,
            row_key::LINK => self.link(read, key, row).await,
            row_key::HISTORY => {
                self.version(read, key, row).await;
                Ok(())
            }
            row_key::VERSION_ID => self.version_id(read, key, row).await,
            row_key::NULL_VERSION => self.null_version(read, key, row).await,
            row_key::JOB => self.job(key, row),
            row_key::EXPIRY => versions::expiry(read, key).await,
            row_key::OBJECT_ID => self.object_id(read, key, row).await,
            row_key::LAYER => self.layer(read, key, row).await,
            row_key::EXTENT => self.extent(read, key, row).await,
            row_key::DOOMED => self.doomed(read, key, row).await,
            row_key::UPLOAD => self.upload(key, row),
            row_key::PART => self.part(read, key, row).await,
            row_key::COMPLETED => uploads::completed(key, row),
            row_key::PART_CHANGES => self.part_changes(key, row),
            row_key::COUNTER if row_key::split_since(key).is_some() => self.since(key, row),
            row_key::COUNTER => self.counter(key, row),
            row_key::FEED => feed::entry(ScanItem::Row(key.clone(), row.clone())).map(drop),
            row_key::FEED_FORGOTTEN if row.value.len() == size_of::<u64>() => Ok(()),
            _ => Err(Error::corrupt("a row of an unknown table")),
        };
        if let Err(error) = result {
            let place = self.place(key);
            self.found(place, because(&format!("row {}", hex(key)), &error));
        }
    }

    /// What a row key tells about where it belongs.
    fn place(&self, key: &[u8]) -> Place {
        let id = match (key.first(), key.get(1)) {
            (Some(&row_key::COUNTER), Some(2)) => key.get(1..).and_then(row_key::split_id),
            (Some(&(row_key::OBJECT | row_key::HISTORY | row_key::KEPT | row_key::BUCKET)), _) => {
                row_key::split_id(key)
            }
            _ => None,
        };
        Place {
            bucket: id
                .and_then(|(id, _)| self.buckets.get(&BucketId(id)))
                .map(|b| b.name.clone()),
            key: match key.first() {
                Some(&row_key::OBJECT) => row_key::split_object(key).map(|(_, key)| key),
                Some(&row_key::HISTORY) => row_key::split_version(key).map(|(_, key, _)| key),
                Some(&row_key::KEPT) => row_key::split_kept(key).map(|(_, key, _)| key),
                _ => None,
            },
        }
    }

    async fn bucket_name(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
        let bucket = referred_bucket(read, row).await?;
        if name != Some(bucket.name.as_str()) {
            return Err(Error::corrupt(
                "a bucket name leads to a bucket of another name",
            ));
        }
        Ok(())
    }

    async fn bucket(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let (id, _) = row_key::split_id(key)
            .filter(|(_, rest)| rest.is_empty())
            .ok_or_else(|| Error::corrupt("a malformed key"))?;
        let id = BucketId(id);
        let bucket = BucketRecord::from_value(&row.value)?.into_bucket(id)?;
        self.summary.buckets += 1;
        let account = &bucket.owner.account;
        if let Some(Write::Add { key, delta }) = store::count_bucket(account, &bucket.name, 1) {
            *self.counts.entry(key).or_default() += delta;
        }
        let mut index = vec![row_key::account_bucket(account, &bucket.name)];
        if bucket.name.account().is_none() {
            index.push(row_key::bucket_name(&bucket.name));
        }
        let owner = read.get(&row_key::account(account)).await?;
        let name = bucket.name.clone();
        let mut jobs = Vec::new();
        for held in &bucket.held {
            jobs.push(read.get(&row_key::job(held.job)).await?);
        }
        let clone_of = bucket.clone_of.clone();
        let counted = snapshots::Counted::of(read, &bucket).await;
        self.buckets.insert(id, bucket);
        self.snapshots.extend(counted?.map(|counted| (id, counted)));
        if let Some(of) = clone_of
            && (read.get(&row_key::link(of.base, of.ordinal, id)).await?).is_none()
        {
            let message = "the snapshot that the bucket is a clone of does not know of it";
            return Err(Error::corrupt(message));
        }
        if jobs.iter().any(Option::is_none) {
            let message = "a bucket is held by a job that does not exist";
            return Err(Error::corrupt(message));
        }
        if owner.is_none() {
            return Err(Error::corrupt(
                "the account that owns the bucket does not exist",
            ));
        }
        for key in index {
            if read
                .get(&key)
                .await?
                .is_none_or(|row| row.value[..] != id.0.as_bytes()[..])
            {
                return Err(Error::corrupt(format!(
                    "an index does not lead to bucket {name}"
                )));
            }
        }
        Ok(())
    }

    /// A running job holds its prefixes in the buckets that it is about.
    fn job(&mut self, key: &Bytes, row: &Row) -> Result<()> {
        let (id, _) = row_key::split_id(key)
            .filter(|(_, rest)| rest.is_empty())
            .ok_or_else(|| Error::corrupt("a malformed key"))?;
        let job = JobRecord::from_value(&row.value)?.into_job(JobId(id))?;
        let running = job.state == JobState::Running;
        for (id, bucket) in &self.buckets {
            let held = bucket.held.iter().filter(|held| held.job == job.id);
            let held: Vec<_> = held.map(|held| held.prefix.clone()).collect();
            let expected = match running {
                true => job.prefixes_in(*id),
                false => Vec::new(),
            };
            if held != expected {
                return Err(Error::corrupt(
                    "a job and its bucket do not agree on what is held",
                ));
            }
        }
        Ok(())
    }

    async fn account_bucket(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let bucket = referred_bucket(read, row).await?;
        if row_key::account_bucket(&bucket.owner.account, &bucket.name) != *key {
            return Err(Error::corrupt(
                "an account's list holds a bucket that is not its own",
            ));
        }
        Ok(())
    }

    async fn object(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) {
        let place = self.place(key);
        self.summary.objects += 1;
        let object = match decode_object(key, row) {
            Ok(object) => object,
            Err(error) => return self.found(place, because("the record", &error)),
        };
        if object.is_marker() {
            return self.found(place, "a delete marker that is not in history");
        }
        if let Some((bucket, _)) = row_key::split_id(key) {
            self.recount(BucketId(bucket), &place, Tally::current(&object));
            if let Some(counted) = self.snapshots.get_mut(&BucketId(bucket)) {
                counted.current(&object, row.revision);
            }
        }
        match read.get(&row_key::object_id(object.id)).await {
            Ok(Some(index)) if Some(&index.value[..]) == key.get(1..) => {}
            Ok(_) => self.found(place.clone(), "the index of object ids does not lead to it"),
            Err(error) => self.found(place.clone(), because("the index of object ids", &error)),
        }
        match versions::leads_to_end(read, key, &object).await {
            Ok(true) => {}
            Ok(false) => self.found(place.clone(), "no row leads to it when it ends"),
            Err(error) => self.found(place.clone(), because("its end", &error)),
        }
        self.contents(read, place, (&object, row)).await;
    }

    /// Adds to what the counters of a bucket and its account must say.
    fn recount(&mut self, bucket: BucketId, place: &Place, tally: Tally) {
        let Some(bucket) = self.buckets.get(&bucket) else {
            return self.found(place.clone(), "it is of a bucket that does not exist");
        };
        for write in store::count(&[(bucket.clone(), tally)]) {
            if let Write::Add { key, delta } = write {
                *self.counts.entry(key).or_default() += delta;
            }
        }
    }

    /// The bytes of a version, and the layer that holds them.
    async fn contents(
        &mut self,
        read: &dyn MetaRead,
        place: Place,
        (object, row): (&Object, &Row),
    ) {
        if let Some(layer) = object.layer() {
            self.layers.refer(layer);
            if let Err(error) = check_header(read, object, layer).await {
                self.found(place.clone(), because("the layer", &error));
            }
        }
        match read_whole(self.store, read, object, row).await {
            Ok(()) => self.summary.bytes += object.stored_length(),
            Err(error) => self.found(place, because("the bytes", &error)),
        }
    }

    async fn object_id(&mut self, read: &dyn MetaRead, key: &Bytes, row: &Row) -> Result<()> {
        let place = [&[row_key::OBJECT], &row.value[..]].concat();
        let dangling = || Error::corrupt("an object id leads to no object of that id");
        let Some(object) = read.get(&place).await? else {
            let (bucket, object_key) = row_key::split_place(&row.value).ok_or_else(dangling)?;
            let newest = versions::newest(read, bucket, &object_key).await?;
            let newest = newest.ok_or_else(dangling)?;
            return match row_key::object_id(newest.id) == *key {
                true => Ok(()),
                false => Err(dangling()),
            };
        };
        // An object that cannot be decoded was a finding when its own row was seen.
        if let Ok(object) = decode_object(&place, &object)
            && row_key::object_id(object.id) != *key
        {
            return Err(dangling());
        }
        Ok(())
    }

    fn counter(&mut self, key: &Bytes, row: &Row) -> Result<()> {
        let expected = self.counts.remove(key).unwrap_or(0);
        let value = <[u8; 8]>::try_from(&row.value[..])
            .ok()
            .map(i64::from_be_bytes);
        if value != Some(expected) {
            return Err(Error::corrupt(format!(
                "the counter says {} where the rows say {expected}",
                value.map_or_else(|| "nothing readable".to_owned(), |value| value.to_string())
            )));
        }
        Ok(())
    }

    /// Counters that should have been seen.
    fn missing_counters(&mut self) {
        for (key, expected) in std::mem::take(&mut self.counts) {
            if expected != 0 {
                let place = self.place(&key);
                let message = format!("counter {} is missing; it should say {expected}", hex(&key));
                self.found(place, message);
            }
        }
    }
}

fn account(key: &Bytes, row: &Row) -> Result<()> {
    let id = key.get(1..).and_then(|id| std::str::from_utf8(id).ok());
    let id = id.ok_or_else(|| Error::corrupt("a malformed key"))?;
    let record = AccountRecord::from_value(&row.value)?;
    record.into_account(AccountId::parse(id)?).map(drop)
}

fn decode_object(key: &[u8], row: &Row) -> Result<Object> {
    let (_, key) = row_key::split_object(key).ok_or_else(|| Error::corrupt("a malformed key"))?;
    ObjectRecord::from_value(&row.value)?.into_object(key)
}

/// Reads all bytes of an object and takes its digests again.
async fn read_whole(store: &Store, read: &dyn MetaRead, object: &Object, row: &Row) -> Result<()> {
    let range = ResolvedRange {
        start: 0,
        end: object.stored_length(),
    };
    let content = open_content(&store.engine, object, row.body.clone(), range, None).await?;
    let mut chunks = content.unsealed(object, store.keys.unsealer(None));
    let algorithms: Vec<_> = object
        .digests
        .iter()
        .map(|digest| digest.algorithm)
        .collect();
    let mut hasher = Hasher::new(&algorithms);
    let mut list = Vec::new();
    loop {
        // Nothing is to be found out by reading what is not there.
        if algorithms.is_empty() && chunks.skip_hole(read).await? {
            continue;
        }
        match chunks.next_in(read).await {
            Ok(Some(chunk)) => {
                hasher.update(&chunk);
                if object.has_segments() {
                    list.extend_from_slice(&chunk);
                }
            }
            Ok(None) => break,
            // Nobody here has the key; that the sealed bytes are what they were is seen with their rows.
            Err(error) if object.encryption.is_some() && error.kind() != ErrorKind::Corrupt => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    if hasher.finish() != object.digests {
        return Err(Error::corrupt(
            "they do not have the digests that were recorded",
        ));
    }
    match object.has_segments() {
        true => manifest::check(object, &list),
        false => Ok(()),
    }
}

/// The bucket, or the snapshot, that a row of an index leads to.
async fn referred_bucket(read: &dyn MetaRead, row: &Row) -> Result<Bucket> {
    if let Some((bucket, ordinal)) = row_key::split_snapshot_place(&row.value) {
        return snapshots::referred(read, bucket, ordinal).await;
    }
    let id = store::bucket_id(&row.value)?;
    let row = read
        .get(&row_key::bucket(id))
        .await?
        .ok_or_else(|| Error::corrupt("an index leads to a bucket that does not exist"))?;
    BucketRecord::from_value(&row.value)?.into_bucket(id)
}

/// Checks that an object's layer is there, and as long as the object.
async fn check_header(read: &dyn MetaRead, object: &Object, layer: LayerId) -> Result<()> {
    let (header, _) = layer::header(read, layer).await?;
    if header.length != object.stored_length() {
        return Err(Error::corrupt("its length is not the object's"));
    }
    Ok(())
}

/// A message with all causes of an error.
fn because(what: &str, error: &Error) -> String {
    let mut message = format!("{what}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
