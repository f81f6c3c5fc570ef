//! Row keys: one table byte, then what sorts rows as their readers walk them.
//!
//! Owns every byte of every key; `docs/format-records.md` repeats them for readers of the
//! format. Ids and names that something follows are of fixed length or end with a byte that they
//! cannot contain, so no key is ever a prefix of another row's meaning.

use bytes::Bytes;
use std::ops::Bound;
use trestle_core::{
    AccountId, BucketId, BucketName, Id, JobId, Key, LayerId, ObjectId, Sequence, Timestamp,
    UploadId, VersionId,
};
use trestle_engine::meta::prefix_end;

/// `01 | name`: a setting of the store.
pub(crate) const SETTING: u8 = 0x01;
/// `02 | name | 00 | version`: a version of a key of the ring.
pub(crate) const RING_KEY: u8 = 0x02;
/// `10 | account id`: an account.
pub(crate) const ACCOUNT: u8 = 0x10;
/// `11`: one empty row whose revision is that of everything known of identities.
pub(crate) const IDENTITIES: u8 = 0x11;
/// `12 | account id | 00 | kind | name`: a user, group, role or policy.
pub(crate) const IDENTITY: u8 = 0x12;
/// `13 | access key`: an access key.
pub(crate) const ACCESS_KEY: u8 = 0x13;
/// `14 | account id | 00 | user | 00 | access key`: the access keys of a user.
pub(crate) const USER_KEY: u8 = 0x14;
/// `15 | user | 00 | account id`: the accounts that have a user of this name.
pub(crate) const USER_NAME: u8 = 0x15;
/// `16 | access key`: when it was last used.
pub(crate) const KEY_USED: u8 = 0x16;
/// `17 | token id`: a token that was revoked, until it ends by itself.
pub(crate) const REVOKED: u8 = 0x17;
/// `18 | fingerprint`: whose client certificate this is.
pub(crate) const CERTIFICATE: u8 = 0x18;
/// `19 | e-mail address | 00 | account id | 00 | user`: who has an e-mail address.
pub(crate) const EMAIL: u8 = 0x19;
/// `20 | bucket name`: the global index of bucket names.
pub(crate) const BUCKET_NAME: u8 = 0x20;
/// `21 | bucket id`: a bucket.
pub(crate) const BUCKET: u8 = 0x21;
/// `22 | account id | 00 | bucket name`: the buckets of an account.
pub(crate) const ACCOUNT_BUCKET: u8 = 0x22;
/// `30 | bucket id | key`: the current object of a key, and nothing else.
pub(crate) const OBJECT: u8 = 0x30;
/// `31 | bucket id | escaped key | inverted ordinal`: a former version of a key, or a delete marker.
pub(crate) const HISTORY: u8 = 0x31;
/// `32 | bucket id | escaped key | ordinal of a snapshot`: a former row of a key, which snapshots show.
pub(crate) const KEPT: u8 = 0x32;
/// `33 | object id`: where an object is.
pub(crate) const OBJECT_ID: u8 = 0x33;
/// `34 | version id`: where a version of history is.
pub(crate) const VERSION_ID: u8 = 0x34;
/// `35 | bucket id | escaped key`: where the null version is, if it is in history.
pub(crate) const NULL_VERSION: u8 = 0x35;
/// `36 | time | bucket id | key`: a current object that ends at that time.
pub(crate) const EXPIRY: u8 = 0x36;
/// `37 | bucket id | ordinal`: a snapshot of a bucket.
pub(crate) const SNAPSHOT: u8 = 0x37;
/// `38 | job id`: a job on directories.
pub(crate) const JOB: u8 = 0x38;
/// `39 | bucket id | ordinal`: a snapshot that is gone, and what only it showed is to go.
pub(crate) const SWEEP: u8 = 0x39;
/// `3a | bucket id | key`: that a clone no longer inherits the key.
pub(crate) const CUT: u8 = 0x3a;
/// `3b | bucket id | ordinal | bucket id`: a clone of a snapshot.
pub(crate) const LINK: u8 = 0x3b;
/// `40 | layer id`: a layer.
pub(crate) const LAYER: u8 = 0x40;
/// `41 | layer id | offset`: an extent of a layer.
pub(crate) const EXTENT: u8 = 0x41;
/// `42 | layer id`: a layer that nothing refers to, whose rows are yet to go.
pub(crate) const DOOMED: u8 = 0x42;
/// `50 | bucket id | escaped key | upload id`: an upload in progress.
pub(crate) const UPLOAD: u8 = 0x50;
/// `51 | upload id | number`: a part of it.
pub(crate) const PART: u8 = 0x51;
/// `52 | upload id`: what became of an upload, kept for a while.
pub(crate) const COMPLETED: u8 = 0x52;
/// `53 | upload id`: how often its parts have changed.
pub(crate) const PART_CHANGES: u8 = 0x53;
/// `60 | scope | …`: a counter.
pub(crate) const COUNTER: u8 = 0x60;

