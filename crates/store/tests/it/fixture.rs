//! A store over the in-memory engine, and short spellings of its verbs.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use trestle_access::{Action, Asked, Facts, Grant, Principal, Resource, Seen, decide};
use trestle_core::*;
use trestle_engine::data::READ_BYTES_MAX;
use trestle_engine::{
    BodyRef, Commit, Committed, Data, DataWriter, Engine, Meta, MetaRead, Scan, ScanItem, Token,
    Written,
};
use trestle_host::{Host, ManualClock};
use trestle_store::*;

pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000);

pub(crate) struct Fixture {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    held: Arc<Held>,
    turns: Arc<Turns>,
}

pub(crate) fn name(text: &str) -> BucketName {
    BucketName::parse(text).unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub(crate) fn account() -> AccountId {
    AccountId::parse("root-account").unwrap()
}

pub(crate) fn grant(action: Action, resource: Resource) -> Grant {
    let asked = Asked {
        principal: Arc::new(Principal::root(account(), "root")),
        action,
        resource,
        context: Arc::default(),
    };
    // Of no facts, and of no object: each verb decides it again on what it finds.
    let facts = Facts {
        object: Seen::Absent,
        ..Facts::default()
    };
    decide(asked, &facts).unwrap().unwrap()
}

pub(crate) fn on_bucket(action: Action, bucket: &str) -> Grant {
    grant(action, Resource::Bucket(name(bucket)))
}

pub(crate) fn on_object(action: Action, bucket: &str, k: &str) -> Grant {
    grant(action, Resource::Object(name(bucket), key(k)))
}

pub(crate) fn tag(object: &Object) -> String {
    object.revision()
}

pub(crate) fn a_put(bucket: &str, k: &str) -> PutObject {
    PutObject {
        encrypt: None,
        bucket: name(bucket),
        key: key(k),
        precondition: Precondition::none(),
        tag_of: tag,
        properties: ObjectProperties::default(),
        checks: BodyChecks::default(),
        checksum: None,
    }
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed)
        .collect()
}

