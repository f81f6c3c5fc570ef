//! Uploads in parts: begun, looked at, listed, given up. No part of one is visible as an object before
//! it is completed, which is one commit and moves no bytes.

mod complete;
mod part;

pub(crate) use complete::check_order;

use crate::bucket::check_limit;
use crate::encryption::Encrypt;
use crate::layer::Hold;
use crate::nouns::{
    CreateUpload, ListUploads, Part, PartListing, Upload, UploadItem, UploadKey, UploadListing,
};
use crate::object_update::check_new;
use crate::placement::Changes;
use crate::put::encrypt_of;
use crate::record::{PartRecord, Record, UploadRecord};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store};
use bytes::Bytes;
use std::ops::Bound;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketId, BucketName, DigestAlgorithm, Error, Key, Noun, Result, UploadId};
use trestle_engine::{Expectation, MetaRead, Row, Scan, ScanItem, Urgency};

/// The largest number of a part.
pub const PART_NUMBER_MAX: u32 = 10_000;
/// Rows that one scan of a listing takes.
const PAGE_ROWS: usize = 1000;

/// An upload as one snapshot shows it.
pub(crate) struct FoundUpload {
    pub(crate) bucket: FoundBucket,
    pub(crate) upload: Upload,
    /// That it still is as it was found.
    pub(crate) expectations: Vec<Expectation>,
}

impl Store {
    /// Begins an upload in parts.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `InvalidInput` for a checksum that cannot be; `TooLarge`; `NoSpace`;
    /// `Conflict` when concurrent changes of the bucket keep winning; `Forbidden`.
    pub async fn create_upload(&self, grant: &Grant, create: CreateUpload) -> Result<Upload> {
        let CreateUpload {
            bucket,
            key,
            properties,
            checksum,
            encrypt,
        } = create;
        let resource = Resource::Object(bucket.clone(), key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        check_new(&properties)?;
        if checksum.is_some_and(|c| !c.composite && !joins(c.algorithm)) {
            return Err(Error::invalid(
                "a checksum of all bytes of an upload in parts must be a CRC",
            ));
        }
        let (id, created) = (UploadId(self.host.id()), self.host.clock.now());
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let (found, confirmed) = self.find_bucket_of(&*read, grant, (&bucket, &key)).await?;
            drop(read);
            let encrypt = encrypt_of(encrypt.as_ref(), &found.bucket.properties);
            let writer = grant.principal().owner();
            let upload = Upload {
                id,
                key: key.clone(),
                owner: store::owner_within(&found.bucket, writer, properties.acl.as_deref()),
                created,
                properties: properties.clone(),
                checksum,
                encryption: encrypt.as_ref().map(Encrypt::encryption),
            };
            let mut expectations = found.expectations();
            expectations.push(confirmed);
            let mut changes = Changes::expecting(expectations);
            let row = row_key::upload(found.bucket.id, &upload.key, upload.id);
            changes.put(row, UploadRecord::new(&upload)?.to_value()?, None);
            if changes
                .commit(self, &found, &mut hold, Urgency::Normal)
                .await?
            {
                return Ok(upload);
            }
        }
        Err(store::conflict())
    }

    /// An upload that was neither completed nor given up.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `NotFound(Upload)`; `Forbidden`.
    pub async fn upload(&self, grant: &Grant, upload: &UploadKey) -> Result<Upload> {
        let resource = Resource::Object(upload.bucket.clone(), upload.key.clone());
        let looks = [Action::WriteObject, Action::ListParts];
        store::granted(std::slice::from_ref(grant), &looks, &resource)?;
        let read = self.snapshot().await?;
        Ok(self.find_upload(&*read, grant, upload).await?.upload)
    }

