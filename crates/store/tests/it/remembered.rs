//! What is remembered of who asks, and of what, is forgotten with whatever it rests on.

use crate::fixture::*;
use crate::identities::identity;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::{Action, Asked, Principal, Resource, hash_secret};
use trestle_core::*;
use trestle_host::SeededRandom;
use trestle_store::*;

const READ_B: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;

fn hash(password: &str) -> Option<String> {
    Some(hash_secret(password, &SeededRandom::new(1)).unwrap())
}

fn with_password(password: &str) -> NewUser {
    NewUser {
        password_hash: hash(password),
        ..NewUser::default()
    }
}

/// Ann of the store's account, an object, and a policy to read it that she does not have yet.
async fn with_ann() -> (Fixture, Arc<Identities>, AccountId) {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let home = account();
    f.put("k", b"x").await.unwrap();
    f.user(home.as_str(), "ann", with_password("pw"))
        .await
        .unwrap();
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    (f, ids, home)
}

/// Whether a login is right: asked twice, since the second is answered by what the first left.
async fn is_right(ids: &Identities, name: &str, password: &str) -> bool {
    let first = ids.password(name, password, None).await.unwrap();
    let second = ids.password(name, password, None).await.unwrap();
    assert_eq!(first, second, "{name}");
    first.is_some()
}

#[tokio::test]
async fn a_login_ends_with_whatever_it_rests_on() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    f.user("one", "ann", with_password("pw")).await.unwrap();
    assert!(is_right(&ids, "ann", "pw").await && is_right(&ids, "one/ann", "pw").await);
    assert!(!is_right(&ids, "ann", "px").await && !is_right(&ids, "ann", "pw ").await);

    let other = hash("px");
    f.change_user("one", "ann", |user| user.password_hash.clone_from(&other))
        .await
        .unwrap();
    assert!(!is_right(&ids, "ann", "pw").await && !is_right(&ids, "one/ann", "pw").await);
    assert!(is_right(&ids, "ann", "px").await && is_right(&ids, "one/ann", "px").await);

    f.change_user("one", "ann", |user| user.enabled = false)
        .await
        .unwrap();
    assert!(!is_right(&ids, "ann", "px").await);
    let told = ids.member("ann", "px", None).await;
    assert_eq!(kind(told), ErrorKind::Forbidden);
    f.change_user("one", "ann", |user| user.enabled = true)
        .await
        .unwrap();
    assert!(is_right(&ids, "ann", "px").await);

    // A name that two have is nobody's, until one of them goes.
    f.user("two", "ann", with_password("px")).await.unwrap();
    assert!(!is_right(&ids, "ann", "px").await && is_right(&ids, "one/ann", "px").await);
    let one = AccountId::parse("one").unwrap();
    let delete = identity(Action::DeleteUsers, "one", "user/ann");
    f.store.delete_user(&delete, &one, "ann").await.unwrap();
    assert!(is_right(&ids, "ann", "px").await && !is_right(&ids, "one/ann", "px").await);

    // Time alone makes nothing wrong.
    f.clock.advance(Duration::from_secs(3600));
    assert!(is_right(&ids, "ann", "px").await);
}

#[tokio::test]
async fn a_login_has_the_rights_of_now() {
    let (f, ids, home) = with_ann().await;
    let login = || async { ids.password("ann", "pw", None).await.unwrap().unwrap() };
    let reads = || async { f.may(&login().await, Action::ReadObject).await.is_ok() };
    assert!(!reads().await && !reads().await);
    for _ in 0..2 {
        let attach = |user: &mut User| user.policies = vec!["read".to_owned()];
        f.change_user(home.as_str(), "ann", attach).await.unwrap();
        assert!(reads().await && reads().await);
        f.change_user(home.as_str(), "ann", |user| user.policies.clear())
            .await
            .unwrap();
        assert!(!reads().await && !reads().await);
    }
    f.change_user(home.as_str(), "ann", |user| user.admin = true)
        .await
        .unwrap();
    assert!(login().await.admin && reads().await);
}

