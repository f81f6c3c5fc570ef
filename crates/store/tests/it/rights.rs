//! Rights on single keys: what moves or goes with others is decided for itself.

use crate::fixture::*;
use std::sync::Arc;
use trestle_access::{Action, Asked, Grant, Principal, Resource};
use trestle_core::*;
use trestle_store::*;

/// A user of the root account with this policy alone.
pub(crate) async fn user(f: &Fixture, who: &str, statements: &str) -> Arc<Principal> {
    let home = account();
    let on = |action, what: String| grant(action, Resource::Identity(home.clone(), what));
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let policy = on(Action::WritePolicies, format!("policy/{who}"));
    let put = f.store.put_policy(&policy, &home, who, &text).await;
    put.unwrap();
    let new = NewUser {
        policies: vec![who.to_owned()],
        ..NewUser::default()
    };
    let write = on(Action::CreateUsers, format!("user/{who}"));
    let made = f.store.create_user(&write, &home, who, &new).await;
    made.unwrap();
    Arc::new(Principal::user(home, who))
}

pub(crate) async fn granted(
    f: &Fixture,
    who: &Arc<Principal>,
    action: Action,
    resource: Resource,
) -> Result<Grant> {
    let asked = Asked {
        principal: who.clone(),
        action,
        resource,
        context: Arc::default(),
    };
    f.store.authorize(asked).await
}

fn object(bucket: &str, k: &str) -> Resource {
    Resource::Object(name(bucket), key(k))
}

async fn rename(
    f: &Fixture,
    who: &Arc<Principal>,
    from: &str,
    to: (&str, &str),
) -> Result<PutOutcome> {
    let grants = [
        granted(f, who, Action::DeleteObject, object("b", from)).await?,
        granted(f, who, Action::WriteObject, object(to.0, to.1)).await?,
    ];
    let rename = RenameObject {
        bucket: name("b"),
        key: key(from),
        to_bucket: name(to.0),
        to_key: key(to.1),
        precondition: Precondition::none(),
        target: Precondition::none(),
        tag_of: tag,
    };
    f.store.rename(&grants, &rename).await
}

async fn rename_tree(
    f: &Fixture,
    who: &Arc<Principal>,
    from: &str,
    to: &str,
) -> Result<TreeOutcome> {
    let grants = [
        granted(f, who, Action::DeleteObject, object("b", from)).await?,
        granted(f, who, Action::WriteObject, object("b", to)).await?,
    ];
    let rename = RenameDirectory {
        bucket: name("b"),
        prefix: key(from),
        to_bucket: name("b"),
        to_prefix: key(to),
    };
    f.store.rename_directory(&grants, &rename).await
}

async fn remove_tree(
    f: &Fixture,
    who: &Arc<Principal>,
    prefix: &str,
    history: History,
) -> Result<TreeOutcome> {
    let mut grants = Vec::new();
    for action in [Action::DeleteObject, Action::DeleteObjectVersion] {
        grants.extend(granted(f, who, action, object("b", prefix)).await.ok());
    }
    let delete = DeleteDirectory {
        bucket: name("b"),
        prefix: key(prefix),
        history,
    };
    f.store.delete_directory(&grants, &delete).await
}

const WRITER: &str =
    r#"{"Effect":"Allow","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"*"}"#;

#[tokio::test]
async fn a_rename_takes_along_only_what_may_be_read_and_history_that_may_go() {
    let f = Fixture::new().await;
    let blind = user(&f, "blind", WRITER).await;
    let reads = format!(r#"{WRITER},{{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#);
    let reader = user(&f, "reader", &reads).await;
    f.put("k", b"one").await.unwrap();
    let refused = ErrorKind::Forbidden;
    assert_eq!(kind(rename(&f, &blind, "k", ("b", "l")).await), refused);
    rename(&f, &reader, "k", ("b", "l")).await.unwrap();
    f.versioning(Versioning::Enabled).await.unwrap();
    f.put("l", b"two").await.unwrap();
    assert_eq!(kind(rename(&f, &reader, "l", ("b", "m")).await), refused);
    let all = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let all = user(&f, "all", all).await;
    rename(&f, &all, "l", ("b", "m")).await.unwrap();
    assert_eq!(f.read("m").await.unwrap(), b"two");
    f.assert_sound().await;
}

/// Who may do everything but this with this key.
fn but(action: &str, k: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Action":"s3:*","Resource":"*"}},
        {{"Effect":"Deny","Action":"{action}","Resource":"arn:aws:s3:::{k}"}}"#
    )
}

