//! Manifests: objects that stand for the bytes of others.

use crate::copies::{a_copy, ranged};
use crate::fixture::*;
use bytes::Bytes;
use std::sync::Arc;
use trestle_access::{Action, Asked, Principal, Resource};
use trestle_core::*;
use trestle_store::*;

fn segment(object: &Object, range: Option<(u64, u64)>) -> Segment {
    Segment::Object(ObjectSegment {
        bucket: name("b"),
        key: object.key.clone(),
        length: object.length(),
        tag: object.content_tag(),
        range: range.map(|(start, end)| ResolvedRange { start, end }),
        nested: object.has_segments(),
        media_type: "text/plain".into(),
        modified: object.modified,
    })
}

fn inline(text: &'static str) -> Segment {
    Segment::Inline(Bytes::from_static(text.as_bytes()))
}

fn by_prefix(bucket: &str, prefix: &str) -> PutObject {
    let mut put = a_put("b", "joined");
    put.properties.manifest = Some(Manifest::Prefix {
        bucket: name(bucket),
        prefix: prefix.into(),
        found: None,
    });
    put
}

impl Fixture {
    async fn join(&self, k: &str, segments: &[Segment]) -> Result<PutOutcome> {
        let grant = on_object(Action::WriteObject, "b", k);
        let put = a_put("b", k);
        self.store.put_manifest(&grant, put, segments).await
    }

    async fn read_itself(&self, k: &str) -> ObjectReader {
        let read = ReadObject {
            bucket: name("b"),
            key: key(k),
            version: VersionRef::Current,
        };
        let grant = on_object(Action::ReadObject, "b", k);
        self.store.open_itself(&grant, &read).await.unwrap()
    }
}

#[tokio::test]
async fn a_manifest_reads_as_one_object() {
    let f = Fixture::new().await;
    let large = pattern((1 << 20) + 3, 1);
    let a = f.put("a", b"0123456789").await.unwrap().object;
    let big = f.put("big", &large).await.unwrap().object;
    let inner = [segment(&a, Some((2, 5))), inline("xyz")];
    let inner = f.join("inner", &inner).await.unwrap().object;
    let segments = [
        segment(&a, None),
        segment(&big, None),
        segment(&inner, None),
        segment(&inner, Some((2, 4))),
        inline("!"),
    ];
    let outer = f.join("outer", &segments).await.unwrap().object;
    let expected = [b"0123456789", &large[..], b"234xyz", b"4x", b"!"].concat();
    assert_eq!(outer.length(), expected.len() as u64);
    assert_eq!(f.head("outer").await.unwrap(), outer);
    assert_eq!(f.read("outer").await.unwrap(), expected);
    let end = expected.len() as u64;
    for (start, stop) in [
        (0, 0),
        (3, 12),
        (end - 7, end),
        (end - 9, end - 6),
        (end, end),
    ] {
        let part = &expected[start as usize..stop as usize];
        assert_eq!(f.read_range("outer", start, stop).await.unwrap(), part);
    }
    assert!(f.read_range("outer", 0, end + 1).await.is_err());
    let own = f.read_itself("outer").await.into_segments().await.unwrap();
    assert_eq!(own, segments);
    assert_eq!(outer.content_tag(), joined_digest(&segments).hex());
    let read = on_object(Action::ReadObject, "b", "outer");
    let place = (&name("b"), &key("outer"), VersionRef::Current);
    let (_, parts, next) = f.store.object_parts(&read, place, 1, 2).await.unwrap();
    let found: Vec<_> = parts
        .iter()
        .map(|p| (p.part.number, p.offset, p.length))
        .collect();
    assert_eq!(
        found,
        [(2, 10, large.len() as u64), (3, 10 + large.len() as u64, 6)]
    );
    assert_eq!(next, Some(3));
    f.assert_sound().await;
}

