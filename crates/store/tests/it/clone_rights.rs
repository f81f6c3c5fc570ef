//! Who may clone a bucket, and what lists and limits say of the clone.

use crate::fixture::*;
use crate::rights::{granted, user};
use std::sync::Arc;
use trestle_access::{
    Acl, AclEntry, Action, EntryKind, Grantee, Permission, Principal, Resource, Who, bits,
};
use trestle_core::*;
use trestle_store::*;

#[tokio::test]
async fn what_may_not_all_be_read_is_not_cloned() {
    let f = Fixture::new().await;
    for k in ["open", "secret"] {
        f.put(k, b"x").await.unwrap();
    }
    f.snap("s", "").await.unwrap();
    let all = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/secret"}"#;
    let whole = user(&f, "whole", all).await;
    let bound = user(&f, "bound", &format!("{all},{deny}")).await;
    for (who, source, allowed) in [
        (&whole, "b__s", true),
        (&bound, "b__s", false),
        (&bound, "b", false),
    ] {
        let target = format!("c{}", source.len());
        let clone = CloneBucket {
            source: name(source),
            prefix: String::new(),
            name: name(&target),
        };
        let source = Resource::Bucket(name(source));
        let to = Resource::Bucket(name(&target));
        let grants = [
            granted(&f, who, Action::CloneBucket, source).await.unwrap(),
            granted(&f, who, Action::CreateBucket, to).await.unwrap(),
        ];
        let cloned = f.store.clone_bucket(&grants, &clone).await;
        assert_eq!(cloned.is_ok(), allowed);
        if let Err(error) = cloned {
            assert_eq!(error.kind(), ErrorKind::Forbidden);
        }
    }
    f.assert_sound().await;
}

/// A clone of `source` as who asks would make it.
async fn cloned(f: &Fixture, who: &Arc<Principal>, source: &str, to: &str) -> Result<()> {
    let clone = CloneBucket {
        source: name(source),
        prefix: String::new(),
        name: name(to),
    };
    let from = Resource::Bucket(name(source));
    let made = Resource::Bucket(name(to));
    let grants = [
        granted(f, who, Action::CloneBucket, from).await?,
        granted(f, who, Action::CreateBucket, made).await?,
    ];
    f.store.clone_bucket(&grants, &clone).await.map(drop)
}

/// What comes along with the bytes is decided as they are, where there is any of it.
#[tokio::test]
async fn what_may_not_all_be_seen_is_not_cloned() {
    let f = Fixture::new().await;
    f.put("k", b"x").await.unwrap();
    f.snap("bare", "").await.unwrap();
    let all = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let mut denied = Vec::new();
    for (action, of_bare) in [
        ("trestle:ReadObject", false),
        ("trestle:ReadObjectMetadata", false),
        ("s3:GetObjectTagging", true),
        ("s3:GetObjectAcl", true),
        ("s3:GetBucketTagging", true),
        ("trestle:ReadBucketMetadata", true),
    ] {
        let who = action.rsplit(':').next().unwrap().to_lowercase();
        let deny = format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"*"}}"#);
        let bound = user(&f, &who, &format!("{all},{deny}")).await;
        let made = cloned(&f, &bound, "b__bare", &format!("c-{who}")).await;
        assert_eq!(made.is_ok(), of_bare, "{action}: {made:?}");
        denied.push(bound);
    }
    let grantee = Grantee::User(account().to_string(), "ann".to_owned());
    let list = Acl::default().grant(grantee, Permission::Read);
    let list = list.to_text().unwrap();
    let change = |p: &mut ObjectProperties| {
        p.acl = Some(list.clone());
        p.tags.insert("class".to_owned(), "secret".to_owned());
        Ok(())
    };
    let write = [Action::WriteObjectAcl, Action::WriteObjectTags];
    let described = f.update("k", VersionRef::Current, &write, &change);
    described.await.unwrap();
    let change = |p: &mut BucketProperties| {
        p.tags.insert("class".to_owned(), "secret".to_owned());
        p.metadata.insert("of".to_owned(), "secrets".into());
        Ok(())
    };
    f.update_bucket(&change).await.unwrap();
    f.snap("rich", "").await.unwrap();
    for bound in denied {
        let to = format!("r-{}", bound.user);
        let refused = cloned(&f, &bound, "b__rich", &to).await;
        let refused = refused.map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::Forbidden), "{}", bound.user);
    }
    let whole = user(&f, "whole", all).await;
    cloned(&f, &whole, "b__rich", "whole").await.unwrap();
    f.assert_sound().await;
}

