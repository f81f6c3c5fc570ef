use super::*;
use crate::encryption::Encryption;
use crate::manifest::Manifest;
use crate::nouns::{Bucket, Content, Held, Object};
use crate::properties::*;
use serde_json::json;
use std::collections::BTreeMap;
use trestle_core::*;

fn object(layer: Option<LayerId>) -> Object {
    let mut digests = Digests::default();
    digests.insert(Digest {
        algorithm: DigestAlgorithm::Md5,
        value: vec![5; 16],
    });
    Object {
        id: ObjectId(Id([1; 16])),
        version: VersionId(Id([2; 16])),
        change: 3,
        ordinal: 4,
        outranked: Some(9),
        null_version: true,
        key: Key::parse("k").unwrap(),
        owner: Owner {
            account: AccountId::parse("acme").unwrap(),
            user: "ann".into(),
            domain: Some("physics".into()),
        },
        created: Timestamp(10),
        modified: Timestamp(20),
        modifications: 6,
        content: Content::Data { length: 7, layer },
        encryption: Some(Encryption::Customer { digest: [6; 16] }),
        written: Written::Parts {
            count: 2,
            digest: digests.get(DigestAlgorithm::Md5).unwrap().clone(),
        },
        checksum: Some(Checksum {
            digest: digests.get(DigestAlgorithm::Md5).unwrap().clone(),
            composite_of: Some(2),
        }),
        digests,
        tags: [("t".to_owned(), "u".to_owned())].into(),
        acl: Some("{}".into()),
        retention: Some(Retention {
            mode: RetentionMode::Compliance,
            until: Timestamp(30),
        }),
        legal_hold: true,
        hold_lifted: false,
        expires: Some(Timestamp(40)),
        storage_class: Some("COLD".into()),
        documents: [("d".to_owned(), "e".to_owned())].into(),
        manifest: Some(Manifest::Prefix {
            bucket: BucketName::parse_qualified("acme:b").unwrap(),
            prefix: "p/".into(),
            found: None,
        }),
        frozen: true,
        representation: [("content-type".to_owned(), "text/plain".to_owned())].into(),
        metadata: [("m".to_owned(), json!({"a": [1, 2.5, null, "x"]}))].into(),
    }
}

#[test]
fn objects_come_back_as_they_went_in() {
    for layer in [None, Some(LayerId(Id([9; 16])))] {
        let object = object(layer);
        let value = ObjectRecord::new(&object).unwrap().to_value().unwrap();
        let back = ObjectRecord::from_value(&value)
            .unwrap()
            .into_object(object.key.clone())
            .unwrap();
        assert_eq!(back, object);
    }
}

#[test]
fn markers_and_plain_objects_come_back_too() {
    let mut object = object(None);
    object.tags.clear();
    object.documents.clear();
    object.manifest = None;
    object.retention = None;
    object.legal_hold = false;
    object.null_version = false;
    object.checksum = None;
    for (content, written) in [
        (Content::DeleteMarker, Written::Whole),
        (Content::Directory, Written::Patched),
    ] {
        object.content = content;
        object.hold_lifted = written == Written::Patched;
        object.written = written;
        let value = ObjectRecord::new(&object).unwrap().to_value().unwrap();
        let back = ObjectRecord::from_value(&value).unwrap();
        assert_eq!(back.into_object(object.key.clone()).unwrap(), object);
    }
}

