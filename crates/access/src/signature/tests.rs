//! Signatures against published vectors and botocore's, and everything that must be refused.

mod refused;

use super::*;
use serde_json::Value;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 2013-05-24T00:00:00Z, the time of the published examples.
const THEN: Timestamp = Timestamp(1_369_353_600_000_000);
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request that owns its parts, so that they can be changed.
#[derive(Clone, Debug)]
struct Owned {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    host_bucket: Option<String>,
}

impl Owned {
    fn new(method: &str, target: &str, headers: &[(&str, &str)]) -> Owned {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(p, q)| (p, Some(q)));
        Owned {
            method: method.into(),
            path: path.into(),
            query: query.map(str::to_owned),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect(),
            host_bucket: None,
        }
    }

    fn present(&self, region: &str, now: Timestamp) -> SignatureResult<Presented> {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()))
            .collect();
        let request = RawRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            host_bucket: self.host_bucket.as_deref(),
        };
        let regions = [region.to_owned()];
        Presented::of(
            &request,
            &Scope {
                regions: &regions,
                service: "s3",
                now,
            },
        )
    }

    fn verify(&self, secret: &str, region: &str, now: Timestamp) -> SignatureResult<()> {
        let secret = SecretKey::new(secret);
        // The access key is not signed: whoever looks its secret up finds another one.
        let unknown = || Err(SignatureError::Unsupported("an unknown key".into()));
        let known = |key: &str| [KEY, "AKIDEXAMPLE"].contains(&key);
        match self.present(region, now)? {
            Presented::V4(signed) if !known(signed.access_key()) => unknown(),
            Presented::V2(signed) if !known(signed.access_key()) => unknown(),
            Presented::V4(signed) => signed.verify(&secret).map(drop),
            Presented::V2(signed) => signed.verify(&secret),
            Presented::Nothing => Err(SignatureError::Unsupported("nothing presented".into())),
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(n, _)| n == name).unwrap().1
    }
}

fn published(headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders={headers},Signature={signature}"
    )
}

