//! Accounts, and buckets by the names that their accounts know them by.

use crate::fixture::*;
use bytes::Bytes;
use trestle_access::{Action, Resource};
use trestle_core::*;
use trestle_engine::{Commit, Write};
use trestle_store::*;

fn other() -> AccountId {
    AccountId::parse("other").unwrap()
}

fn on_account(action: Action) -> trestle_access::Grant {
    grant(action, Resource::Account(other()))
}

impl Fixture {
    async fn make_other(&self) -> bool {
        let grant = on_account(Action::CreateAccount);
        self.store.create_account(&grant, &other()).await.unwrap()
    }

    async fn create_named(&self, name: &BucketName) -> Result<Bucket> {
        let grant = grant(Action::CreateBucket, Resource::Bucket(name.clone()));
        self.store.create_bucket(&grant, name).await
    }

    async fn remove_named(&self, name: &BucketName) -> Result<()> {
        let grant = grant(Action::DeleteBucket, Resource::Bucket(name.clone()));
        self.store.delete_bucket(&grant, name).await
    }

    async fn find(&self, name: &BucketName) -> Result<Bucket> {
        let grant = grant(Action::ReadBucket, Resource::Bucket(name.clone()));
        let found = self.store.bucket(&grant, name).await?;
        Ok(found.0)
    }

    async fn change(&self, change: &ChangeAccount<'_>) -> Result<Account> {
        let grant = on_account(Action::WriteAccount);
        self.store.update_account(&grant, &other(), change).await
    }
}

#[tokio::test]
async fn an_account_lives_from_create_to_delete() {
    let f = Fixture::new().await;
    let read = on_account(Action::ReadAccount);
    let missing = f.store.account(&read, &other()).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Account));
    assert!(f.make_other().await);
    assert!(!f.make_other().await);
    f.change(&|properties| {
        properties.metadata.insert("color".into(), "red".into());
        properties.quota.bytes = Some(7);
        properties.documents.insert("d".into(), "text".into());
        Ok(())
    })
    .await
    .unwrap();
    let (account, usage) = f.store.account(&read, &other()).await.unwrap();
    assert_eq!(account.properties.metadata["color"], "red");
    assert_eq!(account.properties.quota.bytes, Some(7));
    assert_eq!(account.properties.documents["d"], "text");
    assert_eq!(usage, AccountUsage::default());
    let local = BucketName::in_account(&other(), "x").unwrap();
    f.create_named(&local).await.unwrap();
    let delete = on_account(Action::DeleteAccount);
    let refused = f.store.delete_account(&delete, &other()).await;
    assert_eq!(kind(refused), ErrorKind::NotEmpty);
    f.remove_named(&local).await.unwrap();
    f.store.delete_account(&delete, &other()).await.unwrap();
    let missing = f.store.account(&read, &other()).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Account));
    f.assert_sound().await;
}

