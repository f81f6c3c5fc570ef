//! Snapshots of buckets and directories, against copies of what was there.

use crate::fixture::*;
use crate::rights::{granted, user};
use std::collections::BTreeMap;
use std::time::Duration;
use trestle_access::{Action, Resource};
use trestle_core::*;
use trestle_host::{Random, SeededRandom};
use trestle_store::*;

/// What is in a bucket, by key.
type State = BTreeMap<String, Vec<u8>>;

impl Fixture {
    pub(crate) async fn clone_bucket(&self, source: &str, to: &str) -> Result<Bucket> {
        let clone = CloneBucket {
            source: name(source),
            prefix: String::new(),
            name: name(to),
        };
        let grants = [
            on_bucket(Action::CloneBucket, source),
            on_bucket(Action::CreateBucket, to),
        ];
        self.store.clone_bucket(&grants, &clone).await
    }

    pub(crate) async fn snap(&self, snapshot: &str, prefix: &str) -> Result<Snapshot> {
        let create = CreateSnapshot {
            bucket: name("b"),
            prefix: prefix.to_owned(),
            name: snapshot.to_owned(),
        };
        let grant = on_bucket(Action::CreateSnapshot, "b");
        self.store.create_snapshot(&grant, &create).await
    }

    pub(crate) async fn unsnap(&self, snapshot: &str) -> Result<()> {
        let grant = on_bucket(Action::DeleteSnapshot, "b");
        self.store
            .delete_snapshot(&grant, &name("b"), snapshot)
            .await
    }

    async fn listing(&self, list: &ListObjects) -> Vec<String> {
        let grant = on_bucket(Action::ListObjects, list.bucket.as_str());
        let mut list = list.clone();
        let mut names = Vec::new();
        loop {
            let page = self.store.list(&grant, &list).await.unwrap();
            names.extend(page.items.into_iter().map(|item| match item {
                ListingItem::Object(object) => object.key.as_str().to_owned(),
                ListingItem::Prefix(prefix) => format!("{prefix}*"),
            }));
            match page.next {
                Some(next) => list.after = Some(next),
                None => return names,
            }
        }
    }

    /// Whether a bucket or a snapshot holds exactly this.
    async fn assert_holds(&self, bucket: &str, state: &State) {
        let bytes: usize = state.values().map(Vec::len).sum();
        let usage = (state.len() as u64, bytes as u64);
        assert_eq!(self.usage(bucket).await, usage, "{bucket}");
        for (prefix, delimiter, limit) in [
            ("", None, 1000),
            ("", None, 1),
            ("", Some("/"), 2),
            ("d/", Some("/"), 1000),
            ("d/", None, 3),
        ] {
            let mut list = ListObjects {
                bucket: name(bucket),
                prefix: prefix.to_owned(),
                delimiter: delimiter.map(str::to_owned),
                after: None,
                until: None,
                reverse: false,
                limit,
            };
            let mut expected = Vec::new();
            for k in state.keys().filter(|k| k.starts_with(prefix)) {
                let folded = delimiter.and_then(|delimiter| k[prefix.len()..].find(delimiter));
                let shown = match folded {
                    Some(at) => format!("{}*", &k[..=prefix.len() + at]),
                    None => k.clone(),
                };
                if expected.last() != Some(&shown) {
                    expected.push(shown);
                }
            }
            assert_eq!(self.listing(&list).await, expected, "{bucket} {list:?}");
            list.reverse = true;
            expected.reverse();
            assert_eq!(self.listing(&list).await, expected, "{bucket} {list:?}");
        }
        for (k, bytes) in state {
            assert_eq!(
                self.read_in(bucket, k).await.unwrap(),
                *bytes,
                "{bucket}/{k}"
            );
        }
    }
}