fn get_object() -> Owned {
    let authorization = published(
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    Owned::new(
        "GET",
        "/test.txt",
        &[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
            ("authorization", &authorization),
        ],
    )
}

fn presigned() -> Owned {
    Owned::new(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F\
         20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&\
         X-Amz-SignedHeaders=host&X-Amz-Signature=\
         aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        &[("host", "examplebucket.s3.amazonaws.com")],
    )
}

#[test]
fn the_published_examples_verify() {
    let verify = |owned: &Owned| owned.verify(SECRET, "us-east-1", THEN);
    assert_eq!(verify(&get_object()), Ok(()));
    assert_eq!(verify(&presigned()), Ok(()));
    let signed = "host;x-amz-content-sha256;x-amz-date";
    for (target, signature) in [
        (
            "/?lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "/?max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
            ("authorization", &published(signed, signature)),
        ];
        assert_eq!(
            verify(&Owned::new("GET", target, &headers)),
            Ok(()),
            "{target}"
        );
    }
    let authorization = published(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    let put = Owned::new(
        "PUT",
        "/test$file.text",
        &[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            (
                "x-amz-content-sha256",
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
            ("authorization", &authorization),
        ],
    );
    assert_eq!(verify(&put), Ok(()));
}

#[test]
fn botocore_s_signatures_verify() {
    let document: Value = serde_json::from_str(include_str!("signed_requests.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (secret, region) = (text(&document["secret"]), text(&document["region"]));
    let now = Timestamp(document["now"].as_u64().unwrap() * 1_000_000);
    let cases = document["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 160);
    for case in cases {
        let headers: Vec<(String, String)> = case["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect();
        let owned = Owned {
            method: text(&case["method"]),
            path: text(&case["path"]),
            query: case["query"].as_str().map(str::to_owned),
            headers,
            host_bucket: None,
        };
        assert_eq!(
            owned.verify(&secret, &region, now),
            Ok(()),
            "{}\n{owned:?}",
            case["name"]
        );
        let wrong = owned.verify("another secret", &region, now);
        assert!(
            matches!(wrong, Err(SignatureError::Mismatch(_))),
            "{}",
            case["name"]
        );
    }
    let form = document["form"].as_object().unwrap();
    let field = |name: &str| {
        let mut fields = form.iter();
        fields.find_map(|(n, v)| (n.to_lowercase() == name).then(|| v.as_str().unwrap()))
    };
    let regions = [region];
    let scope = Scope {
        regions: &regions,
        service: "s3",
        now,
    };
    let signed = SignedForm::of(&field, &scope).unwrap().unwrap();
    assert_eq!(signed.access_key(), "AKIDEXAMPLE");
    let policy = signed.verify(&SecretKey::new(secret)).unwrap();
    assert!(
        policy.starts_with(b"{\"conditions\": [{\"bucket\": \"b\"}"),
        "{policy:?}"
    );
    assert!(signed.verify(&SecretKey::new("x")).is_err());
}

fn chunked(payload: &str, extra: &[(&str, &str)], signed: &str, signature: &str) -> ChunkChain {
    let authorization = published(signed, signature);
    let mut headers = vec![
        ("host", "s3.amazonaws.com"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", payload),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("authorization", &authorization),
    ];
    headers.extend(extra);
    let put = Owned::new("PUT", "/examplebucket/chunkObject.txt", &headers);
    let Presented::V4(signed) = put.present("us-east-1", THEN).unwrap() else {
        panic!("not version 4");
    };
    let trailer = payload.ends_with("TRAILER");
    assert_eq!(
        signed.payload(),
        &Payload::Chunked {
            signed: true,
            trailer
        }
    );
    let chain = signed.verify(&SecretKey::new(SECRET)).unwrap();
    chain.expect("its chunks are signed")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

#[test]
fn a_chain_of_chunks_verifies_in_order_alone() {
    let chain = chunked(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        &[("content-length", "66824")],
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    let chunks = [
        (
            sha256(&[b'a'; 65536]),
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        ),
        (
            sha256(&[b'a'; 1024]),
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        ),
        (
            sha256(b""),
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ),
    ];
    let mut whole = chain.clone();
    for (digest, signature) in &chunks {
        assert_eq!(whole.chunk(digest, signature), Ok(()));
    }
    let mut skipping = chain.clone();
    assert!(skipping.chunk(&chunks[1].0, chunks[1].1).is_err());
    let mut changed = chain.clone();
    assert!(changed.chunk(&sha256(b"b"), chunks[0].1).is_err());
    let mut repeated = chain;
    assert!(repeated.chunk(&chunks[0].0, chunks[0].1).is_ok());
    assert!(repeated.chunk(&chunks[0].0, chunks[0].1).is_err());
    assert!(repeated.chunk(&chunks[1].0, "").is_err());
}

#[test]
fn a_signed_trailer_verifies() {
    let mut chain = chunked(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        &[("x-amz-trailer", "x-amz-checksum-crc32c")],
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class;x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    );
    for (length, signature) in [
        (
            65536,
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        ),
        (
            1024,
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        ),
        (
            0,
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ),
    ] {
        assert_eq!(
            chain.chunk(&sha256(&vec![b'a'; length]), signature),
            Ok(()),
            "{length}"
        );
    }
    let signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    let mut wrong = chain.clone();
    assert!(
        wrong
            .trailer(&[("x-amz-checksum-crc32c", "sOO8/A==")], signature)
            .is_err()
    );
    assert_eq!(
        chain.trailer(&[("x-amz-checksum-crc32c", "sOO8/Q==")], signature),
        Ok(())
    );
}

#[test]
fn every_changed_byte_of_what_is_signed_is_refused() {
    for original in [get_object(), presigned()] {
        let mut tried = 0;
        let mut refused = |changed: Owned| {
            tried += 1;
            assert!(
                changed.verify(SECRET, "us-east-1", THEN).is_err(),
                "{changed:?}"
            );
        };
        let flips = |text: &str| -> Vec<String> {
            (0..text.len())
                .filter_map(|at| {
                    let mut bytes = text.as_bytes().to_vec();
                    // The case of letters, among others.
                    bytes[at] ^= if bytes[at].is_ascii_alphabetic() {
                        0x20
                    } else {
                        1
                    };
                    String::from_utf8(bytes).ok()
                })
                .collect()
        };
        for method in flips(&original.method) {
            refused(Owned {
                method,
                ..original.clone()
            });
        }
        for path in flips(&original.path) {
            refused(Owned {
                path,
                ..original.clone()
            });
        }
        for query in flips(original.query.as_deref().unwrap_or_default()) {
            // An escape may be written in either case.
            let decoded = |query: &str| {
                let mut text = Vec::new();
                canonical::Query::parse(Some(query)).push_canonical(&mut text, None);
                text
            };
            if original.query.as_deref().map(decoded) != Some(decoded(&query)) {
                refused(Owned {
                    query: Some(query),
                    ..original.clone()
                });
            }
        }
        for place in 0..original.headers.len() {
            for value in flips(&original.headers[place].1) {
                let mut changed = original.clone();
                changed.headers[place].1 = value;
                refused(changed);
            }
        }
        assert!(tried > 40);
    }
}

#[test]
fn nothing_is_anonymous_but_a_request_without_any_sign_of_a_signature() {
    let plain = Owned::new("GET", "/b/k?list-type=2", &[("host", "h")]);
    assert!(matches!(plain.present("r", THEN), Ok(Presented::Nothing)));
    for query in [
        "X-Amz-Signature=",
        "x-amz-credential=a",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-SignedHeaders",
        "AWSAccessKeyId=a",
        "Signature=a",
    ] {
        let hinted = Owned::new("GET", &format!("/b/k?{query}"), &[("host", "h")]);
        assert!(hinted.present("r", THEN).is_err(), "{query}");
    }
}

#[test]
fn version_2_signs_the_bucket_of_the_host() {
    let authorization = "AWS AKIAIOSFODNN7EXAMPLE:bWq2s1WEIj+Ydj0vQ697zp+IXMU=";
    let mut get = Owned::new(
        "GET",
        "/photos/puppy.jpg",
        &[
            ("host", "johnsmith.s3.amazonaws.com"),
            ("date", "Tue, 27 Mar 2007 19:36:42 +0000"),
            ("authorization", authorization),
        ],
    );
    let then = Timestamp(1_175_024_202_000_000);
    get.host_bucket = Some("johnsmith".into());
    assert_eq!(get.verify(SECRET, "us-east-1", then), Ok(()));
    let late = get.verify(SECRET, "us-east-1", Timestamp(then.0 + 901_000_000));
    assert!(matches!(late, Err(SignatureError::Skewed { .. })));
    get.host_bucket = Some("other".into());
    assert!(get.verify(SECRET, "us-east-1", then).is_err());
}

#[test]
fn version_2_signs_parameters_that_stand_for_headers() {
    let plain = "T1x7FvgfvH8Mv2JDanZbxxSJbXY%3D";
    let with_acl = "Dq9S5xB5m9LK%2BxmqDL9GmYd6sUw%3D";
    let put = |signature: &str, more: &str| {
        let target =
            format!("/b/k?AWSAccessKeyId={KEY}&Expires=1369353700&Signature={signature}{more}");
        Owned::new("PUT", &target, &[("host", "h")]).verify(SECRET, "us-east-1", THEN)
    };
    assert_eq!(put(plain, ""), Ok(()));
    assert_eq!(put(with_acl, "&x-amz-acl=private"), Ok(()));
    assert_eq!(put(with_acl, "&X-Amz-Acl=private"), Ok(()));
    for more in [
        "&x-amz-acl=public-read",
        "&x-amz-copy-source=%2Fb%2Fsecret",
        "&X-AMZ-Copy-Source=%2Fb%2Fsecret",
        "&x%2Damz-acl=public-read",
    ] {
        for signature in [plain, with_acl] {
            let refused = put(signature, more);
            let mismatch = matches!(refused, Err(SignatureError::Mismatch(_)));
            assert!(mismatch, "{more}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_input_is_answered(
        method in ".{0,5}", path in "/.{0,20}", query in proptest::option::of("[A-Za-z0-9%&=+/-]{0,80}"),
        authorization in proptest::option::of("(AWS4-HMAC-SHA256|AWS|.{0,8}) .{0,120}"),
        date in ".{0,20}",
    ) {
        let mut headers = vec![("host", "h"), ("x-amz-date", date.as_str())];
        if let Some(authorization) = &authorization {
            headers.push(("authorization", authorization));
        }
        let mut owned = Owned::new(&method, &path, &headers);
        owned.query = query;
        proptest::prop_assert!(owned.verify(SECRET, "us-east-1", THEN).is_err());
    }

    #[test]
    fn encoding_undoes_decoding(bytes: Vec<u8>) {
        let mut encoded = Vec::new();
        canonical::push_encoded(&mut encoded, &bytes, false);
        let encoded = String::from_utf8(encoded).unwrap();
        proptest::prop_assert_eq!(canonical::decode(&encoded), bytes);
    }
}