#[tokio::test]
async fn a_directory_goes_only_when_each_key_in_it_may() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    for k in ["d/a", "d/kept", "d/kept", "d/z"] {
        f.put(k, b"x").await.unwrap();
    }
    let refused = ErrorKind::Forbidden;
    let keeper = user(&f, "keeper", &but("s3:DeleteObject", "b/d/kept")).await;
    let history = user(&f, "history", &but("s3:DeleteObjectVersion", "b/d/kept")).await;
    let blind = user(&f, "blind", &but("s3:GetObject", "b/d/kept")).await;
    let former = user(&f, "former", &but("s3:GetObjectVersion", "b/d/kept")).await;
    let narrow = user(&f, "narrow", &but("s3:PutObject", "b/e/kept")).await;
    for who in [&keeper, &history, &blind, &former, &narrow] {
        let moved = rename_tree(&f, who, "d/", "e/").await;
        assert_eq!(kind(moved), refused, "{}", who.user);
    }
    let by_bucket = remove_tree(&f, &keeper, "d/", History::ByBucket).await;
    assert_eq!(kind(by_bucket), refused);
    for who in [&keeper, &history] {
        let erased = remove_tree(&f, who, "d/", History::Erase).await;
        assert_eq!(kind(erased), refused, "{}", who.user);
    }
    assert_eq!(f.read("d/kept").await.unwrap(), b"x");
    let unbound = user(&f, "unbound", &but("s3:DeleteObject", "b/other")).await;
    let moved = rename_tree(&f, &unbound, "d/", "e/").await.unwrap();
    assert_eq!(moved, TreeOutcome::Done { keys: 3 });
    let erased = remove_tree(&f, &unbound, "e/", History::Erase).await;
    assert_eq!(erased.unwrap(), TreeOutcome::Done { keys: 3 });
    f.assert_sound().await;
}

#[tokio::test]
async fn a_job_goes_on_only_as_long_as_it_is_allowed() {
    let f = Fixture::new().await;
    f.store.set_tree_keys_max(1);
    for k in ["d/a", "d/b", "d/kept", "d/z"] {
        f.put(k, b"x").await.unwrap();
    }
    let keeper = user(&f, "keeper", &but("s3:DeleteObject", "b/d/kept")).await;
    let run = async |id: JobId| {
        let grant = on_bucket(Action::ReadBucket, "b");
        loop {
            f.store.tidy().await.unwrap();
            let job = f.store.job(&grant, &name("b"), id).await.unwrap();
            if job.state != JobState::Running {
                return job;
            }
        }
    };
    let started = remove_tree(&f, &keeper, "d/", History::ByBucket).await;
    let TreeOutcome::Started(id) = started.unwrap() else {
        panic!("it was done at once");
    };
    let ended = run(id).await;
    assert!(matches!(ended.state, JobState::Failed(_)), "{ended:?}");
    assert_eq!(ended.keys_done, 2);
    assert_eq!(f.read("d/kept").await.unwrap(), b"x");
    // Whoever is gone by then moves nothing any more.
    let mover = user(&f, "mover", &but("s3:DeleteObject", "b/other")).await;
    let TreeOutcome::Started(id) = rename_tree(&f, &mover, "d/", "e/").await.unwrap() else {
        panic!("it was done at once");
    };
    let delete = grant(
        Action::DeleteUsers,
        Resource::Identity(account(), "user/mover".to_owned()),
    );
    let gone = f.store.delete_user(&delete, &account(), "mover").await;
    gone.unwrap();
    let ended = run(id).await;
    assert_eq!(ended.keys_done, 0);
    assert_eq!(f.read("d/z").await.unwrap(), b"x");
    f.assert_sound().await;
}

