//! Encrypted contents: read back as they were, in ranges too, copied, and of no use without the key.

use crate::fixture::body;
use crate::fixture::{
    Fixture, a_put, account, collect, key, kind, master, name, on_bucket, on_object, pattern,
};
use crate::uploads::complete;
use trestle_access::Action;
use trestle_core::{ErrorKind, ResolvedRange, Result};
use trestle_host::Host;
use trestle_store::{
    BodyChecks, BucketProperties, CopyObject, CopyPart, CreateUpload, CustomerKey, Encrypt,
    Encryption, MasterKey, Object, ObjectProperties, ReadObject, SecretKey, Source, Store,
    UploadKey, UploadPart, VersionRef,
};

const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 131_000, 131_073, 3_000_000];

fn customer(byte: u8) -> CustomerKey {
    CustomerKey {
        key: SecretKey::from_bytes([byte; 32]),
        digest: [byte; 16],
    }
}

async fn put(f: &Fixture, k: &str, bytes: &[u8], encrypt: Encrypt) -> Object {
    let mut put = a_put("b", k);
    put.encrypt = Some(encrypt);
    f.put_with(put, bytes).await.unwrap().object
}

async fn read(
    store: &Store,
    k: &str,
    given: Option<CustomerKey>,
    range: (u64, u64),
) -> Result<Vec<u8>> {
    let read = ReadObject {
        bucket: name("b"),
        key: key(k),
        version: VersionRef::Current,
    };
    let grant = on_object(Action::ReadObject, "b", k);
    let reader = store.open_object(&grant, &read).await?.with_key(given)?;
    let (start, end) = range;
    collect(reader.into_bytes(ResolvedRange { start, end }).await?).await
}

fn copy(from: &str, to: &str) -> CopyObject {
    let put = a_put("b", to);
    CopyObject {
        source: Source {
            bucket: name("b"),
            key: key(from),
            version: VersionRef::Current,
            precondition: put.precondition.clone(),
            tag_of: put.tag_of,
            range: None,
            key_of_client: None,
            itself: false,
        },
        bucket: name("b"),
        key: key(to),
        precondition: put.precondition,
        tag_of: put.tag_of,
        checksum: None,
        encrypt: None,
    }
}

async fn copied(f: &Fixture, copy: CopyObject) -> Result<Object> {
    let from = on_object(Action::ReadObject, "b", copy.source.key.as_str());
    let to = on_object(Action::WriteObject, "b", copy.key.as_str());
    let keep = |object: &Object| Ok(object.properties());
    Ok(f.store.copy(&from, &to, copy, &keep).await?.object)
}

/// Whether the engine holds a run of the plain bytes anywhere.
async fn is_stored_plain(f: &Fixture, plain: &[u8]) -> bool {
    let needle = &plain[..32.min(plain.len())];
    for table in 0..=u8::MAX {
        for (_, body) in f.bodies(table).await {
            if body.windows(needle.len()).any(|window| window == needle) {
                return true;
            }
        }
    }
    false
}

#[tokio::test]
async fn any_range_of_any_size_comes_back() {
    let f = Fixture::new().await;
    for size in SIZES {
        let plain = pattern(size, 3);
        for (k, encrypt, given) in [
            ("store", Encrypt::Store, None),
            ("named", Encrypt::Named("blue".into()), None),
            (
                "customer",
                Encrypt::Customer(customer(1)),
                Some(customer(1)),
            ),
        ] {
            let object = put(&f, k, &plain, encrypt.clone()).await;
            assert_eq!(object.encryption, Some(encrypt.encryption()));
            assert_eq!(object.length(), size as u64);
            let all = (0, size as u64);
            assert_eq!(read(&f.store, k, given.clone(), all).await.unwrap(), plain);
            for (start, end) in [(0, size / 2), (size / 3, size / 2), (size / 2, size)] {
                let range = (start as u64, end as u64);
                let part = read(&f.store, k, given.clone(), range).await.unwrap();
                assert_eq!(part, plain[start..end]);
            }
        }
    }
    f.assert_sound().await;
}

#[tokio::test]
async fn nothing_plain_is_stored_and_the_same_bytes_never_look_alike() {
    let f = Fixture::new().await;
    let small = pattern(1_000, 5);
    let large = pattern(400_000, 6);
    put(&f, "a", &small, Encrypt::Store).await;
    put(&f, "b", &large, Encrypt::Store).await;
    assert!(!is_stored_plain(&f, &small).await);
    assert!(!is_stored_plain(&f, &large).await);
    f.put("plain", &small).await.unwrap();
    assert!(is_stored_plain(&f, &small).await);
}

#[tokio::test]
async fn a_key_of_the_client_is_needed_and_no_other_will_do() {
    let f = Fixture::new().await;
    put(&f, "k", b"secret", Encrypt::Customer(customer(1))).await;
    put(&f, "s", b"secret", Encrypt::Store).await;
    let wrong_key = CustomerKey {
        key: SecretKey::from_bytes([2; 32]),
        digest: [1; 16],
    };
    for given in [None, Some(customer(2)), Some(wrong_key)] {
        let refused = kind(read(&f.store, "k", given, (0, 6)).await);
        assert_eq!(refused, ErrorKind::WrongKey);
    }
    let needless = kind(read(&f.store, "s", Some(customer(1)), (0, 6)).await);
    assert_eq!(needless, ErrorKind::WrongKey);
}

