use crate::fixture::*;
use bytes::Bytes;
use trestle_access::{Action, Resource};
use trestle_core::*;
use trestle_store::ListBuckets;
use trestle_store::VersionRef;

#[tokio::test]
async fn a_bucket_lives_from_create_to_delete() {
    let f = Fixture::new().await;
    let bucket = f.create("photos").await.unwrap();
    assert_eq!(bucket.created, START);
    assert_eq!(bucket.owner.account, account());
    let read = on_bucket(Action::ReadBucket, "photos");
    let (found, usage) = f.store.bucket(&read, &name("photos")).await.unwrap();
    assert_eq!(found, bucket);
    assert_eq!((usage.objects, usage.bytes), (0, 0));
    assert_eq!(
        kind(f.create("photos").await),
        ErrorKind::AlreadyExists(Noun::Bucket)
    );
    assert_eq!(f.account_usage().await.buckets, 2);
    f.delete_bucket("photos").await.unwrap();
    assert_eq!(
        kind(f.delete_bucket("photos").await),
        ErrorKind::NotFound(Noun::Bucket)
    );
    let gone = f.store.bucket(&read, &name("photos")).await;
    assert_eq!(kind(gone), ErrorKind::NotFound(Noun::Bucket));
    assert_eq!(f.account_usage().await.buckets, 1);
    let again = f.create("photos").await.unwrap();
    assert_ne!(again.id, bucket.id);
    f.assert_sound().await;
}

#[tokio::test]
async fn only_an_empty_bucket_is_deleted() {
    let f = Fixture::new().await;
    f.put("k", b"x").await.unwrap();
    assert_eq!(kind(f.delete_bucket("b").await), ErrorKind::NotEmpty);
    f.delete("k").await.unwrap();
    f.delete_bucket("b").await.unwrap();
    assert_eq!(
        kind(f.put("k", b"x").await),
        ErrorKind::NotFound(Noun::Bucket)
    );
    for table in [0x20, 0x21, 0x22, 0x30, 0x33] {
        assert_eq!(f.rows(table).await, []);
    }
    f.assert_sound().await;
}

#[tokio::test]
async fn buckets_are_listed_by_name() {
    let f = Fixture::new().await;
    for n in ["a2", "a1", "c", "a3"] {
        f.create(n).await.unwrap();
    }
    let grant = grant(Action::ListBuckets, Resource::Account(account()));
    let page = async |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(str::to_owned);
        let list = ListBuckets {
            account: account(),
            prefix: prefix.into(),
            after,
            until: None,
            reverse: false,
            limit,
        };
        let (buckets, next) = f.store.list_buckets(&grant, &list).await.unwrap();
        let names: Vec<_> = buckets.iter().map(|(b, _)| b.name.to_string()).collect();
        (names.join(" "), next)
    };
    assert_eq!(page("", None, 100).await, ("a1 a2 a3 b c".into(), None));
    assert_eq!(
        page("a", None, 2).await,
        ("a1 a2".into(), Some("a2".into()))
    );
    assert_eq!(page("a", Some("a2"), 2).await, ("a3".into(), None));
    assert_eq!(page("a", None, 3).await, ("a1 a2 a3".into(), None));
    assert_eq!(page("c", Some("a"), 3).await, ("c".into(), None));
    assert_eq!(page("a", Some("b"), 3).await, (String::new(), None));
    assert_eq!(page("", None, 0).await, (String::new(), None));
    let list = ListBuckets {
        account: account(),
        prefix: String::new(),
        after: None,
        until: None,
        reverse: false,
        limit: 10_001,
    };
    assert_eq!(
        kind(f.store.list_buckets(&grant, &list).await),
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn hidden_buckets_are_found_by_id_and_not_listed() {
    let f = Fixture::new().await;
    let hidden = BucketName::hidden(&account(), "ids").unwrap();
    let before = f.account_usage().await.buckets;
    let of_bucket = |action| grant(action, Resource::Bucket(hidden.clone()));
    let create = of_bucket(Action::CreateBucket);
    let made = f.store.create_bucket(&create, &hidden).await.unwrap();
    assert_eq!(f.store.find_bucket_by_id(made.id).await.unwrap(), hidden);
    let read = of_bucket(Action::ReadBucket);
    assert_eq!(f.store.bucket(&read, &hidden).await.unwrap().0, made);
    let listing = grant(Action::ListBuckets, Resource::Account(account()));
    let list = ListBuckets {
        account: account(),
        prefix: String::new(),
        after: None,
        until: None,
        reverse: false,
        limit: 10,
    };
    let (buckets, _) = f.store.list_buckets(&listing, &list).await.unwrap();
    assert!(
        buckets
            .iter()
            .all(|(bucket, _)| bucket.name.as_str() == "b")
    );
    let missing = f.store.find_bucket_by_id(BucketId(Id([9; 16]))).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Bucket));
    assert_eq!(f.account_usage().await.buckets, before);
    f.assert_sound().await;
    let delete = of_bucket(Action::DeleteBucket);
    f.store.delete_bucket(&delete, &hidden).await.unwrap();
    assert_eq!(f.account_usage().await.buckets, before);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_renamed_bucket_keeps_what_is_in_it() {
    let f = Fixture::new().await;
    let made = f.create("old").await.unwrap();
    let put = a_put("old", "k");
    let object = f.put_with(put, b"x").await.unwrap().object;
    let grants = |from: &str, to: &str| {
        [
            on_bucket(Action::DeleteBucket, from),
            on_bucket(Action::CreateBucket, to),
        ]
    };
    let rename = async |from: &str, to: &str| {
        let grants = grants(from, to);
        f.store.rename_bucket(&grants, &name(from), &name(to)).await
    };
    let taken = ErrorKind::AlreadyExists(Noun::Bucket);
    assert_eq!(kind(rename("old", "b").await), taken);
    assert_eq!(
        kind(rename("none", "x").await),
        ErrorKind::NotFound(Noun::Bucket)
    );
    let renamed = rename("old", "new").await.unwrap();
    assert_eq!((renamed.id, renamed.name), (made.id, name("new")));
    let found = f.store.find_by_id(object.id).await.unwrap();
    assert_eq!(found, (name("new"), key("k")));
    let read = on_bucket(Action::ReadBucket, "old");
    let gone = f.store.bucket(&read, &name("old")).await;
    assert_eq!(kind(gone), ErrorKind::NotFound(Noun::Bucket));
    f.assert_sound().await;
}