/// `70 | sequence`: what the commit of that sequence did.
pub(crate) const FEED: u8 = 0x70;
/// `71`: up to which sequence the feed is no longer kept.
pub(crate) const FEED_FORGOTTEN: u8 = 0x71;

/// Bytes before the key in a row key of [`OBJECT`].
pub(crate) const OBJECT_SKIP: usize = 17;

const SCOPE_ACCOUNT: u8 = 0x01;
const SCOPE_BUCKET: u8 = 0x02;
const SCOPE_SINCE: u8 = 0x03;

/// What a counter counts; the last byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    /// Objects.
    Objects = 1,
    /// Bytes of their contents.
    Bytes = 2,
    /// Buckets, of an account.
    Buckets = 3,
    /// Versions and delete markers in history.
    Versions = 4,
    /// Bytes of their contents.
    VersionBytes = 5,
    /// Former rows of keys that are kept for snapshots.
    Kept = 6,
    /// Bytes of their contents.
    KeptBytes = 7,
    /// Keys that a clone inherits no longer.
    Cut = 8,
    /// Bytes of what they held.
    CutBytes = 9,
}

fn key(table: u8, parts: &[&[u8]]) -> Bytes {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut key = Vec::with_capacity(length);
    key.push(table);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key.into()
}

pub(crate) fn setting(name: &str) -> Bytes {
    key(SETTING, &[name.as_bytes()])
}

/// Start of the keys of the whole ring.
pub(crate) fn ring() -> Bytes {
    key(RING_KEY, &[])
}

/// The name and version of a key of the ring.
pub(crate) fn split_ring_key(row_key: &[u8]) -> Option<(String, u32)> {
    let (rest, version) = row_key.get(1..)?.split_last_chunk::<4>()?;
    let name = rest.strip_suffix(&[0])?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    Some((name, u32::from_be_bytes(*version)))
}

/// Start of the keys of all versions of a key of the ring.
pub(crate) fn ring_keys(name: &str) -> Bytes {
    key(RING_KEY, &[name.as_bytes(), &[0]])
}

pub(crate) fn ring_key(name: &str, version: u32) -> Bytes {
    key(RING_KEY, &[name.as_bytes(), &[0], &version.to_be_bytes()])
}

/// Start of the keys of accounts, or where a page goes on.
pub(crate) fn accounts(after: &str) -> Bytes {
    key(ACCOUNT, &[after.as_bytes()])
}

pub(crate) fn account(id: &AccountId) -> Bytes {
    key(ACCOUNT, &[id.as_str().as_bytes()])
}

pub(crate) fn identities() -> Bytes {
    key(IDENTITIES, &[])
}

/// Start of the keys of all of an account's identities.
pub(crate) fn identities_in(account: &AccountId) -> Bytes {
    key(IDENTITY, &[account.as_str().as_bytes(), &[0]])
}

/// Start of the keys of an account's identities of one kind.
pub(crate) fn identities_of(account: &AccountId, kind: u8) -> Bytes {
    identity(account, kind, "")
}

