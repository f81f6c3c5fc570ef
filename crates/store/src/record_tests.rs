use super::*;
use serde_json::json;

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
        key: Key::parse("k").unwrap(),
        owner: Owner {
            account: AccountId::parse("acme").unwrap(),
            user: "ann".into(),
            domain: Some("physics".into()),
        },
        created: Timestamp(10),
        modified: Timestamp(20),
        content: Content::Data { length: 7, layer },
        digests,
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
    let newer = [&[2], &value[1..]].concat();
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
    let extent = ExtentRecord { length: 300 };
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
