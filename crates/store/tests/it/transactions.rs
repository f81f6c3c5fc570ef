//! Several verbs in one commit.

use crate::copies::a_copy;
use crate::fixture::*;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

fn put(k: &str, bytes: &[u8], precondition: Precondition) -> Step {
    put_in("b", k, bytes, precondition)
}

fn put_in(bucket: &str, k: &str, bytes: &[u8], precondition: Precondition) -> Step {
    Step::Put {
        grant: on_object(Action::WriteObject, bucket, k),
        put: Box::new(PutObject {
            precondition,
            ..a_put(bucket, k)
        }),
        body: bytes.to_vec().into(),
    }
}

fn delete(k: &str) -> Step {
    let delete = DeleteObject::current(name("b"), key(k), Precondition::none(), tag);
    Step::Delete {
        grants: vec![on_object(Action::DeleteObject, "b", k)],
        delete: Box::new(delete),
    }
}

fn copy(from: &str, to: &str) -> Step {
    Step::Copy {
        source_grant: on_object(Action::ReadObject, "b", from),
        grant: on_object(Action::WriteObject, "b", to),
        copy: Box::new(a_copy(from, "b", to)),
        properties: Box::new(|object: &Object| Ok(object.properties())),
    }
}

fn rename(from: &str, to_bucket: &str, to: &str) -> Step {
    Step::Rename {
        grants: vec![
            on_object(Action::DeleteObject, "b", from),
            on_object(Action::WriteObject, to_bucket, to),
        ],
        rename: Box::new(RenameObject {
            bucket: name("b"),
            key: key(from),
            to_bucket: name(to_bucket),
            to_key: key(to),
            precondition: Precondition::none(),
            target: Precondition::none(),
            tag_of: tag,
        }),
    }
}

fn check(k: &str, precondition: Precondition) -> Step {
    Step::Check {
        grant: on_object(Action::ReadObjectMetadata, "b", k),
        check: Box::new(CheckObject {
            bucket: name("b"),
            key: key(k),
            precondition,
            tag_of: tag,
        }),
    }
}

fn tagged(k: &str, value: &'static str) -> Step {
    Step::Update {
        grants: vec![on_object(Action::WriteObjectTags, "b", k)],
        update: Box::new(UpdateObject {
            bucket: name("b"),
            key: key(k),
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of: tag,
        }),
        change: Box::new(move |properties: &mut ObjectProperties| {
            properties.tags.insert("t".to_owned(), value.to_owned());
            Ok(())
        }),
    }
}

fn matching(object: &Object) -> Precondition {
    Precondition {
        if_match: Some(TagMatch::Tags(vec![Tag {
            opaque: tag(object),
            weak: false,
        }])),
        ..Precondition::none()
    }
}

async fn refused(f: &Fixture, steps: &[Step]) -> (Option<usize>, ErrorKind) {
    let failed = f.store.transact(steps).await.unwrap_err();
    (failed.step, failed.error.kind())
}

#[tokio::test]
async fn all_verbs_take_effect_together() {
    for versioning in [Versioning::Off, Versioning::Enabled, Versioning::Suspended] {
        let f = Fixture::new().await;
        f.create("c").await.unwrap();
        if versioning != Versioning::Off {
            f.versioning(Versioning::Enabled).await.unwrap();
            f.versioning(versioning).await.unwrap();
        }
        let large = pattern(700_000, 3);
        let old = f.put("replaced", &large).await.unwrap().object;
        f.put("deleted", b"gone").await.unwrap();
        let moved = f.put("moved", b"moved").await.unwrap().object;
        f.put("tagged", b"t").await.unwrap();
        let steps = [
            put("new", &pattern(300_000, 1), Precondition::absent()),
            copy("replaced", "kept"),
            put("replaced", b"small", matching(&old)),
            delete("deleted"),
            rename(
                "moved",
                if versioning == Versioning::Off {
                    "c"
                } else {
                    "b"
                },
                "there",
            ),
            tagged("tagged", "x"),
            check("none", Precondition::absent()),
        ];
        let outcomes = f.store.transact(&steps).await.unwrap();
        assert_eq!(outcomes.len(), steps.len());
        assert!(outcomes[0].created && !outcomes[2].created);
        assert_eq!(outcomes[4].object.as_ref().unwrap().id, moved.id);
        assert_eq!(f.read("new").await.unwrap(), pattern(300_000, 1));
        assert_eq!(f.read("kept").await.unwrap(), large);
        assert_eq!(f.read("replaced").await.unwrap(), b"small");
        assert_eq!(
            kind(f.head("deleted").await),
            ErrorKind::NotFound(Noun::Object)
        );
        assert_eq!(f.head("tagged").await.unwrap().tags["t"], "x");
        f.assert_sound().await;
        f.assert_nothing_leaked().await;
    }
}