pub(crate) fn identity(account: &AccountId, kind: u8, name: &str) -> Bytes {
    let account = account.as_str().as_bytes();
    key(IDENTITY, &[account, &[0, kind], name.as_bytes()])
}

pub(crate) fn access_key(id: &str) -> Bytes {
    key(ACCESS_KEY, &[id.as_bytes()])
}

/// Start of the keys of a user's access keys.
pub(crate) fn user_keys(account: &AccountId, user: &str) -> Bytes {
    user_key(account, user, "")
}

pub(crate) fn user_key(account: &AccountId, user: &str, id: &str) -> Bytes {
    let account = account.as_str().as_bytes();
    key(
        USER_KEY,
        &[account, &[0], user.as_bytes(), &[0], id.as_bytes()],
    )
}

/// Start of the keys that lead from a user's name to accounts.
pub(crate) fn user_names(user: &str) -> Bytes {
    key(USER_NAME, &[user.as_bytes(), &[0]])
}

pub(crate) fn user_name(user: &str, account: &AccountId) -> Bytes {
    key(
        USER_NAME,
        &[user.as_bytes(), &[0], account.as_str().as_bytes()],
    )
}

pub(crate) fn key_used(id: &str) -> Bytes {
    key(KEY_USED, &[id.as_bytes()])
}

pub(crate) fn revoked(token: &str) -> Bytes {
    key(REVOKED, &[token.as_bytes()])
}

/// Start of the keys that lead from an e-mail address to users.
pub(crate) fn emails(address: &str) -> Bytes {
    key(EMAIL, &[address.as_bytes(), &[0]])
}

pub(crate) fn email(address: &str, account: &AccountId, user: &str) -> Bytes {
    let account = account.as_str().as_bytes();
    key(
        EMAIL,
        &[address.as_bytes(), &[0], account, &[0], user.as_bytes()],
    )
}

pub(crate) fn certificate(fingerprint: &str) -> Bytes {
    key(CERTIFICATE, &[fingerprint.as_bytes()])
}

pub(crate) fn bucket_name(name: &BucketName) -> Bytes {
    key(BUCKET_NAME, &[name.as_str().as_bytes()])
}

pub(crate) fn bucket(id: BucketId) -> Bytes {
    key(BUCKET, &[id.0.as_bytes()])
}

/// Start of the keys of an account's buckets whose names start with `prefix`.
pub(crate) fn account_buckets(id: &AccountId, prefix: &str) -> Bytes {
    key(
        ACCOUNT_BUCKET,
        &[id.as_str().as_bytes(), &[0], prefix.as_bytes()],
    )
}

pub(crate) fn account_bucket(id: &AccountId, name: &BucketName) -> Bytes {
    account_buckets(id, name.local())
}

/// Start of the keys of a table's rows that belong to a bucket.
pub(crate) fn of_bucket(table: u8, id: BucketId) -> Bytes {
    key(table, &[id.0.as_bytes()])
}

/// Start of the keys of a bucket's objects whose keys start with `prefix`.
pub(crate) fn objects(id: BucketId, prefix: &str) -> Bytes {
    key(OBJECT, &[id.0.as_bytes(), prefix.as_bytes()])
}

pub(crate) fn object(id: BucketId, object_key: &Key) -> Bytes {
    objects(id, object_key.as_str())
}

/// Text so that it sorts as before and no `00 01` is in it: `00` as `00 FF`.
pub(crate) fn escape(text: &str) -> Vec<u8> {
    escape_bytes(text.as_bytes())
}

/// As [`escape`], of a bound that need not be text.
fn escape_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len() + 2);
    for byte in bytes {
        escaped.push(*byte);
        if *byte == 0 {
            escaped.push(0xff);
        }
    }
    escaped
}

/// A key that is escaped and ends: with `00 01`.
fn escaped(object_key: &Key) -> Vec<u8> {
    let mut escaped = escape(object_key.as_str());
    escaped.extend_from_slice(&[0, 1]);
    escaped
}

