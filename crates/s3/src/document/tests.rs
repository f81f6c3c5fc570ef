use super::*;
use trestle_core::DigestAlgorithm;

fn code<T: std::fmt::Debug>(result: Result<T, S3Error>) -> Code {
    result.unwrap_err().code()
}

#[test]
fn deletes_name_keys_with_their_blanks() {
    let (quiet, keys) = delete(
        b"<?xml version='1.0'?><Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\
          <Quiet>true</Quiet><Object><Key> a&#x1;</Key></Object><Object><Key>b</Key>\
          <VersionId>v</VersionId><ETag>\"e\"</ETag><Size>7</Size>\
          <LastModifiedTime>1994-11-06T08:49:37Z</LastModifiedTime></Object></Delete>",
    )
    .unwrap();
    assert!(quiet);
    assert_eq!(keys[0].key, " a\u{1}");
    assert_eq!(keys[0].version, None);
    assert_eq!(keys[1].version.as_deref(), Some("v"));
    assert_eq!(
        (keys[1].size, keys[1].modified),
        (Some(7), Some(784_111_777))
    );
    let many = format!(
        "<Delete>{}</Delete>",
        "<Object><Key>a</Key></Object>".repeat(1001)
    );
    for bad in [
        "",
        "<Delete/>",
        "<Other><Object><Key>a</Key></Object></Other>",
        "<Delete><Object/></Delete>",
        "<Delete><Quiet>maybe</Quiet><Object><Key>a</Key></Object></Delete>",
        "<Delete><Object><Key>a</Key><Size>x</Size></Object></Delete>",
        &many,
    ] {
        assert_eq!(
            code(delete(bad.as_bytes())),
            Code::MalformedXML,
            "{bad:.80}"
        );
    }
}

#[test]
fn completions_list_parts() {
    let parts = complete(
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"aa\"</ETag>\
          <ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part><Part><ETag>bb</ETag>\
          <PartNumber>2</PartNumber></Part></CompleteMultipartUpload>",
    )
    .unwrap();
    assert_eq!((parts[0].number, parts[0].etag.as_str()), (1, "aa"));
    assert_eq!(
        parts[0].checksum.as_ref().unwrap().algorithm,
        DigestAlgorithm::Crc32
    );
    assert_eq!((parts[1].number, parts[1].etag.as_str()), (2, "bb"));
    for bad in [
        "<CompleteMultipartUpload/>",
        "<CompleteMultipartUpload><Part><ETag>a</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>\
         </CompleteMultipartUpload>",
    ] {
        assert_eq!(code(complete(bad.as_bytes())), Code::MalformedXML, "{bad}");
    }
    for (number, checksum) in [
        ("0", ""),
        ("-4", ""),
        ("10001", ""),
        ("1", "<ChecksumCRC32>malformed</ChecksumCRC32>"),
        (
            "1",
            "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>",
        ),
    ] {
        let bad = format!(
            "<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>a</ETag>\
             {checksum}</Part></CompleteMultipartUpload>"
        );
        assert_eq!(
            code(complete(bad.as_bytes())),
            Code::InvalidArgument,
            "{bad}"
        );
    }
}

#[test]
fn versioning_has_two_states_and_no_mfa() {
    let put = |inner: &str| {
        versioning(format!("<VersioningConfiguration>{inner}</VersioningConfiguration>").as_bytes())
    };
    assert_eq!(
        put("<Status>Enabled</Status>").unwrap(),
        Versioning::Enabled
    );
    assert_eq!(
        put("<Status> Suspended </Status>").unwrap(),
        Versioning::Suspended
    );
    assert_eq!(code(put("")), Code::MalformedXML);
    assert_eq!(code(put("<Status>enabled</Status>")), Code::MalformedXML);
    let mfa = "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>";
    assert_eq!(code(put(mfa)), Code::NotImplemented);
}

#[test]
fn tags_follow_their_rules() {
    let one = |key: &str, value: &str| {
        let text = format!(
            "<Tagging><TagSet><Tag><Key>{key}</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
        );
        tagging(text.as_bytes(), OBJECT_TAGS_MAX)
    };
    assert_eq!(one("a b", "").unwrap()["a b"], "");
    assert!(one(&"k".repeat(128), &"é".repeat(256)).is_ok());
    for (key, value) in [
        ("", "v"),
        (&"k".repeat(129), "v"),
        ("k", &"v".repeat(257)),
        ("aws:x", ""),
        ("a!", ""),
    ] {
        assert_eq!(code(one(key, value)), Code::InvalidTag, "{key:.20}");
    }
    assert_eq!(header_tags("a=b&c%2F=+d").unwrap()["c/"], " d");
    assert_eq!(header_tags("only").unwrap()["only"], "");
    assert!(header_tags("a=1&a=2").is_err() && header_tags("%zz=1").is_err());
    let many: Vec<String> = (0..11).map(|n| format!("k{n}=v")).collect();
    assert_eq!(code(header_tags(&many.join("&"))), Code::InvalidTag);
}

