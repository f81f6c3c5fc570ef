//! Parts of uploads: sent or copied, in any order; one that comes again frees the former.

use super::{FoundUpload, PART_NUMBER_MAX};
use crate::encryption::Encrypt;
use crate::layer::Hold;
use crate::nouns::{CopyPart, Object, Part, UploadKey, UploadPart};
use crate::placement::Changes;
use crate::receive::{BodyChecks, Received};
use crate::record::{PartRecord, Record};
use crate::row_key;
use crate::source::Hashed;
use crate::store::{self, ATTEMPTS_MAX, Store};
use bytes::Bytes;
use futures::Stream;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{DigestAlgorithm, Digests, Error, ErrorKind, LayerId, Noun, Result};
use trestle_engine::{Expectation, MetaRead, Urgency, Write};

impl Store {
    /// Takes a part in. Always a layer, so that the completion moves no bytes.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `NotFound(Upload)`; `IncompleteBody` and `DigestMismatch` for a body that
    /// is not what was declared; `TooLarge`; `InvalidInput`; `NoSpace`; `Conflict` when concurrent
    /// writes of the part keep winning; `Forbidden`; the body's own errors.
    pub async fn upload_part<B>(&self, grant: &Grant, part: UploadPart, body: B) -> Result<Part>
    where
        B: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let UploadPart {
            to,
            number,
            only_new,
            mut checks,
            key_of_client,
        } = part;
        check_part(grant, &to, number)?;
        checks.check_limits()?;
        // Refuses before the body is read what will be refused anyway.
        let read = self.snapshot().await?;
        let found = self.find_upload(&*read, grant, &to).await?;
        drop(read);
        checks
            .algorithms
            .extend(found.upload.checksum.map(|c| c.algorithm));
        let encrypt = Encrypt::again(found.upload.encryption.as_ref(), key_of_client)?;
        let received = self.receive(&checks, encrypt.as_ref(), body).await?;
        self.place_part(grant, &to, (number, only_new), &received)
            .await
    }

    /// Commits a part of bytes that were taken in.
    async fn place_part(
        &self,
        grant: &Grant,
        to: &UploadKey,
        (number, only_new): (u32, bool),
        received: &Received,
    ) -> Result<Part> {
        let part = Part {
            number,
            length: received.length,
            digests: received.digests.clone(),
            modified: self.host.clock.now(),
        };
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = self.find_upload(&*read, grant, to).await?;
            if only_new && read.get(&row_key::part(to.upload, number)).await?.is_some() {
                let message = format!("part {number} is there already");
                return Err(Error::new(ErrorKind::AlreadyExists(Noun::Upload), message));
            }
            let mut changes = change_part(&*read, &found, number).await?;
            drop(read);
            put_part(&mut changes, &found, &part, (received.part_layer(), 0))?;
            changes.writes.extend(received.part_rows()?);
            changes.tokens.extend(received.token());
            let normal = Urgency::Normal;
            if changes
                .commit(self, &found.bucket, &mut hold, normal)
                .await?
            {
                return Ok(part);
            }
        }
        Err(store::conflict())
    }

    /// Makes a part of an object, or of a range of one, by reference. The bytes are read only for
    /// digests that are not known, and when the upload is encrypted in another way.
    ///
    /// # Errors
    /// Those of [`Store::upload_part`] and of a read; `PreconditionFailed`; `RangeNotSatisfiable`;
    /// `WrongKey`.
    pub async fn upload_part_copy(
        &self,
        source_grant: &Grant,
        grant: &Grant,
        copy: CopyPart,
    ) -> Result<(Part, Object)> {
        let CopyPart {
            to,
            number,
            source,
            key_of_client,
        } = copy;
        check_part(grant, &to, number)?;
        let mut hold = Hold::default();
        let mut hashed: Option<Hashed> = None;
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let found = self.find_upload(&*read, grant, &to).await?;
            let from = self.find_source(&*read, source_grant, &source).await?;
            let mut wanted = vec![DigestAlgorithm::Md5, DigestAlgorithm::Crc64Nvme];
            wanted.extend(found.upload.checksum.map(|c| c.algorithm));
            let encryption = found.upload.encryption.as_ref();
            let encrypt = Encrypt::again(encryption, key_of_client.clone())?;
            if found.upload.encryption != from.object.encryption || from.is_joined() {
                drop(read);
                // A read may wait for what is announced: not for this verb itself.
                hold = Hold::default();
                let (of, bytes) = self.open_source(source_grant, &source).await?;
                if of != from.object.bytes_since() {
                    continue;
                }
                let checks = BodyChecks {
                    algorithms: wanted,
                    ..BodyChecks::default()
                };
                let received = self.receive(&checks, encrypt.as_ref(), bytes).await?;
                let part = self
                    .place_part(grant, &to, (number, false), &received)
                    .await?;
                return Ok((part, from.object));
            }
            let small = self.small_bytes(&*read, &from).await?;
            let digests = Store::digests(&from, small.as_ref(), &wanted, hashed.as_ref());
            let Some(digests) = digests else {
                drop(read);
                hold = Hold::default();
                hashed = Some(self.hash(source_grant, &source, &wanted).await?);
                continue;
            };
            let assembly = self.assemble(&*read, &from, small.as_ref(), true).await?;
            let mut changes = change_part(&*read, &found, number).await?;
            drop(read);
            let part = Part {
                number,
                length: from.range.len(),
                digests: only(&digests, &wanted),
                modified: self.host.clock.now(),
            };
            put_part(
                &mut changes,
                &found,
                &part,
                (assembly.layer, assembly.depth),
            )?;
            changes.expectations.extend(from.expectations);
            changes.writes.extend(assembly.writes);
            changes.references = assembly.references;
            let normal = Urgency::Normal;
            if changes
                .commit(self, &found.bucket, &mut hold, normal)
                .await?
            {
                return Ok((part, from.object));
            }
        }
        Err(store::conflict())
    }
}