/// The text that was escaped, and what follows it.
fn unescaped(bytes: &[u8]) -> Option<(Key, &[u8])> {
    let mut key = Vec::new();
    let mut rest = bytes;
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        if byte != 0 {
            key.push(byte);
            continue;
        }
        let (&kind, tail) = rest.split_first()?;
        rest = tail;
        match kind {
            0xff => key.push(0),
            1 => return Some((Key::parse(String::from_utf8(key).ok()?).ok()?, rest)),
            _ => return None,
        }
    }
}

/// Start of the keys of a key's history, which follow from the newest to the oldest.
pub(crate) fn history(id: BucketId, object_key: &Key) -> Bytes {
    key(HISTORY, &[id.0.as_bytes(), &escaped(object_key)])
}

/// Start of the keys of the history of all keys that start with `prefix`.
pub(crate) fn histories(id: BucketId, prefix: &str) -> Bytes {
    key(HISTORY, &[id.0.as_bytes(), &escape(prefix)])
}

/// Start of the keys of all jobs.
pub(crate) fn jobs() -> Bytes {
    key(JOB, &[])
}

pub(crate) fn job(id: JobId) -> Bytes {
    key(JOB, &[id.0.as_bytes()])
}

pub(crate) fn version(id: BucketId, object_key: &Key, ordinal: u64) -> Bytes {
    key(
        HISTORY,
        &[
            id.0.as_bytes(),
            &escaped(object_key),
            &(!ordinal).to_be_bytes(),
        ],
    )
}

pub(crate) fn version_id(id: VersionId) -> Bytes {
    key(VERSION_ID, &[id.0.as_bytes()])
}

pub(crate) fn null_version(id: BucketId, object_key: &Key) -> Bytes {
    key(NULL_VERSION, &[id.0.as_bytes(), &escaped(object_key)])
}

/// Start of the keys of all expiries.
pub(crate) fn expiries() -> Bytes {
    key(EXPIRY, &[])
}

/// Start of the keys of all expiries after `time`.
pub(crate) fn expiries_after(time: Timestamp) -> Bytes {
    key(EXPIRY, &[&time.0.saturating_add(1).to_be_bytes()])
}

pub(crate) fn expiry(time: Timestamp, id: BucketId, object_key: &Key) -> Bytes {
    key(
        EXPIRY,
        &[
            &time.0.to_be_bytes(),
            id.0.as_bytes(),
            object_key.as_str().as_bytes(),
        ],
    )
}

/// The bucket and key of an expiry's row key.
pub(crate) fn split_expiry(row_key: &[u8]) -> Option<(BucketId, Key)> {
    split_place(row_key.get(9..)?)
}

/// What an index says of a row whose table it knows: what follows the table byte.
pub(crate) fn place(row_key: &Bytes) -> Bytes {
    row_key.slice(1.min(row_key.len())..)
}

/// The row of history that an index leads to.
pub(crate) fn history_row(place: &[u8]) -> Bytes {
    key(HISTORY, &[place])
}

/// Start of the keys of all rows that are kept of the keys from `from` on, any bytes.
pub(crate) fn kept_from(id: BucketId, from: &[u8]) -> Bytes {
    key(KEPT, &[id.0.as_bytes(), &escape_bytes(from)])
}

/// Where the keys of rows begin that are kept of the keys after `after`, any bytes.
pub(crate) fn kept_after(id: BucketId, after: &[u8]) -> Bytes {
    key(KEPT, &[id.0.as_bytes(), &escape_bytes(after), &[0, 2]])
}

/// Start of the keys of the rows that are kept of one key, from the oldest on.
pub(crate) fn kept_of(id: BucketId, object_key: &Key) -> Bytes {
    key(KEPT, &[id.0.as_bytes(), &escaped(object_key)])
}

pub(crate) fn kept(id: BucketId, object_key: &Key, ordinal: u64) -> Bytes {
    let ordinal = ordinal.to_be_bytes();
    key(KEPT, &[id.0.as_bytes(), &escaped(object_key), &ordinal])
}

/// Start of the keys of all snapshots.
pub(crate) fn snapshots() -> Bytes {
    key(SNAPSHOT, &[])
}

