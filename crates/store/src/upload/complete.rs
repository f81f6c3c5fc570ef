//! The completion of an upload: one commit makes its parts the key's content, by reference. For a
//! while it can be repeated, and gives the same object again.

use super::{FoundUpload, PART_NUMBER_MAX, all_parts, joins, no_part_since};
use crate::layer::{Hold, NewLayer, Piece, References, Walk};
use crate::nouns::{
    CompleteOutcome, CompletePart, CompleteUpload, Content, OF_UPLOAD, Object, ObjectPart, Part,
    PartInfo, ReadObject, Upload, UploadKey, VersionRef,
};
use crate::placement::{Changes, Draft, Slot};
use crate::properties::{Checksum, ObjectProperties, Written};
use crate::receive::{OBJECT_BYTES_MAX, incomplete, object_too_large};
use crate::record::{CompletedRecord, PartRecord, Record};
use crate::row_key;
use crate::store::{self, ATTEMPTS_MAX, Store};
use std::collections::BTreeMap;
use std::ops::Bound;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    BucketName, Digest, DigestAlgorithm, Digests, Error, ErrorKind, Hasher, Key, LayerId, Noun,
    ResolvedRange, Result,
};
use trestle_engine::{Commit, Expectation, MetaRead, Row, Scan, ScanItem, Urgency, Write};

/// For so long a completion can be repeated, in microseconds.
const REPEATABLE: u64 = 7 * 24 * 3600 * 1_000_000;
/// Rows that `tidy` looks at in one call, in order to forget old completions.
const FORGET_ROWS: usize = 256;

/// The parts of a completion, put together.
struct Joined {
    length: u64,
    digests: Digests,
    written: Written,
    checksum: Option<Checksum>,
    layer: Option<LayerId>,
    writes: Vec<Write>,
    references: References,
}

