//! Versioning in its three states: what each verb does to the versions of a key.

use crate::fixture::*;
use std::collections::BTreeMap;
use trestle_core::*;
use trestle_store::*;

fn all() -> ListVersions {
    ListVersions {
        bucket: name("b"),
        prefix: String::new(),
        delimiter: None,
        key_marker: None,
        version_marker: None,
        limit: 10_000,
    }
}

/// What a listing of all versions shows: key, id, whether it is the latest, a marker, null.
async fn shown(f: &Fixture) -> Vec<(String, VersionId, String)> {
    let listing = f.list_versions(&all()).await.unwrap();
    assert_eq!(listing.next, None);
    listing.items.into_iter().map(line).collect()
}

fn line(item: VersionItem) -> (String, VersionId, String) {
    match item {
        VersionItem::Version { object, latest } => {
            let mut flags = String::new();
            for (set, flag) in [
                (latest, "L"),
                (object.is_marker(), "M"),
                (object.null_version, "0"),
            ] {
                flags.push_str(if set { flag } else { "" });
            }
            (object.key.as_str().to_owned(), object.version, flags)
        }
        VersionItem::Prefix(prefix) => (prefix, VersionId(Id::default()), "/".into()),
    }
}

async fn flags(f: &Fixture) -> Vec<String> {
    let shown = shown(f).await;
    shown
        .into_iter()
        .map(|(key, _, flags)| format!("{key}:{flags}"))
        .collect()
}

#[tokio::test]
async fn every_write_of_a_versioned_bucket_can_be_read_again() {
    let f = Fixture::new().await;
    let max = f.engine.data.body_bytes_max();
    let before = f.put("k", b"before").await.unwrap().object;
    assert!(before.null_version);
    f.versioning(Versioning::Enabled).await.unwrap();
    let mut written = vec![(before.clone(), b"before".to_vec())];
    for (seed, size) in [0, 10, max, max + 1, 3 << 20, 5].into_iter().enumerate() {
        let bytes = pattern(size, seed as u8);
        let put = f.put("k", &bytes).await.unwrap();
        assert!(!put.created && !put.object.null_version);
        assert_eq!(put.object.id, before.id);
        assert_eq!(put.object.created, before.created);
        written.push((put.object, bytes));
    }
    for (object, bytes) in &written {
        let version = VersionRef::Id(object.version);
        assert_eq!(f.head_version("k", version).await.unwrap(), *object);
        assert_eq!(f.read_version("k", version).await.unwrap(), *bytes);
    }
    let null = f.head_version("k", VersionRef::Null).await.unwrap();
    assert_eq!(null, before);
    let (last, bytes) = written.last().unwrap();
    assert_eq!(f.head("k").await.unwrap(), *last);
    assert_eq!(f.usage("b").await, (1, bytes.len() as u64));
    let sizes = |list: &[(Object, Vec<u8>)]| list.iter().map(|(o, _)| o.length()).sum::<u64>();
    let grant = on_bucket(trestle_access::Action::ReadBucket, "b");
    let (_, usage) = f.store.bucket(&grant, &name("b")).await.unwrap();
    let former = &written[..written.len() - 1];
    assert_eq!((usage.versions, usage.version_bytes), (6, sizes(former)));
    let listed: Vec<_> = shown(&f).await.into_iter().map(|(_, id, _)| id).collect();
    let expected: Vec<_> = written.iter().rev().map(|(o, _)| o.version).collect();
    assert_eq!(listed, expected);
    f.assert_sound().await;
    // Another key's version is none of this one.
    let other = f.put("l", b"").await.unwrap().object.version;
    assert_eq!(
        kind(f.head_version("k", VersionRef::Id(other)).await),
        ErrorKind::NotFound(Noun::Version)
    );
    // Each goes by its id, the current one first: the one before it comes forward.
    while let Some((object, bytes)) = written.pop() {
        assert_eq!(f.read("k").await.unwrap(), bytes);
        let version = VersionRef::Id(object.version);
        assert_eq!(f.delete_version("k", version).await.unwrap(), object);
        assert_eq!(
            kind(f.head_version("k", version).await),
            ErrorKind::NotFound(Noun::Version)
        );
        f.assert_sound().await;
    }
    assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
    f.delete_version("l", VersionRef::Id(other)).await.unwrap();
    for table in [0x30, 0x31, 0x33, 0x34, 0x35, 0x40, 0x41] {
        assert_eq!(f.rows(table).await, []);
    }
    f.assert_nothing_leaked().await;
    f.delete_bucket("b").await.unwrap();
}

