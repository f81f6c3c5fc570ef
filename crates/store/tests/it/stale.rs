//! A grant is never older than what it is used on: a right that goes between the decision and the
//! commit is not used, whatever gave it.

use crate::fixture::*;
use crate::identities::{ann, identity};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trestle_access::{
    Acl, AclEntry, Action, Asked, EntryKind, Grant, Grantee, Permission, Principal, Resource, Who,
    bits,
};
use trestle_core::*;
use trestle_store::*;

/// What gives ann a right, and takes it away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    OwnPolicy,
    GroupPolicy,
    /// Her policy stays; she is disabled.
    Herself,
    BucketPolicy,
    BucketAcl,
    /// An ordered list.
    ObjectAcl,
    /// Her policy speaks of objects with a tag.
    ObjectTags,
}

const SOURCES: [Source; 7] = [
    Source::OwnPolicy,
    Source::GroupPolicy,
    Source::Herself,
    Source::BucketPolicy,
    Source::BucketAcl,
    Source::ObjectAcl,
    Source::ObjectTags,
];

const ALL: &str = r#"{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::b/*""#;
const NOTHING: &str = r#"{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}"#;

fn policy(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
}

fn list(of_ann: bool) -> String {
    let entry = |who| AclEntry {
        kind: EntryKind::Allow,
        who,
        flags: 0,
        mask: bits::READ | 0x1f_ffff,
        expires: None,
    };
    let mut entries = vec![entry(Who::Administrator)];
    if of_ann {
        entries.push(entry(Who::User(String::new(), "ann".to_owned())));
    }
    let acl = Acl {
        entries: Some(entries),
        ..Acl::default()
    };
    acl.to_text().unwrap()
}

impl Source {
    /// A store in which ann has the right, or has it not, and an object.
    async fn fixture(self) -> Fixture {
        let f = Fixture::new().await;
        let home = account();
        f.put("k", b"first").await.unwrap();
        let tagged = r#","Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"open"}}"#;
        let of_ann = match self {
            Source::Herself => format!("{ALL}}}"),
            Source::ObjectTags => format!("{ALL}{tagged}}}"),
            _ => NOTHING.to_owned(),
        };
        f.policy(home.as_str(), "mine", &policy(&of_ann))
            .await
            .unwrap();
        f.policy(home.as_str(), "ours", &policy(NOTHING))
            .await
            .unwrap();
        let staff = identity(Action::WriteGroups, home.as_str(), "group/staff");
        let ours = ["ours".to_owned()];
        let made = f.store.create_group(&staff, &home, "staff", &ours).await;
        made.unwrap();
        let new = NewUser {
            policies: vec!["mine".to_owned()],
            groups: vec!["staff".to_owned()],
            ..NewUser::default()
        };
        f.user(home.as_str(), "ann", new).await.unwrap();
        f
    }