#[tokio::test]
async fn a_refused_or_closed_account_changes_nothing() {
    let f = Fixture::new().await;
    f.make_other().await;
    let refused = f.change(&|properties| {
        properties.quota.objects = Some(1);
        Err(Error::invalid("no"))
    });
    assert_eq!(kind(refused.await), ErrorKind::InvalidInput);
    let large = f.change(&|properties| {
        let text = "x".repeat(65 << 10);
        properties.documents.insert("d".into(), text);
        Ok(())
    });
    assert_eq!(kind(large.await), ErrorKind::TooLarge);
    let closed = f.change(&|properties| {
        properties.closed = true;
        Ok(())
    });
    assert_eq!(closed.await.unwrap().properties.quota, Quota::default());
    let name = BucketName::in_account(&other(), "x").unwrap();
    assert_eq!(kind(f.create_named(&name).await), ErrorKind::Forbidden);
    assert!(f.make_other().await);
    f.create_named(&name).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_taken_or_not_global_is_local() {
    let f = Fixture::new().await;
    f.make_other().await;
    let qualified = |name: &str| BucketName::in_account(&other(), name).unwrap();
    // `b` is the fixture's, of another account.
    let b = f.create_named(&qualified("b")).await.unwrap();
    assert_eq!(b.name.as_str(), "other:b");
    assert_eq!(b.owner.account, other());
    for odd in ["rest", "~x", "a:b"] {
        let bucket = f.create_named(&qualified(odd)).await.unwrap();
        assert_eq!(bucket.name, qualified(odd));
    }
    let free = f.create_named(&qualified("free")).await.unwrap();
    assert_eq!(free.name.as_str(), "free");
    assert_eq!(f.find(&name("free")).await.unwrap().id, free.id);
    assert_eq!(f.find(&qualified("free")).await.unwrap().id, free.id);
    assert_ne!(f.find(&name("b")).await.unwrap().id, b.id);
    assert_eq!(f.find(&qualified("b")).await.unwrap().id, b.id);
    for taken in ["free", "b"] {
        let again = f.create_named(&qualified(taken)).await;
        assert_eq!(kind(again), ErrorKind::AlreadyExists(Noun::Bucket));
    }
    let grant = on_account(Action::ListBuckets);
    let list = |after: Option<&str>, until: Option<&str>, reverse| ListBuckets {
        account: other(),
        prefix: String::new(),
        after: after.map(str::to_owned),
        until: until.map(str::to_owned),
        reverse,
        limit: 100,
    };
    for (list, expected) in [
        (list(None, None, false), "a:b b free rest ~x"),
        (list(Some("b"), Some("rest"), false), "free"),
        (list(None, None, true), "~x rest free b a:b"),
        (list(Some("rest"), Some("a:b"), true), "free b"),
    ] {
        let (buckets, next) = f.store.list_buckets(&grant, &list).await.unwrap();
        let names: Vec<_> = buckets.iter().map(|(b, _)| b.name.local()).collect();
        assert_eq!((names.join(" "), next), (expected.into(), None));
    }
    f.assert_sound().await;
    f.remove_named(&qualified("b")).await.unwrap();
    f.remove_named(&qualified("free")).await.unwrap();
    assert!(f.find(&name("b")).await.is_ok());
    assert!(f.find(&name("free")).await.is_err());
    f.assert_sound().await;
}

#[tokio::test]
async fn a_bucket_is_not_given_while_something_is_kept_of_it() {
    let f = Fixture::new().await;
    f.make_other().await;
    let to = Owner {
        account: other(),
        user: "other".to_owned(),
        domain: None,
    };
    let grants = [
        on_bucket(Action::DeleteBucket, "b"),
        on_bucket(Action::WriteBucketOwner, "b"),
        on_account(Action::WriteAccount),
    ];
    let grant = on_bucket(Action::ReadBucket, "b");
    let (bucket, _) = f.store.bucket(&grant, &name("b")).await.unwrap();
    // As a sweep leaves them that was cut off: table, bucket, and what is theirs.
    for table in [0x32, 0x39] {
        let key: Bytes = [&[table][..], bucket.id.0.as_bytes(), &[0; 8]]
            .concat()
            .into();
        let write = |write| Commit {
            writes: vec![write],
            ..Commit::default()
        };
        let (key, value) = (key.clone(), Bytes::from_static(b"x"));
        let put = Write::Put {
            key: key.clone(),
            value,
            body: None,
        };
        f.engine.meta.commit(write(put)).await.unwrap();
        let refused = f.store.give_bucket(&grants, (&name("b"), None), &to).await;
        assert_eq!(kind(refused), ErrorKind::InvalidState, "{table:x}");
        let delete = Write::Delete { key };
        f.engine.meta.commit(write(delete)).await.unwrap();
    }
    f.store
        .give_bucket(&grants, (&name("b"), None), &to)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_account_has_so_many_buckets_and_no_more() {
    let f = Fixture::new().await;
    f.store.set_buckets_per_account(Some(9));
    let create = |number: usize| {
        let (store, bucket) = (f.store.clone(), format!("more{number}"));
        async move {
            let grant = on_bucket(Action::CreateBucket, &bucket);
            store.create_bucket(&grant, &name(&bucket)).await
        }
    };
    // The fixture's own is one of them; all at once, so that each could pass the others by.
    let made = futures::future::join_all((0..20).map(create)).await;
    let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    let kinds: Vec<ErrorKind> = refused.into_iter().map(kind).collect();
    let exceeded = |kind: &ErrorKind| *kind == ErrorKind::QuotaExceeded;
    assert!(kinds.iter().any(exceeded));
    assert!(
        kinds
            .iter()
            .all(|kind| exceeded(kind) || *kind == ErrorKind::Conflict)
    );
    let had = 1 + made.len();
    for number in 20..20 + 9 - had {
        create(number).await.unwrap();
    }
    assert_eq!(kind(create(40).await), ErrorKind::QuotaExceeded);
    assert_eq!(f.account_usage().await.buckets, 9);
    // What exists is still told of as such, and one that goes makes room.
    let taken = made[0].as_ref().unwrap().name.clone();
    let grant = on_bucket(Action::DeleteBucket, taken.as_str());
    f.store.delete_bucket(&grant, &taken).await.unwrap();
    create(41).await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn a_bucket_is_given_with_what_it_counts_for() {
    let f = Fixture::new().await;
    f.make_other().await;
    f.put("k", &pattern(200_000, 1)).await.unwrap();
    f.put("small", b"x").await.unwrap();
    let to = Owner {
        account: other(),
        user: "other".to_owned(),
        domain: None,
    };
    let delete = on_bucket(Action::DeleteBucket, "b");
    let grants = [
        delete.clone(),
        on_account(Action::WriteAccount),
        on_bucket(Action::WriteBucketOwner, "b"),
    ];
    for some in [
        &grants[..2],
        &grants[1..],
        &[grants[0].clone(), grants[2].clone()],
    ] {
        let refused = f.store.give_bucket(some, (&name("b"), None), &to).await;
        assert_eq!(kind(refused), ErrorKind::Forbidden);
    }
    let only = Some(BucketId(Id::default()));
    let refused = f.store.give_bucket(&grants, (&name("b"), only), &to).await;
    assert_eq!(kind(refused), ErrorKind::PreconditionFailed);
    f.store.set_buckets_per_account(Some(0));
    let refused = f.store.give_bucket(&grants, (&name("b"), None), &to).await;
    assert_eq!(kind(refused), ErrorKind::QuotaExceeded);
    f.store.set_buckets_per_account(None);
    let given = f
        .store
        .give_bucket(&grants, (&name("b"), None), &to)
        .await
        .unwrap();
    assert_eq!(given.owner, to);
    assert_eq!(f.account_usage().await, AccountUsage::default());
    let grant = on_account(Action::ReadAccount);
    let (_, usage) = f.store.account(&grant, &other()).await.unwrap();
    assert_eq!((usage.buckets, usage.objects, usage.bytes), (1, 2, 200_001));
    f.assert_sound().await;
    // What is written later is the new account's.
    f.put("later", b"xy").await.unwrap();
    f.delete("k").await.unwrap();
    let (_, usage) = f.store.account(&grant, &other()).await.unwrap();
    assert_eq!((usage.objects, usage.bytes), (2, 3));
    let update = UpdateObject {
        bucket: name("b"),
        key: key("small"),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
    };
    let of = |k| [Action::DeleteObject, Action::WriteObjectOwner].map(|a| on_object(a, "b", k));
    let gives = of("small");
    for some in [&gives[..1], &gives[1..]] {
        let refused = f.store.give_object(some, &update, &to).await;
        assert_eq!(kind(refused), ErrorKind::Forbidden);
    }
    let before = f.head("small").await.unwrap();
    let object = f.store.give_object(&gives, &update, &to).await.unwrap();
    assert_eq!((&object.owner, object.id), (&to, before.id));
    // Within the account it is a change of the owner alone.
    let colleague = Owner {
        user: "colleague".to_owned(),
        ..to
    };
    let given = f.store.give_object(&gives[1..], &update, &colleague).await;
    assert_eq!(given.unwrap().owner, colleague);
    assert_ne!(f.head("small").await.unwrap().revision(), before.revision());
    let none = UpdateObject {
        key: key("none"),
        ..update
    };
    let missing = f
        .store
        .give_object(&of("none"), &none, &object_owner())
        .await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    f.assert_sound().await;
}

fn object_owner() -> Owner {
    Owner {
        account: account(),
        user: "root".to_owned(),
        domain: None,
    }
}