#[tokio::test]
async fn one_refusal_refuses_all_and_names_itself() {
    let f = Fixture::new().await;
    let old = f.put("a", b"a").await.unwrap().object;
    f.put("a", b"a2").await.unwrap();
    let steps = [
        put("x", &pattern(200_000, 1), Precondition::none()),
        put("a", b"lost", matching(&old)),
    ];
    let wrong = refused(&f, &steps).await;
    assert_eq!(wrong, (Some(1), ErrorKind::PreconditionFailed));
    let steps = [put("x", b"", Precondition::none()), delete("none")];
    let missing = refused(&f, &steps).await;
    assert_eq!(missing, (Some(1), ErrorKind::NotFound(Noun::Object)));
    // Rights are those of each verb.
    let Step::Put {
        put: of_a, body, ..
    } = put("a", b"", Precondition::none())
    else {
        unreachable!()
    };
    let foreign = Step::Put {
        grant: on_object(Action::WriteObject, "b", "x"),
        put: of_a,
        body,
    };
    assert_eq!(
        refused(&f, &[foreign]).await,
        (Some(0), ErrorKind::Forbidden)
    );
    let large = put("x", &vec![0; STEP_BODY_BYTES_MAX + 1], Precondition::none());
    assert_eq!(refused(&f, &[large]).await, (Some(0), ErrorKind::TooLarge));
    assert_eq!(refused(&f, &[]).await, (None, ErrorKind::InvalidInput));
    assert_eq!(f.read("a").await.unwrap(), b"a2");
    assert_eq!(kind(f.head("x").await), ErrorKind::NotFound(Noun::Object));
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn verbs_must_not_meet_what_earlier_ones_change() {
    let f = Fixture::new().await;
    f.put("a", b"a").await.unwrap();
    let none = Precondition::none;
    for steps in [
        vec![put("a", b"1", none()), put("a", b"2", none())],
        vec![put("a", b"1", none()), copy("a", "c")],
        vec![rename("a", "b", "c"), put("c", b"", none())],
        vec![delete("a"), check("a", Precondition::absent())],
        vec![tagged("a", "x"), delete("a")],
    ] {
        assert_eq!(
            refused(&f, &steps).await,
            (Some(1), ErrorKind::InvalidInput)
        );
    }
    let steps = [
        check("a", matching(&f.head("a").await.unwrap())),
        delete("a"),
    ];
    f.store.transact(&steps).await.unwrap();
    assert_eq!(f.usage("b").await, (0, 0));
    f.assert_sound().await;
}

#[tokio::test]
async fn a_thousand_verbs_are_one_commit() {
    let f = Fixture::new().await;
    let before = f.engine.meta.snapshot().await.unwrap().sequence();
    let steps: Vec<Step> = (0..STEPS_MAX)
        .map(|n| put(&format!("k{n}"), &[n as u8; 100], Precondition::absent()))
        .collect();
    let outcomes = f.store.transact(&steps).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.created));
    let after = f.engine.meta.snapshot().await.unwrap().sequence();
    assert_eq!(after.0, before.0 + 1);
    assert_eq!(f.usage("b").await, (1000, 100_000));
    f.assert_sound().await;
    let steps: Vec<Step> = (0..=STEPS_MAX).map(|n| delete(&format!("k{n}"))).collect();
    assert_eq!(refused(&f, &steps).await, (None, ErrorKind::InvalidInput));
    let steps: Vec<Step> = (0..STEPS_MAX).map(|n| delete(&format!("k{n}"))).collect();
    f.store.transact(&steps).await.unwrap();
    assert_eq!(f.usage("b").await, (0, 0));
    f.assert_sound().await;
}

#[tokio::test]
async fn concurrent_transactions_are_in_some_order() {
    let f = std::sync::Arc::new(Fixture::new().await);
    f.put("x", b"0").await.unwrap();
    f.put("y", b"0").await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..8u8 {
        let f = f.clone();
        tasks.push(tokio::spawn(async move {
            let bytes = [b'1' + n];
            let steps = [
                put("x", &bytes, Precondition::none()),
                put("y", &bytes, Precondition::none()),
            ];
            f.store.transact(&steps).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(f.read("x").await.unwrap(), f.read("y").await.unwrap());
    f.assert_sound().await;
}

#[tokio::test]
async fn quotas_hold_for_the_whole() {
    let f = Fixture::new().await;
    f.update_bucket(&|properties| {
        properties.quota.objects = Some(1);
        Ok(())
    })
    .await
    .unwrap();
    let steps = [
        put("a", b"", Precondition::none()),
        put("b", b"", Precondition::none()),
    ];
    assert_eq!(refused(&f, &steps).await, (None, ErrorKind::QuotaExceeded));
    f.create("c").await.unwrap();
    let steps = [
        put("a", b"", Precondition::none()),
        put_in("c", "b", b"", Precondition::none()),
    ];
    f.store.transact(&steps).await.unwrap();
    assert_eq!((f.usage("b").await.0, f.usage("c").await.0), (1, 1));
    f.assert_sound().await;
}
