//! S3 as its settings make it.

use crate::Fixture;
use trestle_tests::Client;
use trestle_tests::server::{ACCESS_KEY, PASSWORD, SECRET_KEY, Server};
use trestle_tests::sigv4::{Signer, Wire};

/// What a server with these flags answers to a request without a body.
fn asked(flags: &[&str], target: &str) -> (u16, String) {
    let mut fixture = Fixture::new();
    fixture.stop();
    let mut launch = fixture.launch();
    launch.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let server = launch.start();
    let mut client = Client::anonymous(server.address);
    let answer = client.send("GET", target, &[], &[]).unwrap();
    let text = answer.text();
    let code = text.split("<Code>").nth(1);
    let code = code.and_then(|rest| rest.split("</Code>").next());
    (answer.status, code.unwrap_or_default().to_owned())
}

/// What the server answers root.
fn signed(server: &Server, (method, target, body): (&str, &str, &str)) -> (u16, String) {
    let wire = Wire {
        method: method.to_owned(),
        target: target.to_owned(),
        body: body.as_bytes().to_vec(),
        ..Wire::default()
    };
    signed_wire(server, wire)
}

pub(crate) fn signed_wire(server: &Server, wire: Wire) -> (u16, String) {
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let wire = signer.sign(&server.address.to_string(), wire);
    let headers: Vec<(&str, &str)> = wire
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut client = Client::anonymous(server.address);
    let answer = client.send(&wire.method, &wire.target, &headers, &wire.body);
    let answer = answer.unwrap();
    (answer.status, answer.text())
}

#[test]
fn a_bucket_says_the_region_it_was_made_for() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let mut launch = fixture.launch();
    let regions = ["--region", "us-east-1", "--region", "eu-west-1"];
    launch.flags = regions.iter().map(|flag| (*flag).to_owned()).collect();
    let server = launch.start();
    let made = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let ask = |method: &str, target: &str, body: &str| signed(&server, (method, target, body));
    assert_eq!(ask("PUT", "/far", &made("eu-west-1")).0, 200);
    assert_eq!(ask("PUT", "/near", &made("us-east-1")).0, 200);
    assert_eq!(ask("PUT", "/moon", &made("moon-1")).0, 400);
    assert!(
        ask("GET", "/far?location=", "")
            .1
            .contains(">eu-west-1</LocationConstraint>")
    );
    assert!(
        ask("GET", "/near?location=", "")
            .1
            .contains("></LocationConstraint>")
    );
    let listed = ask("GET", "/?bucket-region=eu-west-1", "").1;
    assert!(listed.contains("<Name>far</Name>") && !listed.contains("<Name>near</Name>"));
    assert_eq!(ask("GET", "/?bucket-region=moon-1", "").0, 400);
}

#[test]
fn old_signatures_can_be_switched_off() {
    let signed = "/b?AWSAccessKeyId=TRESTLEROOTACCESSKEY&Expires=4000000000\
                  &Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";
    let refused = (400, "InvalidRequest".to_owned());
    assert_eq!(asked(&["--signature-v2", "off"], signed), refused);
    let wrong = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(asked(&[], signed), wrong);
}