#[tokio::test]
async fn a_delete_marks_and_its_removal_brings_back() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let put = f.put("k", b"one").await.unwrap().object;
    let delete = DeleteObject::current(name("b"), key("k"), Precondition::none(), tag);
    let outcome = f.delete_with(delete.clone()).await.unwrap();
    let marker = outcome.marker.unwrap();
    assert_eq!(outcome.removed, Some(put.clone()));
    assert_eq!((marker.id, marker.ordinal), (put.id, put.ordinal + 1));
    for error in [
        f.head("k").await.unwrap_err(),
        f.delete_with(delete.clone()).await.unwrap_err(),
        f.head_version("k", VersionRef::Id(marker.version))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound(Noun::Object));
        assert_eq!(error.marker().map(|m| m.version), Some(marker.version));
    }
    assert_eq!(f.usage("b").await, (0, 0));
    assert_eq!(
        f.read_version("k", VersionRef::Id(put.version))
            .await
            .unwrap(),
        b"one"
    );
    let second = f.mark("k").await;
    assert_eq!(flags(&f).await, ["k:LM", "k:M", "k:"]);
    assert_eq!(kind(f.delete_bucket("b").await), ErrorKind::NotEmpty);
    f.assert_sound().await;
    // The older marker goes, and nothing comes forward below the newer one.
    f.delete_version("k", VersionRef::Id(marker.version))
        .await
        .unwrap();
    assert_eq!(flags(&f).await, ["k:LM", "k:"]);
    f.delete_version("k", VersionRef::Id(second.version))
        .await
        .unwrap();
    assert_eq!(f.head("k").await.unwrap(), put);
    assert_eq!(f.read("k").await.unwrap(), b"one");
    assert_eq!(flags(&f).await, ["k:L"]);
    f.assert_sound().await;
    // A marker of a key that never was.
    f.mark("new").await;
    let after = f.put("new", b"x").await.unwrap();
    assert!(after.created);
    assert_eq!(flags(&f).await, ["k:L", "new:L", "new:M"]);
    assert_eq!(
        f.store.find_by_id(after.object.id).await.unwrap(),
        (name("b"), key("new"))
    );
    f.assert_sound().await;
    for k in ["k", "new"] {
        f.erase(k).await.unwrap();
    }
    assert_eq!(flags(&f).await, Vec::<String>::new());
    assert_eq!(f.rows(0x33).await, []);
    f.assert_sound().await;
}

fn leave(k: &str, version: VersionRef) -> DeleteObject {
    DeleteObject {
        version,
        history: History::Leave,
        ..DeleteObject::current(name("b"), key(k), Precondition::none(), tag)
    }
}