#[tokio::test]
async fn a_snapshot_shows_what_was_there_whatever_comes() {
    let max = trestle_engine::memory::engine().data.body_bytes_max();
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let f = Fixture::new().await;
        if versioning != Versioning::Off {
            f.versioning(versioning).await.unwrap();
        }
        for (k, size) in [("a", 5), ("d/x", max + 9), ("d/y", 3 << 20), ("gone", 7)] {
            f.put(k, &pattern(size, 1)).await.unwrap();
        }
        let state: State = [("a", 5), ("d/x", max + 9), ("d/y", 3 << 20), ("gone", 7)]
            .map(|(k, size)| (k.to_owned(), pattern(size, 1)))
            .into();
        let snapshot = f.snap("one", "").await.unwrap();
        assert_eq!(snapshot.reads_as, name("b__one"));
        f.assert_holds("b__one", &state).await;
        f.put("a", b"other").await.unwrap();
        f.put("new", b"new").await.unwrap();
        f.delete("gone").await.unwrap();
        f.patch("d/x", 3, b"patched").await.unwrap();
        f.rename(("b", "d/y"), ("b", "z")).await.unwrap();
        f.put("gone", b"again").await.unwrap();
        f.assert_holds("b__one", &state).await;
        f.assert_sound().await;
        let (bucket, usage) = f
            .store
            .bucket(&on_bucket(Action::ReadBucket, "b"), &name("b"))
            .await
            .unwrap();
        assert_eq!(bucket.snapshot_of(), None);
        assert_eq!(usage.snapshot_bytes, (5 + max + 9 + (3 << 20) + 7) as u64);
        f.unsnap("one").await.unwrap();
        let missing = ErrorKind::NotFound(Noun::Bucket);
        assert_eq!(kind(f.read_in("b__one", "a").await), missing);
        f.assert_sound().await;
        for table in [0x32, 0x37, 0x39, 0x42] {
            assert_eq!(f.rows(table).await, [], "{table:x}");
        }
        f.assert_nothing_leaked().await;
    }
}

/// What comes of a future, and how often others got a turn before.
async fn turns<T>(work: impl Future<Output = T>) -> (T, usize) {
    let mut work = std::pin::pin!(work);
    let mut turns = 0;
    let done = std::future::poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        turns += usize::from(polled.is_pending());
        polled
    });
    let done = done.await;
    (done, turns)
}

#[tokio::test]
async fn whoever_walks_over_a_snapshot_gives_others_a_turn_and_counts_once() {
    let f = Fixture::new().await;
    f.put("d/z", b"first").await.unwrap();
    f.snap("all", "").await.unwrap();
    f.snap("part", "d/").await.unwrap();
    // None of these is in the snapshots, but each is before what is.
    for at in 0..600 {
        f.put(&format!("d/{at:03}"), b"x").await.unwrap();
    }
    let list = ListObjects {
        bucket: name("b__all"),
        prefix: String::new(),
        delimiter: None,
        after: None,
        until: None,
        reverse: false,
        limit: 1,
    };
    let (names, walked) = turns(f.listing(&list)).await;
    assert_eq!(names, ["d/z"]);
    // A few pages, and not one for each few rows.
    assert!((3..30).contains(&walked), "{walked}");
    let (usage, counted) = turns(f.usage("b__part")).await;
    assert_eq!(usage, (1, 5));
    assert!(counted >= 3, "{counted}");
    let (again, remembered) = turns(f.usage("b__part")).await;
    assert_eq!((again, remembered), (usage, 0));
}

#[tokio::test]
async fn a_volume_and_large_objects_are_written_beside_their_snapshot() {
    let f = Fixture::new().await;
    f.make_volume("v", 1 << 20).await.unwrap();
    f.write_at("v", 4096, b"one").await.unwrap();
    let large = pattern(3 << 20, 3);
    f.put("large", &large).await.unwrap();
    let volume = f.read("v").await.unwrap();
    f.snap("s", "").await.unwrap();
    for round in 0..3 {
        f.write_at("v", 4096, &[round; 9]).await.unwrap();
        f.patch("large", 1 << 20, &[round; 100]).await.unwrap();
        assert_eq!(f.read_in("b__s", "v").await.unwrap(), volume);
        assert_eq!(f.read_in("b__s", "large").await.unwrap(), large);
        f.assert_sound().await;
    }
    assert_eq!(&f.read("v").await.unwrap()[4096..4105], [2; 9]);
    f.delete("v").await.unwrap();
    f.delete("large").await.unwrap();
    f.assert_sound().await;
    f.unsnap("s").await.unwrap();
    f.store.tidy().await.unwrap();
    for table in [0x32, 0x40, 0x41, 0x42] {
        assert_eq!(f.rows(table).await, [], "{table:x}");
    }
    f.assert_sound().await;
}

