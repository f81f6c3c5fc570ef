//! What clones inherit goes with the last of them, whatever else goes at the same moment.

use crate::fixture::*;
use std::sync::Arc;
use trestle_access::Action;
use trestle_core::*;
use trestle_engine::{Commit, Write};
use trestle_store::*;

const SNAPSHOTS: u8 = 0x37;
const KEPT: u8 = 0x32;
const BUCKETS: u8 = 0x21;

async fn delete_in(f: &Fixture, bucket: &str, k: &str) {
    let delete = DeleteObject::current(name(bucket), key(k), Precondition::none(), tag);
    let grants = [on_object(Action::DeleteObject, bucket, k)];
    f.store.delete(&grants, delete).await.unwrap();
}

async fn delete_bucket(store: Arc<Store>, bucket: &'static str) {
    let grant = on_bucket(Action::DeleteBucket, bucket);
    store.delete_bucket(&grant, &name(bucket)).await.unwrap();
}

/// The snapshot `s` of `b`, with what it alone shows, and clones of it that hold nothing any more.
async fn with_clones(clones: &[&str]) -> Fixture {
    let f = Fixture::new().await;
    f.put("k", b"old").await.unwrap();
    f.snap("s", "").await.unwrap();
    f.put("k", b"new").await.unwrap();
    for clone in clones {
        f.clone_bucket("b__s", clone).await.unwrap();
        delete_in(&f, clone, "k").await;
    }
    f
}

async fn assert_all_gone(f: &Fixture) {
    assert!(f.rows(SNAPSHOTS).await.is_empty());
    f.store.tidy().await.unwrap();
    assert!(f.rows(KEPT).await.is_empty());
    f.assert_sound().await;
}

#[tokio::test]
async fn of_two_clones_that_leave_at_once_one_is_the_last() {
    for buried in [false, true] {
        let f = with_clones(&["c", "d"]).await;
        f.unsnap("s").await.unwrap();
        if buried {
            f.delete("k").await.unwrap();
            f.delete_bucket("b").await.unwrap();
        }
        assert_eq!(f.rows(SNAPSHOTS).await.len(), 1);
        f.before_next_commit(delete_bucket(f.store.clone(), "d"));
        f.delete_bucket("c").await.unwrap();
        assert!(f.was_done());
        assert_all_gone(&f).await;
        let left = f.account_usage().await.buckets;
        assert_eq!(left, u64::from(!buried));
    }
}

#[tokio::test]
async fn a_clone_that_leaves_while_the_name_goes_leaves_nothing() {
    let f = with_clones(&["c"]).await;
    let store = f.store.clone();
    f.before_next_commit(async move {
        let grant = on_bucket(Action::DeleteSnapshot, "b");
        let of = name("b");
        store.delete_snapshot(&grant, &of, "s").await.unwrap();
    });
    f.delete_bucket("c").await.unwrap();
    assert!(f.was_done());
    assert_all_gone(&f).await;

    let f = with_clones(&["c"]).await;
    f.before_next_commit(delete_bucket(f.store.clone(), "c"));
    f.unsnap("s").await.unwrap();
    assert!(f.was_done());
    assert_all_gone(&f).await;
}

/// An earlier build could leave a snapshot that nobody names and no clone is of.
#[tokio::test]
async fn a_hidden_snapshot_without_clones_is_tidied() {
    let f = with_clones(&["c"]).await;
    f.unsnap("s").await.unwrap();
    let hidden = f.rows(SNAPSHOTS).await.pop().unwrap();
    let buckets = f.rows(BUCKETS).await;
    f.delete_bucket("c").await.unwrap();
    assert!(f.rows(SNAPSHOTS).await.is_empty());
    // As it was, but for the clone.
    let now = f.rows(BUCKETS).await;
    let known = |key: &[u8]| now.iter().any(|(known, _)| known[..] == *key);
    let left = buckets.into_iter().filter(|(key, _)| known(key));
    let writes = left.chain([hidden]).map(|(key, value)| Write::Put {
        key,
        value,
        body: None,
    });
    let commit = Commit {
        writes: writes.collect(),
        ..Commit::default()
    };
    f.engine.meta.commit(commit).await.unwrap();
    let (_, findings) = f.check().await;
    let left = |finding: &Finding| finding.message.ends_with("without clones");
    assert!(findings.iter().any(left), "{findings:?}");
    f.store.tidy().await.unwrap();
    assert_all_gone(&f).await;
}