pub(crate) fn snapshot(id: BucketId, ordinal: u64) -> Bytes {
    key(SNAPSHOT, &[id.0.as_bytes(), &ordinal.to_be_bytes()])
}

pub(crate) fn cut(id: BucketId, object_key: &Key) -> Bytes {
    key(CUT, &[id.0.as_bytes(), object_key.as_str().as_bytes()])
}

/// Start of the keys that lead from a snapshot to its clones.
pub(crate) fn links(id: BucketId, ordinal: u64) -> Bytes {
    key(LINK, &[id.0.as_bytes(), &ordinal.to_be_bytes()])
}

pub(crate) fn link(id: BucketId, ordinal: u64, clone: BucketId) -> Bytes {
    key(
        LINK,
        &[id.0.as_bytes(), &ordinal.to_be_bytes(), clone.0.as_bytes()],
    )
}

/// The snapshot, its ordinal and the clone of such a key.
pub(crate) fn split_link(row_key: &[u8]) -> Option<(BucketId, u64, BucketId)> {
    let (id, rest) = split_id(row_key)?;
    let (ordinal, clone) = rest.split_first_chunk::<8>()?;
    let clone = BucketId(Id::from_slice(clone)?);
    Some((BucketId(id), u64::from_be_bytes(*ordinal), clone))
}

/// Start of the keys of all sweeps.
pub(crate) fn sweeps() -> Bytes {
    key(SWEEP, &[])
}

pub(crate) fn sweep(id: BucketId, ordinal: u64) -> Bytes {
    key(SWEEP, &[id.0.as_bytes(), &ordinal.to_be_bytes()])
}

pub(crate) fn object_id(id: ObjectId) -> Bytes {
    key(OBJECT_ID, &[id.0.as_bytes()])
}

pub(crate) fn layer(id: LayerId) -> Bytes {
    key(LAYER, &[id.0.as_bytes()])
}

/// Start of the keys of all extents of a layer.
pub(crate) fn extents(id: LayerId) -> Bytes {
    key(EXTENT, &[id.0.as_bytes()])
}

pub(crate) fn extent(id: LayerId, offset: u64) -> Bytes {
    key(EXTENT, &[id.0.as_bytes(), &offset.to_be_bytes()])
}

/// Start of the keys of all doomed layers.
pub(crate) fn doomed_layers() -> Bytes {
    key(DOOMED, &[])
}

pub(crate) fn doomed(id: LayerId) -> Bytes {
    key(DOOMED, &[id.0.as_bytes()])
}

/// Start of the keys of a bucket's uploads whose keys start with `prefix`.
pub(crate) fn uploads(id: BucketId, prefix: &str) -> Bytes {
    key(UPLOAD, &[id.0.as_bytes(), &escape(prefix)])
}

/// Start of the keys of the uploads of one key, which may be any text.
pub(crate) fn uploads_of(id: BucketId, object_key: &str) -> Bytes {
    key(UPLOAD, &[id.0.as_bytes(), &escape(object_key), &[0, 1]])
}

pub(crate) fn upload(id: BucketId, object_key: &Key, upload: UploadId) -> Bytes {
    key(
        UPLOAD,
        &[id.0.as_bytes(), &escaped(object_key), upload.0.as_bytes()],
    )
}

/// Start of the keys of an upload's parts.
pub(crate) fn parts(id: UploadId) -> Bytes {
    key(PART, &[id.0.as_bytes()])
}

pub(crate) fn part(id: UploadId, number: u32) -> Bytes {
    key(PART, &[id.0.as_bytes(), &number.to_be_bytes()])
}

/// Start of the keys of all that became of uploads.
pub(crate) fn all_completed() -> Bytes {
    key(COMPLETED, &[])
}

pub(crate) fn completed(id: UploadId) -> Bytes {
    key(COMPLETED, &[id.0.as_bytes()])
}

pub(crate) fn part_changes(id: UploadId) -> Bytes {
    key(PART_CHANGES, &[id.0.as_bytes()])
}

