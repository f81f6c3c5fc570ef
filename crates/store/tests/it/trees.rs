//! Whole directories: in one commit when they are small, by a job when they are not.

use crate::fixture::*;
use trestle_access::Action;
use trestle_core::*;
use trestle_store::*;

async fn remove(f: &Fixture, prefix: &str, history: History) -> Result<TreeOutcome> {
    let grants = [Action::DeleteObject, Action::DeleteObjectVersion]
        .map(|action| on_object(action, "b", prefix));
    let delete = DeleteDirectory {
        bucket: name("b"),
        prefix: key(prefix),
        history,
    };
    f.store.delete_directory(&grants, &delete).await
}

pub(crate) async fn rename(f: &Fixture, from: &str, to: (&str, &str)) -> Result<TreeOutcome> {
    let grants = [
        on_object(Action::DeleteObject, "b", from),
        on_object(Action::WriteObject, to.0, to.1),
    ];
    let rename = RenameDirectory {
        bucket: name("b"),
        prefix: key(from),
        to_bucket: name(to.0),
        to_prefix: key(to.1),
    };
    f.store.rename_directory(&grants, &rename).await
}

async fn listed(f: &Fixture, bucket: &str) -> Vec<String> {
    let mut list = ListObjects {
        bucket: name(bucket),
        prefix: String::new(),
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: 10_000,
    };
    let mut keys = Vec::new();
    loop {
        let grant = on_bucket(Action::ListObjects, bucket);
        let page = f.store.list(&grant, &list).await.unwrap();
        keys.extend(page.items.into_iter().map(|item| match item {
            ListingItem::Object(object) => object.key.as_str().to_owned(),
            ListingItem::Prefix(prefix) => prefix,
        }));
        match page.next {
            Some(next) => list.after = Some(next),
            None => return keys,
        }
    }
}

fn done(keys: u64) -> TreeOutcome {
    TreeOutcome::Done { keys }
}

/// Keys of every kind around a directory `d/`.
async fn some(f: &Fixture) {
    f.make_directory("d/").await.unwrap();
    for k in ["d/a", "d/b/c", "d/b/d", "d/\0", "d/é"] {
        f.put(k, k.as_bytes()).await.unwrap();
    }
    f.put("d/large", &pattern(3 << 20, 1)).await.unwrap();
    for k in ["c", "d", "d.", "d0", "e/x"] {
        f.put(k, k.as_bytes()).await.unwrap();
    }
}

const AROUND: [&str; 5] = ["c", "d", "d.", "d0", "e/x"];

#[tokio::test]
async fn a_small_directory_goes_at_once() {
    let f = Fixture::new().await;
    some(&f).await;
    assert_eq!(remove(&f, "d/", History::ByBucket).await.unwrap(), done(7));
    assert_eq!(listed(&f, "b").await, AROUND);
    assert_eq!(f.rows(0x40).await, []);
    let missing = remove(&f, "d/", History::ByBucket).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    f.assert_sound().await;
    // With versions: marked, and erased.
    f.versioning(Versioning::Enabled).await.unwrap();
    some(&f).await;
    f.put("d/a", b"again").await.unwrap();
    assert_eq!(remove(&f, "d/", History::ByBucket).await.unwrap(), done(7));
    assert_eq!(listed(&f, "b").await, AROUND);
    assert!(f.head("d/a").await.unwrap_err().marker().is_some());
    let missing = remove(&f, "d/", History::ByBucket).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    f.assert_sound().await;
    assert_eq!(remove(&f, "d/", History::Erase).await.unwrap(), done(7));
    let versions = f.rows(0x31).await.len();
    assert_eq!(versions, AROUND.len());
    f.assert_sound().await;
}

#[tokio::test]
async fn a_small_directory_moves_at_once_and_keeps_its_ids() {
    let f = Fixture::new().await;
    f.create("other").await.unwrap();
    for (versioned, to) in [(false, "b"), (false, "other"), (true, "b")] {
        if versioned {
            f.versioning(Versioning::Enabled).await.unwrap();
        }
        some(&f).await;
        f.put("d/a", b"again").await.unwrap();
        let a = f.head("d/a").await.unwrap();
        assert_eq!(rename(&f, "d/", (to, "new/")).await.unwrap(), done(7));
        let moved = [
            "new/",
            "new/\0",
            "new/a",
            "new/b/c",
            "new/b/d",
            "new/large",
            "new/é",
        ];
        let found = f.store.find_by_id(a.id).await.unwrap();
        assert_eq!(found, (name(to), key("new/a")));
        let keys = listed(&f, to).await;
        assert!(
            moved.iter().all(|k| keys.contains(&(*k).to_owned())),
            "{keys:?}"
        );
        f.assert_sound().await;
        if to == "b" {
            assert_eq!(f.read("new/large").await.unwrap(), pattern(3 << 20, 1));
            assert_eq!(f.read("new/a").await.unwrap(), b"again");
            assert_eq!(keys.len(), 12);
            remove(&f, "new/", History::Erase).await.unwrap();
        } else {
            assert_eq!(f.usage("other").await.0, 7);
        }
        f.assert_sound().await;
    }
    // What a rename refuses.
    some(&f).await;
    let into = rename(&f, "d/", ("b", "d/b/")).await;
    assert_eq!(kind(into), ErrorKind::InvalidInput);
    let taken = rename(&f, "d/", ("b", "e/")).await;
    assert_eq!(kind(taken), ErrorKind::AlreadyExists(Noun::Object));
    let long = format!("{}/", "x".repeat(1020));
    assert_eq!(
        kind(rename(&f, "d/", ("b", &long)).await),
        ErrorKind::InvalidInput
    );
    let missing = rename(&f, "no/", ("b", "new/")).await;
    assert_eq!(kind(missing), ErrorKind::NotFound(Noun::Object));
    f.put("d/a", b"with history").await.unwrap();
    let plain = rename(&f, "d/", ("other", "x/")).await;
    assert_eq!(kind(plain), ErrorKind::InvalidState);
    f.assert_sound().await;
}