#[tokio::test]
async fn a_bucket_says_how_what_nobody_speaks_of_is_encrypted() {
    let f = Fixture::new().await;
    f.set_encryption(Some(Encryption::Named("green".into())))
        .await
        .unwrap();
    let object = f.put("k", b"v").await.unwrap().object;
    assert_eq!(object.encryption, Some(Encryption::Named("green".into())));
    assert_eq!(f.read("k").await.unwrap(), b"v");
    let digest = [0; 16];
    let refused = f
        .set_encryption(Some(Encryption::Customer { digest }))
        .await;
    assert_eq!(kind(refused), ErrorKind::InvalidInput);
    f.set_encryption(None).await.unwrap();
    assert_eq!(f.put("k", b"v").await.unwrap().object.encryption, None);
    f.assert_sound().await;
}

#[tokio::test]
async fn a_copy_is_encrypted_as_it_is_to_be() {
    let f = Fixture::new().await;
    for size in [10, 700_000] {
        let plain = pattern(size, 9);
        let all = (0, size as u64);
        let source = put(&f, "store", &plain, Encrypt::Store).await;

        // As the source is: its bytes are referred to.
        let object = copied(&f, copy("store", "same")).await.unwrap();
        assert_eq!(object.encryption, Some(Encryption::Store));
        assert_eq!(object.content, source.content);
        assert_eq!(read(&f.store, "same", None, all).await.unwrap(), plain);

        let mut to_customer = copy("store", "customer");
        to_customer.encrypt = Some(Encrypt::Customer(customer(1)));
        let object = copied(&f, to_customer).await.unwrap();
        assert_eq!(object.digests, source.digests);
        let given = Some(customer(1));
        assert_eq!(read(&f.store, "customer", given, all).await.unwrap(), plain);

        let without = copied(&f, copy("customer", "no")).await;
        assert_eq!(kind(without), ErrorKind::WrongKey);
        let mut to_plain = copy("customer", "plain");
        to_plain.source.key_of_client = Some(customer(1));
        assert_eq!(copied(&f, to_plain).await.unwrap().encryption, None);
        assert_eq!(read(&f.store, "plain", None, all).await.unwrap(), plain);

        let mut to_named = copy("plain", "named");
        to_named.encrypt = Some(Encrypt::Named("blue".into()));
        copied(&f, to_named).await.unwrap();
        assert_eq!(read(&f.store, "named", None, all).await.unwrap(), plain);
        f.delete("store").await.unwrap();
        assert_eq!(read(&f.store, "same", None, all).await.unwrap(), plain);
    }
    f.assert_sound().await;
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn what_was_encrypted_before_a_rotation_is_still_read() {
    let f = Fixture::new().await;
    put(&f, "old", b"old", Encrypt::Store).await;
    f.store.rotate_key("contents").await.unwrap();
    put(&f, "new", b"new", Encrypt::Store).await;
    let other = open(&f, Some(master())).await.unwrap();
    for k in ["old", "new"] {
        let bytes = read(&other, k, None, (0, 3)).await.unwrap();
        assert_eq!(bytes, k.as_bytes());
    }
}

async fn open(f: &Fixture, master: Option<MasterKey>) -> Result<std::sync::Arc<Store>> {
    Store::open(f.engine.clone(), Host::real(), account(), master).await
}

#[tokio::test]
async fn another_master_key_is_refused_and_none_reads_nothing_encrypted() {
    let f = Fixture::new().await;
    put(&f, "k", b"secret", Encrypt::Store).await;
    put(&f, "c", b"secret", Encrypt::Customer(customer(1))).await;
    f.put("plain", b"plain").await.unwrap();
    let another = open(&f, Some(MasterKey::from_bytes([8; 32]))).await;
    assert_eq!(kind(another), ErrorKind::InvalidInput);
    let without = open(&f, None).await.unwrap();
    assert_eq!(
        kind(read(&without, "k", None, (0, 6)).await),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        read(&without, "plain", None, (0, 5)).await.unwrap(),
        b"plain"
    );
    // Without keys a check sees that the sealed bytes are what they were.
    let mut findings = Vec::new();
    without
        .check(&mut |finding| findings.push(finding))
        .await
        .unwrap();
    assert_eq!(findings, []);
}

#[tokio::test]
async fn parts_are_encrypted_each_and_read_as_one() {
    let f = Fixture::new().await;
    let plain = [pattern(300_000, 1), pattern(1_000, 2), pattern(200_000, 3)];
    f.put("source", &plain[2]).await.unwrap();
    for (encrypt, given) in [
        (Encrypt::Store, None),
        (Encrypt::Customer(customer(1)), Some(customer(1))),
    ] {
        let create = CreateUpload {
            bucket: name("b"),
            key: key("k"),
            properties: ObjectProperties::default(),
            checksum: None,
            encrypt: Some(encrypt.clone()),
        };
        let grant = on_object(Action::WriteObject, "b", "k");
        let upload = f.store.create_upload(&grant, create).await.unwrap();
        let to = UploadKey {
            bucket: name("b"),
            key: key("k"),
            upload: upload.id,
        };
        for (number, bytes) in [(2, &plain[1]), (1, &plain[0])] {
            let part = UploadPart {
                only_new: false,
                to: to.clone(),
                number,
                checks: BodyChecks::default(),
                key_of_client: given.clone(),
            };
            if given.is_some() {
                let mut without = part.clone();
                without.key_of_client = None;
                let refused = f.store.upload_part(&grant, without, body(bytes)).await;
                assert_eq!(kind(refused), ErrorKind::WrongKey);
            }
            f.store
                .upload_part(&grant, part, body(bytes))
                .await
                .unwrap();
        }
        let copied = CopyPart {
            to: to.clone(),
            number: 3,
            source: copy("source", "k").source,
            key_of_client: given.clone(),
        };
        let from = on_object(Action::ReadObject, "b", "source");
        f.store
            .upload_part_copy(&from, &grant, copied)
            .await
            .unwrap();
        let object = f.finish(complete(&to, &[1, 2, 3])).await.unwrap().object;
        assert_eq!(object.encryption, Some(encrypt.encryption()));
        let whole = plain.concat();
        for (start, end) in [(0, whole.len()), (299_990, 301_010), (300_500, 400_000)] {
            let range = (start as u64, end as u64);
            let part = read(&f.store, "k", given.clone(), range).await.unwrap();
            assert_eq!(part, whole[start..end]);
        }
        f.delete("source").await.unwrap();
        f.put("source", &plain[2]).await.unwrap();
        assert_eq!(
            read(&f.store, "k", given, (0, 10)).await.unwrap(),
            whole[..10]
        );
        f.assert_sound().await;
    }
    f.delete("k").await.unwrap();
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn an_encrypted_object_is_changed_in_place_and_stays_encrypted() {
    let f = Fixture::new().await;
    let mut plain = pattern(300_000, 1);
    put(&f, "k", &plain, Encrypt::Store).await;
    for (at, length) in [(100_000, 70_000), (0, 1), (299_999, 10), (400_000, 5)] {
        let bytes = pattern(length, 9);
        let object = f.patch("k", at, &bytes).await.unwrap().object;
        assert_eq!(object.encryption, Some(Encryption::Store));
        let (start, end) = (at as usize, at as usize + length);
        plain.resize(plain.len().max(end), 0);
        plain[start..end].copy_from_slice(&bytes);
        let all = (0, plain.len() as u64);
        assert_eq!(read(&f.store, "k", None, all).await.unwrap(), plain);
    }
    put(&f, "c", b"secret", Encrypt::Customer(customer(1))).await;
    assert_eq!(kind(f.patch("c", 0, b"x").await), ErrorKind::WrongKey);
    f.assert_sound().await;
    f.delete("k").await.unwrap();
    f.delete("c").await.unwrap();
    f.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_rename_into_a_bucket_that_encrypts_encrypts() {
    let f = Fixture::new().await;
    f.create("sealed").await.unwrap();
    let grants = [on_bucket(Action::WriteBucketEncryption, "sealed")];
    let set = |bucket: &mut BucketProperties| {
        bucket.encryption = Some(Encryption::Named("ours".to_owned()));
        Ok(())
    };
    let set = f.store.update_bucket(&grants, &name("sealed"), &set).await;
    set.unwrap();
    for size in [0, 9, 3 << 20] {
        let bytes = pattern(size, 3);
        let object = f.put("k", &bytes).await.unwrap().object;
        let moved = f.rename(("b", "k"), ("sealed", "k")).await.unwrap().object;
        assert_eq!((moved.id, moved.version), (object.id, object.version));
        assert_eq!(moved.digests, object.digests);
        assert_eq!(moved.encryption, Some(Encryption::Named("ours".to_owned())));
        assert!(size == 0 || !is_stored_plain(&f, &bytes).await);
        assert_eq!(f.read_in("sealed", "k").await.unwrap(), bytes);
        f.assert_sound().await;
        // What is encrypted stays so where nothing is asked for.
        let back = f.rename(("sealed", "k"), ("b", "k")).await.unwrap().object;
        assert_eq!(back, moved);
        f.delete("k").await.unwrap();
        f.assert_sound().await;
    }
    // What the client keeps the key of cannot be read here.
    put(&f, "k", b"x", Encrypt::Customer(customer(1))).await;
    let refused = f.rename(("b", "k"), ("sealed", "k")).await;
    assert_eq!(kind(refused), ErrorKind::WrongKey);
    // Many keys, or former versions, are not encrypted anew.
    f.put("d/k", b"x").await.unwrap();
    let refused = crate::trees::rename(&f, "d/", ("sealed", "d/")).await;
    assert_eq!(kind(refused), ErrorKind::InvalidState);
    f.assert_sound().await;
}