/// A body in chunks of an odd size.
pub(crate) fn body(
    bytes: &[u8],
) -> impl futures::Stream<Item = Result<Bytes>> + Send + Unpin + use<> {
    let chunks: Vec<_> = bytes
        .chunks(10_007)
        .map(|c| Ok(Bytes::copy_from_slice(c)))
        .collect();
    futures::stream::iter(chunks)
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

pub(crate) fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

impl Fixture {
    /// The machine of the store.
    pub(crate) fn store_host(&self) -> Host {
        Host {
            clock: self.clock.clone(),
            ..Host::real()
        }
    }

    /// A store with one bucket, `b`.
    pub(crate) async fn new() -> Fixture {
        let clock = Arc::new(ManualClock::at(START));
        let host = Host {
            clock: clock.clone(),
            ..Host::real()
        };
        let engine = trestle_engine::memory::engine();
        let held = Arc::new(Held {
            data: engine.data,
            tokens: Arc::default(),
        });
        let turns = Arc::new(Turns {
            meta: engine.meta,
            first: Mutex::default(),
        });
        let engine = Engine {
            meta: turns.clone(),
            data: held.clone(),
            pins: engine.pins,
        };
        let store = Store::open(engine.clone(), host, account(), Some(master()))
            .await
            .unwrap();
        let fixture = Fixture {
            store,
            engine,
            clock,
            held,
            turns,
        };
        fixture.create("b").await.unwrap();
        fixture
    }

    /// Has this done between what the next verb reads and what it then commits.
    pub(crate) fn before_next_commit(&self, first: impl Future<Output = ()> + Send + 'static) {
        *self.turns.first.lock().unwrap() = Some(Box::pin(first));
    }

    /// Whether it was done.
    pub(crate) fn was_done(&self) -> bool {
        self.turns.first.lock().unwrap().is_none()
    }

    pub(crate) async fn create(&self, bucket: &str) -> Result<Bucket> {
        let grant = on_bucket(Action::CreateBucket, bucket);
        self.store.create_bucket(&grant, &name(bucket)).await
    }

    pub(crate) async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        let grant = on_bucket(Action::DeleteBucket, bucket);
        self.store.delete_bucket(&grant, &name(bucket)).await
    }

    pub(crate) async fn usage(&self, bucket: &str) -> (u64, u64) {
        let grant = on_bucket(Action::ReadBucket, bucket);
        let (_, usage) = self.store.bucket(&grant, &name(bucket)).await.unwrap();
        (usage.objects, usage.bytes)
    }

    pub(crate) async fn account_usage(&self) -> AccountUsage {
        let grant = grant(Action::ListBuckets, Resource::Account(account()));
        self.store.account_usage(&grant, &account()).await.unwrap()
    }

    pub(crate) async fn put_with(&self, put: PutObject, bytes: &[u8]) -> Result<PutOutcome> {
        let resource = Resource::Object(put.bucket.clone(), put.key.clone());
        let grant = grant(Action::WriteObject, resource);
        self.store.put(&grant, put, body(bytes)).await
    }

    pub(crate) async fn put(&self, k: &str, bytes: &[u8]) -> Result<PutOutcome> {
        self.put_with(a_put("b", k), bytes).await
    }

    pub(crate) async fn head(&self, k: &str) -> Result<Object> {
        let grant = on_object(Action::ReadObjectMetadata, "b", k);
        let (b, k) = (name("b"), key(k));
        self.store.head(&grant, &b, &k, VersionRef::Current).await
    }

    pub(crate) async fn open(&self, k: &str) -> Result<ObjectReader> {
        let read = ReadObject {
            bucket: name("b"),
            key: key(k),
            version: VersionRef::Current,
        };
        self.store
            .open_object(&on_object(Action::ReadObject, "b", k), &read)
            .await
    }

    pub(crate) async fn read_range(&self, k: &str, start: u64, end: u64) -> Result<Vec<u8>> {
        let stream = self
            .open(k)
            .await?
            .into_bytes(ResolvedRange { start, end })
            .await?;
        collect(stream).await
    }

    pub(crate) async fn read(&self, k: &str) -> Result<Vec<u8>> {
        let reader = self.open(k).await?;
        let range = ResolvedRange {
            start: 0,
            end: reader.object().length(),
        };
        collect(reader.into_bytes(range).await?).await
    }

    pub(crate) async fn read_in(&self, bucket: &str, k: &str) -> Result<Vec<u8>> {
        let read = ReadObject {
            bucket: name(bucket),
            key: key(k),
            version: VersionRef::Current,
        };
        let grant = on_object(Action::ReadObject, bucket, k);
        let reader = self.store.open_object(&grant, &read).await?;
        let range = ResolvedRange {
            start: 0,
            end: reader.object().length(),
        };
        collect(reader.into_bytes(range).await?).await
    }

    pub(crate) async fn delete_in(&self, bucket: &str, k: &str) -> Result<Object> {
        let delete = DeleteObject::current(name(bucket), key(k), Precondition::none(), tag);
        let outcome = self.delete_with(delete).await?;
        Ok(outcome.removed.unwrap())
    }

    pub(crate) async fn delete_if(&self, k: &str, precondition: Precondition) -> Result<Object> {
        let delete = DeleteObject::current(name("b"), key(k), precondition, tag);
        let outcome = self.delete_with(delete).await?;
        Ok(outcome.removed.unwrap())
    }

    pub(crate) async fn delete_with(&self, delete: DeleteObject) -> Result<DeleteOutcome> {
        let k = delete.key.as_str().to_owned();
        let grants = [Action::DeleteObject, Action::DeleteObjectVersion]
            .map(|action| on_object(action, delete.bucket.as_str(), &k));
        self.store.delete(&grants, delete).await
    }

    /// Deletes a version of a key in `b` for good.
    pub(crate) async fn delete_version(&self, k: &str, version: VersionRef) -> Result<Object> {
        let delete = DeleteObject {
            version,
            ..DeleteObject::current(name("b"), key(k), Precondition::none(), tag)
        };
        let outcome = self.delete_with(delete).await?;
        assert_eq!(outcome.marker, None);
        Ok(outcome.removed.unwrap())
    }

    /// Deletes a key as S3 does; gives the marker.
    pub(crate) async fn mark(&self, k: &str) -> Object {
        let delete = DeleteObject {
            mark_missing: true,
            ..DeleteObject::current(name("b"), key(k), Precondition::none(), tag)
        };
        self.delete_with(delete).await.unwrap().marker.unwrap()
    }

    pub(crate) async fn erase(&self, k: &str) -> Result<DeleteOutcome> {
        let delete = DeleteObject {
            history: History::Erase,
            ..DeleteObject::current(name("b"), key(k), Precondition::none(), tag)
        };
        self.delete_with(delete).await
    }

    pub(crate) async fn head_version(&self, k: &str, version: VersionRef) -> Result<Object> {
        let grant = on_object(Action::ReadObjectVersionMetadata, "b", k);
        self.store.head(&grant, &name("b"), &key(k), version).await
    }

    pub(crate) async fn read_version(&self, k: &str, version: VersionRef) -> Result<Vec<u8>> {
        let read = ReadObject {
            bucket: name("b"),
            key: key(k),
            version,
        };
        let grant = on_object(Action::ReadObjectVersion, "b", k);
        let reader = self.store.open_object(&grant, &read).await?;
        let range = ResolvedRange {
            start: 0,
            end: reader.object().length(),
        };
        collect(reader.into_bytes(range).await?).await
    }

    pub(crate) async fn set_encryption(&self, encryption: Option<Encryption>) -> Result<Bucket> {
        let grants = [on_bucket(Action::WriteBucketEncryption, "b")];
        let change = move |properties: &mut BucketProperties| {
            properties.encryption = encryption.clone();
            Ok(())
        };
        self.store.update_bucket(&grants, &name("b"), &change).await
    }

    /// The bytes that belong to the rows of a table.
    pub(crate) async fn bodies(&self, table: u8) -> Vec<(Bytes, Bytes)> {
        let read = self.engine.meta.snapshot().await.unwrap();
        let scan = Scan::prefix(vec![table], 10_000);
        let mut bodies = Vec::new();
        for item in read.scan(&scan).await.unwrap() {
            if let ScanItem::Row(key, row) = item
                && let Some(body) = row.body
            {
                for start in (0..u64::from(body.length)).step_by(READ_BYTES_MAX as usize) {
                    let end = (start + READ_BYTES_MAX).min(body.length.into());
                    let bytes = self.engine.data.read_body(&body, start..end).await;
                    bodies.push((key.clone(), bytes.unwrap()));
                }
            }
        }
        bodies
    }

    pub(crate) async fn versioning(&self, versioning: Versioning) -> Result<Bucket> {
        let grants = [on_bucket(Action::WriteBucketVersioning, "b")];
        self.store
            .update_bucket(&grants, &name("b"), &|properties| {
                properties.versioning = versioning;
                Ok(())
            })
            .await
    }

    /// Changes `b` with every right.
    pub(crate) async fn update_bucket(&self, change: &ChangeBucket<'_>) -> Result<Bucket> {
        let grants: Vec<_> = Action::ALL
            .iter()
            .map(|action| on_bucket(*action, "b"))
            .collect();
        self.store.update_bucket(&grants, &name("b"), change).await
    }

    /// Changes a version of a key of `b` with these rights.
    pub(crate) async fn update(
        &self,
        k: &str,
        version: VersionRef,
        actions: &[Action],
        change: &ChangeObject<'_>,
    ) -> Result<Object> {
        let grants: Vec<_> = actions
            .iter()
            .map(|action| on_object(*action, "b", k))
            .collect();
        let update = UpdateObject {
            bucket: name("b"),
            key: key(k),
            version,
            precondition: Precondition::none(),
            tag_of: tag,
        };
        self.store.update_object(&grants, &update, change).await
    }

    pub(crate) async fn rename_with(&self, rename: &RenameObject) -> Result<PutOutcome> {
        let on = |action, bucket: &BucketName, key: &Key| {
            let resource = Resource::Object(bucket.clone(), key.clone());
            grant(action, resource)
        };
        let grants = [
            on(Action::DeleteObject, &rename.bucket, &rename.key),
            on(Action::WriteObject, &rename.to_bucket, &rename.to_key),
        ];
        self.store.rename(&grants, rename).await
    }

    pub(crate) async fn rename(&self, from: (&str, &str), to: (&str, &str)) -> Result<PutOutcome> {
        self.rename_with(&RenameObject {
            bucket: name(from.0),
            key: key(from.1),
            to_bucket: name(to.0),
            to_key: key(to.1),
            precondition: Precondition::none(),
            target: Precondition::none(),
            tag_of: tag,
        })
        .await
    }

    pub(crate) async fn make_directory(&self, k: &str) -> Result<PutOutcome> {
        let create = CreateDirectory {
            bucket: name("b"),
            key: key(k),
            precondition: Precondition::absent(),
            tag_of: tag,
            properties: ObjectProperties::default(),
        };
        let grant = on_object(Action::WriteObject, "b", k);
        self.store.create_directory(&grant, &create).await
    }

    pub(crate) async fn list_versions(&self, list: &ListVersions) -> Result<VersionListing> {
        let grant = on_bucket(Action::ListVersions, "b");
        self.store.list_versions(&grant, list).await
    }

    pub(crate) async fn delete(&self, k: &str) -> Result<Object> {
        self.delete_if(k, Precondition::none()).await
    }

    pub(crate) async fn list(&self, list: &ListObjects) -> Result<Listing> {
        self.store
            .list(&on_bucket(Action::ListObjects, "b"), list)
            .await
    }

    pub(crate) async fn check(&self) -> (CheckSummary, Vec<Finding>) {
        let mut findings = Vec::new();
        let summary = self
            .store
            .check(&mut |finding| findings.push(finding))
            .await
            .unwrap();
        assert_eq!(summary.findings, findings.len() as u64);
        (summary, findings)
    }

    pub(crate) async fn assert_sound(&self) -> CheckSummary {
        let (summary, findings) = self.check().await;
        assert_eq!(findings, []);
        summary
    }

    /// Whether every stream that was finished was named by a commit or given up.
    pub(crate) async fn assert_nothing_leaked(&self) {
        let tokens: Vec<Token> = std::mem::take(&mut *self.held.tokens.lock().unwrap());
        for token in tokens {
            let commit = Commit {
                tokens: vec![token],
                ..Commit::default()
            };
            let expired = self.engine.meta.commit(commit).await.unwrap_err();
            assert_eq!(expired.kind(), ErrorKind::Conflict);
        }
    }

    /// All rows of a table.
    pub(crate) async fn rows(&self, table: u8) -> Vec<(Bytes, Bytes)> {
        let read = self.engine.meta.snapshot().await.unwrap();
        let scan = trestle_engine::Scan::prefix(vec![table], 10_000);
        let items = read.scan(&scan).await.unwrap();
        items
            .into_iter()
            .map(|item| match item {
                trestle_engine::ScanItem::Row(key, row) => (key, row.value),
                trestle_engine::ScanItem::Prefix(_) => unreachable!(),
            })
            .collect()
    }
}