#[tokio::test]
async fn one_protected_object_keeps_the_whole_directory() {
    let f = Fixture::new().await;
    some(&f).await;
    f.update(
        "d/b/c",
        VersionRef::Current,
        &[Action::WriteLegalHold],
        &|p| {
            p.legal_hold = true;
            Ok(())
        },
    )
    .await
    .unwrap();
    let before = listed(&f, "b").await;
    for history in [History::ByBucket, History::Erase] {
        assert_eq!(kind(remove(&f, "d/", history).await), ErrorKind::Locked);
    }
    assert_eq!(kind(rename(&f, "d/", ("b", "n/")).await), ErrorKind::Locked);
    assert_eq!(listed(&f, "b").await, before);
    f.assert_sound().await;
}

async fn job(f: &Fixture, id: JobId) -> Job {
    let grant = on_bucket(Action::ReadBucket, "b");
    f.store.job(&grant, &name("b"), id).await.unwrap()
}

async fn fill(f: &Fixture, count: usize) {
    for i in 0..count {
        f.put(&format!("d/{i:05}"), b"x").await.unwrap();
    }
}

#[tokio::test]
async fn a_large_directory_is_a_job_that_holds_its_places() {
    let f = Fixture::new().await;
    f.put("around", b"x").await.unwrap();
    fill(&f, TREE_KEYS_MAX + 150).await;
    let TreeOutcome::Started(id) = rename(&f, "d/", ("b", "n/")).await.unwrap() else {
        panic!("it was done at once");
    };
    assert_eq!(job(&f, id).await.state, JobState::Running);
    f.assert_sound().await;
    let conflict = ErrorKind::Conflict;
    for k in ["d/new", "n/new", "n/"] {
        assert_eq!(kind(f.put(k, b"x").await), conflict);
    }
    assert_eq!(kind(rename(&f, "d/0", ("b", "m/")).await), conflict);
    assert_eq!(kind(rename(&f, "around", ("b", "n/x/")).await), conflict);
    f.put("other", b"x").await.unwrap();
    // Deletes and reads go on.
    f.delete("d/10100").await.unwrap();
    f.read("d/10101").await.unwrap();
    // One round does a part, in whole commits.
    f.store.tidy().await.unwrap();
    let part = job(&f, id).await;
    assert_eq!(part.state, JobState::Running);
    assert!(part.keys_done > 0 && part.keys_done < 10_149, "{part:?}");
    f.assert_sound().await;
    let bucket = on_bucket(Action::ReadBucket, "b");
    assert_eq!(f.store.jobs(&bucket, &name("b")).await.unwrap(), [part]);
    // As after a restart: all that is known is in rows.
    let host = trestle_host::Host {
        clock: f.clock.clone(),
        ..trestle_host::Host::real()
    };
    let again = Store::open(f.engine.clone(), host, account(), None)
        .await
        .unwrap();
    while job(&f, id).await.state == JobState::Running {
        again.tidy().await.unwrap();
    }
    let ended = job(&f, id).await;
    assert_eq!((ended.state, ended.keys_done), (JobState::Done, 10_149));
    let keys = listed(&f, "b").await;
    assert_eq!(keys.len(), 10_151);
    assert!(keys.iter().all(|k| !k.starts_with("d/")));
    f.put("d/new", b"x").await.unwrap();
    f.put("n/new", b"x").await.unwrap();
    f.assert_sound().await;

    let TreeOutcome::Started(id) = remove(&f, "n/", History::ByBucket).await.unwrap() else {
        panic!("it was done at once");
    };
    // What is protected ends it, and frees its places.
    f.update(
        "n/10000",
        VersionRef::Current,
        &[Action::WriteLegalHold],
        &|p| {
            p.legal_hold = true;
            Ok(())
        },
    )
    .await
    .unwrap();
    while job(&f, id).await.state == JobState::Running {
        f.store.tidy().await.unwrap();
    }
    assert!(matches!(job(&f, id).await.state, JobState::Failed(_)));
    assert_eq!(f.read("n/10000").await.unwrap(), b"x");
    f.put("n/another", b"x").await.unwrap();
    f.assert_sound().await;
    // What ended is forgotten after a day.
    f.clock.advance(std::time::Duration::from_secs(25 * 3600));
    f.store.tidy().await.unwrap();
    assert_eq!(f.rows(0x38).await, []);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_long_history_is_erased_by_a_job() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    for i in 0..600u32 {
        f.put("d/k", &i.to_be_bytes()).await.unwrap();
    }
    f.put("d/l", b"x").await.unwrap();
    let TreeOutcome::Started(id) = remove(&f, "d/", History::Erase).await.unwrap() else {
        panic!("it was done at once");
    };
    f.assert_sound().await;
    f.store.tidy().await.unwrap();
    assert_eq!(job(&f, id).await.state, JobState::Done);
    for table in [0x30, 0x31, 0x33, 0x34] {
        assert_eq!(f.rows(table).await, []);
    }
    f.assert_sound().await;
}