#[test]
fn buckets_come_back_as_they_went_in() {
    let default = |mode, period| Some(DefaultRetention { mode, period });
    let locks = [
        None,
        Some(ObjectLock::default()),
        Some(ObjectLock {
            default: default(RetentionMode::Governance, Period::Days(3)),
        }),
        Some(ObjectLock {
            default: default(RetentionMode::Compliance, Period::Years(2)),
        }),
    ];
    let versionings = [
        Versioning::Off,
        Versioning::Enabled,
        Versioning::Suspended,
        Versioning::Enabled,
    ];
    let map = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    for (lock, versioning) in locks.into_iter().zip(versionings) {
        let full = BucketProperties {
            encryption: Some(Encryption::Named("blue".into())),
            versioning,
            lock,
            policy: Some("{}".into()),
            acl: Some("[]".into()),
            ownership: Some("enforced".into()),
            public_access: PublicAccessBlock {
                block_acls: true,
                ignore_acls: false,
                block_policy: true,
                restrict_buckets: lock.is_some(),
            },
            tags: map.clone(),
            metadata: [("m".to_owned(), json!([1]))].into(),
            quota: Quota {
                bytes: Some(7),
                objects: lock.map(|_| 8),
            },
            retention: lock.map(|_| Retention {
                mode: RetentionMode::Compliance,
                until: Timestamp(99),
            }),
            legal_hold: lock.is_some(),
            storage_policy: Some("gold".into()),
            documents: map.clone(),
        };
        for properties in [BucketProperties::default(), full] {
            let bucket = Bucket {
                id: BucketId(Id([3; 16])),
                name: BucketName::parse("b").unwrap(),
                owner: object(None).owner,
                created: Timestamp(4),
                modified: Timestamp(lock.map_or(4, |_| 8)),
                modifications: lock.map_or(0, |_| 2),
                at: None,
                parent: None,
                clone_of: lock.map(|_| crate::nouns::CloneOf {
                    base: BucketId(Id([9; 16])),
                    ordinal: 6,
                    prefix: "d/".to_owned(),
                }),
                snapshots: crate::nouns::SnapshotCount {
                    made: lock.map_or(0, |_| 5),
                    live: lock.map_or(0, |_| 3),
                },
                held: match lock {
                    Some(_) => vec![Held {
                        prefix: "p/".into(),
                        job: JobId(Id([7; 16])),
                    }],
                    None => Vec::new(),
                },
                properties,
            };
            let value = BucketRecord::new(&bucket).unwrap().to_value().unwrap();
            let back = BucketRecord::from_value(&value).unwrap();
            assert_eq!(back.into_bucket(bucket.id).unwrap(), bucket);
        }
    }
}

#[test]
fn damaged_and_newer_records_are_refused() {
    let value = ObjectRecord::new(&object(None))
        .unwrap()
        .to_value()
        .unwrap();
    for length in 0..value.len() {
        let error = ObjectRecord::from_value(&value[..length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    let longer = [&value[..], &[0]].concat();
    assert_eq!(
        ObjectRecord::from_value(&longer).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let newer = [&[3], &value[1..]].concat();
    let error = ObjectRecord::from_value(&newer).unwrap_err();
    assert!(error.message().contains("newer"), "{error}");
    let zero = [&[0], &value[1..]].concat();
    assert_eq!(
        ObjectRecord::from_value(&zero).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}

#[test]
fn an_extent_record_has_its_documented_bytes() {
    let extent = ExtentRecord {
        length: 300,
        source: Source::Own,
        part: None,
    };
    let value = extent.to_value().unwrap();
    assert_eq!(value[..], [1, 0xa1, 0x00, 0x19, 0x01, 0x2c]);
}

/// A record whose second version renamed what the first one counted.
#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct Second {
    #[n(1)]
    halves: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct First {
    #[n(0)]
    wholes: u64,
}

impl Record for First {
    const NAME: &'static str = "example";
    const VERSION: u8 = 1;
}

impl Record for Second {
    const NAME: &'static str = "example";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self> {
        match version {
            1 => read_body::<First>(Self::NAME, body).map(|f| Second {
                halves: f.wholes * 2,
            }),
            _ => Err(Error::corrupt("unknown")),
        }
    }
}

#[test]
fn an_older_record_is_converted() {
    let value = First { wholes: 4 }.to_value().unwrap();
    assert_eq!(Second::from_value(&value).unwrap(), Second { halves: 8 });
}

proptest::proptest! {
    #[test]
    fn a_flipped_byte_never_panics(at in 0..200usize, flip in 1..=255u8) {
        let mut value = ObjectRecord::new(&object(None)).unwrap().to_value().unwrap().to_vec();
        let at = at % value.len();
        value[at] ^= flip;
        if let Ok(record) = ObjectRecord::from_value(&value) {
            let _any = record.into_object(Key::parse("k").unwrap());
        }
    }
}
