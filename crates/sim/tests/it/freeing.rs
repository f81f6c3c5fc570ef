//! The machine stops between the commit that leaves a layer to be freed and the end of the freeing.

use crate::TURN;
use crate::machine::Machine;
use bytes::Bytes;
use futures::StreamExt;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use trestle_access::{Action, Asked, Facts, Grant, Principal, Resource, decide};
use trestle_core::{
    AccountId, BucketName, ByteRange, ErrorKind, Key, Noun, Precondition, ResolvedRange, Result,
};
use trestle_engine::Scan;
use trestle_engine_embedded::Settings;
use trestle_host::SeededRandom;
use trestle_store::{
    BodyChecks, ComposeObject, DeleteObject, Object, ObjectBytes, ObjectProperties, PutObject,
    ReadObject, SOURCES_MAX, Source, Store, VersionRef,
};

/// How the machine ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    PowerLoss,
}

/// A store on a machine that stops.
pub(crate) struct Stopping {
    pub(crate) machine: Machine,
    store: Option<Arc<Store>>,
}

pub(crate) fn bucket() -> Result<BucketName> {
    BucketName::parse("b")
}

pub(crate) fn granted(action: Action, resource: Resource) -> Result<Grant> {
    let asked = Asked {
        principal: Arc::new(Principal::root(AccountId::parse("root")?, "root")),
        action,
        resource,
        context: Arc::default(),
    };
    let decided = decide(asked, &Facts::default())?;
    Ok(decided.unwrap_or_else(|| panic!("root needs no object to be decided on")))
}

pub(crate) fn on_object(action: Action, key: &str) -> Result<Grant> {
    granted(action, Resource::Object(bucket()?, Key::parse(key)?))
}

pub(crate) async fn put(store: &Store, key: &str, bytes: Vec<u8>) -> Result<()> {
    let put = PutObject {
        encrypt: None,
        bucket: bucket()?,
        key: Key::parse(key)?,
        precondition: Precondition::none(),
        tag_of: Object::revision,
        properties: ObjectProperties::default(),
        checks: BodyChecks::default(),
        checksum: None,
    };
    let grant = on_object(Action::WriteObject, key)?;
    let body = futures::stream::iter([Ok(Bytes::from(bytes))]);
    store.put(&grant, put, body).await.map(drop)
}

pub(crate) async fn delete(store: &Store, key: &str) -> Result<()> {
    let none = Precondition::none();
    let delete = DeleteObject::current(bucket()?, Key::parse(key)?, none, Object::revision);
    let grant = on_object(Action::DeleteObject, key)?;
    store.delete(&[grant], delete).await.map(drop)
}

/// An object `many` whose layer has very many rows that refer to the layer of `one`.
async fn many_rows(store: &Store) -> Result<()> {
    let name = bucket()?;
    let create = granted(Action::CreateBucket, Resource::Bucket(name.clone()))?;
    store.create_bucket(&create, &name).await?;
    put(store, "one", vec![7; 200_000]).await?;
    let source = |first: u64| -> Result<Source> {
        Ok(Source {
            key_of_client: None,
            itself: false,
            bucket: bucket()?,
            key: Key::parse("one")?,
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of: Object::revision,
            range: Some(ByteRange::From(first)),
        })
    };
    let sources: Result<Vec<Source>> = (0..SOURCES_MAX as u64).map(source).collect();
    let compose = ComposeObject {
        sources: sources?,
        bucket: bucket()?,
        key: Key::parse("many")?,
        precondition: Precondition::none(),
        tag_of: Object::revision,
        properties: ObjectProperties::default(),
    };
    let read = on_object(Action::ReadObject, "one")?;
    let grants = vec![read; SOURCES_MAX];
    let write = on_object(Action::WriteObject, "many")?;
    store.compose(&grants, &write, compose).await.map(drop)
}

impl Stopping {
    pub(crate) fn new() -> Self {
        let mut stopping = Stopping {
            machine: Machine::new(Settings::default()),
            store: None,
        };
        stopping.open();
        stopping
    }

    fn open(&mut self) {
        let engine = self.machine.engine().clone();
        let host = self.machine.host.clone();
        let root = AccountId::parse("root").unwrap_or_else(|error| panic!("{error}"));
        let opened = self.run(Store::open(engine, host, root, None));
        self.store = Some(opened.unwrap_or_else(|error| panic!("{error}")));
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let ran = self.machine.spawn.run(work);
        ran.unwrap_or_else(|| panic!("the store stands still"))
    }

    pub(crate) fn store(&self) -> Arc<Store> {
        let store = self.store.clone();
        store.unwrap_or_else(|| panic!("the store was not opened"))
    }

    fn restart(&mut self, end: End, seed: u64) {
        self.store = None;
        match end {
            End::Kill => self.machine.disk.kill(),
            End::PowerLoss => self.machine.disk.crash(&SeededRandom::new(seed)),
        }
        self.machine.spawn.kill();
        self.machine.disk.stop_after(None);
        self.machine.start();
        self.open();
    }

    /// The rows of a table.
    pub(crate) fn rows(&self, table: u8) -> usize {
        let meta = self.machine.engine().meta.clone();
        let rows = self.run(async move {
            let read = meta.snapshot().await?;
            let scan = Scan::prefix(vec![table], 10_000);
            read.scan(&scan).await.map(|rows| rows.len())
        });
        rows.unwrap_or_else(|error| panic!("{error}"))
    }