#[test]
fn many_are_deleted_in_the_order_in_which_they_are_named() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let server = fixture.launch().start();
    let ask = |method: &str, target: &str, body: &str| signed(&server, (method, target, body));
    assert_eq!(ask("PUT", "/many", "").0, 200);
    // More than go at once, in no order of theirs.
    let keys: Vec<String> = (0..50)
        .map(|place| format!("k{}", place * 37 % 50))
        .collect();
    for key in &keys {
        assert_eq!(ask("PUT", &format!("/many/{key}"), key).0, 200);
    }
    // Of a key that comes twice, the second finds what the first left: k7's wrong tag compares with
    // nothing any more, k9's with what is there until it is deleted.
    let mut asked: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
    asked.push(("k7", "<ETag>wrong</ETag>"));
    asked.insert(0, ("k9", "<ETag>wrong</ETag>"));
    asked.insert(1, ("k3", "<VersionId>none</VersionId>"));
    let objects: String = asked
        .iter()
        .map(|(key, more)| format!("<Object><Key>{key}</Key>{more}</Object>"))
        .collect();
    let (status, text) = ask(
        "POST",
        "/many?delete=",
        &format!("<Delete>{objects}</Delete>"),
    );
    assert_eq!(status, 200, "{text}");
    let answers: Vec<String> = text
        .split("<Key>")
        .skip(1)
        .zip(text.match_indices("<Key>"))
        .map(|(rest, (place, _))| {
            let kind = if text[..place].ends_with("<Error>") {
                "!"
            } else {
                ""
            };
            format!("{kind}{}", rest.split('<').next().unwrap_or_default())
        })
        .collect();
    let expected: Vec<String> = asked
        .iter()
        .enumerate()
        .map(|(place, (key, _))| format!("{}{key}", if place < 2 { "!" } else { "" }))
        .collect();
    assert_eq!(answers, expected, "{text}");
    let left = ask("GET", "/many", "").1;
    assert!(!left.contains("<Key>"), "{left}");
}

#[test]
fn an_account_has_so_many_buckets_over_every_interface() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let mut launch = fixture.launch();
    launch.flags = vec!["--buckets-per-account".to_owned(), "3".to_owned()];
    let server = launch.start();
    let ask = |method: &str, target: &str| signed(&server, (method, target, ""));
    let (status, usage) = ask("GET", "/?usage");
    let named = |name: &str| format!("<{name}>3</{name}>");
    assert!(
        status == 200 && usage.contains(&named("QuotaMaxBuckets")),
        "{usage}"
    );
    assert!(
        usage.contains("<QuotaMaxBytes>-1</QuotaMaxBytes>"),
        "{usage}"
    );
    // The fixture's own bucket is the first.
    assert_eq!(ask("PUT", "/second").0, 200);
    assert_eq!(ask("PUT", "/third").0, 200);
    let (status, refused) = ask("PUT", "/fourth");
    assert_eq!(status, 400, "{refused}");
    assert!(refused.contains("<Code>TooManyBuckets</Code>"), "{refused}");
    // What is there is told of as ever.
    assert_eq!(ask("PUT", "/third").0, 200);
    let mut client = Client::new(server.address, "root", PASSWORD);
    for (target, expected) in [("/rest/fourth/", 507), ("/cdmi/fourth/", 507)] {
        let headers: &[(&str, &str)] = &[];
        let answer = client.send("PUT", target, headers, b"").unwrap();
        assert_eq!(answer.status, expected, "{target}: {}", answer.text());
    }
    let mut swift = crate::swift::Swift::of(&server);
    assert_eq!(swift.status("PUT", "/fourth", &[]), 403);
    assert_eq!(ask("DELETE", "/second").0, 204);
    assert_eq!(ask("PUT", "/fourth").0, 200);
}

#[test]
fn a_range_of_what_was_replaced_is_the_whole() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let ask = |method: &str, target: &str, body: &str| signed(server, (method, target, body));
    assert_eq!(ask("PUT", "/ranges", "").0, 200);
    assert_eq!(ask("PUT", "/ranges/k", "0123456789").0, 200);
    let read = |condition: &str| {
        let wire = Wire {
            method: "GET".into(),
            target: "/ranges/k".into(),
            headers: vec![
                ("range".into(), "bytes=2-4".into()),
                ("if-range".into(), condition.into()),
            ],
            ..Wire::default()
        };
        signed_wire(server, wire)
    };
    // Of the ten digits, and of another content.
    let (same, other) = (
        "\"781e5e245d69b566979b86e28d23f2c7\"",
        "\"00000000000000000000000000000000\"",
    );
    assert_eq!(read(same), (206, "234".to_owned()));
    for replaced in [other, "W/\"781e5e245d69b566979b86e28d23f2c7\"", "x"] {
        assert_eq!(read(replaced), (200, "0123456789".to_owned()), "{replaced}");
    }
}