    /// Gives an upload up, and frees its parts.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `NotFound(Upload)`; `Conflict` when concurrent changes of it keep
    /// winning; `Forbidden`.
    pub async fn abort_upload(&self, grant: &Grant, upload: &UploadKey) -> Result<()> {
        let resource = Resource::Object(upload.bucket.clone(), upload.key.clone());
        store::require(grant, Action::AbortUpload, &resource)?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = self.find_upload(&*read, grant, upload).await?;
            let mut changes = Changes::expecting(found.expectations);
            changes
                .expectations
                .push(no_part_since(&*read, upload.upload).await?);
            for (number, row) in all_parts(&*read, upload.upload).await? {
                changes.delete(row_key::part(upload.upload, number));
                // A row that cannot be decoded goes, too; its layer stays.
                if let Ok(part) = PartRecord::from_value(&row.value) {
                    changes.released.extend(part.layer());
                }
            }
            drop(read);
            let id = found.bucket.bucket.id;
            changes.delete(row_key::upload(id, &upload.key, upload.upload));
            changes.delete(row_key::part_changes(upload.upload));
            let freeing = Urgency::Freeing;
            if changes
                .commit(self, &found.bucket, &mut hold, freeing)
                .await?
            {
                return Ok(());
            }
        }
        Err(store::conflict())
    }

    /// The parts of an upload, by number.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `NotFound(Upload)`; `InvalidInput` for a limit above 10,000; `Forbidden`.
    pub async fn list_parts(
        &self,
        grant: &Grant,
        upload: &UploadKey,
        after: u32,
        limit: usize,
    ) -> Result<PartListing> {
        let resource = Resource::Object(upload.bucket.clone(), upload.key.clone());
        store::require(grant, Action::ListParts, &resource)?;
        check_limit(limit)?;
        let read = self.snapshot().await?;
        let found = self.find_upload(&*read, grant, upload).await?;
        let mut parts: Vec<Part> = Vec::new();
        let mut next = None;
        let mut walk = PartWalk::new(upload.upload, Some(after));
        while let Some((number, row)) = walk.next(&*read).await? {
            if parts.len() == limit {
                next = parts.last().map(|part| part.number);
                break;
            }
            parts.push(PartRecord::from_value(&row.value)?.into_part(number)?);
        }
        Ok(PartListing {
            upload: found.upload,
            parts,
            next,
        })
    }

    /// The uploads of a bucket, by key and then by their beginning.
    ///
    /// # Errors
    /// `NotFound(Bucket)`; `InvalidInput` for a limit above 10,000 or an empty delimiter;
    /// `Forbidden`.
    pub async fn list_uploads(&self, grant: &Grant, list: &ListUploads) -> Result<UploadListing> {
        let resource = Resource::Bucket(list.bucket.clone());
        store::require(grant, Action::ListUploads, &resource)?;
        check_limit(list.limit)?;
        if list.delimiter.as_ref().is_some_and(String::is_empty) {
            return Err(Error::invalid("a delimiter must not be empty"));
        }
        let read = self.snapshot().await?;
        let found = store::find_shown(&*read, &list.bucket).await?;
        self.confirm(&*read, grant, Some(&found), None).await?;
        let bucket = found.bucket.id;
        let mut listing = UploadListing {
            items: Vec::new(),
            next: None,
        };
        if list.limit == 0 {
            return Ok(listing);
        }
        let mut scan = Scan::prefix(row_key::uploads(bucket, &list.prefix), PAGE_ROWS);
        if let Some(from) = start_of(list, bucket)
            && first_of(&from) > first_of(&scan.from)
        {
            scan.from = from;
        }
        loop {
            let page = read.scan(&scan).await?;
            let more = page.len() == PAGE_ROWS;
            for item in page {
                let ScanItem::Row(row, found) = item else {
                    continue;
                };
                let (_, key, id) = row_key::split_upload(&row).ok_or_else(malformed)?;
                let prefix = common_prefix(list, key.as_str()).map(str::to_owned);
                // What is folded into the last item was skipped only from the next page on.
                if let (Some(prefix), Some(UploadItem::Prefix(last))) =
                    (&prefix, listing.items.last())
                    && prefix == last
                {
                    continue;
                }
                if listing.items.len() == list.limit {
                    listing.next = listing.items.last().map(marker);
                    return Ok(listing);
                }
                scan.from = Bound::Excluded(row);
                if let Some(prefix) = prefix {
                    scan.from = row_key::after(&row_key::uploads(bucket, &prefix));
                    listing.items.push(UploadItem::Prefix(prefix));
                    continue;
                }
                let upload = UploadRecord::from_value(&found.value)?.into_upload(key)?;
                if upload.id != id {
                    return Err(malformed());
                }
                listing.items.push(UploadItem::Upload(Box::new(upload)));
            }
            if !more {
                return Ok(listing);
            }
        }
    }

    /// The bucket that a key is in, with the grant confirmed.
    pub(crate) async fn find_bucket_of(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        (bucket, key): (&BucketName, &Key),
    ) -> Result<(FoundBucket, Expectation)> {
        let found = store::find_bucket(read, bucket).await?;
        let current = store::find_object(read, &found.bucket, key).await?;
        let confirmed = self.confirm(read, grant, Some(&found), current.as_ref());
        let confirmed = confirmed.await?;
        Ok((found, confirmed))
    }

    /// An upload, with the grant confirmed.
    pub(crate) async fn find_upload(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        upload: &UploadKey,
    ) -> Result<FoundUpload> {
        let place = (&upload.bucket, &upload.key);
        let (bucket, confirmed) = self.find_bucket_of(read, grant, place).await?;
        let key = row_key::upload(bucket.bucket.id, &upload.key, upload.upload);
        let row = read.get(&key).await?;
        let row = row.ok_or_else(|| Error::not_found(Noun::Upload, upload.upload))?;
        let mut expectations = bucket.expectations();
        expectations.push(confirmed);
        expectations.push(Expectation::Revision(key, row.revision));
        Ok(FoundUpload {
            bucket,
            upload: UploadRecord::from_value(&row.value)?.into_upload(upload.key.clone())?,
            expectations,
        })
    }
}