    /// Gives the right, or takes it.
    async fn set(self, f: &Fixture, given: bool) {
        let home = account();
        let text = match given {
            true => policy(&format!("{ALL}}}")),
            false => policy(NOTHING),
        };
        match self {
            Source::OwnPolicy => drop(f.policy(home.as_str(), "mine", &text).await.unwrap()),
            Source::GroupPolicy => drop(f.policy(home.as_str(), "ours", &text).await.unwrap()),
            Source::Herself => {
                let changed = f.change_user(home.as_str(), "ann", |user| user.enabled = given);
                changed.await.unwrap();
            }
            Source::BucketPolicy => {
                let principal =
                    format!(r#","Principal":{{"AWS":"arn:aws:iam::{home}:user/ann"}}}}"#);
                let text = given.then(|| policy(&format!("{ALL}{principal}")));
                let change = |p: &mut BucketProperties| {
                    p.policy.clone_from(&text);
                    Ok(())
                };
                f.update_bucket(&change).await.unwrap();
            }
            Source::BucketAcl => {
                let who = || Grantee::User(home.to_string(), "ann".to_owned());
                let acl = Acl::default()
                    .grant(who(), Permission::ReadContents)
                    .grant(who(), Permission::WriteContents);
                let text = given.then(|| acl.to_text().unwrap());
                let change = |p: &mut BucketProperties| {
                    p.acl.clone_from(&text);
                    Ok(())
                };
                f.update_bucket(&change).await.unwrap();
            }
            Source::ObjectAcl => {
                let change = |p: &mut ObjectProperties| {
                    p.acl = Some(list(given));
                    Ok(())
                };
                let updated =
                    f.update("k", VersionRef::Current, &[Action::WriteObjectAcl], &change);
                updated.await.unwrap();
            }
            Source::ObjectTags => {
                let class = if given { "open" } else { "closed" };
                let change = |p: &mut ObjectProperties| {
                    p.tags = [("class".to_owned(), class.to_owned())].into();
                    Ok(())
                };
                let updated = f.update(
                    "k",
                    VersionRef::Current,
                    &[Action::WriteObjectTags],
                    &change,
                );
                updated.await.unwrap();
            }
        }
    }
}

fn update() -> UpdateObject {
    UpdateObject {
        bucket: name("b"),
        key: key("k"),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
    }
}

/// Changes the object's metadata, each time to something else.
async fn annotate(store: &Store, grant: Grant) -> Result<Object> {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let times = TIMES.fetch_add(1, Ordering::Relaxed);
    let change = |p: &mut ObjectProperties| {
        p.metadata = [("times".to_owned(), times.into())].into();
        Ok(())
    };
    store.update_object(&[grant], &update(), &change).await
}

/// A put whose body is still coming; and what ends it.
fn half_a_put(
    f: &Fixture,
    grant: Grant,
) -> (
    futures::channel::mpsc::UnboundedSender<Result<bytes::Bytes>>,
    tokio::task::JoinHandle<Result<PutOutcome>>,
) {
    let (send, receive) = futures::channel::mpsc::unbounded();
    let store = f.store.clone();
    let put = tokio::spawn(async move { store.put(&grant, a_put("b", "k"), receive).await });
    let half = Ok(bytes::Bytes::from_static(b"half"));
    send.unbounded_send(half).unwrap();
    (send, put)
}

async fn grants(f: &Fixture) -> Result<[Grant; 4]> {
    Ok([
        f.may(&ann(), Action::WriteObject).await?,
        f.may(&ann(), Action::WriteObjectMetadata).await?,
        f.may(&ann(), Action::DeleteObject).await?,
        f.may(&ann(), Action::ReadObject).await?,
    ])
}

/// What came of a write under way, a change, a read and a delete, in this order.
async fn used(
    f: &Fixture,
    [_, annotating, deleting, reading]: [Grant; 4],
    put: tokio::task::JoinHandle<Result<PutOutcome>>,
) -> [Option<ErrorKind>; 4] {
    fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }
    let annotated = kind(annotate(&f.store, annotating).await);
    let read = ReadObject {
        bucket: name("b"),
        key: key("k"),
        version: VersionRef::Current,
    };
    let read = kind(f.store.open_object(&reading, &read).await);
    let put = kind(put.await.unwrap());
    let delete = DeleteObject::current(name("b"), key("k"), Precondition::none(), tag);
    let deleted = kind(f.store.delete(&[deleting], delete).await);
    [put, annotated, read, deleted]
}

#[tokio::test]
async fn a_right_that_goes_after_the_decision_is_not_used() {
    for source in SOURCES {
        let f = source.fixture().await;
        source.set(&f, false).await;
        assert!(grants(&f).await.is_err(), "{source:?}");
        source.set(&f, true).await;
        let held = grants(&f).await.unwrap();
        let (send, put) = half_a_put(&f, held[0].clone());
        tokio::task::yield_now().await;
        source.set(&f, false).await;
        let before = f.head("k").await.unwrap();
        drop(send);
        let refused = Some(ErrorKind::Forbidden);
        assert_eq!(used(&f, held, put).await, [refused; 4], "{source:?}");
        let after = f.head("k").await.unwrap();
        assert_eq!(after.revision(), before.revision(), "{source:?}");
    }
}

/// What changes beside the right makes the decision be made again, not be refused.
#[tokio::test]
async fn a_right_that_stays_is_used_whatever_else_changes() {
    for source in SOURCES {
        let f = source.fixture().await;
        source.set(&f, true).await;
        let held = grants(&f).await.unwrap();
        let (send, put) = half_a_put(&f, held[0].clone());
        tokio::task::yield_now().await;
        f.user("away", "bob", NewUser::default()).await.unwrap();
        let change = |p: &mut BucketProperties| {
            p.tags.insert("a".to_owned(), "b".to_owned());
            Ok(())
        };
        f.update_bucket(&change).await.unwrap();
        source.set(&f, true).await;
        // Ended only after the others: it would take the object's tags and ACL along.
        let [_, annotating, deleting, reading] = held.clone();
        let read = ReadObject {
            bucket: name("b"),
            key: key("k"),
            version: VersionRef::Current,
        };
        assert!(annotate(&f.store, annotating).await.is_ok(), "{source:?}");
        assert!(
            f.store.open_object(&reading, &read).await.is_ok(),
            "{source:?}"
        );
        drop(send);
        assert!(put.await.unwrap().is_ok(), "{source:?}");
        source.set(&f, true).await;
        let delete = DeleteObject::current(name("b"), key("k"), Precondition::none(), tag);
        assert!(
            f.store.delete(&[deleting], delete).await.is_ok(),
            "{source:?}"
        );
    }
}