#[tokio::test]
async fn another_name_of_a_bucket_opens_nothing_in_it() {
    let f = Fixture::new().await;
    f.put("secret", b"x").await.unwrap();
    f.put("open", b"x").await.unwrap();
    let rename = async |who: &Arc<Principal>, from: &str, to: &str| {
        let bucket = |b: &str| Resource::Bucket(name(b));
        let grants = [
            granted(&f, who, Action::DeleteBucket, bucket(from)).await?,
            granted(&f, who, Action::CreateBucket, bucket(to)).await?,
        ];
        f.store.rename_bucket(&grants, &name(from), &name(to)).await
    };
    let blind = user(&f, "blind", &but("s3:GetObject", "b/secret")).await;
    assert_eq!(kind(rename(&blind, "b", "c").await), ErrorKind::Forbidden);
    let other = user(&f, "other", &but("s3:GetObject", "x/secret")).await;
    rename(&other, "b", "c").await.unwrap();
    rename(&other, "c", "b").await.unwrap();
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::b/open"}}"#;
    let write = [on_bucket(Action::WriteBucketPolicy, "b")];
    let set = |bucket: &mut BucketProperties| {
        bucket.policy = Some(policy.to_owned());
        Ok(())
    };
    let set = f.store.update_bucket(&write, &name("b"), &set).await;
    set.unwrap();
    let root = Arc::new(Principal::root(account(), "root"));
    // It would speak of what has another name then.
    let kept = rename(&root, "b", "c").await;
    assert_eq!(kind(kept), ErrorKind::InvalidState);
    f.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_grant_outlives_the_right_that_it_came_of() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let f = Arc::new(Fixture::new().await);
    let allowed = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::acct:user/WHO"},
        "Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}}"#;
    let allowed = allowed.replace("acct", account().as_str());
    let set = async |policy: Option<String>| {
        let actions = [Action::WriteBucketPolicy, Action::DeleteBucketPolicy];
        let grants = actions.map(|action| on_bucket(action, "b"));
        let change = move |bucket: &mut BucketProperties| {
            bucket.policy.clone_from(&policy);
            Ok(())
        };
        f.store.update_bucket(&grants, &name("b"), &change).await
    };
    for round in 0..10 {
        let who = format!("writer{round}");
        let nothing = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
        let principal = user(&f, &who, nothing).await;
        set(Some(allowed.replace("WHO", &who))).await.unwrap();
        let taken_away = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..4 {
            let key = format!("{round}/{writer}");
            let object = object("b", &key);
            let grant = granted(&f, &principal, Action::WriteObject, object).await;
            let (f, grant, taken_away) = (f.clone(), grant.unwrap(), taken_away.clone());
            writers.push(tokio::spawn(async move {
                // With the one grant, again and again, until it is refused.
                let mut done = 0;
                loop {
                    let late = taken_away.load(Ordering::SeqCst);
                    let bytes = futures::stream::iter([Ok(bytes::Bytes::from_static(b"x"))]);
                    match f.store.put(&grant, a_put("b", &key), bytes).await {
                        Ok(_) => {
                            assert!(!late, "it was written with a right that was gone");
                            done += 1;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Forbidden);
                            return done;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }));
        }
        while f.usage("b").await.0 < 4 * (round + 1) {
            tokio::task::yield_now().await;
        }
        set(None).await.unwrap();
        taken_away.store(true, Ordering::SeqCst);
        for writer in writers {
            assert!(writer.await.unwrap() > 0);
        }
    }
    f.assert_sound().await;
}

/// A policy of a release that took condition keys which are refused by now.
#[tokio::test]
async fn a_kept_policy_with_a_key_that_is_refused_by_now_forbids_and_can_be_taken_away() {
    let f = Fixture::new().await;
    f.put("k", b"x").await.unwrap();
    let ann = user(
        &f,
        "ann",
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#,
    )
    .await;
    let set = async |policy: Option<&str>| {
        let actions = [Action::WriteBucketPolicy, Action::DeleteBucketPolicy];
        let grants = actions.map(|action| on_bucket(action, "b"));
        let change = move |bucket: &mut BucketProperties| {
            bucket.policy = policy.map(str::to_owned);
            Ok(())
        };
        f.store.update_bucket(&grants, &name("b"), &change).await
    };
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:UserAgent":"x"}}}}"#;
    set(Some(policy)).await.unwrap();
    granted(&f, &ann, Action::ReadObject, object("b", "k"))
        .await
        .unwrap();
    let (old, new) = (&b"aws:UserAgent"[..], &b"aws:SourceVpc"[..]);
    for (key, value) in f.rows(0x21).await {
        let at = value.windows(old.len()).position(|part| part == old);
        let at = at.unwrap();
        let mut changed = value.to_vec();
        changed[at..at + new.len()].copy_from_slice(new);
        let put = trestle_engine::Write::Put {
            key,
            value: changed.into(),
            body: None,
        };
        let commit = trestle_engine::Commit {
            writes: vec![put],
            ..trestle_engine::Commit::default()
        };
        f.engine.meta.commit(commit).await.unwrap();
    }
    let read = granted(&f, &ann, Action::ReadObject, object("b", "k")).await;
    assert_eq!(kind(read), ErrorKind::Forbidden);
    let bucket = Resource::Bucket(name("b"));
    for action in [Action::WriteObject, Action::DeleteBucketPolicy] {
        let resource = match action {
            Action::WriteObject => object("b", "k"),
            _ => bucket.clone(),
        };
        granted(&f, &ann, action, resource).await.unwrap();
    }
    set(None).await.unwrap();
    granted(&f, &ann, Action::ReadObject, object("b", "k"))
        .await
        .unwrap();
}
