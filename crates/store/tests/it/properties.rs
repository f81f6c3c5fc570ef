//! Properties of objects: who may change which, what protects, what ends, and how much may be held.

use crate::fixture::*;
use serde_json::json;
use std::time::Duration;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

const CURRENT: VersionRef = VersionRef::Current;

fn hour(n: u64) -> Timestamp {
    Timestamp(START.0 + n * 3_600_000_000)
}

fn advance(f: &Fixture, hours: u64) {
    f.clock.advance(Duration::from_secs(hours * 3600));
}

async fn retain(
    f: &Fixture,
    version: VersionRef,
    retention: Option<Retention>,
    actions: &[Action],
) -> Result<Object> {
    f.update("k", version, actions, &|properties| {
        properties.retention = retention;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_part_needs_its_own_right_and_moves_what_it_should() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max();
    type Change = fn(&mut ObjectProperties);
    let parts: [(Change, Action, bool); 9] = [
        (
            |p| _ = p.metadata.insert("a".into(), json!([1])),
            Action::WriteObjectMetadata,
            true,
        ),
        (
            |p| _ = p.representation.insert("kind".into(), "x".into()),
            Action::WriteObjectAttributes,
            true,
        ),
        (
            |p| p.storage_class = Some("COLD".into()),
            Action::WriteObjectMetadata,
            true,
        ),
        (
            |p| _ = p.tags.insert("t".into(), "v".into()),
            Action::WriteObjectTags,
            false,
        ),
        (|p| p.acl = Some("{}".into()), Action::WriteObjectAcl, false),
        (|p| p.legal_hold = true, Action::WriteLegalHold, false),
        (
            |p| _ = p.documents.insert("x.y".into(), "z".into()),
            Action::WriteObjectDocument,
            false,
        ),
        (
            |p| _ = p.documents.insert("x.fields".into(), "z".into()),
            Action::WriteObjectAttributes,
            false,
        ),
        (|p| p.tags.clear(), Action::DeleteObjectTags, false),
    ];
    for bytes in [pattern(9, 1), pattern(max + 9, 2)] {
        f.put("k", &bytes).await.unwrap();
        for (change, action, moves) in &parts {
            let before = f.head("k").await.unwrap();
            f.clock.advance(Duration::from_secs(1));
            let change = |properties: &mut ObjectProperties| {
                change(properties);
                Ok(())
            };
            let others = [
                Action::ReadObject,
                Action::WriteObjectMetadata,
                Action::WriteObjectAttributes,
                Action::WriteObjectDocument,
            ];
            for other in others.into_iter().filter(|other| other != action) {
                let refused = f.update("k", CURRENT, &[other], &change).await;
                assert_eq!(kind(refused), ErrorKind::Forbidden);
            }
            let after = f.update("k", CURRENT, &[*action], &change).await.unwrap();
            assert_eq!(f.head("k").await.unwrap(), after);
            assert_eq!(after.change, before.change + 1);
            assert_eq!(after.modified != before.modified, *moves);
            assert_eq!(after.version, before.version);
            assert_ne!(after.properties(), before.properties());
            assert_eq!(f.read("k").await.unwrap(), bytes);
        }
        f.assert_sound().await;
        let hold = &[Action::WriteLegalHold];
        let lift = |p: &mut ObjectProperties| {
            p.legal_hold = false;
            Ok(())
        };
        let lifted = f.update("k", CURRENT, hold, &lift).await.unwrap();
        // Nothing to change, nothing changes.
        assert_eq!(f.update("k", CURRENT, hold, &lift).await.unwrap(), lifted);
    }
    let large = f.update("k", CURRENT, &[Action::WriteObjectTags], &|p| {
        _ = p.tags.insert("t".into(), "x".repeat(16 << 10));
        Ok(())
    });
    assert_eq!(kind(large.await), ErrorKind::TooLarge);
    let missing = f.update("m", CURRENT, &[Action::WriteObjectTags], &|_| Ok(()));
    assert_eq!(kind(missing.await), ErrorKind::NotFound(Noun::Object));
}

#[tokio::test]
async fn a_version_in_history_changes_by_rights_of_its_own() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let first = f.put("k", b"one").await.unwrap().object;
    f.put("k", b"two").await.unwrap();
    let version = VersionRef::Id(first.version);
    let tag = |p: &mut ObjectProperties| {
        _ = p.tags.insert("t".into(), "v".into());
        Ok(())
    };
    let refused = f
        .update("k", version, &[Action::WriteObjectTags], &tag)
        .await;
    assert_eq!(kind(refused), ErrorKind::Forbidden);
    let tagged = f
        .update("k", version, &[Action::WriteObjectVersionTags], &tag)
        .await
        .unwrap();
    assert_eq!(f.head_version("k", version).await.unwrap(), tagged);
    assert_eq!(f.read_version("k", version).await.unwrap(), b"one");
    assert_eq!(f.head("k").await.unwrap().tags.len(), 0);
    f.assert_sound().await;
    let marker = f.mark("k").await;
    let refused = f
        .update("k", VersionRef::Id(marker.version), &[], &tag)
        .await;
    assert_eq!(kind(refused), ErrorKind::Forbidden);
    let all = Action::ALL;
    let refused = f
        .update("k", VersionRef::Id(marker.version), all, &tag)
        .await;
    assert_eq!(
        refused.unwrap_err().marker().map(|m| m.version),
        Some(marker.version)
    );
}

/// Every way in which bytes could go, tried on a protected object.
#[tokio::test]
async fn nothing_destroys_what_is_protected() {
    let f = Fixture::new().await;
    let locked = ErrorKind::Locked;
    f.put("k", b"keep").await.unwrap();
    let compliance = Some(Retention {
        mode: RetentionMode::Compliance,
        until: hour(1),
    });
    let governance = Some(Retention {
        mode: RetentionMode::Governance,
        until: hour(1),
    });
    let write = [Action::WriteObjectRetention];
    let bypass = [Action::WriteObjectRetention, Action::BypassRetention];
    // Without versions: overwriting is destroying.
    retain(&f, CURRENT, compliance, &write).await.unwrap();
    assert_eq!(kind(f.put("k", b"x").await), locked);
    assert_eq!(kind(f.delete("k").await), locked);
    assert_eq!(kind(f.erase("k").await), locked);
    for (change, by) in [(None, &bypass[..]), (governance, &bypass[..])] {
        assert_eq!(kind(retain(&f, CURRENT, change, by).await), locked);
    }
    // Once it is over, everything is as ever.
    advance(&f, 2);
    f.put("k", b"new").await.unwrap();
    f.delete("k").await.unwrap();

    f.versioning(Versioning::Enabled).await.unwrap();
    let object = f.put("k", b"keep").await.unwrap().object;
    let version = VersionRef::Id(object.version);
    let until = |hours, mode| {
        Some(Retention {
            mode,
            until: hour(hours),
        })
    };
    let governance = until(10, RetentionMode::Governance);
    retain(&f, CURRENT, governance, &write).await.unwrap();
    // A new version destroys nothing, nor does a marker.
    f.put("k", b"above").await.unwrap();
    f.mark("k").await;
    assert_eq!(kind(f.delete_version("k", version).await), locked);
    assert_eq!(kind(f.erase("k").await), locked);
    assert_eq!(f.list_versions(&everything()).await.unwrap().items.len(), 3);
    let shorter = until(9, RetentionMode::Governance);
    assert_eq!(kind(retain(&f, version, shorter, &write).await), locked);
    assert_eq!(kind(retain(&f, version, None, &write).await), locked);
    let compliance = until(10, RetentionMode::Compliance);
    assert_eq!(kind(retain(&f, version, compliance, &write).await), locked);
    let longer = until(11, RetentionMode::Governance);
    retain(&f, version, longer, &write).await.unwrap();
    retain(&f, version, shorter, &bypass).await.unwrap();
    let grants = [Action::DeleteObjectVersion, Action::BypassRetention]
        .map(|action| on_object(action, "b", "k"));
    let delete = DeleteObject {
        version,
        ..DeleteObject::current(name("b"), key("k"), Precondition::none(), tag)
    };
    // A hold cannot be passed over.
    let hold = |on: bool| {
        let f = &f;
        async move {
            f.update("k", version, &[Action::WriteLegalHold], &|p| {
                p.legal_hold = on;
                Ok(())
            })
            .await
            .unwrap()
        }
    };
    hold(true).await;
    assert_eq!(kind(f.store.delete(&grants, delete.clone()).await), locked);
    hold(false).await;
    f.store.delete(&grants, delete).await.unwrap();
    f.assert_sound().await;
}

fn everything() -> ListVersions {
    ListVersions {
        bucket: name("b"),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 10_000,
    }
}

#[tokio::test]
async fn a_suspended_bucket_does_not_replace_a_protected_null_version() {
    let f = Fixture::new().await;
    f.put("k", b"null").await.unwrap();
    f.versioning(Versioning::Suspended).await.unwrap();
    let retention = Some(Retention {
        mode: RetentionMode::Governance,
        until: hour(1),
    });
    let write = [Action::WriteObjectRetention];
    retain(&f, CURRENT, retention, &write).await.unwrap();
    let delete = DeleteObject::current(name("b"), key("k"), Precondition::none(), tag);
    assert_eq!(kind(f.put("k", b"x").await), ErrorKind::Locked);
    assert_eq!(kind(f.delete_with(delete.clone()).await), ErrorKind::Locked);
    // Nor when it is in history.
    f.versioning(Versioning::Enabled).await.unwrap();
    f.put("k", b"above").await.unwrap();
    f.versioning(Versioning::Suspended).await.unwrap();
    assert_eq!(kind(f.put("k", b"x").await), ErrorKind::Locked);
    assert_eq!(kind(f.delete_with(delete).await), ErrorKind::Locked);
    assert_eq!(
        f.read_version("k", VersionRef::Null).await.unwrap(),
        b"null"
    );
}

/// A bucket's own retention in governance mode is shortened by who may pass over it, and by nobody
/// else; one in compliance mode by nobody.
#[tokio::test]
async fn a_bucket_s_retention_in_governance_mode_is_passed_over_by_right() {
    let f = Fixture::new().await;
    let retain = |retention: Option<Retention>, bypass: bool| {
        let mut actions = vec![Action::WriteBucketRetention];
        actions.extend(bypass.then_some(Action::BypassBucketRetention));
        let grants: Vec<_> = actions
            .iter()
            .map(|action| on_bucket(*action, "b"))
            .collect();
        let store = f.store.clone();
        async move {
            let change = move |bucket: &mut BucketProperties| {
                bucket.retention = retention;
                Ok(())
            };
            store.update_bucket(&grants, &name("b"), &change).await
        }
    };
    let until = |hours, mode| {
        Some(Retention {
            mode,
            until: hour(hours),
        })
    };
    let governance = |hours| until(hours, RetentionMode::Governance);
    retain(governance(10), false).await.unwrap();
    retain(governance(11), false).await.unwrap();
    assert_eq!(kind(retain(governance(9), false).await), ErrorKind::Locked);
    assert_eq!(kind(retain(None, false).await), ErrorKind::Locked);
    let changed = retain(governance(9), true).await.unwrap();
    assert_eq!(changed.properties.retention, governance(9));
    retain(None, true).await.unwrap();
    let compliance = until(10, RetentionMode::Compliance);
    retain(compliance, false).await.unwrap();
    assert_eq!(kind(retain(None, true).await), ErrorKind::Locked);
}

/// That a hold was lifted is known of the version, and of nothing that is made of it.
#[tokio::test]
async fn a_hold_that_was_lifted_is_remembered() {
    let f = Fixture::new().await;
    let hold = |on: bool| {
        let f = &f;
        async move {
            let actions = [Action::WriteLegalHold];
            let set = |p: &mut trestle_store::ObjectProperties| {
                p.legal_hold = on;
                Ok(())
            };
            let object = f.update("k", CURRENT, &actions, &set).await.unwrap();
            (object.legal_hold, object.hold_lifted)
        }
    };
    let object = f.put("k", b"x").await.unwrap().object;
    assert!(!object.hold_lifted);
    assert_eq!(hold(true).await, (true, false));
    assert_eq!(hold(false).await, (false, true));
    let held = f.head("k").await.unwrap();
    assert!(held.hold_lifted && !held.legal_hold);
    assert_eq!(hold(true).await, (true, false));
    assert_eq!(hold(false).await, (false, true));
    assert!(!f.put("k", b"y").await.unwrap().object.hold_lifted);
    // One that never was on is off once that is said, which takes the right to holds.
    let off = |p: &mut trestle_store::ObjectProperties| {
        p.set_hold(Some(false));
        Ok(())
    };
    let unable = f.update("k", CURRENT, &[Action::WriteObjectMetadata], &off);
    assert_eq!(kind(unable.await), ErrorKind::Forbidden);
    let told = f.update("k", CURRENT, &[Action::WriteLegalHold], &off);
    assert!(told.await.unwrap().hold_lifted);
    assert_eq!(f.head("k").await.unwrap().hold(), Some(false));
}

#[tokio::test]
async fn new_versions_get_the_default_retention() {
    let f = Fixture::new().await;
    f.update_bucket(&|bucket| {
        bucket.versioning = Versioning::Enabled;
        bucket.lock = Some(ObjectLock {
            default: Some(DefaultRetention {
                mode: RetentionMode::Governance,
                period: Period::Days(1),
            }),
        });
        Ok(())
    })
    .await
    .unwrap();
    let object = f.put("k", b"x").await.unwrap().object;
    let until = Timestamp(object.modified.0 + 24 * 3_600_000_000);
    let mode = RetentionMode::Governance;
    assert_eq!(object.retention, Some(Retention { mode, until }));
    assert_eq!(f.mark("k").await.retention, None);
    let own = Retention {
        mode: RetentionMode::Compliance,
        until: hour(1),
    };
    let mut put = a_put("b", "k");
    put.properties.retention = Some(own);
    let object = f.put_with(put, b"x").await.unwrap().object;
    assert_eq!(object.retention, Some(own));
}

#[tokio::test]
async fn an_object_ends_when_it_says() {
    let f = Fixture::new().await;
    let ending = |k: &str, hours| {
        let mut put = a_put("b", k);
        put.properties.expires = Some(hour(hours));
        put
    };
    f.put_with(ending("one", 1), b"1").await.unwrap();
    f.put_with(ending("two", 2), &pattern(3 << 20, 1))
        .await
        .unwrap();
    f.put_with(ending("kept", 1), b"3").await.unwrap();
    f.put_with(ending("again", 1), b"4").await.unwrap();
    f.put("never", b"5").await.unwrap();
    f.update("kept", CURRENT, &[Action::WriteLegalHold], &|p| {
        p.legal_hold = true;
        Ok(())
    })
    .await
    .unwrap();
    f.assert_sound().await;
    assert_eq!(f.rows(0x36).await.len(), 4);
    advance(&f, 1);
    let listed = |listing: Listing| -> Vec<String> {
        let name = |item| match item {
            ListingItem::Object(object) => object.key.as_str().to_owned(),
            ListingItem::Prefix(prefix) => prefix,
        };
        listing.items.into_iter().map(name).collect()
    };
    let all = ListObjects {
        bucket: name("b"),
        prefix: String::new(),
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: 100,
    };
    assert_eq!(listed(f.list(&all).await.unwrap()), ["never", "two"]);
    let missing = ErrorKind::NotFound(Noun::Object);
    for k in ["one", "kept"] {
        assert_eq!(kind(f.head(k).await), missing);
        assert_eq!(kind(f.open(k).await), missing);
        assert_eq!(kind(f.delete(k).await), missing);
        assert_eq!(kind(f.head_version(k, VersionRef::Null).await), missing);
        let update = f.update(k, CURRENT, Action::ALL, &|_| Ok(()));
        assert_eq!(kind(update.await), missing);
    }
    // To a write it is as if it were not there.
    let put = PutObject {
        encrypt: None,
        precondition: Precondition::absent(),
        ..a_put("b", "again")
    };
    assert!(f.put_with(put, b"6").await.unwrap().created);
    assert_eq!(f.rows(0x36).await.len(), 3);
    f.assert_sound().await;
    // The job takes what is due and may go.
    assert_eq!(f.store.expire_due(100).await.unwrap(), 1);
    assert_eq!(f.rows(0x36).await.len(), 2);
    assert_eq!(f.store.expire_due(100).await.unwrap(), 0);
    advance(&f, 1);
    f.store.tidy().await.unwrap();
    assert_eq!(listed(f.list(&all).await.unwrap()), ["again", "never"]);
    assert_eq!(f.rows(0x40).await, []);
    f.assert_sound().await;
    // A change of the end moves the row.
    let ends = |hours: Option<u64>| {
        let f = &f;
        async move {
            f.update("never", CURRENT, &[Action::WriteObjectMetadata], &|p| {
                p.expires = hours.map(hour);
                Ok(())
            })
            .await
            .unwrap()
        }
    };
    ends(Some(5)).await;
    ends(Some(6)).await;
    assert_eq!(f.rows(0x36).await.len(), 2);
    f.assert_sound().await;
    ends(None).await;
    assert_eq!(f.rows(0x36).await.len(), 1);
    f.assert_sound().await;
}

#[tokio::test]
async fn an_end_in_a_versioned_bucket_makes_a_marker() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let mut put = a_put("b", "k");
    put.properties.expires = Some(hour(1));
    let object = f.put_with(put.clone(), b"x").await.unwrap().object;
    f.put("k", b"above").await.unwrap();
    // Only what is current ends.
    assert_eq!(f.rows(0x36).await, []);
    let above = f.put_with(put, b"y").await.unwrap().object;
    advance(&f, 1);
    // It stays in history, so whoever names it as a version reads it already.
    assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
    let version = VersionRef::Id(above.version);
    assert_eq!(f.read_version("k", version).await.unwrap(), b"y");
    assert_eq!(f.store.expire_due(1).await.unwrap(), 1);
    let error = f.head("k").await.unwrap_err();
    assert!(error.marker().is_some());
    let version = VersionRef::Id(above.version);
    assert_eq!(f.read_version("k", version).await.unwrap(), b"y");
    f.assert_sound().await;
    // Brought back, it ends again.
    f.delete_version("k", VersionRef::Id(error.marker().unwrap().version))
        .await
        .unwrap();
    assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
    f.assert_sound().await;
    assert_eq!(f.store.expire_due(1).await.unwrap(), 1);
    let version = VersionRef::Id(object.version);
    assert_eq!(f.read_version("k", version).await.unwrap(), b"x");
    f.assert_sound().await;
}