/// A clone of one object has its tags and metadata, of the version that it is of.
#[tokio::test]
async fn an_object_is_cloned_with_what_may_be_seen_of_it() {
    let f = Fixture::new().await;
    f.versioning(Versioning::Enabled).await.unwrap();
    let mut described = a_put("b", "k");
    let metadata = &mut described.properties.metadata;
    metadata.insert("of".to_owned(), "secrets".into());
    let first = f.put_with(described.clone(), b"x").await.unwrap();
    let first = first.object.version;
    let change = |p: &mut ObjectProperties| {
        p.tags.insert("class".to_owned(), "secret".to_owned());
        Ok(())
    };
    let write = [Action::WriteObjectTags];
    let tagged = f.update("k", VersionRef::Current, &write, &change);
    tagged.await.unwrap();
    f.put_with(described, b"without tags").await.unwrap();
    let all = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    let current = VersionRef::Current;
    let former = VersionRef::Id(first);
    for (action, denied) in [
        ("trestle:ReadObjectMetadata", vec![current]),
        ("trestle:ReadObjectVersionMetadata", vec![former]),
        ("s3:GetObjectTagging", vec![]),
        ("s3:GetObjectVersionTagging", vec![former]),
    ] {
        let who = action.rsplit(':').next().unwrap().to_lowercase();
        let deny = format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"*"}}"#);
        let bound = user(&f, &who, &format!("{all},{deny}")).await;
        for (version, read) in [
            (current, Action::ReadObject),
            (former, Action::ReadObjectVersion),
        ] {
            let to = format!("{who}-{}", version == current);
            let clone = CloneObject {
                source: Source {
                    key_of_client: None,
                    itself: true,
                    bucket: name("b"),
                    key: key("k"),
                    version,
                    precondition: Precondition::none(),
                    tag_of: tag,
                    range: None,
                },
                bucket: name("b"),
                key: key(&to),
                precondition: Precondition::absent(),
                tag_of: tag,
                frozen: false,
            };
            let of = |k: &str| Resource::Object(name("b"), key(k));
            let read = granted(&f, &bound, read, of("k")).await.unwrap();
            let write = granted(&f, &bound, Action::WriteObject, of(&to)).await;
            let write = write.unwrap();
            let made = f.store.clone_object(&read, &write, &clone);
            let made = made.await.map(drop).map_err(|error| error.kind());
            let expected = match denied.contains(&version) {
                true => Err(ErrorKind::Forbidden),
                false => Ok(()),
            };
            assert_eq!(made, expected, "{action} {version:?}");
        }
    }
    f.assert_sound().await;
}

/// The clone has no policy, so what the source's denies would be open there.
#[tokio::test]
async fn what_a_bucket_s_policy_denies_root_is_not_cloned() {
    let f = Fixture::new().await;
    f.put("secret", b"x").await.unwrap();
    f.snap("s", "").await.unwrap();
    let root = Arc::new(Principal::root(account(), "root"));
    for (key, allowed) in [("secret", false), ("other", true)] {
        let set = |bucket: &mut BucketProperties| {
            bucket.policy = Some(format!(
                r#"{{"Statement":{{"Effect":"Deny","Principal":"*",
                "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{key}"}}}}"#
            ));
            Ok(())
        };
        let write = [on_bucket(Action::WriteBucketPolicy, "b")];
        let set = f.store.update_bucket(&write, &name("b"), &set).await;
        set.unwrap();
        let target = format!("c-{key}");
        let clone = CloneBucket {
            source: name("b__s"),
            prefix: String::new(),
            name: name(&target),
        };
        let source = Resource::Bucket(name("b__s"));
        let to = Resource::Bucket(name(&target));
        let grants = [
            granted(&f, &root, Action::CloneBucket, source)
                .await
                .unwrap(),
            granted(&f, &root, Action::CreateBucket, to).await.unwrap(),
        ];
        let cloned = f.store.clone_bucket(&grants, &clone).await;
        assert_eq!(cloned.is_ok(), allowed, "{key}: {cloned:?}");
    }
}