/// Four writers race with whoever takes the right away: once that was acknowledged, nothing changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_written_once_a_right_is_gone() {
    for source in SOURCES {
        let f = Arc::new(source.fixture().await);
        for _ in 0..10 {
            source.set(&f, true).await;
            let written = Arc::new(AtomicU64::new(0));
            let writers =
                (0..4).map(|_| tokio::spawn(write_until_refused(f.clone(), written.clone())));
            let writers: Vec<_> = writers.collect();
            // In the middle of it.
            while written.load(Ordering::SeqCst) < 3 {
                tokio::task::yield_now().await;
            }
            source.set(&f, false).await;
            let gone = f.head("k").await.unwrap();
            for writer in writers {
                assert_eq!(writer.await.unwrap(), ErrorKind::Forbidden, "{source:?}");
            }
            let after = f.head("k").await.unwrap();
            assert_eq!(after.revision(), gone.revision(), "{source:?}");
        }
    }
}

async fn write_until_refused(f: Arc<Fixture>, written: Arc<AtomicU64>) -> ErrorKind {
    loop {
        let done = match f.may(&ann(), Action::WriteObjectMetadata).await {
            Ok(grant) => annotate(&f.store, grant).await.map(drop),
            Err(refused) => Err(refused),
        };
        match done.map_err(|error| error.kind()) {
            Ok(()) => drop(written.fetch_add(1, Ordering::SeqCst)),
            Err(ErrorKind::Conflict) => tokio::task::yield_now().await,
            Err(refused) => return refused,
        }
    }
}

/// A version's list and tags are its own: neither does the current one's give a right to it, nor take one.
#[tokio::test]
async fn a_version_is_decided_on_by_its_own_list() {
    let f = Source::OwnPolicy.fixture().await;
    Source::OwnPolicy.set(&f, true).await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let first = f.put("k", b"one").await.unwrap().object.version;
    let second = f.put("k", b"two").await.unwrap().object.version;
    let (first, second) = (VersionRef::Id(first), VersionRef::Id(second));
    let public = Acl::default().grant(Grantee::Everyone, Permission::Read);
    let public = public.to_text().unwrap();
    for (version, text) in [(first, public), (second, list(false))] {
        let change = |p: &mut ObjectProperties| {
            p.acl = Some(text.clone());
            Ok(())
        };
        let write = [Action::WriteObjectAcl, Action::WriteObjectVersionAcl];
        f.update("k", version, &write, &change).await.unwrap();
    }
    let asked = |principal: Principal, action| Asked {
        principal: Arc::new(principal),
        action,
        resource: Resource::Object(name("b"), key("k")),
        context: Arc::default(),
    };
    let refused = Some(ErrorKind::Forbidden);
    let nobody = || asked(Principal::anonymous(), Action::ReadObjectVersion);
    // Ann's policy gives her neither of the actions on a version.
    let she = || asked(Principal::user(account(), "ann"), Action::ReadObject);
    for (version, of_nobody, of_ann) in [
        (first, None, None),
        (second, refused, refused),
        (VersionRef::Current, refused, refused),
    ] {
        let kind = |granted: Result<Grant>| granted.err().map(|error| error.kind());
        let granted = kind(f.store.authorize_on(nobody(), version).await);
        assert_eq!(granted, of_nobody, "{version:?}");
        let granted = kind(f.store.authorize_on(she(), version).await);
        assert_eq!(granted, of_ann, "{version:?}");
        // By her policy alone, until it is confirmed.
        let grant = f.store.authorize(she()).await.unwrap();
        let confirmed = f.store.confirm_now(&grant, version).await;
        assert_eq!(confirmed.err().map(|error| error.kind()), of_ann);
    }
}