impl Store {
    /// Makes an upload's parts the key's content, in one commit.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `NotFound(Upload)`; `InvalidInput` without parts; `InvalidPart`,
    /// `InvalidPartOrder`, `PartTooSmall`; `IncompleteBody` and `DigestMismatch` when it is not what
    /// was expected; `PreconditionFailed`; `TooLarge`; `NoSpace`; `Conflict` when concurrent writes
    /// keep winning; `Forbidden`.
    pub async fn complete_upload(
        &self,
        grant: &Grant,
        complete: CompleteUpload,
    ) -> Result<CompleteOutcome> {
        let UploadKey { bucket, key, .. } = &complete.upload;
        let resource = Resource::Object(bucket.clone(), key.clone());
        store::require(grant, Action::WriteObject, &resource)?;
        check_order(&complete.parts)?;
        self.own(bucket, [key], Urgency::Normal).await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = match self.find_upload(&*read, grant, &complete.upload).await {
                Err(error) if error.kind() == ErrorKind::NotFound(Noun::Upload) => {
                    return repeated(&*read, &complete.upload, error).await;
                }
                found => found?,
            };
            let planned = self
                .plan_completion(&*read, grant, &complete, found)
                .await?;
            drop(read);
            let Some((slot, object, changes)) = planned else {
                continue;
            };
            let urgency = Urgency::Normal;
            if changes
                .commit(self, &slot.bucket, &mut hold, urgency)
                .await?
            {
                return Ok(CompleteOutcome {
                    object,
                    created: slot.live(self).is_none(),
                    repeated: false,
                });
            }
        }
        Err(store::conflict())
    }

    /// Works out the one commit of a completion; none when a concurrent change won.
    pub(crate) async fn plan_completion(
        &self,
        read: &dyn MetaRead,
        grant: &Grant,
        complete: &CompleteUpload,
        found: FoundUpload,
    ) -> Result<Option<(Slot, Object, Changes)>> {
        let UploadKey {
            bucket,
            key,
            upload,
        } = &complete.upload;
        let mut slot = Slot::find(read, bucket, key).await?;
        slot.confirm(self, read, grant).await?;
        let current = slot.live(self);
        store::check_precondition(&complete.precondition, complete.tag_of, current)?;
        let unchanged = no_part_since(read, *upload).await?;
        let parts = all_parts(read, *upload).await?;
        let joined = self.join(&found.upload, complete, &parts)?;
        let draft = Draft {
            owner: Some(found.upload.owner.clone()),
            content: Content::Data {
                length: joined.length,
                layer: joined.layer,
            },
            digests: joined.digests,
            encryption: found.upload.encryption.clone(),
            written: joined.written,
            checksum: joined.checksum,
            properties: of_object(&found.upload),
        };
        let object = slot.object(self, draft);
        let Some(mut changes) = slot.install(self, &object, None).await? else {
            return Ok(None);
        };
        changes.expectations.extend(found.expectations);
        changes.expectations.push(unchanged);
        changes.writes.extend(joined.writes);
        changes.references = joined.references;
        for (number, _) in parts {
            changes.delete(row_key::part(*upload, number));
        }
        let id = slot.bucket.bucket.id;
        changes.delete(row_key::upload(id, key, *upload));
        changes.delete(row_key::part_changes(*upload));
        let completed = CompletedRecord::new(id, &object, self.host.clock.now())?;
        changes.put(row_key::completed(*upload), completed.to_value()?, None);
        Ok(Some((slot, object, changes)))
    }

    /// Puts the named parts together; the references of all others are lost.
    fn join(
        &self,
        upload: &Upload,
        complete: &CompleteUpload,
        rows: &[(u32, Row)],
    ) -> Result<Joined> {
        let mut records = BTreeMap::new();
        let mut references = References::default();
        for (number, row) in rows {
            let record = PartRecord::from_value(&row.value)?;
            // The reference of its record goes, and that of an extent may come.
            if let Some(layer) = record.layer() {
                references.lose(layer);
            }
            records.insert(*number, record);
        }
        let mut layer = NewLayer::new(LayerId(self.host.id()));
        let mut parts = Vec::with_capacity(complete.parts.len());
        for (at, named) in complete.parts.iter().enumerate() {
            let invalid = || {
                let kind = ErrorKind::InvalidPart {
                    number: named.number,
                };
                Error::new(kind, format!("part {} is not as it is named", named.number))
            };
            let record = records.get(&named.number).ok_or_else(invalid)?;
            let part = record.clone().into_part(named.number)?;
            let is_so = |expected: &Digest| part.digests.get(expected.algorithm) == Some(expected);
            if !named.expected.iter().all(is_so) {
                return Err(invalid());
            }
            if part.length < complete.part_bytes_min && at + 1 < complete.parts.len() {
                let (number, length) = (part.number, part.length);
                let kind = ErrorKind::PartTooSmall { number, length };
                return Err(Error::new(kind, format!("part {number} is too small")));
            }
            if let Some(of) = record.layer() {
                let range = ResolvedRange {
                    start: 0,
                    end: part.length,
                };
                let piece = Piece {
                    part: Some(PartInfo {
                        number: part.number,
                        digests: part.digests.clone(),
                    }),
                    ..Piece::reference(of, range, record.depth)
                };
                layer.piece(piece, &mut references)?;
            }
            parts.push(part);
        }
        let length = layer.length();
        if length > OBJECT_BYTES_MAX {
            return Err(object_too_large());
        }
        if complete
            .expected_length
            .is_some_and(|expected| expected != length)
        {
            return Err(incomplete("the parts are not as long as was expected"));
        }
        let checksum = checksum(upload, &parts)?;
        if complete.expected_checksum.is_some() && complete.expected_checksum != checksum {
            return Err(Error::new(
                ErrorKind::DigestMismatch,
                "the parts do not have the expected checksum",
            ));
        }
        let (id, writes) = match length {
            0 => (None, Vec::new()),
            _ => (Some(layer.id), layer.finish()?),
        };
        Ok(Joined {
            length,
            digests: whole_digests(&parts),
            written: Written::Parts {
                count: u32::try_from(parts.len()).unwrap_or(PART_NUMBER_MAX),
                digest: of_digests(&parts, DigestAlgorithm::Md5)?,
            },
            checksum,
            layer: id,
            writes,
            references,
        })
    }

    /// The parts that an object was uploaded in, by number: none when it was not. An empty part is
    /// not among them.
    ///
    /// # Errors
    /// Those of [`Store::head`]; `InvalidInput` for a limit above 10,000.
    pub async fn object_parts(
        &self,
        grant: &Grant,
        (bucket, key, version): (&BucketName, &Key, VersionRef),
        after: u32,
        limit: usize,
    ) -> Result<(Object, Vec<ObjectPart>, Option<u32>)> {
        crate::bucket::check_limit(limit)?;
        let resource = Resource::Object(bucket.clone(), key.clone());
        store::granted(
            std::slice::from_ref(grant),
            crate::read::looks(version),
            &resource,
        )?;
        let read = self.snapshot().await?;
        let (found, _) = self.find(&*read, grant, (bucket, key, version)).await?;
        let object = found.object;
        let mut parts: Vec<ObjectPart> = Vec::new();
        let layer = match object.written {
            Written::Parts { .. } if object.manifest.is_none() => object.layer(),
            Written::Parts { .. } => {
                drop(read);
                let read = ReadObject {
                    bucket: bucket.clone(),
                    key: key.clone(),
                    version,
                };
                return Box::pin(self.joined_parts(grant, &read, after, limit)).await;
            }
            Written::Whole | Written::Patched => None,
        };
        let Some(layer) = layer else {
            return Ok((object, parts, None));
        };
        let whole = ResolvedRange {
            start: 0,
            end: object.length(),
        };
        let mut walk = Walk::new(layer, whole);
        while let Some((offset, extent)) = walk.next(&*read).await? {
            let Some(part) = extent.part.filter(|part| part.number > after) else {
                continue;
            };
            if parts.len() == limit {
                let next = parts.last().map(|last| last.part.number);
                return Ok((object, parts, next));
            }
            let length = extent.length;
            parts.push(ObjectPart {
                part,
                offset,
                length,
            });
        }
        Ok((object, parts, None))
    }

    /// Forgets completions that can no longer be repeated; looks at some rows after `after`, and says
    /// where to go on.
    pub(crate) async fn forget_completed(
        &self,
        after: Option<bytes::Bytes>,
    ) -> Result<Option<bytes::Bytes>> {
        let read = self.snapshot().await?;
        let mut scan = Scan::prefix(row_key::all_completed(), FORGET_ROWS);
        if let Some(after) = after {
            scan.from = Bound::Excluded(after);
        }
        let page = read.scan(&scan).await?;
        drop(read);
        let now = self.host.clock.now().0;
        let last = page.last().filter(|_| page.len() == FORGET_ROWS);
        let last = last.map(|item| item.key().clone());
        let mut commit = Commit {
            urgency: Urgency::Freeing,
            ..Commit::default()
        };
        for item in page {
            let ScanItem::Row(key, row) = item else {
                continue;
            };
            let completed = CompletedRecord::from_value(&row.value)?;
            if completed.at.saturating_add(REPEATABLE) < now {
                let unchanged = Expectation::Revision(key.clone(), row.revision);
                commit.expectations.push(unchanged);
                commit.writes.push(Write::Delete { key });
            }
        }
        if !commit.writes.is_empty() {
            self.try_commit(commit).await?;
        }
        Ok(last)
    }
}