#[test]
fn locks_have_one_period() {
    let put = |rule: &str| {
        let text = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}\
             </ObjectLockConfiguration>"
        );
        object_lock(text.as_bytes())
    };
    assert_eq!(put("").unwrap().default, None);
    let rule = |inner: &str| {
        put(&format!(
            "<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>"
        ))
    };
    let found = rule("<Mode>GOVERNANCE</Mode><Days>3</Days>")
        .unwrap()
        .default
        .unwrap();
    assert_eq!(
        (found.mode, found.period),
        (RetentionMode::Governance, Period::Days(3))
    );
    for bad in [
        "<Mode>GOVERNANCE</Mode>",
        "<Mode>governance</Mode><Days>3</Days>",
        "<Mode>GOVERNANCE</Mode><Days>3</Days><Years>1</Years>",
        "<Days>3</Days>",
    ] {
        assert_eq!(code(rule(bad)), Code::MalformedXML, "{bad}");
    }
    let period = |days: &str| rule(&format!("<Mode>COMPLIANCE</Mode><Days>{days}</Days>"));
    assert_eq!(code(period("0")), Code::InvalidRetentionPeriod);
    assert_eq!(code(period("-1")), Code::InvalidRetentionPeriod);
    assert_eq!(code(period("99999")), Code::InvalidRetentionPeriod);
    let text = b"<Retention><Mode>COMPLIANCE</Mode>\
                 <RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>";
    assert_eq!(
        retention(text).unwrap().unwrap().mode,
        RetentionMode::Compliance
    );
    assert_eq!(retention(b"<Retention/>").unwrap(), None);
    assert!(retention(b"<Retention><Mode>COMPLIANCE</Mode></Retention>").is_err());
    assert!(legal_hold(b"<LegalHold><Status>ON</Status></LegalHold>").unwrap());
    assert!(legal_hold(b"<LegalHold><Status>abc</Status></LegalHold>").is_err());
    assert!(retain_until("2000-01-01T00:00:00Z", Timestamp(u64::MAX)).is_err());
}

#[test]
fn buckets_are_made_with_a_location_and_tags() {
    assert_eq!(create_bucket(b"").unwrap(), NewBucket::default());
    let new = create_bucket(
        b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>\
          <Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>",
    )
    .unwrap();
    assert_eq!(new.location.as_deref(), Some("eu-west-1"));
    assert_eq!(new.tags["a"], "b");
    let unknown = b"<CreateBucketConfiguration><X/></CreateBucketConfiguration>";
    assert_eq!(code(create_bucket(unknown)), Code::MalformedXML);
    let block = b"<PublicAccessBlockConfiguration><BlockPublicAcls>TRUE</BlockPublicAcls>\
                  </PublicAccessBlockConfiguration>";
    let block = public_access(block).unwrap();
    assert!(block.block_acls && !block.block_policy);
    let rule = |text: &str| {
        ownership(
            format!(
                "<OwnershipControls><Rule><ObjectOwnership>{text}</ObjectOwnership>\
                           </Rule></OwnershipControls>"
            )
            .as_bytes(),
        )
    };
    assert_eq!(rule("ObjectWriter").unwrap(), "ObjectWriter");
    assert!(rule("Nobody").is_err());
    assert!(
        request_payment(
            b"<RequestPaymentConfiguration><Payer>BucketOwner</Payer>\
                              </RequestPaymentConfiguration>"
        )
        .is_ok()
    );
}

#[test]
fn an_element_that_has_no_meaning_is_refused() {
    let block = |inner: &str| {
        let root = "PublicAccessBlockConfiguration";
        let text =
            format!("<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{root}>");
        public_access(text.as_bytes())
    };
    assert!(block("<BlockPublicAcls>true</BlockPublicAcls>").is_ok());
    for wrong in [
        "<BlockPublicACLs>true</BlockPublicACLs>",
        "<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>false</BlockPublicAcls>",
        "<BlockPublicAcls><a/>true</BlockPublicAcls>",
    ] {
        assert_eq!(code(block(wrong)), Code::MalformedXML, "{wrong}");
    }
    let key = "<Delete><Object><Key>k</Key><Versionid>v</Versionid></Object></Delete>";
    assert_eq!(code(delete(key.as_bytes())), Code::MalformedXML);
    let part = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag>\
                <ChecksumCRC>x</ChecksumCRC></Part></CompleteMultipartUpload>";
    assert_eq!(code(complete(part.as_bytes())), Code::MalformedXML);
    let status = "<VersioningConfiguration><Status>Enabled</Status><Mfa>x</Mfa>\
                  </VersioningConfiguration>";
    assert_eq!(code(versioning(status.as_bytes())), Code::MalformedXML);
}