#[tokio::test]
async fn nothing_changes_a_snapshot_and_its_name_is_taken() {
    let f = Fixture::new().await;
    f.put("d/k", b"one").await.unwrap();
    f.create("b__taken").await.unwrap();
    let taken = ErrorKind::AlreadyExists(Noun::Bucket);
    assert_eq!(kind(f.snap("taken", "").await), taken);
    f.snap("s", "").await.unwrap();
    assert_eq!(kind(f.snap("s", "d/").await), taken);
    assert_eq!(kind(f.create("b__s").await), taken);
    for bad in ["", "a/b", "a@b", "é", "a b", &"x".repeat(65)] {
        assert_eq!(
            kind(f.snap(bad, "").await),
            ErrorKind::InvalidInput,
            "{bad}"
        );
    }
    assert_eq!(kind(f.snap("t", "d").await), ErrorKind::InvalidInput);
    let nothing = ErrorKind::NotFound(Noun::Object);
    assert_eq!(kind(f.snap("t", "e/").await), nothing);
    let state = ErrorKind::InvalidState;
    assert_eq!(kind(f.put_with(a_put("b__s", "new"), b"x").await), state);
    assert_eq!(kind(f.delete_in("b__s", "d/k").await), state);
    assert_eq!(kind(f.rename(("b__s", "d/k"), ("b", "m")).await), state);
    assert_eq!(kind(f.rename(("b", "d/k"), ("b__s", "m")).await), state);
    assert_eq!(kind(f.delete_bucket("b__s").await), state);
    let grants = [on_bucket(Action::WriteBucketTags, "b__s")];
    let change = |properties: &mut BucketProperties| {
        properties.tags.insert("t".into(), "v".into());
        Ok(())
    };
    let of = name("b__s");
    let changed = f.store.update_bucket(&grants, &of, &change);
    assert_eq!(kind(changed.await), state);
    let grants = [on_object(Action::WriteObjectTags, "b__s", "d/k")];
    let update = UpdateObject {
        bucket: name("b__s"),
        key: key("d/k"),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
    };
    let change = |properties: &mut ObjectProperties| {
        properties.tags.insert("t".into(), "v".into());
        Ok(())
    };
    let changed = f.store.update_object(&grants, &update, &change).await;
    assert_eq!(kind(changed), state);
    let create = CreateSnapshot {
        bucket: name("b__s"),
        prefix: String::new(),
        name: "again".to_owned(),
    };
    let again = on_bucket(Action::CreateSnapshot, "b__s");
    assert_eq!(kind(f.store.create_snapshot(&again, &create).await), state);
    let list = ListBuckets {
        account: account(),
        prefix: String::new(),
        after: None,
        until: None,
        reverse: false,
        limit: 10,
    };
    let grant = grant(Action::ListBuckets, Resource::Account(account()));
    let (buckets, _) = f.store.list_buckets(&grant, &list).await.unwrap();
    let names: Vec<_> = buckets.iter().map(|(b, _)| b.name.as_str()).collect();
    assert_eq!(names, ["b", "b__taken"]);
    let reader = on_bucket(Action::ReadBucket, "b");
    let all = f.store.list_snapshots(&reader, &name("b")).await.unwrap();
    assert_eq!(all.len(), 1);
    f.delete("d/k").await.unwrap();
    assert_eq!(kind(f.delete_bucket("b").await), ErrorKind::NotEmpty);
    f.unsnap("s").await.unwrap();
    assert_eq!(kind(f.unsnap("s").await), ErrorKind::NotFound(Noun::Bucket));
    assert_eq!(
        kind(f.unsnap("taken").await),
        ErrorKind::NotFound(Noun::Bucket)
    );
    f.delete_bucket("b").await.unwrap();
    f.assert_sound().await;
}

#[tokio::test]
async fn what_a_snapshot_shows_is_not_protected_and_does_not_end() {
    let f = Fixture::new().await;
    let mut put = a_put("b", "soon");
    put.properties.expires = Some(Timestamp(START.0 + 10_000_000));
    f.put_with(put, b"soon").await.unwrap();
    let mut put = a_put("b", "past");
    put.properties.expires = Some(Timestamp(START.0 + 1));
    f.put_with(put, b"past").await.unwrap();
    f.clock.advance(Duration::from_secs(1));
    f.snap("s", "").await.unwrap();
    f.clock.advance(Duration::from_secs(60));
    f.store.tidy().await.unwrap();
    assert_eq!(
        kind(f.head("soon").await),
        ErrorKind::NotFound(Noun::Object)
    );
    assert_eq!(f.read_in("b__s", "soon").await.unwrap(), b"soon");
    let past = f.read_in("b__s", "past").await;
    assert_eq!(kind(past), ErrorKind::NotFound(Noun::Object));
    let grant = on_object(Action::ReadObjectMetadata, "b__s", "soon");
    let (b, k) = (name("b__s"), key("soon"));
    let object = f
        .store
        .head(&grant, &b, &k, VersionRef::Current)
        .await
        .unwrap();
    assert!(object.frozen && object.expires.is_none());
    f.assert_sound().await;
}