/// What root may not read in the source is closed to it in the clone, also once it is the clone's own.
#[tokio::test]
async fn an_object_s_ordered_list_binds_in_a_clone_as_in_its_source() {
    let f = Fixture::new().await;
    for k in ["open", "closed"] {
        f.put(k, b"x").await.unwrap();
    }
    let entry = |kind, mask| AclEntry {
        kind,
        who: Who::Everyone,
        flags: 0,
        mask,
        expires: None,
    };
    let deny = entry(EntryKind::Deny, bits::READ);
    let acl = Acl {
        entries: Some(vec![deny, entry(EntryKind::Allow, 0x1f_ffff)]),
        ..Acl::default()
    };
    let text = acl.to_text().unwrap();
    let change = |p: &mut ObjectProperties| {
        p.acl = Some(text.clone());
        Ok(())
    };
    let write = [Action::WriteObjectAcl];
    let closed = f.update("closed", VersionRef::Current, &write, &change);
    closed.await.unwrap();
    f.clone_bucket("b", "c").await.unwrap();
    let root = Arc::new(Principal::root(account(), "root"));
    let reads = async |bucket: &str, k: &str| {
        let on = Resource::Object(name(bucket), key(k));
        let read = ReadObject {
            bucket: name(bucket),
            key: key(k),
            version: VersionRef::Current,
        };
        let grant = granted(&f, &root, Action::ReadObject, on).await?;
        f.store.open_object(&grant, &read).await.map(drop)
    };
    for round in ["inherited", "own"] {
        for bucket in ["b", "c"] {
            reads(bucket, "open").await.unwrap();
            let refused = reads(bucket, "closed").await.map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::Forbidden), "{bucket}, {round}");
        }
        let update = UpdateObject {
            bucket: name("c"),
            key: key("closed"),
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of: tag,
        };
        let change = |p: &mut ObjectProperties| {
            p.tags.insert("class".to_owned(), "own".to_owned());
            Ok(())
        };
        let grants = [on_object(Action::WriteObjectTags, "c", "closed")];
        f.store
            .update_object(&grants, &update, &change)
            .await
            .unwrap();
    }
    f.assert_sound().await;
}

#[tokio::test]
async fn a_clone_is_one_of_the_buckets_that_an_account_may_have() {
    let f = Fixture::new().await;
    f.store.set_buckets_per_account(Some(2));
    f.clone_bucket("b", "c").await.unwrap();
    let refused = f.clone_bucket("b", "d").await.map_err(|error| error.kind());
    assert_eq!(refused.map(drop), Err(ErrorKind::QuotaExceeded));
    f.assert_sound().await;
}

#[tokio::test]
async fn the_clone_of_a_directory_lists_nothing_beside_it() {
    let f = Fixture::new().await;
    for k in ["a", "d/x", "m/1", "m/n/2", "z"] {
        f.put(k, b"v").await.unwrap();
    }
    let clone = CloneBucket {
        source: name("b"),
        prefix: "m/".to_owned(),
        name: name("c"),
    };
    let grants = [
        on_bucket(Action::CloneBucket, "b"),
        on_bucket(Action::CreateBucket, "c"),
    ];
    f.store.clone_bucket(&grants, &clone).await.unwrap();
    // What folds before and after the directory must not lead the walk out of it.
    for k in ["!/x", "zz/x"] {
        f.put_with(a_put("c", k), b"own").await.unwrap();
    }
    for reverse in [false, true] {
        let list = ListObjects {
            bucket: name("c"),
            prefix: String::new(),
            delimiter: Some("/".to_owned()),
            after: None,
            until: None,
            reverse,
            limit: 1000,
        };
        let grant = on_bucket(Action::ListObjects, "c");
        let items = f.store.list(&grant, &list).await.unwrap().items;
        let shown = |item: ListingItem| match item {
            ListingItem::Object(object) => object.key.as_str().to_owned(),
            ListingItem::Prefix(prefix) => prefix,
        };
        let mut found: Vec<String> = items.into_iter().map(shown).collect();
        found.sort();
        assert_eq!(found, ["!/", "m/", "zz/"], "{reverse}");
    }
    f.assert_sound().await;
}