/// What a browser's form for this key answers, with these conditions and fields and this file.
fn posted(server: &Server, conditions: &str, file: &str) -> (u16, String) {
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let conditions = format!(r#"{{"bucket":"codes"}},{{"key":"k"}},{conditions}"#);
    let late = crate::negative::s3_forms::LATE;
    let body = crate::negative::s3_forms::signed(
        &signer,
        (late, conditions.trim_end_matches(',')),
        &[("key", "k")],
        file,
    );
    let kind = crate::negative::s3_forms::KIND;
    let mut client = Client::anonymous(server.address);
    let headers = [("content-type", kind)];
    let answer = client.send("POST", "/codes", &headers, body.as_bytes());
    let answer = answer.unwrap();
    (answer.status, answer.text())
}

#[test]
fn refusals_say_what_was_sent_and_what_would_do() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let ask = |method: &str, target: &str, body: &str| signed(server, (method, target, body));
    assert_eq!(ask("PUT", "/codes", "").0, 200);
    let (status, text) = posted(server, r#"["content-length-range",3,9]"#, "hi");
    assert_eq!(status, 400, "{text}");
    for field in [
        "<Code>EntityTooSmall</Code>",
        "<ProposedSize>2</ProposedSize>",
        "<MinSizeAllowed>3</MinSizeAllowed>",
    ] {
        assert!(text.contains(field), "{field}: {text}");
    }
    let (status, text) = posted(server, r#"["content-length-range",0,1]"#, "hi");
    assert_eq!(status, 400, "{text}");
    assert!(
        text.contains("<MaxSizeAllowed>1</MaxSizeAllowed>"),
        "{text}"
    );
    assert_eq!(posted(server, "", "hi").0, 204);
    // Of another body than was signed.
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let wire = Wire {
        method: "PUT".into(),
        target: "/codes/k".into(),
        body: b"signed".to_vec(),
        ..Wire::default()
    };
    let mut wire = signer.sign(&server.address.to_string(), wire);
    wire.body = b"sealed".to_vec();
    let headers: Vec<(&str, &str)> = wire
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut client = Client::anonymous(server.address);
    let answer = client.send(&wire.method, &wire.target, &headers, &wire.body);
    let text = answer.unwrap().text();
    for field in ["ClientComputedContentSHA256", "S3ComputedContentSHA256"] {
        let value = text.split(&format!("<{field}>")).nth(1);
        let value = value.and_then(|rest| rest.split('<').next());
        assert_eq!(value.map(str::len), Some(64), "{field}: {text}");
    }
}

#[test]
fn a_form_without_a_type_makes_an_object_without_one() {
    let fixture = Fixture::new();
    let server = fixture.server();
    assert_eq!(signed(server, ("PUT", "/codes", "")).0, 200);
    assert_eq!(posted(server, "", "hi").0, 204);
    let wire = Wire {
        method: "GET".into(),
        target: "/codes/k".into(),
        ..Wire::default()
    };
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let wire = signer.sign(&server.address.to_string(), wire);
    let headers: Vec<(&str, &str)> = wire
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut client = Client::anonymous(server.address);
    let answer = client.send("GET", "/codes/k", &headers, &[]).unwrap();
    assert_eq!(
        answer.header("content-type").unwrap(),
        "binary/octet-stream"
    );
}

#[test]
fn a_new_bucket_is_told_its_name_among_policies() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let made = |bucket: &str, acl: &str| {
        let wire = Wire {
            method: "PUT".into(),
            target: format!("/{bucket}"),
            headers: vec![
                ("x-amz-acl".into(), acl.into()),
                (
                    "x-amz-object-ownership".into(),
                    "BucketOwnerEnforced".into(),
                ),
            ],
            ..Wire::default()
        };
        let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
        let wire = signer.sign(&server.address.to_string(), wire);
        let headers: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut client = Client::anonymous(server.address);
        client.send("PUT", &wire.target, &headers, &[]).unwrap()
    };
    let answer = made("owned", "private");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let arn = answer.header("x-amz-bucket-arn");
    assert_eq!(arn.unwrap(), "arn:aws:s3:::owned");
    // A list that gives something away cannot be.
    let answer = made("public", "public-read");
    assert!(
        answer
            .text()
            .contains("InvalidBucketAclWithObjectOwnership")
    );
}

#[test]
fn a_range_with_a_blank_is_none() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let ask = |method: &str, target: &str, body: &str| signed(server, (method, target, body));
    assert_eq!(ask("PUT", "/ranges", "").0, 200);
    assert_eq!(ask("PUT", "/ranges/k", "0123456789").0, 200);
    let read = |range: &str| {
        let wire = Wire {
            method: "GET".into(),
            target: "/ranges/k".into(),
            headers: vec![("range".into(), range.into())],
            ..Wire::default()
        };
        signed_wire(server, wire)
    };
    assert_eq!(read("bytes=-1"), (206, "9".to_owned()));
    assert_eq!(read("bytes= -1"), (200, "0123456789".to_owned()));
}