/// Refuses what cannot be the parts of any upload.
pub(crate) fn check_order(parts: &[CompletePart]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::invalid("an object has at least one part"));
    }
    let ascend = parts.windows(2).all(|pair| match pair {
        [first, second] => first.number < second.number,
        _ => true,
    });
    if !ascend {
        return Err(Error::new(
            ErrorKind::InvalidPartOrder,
            "parts are named in ascending order",
        ));
    }
    Ok(())
}

/// The outcome of a completion that was one already; `missing` when it was none.
async fn repeated(
    read: &dyn MetaRead,
    upload: &UploadKey,
    missing: Error,
) -> Result<CompleteOutcome> {
    let bucket = store::find_bucket(read, &upload.bucket).await?.bucket.id;
    let Some(row) = read.get(&row_key::completed(upload.upload)).await? else {
        return Err(missing);
    };
    let completed = CompletedRecord::from_value(&row.value)?;
    let object = completed.into_object(bucket, &upload.key)?;
    Ok(CompleteOutcome {
        object: object.ok_or(missing)?,
        created: false,
        repeated: true,
    })
}

/// The digest of the parts' digests of one algorithm.
fn of_digests(parts: &[Part], algorithm: DigestAlgorithm) -> Result<Digest> {
    let lacking = || Error::corrupt("a part lacks a digest that is taken of every part");
    let mut hasher = Hasher::new(&[algorithm]);
    for part in parts {
        hasher.update(&part.digests.get(algorithm).ok_or_else(lacking)?.value);
    }
    hasher.finish().get(algorithm).cloned().ok_or_else(lacking)
}

/// The digest of all bytes, when the parts' tell it.
fn joined_digest(parts: &[Part], algorithm: DigestAlgorithm) -> Option<Digest> {
    let mut parts = parts.iter();
    let first = parts.next()?.digests.get(algorithm)?.clone();
    parts.try_fold(first, |joined, part| {
        joined.followed_by(part.digests.get(algorithm)?, part.length)
    })
}

/// What describes the object that an upload becomes.
fn of_object(upload: &Upload) -> ObjectProperties {
    let mut properties = upload.properties.clone();
    let documents = &mut properties.documents;
    documents.retain(|name, _| !name.starts_with(OF_UPLOAD));
    properties
}

/// The digests of all bytes that the parts' tell.
fn whole_digests(parts: &[Part]) -> Digests {
    let mut digests = Digests::default();
    for algorithm in DigestAlgorithm::ALL.into_iter().filter(|a| joins(*a)) {
        if let Some(digest) = joined_digest(parts, algorithm) {
            digests.insert(digest);
        }
    }
    digests
}

/// The checksum that the upload asked for.
fn checksum(upload: &Upload, parts: &[Part]) -> Result<Option<Checksum>> {
    let Some(asked) = upload.checksum else {
        return Ok(None);
    };
    if asked.composite {
        return Ok(Some(Checksum {
            digest: of_digests(parts, asked.algorithm)?,
            composite_of: Some(u32::try_from(parts.len()).unwrap_or(PART_NUMBER_MAX)),
        }));
    }
    let digest = joined_digest(parts, asked.algorithm);
    let digest = digest.ok_or_else(|| Error::corrupt("a part lacks the upload's checksum"))?;
    Ok(Some(Checksum {
        digest,
        composite_of: None,
    }))
}