fn check_part(grant: &Grant, to: &UploadKey, number: u32) -> Result<()> {
    let resource = Resource::Object(to.bucket.clone(), to.key.clone());
    store::require(grant, Action::WriteObject, &resource)?;
    if number == 0 || number > PART_NUMBER_MAX {
        return Err(Error::invalid(format!(
            "a part's number is from 1 to {PART_NUMBER_MAX}"
        )));
    }
    Ok(())
}

/// The digests of these algorithms alone.
fn only(digests: &Digests, algorithms: &[DigestAlgorithm]) -> Digests {
    let mut kept = Digests::default();
    for digest in digests.iter() {
        if algorithms.contains(&digest.algorithm) {
            kept.insert(digest.clone());
        }
    }
    kept
}

/// A change of a part, which frees the former one.
async fn change_part(read: &dyn MetaRead, found: &FoundUpload, number: u32) -> Result<Changes> {
    let key = row_key::part(found.upload.id, number);
    let mut changes = Changes::expecting(found.expectations.clone());
    match read.get(&key).await? {
        Some(row) => {
            let former = PartRecord::from_value(&row.value)?;
            changes.released.extend(former.layer());
            let unchanged = Expectation::Revision(key, row.revision);
            changes.expectations.push(unchanged);
        }
        None => changes.expectations.push(Expectation::Absent(key)),
    }
    Ok(changes)
}

fn put_part(
    changes: &mut Changes,
    found: &FoundUpload,
    part: &Part,
    (layer, depth): (Option<LayerId>, u64),
) -> Result<()> {
    let upload = found.upload.id;
    let value = PartRecord::new(part, layer, depth).to_value()?;
    changes.put(row_key::part(upload, part.number), value, None);
    // What a completion or an abort expects to stand still.
    changes.writes.push(Write::Add {
        key: row_key::part_changes(upload),
        delta: 1,
    });
    Ok(())
}