pub(crate) async fn collect(bytes: ObjectBytes) -> Result<Vec<u8>> {
    let mut stream = match bytes {
        ObjectBytes::Whole(bytes) => return Ok(bytes.to_vec()),
        ObjectBytes::Stream(stream) => stream,
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

/// A byte store that notes every stream that was finished.
struct Held {
    data: Arc<dyn Data>,
    tokens: Arc<Mutex<Vec<Token>>>,
}

struct HeldWriter {
    writer: Box<dyn DataWriter>,
    tokens: Arc<Mutex<Vec<Token>>>,
}

impl DataWriter for HeldWriter {
    fn append(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.writer.append(bytes)
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        Box::pin(async move {
            let written = self.writer.finish().await?;
            self.tokens.lock().unwrap().push(written.token);
            Ok(written)
        })
    }
}

impl Data for Held {
    fn write(&self, rows: Bytes) -> BoxFuture<'_, Result<Box<dyn DataWriter>>> {
        Box::pin(async move {
            let writer = self.data.write(rows).await?;
            let tokens = self.tokens.clone();
            Ok(Box::new(HeldWriter { writer, tokens }) as Box<dyn DataWriter>)
        })
    }

    fn read_body<'a>(
        &'a self,
        body: &'a BodyRef,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        self.data.read_body(body, range)
    }

    fn redundancy(&self) -> trestle_engine::Redundancy {
        self.data.redundancy()
    }

    fn body_bytes_max(&self) -> usize {
        self.data.body_bytes_max()
    }

    fn abandon(&self, token: Token) {
        self.data.abandon(token);
    }
}

/// Lets something else come first when a commit is about to be applied.
struct Turns {
    meta: Arc<dyn Meta>,
    first: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Meta for Turns {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn MetaRead>>> {
        self.meta.snapshot()
    }

    fn sequence(&self) -> Sequence {
        self.meta.sequence()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed>> {
        Box::pin(async move {
            let first = self.first.lock().unwrap().take();
            if let Some(first) = first {
                first.await;
            }
            self.meta.commit(commit).await
        })
    }

    fn writable(&self) -> Result<()> {
        self.meta.writable()
    }

    fn tidy(&self) -> BoxFuture<'_, Result<()>> {
        self.meta.tidy()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.meta.close()
    }
}