/// Whoever takes a name gives no rights to who had it before: a request or a job of theirs may still
/// be on its way.
#[tokio::test]
async fn who_was_authenticated_is_not_a_later_user_of_the_name() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let home = account();
    f.put("k", b"x").await.unwrap();
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    let reader = || NewUser {
        policies: vec!["read".to_owned()],
        ..with_password("pw")
    };
    f.user(home.as_str(), "ann", reader()).await.unwrap();
    let former = ids.password("ann", "pw", None).await.unwrap().unwrap();
    assert!(f.may(&former, Action::ReadObject).await.is_ok());
    let delete = identity(Action::DeleteUsers, home.as_str(), "user/ann");
    f.store.delete_user(&delete, &home, "ann").await.unwrap();
    f.clock.advance(Duration::from_secs(1));
    f.user(home.as_str(), "ann", reader()).await.unwrap();
    let later = ids.password("ann", "pw", None).await.unwrap().unwrap();
    assert!(f.may(&later, Action::ReadObject).await.is_ok());
    let refused = f.may(&former, Action::ReadObject).await;
    assert_eq!(kind(refused), ErrorKind::Forbidden);
}

/// Two servers over one engine: what one changes, the other knows at once.
#[tokio::test]
async fn what_another_server_changes_counts_at_once() {
    let f = Fixture::new().await;
    let other = Store::open(f.engine.clone(), f.store_host(), account(), Some(master()))
        .await
        .unwrap();
    let ids = Identities::new(other.clone()).unwrap();
    f.user("one", "ann", with_password("pw")).await.unwrap();
    assert!(is_right(&ids, "ann", "pw").await);
    let ann = ids.password("ann", "pw", None).await.unwrap().unwrap();
    let issue = Issue {
        lifetime: Duration::from_secs(60),
        policies: vec![],
    };
    let token = ids.issue(&ann, &issue).await.unwrap().token;
    let bears = || async { ids.bearer(&token, None).await.unwrap().is_some() };
    assert!(bears().await && bears().await);
    // What is nothing to identities.
    f.put("k", b"x").await.unwrap();
    assert!(bears().await && is_right(&ids, "ann", "pw").await);
    f.change_user("one", "ann", |user| user.password_hash = None)
        .await
        .unwrap();
    assert!(!bears().await && !is_right(&ids, "ann", "pw").await);

    // A bucket's policy, and the bucket.
    let nobody = || Asked {
        principal: Arc::new(Principal::anonymous()),
        action: Action::ReadObject,
        resource: Resource::Object(name("b"), key("k")),
        context: Arc::default(),
    };
    let reads = || async { other.authorize(nobody()).await };
    assert_eq!(kind(reads().await), ErrorKind::Forbidden);
    const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    for policy in [Some(PUBLIC), None, Some(PUBLIC)] {
        let change = move |properties: &mut BucketProperties| {
            properties.policy = policy.map(str::to_owned);
            Ok(())
        };
        f.update_bucket(&change).await.unwrap();
        assert_eq!(reads().await.is_ok(), policy.is_some());
        assert_eq!(reads().await.is_ok(), policy.is_some());
    }
    let granted = reads().await.unwrap();
    let read = ReadObject {
        bucket: name("b"),
        key: key("k"),
        version: VersionRef::Current,
    };
    assert!(other.open_object(&granted, &read).await.is_ok());
    f.delete("k").await.unwrap();
    f.delete_bucket("b").await.unwrap();
    let gone = ErrorKind::NotFound(Noun::Bucket);
    assert_eq!(kind(reads().await), gone);
    assert_eq!(kind(other.open_object(&granted, &read).await), gone);
    // Another one of that name has no policy.
    f.create("b").await.unwrap();
    assert_eq!(kind(reads().await), ErrorKind::Forbidden);
    let stale = other.open_object(&granted, &read).await;
    assert_eq!(kind(stale), ErrorKind::Forbidden);
}