    fn assert_sound(&self, place: &str) {
        let store = self.store();
        let mut findings = Vec::new();
        let checked = self.run(store.check(&mut |found| findings.push(found.to_string())));
        assert!(checked.is_ok(), "{place}");
        assert!(findings.is_empty(), "{place}: {findings:?}");
    }
}

#[test]
fn a_layer_that_was_being_read_goes_after_the_start() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (end, seed) in [(End::Kill, 1), (End::PowerLoss, 2)] {
        let mut stopping = Stopping::new();
        let store = stopping.store();
        let reading = stopping.run(async {
            many_rows(&store).await?;
            put(&store, "k", vec![1; 3 << 20]).await?;
            let read = ReadObject {
                bucket: bucket()?,
                key: Key::parse("k")?,
                version: VersionRef::Current,
            };
            let grant = on_object(Action::ReadObject, "k")?;
            let reader = store.open_object(&grant, &read).await?;
            let (start, end) = (0, reader.object().length());
            let bytes = reader.into_bytes(ResolvedRange { start, end }).await?;
            delete(&store, "k").await?;
            Ok::<ObjectBytes, trestle_core::Error>(bytes)
        });
        assert!(reading.is_ok());
        assert_eq!(stopping.rows(0x42), 1);
        drop((reading, store));
        stopping.restart(end, seed);
        let layers = stopping.rows(0x40);
        assert_eq!(stopping.rows(0x42), 1);
        stopping.assert_sound("after the start");
        assert!(stopping.run(stopping.store().tidy()).is_ok());
        assert_eq!((stopping.rows(0x42), stopping.rows(0x40)), (0, layers - 1));
        stopping.assert_sound("after freeing");
    }
}

/// Polls `work` so many times, then drops it.
async fn give_up_after<T>(work: impl Future<Output = T>, mut polls: usize) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = work.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        Poll::Pending
    })
    .await
}

async fn read(store: &Store, key: &str) -> Result<Vec<u8>> {
    let object = ReadObject {
        bucket: bucket()?,
        key: Key::parse(key)?,
        version: VersionRef::Current,
    };
    let grant = on_object(Action::ReadObject, key)?;
    let reader = store.open_object(&grant, &object).await?;
    let (start, end) = (0, reader.object().length());
    let mut bytes = Vec::new();
    match reader.into_bytes(ResolvedRange { start, end }).await? {
        ObjectBytes::Whole(whole) => bytes.extend_from_slice(&whole),
        ObjectBytes::Stream(mut stream) => {
            while let Some(chunk) = stream.next().await {
                bytes.extend_from_slice(&chunk?);
            }
        }
    }
    Ok(bytes)
}

#[test]
fn a_verb_that_is_given_up_in_its_commit_harms_no_reader() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut given_up, mut gone) = (0, 0);
    for polls in 0..12 {
        let stopping = Stopping::new();
        let store = stopping.store();
        let bytes = vec![1; 3 << 20];
        let made = stopping.run(async {
            many_rows(&store).await?;
            put(&store, "k", bytes.clone()).await
        });
        assert!(made.is_ok(), "{made:?}");
        let outcome = stopping.run(async {
            let deleted = give_up_after(delete(&store, "k"), polls).await;
            (deleted.is_none(), read(&store, "k").await)
        });
        given_up += usize::from(outcome.0);
        match outcome.1 {
            Ok(read) => assert!(read == bytes, "after {polls} polls"),
            Err(error) => {
                let missing = ErrorKind::NotFound(Noun::Object);
                assert_eq!(error.kind(), missing, "after {polls} polls: {error}");
                gone += 1;
            }
        }
        stopping.machine.spawn.settle();
        assert!(stopping.run(store.tidy()).is_ok());
        assert_eq!(stopping.rows(0x42), 0, "after {polls} polls");
        stopping.assert_sound(&format!("after {polls} polls"));
    }
    assert!(given_up > 0 && gone > 0, "{given_up} given up, {gone} gone");
}

#[test]
fn freeing_may_be_stopped_anywhere() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut unfinished = 0;
    for (end, seed) in [(End::Kill, 1), (End::PowerLoss, 2)] {
        for after in 0..14 {
            let mut stopping = Stopping::new();
            let store = stopping.store();
            let made = stopping.run(many_rows(&store));
            assert!(made.is_ok(), "{made:?}");
            assert_eq!(stopping.rows(0x41), 1 + SOURCES_MAX);
            stopping.machine.disk.stop_after(Some(after));
            let deleted = stopping.run(delete(&store, "many")).is_ok();
            drop(store);
            let place = format!("{end:?} after {after}");
            stopping.restart(end, seed + after);
            stopping.assert_sound(&place);
            unfinished += stopping.rows(0x42);
            // The freeing goes on, and is stopped again.
            stopping.machine.disk.stop_after(Some(after / 2));
            let _stopped = stopping.run(stopping.store().tidy());
            stopping.restart(end, seed + after);
            stopping.assert_sound(&format!("{place}, and again"));
            let gone = stopping.run(delete(&stopping.store(), "many"));
            assert!(gone.is_err() || !deleted, "{place}");
            assert!(stopping.run(stopping.store().tidy()).is_ok());
            assert_eq!(
                (stopping.rows(0x42), stopping.rows(0x40)),
                (0, 1),
                "{place}"
            );
            assert!(stopping.run(delete(&stopping.store(), "one")).is_ok());
            assert_eq!(
                (stopping.rows(0x40), stopping.rows(0x41)),
                (0, 0),
                "{place}"
            );
            stopping.assert_sound(&format!("{place}, at the end"));
        }
    }
    assert!(unfinished > 0, "the freeing was never stopped");
}