pub(crate) fn account_counter(id: &AccountId, count: Count) -> Bytes {
    key(
        COUNTER,
        &[&[SCOPE_ACCOUNT], id.as_str().as_bytes(), &[0, count as u8]],
    )
}

pub(crate) fn bucket_counter(id: BucketId, count: Count) -> Bytes {
    key(COUNTER, &[&[SCOPE_BUCKET], id.0.as_bytes(), &[count as u8]])
}

/// Start of the keys of the counters of what changed in a bucket since each of its snapshots.
pub(crate) fn all_since(id: BucketId) -> Bytes {
    key(COUNTER, &[&[SCOPE_SINCE], id.0.as_bytes()])
}

/// Start of the keys of those since one of its snapshots, until the next.
pub(crate) fn since(id: BucketId, ordinal: u64) -> Bytes {
    let ordinal = ordinal.to_be_bytes();
    key(COUNTER, &[&[SCOPE_SINCE], id.0.as_bytes(), &ordinal])
}

pub(crate) fn since_counter(id: BucketId, ordinal: u64, count: Count) -> Bytes {
    let ordinal = ordinal.to_be_bytes();
    key(
        COUNTER,
        &[&[SCOPE_SINCE], id.0.as_bytes(), &ordinal, &[count as u8]],
    )
}

/// The bucket, ordinal and count of such a counter.
pub(crate) fn split_since(row_key: &[u8]) -> Option<(BucketId, u64, u8)> {
    let (scope, rest) = row_key.get(1..)?.split_first()?;
    let (id, rest) = rest.split_at_checked(16)?;
    let (ordinal, count) = rest.split_first_chunk::<8>()?;
    let &[count] = count else { return None };
    let id = Id::from_slice(id).filter(|_| *scope == SCOPE_SINCE)?;
    Some((BucketId(id), u64::from_be_bytes(*ordinal), count))
}

/// Start of the keys of the feed.
pub(crate) fn feed() -> Bytes {
    key(FEED, &[])
}

pub(crate) fn feed_entry(sequence: Sequence) -> Bytes {
    key(FEED, &[&sequence.0.to_be_bytes()])
}

pub(crate) fn feed_forgotten() -> Bytes {
    key(FEED_FORGOTTEN, &[])
}

/// The range of all keys that start with `prefix`, which never is all `ff` here.
pub(crate) fn under(prefix: &Bytes) -> (Bound<Bytes>, Bound<Bytes>) {
    (Bound::Included(prefix.clone()), end(prefix))
}