#[tokio::test]
async fn what_has_ended_can_be_had_until_it_is_deleted() {
    let f = Fixture::new().await;
    f.store
        .set_expiry_delay(std::time::Duration::from_secs(7200));
    let mut put = a_put("b", "k");
    put.properties.expires = Some(hour(1));
    let object = f.put_with(put, b"x").await.unwrap().object;
    advance(&f, 2);
    assert_eq!(f.store.expire_due(10).await.unwrap(), 0);
    let missing = ErrorKind::NotFound(Noun::Object);
    let named = f.head_version("k", VersionRef::Id(object.version)).await;
    assert_eq!((kind(f.head("k").await), kind(named)), (missing, missing));
    let grants = [Action::ReadObject, Action::WriteObjectMetadata].map(|a| on_object(a, "b", "k"));
    let ended = ReadObject {
        bucket: name("b"),
        key: key("k"),
        version: VersionRef::Ended,
    };
    let [read, _] = &grants;
    assert_eq!(f.store.open_itself(read, &ended).await.unwrap().length(), 1);
    let refused = DeleteObject {
        version: VersionRef::Ended,
        ..DeleteObject::current(name("b"), key("k"), Precondition::none(), tag)
    };
    assert_eq!(kind(f.delete_with(refused).await), ErrorKind::InvalidInput);
    // Given a later end, it is there again.
    let update = UpdateObject {
        bucket: name("b"),
        key: key("k"),
        version: VersionRef::Ended,
        precondition: Precondition::none(),
        tag_of: tag,
    };
    let later = |properties: &mut ObjectProperties| {
        properties.expires = Some(hour(3));
        Ok(())
    };
    let updated = f.store.update_object(&grants, &update, &later).await;
    assert_eq!(updated.unwrap().version, object.version);
    assert_eq!(f.read("k").await.unwrap(), b"x");
    f.assert_sound().await;
    advance(&f, 2);
    assert_eq!(f.store.expire_due(10).await.unwrap(), 0);
    advance(&f, 1);
    assert_eq!(f.store.expire_due(10).await.unwrap(), 1);
    let gone = f.store.open_itself(read, &ended).await;
    assert_eq!(kind(gone), missing);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_quota_refuses_what_would_pass_it_and_nothing_else() {
    let f = Fixture::new().await;
    let exceeded = ErrorKind::QuotaExceeded;
    let quota = |bytes, objects| {
        let f = &f;
        async move {
            f.update_bucket(&|bucket| {
                bucket.quota = Quota { bytes, objects };
                Ok(())
            })
            .await
            .unwrap()
        }
    };
    quota(Some(100), Some(2)).await;
    f.put("a", &pattern(60, 1)).await.unwrap();
    assert_eq!(kind(f.put("b", &pattern(41, 1)).await), exceeded);
    f.put("b", &pattern(40, 1)).await.unwrap();
    assert_eq!(kind(f.put("c", b"").await), exceeded);
    // Less is always welcome, and so is as much.
    f.put("b", &pattern(40, 2)).await.unwrap();
    assert_eq!(kind(f.put("b", &pattern(41, 2)).await), exceeded);
    f.put("b", &pattern(10, 2)).await.unwrap();
    // A large body is refused before it is read.
    let unread = futures::stream::poll_fn(|_| -> std::task::Poll<Option<Result<bytes::Bytes>>> {
        panic!("the body was read")
    });
    let mut put = a_put("b", "large");
    put.checks.declared_length = Some(1 << 30);
    let write = on_object(Action::WriteObject, "b", "large");
    assert_eq!(kind(f.store.put(&write, put, unread).await), exceeded);
    // A lowered limit stops growth alone.
    quota(Some(5), None).await;
    f.put("b", &pattern(9, 2)).await.unwrap();
    assert_eq!(kind(f.put("b", &pattern(10, 2)).await), exceeded);
    f.delete("a").await.unwrap();
    // Versions count.
    quota(Some(30), None).await;
    f.versioning(Versioning::Enabled).await.unwrap();
    f.put("b", &pattern(20, 3)).await.unwrap();
    assert_eq!(kind(f.put("b", &pattern(2, 3)).await), exceeded);
    f.mark("b").await;
    f.assert_sound().await;
    // Of the account: over all its buckets.
    quota(None, None).await;
    let grant = grant(
        Action::WriteAccount,
        trestle_access::Resource::Account(account()),
    );
    f.store
        .update_account(&grant, &account(), &|account| {
            account.quota.bytes = Some(50);
            Ok(())
        })
        .await
        .unwrap();
    f.create("other").await.unwrap();
    let large = pattern(22, 1);
    let refused = f.put_with(a_put("other", "k"), &large).await;
    assert_eq!(kind(refused), exceeded);
    f.put_with(a_put("other", "k"), &large[..21]).await.unwrap();
    f.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quota_holds_against_writes_at_the_same_time() {
    let f = std::sync::Arc::new(Fixture::new().await);
    f.update_bucket(&|bucket| {
        bucket.quota.objects = Some(20);
        Ok(())
    })
    .await
    .unwrap();
    for i in 0..18 {
        f.put(&format!("first {i}"), b"").await.unwrap();
    }
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let f = f.clone();
            tokio::spawn(async move { f.put(&format!("k{task}"), b"x").await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!((won, f.usage("b").await.0), (2, 20));
}
