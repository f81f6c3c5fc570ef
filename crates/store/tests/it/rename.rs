//! Renaming objects, and directories as objects.

use crate::fixture::*;
use trestle_access::{Action, Resource};
use trestle_core::*;
use trestle_store::*;

#[tokio::test]
async fn a_renamed_object_is_the_same_elsewhere() {
    let f = Fixture::new().await;
    f.create("c").await.unwrap();
    let max = f.engine.data.body_bytes_max();
    for (size, to) in [
        (9, ("b", "m")),
        (max + 9, ("b", "m")),
        (9, ("c", "k")),
        (3 << 20, ("c", "k")),
    ] {
        let bytes = pattern(size, 7);
        let mut put = a_put("b", "k");
        put.properties.expires = Some(Timestamp(START.0 + 1_000_000_000));
        put.properties.tags.insert("t".into(), "v".into());
        let object = f.put_with(put, &bytes).await.unwrap().object;
        let moved = f.rename(("b", "k"), to).await.unwrap();
        assert!(moved.created);
        assert_eq!(moved.object.key, key(to.1));
        let back = Object {
            key: object.key.clone(),
            ..moved.object.clone()
        };
        assert_eq!(back, object);
        assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
        let found = f.store.find_by_id(object.id).await.unwrap();
        assert_eq!(found, (name(to.0), key(to.1)));
        let here = (u64::from(to.0 == "b"), u64::from(to.0 == "c"));
        assert_eq!(f.usage("b").await, (here.0, here.0 * size as u64));
        assert_eq!(f.usage("c").await, (here.1, here.1 * size as u64));
        assert_eq!(f.account_usage().await.objects, 1);
        f.assert_sound().await;
        let there = f.rename(to, ("b", "k")).await.unwrap();
        assert_eq!(there.object, object);
        assert_eq!(f.read("k").await.unwrap(), bytes);
        f.assert_sound().await;
        f.delete("k").await.unwrap();
    }
    assert_eq!(f.rows(0x36).await, []);
}

#[tokio::test]
async fn a_rename_replaces_only_what_keeps_no_versions() {
    let f = Fixture::new().await;
    let object = f.put("k", &pattern(3 << 20, 1)).await.unwrap().object;
    f.put("m", &pattern(3 << 20, 2)).await.unwrap();
    let guarded = RenameObject {
        bucket: name("b"),
        key: key("k"),
        to_bucket: name("b"),
        to_key: key("m"),
        precondition: Precondition::none(),
        target: Precondition::absent(),
        tag_of: tag,
    };
    let failed = ErrorKind::PreconditionFailed;
    assert_eq!(kind(f.rename_with(&guarded).await), failed);
    let moved = f.rename(("b", "k"), ("b", "m")).await.unwrap();
    assert!(!moved.created);
    assert_eq!(moved.object.id, object.id);
    assert_eq!(f.rows(0x40).await.len(), 1);
    assert_eq!(f.rows(0x33).await.len(), 1);
    f.assert_sound().await;
    let itself = f.rename(("b", "m"), ("b", "m")).await;
    assert_eq!(kind(itself), ErrorKind::InvalidInput);
    let missing = f.rename(("b", "k"), ("b", "n")).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    // What is protected neither moves nor is replaced.
    f.put("n", b"n").await.unwrap();
    f.update("n", VersionRef::Current, &[Action::WriteLegalHold], &|p| {
        p.legal_hold = true;
        Ok(())
    })
    .await
    .unwrap();
    for (from, to) in [("m", "n"), ("n", "o")] {
        let refused = f.rename(("b", from), ("b", to)).await;
        assert_eq!(kind(refused), ErrorKind::Locked);
    }
    // History comes along, and is not mixed.
    f.versioning(Versioning::Enabled).await.unwrap();
    let first = f.head("m").await.unwrap();
    f.put("m", b"second").await.unwrap();
    f.put("other", b"x").await.unwrap();
    let mixed = f.rename(("b", "m"), ("b", "other")).await;
    assert_eq!(kind(mixed), ErrorKind::InvalidState);
    f.rename(("b", "m"), ("b", "moved")).await.unwrap();
    assert_eq!(f.read("moved").await.unwrap(), b"second");
    let version = VersionRef::Id(first.version);
    assert_eq!(
        f.read_version("moved", version).await.unwrap(),
        pattern(3 << 20, 1)
    );
    let null = f.head_version("moved", VersionRef::Null).await.unwrap();
    assert_eq!(null.version, first.version);
    f.assert_sound().await;
    f.create("plain").await.unwrap();
    let refused = f.rename(("b", "moved"), ("plain", "moved")).await;
    assert_eq!(kind(refused), ErrorKind::InvalidState);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_rename_needs_both_rights_and_the_room() {
    let f = Fixture::new().await;
    f.create("c").await.unwrap();
    f.put("k", b"12345").await.unwrap();
    let rename = RenameObject {
        bucket: name("b"),
        key: key("k"),
        to_bucket: name("c"),
        to_key: key("k"),
        precondition: Precondition::none(),
        target: Precondition::none(),
        tag_of: tag,
    };
    let delete = on_object(Action::DeleteObject, "b", "k");
    let write = on_object(Action::WriteObject, "c", "k");
    for some in [vec![], vec![delete.clone()], vec![write.clone()]] {
        let refused = f.store.rename(&some, &rename).await;
        assert_eq!(kind(refused), ErrorKind::Forbidden);
    }
    let quota = |bytes| {
        let f = &f;
        async move {
            let grants = [on_bucket(Action::WriteBucketQuota, "c")];
            f.store
                .update_bucket(&grants, &name("c"), &|bucket| {
                    bucket.quota.bytes = Some(bytes);
                    Ok(())
                })
                .await
                .unwrap();
        }
    };
    quota(4).await;
    let grants = [delete, write];
    let refused = f.store.rename(&grants, &rename).await;
    assert_eq!(kind(refused), ErrorKind::QuotaExceeded);
    quota(5).await;
    // Of the account nothing changes, so its quota is not in the way.
    let of_account = grant(Action::WriteAccount, Resource::Account(account()));
    f.store
        .update_account(&of_account, &account(), &|account| {
            account.quota.bytes = Some(5);
            Ok(())
        })
        .await
        .unwrap();
    f.store.rename(&grants, &rename).await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn a_directory_is_an_object_without_bytes() {
    let f = Fixture::new().await;
    let made = f.make_directory("d/").await.unwrap();
    assert!(made.created);
    assert_eq!(made.object.content, Content::Directory);
    assert_eq!(
        kind(f.make_directory("d/").await),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(f.head("d/").await.unwrap(), made.object);
    assert_eq!(f.read("d/").await.unwrap(), b"");
    assert_eq!(f.usage("b").await, (1, 0));
    f.put("d", b"beside").await.unwrap();
    f.put("d/x", b"below").await.unwrap();
    f.assert_sound().await;
    f.rename(("b", "d/"), ("b", "e/")).await.unwrap();
    assert_eq!(f.head("e/").await.unwrap().id, made.object.id);
    f.delete("e/").await.unwrap();
    f.assert_sound().await;
}