#[tokio::test]
async fn a_key_can_be_left_with_history_and_no_object() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let one = f.put("k", b"one").await.unwrap().object;
    let two = f.put("k", &pattern(3 << 20, 2)).await.unwrap().object;
    let three = f.put("k", b"three").await.unwrap().object;
    let id = |object: &Object| VersionRef::Id(object.version);
    // The current one goes for good, and the one before stays where it is.
    let gone = f.delete_with(leave("k", id(&three))).await.unwrap();
    assert_eq!((gone.removed, gone.marker), (Some(three), None));
    let error = f.head("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound(Noun::Object));
    assert_eq!(error.marker(), None);
    assert_eq!(flags(&f).await, ["k:", "k:"]);
    assert_eq!(f.usage("b").await, (0, 0));
    assert_eq!(f.read_version("k", id(&one)).await.unwrap(), b"one");
    f.assert_sound().await;
    // Nor does what was not shown make room for another.
    f.delete_version("k", id(&two)).await.unwrap();
    assert_eq!(flags(&f).await, ["k:"]);
    f.assert_sound().await;
    // A marker that goes so leaves no object either; one that goes otherwise does.
    let marker = f.mark("k").await;
    f.delete_with(leave("k", id(&marker))).await.unwrap();
    assert_eq!(flags(&f).await, ["k:"]);
    let marker = f.mark("k").await;
    f.delete_version("k", id(&marker)).await.unwrap();
    assert_eq!(flags(&f).await, ["k:L"]);
    // The current one is put away, with its bytes.
    let away = f.delete_with(leave("k", VersionRef::Current)).await;
    assert_eq!(away.unwrap().removed, Some(one.clone()));
    assert_eq!(flags(&f).await, ["k:"]);
    f.assert_sound().await;
    let again = f.delete_with(leave("k", VersionRef::Current)).await;
    assert_eq!(kind(again), ErrorKind::NotFound(Noun::Object));
    let new = f.put("k", b"new").await.unwrap();
    assert!(new.created && new.object.id == one.id && new.object.ordinal > one.ordinal);
    assert_eq!(flags(&f).await, ["k:L", "k:"]);
    f.erase("k").await.unwrap();
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_version_becomes_current_again_as_it_is() {
    let f = Fixture::new().await;
    let reinstate = async |version: &Object| {
        let grants = [
            trestle_access::Action::WriteObject,
            trestle_access::Action::ReadObjectVersion,
        ]
        .map(|action| on_object(action, "b", "k"));
        let version = VersionRef::Id(version.version);
        let (bucket, key) = (name("b"), key("k"));
        f.store.reinstate(&grants, &bucket, &key, version).await
    };
    let null = f.put("k", b"null").await.unwrap().object;
    f.versioning(Versioning::Enabled).await.unwrap();
    let one = f.put("k", &pattern(3 << 20, 1)).await.unwrap().object;
    let two = f.put("k", b"two").await.unwrap().object;
    let back = reinstate(&one).await.unwrap();
    assert_eq!(back.outranked, Some(two.ordinal));
    assert_eq!((back.version, back.modified), (one.version, one.modified));
    assert_eq!(f.read("k").await.unwrap(), pattern(3 << 20, 1));
    assert_eq!(flags(&f).await, ["k:", "k:L", "k:0"]);
    f.assert_sound().await;
    assert_eq!(reinstate(&one).await.unwrap(), back);
    // Each page of the listing goes on where the one before it ended.
    let mut list = ListVersions { limit: 1, ..all() };
    let mut pages = Vec::new();
    loop {
        let page = f.list_versions(&list).await.unwrap();
        pages.extend(page.items.into_iter().map(|item| line(item).2));
        let Some((key, version)) = page.next else {
            break;
        };
        (list.key_marker, list.version_marker) = (Some(key), version);
    }
    assert_eq!(pages, ["", "L", "0"]);
    reinstate(&null).await.unwrap();
    assert_eq!(flags(&f).await, ["k:", "k:", "k:L0"]);
    f.assert_sound().await;
    // What is written next comes after all of them.
    let three = f.put("k", b"three").await.unwrap().object;
    assert_eq!(three.ordinal, two.ordinal + 1);
    assert_eq!(flags(&f).await, ["k:L", "k:", "k:", "k:0"]);
    f.assert_sound().await;
    let marker = f.mark("k").await;
    let error = reinstate(&marker).await.unwrap_err();
    assert_eq!(error.marker().map(|m| m.version), Some(marker.version));
    reinstate(&two).await.unwrap();
    assert_eq!(flags(&f).await, ["k:M", "k:", "k:L", "k:", "k:0"]);
    f.assert_sound().await;
    // When it goes, the newest of the others is shown, if it is no marker.
    f.delete_version("k", VersionRef::Id(two.version))
        .await
        .unwrap();
    assert_eq!(flags(&f).await, ["k:LM", "k:", "k:", "k:0"]);
    reinstate(&one).await.unwrap();
    f.delete_version("k", VersionRef::Id(marker.version))
        .await
        .unwrap();
    f.delete_version("k", VersionRef::Id(one.version))
        .await
        .unwrap();
    assert_eq!(f.read("k").await.unwrap(), b"three");
    assert_eq!(flags(&f).await, ["k:L", "k:0"]);
    // A null version that was current stays in history.
    f.versioning(Versioning::Suspended).await.unwrap();
    f.put("k", b"second null").await.unwrap();
    reinstate(&three).await.unwrap();
    assert_eq!(flags(&f).await, ["k:0", "k:L"]);
    f.assert_sound().await;
    assert_eq!(
        kind(reinstate(&two).await),
        ErrorKind::NotFound(Noun::Version)
    );
    f.erase("k").await.unwrap();
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_suspended_bucket_replaces_the_null_version_alone() {
    let f = Fixture::new().await;
    f.put("k", b"first null").await.unwrap();
    f.versioning(Versioning::Enabled).await.unwrap();
    let kept = f.put("k", b"kept").await.unwrap().object;
    f.versioning(Versioning::Suspended).await.unwrap();
    assert_eq!(flags(&f).await, ["k:L", "k:0"]);
    // In history: replaced.
    let null = f.put("k", b"second null").await.unwrap().object;
    assert!(null.null_version);
    assert_eq!(flags(&f).await, ["k:L0", "k:"]);
    f.assert_sound().await;
    // Current: replaced.
    f.put("k", &pattern(3 << 20, 1)).await.unwrap();
    f.put("k", b"third null").await.unwrap();
    assert_eq!(flags(&f).await, ["k:L0", "k:"]);
    assert_eq!(f.rows(0x40).await, []);
    f.assert_sound().await;
    // By a marker, which is replaced by the next.
    let marker = f.mark("k").await;
    assert!(marker.null_version);
    assert_eq!(flags(&f).await, ["k:LM0", "k:"]);
    f.assert_sound().await;
    f.mark("k").await;
    assert_eq!(flags(&f).await, ["k:LM0", "k:"]);
    f.assert_sound().await;
    let error = f.head_version("k", VersionRef::Null).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound(Noun::Object));
    f.delete_version("k", VersionRef::Null).await.unwrap();
    assert_eq!(f.head("k").await.unwrap(), kept);
    f.assert_sound().await;
    // A version above a null one that is in history.
    f.put("k", b"null").await.unwrap();
    f.versioning(Versioning::Enabled).await.unwrap();
    f.put("k", b"above").await.unwrap();
    f.versioning(Versioning::Suspended).await.unwrap();
    f.mark("k").await;
    assert_eq!(flags(&f).await, ["k:LM0", "k:", "k:"]);
    f.assert_sound().await;
    assert_eq!(
        kind(f.versioning(Versioning::Off).await),
        ErrorKind::InvalidState
    );
}

#[tokio::test]
async fn the_whole_history_of_a_key_can_be_erased() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    // More than one commit takes.
    for i in 0..1100u32 {
        f.put("k", &i.to_be_bytes()).await.unwrap();
    }
    f.put("l", b"stays").await.unwrap();
    let last = f.head("k").await.unwrap();
    let outcome = f.erase("k").await.unwrap();
    assert_eq!((outcome.removed, outcome.marker), (Some(last), None));
    assert_eq!(flags(&f).await, ["l:L"]);
    assert_eq!(f.usage("b").await, (1, 5));
    assert_eq!(f.rows(0x34).await, []);
    f.assert_sound().await;
    assert_eq!(kind(f.erase("k").await), ErrorKind::NotFound(Noun::Object));
    f.mark("k").await;
    assert_eq!(f.erase("k").await.unwrap().removed, None);
    assert_eq!(flags(&f).await, ["l:L"]);
}