#[test]
fn a_preflight_says_that_its_answer_is_not_to_be_kept() {
    let fixture = Fixture::new();
    let server = fixture.server();
    let ask = |method: &str, target: &str, body: &str| signed(server, (method, target, body));
    assert_eq!(ask("PUT", "/scripts", "").0, 200);
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin>\
                 <AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule>\
                 </CORSConfiguration>";
    assert_eq!(ask("PUT", "/scripts?cors=", rules).0, 200);
    let mut client = Client::anonymous(server.address);
    let asked = [
        ("origin", "http://a.example"),
        ("access-control-request-method", "GET"),
    ];
    let answer = client.send("OPTIONS", "/scripts/k", &asked, &[]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("access-control-max-age").unwrap(), "-1");
    let mut rest = Client::new(server.address, "root", PASSWORD);
    let shown = rest.send("GET", "/rest/scripts/?metadata", &[], &[]);
    let shown = shown.unwrap().text().replace(' ', "");
    assert!(shown.contains("\"max_age\":-1"), "{shown}");
}

/// Amazon's documents: nothing is shown of a version that never had a hold applied, and one that is
/// off is told from none.
#[test]
fn a_hold_that_was_never_set_is_none() {
    let fixture = Fixture::new();
    let ask =
        |method: &str, target: &str, body: &str| signed(fixture.server(), (method, target, body));
    let with = |target: &str, (name, value): (&str, &str)| {
        let wire = Wire {
            method: "PUT".to_owned(),
            target: target.to_owned(),
            headers: vec![(name.to_owned(), value.to_owned())],
            ..Wire::default()
        };
        signed_wire(fixture.server(), wire).0
    };
    let locked = ("x-amz-bucket-object-lock-enabled", "true");
    assert_eq!(with("/holds", locked), 200);
    assert_eq!(ask("PUT", "/holds/k", "x").0, 200);
    let none = ask("GET", "/holds/k?legal-hold=", "");
    assert_eq!(none.0, 404);
    assert!(
        none.1
            .contains("<Code>NoSuchObjectLockConfiguration</Code>")
    );
    for status in ["OFF", "ON", "OFF"] {
        let hold = format!("<LegalHold><Status>{status}</Status></LegalHold>");
        assert_eq!(ask("PUT", "/holds/k?legal-hold=", &hold).0, 200);
        let (code, text) = ask("GET", "/holds/k?legal-hold=", "");
        assert_eq!(code, 200);
        assert!(text.contains(&format!("<Status>{status}</Status>")));
    }
    let off = ("x-amz-object-lock-legal-hold", "OFF");
    assert_eq!(with("/holds/told", off), 200);
    let (code, text) = ask("GET", "/holds/told?legal-hold=", "");
    assert_eq!((code, text.contains("<Status>OFF</Status>")), (200, true));
}