/// Whether checksums of parts make one of all bytes.
fn joins(algorithm: DigestAlgorithm) -> bool {
    matches!(
        algorithm,
        DigestAlgorithm::Crc32 | DigestAlgorithm::Crc32c | DigestAlgorithm::Crc64Nvme
    )
}

/// That no part of an upload comes or changes until the commit.
async fn no_part_since(read: &dyn MetaRead, upload: UploadId) -> Result<Expectation> {
    let key = row_key::part_changes(upload);
    let row = read.get(&key).await?;
    Ok(match row {
        Some(row) => Expectation::Revision(key, row.revision),
        None => Expectation::Absent(key),
    })
}

/// All part rows of an upload, by number.
async fn all_parts(read: &dyn MetaRead, upload: UploadId) -> Result<Vec<(u32, Row)>> {
    let mut parts = Vec::new();
    let mut walk = PartWalk::new(upload, None);
    while let Some(found) = walk.next(read).await? {
        parts.push(found);
    }
    Ok(parts)
}

/// A walk over the part rows of an upload.
struct PartWalk {
    scan: Option<Scan>,
    page: std::vec::IntoIter<ScanItem>,
}

impl PartWalk {
    fn new(upload: UploadId, after: Option<u32>) -> Self {
        let mut scan = Scan::prefix(row_key::parts(upload), PAGE_ROWS);
        if let Some(after) = after {
            scan.from = Bound::Excluded(row_key::part(upload, after));
        }
        PartWalk {
            scan: Some(scan),
            page: Vec::new().into_iter(),
        }
    }

    async fn next(&mut self, read: &dyn MetaRead) -> Result<Option<(u32, Row)>> {
        loop {
            if let Some(item) = self.page.next() {
                let ScanItem::Row(key, row) = item else {
                    continue;
                };
                let (_, number) = row_key::split_part(&key).ok_or_else(malformed)?;
                return Ok(Some((number, row)));
            }
            let Some(scan) = &mut self.scan else {
                return Ok(None);
            };
            let page = read.scan(scan).await?;
            match page.last().filter(|_| page.len() == PAGE_ROWS) {
                Some(last) => scan.from = Bound::Excluded(last.key().clone()),
                None => self.scan = None,
            }
            self.page = page.into_iter();
        }
    }
}

/// The common prefix that a key folds into, if it does.
fn common_prefix<'a>(list: &ListUploads, key: &'a str) -> Option<&'a str> {
    let delimiter = list.delimiter.as_ref()?;
    let rest = key.get(list.prefix.len()..)?;
    let end = list.prefix.len() + rest.find(delimiter.as_str())? + delimiter.len();
    key.get(..end)
}

/// Where the markers say that a listing starts.
fn start_of(list: &ListUploads, bucket: BucketId) -> Option<Bound<Bytes>> {
    let key = list.key_marker.as_ref()?;
    let folds = key.starts_with(&list.prefix) && common_prefix(list, key) == Some(key);
    let of_key = row_key::uploads_of(bucket, key);
    Some(match list.upload_marker {
        _ if folds => row_key::after(&row_key::uploads(bucket, key)),
        None => row_key::after(&of_key),
        Some(upload) => Bound::Excluded([&of_key[..], upload.0.as_bytes()].concat().into()),
    })
}

fn first_of(bound: &Bound<Bytes>) -> &[u8] {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    }
}

/// The markers that go on after an item.
fn marker(item: &UploadItem) -> (String, Option<UploadId>) {
    match item {
        UploadItem::Upload(upload) => (upload.key.as_str().to_owned(), Some(upload.id)),
        UploadItem::Prefix(prefix) => (prefix.clone(), None),
    }
}

fn malformed() -> Error {
    Error::corrupt("a row of an upload with a malformed key")
}