#[tokio::test]
async fn rights_to_a_snapshot_are_those_of_its_bucket() {
    let f = Fixture::new().await;
    for k in ["open", "secret"] {
        f.put(k, b"x").await.unwrap();
    }
    f.snap("s", "").await.unwrap();
    let reader = user(
        &f,
        "reader",
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/secret"}"#,
    )
    .await;
    let on = |k: &str| Resource::Object(name("b__s"), key(k));
    let read = |k: &'static str| granted(&f, &reader, Action::ReadObject, on(k));
    assert_eq!(kind(read("secret").await), ErrorKind::Forbidden);
    let grant = read("open").await.unwrap();
    let open = ReadObject {
        bucket: name("b__s"),
        key: key("open"),
        version: VersionRef::Current,
    };
    f.store.open_object(&grant, &open).await.unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/open"}]}"#;
    let change = |properties: &mut BucketProperties| {
        properties.policy = Some(policy.to_owned());
        Ok(())
    };
    f.update_bucket(&change).await.unwrap();
    // The grant was given before.
    let opened = f.store.open_object(&grant, &open).await;
    assert_eq!(kind(opened.map(drop)), ErrorKind::Forbidden);
    assert_eq!(kind(read("open").await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn what_only_some_snapshot_showed_goes_with_the_last_in_any_order() {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let f = Fixture::new().await;
        let mut states = Vec::new();
        let mut state = State::new();
        for round in 0..3u8 {
            for k in ["a", "d/x"] {
                let bytes = pattern((1 << 20) + usize::from(round), round);
                f.put(k, &bytes).await.unwrap();
                state.insert(k.to_owned(), bytes);
            }
            let prefix = if round == 1 { "d/" } else { "" };
            f.snap(&format!("s{round}"), prefix).await.unwrap();
            let mut shown = state.clone();
            shown.retain(|k, _| k.starts_with(prefix));
            states.push(shown);
        }
        f.delete("a").await.unwrap();
        f.delete("d/x").await.unwrap();
        let mut left = vec![true; 3];
        for gone in order {
            f.unsnap(&format!("s{gone}")).await.unwrap();
            left[gone] = false;
            for (round, state) in states.iter().enumerate().filter(|(round, _)| left[*round]) {
                f.assert_holds(&format!("b__s{round}"), state).await;
            }
            // One layer for each content that a snapshot still shows.
            let shown = states.iter().zip(&left).filter(|(_, left)| **left);
            let layers: usize = shown.map(|(state, _)| state.len()).sum();
            assert_eq!(f.rows(0x40).await.len(), layers, "{order:?} {gone}");
            f.assert_sound().await;
        }
        assert_eq!(
            f.rows(0x60).await.iter().filter(|(k, _)| k[1] == 3).count(),
            0
        );
    }
}

fn number(random: &dyn Random) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_be_bytes(bytes)
}

/// One random change of a bucket, and the same of the model.
async fn change(f: &Fixture, bucket: &str, random: &dyn Random, state: &mut State) {
    let pick = |n: u64| number(random) % n;
    let keys = [
        "a", "d/", "d/x", "d/y", "d/e/z", "d/e/zz", "e", "e/f", "g\0h", "g\0",
    ];
    let k = keys[pick(keys.len() as u64) as usize];
    match pick(9) {
        0..4 => {
            let size = [0, 3, 900, 200_000][pick(4) as usize];
            let bytes = pattern(size, pick(250) as u8);
            f.put_with(a_put(bucket, k), &bytes).await.unwrap();
            state.insert(k.to_owned(), bytes);
        }
        4 if state.contains_key(k) => {
            f.delete_in(bucket, k).await.unwrap();
            state.remove(k);
        }
        5 if state.contains_key(k) => {
            let at = pick(1 + state[k].len() as u64) as usize;
            let patch = PatchObject {
                bucket: name(bucket),
                key: key(k),
                precondition: Precondition::none(),
                tag_of: tag,
                at: Offset::At(at as u64),
                checks: BodyChecks::default(),
                create: None,
            };
            let grant = on_object(Action::WriteObject, bucket, k);
            let patched = f.store.patch(&grant, patch, body(b"patched")).await;
            patched.unwrap();
            let bytes = state.get_mut(k).unwrap();
            bytes.resize(bytes.len().max(at + 7), 0);
            bytes[at..at + 7].copy_from_slice(b"patched");
        }
        6 if state.contains_key(k) => {
            let to = keys[pick(keys.len() as u64) as usize];
            if to != k && f.rename((bucket, k), (bucket, to)).await.is_ok() {
                let bytes = state.remove(k).unwrap();
                state.insert(to.to_owned(), bytes);
            }
        }
        7 if state.keys().any(|k| k.starts_with("d/")) => {
            let to = ["moved/", "d2/"][pick(2) as usize];
            let grants = [
                on_object(Action::DeleteObject, bucket, "d/"),
                on_object(Action::WriteObject, bucket, to),
            ];
            let rename = RenameDirectory {
                bucket: name(bucket),
                prefix: key("d/"),
                to_bucket: name(bucket),
                to_prefix: key(to),
            };
            if f.store.rename_directory(&grants, &rename).await.is_ok() {
                let moved: Vec<_> = state.extract_if(.., |k, _| k.starts_with("d/")).collect();
                let moved = moved.into_iter();
                state.extend(moved.map(|(k, v)| (format!("{to}{}", &k[2..]), v)));
            }
        }
        8 => f.store.tidy().await.unwrap(),
        _ => {}
    }
}

#[tokio::test]
async fn snapshots_agree_with_copies() {
    for seed in 0..12 {
        let random = &SeededRandom::new(seed);
        let f = Fixture::new().await;
        if seed % 3 == 2 {
            f.versioning(Versioning::Enabled).await.unwrap();
        }
        let mut state = State::new();
        let mut snapshots: BTreeMap<String, State> = BTreeMap::new();
        for step in 0..120 {
            match number(random) % 8 {
                0 if snapshots.len() < 5 => {
                    let prefix = ["", "", "d/", "d/e/"][(number(random) % 4) as usize];
                    let snapshot = format!("s{step}");
                    let mut shown = state.clone();
                    shown.retain(|k, _| k.starts_with(prefix));
                    let made = f.snap(&snapshot, prefix).await;
                    if prefix.is_empty() || !shown.is_empty() {
                        made.unwrap();
                        snapshots.insert(snapshot, shown);
                    }
                }
                1 if !snapshots.is_empty() => {
                    let at = number(random) as usize % snapshots.len();
                    let snapshot = snapshots.keys().nth(at).unwrap().clone();
                    f.unsnap(&snapshot).await.unwrap();
                    snapshots.remove(&snapshot);
                }
                _ => change(&f, "b", random, &mut state).await,
            }
            if step % 10 == 9 {
                for (snapshot, state) in &snapshots {
                    f.assert_holds(&format!("b__{snapshot}"), state).await;
                }
                f.assert_holds("b", &state).await;
                f.assert_sound().await;
            }
        }
        for snapshot in snapshots.keys() {
            f.unsnap(snapshot).await.unwrap();
        }
        f.assert_holds("b", &state).await;
        f.assert_sound().await;
        assert_eq!(f.rows(0x32).await, []);
    }
}

/// Deletes everything in a bucket, and the bucket.
async fn clear(f: &Fixture, bucket: &str, state: &State) {
    for k in state.keys() {
        f.delete_in(bucket, k).await.unwrap();
    }
    f.delete_bucket(bucket).await.unwrap();
}

#[tokio::test]
async fn a_clone_starts_as_its_source_and_goes_its_own_way() {
    let max = trestle_engine::memory::engine().data.body_bytes_max();
    for order in [["b", "c"], ["c", "b"]] {
        let f = Fixture::new().await;
        let mut state = State::new();
        for (k, size) in [("a", 5), ("d/x", max + 9), ("d/y", 3 << 20)] {
            f.put(k, &pattern(size, 1)).await.unwrap();
            state.insert(k.to_owned(), pattern(size, 1));
        }
        let clone = f.clone_bucket("b", "c").await.unwrap();
        assert_eq!(clone.name, name("c"));
        f.assert_holds("c", &state).await;
        let layers = f.rows(0x40).await.len();
        assert_eq!((layers, f.rows(0x30).await.len()), (2, 3));
        f.assert_sound().await;
        let mut cloned = state.clone();
        f.put_with(a_put("c", "a"), b"other").await.unwrap();
        cloned.insert("a".to_owned(), b"other".to_vec());
        f.delete_in("c", "d/x").await.unwrap();
        cloned.remove("d/x");
        f.put_with(a_put("c", "new"), b"new").await.unwrap();
        cloned.insert("new".to_owned(), b"new".to_vec());
        f.rename(("c", "d/y"), ("c", "z")).await.unwrap();
        let moved = cloned.remove("d/y").unwrap();
        cloned.insert("z".to_owned(), moved);
        f.patch("d/y", 7, b"patched").await.unwrap();
        state.get_mut("d/y").unwrap()[7..14].copy_from_slice(b"patched");
        f.delete("a").await.unwrap();
        state.remove("a");
        f.assert_holds("b", &state).await;
        f.assert_holds("c", &cloned).await;
        f.assert_sound().await;
        for bucket in order {
            clear(&f, bucket, if bucket == "b" { &state } else { &cloned }).await;
            f.assert_sound().await;
            if bucket == "b" && order[0] == "b" {
                f.assert_holds("c", &cloned).await;
            }
        }
        for table in [
            0x20, 0x21, 0x22, 0x30, 0x32, 0x37, 0x39, 0x3a, 0x3b, 0x40, 0x41,
        ] {
            assert_eq!(f.rows(table).await, [], "{order:?} {table:x}");
        }
        assert_eq!(f.account_usage().await.buckets, 0);
    }
}

#[tokio::test]
async fn clones_and_their_snapshots_agree_with_copies() {
    for seed in 0..10 {
        let random = &SeededRandom::new(100 + seed);
        let f = Fixture::new().await;
        let mut buckets: BTreeMap<String, State> = [("b".to_owned(), State::new())].into();
        let mut snapshots: BTreeMap<String, State> = BTreeMap::new();
        for step in 0..150 {
            let at = number(random) as usize % buckets.len();
            let bucket = buckets.keys().nth(at).unwrap().clone();
            match number(random) % 12 {
                0 if buckets.len() < 4 => {
                    let to = format!("c{step}");
                    let all: Vec<_> = snapshots.iter().chain(&buckets).collect();
                    let (source, state) = all[number(random) as usize % all.len()];
                    let (source, state) = (source.clone(), state.clone());
                    match f.clone_bucket(&source, &to).await {
                        Ok(_) => drop(buckets.insert(to, state)),
                        // A clone of a clone of a clone …
                        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidState),
                    }
                }
                1 if snapshots.len() < 4 => {
                    let create = CreateSnapshot {
                        bucket: name(&bucket),
                        prefix: String::new(),
                        name: format!("s{step}"),
                    };
                    let grant = on_bucket(Action::CreateSnapshot, &bucket);
                    let made = f.store.create_snapshot(&grant, &create).await.unwrap();
                    let state = buckets[&bucket].clone();
                    snapshots.insert(made.reads_as.as_str().to_owned(), state);
                }
                2 if !snapshots.is_empty() => {
                    let at = number(random) as usize % snapshots.len();
                    let reads_as = snapshots.keys().nth(at).unwrap().clone();
                    let (of, snapshot) = reads_as.split_once("__").unwrap();
                    let grant = on_bucket(Action::DeleteSnapshot, of);
                    let of = name(of);
                    let gone = f.store.delete_snapshot(&grant, &of, snapshot).await;
                    gone.unwrap();
                    snapshots.remove(&reads_as);
                }
                3 if buckets.len() > 1 => {
                    let named = |of: &&String| of.starts_with(&format!("{bucket}__"));
                    if !snapshots.keys().any(|of| named(&of)) {
                        clear(&f, &bucket, &buckets.remove(&bucket).unwrap()).await;
                    }
                }
                _ => change(&f, &bucket, random, buckets.get_mut(&bucket).unwrap()).await,
            }
            if step % 10 == 9 {
                for (bucket, state) in snapshots.iter().chain(&buckets) {
                    f.assert_holds(bucket, state).await;
                }
                f.assert_sound().await;
            }
        }
        for reads_as in snapshots.keys() {
            let (of, snapshot) = reads_as.split_once("__").unwrap();
            let grant = on_bucket(Action::DeleteSnapshot, of);
            let of = name(of);
            let gone = f.store.delete_snapshot(&grant, &of, snapshot).await;
            gone.unwrap();
        }
        for (bucket, state) in &buckets {
            f.assert_holds(bucket, state).await;
            clear(&f, bucket, state).await;
        }
        f.assert_sound().await;
        for table in [0x21, 0x22, 0x30, 0x32, 0x37, 0x39, 0x3a, 0x3b, 0x40] {
            assert_eq!(f.rows(table).await, [], "seed {seed}: {table:x}");
        }
    }
}