/// Who was known before a change is decided on by what is there after it: by the first decision, which
/// looks, and by the second, which finds what the first has left.
#[tokio::test]
async fn a_decision_without_a_look_is_by_the_newest_commit() {
    let (f, ids, home) = with_ann().await;
    let f = &f;
    let ann = || async { ids.password("ann", "pw", None).await.unwrap().unwrap() };
    let attach = |names: &'static [&str]| {
        let change = move |user: &mut User| {
            user.policies = names.iter().map(|name| (*name).to_owned()).collect();
        };
        f.change_user(home.as_str(), "ann", change)
    };
    let reads = |who: Arc<Principal>| async move {
        let first = f.may(&who, Action::ReadObject).await.is_ok();
        assert_eq!(f.may(&who, Action::ReadObject).await.is_ok(), first);
        first
    };
    attach(&["read"]).await.unwrap();
    let before = ann().await;
    assert!(reads(before.clone()).await);
    // Whatever is nothing to it.
    f.put("other", b"x").await.unwrap();
    assert!(reads(before.clone()).await);
    attach(&[]).await.unwrap();
    assert!(!reads(before.clone()).await && !reads(ann().await).await);
    attach(&["read"]).await.unwrap();
    assert!(reads(before.clone()).await && reads(ann().await).await);
    const WRITE_ONLY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}}"#;
    f.policy(home.as_str(), "read", WRITE_ONLY).await.unwrap();
    assert!(!reads(before.clone()).await && !reads(ann().await).await);
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    let known = ann().await;
    assert!(reads(known.clone()).await);
    f.change_user(home.as_str(), "ann", |user| user.enabled = false)
        .await
        .unwrap();
    assert!(!reads(known).await && !reads(before).await);

    // What the bucket's policy says, and its account's block.
    let nobody = Arc::new(Principal::anonymous());
    const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    let public = |properties: &mut BucketProperties| {
        properties.policy = Some(PUBLIC.to_owned());
        Ok(())
    };
    assert!(!reads(nobody.clone()).await);
    f.update_bucket(&public).await.unwrap();
    assert!(reads(nobody.clone()).await);
    let write = grant(
        Action::WriteAccountPublicAccess,
        Resource::Account(home.clone()),
    );
    for restricted in [true, false] {
        let block = PublicAccessBlock {
            restrict_buckets: restricted,
            ..PublicAccessBlock::default()
        };
        f.store
            .set_account_public_access(&write, &home, block)
            .await
            .unwrap();
        assert_eq!(reads(nobody.clone()).await, !restricted);
    }
}

#[tokio::test]
async fn a_use_of_a_key_is_noted_now_and_then() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    f.user("one", "ann", NewUser::default()).await.unwrap();
    let one = AccountId::parse("one").unwrap();
    let of_ann = |action| {
        grant(
            action,
            Resource::Identity(one.clone(), "user/ann".to_owned()),
        )
    };
    let new = NewAccessKey {
        id: "AK1".to_owned(),
        secret: trestle_access::SecretKey::new("a secret"),
        expires: None,
    };
    f.store
        .create_access_key(&of_ann(Action::CreateKeys), &one, "ann", &new)
        .await
        .unwrap();
    let listed = || async {
        let list = of_ann(Action::ReadKeys);
        let keys = f.store.list_access_keys(&list, &one, "ann").await.unwrap();
        keys[0].used
    };
    // Who looks its secret up has shown nothing yet.
    ids.access_key("AK1", None).await.unwrap().unwrap();
    assert_eq!(listed().await, None);
    let used = || async {
        let (secret, _) = ids.access_key("AK1", None).await.unwrap().unwrap();
        let key = ("AK1", &secret);
        f.store.note_key_use(key, f.store.now()).await;
        listed().await.unwrap()
    };
    assert_eq!(used().await, START);
    f.clock.advance(Duration::from_secs(599));
    assert_eq!(used().await, START);
    f.clock.advance(Duration::from_secs(1));
    let later = Timestamp(START.0 + 600_000_000);
    assert_eq!(used().await, later);
    // What is known of the key is looked up anew, and was used a moment ago all the same.
    f.change_user("one", "ann", |user| user.admin = true)
        .await
        .unwrap();
    f.clock.advance(Duration::from_secs(1));
    assert_eq!(used().await, later);
}