/// A page after page at every size gives what one page gives.
#[tokio::test]
async fn pages_of_versions_join_without_gap_or_overlap() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    for k in ["a", "a/1", "a/2", "a\0", "a\0/x", "b", "b//", "c/d/e", "é"] {
        for round in 0..3 {
            if (k.len() + round) % 3 == 0 {
                f.mark(k).await;
            } else {
                f.put(k, k.as_bytes()).await.unwrap();
            }
        }
    }
    // Ordinals whose bytes look like a delimiter.
    for _ in 0..220 {
        f.put("many", b"").await.unwrap();
    }
    f.assert_sound().await;
    for delimiter in [None, Some("/"), Some("\0/"), Some("a")] {
        for prefix in ["", "a", "a/", "c/", "many", "zz"] {
            let whole = ListVersions {
                prefix: prefix.into(),
                delimiter: delimiter.map(str::to_owned),
                ..all()
            };
            let expected = f.list_versions(&whole).await.unwrap();
            assert_eq!(expected.next, None);
            // Against the rules, from the listing without a delimiter.
            let mut naive = Vec::new();
            for item in f.list_versions(&all()).await.unwrap().items {
                let VersionItem::Version { object, .. } = &item else {
                    unreachable!()
                };
                let k = object.key.as_str();
                if !k.starts_with(prefix) {
                    continue;
                }
                let folded = delimiter.and_then(|delimiter| {
                    let at = k[prefix.len()..].find(delimiter)?;
                    Some(k[..prefix.len() + at + delimiter.len()].to_owned())
                });
                match folded {
                    Some(folded) => {
                        if naive.last() != Some(&VersionItem::Prefix(folded.clone())) {
                            naive.push(VersionItem::Prefix(folded));
                        }
                    }
                    None => naive.push(item),
                }
            }
            assert_eq!(expected.items, naive, "{prefix:?} {delimiter:?}");
            for limit in [1, 2, 3, 7] {
                let mut list = ListVersions {
                    limit,
                    ..whole.clone()
                };
                let mut items = Vec::new();
                loop {
                    let page = f.list_versions(&list).await.unwrap();
                    items.extend(page.items);
                    let Some((key, version)) = page.next else {
                        break;
                    };
                    (list.key_marker, list.version_marker) = (Some(key), version);
                }
                assert_eq!(items, expected.items, "{prefix:?} {delimiter:?} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_listing_goes_on_where_a_version_was_deleted() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let mut versions = Vec::new();
    for _ in 0..4 {
        f.clock.advance(std::time::Duration::from_millis(2));
        versions.push(f.put("k", b"x").await.unwrap().object.version);
    }
    versions.reverse();
    for at in 0..3 {
        let version = versions[at];
        f.delete_version("k", VersionRef::Id(version))
            .await
            .unwrap();
        let list = ListVersions {
            key_marker: Some("k".into()),
            version_marker: Some(VersionRef::Id(version)),
            ..all()
        };
        let page = f.list_versions(&list).await.unwrap();
        let ids: Vec<_> = page.items.into_iter().map(|item| line(item).1).collect();
        assert_eq!(ids, versions[at + 1..]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writes_and_deletes_of_versions_keep_every_rule() {
    let f = std::sync::Arc::new(Fixture::new().await);
    f.versioning(Versioning::Enabled).await.unwrap();
    let tasks: Vec<_> = (0..8usize)
        .map(|task| {
            let f = f.clone();
            tokio::spawn(async move {
                for i in 0..40usize {
                    let k = format!("k{}", (task + i) % 3);
                    match (task * 5 + i * 3) % 7 {
                        0 | 1 => {
                            f.mark(&k).await;
                        }
                        2 | 3 => {
                            let list = ListVersions {
                                prefix: k.clone(),
                                ..all()
                            };
                            let items = f.list_versions(&list).await.unwrap().items;
                            let chosen = items.into_iter().nth(i % 2).map(line);
                            if let Some((_, version, _)) = chosen {
                                let deleted = f.delete_version(&k, VersionRef::Id(version)).await;
                                if let Err(error) = deleted {
                                    assert_eq!(error.kind(), ErrorKind::NotFound(Noun::Version));
                                }
                            }
                        }
                        4 if i % 10 == 0 => {
                            let state = match task % 2 {
                                0 => Versioning::Suspended,
                                _ => Versioning::Enabled,
                            };
                            f.versioning(state).await.unwrap();
                        }
                        _ => {
                            f.put(&k, &pattern(i * 5, task as u8)).await.unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    f.assert_sound().await;
    let mut latest: BTreeMap<String, usize> = BTreeMap::new();
    for (key, _, flags) in shown(&f).await {
        *latest.entry(key).or_default() += usize::from(flags.contains('L'));
    }
    assert!(latest.values().all(|count| *count == 1), "{latest:?}");
}

#[tokio::test]
async fn a_bucket_changes_only_by_the_rights_and_rules_of_each_part() {
    use trestle_access::Action;
    let f = Fixture::new().await;
    let on = |actions: &[Action]| -> Vec<_> {
        actions
            .iter()
            .map(|action| on_bucket(*action, "b"))
            .collect()
    };
    let b = name("b");
    let set_both = |properties: &mut BucketProperties| {
        properties.tags.insert("a".into(), "b".into());
        properties.documents.insert("cors".into(), "[]".into());
        Ok(())
    };
    for missing in [
        vec![],
        on(&[Action::WriteBucketTags]),
        on(&[Action::WriteBucketCors, Action::WriteBucketPolicy]),
    ] {
        let refused = f.store.update_bucket(&missing, &b, &set_both).await;
        assert_eq!(kind(refused), ErrorKind::Forbidden);
    }
    let both = on(&[Action::WriteBucketTags, Action::WriteBucketCors]);
    let updated = f.store.update_bucket(&both, &b, &set_both).await.unwrap();
    let grant = on_bucket(Action::ReadBucketTags, "b");
    assert_eq!(f.store.bucket(&grant, &b).await.unwrap().0, updated);
    // The same again needs nothing.
    f.store.update_bucket(&[], &b, &set_both).await.unwrap();

    let lock = on(&[Action::WriteBucketLock, Action::WriteBucketVersioning]);
    let set_lock = |properties: &mut BucketProperties| {
        properties.lock = Some(ObjectLock::default());
        Ok(())
    };
    let refused = f.store.update_bucket(&lock, &b, &set_lock).await;
    assert_eq!(kind(refused), ErrorKind::InvalidState);
    f.versioning(Versioning::Enabled).await.unwrap();
    f.store.update_bucket(&lock, &b, &set_lock).await.unwrap();
    assert_eq!(
        kind(f.versioning(Versioning::Suspended).await),
        ErrorKind::InvalidState
    );
    let unlock = f.store.update_bucket(&lock, &b, &|properties| {
        properties.lock = None;
        Ok(())
    });
    assert_eq!(kind(unlock.await), ErrorKind::InvalidState);
    let large = f.store.update_bucket(&both, &b, &|properties| {
        let text = "x".repeat(256 << 10);
        properties.documents.insert("cors".into(), text);
        Ok(())
    });
    assert_eq!(kind(large.await), ErrorKind::TooLarge);

    let grant = on_bucket(Action::CreateBucket, "locked");
    let properties = BucketProperties {
        versioning: Versioning::Enabled,
        lock: Some(ObjectLock::default()),
        ..BucketProperties::default()
    };
    let locked = name("locked");
    let made = f
        .store
        .create_bucket_with(&grant, &locked, properties.clone());
    assert_eq!(made.await.unwrap().properties, properties);
    f.assert_sound().await;
}