#[tokio::test]
async fn a_segment_must_be_what_the_manifest_says() {
    let f = Fixture::new().await;
    let a = f.put("a", b"aaa").await.unwrap().object;
    let b = f.put("b", b"bbb").await.unwrap().object;
    f.join("m", &[segment(&a, None), segment(&b, None)])
        .await
        .unwrap();
    f.put("b", b"BBB").await.unwrap();
    // What comes before is right; then the stream ends with an error.
    assert_eq!(f.read_range("m", 0, 3).await.unwrap(), b"aaa");
    assert_eq!(kind(f.read("m").await), ErrorKind::Conflict);
    f.delete_in("b", "a").await.unwrap();
    assert_eq!(kind(f.read("m").await), ErrorKind::Conflict);
    // The manifest has none of its segments; itself it is still there.
    assert_eq!(f.head("m").await.unwrap().length(), 6);
    f.assert_sound().await;
    let beyond = segment(&a, Some((1, 4)));
    assert_eq!(kind(f.join("x", &[beyond]).await), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn manifests_nest_only_so_deep() {
    let f = Fixture::new().await;
    let mut inner = f.put("0", b"x").await.unwrap().object;
    for depth in 1..=NESTING_MAX + 1 {
        let k = depth.to_string();
        inner = f.join(&k, &[segment(&inner, None)]).await.unwrap().object;
    }
    let deepest = NESTING_MAX.to_string();
    assert_eq!(f.read(&deepest).await.unwrap(), b"x");
    let beyond = (NESTING_MAX + 1).to_string();
    assert_eq!(kind(f.read(&beyond).await), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_prefix_is_looked_up_when_it_is_read() {
    let f = Fixture::new().await;
    f.put_with(by_prefix("b", "part/"), b"own").await.unwrap();
    assert_eq!(f.read("joined").await.unwrap(), b"");
    f.put("part/2", b"two").await.unwrap();
    f.put("part/1", b"one").await.unwrap();
    let seen = f.head("joined").await.unwrap();
    assert_eq!((seen.length(), seen.stored_length()), (6, 3));
    assert_eq!(f.read("joined").await.unwrap(), b"onetwo");
    assert_eq!(f.read_range("joined", 2, 5).await.unwrap(), b"etw");
    f.put("part/3", b"three").await.unwrap();
    let later = f.head("joined").await.unwrap();
    assert_ne!(later.revision(), seen.revision());
    assert_eq!(f.read("joined").await.unwrap(), b"onetwothree");
    let itself = f.read_itself("joined").await;
    assert_eq!(itself.length(), 3);
    let range = ResolvedRange { start: 0, end: 3 };
    assert_eq!(
        collect(itself.into_bytes(range).await.unwrap())
            .await
            .unwrap(),
        b"own"
    );
    // It is one property among others: taken away, the object's own bytes are back.
    let update = UpdateObject {
        bucket: name("b"),
        key: key("joined"),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
    };
    let grants = [on_object(Action::WriteObject, "b", "joined")];
    let plain = |properties: &mut ObjectProperties| {
        properties.manifest = None;
        Ok(())
    };
    f.store
        .update_object(&grants, &update, &plain)
        .await
        .unwrap();
    assert_eq!(f.read("joined").await.unwrap(), b"own");
    f.put_with(by_prefix("nowhere", ""), b"").await.unwrap();
    assert_eq!(kind(f.read("joined").await), ErrorKind::Conflict);
    assert_eq!(kind(f.head("joined").await), ErrorKind::Conflict);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_copy_has_the_bytes_unless_the_manifest_itself_is_meant() {
    let f = Fixture::new().await;
    let a = f.put("a", b"0123456789").await.unwrap().object;
    f.join("m", &[segment(&a, None), inline("xyz")])
        .await
        .unwrap();
    f.put_with(by_prefix("b", "a"), b"own").await.unwrap();
    for (source, bytes) in [("m", &b"0123456789xyz"[..]), ("joined", b"0123456789")] {
        let copied = f.copy(a_copy(source, "b", "copy")).await.unwrap().object;
        assert_eq!(
            (copied.manifest.clone(), copied.written.clone()),
            (None, Written::Whole)
        );
        assert_eq!(f.read("copy").await.unwrap(), bytes);
        f.copy(ranged(source, "copy", 8, 9)).await.unwrap();
        assert_eq!(f.read("copy").await.unwrap(), b"89");
        let mut itself = a_copy(source, "b", "itself");
        itself.source.itself = true;
        f.copy(itself).await.unwrap();
        assert_eq!(f.read("itself").await.unwrap(), bytes);
        assert!(f.head("itself").await.unwrap().manifest.is_some());
    }
    let mut part = ranged("m", "part", 0, 1);
    part.source.itself = true;
    assert_eq!(kind(f.copy(part).await), ErrorKind::InvalidInput);
    f.assert_sound().await;
}

#[tokio::test]
async fn segments_are_set_by_their_verb_alone() {
    let f = Fixture::new().await;
    let a = f.put("a", b"abc").await.unwrap().object;
    let mut put = a_put("b", "forged");
    put.properties.manifest = Some(Manifest::Segments { length: 7 });
    assert_eq!(kind(f.put_with(put, b"x").await), ErrorKind::InvalidInput);
    f.join("m", &[segment(&a, None)]).await.unwrap();
    let update = UpdateObject {
        bucket: name("b"),
        key: key("m"),
        version: VersionRef::Current,
        precondition: Precondition::none(),
        tag_of: tag,
    };
    let grants = [on_object(Action::WriteObject, "b", "m")];
    let plain = |properties: &mut ObjectProperties| {
        properties.manifest = None;
        Ok(())
    };
    let updated = f.store.update_object(&grants, &update, &plain).await;
    assert_eq!(kind(updated), ErrorKind::InvalidInput);
    // Written anew it is what any object is.
    f.put("m", b"plain").await.unwrap();
    assert_eq!(f.read("m").await.unwrap(), b"plain");
}

#[tokio::test]
async fn only_own_bytes_count_against_a_quota() {
    let f = Fixture::new().await;
    let a = f.put("a", &pattern(1 << 20, 1)).await.unwrap().object;
    let many = vec![segment(&a, None); 50];
    let m = f.join("m", &many).await.unwrap().object;
    let bucket = on_bucket(Action::ReadBucket, "b");
    let (_, usage) = f.store.bucket(&bucket, &name("b")).await.unwrap();
    assert_eq!(m.length(), 50 << 20);
    assert_eq!(usage.bytes, (1 << 20) + m.stored_length());
    // Many segments are kept as any content is.
    let many = vec![segment(&a, None); 5000];
    let m = f.join("m", &many).await.unwrap().object;
    assert_eq!(m.length(), 5000 << 20);
    assert_eq!(
        f.read_range("m", 4999 << 20, (4999 << 20) + 5)
            .await
            .unwrap()
            .len(),
        5
    );
    f.assert_sound().await;
}

#[tokio::test]
async fn the_reader_needs_rights_on_the_segments() {
    let f = Fixture::new().await;
    f.create("c").await.unwrap();
    let secret = f.put("secret", b"secret").await.unwrap().object;
    let segments = [segment(&secret, None)];
    let write = on_object(Action::WriteObject, "c", "m");
    let put = a_put("c", "m");
    f.store.put_manifest(&write, put, &segments).await.unwrap();
    // Everybody may read `c`, and nobody but its owner `b`.
    let acl = |properties: &mut BucketProperties| {
        let everyone = trestle_access::Grantee::Everyone;
        let read = trestle_access::Permission::ReadContents;
        let acl = trestle_access::Acl::default().grant(everyone, read);
        properties.acl = Some(acl.to_text()?);
        Ok(())
    };
    let grants = [on_bucket(Action::WriteBucketAcl, "c")];
    f.store
        .update_bucket(&grants, &name("c"), &acl)
        .await
        .unwrap();
    let asked = Asked {
        principal: Arc::new(Principal::anonymous()),
        action: Action::ReadObject,
        resource: Resource::Object(name("c"), key("m")),
        context: Arc::default(),
    };
    let grant = f.store.authorize(asked).await.unwrap();
    let read = ReadObject {
        bucket: name("c"),
        key: key("m"),
        version: VersionRef::Current,
    };
    let reader = f.store.open_object(&grant, &read).await.unwrap();
    let range = ResolvedRange { start: 0, end: 6 };
    assert_eq!(kind(reader.into_bytes(range).await), ErrorKind::Forbidden);
}