#[tokio::test]
async fn a_grant_serves_only_its_action_and_resource() {
    let f = Fixture::new().await;
    let other = on_bucket(Action::CreateBucket, "other");
    assert_eq!(
        kind(f.store.create_bucket(&other, &name("x")).await),
        ErrorKind::Forbidden
    );
    let action = on_bucket(Action::ReadBucket, "x");
    assert_eq!(
        kind(f.store.create_bucket(&action, &name("x")).await),
        ErrorKind::Forbidden
    );
    let head = on_object(Action::ReadObjectMetadata, "b", "k");
    let put = f.store.put(&head, a_put("b", "k"), body(b"x")).await;
    assert_eq!(kind(put), ErrorKind::Forbidden);
    assert_eq!(
        kind(
            f.store
                .head(&head, &name("b"), &key("l"), VersionRef::Current)
                .await
        ),
        ErrorKind::Forbidden
    );
}

#[tokio::test]
async fn settings_are_kept() {
    let f = Fixture::new().await;
    assert_eq!(f.store.setting("enterprise").await.unwrap(), None);
    f.store
        .set_setting("enterprise", "1".into(), true)
        .await
        .unwrap();
    let taken = f.store.set_setting("enterprise", "2".into(), true).await;
    assert_eq!(kind(taken), ErrorKind::Conflict);
    f.store
        .set_setting("enterprise", "3".into(), false)
        .await
        .unwrap();
    assert_eq!(
        f.store.setting("enterprise").await.unwrap(),
        Some("3".into())
    );
    for (expected, new) in [(Some("3"), "4"), (Some("4"), "5")] {
        let change = |former: Option<&Bytes>| {
            assert_eq!(former, expected.map(Bytes::from).as_ref());
            Ok(Bytes::from(new))
        };
        f.store.change_setting("enterprise", &change).await.unwrap();
    }
    let refused = |_: Option<&Bytes>| Err(Error::invalid("no"));
    let refused = f.store.change_setting("new", &refused).await;
    assert_eq!(kind(refused), ErrorKind::InvalidInput);
    assert_eq!(f.store.setting("new").await.unwrap(), None);
    assert_eq!(kind(f.store.setting("").await), ErrorKind::InvalidInput);
    let large = f
        .store
        .set_setting("x", vec![0; 65_537].into(), false)
        .await;
    assert_eq!(kind(large), ErrorKind::TooLarge);
}