/// The upper bound of the keys that start with `prefix`.
pub(crate) fn end(prefix: &[u8]) -> Bound<Bytes> {
    end_of(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

/// Where the keys begin that come after all that start with `prefix`.
pub(crate) fn after(prefix: &[u8]) -> Bound<Bytes> {
    match end(prefix) {
        Bound::Excluded(end) => Bound::Included(end),
        other => other,
    }
}

/// The first key after all that start with `prefix`, which never is all `ff` here.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Bytes> {
    prefix_end(prefix)
}

/// The id that follows the table byte, and what follows it.
pub(crate) fn split_id(row_key: &[u8]) -> Option<(Id, &[u8])> {
    let (id, rest) = row_key.get(1..)?.split_at_checked(16)?;
    Some((Id::from_slice(id)?, rest))
}

/// The bucket and key of an object's row key.
pub(crate) fn split_object(row_key: &[u8]) -> Option<(BucketId, Key)> {
    let (id, key) = split_id(row_key)?;
    Some((
        BucketId(id),
        Key::parse(std::str::from_utf8(key).ok()?).ok()?,
    ))
}

/// The bucket and key that an index of objects leads to.
pub(crate) fn split_place(place: &[u8]) -> Option<(BucketId, Key)> {
    let (id, key) = place.split_at_checked(16)?;
    let key = Key::parse(std::str::from_utf8(key).ok()?).ok()?;
    Some((BucketId(Id::from_slice(id)?), key))
}

/// The bucket, key and ordinal of a row key of history.
pub(crate) fn split_version(row_key: &[u8]) -> Option<(BucketId, Key, u64)> {
    let (id, rest) = split_id(row_key)?;
    let (key, ordinal) = unescaped(rest)?;
    let ordinal = !u64::from_be_bytes(ordinal.try_into().ok()?);
    Some((BucketId(id), key, ordinal))
}

/// The bucket, key and ordinal of the row key of a kept row.
pub(crate) fn split_kept(row_key: &[u8]) -> Option<(BucketId, Key, u64)> {
    let (id, rest) = split_id(row_key)?;
    let (key, ordinal) = unescaped(rest)?;
    let ordinal = u64::from_be_bytes(ordinal.try_into().ok()?);
    Some((BucketId(id), key, ordinal))
}

/// The bucket and ordinal of the row key of a snapshot or a sweep.
pub(crate) fn split_ordinal(row_key: &[u8]) -> Option<(BucketId, u64)> {
    let (id, ordinal) = split_id(row_key)?;
    Some((BucketId(id), u64::from_be_bytes(ordinal.try_into().ok()?)))
}

/// What the name of a snapshot leads to: its bucket and its ordinal.
pub(crate) fn snapshot_place(id: BucketId, ordinal: u64) -> Bytes {
    [&id.0.as_bytes()[..], &ordinal.to_be_bytes()]
        .concat()
        .into()
}

/// The bucket and ordinal that an index of names leads to, when it leads to a snapshot.
pub(crate) fn split_snapshot_place(place: &[u8]) -> Option<(BucketId, u64)> {
    let (id, ordinal) = place.split_at_checked(16)?;
    let ordinal = u64::from_be_bytes(ordinal.try_into().ok()?);
    Some((BucketId(Id::from_slice(id)?), ordinal))
}

/// The bucket, key and id of an upload's row key.
pub(crate) fn split_upload(row_key: &[u8]) -> Option<(BucketId, Key, UploadId)> {
    let (bucket, rest) = split_id(row_key)?;
    let (key, id) = unescaped(rest)?;
    Some((BucketId(bucket), key, UploadId(Id::from_slice(id)?)))
}

/// The upload and number of a part's row key.
pub(crate) fn split_part(row_key: &[u8]) -> Option<(UploadId, u32)> {
    let (id, number) = split_id(row_key)?;
    Some((UploadId(id), u32::from_be_bytes(number.try_into().ok()?)))
}

/// The layer and offset of an extent's row key.
pub(crate) fn split_extent(row_key: &[u8]) -> Option<(LayerId, u64)> {
    let (id, offset) = split_id(row_key)?;
    Some((LayerId(id), u64::from_be_bytes(offset.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_documented_bytes() {
        let id = Id([7; 16]);
        let account_id = AccountId::parse("ab").unwrap();
        let name = BucketName::parse("photos").unwrap();
        let seven = [7u8; 16];
        assert_eq!(&setting("x")[..], b"\x01x");
        assert_eq!(&account(&account_id)[..], b"\x10ab");
        assert_eq!(&bucket_name(&name)[..], b"\x20photos");
        assert_eq!(&account_bucket(&account_id, &name)[..], b"\x22ab\0photos");
        assert_eq!(bucket(BucketId(id))[..], [&[0x21][..], &seven].concat());
        let k = object(BucketId(id), &Key::parse("a/b").unwrap());
        assert_eq!(k[..], [&[0x30][..], &seven, b"a/b"].concat());
        assert_eq!(
            split_object(&k),
            Some((BucketId(id), Key::parse("a/b").unwrap()))
        );
        assert_eq!(object_id(ObjectId(id))[..], [&[0x33][..], &seven].concat());
        let odd = Key::parse("a\0b").unwrap();
        let v = version(BucketId(id), &odd, 1);
        let ordinal = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe];
        let escaped = b"a\0\xffb\0\x01";
        assert_eq!(v[..], [&[0x31][..], &seven, escaped, &ordinal].concat());
        assert_eq!(split_version(&v), Some((BucketId(id), odd.clone(), 1)));
        assert_eq!(history_row(&place(&v)), v);
        assert!(version(BucketId(id), &odd, 2) < v);
        let v = version_id(VersionId(id));
        assert_eq!(v[..], [&[0x34][..], &seven].concat());
        let n = null_version(BucketId(id), &odd);
        assert_eq!(n[..], [&[0x35][..], &seven, escaped].concat());
        let e = expiry(Timestamp(258), BucketId(id), &odd);
        let time = [0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(e[..], [&[0x36][..], &time, &seven, b"a\0b"].concat());
        assert_eq!(split_expiry(&e), Some((BucketId(id), odd)));
        assert!(expiries() < e && e < expiries_after(Timestamp(258)));
        assert_eq!(layer(LayerId(id))[..], [&[0x40][..], &seven].concat());
        let e = extent(LayerId(id), 258);
        assert_eq!(
            e[..],
            [&[0x41][..], &seven, &[0, 0, 0, 0, 0, 0, 1, 2]].concat()
        );
        assert_eq!(split_extent(&e), Some((LayerId(id), 258)));
        let u = upload(BucketId(id), &Key::parse("a\0b").unwrap(), UploadId(id));
        assert_eq!(
            u[..],
            [&[0x50][..], &seven, b"a\0\xffb\0\x01", &seven].concat()
        );
        assert!(u.starts_with(&uploads(BucketId(id), "a\0")));
        assert!(u.starts_with(&uploads_of(BucketId(id), "a\0b")));
        let split = split_upload(&u).unwrap();
        assert_eq!((split.1.as_str(), split.2), ("a\0b", UploadId(id)));
        let p = part(UploadId(id), 258);
        assert_eq!(p[..], [&[0x51][..], &seven, &[0, 0, 1, 2]].concat());
        assert_eq!(split_part(&p), Some((UploadId(id), 258)));
        assert_eq!(completed(UploadId(id))[..], [&[0x52][..], &seven].concat());
        assert_eq!(
            part_changes(UploadId(id))[..],
            [&[0x53][..], &seven].concat()
        );
        assert_eq!(doomed(LayerId(id))[..], [&[0x42][..], &seven].concat());
        let odd = Key::parse("a\0b").unwrap();
        let k = kept(BucketId(id), &odd, 258);
        let ordinal = [0, 0, 0, 0, 0, 0, 1, 2];
        let escaped = b"a\0\xffb\0\x01";
        assert_eq!(k[..], [&[0x32][..], &seven, escaped, &ordinal].concat());
        assert_eq!(split_kept(&k), Some((BucketId(id), odd.clone(), 258)));
        assert!(kept_from(BucketId(id), b"a\0b") < k && k < kept_after(BucketId(id), b"a\0b"));
        assert!(kept_after(BucketId(id), b"a") < k && k < kept_from(BucketId(id), b"a\0c"));
        let s = snapshot(BucketId(id), 258);
        assert_eq!(s[..], [&[0x37][..], &seven, &ordinal].concat());
        assert_eq!(split_ordinal(&s), Some((BucketId(id), 258)));
        let s = sweep(BucketId(id), 258);
        assert_eq!(s[..], [&[0x39][..], &seven, &ordinal].concat());
        let place = snapshot_place(BucketId(id), 258);
        assert_eq!(split_snapshot_place(&place), Some((BucketId(id), 258)));
        assert_eq!(split_snapshot_place(&seven), None);
        let c = since_counter(BucketId(id), 258, Count::Bytes);
        assert_eq!(c[..], [&[0x60, 3][..], &seven, &ordinal, &[2]].concat());
        assert_eq!(split_since(&c), Some((BucketId(id), 258, 2)));
        let c = account_counter(&account_id, Count::Buckets);
        assert_eq!(&c[..], b"\x60\x01ab\0\x03");
        let c = bucket_counter(BucketId(id), Count::Bytes);
        assert_eq!(c[..], [&[0x60, 2][..], &seven, &[2]].concat());
    }
}
